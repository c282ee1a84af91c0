//! References that have moved: what one record of the log has lost and another has found.
//!
//! A program that sorts, reverses or shuffles an array, or moves objects from one list to another, takes a reference out of one place and writes it to
//! another. Counted singly that is an increment and a decrement, and two looks at the object. So what a replay finds new or gone is kept here until its
//! counterpart comes by, or something else needs the place.
//!
//! Most programs move nothing, and pay for the table without a gain. So if a replay has found next to no counterpart, the next few do without: what is gone
//! is owed at once, what is new a little later, when its object has come into the cache.
//!
//! Invariants:
//! * **owed-once** A reference in the table, or in the line, stands for one increment or one decrement that is owed. Both are empty outside of the replay.
//! * **used-once** A place stands in `used` once if it is not 0, and else not.
//!
//! Imports nothing of the crate.

use crate::prefetch;

/// Places: about as many as there are references in a log that is full.
const PLACES: usize = 8 << 10;
/// How far ahead objects are brought into the cache.
const PREFETCH: usize = 12;
/// References that are new and wait for their objects, where the table is not used.
const LINE: usize = 16;
/// The table is not worth its price if fewer than one place in so many has met a counterpart, of so many at least.
const WORTH_PART: usize = 16;
const WORTH_MIN: usize = 64;
/// Replays that do without, before it is tried again.
const REST: u32 = 7;
/// Set in the word of a reference that is new.
const NEW: usize = 1;
/// In a place that was in use: what was there has met its counterpart.
const SETTLED: usize = NEW;

/// What is owed for a reference.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Owed {
    Increment(usize),
    Decrement(usize),
}

/// What has become of a reference that was told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Told {
    Kept,
    /// Its counterpart was there: nothing is owed.
    Cancelled,
    /// This is owed: for another, which had to leave its place, or for the reference itself.
    Instead(Owed),
}

pub(crate) struct Moved {
    /// Addresses of cells, with [`NEW`] or without; 0 or [`SETTLED`] where none.
    places: Box<[usize; PLACES]>,
    /// The places that have come to be in use.
    used: Box<[u16; PLACES]>,
    used_len: usize,
    /// References that have met their counterpart in this replay.
    met: usize,
    /// Replays that are still to do without the table.
    rest: u32,
    /// What is new, by the number of those before it; 0 where none.
    line: [usize; LINE],
    line_at: usize,
}

impl Moved {
    pub fn new() -> Moved {
        Moved {
            places: Box::new([0; PLACES]),
            used: Box::new([0; PLACES]),
            used_len: 0,
            met: 0,
            rest: 0,
            line: [0; LINE],
            line_at: 0,
        }
    }

    /// A reference stands where it did not before.
    #[inline(always)]
    pub fn new_one(&mut self, cell: usize) -> Told {
        if self.rest == 0 {
            return self.tell(cell, cell | NEW, cell);
        }
        prefetch(cell);
        let before = std::mem::replace(&mut self.line[self.line_at % LINE], cell);
        self.line_at += 1;
        if before == 0 { Told::Kept } else { Told::Instead(Owed::Increment(before)) }
    }
    /// A reference is gone.
    #[inline(always)]
    pub fn gone(&mut self, cell: usize) -> Told {
        if self.rest == 0 { self.tell(cell, cell, cell | NEW) } else { Told::Instead(Owed::Decrement(cell)) }
    }

    #[inline(always)]
    fn tell(&mut self, cell: usize, word: usize, counterpart: usize) -> Told {
        let number = (cell >> 4 ^ cell >> 17) % PLACES;
        let place = &mut self.places[number];
        let there = *place;
        if there == counterpart {
            *place = SETTLED;
            self.met += 1;
            return Told::Cancelled;
        }
        *place = word;
        if there > SETTLED {
            return Told::Instead(owed(there));
        }
        if there == 0 {
            // used-once: there are as many as there are places.
            self.used[self.used_len % PLACES] = number as u16;
            self.used_len += 1;
        }
        Told::Kept
    }

