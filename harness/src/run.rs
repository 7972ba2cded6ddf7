//! Carries a [`Plan`] out: one child process after another, each bounded in time, each result kept as soon as it is there.
//!
//! * *Fresh processes*: no heap inherits another's memory, caches of the allocator, or faults.
//! * *Interleaved*: rounds are outermost, so that a slow minute hits every heap; within a group of heaps that do the same work the order is reversed
//!   every other round (ABBA), so that a drift favours none.
//! * *Nothing measured is lost*: rows are appended to the result file when their process ends. A child that crashes, hangs or is
//!   killed becomes a row that says so, and the rest goes on. Rows that cannot be written are kept, tried again with each later one, and
//!   in the end printed.
//! * *Nothing is left behind*: a child ends when its parent does, however that ends.
//! * *Same work or no comparison*: rows of one group must agree in checksum, operations, objects and payload bytes. The first
//!   that was measured is the reference; one that differs is written as void, and so is the group in the table.

use std::collections::{HashMap, VecDeque};
use std::env;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, IsTerminal, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::environment::Environment;
use crate::invocation::{Invocation, Row, Status, format_bytes};
use crate::peer;
use crate::plan::{Cell, Format, Plan};
use crate::report;

/// What came of a plan: for each cell, its rows in the order in which they were made.
#[derive(Debug)]
pub struct Results {
    /// Rows by cell.
    pub rows: Vec<Vec<Row>>,
    /// Where they were made.
    pub environment: Environment,
}

impl Results {
    /// The rows of a cell that count: measured, and not for warming up.
    pub fn measured(&self, cell: usize) -> impl Iterator<Item = &Row> {
        self.rows[cell]
            .iter()
            .filter(|row| row.status == Status::Ok && row.iteration > 0)
    }

    /// Why a cell has no figures, or not as many as it should, or none that count.
    pub fn failure(&self, cell: usize) -> Option<&Row> {
        self.rows[cell].iter().find(|row| row.status != Status::Ok)
    }

    /// Whether a group's heaps did different work.
    pub fn is_void(&self, plan: &Plan, group: usize) -> bool {
        plan.cells
            .iter()
            .zip(&self.rows)
            .filter(|(cell, _)| cell.group == group)
            .any(|(_, rows)| rows.iter().any(|row| row.status == Status::Void))
    }
}

/// Why there are no results, or not where they belong. Each holds a sentence for the user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// The result file cannot be opened: nothing was run.
    NotRun(String),
    /// Everything was run, but the result file or standard output could not be written to the end.
    NotWritten(String),
}

/// Runs everything, writes rows as they come, and prints what the plan's format asks for. Says whether every cell has figures that
/// count.
///
/// # Errors
///
/// If the result file or standard output cannot be written.
pub fn run(plan: &Plan) -> Result<bool, Error> {
    let mut sink = Sink::open(plan)?;
    let environment = Environment::read();
    let progress = progress_bar(plan);
    let note = |text: &str| {
        if !plan.quiet {
            progress.suspend(|| complain(text));
        }
    };
    if !environment.optimised {
        note("note: built without optimisation; figures mean nothing. Use cargo run --release");
    }

    for text in &plan.notes {
        note(&format!("note: {text}"));
    }

    let mut results = Results {
        rows: vec![Vec::new(); plan.cells.len()],
        environment,
    };
    let mut references: HashMap<usize, Row> = HashMap::new();

    for (invocation, index) in schedule(plan) {
        let cell = &plan.cells[index];
        if results.rows[index].iter().any(|row| is_final(row.status)) {
            progress.inc(1);
            continue;
        }
        progress.set_message(format!("{cell} ({invocation}/{})", plan.invocations));
        for mut row in invoke(
            cell,
            &cell.invocation(plan, invocation),
            plan.timeout,
            &note,
        ) {
            check(&mut row, cell, &mut references);
            row.environment = Some(environment_of(cell, &results.environment));
            sink.write(&row);
            if row.status != Status::Ok {
                note(&format!("{cell}: {}{}", row.status, advice(&row)));
            }
            results.rows[index].push(row);
        }
        progress.inc(1);
    }
    progress.finish_and_clear();

    if plan.format == Format::Table {
        sink.print(&report::table::render(plan, &results));
        let path = format!("\nResults: {}\n", sink.path.display());
        sink.print(&path);
    }
    sink.finish().map_err(Error::NotWritten)?;
    Ok((0..plan.cells.len()).all(|index| {
        let failure = results.failure(index);
        failure.is_none_or(|row| row.status == Status::Skipped)
    }))
}

