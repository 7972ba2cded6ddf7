//! What becomes of retired objects: they wait for a grace period, are looked at again, and die or
//! live on.
//!
//! A release that takes an object's last reference away puts it on the mutator's list of *zeros*.
//! At a later `&mut` operation these are *sealed*: they join the queue of the retired, as a batch
//! that is ready when the epoch in which it was sealed is old ([`super::epoch`]); or, if a grace
//! period passes there and then, as it does for a mutator that is alone, they are ready at once.
//! What is ready is looked at, object by object:
//!
//! * A reference came back: the object is queued no more, and lives.
//! * The count is zero, but it was raised and lowered since, not a grace period ago: once more.
//! * The count is zero and the stamp old: nobody has, and nobody can get, a reference. If its
//!   finalizer is due it is handed over to that. If it has weak references these are cleared, and
//!   it waits once more: somebody may have read its address out of a weak reference a moment
//!   before, and be about to look at its count. Else it dies, with all that only it kept alive.
//!
//! # What dies with it
//!
//! The cascade is that of [`crate::count`]: a loop, dead objects chained through their heads. A
//! child that loses its last reference to it, and whose stamp is old, is chained; nobody holds it,
//! because nobody could have come by it but through its parent, which has been out of reach for a
//! grace period, or through references that were cut off as long ago. A child that has weak
//! references is retired: `upgrade` gives its reference out as long as it is counted. So a list of
//! ten million nodes takes the one grace period of its head, and no stack.
//!
//! All through a cascade the mutator is at a quiescent point: what it has hold of is dead, and
//! nobody else's. It announces new epochs on the way, so that others' grace periods do not wait for
//! the end. (Else two threads that make and drop long lists have two of them each, as the dead one
//! waits for the other's cascade while the next is made.)
//!
//! # When
//!
//! Attending takes the lock of the handshake and a few fences, so it waits for [`ENOUGH`] objects
//! or [`PATIENCE`] operations, whichever comes first, unless one of the objects is large. What a
//! mutator keeps back is bounded by that where the others pass their safepoints; the lists are
//! charged against the limit, as all lists are. One that enters a blocking region, or goes, leaves
//! what it cannot free to the others. Where memory runs out, the world is stopped, which is a grace
//! period by itself.

use std::cell::Cell;
use std::collections::VecDeque;
use std::sync::atomic::Ordering::{Relaxed, Release};

use handshake::process::Resident;

use crate::alloc::CELL_BYTES;
use crate::count::Freed;
use crate::event::EventKind;
use crate::heap::Locked;
use crate::mutator::Mutator;
use crate::object::{HEADER_BYTES, ONE, Object, edges, link, linked, tag};
use crate::primitive::Ordering;
use crate::regime::Unlocked;
use crate::room;
use crate::unlocked::epoch::AGE;
use crate::unlocked::word::{Look, Released};
use crate::unlocked::{ADOPT, Seat};

/// Objects that are worth attending to.
const ENOUGH: usize = 64;
/// Safepoints after which fewer are.
const PATIENCE: u32 = 64;
/// So many safepoints a mutator has before it that has nothing retired. If it comes to the last of
/// them it looks, and finds nothing.
pub(super) const AT_REST: u32 = u32::MAX;
/// Bytes of an object that is worth it by itself.
const LARGE_BYTES: u32 = 4 << 10;
/// Room of lists, in objects, of which a difference is charged at once.
const WORTH_CHARGING: usize = 256;
/// Objects of a cascade after which the epoch is looked at.
const ANNOUNCE_EVERY: u64 = 64;
/// Batches that are told apart: more than there are epochs that are not old.
const BATCHES: usize = AGE as usize + 2;

/// Objects that wait for a grace period, the first to be ready first.
#[derive(Default)]
pub(crate) struct Retired {
    objects: VecDeque<Object>,
    /// The epoch in which a batch was sealed, and how many objects it has.
    batches: [(u64, usize); BATCHES],
    /// How many batches there are.
    len: usize,
}

impl Retired {
    /// Adds a batch of one more object. Returns whether there was memory for it.
    fn seal(&mut self, epoch: u64, object: Object) -> bool {
        let objects = self.objects.len();
        if !room::set_aside(&mut self.objects, objects + 1) {
            return false;
        }
        self.objects.push_back(object);
        match self.len.checked_sub(1) {
            // The last one, too, if there is no room for another: it is ready later, then.
            Some(last) if self.batches[last].0 == epoch || self.len == BATCHES => {
                self.batches[last].0 = epoch;
                self.batches[last].1 += 1;
            }
            _ => {
                self.batches[self.len] = (epoch, 1);
                self.len += 1;
            }
        }
        true
    }

