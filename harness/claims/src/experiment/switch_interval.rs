#![doc = include_str!("switch_interval.md")]

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::prelude::*;
use super::processors;

/// See the [module documentation](self).
pub const EXPERIMENT: Experiment = Experiment {
    name: "switch-interval",
    summary: "how long a thread runs before another one has the lock",
    explanation: include_str!("switch_interval.md"),
    forms: &[
        processors::FORM,
        Form::new(DEFAULT, "switch-interval", 2),
        Form::new(SHORT, "switch-interval:interval-us=1000", 2)
            .with_heaps(&["gc-rc:switch-interval=1ms"]),
        Form::new(OPERATION, "switch-interval:operation-ms=3", 2)
            .small("operation-ms=20")
            .full("operation-ms=20"),
    ],
    claims: &[
        Claim::new("threads switch every 5 ms by default")
            .judges(&["001.3"])
            .documents("5 ms")
            .measured("median run of a thread")
            .value(Observed(MEDIAN_RUN), DEFAULT)
            .controlled(&processors::TO_RUN)
            .counting(Within(4.5 * MILLISECOND, 8.0 * MILLISECOND)),
        Claim::new("the interval after which threads switch can be set")
            .ours()
            .measured("median run of a thread, at 1 ms")
            .value(Observed(MEDIAN_RUN), SHORT)
            .controlled(&processors::TO_RUN)
            .counting(Within(0.9 * MILLISECOND, 1.6 * MILLISECOND)),
        Claim::new("a long operation is not interrupted: the switch comes after it")
            .judges(&["001.3"])
            .measured("longest run / an operation of 20 ms that does not poll")
            .value(
                Per(&Observed(LONGEST_RUN), &Observed(OPERATION_TIME)),
                OPERATION,
            )
            .counting(AtLeast(1.0)),
    ],
    programs: &[Program::of::<SwitchInterval>()],
};

const DEFAULT: &str = "default interval";
const SHORT: &str = "interval of 1 ms";
const OPERATION: &str = "long operations";

const MEDIAN_RUN: &str = "median_run_ns";
const LONGEST_RUN: &str = "longest_run_ns";
const OPERATION_TIME: &str = "operation_ns";

/// Nobody has made a turn yet.
const NOBODY: usize = usize::MAX;
/// Runs that a thread keeps: where threads run freely there are millions.
const MOST_RUNS: usize = 1 << 16;

/// Threads that take turns.
pub struct SwitchInterval;

impl Workload for SwitchInterval {
    const NAME: &'static str = "switch-interval";
    const SUMMARY: &'static str =
        "threads that go round in a loop and note how long they do so undisturbed";
    const OPERATION: &'static str = "millisecond";
    const PARAMETERS: &'static [Parameter] = &[
        Parameter::sized("milliseconds", [12, 40, 300])
            .range(1, 3_600_000)
            .doc("for how long"),
        Parameter::fixed("operation-ms", 0).range(0, 60_000).doc(
            "how long the first thread's operations last within which it does not poll, \
             in milliseconds; 0: there are none",
        ),
        INTERVAL,
    ];

    fn heap_bytes(_input: &Input) -> u64 {
        // Nothing is allocated; but some runtimes need so much to begin.
        16 << 20
    }

    fn run<H: Heap>(heap: &H, input: &Input) -> Result<Outcome, HeapFull> {
        let length = Duration::from_millis(input.get("milliseconds"));
        let operation = Duration::from_millis(input.get("operation-ms"));
        let turns = Turns {
            last: AtomicUsize::new(NOBODY),
            begun: AtomicU64::new(0),
            origin: Instant::now(),
            until: length,
        };
        let seen = on_threads(heap, input.threads, |m, number| {
            let operation = Some(operation).filter(|time| number == 0 && !time.is_zero());
            Ok(turns.go_round(m, number, operation))
        })?;
        let ended: Vec<Duration> = seen.iter().flat_map(|seen| &seen.ended).copied().collect();
        let longest = seen.iter().map(|seen| seen.longest).max();
        let operation = seen.iter().filter_map(|seen| seen.operation).min();
        let milliseconds = input.get("milliseconds");
        Ok(Outcome::new(mix(milliseconds), milliseconds).observing([
            ("runs_count", Some(ended.len() as u64)),
            (MEDIAN_RUN, median_ns(&ended)),
            (LONGEST_RUN, longest.map(nanoseconds)),
            (OPERATION_TIME, operation.map(nanoseconds)),
        ]))
    }
}

