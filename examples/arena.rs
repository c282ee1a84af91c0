//! A small Lisp on the arena face of `neap_gc`: closures, recursion, a cyclic environment, and garbage of both kinds, in safe Rust.
//!
//!     cargo run --release --example arena
//!
//! 1. Types say what they refer to by `#[derive(Trace)]`. A [`Gc`] is one word and `Copy`; what changes stands in a lock, or in a collection on the heap.
//! 2. Everything happens in mutations: [`Arena::mutate`] hands out the root and a handle to allocate with. Behind each the heap may work for a moment.
//! 3. What the program keeps between mutations stands in the root, or in a [`DynamicRoot`].

#![forbid(unsafe_code)]

use neap_gc::arena::{Arena, Config, DynamicRoot, Gc, GcHashMap, Mutation, Rootable, Trace};
use neap_gc::observe::Cause;
use std::hash::{Hash, Hasher};
use std::iter::Peekable;
use std::str::SplitWhitespace;

/// A value: a word and a tag.
#[derive(Clone, Copy, Trace, Rootable)]
enum Value<'gc> {
    Nil,
    Number(i64),
    Symbol(Name<'gc>),
    Pair(Gc<'gc, (Value<'gc>, Value<'gc>)>),
    Function(Gc<'gc, Function<'gc>>),
    Builtin(#[trace(static)] fn(&[i64]) -> i64),
}

/// A string that is compared by its text.
#[derive(Clone, Copy, Trace, Rootable)]
struct Name<'gc>(Gc<'gc, str>);

impl PartialEq for Name<'_> {
    fn eq(&self, other: &Self) -> bool {
        *self.0 == *other.0
    }
}
impl Eq for Name<'_> {}
impl Hash for Name<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (*self.0).hash(state);
    }
}

/// Variables, and those around them.
#[derive(Trace, Rootable)]
struct Scope<'gc> {
    variables: GcHashMap<'gc, Name<'gc>, Value<'gc>>,
    outer: Option<Gc<'gc, Scope<'gc>>>,
}

#[derive(Trace, Rootable)]
struct Function<'gc> {
    parameters: Value<'gc>,
    body: Value<'gc>,
    scope: Gc<'gc, Scope<'gc>>,
}

type Result<'gc, T = Value<'gc>> = std::result::Result<T, String>;

impl<'gc> Scope<'gc> {
    fn new(mc: &Mutation<'gc>, outer: Option<Gc<'gc, Scope<'gc>>>) -> Gc<'gc, Scope<'gc>> {
        mc.alloc(Scope { variables: GcHashMap::new(mc), outer })
    }
    fn get(&self, name: Name<'gc>) -> Result<'gc> {
        match (self.variables.get(&name), self.outer) {
            (Some(value), _) => Ok(value),
            (None, Some(outer)) => outer.get(name),
            (None, None) => Err(format!("{} is not known", name.0)),
        }
    }
}

// ---- reading

type Words<'a> = Peekable<SplitWhitespace<'a>>;

fn read<'gc>(mc: &Mutation<'gc>, words: &mut Words) -> Result<'gc> {
    match words.next() {
        None => Err("the text ends".to_string()),
        Some("(") => {
            let mut items = Vec::new();
            while words.next_if_eq(&")").is_none() {
                items.push(read(mc, words)?);
            }
            Ok(items.into_iter().rev().fold(Value::Nil, |rest, item| Value::Pair(mc.alloc((item, rest)))))
        }
        Some(word) => Ok(word.parse().map_or_else(|_| Value::Symbol(Name(mc.alloc_str(word))), Value::Number)),
    }
}

// ---- evaluating

fn items<'gc>(list: Value<'gc>) -> impl Iterator<Item = Value<'gc>> {
    let mut at = list;
    std::iter::from_fn(move || match at {
        Value::Pair(pair) => {
            at = pair.1;
            Some(pair.0)
        }
        _ => None,
    })
}

