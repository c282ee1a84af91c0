//! C programs on the C face: every function and its misuse, plain, under stress with the auditor, and under the address sanitizer.

mod support;

use std::process::Command;
use support::{Language, build, compiler, folder, has_sanitizer, include, library, run, source};

#[test]
fn every_function_does_what_the_header_says() {
    let Some(program) = build("face", &[source("face.c")], &[]) else { return };
    // Stress, audit, poison, ticker.
    for arguments in
        [["0", "0", "0", "0"], ["0", "0", "0", "1"], ["1", "0", "1", "0"], ["7", "1", "1", "0"], ["2", "3", "0", "1"]]
    {
        let output = run(Command::new(&program).args(arguments));
        assert_eq!(output.stdout, b"all is well\n", "{arguments:?}");
    }
}

#[test]
fn the_host_s_memory_is_sound() {
    if !has_sanitizer() {
        return;
    }
    let options = ["-fsanitize=address", "-fno-omit-frame-pointer"];
    let Some(program) = build("face-sanitized", &[source("face.c")], &options) else { return };
    for arguments in [["0", "0"], ["7", "5"]] {
        run(Command::new(&program).args(arguments));
    }
}

/// The same program linked with the shared library.
#[test]
fn the_shared_library_has_all_functions() {
    let Some(mut cc) = compiler(Language::C) else { return };
    let shared = library().with_extension("so");
    let program = folder().join("face-shared");
    cc.args(["-std=c11", "-O1", "-I"]).arg(include()).arg(source("face.c")).arg(&shared).arg("-o").arg(&program);
    run(&mut cc);
    let place = shared.parent().expect("a folder");
    // It asks for the library under the name that an installed one has.
    let name = folder().join(format!("libneap_gc.so.{}", neap_gc_capi::abi::ABI_VERSION));
    std::fs::copy(&shared, name).expect("a copy of the library");
    let mut command = Command::new(&program);
    command.env("LD_LIBRARY_PATH", std::env::join_paths([place, &folder()]).expect("paths"));
    assert_eq!(run(&mut command).stdout, b"all is well\n");
}

/// A contradiction that the auditor finds after an epoch end ends the process, and names the type.
#[test]
fn a_forgotten_barrier_is_found() {
    let Some(program) = build("forgotten", &[source("forgotten.c")], &[]) else { return };
    let output = Command::new(program).output().expect("it runs");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "it went on");
    assert!(told.contains("a cell of ours at 0x") && told.contains("the audit after epoch end"), "{told}");
}

/// The program of the guide builds without a warning, and runs.
#[test]
fn the_program_of_the_guide_runs() {
    let guide = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/embedding.md")).expect("the guide");
    let (_, program) = guide.split_once("```c\n#include").expect("a program");
    let (program, _) = program.split_once("\n```").expect("its end");
    let from = folder().join("guide.c");
    std::fs::write(&from, format!("#include{program}\n")).expect("a file");
    if let Some(program) = build("guide", &[from], &[]) {
        run(&mut Command::new(program));
    }
}
