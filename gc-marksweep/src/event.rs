//! What happened, with raw time-stamps, for whoever wants to know: kept in a buffer, and told to
//! listeners.
//!
//! The heap measures nothing itself: whoever reads the events decides what a pause is. They go into
//! a buffer that was allocated with the heap, so that recording one neither allocates nor waits for
//! anything but another recorder. When nobody takes them the buffer fills up, and further events
//! are only counted.
//!
//! # Time-to-safepoint
//!
//! The time-to-safepoint of a stop runs from the request to the moment at which the last mutator
//! had stopped; that of one mutator, from the request to its own arrival. An [`EventKind::Arrived`]
//! is exactly the latter, one for each mutator that was running when the stop was requested. A
//! mutator that has none for some stop kept nobody waiting: it was inside
//! [`blocking`](crate::Mutator::blocking), or had asked for the collection, or still stood where an
//! earlier stop had found it. How long it was held up itself, which is another matter, is an
//! [`EventKind::Stopped`].
//!
//! # Listeners
//!
//! A [`Listener`] is client code, so it runs where it can do no harm: on a mutator's own thread
//! when the stop that the event tells of is over and no lock of the heap is held, never inside a
//! pause. A panic in it ends there, because the places that report events include the destructor
//! that leaves a blocking region while another panic unwinds, and because an instrument should not
//! decide how the program under it ends. With no listener, recording costs one test of a length
//! more.
//!
//! Rejected: a thread that hands events on (a context switch for each, and an order that no longer
//! tells anything); running listeners inside the stop, where they would know of a laggard while it
//! lags (a listener that waits for a lock of a stopped thread would never return; the
//! [watchdog](crate::Builder::watchdog) is for that).

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use handshake::Clock;
use handshake::process::is_held;

use crate::room;

/// What happened between two readings.
#[derive(Clone, Debug, Default)]
pub struct EventLog {
    /// In the order in which they were recorded.
    pub events: Vec<Event>,
    /// Events that did not fit the buffer, or for which the system had no memory.
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
    /// The mutator stood still for a stop: from its arrival at a safepoint, or its wish to attach
    /// or to leave a blocking region, until it ran again. For the mutator that collected: from its
    /// request until it had let the others go. A mutator that wakes so late that another stop has
    /// begun stays where it is, and its event runs on.
    Stopped {
        /// The stop's number, from 1.
        stop: u64,
    },
    /// The stop waited for the mutator: from the request until the mutator had arrived, that is,
    /// stopped at a safepoint, entered a blocking region, or detached. The difference is its
    /// time-to-safepoint. Reported by the mutator that requested the stop, for each that was
    /// running at that moment.
    Arrived {
        /// The stop's number, from 1.
        stop: u64,
    },
    /// A collection, from the request to stop until the mutators were let go. The pause it made
    /// ends when the last of them runs, which is when the last [`EventKind::Stopped`] of the same
    /// stop ends.
    Collection {
        /// The stop's number, from 1.
        stop: u64,
        /// When the last mutator had stopped. No [`EventKind::Arrived`] of the same stop ends
        /// later.
        stopped: u64,
        /// When the roots had been scanned.
        rooted: u64,
        /// When marking was complete, weak references and finalizers included.
        marked: u64,
        /// Whether it looked only at what had been allocated since the last one.
        minor: bool,
        /// Whether the program asked for it, and not an allocation.
        explicit: bool,
        /// Bytes found live, headers and rounding included; of a minor collection: with all that
        /// had been found live before.
        live_bytes: u64,
        /// Bytes of objects when all mutators had stopped, dead ones included:
        /// [`Statistics::object_bytes`](crate::Statistics).
        object_bytes: u64,
        /// Bytes backed by the system when what is free had been found.
        committed_bytes: u64,
        /// Processor time that it took while all mutators were stopped, in nanoseconds: that of the
        /// collecting thread and of the helpers, which are counted up to the last work that they
        /// finished.
        cpu_ns: u64,
    },
    /// An allocation looked through several blocks for a hole that is large enough, and that took
    /// at least [`STALL_EVENT_MINIMUM`]. A collection, should it have been in vain, is not part of
    /// it.
    Stall,
}

