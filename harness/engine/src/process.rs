//! Other processes: each in a group of its own, read as it prints, bounded in time, and ended as a
//! whole.
//!
//! Every process that this program starts for itself is started here: those that measure, the
//! probes of runtimes, compilers, the system's own programs. What holds for each:
//!
//! * *It is the process that is waited for*, not its output. A pipe ends when the last one that has
//!   it open does, which may be a grandchild that sleeps for an hour. When the process has ended,
//!   what lies in its pipes is read, and nothing more is waited for.
//! * *It ends in time.* At the deadline its whole group is killed, by a signal that cannot be
//!   ignored. What it had written by then is kept. So is it killed when the user wants to stop.
//! * *Nothing of it stays.* Its group is killed too when it has ended well: what it left behind
//!   would disturb whatever is measured next. A process that has left the group (a daemon) is not
//!   found; but nobody waits for it.
//! * *Memory is bounded.* One buffer a pipe; lines and messages of more than [`LONGEST_LINE`] and
//!   twice [`KEPT`] bytes are cut. Who prints without end is read, and ended in time.
//! * *Bytes* are what is read. What a runtime says in another encoding is no error.
//!
//! One thread reads both pipes by `poll`. Rejected: a thread for each (a system that has no more
//! threads is one of the things to report, and queues between threads have to be bounded too);
//! waiting by `SIGCHLD` (a handler for the whole process, to save twenty looks in a second).
//!
//! A terminal's Ctrl-C does not reach the group of a child, but this process, which then ends it.
//! Ctrl-Z stops this process alone.

use std::env;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use crate::interrupt;

/// The longest line that is read as one; of a longer one this much is kept. Rows of some thousand
/// pauses have a few megabytes.
const LONGEST_LINE: usize = 64 << 20;
/// How much of what a process says beside its rows is kept from its beginning, and from its end.
const KEPT: usize = 64 << 10;
/// How often it is looked whether a silent process has ended, or the user wants to stop.
const ATTENTION: Duration = Duration::from_millis(50);
/// The first of these looks once a process has closed its pipes: most end at once.
const FIRST_LOOK: Duration = Duration::from_millis(1);
/// How long what an ended process has written is read, if others go on writing to its pipes.
const DRAIN: Duration = Duration::from_secs(1);
/// How long the system may take to end a killed process, whose memory it has to free. One that
/// hangs in a driver never ends, and is left alone.
const DEATH: Duration = Duration::from_secs(30);
/// How much may be written to a process before it is read: what every pipe has room for.
const MOST_INPUT: usize = 4096;

/// Why a process was killed.
#[derive(Debug)]
pub(crate) enum Cut {
    /// Its time was up.
    Overdue,
    /// The user wants to stop.
    Interrupted,
}

/// Which of its outputs a process has written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

/// A process that was started, and is ended when this goes.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    /// Its outputs that have not ended.
    pipes: Vec<(Stream, File)>,
    has_ended: bool,
}

impl Running {
    /// Starts a process in a group of its own, with both outputs piped to here.
    pub(crate) fn start(command: &mut Command) -> io::Result<Self> {
        let mut child = command
            .process_group(0)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let out = child.stdout.take().map(OwnedFd::from);
        let err = child.stderr.take().map(OwnedFd::from);
        let pipes = [(Stream::Out, out), (Stream::Err, err)].into_iter();
        Ok(Self {
            pipes: pipes
                .filter_map(|(stream, pipe)| Some((stream, pipe?.into())))
                .collect(),
            child,
            has_ended: false,
        })
    }

    /// Reads what it prints until it has ended, or until its time is up, or the user wants to stop:
    /// then it is killed, and what it had written counts.
    pub(crate) fn watch(
        &mut self,
        deadline: Instant,
        read: &mut dyn FnMut(Stream, &[u8]),
    ) -> Result<ExitStatus, Cut> {
        let mut look = FIRST_LOOK;
        loop {
            if let Some(status) = self.ended() {
                self.drain(read);
                return match interrupted_with(status) {
                    true => Err(Cut::Interrupted),
                    false => Ok(status),
                };
            }
            let cut = if interrupt::signal().is_some() {
                Cut::Interrupted
            } else if Instant::now() >= deadline {
                Cut::Overdue
            } else {
                let pause = if self.pipes.is_empty() {
                    look
                } else {
                    ATTENTION
                };
                look = (2 * look).min(ATTENTION);
                let left = deadline.saturating_duration_since(Instant::now());
                self.pump(pause.min(left), read);
                continue;
            };
            self.end();
            self.drain(read);
            return Err(cut);
        }
    }

