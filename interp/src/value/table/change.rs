//! Changes of a table's mode. A small table is made anew at once. A large one changes part by part, at safepoints: each part has its mode in its kind (R8), and
//! whoever comes to a part goes by that. A part keeps its nodes where they are, so that no traversal has to know of it. A long array part, which a weak table
//! can't have (T4), goes to the hash part by and by, or before a traversal begins.
//!
//! What is held weakly may die at any epoch end. So where something is to be held strongly again, the collector waits until the last part does so
//! ([`ModeChanges::hold_collector`]).
//!
//! * **T11** [`Table::mode`] is the kind that all hash parts have, or come to have if the table has [`mark::CHANGES`]; if one is weak, the table has `AUX_WEAK`.

use super::directory::span;
use super::nodes::Nodes;
use super::parts::{Hold, NO_NODES, SEGMENT, WEAK_KEY, part_of};
use super::{AUX_WEAK, LuaHeap, SetError, Table, mark};
use crate::value::Tag;
use crate::value::gc::Gc;
use crate::value::kinds::kind;
use neap_gc::Handle;
use std::ptr::NonNull;

/// How often an array part moves on in one step.
const MOVES: usize = SEGMENT / 128;
/// So many steps beyond two for each part mean that the program turns the mode back and forth faster than the parts follow. Then one step takes all that
/// are left: the collector can't wait for ever.
const PATIENCE: usize = 4096;

/// Large tables on their way to another mode.
#[derive(Default)]
pub struct ModeChanges {
    changing: Vec<Change>,
}

struct Change {
    table: Handle,
    /// The hash up to which its parts have changed.
    at: u64,
    /// Something was weak, and may be strong now.
    strengthens: bool,
    steps: usize,
}

fn list(heap: &mut LuaHeap) -> &mut Vec<Change> {
    // SAFETY: the runtime is not replaced.
    unsafe { &mut heap.runtime_mut().changes.changing }
}

impl ModeChanges {
    /// Whether the collector has to wait.
    pub fn hold_collector(heap: &LuaHeap) -> bool {
        heap.runtime().changes.changing.iter().any(|change| change.strengthens)
    }

    /// One part of one table. `false`: there is nothing to do. An error: there is no memory for it now.
    pub fn step(heap: &mut LuaHeap) -> Result<bool, SetError> {
        // What the collector waits for comes first.
        let changing = &heap.runtime().changes.changing;
        let i = changing.iter().position(|change| change.strengthens).unwrap_or(0);
        let Some(change) = changing.get(i) else { return Ok(false) };
        // SAFETY: the list holds tables.
        let table = unsafe { Gc::<Table>::from_ref(heap.held(&change.table)) };
        let (mut at, steps) = (change.at, change.steps + 1);
        let mut more = table.change_from(heap, &mut at);
        let parts = if table.is_large() { table.directory().len() } else { 1 };
        while matches!(more, Ok(true)) && steps > 2 * parts + PATIENCE {
            more = table.change_from(heap, &mut at);
        }
        if more? {
            let change = &mut list(heap)[i];
            (change.at, change.steps) = (at, steps);
        } else {
            list(heap).remove(i);
            table.set_mark(mark::CHANGES, false);
        }
        Ok(true)
    }

    /// All that has been begun.
    pub fn finish(heap: &mut LuaHeap) -> Result<(), SetError> {
        while ModeChanges::step(heap)? {}
        Ok(())
    }

    /// There is no memory for what the collector waits for: those parts stay weak, until the mode is asked for again.
    pub fn give_up(heap: &mut LuaHeap) {
        let changes = std::mem::take(list(heap));
        for change in changes {
            if !change.strengthens {
                list(heap).push(change);
                continue;
            }
            // SAFETY: the list holds tables.
            let table = unsafe { Gc::<Table>::from_ref(heap.held(&change.table)) };
            table.mode.set(table.nodes_for(change.at as u32).kind());
            table.set_mark(mark::CHANGES, false);
        }
    }
}

impl Gc<Table> {
    /// Makes the table weak as `__mode` says, or strong again.
    pub fn set_weakness(self, heap: &mut LuaHeap, keys: bool, values: bool) -> Result<(), SetError> {
        let k = match (keys, values) {
            (false, false) => kind::NODES,
            (false, true) => kind::NODES_WEAK_VALUES,
            (true, false) => kind::NODES_EPHEMERON,
            (true, true) => kind::NODES_ALL_WEAK,
        };
        if k == self.mode.get() {
            return Ok(());
        }
        if self.is_large() || self.array_len() > SEGMENT || self.has_mark(mark::CHANGES) {
            return self.begin_change(heap, k);
        }
        // What there is stands in another table meanwhile.
        let old = Gc::<Table>::new(heap, 0, 0)?;
        // A weak table always has a hash part.
        let nodes = Nodes::alloc(heap, k, 1)?;
        // SAFETY: V1; the barrier comes before the write (V2), and the other table is new.
        unsafe { heap.barrier(self.as_ref(), 0) };
        old.take_parts(self);
        self.install_nodes(nodes);
        self.set_mode(k, k != kind::NODES);
        let mut at = 0;
        while let Some((next, key, value)) = old.next_entry(heap, at) {
            if let Err(error) = self.set(heap, key, value) {
                self.take_parts(old);
                return Err(error);
            }
            at = next;
        }
        Ok(())
    }

    fn set_mode(self, k: u8, weak: bool) {
        self.mode.set(k);
        self.header().aux.set(self.header().aux.get() & !AUX_WEAK | if weak { AUX_WEAK } else { 0 });
    }