/// Shorter searches for memory are not reported.
pub const STALL_EVENT_MINIMUM: Duration = Duration::from_micros(10);

/// Client code that is told of every event: see [`Builder::listener`](crate::Builder::listener).
///
/// ```
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
///
/// use gc_marksweep::{Event, EventKind, Heap, Listener};
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
/// # Ok::<(), gc_marksweep::BuildError>(())
/// ```
pub trait Listener: Send + Sync {
    /// Called for each event, also for those that do not fit the buffer, on the thread of the
    /// mutator that recorded it: the one it happened to, but for [`EventKind::Arrived`], which the
    /// mutator that requested the stop records. Several threads may call at once.
    ///
    /// The stop that the event tells of is over and no lock of the heap is held: it may allocate
    /// Rust memory, take locks, and call any method of [`Heap`](crate::Heap) but `attach`, which
    /// panics on a thread that is attached already. The mutator counts as running meanwhile, so a
    /// listener that takes long delays the next stop; and a lock that it takes must not be held by
    /// any thread across an operation of a mutator, which may call a listener.
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

/// The buffer and the listeners of one heap.
pub(crate) struct Recorder {
    clock: Clock,
    capacity: usize,
    log: Mutex<EventLog>,
    listeners: Vec<Listening>,
}

impl Recorder {
    /// `None` if there is no memory for a buffer of that capacity, or for the list of listeners.
    pub(crate) fn new(clock: Clock, capacity: usize, listeners: Listeners) -> Option<Self> {
        let listening = |listener| Listening {
            listener,
            failed: AtomicBool::new(false),
        };
        let mut heard = Vec::new();
        heard.try_reserve_exact(listeners.0.len()).ok()?;
        heard.extend(listeners.0.into_iter().map(listening));
        Some(Self {
            clock,
            capacity,
            log: Mutex::new(empty(capacity)?),
            listeners: heard,
        })
    }

    /// After a fork: whether a thread that is not there holds the lock.
    pub(crate) fn is_held(&self) -> bool {
        is_held(&self.log)
    }

    fn lock(&self) -> MutexGuard<'_, EventLog> {
        self.log
            .lock()
            .expect("no code that panics runs under this lock")
    }

    pub(crate) fn origin(&self) -> Instant {
        self.clock.origin()
    }

    /// Nanoseconds since the origin.
    pub(crate) fn now(&self) -> u64 {
        self.clock.now()
    }

    /// Records an event and tells the listeners. The caller is a running mutator, holds no lock,
    /// and relies on no state that client code could change.
    pub(crate) fn record(&self, event: Event) {
        let mut log = self.lock();
        // There is no room set aside for it only after a taking for which there was no memory.
        let kept = log.events.len() < self.capacity && room::push(&mut log.events, event);
        log.lost += u64::from(!kept);
        drop(log);
        if !self.listeners.is_empty() {
            self.tell(&event);
        }
    }

    /// Counts events that there was no memory for.
    pub(crate) fn lose(&self, events: u64) {
        if events > 0 {
            self.lock().lost += events;
        }
    }

    #[cold]
    fn tell(&self, event: &Event) {
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

    /// Removes and returns what was recorded. The buffer is exchanged for a new one that is made
    /// first, so that recorders wait for an exchange of pointers at most. If there is no memory for
    /// it, the next one makes its room event by event.
    pub(crate) fn take(&self) -> EventLog {
        let fresh = empty(self.capacity).unwrap_or_default();
        std::mem::replace(&mut *self.lock(), fresh)
    }
}

/// A log with room for `capacity` events; `None` if there is no memory for it.
fn empty(capacity: usize) -> Option<EventLog> {
    let mut events = Vec::new();
    events.try_reserve_exact(capacity).ok()?;
    Some(EventLog { events, lost: 0 })
}
