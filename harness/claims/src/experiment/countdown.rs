#![doc = include_str!("countdown.md")]

use super::prelude::*;
use crate::workload::countdown::Countdown;

/// See the [module documentation](self).
pub const EXPERIMENT: Experiment = Experiment {
    name: "countdown",
    summary: "counting down on one thread and on two",
    explanation: include_str!("countdown.md"),
    forms: &[
        Form::new(ONE, "countdown", 1)
            .small("total=8000000")
            .full("total=20000000"),
        Form::new(TWO, "countdown", 2)
            .small("total=8000000")
            .full("total=20000000"),
        Form::new(ONE_BOUND, "countdown-bound", 1).on(BOTH),
        Form::new(TWO_BOUND, "countdown-bound", 2).on(BOTH),
    ],
    claims: &[
        Claim::new("two threads count down no faster than one under the lock, and faster without")
            .documents("2.188 s -> 2.197 s: 1.004")
            .measured("time of two threads / of one")
            .ratio(Wall, TWO, ONE)
            .counting(AtLeast(0.95))
            .tracing(AtMost(0.8)),
        Claim::new("and hardly slower: handing the lock over costs next to nothing")
            .documents("1.004")
            .measured("time of two threads / of one")
            .ratio(Wall, TWO, ONE)
            .counting(AtMost(1.05)),
        Claim::new("on one processor threads gain nothing, with the lock or without it")
            .measured("time of two threads / of one, on one processor")
            .figure(Figure::By(Unit::Ratio, |evidence| {
                evidence.value(Observed(PROCESSORS), TWO_BOUND)?;
                evidence.ratio(Wall, TWO_BOUND, ONE_BOUND)
            }))
            .both(AtLeast(0.95)),
    ],
    program: Some(Program::of::<CountdownBound>()),
};

const ONE: &str = "one thread";
const TWO: &str = "two threads";
const ONE_BOUND: &str = "one thread, one processor";
const TWO_BOUND: &str = "two threads, one processor";

const PROCESSORS: &str = "processors_count";

/// The workload countdown on one processor.
pub struct CountdownBound;

impl Workload for CountdownBound {
    const NAME: &'static str = "countdown-bound";
    const SUMMARY: &'static str =
        "countdown on one processor, where the system lets a program choose one";
    const OPERATION: &'static str = Countdown::OPERATION;
    const PARAMETERS: &'static [Parameter] =
        &[Parameter::sized("total", [100_000, 1_000_000, 10_000_000])
            .range(1, 1_000_000_000_000)
            .doc("decrements, over all threads")];

    fn heap_bytes(input: &Input) -> u64 {
        Countdown::heap_bytes(input)
    }

    fn run<H: Heap>(heap: &H, input: &Input) -> Result<Outcome, HeapFull> {
        let bound = Bound::new();
        let outcome = Countdown::run(heap, input)?;
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
        trial.wall(ONE, BOTH, 1_000);
        trial.wall(TWO, RC, 1_004);
        trial.wall(TWO, MARKSWEEP, 550);
        trial.holds(0..2);
        // Threads that gain nothing where they run freely.
        trial.wall(TWO, MARKSWEEP, 1_000);
        trial.fails([0]);
        trial.wall(TWO, MARKSWEEP, 550);
        // A lock that lets two count at once, and one that is dear.
        trial.wall(TWO, RC, 600);
        trial.fails([0]);
        trial.wall(TWO, RC, 1_400);
        trial.holds([0]);
        trial.fails([1]);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn one_processor_is_shared() {
        let mut trial = Trial::of("countdown");
        trial.wall(ONE_BOUND, BOTH, 1_000);
        trial.wall(TWO_BOUND, BOTH, 1_002);
        trial.holds([2]);
        trial.wall(TWO_BOUND, MARKSWEEP, 510);
        trial.fails([2]);
        // Where a program cannot choose its processor there is nothing to judge.
        trial.plant(TWO_BOUND, MARKSWEEP, |metrics| {
            metrics.observations.remove(PROCESSORS);
        });
        assert_eq!(trial.judged()[2].verdict, None);
    }
}