/// What threads that take turns tell each other. Relaxed: whoever takes turns under a lock is
/// ordered by it, and without one it does not matter when a turn is seen.
struct Turns {
    /// The thread that made the last one.
    last: AtomicUsize,
    /// When it made its first, in nanoseconds from the origin.
    begun: AtomicU64,
    origin: Instant,
    /// When all of them are done, from the origin.
    until: Duration,
}

/// What one thread saw.
#[derive(Default)]
struct Seen {
    /// Runs of others that it ended, at most [`MOST_RUNS`].
    ended: Vec<Duration>,
    /// The longest run, also one of its own that nobody ended.
    longest: Duration,
    /// The shortest of its operations.
    operation: Option<Duration>,
}

impl Turns {
    /// Goes round until the time is over. After each of its operations a thread goes round for
    /// twice as long.
    fn go_round<M: Mutator>(&self, m: &mut M, me: usize, operation: Option<Duration>) -> Seen {
        let mut seen = Seen::default();
        let mut next_operation = Duration::ZERO;
        loop {
            let now = self.origin.elapsed();
            let last = self.last.load(Ordering::Relaxed);
            if last != me {
                self.last.store(me, Ordering::Relaxed);
                let begun = self.begun.swap(nanoseconds(now), Ordering::Relaxed);
                let run = now.saturating_sub(Duration::from_nanos(begun));
                if last != NOBODY && seen.ended.len() < MOST_RUNS {
                    seen.ended.push(run);
                    seen.longest = seen.longest.max(run);
                }
            }
            if let Some(length) = operation.filter(|_| now >= next_operation) {
                while self.origin.elapsed() - now < length {
                    std::hint::spin_loop();
                }
                let ended = self.origin.elapsed();
                let took = ended - now;
                seen.operation = Some(seen.operation.map_or(took, |least| least.min(took)));
                next_operation = ended + 2 * took;
            }
            if now >= self.until {
                if self.last.load(Ordering::Relaxed) == me {
                    let begun = Duration::from_nanos(self.begun.load(Ordering::Relaxed));
                    let run = self.origin.elapsed().saturating_sub(begun);
                    seen.longest = seen.longest.max(run);
                }
                return seen;
            }
            m.safepoint();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trial::{RC, Trial};

    #[test]
    fn a_long_operation_delays_the_switch() {
        let mut trial = Trial::of("switch-interval");
        trial.observed(OPERATION, RC, LONGEST_RUN, 24_000_000);
        trial.observed(OPERATION, RC, OPERATION_TIME, 20_000_000);
        trial.holds([2]);
        // A lock that can be taken away in the midst of it.
        trial.observed(OPERATION, RC, LONGEST_RUN, 5_000_000);
        trial.observed(OPERATION, RC, OPERATION_TIME, 20_000_000);
        trial.fails([2]);
    }

    #[test]
    fn the_verdicts_follow_the_runs() {
        let mut trial = Trial::of("switch-interval");
        // A tiny trial may be over before a run has ended.
        let mut plant = |default, short| {
            for (form, run) in [(DEFAULT, default), (SHORT, short)] {
                trial.plant(form, RC, |metrics| {
                    metrics.observations.insert(MEDIAN_RUN.to_owned(), run);
                });
            }
            trial.clone()
        };
        plant(5_100_000, 1_100_000).holds(0..2);
        // An interval that is not heeded.
        plant(100_000, 5_100_000).fails(0..2);
    }
}
