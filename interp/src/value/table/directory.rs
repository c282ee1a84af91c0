//! Large tables: their entries stand in hash parts of one size, found by the leading bits of the hash (extendible hashing: Fagin, Nievergelt, Pippenger,
//! Strong 1979). A part that is full is replaced by two, of which each takes the entries with one value of the next bit, so that no insertion moves more than
//! one part's; two that are nearly empty become one again.
//!
//! ```text
//!   Table.nodes ──> Directory   header | len shift | sign | part | part | part | part
//!                                                            │      │      └──┬──┘
//!                               keys whose hash begins with  00     01        1        depth 2 2 1
//! ```
//!
//! * **T7** A part of depth `d` stands in the `2^(depth - d)` entries, side by side, whose leading `d` bits are those of the hashes of its keys.
//! * **T8** `Table::mask` of a large table is 0, and the sign is what it has for its only node: whoever does not find a key there looks whether the table
//!   is large.

use super::nodes::Nodes;
use super::parts::{Directory, LARGE, Node, NodePart, SEGMENT, SPARSE, part_of};
use super::progression::Progressions;
use super::weak::Leavings;
use super::{LuaHeap, SetError, Table, mark};
use crate::value::gc::Gc;
use neap_gc::Ref;
use smallvec::SmallVec;
use std::ops::Range;

/// With more live entries a full part is split, with fewer it is only cleared of the dead.
const SPLIT_FROM: usize = SEGMENT / 4 * 3;
/// Two parts that have so many together become one.
const MERGED: usize = SEGMENT / 4 * 3;

fn part<'a>(cell: Ref) -> &'a NodePart {
    // SAFETY: what stands in a directory is such a cell, and lives while it does and till the next safepoint.
    unsafe { &*cell.as_ptr().cast::<NodePart>() }
}

impl Table {
    #[inline(always)]
    pub fn is_large(&self) -> bool {
        // SAFETY: there is always a first node.
        self.mask.get() == 0 && unsafe { (*self.nodes.get()).key_tag } == LARGE
    }

    /// Only of large tables.
    pub(super) fn directory(&self) -> &Directory {
        debug_assert!(self.is_large());
        // SAFETY: T8: the sign stands in the directory.
        unsafe { &*part_of(self.nodes.get()).as_ptr().cast::<Directory>() }
    }

    /// The nodes where a hash belongs.
    #[inline(always)]
    pub(super) fn nodes_for(&self, hash: u32) -> Nodes {
        if self.is_large() {
            let directory = self.directory();
            return Nodes::of_segment(directory.entry(directory.index_of(hash)).get());
        }
        self.own_nodes()
    }

    /// Those of a table that is not large.
    #[inline(always)]
    pub(super) fn own_nodes(&self) -> Nodes {
        debug_assert!(!self.is_large());
        Nodes::new(self.nodes.get(), self.mask())
    }
}

/// The entries that a part has which stands in entry `i` (T7).
pub(super) fn span(directory: &Directory, i: usize, part: &NodePart) -> Range<usize> {
    let len = 1usize << (directory.depth() - part.depth.get());
    let first = i & !(len - 1);
    first..first + len
}

impl Gc<Table> {
    /// Makes room where a hash belongs, in a part that is full: of a large table, or of the only part of one that becomes large.
    #[inline(never)]
    pub(super) fn make_room(self, heap: &mut LuaHeap, hash: u32) -> Result<(), SetError> {
        let full = self.nodes_for(hash);
        let live = full.part().live.get() as usize;
        if !self.is_large() || live >= SPLIT_FROM {
            return self.split(heap, full, hash);
        }
        if live < SPARSE && !self.has_mark(mark::WAITS) && self.merge(heap, hash)? {
            return Ok(());
        }
        if full.clear() {
            return Ok(());
        }
        let directory = self.directory();
        let entries = span(directory, directory.index_of(hash), full.part());
        let depth = full.part().depth.get();
        self.replace(heap, &[full], &[(entries, depth)], None)
    }

    /// Two parts in the place of one.
    fn split(self, heap: &mut LuaHeap, full: Nodes, hash: u32) -> Result<(), SetError> {
        let depth = full.part().depth.get();
        // All that the table has is in this part: from now on it is hashed as suits it.
        let learned = (depth == 0).then(|| Progressions::of(full));
        if !self.is_large() || depth == self.directory().depth() {
            self.double_directory(heap)?;
        }
        let directory = self.directory();
        let both = span(directory, directory.index_of(hash), full.part());
        let middle = both.start + both.len() / 2;
        self.replace(heap, &[full], &[(both.start..middle, depth + 1), (middle..both.end, depth + 1)], learned)
    }

