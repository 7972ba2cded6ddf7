//! Counting: retain, release, the pending list, and the cascade that a death sets off.
//!
//! A release that leaves a count at zero does not free: the contract promises that nothing a
//! mutator could have read since its last `&mut` operation is reclaimed before its next one, so
//! that references read from the heap cost no count. The object goes to the **pending list**
//! instead, and the next `&mut` operation *drains* it: objects that gained a count again stay, the
//! others die.
//!
//! The cascade is a loop, not a recursion: dead objects are chained through their own headers,
//! which no longer need their counts, so that a list of ten million nodes dies on any stack and
//! without any memory. The order is that of CPython's recursive deallocation: an object before what
//! it refers to, its fields from first to last, each with all that dies of it. Where dying objects
//! *share* what they refer to, the order can differ: here an object gives up its references
//! together, CPython the second only when all that died of the first is gone. The shared object
//! then dies with the last of them to be reached here, which may be earlier.
//!
//! Rejected: giving up references one at a time, with a cursor in the dead object. A cell could
//! then be freed only after most of what died of it, and the list of free cells would no longer
//! hand a tree's cells out in address order (`alloc.rs`).
//!
//! # Lazy freeing
//!
//! With [`Free::Lazy`] the chain outlives the drain: pending objects only join it, marked `DEAD`,
//! and allocations take from it as much as they need (Weizenbaum's, of 1963, was the first counting
//! scheme and lazy). Finalizers and weak references are seen to when an object joins the chain. To
//! the cycle collector a dead object is none, and what it refers to is alive.
//!
//! # Invariants
//!
//! 1. An object is on the pending list exactly once if `QUEUED` is set in its tag (or nowhere, see
//!    below), and not at all otherwise. Its header and fields are intact, whatever its count.
//! 2. Outside of a drain, an object with count zero is on the pending list. Nobody frees an object
//!    that is. An object with `DEAD` set is on the chain of the dead exactly once, and no reference
//!    to it remains.
//! 3. The pending list belongs to the lock: it is empty when the lock is dropped and when a
//!    collection begins.
//! 4. An object whose finalizer is due has `FINALIZED` set, and is in the queue of those; or it has
//!    `FINALIZE` not set until it is.
//!
//! # When the system has no memory
//!
//! A release tells no error, and neither does a death, so the two lists that they add to do without
//! memory where there is none. An object that the pending list has no room for is pending by its
//! tag alone; the drain, when it is through with the list, finds such objects in a walk over the
//! heap. The list always has room for a few, so that it is never empty while something is pending:
//! nobody but the drain need know. The same holds for the queue of finalizers (invariant 4): it is
//! refilled by a walk when it is empty. What is lost is the order of these objects, and the time
//! for the walk.
//!
//! Rejected: setting room aside in `&mut` operations (any number of releases can come between two
//! of them); a list linked through the objects (their counts must stay counts, because a reference
//! may come back); room for every object that there is (an eighth of a heap of small ones, for what
//! happens once in a blue moon).
//!
//! CPython frees at once, from inside the assignment, and bounds its recursion with the *trashcan*;
//! Deutsch and Bobrow (1976) defer counts of stack references and need a scan of the stack to free.
//! Here locals own counts, only unrooted reads are deferred, and the borrow checker says when they
//! end.

use std::cell::Cell;
use std::time::Instant;

use crate::alloc::LARGE;
use crate::event::{DRAIN_EVENT_MINIMUM, EventKind};
use crate::gil::RELEASE;
use crate::heap::Locked;
use crate::object::{CountDown, HEADER_BYTES, Object, edges, link, linked, tag};
use crate::room;
use crate::statistics::CountOperation::{self, *};
use crate::step::{Step, Witness};

