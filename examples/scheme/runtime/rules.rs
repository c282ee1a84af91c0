//! `syntax-rules`: matching a use of a macro, and making what it stands for.
//!
//! Patterns and templates may be nested as deep as any form that the compiler takes; the limit is checked by whoever recurses.
//!
//! Imports `syntax`, `value`, `machine`, `compile` for the limit.

use super::compile::NESTED;
use super::machine::{Answer, Vm};
use super::syntax::{self, Found, Macro, Place};
use super::value::{Identifier, Value};
use neap_gc::arena::Lock;
use std::rc::Rc;

/// What a variable of a pattern stands for.
#[derive(Clone)]
enum Bound<'gc> {
    One(Value<'gc>),
    /// The matches, each with all the variables of its turn.
    Many(Rc<Vec<Bindings<'gc>>>),
}
type Bindings<'gc> = Vec<(Identifier<'gc>, Bound<'gc>)>;

struct Expansion<'m, 'gc> {
    rules: &'m Macro<'gc>,
    /// Where it is used.
    scope: Place<'gc>,
    aliases: Vec<(Identifier<'gc>, Value<'gc>)>,
}

/// What a use of a macro stands for.
pub fn expand<'gc>(vm: &Vm<'gc>, rules: &Macro<'gc>, form: Value<'gc>, scope: Place<'gc>) -> Answer<'gc> {
    let mut expansion = Expansion { rules, scope, aliases: Vec::new() };
    let Some((_, operands)) = form.uncons() else { return Err(vm.error("no use of a macro", &[form])) };
    for rule in rules.rules.elements() {
        let Some((pattern, template)) = rule.uncons() else { continue };
        let (Some((_, pattern)), Some((template, Value::Nil))) = (pattern.uncons(), template.uncons()) else {
            return Err(vm.error("a rule is a pattern and a template", &[rule]));
        };
        let mut bindings = Vec::new();
        if expansion.matches(vm, pattern, operands, &mut bindings, 0)? {
            return expansion.make(vm, template, &bindings, true, 0);
        }
    }
    Err(vm.error("no rule of the macro matches", &[super::compile::plain(vm, form, 0)?]))
}

impl<'gc> Expansion<'_, 'gc> {
    fn is_ellipsis(&self, value: Value<'gc>) -> bool {
        matches!(value, Value::Symbol(name) if syntax::original(name) == syntax::original(self.rules.ellipsis) && !self.is_literal(name))
    }
    fn is_literal(&self, name: Identifier<'gc>) -> bool {
        self.rules.literals.elements().any(|literal| literal.symbol() == Some(name))
    }

    fn matches(
        &self,
        vm: &Vm<'gc>,
        pattern: Value<'gc>,
        form: Value<'gc>,
        bindings: &mut Bindings<'gc>,
        depth: u32,
    ) -> Answer<'gc, bool> {
        if depth > NESTED {
            return Err(vm.error("a pattern is nested too deep", &[]));
        }
        let (mut pattern, mut form) = (pattern, form);
        loop {
            match pattern {
                Value::Symbol(name) if self.is_literal(name) => {
                    let Value::Symbol(used) = form else { return Ok(false) };
                    return Ok(syntax::same(used, self.scope, name, self.rules.scope));
                }
                Value::Symbol(name) => {
                    if &*syntax::original(name).name != "_" {
                        bindings.push((name, Bound::One(form)));
                    }
                    return Ok(true);
                }
                Value::Pair(pair) => {
                    if let Some((ellipsis, behind)) = pair.cdr.get().uncons()
                        && self.is_ellipsis(ellipsis)
                    {
                        return self.matches_many(vm, pair.car.get(), behind, form, bindings, depth);
                    }
                    let Some((first, rest)) = form.uncons() else { return Ok(false) };
                    if !self.matches(vm, pair.car.get(), first, bindings, depth + 1)? {
                        return Ok(false);
                    }
                    (pattern, form) = (pair.cdr.get(), rest);
                }
                Value::Vector(vector) => {
                    let Value::Vector(elements) = form else { return Ok(false) };
                    pattern = vm.list(vector.iter().map(Lock::get))?;
                    form = vm.list(elements.iter().map(Lock::get))?;
                }
                constant => return Ok(super::equal::equal(constant, form)),
            }
        }
    }

    /// `repeated ... behind`
    fn matches_many(
        &self,
        vm: &Vm<'gc>,
        repeated: Value<'gc>,
        behind: Value<'gc>,
        form: Value<'gc>,
        bindings: &mut Bindings<'gc>,
        depth: u32,
    ) -> Answer<'gc, bool> {
        let count = |list: Value<'gc>| list.elements().take(1 << 28).count();
        let Some(many) = count(form).checked_sub(count(behind)) else { return Ok(false) };
        let (mut rest, mut all) = (form, Vec::new());
        for _ in 0..many {
            let Some((first, others)) = rest.uncons() else { return Ok(false) };
            let mut own = Vec::new();
            if !self.matches(vm, repeated, first, &mut own, depth + 1)? {
                return Ok(false);
            }
            all.push(own);
            rest = others;
        }
        let all = Rc::new(all);
        for name in self.variables(vm, repeated, depth + 1)? {
            bindings.push((name, Bound::Many(all.clone())));
        }
        self.matches(vm, behind, rest, bindings, depth + 1)
    }

    fn variables(&self, vm: &Vm<'gc>, pattern: Value<'gc>, depth: u32) -> Answer<'gc, Vec<Identifier<'gc>>> {
        if depth > NESTED {
            return Err(vm.error("a pattern is nested too deep", &[]));
        }
        let (mut found, mut rest) = (Vec::new(), pattern);
        loop {
            match rest {
                Value::Pair(pair) => {
                    found.extend(self.variables(vm, pair.car.get(), depth + 1)?);
                    rest = pair.cdr.get();
                }
                Value::Vector(vector) => {
                    for element in &*vector {
                        found.extend(self.variables(vm, element.get(), depth + 1)?);
                    }
                    return Ok(found);
                }
                Value::Symbol(name) => {
                    if !self.is_literal(name) && !self.is_ellipsis(rest) {
                        found.push(name);
                    }
                    return Ok(found);
                }
                _ => return Ok(found),
            }
        }
    }

    /// `ellipsis`: whether it means repetition here.
    fn make(&mut self, vm: &Vm<'gc>, template: Value<'gc>, bindings: &Bindings<'gc>, ellipsis: bool, depth: u32) -> Answer<'gc> {
        if depth > NESTED {
            return Err(vm.error("a template is nested too deep", &[]));
        }
        match template {
            Value::Symbol(name) => match bindings.iter().rev().find(|(bound, _)| *bound == name) {
                Some((_, Bound::One(value))) => Ok(*value),
                Some((_, Bound::Many(_))) => Err(vm.error("what stands for many needs an ellipsis", &[template])),
                None => self.alias(vm, name),
            },
            Value::Pair(pair) => {
                let first = pair.car.get();
                if ellipsis && self.is_ellipsis(first) {
                    // (... template)
                    return match pair.cdr.get().uncons() {
                        Some((escaped, Value::Nil)) => self.make(vm, escaped, bindings, false, depth + 1),
                        _ => Err(vm.error("an ellipsis has nothing to repeat", &[])),
                    };
                }
                let (mut made, mut rest) = (Vec::new(), template);
                while let Some((part, mut behind)) = rest.uncons() {
                    let mut repetitions = 0;
                    while let Some((next, others)) = behind.uncons()
                        && ellipsis
                        && self.is_ellipsis(next)
                    {
                        repetitions += 1;
                        behind = others;
                    }
                    if repetitions == 0 {
                        made.push(self.make(vm, part, bindings, ellipsis, depth + 1)?);
                    } else {
                        self.repeat(vm, part, bindings, repetitions, &mut made, depth + 1)?;
                    }
                    rest = behind;
                }
                let mut list = if let Value::Nil = rest { rest } else { self.make(vm, rest, bindings, ellipsis, depth + 1)? };
                for &element in made.iter().rev() {
                    list = vm.cons(element, list)?;
                }
                Ok(list)
            }
            Value::Vector(vector) => {
                let list = vm.list(vector.iter().map(Lock::get))?;
                let made: Vec<_> = self.make(vm, list, bindings, ellipsis, depth + 1)?.elements().collect();
                Ok(Value::Vector(vm.mc.try_alloc_slice_with(made.len(), |n| Lock::new(made[n]))?))
            }
            constant => Ok(constant),
        }
    }

    /// `part ...`, with so many ellipses.
    fn repeat(
        &mut self,
        vm: &Vm<'gc>,
        part: Value<'gc>,
        bindings: &Bindings<'gc>,
        repetitions: u32,
        made: &mut Vec<Value<'gc>>,
        depth: u32,
    ) -> Answer<'gc, ()> {
        if depth > NESTED {
            return Err(vm.error("a template is nested too deep", &[]));
        }
        let names = self.variables(vm, part, depth)?;
        let many = |name: &Identifier<'gc>| match bindings.iter().rev().find(|(bound, _)| bound == name) {
            Some((_, Bound::Many(all))) => Some(all.clone()),
            _ => None,
        };
        let lists: Vec<_> = names.iter().filter_map(many).collect();
        let Some(first) = lists.first() else { return Err(vm.error("nothing here stands for many", &[])) };
        if lists.iter().any(|list| list.len() != first.len()) {
            return Err(vm.error("what is repeated together has different lengths", &[]));
        }
        for n in 0..first.len() {
            let mut own = bindings.clone();
            for list in &lists {
                own.extend(list[n].iter().cloned());
            }
            if repetitions > 1 {
                self.repeat(vm, part, &own, repetitions - 1, made, depth + 1)?;
            } else {
                made.push(self.make(vm, part, &own, true, depth)?);
            }
        }
        Ok(())
    }

    /// What a name of the template becomes: one alias for all its places.
    fn alias(&mut self, vm: &Vm<'gc>, name: Identifier<'gc>) -> Answer<'gc> {
        if let Some((_, alias)) = self.aliases.iter().find(|(of, _)| *of == name) {
            return Ok(*alias);
        }
        let mut alias = None;
        if self.rules.sealed
            && let Found::Global(global) = syntax::find(name, self.rules.scope)
        {
            let value = if vm.machine.sealed.get() { global.global.get() } else { global.standard.get() };
            // The prelude's keywords and procedures, whatever their names mean to the program.
            if matches!(value, Value::Core(_)) || value.is_procedure() || value.as_macro().is_some() {
                alias = Some(value);
            }
        }
        let alias = match alias {
            Some(value) => value,
            None => Value::Symbol(syntax::alias(vm, name, self.rules.scope)?),
        };
        self.aliases.push((name, alias));
        Ok(alias)
    }
}
