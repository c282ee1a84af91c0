//! Looks for programs that `neap` runs otherwise than the reference implementation does, or on which it crashes or hangs.
//!
//!     cargo run --release --example fuzz -- [--mode MODE]... [--seconds N] [--seed S] [--lua PATH] [--neap PATH]
//!
//! Programs are made at random, from a seed; many run in one process; what differs is made small, shown, and left as a script
//! in `target/fuzz`. Without a reference interpreter only crashes and hangs are found. `NEAP_GC=stress,audit` in the environment
//! makes it a torture of the collector.
//!
//! The mode `chunk` is of another kind: binary chunks with changed fields are loaded and run in a process of this program's own, thousands a
//! second. The numbers of those that end it are shown, and the chunks left in `target/fuzz`.
//!
//! I1: the programs are a function of mode, seed and the number of the batch.

#[path = "fuzz/callbacks.rs"]
mod callbacks;
#[path = "fuzz/chunks.rs"]
mod chunks;
#[path = "fuzz/collection.rs"]
mod collection;
#[path = "fuzz/dice.rs"]
mod dice;
#[path = "fuzz/expressions.rs"]
mod expressions;
#[path = "fuzz/functions.rs"]
mod functions;
#[path = "fuzz/mutant.rs"]
mod mutant;
#[path = "fuzz/objects.rs"]
mod objects;
#[path = "fuzz/run.rs"]
mod run;
#[path = "fuzz/scope.rs"]
mod scope;
#[path = "fuzz/statements.rs"]
mod statements;
#[path = "fuzz/strings.rs"]
mod strings;
#[path = "fuzz/text.rs"]
mod text;
#[path = "fuzz/tree.rs"]
mod tree;

use dice::Dice;
use run::{End, Error, Interpreter};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};
use tree::Node;

const USAGE: &str = "\
usage: fuzz [OPTIONS]
      --mode MODE    diff, pattern, format, pack, lexer, parser, chunk, collection; may be given again (default: all in turn)
      --seconds N    how long to go on (default: the first batches of each mode, always the same programs)
      --seed S       the seed of the programs (default 1)
      --batch N      programs a process (default 40)
      --lua PATH     the reference (default lua5.4; \"\" is for none)
      --neap PATH    the neap to test (default: build it)
      --lines        compare the lines in messages too (between versions of the reference some differ)
      --first N      the first mutant of the mode chunk (default 0)
      --print        show the programs of one batch and stop";

/// The batches of each mode in a run of no given length.
const SHORT: u64 = 4;
/// The mutants of a batch of chunks.
const MUTANTS: u64 = 10_000;

/// What is made at random.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Mode {
    Diff,
    Pattern,
    Format,
    Pack,
    Lexer,
    Parser,
    Chunk,
    Collection,
}

const MODES: [(&str, Mode); 8] = [
    ("diff", Mode::Diff),
    ("pattern", Mode::Pattern),
    ("format", Mode::Format),
    ("pack", Mode::Pack),
    ("lexer", Mode::Lexer),
    ("parser", Mode::Parser),
    ("chunk", Mode::Chunk),
    ("collection", Mode::Collection),
];

impl Mode {
    fn name(self) -> &'static str {
        MODES.iter().find(|(_, mode)| *mode == self).map_or("", |(name, _)| name)
    }

    fn program(self, dice: &mut Dice) -> Node {
        match self {
            Mode::Diff => statements::program(dice),
            Mode::Pattern => strings::patterns(dice),
            Mode::Format => strings::formats(dice),
            Mode::Pack => strings::packs(dice),
            Mode::Lexer => text::bytes(dice),
            Mode::Parser => text::tokens(dice),
            // Made elsewhere.
            Mode::Chunk => Node::Block(Vec::new()),
            Mode::Collection => collection::program(dice),
        }
    }
}

struct Options {
    modes: Vec<Mode>,
    seconds: Option<u64>,
    seed: u64,
    batch: usize,
    lua: String,
    neap: Option<PathBuf>,
    lines: bool,
    print: bool,
    first: u64,
}

/// How a program went wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fault {
    Differs,
    Crashes,
    Hangs,
}

/// What is wrong with a batch.
struct Trouble<'p> {
    /// None where only the reference fails, so that nothing is known.
    fault: Option<Fault>,
    /// The programs that may be to blame.
    suspects: Vec<&'p Node>,
}

struct Fuzzer {
    neap: Interpreter,
    lua: Option<Interpreter>,
    folder: PathBuf,
    /// How much processor time a batch may take.
    limit: Duration,
}

fn main() -> ExitCode {
    match parse().and_then(|options| fuzz(&options)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("fuzz: {error}");
            ExitCode::FAILURE
        }
    }
}

