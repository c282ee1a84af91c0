//! How long after an interrupt, or after the end of its time, a program has stopped: one native function or instruction after the other, on inputs as
//! large as a heap of 4 GB allows. What is demanded: 50 ms.
//!
//!     cargo build --release --bin neap && cargo run --release --example stops -- [--memory] [FILTER]...
//!
//! Each case runs in a process of its own, one at a time: first without a stop, which tells how long the work takes, then with an interrupt after a
//! fifth and after four fifths of that, then under `limits.run` with half of it as the limit of time. A program has stopped when its message comes. With
//! `--memory` it is how far the resident memory grows beyond what `limits.run` allows, for the cases that make something large.
//!
//! A machine that is busy delays processes: what is late once only is tried again, and the smallest of three counts.

mod cases;

use cases::{CASES, Case};
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// What is demanded.
const LATE: Duration = Duration::from_millis(50);
/// Work that has no end, or none before this, is interrupted in this time.
const LONGEST: Duration = Duration::from_secs(3);
/// Work that is done sooner needs no interrupt.
const SHORTEST: Duration = Duration::from_millis(40);
/// A process that takes longer to prepare, or does not end, is a failure.
const PATIENCE: Duration = Duration::from_secs(100);
/// Who has not stopped after so long does not stop.
const REACTION: Duration = Duration::from_secs(4);
/// So often what is late is tried again.
const TRIES: u32 = 3;
/// What a run may use in `--memory`, and by how much it may be exceeded.
const MEMORY: usize = 64 << 20;
const EXCESS: usize = 2 << 20;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let memory = words.iter().any(|word| word == "--memory");
    let filters: Vec<&String> = words.iter().filter(|word| !word.starts_with("--")).collect();
    let is_chosen = |case: &&Case| filters.is_empty() || filters.iter().any(|filter| case.name.contains(filter.as_str()));
    let mut failures = 0;
    for case in CASES.iter().filter(is_chosen) {
        let fine = if memory { memory_of(case) } else { times_of(case) };
        failures += u32::from(!fine);
    }
    println!("{failures} failures");
    std::process::exit((failures != 0).into());
}

/// The command `neap`, which has been built beside this program.
fn interpreter() -> PathBuf {
    let own = std::env::current_exe().expect("a path");
    own.ancestors().nth(2).expect("a folder").join("neap")
}

/// A running case.
struct Running {
    child: Child,
    /// The lines that it says on its standard error, and when.
    said: Receiver<(Instant, String)>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.signal(libc::SIGKILL, true);
        let _ = self.child.wait();
    }
}

