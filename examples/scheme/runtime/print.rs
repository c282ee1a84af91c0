//! The printer: `write`, `write-shared`, `display`.
//!
//! What leads back into itself is printed with labels, `#0=(a . #0#)`; a first pass finds them. Neither pass recurses. What is not cyclic, but would be a text without end
//! for all purposes because its parts are shared many times, is refused.
//!
//! Imports `value`, `number`, `read` for the names of characters.

use super::equal::address;
use super::number::Number;
use super::read::CHARACTERS;
use super::value::{Closure, Condition, Fault, Object, Port, RecordProcedure, Value, text_of};
use neap_gc::arena::Gc;
use std::cell::Cell;
use std::collections::HashMap;
use std::fmt::Write;

/// The longest text.
const LONGEST: usize = 64 << 20;

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Style {
    Display,
    Write,
    /// All that is met twice gets a label.
    Shared,
}

/// What is still to be printed, the last first.
enum Task<'gc> {
    Value(Value<'gc>),
    /// What comes behind an element of a list.
    Tail(Value<'gc>),
    Text(&'static str),
}

/// The text of a value; `None` if that is too long.
pub fn print(value: Value<'_>, style: Style) -> Option<String> {
    let mut text = String::new();
    print_to(&mut text, value, style).then_some(text)
}

fn print_to(text: &mut String, value: Value<'_>, style: Style) -> bool {
    let mut labels = labels(value, style == Style::Shared);
    let mut numbered = 0;
    let mut open = vec![Task::Value(value)];
    while let Some(task) = open.pop() {
        if text.len() > LONGEST {
            return false;
        }
        let value = match task {
            Task::Text(part) => {
                text.push_str(part);
                continue;
            }
            Task::Tail(Value::Nil) => {
                text.push(')');
                continue;
            }
            Task::Tail(Value::Pair(pair)) if !labels.contains_key(&Gc::addr(pair)) => {
                text.push(' ');
                open.push(Task::Tail(pair.cdr.get()));
                pair.car.get()
            }
            Task::Tail(rest) => {
                text.push_str(" . ");
                open.push(Task::Text(")"));
                rest
            }
            Task::Value(value) => value,
        };
        if let Some(label) = address(value).and_then(|address| labels.get_mut(&address)) {
            if let Some(number) = *label {
                let _ = write!(text, "#{number}#");
                continue;
            }
            let _ = write!(text, "#{numbered}=");
            *label = Some(numbered);
            numbered += 1;
        }
        match value {
            Value::Pair(pair) => {
                text.push('(');
                open.push(Task::Tail(pair.cdr.get()));
                open.push(Task::Value(pair.car.get()));
            }
            Value::Vector(vector) => {
                text.push_str("#(");
                open.push(Task::Text(")"));
                for (n, value) in vector.iter().enumerate().rev() {
                    open.push(Task::Value(value.get()));
                    if n > 0 {
                        open.push(Task::Text(" "));
                    }
                }
            }
            Value::Object(object) => match Gc::to_ref(object) {
                Object::Record { of, fields } => {
                    text.push_str("#<");
                    open.push(Task::Text(">"));
                    for field in fields.iter().rev() {
                        open.push(Task::Value(field.get()));
                        open.push(Task::Text(" "));
                    }
                    if let Some(Object::RecordType { name, .. }) = super::equal::as_object(*of) {
                        open.push(Task::Value(*name));
                    }
                }
                Object::Values(values) => {
                    for (n, value) in values.iter().enumerate().rev() {
                        open.push(Task::Value(*value));
                        if n > 0 {
                            open.push(Task::Text(" "));
                        }
                    }
                }
                Object::Condition(condition) => {
                    let _ = write!(text, "#<condition {}>", condition_text(condition));
                }
                object => text.push_str(kind_of(object)),
            },
            atom => print_atom(text, atom, style),
        }
    }
    true
}

/// The objects that get labels.
fn labels(value: Value<'_>, shared: bool) -> HashMap<usize, Option<usize>> {
    enum Visit<'gc> {
        Enter(Value<'gc>),
        Leave(usize),
    }
    let mut labels = HashMap::new();
    // Whether it is being visited, or was.
    let mut visited: HashMap<usize, bool> = HashMap::new();
    let mut open = vec![Visit::Enter(value)];
    while let Some(visit) = open.pop() {
        let value = match visit {
            Visit::Leave(address) => {
                visited.insert(address, false);
                continue;
            }
            Visit::Enter(value) => value,
        };
        let parts: (Vec<Value<'_>>, Option<Value<'_>>) = match value {
            Value::Pair(pair) => (vec![pair.cdr.get()], Some(pair.car.get())),
            Value::Vector(vector) => (vector.iter().map(|value| value.get()).collect(), None),
            Value::Object(object) => match Gc::to_ref(object) {
                Object::Record { fields, .. } => (fields.iter().map(|value| value.get()).collect(), None),
                Object::Values(values) => (values.to_vec(), None),
                _ => continue,
            },
            _ => continue,
        };
        let Some(address) = address(value) else { continue };
        match visited.insert(address, true) {
            None => {
                open.push(Visit::Leave(address));
                open.extend(parts.0.into_iter().chain(parts.1).map(Visit::Enter));
            }
            Some(within) => {
                if within || shared {
                    labels.insert(address, None);
                }
                visited.insert(address, within);
            }
        }
    }
    labels
}

/// What a condition says, on one line.
pub fn condition_text(condition: &Condition<'_>) -> String {
    let mut text = match condition.message {
        Value::String(message) => text_of(message),
        message => print(message, Style::Write).unwrap_or_default(),
    };
    for irritant in condition.irritants.elements().take(100) {
        text.push(' ');
        // A condition in a condition would be one more level each.
        match irritant {
            Value::Object(object) if matches!(*object, Object::Condition(_)) => text.push_str("#<condition>"),
            irritant => {
                let printed = print(irritant, Style::Write).unwrap_or_else(|| "...".to_string());
                let end = printed.char_indices().nth(1000).map_or(printed.len(), |(end, _)| end);
                text.push_str(&printed[..end]);
            }
        }
    }
    text
}

fn kind_of(object: &Object<'_>) -> &'static str {
    match object {
        Object::Continuation(..) => "#<continuation>",
        Object::Dynamic(_) => "#<dynamic state>",
        Object::Parameter { .. } => "#<parameter>",
        Object::Promise(_) => "#<promise>",
        Object::EqualTable(_) | Object::EqvTable(_) => "#<hash table>",
        Object::RecordType { .. } => "#<record type>",
        Object::RecordProcedure(RecordProcedure::Constructor { .. }) => "#<constructor>",
        Object::RecordProcedure(_) => "#<procedure of a record>",
        Object::Macro(_) => "#<macro>",
        Object::Port(Port::Console) => "#<console>",
        Object::Port(_) => "#<port>",
        Object::WeakPair { .. } => "#<weak pair>",
        Object::Ephemeron(_) => "#<ephemeron>",
        Object::Values(_) | Object::Condition(_) | Object::Record { .. } => "#<object>",
    }
}

fn print_atom(text: &mut String, atom: Value<'_>, style: Style) {
    let quoted = style != Style::Display;
    match atom {
        Value::Nil => text.push_str("()"),
        Value::Unspecified => text.push_str("#<unspecified>"),
        Value::Undefined | Value::Scope(_) => text.push_str("#<undefined>"),
        Value::Eof => text.push_str("#<eof>"),
        Value::Boolean(truth) => text.push_str(if truth { "#t" } else { "#f" }),
        Value::Integer(number) => {
            let _ = write!(text, "{number}");
        }
        Value::Float(number) => text.push_str(&Number::Inexact(number).text(10)),
        Value::Char(character) if quoted => match CHARACTERS.iter().find(|(_, known)| *known == character) {
            Some((name, _)) => {
                let _ = write!(text, "#\\{name}");
            }
            None if character.is_control() => {
                let _ = write!(text, "#\\x{:x}", character as u32);
            }
            None => {
                let _ = write!(text, "#\\{character}");
            }
        },
        Value::Char(character) => text.push(character),
        Value::String(string) if quoted => {
            text.push('"');
            for character in string.iter().map(Cell::get) {
                print_escaped(text, character, '"');
            }
            text.push('"');
        }
        Value::String(string) => text.extend(string.iter().map(Cell::get)),
        Value::Symbol(symbol) => {
            let name = &*symbol.name;
            let plain = |c: char| !c.is_whitespace() && !matches!(c, '(' | ')' | '[' | ']' | '"' | ';' | '\'' | '|' | '`' | ',');
            let is_plain = !name.is_empty()
                && name != "."
                && !name.starts_with('#')
                && name.chars().all(plain)
                && Number::parse(name, 10).is_none();
            if is_plain || !quoted {
                text.push_str(name);
            } else {
                text.push('|');
                name.chars().for_each(|character| print_escaped(text, character, '|'));
                text.push('|');
            }
        }
        Value::Bytes(bytes) => {
            text.push_str("#u8(");
            for (n, byte) in bytes.iter().enumerate() {
                let _ = write!(text, "{}{}", if n == 0 { "" } else { " " }, byte.get());
            }
            text.push(')');
        }
        Value::Closure(closure) => print_closure(text, closure),
        Value::Primitive(primitive) => {
            let _ = write!(text, "#<procedure {}>", primitive.name);
        }
        Value::Core(_) => text.push_str("#<keyword>"),
        Value::Pair(_) | Value::Vector(_) | Value::Object(_) => {}
    }
}

fn print_escaped(text: &mut String, character: char, mark: char) {
    match character {
        '\n' => text.push_str("\\n"),
        '\t' => text.push_str("\\t"),
        '\r' => text.push_str("\\r"),
        '\\' => text.push_str("\\\\"),
        c if c == mark => text.extend(['\\', c]),
        c if c.is_control() => {
            let _ = write!(text, "\\x{:x};", c as u32);
        }
        c => text.push(c),
    }
}

fn print_closure<'gc>(text: &mut String, closure: Gc<'gc, Closure<'gc>>) {
    match closure.template.name {
        Some(name) => {
            let _ = write!(text, "#<procedure {}>", &*name.name);
        }
        None => text.push_str("#<procedure>"),
    }
}

/// What is said of an error that nobody has handled.
pub fn uncaught(value: Value<'_>) -> String {
    match super::equal::as_object(value) {
        Some(Object::Condition(condition)) => {
            let kind = if condition.kind == Fault::Reader { "syntax: " } else { "" };
            format!("{kind}{}", condition_text(condition))
        }
        _ => format!("raised: {}", print(value, Style::Write).unwrap_or_else(|| "...".to_string())),
    }
}
