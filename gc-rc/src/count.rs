//! Counting: retain, release, the pending list, and the cascade that a death sets off.
//!
//! A release that leaves a count at zero does not free: the contract promises that nothing a mutator could have read since its
//! last `&mut` operation is reclaimed before its next one, so that references read from the heap cost no count. The object goes
//! to the **pending list** instead, and the next `&mut` operation *drains* it: objects that gained a count again stay, the others die.
//!
//! The cascade is a loop, not a recursion: dead objects are chained through their own headers, which no longer need their counts, so
//! that a list of ten million nodes dies on any stack and without any memory. The order is that of CPython's recursive deallocation: an
//! object before what it refers to, its fields from first to last, each with all that dies of it. Where dying objects *share* what they refer
//! to, the order can differ: here an object gives up its references together, CPython the second only when all that died of the first is
//! gone. The shared object then dies with the last of them to be reached here, which may be earlier.
//!
//! Rejected: giving up references one at a time, with a cursor in the dead object. A cell could then be freed only after most of what died of
//! it, and the list of free cells would no longer hand a tree's cells out in address order (`alloc.rs`).
//!
//! # Invariants
//!
//! 1. An object is on the pending list exactly once if `QUEUED` is set in its tag, and not at all otherwise. Its header and
//!    fields are intact, whatever its count.
//! 2. Outside of a drain, an object with count zero is on the pending list. Nobody frees an object that is.
//! 3. The list belongs to the lock: it is empty when the lock is dropped and when a collection begins.
//!
//! CPython frees at once, from inside the assignment, and bounds its recursion with the *trashcan*; Deutsch and Bobrow (1976) defer
//! counts of stack references and need a scan of the stack to free. Here locals own counts, only unrooted
//! reads are deferred, and the borrow checker says when they end.

use std::time::Instant;

use crate::alloc::LARGE;
use crate::event::{DRAIN_EVENT_MINIMUM, EventKind};
use crate::gil::RELEASE;
use crate::heap::Locked;
use crate::object::{ONE, Object, is_immortal, is_saturated, link, linked, tag};

/// What a drain did.
#[derive(Default)]
struct Freed {
    objects: u64,
    /// Those among them that the cycle collector tracked.
    tracked: usize,
    /// When there were enough of them for an event.
    long_since: Option<Instant>,
}

impl Freed {
    #[inline(always)]
    fn count(&mut self, tag: u64) {
        self.objects += 1;
        self.tracked += (tag & tag::UNTRACKED == 0) as usize;
        if self.objects == DRAIN_EVENT_MINIMUM {
            self.long_since = Some(Instant::now());
        }
    }
}

