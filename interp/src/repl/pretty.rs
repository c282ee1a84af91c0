//! Values as people read them: tables with what is in them, strings as literals, everything short enough for a screen.
//!
//! It is done in two steps. First a value is taken apart, down to limits, and nothing of the program runs; what `__tostring` is to say is put
//! on the stack. Then those are asked, protected, one by one.
//!
//! * **P1** While a value is taken apart there is no safepoint: what is read stays valid (V1), and tables don't change underneath.
//! * **P2** What waits for its `__tostring` stands on the stack, which roots it.
//! * **P3** Once the user has pressed Ctrl-C nobody is asked any more.
//! * **P4** Time and text are bounded by [`Limits`], but for one look at each entry of a table that is shown; every cycle ends in
//!   `<cycle>`.
//!
//! May import the machine, values, `syntax`, `layout`, `text`, `signals`.

use super::layout::{Doc, Entry, Painter};
use crate::cli::colour::Colour;
use crate::cli::signals::interrupted;
use crate::cli::text::{prefix, push_quoted, push_shown};
use crate::syntax::is_name;
use crate::value::{Gc, NumberBuffer, Outcome, Table, Tag, Value, number_text};
use crate::vm::{Args, Event, Throw, Vm, ready};
use std::cmp::Ordering;

/// How much is shown.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Tables in tables.
    pub depth: usize,
    /// Entries of one table: of its list, and of the rest.
    pub entries: usize,
    /// Entries of all tables together.
    pub total: usize,
    /// Bytes of a string.
    pub string: usize,
    /// Bytes of a string in a table.
    pub inner_string: usize,
    /// Values in a row.
    pub values: usize,
}

impl Limits {
    pub const SCREEN: Limits = Limits { depth: 4, entries: 100, total: 400, string: 4000, inner_string: 200, values: 50 };
}

/// What is known of the screen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Screen {
    pub columns: usize,
    pub colour: bool,
}

impl Screen {
    /// If nobody knows better.
    pub const COLUMNS: usize = 80;
}

/// The lines that show some values, which stand on the stack from `first` to its top.
pub fn show(vm: &mut Vm, first: usize, limits: &Limits, screen: Screen) -> String {
    let top = vm.mark();
    let count = top - first;
    let mut docs: Vec<Doc> = (first..top).take(limits.values).map(|place| take_apart(vm, place, limits)).collect();
    if count > limits.values {
        docs.push(Doc::leaf(format!("… {} more", count - limits.values), Colour::Dim));
    }
    let mut out = Painter { text: String::new(), columns: screen.columns.max(20), colour: screen.colour };
    // Short values stand in one line as `print` would have them.
    let one_line = docs.iter().all(|doc| doc.fits(screen.columns / docs.len().max(1)));
    for (i, doc) in docs.iter().enumerate() {
        if i > 0 {
            out.text.push(if one_line { '\t' } else { '\n' });
        }
        doc.write(&mut out, 0, 0);
    }
    out.text
}

/// What a value on the stack looks like.
fn take_apart(vm: &mut Vm, place: usize, limits: &Limits) -> Doc {
    let mark = vm.mark();
    let value = vm.at(place);
    let mut parts = Parts { limits, path: Vec::new(), left: limits.total, waiting: 0 };
    let part = parts.part(vm, value, limits.string);
    let doc = part.finish(vm, mark, limits);
    vm.pop_to(mark);
    doc
}

/// A value taken apart, but for what `__tostring` says.
enum Part {
    Done(Doc),
    /// The value waits on the stack, so many places above the mark.
    Waits(usize),
    Braces(String, Vec<(Option<String>, Part)>),
}

struct Parts<'l> {
    limits: &'l Limits,
    /// The tables that the one at hand is in.
    path: Vec<Gc<Table>>,
    /// Entries that may still be shown.
    left: usize,
    waiting: usize,
}

