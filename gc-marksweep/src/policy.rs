//! When to collect, how much of the heap to look at, and how large the heap may be.
//!
//! # Generations
//!
//! With generations, a collection is due whenever a *nursery*'s worth of memory has been handed
//! out. It is a minor one, which looks at what is new only, as long as the minors leave enough free
//! memory; else the next is a major one. (There is no nursery in memory: nothing moves.)
//!
//! Minor collections pay where most objects die young. Where they do not, each marks nearly all
//! that is new, looks through what is remembered, and frees little: on a table of a million live
//! nodes whose entries are replaced at random they double the time. [`Generations::Auto`] compares
//! what both ways cost for each byte that they free:
//!
//! - minors: their time since the last major collection, over the bytes they have freed, both
//!   decaying;
//! - majors: the time of the last one, over the bytes that were available after it.
//!
//! If minors are dearer, the next collection is a major one, which does not arm the write barrier,
//! and so are those that follow. Major collections then count what survives of the new objects (an
//! object's mark byte tells, before it is overwritten, whether the last collection had marked it),
//! which costs nothing. When minors that mark so much would be clearly cheaper than majors, the
//! next major arms the barrier; if they lose all the same, twice as many majors as last time must
//! pass before the next try. A heap begins in this way too, with an early major collection:
//! programs often begin by building what stays.
//!
//! Rejected: deciding by survival alone (it does not see the remembered set, which was most of the
//! cost above); trying minors every so many majors (a try in vain costs a minor that takes as long
//! as a major).
//!
//! # Heap size
//!
//! The *goal* is what may be occupied before a collection is due, at most the limit; it is set
//! after each major collection (see [`Sizing`]). `HeapFull` is decided by the limit alone: when a
//! collection does not get an object below the goal, the goal gives way.

use std::sync::{Mutex, MutexGuard};

use crate::process::is_held;
use crate::supply::BLOCK_CHARGE;

/// Whether there are minor collections, which look at new objects only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Generations {
    /// Every collection looks at the whole heap, and stores are not remembered.
    Off,
    /// Minor collections, with a major one when they leave too little free memory.
    On,
    /// Minor collections while they are cheaper than major ones, for each byte freed.
    #[default]
    Auto,
}

/// How much memory the heap occupies before it collects.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Sizing {
    /// Up to the limit: for comparisons at equal memory.
    #[default]
    Fixed,
    /// As much as is live, times this less 1, may be allocated before a collection; more than 1. (2
    /// is Go's default.)
    Multiplier(f64),
    /// sqrt(L g / (c s)) may be allocated before a collection, L being what is live, g and s the
    /// rates of allocation and of collection: the sizes for which several heaps with one memory to
    /// share spend the least time in all (Kirisame, Shenoy and Panchekha, OOPSLA 2022). The value
    /// is c, in 1/MiB, above 0: the larger, the smaller the heap. MMTk's default is 0.2.
    MemBalancer(f64),
}

/// How much of the heap a collection looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    /// What has been allocated since the last collection: a minor collection.
    Young,
    /// Everything: a major collection.
    Whole,
}

/// The least that may be allocated between major collections, so that a nearly empty heap does not
/// collect all the time.
const MINIMUM_HEADROOM: usize = 4 << 20;
/// By how much minor collections must promise to be cheaper, for each byte freed, to be tried.
const WORTH_TRYING: f64 = 2.0;
/// The most major collections between two tries.
const LONGEST_REST: u32 = 64;
/// Under stress every allocation collects; every so manyth of these collections is a major one.
const STRESS_MAJOR: u64 = 16;

/// What the next collection is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) extent: Extent,
    /// Whether it makes the objects that it marks log. A minor collection always does: whatever is
    /// to follow, what it marks is old from now on, among objects that log.
    pub(crate) arm: bool,
}

