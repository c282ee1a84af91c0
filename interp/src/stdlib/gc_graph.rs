//! What the library `gc` tells of objects and of the graph that they are: counts, sizes, what lives, and why.
//!
//! ```text
//!   gc.refcount(x)             references to an object, from cells, stacks and roots; nil for a value that is none
//!   gc.sizeof(x)               bytes of an object with its parts; gc.sizeof(x, true): with all that is reached from it
//!   gc.kind(x)                 what it is on the heap
//!   gc.census()                a table with the count and the bytes of each kind of cell
//!   gc.diff(a, b)              what has changed between two of those
//!   gc.path(x)                 by which way it is alive: _G.cache[3].next; nil if only by this call
//!   gc.referrers(x)            a list of { by = object, as = text }
//! ```
//! All but `kind` end an epoch and release what counting finds, so that counts are what the references are. Garbage in cycles is still there until a cycle has
//! found it (`gc.collect()`).
//!
//! * **I1** What is gathered of the graph is as large as the graph: it counts against the room before the limit, and looks for a stop (W2).
//! * **I2** The call that asks holds its arguments, which does not count: slots of the running stack from its own on are left out.
//!
//! May import `gc`, `support`, the machine.

use super::gc::{give_up, set_counts};
use super::support;
use crate::value::{Entry, Gc, ProtoCell, Table, Value, kind, value_of_cell};
use crate::vm::{Args, Throw, Vm};
use neap_gc::Ref;
use neap_gc::observe::{Edge, GraphVisitor, Root};
use std::collections::{HashMap, HashSet, VecDeque};
use std::ptr::NonNull;

/// Edges between two looks for a stop.
const LOOK_EDGES: usize = 1 << 14;
/// The longest name of a field that is shown whole.
const NAME_MAX: usize = 60;

fn is_storage(kind: u8) -> bool {
    matches!(kind, kind::ARRAY..=kind::NODES_ALL_WEAK | kind::DIRECTORY)
}

/// A cell that is a value, of the language.
fn is_object(kind: u8) -> bool {
    matches!(kind, kind::STR | kind::TABLE | kind::CLOSURE | kind::NATIVE | kind::USERDATA | kind::THREAD)
}

fn kind_of(cell: Ref) -> u8 {
    // SAFETY: V1: here and below cells come from a value, or from a look at the heap since the last safepoint.
    unsafe { cell.kind() }
}

/// Lets the counts be what the references are.
fn settle(vm: &mut Vm) -> Result<(), Throw> {
    if vm.collect_counted() { Ok(()) } else { Err(vm.stop_error()) }
}

// ---- one object

pub fn kind(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let value = vm.check_any(args, 0)?;
    let name: &[u8] = match value.as_ref().map(kind_of) {
        Some(kind::STR) => b"string",
        Some(kind::TABLE) => b"table",
        Some(kind::CLOSURE) => b"closure",
        Some(kind::NATIVE) => b"native function",
        Some(kind::USERDATA) => b"userdata",
        Some(kind::THREAD) => b"thread",
        _ => return vm.ret1(Value::NIL),
    };
    vm.ret_str(name)
}

pub fn refcount(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let value = vm.check_any(args, 0)?;
    let Some(cell) = value.as_ref() else { return vm.ret1(Value::NIL) };
    settle(vm)?;
    // I2.
    let own = (args.base()..vm.mark()).filter(|&slot| vm.at(slot).as_ref() == Some(cell)).count();
    // SAFETY: V1: the argument holds it.
    let count = unsafe { vm.heap.refcount(cell) } as usize;
    vm.ret1(Value::int(count.saturating_sub(own) as i64))
}

