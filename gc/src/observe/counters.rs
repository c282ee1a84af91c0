//! Running totals since the heap was made. The collector adds to them; nothing in the crate decides by them but the pacer by what was allocated.

/// Totals since the birth of the heap.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Counters {
    pub allocated_objects: u64,
    pub allocated_bytes: u64,
    /// Died young: never promoted, never counted.
    pub young_objects: u64,
    pub young_bytes: u64,
    /// Reclaimed because their count fell to 0.
    pub counted_objects: u64,
    pub counted_bytes: u64,
    /// Reclaimed as members of dead cycles (or hanging from one).
    pub cyclic_objects: u64,
    pub cyclic_bytes: u64,
    /// Epoch ends.
    pub epochs: u64,
    /// Cycles of marking that came to their end.
    pub cycles: u64,
    /// Finalizers handed over.
    pub finalizers: u64,
    /// Destructors run.
    pub destructors: u64,
    /// Stops of the program, whole collections among them.
    pub stops: u64,
    /// Stops beyond the collector's share of the time, because the heap would have outgrown its bounds.
    pub urgent: u64,
    /// The most units of work in one stop, whole collections and what the program asked for aside ([`crate::STOP_UNITS_MAX`]).
    pub most_units: u64,
}

impl Counters {
    pub fn reclaimed_objects(&self) -> u64 {
        self.young_objects + self.counted_objects + self.cyclic_objects
    }
    pub fn reclaimed_bytes(&self) -> u64 {
        self.young_bytes + self.counted_bytes + self.cyclic_bytes
    }
}
