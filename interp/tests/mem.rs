//! What the library `mem` tells at the end of a program.

mod common;

use std::time::Duration;

/// Runs a text under the name `script`; its exit code and what it wrote to the standard error.
fn run(text: &str) -> (Option<i32>, String) {
    run_with(&[], text)
}

fn run_with(options: &[&str], text: &str) -> (Option<i32>, String) {
    let mut command = common::command();
    command.args(options).arg("-e").arg("assert(load(arg[1], '=script'))()").arg("-").arg(text);
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

#[test]
fn leaks_can_be_errors() {
    let leaky = "\nkept = mem.malloc(64)";
    assert_eq!(run_with(&["--leaks=error"], leaky), (Some(1), LEAK.into()));
    assert_eq!(run_with(&["--leaks", "error"], &format!("{leaky} os.exit(0)")), (Some(1), LEAK.into()));
    assert_eq!(run_with(&["--leaks", "error"], &format!("{leaky} os.exit(7)")), (Some(7), LEAK.into()));
    assert_eq!(run_with(&["--leaks=warning"], leaky), (Some(0), LEAK.into()));
    assert_eq!(run_with(&["--leaks=error"], "mem.malloc(64):free()"), (Some(0), String::new()));
    // Pointers keep a block from being reclaimed, not from being reported.
    let (code, text) = run_with(&["--leaks=error"], "\nlocal p = mem.address(mem.malloc(64)) p = nil collectgarbage()");
    assert_eq!((code, text), (Some(1), LEAK.into()));
}

#[test]
fn an_error_is_not_buried() {
    let text = "for i = 1, 100 do load('mem.malloc(' .. i .. ')', '=c' .. i)() end\nerror('the cause')";
    let (code, text) = run(text);
    assert_eq!(code, Some(1));
    let leaks: Vec<&str> = text.lines().filter(|line| line.contains("leak")).collect();
    assert_eq!(leaks, ["neap: warning: leak: 100 blocks of 100 places, 5050 bytes in all, were never freed"], "{text}");
    assert!(text.contains("script:2: the cause"));
}

#[test]
fn errors_in_finalizers_are_told_at_the_end() {
    let text = "local b = mem.malloc(8)\nb:free()\nsetmetatable({}, {__gc = function()\n b:free() end})\ncollectgarbage()";
    let expected =
        "neap: warning: script:4: double free: block of 8 bytes allocated at script:1, freed at script:2 (in a finalizer)\n";
    assert_eq!(run(text), (Some(0), expected.into()));
    assert_eq!(run_with(&["--leaks=error"], text), (Some(1), expected.into()));
}

/// What was synced is in the file, however the process ends.
#[test]
fn a_mapping_survives_its_process() {
    let path = std::env::temp_dir().join(format!("neap-survives-{}", std::process::id()));
    let text = format!(
        "local m = assert(mem.map{{file = '{}', mode = 'rw', size = 1 << 20}})
        for i = 0, (1 << 20) - 8, 8 do m:write(i, '<i8', i * 7) end
        assert(m:sync())
        local f = io.open('/proc/self/stat') local pid = f:read('n')
        os.execute('kill -9 ' .. pid)",
        path.display()
    );
    let (code, _) = run(&text);
    let content = std::fs::read(&path).expect("the file");
    std::fs::remove_file(&path).expect("the file");
    assert_eq!(code, None, "killed");
    assert_eq!(content.len(), 1 << 20);
    for (n, word) in content.as_chunks::<8>().0.iter().enumerate() {
        assert_eq!(i64::from_le_bytes(*word), n as i64 * 8 * 7);
    }
}

/// Mappings and the break region count against the limit of the heap.
#[test]
fn the_systems_memory_is_limited() {
    let refused = |program: &str| {
        let text = format!("local ok, e = pcall(function() {program} end) assert(not ok and e == 'not enough memory', e)");
        assert_eq!(run_with(&["--heap-limit", "32M"], &text), (Some(0), String::new()), "{program}");
    };
    refused("mem.map{anonymous = true, size = 64 << 20}");
    refused("mem.sbrk(64 << 20)");
    refused("local all = {} for i = 1, 100 do all[i] = mem.map{anonymous = true, size = 1 << 20} end");
    refused("for i = 1, 100 do mem.sbrk(1 << 20) end");
    // What is garbage makes room.
    let text = "for i = 1, 100 do assert(mem.map{anonymous = true, size = 10 << 20}):fill(1) end";
    assert_eq!(run_with(&["--heap-limit", "32M"], text), (Some(0), String::new()));
}
