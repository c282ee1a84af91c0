//! The running thread's stack and frames.

use super::{Throw, Vm, limits};
use crate::value::{Frame, FrameKind, Gc, Thread, Value, frame_flags};
use neap_gc::OutOfMemory;
use neap_gc::heap::poll;
use std::ptr::{self, NonNull};
use std::sync::atomic::Ordering;

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
    /// Copies `n` slots to where they belong, further below (or where they are).
    #[inline(always)]
    pub(crate) fn move_down(&mut self, from: usize, to: usize, n: usize) {
        debug_assert!(to <= from && from + n <= self.thread.state().capacity + 1);
        // SAFETY: as above.
        unsafe { copy_values(self.stack.add(from), self.stack.add(to), n) };
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
        let base = self.set_watermark();
        self.scanned_top = self.scanned_top.min(base);
        // So that growing as high again is seen.
        self.soft_limit = self.soft_limit.min(self.scanned_top + self.scan_step);
    }

    /// Returns where the registers of the innermost frame begin.
    #[inline(always)]
    fn set_watermark(&mut self) -> usize {
        if self.frame_count == 0 {
            self.thread.state().stack.low = 0;
            return 0;
        }
        let f = self.frame();
        f.flags |= frame_flags::WATERMARK;
        let stack = &mut self.thread.state().stack;
        stack.low = stack.low.min(f.func as usize);
        f.base as usize
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
        state.stack.high = state.stack.high.max(self.soft_limit);
        if self.soft_limit > self.scanned_top + self.scan_step {
            self.poll.fetch_or(poll::STACK, Ordering::Relaxed);
        }
        Ok(())
    }

    /// At a safepoint, after the stack has grown by much: if it still stands so high, its scan should not wait. What native functions were called with
    /// is gone by now.
    #[cold]
    pub(super) fn measure_stack(&mut self, live_top: usize) {
        self.poll.fetch_and(!poll::STACK, Ordering::Relaxed);
        let step_end = self.scanned_top + self.scan_step;
        if live_top <= step_end {
            self.soft_limit = self.soft_limit.min(step_end);
            return;
        }
        if live_top <= self.asked_top {
            // The last scan that was asked for was in vain: the program has come down, and here it is again.
            self.scan_step = (self.scan_step * 2).min(Self::SCAN_STEP_MAX);
        }
        self.asked_top = live_top;
        self.heap.request_epoch();
    }

    /// The slots that a stack may have at present.
    pub(super) fn stack_limit(&self) -> usize {
        limits::STACK_SLOTS + if self.handlers > 0 { limits::STACK_RESERVE } else { 0 }
    }

    /// Growth of a stack, in slots, that brings about an epoch end, so that no single scan is long: at first, and for a program that goes up and
    /// down by as much again and again.
    pub(super) const SCAN_STEP: usize = 8_192;
    const SCAN_STEP_MAX: usize = 8 * Self::SCAN_STEP;
    /// The end of what the frames of a thread may use without asking, since each of them begins below the top: the outer ones write there again when the
    /// inner ones have returned.
    pub(super) fn granted(top: usize, capacity: usize) -> usize {
        (top + u8::MAX as usize + limits::NATIVE_SLOTS).min(capacity)
    }

    /// Whether there is no reference above the running thread's top that the scan would not clear (R6). For debug builds, as far as a frame reaches.
    pub(super) fn is_clean_above(&self, top: usize) -> bool {
        let state = self.thread.state();
        let start = state.stack.high.max(top);
        (start..Self::granted(start, state.capacity)).all(|i| self.slot(i).as_ref().is_none())
    }

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
        let granted = Self::granted(state.stack.top, state.capacity);
        self.soft_limit = granted.min(self.stack_limit());
        state.stack.high = state.stack.high.max(granted);
        self.top = state.stack.top;
        self.note_hook();
        // What runs now is the innermost frame (R7).
        self.set_watermark();
        self.scanned_top = state.stack.low;
    }
}

/// Copies `n` values. A single one, the common case, is not worth a call.
///
/// # Safety
/// `from` has `n` values and `to` has room for them.
#[inline(always)]
pub(super) unsafe fn copy_values(from: *const Value, to: *mut Value, n: usize) {
    // SAFETY: by the caller.
    unsafe {
        match n {
            0 => {}
            1 => *to = *from,
            _ => ptr::copy(from, to, n),
        }
    }
}
