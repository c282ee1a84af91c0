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
//! Imports `code`, `value`, `primitives`, `control`.

use super::code::{Code, Codes, Inits, Node};
use super::control;
use super::primitives::{Action, Fast, Primitive};
use super::value::{Closure, Condition, Fault, Identifier, Object, Pair, RecordProcedure, Value, Vector};
use neap_gc::OutOfMemory;
use neap_gc::arena::{Gc, GcHashMap, Lock, Mutation, Rootable, Trace, field};
use std::cell::Cell;
use std::hash::{Hash, Hasher};

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

/// The root of the arena.
#[derive(Trace, Rootable)]
pub struct Machine<'gc> {
    pub symbols: GcHashMap<'gc, Name<'gc>, Identifier<'gc>>,
    state: Lock<State<'gc>>,
    /// No dynamic state but this: what a program begins with.
    pub bottom: Gc<'gc, Dynamic<'gc>>,
    /// Variables around which there are none.
    pub outermost: Vector<'gc>,
    pub console: Value<'gc>,
    /// What `raise` and `%rewind` are in the prelude.
    pub raise: Lock<Value<'gc>>,
    pub rewind: Lock<Value<'gc>>,
    pub out_of_memory: Value<'gc>,
    /// A primitive was redefined of which calls are compiled as such.
    pub redefined: Cell<bool>,
    /// The prelude is being loaded.
    pub sealed: Cell<bool>,
    /// The programs are to take sizes for tests.
    pub small: Cell<bool>,
    pub exit: Cell<i32>,
}

/// A string that is compared by its text.
#[derive(Clone, Copy, Trace, Rootable)]
pub struct Name<'gc>(pub Gc<'gc, str>);
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

/// What the next steps find, over mutations.
#[derive(Clone, Copy, Trace)]
pub struct State<'gc> {
    pub step: Step<'gc>,
    kont: Option<Kont<'gc>>,
    dynamic: Gc<'gc, Dynamic<'gc>>,
}

