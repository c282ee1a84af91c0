//! The stand-alone interpreter: what the command `neap` does, in the order and with the words of the reference's `lua`.
//!
//! * [`args`]: the command line; [`config`]: the settings of the heap
//! * [`session`]: chunks are loaded and run, errors reported
//! * [`check`]: programs are looked at, not run
//! * [`excerpt`]: the line that an error is about; [`colour`], [`text`]: what a terminal can show
//! * [`pauses`]: what is told of the pauses of a run
//! * [`signals`], [`stats`]; [`standard`]: streams that are closed from the start
//!
//! * **I1** Nothing is set up before it is needed: an empty program costs the heap, the libraries, two system calls for signals and one for each standard
//!   stream, which asks whether it is there.
//! * **I2** Every way out leads through `Vm::exit`, which writes out files and statistics, and leaves memory to the system.
//! * **I3** All runs on the main thread with the stack that the system gives: the deepest recursion of the host (native functions that call back,
//!   the parser) needs less than 512 KiB, which a test keeps below 1 MiB.
//!
//! May import everything of the crate.

mod args;
mod check;
pub(crate) mod colour;
mod config;
pub(crate) mod excerpt;
mod pauses;
mod session;
pub(crate) mod signals;
#[cfg(target_os = "linux")]
mod standard;
pub(crate) mod stats;
pub(crate) mod text;

pub use args::{Options, Step};
pub use session::{Session, Status};

use crate::vm::Limits;
use std::ffi::OsString;
use std::io::{IsTerminal, Write};
use std::os::unix::ffi::OsStringExt;

/// The name under which errors are reported if the system gives none.
const NAME: &str = "neap";

const USAGE: &str = "\
Available options are:
  -e stat   execute string 'stat'
  -i        enter interactive mode after executing 'script'
  -l mod    require library 'mod' into global 'mod'
  -l g=mod  require library 'mod' into global 'g'
  -v        show version information
  -E        ignore environment variables
  -W        turn warnings on
  --        stop handling options
  -         stop handling options and execute stdin
  --check file ...  compile the files (- is stdin), without running them
  --disasm file ... list the bytecode of the files, sources or binary chunks
  --gc-stats        at exit, tell what the collector did
  --heap-limit size limit the heap to 'size' bytes (with K, M or G)
  --leaks error     let explicit memory that was never freed be an error
  --max-pause time  goal for the longest pauses (such as 250us)
  --max-overhead n  goal for the collector's share of the time, in percent
  --fuel steps      stop after so many loops and calls (with K, M or G)
  --time time       stop after a time (2s, 500ms, 1m)
  --help            show this text
What a run tells of its pauses ('neap pauses script' is 'neap --pauses script'):
  --pauses[=file]   at exit, the table of pauses (to stderr, or a file)
  --json[=file]     the same figures as JSON (to stdout, or a file)
  --csv[=file]      a row for each stop
  --hgrm[=file]     percentiles of the stops, for the plotter of HdrHistogram
  --budget bounds   exit code 3 if stops compute longer (1ms,p99.9=300us;
                    'own,1ms': but for what the program asks for)
  --after time      what comes before is warm-up, and not counted
  --gc-log[=file]   a line for each epoch and cycle, as it happens
  --report file     one page with figures and pictures, for a browser
  --gc-trace file   all stops and marks as trace events, for Perfetto
";

/// Talks to the user until the user leaves.
pub type Interact = fn(&mut Session);

