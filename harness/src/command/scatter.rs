//! A plan as independent command lines, for any batch engine: one process of one cell a line, in
//! any order, on any number of machines.
//!
//! `harness plan` prints the lines (as JSON, one object a line, if asked), `harness invoke` is what
//! a line runs, and `harness merge` joins the files that they have written. Each line has a file of
//! its own, so that nothing is shared; and it is idempotent: if its rows are in its file already,
//! it does nothing, so that a batch engine may repeat what it believes lost. A failure is repeated,
//! unless `--keep-failures` is given.
//!
//! ```text
//! harness plan run rings --invocations 20 | parallel
//! harness merge results/plan/*.jsonl --output rings.jsonl
//! ```
//!
//! The lines are in the order in which one machine would run them: interleaved, so that a queue
//! that is worked off in order keeps the heaps of one comparison close together. Checksums are
//! compared when the files are merged.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::adapter::{self, Settings};
use crate::invocation::{Invocation, Row, Status};
use crate::peer::{self, Search};
use crate::plan::{self, Cell, Plan, Subject};
use crate::results;
use crate::run::{Error, Session, in_rounds, is_accident};
use crate::workload::{self, Input};
use engine::message::command_line;

/// One process to run, with all that its rows say about it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Task {
    /// What it is asked to do.
    #[serde(flatten)]
    pub invocation: Invocation,
    /// [`Row::twin`].
    #[serde(default)]
    pub twin: bool,
    /// [`Row::experiment`].
    #[serde(default)]
    pub experiment: bool,
    /// [`Row::minimum_heap_bytes`].
    #[serde(default)]
    pub minimum_heap_bytes: Option<u64>,
}

/// A line, as `--json` prints it.
#[derive(Debug, Serialize)]
struct Line<'l> {
    /// From 1: an index for job arrays.
    number: usize,
    /// The command and its arguments.
    argv: &'l [String],
    /// Where it writes its rows.
    output: &'l Path,
    /// What it runs.
    task: &'l Task,
}

/// One command line a process of the plan. Each begins with `program`, and writes to a numbered
/// file in `directory`.
///
/// # Errors
///
/// A sentence, if a path is no text: no line could hold it for every shell and every batch engine.
pub fn lines(plan: &Plan, program: &OsStr, directory: &Path, json: bool) -> Result<String, String> {
    let text_of = |what: &str, path: &OsStr, way_out: &str| {
        path.to_str().map(str::to_owned).ok_or_else(|| {
            format!(
                "{what} is not UTF-8, and cannot be part of a plan ({}): {way_out}",
                path.display()
            )
        })
    };
    let program = text_of(
        "the path of this program",
        program,
        "call it by another name",
    )?;
    text_of(
        "the directory of the results",
        directory.as_os_str(),
        "name another with --directory",
    )?;
    let mut text = String::new();
    for (index, (invocation, cell)) in in_rounds(plan).into_iter().enumerate() {
        let cell = &plan.cells[cell];
        let task = Task {
            invocation: cell.invocation(plan, invocation),
            twin: cell.twin,
            experiment: cell.experiment,
            minimum_heap_bytes: cell.minimum_heap_bytes,
        };
        let output = directory.join(format!("{:06}.jsonl", index + 1));
        let argv = [
            program.clone(),
            "invoke".to_owned(),
            "--output".to_owned(),
            output.display().to_string(),
            "--timeout".to_owned(),
            humantime::format_duration(plan.timeout)
                .to_string()
                .replace(' ', ""),
            serde_json::to_string(&task).expect("tasks are JSON"),
        ];
        let line = if json {
            let line = Line {
                number: index + 1,
                argv: &argv,
                output: &output,
                task: &task,
            };
            serde_json::to_string(&line).expect("lines are JSON")
        } else {
            command_line(&argv)
        };
        text.push_str(&line);
        text.push('\n');
    }
    Ok(text)
}

