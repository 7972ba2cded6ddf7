//! `switch-interval`: how long a thread runs before another one has the lock.
//!
//! **The documents** said that threads switch every 5 ms by default, and that this is a best
//! effort: a long operation delays the switch.
//!
//! **Here** two threads go round in a loop until a given time has passed. At each turn a thread
//! reads the clock and looks whether it made the last turn, too, of all; if another did, that one's
//! run has ended and its own begins. A run so lasts from a thread's first turn to the first of the
//! next thread; a thread that the system takes off its processor in the midst of a run is still in
//! it. In one form the first thread carries out a long operation from time to time, within which it
//! does not poll.
//!
//! **It shows** the interval of the lock where there is one: after it a waiting thread asks, and
//! gets the lock at the next poll. *It does not show* who gets the lock when more than one waits:
//! see [`contention`](super::contention). Where threads run freely a run ends whenever the other
//! one makes a turn, so it lasts well under a microsecond; the figure is shown and no claim is
//! about it.
//!
//! How long it takes is given, so its wall time says nothing, and an operation is a millisecond.
//! The number of turns depends on the machine; nothing is allocated in them.
//!
//! The interval of gc-rc is an option of the heap, which a program cannot change. CPython's is set
//! by `sys.setswitchinterval`; so there is a parameter for it, which our program has no use for and
//! a JVM neither. CPython computes a CRC for a long operation, since it is its native calls that do
//! not poll.
//!
//! Rejected: taking every pause of a thread for a switch (on a busy machine most are the
//! scheduler's); counting the lock's own record of switches (only gc-rc keeps one).

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::threads::{INTERVAL, median_ns, nanoseconds};
use super::{Claim, Experiment, Form, Quantity, Rule, Unit, program};
use crate::heap::{Heap, HeapFull, Mutator};
use crate::workload::{Input, Outcome, Parameter, Workload, mix, on_threads};

/// See the [module documentation](self).
pub const EXPERIMENT: Experiment = Experiment {
    name: "switch-interval",
    summary: "how long a thread runs before another one has the lock",
    explanation: "Two threads go round in a loop and poll at every turn. What is noted is how long one of them makes all the turns before the other \
one makes one. Under the lock that is the switch interval: the claim is false if the median run is shorter than 4.5 ms or longer than 8 ms, which \
leaves the system up to 3 ms to wake a thread. With an interval of 1 ms it must be 0.9 to 1.6 ms. In the third form one thread does something for 20 \
ms without polling, again and again: if that does not delay the switch, the longest run is shorter than the operation. Which of several waiting \
threads is next is not looked at.",
    forms: &[
        Form::new(DEFAULT, "switch-interval", 2),
        Form {
            peers: true,
            ..Form::new(SHORT, "switch-interval:interval-us=1000", 2)
                .on(&["gc-rc:switch-interval=1ms"])
        },
        Form::new(OPERATION, "switch-interval:operation-ms=3", 2)
            .sized("operation-ms=20", "operation-ms=20"),
    ],
    claims: &[
        Claim {
            statement: "threads switch every 5 ms by default",
            document: "5 ms",
            measured: "median run of a thread",
            unit: Unit::Time,
            figure: |evidence| evidence.value((DEFAULT, Quantity::Observed(MEDIAN_RUN))),
            counting: Some(Rule::Within(4.5e6, 8e6)),
            tracing: None,
        },
        Claim {
            statement: "the interval can be set",
            document: "no figure",
            measured: "median run of a thread, at 1 ms",
            unit: Unit::Time,
            figure: |evidence| evidence.value((SHORT, Quantity::Observed(MEDIAN_RUN))),
            counting: Some(Rule::Within(0.9e6, 1.6e6)),
            tracing: None,
        },
        Claim {
            statement: "it is a best effort: a long operation delays the switch",
            document: "no figure",
            measured: "longest run / an operation of 20 ms that does not poll",
            unit: Unit::Ratio,
            figure: |evidence| {
                let run = Quantity::Of(|metrics| {
                    let run = Quantity::Observed(LONGEST_RUN).of(metrics)?;
                    Some(run / Quantity::Observed(OPERATION_TIME).of(metrics)?)
                });
                evidence.value((OPERATION, run))
            },
            counting: Some(Rule::AtLeast(1.0)),
            tracing: None,
        },
    ],
    program: Some(program::<SwitchInterval>),
};

