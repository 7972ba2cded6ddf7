//! What several of these programs share: the command where it runs, its children, its rows; and
//! stand-ins for other people's programs, which are shell scripts.
#![allow(dead_code, reason = "not every test needs all of it")]

use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Output};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

pub(crate) mod browser;

/// The command, as if typed in this directory.
pub(crate) fn harness_in(directory: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_harness"));
    command.current_dir(directory);
    command
}

/// What becomes of a line that is typed there.
pub(crate) fn shell_in(directory: &Path, line: &str) -> Output {
    let mut shell = Command::new("sh");
    shell.args(["-c", line]).current_dir(directory);
    shell.output().unwrap()
}

/// Sends a process a signal, as `-INT`.
pub(crate) fn send(signal: &str, process: &str) {
    let status = Command::new("kill").args([signal, process]).status();
    assert!(status.unwrap().success());
}

/// The child of this process that has `mark` in its command line, as soon as there is one. There
/// are others: what reads the environment starts short-lived processes, too.
#[cfg(target_os = "linux")]
pub(crate) fn child_of(parent: &mut Child, mark: &str) -> String {
    let children = format!("/proc/{0}/task/{0}/children", parent.id());
    loop {
        let ended = parent.try_wait().unwrap();
        assert!(ended.is_none(), "it ended and never had a child {mark:?}");
        let children = fs::read_to_string(&children).unwrap_or_default();
        match children.split_whitespace().find(|pid| is_there(pid, mark)) {
            Some(pid) => return pid.to_owned(),
            None => thread::sleep(Duration::from_millis(5)),
        }
    }
}

/// Kills a process, and waits until the child that [`child_of`] found has ended, too.
#[cfg(target_os = "linux")]
#[track_caller]
pub(crate) fn expect_to_end_together(parent: &mut Child, child: &str, mark: &str) {
    parent.kill().unwrap();
    parent.wait().unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    while is_there(child, mark) {
        assert!(Instant::now() < deadline, "process {child} goes on");
        thread::sleep(Duration::from_millis(5));
    }
}

#[cfg(target_os = "linux")]
fn is_there(process: &str, mark: &str) -> bool {
    fs::read_to_string(format!("/proc/{process}/cmdline")).is_ok_and(|line| line.contains(mark))
}

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

/// Without line breaks, and with one space wherever there is any.
pub(crate) fn unwrapped(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
