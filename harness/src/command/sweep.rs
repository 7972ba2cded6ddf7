//! A comparison over heap sizes: multiples of the smallest heap in which every compared heap
//! completes.
//!
//! At one size a comparison says who is faster *there*; a collector that is twice as fast with six
//! times the memory, and does not complete with half, is neither better nor worse. So first the
//! minimum of each heap is searched ([`crate::minheap`]), then every heap runs at the same bytes:
//! each multiple times the largest of the minima, or times that of HotSpot's Serial collector where
//! that is compared (the custom of the field: its heap is the smallest a Java program can run in,
//! and other collectors' reserves would hide how they do near it).
//!
//! The attempts of the search and the measurements are rows of one file; the search is resumed as
//! the measurements are. A heap that completes at no size is left out, with a line. Heaps without a
//! limit (the arena) run beside each size: they are the floor.

use std::path::Path;

use crate::invocation::{Row, format_bytes};
use crate::minheap::{self, GRAIN, Minimum, Searched};
use crate::plan::{self, Cell, Notes, Plan, Twins};
use crate::results;
use crate::run::{Error, Session};

/// Finer at the small end, where curves bend.
pub const MULTIPLES: &str = "1.25,1.5,2,3,4,6";

/// The peer whose minimum stands for all where it is compared.
const REFERENCE: &str = "hotspot-serial";

/// What is swept over.
#[derive(Clone, Debug)]
pub struct Sweep {
    /// The cells, each once and without twins; their heap bytes are where the search begins.
    pub plan: Plan,
    /// Multiples of the minimum, ascending.
    pub multiples: Vec<f64>,
    /// Which comparisons have a twin.
    pub twins: Twins,
    /// Rows of searches made before: what they have found is not searched again.
    pub minima: Option<std::path::PathBuf>,
}

/// Searches, measures, and prints what the plan's format asks for. Says whether every cell has
/// figures that count.
///
/// # Errors
///
/// As [`crate::run::run`], and if no heap completes at any size.
pub fn run(sweep: &Sweep) -> Result<bool, Error> {
    let given = trials(sweep.minima.as_deref()).map_err(Error::NotRun)?;
    let mut session = Session::begin(&sweep.plan)?;
    let mut earlier = std::mem::take(&mut session.trials);
    earlier.extend(given);
    let Searched { minima, trials } = minheap::find(&sweep.plan, &mut session, earlier, false);
    if session.is_interrupted() {
        return session.end(&sweep.plan, trials);
    }
    let (plan, notes) = measurements(sweep, &minima).map_err(Error::NotRun)?;
    for note in notes {
        session.note(&format!("note: {note}"));
    }
    session.measure(&plan)?;
    session.end(&plan, trials)
}

/// The plan of the measurements, if the minima are known already; nothing is run.
///
/// # Errors
///
/// A sentence, if a minimum is not known: where to find it.
pub fn planned(sweep: &Sweep) -> Result<(Plan, Vec<String>), String> {
    let known = trials(sweep.minima.as_deref())?;
    let mut minima = Vec::new();
    for cell in sweep.plan.cells.iter().filter(|cell| cell.limited) {
        let minimum = minheap::known(&sweep.plan, cell, &known).ok_or_else(|| {
            format!(
                "the minimum heap of {cell} is not known: find the minima first, with harness minheap {} ... --output minima.jsonl, \
                 and give them with --minima minima.jsonl",
                cell.workload_label
            )
        })?;
        minima.push((cell, minimum));
    }
    measurements(sweep, &minima)
}

/// The attempts in a file.
fn trials(path: Option<&Path>) -> Result<Vec<Row>, String> {
    let Some(path) = path else {
        return Ok(Vec::new());
    };
    let (rows, _) = results::read_rows(path)?;
    let trials: Vec<Row> = rows
        .into_iter()
        .filter(|row| row.invocation.invocation == 0)
        .collect();
    if trials.is_empty() {
        return Err(format!(
            "{} has no search for minimum heaps: make one with harness minheap ... --output FILE",
            path.display()
        ));
    }
    Ok(trials)
}

/// Each work's cells at each multiple, and a line for each heap that is left out.
fn measurements(sweep: &Sweep, minima: &[(&Cell, Minimum)]) -> Result<(Plan, Vec<String>), String> {
    let completed = |cell: &Cell| {
        let mut minima = minima.iter();
        let (_, minimum) = minima.find(|(other, _)| std::ptr::eq(*other, cell))?;
        minimum.completed
    };
    let mut notes = Vec::new();
    let mut cells = Vec::new();
    let mut group = 0;
    for work in sweep.plan.cells.chunk_by(|a, b| a.group == b.group) {
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
        for multiple in &sweep.multiples {
            let bytes = (minimum as f64 * multiple).ceil() as u64;
            for cell in &kept {
                let mut cell = cell
                    .within(bytes.next_multiple_of(GRAIN))
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
            "no heap with a limit completes at any size: there is nothing to sweep over".to_owned(),
        );
    }
    let plan = Plan {
        cells: plan::with_twins(cells, sweep.twins),
        // They have been said.
        notes: Notes {
            lines: Vec::new(),
            missing: sweep.plan.notes.missing,
        },
        ..sweep.plan.clone()
    };
    Ok((plan, notes))
}

/// Reads a list of multiples.
///
/// # Errors
///
/// A sentence with an example.
pub fn parse_multiple(text: &str) -> Result<f64, String> {
    let multiple = text
        .parse()
        .ok()
        .filter(|multiple| (1.0..=1000.0).contains(multiple));
    multiple.ok_or_else(|| {
        format!("'{text}' is not a multiple of the minimum heap: write numbers from 1 to 1000, such as {MULTIPLES}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer;
    use crate::plan::Selection;
    use crate::workload::{self, Size};

    fn sweep(heaps: &[&str]) -> Sweep {
        let selection = Selection {
            workloads: vec!["list".to_owned(), "rings".to_owned()],
            heaps: heaps.iter().map(|&heap| heap.to_owned()).collect(),
            peers: Vec::new(),
            search: peer::Search::default(),
            threads: vec![1],
            heap_bytes: None,
            size: Size::Tiny,
            seed: 1,
        };
        Sweep {
            plan: Plan::new(
                plan::cells(&workload::standard(), &selection).unwrap().0,
                selection.size,
            ),
            multiples: vec![1.5, 3.0],
            twins: Twins::All,
            minima: None,
        }
    }

    const MIB: u64 = 1 << 20;

    #[test]
    fn every_heap_runs_at_multiples_of_the_largest_minimum() {
        let sweep = sweep(&["gc-rc", "gc-marksweep", "arena"]);
        let of = [Some(8 * MIB), Some(10 * MIB), None, None];
        let limited = sweep.plan.cells.iter().filter(|cell| cell.limited);
        let minima: Vec<(&Cell, Minimum)> = limited
            .zip(of)
            .map(|(cell, completed)| {
                let failed = completed.map_or(1 << 40, |bytes| bytes - GRAIN);
                (cell, Minimum { completed, failed })
            })
            .collect();
        let (plan, notes) = measurements(&sweep, &minima).unwrap();
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
        let reason = planned(&sweep(&["gc-rc"])).unwrap_err();
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
