//! Processor time of the collector.
//!
//! Definition: *thread CPU of workers + mutators' slow paths; inline count cost only through LBO.*
//!
//! * Of a *stop-the-world collection*: what the collecting thread's own processor clock says from
//!   the request to the end, and the helpers' clocks while they work or look for work. The heap
//!   reads the clocks; a runtime that does not say makes the figure unknown.
//! * Of a *stall* in a sweep: its length. The search within a block, which takes nanoseconds, is
//!   not seen.
//! * Of *cycle collections and drains* of a counting heap: their lengths. The thread that carries
//!   one out never waits in it, so that length and processor time differ only where the system took
//!   the processor away; reading the clock each time would cost more than a short drain.
//!
//! Waits are no processor time. Counts, barriers and polls are not in here either: nobody could
//! time an increment. What all of it costs together is what the [lower-bound overhead](super::lbo)
//! finds.

use super::event::{Event, EventKind};
use super::timeline::Timeline;

/// Processor time of the collector in nanoseconds; `None` if a collection does not say how much it
/// took.
pub fn collector_ns(timeline: &Timeline<'_>) -> Option<u64> {
    let mut sum = 0;
    for event in timeline.events() {
        sum += match event.kind {
            EventKind::Collection { details, .. } => details.cpu_ns?,
            EventKind::Stop { .. } => return None,
            EventKind::Stall => event.length(),
            _ => 0,
        };
    }
    let in_slow_paths = timeline.spans().filter(|span| {
        matches!(
            span.kind,
            EventKind::CycleCollection { .. } | EventKind::Drain { .. }
        )
    });
    Some(sum + in_slow_paths.map(Event::length).sum::<u64>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::event::{Details, EventLog};

    fn event(from: u64, until: u64, kind: EventKind) -> Event {
        Event {
            mutator: 0,
            from,
            until,
            kind,
        }
    }

    fn collection(cpu_ns: Option<u64>) -> EventKind {
        EventKind::Collection {
            stop: 1,
            stopped: 10,
            rooted: 11,
            marked: 12,
            live_bytes: 0,
            details: Details {
                cpu_ns,
                ..Details::default()
            },
        }
    }

    fn of(events: Vec<Event>) -> Option<u64> {
        collector_ns(&Timeline::of(&EventLog { events, lost: 0 }))
    }

    #[test]
    fn workers_and_slow_paths_are_summed() {
        let cycles = EventKind::CycleCollection {
            generation: 1,
            examined: 0,
            unreachable: 0,
            explicit: false,
        };
        assert_eq!(of(vec![]), Some(0));
        let sum = of(vec![
            event(0, 100, collection(Some(150))),
            event(0, 100, EventKind::Stopped { stop: 1 }),
            event(200, 207, EventKind::Stall),
            event(300, 340, cycles),
            event(310, 320, EventKind::Drain { objects: 70 }),
            event(400, 405, EventKind::Drain { objects: 70 }),
            event(500, 900, EventKind::LockWait),
        ]);
        assert_eq!(sum, Some(150 + 7 + 40 + 5));
    }

    #[test]
    fn what_is_not_said_is_not_known() {
        assert_eq!(of(vec![event(0, 100, collection(None))]), None);
        let stop = EventKind::Stop {
            stop: 1,
            stopped: 5,
            explicit: false,
        };
        assert_eq!(of(vec![event(0, 100, stop)]), None);
    }
}
