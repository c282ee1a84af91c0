//! What the operations of a program do.

use super::{LARGE, MEDIUM, SMALL, Step, World, violation};
use crate::program::{NAMES, Op};
use crate::shadow::{FRAME, Id, Object, State};
use crate::toy::{self, Slot};
use neap_gc::heap::{Drive, Phase};

/// How long a rearmed object is held at least: one epoch end finds that its time has come, the next takes note that it is held no longer.
const HELD_EPOCHS: u8 = 2;
const WEAK_ENTRIES: usize = 3;
const WEAK_ENTRIES_MEDIUM: usize = 40;
const WEAK_ENTRIES_LARGE: usize = 600;
const CHAIN_MAX: usize = 4;
const DEPTH_MAX: usize = 600;

impl World {
    pub(super) fn step(&mut self, op: Op) -> Step {
        let [a, b, c, d] = op.args;
        match NAMES[op.code as usize] {
            "new" => {
                let of = |small, medium, large| [small, large, medium, large][c as usize & 3];
                let entries = of(WEAK_ENTRIES, WEAK_ENTRIES_MEDIUM, WEAK_ENTRIES_LARGE);
                let (kind, len) = match b % 9 {
                    0..=2 => (toy::PLAIN, 0),
                    3 => (toy::GUARD, 0),
                    4 => (toy::ARRAY, of(SMALL, MEDIUM, LARGE)),
                    5 => (toy::WEAK, entries),
                    6 => (toy::EPHEMERON, entries),
                    7 => (toy::ALL_WEAK, entries),
                    _ => (toy::FIELDS, 0),
                };
                let new = self.allocate(kind, len)?;
                self.set(a, Some(new));
            }
            "load" => {
                if let Some((cell, id)) = self.select(a, |o| o.slots.iter().any(Option::is_some))?
                    && let Some(slot) = self.slot_of(id, b, true)
                {
                    // SAFETY: `select` has checked the cell.
                    let real = unsafe { toy::slots(cell)[slot] };
                    let value = self.same(real, self.shadow.objects[id].slots[slot])?;
                    self.set(c, value);
                }
            }
            "store" => {
                if let Some(object) = self.select(a, Self::has_slots)?
                    && let Some(slot) = self.slot_of(object.1, b, false)
                    && let Some(value) = self.get(c)?
                {
                    self.store(object, slot, Some(value))?;
                }
            }
            "unset" => {
                if let Some(object) = self.select(a, |o| o.slots.iter().any(Option::is_some))?
                    && let Some(slot) = self.slot_of(object.1, b, true)
                {
                    self.store(object, slot, None)?;
                }
            }
            "move" => {
                let value = self.get(a)?;
                self.set(b, value);
            }
            "drop" => self.set(a, None),
            "push" => self.push(a, 1)?,
            "pop" => self.pop(a, b, 1)?,
            "deep" => self.push(a, 4 * b as usize)?,
            "shallow" => self.pop(a, b, 4 * c as usize)?,
            "gset" => {
                let value = self.get(a)?;
                self.roots.globals[b as usize % 3] = value.map(|v| v.0);
                self.shadow.globals[b as usize % 3] = value.map(|v| v.1);
            }
            "gget" => {
                let i = a as usize % 3;
                let value = self.same(self.roots.globals[i], self.shadow.globals[i])?;
                self.set(b, value);
            }
            "wset" => {
                // object, entry, value, key
                if let Some(holder) = self.select(a, Self::has_weak_values)?
                    && let Some(value) = self.get(c)?
                    && self.shadow.objects[value.1].kind != toy::STRING
                {
                    let key = if d & 4 == 4 { self.get(d)? } else { None };
                    let key = key.filter(|k| self.shadow.objects[k.1].kind != toy::STRING);
                    self.put(holder, self.place(holder.1, b), key, Some(value))?;
                }
            }
            "wget" => self.weak_get(a, b, c)?,
            "wdel" => {
                if let Some(holder) = self.select(a, Self::has_weak_values)? {
                    self.put(holder, self.place(holder.1, b), None, None)?;
                }
            }
            "eset" => {
                if let Some(holder) = self.select(a, |o| o.kind == toy::EPHEMERON)?
                    && let Some(key) = self.get(b)?
                    && self.shadow.objects[key.1].kind != toy::STRING
                {
                    let value = self.get(c)?;
                    let pairs = &self.shadow.objects[holder.1].pairs;
                    let same = pairs.iter().position(|p| p.0 == Some(key.1));
                    if let Some(i) = same.or_else(|| pairs.iter().position(|p| *p == (None, None))) {
                        self.put(holder, i, Some(key), value)?;
                    }
                }
            }
            "eget" => self.ephemeron_get(a, b, c)?,
            "enext" => self.ephemeron_next(a, b, c, d)?,
            "edel" => {
                if let Some(holder) = self.select(a, |o| o.kind == toy::EPHEMERON && Self::has_entries(o))?
                    && let Some(i) = self.entry_of(holder.1, b)
                {
                    self.put(holder, i, None, None)?;
                }
            }
            "emove" => self.move_entry(a, b, c)?,
            "copy" => {
                if let Some(owner) = self.select(a, |o| o.slots.iter().any(Option::is_some))?
                    && let Some(slot) = self.slot_of(owner.1, b, true)
                    && let Some(old) = self.shadow.objects[owner.1].slots[slot]
                    && let Some(new) = self.copy((self.shadow.objects[old].cell, old))?
                {
                    self.store(owner, slot, Some(new))?;
                }
            }
            "adopt" => self.adopt(op.args, false)?,
            "adopt2" => self.adopt(op.args, true)?,
            "eadopt" => self.adopt_weak(a, b)?,
            "row" => self.store_row(a, b, c, d)?,
            "slide" => self.slide(a, b, c, d)?,
            "grow" => {
                if let Some((cell, id)) = self.select(a, |o| o.kind == toy::ARRAY && o.slots.len() >= LARGE)? {
                    let len = self.shadow.objects[id].slots.len();
                    let more = len + 1 + b as usize * 4;
                    // SAFETY: the cell is at hand; its new slots are written at once.
                    unsafe {
                        if more < 8 * LARGE && self.heap.grow(cell, toy::size_of_kind(toy::ARRAY, more))? {
                            for i in len..more {
                                toy::word::<Slot>(cell, 3 + i).write(None);
                            }
                            toy::word::<usize>(cell, 2).write(more);
                            self.shadow.objects[id].slots.resize(more, None);
                        }
                    }
                }
            }
            "thread" => {
                let argument = self.get(b)?;
                let new = self.new_thread(argument)?;
                self.set(a, Some(new));
            }
            "resume" => {
                if let Some((cell, id)) = self.select(a, |o| o.kind == toy::THREAD && o.state == State::Suspended)?
                    && self.shadow.chain.len() < CHAIN_MAX
                    && !self.shadow.chain.contains(&id)
                {
                    let argument = self.get(b)?;
                    if d & 1 == 1 {
                        self.set(a, None);
                    }
                    // SAFETY: the thread is at hand.
                    unsafe { self.heap.touch_thread(cell) };
                    self.lower(cell, id);
                    self.shadow.objects[id].state = State::Active;
                    self.shadow.chain.push(id);
                    self.roots.chain.push(cell);
                    if argument.is_some() {
                        self.set(c, argument);
                    }
                }
            }
            "yield" => {
                if self.shadow.chain.len() > 1 {
                    let value = self.get(a)?;
                    let (cell, id) = self.current();
                    self.lower(cell, id);
                    self.shadow.objects[id].state = State::Suspended;
                    self.leave();
                    if value.is_some() {
                        self.set(b, value);
                    }
                }
            }
            "end" => {
                if self.shadow.chain.len() > 1 {
                    let value = self.get(a)?;
                    self.end_current();
                    if value.is_some() {
                        self.set(b, value);
                    }
                }
            }
            "close" => {
                let chain = &self.shadow.chain;
                let chosen = self.select(a, |o| o.kind == toy::THREAD && o.state == State::Suspended)?;
                if let Some((cell, id)) = chosen.filter(|t| !chain.contains(&t.1)) {
                    // SAFETY: the thread is at hand.
                    unsafe { self.heap.touch_thread(cell) };
                    let object = &mut self.shadow.objects[id];
                    object.state = State::Ended;
                    object.frames.clear();
                    self.lower(cell, id);
                }
            }
            "handle" => {
                let i = b as usize % 3;
                if let (Some((cell, id)), None) = (self.get(a)?, &self.handles[i]) {
                    // SAFETY: the cell is at hand.
                    self.handles[i] = Some(unsafe { self.heap.handle(cell) });
                    self.shadow.handles[i] = Some(id);
                }
            }
            "sethandle" => {
                if let (Some((cell, id)), Some(handle)) = (self.get(a)?, &self.handles[b as usize % 3]) {
                    // SAFETY: the cell is at hand.
                    unsafe { self.heap.set_handle(handle, cell) };
                    self.shadow.handles[b as usize % 3] = Some(id);
                }
            }
            "sticky" => {
                if let Some((cell, _)) = self.get(a)? {
                    // SAFETY: the cell is at hand.
                    unsafe { self.heap.make_sticky(cell) };
                }
            }
            "unhandle" => self.drop_handle(a as usize % 3),
            "fromhandle" => {
                let i = a as usize % 3;
                let real = self.handles[i].as_ref().map(|h| self.heap.held(h));
                let value = self.same(real, self.shadow.handles[i])?;
                self.set(b, value);
            }
            "setfin" => {
                if let Some((cell, id)) = self.get(a)?
                    && self.shadow.objects[id].kind != toy::STRING
                    && (!self.shadow.objects[id].finalizer || self.shadow.objects[id].held != 0)
                {
                    // SAFETY: the cell is at hand.
                    unsafe { self.heap.set_finalizer(cell) };
                    self.shadow.objects[id].finalizer = true;
                    self.shadow.objects[id].was_unreachable = false;
                }
            }
            "rearm" => {
                if let Some((cell, id)) = self.get(a)?
                    && self.shadow.objects[id].kind != toy::STRING
                    && (!self.shadow.objects[id].finalizer || self.shadow.objects[id].held == HELD_EPOCHS)
                {
                    // SAFETY: the cell is at hand.
                    unsafe { self.heap.rearm_finalizer(cell) };
                    let object = &mut self.shadow.objects[id];
                    (object.finalizer, object.was_unreachable, object.held) = (true, false, HELD_EPOCHS);
                }
            }
            "runfin" => {
                if let Some(object) = self.next_finalizer()? {
                    self.set(a, Some(object));
                }
            }
            "intern" => self.intern(a, u64::from(b % 3))?,
            "epoch" => {
                self.drive(Drive::EpochEnd(a as usize % 8))?;
            }
            "start" => {
                self.drive(Drive::EpochEndAndStart)?;
            }
            "release" => {
                self.drive(Drive::Release(1 + a as usize % 16))?;
            }
            "phase" => {
                self.drive(Drive::Phase(1 + a as usize % 16))?;
            }
            "clean" => {
                self.drive(Drive::Clean(1 + a as usize))?;
            }
            "markall" => {
                self.drive(Drive::Phase(2000))?;
            }
            "until" => self.until(a)?,
            "step" => {
                self.at_safepoint();
                // SAFETY: all references are in roots, on stacks, or in cells.
                unsafe { self.heap.step(&self.roots, a as usize * 64) };
                self.hold_less(u8::MAX);
                self.compare()?;
            }
            "full" => {
                self.at_safepoint();
                // SAFETY: as above.
                unsafe { self.heap.collect_full(&self.roots) };
                self.hold_less(u8::MAX);
                self.compare()?;
            }
            other => unreachable!("{other} is in the table and not here"),
        }
        Ok(())
    }

