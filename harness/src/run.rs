//! Carries a [`Plan`] out: one child process after another, each bounded in time, each result kept as soon as it is there.
//!
//! * *Fresh processes*: no heap inherits another's memory, caches of the allocator, or faults.
//! * *Interleaved*: rounds are outermost, so that a slow minute hits every heap; within a group of heaps that do the same work the order is reversed
//!   every other round (ABBA), so that a drift favours none.
//! * *Nothing measured is lost*: rows are appended to the result file when their process ends. A child that crashes, hangs or is
//!   killed becomes a row that says so, and the rest goes on. Rows that cannot be written are kept, tried again with each later one, and
//!   in the end printed.
//! * *Nothing is left behind*: a child ends when its parent does, however that ends.
//! * *It can be gone on with*: an interrupted run (Ctrl-C, a power cut) is resumed from its file: processes whose rows are all there are not run
//!   again, and the table is the same as if nothing had happened. Rows of another plan, build or machine are refused.
//! * *The same thing twice*: in a group of several heaps one of them has a twin, a second series in the same interleaving. How much the two differ
//!   is the smallest effect that can be claimed (A/A).
//! * *Same work or no comparison*: rows of one group must agree in checksum, operations, objects and payload bytes. The first
//!   that was measured is the reference; one that differs is written as void, and so is the group in the table.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::env;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, IsTerminal, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use crate::environment::Environment;
use crate::experiment::judge;
use crate::interrupt;
use crate::invocation::{Invocation, Row, Status, format_bytes};
use crate::peer;
use crate::plan::{Cell, Format, Plan};
use crate::report;
use crate::report::quantity::format_time;
use crate::results::{self, Results};

/// Why there are no results, or not where they belong. Each holds a sentence for the user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// The result file cannot be opened, or not be gone on with: nothing was run.
    NotRun(String),
    /// Everything was run, but the result file or standard output could not be written to the end.
    NotWritten(String),
    /// The user has interrupted it. What was measured is in the file; the sentence says how to go on.
    Interrupted {
        /// The number of the signal.
        signal: i32,
        /// What was measured, and how to go on.
        message: String,
    },
}

/// Runs everything, writes rows as they come, and prints what the plan's format asks for. Says whether every cell has figures that
/// count.
///
/// # Errors
///
/// If the result file or standard output cannot be written, the file that is to be gone on with is of another run, or the user interrupts.
pub fn run(plan: &Plan) -> Result<bool, Error> {
    let mut session = Session::begin(plan)?;
    if !session.trials.is_empty() {
        return Err(Error::NotRun(format!(
            "{} is of a search for minimum heaps: go on with it by harness minheap or harness sweep, or begin anew without --resume",
            session.sink.path.display()
        )));
    }
    session.measure(plan)?;
    session.end(plan, Vec::new())
}

/// A run in progress: where its rows go, and those that are there.
pub(crate) struct Session {
    pub(crate) sink: Sink,
    pub(crate) environment: Environment,
    /// When it began: what a budget counts from.
    began: Instant,
    /// What was measured, now or before the run was interrupted.
    rows: Vec<Row>,
    /// The attempts of a search for minima that were made before.
    pub(crate) trials: Vec<Row>,
    quiet: bool,
    verbose: bool,
    progress: ProgressBar,
    /// When everything will have been run, as far as can be told: for the progress bar.
    expected: Arc<Mutex<Option<Instant>>>,
    /// What to say in the report.
    notes: Vec<String>,
    /// The plan was not carried out to its end.
    interrupted: bool,
}

