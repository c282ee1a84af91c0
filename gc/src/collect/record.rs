//! A record of the log: `address, tag, references...`. The references of one record stand side by side.
//!
//! Imports `store` (the room for a record).

use super::store::CHUNK_WORDS;
use std::ops::Range;

/// The longest snapshot of one record.
pub(super) const RECORD_MAX: usize = CHUNK_WORDS - 2;

/// What a record is about.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Subject {
    Object,
    /// Slots that stand side by side, [`SLOTS_MAX`] at most.
    Slots(Range<usize>),
    /// The rest of a snapshot too long for one record.
    More,
}

/// Slots of one record.
pub(super) const SLOTS_MAX: usize = 64;
/// The parts of a tag, from the lowest bits on: the length of the snapshot, what it is of, how many slots but one, the first slot.
const LENGTH_BITS: u32 = 14;
const SUBJECT_BITS: u32 = 2;
const COUNT_AT: u32 = LENGTH_BITS + SUBJECT_BITS;
const FIRST_AT: u32 = COUNT_AT + SLOTS_MAX.ilog2();

const _: () = assert!(RECORD_MAX < 1 << LENGTH_BITS);

#[inline(always)]
pub(super) fn tag(subject: &Subject, len: usize) -> usize {
    len | match subject {
        Subject::Object => 0,
        Subject::More => 1 << LENGTH_BITS,
        Subject::Slots(slots) => 2 << LENGTH_BITS | (slots.len() - 1) << COUNT_AT | slots.start << FIRST_AT,
    }
}

/// The tag of a record of one slot.
#[inline(always)]
pub(super) fn tag_of_slot(slot: usize, len: usize) -> usize {
    len | 2 << LENGTH_BITS | slot << FIRST_AT
}

/// The slot of such a record.
#[inline(always)]
pub(super) fn single_slot(tag: usize) -> Option<usize> {
    (tag >> LENGTH_BITS & ((1 << (FIRST_AT - LENGTH_BITS)) - 1) == 2).then_some(tag >> FIRST_AT)
}

/// The length of the snapshot.
#[inline(always)]
pub(super) fn length(tag: usize) -> usize {
    tag & ((1 << LENGTH_BITS) - 1)
}

#[inline(always)]
pub(super) fn subject(tag: usize) -> Subject {
    match tag >> LENGTH_BITS & ((1 << SUBJECT_BITS) - 1) {
        0 => Subject::Object,
        1 => Subject::More,
        _ => {
            let first = tag >> FIRST_AT;
            Subject::Slots(first..first + (tag >> COUNT_AT) % SLOTS_MAX + 1)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_says_what_it_was_made_of() {
        for len in [0, 1, 2, RECORD_MAX] {
            for first in [0, 1, 63, 1 << 30] {
                for count in [1, 2, SLOTS_MAX] {
                    let slots = Subject::Slots(first..first + count);
                    let tag = tag(&slots, len);
                    assert_eq!((length(tag), subject(tag)), (len, slots));
                    assert_eq!(single_slot(tag), (count == 1).then_some(first));
                    assert!(count != 1 || tag == tag_of_slot(first, len));
                }
            }
            for whole in [Subject::Object, Subject::More] {
                let tag = tag(&whole, len);
                assert_eq!((length(tag), single_slot(tag), subject(tag)), (len, None, whole));
            }
        }
    }
}