    /// A part and its neighbour, from which it differs in its last bit only, become one, if both have few entries.
    pub(super) fn merge(self, heap: &mut LuaHeap, hash: u32) -> Result<bool, SetError> {
        let directory = self.directory();
        let i = directory.index_of(hash);
        let one = directory.entry(i).get();
        let entries = span(directory, i, part(one));
        // The neighbour begins where this one would with the last of its bits turned.
        let other_start = entries.start ^ entries.len();
        let other = directory.entry(other_start).get();
        let depth = part(one).depth.get();
        // On the way to another mode only like ones can be merged.
        if Nodes::of_segment(other).kind() != Nodes::of_segment(one).kind() {
            return Ok(false);
        }
        if part(other).depth.get() != depth || (part(one).live.get() + part(other).live.get()) as usize > MERGED {
            return Ok(false);
        }
        // All that the table has is in one part then, which is hashed as that of any table that is not large.
        let learned = (depth == 1).then_some(Progressions::NONE);
        let both = entries.start.min(other_start);
        let both = both..both + 2 * entries.len();
        for (kept, empty) in [(one, other), (other, one)] {
            if part(empty).live.get() == 0 && learned.is_none() {
                // SAFETY: V1; the barrier comes before the writes (V2).
                unsafe { heap.barrier_range(part_of(self.nodes.get()), both.clone()) };
                part(kept).depth.set(depth - 1);
                both.clone().for_each(|i| directory.entry(i).set(kept));
                self.halve_directory(heap)?;
                return Ok(true);
            }
        }
        self.replace(heap, &[Nodes::of_segment(one), Nodes::of_segment(other)], &[(both, depth - 1)], learned)?;
        self.halve_directory(heap)?;
        Ok(true)
    }

    /// New parts for given entries of the directory, with what is in the old ones. If these have all that the table has, it can be hashed in another way.
    /// On an error nothing has changed.
    fn replace(
        self,
        heap: &mut LuaHeap,
        old: &[Nodes],
        new: &[(Range<usize>, u8)],
        rehashed: Option<Progressions>,
    ) -> Result<(), SetError> {
        let (hold, kind) = (old[0].hold(), old[0].kind());
        let mut parts: SmallVec<[Nodes; 2]> = SmallVec::new();
        for (_, depth) in new {
            let nodes = Nodes::alloc(heap, kind, SEGMENT)?;
            nodes.part().depth.set(*depth);
            parts.push(nodes);
        }
        let leavings = old.iter().map(|nodes| nodes.leavings(heap, hold)).sum();
        let mut leavings = Leavings::new(heap, leavings);
        for nodes in old {
            let hash = |n: &Node| rehashed.map_or(n.hash, |progressions| progressions.hash(n.key()));
            nodes.move_to(heap, hold, &mut leavings, hash, |hash| match parts[..] {
                [only] => only,
                // The next bit decides.
                _ => parts[(hash >> (32 - u32::from(new[0].1))) as usize & 1],
            });
        }
        let directory = self.directory();
        if let Some(progressions) = rehashed {
            directory.set_progressions(progressions);
        }
        for ((entries, _), nodes) in new.iter().zip(&parts) {
            // SAFETY: V1; the barrier comes before the writes (V2).
            unsafe { heap.barrier_range(part_of(self.nodes.get()), entries.clone()) };
            for i in entries.clone() {
                directory.entry(i).set(nodes.cell());
            }
        }
        let old: SmallVec<[Ref; 2]> = old.iter().map(|nodes| nodes.cell()).collect();
        let new: SmallVec<[Ref; 3]> = parts.iter().map(|nodes| nodes.cell()).chain(leavings.cell()).collect();
        // SAFETY: the new parts hold what the old ones hold, no safepoint between.
        unsafe { heap.replace_storage(&old, &new) };
        Ok(())
    }

    /// A directory of twice the length, or the first one.
    fn double_directory(self, heap: &mut LuaHeap) -> Result<(), SetError> {
        if !self.is_large() {
            let only = self.own_nodes();
            only.part().depth.set(0);
            return self.install_directory(heap, 1, Progressions::NONE, |_| only.cell());
        }
        let old = self.directory();
        if old.depth() == Directory::DEPTH_MAX {
            return Err(SetError::Overflow);
        }
        self.install_directory(heap, old.depth() + 1, old.progressions(), |i| old.entry(i / 2).get())
    }

    /// A directory of half the length, if no part needs the last bit; none, if one part is left.
    fn halve_directory(self, heap: &mut LuaHeap) -> Result<(), SetError> {
        loop {
            let old = self.directory();
            if (0..old.len()).step_by(2).any(|i| old.entry(i).get() != old.entry(i + 1).get()) {
                return Ok(());
            }
            if old.depth() > 1 {
                self.install_directory(heap, old.depth() - 1, old.progressions(), |i| old.entry(2 * i).get())?;
                continue;
            }
            let only = Nodes::of_segment(old.entry(0).get());
            // SAFETY: V1; the barrier comes before the write (V2).
            unsafe { heap.barrier(self.as_ref(), 0) };
            self.install_nodes(only);
            return Ok(());
        }
    }

    fn install_directory(
        self,
        heap: &mut LuaHeap,
        depth: u8,
        progressions: Progressions,
        entry: impl Fn(usize) -> Ref,
    ) -> Result<(), SetError> {
        let new = Directory::alloc(heap, depth, progressions)?;
        // SAFETY: (whole block) a new cell, all of whose entries are written here; V1; the barrier comes before the write (V2).
        unsafe {
            let directory = new.as_ref();
            for i in 0..directory.len() {
                (directory.entry(i) as *const std::cell::Cell<Ref>).cast_mut().cast::<Ref>().write(entry(i));
            }
            heap.filled_by_copy(Ref::from_ptr(new.cast()));
            heap.barrier(self.as_ref(), 0);
            self.nodes.set(directory.sign());
        }
        self.mask.set(0);
        Ok(())
    }
}
