//! [`GcTreeMap`]: an ordered map on the heap.
//!
//! A B+ tree (Bayer and McCreight 1972, with all entries in the leaves): a leaf has up to 32 entries, a branch up to 32 children, each beside the least key that it
//! may have. What is full is split in two, and what has become empty is taken out of its branch; nodes are not merged before that, which costs little in practice
//! (Johnson and Shasha 1989) and writes less.
//!
//! Invariants:
//! * **sorted** The keys of a node ascend. Each key below a child is at least the key beside it, and less than the one beside the next; what is less than the first
//!   goes to the first child, too.
//! * **no-empty-node** No node but the root is empty.
//!
//! Imports `gc`, `lock`, `map`, `mutation`, `storage`, `trace`, `write`.

use super::gc::Gc;
use super::lock::Lock;
use super::map::Map;
use super::mutation::{Mutation, out_of_memory};
use super::storage::Storage;
use super::trace::{Rootable, Trace, Tracer};
use super::write::field;
use crate::heap::OutOfMemory;
use std::cell::Cell;
use std::fmt;
use std::ops::{Bound, RangeBounds};

/// Entries of a node, and what the first leaf begins with.
const WIDTH: usize = 32;
const FIRST_WIDTH: usize = 4;
/// A tree of so many levels has more entries than there is memory.
const HEIGHT_MAX: usize = 24;

/// An ordered map whose entries stand on the heap of the arena, so that they count in its bytes and against its limit, and die with it.
///
/// It is a reference to the map: one word, `Copy`; a copy is the same map. Keys and values are `Copy`, and may hold [`Gc`]s. Every operation takes time in
/// proportion to the logarithm of the map's length, and moves at most the entries of the nodes on one path, so no pause comes of its growing.
///
/// ```
/// use neap_gc::arena::{Arena, GcTreeMap};
///
/// let mut arena = Arena::<GcTreeMap<u32, u32>>::new(|mc| GcTreeMap::new(mc));
/// arena.mutate(|mc, squares| {
///     for n in (0..1_000).rev() {
///         squares.insert(mc, n, n * n);
///     }
///     assert_eq!(squares.range(30..33).collect::<Vec<_>>(), [(30, 900), (31, 961), (32, 1024)]);
///     assert_eq!((squares.first(), squares.last()), (Some((0, 0)), Some((999, 998_001))));
///     assert_eq!(squares.remove(mc, &31), Some(961));
///     assert_eq!(squares.range(31..).next(), Some((32, 1024)));
/// });
/// ```
#[derive(Trace)]
#[trace(bound = "K: 'gc, V: 'gc")]
#[repr(transparent)]
pub struct GcTreeMap<'gc, K, V> {
    head: Gc<'gc, Head<'gc, K, V>>,
}

#[derive(Trace)]
#[trace(bound = "K: 'gc, V: 'gc")]
struct Head<'gc, K, V> {
    root: Lock<Option<Node<'gc, K, V>>>,
    len: Cell<usize>,
}

enum Node<'gc, K, V> {
    Leaf(Storage<'gc, (K, V)>),
    Branch(Storage<'gc, (K, Node<'gc, K, V>)>),
}

impl<K, V> Clone for Node<'_, K, V> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<K, V> Copy for Node<'_, K, V> {}

// SAFETY: the reference to the storage is shown.
unsafe impl<'gc, K: 'gc, V: 'gc> Trace<'gc> for Node<'gc, K, V> {
    const MAP: Map = Map::FOUND;
    #[inline]
    fn trace(&self, tracer: &mut Tracer<'_>) {
        match self {
            Node::Leaf(storage) => storage.trace(tracer),
            Node::Branch(storage) => storage.trace(tracer),
        }
    }
}

impl<'gc, K: Copy + Ord + Trace<'gc>, V: Copy + Trace<'gc>> Node<'gc, K, V> {
    fn is_full(self) -> bool {
        match self {
            Node::Leaf(leaf) => leaf.len() >= WIDTH,
            Node::Branch(branch) => branch.len() >= WIDTH,
        }
    }
    fn least(self) -> K {
        match self {
            Node::Leaf(leaf) => leaf.get(0).0,
            Node::Branch(branch) => branch.get(0).0,
        }
    }
    /// Moves the upper half of a full node to a new one, which is returned with its least key. Where `key` belongs behind all others, the node stays as full as it
    /// can be: keys that come in order fill their nodes.
    fn split_if_full(self, mc: &Mutation<'gc>, key: &K) -> Result<Option<(K, Self)>, OutOfMemory> {
        if !self.is_full() {
            return Ok(None);
        }
        let at = |greatest: K| if *key > greatest { WIDTH - 1 } else { WIDTH / 2 };
        let upper = match self {
            Node::Leaf(leaf) => Node::Leaf(leaf.split_off(mc, at(leaf.get(WIDTH - 1).0), WIDTH)?),
            Node::Branch(branch) => Node::Branch(branch.split_off(mc, at(branch.get(WIDTH - 1).0), WIDTH)?),
        };
        Ok(Some((upper.least(), upper)))
    }
}

