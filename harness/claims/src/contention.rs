//! `contention`: how long a small operation takes when more and more threads want the lock.
//!
//! **The documents** said, without figures, that many threads with fine-grained work contend for
//! the lock, and that the latency of an operation grows with their number.
//!
//! **Here** each thread has a list of objects and works for a given time: an operation visits 2,000
//! of them, changes each, and polls after each. It is timed from the end of the one before. All
//! threads begin at once. With one thread nobody waits; with two the lock goes to and fro; with
//! four and eight each has to wait for all the others.
//!
//! **It shows** how long operations take in the mean, which under a lock is as many times longer as
//! there are threads; the longest time that one takes, which is what a thread waits for the lock at
//! worst; and how evenly a lock shares the time: the thread that did least, over what would be its
//! part. Shares are of runs with an interval of 0.5 ms: in runs of this length each of eight
//! threads would have the lock hardly once with the usual one. *It does not show* a high percentile
//! of our heaps at its best: an operation of theirs takes some ten microseconds, so that hundreds
//! of them fit into a switch interval and only one in hundreds is late. With more threads than
//! processors operations take long without a lock, too, for which the system's scheduler is
//! responsible; so of free threads only two are judged, which two processors can run, and
//! gc-marksweep runs no more.
//!
//! How long it takes is given, so its wall time says nothing, and an operation in the row is a
//! millisecond. How many operations were done is observed. Nothing is allocated in them, so that
//! heaps allocate the same whoever did more.
//!
//! Rejected: percentiles in the claims (one row has too few operations of an interpreter for the
//! 99th, and too many of ours for it to say anything); a fixed number of operations (those of fast
//! heaps would be done before the lock has gone round).

use std::collections::BTreeMap;
use std::sync::{Barrier, OnceLock};
use std::time::{Duration, Instant};

use super::threads::{INTERVAL, nanoseconds};
use super::{Claim, Experiment, Form, Quantity, Rule, Unit, program};
use crate::heap::{Flags, Heap, HeapFull, Mutator};
use crate::measure::distribution::Distribution;
use crate::workload::{Input, Outcome, Parameter, Workload, mix, on_threads};