/// What happens when a count falls to zero.
///
/// ```
/// use gc_rc::{Flags, Free, Heap, HeapFull};
///
/// let heap = Heap::builder().free(Free::Lazy).build()?;
/// heap.attach(|m| {
///     m.frame(|m, [list]| {
///         for _ in 0..1000 {
///             m.alloc_move(list, Flags::NONE, [list], [])?;
///         }
///         m.set(list, None);
///         m.safepoint();
///         assert!(heap.statistics().freed_objects < 1000); // no pause for all of them
///         m.collect();
///         assert_eq!(heap.statistics().freed_objects, 1000);
///         Ok::<_, HeapFull>(())
///     })
/// })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Free {
    /// The object is freed at the next `&mut` operation, with all that dies of it: as in CPython.
    /// The cost is that of what dies.
    #[default]
    Eager,
    /// The object waits, and what it refers to stays as it is meanwhile. Each allocation of *n*
    /// bytes frees dead objects of about 2*n* bytes, so that no operation takes longer than in
    /// proportion to what it allocates (Boehm, "The space cost of lazy reference counting", POPL
    /// 2004, on why that is enough). What remains when a program stops allocating is freed by
    /// [`Mutator::collect`](crate::Mutator::collect), and at the limit. Deaths of what dead objects
    /// refer to are late by as much, and come in another order.
    Lazy,
}

/// Fields that a dead object of a lazy heap gives up in one go.
const SLICE: usize = 64;

/// What a drain did.
#[derive(Default)]
pub(crate) struct Freed {
    pub(crate) objects: u64,
    pub(crate) payload: u64,
    /// Those among them that the cycle collector tracked.
    pub(crate) tracked: usize,
    /// When there were enough of them for an event.
    pub(crate) long_since: Option<Instant>,
}

impl Freed {
    #[inline(always)]
    pub(crate) fn count(&mut self, object: Object, tag: u64) {
        self.objects += 1;
        self.payload += object.payload_bytes();
        self.tracked += (tag & tag::UNTRACKED == 0) as usize;
        if self.objects == DRAIN_EVENT_MINIMUM {
            self.long_since = Some(Instant::now());
        }
    }
}

// The count operations of a mutator. `locked` proves that the current thread holds the lock. It is
// called where the heap is of use, which is rare, so that the heap need not be looked for else: a
// load that precedes a store cannot be put off by a compiler.

/// Adds a reference to `object`.
#[inline(always)]
pub(crate) fn retain<'a>(object: Object, locked: impl Fn() -> Locked<'a>) {
    if object.count_up() {
        note_count(Increment, locked);
    }
}

/// Adds a reference to `object`: that of a field.
#[inline(always)]
pub(crate) fn retain_in_field<'a>(object: Object, locked: impl Fn() -> Locked<'a>) {
    retain(object, locked);
    object.insert(edges::IN);
}

/// Adds a reference to `to`: that of a field of `from`, which is about to be stored, and may close
/// a cycle.
#[inline(always)]
pub(crate) fn retain_in_field_of<'a>(
    from: Object,
    to: Object,
    locked: impl Fn() -> Locked<'a> + Copy,
) {
    retain(to, locked);
    if from.has(edges::SUSPECT) {
        // All that is to be known of it is.
        if !to.has(edges::IN) {
            to.insert(edges::IN);
        }
        return;
    }
    // In this order, so that an object that is to refer to itself is found, too.
    from.insert(edges::OUT);
    let marks = to.marks();
    to.set_marks(marks | edges::IN);
    if marks & edges::OUT != 0 && from.has(edges::IN) {
        locked().suspect(from, to);
    }
}

/// A reference to `to` becomes that of a field of `from`, which is about to be stored, and may
/// close a cycle. No count falls, so that possible roots are told of it here: `to` loses a
/// reference from outside.
#[inline(always)]
pub(crate) fn move_into_field_of<'a>(
    from: Object,
    to: Object,
    locked: impl Fn() -> Locked<'a> + Copy,
) {
    // In this order, as above.
    from.insert(edges::OUT);
    let marks = to.marks();
    to.set_marks(marks | edges::IN);
    if marks & edges::OUT != 0 && from.has(edges::IN) {
        if marks & (tag::BUFFERED | tag::UNTRACKED) == 0 {
            locked().buffer_possible_root(to);
        }
        if !from.has(edges::SUSPECT) {
            locked().suspect(from, to);
        }
    }
}

