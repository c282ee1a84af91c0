//! The compiler: forms to code, macros expanded on the way.
//!
//! It recurses as deep as forms are nested, up to a limit. All of a top-level form is compiled in one mutation.
//!
//! Imports `syntax`, `rules`, `code`, `machine`, `value`.

use super::code::{Code, Codes, Inits, Inlined, Node, SIMPLE_HEIGHT, Template};
use super::machine::{Answer, Trap, Vm};
use super::primitives::{Action, Primitive};
use super::rules;
use super::syntax::{self, Core, Entry, Found, Macro, Meaning, Place, Scope};
use super::value::{Identifier, Object, Symbol, Value};
use neap_gc::arena::{Gc, Lock, field};
use std::collections::VecDeque;

/// How deep forms may be nested, after expansion too.
pub const NESTED: u32 = 5_000;
/// Macros that one top-level form may expand.
const EXPANSIONS: u32 = 1_000_000;

struct Compiler<'v, 'gc> {
    vm: &'v Vm<'gc>,
    expansions: u32,
}

/// The code of a top-level form.
pub fn compile<'gc>(vm: &Vm<'gc>, form: Value<'gc>) -> Answer<'gc, Code<'gc>> {
    Compiler { vm, expansions: 0 }.form(form, None, 0)
}

/// A datum without aliases.
pub fn plain<'gc>(vm: &Vm<'gc>, datum: Value<'gc>, depth: u32) -> Answer<'gc> {
    if depth > NESTED {
        return Err(vm.error("a datum is nested too deep", &[]));
    }
    match datum {
        Value::Symbol(name) => Ok(Value::Symbol(syntax::original(name))),
        Value::Pair(_) => {
            let mut elements = datum.elements();
            let (mut new, mut changed) = (Vec::new(), false);
            for element in elements.by_ref() {
                let element_plain = plain(vm, element, depth + 1)?;
                changed |= !super::equal::eqv(element, element_plain);
                new.push(element_plain);
            }
            let rest = elements.rest();
            let mut list = plain(vm, rest, depth + 1)?;
            if !changed && super::equal::eqv(rest, list) {
                return Ok(datum);
            }
            for &element in new.iter().rev() {
                list = vm.cons(element, list)?;
            }
            Ok(list)
        }
        Value::Vector(vector) => {
            let elements = vector.iter().map(|element| plain(vm, element.get(), depth + 1)).collect::<Answer<Vec<_>>>()?;
            if elements.iter().zip(&*vector).all(|(new, old)| super::equal::eqv(*new, old.get())) {
                return Ok(datum);
            }
            Ok(Value::Vector(vm.mc.try_alloc_slice_with(elements.len(), |n| Lock::new(elements[n]))?))
        }
        _ => Ok(datum),
    }
}

/// What stands in front of a form.
enum Head<'gc> {
    Core(Core),
    Macro(Macro<'gc>),
    Other,
}

fn head<'gc>(form: Value<'gc>, scope: Place<'gc>) -> Head<'gc> {
    let value = match form.uncons() {
        Some((Value::Symbol(name), _)) => match syntax::find(name, scope) {
            Found::Variable { .. } => return Head::Other,
            Found::Macro(object) => Value::Object(object),
            Found::Global(name) => name.global.get(),
        },
        Some((value, _)) => value,
        None => return Head::Other,
    };
    match value {
        Value::Core(core) => Head::Core(core),
        Value::Object(object) => match &*object {
            Object::Macro(rules) => Head::Macro(*rules),
            _ => Head::Other,
        },
        _ => Head::Other,
    }
}

