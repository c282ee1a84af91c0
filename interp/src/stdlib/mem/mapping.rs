//! The memory of the system: the break region, and mappings of files, of anonymous memory, and of memory that processes share by a name.

use super::place::{Bytes, Place, check_place};
use super::{State, access, check_size, held, metatable, pointer, site, wrong};
use crate::stdlib::os::file_result;
use crate::stdlib::support::{self, Functions, text};
use crate::value::{Gc, Table, Value};
use crate::vm::{Args, Throw, Vm};
use neap_gc::explicit::{Advice, BreakRegion, MapError, Mapping, Protection, Site};
use std::cell::{Cell, RefCell};
use std::ffi::OsStr;
use std::fs::OpenOptions;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

const HANDLE: &str = "mem.mapping";
const METHODS: Functions = &[
    ("advise", advise),
    ("copy", access::copy),
    ("dump", access::dump),
    ("fill", access::fill),
    ("protect", protect),
    ("read", access::read),
    ("resize", resize),
    ("size", access::size),
    ("string", access::string),
    ("sync", sync),
    ("unmap", unmap),
    ("write", access::write),
];
const METAMETHODS: Functions = &[("__close", close), ("__len", access::size), ("__tostring", tostring)];

/// Where memory that is shared by a name stands, as `shm_open` has it.
const SHARED_FOLDER: &str = "/dev/shm";

/// What the handle of a mapping holds.
pub(super) struct Mapped {
    mapping: Option<Mapping>,
    size: usize,
    /// What is mapped.
    what: Vec<u8>,
    made: Vec<u8>,
    unmapped: Option<Vec<u8>>,
    /// What it takes of the heap's limit, and the sum of that.
    charged: usize,
    sum: Rc<Cell<usize>>,
}

struct Handle(Rc<RefCell<Mapped>>);

impl Mapped {
    /// `None`: it has been unmapped.
    pub fn size(&self) -> Option<usize> {
        self.mapping.as_ref().map(Mapping::len)
    }
    pub fn range(&self) -> Option<std::ops::Range<usize>> {
        self.mapping.as_ref().map(Mapping::range)
    }
    pub fn check(&self, at: usize, len: usize, writes: bool) -> Result<(), MapError> {
        self.mapping.as_ref().map_or(Err(MapError::OutOfBounds), |mapping| mapping.check(at, len, writes))
    }
    pub fn read(&self, at: usize, into: &mut [u8]) -> Result<(), MapError> {
        self.mapping.as_ref().map_or(Err(MapError::OutOfBounds), |mapping| mapping.read(at, into))
    }
    pub fn write(&mut self, at: usize, bytes: &[u8]) -> Result<(), MapError> {
        self.mapping.as_mut().map_or(Err(MapError::OutOfBounds), |mapping| mapping.write(at, bytes))
    }
    /// For messages: what it is and where it was made.
    pub fn name(&self, _: &Vm) -> Vec<u8> {
        let kind = match self.mapping.as_ref().map(Mapping::protection) {
            Some(Protection::Read) => "read-only mapping",
            Some(Protection::None) => "protected mapping",
            _ => "mapping",
        };
        let mut text = format!("{kind} of {} bytes of ", self.size).into_bytes();
        text.extend_from_slice(&self.what);
        text.extend_from_slice(b" made at ");
        text.extend_from_slice(&self.made);
        if let Some(unmapped) = &self.unmapped {
            text.extend_from_slice(b", unmapped at ");
            text.extend_from_slice(unmapped);
        }
        text
    }
    fn recharge(&mut self, bytes: usize) {
        self.sum.set(self.sum.get() - self.charged + bytes);
        self.charged = bytes;
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        self.recharge(0);
    }
}

pub(super) fn mapped_of(value: Value) -> Option<Rc<RefCell<Mapped>>> {
    held(value, |handle: &Handle| handle.0.clone())
}

fn check_mapping(vm: &mut Vm, args: Args, i: usize) -> Result<Rc<RefCell<Mapped>>, Throw> {
    match mapped_of(vm.arg(args, i)) {
        Some(mapped) => Ok(mapped),
        None => Err(vm.arg_type_error(args, i, HANDLE)),
    }
}

