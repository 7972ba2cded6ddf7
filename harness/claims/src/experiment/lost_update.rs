#![doc = include_str!("lost_update.md")]

use super::prelude::*;
use crate::sync::Lock;

/// See the [module documentation](self).
pub const EXPERIMENT: Experiment = Experiment {
    name: "lost-update",
    summary: "five threads add to one count, with and without a lock of their own",
    explanation: include_str!("lost_update.md"),
    forms: &[
        Form::new(DOCUMENTS, "lost-update:between=1", 5)
            .small("updates=100000")
            .full("updates=100000"),
        Form::new(BETWEEN, "lost-update:between=1,interval-us=250", 5).with_heaps(SHORT),
        Form::new(BACK_EDGE, "lost-update:interval-us=250", 5).with_heaps(SHORT),
        Form::new(LOCKED, "lost-update:between=1,locked=1,interval-us=250", 5)
            .with_heaps(SHORT)
            .small("updates=100000")
            .full("updates=100000"),
    ],
    claims: &[
        Claim::new(
            "`count += 1` of several threads loses updates: \
             the global lock does not make it atomic",
        )
        .documents("2,169 of 500,000 lost")
        .measured("lost, unlocked, switches every 0.25 ms, also between reading and writing")
        .value(Observed(LOST), BETWEEN)
        .both(AtLeast(1.0)),
        Claim::new("it does so within 5 x 100,000 of them")
            .documents("2,169 of 500,000 lost")
            .measured("lost of 500,000, unlocked, the usual interval")
            .value(Observed(LOST), DOCUMENTS)
            .both(AtLeast(1.0)),
        Claim::new("with a lock of the program's own none is lost")
            .documents("500,000 of 500,000: none")
            .measured("most lost in a run, locked")
            .largest(Observed(LOST), &[LOCKED])
            .both(AtMost(0.0)),
        Claim::new(
            "where threads switch at back-edges only, none is lost without one either; \
             free threads lose them",
        )
        .documents("not mentioned (CPython since 3.10)")
        .measured("most lost in a run, unlocked, switches at back-edges only")
        .largest(Observed(LOST), &[BACK_EDGE])
        .counting(AtMost(0.0))
        .tracing(AtLeast(1.0)),
    ],
    program: Some(Program::of::<LostUpdate>()),
};

/// With a gc-rc that switches twenty times as often as it does by itself.
const SHORT: &[&str] = &["gc-rc:switch-interval=250us", "gc-marksweep"];

const DOCUMENTS: &str = "unlocked, as in the documents";
const BETWEEN: &str = "unlocked, polling between";
const BACK_EDGE: &str = "unlocked, polling at the back-edge";
const LOCKED: &str = "locked";

const LOST: &str = "lost_updates";

/// Threads that add to one count.
pub struct LostUpdate;

impl Workload for LostUpdate {
    const NAME: &'static str = "lost-update";
    const SUMMARY: &'static str = "threads that add to one shared count: how many updates are lost";
    const OPERATION: &'static str = "update";
    const PARAMETERS: &'static [Parameter] = &[
        Parameter::sized("updates", [5_000, 200_000, 1_000_000])
            .range(1, 1_000_000_000)
            .doc("how many each thread makes"),
        Parameter::fixed("between", 0).range(0, 1).doc(
            "1: threads poll between reading and writing, too; 0: at the loop's back-edge only",
        ),
        Parameter::fixed("locked", 0)
            .range(0, 1)
            .doc("1: an update is made with a lock of the program's own held; 0: it is not"),
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
        let start = Start::of(threads);
        on_threads(heap, threads, |m, _| {
            m.frame(|m, [shared, next]| {
                m.set(shared, Some(m.open(&count)));
                start.wait(m);
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
        let lost = expected.saturating_sub(ended);
        Ok(Outcome::new(mix(expected), expected).observing([(LOST, lost)]))
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
    use crate::trial::{MARKSWEEP, RC, Trial};

    /// What can be lost is decided by where a thread polls, at any size; that something is lost, by
    /// chance, and planted.
    #[test]
    fn nothing_is_lost_with_a_lock_nor_between_back_edges() {
        let mut trial = Trial::of("lost-update");
        trial.observed(BACK_EDGE, MARKSWEEP, LOST, 2_169);
        trial.holds(2..4);
        // A lock that does not exclude, and one that changes hands between reading and writing.
        trial.observed(LOCKED, MARKSWEEP, LOST, 1);
        trial.observed(BACK_EDGE, RC, LOST, 1);
        trial.fails(2..4);
    }

    #[test]
    fn the_verdicts_follow_what_was_lost() {
        let mut trial = Trial::of("lost-update");
        trial.observed(BETWEEN, BOTH, LOST, 2_169);
        trial.observed(DOCUMENTS, BOTH, LOST, 2_169);
        trial.holds(0..2);
        trial.observed(BETWEEN, RC, LOST, 0);
        trial.observed(DOCUMENTS, MARKSWEEP, LOST, 0);
        trial.fails(0..2);
    }
}
