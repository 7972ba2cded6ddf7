//! Runs the same work on several heaps and says what each choice costs.
//!
//! Reference counting behind a global lock ([`gc_rc`]), stop-the-world mark-sweep
//! ([`gc_marksweep`]) and an [`arena`](adapter::arena) that never frees run the same object-graph
//! programs, at the same heap size, each time in a fresh process; what comes out is time, pauses
//! and memory side by side. The `harness` command is all of this ([`Harness::main`]); the library
//! is for those who bring a workload of their own, test a heap, or build an experiment.
//!
//! # A tour
//!
//! Four floors, each a crate; arrows run down only, and Cargo keeps them.
//!
//! | floor | what is in it |
//! |---|---|
//! | [`harness`](crate) | the binary, its commands (one file each in `command/`), the door for a workload of your own |
//! | [`claims`] | the documents' experiments, one file each, and their claims, judged by rules on intervals |
//! | [`engine`] | workloads, measuring, running, other runtimes, results, reports |
//! | [`contract`] | the traits of heaps and workloads, the heaps' adapters, events, the rows of results |
//!
//! Below them stand the collectors, which know nothing of the harness. Whatever is judged is judged
//! here, by one definition for all. The modules that a program of your own needs are found here,
//! too.
//!
//! # A workload of your own
//!
//! A workload is a type that implements [`Workload`]: generic over the heap, so that it is compiled
//! into each one's fast paths. [`Harness::with`] puts it on the command line beside the others:
//!
//! ```
//! use harness::Harness;
//! use harness::adapter::{Adapter, Settings, gc_marksweep::GcMarksweep, gc_rc::GcRc};
//! use harness::heap::{Flags, Heap, HeapFull, Mutator};
//! use harness::workload::{Input, Outcome, Parameter, Size, Workload, mix, on_threads, share};
//!
//! /// Pairs that are made and forgotten.
//! struct Pairs;
//!
//! impl Workload for Pairs {
//!     const NAME: &'static str = "pairs";
//!     const SUMMARY: &'static str = "pairs that are made and forgotten";
//!     const OPERATION: &'static str = "pair";
//!     const PARAMETERS: &'static [Parameter] = &[
//!         Parameter::sized("pairs", [1_000, 10_000_000, 100_000_000])
//!             .range(1, 1_000_000_000_000)
//!             .doc("pairs made, over all threads"),
//!     ];
//!
//!     fn heap_bytes(_input: &Input) -> u64 {
//!         8 << 20
//!     }
//!
//!     fn run<H: Heap>(heap: &H, input: &Input) -> Result<Outcome, HeapFull> {
//!         let pairs = input.get("pairs");
//!         let sums = on_threads(heap, input.threads, |m, thread| {
//!             m.frame(|m, [pair]| {
//!                 let mut sum = 0u64;
//!                 for number in share(pairs, input.threads, thread) {
//!                     m.alloc_init(pair, Flags::NONE, [pair], [number])?;
//!                     sum = sum.wrapping_add(m.get(pair).map_or(0, |pair| mix(m.word(pair, 0))));
//!                     m.set(pair, None);
//!                     m.safepoint(); // at every back-edge
//!                 }
//!                 Ok(sum)
//!             })
//!         })?;
//!         Ok(Outcome::new(sums.into_iter().fold(0, u64::wrapping_add), pairs))
//!     }
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // The command line, with `pairs` in it, would be: Harness::standard().with::<Pairs>().main()
//! let _program = Harness::standard().with::<Pairs>();
//!
//! // Without a command line, on two heaps in this process:
//! let input = Input::of::<Pairs>(Size::Tiny);
//! let counted = Pairs::run(&GcRc::build(&Settings::new::<GcRc>(8 << 20))?, &input)?;
//! let traced = Pairs::run(&GcMarksweep::build(&Settings::new::<GcMarksweep>(8 << 20))?, &input)?;
//! assert_eq!(counted, traced);
//! # Ok(())
//! # }
//! ```
//!
//! `examples/own_workload.rs` is the whole program, and says what goes into its `Cargo.toml`. What
//! a workload owes the comparison is in [`workload`].
//!
//! # Another heap
//!
//! A crate with the traits and an [`Adapter`](adapter::Adapter), as `harness/arena/` is one, and
//! one line in the list in [`engine::adapter`]. Where the heap is to know nothing of the harness,
//! as the collectors do not, its adapter is a file in [`contract::adapter`]: if the heap gives the
//! operations the names of the contract, the traits' implementation is one line there.
//!
//! # Results
//!
//! Every invocation's rows are appended to a file as it ends ([`invocation::Row`] documents them);
//! tables are made from rows and from nothing else.

