//! The state of the generator of programs: which variables are in scope and of what kind, and what is allowed where.
//! Imports `dice`.

use super::dice::Dice;

/// What a variable or an expression is meant to hold. Programs may break the promise: then they raise errors, which are
/// compared like everything else.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Int,
    Float,
    Str,
    Bool,
    /// A sequence without holes.
    Array,
    /// A table with string keys.
    Record,
    /// A table with a metatable.
    Object,
    /// A metatable.
    Meta,
    Func,
    Any,
}

pub const KINDS: [Kind; 8] = [Kind::Int, Kind::Float, Kind::Str, Kind::Bool, Kind::Array, Kind::Record, Kind::Object, Kind::Func];

/// A variable in scope.
pub struct Var {
    pub name: String,
    pub kind: Kind,
    pub constant: bool,
}

/// A label to go to.
#[derive(Clone)]
pub struct Label {
    pub name: String,
    /// Whether locals may be declared between it and a `goto` before it, in its block.
    pub behind_locals: bool,
}

/// The generator.
pub struct Gen<'a> {
    pub dice: &'a mut Dice,
    pub vars: Vec<Var>,
    names: usize,
    /// How many statements may still be made.
    pub budget: usize,
    /// How deep statements are nested here.
    pub depth: usize,
    /// Whether `break` is allowed here.
    pub in_loop: bool,
    /// Whether `...` is.
    pub has_varargs: bool,
    /// Whether this may run in a coroutine.
    pub in_coroutine: bool,
    /// The labels at the ends of the loops around, in this function.
    pub labels: Vec<Label>,
}

impl<'a> Gen<'a> {
    pub fn new(dice: &'a mut Dice, budget: usize) -> Gen<'a> {
        Gen {
            dice,
            vars: Vec::new(),
            names: 0,
            budget,
            depth: 0,
            in_loop: false,
            has_varargs: true,
            in_coroutine: false,
            labels: Vec::new(),
        }
    }

    /// A name that is not in use yet, or now and then one that is.
    pub fn name(&mut self, prefix: &str) -> String {
        if self.dice.chance(5)
            && let Some(at) = self.dice.below(self.vars.len() + 1).checked_sub(1)
        {
            return self.vars[at].name.clone();
        }
        self.unique(prefix)
    }

    pub fn unique(&mut self, prefix: &str) -> String {
        self.names += 1;
        format!("{prefix}{}", self.names)
    }

    pub fn declare(&mut self, name: &str, kind: Kind) {
        self.vars.push(Var { name: name.to_owned(), kind, constant: false });
    }

    pub fn declare_constant(&mut self, name: &str, kind: Kind) {
        self.vars.push(Var { name: name.to_owned(), kind, constant: true });
    }

    /// The name of a variable of a kind.
    pub fn var(&mut self, kind: Kind) -> Option<String> {
        self.find(kind, |_| true)
    }

    /// The name of a variable that can be assigned to.
    pub fn target(&mut self, kind: Kind) -> Option<String> {
        self.find(kind, |var| !var.constant)
    }

    fn find(&mut self, kind: Kind, fits: impl Fn(&Var) -> bool) -> Option<String> {
        let visible = |i: &usize| {
            let var = &self.vars[*i];
            // A later variable of the name hides this one.
            (kind == Kind::Any || var.kind == kind) && fits(var) && !self.vars[i + 1..].iter().any(|other| other.name == var.name)
        };
        let places: Vec<usize> = (0..self.vars.len()).filter(visible).collect();
        if places.is_empty() {
            return None;
        }
        let place = places[self.dice.below(places.len())];
        Some(self.vars[place].name.clone())
    }

    pub fn kind(&mut self) -> Kind {
        self.dice.pick(&KINDS)
    }

    /// Runs `make` in a block: what it declares is gone afterwards.
    pub fn scoped<T>(&mut self, make: impl FnOnce(&mut Self) -> T) -> T {
        let count = self.vars.len();
        self.depth += 1;
        let made = make(self);
        self.depth -= 1;
        self.vars.truncate(count);
        made
    }

    /// Runs `make` in the scope of a to-be-closed variable. A `goto` out of it to a label behind later locals is none: Lua 5.4.8 forgets to close
    /// the variable.
    pub fn in_closing<T>(&mut self, make: impl FnOnce(&mut Self) -> T) -> T {
        let before = self.labels.clone();
        self.labels.retain(|label| !label.behind_locals);
        let made = make(self);
        self.labels = before;
        made
    }

    /// Runs `make` in the body of a function.
    pub fn in_function<T>(&mut self, varargs: bool, make: impl FnOnce(&mut Self) -> T) -> T {
        let before = (self.in_loop, self.has_varargs, std::mem::take(&mut self.labels));
        (self.in_loop, self.has_varargs) = (false, varargs);
        let made = self.scoped(make);
        (self.in_loop, self.has_varargs, self.labels) = before;
        made
    }
}
