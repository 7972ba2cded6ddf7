#![doc = include_str!("count_race.md")]

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::prelude::*;
use super::processors;
use crate::sync::Lock;

/// See the [module documentation](self).
pub const EXPERIMENT: Experiment = Experiment {
    name: "count-race",
    summary: "counts that several threads change: unguarded, under one lock, atomic",
    explanation: include_str!("count_race.md"),
    forms: &[
        processors::FORM,
        unguarded(UNGUARDED[0], 1),
        unguarded(UNGUARDED[1], 2).on(COUNTING),
        unguarded(UNGUARDED[2], 4).on(COUNTING),
        meeting(UNGUARDED[1], 2),
        meeting(UNGUARDED[2], 4),
        Form::new(GUARDED[0], "count-race:guard=1", 1)
            .on(BOTH)
            .small(ASSIGNMENTS)
            .full(ASSIGNMENTS_FULL),
        Form::new(GUARDED[1], "count-race:guard=1", 2)
            .on(BOTH)
            .few(),
        Form::new(GUARDED[2], "count-race:guard=1", 4)
            .on(BOTH)
            .few(),
        Form::new(GUARDED[3], "count-race:guard=2", 1)
            .on(BOTH)
            .small(ASSIGNMENTS)
            .full(ASSIGNMENTS_FULL),
        Form::new(GUARDED[4], "count-race:guard=2", 2)
            .on(BOTH)
            .few(),
        Form::new(GUARDED[5], "count-race:guard=2", 4)
            .on(BOTH)
            .few(),
    ],
    claims: &[
        // Of two threads that take turns by chance some cells come out right: one in ten is far
        // from what a race does, and further from none.
        Claim::new("counts that two free threads change without a lock go wrong")
            .judges(&["000.4", "002.5"])
            .measured("cells with a wrong count, two free threads, unguarded")
            .share(Observed(WRONG), Observed(CELLS_SEEN), &[UNGUARDED[1]])
            .controlled(&processors::TO_GAIN)
            .tracing(AtLeast(0.1)),
        Claim::new("counts that free threads change without a lock leak: they stay too high")
            .judges(&["003.3", "004.1"])
            .measured("cells whose count stays too high, four free threads, unguarded")
            .share(Observed(LEAKED), Observed(CELLS_SEEN), &[UNGUARDED[2]])
            .controlled(&processors::TO_GAIN)
            .tracing(AtLeast(0.1)),
        Claim::new("counts that free threads change without a lock release what is referenced")
            .judges(&["003.3", "004.1"])
            .measured("cells whose count came to zero, four free threads, unguarded")
            .share(Observed(DEAD), Observed(CELLS_SEEN), &[UNGUARDED[2]])
            .controlled(&processors::TO_GAIN)
            .tracing(AtLeast(0.1)),
        Claim::new(
            "under the global lock at most one change in 10,000 of an unguarded count is lost",
        )
        .judges(&["000.13"])
        .measured("changes lost, with 1, 2 and 4 threads, unguarded")
        .share(Observed(LOST), Observed(CHANGES), &UNGUARDED)
        .controlled(&processors::TO_LOSE)
        .counting(AtMost(ONE_IN_10_000)),
        Claim::new(
            "under one lock, or made atomically, at most one change in 10,000 of a count is lost",
        )
        .judges(&["000.13"])
        .measured("changes lost, with 1, 2 and 4 threads, one lock or atomic")
        .share(Observed(LOST), Observed(CHANGES), &GUARDED)
        .both(AtMost(ONE_IN_10_000)),
        Claim::new("a lock around each change of a count makes an assignment slower by a fifth")
            .ours()
            .measured("time of an assignment under one lock / unguarded, one thread")
            .ratio(TIME_OF_ASSIGNMENT, GUARDED[0], UNGUARDED[0])
            .both(AtLeast(1.2)),
        Claim::new("atomic changes of counts make an assignment slower by a fifth")
            .ours()
            .measured("time of an assignment with atomic changes / unguarded, one thread")
            .ratio(TIME_OF_ASSIGNMENT, GUARDED[3], UNGUARDED[0])
            .both(AtLeast(1.2)),
    ],
    programs: &[Program::of::<CountRace>()],
};

/// By threads: one, two, four.
const UNGUARDED: [&str; 3] = ["unguarded", "unguarded, 2 threads", "unguarded, 4 threads"];
/// Under one lock, and then atomic, by threads.
const GUARDED: [&str; 6] = [
    "one lock",
    "one lock, 2 threads",
    "one lock, 4 threads",
    "atomic",
    "atomic, 2 threads",
    "atomic, 4 threads",
];

const WRONG: &str = "wrong_cells";
const LEAKED: &str = "leaked_cells";
const DEAD: &str = "prematurely_dead_cells";
const CELLS_SEEN: &str = "cells_count";
const LOST: &str = "lost_changes_count";
const CHANGES: &str = "changes_count";

/// Long enough for threads to meet on a machine that has other things to do as well: a system lets
/// a thread run for some milliseconds. On one thread as many of each kind are compared in time.
const ASSIGNMENTS: &str = "assignments=3000000";
const ASSIGNMENTS_FULL: &str = "assignments=10000000";

