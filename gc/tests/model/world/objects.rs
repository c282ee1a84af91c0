//! Objects on both sides: how they are made, written, copied and replaced.

use super::{LARGE, SMALL, Step, World, violation};
use crate::shadow::{FRAME, Id, Object};
use crate::toy;
use neap_gc::{Ref, Side};

impl World {
    pub(super) fn allocate(&mut self, kind: u8, len: usize) -> Step<(Ref, Id)> {
        // SAFETY: a kind of the table; all words are written at once.
        unsafe {
            let size = toy::size_of_kind(kind, len);
            let cell = self.heap.alloc(kind, size)?;
            for i in 1..size / 8 {
                toy::word::<usize>(cell, i).write(0);
            }
            let id = self.shadow.add(kind, cell, len);
            toy::word::<u64>(cell, 1).write(id as u64);
            if (toy::ARRAY..=toy::ALL_WEAK).contains(&kind) {
                toy::word::<usize>(cell, 2).write(len);
            }
            Ok((cell, id))
        }
    }

    pub(super) fn new_thread(&mut self, argument: Option<(Ref, Id)>) -> Step<(Ref, Id)> {
        let (cell, id) = self.allocate(toy::THREAD, 0)?;
        // SAFETY: the cell is new and of kind THREAD.
        unsafe {
            let mut stack = neap_gc::Stack::new();
            *toy::buffer(cell) = toy::new_buffer(toy::STACK_SLOTS);
            stack.top = FRAME;
            stack.high = FRAME;
            toy::word::<neap_gc::Stack>(cell, 3).write(stack);
            *toy::capacity(cell) = toy::STACK_SLOTS;
            *toy::body(cell) = argument.map(|a| a.0);
            **toy::buffer(cell) = argument.map(|a| a.0);
        }
        let object = &mut self.shadow.objects[id];
        object.body = argument.map(|a| a.1);
        object.frames[0][0] = argument.map(|a| a.1);
        Ok((cell, id))
    }

    pub(super) fn barrier(&mut self, cell: Ref, slot: usize) {
        if !self.options.skip_barrier {
            // SAFETY: the program has the object at hand.
            unsafe { self.heap.barrier(cell, slot) };
        }
    }

    pub(super) fn store(&mut self, (cell, id): (Ref, Id), slot: usize, value: Option<(Ref, Id)>) -> Step {
        let slot_of_shape = if self.shadow.objects[id].kind == toy::ARRAY { slot } else { 0 };
        self.barrier(cell, slot_of_shape);
        // SAFETY: the program has the object at hand.
        unsafe { toy::slots(cell)[slot] = value.map(|v| v.0) };
        self.shadow.objects[id].slots[slot] = value.map(|v| v.1);
        Ok(())
    }

    /// A slot of the object that `b` names; with `full`, the next that holds something.
    pub(super) fn slot_of(&self, id: Id, b: u8, full: bool) -> Option<usize> {
        let slots = &self.shadow.objects[id].slots;
        let start = if slots.len() > 64 { (b as usize * 67) % slots.len() } else { b as usize % slots.len().max(1) };
        (0..slots.len()).map(|i| (start + i) % slots.len()).find(|&i| !full || slots[i].is_some())
    }

    /// The entry of a weak storage that `b` names.
    pub(super) fn place(&self, id: Id, b: u8) -> usize {
        let len = self.shadow.objects[id].pairs.len();
        if len > 64 { (b as usize * 67) % len } else { b as usize % len }
    }

    pub(super) fn entry_of(&self, id: Id, b: u8) -> Option<usize> {
        let pairs = &self.shadow.objects[id].pairs;
        let start = self.place(id, b);
        (0..pairs.len()).map(|i| (start + i) % pairs.len()).find(|&i| pairs[i] != (None, None))
    }

    pub(super) fn has_slots(object: &Object) -> bool {
        !object.slots.is_empty()
    }

    pub(super) fn has_weak_values(object: &Object) -> bool {
        matches!(object.kind, toy::WEAK | toy::ALL_WEAK | toy::FIELDS)
    }

    pub(super) fn has_entries(object: &Object) -> bool {
        object.pairs.iter().any(|p| *p != (None, None))
    }

    pub(super) fn reads_nil(&self, id: Id, what: &str) -> Step {
        if self.shadow.reach(false)[id] {
            return violation(format!("the weak {what} {id} reads as nil and can be reached"));
        }
        Ok(())
    }

