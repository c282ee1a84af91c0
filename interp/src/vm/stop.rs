//! Stops: what ends a run and can't be caught by it. An interrupt, and limits of fuel, time and memory.
//!
//! A stop takes away every frame up to that of the run it is for, in all coroutines between; no `pcall`, message handler, `__close` or `__gc` sees it. The
//! run may be a call of `limits.run` ([`Vm::begin_run`]), or the host's innermost call, for which its message handler may still say where it happened.
//!
//! * **S1** The runs with limits are nested, the innermost last. The limits of one hold for all that it calls; a stop is for the outermost run whose limit
//!   has been reached.
//! * **S2** Fuel is counted by the instructions that go back or call, and by the calls that native functions and operators make: the same on every
//!   machine. The loop counts in its tracing form, so who has no such limit does not pay.
//! * **S3** Time is watched by a thread, which sets [`ALARM`] in the poll word. Long natives look at that word as well.
//! * **S4** Memory is the heap's own limit, lowered for the run: what it refuses is a stop.

use super::{Throw, Vm};
use crate::bytecode::Op;
use crate::value::{FrameKind, Gc, Thread};
use neap_gc::heap::poll;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// The bit of the poll word that says that some run is out of time.
pub(crate) const ALARM: u32 = 1 << 9;
/// Either of the bits for which a program is to be stopped.
pub(crate) const STOPS: u32 = poll::INTERRUPT | ALARM;

/// Why a run was stopped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stop {
    Interrupt,
    Fuel,
    Time,
    Memory,
}

impl Stop {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Stop::Interrupt => "interrupt",
            Stop::Fuel => "fuel",
            Stop::Time => "time",
            Stop::Memory => "memory",
        }
    }

    fn message(self) -> &'static [u8] {
        match self {
            Stop::Interrupt => b"interrupted!",
            Stop::Fuel => b"out of fuel",
            Stop::Time => b"out of time",
            Stop::Memory => b"out of the memory allowed",
        }
    }
}

/// What a run may use. `None`: no limit of its own.
#[derive(Clone, Copy, Default, Debug)]
pub struct Limits {
    /// Loops taken back and calls.
    pub fuel: Option<u64>,
    /// Wall time.
    pub time: Option<Duration>,
    /// Bytes that the heap may grow by.
    pub memory: Option<usize>,
}

/// A run under limits.
pub(super) struct Run {
    /// The frame that it is for; `None`: the host's.
    frame: Option<(Gc<Thread>, usize)>,
    /// The count at which its fuel is used up.
    fuel_end: u64,
    alarm: Option<Alarm>,
    /// The heap's limit in this run, if it has one of its own, and around it.
    memory: Option<usize>,
    memory_around: usize,
}

impl Run {
    /// Whether its time is over.
    fn is_late(&self) -> bool {
        self.alarm.as_ref().is_some_and(|alarm| alarm.expired.load(Ordering::Relaxed))
    }
}

