//! `count-race`: why the lock exists: without one, counts that several threads change go wrong.
//!
//! The documents say it without a figure: two threads that change an object's count at once can
//! lose one of the changes. Then the object leaks, if a decrement was lost; or it is released while
//! it is referenced, if an increment was.
//!
//! Sixteen cells have a count each, a plain one, which is read and then written: an atomic, since
//! racing on anything else would be undefined, but with a relaxed load and a relaxed store, which
//! are the instructions of a plain increment. Threads that are attached to the heap hold 64 slots
//! each, and do what a program does with references: `slot = cell`, for a slot and a cell drawn at
//! random, which takes a reference to the one cell and drops that to another. The first reference
//! to each cell is a table's and stays to the end, so that the true count is never below one, and a
//! count that comes to zero or goes below is a *premature death*. When the threads have dropped all
//! they had, the true count is one: a count above it is a *leak*. Cells are never reused, nor
//! freed: deaths are recorded and not performed.
//!
//! * *unguarded*: counts change as they are, between two polls. On gc-rc a thread has the global
//!   lock there, which is what the lock is for; on gc-marksweep threads run freely.
//! * *one lock*: one lock of the program's own around each change, whatever the heap does.
//! * *atomic*: each change is one atomic instruction.
//!
//! Wrong counts need threads that run at the same moment, or one that loses its processor between
//! its read and its write: on a single processor they are rare.
//!
//! It shows that counts need guarding, and what guarding costs a thread that is alone: it has two
//! changes for each assignment and little else to do, which is the worst case. It does not show
//! what else an unguarded heap would break. The cells are no objects of the heap, whose own counts
//! are right and stay so.
//!
//! There are no peers. In Python and Java nobody can change an object's count, or leave it
//! unguarded; what an unguarded `count += 1` comes to there is the experiment `lost-update`.

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::{BOTH, Claim, Estimate, Evidence, Experiment, Form, Quantity, Rule, Unit, program};
use crate::heap::{Heap, HeapFull, Mutator};
use crate::sync::Lock;
use crate::workload::{Input, Outcome, Parameter, Workload, mix, on_threads, share};

