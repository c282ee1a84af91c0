//! Runs every script of `tests/lua`, as it is and again under a collector that ends an epoch at each safepoint and audits
//! the heap after every fourth. A script passes if it exits with success; its assertions are the test.
//!
//! The auditor looks at all of the stack each time: a script that fills it says so by the words [`SELDOM`] in its first lines.
//!
//! Each script is a test of its own: `cargo test --test scripts -- plain::strings`.

mod common;

use std::path::{Path, PathBuf};
use std::time::Duration;

use libtest_mimic::{Arguments, Failed, Trial};

/// The settings of `NEAP_GC` under which the scripts run, by name.
const SETTINGS: [(&str, Option<&str>); 2] = [("plain", None), ("stress", Some("stress,audit=4"))];
const SELDOM: &str = "(audited seldom)";
const LIMIT: Duration = Duration::from_secs(120);

fn main() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/lua");
    let mut scripts = Vec::new();
    collect(&root, &mut scripts);
    scripts.sort();
    assert!(!scripts.is_empty(), "no scripts in {}", root.display());
    let mut trials = Vec::new();
    for (setting, value) in SETTINGS {
        for script in &scripts {
            let name = script.strip_prefix(&root).unwrap_or(script).with_extension("");
            let name = name.to_string_lossy().replace('/', "::");
            let script = script.clone();
            trials.push(Trial::test(format!("{setting}::{name}"), move || run(&script, value)));
        }
    }
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}

fn collect(folder: &Path, scripts: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("the folder of the scripts") {
        let path = entry.expect("an entry of the folder").path();
        if path.is_dir() {
            collect(&path, scripts);
        } else if path.extension().is_some_and(|e| e == "lua") {
            scripts.push(path);
        }
    }
}

fn run(script: &Path, setting: Option<&str>) -> Result<(), Failed> {
    let mut command = common::command();
    command.arg(script);
    if let Some(setting) = setting {
        let source = std::fs::read(script)?;
        let head = String::from_utf8_lossy(&source[..source.len().min(400)]).into_owned();
        command.env("NEAP_GC", if head.contains(SELDOM) { "stress,audit=10000" } else { setting });
    }
    let outcome = common::run(command, b"", LIMIT)?;
    if outcome.status.success() {
        return Ok(());
    }
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Err(format!("{}\n{}{}", outcome.status, text(&outcome.stdout), text(&outcome.stderr)).into())
}
