//! One collection, from the request to the moment the mutators go on.
//!
//! ```text
//!   request ---- stopped ---- rooted ---------- marked ---- finished
//!      | handshake  | scan roots  | mark, weak     | reclaim,    | mutators
//!      |            |             | refs, finalizers| reserve    | go on
//! ```
//!
//! The mutator that ran out of memory carries it out on its own thread, and before it lets the
//! others go takes the memory it came for. If that is not to be had after a minor collection, a
//! major one follows in the same pause, then a look at blocks that count as full: so an allocation
//! fails only if it does not fit into a heap that has just been collected, and never because others
//! were quicker.
//!
//! A panic in here would leave the heap half marked and the world stopped; it aborts the process
//! with a message.

use std::sync::MutexGuard;
use std::sync::atomic::Ordering;

use handshake::{Arrival, Report, Wait, World};

use crate::abort::AbortOnUnwind;
use crate::attach::Context;
use crate::block::{BlockIndex, LARGE, MarkTable};
use crate::event::{Event, EventKind};
use crate::full::FullCause;
use crate::heap::Inner;
use crate::large::large_charge;
use crate::object::{GRANULE, Object};
use crate::os::{PAGE, thread_cpu_ns};
use crate::overhead::{Exhaustive, Overhead, Verdict};
use crate::policy::{Extent, Measured, Plan};
use crate::remember::Log;
use crate::statistics::Found;
use crate::step::{Record, Step};
use crate::supply::Reclaimed;

/// A block with fewer free granules than this (a thirty-second of it) counts as full: searching it
/// would cost more than what it yields.
const WORTH_SEARCHING: usize = crate::block::GRANULES_PER_BLOCK / 32;

/// How a request for a collection ended.
pub(crate) enum Collection<R> {
    /// It was carried out by the caller, with what the caller's closure returned.
    Done(R),
    /// Somebody else's collection satisfied it.
    Coalesced,
}

/// The allocation that a collection is for.
#[derive(Clone, Copy)]
pub(crate) struct Demand {
    /// Its bytes.
    pub(crate) size: usize,
    /// How many stops were over when it had first found nothing.
    pub(crate) since: u64,
    /// Whether that was because the system has no memory.
    pub(crate) refused: bool,
}

/// What a cycle found, and when.
pub(crate) struct Cycle {
    began: u64,
    rooted: u64,
    marked: u64,
    plan: Plan,
    survived: usize,
    handed_out: usize,
    reclaimed: Reclaimed,
    /// Bytes of objects when it began, dead ones included.
    object_bytes: u64,
    cpu_ns: u64,
}

impl Cycle {
    /// Bytes found live.
    pub(crate) fn live_bytes(&self) -> u64 {
        self.reclaimed.live as u64
    }
}

