//! What a group shows, and how groups are called.

use crate::invocation::{Metrics, format_bytes};
use crate::report::quantity::format_multiple;
use crate::report::text::threads;
use crate::results::{CellResults, Group};
use crate::statistics::Estimate;

/// What a group shows.
pub(super) struct Fact<'r> {
    pub(super) group: &'r Group<'r>,
    ratios: Vec<(&'r CellResults, Estimate)>,
}

/// A heap's ratio to the baseline in one group.
pub(super) type Compared<'f, 'r> = (&'f Fact<'r>, Estimate);

impl<'r> Fact<'r> {
    pub(super) fn of(group: &'r Group<'r>) -> Self {
        let ratios = group.compared();
        Self {
            ratios: ratios
                .filter_map(|cell| Some((cell, group.ratio(cell)?)))
                .collect(),
            group,
        }
    }

    pub(super) fn baseline(&self) -> &str {
        self.group.baseline().heap_label()
    }

    /// Whether its time was set by when requests came, and compares nothing.
    pub(super) fn is_paced(&self) -> bool {
        let mut measured = self.group.baseline().measured();
        measured.any(Metrics::is_paced)
    }

    /// The cell of a heap in the group.
    pub(super) fn cell(&self, heap: &str) -> Option<&'r CellResults> {
        let mut cells = self.group.cells.iter().copied();
        cells.find(|cell| cell.heap_label() == heap)
    }

    pub(super) fn ratio(&self, heap: &str) -> Option<Estimate> {
        let mut ratios = self.ratios.iter();
        let (_, ratio) = ratios.find(|(cell, _)| cell.heap_label() == heap)?;
        Some(*ratio)
    }

    pub(super) fn first(&self) -> &'r CellResults {
        self.group.cells[0]
    }

    /// The heap size: as a multiple of the minimum if that is known, in bytes otherwise.
    pub(super) fn size(&self) -> f64 {
        let bytes = self.first().heap_bytes() as f64;
        self.first().multiple().unwrap_or(bytes)
    }

    /// A [size](Self::size), here or of another group of the same work, in words.
    pub(super) fn in_words(&self, size: f64) -> String {
        match self.first().multiple() {
            Some(_) => format_multiple(size),
            None => format_bytes(size as u64),
        }
    }
}

/// How groups are called: what they have in common is left out.
pub(super) struct Names {
    threads: bool,
    multiple: bool,
}

impl Names {
    pub(super) fn of(compared: &[Compared<'_, '_>]) -> Self {
        let differ = |value: &dyn Fn(&CellResults) -> u64| {
            compared
                .windows(2)
                .any(|pair| value(pair[0].0.first()) != value(pair[1].0.first()))
        };
        Self {
            threads: differ(&|cell| cell.threads() as u64),
            multiple: differ(&|cell| {
                cell.multiple()
                    .map_or(0, |multiple| (multiple * 100.0) as u64)
            }),
        }
    }

    pub(super) fn name(&self, cell: &CellResults) -> String {
        let mut name = cell.workload_label().to_owned();
        if self.threads {
            name.push_str(&format!(" with {}", threads(cell.threads())));
        }
        if let Some(multiple) = cell.multiple().filter(|_| self.multiple) {
            name.push_str(&format!(" at {}", format_multiple(multiple)));
        }
        name
    }
}
