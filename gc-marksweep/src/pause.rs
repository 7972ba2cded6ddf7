//! Statistics of pauses, as a listener: a heap that nobody watches keeps none.
//!
//! What it counts it knows from one event at a time. So a *stop* here is one mutator's standstill
//! for it, which is what that thread's user felt; the pause of the whole process, from the request
//! until the last mutator runs, joins events of several threads and is left to readers of the log.
//!
//! Every figure is an atomic that only grows: listening takes no lock and, but for the first time
//! that a high mutator number is waited for, allocates nothing; reading waits for nobody. Figures
//! read together may differ by the events that were being recorded at that moment.

use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::event::{Event, EventKind, Listener};

/// Buckets of [`Pauses::histogram`]: the last one begins at 2^47 ns, a day and a half.
const BUCKETS: usize = 48;

/// Mutators whose figures are allocated first; each further segment has room for as many as all
/// before it.
const FIRST_SEGMENT: u32 = 64;
/// Enough segments for every mutator number.
const SEGMENTS: usize = 27;

/// A [`Listener`] that keeps statistics of pauses.
///
/// ```
/// use std::sync::Arc;
///
/// use gc_marksweep::{Heap, PauseStatistics};
///
/// let statistics = Arc::new(PauseStatistics::new());
/// let heap = Heap::builder().listener(statistics.clone()).build()?;
/// heap.attach(|m| (0..3).for_each(|_| m.collect()));
/// let pauses = statistics.read();
/// assert_eq!((pauses.collections, pauses.stops), (3, 3));
/// assert_eq!(pauses.histogram.iter().sum::<u64>(), pauses.stops);
/// # Ok::<(), gc_marksweep::BuildError>(())
/// ```
pub struct PauseStatistics {
    collections: AtomicU64,
    stops: AtomicU64,
    stopped_ns: AtomicU64,
    longest_stop_ns: AtomicU64,
    longest_time_to_safepoint_ns: AtomicU64,
    histogram: [AtomicU64; BUCKETS],
    /// The longest time-to-safepoint of each mutator, by number, in nanoseconds; 0 if it was never
    /// waited for.
    by_mutator: [OnceLock<Vec<AtomicU64>>; SEGMENTS],
}

/// What a [`PauseStatistics`] has heard of so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Pauses {
    /// Collections.
    pub collections: u64,
    /// Times that a mutator stood still for a stop, the collecting one included.
    pub stops: u64,
    /// How long they stood still together.
    pub stopped: Duration,
    /// The longest that one stood still.
    pub longest_stop: Duration,
    /// The longest time-to-safepoint: from a request to stop until the last mutator had stopped.
    pub longest_time_to_safepoint: Duration,
    /// How many stops took how long: number *i* counts those of at least 2^*i* and less than
    /// 2^(*i* + 1) ns; those of less than 1 ns are in the first, and the last has no upper end.
    pub histogram: [u64; BUCKETS],
}

impl PauseStatistics {
    /// Statistics of nothing yet.
    pub fn new() -> Self {
        Self {
            collections: AtomicU64::new(0),
            stops: AtomicU64::new(0),
            stopped_ns: AtomicU64::new(0),
            longest_stop_ns: AtomicU64::new(0),
            longest_time_to_safepoint_ns: AtomicU64::new(0),
            histogram: [const { AtomicU64::new(0) }; BUCKETS],
            by_mutator: [const { OnceLock::new() }; SEGMENTS],
        }
    }

    /// All but the figures by mutator. Never waits.
    pub fn read(&self) -> Pauses {
        let read = |figure: &AtomicU64| figure.load(Ordering::Relaxed);
        let time = |figure: &AtomicU64| Duration::from_nanos(read(figure));
        Pauses {
            collections: read(&self.collections),
            stops: read(&self.stops),
            stopped: time(&self.stopped_ns),
            longest_stop: time(&self.longest_stop_ns),
            longest_time_to_safepoint: time(&self.longest_time_to_safepoint_ns),
            histogram: std::array::from_fn(|bucket| read(&self.histogram[bucket])),
        }
    }

    /// The longest time-to-safepoint of one mutator, if a stop has ever waited for it. Never waits.
    pub fn time_to_safepoint(&self, mutator: u32) -> Option<Duration> {
        let (segment, index) = place(mutator);
        let longest = self.by_mutator[segment].get()?[index].load(Ordering::Relaxed);
        (longest > 0).then(|| Duration::from_nanos(longest))
    }

    /// The mutators that a stop has ever waited for, each with its longest time-to-safepoint, in
    /// order of their numbers. Never waits; takes time in proportion to the largest such number.
    pub fn laggards(&self) -> impl Iterator<Item = (u32, Duration)> {
        let segments = self.by_mutator.iter().enumerate();
        let allocated = segments.filter_map(|(segment, longest)| Some((segment, longest.get()?)));
        allocated.flat_map(|(segment, longest)| {
            let first = first_of(segment);
            longest.iter().enumerate().filter_map(move |(index, ns)| {
                let ns = ns.load(Ordering::Relaxed);
                (ns > 0).then(|| (first + index as u32, Duration::from_nanos(ns)))
            })
        })
    }

