//! A Scheme, R7RS small for the most part, on the arena face of `neap_gc`: another runtime of the heap, in safe Rust.
//!
//!     cargo run --release --example scheme                      a session
//!     cargo run --release --example scheme -- file.scm ...      runs programs
//!         --stress[=STEPS]      a collection and an audit of the heap behind every so many steps (1)
//!         --heap-limit=MIB      (1024)
//!         --small               the programs of the example take sizes for tests
//!         --stats               figures of the heap at the end
//!
//! 1. `runtime/value.rs` has the types. A value is two words and `Copy`; what changes is in a `Lock`, and the compiler demands its barrier.
//! 2. `runtime/machine.rs` keeps its state on the heap, so a mutation can end between any two steps.
//! 3. `runtime/mod.rs` owns the arena, and says when that is.
//!
//! Not here: rationals and larger integers (a result that does not fit is a float), libraries, `eval`, files, `syntax-case`, an interrupt for what runs in a session. What is
//! printed, sorted out by `equal?` or copied from a string is in memory of the host for the time of that. What is not hygienic of `syntax-rules` is said in `runtime/syntax.rs`.

#![forbid(unsafe_code)]

mod repl;
mod runtime;

use runtime::{Interpreter, Options, STACK_BYTES, Stop};
use std::io::Write;
use std::process::ExitCode;

fn main() -> ExitCode {
    // The compiler recurses as deep as forms are nested; nothing else does.
    match std::thread::Builder::new().stack_size(STACK_BYTES).spawn(run).map(std::thread::JoinHandle::join) {
        Ok(Ok(Ok(()))) => ExitCode::SUCCESS,
        Ok(Ok(Err(Stop::Exit(code)))) => ExitCode::from(code as u8),
        Ok(Ok(Err(Stop::Error(message)))) => {
            eprintln!("scheme: {message}");
            ExitCode::FAILURE
        }
        _ => ExitCode::FAILURE,
    }
}

fn run() -> Result<(), Stop> {
    let (mut options, mut files, mut stats) = (Options::default(), Vec::new(), false);
    let wrong = |text: &str| Stop::Error(format!("{text}: see the head of examples/scheme/main.rs"));
    for argument in std::env::args().skip(1) {
        let (name, value) = argument.split_once('=').unwrap_or((&argument, ""));
        match name {
            "--stress" if value.is_empty() => options.stress = Some(1),
            "--stress" => options.stress = Some(value.parse::<u32>().map_err(|_| wrong(&argument))?.max(1)),
            "--heap-limit" => {
                let mebibytes: usize = value.parse().map_err(|_| wrong(&argument))?;
                options.limit_bytes = mebibytes.saturating_mul(1 << 20);
            }
            "--small" => options.small = true,
            "--stats" => stats = true,
            _ if name.starts_with("--") => return Err(wrong(&argument)),
            _ => files.push(argument),
        }
    }
    let stressed = options.stress.is_some();
    // The other end may be gone: that is no error of the program.
    let mut interpreter = Interpreter::new(options, |text| {
        let mut out = std::io::stdout().lock();
        let _ = out.write_all(text).and_then(|()| out.flush());
    })?;
    if files.is_empty() {
        return repl::session(&mut interpreter);
    }
    let mut result = Ok(());
    for file in files {
        let text = std::fs::read_to_string(&file).map_err(|error| Stop::Error(format!("{file}: {error}")))?;
        result = interpreter.run(&text);
        if result.is_err() {
            break;
        }
    }
    if stressed {
        interpreter.audit().map_err(Stop::Error)?;
    }
    if stats {
        let (counters, stops) = (interpreter.counters(), interpreter.stops());
        eprintln!(
            "{} objects, {} died young, {} by counting, {} in cycles; {} stops, 99 % below {} us, the longest {} us; {} KiB at most",
            counters.allocated_objects,
            counters.young_objects,
            counters.counted_objects,
            counters.cyclic_objects,
            stops.count,
            stops.p99_ns / 1000,
            stops.max_ns / 1000,
            interpreter.peak_bytes() >> 10
        );
    }
    result
}