#![forbid(unsafe_code)]

use std::io::ErrorKind;
use std::process::ExitCode;

pub use contract::{heap, sync};
pub use engine::{
    adapter, environment, invocation, measure, minheap, peer, plan, report, results, run,
    statistics, workload,
};
pub use {claims, contract, engine};

mod arguments;
mod cli;
mod command;
mod help;

use engine::message::Error;
use engine::{interrupt, message};
use workload::{Program, Workload};

/// A command-line program that compares heaps.
#[derive(Clone, Debug)]
pub struct Harness {
    workloads: Vec<Program>,
}

impl Default for Harness {
    fn default() -> Self {
        Self::standard()
    }
}

impl Harness {
    /// With the workloads that come with it.
    pub fn standard() -> Self {
        Self {
            workloads: workload::programs(),
        }
    }

    /// With no workload.
    pub fn empty() -> Self {
        Self {
            workloads: Vec::new(),
        }
    }

    /// Adds a workload.
    ///
    /// # Panics
    ///
    /// If there is one of that name.
    #[must_use]
    pub fn with<W: Workload>(mut self) -> Self {
        assert!(
            self.workloads
                .iter()
                .all(|workload| workload.name != W::NAME),
            "there is a workload called {} already",
            W::NAME
        );
        self.workloads.push(Program::steady::<W>());
        self
    }

    /// Reads the command line, does what it says, and returns the process's exit status. Children
    /// are this same program, so the caller does nothing else.
    pub fn main(&self) -> ExitCode {
        interrupt::outlive_full_files();
        run::keep_program();
        if let Some(revision) = option_env!("HARNESS_REVISION") {
            engine::environment::built_from(revision);
        }
        match cli::parse(&self.workloads, std::env::args_os()) {
            Ok(asked) => status(asked.run()),
            // Help and version are printed on standard output; a reader that has gone away is no
            // error.
            Err(error) if is_rude(&error) => {
                message::complain(error.render().to_string().trim_end());
                ExitCode::from(error.exit_code() as u8)
            }
            Err(error) => match error.print() {
                Err(failure) if !error.use_stderr() && failure.kind() != ErrorKind::BrokenPipe => {
                    refuse(NOT_WRITTEN, &message::not_printed(&failure))
                }
                _ => ExitCode::from(error.exit_code() as u8),
            },
        }
    }
}

/// Whether what clap says of the arguments would repeat what they have that controls a terminal.
/// It is then said without colours.
fn is_rude(error: &clap::Error) -> bool {
    let said = error.render().ansi().to_string();
    error.use_stderr() && message::printable(&said) != said
}

/// Exit status: nothing was run.
const NOT_RUN: u8 = 2;
/// Exit status: what was to be written could not be, or not to the end.
const NOT_WRITTEN: u8 = 3;

fn status(result: Result<bool, Error>) -> ExitCode {
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(Error::NotRun(message)) => refuse(NOT_RUN, &message),
        Err(Error::NotWritten(message)) => refuse(NOT_WRITTEN, &message),
        Err(Error::Interrupted { signal, message }) => {
            message::complain(&message);
            // What a shell says of a process that a signal has ended.
            ExitCode::from(128 + signal as u8)
        }
    }
}

fn refuse(status: u8, message: &str) -> ExitCode {
    message::complain(&format!("error: {message}"));
    ExitCode::from(status)
}
