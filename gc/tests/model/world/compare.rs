//! The collector at work, and what must hold after it: the two sides are the same, and at the end nothing is left.

use super::{Step, World, violation};
use crate::shadow::{FRAME, Id, State};
use crate::toy;
use neap_gc::Ref;
use neap_gc::heap::Drive;

/// Which objects were seen, and which weak entries were found cleared.
type Walk = (Vec<bool>, Vec<(Id, usize)>);

impl World {
    /// Under stress a safepoint follows each operation.
    pub(super) fn stressed(&mut self) -> Step {
        if self.options.stress_cycle != 0 {
            self.at_safepoint();
            // SAFETY: all references are in roots, on stacks, or in cells.
            unsafe { self.heap.safepoint(&self.roots) };
            self.hold_less(u8::MAX);
            self.compare()?;
        }
        Ok(())
    }

    pub(super) fn drive(&mut self, what: Drive) -> Step<bool> {
        self.at_safepoint();
        // SAFETY: all references are in roots, on stacks, or in cells.
        let did = unsafe { self.heap.drive(&self.roots, what) };
        if matches!(what, Drive::EpochEnd(_) | Drive::EpochEndAndStart) {
            self.hold_less(1);
            self.nothing_above_the_top()?;
        }
        self.compare()?;
        Ok(did)
    }

    /// So many epoch ends have been.
    pub(super) fn hold_less(&mut self, epochs: u8) {
        for object in &mut self.shadow.objects {
            object.held = object.held.saturating_sub(epochs);
        }
    }

    /// R6: a scan has cleared what stood above the top of the running stack.
    fn nothing_above_the_top(&self) -> Step {
        let (cell, id) = self.current();
        // SAFETY: the running thread lives, and its buffer has so many slots.
        unsafe {
            let (stack, capacity, slots) = (toy::stack(cell), *toy::capacity(cell), *toy::buffer(cell));
            match (stack.top..capacity).find(|&i| (*slots.add(i)).is_some()) {
                Some(slot) => violation(format!("slot {slot} of thread {id} holds a reference after the scan")),
                None => Ok(()),
            }
        }
    }

    /// Compares everything that can be reached, and lets the auditor look.
    pub(super) fn compare(&mut self) -> Step {
        // SAFETY: at a safepoint.
        if let Err(e) = unsafe { self.heap.audit() } {
            return violation(format!("audit: {e}"));
        }
        self.comparisons += 1;
        let (seen, cleared) = self.walk()?;
        let kept = self.justify(cleared)?;
        for id in self.heap.runtime().destroyed.borrow().iter() {
            if kept[*id as usize] {
                return violation(format!("the destructor of {id} ran, and it can be reached"));
            }
        }
        for (object, seen) in self.shadow.objects.iter_mut().zip(seen) {
            if seen {
                object.seen_at = self.comparisons;
            }
        }
        Ok(())
    }

    /// Compares what can be reached on the heap with what the oracle has there. Says what it saw, and which weak entries were cleared.
    fn walk(&self) -> Step<Walk> {
        let objects = &self.shadow.objects;
        let mut seen = vec![false; objects.len()];
        let mut cleared = Vec::new();
        let mut work: Vec<Id> = Vec::new();
        work.extend(self.shadow.globals.iter().chain(&self.shadow.handles).flatten());
        work.extend(&self.shadow.chain);
        work.extend(self.shadow.held());
        loop {
            while let Some(id) = work.pop() {
                if std::mem::replace(&mut seen[id], true) {
                    continue;
                }
                self.same(Some(objects[id].cell), Some(id))?;
                self.compare_cell(id, &mut work, &mut cleared)?;
            }
            for (id, object) in objects.iter().enumerate().filter(|(id, o)| seen[*id] && o.kind == toy::EPHEMERON) {
                for (i, (key, value)) in object.pairs.iter().enumerate() {
                    if let (Some(k), Some(v)) = (key, value)
                        && seen[*k]
                        && !seen[*v]
                        && !cleared.contains(&(id, i))
                    {
                        work.push(*v);
                    }
                }
            }
            if work.is_empty() {
                return Ok((seen, cleared));
            }
        }
    }

