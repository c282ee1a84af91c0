//! What every contender does, how much of it, and what must come out: the sizes, the random changes, and the naive models that the results are compared with.
//!
//! Invariants:
//! * **known-beforehand** What a workload returns follows from its size alone, by an equation or by a model of numbers that shares nothing with any contender.
//! * **from-empty-to-empty** A contender starts without objects, tells the meter when its work is done ([`Meter::closes`]), and has given back everything when it returns.

use crate::meter::Meter;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Workload {
    Trees,
    Parents,
    Lists,
    SmallGraph,
    LargeGraph,
    Cache,
    Sessions,
}

impl Workload {
    pub const ALL: [Workload; 7] = [
        Workload::Trees,
        Workload::Parents,
        Workload::Lists,
        Workload::SmallGraph,
        Workload::LargeGraph,
        Workload::Cache,
        Workload::Sessions,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Workload::Trees => "binary trees",
            Workload::Parents => "trees with parents",
            Workload::Lists => "long lists",
            Workload::SmallGraph => "graph of a thousand",
            Workload::LargeGraph => "graph of a million",
            Workload::Cache => "weak cache",
            Workload::Sessions => "sessions",
        }
    }

    /// What a contender returns.
    pub fn expected(self, scale: Scale) -> u64 {
        match self {
            Workload::Trees => Trees::of(scale, false).nodes(),
            Workload::Parents => Trees::of(scale, true).nodes(),
            Workload::Lists => Lists::of(scale).sum(),
            Workload::SmallGraph => Graph::of(scale, false).model(),
            Workload::LargeGraph => Graph::of(scale, true).model(),
            Workload::Cache => Cache::of(scale).model(),
            Workload::Sessions => Sessions::of(scale).model(),
        }
    }
}

/// How much of it: all of it for the table, a tenth for criterion, next to nothing to see that it works.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scale {
    Full,
    Tenth,
    Smoke,
}

impl Scale {
    pub const ALL: [Scale; 3] = [Scale::Full, Scale::Tenth, Scale::Smoke];

    fn pick<T>(self, full: T, tenth: T, smoke: T) -> T {
        match self {
            Scale::Full => full,
            Scale::Tenth => tenth,
            Scale::Smoke => smoke,
        }
    }
}

/// A library, with each workload as a program of its own would be written for it.
pub trait Contender {
    const WORKLOADS: &'static [Workload] = &Workload::ALL;

    fn trees(_: &Trees, _: &mut Meter) -> u64 {
        unreachable!("not among its workloads")
    }
    fn parents(_: &Trees, _: &mut Meter) -> u64 {
        unreachable!("not among its workloads")
    }
    fn lists(_: &Lists, _: &mut Meter) -> u64 {
        unreachable!("not among its workloads")
    }
    fn graph(_: &Graph, _: &mut Meter) -> u64 {
        unreachable!("not among its workloads")
    }
    fn cache(_: &Cache, _: &mut Meter) -> u64 {
        unreachable!("not among its workloads")
    }
    fn sessions(_: &Sessions, _: &mut Meter) -> u64 {
        unreachable!("not among its workloads")
    }
}

/// All but the weak cache: for libraries without weak references.
pub const STRONG: &[Workload] =
    &[Workload::Trees, Workload::Parents, Workload::Lists, Workload::SmallGraph, Workload::LargeGraph, Workload::Sessions];

/// Runs a workload; `None` if it is left out.
pub fn run<C: Contender>(workload: Workload, scale: Scale, meter: &mut Meter) -> Option<u64> {
    C::WORKLOADS.contains(&workload).then(|| match workload {
        Workload::Trees => C::trees(&Trees::of(scale, false), meter),
        Workload::Parents => C::parents(&Trees::of(scale, true), meter),
        Workload::Lists => C::lists(&Lists::of(scale), meter),
        Workload::SmallGraph => C::graph(&Graph::of(scale, false), meter),
        Workload::LargeGraph => C::graph(&Graph::of(scale, true), meter),
        Workload::Cache => C::cache(&Cache::of(scale), meter),
        Workload::Sessions => C::sessions(&Sessions::of(scale), meter),
    })
}

/// Numbers from 0 to below `n`, always the same ones.
pub struct Random(u64);

impl Random {
    pub fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (((self.0 >> 32) * n as u64) >> 32) as usize
    }
}

/// A sum that depends on the order of what goes into it.
#[derive(Default)]
pub struct Sum(u64);

impl Sum {
    #[inline]
    pub fn add(&mut self, number: u64) {
        self.0 = (self.0 ^ number).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(23);
    }
    pub fn value(&self) -> u64 {
        self.0
    }
}

