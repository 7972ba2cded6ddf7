//! Trace events (the JSON that Chromium's tracing defined), for Perfetto (`ui.perfetto.dev`) and
//! `chrome://tracing`: what stopped which thread when, and how much the heap held meanwhile.
//!
//! Of each cell there is the one timed iteration whose time is the median, as a process of the
//! trace: all of them would drown the view, and an average has no time line. In it are a track for
//! each mutator with its spans (`X`), one for collections with their phases inside, and counters of
//! the time line's bytes (`C`); names are `M` events. Times are microseconds from the start of the
//! iteration.
//!
//! Invariant: *slices of one track nest*. Two either are disjoint or one contains the other, as
//! viewers require of `X` events. Spans that overlap otherwise go to further tracks of the same
//! thread. They nest in a reader's arithmetic too: some add `ts` and `dur` as doubles, and leave
//! out a slice whose sum is beyond its parent's by the last bit (`microseconds`).

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::invocation::{CollectionRecord, Metrics, SpanRecord, format_bytes};
use crate::measure::event::{self, Phase};
use crate::results::{CellResults, Results};

/// Spans of the collector's own, which the track of collections shows with their phases.
const COLLECTORS_OWN: [&str; 2] = [event::COLLECTION, event::STOP];
/// The thread that the track of collections belongs to; mutators count from 1.
const COLLECTOR: u64 = 0;
/// Numbers of a mutator's further tracks lie this far apart.
const FURTHER: u64 = 1_000_000;

/// The whole trace; `None` if there is nothing in the rows that has a place in one.
pub fn render(results: &Results) -> Option<String> {
    let mut events = Vec::new();
    for (index, cell) in results.cells.iter().enumerate() {
        if let Some(metrics) = typical(cell) {
            let process = index as u64 + 1;
            let of_cell = of_iteration(process, metrics);
            if !of_cell.is_empty() {
                events.push(named(process, None, "process_name", &title(cell)));
                events.push(json!({
                    "ph": "M", "pid": process, "name": "process_sort_index",
                    "args": {"sort_index": process},
                }));
                events.extend(of_cell);
            }
        }
    }
    if events.is_empty() {
        return None;
    }
    // An event a line: a long trace can be looked at with the usual tools.
    let lines: Vec<String> = events.iter().map(Value::to_string).collect();
    Some(format!(
        "{{\"displayTimeUnit\":\"ms\",\"traceEvents\":[\n{}\n]}}\n",
        lines.join(",\n")
    ))
}

/// The timed iteration with the median time; of two in the middle, the shorter.
pub(crate) fn typical(cell: &CellResults) -> Option<&Metrics> {
    let mut measured: Vec<&Metrics> = cell.measured().collect();
    measured.sort_by_key(|metrics| metrics.wall_ns);
    let middle = measured.len().checked_sub(1)? / 2;
    Some(measured[middle])
}

fn title(cell: &CellResults) -> String {
    let twin = if cell.is_twin() {
        ", second series"
    } else {
        ""
    };
    let bytes = format_bytes(cell.heap_bytes());
    format!("{}{}, {bytes}{twin}", cell.name(), cell.and_threads())
}

fn named(process: u64, thread: Option<u64>, kind: &str, name: &str) -> Value {
    json!({
        "ph": "M", "pid": process, "tid": thread.unwrap_or(0), "name": kind, "args": {"name": name},
    })
}

/// One part of a track: nanoseconds from `from` until `until`.
#[derive(Clone, Debug)]
struct Slice {
    from: u64,
    until: u64,
    name: String,
    arguments: Value,
}

fn of_iteration(process: u64, metrics: &Metrics) -> Vec<Value> {
    let mut events = Vec::new();
    let mut tracks: BTreeMap<u64, Vec<Slice>> = BTreeMap::new();
    for span in &metrics.spans {
        if !COLLECTORS_OWN.contains(&span.kind.as_str()) {
            tracks
                .entry(u64::from(span.mutator) + 1)
                .or_default()
                .push(slice(span));
        }
    }
    for collection in &metrics.collections_log {
        tracks
            .entry(COLLECTOR)
            .or_default()
            .extend(slices(collection));
    }
    for (thread, slices) in tracks {
        let name = match thread {
            COLLECTOR => "collections".to_owned(),
            mutator => format!("mutator {}", mutator - 1),
        };
        for (lane, slices) in lanes(slices).into_iter().enumerate() {
            let thread = thread + lane as u64 * FURTHER;
            let name = match lane {
                0 => name.clone(),
                lane => format!("{name} ({})", lane + 1),
            };
            events.push(named(process, Some(thread), "thread_name", &name));
            events.extend(slices.into_iter().map(|slice| {
                json!({
                    "ph": "X", "pid": process, "tid": thread, "name": slice.name, "cat": "heap",
                    "ts": microseconds(slice.from), "dur": microseconds(slice.until) - microseconds(slice.from),
                    "args": slice.arguments,
                })
            }));
        }
    }
    for sample in &metrics.timeline {
        let series = [
            ("occupied bytes", Some(sample.occupied_bytes)),
            ("committed bytes", Some(sample.committed_bytes)),
            ("live bytes", sample.live_bytes),
            ("resident bytes", sample.resident_bytes),
        ];
        for (name, value) in series {
            if let Some(value) = value {
                events.push(json!({
                    "ph": "C", "pid": process, "name": name, "ts": microseconds(sample.at_ns),
                    "args": {"bytes": value},
                }));
            }
        }
    }
    events
}

