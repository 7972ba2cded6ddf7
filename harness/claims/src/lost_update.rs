//! `lost-update`: several threads add to one count.
//!
//! **The documents** had five threads do `count += 1` 100,000 times each. The count ended at
//! 497,831 instead of 500,000: the global lock does not make `+=` atomic, since it can change hands
//! between the reading of the old value and the writing of the new one. With a lock of the
//! program's own it ended at exactly 500,000.
//!
//! **Here** the count is an object with a reference to a boxed integer, as a Python attribute is.
//! An update reads the reference and the integer, and writes a reference to a new one, which is
//! allocated before. Whether updates can be lost under the lock depends on where it can change
//! hands, so there are two forms without a lock: *polling between* the reading and the writing, as
//! CPython up to 3.9 did, and every version does if the new value comes from a call; and polling
//! *at the back-edge only*, as CPython has done since 3.10 for a plain `count += 1`. It needs a
//! switch in the right place besides: 500,000 updates of ours take two or three switch intervals of
//! 5 ms. So the form that polls between is run at the documents' size as it is, and again under an
//! interval of 0.25 ms, as the others are, with ten times as many updates at full size, in which
//! each thread meets more than twenty intervals. The locked form keeps to the documents' size:
//! CPython's threads then wait for one lock while they have the other, and make some hundred
//! thousand updates in a second.
//!
//! **It shows** that the global lock is no substitute for the program's own; and that a plain `+=`
//! under it is nevertheless atomic where the lock is given up at back-edges only, which is an
//! accident of the interpreter that programs came to depend on, and which free threads take away.
//! *It does not show* how many updates a program loses: that is chance, and what a thread loses is
//! all that others have done while it was away, so that the number depends on the interval.
//!
//! All threads begin at once: a thread of ours could otherwise be done before the next has been
//! made. In Java an update is that of a volatile field, which makes reading and writing visible to
//! the others and the two together no more atomic; a JVM needs no poll in between.
//!
//! Rejected: the count as a word of the object (an update would take two nanoseconds, and a switch
//! hundreds of thousands of them); allocating between reading and writing (where allocating polls,
//! on another heap, the form at the back-edge would poll between).

use std::sync::Barrier;

use super::threads::INTERVAL;
use super::{Claim, Experiment, Form, Quantity, Rule, Unit, program};
use crate::heap::{Heap, HeapFull, Mutator, Shape};
use crate::sync::Lock;
use crate::workload::{Input, Outcome, Parameter, Workload, mix, on_threads};

/// See the [module documentation](self).
pub const EXPERIMENT: Experiment = Experiment {
    name: "lost-update",
    summary: "five threads add to one count, with and without a lock of their own",
    explanation: "Five threads each read a count and write it back increased by one, many times. What the count lacks in the end has been lost: a \
thread read it, another one changed it, and the first wrote over that. The claim that the global lock does not prevent it is false if nothing is \
lost where the lock can change hands between reading and writing. The claim about a lock of the program's own is false if a single update is lost in \
any run, and so is the one about switches at back-edges under the global lock. The number lost is chance, and is no measure of anything.",
    forms: &[
        Form::new(DOCUMENTS, "lost-update:between=1", 5).sized("updates=100000", "updates=100000"),
        short(Form::new(
            BETWEEN,
            "lost-update:between=1,interval-us=250",
            5,
        )),
        short(Form::new(BACK_EDGE, "lost-update:interval-us=250", 5)),
        short(Form::new(
            LOCKED,
            "lost-update:between=1,locked=1,interval-us=250",
            5,
        ))
        .sized("updates=100000", "updates=100000"),
    ],
    claims: &[
        Claim {
            statement: "`count += 1` of several threads loses updates: the global lock does not make it atomic",
            document: "2,169 of 500,000 lost",
            measured: "lost, unlocked, switches every 0.25 ms, also between reading and writing",
            unit: Unit::Count,
            figure: |evidence| evidence.value((BETWEEN, Quantity::Observed(LOST))),
            counting: Some(Rule::AtLeast(1.0)),
            tracing: Some(Rule::AtLeast(1.0)),
        },
        Claim {
            statement: "it does so within 5 x 100,000 of them",
            document: "2,169 of 500,000 lost",
            measured: "lost of 500,000, unlocked, the usual interval",
            unit: Unit::Count,
            figure: |evidence| evidence.value((DOCUMENTS, Quantity::Observed(LOST))),
            counting: Some(Rule::AtLeast(1.0)),
            tracing: Some(Rule::AtLeast(1.0)),
        },
        Claim {
            statement: "with a lock of the program's own none is lost",
            document: "500,000 of 500,000: none",
            measured: "most lost in a run, locked",
            unit: Unit::Count,
            figure: |evidence| evidence.largest((LOCKED, Quantity::Observed(LOST))),
            counting: Some(Rule::AtMost(0.0)),
            tracing: Some(Rule::AtMost(0.0)),
        },
        Claim {
            statement: "where threads switch at back-edges only, none is lost without one either; free threads lose them",
            document: "not mentioned (CPython since 3.10)",
            measured: "most lost in a run, unlocked, switches at back-edges only",
            unit: Unit::Count,
            figure: |evidence| evidence.largest((BACK_EDGE, Quantity::Observed(LOST))),
            counting: Some(Rule::AtMost(0.0)),
            tracing: Some(Rule::AtLeast(1.0)),
        },
    ],
    program: Some(program::<LostUpdate>),
};

