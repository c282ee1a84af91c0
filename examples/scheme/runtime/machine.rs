//! The machine: what is being evaluated, and what is to be done with the result, all of it on the heap.
//!
//! A continuation is a list of frames. So a procedure that calls itself a million times deep takes memory and nothing of the stack of the host, `call/cc` costs a
//! word, and the heap can work between any two steps: the state goes into the root, and the mutation ends.
//!
//! Invariants:
//! * **all-or-nothing** A step changes the state when nothing in it can fail any more. What was refused memory is done again after a collection.
//! * **shared-is-kept** A frame that a continuation object can lead to is *shared*, at the latest when it is returned to; the work in it is then not changed in
//!   place, but copied.
//!
//! Imports `apply`, `code`, `primitives`, `state`, `value`.

use super::code::{Code, Codes, Inits, Node};
use super::primitives::{Action, Fast, Primitive};
use super::state::{Dynamic, Machine, State, Step};
use super::value::{Closure, Identifier, Object, Value, Vector};
use neap_gc::OutOfMemory;
use neap_gc::arena::{Gc, Lock, Mutation, Trace, field};
use std::cell::Cell;

pub type Kont<'gc> = Gc<'gc, Frame<'gc>>;
pub type Answer<'gc, T = Value<'gc>> = Result<T, Trap<'gc>>;

/// Why a step was not done.
#[derive(Clone, Copy)]
pub enum Trap<'gc> {
    Memory,
    Raise(Value<'gc>),
}
impl From<OutOfMemory> for Trap<'_> {
    fn from(_: OutOfMemory) -> Self {
        Trap::Memory
    }
}

/// What is to be done with a value.
#[derive(Trace)]
pub struct Frame<'gc> {
    below: Option<Kont<'gc>>,
    scope: Vector<'gc>,
    work: Work<'gc>,
    /// The next node of a sequence, the operand that is being evaluated.
    at: Cell<u32>,
    shared: Cell<bool>,
}