impl Locked<'_> {
    /// Adds a reference to `object`.
    #[inline(always)]
    pub(crate) fn retain(self, object: Object) {
        let head = object.head();
        if !is_saturated(head) {
            object.set_head(head + ONE);
        }
    }

    /// Takes a reference to `object` away. At zero the object becomes pending.
    #[inline(always)]
    pub(crate) fn release(self, object: Object) {
        let head = object.head();
        // One signed comparison: an immortal head is negative.
        if head as i64 >= 2 * ONE as i64 {
            object.set_head(head - ONE);
        } else {
            self.release_last(object);
        }
    }

    /// The rare part of a release: the last reference, or an immortal object.
    #[inline(never)]
    fn release_last(self, object: Object) {
        let head = object.head();
        if is_immortal(head) {
            return;
        }
        debug_assert_eq!(head >> 32, 1, "a release without a reference");
        object.set_head((head - ONE) | tag::QUEUED);
        if head & tag::QUEUED == 0 {
            self.pending.push(object);
        }
    }

    /// Whether [`Locked::drain`] has something to do.
    #[inline(always)]
    pub(crate) fn has_pending(self) -> bool {
        self.pending.len() != 0
    }

    /// Lets the pending objects die that no reference has come back to.
    #[inline(never)]
    pub(crate) fn drain(self) {
        if self.allocator.is_guarded() {
            self.drain_list::<true>()
        } else {
            self.drain_list::<false>()
        }
    }

    fn drain_list<const GUARDED: bool>(self) {
        let mut freed = Freed::default();
        let mut index = 0;
        // First come, first dead. Nothing is added meanwhile: what dies of a death is chained.
        while let Some(object) = self.pending.get(index) {
            index += 1;
            let head = object.head() & !tag::QUEUED;
            if head >= ONE {
                object.set_head(head);
            } else {
                self.cascade::<GUARDED>(object, head, &mut freed);
            }
        }
        self.pending.clear();
        self.generational.freed(freed.tracked);
        if let Some(begun) = freed.long_since {
            self.inner.recorder.record(
                self.me,
                begun,
                EventKind::Drain {
                    objects: freed.objects,
                },
            );
        }
    }

    /// Frees an object whose count is zero and whose tag is `tag`, and what dies of that.
    #[inline(always)]
    fn cascade<const GUARDED: bool>(self, first: Object, tag: u64, freed: &mut Freed) {
        let (mut object, mut tag) = (first, tag);
        let mut dead = None;
        loop {
            if tag & tag::RITES == 0 || self.last_rites(object, tag) {
                // The chain is a stack: what is pushed last dies first.
                for child in object.fields().iter().rev().filter_map(|field| field.get()) {
                    let head = child.head();
                    if head as i64 >= 2 * ONE as i64 {
                        child.set_head(head - ONE);
                    } else if !is_immortal(head) {
                        debug_assert_eq!(head >> 32, 1, "a release without a reference");
                        if head & tag::QUEUED != 0 {
                            // The pending list has it, and will look at its count.
                            child.set_head(head - ONE);
                        } else {
                            child.set_head(linked(dead, head & tag::ALL));
                            dead = Some(child);
                        }
                    }
                }
                freed.count(tag);
                self.free::<GUARDED>(object, tag);
            }
            let Some(next) = dead else { return };
            object = next;
            tag = next.head() & tag::ALL;
            // SAFETY: chained objects have linked heads, and nothing of the chain is freed but here.
            dead = unsafe { link(next.head()) };
        }
    }

    /// Frees the cell of an object whose fields have been released.
    #[inline(always)]
    pub(crate) fn free<const GUARDED: bool>(self, object: Object, tag: u64) {
        if tag & tag::CLASS == LARGE as u64 {
            self.allocator.free_large(object, &self.inner.counters);
        } else {
            self.allocator.free_small::<GUARDED>(object, tag);
        }
    }

    /// What happens before an object's fields go, in CPython's order of a death by count: the finalizer, which may keep the
    /// object, then its weak references. Returns whether the object dies.
    #[cold]
    #[inline(never)]
    fn last_rites(self, object: Object, tag: u64) -> bool {
        object.set_head(tag);
        if tag & (tag::FINALIZE | tag::FINALIZED) == tag::FINALIZE {
            self.queue_finalizer(object);
            return false;
        }
        if tag & tag::HAS_WEAK != 0 {
            self.clear_weak(object);
        }
        true
    }

    /// Hands the object to the queue of due finalizers, which owns a reference.
    pub(crate) fn queue_finalizer(self, object: Object) {
        object.insert(tag::FINALIZED);
        self.retain(object);
        self.finalizable.borrow_mut().push_back(object);
    }

    /// Carries out all deferred work: releases what was dropped elsewhere, and drains.
    pub(crate) fn settle(self) {
        if self
            .inner
            .mailbox
            .poll
            .load(crate::primitive::Ordering::Relaxed)
            & RELEASE
            != 0
        {
            self.release_globals();
        }
        if self.has_pending() {
            self.drain();
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use crate::object::ONE;
    use crate::{Heap, Shape};

    /// `mem::forget` of enough handles would take hours: the count starts just below where it saturates.
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
