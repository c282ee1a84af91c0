//! How the command is linked where the toolchain's own linker does it (Linux with glibc): code that is seldom run goes to the
//! end of the text (`link/cold.ld`), and the unwinder is linked statically when the C compiler has it as an archive. Both
//! serve the resident memory at start-up (docs/DESIGN.md); everywhere else, and with any linker flags of the user's own, the
//! command is linked plainly.

use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=link/cold.ld");
    let variable = |name: &str| std::env::var(name).unwrap_or_default();
    let glibc = variable("CARGO_CFG_TARGET_OS") == "linux" && variable("CARGO_CFG_TARGET_ENV") == "gnu";
    let native = variable("HOST") == variable("TARGET");
    // A linker or flags chosen by hand may know neither linker scripts nor archives by name.
    let by_hand = variable("CARGO_ENCODED_RUSTFLAGS").contains("link") || !variable("RUSTC_LINKER").is_empty();
    if variable("PROFILE") != "release" || !glibc || !native || by_hand {
        return;
    }
    println!("cargo:rustc-link-arg-bins=-Wl,-T,{}/link/cold.ld", variable("CARGO_MANIFEST_DIR"));
    if archive_exists("libgcc_eh.a") {
        // Named before the shared `gcc_s` of the standard library, which is then not needed.
        println!("cargo:rustc-link-lib=dylib:+verbatim=libgcc_eh.a");
    }
}

/// Whether the C compiler finds the archive: it prints the bare name if not.
fn archive_exists(name: &str) -> bool {
    let answer = Command::new("cc").arg(format!("-print-file-name={name}")).output();
    answer.is_ok_and(|answer| Path::new(String::from_utf8_lossy(&answer.stdout).trim()).is_absolute())
}
