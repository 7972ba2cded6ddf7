//! Cyclic garbage: what counting alone never reclaims.
//!
//! A cycle collector needs no roots. An object's count says how many references there are; if fewer
//! come from the objects under examination, something outside refers to it (a local, a global, an
//! object of another generation), and all that it reaches is alive. What is left is referred to
//! only by itself.
//!
//! [`detect`](Locked::detect) is that computation, shared by whatever decides *which* objects to
//! examine and *when* ([`generational`]; [`bacon_rajan`] shares its second half). It is CPython's
//! (`deduce_unreachable` in `Python/gc.c`: update and subtract references, then move what is
//! unreachable; the idea is older: Christopher 1984) with its data laid out for a cache. CPython
//! copies the count of each object into its list node, subtracts there, and moves nodes between
//! linked lists. Here:
//!
//! * The sum is kept in the object's **side byte** ([`crate::block::side_byte`]), biased: an edge
//!   takes one away, and the object's count is added when the subtraction comes to the object
//!   itself. One byte for 16 bytes of heap: the side bytes of a million small objects fit a
//!   second-level cache or nearly, an edge costs no miss in the heap itself, and what was found is
//!   known without reading a header again.
//! * The same byte says in which generation an object is, so that the objects to examine are found
//!   by reading side bytes, and no list of objects exists.
//! * The search for what is reachable is a sweep from high addresses to low ones. Objects mostly
//!   refer to older ones, which mostly lie lower: what the sweep has yet to come to is only marked,
//!   and its fields are looked at when it is reached, in order, as memory likes to be read. What
//!   lies behind goes on an explicit stack, where CPython moves nodes back into the list that it
//!   walks. If large objects alone reach everything, as tables do, there is no sweep.
//! * Most collections find nothing, and most objects cannot be in a cycle because no store has
//!   closed one. Only what is reachable from where one may have been closed is examined
//!   ([`filter`]).
//! * Where much must be examined, that there is nothing to find takes one pass to show, which is
//!   tried first where it is likely to succeed ([`optimistic`]).
//! * Neither loop branches on whether the target of an edge is a candidate, or reached already: in
//!   a graph that is a coin toss, and a processor that guesses wrong loses more than the whole edge
//!   costs. (Nulls are branched on: a byte that stands in for theirs would be written so often that
//!   each access would wait for the one before.)
//!
//! # Scratch memory
//!
//! Outside the heap's limit, a collection keeps a word for each object on the stack of the search,
//! for each with a count that no side byte takes up, for each that it finds unreachable, and for
//! each that possible roots reach: at most a few words for each candidate, usually far less than
//! one. The most that one took is in the statistics
//! ([`Statistics::peak_scratch_bytes`](crate::Statistics::peak_scratch_bytes)). It goes back when
//! the collection ends.
//!
//! A collection is made when memory is short, and the system may refuse all of that. None of these
//! lists is more than a short cut to what the side bytes say:
//!
//! * An object that the stack of the search has no room for takes the place of another, which is
//!   marked as reached and not scanned. When the search is through, all that is reached is scanned
//!   once more, until nothing was left out; each time something new is reached, so there is an end.
//!   A few thousand places are there always, and what comes last stays, so that the search follows
//!   a long list whatever hangs on it: as a rule one more pass is enough.
//! * Popular objects that are not listed are known by their counts, and unreachable ones by their
//!   side bytes: a walk over the candidates finds them.
//! * If what the possible roots reach cannot be listed, everything is examined instead, as in a
//!   full collection of generations.
//! * The carries that do not fit a header either (half a million edges to one object): such an
//!   object counts as reached.
//!
//! What is left is one entry for each block and each large object, for which memory is set aside
//! when the block is taken ([`candidates`]). So a collection needs no memory, and finds the same
//! with none; it only takes longer.
//!
//! # The side byte
//!
//! | value | between collections | during one |
//! |---|---|---|
//! | 0 | not tracked | the same |
//! | [`YOUNG`] = 64 | generation 0 | candidate: in balance. After subtraction: nothing outside refers to it |
//! | 1 to 126 | | candidate: [`YOUNG`] - edges found + count, once that was added |
//! | [`REACHED`] = 127 | | candidate that something outside reaches |
//! | [`SPARED`] = 128 | | no candidate any more: it survives without being examined ([`filter`]) |
//! | [`MIDDLE`], [`OLD`] | generation 1, 2 | not a candidate |
//!
//! Without generations all side bytes are zero between collections. A count above [`SMALL_COUNT`]
//! is not added: the object is listed as *popular*, and compared when subtraction is complete. Only
//! the edges to popular objects can outgrow the byte; every [`SMALL_COUNT`] of them are then moved
//! to the *carry* in the object's header, and what exceeds that (half a million edges) to a table.
//!
//! A free cell, or one with an untracked object, may still have the value of the object that was
//! there before: it is *stale*, which is found out when a collection comes by, and put right then.
//! So freeing does not touch side bytes.
//!
//! # Invariants
//!
//! 1. Between collections the side byte of a tracked object is its generation's value, and every
//!    carry is zero.
//! 2. After subtraction 0 <= count - edges found <= count, for every candidate.
//! 3. After detection the side byte of a candidate is above [`YOUNG`] exactly if something outside
//!    the candidates reaches it, and equal to it otherwise.
//! 4. No object is pending when a collection begins: every count of zero has been acted upon.

