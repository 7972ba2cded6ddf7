//! Raw time-stamped events: what a measuring program needs to know of waits, cascades and
//! collections, and nothing that is derived from them.
//!
//! Events go into a buffer that is allocated once; what does not fit is counted, not stored, so
//! that recording never allocates in the middle of what it records. The clock is read on slow paths
//! only: for the lock when it was contended, for a cycle collection always, and for a cascade of
//! deaths once it has freed [`DRAIN_EVENT_MINIMUM`] objects. That makes a bias, known and small:
//! the many cascades below the minimum have no event, and an event's `from` is late by the time of
//! the first [`DRAIN_EVENT_MINIMUM`] objects (well below a microsecond).
//!
//! Where the time of a counting heap goes: waiting for the lock, freeing and collecting are events.
//! Counting is not, because a clock takes longer than a count: how often it happens is in the
//! statistics of a build with the feature `count-statistics`, what it costs in the benches.
//!
//! # Listeners
//!
//! A [`Listener`] is client code, which never runs inside an operation, nor with the lock. What
//! happens while a thread has the lock waits until the thread gives it up: at the next safepoint,
//! blocking region, or end of its attachment. With no listener, recording costs one test of a
//! length more.
//!
//! Telling must not cause what it tells of. To give the lock up where others wait for it is to wait
//! for it in turn, so that a wait is no reason to give it up: it is told when there is another one.
//! What happens to a thread while it tells is told to nobody, and gives nothing up; and what is due
//! because of a listener's allocations happens to its thread, before that lets another in.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

use handshake::process::is_held;

use crate::room;

/// Cascades that free fewer objects are not reported.
pub const DRAIN_EVENT_MINIMUM: u64 = 64;

/// What happened between two readings.
#[derive(Clone, Debug, Default)]
pub struct EventLog {
    /// In the order in which they ended.
    pub events: Vec<Event>,
    /// Events that did not fit the buffer, or that there was no memory to tell a listener of: if
    /// not zero, counts and shares of time are lower bounds.
    pub lost: u64,
}

/// One event. Times are nanoseconds since the heap's [`origin`](crate::Heap::origin).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// The mutator it happened to, numbered from 0 in order of attachment, never reused.
    pub mutator: u32,
    /// When it began.
    pub from: u64,
    /// When it ended.
    pub until: u64,
    /// What it was.
    pub kind: EventKind,
}

/// What kind of event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// A wait for the global lock. In the regime [`ObjectLock`](crate::ObjectLock): for the lock of
    /// an object, if it was so long that the thread gave its processor up; from then on.
    LockWait,
    /// In a regime without the global lock: the mutator stood still for a stop. From its arrival at
    /// a safepoint, or its wish to attach or to leave a blocking region, until it ran again; for
    /// the mutator that asked for the stop, from its request until it had let the others go.
    Stopped {
        /// The stop's number, from 1.
        stop: u64,
    },
    /// In a regime without the global lock: a stop waited for the mutator, from the request until
    /// that had arrived. The difference is its time-to-safepoint. Reported by the mutator that
    /// asked, for each that was running at that moment.
    Arrived {
        /// The stop's number, from 1.
        stop: u64,
    },
    /// A cascade of deaths that counts falling to zero set off: at least [`DRAIN_EVENT_MINIMUM`]
    /// objects freed in one go.
    Drain {
        /// Objects freed.
        objects: u64,
    },
    /// In the regime [`Biased`](crate::Biased): the mutator merged objects that others had named to
    /// it, at least [`DRAIN_EVENT_MINIMUM`] in one go, and freed what it found dead.
    Merged {
        /// Objects that had been named.
        objects: u64,
    },
    /// A cycle collection.
    Collection {
        /// The oldest generation it collected, from 0. With [`Cycle::BaconRajan`](crate::Cycle),
        /// which has none: 2 if it was asked for or made at the limit, 0 if it became due.
        generation: u8,
        /// Objects in its generations, or that possible roots reached: as many as it had to
        /// examine, if it was not [spared](crate::Builder::cycle_filter) any of that.
        examined: u64,
        /// Objects it found unreachable.
        unreachable: u64,
        /// Whether the program asked for it by [`Mutator::collect`](crate::Mutator::collect).
        explicit: bool,
    },
}

/// Client code that is told of every event: see [`Builder::listener`](crate::Builder::listener).
///
/// ```
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
///
/// use gc_rc::{Event, EventKind, Heap, Listener};
///
/// #[derive(Default)]
/// struct Collections(AtomicU64);
///
/// impl Listener for Collections {
///     fn event(&self, event: &Event) {
///         if matches!(event.kind, EventKind::Collection { .. }) {
///             self.0.fetch_add(1, Relaxed);
///         }
///     }
/// }
///
/// let collections = Arc::new(Collections::default());
/// let heap = Heap::builder().limit(1 << 20).listener(collections.clone()).build()?;
/// heap.attach(|m| m.collect());
/// assert_eq!(collections.0.load(Relaxed), 1);
/// # Ok::<(), gc_rc::BuildError>(())
/// ```
pub trait Listener: Send + Sync {
    /// Called for each event, also for those that do not fit the buffer, on the thread that it
    /// happened to, after that thread has given the global lock up: at its next safepoint or
    /// blocking region, or when it detaches. A [wait for the lock](EventKind::LockWait) is not a
    /// reason to give it up at a safepoint: it is told when there is another one. Several threads
    /// may call at once.
    ///
    /// No lock of the heap is held. The thread counts as inside
    /// [`Mutator::blocking`](crate::Mutator::blocking): the listener may wait for others, and may
    /// attach to a heap, also to this one; of events that happen to it meanwhile no listener is
    /// told.
    ///
    /// A listener that panics is not called again. The panic is reported as any other and goes no
    /// further.
    fn event(&self, event: &Event);
}

