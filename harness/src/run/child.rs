//! One child process: started, read, bounded in time, and never left behind.

use std::env;
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use crate::interrupt;
use crate::invocation::{Invocation, Row, Status};
use crate::peer;
use crate::plan::Cell;

/// As good as no limit, and still a time that can be added to a clock's.
const LONGEST: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// Runs one child to its end, or to the end of its time. At least one row; or `None` if the user interrupted it.
pub(crate) fn invoke(
    cell: &Cell,
    invocation: &Invocation,
    timeout: Duration,
    note: &dyn Fn(&str),
) -> Option<Vec<Row>> {
    if interrupt::signal().is_some() {
        return None;
    }
    let deadline = Instant::now() + timeout.min(LONGEST);
    let mut rows = Vec::new();
    let failed = |rows: &[Row], status, message: String| {
        Row::without_metrics(invocation, rows.len() as u32, status, message)
    };
    let (started, mut reader) = match cell.peer() {
        None => (start(invocation), Reader::Heap),
        Some(peer) => {
            let mut session = peer.session(invocation, cell.workload.operation);
            (session.command.spawn(), Reader::Peer(session.reader))
        }
    };
    let mut child = match started {
        Ok(child) => Running::new(child),
        Err(error) => {
            rows.push(failed(
                &rows,
                Status::Crashed,
                format!("could not be started: {error}"),
            ));
            return Some(rows);
        }
    };

    let mut unread = None;
    let outcome = child.collect(deadline, &mut |line| match reader.row(&line) {
        Some(row) => rows.push(row),
        None => unread = Some(line),
    });
    if let Err(Cut::Interrupted) = outcome {
        return None;
    }
    let messages = child.messages();
    for line in messages.lines() {
        note(&format!(
            "{} on {}: {line}",
            invocation.workload, invocation.heap
        ));
    }
    let is_full = rows
        .last()
        .is_some_and(|row| row.status == Status::HeapFull);
    let complete = rows.len() as u32 == invocation.iterations + 1
        || rows.last().is_some_and(|row| row.status != Status::Ok);
    match outcome {
        Err(_) => {
            let limit = humantime::format_duration(timeout);
            rows.push(failed(
                &rows,
                Status::Timeout,
                format!("killed after {limit}"),
            ));
        }
        Ok(status) if !complete || !(status.success() || is_full) => {
            let reason = match reader {
                Reader::Heap => reason(&messages),
                // Theirs come first, before a trace of the stack or a farewell; some say on standard output why they end.
                Reader::Peer(_) => messages.lines().next().or(unread.as_deref()),
            };
            let reason = reason.map_or(String::new(), |line| format!(": {line}"));
            rows.push(failed(
                &rows,
                Status::Crashed,
                format!("{}{reason}", describe(status)),
            ));
        }
        Ok(_) => {}
    }
    Some(rows)
}

/// How a process ended, in words.
fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (_, Some(signal)) => format!("signal {signal}"),
        (Some(0), None) => "ended before it had written every row".to_owned(),
        (code, None) => format!("exit status {}", code.unwrap_or(-1)),
    }
}

/// The line that says most about why a process ended: the message of the first panic, or else the last line.
fn reason(messages: &str) -> Option<&str> {
    let mut lines = messages.lines();
    lines
        .find(|line| line.contains(" panicked at "))
        .and_then(|_| lines.next())
        .or_else(|| messages.lines().last())
}

fn start(invocation: &Invocation) -> io::Result<Child> {
    command(invocation)?.stderr(Stdio::piped()).spawn()
}

/// This program again, to carry an invocation out and to write its rows to the pipe of its standard output; it ends when the one of its standard input
/// does.
pub(crate) fn command(invocation: &Invocation) -> io::Result<Command> {
    let mut command = Command::new(env::current_exe()?);
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

/// A child that is read on two threads, so that neither of its pipes can fill up and block it.
struct Running {
    child: Child,
    lines: mpsc::Receiver<String>,
    messages: Option<thread::JoinHandle<String>>,
}

/// Why a child was killed.
enum Cut {
    /// Its time was up.
    Overdue,
    /// The user wants to stop.
    Interrupted,
}

/// How often the user's wish to stop is looked at.
const ATTENTION: Duration = Duration::from_millis(50);

impl Running {
    fn new(mut child: Child) -> Self {
        let stdout = child.stdout.take().expect("it was piped");
        let mut stderr = child.stderr.take().expect("it was piped");
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            let lines = BufReader::new(stdout).split(b'\n');
            // A launcher's greeting may be in any encoding: what is not text costs its own line alone. Ends at the end
            // of the stream, or when nobody listens any more.
            let _ = lines
                .map_while(Result::ok)
                .try_for_each(|line| sender.send(String::from_utf8_lossy(&line).into_owned()));
        });
        let messages = thread::spawn(move || {
            let mut bytes = Vec::new();
            let _ = stderr.read_to_end(&mut bytes);
            String::from_utf8_lossy(&bytes).into_owned()
        });
        Self {
            child,
            lines,
            messages: Some(messages),
        }
    }

    /// Reads lines until the child has ended.
    fn collect(
        &mut self,
        deadline: Instant,
        read: &mut dyn FnMut(String),
    ) -> Result<ExitStatus, Cut> {
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left.min(ATTENTION)) {
                Ok(line) => read(line),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) if interrupt::signal().is_some() => {
                    self.kill();
                    return Err(Cut::Interrupted);
                }
                Err(RecvTimeoutError::Timeout) if Instant::now() < deadline => {}
                Err(RecvTimeoutError::Timeout) => {
                    self.kill();
                    // What it had written before that counts.
                    while let Ok(line) = self.lines.recv_timeout(Duration::from_secs(1)) {
                        read(line);
                    }
                    return Err(Cut::Overdue);
                }
            }
        }
        loop {
            match self.child.try_wait() {
                Ok(Some(status)) => {
                    // A terminal's Ctrl-C reaches the child as well, and may have ended it before this process has heard of it.
                    if status.signal() == Some(interrupt::SIGINT) {
                        thread::sleep(ATTENTION);
                    }
                    return match interrupt::signal() {
                        Some(_) if !status.success() => Err(Cut::Interrupted),
                        _ => Ok(status),
                    };
                }
                Ok(None) if Instant::now() < deadline => thread::sleep(Duration::from_millis(1)),
                _ => {
                    self.kill();
                    return Err(Cut::Overdue);
                }
            }
        }
    }

    fn kill(&mut self) {
        // It may have ended in this very moment; either way it is gone afterwards.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// What it wrote to standard error, once it has ended.
    fn messages(&mut self) -> String {
        let messages = self.messages.take().map(thread::JoinHandle::join);
        messages.and_then(Result::ok).unwrap_or_default()
    }
}

/// Ends this process as soon as standard input does: its other end is held by the parent, which may be killed without a chance to kill
/// its child. A child left alone would disturb whatever is measured next.
pub(crate) fn end_with_parent() {
    thread::spawn(|| {
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        std::process::exit(1);
    });
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
        assert_eq!(reason(""), None);
    }

    #[test]
    fn ends_of_processes_have_words() {
        assert_eq!(describe(ExitStatus::from_raw(9)), "signal 9");
        assert_eq!(describe(ExitStatus::from_raw(101 << 8)), "exit status 101");
    }
}
