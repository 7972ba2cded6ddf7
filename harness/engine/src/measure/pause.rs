//! Pauses.
//!
//! Definitions: a pause is *(one least length on both heaps) from the request to stop to the last
//! mutator resumed*; on a counting heap, *any decrement cascade, deferred drain, cycle collection,
//! or wait for the lock; without these, counting looks pause-free by omission*. Time-to-safepoint
//! is *request -> last mutator stopped*. **Whatever stops a mutator is a pause**, be it a wait or
//! work on somebody else's behalf: searching for free memory, on a heap that sweeps when it
//! allocates, as much as a cascade on one that counts.
//!
//! So on a stop-the-world heap there is one pause a stop, common to all threads, and it begins when
//! somebody *asks*, not when the last thread has obeyed; and each long search is one of the thread
//! that searched. On a counting heap each wait, drain and cycle collection is a pause of the thread
//! it happened to; one that lies within another of the same thread (a drain in a collection) is not
//! counted again. Where a collector works beside the mutators, each wait for it is a pause of the
//! thread that waited.
//!
//! **The least length** is [`LEAST_PAUSE_NS`](super::event::LEAST_PAUSE_NS) on every heap: what is
//! shorter is what operations cost, and is in the throughput. Heaps report cascades and searches
//! from different lengths on; all of them are below this.
//!
//! **Collections that the program asked for by name** are no pauses: it chose the moment. They have
//! a part of their own, `explicit`, and their time is taken out of the pauses that overlap them,
//! such as the wait for the lock of a thread that collects.
//!
//! The *share of time in pauses* is of the time in which mutators were active: see
//! [utilisation](super::utilisation). For stops it counts each thread from its own arrival, so that
//! the time in which it still ran before it saw the request is not held against the heap.
//!
//! Percentiles are given with n; one with fewer than 10 samples above it is not given. Values are
//! kept to three digits, in nanoseconds.

use std::collections::BTreeMap;

use super::distribution::Distribution;
use super::event::EXPLICIT;
use super::timeline::{Stop, Timeline};
pub use contract::row::{Part, Pauses};

/// What the events of one iteration amount to, but for the thread time in pauses, which is
/// [utilisation](super::utilisation)'s.
pub fn of(timeline: &Timeline<'_>) -> Pauses {
    let mut event_ns: BTreeMap<String, u64> = BTreeMap::new();
    for event in timeline.events() {
        let name = event.kind.name().to_owned();
        *event_ns.entry(name).or_default() += event.length();
    }
    let stops = timeline.stop_pauses().map(Stop::length);
    let lengths = stops.chain(timeline.thread_pauses().map(|(_, length)| length));
    Pauses {
        event_ns,
        events_lost: timeline.lost(),
        time_to_safepoint_max_ns: timeline.stops().filter_map(Stop::time_to_safepoint).max(),
        ..Pauses::of_lengths(Distribution::of(lengths))
    }
}

