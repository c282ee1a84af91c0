//! What a large table knows of its numbers. Those that are steps of one size apart, `first + n * step`, are hashed by `n`: then they are neighbours, as
//! consecutive integers are to the hash of all tables, and a table that is filled or read in order is filled and read from node to node. (A hash that is
//! learned from the keys: Sabek, Vaidya, Horn, Kipf, Mitzenmacher, Kraska 2022.)
//!
//! The steps are looked for once, when a table becomes large. Whatever comes later is hashed the same way, and may have nothing to do with them; so
//!
//! * **T9** The hash of a large table is seeded, and for integers as good as without a step: they are mapped one to one before they are hashed. Of floats at
//!   most 4 share a hash by design.

use super::nodes::Nodes;
use super::parts::SEGMENT;
use crate::value::{Tag, Value, hash};
use smallvec::SmallVec;

/// With fewer numbers of a kind there is no step to be found.
const FEWEST: usize = 64;
/// Added to a float of at most half its size, it leaves the nearest integer in the low bits.
const ROUNDING: f64 = 6_755_399_441_055_744.0;
/// Floats that are so many bits off their place, by the errors of sums and products, count as if they were there.
const NOISE_BITS: u32 = 2;

/// The steps of integers and of floats.
#[derive(Clone, Copy)]
pub(super) struct Progressions {
    /// The inverse (modulo 2^64) of the odd factor of the step. 0: nothing has been learned.
    factor: u64,
    /// The power of two in it.
    shift: u32,
    float: Option<Floats>,
}

#[derive(Clone, Copy)]
struct Floats {
    first: f64,
    step: f64,
    /// `1 / step`.
    rate: f64,
}

impl Progressions {
    /// Hashes as those of other tables: what has become one part is such a one.
    pub(super) const NONE: Progressions = Progressions { factor: 0, shift: 0, float: None };

    /// The hash of a key.
    #[inline(always)]
    pub(super) fn hash(&self, key: Value) -> u32 {
        match (key.tag(), self.float) {
            (Tag::INT, _) => self.of_int(key.raw_int()),
            (Tag::FLOAT, Some(floats)) => floats.hash(key.raw_float()),
            _ => hash::of_key(key),
        }
    }

    /// `first + n * step` becomes `n` and something that is the same for all.
    #[inline(always)]
    pub(super) fn of_int(&self, k: i64) -> u32 {
        if self.factor == 0 {
            return hash::of_int(k);
        }
        hash::of_int_in_large((k as u64).wrapping_mul(self.factor).rotate_right(self.shift) as i64)
    }

    /// The steps of the keys of some nodes.
    #[cold]
    pub(super) fn of(nodes: Nodes) -> Progressions {
        Progressions::among((0..nodes.len()).map(|i| nodes.node(i)).filter(|n| !n.value().is_nil()).map(|n| n.key()))
    }

    fn among(keys: impl Iterator<Item = Value> + Clone) -> Progressions {
        let mut ints: SmallVec<[i64; SEGMENT]> = keys.clone().filter_map(|key| key.as_int()).collect();
        let mut floats: SmallVec<[f64; SEGMENT]> = keys.filter(|key| key.is_float()).map(|key| key.raw_float()).collect();
        let step = step_of(&mut ints).unwrap_or(1);
        let shift = step.trailing_zeros();
        Progressions { factor: inverse(step >> shift), shift, float: Floats::of(&mut floats) }
    }
}

/// The distance that most neighbours among these integers have.
fn step_of(ints: &mut [i64]) -> Option<u64> {
    if ints.len() < FEWEST {
        return None;
    }
    ints.sort_unstable();
    let distances = || ints.windows(2).map(|pair| pair[1].wrapping_sub(pair[0]) as u64);
    majority(distances(), |a, b| a == b)
}

/// The inverse of an odd number modulo 2^64: each step of Newton's doubles the bits that are right, three at first.
fn inverse(odd: u64) -> u64 {
    (0..5).fold(odd, |x, _| x.wrapping_mul(2u64.wrapping_sub(odd.wrapping_mul(x))))
}

/// What more than half of the items are like (Boyer and Moore 1981).
fn majority<T: Copy>(items: impl Iterator<Item = T> + Clone, alike: impl Fn(T, T) -> bool) -> Option<T> {
    let mut votes = 0usize;
    let mut candidate = None;
    for item in items.clone() {
        match candidate {
            Some(c) if votes > 0 => votes = if alike(c, item) { votes + 1 } else { votes - 1 },
            _ => (candidate, votes) = (Some(item), 1),
        }
    }
    let candidate = candidate?;
    let (count, of_it) = items.fold((0, 0), |(count, of_it), item| (count + 1, of_it + usize::from(alike(candidate, item))));
    (of_it * 2 > count).then_some(candidate)
}