pub(crate) mod ahead;
pub(crate) mod bacon_rajan;
pub(crate) mod candidates;
mod detect;
pub(crate) mod filter;
pub(crate) mod generational;
pub(crate) mod optimistic;

use std::time::Instant;

use crate::abort::AbortOnUnwind;
use crate::block::{side_byte, take_bit};
use crate::count::released;
use crate::cycle::candidates::{Candidates, Trash};
use crate::event::EventKind;
use crate::gil::COLLECT;
use crate::heap::Locked;
use crate::object::{Object, tag};
use crate::primitive::Ordering;
use crate::step::{Step, Witness};

/// How cyclic garbage is found.
///
/// ```
/// use gc_rc::{Cycle, Flags, Heap, HeapFull};
///
/// for cycle in [Cycle::Generational, Cycle::BaconRajan, Cycle::None] {
///     let heap = Heap::builder().cycle(cycle).build()?;
///     heap.attach(|m| {
///         m.frame(|m, [ring]| {
///             m.alloc_init(ring, Flags::NONE, [ring], [])?;
///             let object = m.get(ring).expect("just made");
///             m.store(object, 0, Some(object));
///             let weak = m.downgrade(object);
///             m.set(ring, None);
///             m.collect();
///             assert_eq!(m.upgrade(&weak).is_some(), cycle == Cycle::None);
///             Ok::<_, HeapFull>(())
///         })
///     })?;
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Cycle {
    /// As CPython 3.13: three generations. The first is due when tracked allocations outnumber
    /// frees by more than 2000, an older one after more than 10 collections of the one before, the
    /// oldest only if what has come to it since its last collection is at least a quarter of what
    /// survived that. A collection that is due happens at the next safepoint.
    #[default]
    Generational,
    /// Synchronous trial deletion from a buffer of possible roots (Bacon and Rajan 2001): examines
    /// what is reachable from objects that lost a reference and kept another, when there are enough
    /// of them. A collection that is due happens at the next safepoint.
    BaconRajan,
    /// Not at all: cyclic garbage stays for as long as the heap does.
    None,
}

/// Side byte: generation 0; during a collection, a candidate in balance.
pub(crate) const YOUNG: u8 = 64;
/// Side byte: found reachable.
pub(crate) const REACHED: u8 = 127;
/// Side byte: during a collection, an object that survives it without being examined.
pub(crate) const SPARED: u8 = 128;
/// Side byte: generation 1.
pub(crate) const MIDDLE: u8 = 129;
/// Side byte: generation 2.
pub(crate) const OLD: u8 = 130;

/// The largest count that a side byte takes up, and the edges that a carry stands for.
const SMALL_COUNT: u8 = 62;

/// The oldest generation.
pub(crate) const OLDEST: usize = 2;

/// Whether a side byte is that of a candidate.
#[inline(always)]
pub(crate) fn is_candidate(byte: u8) -> bool {
    byte as i8 > 0
}

/// After subtraction: whether a side byte is that of a candidate that was reached.
#[inline(always)]
pub(crate) fn is_reached(byte: u8) -> bool {
    byte as i8 > YOUNG as i8
}

/// After detection: whether a side byte is that of an object that was to be examined and is alive.
#[inline(always)]
pub(crate) fn is_alive(byte: u8) -> bool {
    byte.wrapping_sub(YOUNG + 1) < SPARED - YOUNG
}

/// Whether a cell holds an object that the cycle collector tracks.
#[inline(always)]
pub(crate) fn is_tracked_object(cell: Object) -> bool {
    !cell.has(tag::FREE | tag::UNTRACKED | tag::DEAD)
}

impl Locked<'_> {
    /// Asks for a collection at the next safepoint.
    #[cold]
    #[inline(never)]
    pub(crate) fn request_collection(self) {
        self.inner.mailbox.poll.fetch_or(COLLECT, Ordering::Relaxed);
    }
}

