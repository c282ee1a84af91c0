//! What reading and verifying a binary chunk may take: memory within bounds, and time as long as nobody objects.
//!
//! Imports nothing.

/// Why a binary chunk is no function.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// What is wrong with it.
    Invalid(String),
    OutOfMemory,
    /// The hook asked to stop.
    Stopped,
}

impl From<String> for Refusal {
    fn from(problem: String) -> Refusal {
        Refusal::Invalid(problem)
    }
}

impl From<&str> for Refusal {
    fn from(problem: &str) -> Refusal {
        Refusal::Invalid(problem.into())
    }
}

impl From<std::collections::TryReserveError> for Refusal {
    fn from(_: std::collections::TryReserveError) -> Refusal {
        Refusal::OutOfMemory
    }
}

/// Counts both.
pub struct Meter<'h> {
    /// Bytes that may still be taken.
    room: usize,
    steps: u32,
    go_on: &'h mut dyn FnMut() -> bool,
}

/// Steps between two calls of the hook.
const ASK_STEPS: u32 = 1 << 14;

impl<'h> Meter<'h> {
    pub fn new(room: usize, go_on: &'h mut dyn FnMut() -> bool) -> Meter<'h> {
        Meter { room, steps: 0, go_on }
    }

    #[inline]
    pub fn take(&mut self, bytes: usize) -> Result<(), Refusal> {
        self.room = self.room.checked_sub(bytes).ok_or(Refusal::OutOfMemory)?;
        Ok(())
    }

    /// An element, an instruction, or the like.
    #[inline]
    pub fn step(&mut self) -> Result<(), Refusal> {
        self.steps = self.steps.wrapping_add(1);
        if self.steps.is_multiple_of(ASK_STEPS) && !(self.go_on)() { Err(Refusal::Stopped) } else { Ok(()) }
    }

    /// A list with room for so many elements.
    pub fn list<T>(&mut self, count: usize) -> Result<Vec<T>, Refusal> {
        self.take(count.saturating_mul(size_of::<T>()))?;
        let mut list = Vec::new();
        list.try_reserve_exact(count)?;
        Ok(list)
    }

    pub fn copy(&mut self, bytes: &[u8]) -> Result<Vec<u8>, Refusal> {
        let mut copy = self.list(bytes.len())?;
        copy.extend_from_slice(bytes);
        Ok(copy)
    }
}
