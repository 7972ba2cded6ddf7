//! `harness plan`: an engine's [`Plan`](plan::Plan) as independent command lines, for any batch
//! engine; one process of one cell a line, in any order, on any number of machines.
//!
//! It prints the lines (as JSON, one object a line, if asked); `harness invoke` is what a line runs
//! and `harness merge` joins the files that they have written. Each line has a file of its own, so
//! that nothing is shared; and it is idempotent: if its rows are in its file already, it does
//! nothing, so that a batch engine may repeat what it believes lost. A failure is repeated, unless
//! `--keep-failures` is given.
//!
//! With `--missing` it prints the lines whose rows are not in their files yet, under their old
//! numbers: a queue in which each line costs seconds is then given only what was lost, and a plan
//! of which nothing is missing can be merged. Neither could be told from the files alone.
//!
//! ```text
//! harness plan run rings --invocations 20 --missing | parallel
//! harness merge results/plan/*.jsonl --output rings.jsonl
//! ```
//!
//! `docs/many-machines.md` has the recipes; `.ci/many-machines` runs them.
//!
//! The lines are in the order in which one machine would run them: interleaved, so that a queue
//! that is worked off in order keeps the heaps of one comparison close together. Checksums are
//! compared when the files are merged.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde::Serialize;

use super::invoke::{Standing, Task};
use super::{Command, Context, Examples, print, run, sweep};
use engine::environment;
use engine::message::{Error, command_line, shown};
use engine::plan;
use engine::run::in_rounds;

/// Print the processes of a run or a sweep as independent command lines, for many machines
#[derive(Debug, Args)]
pub(crate) struct Plan {
    #[command(subcommand)]
    planned: Planned,
    /// One JSON object a line
    #[arg(long, global = true)]
    json: bool,
    /// Where the processes write their rows, each to a file of its own [default: results/plan]
    #[arg(long, value_name = "DIRECTORY", global = true)]
    directory: Option<PathBuf>,
    /// Only what has no figures there yet
    #[arg(long, global = true)]
    missing: bool,
}

#[derive(Debug, Subcommand)]
enum Planned {
    /// Chosen workloads on chosen heaps
    Run(run::Run),
    /// The same over heap sizes; the minima must be known (--minima)
    Sweep(sweep::Sweep),
}

impl Command for Plan {
    const NAME: &'static str = "plan";
    const EXAMPLES: Examples = &[("plan run rings --invocations 20 | parallel", "")];

    fn run(self, context: &Context) -> Result<bool, Error> {
        let plan = match self.planned {
            Planned::Run(run) => run.plan(context)?,
            Planned::Sweep(sweep) => sweep.plan(context)?,
        };
        let directory = self.directory.unwrap_or_else(|| "results/plan".into());
        let lines = lines(&plan, &context.program, &directory, self.json, self.missing);
        let lines = lines.map_err(Error::NotRun)?;
        for note in &plan.notes.lines {
            context.tell(&format!("note: {note}"));
        }
        Ok(print(&lines)? && !plan.notes.missing)
    }
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
/// file in `directory`; those that are done are left out if only what is `missing` is asked for.
///
/// # Errors
///
/// A sentence, if a path is no text: no line could hold it for every shell and every batch engine;
/// or as of [`Standing::read`].
fn lines(
    plan: &plan::Plan,
    program: &OsStr,
    directory: &Path,
    json: bool,
    missing: bool,
) -> Result<String, String> {
    let text_of = |what: &str, path: &OsStr, way_out: &str| {
        path.to_str().map(str::to_owned).ok_or_else(|| {
            format!(
                "{what} is not UTF-8, and cannot be part of a plan ({}): {way_out}",
                shown(path)
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
    let here = missing.then(environment::read);
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
        if let Some(here) = &here {
            let standing = Standing::read(&output, &task, plan.keep_failures, here)?;
            if matches!(standing, Standing::Done { .. }) {
                continue;
            }
        }
        let mut argv = vec![
            program.clone(),
            "invoke".to_owned(),
            "--output".to_owned(),
            output.display().to_string(),
            "--timeout".to_owned(),
            humantime::format_duration(plan.timeout)
                .to_string()
                .replace(' ', ""),
        ];
        if plan.keep_failures {
            argv.push("--keep-failures".to_owned());
        }
        argv.push(serde_json::to_string(&task).expect("tasks are JSON"));
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

#[cfg(test)]
mod tests {
    use clap::FromArgMatches;

    use super::super::invoke::cell;
    use super::*;
    use crate::cli::context;
    use engine::workload;

    #[test]
    fn lines_are_the_plan_and_can_be_read_again() {
        let context = context(
            "harness run list:nodes=77 --heap gc-rc:cycle=none,arena --size tiny --invocations 2 \
             --aa none --timeout 1s",
        );
        let run = run::Run::from_arg_matches(&context.matches).unwrap();
        let plan = run.plan(&context).unwrap();
        let program = OsStr::new("harness");
        let text = lines(&plan, program, Path::new("out"), false, false).unwrap();
        assert_eq!(text.lines().count(), 4);
        let first = text.lines().next().unwrap();
        assert!(first.starts_with("harness invoke --output out/000001.jsonl --timeout 1s '{"));

        let json = lines(&plan, program, Path::new("out"), true, false).unwrap();
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
