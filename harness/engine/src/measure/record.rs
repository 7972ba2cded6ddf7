//! The collections and the stopped times of an iteration, one by one: what logs and traces are made
//! of.
//!
//! A row holds [`MAX_COLLECTIONS_LOGGED`] collections, the first ones, and [`MAX_SPANS`] spans, the
//! longest ones; how many found no room is said. Sums and distributions are those of all, in the
//! other modules.

use std::cmp::Reverse;
use std::ops::Range;

use super::event::{Event, EventKind, Extent};
use super::timeline::{Stop, Timeline};
use contract::row::{CollectionRecord, MAX_COLLECTIONS_LOGGED, MAX_SPANS, SpanRecord};

/// Why collections are made that nobody asked for: the name that HotSpot has for it.
pub const ALLOCATION_FAILURE: &str = "Allocation Failure";
/// The name for one that the program asked for.
pub const SYSTEM_GC: &str = "System.gc()";

fn cause(explicit: bool) -> &'static str {
    if explicit {
        SYSTEM_GC
    } else {
        ALLOCATION_FAILURE
    }
}

/// The collections that were requested within the iteration, in order, and how many more there
/// were.
pub fn collections(
    timeline: &Timeline<'_>,
    iteration: &Range<u64>,
) -> (Vec<CollectionRecord>, u64) {
    let stops = timeline.stops().filter_map(of_stop);
    let mut records: Vec<_> = stops
        .chain(timeline.events().filter_map(of_cycles))
        .collect();
    records.sort_by_key(|record| record.at_ns);
    let left_out = records.len().saturating_sub(MAX_COLLECTIONS_LOGGED);
    records.truncate(MAX_COLLECTIONS_LOGGED);
    for record in &mut records {
        record.at_ns = record.at_ns.saturating_sub(iteration.start);
    }
    (records, left_out as u64)
}

/// A collection with every mutator stopped; its time is the heap's.
fn of_stop(stop: &Stop) -> Option<CollectionRecord> {
    let event = stop.collection?;
    let EventKind::Collection {
        live_bytes,
        details,
        ..
    } = event.kind
    else {
        return None;
    };
    let extent = if details.minor {
        Extent::Young
    } else {
        Extent::Full
    };
    let phases = stop.phases();
    Some(CollectionRecord {
        at_ns: event.from,
        pause_ns: stop.length(),
        kind: extent.name().to_owned(),
        cause: cause(details.explicit).to_owned(),
        before_bytes: details.before_bytes,
        after_bytes: Some(live_bytes),
        committed_bytes: details.committed_bytes,
        time_to_safepoint_ns: stop.time_to_safepoint(),
        phases: phases
            .map(|(phase, length)| (phase.name().to_owned(), length))
            .collect(),
        ..CollectionRecord::default()
    })
}

/// A cycle collection of a counting heap; its time is the heap's.
fn of_cycles(event: &Event) -> Option<CollectionRecord> {
    let EventKind::CycleCollection {
        generation,
        examined,
        unreachable,
        explicit,
    } = event.kind
    else {
        return None;
    };
    Some(CollectionRecord {
        at_ns: event.from,
        pause_ns: event.length(),
        kind: Extent::Cycle.name().to_owned(),
        cause: cause(explicit).to_owned(),
        generation: Some(generation),
        examined_objects: Some(examined),
        unreachable_objects: Some(unreachable),
        ..CollectionRecord::default()
    })
}

/// The times in which mutators were stopped, waited for or stalled, and in which a collector
/// worked, in order; and how many shorter ones there were.
pub fn spans(timeline: &Timeline<'_>, iteration: &Range<u64>) -> (Vec<SpanRecord>, u64) {
    let mut events: Vec<&Event> = timeline.events().collect();
    let left_out = events.len().saturating_sub(MAX_SPANS);
    if left_out > 0 {
        events.select_nth_unstable_by_key(MAX_SPANS, |event| Reverse(event.length()));
        events.truncate(MAX_SPANS);
    }
    events.sort_by_key(|event| (event.from, Reverse(event.until)));
    let record = |event: &Event| SpanRecord {
        mutator: event.mutator,
        at_ns: event.from.saturating_sub(iteration.start),
        length_ns: event.until.saturating_sub(event.from.max(iteration.start)),
        kind: event.kind.name().to_owned(),
    };
    (events.into_iter().map(record).collect(), left_out as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::event::{Details, EventLog};

    fn event(mutator: u32, from: u64, until: u64, kind: EventKind) -> Event {
        Event {
            mutator,
            from,
            until,
            kind,
        }
    }

    #[test]
    fn collections_are_told_in_order() {
        let kind = EventKind::Collection {
            stop: 1,
            stopped: 1_510,
            rooted: 1_520,
            marked: 1_560,
            live_bytes: 77,
            details: Details {
                minor: true,
                before_bytes: Some(200),
                ..Details::default()
            },
        };
        let cycles = EventKind::CycleCollection {
            generation: 2,
            examined: 50,
            unreachable: 9,
            explicit: true,
        };
        let log = EventLog {
            events: vec![
                event(0, 1_500, 1_600, kind),
                event(0, 1_500, 1_630, EventKind::Stopped { stop: 1 }),
                event(0, 1_100, 1_140, cycles),
            ],
            lost: 0,
        };
        let timeline = Timeline::of(&log);
        let (records, left_out) = collections(&timeline, &(1_000..2_000));
        assert_eq!((records.len(), left_out), (2, 0));
        let [cycle, young] = &records[..] else {
            unreachable!()
        };
        assert_eq!(
            (cycle.kind.as_str(), cycle.at_ns, cycle.pause_ns),
            ("cycle", 100, 40)
        );
        assert_eq!(
            (cycle.generation, cycle.unreachable_objects),
            (Some(2), Some(9))
        );
        assert_eq!(
            (cycle.cause.as_str(), young.cause.as_str()),
            (SYSTEM_GC, ALLOCATION_FAILURE)
        );
        assert_eq!(
            (young.kind.as_str(), young.at_ns, young.pause_ns),
            ("young", 500, 130)
        );
        assert_eq!(young.phases.values().sum::<u64>(), young.pause_ns);
        assert_eq!(
            (
                young.time_to_safepoint_ns,
                young.before_bytes,
                young.after_bytes
            ),
            (Some(10), Some(200), Some(77))
        );

        let (spans, _) = spans(&timeline, &(1_000..2_000));
        let kinds: Vec<_> = spans
            .iter()
            .map(|span| (span.kind.as_str(), span.at_ns))
            .collect();
        assert_eq!(
            kinds,
            [
                ("cycle-collection", 100),
                ("stopped", 500),
                ("collection", 500)
            ]
        );
    }

    #[test]
    fn the_longest_spans_find_room() {
        let wait = |n: u64| event(0, 10_000 * n, 10_000 * n + n, EventKind::LockWait);
        let count = MAX_SPANS as u64 + 100;
        let log = EventLog {
            events: (1..=count).map(wait).collect(),
            lost: 0,
        };
        let (spans, left_out) = spans(&Timeline::of(&log), &(0..u64::MAX));
        assert_eq!((spans.len(), left_out), (MAX_SPANS, 100));
        assert!(spans.iter().all(|span| span.length_ns > 100));
        assert!(spans.is_sorted_by_key(|span| span.at_ns));
    }
}
