//! The regime [`Biased`]: an object's count has two parts, and the thread that made the object
//! changes its own without a read-modify-write (Choi, Shull and Torrellas, "Biased reference
//! counting: minimizing atomic operations in garbage collection", PACT 2018; CPython's PEP 703).
//!
//! Most objects are counted by the thread that made them and by nobody else. An object is born with
//! that thread, or rather its [`Slot`], as its **owner**. The upper half of the unit behind its
//! words is the *owner's word*: who owns it, and how many references the owner has counted. The
//! count in the head is the part of everybody else; it begins at [`LEVEL`], so that it can go below
//! that where others let go of what the owner has counted. How many references there are is the sum
//! of what the owner's word says and of what the head is above the level.
//!
//! To **merge** an object is to add both parts up in its head and to clear the owner's word. From
//! then on it is counted as in the regime [`Atomic`](crate::Atomic), for good.
//!
//! # Invariants
//!
//! 1. The owner's word is zero exactly if the object is merged, and that is exactly if the count in
//!    its head is below [`OWNED`]. Between the exchange of a head that merges it and the store that
//!    clears the word, whoever does that is in an operation; everybody but the owner goes by the
//!    head.
//! 2. The owner's word is written by the owner alone, or on its behalf by whoever holds the lock of
//!    its slot and finds the owner absent there, or in a stopped world.
//! 3. A count of zero in the owner's word means that the object is on the owner's list of retired
//!    objects, once, and nowhere else. It stays zero for as long as the object has an owner, who
//!    counts with the others from then on. Elsewhere `QUEUED` means what it means in every regime:
//!    the object is on one list.
//! 4. The part in the head is below [`LEVEL`] only if `QUEUED` is set: the exchange that takes it
//!    there sets that, and whoever did it *names* the object to its owner ([`Slot::name`]), who
//!    then merges it. An object with zero in its owner's word is never below: all references that
//!    there are have been counted in the head.
//! 5. An object that no field, global or weak reference has ever referred to has been seen by its
//!    owner alone. `edges::IN`, here or in the head, says that something has.
//!
//! # Deaths
//!
//! The owner's release of the last reference finds one in its word and the level in the head. There
//! is nothing to decide with others then: that no more references are counted is certain, and
//! whether one comes back is looked at a grace period later, as ever ([`super::reclaim`]). So the
//! owner stores a zero, lists the object, and looks at it again, all without a read-modify-write.
//! If the head is above the level others have references: the owner merges, and whoever is last
//! retires the object. An object that nobody else has seen (invariant 5) waits for no grace period:
//! it dies at the owner's next quiescent point, and with it what only it kept alive.
//!
//! Somebody else's release that takes the head below the level cannot tell whether it was the last.
//! It names the object to the owner, who merges it at its next safepoint, and then knows. No
//! reference waits with the name: the count has been lowered, so that counts are right at all
//! times, and what is named costs a word in a list. (CPython queues such an object with the
//! reference.) If an object is found to have died, and all references that were cut off from it
//! were so a grace period ago, it dies then and there: a chain through the objects of several
//! owners takes a safepoint where it goes from one to the next, and no grace period.
//!
//! Between the exchange that merges an object and the store that clears the owner's word somebody
//! else may release the last reference. Where that would free the object at once, in a cascade, it
//! is retired instead: whoever merges is in an operation, which a grace period waits for. And who
//! is about to name an object to its owner may find that merged already, because the owner, which
//! has a reference, makes a weak one: it is queued then, and looked at later, and no cascade has it
//! for dead.
//!
//! # Owners that are away
//!
//! An owner that is in a blocking region, or gone, answers nothing. Before it goes it answers what
//! it was asked, and leaves word in its slot, under the slot's lock. From then on whoever has
//! something to name merges it itself, under the same lock, and the owner cannot come back
//! meanwhile. So an absent owner keeps nothing back (CPython has let memory double so
//! [cpython#157838]). A slot whose thread has ended goes to the next thread that attaches, with all
//! objects that it owns: nothing need be brought up to date for a thread that ends, and no name is
//! that of a thread that is not there [cpython#117271].
//!
//! # Stopped worlds
//!
//! In a stopped world what is named or retired is merged, and dies if it is dead. All other objects
//! keep their owners: collectors read both parts ([`Object::references`]), and merge what they
//! change ([`Object::settle`]). [`OWNED`] lies above where counts are saturated, so that code that
//! knows nothing of owners takes an owned object for an immortal one: it has an exit for these
//! already, and finds out there. So counting under the global lock looks at nothing more. What
//! the filter spares a collection is not touched here either.
//!
//! # Weak references
//!
//! Who makes a weak reference to an object of its own merges it, so that whether it may still be
//! given out is one load, as elsewhere. If somebody else makes one the object keeps its owner until
//! it is next named or retired. Meanwhile what is given out is decided by both parts, the owner's
//! word first. Where that is zero it stays so, and the head tells all; where it is not, and the
//! head is not below the level, there is a reference. Below the level the owner may count just
//! then, so that both are read until they are the same twice. (Not excluded is that an owner counts
//! and lets go, and others do, all between four loads: the object would be taken for dead once, by
//! one who asks.) When the object is retired it is merged before its weak references are cleared.
//!
//! # Edges
//!
//! What is noted of edges ([`edges::IN`], [`edges::OUT`]) is kept in the owner's word if the owner
//! notes it, and read from both places, the word first: a merge moves it from there to the head.
//!
//! Rejected: a word of its own for the owner (a node of two references and a word would take 64
//! bytes); to merge everything that was made since, in each stop (the filter finds that nearly all
//! of it need not be touched, and each object would lose its bias by its first collection); a lock
//! that all share for what is named (each object that one thread makes and another drops is named
//! once).

