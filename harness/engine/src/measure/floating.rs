//! Floating garbage.
//!
//! Definition: *integral of (occupied - reachable) over time, byte-seconds.*
//!
//! Occupied bytes are [sampled](super::sampler). How many bytes are reachable at a moment nobody
//! knows without a trace, so it is estimated from what each heap finds out anyhow:
//!
//! * *Tracing*: each collection says what it found live when the world stood still. Between two
//!   collections it is taken to have changed evenly; after the last one, to have stayed. After a
//!   minor collection dead old objects count as live, so with generations the estimate is an upper
//!   bound, and floating garbage a lower one. Unknown if no collection took place.
//! * *Counting*: an object is freed when its last reference goes, so that all objects are reachable
//!   but for garbage on cycles. Each cycle collection says how many objects of that it found, which
//!   are taken to have become garbage evenly since the last collection that looked as far back, and
//!   to be of the mean size. What no collection of the iteration finds is not seen.
//!
//! As the definition has it, occupied counts holes and metadata too. The dead objects alone are the
//! cause `floating_bytes` of [space](super::space).

use super::event::EventKind;
use super::sampler::Reading;
use super::timeline::Timeline;

/// How many bytes were reachable at each reading; `None` if that is not known. Readings and events
/// are of one iteration, in the same time.
pub fn reachable(readings: &[Reading], timeline: &Timeline<'_>) -> Option<Vec<u64>> {
    let first = readings.first()?;
    let traces = traces(first, timeline);
    let is_counting = first.statistics.objects.is_some() && traces.is_empty();
    let estimates: Vec<u64> = if is_counting {
        counted(readings, timeline)?
    } else if traces.is_empty() {
        return None;
    } else {
        readings
            .iter()
            .map(|r| interpolated(&traces, r.at))
            .collect()
    };
    let readings = readings.iter().zip(estimates);
    // It is no more than there is.
    Some(
        readings
            .map(|(reading, estimate)| {
                let objects = reading.statistics.object_bytes;
                estimate.min(objects.unwrap_or(reading.statistics.occupied_bytes))
            })
            .collect(),
    )
}

/// The integral in byte-seconds.
pub fn byte_seconds(readings: &[Reading], reachable: &[u64]) -> f64 {
    let floating = readings.iter().zip(reachable).map(|(reading, &reachable)| {
        let floating = reading.statistics.occupied_bytes.saturating_sub(reachable);
        (reading.at, floating)
    });
    integral(floating) / 1e9
}

/// The integral over a function of time that is linear between these points: bytes times
/// nanoseconds.
pub(super) fn integral(points: impl Iterator<Item = (u64, u64)>) -> f64 {
    let mut sum = 0.0;
    let mut last: Option<(u64, u64)> = None;
    for (at, value) in points {
        if let Some((before, previous)) = last {
            sum += (at - before) as f64 * (previous as f64 + value as f64) / 2.0;
        }
        last = Some((at, value));
    }
    sum
}

/// What each collection found live, by when; with what was known to live at the start. Empty
/// without a collection.
fn traces(first: &Reading, timeline: &Timeline<'_>) -> Vec<(u64, u64)> {
    let mut traces: Vec<(u64, u64)> = timeline
        .events()
        .filter_map(|event| match event.kind {
            EventKind::Collection {
                stopped,
                live_bytes,
                ..
            } if stopped >= first.at => Some((stopped, live_bytes)),
            _ => None,
        })
        .collect();
    traces.sort_unstable();
    if !traces.is_empty() {
        // Found by the collection before the iteration; nothing lived if there was none.
        traces.insert(0, (first.at, first.statistics.live_bytes.unwrap_or(0)));
    }
    traces
}

/// The value at `at` between the two nearest points.
fn interpolated(points: &[(u64, u64)], at: u64) -> u64 {
    let next = points.partition_point(|&(point, _)| point <= at);
    match (next.checked_sub(1).map(|i| points[i]), points.get(next)) {
        (Some((from, before)), Some(&(until, after))) => {
            let share = (at - from) as f64 / (until - from) as f64;
            (before as f64 + share * (after as f64 - before as f64)).round() as u64
        }
        (Some((_, value)), None) | (None, Some(&(_, value))) => value,
        (None, None) => 0,
    }
}