impl Running {
    /// Starts the case; `run`: the expression that does the work.
    fn start(case: &Case, run: &str) -> Running {
        let script = format!(
            "local G, M, limits, say = 1 << 30, 1 << 20, limits, io.stderr
            {}
            local function work() {} end
            say:write('ready\\n')
            local done, why = {run}
            say:write('done ', tostring(why):sub(1, 40), '\\n')",
            case.setup, case.code
        );
        let mut command = Command::new(interpreter());
        command.args(["--heap-limit", "4G", "-e", &script]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // What it starts itself ends with it, by the group.
        command.process_group(0);
        let mut child = command.spawn().expect("a process");
        let error = BufReader::new(child.stderr.take().expect("a pipe"));
        let (sender, said) = channel();
        std::thread::spawn(move || {
            for line in error.split(b'\n').map_while(Result::ok) {
                // What a case says itself, before its end is told.
                let line = line.strip_prefix(b"lua_debug> ").unwrap_or(&line);
                let line = match line.strip_prefix(b"Lua warning: ") {
                    Some(warning) => &warning[warning.iter().take_while(|&&byte| byte == b'x').count()..],
                    None => line,
                };
                if line.is_empty() {
                    continue;
                }
                let line = String::from_utf8_lossy(line).into_owned();
                if sender.send((Instant::now(), line)).is_err() {
                    break;
                }
            }
        });
        Running { child, said }
    }

    /// Waits for the next line.
    fn hears(&mut self, patience: Duration) -> Result<(Instant, String), RecvTimeoutError> {
        self.said.recv_timeout(patience)
    }

    fn is_ready(&mut self) -> Result<Instant, String> {
        match self.hears(PATIENCE) {
            Ok((at, text)) if text.starts_with("ready") => Ok(at),
            Ok((_, text)) => Err(text),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Sends a signal to the process, or to it and all that it has started.
    fn signal(&self, signal: libc::c_int, all: bool) {
        let id = self.child.id() as libc::pid_t;
        // SAFETY: the process has not been waited for, so the number is its own, and that of its group.
        unsafe { libc::kill(if all { -id } else { id }, signal) };
    }
}

/// How long the work takes without a stop; `None`: too long.
fn duration(case: &Case) -> Result<Option<Duration>, String> {
    let mut running = Running::start(case, "work()");
    let start = running.is_ready()?;
    let heard = running.hears(LONGEST);
    running.signal(libc::SIGKILL, true);
    match heard {
        Ok((at, text)) if text.starts_with("done") || text.contains("not enough memory") || text.contains("overflow") => {
            Ok(Some(at - start))
        }
        Ok((_, text)) => Err(text),
        Err(_) => Ok(None),
    }
}

/// How late an interrupt is that comes so long after the beginning; `None`: the work was done before.
fn interrupted(case: &Case, after: Duration) -> Result<Option<Duration>, String> {
    let mut running = Running::start(case, "work()");
    running.is_ready()?;
    if let Ok((_, text)) = running.hears(after) {
        running.signal(libc::SIGKILL, true);
        return if text.starts_with("done") || text.contains("not enough memory") { Ok(None) } else { Err(text) };
    }
    let raised = Instant::now();
    running.signal(libc::SIGINT, false);
    let heard = running.hears(REACTION);
    running.signal(libc::SIGKILL, true);
    match heard {
        Ok((at, text)) if text.contains("interrupted!") => Ok(Some(at - raised)),
        // Its end and the signal have crossed.
        Ok((_, text)) if text.starts_with("done") || text.contains("not enough memory") => Ok(None),
        Ok((_, text)) => Err(text),
        Err(_) => Err("never".into()),
    }
}

/// How late the end of the time is.
fn out_of_time(case: &Case, after: Duration) -> Result<Option<Duration>, String> {
    let mut running = Running::start(case, &format!("limits.run({{time = {}}}, work)", after.as_secs_f64()));
    let start = running.is_ready()?;
    let heard = running.hears(after + REACTION);
    running.signal(libc::SIGKILL, true);
    match heard {
        Ok((at, text)) if text.starts_with("done time") => Ok(Some((at - start).saturating_sub(after))),
        Ok((_, text)) if text.starts_with("done") => Ok(None),
        Ok((_, text)) => Err(text),
        Err(_) => Err("never".into()),
    }
}

type Measure = fn(&Case, Duration) -> Result<Option<Duration>, String>;

/// Measures what a case takes to stop, and tells.
fn times_of(case: &Case) -> bool {
    let whole = match duration(case) {
        Ok(whole) => whole,
        Err(text) => return tell(case, "", false, text.trim()),
    };
    let shown = whole.map_or("endless".into(), |whole| format!("{:.0} ms", whole.as_secs_f64() * 1e3));
    if whole.is_some_and(|whole| whole < SHORTEST) {
        return tell(case, &shown, true, "short");
    }
    let span = whole.unwrap_or(LONGEST / 3);
    let measures: [(Measure, f64); 3] = [(interrupted, 0.2), (interrupted, 0.8), (out_of_time, 0.5)];
    let mut told = String::new();
    let mut fine = true;
    for (measure, part) in measures {
        let mut best = measure(case, span.mul_f64(part));
        for _ in 1..TRIES {
            match best {
                Ok(Some(late)) if late > LATE && late < 10 * LATE => {
                    // What is done before it can be interrupted proves nothing.
                    if let Ok(Some(again)) = measure(case, span.mul_f64(part)) {
                        best = Ok(Some(late.min(again)));
                    }
                }
                _ => break,
            }
        }
        match best {
            Ok(Some(late)) => {
                fine &= late <= LATE;
                told.push_str(&format!("{:8.1}", late.as_secs_f64() * 1e3));
            }
            Ok(None) => told.push_str("    done"),
            Err(text) => {
                fine = false;
                told.push_str(&format!("  [{}]", text.trim()));
            }
        }
    }
    tell(case, &shown, fine, &told)
}

/// Measures by how much the memory of a case exceeds what it may use, and tells.
fn memory_of(case: &Case) -> bool {
    let run = format!(
        "(function()
            local function status(field)
                for line in io.lines('/proc/self/status') do
                    local kib = line:match('^' .. field .. ':%s*(%d+)')
                    if kib then return kib * 1024 end
                end
            end
            collectgarbage()
            local reset = assert(io.open('/proc/self/clear_refs', 'w')) reset:write('5') reset:close()
            local before = status('VmRSS')
            local result, stop = limits.run({{memory = {MEMORY}, time = {}}}, work)
            return result, tostring(stop):sub(1, 10) .. ' ' .. math.tointeger(status('VmHWM') - before)
        end)()",
        LONGEST.as_secs()
    );
    let mut running = Running::start(case, &run);
    if let Err(text) = running.is_ready() {
        return tell(case, "", false, text.trim());
    }
    let heard = running.hears(PATIENCE);
    running.signal(libc::SIGKILL, true);
    match heard {
        Ok((_, text)) => {
            let grown = text.split_whitespace().last().and_then(|word| word.parse().ok()).unwrap_or(i64::MAX);
            let fine = text.starts_with("done") && grown <= (MEMORY + EXCESS) as i64;
            tell(case, &format!("{:.1} MB", grown as f64 / (1 << 20) as f64), fine, text.trim())
        }
        Err(error) => tell(case, "", false, &error.to_string()),
    }
}

fn tell(case: &Case, measured: &str, fine: bool, text: &str) -> bool {
    let short: String = text.chars().take(200).map(|c| if c == '\n' { ' ' } else { c }).collect();
    println!("{} {:<28} {measured:>10} {short}", if fine { "    " } else { "LATE" }, case.name);
    fine
}