    /// Takes over what another table has; that has nothing then.
    fn take_parts(self, other: Gc<Table>) {
        self.array.set(other.array.replace(NonNull::dangling().as_ptr()));
        self.array_len.set(other.array_len.replace(0));
        self.goal.set(other.goal.replace(0));
        self.border.set(other.border.replace(0));
        self.nodes.set(other.nodes.replace(NO_NODES.first()));
        self.mask.set(other.mask.replace(0));
        // Who waits goes on waiting.
        let (own, others) = (self.marks.get(), other.marks.get());
        self.marks.set(own & mark::WAITS | others & !mark::WAITS);
        other.marks.set(others & mark::WAITS);
        self.set_mode(other.mode.get(), other.is_weak());
    }

    fn begin_change(self, heap: &mut LuaHeap, k: u8) -> Result<(), SetError> {
        let was_weak = self.is_weak();
        if !self.has_nodes() && k != kind::NODES {
            let nodes = Nodes::alloc(heap, k, 1)?;
            // SAFETY: V1; the barrier comes before the write (V2).
            unsafe { heap.barrier(self.as_ref(), 0) };
            self.install_nodes(nodes);
        }
        self.set_mode(k, was_weak || k != kind::NODES);
        if self.array_len() > 0 && k != kind::NODES {
            // Its entries get other places.
            self.set_mark(mark::TRAVERSED, false);
            self.goal.set(0);
        }
        if !self.has_mark(mark::CHANGES) {
            self.set_mark(mark::CHANGES, true);
            // SAFETY: a live or young cell.
            let table = unsafe { heap.handle(self.as_ref()) };
            list(heap).push(Change { table, at: 0, strengthens: was_weak, steps: 0 });
            return Ok(());
        }
        let changing = &heap.runtime().changes.changing;
        let i = changing.iter().position(|change| heap.held(&change.table) == self.as_ref());
        let change = &mut list(heap)[i.expect("what changes is in the list")];
        (change.at, change.strengthens) = (0, true);
        Ok(())
    }

    /// The next step, from the part of hash `at` on. `false`: it was the last.
    fn change_from(self, heap: &mut LuaHeap, at: &mut u64) -> Result<bool, SetError> {
        let k = self.mode.get();
        if k != kind::NODES && self.array_len() > 0 && !self.has_mark(mark::TRAVERSED) {
            self.goal.set(0);
            for _ in 0..MOVES {
                if self.array_len() > 0 {
                    self.move_on(heap)?;
                }
            }
            return Ok(true);
        }
        while let Ok(hash) = u32::try_from(*at) {
            let nodes = self.nodes_for(hash);
            let differs = nodes.exist() && nodes.kind() != k;
            let new = if differs { Some(nodes.changed(heap, k)?) } else { None };
            if !self.is_large() {
                if let Some(new) = new {
                    // SAFETY: V1; the barrier comes before the write (V2).
                    unsafe { heap.barrier(self.as_ref(), 0) };
                    self.install_nodes(new);
                }
                break;
            }
            let directory = self.directory();
            let entries = span(directory, directory.index_of(hash), nodes.part());
            *at = (entries.end as u64) << (32 - u32::from(directory.depth()));
            if let Some(new) = new {
                // SAFETY: V1; the barrier comes before the writes (V2).
                unsafe { heap.barrier_range(part_of(self.nodes.get()), entries.clone()) };
                entries.for_each(|i| directory.entry(i).set(new.cell()));
                return Ok(true);
            }
        }
        *at = 1 << 32;
        if k != kind::NODES && self.array_len() > 0 {
            // There was no memory for the rest of it before a traversal, and a new key will move it on.
            return Ok(false);
        }
        self.set_mode(k, k != kind::NODES);
        Ok(false)
    }

    /// A traversal begins: what is left of a weak table's array part goes first. If there is no memory for it, it stays until no traversal may stand there.
    #[cold]
    pub(super) fn end_array(self, heap: &mut LuaHeap) {
        self.goal.set(0);
        while self.array_len() > 0 && !self.has_mark(mark::TRAVERSED) {
            if self.move_on(heap).is_err() {
                self.set_mark(mark::TRAVERSED, true);
            }
        }
    }
}

impl Nodes {
    /// What these nodes hold weakly, by their kind; `None`: nothing.
    #[inline(always)]
    pub(super) fn hold(self) -> Option<Hold> {
        if self.kind() == kind::NODES { None } else { Some(Hold::of(self.kind())) }
    }
    #[inline(always)]
    pub(super) fn kind(self) -> u8 {
        // SAFETY: a live cell.
        if self.exist() { unsafe { self.cell().kind() } } else { kind::NODES }
    }

    /// The same entries at the same nodes in a part of another kind, which takes the place of this one.
    fn changed(self, heap: &LuaHeap, k: u8) -> Result<Nodes, SetError> {
        let new = Nodes::alloc(heap, k, self.len())?;
        let (old_hold, new_hold) = (self.hold(), new.hold());
        let bit = if new_hold.is_some() { WEAK_KEY } else { 0 };
        let mut live = 0;
        for i in 0..self.len() {
            let (n, copy) = (self.node(i), new.node(i));
            *copy = *n;
            let tag = Tag(n.key_tag & !WEAK_KEY);
            if matches!(tag, Tag::NIL | Tag::DEAD_KEY) {
                continue;
            }
            copy.key_tag = tag.0 | bit;
            if n.value().is_nil() || old_hold.is_some_and(|hold| hold.entry_of(heap, n).is_none()) {
                copy.kill();
                continue;
            }
            live += 1;
            if let Some(hold) = new_hold {
                hold.tell(heap, n.key(), n.value());
            }
        }
        new.part().take_over(self.part(), live);
        // SAFETY: a new cell.
        unsafe { heap.filled_by_copy(new.cell()) };
        Ok(new)
    }
}