/// Where the files of a plan go by default.
pub fn directory() -> PathBuf {
    PathBuf::from("results").join("plan")
}

/// The cell that a task is of.
///
/// # Errors
///
/// A sentence: this program does not know its workload, heap or options, or the peer is not here.
pub fn cell(known: &[workload::Description], task: &Task) -> Result<Cell, String> {
    let invocation = &task.invocation;
    let workload = known
        .iter()
        .find(|workload| workload.name == invocation.workload)
        .ok_or_else(|| format!("this program has no workload '{}'", invocation.workload))?;
    check_numbers(invocation)?;
    let mut input = Input::new(workload, invocation.size);
    input.threads = invocation.threads;
    input.seed = invocation.seed;
    for (name, value) in &invocation.parameters {
        input.set(workload, name, &value.to_string())?;
    }
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
    })
}

/// What the command line checks where it makes a plan, a task brings along, from whoever wrote it.
fn check_numbers(invocation: &Invocation) -> Result<(), String> {
    let rounds = u64::from(plan::MOST_ROUNDS);
    let numbers = [
        (
            "threads",
            invocation.threads as u64,
            u64::from(plan::MOST_THREADS),
        ),
        ("iterations", u64::from(invocation.iterations), rounds),
        ("invocation", u64::from(invocation.invocation), rounds),
        ("heap_bytes", invocation.heap_bytes, plan::MOST_BYTES),
    ];
    for (name, number, most) in numbers {
        if !(1..=most).contains(&number) {
            return Err(format!(
                "the task's {name} cannot be {number}: expected a whole number from 1 to {most}"
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
pub fn run(plan: &Plan, task: &Task) -> Result<bool, Error> {
    if let Some(parent) = plan.output.as_deref().and_then(Path::parent) {
        // What cannot be made is met again, and named, when the file is opened.
        let _ = fs::create_dir_all(parent);
    }
    let existing = plan.output.clone().filter(|path| path.is_file());
    let plan = &Plan {
        resume: existing,
        ..plan.clone()
    };
    let mut session = Session::begin(plan)?;
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::plan::{self, Selection};
    use crate::workload::Size;

    #[test]
    fn lines_are_the_plan_and_can_be_read_again() {
        let selection = Selection {
            workloads: vec!["list:nodes=77".to_owned()],
            heaps: vec!["gc-rc:cycle=none".to_owned(), "arena".to_owned()],
            peers: Vec::new(),
            search: Search::default(),
            threads: vec![1],
            heap_bytes: None,
            size: Size::Tiny,
            seed: 1,
        };
        let plan = Plan {
            invocations: 2,
            timeout: Duration::from_secs(1),
            ..Plan::new(
                plan::cells(&workload::standard(), &selection).unwrap().0,
                selection.size,
            )
        };
        let program = OsStr::new("harness");
        let text = lines(&plan, program, Path::new("out"), false).unwrap();
        assert_eq!(text.lines().count(), 4);
        let first = text.lines().next().unwrap();
        assert!(first.starts_with("harness invoke --output out/000001.jsonl --timeout 1s '{"));

        let json = lines(&plan, program, Path::new("out"), true).unwrap();
        let heaps: Vec<String> = json
            .lines()
            .map(|line| {
                let line: serde_json::Value = serde_json::from_str(line).unwrap();
                let task: Task = serde_json::from_value(line["task"].clone()).unwrap();
                let argument = line["argv"].as_array().unwrap().last().unwrap();
                let again: Task = serde_json::from_str(argument.as_str().unwrap()).unwrap();
                assert_eq!(task, again);
                let cell = cell(&workload::standard(), &task).unwrap();
                let number = task.invocation.invocation;
                assert_eq!(cell.invocation(&plan, number), task.invocation);
                format!("{}{number}", task.invocation.heap)
            })
            .collect();
        assert_eq!(heaps, ["gc-rc1", "arena1", "arena2", "gc-rc2"]);
    }
}