/// See the [module documentation](self).
pub const EXPERIMENT: Experiment = Experiment {
    name: "count-race",
    summary: "counts that several threads change: unguarded, under one lock, atomic",
    explanation: "One, two and four threads assign references to slots at random, each of which takes a reference to one of sixteen cells and \
drops one to another. The counts of the cells are read and then written back, unguarded; or so under one lock; or changed atomically. At the end, \
and whenever a count comes to zero, it is known what the count should be, and deaths are recorded instead of performed. Under a global lock even \
unguarded counts come out right, since no thread can be stopped within a change; where threads run freely they go wrong. The claims would be false \
if a single count were wrong under the global lock, with a lock of its own, or when changed atomically; or if two free threads got every count \
right. It needs two processors to show, and does not show what a real heap would suffer from a wrong count.",
    forms: &[
        unguarded(UNGUARDED[0], 1),
        unguarded(UNGUARDED[1], 2),
        unguarded(UNGUARDED[2], 4),
        guarded(LOCKED[0], "count-race:guard=1", 1),
        guarded(LOCKED[1], "count-race:guard=1", 2),
        guarded(LOCKED[2], "count-race:guard=1", 4),
        guarded(ATOMIC[0], "count-race:guard=2", 1),
        guarded(ATOMIC[1], "count-race:guard=2", 2),
        guarded(ATOMIC[2], "count-race:guard=2", 4),
    ],
    claims: &[
        Claim {
            statement: "without a lock, counts that two threads change go wrong",
            document: "no figure",
            measured: "wrong counts of 16, two free threads, unguarded",
            unit: Unit::Count,
            figure: |evidence| evidence.value((UNGUARDED[1], WRONG)),
            counting: None,
            tracing: Some(Rule::AtLeast(1.0)),
        },
        Claim {
            statement: "objects leak",
            document: "no figure",
            measured: "cells whose count stays too high, of 16, four free threads, unguarded",
            unit: Unit::Count,
            figure: |evidence| evidence.value((UNGUARDED[2], Quantity::Observed("leaked_cells"))),
            counting: None,
            tracing: Some(Rule::AtLeast(1.0)),
        },
        Claim {
            statement: "or are released while referenced",
            document: "no figure",
            measured: "cells whose count came to zero, of 16, four free threads, unguarded",
            unit: Unit::Count,
            figure: |evidence| {
                evidence.value((UNGUARDED[2], Quantity::Observed("prematurely_dead_cells")))
            },
            counting: None,
            tracing: Some(Rule::AtLeast(1.0)),
        },
        Claim {
            statement: "the global lock keeps unguarded counts right",
            document: "no figure",
            measured: "wrong counts of 16, the most with 1, 2 or 4 threads, unguarded",
            unit: Unit::Count,
            figure: |evidence| most_wrong(evidence, &[UNGUARDED]),
            counting: Some(Rule::AtMost(0.0)),
            tracing: None,
        },
        Claim {
            statement: "so does a lock around each change, and so do atomic changes",
            document: "no figure",
            measured: "wrong counts of 16, the most with 1, 2 or 4 threads, one lock or atomic",
            unit: Unit::Count,
            figure: |evidence| most_wrong(evidence, &[LOCKED, ATOMIC]),
            counting: Some(Rule::AtMost(0.0)),
            tracing: Some(Rule::AtMost(0.0)),
        },
        Claim {
            statement: "a lock around each change is dear",
            document: "no figure",
            measured: "time of an assignment under one lock / unguarded, one thread",
            unit: Unit::Ratio,
            figure: |evidence| {
                evidence.ratio(
                    (LOCKED[0], TIME_OF_ASSIGNMENT),
                    (UNGUARDED[0], TIME_OF_ASSIGNMENT),
                )
            },
            counting: Some(Rule::AtLeast(1.2)),
            tracing: Some(Rule::AtLeast(1.2)),
        },
        Claim {
            statement: "and so are atomic changes",
            document: "no figure",
            measured: "time of an assignment with atomic changes / unguarded, one thread",
            unit: Unit::Ratio,
            figure: |evidence| {
                evidence.ratio(
                    (ATOMIC[0], TIME_OF_ASSIGNMENT),
                    (UNGUARDED[0], TIME_OF_ASSIGNMENT),
                )
            },
            counting: Some(Rule::AtLeast(1.2)),
            tracing: Some(Rule::AtLeast(1.2)),
        },
    ],
    program: Some(program::<CountRace>),
};

/// By threads: one, two, four.
const UNGUARDED: [&str; 3] = ["unguarded", "unguarded, 2 threads", "unguarded, 4 threads"];
const LOCKED: [&str; 3] = ["one lock", "one lock, 2 threads", "one lock, 4 threads"];
const ATOMIC: [&str; 3] = ["atomic", "atomic, 2 threads", "atomic, 4 threads"];

const WRONG: Quantity = Quantity::Observed("wrong_cells");

const fn unguarded(name: &'static str, threads: usize) -> Form {
    // Long enough for threads to meet on a machine that has other things to do as well: a system
    // lets a thread run for some milliseconds.
    Form::new(name, "count-race:guard=0", threads)
        .on(BOTH)
        .sized("assignments=3000000", "assignments=10000000")
}

const fn guarded(name: &'static str, guard: &'static str, threads: usize) -> Form {
    Form::new(name, guard, threads).on(BOTH)
}

/// Forms differ in how much they do.
const TIME_OF_ASSIGNMENT: Quantity =
    Quantity::Of(|metrics| Some(metrics.wall_ns as f64 / metrics.operations as f64));

/// The form with the most wrong counts: for what must never happen in any.
fn most_wrong(evidence: &Evidence<'_>, guards: &[[&'static str; 3]]) -> Option<Estimate> {
    let forms = guards.iter().flatten();
    let figures: Option<Vec<Estimate>> =
        forms.map(|&form| evidence.largest((form, WRONG))).collect();
    figures?
        .into_iter()
        .max_by(|a, b| a.value.total_cmp(&b.value))
}

