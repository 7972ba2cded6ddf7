//! The shared part of a heap: the arenas that no mutator holds, the budget, and the handles that
//! outlive an attachment.
//!
//! Invariant: an arena is either in [`Arenas::idle`] or owned by exactly one attached mutator, and
//! `attached` counts those. Only under the lock do arenas change hands; only under the lock and
//! with `attached == 0` are they reset.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use contract::event::EventLog;
use contract::heap::Statistics;

use crate::mutator::{Arena, Mutator};
use crate::object::Object;

/// Identities of heaps, one for each heap and reset; never reused.
static NEXT_IDENTITY: AtomicU64 = AtomicU64::new(1);

thread_local! {
    /// Whether this thread is attached to an arena heap and not inside `blocking`.
    static ATTACHED: Cell<bool> = const { Cell::new(false) };
}

fn new_identity() -> u64 {
    NEXT_IDENTITY.fetch_add(1, Ordering::Relaxed)
}

/// A heap: a handle to shared state, cheap to clone. Its memory goes away with the last handle and
/// the last attached mutator.
#[derive(Clone, Debug)]
pub struct Heap(Arc<Shared>);

#[derive(Debug)]
pub(crate) struct Shared {
    origin: Instant,
    limit: Option<usize>,
    /// Bytes granted to mutators and not given back.
    occupied: AtomicU64,
    peak: AtomicU64,
    objects: AtomicU64,
    payload: AtomicU64,
    committed: AtomicU64,
    arenas: Mutex<Arenas>,
}

#[derive(Debug)]
struct Arenas {
    identity: u64,
    attached: usize,
    /// In the order in which they were made, so that an iteration finds the pages the one before it
    /// touched.
    idle: Vec<(u32, Arena)>,
}

impl Heap {
    /// A heap with at most `limit` bytes of objects between two resets, or as many as there are.
    /// Each mutator's arena reserves that much address space; memory is used only as it is touched.
    ///
    /// # Errors
    ///
    /// A sentence, if the limit is below 4 KiB.
    pub fn new(limit: Option<usize>) -> Result<Self, String> {
        if let Some(limit) = limit.filter(|&limit| limit < 4096) {
            return Err(format!(
                "an arena of {limit} bytes is too small: give it at least 4096"
            ));
        }
        Ok(Self(Arc::new(Shared {
            origin: Instant::now(),
            limit,
            occupied: AtomicU64::new(0),
            peak: AtomicU64::new(0),
            objects: AtomicU64::new(0),
            payload: AtomicU64::new(0),
            committed: AtomicU64::new(0),
            arenas: Mutex::new(Arenas {
                identity: new_identity(),
                attached: 0,
                idle: Vec::new(),
            }),
        })))
    }

    /// Forgets every object and keeps the memory for the next ones: pages already touched need not
    /// be faulted in again. Globals and weak references made before are void; opening one panics.
    ///
    /// # Panics
    ///
    /// If a mutator is attached.
    pub fn reset(&self) {
        let mut arenas = self.0.lock();
        assert!(
            arenas.attached == 0,
            "an arena heap cannot be reset while {} mutators are attached",
            arenas.attached
        );
        arenas.identity = new_identity();
        let idle = arenas.idle.iter_mut().map(|(_, arena)| {
            arena.reset();
            arena.allocated_bytes() as u64
        });
        let committed = idle.sum();
        self.0.committed.store(committed, Ordering::Relaxed);
        self.0.occupied.store(0, Ordering::Relaxed);
    }
}

impl contract::heap::Heap for Heap {
    type Mutator<'h> = Mutator<'h>;
    type Global = Global;
    type Weak = Weak;

    fn attach<R>(&self, f: impl for<'h> FnOnce(&mut Mutator<'h>) -> R) -> R {
        assert!(
            !ATTACHED.get(),
            "this thread is already attached to an arena heap; attach again only inside \
             `Mutator::blocking`"
        );
        let _attachment = Attachment::set(true);
        f(&mut Mutator::new(Arc::clone(&self.0)))
    }

    /// A running mutator's part lags by at most what it allocated since its last grant (about 1
    /// MiB). Committed are all bytes that were ever in use at a time, and not the address space
    /// that is reserved beyond.
    fn statistics(&self) -> Statistics {
        let shared = &*self.0;
        let peak = shared.peak.load(Ordering::Relaxed);
        Statistics {
            limit_bytes: shared.limit_bytes(),
            allocated_objects: shared.objects.load(Ordering::Relaxed),
            allocated_payload_bytes: shared.payload.load(Ordering::Relaxed),
            occupied_bytes: shared.occupied.load(Ordering::Relaxed),
            peak_occupied_bytes: peak,
            committed_bytes: shared.committed.load(Ordering::Relaxed).min(peak),
            ..Statistics::default()
        }
    }

    fn origin(&self) -> Instant {
        self.0.origin
    }

    /// Nothing ever happens on an arena.
    fn take_events(&self) -> EventLog {
        EventLog::default()
    }

    /// Nothing is ever found dead.
    fn cleared_at(_weak: &Weak) -> Option<u64> {
        None
    }
}

