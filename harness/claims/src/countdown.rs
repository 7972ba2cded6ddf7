//! `countdown`: the documents' first experiment on the global lock. Its program is the workload of
//! that name.
//!
//! It is run on one processor as well, since the documents' argument is about what threads gain
//! *beyond* what one processor gives. There the same program binds itself to the first of the
//! processors that it may use; where the system has no way to do so (it is Linux that has) the
//! claim about it has no figure. On other runtimes that form is not run: a Java program cannot bind
//! itself.

use super::{BOTH, Claim, Experiment, Form, Quantity, Rule, Unit, program};
use crate::heap::{Heap, HeapFull};
use crate::workload::countdown::Countdown;
use crate::workload::{Input, Outcome, Parameter, Workload};

/// See the [module documentation](self).
pub const EXPERIMENT: Experiment = Experiment {
    name: "countdown",
    summary: "counting down on one thread and on two",
    explanation: "A counter of boxed integers is counted down, each step allocating a new integer and dropping the old one: on one thread, and the \
same total split over two. Under a global lock only its holder counts, so two threads take as long as one; where threads run freely they take half. \
It shows what the lock does to pure computation. It does not show what it does to programs that wait, nor what a bytecode interpreter costs. Two \
threads that take turns on two cores pay for moving from one to the other, which is the machine's price and not the lock's. On one processor threads \
gain nothing on either side: the claim is false if two take less than 0.95 of the time of one.",
    forms: &[
        Form::new(ONE, "countdown", 1).sized("total=8000000", "total=20000000"),
        Form::new(TWO, "countdown", 2).sized("total=8000000", "total=20000000"),
        Form::new(ONE_BOUND, "countdown-bound", 1).on(BOTH),
        Form::new(TWO_BOUND, "countdown-bound", 2).on(BOTH),
    ],
    claims: &[
        Claim {
            statement: "two threads count down no faster than one under the lock, and faster without",
            document: "2.188 s -> 2.197 s: 1.004",
            measured: "time of two threads / of one",
            unit: Unit::Ratio,
            figure: |evidence| evidence.ratio((TWO, Quantity::Wall), (ONE, Quantity::Wall)),
            counting: Some(Rule::AtLeast(0.95)),
            tracing: Some(Rule::AtMost(0.8)),
        },
        Claim {
            statement: "and hardly slower: handing the lock over costs next to nothing",
            document: "1.004",
            measured: "time of two threads / of one",
            unit: Unit::Ratio,
            figure: |evidence| evidence.ratio((TWO, Quantity::Wall), (ONE, Quantity::Wall)),
            counting: Some(Rule::AtMost(1.05)),
            tracing: None,
        },
        Claim {
            statement: "on one processor threads gain nothing, with the lock or without it",
            document: "no figure",
            measured: "time of two threads / of one, on one processor",
            unit: Unit::Ratio,
            figure: |evidence| {
                evidence.value((TWO_BOUND, Quantity::Observed(PROCESSORS)))?;
                evidence.ratio((TWO_BOUND, Quantity::Wall), (ONE_BOUND, Quantity::Wall))
            },
            counting: Some(Rule::AtLeast(0.95)),
            tracing: Some(Rule::AtLeast(0.95)),
        },
    ],
    program: Some(program::<CountdownBound>),
};

const ONE: &str = "one thread";
const TWO: &str = "two threads";
const ONE_BOUND: &str = "one thread, one processor";
const TWO_BOUND: &str = "two threads, one processor";

const PROCESSORS: &str = "processors_count";

/// The workload countdown on one processor.
#[derive(Clone, Copy, Debug)]
pub struct CountdownBound;

impl Workload for CountdownBound {
    const NAME: &'static str = "countdown-bound";
    const SUMMARY: &'static str =
        "countdown on one processor, where the system lets a program choose one";
    const OPERATION: &'static str = Countdown::OPERATION;
    const PARAMETERS: &'static [Parameter] = &[Parameter {
        name: "total",
        doc: "decrements, over all threads",
        tiny: 100_000,
        small: 1_000_000,
        full: 10_000_000,
        range: (1, 1_000_000_000_000),
    }];

    fn heap_bytes(input: &Input) -> u64 {
        Countdown::heap_bytes(input)
    }

    fn run<H: Heap>(heap: &H, input: &Input) -> Result<Outcome, HeapFull> {
        let bound = Bound::new();
        let mut outcome = Countdown::run(heap, input)?;
        if bound.is_some() {
            outcome.observations.insert(PROCESSORS, 1);
        }
        Ok(outcome)
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
    use crate::{Verdict, trial::Trial};

    #[test]
    fn the_verdicts_follow_the_times() {
        let mut trial = Trial::of("countdown");
        trial.plant_wall(ONE, "gc-rc", 1_000);
        trial.plant_wall(TWO, "gc-rc", 1_004);
        trial.plant_wall(ONE, "gc-marksweep", 1_000);
        trial.plant_wall(TWO, "gc-marksweep", 550);
        assert_eq!(trial.verdict(0), Verdict::Holds);
        assert_eq!(trial.verdict(1), Verdict::Holds);
        // Threads that gain nothing where they run freely.
        trial.plant_wall(TWO, "gc-marksweep", 1_000);
        assert_eq!(trial.verdict(0), Verdict::Fails);
        trial.plant_wall(TWO, "gc-marksweep", 550);
        // A lock that lets two count at once, and one that is dear.
        trial.plant_wall(TWO, "gc-rc", 600);
        assert_eq!(trial.verdict(0), Verdict::Fails);
        trial.plant_wall(TWO, "gc-rc", 1_400);
        assert_eq!(
            (trial.verdict(0), trial.verdict(1)),
            (Verdict::Holds, Verdict::Fails)
        );
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn one_processor_is_shared() {
        let mut trial = Trial::of("countdown");
        for heap in BOTH {
            trial.plant_wall(ONE_BOUND, heap, 1_000);
            trial.plant_wall(TWO_BOUND, heap, 1_002);
        }
        assert_eq!(trial.verdict(2), Verdict::Holds);
        trial.plant_wall(TWO_BOUND, "gc-marksweep", 510);
        assert_eq!(trial.verdict(2), Verdict::Fails);
        // Where a program cannot choose its processor there is nothing to judge.
        trial.plant(TWO_BOUND, "gc-marksweep", |metrics| {
            metrics.observations.remove(PROCESSORS);
        });
        assert_eq!(trial.judged()[2].verdict, None);
    }
}
