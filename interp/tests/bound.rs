//! No stop of any pause scenario is more work than the bound, however large the program is: each of `benches/pauses` runs at two sizes, one a hundred
//! times the other. Counted are units of work, not time. (How long a stop takes is measured by `examples/compare --pauses`.)
//!
//! Each scenario is a test of its own: `cargo test --test bound -- weak_keys`.

mod common;

use std::path::Path;
use std::time::Duration;

use libtest_mimic::{Arguments, Failed, Trial};

/// Parts of the full size. At the larger one the storages of the tables have some hundred thousand slots, more than the bound has units.
const SCALES: [&str; 2] = ["0.002", "0.2"];
/// It waits for memory by the clock; its shapes, and what happens when they are dropped, are those of three others.
const LEFT_OUT: &str = "memory_back";
const LIMIT: Duration = Duration::from_secs(120);

fn main() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../benches/pauses");
    let mut trials = Vec::new();
    for entry in std::fs::read_dir(folder).expect("the folder of the scenarios") {
        let script = entry.expect("an entry of the folder").path();
        let name = script.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        if script.extension().is_some_and(|extension| extension == "lua") && name != LEFT_OUT {
            trials.push(Trial::test(name, move || SCALES.into_iter().try_for_each(|scale| run(&script, scale))));
        }
    }
    assert!(!trials.is_empty(), "no scenarios");
    trials.sort_by(|a, b| a.name().cmp(b.name()));
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}

fn run(script: &Path, scale: &str) -> Result<(), Failed> {
    let mut command = common::command();
    command.arg("--gc-stats").arg(script).arg(scale);
    let outcome = common::run(command, b"", LIMIT)?;
    let errors = String::from_utf8_lossy(&outcome.stderr);
    if !outcome.status.success() {
        return Err(format!("{}\n{errors}", outcome.status).into());
    }
    let most = most_units(&errors).ok_or_else(|| format!("no figure in\n{errors}"))?;
    println!("{} at {scale}: at most {most} units", script.display());
    if most > neap_gc::STOP_UNITS_MAX {
        return Err(format!("at {scale} a stop was {most} units of work, which is more than {}", neap_gc::STOP_UNITS_MAX).into());
    }
    Ok(())
}

/// The most units of work in a stop, from the statistics.
fn most_units(statistics: &str) -> Option<u64> {
    let line = statistics.lines().find_map(|line| line.strip_prefix("units of work in a stop: at most "))?;
    line.split(',').next()?.parse().ok()
}
