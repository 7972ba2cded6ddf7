//! Cyclic garbage: what counting alone never reclaims.
//!
//! A cycle collector needs no roots. An object's count says how many references there are; if fewer come from the
//! objects under examination, something outside refers to it (a local, a global, an object of another generation), and all that it
//! reaches is alive. What is left is referred to only by itself.
//!
//! [`detect`](Locked::detect) is that computation, shared by whatever decides *which* objects to examine and *when*
//! (now [`generational`]). It is CPython's (`deduce_unreachable` in `Python/gc.c`: update and subtract references, then move what
//! is unreachable; the idea is older: Christopher 1984) with its data laid out for a cache. CPython copies the count of each
//! object into its list node, subtracts there, and moves nodes between linked lists. Here:
//!
//! * In-edges are *counted up* in the object's **side byte** ([`crate::alloc::side_byte`]) and compared with the count
//!   afterwards: one byte for 16 bytes of heap, so that the side bytes of a million small objects fit a second-level cache, and an
//!   edge costs no miss in the heap itself.
//! * The same byte says in which generation an object is, so that the objects to examine are found by reading side bytes, eight at a time, and
//!   no list of objects exists.
//! * The search for what is reachable is a sweep from high addresses to low ones. Objects mostly refer to older
//!   ones, which mostly lie lower: what the sweep has yet to come to is only marked, and its fields are looked at when it is
//!   reached, in order, as memory likes to be read. What lies behind goes on an explicit stack, where CPython moves nodes back
//!   into the list that it walks. The stack is scratch memory outside the heap's limit, of at most one word for each object.
//!
//! # The side byte
//!
//! | value | between collections | during one |
//! |---|---|---|
//! | 0 | not tracked | the same |
//! | [`YOUNG`] = 1 | generation 0 | candidate without in-edges so far |
//! | 2 to [`LAST_DIGIT`] | | candidate; one more than the number of in-edges found, modulo [`RADIX`] |
//! | [`REACHED`] | | candidate that something outside reaches |
//! | [`MIDDLE`], [`OLD`] | generation 1, 2 | not a candidate |
//!
//! The quotient of the in-edges is the *carry* in the object's header, so that popular objects cost one header write in [`RADIX`]
//! edges. Quotients beyond 16 bits (eight million in-edges) go to a table.
//!
//! A free cell, or one with an untracked object, may still have the value of the object that was there before: it is *stale*, which is found out when a
//! collection comes by, and put right then. So freeing does not touch side bytes.
//!
//! # Invariants
//!
//! 1. Between collections the side byte of a tracked object is its generation's value, and every carry is zero.
//! 2. After subtraction, in-edges found <= count, for every candidate.
//! 3. After detection a candidate is `REACHED` exactly if something outside the candidates reaches it.
//! 4. No object is pending when a collection begins: every count of zero has been acted upon.

pub(crate) mod generational;

use std::collections::HashMap;

use crate::alloc::{Block, side_byte};
use crate::heap::Locked;
use crate::object::{Object, is_immortal, prefetch, tag};

/// How cyclic garbage is found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Cycle {
    /// As CPython 3.13: three generations. The first is due when tracked allocations outnumber frees by more than
    /// 2000, an older one after more than 10 collections of the one before, the oldest only if what has come to it since its last
    /// collection is at least a quarter of what survived that. A collection that is due happens at the next safepoint.
    #[default]
    Generational,
    /// Not at all: cyclic garbage stays for as long as the heap does.
    None,
}

/// Side byte: generation 0.
pub(crate) const YOUNG: u8 = 1;
/// Side byte: as many in-edges as a byte can say.
const LAST_DIGIT: u8 = 0x7e;
/// Side byte: found reachable.
pub(crate) const REACHED: u8 = 0x7f;
/// Side byte: generation 1.
pub(crate) const MIDDLE: u8 = 0x81;
/// Side byte: generation 2.
pub(crate) const OLD: u8 = 0x82;

/// In-edges that a carry stands for.
const RADIX: u64 = LAST_DIGIT as u64;

/// How many bytes ahead of the cell at hand a sweep asks the cache for. The processor sees that addresses fall, but not far enough ahead.
const AHEAD: usize = 1536;

/// Whether a side byte is that of a candidate that was not reached so far.
#[inline(always)]
fn is_unreached(byte: u8) -> bool {
    byte.wrapping_sub(YOUNG) < LAST_DIGIT
}

