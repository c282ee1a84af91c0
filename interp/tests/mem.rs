//! What the library `mem` tells at the end of a program.

mod common;

use std::time::Duration;

/// Runs a text under the name `script`; its exit code and what it wrote to the standard error.
fn run(text: &str) -> (Option<i32>, String) {
    let mut command = common::command();
    command.arg("-e").arg("assert(load(arg[1], '=script'))()").arg("-").arg(text);
    let outcome = common::run(command, b"", Duration::from_secs(60)).expect("a run");
    assert!(outcome.stdout.is_empty());
    (outcome.status.code(), String::from_utf8(outcome.stderr).expect("UTF-8"))
}

const LEAK: &str = "neap: warning: leak: block of 64 bytes allocated at script:2 was never freed\n";

#[test]
fn forgotten_blocks_are_reported() {
    // Still reachable at the end; garbage before; garbage that the end finds.
    assert_eq!(run("\nkept = mem.malloc(64)"), (Some(0), LEAK.into()));
    assert_eq!(run("\nmem.malloc(64)\ncollectgarbage()"), (Some(0), LEAK.into()));
    assert_eq!(run("\nmem.malloc(64)"), (Some(0), LEAK.into()));
}

#[test]
fn a_line_a_place() {
    let text = "for i = 1, 1000 do\n mem.malloc(2)\n if i == 7 then a = mem.calloc(1) end\nend b = mem.malloc(0)";
    let expected = "neap: warning: leak: 1000 blocks, 2000 bytes in all, allocated at script:2 were never freed\n\
        neap: warning: leak: block of 1 byte allocated at script:3 was never freed\n\
        neap: warning: leak: block of 0 bytes allocated at script:4 was never freed\n";
    assert_eq!(run(text), (Some(0), expected.into()));
}

#[test]
fn the_exit_code_stays() {
    for ending in ["os.exit(7)", "os.exit(7, true)"] {
        assert_eq!(run(&format!("\nlocal b = mem.malloc(64)\n{ending}")), (Some(7), LEAK.into()));
    }
}

#[test]
fn what_is_freed_is_not_reported() {
    assert_eq!(run("local b = mem.malloc(64) b:free()"), (Some(0), String::new()));
    assert_eq!(run("local b <close> = mem.malloc(64)"), (Some(0), String::new()));
    assert_eq!(run("local b <close> = mem.malloc(64) os.exit(0, true)"), (Some(0), String::new()));
    // The end of the program calls the finalizers; they may free what they own, in whatever order they were made.
    let owner = "__gc = function(o) o.block:free() end";
    assert_eq!(run(&format!("o = setmetatable({{ block = mem.malloc(8) }}, {{ {owner} }})")), (Some(0), String::new()));
    assert_eq!(run(&format!("o = setmetatable({{}}, {{ {owner} }}) o.block = mem.malloc(8)")), (Some(0), String::new()));
}

#[test]
fn errors_name_both_places() {
    let (code, text) = run("local b = mem.malloc(64)\nb:free()\n\nlocal x = b:read(0, 'B')");
    assert_eq!(code, Some(1));
    let expected = "script:4: use after free: block of 64 bytes allocated at script:1, freed at script:2\n";
    assert!(text.contains(expected), "{text}");
}
