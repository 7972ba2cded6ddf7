//! What the help says of the whole: commands say the rest themselves.

use clap::builder::styling::{AnsiColor, Styles};

use crate::command::Examples;

/// Whose examples come first, in the order in which somebody new would try them.
const TOUR: [&str; 11] = [
    "doctor", "list", "explain", "run", "report", "minheap", "sweep", "claims", "compare", "plan",
    "merge",
];

const ABOUT: &str = "\
Runs the same object-graph work on a reference-counting heap behind a global lock (gc-rc), on a \
stop-the-world mark-sweep heap (gc-marksweep) and on an arena that never frees, and shows what \
each costs in time, pauses and memory.

Without a command it runs the standard comparison, every workload on every heap at equal heap \
size, and the experiments whose claims are judged, within about 90 seconds, most of it where \
figures are least sure; and prints the answer on one screen. --verbose prints every table.";

const EXIT_STATUS: &str = "
Exit status:
  0    every pair of workload and heap was measured (or skipped, where the arena would need more \
memory than there is)
  1    some pair has no figures (heap full, timeout, crash), its heaps did not do the same work, \
or a peer that was asked
       for by name cannot be run here; the others were measured
  2    the command line is wrong, or a result file cannot be opened, read or gone on with; \
nothing was run
  3    standard output or the result file could not be written to the end; rows that are missing \
in the file
       are printed on standard error
  130  interrupted by Ctrl-C (128 and its number by another signal: 143 by SIGTERM, 129 by \
SIGHUP); what was measured is kept, and the way to go on is printed";

/// Headings and what the user types stand out, where colours are wanted: clap leaves them out for
/// pipes and `NO_COLOR`.
const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default().bold())
    .placeholder(AnsiColor::Cyan.on_default());

/// Adds to the whole command its help, with the examples of these commands.
pub(crate) fn of_the_whole(
    command: clap::Command,
    examples: impl Iterator<Item = (&'static str, Examples)>,
) -> clap::Command {
    command
        .version(env!("CARGO_PKG_VERSION"))
        .about(ABOUT)
        .after_help(in_lines(examples) + EXIT_STATUS)
        .max_term_width(100)
        .styles(STYLES)
}

/// Examples in the order of the tour, and then those of commands that are not in it.
fn in_lines(examples: impl Iterator<Item = (&'static str, Examples)>) -> String {
    let mut examples: Vec<_> = examples.collect();
    let place = |name: &str| TOUR.iter().position(|known| *known == name);
    examples.sort_by_key(|(name, _)| place(name).unwrap_or(TOUR.len()));
    let mut text = "Examples:\n".to_owned();
    let standard = ("", "the standard comparison and the claims, in short form");
    for (words, what) in std::iter::once(&standard).chain(examples.iter().flat_map(|(_, of)| *of)) {
        let line = format!("  {:<44}{what}", format!("harness {words}"));
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}
