//! Stopping the world: what one mutator does while no other runs.
//!
//! A stopped world is as exclusive as the global lock, once what mutators have for themselves has
//! been handed over; so what is done in it is done by the methods of [`Locked`]. It is a grace
//! period, too: every mutator is at a quiescent point. What was retired dies in it by the ordinary
//! drain, without a second look.
//!
//! Collections become due as under the lock: by how many tracked objects were made beyond those
//! that were freed, in the whole heap. Each mutator counts for itself, and adds to the common count
//! when there is enough to add. So a heap of many threads is collected as often as one of a single
//! thread that does the same, and the oldest generation by the same rule of growth, which keeps the
//! work linear.
//!
//! With one difference: what is due is put off where it would find nothing, as there is no suspect
//! in the heap ([`crate::cycle::filter`]). Under the lock such a collection costs next to nothing.
//! Here it has every thread stand still, two thousand objects at a time, and a heap that is built
//! by several was stopped hundreds of times to no avail. (CPython's free-threaded build has one
//! generation, collected when there is a quarter more than the last collection left: garbage waits
//! for longer there, and every collection is a full one.) It is put off a bounded number of times,
//! so that the stop that moves all on in the end stays short.
//!
//! Memory that a burst has left unused is looked for in stops, too, and so one is asked for when it
//! is time for that ([`Locked::tidy`]).

use std::ptr::NonNull;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use handshake::process::Resident;

use crate::event::EventKind;
use crate::gil::{COLLECT, TELL};
use crate::heap::{LOOK_EVERY, Locked};
use crate::mutator::Mutator;
use crate::primitive::{Ordering, lock};
use crate::regime::Unlocked;
use crate::step::{Record, Step};
use crate::unlocked::reclaim::charge;
use crate::unlocked::{ADOPT, Commons, Seat, Tables};

impl Seat {
    /// Hands over what the mutator has for itself but its free cells, in a stopped world.
    fn hand_over(&self, locked: Locked<'_>) {
        self.hand_over_retired(locked);
        let counts = (self.tracked.take(), self.untracked.take());
        locked.generational.counted_apart(counts.0, counts.1);
        locked.inner.counters.add(self.tally.take());
    }
}

impl Commons {
    /// Has everything that is retired pending, and all that is counted in the common counters.
    fn gather(&self, locked: Locked<'_>, each: impl FnOnce(&mut dyn FnMut(&Seat))) {
        // For those who read the statistics: of the mutators nobody holds it.
        let _tables = lock(&self.tables);
        each(&mut |seat| {
            seat.hand_over(locked);
            seat.seen.renew(&self.epoch);
        });
        for object in self.orphans.take() {
            locked.pend(object);
        }
        self.owners.each_named(|object| {
            object.settle_listed();
            locked.pend(object);
        });
        if self.unnamed.swap(false, Relaxed) {
            locked.pending_unlisted.set(true);
        }
        self.orphaned.bytes.set(0);
        charge(locked, &self.orphaned.charged, 0);
        (self.base.mailbox.poll).fetch_and(!ADOPT, Ordering::Relaxed);
    }
}

