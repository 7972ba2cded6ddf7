//! Epochs: when nobody can hold a reference any more that was read before some moment.
//!
//! A mutator may read a field and count nothing; what it read is good until its next `&mut`
//! operation. So each `&mut` operation is a *quiescent point*: the mutator holds no such reference
//! there. A *grace period* is a time in which every mutator has passed one; what was cut off before
//! it began nobody holds when it ends.
//!
//! The heap has an epoch, a number that goes up; each mutator *announces* the epoch that it found
//! at a quiescent point, or that it is *absent* (in a blocking region). The epoch goes from *e* to
//! *e* + 1 only when every mutator that is there has announced *e* (Fraser 2004). Announcing costs
//! a fence, and is done only where the epoch has moved; so a mutator that has nothing to reclaim,
//! and is alone in that, never does.
//!
//! # Stamps
//!
//! Every object has a **stamp**: the epoch in which it last lost a reference, as the one who took
//! it away read it between cutting the reference off and lowering the count. If [`AGE`] epochs have
//! begun since, nobody holds a reference that was read from where it was cut off, however many
//! others the object has. So when a dead object gives up its children, a child whose last reference
//! that was dies with it, at once, if its stamp is old: whatever else once referred to it was cut
//! off a grace period ago, and the dead object has been out of reach for as long. A chain of deaths
//! takes one grace period, however long it is.
//!
//! CIRC (Jung and others, PLDI 2024) has stamps in the links and in the objects; a stamp in the
//! object is enough here, because a moved reference keeps its count, and a parent is only ever
//! taken apart when it is out of everybody's reach.
//!
//! # Why three epochs
//!
//! Let a reference be cut off in epoch *c*. A stamp is written before the count is lowered, so that
//! whoever sees the count sees the stamp, or a later one; but two that write at the same time can
//! leave the earlier of their stamps. Both are in operations, so that the epoch cannot have moved
//! by more than one: the stamp is at least *c* - 1. When the epoch is *n*, all mutators that are
//! there have announced *n* - 1 or later. With *n* >= stamp + 3 that is *c* + 1 at least, an epoch
//! that began after the reference was cut off.
//!
//! # Dekker
//!
//! Announcing and cutting off race: a mutator announces, then reads fields; another changes a
//! field, then reads the epoch for the stamp, and later who has announced what. Between the two of
//! each nothing may be reordered: the announcing side has a fence, the other uses sequentially
//! consistent accesses (a field is changed by an exchange, which is a fence on the processors that
//! we know).
//!
//! A mutator that is [single](super::single) writes no stamps: nobody else could hold what it cuts
//! off.
//!
//! Rejected: `crossbeam-epoch`, which this was to be built on. What it defers are closures in bags
//! that it allocates, and it aborts where there is no memory for one; here a path without memory
//! does not abort. What it would have been used for is to tell whether a grace period is over, and
//! that is this file. It also cannot tell the age of a stamp, so that a chain of deaths would take
//! a period for each.

use crate::primitive::{AtomicU64, Ordering, fence};

/// Epochs after which a stamp is old.
pub(crate) const AGE: u32 = 3;

/// What a mutator announces that is in a blocking region.
const ABSENT: u64 = u64::MAX;

/// The epoch of a heap, in a cache line of its own: everybody reads it, and it seldom changes.
#[repr(align(128))]
pub(crate) struct Epoch(AtomicU64);

/// What a mutator has announced.
pub(crate) struct Seen(AtomicU64);

impl Seen {
    /// Of a mutator that is absent.
    pub(crate) fn absent() -> Self {
        Self(AtomicU64::new(ABSENT))
    }

    /// The mutator holds no references, and will read none before it announces again.
    pub(crate) fn leave(&self) {
        // Release: what it has read and written is done before anybody counts it out.
        self.0.store(ABSENT, Ordering::Release);
    }

    /// In a stopped world, where every mutator is at a quiescent point.
    pub(crate) fn renew(&self, epoch: &Epoch) {
        if self.0.load(Ordering::Relaxed) != ABSENT {
            self.0.store(epoch.now(), Ordering::Relaxed);
        }
    }
}

impl Epoch {
    pub(crate) fn new() -> Self {
        // So that the stamps of new objects are old.
        Self(AtomicU64::new(u64::from(AGE)))
    }

    /// The epoch. After a reference was cut off by a sequentially consistent exchange, this is one
    /// that had begun by then.
    #[inline(always)]
    pub(crate) fn now(&self) -> u64 {
        // Loom takes sequentially consistent accesses for weaker ones; it knows fences.
        #[cfg(loom)]
        fence(Ordering::SeqCst);
        self.0.load(Ordering::SeqCst)
    }

    /// How many have begun since the heap was made.
    pub(crate) fn begun(&self) -> u64 {
        self.0.load(Ordering::Relaxed) - u64::from(AGE)
    }

    /// A stamp of now.
    #[inline(always)]
    pub(crate) fn stamp(&self) -> u32 {
        self.now() as u32
    }

    /// A stamp of now, for an object that the caller has locked: at least the epoch that it has
    /// announced, and what was read here under the same lock before.
    #[inline(always)]
    pub(crate) fn stamp_under_lock(&self) -> u32 {
        self.0.load(Ordering::Relaxed) as u32
    }

    /// A stamp that is old, and stays so for a long time.
    #[inline(always)]
    pub(crate) fn old_stamp(&self) -> u32 {
        (self.0.load(Ordering::Relaxed) as u32).wrapping_sub(AGE)
    }

    /// Whether a stamp is not old. One that was written some four thousand million epochs ago may
    /// seem to be young: that costs a grace period.
    #[inline(always)]
    pub(crate) fn is_young(&self, stamp: u32) -> bool {
        (self.now() as u32).wrapping_sub(stamp) < AGE
    }

    /// Whether there is an epoch to be announced.
    #[inline(always)]
    pub(crate) fn has_moved(&self, seen: &Seen) -> bool {
        self.0.load(Ordering::Relaxed) != seen.0.load(Ordering::Relaxed)
    }

    /// The mutator is at a quiescent point, or comes from where it was absent.
    #[inline]
    pub(crate) fn announce(&self, seen: &Seen) {
        let now = self.0.load(Ordering::Acquire);
        if seen.0.load(Ordering::Relaxed) != now {
            // Release: as for `leave`.
            seen.0.store(now, Ordering::Release);
            fence(Ordering::SeqCst);
        }
    }

    /// Begins the next epoch if every mutator of those that `each` calls its argument with has
    /// announced this one or is absent. Returns whether another has begun, by this or otherwise.
    pub(crate) fn advance(&self, each: impl FnOnce(&mut dyn FnMut(&Seen))) -> bool {
        let now = self.0.load(Ordering::SeqCst);
        fence(Ordering::SeqCst);
        let mut all = true;
        each(&mut |seen| {
            // Acquire: what they did before is done.
            let seen = seen.0.load(Ordering::Acquire);
            all &= seen == now || seen == ABSENT;
        });
        all && {
            // Acquire and release: whoever finds the epoch knows what all have done before.
            let _ = (self.0).compare_exchange(now, now + 1, Ordering::SeqCst, Ordering::Relaxed);
            true
        }
    }

    /// In a stopped world, or at a quiescent point of the only mutator: that is a grace period.
    pub(crate) fn skip(&self) {
        self.0.fetch_add(u64::from(AGE), Ordering::SeqCst);
    }
}
