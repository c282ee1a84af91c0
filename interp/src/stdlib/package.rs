//! `require` and the package library (§6.3). Libraries in C can't be loaded. May import `load`, `os`, `pattern`,
//! `support`, `wait`, the machine.

use super::load::load_file;
use super::os::path;
use super::pattern::find_plain;
use super::support::{self, Functions, find_byte, opt_text, raise, text};
use crate::value::{Continuation, NativeFn, Outcome, Text, Value};
use crate::vm::wait::{Hook, until_open};
use crate::vm::{Args, Ready, Throw, Vm, ready};
use std::fs::File;
use std::os::unix::ffi::OsStringExt;

const FUNCTIONS: Functions = &[("loadlib", loadlib), ("searchpath", searchpath)];

const PATH: &str = "/usr/local/share/lua/5.4/?.lua;/usr/local/share/lua/5.4/?/init.lua;/usr/local/lib/lua/5.4/?.lua;\
                    /usr/local/lib/lua/5.4/?/init.lua;./?.lua;./?/init.lua";
const CPATH: &str = "/usr/local/lib/lua/5.4/?.so;/usr/local/lib/lua/5.4/loadall.so;./?.so";

const NO_LIBRARIES: &str = "dynamic libraries not enabled; check your Lua installation";

pub fn open(vm: &mut Vm) -> Result<(), Throw> {
    let library = support::library(vm, "package", FUNCTIONS)?;
    let package = Value::table(library);
    let searchers = vm.new_table(4, 0)?;
    let functions: [(_, NativeFn); 4] = [("preload", preload), ("path", in_path), ("cpath", in_cpath), ("croot", in_croot)];
    for (i, (name, searcher)) in functions.into_iter().enumerate() {
        let searcher = vm.new_native(name, searcher, &[package])?;
        vm.raw_set(searchers, Value::int(i as i64 + 1), searcher)?;
    }
    vm.set_field(library, "searchers", Value::table(searchers))?;
    let registry = vm.registry();
    let ignore = vm.get_field(registry, "LUA_NOENV")?.is_truthy();
    for (field, variable, default) in [("path", "LUA_PATH", PATH), ("cpath", "LUA_CPATH", CPATH)] {
        let path = vm.new_str(&path_setting(variable, default, ignore))?;
        vm.set_field(library, field, path)?;
    }
    let config = vm.new_str(b"/\n;\n?\n!\n-\n")?;
    vm.set_field(library, "config", config)?;
    for (field, table) in [("loaded", "_LOADED"), ("preload", "_PRELOAD")] {
        let table = support::registry_table(vm, table)?;
        vm.set_field(library, field, Value::table(table))?;
    }
    let require = vm.new_native("require", require, &[package])?;
    let globals = vm.globals();
    vm.set_field(globals, "require", require)
}

/// A search path from the environment (unless that is to be ignored), in which ";;" stands for the default.
fn path_setting(variable: &str, default: &str, ignore: bool) -> Vec<u8> {
    if ignore {
        return default.into();
    }
    let value = std::env::var_os(format!("{variable}_5_4")).or_else(|| std::env::var_os(variable));
    let Some(value) = value else { return default.into() };
    let value = value.into_vec();
    let Some(mark) = memchr::memmem::find(&value, b";;") else { return value };
    let (before, after) = (&value[..mark], &value[mark + 2..]);
    let parts = [before, default.as_bytes(), after].into_iter().filter(|part| !part.is_empty());
    parts.collect::<Vec<_>>().join(&b';')
}

/// Takes pieces of a text.
type Put<'p> = &'p mut dyn FnMut(&mut Vm, &[u8]) -> Result<(), Throw>;
/// The same, and hears which of them stand for something else.
type Replaced<'p> = &'p mut dyn FnMut(&mut Vm, &[u8], bool) -> Result<(), Throw>;

/// Hands over a text, in which a part stands for another, piece by piece.
fn replace(vm: &mut Vm, text: &[u8], from: &[u8], put: Replaced) -> Result<(), Throw> {
    let mut copied = 0;
    if !from.is_empty() {
        while let Some(place) = find_plain(text, from, copied, &mut || !vm.is_stopped()).map_err(|fault| raise(vm, fault))? {
            vm.work(8)?;
            put(vm, &text[copied..place], false)?;
            put(vm, from, true)?;
            copied = place + from.len();
        }
    }
    put(vm, &text[copied..], false)
}