use std::cell::Cell;
use std::ptr::NonNull;
use std::sync::OnceLock;

use handshake::process::Resident;

use crate::count::Freed;
use crate::event::{DRAIN_EVENT_MINIMUM, EventKind};
use crate::gil::COLLECT;
use crate::heap::Locked;
use crate::mutator::{Mutator, Ref};
use crate::object::{ONE, OWNED, Object, SATURATED, Shape, edges, tag};
use crate::primitive::Ordering::{self, AcqRel, Acquire, Relaxed, Release, SeqCst};
use crate::primitive::{AtomicU32, Mutex, lock};
use crate::regime::Biased;
use crate::room;
use crate::unlocked::deferred::Occasion;
use crate::unlocked::word::{self, Look, Released, Word};
use crate::unlocked::{Counting, Tables, deferred, stamp};

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
/// The references that the owner has counted.
const COUNTED: u32 = (1 << OWNER_SHIFT) - OWN;

const _: () = {
    assert!(EDGES as u64 == (edges::IN | edges::OUT) >> EDGES_SHIFT);
    assert!(OWNED > SATURATED + (1 << 20) && LEVEL + FULL - 1 > LEVEL);
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
fn count(head: u64) -> u32 {
    (head / ONE) as u32
}

/// Whether this is the head of an object that has an owner.
#[inline(always)]
fn is_owned(head: u64) -> bool {
    count(head) >= OWNED
}

/// What the owner has noted of edges, as the head has it.
#[inline(always)]
fn noted(word: u32) -> u64 {
    u64::from(word & EDGES) << EDGES_SHIFT
}

/// How many references the owner has counted.
#[inline(always)]
fn counted(word: u32) -> u32 {
    (word & COUNTED) / OWN
}

/// The number of the owner; 0 if there is none.
#[inline(always)]
pub(super) fn owner(word: u32) -> u32 {
    word >> OWNER_SHIFT
}

/// How many references there are by both parts, of an owned object; [`SATURATED`] if it is
/// immortal.
#[inline(always)]
fn sum(head: u64, word: u32) -> i64 {
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

/// Whether the owner's word is that of an object that the caller owns.
#[inline(always)]
fn is_mine(base: u32, word: u32) -> bool {
    word != 0 && (word ^ base) >> OWNER_SHIFT == 0
}

impl<W: Word, H: Half> Parts<'_, W, H> {
    /// Adds a reference, which is that of a field if `note` says so by `edges::IN`. Returns whether
    /// that was all the owner's doing.
    #[inline(always)]
    pub(super) fn retain(&self, base: u32, note: u64) -> bool {
        match self.retain_own(base, note) {
            Ok(()) => true,
            Err(_) => {
                self.retain_with_others(note);
                false
            }
        }
    }

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
        if is_mine(base, word) && counted(word) == 1 {
            return self.release_last(word);
        }
        debug_assert!(
            !is_mine(base, word) || counted(word) == 0,
            "the owner has counted others"
        );
        self.release_of_others()
    }

    /// The owner takes the last reference away that it has counted.
    #[inline(always)]
    fn release_last(&self, word: u32) -> Dropped {
        // Acquire: what those did who have counted and are through.
        let head = self.head.load(Acquire);
        if count(head) == LEVEL && head & tag::QUEUED == 0 {
            self.own.store(word - OWN, Relaxed);
            return Dropped::Last(head);
        }
        self.merge_and_release(word)
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
            if count(head) == LEVEL && head & (tag::QUEUED | tag::WATCHED) == 0 {
                return Look::Zero(head & (ONE - 1));
            }
            self.merge_listed(word);
        }
        word::look(self.head)
    }

    /// The marks of an object that is retired and that nobody but its owner has ever seen.
    #[inline(always)]
    fn unseen(&self, base: u32) -> Option<u64> {
        let word = self.own.load(Relaxed);
        if word & !(noted_bits(edges::OUT)) != base || base == 0 {
            return None;
        }
        // Nobody else has written it, so that nothing need be acquired.
        let head = self.head.load(Relaxed);
        let seen = tag::QUEUED | tag::WATCHED | edges::IN;
        (count(head) == LEVEL && head & seen == 0).then_some(head & (ONE - 1))
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
        if self.edges() & bits == bits {
            return;
        }
        let word = self.own.load(Relaxed);
        if is_mine(base, word) && bits & !(edges::IN | edges::OUT) == 0 {
            // What others look for after an exchange of theirs, and this thread before one of its
            // own, or before the object is anybody else's.
            self.own.store(word | noted_bits(bits), Relaxed);
        } else {
            word::note(self.head, bits);
        }
    }
}