/// What a collection did and found.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Measured {
    pub(crate) plan: Plan,
    /// How long it took, and how long ago the last one was over, in nanoseconds.
    pub(crate) nanoseconds: u64,
    pub(crate) since: u64,
    /// Bytes that had been handed out since the last collection.
    pub(crate) handed_out: usize,
    /// Bytes of objects that it marked and the last one had not.
    pub(crate) survived: usize,
    /// Bytes of live objects.
    pub(crate) live: usize,
    /// Bytes counted against the limit.
    pub(crate) occupied: usize,
    /// Bytes that can be handed out and are part of `occupied`.
    pub(crate) holes: usize,
}

impl Measured {
    /// Bytes that can be handed out before `goal` is reached.
    fn available(&self, goal: usize) -> usize {
        goal.saturating_sub(self.occupied) + self.holes
    }
}

/// What follows from it, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Settings {
    /// What may be handed out before the next collection.
    pub(crate) allowance: usize,
    /// What may be occupied before the next collection.
    pub(crate) goal: usize,
}

/// The policy of one heap. Consulted by the collector only.
pub(crate) struct Policy {
    generations: Generations,
    sizing: Sizing,
    nursery: usize,
    limit: usize,
    stress: bool,
    state: Mutex<State>,
}

struct State {
    next: Extent,
    /// Whether old objects log, so that a minor collection is possible.
    armed: bool,
    /// Whether the next major collection is to arm.
    arm: bool,
    collections: u64,
    goal: usize,
    settings: Settings,
    nursery: usize,
    available: usize,
    /// Of the last major collection: how long it took, and what was available after it.
    major: Option<(u64, usize)>,
    minors: Minors,
    /// Major collections to go before minors are tried again, and how many there are to be after
    /// the next try in vain.
    rest: u32,
    next_rest: u32,
    rates: Rates,
}

/// The minor collections since the last major one: how long they took and what they freed, in
/// bytes, the latest weighing most.
#[derive(Clone, Copy, Default)]
struct Minors {
    count: u32,
    nanoseconds: f64,
    freed: f64,
}

impl Minors {
    /// How much of the past stays when another one is noted. A program that changes its ways is
    /// followed within a few collections.
    const PAST: f64 = 0.75;

    fn note(&mut self, nanoseconds: u64, freed: isize) {
        self.count += 1;
        self.nanoseconds = self.nanoseconds * Self::PAST + nanoseconds as f64;
        self.freed = self.freed * Self::PAST + freed as f64;
    }
}

impl Policy {
    pub(crate) fn new(
        generations: Generations,
        sizing: Sizing,
        nursery: usize,
        limit: usize,
        stress: bool,
    ) -> Self {
        let goal = match sizing {
            Sizing::Fixed => limit,
            _ => limit.min(MINIMUM_HEADROOM),
        };
        Self {
            generations,
            sizing,
            nursery,
            limit,
            stress,
            state: Mutex::new(State {
                next: Extent::Whole,
                armed: false,
                arm: generations == Generations::On,
                collections: 0,
                goal,
                settings: Settings {
                    allowance: match generations {
                        Generations::Off => usize::MAX,
                        _ => nursery,
                    },
                    goal,
                },
                nursery,
                available: goal,
                major: None,
                minors: Minors::default(),
                rest: 0,
                next_rest: 4,
                rates: Rates::default(),
            }),
        }
    }

    /// After a fork: whether a thread that is not there holds the lock.
    pub(crate) fn is_held(&self) -> bool {
        is_held(&self.state)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state
            .lock()
            .expect("no code that panics runs under this lock")
    }

    /// What follows from the last collection, or before the first one from the configuration.
    pub(crate) fn settings(&self) -> Settings {
        self.lock().settings
    }

    /// Whether minor collections are possible.
    pub(crate) fn is_armed(&self) -> bool {
        self.lock().armed
    }