impl Session {
    /// Opens the result file and reads what is in it, if it is to be gone on with.
    pub(crate) fn begin(plan: &Plan) -> Result<Self, Error> {
        let environment = Environment::read();
        let (mut rows, mut trials, mut notes) = (Vec::new(), Vec::new(), Vec::new());
        if let Some(path) = &plan.resume {
            let (read, remarks) = results::read_rows(path).map_err(Error::NotRun)?;
            same_build(path, &read, &environment).map_err(Error::NotRun)?;
            (trials, rows) = read
                .into_iter()
                .partition(|row| row.invocation.invocation == 0);
            notes = remarks;
        }
        let chosen = plan.resume.as_deref().or(plan.output.as_deref());
        // What is asked for as JSON is then the claims, not the rows that they rest on.
        let streamed = match plan.format {
            Format::Json if plan.is_of_experiments() => Format::Table,
            format => format,
        };
        let sink = Sink::open(chosen, streamed)?;
        interrupt::install();
        let session = Self {
            sink,
            began: Instant::now(),
            rows,
            trials,
            quiet: plan.quiet,
            verbose: plan.verbose,
            progress: ProgressBar::hidden(),
            expected: Arc::default(),
            notes: Vec::new(),
            interrupted: false,
            environment,
        };
        if !session.environment.optimised {
            session.note(
                "note: built without optimisation; figures mean nothing. Use cargo run --release",
            );
        }
        for text in notes.iter().chain(&plan.notes) {
            session.note(&format!("note: {text}"));
        }
        Ok(session)
    }

    /// Says something on standard error, beside the progress, unless notes are not wanted.
    pub(crate) fn note(&self, text: &str) {
        if !self.quiet {
            self.progress.suspend(|| complain(text));
        }
    }

    /// Runs one process of a cell and keeps its rows, which it returns. `None` if the user interrupted it: then there are none.
    pub(crate) fn attempt(
        &mut self,
        cell: &Cell,
        invocation: &Invocation,
        timeout: Duration,
        mut complete: impl FnMut(&mut Row),
    ) -> Option<Vec<Row>> {
        let note = |text: &str| self.note(text);
        let mut rows = invoke(cell, invocation, timeout, &note)?;
        for row in &mut rows {
            row.twin = cell.twin;
            row.experiment = cell.experiment;
            row.minimum_heap_bytes = cell.minimum_heap_bytes;
            row.environment = Some(environment_of(cell, &self.environment));
            complete(row);
            self.sink.write(row);
            if self.verbose {
                self.note(&in_words(cell, row));
            }
        }
        Some(rows)
    }

