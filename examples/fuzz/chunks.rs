//! Binary chunks that may be anything, loaded and run in this process: many thousands a second. A process of its own does it (`work`), which
//! notes what it is at, so that whoever watches (`run`) knows what has ended it.
//!
//! * **M1** A mutant is a function of the seed and its number. Numbers in a row share the program that they are made from.
//! * **M2** What ends the process is a fault, whatever the chunk; an error, be it of the verifier, is none.
//!
//! Imports `dice`, `mutant`, `run`.

use super::dice::Dice;
use super::mutant;
use super::run::Error;
use neap::bytecode::budget::Budget;
use neap::bytecode::{Proto, chunk, disassemble};
use neap::{Interpreter, Limits};
use neap_gc::Config;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

const STAGE: &str = include_str!("stage.lua");

/// Mutants of one program.
const OF_ONE: u64 = 200;
/// Mutants that are run by one interpreter.
const OF_A_MACHINE: u64 = 4000;
/// How long a mutant may run before it is stopped.
const PATIENCE: Duration = Duration::from_millis(4);
/// How long it may take until it counts as one that can't be.
const ROUND: Duration = Duration::from_secs(1);
const ROUNDS: u32 = 60;
/// The exit status that says so.
const HANGS: i32 = 42;

fn dice(seed: u64, number: u64) -> Dice {
    Dice::new(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ number)
}

/// The programs that mutants are made from, the last one at hand.
struct Nursery {
    seed: u64,
    base: Option<(u64, Proto)>,
}

impl Nursery {
    /// M1.
    fn chunk(&mut self, number: u64) -> Vec<u8> {
        let base = number / OF_ONE;
        if self.base.as_ref().is_none_or(|(known, _)| *known != base) {
            self.base = Some((base, mutant::program(&mut dice(!self.seed, base))));
        }
        let (_, proto) = self.base.as_ref().expect("a program");
        let mut dice = dice(self.seed, number);
        let (mut proto, strip) = (proto.clone(), dice.chance(15));
        mutant::change(&mut dice, &mut proto);
        let mut chunk = chunk::dumped(&proto, strip);
        if dice.chance(8) {
            mutant::damage(&mut dice, &mut chunk);
        }
        chunk
    }
}

/// A chunk, for whoever wants to look at it.
pub fn chunk_of(seed: u64, number: u64) -> Vec<u8> {
    Nursery { seed, base: None }.chunk(number)
}

struct Stage {
    lua: Interpreter,
}

impl Stage {
    fn new() -> Stage {
        let setting = std::env::var("NEAP_GC").unwrap_or_default();
        let config = Config {
            limit_bytes: 64 << 20,
            stress_cycle: if setting.contains("stress") { 64 } else { 0 },
            audit: setting.contains("audit").into(),
            poison: setting.contains("poison"),
            ..Config::default()
        };
        let mut lua = Interpreter::new(config).expect("a heap");
        lua.run(STAGE.as_bytes(), b"=stage", 0).expect("the stage");
        Stage { lua }
    }

    /// Whether the chunk has been accepted.
    fn perform(&mut self, chunk: &[u8], number: u64) -> bool {
        if self.lua.set_text("mutant", chunk).is_err() {
            return false;
        }
        let limits = Limits { time: Some(PATIENCE), ..Limits::default() };
        let outcome = self.lua.run_limited(b"return perform(mutant, ...)", b"=fuzz", number as i64, limits);
        // What was stopped or has failed, had been accepted, or was stopped while it was verified.
        let accepted = outcome.as_deref() != Ok(b"refused");
        if accepted
            && number.is_multiple_of(16)
            && let Ok(proto) = chunk::undump(chunk, &mut Budget::unlimited())
        {
            assert!(!disassemble(&proto).is_empty());
        }
        accepted
    }
}

/// Ends the process if it stays at one mutant.
fn watch(at: Arc<AtomicU64>) {
    std::thread::spawn(move || {
        let (mut last, mut rounds) = (u64::MAX, 0);
        loop {
            std::thread::sleep(ROUND);
            let now = at.load(Ordering::Relaxed);
            rounds = if now == last { rounds + 1 } else { 0 };
            if rounds > ROUNDS {
                std::process::exit(HANGS);
            }
            last = now;
        }
    });
}

/// Runs some mutants, notes which one it is at, and says at the end how many were accepted.
pub fn work(seed: u64, first: u64, count: u64, note: &Path) -> Result<(), Error> {
    let note = File::options().write(true).create(true).truncate(true).open(note)?;
    let mut nursery = Nursery { seed, base: None };
    let at = Arc::new(AtomicU64::new(0));
    let mut accepted = 0u64;
    let mut next = first;
    watch(at.clone());
    while next < first + count {
        let mut stage = Stage::new();
        let end = (first + count).min(next + OF_A_MACHINE);
        for number in next..end {
            note.write_all_at(&[number.to_le_bytes(), accepted.to_le_bytes()].concat(), 0)?;
            at.store(number, Ordering::Relaxed);
            let chunk = nursery.chunk(number);
            accepted += u64::from(stage.perform(&chunk, number));
        }
        next = end;
    }
    note.write_all_at(&[(first + count).to_le_bytes(), accepted.to_le_bytes()].concat(), 0)?;
    Ok(())
}

/// What came of some mutants.
#[derive(Default)]
pub struct Outcome {
    pub accepted: u64,
    /// Those that have ended the process, and how it ended.
    pub faults: Vec<(u64, String)>,
}

/// Has another process run some mutants; goes on behind those that end it.
pub fn run(seed: u64, first: u64, count: u64, folder: &Path) -> Result<Outcome, Error> {
    let (note, errors) = (folder.join("mutant"), folder.join("mutant-errors"));
    let mut outcome = Outcome::default();
    let mut next = first;
    while next < first + count {
        let status = Command::new(std::env::current_exe()?)
            .arg("--work")
            .args([seed, next, first + count - next].map(|number| number.to_string()))
            .arg(&note)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&errors)?)
            .status()?;
        let noted = std::fs::read(&note)?;
        let number = |at: usize| noted.get(at..at + 8).and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_le_bytes);
        outcome.accepted += number(8);
        if status.success() {
            break;
        }
        let how = if status.code() == Some(HANGS) { "hangs".to_owned() } else { status.to_string() };
        let said = std::fs::read(&errors)?;
        outcome.faults.push((number(0), format!("{how}\n{}", String::from_utf8_lossy(&said))));
        next = number(0).max(next) + 1;
    }
    Ok(outcome)
}