fn slice(span: &SpanRecord) -> Slice {
    Slice {
        from: span.at_ns,
        until: span.at_ns.saturating_add(span.length_ns),
        name: span.kind.clone(),
        arguments: json!({}),
    }
}

/// A collection and, inside it, its phases one after another.
fn slices(collection: &CollectionRecord) -> Vec<Slice> {
    let until = collection.at_ns.saturating_add(collection.pause_ns);
    let mut arguments = serde_json::Map::new();
    arguments.insert("cause".to_owned(), collection.cause.clone().into());
    let numbers = [
        ("before bytes", collection.before_bytes),
        ("after bytes", collection.after_bytes),
        ("examined objects", collection.examined_objects),
        ("unreachable objects", collection.unreachable_objects),
        ("generation", collection.generation.map(u64::from)),
    ];
    for (name, number) in numbers {
        if let Some(number) = number {
            arguments.insert(name.to_owned(), number.into());
        }
    }
    let mut slices = vec![Slice {
        from: collection.at_ns,
        until,
        name: format!("{} collection", collection.kind),
        arguments: arguments.into(),
    }];
    let mut from = collection.at_ns;
    for phase in Phase::ALL.map(Phase::name) {
        if let Some(&length) = collection.phases.get(phase) {
            let end = from.saturating_add(length).min(until);
            slices.push(Slice {
                from,
                until: end,
                name: phase.to_owned(),
                arguments: json!({}),
            });
            from = end;
        }
    }
    slices
}

/// Distributes slices so that in each lane they nest; what can be in the first lane is.
fn lanes(mut slices: Vec<Slice>) -> Vec<Vec<Slice>> {
    // Of two that begin together the longer contains the other.
    slices.sort_by_key(|slice| (slice.from, std::cmp::Reverse(slice.until)));
    let mut lanes: Vec<(Vec<u64>, Vec<Slice>)> = Vec::new();
    for slice in slices {
        let fits = |(open, _): &mut (Vec<u64>, Vec<Slice>)| {
            open.retain(|&until| until > slice.from);
            open.last().is_none_or(|&until| slice.until <= until)
        };
        let lane = lanes.iter_mut().position(fits).unwrap_or_else(|| {
            lanes.push((Vec::new(), Vec::new()));
            lanes.len() - 1
        });
        let (open, members) = &mut lanes[lane];
        open.push(slice.until);
        members.push(slice);
    }
    lanes.into_iter().map(|(_, members)| members).collect()
}

/// Nanoseconds as the format's microseconds, to the nearest 8192nd of one. Sums and differences of
/// such numbers are exact in a double, for ten days and more, and so what ends together does so
/// for a reader who adds; decimal fractions are rounded, and their sums again. The nearest
/// nanosecond is the one that was given, of a difference as well.
fn microseconds(nanoseconds: u64) -> f64 {
    const PARTS: f64 = 8192.0;
    (nanoseconds as f64 / 1e3 * PARTS).round() / PARTS
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The sum of two roundings need not be the rounding of the sum.
    #[test]
    fn ends_are_the_same_whoever_adds() {
        let mut naive = 0;
        let mut numbers = 0x9e37_79b9_7f4a_7c15_u64;
        for _ in 0..100_000 {
            numbers = numbers
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            // Up to a quarter of an hour, and spans of every order of size within it.
            let from = (numbers >> 24) % 900_000_000_000;
            let length = (numbers >> 8) % (1 << (numbers % 37));
            let until = from + length;
            let written = microseconds(until) - microseconds(from);
            assert_eq!(microseconds(from) + written, microseconds(until));
            assert_eq!((microseconds(from) * 1e3).round() as u64, from);
            assert_eq!((written * 1e3).round() as u64, length);
            let decimal = |nanoseconds: u64| nanoseconds as f64 / 1e3;
            naive += u32::from(decimal(from) + decimal(length) != decimal(until));
        }
        assert!(naive > 0);
    }

    fn slice(from: u64, until: u64) -> Slice {
        Slice {
            from,
            until,
            name: String::new(),
            arguments: json!({}),
        }
    }

    #[test]
    fn slices_that_overlap_get_lanes_of_their_own() {
        let spans = |slices: &[Slice]| -> Vec<(u64, u64)> {
            slices
                .iter()
                .map(|slice| (slice.from, slice.until))
                .collect()
        };
        let lanes = lanes(vec![
            slice(0, 10),
            slice(2, 5),
            slice(5, 10),
            slice(8, 12), // crosses the end of the first
            slice(10, 20),
            slice(12, 13),
            slice(12, 20),
        ]);
        assert_eq!(lanes.len(), 2);
        assert_eq!(
            spans(&lanes[0]),
            [(0, 10), (2, 5), (5, 10), (10, 20), (12, 20), (12, 13)]
        );
        assert_eq!(spans(&lanes[1]), [(8, 12)]);
    }

    #[test]
    fn phases_lie_within_their_collection() {
        let phases = [("mark", 50), ("roots", 30), ("resume", 1000)];
        let collection = CollectionRecord {
            at_ns: 100,
            pause_ns: 90,
            phases: phases
                .map(|(name, length)| (name.to_owned(), length))
                .into(),
            ..CollectionRecord::default()
        };
        let slices = slices(&collection);
        let spans: Vec<_> = slices
            .iter()
            .map(|slice| (slice.name.as_str(), slice.from, slice.until))
            .collect();
        assert_eq!(
            spans[1..],
            [
                ("roots", 100, 130),
                ("mark", 130, 180),
                ("resume", 180, 190)
            ]
        );
        assert_eq!(lanes(slices).len(), 1);
    }
}