/// Where a row of this cell was made.
pub(crate) fn environment_of(cell: &Cell, environment: &Environment) -> Environment {
    Environment {
        peer: cell.peer().map(peer::Found::environment),
        ..environment.clone()
    }
}

/// Which cell is run when: invocation numbers from 1, and indices of cells.
fn schedule(plan: &Plan) -> Vec<(u32, usize)> {
    let mut order = Vec::new();
    for invocation in 1..=plan.invocations {
        let indices: Vec<usize> = (0..plan.cells.len()).collect();
        for group in indices.chunk_by(|&a, &b| plan.cells[a].group == plan.cells[b].group) {
            let mut group = group.to_vec();
            if invocation % 2 == 0 {
                group.reverse();
            }
            order.extend(group.into_iter().map(|index| (invocation, index)));
        }
    }
    order
}

/// Whether another invocation could only end the same way, after the same time.
fn is_final(status: Status) -> bool {
    matches!(status, Status::HeapFull | Status::Skipped | Status::Timeout)
}

/// Compares a measured row with its group's reference, or makes it that.
fn check(row: &mut Row, cell: &Cell, references: &mut HashMap<usize, Row>) {
    let Some(metrics) = &row.metrics else { return };
    let reference = references.entry(cell.group).or_insert_with(|| row.clone());
    let expected = reference
        .metrics
        .as_ref()
        .expect("references were measured");
    if metrics.work() != expected.work() {
        row.message = Some(format!(
            "did other work than {}: checksum, operations, objects, payload bytes {:?} and not {:?}",
            reference.invocation.heap,
            metrics.work(),
            expected.work()
        ));
        row.status = Status::Void;
    }
}

/// What to add to a status that is not ok.
fn advice(row: &Row) -> String {
    let message = row
        .message
        .as_ref()
        .map_or(String::new(), |message| format!(": {message}"));
    match row.status {
        Status::HeapFull => {
            let limit = format_bytes(row.invocation.heap_bytes);
            format!("{message}; try a --heap-size of more than {limit}")
        }
        Status::Timeout => format!("{message}; allow more with --timeout"),
        _ => message,
    }
}

