//! The two parts of an object's count in the regime [`Biased`](crate::Biased), and what releases,
//! merges and looks do with them: on an object's words alone, which may be loom's.
//!
//! What the parts mean, and the invariants that this keeps, are at the head of [`super::biased`].

use crate::object::{ONE, OWNED, Object, SATURATED, edges, tag};
use crate::primitive::Ordering::{self, AcqRel, Acquire, Relaxed, Release, SeqCst};
use crate::unlocked::owners::{Named, Slot};
use crate::unlocked::word::{self, Look, Unshared, Word};

/// Where the part of everybody but the owner begins.
pub(super) const LEVEL: u32 = 7 << 29;
/// So far above the level that part is not raised any more.
const FULL: u32 = 1 << 28;
/// From here on it is not lowered either: the object is immortal.
const IMMORTAL: u32 = 1 << 27;

/// One reference, in the owner's word.
pub(super) const OWN: u32 = 1 << 2;
/// What the owner has noted of edges: the bits of [`edges::IN`] and [`edges::OUT`].
const EDGES: u32 = OWN - 1;
const EDGES_SHIFT: u32 = edges::IN.trailing_zeros();
/// The owner's number is above.
pub(super) const OWNER_SHIFT: u32 = 17;
/// The number of who owns nothing: there are fewer slots.
pub(super) const NOBODY: u32 = (1 << (32 - OWNER_SHIFT)) - 2;
/// The references that the owner has counted.
const COUNTED: u32 = (1 << OWNER_SHIFT) - OWN;

/// The count in a head.
const COUNT: u64 = !(ONE - 1);
/// The head of an object of which others have no part, but for its tag.
pub(super) const AT_LEVEL: u64 = LEVEL as u64 * ONE;

const _: () = {
    assert!(EDGES as u64 == (edges::IN | edges::OUT) >> EDGES_SHIFT);
    assert!(OWNED > SATURATED + (1 << 20) && LEVEL + FULL - 1 > LEVEL);
    // What somebody owns whose number is the next is out of each range in which a word is one's
    // own, also that of an object that is deferred.
    assert!((1 << OWNER_SHIFT) - 2 * OWN >= COUNTED + EDGES + 1 - 2 * OWN);
    // What an owner can have counted.
    assert!(LEVEL - COUNTED / OWN > OWNED);
};

/// The atomic word that an owner's word is: the standard library's or loom's.
pub(super) trait Half {
    fn load(&self, order: Ordering) -> u32;
    fn store(&self, value: u32, order: Ordering);
}

macro_rules! half {
    ($($atomic:tt)+) => {
        impl Half for $($atomic)+ {
            #[inline(always)]
            fn load(&self, order: Ordering) -> u32 {
                self.load(order)
            }

            #[inline(always)]
            fn store(&self, value: u32, order: Ordering) {
                self.store(value, order);
            }
        }
    };
}
half!(std::sync::atomic::AtomicU32);
#[cfg(loom)]
half!(loom::sync::atomic::AtomicU32);

/// The owner's word of an object, in a heap of this regime.
#[inline(always)]
pub(super) fn own_word<'a>(object: Object) -> &'a std::sync::atomic::AtomicU32 {
    // SAFETY: objects of this regime have a unit behind their words, of which this is the upper
    // half, and nobody takes that for anything else.
    unsafe { std::sync::atomic::AtomicU32::from_ptr(object.last_unit().cast::<u32>().add(1)) }
}

/// The count in a head.
#[inline(always)]
pub(super) fn count(head: u64) -> u32 {
    (head / ONE) as u32
}

/// Whether this is the head of an object that has an owner.
#[inline(always)]
pub(super) fn is_owned(head: u64) -> bool {
    count(head) >= OWNED
}

/// What the owner has noted of edges, as the head has it.
#[inline(always)]
pub(super) fn noted(word: u32) -> u64 {
    u64::from(word & EDGES) << EDGES_SHIFT
}

/// How many references the owner has counted.
#[inline(always)]
pub(super) fn counted(word: u32) -> u32 {
    (word & COUNTED) / OWN
}

/// The number of the owner; 0 if there is none.
#[inline(always)]
fn owner(word: u32) -> u32 {
    word >> OWNER_SHIFT
}

