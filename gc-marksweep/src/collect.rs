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

use std::sync::atomic::Ordering;

use crate::event::{Event, EventKind};
use crate::heap::Shared;
use crate::mutator::Context;
use crate::object::{GRANULE, Object};
use crate::safepoint::{Arrival, Report, Wait, World};

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
        let stop = self.handshake.stop(me.into(), target);
        let Some(world) = stop.world else {
            self.record_wait(me, stop.waited);
            return Collection::Coalesced;
        };
        let guard = AbortOnPanic;
        self.handles.prune_globals();
        let cycle = self.cycle(&world);
        let result = then(&world);
        std::mem::forget(guard);
        let report = world.resume();
        self.record_wait(me, stop.waited);
        self.record_collection(me, report, &cycle);
        Collection::Done(result)
    }

    /// Marks everything that is reachable and finds out what is free.
    pub(crate) fn cycle(&self, world: &World<'_, Context>) -> Cycle {
        let guard = AbortOnPanic;
        let mut marker = self.marker.lock().expect("a panic while marking aborts");
        marker.begin();
        world.for_each(|context| context.buffer.retire());
        // SAFETY: the world is stopped.
        let table = unsafe { self.space.begin_marking(self.supply.used_blocks()) };
        self.for_each_root(world, |root| marker.push(root));
        let rooted = self.events.now();
        // SAFETY: the world is stopped, the table is new, and roots are live.
        unsafe { marker.trace(table) };
        let is_marked = |object: Object| self.space.is_marked(object);
        let young_only = false;
        let traced = self.events.now();
        self.handles.clear_weaks(young_only, traced, is_marked);
        self.handles
            .queue_finalizers(young_only, is_marked, |object| marker.push(object));
        // SAFETY: as above; an object with a finalizer is live until that has been handed out.
        unsafe { marker.trace(table) };
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

    /// Records a mutator's stay for somebody else's stop. It runs again, and no stop of its own is in progress.
    pub(crate) fn record_wait(&self, me: &Context, wait: Option<Wait>) {
        if let Some(Wait { stop, from, until }) = wait {
            self.record(me.number, from, until, EventKind::Stopped { stop });
        }
    }

    /// Records a collection of the caller's and its stop, which has just ended.
    pub(crate) fn record_collection(&self, me: &Context, report: Report, cycle: &Cycle) {
        let finished = self.events.now();
        let Report {
            stop, requested, ..
        } = report;
        for Arrival { mutator, at } in report.arrivals {
            self.record(mutator, requested, at, EventKind::Arrived { stop });
        }
        let kind = EventKind::Collection {
            stop,
            stopped: report.stopped,
            rooted: cycle.rooted,
            marked: cycle.marked,
            live_bytes: cycle.live_bytes,
        };
        self.record(me.number, requested, finished, kind);
        let kind = EventKind::Stopped { stop };
        self.record(me.number, requested, finished, kind);
    }

    fn record(&self, mutator: u32, from: u64, until: u64, kind: EventKind) {
        self.events.record(Event {
            mutator,
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
struct AbortOnPanic;

impl Drop for AbortOnPanic {
    fn drop(&mut self) {
        crate::os::complain("gc-marksweep: a panic inside a collection; the heap cannot go on");
        std::process::abort();
    }
}