/// Whether a side byte is that of a candidate.
#[inline(always)]
fn is_candidate(byte: u8) -> bool {
    byte.wrapping_sub(YOUNG) < REACHED
}

/// Whether a cell holds an object that the cycle collector tracks.
#[inline(always)]
pub(crate) fn is_tracked_object(cell: Object) -> bool {
    cell.head() & (tag::FREE | tag::UNTRACKED) == 0
}

/// Aborts the process when it is dropped: a process that goes on after a panic inside a collection would use a heap whose
/// invariants do not hold. A collection that ends well forgets it.
pub(crate) struct AbortOnUnwind;

impl Drop for AbortOnUnwind {
    fn drop(&mut self) {
        crate::system::complain(
            "gc-rc: panic inside a cycle collection; the heap cannot be trusted any more, aborting"
                .into(),
        );
        std::process::abort();
    }
}

/// The objects under examination.
pub(crate) struct Candidates {
    /// Blocks with candidates, by falling address, and the stretches of side bytes to look at.
    pub(crate) blocks: Vec<(Block, u64)>,
    /// Candidates that are looked at one by one: large ones, or all of a small set.
    pub(crate) others: Vec<Object>,
}

impl Candidates {
    /// Calls `f` with every cell in a block that has a candidate's side byte, by falling address.
    #[inline(always)]
    fn each_in_blocks(&self, mut f: impl FnMut(Object)) {
        for &(block, stretches) in &self.blocks {
            let mut rest = stretches;
            while rest != 0 {
                let stretch = 63 - rest.leading_zeros();
                rest &= !(1 << stretch);
                // One byte at a time: the side bytes ahead have just been written, one at a time.
                for cell in block.cells_in(stretch).rev() {
                    prefetch(cell.raw().wrapping_sub(AHEAD));
                    if is_candidate(side_byte(cell).get()) {
                        f(cell);
                    }
                }
            }
        }
    }
}

/// Quotients of in-edge counts that left the side byte.
#[derive(Default)]
struct Carries {
    /// Objects with a carry in their header, or in the table.
    objects: Vec<Object>,
    /// Carries that left the header, too.
    beyond: HashMap<Object, u64>,
}

impl Carries {
    const HEADER_MAXIMUM: u64 = 0xffff;

    #[cold]
    #[inline(never)]
    fn add(&mut self, object: Object) {
        let carry = object.carry();
        if carry == 0 && !self.beyond.contains_key(&object) {
            self.objects.push(object);
        }
        if carry < Self::HEADER_MAXIMUM {
            object.set_carry(carry + 1);
        } else {
            object.set_carry(0);
            *self.beyond.entry(object).or_default() += Self::HEADER_MAXIMUM + 1;
        }
    }

    /// The in-edges that were found to an object whose side byte is `byte`.
    #[inline(always)]
    fn in_edges(&self, object: Object, byte: u8) -> u64 {
        let mut quotient = object.carry();
        if !self.beyond.is_empty() {
            quotient += self.beyond.get(&object).copied().unwrap_or(0);
        }
        quotient * RADIX + u64::from(byte - YOUNG)
    }

    fn clear(self) {
        self.objects
            .into_iter()
            .for_each(|object| object.set_carry(0));
    }
}

/// Counts the edges from a candidate to candidates. Returns whether it was one: a stale side byte is cleared.
#[inline(always)]
fn subtract(object: Object, carries: &mut Carries) -> bool {
    if !is_tracked_object(object) {
        object.remove(tag::IN_YOUNG);
        side_byte(object).set(0);
        return false;
    }
    for child in object.fields().iter().filter_map(|field| field.get()) {
        let byte = side_byte(child);
        let value = byte.get();
        if is_unreached(value) {
            if value == LAST_DIGIT {
                byte.set(YOUNG);
                carries.add(child);
            } else {
                byte.set(value + 1);
            }
        }
    }
    true
}

/// Marks what `object` refers to as reached. What lies at or above `position` will not be visited again, and is pushed.
#[inline(always)]
fn scan(object: Object, position: usize, stack: &mut Vec<Object>) {
    // Old objects are not written to.
    if object.has(tag::IN_YOUNG) {
        object.remove(tag::IN_YOUNG);
    }
    for child in object.fields().iter().filter_map(|field| field.get()) {
        let byte = side_byte(child);
        if is_unreached(byte.get()) {
            byte.set(REACHED);
            if child.address() >= position {
                child.prefetch();
                stack.push(child);
            }
        }
    }
}

