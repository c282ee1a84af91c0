//! The algorithm of `table.sort`: quicksort with a heap sort behind it.
//!
//! The order is a program's own, so it may be inconsistent, fail, or change the array while it is being sorted.
//!
//! * **I1** Every index handed out lies in the range to be sorted, whatever the order answers.
//! * **I2** At most `O(n log n)` comparisons: a range that was divided badly too often is heap sorted.
//! * **I3** No recursion: the ranges that wait are in an array of fixed size, which the larger half of each division goes to.
//!
//! Imports nothing.

/// What can be sorted. Elements are named by their index.
pub trait Sortable {
    type Error;

    /// Whether element `a` must come before element `b`.
    fn less(&mut self, a: usize, b: usize) -> Result<bool, Self::Error>;
    /// Exchanges two elements.
    fn swap(&mut self, a: usize, b: usize) -> Result<(), Self::Error>;
    /// The error for an order that contradicts itself.
    fn invalid_order(&mut self) -> Self::Error;
}

/// Sorts the elements `low..=high`.
pub fn sort<S: Sortable>(items: &mut S, low: usize, high: usize) -> Result<(), S::Error> {
    if low >= high {
        return Ok(());
    }
    // I3: each range that waits is at least as large as all that is sorted before it, so they at least double.
    let mut waiting = [(0, 0, 0); usize::BITS as usize];
    let mut count = 0;
    let mut range = (low, high, 2 * (high - low).ilog2() + 4);
    loop {
        match divide(items, range)? {
            Some(pivot) => {
                let (low, high, divisions) = range;
                let lower = (low, pivot.saturating_sub(1).max(low), divisions - 1);
                let upper = ((pivot + 1).min(high), high, divisions - 1);
                let (small, large) = if pivot - low < high - pivot { (lower, upper) } else { (upper, lower) };
                if large.0 < large.1 {
                    waiting[count] = large;
                    count += 1;
                }
                range = small;
            }
            None if count == 0 => return Ok(()),
            None => {
                count -= 1;
                range = waiting[count];
            }
        }
    }
}

/// Sorts a range that is small, or has used up its divisions; otherwise divides it, and returns where the pivot came to stand.
fn divide<S: Sortable>(items: &mut S, (low, high, divisions): (usize, usize, u32)) -> Result<Option<usize>, S::Error> {
    if low >= high {
        return Ok(None);
    }
    if divisions == 0 {
        heap_sort(items, low, high)?;
        return Ok(None);
    }
    // Sort the first, the middle and the last element; the middle one is the pivot.
    order(items, low, high)?;
    if high - low == 1 {
        return Ok(None);
    }
    let middle = low + (high - low) / 2;
    if !order(items, low, middle)? {
        order(items, middle, high)?;
    }
    if high - low == 2 {
        return Ok(None);
    }
    // The pivot waits beside the end; the ends are guards for both searches.
    let pivot = high - 1;
    items.swap(middle, pivot)?;
    let (mut i, mut j) = (low, pivot);
    loop {
        i += 1;
        while items.less(i, pivot)? {
            // The pivot is not less than itself.
            if i == pivot {
                return Err(items.invalid_order());
            }
            i += 1;
        }
        j -= 1;
        while items.less(pivot, j)? {
            // Everything left of `i` is not greater than the pivot.
            if j < i || j == low {
                return Err(items.invalid_order());
            }
            j -= 1;
        }
        if j < i {
            items.swap(i, pivot)?;
            return Ok(Some(i));
        }
        // `j` can't have passed the guard: it is right of `low`, and `i` is left of the pivot.
        items.swap(i, j)?;
    }
}

/// Brings two elements into order; tells whether it exchanged them.
fn order<S: Sortable>(items: &mut S, first: usize, second: usize) -> Result<bool, S::Error> {
    let swapped = items.less(second, first)?;
    if swapped {
        items.swap(first, second)?;
    }
    Ok(swapped)
}

fn heap_sort<S: Sortable>(items: &mut S, low: usize, high: usize) -> Result<(), S::Error> {
    let length = high - low + 1;
    for root in (0..length / 2).rev() {
        sift_down(items, low, root, length)?;
    }
    for end in (1..length).rev() {
        items.swap(low, low + end)?;
        sift_down(items, low, 0, end)?;
    }
    Ok(())
}

