//! The heap: what all mutators share, how it is configured, and its counters.

use std::fmt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use handshake::process::{Home, INSIDE, Resident, is_held};
use handshake::{Clock, Handshake, Watchdog};

use crate::attach::Context;
use crate::block::Space;
use crate::builder::{BuildError, Builder};
use crate::event::{EventLog, Recorder};
use crate::handle::Handles;
use crate::mark::Marker;
use crate::mutator::Mutator;
use crate::os::Refused;
use crate::overhead::Overhead;
use crate::policy::Policy;
use crate::remember::Orphans;
use crate::shared::Shared;
use crate::statistics::{Counters, Statistics};
use crate::supply::Supply;
use crate::workers::default_workers;

/// A stop-the-world, non-moving mark-sweep heap: a handle, cheap to clone. The memory goes with the
/// last handle and the last attached mutator.
#[derive(Clone)]
pub struct Heap(pub(crate) Shared<Inner>);

impl Heap {
    /// Starts the configuration of a heap.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Attaches the calling thread for the length of `f`. Waits out a collection that is in
    /// progress.
    ///
    /// # Panics
    ///
    /// If the thread is already attached to a mark-sweep heap, unless it is inside
    /// [`Mutator::blocking`]. After a fork, if the heap lacks other threads: see the crate's
    /// documentation. If more than 16 threads are attached and the system has no memory to note one
    /// more; the heap is as before then.
    ///
    /// ```
    /// let heap = gc_marksweep::Heap::builder().limit(1 << 20).build()?;
    /// let numbers = std::thread::scope(|s| {
    ///     [s.spawn(|| heap.attach(|m| m.number())), s.spawn(|| heap.attach(|m| m.number()))]
    ///         .map(|thread| thread.join().expect("it does not panic"))
    /// });
    /// assert_eq!(numbers[0].min(numbers[1]), 0);
    /// assert_eq!(numbers[0].max(numbers[1]), 1);
    /// # Ok::<(), gc_marksweep::BuildError>(())
    /// ```
    pub fn attach<R>(&self, f: impl for<'h> FnOnce(&mut Mutator<'h>) -> R) -> R {
        Mutator::attach(self, f)
    }

    /// The heap's counters. Never waits for a mutator.
    pub fn statistics(&self) -> Statistics {
        let counters = &self.0.counters;
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let usage = self.0.supply.usage();
        let (occupied, backed) = (usage.occupied as u64, usage.backed as u64);
        // A thread that a fork has left behind may hold the lock for ever.
        let found = if self.0.may_enter() {
            *counters.found()
        } else {
            None
        };
        let object_bytes = counters.object_bytes(found);
        let found = found.map(|(found, _)| found);
        let collector_bytes = load(&counters.collector_bytes);
        Statistics {
            limit_bytes: self.0.supply.limit() as u64,
            allocated_objects: load(&counters.objects),
            allocated_payload_bytes: 8 * load(&counters.payload_words),
            occupied_bytes: occupied,
            peak_occupied_bytes: usage.peak as u64,
            goal_bytes: usage.goal as u64,
            metadata_bytes: usage.metadata as u64,
            free_bytes: backed.saturating_sub(occupied),
            collector_bytes,
            committed_bytes: backed.max(occupied) + collector_bytes,
            last_collection: found,
            live_bytes: found.map(|found| found.live_bytes),
            object_bytes,
            collections: load(&counters.collections),
            minor_collections: load(&counters.minor_collections),
        }
    }

    /// The moment at which the time-stamps of [`Self::take_events`] are zero.
    pub fn origin(&self) -> Instant {
        self.0.events.origin()
    }

    /// Removes and returns what happened since the last call. Never waits for a mutator.
    ///
    /// # Panics
    ///
    /// After a fork, if the heap lacks other threads: see the crate's documentation.
    ///
    /// ```
    /// use gc_marksweep::{EventKind, Heap};
    ///
    /// let heap = Heap::builder().limit(1 << 20).build()?;
    /// heap.attach(|m| m.collect());
    /// let log = heap.take_events();
    /// let is_collection = |kind| matches!(kind, EventKind::Collection { .. });
    /// let collections = log.events.iter().filter(|event| is_collection(event.kind));
    /// assert_eq!((collections.count(), log.lost), (1, 0));
    /// # Ok::<(), gc_marksweep::BuildError>(())
    /// ```
    pub fn take_events(&self) -> EventLog {
        self.0.enter();
        self.0.events.take()
    }
}