/// Bits of the head as the owner's word has them.
#[inline(always)]
fn noted_bits(bits: u64) -> u32 {
    (bits >> EDGES_SHIFT) as u32
}

/// Whether a head's count is not raised any more.
#[inline(always)]
fn is_full(head: u64) -> bool {
    let references = count(head);
    references >= SATURATED && !(OWNED..LEVEL + FULL).contains(&references)
}

// ---- owners

/// One who owns objects: an attached thread, or one that was, until the next takes its place. In
/// cache lines of its own: a thread looks at its own at each safepoint.
#[repr(align(128))]
pub(crate) struct Slot<T = Object> {
    asks: Mutex<Asks<T>>,
    /// Something was named. Written under the lock.
    asked: AtomicU32,
    /// A thread has it. Protected by the mutex of the tables.
    taken: Cell<bool>,
}

// SAFETY: the cell in it is protected by the mutex of the tables.
unsafe impl<T: Send> Sync for Slot<T> {}

struct Asks<T> {
    /// Nobody answers: there is no thread, or it is in a blocking region.
    absent: bool,
    named: Vec<T>,
}

/// What became of an object that was to be named to its owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Named {
    /// The owner will look at it.
    ToOwner,
    /// The owner is away, and it was merged.
    Merged,
    /// It is merged already: the caller lists it.
    Already,
    /// There is no memory for that.
    Unlisted,
}

impl<T> Slot<T> {
    pub(super) fn new() -> Self {
        Self {
            asks: Mutex::new(Asks {
                absent: true,
                named: Vec::new(),
            }),
            asked: AtomicU32::new(0),
            taken: Cell::new(false),
        }
    }

    /// Names an object to the owner, or has it merged by `merge`. `is_owned` says whether it has
    /// this owner still.
    pub(super) fn name(
        &self,
        object: T,
        is_owned: impl FnOnce() -> bool,
        merge: impl FnOnce(),
    ) -> Named {
        let mut asks = lock(&self.asks);
        // Under the lock: an owner that is away has left it, with all that it had merged.
        if !is_owned() {
            return Named::Already;
        }
        if asks.absent {
            merge();
            return Named::Merged;
        }
        if !room::push(&mut asks.named, object) {
            return Named::Unlisted;
        }
        self.asked.store(1, Relaxed);
        Named::ToOwner
    }

    /// Whether something has been named.
    #[inline(always)]
    pub(super) fn is_asked(&self) -> bool {
        self.asked.load(Relaxed) != 0
    }

    /// Takes what has been named.
    pub(super) fn take(&self) -> Vec<T> {
        let mut asks = lock(&self.asks);
        self.asked.store(0, Relaxed);
        std::mem::take(&mut asks.named)
    }

