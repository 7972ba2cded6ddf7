//! `harness sweep`: a comparison over heap sizes, which are multiples of the smallest heap in which
//! every compared heap completes.
//!
//! At one size a comparison says who is faster *there*; a collector that is twice as fast with six
//! times the memory, and does not complete with half, is neither better nor worse. So first the
//! minimum of each heap is searched ([`engine::minheap`]), then every heap runs at the same bytes:
//! each multiple times the largest of the minima, or times that of HotSpot's Serial collector where
//! that is compared (the custom of the field: its heap is the smallest a Java program can run in,
//! and other collectors' reserves would hide how they do near it).
//!
//! The attempts of the search and the measurements are rows of one file; the search is resumed as
//! the measurements are. A heap that completes at no size is left out, with a line. Heaps without a
//! limit (the arena) run beside each size: they are the floor.

use std::path::PathBuf;

use clap::Args;

use super::{Command, Context, Examples, list};
use crate::arguments::{Amount, Chosen};
use engine::invocation::{Row, format_bytes};
use engine::message::{Error, shown};
use engine::minheap::{self, GRAIN, Minimum, Searched};
use engine::plan::{self, Cell, Notes, Plan, Twins};
use engine::results;
use engine::run::Session;
use engine::workload::Description;

/// Finer at the small end, where curves bend.
const MULTIPLES: &str = "1.25,1.5,2,3,4,6";

/// The peer whose minimum stands for all where it is compared.
const REFERENCE: &str = "hotspot-serial";

/// Measure over heap sizes: multiples of the smallest heap in which every compared heap
/// completes
#[derive(Debug, Args)]
pub(crate) struct Sweep {
    #[command(flatten)]
    chosen: Chosen,
    #[command(flatten)]
    amount: Amount,
    /// Heap sizes, as multiples of the minimum
    #[arg(
        long,
        value_name = "X,...",
        value_delimiter = ',',
        default_value = MULTIPLES,
        value_parser = parse_multiple
    )]
    multiples: Vec<f64>,
    /// A result file of harness minheap: what it has found is not searched again
    #[arg(long, value_name = "FILE")]
    minima: Option<PathBuf>,
}

impl Command for Sweep {
    const NAME: &'static str = "sweep";
    const EXAMPLES: Examples = &[("sweep binary-trees --heap gc-rc,gc-marksweep", "")];

    fn extend_help(command: clap::Command, workloads: &[Description]) -> clap::Command {
        list::beneath(command, workloads)
    }

    /// Searches, measures, and prints what the format asks for.
    fn run(self, context: &Context) -> Result<bool, Error> {
        let search = self.search(context)?;
        let (given, remarks) = self.trials().map_err(Error::NotRun)?;
        let mut session = Session::begin(&search)?;
        for remark in remarks {
            session.note(&format!("note: {remark}"));
        }
        let mut earlier = std::mem::take(&mut session.trials);
        earlier.extend(given);
        let Searched { minima, trials } = minheap::find(&search, &mut session, earlier, false);
        if session.is_interrupted() {
            return session.end(&search, trials);
        }
        let (plan, left_out) = self.measurements(&search, &minima).map_err(Error::NotRun)?;
        for note in left_out {
            session.note(&format!("note: {note}"));
        }
        session.measure(&plan)?;
        session.end(&plan, trials)
    }
}

impl Sweep {
    /// What the minima are searched for: each cell once, with its heap bytes as the place to begin.
    fn search(&self, context: &Context) -> Result<Plan, Error> {
        let amount = Amount {
            twins: Twins::None,
            ..self.amount.clone()
        };
        context.plan(&self.chosen, None, &amount)
    }

    /// The measurements, if the minima are known already; nothing is run.
    ///
    /// # Errors
    ///
    /// As of [`Chosen::plan`], and if a minimum is not known: where to find it.
    pub(crate) fn plan(&self, context: &Context) -> Result<Plan, Error> {
        let search = self.search(context)?;
        let (mut plan, left_out) = self.planned(&search).map_err(Error::NotRun)?;
        plan.notes = search.notes;
        plan.notes.lines.extend(left_out);
        Ok(plan)
    }

    fn planned(&self, search: &Plan) -> Result<(Plan, Vec<String>), String> {
        let (known, remarks) = self.trials()?;
        let mut minima = Vec::new();
        for cell in search.cells.iter().filter(|cell| cell.limited) {
            let minimum = minheap::known(search, cell, &known).ok_or_else(|| {
                format!(
                    "the minimum heap of {cell} is not known: find the minima first, with harness \
                     minheap {} ... --output minima.jsonl, and give them with --minima \
                     minima.jsonl",
                    cell.workload_label
                )
            })?;
            minima.push((cell, minimum));
        }
        let (plan, left_out) = self.measurements(search, &minima)?;
        Ok((plan, [remarks, left_out].concat()))
    }

    /// The attempts in the file that was given, and what was to be remarked of it.
    fn trials(&self) -> Result<(Vec<Row>, Vec<String>), String> {
        let Some(path) = &self.minima else {
            return Ok(Default::default());
        };
        let (mut rows, remarks) = results::read_rows(path)?;
        rows.retain(|row| row.invocation.invocation == 0);
        if rows.is_empty() {
            return Err(format!(
                "{} has no search for minimum heaps: make one with harness minheap ... --output \
                 FILE",
                shown(path)
            ));
        }
        Ok((rows, remarks))
    }