#[derive(Clone, Copy, Trace)]
pub enum Step<'gc> {
    Eval(Code<'gc>, Vector<'gc>),
    /// The nodes from this one on.
    Sequence(Codes<'gc>, u32, Vector<'gc>),
    Return(Value<'gc>),
    /// A procedure and its arguments.
    Apply(Vector<'gc>),
    Raise(Value<'gc>),
    Done(Value<'gc>),
    /// Nobody has handled it.
    Failed(Value<'gc>),
}

/// What is in force as long as something is being evaluated: immutable, so it is kept and brought back by a word.
#[derive(Clone, Copy, Trace)]
pub struct Dynamic<'gc> {
    pub handlers: Value<'gc>,
    /// Pairs of parameters and values.
    pub parameters: Value<'gc>,
    /// What `dynamic-wind` is within.
    pub winds: Value<'gc>,
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
const OPERANDS: usize = 8;

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

/// The root of a new arena.
pub fn root<'gc>(mc: &Mutation<'gc>) -> Result<Gc<'gc, Machine<'gc>>, OutOfMemory> {
    let bottom = mc.try_alloc(Dynamic { handlers: Value::Nil, parameters: Value::Nil, winds: Value::Nil })?;
    let text = "out of memory";
    let mut chars = text.chars();
    let message = mc.try_alloc_slice_with(text.len(), |_| Cell::new(chars.next().unwrap_or(' ')))?;
    let condition = Condition { kind: Fault::OutOfMemory, message: Value::String(message), irritants: Value::Nil };
    mc.try_alloc(Machine {
        symbols: GcHashMap::try_new(mc)?,
        state: Lock::new(State { step: Step::Done(Value::Unspecified), kont: None, dynamic: bottom }),
        bottom,
        outermost: mc.try_alloc_slice_with(1, |_| Lock::new(Value::Nil))?,
        console: Value::Object(mc.try_alloc(Object::Port(super::value::Port::Console))?),
        raise: Lock::new(Value::Undefined),
        rewind: Lock::new(Value::Undefined),
        out_of_memory: Value::Object(mc.try_alloc(Object::Condition(condition))?),
        redefined: Cell::new(false),
        sealed: Cell::new(true),
        small: Cell::new(false),
        exit: Cell::new(0),
    })
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

    fn check_count(&self, primitive: &'static Primitive, count: usize) -> Answer<'gc, ()> {
        if primitive.takes(count) {
            return Ok(());
        }
        Err(self.error("wrong number of arguments", &[Value::Primitive(primitive), Value::Integer(count as i64)]))
    }

    fn apply(&mut self, values: Vector<'gc>) -> Answer<'gc, ()> {
        let procedure = values[0].get();
        match procedure {
            Value::Closure(closure) => return self.enter(closure, values),
            Value::Primitive(primitive) => {
                let count = values.len() - 1;
                self.check_count(primitive, count)?;
                match primitive.action {
                    Action::Control(what) => return control::control(self, what, values),
                    Action::Plain(run) => {
                        let (mut few, mut many) = ([Value::Nil; OPERANDS], Vec::new());
                        let operands = room(&mut few, &mut many, count)?;
                        for (operand, value) in operands.iter_mut().zip(&values[1..]) {
                            *operand = value.get();
                        }
                        self.step = Step::Return(run(self, operands)?);
                        return Ok(());
                    }
                }
            }
            Value::Object(object) => match &*object {
                &Object::Continuation(_, dynamic) => return control::throw(self, object, dynamic, values),
                &Object::Parameter { value, .. } if values.len() == 1 => {
                    self.step = Step::Return(control::parameter(self, procedure, value));
                    return Ok(());
                }
                Object::RecordProcedure(record) => return self.apply_record(record, values),
                _ => {}
            },
            _ => {}
        }
        Err(self.error("not a procedure", &[procedure]))
    }

    fn enter(&mut self, closure: Gc<'gc, Closure<'gc>>, values: Vector<'gc>) -> Answer<'gc, ()> {
        let template = closure.template;
        let (count, required) = (values.len() - 1, template.required as usize);
        if count < required || (count > required && !template.rest) {
            return Err(self.error("wrong number of arguments", &[Value::Closure(closure), Value::Integer(count as i64)]));
        }
        let mut variables = values;
        if template.rest {
            let mut rest = Value::Nil;
            for value in values[required + 1..].iter().rev() {
                rest = self.cons(value.get(), rest)?;
            }
            let variable = |n: usize| Lock::new(if n <= required { values[n].get() } else { rest });
            variables = self.mc.try_alloc_slice_with(required + 2, variable)?;
        }
        variables.set(self.mc, 0, Value::Scope(closure.scope));
        self.step = Step::Eval(template.body, variables);
        Ok(())
    }

    fn apply_record(&mut self, procedure: &RecordProcedure<'gc>, values: Vector<'gc>) -> Answer<'gc, ()> {
        let value = control::record(self, procedure, &values[1..])?;
        self.step = Step::Return(value);
        Ok(())
    }

    // ---- what primitives use

    #[inline]
    pub fn cons(&self, car: Value<'gc>, cdr: Value<'gc>) -> Answer<'gc> {
        Ok(Value::Pair(self.mc.try_alloc(Pair { car: Lock::new(car), cdr: Lock::new(cdr) })?))
    }
    pub fn list(&self, values: impl DoubleEndedIterator<Item = Value<'gc>>) -> Answer<'gc> {
        let mut list = Value::Nil;
        for value in values.rev() {
            list = self.cons(value, list)?;
        }
        Ok(list)
    }
    pub fn object(&self, object: Object<'gc>) -> Answer<'gc> {
        Ok(Value::Object(self.mc.try_alloc(object)?))
    }
    pub fn string(&self, text: &str) -> Answer<'gc> {
        let mut chars = text.chars();
        let string = self.mc.try_alloc_slice_with(text.chars().count(), |_| Cell::new(chars.next().unwrap_or(' ')))?;
        Ok(Value::String(string))
    }
    pub fn intern(&self, name: &str) -> Answer<'gc, Identifier<'gc>> {
        let name = Name(self.mc.try_alloc_str(name)?);
        if let Some(symbol) = self.machine.symbols.get(&name) {
            return Ok(symbol);
        }
        let symbol = self.mc.try_alloc(super::value::Symbol {
            name: name.0,
            global: Lock::new(Value::Undefined),
            standard: Lock::new(Value::Undefined),
            inlined: Cell::new(false),
            defined: Cell::new(false),
            alias: None,
        })?;
        self.machine.symbols.try_insert(self.mc, name, symbol)?;
        Ok(symbol)
    }
    #[cold]
    pub fn error(&self, message: &str, irritants: &[Value<'gc>]) -> Trap<'gc> {
        self.fault(Fault::Machine, message, irritants)
    }
    #[cold]
    pub fn fault(&self, kind: Fault, message: &str, irritants: &[Value<'gc>]) -> Trap<'gc> {
        let make = || {
            let (message, irritants) = (self.string(message)?, self.list(irritants.iter().copied())?);
            self.object(Object::Condition(Condition { kind, message, irritants }))
        };
        match make() {
            Ok(condition) => Trap::Raise(condition),
            Err(trap) => trap,
        }
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
fn room<'v, 'gc>(
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
