//! What the tests of other people's programs share: stand-ins that are shell scripts, and rows.
#![allow(dead_code, reason = "not every test needs all of it")]

use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

pub(crate) mod browser;

/// Makes `path` a program that is this shell script.
pub(crate) fn script(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    by_another(
        r##"printf '#!/bin/sh\n%s\n' "$1" > "$0" && chmod +x "$0""##,
        path,
        text,
    );
}

/// Makes `path` the same program as `program`.
pub(crate) fn copy(program: &Path, path: &Path) {
    by_another(r#"cp "$1" "$0""#, path, program);
}

/// Has a shell do this with `$0` and `$1`. A file that this process itself had open for writing may
/// be open in a child of another test's, which is yet to become another program: until then it
/// cannot be run ("text file busy").
fn by_another(command: &str, path: &Path, argument: impl AsRef<OsStr>) {
    let mut shell = Command::new("sh");
    shell.args(["-c", command]).arg(path).arg(argument);
    assert!(shell.status().unwrap().success());
}

/// The rows of what `--format json` prints.
pub(crate) fn rows(text: &[u8]) -> Vec<Value> {
    let lines = std::str::from_utf8(text).unwrap().lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect()
}