/// What is looked for in a path.
struct Wanted<'n> {
    name: &'n [u8],
    separator: &'n [u8],
    replacement: &'n [u8],
}

impl Wanted<'_> {
    /// The name of a file by a template, piece by piece: it may be long.
    fn file(&self, vm: &mut Vm, template: &[u8], put: Put) -> Result<(), Throw> {
        replace(vm, template, b"?", &mut |vm, piece, is_mark| match is_mark {
            false => put(vm, piece),
            true => replace(vm, self.name, self.separator, &mut |vm, piece, is_mark| {
                put(vm, if is_mark { self.replacement } else { piece })
            }),
        })
    }

    /// The file in a path; if there is none, `tried` gets the names that were tried.
    fn search(&self, vm: &mut Vm, path_list: &[u8], tried: &mut Text) -> Result<Option<Vec<u8>>, Throw> {
        /// A name of more bytes is that of no file.
        const LONGEST: usize = 4096;
        let mut hook: Hook = Box::new(vm.may_go_on());
        let mut rest = Some(path_list);
        while let Some(list) = rest {
            let end = find_byte(vm, list, b';')?;
            let template = &list[..end.unwrap_or(list.len())];
            rest = end.map(|end| &list[end + 1..]);
            let mut file = Vec::new();
            self.file(vm, template, &mut |_, piece| {
                file.extend_from_slice(&piece[..piece.len().min(LONGEST + 1 - file.len())]);
                Ok(())
            })?;
            if file.len() <= LONGEST && until_open(File::options().read(true), path(&file), &mut hook).is_ok() {
                return Ok(Some(file));
            }
            vm.append(tried, if tried.len() == 0 { b"no file '" } else { b"\n\tno file '" })?;
            self.file(vm, template, &mut |vm, piece| vm.append(tried, piece))?;
            vm.append(tried, b"'")?;
        }
        Ok(None)
    }
}

fn searchpath(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let (name, path_list) = (text(vm, args, 0)?, text(vm, args, 1)?);
    let separator = opt_text(vm, args, 2, b".")?;
    let replacement = opt_text(vm, args, 3, b"/")?;
    let wanted = Wanted { name, separator, replacement };
    let (file, tried) = vm.with_text(|vm, tried| {
        let file = wanted.search(vm, path_list, tried)?;
        Ok((file, vm.text_value(tried)?))
    })?;
    match file {
        Some(file) => vm.ret_str(&file),
        None => {
            vm.push(Value::NIL)?;
            vm.push(tried)?;
            Ok(2)
        }
    }
}

fn loadlib(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    text(vm, args, 0)?;
    text(vm, args, 1)?;
    vm.push(Value::NIL)?;
    for message in [NO_LIBRARIES, "absent"] {
        let message = vm.new_str(message.as_bytes())?;
        vm.push(message)?;
    }
    Ok(3)
}

/// A field of the package table, by metamethods too: at once, or at the top for `then`.
fn package_field(vm: &mut Vm, field: &str, then: Continuation) -> Result<Ready, Throw> {
    let package = vm.running_native().upval(0);
    let key = vm.intern(field.as_bytes())?;
    let access = vm.access(package, Value::str(key))?;
    vm.ready(access, then)
}

/// The searcher for `package.preload`.
fn preload(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    text(vm, args, 0)?;
    let loaders = Value::table(support::registry_table(vm, "_PRELOAD")?);
    let access = vm.access(loaders, vm.arg(args, 0))?;
    let loader = ready!(vm.ready(access, preload_found));
    vm.push(loader)?;
    preload_found(vm, args, Outcome::Returned(1))
}

fn preload_found(vm: &mut Vm, args: Args, _: Outcome) -> Result<u32, Throw> {
    if vm.at(vm.mark() - 1).is_nil() {
        let name = text(vm, args, 0)?;
        return vm.ret_text(|vm, text| {
            [b"no field package.preload['", name, b"']"].iter().try_for_each(|piece| vm.append(text, piece))
        });
    }
    let origin = vm.new_str(b":preload:")?;
    vm.push(origin)?;
    Ok(2)
}