    /// Reads what can be read now, or within `pause`. Says whether there was anything, be it an
    /// end.
    fn pump(&mut self, pause: Duration, read: &mut dyn FnMut(Stream, &[u8])) -> bool {
        // Rounded up: a millisecond too late, and not a thousand looks before it.
        let pause = pause + Duration::from_micros(999);
        let timeout = PollTimeout::try_from(pause.as_millis()).unwrap_or(PollTimeout::MAX);
        let fds = self.pipes.iter();
        let mut fds: Vec<PollFd<'_>> = fds
            .map(|(_, pipe)| PollFd::new(pipe.as_fd(), PollFlags::POLLIN))
            .collect();
        if fds.is_empty() || poll(&mut fds, timeout).is_err() {
            thread::sleep(pause.min(ATTENTION));
            return false;
        }
        // Unknown events, ends and errors too: reading tells which.
        let ready: Vec<bool> = fds.iter().map(|fd| fd.any().unwrap_or(true)).collect();
        let mut buffer = [0; 64 << 10];
        let mut each = ready.iter();
        self.pipes.retain_mut(|(stream, pipe)| {
            let is_ready = each.next().is_some_and(|ready| *ready);
            !is_ready || take(pipe, &mut buffer, &mut |bytes| read(*stream, bytes))
        });
        ready.contains(&true)
    }

    /// Reads what lies in the pipes of an ended process.
    fn drain(&mut self, read: &mut dyn FnMut(Stream, &[u8])) {
        let deadline = Instant::now() + DRAIN;
        while !self.pipes.is_empty() && self.pump(Duration::ZERO, read) && Instant::now() < deadline
        {
        }
    }

    /// How it ended, if it has. What is left of its group is killed then.
    fn ended(&mut self) -> Option<ExitStatus> {
        let known = self.has_died();
        match known {
            Some(false) => return None,
            // Before it is waited for: until then nobody else can have its number.
            Some(true) => self.kill_group(),
            None => {}
        }
        let status = match self.child.try_wait() {
            Ok(None) => return None,
            Ok(Some(status)) => status,
            // Where this process has inherited that its children are not waited for, how one ended
            // is not known: its rows have to tell.
            Err(_) => ExitStatus::from_raw(0),
        };
        if known.is_none() {
            self.kill_group();
        }
        self.has_ended = true;
        Some(status)
    }

    /// Whether it has ended, before it is waited for; `None` where the system does not say.
    #[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd"))]
    fn has_died(&self) -> Option<bool> {
        use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
        let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        let status = waitid(Id::Pid(self.group()), flags).ok()?;
        Some(status != WaitStatus::StillAlive)
    }

    /// Whether it has ended, before it is waited for; `None` where the system does not say.
    #[cfg(not(any(target_os = "linux", target_os = "android", target_os = "freebsd")))]
    fn has_died(&self) -> Option<bool> {
        None
    }

    fn group(&self) -> Pid {
        Pid::from_raw(self.child.id().cast_signed())
    }

    fn kill_group(&self) {
        // There may be nobody left.
        let _ = killpg(self.group(), Signal::SIGKILL);
    }

    /// Kills it with its group, and waits until it is gone, as long as that can be expected.
    fn end(&mut self) {
        if self.has_ended {
            return;
        }
        self.kill_group();
        let deadline = Instant::now() + DEATH;
        let mut look = FIRST_LOOK;
        while self.ended().is_none() && Instant::now() < deadline {
            thread::sleep(look);
            look = (2 * look).min(ATTENTION);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end();
    }
}

/// Whether a process that ended like this was ended by what is to end this one: a batch system
/// sends its signal to every process at once, and this one may hear of it last.
fn interrupted_with(status: ExitStatus) -> bool {
    // Runtimes that catch the signal end with a status that names it.
    let signal = status.signal().or(status.code().map(|code| code - 128));
    if signal.is_some_and(interrupt::is_ending) {
        thread::sleep(ATTENTION);
    }
    !status.success() && interrupt::signal().is_some()
}

/// Reads once from a pipe that is ready. Says whether there may be more.
fn take(pipe: &mut File, buffer: &mut [u8], read: &mut dyn FnMut(&[u8])) -> bool {
    match pipe.read(buffer) {
        Ok(0) => false,
        Ok(length) => {
            read(&buffer[..length]);
            true
        }
        Err(error) => error.kind() == io::ErrorKind::Interrupted,
    }
}

/// Runs a command to its end with these bytes on standard input, and returns how it ended and what
/// it printed, of which the middle is left out if it is long.
///
/// # Errors
///
/// If it cannot be started, does not end within `limit`, or the user wants to stop.
///
/// # Panics
///
/// If there is more input than a pipe has room for.
pub(crate) fn output(command: &mut Command, input: &[u8], limit: Duration) -> io::Result<Output> {
    assert!(
        input.len() <= MOST_INPUT,
        "it is written before anything is read"
    );
    command.stdin(if input.is_empty() {
        Stdio::null()
    } else {
        Stdio::piped()
    });
    // Ctrl-C does not reach it in its group: who is not told of one would leave it behind.
    interrupt::install();
    let mut running = Running::start(command)?;
    if let Some(mut stdin) = running.child.stdin.take() {
        // One that does not read its input says so by its status.
        let _ = stdin.write_all(input);
    }
    let (mut out, mut err) = (Excerpt::default(), Excerpt::default());
    let outcome = running.watch(Instant::now() + limit, &mut |stream, bytes| match stream {
        Stream::Out => out.push(bytes),
        Stream::Err => err.push(bytes),
    });
    match outcome {
        Ok(status) => Ok(Output {
            status,
            stdout: out.into_bytes(),
            stderr: err.into_bytes(),
        }),
        Err(Cut::Overdue) => Err(io::Error::new(
            io::ErrorKind::TimedOut,
            format!("did not end within {}", humantime::format_duration(limit)),
        )),
        Err(Cut::Interrupted) => Err(io::Error::new(io::ErrorKind::Interrupted, "interrupted")),
    }
}

/// The file of this program, kept open from its start on; an error where there is none to be had.
static PROGRAM: OnceLock<io::Result<(File, PathBuf)>> = OnceLock::new();

/// Opens the file of this program, which `this_program` runs: to be called before anything else.
pub fn keep_program() {
    program();
}

fn program() -> &'static io::Result<(File, PathBuf)> {
    PROGRAM.get_or_init(|| {
        let path = env::current_exe()?;
        // It may have been replaced already.
        let file = File::open(&path).or_else(|_| File::open("/proc/self/exe"))?;
        Ok((file, path))
    })
}