/// Works with a mapping that is there. What the system refuses is `nil`, a message and a number, as from the functions of `io`.
fn on_mapping(vm: &mut Vm, args: Args, work: impl FnOnce(&mut Mapped) -> io::Result<()>) -> Result<u32, Throw> {
    let mapped = check_mapping(vm, args, 0)?;
    Place { bytes: Bytes::Mapping(mapped.clone()), base: 0 }.size(vm)?;
    let done = work(&mut mapped.borrow_mut());
    match done {
        Ok(()) => {
            let handle = vm.arg(args, 0);
            vm.ret1(handle)
        }
        Err(error) => file_result(vm, Err(error), None),
    }
}

/// Whether the heap's limit has room for so many bytes more that do not stand on it; if not, what is garbage goes first.
fn charge(vm: &mut Vm, bytes: usize) -> Result<(), Throw> {
    for last in [false, true] {
        let wanted = vm.lib.mem.system_bytes().saturating_add(bytes);
        if vm.heap.limit_bytes() == usize::MAX || vm.heap.room_bytes(wanted) >= wanted {
            return Ok(());
        }
        if !last {
            vm.collect_all();
        }
    }
    Err(vm.memory_error())
}

fn here(vm: &mut Vm) -> Vec<u8> {
    let site: Site = site(vm);
    vm.lib.mem.sites.name(site)
}

// ---- the break region

fn region(vm: &mut Vm) -> Result<&mut BreakRegion, Throw> {
    if vm.lib.mem.region.is_none() {
        match BreakRegion::new() {
            Ok(region) => vm.lib.mem.region = Some(region),
            Err(_) => return Err(vm.memory_error()),
        }
    }
    match &mut vm.lib.mem.region {
        Some(region) => Ok(region),
        None => unreachable!("it has just been made"),
    }
}

/// Moves the break, and returns where it was.
fn move_break(vm: &mut Vm, to: i64) -> Result<usize, Throw> {
    let before = region(vm)?.len();
    let Ok(to) = usize::try_from(to) else {
        return Err(wrong(vm, b"the break can't lie before the start of its region".to_vec()));
    };
    charge(vm, to.saturating_sub(before))?;
    match region(vm)?.brk(to) {
        Ok(()) => Ok(before),
        Err(_) => Err(vm.memory_error()),
    }
}

/// `mem.brk([to])`: the bytes of the break region, which is made so long first if `to` (a number of bytes, or a pointer into it) is given.
pub(super) fn brk(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let value = vm.arg(args, 0);
    match pointer::target_of(value) {
        Some(pointer::Target::Break(offset)) => drop(move_break(vm, offset)?),
        _ if value.is_nil() => {}
        _ => {
            let to = vm.check_int(args, 0)?;
            move_break(vm, to)?;
        }
    }
    let now = region(vm)?.len();
    vm.ret1(Value::int(now as i64))
}

/// `mem.sbrk(by)`: moves the break by so many bytes, and returns a pointer to where it was.
pub(super) fn sbrk(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let by = vm.opt_int(args, 0, 0)?;
    let now = region(vm)?.len() as i64;
    let before = move_break(vm, now.saturating_add(by))?;
    let pointer = pointer::into_break(vm, before)?;
    vm.ret1(pointer)
}

// ---- making a mapping

/// What `mem.map` is asked for.
struct Request {
    path: Option<PathBuf>,
    /// For messages.
    what: Vec<u8>,
    size: Option<usize>,
    offset: u64,
    mode: usize,
    shared: bool,
}

const MODES: [&str; 4] = ["r", "r+", "rw", "w+"];

/// `mem.map{file = path | name = name | anonymous = true, size =, offset =, mode =, shared =}`. Modes are those of `io.open`: "r", "r+", "w+"; and "rw", which
/// makes a file that is not there.
pub(super) fn map(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let options = vm.check_table(args, 0)?;
    let request = request(vm, options)?;
    if request.path.is_none() || !request.shared {
        charge(vm, request.size.unwrap_or(0))?;
    }
    let made = here(vm);
    let mapping = match mapped(&request) {
        Ok(mapping) => mapping,
        Err(error) => return file_result(vm, Err(error), Some(&request.what)),
    };
    let (size, sum) = (mapping.len(), vm.lib.mem.mapped_bytes.clone());
    let mut mapped = Mapped { mapping: Some(mapping), size, what: request.what, made, unmapped: None, charged: 0, sum };
    if request.path.is_none() || !request.shared {
        mapped.recharge(size);
    }
    let meta = metatable(vm, HANDLE, METAMETHODS, METHODS)?;
    let handle = vm.new_userdata(Handle(Rc::new(RefCell::new(mapped))), Some(meta))?;
    vm.ret1(handle)
}

