//! How a name that is being typed may go on.
//!
//! * **C1** Nothing of the program runs: tables are read as they are, `__index` is followed where it is a table. There is no safepoint, so values may
//!   be held (V1).
//! * **C2** What is offered is sorted, each name once, and can stand in a program where it is put.
//! * **C3** The time is bounded, however large the tables are: beyond a number of entries no more are looked at.
//!
//! May import `syntax`, values and the machine (reading only).

use crate::syntax::{Class, Number, Span, is_name, keywords, parse_number, spans};
use crate::value::{Gc, Table, Value};
use crate::vm::{Event, Vm};

/// What may stand from a place of the text on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Completion {
    pub start: usize,
    pub names: Vec<String>,
}

/// How long a chain of `__index` may be, and one of fields in the text.
const CHAIN: usize = 50;

/// The ways in which a text that ends at the cursor can go on; `None` where no name can stand. At most so many entries are looked at (C3).
pub fn complete(vm: &mut Vm, text: &[u8], entries: usize) -> Option<Completion> {
    let spans: Vec<Span> = spans(text).collect();
    if spans.last().is_some_and(|last| last.open) {
        return None;
    }
    let mut tokens: Vec<Token> = Vec::new();
    for span in spans.iter().filter(|span| !matches!(span.class, Class::Space | Class::Comment)) {
        tokens.push(Token { class: span.class, text: &text[span.start..span.end] });
    }
    // The name at the cursor, perhaps an empty one.
    let start = match spans.last() {
        Some(last) if matches!(last.class, Class::Name | Class::Keyword | Class::Constant) => {
            tokens.pop();
            last.start
        }
        _ => text.len(),
    };
    let prefix = &text[start..];
    let before = spans.iter().rev().find(|span| span.end <= start);
    if before.is_some_and(|span| span.end == start && matches!(span.class, Class::Number | Class::Stray)) {
        return None;
    }
    let mut found = Found { prefix, names: Vec::new(), left: entries };
    match tokens.last().map(|token| token.text) {
        Some(mark @ (b"." | b":")) => {
            tokens.pop();
            let object = evaluate(vm, &tokens, CHAIN)?;
            members(vm, object, mark == b":", &mut found);
        }
        Some(b"...") => return None,
        // A value stands there already.
        _ if prefix.is_empty() && ends_operand(&tokens) => return None,
        _ => {
            let globals = Value::table(vm.globals());
            members(vm, globals, false, &mut found);
            if !prefix.is_empty() {
                keywords().for_each(|word| found.add(word.as_bytes()));
                names_in(&tokens).for_each(|name| found.add(name));
            }
        }
    }
    found.names.sort_unstable();
    found.names.dedup();
    let names = found.names.into_iter().filter_map(|name| String::from_utf8(name).ok());
    Some(Completion { start, names: names.collect() })
}

#[derive(Clone, Copy)]
struct Token<'t> {
    class: Class,
    text: &'t [u8],
}

struct Found<'t> {
    prefix: &'t [u8],
    names: Vec<Vec<u8>>,
    left: usize,
}

impl Found<'_> {
    fn add(&mut self, name: &[u8]) {
        if name.starts_with(self.prefix) {
            self.names.push(name.to_vec());
        }
    }
}

/// The names in a text that are no fields: local variables among them.
fn names_in<'t>(tokens: &[Token<'t>]) -> impl Iterator<Item = &'t [u8]> {
    let is_field = |i: usize| i > 0 && matches!(tokens[i - 1].text, b"." | b":");
    (0..tokens.len()).filter(move |&i| tokens[i].class == Class::Name && !is_field(i)).map(|i| tokens[i].text)
}

/// The value of the operand that the tokens end with, if it can be told without running anything: a global, a string in parentheses, and
/// fields of them by name or by literal, in a chain not longer than this.
fn evaluate(vm: &mut Vm, tokens: &[Token], chain: usize) -> Option<Value> {
    let chain = chain.checked_sub(1)?;
    let (&last, rest) = tokens.split_last()?;
    match last.text {
        b"]" => {
            let (literal, rest) = rest.split_last()?;
            let (bracket, rest) = rest.split_last()?;
            let key = literal_value(vm, *literal).filter(|_| bracket.text == b"[")?;
            let object = ends_operand(rest).then(|| evaluate(vm, rest, chain))??;
            Some(index(vm, object, key))
        }
        b")" => {
            let (literal, rest) = rest.split_last()?;
            let (bracket, rest) = rest.split_last()?;
            let value = literal_value(vm, *literal).filter(|value| value.is_str() && bracket.text == b"(")?;
            // Else it is the argument of a call.
            (!ends_operand(rest)).then_some(value)
        }
        name if last.class == Class::Name => {
            let key = Value::str(vm.intern(name).ok()?);
            match rest.split_last() {
                Some((mark, rest)) if mark.text == b"." => {
                    let object = evaluate(vm, rest, chain)?;
                    Some(index(vm, object, key))
                }
                // The result of a method nobody knows.
                Some((mark, _)) if mark.text == b":" => None,
                _ => {
                    let globals = Value::table(vm.globals());
                    Some(index(vm, globals, key))
                }
            }
        }
        _ => None,
    }
}