    /// Gives an empty list back, to be used again.
    fn give_back(&self, mut list: Vec<T>) {
        list.clear();
        room::fit(&mut list, 0);
        let mut asks = lock(&self.asks);
        if asks.named.capacity() < list.capacity() && asks.named.is_empty() {
            asks.named = list;
        }
    }

    /// The owner goes away, unless it has been named something.
    pub(super) fn leave(&self) -> bool {
        let mut asks = lock(&self.asks);
        asks.absent = asks.named.is_empty();
        asks.absent
    }

    /// The owner is there.
    pub(super) fn arrive(&self) {
        lock(&self.asks).absent = false;
    }
}

/// Slots of the first chunk; each has twice as many as the one before.
const FIRST_CHUNK: u32 = 16;
const CHUNKS: usize = 11;

const _: () = {
    // Number 0 is nobody's.
    assert!(FIRST_CHUNK * ((1 << CHUNKS) - 1) < 1 << (32 - OWNER_SHIFT));
};

/// The slots of a heap. They stay where they are.
#[derive(Default)]
pub(crate) struct Owners([OnceLock<Box<[Slot]>>; CHUNKS]);

impl Owners {
    /// The slot of this number.
    fn get(&self, number: u32) -> &Slot {
        let index = number - 1;
        let chunk = (index / FIRST_CHUNK + 1).ilog2();
        let first = FIRST_CHUNK * ((1 << chunk) - 1);
        let slots = self.0[chunk as usize].get().expect("an owner has a slot");
        &slots[(index - first) as usize]
    }

    fn all(&self) -> impl Iterator<Item = &Slot> {
        self.0.iter().map_while(OnceLock::get).flatten()
    }

    /// Finds a slot for a thread, and its number; `None` if there are as many threads as there can
    /// be, or no memory.
    fn take(&self, _: &Tables<'_>) -> Option<(u32, &Slot)> {
        let vacant = || (1..).zip(self.all()).find(|(_, slot)| !slot.taken.get());
        let found = vacant().or_else(|| {
            let made = self.0.iter().take_while(|chunk| chunk.get().is_some());
            let next = made.count();
            let slots = (FIRST_CHUNK << next) as usize;
            let mut chunk = Vec::new();
            if next == CHUNKS || chunk.try_reserve_exact(slots).is_err() {
                return None;
            }
            chunk.extend(std::iter::repeat_with(Slot::new).take(slots));
            let _ = self.0[next].set(chunk.into_boxed_slice());
            vacant()
        });
        if let Some((_, slot)) = found {
            slot.taken.set(true);
        }
        found
    }

    /// What has been named and not answered: objects, and their bytes.
    pub(super) fn kept(&self) -> (u64, u64) {
        let mut kept = (0, 0);
        for slot in self.all() {
            for &object in &lock(&slot.asks).named {
                kept.0 += 1;
                kept.1 += super::reclaim::occupies(object);
            }
        }
        kept
    }

    /// Calls `f` with all that has been named, which is named no more, in a stopped world.
    pub(super) fn each_named(&self, mut f: impl FnMut(Object)) {
        for slot in self.all().filter(|slot| slot.is_asked()) {
            let mut named = slot.take();
            named.drain(..).for_each(&mut f);
            slot.give_back(named);
        }
    }
}

/// What a mutator has for this regime.
#[derive(Default)]
pub(crate) struct Bias {
    /// Its slot's number, where an owner's word has it; 0 if it has none: what it makes is merged
    /// from the start.
    base: Cell<u32>,
    slot: Cell<Option<NonNull<Slot>>>,
}

impl Bias {
    fn slot(&self) -> Option<&Slot> {
        // SAFETY: the slots of a heap stay where they are for as long as it, and the mutator is
        // attached to it.
        self.slot.get().map(|slot| unsafe { slot.as_ref() })
    }
}

// ---- in a stopped world

impl Object {
    /// How many references there are, in a stopped world or under the lock, whether the object has
    /// an owner or not.
    #[inline(always)]
    pub(crate) fn references(self) -> u32 {
        let count = self.count();
        if count < OWNED {
            return count;
        }
        self.references_of_owned()
    }

    #[cold]
    #[inline(never)]
    fn references_of_owned(self) -> u32 {
        sum(self.head(), own_word(self).load(Relaxed)) as u32
    }

