//! The table of a comparison, as data: which lines it has, what their labels and figures are.
//! Every format renders this ([`terminal`](super::terminal), [`markdown`](super::markdown),
//! [`html`](super::html)); none computes a figure.
//!
//! One line for each pair of workload and heap, the heaps of one comparison under each other, the
//! sizes of one work likewise. Made of rows alone, so that a file gives the same table as the run
//! that wrote it.

use std::collections::BTreeSet;
use std::fmt::Display;

use super::column::{Column, Figures, NONE};
use crate::invocation::format_bytes;
use crate::results::{CellResults, Group, Results};

/// The table.
#[derive(Debug)]
pub(crate) struct Table<'r> {
    /// The columns of figures.
    pub(crate) columns: &'static [&'static Column],
    /// The heap that others are divided by; of the first group, if they differ.
    pub(crate) baseline: &'r str,
    /// Whether works differ in their threads, so that these have a column.
    pub(crate) with_threads: bool,
    /// What is compared with each other, each with its lines; never empty.
    pub(crate) groups: Vec<Vec<Line<'r>>>,
}

/// What the table says of one heap in one comparison.
#[derive(Debug)]
pub(crate) struct Line<'r> {
    pub(crate) cell: &'r CellResults,
    /// The heap with what is special about it.
    pub(crate) heap: String,
    /// In bytes, and how many times the least they are if that is known.
    pub(crate) limit: String,
    /// By column; or why there are none.
    pub(crate) figures: Result<Vec<String>, Absent>,
}

/// Why a line has no figures.
#[derive(Debug)]
pub(crate) struct Absent {
    /// In a word.
    pub(crate) word: String,
    /// With all that is known.
    pub(crate) reason: String,
}

impl<'r> Table<'r> {
    /// These columns of the results; `with_twins` if second series have lines of their own.
    pub(crate) fn of(
        results: &'r Results,
        columns: &'static [&'static Column],
        with_twins: bool,
    ) -> Self {
        let groups: Vec<Group<'r>> = results.works().into_iter().flatten().collect();
        let lines = |group: &Group<'r>| {
            let twins = group.twins.iter().filter(|_| with_twins);
            let cells = group.cells.iter().chain(twins);
            cells.map(|cell| Line::of(group, cell, columns)).collect()
        };
        Self {
            columns,
            baseline: (groups.first()).map_or("", |group| group.baseline().heap_label()),
            with_threads: several(groups.iter().map(|group| group.cells[0].threads())),
            groups: groups.iter().map(lines).collect(),
        }
    }

    /// The titles of the labels.
    pub(crate) fn labels(&self) -> Vec<String> {
        let threads = self.with_threads.then_some(THREADS);
        let labels = [Some("workload"), threads, Some("heap")].into_iter();
        labels.flatten().map(str::to_owned).collect()
    }
}

/// What stands above the number of threads.
pub(crate) const THREADS: &str = "threads";
/// What stands above the limit.
pub(crate) const LIMIT: &str = "limit";

impl<'r> Line<'r> {
    fn of(group: &Group<'r>, cell: &'r CellResults, columns: &[&Column]) -> Self {
        let moving = if cell.is_moving() { " (moving)" } else { "" };
        let twin = if cell.is_twin() { " (again)" } else { "" };
        let figures = Figures::of(group, cell)
            .map(|figures| columns.iter().map(|one| one.text(&figures)).collect());
        Self {
            cell,
            heap: format!("{}{moving}{twin}", cell.heap_label()),
            limit: limit(cell),
            figures: figures.ok_or_else(|| Absent::of(group, cell)),
        }
    }

    /// Its labels, of which those of the group stand in its first line alone.
    pub(crate) fn labels(&self, with_threads: bool, is_first: bool) -> Vec<String> {
        let once = |text: String| if is_first { text } else { String::new() };
        let mut labels = vec![once(self.cell.workload_label().to_owned())];
        labels.extend(with_threads.then(|| once(self.cell.threads().to_string())));
        labels.push(self.heap.clone());
        labels
    }
}

impl Absent {
    fn of(group: &Group<'_>, cell: &CellResults) -> Self {
        let same = |word: &str| (word.to_owned(), word.to_owned());
        let (word, reason) = match cell.failure() {
            _ if group.is_void() => same("void"),
            Some(row) => (row.status.to_string(), row.reason()),
            None => same(NONE),
        };
        Self { word, reason }
    }
}

fn limit(cell: &CellResults) -> String {
    if !cell.is_limited() {
        return NONE.to_owned();
    }
    let bytes = format_bytes(cell.heap_bytes());
    match cell.multiple() {
        Some(multiple) => format!("{bytes} ({multiple:.2}x)"),
        None => bytes,
    }
}

/// Whether these are not all the same.
pub(crate) fn several<T: PartialEq>(mut values: impl Iterator<Item = T>) -> bool {
    let first = values.next();
    values.any(|value| Some(value) != first)
}

/// What was done, in one line.
pub(crate) fn about(results: &Results) -> String {
    let cells = || results.cells.iter();
    // A cell that failed has fewer processes, which its line says.
    let whole = cells().filter(|cell| cell.failure().is_none());
    let processes = whole.map(|cell| cell.attempts().count() as u64);
    let iterations = cells().map(|cell| u64::from(cell.invocation().timed_iterations()));
    let is_cold = cells().all(|cell| cell.invocation().iterations == 0);
    format!(
        "Size {}, threads {}, seed {}; each pair in {} of {}{}.",
        list(cells().map(|cell| cell.invocation().size)),
        list(cells().map(CellResults::threads)),
        list(cells().map(|cell| cell.invocation().seed)),
        range(processes, "process", "processes"),
        range(iterations, "timed iteration", "timed iterations"),
        if is_cold {
            ", cold"
        } else {
            " after one to warm up"
        },
    )
}

/// Each of them once, ascending.
fn list<T: Ord + Display>(values: impl Iterator<Item = T>) -> String {
    let values: BTreeSet<T> = values.collect();
    let words: Vec<String> = values.iter().map(ToString::to_string).collect();
    words.join(", ")
}

/// `3 processes`, or `2-5 processes`.
fn range(counts: impl Iterator<Item = u64>, one: &str, more: &str) -> String {
    let counts: BTreeSet<u64> = counts.collect();
    match (counts.first(), counts.last()) {
        (Some(least), Some(most)) if least != most => format!("{least}-{most} {more}"),
        (Some(1), _) => format!("1 {one}"),
        (Some(count), _) => format!("{count} {more}"),
        _ => format!("no {more}"),
    }
}