    /// What a collection is to be of which at least `wanted` is asked for.
    pub(crate) fn plan(&self, wanted: Extent) -> Plan {
        let state = self.lock();
        let minor = wanted == Extent::Young && state.next == Extent::Young && state.armed;
        Plan {
            extent: if minor { Extent::Young } else { Extent::Whole },
            arm: minor || state.arm,
        }
    }

    /// Takes note of a collection.
    pub(crate) fn finish(&self, measured: Measured) -> Settings {
        let mut state = self.lock();
        let state = &mut *state;
        state.collections += 1;
        match measured.plan.extent {
            Extent::Whole => self.finish_major(state, measured),
            Extent::Young => self.finish_minor(state, measured),
        }
        state.available = measured.available(state.goal);
        if self.stress && state.armed {
            state.next = match state.collections % STRESS_MAJOR {
                0 => Extent::Whole,
                _ => Extent::Young,
            };
        }
        // A nursery's worth before a minor collection, and before the major one that makes them
        // possible. Else what is left is used up.
        let soon = match state.armed {
            true => state.next == Extent::Young,
            false => state.arm,
        };
        let allowance = if soon { state.nursery } else { usize::MAX };
        state.settings = Settings {
            allowance,
            goal: state.goal,
        };
        state.settings
    }

    fn finish_major(&self, state: &mut State, measured: Measured) {
        let Measured {
            plan, nanoseconds, ..
        } = measured;
        state.rates.note(&measured);
        state.goal = self.goal(&state.rates, &measured);
        let available = measured.available(state.goal);
        state.nursery = self.nursery.min(available / 2).max(BLOCK_CHARGE);
        state.major = Some((nanoseconds, available));
        state.armed = plan.arm;
        state.next = if plan.arm {
            Extent::Young
        } else {
            Extent::Whole
        };
        if self.generations == Generations::Auto {
            if plan.arm {
                if state.minors.count > 0 {
                    // A whole round of minors has paid.
                    state.next_rest = 4;
                }
            } else {
                state.rest = state.rest.saturating_sub(1);
                let minor = measured.survived as f64 / measured.handed_out.max(1) as f64;
                let major = measured.live as f64 / available.max(1) as f64;
                state.arm = state.rest == 0 && minor * WORTH_TRYING < major;
            }
        }
        state.minors = Minors::default();
    }

    fn finish_minor(&self, state: &mut State, measured: Measured) {
        let before = state.available as isize - measured.handed_out as isize;
        let available = measured.available(state.goal);
        state
            .minors
            .note(measured.nanoseconds, available as isize - before);
        if available < state.nursery {
            state.next = Extent::Whole;
        }
        if self.generations == Generations::Auto && state.minors_lose() {
            state.next = Extent::Whole;
            state.arm = false;
            state.rest = state.next_rest;
            state.next_rest = (2 * state.next_rest).min(LONGEST_REST);
        }
    }

    /// The goal after a major collection.
    fn goal(&self, rates: &Rates, measured: &Measured) -> usize {
        let live = measured.live as f64;
        let headroom = match self.sizing {
            Sizing::Fixed => return self.limit,
            Sizing::Multiplier(factor) => live * (factor - 1.0),
            Sizing::MemBalancer(factor) => rates.extra(live, factor),
        };
        // Saturates: a factor may ask for more than there are addresses. One that is no number asks
        // for nothing.
        let headroom = (headroom as usize).max(MINIMUM_HEADROOM);
        // Holes are part of it. But what comes next may be too large for them.
        let beyond = headroom.saturating_sub(measured.holes).max(headroom / 4);
        measured.occupied.saturating_add(beyond).min(self.limit)
    }
}

impl State {
    /// Whether minor collections have cost more for each byte they freed than the last major one. A
    /// single one is believed only if it has lost clearly.
    fn minors_lose(&self) -> bool {
        let Some((major, available)) = self.major else {
            return false;
        };
        let Minors {
            count,
            nanoseconds,
            freed,
        } = self.minors;
        let margin = if count == 1 { 1.5 } else { 1.0 };
        freed <= 0.0 || nanoseconds * available as f64 > margin * major as f64 * freed
    }
}