    /// Goes on until the cycle has come to a phase.
    fn until(&mut self, a: u8) -> Step {
        use Phase::*;
        let want = [Idle, Mark, CleanValues, ListFinalizable, MarkAgain, CleanKeys, Detach, Drain, Release][a as usize % 9];
        for _ in 0..400 {
            let phase = self.heap.phase();
            if phase == want {
                break;
            }
            let moved = self.drive(Drive::Phase(1))?;
            if !moved && self.heap.phase() == phase {
                if phase == Idle {
                    break;
                }
                self.drive(Drive::EpochEnd(0))?;
                if self.heap.phase() == Drain {
                    self.drive(Drive::Release(50))?;
                }
            }
        }
        Ok(())
    }

    /// Enters `frames` frames; the last one begins with a slot of the present one.
    fn push(&mut self, a: u8, frames: usize) -> Step {
        let value = self.get(a)?;
        let (cell, id) = self.current();
        let depth = self.shadow.objects[id].frames.len() + frames;
        if depth <= DEPTH_MAX {
            // SAFETY: the running thread lives.
            unsafe { toy::reserve(cell, depth * FRAME) };
            for _ in 0..frames {
                self.shadow.objects[id].frames.push([None; FRAME]);
                // SAFETY: the new frame is within the buffer (R6).
                (0..FRAME).for_each(|i| unsafe { self.slot(i).write(None) });
                self.lower(cell, id);
                self.set(0, value);
            }
        }
        Ok(())
    }

