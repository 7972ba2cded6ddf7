//! Records the compiler and the revision in the program, for the results it writes.

use std::env;
use std::process::Command;

fn main() {
    let rustc = env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    let version =
        output(&rustc, &["--version"]).unwrap_or_else(|| "rustc, version unknown".to_owned());
    println!("cargo::rustc-env=HARNESS_RUSTC={version}");
    if let Some(revision) = output("git", &["describe", "--always", "--dirty", "--abbrev=12"]) {
        println!("cargo::rustc-env=HARNESS_REVISION={revision}");
    }
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
    // Whatever may change the revision or its `-dirty`.
    for path in [
        "build.rs",
        "src",
        "arena",
        "peers",
        "../gc-rc/src",
        "../gc-marksweep/src",
    ] {
        println!("cargo::rerun-if-changed={path}");
    }
    for name in ["HEAD", "logs/HEAD"] {
        if let Some(path) = output("git", &["rev-parse", "--git-path", name]) {
            println!("cargo::rerun-if-changed={path}");
        }
    }
}

fn output(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (output.status.success() && !text.is_empty()).then_some(text)
}