/// How many references there are by both parts, of an owned object; [`SATURATED`] if it is
/// immortal.
#[inline(always)]
pub(super) fn sum(head: u64, word: u32) -> i64 {
    let above = i64::from(count(head)) - i64::from(LEVEL);
    if above >= i64::from(IMMORTAL) {
        return i64::from(SATURATED);
    }
    above + i64::from(counted(word))
}

/// What a release did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dropped {
    /// There are others, or somebody else looks after the object.
    Kept,
    /// The caller is the one who retires the object. This was the head.
    Last(u64),
    /// The object has an owner, who may have counted others, and the caller is the one who names it
    /// to that.
    Below,
}

/// Who looks after an object that a release took below the level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// Its owner, who was named it.
    Owner,
    /// The caller has merged it, as the owner is away. If nothing refers to it, it is the caller's
    /// to retire, and this is its head.
    Merged(Option<u64>),
    /// The caller, who is to retire it: somebody else has merged it meanwhile. This is its head:
    /// there may be references, as whoever merged it for a reason of its own may have one.
    Caller(u64),
    /// The next stop: there is no memory to name it.
    Unlisted,
    /// The caller may not go on.
    Nobody,
}

/// Both parts of an object's count, and what the operations of this regime do with them. `base` is
/// the number of the caller's slot, shifted to where an owner's word has it.
pub(super) struct Parts<'a, W, H> {
    pub(super) head: &'a W,
    pub(super) own: &'a H,
}

impl<'a> Parts<'a, std::sync::atomic::AtomicU64, std::sync::atomic::AtomicU32> {
    #[inline(always)]
    pub(super) fn of(object: Object) -> Self {
        Self {
            head: object.shared_head(),
            own: own_word(object),
        }
    }
}

impl<'a> Parts<'a, Unshared, std::sync::atomic::AtomicU32> {
    /// The parts of an object that no other thread has to do with now.
    #[inline(always)]
    pub(super) fn unshared(object: Object) -> Self {
        Self {
            head: Unshared::of(object.shared_head()),
            own: own_word(object),
        }
    }
}

/// Whether the owner's word is that of an object that the caller owns.
#[inline(always)]
pub(super) fn is_mine(base: u32, word: u32) -> bool {
    (word ^ base) >> OWNER_SHIFT == 0
}

