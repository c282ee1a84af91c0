//! What must not compile does not, and the compiler's message helps.
//!
//! The programs stand in `gc/tests/compile`, each beside what the compiler says of it; `TRYBUILD=overwrite cargo test -p neap-gc --test compile` writes that anew.

/// The compiler whose words they are. Others refuse the programs too, in other words.
const RELEASE: &str = "rustc 1.95.";

#[test]
fn what_would_be_unsound_does_not_compile() {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let version = std::process::Command::new(rustc).arg("--version").output().expect("the compiler that has built this test");
    let version = String::from_utf8_lossy(&version.stdout).into_owned();
    if version.starts_with(RELEASE) {
        trybuild::TestCases::new().compile_fail("tests/compile/fail_*.rs");
    } else {
        eprintln!("not compared: the messages are those of {RELEASE}x, and this is {version}");
    }
}