/// Takes a reference to `object` away. At zero the object becomes pending.
#[inline(always)]
pub(crate) fn release<'a>(object: Object, locked: impl Fn() -> Locked<'a> + Copy) {
    match object.count_down() {
        CountDown::ToNonZero => decremented(object, locked),
        CountDown::ToZero => locked().release_last(object),
        CountDown::Immortal => outlive(object, locked),
    }
}

/// The rare part of [`release`]: an immortal object, or, in a stopped world, one with an owner.
#[cold]
#[inline(never)]
fn outlive<'a>(object: Object, locked: impl Fn() -> Locked<'a> + Copy) {
    if object.outlive() {
        object.settle();
        release(object, locked);
    }
}

/// One of several references to `object` was taken away: it may be the root of garbage.
#[inline(always)]
fn decremented<'a>(object: Object, locked: impl Fn() -> Locked<'a> + Copy) {
    note_count(ToNonZero, locked);
    if !object.has(tag::BUFFERED | tag::UNTRACKED) {
        locked().buffer_possible_root(object);
    }
}

#[inline(always)]
fn note_count<'a>(operation: CountOperation, locked: impl Fn() -> Locked<'a>) {
    if cfg!(feature = "count-statistics") {
        locked().inner.counters.counts.count(operation);
    }
}

impl Locked<'_> {
    /// See [`retain`].
    #[inline(always)]
    pub(crate) fn retain(self, object: Object) {
        retain(object, || self);
    }

    /// See [`release`].
    #[inline(always)]
    pub(crate) fn release(self, object: Object) {
        release(object, || self);
    }

    /// The last reference to an object was taken away.
    #[inline(never)]
    fn release_last(self, object: Object) {
        self.inner.counters.counts.count(ToZero);
        let marks = object.marks();
        object.set_marks(marks | tag::QUEUED);
        if marks & tag::QUEUED == 0 {
            self.pend(object);
        }
    }

    /// Lists an object, which is queued, as pending.
    #[inline(always)]
    pub(crate) fn pend(self, object: Object) {
        if !self.pending.push(object) {
            self.pending_unlisted.set(true);
        }
    }

    /// Calls `look` with the pending objects that are on no list, and takes it that they are
    /// pending no more. Nothing else is pending.
    #[inline(always)]
    fn each_unlisted_pending(self, mut look: impl FnMut(Object)) {
        self.pending_unlisted.set(false);
        self.allocator
            .each_tagged(true, tag::QUEUED, tag::QUEUED, |object| {
                look(object);
                true
            });
    }

    /// Takes an object that has references again, and the marks `marks`, off the pending list. One
    /// was taken away and one remains, if in another order than usual: it may be the root of
    /// garbage.
    fn revive(self, object: Object, marks: u64) {
        object.set_marks(marks);
        if marks & (tag::BUFFERED | tag::UNTRACKED) == 0 {
            self.buffer_possible_root(object);
        }
    }

    /// Frees the cell of an object whose fields have been released.
    #[inline(always)]
    pub(crate) fn free<const GUARDED: bool>(self, object: Object, tag: u64) {
        if tag & tag::CLASS == LARGE as u64 {
            let allocator = &self.allocator;
            (allocator.large).free(object, &allocator.supply, &self.inner.counters);
        } else {
            self.allocator.free_small::<GUARDED>(object, tag);
        }
    }

    /// Puts an object into the queue of due finalizers. If there is no memory for it returns false:
    /// then the tag has to say so (invariant 4).
    #[inline(always)]
    pub(crate) fn list_finalizer(self, object: Object) -> bool {
        let mut queue = self.finalizable.borrow_mut();
        let objects = queue.len();
        let listed = room::set_aside(&mut *queue, objects + 1);
        if listed {
            queue.push_back(object);
        } else {
            self.finalizable_unlisted
                .set(self.finalizable_unlisted.get() + 1);
        }
        listed
    }

    /// Queues objects whose finalizers are due and that the queue, which is empty, had no room for.
    /// Returns the first of them.
    #[cold]
    #[inline(never)]
    pub(crate) fn queue_unlisted_finalizers(self) -> Option<Object> {
        let mut first = None;
        let mut queue = self.finalizable.borrow_mut();
        let wanted = self.finalizable_unlisted.get();
        // All, or as many as there is room for.
        let _ = wanted > 0 && room::set_aside(&mut *queue, wanted);
        let unlisted = |object: Object| {
            if first.is_some() && queue.len() == queue.capacity() {
                return false;
            }
            object.insert(tag::FINALIZE);
            self.finalizable_unlisted
                .set(self.finalizable_unlisted.get() - 1);
            match first {
                None => first = Some(object),
                Some(_) => queue.push_back(object),
            }
            self.finalizable_unlisted.get() > 0
        };
        if wanted > 0 {
            self.allocator.each_tagged(
                true,
                tag::FINALIZED | tag::FINALIZE | tag::FREE,
                tag::FINALIZED,
                unlisted,
            );
        }
        first
    }
}