/// The listeners of a heap to be.
#[derive(Clone, Default)]
pub(crate) struct Listeners(Vec<Arc<dyn Listener>>);

impl Listeners {
    pub(crate) fn add(&mut self, listener: Arc<dyn Listener>) {
        self.0.push(listener);
    }
}

impl fmt::Debug for Listeners {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} listeners", self.0.len())
    }
}

/// A listener, and whether it has panicked.
struct Listening {
    listener: Arc<dyn Listener>,
    failed: AtomicBool,
}

thread_local! {
    /// Whether this thread is telling listeners.
    static TELLING: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

/// Whether this thread is telling listeners.
pub(crate) fn is_telling() -> bool {
    TELLING.get()
}

/// The buffer and the listeners of a heap.
pub(crate) struct Recorder {
    origin: Instant,
    capacity: usize,
    log: Mutex<EventLog>,
    listeners: Vec<Listening>,
    /// Events that the listeners have not been told of.
    untold: Mutex<Vec<Event>>,
}

/// Locks `mutex`, under which nothing panics.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// A log with room for `capacity` events; `None` if there is no memory for it.
fn empty(capacity: usize) -> Option<EventLog> {
    let mut events = Vec::new();
    events.try_reserve_exact(capacity).ok()?;
    Some(EventLog { events, lost: 0 })
}

impl Recorder {
    /// `None` if there is no memory for a buffer of that capacity.
    pub(crate) fn new(capacity: usize, listeners: &Listeners) -> Option<Self> {
        let listening = |listener: &Arc<dyn Listener>| Listening {
            listener: listener.clone(),
            failed: AtomicBool::new(false),
        };
        let mut all = Vec::new();
        all.try_reserve_exact(listeners.0.len()).ok()?;
        all.extend(listeners.0.iter().map(listening));
        Some(Self {
            origin: Instant::now(),
            capacity,
            log: Mutex::new(empty(capacity)?),
            listeners: all,
            untold: Mutex::default(),
        })
    }

    pub(crate) fn origin(&self) -> Instant {
        self.origin
    }

    /// Whether another thread was recording when this process was forked.
    pub(crate) fn is_held(&self) -> bool {
        is_held(&self.log) || is_held(&self.untold)
    }

    /// Nanoseconds from the origin to `at`.
    pub(crate) fn since(&self, at: Instant) -> u64 {
        at.saturating_duration_since(self.origin).as_nanos() as u64
    }

    /// Whether there is anybody to be told of what happens to this thread.
    fn is_heard(&self) -> bool {
        let hears = |listening: &Listening| !listening.failed.load(Ordering::Relaxed);
        self.listeners.iter().any(hears) && !is_telling()
    }

    /// Records what began at `from` and ends now. Returns whether the lock is to be given up soon,
    /// to tell listeners of it.
    pub(crate) fn record(&self, mutator: u32, from: Instant, kind: EventKind) -> bool {
        self.record_at(mutator, self.since(from), self.since(Instant::now()), kind)
    }

    /// As [`Self::record`], between two times in nanoseconds since the origin.
    pub(crate) fn record_at(&self, mutator: u32, from: u64, until: u64, kind: EventKind) -> bool {
        let event = Event {
            mutator,
            from,
            until,
            kind,
        };
        let mut log = lock(&self.log);
        if log.events.len() == self.capacity || !room::push(&mut log.events, event) {
            log.lost += 1;
        }
        drop(log);
        let heard = self.is_heard();
        if heard && !room::push(&mut lock(&self.untold), event) {
            // Listeners lose what there is no memory for.
            lock(&self.log).lost += 1;
        }
        let waited = matches!(
            kind,
            EventKind::LockWait | EventKind::Stopped { .. } | EventKind::Arrived { .. }
        );
        heard && !waited
    }

    /// Tells the listeners what has happened to `mutator`, which is the current thread's, and does
    /// not have the lock.
    #[inline]
    pub(crate) fn tell(&self, mutator: u32) {
        if !self.listeners.is_empty() {
            self.tell_listeners(mutator);
        }
    }

    #[cold]
    #[inline(never)]
    fn tell_listeners(&self, mutator: u32) {
        let is_mine = |event: &mut Event| event.mutator == mutator;
        let mut mine = Vec::new();
        let mut untold = lock(&self.untold);
        if !room::set_aside(&mut mine, untold.len()) {
            // They are told when there is memory.
            return;
        }
        mine.extend(untold.extract_if(.., is_mine));
        let others = untold.len();
        room::fit(&mut *untold, others);
        drop(untold);
        if TELLING.replace(true) {
            // A listener attached: it need not hear of itself, or there would be no end.
            return;
        }
        for event in &mine {
            for listening in &self.listeners {
                if listening.failed.load(Ordering::Relaxed) {
                    continue;
                }
                // What a panic may have left half done is the listener's alone, which is not called
                // again.
                let call = AssertUnwindSafe(|| listening.listener.event(event));
                if let Err(payload) = catch_unwind(call) {
                    listening.failed.store(true, Ordering::Relaxed);
                    // Its destructor is client code too, and could panic once more.
                    std::mem::forget(payload);
                }
            }
        }
        TELLING.set(false);
    }

    /// Takes what was recorded. The buffer is exchanged for a new one that is made first, so that
    /// recorders wait for an exchange of pointers at most. If there is no memory for a new one it
    /// is made piece by piece, as far as there is, by those who record.
    pub(crate) fn take(&self) -> EventLog {
        let fresh = empty(self.capacity).unwrap_or_default();
        std::mem::replace(&mut *lock(&self.log), fresh)
    }
}