fn ends_operand(tokens: &[Token]) -> bool {
    tokens.last().is_some_and(|last| {
        matches!(last.class, Class::Name | Class::Str | Class::Number | Class::Constant)
            || matches!(last.text, b"]" | b")" | b"}")
    })
}

/// The value of a literal; of strings only those that stand for themselves.
fn literal_value(vm: &mut Vm, token: Token) -> Option<Value> {
    match token.class {
        Class::Number => parse_number(token.text).map(|number| match number {
            Number::Int(value) => Value::int(value),
            Number::Float(value) => Value::float(value),
        }),
        Class::Str => match token.text {
            [b'"' | b'\'', text @ .., _] if !text.contains(&b'\\') => Some(Value::str(vm.intern(text).ok()?)),
            _ => None,
        },
        _ => None,
    }
}

/// `object[key]`, as far as tables lead.
fn index(vm: &mut Vm, object: Value, key: Value) -> Value {
    each_table(vm, object, |vm, table| {
        let value = vm.raw_get(table, key);
        if value.is_nil() { None } else { Some(value) }
    })
    .unwrap_or(Value::NIL)
}

/// Adds the names of the fields of a value, or only those of what can be called.
fn members(vm: &mut Vm, object: Value, only_methods: bool, found: &mut Found) {
    each_table(vm, object, |vm, table| {
        let mut at = 0;
        while found.left > 0
            && let Some((next, key, value)) = table.next_entry(&mut vm.heap, at)
        {
            at = next;
            found.left -= 1;
            if let Some(name) = key.as_str().map(|name| name.bytes())
                && name.starts_with(found.prefix)
                && is_name(name)
                && (!only_methods || value.is_function() || !vm.metamethod(value, Event::Call).is_nil())
            {
                found.add(name);
            }
        }
        None::<()>
    });
}

