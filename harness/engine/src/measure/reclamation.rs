//! Reclamation delay.
//!
//! Definition: *unreachable (stamped by the workload) -> reusable; for mark-sweep also ->
//! identified. Not "drag" (last use -> unreachable).*
//!
//! A workload *plants* deaths: it takes a weak reference to an object and, when it drops the last
//! strong one, a stamp. The heap says when that weak reference was cleared ([`Heap::cleared_at`]),
//! which is when the object was found dead: on a counting heap when it is freed, on a tracing heap
//! when the marking that did not reach it is complete. Its memory can be *reused* at once on the
//! former, and on the latter when the collection ends and the mutators are let go, which its event
//! tells.
//!
//! A death that is not found before the iteration ends has no delay yet. It is counted apart,
//! because leaving it out makes a heap that finds little look quick: read the distribution with
//! [`Delays::pending`] beside it.

use super::distribution::Distribution;
use super::event::EventKind;
use super::timeline::Timeline;
#[cfg(doc)]
use crate::heap::Heap;
pub use contract::workload::{Death, Sentinels};

/// The delays of the deaths of one iteration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Delays {
    /// Until it was known that the object is dead.
    pub identified: Distribution,
    /// Until its memory could be used again.
    pub reusable: Distribution,
    /// Deaths that nobody had found out.
    pub pending: u64,
}

/// What the deaths, and the events of the same time, amount to.
pub fn of(deaths: &[Death], timeline: &Timeline<'_>) -> Delays {
    let mut collections: Vec<(u64, u64)> = timeline
        .events()
        .filter(|event| matches!(event.kind, EventKind::Collection { .. }))
        .map(|event| (event.from, event.until))
        .collect();
    collections.sort_unstable();
    let reusable = |identified: u64| {
        let next = collections.partition_point(|&(from, _)| from <= identified);
        let collection = next.checked_sub(1).map(|index| collections[index]);
        // Found in a collection, it waits for its end.
        collection.map_or(identified, |(_, until)| until.max(identified))
    };
    let found = || {
        deaths.iter().filter_map(|death| {
            let identified = death.identified?;
            Some((death.unreachable, identified))
        })
    };
    Delays {
        identified: Distribution::of(found().map(|(dead, at)| at.saturating_sub(dead))),
        reusable: Distribution::of(found().map(|(dead, at)| reusable(at).saturating_sub(dead))),
        pending: deaths.iter().filter(|d| d.identified.is_none()).count() as u64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapter::{Adapter, Settings, gc_marksweep::GcMarksweep, gc_rc::GcRc};
    use crate::heap::{Heap, Mutator, Shape};
    use crate::measure::event::{Details, Event, EventLog};

    #[test]
    fn planted_deaths() {
        let collection = |from, marked, until| Event {
            mutator: 0,
            from,
            until,
            kind: EventKind::Collection {
                stop: 1,
                stopped: from,
                rooted: from,
                marked,
                live_bytes: 0,
                details: Details::default(),
            },
        };
        let log = EventLog {
            events: vec![collection(900, 950, 980), collection(200, 260, 300)],
            lost: 0,
        };
        let death = |unreachable, identified| Death {
            unreachable,
            identified,
        };
        let deaths = [
            // Two found by the first collection, at 260; reusable at its end.
            death(100, Some(260)),
            death(150, Some(260)),
            // One that a count found at once, between collections.
            death(500, Some(501)),
            death(940, None),
        ];
        let delays = of(&deaths, &Timeline::of(&log));
        assert_eq!(delays.identified.histogram_ns, [(1, 1), (110, 1), (160, 1)]);
        assert_eq!(delays.reusable.histogram_ns, [(1, 1), (150, 1), (200, 1)]);
        assert_eq!(delays.pending, 1);
    }

    /// A death that the program brings about is found at once by counting, and by tracing when it
    /// collects.
    fn found<A: Adapter>(collect: bool) -> Delays {
        let heap = A::build(&Settings::new::<A>(8 << 20)).unwrap();
        let mut sentinels = Sentinels::new(&heap);
        heap.attach(|m| {
            m.frame(|m, [object]| {
                m.alloc(object, Shape::new(0, 1)).unwrap();
                sentinels.bury(m, object);
                // Something that may free.
                m.safepoint();
                m.alloc(object, Shape::new(0, 1)).unwrap();
                if collect {
                    m.collect();
                }
            });
        });
        of(&sentinels.deaths(), &Timeline::of(&heap.take_events()))
    }

    #[test]
    fn heaps_find_deaths() {
        assert_eq!(found::<GcRc>(false).pending, 0);
        assert_eq!(found::<GcMarksweep>(false).pending, 1);
        let delays = found::<GcMarksweep>(true);
        assert_eq!((delays.pending, delays.reusable.count), (0, 1));
        assert!(delays.reusable.max_ns > delays.identified.max_ns);
    }
}