/// Smoothed rates of allocation and of collection, in bytes and nanoseconds.
#[derive(Default)]
struct Rates {
    allocated: Smoothed,
    allocating: Smoothed,
    collected: Smoothed,
    collecting: Smoothed,
}

impl Rates {
    /// How much of the past there is in a smoothed value: MMTk's factors.
    const ALLOCATION: f64 = 0.95;
    const COLLECTION: f64 = 0.5;

    fn note(&mut self, measured: &Measured) {
        self.allocated.note(measured.handed_out, Self::ALLOCATION);
        (self.allocating).note(measured.since as usize, Self::ALLOCATION);
        self.collected.note(measured.live, Self::COLLECTION);
        (self.collecting).note(measured.nanoseconds as usize, Self::COLLECTION);
    }

    /// What MemBalancer allows above `live`: sqrt(L g / (c s)), all in MiB.
    fn extra(&self, live: f64, factor: f64) -> f64 {
        const MIB: f64 = (1 << 20) as f64;
        let allocation =
            self.allocated.0.unwrap_or(0.0) / self.allocating.0.unwrap_or(1.0).max(1.0);
        let collection =
            self.collected.0.unwrap_or(0.0) / self.collecting.0.unwrap_or(1.0).max(1.0);
        if collection == 0.0 {
            return 0.0;
        }
        (live / MIB * allocation / (factor * collection)).sqrt() * MIB
    }
}

#[derive(Default)]
struct Smoothed(Option<f64>);

