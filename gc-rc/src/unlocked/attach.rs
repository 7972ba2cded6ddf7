//! How a thread comes to a heap without the global lock, and leaves it.
//!
//! **Invariant.** A [`Seat`] that is registered with the handshake stays where it is until it has
//! been detached, and has nothing left in it then.

use std::cell::{Cell, RefCell};
use std::marker::{PhantomData, PhantomPinned};
use std::ptr::{self, NonNull};

use handshake::process::Resident;
use handshake::{Name, Party, Wait};

use crate::buffer::Buffer;
use crate::event::EventKind;
use crate::gil::{COLLECT, RELEASE};
use crate::heap::Heap;
use crate::mutator::{ATTACHED, Mutator, Roots};
use crate::primitive::Ordering;
use crate::regime::Unlocked;
use crate::unlocked::alloc::{Cells, Depot};
use crate::unlocked::biased::Bias;
use crate::unlocked::deferred::{Heat, Occasion};
use crate::unlocked::epoch::Seen;
use crate::unlocked::reclaim::{AT_REST, Retired, charge};
use crate::unlocked::single::LOOK;
use crate::unlocked::{ADOPT, Commons, Seat, Tallies};

impl Seat {
    fn new(commons: &Commons) -> Self {
        Self {
            party: Party::new(),
            single: Cell::new(false),
            seen: Seen::absent(),
            cells: Cells::new(),
            depot: Depot::new(),
            zeros: Buffer::default(),
            retired: RefCell::new(Retired::default()),
            waits: Cell::new(false),
            charged: Cell::new(0),
            tells: Cell::new(false),
            patience: Cell::new(AT_REST),
            tracked: Cell::new(0),
            apart_at_most: commons.base.protected.generational.counted_apart_at_most(),
            freed: Cell::new(0),
            untracked: Cell::new(0),
            tally: Tallies::default(),
            bias: Bias::default(),
            heat: Heat::new(commons.base.stress),
            roots: Roots::new(),
        }
    }
}

impl Commons {
    /// Records that a mutator stood still for somebody else's stop.
    pub(super) fn record_wait(&self, me: u32, wait: Option<Wait>) {
        if let Some(Wait { stop, from, until }) = wait {
            self.record_at(me, from, until, EventKind::Stopped { stop });
        }
    }

    /// Records what happened between two times of the handshake's clock.
    pub(super) fn record_at(&self, me: u32, from: u64, until: u64, kind: EventKind) {
        // A wait is told of when there is something else to tell, as under the lock.
        self.base.recorder.record_at(me, from, until, kind);
    }
}

impl<R: Unlocked> Heap<R> {
    /// Attaches the calling thread for the length of `f`. Waits for the end of a stop in progress,
    /// and, where a mutator is [single](crate::Builder::single_mutator), for the next safepoint of
    /// that.
    ///
    /// # Panics
    ///
    /// If the thread is already attached to a heap of this crate, unless it is inside
    /// [`Mutator::blocking`]; if the system has no memory to attach a thread. After a fork, if the
    /// heap lacks other threads: see the crate's documentation.
    pub fn attach<T>(&self, f: impl for<'h> FnOnce(&mut Mutator<'h, R>) -> T) -> T {
        /// Undoes the attachment, also when the client's closure unwinds.
        struct Detach<'a, R: Unlocked>(&'a Mutator<'a, R>);
        impl<R: Unlocked> Drop for Detach<'_, R> {
            fn drop(&mut self) {
                self.0.detach();
            }
        }

        crate::mutator::assert_unattached();
        let commons = &*self.inner;
        let base = &commons.base;
        commons.enter();
        let number = base.enrol();
        let mut mutator = Mutator {
            inner: commons,
            frames: Cell::new(ptr::null()),
            id: number,
            own: Seat::new(commons),
            brand: PhantomData,
            _pinned: PhantomPinned,
        };
        let mutator = &raw mut mutator;
        // SAFETY: the mutator stays in this stack frame, which outlives the guard that detaches it.
        // From here on it is reached only through this pointer; it is `!Unpin`, so the exclusive
        // reference that the client gets does not exclude the registered one, and what both touch
        // are cells and atomics.
        unsafe {
            let seat = NonNull::from(&(*mutator).own);
            let wait = commons.handshake.attach(seat, number, thread_name());
            let Ok(wait) = wait else {
                base.resign(number);
                panic!("gc-rc: the system has no memory to attach a thread");
            };
            ATTACHED.set(true);
            let detach = Detach(&*mutator);
            detach.0.arrive();
            commons.record_wait(number, wait);
            f(&mut *mutator)
        }
    }
}