impl Parts<'_> {
    fn part(&mut self, vm: &mut Vm, value: Value, string_limit: usize) -> Part {
        let leaf = |text: String, colour| Part::Done(Doc::leaf(text, colour));
        // Strings and numbers are shown as what they are, even if somebody has given them a `__tostring`.
        match value.tag() {
            Tag::NIL | Tag::FALSE | Tag::TRUE => leaf(plain_text(value), Colour::Constant),
            Tag::INT | Tag::FLOAT => leaf(plain_text(value), Colour::Number),
            Tag::STR => {
                let bytes = value.as_str().map_or(&b""[..], |text| text.bytes());
                let shown = prefix(bytes, string_limit);
                let mut text = String::new();
                push_quoted(&mut text, shown);
                if shown.len() < bytes.len() {
                    text.push_str(&format!(" … ({} bytes)", bytes.len()));
                }
                leaf(text, Colour::Str)
            }
            _ if !vm.metamethod(value, Event::ToString).is_nil() => match vm.push(value) {
                // P2.
                Ok(()) => {
                    self.waiting += 1;
                    Part::Waits(self.waiting - 1)
                }
                Err(_) => {
                    let _ = vm.take_error();
                    leaf(address_text(vm, value), Colour::Dim)
                }
            },
            Tag::TABLE => match value.as_table() {
                Some(table) => self.table(vm, table),
                None => leaf(address_text(vm, value), Colour::Dim),
            },
            _ => leaf(address_text(vm, value), Colour::Dim),
        }
    }

    fn table(&mut self, vm: &mut Vm, table: Gc<Table>) -> Part {
        if self.path.contains(&table) {
            return Part::Done(Doc::leaf("<cycle>", Colour::Dim));
        }
        let mut name = String::new();
        if let Some(given) = vm.metamethod(Value::table(table), Event::Name).as_str() {
            push_shown(&mut name, prefix(given.bytes(), self.limits.inner_string), false);
        }
        let note = |text: String| (None, Part::Done(Doc::leaf(text, Colour::Dim)));
        if self.path.len() >= self.limits.depth || self.left == 0 {
            let is_empty = table.next_entry(&mut vm.heap, 0).is_none();
            return Part::Braces(name, if is_empty { Vec::new() } else { vec![note("…".into())] });
        }
        self.path.push(table);
        let mut entries = Vec::new();
        let length = list_length(vm, table);
        let shown = length.min(self.limits.entries).min(self.left);
        self.left -= shown;
        for i in 1..=shown {
            let value = table.get_int(&mut vm.heap, i as i64);
            entries.push((None, self.part(vm, value, self.limits.inner_string)));
        }
        if shown < length {
            entries.push(note(format!("… {} more", length - shown)));
        }
        let (keyed, others) = first_keys(vm, table, length, self.limits.entries.min(self.left));
        self.left -= keyed.len();
        for (key, value) in keyed {
            let key = self.key(vm, key);
            entries.push((Some(key), self.part(vm, value, self.limits.inner_string)));
        }
        if others > 0 {
            entries.push(note(format!("… {others} more")));
        }
        self.path.pop();
        Part::Braces(name, entries)
    }

    fn key(&self, vm: &mut Vm, key: Value) -> String {
        let mut text = String::from("[");
        match key.as_str().map(|name| name.bytes()) {
            Some(name) if is_name(name) && name.len() <= self.limits.inner_string => {
                return String::from_utf8_lossy(name).into_owned();
            }
            Some(name) => {
                let shown = prefix(name, self.limits.inner_string);
                push_quoted(&mut text, shown);
                text.push_str(if shown.len() < name.len() { "…" } else { "" });
            }
            None if key.is_ref() || key.tag() == Tag::LIGHT => text.push_str(&address_text(vm, key)),
            None => text.push_str(&plain_text(key)),
        }
        text.push(']');
        text
    }
}

impl Part {
    /// Asks what waits above the mark.
    fn finish(self, vm: &mut Vm, mark: usize, limits: &Limits) -> Doc {
        match self {
            Part::Done(doc) => doc,
            // P3.
            Part::Waits(number) if interrupted() => {
                let value = vm.at(mark + number);
                Doc::leaf(address_text(vm, value), Colour::Dim)
            }
            Part::Waits(number) => match told_text(vm, mark + number) {
                Ok(bytes) => {
                    let shown = prefix(&bytes, limits.string);
                    let mut text = String::new();
                    push_shown(&mut text, shown, true);
                    if shown.len() < bytes.len() {
                        text.push_str(&format!(" … ({} bytes)", bytes.len()));
                    }
                    Doc::leaf(text, Colour::Plain)
                }
                Err(message) => {
                    let mut text = String::from("<error in __tostring: ");
                    push_shown(&mut text, prefix(&message, limits.inner_string), false);
                    text.push('>');
                    Doc::leaf(text, Colour::Error)
                }
            },
            Part::Braces(name, entries) => {
                let entries = entries.into_iter().map(|(key, part)| Entry { key, value: part.finish(vm, mark, limits) });
                Doc::Braces { name, entries: entries.collect() }
            }
        }
    }
}