    /// Takes an object of a batch that is ready in this epoch.
    fn take_ready(&mut self, epoch: u64) -> Option<Object> {
        while self.len > 0 {
            let (sealed, objects) = self.batches[0];
            if epoch - sealed < u64::from(AGE) {
                return None;
            }
            if objects > 0 {
                self.batches[0].1 -= 1;
                return self.objects.pop_front();
            }
            self.batches.rotate_left(1);
            self.len -= 1;
        }
        None
    }

    /// Gives back room that is out of proportion. Returns how many objects there are, and how much
    /// room there is.
    fn fit(&mut self) -> (usize, usize) {
        let objects = self.objects.len();
        room::fit(&mut self.objects, objects);
        (objects, self.objects.capacity())
    }

    /// Takes any object.
    pub(crate) fn take(&mut self) -> Option<Object> {
        let object = self.objects.pop_front();
        if object.is_none() {
            *self = Self::default();
        }
        object
    }
}

impl Seat {
    /// Whether anything is retired that this mutator looks after.
    #[inline(always)]
    pub(super) fn has_retired(&self) -> bool {
        // The queue's length, without a test of whether it is borrowed: nobody has it now.
        self.zeros.len() != 0 || self.waits.get()
    }

    /// Has what is retired attended to after so many safepoints at most.
    #[inline(always)]
    fn wait_at_most(&self, safepoints: u32) {
        self.patience.set(self.patience.get().min(safepoints));
    }

    /// At a safepoint: whether that was the last for which what is retired waits.
    #[inline(always)]
    pub(super) fn loses_patience(&self) -> bool {
        let left = self.patience.get().wrapping_sub(1);
        self.patience.set(left);
        left == 0
    }

    /// Whether it was. From then until it is attended to there is no other safepoint.
    pub(super) fn has_lost_patience(&self) -> bool {
        self.patience.get() == 0
    }

    /// Hands over everything that is retired, in a stopped world: it is pending.
    pub(super) fn hand_over_retired(&self, locked: Locked<'_>) {
        let mut retired = self.retired.borrow_mut();
        std::iter::from_fn(|| retired.take())
            .chain(self.zeros.iter())
            .for_each(|object| {
                object.settle_listed();
                locked.pend(object);
            });
        self.zeros.clear();
        self.zeros.fit();
        self.waits.set(false);
        self.patience.set(AT_REST);
        self.tally.keeps_none();
        charge(locked, &self.charged, self.zeros.capacity());
    }
}

