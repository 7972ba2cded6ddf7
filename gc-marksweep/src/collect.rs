//! One collection, from the request to the moment the mutators go on.
//!
//! ```text
//!   request ---- stopped ---- rooted ---------- marked ---- finished
//!      | handshake  | scan roots  | mark, weak     | reclaim,    | mutators
//!      |            |             | refs, finalizers| reserve    | go on
//! ```
//!
//! The mutator that ran out of memory carries it out on its own thread, and before it lets the others go takes the
//! memory it came for: so an allocation fails only if it does not fit into a heap that has just been collected,
//! and never because others were quicker.
//!
//! A panic in here would leave the heap half marked and the world stopped; it aborts the process with a message.

use std::io::Write as _;
use std::sync::atomic::Ordering;

use crate::event::{Event, EventKind};
use crate::heap::Shared;
use crate::mutator::Context;
use crate::object::{GRANULE, Object};
use crate::safepoint::World;

/// A block with fewer free granules than this (a thirty-second of it) counts as full: searching it would cost more
/// than what it yields.
const WORTH_SEARCHING: usize = crate::block::GRANULES_PER_BLOCK / 32;

/// How a request for a collection ended.
pub(crate) enum Collection<R> {
    /// It was carried out by the caller, with what the caller's closure returned.
    Done(R),
    /// Somebody else's collection satisfied it.
    Coalesced,
}

/// What a cycle found, and when.
pub(crate) struct Cycle {
    rooted: u64,
    marked: u64,
    pub(crate) live_bytes: u64,
}

impl Shared {
    /// Stops the world and collects, unless `target` stops are over by the time this one could begin; then runs `then`
    /// before the mutators go on.
    pub(crate) fn collect<R>(
        &self,
        me: &Context,
        target: u64,
        then: impl FnOnce(&World<'_, Context>) -> R,
    ) -> Collection<R> {
        let asked = self.events.now();
        let mut requested = None;
        let stop = self
            .handshake
            .stop(me.into(), target, || requested = Some(self.events.now()));
        // Without a request of its own it has only just come back from somebody else's stop.
        let requested = requested.unwrap_or_else(|| self.events.now());
        if let Some(stop) = stop.waited_for {
            self.record(me, asked, requested, EventKind::Stopped { stop });
        }
        let Some(world) = stop.world else {
            return Collection::Coalesced;
        };
        let stop = world.number();
        let stopped = self.events.now();
        let guard = AbortOnPanic;
        self.handles.prune_globals();
        let cycle = self.cycle(&world);
        let result = then(&world);
        std::mem::forget(guard);
        drop(world);
        let finished = self.events.now();
        let kind = EventKind::Collection {
            stop,
            stopped,
            rooted: cycle.rooted,
            marked: cycle.marked,
            live_bytes: cycle.live_bytes,
        };
        self.record(me, requested, finished, kind);
        self.record(me, requested, finished, EventKind::Stopped { stop });
        Collection::Done(result)
    }

    /// Marks everything that is reachable and finds out what is free.
    pub(crate) fn cycle(&self, world: &World<'_, Context>) -> Cycle {
        let guard = AbortOnPanic;
        let mut marker = self.marker.lock().expect("a panic while marking aborts");
        world.for_each(|context| context.buffer.retire());
        // SAFETY: the world is stopped; roots are live, and stay so until the trace is over.
        unsafe {
            marker.begin(self.space.begin_marking(self.supply.used_blocks()));
            self.for_each_root(world, |root| marker.push(root));
        }
        let rooted = self.events.now();
        // SAFETY: as above.
        unsafe { marker.trace(&self.space, &self.supply) };
        let is_marked = |object: Object| self.space.is_marked(object);
        self.handles.clear_weaks(is_marked);
        if self.handles.queue_finalizers(is_marked) {
            // SAFETY: as above; an object with a finalizer is live until that has been handed out.
            unsafe {
                self.handles.for_each_root(|root| marker.push(root));
                marker.trace(&self.space, &self.supply);
            }
        }
        // SAFETY: as above.
        unsafe { marker.finish(&self.space, self.supply.used_blocks()) };
        let marked = self.events.now();

        let small_bytes = self.supply.reclaim(&self.space, WORTH_SEARCHING);
        if self.poison {
            self.poison_free_memory();
        }
        let live_bytes = (small_bytes + marker.large_bytes()) as u64;
        let counters = &self.counters;
        counters.live_bytes.store(live_bytes, Ordering::Relaxed);
        counters.collections.fetch_add(1, Ordering::Relaxed);
        (counters.mark_stack_bytes).store(marker.footprint() as u64, Ordering::Relaxed);
        std::mem::forget(guard);
        Cycle {
            rooted,
            marked,
            live_bytes,
        }
    }

    /// Calls `f` with every root: what locals of stopped mutators hold, globals, objects whose finalizer is due.
    pub(crate) fn for_each_root(&self, world: &World<'_, Context>, mut f: impl FnMut(Object)) {
        // SAFETY: the world is stopped, and the caller is the collector.
        world.for_each(|context| unsafe { context.frames.for_each(&mut f) });
        self.handles.for_each_root(&mut f);
    }

    /// Looks again for memory after a collection, now in blocks that count as full too.
    pub(crate) fn reclaim_exhaustively(&self) {
        self.supply.reclaim(&self.space, 1);
    }

    pub(crate) fn record(&self, me: &Context, from: u64, until: u64, kind: EventKind) {
        self.events.record(Event {
            mutator: me.number,
            from,
            until,
            kind,
        });
    }

    fn poison_free_memory(&self) {
        for block in 0..self.supply.used_blocks() {
            let mut granule = 0;
            while let Some(hole) = self.space.next_hole(block as u32, granule, GRANULE) {
                // SAFETY: the world is stopped and all buffers are retired, so unmarked granules are nobody's.
                unsafe { crate::verify::poison(hole.start, hole.length) };
                granule = hole.end;
            }
        }
    }
}

/// Turns a panic into an abort: the heap is in no state to go on with.
pub(crate) struct AbortOnPanic;

impl Drop for AbortOnPanic {
    fn drop(&mut self) {
        // `eprintln` would panic where standard error cannot be written.
        let _ = writeln!(
            std::io::stderr(),
            "gc-marksweep: a panic inside a collection; the heap cannot go on"
        );
        std::process::abort();
    }
}
