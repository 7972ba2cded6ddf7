//! One child process: started, read, bounded in time, and never left behind ([`crate::process`]).
//!
//! What it printed counts as far as it is whole, however it ended: a row that has been read is kept
//! when the process is killed for the next one. Lines that are no rows are a workload's or a
//! runtime's own words, in whatever encoding.
//!
//! A process that has written every row and then does not end has been measured. It is killed when
//! its time is up, and that is said; a failure is what kept rows from being written.

use std::fs;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::interrupt;
use crate::invocation::{Invocation, Row, Status};
use crate::peer;
use crate::plan::Cell;
use crate::process::{self, Cut, Excerpt, Lines, Running, Stream};
use crate::threads::{self, AGAIN};

/// As good as no limit, and still a time that can be added to a clock's.
const LONGEST: Duration = Duration::from_secs(10 * 365 * 24 * 3600);
/// How much of a line that is no row is kept as a reason, in characters.
const REASON: usize = 500;
/// How many of the first messages are passed on to the user, and of the last.
const NOTED: usize = 20;
/// How many such lines are kept beside the last.
const UNREAD: usize = 20;
/// How the system's own killer ends a process when there is no more memory.
const SIGKILL: i32 = 9;

/// Runs one child to its end, or to the end of its time. At least one row; or `None` if the user
/// interrupted it.
pub fn invoke(
    cell: &Cell,
    invocation: &Invocation,
    timeout: Duration,
    note: &dyn Fn(&str),
) -> Option<Vec<Row>> {
    if interrupt::signal().is_some() {
        return None;
    }
    let deadline = Instant::now() + timeout.min(LONGEST);
    let killed_before = killed_for_memory();
    let (started, reader) = match cell.peer() {
        None => {
            let started = command(invocation)
                .map_err(|error| threads::refused("this program again", &error))
                .and_then(|mut command| start(&mut command));
            (started, Reader::Heap)
        }
        Some(peer) => {
            let mut session = peer.session(invocation, cell.workload.operation);
            (start(&mut session.command), Reader::Peer(session.reader))
        }
    };
    let mut child = match started {
        Ok(child) => child,
        Err(message) => {
            let row = Row::without_metrics(invocation, 0, Status::Crashed, message);
            return Some(vec![row]);
        }
    };

    let mut printed = Printed {
        reader,
        rows: Vec::new(),
        most: invocation.iterations as usize + 1,
        unread: Vec::new(),
    };
    let (mut lines, mut messages) = (Lines::default(), Excerpt::default());
    let outcome = child.watch(deadline, &mut |stream, bytes| match stream {
        Stream::Out => lines.push(bytes, &mut |line| printed.line(line)),
        Stream::Err => messages.push(bytes),
    });
    lines.finish(&mut |line| printed.line(line));
    drop(child);
    let messages = messages.into_text();
    let (work, heap) = (&invocation.workload, &invocation.heap);
    if let Err(Cut::Interrupted) = outcome {
        return None;
    }
    let lines: Vec<&str> = messages.lines().collect();
    let left_out = lines.len().saturating_sub(2 * NOTED);
    for (number, line) in lines.iter().enumerate() {
        if number == NOTED && left_out > 0 {
            note(&format!(
                "{work} on {heap}: ... {left_out} lines are left out ..."
            ));
        }
        if number < NOTED || number >= NOTED + left_out {
            note(&format!("{work} on {heap}: {line}"));
        }
    }
    let complete = printed.is_complete();
    let Printed {
        reader,
        mut rows,
        unread,
        ..
    } = printed;
    let is_full = rows
        .last()
        .is_some_and(|row| row.status == Status::HeapFull);
    let limit = || humantime::format_duration(timeout);
    let failure = match outcome {
        Err(_) if complete => {
            note(&format!(
                "{work} on {heap}: had written every row and did not end; killed after {}",
                limit()
            ));
            None
        }
        Err(_) => Some((Status::Timeout, format!("killed after {}", limit()))),
        Ok(status) if !complete || !(status.success() || is_full) => {
            let reason = match reader {
                Reader::Heap => reason(&messages).map(str::to_owned),
                Reader::Peer(_) => reason_of_peer(&messages, &unread),
            };
            let reason = reason.map_or(String::new(), |line| format!(": {line}"));
            let memory = if status.signal() == Some(SIGKILL) && killed_for_memory() > killed_before
            {
                "; the system had no more memory (for its control group) and killed a process \
                 meanwhile"
            } else {
                ""
            };
            let message = format!("{}{memory}{reason}", describe(status));
            Some((Status::Crashed, message))
        }
        Ok(_) => None,
    };
    if let Some((status, message)) = failure {
        let iteration = rows.len() as u32;
        rows.push(Row::without_metrics(invocation, iteration, status, message));
    }
    Some(rows)
}