/// Lets the element at `root` sink to its place in the heap of `length` elements from `low` on.
fn sift_down<S: Sortable>(items: &mut S, low: usize, mut root: usize, length: usize) -> Result<(), S::Error> {
    loop {
        let mut child = 2 * root + 1;
        if child >= length {
            return Ok(());
        }
        if child + 1 < length && items.less(low + child, low + child + 1)? {
            child += 1;
        }
        if !items.less(low + root, low + child)? {
            return Ok(());
        }
        items.swap(low + root, low + child)?;
        root = child;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Items<F> {
        values: Vec<i64>,
        comparisons: usize,
        order: F,
    }

    impl<F: FnMut(i64, i64) -> bool> Sortable for Items<F> {
        type Error = &'static str;
        fn less(&mut self, a: usize, b: usize) -> Result<bool, &'static str> {
            self.comparisons += 1;
            Ok((self.order)(self.values[a], self.values[b]))
        }
        fn swap(&mut self, a: usize, b: usize) -> Result<(), &'static str> {
            self.values.swap(a, b);
            Ok(())
        }
        fn invalid_order(&mut self) -> &'static str {
            "invalid order function for sorting"
        }
    }

    fn sorted(values: Vec<i64>, order: impl FnMut(i64, i64) -> bool) -> (Result<(), &'static str>, Vec<i64>, usize) {
        let mut items = Items { values, comparisons: 0, order };
        let last = items.values.len().saturating_sub(1);
        let result = sort(&mut items, 0, last);
        (result, items.values, items.comparisons)
    }

    fn noise(length: usize, modulus: u64) -> Vec<i64> {
        let mut random = super::super::random::Random::new((length as u64, 7));
        (0..length).map(|_| (random.bits() % modulus) as i64).collect()
    }

    #[test]
    fn sorts() {
        for length in (0..64).chain([100, 1000, 5000]) {
            for modulus in [1, 2, 10, 1_000_000] {
                let values = noise(length, modulus);
                let mut expected = values.clone();
                expected.sort();
                let (result, values, _) = sorted(values, |a, b| a < b);
                assert_eq!((result, values), (Ok(()), expected));
            }
        }
    }

    #[test]
    fn is_never_quadratic() {
        const LENGTH: usize = 20_000;
        let bound = 6 * LENGTH * LENGTH.ilog2() as usize;
        let ascending: Vec<i64> = (0..LENGTH as i64).collect();
        let organ_pipe: Vec<i64> = (0..LENGTH as i64).map(|i| i.min(LENGTH as i64 - i)).collect();
        for values in [ascending.clone(), ascending.iter().rev().copied().collect(), organ_pipe, vec![1; LENGTH]] {
            assert!(sorted(values, |a, b| a < b).2 < bound);
        }
        // An adversary after McIlroy: what is not decided yet is greater than all that is, until it must be decided.
        let mut fixed = vec![i64::MAX; LENGTH];
        let mut next = 0;
        let mut candidate = 0;
        let (result, _, comparisons) = sorted((0..LENGTH as i64).collect(), |a, b| {
            let (a, b) = (a as usize, b as usize);
            if fixed[a] == i64::MAX && fixed[b] == i64::MAX {
                let lost = if a == candidate { a } else { b };
                fixed[lost] = next;
                next += 1;
            }
            if fixed[a] == i64::MAX {
                candidate = a;
            } else if fixed[b] == i64::MAX {
                candidate = b;
            }
            fixed[a] < fixed[b]
        });
        assert_eq!(result, Ok(()));
        assert!(comparisons < bound, "{comparisons}");
    }

    #[test]
    fn contradictions_are_found_or_survived() {
        for length in 4..12 {
            assert_eq!(sorted(noise(length, 100), |_, _| true).0, Err("invalid order function for sorting"));
        }
        let mut random = super::super::random::Random::new((5, 5));
        for length in 0..300 {
            let values = noise(length, 50);
            let mut expected = values.clone();
            let (_, mut values, _) = sorted(values, |_, _| random.bits() & 1 == 0);
            values.sort();
            expected.sort();
            assert_eq!(values, expected, "elements are only exchanged");
        }
    }
}