/// Visits the tables in which a field of a value is looked for, until one has an answer (C1).
fn each_table<T>(vm: &mut Vm, mut object: Value, mut visit: impl FnMut(&mut Vm, Gc<Table>) -> Option<T>) -> Option<T> {
    let mut seen = Vec::new();
    while seen.len() < CHAIN {
        if let Some(table) = object.as_table() {
            if seen.contains(&table) {
                return None;
            }
            seen.push(table);
            if let Some(answer) = visit(vm, table) {
                return Some(answer);
            }
        }
        object = vm.metamethod(object, Event::Index);
        object.as_table()?;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: usize = 1 << 20;

    fn machine(setup: &str) -> Vm {
        let mut vm = Vm::new(neap_gc::Config::default()).expect("memory");
        crate::stdlib::open_all(&mut vm).expect("libraries");
        let chunk = vm.load(setup.as_bytes(), b"=setup").expect("a program");
        vm.call_protected(Value::closure(chunk), &[]).expect("no error");
        vm
    }

    #[track_caller]
    fn offers(vm: &mut Vm, text: &str, start: usize, names: &[&str]) {
        let names = names.iter().map(|name| name.to_string()).collect();
        assert_eq!(complete(vm, text.as_bytes(), ALL), Some(Completion { start, names }), "{text}");
    }

    #[track_caller]
    fn is_none(vm: &mut Vm, text: &str) {
        let offer = complete(vm, text.as_bytes(), ALL);
        assert!(offer.as_ref().is_none_or(|offer| offer.names.is_empty()), "{text}: {offer:?}");
    }

    #[test]
    fn globals_and_keywords() {
        let vm = &mut machine("printer = 1 _G['no name'] = 1 _G['end'] = 2");
        offers(vm, "prin", 0, &["print", "printer"]);
        offers(vm, "x = 1 + prin", 8, &["print", "printer"]);
        offers(vm, "whi", 0, &["while"]);
        offers(vm, "en", 0, &["end"]);
        offers(vm, "no", 0, &["not"]);
        offers(vm, "local table_of = {} ; tab", 22, &["table", "table_of"]);
        is_none(vm, "zzz");
        is_none(vm, "x = 'pri");
        is_none(vm, "-- pri");
        is_none(vm, "[[ pri");
        is_none(vm, "12pri");
        let all = complete(vm, b"", ALL).expect("globals");
        assert!(all.names.contains(&"string".to_owned()) && !all.names.contains(&"while".to_owned()));
        assert!(all.names.is_sorted());
    }

    #[test]
    fn fields() {
        let vm = &mut machine("a = {b = {c1 = 1, c2 = 2, [1] = {deep = 1}, ['x y'] = 3, d = 1}, n = {{inner = 1}}}");
        offers(vm, "a.b.c", 4, &["c1", "c2"]);
        offers(vm, "a.", 2, &["b", "n"]);
        offers(vm, "f(a . b . c", 10, &["c1", "c2"]);
        offers(vm, "a.n[1].", 7, &["inner"]);
        offers(vm, "a['b'].c", 7, &["c1", "c2"]);
        offers(vm, "_G.a.b.d", 7, &["d"]);
        offers(vm, "string.rev", 7, &["reverse"]);
        offers(vm, "x = {y = math.ma", 14, &["max", "maxinteger"]);
        for none in
            ["a.z.", "a.b.c1.", "a.b.zz", "nothing.x", "f().x", "a:b().x", "(a).", "1 .. pr.", "x...", "{a}.", "f'a'.", "a[b].c"]
        {
            is_none(vm, none);
        }
        offers(vm, "x..a.", 5, &["b", "n"]);
    }

    #[test]
    fn methods_are_what_can_be_called() {
        let vm = &mut machine(
            "s = 'text'
             callable = setmetatable({}, {__call = print})
             object = {f = print, v = 1, c = callable}",
        );
        offers(vm, "object:", 7, &["c", "f"]);
        offers(vm, "s:re", 2, &["rep", "reverse"]);
        offers(vm, "s.re", 2, &["rep", "reverse"]);
        offers(vm, "('abc'):upp", 8, &["upper"]);
        offers(vm, "io.stdout:set", 10, &["setvbuf"]);
        is_none(vm, "f('abc'):upp");
        is_none(vm, "object:f():");
    }

    #[test]
    fn index_is_followed_through_tables_and_never_called() {
        let vm = &mut machine(
            "ran = false
             local function run() ran = true return {} end
             base = {from_base = print, both = print}
             class = setmetatable({from_class = print, both = print}, {__index = base})
             class.__index = class
             object = setmetatable({own = print}, class)
             magic = setmetatable({plain = 1}, {__index = run, __newindex = run, __pairs = run, __len = run})
             loop = {l = 1} setmetatable(loop, {__index = loop})
             strict = setmetatable(_G, {__index = run})",
        );
        offers(vm, "object:", 7, &["both", "from_base", "from_class", "own"]);
        offers(vm, "object.from_b", 7, &["from_base"]);
        offers(vm, "magic.", 6, &["plain"]);
        is_none(vm, "magic.absent.");
        is_none(vm, "unknown.");
        offers(vm, "loop.", 5, &["l"]);
        let chunk = vm.load(b"assert(not ran)", b"=check").expect("a program");
        vm.call_protected(Value::closure(chunk), &[]).expect("nothing has run");
    }

    #[test]
    fn large_tables_are_not_looked_at_whole() {
        let vm = &mut machine("big = {} for i = 1, 1e5 do big['k' .. i] = i end");
        let some = complete(vm, b"big.", 1000).expect("names");
        assert_eq!(some.names.len(), 1000);
    }

    #[test]
    fn any_bytes_will_do() {
        let vm = &mut machine("a = {b = {}} a.b.b = a.b");
        is_none(vm, &format!("a{}.", ".b".repeat(100_000)));
        const BYTES: &[u8] = b"a.b:()['\"]1\xFF-={} \n";
        let mut state = 11u64;
        for round in 0..5000 {
            let text: Vec<u8> = (0..round % 12)
                .map(|_| {
                    state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                    BYTES[(state >> 40) as usize % BYTES.len()]
                })
                .collect();
            let offer = complete(vm, &text, ALL);
            assert!(offer.is_none_or(|offer| offer.start <= text.len() && offer.names.is_sorted()));
        }
    }
}