impl fmt::Debug for Heap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Heap")
            .field("id", &self.0.id)
            .field("statistics", &self.statistics())
            .finish_non_exhaustive()
    }
}

/// What all mutators of a heap share.
pub(crate) struct Inner {
    pub(crate) id: u64,
    /// The process whose threads use it.
    home: Home,
    pub(crate) stress: bool,
    pub(crate) poison: bool,
    pub(crate) space: Space,
    pub(crate) supply: Supply,
    pub(crate) policy: Policy,
    pub(crate) overhead: Mutex<Overhead>,
    /// The number of the last stop with a major collection.
    pub(crate) last_major: AtomicU64,
    /// When the last cycle was over.
    pub(crate) last_finished: AtomicU64,
    pub(crate) orphans: Orphans,
    pub(crate) handshake: Handshake<Context>,
    pub(crate) marker: Mutex<Marker>,
    pub(crate) handles: Handles,
    pub(crate) events: Recorder,
    pub(crate) counters: Counters,
}

impl Inner {
    /// What `builder` asks for, whose settings are in their ranges.
    pub(crate) fn new(builder: Builder) -> Result<Shared<Self>, BuildError> {
        static NEXT_ID: AtomicU64 = AtomicU64::new(0);

        let limit = builder.limit;
        let refused = |refused: Refused| BuildError::AddressSpace {
            limit,
            bytes: refused.asked,
            source: refused.source,
        };
        let clock = Clock::new();
        let watchdog = builder.watchdog.map(|patience| Watchdog {
            patience,
            heap: "gc-marksweep",
            complain: crate::os::complain,
        });
        let events = builder.event_capacity;
        let recorder = Recorder::new(clock, events, builder.listeners)
            .ok_or(BuildError::EventCapacity { events })?;
        let workers = match builder.marking_workers {
            0 => default_workers(Builder::MAX_MARKING_WORKERS),
            workers => workers,
        };
        let marker = Marker::new(builder.prefetch_depth, workers, builder.mark_stack_limit)
            .ok_or(BuildError::Memory)?;
        let space = Space::new(limit).map_err(refused)?;
        let supply = Supply::new(&space, limit, builder.release_after).map_err(refused)?;
        let policy = Policy::new(
            builder.generations,
            builder.sizing,
            builder.nursery,
            limit,
            builder.stress,
        );
        let initial = policy.settings();
        supply.set_goal(initial.goal);
        supply.set_allowance(initial.allowance);
        Shared::new(Self {
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            home: Home::here(),
            stress: builder.stress,
            poison: builder.poison,
            supply,
            space,
            policy,
            overhead: Mutex::new(Overhead::new(builder.overhead_limit, limit as u64)),
            last_major: AtomicU64::new(0),
            last_finished: AtomicU64::new(0),
            orphans: Orphans::default(),
            handshake: Handshake::new(watchdog, clock).ok_or(BuildError::Memory)?,
            marker: Mutex::new(marker),
            handles: Handles::default(),
            events: recorder,
            counters: Counters::default(),
        })
        .ok_or(BuildError::Memory)
    }
}

impl Resident for Inner {
    const CRATE: &'static str = "gc-marksweep";

    fn home(&self) -> &Home {
        &self.home
    }

    // Marking helpers do not matter: outside a stop they hold nothing, and the child starts its
    // own.
    fn look(&self) -> Result<(), String> {
        self.handshake.look_after_fork()?;
        let held = self.supply.is_held()
            || self.handles.is_held()
            || self.events.is_held()
            || self.orphans.is_held()
            || self.policy.is_held()
            || is_held(&self.overhead)
            || is_held(&self.marker)
            || is_held(&self.counters.found);
        match held {
            true => Err(INSIDE.to_owned()),
            false => Ok(()),
        }
    }
}