fn parse() -> Result<Options, Error> {
    use lexopt::prelude::*;
    let mut options = Options {
        modes: Vec::new(),
        seconds: None,
        seed: 1,
        batch: 40,
        lua: "lua5.4".into(),
        neap: None,
        lines: false,
        print: false,
        first: 0,
    };
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("mode") => {
                let name = parser.value()?.string()?;
                let (_, mode) = MODES.iter().find(|(known, _)| *known == name).ok_or_else(|| format!("no mode '{name}'"))?;
                options.modes.push(*mode);
            }
            Long("seconds") => options.seconds = Some(parser.value()?.parse()?),
            Long("seed") => options.seed = parser.value()?.parse()?,
            Long("batch") => options.batch = parser.value()?.parse()?,
            Long("lua") => options.lua = parser.value()?.string()?,
            Long("neap") => options.neap = Some(parser.value()?.into()),
            Long("lines") => options.lines = true,
            Long("first") => options.first = parser.value()?.parse()?,
            Long("work") => {
                let mut number = || -> Result<u64, Error> { Ok(parser.value()?.parse()?) };
                let (seed, first, count) = (number()?, number()?, number()?);
                chunks::work(seed, first, count, &PathBuf::from(parser.value()?))?;
                std::process::exit(0);
            }
            Long("print") => options.print = true,
            Short('h') | Long("help") => {
                println!("{USAGE}");
                std::process::exit(0);
            }
            _ => return Err(argument.unexpected().into()),
        }
    }
    if options.modes.is_empty() {
        options.modes = MODES.iter().map(|(_, mode)| *mode).collect();
    }
    Ok(options)
}

/// I1.
fn batch(mode: Mode, seed: u64, number: u64, size: usize) -> Vec<Node> {
    (0..size as u64)
        .map(|i| mode.program(&mut Dice::new(seed.wrapping_mul(0x9e37_79b9).wrapping_add((number << 20) + i))))
        .collect()
}

fn fuzz(options: &Options) -> Result<bool, Error> {
    if options.print {
        for program in batch(options.modes[0], options.seed, 0, options.batch) {
            println!("{}\n----", program.text());
        }
        return Ok(true);
    }
    let lua = run::installed(&options.lua).or_else(|| Some(PathBuf::from(&options.lua)).filter(|path| path.is_file()));
    if lua.is_none() {
        println!("fuzz: no reference interpreter; looking for crashes only");
    }
    let neap = match &options.neap {
        Some(path) => path.clone(),
        None => run::build_neap()?,
    };
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/fuzz");
    // Several of these may run at a time.
    let scratch = folder.join(std::process::id().to_string());
    std::fs::create_dir_all(&scratch)?;
    let fuzzer = Fuzzer {
        neap: Interpreter { program: neap, arguments: vec!["--heap-limit".into(), "512M".into()], lines: options.lines },
        lua: lua.map(|program| Interpreter { program, arguments: Vec::new(), lines: options.lines }),
        folder: scratch.clone(),
        limit: Duration::from_secs(20),
    };
    let start = Instant::now();
    let mut ran = vec![0usize; options.modes.len()];
    let (mut found, mut accepted) = (0usize, 0);
    let mut round = 0;
    while options.seconds.map_or(round < SHORT, |seconds| start.elapsed() < Duration::from_secs(seconds)) {
        for (mode, ran) in options.modes.iter().zip(&mut ran) {
            if *mode == Mode::Chunk {
                let first = options.first + round * MUTANTS;
                let outcome = chunks::run(options.seed, first, MUTANTS, &scratch)?;
                for (number, how) in &outcome.faults {
                    found += 1;
                    let path = folder.join(format!("chunk-{}-{number}", options.seed));
                    std::fs::write(&path, chunks::chunk_of(options.seed, *number))?;
                    println!("== chunk {number}: {}\n{how}", path.display());
                }
                *ran += MUTANTS as usize;
                accepted += outcome.accepted;
                continue;
            }
            let programs = batch(*mode, options.seed, round, options.batch);
            for (faulty, fault) in fuzzer.findings(&programs)? {
                found += 1;
                // Each attempt at a program that hangs takes all of its time.
                let tries = if fault == Fault::Hangs { 40 } else { 3000 };
                let small = tree::minimise(&faulty, tries, |candidate| fuzzer.fault(candidate) == Some(fault));
                let name = format!("{}-{}-{found}.lua", mode.name(), options.seed);
                fuzzer.report(&small, fault, &folder.join(name))?;
            }
            *ran += programs.len();
        }
        round += 1;
    }
    std::fs::remove_dir_all(&scratch)?;
    let counts: Vec<String> = options.modes.iter().zip(&ran).map(|(mode, ran)| format!("{} {ran}", mode.name())).collect();
    println!(
        "fuzz: seed {}, {:.0} s; programs: {}; chunks accepted: {accepted}; found: {found}",
        options.seed,
        start.elapsed().as_secs_f64(),
        counts.join(", ")
    );
    Ok(found == 0)
}

