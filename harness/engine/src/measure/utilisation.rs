//! Mutator utilisation.
//!
//! Definition: *MMU(w): least fraction, over all windows of length w, of the time of attached,
//! non-blocked mutators in which they ran; per thread from its attachment to its end, and for the
//! process; exact when window edges align with changes* (Cheng and Blelloch, *A Parallel, Real-Time
//! Garbage Collector*, PLDI 2001).
//!
//! Pauses alone do not say whether a program gets on: ten pauses of 1 ms in a row stop it like one
//! of 10 ms. A curve of MMU over the window does. It begins at 0 for windows shorter than the
//! longest pause, and ends at the share of all the time that was the mutators'.
//!
//! **Whose time.** A mutator is *active* while it is attached and in no blocking region, whoever
//! started it: one of the workload's threads, a helper, one that computes beside them. It does not
//! run before it exists, and one that waits for something else neither runs nor is stopped. While
//! the program collects by its own wish nobody is active. The share of time *in pauses* is what the
//! active mutators were stopped, over what they were active.
//!
//! **Windows** are laid on a clock that stands still while nobody is active: the process's clock
//! while no mutator is, a thread's own while it is not. So a window of length w has at least w of
//! active time, and a short wait at the end of a long blocking region is measured against the time
//! that the thread wanted, and not against itself. Who was active for less than w has one window:
//! all of it.
//!
//! **The worst thread** is the least of the threads' own figures and of the process's. The last is
//! there because in the process's worst window a thread may have been active for less than w, which
//! none of its own windows shows.
//!
//! **Inequalities**, for every w: 0 <= worst thread <= process <= 1, and of the longest window, the
//! iteration: least share of any thread <= process <= largest share of any thread. Because:
//!
//! * What a mutator is stopped lies within what it is active, so every share is from 0 to 1.
//! * The process's share of a window is the mean of the threads' shares in the same window,
//!   weighted with how long each was active in it. A mean is at most its largest part and at least
//!   its least: there is a thread that, in its stretch of that window, which is at most w long, ran
//!   no larger a share than the process. So the process's figure is one that some thread had.
//! * A worst thread above the process would claim that this thread does not exist.
//!
//! *Exact*: within a window that is moved along, active and stopped time change at constant rates
//! until one of its edges meets a moment at which a mutator changes. Between two such moments the
//! share is a quotient of two linear functions, which rises or falls throughout. So the worst
//! window has an edge at such a moment, and no others are looked at.
//!
//! Rejected: dividing by the threads that the user asked for (a helper's waits then count against
//! threads that had none: a process could come out below its worst thread); windows of wall time
//! with the same quotient (a thread that was blocked for a second and then waits for 20 us is at 0
//! in every window up to a second).

use std::ops::Range;

use contract::row::Utilisation;

use super::timeline::{Activity, Timeline};

/// Three windows a decade, from this many nanoseconds on.
const SHORTEST_WINDOW: u64 = 1_000;

/// How mutators used an iteration.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Use {
    /// For windows of 1, 2, 5, 10 ... microseconds, and of the whole iteration. Empty if nobody was
    /// active.
    pub curve: Vec<Utilisation>,
    /// How long mutators were active, in nanoseconds, summed over them.
    pub active_ns: u64,
    /// How long they were stopped meanwhile.
    pub stopped_ns: u64,
}

impl Use {
    /// The share of the active mutators' time in pauses, 0 to 1.
    pub fn stopped_share(&self) -> f64 {
        self.stopped_ns as f64 / self.active_ns.max(1) as f64
    }
}

