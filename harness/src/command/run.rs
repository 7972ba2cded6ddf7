//! `harness run`, and what is run without a command.

use std::time::Duration;

use clap::{Args, FromArgMatches};

use super::{Command, Context, Examples, list};
use crate::arguments::{Amount, Chosen};
use engine::message::Error;
use engine::plan::{self, Format, Plan, Twins};
use engine::run;
use engine::workload::{self, Description};

/// The time that the standard comparison takes at most, if two processes for each pair fit into it.
const STANDARD_BUDGET: Duration = Duration::from_secs(87);

/// Rounds of a comparison at most, should the budget allow more.
const STANDARD_ROUNDS: u32 = 40;

/// Where a comparison's interval ends within this factor of its ratio, the time is better spent on
/// another.
const STANDARD_PRECISION: f64 = 1.04;

/// Rounds of what is shown beside the comparison and decides nothing: the arena, the floor.
const ROUNDS_BESIDE: u32 = 2;

/// Run chosen workloads on chosen heaps
#[derive(Debug, Args)]
pub(crate) struct Run {
    #[command(flatten)]
    chosen: Chosen,
    /// Limit for each heap in bytes, headers and metadata included: 64M, 1.5G
    /// [default: about twice what the workload needs]
    #[arg(long, value_name = "BYTES", value_parser = plan::parse_bytes)]
    heap_size: Option<u64>,
    #[command(flatten)]
    amount: Amount,
}

impl Command for Run {
    const NAME: &'static str = "run";
    const EXAMPLES: Examples = &[
        ("run rings", "one workload on every heap"),
        ("run binary-trees:depth=18 --heap-size 64M", ""),
        (
            "run countdown --threads 1,2 --heap gc-rc --heap gc-marksweep",
            "",
        ),
        ("run rings --heap gc-rc --heap gc-rc:cycle=none", ""),
        (
            "run binary-trees --heap gc-marksweep,gc-rc --peer hotspot-serial,boehm",
            "",
        ),
        (
            "run --budget 30s",
            "as many processes as fit into half a minute",
        ),
        (
            "run --size full --invocations 10 --iterations 5 --timeout 10m",
            "",
        ),
        (
            "run churn --format csv --output churn.jsonl > churn.csv",
            "",
        ),
    ];

    fn extend_help(command: clap::Command, workloads: &[Description]) -> clap::Command {
        list::beneath(command, workloads)
    }

    fn run(self, context: &Context) -> Result<bool, Error> {
        run::run(&self.plan(context)?)
    }
}

impl Run {
    /// What is to be run.
    ///
    /// # Errors
    ///
    /// As of [`Chosen::plan`].
    pub(crate) fn plan(&self, context: &Context) -> Result<Plan, Error> {
        context.plan(&self.chosen, self.heap_size, &self.amount)
    }

    /// `harness run` without arguments is the standard comparison.
    fn standard() -> Self {
        let command = Self::augment_args(clap::Command::new(Self::NAME));
        let matches = command.get_matches_from([Self::NAME]);
        let run = Self::from_arg_matches(&matches);
        let mut run = run.expect("every argument has a default");
        // Together with the report, what fits into a minute and a half.
        run.amount.invocations = Some(STANDARD_ROUNDS);
        run.amount.iterations = 2;
        run.amount.budget = Some(STANDARD_BUDGET);
        run.amount.twins = Twins::Some;
        run
    }
}

/// Runs what is run without a command.
///
/// # Errors
///
/// As of [`run::run`].
pub(crate) fn run_standard(context: &Context) -> Result<bool, Error> {
    run::run(&standard(context)?)
}

/// The standard comparison, and, of a program that has the standard workloads, the claims in their
/// short form. The comparison comes first in each round: a budget leaves out what comes last. Once
/// it is precise enough, the time that is left goes to the claims.
fn standard(context: &Context) -> Result<Plan, Error> {
    let mut plan = Run::standard().plan(context)?;
    plan.precision = Some(STANDARD_PRECISION);
    if context.reporting.format.is_none() && !context.reporting.verbose {
        plan.format = Format::Answer;
    }
    for cell in plan.cells.iter_mut().filter(|cell| !cell.limited) {
        cell.rounds = Some(ROUNDS_BESIDE);
    }
    let has = |name| (context.workloads.iter()).any(|workload| workload.name == name);
    if workload::standard()
        .iter()
        .all(|workload| has(workload.name))
    {
        let mut cells = claims::standard(plan.size).map_err(Error::NotRun)?;
        let groups = plan.cells.last().map_or(0, |cell| cell.group + 1);
        for cell in &mut cells {
            cell.group += groups;
        }
        plan.cells.append(&mut cells);
    }
    Ok(plan)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::context;
    use engine::adapter;
    use engine::workload::Size;

    fn plan(line: &str) -> Plan {
        let context = context(line);
        let run = Run::from_arg_matches(&context.matches).unwrap();
        run.plan(&context).unwrap()
    }

    #[test]
    fn no_command_is_the_standard_comparison() {
        let plan = standard(&context("harness")).unwrap();
        assert_eq!(
            (plan.invocations, plan.iterations, plan.size),
            (STANDARD_ROUNDS, 2, Size::Small)
        );
        let (experiments, cells): (Vec<_>, Vec<_>) =
            plan.cells.iter().partition(|cell| cell.experiment);
        assert!(plan.cells.is_sorted_by_key(|cell| cell.group));
        assert!(!experiments.is_empty());
        let (twins, cells): (Vec<_>, Vec<_>) = cells.into_iter().partition(|cell| cell.twin);
        assert_eq!(
            cells.len(),
            workload::standard().len() * adapter::HEAPS.len()
        );
        assert_eq!(twins.len(), workload::standard().len().div_ceil(4));
        assert_eq!(plan.timeout, Duration::from_secs(60));
    }

    #[test]
    fn reporting_options_go_before_or_after_the_command() {
        let before = plan("harness --quiet --timeout 2s run binary-trees");
        let after = plan("harness run binary-trees --quiet --timeout 2s");
        assert!(before.quiet && after.quiet);
        assert_eq!(
            (before.timeout, after.timeout),
            (Duration::from_secs(2), Duration::from_secs(2))
        );
    }

    #[test]
    fn threads_and_sizes() {
        let plan = plan("harness run binary-trees --threads 1,2 --heap arena --heap-size 1G");
        let threads: Vec<_> = plan.cells.iter().map(|cell| cell.input.threads).collect();
        assert_eq!(threads, [1, 2]);
        assert_eq!(plan.cells[0].heap_bytes, 1 << 30);
    }
}