impl<R: Unlocked> Mutator<'_, R> {
    /// Takes a reference away. An object that it was the last of is retired.
    #[inline(always)]
    pub(super) fn release(&self, object: Object) {
        R::release_and_retire(self, object);
    }

    /// Puts an object, whose count came to zero, on the list of those to be looked at.
    #[inline(always)]
    pub(super) fn retire(&self, object: Object) {
        if !self.list_retired(object) {
            self.retire_unlisted(object);
        }
    }

    #[cold]
    #[inline(never)]
    fn retire_unlisted(&self, object: Object) {
        R::requeue(self, object);
        leave_to_a_stop(self.tables().proof());
    }

    /// Lists a retired object. Returns whether there was memory for that.
    #[inline(always)]
    #[must_use]
    pub(super) fn list_retired(&self, object: Object) -> bool {
        let class = (object.shared_head().load(Relaxed) & tag::CLASS) as usize;
        let is_large = (CELL_BYTES.get(class)).is_none_or(|&bytes| bytes > LARGE_BYTES);
        let listed = self.own.zeros.push(object);
        if is_large || self.own.zeros.len() >= ENOUGH {
            self.own.patience.set(1);
        } else {
            self.own.wait_at_most(PATIENCE);
        }
        listed
    }

    /// Frees what is retired and out of reach, and has more come out of reach if it can. The
    /// mutator is at a quiescent point.
    #[cold]
    #[inline(never)]
    pub(super) fn attend_to_retired(&self) {
        let (seat, epoch) = (&self.own, &self.inner.epoch);
        self.inner.enter();
        seat.patience.set(AT_REST);
        epoch.announce(&seat.seen);
        if self.inner.base.mailbox.poll.load(Ordering::Relaxed) & ADOPT != 0 {
            self.adopt_orphans();
        }
        if !seat.has_retired() && !R::is_asked(self) {
            return;
        }
        let mut freed = Freed::default();
        R::answer(self, &mut freed);
        self.free_unseen(&mut freed);
        if seat.has_retired() {
            let begun = epoch.now();
            let is_over = || epoch.now() - begun >= u64::from(AGE);
            let advance = || {
                epoch.advance(|see| {
                    (self.inner.handshake).each_member(|seat: &Seat| see(&seat.seen));
                })
            };
            if self.is_single() {
                // Nobody else can hold anything.
                epoch.skip();
                epoch.announce(&seat.seen);
            }
            while !is_over() && advance() {
                epoch.announce(&seat.seen);
            }
            if is_over() {
                self.look_at_zeros(&mut freed);
            }
            self.seal();
        }
        loop {
            let next = seat.retired.borrow_mut().take_ready(epoch.now());
            let Some(object) = next else { break };
            seat.tally.keeps_no_more(object);
            self.look_again(object, &mut freed);
        }
        let (waiting, room) = seat.retired.borrow_mut().fit();
        seat.waits.set(waiting > 0);
        if waiting > 0 {
            seat.wait_at_most(PATIENCE);
        }
        self.count_freed(&freed);
        seat.tally.freed_after_grace(freed.objects);
        let room = room + seat.zeros.capacity();
        if room.abs_diff(seat.charged.get()) >= WORTH_CHARGING {
            let tables = self.tables();
            charge(tables.proof(), &seat.charged, room);
            tables.proof().account_metadata();
        }
    }

    fn count_freed(&self, freed: &Freed) {
        let seat = &self.own;
        seat.tally.freed(freed.objects, freed.payload);
        self.count_freed_objects(freed.objects, freed.tracked);
        if let Some(begun) = freed.long_since {
            let objects = freed.objects;
            let kind = EventKind::Drain { objects };
            if self.inner.base.recorder.record(self.id, begun, kind) {
                seat.tells.set(true);
            }
        }
    }

    /// Frees what has come to zero and need not wait, with what dies of that.
    fn free_unseen(&self, freed: &mut Freed) {
        let zeros = &self.own.zeros;
        let (mut index, mut kept) = (0, 0);
        // What is freed may have others come to zero, which join the list.
        while let Some(object) = zeros.get(index) {
            index += 1;
            if let Some(tag) = R::unseen(self, object) {
                self.cascade(object, tag & tag::ALL, freed);
            } else {
                zeros.set(kept, object);
                kept += 1;
            }
        }
        zeros.truncate(kept);
        zeros.fit();
    }

    /// Looks at what has come to zero, where a grace period has passed since the mutator came to
    /// its quiescent point: nothing need wait. What comes to zero by that is left.
    fn look_at_zeros(&self, freed: &mut Freed) {
        let zeros = &self.own.zeros;
        let looked_at = zeros.len();
        for object in zeros.iter() {
            self.own.tally.retired();
            self.look_again(object, freed);
        }
        zeros.remove_first(looked_at);
    }

    /// Moves what has come to zero to those that wait. The mutator is at a quiescent point.
    fn seal(&self) {
        let seat = &self.own;
        let now = self.inner.epoch.now();
        let mut retired = seat.retired.borrow_mut();
        for object in seat.zeros.iter() {
            seat.tally.retired();
            if retired.seal(now, object) {
                seat.tally.keeps(object);
            } else {
                R::requeue(self, object);
                leave_to_a_stop(self.tables().proof());
            }
        }
        seat.zeros.clear();
        seat.zeros.fit();
    }

    /// Looks at an object that has waited for a grace period.
    fn look_again(&self, object: Object, freed: &mut Freed) {
        let Look::Zero(head) = R::look(self, object) else {
            return;
        };
        if R::is_young(self.inner, object) {
            // It was raised and lowered since.
            self.retire(object);
            return;
        }
        if is_due(head) {
            self.queue_finalizer_unless_back(object);
            return;
        }
        if head & tag::HAS_WEAK != 0 {
            let tables = self.tables();
            R::forget(self, object, tag::HAS_WEAK);
            tables.proof().clear_weak_cell(object);
            drop(tables);
            R::renew(self, object);
            self.retire(object);
            return;
        }
        self.cascade(object, head & tag::ALL & !tag::QUEUED, freed);
    }

    /// Frees an object that nobody can reach, whose tag is `tag`, and what dies of that. The
    /// mutator is at a quiescent point.
    pub(super) fn cascade(&self, first: Object, tag: u64, freed: &mut Freed) {
        let (mut object, mut tag) = (first, tag);
        let mut dead = None;
        loop {
            if is_due(tag) {
                self.queue_finalizer(object, tag);
            } else {
                // The chain is a stack: what is pushed last dies first.
                for child in object.fields().iter().rev().filter_map(|field| field.get()) {
                    let Released::Last(head) = R::release_of_dead(self, child) else {
                        continue;
                    };
                    let may_be_held = || {
                        !self.is_single()
                            && (R::is_young(self.inner, child) || R::is_settling(self, child))
                    };
                    if head & tag::HAS_WEAK != 0 || may_be_held() {
                        self.retire_child(child);
                    } else {
                        child.set_head(linked(dead, head & tag::ALL));
                        dead = Some(child);
                    }
                }
                freed.count(object, tag);
                self.free(object, tag);
                if freed.objects.is_multiple_of(ANNOUNCE_EVERY) {
                    self.inner.epoch.announce(&self.own.seen);
                }
            }
            let Some(next) = dead else { return };
            object = next;
            tag = next.head() & tag::ALL;
            // SAFETY: chained objects have linked heads, and nobody else can reach them.
            dead = unsafe { link(next.head()) };
        }
    }

    /// [`Self::retire`], apart from the loop that frees what is not retired.
    #[cold]
    #[inline(never)]
    fn retire_child(&self, child: Object) {
        self.retire(child);
    }

    /// Hands an object that was looked at and found dead to the queue of finalizers, unless a
    /// reference came back. One may: if a dead object referred to this one until a moment ago,
    /// `upgrade` gave it out till then, and no stamp tells of that.
    #[cold]
    #[inline(never)]
    fn queue_finalizer_unless_back(&self, object: Object) {
        if R::claim(self, object, tag::FINALIZED | edges::OUT) {
            self.list_finalizer(object);
        }
    }

    /// Hands an object that nobody can reach to the queue of finalizers, which owns a reference.
    #[cold]
    #[inline(never)]
    fn queue_finalizer(&self, object: Object, tag: u64) {
        // What the object had noted of its edges is lost, as it was chained. Nothing refers to it,
        // so that it is in no cycle.
        let head = ONE | tag | tag::FINALIZED | edges::OUT;
        R::disown(self, object);
        object.shared_head().store(head, Release);
        self.list_finalizer(object);
    }

    /// Puts an object, whose head says so, into the queue of finalizers.
    fn list_finalizer(&self, object: Object) {
        if !self.tables().proof().list_finalizer(object) {
            R::forget(self, object, tag::FINALIZE);
        }
    }

    /// Leaves what is retired to the others.
    #[cold]
    pub(super) fn abandon_retired(&self) {
        let seat = &self.own;
        if !seat.has_retired() {
            return;
        }
        let tables = self.tables();
        let mut orphans = self.inner.orphans.borrow_mut();
        let orphaned = &self.inner.orphaned;
        let abandon = |object: Object| {
            R::requeue(self, object);
            if room::push(&mut orphans, object) {
                orphaned.bytes.set(orphaned.bytes.get() + occupies(object));
            } else {
                leave_to_a_stop(tables.proof());
            }
        };
        let mut retired = seat.retired.borrow_mut();
        std::iter::from_fn(|| retired.take())
            .chain(seat.zeros.iter())
            .for_each(abandon);
        seat.zeros.clear();
        seat.zeros.fit();
        seat.waits.set(false);
        seat.patience.set(AT_REST);
        seat.tally.keeps_none();
        charge(tables.proof(), &seat.charged, seat.zeros.capacity());
        charge(tables.proof(), &orphaned.charged, orphans.capacity());
        tables.proof().account_metadata();
        (self.inner.base.mailbox.poll).fetch_or(ADOPT, Ordering::Relaxed);
    }

    /// Looks after what others have left: from now on, as if it had been retired now.
    #[cold]
    #[inline(never)]
    fn adopt_orphans(&self) {
        let tables = self.tables();
        let orphaned = &self.inner.orphaned;
        let mut orphans = self.inner.orphans.borrow_mut();
        while let Some(&object) = orphans.last() {
            if !self.own.zeros.push(object) {
                return;
            }
            orphans.pop();
            orphaned.bytes.set(orphaned.bytes.get() - occupies(object));
        }
        *orphans = Vec::new();
        charge(tables.proof(), &orphaned.charged, 0);
        (self.inner.base.mailbox.poll).fetch_and(!ADOPT, Ordering::Relaxed);
    }
}

/// Bytes of an object that is kept back.
pub(super) fn occupies(object: Object) -> u64 {
    HEADER_BYTES as u64 + object.payload_bytes()
}

/// Has a list of retired objects charged for so much room, of which `charged` is charged already.
pub(super) fn charge(locked: Locked<'_>, charged: &Cell<usize>, room: usize) {
    let before = charged.replace(room);
    (locked.retired_room).set(locked.retired_room.get() - before + room);
}

/// There is no memory to list a retired object: the next stop finds it, and has been asked for.
#[cold]
#[inline(never)]
pub(super) fn leave_to_a_stop(locked: Locked<'_>) {
    locked.pending_unlisted.set(true);
    locked.request_collection();
}

/// Whether the finalizer of a dead object, whose tag is `tag`, is due.
#[inline(always)]
fn is_due(tag: u64) -> bool {
    tag & (tag::FINALIZE | tag::FINALIZED) == tag::FINALIZE
}
