//! Runs the test suite of the reference implementation, which is no part of this project: `NEAP_LUA_TESTS` names its folder (`testes` of the sources of
//! Lua 5.4, unchanged). Without that variable nothing is run.
//!
//! Every file is a test of its own, alone in a copy of the folder, as it is and again with an epoch end at every safepoint; then all of them run in one
//! process. The settings are those of the suite for a "user" test: without what depends on the system, on much time or memory, or on the C interface.
//!
//! `NEAP_LUA_TESTS=/path/to/testes cargo test -p neap --test official -- plain::strings`

mod common;

use std::path::Path;
use std::time::Duration;
use std::{env, fs, io};

use libtest_mimic::{Arguments, Failed, Trial};

const VARIABLE: &str = "NEAP_LUA_TESTS";
const LIMIT: Duration = Duration::from_secs(300);
/// Runs the other files; makes tables and strings of gigabytes.
const NOT_ALONE: [&str; 2] = ["all", "heavy"];
/// A line of a file that is replaced: the file, the line, and what stands there instead.
type Change = (&'static str, &'static str, &'static str);
/// What asserts that functions called by the library can't yield.
const NO_YIELD: [Change; 3] = [
    ("coroutine", "       assert(not pcall(table.sort,{1,2,3}, coroutine.yield))\n", "\n"),
    ("coroutine", "          assert(not coroutine.isyieldable())\n", "\n"),
    ("errors", "checkerr(\"yield across\", f)\n", "f()\n"),
];
/// What asserts, or waits for it, that garbage stays while the collector is stopped, which under stress it does not.
const GARBAGE_STAYS: [Change; 2] =
    [("gc", "    assert(gcinfo() < x)\n", "\n"), ("gc", "  until gcinfo() > 2 * x\n", "  until true\n")];

fn main() {
    let trials = match env::var_os(VARIABLE) {
        Some(folder) => trials(Path::new(&folder)),
        None => {
            eprintln!("{VARIABLE} does not name the folder of the official test suite: it is not run.");
            vec![Trial::test(format!("set {VARIABLE} to the folder of the suite"), || Ok(())).with_ignored_flag(true)]
        }
    };
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}

fn trials(suite: &Path) -> Vec<Trial> {
    let suite = suite.canonicalize().unwrap_or_else(|e| panic!("{VARIABLE}={}: {e}", suite.display()));
    let entries = fs::read_dir(&suite).expect("the folder of the suite").map(|entry| entry.expect("an entry").path());
    let scripts = entries.filter(|path| path.extension().is_some_and(|e| e == "lua"));
    let mut names: Vec<String> = scripts.filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned())).collect();
    names.sort();
    assert!(names.iter().any(|name| name == "all"), "no all.lua in {}", suite.display());
    let mut trials = Vec::new();
    for (setting, value) in [("plain", None), ("stress", Some("stress"))] {
        for name in &names {
            if !NOT_ALONE.contains(&&**name) {
                let (suite, name) = (suite.clone(), name.clone());
                trials.push(Trial::test(format!("{setting}::{name}"), move || {
                    run(&suite, "_port=true; _soft=true; _nomsg=true", &name, value, "")
                }));
            }
        }
    }
    trials.push(Trial::test("whole::all", move || run(&suite, "_U=true", "all", None, "final OK !!!")));
    trials
}

/// Runs a file; it must end well, and print so much at least.
fn run(suite: &Path, settings: &str, name: &str, stress: Option<&str>, expected: &str) -> Result<(), Failed> {
    // A copy, since its files write.
    let folder = common::Folder::new();
    copy_folder(suite, &folder.0)?;
    let mut command = common::command();
    command.args(["-W", "-e", settings, &format!("{name}.lua")]).current_dir(&folder.0);
    NO_YIELD.iter().try_for_each(|change| make(change, &folder.0))?;
    if let Some(stress) = stress {
        command.env("NEAP_GC", stress);
        GARBAGE_STAYS.iter().try_for_each(|change| make(change, &folder.0))?;
    }
    let outcome = common::run(command, b"", LIMIT)?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let printed = text(&outcome.stdout);
    if outcome.status.success() && printed.contains(expected) {
        return Ok(());
    }
    let tail: Vec<&str> = printed.lines().rev().take(10).collect();
    let tail: Vec<&str> = tail.into_iter().rev().collect();
    Err(format!("{}\n...\n{}\n{}", outcome.status, tail.join("\n"), text(&outcome.stderr)).into())
}

/// Makes a change in the copy of the suite.
fn make((name, line, instead): &Change, folder: &Path) -> Result<(), Failed> {
    let file = folder.join(format!("{name}.lua"));
    // As bytes: the files of the suite are not all of one encoding.
    let text = fs::read(&file)?;
    let at = text.windows(line.len()).position(|window| window == line.as_bytes());
    let at = at.ok_or_else(|| format!("{name}.lua has no line '{}'", line.trim()))?;
    fs::write(&file, [&text[..at], instead.as_bytes(), &text[at + line.len()..]].concat())?;
    Ok(())
}

fn copy_folder(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