/// Object bytes without the garbage that later collections of cycles found.
fn counted(readings: &[Reading], timeline: &Timeline<'_>) -> Option<Vec<u64>> {
    let mut collections: Vec<(u64, u64, u8, u64)> = timeline
        .events()
        .filter_map(|event| match event.kind {
            EventKind::CycleCollection {
                generation,
                unreachable,
                ..
            } => Some((event.from, event.until, generation, unreachable)),
            _ => None,
        })
        .collect();
    collections.sort_unstable();

    let mut garbage = vec![0.0; readings.len()];
    // When the last collection of each generation, or an older one, had ended.
    let mut looked = [readings.first()?.at; 256];
    for (from, until, generation, unreachable) in collections {
        let since = looked[usize::from(generation)];
        looked[..=usize::from(generation)].fill(until);
        let concerned =
            readings.partition_point(|r| r.at <= since)..readings.partition_point(|r| r.at < until);
        for (reading, garbage) in readings[concerned.clone()]
            .iter()
            .zip(&mut garbage[concerned])
        {
            let statistics = reading.statistics;
            let objects = statistics.objects?;
            let mean = statistics.object_bytes? as f64 / objects.max(1) as f64;
            let span = from.saturating_sub(since).max(1) as f64;
            let share = ((reading.at - since) as f64 / span).min(1.0);
            *garbage += share * unreachable as f64 * mean;
        }
    }
    readings
        .iter()
        .zip(garbage)
        .map(|(reading, garbage)| {
            let bytes = reading.statistics.object_bytes?;
            Some(bytes.saturating_sub(garbage.round() as u64))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::heap::Statistics;
    use crate::measure::event::{Details, Event, EventLog};

    fn reading(at: u64, occupied_bytes: u64, objects: Option<u64>) -> Reading {
        Reading {
            at,
            statistics: Statistics {
                occupied_bytes,
                object_bytes: objects.map(|objects| 10 * objects),
                objects,
                ..Statistics::default()
            },
            resident_bytes: None,
        }
    }

    fn reachable(readings: &[Reading], events: Vec<Event>) -> Option<Vec<u64>> {
        super::reachable(readings, &Timeline::of(&EventLog { events, lost: 0 }))
    }

    fn collection(from: u64, stopped: u64, live_bytes: u64) -> Event {
        Event {
            mutator: 0,
            from,
            until: stopped + 10,
            kind: EventKind::Collection {
                stop: 1,
                stopped,
                rooted: stopped,
                marked: stopped + 5,
                live_bytes,
                details: Details::default(),
            },
        }
    }

    fn cycles(from: u64, until: u64, generation: u8, unreachable: u64) -> Event {
        Event {
            mutator: 0,
            from,
            until,
            kind: EventKind::CycleCollection {
                generation,
                examined: 0,
                unreachable,
                explicit: false,
            },
        }
    }

    #[test]
    fn between_traces_it_changes_evenly() {
        let readings: Vec<Reading> = [(0, 100), (500, 600), (1000, 1100), (2000, 400), (4000, 400)]
            .map(|(at, occupied)| reading(at, occupied, None))
            .into();
        let events = vec![collection(2900, 3000, 300), collection(990, 1000, 200)];
        let reachable = reachable(&readings, events).unwrap();
        assert_eq!(reachable, [0, 100, 200, 250, 300]);
        // Floating: 100, 500, 900, 150, 100.
        let by_hand = 500.0 * 300.0 + 500.0 * 700.0 + 1000.0 * 525.0 + 2000.0 * 125.0;
        assert_eq!(byte_seconds(&readings, &reachable), by_hand / 1e9);
    }

    #[test]
    fn without_a_trace_nothing_is_known() {
        assert_eq!(reachable(&[reading(0, 100, None)], vec![]), None);
        assert_eq!(reachable(&[], vec![]), None);
    }

    #[test]
    fn counting_knows_all_but_cycles() {
        let readings: Vec<Reading> = [(0, 10), (100, 20), (200, 30), (300, 12), (400, 12)]
            .map(|(at, objects)| reading(at, 500, Some(objects)))
            .into();
        // No cycles: whatever there is can be reached.
        assert_eq!(
            reachable(&readings, vec![]).unwrap(),
            [100, 200, 300, 120, 120]
        );
        // At 250 a full collection finds 20 objects, at 100 a young one found 5.
        let events = vec![cycles(250, 260, 2, 20), cycles(90, 100, 0, 5)];
        let garbage = [0, 80, 160, 0, 0];
        let expected: Vec<u64> = [100, 200, 300, 120, 120]
            .iter()
            .zip(garbage)
            .map(|(bytes, garbage)| bytes - garbage)
            .collect();
        assert_eq!(reachable(&readings, events).unwrap(), expected);
    }

    #[test]
    fn young_garbage_counts_since_the_last_look_at_it() {
        let readings: Vec<Reading> = [0, 50, 150].map(|at| reading(at, 500, Some(40))).into();
        let events = vec![cycles(100, 100, 2, 10), cycles(200, 200, 0, 10)];
        assert_eq!(reachable(&readings, events).unwrap(), [400, 350, 350]);
    }
}