/// Calls `work` with `count` things, so many at a time, each made of its number.
#[inline(always)]
fn batches<T>(count: usize, at_a_time: usize, mut work: impl FnMut(&[T]), make: impl FnMut(usize) -> T) {
    let mut batch = Vec::with_capacity(at_a_time);
    let mut made = (0..count).map(make);
    loop {
        batch.extend(made.by_ref().take(at_a_time));
        if batch.is_empty() {
            return;
        }
        work(&batch);
        batch.clear();
    }
}

/// Complete binary trees: a large one, one that stays, and many of each other depth, which are counted and dropped. Nodes are counted from the leaves up.
pub struct Trees {
    pub most: u32,
}

/// The least depth.
const LEAST: u32 = 4;

impl Trees {
    fn of(scale: Scale, parents: bool) -> Trees {
        Trees { most: scale.pick(15, 12, 8) - if parents { 1 } else { 0 } }
    }
    /// Depths of the trees that come and go, with how many of each.
    pub fn rounds(&self) -> impl Iterator<Item = (u32, u32)> {
        let most = self.most;
        (LEAST..=most).step_by(2).map(move |depth| (depth, 1 << (most - depth + LEAST)))
    }
    fn nodes(&self) -> u64 {
        let of = |depth: u32| (2 << depth) - 1;
        of(self.most + 1) + of(self.most) + self.rounds().map(|(depth, count)| u64::from(count) * of(depth)).sum::<u64>()
    }
}

/// Lists of numbers, made one after the other. Each is summed up when the next one has been made, and dropped then.
pub struct Lists {
    pub rounds: u64,
    pub length: u64,
}

/// So many cells are made between two looks at the collector.
pub const LIST_BATCH: u64 = 100;

impl Lists {
    fn of(scale: Scale) -> Lists {
        Lists { rounds: scale.pick(8, 4, 2), length: scale.pick(1_000_000, 200_000, 10_000) }
    }
    fn sum(&self) -> u64 {
        self.rounds * (self.length * (self.length - 1) / 2)
    }
}

/// A change of the random graph. Its vertices are held in slots, which form groups.
#[derive(Clone, Copy)]
pub enum Step {
    /// All slots of the group with this first slot are emptied, so that nothing but a few links between groups can hold what was in it.
    Drop(usize),
    /// The slot gets a new vertex; links may still hold the old one.
    Create(usize),
    Link {
        from: usize,
        field: usize,
        to: usize,
    },
    Unlink {
        from: usize,
        field: usize,
    },
    /// Reads the number of a vertex that another one links to.
    Look {
        from: usize,
        field: usize,
    },
}

/// Slots of a group.
pub const GROUP: usize = 16;
/// So many steps are made between two looks at the collector.
pub const GRAPH_BATCH: usize = 50;

/// Slots are filled, then so many steps are made.
pub struct Graph {
    pub slots: usize,
    steps: usize,
}

/// The number of a vertex, and those of the vertices that its links name.
pub type Numbers = (u64, [Option<u64>; 3]);

impl Graph {
    fn of(scale: Scale, large: bool) -> Graph {
        let slots = if large { scale.pick(1 << 20, 1 << 17, 1 << 12) } else { 1 << 10 };
        Graph { slots, steps: scale.pick(2_000_000, 200_000, 10_000) }
    }

    /// The same steps for everybody, in batches. First every slot is filled, and linked within its group.
    pub fn each_batch(&self, work: impl FnMut(&[Step])) {
        let (slots, steps, mut random) = (self.slots, self.steps, Random(9));
        batches(slots * 2 + steps, GRAPH_BATCH, work, |n| {
            if n < slots {
                Step::Create(n)
            } else if n < slots * 2 {
                let from = n - slots;
                Step::Link { from, field: 0, to: from / GROUP * GROUP + random.below(GROUP) }
            } else {
                Step::random(&mut random, slots)
            }
        });
    }

    /// What a contender returns: what was looked up, and what is held in the end.
    pub fn result(looked: &Sum, held: impl Iterator<Item = Option<Numbers>>) -> u64 {
        let mut sum = Sum(looked.0);
        for vertex in held {
            let (number, links) = vertex.map_or((0, [None; 3]), |(number, links)| (number + 1, links));
            sum.add(number);
            links.iter().for_each(|link| sum.add(link.map_or(0, |number| number + 1)));
        }
        sum.value()
    }