impl Inner {
    /// Stops the world and collects, at least `wanted`, unless `target` stops are over by the time
    /// this one could begin; then calls `attempt` before the mutators go on. Where that returns
    /// `None`, collects more thoroughly and calls it again, until there is nothing left to do. With
    /// a `demand`, the [overhead limit](crate::overhead) may refuse it instead.
    pub(crate) fn collect<R>(
        &self,
        me: &Context,
        target: u64,
        wanted: Extent,
        demand: Option<Demand>,
        mut attempt: impl FnMut() -> Option<R>,
    ) -> Collection<Result<R, FullCause>> {
        let stop = self.handshake.stop(me.into(), target);
        let Some(world) = stop.world else {
            self.record_wait(me, stop.waited);
            return Collection::Coalesced;
        };
        let guard = AbortOnUnwind;
        self.handles.prune_globals();
        // Below a goal of its own a heap has room, and collects to keep it; and where the system
        // has no memory it is not nearly full.
        let at_limit = self.supply.usage().goal == self.supply.limit()
            && !demand.is_some_and(|demand| demand.refused);
        let mut cycle = self.cycle(me, &world, self.plan(&world, wanted));
        let began = cycle.began;
        let mut result = None;
        if cycle.plan.extent == Extent::Young {
            result = attempt();
            if result.is_none() {
                let minor = cycle;
                cycle = self.cycle(me, &world, self.plan(&world, Extent::Whole));
                cycle.object_bytes = minor.object_bytes;
                cycle.cpu_ns += minor.cpu_ns;
            }
        }
        let mut cause = FullCause::Limit;
        if cycle.plan.extent == Extent::Whole {
            let exhaustive = |demand: Demand| Exhaustive {
                stop: world.number(),
                since: demand.since,
                mutators: world.members(),
                began,
                allocated: self.counters.allocated_bytes(),
                room: cycle.reclaimed.room(self.supply.limit()) as u64,
            };
            let exhaustive = demand.filter(|_| at_limit).map(exhaustive);
            let mut overhead = self.overhead();
            let verdict = exhaustive.map_or(Verdict::Fine, |it| overhead.judge(it));
            if verdict == Verdict::Refused && demand.is_some_and(|it| self.seems_to_fit(it.size)) {
                cause = FullCause::Overhead;
            } else {
                result = attempt().or_else(|| self.attempt_exhaustively(&world, attempt));
            }
            if let Some(exhaustive) = exhaustive {
                let fits = result.is_some() || cause == FullCause::Overhead;
                overhead.note(exhaustive, verdict, fits, self.events.now() - began);
            }
            self.last_major.store(world.number(), Ordering::Relaxed);
        }
        if demand.is_some() && (cycle.plan.extent == Extent::Young || !at_limit) {
            self.overhead().note_other(self.events.now() - began);
        }
        std::mem::forget(guard);
        self.count(&cycle);
        let report = world.resume();
        self.record_wait(me, stop.waited);
        self.record_collection(me, report, &cycle, wanted == Extent::Whole);
        Collection::Done(result.ok_or(cause))
    }

    /// What a collection is to be of which at least `wanted` is asked for: also a major one, if not
    /// all is remembered that a minor one must know.
    pub(crate) fn plan(&self, world: &World<'_, Context>, wanted: Extent) -> Plan {
        let mut incomplete = false;
        self.for_each_log(world, |log| incomplete |= log.is_incomplete());
        self.policy
            .plan(if incomplete { Extent::Whole } else { wanted })
    }