/// A thread that sets a bit of the poll word when the time is over, unless it is dropped before.
struct Alarm {
    expired: Arc<AtomicBool>,
    /// Dropped, it wakes the thread.
    cancel: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Alarm {
    fn drop(&mut self) {
        self.cancel = None;
        // Afterwards it sets no bit any more.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

impl Alarm {
    fn new(time: Duration, word: &Arc<AtomicU32>) -> std::io::Result<Alarm> {
        let expired = Arc::new(AtomicBool::new(false));
        let (cancel, wait) = channel::<()>();
        let (flag, word) = (expired.clone(), word.clone());
        let thread = std::thread::Builder::new().name("alarm".into()).spawn(move || {
            if wait.recv_timeout(time) == Err(RecvTimeoutError::Timeout) {
                flag.store(true, Ordering::Relaxed);
                word.fetch_or(ALARM, Ordering::Release);
            }
        })?;
        Ok(Alarm { expired, cancel: Some(cancel), thread: Some(thread) })
    }
}

impl Vm {
    /// From here on limits hold for what the innermost frame calls, or for all that the host calls, until [`Vm::end_run`].
    pub(crate) fn begin_run(&mut self, limits: Limits, by_host: bool) -> Result<(), Throw> {
        let alarm = match limits.time.map(|time| Alarm::new(time, &self.poll)).transpose() {
            Ok(alarm) => alarm,
            Err(error) => return Err(self.error(format!("no thread to watch the time: {error}"))),
        };
        let memory_around = self.heap.limit_bytes();
        let memory = limits.memory.map(|bytes| self.heap.mapped_bytes().saturating_add(bytes).min(memory_around));
        if self.runs.try_reserve(1).is_err() {
            return Err(self.memory_error());
        }
        if let Some(bytes) = memory {
            self.heap.set_limit_bytes(bytes);
        }
        let frame = (!by_host).then(|| (self.thread, self.frame_count - 1));
        let fuel_end = limits.fuel.map_or(u64::MAX, |fuel| self.fuel_spent.saturating_add(fuel));
        self.runs.push(Run { frame, fuel_end, alarm, memory, memory_around });
        self.note_runs();
        Ok(())
    }

    /// Ends the innermost run.
    pub(crate) fn end_run(&mut self) {
        let depth = self.runs.len().saturating_sub(1);
        self.end_runs(depth);
    }

    /// Ends all runs but the first `depth`.
    pub(super) fn end_runs(&mut self, depth: usize) {
        while self.runs.len() > depth
            && let Some(run) = self.runs.pop()
        {
            if run.memory.is_some() {
                self.heap.set_limit_bytes(run.memory_around);
            }
            // Its alarm is stopped here.
            drop(run);
            if !self.runs.iter().any(Run::is_late) {
                self.poll.fetch_and(!ALARM, Ordering::Relaxed);
            }
        }
        self.note_runs();
    }

    /// Whether a run with limits is under way, the host's aside.
    pub(crate) fn is_limited(&self) -> bool {
        self.runs.iter().any(|run| run.frame.is_some())
    }

    fn note_runs(&mut self) {
        self.fuel_end = self.runs.iter().map(|run| run.fuel_end).min().unwrap_or(u64::MAX);
        self.note_hook();
    }

    /// Whether fuel is counted.
    #[inline(always)]
    pub(super) fn is_metered(&self) -> bool {
        self.fuel_end != u64::MAX
    }

    /// S2: counts an instruction.
    #[inline]
    pub(super) fn burn_for(&mut self, op: Op) -> Result<(), Throw> {
        match op {
            Op::Loop | Op::ForLoop | Op::TForLoop | Op::Call | Op::TailCall | Op::TForCall => self.burn(),
            _ => Ok(()),
        }
    }

    #[inline]
    pub(super) fn burn(&mut self) -> Result<(), Throw> {
        self.fuel_spent += 1;
        // A host's message handler may look at what was stopped.
        if self.fuel_spent <= self.fuel_end || self.stopping.is_some() {
            return Ok(());
        }
        let spent = self.fuel_spent;
        let run = self.runs.iter().position(|run| run.fuel_end < spent);
        Err(self.stop(Stop::Fuel, run))
    }

    /// A bit of [`STOPS`] is set in the poll word: raises the stop, if there is still reason for one.
    #[cold]
    pub(crate) fn check_stops(&mut self) -> Result<(), Throw> {
        let word = self.poll.load(Ordering::Acquire);
        if word & ALARM != 0 && self.stopping.is_none() {
            // The bit stays as long as the run.
            if let Some(run) = self.runs.iter().position(Run::is_late) {
                return Err(self.stop(Stop::Time, Some(run)));
            }
        }
        if word & poll::INTERRUPT != 0 {
            self.poll.fetch_and(!poll::INTERRUPT, Ordering::Relaxed);
            return Err(self.stop(Stop::Interrupt, None));
        }
        Ok(())
    }

    /// S4: the error in flight says that memory was refused: whose limit that was, if it was a run's.
    pub(super) fn note_memory_stop(&mut self) {
        if self.stopping.is_none() && self.is_memory_error() {
            let limit = self.heap.limit_bytes();
            if let Some(run) = self.runs.iter().position(|run| run.memory == Some(limit)) {
                self.out_of_memory = false;
                self.stop(Stop::Memory, Some(run));
            }
        }
    }

    /// Raises a stop for a run, or for the host.
    fn stop(&mut self, stop: Stop, run: Option<usize>) -> Throw {
        let run = run.filter(|&run| self.runs[run].frame.is_some());
        let message = stop.message();
        let throw = if self.frame().is_lua() { self.runtime_error(message) } else { self.error(message) };
        // Even where there was no memory for a message.
        self.out_of_memory = false;
        self.restartable = false;
        self.handled = false;
        self.stopping = Some((stop, run));
        throw
    }

    /// The frame of the running thread at which the stop in flight ends, if it is one of this thread's.
    pub(super) fn stopped_frame(&self, run: Option<usize>) -> Option<usize> {
        let of_run = run.and_then(|run| self.runs[run].frame).filter(|&(thread, _)| thread == self.thread);
        let host = (0..self.frame_count).rev().find(|&i| self.frame_at(i).kind == FrameKind::Host);
        // What the host has called in between, to close the interpreter, ends first.
        of_run.map(|(_, frame)| frame).max(host)
    }

    /// Whether the error in flight, which may say that memory was refused, is a stop, which is not to be caught.
    pub(crate) fn is_stop_in_flight(&mut self) -> bool {
        self.note_memory_stop();
        self.stopping.is_some()
    }

    /// Why the last run that has ended was stopped, if it was. Tells it once.
    pub fn take_stop(&mut self) -> Option<Stop> {
        self.stopped.take()
    }

    /// From here on limits hold for all that the host does.
    pub fn limit_all(&mut self, limits: Limits) -> Result<(), Throw> {
        let Limits { fuel: None, time: None, memory: None } = limits else { return self.begin_run(limits, true) };
        Ok(())
    }

    /// Does something under limits. An error with which it ends may be a stop ([`Vm::take_stop`]).
    pub fn with_limits<T>(&mut self, limits: Limits, work: impl FnOnce(&mut Vm) -> Result<T, Throw>) -> Result<T, Throw> {
        self.stopped = None;
        let depth = self.runs.len();
        self.begin_run(limits, true)?;
        let result = work(self);
        self.end_runs(depth);
        result
    }
}
