//! The running thread's stack and frames.

use super::{Throw, Vm, limits};
use crate::value::{Frame, FrameKind, Gc, Thread, Value, frame_flags};
use neap_gc::OutOfMemory;
use std::ptr::NonNull;

impl Vm {
    #[inline(always)]
    pub(crate) fn slot(&self, i: usize) -> Value {
        debug_assert!(i < self.thread.state().capacity);
        // SAFETY: slots below the capacity are always initialised.
        unsafe { *self.stack.add(i) }
    }
    #[inline(always)]
    pub(crate) fn set_slot(&mut self, i: usize, v: Value) {
        debug_assert!(i < self.thread.state().capacity);
        // SAFETY: as above.
        unsafe { *self.stack.add(i) = v };
    }
    /// The innermost frame.
    #[inline(always)]
    #[allow(clippy::mut_from_ref)]
    pub(crate) fn frame(&self) -> &mut Frame {
        debug_assert!(self.frame_count > 0);
        // SAFETY: there is a frame; the borrow is used for single statements.
        unsafe { &mut *self.frames.add(self.frame_count - 1) }
    }
    #[allow(clippy::mut_from_ref)]
    pub(crate) fn frame_at(&self, i: usize) -> &mut Frame {
        assert!(i < self.frame_count);
        // SAFETY: as above.
        unsafe { &mut *self.frames.add(i) }
    }

    #[inline(always)]
    pub(crate) fn push_frame(&mut self, frame: Frame) -> Result<(), Throw> {
        if self.frame_count == self.frame_capacity {
            self.grow_frames()?;
        }
        // SAFETY: within the capacity.
        unsafe { self.frames.add(self.frame_count).write(frame) };
        self.frame_count += 1;
        Ok(())
    }

    /// Takes away the innermost frame, which is at hand; the watermark goes down with it (R7).
    #[inline(always)]
    pub(crate) fn pop_frame(&mut self, innermost: &Frame) {
        self.frame_count -= 1;
        if innermost.has(frame_flags::WATERMARK) {
            self.lower_watermark();
        }
        if innermost.is_hidden() || innermost.has(frame_flags::NO_YIELD) {
            self.abandon(innermost);
        } else if innermost.has(frame_flags::ASIDE) {
            self.thread.state().nested -= 1;
        }
    }

    /// A frame with such flags has been added, which `abandon` will take back.
    #[inline(always)]
    pub(super) fn note_frame(&mut self, flags: u8) {
        if flags & (frame_flags::ASIDE | frame_flags::NO_YIELD) != 0 {
            let state = self.thread.state();
            state.nested += u32::from(flags & frame_flags::ASIDE != 0);
            state.unyieldable += u32::from(flags & frame_flags::NO_YIELD != 0);
        }
    }

    /// How many frames that are not called by an instruction `Call` a thread may have. They take no stack of the host, but a recursion of nothing else
    /// would fill all of this one and what it makes on the way; the reference has far fewer.
    pub(super) fn nesting_limit(&self) -> u32 {
        limits::NESTING + if self.handlers > 0 { limits::NESTING_RESERVE } else { 0 }
    }

    /// The frame that is innermost now runs: nothing above its function slot counts as scanned (R7).
    #[inline(never)]
    pub(crate) fn lower_watermark(&mut self) {
        if self.frame_count > 0 {
            let f = self.frame();
            f.flags |= frame_flags::WATERMARK;
            let stack = &mut self.thread.state().stack;
            stack.low = stack.low.min(f.func as usize);
        } else {
            self.thread.state().stack.low = 0;
        }
    }

    /// The frame that a host program stands on.
    pub(crate) fn push_host_frame(&mut self) -> Result<(), OutOfMemory> {
        let frame = Frame::native(FrameKind::Host, 0, 0, 0, 0);
        self.set_slot(0, Value::NIL);
        self.top = 1;
        self.push_frame(frame).map_err(|_| OutOfMemory)
    }

    #[cold]
    fn grow_frames(&mut self) -> Result<(), Throw> {
        let capacity = self.frame_capacity * 2;
        let old = NonNull::new(self.frames.cast::<u8>()).expect("a block");
        // SAFETY: the block is this thread's.
        let new = unsafe { self.heap.realloc(old, capacity * size_of::<Frame>()) };
        let new = new.map_err(|_| self.memory_error())?;
        self.frames = new.as_ptr().cast();
        self.frame_capacity = capacity;
        let state = self.thread.state();
        state.frames = self.frames;
        state.frame_capacity = capacity;
        Ok(())
    }

    /// Makes sure that slots below `need` may be used.
    #[inline(always)]
    pub(crate) fn check_stack(&mut self, need: usize) -> Result<(), Throw> {
        if need > self.soft_limit { self.grow_stack(need) } else { Ok(()) }
    }

    #[cold]
    #[inline(never)]
    pub(crate) fn grow_stack(&mut self, need: usize) -> Result<(), Throw> {
        const SLACK: usize = 32;
        let limit = self.stack_limit();
        if need > limit {
            return Err(self.overflow_error(b"stack overflow"));
        }
        let state = self.thread.state();
        if need + SLACK > state.capacity {
            let capacity = (state.capacity * 2 + 1).max(need + SLACK);
            let old = NonNull::new(self.stack.cast::<u8>()).expect("a block");
            // SAFETY: the block is this thread's; the new slots are initialised here.
            unsafe {
                let new = self.heap.realloc(old, (capacity + 1) * size_of::<Value>());
                let new = new.map_err(|_| self.memory_error())?.as_ptr().cast::<Value>();
                for i in state.capacity + 1..=capacity {
                    new.add(i).write(Value::NIL);
                }
                self.stack = new;
                state.slots = new;
            }
            state.capacity = capacity;
        }
        self.soft_limit = (need + 8 * SLACK).min(state.capacity).min(limit);
        state.stack.high = self.soft_limit;
        if self.soft_limit > self.scanned_top + Self::SCAN_STEP {
            self.scanned_top = self.soft_limit;
            self.heap.request_epoch();
        }
        Ok(())
    }

    /// The slots that a stack may have at present.
    pub(super) fn stack_limit(&self) -> usize {
        limits::STACK_SLOTS + if self.handlers > 0 { limits::STACK_RESERVE } else { 0 }
    }

    /// Growth of a stack, in slots, that brings about an epoch end, so that no single scan is long.
    const SCAN_STEP: usize = 8_192;

    /// Writes the cached state back to the running thread (M1); `top` is the end of its live slots.
    pub(crate) fn save_thread(&mut self, top: usize) {
        let state = self.thread.state();
        state.frame_count = self.frame_count;
        state.stack.top = top;
        state.stack.high = state.stack.high.max(self.soft_limit);
    }

    /// Takes up a thread (M1).
    pub(crate) fn load_thread(&mut self, thread: Gc<Thread>) {
        let state = thread.state();
        self.thread = thread;
        self.stack = state.slots;
        self.frames = state.frames;
        self.frame_count = state.frame_count;
        self.frame_capacity = state.frame_capacity;
        self.soft_limit = state.capacity.min(self.stack_limit());
        state.stack.high = state.capacity.max(state.stack.high);
        self.top = state.stack.top;
        self.scanned_top = state.stack.top;
        self.note_hook();
        // What runs now is the innermost frame (R7).
        self.lower_watermark();
    }
}