    /// Whether it has an owner.
    #[inline(always)]
    pub(crate) fn is_owned(self) -> bool {
        self.count() >= OWNED
    }

    /// Merges it if it has an owner, in a stopped world.
    #[inline(always)]
    pub(crate) fn settle(self) {
        if self.is_owned() {
            self.give_up_owner();
        }
    }

    #[cold]
    #[inline(never)]
    fn give_up_owner(self) {
        let own = own_word(self);
        let (head, word) = (self.head(), own.load(Relaxed));
        let total = sum(head, word);
        debug_assert!(total >= 0, "a release without a reference");
        self.set_head((head & (ONE - 1)) | noted(word) | (total as u64) << 32);
        own.store(0, Relaxed);
    }

    /// The same of one that is on a list of retired objects: it is queued.
    #[inline(always)]
    pub(crate) fn settle_listed(self) {
        if self.is_owned() {
            self.give_up_owner();
            self.insert(tag::QUEUED);
        }
    }

    /// What was noted of its edges, in a stopped world, among other bits.
    pub(crate) fn edges(self) -> u64 {
        if self.is_owned() {
            self.marks() | noted(own_word(self).load(Relaxed))
        } else {
            self.marks()
        }
    }
}

// ---- the regime

/// The two parts of an object's count, of this moment: see [`Mutator::shares`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shares {
    /// References that the owner has counted.
    pub owner: u32,
    /// References that others have counted, less those of the owner's that they have let go of.
    pub others: i64,
    /// Whether the calling thread is the owner.
    pub mine: bool,
}

impl<'h, const DEFERRED: bool> Mutator<'h, Biased<DEFERRED>> {
    /// Who has counted the references to an object: `None` if it has no owner any more.
    ///
    /// ```
    /// use gc_rc::{Biased, Flags, Heap, Shares};
    ///
    /// let heap: Heap<Biased> = Heap::builder().build_unlocked()?;
    /// heap.attach(|m| {
    ///     m.frame(|m, [local]| {
    ///         m.alloc_init(local, Flags::NONE, [], [1]).unwrap();
    ///         let object = m.get(local).unwrap();
    ///         let global = m.global(object);
    ///         let shares = Shares { owner: 2, others: 0, mine: true };
    ///         assert_eq!(m.shares(object), Some(shares));
    ///         // Whether a weak reference may still be given out is for one number to say.
    ///         let weak = m.downgrade(object);
    ///         assert_eq!((m.shares(object), m.count(object)), (None, 2));
    ///     });
    /// });
    /// # Ok::<(), gc_rc::BuildError>(())
    /// ```
    pub fn shares<'m>(&'m self, object: Ref<'m, 'h>) -> Option<Shares> {
        let parts = Parts::of(object.object);
        let (word, head) = (parts.own.load(Acquire), parts.head.load(Acquire));
        is_owned(head).then(|| Shares {
            owner: counted(word),
            others: i64::from(count(head)) - i64::from(LEVEL),
            mine: is_mine(self.base(), word),
        })
    }
}

impl<const DEFERRED: bool> Mutator<'_, Biased<DEFERRED>> {
    #[inline(always)]
    pub(super) fn base(&self) -> u32 {
        self.own.bias.base.get()
    }

    /// Has an object named to its owner that a release took below the level. Returns its head,
    /// without `QUEUED`, if the caller is to retire it. If there are references in that, somebody
    /// has one.
    #[inline]
    fn follow(&self, object: Object, dropped: Dropped) -> Option<u64> {
        match dropped {
            Dropped::Kept => None,
            Dropped::Last(head) => Some(head & (ONE - 1)),
            Dropped::Below => self.name(object),
        }
    }

    #[cold]
    #[inline(never)]
    fn name(&self, object: Object) -> Option<u64> {
        let commons = self.inner;
        let asked = Parts::of(object).name(object, |number| {
            // Else: after a fork, on the way to where the mutator is given up.
            let may_go_on = commons.enter_unless_unwinding();
            may_go_on.then(|| commons.owners.get(number))
        });
        let tally = &self.own.tally;
        match asked {
            Asked::Owner => tally.named(),
            Asked::Merged(head) => {
                tally.merged(1);
                return head;
            }
            Asked::Caller(head) => return Some(head),
            Asked::Unlisted => {
                // The next stop finds it by its tag.
                commons.unnamed.store(true, Relaxed);
                (commons.base.mailbox.poll).fetch_or(COLLECT, Relaxed);
            }
            Asked::Nobody => {}
        }
        None
    }

    /// Merges an object of this mutator's own.
    fn merge(&self, object: Object) {
        let parts = Parts::of(object);
        let word = parts.own.load(Relaxed);
        if !is_mine(self.base(), word) {
            return;
        }
        if counted(word) == 0 {
            parts.merge_listed(word);
        } else {
            parts.merge_held(word);
        }
        self.own.tally.merged(1);
    }
}

