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

use handshake::process::Resident;

use crate::count::Freed;
use crate::event::{DRAIN_EVENT_MINIMUM, EventKind};
use crate::gil::COLLECT;
use crate::heap::Locked;
use crate::mutator::{Mutator, Ref};
use crate::object::{ONE, OWNED, Object, Shape, edges, tag};
use crate::primitive::Ordering::{Acquire, Relaxed, SeqCst};
use crate::regime::Biased;
use crate::unlocked::deferred::Occasion;
use crate::unlocked::owners::Slot;
use crate::unlocked::parts::{
    AT_LEVEL, Asked, Dropped, LEVEL, NOBODY, OWN, OWNER_SHIFT, Parts, count, counted, is_mine,
    is_owned, noted, noted_bits, own_word, sum,
};
use crate::unlocked::word::{Look, Released};
use crate::unlocked::{Counting, deferred, stamp};

/// What a mutator has for this regime.
pub(crate) struct Bias {
    /// Its slot's number, where an owner's word has it; that of [`NOBODY`] if it has none: what it
    /// makes is merged from the start.
    base: Cell<u32>,
    /// The count in the head of what it makes, and the owner's word.
    first: Cell<(u64, u32)>,
    slot: Cell<Option<NonNull<Slot>>>,
}

impl Default for Bias {
    fn default() -> Self {
        Self {
            base: Cell::new(NOBODY << OWNER_SHIFT),
            first: Cell::new((ONE, 0)),
            slot: Cell::new(None),
        }
    }
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
    const MAY_BE_SINGLE: bool = true;
    const DEFERS: bool = DEFERRED;

    #[inline(always)]
    fn first(m: &Mutator<'_, Self>) -> u64 {
        m.own.bias.first.get().0
    }

    #[inline(always)]
    unsafe fn begin(m: &Mutator<'_, Self>, object: Object, shape: Shape) {
        let units = shape.refs as usize + shape.words as usize;
        let (_, word) = m.own.bias.first.get();
        let stamp = u64::from(m.inner.epoch.old_stamp());
        // SAFETY: the caller's promise. Nothing has been cut off from a new object.
        unsafe { object.write_word(units, u64::from(word) << 32 | stamp) };
    }

    #[inline(always)]
    fn retain(m: &Mutator<'_, Self>, object: Object) {
        retain(m, object, 0);
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
        retain(m, object, edges::IN);
    }

    #[inline(always)]
    fn release(m: &Mutator<'_, Self>, object: Object) -> bool {
        match release_early(m, object) {
            Ok(()) => {
                m.own.tally.changed(true);
                false
            }
            Err(word) => release_late(m, object, word),
        }
    }

    #[inline(always)]
    fn release_and_retire(m: &Mutator<'_, Self>, object: Object) {
        /// Apart, so that whoever is no last reference saves no registers.
        #[inline(never)]
        fn release_late_and_retire<const DEFERRED: bool>(
            m: &Mutator<'_, Biased<DEFERRED>>,
            object: Object,
            word: u32,
        ) {
            if release_late(m, object, word) {
                m.retire(object);
            }
        }

        match release_early(m, object) {
            Ok(()) => m.own.tally.changed(true),
            Err(word) => release_late_and_retire(m, object, word),
        }
    }

    #[inline(always)]
    fn release_of_dead(m: &Mutator<'_, Self>, object: Object) -> Released {
        let parts = Parts::of(object);
        let Err(word) = parts.release_own(m.base(), || ()) else {
            return Released::Kept;
        };
        match parts.release_last(m.base(), word) {
            Some(head) => Released::Last(head & (ONE - 1)),
            None => release_of_dead_late(m, object, word),
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
            let base = number << OWNER_SHIFT;
            m.own.bias.base.set(base);
            m.own.bias.first.set((AT_LEVEL, base + OWN));
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
        let tables = m.tables();
        if let Some(slot) = m.own.bias.slot() {
            slot.vacate(&tables);
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

/// Adds a reference, that of a field if `note` says so by `edges::IN`.
#[inline(always)]
fn retain<const DEFERRED: bool>(m: &Mutator<'_, Biased<DEFERRED>>, object: Object, note: u64) {
    match Parts::of(object).retain_own(m.base(), note) {
        Ok(()) => m.own.tally.changed(true),
        Err(_) => retain_late(m, object, note),
    }
}

/// The rest of that: it is not the owner's doing.
#[inline(never)]
pub(super) fn retain_late<const DEFERRED: bool>(
    m: &Mutator<'_, Biased<DEFERRED>>,
    object: Object,
    note: u64,
) {
    if m.is_single() {
        Parts::unshared(object).retain_with_others(note);
    } else {
        Parts::of(object).retain_with_others(note);
        m.own.tally.changed(false);
    }
}

/// Takes a reference away, if that is the owner's doing and not its last. Else this is the owner's
/// word.
#[inline(always)]
fn release_early<const DEFERRED: bool>(
    m: &Mutator<'_, Biased<DEFERRED>>,
    object: Object,
) -> Result<(), u32> {
    // Before the count is lowered, as elsewhere.
    let stamp = || {
        if !m.is_single() {
            stamp(object).store(m.inner.epoch.stamp(), Relaxed);
        }
    };
    Parts::of(object).release_own(m.base(), stamp)
}

/// The rest of releases: `word` is the owner's. Returns whether the caller is to retire the object.
#[inline(always)]
fn release_late<const DEFERRED: bool>(
    m: &Mutator<'_, Biased<DEFERRED>>,
    object: Object,
    word: u32,
) -> bool {
    let own = is_mine(m.base(), word);
    let dropped = if m.is_single() {
        if own {
            m.own.tally.changed(true);
        }
        Parts::unshared(object).release(m.base(), word)
    } else {
        // What only its owner has seen needs no stamp, but to find that out takes longer.
        stamp(object).store(m.inner.epoch.stamp(), Relaxed);
        m.own.tally.changed(own);
        Parts::of(object).release(m.base(), word)
    };
    if DEFERRED {
        deferred::released(m, object, word);
    }
    m.follow(object, dropped).is_some()
}

/// The rest of releases by dead objects.
#[inline(never)]
fn release_of_dead_late<const DEFERRED: bool>(
    m: &Mutator<'_, Biased<DEFERRED>>,
    object: Object,
    word: u32,
) -> Released {
    let dropped = if m.is_single() {
        Parts::unshared(object).release(m.base(), word)
    } else {
        Parts::of(object).release(m.base(), word)
    };
    if DEFERRED {
        deferred::released(m, object, word);
    }
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
