//! Mutator utilisation.
//!
//! Definition: *MMU(w): least mutator fraction over all windows of length w, per thread and for the
//! process; exact when window edges align with changes* (Cheng and Blelloch, *A Parallel, Real-Time
//! Garbage Collector*, PLDI 2001).
//!
//! Pauses alone do not say whether a program gets on: ten pauses of 1 ms in a row stop it like one
//! of 10 ms. A curve of MMU over the window does. It begins at 0 for windows shorter than the
//! longest pause, and ends at the share of all time that was the program's.
//!
//! *Per thread*: a thread is stopped in the [spans](super::pause) of its own that are pauses; the
//! worst thread counts. *For the process*: at each moment, the share of the threads that are not
//! stopped. A thread that waits inside a blocking region is not stopped, so more mutators may be
//! attached than there are threads that work; no more of them count than that.
//!
//! *Exact*: within a window that is moved along, stopped time changes at a constant rate until one
//! of its edges meets a moment at which a thread stops or goes on. So the worst window has an edge
//! at such a moment (or at an end of the iteration), and no others are looked at.

use std::ops::Range;

use contract::row::Utilisation;

use super::event::Event;
use super::timeline::Timeline;

/// Three windows a decade, from this many nanoseconds on.
const SHORTEST_WINDOW: u64 = 1_000;

/// Minimum utilisation in an iteration that lasted from `iteration.start` to its end, in the time
/// of the events, on `threads` threads: for windows of 1, 2, 5, 10 ... microseconds, and of the
/// whole iteration. Empty if that took no time.
pub fn of(timeline: &Timeline<'_>, iteration: Range<u64>, threads: usize) -> Vec<Utilisation> {
    let length = iteration.end.saturating_sub(iteration.start);
    let place = |span: &Event| within(span.from..span.until, &iteration);
    let by_thread: Vec<Load> = timeline
        .by_mutator()
        .map(|(_, spans)| Load::new(spans.iter().map(place), 1, length))
        .collect();
    let process = Load::new(timeline.spans().map(place), threads as u64, length);

    windows(length)
        .map(|window_ns| {
            let share = |load: &Load, threads: usize| {
                let all = window_ns * threads as u64;
                (all - load.largest(window_ns)) as f64 / all as f64
            };
            Utilisation {
                window_ns,
                process: share(&process, threads),
                worst_thread: by_thread
                    .iter()
                    .map(|load| share(load, 1))
                    .fold(1.0, f64::min),
            }
        })
        .collect()
}

/// The part of `span` that lies in `iteration`, from its start.
fn within(span: Range<u64>, iteration: &Range<u64>) -> Range<u64> {
    let clamp = |at: u64| at.clamp(iteration.start, iteration.end) - iteration.start;
    clamp(span.start)..clamp(span.end)
}

/// 1, 2, 5, 10 ... microseconds below `length`, and `length`.
fn windows(length: u64) -> impl Iterator<Item = u64> {
    let decades = (0..).map_while(|power| 10u64.checked_pow(power));
    decades
        .flat_map(|decade| [1, 2, 5].map(|step| decade.saturating_mul(step * SHORTEST_WINDOW)))
        .take_while(move |&window| window < length)
        .chain((length > 0).then_some(length))
}

/// How many threads are stopped at each moment: constant between changes.
struct Load {
    /// `[from when on, stopped thread time before that]`, ascending in both; the first is 0, the
    /// last the end.
    cumulative: Vec<(u64, u64)>,
}

impl Load {
    /// Of these spans, within `0..length`, of which at most `most` count at a time.
    fn new(spans: impl Iterator<Item = Range<u64>>, most: u64, length: u64) -> Self {
        let mut changes: Vec<(u64, i64)> = spans
            .filter(|span| !span.is_empty())
            .flat_map(|span| [(span.start, 1), (span.end, -1)])
            .collect();
        changes.sort_unstable();
        let mut cumulative = vec![(0, 0)];
        let (mut stopped, mut total, mut last) = (0i64, 0u64, 0u64);
        for (at, change) in changes {
            total += (at - last) * stopped.unsigned_abs().min(most);
            last = at;
            stopped += change;
            if cumulative.last().is_some_and(|&(before, _)| before == at) {
                cumulative.pop();
            }
            cumulative.push((at, total));
        }
        if last < length {
            cumulative.push((length, total));
        }
        Self { cumulative }
    }

    /// The most stopped thread time in any window of this length, which is at most that of the
    /// whole.
    fn largest(&self, window: u64) -> u64 {
        let (end, total) = self.cumulative[self.cumulative.len() - 1];
        if window >= end {
            return total;
        }
        let mut starting = Cursor::new(&self.cumulative);
        let mut ending = Cursor::new(&self.cumulative);
        let edges = self.cumulative.iter().map(|&(at, before)| {
            let from = if at + window <= end {
                starting.before(at + window) - before
            } else {
                0
            };
            let until = if at >= window {
                before - ending.before(at - window)
            } else {
                0
            };
            from.max(until)
        });
        edges.max().unwrap_or(0)
    }
}

