//! Carries a [`Plan`] out: one child process after another, each bounded in time, each result kept
//! as soon as it is there.
//!
//! * *Fresh processes*: no heap inherits another's memory, caches of the allocator, or faults.
//! * *Interleaved*: rounds are outermost, so that a slow minute hits every heap; within a group of
//!   heaps that do the same work the order is reversed every other round (ABBA), so that a drift
//!   favours none.
//! * *Nothing measured is lost*: rows are appended to the result file when their process ends. A
//!   child that crashes, hangs or is killed becomes a row that says so, and the rest goes on. Rows
//!   that cannot be written are kept, tried again with each later one, and in the end printed.
//! * *Nothing is left behind*: a child ends when its parent does, however that ends.
//! * *It can be gone on with*: an interrupted run (Ctrl-C, a power cut) is resumed from its file:
//!   processes whose rows are all there are not run again, and the table is the same as if nothing
//!   had happened. What has no figures is run again, and the newer rows take the place of the older
//!   in every report: processes that crashed, were killed (by the system too, when it had no more
//!   memory) or took too long. A heap that was full, an arena without room, and work that was void
//!   are results, and stay. `--keep-failures` leaves failures as they are. Rows of another plan,
//!   build or machine are refused.
//! * *The same thing twice*: in a group of several heaps one of them has a twin, a second series in
//!   the same interleaving. How much the two differ calibrates every interval of the run (A/A).
//! * *Rounds where they are needed*: a plan may say how narrow its intervals are to be
//!   (`precision.rs`).
//! * *Same work or no comparison*: rows of one group must agree in checksum, operations, objects
//!   and payload bytes. The first that was measured is the reference; one that differs is written
//!   as void, and so is the group in the table.

use std::collections::HashMap;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use crate::environment::{self, Environment};
use crate::interrupt;
use crate::invocation::{Invocation, Row, Status, format_bytes};
pub use crate::message::Error;
use crate::message::{command_line, complain, shown};
use crate::peer;
use crate::plan::{Cell, Format, Plan};
use crate::report;
use crate::report::quantity::format_time;
use crate::results::{self, Results};

mod budget;
mod child;
mod precision;
mod resume;
mod sink;

pub use crate::process::keep_program;
use budget::Budget;
pub use child::{command, end_with_parent, invoke, name_process};
use precision::Precision;
pub use resume::is_accident;
use resume::{Done, resume_command, same_build};
pub use sink::Sink;

/// Runs everything, writes rows as they come, and prints what the plan's format asks for. Says
/// whether every cell has figures that count.
///
/// # Errors
///
/// If the result file or standard output cannot be written, the file that is to be gone on with is
/// of another run, or the user interrupts.
pub fn run(plan: &Plan) -> Result<bool, Error> {
    let mut session = Session::begin(plan)?;
    if !session.trials.is_empty() {
        return Err(Error::NotRun(format!(
            "{} is of a search for minimum heaps: go on with it by harness minheap or harness \
             sweep, or begin anew without --resume",
            shown(&session.sink.path)
        )));
    }
    session.measure(plan)?;
    session.end(plan, Vec::new())
}

/// A run in progress: where its rows go, and those that are there.
pub struct Session {
    /// Where its rows and reports go.
    pub sink: Sink,
    pub(crate) environment: Environment,
    /// When it began: what a budget counts from.
    began: Instant,
    /// What was measured, now or before the run was interrupted.
    rows: Vec<Row>,
    /// The attempts of a search for minima that were made before.
    pub trials: Vec<Row>,
    quiet: bool,
    verbose: bool,
    progress: ProgressBar,
    /// When everything will have been run, as far as can be told: for the progress bar.
    expected: Arc<Mutex<Option<Instant>>>,
    /// What to say in the report.
    notes: Vec<String>,
    /// Where the page goes, if not beside the results.
    page: Option<PathBuf>,
    /// The plan was not carried out to its end.
    interrupted: bool,
}