pub fn sizeof(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let value = vm.check_any(args, 0)?;
    let deep = vm.arg(args, 1).is_truthy();
    let Some(cell) = value.as_ref() else { return vm.ret1(Value::int(0)) };
    // Not through what holds everything.
    let mut seen: HashSet<Ref> =
        [vm.globals().as_ref(), vm.registry().as_ref()].into_iter().filter(|root| *root != cell).collect();
    seen.insert(cell);
    let (mut bytes, mut next) = (0, vec![cell]);
    let room = vm.heap.room_bytes(0);
    while let Some(cell) = next.pop() {
        vm.work(1)?;
        if seen.len().saturating_mul(4 * size_of::<Ref>()) > room {
            return Err(vm.memory_error());
        }
        bytes += own_bytes(vm, cell);
        let mut found = Vec::new();
        vm.look_at_heap(|heap| {
            // SAFETY: the cell is reached from an argument; `look_at_heap` looks as at a safepoint.
            unsafe {
                heap.visit_edges(cell, &mut |edge, to| {
                    let part = is_storage(kind_of(to)) && matches!(edge, Edge::Field(_) | Edge::Slot(_));
                    if part || deep && !matches!(edge, Edge::Weak(..)) {
                        found.push(to);
                    }
                });
            }
        });
        vm.work(found.len())?;
        next.extend(found.into_iter().filter(|to| seen.insert(*to)));
    }
    vm.ret1(Value::int(bytes as i64))
}

/// The bytes of a cell and of the explicit blocks that go with it.
fn own_bytes(vm: &Vm, cell: Ref) -> usize {
    let heap = &vm.heap;
    // SAFETY: V1; the blocks of threads and userdata are the heap's.
    unsafe {
        let mut bytes = heap.cell_bytes(cell);
        let mut block = |block: NonNull<u8>| bytes += heap.usable_size(block);
        match kind_of(cell) {
            kind::THREAD => {
                let state = value_of_cell(cell).as_thread().expect("a thread").state();
                [NonNull::new(state.slots.cast()), NonNull::new(state.frames.cast())].into_iter().flatten().for_each(block);
            }
            kind::USERDATA => value_of_cell(cell).as_userdata().expect("a userdata").each_block(&mut block),
            _ => {}
        }
        bytes
    }
}

// ---- all of them

pub fn census(vm: &mut Vm, _: Args) -> Result<u32, Throw> {
    settle(vm)?;
    let kinds = vm.heap.census();
    let table = vm.new_table(0, kinds.len())?;
    for kind in kinds.iter().filter(|kind| kind.objects > 0) {
        let row = vm.new_table(0, 2)?;
        set_counts(vm, row, &[("count", kind.objects), ("bytes", kind.bytes)])?;
        vm.set_field(table, kind.name, Value::table(row))?;
    }
    vm.ret1(Value::table(table))
}

pub fn diff(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let censuses = [vm.check_table(args, 0)?, vm.check_table(args, 1)?];
    let changes = vm.new_table(0, 0)?;
    for (this, other) in [(1, 0), (0, 1)] {
        let (table, than) = (censuses[this], censuses[other]);
        let mut at = 0;
        loop {
            vm.work(1)?;
            let (key, row) = match table.entry_from(&mut vm.heap, at) {
                Entry::End => break,
                Entry::Further(next) => {
                    at = next;
                    continue;
                }
                Entry::Found(next, key, row) => {
                    at = next;
                    (key, row)
                }
            };
            let there = vm.raw_get(than, key);
            if this == 0 && !there.is_nil() {
                // The first round has seen it.
                continue;
            }
            let (now, before) = if this == 1 { (row, there) } else { (Value::NIL, row) };
            let mut numbers = [0; 2];
            for (number, name) in numbers.iter_mut().zip(["count", "bytes"]) {
                *number = field(vm, now, name, 1)?.wrapping_sub(field(vm, before, name, 0)?);
            }
            if numbers != [0; 2] {
                let change = vm.new_table(0, 2)?;
                vm.set_field(change, "count", Value::int(numbers[0]))?;
                vm.set_field(change, "bytes", Value::int(numbers[1]))?;
                vm.raw_set(changes, key, Value::table(change))?;
            }
        }
    }
    vm.ret1(Value::table(changes))
}

/// A number of a census; 0 where the census does not have the kind.
fn field(vm: &mut Vm, row: Value, name: &str, argument: usize) -> Result<i64, Throw> {
    if row.is_nil() {
        return Ok(0);
    }
    let number = match row.as_table() {
        Some(row) => support::integer_of(vm.get_field(row, name)?),
        None => None,
    };
    number.ok_or_else(|| vm.arg_error(argument, "not a census"))
}

