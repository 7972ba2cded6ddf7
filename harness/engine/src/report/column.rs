//! The columns of a comparison, each once: its title, how its figure is written, and how to read
//! it. Every format shows some of them ([`table`](super::table)).

use super::quantity::{format_rate, format_ratio, format_share, format_spread, format_time};
use crate::invocation::format_bytes;
use crate::measure::pause::Pauses;
use crate::results::{CellResults, Group};
use crate::statistics::{self, Estimate};

/// Nothing to show.
pub(crate) const NONE: &str = "-";

/// One column of figures.
#[derive(Debug)]
pub(crate) struct Column {
    /// What stands above it in the whole table, where the columns of pauses follow each other.
    title: &'static str,
    /// What stands above it where its neighbours do not say that it is about pauses.
    alone: &'static str,
    /// How to read it, if that needs to be said.
    legend: Option<&'static str>,
    text: fn(&Figures<'_>) -> String,
}

/// Where a title names the heap that others are divided by.
const BASELINE: &str = "{baseline}";

impl Column {
    const fn new(title: &'static str, text: fn(&Figures<'_>) -> String) -> Self {
        Self {
            title,
            alone: title,
            legend: None,
            text,
        }
    }

    /// What stands above it; `alone` if its neighbours do not say that it is about pauses.
    pub(crate) fn title(&self, alone: bool, baseline: &str) -> String {
        let title = if alone { self.alone } else { self.title };
        title.replace(BASELINE, baseline)
    }

    /// The figure as it is shown; [`NONE`] where there is none.
    pub(crate) fn text(&self, figures: &Figures<'_>) -> String {
        (self.text)(figures)
    }
}

/// Time with its range.
pub(crate) static TIME: Column = Column {
    legend: Some("Time: median over processes (in parentheses the fastest and the slowest)."),
    ..Column::new("time (min-max)", |figures| format_spread(figures.time))
};
/// Operations a second.
pub(crate) static THROUGHPUT: Column = Column::new("throughput", |figures| {
    let per_second = figures.operations as f64 / (figures.time.value / 1e9);
    format_rate(per_second, figures.cell.operation().unwrap_or_default())
});
/// Time over the baseline's, with its interval.
pub(crate) static RATIO: Column = Column {
    legend: Some(
        "Ratio: of each round, with the interval of their mean, as sure as it takes that of all comparisons' verdicts 5 % at most are wrong.",
    ),
    ..Column::new("time / {baseline} [interval]", |figures| {
        let ratio = (!figures.is_baseline).then_some(figures.ratio);
        ratio.map_or("1".to_owned(), |ratio| or_none(ratio, format_ratio))
    })
};
/// How many pauses; with a plus if events were lost.
pub(crate) static PAUSES: Column = Column::new("pauses", |Figures { pauses, .. }| {
    let lost = if pauses.events_lost > 0 { "+" } else { "" };
    let known = (!pauses.pauses_unknown).then_some(pauses.pause_count);
    or_none(known, |count| format!("{count}{lost}"))
});
pub(crate) static MEDIAN_PAUSE: Column = Column {
    alone: "median pause",
    ..Column::new("p50", |figures| pause(figures.pauses.pause_p50_ns))
};
pub(crate) static P99_PAUSE: Column = Column {
    alone: "p99 pause",
    ..Column::new("p99", |figures| pause(figures.pauses.pause_p99_ns))
};
pub(crate) static LONGEST_PAUSE: Column = Column {
    alone: "longest pause",
    legend: Some(
        "Pauses: everything that stopped a thread, waits for the lock included; a percentile with \
         fewer than 10 pauses above it is not shown, nor is anything of a runtime that does not \
         tell of all of its pauses.",
    ),
    ..Column::new("max", |figures| pause(figures.pauses.pause_max_ns))
};
/// The share of thread time in pauses.
pub(crate) static IN_PAUSES: Column = Column {
    legend: Some(
        "In pauses: stopped time / time of the threads, those not counted that wait outside.",
    ),
    ..Column::new("in pauses", |figures| {
        let pauses = &figures.pauses;
        let known = (!pauses.pauses_unknown).then_some(pauses.stopped_ns);
        or_none(known, |ns| {
            format_share(ns as f64 / figures.thread_time.max(1.0))
        })
    })
};
/// The most that counted against the limit.
pub(crate) static PEAK_HEAP: Column = Column::new("peak heap", |figures| {
    or_none(figures.peak_heap_bytes, format_bytes)
});
/// The largest resident size of the process.
pub(crate) static RESIDENT: Column = Column::new("resident", |figures| {
    let bytes = figures.resident_bytes;
    bytes.map_or("not measurable".to_owned(), format_bytes)
});

/// Every column, in the order of the whole table.
pub(crate) static ALL: [&Column; 10] = [
    &TIME,
    &THROUGHPUT,
    &RATIO,
    &PAUSES,
    &MEDIAN_PAUSE,
    &P99_PAUSE,
    &LONGEST_PAUSE,
    &IN_PAUSES,
    &PEAK_HEAP,
    &RESIDENT,
];

fn or_none<T>(value: Option<T>, format: impl Fn(T) -> String) -> String {
    value.map_or(NONE.to_owned(), format)
}

fn pause(nanoseconds: Option<u64>) -> String {
    or_none(nanoseconds, |nanoseconds| format_time(nanoseconds as f64))
}

/// How to read these columns, in one paragraph; `with_twins` if second series have lines.
pub(crate) fn legend(columns: &[&Column], with_twins: bool) -> String {
    const AGAIN: &str = "Again: the same heap in a second series, whose ratio shows how much two \
                         equal things differ here.";
    const HEAPS: &str = "The arena never frees: the floor. Moving: its collector moves objects; \
                         peak heap is then what that runtime counts, which leaves out most of its \
                         metadata.";
    let mut sentences: Vec<&str> = columns.iter().filter_map(|one| one.legend).collect();
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
        let time = statistics::spread(&cell.times()).filter(|_| !group.is_void())?;
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
                .map(|metrics| {
                    let of_all = || metrics.wall_ns as f64 * cell.threads() as f64;
                    metrics.mutator_ns.map_or_else(of_all, |ns| ns as f64)
                })
                .sum(),
            peak_heap_bytes: metrics().map(|metrics| metrics.peak_heap_bytes).max(),
            resident_bytes: metrics().filter_map(|m| m.peak_resident_bytes).max(),
        })
    }
}
