//! The columns of a comparison, each once: its title, how its figure is written, and how to read
//! it. Every format shows some of them ([`table`](super::table)).

use super::quantity::{format_rate, format_ratio, format_share, format_spread, format_time};
use crate::invocation::format_bytes;
use crate::measure::estimate::{self, Estimate};
use crate::measure::pause::Pauses;
use crate::results::{CellResults, Group};

/// Nothing to show.
pub(crate) const NONE: &str = "-";

/// One column of figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Column {
    /// Time with its range.
    Time,
    /// Operations a second.
    Throughput,
    /// Time over the baseline's, with its interval.
    Ratio,
    /// How many pauses.
    Pauses,
    /// Their median.
    Median,
    /// Their 99th percentile.
    P99,
    /// The longest.
    Longest,
    /// The share of thread time in pauses.
    InPauses,
    /// The most that counted against the limit.
    PeakHeap,
    /// The largest resident size of the process.
    Resident,
}

impl Column {
    /// Every column, in the order of the whole table.
    pub(crate) const ALL: [Self; 10] = [
        Self::Time,
        Self::Throughput,
        Self::Ratio,
        Self::Pauses,
        Self::Median,
        Self::P99,
        Self::Longest,
        Self::InPauses,
        Self::PeakHeap,
        Self::Resident,
    ];

    /// What stands above it in the whole table, where the columns of pauses follow each other.
    pub(crate) fn title(self, baseline: &str) -> String {
        let title = match self {
            Self::Time => "time (min-max)",
            Self::Throughput => "throughput",
            Self::Ratio => return format!("time / {baseline} [95 %]"),
            Self::Pauses => "pauses",
            Self::Median => "p50",
            Self::P99 => "p99",
            Self::Longest => "max",
            Self::InPauses => "in pauses",
            Self::PeakHeap => "peak heap",
            Self::Resident => "resident",
        };
        title.to_owned()
    }

    /// What stands above it where its neighbours do not say that it is about pauses.
    pub(crate) fn title_alone(self, baseline: &str) -> String {
        match self {
            Self::Median => "median pause".to_owned(),
            Self::P99 => "p99 pause".to_owned(),
            Self::Longest => "longest pause".to_owned(),
            _ => self.title(baseline),
        }
    }

    /// How to read it, if that needs to be said.
    fn legend(self) -> Option<&'static str> {
        match self {
            Self::Time => {
                Some("Time: median over processes (in parentheses the fastest and the slowest).")
            }
            Self::Ratio => {
                Some("Ratio: with its 95 % interval; what it proves is in the conclusion.")
            }
            Self::Longest => Some(
                "Pauses: everything that stopped a thread, waits for the lock included; a \
                 percentile with fewer than 10 pauses above it is not shown.",
            ),
            Self::InPauses => Some("In pauses: stopped thread time / (threads x time)."),
            _ => None,
        }
    }

    /// The figure as it is shown; [`NONE`] where there is none.
    pub(crate) fn text(self, figures: &Figures<'_>) -> String {
        let or_none = |text: Option<String>| text.unwrap_or_else(|| NONE.to_owned());
        let time =
            |nanoseconds: Option<u64>| or_none(nanoseconds.map(|value| format_time(value as f64)));
        let pauses = &figures.pauses;
        match self {
            Self::Time => format_spread(figures.time),
            Self::Throughput => format_rate(
                figures.operations as f64 / (figures.time.value / 1e9),
                figures.cell.operation().unwrap_or_default(),
            ),
            Self::Ratio if figures.is_baseline => "1".to_owned(),
            Self::Ratio => or_none(figures.ratio.map(format_ratio)),
            Self::Pauses => {
                let lost = if pauses.events_lost > 0 { "+" } else { "" };
                format!("{}{lost}", pauses.pause_count)
            }
            Self::Median => time(pauses.pause_p50_ns),
            Self::P99 => time(pauses.pause_p99_ns),
            Self::Longest => time(pauses.pause_max_ns),
            Self::InPauses => format_share(pauses.stopped_ns as f64 / figures.thread_time),
            Self::PeakHeap => or_none(figures.peak_heap_bytes.map(format_bytes)),
            Self::Resident => {
                let bytes = figures.resident_bytes.map(format_bytes);
                bytes.unwrap_or_else(|| "not measurable".to_owned())
            }
        }
    }
}

/// How to read these columns, in one paragraph; `with_twins` if second series have lines.
pub(crate) fn legend(columns: &[Column], with_twins: bool) -> String {
    const AGAIN: &str = "Again: the same heap in a second series, whose ratio shows how much two \
                         equal things differ here.";
    const HEAPS: &str = "The arena never frees: the floor. Moving: its collector moves objects; \
                         peak heap is then what that runtime counts, which leaves out most of its \
                         metadata.";
    let mut sentences: Vec<&str> = columns.iter().filter_map(|one| one.legend()).collect();
    sentences.extend(with_twins.then_some(AGAIN));
    sentences.push(HEAPS);
    sentences.join(" ")
}

/// What a cell has measured, over all its processes.
#[derive(Debug)]
pub(crate) struct Figures<'r> {
    cell: &'r CellResults,
    /// Nanoseconds.
    time: Estimate,
    operations: u64,
    is_baseline: bool,
    /// To the baseline; of a twin, to its first series.
    ratio: Option<Estimate>,
    pauses: Pauses,
    /// Nanoseconds of all threads.
    thread_time: f64,
    peak_heap_bytes: Option<u64>,
    resident_bytes: Option<u64>,
}

impl<'r> Figures<'r> {
    /// `None` if the group is void, or the cell has measured nothing.
    pub(crate) fn of(group: &Group<'_>, cell: &'r CellResults) -> Option<Self> {
        let time = estimate::spread_of_processes(&cell.times()).filter(|_| !group.is_void())?;
        let metrics = || cell.measured();
        let ratio = if cell.is_twin() {
            group.same_over_same().or_else(|| group.ratio(cell))
        } else {
            group.ratio(cell)
        };
        Some(Self {
            cell,
            time,
            operations: metrics().next().map_or(0, |first| first.operations),
            is_baseline: std::ptr::eq(cell, group.baseline()),
            ratio,
            pauses: Pauses::merge(metrics().map(|metrics| &metrics.pauses)),
            thread_time: metrics()
                .map(|metrics| metrics.wall_ns as f64 * cell.threads() as f64)
                .sum(),
            peak_heap_bytes: metrics().map(|metrics| metrics.peak_heap_bytes).max(),
            resident_bytes: metrics().filter_map(|m| m.peak_resident_bytes).max(),
        })
    }
}
