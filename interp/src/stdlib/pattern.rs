//! Lua patterns (§6.4.1): a pattern becomes a list of items, and a backtracking matcher runs over the bytes.
//!
//! * **I1** A malformed pattern compiles: the item in the wrong place is a `Bad`, which fails only when the matcher
//!   comes to it. So a pattern is complained about exactly when the reference does.
//! * **I2** The matcher recurses only for captures and for items with a choice, at most [`MAX_DEPTH`] deep. Runs of one
//!   item, and sequences, are loops.
//! * **I3** Every [`POLL_STEPS`] steps the hook is asked whether to go on: a match may take exponential time, but it can be stopped.
//!
//! May import `fault` alone.

use super::fault::Fault;
use memchr::{memchr, memmem};
use smallvec::SmallVec;
use std::ops::Range;

/// The most captures of a pattern.
pub const MAX_CAPTURES: usize = 32;
/// How deep the matcher recurses before the pattern is "too complex".
pub const MAX_DEPTH: u32 = 200;
/// Steps between two calls of the hook.
pub const POLL_STEPS: usize = 100_000;

/// A set of bytes.
type ByteSet = [u64; 4];

/// What matches one byte.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Single {
    Any,
    Byte(u8),
    /// Index into the sets of the pattern.
    Set(u16),
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Item {
    One(Single),
    /// `?`
    Optional(Single),
    /// `*`
    Star(Single),
    /// `+`
    Plus(Single),
    /// `-`
    Lazy(Single),
    Open,
    /// `()`
    Position,
    Close,
    /// `%1` to `%9`, from 0; 255 for `%0`.
    Back(u8),
    /// `%bxy`
    Balance(u8, u8),
    /// `%f[set]`
    Frontier(u16),
    /// `$` at the end
    EndAnchor,
    /// I1
    Bad(Malformed),
    /// The end of the pattern.
    Done,
}

/// A compiled pattern.
pub struct Pattern {
    items: SmallVec<[Item; 12]>,
    sets: SmallVec<[ByteSet; 2]>,
    anchored: bool,
}

/// What a capture holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Capture {
    /// These bytes of the subject.
    Text(Range<usize>),
    /// `()`: the position, counted from 1.
    Position(usize),
}

#[derive(Clone, Copy, Debug)]
enum Extent {
    Unfinished,
    Position,
    Length(usize),
}

/// What makes a pattern malformed.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Malformed {
    Escape,
    Bracket,
    Balance,
    Frontier,
    TooManySets,
}

impl Malformed {
    fn message(self) -> &'static str {
        match self {
            Malformed::Escape => "malformed pattern (ends with '%')",
            Malformed::Bracket => "malformed pattern (missing ']')",
            Malformed::Balance => "malformed pattern (missing arguments to '%b')",
            Malformed::Frontier => "missing '[' after '%f' in pattern",
            Malformed::TooManySets => "pattern too complex",
        }
    }
}

/// The bytes of a class, in the C locale.
const fn class(letter: u8) -> ByteSet {
    let mut set = [0; 4];
    let mut byte = 0u8;
    loop {
        let belongs = match letter {
            b'a' => byte.is_ascii_alphabetic(),
            b'c' => byte.is_ascii_control(),
            b'd' => byte.is_ascii_digit(),
            b'g' => byte.is_ascii_graphic(),
            b'l' => byte.is_ascii_lowercase(),
            b'p' => byte.is_ascii_punctuation(),
            // Unlike `is_ascii_whitespace`, `isspace` knows the vertical tab.
            b's' => matches!(byte, b' ' | b'\t'..=b'\r'),
            b'u' => byte.is_ascii_uppercase(),
            b'w' => byte.is_ascii_alphanumeric(),
            b'x' => byte.is_ascii_hexdigit(),
            _ => byte == 0,
        };
        if belongs {
            set[(byte >> 6) as usize] |= 1 << (byte & 63);
        }
        if byte == 255 {
            return set;
        }
        byte += 1;
    }
}