    /// Leaves up to `frames` frames; a slot of the last one goes to a slot of that which runs on.
    fn pop(&mut self, a: u8, b: u8, frames: usize) -> Step {
        let (cell, id) = self.current();
        for _ in 0..frames {
            if self.shadow.objects[id].frames.len() == 1 {
                break;
            }
            let value = self.get(a)?;
            self.shadow.objects[id].frames.pop();
            self.lower(cell, id);
            self.set(b, value);
        }
        Ok(())
    }

    fn weak_get(&mut self, a: u8, b: u8, c: u8) -> Step {
        let Some((cell, id)) = self.select(a, |o| Self::has_weak_values(o) && Self::has_entries(o))? else {
            return Ok(());
        };
        let Some(i) = self.entry_of(id, b) else { return Ok(()) };
        // SAFETY: `select` has checked the cell; the entry is as the collector left it.
        unsafe {
            let (Some(real), Some(value)) = (toy::pairs(cell)[i].1, self.shadow.objects[id].pairs[i].1) else { return Ok(()) };
            if self.heap.weak_value(real) {
                let loaded = self.same(Some(real), Some(value))?;
                self.set(c, loaded);
            } else {
                self.reads_nil(value, "value")?;
                self.set(c, None);
            }
        }
        Ok(())
    }

