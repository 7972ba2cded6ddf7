//! The command line: read and checked once, into a [`Plan`].

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::adapter;
use crate::invocation::{Invocation, format_bytes};
use crate::peer::{self, Search};
use crate::plan::{self, Format, Plan, Selection};
use crate::workload::{self, Input, Size};

const ABOUT: &str = "Runs the same object-graph work on a reference-counting heap behind a global lock (gc-rc), on a stop-the-world \
mark-sweep heap (gc-marksweep) and on an arena that never frees, and shows what each costs in time, pauses and memory.

Without a command it runs the standard comparison: every workload on every heap at equal heap size, three processes for each pair, \
within about 90 seconds.";

const EXAMPLES: &str = "Examples:
  harness                                     the standard comparison
  harness list                                workloads, heaps and peers, with parameters, options and defaults
  harness run rings                           one workload on every heap
  harness run binary-trees:depth=18 --heap-size 64M
  harness run countdown --threads 1,2 --heap gc-rc --heap gc-marksweep
  harness run rings --heap gc-rc --heap gc-rc:cycle=none
  harness run binary-trees --heap gc-marksweep,gc-rc --peer hotspot-serial,boehm
  harness minheap churn --heap gc-marksweep --peer hotspot-serial --output minima.jsonl
  harness run --size full --invocations 10 --iterations 5 --timeout 10m
  harness run churn --format csv --output churn.jsonl > churn.csv

Exit status:
  0  every pair of workload and heap was measured (or skipped, where the arena would need more memory than there is)
  1  some pair has no figures (heap full, timeout, crash), or its heaps did not do the same work; the others were measured
  2  the command line is wrong, or the result file cannot be opened; nothing was run
  3  standard output or the result file could not be written to the end; rows that are missing in the file
     are printed on standard error";

#[derive(Debug, Parser)]
#[command(name = "harness", version, about = ABOUT, after_help = EXAMPLES, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    reporting: Reporting,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show workloads, heaps and peers, with their parameters, options and defaults
    List,
    /// Run chosen workloads on chosen heaps
    Run(Run),
    /// Find the smallest heap size at which chosen workloads complete on chosen heaps
    Minheap(Chosen),
    /// Carry out one invocation in this process: how the other commands start their children
    #[command(hide = true)]
    Child {
        /// The invocation, as JSON
        invocation: String,
        /// End when standard input does
        #[arg(long)]
        attended: bool,
    },
}

/// What to run, and on what.
#[derive(Debug, Args)]
struct Chosen {
    /// Workloads, each NAME[:parameter=value,...] [default: all]
    #[arg(value_name = "WORKLOAD")]
    workloads: Vec<String>,
    /// A heap, NAME[:option=value,...]; may be repeated, or several separated by commas [default: all]
    #[arg(long = "heap", value_name = "HEAP")]
    heaps: Vec<String>,
    /// Another runtime to run beside the heaps; may be repeated, or several separated by commas
    #[arg(long = "peer", value_name = "PEER", value_delimiter = ',')]
    peers: Vec<String>,
    /// A Java virtual machine for the peers: the program or its JDK's directory; may be repeated [default: java on PATH]
    #[arg(long = "java", value_name = "PATH", requires = "peers")]
    javas: Vec<PathBuf>,
    /// A Python interpreter for the peer cpython: the program or its installation's directory; may be repeated [default: python3 on PATH]
    #[arg(long = "python", value_name = "PATH", requires = "peers")]
    pythons: Vec<PathBuf>,
    /// Mutator threads over which the work is split; several numbers are compared
    #[arg(long, value_name = "N,...", value_delimiter = ',', default_value = "1", value_parser = clap::value_parser!(u32).range(1..=1024))]
    threads: Vec<u32>,
    /// How much work
    #[arg(long, value_enum, default_value_t)]
    size: Size,
    /// Where pseudo-random sequences start
    #[arg(long, value_name = "N", default_value_t = 42)]
    seed: u64,
}

#[derive(Debug, Args)]
struct Run {
    #[command(flatten)]
    chosen: Chosen,
    /// Limit for each heap in bytes, headers and metadata included: 64M, 1.5G
    /// [default: about twice what the workload needs]
    #[arg(long, value_name = "BYTES", value_parser = plan::parse_bytes)]
    heap_size: Option<u64>,
    /// Timed iterations in each process, after one that warms up
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    iterations: u32,
    /// Processes for each pair of workload and heap
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    invocations: u32,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Reporting")]
struct Reporting {
    /// What to print on standard output
    #[arg(long, value_enum, default_value_t, global = true)]
    format: Format,
    /// Where to append the results, one JSON row a line [default: a new file in results/]
    #[arg(long, value_name = "FILE", global = true)]
    output: Option<PathBuf>,
    /// How long one process may take before it is killed and reported
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = timeout, global = true)]
    timeout: Duration,
    /// Print no progress and no notes on standard error
    #[arg(long, short, global = true)]
    quiet: bool,
}