    fn overhead(&self) -> MutexGuard<'_, Overhead> {
        self.overhead
            .lock()
            .expect("a panic in a collection aborts")
    }

    /// Whether there are as many free bytes as an object takes.
    fn seems_to_fit(&self, size: usize) -> bool {
        let least = if size > LARGE {
            large_charge(size.div_ceil(PAGE))
        } else {
            0
        };
        self.supply.limit() - self.supply.usage().occupied >= least
    }

    /// Marks what is reachable, of the young objects or of all, finds out what is free, and sets up
    /// what follows.
    pub(crate) fn cycle(&self, me: &Context, world: &World<'_, Context>, plan: Plan) -> Cycle {
        let guard = AbortOnUnwind;
        let record = me.recording.record();
        let record = record.as_ref();
        let began = self.events.now();
        let handed_out = self.supply.handed_out();
        let object_bytes = self.counters.object_bytes(*self.counters.found());
        let mut marker = self.marker.lock().expect("a panic while marking aborts");
        marker.forget_lost_helpers();
        let own_before = thread_cpu_ns();
        let cpu_before = own_before + marker.helpers_cpu_ns();
        world.for_each(|context| context.buffer.retire());
        if let Some(record) = record {
            let minor = plan.extent == Extent::Young;
            record.note(|_| Step::Began { minor });
        }
        // SAFETY: the world is stopped, and nothing has been reclaimed since the last collection:
        // what is in a log, and every root, is live, and stays so until the trace is over. Draining
        // the logs cleans all cards. A minor collection looks through what is remembered; to a
        // major one it is an object like any other.
        let (mut marking, log_bytes) = unsafe {
            match plan.extent {
                Extent::Young => {
                    let mut marking = marker.begin(self.space.continue_marking(plan.arm), record);
                    let log_bytes = self.drain_logs(world, |object, from, until| {
                        marking.push_fields(object, from, until);
                    });
                    (marking, log_bytes)
                }
                Extent::Whole => {
                    let log_bytes = self.drain_logs(world, |_, _, _| ());
                    let table = self.clear_marks(plan, record);
                    (marker.begin(table, record), log_bytes)
                }
            }
        };
        // SAFETY: as above.
        self.for_each_root(world, |root| unsafe { marking.push(root) });
        let rooted = self.events.now();
        // SAFETY: as above.
        unsafe { marking.trace(&self.space, &self.supply) };
        let is_marked = |object: Object| self.space.is_marked(object);
        let young_only = plan.extent == Extent::Young;
        let traced = self.events.now();
        self.handles.clear_weaks(young_only, traced, is_marked);
        if self.handles.queue_finalizers(young_only, is_marked) {
            // SAFETY: as above; an object with a finalizer is live until that has been handed out.
            unsafe {
                self.handles.for_each_root(|root| marking.push(root));
                marking.trace(&self.space, &self.supply);
            }
        }
        // SAFETY: as above.
        unsafe { marking.finish(&self.space, &self.supply, plan.extent) };
        let marked = self.events.now();

        let reclaimed = (self.supply).reclaim(&self.space, plan.extent, WORTH_SEARCHING);
        if let Some(record) = record {
            self.note_blocks(record);
        }
        if self.poison {
            self.poison_free_memory();
        }
        let mut cycle = Cycle {
            began,
            rooted,
            marked,
            plan,
            survived: reclaimed.survived,
            handed_out,
            reclaimed,
            object_bytes,
            cpu_ns: 0,
        };
        let lists = self.handles.footprint() + self.supply.footprint();
        let own_ns = thread_cpu_ns() - own_before;
        self.conclude(&cycle, own_ns, marker.footprint() + log_bytes + lists);
        cycle.cpu_ns = thread_cpu_ns() + marker.helpers_cpu_ns() - cpu_before;
        std::mem::forget(guard);
        cycle
    }

    /// Prepares a major collection, for which nothing is marked.
    ///
    /// # Safety
    ///
    /// The world is stopped, and all cards are clean.
    unsafe fn clear_marks(&self, plan: Plan, record: Option<&Record>) -> MarkTable {
        let used = self.supply.used_blocks();
        if let Some(record) = record {
            for block in 0..used as BlockIndex {
                let bytes = self.space.live_granules(block) * GRANULE;
                record.note(|places| {
                    let from = places.at(self.space.block_start(block).addr().get());
                    (bytes > 0).then_some(Step::Cleared { from, bytes })
                });
            }
        }
        if !plan.arm {
            self.supply.sample_what_is_new(&self.space);
        }
        // SAFETY: passed on.
        unsafe {
            (self.supply).for_each_large(|object, _| self.space.unmark_large(object));
            self.space.begin_marking(used, plan.arm)
        }
    }

    /// Notes what has been found live in each block that is or was in use.
    fn note_blocks(&self, record: &Record) {
        for block in 0..self.supply.used_blocks() as u32 {
            record.note(|places| Step::Block {
                from: places.at(self.space.block_start(block).addr().get()),
                live_bytes: self.space.live_granules(block) * GRANULE,
            });
        }
    }

    /// Sets up what follows from what a cycle has found.
    fn conclude(&self, cycle: &Cycle, own_ns: u64, collector_bytes: usize) {
        let finished = self.events.now();
        let Cycle {
            plan, reclaimed, ..
        } = *cycle;
        let last = self.last_finished.swap(finished, Ordering::Relaxed);
        let settings = self.policy.finish(Measured {
            plan,
            nanoseconds: own_ns,
            since: cycle.began - last,
            handed_out: cycle.handed_out,
            survived: cycle.survived,
            live: reclaimed.live,
            occupied: reclaimed.occupied,
            backed: self.supply.usage().backed,
            holes: reclaimed.holes,
        });
        self.supply.set_goal(settings.goal);
        self.supply.set_allowance(settings.allowance);
        self.supply.age(&self.space, finished);

        let counters = &self.counters;
        (counters.collector_bytes).store(collector_bytes as u64, Ordering::Relaxed);
        let metadata = self.supply.usage().metadata;
        let found = Found {
            occupied_bytes: reclaimed.occupied as u64,
            live_bytes: reclaimed.live as u64,
            metadata_bytes: metadata as u64,
            fragmentation_bytes: (reclaimed.occupied - reclaimed.live - metadata) as u64,
        };
        *counters.found() = Some((found, counters.allocated_bytes()));
    }

    /// Empties all logs: calls `f` with what is remembered of each object, its fields from one on
    /// until another. Returns the bytes of the logs.
    ///
    /// # Safety
    ///
    /// As for [`Log::drain`].
    unsafe fn drain_logs(
        &self,
        world: &World<'_, Context>,
        mut f: impl FnMut(Object, usize, usize),
    ) -> usize {
        let mut bytes = 0;
        self.for_each_log(world, |log| {
            // SAFETY: passed on.
            unsafe { log.drain(&self.space, &mut f) };
            bytes += log.footprint();
        });
        bytes
    }

    /// Calls `f` with the log of every mutator, and with that of those that have detached.
    pub(crate) fn for_each_log(&self, world: &World<'_, Context>, mut f: impl FnMut(&Log)) {
        world.for_each(|context| f(&context.log));
        f(&self.orphans.lock());
    }

    /// Calls `f` with every root: what locals of stopped mutators hold, globals, objects whose
    /// finalizer is due.
    pub(crate) fn for_each_root(&self, world: &World<'_, Context>, mut f: impl FnMut(Object)) {
        // SAFETY: the world is stopped, and the caller is the collector.
        world.for_each(|context| unsafe { context.frames.for_each(&mut f) });
        self.handles.for_each_root(&mut f);
    }

    /// Calls `attempt` again after a major collection, now with all of the limit, and with blocks
    /// that count as full too.
    fn attempt_exhaustively<R>(
        &self,
        world: &World<'_, Context>,
        mut attempt: impl FnMut() -> Option<R>,
    ) -> Option<R> {
        let settings = self.policy.settings();
        self.supply.set_goal(self.supply.limit());
        // What has been looked through in vain counts as handed out.
        self.supply.set_allowance(usize::MAX);
        let mut result = attempt();
        if result.is_none() {
            world.for_each(|context| context.buffer.retire());
            self.supply.reclaim(&self.space, Extent::Whole, 1);
            result = attempt();
        }
        self.supply.set_allowance(settings.allowance);
        // The goal gives way by as much as was needed.
        (self.supply).set_goal(settings.goal.max(self.supply.usage().occupied));
        result
    }

    /// Counts a collection, of which a stop has one: a minor one that a major one had to follow is
    /// part of that.
    pub(crate) fn count(&self, cycle: &Cycle) {
        if cycle.plan.extent == Extent::Young {
            (self.counters.minor_collections).fetch_add(1, Ordering::Relaxed);
        }
        self.counters.collections.fetch_add(1, Ordering::Relaxed);
    }

    /// Records a mutator's stay for somebody else's stop. It runs again, and no stop of its own is
    /// in progress.
    pub(crate) fn record_wait(&self, me: &Context, wait: Option<Wait>) {
        if let Some(Wait { stop, from, until }) = wait {
            self.record(me.number, from, until, EventKind::Stopped { stop });
        }
    }

    /// Records a collection of the caller's and its stop, which has just ended.
    pub(crate) fn record_collection(
        &self,
        me: &Context,
        report: Report,
        cycle: &Cycle,
        explicit: bool,
    ) {
        let finished = self.events.now();
        let Report {
            stop, requested, ..
        } = report;
        for Arrival { mutator, at } in report.arrivals {
            self.record(mutator, requested, at, EventKind::Arrived { stop });
        }
        self.events.lose(report.lost);
        let kind = EventKind::Collection {
            stop,
            stopped: report.stopped,
            rooted: cycle.rooted,
            marked: cycle.marked,
            minor: cycle.plan.extent == Extent::Young,
            explicit,
            live_bytes: cycle.live_bytes(),
            // What mutators have allocated since they last said so is not in the former.
            object_bytes: cycle.object_bytes.max(cycle.live_bytes()),
            committed_bytes: self.supply.usage().backed as u64
                + self.counters.collector_bytes.load(Ordering::Relaxed),
            cpu_ns: cycle.cpu_ns,
        };
        self.record(me.number, requested, finished, kind);
        let kind = EventKind::Stopped { stop };
        self.record(me.number, requested, finished, kind);
    }

    /// Records an event of a running mutator, which holds no lock.
    pub(crate) fn record(&self, mutator: u32, from: u64, until: u64, kind: EventKind) {
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
                // SAFETY: the world is stopped and all buffers are retired, so unmarked granules
                // are nobody's.
                unsafe { crate::verify::poison(hole.start, hole.length) };
                granule = hole.end;
            }
        }
    }
}