/// Nil, a boolean or a number.
fn plain_text(value: Value) -> String {
    match value.tag() {
        Tag::FALSE => "false".into(),
        Tag::TRUE => "true".into(),
        Tag::INT | Tag::FLOAT => String::from_utf8_lossy(number_text(value, &mut NumberBuffer::new())).into_owned(),
        _ => "nil".into(),
    }
}

/// `type: address`, without asking the value itself.
fn address_text(vm: &mut Vm, value: Value) -> String {
    let mut text = String::new();
    if !vm.metamethod(value, Event::ToString).is_nil() {
        return format!("{}: {:#x}", value.type_name(), value.bits());
    }
    match vm.plain_text(value) {
        // There is nothing to call: no safepoint (P1).
        Ok(address) => push_shown(&mut text, address.bytes(), false),
        Err(_) => {
            let _ = vm.take_error();
            text.push_str(value.type_name());
        }
    }
    text
}

/// What `tostring` says of a value on the stack, or the message of the error that it met.
pub fn told_text(vm: &mut Vm, place: usize) -> Result<Vec<u8>, Vec<u8>> {
    fn tostring(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
        let value = vm.arg(args, 0);
        let text = ready!(vm.tostring(value, told));
        vm.ret1(text)
    }
    fn told(_: &mut Vm, _: Args, _: Outcome) -> Result<u32, Throw> {
        Ok(1)
    }
    fn as_it_is(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
        let error = vm.arg(args, 0);
        vm.ret1(error)
    }
    let told = vm.new_native("tostring", tostring, &[]).and_then(|f| {
        let value = vm.at(place);
        vm.call_with_handler(f, &[value], as_it_is)
    });
    match told {
        Ok(texts) => Ok(texts.first().and_then(|text| text.as_str()).map_or(Vec::new(), |text| text.bytes().to_vec())),
        Err(_) => {
            let error = vm.take_error();
            match vm.coerce_to_str(error) {
                Ok(Some(message)) => Err(message.bytes().to_vec()),
                _ => Err(format!("error object is a {} value", error.type_name()).into_bytes()),
            }
        }
    }
}

/// How many values stand at 1, 2, 3 and so on.
fn list_length(vm: &mut Vm, table: Gc<Table>) -> usize {
    let mut length = 0;
    while !table.get_int(&mut vm.heap, length as i64 + 1).is_nil() {
        length += 1;
    }
    length
}

/// The first entries that are not in the list, in the order of their keys, and how many there are more.
fn first_keys(vm: &mut Vm, table: Gc<Table>, length: usize, count: usize) -> (Vec<(Value, Value)>, usize) {
    let mut kept: Vec<(Value, Value)> = Vec::new();
    let order = |a: &(Value, Value), b: &(Value, Value)| compare(a.0, b.0);
    let (mut all, mut at) = (0, 0);
    while let Some((next, key, value)) = table.next_entry(&mut vm.heap, at) {
        at = next;
        if key.as_int().is_some_and(|i| (1..=length as i64).contains(&i)) {
            continue;
        }
        all += 1;
        kept.push((key, value));
        // The least of them are kept.
        if kept.len() >= 2 * count + 16 {
            kept.sort_unstable_by(order);
            kept.truncate(count);
        }
    }
    kept.sort_unstable_by(order);
    kept.truncate(count);
    let others = all - kept.len();
    (kept, others)
}

