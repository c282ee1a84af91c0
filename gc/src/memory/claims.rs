//! Which segments of the address space belong to the process-wide allocator (`explicit::global`): a bit for each, so that of any address, also of memory that
//! is not ours or not there, it can be told in one load.
//!
//! Imports `segment` (its size).

use super::segment::SEGMENT;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bits of a user's address.
const ADDRESS_BITS: u32 = 47;
const WORDS: usize = (1 << ADDRESS_BITS) / SEGMENT / 64;

/// 4 MiB of zeros, of which a page is touched for each 128 GiB of addresses in use.
static CLAIMED: [AtomicU64; WORDS] = [const { AtomicU64::new(0) }; WORDS];

fn place(addr: usize) -> Option<(&'static AtomicU64, u64)> {
    let number = addr / SEGMENT;
    CLAIMED.get(number / 64).map(|word| (word, 1 << (number % 64)))
}

/// Whether the segment of an address is claimed.
#[inline(always)]
pub fn is_claimed(addr: usize) -> bool {
    place(addr).is_some_and(|(word, bit)| word.load(Ordering::Relaxed) & bit != 0)
}

/// `false`: the address is beyond those that can be.
pub fn claim(addr: usize) -> bool {
    place(addr).map(|(word, bit)| word.fetch_or(bit, Ordering::Relaxed)).is_some()
}

pub fn give_up(addr: usize) {
    if let Some((word, bit)) = place(addr) {
        word.fetch_and(!bit, Ordering::Relaxed);
    }
}
