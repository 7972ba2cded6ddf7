//! `harness invoke`: what a line of `harness plan` runs.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use serde::{Deserialize, Serialize};

use super::{Command, Context};
use crate::arguments::unless_interrupted;
use engine::adapter::{self, Settings};
use engine::environment::{self, Environment};
use engine::invocation::{Invocation, Row, Status};
use engine::message::{Error, shown};
use engine::peer::{self, Search};
use engine::plan::{self, Cell, Notes, Plan, Subject};
use engine::results;
use engine::run::{Session, is_accident};
use engine::workload::{Description, Input};

/// Carry out one process of a plan
#[derive(Debug, Args)]
pub(crate) struct Invoke {
    /// What the plan says
    #[arg(value_name = "JSON")]
    task: String,
}

impl Command for Invoke {
    const NAME: &'static str = "invoke";

    fn run(self, context: &Context) -> Result<bool, Error> {
        let task: Task = serde_json::from_str(&self.task)
            .map_err(|error| Error::NotRun(format!("not a line of harness plan: {error}")))?;
        let cell = unless_interrupted(cell(&context.workloads, &task))?;
        let Invocation {
            size, iterations, ..
        } = task.invocation;
        let plan = context.reporting.plan(vec![cell], Notes::default(), size);
        carry_out(Plan { iterations, ..plan }, &task, context)
    }
}

/// One process to run, with all that its rows say about it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Task {
    /// What it is asked to do.
    #[serde(flatten)]
    pub(crate) invocation: Invocation,
    /// [`Row::twin`].
    #[serde(default)]
    pub(crate) twin: bool,
    /// [`Row::experiment`].
    #[serde(default)]
    pub(crate) experiment: bool,
    /// [`Row::minimum_heap_bytes`].
    #[serde(default)]
    pub(crate) minimum_heap_bytes: Option<u64>,
}

impl Task {
    /// Whether a row is one of this process's.
    fn is_of(&self, row: &Row) -> bool {
        self.invocation == row.invocation
            && self.twin == row.twin
            && self.experiment == row.experiment
            && self.minimum_heap_bytes == row.minimum_heap_bytes
    }
}

/// The cell that a task is of.
///
/// # Errors
///
/// A sentence: this program does not know its workload, heap or options, or the peer is not here.
pub(super) fn cell(known: &[Description], task: &Task) -> Result<Cell, String> {
    let invocation = &task.invocation;
    let workload = known
        .iter()
        .find(|workload| workload.name == invocation.workload)
        .ok_or_else(|| unknown(invocation))?;
    check_numbers(invocation)?;
    let input = input(workload, invocation)?;
    let subject = if peer::describe(&invocation.heap).is_ok() {
        Subject::Peer(find_peer(invocation)?)
    } else {
        let heap = adapter::find(&invocation.heap)?;
        let mut settings = Settings::of(heap, invocation.heap_bytes);
        for (name, value) in &invocation.options {
            settings.set(heap, name, value)?;
        }
        Subject::Heap(heap, settings)
    };
    Ok(Cell {
        group: 0,
        workload: *workload,
        input,
        workload_label: invocation.workload.clone(),
        heap_label: invocation.heap.clone(),
        subject,
        heap_bytes: invocation.heap_bytes,
        limited: true,
        twin: task.twin,
        experiment: task.experiment,
        minimum_heap_bytes: task.minimum_heap_bytes,
        rounds: None,
        iterations: None,
    })
}

/// That a workload was brought along by another program.
pub(super) fn unknown(invocation: &Invocation) -> String {
    format!("this program has no workload '{}'", invocation.workload)
}

/// What an invocation gives to its workload.
///
/// # Errors
///
/// A sentence, if the workload does not take one of the parameters.
pub(super) fn input(workload: &Description, invocation: &Invocation) -> Result<Input, String> {
    let mut input = Input::new(workload, invocation.size);
    input.threads = invocation.threads;
    input.seed = invocation.seed;
    for (name, value) in &invocation.parameters {
        input.set(workload, name, &value.to_string())?;
    }
    if let Some(file) = &invocation.file {
        input.set(workload, "file", file)?;
    }
    workload.check(&input)?;
    Ok(input)
}

/// What the command line checks where it makes a plan, a task brings along, from whoever wrote it.
fn check_numbers(invocation: &Invocation) -> Result<(), String> {
    let rounds = u64::from(plan::MOST_ROUNDS);
    let threads = u64::from(plan::MOST_THREADS);
    let numbers = [
        ("threads", invocation.threads as u64, 1..=threads),
        ("iterations", u64::from(invocation.iterations), 0..=rounds),
        ("invocation", u64::from(invocation.invocation), 1..=rounds),
        ("heap_bytes", invocation.heap_bytes, 1..=plan::MOST_BYTES),
    ];
    for (name, number, range) in numbers {
        if !range.contains(&number) {
            let (least, most) = range.into_inner();
            return Err(format!(
                "the task's {name} cannot be {number}: expected a whole number from {least} to \
                 {most}"
            ));
        }
    }
    Ok(())
}