/// What a child has printed so far.
struct Printed {
    reader: Reader,
    rows: Vec<Row>,
    /// How many rows it was asked for.
    most: usize,
    /// Lines that are no rows: the first few and the last.
    unread: Vec<String>,
}

impl Printed {
    fn line(&mut self, line: &[u8]) {
        if self.is_complete() {
            // Who goes on has been measured already.
            return;
        }
        let line = String::from_utf8_lossy(line);
        match self.reader.row(&line) {
            Some(row) if row.status != Status::Ok || row.iteration as usize == self.rows.len() => {
                self.rows.push(row);
            }
            // Neither a second row of an iteration nor one of another is what was asked for.
            Some(_) => self.unread("a row of another iteration than the next"),
            // Half a row says nothing.
            None if line.starts_with('{') || line.trim().is_empty() => {}
            None => self.unread(&line),
        }
    }

    fn unread(&mut self, line: &str) {
        self.unread.truncate(UNREAD);
        self.unread.push(line.chars().take(REASON).collect());
    }

    /// Whether no row can follow.
    fn is_complete(&self) -> bool {
        self.rows.len() >= self.most || self.rows.last().is_some_and(|row| row.status != Status::Ok)
    }
}

/// Starts a child, or says why it cannot be.
fn start(command: &mut Command) -> Result<Running, String> {
    Running::start(command).map_err(|error| {
        let program = Path::new(command.get_program());
        let place = if error.kind() == io::ErrorKind::PermissionDenied && program.is_absolute() {
            "; if it lies where no program may be run (noexec), name another directory in TMPDIR"
        } else {
            ""
        };
        let what = match error.raw_os_error() {
            Some(AGAIN) => "a process".to_owned(),
            _ => program.display().to_string(),
        };
        format!("{}{place}", threads::refused(&what, &error))
    })
}

/// How many processes the system has killed so far because there was no memory, where it says.
fn killed_for_memory() -> u64 {
    let statistics = fs::read_to_string("/proc/vmstat").unwrap_or_default();
    let count = statistics
        .lines()
        .find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok());
    count.unwrap_or(0)
}

/// What runtimes say when the system has refused them something, and what that is.
const REFUSALS: [(&str, &str); 10] = [
    ("cannot start a thread", "cannot start a thread"),
    ("unable to create native thread", "cannot start a thread"),
    (
        "unable to create new native thread",
        "cannot start a thread",
    ),
    ("Cannot create GC thread", "cannot start a thread"),
    ("Cannot create worker GC thread", "cannot start a thread"),
    ("can't start new thread", "cannot start a thread"),
    (
        "Could not reserve enough space",
        "the system has no memory for it",
    ),
    (
        "insufficient memory for the Java Runtime",
        "the system has no memory for it",
    ),
    ("Cannot allocate memory", "the system has no memory for it"),
    (
        "No space left on device",
        "no room in the directory for temporary files (TMPDIR)",
    ),
];

/// Why a runtime has ended. A line that tells of a refusal is the reason, wherever it stands, and
/// is said in the words that rows of all heaps have. Otherwise it is their first message, before a
/// trace of the stack or a farewell, or the last, where a trace comes first; some say on standard
/// output, at last, why they end.
fn reason_of_peer(messages: &str, unread: &[String]) -> Option<String> {
    let said = || messages.lines().chain(unread.iter().map(String::as_str));
    for (pattern, words) in REFUSALS {
        if let Some(line) = said().find(|line| line.contains(pattern)) {
            return Some(if line.starts_with(words) {
                line.to_owned()
            } else {
                format!("{words}: {}", line.trim_start_matches(['#', ' ']))
            });
        }
    }
    let first = match messages.lines().next() {
        Some(line) if line.starts_with("Traceback ") => messages.lines().last(),
        first => first,
    };
    first
        .or(unread.last().map(String::as_str))
        .map(str::to_owned)
}

/// How a process ended, in words.
fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (_, Some(signal)) => format!("signal {signal}"),
        (Some(0), None) => "ended before it had written every row".to_owned(),
        (code, None) => format!("exit status {}", code.unwrap_or(-1)),
    }
}