#[derive(Clone, Copy, Trace)]
enum Work<'gc> {
    If(Code<'gc>, Code<'gc>),
    Or(Code<'gc>),
    SetLocal(u32, u32),
    SetGlobal(Identifier<'gc>),
    Define(Identifier<'gc>),
    Sequence(Codes<'gc>),
    /// Operands of a call; of a `let` if there is a body.
    Operands(Codes<'gc>, Option<Code<'gc>>, Vector<'gc>),
    Unary(&'static Primitive),
    BinaryLeft(&'static Primitive, Code<'gc>),
    BinaryRight(&'static Primitive, Value<'gc>),
    Receive(Value<'gc>),
}

/// Why the steps have stopped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// The heap wants to work, or it is time to look at the clock.
    Pause,
    Memory,
    Done,
    Failed,
    /// The program asks for a collection.
    Collect,
    /// The program asks for the figures of the heap.
    Figures,
    Exit,
}

/// So many steps at once.
pub const STEPS: u32 = 1 << 18;
/// So much output waits at most, but for what one step makes.
const OUTPUT: usize = 1 << 16;
/// Operands that are kept on the stack of the host.
pub const OPERANDS: usize = 8;

/// The machine while it runs.
pub struct Vm<'gc> {
    pub mc: &'gc Mutation<'gc>,
    pub machine: Gc<'gc, Machine<'gc>>,
    pub out: Vec<u8>,
    pub dynamic: Gc<'gc, Dynamic<'gc>>,
    pub steps: u64,
    pub request: Option<Outcome>,
    pub step: Step<'gc>,
    pub kont: Option<Kont<'gc>>,
    inlining: bool,
}

impl<'gc> Vm<'gc> {
    pub fn new(mc: &'gc Mutation<'gc>, machine: Gc<'gc, Machine<'gc>>) -> Vm<'gc> {
        let State { step, kont, dynamic } = machine.state.get();
        let inlining = !machine.redefined.get();
        Vm { mc, machine, step, kont, dynamic, inlining, out: Vec::new(), steps: 0, request: None }
    }
    /// Puts the state into the root.
    pub fn save(&self) {
        let state = State { step: self.step, kont: self.kont, dynamic: self.dynamic };
        field!(Gc::write(self.machine, self.mc), Machine, state).set(state);
    }
    /// Begins with a program's next expression.
    pub fn begin(&mut self, code: Code<'gc>) {
        self.step = Step::Eval(code, self.machine.outermost);
        self.kont = None;
        self.dynamic = self.machine.bottom;
    }

    /// Does so many steps, or as many as can be done before something else is to be.
    pub fn run(&mut self, steps: u32) -> Outcome {
        for _ in 0..steps {
            match self.step() {
                Ok(()) => self.steps += 1,
                Err(Trap::Memory) => return Outcome::Memory,
                Err(Trap::Raise(condition)) => self.step = Step::Raise(condition),
            }
            if let Some(request) = self.request.take() {
                return request;
            }
            match self.step {
                Step::Done(_) => return Outcome::Done,
                Step::Failed(_) => return Outcome::Failed,
                _ => {}
            }
            if self.mc.wants_safepoint() && steps == STEPS || self.out.len() > OUTPUT {
                return Outcome::Pause;
            }
        }
        Outcome::Pause
    }

    fn step(&mut self) -> Answer<'gc, ()> {
        match self.step {
            Step::Eval(node, scope) => self.eval(node, scope),
            Step::Sequence(nodes, at, scope) => self.sequence(nodes, at, scope),
            Step::Return(value) => self.resume(value),
            Step::Apply(values) => self.apply(values),
            Step::Raise(condition) => {
                if let Value::Undefined = self.machine.raise.get() {
                    self.step = Step::Failed(condition);
                    return Ok(());
                }
                self.call(&[self.machine.raise.get(), condition])
            }
            Step::Done(_) | Step::Failed(_) => Ok(()),
        }
    }

    // ---- frames

    fn push(&mut self, scope: Vector<'gc>, work: Work<'gc>, at: u32) -> Answer<'gc, ()> {
        let frame = Frame { below: self.kont, scope, work, at: Cell::new(at), shared: Cell::new(false) };
        self.kont = Some(self.mc.try_alloc(frame)?);
        Ok(())
    }
    fn push_eval(&mut self, scope: Vector<'gc>, work: Work<'gc>, at: u32, node: Code<'gc>) -> Answer<'gc, ()> {
        self.push(scope, work, at)?;
        self.step = Step::Eval(node, scope);
        Ok(())
    }
    /// shared-is-kept
    fn pop(&mut self, frame: Kont<'gc>) {
        self.kont = frame.below;
        if frame.shared.get()
            && let Some(below) = frame.below
        {
            below.shared.set(true);
        }
    }
    /// The continuation, for an object.
    pub fn share(&self) -> Option<Kont<'gc>> {
        if let Some(frame) = self.kont {
            frame.shared.set(true);
        }
        self.kont
    }

    // ---- evaluating

    /// The value of a simple node, or of one whose operands are simple.
    fn simple(&mut self, node: Code<'gc>, scope: Vector<'gc>) -> Answer<'gc> {
        match &*node {
            Node::Constant(value) => Ok(*value),
            &Node::Local(depth, place) => Ok(variables(scope, depth)[place as usize].get()),
            &Node::LocalChecked(depth, place, name) => match variables(scope, depth)[place as usize].get() {
                Value::Undefined => Err(self.error("a variable is used before it has a value", &[Value::Symbol(name)])),
                value => Ok(value),
            },
            Node::Global(name) => match name.global.get() {
                Value::Undefined => Err(self.error("not defined", &[Value::Symbol(*name)])),
                Value::Core(_) => Err(self.error("a keyword is no value", &[Value::Symbol(*name)])),
                value => Ok(value),
            },
            Node::Lambda(template) => Ok(Value::Closure(self.mc.try_alloc(Closure { template: *template, scope })?)),
            Node::Unary(primitive, operand, _) => {
                let operand = self.simple(*operand, scope)?;
                self.unary(primitive, operand)
            }
            Node::Binary(primitive, left, right, _) => {
                let left = self.simple(*left, scope)?;
                let right = self.simple(*right, scope)?;
                self.binary(primitive, left, right)
            }
            Node::Ternary(primitive, operands, _) => {
                let values =
                    [self.simple(operands[0], scope)?, self.simple(operands[1], scope)?, self.simple(operands[2], scope)?];
                self.run_primitive(primitive, &values)
            }
            _ => unreachable!("a node that is not simple"),
        }
    }

    #[inline(always)]
    fn run_primitive(&mut self, primitive: &'static Primitive, operands: &[Value<'gc>]) -> Answer<'gc> {
        match primitive.action {
            Action::Plain(run) => run(self, operands),
            Action::Control(_) => unreachable!("a control primitive is not inlined"),
        }
    }
    #[inline(always)]
    fn unary(&mut self, primitive: &'static Primitive, operand: Value<'gc>) -> Answer<'gc> {
        match (primitive.fast, operand) {
            (Fast::Car, Value::Pair(pair)) => Ok(pair.car.get()),
            (Fast::Cdr, Value::Pair(pair)) => Ok(pair.cdr.get()),
            (Fast::Null, operand) => Ok(Value::Boolean(matches!(operand, Value::Nil))),
            (Fast::Not, operand) => Ok(Value::Boolean(!operand.is_true())),
            (Fast::Pair, operand) => Ok(Value::Boolean(matches!(operand, Value::Pair(_)))),
            _ => self.run_primitive(primitive, &[operand]),
        }
    }
    #[inline(always)]
    fn binary(&mut self, primitive: &'static Primitive, left: Value<'gc>, right: Value<'gc>) -> Answer<'gc> {
        if let (Value::Integer(x), Value::Integer(y)) = (left, right) {
            match primitive.fast {
                Fast::Less => return Ok(Value::Boolean(x < y)),
                Fast::Equal => return Ok(Value::Boolean(x == y)),
                Fast::Greater => return Ok(Value::Boolean(x > y)),
                Fast::Add => {
                    if let Some(sum) = x.checked_add(y) {
                        return Ok(Value::Integer(sum));
                    }
                }
                Fast::Subtract => {
                    if let Some(difference) = x.checked_sub(y) {
                        return Ok(Value::Integer(difference));
                    }
                }
                _ => {}
            }
        }
        self.run_primitive(primitive, &[left, right])
    }

    fn eval(&mut self, node: Code<'gc>, scope: Vector<'gc>) -> Answer<'gc, ()> {
        let inlining = self.inlining;
        match &*node {
            &Node::If(test, yes, no) => {
                if !test.is_simple(inlining) {
                    return self.push_eval(scope, Work::If(yes, no), 0, test);
                }
                let holds = self.simple(test, scope)?.is_true();
                self.step = Step::Eval(if holds { yes } else { no }, scope);
            }
            Node::Call(inits) => return self.eval_call(*inits, scope),
            &Node::Let(inits, body) => {
                if inits.simple && inlining {
                    let values = self.operands(inits.nodes, scope, Some(Value::Scope(scope)))?;
                    self.step = Step::Eval(body, values);
                } else {
                    return self.eval_operands(inits.nodes, Some(body), scope);
                }
            }
            &Node::Unary(primitive, operand, inlined) if inlining => {
                if !inlined.direct {
                    return self.push_eval(scope, Work::Unary(primitive), 0, operand);
                }
                let operand = self.simple(operand, scope)?;
                self.step = Step::Return(self.unary(primitive, operand)?);
            }
            &Node::Binary(primitive, left, right, inlined) if inlining => {
                if !left.is_simple(inlining) {
                    return self.push_eval(scope, Work::BinaryLeft(primitive, right), 0, left);
                }
                let left = self.simple(left, scope)?;
                if !inlined.direct {
                    return self.push_eval(scope, Work::BinaryRight(primitive, left), 0, right);
                }
                let right = self.simple(right, scope)?;
                self.step = Step::Return(self.binary(primitive, left, right)?);
            }
            Node::Unary(.., inlined) | Node::Binary(.., inlined) | Node::Ternary(.., inlined) if !inlining => {
                self.step = Step::Eval(inlined.call, scope);
            }
            &Node::Or(first, rest) => {
                if !first.is_simple(inlining) {
                    return self.push_eval(scope, Work::Or(rest), 0, first);
                }
                let value = self.simple(first, scope)?;
                self.step = if value.is_true() { Step::Return(value) } else { Step::Eval(rest, scope) };
            }
            Node::Sequence(nodes) => self.step = Step::Sequence(*nodes, 0, scope),
            &Node::Letrec(count, body) => {
                let first = |n| Lock::new(if n == 0 { Value::Scope(scope) } else { Value::Undefined });
                let values = self.mc.try_alloc_slice_with(count as usize + 1, first)?;
                self.step = Step::Eval(body, values);
            }
            &Node::SetLocal(depth, place, value) => {
                if !value.is_simple(inlining) {
                    return self.push_eval(scope, Work::SetLocal(depth, place), 0, value);
                }
                let value = self.simple(value, scope)?;
                variables(scope, depth).set(self.mc, place as usize, value);
                self.step = Step::Return(Value::Unspecified);
            }
            &Node::SetGlobal(name, value) => return self.push_eval(scope, Work::SetGlobal(name), 0, value),
            &Node::Define(name, value) => return self.push_eval(scope, Work::Define(name), 0, value),
            _ => self.step = Step::Return(self.simple(node, scope)?),
        }
        Ok(())
    }

    fn sequence(&mut self, nodes: Codes<'gc>, at: u32, scope: Vector<'gc>) -> Answer<'gc, ()> {
        let node = nodes[at as usize];
        if at as usize + 1 == nodes.len() {
            self.step = Step::Eval(node, scope);
            return Ok(());
        }
        match &*node {
            // What is done within one step needs no frame.
            Node::Unary(.., inlined) | Node::Binary(.., inlined) | Node::Ternary(.., inlined)
                if inlined.direct && self.inlining =>
            {
                self.simple(node, scope)?;
            }
            &Node::SetLocal(depth, place, value) if value.is_simple(self.inlining) => {
                let value = self.simple(value, scope)?;
                variables(scope, depth).set(self.mc, place as usize, value);
            }
            _ => return self.push_eval(scope, Work::Sequence(nodes), at + 1, node),
        }
        self.step = Step::Sequence(nodes, at + 1, scope);
        Ok(())
    }

    /// Simple operands as a vector; `first` in front of them.
    fn operands(&mut self, nodes: Codes<'gc>, scope: Vector<'gc>, first: Option<Value<'gc>>) -> Answer<'gc, Vector<'gc>> {
        let shift = usize::from(first.is_some());
        let count = nodes.len() + shift;
        let (mut few, mut many) = ([Value::Nil; OPERANDS], Vec::new());
        let values = room(&mut few, &mut many, count)?;
        if let Some(first) = first {
            values[0] = first;
        }
        for (value, &node) in values[shift..].iter_mut().zip(&*nodes) {
            *value = self.simple(node, scope)?;
        }
        Ok(self.mc.try_alloc_slice_with(count, |n| Lock::new(values[n]))?)
    }

    fn eval_call(&mut self, inits: Inits<'gc>, scope: Vector<'gc>) -> Answer<'gc, ()> {
        if !inits.simple || !self.inlining {
            return self.eval_operands(inits.nodes, None, scope);
        }
        let count = inits.nodes.len();
        let (mut few, mut many) = ([Value::Nil; OPERANDS], Vec::new());
        let values = room(&mut few, &mut many, count)?;
        for (value, &node) in values.iter_mut().zip(&*inits.nodes) {
            *value = self.simple(node, scope)?;
        }
        match values[0] {
            Value::Closure(closure) if !closure.template.rest && closure.template.required as usize == count - 1 => {
                values[0] = Value::Scope(closure.scope);
                let variables = self.mc.try_alloc_slice_with(count, |n| Lock::new(values[n]))?;
                self.step = Step::Eval(closure.template.body, variables);
                Ok(())
            }
            Value::Primitive(primitive) if matches!(primitive.action, Action::Plain(_)) => {
                self.check_count(primitive, count - 1)?;
                self.step = Step::Return(self.run_primitive(primitive, &values[1..])?);
                Ok(())
            }
            _ => {
                let values = self.mc.try_alloc_slice_with(count, |n| Lock::new(values[n]))?;
                self.step = Step::Apply(values);
                Ok(())
            }
        }
    }

    /// Evaluates operands up to the first that is not simple, and goes on with that.
    fn eval_operands(&mut self, nodes: Codes<'gc>, body: Option<Code<'gc>>, scope: Vector<'gc>) -> Answer<'gc, ()> {
        let shift = usize::from(body.is_some());
        let count = nodes.len() + shift;
        let (mut few, mut many) = ([Value::Undefined; OPERANDS], Vec::new());
        let values = room(&mut few, &mut many, count)?;
        values.fill(Value::Undefined);
        if body.is_some() {
            values[0] = Value::Scope(scope);
        }
        let first = nodes.iter().position(|node| !node.is_simple(self.inlining));
        for (n, &node) in nodes.iter().enumerate().take(first.unwrap_or(nodes.len())) {
            values[n + shift] = self.simple(node, scope)?;
        }
        let values = self.mc.try_alloc_slice_with(count, |n| Lock::new(values[n]))?;
        match first {
            Some(n) => self.push_eval(scope, Work::Operands(nodes, body, values), n as u32, nodes[n]),
            None => {
                self.step = operands_are_there(body, values);
                Ok(())
            }
        }
    }

    // ---- going on

    fn resume(&mut self, value: Value<'gc>) -> Answer<'gc, ()> {
        let Some(frame) = self.kont else {
            self.step = Step::Done(value);
            return Ok(());
        };
        let (scope, inlining) = (frame.scope, self.inlining);
        match frame.work {
            Work::If(yes, no) => {
                self.step = Step::Eval(if value.is_true() { yes } else { no }, scope);
                self.pop(frame);
            }
            Work::Or(rest) => {
                self.step = if value.is_true() { Step::Return(value) } else { Step::Eval(rest, scope) };
                self.pop(frame);
            }
            Work::Sequence(nodes) => {
                self.step = Step::Sequence(nodes, frame.at.get(), scope);
                self.pop(frame);
            }
            Work::Unary(primitive) => {
                self.step = Step::Return(self.unary(primitive, value)?);
                self.pop(frame);
            }
            Work::BinaryLeft(primitive, right) => {
                if right.is_simple(inlining) {
                    let right = self.simple(right, scope)?;
                    self.step = Step::Return(self.binary(primitive, value, right)?);
                    self.pop(frame);
                } else {
                    let work = Work::BinaryRight(primitive, value);
                    let new = Frame { below: frame.below, scope, work, at: Cell::new(0), shared: Cell::new(false) };
                    let new = self.mc.try_alloc(new)?;
                    self.pop(frame);
                    self.kont = Some(new);
                    self.step = Step::Eval(right, scope);
                }
            }
            Work::BinaryRight(primitive, left) => {
                self.step = Step::Return(self.binary(primitive, left, value)?);
                self.pop(frame);
            }
            Work::SetLocal(depth, place) => {
                variables(scope, depth).set(self.mc, place as usize, value);
                self.step = Step::Return(Value::Unspecified);
                self.pop(frame);
            }
            Work::SetGlobal(name) => {
                if matches!(name.global.get(), Value::Undefined | Value::Core(_)) {
                    return Err(self.error("set! of what is not defined", &[Value::Symbol(name)]));
                }
                self.set_global(name, value);
                self.step = Step::Return(Value::Unspecified);
                self.pop(frame);
            }
            Work::Define(name) => {
                self.set_global(name, value);
                self.step = Step::Return(Value::Unspecified);
                self.pop(frame);
            }
            Work::Operands(nodes, body, values) => return self.next_operand(frame, nodes, body, values, value),
            Work::Receive(consumer) => {
                let received: &[Value<'gc>] = match value {
                    Value::Object(object) => match Gc::to_ref(object) {
                        Object::Values(values) => Gc::to_ref(*values),
                        _ => &[value],
                    },
                    _ => &[value],
                };
                let values = self
                    .mc
                    .try_alloc_slice_with(received.len() + 1, |n| Lock::new(if n == 0 { consumer } else { received[n - 1] }))?;
                self.step = Step::Apply(values);
                self.pop(frame);
            }
        }
        Ok(())
    }

    fn next_operand(
        &mut self,
        frame: Kont<'gc>,
        nodes: Codes<'gc>,
        body: Option<Code<'gc>>,
        values: Vector<'gc>,
        value: Value<'gc>,
    ) -> Answer<'gc, ()> {
        let (at, shift) = (frame.at.get() as usize, usize::from(body.is_some()));
        let next = (at + 1..nodes.len()).find(|&n| !nodes[n].is_simple(self.inlining));
        let shared = frame.shared.get();
        // shared-is-kept
        let values = if shared { self.copy(values)? } else { values };
        values.set(self.mc, at + shift, value);
        for n in at + 1..next.unwrap_or(nodes.len()) {
            let value = self.simple(nodes[n], frame.scope)?;
            values.set(self.mc, n + shift, value);
        }
        let Some(next) = next else {
            self.step = operands_are_there(body, values);
            self.pop(frame);
            return Ok(());
        };
        if shared {
            let work = Work::Operands(nodes, body, values);
            let new = Frame { below: frame.below, scope: frame.scope, work, at: Cell::new(0), shared: Cell::new(false) };
            let new = self.mc.try_alloc(new)?;
            self.pop(frame);
            self.kont = Some(new);
            new.at.set(next as u32);
        } else {
            frame.at.set(next as u32);
        }
        self.step = Step::Eval(nodes[next], frame.scope);
        Ok(())
    }

    pub fn copy(&self, values: Vector<'gc>) -> Answer<'gc, Vector<'gc>> {
        Ok(self.mc.try_alloc_slice_with(values.len(), |n| Lock::new(values[n].get()))?)
    }

    fn set_global(&mut self, name: Identifier<'gc>, value: Value<'gc>) {
        if name.inlined.get() {
            self.machine.redefined.set(true);
            self.inlining = false;
        }
        field!(Gc::write(name, self.mc), super::value::Symbol, global).set(value);
    }

    // ---- calling

    pub fn call(&mut self, values: &[Value<'gc>]) -> Answer<'gc, ()> {
        self.step = Step::Apply(self.mc.try_alloc_slice_with(values.len(), |n| Lock::new(values[n]))?);
        Ok(())
    }
    /// The values of what is called go to a procedure.
    pub fn call_and_receive(&mut self, producer: Value<'gc>, consumer: Value<'gc>) -> Answer<'gc, ()> {
        let values = self.mc.try_alloc_slice_with(1, |_| Lock::new(producer))?;
        self.push(self.machine.outermost, Work::Receive(consumer), 0)?;
        self.step = Step::Apply(values);
        Ok(())
    }
}

#[inline(always)]
fn variables<'gc>(mut scope: Vector<'gc>, depth: u32) -> Vector<'gc> {
    for _ in 0..depth {
        let Value::Scope(outer) = scope[0].get() else { unreachable!("a scope begins with the one around it") };
        scope = outer;
    }
    scope
}

fn operands_are_there<'gc>(body: Option<Code<'gc>>, values: Vector<'gc>) -> Step<'gc> {
    match body {
        Some(body) => Step::Eval(body, values),
        None => Step::Apply(values),
    }
}

/// Room for so many values: on the stack of the host if they are few.
#[inline(always)]
pub fn room<'v, 'gc>(
    few: &'v mut [Value<'gc>; OPERANDS],
    many: &'v mut Vec<Value<'gc>>,
    count: usize,
) -> Result<&'v mut [Value<'gc>], OutOfMemory> {
    if count <= OPERANDS {
        return Ok(&mut few[..count]);
    }
    many.try_reserve(count).map_err(|_| OutOfMemory)?;
    many.resize(count, Value::Nil);
    Ok(many)
}