const CELLS: usize = 16;
/// Of each thread.
const SLOTS: usize = 64;

/// See the [module documentation](self).
#[derive(Clone, Copy, Debug)]
pub struct CountRace;

impl Workload for CountRace {
    const NAME: &'static str = "count-race";
    const SUMMARY: &'static str = "counts that several threads change, guarded or not";
    const OPERATION: &'static str = "assignment";
    const PARAMETERS: &'static [Parameter] = &[
        Parameter {
            name: "assignments",
            doc: "references assigned, over all threads",
            tiny: 20_000,
            small: 400_000,
            full: 2_000_000,
            range: (1, 1_000_000_000_000),
        },
        Parameter::fixed(
            "guard",
            "how a count is changed: 0 read and written back, 1 so under one lock, 2 atomically",
            0,
            (0, 2),
        ),
    ];

    fn heap_bytes(_input: &Input) -> u64 {
        // Nothing is allocated: threads are attached for the sake of the lock.
        8 << 20
    }

    fn run<H: Heap>(heap: &H, input: &Input) -> Result<Outcome, HeapFull> {
        let counts = match input.get("guard") {
            0 => race(heap, input, |_, cell, change| cell.unguarded(change)),
            1 => {
                let lock = Lock::new(());
                race(heap, input, |m, cell, change| {
                    let guard = lock.lock(m);
                    cell.unguarded(change);
                    drop(guard);
                })
            }
            _ => race(heap, input, |_, cell, change| cell.atomic(change)),
        }?;
        let (cells, checksum) = counts;
        let number = |is: fn(&Cell) -> bool| cells.iter().filter(|cell| is(cell)).count() as u64;
        Ok(Outcome {
            checksum,
            operations: input.get("assignments"),
            observations: [
                ("leaked_cells", number(Cell::has_leaked)),
                ("prematurely_dead_cells", number(Cell::has_died)),
                (
                    "wrong_cells",
                    number(|cell| cell.has_leaked() || cell.has_died()),
                ),
            ]
            .into(),
            ..Outcome::default()
        })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    Retain,
    Release,
}

/// What stands for an object: its count, and whether it has died. On a cache line of its own, as
/// most objects are of those that threads race for.
#[derive(Debug)]
#[repr(align(64))]
struct Cell {
    /// Wraps round below zero, as a count does that nobody checks.
    count: AtomicU64,
    /// The count has come to zero, or below, while the table referred to it.
    died: AtomicBool,
}

impl Cell {
    /// Referred to by the table.
    fn new() -> Self {
        Self {
            count: AtomicU64::new(1),
            died: AtomicBool::new(false),
        }
    }

    /// As an ordinary count changes.
    #[inline]
    fn unguarded(&self, change: Change) {
        let count = self.count.load(Ordering::Relaxed);
        let changed = match change {
            Change::Retain => count.wrapping_add(1),
            Change::Release => count.wrapping_sub(1),
        };
        self.count.store(changed, Ordering::Relaxed);
        self.look(changed);
    }

    /// As one changes that threads share: a reference can be taken in no particular order, and what
    /// was done through one must be seen by whoever finds the last one dropped.
    #[inline]
    fn atomic(&self, change: Change) {
        let changed = match change {
            Change::Retain => self.count.fetch_add(1, Ordering::Relaxed).wrapping_add(1),
            Change::Release => self.count.fetch_sub(1, Ordering::AcqRel).wrapping_sub(1),
        };
        self.look(changed);
    }

    /// Records a death.
    #[inline]
    fn look(&self, count: u64) {
        if count.cast_signed() <= 0 {
            self.died.store(true, Ordering::Relaxed);
        }
    }

    fn has_died(&self) -> bool {
        self.died.load(Ordering::Relaxed)
    }

    /// Whether more references are counted than the table's, once no other is left.
    fn has_leaked(&self) -> bool {
        self.count.load(Ordering::Relaxed).cast_signed() > 1
    }
}