// ---- the graph

/// The edges of the graph, by where they lead to, and its roots.
struct Graph {
    edges: Vec<(Ref, Ref)>,
    roots: Vec<(Ref, Root)>,
}

/// Gathers it.
struct Gatherer<'a> {
    graph: Graph,
    /// The running thread, and the first of its slots that belong to the call (I2).
    running: Ref,
    own_slots: usize,
    /// The edges that there is room for.
    room: usize,
    go_on: &'a dyn Fn() -> bool,
    refused: bool,
    stopped: bool,
}

impl GraphVisitor for Gatherer<'_> {
    fn root(&mut self, root: Root, to: Ref) {
        self.graph.roots.push((to, root));
    }
    fn cell(&mut self, _: Ref, _: u8, _: usize) {}
    fn edge(&mut self, from: Ref, edge: Edge, to: Ref) {
        let own = matches!(edge, Edge::Stack(slot) if from == self.running && slot >= self.own_slots);
        if own || matches!(edge, Edge::Weak(..)) || self.refused || self.stopped {
            return;
        }
        let edges = &mut self.graph.edges;
        if edges.len().is_multiple_of(LOOK_EDGES) {
            self.stopped = !(self.go_on)();
            self.refused = edges.len() >= self.room || edges.try_reserve(LOOK_EDGES).is_err();
            if self.stopped || self.refused {
                return;
            }
        }
        edges.push((to, from));
    }
}

impl Graph {
    fn gather(vm: &mut Vm, args: Args) -> Result<Graph, Throw> {
        settle(vm)?;
        let go_on = vm.may_go_on();
        let mut gatherer = Gatherer {
            graph: Graph { edges: Vec::new(), roots: Vec::new() },
            running: vm.current_thread().as_ref(),
            own_slots: args.base().saturating_sub(1),
            room: vm.heap.room_bytes(0) / size_of::<(Ref, Ref)>(),
            go_on: &go_on,
            refused: false,
            stopped: false,
        };
        vm.look_at_heap(|heap| {
            // SAFETY: `look_at_heap` looks as at a safepoint.
            unsafe { heap.visit_graph(&mut gatherer) }
        });
        let Gatherer { mut graph, refused, .. } = gatherer;
        give_up(vm)?;
        if refused {
            return Err(vm.memory_error());
        }
        graph.edges.sort_unstable();
        give_up(vm)?;
        Ok(graph)
    }

    /// What refers to a cell.
    fn incoming(&self, to: Ref) -> impl Iterator<Item = Ref> + '_ {
        let from = self.edges.partition_point(|edge| edge.0 < to);
        self.edges[from..].iter().take_while(move |edge| edge.0 == to).map(|edge| edge.1)
    }

    fn root(&self, cell: Ref) -> Option<Root> {
        self.roots.iter().find(|root| root.0 == cell).map(|root| root.1)
    }

    /// The shortest way from a root to a cell, both included; not through `aside`.
    fn way_to(&self, vm: &mut Vm, cell: Ref, aside: Option<Ref>) -> Result<Option<Vec<Ref>>, Throw> {
        let globals = vm.globals().as_ref();
        // Where the way goes on, for each cell that has been come to.
        let mut next: HashMap<Ref, Option<Ref>> = HashMap::from([(cell, None)]);
        let mut queue = VecDeque::from([cell]);
        let mut found = None;
        // Of several roots at the same distance, the globals.
        while let Some(at) = queue.pop_front() {
            vm.work(1)?;
            if Some(at) != aside && self.root(at).is_some() && (found.is_none() || at == globals) {
                let way: Vec<Ref> = std::iter::successors(Some(at), |at| next[at]).collect();
                if found.as_ref().is_some_and(|found: &Vec<Ref>| found.len() < way.len()) {
                    break;
                }
                found = Some(way);
                if at == globals {
                    break;
                }
            }
            if found.is_some() {
                continue;
            }
            for from in self.incoming(at).filter(|from| Some(*from) != aside) {
                vm.work(1)?;
                next.entry(from).or_insert_with(|| {
                    queue.push_back(from);
                    Some(at)
                });
            }
        }
        Ok(found)
    }

    /// The objects that hold a cell, directly or by their parts, each once; and prototypes.
    fn holders(&self, vm: &mut Vm, cell: Ref) -> Result<Vec<Ref>, Throw> {
        let (mut holders, mut seen, mut next) = (Vec::new(), HashSet::new(), vec![cell]);
        while let Some(at) = next.pop() {
            for from in self.incoming(at) {
                vm.work(1)?;
                if seen.insert(from) {
                    let kind = kind_of(from);
                    if is_storage(kind) || kind == kind::BOX { next.push(from) } else { holders.push(from) }
                }
            }
        }
        Ok(holders)
    }
}