    /// Stores what slot `d` has in `c + 1` slots of an array from `b` on, one after the other.
    fn store_row(&mut self, a: u8, b: u8, c: u8, d: u8) -> Step {
        let Some(array) = self.select(a, |o| o.kind == toy::ARRAY && !o.slots.is_empty())? else { return Ok(()) };
        let (value, len) = (self.get(d)?, self.shadow.objects[array.1].slots.len());
        for slot in (b as usize % len..len).take(c as usize + 1) {
            self.store(array, slot, value)?;
        }
        Ok(())
    }

    /// Copies `d + 1` slots of an array from `b` on to those from `c` on, behind one barrier.
    fn slide(&mut self, a: u8, b: u8, c: u8, d: u8) -> Step {
        let Some((cell, id)) = self.select(a, |o| o.kind == toy::ARRAY && !o.slots.is_empty())? else { return Ok(()) };
        let len = self.shadow.objects[id].slots.len();
        let (from, to) = (b as usize % len, c as usize % len);
        let count = (d as usize + 1).min(len - from.max(to));
        if !self.options.skip_barrier {
            // SAFETY: the program has the array at hand.
            unsafe { self.heap.barrier_range(cell, to..to + count) };
        }
        // SAFETY: as above.
        unsafe { toy::slots(cell).copy_within(from..from + count, to) };
        self.shadow.objects[id].slots.copy_within(from..from + count, to);
        Ok(())
    }

    /// Entry `b` of a weak storage moves to the first empty place from `c` on.
    fn move_entry(&mut self, a: u8, b: u8, c: u8) -> Step {
        let has_both = |o: &Object| Self::has_entries(o) && o.pairs.contains(&(None, None));
        let Some((cell, id)) = self.select(a, has_both)? else { return Ok(()) };
        let (len, start) = (self.shadow.objects[id].pairs.len(), self.place(id, c));
        let empty = (0..len).map(|k| (start + k) % len).find(|&k| self.shadow.objects[id].pairs[k] == (None, None));
        if let (Some(from), Some(to)) = (self.entry_of(id, b), empty)
            && self.copy_keeps((cell, id), from)?
        {
            // SAFETY: `select` has checked the cell; the entry is as the collector left it.
            let (real, shadow) = unsafe { (toy::pairs(cell)[from], self.shadow.objects[id].pairs[from]) };
            let strong = match self.shadow.objects[id].kind {
                toy::WEAK => real.0.is_some(),
                toy::EPHEMERON => real.1.is_some(),
                _ => false,
            };
            for slot in [from, to] {
                if strong {
                    self.barrier(cell, slot);
                }
            }
            // SAFETY: as above.
            unsafe { (toy::pairs(cell)[to], toy::pairs(cell)[from]) = (real, (None, None)) };
            let pairs = &mut self.shadow.objects[id].pairs;
            (pairs[to], pairs[from]) = (shadow, (None, None));
        }
        Ok(())
    }