/// The line that says most about why a process ended: the message of the first panic, that there
/// was no memory for something that must be had, or else the last line.
fn reason(messages: &str) -> Option<&str> {
    let mut lines = messages.lines();
    let mut refused = messages.lines();
    lines
        .find(|line| line.contains(" panicked at "))
        .and_then(|_| lines.next())
        .or_else(|| refused.find(|line| line.starts_with("memory allocation of ")))
        .or_else(|| messages.lines().last())
}

/// This program again, to carry an invocation out and to write its rows to the pipe of its standard
/// output; it ends when the one of its standard input does.
pub fn command(invocation: &Invocation) -> io::Result<Command> {
    let mut command = process::this_program()?;
    command
        .arg("child")
        .arg(serde_json::to_string(invocation)?)
        .arg("--attended")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    Ok(command)
}

/// Who understands what a child prints.
enum Reader {
    Heap,
    Peer(peer::Reader),
}

impl Reader {
    /// The row of a line; `None` if it is none: a workload's own output, or half a line.
    fn row(&mut self, line: &str) -> Option<Row> {
        match self {
            Self::Heap => serde_json::from_str(line).ok(),
            Self::Peer(reader) => reader.row(line),
        }
    }
}

/// Gives this process the name in lists of processes that it would have if it were started by its
/// path.
pub fn name_process() {
    // A name is a convenience.
    #[cfg(target_os = "linux")]
    let _ = nix::sys::prctl::set_name(c"harness");
}

/// Ends this process as soon as standard input does: its other end is held by the parent, which may
/// be killed without a chance to kill its child. A child left alone would disturb whatever is
/// measured next.
///
/// # Errors
///
/// The reason, if the thread that watches it cannot be started.
pub fn end_with_parent() -> Result<(), String> {
    threads::start("parent", || {
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        std::process::exit(1);
    })
    .map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_of_a_crash_is_its_panic() {
        let panic = "thread '<unnamed>' (7) panicked at src/a.rs:1:2:\nout of luck\nnote: run with `RUST_BACKTRACE=1`\n";
        assert_eq!(reason(panic), Some("out of luck"));
        let two = format!("a warning\n{panic}thread 'main' panicked at b:\nsecond\n");
        assert_eq!(reason(&two), Some("out of luck"));
        assert_eq!(reason("one\nfatal: two\n"), Some("fatal: two"));
        let refused = "memory allocation of 128 bytes failed";
        assert_eq!(
            reason(&format!("{refused}\nskipping backtrace printing\n")),
            Some(refused)
        );
        assert_eq!(reason(""), None);
    }

    #[test]
    fn what_the_system_refused_a_runtime_is_its_reason_wherever_it_stands() {
        let java = "Exception in thread \"main\" java.lang.OutOfMemoryError: unable to create native thread: x";
        let farewell = [
            "#",
            "# There is insufficient memory for the Java Runtime Environment to continue.",
            "# /tmp/x.log",
        ];
        let unread = farewell.map(str::to_owned);
        let reason = |messages: &str, unread: &[String]| reason_of_peer(messages, unread).unwrap();
        assert_eq!(
            reason(&format!("a warning\n{java}\n"), &[]),
            format!("cannot start a thread: {java}")
        );
        assert_eq!(
            reason("", &unread),
            "the system has no memory for it: There is insufficient memory for the Java Runtime Environment to continue."
        );
        let python = "Traceback:\n  x\nRuntimeError: can't start new thread\n";
        assert!(reason(python, &[]).starts_with("cannot start a thread: RuntimeError"));
        assert_eq!(
            reason("cannot start a thread: Cannot allocate memory\n", &[]),
            "cannot start a thread: Cannot allocate memory"
        );
        assert_eq!(reason("first\nlast\n", &unread[..1]), "first");
        assert_eq!(reason("", &["one".to_owned(), "two".to_owned()]), "two");
        let trace = "Traceback (most recent call last):\n  File x\nValueError: bad\n";
        assert_eq!(reason(trace, &[]), "ValueError: bad");
        assert_eq!(reason_of_peer("", &[]), None);
    }

    #[test]
    fn ends_of_processes_have_words() {
        assert_eq!(describe(ExitStatus::from_raw(9)), "signal 9");
        assert_eq!(describe(ExitStatus::from_raw(101 << 8)), "exit status 101");
    }
}
