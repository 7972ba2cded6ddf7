//! Arguments that several commands take, and the plans that they make.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use clap::builder::RangedI64ValueParser;

use claims::report::Claims;
use engine::interrupt;
use engine::message::Error;
use engine::peer::Search;
use engine::plan::{self, Cell, Format, Notes, Plan, Selection, Twins};
use engine::report::Chapters;
use engine::workload::{Description, Size};

/// What reports have beside the comparison.
pub(crate) const CHAPTERS: &Chapters = &[&Claims];

/// Processes for each pair, where nothing else is asked for.
pub(crate) const INVOCATIONS: u32 = 3;
/// The most processes that a budget is spent on for each pair: beyond that intervals hardly become
/// narrower.
const MOST_INVOCATIONS: u32 = 100;

/// Of every command: where results go, and how much is told on the way.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Reporting")]
pub(crate) struct Reporting {
    /// What to print on standard output [default: answer without a command, table otherwise]
    #[arg(long, value_enum, global = true)]
    pub(crate) format: Option<Format>,
    /// Where to append the results, one JSON row a line; the page with plots is written beside it,
    /// as .html [default: a new file in results/]
    #[arg(long, value_name = "FILE", global = true)]
    pub(crate) output: Option<PathBuf>,
    /// Go on with an interrupted run: what this result file has figures of is not run again
    #[arg(long, value_name = "FILE", global = true, conflicts_with = "output")]
    resume: Option<PathBuf>,
    /// With --resume: leave alone what crashed, was killed or took too long, in place of running it
    /// again
    #[arg(long, global = true)]
    keep_failures: bool,
    /// How long one process may take before it is killed and reported
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = time, global = true)]
    timeout: Duration,
    /// Print no progress and no notes on standard error
    #[arg(long, short, global = true)]
    pub(crate) quiet: bool,
    /// Show each iteration on standard error when its process has ended
    #[arg(long, short, global = true, conflicts_with = "quiet")]
    pub(crate) verbose: bool,
}

impl Reporting {
    /// The result file that was named: a new one, or that of a run that is gone on with.
    pub(crate) fn results(&self) -> Option<&Path> {
        self.output.as_deref().or(self.resume.as_deref())
    }

    /// Whether what is printed is for people, and not for other programs.
    pub(crate) fn is_in_words(&self) -> bool {
        matches!(self.format, None | Some(Format::Answer | Format::Table))
    }

    /// A plan of one process with one timed iteration for each of these cells, reported so.
    pub(crate) fn plan(&self, cells: Vec<Cell>, notes: Notes, size: Size) -> Plan {
        Plan {
            notes,
            timeout: self.timeout,
            format: self.format.unwrap_or_default(),
            output: self.output.clone(),
            resume: self.resume.clone(),
            keep_failures: self.keep_failures,
            chapters: CHAPTERS,
            quiet: self.quiet,
            verbose: self.verbose,
            ..Plan::new(cells, size)
        }
    }
}

/// Whether two paths name one file: a result or a dump that is read must not be written over.
pub(crate) fn is_same_file(one: &Path, other: &Path) -> bool {
    // By what they are: a file may have several names.
    let real = |path: &Path| {
        let metadata = fs::metadata(path).ok()?;
        Some((metadata.dev(), metadata.ino()))
    };
    one == other || real(one).is_some_and(|one| real(other) == Some(one))
}

/// What to run, and on what.
#[derive(Clone, Debug, Args)]
#[command(mut_args(|argument| match argument.get_id().as_str() {
    "java" | "python" => argument.requires("peers"),
    _ => argument,
}))]
pub(crate) struct Chosen {
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
    #[command(flatten)]
    installations: Installations,
    /// Mutator threads over which the work is split; several numbers are compared
    #[arg(
        long,
        value_name = "N,...",
        value_delimiter = ',',
        default_value = "1",
        value_parser = up_to(plan::MOST_THREADS)
    )]
    threads: Vec<u32>,
    /// How much work
    #[arg(long, value_enum, default_value_t)]
    size: Size,
    /// Where pseudo-random sequences start
    #[arg(long, value_name = "N", default_value_t = 42)]
    seed: u64,
}

