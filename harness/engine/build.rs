//! Records the compiler and how it was called, for the results that the program writes.

use std::env;
use std::process::Command;

fn main() {
    let rustc = env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    let version = Command::new(rustc).arg("--version").output().ok();
    let version = version.and_then(|output| String::from_utf8(output.stdout).ok());
    println!(
        "cargo::rustc-env=HARNESS_RUSTC={}",
        version
            .as_deref()
            .map_or("rustc, version unknown", str::trim)
    );
    // Separated by 0x1f, which no flag contains.
    let flags = env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    println!(
        "cargo::rustc-env=HARNESS_RUSTC_FLAGS={}",
        flags.replace('\x1f', " ")
    );
    let setting = |name: &str| env::var(name).unwrap_or_default();
    println!(
        "cargo::rustc-env=HARNESS_PROFILE={}, opt-level {}",
        setting("PROFILE"),
        setting("OPT_LEVEL")
    );
    println!("cargo::rerun-if-changed=build.rs");
}