/// See the [module documentation](self).
pub const EXPERIMENT: Experiment = Experiment {
    name: "contention",
    summary: "small operations of one, two, four and eight threads",
    explanation: "Threads carry out small operations on objects of their own for a given time: one thread, two, four and eight. Under the lock a \
thread waits for a switch interval of each other one. The first claim is false if the mean operation of two threads takes less than 1.5 times that \
of one under the lock, or more without it, where two processors run both. The next two are false if twice as many threads do not make the longest \
operation longer by four tenths, where each would have to wait for as many others again. The last two are about fairness, of which the documents say \
nothing: the thread that did least must have done half of an eighth. It does not show the usual operation, which no lock delays: between two \
switches there are hundreds.",
    forms: &[
        Form::new(ONE, "contention", 1),
        Form::new(TWO, "contention", 2),
        Form {
            peers: true,
            ..Form::new(FOUR, "contention", 4).on(&["gc-rc"])
        },
        Form {
            peers: true,
            ..Form::new(EIGHT, "contention", 8).on(&["gc-rc"])
        },
        Form {
            peers: true,
            ..Form::new(SHARED, "contention:interval-us=500", 8)
                .on(&["gc-rc:switch-interval=500us"])
                .sized("milliseconds=20", "")
        },
        Form::new(FAIR, "contention:interval-us=500", 8)
            .on(&["gc-rc:gil=fair,switch-interval=500us"])
            .sized("milliseconds=20", ""),
    ],
    claims: &[
        Claim {
            statement: "the latency of an operation grows when two threads want the lock, and only then",
            document: "no figure",
            measured: "mean operation of two threads / of one",
            unit: Unit::Ratio,
            figure: |evidence| {
                let mean = Quantity::Observed(MEAN);
                evidence.ratio((TWO, mean), (ONE, mean))
            },
            counting: Some(Rule::AtLeast(1.5)),
            tracing: Some(Rule::AtMost(1.5)),
        },
        Claim {
            statement: "and a thread waits for every other one: the more there are, the longer, from two to four",
            document: "no figure",
            measured: "longest operation of four threads / of two",
            unit: Unit::Ratio,
            figure: |evidence| {
                let longest = Quantity::Observed(LONGEST);
                evidence.ratio((FOUR, longest), (TWO, longest))
            },
            counting: Some(Rule::AtLeast(1.4)),
            tracing: None,
        },
        Claim {
            statement: "and from four to eight",
            document: "no figure",
            measured: "longest operation of eight threads / of four",
            unit: Unit::Ratio,
            figure: |evidence| {
                let longest = Quantity::Observed(LONGEST);
                evidence.ratio((EIGHT, longest), (FOUR, longest))
            },
            counting: Some(Rule::AtLeast(1.4)),
            tracing: None,
        },
        Claim {
            statement: "each of eight threads gets a fair part of the time",
            document: "not mentioned",
            measured: "operations of the thread that did least / an eighth of all, switches every 0.5 ms",
            unit: Unit::Ratio,
            figure: |evidence| {
                let least = evidence.value((SHARED, Quantity::Observed(LEAST)))?;
                Some(least.map(|percent| percent / 100.0))
            },
            counting: Some(Rule::AtLeast(0.5)),
            tracing: None,
        },
        Claim {
            statement: "a lock that is handed over in order of arrival gives them one",
            document: "not mentioned",
            measured: "the same with gil=fair",
            unit: Unit::Ratio,
            figure: |evidence| {
                let least = evidence.value((FAIR, Quantity::Observed(LEAST)))?;
                Some(least.map(|percent| percent / 100.0))
            },
            counting: Some(Rule::AtLeast(0.5)),
            tracing: None,
        },
    ],
    program: Some(program::<Contention>),
};

const ONE: &str = "one thread";
const TWO: &str = "two threads";
const FOUR: &str = "four threads";
const EIGHT: &str = "eight threads";
const SHARED: &str = "eight threads, short interval";
const FAIR: &str = "eight threads, fair lock, short interval";

const MEAN: &str = "mean_operation_ns";
const LONGEST: &str = "longest_operation_ns";
const LEAST: &str = "least_share_percent";

/// Objects of a thread's list.
const OBJECTS: u64 = 1_000;

/// Threads with small operations.
#[derive(Clone, Copy, Debug)]
pub struct Contention;

impl Workload for Contention {
    const NAME: &'static str = "contention";
    const SUMMARY: &'static str =
        "small operations of threads that poll all the time, for a given time";
    const OPERATION: &'static str = "millisecond";
    const PARAMETERS: &'static [Parameter] = &[
        Parameter {
            name: "milliseconds",
            doc: "for how long",
            tiny: 4,
            small: 45,
            full: 150,
            range: (1, 3_600_000),
        },
        Parameter::fixed(
            "visits",
            "objects that an operation visits",
            2_000,
            (1, 1_000_000_000),
        ),
        INTERVAL,
    ];

    fn heap_bytes(_input: &Input) -> u64 {
        // Little lives; but some runtimes keep the times of operations in their heap.
        16 << 20
    }

    fn run<H: Heap>(heap: &H, input: &Input) -> Result<Outcome, HeapFull> {
        let milliseconds = input.get("milliseconds");
        let visits = input.get("visits");
        let start = Start {
            barrier: Barrier::new(input.threads),
            begun: OnceLock::new(),
        };
        let parts = on_threads(heap, input.threads, |m, _| {
            operate(m, visits, Duration::from_millis(milliseconds), &start)
        })?;
        let done = || parts.iter().map(|part| part.len() as u64);
        let all: u64 = done().sum();
        let least = done().min().unwrap_or(0);
        let longest = parts.iter().flatten().max().copied().unwrap_or_default();
        let total: Duration = parts.iter().flatten().sum();
        let latencies = Distribution::of(parts.iter().flatten().map(|&time| nanoseconds(time)));
        let mut observations = BTreeMap::from([
            ("operations_count", all),
            (LEAST, 100 * least * input.threads as u64 / all.max(1)),
            (LONGEST, nanoseconds(longest)),
            (MEAN, nanoseconds(total) / all.max(1)),
        ]);
        if let Some(time) = latencies.percentile(0.99) {
            observations.insert("p99_operation_ns", time);
        }
        Ok(Outcome {
            checksum: mix(milliseconds),
            operations: milliseconds,
            observations,
            ..Outcome::default()
        })
    }
}