impl<W: Witness> Locked<'_, W> {
    /// Lets the pending objects die that no reference has come back to. A lazy heap frees about
    /// `bytes` of what is dead, an eager one all.
    #[inline(never)]
    pub(crate) fn drain(self, bytes: usize) {
        let freed = match (self.free, self.allocator.is_guarded()) {
            (Free::Eager, false) => self.drain_list::<false>(),
            (Free::Eager, true) => self.drain_list::<true>(),
            (Free::Lazy, guarded) => {
                self.bury_pending();
                if guarded {
                    self.free_dead::<true>(bytes)
                } else {
                    self.free_dead::<false>(bytes)
                }
            }
        };
        self.generational.freed(freed.objects, freed.tracked);
        self.inner.counters.freed(freed.objects, freed.payload);
        self.unrecorded().note_deaths(freed.objects);
        if let Some(begun) = freed.long_since {
            let objects = freed.objects;
            let kind = EventKind::Drain { objects };
            self.inner.record(self.me, begun, kind);
            self.unrecorded().tidy(begun);
            self.unrecorded().account_metadata();
        }
    }

    fn drain_list<const GUARDED: bool>(self) -> Freed {
        let mut freed = Freed::default();
        let mut index = 0;
        // First come, first dead. Nothing is added meanwhile: what dies of a death is chained.
        while let Some(object) = self.pending.get(index) {
            index += 1;
            self.free_unless_revived::<GUARDED>(object, &mut freed);
        }
        self.pending.clear();
        if self.pending_unlisted.get() {
            self.free_unlisted::<GUARDED>(&mut freed);
        }
        freed
    }

    /// Frees a pending object, and what dies of that, if no reference has come back to it.
    #[inline(always)]
    fn free_unless_revived<const GUARDED: bool>(self, object: Object, freed: &mut Freed) {
        let marks = object.marks() & !tag::QUEUED;
        self.note(|| drained(object));
        if object.count() > 0 {
            self.unrecorded().revive(object, marks);
        } else {
            self.cascade::<GUARDED>(object, marks & tag::ALL, freed);
        }
    }

    /// [`Self::free_unless_revived`] for pending objects that are on no list. Apart, so that the
    /// loop over the list is compiled as one.
    #[cold]
    #[inline(never)]
    fn free_unlisted<const GUARDED: bool>(self, freed: &mut Freed) {
        self.unrecorded().each_unlisted_pending(|object| {
            object.settle();
            self.free_unless_revived::<GUARDED>(object, freed);
        });
    }

    /// Links the pending objects that no reference has come back to with those that wait to be
    /// freed.
    fn bury_pending(self) {
        let mut index = 0;
        while let Some(object) = self.pending.get(index) {
            index += 1;
            self.bury_unless_revived(object);
        }
        self.pending.clear();
        if self.pending_unlisted.get() {
            self.bury_unlisted();
        }
    }

    /// Links a pending object with those that wait to be freed if no reference has come back to it.
    #[inline(always)]
    fn bury_unless_revived(self, object: Object) {
        let marks = object.marks() & !tag::QUEUED;
        self.note(|| drained(object));
        if object.count() > 0 {
            self.unrecorded().revive(object, marks);
        } else {
            self.bury(object, marks & tag::ALL);
        }
    }

    /// [`Self::bury_unless_revived`] for pending objects that are on no list.
    #[cold]
    #[inline(never)]
    fn bury_unlisted(self) {
        self.unrecorded()
            .each_unlisted_pending(|object| self.bury_unless_revived(object));
    }

    /// Links an object, whose count is zero and whose tag is `tag`, with those that wait to be
    /// freed, unless its finalizer keeps it.
    #[inline(always)]
    fn bury(self, object: Object, tag: u64) {
        if tag & tag::WATCHED == 0 || self.announce_death(object, tag) {
            let tag = if tag & tag::WATCHED == 0 {
                tag
            } else {
                object.marks() & tag::ALL
            };
            object.set_head(linked(self.dead.get(), tag | tag::DEAD));
            self.dead.set(Some(object));
            self.note(|| Step::Buried {
                object: object.into(),
            });
        }
    }

    /// Frees dead objects until they add up to `bytes`, or none is left. The last to die goes
    /// first; one with many fields gives them up a slice at a time, and waits meanwhile.
    fn free_dead<const GUARDED: bool>(self, bytes: usize) -> Freed {
        let mut freed = Freed::default();
        let mut left = bytes as isize;
        while left > 0
            && let Some(object) = self.dead.get()
        {
            let head = object.head();
            let fields = object.fields();
            let kept = fields.len().saturating_sub(SLICE);
            if kept == 0 {
                // SAFETY: objects that wait to be freed have linked heads, and nothing of the chain
                // is freed but here.
                self.dead.set(unsafe { link(head) });
            }
            for child in fields[kept..].iter().rev().filter_map(Cell::get) {
                if self.release_unless_last(object, child) {
                    self.bury(child, child.marks() & tag::ALL);
                }
            }
            left -= (8 * (fields.len() - kept)) as isize;
            if kept > 0 {
                object.truncate(kept);
                freed.payload += 8 * SLICE as u64;
            } else {
                left -= HEADER_BYTES as isize + 8 * object.words() as isize;
                let tag = head & tag::ALL & !tag::DEAD;
                freed.count(object, tag);
                self.unrecorded().free::<GUARDED>(object, tag);
                self.note(|| Step::Freed {
                    object: object.into(),
                });
            }
        }
        freed
    }

    /// Takes the reference of a field of a dead object to `child` away. Returns whether it was the
    /// last one and nobody but the caller knows of it.
    #[inline(always)]
    fn release_unless_last(self, dead: Object, child: Object) -> bool {
        self.note(|| released(Some(dead), child));
        match child.count_down() {
            CountDown::ToNonZero => decremented(child, || self.unrecorded()),
            CountDown::ToZero => {
                self.inner.counters.counts.count(ToZero);
                // If not, the pending list has it, and will look at its count.
                return !child.has(tag::QUEUED);
            }
            CountDown::Immortal => return Self::outlive_unless_last(child),
        }
        false
    }

    /// The rare part of [`Self::release_unless_last`]: an immortal child, or, in a stopped world,
    /// one with an owner.
    #[cold]
    #[inline(never)]
    fn outlive_unless_last(child: Object) -> bool {
        child.outlive() && {
            child.settle();
            match child.count_down() {
                CountDown::ToZero => !child.has(tag::QUEUED),
                CountDown::ToNonZero => false,
                CountDown::Immortal => child.outlive(),
            }
        }
    }

    /// Frees everything that is dead. Cost: what a lazy heap has put off.
    pub(crate) fn free_all_dead(self) {
        self.settle();
        if self.has_dead() {
            self.drain(isize::MAX as usize);
        }
    }

    /// Frees an object whose count is zero and whose tag is `tag`, and what dies of that.
    #[inline(always)]
    fn cascade<const GUARDED: bool>(self, first: Object, tag: u64, freed: &mut Freed) {
        let (mut object, mut tag) = (first, tag);
        let mut dead = None;
        loop {
            if tag & tag::WATCHED == 0 || self.announce_death(object, tag) {
                // The chain is a stack: what is pushed last dies first.
                for child in object.fields().iter().rev().filter_map(|field| field.get()) {
                    if self.release_unless_last(object, child) {
                        child.set_head(linked(dead, child.marks() & tag::ALL));
                        dead = Some(child);
                    }
                }
                freed.count(object, tag);
                self.unrecorded().free::<GUARDED>(object, tag);
                self.note(|| Step::Freed {
                    object: object.into(),
                });
            }
            let Some(next) = dead else { return };
            object = next;
            let head = next.head();
            tag = head & tag::ALL;
            // SAFETY: chained objects have linked heads, and nothing of the chain is freed but
            // here.
            dead = unsafe { link(head) };
        }
    }

    /// What happens before an object's fields go, in CPython's order of a death by count: the
    /// finalizer, which may keep the object, then its weak references. Returns whether the object
    /// dies.
    #[cold]
    #[inline(never)]
    fn announce_death(self, object: Object, tag: u64) -> bool {
        // What the object had noted of its edges is lost where it was linked with others. Nothing
        // refers to it, so that it is in no cycle.
        object.set_head(tag | edges::OUT);
        if tag & (tag::FINALIZE | tag::FINALIZED) == tag::FINALIZE {
            self.queue_finalizer(object);
            return false;
        }
        if tag & tag::HAS_WEAK != 0 {
            self.unrecorded().clear_weak(object);
            self.note(|| Step::WeakCleared {
                object: object.into(),
            });
        }
        true
    }

    /// Hands the object to the queue of due finalizers, which owns a reference.
    pub(crate) fn queue_finalizer(self, object: Object) {
        object.insert(tag::FINALIZED);
        self.unrecorded().retain(object);
        if !self.unrecorded().list_finalizer(object) {
            object.remove(tag::FINALIZE);
        }
        self.note(|| Step::FinalizerDue {
            object: object.into(),
            count: object.count(),
        });
    }

    /// Carries out all deferred work: releases what was dropped elsewhere, and drains.
    #[inline(always)]
    pub(crate) fn settle(self) {
        let poll = &self.inner.mailbox.poll;
        if poll.load(crate::primitive::Ordering::Relaxed) & RELEASE != 0 {
            self.release_globals();
        }
        if self.has_pending() {
            self.drain(0);
        }
    }
}

