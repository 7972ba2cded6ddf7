//! `harness why`: the reason for the longest pause of each heap, and for the difference in time
//! between two.
//!
//! | file | what it explains |
//! |---|---|
//! | `pause.rs` | which pause was the longest, and its parts, as the rows have them |
//! | `part.rs` | what a pause can consist of, and all that is said of each part: a table |
//! | `sentence.rs` | a pause in words: when, of what, why, and what would shorten it |
//! | `excess.rs` | a pause that is too long for the work in it |
//! | `slower.rs` | why one heap took longer than another |
//!
//! Invariant: everything that is said is read from rows, so that a file from another machine, or of
//! last year, is explained like one just made.
//!
//! Rejected: to record causes while a program runs. A collector that keeps accounts of itself for
//! this would be slower than the one that is compared; events and their lengths are enough.

mod excess;
mod part;
mod pause;
mod sentence;
mod slower;

use std::fmt::Write as _;

use clap::Args;

use super::report::Wanted;
use super::{Command, Context, Examples, print};
use engine::message::{Error, shown};
use engine::report::quantity::grouped;
use engine::report::text::wrap;
use engine::results::Results;
use pause::Pause;

/// Say why the longest pause was so long, and why one heap took longer than another
#[derive(Debug, Args)]
pub(crate) struct Why {
    #[command(flatten)]
    wanted: Wanted,
}

impl Command for Why {
    const NAME: &'static str = "why";
    const EXAMPLES: Examples = &[(
        "why churn.jsonl --heap gc-rc",
        "what the longest pause was, of what it consisted, and what shortens it",
    )];

    fn run(self, context: &Context) -> Result<bool, Error> {
        let results = self.wanted.results().map_err(Error::NotRun)?;
        for note in &results.notes {
            context.tell(&format!("note: {note}"));
        }
        if results.cells.is_empty() {
            let files = self.wanted.files.iter();
            let files: Vec<String> = files.map(shown).collect();
            let rows = results.experiments.iter().map(|cell| cell.rows.len());
            return Err(Error::NotRun(format!(
                "there is nothing to explain: all {} rows are of experiments, which are judged by \
                 their claims; read them with harness report {} --format table",
                grouped(rows.sum::<usize>() as u64),
                files.join(" ")
            )));
        }
        print(&reasons(&results))
    }
}

/// For each heap its longest pause; for each work where the time went.
fn reasons(results: &Results) -> String {
    let mut text = String::new();
    let groups = results.groups();
    let mut labels: Vec<&str> = Vec::new();
    for cell in groups.iter().flat_map(|group| &group.cells) {
        if !labels.contains(&cell.heap_label()) {
            labels.push(cell.heap_label());
        }
    }
    for label in labels {
        let cells = groups.iter().flat_map(|group| &group.cells);
        let of_heap = cells.filter(|cell| cell.heap_label() == label);
        let longest = of_heap
            .filter_map(|cell| Some((*cell, Pause::longest(cell)?)))
            .max_by_key(|(_, pause)| pause.length);
        match longest {
            Some((cell, pause)) => {
                let _ = writeln!(text, "{label}: its longest pause");
                let (reason, remedy) = match pause.excess(cell) {
                    Some(excess) => (excess, excess::REMEDY.to_owned()),
                    None => (pause.reason(), pause.remedy(cell, results)),
                };
                for sentence in [pause.when(cell), pause.content(), reason, remedy] {
                    if !sentence.is_empty() {
                        paragraph(&mut text, &sentence);
                    }
                }
            }
            None => {
                let _ = writeln!(text, "{label}: no pause is known of it");
            }
        }
        text.push('\n');
    }
    for group in &groups {
        text += &slower::differences(group);
    }
    text
}

/// Adds a paragraph, whose lines are indented and narrow enough.
fn paragraph(text: &mut String, words: &str) {
    const WIDTH: usize = 98;
    let _ = writeln!(text, "{}", wrap(words, WIDTH, 2, 2));
}

#[cfg(test)]
mod fixture;