/// The way to a leaf: each branch, and which of its children was taken.
struct Path<'gc, K, V> {
    leaf: Storage<'gc, (K, V)>,
    branches: [Option<Step<'gc, K, V>>; HEIGHT_MAX],
    height: usize,
}
type Step<'gc, K, V> = (Storage<'gc, (K, Node<'gc, K, V>)>, usize);

impl<'gc, K, V> Path<'gc, K, V> {
    /// The branches from the lowest on.
    fn upwards(&self) -> impl Iterator<Item = Step<'gc, K, V>> {
        self.branches[..self.height].iter().rev().flatten().copied()
    }
}

/// The first of some ascending entries for which `is_before` is no longer true.
fn search<'gc, T: Copy + Trace<'gc>>(storage: Storage<'gc, T>, mut is_before: impl FnMut(&T) -> bool) -> usize {
    let (mut low, mut high) = (0, storage.len());
    while low < high {
        let middle = low.midpoint(high);
        if is_before(&storage.get(middle)) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    low
}

impl<K, V> Clone for GcTreeMap<'_, K, V> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<K, V> Copy for GcTreeMap<'_, K, V> {}

impl<K: Rootable, V: Rootable> Rootable for GcTreeMap<'_, K, V> {
    type Root<'gc> = GcTreeMap<'gc, K::Root<'gc>, V::Root<'gc>>;
}

impl<'gc, K: Copy + Ord + Trace<'gc>, V: Copy + Trace<'gc>> GcTreeMap<'gc, K, V> {
    /// An empty map: a cell of 48 bytes.
    ///
    /// # Panics
    /// As [`Mutation::alloc`].
    pub fn new(mc: &Mutation<'gc>) -> Self {
        Self::try_new(mc).unwrap_or_else(|error| out_of_memory(error))
    }
    /// The same, with an error for a heap without memory.
    pub fn try_new(mc: &Mutation<'gc>) -> Result<Self, OutOfMemory> {
        Ok(GcTreeMap { head: mc.try_alloc(Head { root: Lock::new(None), len: Cell::new(0) })? })
    }

