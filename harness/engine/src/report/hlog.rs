//! HdrHistogram interval log, version 1.3 (`.hlog`): every distribution of every timed iteration,
//! for the tools that read such logs.
//!
//! One interval an iteration and quantity, in nanoseconds, with a tag that says whose it is:
//! `WORKLOAD/THREADS/HEAP/BYTES/QUANTITY`, such as `churn/1-thread/gc-rc/64MiB/pauses`. Tags have
//! no comma and no space, which the format forbids: `HistogramLogProcessor -tag`, or any reader,
//! picks one series by it.
//!
//! Rows do not say at what time of day they were made, so that the log's clock is the measured time
//! alone: it starts at zero with the first iteration of the first cell, and iterations follow each
//! other without gaps. There is no `StartTime` nor `BaseTime`, and the column of maxima is in
//! nanoseconds, without a divisor.
//!
//! Values are what the rows hold: three digits, and no correction for an expected interval. Where
//! one is due it was applied when recording (an open-loop latency is measured from the intended
//! start); a second one here would count every stall twice.

use std::collections::HashMap;
use std::time::Duration;

use hdrhistogram::Histogram;
use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::{IntervalLogWriterBuilder, Tag};

use crate::invocation::{Distribution, Metrics};
use crate::results::{CellResults, Results};

/// The whole log; `None` if there is no distribution in the rows.
pub fn render(results: &Results) -> Option<String> {
    let mut buffer = Vec::new();
    let mut serializer = V2DeflateSerializer::new();
    let mut written = false;
    {
        let mut writer = IntervalLogWriterBuilder::new()
            .add_comment("[Histogram log format version 1.3]")
            .add_comment(concat!(
                "[Logged with harness ",
                env!("CARGO_PKG_VERSION"),
                "; values in nanoseconds]"
            ))
            .begin_log_with(&mut buffer, &mut serializer)
            .expect(MEMORY);
        let mut start = Duration::ZERO;
        let mut tags = Tags::default();
        for cell in &results.cells {
            let prefix = tags.of(cell);
            for metrics in cell.measured() {
                let length = Duration::from_nanos(metrics.wall_ns);
                for (quantity, distribution) in distributions(metrics) {
                    let tag = format!("{prefix}/{}", permitted(&quantity));
                    let tag = Tag::new(&tag).expect("it has no comma and no space");
                    let histogram = histogram(&distribution);
                    writer
                        .write_histogram(&histogram, start, length, Some(tag))
                        .expect(MEMORY);
                    written = true;
                }
                start += length;
            }
        }
    }
    written.then(|| String::from_utf8(buffer).expect("the format is ASCII, and tags are text"))
}

const MEMORY: &str = "memory does not fail, and the histograms are within the format's bounds";

/// Every distribution that an iteration has, by the name that its tag ends in.
fn distributions(metrics: &Metrics) -> Vec<(String, Distribution)> {
    let named = |prefix: &str, name: &String, distribution: &Distribution| {
        (format!("{prefix}-{name}"), distribution.clone())
    };
    let mut all = vec![
        ("pauses".to_owned(), metrics.pauses.distribution()),
        (
            "time-to-safepoint".to_owned(),
            metrics.time_to_safepoint.clone(),
        ),
    ];
    let stalls = metrics.stalls.iter();
    all.extend(stalls.map(|(cause, stalls)| named("stall", cause, stalls)));
    let latencies = metrics.latency.iter();
    all.extend(latencies.map(|(kind, latencies)| named("latency", kind, latencies)));
    all.extend([
        (
            "reclamation-delay".to_owned(),
            metrics.reclamation_delay.clone(),
        ),
        ("hiccup".to_owned(), metrics.hiccup.clone()),
    ]);
    all.retain(|(_, distribution)| !distribution.histogram_ns.is_empty());
    all
}

/// The same samples, as the format's own type.
fn histogram(distribution: &Distribution) -> Histogram<u64> {
    let mut histogram =
        Histogram::new_with_bounds(1, 3_600_000_000_000, 3).expect("these bounds are allowed");
    for &(value, count) in &distribution.histogram_ns {
        histogram.saturating_record_n(value, count);
    }
    histogram
}

/// Gives each cell a prefix of its own.
#[derive(Default)]
struct Tags {
    used: HashMap<String, usize>,
}

impl Tags {
    fn of(&mut self, cell: &CellResults) -> String {
        let threads = match cell.threads() {
            1 => "1-thread".to_owned(),
            threads => format!("{threads}-threads"),
        };
        let size = crate::invocation::format_bytes(cell.heap_bytes()).replace(' ', "");
        let twin = if cell.is_twin() { "/twin" } else { "" };
        let parts = [cell.workload_label(), &threads, cell.heap_label(), &size];
        let tag = parts.map(permitted).join("/") + twin;
        // Cells may differ in what has no place in a tag: the seed, the machine, bytes of heap
        // within the rounding.
        let uses = self.used.entry(tag.clone()).or_default();
        *uses += 1;
        match *uses {
            1 => tag,
            number => format!("{tag}/{number}"),
        }
    }
}

/// The text without what a tag cannot contain.
fn permitted(text: &str) -> String {
    text.chars()
        .map(|character| match character {
            ',' => '+',
            character if character.is_whitespace() || character.is_control() => '-',
            character => character,
        })
        .collect()
}
