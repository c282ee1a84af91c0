//! A Scheme on the arena of `neap_gc`. See `machine` for how it runs.
//!
//!     read        text to data                        number      arithmetic, texts of numbers
//!     syntax      scopes, keywords, names             equal       eqv?, equal?, keys of tables
//!     rules       syntax-rules                        print       data to text
//!     quasi       quasi-quotation                     make        new objects, conditions
//!     compile     forms to code                       control     continuations, dynamic state
//!     code        what is run                         primitives  procedures of the host
//!     machine     runs it                             prelude.scm procedures of the language's own
//!     apply       calls                               value       the types of all that
//!     state       what it is at, between mutations
//!
//! This file is what a host sees: [`Interpreter`]. It owns the arena, and knows when a mutation ends: [`Interpreter::drive`] is all there is of the collector here.

mod apply;
mod code;
mod compile;
mod control;
mod equal;
mod machine;
mod make;
mod number;
mod primitives;
mod print;
mod quasi;
mod read;
mod rules;
mod state;
mod syntax;
mod value;

use machine::{Answer, Outcome, STEPS, Trap, Vm};
use neap_gc::OutOfMemory;
use neap_gc::arena::{Arena, Config, Gc, field};
use neap_gc::observe::{Cause, Counters, Summary};
use print::Style;
use read::{Missing, Reader};
use state::{Machine, Step};
use value::{Symbol, Value};

/// What depth of forms takes of the stack of the host, from above.
pub const STACK_BYTES: usize = 512 << 20;

#[derive(Clone, Debug)]
pub struct Options {
    /// The heap's limit.
    pub limit_bytes: usize,
    /// An epoch end and an audit behind every so many steps.
    pub stress: Option<u32>,
    /// Programs take sizes for tests.
    pub small: bool,
    /// A form may take so many steps, about.
    pub steps: u64,
}

impl Default for Options {
    fn default() -> Self {
        Options { limit_bytes: 1 << 30, stress: None, small: false, steps: u64::MAX }
    }
}

/// Why a text was not run to its end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Stop {
    Error(String),
    Exit(i32),
}

/// Who gets what a program prints.
type Output = Box<dyn FnMut(&[u8])>;

/// An interpreter, and the values of what has been run in it.
pub struct Interpreter {
    arena: Arena<Gc<'static, Machine<'static>>>,
    options: Options,
    /// The program has come to the limit: it has a bit more for the time that it takes to handle that.
    reserve: bool,
    output: Output,
}

/// What a program begins with.
const PRELUDE: &str = include_str!("prelude.scm");
/// Steps that are too few to have been worth a collection of the whole heap.
const FEW_STEPS: u64 = 10_000;

impl Interpreter {
    /// Texts of the program go to `output`.
    pub fn new(options: Options, output: impl FnMut(&[u8]) + 'static) -> Result<Interpreter, Stop> {
        let mut config = Config { limit_bytes: options.limit_bytes, ..Config::default() };
        if options.stress.is_some() {
            config = Config { stress_cycle: 3, audit: 1, poison: true, ..config };
        }
        let no_memory = |_: OutOfMemory| Stop::Error("out of memory".to_string());
        let mut arena = Arena::<Gc<Machine>>::try_new(config, state::root).map_err(no_memory)?;
        // All that this makes stays: there is nothing to collect in between.
        let small = options.small;
        arena.mutate(|mc, machine| {
            let mut vm = Vm::new(mc, *machine);
            define_standard(&vm).and_then(|()| load_prelude(&mut vm)).map_err(|_| no_memory(OutOfMemory))?;
            vm.save();
            machine.small.set(small);
            Ok(())
        })?;
        Ok(Interpreter { arena, options, reserve: false, output: Box::new(output) })
    }

    /// Runs all forms of a text, each in as many mutations as it takes.
    pub fn run(&mut self, text: &str) -> Result<(), Stop> {
        self.note_definitions(text);
        let mut at = 0;
        while let Some(next) = self.begin(text, at)? {
            at = next;
            self.drive()?;
        }
        Ok(())
    }

    /// The value of the last form, printed; `None` if it says nothing.
    pub fn last_value(&mut self) -> Option<String> {
        self.arena.mutate(|mc, machine| match Vm::new(mc, *machine).step {
            Step::Done(Value::Unspecified) => None,
            Step::Done(value) => Some(print::print(value, Style::Write).unwrap_or_else(|| "...".to_string())),
            _ => None,
        })
    }

