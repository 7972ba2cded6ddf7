//! Cyclic garbage: what counting alone never reclaims.
//!
//! A cycle collector needs no roots. An object's count says how many references there are; if fewer come from the
//! objects under examination, something outside refers to it (a local, a global, an object of another generation), and all that it
//! reaches is alive. What is left is referred to only by itself.
//!
//! [`detect`](Locked::detect) is that computation, shared by whatever decides *which* objects to examine and *when*
//! (now [`generational`]). It is CPython's (`deduce_unreachable` in `Python/gc.c`: update and subtract references, then move what
//! is unreachable; the idea is older: Christopher 1984) with its data laid out for a cache:
//!
//! * CPython copies the count of each object into its list node, subtracts there, and moves nodes between linked lists.
//!   Here the in-edges are *counted up*, in the **side byte** of the object ([`crate::alloc::side_byte`]), and compared with the count afterwards:
//!   one byte for 16 bytes of heap, so that the side bytes of a million small objects fit a second-level cache and an edge costs no miss in the heap itself.
//! * The objects are examined by address, a block at a time, when all generations are; no list is followed.
//! * What is reachable is traced with an explicit stack, where CPython moves nodes back into the list that it is
//!   walking. The stack is scratch memory outside the heap's limit, of at most one word for each object.
//!
//! # The side byte
//!
//! Zero: not under examination, or found reachable. Otherwise one more than the number of in-edges found so far, modulo 255; the quotient is the
//! *carry* in the object's header, so that popular objects cost one header write in 255 edges. Quotients beyond 16 bits (16 million in-edges) go to a table.
//!
//! # Invariants
//!
//! 1. Outside of a collection every side byte and every carry is zero.
//! 2. After subtraction, in-edges found <= count, for every object examined.
//! 3. After detection an object under examination has side byte zero exactly if something outside reaches it.
//! 4. No object is pending when a collection begins: every count of zero has been acted upon.

pub(crate) mod generational;

use std::collections::HashMap;

use crate::alloc::side_byte;
use crate::heap::Locked;
use crate::object::{Object, is_immortal, tag};

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

/// A process that goes on after a panic inside a collection would use a heap whose invariants do not hold.
pub(crate) struct AbortOnUnwind;

impl Drop for AbortOnUnwind {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!(
                "gc-rc: panic inside a cycle collection; the heap cannot be trusted any more, aborting"
            );
            std::process::abort();
        }
    }
}

/// A set of objects under examination: those whose side byte is not zero, enumerable.
pub(crate) trait Candidates {
    /// Calls `f` with every tracked object of the set.
    fn each(&self, f: impl FnMut(Object));

    /// Calls `f` with every tracked object of the set whose side byte is not zero at that moment.
    fn each_unreached(&self, f: impl FnMut(Object));
}

/// Objects in a list.
impl Candidates for [Object] {
    fn each(&self, f: impl FnMut(Object)) {
        self.iter().copied().for_each(f);
    }

    fn each_unreached(&self, f: impl FnMut(Object)) {
        self.iter()
            .copied()
            .filter(|&object| side_byte(object).get() != 0)
            .for_each(f);
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
    const RADIX: u64 = 255;
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
        quotient * Self::RADIX + u64::from(byte) - 1
    }

    fn clear(self) {
        self.objects
            .into_iter()
            .for_each(|object| object.set_carry(0));
    }
}

impl Locked<'_> {
    /// Divides the candidates, whose side bytes are one: afterwards the reachable have zero there, and the others do not.
    /// Returns how many were examined.
    fn detect(self, candidates: &(impl Candidates + ?Sized)) -> u64 {
        let mut examined = 0;
        let mut carries = Carries::default();
        // Subtract references: count the edges between candidates.
        candidates.each(|object| {
            examined += 1;
            for child in object.fields().iter().filter_map(|field| field.get()) {
                let byte = side_byte(child);
                match byte.get() {
                    0 => {}
                    u8::MAX => {
                        byte.set(1);
                        carries.add(child);
                    }
                    some => byte.set(some + 1),
                }
            }
        });
        // Objects with a reference from outside, and all they reach.
        let mut stack: Vec<Object> = Vec::new();
        candidates.each_unreached(|object| {
            let byte = side_byte(object);
            let head = object.head();
            let in_edges = carries.in_edges(object, byte.get());
            debug_assert!(
                is_immortal(head) || in_edges <= head >> 32,
                "more edges than counts"
            );
            if head >> 32 == in_edges && !is_immortal(head) {
                return;
            }
            byte.set(0);
            stack.push(object);
            while let Some(object) = stack.pop() {
                for child in object.fields().iter().filter_map(|field| field.get()) {
                    let byte = side_byte(child);
                    if byte.get() != 0 {
                        byte.set(0);
                        child.prefetch();
                        stack.push(child);
                    }
                }
            }
        });
        carries.clear();
        examined
    }

    /// Disposes of cyclic garbage. The side bytes of exactly the `trash` are not zero before, and all are zero after.
    ///
    /// The order is CPython's: weak references are cleared first (an object that dies by its *count* is still visible
    /// through them when its finalizer is due; one that dies in a cycle is not), then finalizers are queued, which own what they
    /// refer to from then on; what they do not reach dies. Returns the objects that live on.
    fn dispose(self, trash: Vec<Object>) -> Vec<Object> {
        for &object in trash.iter().filter(|object| object.has(tag::HAS_WEAK)) {
            self.clear_weak(object);
        }
        let mut resurrected = Vec::new();
        let mut dying = trash;
        let due =
            |object: &&Object| object.head() & (tag::FINALIZE | tag::FINALIZED) == tag::FINALIZE;
        let finalizers: Vec<Object> = dying.iter().filter(due).copied().collect();
        if !finalizers.is_empty() {
            for object in finalizers {
                self.queue_finalizer(object);
            }
            dying.iter().for_each(|&object| side_byte(object).set(1));
            self.detect(dying.as_slice());
            dying.retain(|&object| {
                let dies = side_byte(object).get() != 0;
                if !dies {
                    resurrected.push(object);
                }
                dies
            });
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
                if side_byte(child).get() == 0 {
                    self.release(child);
                }
            }
        }
        for &object in dying {
            side_byte(object).set(0);
            self.free::<GUARDED>(object, object.head() & tag::ALL);
        }
        self.generational.freed(dying.len());
        if self.has_pending() {
            self.drain();
        }
    }
}