impl<const DEFERRED: bool> Counting for Biased<DEFERRED> {
    const HAS_OWNERS: bool = true;
    const DEFERS: bool = DEFERRED;

    #[inline(always)]
    fn first(m: &Mutator<'_, Self>) -> u64 {
        if m.base() == 0 {
            ONE
        } else {
            u64::from(LEVEL) << 32
        }
    }

    #[inline(always)]
    unsafe fn begin(m: &Mutator<'_, Self>, object: Object, shape: Shape) {
        let units = shape.refs as usize + shape.words as usize;
        let base = m.base();
        let word = if base == 0 { 0 } else { base + OWN };
        let stamp = u64::from(m.inner.epoch.old_stamp());
        // SAFETY: the caller's promise. Nothing has been cut off from a new object.
        unsafe { object.write_word(units, u64::from(word) << 32 | stamp) };
    }

    #[inline(always)]
    fn retain(m: &Mutator<'_, Self>, object: Object) {
        let own = Parts::of(object).retain(m.base(), 0);
        m.own.tally.changed(own);
    }

    #[inline(always)]
    fn hold(m: &Mutator<'_, Self>, object: Object) -> Object {
        if DEFERRED {
            return deferred::hold(m, object);
        }
        Self::retain(m, object);
        object
    }

    #[inline(always)]
    fn retain_in_field(m: &Mutator<'_, Self>, object: Object) {
        let own = Parts::of(object).retain(m.base(), edges::IN);
        m.own.tally.changed(own);
    }

    #[inline(always)]
    fn release(m: &Mutator<'_, Self>, object: Object) -> bool {
        let parts = Parts::of(object);
        // Before the count is lowered, as elsewhere.
        let stamp = || stamp(object).store(m.inner.epoch.stamp(), Relaxed);
        match parts.release_own(m.base(), stamp) {
            Ok(()) => {
                m.own.tally.changed(true);
                false
            }
            Err(word) => release_late(m, object, word),
        }
    }

    #[inline(always)]
    fn release_of_dead(m: &Mutator<'_, Self>, object: Object) -> Released {
        let parts = Parts::of(object);
        let dropped = match parts.release_own(m.base(), || ()) {
            Ok(()) => return Released::Kept,
            Err(word) => {
                let dropped = parts.release(m.base(), word);
                if DEFERRED {
                    deferred::released(m, object, word);
                }
                dropped
            }
        };
        match m.follow(object, dropped) {
            Some(head) if head < ONE => Released::Last(head),
            Some(_) => {
                // It is not dead, but queued.
                m.retire(object);
                Released::Kept
            }
            None => Released::Kept,
        }
    }

    #[inline(always)]
    fn edges(object: Object) -> u64 {
        Parts::of(object).edges()
    }

    #[inline(always)]
    fn look(m: &Mutator<'_, Self>, object: Object) -> Look {
        Parts::of(object).look(m.base())
    }

    #[inline(always)]
    fn note(m: &Mutator<'_, Self>, object: Object, bits: u64) {
        Parts::of(object).note(m.base(), bits);
    }

    #[inline(always)]
    fn is_settling(m: &Mutator<'_, Self>, object: Object) -> bool {
        Parts::of(object).is_settling(m.base())
    }

    fn renew(m: &Mutator<'_, Self>, object: Object) {
        stamp(object).store(m.inner.epoch.stamp(), SeqCst);
    }

    #[inline]
    fn count(object: Object) -> u32 {
        Parts::of(object).references().max(0) as u32
    }

    #[inline]
    fn count_of_others(object: Object) -> u32 {
        let count = Self::count(object);
        if DEFERRED && own_word(object).load(Relaxed) == deferred::DEFERRED {
            count - 1
        } else {
            count
        }
    }