    /// Whether a text ends within a datum.
    pub fn is_unfinished(&mut self, text: &str) -> bool {
        self.arena.mutate(|mc, machine| {
            let (vm, mut reader) = (Vm::new(mc, *machine), Reader::new(text));
            loop {
                match reader.read(&vm) {
                    Ok(_) => {}
                    Err(missing) => return matches!(missing, Missing::Unfinished),
                }
            }
        })
    }

    /// Checks the heap: for tests.
    pub fn audit(&self) -> Result<(), String> {
        self.arena.audit().map(|_| ()).map_err(|error| error.to_string())
    }
    pub fn counters(&self) -> Counters {
        self.arena.counters()
    }
    pub fn stops(&self) -> Summary {
        self.arena.pauses().summary(Cause::Stop)
    }
    pub fn peak_bytes(&self) -> usize {
        self.arena.peak_bytes()
    }

    /// Calls of primitives are compiled as such, unless the program has a procedure of that name: a look ahead spares it to be slow from there on.
    fn note_definitions(&mut self, text: &str) {
        self.arena.mutate(|mc, machine| {
            let (vm, mut reader) = (Vm::new(mc, *machine), Reader::new(text));
            while let Ok(form) = reader.read(&vm) {
                let Some((Value::Symbol(head), rest)) = form.uncons() else { continue };
                let mut target = rest.uncons().map(|(target, _)| target);
                while let Some(Value::Pair(pair)) = target {
                    target = Some(pair.car.get());
                }
                if let ("define", Some(Value::Symbol(name))) = (&*head.name, target) {
                    name.defined.set(true);
                }
            }
        });
    }

    /// Reads and compiles the form at a place of a text; the place behind it, `None` if there is no other.
    fn begin(&mut self, text: &str, at: usize) -> Result<Option<usize>, Stop> {
        let mut again = true;
        loop {
            let begun = self.arena.mutate(|mc, machine| {
                let mut vm = Vm::new(mc, *machine);
                let mut reader = Reader::new(text);
                reader.at = at;
                let code = match reader.read(&vm) {
                    Ok(form) => compile::compile(&vm, form),
                    Err(Missing::End) => return Ok(None),
                    Err(Missing::Unfinished) => return Err(Some("syntax: the text ends within a datum".to_string())),
                    Err(Missing::Wrong(trap)) => Err(trap),
                };
                match code {
                    Ok(code) => vm.begin(code),
                    Err(Trap::Memory) => return Err(None),
                    Err(Trap::Raise(condition)) => return Err(Some(print::uncaught(condition))),
                }
                vm.save();
                Ok(Some(reader.at))
            });
            match begun {
                Ok(begun) => return Ok(begun),
                Err(Some(message)) => return Err(Stop::Error(message)),
                Err(None) if again => {
                    self.arena.collect_cycles();
                    again = false;
                }
                Err(None) => return Err(Stop::Error("out of memory".to_string())),
            }
        }
    }

    /// Runs what has been begun. Behind each mutation the heap works for a moment, if it has asked for that; and nothing is on the stack of the host then.
    fn drive(&mut self) -> Result<(), Stop> {
        let steps = self.options.stress.unwrap_or(STEPS);
        let (mut since_memory, mut all) = (FEW_STEPS, 0);
        loop {
            if all > self.options.steps {
                return Err(Stop::Error("too many steps".to_string()));
            }
            let (outcome, done, out) = self.arena.mutate(|mc, machine| {
                let mut vm = Vm::new(mc, *machine);
                let outcome = vm.run(steps);
                vm.save();
                (outcome, vm.steps, std::mem::take(&mut vm.out))
            });
            (self.output)(&out);
            since_memory += done;
            all += done;
            match outcome {
                Outcome::Pause => {}
                Outcome::Done => return Ok(()),
                Outcome::Exit => return Err(Stop::Exit(self.arena.mutate(|_, machine| machine.exit.get()))),
                Outcome::Failed => {
                    let message = self.arena.mutate(|mc, machine| match Vm::new(mc, *machine).step {
                        Step::Failed(condition) => print::uncaught(condition),
                        _ => String::new(),
                    });
                    return Err(Stop::Error(message));
                }
                Outcome::Collect => self.arena.collect_cycles(),
                Outcome::Figures => self.figures(),
                Outcome::Memory => {
                    self.memory(std::mem::take(&mut since_memory) < FEW_STEPS);
                    continue;
                }
            }
            if self.reserve && self.arena.used_bytes() < self.options.limit_bytes / 4 * 3 {
                self.reserve = false;
                self.arena.set_limit_bytes(self.options.limit_bytes);
            }
        }
    }

