//! How the collector reads Lua's cells: the table of kinds and [`LuaRuntime`].

use super::Value;
use super::function::{Closure, Native, UpBox};
use super::gc::Gc;
use super::intern::StringTable;
use super::proto::ProtoCell;
use super::string::Str;
use super::table::{ArrayPart, Directory, Hold, ModeChanges, NodePart, SparseTables, Table};
use super::thread::Thread;
use super::userdata::Userdata;
use neap_gc::{Kind, Ref, Runtime, Shape, Side, Stack, Verdict};
use std::ops::Range;
use std::ptr::NonNull;

/// The numbers of the kinds: indices of the table that [`LuaRuntime`] gives.
pub mod kind {
    pub const STR: u8 = 0;
    pub const TABLE: u8 = 1;
    pub const ARRAY: u8 = 2;
    pub const NODES: u8 = 3;
    pub const NODES_WEAK_VALUES: u8 = 4;
    pub const NODES_EPHEMERON: u8 = 5;
    pub const NODES_ALL_WEAK: u8 = 6;
    pub const CLOSURE: u8 = 7;
    pub const NATIVE: u8 = 8;
    pub const BOX: u8 = 9;
    pub const PROTO: u8 = 10;
    pub const USERDATA: u8 = 11;
    pub const THREAD: u8 = 12;
    pub const DIRECTORY: u8 = 13;
}

/// The part of the interpreter that the collector may call.
#[derive(Default)]
pub struct LuaRuntime {
    pub strings: StringTable,
    pub sparse: SparseTables,
    pub changes: ModeChanges,
}

/// # Safety
/// `cell` holds a `T`.
#[inline(always)]
unsafe fn at<'a, T>(cell: Ref) -> &'a T {
    // SAFETY: the caller vouches.
    unsafe { &*cell.as_ptr().cast::<T>() }
}

#[inline(always)]
fn visit_value(v: Value, visit: &mut impl FnMut(Ref)) {
    if let Some(r) = v.as_ref() {
        visit(r);
    }
}

// SAFETY: every method reads exactly the references that stand in the cell, by the layouts of this module's neighbours.
unsafe impl Runtime for LuaRuntime {
    fn kinds(&self) -> Vec<Kind> {
        vec![
            Kind::new("string", Shape::Leaf),
            Kind::new("table", Shape::Plain),
            Kind::new("array part", Shape::Array),
            Kind::new("hash part", Shape::Array),
            Kind::new("hash part, weak values", Shape::Array).with_weak_references(),
            Kind::new("hash part, weak keys", Shape::Ephemeron),
            Kind::new("hash part, weak", Shape::Array).with_weak_references(),
            Kind::new("closure", Shape::Plain),
            Kind::new("native function", Shape::Plain),
            Kind::new("upvalue", Shape::Plain),
            Kind::new("prototype", Shape::Array),
            Kind::new("userdata", Shape::Plain).with_destructor(),
            Kind::new("thread", Shape::Thread).with_destructor(),
            Kind::new("directory of hash parts", Shape::Array),
        ]
    }

    #[inline(always)]
    unsafe fn trace(&self, cell: Ref, visit: &mut impl FnMut(Ref)) {
        // SAFETY: (whole function) the kind tells the type.
        unsafe {
            match cell.kind() {
                kind::TABLE => at::<Table>(cell).trace(visit),
                kind::CLOSURE => {
                    let c = Gc::<Closure>::from_ref(cell);
                    visit(c.proto.as_ref());
                    for i in 0..c.num_upvals() {
                        visit(c.upval(i).as_ref());
                    }
                }
                kind::BOX => visit_value(at::<UpBox>(cell).get(), visit),
                kind::NATIVE => {
                    let f = Gc::<Native>::from_ref(cell);
                    for i in 0..f.num_upvals() {
                        visit_value(f.upval(i), visit);
                    }
                }
                kind::USERDATA => {
                    let u = at::<Userdata>(cell);
                    if let Some(m) = u.meta() {
                        visit(m.as_ref());
                    }
                }
                // A thread holds nothing outside its stack: the chain of resumers is a matter of the roots.
                _ => {}
            }
        }
    }

    #[inline]
    unsafe fn slots(&self, cell: Ref) -> usize {
        // SAFETY: the kind tells the type.
        unsafe {
            match cell.kind() {
                kind::ARRAY => at::<ArrayPart>(cell).len(),
                kind::PROTO => at::<ProtoCell>(cell).slots(),
                kind::DIRECTORY => at::<Directory>(cell).len(),
                _ => at::<NodePart>(cell).len(),
            }
        }
    }