impl Floats {
    /// The step of floats, found as if they were exact to a part in 256 of it.
    fn of(floats: &mut [f64]) -> Option<Floats> {
        if floats.len() < FEWEST {
            return None;
        }
        floats.sort_unstable_by(f64::total_cmp);
        let about = majority(floats.windows(2).map(|pair| pair[1] - pair[0]), |a, b| (a - b).abs() <= a.abs() / 256.0)?;
        // Exactly: by the half that stands in the middle.
        let (first, last) = (floats[floats.len() / 4], floats[floats.len() / 4 * 3]);
        let step = (last - first) / ((last - first) / about).round();
        let found = Floats { first, step, rate: 1.0 / step };
        // As exact as the step was looked for; what is a few bits off stands in another group.
        let in_place = floats.iter().filter(|&&x| (x - found.nearest(x)).abs() <= step / 256.0).count();
        (found.rate.is_finite() && step.is_finite() && in_place * 2 > floats.len()).then_some(found)
    }

    #[inline(always)]
    fn hash(&self, x: f64) -> u32 {
        let (place, noise) = (self.place(x), self.noise(x));
        let hash = hash::of_int_in_large(place.to_bits() as i64);
        if noise == 0 { hash } else { hash ^ hash::of_bits(noise as u64) }
    }

    /// The number of the step that is next to `x`, in the low bits.
    #[inline(always)]
    fn place(&self, x: f64) -> f64 {
        (x - self.first) * self.rate + ROUNDING
    }

    #[inline(always)]
    fn nearest(&self, x: f64) -> f64 {
        self.first + (self.place(x) - ROUNDING) * self.step
    }

    /// How far `x` is off it.
    #[inline(always)]
    fn noise(&self, x: f64) -> i64 {
        let there = self.nearest(x);
        (x.to_bits().wrapping_sub(there.to_bits()) as i64 + (1 << NOISE_BITS >> 1)) >> NOISE_BITS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const N: usize = 20_000;
    /// Numbers in a table's first part, from which the steps are learned.
    const FIRST: usize = 4096;

    fn ints(step: i64, first: i64) -> Vec<Value> {
        (0..N as i64).map(|n| Value::int(n.wrapping_mul(step).wrapping_add(first))).collect()
    }
    fn floats(of: impl Fn(f64) -> f64) -> Vec<Value> {
        (0..N).map(|n| Value::float(of(n as f64))).collect()
    }
    fn sums(step: f64) -> Vec<Value> {
        let mut x = 0.0;
        (0..N).map(|_| (x += step, Value::float(x)).1).collect()
    }
    fn at_random() -> Vec<Value> {
        (0..N as u64)
            .map(|n| {
                Value::int((n.wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29).wrapping_mul(0xD134_2543_DE82_EF95)) as i64)
            })
            .collect()
    }

    /// The most keys that share one of as many places.
    fn longest(progressions: Progressions, keys: &[Value]) -> usize {
        let mut places = vec![0usize; N.next_power_of_two()];
        keys.iter().for_each(|&key| places[progressions.hash(key) as usize & (N.next_power_of_two() - 1)] += 1);
        places.into_iter().max().expect("places")
    }

    #[test]
    fn steps_are_found_and_lead_to_the_next_place() {
        hash::seed();
        let mut families = vec![
            ("n / 3", floats(|n| n / 3.0)),
            ("n + 0.5", floats(|n| n + 0.5)),
            ("n * 0.1", floats(|n| n * 0.1)),
            ("times", floats(|n| 1.7e9 + n * 1e-3)),
            ("n * 1e-300", floats(|n| n * 1e-300)),
            ("sums of 0.1", sums(0.1)),
        ];
        for (step, first) in [(64, 7), (1, 1 << 40), (3, -5), (1000, 1), (-86_400, 0), (1 << 44, 3)] {
            families.push(("integers", ints(step, first)));
        }
        for (name, keys) in families {
            let learned = Progressions::among(keys[..FIRST].iter().copied());
            let neighbours = keys.windows(2).filter(|pair| {
                let distance = learned.hash(pair[1]).wrapping_sub(learned.hash(pair[0])) as i32;
                distance.abs() == 1
            });
            let count = neighbours.count();
            // Rounding makes two or three rows of some.
            assert!(count * 2 > N, "{name}: {count} neighbours of {N}");
        }
    }

    /// T9: whatever was learned, all other keys spread like random ones.
    #[test]
    fn what_was_learned_does_no_harm() {
        hash::seed();
        let bound = 2 * longest(Progressions::NONE, &at_random());
        let families = [
            ints(1, 0),
            ints(64, 7),
            ints(1000, 1),
            ints(1 << 44, 3),
            ints(-7, 0),
            at_random(),
            floats(|n| n + 0.5),
            floats(|n| n * 0.1),
            floats(|n| 1.0 + n * f64::EPSILON),
            floats(|n| n * 1e300),
            floats(|n| n * -1e-300),
            floats(f64::sqrt),
            sums(0.1),
        ];
        for (i, known) in families.iter().enumerate() {
            let learned = Progressions::among(known[..FIRST].iter().copied());
            for (j, keys) in families.iter().enumerate() {
                let longest = longest(learned, keys);
                assert!(
                    longest <= bound + (4 << NOISE_BITS),
                    "family {j}, hashed for {i}: {longest} keys in one place, {bound} allowed"
                );
            }
        }
    }
}
