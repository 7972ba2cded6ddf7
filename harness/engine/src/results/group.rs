//! What is compared with each other.

use super::CellResults;
use crate::invocation::{Metrics, Row, Status};
use crate::measure::estimate::{self, Estimate};

/// The heap others are compared with, if it is there; otherwise it is the first of the group.
pub const BASELINE: &str = "gc-rc";

/// Cells that did the same work within the same heap bytes.
#[derive(Clone, Debug)]
pub struct Group<'r> {
    /// What is compared. Never empty.
    pub cells: Vec<&'r CellResults>,
    /// Second series of some of [`Self::cells`], which show how much two equal things differ here.
    pub twins: Vec<&'r CellResults>,
}

impl<'r> Group<'r> {
    /// The cell that the others are compared with: [`BASELINE`] with its default options if it is
    /// there, otherwise the first.
    pub fn baseline(&self) -> &'r CellResults {
        let mut cells = self.cells.iter().copied();
        cells
            .find(|cell| cell.heap_label() == BASELINE)
            .unwrap_or(self.cells[0])
    }

    /// Whether the cells did different work, so that no comparison counts.
    pub fn is_void(&self) -> bool {
        let cells = || self.cells.iter().chain(&self.twins);
        let mut works = cells().flat_map(|cell| cell.rows.iter().filter_map(work));
        let first = works.next();
        works.any(|work| Some(work) != first)
            || cells().any(|cell| cell.rows.iter().any(|row| row.status == Status::Void))
    }

    /// How much longer the cell takes than the baseline; `None` for the baseline itself, for a void
    /// group, and where one of the two has no figures.
    pub fn ratio(&self, cell: &CellResults) -> Option<Estimate> {
        let baseline = self.baseline();
        if std::ptr::eq(cell, baseline) || self.is_void() {
            return None;
        }
        estimate::ratio(&cell.times(), &baseline.times())
    }

    /// The A/A ratio: the second series of a heap over its first, with its interval. `None` if no
    /// heap was run twice.
    pub fn same_over_same(&self) -> Option<Estimate> {
        let twin = self.twins.first()?;
        let mut cells = self.cells.iter();
        let first = cells.find(|cell| cell.is_same_heap(twin))?;
        estimate::ratio(&twin.times(), &first.times())
    }
}

/// What must agree.
fn work(row: &Row) -> Option<(&str, u64, u64, u64)> {
    row.metrics.as_ref().map(Metrics::work)
}
