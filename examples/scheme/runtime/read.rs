//! The reader: text to data.
//!
//! What is open is kept in a list, so nested brackets take nothing of the stack of the host. A datum is read within one mutation, in which nothing is collected: so the
//! elements of a list that is not finished stand in a `Vec`.
//!
//! Imports `machine`, `number`, `value`.

use super::machine::{Answer, Trap, Vm};
use super::number::Number;
use super::value::{Fault, Value};
use neap_gc::arena::Lock;
use std::cell::Cell;

/// A text, and how far it has been read.
pub struct Reader<'t> {
    text: &'t str,
    pub at: usize,
}

/// Why there is no datum.
pub enum Missing<'gc> {
    /// The text is at its end, and nothing is open.
    End,
    /// It ends within a datum.
    Unfinished,
    Wrong(Trap<'gc>),
}

impl<'gc> From<Trap<'gc>> for Missing<'gc> {
    fn from(trap: Trap<'gc>) -> Self {
        Missing::Wrong(trap)
    }
}
impl From<neap_gc::OutOfMemory> for Missing<'_> {
    fn from(_: neap_gc::OutOfMemory) -> Self {
        Missing::Wrong(Trap::Memory)
    }
}

/// A datum that is not finished.
enum Open<'gc> {
    List {
        elements: Vec<Value<'gc>>,
        tail: Tail<'gc>,
    },
    Vector(Vec<Value<'gc>>),
    Bytes(Vec<Value<'gc>>),
    /// `'x` is `(quote x)`.
    Prefix(&'static str),
    /// `#;`: the next datum is none.
    Comment,
}

/// What comes behind the dot of a list.
#[derive(PartialEq)]
enum Dot {
    None,
    Seen,
}
struct Tail<'gc> {
    dot: Dot,
    value: Option<Value<'gc>>,
}

impl<'t> Reader<'t> {
    pub fn new(text: &'t str) -> Reader<'t> {
        Reader { text, at: 0 }
    }
    fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }
    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }
    fn next(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.at += next.len_utf8();
        Some(next)
    }
    /// The line that has been come to.
    pub fn line(&self) -> usize {
        1 + self.text[..self.at].matches('\n').count()
    }

    fn wrong<'gc>(&self, vm: &Vm<'gc>, what: &str) -> Missing<'gc> {
        Missing::Wrong(vm.fault(Fault::Reader, &format!("line {}: {what}", self.line()), &[]))
    }

    /// Past white space and comments. `false`: a comment has no end.
    fn skip(&mut self) -> bool {
        loop {
            match self.peek() {
                Some(c) if c.is_whitespace() => {
                    self.next();
                }
                Some(';') => self.at += self.rest().find('\n').unwrap_or(self.rest().len()),
                Some('#') if self.rest().starts_with("#|") => {
                    let mut depth = 0;
                    loop {
                        let rest = self.rest();
                        if rest.starts_with("#|") {
                            depth += 1;
                            self.at += 2;
                        } else if rest.starts_with("|#") {
                            depth -= 1;
                            self.at += 2;
                        } else if self.next().is_none() {
                            return false;
                        }
                        if depth == 0 {
                            break;
                        }
                    }
                }
                _ => return true,
            }
        }
    }

    /// The next datum.
    pub fn read<'gc>(&mut self, vm: &Vm<'gc>) -> Result<Value<'gc>, Missing<'gc>> {
        let mut open: Vec<Open<'gc>> = Vec::new();
        loop {
            if !self.skip() {
                return Err(Missing::Unfinished);
            }
            let Some(first) = self.peek() else {
                return Err(if open.is_empty() { Missing::End } else { Missing::Unfinished });
            };
            let rest = self.rest();
            let mut begin = |this: &mut Self, length: usize, what: Open<'gc>| {
                this.at += length;
                open.push(what);
            };
            let datum = match first {
                '(' | '[' => {
                    begin(self, 1, Open::List { elements: Vec::new(), tail: Tail { dot: Dot::None, value: None } });
                    continue;
                }
                ')' | ']' => {
                    self.at += 1;
                    match open.pop() {
                        Some(Open::List { tail: Tail { dot: Dot::Seen, value: None }, .. }) => {
                            return Err(self.wrong(vm, "nothing stands behind a dot"));
                        }
                        Some(Open::List { elements, tail }) => {
                            let mut list = tail.value.unwrap_or(Value::Nil);
                            for &element in elements.iter().rev() {
                                list = vm.cons(element, list)?;
                            }
                            list
                        }
                        Some(Open::Vector(elements)) => {
                            Value::Vector(vm.mc.try_alloc_slice_with(elements.len(), |n| Lock::new(elements[n]))?)
                        }
                        Some(Open::Bytes(elements)) => self.bytes(vm, &elements)?,
                        _ => return Err(self.wrong(vm, "a bracket is closed that is not open")),
                    }
                }
                '\'' => {
                    begin(self, 1, Open::Prefix("quote"));
                    continue;
                }
                '`' => {
                    begin(self, 1, Open::Prefix("quasiquote"));
                    continue;
                }
                ',' => {
                    let splices = rest.starts_with(",@");
                    begin(self, 1 + usize::from(splices), Open::Prefix(if splices { "unquote-splicing" } else { "unquote" }));
                    continue;
                }
                '"' => {
                    self.at += 1;
                    let text = self.quoted(vm, '"')?;
                    vm.string(&text)?
                }
                '#' if rest.starts_with("#(") => {
                    begin(self, 2, Open::Vector(Vec::new()));
                    continue;
                }
                '#' if rest.starts_with("#u8(") => {
                    begin(self, 4, Open::Bytes(Vec::new()));
                    continue;
                }
                '#' if rest.starts_with("#;") => {
                    begin(self, 2, Open::Comment);
                    continue;
                }
                '#' if rest.starts_with("#\\") => self.character(vm)?,
                _ => match self.atom(vm, &mut open)? {
                    Some(datum) => datum,
                    None => continue,
                },
            };
            if let Some(whole) = self.put(vm, &mut open, datum)? {
                return Ok(whole);
            }
        }
    }

    /// Puts a datum where it belongs; it is what was read if nothing is open.
    fn put<'gc>(
        &self,
        vm: &Vm<'gc>,
        open: &mut Vec<Open<'gc>>,
        mut datum: Value<'gc>,
    ) -> Result<Option<Value<'gc>>, Missing<'gc>> {
        loop {
            match open.last_mut() {
                None => return Ok(Some(datum)),
                Some(Open::Comment) => {
                    open.pop();
                    return Ok(None);
                }
                Some(Open::Prefix(name)) => {
                    let name = vm.intern(name)?;
                    open.pop();
                    datum = vm.list([Value::Symbol(name), datum].into_iter())?;
                }
                Some(Open::List { elements, tail: Tail { dot: Dot::None, .. } }) => {
                    elements.push(datum);
                    return Ok(None);
                }
                Some(Open::List { tail, .. }) => {
                    if tail.value.replace(datum).is_some() {
                        return Err(self.wrong(vm, "two data stand behind a dot"));
                    }
                    return Ok(None);
                }
                Some(Open::Vector(elements) | Open::Bytes(elements)) => {
                    elements.push(datum);
                    return Ok(None);
                }
            }
        }
    }

    fn bytes<'gc>(&self, vm: &Vm<'gc>, elements: &[Value<'gc>]) -> Result<Value<'gc>, Missing<'gc>> {
        let byte = |value: &Value<'gc>| if let Value::Integer(number) = value { u8::try_from(*number).ok() } else { None };
        let Some(bytes) = elements.iter().map(byte).collect::<Option<Vec<u8>>>() else {
            return Err(self.wrong(vm, "no byte"));
        };
        Ok(Value::Bytes(vm.mc.try_alloc_slice_with(bytes.len(), |n| Cell::new(bytes[n]))?))
    }

    fn is_delimiter(c: char) -> bool {
        c.is_whitespace() || matches!(c, '(' | ')' | '[' | ']' | '"' | ';' | '\'')
    }
    fn word(&mut self) -> &'t str {
        let rest = self.rest();
        let end = rest.find(Self::is_delimiter).unwrap_or(rest.len());
        self.at += end;
        &rest[..end]
    }

    fn character<'gc>(&mut self, vm: &Vm<'gc>) -> Result<Value<'gc>, Missing<'gc>> {
        self.at += 2;
        let Some(first) = self.next() else { return Err(Missing::Unfinished) };
        let begin = self.at - first.len_utf8();
        // `#\(` is one, whatever follows.
        if first.is_alphanumeric() {
            self.word();
        }
        let name = &self.text[begin..self.at];
        if name.chars().count() == 1 {
            return Ok(Value::Char(first));
        }
        let code = name.strip_prefix('x').and_then(|digits| u32::from_str_radix(digits, 16).ok());
        if let Some(character) = code.and_then(char::from_u32) {
            return Ok(Value::Char(character));
        }
        match CHARACTERS.iter().find(|(known, _)| *known == name) {
            Some(&(_, character)) => Ok(Value::Char(character)),
            None => Err(self.wrong(vm, &format!("no character is called {name}"))),
        }
    }

    /// The text up to a quotation mark, which is taken too.
    fn quoted<'gc>(&mut self, vm: &Vm<'gc>, mark: char) -> Result<String, Missing<'gc>> {
        let mut text = String::new();
        loop {
            let Some(next) = self.next() else { return Err(Missing::Unfinished) };
            if next == mark {
                return Ok(text);
            }
            if next != '\\' {
                text.push(next);
                continue;
            }
            let Some(escaped) = self.next() else { return Err(Missing::Unfinished) };
            match escaped {
                'n' => text.push('\n'),
                't' => text.push('\t'),
                'r' => text.push('\r'),
                'a' => text.push('\x07'),
                'b' => text.push('\x08'),
                'x' | 'X' => {
                    let Some(end) = self.rest().find(';') else { return Err(self.wrong(vm, "no ; behind \\x")) };
                    let code = u32::from_str_radix(&self.rest()[..end], 16).ok().and_then(char::from_u32);
                    let Some(code) = code else { return Err(self.wrong(vm, "\\x with no code of a character")) };
                    text.push(code);
                    self.at += end + 1;
                }
                c if c.is_whitespace() => {
                    // The end of the line, and the white space around it.
                    let rest = self.text[self.at - c.len_utf8()..].trim_start_matches([' ', '\t']);
                    let rest = rest.strip_prefix('\n').unwrap_or(rest).trim_start_matches([' ', '\t']);
                    self.at = self.text.len() - rest.len();
                }
                c => text.push(c),
            }
        }
    }

    /// A number, a boolean, a symbol; `None` for a dot.
    fn atom<'gc>(&mut self, vm: &Vm<'gc>, open: &mut [Open<'gc>]) -> Result<Option<Value<'gc>>, Missing<'gc>> {
        if self.peek() == Some('|') {
            self.at += 1;
            let name = self.quoted(vm, '|')?;
            return Ok(Some(Value::Symbol(vm.intern(&name)?)));
        }
        let word = self.word();
        if word == "." {
            return match open.last_mut() {
                Some(Open::List { elements, tail }) if tail.dot == Dot::None && !elements.is_empty() => {
                    tail.dot = Dot::Seen;
                    Ok(None)
                }
                _ => Err(self.wrong(vm, "a dot stands where none belongs")),
            };
        }
        if let Some(number) = Number::parse(word, 10) {
            return Ok(Some(number.value()));
        }
        match word {
            "#t" | "#true" => Ok(Some(Value::Boolean(true))),
            "#f" | "#false" => Ok(Some(Value::Boolean(false))),
            _ if word.starts_with('#') && !word.starts_with("#%") => Err(self.wrong(vm, &format!("{word} is nothing known"))),
            _ if is_rational(word) => Err(self.wrong(vm, &format!("{word}: there are no rationals"))),
            _ => Ok(Some(Value::Symbol(vm.intern(word)?))),
        }
    }
}

/// What would be taken for a symbol.
fn is_rational(word: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|c| c.is_ascii_digit());
    word.trim_start_matches(['+', '-']).split_once('/').is_some_and(|(above, below)| digits(above) && digits(below))
}

pub const CHARACTERS: [(&str, char); 9] = [
    ("space", ' '),
    ("newline", '\n'),
    ("tab", '\t'),
    ("return", '\r'),
    ("null", '\0'),
    ("alarm", '\x07'),
    ("backspace", '\x08'),
    ("delete", '\x7f'),
    ("escape", '\x1b'),
];

/// A number in a text, for `string->number`.
pub fn number<'gc>(text: &str, radix: u32) -> Answer<'gc> {
    Ok(Number::parse(text, radix).map_or(Value::Boolean(false), Number::value))
}