impl<'h, R: Unlocked> Mutator<'h, R> {
    /// Stops the world for the length of `f`, in which all that is dead has been freed. With
    /// `cells`, blocks without objects can be found in it; with `exact`, all garbage, as nothing is
    /// deferred any more. The mutator is at a quiescent point.
    pub(super) fn stop<T>(&self, cells: bool, exact: bool, f: impl FnOnce(Locked<'_>) -> T) -> T {
        let stopped = self.stop_while(cells, exact, || true, f);
        stopped.expect("it is always wanted")
    }

    /// [`Self::stop`], unless it turns out that it is not wanted any more.
    pub(super) fn stop_while<T>(
        &self,
        cells: bool,
        exact: bool,
        wanted: impl Fn() -> bool,
        f: impl FnOnce(Locked<'_>) -> T,
    ) -> Option<T> {
        let commons = self.inner;
        commons.enter();
        while wanted() {
            // Another stop may be in progress; then it is waited for, and the next is ours.
            let target = commons.handshake.next();
            let stop = commons.handshake.stop(NonNull::from(&self.own), target);
            commons.record_wait(self.id, stop.waited);
            let Some(world) = stop.world else { continue };
            // SAFETY: no other mutator runs, and none holds the mutex of the tables, which nobody
            // takes across a safepoint.
            let locked = unsafe { Locked::new(&commons.base, self.id) };
            commons.epoch.skip();
            let cells = cells || locked.is_tidying_due(Instant::now());
            let each_seat = |f: &mut dyn FnMut(&Seat)| world.for_each(|seat| f(seat));
            commons.gather(locked, each_seat);
            if R::MAY_BE_SINGLE && world.members() > 1 {
                commons.end_single(locked, each_seat);
            }
            let candidates = if R::DEFERS {
                commons.end_deferral(locked, exact, each_seat)
            } else {
                Vec::new()
            };
            if cells {
                world.for_each(|seat| {
                    seat.cells.hand_over(&locked.allocator);
                    seat.depot.hand_over(&locked.allocator);
                });
                commons.depot.hand_over(&locked.allocator);
                locked.lent.set(false);
            }
            locked.settle();
            if locked.pending_unlisted.get() {
                // What mutators had no memory to list is pending also where nothing else is.
                locked.drain(0);
            }
            let result = f(locked);
            if R::DEFERS {
                commons.begin_deferral(locked, candidates, each_seat);
            }
            locked.lent.set(true);
            self.claim_tales();
            let report = world.resume();
            let stop = report.stop;
            for arrival in &report.arrivals {
                let (from, until) = (report.requested, arrival.at);
                commons.record_at(arrival.mutator, from, until, EventKind::Arrived { stop });
            }
            let now = commons.clock.now();
            commons.record_at(self.id, report.requested, now, EventKind::Stopped { stop });
            return Some(result);
        }
        None
    }

    /// What the base has recorded happened to this mutator.
    fn claim_tales(&self) {
        let poll = &self.inner.base.mailbox.poll;
        if poll.load(Ordering::Relaxed) & TELL != 0 {
            poll.fetch_and(!TELL, Ordering::Relaxed);
            self.own.tells.set(true);
        }
    }

    pub(super) fn tables(&self) -> Tables<'h> {
        self.inner.tables(self.id)
    }

    /// Collects what is due, if nobody else has done so.
    #[cold]
    #[inline(never)]
    pub(super) fn collect_if_requested(&self) {
        let poll = &self.inner.base.mailbox.poll;
        let requested = || poll.load(Ordering::Relaxed) & COLLECT != 0;
        self.stop_while(false, false, requested, |locked| {
            let collected = locked.collect_if_requested();
            locked.generational.stopped(collected);
        });
    }

    /// Adds what this mutator has made and freed to the count of the generations.
    #[cold]
    #[inline(never)]
    fn count_for_generations(&self) {
        let (tracked, untracked) = (self.own.tracked.take(), self.own.untracked.take());
        let generational = &self.inner.base.protected.generational;
        let poll = &self.inner.base.mailbox.poll;
        if generational.counted_apart(tracked, untracked)
            && poll.load(Ordering::Relaxed) & COLLECT == 0
        {
            self.ask_for_collection(self.tables().proof());
        }
    }

    /// Has the world stopped for a collection, if it is due still when what dies without is left
    /// out, and not better put off. Under the mutex of the tables.
    #[cold]
    #[inline(never)]
    fn ask_for_collection(&self, locked: Locked<'_>) {
        // What is retired is counted until it is freed, which in a stop would be at once: then
        // nothing would be due any more. (What dies with it is not known: see `slack`.)
        let retired = self.inner.tally().kept_tracked;
        if locked.generational.asks_for_stop(retired) {
            locked.request_collection();
        }
    }

    /// [`Locked::look_for_unused`].
    #[cold]
    #[inline(never)]
    fn look_for_unused(&self) {
        self.own.freed.set(0);
        let tables = self.tables();
        let locked = tables.proof();
        locked.inner.counters.add(self.own.tally.take());
        locked.look_for_unused();
    }

    /// A tracked object was made.
    #[inline(always)]
    pub(super) fn count_tracked(&self) {
        let tracked = self.own.tracked.get() + 1;
        self.own.tracked.set(tracked);
        if tracked >= self.own.apart_at_most {
            self.count_for_generations();
        }
    }

    /// So many objects were freed, and so many of them were tracked.
    pub(super) fn count_freed_objects(&self, objects: u64, tracked: usize) {
        let own = &self.own;
        own.tracked.set(own.tracked.get() - tracked as isize);
        let untracked = objects as i64 - tracked as i64;
        own.untracked.set(own.untracked.get() - untracked);
        if own.tracked.get() <= -own.apart_at_most {
            self.count_for_generations();
        }
        own.freed.set(own.freed.get() + objects as i64);
        if own.freed.get() >= LOOK_EVERY {
            self.look_for_unused();
        }
    }

    /// Hands over what this mutator has counted, under the mutex of the tables. Has the world
    /// stopped if that makes a collection due, or it is time to look for unused memory: a heap may
    /// have nothing but threads that come and go.
    pub(super) fn hand_over_tallies(&self, locked: Locked<'_>) {
        let own = &self.own;
        locked.inner.counters.add(own.tally.take());
        let counts = (own.tracked.take(), own.untracked.take());
        if locked.generational.counted_apart(counts.0, counts.1) {
            self.ask_for_collection(locked);
        }
        locked.note_deaths(own.freed.take() as u64);
    }

    /// Stops the world, frees all that is dead, collects all generations, and makes blocks without
    /// objects available to all size classes. Cost: proportional to the whole heap.
    pub fn collect(&mut self) {
        self.stop(true, true, |locked| locked.collect_all());
    }

    /// [`Mutator::collect`], by the same code, which returns the steps it took. What was retired
    /// has died before the first of them. Cost: as under the global lock.
    #[cold]
    pub fn collect_recorded(&mut self) -> Vec<Step> {
        let record = Record::default();
        self.stop(true, true, |locked| locked.recording(&record).collect_all());
        record.into_steps()
    }

    /// Stops the world, and checks the heap's invariants: recounts every reference, and walks every
    /// block, list and table.
    ///
    /// # Panics
    ///
    /// If one does not hold, naming it: that is a bug in this crate.
    pub fn verify(&mut self) {
        self.stop(true, false, |locked| {
            locked.verify();
            R::verify(locked);
        });
    }

    /// Moves the next object whose finalizer is due into `into` and says whether there was one.
    ///
    /// Objects come in the order in which they were found dead. Each is handed out at most once in
    /// its life; storing it somewhere reachable resurrects it.
    pub fn finalizable(&mut self, into: crate::Local<'_, 'h>) -> bool {
        self.attend_to_retired();
        let tables = self.tables();
        let locked = tables.proof();
        let mut next = locked.finalizable.borrow_mut().pop_front();
        locked.account_if_sparse(&locked.finalizable);
        let unlisted = locked.finalizable_unlisted.get() > 0;
        drop(tables);
        if next.is_none() && unlisted {
            next = self.stop(false, false, |locked| locked.queue_unlisted_finalizers());
        }
        match next {
            // The local takes over the count of the queue.
            Some(object) => self.put(into, object),
            None => return false,
        }
        true
    }

    /// The next weak reference whose object has died since it was last asked for, in the order of
    /// death. Weak references that nobody else has any more may be left out.
    pub fn cleared(&mut self) -> Option<crate::Weak> {
        self.attend_to_retired();
        self.tables().proof().cleared.take()
    }
}