    /// A step was refused memory. The whole heap is collected, and then the step is done again; or, if that comes too often, the program gets an error, and some memory to
    /// handle it with; if that does not do either, it ends.
    fn memory(&mut self, too_often: bool) {
        self.arena.collect_cycles();
        let (used, limit) = (self.arena.used_bytes(), self.options.limit_bytes);
        if self.reserve && used < limit / 4 * 3 {
            self.reserve = false;
            self.arena.set_limit_bytes(limit);
        }
        let gives_up = self.reserve && too_often;
        if !too_often && used < limit - limit / 16 {
            return;
        }
        if !self.reserve {
            self.reserve = true;
            self.arena.set_limit_bytes(limit.saturating_add(limit / 8));
        } else if !gives_up {
            return;
        }
        self.arena.mutate(|mc, machine| {
            let mut vm = Vm::new(mc, *machine);
            let condition = vm.machine.out_of_memory;
            vm.step = if gives_up { Step::Failed(condition) } else { Step::Raise(condition) };
            if gives_up {
                vm.kont = None;
            }
            vm.save();
        });
    }

    /// `(gc-stats)`: what only the arena knows.
    fn figures(&mut self) {
        let (counters, stops) = (self.counters(), self.stops());
        let figures = [
            ("used-bytes", self.arena.used_bytes() as u64),
            ("peak-bytes", self.arena.peak_bytes() as u64),
            ("allocated", counters.allocated_objects),
            ("died-young", counters.young_objects),
            ("died-counted", counters.counted_objects),
            ("died-cyclic", counters.cyclic_objects),
            ("stops", stops.count),
            ("median-stop-ns", stops.p50_ns),
            ("longest-stop-ns", stops.max_ns),
        ];
        self.arena.mutate(|mc, machine| {
            let mut vm = Vm::new(mc, *machine);
            let mut list = Ok(Value::Nil);
            for &(name, figure) in figures.iter().rev() {
                list = list.and_then(|list| {
                    let entry = vm.cons(Value::Symbol(vm.intern(name)?), Value::Integer(figure as i64))?;
                    vm.cons(entry, list)
                });
            }
            vm.step = match list {
                Ok(list) => Step::Return(list),
                Err(_) => Step::Raise(vm.machine.out_of_memory),
            };
            vm.save();
        });
    }
}

/// The keywords that the compiler knows, and the primitives.
fn define_standard<'gc>(vm: &Vm<'gc>) -> Answer<'gc, ()> {
    let define = |name, value| {
        field!(Gc::write(vm.intern(name)?, vm.mc), Symbol, global).set(value);
        Ok(())
    };
    syntax::CORES.into_iter().try_for_each(|(name, core)| define(name, Value::Core(core)))?;
    primitives::all().try_for_each(|primitive| define(primitive.name, Value::Primitive(primitive)))
}

/// Runs the prelude, and notes what it has made of names.
fn load_prelude<'gc>(vm: &mut Vm<'gc>) -> Answer<'gc, ()> {
    let mut reader = Reader::new(PRELUDE);
    loop {
        let form = match reader.read(vm) {
            Ok(form) => form,
            Err(Missing::Wrong(trap)) => return Err(trap),
            Err(Missing::End | Missing::Unfinished) => break,
        };
        let code = compile::compile(vm, form)?;
        vm.begin(code);
        let mut outcome = Outcome::Pause;
        while outcome == Outcome::Pause {
            outcome = vm.run(STEPS);
        }
        if outcome != Outcome::Done {
            return Err(Trap::Memory);
        }
    }
    for (_, symbol) in vm.machine.symbols.iter() {
        field!(Gc::write(symbol, vm.mc), Symbol, standard).set(symbol.global.get());
    }
    vm.machine.sealed.set(false);
    Ok(())
}