impl Session {
    /// Opens the result file and reads what is in it, if it is to be gone on with.
    pub fn begin(plan: &Plan) -> Result<Self, Error> {
        let environment = environment::read();
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
            page: (plan.report.as_ref()).and_then(|own| own.path().map(Path::to_owned)),
            interrupted: false,
            environment,
        };
        if !session.environment.optimised {
            session.note(
                "note: built without optimisation; figures mean nothing. Use cargo run --release",
            );
        }
        for text in &notes {
            session.note(&format!("note: {text}"));
        }
        for text in &plan.notes.lines {
            let text = format!("note: {text}");
            // What makes the exit status 1 is said to those, too, who want no notes.
            if plan.notes.missing {
                complain(&text);
            } else {
                session.note(&text);
            }
        }
        Ok(session)
    }

    /// Says something on standard error, beside the progress, unless notes are not wanted.
    pub fn note(&self, text: &str) {
        if !self.quiet {
            self.progress.suspend(|| complain(text));
        }
    }

    /// Runs one process of a cell and keeps its rows, which it returns. `None` if the user
    /// interrupted it: then there are none.
    pub fn attempt(
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
            row.environment = Some(environment_of(cell, row, &self.environment));
            row.void_without_time();
            complete(row);
            self.sink.write(row);
            if self.verbose {
                self.note(&in_words(cell, row));
            }
        }
        Some(rows)
    }

    /// Carries a plan out: what was not measured before.
    pub fn measure(&mut self, plan: &Plan) -> Result<(), Error> {
        let mut done = Done::of(plan, &self.rows).map_err(|row| {
            let path = shown(&self.sink.path);
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
        let mut budget = Budget::new(plan.budget, !plan.leaves_nothing_out, groups.len());
        let mut precision = Precision::of(plan, &self.rows);
        'rounds: for invocation in 1..=plan.invocations {
            let mut anything = false;
            let satisfied = precision.satisfied(plan, &groups, invocation);
            let is_comparison = |group: &[usize]| !plan.cells[group[0]].experiment;
            let mut comparisons =
                (groups.iter().zip(&satisfied)).filter(|(group, _)| is_comparison(group));
            let precise = comparisons.all(|(_, satisfied)| *satisfied);
            for (number, group) in groups.iter().enumerate() {
                let order = in_order(plan, group, invocation, precise);
                if satisfied[number] || order.is_empty() {
                    continue;
                }
                if !budget.allows(self.began.elapsed(), invocation, number) {
                    continue;
                }
                anything = true;
                let began = Instant::now();
                for index in order {
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
                    let again = done.is_again(index, invocation);
                    let started = Instant::now();
                    let rows = self.attempt(cell, &asked, plan.timeout, |row| {
                        row.again = again;
                        check(row, cell, &mut references);
                    });
                    let Some(rows) = rows else {
                        self.interrupted = true;
                        break 'rounds;
                    };
                    done.record(index, &rows, started.elapsed());
                    precision.note(index, &rows);
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
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// Takes note that the user has interrupted an attempt.
    pub(crate) fn interrupt(&mut self) {
        self.interrupted = true;
    }

    /// Whether the user has interrupted anything.
    pub fn is_interrupted(&self) -> bool {
        self.interrupted
    }

    /// The reports, and whether every cell has figures that count. `trials` are the attempts of a
    /// search that the plan rests on.
    pub fn end(mut self, plan: &Plan, trials: Vec<Row>) -> Result<bool, Error> {
        let mut results = Results::of_rows(std::mem::take(&mut self.rows));
        results.trials = trials;
        results.notes.append(&mut self.notes);
        let own = plan.report.as_ref();
        let mut complete = own.is_none_or(|own| own.is_complete(&results));
        match plan.format {
            Format::Answer | Format::Table => {
                let report = match &plan.report {
                    Some(own) => own.text(&results),
                    None => report::render(&results, plan.format, plan.chapters)
                        .expect("there are always words"),
                };
                self.sink.print(&report);
                let path = format!("\nResults: {}\n", shown(&self.sink.path));
                self.sink.print(&path);
                let (page, is_written) = self.page(&results, plan);
                complete &= is_written;
                self.sink.print(&page);
                if plan.format == Format::Answer {
                    self.sink.print(&format!(
                        "Tables:  harness report {} --format table; or run with --verbose\n",
                        shown(&self.sink.path)
                    ));
                }
            }
            Format::Json if plan.is_of_experiments() => {
                self.sink
                    .print(&report::json::chapters(&results, plan.chapters));
            }
            // They were printed as they came.
            Format::Json | Format::Csv => {}
            other => match report::render(&results, other, plan.chapters) {
                Ok(text) => self.sink.print(&text),
                Err(reason) => complain(&format!(
                    "{reason}; the results are in {}",
                    shown(&self.sink.path)
                )),
            },
        }
        // It was asked for by name, whatever is printed.
        let asked_for = own.is_some_and(|own| own.path().is_some());
        if asked_for && !matches!(plan.format, Format::Answer | Format::Table) {
            let (page, is_written) = self.page(&results, plan);
            complete &= is_written;
            self.note(page.trim_end());
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
        }) && planned > 0
            && complete
            && !plan.notes.missing)
    }

    /// Writes the page with plots beside the result file, or where its report wants it, and says
    /// where it is; or why there is none. Nothing if nothing was measured, or the results, beside
    /// which it would be, go to something that is no file. Also whether a page that was asked for
    /// by name is there.
    fn page(&self, results: &Results, plan: &Plan) -> (String, bool) {
        let own = plan.report.as_ref();
        let beside = self.sink.path.with_extension("html");
        let path: &Path = match own.and_then(|own| own.path()) {
            Some(path) => path,
            None if !self.sink.path.is_file() => return (String::new(), true),
            None => &beside,
        };
        let is_empty = results.cells.is_empty() && results.experiments.is_empty();
        if is_empty || path == self.sink.path {
            return (String::new(), true);
        }
        let written = match (own, report::heap::keeps(path)) {
            (Some(own), _) => report::html::save(&own.page(results), path),
            (None, Some(reason)) => Err(format!(
                "{reason}; name another file with harness report {} --html FILE",
                shown(&self.sink.path)
            )),
            (None, None) => report::html::write(results, plan.chapters, path),
        };
        match written {
            Ok(()) => (format!("Report:  {}\n", shown(path)), true),
            Err(reason) => {
                let asked_for = own.is_some_and(|own| own.path().is_some());
                (format!("No report: {reason}\n"), !asked_for)
            }
        }
    }

    /// That the user has interrupted the run, and how to go on.
    pub fn interruption(&self) -> Error {
        let path = &self.sink.path;
        Error::Interrupted {
            signal: interrupt::signal().unwrap_or(interrupt::SIGINT),
            message: format!(
                "interrupted; what was measured is kept. Go on with:\n  {}",
                resume_command(&self.environment.arguments, path, self.page.as_deref())
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

    /// Says when everything will have been run: each cell takes as long as it did before, or as
    /// long as the others.
    fn expect(&self, plan: &Plan, done: &Done, invocation: u32) {
        let end = match plan.budget {
            // None where that is past all time.
            Some(budget) => self.began.checked_add(budget),
            None => done
                .left(plan, invocation)
                .and_then(|left| Instant::now().checked_add(left)),
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

/// The indices of the cells of each group.
fn groups(plan: &Plan) -> Vec<Vec<usize>> {
    (0..plan.cells.len())
        .collect::<Vec<_>>()
        .chunk_by(|&a, &b| plan.cells[a].group == plan.cells[b].group)
        .map(<[usize]>::to_vec)
        .collect()
}

/// Every process of the plan in the order in which one machine runs them: the number of the
/// invocation, and the index of the cell.
pub fn in_rounds(plan: &Plan) -> Vec<(u32, usize)> {
    (1..=plan.invocations)
        .flat_map(|round| {
            in_round(plan, round)
                .into_iter()
                .map(move |cell| (round, cell))
        })
        .collect()
}

/// The cells of one round, from 1, in the order in which one machine runs them.
pub fn in_round(plan: &Plan, round: u32) -> Vec<usize> {
    let groups = groups(plan);
    groups
        .iter()
        .flat_map(|group| in_order(plan, group, round, false))
        .collect()
}

/// The order of a group's cells in a round, of those that are run in it: reversed in every other
/// one.
fn in_order(plan: &Plan, group: &[usize], invocation: u32, precise: bool) -> Vec<usize> {
    let cells = group.iter().copied();
    let mut order: Vec<usize> = cells
        .filter(|&cell| plan.cells[cell].is_in(invocation, precise))
        .collect();
    if invocation.is_multiple_of(2) {
        order.reverse();
    }
    order
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

/// Where a row of this cell was made; of a peer, with what its process said that it is, if it came
/// to that.
pub(crate) fn environment_of(cell: &Cell, row: &Row, environment: &Environment) -> Environment {
    let said = row.environment.as_ref();
    let said = said.and_then(|environment| environment.peer.clone());
    Environment {
        peer: said.or_else(|| cell.peer().map(peer::Found::environment)),
        ..environment.clone()
    }
}

/// Compares a measured row with its group's reference, or makes it that.
fn check(row: &mut Row, cell: &Cell, references: &mut HashMap<usize, Row>) {
    let Some(metrics) = row.metrics.as_ref().filter(|_| row.status == Status::Ok) else {
        return;
    };
    let reference = references.entry(cell.group).or_insert_with(|| row.clone());
    let expected = reference
        .metrics
        .as_ref()
        .expect("references were measured");
    if metrics.work() != expected.work() {
        row.message = Some(format!(
            "did other work than {}: checksum, operations, objects, payload bytes {:?} and not \
             {:?}",
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invocation::Metrics;
    use crate::plan::{self, Selection};
    use crate::workload::{self, Size};

    fn plan(heaps: &[&str], invocations: u32) -> Plan {
        let workloads = vec!["list".to_owned(), "rings".to_owned()];
        let heaps = heaps.iter().map(|&heap| heap.to_owned()).collect();
        let selection = Selection::new(workloads, heaps, Size::Tiny);
        Plan {
            invocations,
            ..Plan::new(
                plan::cells(&workload::standard(), &selection).unwrap().0,
                selection.size,
            )
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
        let mut plan = plan(&["gc-rc"], 3);
        plan.cells = vec![plan.cells[0].clone(); 6];
        plan.cells[4].rounds = Some(2);
        assert_eq!(in_order(&plan, &[3, 4, 5], 1, false), [3, 4, 5]);
        assert_eq!(in_order(&plan, &[3, 4, 5], 2, false), [5, 4, 3]);
        assert_eq!(in_order(&plan, &[3, 4, 5], 3, false), [3, 5]);
        // What is beside a comparison is not run more often for its precision; an experiment is.
        assert_eq!(in_order(&plan, &[3, 4, 5], 3, true), [3, 5]);
        plan.cells[4].experiment = true;
        assert_eq!(in_order(&plan, &[3, 4, 5], 3, false), [3, 5]);
        assert_eq!(in_order(&plan, &[3, 4, 5], 3, true), [3, 4, 5]);
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

    /// What has no figures and could have some is run again, once, unless it is to be left alone.
    #[test]
    fn accidents_are_run_again_and_results_are_not() {
        let plan = plan(&["gc-rc", "arena"], 2);
        let keeping = Plan {
            keep_failures: true,
            ..plan.clone()
        };
        for (status, is_result) in [
            (Status::Ok, true),
            (Status::HeapFull, true),
            (Status::Skipped, true),
            (Status::Void, true),
            (Status::Timeout, false),
            (Status::Crashed, false),
        ] {
            let row = Row {
                status,
                ..row(&plan, 1, "a")
            };
            let rows = [row];
            let done = Done::of(&plan, &rows).unwrap();
            assert_eq!(done.is_done(1, 1), is_result, "{status}");
            assert_eq!(done.is_again(1, 1), !is_result, "{status}");
            assert!(Done::of(&keeping, &rows).unwrap().is_done(1, 1), "{status}");
        }
        // It is there now.
        let failed = Row {
            status: Status::Timeout,
            iteration: 0,
            ..row(&plan, 1, "a")
        };
        let again = Row {
            again: true,
            ..row(&plan, 1, "a")
        };
        let done = Done::of(&plan, &[failed, again]).unwrap();
        assert!(done.is_done(1, 1) && !done.is_done(1, 2));
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
        let table = report::terminal::render(&results);
        let void_lines = table
            .lines()
            .filter(|line| line.trim_end().ends_with("void"))
            .count();
        assert_eq!(void_lines, 2, "{table}");
    }
}
