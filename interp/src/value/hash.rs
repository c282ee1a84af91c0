//! The hash of keys that are no strings (those keep their own: `string`).
//!
//! All that enters is seeded, at random for each process, so that nobody can prepare collisions. What stands side by side is given places side by side:
//! integers in windows of 1,024 (in large tables 64), objects in groups of 1 KiB of memory. A group begins anywhere, so that groups meet in a table as single
//! keys with random hashes would; within one there is no collision, and a table that is filled in order is written in order.
//! Large tables do so for other steps than 1, too (`table::progression`).

use super::{Tag, Value};
use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering};

/// A number that is added, and an odd one to multiply with.
static SEEDS: [AtomicU64; 2] = [AtomicU64::new(0x2545_F491_4F6C_DD1D), AtomicU64::new(0xD6E8_FEB8_6659_FD93)];
static SEEDED: Once = Once::new();

/// The odd number next to 2^64 divided by the golden ratio, whose multiples are spread most evenly (Knuth 1973, 6.4).
const SECOND: u64 = 0x9E37_79B9_7F4A_7C15;

/// Bits of a number within its group.
const GROUP_BITS: u32 = 6;
const GROUP: u64 = (1 << GROUP_BITS) - 1;
/// The same of a window: so many consecutive integers share no place of a table that has as many.
const WINDOW_BITS: u32 = 10;
const WINDOW: u32 = (1 << WINDOW_BITS) - 1;
/// Objects are as far apart.
const GRANULE_BITS: u32 = 4;

/// Draws the seeds, once a process. Before the first table is made: hashes are kept.
pub fn seed() {
    SEEDED.call_once(|| {
        use std::hash::{BuildHasher, RandomState};
        let random = RandomState::new();
        SEEDS[0].store(random.hash_one(0), Ordering::Relaxed);
        SEEDS[1].store(random.hash_one(1) | 1, Ordering::Relaxed);
    });
}

/// The halves of the product, one upon the other: each bit of either factor has its part in each bit of the result. Of numbers in equal steps they are four
/// rows of equal steps, which for a few factors in a hundred meet too often; the second product breaks them up.
#[inline(always)]
fn mixed(x: u64) -> u32 {
    let (add, factor) = (SEEDS[0].load(Ordering::Relaxed), SEEDS[1].load(Ordering::Relaxed));
    let product = (x ^ add) as u128 * factor as u128;
    let folded = product as u64 ^ (product >> 64) as u64;
    ((folded ^ folded >> 32).wrapping_mul(SECOND) >> 32) as u32
}

#[inline(always)]
fn grouped(n: u64) -> u32 {
    mixed(n >> GROUP_BITS).wrapping_add((n & GROUP) as u32)
}

/// The hash of what has no neighbours.
#[inline(always)]
pub fn of_bits(bits: u64) -> u32 {
    mixed(bits)
}

/// The hash of an integer in a table that is not large.
#[inline(always)]
pub fn of_int(n: i64) -> u32 {
    let (start, n) = (mixed(n as u64 >> WINDOW_BITS), n as u32 & WINDOW);
    // The keys of each group of 64 change places among themselves, those of other groups otherwise: keys 64 apart, of which a small table could have all in
    // one place, stand in different ones.
    start.wrapping_add(n ^ (start >> 8 >> (n >> GROUP_BITS)) & GROUP as u32)
}

/// The hash of an integer in a large table: a window would fill one of its parts more than others.
#[inline(always)]
pub fn of_int_in_large(n: i64) -> u32 {
    grouped(n as u64)
}

/// The hash of a key, of an interned string if it is one.
#[inline(always)]
pub fn of_key(key: Value) -> u32 {
    match key.tag() {
        Tag::STR => key.as_str().map_or(0, |s| s.key_hash()),
        Tag::INT => of_int(key.raw_int()),
        Tag::FLOAT => mixed(key.bits()),
        Tag::NIL | Tag::FALSE | Tag::TRUE => mixed(key.tag().0 as u64),
        _ => grouped(key.bits() >> GRANULE_BITS),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The most keys that share one of as many places.
    fn longest(keys: impl Iterator<Item = Value>) -> usize {
        let keys: Vec<Value> = keys.collect();
        let count = keys.len().next_power_of_two();
        let mut places = vec![0usize; count];
        for key in keys {
            places[of_key(key) as usize & (count - 1)] += 1;
        }
        places.into_iter().max().unwrap_or(0)
    }

    /// Families of keys that programs make, against keys at random.
    #[test]
    fn families_of_keys_spread_like_random_ones() {
        seed();
        // Of few keys the longest chain is a matter of luck.
        [(60, 6), (250, 6), (1000, 6), (20_000, 0)].into_iter().for_each(|(count, luck)| families_spread(count, luck));
    }

    fn families_spread(count: u64, luck: usize) {
        let int = |n: u64| Value::int(n as i64);
        let float = |f: f64| Value::float(f);
        let bound = luck
            + 2 * longest(
                (0..count)
                    .map(|n| int(n.wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29).wrapping_mul(0xD134_2543_DE82_EF95))),
            );
        let mut worst = Vec::new();
        for shift in [0, 1, 4, 8, 12, 16, 20, 32, 40, 48] {
            worst.push((format!("n << {shift}"), longest((1..=count).map(|n| int(n << shift)))));
        }
        for step in [3, 10, 60, 63, 64, 65, 100, 1023, 1025, 3600, 4095, 4096, 86_400, 1_000_003] {
            worst.push((format!("n * {step}"), longest((1..=count).map(|n| int(n * step)))));
        }
        for shift in [8, 16, 32] {
            worst.push((format!("x, y packed by {shift}"), longest((0..count).map(|n| int(((n / 141) << shift) | (n % 141))))));
        }
        worst.push(("negative".into(), longest((1..=count).map(|n| int(n.wrapping_neg())))));
        for exponent in [-1000, -40, -1, 20, 60, 900] {
            worst.push((format!("n * 2^{exponent}"), longest((1..=count).map(|n| float(n as f64 * 2f64.powi(exponent))))));
        }
        worst.push(("n / 10".into(), longest((1..=count).map(|n| float(n as f64 / 10.0)))));
        worst.push(("1 + n * 2^-52".into(), longest((1..=count).map(|n| float(1.0 + n as f64 * f64::EPSILON)))));
        for size in [16, 32, 48, 64, 80, 112, 4096] {
            let address = |n: u64| Value::from_parts(Tag::LIGHT, 0x7f12_3450_0000 + n * size);
            worst.push((format!("objects of {size} bytes"), longest((0..count).map(address))));
        }
        assert!(worst.len() >= 30);
        for (family, longest) in worst {
            assert!(longest <= bound, "{count} of {family}: {longest} keys in one place, {bound} allowed");
        }
    }
}
