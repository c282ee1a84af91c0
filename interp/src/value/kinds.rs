//! How the collector reads Lua's cells: the table of kinds and [`LuaRuntime`].

use super::function::{Closure, Native, UpBox};
use super::gc::Gc;
use super::intern::StringTable;
use super::proto::ProtoCell;
use super::string::Str;
use super::table::{ArrayPart, NodePart, Table};
use super::thread::Thread;
use super::userdata::Userdata;
use super::{Tag, Value};
use neap_gc::{Kind, Ref, Runtime, Shape, Stack, Verdict};
use std::ops::Range;
use std::ptr::NonNull;

/// The numbers of the kinds: indices of [`LuaRuntime::KINDS`].
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
}

/// The part of the interpreter that the collector may call.
pub struct LuaRuntime {
    pub strings: StringTable,
}

const fn plain(name: &'static str, shape: Shape, destructor: bool) -> Kind {
    Kind { name, shape, destructor }
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
    type Slot = Value;
    const EMPTY_SLOT: Value = Value::NIL;
    const KINDS: &'static [Kind] = &[
        plain("string", Shape::Leaf, false),
        plain("table", Shape::Plain, false),
        plain("array part", Shape::Array, false),
        plain("hash part", Shape::Array, false),
        plain("hash part, weak values", Shape::WeakValues, false),
        plain("hash part, weak keys", Shape::Ephemeron, false),
        plain("hash part, weak", Shape::AllWeak, false),
        plain("closure", Shape::Plain, false),
        plain("native function", Shape::Plain, false),
        plain("upvalue", Shape::Plain, false),
        plain("prototype", Shape::Plain, false),
        plain("userdata", Shape::Plain, true),
        plain("thread", Shape::Thread, true),
    ];

    #[inline(always)]
    fn slot_ref(slot: &Value) -> Option<Ref> {
        slot.as_ref()
    }

    #[inline]
    unsafe fn size(cell: Ref) -> usize {
        // SAFETY: (whole function) the kind tells the type.
        unsafe {
            match cell.kind() {
                kind::STR => Str::cell_size(at::<Str>(cell).len()),
                kind::TABLE => size_of::<Table>(),
                kind::ARRAY => ArrayPart::cell_size(at::<ArrayPart>(cell).len()),
                kind::NODES | kind::NODES_WEAK_VALUES | kind::NODES_EPHEMERON | kind::NODES_ALL_WEAK => {
                    NodePart::cell_size(at::<NodePart>(cell).len())
                }
                kind::CLOSURE => Closure::cell_size(at::<Closure>(cell).num_upvals()),
                kind::NATIVE => Native::cell_size(at::<Native>(cell).num_upvals()),
                kind::BOX => size_of::<UpBox>(),
                kind::PROTO => at::<ProtoCell>(cell).size(),
                kind::USERDATA => size_of::<Userdata>(),
                _ => size_of::<Thread>(),
            }
        }
    }

    #[inline(always)]
    unsafe fn trace(cell: Ref, visit: &mut impl FnMut(Ref)) {
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
                kind::PROTO => {
                    let p = at::<ProtoCell>(cell);
                    p.consts().iter().for_each(|&k| visit_value(k, visit));
                    p.protos().iter().for_each(|p| visit(p.as_ref()));
                    visit(p.source.as_ref());
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
    unsafe fn slots(cell: Ref) -> usize {
        // SAFETY: indexed shapes are array and hash parts.
        unsafe { if cell.kind() == kind::ARRAY { at::<ArrayPart>(cell).len() } else { at::<NodePart>(cell).len() } }
    }

    #[inline(always)]
    unsafe fn trace_slots(cell: Ref, range: Range<usize>, visit: &mut impl FnMut(Ref)) {
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
                // Strings are values, not objects: they are never held weakly.
                kind::NODES_WEAK_VALUES => {
                    for n in at::<NodePart>(cell).nodes(range) {
                        visit_value(n.key(), visit);
                        if n.value().is_str() {
                            visit_value(n.value(), visit);
                        }
                    }
                }
                kind::NODES_EPHEMERON => {
                    for n in at::<NodePart>(cell).nodes(range) {
                        if n.key().is_str() {
                            visit_value(n.key(), visit);
                        }
                        visit_value(n.value(), visit);
                    }
                }
                _ => {
                    for n in at::<NodePart>(cell).nodes(range) {
                        if n.key().is_str() {
                            visit_value(n.key(), visit);
                        }
                        if n.value().is_str() {
                            visit_value(n.value(), visit);
                        }
                    }
                }
            }
        }
    }

    unsafe fn trace_entries(cell: Ref, range: Range<usize>, visit: &mut impl FnMut(Option<Ref>, Option<Ref>)) {
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

    unsafe fn clean_slots(
        cell: Ref,
        range: Range<usize>,
        verdict: &mut impl FnMut(Ref, bool) -> Verdict,
        log: &mut impl FnMut(usize),
    ) {
        // SAFETY: (whole function) weak shapes are hash parts.
        unsafe {
            let k = cell.kind();
            let (weak_keys, weak_values) = (k != kind::NODES_WEAK_VALUES, k != kind::NODES_EPHEMERON);
            let part = at::<NodePart>(cell);
            for i in range {
                let n = part.node(i);
                let (key, value) = ((*n).key(), (*n).value());
                let dead = |v: Value, is_key: bool, verdict: &mut dyn FnMut(Ref, bool) -> Verdict| {
                    !v.is_str() && v.as_ref().is_some_and(|r| verdict(r, is_key) == Verdict::Clear)
                };
                if (weak_keys && dead(key, true, verdict)) || (weak_values && dead(value, false, verdict)) {
                    log(i);
                    (*n).kill();
                }
            }
        }
    }

    unsafe fn stack<'a>(cell: Ref) -> &'a mut Stack<Value> {
        // SAFETY: a thread.
        unsafe { &mut Gc::<Thread>::from_ref(cell).state().stack }
    }

    unsafe fn forget(cell: Ref) {
        // SAFETY: array and hash parts are what is ever replaced.
        unsafe { if cell.kind() == kind::ARRAY { at::<ArrayPart>(cell).forget() } else { at::<NodePart>(cell).forget() } }
    }

    unsafe fn destroy(&mut self, cell: Ref, release: &mut dyn FnMut(NonNull<u8>)) {
        // SAFETY: (whole function) the cell is of a kind with a destructor, initialised, and destroyed once.
        unsafe {
            match cell.kind() {
                kind::USERDATA => {
                    if let Some(block) = at::<Userdata>(cell).destroy() {
                        release(block);
                    }
                }
                kind::THREAD => {
                    let state = Gc::<Thread>::from_ref(cell).state();
                    let blocks = [NonNull::new(state.stack.slots.cast()), NonNull::new(state.frames.cast()), state.tbc.block()];
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

/// Whether a value can be held weakly: strings are values, not objects.
pub(super) fn weakly_holdable(v: Value) -> Option<Ref> {
    if v.tag() == Tag::STR { None } else { v.as_ref() }
}