    /// Numbers in the place of references. Vertices that are in no slot any more are not changed, so they need not be kept.
    fn model(&self) -> u64 {
        let (mut held, mut created, mut looked) = (vec![None::<Numbers>; self.slots], 0, Sum::default());
        self.each_batch(|batch| {
            batch.iter().for_each(|&step| match step {
                Step::Drop(first) => held[first..first + GROUP].fill(None),
                Step::Create(slot) => {
                    held[slot] = Some((created, [None; 3]));
                    created += 1;
                }
                Step::Link { from, field, to } => {
                    if let Some((number, _)) = held[to]
                        && let Some((_, links)) = &mut held[from]
                    {
                        links[field] = Some(number);
                    }
                }
                Step::Unlink { from, field } => {
                    if let Some((_, links)) = &mut held[from] {
                        links[field] = None;
                    }
                }
                Step::Look { from, field } => {
                    if let Some((_, links)) = &held[from]
                        && let Some(number) = links[field]
                    {
                        looked.add(number);
                    }
                }
            });
        });
        Graph::result(&looked, held.into_iter())
    }
}

impl Step {
    /// Links stay in their group but for one in 64: within groups cycles arise, and what is dropped keeps only little of other groups alive.
    fn random(random: &mut Random, slots: usize) -> Step {
        let (action, slot, field) = (random.below(256), random.below(slots), random.below(3));
        match action {
            0 => Step::Drop(slot / GROUP * GROUP),
            1..80 => Step::Create(slot),
            80..168 => {
                let far = random.below(64) == 0;
                let to = if far { random.below(slots) } else { slot / GROUP * GROUP + random.below(GROUP) };
                Step::Link { from: slot, field, to }
            }
            168..216 => Step::Unlink { from: slot, field },
            _ => Step::Look { from: slot, field },
        }
    }
}

/// A cache with a weak reference to each of many values, which are held elsewhere.
pub struct Cache {
    pub entries: usize,
    steps: usize,
}

/// So many steps are made between two looks at the collector.
pub const CACHE_BATCH: usize = 50;

/// A step of the cache: half of them look up, a quarter replaces, a quarter lets go.
#[derive(Clone, Copy)]
pub enum Use {
    Replace(usize),
    Drop(usize),
    LookUp(usize),
}

impl Cache {
    fn of(scale: Scale) -> Cache {
        Cache { entries: scale.pick(100_000, 100_000, 1_000), steps: scale.pick(4_000_000, 400_000, 10_000) }
    }

    /// First every entry gets a value.
    pub fn each_batch(&self, work: impl FnMut(&[Use])) {
        let (entries, steps, mut random) = (self.entries, self.steps, Random(7));
        batches(entries + steps, CACHE_BATCH, work, |n| {
            if n < entries {
                return Use::Replace(n);
            }
            match (random.below(4), random.below(entries)) {
                (0, slot) => Use::Replace(slot),
                (1, slot) => Use::Drop(slot),
                (_, slot) => Use::LookUp(slot),
            }
        });
    }

    /// What a look-up adds to the result: 1 for a value that is held. What is not held may still be there, but nothing else in its place.
    #[inline]
    pub fn judge(slot: usize, found: Option<usize>, is_held: bool) -> u64 {
        assert!(found.map_or(!is_held, |number| number == slot), "a wrong entry");
        u64::from(is_held)
    }

    fn model(&self) -> u64 {
        let mut held = vec![false; self.entries];
        let mut found = 0;
        self.each_batch(|batch| {
            batch.iter().for_each(|&step| match step {
                Use::Replace(slot) => held[slot] = true,
                Use::Drop(slot) => held[slot] = false,
                Use::LookUp(slot) => found += u64::from(held[slot]),
            });
        });
        found
    }
}

/// Many sessions of four objects that refer to each other and to the sessions beside them, replaced at random. Every step is timed.
pub struct Sessions {
    pub count: usize,
    requests: usize,
}

/// Requests of a step.
pub const REQUESTS: usize = 20;

impl Sessions {
    fn of(scale: Scale) -> Sessions {
        let count = scale.pick(300_000, 30_000, 1_000);
        Sessions { count, requests: 4 * count }
    }
    /// Which sessions are replaced, step by step.
    pub fn steps(&self) -> impl Iterator<Item = [usize; REQUESTS]> {
        let (count, mut random) = (self.count, Random(11));
        (0..self.requests / REQUESTS).map(move |_| std::array::from_fn(|_| random.below(count)))
    }
    /// The number of the session that is made in the place of another: they are numbered on from those of the beginning.
    pub fn first_new(&self) -> u64 {
        self.count as u64
    }
    /// What a contender returns: the numbers of the sessions, in order; each is found to be whole.
    pub fn result(sessions: impl Iterator<Item = (u64, bool)>) -> u64 {
        let mut sum = Sum::default();
        for (number, is_whole) in sessions {
            assert!(is_whole, "session {number} is torn");
            sum.add(number);
        }
        sum.value()
    }
    fn model(&self) -> u64 {
        let mut numbers: Vec<u64> = (0..self.count as u64).collect();
        for (slot, number) in self.steps().flatten().zip(self.first_new()..) {
            numbers[slot] = number;
        }
        Sessions::result(numbers.into_iter().map(|number| (number, true)))
    }
}
