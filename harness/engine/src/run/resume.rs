//! Going on with an interrupted run: what is done, whether it may be gone on with here, and the
//! command that does.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use crate::environment::Environment;
use crate::invocation::{Row, Status};
use crate::message::{command_line, quote_path, shown};
use crate::plan::Plan;
use crate::results;

/// Which processes of a plan have been run, and how long they took.
#[derive(Debug)]
pub(super) struct Done {
    cells: Vec<DoneCell>,
}

#[derive(Clone, Debug, Default)]
struct DoneCell {
    invocations: Vec<u32>,
    /// Those that ended without figures before, and are run again.
    failed: Vec<u32>,
    /// No other process of this cell could end differently.
    is_final: bool,
    /// Of the processes that were run now.
    took: Vec<Duration>,
}

impl Done {
    /// What these rows say about the plan. A row that is not of the plan is given back.
    pub(super) fn of<'r>(plan: &Plan, rows: &'r [Row]) -> Result<Self, &'r Row> {
        let mut done = Self {
            cells: vec![DoneCell::default(); plan.cells.len()],
        };
        let mut open: BTreeMap<(usize, u32), Vec<Row>> = BTreeMap::new();
        for row in rows {
            let cell = Self::cell(plan, row).ok_or(row)?;
            let attempt = open.entry((cell, row.invocation.invocation)).or_default();
            if attempt
                .last()
                .is_some_and(|last| last.iteration >= row.iteration || last.status != Status::Ok)
            {
                attempt.clear();
            }
            attempt.push(row.clone());
            if !results::is_complete(attempt) {
                continue;
            }
            if is_accident(attempt) && !plan.keep_failures {
                done.cells[cell].failed.push(row.invocation.invocation);
            } else {
                done.record(cell, attempt, Duration::ZERO);
            }
        }
        for cell in &mut done.cells {
            cell.took.clear();
        }
        Ok(done)
    }

    /// The cell that a row is of.
    pub(super) fn cell(plan: &Plan, row: &Row) -> Option<usize> {
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

    pub(super) fn record(&mut self, cell: usize, attempt: &[Row], took: Duration) {
        let cell = &mut self.cells[cell];
        cell.invocations
            .extend(attempt.last().map(|row| row.invocation.invocation));
        cell.is_final |= attempt.iter().any(|row| is_final(row.status));
        cell.took.push(took);
    }

    /// Whether this process need not be run.
    pub(super) fn is_done(&self, cell: usize, invocation: u32) -> bool {
        let cell = &self.cells[cell];
        cell.is_final || cell.invocations.contains(&invocation)
    }

    /// Whether this process takes the place of one that ended without figures.
    pub(super) fn is_again(&self, cell: usize, invocation: u32) -> bool {
        self.cells[cell].failed.contains(&invocation)
    }

    /// The measured rows of these, with the groups of their cells.
    pub(super) fn measured<'r>(
        &self,
        plan: &'r Plan,
        rows: &'r [Row],
    ) -> impl Iterator<Item = (usize, &'r Row)> {
        rows.iter()
            .filter(|row| row.status == Status::Ok && row.metrics.is_some())
            .filter_map(|row| Some((plan.cells[Self::cell(plan, row)?].group, row)))
    }

    /// How long the rest will take from this round on; `None` before anything was run.
    pub(super) fn left(&self, plan: &Plan, invocation: u32) -> Option<Duration> {
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

/// Whether a complete attempt says nothing about the heap: another one may end otherwise.
pub fn is_accident(attempt: &[Row]) -> bool {
    attempt.last().is_some_and(|row| row.status.is_accident())
}

/// Whether another invocation could only end the same way, after the same time.
fn is_final(status: Status) -> bool {
    matches!(status, Status::HeapFull | Status::Skipped | Status::Timeout)
}

/// Whether rows may be gone on with by this program on this machine.
pub(super) fn same_build(path: &Path, rows: &[Row], here: &Environment) -> Result<(), String> {
    for there in rows.iter().filter_map(|row| row.environment.as_ref()) {
        let told = |what: &str, there: &str, here: &str| {
            format!(
                "{} was begun {what} ({there}; this is {here}); go on with it there, or begin \
                 anew without --resume",
                shown(path)
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

/// The command that goes on with a run that writes to `path`, and its page to `page`: of a result
/// file that is named it would be beside that.
pub(super) fn resume_command(arguments: &[String], path: &Path, page: Option<&Path>) -> String {
    let is_named = (arguments.iter()).any(|word| word == "--html" || word.starts_with("--html="));
    let mut command = Vec::new();
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        if argument == "--output" || argument == "--resume" {
            arguments.next();
        } else if !argument.starts_with("--output=") && !argument.starts_with("--resume=") {
            command.push(argument.clone());
        }
    }
    let named = page.filter(|_| !is_named).into_iter();
    let files = named.map(|page| ("--html", page));
    let files = files.chain([("--resume", path)]);
    files.fold(command_line(&command), |line, (option, file)| {
        format!("{line} {option} {}", quote_path(file))
    })
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    use super::*;

    #[test]
    fn the_command_that_goes_on_is_the_one_that_was_given() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let path = Path::new("results/a b.jsonl");
        let command = resume_command(
            &words("harness run list --output x.jsonl --threads 2"),
            path,
            None,
        );
        assert_eq!(
            command,
            "harness run list --threads 2 --resume 'results/a b.jsonl'"
        );
        let x = Path::new("x.jsonl");
        let again = resume_command(&words("harness --resume=x.jsonl"), x, None);
        assert_eq!(again, "harness --resume x.jsonl");
        // A page that would not be beside those results goes where it would have gone.
        let page = Some(Path::new("a b.html"));
        let command = resume_command(&words("harness heap a.dot"), x, page);
        assert_eq!(
            command,
            "harness heap a.dot --html 'a b.html' --resume x.jsonl"
        );
        for line in [
            "harness heap a.dot --html p.html",
            "harness heap --html=p a.dot",
        ] {
            let command = resume_command(&words(line), x, page);
            assert_eq!(command, format!("{line} --resume x.jsonl"));
        }
        let strange = Path::new(OsStr::from_bytes(b"r\xff"));
        let strange = resume_command(&words("harness"), strange, None);
        assert_eq!(strange, r"harness --resume $'\162\377'");
    }
}