impl Chosen {
    /// Checks everything, and builds what has to be built.
    ///
    /// # Errors
    ///
    /// If something is not there or out of range, or the user interrupts.
    pub(crate) fn plan(
        &self,
        workloads: &[Description],
        heap_bytes: Option<u64>,
        amount: &Amount,
        reporting: &Reporting,
    ) -> Result<Plan, Error> {
        let selection = Selection {
            workloads: self.workloads.clone(),
            heaps: self.heaps.clone(),
            peers: self.peers.clone(),
            search: self.installations.search(),
            threads: (self.threads.iter())
                .map(|&threads| threads as usize)
                .collect(),
            heap_bytes,
            size: self.size,
            seed: self.seed,
        };
        let (cells, notes) = unless_interrupted(plan::cells(workloads, &selection))?;
        let most = match amount.budget {
            Some(_) => MOST_INVOCATIONS,
            None => INVOCATIONS,
        };
        Ok(Plan {
            invocations: amount.invocations.unwrap_or(most),
            iterations: amount.iterations,
            budget: amount.budget,
            ..reporting.plan(plan::with_twins(cells, amount.twins), notes, self.size)
        })
    }
}

/// Where other runtimes are looked for.
#[derive(Clone, Debug, Args)]
pub(crate) struct Installations {
    /// A Java virtual machine for the peers: the program or its JDK's directory; may be repeated
    /// [default: java on PATH]
    #[arg(long, value_name = "PATH")]
    java: Vec<PathBuf>,
    /// A Python interpreter for the peers cpython and cpython-free-threaded, of which each takes
    /// those of its kind: the program or its installation's directory; may be repeated [default:
    /// python3 and python3.14t on PATH]
    #[arg(long, value_name = "PATH")]
    python: Vec<PathBuf>,
}

impl Installations {
    pub(crate) fn search(&self) -> Search {
        Search {
            java: self.java.clone(),
            python: self.python.clone(),
        }
    }
}

/// How much is measured.
#[derive(Clone, Debug, Args)]
pub(crate) struct Amount {
    /// Timed iterations in each process, after one that warms up; 0: that one itself, cold
    #[arg(
        long,
        value_name = "N",
        default_value_t = 1,
        value_parser = clap::value_parser!(u32).range(0..=i64::from(plan::MOST_ROUNDS))
    )]
    pub(crate) iterations: u32,
    /// Processes for each pair of workload and heap [default: 3; with --budget: as many as fit]
    #[arg(long, value_name = "N", value_parser = up_to(plan::MOST_ROUNDS))]
    pub(crate) invocations: Option<u32>,
    /// As many processes as fit into this time, at least two for each pair that is run; what is
    /// left out is said
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub(crate) budget: Option<Duration>,
    /// In which comparisons one heap is run twice (A/A): by how much the two series differ widens
    /// every interval of the run
    #[arg(long = "aa", value_name = "WHERE", value_enum, default_value_t)]
    pub(crate) twins: Twins,
}

impl Amount {
    /// One process, one iteration.
    pub(crate) const ONE: Self = Self {
        invocations: Some(1),
        iterations: 1,
        budget: None,
        twins: Twins::None,
    };
}

/// What was planned. Programs of peers are compiled while plans are made, which takes seconds: the
/// user may have wanted to stop.
///
/// # Errors
///
/// Why there is no plan, or that the user has interrupted it.
pub(crate) fn unless_interrupted<T>(planned: Result<T, String>) -> Result<T, Error> {
    let planned = planned.map_err(Error::NotRun)?;
    match interrupt::signal() {
        None => Ok(planned),
        Some(signal) => Err(Error::Interrupted {
            signal,
            message: "interrupted before anything was run".to_owned(),
        }),
    }
}

/// Reads a whole number from 1 to `most`.
pub(crate) fn up_to(most: u32) -> RangedI64ValueParser<u32> {
    clap::value_parser!(u32).range(1..=i64::from(most))
}

/// Reads a time such as `60s`.
pub(crate) fn time(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text)
        .ok()
        .filter(|time| !time.is_zero())
        .ok_or_else(|| {
            format!("'{text}' is not a time: write it with its unit, such as 60s, 500ms or 2m")
        })
}
