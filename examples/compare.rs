//! Runs the benchmark programs under `neap` and the reference interpreters and compares time and memory.
//!
//!     cargo run --release --example compare -- [FILTER]... [-n ROUNDS] [--smoke] [--pauses] [--neap PATH]
//!
//! The contenders take turns: each round runs a program once under every one of them, so that a slow phase of the
//! machine meets all alike. The table gives medians. Outputs must be equal, and a program that fails fails the command.
//!
//! I1: a child is waited for exactly once, by `wait4`, which also reports what it used.

use neap_gc::observe::{Cause, Pauses, Stopwatch};
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};
use std::ffi::OsString;
use std::io::Read;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, ExitStatus, Stdio};
use std::time::{Duration, Instant};

const USAGE: &str = "\
usage: compare [FILTER]... [OPTIONS]
  FILTER          only programs whose name contains one of these
  -n, --rounds N  rounds (default 5)
      --smoke     every program once, at its smallest size
      --pauses    the programs of benches/pauses (their outputs are times: shown, not compared)
      --neap PATH the neap to measure (default: build target/release/neap)";

/// The scale of a scenario of benches/pauses in a smoke run.
const SMOKE_SCALE: &str = "0.002";

struct Options {
    filters: Vec<String>,
    rounds: usize,
    smoke: bool,
    pauses: bool,
    neap: Option<PathBuf>,
}

struct Contender {
    name: &'static str,
    program: PathBuf,
    arguments: &'static [&'static str],
}

struct Program {
    name: String,
    path: PathBuf,
    allocates: bool,
}

/// What one run took.
struct Run {
    wall: Duration,
    cpu: Duration,
    peak_bytes: u64,
    output: Vec<u8>,
}

/// Medians over the rounds of one program under one contender.
#[derive(Clone, Copy)]
struct Figures {
    wall_s: f64,
    cpu_s: f64,
    peak_mib: f64,
}

type Error = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    match parse().and_then(|options| compare(&options)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("compare: {error}");
            ExitCode::FAILURE
        }
    }
}

fn parse() -> Result<Options, Error> {
    use lexopt::prelude::*;
    let mut options = Options { filters: Vec::new(), rounds: 5, smoke: false, pauses: false, neap: None };
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Short('n') | Long("rounds" | "runs") => options.rounds = parser.value()?.parse()?,
            Long("smoke") => options.smoke = true,
            Long("pauses") => options.pauses = true,
            Long("neap") => options.neap = Some(parser.value()?.into()),
            Short('h') | Long("help") => {
                println!("{USAGE}");
                std::process::exit(0);
            }
            Value(filter) => options.filters.push(filter.string()?),
            _ => return Err(argument.unexpected().into()),
        }
    }
    if options.rounds == 0 {
        return Err("at least one round is needed".into());
    }
    if options.smoke {
        options.rounds = 1;
    }
    Ok(options)
}

fn compare(options: &Options) -> Result<bool, Error> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let programs = programs(root, options)?;
    let contenders = contenders(root, options)?;
    let reference = contenders.iter().position(|c| c.name == "lua5.4");
    if reference.is_none() {
        eprintln!("compare: lua5.4 is not installed; no ratios");
    }
    let mut sound = true;
    let mut results: Vec<(&Program, Vec<Option<Figures>>)> = Vec::new();
    print_heading(&contenders, reference);
    for program in &programs {
        let mut runs: Vec<Vec<Run>> = contenders.iter().map(|_| Vec::new()).collect();
        let mut failed = vec![false; contenders.len()];
        for _ in 0..options.rounds {
            for (i, contender) in contenders.iter().enumerate() {
                if failed[i] {
                    continue;
                }
                match run(contender, program, options) {
                    Ok(run) => runs[i].push(run),
                    Err(error) => {
                        eprintln!("{} {}: {error}", contender.name, program.name);
                        failed[i] = true;
                        sound = false;
                    }
                }
            }
        }
        if options.pauses {
            for (contender, runs) in contenders.iter().zip(&runs) {
                for run in runs {
                    for line in String::from_utf8_lossy(&run.output).lines() {
                        println!("    {:<8} {line}", contender.name);
                    }
                }
            }
            print_control(if options.smoke { Duration::from_millis(100) } else { Duration::from_secs(5) });
        } else {
            let mut outputs = contenders.iter().zip(&runs).flat_map(|(c, runs)| runs.iter().map(move |r| (c.name, &r.output)));
            if let Some((first, expected)) = outputs.next() {
                for (name, output) in outputs {
                    if output != expected {
                        eprintln!("{}: the outputs of {first} and {name} differ", program.name);
                        sound = false;
                        break;
                    }
                }
            }
        }
        let figures: Vec<_> = runs.iter().map(|runs| medians(runs)).collect();
        print_row(&program.name, &figures, reference);
        results.push((program, figures));
    }
    if let Some(reference) = reference {
        println!();
        print_means("all", &results, &contenders, reference, |_| true);
        if !options.pauses {
            print_means("allocation", &results, &contenders, reference, |p| p.allocates);
            print_means("computation", &results, &contenders, reference, |p| !p.allocates);
        }
    }
    Ok(sound)
}

