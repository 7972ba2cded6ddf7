//! The commands, one file each: its arguments, its help, its examples, and what it does.

use std::ffi::OsString;

use clap::{ArgMatches, Args};

use crate::arguments::{Amount, Chosen, Reporting};
use engine::message::{self, Error};
use engine::plan::Plan;
use engine::workload::{Description, Program};

pub(crate) mod child;
pub(crate) mod claims;
pub(crate) mod compare;
pub(crate) mod completions;
pub(crate) mod doctor;
pub(crate) mod explain;
pub(crate) mod heap;
pub(crate) mod import;
pub(crate) mod invoke;
pub(crate) mod list;
pub(crate) mod man;
pub(crate) mod merge;
pub(crate) mod minheap;
pub(crate) mod plan;
pub(crate) mod report;
pub(crate) mod run;
pub(crate) mod sweep;
pub(crate) mod why;

/// A command. Its fields are its arguments, and the first line of its documentation is what the
/// help says of it.
pub(crate) trait Command: Args {
    /// What it is called by.
    const NAME: &'static str;
    /// For the help of the whole: what one types, and what that does, or nothing.
    const EXAMPLES: Examples = &[];

    /// Adds to its help what depends on the program's workloads.
    fn extend_help(command: clap::Command, _workloads: &[Description]) -> clap::Command {
        command
    }

    /// Does it. Says whether everything has the figures that were asked for.
    ///
    /// # Errors
    ///
    /// If nothing was done, if what was done could not be written, or if the user interrupts.
    fn run(self, context: &Context) -> Result<bool, Error>;
}

/// Lines that can be typed, each with what it does.
pub(crate) type Examples = &'static [(&'static str, &'static str)];

/// A [`Command`] as it stands in the list.
pub(crate) struct Entry {
    pub(crate) name: &'static str,
    pub(crate) examples: Examples,
    pub(crate) define: fn(&[Description]) -> clap::Command,
    pub(crate) run: fn(&Context) -> Result<bool, Error>,
}

impl Entry {
    pub(crate) const fn of<C: Command>() -> Self {
        Self {
            name: C::NAME,
            examples: C::EXAMPLES,
            define: |workloads| {
                C::extend_help(C::augment_args(clap::Command::new(C::NAME)), workloads)
            },
            run: |context| match C::from_arg_matches(&context.matches) {
                Ok(command) => command.run(context),
                Err(error) => error.exit(),
            },
        }
    }
}

/// What a command is carried out with, beside its own arguments.
pub(crate) struct Context {
    /// The program as it was called.
    pub(crate) program: OsString,
    /// The workloads that it has.
    pub(crate) programs: Vec<Program>,
    /// Their descriptions.
    pub(crate) workloads: Vec<Description>,
    /// The whole command line, for those who print it.
    pub(crate) definition: clap::Command,
    /// The options that every command takes.
    pub(crate) reporting: Reporting,
    /// The command's arguments as they were read.
    pub(crate) matches: ArgMatches,
}

impl Context {
    /// What is to be run of this choice.
    ///
    /// # Errors
    ///
    /// As of [`Chosen::plan`].
    pub(crate) fn plan(
        &self,
        chosen: &Chosen,
        heap_bytes: Option<u64>,
        amount: &Amount,
    ) -> Result<Plan, Error> {
        chosen.plan(&self.workloads, heap_bytes, amount, &self.reporting)
    }

    /// Says what is in no row: on standard output, unless that has rows or another form for other
    /// programs; then on standard error.
    ///
    /// # Errors
    ///
    /// As of [`print`].
    pub(crate) fn say(&self, text: &str) -> Result<(), Error> {
        match self.reporting.is_in_words() {
            true => print(text).map(drop),
            false => {
                message::complain(text.trim_end());
                Ok(())
            }
        }
    }

    /// A line on standard error, unless it is to be quiet.
    pub(crate) fn tell(&self, line: &str) {
        if !self.reporting.quiet {
            message::complain(line);
        }
    }
}

/// Prints, and has everything then.
///
/// # Errors
///
/// If standard output cannot be written.
pub(crate) fn print(text: &str) -> Result<bool, Error> {
    match message::print(text) {
        Ok(()) => Ok(true),
        Err(error) => Err(Error::NotWritten(message::not_printed(&error))),
    }
}