const DEFAULT: &str = "default interval";
const SHORT: &str = "interval of 1 ms";
const OPERATION: &str = "long operations";

const MEDIAN_RUN: &str = "median_run_ns";
const LONGEST_RUN: &str = "longest_run_ns";
const RUNS: &str = "runs_count";
const OPERATION_TIME: &str = "operation_ns";

/// Nobody has made a turn yet.
const NOBODY: usize = usize::MAX;
/// Runs that a thread keeps: where threads run freely there are millions.
const MOST_RUNS: usize = 1 << 16;

/// Threads that take turns.
#[derive(Clone, Copy, Debug)]
pub struct SwitchInterval;

impl Workload for SwitchInterval {
    const NAME: &'static str = "switch-interval";
    const SUMMARY: &'static str =
        "threads that go round in a loop and note how long they do so undisturbed";
    const OPERATION: &'static str = "millisecond";
    const PARAMETERS: &'static [Parameter] = &[
        Parameter {
            name: "milliseconds",
            doc: "for how long",
            tiny: 12,
            small: 40,
            full: 300,
            range: (1, 3_600_000),
        },
        Parameter::fixed(
            "operation-ms",
            "how long the first thread's operations last within which it does not poll, in milliseconds; 0: there are none",
            0,
            (0, 60_000),
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
        let observations = [
            (RUNS, Some(ended.len() as u64)),
            (MEDIAN_RUN, median_ns(&ended)),
            (LONGEST_RUN, longest.map(nanoseconds)),
            (OPERATION_TIME, operation.map(nanoseconds)),
        ];
        let milliseconds = input.get("milliseconds");
        Ok(Outcome {
            checksum: mix(milliseconds),
            operations: milliseconds,
            observations: observations
                .into_iter()
                .filter_map(|(name, value)| Some((name, value?)))
                .collect(),
            ..Outcome::default()
        })
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
    use crate::{Verdict, trial::Trial};

    #[test]
    fn a_long_operation_delays_the_switch() {
        let mut trial = Trial::of("switch-interval");
        assert_eq!(trial.verdict(2), Verdict::Holds);
        // A lock that can be taken away in the midst of it.
        trial.plant_observed(OPERATION, "gc-rc", LONGEST_RUN, 5_000_000);
        trial.plant_observed(OPERATION, "gc-rc", OPERATION_TIME, 20_000_000);
        assert_eq!(trial.verdict(2), Verdict::Fails);
    }

    #[test]
    fn the_verdicts_follow_the_runs() {
        let mut trial = Trial::of("switch-interval");
        let short = "gc-rc:switch-interval=1ms";
        // A tiny trial may be over before a run has ended.
        let plant = |trial: &mut Trial, form, heap, run| {
            trial.plant(form, heap, |metrics| {
                metrics.observations.insert(MEDIAN_RUN.to_owned(), run);
            });
        };
        plant(&mut trial, DEFAULT, "gc-rc", 5_100_000);
        plant(&mut trial, SHORT, short, 1_100_000);
        assert_eq!(trial.verdict(0), Verdict::Holds);
        assert_eq!(trial.verdict(1), Verdict::Holds);
        // An interval that is not heeded.
        plant(&mut trial, DEFAULT, "gc-rc", 100_000);
        plant(&mut trial, SHORT, short, 5_100_000);
        assert_eq!(trial.verdict(0), Verdict::Fails);
        assert_eq!(trial.verdict(1), Verdict::Fails);
    }
}