/// What is said where implementations may differ: in how deep recursion goes, and in what a coroutine can yield across.
const OWN_MATTERS: [&str; 3] = ["stack overflow", "error in error handling", "attempt to yield across a C-call boundary"];

/// Whether two programs said the same, or one said that the difference does not count.
fn alike(a: Option<&[u8]>, b: Option<&[u8]>) -> bool {
    let is_own_matter = |said: Option<&[u8]>| {
        let text = String::from_utf8_lossy(said.unwrap_or_default());
        OWN_MATTERS.iter().any(|matter| text.contains(matter))
    };
    a == b || is_own_matter(a) || is_own_matter(b)
}

/// The lines in which two texts differ, and some before.
fn different_part(text: &[u8], other: &[u8]) -> String {
    const BEFORE: usize = 3;
    const SHOWN: usize = 12;
    let same = text.split(|&b| b == b'\n').zip(other.split(|&b| b == b'\n')).take_while(|(a, b)| a == b).count();
    let text = String::from_utf8_lossy(text);
    let lines: Vec<&str> = text.lines().skip(same.saturating_sub(BEFORE)).take(SHOWN).collect();
    lines.join("\n")
}

impl Fuzzer {
    /// What goes wrong in a batch: programs that do so alone; else the batch as a whole, since one may have left behind what
    /// another stumbled over.
    fn findings(&self, programs: &[Node]) -> Result<Vec<(Vec<Node>, Fault)>, Error> {
        let Some(trouble) = self.trouble(programs, self.limit)? else { return Ok(Vec::new()) };
        let alone = |program: &&Node| Some((vec![(*program).clone()], self.fault(std::slice::from_ref(*program))?));
        let found: Vec<(Vec<Node>, Fault)> = trouble.suspects.iter().filter_map(alone).collect();
        match trouble.fault {
            Some(fault) if found.is_empty() => Ok(vec![(programs.to_vec(), fault)]),
            _ => Ok(found),
        }
    }

    /// How some programs go wrong, if they do.
    fn fault(&self, programs: &[Node]) -> Option<Fault> {
        let limit = if programs.len() == 1 { self.limit / 4 } else { self.limit };
        self.trouble(programs, limit).ok()??.fault
    }

    fn trouble<'p>(&self, programs: &'p [Node], limit: Duration) -> Result<Option<Trouble<'p>>, Error> {
        let all = |fault| Ok(Some(Trouble { fault, suspects: programs.iter().collect() }));
        let outcome = self.neap.run(programs, &self.folder, limit)?;
        match outcome.end {
            End::Crash(_) => return all(Some(Fault::Crashes)),
            End::Hang => return all(Some(Fault::Hangs)),
            End::Well => {}
        }
        let Some(lua) = &self.lua else { return Ok(None) };
        let expected = lua.run(programs, &self.folder, limit)?;
        if expected.end != End::Well {
            return all(None);
        }
        let said = outcome.said.iter().zip(&expected.said);
        let suspects: Vec<&Node> = programs
            .iter()
            .zip(said)
            .filter(|(_, (said, expected))| !alike(said.as_deref(), expected.as_deref()))
            .map(|(program, _)| program)
            .collect();
        Ok((!suspects.is_empty()).then_some(Trouble { fault: Some(Fault::Differs), suspects }))
    }

    fn report(&self, programs: &[Node], fault: Fault, path: &Path) -> Result<(), Error> {
        let texts: Vec<String> = programs.iter().map(Node::text).collect();
        println!("== {fault:?}: {}\n{}", path.display(), texts.join("----\n"));
        std::fs::write(path, run::script(programs, self.neap.lines))?;
        let run = |interpreter: &Interpreter| -> Result<(End, Vec<u8>), Error> {
            let outcome = interpreter.run(programs, &self.folder, self.limit)?;
            Ok((outcome.end, outcome.said.into_iter().flatten().collect::<Vec<_>>().concat()))
        };
        let (end, said) = run(&self.neap)?;
        let expected = self.lua.as_ref().map(run).transpose()?;
        let other = expected.as_ref().map_or(&[][..], |(_, said)| said);
        println!("-- neap: {end:?}\n{}", different_part(&said, other));
        if let Some((end, expected)) = &expected {
            println!("-- reference: {end:?}\n{}", different_part(expected, &said));
        }
        Ok(())
    }
}
