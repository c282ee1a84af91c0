//! Stacks that give memory back: a thread that was deep once does not stay large.
//!
//! A dead coroutine has no stack. One that is left, for its resumer or for a coroutine that it resumes, is cut where it is used far below what it has; the running
//! thread is cut at an epoch end, if it has not come near what it has since the last one. Growing again costs less than the calls that made the stack grow, and
//! each of these is a single reallocation, which copies no more than what is in use.
//!
//! * **G1** A stack that is cut keeps the slots below `Stack::top` and all that its frames have been granted; `Stack::high` stays within the capacity.
//!
//! May import the machine's `stack`.

use super::{Vm, limits};
use crate::value::{Frame, Gc, Thread, ThreadState, Value};
use std::ptr::NonNull;

/// Slots, and frames, that a thread keeps though it does not use them.
const KEPT_SLOTS: usize = 128;
const KEPT_FRAMES: usize = 32;
/// A stack is cut when it has more than so many times what it uses, to twice that.
const EXCESS: usize = 4;

/// The end of the slots that a thread's frames may use without asking, its live slots ending at `top` (G1).
fn frames_end(state: &ThreadState, frame_count: usize, top: usize) -> usize {
    let mut end = top + limits::NATIVE_SLOTS;
    for i in (0..frame_count).rev() {
        // SAFETY: a frame of the thread.
        let f = unsafe { &*state.frames.add(i) };
        let base = f.base as usize;
        if base + usize::from(u8::MAX) <= end {
            // Nor do those below end higher.
            break;
        }
        if f.is_lua() {
            end = end.max(base + f.closure().proto.max_stack as usize);
        }
    }
    end
}

impl Vm {
    /// A coroutine that does not run is dead, and nobody will ask for its frames: its blocks go back.
    pub(super) fn release_stack(&mut self, co: Gc<Thread>) {
        let state = co.state();
        let blocks = [NonNull::new(state.slots.cast::<u8>()), NonNull::new(state.frames.cast()), state.tbc.take_block()];
        state.slots = std::ptr::null_mut();
        state.frames = std::ptr::null_mut();
        (state.capacity, state.frame_count, state.frame_capacity) = (0, 0, 0);
        (state.stack.top, state.stack.high, state.stack.low) = (0, 0, 0);
        for block in blocks.into_iter().flatten() {
            // SAFETY: the thread's own blocks, of which it knows nothing any more.
            unsafe { self.heap.free(block) };
        }
    }

    /// Cuts the stack of a thread that has been left, and whose state is saved (M1).
    #[inline(always)]
    pub(super) fn cut_left(&mut self, thread: Gc<Thread>) {
        let state = thread.state();
        let (top, frames) = (state.stack.top, state.frame_count);
        if state.capacity > KEPT_SLOTS && state.capacity > top * EXCESS
            || state.frame_capacity > KEPT_FRAMES && state.frame_capacity > frames * EXCESS
        {
            self.cut(thread, top, top, frames);
        }
    }

    /// Cuts the stack of the running thread, whose live slots end at `live_top`, and which has been as high as `peak` of late.
    pub(super) fn cut_running(&mut self, live_top: usize, peak: usize) {
        // A native function's values in flight end at its top.
        let top = live_top.max(self.top);
        let thread = self.thread;
        self.cut(thread, top, top.max(peak), self.frame_count);
        let state = thread.state();
        (self.stack, self.frames, self.frame_capacity) = (state.slots, state.frames, state.frame_capacity);
        self.soft_limit = self.soft_limit.min(state.capacity);
    }

    /// Cuts what a thread has more than enough of, if slots below `used` and `frame_count` frames are in use. `top`: the end of its live slots. Memory that is
    /// refused for a smaller block is no error: the larger one stays.
    #[cold]
    #[inline(never)]
    fn cut(&mut self, thread: Gc<Thread>, top: usize, used: usize, frame_count: usize) {
        let state = thread.state();
        if state.capacity > KEPT_SLOTS.max(used * EXCESS) {
            let capacity = frames_end(state, frame_count, top).max(used * 2);
            // The block has one slot more.
            let size = (capacity + 1) * size_of::<Value>();
            if let Some(block) = NonNull::new(state.slots.cast::<u8>()).filter(|_| capacity < state.capacity)
                // SAFETY: the thread's own block, and nobody holds a pointer into it: the loop takes up the new one (X1).
                && let Ok(block) = unsafe { self.heap.realloc(block, size) }
            {
                state.slots = block.as_ptr().cast();
                state.capacity = capacity;
                state.stack.high = state.stack.high.min(capacity);
            }
        }
        if state.frame_capacity > KEPT_FRAMES.max(frame_count * EXCESS) {
            let capacity = (frame_count * 2).max(Gc::<Thread>::FIRST_FRAMES);
            if let Some(block) = NonNull::new(state.frames.cast::<u8>())
                // SAFETY: as above.
                && let Ok(block) = unsafe { self.heap.realloc(block, capacity * size_of::<Frame>()) }
            {
                state.frames = block.as_ptr().cast();
                state.frame_capacity = capacity;
            }
        }
    }
}
