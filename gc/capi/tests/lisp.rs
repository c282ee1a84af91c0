//! The Lisp of `examples/c`: its programs give what stands beside them, plain, under stress with the auditor, and under the address sanitizer; and its prompt.

mod support;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use support::{build, has_sanitizer};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/c")
}

/// The files of a folder with that ending, in order.
fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let all = std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    let mut files: Vec<PathBuf> = all.filter(|path| path.extension().is_some_and(|e| e == ending)).collect();
    files.sort();
    files
}

fn lisp(name: &str, options: &[&str]) -> Option<PathBuf> {
    let options: Vec<&str> = ["-D_POSIX_C_SOURCE=200809L"].into_iter().chain(options.iter().copied()).collect();
    build(name, &files(&folder(), "c"), &options)
}

fn run_all(lisp: &Path, options: &[&str]) {
    let programs = files(&folder().join("programs"), "lisp");
    assert!(programs.len() >= 8, "{programs:?}");
    for program in programs {
        let output = Command::new(lisp).args(options).arg(&program).output().expect("it runs");
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && told.is_empty(), "{} {options:?}: {}\n{told}", program.display(), output.status);
        let expected = std::fs::read_to_string(program.with_extension("out")).expect("what it should give");
        assert_eq!(String::from_utf8_lossy(&output.stdout), expected, "{} {options:?}", program.display());
    }
}

#[test]
fn programs_give_what_they_should() {
    let Some(lisp) = lisp("lisp", &[]) else { return };
    run_all(&lisp, &[]);
}

#[test]
fn programs_give_the_same_under_stress_and_audit() {
    let Some(lisp) = lisp("lisp-stressed", &[]) else { return };
    run_all(&lisp, &["--stress", "11", "--audit", "7", "--every", "2003"]);
}

#[test]
fn programs_keep_to_their_memory() {
    if !has_sanitizer() {
        return;
    }
    let Some(lisp) = lisp("lisp-sanitized", &["-fsanitize=address", "-fno-omit-frame-pointer"]) else { return };
    run_all(&lisp, &["--stress", "3", "--every", "2003"]);
}

fn prompt(lisp: &Path, options: &[&str], text: &str) -> Output {
    let mut command = Command::new(lisp);
    let piped = command.args(options).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = piped.spawn().expect("it runs");
    child.stdin.take().expect("a pipe").write_all(text.as_bytes()).expect("it reads");
    child.wait_with_output().expect("it ends")
}

/// Forms over several lines, several in a line, errors that end nothing.
#[test]
fn the_prompt_goes_on_after_an_error() {
    let Some(lisp) = lisp("lisp-prompt", &[]) else { return };
    let text = "(define (square n)\n  (* n n))\n(square 12) 'done\n(car 5)\n(square (square 3))\n(nobody)\n(+ 1 (call/cc (lambda (k) (* 2 (k 4)))))\n\
                square (lambda (x) x) car\n(if)\n)\n\"text\"\n(* 4611686018427387903 2)\n(square 1 2)\n'(1 . (2 3))\n";
    let output = prompt(&lisp, &["--stress", "2"], text);
    assert!(output.status.success());
    let expected = "144\ndone\n81\n5\n#<procedure square>\n#<procedure>\n#<primitive car>\n\"text\"\n(1 2 3)\n";
    assert_eq!(String::from_utf8_lossy(&output.stdout), expected);
    let told = String::from_utf8_lossy(&output.stderr);
    let errors: Vec<&str> = told.lines().collect();
    assert_eq!(errors.len(), 6, "{told}");
    for (error, word) in errors.iter().zip([
        "no pair: 5",
        "undefined variable: nobody",
        "undefined variable: if",
        "parenthesis",
        "too large",
        "number",
    ]) {
        assert!(error.starts_with("error: ") && error.contains(word), "{error}");
    }
}

/// The limit of the heap is an error of the program, which goes on.
#[test]
fn memory_that_is_refused_is_an_error() {
    let Some(lisp) = lisp("lisp-limited", &[]) else { return };
    let text = "(define l '())\n(define (grow) (set! l (cons l l)) (grow))\n(grow)\n(set! l '())\n(make-vector 100000000 0)\n(+ 1 2)\n(length (iota 100000))\n";
    let output = prompt(&lisp, &["--limit", "16777216", "--every", "10"], text);
    assert!(output.status.success());
    assert_eq!(String::from_utf8_lossy(&output.stdout), "3\n100000\n");
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(told.matches("error: out of memory").count(), 2, "{told}");
}