    /// The replay is over: all that is still owed.
    pub fn flush(&mut self, mut settle: impl FnMut(Owed)) {
        if self.rest > 0 {
            self.rest -= 1;
            self.line_at = 0;
            self.line.iter_mut().map(std::mem::take).filter(|&cell| cell != 0).for_each(|cell| settle(Owed::Increment(cell)));
            return;
        }
        if self.used_len >= WORTH_MIN && self.met * WORTH_PART < self.used_len {
            self.rest = REST;
        }
        self.met = 0;
        let used = &self.used[..self.used_len];
        for (at, &place) in used.iter().enumerate() {
            if let Some(&ahead) = used.get(at + PREFETCH) {
                prefetch(self.places[ahead as usize]);
            }
            let word = std::mem::take(&mut self.places[place as usize]);
            if word > SETTLED {
                settle(owed(word));
            }
        }
        self.used_len = 0;
    }
}

#[inline(always)]
fn owed(word: usize) -> Owed {
    if word & NEW != 0 { Owed::Increment(word & !NEW) } else { Owed::Decrement(word) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    /// Against a plain sum for each cell.
    #[test]
    fn sums_are_right_whatever_cancels() {
        let mut moved = Moved::new();
        let (mut wanted, mut found) = (HashMap::<usize, i64>::new(), HashMap::<usize, i64>::new());
        let settle = |sums: &mut HashMap<usize, i64>, owed| match owed {
            Owed::Increment(cell) => *sums.entry(cell).or_default() += 1,
            Owed::Decrement(cell) => *sums.entry(cell).or_default() -= 1,
        };
        let mut cancelled = 0;
        for n in 1..100_000usize {
            let cell = (n * 7919 % 5_003 + 1) * 16;
            let told = if n % 2 == 0 { moved.new_one(cell) } else { moved.gone(cell) };
            *wanted.entry(cell).or_default() += if n % 2 == 0 { 1 } else { -1 };
            match told {
                Told::Kept => {}
                Told::Cancelled => cancelled += 1,
                Told::Instead(owed) => settle(&mut found, owed),
            }
            if n % 30_000 == 0 {
                moved.flush(|owed| settle(&mut found, owed));
            }
        }
        moved.flush(|owed| settle(&mut found, owed));
        assert!(wanted.iter().all(|(cell, sum)| found.get(cell).copied().unwrap_or(0) == *sum) && cancelled > 1000);
        moved.flush(|_| panic!("nothing is left"));
    }

    #[test]
    fn the_table_rests_where_nothing_moves() {
        let mut moved = Moved::new();
        let mut first = 16;
        for replay in 0..3 * (REST + 1) {
            let (cells, mut owed) = (first..first + 100, Vec::new());
            let resting = replay % (REST + 1) != 0;
            for cell in cells.clone().map(|n| n * 16) {
                for told in [moved.new_one(cell), moved.gone(cell + 16_000)] {
                    if let Told::Instead(what) = told {
                        owed.push(what);
                    }
                }
            }
            // Beside what is gone, all that is new but the last few.
            assert_eq!(owed.len(), if resting { 200 - LINE } else { 0 }, "replay {replay}");
            moved.flush(|what| owed.push(what));
            assert_eq!(owed.len(), 200);
            for cell in cells.map(|n| n * 16) {
                assert!(
                    owed.contains(&Owed::Increment(cell)) && owed.contains(&Owed::Decrement(cell + 16_000)),
                    "replay {replay}"
                );
            }
            first += 100;
        }
    }

    #[test]
    fn the_table_stays_where_references_move() {
        let mut moved = Moved::new();
        for _ in 0..20 {
            for cell in (1..1000usize).map(|n| n * 16) {
                assert_eq!(moved.gone(cell), Told::Kept);
                assert_eq!(moved.new_one(cell), Told::Cancelled);
            }
            moved.flush(|_| panic!("nothing is owed"));
        }
    }
}