/// A field of the options, which must be a string if it is there.
fn string_field(vm: &mut Vm, options: Gc<Table>, name: &str) -> Result<Option<Vec<u8>>, Throw> {
    let value = vm.get_field(options, name)?;
    match value.as_str() {
        Some(string) => Ok(Some(support::until_zero(string.bytes()).to_vec())),
        None if value.is_nil() => Ok(None),
        None => Err(vm.arg_error(0, format!("field '{name}' is no string"))),
    }
}

fn size_field(vm: &mut Vm, options: Gc<Table>, name: &str) -> Result<Option<usize>, Throw> {
    let value = vm.get_field(options, name)?;
    if value.is_nil() {
        return Ok(None);
    }
    match support::integer_of(value).and_then(|size| usize::try_from(size).ok()) {
        Some(size) => Ok(Some(size)),
        None => Err(vm.arg_error(0, format!("field '{name}' is no size"))),
    }
}

fn request(vm: &mut Vm, options: Gc<Table>) -> Result<Request, Throw> {
    let (file, name) = (string_field(vm, options, "file")?, string_field(vm, options, "name")?);
    let anonymous = vm.get_field(options, "anonymous")?.is_truthy();
    let mode = string_field(vm, options, "mode")?;
    let (size, offset) = (size_field(vm, options, "size")?, size_field(vm, options, "offset")?);
    let shared = vm.get_field(options, "shared")?;
    if [file.is_some(), name.is_some(), anonymous].into_iter().filter(|&given| given).count() != 1 {
        return Err(vm.arg_error(0, "one of the fields 'file', 'name' and 'anonymous' expected"));
    }
    let mode = match mode {
        Some(mode) => match MODES.iter().position(|known| known.as_bytes() == mode) {
            Some(mode) => mode,
            None => return Err(vm.arg_error(0, "field 'mode' is none of 'r', 'r+', 'rw', 'w+'")),
        },
        // Who gives a name wants to share what is there, or make it.
        None => {
            if name.is_some() {
                2
            } else {
                0
            }
        }
    };
    let (path, what) = match (file, name) {
        (Some(file), _) => (Some(PathBuf::from(OsStr::from_bytes(&file))), [b"'", &file[..], b"'"].concat()),
        (None, Some(name)) if name.is_empty() || name.contains(&b'/') || name.starts_with(b".") => {
            return Err(vm.arg_error(0, "field 'name' is no name of shared memory"));
        }
        (None, Some(name)) => {
            (Some(Path::new(SHARED_FOLDER).join(OsStr::from_bytes(&name))), [b"shared memory '", &name[..], b"'"].concat())
        }
        (None, None) if size.is_none() => return Err(vm.arg_error(0, "field 'size' expected")),
        (None, None) => (None, b"anonymous memory".to_vec()),
    };
    let shared = if shared.is_nil() { path.is_some() } else { shared.is_truthy() };
    Ok(Request { path, what, size, offset: offset.unwrap_or(0) as u64, mode, shared })
}

fn mapped(request: &Request) -> io::Result<Mapping> {
    let Some(path) = &request.path else {
        return Mapping::anonymous(request.size.unwrap_or(0), request.shared);
    };
    let writes = request.mode != 0;
    let mut open = OpenOptions::new();
    open.read(true).write(writes).create(request.mode >= 2).truncate(request.mode == 3).mode(0o600);
    if !path.starts_with(SHARED_FOLDER) {
        open.mode(0o666);
    }
    let file = open.open(path)?;
    let there = file.metadata()?.len();
    let size = match request.size {
        Some(size) => size,
        None => usize::try_from(there.saturating_sub(request.offset)).map_err(|_| io::ErrorKind::OutOfMemory)?,
    };
    let end = request.offset.checked_add(size as u64).ok_or(io::ErrorKind::InvalidInput)?;
    // What is to be written must be there.
    if writes && request.shared && end > there {
        file.set_len(end)?;
    }
    let protection = if writes || !request.shared { Protection::ReadWrite } else { Protection::Read };
    Mapping::of_file(file, request.offset, size, protection, request.shared)
}