    fn arrived(&self, mutator: u32, ns: u64) {
        let (segment, index) = place(mutator);
        if self.by_mutator[segment].get().is_none() {
            let room = (FIRST_SEGMENT as usize) << segment.saturating_sub(1);
            let mut fresh = Vec::new();
            // Without memory the figure is lost: a listener has nobody to tell.
            if fresh.try_reserve_exact(room).is_err() {
                return;
            }
            fresh.resize_with(room, AtomicU64::default);
            // Somebody else may have been quicker.
            let _ = self.by_mutator[segment].set(fresh);
        }
        let Some(longest) = self.by_mutator[segment].get() else {
            return;
        };
        // One that was waited for shows, also where the clock did not advance.
        longest[index].fetch_max(ns.max(1), Ordering::Relaxed);
    }
}

/// The segment of a mutator's figure, and where in it.
fn place(mutator: u32) -> (usize, usize) {
    let segment = (u32::BITS - (mutator / FIRST_SEGMENT).leading_zeros()) as usize;
    (segment, (mutator - first_of(segment)) as usize)
}

/// The number of the first mutator in a segment.
fn first_of(segment: usize) -> u32 {
    match segment {
        0 => 0,
        _ => FIRST_SEGMENT << (segment - 1),
    }
}

impl Listener for PauseStatistics {
    fn event(&self, event: &Event) {
        let ns = event.until.saturating_sub(event.from);
        match event.kind {
            EventKind::Stopped { .. } => {
                let bucket = (ns.max(1).ilog2() as usize).min(BUCKETS - 1);
                self.histogram[bucket].fetch_add(1, Ordering::Relaxed);
                self.stops.fetch_add(1, Ordering::Relaxed);
                self.stopped_ns.fetch_add(ns, Ordering::Relaxed);
                self.longest_stop_ns.fetch_max(ns, Ordering::Relaxed);
            }
            EventKind::Arrived { .. } => self.arrived(event.mutator, ns),
            EventKind::Collection { stopped, .. } => {
                self.collections.fetch_add(1, Ordering::Relaxed);
                (self.longest_time_to_safepoint_ns)
                    .fetch_max(stopped.saturating_sub(event.from), Ordering::Relaxed);
            }
            // No pause: the mutator worked at finding memory.
            EventKind::Stall => {}
        }
    }
}

impl Default for PauseStatistics {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for PauseStatistics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PauseStatistics")
            .field(&self.read())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(mutator: u32, from: u64, until: u64, kind: EventKind) -> Event {
        Event {
            mutator,
            from,
            until,
            kind,
        }
    }

    #[test]
    fn every_mutator_number_has_a_place_of_its_own() {
        let mut expected = (0, 0);
        for mutator in 0..10_000 {
            assert_eq!(place(mutator), expected, "mutator {mutator}");
            assert_eq!(first_of(expected.0) + expected.1 as u32, mutator);
            let room = (FIRST_SEGMENT as usize) << expected.0.saturating_sub(1);
            expected.1 += 1;
            if expected.1 == room {
                expected = (expected.0 + 1, 0);
            }
        }
        let (segment, index) = place(u32::MAX);
        assert_eq!(segment, SEGMENTS - 1);
        assert_eq!(index, (1 << 31) - 1);
    }

    #[test]
    fn figures_are_those_of_the_events() {
        let statistics = PauseStatistics::new();
        for (from, until) in [(10, 10), (10, 11), (10, 1033), (10, 1034), (0, u64::MAX)] {
            statistics.event(&event(0, from, until, EventKind::Stopped { stop: 1 }));
        }
        let arrivals = [(0, 7), (0, 5), (63, 1), (64, 2), (1_000, 3), (7, 0)];
        for (mutator, ns) in arrivals {
            statistics.event(&event(mutator, 20, 20 + ns, EventKind::Arrived { stop: 1 }));
        }
        let kind = EventKind::Collection {
            stop: 1,
            stopped: 27,
            rooted: 30,
            marked: 40,
            minor: false,
            explicit: false,
            live_bytes: 0,
            object_bytes: 0,
            committed_bytes: 0,
            cpu_ns: 0,
        };
        statistics.event(&event(0, 20, 50, kind));
        let pauses = statistics.read();
        assert_eq!((pauses.collections, pauses.stops), (1, 5));
        assert_eq!(pauses.longest_stop, Duration::from_nanos(u64::MAX));
        assert_eq!(pauses.longest_time_to_safepoint, Duration::from_nanos(7));
        let filled = pauses.histogram.iter().enumerate();
        let filled: Vec<_> = filled.filter(|&(_, &count)| count > 0).collect();
        assert_eq!(filled, [(0, &2), (9, &1), (10, &1), (47, &1)]);
        let laggards: Vec<_> = statistics.laggards().collect();
        let expected = [(0, 7), (7, 1), (63, 1), (64, 2), (1_000, 3)];
        assert_eq!(
            laggards,
            expected.map(|(m, ns)| (m, Duration::from_nanos(ns)))
        );
        assert_eq!(
            statistics.time_to_safepoint(64),
            Some(Duration::from_nanos(2))
        );
        assert_eq!(statistics.time_to_safepoint(65), None);
        assert_eq!(statistics.time_to_safepoint(70_000), None);
    }
}
