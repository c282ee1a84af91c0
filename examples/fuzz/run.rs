//! Runs batches of programs under an interpreter: one process a batch, what each program says told apart.
//! Imports `tree`.

use super::tree::{Node, literal};
use std::fs::File;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

pub type Error = Box<dyn std::error::Error>;

/// What ends a process that has used up its time, and one that goes on in spite of it.
const SIGXCPU: i32 = 24;
const SIGKILL: i32 = 9;

const DRIVER: &str = include_str!("driver.lua");

/// An interpreter under test.
pub struct Interpreter {
    pub program: PathBuf,
    pub arguments: Vec<String>,
    /// Whether messages keep their lines.
    pub lines: bool,
}

/// How a process ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum End {
    Well,
    /// It died, and what it said of it.
    Crash(String),
    Hang,
}

/// What a batch did.
pub struct Outcome {
    pub end: End,
    /// By program; `None` is for those that did not come to their end.
    pub said: Vec<Option<Vec<u8>>>,
}

/// The text of a script that runs these programs.
pub fn script(programs: &[Node], lines: bool) -> String {
    let mut text = format!("local run = (function(...)\n{DRIVER}\nend)({lines})\n");
    for (i, program) in programs.iter().enumerate() {
        text.push_str(&format!("run({i}, {})\n", literal(program.text().as_bytes())));
    }
    text
}

impl Interpreter {
    /// Runs `programs` from a script in `folder`.
    pub fn run(&self, programs: &[Node], folder: &Path, limit: Duration) -> Result<Outcome, Error> {
        let source = folder.join("batch.lua");
        let (output, errors) = (folder.join("output"), folder.join("errors"));
        std::fs::write(&source, script(programs, self.lines))?;
        // The limit is one of processor time: other processes may take all of the machine for a while.
        let mut child = Command::new("sh")
            .args(["-c", &format!("ulimit -c 0; ulimit -t {}; exec \"$0\" \"$@\"", limit.as_secs().max(1))])
            .arg(&self.program)
            .args(&self.arguments)
            .arg(&source)
            .stdin(Stdio::null())
            .stdout(File::create(&output)?)
            .stderr(File::create(&errors)?)
            .spawn()?;
        let status = child.wait()?;
        let end = match status.signal() {
            _ if status.success() => End::Well,
            Some(SIGXCPU | SIGKILL) => End::Hang,
            _ => End::Crash(format!("{status}\n{}", String::from_utf8_lossy(&std::fs::read(&errors)?))),
        };
        Ok(Outcome { end, said: told_apart(&std::fs::read(&output)?, programs.len()) })
    }
}

/// What each of `count` programs said: the driver writes a zero byte, the index and a line end before it.
fn told_apart(output: &[u8], count: usize) -> Vec<Option<Vec<u8>>> {
    let mut said = vec![None; count];
    for part in output.split(|&byte| byte == 0).skip(1) {
        let Some(end) = part.iter().position(|&byte| byte == b'\n') else { continue };
        let index = std::str::from_utf8(&part[..end]).ok().and_then(|digits| digits.parse::<usize>().ok());
        if let Some(place) = index.and_then(|index| said.get_mut(index)) {
            *place = Some(part[end + 1..].to_vec());
        }
    }
    said
}

/// The interpreter of this project, built in the profile in which this example was.
pub fn build_neap() -> Result<PathBuf, Error> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.current_dir(env!("CARGO_MANIFEST_DIR")).args(["build", "--quiet", "-p", "neap", "--bin", "neap"]);
    if !cfg!(debug_assertions) {
        command.arg("--release");
    }
    if !command.status()?.success() {
        return Err("neap could not be built".into());
    }
    // This program stands in `examples`, beside which the commands are.
    let own = std::env::current_exe()?;
    let folder = own.parent().and_then(Path::parent).ok_or("this program has no place")?;
    Ok(folder.join("neap"))
}

/// Where a command is, if it is installed.
pub fn installed(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}