    /// Carries a plan out: what was not measured before.
    pub(crate) fn measure(&mut self, plan: &Plan) -> Result<(), Error> {
        let mut done = Done::of(plan, &self.rows).map_err(|row| {
            let path = self.sink.path.display();
            let begun = row
                .environment
                .as_ref()
                .map_or(String::new(), |environment| {
                    format!(" ({})", command_line(&environment.arguments))
                });
            Error::NotRun(format!(
                "{path} has rows of {} on {} within {}, which this command does not run; \
                 give the arguments that it was begun with{begun}, or begin anew without --resume",
                row.invocation.workload,
                row.invocation.heap,
                format_bytes(row.invocation.heap_bytes),
            ))
        })?;
        let mut references: HashMap<usize, Row> = HashMap::new();
        for (group, row) in done.measured(plan, &self.rows) {
            references.entry(group).or_insert_with(|| row.clone());
        }
        self.show_progress(plan);

        let groups = groups(plan);
        let mut budget = Budget::new(plan.budget, groups.len());
        'rounds: for invocation in 1..=plan.invocations {
            let mut anything = false;
            for (number, group) in groups.iter().enumerate() {
                if !budget.allows(self.began.elapsed(), invocation, number) {
                    continue;
                }
                anything = true;
                let began = Instant::now();
                for index in in_order(group, invocation) {
                    let cell = &plan.cells[index];
                    if done.is_done(index, invocation) {
                        self.advance(plan);
                        continue;
                    }
                    self.progress.set_message(match plan.budget {
                        Some(_) => format!("{cell} ({invocation})"),
                        None => format!("{cell} ({invocation}/{})", plan.invocations),
                    });
                    self.expect(plan, &done, invocation);
                    let asked = cell.invocation(plan, invocation);
                    let started = Instant::now();
                    let rows = self.attempt(cell, &asked, plan.timeout, |row| {
                        check(row, cell, &mut references);
                    });
                    let Some(rows) = rows else {
                        self.interrupted = true;
                        break 'rounds;
                    };
                    done.record(index, &rows, started.elapsed());
                    for row in rows.iter().filter(|row| row.status != Status::Ok) {
                        self.note(&format!("{cell}: {}{}", row.status, advice(row)));
                    }
                    self.rows.extend(rows);
                    self.advance(plan);
                }
                budget.spent(number, began.elapsed());
            }
            if !anything {
                break;
            }
        }
        self.progress.finish_and_clear();
        if let Some(note) = budget.left_out(&groups, plan) {
            self.notes.push(note);
        }
        Ok(())
    }

    /// What has been measured so far, or before.
    pub(crate) fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// Takes note that the user has interrupted an attempt.
    pub(crate) fn interrupt(&mut self) {
        self.interrupted = true;
    }

    /// Whether the user has interrupted anything.
    pub(crate) fn is_interrupted(&self) -> bool {
        self.interrupted
    }

    /// The reports, and whether every cell has figures that count. `trials` are the attempts of a search that the plan rests on.
    pub(crate) fn end(mut self, plan: &Plan, trials: Vec<Row>) -> Result<bool, Error> {
        let mut results = Results::of_rows(std::mem::take(&mut self.rows));
        results.trials = trials;
        results.notes.append(&mut self.notes);
        match plan.format {
            Format::Table => {
                self.sink.print(&report::summary(&results));
                let path = format!("\nResults: {}\n", self.sink.path.display());
                self.sink.print(&path);
                let page = self.page(&results);
                self.sink.print(&page);
            }
            Format::Json if plan.is_of_experiments() => {
                self.sink.print(&report::claims::json(&judge(&results)));
            }
            // They were printed as they came.
            Format::Json | Format::Csv => {}
            other => match report::render(&results, other) {
                Ok(text) => self.sink.print(&text),
                Err(reason) => complain(&format!(
                    "{reason}; the results are in {}",
                    self.sink.path.display()
                )),
            },
        }
        self.sink.finish().map_err(Error::NotWritten)?;
        if self.interrupted {
            return Err(self.interruption());
        }
        let planned = plan.cells.len();
        let mut cells = results.cells.iter().chain(&results.experiments);
        Ok(cells.all(|cell| {
            let failure = cell.failure();
            failure.is_none_or(|row| row.status == Status::Skipped)
        }) && planned > 0)
    }

    /// Writes the page with plots beside the result file, and says where it is; or why there is none. Nothing if nothing was measured, or the results
    /// go to something that is no file.
    fn page(&self, results: &Results) -> String {
        let path = self.sink.path.with_extension("html");
        let is_empty = results.cells.is_empty() && results.experiments.is_empty();
        if is_empty || !self.sink.path.is_file() || path == self.sink.path {
            return String::new();
        }
        match report::html::write(results, &path) {
            Ok(()) => format!("Report:  {}\n", path.display()),
            Err(reason) => format!("No report: {reason}\n"),
        }
    }

    /// That the user has interrupted the run, and how to go on.
    pub(crate) fn interruption(&self) -> Error {
        let path = &self.sink.path;
        Error::Interrupted {
            signal: interrupt::signal().unwrap_or(interrupt::SIGINT),
            message: format!(
                "interrupted; what was measured is kept. Go on with:\n  {}",
                resume_command(&self.environment.arguments, path)
            ),
        }
    }

    /// Shows what is searched for now: nobody knows how many attempts it takes.
    pub(crate) fn show_search(&mut self, cell: &Cell) {
        if self.quiet || !io::stderr().is_terminal() {
            return;
        }
        if self.progress.is_hidden() {
            let style = ProgressStyle::with_template("{spinner:.cyan} {elapsed}  {wide_msg}");
            self.progress =
                ProgressBar::new_spinner().with_style(style.expect("the template is right"));
            self.progress.enable_steady_tick(Duration::from_millis(250));
        }
        self.progress
            .set_message(format!("the smallest heap of {cell}"));
    }

    /// The search is over.
    pub(crate) fn hide_search(&mut self) {
        self.progress.finish_and_clear();
    }

    fn show_progress(&mut self, plan: &Plan) {
        let total = match plan.budget {
            Some(budget) => budget.as_millis() as u64,
            None => plan.cells.len() as u64 * u64::from(plan.invocations),
        };
        if self.quiet || !io::stderr().is_terminal() {
            self.progress =
                ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::hidden());
            return;
        }
        let template = match plan.budget {
            Some(_) => "{bar:30.cyan/dim} {left}  {wide_msg}",
            None => "{bar:30.cyan/dim} {pos}/{len}, {left}  {wide_msg}",
        };
        let expected = Arc::clone(&self.expected);
        let left = move |_: &ProgressState, text: &mut dyn std::fmt::Write| {
            let expected = *expected.lock().unwrap_or_else(PoisonError::into_inner);
            let words = expected.map_or("...".to_owned(), |instant| {
                let left = instant.saturating_duration_since(Instant::now());
                format!("{} left", format_left(left))
            });
            let _ = text.write_str(&words);
        };
        let style = ProgressStyle::with_template(template)
            .expect("the template is right")
            .with_key("left", left);
        let bar = ProgressBar::new(total).with_style(style);
        bar.enable_steady_tick(Duration::from_millis(250));
        self.progress = bar;
    }

    fn advance(&self, plan: &Plan) {
        match plan.budget {
            Some(_) => self
                .progress
                .set_position(self.began.elapsed().as_millis() as u64),
            None => self.progress.inc(1),
        }
    }

    /// Says when everything will have been run: each cell takes as long as it did before, or as long as the others.
    fn expect(&self, plan: &Plan, done: &Done, invocation: u32) {
        let end = match plan.budget {
            Some(budget) => Some(self.began + budget),
            None => done
                .left(plan, invocation)
                .map(|left| Instant::now() + left),
        };
        *self.expected.lock().unwrap_or_else(PoisonError::into_inner) = end;
    }
}