    pub fn len(self) -> usize {
        self.head.len.get()
    }
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }
    /// Whether both are the same map.
    pub fn ptr_eq(self, other: Self) -> bool {
        self.head == other.head
    }

    /// The leaf where a bound belongs, and the way there.
    fn descend(self, to: Bound<&K>) -> Option<Path<'gc, K, V>> {
        let (mut node, mut branches, mut height) = (self.head.root.get()?, [None; HEIGHT_MAX], 0);
        loop {
            match node {
                Node::Leaf(leaf) => return Some(Path { leaf, branches, height }),
                Node::Branch(branch) => {
                    let at = match to {
                        Bound::Included(key) | Bound::Excluded(key) => {
                            search(branch, |(least, _)| least <= key).saturating_sub(1)
                        }
                        Bound::Unbounded => 0,
                    };
                    branches[height] = Some((branch, at));
                    height += 1;
                    node = branch.get(at).1;
                }
            }
        }
    }

    /// The value of a key.
    pub fn get(self, key: &K) -> Option<V> {
        let leaf = self.descend(Bound::Included(key))?.leaf;
        let at = search(leaf, |(own, _)| own < key);
        (at < leaf.len()).then(|| leaf.get(at)).filter(|(own, _)| own == key).map(|(_, value)| value)
    }
    pub fn contains_key(self, key: &K) -> bool {
        self.get(key).is_some()
    }

    /// Gives a key a value; what it had before. (The key that is there stays, if an equal one is.)
    ///
    /// # Panics
    /// As [`Mutation::alloc`].
    pub fn insert(self, mc: &Mutation<'gc>, key: K, value: V) -> Option<V> {
        self.try_insert(mc, key, value).unwrap_or_else(|error| out_of_memory(error))
    }

    /// The same, with an error for a heap without memory; then the entries of the map are what they were.
    pub fn try_insert(self, mc: &Mutation<'gc>, key: K, value: V) -> Result<Option<V>, OutOfMemory> {
        let mut node = match self.head.root.get() {
            Some(root) => self.root_with_room(mc, root, &key)?,
            None => {
                let leaf = Node::Leaf(Storage::new(mc, FIRST_WIDTH)?);
                self.set_root(mc, Some(leaf));
                leaf
            }
        };
        // Each node on the way has room, so that its child can be split.
        loop {
            match node {
                Node::Branch(branch) => {
                    let at = search(branch, |(least, _)| *least <= key).saturating_sub(1);
                    let child = branch.get(at).1;
                    node = match child.split_if_full(mc, &key)? {
                        Some((least, upper)) => {
                            branch.insert(mc, at + 1, (least, upper));
                            if key < least { child } else { upper }
                        }
                        None => child,
                    };
                }
                Node::Leaf(leaf) => {
                    let at = search(leaf, |(own, _)| *own < key);
                    if let Some((own, old)) = (at < leaf.len()).then(|| leaf.get(at)).filter(|(own, _)| *own == key) {
                        leaf.set(mc, at, (own, value));
                        return Ok(Some(old));
                    }
                    leaf.insert(mc, at, (key, value));
                    self.head.len.set(self.len() + 1);
                    return Ok(None);
                }
            }
        }
    }

    fn set_root(self, mc: &Mutation<'gc>, root: Option<Node<'gc, K, V>>) {
        field!(Gc::write(self.head, mc), Head, root).set(root);
    }

    /// A small map is one leaf that grows; a full root becomes the two children of a new one.
    fn root_with_room(self, mc: &Mutation<'gc>, root: Node<'gc, K, V>, key: &K) -> Result<Node<'gc, K, V>, OutOfMemory> {
        if let Node::Leaf(leaf) = root
            && leaf.len() == leaf.capacity()
            && leaf.len() < WIDTH
        {
            let larger = Node::Leaf(leaf.with_room(mc, 1)?);
            self.set_root(mc, Some(larger));
            return Ok(larger);
        }
        if !root.is_full() {
            return Ok(root);
        }
        let branch = Storage::new(mc, WIDTH)?;
        let least = root.least();
        if let Some((least_above, upper)) = root.split_if_full(mc, key)? {
            branch.push(mc, (least, root));
            branch.push(mc, (least_above, upper));
        }
        self.set_root(mc, Some(Node::Branch(branch)));
        Ok(Node::Branch(branch))
    }

    /// Takes an entry out; its value.
    pub fn remove(self, mc: &Mutation<'gc>, key: &K) -> Option<V> {
        let path = self.descend(Bound::Included(key))?;
        let leaf = path.leaf;
        let at = search(leaf, |(own, _)| own < key);
        if at == leaf.len() || leaf.get(at).0 != *key {
            return None;
        }
        let (_, value) = leaf.remove(mc, at);
        self.head.len.set(self.len() - 1);
        // no-empty-node
        let mut is_empty = leaf.len() == 0;
        for (branch, at) in path.upwards() {
            if is_empty {
                branch.remove(mc, at);
                is_empty = branch.len() == 0;
            }
        }
        if is_empty {
            self.set_root(mc, None);
        }
        while let Some(Node::Branch(branch)) = self.head.root.get()
            && branch.len() == 1
        {
            self.set_root(mc, Some(branch.get(0).1));
        }
        Some(value)
    }

    /// Makes it as it was when it was new: constant time, the collector takes the nodes apart in slices.
    pub fn clear(self, mc: &Mutation<'gc>) {
        self.set_root(mc, None);
        self.head.len.set(0);
    }

    /// The entry with the least key.
    pub fn first(self) -> Option<(K, V)> {
        self.next(Bound::Unbounded)
    }
    /// The entry with the greatest key.
    pub fn last(self) -> Option<(K, V)> {
        let mut node = self.head.root.get()?;
        loop {
            match node {
                Node::Branch(branch) => node = branch.get(branch.len() - 1).1,
                Node::Leaf(leaf) => return Some(leaf.get(leaf.len().checked_sub(1)?)),
            }
        }
    }

    /// The first entry from a bound on.
    fn next(self, from: Bound<&K>) -> Option<(K, V)> {
        let path = self.descend(from)?;
        let leaf = path.leaf;
        let at = match from {
            Bound::Included(key) => search(leaf, |(own, _)| own < key),
            Bound::Excluded(key) => search(leaf, |(own, _)| own <= key),
            Bound::Unbounded => 0,
        };
        if at < leaf.len() {
            return Some(leaf.get(at));
        }
        // The first leaf of the next child that there is.
        let (branch, at) = path.upwards().find(|(branch, at)| at + 1 < branch.len())?;
        let mut node = branch.get(at + 1).1;
        loop {
            match node {
                Node::Branch(branch) => node = branch.get(0).1,
                Node::Leaf(leaf) => return (leaf.len() > 0).then(|| leaf.get(0)),
            }
        }
    }

    /// The entries whose keys are in the range, in order; each is looked up anew, so that the map may change meanwhile.
    pub fn range<Q: RangeBounds<K>>(self, range: Q) -> impl Iterator<Item = (K, V)> + use<'gc, K, V, Q> {
        let mut from = range.start_bound().cloned();
        std::iter::from_fn(move || {
            let (key, value) = self.next(from.as_ref())?;
            let is_within = match range.end_bound() {
                Bound::Included(end) => key <= *end,
                Bound::Excluded(end) => key < *end,
                Bound::Unbounded => true,
            };
            from = Bound::Excluded(key);
            is_within.then_some((key, value))
        })
    }
    /// All entries, in order.
    pub fn iter(self) -> impl Iterator<Item = (K, V)> + 'gc {
        self.range(..)
    }
}

impl<'gc, K: Copy + Ord + Trace<'gc> + fmt::Debug, V: Copy + Trace<'gc> + fmt::Debug> fmt::Debug for GcTreeMap<'gc, K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}