/// Use of an iteration that lasted from `iteration.start` to its end, in the time of the events.
/// `threads`: how many there were, where the events do not say.
pub fn of(timeline: &Timeline<'_>, iteration: Range<u64>, threads: usize) -> Use {
    let length = iteration.end.saturating_sub(iteration.start);
    let activities = timeline.activities(&iteration, threads);
    let process = Load::new(activities.values());
    let (_, active_ns, stopped_ns) = process.end();
    let by_thread: Vec<Load> = activities
        .values()
        .map(|activity| Load::new([activity]))
        .filter(|load| load.end().0 > 0)
        .collect();
    let curve = windows(length).filter_map(|window_ns| {
        let process = process.least(window_ns)?;
        let threads = by_thread.iter().filter_map(|load| load.least(window_ns));
        Some(Utilisation {
            window_ns,
            process,
            worst_thread: threads.fold(process, f64::min),
        })
    });
    Use {
        curve: curve.collect(),
        active_ns,
        stopped_ns,
    }
}

/// 1, 2, 5, 10 ... microseconds below `length`, and `length`.
fn windows(length: u64) -> impl Iterator<Item = u64> {
    let decades = (0..).map_while(|power| 10u64.checked_pow(power));
    decades
        .flat_map(|decade| [1, 2, 5].map(|step| decade.saturating_mul(step * SHORTEST_WINDOW)))
        .take_while(move |&window| window < length)
        .chain((length > 0).then_some(length))
}

/// How long mutators were active and stopped, against a clock that goes on while one is active.
struct Load {
    /// `(clock, active thread time, stopped thread time)` at every change: from zeros, ascending in
    /// the first. Between two of them all change at constant, whole rates.
    points: Vec<(u64, u64, u64)>,
}

impl Load {
    fn new<'a>(activities: impl IntoIterator<Item = &'a Activity>) -> Self {
        let mut changes: Vec<(u64, i64, i64)> = Vec::new();
        for Activity { active, stopped } in activities {
            let active = active.iter().map(|time| (time, 1, 0));
            let stopped = stopped.iter().map(|time| (time, 0, 1));
            for (time, is_active, is_stopped) in active.chain(stopped) {
                changes.push((time.start, is_active, is_stopped));
                changes.push((time.end, -is_active, -is_stopped));
            }
        }
        changes.sort_unstable();
        let mut points = vec![(0, 0, 0)];
        let (mut active, mut stopped, mut last) = (0, 0, 0);
        let (mut clock, mut active_ns, mut stopped_ns) = (0, 0, 0);
        for (at, more_active, more_stopped) in changes {
            if active > 0 && at > last {
                clock += at - last;
                active_ns += (at - last) * active as u64;
                stopped_ns += (at - last) * stopped as u64;
                points.push((clock, active_ns, stopped_ns));
            }
            last = at;
            active += more_active;
            stopped += more_stopped;
        }
        Self { points }
    }

    fn end(&self) -> (u64, u64, u64) {
        self.points[self.points.len() - 1]
    }

    /// The least share of active time that was not stopped, in any window of this length, or in all
    /// of it if it is shorter. `None` if nobody was active.
    fn least(&self, window: u64) -> Option<f64> {
        let (end, active, stopped) = self.end();
        let share = |(from_active, from_stopped): (u64, u64), (active, stopped): (u64, u64)| {
            let active = active - from_active;
            (active - (stopped - from_stopped)) as f64 / active as f64
        };
        if window >= end {
            return (end > 0).then(|| share((0, 0), (active, stopped)));
        }
        let mut starting = Cursor::new(&self.points);
        let mut ending = Cursor::new(&self.points);
        let edges = self.points.iter().map(|&(at, active, stopped)| {
            let here = (active, stopped);
            let from = (at + window <= end).then(|| share(here, starting.before(at + window)));
            let until = (at >= window).then(|| share(ending.before(at - window), here));
            let shares = [from, until].into_iter().flatten();
            shares.fold(1.0, f64::min)
        });
        Some(edges.fold(1.0, f64::min))
    }
}

/// Reads a [`Load`] at moments that only advance.
struct Cursor<'l> {
    points: &'l [(u64, u64, u64)],
    index: usize,
}