/// As good as no limit, and still a time that can be added to a clock's.
const LONGEST: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// Runs one child to its end, or to the end of its time. Always returns at least one row.
pub(crate) fn invoke(
    cell: &Cell,
    invocation: &Invocation,
    timeout: Duration,
    note: &dyn Fn(&str),
) -> Vec<Row> {
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
            return rows;
        }
    };

    let mut unread = None;
    let outcome = child.collect(deadline, &mut |line| match reader.row(&line) {
        Some(row) => rows.push(row),
        None => unread = Some(line),
    });
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
        Err(Overdue) => {
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
    rows
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
    Command::new(env::current_exe()?)
        .arg("child")
        .arg(serde_json::to_string(invocation)?)
        .arg("--attended")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
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

/// The child's time was up, and it was killed.
struct Overdue;

impl Running {
    fn new(mut child: Child) -> Self {
        let stdout = child.stdout.take().expect("it was piped");
        let mut stderr = child.stderr.take().expect("it was piped");
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            let lines = BufReader::new(stdout).lines();
            // Ends at the end of the stream, or when nobody listens any more.
            let _ = lines
                .map_while(Result::ok)
                .try_for_each(|line| sender.send(line));
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
    ) -> Result<ExitStatus, Overdue> {
        loop {
            match self
                .lines
                .recv_timeout(deadline.saturating_duration_since(Instant::now()))
            {
                Ok(line) => read(line),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {
                    let overdue = self.kill();
                    // What it had written before that counts.
                    while let Ok(line) = self.lines.recv_timeout(Duration::from_secs(1)) {
                        read(line);
                    }
                    return Err(overdue);
                }
            }
        }
        loop {
            match self.child.try_wait() {
                Ok(Some(status)) => return Ok(status),
                Ok(None) if Instant::now() < deadline => thread::sleep(Duration::from_millis(1)),
                _ => return Err(self.kill()),
            }
        }
    }

    fn kill(&mut self) -> Overdue {
        // It may have ended in this very moment; either way it is gone afterwards.
        let _ = self.child.kill();
        let _ = self.child.wait();
        Overdue
    }

    /// What it wrote to standard error, once it has ended.
    fn messages(&mut self) -> String {
        let messages = self.messages.take().map(thread::JoinHandle::join);
        messages.and_then(Result::ok).unwrap_or_default()
    }
}

/// The result file and standard output.
pub(crate) struct Sink {
    file: File,
    pub(crate) path: PathBuf,
    /// Lines that are not in the file, or not as a whole, and how much of the first one is.
    unwritten: VecDeque<String>,
    written: usize,
    csv: report::csv::Writer,
    format: Format,
    /// What went wrong first on standard output.
    unprinted: Option<io::Error>,
}

impl Sink {
    /// Opens what the plan asks for.
    pub(crate) fn open(plan: &Plan) -> Result<Self, Error> {
        let (path, file) = open_output(plan.output.as_deref()).map_err(Error::NotRun)?;
        Ok(Self {
            file,
            path,
            unwritten: VecDeque::new(),
            written: 0,
            csv: report::csv::Writer::default(),
            format: plan.format,
            unprinted: None,
        })
    }

    /// Appends a row. One that cannot be written now is tried again with the next.
    pub(crate) fn write(&mut self, row: &Row) {
        let line = report::json::line(row);
        match self.format {
            Format::Json => self.print(&line),
            Format::Csv => {
                let line = self.csv.line(row);
                self.print(&line);
            }
            Format::Table => {}
        }
        self.unwritten.push_back(line);
        let _ = self.append();
    }

    /// Appends what is not in the file. Goes on where it was interrupted: half a row is completed and not begun again.
    fn append(&mut self) -> io::Result<()> {
        while let Some(line) = self.unwritten.front() {
            match self.file.write(&line.as_bytes()[self.written..]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => self.written += written,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
            if self.written == line.len() {
                self.written = 0;
                self.unwritten.pop_front();
            }
        }
        Ok(())
    }

    pub(crate) fn print(&mut self, text: &str) {
        if self.unprinted.is_none() {
            self.unprinted = print(text).err();
        }
    }

    /// A last attempt. Rows that are still not in the file go to standard error, unless they have been printed.
    pub(crate) fn finish(&mut self) -> Result<(), String> {
        let path = self.path.display().to_string();
        let Err(error) = self.append() else {
            return match &self.unprinted {
                None => Ok(()),
                Some(error) => Err(format!("{}; the results are in {path}", not_printed(error))),
            };
        };
        let missing = self.unwritten.len();
        let rows = if missing == 1 { "row" } else { "rows" };
        let message = format!("cannot write {path}: {error}; {missing} {rows} are not in it");
        if self.format == Format::Json && self.unprinted.is_none() {
            return Err(format!("{message}, but on standard output"));
        }
        let lines: String = self.unwritten.iter().map(String::as_str).collect();
        Err(format!("{message}:\n{}", lines.trim_end()))
    }
}

/// Opens the result file for appending, with its directory if it is the default one.
fn open_output(chosen: Option<&Path>) -> Result<(PathBuf, File), String> {
    let refuse = |path: &Path, error: io::Error| {
        format!(
            "cannot write {}: {error}; choose another file with --output FILE",
            path.display()
        )
    };
    if let Some(path) = chosen {
        let file = OpenOptions::new().append(true).create(true).open(path);
        return file
            .map(|file| (path.to_owned(), file))
            .map_err(|error| refuse(path, error));
    }
    let directory = Path::new("results");
    fs::create_dir_all(directory).map_err(|error| refuse(directory, error))?;
    let time = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
    let time = time
        .replace(['-', ':'], "")
        .replace('T', "-")
        .replace('Z', "");
    // Two in one second differ by a number.
    for number in 1.. {
        let suffix = if number == 1 {
            String::new()
        } else {
            format!("-{number}")
        };
        let path = directory.join(format!("{time}{suffix}.jsonl"));
        match OpenOptions::new().append(true).create_new(true).open(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            file => {
                return file
                    .map_err(|error| refuse(&path, error))
                    .map(|file| (path, file));
            }
        }
    }
    unreachable!("some number is free")
}

fn progress_bar(plan: &Plan) -> ProgressBar {
    let total = plan.cells.len() as u64 * u64::from(plan.invocations);
    if plan.quiet || !io::stderr().is_terminal() {
        return ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::hidden());
    }
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len}, {eta} left  {wide_msg}")
        .expect("the template is right");
    let bar = ProgressBar::new(total).with_style(style);
    bar.enable_steady_tick(Duration::from_millis(250));
    bar
}