/// Whether a candidate is known to be reachable: from another that is, or because it has references that are not edges from candidates.
#[inline(always)]
fn is_reached(object: Object, carries: &Carries) -> bool {
    let byte = side_byte(object);
    if byte.get() != REACHED {
        let head = object.head();
        let in_edges = carries.in_edges(object, byte.get());
        debug_assert!(
            is_immortal(head) || in_edges <= head >> 32,
            "more edges than counts"
        );
        if head >> 32 == in_edges && !is_immortal(head) {
            return false;
        }
        byte.set(REACHED);
    }
    true
}

/// Visits a candidate: if it is reachable, marks what it refers to, and what that refers to as far as no later visit will. See
/// [`scan`] for `position`.
#[inline(always)]
fn visit(object: Object, position: usize, carries: &Carries, stack: &mut Vec<Object>) {
    if is_reached(object, carries) {
        scan(object, position, stack);
        while let Some(object) = stack.pop() {
            scan(object, position, stack);
        }
    }
}

impl Locked<'_> {
    /// Divides the candidates, whose side bytes are [`YOUNG`]: afterwards those of the reachable are [`REACHED`]. Stale side bytes are
    /// cleared. Returns how many were examined.
    fn detect(self, candidates: &Candidates) -> u64 {
        let mut examined = 0;
        let mut carries = Carries::default();
        candidates.each_in_blocks(|object| examined += subtract(object, &mut carries) as u64);
        for &object in &candidates.others {
            examined += subtract(object, &mut carries) as u64;
        }
        let mut stack = Vec::new();
        // A large object that something outside refers to is often the root of all the rest. It comes first, so that what it refers to is
        // only marked, for the sweep to visit in order, and not all pushed.
        let mut rest = Vec::new();
        for &object in &candidates.others {
            if is_reached(object, &carries) {
                scan(object, usize::MAX, &mut stack);
            } else {
                rest.push(object);
            }
        }
        candidates.each_in_blocks(|object| visit(object, object.address(), &carries, &mut stack));
        for object in rest {
            // Everything else has been visited: nothing is left to a later visit.
            visit(object, 0, &carries, &mut stack);
        }
        carries.clear();
        examined
    }

    /// Disposes of cyclic garbage: objects whose side bytes are [`YOUNG`], as no other object's are.
    ///
    /// The order is CPython's: weak references are cleared first (an object that dies by its *count* is still visible
    /// through them when its finalizer is due; one that dies in a cycle is not), then finalizers are queued, which own what they
    /// refer to from then on; what they do not reach dies. Returns the objects that live on.
    fn dispose(self, trash: Vec<Object>) -> Vec<Object> {
        for &object in trash.iter().filter(|object| object.has(tag::HAS_WEAK)) {
            self.clear_weak(object);
        }
        let due =
            |object: &&Object| object.head() & (tag::FINALIZE | tag::FINALIZED) == tag::FINALIZE;
        let finalizers: Vec<Object> = trash.iter().filter(due).copied().collect();
        let mut dying = trash;
        let mut resurrected = Vec::new();
        if !finalizers.is_empty() {
            for object in finalizers {
                self.queue_finalizer(object);
            }
            let candidates = Candidates {
                blocks: Vec::new(),
                others: dying,
            };
            self.detect(&candidates);
            (resurrected, dying) = candidates
                .others
                .into_iter()
                .partition(|&object| side_byte(object).get() == REACHED);
        }
        if self.allocator.is_guarded() {
            self.free_all::<true>(&dying)
        } else {
            self.free_all::<false>(&dying)
        }
        resurrected
    }

    /// Frees objects that only refer to each other, and releases what else they refer to. References among them need
    /// no counting any more.
    fn free_all<const GUARDED: bool>(self, dying: &[Object]) {
        for &object in dying {
            for child in object.fields().iter().filter_map(|field| field.get()) {
                if !is_unreached(side_byte(child).get()) {
                    self.release(child);
                }
            }
        }
        for &object in dying {
            side_byte(object).set(0);
            self.free::<GUARDED>(object, object.head() & tag::ALL & !tag::IN_YOUNG);
        }
        self.generational.freed(dying.len());
        if self.has_pending() {
            self.drain();
        }
    }
}
