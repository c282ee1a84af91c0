//! What names mean while a program is compiled: scopes, keywords, macros, and which of two names that a macro has made different is meant.
//!
//! A name that a macro puts in is an *alias* of the name in its template: a symbol of its own, so what it binds captures no name of the program, and no binding of
//! the program captures it. One that is bound nowhere as itself means what its original means in the scope of the macro.
//!
//! Not hygienic are: a global definition whose name a macro puts in defines the original name (two uses of the macro define the same variable); and a global
//! variable or keyword that a program defines anew has its new meaning in all macros of the program, too. The macros of the prelude are immune to that. `...`, `_`,
//! `unquote` and `unquote-splicing` are known by their names, whatever they are bound to; and in a body a macro is expanded before the definitions behind it are known.
//!
//! Imports `value`, `machine`.

use super::machine::{Answer, Vm};
use super::value::{Identifier, Object, Symbol, Value};
use neap_gc::arena::{Gc, GcVec, Lock, Trace};
use std::cell::Cell;

/// The forms that the compiler knows.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Core {
    Quote,
    Quasiquote,
    If,
    Define,
    Set,
    Lambda,
    Let,
    LetStar,
    Letrec,
    LetrecStar,
    Begin,
    And,
    Or,
    DefineSyntax,
    LetSyntax,
    LetrecSyntax,
    SyntaxRules,
}

pub const CORES: [(&str, Core); 17] = [
    ("quote", Core::Quote),
    ("quasiquote", Core::Quasiquote),
    ("if", Core::If),
    ("define", Core::Define),
    ("set!", Core::Set),
    ("lambda", Core::Lambda),
    ("let", Core::Let),
    ("let*", Core::LetStar),
    ("letrec", Core::Letrec),
    ("letrec*", Core::LetrecStar),
    ("begin", Core::Begin),
    ("and", Core::And),
    ("or", Core::Or),
    ("define-syntax", Core::DefineSyntax),
    ("let-syntax", Core::LetSyntax),
    ("letrec-syntax", Core::LetrecSyntax),
    ("syntax-rules", Core::SyntaxRules),
];

/// Where variables are while a program is compiled.
#[derive(Trace)]
pub struct Scope<'gc> {
    pub outer: Option<Gc<'gc, Scope<'gc>>>,
    /// How many vectors of variables there are from the outermost to this. (A scope without variables has none of its own.)
    pub level: Cell<u32>,
    pub entries: GcVec<'gc, Entry<'gc>>,
}

#[derive(Clone, Copy, Trace)]
pub struct Entry<'gc> {
    pub name: Identifier<'gc>,
    pub meaning: Meaning<'gc>,
}

#[derive(Clone, Copy, Trace)]
pub enum Meaning<'gc> {
    /// Its place, and whether it may be looked at before it has a value.
    Variable(u32, bool),
    Macro(Gc<'gc, Object<'gc>>),
}

/// The rules of a `syntax-rules`.
#[derive(Clone, Copy, Trace)]
pub struct Macro<'gc> {
    pub literals: Value<'gc>,
    pub rules: Value<'gc>,
    pub ellipsis: Identifier<'gc>,
    pub scope: Option<Gc<'gc, Scope<'gc>>>,
    /// It is of the prelude: what its templates name is looked up when it is expanded as the prelude has it.
    pub sealed: bool,
}

pub type Place<'gc> = Option<Gc<'gc, Scope<'gc>>>;

/// What a name means somewhere.
#[derive(Clone, Copy)]
pub enum Found<'gc> {
    Variable { scope: Gc<'gc, Scope<'gc>>, place: u32, checked: bool },
    Macro(Gc<'gc, Object<'gc>>),
    Global(Identifier<'gc>),
}

impl<'gc> Scope<'gc> {
    pub fn new(vm: &Vm<'gc>, outer: Place<'gc>, level: u32) -> Answer<'gc, Gc<'gc, Scope<'gc>>> {
        let entries = GcVec::try_new(vm.mc)?;
        Ok(vm.mc.try_alloc(Scope { outer, level: Cell::new(level), entries })?)
    }
    /// What a name means in this scope itself.
    pub fn own(&self, name: Identifier<'gc>) -> Option<Meaning<'gc>> {
        self.entries.iter().find(|entry| entry.name == name).map(|entry| entry.meaning)
    }
}

pub fn level(scope: Place<'_>) -> u32 {
    scope.map_or(0, |scope| scope.level.get())
}

pub fn find<'gc>(mut name: Identifier<'gc>, mut scope: Place<'gc>) -> Found<'gc> {
    loop {
        while let Some(at) = scope {
            match at.own(name) {
                Some(Meaning::Variable(place, checked)) => return Found::Variable { scope: at, place, checked },
                Some(Meaning::Macro(object)) => return Found::Macro(object),
                None => scope = at.outer,
            }
        }
        match name.alias {
            Some((original, of)) => (name, scope) = (original, of),
            None => return Found::Global(name),
        }
    }
}

/// Whether two names mean the same, each where it stands.
pub fn same<'gc>(a: Identifier<'gc>, at: Place<'gc>, b: Identifier<'gc>, bt: Place<'gc>) -> bool {
    match (find(a, at), find(b, bt)) {
        (Found::Variable { scope: x, place: m, .. }, Found::Variable { scope: y, place: n, .. }) => x == y && m == n,
        (Found::Macro(x), Found::Macro(y)) => x == y,
        (Found::Global(x), Found::Global(y)) => x == y,
        _ => false,
    }
}

/// The symbol that was written.
pub fn original(mut name: Identifier<'_>) -> Identifier<'_> {
    while let Some((of, _)) = name.alias {
        name = of;
    }
    name
}

pub fn alias<'gc>(vm: &Vm<'gc>, name: Identifier<'gc>, scope: Place<'gc>) -> Answer<'gc, Identifier<'gc>> {
    Ok(vm.mc.try_alloc(Symbol {
        name: name.name,
        global: Lock::new(Value::Undefined),
        standard: Lock::new(Value::Undefined),
        inlined: Cell::new(false),
        defined: Cell::new(false),
        alias: Some((name, scope)),
    })?)
}