impl<'l> Cursor<'l> {
    fn new(points: &'l [(u64, u64, u64)]) -> Self {
        Self { points, index: 0 }
    }

    /// Active and stopped thread time before `at`.
    fn before(&mut self, at: u64) -> (u64, u64) {
        while let Some(&(next, ..)) = self.points.get(self.index + 1)
            && next <= at
        {
            self.index += 1;
        }
        let (from, active, stopped) = self.points[self.index];
        match self.points.get(self.index + 1) {
            Some(&(next, next_active, next_stopped)) => {
                let rate = |before: u64, after: u64| (after - before) / (next - from);
                let passed = at - from;
                (
                    active + rate(active, next_active) * passed,
                    stopped + rate(stopped, next_stopped) * passed,
                )
            }
            None => (active, stopped),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::measure::event::{Details, Event, EventKind, EventLog};

    const US: u64 = 1_000;

    /// Events in microseconds.
    fn log(events: &[(u32, u64, u64, EventKind)]) -> EventLog {
        let event = |&(mutator, from, until, kind): &(u32, u64, u64, EventKind)| Event {
            mutator,
            from: from * US,
            until: until * US,
            kind,
        };
        EventLog {
            events: events.iter().map(event).collect(),
            lost: 0,
        }
    }

    /// Window in microseconds, process, worst thread.
    fn curve(log: &EventLog, iteration: Range<u64>, threads: usize) -> Vec<(u64, f64, f64)> {
        let iteration = iteration.start * US..iteration.end * US;
        let curve = of(&Timeline::of(log), iteration, threads).curve.into_iter();
        curve
            .map(|one| (one.window_ns / US, one.process, one.worst_thread))
            .collect()
    }

    fn whole(log: &EventLog, iteration: Range<u64>, threads: usize) -> (f64, f64) {
        let (_, process, worst) = *curve(log, iteration, threads).last().unwrap();
        (process, worst)
    }

    const WAIT: EventKind = EventKind::LockWait;
    const THERE: EventKind = EventKind::Attached;
    const AWAY: EventKind = EventKind::Blocked;

    fn explicit_cycles() -> EventKind {
        EventKind::CycleCollection {
            generation: 2,
            examined: 1,
            unreachable: 0,
            explicit: true,
        }
    }

    #[test]
    fn a_single_pause() {
        // 20 us of 100, in the middle.
        let log = log(&[(0, 1_040, 1_060, WAIT)]);
        let curve = curve(&log, 1_000..1_100, 1);
        let expected = [
            (1, 0.0, 0.0),
            (2, 0.0, 0.0),
            (5, 0.0, 0.0),
            (10, 0.0, 0.0),
            (20, 0.0, 0.0),
            (50, 0.6, 0.6),
            (100, 0.8, 0.8),
        ];
        assert_eq!(curve, expected);
    }

    /// `poll`: one allocating thread was asked for, one computes beside it, one waits outside; the
    /// two take turns at a lock. By the threads that were asked for, the process came out at 0.21
    /// and its worst thread at 0.59.
    #[test]
    fn helpers_count_among_the_mutators() {
        let log = log(&[
            (0, 0, 1_000, THERE),
            (1, 0, 1_000, THERE),
            (2, 0, 1_000, THERE),
            (2, 0, 1_000, AWAY),
            (0, 100, 480, WAIT),
            (1, 500, 910, WAIT),
        ]);
        let (process, worst) = whole(&log, 0..1_000, 1);
        assert_eq!(worst, 0.59);
        assert_eq!(process, (620.0 + 590.0) / 2_000.0);
        let used = of(&Timeline::of(&log), 0..1_000 * US, 1);
        assert_eq!((used.active_ns, used.stopped_ns), (2_000 * US, 790 * US));
        assert_eq!(used.stopped_share(), 0.395);
    }

    #[test]
    fn threads_are_judged_alone_and_together() {
        let log = log(&[(0, 0, 40, WAIT), (1, 40, 60, WAIT), (1, 90, 100, WAIT)]);
        assert_eq!(whole(&log, 0..100, 2), (0.65, 0.6));
        // From 0 to 50: 40 of one, 10 of the other.
        assert_eq!(curve(&log, 0..100, 2)[5], (50, 0.5, 0.2));
    }

    #[test]
    fn a_thread_does_not_run_before_it_exists() {
        // It waits for the lock as it attaches, for half of its life.
        let log = log(&[(0, 0, 100, THERE), (1, 80, 120, THERE), (1, 80, 100, WAIT)]);
        let (process, worst) = whole(&log, 0..200, 2);
        assert_eq!((process, worst), (120.0 / 140.0, 0.5));
    }

    #[test]
    fn a_thread_that_waits_elsewhere_neither_runs_nor_is_stopped() {
        let log = log(&[(0, 0, 1_000, THERE), (0, 0, 900, AWAY), (0, 900, 920, WAIT)]);
        // Against the 100 us that it wanted.
        assert_eq!(whole(&log, 0..1_000, 1), (0.8, 0.8));
    }

    #[test]
    fn a_wait_inside_a_blocking_region_is_none() {
        let log = log(&[(0, 0, 100, THERE), (0, 20, 60, AWAY), (0, 50, 70, WAIT)]);
        assert_eq!(whole(&log, 0..100, 1), (50.0 / 60.0, 50.0 / 60.0));
    }

    #[test]
    fn what_lies_outside_the_iteration_does_not_count() {
        let log = log(&[(0, 0, 50, WAIT), (0, 190, 300, WAIT)]);
        assert_eq!(whole(&log, 50..200, 1).0, 14.0 / 15.0);
        assert_eq!(of(&Timeline::of(&log), 7..7, 1), Use::default());
    }

    #[test]
    fn what_is_shorter_than_a_pause_does_not_count() {
        let stop = |stop, requested: u64, until| {
            let kind = EventKind::Stop {
                stop,
                stopped: requested * US,
                explicit: false,
            };
            (0, requested, until, kind)
        };
        let log = log(&[
            (0, 10, 19, WAIT),
            (0, 30, 38, EventKind::Stall),
            (0, 40, 52, EventKind::Stall),
            // A stop of 15 us counts, also where a thread arrived late; one of 6 does not.
            stop(1, 60, 75),
            (0, 70, 75, EventKind::Stopped { stop: 1 }),
            stop(2, 80, 86),
            (0, 80, 86, EventKind::Stopped { stop: 2 }),
        ]);
        assert_eq!(whole(&log, 0..100, 1), (0.83, 0.83));
    }

    #[test]
    fn collections_that_were_asked_for_are_in_nobodys_time() {
        // The lock is held for one of 50 us, for which another thread waits, and 20 us longer.
        let counting = log(&[
            (0, 0, 200, THERE),
            (1, 0, 200, THERE),
            (0, 100, 150, explicit_cycles()),
            (1, 90, 170, WAIT),
        ]);
        let used = of(&Timeline::of(&counting), 0..200 * US, 2);
        assert_eq!((used.active_ns, used.stopped_ns), (300 * US, 30 * US));

        let details = Details {
            explicit: true,
            ..Details::default()
        };
        let collection = EventKind::Collection {
            stop: 1,
            stopped: 110 * US,
            rooted: 110 * US,
            marked: 140 * US,
            live_bytes: 0,
            details,
        };
        let tracing = log(&[
            (0, 0, 200, THERE),
            (1, 0, 200, THERE),
            (0, 100, 150, collection),
            (0, 100, 150, EventKind::Stopped { stop: 1 }),
            (1, 110, 150, EventKind::Stopped { stop: 1 }),
        ]);
        let used = of(&Timeline::of(&tracing), 0..200 * US, 2);
        assert_eq!((used.active_ns, used.stopped_ns), (300 * US, 0));
    }

    /// A life: when it attached, how long it lived, and what it did in turn, for how long.
    fn lives() -> impl Strategy<Value = Vec<(u64, Vec<(u8, u64)>)>> {
        vec((0..60u64, vec((0..3u8, 10..40u64), 1..8)), 1..5)
    }

    /// Their events, and for each thread what it did in each microsecond.
    fn acted(lives: &[(u64, Vec<(u8, u64)>)]) -> (EventLog, Vec<Vec<Option<bool>>>) {
        let mut events = Vec::new();
        let mut rows = Vec::new();
        for (number, (born, acts)) in lives.iter().enumerate() {
            let mutator = number as u32;
            let mut at = *born;
            let mut row = vec![None; at as usize];
            for &(act, length) in acts {
                let (kind, ran) = match act {
                    0 => (None, Some(true)),
                    1 => (Some(WAIT), Some(false)),
                    _ => (Some(AWAY), None),
                };
                events.extend(kind.map(|kind| (mutator, at, at + length, kind)));
                row.extend(std::iter::repeat_n(ran, length as usize));
                at += length;
            }
            events.push((mutator, *born, at, THERE));
            rows.push(row);
        }
        (log(&events), rows)
    }

    /// The least share over every window of whole microseconds, by looking at each.
    fn by_hand(rows: &[&Vec<Option<bool>>], window: usize) -> Option<f64> {
        let end = rows.iter().map(|row| row.len()).max()?;
        let at = |moment: usize| {
            let acts = rows.iter().filter_map(|row| *row.get(moment)?);
            acts.fold((0, 0), |(active, ran), one| {
                (active + 1, ran + u64::from(one))
            })
        };
        let moments: Vec<(u64, u64)> = (0..end).map(at).filter(|&(active, _)| active > 0).collect();
        let window = window.min(moments.len());
        let shares = moments.windows(window.max(1)).map(|window| {
            let sum = |of: fn(&(u64, u64)) -> u64| window.iter().map(of).sum::<u64>() as f64;
            sum(|moment| moment.1) / sum(|moment| moment.0)
        });
        shares.reduce(f64::min)
    }

    proptest! {
        #[test]
        fn figures_are_possible_and_the_least_there_are(lives in lives()) {
            let (log, rows) = acted(&lives);
            let length = rows.iter().map(Vec::len).max().unwrap() as u64;
            let used = of(&Timeline::of(&log), 0..length * US, 1);
            let active = rows.iter().flatten().flatten().count() as u64;
            let stopped = rows.iter().flatten().flatten().filter(|ran| !**ran).count() as u64;
            prop_assert_eq!((used.active_ns, used.stopped_ns), (active * US, stopped * US));
            prop_assert_eq!(used.curve.is_empty(), active == 0);
            let whole_shares = |least: bool| {
                let shares = rows.iter().filter_map(|row| by_hand(&[row], usize::MAX));
                shares.reduce(if least { f64::min } else { f64::max })
            };
            for one in &used.curve {
                prop_assert!(0.0 <= one.worst_thread && one.worst_thread <= one.process);
                prop_assert!(one.process <= 1.0);
                let window = (one.window_ns / US) as usize;
                let all: Vec<_> = rows.iter().collect();
                prop_assert_eq!(Some(one.process), by_hand(&all, window));
                let worst = rows.iter().filter_map(|row| by_hand(&[row], window));
                prop_assert_eq!(one.worst_thread, worst.fold(one.process, f64::min));
            }
            if let Some(whole) = used.curve.last() {
                // Sums are rounded differently.
                prop_assert!(whole.process >= whole_shares(true).unwrap() - 1e-12);
                prop_assert!(whole.process <= whole_shares(false).unwrap() + 1e-12);
                prop_assert!((whole.process - (1.0 - used.stopped_share())).abs() < 1e-12);
            }
        }
    }
}