pub fn path(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let value = vm.check_any(args, 0)?;
    let way = way(vm, args, value)?;
    match way {
        Some(way) => vm.ret_str(&way),
        None => vm.ret1(Value::NIL),
    }
}

fn way(vm: &mut Vm, args: Args, value: Value) -> Result<Option<Vec<u8>>, Throw> {
    let Some(cell) = value.as_ref() else { return Ok(None) };
    let graph = Graph::gather(vm, args)?;
    // Variables of the functions that run are the last that anybody wants to hear of.
    let running = vm.current_thread().as_ref();
    let way = match graph.way_to(vm, cell, Some(running).filter(|running| *running != cell))? {
        Some(way) => Some(way),
        None => graph.way_to(vm, cell, None)?,
    };
    let Some(way) = way else { return Ok(None) };
    let root = graph.root(way[0]);
    let mut text = root_name(vm, way[0], root);
    let mut from = way[0];
    for &to in way[1..].iter().filter(|to| !is_storage(kind_of(**to)) && kind_of(**to) != kind::BOX) {
        let label = label(vm, from, to)?;
        text.extend_from_slice(&label);
        from = to;
    }
    Ok(Some(text))
}

/// What a root is called.
fn root_name(vm: &Vm, cell: Ref, root: Option<Root>) -> Vec<u8> {
    let roots = &vm.roots;
    let name: &[u8] = match root {
        _ if cell == roots.globals.as_ref() => b"_G",
        _ if cell == roots.registry.as_ref() => b"registry",
        _ if cell == roots.main.as_ref() => b"main thread",
        _ if roots.chain.iter().any(|thread| thread.as_ref() == cell) => b"running coroutine",
        _ if roots.metas.iter().flatten().any(|meta| meta.as_ref() == cell) => b"metatable of a type",
        Some(Root::Handle) => b"handle of the host",
        Some(Root::Finalizer) => b"waits for its finalizer",
        _ => b"root of the interpreter",
    };
    name.to_vec()
}

/// How one object refers to another, as what is appended to the name of the first.
fn label(vm: &mut Vm, from: Ref, to: Ref) -> Result<Vec<u8>, Throw> {
    let fixed = |text: &[u8]| Ok(text.to_vec());
    if !is_object(kind_of(from)) {
        return fixed(if is_object(kind_of(to)) { b"<constant>" } else { b"<inner function>" });
    }
    if !is_object(kind_of(to)) {
        return fixed(b"<prototype>");
    }
    let object = value_of_cell(from);
    if let Some(table) = object.as_table() {
        return field_label(vm, table, to);
    }
    if object.is_function() {
        for n in 1..=Vm::upvalue_count(object) as i64 {
            if let Some((name, value)) = Vm::upvalue(object, n)
                && value.as_ref() == Some(to)
            {
                let name = if name.is_empty() { n.to_string().into_bytes() } else { name };
                return Ok([b"<upvalue ", &name[..], b">"].concat());
            }
        }
        return fixed(b"<upvalue>");
    }
    if let Some(thread) = object.as_thread() {
        // I2.
        for level in usize::from(thread == vm.current_thread()).. {
            let Some(at) = vm.activation(thread, level) else { break };
            for n in 1.. {
                vm.work(1)?;
                let Some((name, value)) = vm.local(at, n) else { break };
                if value.unboxed().as_ref() == Some(to) && !name.starts_with(b"(") {
                    return Ok([b"<local ", &name[..], b">"].concat());
                }
            }
        }
        return fixed(b"<stack>");
    }
    fixed(b"<metatable>")
}

