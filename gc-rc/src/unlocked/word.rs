//! The head of an object that several threads change at once: its count, and what its tag says.
//!
//! Count and tag are one word ([`crate::object`]), so that what depends on both is decided by one
//! read-modify-write, and by its result, never by a load before or after it:
//!
//! * A release that takes the last reference away sets `QUEUED` in the same exchange. It is the one
//!   that retires the object, unless the bit was set: then the object is on some list, and whoever
//!   looks at that will find the count.
//! * Increments from zero are legal until the object is looked at, a grace period later
//!   ([`super::epoch`]). The look takes `QUEUED` back by an exchange that fails if the count has
//!   changed, never by a store, which would undo an increment in between.
//!
//! The bits of [`edges`] are set once in an object's life, and with them the test for what may
//! close a cycle ([`crate::cycle::filter`]) is one of Dekker's kind: each of two stores notes what
//! it does, then looks for what the other has noted. What lies between the two is the exchange that
//! stores the reference: it is sequentially consistent, as all of these accesses are, and a fence
//! on the processors that we know.
//!
//! Rejected: a subtraction and, where that found the last reference, a second operation that sets
//! `QUEUED`. It is right too (who subtracts has not passed its next quiescent point, so the object
//! stays), but takes two operations for a death, and an argument.

use crate::object::{ONE, SATURATED, edges, tag};
use crate::primitive::Ordering::{self, AcqRel, Acquire, Relaxed, Release, SeqCst};

/// The atomic word that a head is: the standard library's, which can be made of memory, or loom's.
pub(crate) trait Word {
    fn load(&self, order: Ordering) -> u64;
    fn store(&self, value: u64, order: Ordering);
    fn exchange(&self, current: u64, new: u64, order: Ordering) -> Result<u64, u64>;
    fn add(&self, value: u64, order: Ordering) -> u64;
    fn insert(&self, bits: u64, order: Ordering) -> u64;
    fn remove(&self, bits: u64, order: Ordering) -> u64;
}

macro_rules! word {
    ($($atomic:tt)+) => {
        impl Word for $($atomic)+ {
            #[inline(always)]
            fn load(&self, order: Ordering) -> u64 {
                self.load(order)
            }

            #[inline(always)]
            fn store(&self, value: u64, order: Ordering) {
                self.store(value, order);
            }

            #[inline(always)]
            fn exchange(&self, current: u64, new: u64, order: Ordering) -> Result<u64, u64> {
                self.compare_exchange_weak(current, new, order, Relaxed)
            }

            #[inline(always)]
            fn add(&self, value: u64, order: Ordering) -> u64 {
                self.fetch_add(value, order)
            }

            #[inline(always)]
            fn insert(&self, bits: u64, order: Ordering) -> u64 {
                self.fetch_or(bits, order)
            }

            #[inline(always)]
            fn remove(&self, bits: u64, order: Ordering) -> u64 {
                self.fetch_and(!bits, order)
            }
        }
    };
}
#[cfg(not(loom))]
word!(std::sync::atomic::AtomicU64);
#[cfg(loom)]
word!(loom::sync::atomic::AtomicU64);
#[cfg(loom)]
impl Word for std::sync::atomic::AtomicU64 {
    fn load(&self, order: Ordering) -> u64 {
        self.load(order)
    }

    fn store(&self, value: u64, order: Ordering) {
        self.store(value, order);
    }

    fn exchange(&self, current: u64, new: u64, order: Ordering) -> Result<u64, u64> {
        self.compare_exchange(current, new, order, Relaxed)
    }

    fn add(&self, value: u64, order: Ordering) -> u64 {
        self.fetch_add(value, order)
    }

    fn insert(&self, bits: u64, order: Ordering) -> u64 {
        self.fetch_or(bits, order)
    }

    fn remove(&self, bits: u64, order: Ordering) -> u64 {
        self.fetch_and(!bits, order)
    }
}

/// A head that no other thread has to do with now: each change of it is a load and a store.
#[repr(transparent)]
pub(super) struct Unshared(std::sync::atomic::AtomicU64);

impl Unshared {
    #[inline(always)]
    pub(super) fn of(head: &std::sync::atomic::AtomicU64) -> &Self {
        // SAFETY: this is transparent.
        unsafe { &*std::ptr::from_ref(head).cast() }
    }

    #[inline(always)]
    fn change(&self, by: impl FnOnce(u64) -> u64) -> u64 {
        let before = self.0.load(Relaxed);
        self.0.store(by(before), Relaxed);
        before
    }
}

impl Word for Unshared {
    #[inline(always)]
    fn load(&self, _: Ordering) -> u64 {
        self.0.load(Relaxed)
    }