/// Numbers by value, then strings by their bytes, then the rest by type.
fn compare(a: Value, b: Value) -> Ordering {
    let rank = |v: Value| match v.tag() {
        Tag::INT | Tag::FLOAT => 0,
        Tag::STR => 1,
        Tag::FALSE | Tag::TRUE => 2,
        _ => 3,
    };
    let by_kind = || match (a.as_str(), b.as_str()) {
        (Some(a), Some(b)) => a.bytes().cmp(b.bytes()),
        _ => match (a.as_int(), b.as_int(), a.as_float(), b.as_float()) {
            (Some(a), Some(b), ..) => a.cmp(&b),
            (_, _, Some(a), Some(b)) => a.total_cmp(&b),
            (Some(a), _, _, Some(b)) => compare_mixed(a, b),
            (_, Some(b), Some(a), _) => compare_mixed(b, a).reverse(),
            _ => a.tag().0.cmp(&b.tag().0).then(a.bits().cmp(&b.bits())),
        },
    };
    rank(a).cmp(&rank(b)).then_with(by_kind)
}

/// An integer and a float that is none, as a key of a table.
fn compare_mixed(i: i64, f: f64) -> Ordering {
    // Beyond the integers the conversion gives the nearest one.
    if i < f.ceil() as i64 || f >= 9223372036854775808.0 { Ordering::Less } else { Ordering::Greater }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine() -> Vm {
        let config = neap_gc::Config { stress_cycle: 3, audit: 1, ..Default::default() };
        let mut vm = Vm::new(config).expect("memory");
        crate::stdlib::open_all(&mut vm).expect("libraries");
        vm
    }

    /// How the values that a program returns are shown.
    fn shown_within(code: &str, limits: &Limits, columns: usize, colour: bool) -> String {
        let mut vm = machine();
        let chunk = vm.load(code.as_bytes(), b"=x").expect("a program");
        let mark = vm.mark();
        vm.call_values(Value::closure(chunk), &[], -1).expect("no error");
        let text = show(&mut vm, mark, limits, Screen { columns, colour });
        // P2: nothing is left behind.
        vm.pop_to(mark);
        text
    }

    #[track_caller]
    fn check(code: &str, text: &str) {
        assert_eq!(shown_within(&format!("return {code}"), &Limits::SCREEN, 100, false), text, "{code}");
    }

    #[test]
    fn simple_values() {
        check("nil, true, 1, 1.0, -0.5, 1/0", "nil\ttrue\t1\t1.0\t-0.5\tinf");
        check("'a\\n\\xFF\\0\"', 'é'", r#""a\n\xFF\x00\""	"é""#);
        assert!(shown_within("return print", &Limits::SCREEN, 80, false).starts_with("function: "));
        assert!(shown_within("return io.stdout", &Limits::SCREEN, 80, false).starts_with("file (0x"));
    }

    #[test]
    fn tables() {
        check("{}", "{}");
        check("{1, 'x', {2}}", r#"{1, "x", {2}}"#);
        check(
            "{y = 1, x = 2, [10] = 3, [-1] = 4, [1.5] = 5, ['a b'] = 6, ['end'] = 7, [true] = 8}",
            r#"{[-1] = 4, [1.5] = 5, [10] = 3, ["a b"] = 6, ["end"] = 7, x = 2, y = 1, [true] = 8}"#,
        );
        // A list ends at its first hole.
        check("{1, nil, 3, n = 3}", "{1, [3] = 3, n = 3}");
        check(
            "{[2^53] = 1, [1e300] = 2, [-1e300] = 3, [math.maxinteger] = 4}",
            "{[-1e+300] = 3, [9007199254740992] = 1, [9223372036854775807] = 4, [1e+300] = 2}",
        );
    }

    #[test]
    fn cycles_and_repetitions() {
        let cycle = shown_within("local t = {1} t.t = t t.u = {t} return t", &Limits::SCREEN, 80, false);
        assert_eq!(cycle, "{1, t = <cycle>, u = {<cycle>}}");
        // What is only repeated is no cycle.
        assert_eq!(shown_within("local t = {} return {t, t}", &Limits::SCREEN, 80, false), "{{}, {}}");
    }

    #[test]
    fn limits() {
        let few = Limits { depth: 2, entries: 3, total: 5, string: 4, inner_string: 2, values: 2 };
        let check = |code: &str, text: &str| assert_eq!(shown_within(code, &few, 200, false), text, "{code}");
        check("return {{{1}, {}}}", "{{{…}, {}}}");
        check("return {1, 2, 3, 4, 5}", "{1, 2, 3, … 2 more}");
        check("return {a = 1, b = 2, c = 3, d = 4}", "{a = 1, b = 2, c = 3, … 1 more}");
        check("return {{1, 2, 3}, {4, 5, 6}}", "{{1, 2, 3}, {…}}");
        check("return 'abcdef', 1", "\"abcd\" … (6 bytes)\t1");
        check("return {'abc', ['x y z'] = 1}", "{\"ab\" … (3 bytes), [\"x \"…] = 1}");
        check("return 1, 2, 3, 4", "1\t2\t… 2 more");
        // The first keys of many are the least ones.
        let many = "local t = {} for i = 1, 1000 do t['k' .. 1000 + i] = i end return t";
        let shown = shown_within(many, &Limits { inner_string: 9, ..few }, 200, false);
        assert_eq!(shown, "{k1001 = 1, k1002 = 2, k1003 = 3, … 997 more}");
        // Time and text are bounded where tables are not.
        let code = "local t = {} for i = 1, 60 do t = {t, t} end return t";
        assert!(shown_within(code, &Limits::SCREEN, 80, false).len() < 2000);
        let code = "local t = {} for i = 1, 1000 do t = {t} end return t";
        assert_eq!(shown_within(code, &Limits::SCREEN, 80, false), "{{{{{…}}}}}");
    }

    #[test]
    fn many_lines() {
        let code = "return {name = 'a long name', list = {1, 2, 3}, inner = {x = 'another long text', y = 2}}";
        let lines =
            "{\n  inner = {\n    x = \"another long text\",\n    y = 2\n  },\n  list = {1, 2, 3},\n  name = \"a long name\"\n}";
        assert_eq!(shown_within(code, &Limits::SCREEN, 30, false), lines);
    }

    #[test]
    fn tostring_and_name() {
        let told = "setmetatable({1}, {__tostring = function(t) return 'one ' .. t[1] end})";
        check(told, "one 1");
        check(&format!("{{a = {told}}}"), "{a = one 1}");
        check("setmetatable({1}, {__name = 'Point'})", "Point {1}");
        check("setmetatable({1}, {__name = 5})", "{1}");
        check("setmetatable({}, {__tostring = function() return 'a\\27[31m\\xFF' end})", "a\\x1B[31m\\xFF");
        check("setmetatable({}, {__tostring = function() error('no', 0) end})", "<error in __tostring: no>");
        check(
            "setmetatable({}, {__tostring = function() error({}) end})",
            "<error in __tostring: error object is a table value>",
        );
        check("setmetatable({}, {__tostring = function() return 1 end})", "1");
        let wrong = shown_within("return setmetatable({}, {__tostring = function() return {} end})", &Limits::SCREEN, 80, false);
        assert_eq!(wrong, "<error in __tostring: '__tostring' must return a string>");
        // It may do what it likes to what is shown, also with a collection at every step.
        let code =
            "local t = {} local m = {__tostring = function() for k in pairs(t) do t[k] = nil end collectgarbage() return 'x' end}
                    for i = 1, 5 do t[i] = setmetatable({}, m) end t[6] = {7} return t";
        assert_eq!(shown_within(code, &Limits::SCREEN, 80, false), "{x, x, x, x, x, {7}}");
        // Nothing else is run.
        let code = "local function f() error('run') end
                    return setmetatable({1}, {__index = f, __len = f, __pairs = f, __eq = f, __lt = f, __call = f})";
        assert_eq!(shown_within(code, &Limits::SCREEN, 80, false), "{1}");
        assert_eq!(
            shown_within("debug.setmetatable(1, {__tostring = function() return 'no' end}) return 1", &Limits::SCREEN, 80, false),
            "1"
        );
    }

    #[test]
    fn colours() {
        let text = shown_within("return {1, 'a', x = nil, y = true}", &Limits::SCREEN, 80, true);
        assert_eq!(text, "{\x1b[33m1\x1b[0m, \x1b[32m\"a\"\x1b[0m, y = \x1b[36mtrue\x1b[0m}");
    }
}
