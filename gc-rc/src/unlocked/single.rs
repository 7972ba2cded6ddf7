//! A heap with one mutator: what only other mutators would need is left out.
//!
//! Many programs have one thread, and most begin with one. While a mutator is the only one that is
//! attached it is *single*: it changes counts and fields by a load and a store, where else it takes
//! an exchange (what is rare, such as a merge, is as ever); it writes no stamps; and it waits for
//! nobody's grace period, as each of its quiescent points is one. (The GNU C library leaves out its
//! locks so while a process has one thread, and CPython 3.13 made objects immortal when the second
//! began.) What is left of counting without the lock is what an object looks like: the two words of
//! its count.
//!
//! # Invariants
//!
//! 1. A seat is single only if nobody else is registered with the handshake, or whoever else is has
//!    not come past [`Mutator::end_single`] yet, with which every mutator begins.
//! 2. If a seat is single, [`Single::is_one`] says that one may be.
//!
//! # How it begins and ends
//!
//! It begins under the lock of the handshake, which attaching takes: if one mutator is registered
//! then, whoever comes later finds that there is one that takes itself to be single. It ends in a
//! stopped world, which the newcomer makes before it does anything else, or with the single
//! mutator's own end. So there is no protocol between threads that run: a mutator reads a cell of
//! its own, and what it did while it was single happens before all that the newcomer does.
//!
//! A mutator in a blocking region is registered: who is single stays so while it is away, and who
//! has neighbours that are away is not. When the last neighbour goes a bit of the poll word has the
//! one that is left look at its next safepoint.
//!
//! # Stamps
//!
//! A stamp says since when nobody can hold what was cut off. While a mutator is single nobody else
//! holds anything, so that it need write none; and when that ends everybody is at a quiescent point
//! or has read nothing yet. A stamp from before may be younger than it need be: that costs a wait.
//!
//! # What it may cost
//!
//! A stop for a thread that attaches while another is single. Threads that come and go would stop
//! the one that stays again and again: so nobody is single again within [`REST`] of when one ceased
//! to be. To attach is to wait for the safepoint of a mutator that is single, as it is to wait for
//! the lock in a heap that has one.
//!
//! Rejected: HotSpot's biased locks, which ended one object at a time (each needed a stop, and in
//! the end they were taken out, JEP 374); to ask whether the *process* has one thread, as the C
//! library does (a harness, a runtime and a test have others that never attach).

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicU64};

use crate::heap::Locked;
use crate::mutator::Mutator;
use crate::regime::Unlocked;
use crate::unlocked::{Commons, Counting, Seat};

/// Poll bit: a mutator may have become the only one.
pub(crate) const LOOK: u32 = 64;

/// Nanoseconds after which a mutator may be single again: a stop takes less than a hundredth.
const REST: u64 = 1_000_000;

/// What a heap knows of its single mutator.
pub(crate) struct Single {
    /// Whether there is ever one.
    wanted: bool,
    /// There may be one. Becomes true under the lock of the handshake only.
    is_one: AtomicBool,
    /// Until when there is to be none, by the heap's clock.
    rests_until: AtomicU64,
}

impl Single {
    pub(super) fn new(wanted: bool) -> Self {
        Self {
            wanted,
            is_one: AtomicBool::new(false),
            rests_until: AtomicU64::new(0),
        }
    }

    fn is_one(&self) -> bool {
        // Acquire: what a mutator did that was single and has gone is done.
        self.is_one.load(Acquire)
    }
}

impl Commons {
    /// Nobody is single any more, in a stopped world of several mutators.
    pub(super) fn end_single(&self, _: Locked<'_>, each: impl FnOnce(&mut dyn FnMut(&Seat))) {
        if self.single.is_one() {
            each(&mut |seat| seat.single.set(false));
            self.single.is_one.store(false, Relaxed);
            let rests_until = self.clock.now() + REST;
            self.single.rests_until.store(rests_until, Relaxed);
        }
    }
}

#[expect(
    private_bounds,
    reason = "it is for operations of regimes, which are bound so"
)]
impl<R: Counting> Mutator<'_, R> {
    /// Whether no other mutator runs, or has references, until this one comes to a safepoint.
    #[inline(always)]
    pub(super) fn is_single(&self) -> bool {
        R::MAY_BE_SINGLE && self.own.single.get()
    }
}

impl<R: Unlocked> Mutator<'_, R> {
    /// Newly attached: has whoever is single cease to be, before this mutator does anything else.
    pub(super) fn end_single(&self) {
        if R::MAY_BE_SINGLE && self.inner.single.is_one() {
            let is_one = || self.inner.single.is_one();
            // Not wanted any more: somebody else's stop ended it, or the mutator has gone.
            let _ = self.stop_while(false, false, is_one, |_| ());
        }
    }

    /// Begins to be single, if there is no other mutator, or looks again at the next safepoint, if
    /// it is too soon. This one is at a quiescent point.
    pub(super) fn begin_single(&self) {
        let single = &self.inner.single;
        if !R::MAY_BE_SINGLE || !single.wanted {
            return;
        }
        let poll = &self.inner.base.mailbox.poll;
        if self.inner.clock.now() < single.rests_until.load(Relaxed) {
            if poll.load(Relaxed) & LOOK == 0 {
                poll.fetch_or(LOOK, Relaxed);
            }
            return;
        }
        // Also by who is single: somebody may have asked who left before it came.
        poll.fetch_and(!LOOK, Relaxed);
        let begin = || single.is_one.store(true, Relaxed);
        if self.inner.handshake.if_alone(begin).is_some() {
            self.own.single.set(true);
        }
    }

    /// The mutator, which is about to detach, is single no more.
    pub(super) fn cease_to_be_single(&self) {
        if self.own.single.take() {
            // Release: who finds that nobody is single finds what this one has done.
            self.inner.single.is_one.store(false, Release);
        }
    }

    /// Has the mutator that is left, if there is one, find out that it is: this one has detached.
    pub(super) fn leave_single(&self) {
        if R::MAY_BE_SINGLE && self.inner.single.wanted {
            let ask = || self.inner.base.mailbox.poll.fetch_or(LOOK, Relaxed);
            let _ = self.inner.handshake.if_alone(ask);
        }
    }
}
