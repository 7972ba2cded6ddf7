//! The command line: read and checked once, into an [`Action`].
//!
//! Help, shell completions and the manual page come from this one definition. Whatever is wrong is
//! said here, in one line, before anything runs.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::styling::{AnsiColor, Styles};
use clap::builder::{PossibleValue, StringValueParser, TypedValueParser};
use clap::parser::ValueSource;
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::adapter;
use crate::command::explain;
use crate::command::merge::Merge;
use crate::command::report::{CHAPTERS, Report};
use crate::command::scatter::{self, Task};
use crate::command::sweep::{self, Sweep};
use crate::invocation::{Invocation, format_bytes};
use crate::peer::{self, Search};
use crate::plan::{self, Format, Notes, Plan, Selection, Twins};
use crate::workload::{self, Input, Size};

const ABOUT: &str = "Runs the same object-graph work on a reference-counting heap behind a global lock (gc-rc), on a stop-the-world \
mark-sweep heap (gc-marksweep) and on an arena that never frees, and shows what each costs in time, pauses and memory.

Without a command it runs the standard comparison, every workload on every heap at equal heap size, and the experiments whose claims are \
judged, within about 90 seconds: three processes for each pair, or two where the time is short.";

const EXAMPLES: &str = "Examples:
  harness                                     the standard comparison and the claims, in short form
  harness doctor                              how far results from this machine can be trusted
  harness list                                workloads, heaps, peers and experiments, with parameters, options and defaults
  harness explain marking                     a collection of six objects, step by step
  harness run rings                           one workload on every heap
  harness run binary-trees:depth=18 --heap-size 64M
  harness run countdown --threads 1,2 --heap gc-rc --heap gc-marksweep
  harness run rings --heap gc-rc --heap gc-rc:cycle=none
  harness run binary-trees --heap gc-marksweep,gc-rc --peer hotspot-serial,boehm
  harness run --budget 30s                    as many processes as fit into half a minute
  harness run --size full --invocations 10 --iterations 5 --timeout 10m
  harness run churn --format csv --output churn.jsonl > churn.csv
  harness report churn.jsonl                  a page with plots: churn.html
  harness report churn.jsonl --format trace > churn.trace.json
  harness minheap churn --heap gc-marksweep --peer hotspot-serial --output minima.jsonl
  harness sweep binary-trees --heap gc-rc,gc-marksweep
  harness claims                              the documents' experiments, with CPython and Java where they are installed
  harness claims lost-update --explain        what is done, and what it does not show
  harness compare before.jsonl after.jsonl    what a change of the code did
  harness plan run rings --invocations 20 | parallel
  harness merge results/plan/*.jsonl

Exit status:
  0    every pair of workload and heap was measured (or skipped, where the arena would need more memory than there is)
  1    some pair has no figures (heap full, timeout, crash), its heaps did not do the same work, or a peer that was asked
       for by name cannot be run here; the others were measured
  2    the command line is wrong, or a result file cannot be opened, read or gone on with; nothing was run
  3    standard output or the result file could not be written to the end; rows that are missing in the file
       are printed on standard error
  130  interrupted by Ctrl-C (128 and its number by another signal: 143 by SIGTERM, 129 by SIGHUP); what was measured is kept, and the way to go on is printed";

/// Headings and what the user types stand out, where colours are wanted: clap leaves them out for
/// pipes and `NO_COLOR`.
const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default().bold())
    .placeholder(AnsiColor::Cyan.on_default());

#[derive(Debug, Parser)]
#[command(name = "harness", version, about = ABOUT, after_help = EXAMPLES, max_term_width = 100, styles = STYLES)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    reporting: Reporting,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run chosen workloads on chosen heaps
    Run(Run),
    /// Run the documents' experiments on both heaps and on real runtimes, and judge their claims
    Claims(ClaimsArguments),
    /// Measure over heap sizes: multiples of the smallest heap in which every compared heap
    /// completes
    Sweep(SweepArguments),
    /// Find the smallest heap size at which chosen workloads complete on chosen heaps
    Minheap(Chosen),
    /// Make a page with plots, or another form, of result files
    Report(Report),
    /// Show what differs between two result files: a change of the code, another machine
    Compare {
        /// The result file to compare with
        #[arg(value_name = "A.jsonl")]
        first: PathBuf,
        /// The result file whose times are divided by those of the first
        #[arg(value_name = "B.jsonl")]
        second: PathBuf,
    },
    /// Show workloads, heaps, peers and experiments, with their parameters, options and defaults
    List,
    /// Say how far results from this machine can be trusted
    Doctor,
    /// Follow a collector step by step on a graph of six objects
    Explain {
        /// What of it [default: what there is]
        #[arg(value_parser = Topic)]
        topic: Option<String>,
    },
    /// Print the processes of a run or a sweep as independent command lines, for many machines
    Plan(PlanArguments),
    /// Carry out one process of a plan
    Invoke {
        /// What the plan says
        #[arg(value_name = "JSON")]
        task: String,
    },
    /// Join result files into one
    Merge {
        /// The result files
        #[arg(value_name = "FILE", required = true)]
        files: Vec<PathBuf>,
        /// Take rows of different machines: those of one kind are pooled, others kept apart
        #[arg(long)]
        mixed_machines: bool,
        /// Take rows of different builds of this program
        #[arg(long)]
        mixed_builds: bool,
    },
    /// Print a script that completes this command's arguments in a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page
    Man {
        /// Of this command [default: the whole]
        command: Option<String>,
    },
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
    /// A heap, NAME[:option=value,...]; may be repeated, or several separated by commas [default:
    /// all]
    #[arg(long = "heap", value_name = "HEAP")]
    heaps: Vec<String>,
    /// Another runtime to run beside the heaps; may be repeated, or several separated by commas
    #[arg(long = "peer", value_name = "PEER", value_delimiter = ',')]
    peers: Vec<String>,
    /// A Java virtual machine for the peers: the program or its JDK's directory; may be repeated
    /// [default: java on PATH]
    #[arg(long = "java", value_name = "PATH", requires = "peers")]
    javas: Vec<PathBuf>,
    /// A Python interpreter for the peer cpython: the program or its installation's directory; may
    /// be repeated [default: python3 on PATH]
    #[arg(long = "python", value_name = "PATH", requires = "peers")]
    pythons: Vec<PathBuf>,
    /// Mutator threads over which the work is split; several numbers are compared
    #[arg(long, value_name = "N,...", value_delimiter = ',', default_value = "1", value_parser = clap::value_parser!(u32).range(1..=i64::from(plan::MOST_THREADS)))]
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
    #[command(flatten)]
    amount: Amount,
}

/// How much is measured.
#[derive(Debug, Args)]
struct Amount {
    /// Timed iterations in each process, after one that warms up
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=i64::from(plan::MOST_ROUNDS)))]
    iterations: u32,
    /// Processes for each pair of workload and heap [default: 3; with --budget: as many as fit]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(plan::MOST_ROUNDS)))]
    invocations: Option<u32>,
    /// As many processes as fit into this time, at least two for each pair that is run; what is
    /// left out is said
    #[arg(long, value_name = "TIME", value_parser = timeout)]
    budget: Option<Duration>,
    /// In which comparisons one heap is run twice: how much the two series differ is the smallest
    /// effect that can be claimed
    #[arg(long = "aa", value_name = "WHERE", value_enum, default_value_t)]
    twins: Twins,
}

#[derive(Debug, Args)]
struct SweepArguments {
    #[command(flatten)]
    chosen: Chosen,
    #[command(flatten)]
    amount: Amount,
    /// Heap sizes, as multiples of the minimum
    #[arg(long, value_name = "X,...", value_delimiter = ',', default_value = sweep::MULTIPLES, value_parser = sweep::parse_multiple)]
    multiples: Vec<f64>,
    /// A result file of harness minheap: what it has found is not searched again
    #[arg(long, value_name = "FILE")]
    minima: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct ClaimsArguments {
    /// Experiments [default: all]
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// Run nothing: say what is done, why it shows the claims, and what it does not show
    #[arg(long)]
    explain: bool,
    /// Another runtime to run beside the heaps; may be repeated, or several separated by commas;
    /// none for none [default: cpython,hotspot-serial, as far as they are here]
    #[arg(long = "peer", value_name = "PEER", value_delimiter = ',')]
    peers: Vec<String>,
    /// A Java virtual machine for the peers: the program or its JDK's directory; may be repeated
    /// [default: java on PATH]
    #[arg(long = "java", value_name = "PATH")]
    javas: Vec<PathBuf>,
    /// A Python interpreter for the peer cpython: the program or its installation's directory; may
    /// be repeated [default: python3 on PATH]
    #[arg(long = "python", value_name = "PATH")]
    pythons: Vec<PathBuf>,
    /// How much work
    #[arg(long, value_enum, default_value_t = Size::Full)]
    size: Size,
    /// Processes for each form of an experiment on each heap and runtime [default: up to 5, as many
    /// as fit into ten minutes]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(plan::MOST_ROUNDS)))]
    invocations: Option<u32>,
}

#[derive(Debug, Args)]
struct PlanArguments {
    #[command(subcommand)]
    planned: Planned,
    /// One JSON object a line
    #[arg(long, global = true)]
    json: bool,
    /// Where the processes write their rows, each to a file of its own [default: results/plan]
    #[arg(long, value_name = "DIRECTORY", global = true)]
    directory: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Planned {
    /// Chosen workloads on chosen heaps
    Run(Run),
    /// The same over heap sizes; the minima must be known (--minima)
    Sweep(SweepArguments),
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Reporting")]
struct Reporting {
    /// What to print on standard output
    #[arg(long, value_enum, default_value_t, global = true)]
    format: Format,
    /// Where to append the results, one JSON row a line; the page with plots is written beside it,
    /// as .html [default: a new file in results/]
    #[arg(long, value_name = "FILE", global = true)]
    output: Option<PathBuf>,
    /// Go on with an interrupted run: what this result file has figures of is not run again
    #[arg(long, value_name = "FILE", global = true, conflicts_with = "output")]
    resume: Option<PathBuf>,
    /// With --resume: leave alone what crashed, was killed or took too long, in place of running it
    /// again
    #[arg(long, global = true)]
    keep_failures: bool,
    /// How long one process may take before it is killed and reported
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = timeout, global = true)]
    timeout: Duration,
    /// Print no progress and no notes on standard error
    #[arg(long, short, global = true)]
    quiet: bool,
    /// Show each iteration on standard error when its process has ended
    #[arg(long, short, global = true, conflicts_with = "quiet")]
    verbose: bool,
}

/// What to do.
#[derive(Debug)]
pub(crate) enum Action {
    /// Print this and stop.
    Print(String),
    /// Print a plan, and say what is not in it.
    PrintPlan(String, Notes),
    /// Compare.
    Compare(Box<Plan>),
    /// Find the smallest heap of each cell.
    FindMinimum(Box<Plan>),
    /// Compare over heap sizes.
    Sweep(Box<Sweep>),
    /// Report what was measured.
    Report {
        /// What, and how.
        report: Report,
        /// A form other than a page.
        format: Option<Format>,
        /// Whether to keep notes to oneself.
        quiet: bool,
    },
    /// Compare two files.
    CompareFiles(PathBuf, PathBuf),
    /// Carry out one process of a plan, in a process of its own.
    Invoke(Box<Plan>, Box<Task>),
    /// Join files.
    Merge(Merge),
    /// Judge the machine.
    Diagnose {
        /// Whether to keep notes to oneself.
        quiet: bool,
    },
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
    let command = definition(workloads);
    let mut arguments = arguments.into_iter().peekable();
    // What lines of a plan begin with: the program as it was called.
    let program = arguments.peek().cloned().unwrap_or_default();
    let matches = command
        .clone()
        .try_get_matches_from(arguments)
        .map_err(Refusal::Clap)?;
    let cli = Cli::from_arg_matches(&matches).map_err(Refusal::Clap)?;
    let reporting = cli.reporting;
    Ok(match cli.command {
        None => Action::Compare(Box::new(standard(workloads, reporting)?)),
        Some(Command::Run(run)) => Action::Compare(Box::new(run.plan(workloads, reporting)?)),
        Some(Command::Claims(arguments)) => arguments.action(reporting)?,
        Some(Command::Minheap(chosen)) => {
            let plan = plan(workloads, chosen, None, &Amount::one(), reporting)?;
            Action::FindMinimum(Box::new(plan))
        }
        Some(Command::Sweep(arguments)) => {
            Action::Sweep(Box::new(arguments.sweep(workloads, reporting)?))
        }
        Some(Command::Plan(arguments)) => {
            let quiet = reporting.quiet;
            let (plan, mut notes) = match arguments.planned {
                Planned::Run(run) => {
                    let plan = run.plan(workloads, reporting)?;
                    let notes = plan.notes.clone();
                    (plan, notes)
                }
                Planned::Sweep(arguments) => {
                    let sweep = arguments.sweep(workloads, reporting)?;
                    let (plan, left_out) = sweep::planned(&sweep).map_err(Refusal::Usage)?;
                    let mut notes = sweep.plan.notes;
                    notes.lines.extend(left_out);
                    (plan, notes)
                }
            };
            let directory = arguments.directory.unwrap_or_else(scatter::directory);
            let lines = scatter::lines(&plan, &program, &directory, arguments.json)
                .map_err(Refusal::Usage)?;
            if quiet {
                notes.lines.clear();
            }
            Action::PrintPlan(lines, notes)
        }
        Some(Command::Invoke { task }) => {
            let task: Task = serde_json::from_str(&task)
                .map_err(|error| Refusal::Usage(format!("not a line of harness plan: {error}")))?;
            let cell = scatter::cell(workloads, &task).map_err(Refusal::Usage)?;
            let plan = Plan {
                cells: vec![cell],
                size: task.invocation.size,
                iterations: task.invocation.iterations,
                ..empty(reporting)
            };
            Action::Invoke(Box::new(plan), Box::new(task))
        }
        Some(Command::Report(report)) => {
            let given = |option: &str| {
                let source = matches.subcommand_matches("report")?.value_source(option);
                (source == Some(ValueSource::CommandLine)).then_some(())
            };
            for option in ["output", "resume"] {
                if given(option).is_some() {
                    return Err(Refusal::Usage(format!(
                        "a report runs nothing and has no --{option}: name the page with --html FILE; other forms go to standard output"
                    )));
                }
            }
            Action::Report {
                report,
                format: given("format").map(|()| reporting.format),
                quiet: reporting.quiet,
            }
        }
        Some(Command::Compare { first, second }) => Action::CompareFiles(first, second),
        Some(Command::Merge {
            files,
            mixed_machines,
            mixed_builds,
        }) => Action::Merge(Merge {
            files,
            mixed_machines,
            mixed_builds,
            output: reporting.output,
            format: reporting.format,
            quiet: reporting.quiet,
        }),
        Some(Command::Doctor) => Action::Diagnose {
            quiet: reporting.quiet,
        },
        Some(Command::List) => {
            Action::Print(catalogue(workloads) + &peers(Some(&Search::default())) + &experiments())
        }
        Some(Command::Explain { topic }) => {
            Action::Print(explain::text(topic.as_deref()).map_err(Refusal::Usage)?)
        }
        Some(Command::Completions { shell }) => Action::Print(completions(command, shell)),
        Some(Command::Man { command: of }) => {
            Action::Print(manual(command, of.as_deref()).map_err(Refusal::Usage)?)
        }
        Some(Command::Child {
            invocation,
            attended,
        }) => Action::Child {
            invocation: serde_json::from_str(&invocation)
                .map_err(|error| Refusal::Usage(format!("not an invocation: {error}")))?,
            attended,
        },
    })
}

/// The command line with what can be chosen in its help.
fn definition(workloads: &[workload::Description]) -> clap::Command {
    let catalogue = catalogue(workloads) + &peers(None);
    let with_catalogue = |command: clap::Command| {
        command
            .after_help(
                "Workloads, heaps, peers and their settings: harness list, or harness run --help",
            )
            .after_long_help(catalogue.clone())
    };
    Cli::command()
        .mut_subcommand("run", with_catalogue)
        .mut_subcommand("sweep", with_catalogue)
}

/// Takes any word, and lets shells complete the topics: an unknown one is refused in one line, with
/// the nearest.
#[derive(Clone, Debug)]
struct Topic;

impl TypedValueParser for Topic {
    type Value = String;

    fn parse_ref(
        &self,
        command: &clap::Command,
        argument: Option<&clap::Arg>,
        value: &std::ffi::OsStr,
    ) -> Result<String, clap::Error> {
        StringValueParser::new().parse_ref(command, argument, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(explain::names().map(PossibleValue::new)))
    }
}

/// The script for a shell.
fn completions(mut command: clap::Command, shell: clap_complete::Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, "harness", &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

/// The manual page of the whole, or of one command, in roff.
fn manual(mut command: clap::Command, of: Option<&str>) -> Result<String, String> {
    command.build();
    let mut title = command.get_name().to_owned();
    let page = match of {
        None => command,
        Some(name) => {
            let shown = || {
                let commands = command.get_subcommands();
                commands.filter(|command| !command.is_hide_set() && command.get_name() != "help")
            };
            let found = shown().find(|command| command.get_name() == name).cloned();
            title.push_str(&format!("-{name}"));
            found.ok_or_else(|| {
                crate::suggest::unknown("command", name, shown().map(clap::Command::get_name))
            })?
        }
    };
    let mut roff = Vec::new();
    clap_mangen::Man::new(page.version(env!("CARGO_PKG_VERSION")))
        .title(title)
        .render(&mut roff)
        .map_err(|error| format!("the manual page cannot be made: {error}"))?;
    Ok(String::from_utf8_lossy(&roff).into_owned())
}

/// A plan of nothing.
fn empty(reporting: Reporting) -> Plan {
    Plan {
        timeout: reporting.timeout,
        format: reporting.format,
        output: reporting.output,
        resume: reporting.resume,
        keep_failures: reporting.keep_failures,
        chapters: CHAPTERS,
        quiet: reporting.quiet,
        verbose: reporting.verbose,
        ..Plan::new(Vec::new(), Size::default())
    }
}

impl Amount {
    /// One process, one iteration.
    const fn one() -> Self {
        Self {
            invocations: Some(1),
            iterations: 1,
            budget: None,
            twins: Twins::None,
        }
    }
}

/// Processes for each pair, where nothing else is asked for.
const INVOCATIONS: u32 = 3;
/// The time that the standard comparison takes at most, if two processes for each pair fit into it.
const STANDARD_BUDGET: Duration = Duration::from_secs(82);
/// The time that the claims take at most, if two processes for each form fit into it.
const CLAIMS_BUDGET: Duration = Duration::from_secs(570);
/// From five processes on intervals need not be stretched (see [`crate::measure::estimate`]).
const CLAIMS_INVOCATIONS: u32 = 5;
/// The most processes that a budget is spent on for each pair: beyond that intervals hardly become
/// narrower.
const MOST_INVOCATIONS: u32 = 100;

/// Checks everything, and builds what has to be built.
fn plan(
    workloads: &[workload::Description],
    chosen: Chosen,
    heap_bytes: Option<u64>,
    amount: &Amount,
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
    let most = match amount.budget {
        Some(_) => MOST_INVOCATIONS,
        None => INVOCATIONS,
    };
    Ok(Plan {
        cells: plan::with_twins(cells, amount.twins),
        notes,
        size: chosen.size,
        invocations: amount.invocations.unwrap_or(most),
        iterations: amount.iterations,
        budget: amount.budget,
        ..empty(reporting)
    })
}

impl Run {
    /// `harness run` without arguments is the standard comparison.
    fn standard() -> Self {
        let command = Self::augment_args(clap::Command::new("run"));
        let matches = command.get_matches_from(["run"]);
        let run = Self::from_arg_matches(&matches);
        let mut run = run.expect("every argument has a default");
        // Together with the report, what fits into a minute and a half.
        run.amount.invocations = Some(INVOCATIONS);
        run.amount.budget = Some(STANDARD_BUDGET);
        run.amount.twins = Twins::Some;
        run
    }

    fn plan(
        self,
        workloads: &[workload::Description],
        reporting: Reporting,
    ) -> Result<Plan, Refusal> {
        plan(
            workloads,
            self.chosen,
            self.heap_size,
            &self.amount,
            reporting,
        )
    }
}

/// What is run without a command: the standard comparison, and, of a program that has the standard
/// workloads, the claims in their short form. These come first in each round: they are short, and a
/// budget leaves out what comes last.
fn standard(workloads: &[workload::Description], reporting: Reporting) -> Result<Plan, Refusal> {
    let mut plan = Run::standard().plan(workloads, reporting)?;
    let has = |name| workloads.iter().any(|workload| workload.name == name);
    if workload::standard()
        .iter()
        .all(|workload| has(workload.name))
    {
        let experiments = claims::choose(&[]).map_err(Refusal::Usage)?;
        let (mut cells, _) = claims::cells(&experiments, plan.size, &[], &Search::default())
            .map_err(Refusal::Usage)?;
        let groups = cells.last().map_or(0, |cell| cell.group + 1);
        cells.extend(plan.cells.into_iter().map(|cell| plan::Cell {
            group: groups + cell.group,
            ..cell
        }));
        plan.cells = cells;
    }
    Ok(plan)
}

impl ClaimsArguments {
    fn action(self, reporting: Reporting) -> Result<Action, Refusal> {
        let experiments = claims::choose(&self.names).map_err(Refusal::Usage)?;
        if self.explain {
            return Ok(Action::Print(claims::explain(&experiments)));
        }
        let peers: Vec<String> = match &self.peers[..] {
            [] => claims::PEERS.iter().map(|&peer| peer.to_owned()).collect(),
            [none] if none == "none" => Vec::new(),
            peers => peers.to_vec(),
        };
        let search = Search {
            java: self.javas,
            python: self.pythons,
        };
        let (cells, mut notes) =
            claims::cells(&experiments, self.size, &peers, &search).map_err(Refusal::Usage)?;
        // Those that are run by default are run as far as they are here.
        notes.missing &= !self.peers.is_empty();
        Ok(Action::Compare(Box::new(Plan {
            cells,
            notes,
            size: self.size,
            invocations: self.invocations.unwrap_or(CLAIMS_INVOCATIONS),
            budget: self.invocations.is_none().then_some(CLAIMS_BUDGET),
            ..empty(reporting)
        })))
    }
}

impl SweepArguments {
    fn sweep(
        self,
        workloads: &[workload::Description],
        reporting: Reporting,
    ) -> Result<Sweep, Refusal> {
        let amount = Amount {
            // The search runs each cell once, whatever it is.
            twins: Twins::None,
            ..self.amount
        };
        let mut multiples = self.multiples;
        multiples.sort_by(f64::total_cmp);
        multiples.dedup();
        Ok(Sweep {
            plan: plan(workloads, self.chosen, None, &amount, reporting)?,
            multiples,
            twins: self.amount.twins,
            minima: self.minima,
        })
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

/// The peers, and if they were looked for, which of them are here.
fn peers(look: Option<&Search>) -> String {
    let mut text = String::from(
        "\nPeers, --peer NAME: other runtimes, for the workloads that they have programs for\n",
    );
    let found = look.map(peer::survey);
    for (index, description) in peer::PEERS.iter().enumerate() {
        let moving = if description.moving { " (moving)" } else { "" };
        let _ = writeln!(
            text,
            "\n  {:<28}{}{moving}",
            description.name, description.summary
        );
        let lines = match found.as_ref().map(|found| &found[index].1) {
            Some(Ok(found)) => found
                .iter()
                .map(|one| format!("found: {} ({})", one.version, one.program.display()))
                .collect(),
            Some(Err(reason)) => vec![format!("not found: {reason}")],
            None => Vec::new(),
        };
        for line in lines {
            let _ = writeln!(text, "    {line}");
        }
    }
    text
}

/// The experiments, and how many claims each is evidence for.
fn experiments() -> String {
    let mut text = String::from(
        "\nExperiments, harness claims NAME: what they do and do not show is said by --explain\n\n",
    );
    for experiment in claims::EXPERIMENTS {
        let claims = match experiment.claims.len() {
            1 => "1 claim".to_owned(),
            claims => format!("{claims} claims"),
        };
        let _ = writeln!(
            text,
            "  {:<18}{} ({claims})",
            experiment.name, experiment.summary
        );
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