/// Seconds up to two minutes, then minutes, then hours.
fn format_left(left: Duration) -> String {
    match left.as_secs() {
        seconds if seconds < 120 => format!("{seconds} s"),
        seconds if seconds < 7200 => format!("{} min", seconds / 60),
        seconds => format!("{} h", seconds / 3600),
    }
}

/// Which processes of a plan have been run, and how long they took.
#[derive(Debug)]
struct Done {
    cells: Vec<DoneCell>,
}

#[derive(Clone, Debug, Default)]
struct DoneCell {
    invocations: Vec<u32>,
    /// No other process of this cell could end differently.
    is_final: bool,
    /// Of the processes that were run now.
    took: Vec<Duration>,
}

impl Done {
    /// What these rows say about the plan. A row that is not of the plan is given back.
    fn of<'r>(plan: &Plan, rows: &'r [Row]) -> Result<Self, &'r Row> {
        let mut done = Self {
            cells: vec![DoneCell::default(); plan.cells.len()],
        };
        let mut open: BTreeMap<(usize, u32), Vec<Row>> = BTreeMap::new();
        for row in rows {
            let cell = Self::cell(plan, row).ok_or(row)?;
            let attempt = open.entry((cell, row.invocation.invocation)).or_default();
            if attempt
                .last()
                .is_some_and(|last| last.iteration >= row.iteration)
            {
                attempt.clear();
            }
            attempt.push(row.clone());
            if results::is_complete(attempt) {
                done.record(cell, attempt, Duration::ZERO);
            }
        }
        for cell in &mut done.cells {
            cell.took.clear();
        }
        Ok(done)
    }

    /// The cell that a row is of.
    fn cell(plan: &Plan, row: &Row) -> Option<usize> {
        let number = row.invocation.invocation;
        (number <= plan.invocations)
            .then(|| {
                plan.cells.iter().position(|cell| {
                    cell.twin == row.twin
                        && cell.experiment == row.experiment
                        && cell.minimum_heap_bytes == row.minimum_heap_bytes
                        && cell.invocation(plan, number) == row.invocation
                })
            })
            .flatten()
    }

    fn record(&mut self, cell: usize, attempt: &[Row], took: Duration) {
        let cell = &mut self.cells[cell];
        cell.invocations
            .extend(attempt.last().map(|row| row.invocation.invocation));
        cell.is_final |= attempt.iter().any(|row| is_final(row.status));
        cell.took.push(took);
    }

    /// Whether this process need not be run.
    fn is_done(&self, cell: usize, invocation: u32) -> bool {
        let cell = &self.cells[cell];
        cell.is_final || cell.invocations.contains(&invocation)
    }

    /// The measured rows of these, with the groups of their cells.
    fn measured<'r>(
        &self,
        plan: &'r Plan,
        rows: &'r [Row],
    ) -> impl Iterator<Item = (usize, &'r Row)> {
        rows.iter()
            .filter(|row| row.status == Status::Ok && row.metrics.is_some())
            .filter_map(|row| Some((plan.cells[Self::cell(plan, row)?].group, row)))
    }

    /// How long the rest will take from this round on; `None` before anything was run.
    fn left(&self, plan: &Plan, invocation: u32) -> Option<Duration> {
        let mean = |times: &[Duration]| {
            let total: Duration = times.iter().sum();
            (!times.is_empty()).then(|| total / times.len() as u32)
        };
        let all: Vec<Duration> = self
            .cells
            .iter()
            .flat_map(|cell| &cell.took)
            .copied()
            .collect();
        let usual = mean(&all)?;
        Some(
            (0..plan.cells.len())
                .map(|index| {
                    let rounds = (invocation..=plan.invocations)
                        .filter(|&round| !self.is_done(index, round))
                        .count();
                    mean(&self.cells[index].took).unwrap_or(usual) * rounds as u32
                })
                .sum(),
        )
    }
}