    #[inline(always)]
    fn store(&self, value: u64, _: Ordering) {
        self.0.store(value, Relaxed);
    }

    #[inline(always)]
    fn exchange(&self, current: u64, new: u64, _: Ordering) -> Result<u64, u64> {
        let before = self.change(|before| if before == current { new } else { before });
        if before == current {
            Ok(before)
        } else {
            Err(before)
        }
    }

    #[inline(always)]
    fn add(&self, value: u64, _: Ordering) -> u64 {
        self.change(|before| before.wrapping_add(value))
    }

    #[inline(always)]
    fn insert(&self, bits: u64, _: Ordering) -> u64 {
        self.change(|before| before | bits)
    }

    #[inline(always)]
    fn remove(&self, bits: u64, _: Ordering) -> u64 {
        self.change(|before| before & !bits)
    }
}

/// Whether a head's count is not raised any more.
#[inline(always)]
pub(super) fn is_saturated(head: u64) -> bool {
    head >= u64::from(SATURATED) * ONE
}

/// Adds a reference.
#[inline(always)]
pub(crate) fn retain(word: &impl Word) {
    // Relaxed: who adds a reference has one, or has read one since its last quiescent point. A few
    // increments beyond the limit, one a thread, do no harm: there is half the range above it.
    if !is_saturated(word.load(Relaxed)) {
        word.add(ONE, Relaxed);
    }
}

/// Adds the reference of a field.
#[inline(always)]
pub(crate) fn retain_in_field(word: &impl Word) {
    let mut head = word.load(Relaxed);
    // A saturated object never dies, whatever refers to it.
    while !is_saturated(head) {
        if head & edges::IN != 0 {
            word.add(ONE, Relaxed);
            return;
        }
        match word.exchange(head, (head | edges::IN) + ONE, SeqCst) {
            Ok(_) => return,
            Err(now) => head = now,
        }
    }
}

/// Sees to it that bits are set which stay.
#[inline(always)]
pub(crate) fn note(word: &impl Word, bits: u64) {
    if word.load(SeqCst) & bits != bits {
        word.insert(bits, SeqCst);
    }
}

/// Takes bits away that nobody decides by but whoever the tables are locked by, or the object is
/// listed with.
#[inline(always)]
pub(crate) fn forget(word: &impl Word, bits: u64) {
    // Release: who finds the bit clear may free the object, after this.
    word.remove(bits, Release);
}

/// What became of an object that lost a reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Released {
    /// It has others, or somebody else looks after it.
    Kept,
    /// It was the last one, and the caller is the one who retires the object. This was the head,
    /// and `QUEUED` is set in it now.
    Last(u64),
}

/// Takes a reference away.
#[inline(always)]
pub(crate) fn release(word: &impl Word) -> Released {
    let mut head = word.load(Relaxed);
    loop {
        // An immortal count: the sign of the head is that of the count.
        if (head as i64) < 0 {
            return Released::Kept;
        }
        debug_assert!(head >= ONE, "a release without a reference");
        let last = head < 2 * ONE;
        let new = (head - ONE) | if last { tag::QUEUED } else { 0 };
        match word.exchange(head, new, AcqRel) {
            Ok(_) if last && head & tag::QUEUED == 0 => return Released::Last(head),
            Ok(_) => return Released::Kept,
            Err(now) => head = now,
        }
    }
}

/// What a look at a retired object found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// A reference came back: it is queued no more.
    Alive,
    /// Nothing refers to it. It is still queued. This is its head.
    Zero(u64),
}

/// Looks at an object that is queued.
#[inline(always)]
pub(crate) fn look(word: &impl Word) -> Look {
    let mut head = word.load(Acquire);
    loop {
        debug_assert!(head & tag::QUEUED != 0, "a look at what is not queued");
        if head < ONE {
            return Look::Zero(head);
        }
        match word.exchange(head, head & !tag::QUEUED, AcqRel) {
            Ok(_) => return Look::Alive,
            Err(now) => head = now,
        }
    }
}

/// Takes an object that a look found at zero out of the queue: with a reference and `bits`, if the
/// count is zero still, else as it is. Returns whether it was zero. One exchange, as a look's is.
#[inline(always)]
pub(crate) fn claim(word: &impl Word, bits: u64) -> bool {
    let mut head = word.load(Acquire);
    loop {
        let zero = head < ONE;
        let taken = head & !tag::QUEUED;
        let new = if zero { (taken | bits) + ONE } else { taken };
        match word.exchange(head, new, AcqRel) {
            Ok(_) => return zero,
            Err(now) => head = now,
        }
    }
}
