//! Programs on the allocator: one in C that is linked with it, and those of the machine, which must put out the same with it as without.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The library, as cargo has just built it beside this test.
fn library() -> PathBuf {
    let test = std::env::current_exe().expect("the path of the test");
    let library = test.with_file_name("libneap_malloc.so");
    assert!(library.exists(), "cargo builds {} before this test", library.display());
    library
}

fn folder() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).to_path_buf();
    std::fs::create_dir_all(&folder).expect("a folder");
    folder
}

fn run(command: &mut Command) -> Option<Output> {
    // What is not on this machine is not asked for.
    let output = command.output().ok()?;
    assert!(output.status.success(), "{command:?}: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr));
    Some(output)
}

fn compiler() -> Command {
    Command::new(std::env::var_os("CC").unwrap_or("cc".into()))
}

/// Only where the compiler works: it links the tests themselves.
#[test]
fn the_family_does_what_its_manual_says() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/c/family.c");
    let program = folder().join("family");
    run(compiler().args(["-O1", "-fno-builtin", "-pthread"]).arg(&source).arg(library()).arg("-o").arg(&program))
        .expect("a compiler");
    let folder = library().parent().expect("a folder").to_path_buf();
    let linked = run(Command::new(&program).env("LD_LIBRARY_PATH", folder)).expect("the program");
    assert_eq!(linked.stdout, b"all is well\n");
}

#[test]
fn programs_put_out_the_same() {
    let python = "import json, threading
results = []
def work(n):
    d = {str(i): [i] * (i % 50) for i in range(5000)}
    results.append(len(json.dumps(d)) + n)
threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
[t.start() for t in threads]
[t.join() for t in threads]
print(sorted(results), sum(len(str(i)) for i in range(50000)))";
    let perl = "my %h; push @{$h{$_ % 997}}, 'x' x ($_ % 100) for 1..50000; my $n = 0; $n += length join '', @$_ for values %h; print \"$n\\n\"";
    let sql = "create table t(a, b); with recursive c(x) as (select 1 union all select x + 1 from c where x < 20000)
        insert into t select x, printf('%d-%d', x % 1000, x * 7919 % 1009) from c;
        create index i on t(b); select count(distinct b), sum(a), max(b) from t;";
    let c = folder().join("hello.c");
    std::fs::write(&c, "#include <stdio.h>\n#include <stdlib.h>\nint main(void) { puts(\"hello\"); return 0; }\n")
        .expect("a file");
    let c = c.display().to_string();
    let text =
        "seq 1 60000 | awk '{print ($1 * 7919) % 60013, $1}' | sort -n --parallel=2 -S 1M | awk '{s += NR * $2} END {print s}'";
    let programs: [(&str, &[&str]); 6] = [
        ("python3", &["-c", python]),
        ("perl", &["-e", perl]),
        ("sqlite3", &[":memory:", sql]),
        ("cc", &["-O2", "-S", "-o", "-", &c]),
        ("git", &["--version"]),
        ("sh", &["-c", text]),
    ];
    let mut ran = 0;
    for (program, arguments) in programs {
        let Some(plain) = run(Command::new(program).args(arguments)) else { continue };
        let with = run(Command::new(program).args(arguments).env("LD_PRELOAD", library())).expect("the same program");
        assert!(!plain.stdout.is_empty() && with.stdout == plain.stdout && with.stderr == plain.stderr, "{program}");
        ran += 1;
    }
    assert!(ran >= 3, "{ran} programs are on this machine");
}