    /// Each work's cells at each multiple, and a line for each heap that is left out.
    fn measurements(
        &self,
        search: &Plan,
        minima: &[(&Cell, Minimum)],
    ) -> Result<(Plan, Vec<String>), String> {
        let completed = |cell: &Cell| {
            let mut minima = minima.iter();
            let (_, minimum) = minima.find(|(other, _)| std::ptr::eq(*other, cell))?;
            minimum.completed
        };
        let mut multiples = self.multiples.clone();
        multiples.sort_by(f64::total_cmp);
        multiples.dedup();
        let mut notes = Vec::new();
        let mut cells = Vec::new();
        let mut group = 0;
        for work in search.cells.chunk_by(|a, b| a.group == b.group) {
            let (kept, dropped): (Vec<&Cell>, Vec<&Cell>) =
                (work.iter()).partition(|cell| !cell.limited || completed(cell).is_some());
            notes.extend(
                dropped
                    .iter()
                    .map(|cell| format!("{cell} completes at no size, and is left out")),
            );
            let reference = kept.iter().find(|cell| {
                cell.peer()
                    .is_some_and(|peer| peer.description().name == REFERENCE)
            });
            let minimum = match reference {
                Some(cell) => completed(cell),
                None => kept.iter().filter_map(|cell| completed(cell)).max(),
            };
            let Some(minimum) = minimum else {
                continue;
            };
            for multiple in &multiples {
                let bytes = (minimum as f64 * multiple).ceil() as u64;
                for cell in &kept {
                    let mut cell =
                        cell.within(bytes.next_multiple_of(GRAIN))
                            .map_err(|reason| {
                                format!(
                                    "{cell} at {}: {reason}; give larger --multiples",
                                    format_bytes(bytes)
                                )
                            })?;
                    cell.group = group;
                    cell.minimum_heap_bytes = Some(minimum);
                    cells.push(cell);
                }
                group += 1;
            }
        }
        if cells.is_empty() {
            return Err(
                "no heap with a limit completes at any size: there is nothing to sweep over"
                    .to_owned(),
            );
        }
        let plan = Plan {
            cells: plan::with_twins(cells, self.amount.twins),
            // They have been said.
            notes: Notes {
                lines: Vec::new(),
                missing: search.notes.missing,
            },
            ..search.clone()
        };
        Ok((plan, notes))
    }
}

/// Reads one of a list of multiples.
fn parse_multiple(text: &str) -> Result<f64, String> {
    let multiple = text
        .parse()
        .ok()
        .filter(|multiple| (1.0..=1000.0).contains(multiple));
    multiple.ok_or_else(|| {
        format!(
            "'{text}' is not a multiple of the minimum heap: write numbers from 1 to 1000, such as \
             {MULTIPLES}"
        )
    })
}

#[cfg(test)]
mod tests {
    use clap::FromArgMatches;

    use super::*;
    use crate::cli::context;

    /// What is swept over, and the plan of the search.
    fn sweep(heaps: &str) -> (Sweep, Plan) {
        let context = context(&format!(
            "harness sweep list rings --heap {heaps} --size tiny --multiples 3,1.5,3"
        ));
        let sweep = Sweep::from_arg_matches(&context.matches).unwrap();
        let search = sweep.search(&context).unwrap();
        (sweep, search)
    }

    const MIB: u64 = 1 << 20;

    #[test]
    fn every_heap_runs_at_multiples_of_the_largest_minimum() {
        let (sweep, search) = sweep("gc-rc,gc-marksweep,arena");
        let of = [Some(8 * MIB), Some(10 * MIB), None, None];
        let limited = search.cells.iter().filter(|cell| cell.limited);
        let minima: Vec<(&Cell, Minimum)> = limited
            .zip(of)
            .map(|(cell, completed)| {
                let failed = completed.map_or(1 << 40, |bytes| bytes - GRAIN);
                (cell, Minimum { completed, failed })
            })
            .collect();
        let (plan, notes) = sweep.measurements(&search, &minima).unwrap();
        let cells: Vec<_> = plan
            .cells
            .iter()
            .map(|cell| {
                (
                    cell.group,
                    cell.heap_label.as_str(),
                    cell.twin,
                    cell.heap_bytes / MIB,
                )
            })
            .collect();
        let expected = [
            (0, "gc-rc", false, 15),
            (0, "gc-marksweep", false, 15),
            (0, "arena", false, 15),
            (0, "gc-rc", true, 15),
            (1, "gc-rc", false, 30),
            (1, "gc-marksweep", false, 30),
            (1, "arena", false, 30),
            (1, "gc-rc", true, 30),
        ];
        assert_eq!(cells, expected);
        assert!(
            plan.cells
                .iter()
                .all(|cell| cell.minimum_heap_bytes == Some(10 * MIB))
        );
        assert_eq!(notes.len(), 2, "nothing completes rings: {notes:?}");
    }

    #[test]
    fn without_minima_there_is_no_plan() {
        let (sweep, search) = sweep("gc-rc");
        let reason = sweep.planned(&search).unwrap_err();
        assert!(
            reason.contains("list on gc-rc") && reason.contains("--minima"),
            "{reason}"
        );
    }

    #[test]
    fn multiples_are_read() {
        assert_eq!(parse_multiple("1.25"), Ok(1.25));
        for wrong in ["0.5", "x", "nan", "1001", ""] {
            assert!(
                parse_multiple(wrong).unwrap_err().contains("1.25"),
                "{wrong}"
            );
        }
    }
}