fn field_label(vm: &mut Vm, table: Gc<Table>, to: Ref) -> Result<Vec<u8>, Throw> {
    if table.meta().is_some_and(|meta| meta.as_ref() == to) {
        return Ok(b"<metatable>".to_vec());
    }
    let (mut at, mut is_key) = (0, false);
    loop {
        vm.work(1)?;
        match table.entry_from(&mut vm.heap, at) {
            Entry::End => return Ok(if is_key { b"<key>".to_vec() } else { b"<entry>".to_vec() }),
            Entry::Further(next) => at = next,
            Entry::Found(next, key, value) => {
                if value.as_ref() == Some(to) {
                    return Ok(key_text(key));
                }
                is_key |= key.as_ref() == Some(to);
                at = next;
            }
        }
    }
}

/// A key as it is written behind a table.
fn key_text(key: Value) -> Vec<u8> {
    if let Some(name) = key.as_str() {
        let bytes = name.bytes();
        let mut all = bytes.iter().enumerate();
        let is_name = !bytes.is_empty() && all.all(|(i, b)| *b == b'_' || b.is_ascii_alphabetic() || i > 0 && b.is_ascii_digit());
        if is_name && bytes.len() <= NAME_MAX {
            return [b".", bytes].concat();
        }
        let shown = bytes[..bytes.len().min(NAME_MAX)].escape_ascii().to_string();
        return format!("[\"{shown}{}\"]", if bytes.len() > NAME_MAX { "..." } else { "" }).into_bytes();
    }
    let text = match (key.as_int(), key.as_float()) {
        (Some(n), _) => n.to_string(),
        (_, Some(n)) => n.to_string(),
        _ if key.type_name() == "boolean" => key.is_truthy().to_string(),
        _ => key.type_name().to_owned(),
    };
    format!("[{text}]").into_bytes()
}

pub fn referrers(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let value = vm.check_any(args, 0)?;
    let list = vm.new_table(0, 0)?;
    let Some(cell) = value.as_ref() else { return vm.ret1(Value::table(list)) };
    // It must not be among them: what has been made in this call is on its stack.
    vm.push(Value::table(list))?;
    let graph = Graph::gather(vm, args)?;
    let mut count = 0;
    for holder in graph.holders(vm, cell)? {
        let text = label(vm, holder, cell)?;
        let by = if is_object(kind_of(holder)) { value_of_cell(holder) } else { Value::NIL };
        let text = if by.is_nil() { function_text(holder, &text) } else { text };
        count += 1;
        add(vm, list, count, by, &text)?;
    }
    for &(root, what) in graph.roots.iter().filter(|root| root.0 == cell) {
        count += 1;
        let name = root_name(vm, root, Some(what));
        add(vm, list, count, Value::NIL, &name)?;
    }
    Ok(1)
}

/// `constant of the function at file.lua:3`.
fn function_text(prototype: Ref, label: &[u8]) -> Vec<u8> {
    // SAFETY: V1: what holds objects and is none, nor a storage or a box, is a prototype.
    let proto = unsafe { Gc::<ProtoCell>::from_ref(prototype) };
    let source = crate::syntax::chunk_id(proto.source.bytes());
    let what = label.strip_prefix(b"<").and_then(|label| label.strip_suffix(b">")).unwrap_or(label);
    [what, b" of the function at ", &source, format!(":{}", proto.line_defined).as_bytes()].concat()
}

fn add(vm: &mut Vm, list: Gc<Table>, n: i64, by: Value, text: &[u8]) -> Result<(), Throw> {
    let entry = vm.new_table(0, 2)?;
    vm.set_field(entry, "by", by)?;
    let text = vm.new_str(text)?;
    vm.set_field(entry, "as", text)?;
    vm.raw_set(list, Value::int(n), Value::table(entry))
}