const fn unguarded(name: &'static str, threads: usize) -> Form {
    Form::new(name, "count-race:guard=0", threads)
        .on(BOTH)
        .small(ASSIGNMENTS)
        .full(ASSIGNMENTS_FULL)
}

/// The same where threads run freely, and do almost three times as much in the time.
const fn meeting(name: &'static str, threads: usize) -> Form {
    unguarded(name, threads)
        .on(TRACING)
        .small("assignments=8000000")
        .full("assignments=40000000")
}

/// Forms differ in how much they do.
const TIME_OF_ASSIGNMENT: Quantity = Per(&Wall, &Operations);

const CELLS: usize = 16;
/// Of each thread.
const SLOTS: usize = 64;

/// See the [module documentation](self).
pub struct CountRace;

impl Workload for CountRace {
    const NAME: &'static str = "count-race";
    const SUMMARY: &'static str = "counts that several threads change, guarded or not";
    const OPERATION: &'static str = "assignment";
    const PARAMETERS: &'static [Parameter] = &[
        Parameter::sized("assignments", [20_000, 400_000, 5_000_000])
            .range(1, 1_000_000_000_000)
            .doc("references assigned, over all threads"),
        Parameter::fixed("guard", 0).range(0, 2).doc(
            "how a count is changed: 0 read and written back, 1 so under one lock, 2 atomically",
        ),
    ];

    fn heap_bytes(_input: &Input) -> u64 {
        // Nothing is allocated: threads are attached for the sake of the lock.
        8 << 20
    }

    fn run<H: Heap>(heap: &H, input: &Input) -> Result<Outcome, HeapFull> {
        let (cells, checksum) = match input.get("guard") {
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
        let number = |is: fn(&Cell) -> bool| cells.iter().filter(|cell| is(cell)).count() as u64;
        let wrong = number(|cell| cell.has_leaked() || cell.has_died());
        let assignments = input.get("assignments");
        Ok(Outcome::new(checksum, assignments).observing([
            (LEAKED, number(Cell::has_leaked)),
            (DEAD, number(Cell::has_died)),
            (WRONG, wrong),
            (CELLS_SEEN, CELLS as u64),
            (LOST, cells.iter().map(Cell::lost).sum()),
            // A reference is taken and, sooner or later, dropped.
            (CHANGES, 2 * assignments),
        ]))
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

    /// How many changes were lost at least, once no reference is left but the table's: one that
    /// was lost upwards and one downwards cancel each other.
    fn lost(&self) -> u64 {
        let beyond = self.count.load(Ordering::Relaxed).wrapping_sub(1);
        beyond
            .cast_signed()
            .unsigned_abs()
            .max(self.has_died().into())
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
    let start = Start::of(input.threads);
    let assignments = input.get("assignments");
    let sums = on_threads(heap, input.threads, |m, thread| {
        let mut slots: [Option<&Cell>; SLOTS] = [None; SLOTS];
        let mut sum = 0u64;
        start.wait(m);
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
    Ok((cells, digest(sums)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trial::{MARKSWEEP, RC, Trial};

    #[test]
    fn guarded_counts_are_right() {
        let mut trial = Trial::of("count-race");
        trial.holds([3, 4]);
        // Wrong counts, of any form.
        trial.observed(UNGUARDED[2], RC, LOST, 1_000);
        trial.fails([3]);
        trial.holds([4]);
        trial.observed(GUARDED[4], MARKSWEEP, LOST, 1_000);
        trial.fails([4]);
    }

    /// Whether threads meet within a few milliseconds is the system's to say, so what they do to
    /// each other is planted.
    #[test]
    fn verdicts_follow_wrong_counts_and_times() {
        let mut trial = Trial::of("count-race");
        let mut plant = |wrong, guarded| {
            for form in &UNGUARDED[1..] {
                trial.observed(form, MARKSWEEP, CELLS_SEEN, 160);
            }
            trial.observed(UNGUARDED[1], MARKSWEEP, WRONG, wrong);
            trial.observed(UNGUARDED[2], MARKSWEEP, LEAKED, wrong);
            trial.observed(UNGUARDED[2], MARKSWEEP, DEAD, wrong);
            trial.wall(UNGUARDED[0], BOTH, 1_000);
            trial.wall(GUARDED[0], BOTH, guarded);
            trial.wall(GUARDED[3], BOTH, guarded);
            trial.clone()
        };
        plant(120, 2_000).holds([0, 1, 2, 5, 6]);
        plant(0, 1_000).fails([0, 1, 2, 5, 6]);
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
        assert!(leaks.has_leaked() && !leaks.has_died() && leaks.lost() == 1);
        let dies = Cell::new();
        // Two of which one retain is lost, and both releases are not.
        dies.unguarded(Change::Retain);
        dies.unguarded(Change::Release);
        dies.unguarded(Change::Release);
        assert!(dies.has_died() && !dies.has_leaked() && dies.lost() == 1);
        let right = Cell::new();
        right.atomic(Change::Retain);
        right.atomic(Change::Release);
        assert!(!right.has_died() && !right.has_leaked() && right.lost() == 0);
    }
}