impl<'gc> Compiler<'_, 'gc> {
    fn wrong(&self, what: &str, form: Value<'gc>) -> Trap<'gc> {
        match plain(self.vm, form, 0) {
            Ok(form) => self.vm.error(what, &[form]),
            Err(trap) => trap,
        }
    }
    fn node(&self, node: Node<'gc>) -> Answer<'gc, Code<'gc>> {
        Ok(self.vm.mc.try_alloc(node)?)
    }
    fn nodes(&self, nodes: &[Code<'gc>]) -> Answer<'gc, Codes<'gc>> {
        Ok(self.vm.mc.try_alloc_slice(nodes)?)
    }
    fn constant(&self, value: Value<'gc>) -> Answer<'gc, Code<'gc>> {
        self.node(Node::Constant(value))
    }
    fn expand(&mut self, rules: &Macro<'gc>, form: Value<'gc>, scope: Place<'gc>) -> Answer<'gc> {
        self.expansions += 1;
        if self.expansions > EXPANSIONS {
            return Err(self.vm.error("the expansion of a macro does not end", &[]));
        }
        rules::expand(self.vm, rules, form, scope)
    }
    /// A list of at least so many elements, and of at most so many.
    fn operands(&self, form: Value<'gc>, least: usize, most: usize) -> Answer<'gc, Vec<Value<'gc>>> {
        let operands = form.uncons().and_then(|(_, operands)| operands.list());
        match operands {
            Some(operands) if (least..=most).contains(&operands.len()) => Ok(operands),
            _ => Err(self.wrong("not well formed", form)),
        }
    }

    fn form(&mut self, form: Value<'gc>, scope: Place<'gc>, depth: u32) -> Answer<'gc, Code<'gc>> {
        if depth > NESTED {
            return Err(self.vm.error("a form is nested too deep", &[]));
        }
        let mut form = form;
        loop {
            match form {
                Value::Symbol(name) => return self.variable(name, scope),
                Value::Pair(_) => match head(form, scope) {
                    Head::Macro(rules) => form = self.expand(&rules, form, scope)?,
                    Head::Core(core) => return self.core(core, form, scope, depth),
                    Head::Other => return self.call(form, scope, depth),
                },
                Value::Nil => return Err(self.wrong("an empty list is no expression", form)),
                constant => {
                    let constant = plain(self.vm, constant, depth)?;
                    return self.constant(constant);
                }
            }
        }
    }

    fn variable(&mut self, name: Identifier<'gc>, scope: Place<'gc>) -> Answer<'gc, Code<'gc>> {
        match syntax::find(name, scope) {
            Found::Variable { scope: of, place, checked } => {
                let between = syntax::level(scope) - of.level.get();
                self.node(if checked {
                    Node::LocalChecked(between, place, syntax::original(name))
                } else {
                    Node::Local(between, place)
                })
            }
            Found::Macro(_) => Err(self.wrong("a keyword is no value", Value::Symbol(name))),
            Found::Global(global) => {
                let value = global.global.get();
                if matches!(value, Value::Core(_)) || value.as_macro().is_some() {
                    return Err(self.wrong("a keyword is no value", Value::Symbol(name)));
                }
                // The prelude refers to the procedures that it knows, whatever becomes of their names.
                let known = self.vm.machine.sealed.get() && value.is_procedure();
                self.node(if known { Node::Constant(value) } else { Node::Global(global) })
            }
        }
    }

    // ---- calls

    fn call(&mut self, form: Value<'gc>, scope: Place<'gc>, depth: u32) -> Answer<'gc, Code<'gc>> {
        let Some(parts) = form.list() else { return Err(self.wrong("not well formed", form)) };
        let mut nodes = Vec::new();
        for &part in &parts {
            nodes.push(self.form(part, scope, depth + 1)?);
        }
        let simple = nodes.iter().all(|node| node.is_simple(true));
        let call = self.node(Node::Call(Inits { nodes: self.nodes(&nodes)?, simple }))?;
        let primitive = match &*nodes[0] {
            Node::Constant(Value::Primitive(primitive)) => Some((*primitive, None)),
            Node::Global(name) => match name.global.get() {
                Value::Primitive(primitive) if !name.defined.get() => Some((primitive, Some(*name))),
                _ => None,
            },
            _ => None,
        };
        let inlined = match primitive {
            Some((primitive, name)) => self.inline(primitive, &nodes[1..], call)?.map(|node| (node, name)),
            None => None,
        };
        match inlined {
            Some((node, name)) => {
                if let Some(name) = name {
                    name.inlined.set(true);
                }
                Ok(node)
            }
            None => Ok(call),
        }
    }

    fn inline(&self, primitive: &'static Primitive, operands: &[Code<'gc>], call: Code<'gc>) -> Answer<'gc, Option<Code<'gc>>> {
        if !matches!(primitive.action, Action::Plain(_)) || !primitive.takes(operands.len()) {
            return Ok(None);
        }
        let direct = operands.iter().all(|node| node.is_simple(true) && height(node) + 1 < SIMPLE_HEIGHT);
        let inlined = Inlined { call, direct };
        let node = match *operands {
            [operand] => Node::Unary(primitive, operand, inlined),
            [left, right] => Node::Binary(primitive, left, right, inlined),
            [a, b, c] if direct => Node::Ternary(primitive, self.vm.mc.try_alloc([a, b, c])?, inlined),
            _ => return Ok(None),
        };
        Ok(Some(self.node(node)?))
    }

    // ---- core forms

    fn core(&mut self, core: Core, form: Value<'gc>, scope: Place<'gc>, depth: u32) -> Answer<'gc, Code<'gc>> {
        match core {
            Core::Quote => {
                let datum = self.operands(form, 1, 1)?[0];
                let datum = plain(self.vm, datum, depth)?;
                self.constant(datum)
            }
            Core::Quasiquote => {
                let template = self.operands(form, 1, 1)?[0];
                let expression = super::quasi::expand(self.vm, template, 0, depth)?;
                self.form(expression, scope, depth + 1)
            }
            Core::If => {
                let parts = self.operands(form, 2, 3)?;
                let test = self.form(parts[0], scope, depth + 1)?;
                let yes = self.form(parts[1], scope, depth + 1)?;
                let no = match parts.get(2) {
                    Some(&no) => self.form(no, scope, depth + 1)?,
                    None => self.constant(Value::Unspecified)?,
                };
                self.node(Node::If(test, yes, no))
            }
            Core::Define => {
                if scope.is_some() {
                    return Err(self.wrong("a definition stands where an expression belongs", form));
                }
                let (name, value) = self.definition(form)?;
                let value = self.named(value, name, scope, depth)?;
                self.node(Node::Define(syntax::original(name), value))
            }
            Core::Set => {
                let parts = self.operands(form, 2, 2)?;
                let Value::Symbol(name) = parts[0] else { return Err(self.wrong("set! of what is no name", form)) };
                let value = self.named(parts[1], name, scope, depth)?;
                match syntax::find(name, scope) {
                    Found::Variable { scope: of, place, .. } => {
                        self.node(Node::SetLocal(syntax::level(scope) - of.level.get(), place, value))
                    }
                    Found::Global(name) => self.node(Node::SetGlobal(name, value)),
                    Found::Macro(_) => Err(self.wrong("set! of a keyword", form)),
                }
            }
            Core::Lambda => self.lambda(form, None, scope, depth),
            Core::Let => self.let_form(form, scope, depth),
            Core::LetStar => {
                let (bindings, body) = self.bindings(form)?;
                let Some(((first, others), true)) = bindings.uncons().map(|all| (all, !matches!(all.1, Value::Nil))) else {
                    let same = self.vm.cons(bindings, body)?;
                    return self.let_form(self.vm.cons(Value::Core(Core::Let), same)?, scope, depth);
                };
                let inner = self.vm.cons(Value::Core(Core::LetStar), self.vm.cons(others, body)?)?;
                let first = self.vm.cons(first, Value::Nil)?;
                self.let_form(self.vm.list([Value::Core(Core::Let), first, inner].into_iter())?, scope, depth)
            }
            Core::Letrec => self.letrec(form, scope, depth),
            Core::LetrecStar => {
                let (bindings, body) = self.bindings(form)?;
                let mut define = Vec::new();
                for binding in self.list_of(bindings, form)? {
                    define.push(self.vm.cons(Value::Core(Core::Define), binding)?);
                }
                // The body is one of its own, so that what it defines may have the same names.
                define.push(self.vm.cons(Value::Core(Core::Let), self.vm.cons(Value::Nil, body)?)?);
                let body = self.vm.list(define.into_iter())?;
                self.body(body, scope, depth)
            }
            Core::Begin => {
                let parts = self.operands(form, 0, usize::MAX)?;
                if parts.is_empty() {
                    return self.constant(Value::Unspecified);
                }
                let mut nodes = Vec::new();
                for part in parts {
                    nodes.push(self.form(part, scope, depth + 1)?);
                }
                self.sequence(&nodes)
            }
            Core::And | Core::Or => {
                let parts = self.operands(form, 0, usize::MAX)?;
                let Some((&last, others)) = parts.split_last() else {
                    return self.constant(Value::Boolean(core == Core::And));
                };
                let mut node = self.form(last, scope, depth + 1)?;
                for &part in others.iter().rev() {
                    let test = self.form(part, scope, depth + 1)?;
                    node = if core == Core::Or {
                        self.node(Node::Or(test, node))?
                    } else {
                        self.node(Node::If(test, node, self.constant(Value::Boolean(false))?))?
                    };
                }
                Ok(node)
            }
            Core::DefineSyntax => {
                let parts = self.operands(form, 2, 2)?;
                let (Value::Symbol(name), None) = (parts[0], scope) else {
                    return Err(self.wrong("a definition stands where an expression belongs", form));
                };
                let value = match self.transformer(parts[1], scope)? {
                    Meaning::Macro(object) => Value::Object(object),
                    Meaning::Variable(..) => return Err(self.wrong("no macro", parts[1])),
                };
                field!(Gc::write(syntax::original(name), self.vm.mc), Symbol, global).set(value);
                self.constant(Value::Unspecified)
            }
            Core::LetSyntax | Core::LetrecSyntax => {
                let (bindings, body) = self.bindings(form)?;
                let inner = Scope::new(self.vm, scope, syntax::level(scope))?;
                let of = if core == Core::LetrecSyntax { Some(inner) } else { scope };
                for binding in self.list_of(bindings, form)? {
                    match binding.list().as_deref() {
                        Some(&[Value::Symbol(name), rules]) => {
                            let meaning = self.transformer(rules, of)?;
                            inner.entries.try_push(self.vm.mc, Entry { name, meaning })?;
                        }
                        _ => return Err(self.wrong("not well formed", binding)),
                    }
                }
                self.body(body, Some(inner), depth)
            }
            Core::SyntaxRules => Err(self.wrong("syntax-rules stands where an expression belongs", form)),
        }
    }

    fn list_of(&self, list: Value<'gc>, form: Value<'gc>) -> Answer<'gc, Vec<Value<'gc>>> {
        list.list().ok_or_else(|| self.wrong("not well formed", form))
    }
    /// `(keyword bindings . body)`
    fn bindings(&self, form: Value<'gc>) -> Answer<'gc, (Value<'gc>, Value<'gc>)> {
        match form.uncons().and_then(|(_, rest)| rest.uncons()) {
            Some((bindings, body)) => Ok((bindings, body)),
            None => Err(self.wrong("not well formed", form)),
        }
    }

    /// Name and value of a `define`.
    fn definition(&self, form: Value<'gc>) -> Answer<'gc, (Identifier<'gc>, Value<'gc>)> {
        let (mut target, rest) = self.bindings(form)?;
        let mut body = rest;
        let mut is_procedure = false;
        while let Value::Pair(pair) = target {
            // (define ((f a) b) ...) is a procedure that makes one.
            let lambda = self.vm.cons(Value::Core(Core::Lambda), self.vm.cons(pair.cdr.get(), body)?)?;
            body = self.vm.cons(lambda, Value::Nil)?;
            target = pair.car.get();
            is_procedure = true;
        }
        let value = match body.uncons() {
            Some((value, Value::Nil)) => value,
            None if !is_procedure && matches!(rest, Value::Nil) => Value::Unspecified,
            _ => return Err(self.wrong("not well formed", form)),
        };
        match target {
            Value::Symbol(name) => Ok((name, value)),
            _ => Err(self.wrong("not well formed", form)),
        }
    }

    /// A value that will have a name.
    fn named(&mut self, form: Value<'gc>, name: Identifier<'gc>, scope: Place<'gc>, depth: u32) -> Answer<'gc, Code<'gc>> {
        if let Head::Core(Core::Lambda) = head(form, scope) {
            return self.lambda(form, Some(syntax::original(name)), scope, depth + 1);
        }
        self.form(form, scope, depth + 1)
    }

    fn lambda(
        &mut self,
        form: Value<'gc>,
        name: Option<Identifier<'gc>>,
        scope: Place<'gc>,
        depth: u32,
    ) -> Answer<'gc, Code<'gc>> {
        let (formals, body) = self.bindings(form)?;
        let inner = Scope::new(self.vm, scope, syntax::level(scope) + 1)?;
        let mut elements = formals.elements();
        let mut required = 0;
        for formal in elements.by_ref().take(1 << 16) {
            required += 1;
            self.bind(inner, formal, required, false, form)?;
        }
        let rest = match elements.rest() {
            Value::Nil => false,
            rest => {
                self.bind(inner, rest, required + 1, false, form)?;
                true
            }
        };
        let body = self.body(body, Some(inner), depth)?;
        let template = self.vm.mc.try_alloc(Template { required, rest, body, name })?;
        self.node(Node::Lambda(template))
    }

    fn bind(&self, scope: Gc<'gc, Scope<'gc>>, name: Value<'gc>, place: u32, checked: bool, form: Value<'gc>) -> Answer<'gc, ()> {
        let Value::Symbol(name) = name else { return Err(self.wrong("a variable is no name", form)) };
        if scope.own(name).is_some() {
            return Err(self.wrong("a name is bound twice", form));
        }
        scope.entries.try_push(self.vm.mc, Entry { name, meaning: Meaning::Variable(place, checked) })?;
        Ok(())
    }

    fn let_form(&mut self, form: Value<'gc>, scope: Place<'gc>, depth: u32) -> Answer<'gc, Code<'gc>> {
        let (bindings, body) = self.bindings(form)?;
        if let Value::Symbol(name) = bindings {
            return self.named_let(form, name, body, scope, depth);
        }
        if let Value::Nil = bindings {
            return self.body(body, scope, depth + 1);
        }
        let inner = Scope::new(self.vm, scope, syntax::level(scope) + 1)?;
        let mut inits = Vec::new();
        for (n, binding) in self.list_of(bindings, form)?.into_iter().enumerate() {
            let Some(&[name, init]) = binding.list().as_deref() else { return Err(self.wrong("not well formed", form)) };
            inits.push(match name {
                Value::Symbol(name) => self.named(init, name, scope, depth)?,
                _ => self.form(init, scope, depth + 1)?,
            });
            self.bind(inner, name, n as u32 + 1, false, form)?;
        }
        let body = self.body(body, Some(inner), depth + 1)?;
        let simple = inits.iter().all(|node| node.is_simple(true));
        self.node(Node::Let(Inits { nodes: self.nodes(&inits)?, simple }, body))
    }

    /// All values are there before the first variable gets its own: a continuation that is taken in one of the expressions sees to that again.
    fn letrec(&mut self, form: Value<'gc>, scope: Place<'gc>, depth: u32) -> Answer<'gc, Code<'gc>> {
        let (bindings, body) = self.bindings(form)?;
        let outer = Scope::new(self.vm, scope, syntax::level(scope) + 1)?;
        let (mut names, mut inits) = (Vec::new(), Vec::new());
        for binding in self.list_of(bindings, form)? {
            let Some(&[Value::Symbol(name), init]) = binding.list().as_deref() else {
                return Err(self.wrong("not well formed", form));
            };
            names.push((name, init));
            self.bind(outer, Value::Symbol(name), names.len() as u32, true, form)?;
        }
        for &(name, init) in &names {
            inits.push(self.named(init, name, Some(outer), depth)?);
        }
        let count = names.len() as u32;
        let inner = Scope::new(self.vm, Some(outer), syntax::level(scope) + 2)?;
        let mut nodes = Vec::new();
        for place in 1..=count {
            let value = self.node(Node::Local(0, place))?;
            nodes.push(self.node(Node::SetLocal(1, place, value))?);
        }
        nodes.push(self.body(body, Some(inner), depth + 1)?);
        let simple = inits.iter().all(|node| node.is_simple(true));
        let values = self.node(Node::Let(Inits { nodes: self.nodes(&inits)?, simple }, self.sequence(&nodes)?))?;
        self.node(Node::Letrec(count, values))
    }

    /// `(let name ((variable init) ...) . body)`
    fn named_let(
        &mut self,
        form: Value<'gc>,
        name: Identifier<'gc>,
        rest: Value<'gc>,
        scope: Place<'gc>,
        depth: u32,
    ) -> Answer<'gc, Code<'gc>> {
        let Some((bindings, body)) = rest.uncons() else { return Err(self.wrong("not well formed", form)) };
        let (mut names, mut call) = (Vec::new(), Vec::new());
        for binding in self.list_of(bindings, form)? {
            let Some(&[name, init]) = binding.list().as_deref() else { return Err(self.wrong("not well formed", form)) };
            names.push(name);
            call.push(self.form(init, scope, depth + 1)?);
        }
        let lambda = self.vm.cons(Value::Core(Core::Lambda), self.vm.cons(self.vm.list(names.into_iter())?, body)?)?;
        let inner = Scope::new(self.vm, scope, syntax::level(scope) + 1)?;
        // Nobody looks at it before it has a value.
        self.bind(inner, Value::Symbol(name), 1, false, form)?;
        let lambda = self.named(lambda, name, Some(inner), depth + 1)?;
        let set = self.node(Node::SetLocal(0, 1, lambda))?;
        let procedure = self.sequence(&[set, self.node(Node::Local(0, 1))?])?;
        call.insert(0, self.node(Node::Letrec(1, procedure))?);
        self.node(Node::Call(Inits { nodes: self.nodes(&call)?, simple: false }))
    }

    fn sequence(&self, nodes: &[Code<'gc>]) -> Answer<'gc, Code<'gc>> {
        if let &[one] = nodes {
            return Ok(one);
        }
        self.node(Node::Sequence(self.nodes(nodes)?))
    }

    /// Definitions and expressions, in a scope of their own.
    fn body(&mut self, forms: Value<'gc>, scope: Place<'gc>, depth: u32) -> Answer<'gc, Code<'gc>> {
        if depth > NESTED {
            return Err(self.vm.error("a form is nested too deep", &[]));
        }
        let Some(forms) = forms.list() else { return Err(self.wrong("not well formed", forms)) };
        let inner = Scope::new(self.vm, scope, syntax::level(scope))?;
        let mut queue: VecDeque<Value<'gc>> = forms.into();
        let (mut items, mut count) = (Vec::new(), 0);
        while let Some(form) = queue.pop_front() {
            match head(form, Some(inner)) {
                Head::Macro(rules) => queue.push_front(self.expand(&rules, form, Some(inner))?),
                Head::Core(Core::Begin) => {
                    for part in self.operands(form, 0, usize::MAX)?.into_iter().rev() {
                        queue.push_front(part);
                    }
                }
                Head::Core(Core::Define) => {
                    let (name, value) = self.definition(form)?;
                    count += 1;
                    self.bind(inner, Value::Symbol(name), count, true, form)?;
                    items.push((Some((name, count)), value));
                }
                Head::Core(Core::DefineSyntax) => {
                    let parts = self.operands(form, 2, 2)?;
                    let Value::Symbol(name) = parts[0] else { return Err(self.wrong("not well formed", form)) };
                    let meaning = self.transformer(parts[1], Some(inner))?;
                    inner.entries.try_push(self.vm.mc, Entry { name, meaning })?;
                }
                _ => items.push((None, form)),
            }
        }
        if count > 0 {
            inner.level.set(syntax::level(scope) + 1);
        }
        let mut nodes = Vec::new();
        for (definition, form) in items {
            nodes.push(match definition {
                Some((name, place)) => {
                    let value = self.named(form, name, Some(inner), depth + 1)?;
                    self.node(Node::SetLocal(0, place, value))?
                }
                None => self.form(form, Some(inner), depth + 1)?,
            });
        }
        if nodes.is_empty() {
            return Err(self.vm.error("a body is empty", &[]));
        }
        let sequence = self.sequence(&nodes)?;
        if count > 0 { self.node(Node::Letrec(count, sequence)) } else { Ok(sequence) }
    }

    /// What a keyword is bound to.
    fn transformer(&mut self, form: Value<'gc>, scope: Place<'gc>) -> Answer<'gc, Meaning<'gc>> {
        let mut form = form;
        while let Head::Macro(rules) = head(form, scope) {
            form = self.expand(&rules, form, scope)?;
        }
        let (Head::Core(Core::SyntaxRules), Some((_, mut rest))) = (head(form, scope), form.uncons()) else {
            return Err(self.wrong("no syntax-rules", form));
        };
        let mut ellipsis = self.vm.intern("...")?;
        if let Some((Value::Symbol(own), behind)) = rest.uncons() {
            (ellipsis, rest) = (own, behind);
        }
        match rest.uncons() {
            Some((literals, rules)) if literals.list().is_some() && rules.list().is_some() => {
                let sealed = self.vm.machine.sealed.get();
                let rules = Macro { literals, rules, ellipsis, scope, sealed };
                Ok(Meaning::Macro(self.vm.mc.try_alloc(Object::Macro(rules))?))
            }
            _ => Err(self.wrong("not well formed", form)),
        }
    }
}

/// How deep nodes are within each other that are evaluated at once.
fn height(node: &Node<'_>) -> u32 {
    match node {
        Node::Unary(_, operand, inlined) if inlined.direct => 1 + height(operand),
        Node::Binary(_, left, right, inlined) if inlined.direct => 1 + height(left).max(height(right)),
        Node::Ternary(_, operands, inlined) if inlined.direct => {
            1 + operands.iter().map(|operand| height(operand)).max().unwrap_or(0)
        }
        _ => 0,
    }
}
