//! What is compared with each other.

use super::{CellResults, Results};
use crate::invocation::{Metrics, Row, Status};
use crate::statistics::{Centre, Estimate};

/// What is compared: of one iteration, above zero; `None` where there is none.
pub type Metric = fn(&Metrics) -> Option<f64>;

/// Time in nanoseconds: see [`Metrics::time_ns`].
pub const TIME: Metric = |metrics| Some(metrics.time_ns());

/// The heap others are compared with, if it is there; otherwise it is the first of the group.
pub const BASELINE: &str = "gc-rc";

/// Which of the heaps of a group, by their labels, the others are compared with.
pub(crate) fn baseline_among<'l>(mut labels: impl Iterator<Item = &'l str>) -> usize {
    labels.position(|label| label == BASELINE).unwrap_or(0)
}

/// Cells that did the same work within the same heap bytes.
#[derive(Clone, Debug)]
pub struct Group<'r> {
    /// What is compared. Never empty.
    pub cells: Vec<&'r CellResults>,
    /// Second series of some of [`Self::cells`], which show how much two equal things differ here.
    pub twins: Vec<&'r CellResults>,
    /// What it is of: how sure its ratios are depends on all comparisons of the run.
    pub results: &'r Results,
}

impl<'r> Group<'r> {
    /// The cell that the others are compared with: [`BASELINE`] with its default options if it is
    /// there, otherwise the first.
    pub fn baseline(&self) -> &'r CellResults {
        self.cells[baseline_among(self.cells.iter().map(|cell| cell.heap_label()))]
    }

    /// What verdicts are about: the others that are held to the limit. What has none is at no equal
    /// memory.
    pub fn compared(&self) -> impl Iterator<Item = &'r CellResults> {
        let baseline = self.baseline();
        let cells = self.cells.iter().copied();
        cells.filter(move |cell| cell.is_limited() && !std::ptr::eq(*cell, baseline))
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
        Some(self.results.timing().ratio(&self.centre(cell, TIME)?))
    }

    /// The cell's log ratios to the baseline, of the rounds in which both ran; `None` as of
    /// [`Self::ratio`].
    pub fn centre(&self, cell: &CellResults, metric: Metric) -> Option<Centre> {
        let baseline = self.baseline();
        if std::ptr::eq(cell, baseline) || self.is_void() {
            return None;
        }
        centre(cell, baseline, metric)
    }

    /// The log ratios of all that is [compared](Self::compared).
    pub(super) fn centres(&self, metric: Metric) -> Vec<Centre> {
        let compared = self.compared();
        compared
            .filter_map(|cell| self.centre(cell, metric))
            .collect()
    }

    /// The A/A ratio: the second series of a heap over its first, with its interval. `None` if no
    /// heap was run twice.
    pub fn same_over_same(&self) -> Option<Estimate> {
        Some(self.results.timing().ratio(&self.same_centre(TIME)?))
    }

    pub(super) fn same_centre(&self, metric: Metric) -> Option<Centre> {
        let twin = self.twins.first().filter(|_| !self.is_void())?;
        let mut cells = self.cells.iter();
        centre(twin, cells.find(|cell| cell.is_same_heap(twin))?, metric)
    }
}

/// The log ratios of the rounds in which both ran, whatever they did.
pub(crate) fn centre(of: &CellResults, to: &CellResults, metric: Metric) -> Option<Centre> {
    let to = to.rounds(metric);
    let pairs = of.rounds(metric).into_iter().filter_map(|(round, value)| {
        let ratio = value / to.get(&round)?;
        (ratio > 0.0 && ratio.is_finite()).then(|| ratio.ln())
    });
    Centre::of(&pairs.collect::<Vec<f64>>())
}

/// Each heap that is compared with a baseline, and that baseline, in order of appearance.
pub fn opponents<'g, 'r: 'g>(
    groups: impl IntoIterator<Item = &'g Group<'r>>,
) -> Vec<(&'r str, &'r str)> {
    let mut heaps = Vec::new();
    for group in groups {
        let compared = group.compared();
        for cell in compared.filter(|cell| group.centre(cell, TIME).is_some()) {
            let pair = (cell.heap_label(), group.baseline().heap_label());
            if !heaps.contains(&pair) {
                heaps.push(pair);
            }
        }
    }
    heaps
}

/// What must agree.
fn work(row: &Row) -> Option<(&str, u64, u64, u64)> {
    row.metrics.as_ref().map(Metrics::work)
}