/// Prints on standard output; a reader that has gone away is no error.
pub(crate) fn print(text: &str) -> io::Result<()> {
    match deliver(text) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

/// Prints on standard output for a reader that must be there.
pub(crate) fn deliver(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}

/// What to say if standard output cannot be written.
pub(crate) fn not_printed(error: &io::Error) -> String {
    format!("cannot write to standard output: {error}")
}

/// Prints a line on standard error. If that is impossible there is nobody to tell; in particular it is no reason to stop measuring.
pub(crate) fn complain(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
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
    use crate::adapter;
    use crate::invocation::Metrics;
    use crate::plan::{self, Selection};
    use crate::workload::{self, Size};

    fn plan(heaps: &[&str], invocations: u32) -> Plan {
        let selection = Selection {
            workloads: vec!["list".to_owned(), "rings".to_owned()],
            heaps: heaps.iter().map(|&heap| heap.to_owned()).collect(),
            peers: Vec::new(),
            search: peer::Search::default(),
            threads: vec![1],
            heap_bytes: None,
            size: Size::Tiny,
            seed: 1,
        };
        Plan {
            cells: plan::cells(&workload::standard(), &selection).unwrap().0,
            notes: Vec::new(),
            size: Size::Tiny,
            invocations,
            iterations: 1,
            timeout: Duration::from_secs(1),
            format: Format::Table,
            output: None,
            quiet: true,
        }
    }

    fn row(plan: &Plan, cell: usize, checksum: &str) -> Row {
        let metrics = Metrics {
            checksum: checksum.to_owned(),
            operations: 1,
            operation: "node".to_owned(),
            allocated_objects: 1,
            allocated_payload_bytes: 8,
            wall_ns: 1000,
            cpu_ns: 1000,
            wall_ns_per_operation: 1000.0,
            peak_heap_bytes: 1,
            ..Metrics::default()
        };
        Row::measured(&plan.cells[cell].invocation(plan, 1), 1, metrics)
    }

    #[test]
    fn rounds_are_outermost_and_alternate() {
        let names: Vec<&str> = adapter::HEAPS.iter().map(|heap| heap.name).collect();
        let plan = plan(&names, 2);
        let forward = [0, 1, 2, 3, 4, 5].map(|index| (1, index));
        let backward = [2, 1, 0, 5, 4, 3].map(|index| (2, index));
        assert_eq!(schedule(&plan), [forward, backward].concat());
    }

    #[test]
    fn other_work_makes_the_group_void_and_no_other() {
        let plan = plan(&["gc-rc", "arena"], 1);
        let mut references = HashMap::new();
        let mut rows: Vec<Row> = ["a", "b", "c", "c"]
            .iter()
            .enumerate()
            .map(|(cell, checksum)| row(&plan, cell, checksum))
            .collect();
        for (row, cell) in rows.iter_mut().zip(&plan.cells) {
            check(row, cell, &mut references);
        }
        let statuses: Vec<Status> = rows.iter().map(|row| row.status).collect();
        assert_eq!(statuses, [Status::Ok, Status::Void, Status::Ok, Status::Ok]);
        assert!(
            rows[1]
                .message
                .as_ref()
                .unwrap()
                .contains("other work than gc-rc")
        );

        let results = Results {
            rows: rows.into_iter().map(|row| vec![row]).collect(),
            environment: Environment::read(),
        };
        assert!(results.is_void(&plan, 0) && !results.is_void(&plan, 1));
        let table = report::table::render(&plan, &results);
        let void_lines = table
            .lines()
            .filter(|line| line.trim_end().ends_with("void"))
            .count();
        assert_eq!(void_lines, 2, "{table}");
    }

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
