//! A C compiler for the tests, if there is one, and the libraries of this package as `cargo test` has built them.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Once, OnceLock};

/// What compiles C, or C++.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Language {
    C,
    #[allow(dead_code, reason = "not every test needs it")]
    Cpp,
}

/// Where the header is.
pub fn include() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../include")
}

/// Sources of the tests.
#[allow(dead_code, reason = "not every test needs it")]
pub fn source(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/c").join(name)
}

/// The compiler, or a word about its absence: a machine without one has nothing to build against this package either.
pub fn compiler(language: Language) -> Option<Command> {
    let (variable, name) = match language {
        Language::C => ("CC", "cc"),
        Language::Cpp => ("CXX", "c++"),
    };
    let name = std::env::var(variable).unwrap_or_else(|_| name.into());
    if Command::new(&name).arg("--version").output().is_ok_and(|output| output.status.success()) {
        return Some(Command::new(name));
    }
    // Once, and past the capture of the test's output, which is not shown when a test passes.
    static TOLD: [Once; 2] = [Once::new(), Once::new()];
    TOLD[language as usize].call_once(|| {
        let word = format!("SKIPPED: `{name}` does not run here, so what takes a compiler is not tested (set {variable} to one)");
        let _ = writeln!(std::io::stderr(), "{word}");
    });
    None
}

/// A folder of this test's own.
pub fn folder() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(env!("CARGO_CRATE_NAME"));
    std::fs::create_dir_all(&folder).expect("a folder for what is built");
    folder
}

/// The static library, as cargo has just built it beside this test.
pub fn library() -> PathBuf {
    let test = std::env::current_exe().expect("the path of the test");
    let library = test.with_file_name("libneap_gc_capi.a");
    assert!(library.exists(), "cargo builds {} before this test", library.display());
    library
}

/// What a program of the static library needs beside it.
const SYSTEM: [&str; 4] = ["-lpthread", "-ldl", "-lm", "-lc"];

pub fn run(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{command:?}: {}\n{}\n{}", output.status, text(&output.stdout), text(&output.stderr));
    output
}

/// Whether programs for the address sanitizer can be built and run.
#[allow(dead_code, reason = "not every test needs it")]
pub fn has_sanitizer() -> bool {
    static HAS: OnceLock<bool> = OnceLock::new();
    *HAS.get_or_init(|| {
        let Some(mut cc) = compiler(Language::C) else { return false };
        let (from, to) = (folder().join("sanitized.c"), folder().join("sanitized"));
        std::fs::write(&from, "int main(void) { return 0; }\n").expect("a file");
        let built =
            cc.arg("-fsanitize=address").arg(&from).arg("-o").arg(&to).output().is_ok_and(|output| output.status.success());
        let runs = built && Command::new(&to).output().is_ok_and(|output| output.status.success());
        if !runs {
            let _ = writeln!(std::io::stderr(), "SKIPPED: no address sanitizer here");
        }
        runs
    })
}

/// Builds a program from C sources with the static library; none if there is no compiler.
pub fn build(name: &str, sources: &[PathBuf], options: &[&str]) -> Option<PathBuf> {
    let mut cc = compiler(Language::C)?;
    let program = folder().join(name);
    cc.args(["-std=c11", "-Wall", "-Wextra", "-Werror", "-pedantic", "-g", "-O1"]).args(options);
    cc.arg("-I").arg(include()).args(sources).arg(library()).args(SYSTEM).arg("-o").arg(&program);
    run(&mut cc);
    Some(program)
}
