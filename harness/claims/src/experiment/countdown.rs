#![doc = include_str!("countdown.md")]

use super::prelude::*;
use super::processors;
use crate::workload::countdown::Countdown;

/// See the [module documentation](self).
pub const EXPERIMENT: Experiment = Experiment {
    name: "countdown",
    summary: "counting down on one thread and on two",
    explanation: include_str!("countdown.md"),
    forms: &[
        processors::FORM,
        Form::new(IN_TURNS, "countdown-in-turns:turns=6", 2)
            .with_heaps(COUNTING)
            .small("total=1500000")
            .full("total=10000000"),
        Form::new(IN_TURNS, "countdown-in-turns:turns=4", 2)
            .on(TRACING)
            .small("total=12000000")
            .full("total=50000000"),
        every(
            RUNGS[0],
            "interval-us=100",
            &["gc-rc:switch-interval=100us"],
        ),
        every(
            RUNGS[1],
            "interval-us=250",
            &["gc-rc:switch-interval=250us"],
        ),
        every(RUNGS[2], "interval-us=1000", &["gc-rc:switch-interval=1ms"]),
        Form::new(BOUND, "countdown-bound:turns=2", 2)
            .on(COUNTING)
            .small("total=500000"),
        Form::new(BOUND, "countdown-bound:turns=2", 2)
            .on(TRACING)
            .small("total=8000000"),
    ],
    claims: &[
        // Equal within a twentieth, as everywhere here.
        Claim::new(
            "under the lock it makes hardly a difference whether one thread counts down or two",
        )
        .judges(&["000.8"])
        .documents("2.188 s -> 2.197 s: 1.004")
        .measured(MEASURED)
        .value(ALL_TO_ONE_IN_TOTAL, IN_TURNS)
        .controlled(&processors::TO_RUN)
        .counting(Within(0.95, 1.05)),
        Claim::new("under the lock two threads count down no faster than one")
            .judges(&["000.2", "002.1"])
            .documents("2.188 s -> 2.197 s: 1.004")
            .measured(MEASURED)
            .value(ALL_TO_ONE_IN_TOTAL, IN_TURNS)
            .controlled(&processors::TO_LOSE)
            .counting(AtLeast(0.95)),
        // Nobody is woken in less.
        Claim::new("a switch from one thread to another costs time: 100 ns or more")
            .judges(&["000.8"])
            .measured(COST)
            .figure(COST_OF_A_SWITCH)
            .controlled(&processors::TO_RUN)
            .counting(AtLeast(100.0)),
        // Equal ends a twentieth above one.
        Claim::new("threads that take and give the lock often are slower than one thread")
            .judges(&["002.2"])
            .measured("time of two threads / of one, switches every 0.1 ms, fastest turns")
            .value(ALL_TO_ONE, RUNGS[0])
            .controlled(&processors::TO_RUN)
            .counting(AtLeast(1.05)),
        // Of the 5 ms that a thread has the lock by default, a twentieth.
        Claim::new("the lock costs little: a switch takes at most a twentieth of an interval")
            .judges(&["000.7"])
            .measured(COST)
            .figure(COST_OF_A_SWITCH)
            .controlled(&processors::TO_RUN)
            .counting(AtMost(0.25 * MILLISECOND)),
        Claim::new("where threads run freely two count down faster than one")
            .judges(&["000.15", "001.8"])
            .measured(FASTEST)
            .value(ALL_TO_ONE, IN_TURNS)
            .controlled(&processors::TO_GAIN)
            .tracing(AtMost(0.8)),
        Claim::new("on one processor two threads count down no faster than one")
            .ours()
            .measured("time of two threads / of one, on one processor")
            .figure(Figure::By(Unit::Ratio, |evidence| {
                evidence.value(Observed(PROCESSORS), BOUND)?;
                evidence.value(ALL_TO_ONE_IN_TOTAL, BOUND)
            }))
            .both(AtLeast(0.95)),
    ],
    programs: &[
        Program::of::<CountdownInTurns>(),
        Program::of::<CountdownBound>(),
    ],
};

const MEASURED: &str = "time of two threads / of one";
const FASTEST: &str = "time of two threads / of one, fastest turns";
const COST: &str = "growth of that ratio with the switches that are due in a time";

/// Two threads take longer than one by what their switches cost: by the cost of one for each
/// interval. So what a switch costs is the slope of the ratio over the inverse of the interval. The
/// fastest turns tell it: each has a hundred switches or more.
const COST_OF_A_SWITCH: Figure = Figure::By(Unit::Time, |evidence| {
    evidence.slope(ALL_TO_ONE, SWITCHES_A_NANOSECOND, &RUNGS)
});
const SWITCHES_A_NANOSECOND: Quantity = Of(Unit::Ratio, |row| {
    Some(1.0 / Observed(INTERVAL_SET).of(row)?)
});

const IN_TURNS: &str = "one thread and two, in turns";
const BOUND: &str = "one thread and two, in turns, one processor";
/// By the interval.
const RUNGS: [&str; 3] = [
    "in turns, switches every 0.1 ms",
    "in turns, switches every 0.25 ms",
    "in turns, switches every 1 ms",
];

/// A rung of the ladder of intervals.
const fn every(name: &'static str, interval: &'static str, heaps: &'static [&'static str]) -> Form {
    Form::new(name, "countdown-in-turns:turns=4", 2)
        .with(interval)
        .small("total=750000")
        .full("total=5000000")
        .with_heaps(heaps)
}