/// The searcher for `package.path`.
fn in_path(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    text(vm, args, 0)?;
    let paths = ready!(package_field(vm, "path", path_read));
    vm.push(paths)?;
    path_read(vm, args, Outcome::Returned(1))
}

/// The paths stand at the top.
fn path_read(vm: &mut Vm, args: Args, _: Outcome) -> Result<u32, Throw> {
    let name = text(vm, args, 0)?;
    let file = match search_paths(vm, name, "path")? {
        Ok(file) => file,
        Err(tried) => return vm.ret1(tried),
    };
    match load_file(vm, Some(&file), b"bt", None) {
        Ok(closure) => {
            vm.push(Value::closure(closure))?;
            let file = vm.new_str(&file)?;
            vm.push(file)?;
            Ok(2)
        }
        // A stop is for nobody here.
        Err(throw) if vm.is_stop_in_flight() => Err(throw),
        Err(_) => {
            let error = vm.take_error();
            let message = vm.plain_text(error)?;
            Err(loading_error(vm, name, &file, message.bytes()))
        }
    }
}

/// The file of a module in the paths at the top, which were the field of the package table; or the names that were tried.
fn search_paths(vm: &mut Vm, name: &[u8], field: &str) -> Result<Result<Vec<u8>, Value>, Throw> {
    let paths = vm.at(vm.mark() - 1);
    let Some(paths) = vm.coerce_to_str(paths)? else {
        return Err(vm.error(format!("'package.{field}' must be a string")));
    };
    let wanted = Wanted { name, separator: b".", replacement: b"/" };
    vm.with_text(|vm, tried| match wanted.search(vm, paths.bytes(), tried)? {
        Some(file) => Ok(Ok(file)),
        None => vm.text_value(tried).map(Err),
    })
}

fn loading_error(vm: &mut Vm, name: &[u8], file: &[u8], message: &[u8]) -> Throw {
    let position = vm.position(1);
    vm.joined_error(&[&position, b"error loading module '", name, b"' from file '", file, b"':\n\t", message])
}

/// The searcher for `package.cpath`: what it finds can't be loaded.
fn in_cpath(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    text(vm, args, 0)?;
    let paths = ready!(package_field(vm, "cpath", cpath_read));
    vm.push(paths)?;
    cpath_read(vm, args, Outcome::Returned(1))
}

fn cpath_read(vm: &mut Vm, args: Args, _: Outcome) -> Result<u32, Throw> {
    let name = text(vm, args, 0)?;
    search_for_library(vm, name, name)
}

/// The same for the root of a name with dots.
fn in_croot(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let name = text(vm, args, 0)?;
    if find_byte(vm, name, b'.')?.is_none() {
        return Ok(0);
    }
    let paths = ready!(package_field(vm, "cpath", croot_read));
    vm.push(paths)?;
    croot_read(vm, args, Outcome::Returned(1))
}

fn croot_read(vm: &mut Vm, args: Args, _: Outcome) -> Result<u32, Throw> {
    let name = text(vm, args, 0)?;
    let root = &name[..find_byte(vm, name, b'.')?.unwrap_or(name.len())];
    search_for_library(vm, name, root)
}

fn search_for_library(vm: &mut Vm, name: &[u8], root: &[u8]) -> Result<u32, Throw> {
    match search_paths(vm, root, "cpath")? {
        Ok(file) => Err(loading_error(vm, name, &file, NO_LIBRARIES.as_bytes())),
        Err(tried) => vm.ret1(tried),
    }
}

// What `require` keeps behind its argument: the searchers, then the loader and what goes with it; and what was tried.
const SEARCHERS: usize = 0;
const TRIED: usize = 1;
const ORIGIN: usize = 2;

/// `require(name)`. Each step below is taken when the one before has what it has waited for at the top.
fn require(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    text(vm, args, 0)?;
    let module = ready!(loaded_module(vm, args, module_known));
    vm.push(module)?;
    module_known(vm, args, Outcome::Returned(1))
}

/// The entry of the module in the table of those that are loaded.
fn loaded_module(vm: &mut Vm, args: Args, then: Continuation) -> Result<Ready, Throw> {
    let loaded = Value::table(support::registry_table(vm, "_LOADED")?);
    let access = vm.access(loaded, vm.arg(args, 0))?;
    vm.ready(access, then)
}