/// What to do.
#[derive(Debug)]
pub(crate) enum Action {
    /// Print this and stop.
    Print(String),
    /// Compare.
    Compare(Box<Plan>),
    /// Find the smallest heap of each cell.
    FindMinimum(Box<Plan>),
    /// Be a child.
    Child {
        /// What to carry out.
        invocation: Box<Invocation>,
        /// Whether to end with the parent.
        attended: bool,
    },
}

/// Why there is nothing to do.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// clap's own message, or help; it knows where to print it and with which status to end.
    Clap(clap::Error),
    /// One line for standard error.
    Usage(String),
}

/// Reads the arguments, the program's name first.
pub(crate) fn parse(
    workloads: &[workload::Description],
    arguments: impl IntoIterator<Item = std::ffi::OsString>,
) -> Result<Action, Refusal> {
    let catalogue = catalogue(workloads);
    let command = Cli::command().mut_subcommand("run", |run| {
        run.after_help(
            "Workloads, heaps, peers and their settings: harness list, or harness run --help",
        )
        .after_long_help(catalogue.clone() + &peers(&Search::default(), false))
    });
    let matches = command
        .try_get_matches_from(arguments)
        .map_err(Refusal::Clap)?;
    let cli = Cli::from_arg_matches(&matches).map_err(Refusal::Clap)?;
    let run = match cli.command {
        Some(Command::List) => {
            return Ok(Action::Print(catalogue + &peers(&Search::default(), true)));
        }
        Some(Command::Child {
            invocation,
            attended,
        }) => {
            return serde_json::from_str(&invocation)
                .map(|invocation| Action::Child {
                    invocation: Box::new(invocation),
                    attended,
                })
                .map_err(|error| Refusal::Usage(format!("not an invocation: {error}")));
        }
        Some(Command::Run(run)) => run,
        Some(Command::Minheap(chosen)) => {
            return plan(workloads, chosen, None, (1, 1), cli.reporting)
                .map(|plan| Action::FindMinimum(Box::new(plan)));
        }
        None => Run::standard(),
    };
    let repetitions = (run.invocations, run.iterations);
    plan(
        workloads,
        run.chosen,
        run.heap_size,
        repetitions,
        cli.reporting,
    )
    .map(|plan| Action::Compare(Box::new(plan)))
}

/// Checks everything, and builds what has to be built.
fn plan(
    workloads: &[workload::Description],
    chosen: Chosen,
    heap_bytes: Option<u64>,
    (invocations, iterations): (u32, u32),
    reporting: Reporting,
) -> Result<Plan, Refusal> {
    let threads = chosen.threads.iter();
    let selection = Selection {
        workloads: chosen.workloads,
        heaps: chosen.heaps,
        peers: chosen.peers,
        search: Search {
            java: chosen.javas,
            python: chosen.pythons,
        },
        threads: threads.map(|&threads| threads as usize).collect(),
        heap_bytes,
        size: chosen.size,
        seed: chosen.seed,
    };
    let (cells, notes) = plan::cells(workloads, &selection).map_err(Refusal::Usage)?;
    Ok(Plan {
        cells,
        notes,
        size: chosen.size,
        invocations,
        iterations,
        timeout: reporting.timeout,
        format: reporting.format,
        output: reporting.output,
        quiet: reporting.quiet,
    })
}

impl Run {
    /// `harness run` without arguments is the standard comparison.
    fn standard() -> Self {
        let command = Self::augment_args(clap::Command::new("run"));
        let matches = command.get_matches_from(["run"]);
        Self::from_arg_matches(&matches).expect("every argument has a default")
    }
}

/// Reads a time such as `60s`.
fn timeout(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text)
        .ok()
        .filter(|time| !time.is_zero())
        .ok_or_else(|| {
            format!("'{text}' is not a time: write it with its unit, such as 60s, 500ms or 2m")
        })
}