/// This program, as it is running, whatever has become of its file since: a build, or an update of
/// the system, may put another one in its place in the middle of a run.
///
/// Where there is a `/proc`, the child runs what this process has kept open, by the number that it
/// has inherited; the descriptor is closed as it becomes the program. Its first argument is that of
/// its parent, by which lists of processes show it. Elsewhere the path is used that the program had
/// at its start; if that has been moved away, the error says so.
///
/// Rejected: `/proc/self/exe` (the same, but of a process that is traced by valgrind it is
/// valgrind); a copy in a temporary directory (tens of megabytes each time, where it may not be
/// executed).
pub(crate) fn this_program() -> io::Result<Command> {
    let (file, path) = program().as_ref().map_err(|error| {
        let reason = format!("the file of this program cannot be opened: {error}");
        io::Error::new(error.kind(), reason)
    })?;
    let kept = PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()));
    let mut command = Command::new(if kept.exists() { &kept } else { path });
    if let Some(name) = env::args_os().next() {
        command.arg0(name);
    }
    Ok(command)
}

/// Bytes cut into lines, without their line feeds.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    line: Vec<u8>,
}

impl Lines {
    /// Hands out every line that these bytes complete.
    pub(crate) fn push(&mut self, mut bytes: &[u8], read: &mut dyn FnMut(&[u8])) {
        while let Some(end) = bytes.iter().position(|&byte| byte == b'\n') {
            self.append(&bytes[..end]);
            read(&self.line);
            // One enormous line is no reason to keep the room for others.
            self.line = Vec::new();
            bytes = &bytes[end + 1..];
        }
        self.append(bytes);
    }

    /// Hands out the last line, if it has no end.
    pub(crate) fn finish(&mut self, read: &mut dyn FnMut(&[u8])) {
        let line = std::mem::take(&mut self.line);
        if !line.is_empty() {
            read(&line);
        }
    }

    fn append(&mut self, bytes: &[u8]) {
        let room = LONGEST_LINE - self.line.len();
        self.line.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }
}

/// The beginning and the end of what was said.
#[derive(Debug, Default)]
pub(crate) struct Excerpt {
    beginning: Vec<u8>,
    end: Vec<u8>,
    left_out: u64,
}

