#![doc = include_str!("object_lock.md")]

use std::sync::Barrier;
use std::time::Duration;

use super::free_threading::{COUNTED, ONE, ONE_THREAD};
use super::object_locks::{Deadlock, ObjectLocks};
use super::prelude::*;

/// See the [module documentation](self).
pub const EXPERIMENT: Experiment = Experiment {
    name: "object-lock",
    summary: "two threads that lock two objects: in opposite orders, in one order, under one lock",
    explanation: include_str!("object_lock.md"),
    forms: &[
        Form::new(OPPOSITE, "object-locks", 2).on(BOTH).few(),
        Form::new(ORDERED, "object-locks:locking=1", 2)
            .on(BOTH)
            .few()
            .with(MANY),
        Form::new(ONE_LOCK, "object-locks:locking=2", 2)
            .on(BOTH)
            .few()
            .with(MANY),
        ONE_THREAD.on(&["gc-rc", "gc-rc:regime=object-lock"]),
    ],
    claims: &[
        // Likely is what happens more often than not.
        Claim::new(
            "with a lock in each object two threads that lock two in opposite orders are likely to \
             deadlock",
        )
        .judges(&["000.6"])
        .measured("tries that deadlock, each thread holding its first object")
        .share(Observed(DEADLOCKS), Observed(TRIES), &[OPPOSITE])
        .both(AtLeast(0.5)),
        Claim::new(
            "deadlock is as likely however good the programmer: also where every thread locks \
             objects in one order",
        )
        .judges(&["000.6"])
        .measured("tries that deadlock, locked in the order of their numbers")
        .share(Observed(DEADLOCKS), Observed(TRIES), &[ORDERED])
        .both(AtLeast(0.5)),
        Claim::new("one lock for all objects cannot deadlock: at most one try in 100 does")
            .judges(&["000.7"])
            .measured("tries that deadlock, under one lock")
            .share(Observed(DEADLOCKS), Observed(TRIES), &[ONE_LOCK])
            .both(AtMost(0.01)),
        // What costs far more costs at least as much again.
        Claim::new("a lock in each object costs one thread far more than the one lock")
            .judges(&["000.5"])
            .measured("time with a lock in each object / under one lock, as in free-threading")
            .to_locked(COUNTED, ONE)
            .unlocked(AtLeast(2.0)),
    ],
    programs: &[Program::of::<TwoObjects>()],
};

const OPPOSITE: &str = "a lock in each object, opposite orders";
const ORDERED: &str = "a lock in each object, one order";
const ONE_LOCK: &str = "one lock";

/// Tries that do not wait for a time-out.
const MANY: &str = "tries=500";

const DEADLOCKS: &str = "deadlocks_count";
const TRIES: &str = "tries_count";

/// The program: see the [module documentation](self).
///
/// Two threads and two objects with a word each, and a lock for each object. A try: both threads
/// begin when all locks are free; each locks its first object, and waits until the other one has
/// its first or waits for it; then it locks the second, and moves one from the word of one object
/// to that of the other. A thread that has given up lets its first object go and does it all again,
/// without waiting for the other one. The threads move in opposite directions, so that the words
/// end as they began; the checksum is theirs.
///
/// Observed are `tries_count`, and `deadlocks_count`, of those in which a thread gave up.
pub struct TwoObjects;

/// What is locked, and in which order.
#[derive(Clone, Copy, Debug)]
enum Locking {
    /// The object that is taken from, then the one that is given to.
    Opposite,
    /// The object with the lower number first.
    Ordered,
    /// One lock for both.
    One,
}

/// The objects' words before anything is moved.
const FILLED: u64 = 1 << 32;