impl<W: Word, H: Half> Parts<'_, W, H> {
    /// Adds a reference, if that is the owner's doing; else this is the owner's word.
    #[inline(always)]
    pub(super) fn retain_own(&self, base: u32, note: u64) -> Result<(), u32> {
        let word = self.own.load(Relaxed);
        // The owner, which has counted some and can count one more: one comparison.
        if word.wrapping_sub(base).wrapping_sub(OWN) < COUNTED - OWN {
            let note = (note >> EDGES_SHIFT) as u32;
            self.own.store((word + OWN) | note, Relaxed);
            return Ok(());
        }
        Err(word)
    }

    /// Adds a reference that is not the owner's doing.
    #[inline(never)]
    pub(super) fn retain_with_others(&self, note: u64) {
        let mut head = self.head.load(Relaxed);
        loop {
            if is_full(head) {
                return;
            }
            if head & note == note {
                // Relaxed: as everywhere. A merge in between adds to the same word.
                self.head.add(ONE, Relaxed);
                return;
            }
            match self.head.exchange(head, (head | note) + ONE, SeqCst) {
                Ok(_) => return,
                Err(now) => head = now,
            }
        }
    }

    /// Takes a reference away, if that is the owner's doing and not its last. `stamp` writes the
    /// stamp.
    #[inline(always)]
    pub(super) fn release_own(&self, base: u32, stamp: impl FnOnce()) -> Result<(), u32> {
        let word = self.own.load(Relaxed);
        // The owner, which has counted two or more: one comparison.
        if word.wrapping_sub(base).wrapping_sub(2 * OWN) < COUNTED + EDGES + 1 - 2 * OWN {
            stamp();
            self.own.store(word - OWN, Relaxed);
            return Ok(());
        }
        Err(word)
    }

    /// The rest of releases: `word` is the owner's.
    #[inline(always)]
    pub(super) fn release(&self, base: u32, word: u32) -> Dropped {
        if let Some(head) = self.release_last(base, word) {
            return Dropped::Last(head);
        }
        if is_mine(base, word) && counted(word) == 1 {
            return self.merge_and_release(word);
        }
        debug_assert!(
            !is_mine(base, word) || counted(word) == 0,
            "the owner has counted others"
        );
        self.release_of_others()
    }

    /// The owner takes the last reference away, if there is no other. `word` is its word. Returns
    /// the head.
    #[inline(always)]
    pub(super) fn release_last(&self, base: u32, word: u32) -> Option<u64> {
        // The owner, which has counted one: one comparison.
        if word.wrapping_sub(base).wrapping_sub(OWN) > EDGES {
            return None;
        }
        // Acquire: what those did who have counted and are through.
        let head = self.head.load(Acquire);
        (head & (COUNT | tag::QUEUED) == AT_LEVEL).then(|| {
            self.own.store(word - OWN, Relaxed);
            head
        })
    }

    #[cold]
    #[inline(never)]
    fn merge_and_release(&self, word: u32) -> Dropped {
        let before = self.merge(word - OWN, |total, head| {
            head | if total == 0 { tag::QUEUED } else { 0 }
        });
        // If it is queued already whoever has named it finds it merged.
        if sum(before, word - OWN) == 0 && before & tag::QUEUED == 0 {
            Dropped::Last(before)
        } else {
            Dropped::Kept
        }
    }

    /// Somebody who does not own the object takes a reference away.
    #[inline]
    fn release_of_others(&self) -> Dropped {
        let mut head = self.head.load(Relaxed);
        loop {
            let references = count(head);
            let owned = references >= OWNED;
            let last = if owned {
                if references >= LEVEL + IMMORTAL {
                    return Dropped::Kept;
                }
                references <= LEVEL
            } else {
                // An immortal count: the sign of the head is that of the count.
                if (head as i64) < 0 {
                    return Dropped::Kept;
                }
                debug_assert!(references >= 1, "a release without a reference");
                references == 1
            };
            let new = (head - ONE) | if last { tag::QUEUED } else { 0 };
            match self.head.exchange(head, new, AcqRel) {
                Ok(_) if !last || head & tag::QUEUED != 0 => return Dropped::Kept,
                Ok(_) if owned => return Dropped::Below,
                Ok(_) => return Dropped::Last(head),
                Err(now) => head = now,
            }
        }
    }

    /// Merges: by the owner or on its behalf. `word` is the owner's, or with less references.
    /// `mark` says what becomes of the head's tag, from how many references there are. Returns the
    /// head as it was.
    #[inline(always)]
    fn merge(&self, word: u32, mark: impl Fn(i64, u64) -> u64) -> u64 {
        let mut head = self.head.load(Relaxed);
        loop {
            debug_assert!(is_owned(head), "merged twice");
            let total = sum(head, word);
            debug_assert!(total >= 0, "a release without a reference");
            let marks = (head & (ONE - 1)) | noted(word);
            let new = mark(total, marks) | (total as u64) << 32;
            // Release: what the owner did with the object, its stamps among it, is done.
            match self.head.exchange(head, new, AcqRel) {
                Ok(_) => break,
                Err(now) => head = now,
            }
        }
        // The head first (invariant 1): who finds no owner finds a whole count. Release: as above.
        self.own.store(0, Release);
        head
    }

    /// Merges an object that is on the owner's list, by the owner.
    #[cold]
    #[inline(never)]
    pub(super) fn merge_listed(&self, word: u32) {
        debug_assert_eq!(counted(word), 0);
        self.merge(word, |_, head| head | tag::QUEUED);
    }

    /// Merges an object that is on no list of the owner's, by the owner.
    pub(super) fn merge_held(&self, word: u32) {
        self.merge(word, |_, head| head);
    }

    /// Merges an object that has been named, by the owner or on its behalf. Returns its head if
    /// nothing refers to it: it is queued then, and else not any more.
    pub(super) fn merge_named(&self, word: u32) -> Option<u64> {
        let queued = |total, head| {
            if total == 0 {
                head | tag::QUEUED
            } else {
                head & !tag::QUEUED
            }
        };
        let before = self.merge(word, queued);
        (sum(before, word) == 0).then_some((before & (ONE - 1)) | noted(word))
    }

    /// Names an object, which a release of the caller's has taken below the level, to its owner.
    /// `slot` finds that by its number, if the caller may go on.
    pub(super) fn name<'s, T: 's>(
        &self,
        object: T,
        slot: impl FnOnce(u32) -> Option<&'s Slot<T>>,
    ) -> Asked {
        // It is queued by what the caller has done, whoever has merged it meanwhile. Acquire: what
        // they had done before.
        let merged = || Asked::Caller(self.head.load(Acquire) & !tag::QUEUED);
        let number = owner(self.own.load(Acquire));
        if number == 0 {
            return merged();
        }
        let Some(slot) = slot(number) else {
            return Asked::Nobody;
        };
        let mut dead = None;
        let named = slot.name(
            object,
            || owner(self.own.load(Acquire)) == number,
            || dead = self.merge_named(self.own.load(Relaxed)),
        );
        match named {
            Named::ToOwner => Asked::Owner,
            Named::Merged => Asked::Merged(dead.map(|head| head & !tag::QUEUED)),
            Named::Already => merged(),
            Named::Unlisted => Asked::Unlisted,
        }
    }

    /// Whether somebody else is about to clear the owner's word of an object that is merged.
    #[inline(always)]
    pub(super) fn is_settling(&self, base: u32) -> bool {
        // Acquire: if the word is cleared, that comes before the cell is written to again.
        let word = self.own.load(Acquire);
        word != 0 && !is_mine(base, word)
    }

    /// The owner looks at an object that has been named to it. As [`Self::merge_named`].
    pub(super) fn answer(&self, base: u32) -> Option<u64> {
        let word = self.own.load(Relaxed);
        if is_mine(base, word) {
            return self.merge_named(word);
        }
        debug_assert_eq!(word, 0, "named to somebody who does not own it");
        // It was merged for another reason meanwhile.
        match word::look(self.head) {
            Look::Alive => None,
            Look::Zero(head) => Some(head),
        }
    }

    /// Looks at a retired object. An owned one that somebody waits for is merged first.
    #[inline(always)]
    pub(super) fn look(&self, base: u32) -> Look {
        let word = self.own.load(Relaxed);
        if is_mine(base, word) {
            debug_assert_eq!(counted(word), 0, "the owner has counted some");
            // Acquire: what those did who have counted since.
            let head = self.head.load(Acquire);
            if head & (COUNT | tag::QUEUED | tag::WATCHED) == AT_LEVEL {
                return Look::Zero(head & (ONE - 1));
            }
            self.merge_listed(word);
        }
        word::look(self.head)
    }

    /// The marks of an object that is retired and that nobody but its owner has ever seen.
    #[inline(always)]
    pub(super) fn unseen(&self, base: u32) -> Option<u64> {
        let word = self.own.load(Relaxed);
        if word & !(noted_bits(edges::OUT)) != base {
            return None;
        }
        // Nobody else has written it, so that nothing need be acquired.
        let head = self.head.load(Relaxed);
        let seen = tag::QUEUED | tag::WATCHED | edges::IN;
        (head & (COUNT | seen) == AT_LEVEL).then_some(head & (ONE - 1))
    }

    /// How many references there are, at some moment of the call.
    pub(super) fn references(&self) -> i64 {
        let mut word = self.own.load(Acquire);
        loop {
            let head = self.head.load(Acquire);
            if !is_owned(head) {
                return i64::from(count(head));
            }
            let total = sum(head, word);
            if total > 0 || counted(word) == 0 {
                return total;
            }
            // Below the level. The owner may have counted one more in between.
            let now = self.own.load(Acquire);
            if now == word && self.head.load(Acquire) == head {
                return total;
            }
            word = now;
        }
    }

    /// What was noted of the object's edges, among other bits.
    #[inline(always)]
    pub(super) fn edges(&self) -> u64 {
        // In this order: a merge moves them from the one to the other.
        let noted = noted(self.own.load(SeqCst));
        noted | self.head.load(SeqCst)
    }

    /// Sees to it that bits are set which stay.
    #[inline(always)]
    pub(super) fn note(&self, base: u32, bits: u64) {
        let word = self.own.load(Relaxed);
        if is_mine(base, word) && bits & !(edges::IN | edges::OUT) == 0 {
            // What others look for after an exchange of theirs, and this thread before one of its
            // own, or before the object is anybody else's.
            self.own.store(word | noted_bits(bits), Relaxed);
        } else if self.edges() & bits != bits {
            word::note(self.head, bits);
        }
    }
}

/// Bits of the head as the owner's word has them.
#[inline(always)]
pub(super) fn noted_bits(bits: u64) -> u32 {
    (bits >> EDGES_SHIFT) as u32
}

/// Whether a head's count is not raised any more.
#[inline(always)]
fn is_full(head: u64) -> bool {
    let references = count(head);
    references >= SATURATED && !(OWNED..LEVEL + FULL).contains(&references)
}