/// What the pauses of one iteration consist of, by the names of the parts: those of stops are
/// consecutive and add up to the pauses.
///
/// | part | from | to |
/// |---|---|---|
/// | `time-to-safepoint` | the request | the last mutator has stopped |
/// | `roots` | then | the roots have been scanned |
/// | `mark` | then | marking is complete, weak references and finalizers included |
/// | `finish` | then | the mutators are let go |
/// | `resume` | then | the last of them runs |
///
/// A [peer](crate::peer) that does not tell the middle three apart has one part for them, `stop`.
/// Where a minor collection was followed by a major one in the same stop, `roots` covers the minor
/// one too. The pause of a single thread is one part: `lock-wait`, `drain` or `cycle-collection` on
/// a counting heap, `stall` where free memory is searched for. `explicit` are the collections that
/// the program asked for by name, which are in no pause.
pub fn parts(timeline: &Timeline<'_>) -> BTreeMap<String, Part> {
    let mut parts: BTreeMap<String, Part> = BTreeMap::new();
    let mut add = |name: &str, length: u64| {
        let part = parts.entry(name.to_owned()).or_default();
        part.count += 1;
        part.total_ns += length;
        part.max_ns = part.max_ns.max(length);
    };
    for (phase, length) in timeline.stop_pauses().flat_map(Stop::phases) {
        add(phase.name(), length);
    }
    for (span, length) in timeline.thread_pauses() {
        add(span.kind.name(), length);
    }
    for length in timeline.explicit() {
        add(EXPLICIT, length);
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::event::{Details, Event, EventKind, EventLog};
    use crate::measure::utilisation;

    const US: u64 = 1_000;

    /// In microseconds.
    fn event(mutator: u32, from: u64, until: u64, kind: EventKind) -> Event {
        Event {
            mutator,
            from: from * US,
            until: until * US,
            kind,
        }
    }

    fn collection(stop: u64, from: u64, stopped: u64, until: u64) -> Event {
        let kind = EventKind::Collection {
            stop,
            stopped: stopped * US,
            rooted: stopped * US,
            marked: until * US,
            live_bytes: 0,
            details: Details::default(),
        };
        event(0, from, until, kind)
    }

    fn pauses(events: Vec<Event>) -> Pauses {
        let log = EventLog { events, lost: 0 };
        let timeline = Timeline::of(&log);
        Pauses {
            stopped_ns: utilisation::of(&timeline, 0..1 << 40, 1).stopped_ns,
            ..super::of(&timeline)
        }
    }

    #[test]
    fn a_stop_is_one_pause_from_request_to_last_resumed() {
        let pauses = pauses(vec![
            collection(1, 100, 130, 200),
            event(0, 100, 205, EventKind::Stopped { stop: 1 }),
            event(1, 130, 230, EventKind::Stopped { stop: 1 }),
        ]);
        assert_eq!(pauses.pause_count, 1);
        assert_eq!(pauses.pause_max_ns, Some(130 * US));
        assert_eq!(pauses.time_to_safepoint_max_ns, Some(30 * US));
        assert_eq!(pauses.stopped_ns, (105 + 100) * US);
    }

    #[test]
    fn a_thread_that_arrived_before_the_request_does_not_lengthen_the_pause() {
        let pauses = pauses(vec![
            event(1, 60, 220, EventKind::Stopped { stop: 1 }),
            collection(1, 100, 130, 200),
            event(0, 100, 205, EventKind::Stopped { stop: 1 }),
        ]);
        assert_eq!(
            (pauses.pause_count, pauses.pause_max_ns),
            (1, Some(120 * US))
        );
        assert_eq!(pauses.stopped_ns, (160 + 105) * US);
    }

    #[test]
    fn the_time_in_which_a_thread_still_ran_is_no_pause() {
        let with_arrival = pauses(vec![
            event(1, 100, 130, EventKind::Arrived { stop: 1 }),
            collection(1, 100, 130, 200),
            event(0, 100, 205, EventKind::Stopped { stop: 1 }),
            event(1, 130, 230, EventKind::Stopped { stop: 1 }),
        ]);
        assert_eq!(with_arrival.event_ns["arrived"], 30 * US);
        assert_eq!(with_arrival.stopped_ns, (105 + 100) * US);
        assert_eq!(with_arrival.pause_histogram_ns, [(130_047, 1)]);
    }

    #[test]
    fn stops_are_told_apart_and_may_arrive_in_any_order() {
        let pauses = pauses(vec![
            event(0, 500, 520, EventKind::Stopped { stop: 2 }),
            event(0, 100, 110, EventKind::Stopped { stop: 1 }),
            collection(2, 495, 500, 515),
            collection(1, 100, 101, 108),
        ]);
        assert_eq!(pauses.pause_count, 2);
        assert_eq!(pauses.pause_max_ns, Some(25 * US));
    }

    #[test]
    fn waits_drains_and_cycle_collections_are_pauses_of_their_thread() {
        let cycles = EventKind::CycleCollection {
            generation: 0,
            examined: 9,
            unreachable: 2,
            explicit: false,
        };
        let pauses = pauses(vec![
            event(0, 0, 10, EventKind::LockWait),
            event(1, 5, 25, EventKind::LockWait),
            event(0, 30, 70, cycles),
            // Inside the collection: not a pause of its own.
            event(0, 40, 50, EventKind::Drain { objects: 100 }),
            event(1, 40, 55, EventKind::Drain { objects: 100 }),
            event(1, 80, 90, EventKind::Stall),
        ]);
        assert_eq!(pauses.pause_count, 5);
        assert_eq!(pauses.pause_max_ns, Some(40 * US));
        assert_eq!(pauses.stopped_ns, (10 + 20 + 40 + 15 + 10) * US);
        assert_eq!(pauses.event_ns["drain"], 25 * US);
        assert_eq!(pauses.event_ns["stall"], 10 * US);
        assert_eq!(pauses.time_to_safepoint_max_ns, None);
    }

    #[test]
    fn the_parts_of_a_stop_add_up_to_its_pause() {
        let kind = EventKind::Collection {
            stop: 1,
            stopped: 130 * US,
            rooted: 137 * US,
            marked: 180 * US,
            live_bytes: 0,
            details: Details::default(),
        };
        let log = EventLog {
            events: vec![
                event(0, 100, 200, kind),
                event(0, 100, 205, EventKind::Stopped { stop: 1 }),
                event(1, 130, 230, EventKind::Stopped { stop: 1 }),
                collection(2, 500, 510, 550),
                event(0, 300, 314, EventKind::LockWait),
                // One whose collection was lost has a pause and no parts.
                event(1, 700, 800, EventKind::Stopped { stop: 3 }),
            ],
            lost: 1,
        };
        let part = |count, total_ns, max_ns| Part {
            count,
            total_ns: total_ns * US,
            max_ns: max_ns * US,
        };
        let expected = [
            ("finish", part(2, 20, 20)),
            ("lock-wait", part(1, 14, 14)),
            ("mark", part(2, 43 + 40, 43)),
            ("resume", part(2, 30, 30)),
            ("roots", part(2, 7, 7)),
            ("time-to-safepoint", part(2, 40, 30)),
        ];
        assert_eq!(
            parts(&Timeline::of(&log)),
            expected.map(|(name, part)| (name.to_owned(), part)).into()
        );
        assert_eq!(
            super::of(&Timeline::of(&log)).pause_histogram_ns,
            [(14_007, 1), (50_015, 1), (100_031, 1), (130_047, 1)]
        );
    }

    #[test]
    fn a_stop_that_says_no_more_is_one_part() {
        let kind = EventKind::Stop {
            stop: 1,
            stopped: 110 * US,
            explicit: false,
        };
        let log = EventLog {
            events: vec![event(0, 100, 200, kind)],
            lost: 0,
        };
        let parts = parts(&Timeline::of(&log));
        let lengths: Vec<_> = parts
            .iter()
            .map(|(name, part)| (name.as_str(), part.total_ns))
            .collect();
        assert_eq!(
            lengths,
            [
                ("resume", 0),
                ("stop", 90 * US),
                ("time-to-safepoint", 10 * US)
            ]
        );
    }

    #[test]
    fn percentiles_need_samples_above_them() {
        let waits = |count: u64| {
            let wait = |n| event(0, n * 1000, n * 1000 + 10 + n % 100, EventKind::LockWait);
            pauses((0..count).map(wait).collect())
        };
        assert_eq!(waits(0), Pauses::default());
        let few = waits(19);
        assert_eq!((few.pause_p50_ns, few.pause_max_ns), (None, Some(28 * US)));
        assert_eq!(waits(20).pause_p50_ns, Some(19_007));
        assert_eq!(waits(999).pause_p99_ns, None);
        assert_eq!(waits(1000).pause_p99_ns, Some(108_031));
        assert_eq!(waits(1000).pause_p999_ns, None);
    }

    #[test]
    fn merging_is_like_having_seen_everything() {
        let wait = |n: u64| event(0, n * 100_000, n * 100_000 + 37 * n, EventKind::LockWait);
        let whole = pauses((0..500).map(wait).collect());
        let parts = [
            pauses((0..200).map(wait).collect()),
            pauses((200..500).map(wait).collect()),
            Pauses::default(),
        ];
        assert_eq!(Pauses::merge(parts.iter()), whole);
    }

    #[test]
    fn one_least_length_holds_for_all() {
        let short = pauses(vec![
            event(0, 0, 9, EventKind::LockWait),
            event(0, 20, 29, EventKind::Drain { objects: 100 }),
            event(0, 40, 49, EventKind::Stall),
            collection(1, 60, 61, 68),
            event(0, 60, 69, EventKind::Stopped { stop: 1 }),
        ]);
        assert_eq!((short.pause_count, short.stopped_ns), (0, 0));
        let long = pauses(vec![
            event(0, 0, 10, EventKind::LockWait),
            event(0, 20, 30, EventKind::Drain { objects: 100 }),
            event(0, 40, 50, EventKind::Stall),
            collection(1, 60, 61, 68),
            event(0, 60, 70, EventKind::Stopped { stop: 1 }),
        ]);
        assert_eq!((long.pause_count, long.stopped_ns), (4, 40 * US));
    }

    #[test]
    fn collections_that_were_asked_for_are_told_apart_on_both_kinds_of_heap() {
        let cycles = EventKind::CycleCollection {
            generation: 2,
            examined: 9,
            unreachable: 2,
            explicit: true,
        };
        let counting = vec![
            event(0, 100, 150, cycles),
            event(0, 110, 130, EventKind::Drain { objects: 100 }),
            // For the lock of the thread that collects, and 20 us before and after.
            event(1, 80, 170, EventKind::LockWait),
            // For nothing else.
            event(2, 95, 151, EventKind::LockWait),
        ];
        let mut explicit = collection(1, 100, 110, 150);
        if let EventKind::Collection { details, .. } = &mut explicit.kind {
            details.explicit = true;
        }
        let tracing = vec![
            explicit,
            event(0, 100, 150, EventKind::Stopped { stop: 1 }),
            event(1, 110, 150, EventKind::Stopped { stop: 1 }),
        ];
        for (events, count, stopped) in [(counting, 1, 40), (tracing, 0, 0)] {
            let log = EventLog { events, lost: 0 };
            let parts = parts(&Timeline::of(&log));
            let explicit = Part {
                count: 1,
                total_ns: 50 * US,
                max_ns: 50 * US,
            };
            assert_eq!(parts[EXPLICIT], explicit);
            let pauses = pauses(log.events);
            assert_eq!(
                (pauses.pause_count, pauses.stopped_ns),
                (count, stopped * US)
            );
        }
    }
}