fn eval<'gc>(mc: &Mutation<'gc>, scope: Gc<'gc, Scope<'gc>>, expression: Value<'gc>) -> Result<'gc> {
    let pair = match expression {
        Value::Symbol(name) => return scope.get(name),
        Value::Pair(pair) => pair,
        constant => return Ok(constant),
    };
    let operands: Vec<_> = items(pair.1).collect();
    match (pair.0, operands.as_slice()) {
        (Value::Symbol(word), &[Value::Symbol(name), value]) if *word.0 == *"define" => {
            let value = eval(mc, scope, value)?;
            scope.variables.insert(mc, name, value);
            Ok(value)
        }
        (Value::Symbol(word), &[parameters, body]) if *word.0 == *"lambda" => {
            // It refers to its scope, which will refer to it, if it is defined there: a cycle.
            Ok(Value::Function(mc.alloc(Function { parameters, body, scope })))
        }
        (Value::Symbol(word), &[condition, yes, no]) if *word.0 == *"if" => {
            let holds = !matches!(eval(mc, scope, condition)?, Value::Nil | Value::Number(0));
            eval(mc, scope, if holds { yes } else { no })
        }
        (function, _) => {
            let function = eval(mc, scope, function)?;
            let operands = operands.into_iter().map(|operand| eval(mc, scope, operand)).collect::<Result<Vec<_>>>()?;
            apply(mc, function, &operands)
        }
    }
}

fn apply<'gc>(mc: &Mutation<'gc>, function: Value<'gc>, operands: &[Value<'gc>]) -> Result<'gc> {
    match function {
        Value::Function(function) => {
            let scope = Scope::new(mc, Some(function.scope));
            for (parameter, operand) in items(function.parameters).zip(operands) {
                let Value::Symbol(name) = parameter else { return Err("a parameter is a name".to_string()) };
                scope.variables.insert(mc, name, *operand);
            }
            eval(mc, scope, function.body)
        }
        Value::Builtin(function) => {
            let number =
                |value: &Value| if let Value::Number(number) = value { Ok(*number) } else { Err("not a number".to_string()) };
            Ok(Value::Number(function(&operands.iter().map(number).collect::<Result<Vec<_>>>()?)))
        }
        _ => Err("not a function".to_string()),
    }
}

/// Runs a text in the outermost scope; its last value, if that is a number.
fn run(arena: &mut Arena<Gc<'static, Scope<'static>>>, text: &str) -> Result<'static, i64> {
    let spaced = text.replace('(', " ( ").replace(')', " ) ");
    let mut words: Words = spaced.split_whitespace().peekable();
    let mut last = Err("nothing to run".to_string());
    while words.peek().is_some() {
        // A mutation for each expression: between them the heap may work.
        last = arena.mutate(|mc, scope| {
            let expression = read(mc, &mut words)?;
            match eval(mc, *scope, expression)? {
                Value::Number(number) => Ok(number),
                _ => Ok(0),
            }
        });
        if last.is_err() {
            break;
        }
    }
    last
}

fn main() -> Result<'static, ()> {
    let config = Config { limit_bytes: 64 << 20, ..Config::default() };
    let mut arena = Arena::<Gc<Scope>>::with_config(config, |mc| {
        let scope = Scope::new(mc, None);
        let builtin = |name, function| scope.variables.insert(mc, Name(mc.alloc_str(name)), Value::Builtin(function));
        builtin("+", |numbers| numbers.iter().sum());
        builtin("-", |numbers| numbers[0] - numbers[1..].iter().sum::<i64>());
        builtin("<", |numbers| i64::from(numbers.is_sorted_by(|a, b| a < b)));
        scope
    });

    let fib = "(define fib (lambda (n) (if (< n 2) n (+ (fib (- n 1)) (fib (- n 2))))))";
    assert_eq!(run(&mut arena, &format!("{fib} (fib 20)"))?, 6765);

    // A function that makes one with a cycle, thousands of times. The last of them is kept.
    run(&mut arena, "(define make (lambda (n) (define self (lambda (y) (+ n y)))))")?;
    for n in 0..50_000 {
        assert_eq!(run(&mut arena, &format!("(define last (make {n})) (last 1)"))?, n + 1);
    }

    // An object that Rust data keeps, over mutations and collections.
    let held: DynamicRoot<Scope> = arena.mutate(|mc, scope| mc.hold(*scope));
    arena.collect_cycles();
    arena.mutate(|mc, scope| assert!(mc.fetch(&held) == *scope));
    arena.audit().map_err(|error| error.to_string())?;

    let (counters, stops) = (arena.counters(), arena.pauses().summary(Cause::Stop));
    assert!(arena.used_bytes() < 1 << 20, "{} bytes in use", arena.used_bytes());
    assert!(counters.cyclic_objects > 0, "no cycle has survived an epoch");
    println!(
        "{} objects allocated, {} died young, {} by counting, {} in cycles",
        counters.allocated_objects, counters.young_objects, counters.counted_objects, counters.cyclic_objects
    );
    println!(
        "{} stops, half of them below {} us, 99 % below {} us; {} KiB at most",
        stops.count,
        stops.p50_ns / 1000,
        stops.p99_ns / 1000,
        arena.peak_bytes() >> 10
    );
    Ok(())
}