/// `mem.unlink(name)`: the name of shared memory goes, its memory when the last mapping does.
pub(super) fn unlink(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let name = support::until_zero(text(vm, args, 0)?);
    if name.is_empty() || name.contains(&b'/') || name.starts_with(b".") {
        return Err(vm.arg_error(0, "no name of shared memory"));
    }
    let removed = std::fs::remove_file(Path::new(SHARED_FOLDER).join(OsStr::from_bytes(name)));
    file_result(vm, removed, Some(name))
}

// ---- methods

/// A range by the arguments from `i` on: all of it, if there are none.
fn range(vm: &mut Vm, args: Args, i: usize) -> Result<(usize, usize), Throw> {
    let place = check_place(vm, args, 0)?;
    let size = place.size(vm)?;
    let offset = if vm.arg(args, i).is_nil() { 0 } else { check_size(vm, args, i)? };
    let count = if vm.arg(args, i + 1).is_nil() { size.saturating_sub(offset) } else { check_size(vm, args, i + 1)? };
    place.check(vm, neap_gc::explicit::Access::Point, offset as i64, count)?;
    Ok((offset, count))
}

/// `m:sync([wait [, offset [, count]]])`
fn sync(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    check_mapping(vm, args, 0)?;
    let wait = vm.arg(args, 1).is_nil() || vm.arg(args, 1).is_truthy();
    let (offset, count) = range(vm, args, 2)?;
    on_mapping(vm, args, |mapped| mapped.mapping.as_ref().map_or(Ok(()), |mapping| mapping.sync(offset, count, wait)))
}

fn protect(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    const NAMES: [&str; 3] = ["none", "r", "rw"];
    let how = [Protection::None, Protection::Read, Protection::ReadWrite][vm.check_option(args, 1, None, &NAMES)?];
    on_mapping(vm, args, |mapped| mapped.mapping.as_mut().map_or(Ok(()), |mapping| mapping.protect(how)))
}

/// `m:advise(what [, offset [, count]])`
fn advise(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    const NAMES: [&str; 8] = ["normal", "random", "sequential", "willneed", "dontneed", "pageout", "hugepages", "nohugepages"];
    const ADVICE: [Advice; 8] = [
        Advice::Normal,
        Advice::Random,
        Advice::Sequential,
        Advice::WillNeed,
        Advice::DontNeed,
        Advice::PageOut,
        Advice::HugePages,
        Advice::NoHugePages,
    ];
    check_mapping(vm, args, 0)?;
    let advice = ADVICE[vm.check_option(args, 1, None, &NAMES)?];
    let (offset, count) = range(vm, args, 2)?;
    on_mapping(vm, args, |mapped| mapped.mapping.as_mut().map_or(Ok(()), |mapping| mapping.advise(offset, count, advice)))
}

fn resize(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let mapped = check_mapping(vm, args, 0)?;
    let size = check_size(vm, args, 1)?;
    let (charged, old) = (mapped.borrow().charged, mapped.borrow().size);
    if charged > 0 {
        charge(vm, size.saturating_sub(old))?;
    }
    on_mapping(vm, args, |mapped| {
        mapped.mapping.as_mut().map_or(Ok(()), |mapping| mapping.resize(size))?;
        mapped.size = size;
        if charged > 0 {
            mapped.recharge(size);
        }
        Ok(())
    })
}

fn unmap(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let here = here(vm);
    on_mapping(vm, args, |mapped| {
        mapped.mapping = None;
        mapped.unmapped = Some(here);
        mapped.recharge(0);
        Ok(())
    })?;
    Ok(0)
}

fn close(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let there = check_mapping(vm, args, 0)?.borrow().size().is_some();
    if there { unmap(vm, args) } else { Ok(0) }
}

fn tostring(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let mapped = check_mapping(vm, args, 0)?;
    let text = [b"mem.mapping: ", &mapped.borrow().name(vm)[..]].concat();
    vm.ret_str(&text)
}

/// The break region's state, for figures.
pub(super) fn break_range(state: &State) -> Option<std::ops::Range<usize>> {
    state.region.as_ref().map(|region| region.address()..region.address() + region.len())
}