/// Assigns references on every thread, and returns the cells when all of them have been dropped but
/// the table's, and a digest of the assignments.
fn race<H: Heap>(
    heap: &H,
    input: &Input,
    change: impl for<'h> Fn(&mut H::Mutator<'h>, &Cell, Change) + Sync,
) -> Result<([Cell; CELLS], u64), HeapFull> {
    let cells = std::array::from_fn(|_| Cell::new());
    // Threads that start one after another hardly meet.
    let start = Barrier::new(input.threads);
    let assignments = input.get("assignments");
    let sums = on_threads(heap, input.threads, |m, thread| {
        let mut slots: [Option<&Cell>; SLOTS] = [None; SLOTS];
        let mut sum = 0u64;
        m.blocking(|| start.wait());
        for number in share(assignments, input.threads, thread) {
            // A sequence of each assignment's own: what is assigned does not depend on who does it.
            let draw = mix(input.seed ^ mix(number));
            let cell = draw as usize % CELLS;
            let slot = (draw >> 32) as usize % SLOTS;
            change(m, &cells[cell], Change::Retain);
            if let Some(old) = slots[slot].replace(&cells[cell]) {
                change(m, old, Change::Release);
            }
            sum = sum.wrapping_add(draw);
            m.safepoint();
        }
        for cell in slots.into_iter().flatten() {
            change(m, cell, Change::Release);
            m.safepoint();
        }
        Ok(sum)
    })?;
    let sum = sums.into_iter().fold(0, u64::wrapping_add);
    Ok((cells, mix(sum)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Verdict, trial::Trial};

    #[test]
    fn guarded_counts_are_right() {
        let mut trial = Trial::of("count-race");
        assert_eq!(trial.verdict(3), Verdict::Holds);
        assert_eq!(trial.verdict(4), Verdict::Holds);
        // A single wrong count, of any form.
        trial.plant_observed(UNGUARDED[2], "gc-rc", "wrong_cells", 1);
        assert_eq!(
            (trial.verdict(3), trial.verdict(4)),
            (Verdict::Fails, Verdict::Holds)
        );
        trial.plant_observed(ATOMIC[1], "gc-marksweep", "wrong_cells", 1);
        assert_eq!(trial.verdict(4), Verdict::Fails);
    }

    /// Whether threads meet within a few milliseconds is the system's to say, so what they do to
    /// each other is planted.
    #[test]
    fn verdicts_follow_wrong_counts_and_times() {
        let mut trial = Trial::of("count-race");
        for (wrong, guarded, expected) in [(3, 2_000, Verdict::Holds), (0, 1_000, Verdict::Fails)] {
            trial.plant_observed(UNGUARDED[1], "gc-marksweep", "wrong_cells", wrong);
            for name in ["leaked_cells", "prematurely_dead_cells"] {
                trial.plant_observed(UNGUARDED[2], "gc-marksweep", name, wrong);
            }
            for heap in BOTH {
                trial.plant_wall(UNGUARDED[0], heap, 1_000);
                trial.plant_wall(LOCKED[0], heap, guarded);
                trial.plant_wall(ATOMIC[0], heap, guarded);
            }
            assert_eq!(
                [0, 1, 2, 5, 6].map(|claim| trial.verdict(claim)),
                [expected; 5]
            );
        }
    }

    /// The interleaving that the documents describe, by hand: of two threads, both have read when
    /// the first one writes.
    #[test]
    fn lost_changes_are_found() {
        let leaks = Cell::new();
        leaks.unguarded(Change::Retain);
        leaks.unguarded(Change::Retain);
        // Two releases of which one is lost.
        leaks.unguarded(Change::Release);
        assert!(leaks.has_leaked() && !leaks.has_died());
        let dies = Cell::new();
        // Two of which one retain is lost, and both releases are not.
        dies.unguarded(Change::Retain);
        dies.unguarded(Change::Release);
        dies.unguarded(Change::Release);
        assert!(dies.has_died() && !dies.has_leaked());
        let right = Cell::new();
        right.atomic(Change::Retain);
        right.atomic(Change::Release);
        assert!(!right.has_died() && !right.has_leaked());
    }
}