/// Which groups still fit into the time there is.
///
/// At least two processes of each cell that is run at all: one proves nothing. So the first round takes groups in only as long as twice what they
/// took fits; what does not is left out, and said. Later rounds take whatever still fits.
#[derive(Debug)]
struct Budget {
    limit: Option<Duration>,
    /// For each group, how long its rounds took.
    took: Vec<Vec<Duration>>,
    dropped: usize,
}

/// Processes of each cell that a budget runs in any case.
const AT_LEAST: u32 = 2;

impl Budget {
    fn new(limit: Option<Duration>, groups: usize) -> Self {
        Self {
            limit,
            took: vec![Vec::new(); groups],
            dropped: 0,
        }
    }

    /// Whether the group is run in this round, when so much time has passed since the beginning.
    fn allows(&mut self, elapsed: Duration, round: u32, group: usize) -> bool {
        let Some(limit) = self.limit else { return true };
        if group + self.dropped >= self.took.len() {
            return false;
        }
        if round == 1 {
            // Each round that was run once must be run once more.
            let once: Duration = self.took.iter().flatten().sum();
            let usual = if group > 0 {
                once / group as u32
            } else {
                Duration::ZERO
            };
            if group > 0 && elapsed + once * (AT_LEAST - 1) + usual * AT_LEAST > limit {
                self.dropped = self.took.len() - group;
                return false;
            }
            return true;
        }
        let took = &self.took[group];
        let total: Duration = took.iter().sum();
        round <= AT_LEAST || elapsed + total / (took.len().max(1) as u32) <= limit
    }

    fn spent(&mut self, group: usize, time: Duration) {
        self.took[group].push(time);
    }

    /// What was not run for want of time, in words.
    fn left_out(&self, groups: &[Vec<usize>], plan: &Plan) -> Option<String> {
        let limit = self.limit?;
        let kept = groups.len() - self.dropped;
        let mut names: Vec<String> = Vec::new();
        for group in &groups[kept..] {
            let name = plan.cells[group[0]].work_in_words();
            if !names.contains(&name) {
                names.push(name);
            }
        }
        let limit = humantime::format_duration(limit);
        let rounds = |group: &Vec<Duration>| group.len();
        let least = self.took[..kept].iter().map(rounds).min().unwrap_or(0);
        let most = self.took[..kept].iter().map(rounds).max().unwrap_or(0);
        let processes = if least == most {
            format!("{least}")
        } else {
            format!("{least} to {most}")
        };
        let ran = format!("Budget of {limit}: {processes} processes for each pair");
        Some(if names.is_empty() {
            format!("{ran}, nothing left out")
        } else {
            format!("{ran}; left out: {}", names.join(", "))
        })
    }
}

/// The indices of the cells of each group.
fn groups(plan: &Plan) -> Vec<Vec<usize>> {
    (0..plan.cells.len())
        .collect::<Vec<_>>()
        .chunk_by(|&a, &b| plan.cells[a].group == plan.cells[b].group)
        .map(<[usize]>::to_vec)
        .collect()
}

/// Every process of the plan in the order in which one machine runs them: the number of the invocation, and the index of the cell.
pub(crate) fn in_rounds(plan: &Plan) -> Vec<(u32, usize)> {
    let groups = groups(plan);
    (1..=plan.invocations)
        .flat_map(|invocation| {
            let in_round = groups
                .iter()
                .flat_map(move |group| in_order(group, invocation));
            in_round
                .map(move |cell| (invocation, cell))
                .collect::<Vec<_>>()
        })
        .collect()
}