/// Everything there is to choose from: each name, and under it what can be set.
fn catalogue(workloads: &[workload::Description]) -> String {
    const SIZES: [Size; 3] = [Size::Tiny, Size::Small, Size::Full];
    let mut text =
        String::from("Workloads, NAME[:parameter=value,...]; values for tiny | small | full\n");
    let setting = |text: &mut String, name: &str, doc: &str, values: String| {
        let _ = writeln!(text, "    {name:<16}{doc}\n{:20}{values}", "");
    };
    for workload in workloads {
        let _ = writeln!(text, "\n  {:<18}{}", workload.name, workload.summary);
        for parameter in workload.parameters {
            let values = SIZES.map(|size| parameter.value(size).to_string());
            setting(&mut text, parameter.name, parameter.doc, values.join(" | "));
        }
        let bytes =
            SIZES.map(|size| format_bytes(workload.heap_bytes(&Input::new(workload, size))));
        let doc = "default of --heap-size, with one thread";
        setting(&mut text, "(heap size)", doc, bytes.join(" | "));
    }
    text.push_str("\nHeaps, --heap NAME[:option=value,...]\n");
    for heap in adapter::HEAPS {
        let _ = writeln!(text, "\n  {:<18}{}", heap.name, heap.summary);
        for option in heap.options {
            let values = format!("{} [default: {}]", option.kind, option.default);
            setting(&mut text, option.name, option.doc, values);
        }
    }
    text
}

/// The peers, and if asked, which of them are here.
fn peers(search: &Search, look: bool) -> String {
    let mut text = String::from(
        "\nPeers, --peer NAME: other runtimes, for the workloads that they have programs for\n",
    );
    for description in peer::PEERS {
        let moving = if description.moving { " (moving)" } else { "" };
        let _ = writeln!(
            text,
            "\n  {:<18}{}{moving}",
            description.name, description.summary
        );
        if look {
            let found = match peer::find(description, search) {
                Ok(found) => found
                    .into_iter()
                    .map(|one| format!("found: {}", one.version))
                    .collect(),
                Err(reason) => vec![format!("not found: {reason}")],
            };
            for line in found {
                let _ = writeln!(text, "    {line}");
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Result<Action, Refusal> {
        let arguments = std::iter::once("harness").chain(arguments.iter().copied());
        super::parse(&workload::standard(), arguments.map(Into::into))
    }

    fn plan(arguments: &[&str]) -> Plan {
        match parse(arguments) {
            Ok(Action::Compare(plan)) => *plan,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn no_command_is_the_standard_comparison() {
        let plan = plan(&[]);
        assert_eq!(
            (plan.invocations, plan.iterations, plan.size),
            (3, 1, Size::Small)
        );
        assert_eq!(
            plan.cells.len(),
            workload::standard().len() * adapter::HEAPS.len()
        );
        assert_eq!(plan.timeout, Duration::from_secs(60));
    }

    #[test]
    fn reporting_options_go_before_or_after_the_command() {
        let before = plan(&["--quiet", "--timeout", "2s", "run", "binary-trees"]);
        let after = plan(&["run", "binary-trees", "--quiet", "--timeout", "2s"]);
        assert!(before.quiet && after.quiet);
        assert_eq!(
            (before.timeout, after.timeout),
            (Duration::from_secs(2), Duration::from_secs(2))
        );
    }

    #[test]
    fn threads_and_sizes() {
        let plan = plan(&[
            "run",
            "binary-trees",
            "--threads",
            "1,2",
            "--heap",
            "arena",
            "--heap-size",
            "1G",
        ]);
        let threads: Vec<_> = plan.cells.iter().map(|cell| cell.input.threads).collect();
        assert_eq!(threads, [1, 2]);
        assert_eq!(plan.cells[0].heap_bytes, 1 << 30);
    }

    #[test]
    fn bad_values_are_refused() {
        for arguments in [
            ["run", "--threads", "0"],
            ["run", "--threads", "x"],
            ["run", "--heap-size", "lots"],
            ["run", "--timeout", "0s"],
            ["run", "--timeout", "5"],
            ["run", "--invocations", "0"],
            ["run", "--size", "huge"],
        ] {
            assert!(
                matches!(parse(&arguments), Err(Refusal::Clap(_))),
                "{arguments:?}"
            );
        }
    }

    #[test]
    fn the_list_has_everything() {
        let Ok(Action::Print(text)) = parse(&["list"]) else {
            panic!()
        };
        for name in workload::standard().iter().map(|workload| workload.name) {
            assert!(text.contains(name), "{name}");
        }
        for name in adapter::HEAPS.iter().map(|heap| heap.name) {
            assert!(text.contains(name), "{name}");
        }
        for name in peer::PEERS.iter().map(|peer| peer.name) {
            assert!(text.contains(&format!("\n  {name} ")), "{name}");
        }
    }
}