impl Workload for TwoObjects {
    const NAME: &'static str = "object-locks";
    const SUMMARY: &'static str = "threads that lock two objects: how often they deadlock";
    const OPERATION: &'static str = "try";
    const PARAMETERS: &'static [Parameter] = &[
        Parameter::sized("tries", [25, 20, 100])
            .range(1, 10_000_000)
            .doc("how often two threads lock both objects"),
        Parameter::fixed("locking", 0).range(0, 2).doc(
            "0: a lock in each object, taken in opposite orders; 1: in the order of their numbers; \
             2: one lock",
        ),
        Parameter::fixed("patience-us", 1_000)
            .range(1, 60_000_000)
            .doc("how long a thread waits before it looks whether it waits in vain, microseconds"),
    ];

    fn heap_bytes(_input: &Input) -> u64 {
        1 << 20
    }

    fn run<H: Heap>(heap: &H, input: &Input) -> Result<Outcome, HeapFull> {
        let tries = input.get("tries");
        let locking = match input.get("locking") {
            0 => Locking::Opposite,
            1 => Locking::Ordered,
            _ => Locking::One,
        };
        // One for each thread to take from; one thread alone needs another to give to.
        let objects = input.threads.max(2);
        let patience = Duration::from_micros(input.get("patience-us"));
        let locks = ObjectLocks::new(objects, input.threads, patience);
        let table = heap.attach(|m| {
            m.frame(|m, [table, object]| {
                m.alloc(table, Shape::new(objects as u32, 0))?;
                for number in 0..objects {
                    m.alloc_init(object, Flags::NONE, [], [FILLED])?;
                    set_field(m, table, number, m.get(object));
                }
                Ok(m.get(table).map(|table| m.global(table)))
            })
        })?;
        let table = table.expect("it was just made");
        let all_free = Barrier::new(input.threads);
        let deadlocked = on_threads(heap, input.threads, |m, thread| {
            let moving = Moving {
                locks: &locks,
                locking,
                thread,
                from: thread,
                to: (thread + 1) % objects,
            };
            m.frame(|m, [shared]| {
                m.set(shared, Some(m.open(&table)));
                let gave_up = (1..=tries).map(|number| {
                    m.blocking(|| all_free.wait());
                    moving.give_up_or_not(m, shared, number)
                });
                Ok(gave_up.collect::<Vec<bool>>())
            })
        })?;
        let words = heap.attach(|m| {
            let table = m.open(&table);
            let words =
                (0..objects).map(|number| m.load(table, number).map_or(0, |it| m.word(it, 0)));
            words.collect::<Vec<u64>>()
        });
        let is_deadlock = |number: &usize| deadlocked.iter().any(|gave_up| gave_up[*number]);
        let deadlocks = (0..tries as usize).filter(is_deadlock).count();
        Ok(Outcome::new(digest(words.into_iter().map(mix)), tries)
            .observing([(TRIES, tries), (DEADLOCKS, deadlocks as u64)]))
    }
}

/// A thread's part in every try.
struct Moving<'l> {
    locks: &'l ObjectLocks,
    locking: Locking,
    thread: usize,
    from: usize,
    to: usize,
}

impl Moving<'_> {
    /// Moves one in the try of this number, and says whether that needed more than one go.
    fn give_up_or_not<M: Mutator>(&self, m: &mut M, objects: M::Local<'_>, number: u64) -> bool {
        let mut is_first = Some(number);
        while self.go(m, objects, is_first).is_err() {
            is_first = None;
        }
        is_first.is_none()
    }

    /// `meeting`: the try in which the others are waited for.
    fn go<M: Mutator>(
        &self,
        m: &mut M,
        objects: M::Local<'_>,
        meeting: Option<u64>,
    ) -> Result<(), Deadlock> {
        let (from, to) = (self.from, self.to);
        let (first, second) = match self.locking {
            Locking::Opposite => (from, Some(to)),
            Locking::Ordered => (from.min(to), Some(from.max(to))),
            Locking::One => (0, None),
        };
        self.locks.lock(m, self.thread, first, meeting.is_some())?;
        if let Some(number) = meeting {
            self.locks.meet(m, number);
        }
        if let Some(second) = second {
            let got = self.locks.lock(m, self.thread, second, false);
            got.inspect_err(|_| self.locks.unlock(first))?;
        }
        for (number, change) in [(from, u64::MAX), (to, 1)] {
            if let Some(object) = field(m, objects, number) {
                m.set_word(object, 0, m.word(object, 0).wrapping_add(change));
            }
        }
        second
            .into_iter()
            .for_each(|second| self.locks.unlock(second));
        self.locks.unlock(first);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trial::{RC, Trial};

    #[test]
    fn the_price_of_a_lock_in_each_object_follows_the_times() {
        let mut trial = Trial::of("object-lock");
        let locked = &["gc-rc:regime=object-lock"];
        let mut plant = |heaps: &[&str], time| {
            for kind in ["allocated_ns", "local_ns", "stored_ns"] {
                trial.observed(ONE, heaps, kind, time);
            }
            trial.clone()
        };
        plant(RC, 1_000);
        plant(locked, 4_000).holds([3]);
        plant(locked, 1_300).fails([3]);
    }

    /// What deadlocks is decided by the order of locks, at any size and however busy the machine
    /// is.
    #[test]
    fn opposite_orders_always_deadlock_and_others_never() {
        let mut trial = Trial::of("object-lock");
        let is_own = |row: &&crate::invocation::Row| row.invocation.workload == TwoObjects::NAME;
        for row in trial.rows().iter().filter(is_own) {
            let seen = &row.metrics.as_ref().unwrap().observations;
            let all = match row.invocation.parameters["locking"] {
                0 => seen[TRIES],
                _ => 0,
            };
            assert_eq!(seen[DEADLOCKS], all, "{row:?}");
        }
        trial.holds([0, 2]);
        trial.fails([1]);
        // Locks that are granted to two, an order that is none, and one lock that is two.
        trial.observed(OPPOSITE, BOTH, DEADLOCKS, 0);
        trial.observed(ORDERED, BOTH, DEADLOCKS, 500);
        trial.observed(ONE_LOCK, BOTH, DEADLOCKS, 500);
        trial.fails([0, 2]);
        trial.holds([1]);
    }
}