/// When threads begin.
struct Start {
    barrier: Barrier,
    begun: OnceLock<Instant>,
}

/// One thread's operations: how long each took, including what it waited. At least one.
fn operate<M: Mutator>(
    m: &mut M,
    visits: u64,
    length: Duration,
    start: &Start,
) -> Result<Vec<Duration>, HeapFull> {
    m.frame(|m, [list, at]| {
        let built = build(m, list);
        let begun = m.blocking(|| {
            // Also a thread that has no list: the others wait for it.
            start.barrier.wait();
            *start.begun.get_or_init(Instant::now)
        });
        built?;
        let mut operations = Vec::new();
        let mut last = begun;
        while operations.is_empty() || last < begun + length {
            for _ in 0..visits {
                if m.get(at).is_none() {
                    m.set(at, m.get(list));
                }
                if let Some(object) = m.get(at) {
                    m.set_word(object, 0, m.word(object, 0).wrapping_add(1));
                    m.set(at, m.load(object, 0));
                }
                m.safepoint();
            }
            let now = Instant::now();
            operations.push(now - last);
            last = now;
        }
        Ok(operations)
    })
}

/// Makes a thread's list.
fn build<M: Mutator>(m: &mut M, list: M::Local<'_>) -> Result<(), HeapFull> {
    for _ in 0..OBJECTS {
        m.alloc_move(list, Flags::NONE, [list], [0])?;
        m.safepoint();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Verdict, trial::Trial};

    #[test]
    fn the_verdicts_follow_the_figures() {
        let mut trial = Trial::of("contention");
        let short = "gc-rc:switch-interval=500us";
        let fair = "gc-rc:gil=fair,switch-interval=500us";
        for (form, longest) in [(TWO, 5_200_000), (FOUR, 15_600_000), (EIGHT, 36_000_000)] {
            trial.plant_observed(form, "gc-rc", LONGEST, longest);
        }
        for heap in ["gc-rc", "gc-marksweep"] {
            trial.plant_observed(ONE, heap, MEAN, 10_000);
        }
        trial.plant_observed(TWO, "gc-rc", MEAN, 20_100);
        trial.plant_observed(TWO, "gc-marksweep", MEAN, 10_200);
        trial.plant_observed(SHARED, short, LEAST, 80);
        trial.plant_observed(FAIR, fair, LEAST, 95);
        for claim in 0..5 {
            assert_eq!(trial.verdict(claim), Verdict::Holds, "{claim}");
        }
        // Two that do not wait for each other; more that wait no longer than two; one that hardly
        // ever gets the lock.
        trial.plant_observed(TWO, "gc-rc", MEAN, 10_100);
        trial.plant_observed(TWO, "gc-rc", LONGEST, 110_000);
        trial.plant_observed(FOUR, "gc-rc", LONGEST, 120_000);
        trial.plant_observed(EIGHT, "gc-rc", LONGEST, 120_000);
        trial.plant_observed(SHARED, short, LEAST, 3);
        trial.plant_observed(FAIR, fair, LEAST, 3);
        for claim in 0..5 {
            assert_eq!(trial.verdict(claim), Verdict::Fails, "{claim}");
        }
        // Free threads that wait for each other.
        trial.plant_observed(TWO, "gc-rc", MEAN, 20_100);
        trial.plant_observed(TWO, "gc-marksweep", MEAN, 20_100);
        assert_eq!(trial.verdict(0), Verdict::Fails);
    }
}
