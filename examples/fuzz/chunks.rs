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
use neap::stdlib;
use neap::value::Value;
use neap::vm::Vm;
use neap_gc::Config;
use neap_gc::heap::poll;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

const STAGE: &str = include_str!("stage.lua");

/// Mutants of one program.
const OF_ONE: u64 = 200;
/// Mutants that are run by one interpreter.
const OF_A_MACHINE: u64 = 4000;
/// How long a mutant runs before it is interrupted, and when it counts as one that cannot be.
const PATIENCE: Duration = Duration::from_millis(4);
const ROUNDS: u32 = 15_000;
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
        let mut chunk = chunk::dump(&proto, strip, &mut Budget::unlimited()).expect("a chunk");
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
    vm: Vm,
    run: Value,
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
        let mut vm = Vm::new(config).expect("a heap");
        stdlib::open_all(&mut vm).unwrap_or_else(|_| panic!("the libraries"));
        let stage = vm.load(STAGE.as_bytes(), b"=stage").unwrap_or_else(|_| panic!("the stage"));
        let run = vm.call1(Value::closure(stage), &[]).unwrap_or_else(|_| panic!("the stage"));
        vm.pin(run);
        Stage { vm, run }
    }

    /// Whether the chunk has been accepted.
    fn perform(&mut self, chunk: &[u8], number: u64) -> bool {
        self.vm.poll_word().fetch_and(!poll::INTERRUPT, Ordering::Relaxed);
        let mark = self.vm.mark();
        let accepted = match self.vm.load_binary(chunk, b"=mutant") {
            Ok(closure) => {
                if number.is_multiple_of(16) {
                    let proto = chunk::undump(chunk, &mut Budget::unlimited()).expect("it was accepted");
                    assert!(!disassemble(&proto).is_empty());
                }
                if self.vm.call1(self.run, &[Value::closure(closure), Value::int(number as i64)]).is_err() {
                    self.vm.take_error();
                }
                true
            }
            Err(_) => {
                self.vm.take_error();
                false
            }
        };
        self.vm.pop_to(mark);
        accepted
    }
}

/// Interrupts mutants that take too long.
fn watch(at: Arc<AtomicU64>, word: Arc<AtomicU32>, over: Arc<AtomicU32>) {
    std::thread::spawn(move || {
        let (mut last, mut rounds) = (u64::MAX, 0);
        while over.load(Ordering::Relaxed) == 0 {
            std::thread::sleep(PATIENCE);
            let now = at.load(Ordering::Relaxed);
            rounds = if now == last { rounds + 1 } else { 0 };
            if rounds > 0 {
                word.fetch_or(poll::INTERRUPT, Ordering::Relaxed);
            }
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
    while next < first + count {
        let mut stage = Stage::new();
        let over = Arc::new(AtomicU32::new(0));
        watch(at.clone(), stage.vm.poll_word(), over.clone());
        let end = (first + count).min(next + OF_A_MACHINE);
        for number in next..end {
            note.write_all_at(&[number.to_le_bytes(), accepted.to_le_bytes()].concat(), 0)?;
            at.store(number, Ordering::Relaxed);
            let chunk = nursery.chunk(number);
            accepted += u64::from(stage.perform(&chunk, number));
        }
        next = end;
        over.store(1, Ordering::Relaxed);
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