    fn ephemeron_get(&mut self, a: u8, b: u8, c: u8) -> Step {
        let Some((cell, id)) = self.select(a, |o| o.kind == toy::EPHEMERON && Self::has_entries(o))? else { return Ok(()) };
        let mut keys = Vec::new();
        for i in 0..FRAME as u8 {
            keys.extend(self.get(b.wrapping_add(i) % FRAME as u8)?);
        }
        let pairs = &self.shadow.objects[id].pairs;
        let hit = keys.iter().find_map(|k| pairs.iter().position(|p| p.0 == Some(k.1)));
        if let Some(i) = hit {
            // SAFETY: `select` has checked the cell; the key is at hand, so the value is there.
            unsafe {
                let (real, shadow) = (toy::pairs(cell)[i].1, self.shadow.objects[id].pairs[i].1);
                if let Some(value) = real {
                    self.heap.ephemeron_value(value);
                }
                let value = self.same(real, shadow)?;
                self.set(c, value);
            }
        }
        Ok(())
    }

    fn ephemeron_next(&mut self, a: u8, b: u8, c: u8, d: u8) -> Step {
        let Some((cell, id)) = self.select(a, |o| o.kind == toy::EPHEMERON && Self::has_entries(o))? else { return Ok(()) };
        let Some(i) = self.entry_of(id, b) else { return Ok(()) };
        // SAFETY: `select` has checked the cell; the entry is as the collector left it.
        unsafe {
            let (real, shadow) = (toy::pairs(cell)[i], self.shadow.objects[id].pairs[i]);
            let (Some(key), Some(key_id)) = (real.0, shadow.0) else { return Ok(()) };
            if !self.heap.weak_key(key) {
                return self.reads_nil(key_id, "key");
            }
            let key = self.same(Some(key), Some(key_id))?;
            self.set(c, key);
            if d & 1 == 1 {
                if let Some(value) = real.1 {
                    self.heap.ephemeron_value(value);
                }
                let value = self.same(real.1, shadow.1)?;
                self.set(d / 2, value);
            }
        }
        Ok(())
    }

    fn intern(&mut self, a: u8, content: u64) -> Step {
        let reach = self.shadow.reach(false);
        let equal = (0..reach.len())
            .find(|&id| reach[id] && self.shadow.objects[id].kind == toy::STRING && self.shadow.objects[id].content == content);
        // SAFETY: entries of the table are live or young cells.
        unsafe {
            if let Some(&cell) = self.heap.runtime().interned.get(&content) {
                if self.heap.intern_hit(cell) {
                    let id = toy::number(cell) as Id;
                    if self.shadow.objects.get(id).is_none_or(|o| o.kind != toy::STRING || o.content != content) {
                        return violation(format!("the table of strings names {id:#x}"));
                    }
                    if equal.is_some_and(|e| e != id) {
                        return violation(format!("two strings {content} live at once"));
                    }
                    let found = self.same(Some(cell), Some(id))?;
                    self.set(a, found);
                    return Ok(());
                }
                self.heap.runtime_mut().interned.remove(&content);
            }
            if let Some(e) = equal {
                return violation(format!("string {e} can be reached and is not in the table"));
            }
            let (cell, id) = self.allocate(toy::STRING, 0)?;
            toy::word::<u64>(cell, 2).write(content);
            self.shadow.objects[id].content = content;
            self.heap.runtime_mut().interned.insert(content, cell);
            self.heap.interned(cell);
            self.set(a, Some((cell, id)));
        }
        Ok(())
    }
}
