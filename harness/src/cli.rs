//! The command line: the list of the commands.
//!
//! Help, shell completions and the manual page come from this one definition. Each command checks
//! its arguments before anything runs, and says what is wrong in one line.

use std::ffi::OsString;

use clap::{Args, FromArgMatches};

use crate::arguments::Reporting;
use crate::command::*;
use crate::help;
use engine::message::Error;
use engine::workload::{self, Description, Program};

/// The commands in the order of the help. A new one is one file and one line.
const COMMANDS: &[Entry] = &[
    Entry::of::<run::Run>(),
    Entry::of::<claims::Claims>(),
    Entry::of::<sweep::Sweep>(),
    Entry::of::<minheap::Minheap>(),
    Entry::of::<report::Report>(),
    Entry::of::<compare::Compare>(),
    Entry::of::<why::Why>(),
    Entry::of::<list::List>(),
    Entry::of::<doctor::Doctor>(),
    Entry::of::<explain::Explain>(),
    Entry::of::<import::Import>(),
    Entry::of::<heap::Heap>(),
    Entry::of::<plan::Plan>(),
    Entry::of::<invoke::Invoke>(),
    Entry::of::<merge::Merge>(),
    Entry::of::<completions::Completions>(),
    Entry::of::<man::Man>(),
    Entry::of::<child::Child>(),
];

/// What the command line asks for, and with what.
pub(crate) struct Asked {
    run: fn(&Context) -> Result<bool, Error>,
    pub(crate) context: Context,
}

impl Asked {
    /// Does it. Says whether everything has the figures that were asked for.
    pub(crate) fn run(self) -> Result<bool, Error> {
        (self.run)(&self.context)
    }
}

/// Reads the arguments, the program's name first.
///
/// # Errors
///
/// What clap says of them, which may be the help that they ask for.
pub(crate) fn parse(
    programs: &[Program],
    arguments: impl IntoIterator<Item = OsString>,
) -> Result<Asked, clap::Error> {
    let workloads = workload::describe(programs);
    let definition = definition(&workloads);
    let mut arguments = arguments.into_iter().peekable();
    let program = arguments.peek().cloned().unwrap_or_default();
    let mut matches = definition.clone().try_get_matches_from(arguments)?;
    let reporting = Reporting::from_arg_matches(&matches)?;
    let mut run: fn(&Context) -> _ = run::run_standard;
    if let Some((name, own)) = matches.remove_subcommand() {
        let entry = COMMANDS.iter().find(|entry| entry.name == name);
        run = entry.expect("clap takes no other name").run;
        matches = own;
    }
    let context = Context {
        program,
        programs: programs.to_vec(),
        workloads,
        definition,
        reporting,
        matches,
    };
    Ok(Asked { run, context })
}

fn definition(workloads: &[Description]) -> clap::Command {
    let commands = COMMANDS.iter().map(|entry| (entry.define)(workloads));
    let command = clap::Command::new("harness").subcommands(commands);
    // After the commands, so that each one's own options come before these.
    let command = Reporting::augment_args(command);
    let examples = COMMANDS.iter().map(|entry| (entry.name, entry.examples));
    help::of_the_whole(command, examples)
}

/// The context of a line whose words stand between blanks.
#[cfg(test)]
pub(crate) fn context(line: &str) -> Context {
    let words = line.split(' ').map(OsString::from);
    let asked = parse(&workload::programs(), words);
    asked.unwrap_or_else(|error| panic!("{error}")).context
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn definition_is_consistent() {
        definition(&workload::standard()).debug_assert();
    }

    #[test]
    fn bad_values_are_refused() {
        for arguments in [
            "--threads 0",
            "--threads x",
            "--heap-size lots",
            "--timeout 0s",
            "--timeout 5",
            "--invocations 0",
            "--size huge",
        ] {
            let line = format!("harness run {arguments}");
            let words = line.split(' ').map(OsString::from);
            assert!(parse(&workload::programs(), words).is_err(), "{line}");
        }
    }
}