/// On a gc-rc that switches twenty times as often as it does by itself.
const fn short(form: Form) -> Form {
    Form {
        heaps: &[SHORT, "gc-marksweep"],
        ..form
    }
}

const SHORT: &str = "gc-rc:switch-interval=250us";

const DOCUMENTS: &str = "unlocked, as in the documents";
const BETWEEN: &str = "unlocked, polling between";
const BACK_EDGE: &str = "unlocked, polling at the back-edge";
const LOCKED: &str = "locked";

const LOST: &str = "lost_updates";

/// Threads that add to one count.
#[derive(Clone, Copy, Debug)]
pub struct LostUpdate;

impl Workload for LostUpdate {
    const NAME: &'static str = "lost-update";
    const SUMMARY: &'static str = "threads that add to one shared count: how many updates are lost";
    const OPERATION: &'static str = "update";
    const PARAMETERS: &'static [Parameter] = &[
        Parameter {
            name: "updates",
            doc: "how many each thread makes",
            tiny: 5_000,
            small: 200_000,
            full: 1_000_000,
            range: (1, 1_000_000_000),
        },
        Parameter::fixed(
            "between",
            "1: threads poll between reading and writing, too; 0: at the loop's back-edge only",
            0,
            (0, 1),
        ),
        Parameter::fixed(
            "locked",
            "1: an update is made with a lock of the program's own held; 0: it is not",
            0,
            (0, 1),
        ),
        INTERVAL,
    ];

    fn heap_bytes(_input: &Input) -> u64 {
        16 << 20
    }

    fn run<H: Heap>(heap: &H, input: &Input) -> Result<Outcome, HeapFull> {
        let (updates, threads) = (input.get("updates"), input.threads);
        let (between, locked) = (input.get("between") != 0, input.get("locked") != 0);
        let count = heap.attach(|m| {
            m.frame(|m, [count]| {
                m.alloc(count, Shape::new(1, 0))?;
                Ok(m.get(count).map(|count| m.global(count)))
            })
        })?;
        let count = count.expect("it was just made");
        let lock = Lock::new(());
        let start = Barrier::new(threads);
        on_threads(heap, threads, |m, _| {
            m.frame(|m, [shared, next]| {
                m.set(shared, Some(m.open(&count)));
                m.blocking(|| start.wait());
                for _ in 0..updates {
                    let guard = locked.then(|| lock.lock(m));
                    update(m, shared, next, between)?;
                    drop(guard);
                    m.safepoint();
                }
                Ok(())
            })
        })?;
        let ended = heap.attach(|m| read(m, m.open(&count)));
        let expected = updates * threads as u64;
        Ok(Outcome {
            checksum: mix(expected),
            operations: expected,
            observations: [(LOST, expected.saturating_sub(ended))].into(),
            ..Outcome::default()
        })
    }
}

/// Replaces the count's integer by one that is larger by one.
fn update<M: Mutator>(
    m: &mut M,
    count: M::Local<'_>,
    next: M::Local<'_>,
    between: bool,
) -> Result<(), HeapFull> {
    m.alloc(next, Shape::new(0, 1))?;
    let value = m.get(count).map_or(0, |count| read(m, count));
    if between {
        m.safepoint();
    }
    if let (Some(count), Some(next)) = (m.get(count), m.get(next)) {
        m.set_word(next, 0, value + 1);
        m.store(count, 0, Some(next));
    }
    Ok(())
}

/// What a count has come to; one that has no integer yet, to nothing.
fn read<'m, M: Mutator>(m: &'m M, count: M::Ref<'m>) -> u64 {
    m.load(count, 0).map_or(0, |integer| m.word(integer, 0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Verdict, trial::Trial};

    /// What can be lost is decided by where a thread polls, at any size; that something is lost, by
    /// chance, and planted.
    #[test]
    fn nothing_is_lost_with_a_lock_nor_between_back_edges() {
        let mut trial = Trial::of("lost-update");
        assert_eq!(trial.verdict(2), Verdict::Holds);
        trial.plant_observed(BACK_EDGE, "gc-marksweep", LOST, 2_169);
        assert_eq!(trial.verdict(3), Verdict::Holds);
        // A lock that does not exclude, and one that changes hands between reading and writing.
        trial.plant_observed(LOCKED, "gc-marksweep", LOST, 1);
        trial.plant_observed(BACK_EDGE, SHORT, LOST, 1);
        assert_eq!(trial.verdict(2), Verdict::Fails);
        assert_eq!(trial.verdict(3), Verdict::Fails);
    }

    #[test]
    fn the_verdicts_follow_what_was_lost() {
        let mut trial = Trial::of("lost-update");
        for heap in [SHORT, "gc-marksweep"] {
            trial.plant_observed(BETWEEN, heap, LOST, 2_169);
        }
        for heap in ["gc-rc", "gc-marksweep"] {
            trial.plant_observed(DOCUMENTS, heap, LOST, 2_169);
        }
        assert_eq!(trial.verdict(0), Verdict::Holds);
        assert_eq!(trial.verdict(1), Verdict::Holds);
        trial.plant_observed(BETWEEN, SHORT, LOST, 0);
        trial.plant_observed(DOCUMENTS, "gc-marksweep", LOST, 0);
        assert_eq!(trial.verdict(0), Verdict::Fails);
        assert_eq!(trial.verdict(1), Verdict::Fails);
    }
}