/// The peer that the plan named, built. A program that lies elsewhere on this machine is another
/// installation, and is not taken for it.
fn find_peer(invocation: &Invocation) -> Result<peer::Found, String> {
    let program = invocation.options.get("program").map(PathBuf::from);
    let of = |kind: &str| {
        let program = program.iter();
        program
            .filter(|_| invocation.heap.starts_with(kind))
            .cloned()
            .collect()
    };
    let search = Search {
        java: of("hotspot"),
        python: of("cpython"),
    };
    let (mut found, mut notes) = peer::choose(std::slice::from_ref(&invocation.heap), &search)?;
    found.retain(|peer| peer.options() == invocation.options);
    found.truncate(1);
    notes.extend(peer::build(&mut found, &[&invocation.workload])?);
    found.pop().ok_or_else(|| {
        let options: &BTreeMap<String, String> = &invocation.options;
        let option = |name| options.get(name).map_or("", String::as_str);
        let notes: String = notes.iter().map(|note| format!("; {note}")).collect();
        format!(
            "{} ({} at {}) is not on this machine{notes}",
            invocation.heap,
            option("version"),
            option("program"),
        )
    })
}

/// How a task stands by the rows of its file.
pub(super) enum Standing {
    /// It is done, and was measured or not.
    Done { is_ok: bool },
    /// It is to be run: again, if it was run and ended without figures.
    Open { is_again: bool },
}

impl Standing {
    /// Reads the file. On which machine its rows were made does not matter: what is done is not
    /// run again, wherever the batch engine repeats it.
    ///
    /// # Errors
    ///
    /// A sentence: the file cannot be read, or has rows of another plan or another build. A
    /// directory that is used twice would have both in one table.
    pub(super) fn read(
        path: &Path,
        task: &Task,
        keep_failures: bool,
        here: &Environment,
    ) -> Result<Self, String> {
        if !path.is_file() {
            return Ok(Self::Open { is_again: false });
        }
        // What is wrong with the end of the file is said when it is gone on with, or merged.
        let (rows, _) = results::read_rows(path)?;
        let shown = shown(path);
        let way_out = "name another --directory in harness plan, or remove the file";
        if let Some(row) = rows.iter().find(|row| !task.is_of(row)) {
            return Err(format!(
                "{shown} has rows of {} on {}, process {}, which are not of this plan: {way_out}",
                row.invocation.workload, row.invocation.heap, row.invocation.invocation
            ));
        }
        let mut environments = rows.iter().filter_map(|row| row.environment.as_ref());
        if let Some(there) = environments.find(|there| there.build() != here.build()) {
            return Err(format!(
                "{shown} was begun with another build ({}; this is {}): {way_out}",
                there.build(),
                here.build()
            ));
        }
        let attempts: Vec<&[Row]> = rows
            .chunk_by(|a, b| a.iteration < b.iteration)
            .filter(|rows| results::is_complete(rows))
            .collect();
        let settled = |rows: &&&[Row]| keep_failures || !is_accident(rows);
        Ok(match attempts.iter().find(settled) {
            Some(rows) => Self::Done { is_ok: is_ok(rows) },
            // What ended without figures may be what the batch engine repeats it for.
            None => Self::Open {
                is_again: !attempts.is_empty(),
            },
        })
    }
}

/// Whether these iterations have what they were run for.
fn is_ok(rows: &[Row]) -> bool {
    let mut rows = rows.iter();
    rows.all(|row| matches!(row.status, Status::Ok | Status::Skipped))
}

/// Runs a task, unless its rows are in its file already, and writes them. Says whether it was
/// measured.
///
/// # Errors
///
/// If the file cannot be read or written, is of another plan or build, or was left half done on
/// another machine; or if the user interrupts.
fn carry_out(mut plan: Plan, task: &Task, context: &Context) -> Result<bool, Error> {
    if let Some(parent) = plan.output.as_deref().and_then(Path::parent) {
        // What cannot be made is met again, and named, when the file is opened.
        let _ = fs::create_dir_all(parent);
    }
    let standing = plan.output.as_deref().map(|path| {
        Standing::read(path, task, plan.keep_failures, &environment::read()).map_err(Error::NotRun)
    });
    let again = match standing.transpose()? {
        Some(Standing::Done { is_ok }) => {
            context.tell("note: its rows are in the file already; nothing was run");
            return Ok(is_ok);
        }
        Some(Standing::Open { is_again }) => is_again,
        None => false,
    };
    plan.resume = plan.output.clone().filter(|path| path.is_file());
    let mut session = Session::begin(&plan)?;
    let cell = &plan.cells[0];
    let attempted = session.attempt(cell, &task.invocation, plan.timeout, |row| {
        row.again = again
    });
    let Some(rows) = attempted else {
        return Err(session.interruption());
    };
    for row in rows.iter().filter(|row| row.status != Status::Ok) {
        let message = row.message.as_deref().unwrap_or_default();
        session.note(&format!("{cell}: {}: {message}", row.status));
    }
    session.sink.finish().map_err(Error::NotWritten)?;
    Ok(is_ok(&rows))
}