/// The step of taking an object off the pending list.
fn drained(object: Object) -> Step {
    Step::Drained {
        object: object.into(),
        count: object.count(),
    }
}

/// The step of taking a reference to `to` away, which is about to be done: none if its count does
/// not change.
pub(crate) fn released(from: Option<Object>, to: Object) -> Option<Step> {
    (!to.is_immortal()).then(|| Step::Released {
        from: from.map(Into::into),
        to: to.into(),
        count: to.references() - 1,
    })
}

#[cfg(all(test, not(loom)))]
mod tests {
    use crate::object::ONE;
    use crate::{Heap, Shape};

    /// `mem::forget` of enough handles would take hours: the count starts just below where it
    /// saturates.
    #[test]
    fn a_saturated_count_is_immortal() {
        // Handles that are never dropped while the heap lives; forgotten ones differ in nothing.
        let mut kept = Vec::new();
        let heap = Heap::builder().poison(true).build().unwrap();
        heap.attach(|m| {
            m.frame(|m, [a]| {
                m.alloc(a, Shape::new(0, 1)).unwrap();
                let object = m.get(a).unwrap().object();
                object.set_head(object.head() + ((3 << 30) - 3) * ONE);
                for _ in 0..8 {
                    kept.push(m.global(m.get(a).unwrap()));
                }
                assert_eq!(object.count(), 3 << 30, "increments go on above the limit");
                m.set_word(m.get(a).unwrap(), 0, 7);
                let weak = m.downgrade(m.get(a).unwrap());
                for _ in 0..8 {
                    drop(m.global(m.get(a).unwrap()));
                    m.safepoint();
                }
                assert_eq!(object.count(), 3 << 30, "decrements of an immortal count");
                m.set(a, None);
                m.collect();
                m.verify();
                assert_eq!(m.word(m.upgrade(&weak).unwrap(), 0), 7);
            });
        });
        drop(heap);
        drop(kept);
    }
}