    #[inline]
    fn show(m: &Mutator<'_, Self>, object: Object) {
        let own = own_word(object);
        let word = own.load(Relaxed);
        // What somebody else owns has been seen.
        if is_mine(m.base(), word) {
            own.store(word | noted_bits(edges::IN), Relaxed);
        }
    }

    fn watch(m: &Mutator<'_, Self>, object: Object) {
        // If it is somebody else's it has been seen.
        m.merge(object);
    }

    fn requeue(m: &Mutator<'_, Self>, object: Object) {
        m.merge(object);
    }

    fn disown(_: &Mutator<'_, Self>, object: Object) {
        own_word(object).store(0, Relaxed);
    }

    #[inline(always)]
    fn unseen(m: &Mutator<'_, Self>, object: Object) -> Option<u64> {
        Parts::of(object).unseen(m.base())
    }

    fn arrive(m: &Mutator<'_, Self>) {
        let tables = m.tables();
        let taken = m.inner.owners.take(&tables);
        drop(tables);
        if let Some((number, slot)) = taken {
            slot.arrive();
            m.own.bias.base.set(number << OWNER_SHIFT);
            m.own.bias.slot.set(Some(NonNull::from(slot)));
        }
    }

    fn leave(m: &Mutator<'_, Self>) -> bool {
        m.own.bias.slot().is_none_or(Slot::leave)
    }

    fn come_back(m: &Mutator<'_, Self>) {
        if let Some(slot) = m.own.bias.slot() {
            slot.arrive();
        }
    }

    fn vacate(m: &Mutator<'_, Self>) {
        let _tables = m.tables();
        if let Some(slot) = m.own.bias.slot() {
            slot.taken.set(false);
        }
    }

    #[inline(always)]
    fn is_asked(m: &Mutator<'_, Self>) -> bool {
        m.own.bias.slot().is_some_and(Slot::is_asked)
    }

    fn answer(m: &Mutator<'_, Self>, freed: &mut Freed) {
        let Some(slot) = m.own.bias.slot().filter(|slot| slot.is_asked()) else {
            return;
        };
        let from = m.inner.clock.now();
        let named = slot.take();
        for &object in &named {
            let Some(head) = Parts::of(object).answer(m.base()) else {
                continue;
            };
            if head & tag::HAS_WEAK != 0 || Self::is_young(m.inner, object) {
                m.retire(object);
            } else {
                m.cascade(object, head & tag::ALL & !tag::QUEUED, freed);
            }
        }
        let objects = named.len() as u64;
        m.own.tally.merged(objects);
        if objects >= DRAIN_EVENT_MINIMUM {
            let kind = EventKind::Merged { objects };
            m.inner.record_at(m.id, from, m.inner.clock.now(), kind);
        }
        slot.give_back(named);
    }

    #[inline(always)]
    fn is_due(m: &Mutator<'_, Self>) -> bool {
        DEFERRED && m.own.heat.is_due()
    }

    #[inline(always)]
    fn reconsider(m: &Mutator<'_, Self>, occasion: Occasion) {
        if DEFERRED && m.wants_to_reconsider() {
            m.reconsider_deferral(occasion);
        }
    }

    fn verify(locked: Locked<'_>) {
        locked.allocator.each_tagged(true, tag::FREE, 0, |object| {
            let word = own_word(object).load(Relaxed);
            let is_deferred = DEFERRED && word == deferred::DEFERRED;
            assert!(
                object.is_owned() == (word != 0 && !is_deferred),
                "gc-rc: verify: {object:?} has the owner's word {word:#x} and the head {:#x}",
                object.head()
            );
            assert!(
                word == 0 || is_deferred || counted(word) > 0,
                "gc-rc: verify: {object:?} is on its owner's list of retired objects"
            );
            true
        });
        if DEFERRED {
            deferred::verify(locked);
        }
    }
}

#[inline(never)]
fn release_late<const DEFERRED: bool>(
    m: &Mutator<'_, Biased<DEFERRED>>,
    object: Object,
    word: u32,
) -> bool {
    // What only its owner has seen needs no stamp, but to find that out takes longer.
    stamp(object).store(m.inner.epoch.stamp(), Relaxed);
    let own = is_mine(m.base(), word);
    let dropped = Parts::of(object).release(m.base(), word);
    m.own.tally.changed(own);
    if DEFERRED {
        deferred::released(m, object, word);
    }
    m.follow(object, dropped).is_some()
}
