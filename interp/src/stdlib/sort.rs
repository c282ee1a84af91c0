//! The algorithm of `table.sort`: quicksort with a heap sort behind it, one comparison at a time.
//!
//! The order is a program's own, so it may be inconsistent, fail, or change the array while it is being sorted; and it is asked for by a call, for which
//! the sorting function waits. So the algorithm asks, and is given the answer when it is taken up again.
//!
//! * **I1** Every index handed out lies in the range to be sorted, whatever the answers are.
//! * **I2** At most `O(n log n)` comparisons: a range that was divided badly too often is heap sorted.
//! * **I3** The ranges that wait are in an array of fixed size, which the larger half of each division goes to.
//!
//! Imports nothing.

/// What the algorithm asks for. Elements are named by their index.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Request {
    /// Whether the first element must come before the second.
    Less(usize, usize),
    /// To exchange two elements.
    Swap(usize, usize),
    /// The order contradicts itself.
    Invalid,
    Done,
}

/// Elements `low..=high`, which may be divided so many times more.
#[derive(Clone, Copy, Default)]
struct Range {
    low: usize,
    high: usize,
    divisions: u32,
}

/// Where the algorithm stands: what it has asked for last, or what comes next.
#[derive(Clone, Copy)]
enum At {
    /// A range is taken up.
    Begin,
    /// Comes the last element before the first?
    Ends,
    EndsOrdered,
    /// The middle one before the first?
    Lower,
    /// The last before the middle one?
    Upper,
    /// The three are in order.
    Guarded,
    /// Both searches go on.
    Search,
    /// Comes `i` before the pivot?
    Up,
    /// The pivot before `j`?
    Down,
    Divided,
    Waiting,
    /// Heap sort: the next element is to sink.
    Heap,
    Sink,
    /// Comes one child before the other?
    Children,
    /// The parent before the greater child?
    Parent,
}

/// A sort in progress.
pub struct Sorter {
    at: At,
    range: Range,
    /// The searches of a division.
    i: usize,
    j: usize,
    /// Heap sort: the element that sinks and its child, counted from `low`, the length of the heap, and the roots to be sunk while it is built.
    parent: usize,
    child: usize,
    length: usize,
    roots: usize,
    waiting: [Range; usize::BITS as usize],
    count: usize,
}

impl Sorter {
    /// Sorts the elements `low..=high`.
    pub fn new(low: usize, high: usize) -> Sorter {
        let divisions = if low < high { 2 * (high - low).ilog2() + 4 } else { 0 };
        Sorter {
            at: At::Begin,
            range: Range { low, high, divisions },
            i: 0,
            j: 0,
            parent: 0,
            child: 0,
            length: 0,
            roots: 0,
            waiting: [Range::default(); usize::BITS as usize],
            count: 0,
        }
    }

    /// Goes on to the next request. `yes`: the answer to the last one, if that was a comparison.
    pub fn next(&mut self, yes: bool) -> Request {
        let Range { low, high, .. } = self.range;
        let pivot = high.wrapping_sub(1);
        let middle = low + high.wrapping_sub(low) / 2;
        match self.at {
            At::Begin if low >= high => self.take_waiting(),
            At::Begin if self.range.divisions == 0 => {
                self.length = high - low + 1;
                self.roots = self.length / 2;
                self.next_root()
            }
            // The first, the middle and the last element are sorted; the middle one is the pivot.
            At::Begin => self.ask(At::Ends, Request::Less(high, low)),
            At::Ends if yes => self.ask(At::EndsOrdered, Request::Swap(low, high)),
            At::Ends | At::EndsOrdered if high - low == 1 => self.take_waiting(),
            At::Ends | At::EndsOrdered => self.ask(At::Lower, Request::Less(middle, low)),
            At::Lower if yes => self.ask(At::Guarded, Request::Swap(low, middle)),
            At::Lower => self.ask(At::Upper, Request::Less(high, middle)),
            At::Upper if yes => self.ask(At::Guarded, Request::Swap(middle, high)),
            At::Upper | At::Guarded if high - low == 2 => self.take_waiting(),
            At::Upper | At::Guarded => {
                // The pivot waits beside the end; the ends are guards for both searches.
                (self.i, self.j) = (low, pivot);
                self.ask(At::Search, Request::Swap(middle, pivot))
            }
            At::Search => {
                self.i += 1;
                self.ask(At::Up, Request::Less(self.i, pivot))
            }
            // The pivot is not less than itself.
            At::Up if yes && self.i == pivot => Request::Invalid,
            At::Up if yes => {
                self.i += 1;
                Request::Less(self.i, pivot)
            }
            At::Up => {
                self.j -= 1;
                self.ask(At::Down, Request::Less(pivot, self.j))
            }
            // Everything left of `i` is not greater than the pivot.
            At::Down if yes && (self.j < self.i || self.j == low) => Request::Invalid,
            At::Down if yes => {
                self.j -= 1;
                Request::Less(pivot, self.j)
            }
            At::Down if self.j < self.i => self.ask(At::Divided, Request::Swap(self.i, pivot)),
            // `j` can't have passed the guard: it is right of `low`, and `i` is left of the pivot.
            At::Down => self.ask(At::Search, Request::Swap(self.i, self.j)),
            At::Divided => {
                self.divide();
                self.next(false)
            }
            At::Waiting => self.take_waiting(),
            At::Heap => self.next_root(),
            At::Sink => self.sink(),
            At::Children => {
                self.child += yes as usize;
                self.ask(At::Parent, Request::Less(low + self.parent, low + self.child))
            }
            At::Parent if yes => {
                let (parent, child) = (self.parent, self.child);
                self.parent = child;
                self.ask(At::Sink, Request::Swap(low + parent, low + child))
            }
            At::Parent => self.next_root(),
        }
    }