/// The letters that name a class (`z` is deprecated), and the classes.
const LETTERS: &[u8; 11] = b"acdglpsuwxz";
static CLASSES: [ByteSet; 11] = {
    let mut classes = [[0; 4]; 11];
    let mut i = 0;
    while i < LETTERS.len() {
        classes[i] = class(LETTERS[i]);
        i += 1;
    }
    classes
};

/// What `%letter` stands for, or `None` if the letter stands for itself.
fn class_of(letter: u8) -> Option<ByteSet> {
    let index = LETTERS.iter().position(|&known| known == letter.to_ascii_lowercase())?;
    let set = CLASSES[index];
    Some(if letter.is_ascii_uppercase() { set.map(|word| !word) } else { set })
}

fn insert(set: &mut ByteSet, byte: u8) {
    set[usize::from(byte >> 6)] |= 1 << (byte & 63);
}

fn holds(set: &ByteSet, byte: u8) -> bool {
    set[usize::from(byte >> 6)] >> (byte & 63) & 1 != 0
}

struct Compiler<'p> {
    source: &'p [u8],
    at: usize,
    pattern: Pattern,
}

impl Compiler<'_> {
    fn peek(&self, ahead: usize) -> Option<u8> {
        self.source.get(self.at + ahead).copied()
    }

    fn add_set(&mut self, set: ByteSet) -> Result<u16, Malformed> {
        let index = match self.pattern.sets.iter().position(|known| *known == set) {
            Some(index) => index,
            None => {
                self.pattern.sets.push(set);
                self.pattern.sets.len() - 1
            }
        };
        u16::try_from(index).map_err(|_| Malformed::TooManySets)
    }

    /// A bracketed set; `at` is on the `[`.
    fn bracket(&mut self) -> Result<u16, Malformed> {
        let negated = self.peek(1) == Some(b'^');
        let first = self.at + 1 + usize::from(negated);
        // Find the closing bracket: the first byte of the set is never it.
        let mut end = first;
        loop {
            match self.source.get(end) {
                None => return Err(Malformed::Bracket),
                Some(b']') if end > first => break,
                Some(b'%') => end += 2,
                Some(_) => end += 1,
            }
        }
        let mut set = [0; 4];
        let mut i = first;
        while i < end {
            let byte = self.source[i];
            if byte == b'%' {
                let letter = self.source[i + 1];
                match class_of(letter) {
                    Some(class) => set.iter_mut().zip(class).for_each(|(word, more)| *word |= more),
                    None => insert(&mut set, letter),
                }
                i += 2;
            } else if i + 2 < end && self.source[i + 1] == b'-' {
                (byte..=self.source[i + 2]).for_each(|byte| insert(&mut set, byte));
                i += 3;
            } else {
                insert(&mut set, byte);
                i += 1;
            }
        }
        if negated {
            set = set.map(|word| !word);
        }
        self.at = end + 1;
        self.add_set(set)
    }

    fn single(&mut self) -> Result<Single, Malformed> {
        let byte = self.source[self.at];
        match byte {
            b'[' => return self.bracket().map(Single::Set),
            b'%' => {
                let letter = self.peek(1).ok_or(Malformed::Escape)?;
                self.at += 2;
                return match class_of(letter) {
                    Some(set) => self.add_set(set).map(Single::Set),
                    None => Ok(Single::Byte(letter)),
                };
            }
            _ => self.at += 1,
        }
        Ok(if byte == b'.' { Single::Any } else { Single::Byte(byte) })
    }

    fn item(&mut self) -> Result<Item, Malformed> {
        let item = match (self.source[self.at], self.peek(1)) {
            (b'(', Some(b')')) => {
                self.at += 2;
                Item::Position
            }
            (b'(', _) => {
                self.at += 1;
                Item::Open
            }
            (b')', _) => {
                self.at += 1;
                Item::Close
            }
            (b'$', None) => {
                self.at += 1;
                Item::EndAnchor
            }
            (b'%', Some(b'b')) => {
                let (Some(open), Some(close)) = (self.peek(2), self.peek(3)) else {
                    return Err(Malformed::Balance);
                };
                self.at += 4;
                Item::Balance(open, close)
            }
            (b'%', Some(b'f')) => {
                if self.peek(2) != Some(b'[') {
                    return Err(Malformed::Frontier);
                }
                self.at += 2;
                Item::Frontier(self.bracket()?)
            }
            (b'%', Some(digit @ b'0'..=b'9')) => {
                self.at += 2;
                Item::Back(digit.wrapping_sub(b'1'))
            }
            _ => {
                let single = self.single()?;
                let suffix = match self.peek(0) {
                    Some(b'?') => Item::Optional,
                    Some(b'*') => Item::Star,
                    Some(b'+') => Item::Plus,
                    Some(b'-') => Item::Lazy,
                    _ => return Ok(Item::One(single)),
                };
                self.at += 1;
                suffix(single)
            }
        };
        Ok(item)
    }
}

