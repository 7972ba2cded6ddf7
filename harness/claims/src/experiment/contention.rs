#![doc = include_str!("contention.md")]

use std::time::{Duration, Instant};

use super::prelude::*;
use super::processors;
use crate::measure::distribution::Distribution;

/// See the [module documentation](self).
pub const EXPERIMENT: Experiment = Experiment {
    name: "contention",
    summary: "small operations of one, two, four and eight threads",
    explanation: include_str!("contention.md"),
    forms: &[
        processors::FORM,
        Form::new(ONE, "contention", 1).with_heaps(EVERY),
        Form::new(TWO, "contention", 2)
            .with_heaps(EVERY)
            .small(LONG),
        Form::new(FOUR, "contention", 4)
            .with_heaps(&["gc-rc"])
            .small(LONG),
        Form::new(EIGHT, "contention", 8)
            .with_heaps(&["gc-rc"])
            .small(LONG),
        Form::new(SHARED, "contention:interval-us=500", 8)
            .with_heaps(&["gc-rc:switch-interval=500us"])
            .small("milliseconds=50"),
        Form::new(FAIR, "contention:interval-us=500", 8)
            .on(&["gc-rc:gil=fair,switch-interval=500us"])
            .small("milliseconds=50"),
    ],
    claims: &[
        Claim::new("when two threads want the lock an operation takes longer than with one thread")
            .judges(&["002.3"])
            .measured(OF_TWO)
            .ratio(Observed(MEAN), TWO, ONE)
            .controlled(&processors::TO_RUN)
            .counting(AtLeast(1.5)),
        Claim::new("when four threads want the lock the longest wait is longer than with two")
            .judges(&["002.3"])
            .measured("longest operation of four threads / of two")
            .ratio(Observed(LONGEST), FOUR, TWO)
            .controlled(&processors::TO_RUN)
            .counting(AtLeast(1.4)),
        Claim::new("when eight threads want the lock the longest wait is longer than with four")
            .judges(&["002.3"])
            .measured("longest operation of eight threads / of four")
            .ratio(Observed(LONGEST), EIGHT, FOUR)
            .controlled(&processors::TO_RUN)
            .counting(AtLeast(1.4)),
        Claim::new("of eight threads each gets at least half of an even part of the lock's time")
            .ours()
            .measured(
                "operations of the thread that did least / an eighth of all, switches every 0.5 ms",
            )
            .value(LEAST_SHARE, SHARED)
            .controlled(&processors::TO_RUN)
            .counting(AtLeast(0.5)),
        Claim::new(
            "a lock that is handed over in order of arrival gives each of eight threads at least \
             half of an even part of its time",
        )
        .ours()
        .measured(
            "operations of the thread that did least / an eighth of all, switches every 0.5 ms, \
             gil=fair",
        )
        .value(LEAST_SHARE, FAIR)
        .controlled(&processors::TO_RUN)
        .counting(AtLeast(0.5)),
        Claim::new(
            "where threads run freely an operation hardly takes longer with two than with one",
        )
        .ours()
        .measured(OF_TWO)
        .ratio(Observed(MEAN), TWO, ONE)
        .controlled(&processors::TO_GAIN)
        .tracing(AtMost(1.5)),
    ],
    programs: &[Program::of::<Contention>()],
};

const OF_TWO: &str = "mean operation of two threads / of one";

const ONE: &str = "one thread";
const TWO: &str = "two threads";
const FOUR: &str = "four threads";
const EIGHT: &str = "eight threads";
const SHARED: &str = "eight threads, short interval";
const FAIR: &str = "eight threads, fair lock, short interval";

/// Several turns of eight threads with 5 ms each.
const LONG: &str = "milliseconds=100";

const MEAN: &str = "mean_operation_ns";
const LONGEST: &str = "longest_operation_ns";
const LEAST: &str = "least_share_percent";
const LEAST_SHARE: Quantity = Of(Unit::Ratio, |row| Some(Observed(LEAST).of(row)? / 100.0));

/// Objects of a thread's list.
const OBJECTS: u64 = 1_000;

/// Threads with small operations.
pub struct Contention;

impl Workload for Contention {
    const NAME: &'static str = "contention";
    const SUMMARY: &'static str =
        "small operations of threads that poll all the time, for a given time";
    const OPERATION: &'static str = "millisecond";
    const PARAMETERS: &'static [Parameter] = &[
        Parameter::sized("milliseconds", [4, 45, 150])
            .range(1, 3_600_000)
            .doc("for how long"),
        Parameter::fixed("visits", 2_000)
            .range(1, 1_000_000_000)
            .doc("objects that an operation visits"),
        INTERVAL,
    ];

    fn heap_bytes(_input: &Input) -> u64 {
        // Little lives; but some runtimes keep the times of operations in their heap.
        16 << 20
    }

    fn run<H: Heap>(heap: &H, input: &Input) -> Result<Outcome, HeapFull> {
        let milliseconds = input.get("milliseconds");
        let visits = input.get("visits");
        let start = Start::of(input.threads);
        let parts = on_threads(heap, input.threads, |m, _| {
            operate(m, visits, Duration::from_millis(milliseconds), &start)
        })?;
        let done = || parts.iter().map(|part| part.len() as u64);
        let all: u64 = done().sum();
        let least = done().min().unwrap_or(0);
        let longest = parts.iter().flatten().max().copied().unwrap_or_default();
        let total: Duration = parts.iter().flatten().sum();
        let latencies = Distribution::of(parts.iter().flatten().map(|&time| nanoseconds(time)));
        let observed = [
            ("operations_count", Some(all)),
            (LEAST, Some(100 * least * input.threads as u64 / all.max(1))),
            (LONGEST, Some(nanoseconds(longest))),
            (MEAN, Some(nanoseconds(total) / all.max(1))),
            ("p99_operation_ns", latencies.percentile(0.99)),
        ];
        Ok(Outcome::new(mix(milliseconds), milliseconds).observing(observed))
    }
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
        // Also a thread that has no list: the others wait for it.
        let begun = start.wait(m);
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
    use crate::trial::{MARKSWEEP, RC, Trial};

    #[test]
    fn the_verdicts_follow_the_figures() {
        let mut trial = Trial::of("contention");
        for (form, longest) in [(TWO, 5_200_000), (FOUR, 15_600_000), (EIGHT, 36_000_000)] {
            trial.observed(form, RC, LONGEST, longest);
        }
        trial.observed(ONE, BOTH, MEAN, 10_000);
        trial.observed(TWO, RC, MEAN, 20_100);
        trial.observed(TWO, MARKSWEEP, MEAN, 10_200);
        trial.observed(SHARED, RC, LEAST, 80);
        trial.observed(FAIR, RC, LEAST, 95);
        trial.holds(0..6);
        // Two that do not wait for each other; more that wait no longer than two; one that hardly
        // ever gets the lock.
        trial.observed(TWO, RC, MEAN, 10_100);
        trial.observed(TWO, RC, LONGEST, 110_000);
        trial.observed(FOUR, RC, LONGEST, 120_000);
        trial.observed(EIGHT, RC, LONGEST, 120_000);
        trial.observed(SHARED, RC, LEAST, 3);
        trial.observed(FAIR, RC, LEAST, 3);
        trial.fails(0..5);
        // Free threads that wait for each other.
        trial.observed(TWO, BOTH, MEAN, 20_100);
        trial.fails([5]);
    }
}