    fn ask(&mut self, at: At, request: Request) -> Request {
        self.at = at;
        request
    }

    /// The pivot has come to stand at `i`. I3: each range that waits is at least as large as all that is sorted before it, so they at least double.
    fn divide(&mut self) {
        let Range { low, high, divisions } = self.range;
        let lower = Range { low, high: self.i.saturating_sub(1).max(low), divisions: divisions - 1 };
        let upper = Range { low: (self.i + 1).min(high), high, divisions: divisions - 1 };
        let (small, large) = if self.i - low < high - self.i { (lower, upper) } else { (upper, lower) };
        if large.low < large.high {
            self.waiting[self.count] = large;
            self.count += 1;
        }
        self.range = small;
        self.at = At::Begin;
    }

    /// The range is sorted: on to one that waits.
    fn take_waiting(&mut self) -> Request {
        self.at = At::Waiting;
        let Some(last) = self.count.checked_sub(1) else { return Request::Done };
        self.count = last;
        self.range = self.waiting[last];
        self.at = At::Begin;
        self.next(false)
    }

    /// Heap sort: the next element to sink, first of the roots, then each last one in exchange with the greatest.
    fn next_root(&mut self) -> Request {
        let low = self.range.low;
        if self.roots > 0 {
            self.roots -= 1;
            self.parent = self.roots;
            return self.sink();
        }
        self.length -= 1;
        if self.length == 0 {
            return self.take_waiting();
        }
        self.parent = 0;
        self.ask(At::Sink, Request::Swap(low, low + self.length))
    }

    /// Looks for the greater child of the element that sinks.
    fn sink(&mut self) -> Request {
        let low = self.range.low;
        self.child = 2 * self.parent + 1;
        if self.child >= self.length {
            self.at = At::Heap;
            return self.next_root();
        }
        if self.child + 1 < self.length {
            return self.ask(At::Children, Request::Less(low + self.child, low + self.child + 1));
        }
        self.ask(At::Parent, Request::Less(low + self.parent, low + self.child))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sorts the values by the order; counts the comparisons.
    fn sorted(mut values: Vec<i64>, mut order: impl FnMut(i64, i64) -> bool) -> (Result<(), &'static str>, Vec<i64>, usize) {
        let mut sorter = Sorter::new(0, values.len().saturating_sub(1));
        let (mut comparisons, mut yes) = (0, false);
        loop {
            match sorter.next(yes) {
                Request::Less(a, b) => {
                    comparisons += 1;
                    yes = order(values[a], values[b]);
                }
                Request::Swap(a, b) => values.swap(a, b),
                Request::Invalid => return (Err("invalid"), values, comparisons),
                Request::Done => return (Ok(()), values, comparisons),
            }
        }
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
            assert_eq!(sorted(noise(length, 100), |_, _| true).0, Err("invalid"));
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