    fn compare_cell(&self, id: Id, work: &mut Vec<Id>, cleared: &mut Vec<(Id, usize)>) -> Step {
        let object = &self.shadow.objects[id];
        // SAFETY: `walk` has checked that the cell is the object's.
        unsafe {
            match object.kind {
                toy::PLAIN | toy::GUARD | toy::ARRAY | toy::FIELDS => {
                    let real = toy::slots(object.cell);
                    if real.len() != object.slots.len() {
                        return violation(format!("object {id} has {} slots, should have {}", real.len(), object.slots.len()));
                    }
                    for (r, s) in real.iter().zip(&object.slots) {
                        work.extend(self.same(*r, *s)?.map(|x| x.1));
                    }
                }
                toy::THREAD => {
                    work.extend(self.same(*toy::body(object.cell), object.body)?.map(|x| x.1));
                    let slots = *toy::buffer(object.cell);
                    for (i, s) in object.frames.iter().flatten().enumerate() {
                        work.extend(self.same(*slots.add(i), *s)?.map(|x| x.1));
                    }
                }
                _ => {}
            }
            match object.kind {
                toy::WEAK | toy::EPHEMERON | toy::ALL_WEAK | toy::FIELDS => {
                    for (i, shadow) in object.pairs.iter().enumerate() {
                        let real = toy::pairs(object.cell)[i];
                        if real == (None, None) && *shadow != (None, None) {
                            cleared.push((id, i));
                            continue;
                        }
                        let address = |o: Option<Id>| o.map(|o| self.shadow.objects[o].cell);
                        if real != (address(shadow.0), address(shadow.1)) {
                            return violation(format!("entry {i} of {id} has changed"));
                        }
                        if object.kind == toy::WEAK {
                            work.extend(shadow.0);
                        }
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// That each cleared entry named something that could not be reached at some time since the entry was last seen; one may follow from another. What
    /// is kept by roots and finalizers.
    fn justify(&mut self, mut cleared: Vec<(Id, usize)>) -> Step<Vec<bool>> {
        loop {
            let strong = self.shadow.reach(false);
            for (id, object) in self.shadow.objects.iter_mut().enumerate() {
                if !strong[id] {
                    object.unreachable_at = self.comparisons;
                    object.was_unreachable |= object.finalizer;
                }
            }
            let mut kept = self.shadow.reach(true);
            kept.iter_mut().zip(&strong).for_each(|(kept, strong)| *kept |= strong);
            for (id, object) in self.shadow.objects.iter_mut().enumerate() {
                if !kept[id] {
                    object.lost_at = self.comparisons;
                }
            }
            let Some(&(id, i)) = cleared.first() else { return Ok(kept) };
            let before = cleared.len();
            cleared.retain(|&(id, i)| {
                let objects = &mut self.shadow.objects;
                let (kind, (key, value), since) = (objects[id].kind, objects[id].pairs[i], objects[id].seen_at);
                let key_gone = kind != toy::WEAK && key.is_some_and(|k| objects[k].lost_at > since);
                let value_gone = kind != toy::EPHEMERON && value.is_some_and(|v| objects[v].unreachable_at > since);
                if key_gone || value_gone {
                    objects[id].pairs[i] = (None, None);
                }
                !key_gone && !value_gone
            });
            if cleared.len() == before {
                return violation(format!("entry {i} of {id} was cleared, and what it names can be reached"));
            }
        }
    }

    pub(super) fn next_finalizer(&mut self) -> Step<Option<(Ref, Id)>> {
        let Some(cell) = self.heap.next_finalizer() else { return Ok(None) };
        // SAFETY: the heap says that the object lives.
        let id = unsafe { toy::number(cell) } as Id;
        let Some(object) = self.shadow.objects.get_mut(id) else {
            return violation(format!("the finalizer queue names {id:#x}"));
        };
        if object.cell != cell || !object.finalizer || !object.was_unreachable || object.held != 0 {
            return violation(format!("object {id} is finalized, and should not be"));
        }
        object.finalizer = false;
        object.was_unreachable = false;
        // R16: it is no weak value any more, unless the program has made it one since.
        if std::mem::take(&mut object.stored_since) {
            return Ok(Some((cell, id)));
        }
        let (seen, _) = self.walk()?;
        for holder in self.shadow.objects.iter().zip(seen).filter(|(o, seen)| *seen && Self::has_weak_values(o)) {
            // SAFETY: `walk` has seen the holder.
            if unsafe { toy::pairs(holder.0.cell) }.iter().any(|entry| entry.1 == Some(cell)) {
                return violation(format!("object {id} is finalized while a weak value names it"));
            }
        }
        Ok(Some((cell, id)))
    }

    /// Everything that cannot be reached must go, and only that.
    pub(super) fn finish(&mut self) -> Step {
        if self.options.abandon {
            return Ok(());
        }
        while self.shadow.chain.len() > 1 {
            self.end_current();
        }
        if self.options.drop_all {
            self.roots.globals = [None; 3];
            self.shadow.globals = [None; 3];
            for i in 0..3 {
                self.drop_handle(i);
            }
            let (cell, main) = self.current();
            self.shadow.objects[main].frames.truncate(1);
            self.lower(cell, main);
            for a in 0..FRAME as u8 {
                self.set(a, None);
            }
        }
        let (mut quiet, mut before) = (0, usize::MAX);
        for round in 0.. {
            self.at_safepoint();
            // SAFETY: all references are in roots, on stacks, or in cells.
            unsafe { self.heap.collect_full(&self.roots) };
            self.hold_less(u8::MAX);
            self.compare()?;
            let mut finalized = false;
            while self.next_finalizer()?.is_some() {
                finalized = true;
            }
            let mut left = 0;
            self.heap.each_cell(&mut |_, _| left += 1);
            quiet = if finalized || left != before { 0 } else { quiet + 1 };
            before = left;
            if quiet == 2 {
                break;
            }
            if round > 2 * self.shadow.objects.len() + 10 {
                return violation("the heap does not come to rest".into());
            }
        }
        let reach = self.shadow.reach(false);
        let mut found = vec![false; reach.len()];
        self.heap.each_cell(&mut |cell, _| {
            // SAFETY: a live cell has a number.
            if let Some(f) = found.get_mut(unsafe { toy::number(cell) } as usize) {
                *f = true;
            }
        });
        if let Some(id) = (0..reach.len()).find(|&id| reach[id] != found[id]) {
            let (r, f) = (reach[id], found[id]);
            return violation(format!("object {id} of kind {}: reachable {r}, there {f}", self.shadow.objects[id].kind));
        }
        if let Some(id) = (0..reach.len()).find(|&id| !reach[id] && self.shadow.objects[id].finalizer) {
            return violation(format!("the finalizer of {id} was never handed over"));
        }
        for (id, object) in self.shadow.objects.iter().enumerate() {
            let destroyed = self.heap.runtime().destroyed.borrow().contains(&(id as u64));
            let should = !reach[id] && matches!(object.kind, toy::GUARD | toy::THREAD);
            if destroyed != should {
                return violation(format!("destructor of {id}: ran {destroyed}, should have run {should}"));
            }
        }
        Ok(())
    }

    pub(super) fn drop_handle(&mut self, i: usize) {
        if let Some(handle) = self.handles[i].take() {
            drop(handle);
            self.shadow.handles[i] = None;
        }
    }

    /// The current coroutine is over; its resumer goes on.
    pub(super) fn end_current(&mut self) {
        let (cell, id) = self.current();
        let object = &mut self.shadow.objects[id];
        object.state = State::Ended;
        object.frames.clear();
        self.lower(cell, id);
        self.leave();
    }

    pub(super) fn leave(&mut self) {
        self.shadow.chain.pop();
        self.roots.chain.pop();
        let (cell, id) = self.current();
        // SAFETY: the resumer is in the running chain.
        unsafe { self.heap.touch_thread(cell) };
        self.lower(cell, id);
    }
}