/// Reads a [`Load`] at moments that only advance.
struct Cursor<'l> {
    cumulative: &'l [(u64, u64)],
    index: usize,
}

impl<'l> Cursor<'l> {
    fn new(cumulative: &'l [(u64, u64)]) -> Self {
        Self {
            cumulative,
            index: 0,
        }
    }

    /// Stopped thread time before `at`.
    fn before(&mut self, at: u64) -> u64 {
        while let Some(&(next, _)) = self.cumulative.get(self.index + 1)
            && next <= at
        {
            self.index += 1;
        }
        let (from, before) = self.cumulative[self.index];
        match self.cumulative.get(self.index + 1) {
            // The rate between two changes is a whole number.
            Some(&(next, after)) => before + (after - before) / (next - from) * (at - from),
            None => before,
        }
    }
}

#[cfg(test)]
mod tests {
    use rand_xoshiro::rand_core::Rng;

    use super::*;
    use crate::measure::event::{EventKind, EventLog};
    use contract::workload::{below, generator};

    fn waits(spans: &[(u32, u64, u64)]) -> EventLog {
        let event = |&(mutator, from, until): &(u32, u64, u64)| Event {
            mutator,
            from,
            until,
            kind: EventKind::LockWait,
        };
        EventLog {
            events: spans.iter().map(event).collect(),
            lost: 0,
        }
    }

    #[test]
    fn a_single_pause() {
        // 2 us of 10 us, in the middle.
        let log = waits(&[(0, 104_000, 106_000)]);
        let curve = of(&Timeline::of(&log), 100_000..110_000, 1);
        let points: Vec<(u64, f64)> = curve.iter().map(|u| (u.window_ns, u.process)).collect();
        assert_eq!(
            points,
            [(1_000, 0.0), (2_000, 0.0), (5_000, 0.6), (10_000, 0.8)]
        );
        assert!(curve.iter().all(|u| u.process == u.worst_thread));
    }

    #[test]
    fn threads_are_judged_alone_and_together() {
        let log = waits(&[(0, 0, 4_000), (1, 4_000, 6_000), (1, 9_000, 10_000)]);
        let whole = *of(&Timeline::of(&log), 0..10_000, 2).last().unwrap();
        assert_eq!((whole.process, whole.worst_thread), (0.65, 0.6));
        let five = of(&Timeline::of(&log), 0..10_000, 2)[2];
        // From 0 to 5: 4 of one, 1 of the other.
        assert_eq!(
            (five.window_ns, five.process, five.worst_thread),
            (5_000, 0.5, 0.2)
        );
    }

    #[test]
    fn what_lies_outside_the_iteration_does_not_count() {
        let log = waits(&[(0, 0, 5_000), (0, 19_000, 30_000)]);
        let whole = *of(&Timeline::of(&log), 5_000..20_000, 1).last().unwrap();
        assert_eq!(whole.process, 14.0 / 15.0);
        assert!(of(&Timeline::of(&log), 7..7, 1).is_empty());
    }

    #[test]
    fn a_mutator_more_than_there_are_threads_does_not_count() {
        let log = waits(&[(0, 0, 1_000), (1, 0, 1_000)]);
        assert_eq!(
            of(&Timeline::of(&log), 0..2_000, 1).last().unwrap().process,
            0.5
        );
    }

    /// Against every window there is, on random sequences of small integers.
    #[test]
    fn the_least_over_all_windows() {
        let mut random = generator(3, 0);
        for round in 0..500 {
            let length = 1 + below(&mut random, 40);
            let threads = 1 + below(&mut random, 3);
            let mut stopped = vec![vec![false; length]; threads];
            let mut spans = Vec::new();
            for (thread, stopped) in stopped.iter_mut().enumerate() {
                let mut at = 0;
                while at < length {
                    let until = (at + 1 + below(&mut random, 8)).min(length);
                    if random.next_u64() & 1 == 0 {
                        spans.push((thread as u32, at as u64, until as u64));
                        stopped[at..until].fill(true);
                    }
                    at = until;
                }
            }
            let load_of = |wanted: Option<usize>| {
                let of_thread = |&&(thread, ..): &&(u32, u64, u64)| {
                    wanted.is_none_or(|wanted| thread as usize == wanted)
                };
                let spans = spans.iter().filter(of_thread);
                let spans = spans.map(|&(_, from, until)| from..until);
                Load::new(spans, threads as u64, length as u64)
            };
            for window in 1..=length {
                let most = |threads: &[Vec<bool>]| {
                    let in_window = |from: usize| {
                        let parts = threads.iter().flat_map(|t| &t[from..from + window]);
                        parts.filter(|&&stopped| stopped).count() as u64
                    };
                    (0..=length - window).map(in_window).max().unwrap()
                };
                let context = format!("round {round}, window {window}, {spans:?} of {length}");
                assert_eq!(
                    load_of(None).largest(window as u64),
                    most(&stopped),
                    "{context}"
                );
                for (thread, row) in stopped.iter().enumerate() {
                    assert_eq!(
                        load_of(Some(thread)).largest(window as u64),
                        most(std::slice::from_ref(row)),
                        "thread {thread}, {context}"
                    );
                }
            }
        }
    }
}