/// How long a piece of work takes that is always the same and about as long as a slice of the collector: what the machine adds to the pauses above.
fn print_control(time: Duration) {
    const READS: usize = 1000;
    let memory = vec![1u8; 256 << 20];
    let mut random = Xoshiro256PlusPlus::seed_from_u64(1);
    let mut pieces = Pauses::new();
    let (start, mut sum) = (Instant::now(), 0u64);
    while start.elapsed() < time {
        let piece = Stopwatch::start();
        for _ in 0..READS {
            sum += u64::from(memory[random.next_u64() as usize % memory.len()]);
        }
        pieces.end(piece);
    }
    let found = pieces.summary(Cause::Stop);
    assert_eq!(sum, found.count * READS as u64);
    let [p50, p99, p999, max] = [found.p50_ns, found.p99_ns, found.p999_ns, found.max_ns].map(|ns| ns as f64 / 1e6);
    println!(
        "    control, {READS} random reads of 256 MiB at a time: p50 {p50:.3}  p99 {p99:.3}  p99.9 {p999:.3}  longest {max:.3} ms"
    );
}

/// The programs that the filters leave, by name.
fn programs(root: &Path, options: &Options) -> Result<Vec<Program>, Error> {
    let folder = root.join(if options.pauses { "benches/pauses" } else { "benches/lua" });
    let mut found = Vec::new();
    for entry in std::fs::read_dir(&folder)? {
        let path = entry?.path();
        let Some(name) = path.file_stem().and_then(|n| n.to_str()).map(str::to_owned) else { continue };
        if path.extension().is_none_or(|e| e != "lua") {
            continue;
        }
        if options.filters.is_empty() || options.filters.iter().any(|f| name.contains(f.as_str())) {
            let header = std::fs::read_to_string(&path)?;
            let allocates = header.lines().take_while(|l| l.starts_with("--")).any(|l| l == "-- Group: allocation.");
            found.push(Program { name, path, allocates });
        }
    }
    if found.is_empty() {
        return Err("no program has such a name".into());
    }
    found.sort_by(|a, b| b.allocates.cmp(&a.allocates).then_with(|| a.name.cmp(&b.name)));
    Ok(found)
}

/// `neap`, built if no path was given, and those reference interpreters that are installed.
fn contenders(root: &Path, options: &Options) -> Result<Vec<Contender>, Error> {
    let neap = match &options.neap {
        Some(path) => path.clone(),
        None => build(root)?,
    };
    let arguments: &[_] = if options.pauses { &["--gc-stats"] } else { &[] };
    let mut contenders = vec![Contender { name: "neap", program: neap, arguments }];
    for (name, program, arguments) in [("lua5.4", "lua5.4", &[][..]), ("luajit", "luajit", &["-joff"][..])] {
        if let Some(program) = installed(program) {
            contenders.push(Contender { name, program, arguments });
        }
    }
    Ok(contenders)
}

fn build(root: &Path) -> Result<PathBuf, Error> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let status = Command::new(cargo).current_dir(root).args(["build", "--release", "-p", "neap", "--bin", "neap"]).status()?;
    if !status.success() {
        return Err("neap could not be built".into());
    }
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    Ok(target.join("release/neap"))
}

fn installed(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}