/// The order of a group's cells in a round: reversed in every other one.
fn in_order(group: &[usize], invocation: u32) -> Vec<usize> {
    let mut order = group.to_vec();
    if invocation.is_multiple_of(2) {
        order.reverse();
    }
    order
}

/// Whether rows may be gone on with by this program on this machine.
fn same_build(path: &Path, rows: &[Row], here: &Environment) -> Result<(), String> {
    for there in rows.iter().filter_map(|row| row.environment.as_ref()) {
        let told = |what: &str, there: &str, here: &str| {
            format!(
                "{} was begun {what} ({there}; this is {here}); go on with it there, or begin anew without --resume",
                path.display()
            )
        };
        if there.machine() != here.machine() {
            return Err(told(
                "on another machine",
                &there.machine(),
                &here.machine(),
            ));
        }
        if there.build() != here.build() {
            return Err(told("with another build", &there.build(), &here.build()));
        }
    }
    Ok(())
}

/// The command that goes on with a run that writes to `path`.
fn resume_command(arguments: &[String], path: &Path) -> String {
    let mut command = Vec::new();
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        if argument == "--output" || argument == "--resume" {
            arguments.next();
        } else if !argument.starts_with("--output=") && !argument.starts_with("--resume=") {
            command.push(argument.clone());
        }
    }
    command.push("--resume".to_owned());
    command.push(path.display().to_string());
    command_line(&command)
}

/// Words as a shell reads them.
pub(crate) fn command_line(words: &[String]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| quote(word)).collect();
    quoted.join(" ")
}

fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

/// A row in one line.
fn in_words(cell: &Cell, row: &Row) -> String {
    let Invocation { invocation, .. } = row.invocation;
    let place = match (invocation, row.iteration) {
        (0, 0) => "warming up".to_owned(),
        (0, iteration) => format!("iteration {iteration}"),
        (_, 0) => format!("process {invocation}, warming up"),
        (_, iteration) => format!("process {invocation}, iteration {iteration}"),
    };
    let Some(metrics) = &row.metrics else {
        return format!("{cell}, {place}: {}", row.status);
    };
    let longest = metrics
        .pauses
        .pause_max_ns
        .map_or(String::new(), |longest| {
            format!(", the longest {}", format_time(longest as f64))
        });
    let noisy = if row.noisy.is_empty() {
        String::new()
    } else {
        format!(", disturbed: {}", row.noisy.join(", "))
    };
    format!(
        "{cell}, {place}: {}, {} pauses{longest}, peak heap {}{noisy}",
        format_time(metrics.wall_ns as f64),
        metrics.pauses.pause_count,
        format_bytes(metrics.peak_heap_bytes),
    )
}

