//! `harness invoke`: what a line of `harness plan` runs.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use serde::{Deserialize, Serialize};

use super::{Command, Context};
use crate::arguments::unless_interrupted;
use engine::adapter::{self, Settings};
use engine::invocation::{Invocation, Row, Status};
use engine::message::Error;
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
        carry_out(Plan { iterations, ..plan }, &task)
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

/// Runs a task, unless its rows are in its file already, and writes them. Says whether it was
/// measured.
///
/// # Errors
///
/// If the file cannot be read or written, or the user interrupts.
fn carry_out(mut plan: Plan, task: &Task) -> Result<bool, Error> {
    if let Some(parent) = plan.output.as_deref().and_then(Path::parent) {
        // What cannot be made is met again, and named, when the file is opened.
        let _ = fs::create_dir_all(parent);
    }
    plan.resume = plan.output.clone().filter(|path| path.is_file());
    let mut session = Session::begin(&plan)?;
    let is_ok = |rows: &[Row]| {
        let mut rows = rows.iter();
        rows.all(|row| matches!(row.status, Status::Ok | Status::Skipped))
    };
    let attempts: Vec<&[Row]> = session
        .rows()
        .chunk_by(|a, b| a.invocation == b.invocation && a.iteration < b.iteration)
        .filter(|rows| rows[0].invocation == task.invocation && results::is_complete(rows))
        .collect();
    let settled = |rows: &&&[Row]| plan.keep_failures || !is_accident(rows);
    if let Some(rows) = attempts.iter().find(settled) {
        session.note("note: its rows are in the file already; nothing was run");
        return Ok(is_ok(rows));
    }
    // What ended without figures may be what the batch engine repeats it for.
    let again = !attempts.is_empty();
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