impl Smoothed {
    fn note(&mut self, value: usize, past: f64) {
        let value = value as f64;
        self.0 = Some(
            self.0
                .map_or(value, |old| old * past + value * (1.0 - past)),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1 << 20;

    fn policy(generations: Generations) -> Policy {
        Policy::new(generations, Sizing::Fixed, 8 * MIB, 64 * MIB, false)
    }

    fn measured(plan: Plan, milliseconds: u64, available: usize, survived: usize) -> Measured {
        Measured {
            plan,
            nanoseconds: milliseconds * 1_000_000,
            since: 10_000_000,
            handed_out: 8 * MIB,
            survived,
            live: 64 * MIB - available,
            occupied: 64 * MIB - available,
            holes: 0,
        }
    }

    /// Carries out what the policy plans, with what a minor or a major collection leaves available.
    fn step(policy: &Policy, minor: (u64, usize), major: (u64, usize), survived: usize) -> Plan {
        let plan = policy.plan(Extent::Young);
        let (milliseconds, available) = match plan.extent {
            Extent::Young => minor,
            Extent::Whole => major,
        };
        policy.finish(measured(plan, milliseconds, available, survived));
        plan
    }

    #[test]
    fn without_generations_all_collections_are_major_and_arm_nothing() {
        let policy = policy(Generations::Off);
        assert_eq!(policy.settings().allowance, usize::MAX);
        for _ in 0..3 {
            let plan = step(&policy, (0, 0), (10, 32 * MIB), 0);
            assert_eq!((plan.extent, plan.arm), (Extent::Whole, false));
        }
    }

    #[test]
    fn the_first_collection_is_major_and_a_major_follows_when_minors_leave_too_little() {
        let policy = policy(Generations::On);
        let mut extents = Vec::new();
        for available in [32, 28, 20, 7, 30, 28] {
            let plan = step(&policy, (1, available * MIB), (10, available * MIB), 0);
            assert!(plan.arm);
            extents.push(plan.extent);
        }
        use Extent::{Whole, Young};
        assert_eq!(extents, [Whole, Young, Young, Young, Whole, Young]);
    }

    /// Also under stress, which does not ask whether minor collections pay.
    #[test]
    fn every_minor_collection_arms() {
        let policy = Policy::new(Generations::Auto, Sizing::Fixed, MIB, 64 * MIB, true);
        for round in 0..1000 {
            let available = if round % 100 < 50 { 32 } else { 26 };
            let plan = step(&policy, (10, available * MIB), (10, 32 * MIB), 0);
            assert!(plan.arm || plan.extent == Extent::Whole, "in round {round}");
        }
    }

    #[test]
    fn a_request_for_the_whole_heap_is_granted() {
        let policy = policy(Generations::On);
        step(&policy, (1, 32 * MIB), (10, 32 * MIB), 0);
        assert_eq!(policy.plan(Extent::Young).extent, Extent::Young);
        assert_eq!(policy.plan(Extent::Whole).extent, Extent::Whole);
    }

    /// A minor that takes as long as a major and frees a twentieth; then one that is nearly free.
    #[test]
    fn auto_gives_minors_up_where_they_lose_and_takes_them_up_again() {
        let policy = policy(Generations::Auto);
        let losing = || step(&policy, (10, 26 * MIB), (10, 32 * MIB), 7 * MIB);
        let winning = || step(&policy, (1, 32 * MIB), (10, 32 * MIB), 0);
        for _ in 0..2 {
            for arm in [false, true] {
                let plan = winning();
                assert_eq!((plan.extent, plan.arm), (Extent::Whole, arm));
            }
            for _ in 0..100 {
                assert_eq!(winning().extent, Extent::Young);
            }
            let minors = std::iter::from_fn(|| Some(losing()));
            let minors = minors.take_while(|plan| plan.extent == Extent::Young);
            assert!((1..6).contains(&minors.count()));
            for _ in 0..100 {
                let plan = losing();
                assert_eq!((plan.extent, plan.arm), (Extent::Whole, false));
            }
        }
    }

    #[test]
    fn a_try_in_vain_doubles_the_rest() {
        let policy = policy(Generations::Auto);
        let mut rests = Vec::new();
        let mut rest = 0;
        while rests.len() < 7 {
            // Few survive, and yet minors lose: a large remembered set.
            match step(&policy, (20, 31 * MIB), (10, 32 * MIB), 0).extent {
                Extent::Whole => rest += 1,
                Extent::Young => rests.push(std::mem::take(&mut rest)),
            }
        }
        // The collection that arms is one of them.
        assert_eq!(rests, [2, 5, 9, 17, 33, 65, 65]);
    }

    #[test]
    fn the_goal_follows_what_is_live() {
        let goal = |sizing| {
            let policy = Policy::new(Generations::Off, sizing, MIB, 1 << 30, false);
            let plan = policy.plan(Extent::Young);
            let found = Measured {
                live: 100 * MIB,
                occupied: 110 * MIB,
                holes: 6 * MIB,
                ..measured(plan, 10, 32 * MIB, 0)
            };
            policy.finish(found).goal
        };
        assert_eq!(goal(Sizing::Fixed), 1 << 30);
        // Of the 110 MiB that are occupied 6 are holes, which are filled first.
        assert_eq!(goal(Sizing::Multiplier(2.0)), (110 + 94) * MIB);
        // A headroom that holes alone could fill still has a quarter beyond them.
        assert_eq!(goal(Sizing::Multiplier(1.05)), 110 * MIB + 5 * MIB / 4);
        assert_eq!(goal(Sizing::Multiplier(1.01)), 111 * MIB);
        // 8 MiB in 10 ms are allocated and 100 MiB in 10 ms collected: sqrt(100 x 0.8 / (0.2 x 10))
        // = 6.32 MiB. With a factor a hundred times smaller 63.2 MiB.
        let beyond = |factor| goal(Sizing::MemBalancer(factor)) - 110 * MIB;
        assert!((3 * MIB / 2..2 * MIB).contains(&beyond(0.2)));
        assert!((57 * MIB..58 * MIB).contains(&beyond(0.002)));
    }
}