    #[inline(always)]
    unsafe fn trace_slots(&self, cell: Ref, range: Range<usize>, visit: &mut impl FnMut(Ref)) {
        // SAFETY: (whole function) the kind tells the type; the range lies within the slots.
        unsafe {
            match cell.kind() {
                kind::ARRAY => {
                    for v in at::<ArrayPart>(cell).values(range) {
                        visit_value(*v, visit);
                    }
                }
                kind::NODES => {
                    for n in at::<NodePart>(cell).nodes(range) {
                        visit_value(n.key(), visit);
                        visit_value(n.value(), visit);
                    }
                }
                kind::PROTO => at::<ProtoCell>(cell).trace_slots(range, visit),
                kind::DIRECTORY => {
                    let directory = at::<Directory>(cell);
                    range.for_each(|i| visit(directory.entry(i).get()));
                }
                weak => {
                    let hold = Hold::of(weak);
                    for n in at::<NodePart>(cell).nodes(range) {
                        if let Some(key) = hold.strong_key(n.key()) {
                            visit(key);
                        }
                        if let Some(value) = hold.strong_value(n.value()) {
                            visit(value);
                        }
                    }
                }
            }
        }
    }

    unsafe fn trace_entries(&self, cell: Ref, range: Range<usize>, visit: &mut impl FnMut(Option<Ref>, Option<Ref>)) {
        // SAFETY: an ephemeron is a hash part.
        unsafe {
            for n in at::<NodePart>(cell).nodes(range) {
                let key = n.key().as_ref();
                if n.key().is_str() {
                    // A strong key, and a value that lives with it.
                    visit(None, key);
                    visit(None, n.value().as_ref());
                } else {
                    visit(key, n.value().as_ref());
                }
            }
        }
    }

    unsafe fn clean(
        &self,
        cell: Ref,
        range: Range<usize>,
        verdict: &mut impl FnMut(Ref, Side) -> Verdict,
        log: &mut impl FnMut(usize),
    ) {
        // SAFETY: (whole function) kinds with weak references are hash parts.
        unsafe {
            let hold = Hold::of(cell.kind());
            let part = at::<NodePart>(cell);
            for i in range {
                let n = part.node(i);
                let (key, value) = ((*n).key(), (*n).value());
                let mut is_dead = |weak: Option<Ref>, side| weak.is_some_and(|r| verdict(r, side) == Verdict::Clear);
                if is_dead(hold.weak_key(key), Side::Key) || is_dead(hold.weak_value(value), Side::Value) {
                    if hold.any_strong(key, value) {
                        log(i);
                    }
                    part.kill(i);
                }
            }
        }
    }

    unsafe fn stack(&self, cell: Ref) -> NonNull<Stack> {
        // SAFETY: a thread.
        unsafe { Gc::<Thread>::from_ref(cell).stack() }
    }

    #[inline(always)]
    unsafe fn trace_stack(&self, cell: Ref, range: Range<usize>, visit: &mut impl FnMut(Option<Ref>)) {
        // SAFETY: a thread, and slots of its stack.
        unsafe {
            let slots = Gc::<Thread>::from_ref(cell).slots();
            for i in range {
                visit((*slots.add(i)).as_ref());
            }
        }
    }

    unsafe fn clear_stack(&self, cell: Ref, range: Range<usize>) {
        // SAFETY: as above.
        unsafe {
            let slots = Gc::<Thread>::from_ref(cell).slots();
            for i in range {
                slots.add(i).write(Value::NIL);
            }
        }
    }

    unsafe fn forget(&self, cell: Ref) {
        // SAFETY: array and hash parts are what is ever replaced.
        unsafe { if cell.kind() == kind::ARRAY { at::<ArrayPart>(cell).forget() } else { at::<NodePart>(cell).forget() } }
    }

    unsafe fn destroy(&mut self, cell: Ref, release: &mut dyn FnMut(NonNull<u8>)) {
        // SAFETY: (whole function) the cell is of a kind with a destructor, initialised, and destroyed once.
        unsafe {
            match cell.kind() {
                kind::USERDATA => at::<Userdata>(cell).destroy(release),
                kind::THREAD => {
                    let state = Gc::<Thread>::from_ref(cell).state();
                    let blocks = [NonNull::new(state.slots.cast()), NonNull::new(state.frames.cast()), state.tbc.block()];
                    blocks.into_iter().flatten().for_each(release);
                    std::ptr::drop_in_place(&mut state.hook);
                }
                _ => {}
            }
        }
    }

    unsafe fn unintern(&mut self, cell: Ref) {
        // SAFETY: interned cells are strings.
        self.strings.remove(unsafe { Gc::<Str>::from_ref(cell) });
    }
}