impl<W: Witness> Locked<'_, W> {
    /// Collects what is due, if a collection was requested; if nothing is, looks for unused memory.
    /// Returns whether something was.
    pub(crate) fn collect_if_requested(self) -> bool {
        let poll = &self.inner.mailbox.poll;
        let requested = poll.load(Ordering::Relaxed) & COLLECT != 0;
        if requested {
            poll.fetch_and(!COLLECT, Ordering::Relaxed);
            let due = match self.cycle {
                Cycle::Generational => self.generational.due(),
                // Its generation is the youngest, so that nothing is taken for a full collection
                // that is none.
                Cycle::BaconRajan => self.unrecorded().possible_roots_are_due().then_some(0),
                Cycle::None => None,
            };
            if let Some(generation) = due {
                let watched = self.overhead.is_watching().then(Instant::now);
                self.collect(generation, false);
                if let Some(begun) = watched {
                    self.overhead.note_other(begun.elapsed());
                }
                return true;
            }
            // It was asked for to look for unused memory.
            self.unrecorded().tidy(Instant::now());
        }
        false
    }

    /// Collects a generation and all younger ones; with possible roots, whatever they reach. Does
    /// nothing if the heap has no cycle collector. `explicit`: the program asked for it by name.
    #[inline(never)]
    pub(crate) fn collect(self, generation: usize, explicit: bool) {
        self.settle();
        if self.cycle == Cycle::None {
            return;
        }
        let begun = Instant::now();
        let guard = AbortOnUnwind;
        self.collecting.set(true);
        self.note(|| Step::Began { generation });
        let (examined, unreachable) = match self.cycle {
            Cycle::BaconRajan => self.collect_possible_roots(generation < OLDEST),
            _ => self.collect_generations(generation),
        };
        self.note(|| Step::Ended {
            examined,
            unreachable,
        });
        self.collecting.set(false);
        std::mem::forget(guard);
        self.inner.counters.collected();
        self.unrecorded().account_metadata();
        let kind = EventKind::Collection {
            generation: generation as u8,
            examined,
            unreachable,
            explicit,
        };
        self.inner.record(self.me, begun, kind);
        self.unrecorded().tidy(begun);
    }

    /// Disposes of cyclic garbage: objects whose side bytes are [`YOUNG`], as no other object's
    /// are.
    ///
    /// The order is CPython's: weak references are cleared first (an object that dies by its
    /// *count* is still visible through them when its finalizer is due; one that dies in a cycle is
    /// not), then finalizers are queued, which own what they refer to from then on; what they do
    /// not reach dies. Calls `survive` with the objects that live on, whose side bytes it sets.
    fn dispose(self, mut trash: Trash, survive: impl Fn(Object)) {
        let finalizers = self.clear_all_weak(&trash);
        if finalizers {
            trash.each(|object| {
                if is_due(object.marks()) {
                    self.queue_finalizer(object);
                }
            });
            if trash.complete {
                let listed = std::mem::take(&mut trash.listed);
                let candidates = Candidates::one_by_one(listed, false);
                self.detect(&candidates);
                trash.listed = candidates.others;
                trash.listed.retain(|&object| {
                    let reached = is_reached(side_byte(object).get());
                    if reached {
                        survive(object);
                    }
                    !reached
                });
            } else {
                self.detect(&trash.among);
                trash.among.each(|object, side| {
                    if is_reached(side.get()) {
                        survive(object);
                    }
                });
            }
        }
        if self.allocator.is_guarded() {
            self.free_all::<true>(&trash)
        } else {
            self.free_all::<false>(&trash)
        }
        self.scratch.put_back(trash.among);
    }

    /// Clears the weak references to what is dying. Returns whether a finalizer is due.
    #[inline(never)]
    fn clear_all_weak(self, dying: &Trash) -> bool {
        let mut finalizers = false;
        dying.each(|object| {
            let marks = object.marks();
            finalizers |= is_due(marks);
            if marks & tag::HAS_WEAK != 0 {
                self.unrecorded().clear_weak(object);
                self.note(|| Step::WeakCleared {
                    object: object.into(),
                });
            }
        });
        finalizers
    }

    /// Frees objects that only refer to each other, and releases what else they refer to.
    /// References among them need no counting any more.
    fn free_all<const GUARDED: bool>(self, dying: &Trash) {
        dying.each(|object| {
            for child in object.fields().iter().filter_map(|field| field.get()) {
                if side_byte(child).get() != YOUNG {
                    self.note(|| released(Some(object), child));
                    self.unrecorded().release(child);
                }
            }
        });
        let (mut objects, mut payload) = (0, 0);
        let listed = self.generational.listed_bits();
        dying.each(|object| {
            side_byte(object).set(0);
            objects += 1;
            payload += object.payload_bytes();
            let tag = object.marks() & tag::ALL & !listed;
            self.unrecorded().free::<GUARDED>(object, tag);
            self.note(|| Step::Freed {
                object: object.into(),
            });
        });
        self.generational.freed(objects as u64, objects);
        self.inner.counters.freed(objects as u64, payload);
        if self.has_pending() {
            self.drain(0);
        }
    }
}

/// A cell that is not, or no longer, a tracked object is in no generation.
pub(crate) fn clear_stale(cell: Object) {
    cell.remove(tag::IN_YOUNG);
    side_byte(cell).set(0);
}

/// Whether the finalizer of an unreachable object, which has the marks `marks`, is due.
fn is_due(marks: u64) -> bool {
    marks & (tag::FINALIZE | tag::FINALIZED) == tag::FINALIZE
}

/// The numbers of the bits that are set.
fn bits(mut word: u64) -> impl Iterator<Item = u32> {
    std::iter::from_fn(move || take_bit::<true>(&mut word))
}