impl Pattern {
    /// Compiles a pattern in which a `^` at the beginning is an anchor.
    pub fn new(source: &[u8]) -> Pattern {
        match source {
            [b'^', rest @ ..] => Pattern { anchored: true, ..Pattern::unanchored(rest) },
            _ => Pattern::unanchored(source),
        }
    }

    /// Compiles a pattern in which a `^` at the beginning is an ordinary character (`string.gmatch`).
    pub fn unanchored(source: &[u8]) -> Pattern {
        let pattern = Pattern { items: SmallVec::new(), sets: SmallVec::new(), anchored: false };
        let mut compiler = Compiler { source, at: 0, pattern };
        while compiler.at < source.len() {
            match compiler.item() {
                Ok(item) => compiler.pattern.items.push(item),
                Err(malformed) => {
                    compiler.pattern.items.push(Item::Bad(malformed));
                    return compiler.pattern;
                }
            }
        }
        compiler.pattern.items.push(Item::Done);
        compiler.pattern
    }

    /// Whether it matches at the beginning only.
    pub fn anchored(&self) -> bool {
        self.anchored
    }

    /// The byte that every match begins with, if there is one.
    fn first_byte(&self) -> Option<u8> {
        // With more captures than can be, the complaint must come though no byte fits.
        match *self.items.iter().take(MAX_CAPTURES).find(|item| !matches!(item, Item::Open | Item::Position))? {
            Item::One(Single::Byte(byte)) | Item::Plus(Single::Byte(byte)) => Some(byte),
            _ => None,
        }
    }
}

/// Whether the pattern has a character that means more than itself.
pub fn has_specials(pattern: &[u8]) -> bool {
    pattern.iter().any(|byte| b"^$*+?.([%-".contains(byte))
}

/// Where `needle` first stands in `subject` at or after `from` (which is at most the length).
pub fn find_plain(subject: &[u8], needle: &[u8], from: usize) -> Option<usize> {
    let place = match needle {
        [byte] => memchr(*byte, &subject[from..]),
        _ => memmem::find(&subject[from..], needle),
    };
    place.map(|place| place + from)
}

/// A pattern at work on a subject; after a match it knows the captures.
pub struct Matcher<'a> {
    subject: &'a [u8],
    pattern: &'a Pattern,
    captures: SmallVec<[(usize, Extent); MAX_CAPTURES]>,
    depth: u32,
    steps: usize,
    go_on: &'a mut dyn FnMut() -> bool,
}

