//! `require` and the package library (§6.3). Libraries in C can't be loaded. May import `load`, `os`, `support`, the machine.

use super::load::load_file;
use super::os::path;
use super::support::{self, Functions, append, opt_text, text};
use crate::value::{NativeFn, Text, Value};
use crate::vm::{Args, Throw, Vm};
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
        for place in memchr::memmem::find_iter(text, from) {
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
        for template in path_list.split(|&byte| byte == b';') {
            let mut file = Vec::new();
            self.file(vm, template, &mut |_, piece| {
                file.extend_from_slice(&piece[..piece.len().min(LONGEST + 1 - file.len())]);
                Ok(())
            })?;
            if file.len() <= LONGEST && std::fs::File::open(path(&file)).is_ok() {
                return Ok(Some(file));
            }
            vm.append(tried, if tried.is_empty() { b"no file '" } else { b"\n\tno file '" })?;
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

/// A field of the package table, by metamethods too.
fn package_field(vm: &mut Vm, field: &str) -> Result<Value, Throw> {
    let package = vm.running_native().upval(0);
    let key = vm.intern(field.as_bytes())?;
    vm.index(package, Value::str(key))
}

/// The searcher for `package.preload`.
fn preload(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let name = text(vm, args, 0)?;
    let loaders = Value::table(support::registry_table(vm, "_PRELOAD")?);
    let loader = vm.index(loaders, vm.arg(args, 0))?;
    if loader.is_nil() {
        return vm.ret_text(|vm, text| {
            [b"no field package.preload['", name, b"']"].iter().try_for_each(|piece| vm.append(text, piece))
        });
    }
    vm.push(loader)?;
    let origin = vm.new_str(b":preload:")?;
    vm.push(origin)?;
    Ok(2)
}

/// The searcher for `package.path`.
fn in_path(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let name = text(vm, args, 0)?;
    let file = match search_field(vm, name, "path")? {
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
        Err(_) => {
            let error = vm.take_error();
            let message = vm.tostring(error)?;
            Err(loading_error(vm, name, &file, message.bytes()))
        }
    }
}

/// The file of a module in a path of the package table, or the names that were tried.
fn search_field(vm: &mut Vm, name: &[u8], field: &str) -> Result<Result<Vec<u8>, Value>, Throw> {
    let Some(path_list) = package_field(vm, field)?.as_str() else {
        return Err(vm.error(format!("'package.{field}' must be a string")));
    };
    let wanted = Wanted { name, separator: b".", replacement: b"/" };
    vm.with_text(|vm, tried| match wanted.search(vm, path_list.bytes(), tried)? {
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
    let name = text(vm, args, 0)?;
    match search_field(vm, name, "cpath")? {
        Ok(file) => Err(loading_error(vm, name, &file, NO_LIBRARIES.as_bytes())),
        Err(tried) => vm.ret1(tried),
    }
}

/// The same for the root of a name with dots.
fn in_croot(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let name = text(vm, args, 0)?;
    let Some(dot) = memchr::memchr(b'.', name) else { return Ok(0) };
    match search_field(vm, &name[..dot], "cpath")? {
        Ok(file) => Err(loading_error(vm, name, &file, NO_LIBRARIES.as_bytes())),
        Err(tried) => vm.ret1(tried),
    }
}

fn require(vm: &mut Vm, args: Args) -> Result<u32, Throw> {
    let name = text(vm, args, 0)?;
    let key = vm.arg(args, 0);
    let loaded = Value::table(support::registry_table(vm, "_LOADED")?);
    let present = vm.index(loaded, key)?;
    if present.is_truthy() {
        return vm.ret1(present);
    }
    // Two values: the loader, and where it was found.
    find_loader(vm, name, key)?;
    let place = vm.mark() - 2;
    let (loader, origin) = (vm.at(place), vm.at(place + 1));
    let result = vm.call1(loader, &[key, origin])?;
    if !result.is_nil() {
        vm.set_index(loaded, key, result)?;
    }
    let mut module = vm.index(loaded, key)?;
    if module.is_nil() {
        module = Value::TRUE;
        vm.set_index(loaded, key, module)?;
    }
    vm.set_at(place, module);
    Ok(2)
}

/// Pushes the loader of a module and the value that goes with it.
fn find_loader(vm: &mut Vm, name: &[u8], key: Value) -> Result<(), Throw> {
    let Some(searchers) = package_field(vm, "searchers")?.as_table() else {
        return Err(vm.error("'package.searchers' must be a table"));
    };
    vm.push(Value::table(searchers))?;
    vm.with_text(|vm, tried| {
        for i in 1.. {
            let searcher = searchers.get_int(&mut vm.heap, i);
            if searcher.is_nil() {
                break;
            }
            let mark = vm.mark();
            vm.call_values(searcher, &[key], 2)?;
            let found = vm.at(mark);
            if found.is_function() {
                return Ok(());
            }
            if found.is_str() || found.is_number() {
                vm.append(tried, b"\n\t")?;
                append(vm, tried, found)?;
            }
            vm.pop_to(mark);
        }
        let position = vm.position(1);
        let tried = vm.whole(tried)?;
        Err(vm.joined_error(&[&position, b"module '", name, b"' not found:", tried]))
    })
}
