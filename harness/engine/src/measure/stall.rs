//! Allocation stalls.
//!
//! Definition: *time in the allocation slow path beyond a refill, by cause (sweep, collection,
//! lock).*
//!
//! | cause | on a stop-the-world heap | on a counting heap behind a lock |
//! |---|---|---|
//! | `sweep` | the search for a block with free memory took long, a wait for another thread at the supply included | - |
//! | `collection` | the thread that found no memory collected; from its request until it went on | a collection in the thread's way |
//! | `lock` | - | a wait for the global lock, without which nothing can be allocated; or for the lock of an object, where each has one |
//! | `drain` | - | objects freed in one go, which an allocation does first |
//!
//! On a heap that collects beside its mutators, `collection` is a wait for memory that such a
//! collection was to free.
//!
//! "Long" is what the heap reports; a refill that stays below is what allocation costs. From the
//! least length on a stall is a [pause](super::pause) too. A collection that was asked for by name
//! is no stall. Other threads that a collection stopped were
//! not necessarily allocating: their time is in the [pauses](super::pause).

use std::collections::BTreeMap;

use super::distribution::Distribution;
use super::event::EventKind;
use super::timeline::{Stop, Timeline};

/// Stalls by cause.
pub fn of(timeline: &Timeline<'_>) -> BTreeMap<String, Distribution> {
    let mut lengths: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
    for event in timeline.events() {
        let (cause, until) = match event.kind {
            EventKind::Collection { stop, details, .. } if !details.explicit => {
                let resumed = timeline.stop(stop).and_then(Stop::collector_resumed);
                ("collection", resumed.unwrap_or(event.until))
            }
            EventKind::Stall => ("sweep", event.until),
            _ => continue,
        };
        lengths
            .entry(cause)
            .or_default()
            .push(until.saturating_sub(event.from));
    }
    // What lies within another of these does not count twice.
    for span in timeline.spans() {
        let cause = match span.kind {
            EventKind::LockWait => "lock",
            EventKind::CycleCollection {
                explicit: false, ..
            }
            | EventKind::CollectionWait => "collection",
            EventKind::Drain { .. } => "drain",
            _ => continue,
        };
        lengths.entry(cause).or_default().push(span.length());
    }
    lengths
        .into_iter()
        .map(|(cause, lengths)| (cause.to_owned(), Distribution::of(lengths)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::event::{Details, Event, EventLog};

    fn event(mutator: u32, from: u64, until: u64, kind: EventKind) -> Event {
        Event {
            mutator,
            from,
            until,
            kind,
        }
    }

    fn collection(stop: u64, from: u64, until: u64, explicit: bool) -> Event {
        let details = Details {
            explicit,
            ..Details::default()
        };
        let kind = EventKind::Collection {
            stop,
            stopped: from,
            rooted: from,
            marked: until,
            live_bytes: 0,
            details,
        };
        event(0, from, until, kind)
    }

    fn summary(events: Vec<Event>) -> Vec<(String, u64, u64)> {
        let stalls = of(&Timeline::of(&EventLog { events, lost: 0 }));
        let summary = stalls.into_iter();
        summary
            .map(|(cause, lengths)| (cause, lengths.count, lengths.max_ns))
            .collect()
    }

    #[test]
    fn causes_are_told_apart() {
        let stalls = summary(vec![
            collection(1, 100, 200, false),
            event(0, 100, 205, EventKind::Stopped { stop: 1 }),
            // Stopped, but not by its own allocation.
            event(1, 110, 230, EventKind::Stopped { stop: 1 }),
            event(1, 300, 312, EventKind::Stall),
        ]);
        let expected = [("collection", 1, 105), ("sweep", 1, 12)];
        assert_eq!(
            stalls,
            expected.map(|(cause, n, max)| (cause.to_owned(), n, max))
        );
    }

    #[test]
    fn a_collection_asked_for_is_none() {
        assert!(summary(vec![collection(1, 100, 200, true)]).is_empty());
    }

    #[test]
    fn on_a_counting_heap() {
        let cycles = EventKind::CycleCollection {
            generation: 0,
            examined: 1,
            unreachable: 0,
            explicit: false,
        };
        let stalls = summary(vec![
            event(0, 0, 10, EventKind::LockWait),
            event(0, 20, 60, cycles),
            event(0, 30, 35, EventKind::Drain { objects: 9 }),
            event(0, 70, 77, EventKind::Drain { objects: 9 }),
        ]);
        let expected = [("collection", 1, 40), ("drain", 1, 7), ("lock", 1, 10)];
        assert_eq!(
            stalls,
            expected.map(|(cause, n, max)| (cause.to_owned(), n, max))
        );
    }
}
