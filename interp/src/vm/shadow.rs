//! Running code against its declarations, in debug builds: before each instruction its registers are looked at.
//!
//! What the table of instructions says (`bytecode/op.rs`) is kept up to date along the way that the program takes, as the verifier does for all
//! ways. So an instruction that does something else than it says is found out, and code that the verifier should not have let in.
//!
//! * **S1** A frame begins with the first word of its code; what was known of the frame that had its place before is forgotten there.
//! * **S2** What is kept is the host's and stays small: frames beyond [`FRAMES`] of a thread are not looked at, and when there are more than [`THREADS`] all
//!   is forgotten. Of a frame of which nothing is known nothing is asked.
//!
//! May import `bytecode`, `value`, the machine.

use super::Vm;
use crate::bytecode::{Instr, Needs, Op, State};
use crate::value::{Closure, Tag};
use std::cell::Cell;
use std::collections::HashMap;

const FRAMES: usize = 64;
const THREADS: usize = 64;

/// What is known of a frame.
#[derive(Clone, Copy)]
struct Known {
    closure: *const Closure,
    base: u32,
    /// The instruction begun last, and the registers before it.
    pc: usize,
    state: State,
    needs: Needs,
    /// The one before that, if it stands before that.
    before: Option<Instr>,
}

/// What is known of the frames of all threads, by the addresses of the threads.
#[derive(Default)]
pub struct Shadow(HashMap<usize, Vec<Option<Known>>>);

impl Vm {
    /// The instruction at `pc` of the innermost frame is about to be executed.
    #[inline(never)]
    pub(super) fn shadow_check(&mut self, pc: *const Cell<u32>) {
        let (frame, depth) = (*self.frame(), self.frame_count - 1);
        let proto = frame.closure().proto;
        let at = proto.pc_index(pc);
        let word = |at: usize| proto.words().get(at).map_or(0, Cell::get);
        let instr = Instr(word(at));
        let thread = self.thread.addr();
        if depth >= FRAMES {
            return;
        }
        if self.shadow.0.len() >= THREADS && !self.shadow.0.contains_key(&thread) {
            self.shadow.0 = HashMap::new();
        }
        let frames = self.shadow.0.entry(thread).or_default();
        if frames.len() <= depth {
            frames.resize(depth + 1, None);
        }
        let (mut state, mut before) = (State::entry(proto.num_params), None);
        if at > 0 {
            let known = frames[depth].filter(|known| known.closure == frame.closure.cast_const() && known.base == frame.base);
            let Some(known) = known else { return };
            let last = Instr(word(known.pc));
            state = arrive(known, last, at, word);
            // One that is done again stands where it stood.
            before = if known.pc == at { known.before } else { Some(last).filter(|_| known.pc + last.op().words() == at) };
        }
        let inner = instr.function(word(at + 1)).map(|index| proto.protos()[index]);
        let captures = inner.iter().flat_map(|inner| inner.upvals()).filter(|upval| upval.from_register).map(|upval| upval.index);
        let needs = instr.needs(before, captures);
        if let Err(lack) = state.check(&needs) {
            panic!("{lack} ({} at {at} of {}:{})", instr.op().name(), proto.source.bytes().escape_ascii(), proto.line_defined);
        }
        frames[depth] = Some(Known { closure: frame.closure, base: frame.base, pc: at, state, needs, before });
        let tag = |register: usize| self.slot(frame.base as usize + register).tag();
        assert!(
            needs.values.iter().all(|register| tag(register) != Tag::BOX),
            "a box for a value ({} at {at})",
            instr.op().name()
        );
        assert!(needs.boxes.iter().all(|register| tag(register) == Tag::BOX), "no box ({} at {at})", instr.op().name());
        if let Some(base) = needs.loop_at {
            let kind = tag(base);
            assert!(
                matches!(kind, Tag::INT | Tag::FLOAT) && tag(base + 1) == kind && tag(base + 2) == kind,
                "no state of a loop"
            );
        }
    }
}

/// What is known of the registers at `at`, where control has come to from the instruction begun last.
fn arrive(known: Known, last: Instr, at: usize, word: impl Fn(usize) -> u32) -> State {
    let next = known.pc + last.op().words();
    let ways = last.ways(known.pc, word(known.pc + 1)).into_iter().flatten();
    // A comparison does the jump that follows it itself.
    let jump = Instr(word(next));
    let past =
        (last.op().declaration().then == Some(Op::Jmp)).then(|| jump.target(next, 0)).flatten().map(|target| (target, true));
    let states = ways.chain(past).filter(|&(place, _)| place == at).map(|(_, effects)| {
        let mut state = known.state;
        if effects {
            state.apply(last, &known.needs);
        }
        state
    });
    let state = states.reduce(State::meet);
    // Else it is done again.
    state.unwrap_or_else(|| {
        assert!(known.pc == at, "control goes from {} ({}) to {at}", known.pc, last.op().name());
        known.state
    })
}