impl Excerpt {
    /// Appends bytes.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        let room = (KEPT - self.beginning.len()).min(bytes.len());
        let (first, rest) = bytes.split_at(room);
        self.beginning.extend_from_slice(first);
        self.end.extend_from_slice(rest);
        // Twice the length, so that it is moved only now and then.
        if self.end.len() > 2 * KEPT {
            self.shorten();
        }
    }

    fn shorten(&mut self) {
        let surplus = self.end.len().saturating_sub(KEPT);
        self.end.drain(..surplus);
        self.left_out += surplus as u64;
    }

    /// What is kept of it, with a line that says how much is not.
    pub(crate) fn into_bytes(mut self) -> Vec<u8> {
        self.shorten();
        let mut bytes = self.beginning;
        if self.left_out > 0 {
            let words = format!("\n... {} bytes are left out ...\n", self.left_out);
            bytes.extend_from_slice(words.as_bytes());
        }
        bytes.extend_from_slice(&self.end);
        bytes
    }

    /// The same as text; what is no UTF-8 is replaced.
    pub(crate) fn into_text(self) -> String {
        String::from_utf8_lossy(&self.into_bytes()).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Far longer than any of these tests may take.
    const LONG: Duration = Duration::from_secs(60);

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    fn text(bytes: &[u8]) -> &str {
        std::str::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_grandchild_that_keeps_the_pipes_is_not_waited_for_and_ended() {
        let began = Instant::now();
        let output = output(&mut shell("sleep 61 & echo $!; echo said >&2"), b"", LONG).unwrap();
        assert!(began.elapsed() < LONG / 2);
        assert!(output.status.success());
        assert_eq!(text(&output.stderr), "said\n");
        let pid = Pid::from_raw(text(&output.stdout).trim().parse().unwrap());
        // It is dead, or will be as soon as the system has come to it.
        while nix::sys::signal::kill(pid, None).is_ok() && !is_zombie(pid) {
            assert!(began.elapsed() < LONG / 2, "{pid} goes on");
            thread::sleep(FIRST_LOOK);
        }
    }

    /// Ended, and not waited for by whoever has inherited it.
    fn is_zombie(pid: Pid) -> bool {
        std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| stat.contains(") Z "))
    }

    #[test]
    fn whoever_does_not_end_is_ended_with_all_it_has_started() {
        let began = Instant::now();
        for script in [
            "trap '' TERM INT HUP; while :; do sleep 1; done",
            "exec >&- 2>&-; sleep 61",
            "sleep 61 & wait",
            "while :; do echo on and on; done",
            "while :; do printf 'no end of line'; done",
        ] {
            let limit = Duration::from_millis(100);
            let error = output(&mut shell(script), b"", limit).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::TimedOut, "{script}");
            assert!(error.to_string().contains("100ms"), "{error}");
        }
        assert!(began.elapsed() < LONG / 2);
    }

    #[test]
    fn what_was_written_before_the_end_of_the_time_counts() {
        let script = "printf 'one\\ntw'; printf 'three' >&2; sleep 61";
        let mut running = Running::start(&mut shell(script)).unwrap();
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let outcome = running.watch(
            Instant::now() + Duration::from_millis(500),
            &mut |stream, bytes| match stream {
                Stream::Out => out.extend_from_slice(bytes),
                Stream::Err => err.extend_from_slice(bytes),
            },
        );
        assert!(matches!(outcome, Err(Cut::Overdue)));
        assert_eq!((text(&out), text(&err)), ("one\ntw", "three"));
    }

    #[test]
    fn input_is_read_and_need_not_be() {
        let echoed = output(&mut shell("cat; exit 3"), b"some input", LONG).unwrap();
        assert_eq!(text(&echoed.stdout), "some input");
        assert_eq!(echoed.status.code(), Some(3));
        assert!(output(&mut shell(":"), b"some input", LONG).is_ok());
    }

    #[test]
    fn bytes_become_lines_whatever_they_are() {
        let mut lines = Lines::default();
        let mut read: Vec<Vec<u8>> = Vec::new();
        for bytes in [&b"a\nb"[..], b"c\n\n", b"\xe9t\xe9\nrest"] {
            lines.push(bytes, &mut |line| read.push(line.to_vec()));
        }
        lines.finish(&mut |line| read.push(line.to_vec()));
        lines.finish(&mut |line| read.push(line.to_vec()));
        let expected: [&[u8]; 5] = [b"a", b"bc", b"", b"\xe9t\xe9", b"rest"];
        assert_eq!(read, expected);
    }

    #[test]
    fn a_line_without_end_does_not_fill_the_memory() {
        let mut lines = Lines::default();
        let megabyte = vec![b'x'; 1 << 20];
        for _ in 0..70 {
            lines.push(&megabyte, &mut |_| panic!("it has no end"));
        }
        let mut lengths = Vec::new();
        lines.push(b"\nshort\n", &mut |line| lengths.push(line.len()));
        assert_eq!(lengths, [LONGEST_LINE, 5]);
    }

    #[test]
    fn of_many_messages_the_first_and_the_last_are_kept() {
        let mut excerpt = Excerpt::default();
        excerpt.push(b"first\n");
        for _ in 0..100_000 {
            excerpt.push(b"again and again\n");
        }
        excerpt.push(b"last\n");
        let text = excerpt.into_text();
        assert!(text.starts_with("first\nagain") && text.ends_with("again\nlast\n"));
        let left_out = 11 + 1_600_000 - 2 * KEPT;
        assert!(text.contains(&format!("\n... {left_out} bytes are left out ...\n")));
        assert!(text.len() < 3 * KEPT);

        let mut short = Excerpt::default();
        short.push(b"all of it");
        assert_eq!(short.into_text(), "all of it");
    }
}