/// Runs the command `neap`. The loop that talks to a user is the caller's: who only runs scripts does not touch its code.
pub fn main(words: impl IntoIterator<Item = OsString>, interact: Interact) -> ! {
    #[cfg(target_os = "linux")]
    standard::disown_closed();
    signals::default_pipe();
    let mut words = words.into_iter().peekable();
    let name = words.peek().filter(|name| !name.is_empty()).cloned().unwrap_or_else(|| NAME.into()).into_vec();
    let options = match Options::parse(words) {
        Ok(options) => options,
        Err(message) => {
            complain(Some(&name), &message);
            write_error(&usage(&name));
            std::process::exit(1)
        }
    };
    if options.help {
        print(&usage(&name));
        std::process::exit(0)
    }
    if let Some((inspection, files)) = options.inspected() {
        let fine = check::inspect(inspection, files, &name);
        std::process::exit((!fine).into())
    }
    let variable = if options.ignore_environment { None } else { std::env::var_os(config::VARIABLE) };
    let config = match config::config(&options, &variable.unwrap_or_default().to_string_lossy()) {
        Ok(config) => config,
        Err(message) => {
            complain(Some(&name), &message);
            std::process::exit(1)
        }
    };
    if options.version {
        print_version();
    }
    let mut session = match Session::new(config, name.clone(), options.ignore_environment) {
        Ok(session) => session,
        Err(message) => {
            complain(Some(&name), &message);
            std::process::exit(1)
        }
    };
    session.vm.leaks_are_errors(options.leaks_are_errors);
    if options.gc_stats {
        session.vm.at_exit = Some(Box::new(|vm, status| {
            write_error(stats::text(vm).as_bytes());
            status
        }));
    }
    let title = if options.script > 0 { &options.words[options.script][..] } else { b"the command line" };
    if let Err(message) = pauses::begin(&mut session.vm, &options.pauses, title) {
        complain(Some(&name), &message);
        std::process::exit(1)
    }
    let limits = Limits { fuel: options.fuel, time: options.time, memory: None };
    let status = match session.vm.limit_all(limits) {
        Ok(()) => run(&mut session, &options, interact),
        Err(throw) => session.report(Err(throw)),
    };
    session.vm.close();
    session.vm.exit(status.is_err().into())
}

/// Does what the options ask for, up to the first error.
fn run(session: &mut Session, options: &Options, interact: Interact) -> Status {
    session.set_arguments(&options.words, options.script)?;
    if !options.ignore_environment {
        run_init(session)?;
    }
    for step in &options.steps {
        match step {
            Step::Execute(text) => session.run_text(text, b"=(command line)")?,
            Step::Require(name) => session.require(name)?,
            Step::Warnings => session.vm.warnings.on = true,
        }
    }
    if options.script > 0 {
        let path = &options.words[options.script];
        session.run_script(if options.script_is_stdin() { None } else { Some(path) })?;
    }
    if options.interactive {
        interact(session);
    } else if options.script == 0 && !options.executes() && !options.version {
        if std::io::stdin().is_terminal() {
            print_version();
            interact(session);
        } else {
            // As in the reference, how this ends is not told by the exit code.
            let _ = session.run_file(None);
        }
    }
    Ok(())
}

/// `LUA_INIT_5_4` or else `LUA_INIT`: a chunk, or `@` and the name of a file.
fn run_init(session: &mut Session) -> Status {
    for name in ["LUA_INIT_5_4", "LUA_INIT"] {
        if let Some(text) = std::env::var_os(name) {
            let text = text.into_vec();
            return match text.strip_prefix(b"@") {
                Some(path) => session.run_file(Some(path)),
                None => session.run_text(&text, format!("={name}").as_bytes()),
            };
        }
    }
    Ok(())
}

fn usage(name: &[u8]) -> Vec<u8> {
    [b"usage: ", name, b" [options] [script [args]]\n", USAGE.as_bytes()].concat()
}

fn print_version() {
    print(concat!("Neap ", env!("CARGO_PKG_VERSION"), "  Lua 5.4\n").as_bytes());
}

/// Writes to the standard output before any script does.
fn print(text: &[u8]) {
    let mut out = std::io::stdout().lock();
    // If nobody can be told, nobody is.
    let _ = out.write_all(text).and_then(|()| out.flush());
}

pub(crate) fn write_error(text: &[u8]) {
    // As above.
    let _ = std::io::stderr().write_all(text);
}

/// Writes an error message, after the program's name if there is to be one, in one piece.
pub(crate) fn complain(name: Option<&[u8]>, message: &[u8]) {
    let mut out = std::io::BufWriter::new(std::io::stderr());
    // If nobody can be told, nobody is.
    let mut put = |piece: &[u8]| drop(out.write_all(piece));
    if let Some(name) = name {
        put(name);
        put(b": ");
    }
    put(message);
    put(b"\n");
}