impl<'a> Matcher<'a> {
    /// `go_on` is the hook of I3: `false` ends the match with [`Fault::Interrupted`].
    pub fn new(subject: &'a [u8], pattern: &'a Pattern, go_on: &'a mut dyn FnMut() -> bool) -> Matcher<'a> {
        Matcher { subject, pattern, captures: SmallVec::new(), depth: 0, steps: 0, go_on }
    }

    /// The first match that begins at or after `from` (at most the length of the subject).
    pub fn search(&mut self, from: usize) -> Result<Option<Range<usize>>, Fault> {
        if self.pattern.anchored {
            return Ok(self.match_at(from)?.map(|end| from..end));
        }
        let first = self.pattern.first_byte();
        let mut start = from;
        while start <= self.subject.len() {
            if let Some(byte) = first {
                match memchr(byte, &self.subject[start..]) {
                    Some(place) => start += place,
                    None => return Ok(None),
                }
            }
            if let Some(end) = self.match_at(start)? {
                return Ok(Some(start..end));
            }
            start += 1;
        }
        Ok(None)
    }

    /// The end of the match that begins at `start`.
    pub fn match_at(&mut self, start: usize) -> Result<Option<usize>, Fault> {
        self.captures.clear();
        self.depth = 0;
        self.run(start, 0)
    }

    /// How many values a match gives: its captures, or the whole match if it has none.
    pub fn values(&self) -> usize {
        self.captures.len().max(1)
    }

    /// Capture `index` (from 0) of the last match, which was `whole`; without captures, number 0 is the whole match.
    pub fn capture(&self, index: usize, whole: &Range<usize>) -> Result<Capture, Fault> {
        match self.captures.get(index) {
            None if index == 0 => Ok(Capture::Text(whole.clone())),
            None => Err(bad_index(index + 1)),
            Some((_, Extent::Unfinished)) => Err(Fault::error("unfinished capture")),
            Some((start, Extent::Position)) => Ok(Capture::Position(start + 1)),
            Some((start, Extent::Length(length))) => Ok(Capture::Text(*start..start + length)),
        }
    }

    /// Appends the replacement text of `string.gsub` for the match `whole`.
    pub fn expand(&self, replacement: &[u8], whole: &Range<usize>, out: &mut Vec<u8>) -> Result<(), Fault> {
        let mut rest = replacement;
        while let Some(place) = memchr(b'%', rest) {
            out.extend_from_slice(&rest[..place]);
            match rest.get(place + 1) {
                Some(b'%') => out.push(b'%'),
                Some(b'0') => out.extend_from_slice(&self.subject[whole.clone()]),
                Some(digit @ b'1'..=b'9') => match self.capture(usize::from(digit - b'1'), whole)? {
                    Capture::Text(range) => out.extend_from_slice(&self.subject[range]),
                    Capture::Position(position) => super::format::push_integer(out, position as i64),
                },
                _ => return Err(Fault::error("invalid use of '%' in replacement string")),
            }
            rest = &rest[place + 2..];
        }
        out.extend_from_slice(rest);
        Ok(())
    }

    /// I3.
    fn spend(&mut self, steps: usize) -> Result<(), Fault> {
        self.steps += steps;
        if self.steps >= POLL_STEPS {
            self.steps = 0;
            if !(self.go_on)() {
                return Err(Fault::Interrupted);
            }
        }
        Ok(())
    }

    fn matches(&self, single: Single, at: usize) -> bool {
        self.subject.get(at).is_some_and(|&byte| match single {
            Single::Any => true,
            Single::Byte(expected) => byte == expected,
            Single::Set(set) => holds(&self.pattern.sets[usize::from(set)], byte),
        })
    }

    /// How many bytes from `at` on match.
    fn run_length(&self, single: Single, at: usize) -> usize {
        let rest = &self.subject[at..];
        let end = match single {
            Single::Any => None,
            Single::Byte(expected) => rest.iter().position(|&byte| byte != expected),
            Single::Set(set) => {
                let set = &self.pattern.sets[usize::from(set)];
                rest.iter().position(|&byte| !holds(set, byte))
            }
        };
        end.unwrap_or(rest.len())
    }

    /// Matches the items from `item` on at `at`: one level of recursion (I2).
    fn run(&mut self, mut at: usize, mut item: usize) -> Result<Option<usize>, Fault> {
        if self.depth == MAX_DEPTH {
            return Err(Fault::error("pattern too complex"));
        }
        self.depth += 1;
        let end = loop {
            self.spend(1)?;
            let pattern = self.pattern;
            match pattern.items[item] {
                Item::Done => break Some(at),
                Item::One(single) => {
                    if !self.matches(single, at) {
                        break None;
                    }
                    at += 1;
                }
                Item::Optional(single) => {
                    if self.matches(single, at)
                        && let Some(end) = self.run(at + 1, item + 1)?
                    {
                        break Some(end);
                    }
                }
                Item::Star(single) => break self.longest(single, at, 0, item + 1)?,
                Item::Plus(single) => break self.longest(single, at, 1, item + 1)?,
                Item::Lazy(single) => break self.shortest(single, at, item + 1)?,
                Item::Open => break self.open(Extent::Unfinished, at, item + 1)?,
                Item::Position => break self.open(Extent::Position, at, item + 1)?,
                Item::Close => {
                    let innermost = self.captures.iter().rposition(|(_, extent)| matches!(extent, Extent::Unfinished));
                    let Some(level) = innermost else {
                        return Err(Fault::error("invalid pattern capture"));
                    };
                    self.captures[level].1 = Extent::Length(at - self.captures[level].0);
                    let end = self.run(at, item + 1)?;
                    if end.is_none() {
                        self.captures[level].1 = Extent::Unfinished;
                    }
                    break end;
                }
                Item::Back(index) => match self.again(index, at)? {
                    Some(end) => at = end,
                    None => break None,
                },
                Item::Balance(open, close) => match self.balance(open, close, at)? {
                    Some(end) => at = end,
                    None => break None,
                },
                Item::Frontier(set) => {
                    let set = &pattern.sets[usize::from(set)];
                    let before = if at == 0 { 0 } else { self.subject[at - 1] };
                    let after = self.subject.get(at).copied().unwrap_or(0);
                    if holds(set, before) || !holds(set, after) {
                        break None;
                    }
                }
                Item::EndAnchor => break (at == self.subject.len()).then_some(at),
                Item::Bad(malformed) => return Err(Fault::error(malformed.message())),
            }
            item += 1;
        };
        self.depth -= 1;
        Ok(end)
    }

    /// As many of `single` as possible, at least `least`, then the items from `next` on.
    fn longest(&mut self, single: Single, at: usize, least: usize, next: usize) -> Result<Option<usize>, Fault> {
        let mut count = self.run_length(single, at);
        self.spend(count)?;
        if count < least {
            return Ok(None);
        }
        // What must come next is looked at before the recursion.
        let pattern = self.pattern;
        let needed = match pattern.items[next] {
            Item::Done => return Ok(Some(at + count)),
            Item::One(needed @ (Single::Byte(_) | Single::Set(_))) => Some(needed),
            _ => None,
        };
        loop {
            self.spend(1)?;
            if needed.is_none_or(|needed| self.matches(needed, at + count))
                && let Some(end) = self.run(at + count, next)?
            {
                return Ok(Some(end));
            }
            if count == least {
                return Ok(None);
            }
            count -= 1;
        }
    }

    /// As few of `single` as possible, then the items from `next` on.
    fn shortest(&mut self, single: Single, mut at: usize, next: usize) -> Result<Option<usize>, Fault> {
        let needed = match self.pattern.items[next] {
            Item::One(needed) => Some(needed),
            _ => None,
        };
        loop {
            self.spend(1)?;
            if needed.is_none_or(|needed| self.matches(needed, at))
                && let Some(end) = self.run(at, next)?
            {
                return Ok(Some(end));
            }
            if !self.matches(single, at) {
                return Ok(None);
            }
            at += 1;
        }
    }

    fn open(&mut self, extent: Extent, at: usize, next: usize) -> Result<Option<usize>, Fault> {
        if self.captures.len() == MAX_CAPTURES {
            return Err(Fault::error("too many captures"));
        }
        self.captures.push((at, extent));
        let end = self.run(at, next)?;
        if end.is_none() {
            self.captures.pop();
        }
        Ok(end)
    }

    /// The text of an earlier capture once more.
    fn again(&mut self, index: u8, at: usize) -> Result<Option<usize>, Fault> {
        match self.captures.get(usize::from(index)) {
            None | Some((_, Extent::Unfinished)) => Err(bad_index(usize::from(index.wrapping_add(1)))),
            // A position has no text that could come again.
            Some((_, Extent::Position)) => Ok(None),
            Some(&(start, Extent::Length(length))) => {
                self.spend(length)?;
                let same = self.subject[at..].starts_with(&self.subject[start..start + length]);
                Ok(same.then_some(at + length))
            }
        }
    }

    fn balance(&mut self, open: u8, close: u8, at: usize) -> Result<Option<usize>, Fault> {
        if self.subject.get(at) != Some(&open) {
            return Ok(None);
        }
        let mut nested = 1usize;
        for (i, &byte) in self.subject[at + 1..].iter().enumerate() {
            if byte == close {
                nested -= 1;
                if nested == 0 {
                    self.spend(i)?;
                    return Ok(Some(at + i + 2));
                }
            } else if byte == open {
                nested += 1;
            }
        }
        self.spend(self.subject.len() - at)?;
        Ok(None)
    }
}

#[cold]
fn bad_index(index: usize) -> Fault {
    Fault::composed(format!("invalid capture index %{index}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(subject: &str, pattern: &str) -> Result<Option<Vec<String>>, Fault> {
        let compiled = Pattern::new(pattern.as_bytes());
        let mut go_on = || true;
        let mut matcher = Matcher::new(subject.as_bytes(), &compiled, &mut go_on);
        let Some(whole) = matcher.search(0)? else { return Ok(None) };
        let values = (0..matcher.values()).map(|i| {
            Ok(match matcher.capture(i, &whole)? {
                Capture::Text(range) => subject[range].to_string(),
                Capture::Position(position) => position.to_string(),
            })
        });
        values.collect::<Result<_, _>>().map(Some)
    }

    #[track_caller]
    fn gives(subject: &str, pattern: &str, expected: &[&str]) {
        let expected: Vec<String> = expected.iter().map(|text| text.to_string()).collect();
        assert_eq!(texts(subject, pattern), Ok(Some(expected)), "{subject:?} {pattern:?}");
    }

    #[track_caller]
    fn fails(subject: &str, pattern: &str, message: &str) {
        assert_eq!(texts(subject, pattern).expect_err("an error").message(), message, "{subject:?} {pattern:?}");
    }

    #[test]
    fn items_and_suffixes() {
        gives("alo", "", &[""]);
        gives("aaab", "a*", &["aaa"]);
        gives("aaab", "^.*$", &["aaab"]);
        gives("baaab", "a+b", &["aaab"]);
        gives("aaab", "a-b", &["aaab"]);
        gives("aXb", "a%u?b", &["aXb"]);
        gives("ab", "a%u?b", &["ab"]);
        gives("hello world", "o w", &["o w"]);
        gives("a$a", "a$a", &["a$a"]);
        gives("x^y", "x^y", &["x^y"]);
        gives("0123456789", "(.+(.?)())", &["0123456789", "", "11"]);
        gives("alo xyzK", "(%w+)K", &["xyz"]);
        assert_eq!(texts("aaa", "^.-b"), Ok(None));
        assert_eq!(texts("aaa", "a-$b"), Ok(None));
    }

    #[test]
    fn sets() {
        gives("a]b", "[]]", &["]"]);
        gives("a-b", "[a-]+", &["a-"]);
        gives("x-y", "[%w-]+", &["x-y"]);
        gives("^a", "[a^]+", &["^a"]);
        gives("]^", "[^a]+", &["]^"]);
        gives("%d7", "[%%%d]+", &["%"]);
        gives("q7%", "[^%D]", &["7"]);
        gives("\u{b}\t x", "%s+", &["\u{b}\t "]);
        gives("héllo", "[\u{80}-\u{ff}]*llo", &["éllo"]);
    }

    #[test]
    fn captures_references_balance_frontier() {
        gives("hello \"world's\" x", "([\"'])(.-)%1", &["\"", "world's"]);
        gives("f(a(b)c) d)", "%b()", &["(a(b)c)"]);
        gives("THE (quick) fox", "%f[%a]%a+%f[%A]", &["THE"]);
        gives("aba", "%f[%z]", &[""]);
        gives("alo alo", "^(((.).).* (%w*))$", &["alo alo", "al", "a", "alo"]);
        gives("  flaws", "()%a", &["3"]);
        assert_eq!(texts("aa", "()%1"), Ok(None));
    }

    #[test]
    fn errors_in_the_words_of_the_reference() {
        fails("a", "%", "malformed pattern (ends with '%')");
        fails("a", "[a", "malformed pattern (missing ']')");
        fails("a", "[]", "malformed pattern (missing ']')");
        fails("a", "[^]", "malformed pattern (missing ']')");
        fails("a", "[a%]", "malformed pattern (missing ']')");
        fails("a", "[a%", "malformed pattern (missing ']')");
        fails("a", "%b", "malformed pattern (missing arguments to '%b')");
        fails("a", "%ba", "malformed pattern (missing arguments to '%b')");
        fails("a", "%f", "missing '[' after '%f' in pattern");
        fails("a", ")", "invalid pattern capture");
        fails("a", "(a", "unfinished capture");
        fails("a", "%1", "invalid capture index %1");
        fails("a", "(a%1)", "invalid capture index %1");
        fails("a", "a%0", "invalid capture index %0");
        fails("b", &"(".repeat(33), "too many captures");
        // I1: nobody complains of what is not reached.
        assert_eq!(texts("b", "a["), Ok(None));
        assert_eq!(texts("b", "a)"), Ok(None));
    }

    #[test]
    fn depth_is_bounded() {
        gives(&"a".repeat(199), &"a?".repeat(199), &[&"a".repeat(199)]);
        fails(&"a".repeat(300), &"a?".repeat(300), "pattern too complex");
        // Long runs need no depth.
        let long = "a".repeat(300_000);
        gives(&long, ".-b?$", &[&long]);
        gives(&long, "^a*$", &[&long]);
    }

    #[test]
    fn a_bomb_can_be_stopped() {
        let pattern = Pattern::new(format!("{}b", "a*".repeat(30)).as_bytes());
        let subject = "a".repeat(200);
        let mut polls = 0;
        let mut go_on = || {
            polls += 1;
            polls < 5
        };
        let result = Matcher::new(subject.as_bytes(), &pattern, &mut go_on).search(0);
        assert_eq!(result, Err(Fault::Interrupted));
    }

    #[test]
    fn replacements() {
        let replace = |subject: &str, pattern: &str, replacement: &str| {
            let compiled = Pattern::new(pattern.as_bytes());
            let mut go_on = || true;
            let mut matcher = Matcher::new(subject.as_bytes(), &compiled, &mut go_on);
            let whole = matcher.search(0)?.expect("a match");
            let mut out = Vec::new();
            matcher.expand(replacement.as_bytes(), &whole, &mut out)?;
            Ok::<_, Fault>(String::from_utf8(out).expect("text"))
        };
        assert_eq!(replace("hello world", "(%w+) (%w+)", "%2 %1 %% %0"), Ok("world hello % hello world".into()));
        assert_eq!(replace("abc", "b", "<%1>"), Ok("<b>".into()));
        assert_eq!(replace("abc", "()b", "%1"), Ok("2".into()));
        assert_eq!(replace("abc", "b", "%2").unwrap_err().message(), "invalid capture index %2");
        assert_eq!(replace("abc", "b", "%x").unwrap_err().message(), "invalid use of '%' in replacement string");
        assert_eq!(replace("abc", "b", "%").unwrap_err().message(), "invalid use of '%' in replacement string");
    }

    #[test]
    fn plain_search() {
        assert_eq!(find_plain(b"abcabc", b"ca", 0), Some(2));
        assert_eq!(find_plain(b"abcabc", b"a", 1), Some(3));
        assert_eq!(find_plain(b"abc", b"", 3), Some(3));
        assert_eq!(find_plain(b"abc", b"d", 0), None);
        assert!(has_specials(b"a.b") && !has_specials(b"a b]"));
    }
}