fn module_known(vm: &mut Vm, args: Args, _: Outcome) -> Result<u32, Throw> {
    if vm.at(vm.mark() - 1).is_truthy() {
        return Ok(1);
    }
    vm.pop_to(args.end());
    let searchers = ready!(package_field(vm, "searchers", searchers_read));
    vm.push(searchers)?;
    searchers_read(vm, args, Outcome::Returned(1))
}

fn searchers_read(vm: &mut Vm, args: Args, _: Outcome) -> Result<u32, Throw> {
    if !vm.at(args.end() + SEARCHERS).is_table() {
        return Err(vm.error("'package.searchers' must be a table"));
    }
    let nothing = vm.new_str(b"")?;
    vm.push(nothing)?;
    vm.set_place(0);
    next_searcher(vm, args)
}

/// Asks the next searcher; their number so far is kept in the frame.
fn next_searcher(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let i = vm.place() + 1;
    let searchers = vm.at(args.end() + SEARCHERS).as_table().expect("the searchers");
    let searcher = searchers.get_int(&mut vm.heap, i as i64);
    if searcher.is_nil() {
        let (name, tried) = (text(vm, args, 0)?, vm.at(args.end() + TRIED).as_str().map_or(&b""[..], |tried| tried.bytes()));
        let position = vm.position(1);
        return Err(vm.joined_error(&[&position, b"module '", name, b"' not found:", tried]));
    }
    vm.set_place(i);
    vm.call_value_then(searcher, &[vm.arg(args, 0)], 2, searched)
}

/// Two values: the loader, and what goes with it; or else what was tried.
fn searched(vm: &mut Vm, args: Args, _: Outcome) -> Result<u32, Throw> {
    let (found, origin) = (vm.at(vm.mark() - 2), vm.at(vm.mark() - 1));
    vm.pop_to(args.end() + ORIGIN);
    if found.is_function() {
        vm.push(origin)?;
        return vm.call_value_then(found, &[vm.arg(args, 0), origin], 1, module_loaded);
    }
    if found.is_str() || found.is_number() {
        let tried = vm.with_text(|vm, out| {
            support::append(vm, out, vm.at(args.end() + TRIED))?;
            vm.append(out, b"\n\t")?;
            support::append(vm, out, found)?;
            vm.text_value(out)
        })?;
        vm.set_at(args.end() + TRIED, tried);
    }
    next_searcher(vm, args)
}

fn module_loaded(vm: &mut Vm, args: Args, _: Outcome) -> Result<u32, Throw> {
    let result = vm.at(vm.mark() - 1);
    if result.is_nil() {
        return module_noted(vm, args, Outcome::Returned(0));
    }
    note_module(vm, args, result, module_noted)
}

fn note_module(vm: &mut Vm, args: Args, module: Value, then: Continuation) -> Result<u32, Throw> {
    let loaded = Value::table(support::registry_table(vm, "_LOADED")?);
    match vm.set_index(loaded, vm.arg(args, 0), module, then)? {
        Some(step) => Ok(step),
        None => then(vm, args, Outcome::Returned(0)),
    }
}

fn module_noted(vm: &mut Vm, args: Args, _: Outcome) -> Result<u32, Throw> {
    vm.pop_to(args.end() + ORIGIN + 1);
    let module = ready!(loaded_module(vm, args, module_read));
    vm.push(module)?;
    module_read(vm, args, Outcome::Returned(1))
}

fn module_read(vm: &mut Vm, args: Args, _: Outcome) -> Result<u32, Throw> {
    if vm.at(vm.mark() - 1).is_nil() {
        vm.pop_to(args.end() + ORIGIN + 1);
        return note_module(vm, args, Value::TRUE, module_is_true);
    }
    end_require(vm, args)
}

fn module_is_true(vm: &mut Vm, args: Args, _: Outcome) -> Result<u32, Throw> {
    vm.pop_to(args.end() + ORIGIN + 1);
    vm.push(Value::TRUE)?;
    end_require(vm, args)
}

/// The module stands at the top, and is given back with what went with its loader.
fn end_require(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    vm.push(vm.at(args.end() + ORIGIN))?;
    Ok(2)
}
