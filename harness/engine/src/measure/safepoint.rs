//! Time-to-safepoint.
//!
//! Definition: *request -> last mutator stopped; arrival per thread.*
//!
//! The time-to-safepoint of a *stop* is one of the [parts of its pause](super::pause). Here are the
//! arrivals of single *threads*: how long a stop waited for each thread that was running when it
//! was requested. A thread that stood still already (in a blocking region, or at an earlier stop),
//! and the one that asked, kept nobody waiting and has none. It is no pause: the thread ran
//! meanwhile.

use std::collections::BTreeMap;

use super::distribution::Distribution;
use super::event::EventKind;
use super::timeline::Timeline;

/// The arrivals of all threads.
pub fn arrivals(timeline: &Timeline<'_>) -> Distribution {
    Distribution::of(all(timeline).map(|(_, length)| length))
}

/// The arrivals by mutator.
pub fn by_mutator(timeline: &Timeline<'_>) -> BTreeMap<u32, Distribution> {
    let mut lengths: BTreeMap<u32, Vec<u64>> = BTreeMap::new();
    for (mutator, length) in all(timeline) {
        lengths.entry(mutator).or_default().push(length);
    }
    lengths
        .into_iter()
        .map(|(mutator, lengths)| (mutator, Distribution::of(lengths)))
        .collect()
}

fn all<'l>(timeline: &Timeline<'l>) -> impl Iterator<Item = (u32, u64)> + use<'l> {
    timeline
        .events()
        .filter(|event| matches!(event.kind, EventKind::Arrived { .. }))
        .map(|event| (event.mutator, event.length()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::event::{Event, EventLog};

    #[test]
    fn arrivals_are_told_apart_by_mutator() {
        let event = |mutator, from, until, kind| Event {
            mutator,
            from,
            until,
            kind,
        };
        let log = EventLog {
            events: vec![
                event(1, 100, 107, EventKind::Arrived { stop: 1 }),
                event(2, 100, 300, EventKind::Arrived { stop: 1 }),
                event(1, 100, 900, EventKind::Stopped { stop: 1 }),
                event(1, 1000, 1003, EventKind::Arrived { stop: 2 }),
            ],
            lost: 0,
        };
        let timeline = Timeline::of(&log);
        let all = arrivals(&timeline);
        assert_eq!((all.count, all.max_ns), (3, 200));
        assert_eq!(all.histogram_ns, [(3, 1), (7, 1), (200, 1)]);
        let by_mutator = by_mutator(&timeline);
        assert_eq!(by_mutator.keys().copied().collect::<Vec<_>>(), [1, 2]);
        assert_eq!((by_mutator[&1].count, by_mutator[&1].max_ns), (2, 7));
    }
}