/// Sets whether this thread is attached, and puts back what was there when dropped, also by a
/// panic.
pub(crate) struct Attachment(bool);

impl Attachment {
    pub(crate) fn set(attached: bool) -> Self {
        Self(ATTACHED.replace(attached))
    }
}

impl Drop for Attachment {
    fn drop(&mut self) {
        ATTACHED.set(self.0);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Arenas> {
        // Nothing that can panic half-way runs under the lock, so a poisoned one is as good as any.
        self.arenas.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn limit_bytes(&self) -> u64 {
        self.limit.unwrap_or(0) as u64
    }

    /// Hands an arena to a new mutator, with the number of the arena and the identity of the heap
    /// until the next reset.
    pub(crate) fn check_out(&self) -> (u32, Arena, u64) {
        let mut arenas = self.lock();
        arenas.attached += 1;
        let identity = arenas.identity;
        if !arenas.idle.is_empty() {
            let (number, arena) = arenas.idle.remove(0);
            return (number, arena, identity);
        }
        let number = arenas.attached as u32 - 1;
        // A system that refuses to promise so much memory gets an arena that grows by chunks:
        // slower, not wrong.
        let arena = self
            .limit
            .and_then(|limit| Arena::try_with_min_align_and_capacity(limit).ok())
            .unwrap_or_default();
        self.committed
            .fetch_add(arena.allocated_bytes() as u64, Ordering::Relaxed);
        (number, arena, identity)
    }

    /// Takes an arena back from a mutator that detaches.
    pub(crate) fn check_in(&self, number: u32, arena: Arena) {
        let mut arenas = self.lock();
        arenas.attached -= 1;
        let place = arenas.idle.partition_point(|(other, _)| *other < number);
        arenas.idle.insert(place, (number, arena));
    }

    /// Takes at least `least` and at best `wanted` bytes from the budget; says how many, or `None`
    /// if it has not even the least.
    pub(crate) fn grant(&self, least: u64, wanted: u64) -> Option<u64> {
        let limit = self.limit.map_or(u64::MAX, |limit| limit as u64);
        let sized = |occupied: u64| wanted.min(limit - occupied).max(least);
        let before = self
            .occupied
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |occupied| {
                (limit - occupied >= least).then(|| occupied + sized(occupied))
            })
            .ok()?;
        self.peak
            .fetch_max(before + sized(before), Ordering::Relaxed);
        Some(sized(before))
    }

    /// Gives back what a mutator was granted and did not use, and adds what it allocated to the
    /// counters.
    pub(crate) fn account(&self, unused: u64, objects: u64, payload: u64) {
        self.occupied.fetch_sub(unused, Ordering::Relaxed);
        self.objects.fetch_add(objects, Ordering::Relaxed);
        self.payload.fetch_add(payload, Ordering::Relaxed);
    }
}

/// A handle to an object that may be kept anywhere and dropped on any thread. It does not keep its
/// heap alive, and does not survive a [reset](Heap::reset).
#[derive(Clone, Debug)]
pub struct Global(Handle);

/// A weak reference. Nothing dies here, so it always upgrades, until a [reset](Heap::reset).
#[derive(Clone, Debug)]
pub struct Weak(Handle);

#[derive(Clone, Copy, Debug)]
struct Handle {
    identity: u64,
    object: Object,
}

impl Handle {
    /// The object, if it was made under `identity`.
    #[track_caller]
    fn check(self, identity: u64, what: &str) -> Object {
        assert!(
            self.identity == identity,
            "this {what} belongs to another heap, or to this one before it was reset"
        );
        self.object
    }
}

impl Global {
    pub(crate) fn new(identity: u64, object: Object) -> Self {
        Self(Handle { identity, object })
    }

    /// The object; its memory is valid for as long as a mutator of `identity` is attached.
    #[track_caller]
    pub(crate) fn object(&self, identity: u64) -> Object {
        self.0.check(identity, "global")
    }
}

impl Weak {
    pub(crate) fn new(identity: u64, object: Object) -> Self {
        Self(Handle { identity, object })
    }

    /// As [`Global::object`].
    #[track_caller]
    pub(crate) fn object(&self, identity: u64) -> Object {
        self.0.check(identity, "weak reference")
    }
}