fn run(contender: &Contender, program: &Program, options: &Options) -> Result<Run, Error> {
    let mut command = Command::new(&contender.program);
    command.args(contender.arguments).arg(&program.path).stdin(Stdio::null()).stdout(Stdio::piped());
    if options.smoke {
        command.arg(if options.pauses { SMOKE_SCALE } else { "smoke" });
    }
    // SAFETY: the closure does nothing. It is here because a command with one starts by `fork`: the kernel counts the
    // memory of whom a child was spawned from as the child's, and after `fork` that is only what was copied.
    unsafe { command.pre_exec(|| Ok(())) };
    let start = Instant::now();
    let mut child = command.spawn()?;
    let mut output = Vec::new();
    if let Some(mut stdout) = child.stdout.take() {
        stdout.read_to_end(&mut output)?;
    }
    let pid = libc::pid_t::try_from(child.id())?;
    let mut status = 0;
    // SAFETY: `rusage` is plain integers, for which zero is a value.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers are to locals that live across the call; the child is ours and not yet waited for (I1).
    if unsafe { libc::wait4(pid, &raw mut status, 0, &raw mut usage) } != pid {
        return Err(std::io::Error::last_os_error().into());
    }
    let wall = start.elapsed();
    let status = ExitStatus::from_raw(status);
    if !status.success() {
        return Err(status.to_string().into());
    }
    let cpu = time(usage.ru_utime) + time(usage.ru_stime);
    // Linux counts in KiB.
    let peak_bytes = u64::try_from(usage.ru_maxrss)? * 1024;
    Ok(Run { wall, cpu, peak_bytes, output })
}

fn time(t: libc::timeval) -> Duration {
    Duration::new(t.tv_sec.unsigned_abs(), u32::try_from(t.tv_usec).unwrap_or(0) * 1000)
}

fn medians(runs: &[Run]) -> Option<Figures> {
    let median = |of: &dyn Fn(&Run) -> f64| {
        let mut values: Vec<f64> = runs.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        let middle = values.len() / 2;
        if values.len() % 2 == 1 { values[middle] } else { (values[middle - 1] + values[middle]) / 2.0 }
    };
    (!runs.is_empty()).then(|| Figures {
        wall_s: median(&|r| r.wall.as_secs_f64()),
        cpu_s: median(&|r| r.cpu.as_secs_f64()),
        peak_mib: median(&|r| r.peak_bytes as f64 / (1 << 20) as f64),
    })
}

fn print_heading(contenders: &[Contender], reference: Option<usize>) {
    print!("{:<16}", "");
    for (i, contender) in contenders.iter().enumerate() {
        let width = if reference.is_some_and(|r| r != i) { 37 } else { 25 };
        print!("  {:<width$}", contender.name);
    }
    println!();
    print!("{:<16}", "program");
    for i in 0..contenders.len() {
        print!("  {:>7} {:>7} {:>9}", "wall s", "cpu s", "peak MiB");
        if reference.is_some_and(|r| r != i) {
            print!(" {:>5} {:>5}", "time", "mem");
        }
    }
    println!();
}

fn print_row(name: &str, figures: &[Option<Figures>], reference: Option<usize>) {
    print!("{name:<16}");
    for (i, figure) in figures.iter().enumerate() {
        match figure {
            Some(f) => print!("  {:>7.3} {:>7.3} {:>9.1}", f.wall_s, f.cpu_s, f.peak_mib),
            None => print!("  {:>7} {:>7} {:>9}", "failed", "-", "-"),
        }
        if let Some(reference) = reference.filter(|&r| r != i) {
            match (figure, &figures[reference]) {
                (Some(f), Some(base)) => print!(" {:>5.2} {:>5.2}", f.cpu_s / base.cpu_s, f.peak_mib / base.peak_mib),
                _ => print!(" {:>5} {:>5}", "-", "-"),
            }
        }
    }
    println!();
}

/// Geometric means of the ratios to the reference, over the programs of one group.
fn print_means(
    label: &str,
    results: &[(&Program, Vec<Option<Figures>>)],
    contenders: &[Contender],
    reference: usize,
    belongs: impl Fn(&Program) -> bool,
) {
    for (i, contender) in contenders.iter().enumerate().filter(|&(i, _)| i != reference) {
        let pairs: Vec<(Figures, Figures)> = results
            .iter()
            .filter(|(program, _)| belongs(program))
            .filter_map(|(_, figures)| Some((figures[i]?, figures[reference]?)))
            .collect();
        if pairs.is_empty() {
            continue;
        }
        let mean = |of: &dyn Fn(&Figures) -> f64| {
            let sum: f64 = pairs.iter().map(|(f, base)| (of(f) / of(base)).ln()).sum();
            (sum / pairs.len() as f64).exp()
        };
        println!(
            "geometric mean, {label} ({} programs): {} / {}: time {:.3}, wall {:.3}, memory {:.3}",
            pairs.len(),
            contender.name,
            contenders[reference].name,
            mean(&|f| f.cpu_s),
            mean(&|f| f.wall_s),
            mean(&|f| f.peak_mib),
        );
    }
}