/// Where a row of this cell was made.
pub(crate) fn environment_of(cell: &Cell, environment: &Environment) -> Environment {
    Environment {
        peer: cell.peer().map(peer::Found::environment),
        ..environment.clone()
    }
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
    /// Opens a file for appending; a new one in `results/` if none is chosen.
    pub(crate) fn open(chosen: Option<&Path>, format: Format) -> Result<Self, Error> {
        let (path, file) = open_output(chosen).map_err(Error::NotRun)?;
        Ok(Self {
            file,
            path,
            unwritten: VecDeque::new(),
            written: 0,
            csv: report::csv::Writer::default(),
            format,
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
            _ => {}
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
        let mut file = file.map_err(|error| refuse(path, error))?;
        end_last_line(path, &mut file).map_err(|error| refuse(path, error))?;
        return Ok((path.to_owned(), file));
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

/// Makes a file end with a line feed, so that the next row does not become the end of a line that a killed process left unfinished. Half a row
/// is of no use to anyone, and is removed; anything else is kept.
fn end_last_line(path: &Path, file: &mut File) -> io::Result<()> {
    if !file.metadata()?.is_file() {
        return Ok(());
    }
    let bytes = fs::read(path)?;
    let kept = bytes
        .iter()
        .rposition(|&byte| byte == b'\n')
        .map_or(0, |end| end + 1);
    let last = &bytes[kept..];
    if last.is_empty() {
        Ok(())
    } else if last.starts_with(b"{\"schema\"") && serde_json::from_slice::<Row>(last).is_err() {
        file.set_len(kept as u64)
    } else {
        file.write_all(b"\n")
    }
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
    use crate::invocation::Metrics;
    use crate::plan::Selection;
    use crate::workload::Size;

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
            invocations,
            ..Plan::of(&selection)
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
    fn every_other_round_is_reversed() {
        assert_eq!(in_order(&[3, 4, 5], 1), [3, 4, 5]);
        assert_eq!(in_order(&[3, 4, 5], 2), [5, 4, 3]);
    }

    #[test]
    fn what_is_done_is_not_run_again_and_rows_of_another_plan_are_given_back() {
        let plan = plan(&["gc-rc", "arena"], 2);
        let of = |invocation: u32, iteration: u32, status: Status| Row {
            invocation: plan.cells[1].invocation(&plan, invocation),
            status,
            iteration,
            ..row(&plan, 1, "a")
        };
        let rows = [
            of(1, 0, Status::Ok),
            of(1, 1, Status::Ok),
            // Interrupted.
            of(2, 0, Status::Ok),
        ];
        let done = Done::of(&plan, &rows).unwrap();
        assert!(done.is_done(1, 1) && !done.is_done(1, 2) && !done.is_done(0, 1));
        // Whoever runs out of memory once does so each time.
        let done = Done::of(&plan, &[of(1, 0, Status::HeapFull)]).unwrap();
        assert!(done.is_done(1, 2));

        let other = [
            Row {
                twin: true,
                ..of(1, 0, Status::Ok)
            },
            of(3, 0, Status::Ok),
        ];
        for row in other {
            assert!(Done::of(&plan, &[row]).is_err());
        }
    }

    #[test]
    fn a_budget_runs_two_of_each_or_leaves_the_group_out() {
        let seconds = Duration::from_secs;
        let mut budget = Budget::new(Some(seconds(20)), 5);
        let mut ran = Vec::new();
        for group in 0..5 {
            if budget.allows(seconds(3 * ran.len() as u64), 1, group) {
                ran.push(group);
                budget.spent(group, seconds(3));
            }
        }
        // With a third group two rounds are 18 seconds; with a fourth they would be 24.
        assert_eq!(ran, [0, 1, 2]);
        assert!(budget.allows(seconds(9), 2, 0) && budget.allows(seconds(15), 2, 2));
        assert!(!budget.allows(seconds(9), 2, 3));
        assert!(budget.allows(seconds(17), 3, 0) && !budget.allows(seconds(18), 3, 0));

        let mut budget = Budget::new(Some(seconds(20)), 1);
        assert!(
            budget.allows(seconds(30), 1, 0),
            "something is run in any case"
        );
        budget.spent(0, seconds(30));
        assert!(budget.allows(seconds(60), 2, 0), "and a second time");
        assert!(!budget.allows(seconds(90), 3, 0));
        assert!(Budget::new(None, 1).allows(seconds(1000), 1000, 0));
    }

    #[test]
    fn the_command_that_goes_on_is_the_one_that_was_given() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let path = Path::new("results/a b.jsonl");
        let command = resume_command(
            &words("harness run list --output x.jsonl --threads 2"),
            path,
        );
        assert_eq!(
            command,
            "harness run list --threads 2 --resume 'results/a b.jsonl'"
        );
        let again = resume_command(&words("harness --resume=x.jsonl"), Path::new("x.jsonl"));
        assert_eq!(again, "harness --resume x.jsonl");
        assert_eq!(quote("it's"), r"'it'\''s'");
        assert_eq!(quote(""), "''");
    }

    #[test]
    fn half_a_row_is_removed_before_others_are_appended() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("rows.jsonl");
        let after = |before: &str| {
            fs::write(&path, before).unwrap();
            open_output(Some(&path)).unwrap();
            fs::read_to_string(&path).unwrap()
        };
        assert_eq!(after(""), "");
        assert_eq!(after("a\n"), "a\n");
        assert_eq!(after("a\n{\"schema\":2,\"work"), "a\n");
        assert_eq!(after("a note"), "a note\n");
        let whole = report::json::line(&row(&plan(&["arena"], 1), 0, "a"));
        assert_eq!(after(whole.trim_end()), whole);
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

        let results = Results::of_rows(rows);
        let groups = results.groups();
        assert!(groups[0].is_void() && !groups[1].is_void());
        let table = report::table::render(&results);
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