impl<R: Unlocked> Mutator<'_, R> {
    /// Begins to run, newly attached.
    fn arrive(&self) {
        self.end_single();
        let frames = &raw const self.frames;
        let tables = self.tables();
        self.own.roots.link(&tables.proof().attached, frames);
        drop(tables);
        R::arrive(self);
        self.inner.epoch.announce(&self.own.seen);
        self.begin_single();
    }

    fn detach(&self) {
        let base = &self.inner.base;
        if !self.inner.may_enter() {
            // Every other operation is refused for ever, so nobody comes to what stays linked.
            ATTACHED.set(false);
            return;
        }
        self.settle_up(Occasion::Leaving);
        R::vacate(self);
        let tables = self.tables();
        let locked = tables.proof();
        self.own.cells.hand_over(&locked.allocator);
        self.own.depot.leave_to(&self.inner.depot);
        self.hand_over_tallies(locked);
        self.own.roots.unlink(&locked.attached);
        charge(locked, &self.own.charged, 0);
        charge(locked, &self.own.heat.charged, 0);
        locked.account_metadata();
        drop(tables);
        self.own.seen.leave();
        self.cease_to_be_single();
        self.inner.handshake.detach(NonNull::from(&self.own));
        self.leave_single();
        ATTACHED.set(false);
        base.recorder.tell(self.id);
        base.resign(self.id);
    }

    /// Before the mutator goes, or is absent: frees what it can, and leaves the rest to the others.
    fn settle_up(&self, occasion: Occasion) {
        self.release_globals_if_any();
        loop {
            self.attend_to_retired();
            R::reconsider(self, occasion);
            self.abandon_retired();
            if R::leave(self) {
                return;
            }
        }
    }

    /// Runs `f` while this thread counts as stopped: others run, and collect, without it. `f` may
    /// wait for other threads, and may attach to a heap, also to this one. Waits for the end of a
    /// stop in progress when `f` returns or unwinds.
    pub fn blocking<T>(&mut self, f: impl FnOnce() -> T) -> T {
        /// Runs again before anything else does, also when `f` unwinds.
        struct Return<'a, 'h, R: Unlocked>(&'a Mutator<'h, R>);
        impl<R: Unlocked> Drop for Return<'_, '_, R> {
            fn drop(&mut self) {
                let Mutator { inner, own, .. } = self.0;
                if !inner.enter_unless_unwinding() {
                    // Unwinding goes on to where the mutator is given up.
                    return;
                }
                let wait = inner.handshake.leave_blocking(&own.party);
                ATTACHED.set(true);
                R::come_back(self.0);
                inner.epoch.announce(&own.seen);
                inner.record_wait(self.0.id, wait);
            }
        }

        self.inner.enter();
        self.settle_up(Occasion::Blocking);
        self.own.seen.leave();
        self.inner.handshake.enter_blocking(&self.own.party);
        ATTACHED.set(false);
        let _return = Return(self);
        self.inner.base.recorder.tell(self.id);
        f()
    }

    /// Lets a stop, a collection and the death of what is retired happen, if one is due. Otherwise
    /// six loads, a store and a branch.
    #[inline(always)]
    pub fn safepoint(&mut self) {
        let (seat, commons) = (&self.own, self.inner);
        let requests = commons.base.mailbox.poll.load(Ordering::Relaxed) != 0;
        let moved = commons.epoch.has_moved(&seat.seen);
        let asked = R::is_asked(self);
        let retired = seat.loses_patience();
        let due = R::is_due(self);
        if requests | seat.party.armed() | moved | retired | asked | due {
            self.safepoint_slow();
        }
    }

    #[cold]
    #[inline(never)]
    fn safepoint_slow(&mut self) {
        let (seat, commons) = (&self.own, self.inner);
        commons.enter();
        // Before globals are released, which may have more retired, and so put it off.
        let retired = seat.has_lost_patience();
        if seat.party.armed() {
            let wait = commons.handshake.park(&seat.party);
            commons.record_wait(self.id, wait);
        }
        commons.epoch.announce(&seat.seen);
        self.release_globals_if_any();
        let poll = commons.base.mailbox.poll.load(Ordering::Relaxed);
        if poll & ADOPT != 0 || R::is_asked(self) || retired {
            self.attend_to_retired();
        }
        if poll & COLLECT != 0 {
            self.collect_if_requested();
        }
        if poll & LOOK != 0 {
            self.begin_single();
        }
        R::reconsider(self, Occasion::Safepoint);
        if seat.tells.replace(false) {
            // Listeners may attach.
            self.blocking(|| ());
        }
    }

    pub(super) fn release_globals_if_any(&self) {
        let poll = &self.inner.base.mailbox.poll;
        if poll.load(Ordering::Relaxed) & RELEASE != 0 {
            self.release_globals();
        }
    }
}

fn thread_name() -> Name {
    let thread = std::thread::current();
    match thread.name() {
        Some(name) => Name::new(format_args!("thread \"{name}\"")),
        None => Name::new(format_args!("thread {:?}", thread.id())),
    }
}