const INTERVAL_SET: &str = "interval_ns";
const PROCESSORS: &str = "processors_count";

const TOTAL: Parameter = Parameter::sized("total", [100_000, 1_000_000, 10_000_000])
    .range(1, 1_000_000_000_000)
    .doc("decrements, over all threads");

/// The workload countdown on one thread and on several, in turns.
pub struct CountdownInTurns;

impl Workload for CountdownInTurns {
    const NAME: &'static str = "countdown-in-turns";
    const SUMMARY: &'static str = "countdown on one thread and on several, in turns";
    const OPERATION: &'static str = Countdown::OPERATION;
    const PARAMETERS: &'static [Parameter] = &[TOTAL, TURNS, INTERVAL];

    fn heap_bytes(input: &Input) -> u64 {
        Countdown::heap_bytes(input)
    }

    fn run<H: Heap>(heap: &H, input: &Input) -> Result<Outcome, HeapFull> {
        let interval = 1_000 * input.get(INTERVAL.name);
        let outcome = in_turns(heap, input, Countdown::run)?;
        Ok(outcome.observing([(INTERVAL_SET, (interval > 0).then_some(interval))]))
    }
}

/// The same on one processor.
pub struct CountdownBound;

impl Workload for CountdownBound {
    const NAME: &'static str = "countdown-bound";
    const SUMMARY: &'static str =
        "countdown on one processor, where the system lets a program choose one";
    const OPERATION: &'static str = Countdown::OPERATION;
    const PARAMETERS: &'static [Parameter] = &[TOTAL, TURNS];

    fn heap_bytes(input: &Input) -> u64 {
        Countdown::heap_bytes(input)
    }

    fn run<H: Heap>(heap: &H, input: &Input) -> Result<Outcome, HeapFull> {
        let bound = Bound::new();
        let outcome = in_turns(heap, input, Countdown::run)?;
        Ok(outcome.observing([(PROCESSORS, bound.map(|_| 1))]))
    }
}

/// The calling thread, and those that it makes, are bound to one processor for as long as this
/// lives.
#[cfg(target_os = "linux")]
struct Bound {
    before: nix::sched::CpuSet,
}

#[cfg(target_os = "linux")]
impl Bound {
    /// Binds them to the first of the processors that they may use; `None` if the system does not
    /// let them.
    fn new() -> Option<Self> {
        use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
        let before = sched_getaffinity(THIS_THREAD).ok()?;
        let may_use = |cpu: &usize| before.is_set(*cpu).unwrap_or(false);
        let mut one = CpuSet::new();
        one.set((0..CpuSet::count()).find(may_use)?).ok()?;
        sched_setaffinity(THIS_THREAD, &one).ok()?;
        Some(Self { before })
    }
}

#[cfg(target_os = "linux")]
impl Drop for Bound {
    fn drop(&mut self) {
        // What was allowed before is allowed still, unless somebody has changed it in between; then
        // it is theirs to say.
        let _ = nix::sched::sched_setaffinity(THIS_THREAD, &self.before);
    }
}

#[cfg(target_os = "linux")]
const THIS_THREAD: nix::unistd::Pid = nix::unistd::Pid::from_raw(0);

/// The system has no way to bind a thread.
#[cfg(not(target_os = "linux"))]
struct Bound;

#[cfg(not(target_os = "linux"))]
impl Bound {
    fn new() -> Option<Self> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trial::{MARKSWEEP, RC, Trial};

    #[test]
    fn the_verdicts_follow_the_times() {
        let mut trial = Trial::of("countdown");
        trial.turns(IN_TURNS, RC, 1_000, 1_004);
        trial.turns(IN_TURNS, MARKSWEEP, 1_000, 550);
        // 0.1 ms: 40 us a switch, which is much for one that comes so often and little for 5 ms.
        for (form, all) in RUNGS.iter().zip([14_000, 11_600, 10_400]) {
            trial.turns(form, RC, 10_000, all);
        }
        trial.holds(0..6);
        let cost = trial.judged()[2].columns[0].estimate().unwrap().value;
        assert!((39_000.0..41_000.0).contains(&cost), "{cost}");
        // Threads that gain nothing where they run freely.
        trial.turns(IN_TURNS, MARKSWEEP, 1_000, 1_000);
        trial.fails([5]);
        // A lock that lets two count at once, and one that is dear.
        trial.turns(IN_TURNS, RC, 1_000, 600);
        trial.fails(0..2);
        trial.turns(IN_TURNS, RC, 1_000, 1_400);
        trial.fails([0]);
        trial.holds([1]);
        // Switches that cost nothing, and some that cost more than they are worth.
        for form in RUNGS {
            trial.turns(form, RC, 10_000, 10_000);
        }
        trial.fails(2..4);
        for (form, all) in RUNGS.iter().zip([60_000, 30_000, 15_000]) {
            trial.turns(form, RC, 10_000, all);
        }
        trial.fails([4]);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn one_processor_is_shared() {
        let mut trial = Trial::of("countdown");
        trial.turns(BOUND, BOTH, 1_000, 1_002);
        trial.holds([6]);
        trial.turns(BOUND, MARKSWEEP, 1_000, 510);
        trial.fails([6]);
        // Where a program cannot choose its processor there is nothing to judge.
        trial.plant(BOUND, MARKSWEEP, |metrics| {
            metrics.observations.remove(PROCESSORS);
        });
        assert_eq!(trial.judged()[6].verdict, None);
    }
}