    /// Writes entry `i` of a weak storage.
    pub(super) fn put(&mut self, (cell, id): (Ref, Id), i: usize, key: Option<(Ref, Id)>, value: Option<(Ref, Id)>) -> Step {
        let kind = self.shadow.objects[id].kind;
        let old = self.shadow.objects[id].pairs[i];
        let (old_strong, new_strong) = match kind {
            toy::WEAK => (old.0.is_some(), key.is_some()),
            toy::EPHEMERON => (old.1.is_some(), value.is_some()),
            _ => (false, false),
        };
        if old_strong || new_strong {
            self.barrier(cell, i);
        }
        // SAFETY: the program has the cells at hand.
        unsafe {
            if let Some((k, _)) = key
                && kind != toy::WEAK
            {
                self.heap.weak_hold(k);
            }
            if let Some((v, v_id)) = value
                && kind != toy::EPHEMERON
            {
                self.shadow.objects[v_id].stored_since = self.shadow.objects[v_id].was_unreachable;
                self.heap.weak_hold(v);
            }
            toy::pairs(cell)[i] = (key.map(|k| k.0), value.map(|v| v.0));
        }
        self.shadow.objects[id].pairs[i] = (key.map(|k| k.1), value.map(|v| v.1));
        Ok(())
    }

    /// Whether entry `i` of a weak storage may be copied, or moved.
    pub(super) fn copy_keeps(&self, (cell, id): (Ref, Id), i: usize) -> Step<bool> {
        let object = &self.shadow.objects[id];
        // SAFETY: the storage is at hand; weak entries are as the collector left them.
        unsafe {
            let (real, shadow) = (toy::pairs(cell)[i], object.pairs[i]);
            if object.kind != toy::WEAK
                && let (Some(key), Some(key_id)) = (real.0, shadow.0)
                && !self.heap.copy_keeps(key, Side::Key)
            {
                if self.shadow.reach(true)[key_id] {
                    return violation(format!("a copy drops key {key_id}, which can be reached or will be finalized"));
                }
                return Ok(false);
            }
            if object.kind != toy::EPHEMERON
                && let (Some(value), Some(value_id)) = (real.1, shadow.1)
                && !self.heap.copy_keeps(value, Side::Value)
            {
                self.reads_nil(value_id, "value of a copy")?;
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Makes a storage of the same kind with the same entries, as a rehash does.
    pub(super) fn copy(&mut self, (cell, id): (Ref, Id)) -> Step<Option<(Ref, Id)>> {
        let kind = self.shadow.objects[id].kind;
        if matches!(kind, toy::STRING | toy::THREAD) {
            return Ok(None);
        }
        let len = self.shadow.objects[id].slots.len().max(self.shadow.objects[id].pairs.len());
        let (new, new_id) = self.allocate(kind, len)?;
        // SAFETY: the old one is at hand, the new one new; weak entries are as the collector left them.
        unsafe {
            if !self.shadow.objects[id].slots.is_empty() {
                toy::slots(new).copy_from_slice(toy::slots(cell));
                self.shadow.objects[new_id].slots = self.shadow.objects[id].slots.clone();
            }
            for i in 0..self.shadow.objects[id].pairs.len() {
                let (real, shadow) = (toy::pairs(cell)[i], self.shadow.objects[id].pairs[i]);
                if self.copy_keeps((cell, id), i)? {
                    toy::pairs(new)[i] = real;
                    self.shadow.objects[new_id].pairs[i] = shadow;
                }
            }
            self.heap.filled_by_copy(new);
        }
        Ok(Some((new, new_id)))
    }

    /// Replaces one or two storages of an owner; the new ones take over the counts (R28).
    pub(super) fn adopt(&mut self, [a, b, c, d]: [u8; 4], two: bool) -> Step {
        let objects = &self.shadow.objects;
        let is_storage = |id: &Id| objects[*id].kind == toy::ARRAY;
        let Some(owner) = self.select(a, |o| o.slots.iter().flatten().any(is_storage))? else { return Ok(()) };
        let slots: Vec<usize> =
            (0..objects[owner.1].slots.len()).filter(|&i| objects[owner.1].slots[i].as_ref().is_some_and(is_storage)).collect();
        let first = slots[b as usize % slots.len()];
        let mut chosen = vec![first];
        if two {
            chosen.extend(slots.iter().find(|&&i| objects[owner.1].slots[i] != objects[owner.1].slots[first]));
        }
        let old: Vec<(Ref, Id)> =
            chosen.iter().filter_map(|&i| objects[owner.1].slots[i]).map(|id| (objects[id].cell, id)).collect();
        if old.iter().any(|o| o.1 == owner.1) {
            return Ok(());
        }
        let mut held: Vec<Id> = old.iter().flat_map(|o| objects[o.1].slots.iter().flatten().copied()).collect();
        if d & 2 == 2 {
            held.reverse();
        }
        let mut new = Vec::new();
        for i in 0..old.len() {
            let large = if i == 0 { c & 1 == 1 } else { c & 2 == 2 };
            new.push(self.allocate(toy::ARRAY, if large { LARGE } else { SMALL.max(held.len()) })?);
        }
        let store_first = d & 4 == 4;
        if store_first {
            for (slot, n) in chosen.iter().zip(&new) {
                self.store(owner, *slot, Some(*n))?;
            }
        }
        for (i, id) in held.iter().enumerate() {
            let (cell, new_id) = new[(i + d as usize) % new.len()];
            let len = self.shadow.objects[new_id].slots.len();
            let spread = if len == LARGE { (i * 97 + b as usize) % len } else { i % len };
            let Some(slot) = (0..len).map(|k| (spread + k) % len).find(|&k| self.shadow.objects[new_id].slots[k].is_none())
            else {
                return Ok(());
            };
            // SAFETY: the new cell is ours.
            unsafe { toy::slots(cell)[slot] = Some(self.shadow.objects[*id].cell) };
            self.shadow.objects[new_id].slots[slot] = Some(*id);
        }
        let cells = |list: &[(Ref, Id)]| list.iter().map(|o| o.0).collect::<Vec<_>>();
        // SAFETY: the new ones hold what the old ones hold; no safepoint since.
        unsafe { self.heap.replace_storage(&cells(&old), &cells(&new)) };
        for (cell, id) in &old {
            // SAFETY: the old cell is still at hand. Where the heap has let it forget its references it has none; all or nothing.
            if unsafe { toy::slots(*cell) }.iter().all(Option::is_none) {
                self.shadow.objects[*id].slots.fill(None);
            }
        }
        if !store_first {
            for (slot, n) in chosen.iter().zip(&new) {
                self.store(owner, *slot, Some(*n))?;
            }
        }
        Ok(())
    }

    /// Replaces a weak storage of an owner by a large one, which takes over the counts (R28). What a copy drops goes first (R13).
    pub(super) fn adopt_weak(&mut self, a: u8, b: u8) -> Step {
        let objects = &self.shadow.objects;
        let is_storage = |id: &Id| matches!(objects[*id].kind, toy::WEAK | toy::EPHEMERON | toy::ALL_WEAK);
        let Some(owner) = self.select(a, |o| o.slots.iter().flatten().any(is_storage))? else { return Ok(()) };
        let slots: Vec<usize> =
            (0..objects[owner.1].slots.len()).filter(|&i| objects[owner.1].slots[i].as_ref().is_some_and(is_storage)).collect();
        let slot = slots[b as usize % slots.len()];
        let Some(id) = objects[owner.1].slots[slot] else { return Ok(()) };
        let (old, kind) = ((objects[id].cell, id), objects[id].kind);
        let new = self.allocate(kind, LARGE.max(objects[id].pairs.len()))?;
        for i in 0..self.shadow.objects[id].pairs.len() {
            if self.shadow.objects[id].pairs[i] != (None, None) && !self.copy_keeps(old, i)? {
                self.put(old, i, None, None)?;
            }
        }
        let pairs = self.shadow.objects[id].pairs.clone();
        // SAFETY: the old one is at hand, the new one new, and holds what the old one holds; no safepoint since.
        unsafe {
            toy::pairs(new.0)[..pairs.len()].copy_from_slice(toy::pairs(old.0));
            self.heap.replace_storage(&[old.0], &[new.0]);
            if toy::pairs(old.0).iter().all(|entry| *entry == (None, None)) {
                self.shadow.objects[id].pairs.fill((None, None));
            }
        }
        self.shadow.objects[new.1].pairs[..pairs.len()].copy_from_slice(&pairs);
        self.store(owner, slot, Some(new))
    }
}
