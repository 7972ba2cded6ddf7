//! Counting without the global lock: what the regimes have in common whose threads run at the same
//! time.
//!
//! # Why zero only retires
//!
//! Under the lock, an object whose count falls to zero dies at the next `&mut` operation of the one
//! thread that runs. Here another thread may have read a reference to it from a field a moment
//! before, and be about to count that. Whoever counts first would have to know that the object is
//! still there, and knows it only when it has counted. The contract has the way out: nothing a
//! mutator could have read since its last `&mut` operation is reclaimed before its next one. So a
//! count of zero *retires* an object: it goes on a list of its mutator, and is looked at again
//! after a grace period ([`epoch`]), when no mutator can hold a reference to it that it has not
//! counted. If it is still zero then, the object dies, and what dies of that dies with it
//! ([`reclaim`]). Until then adding a reference is legal, from zero, too.
//!
//! # What is shared with the heap under the lock
//!
//! Shapes, headers, size classes, blocks, tables, the cycle collectors, verification: everything
//! but the operations. They are all methods of [`Locked`], the proof that the heap is nobody else's
//! at the time; and there are two ways to it here.
//!
//! 1. *A stopped world* ([`Mutator::stop`]) is as exclusive as the lock: every other mutator is at
//!    a safepoint or in a blocking region ([`handshake`]), none has a reference that is not
//!    counted, and what mutators have for themselves (free cells, retired objects, tallies) has
//!    been handed over. A collection runs as it does under the lock; all that is retired dies in
//!    its beginning.
//! 2. *The mutex of the tables* ([`Commons::tables`]) is for slow paths while others run: blocks
//!    from the supply, large objects, globals, weak references, finalizers. Its holder may use the
//!    tables and free cells. Of an object that others can reach, it touches the head by atomic
//!    operations only, if at all. It is never held across a safepoint, so that a stop waits for no
//!    holder.
//!
//! # Invariants
//!
//! 1. While the world runs, heads and fields of objects that others can reach are accessed as
//!    atomics, and the cells of [`crate::object`] never read or written otherwise. In a stopped
//!    world they are ordinary memory. What orders the two is the handshake.
//! 2. An object has `QUEUED` set from when its count fell to zero until it was looked at and found
//!    to be referred to, or died. All that time it is on the list of one mutator, or among the
//!    orphans of those that are gone or blocked, or (if there was no memory for its place) nowhere:
//!    then the next stop finds it.
//! 3. Nobody frees an object but whoever has looked at it after a grace period, or a stopped world.
//! 4. A mutator's [`Seat`] is touched by its own thread, and in a stopped world; what others come
//!    by meanwhile is atomic, or has a lock of its own (its depot).
//!
//! # Cells of other threads
//!
//! A cell that dies goes into a magazine of whoever freed it. Full ones go to a depot, from which
//! anybody may take who has none ([`alloc`]). So memory finds its way from a thread that frees to
//! one that allocates, no mutator has more than two magazines of a class to which nobody else can
//! come, and no cell is stranded with a thread that is gone or blocked: there is no owner whom it
//! would have to be brought home to. (Rejected: blocks that belong to a mutator, with an atomic
//! list for what others free: every free would have to look whose block it is, and a thread that
//! ends leaves blocks that somebody must adopt.)
//!
//! # What a regime is
//!
//! How counts are changed ([`Counting`]): [`atomic`], [`object_lock`], [`biased`], and
//! [`deferred`], the third but for what locals need not count. All else here is the same for all,
//! but that in the last two a mutator that is the only one leaves out what others need
//! ([`single`]).
//! One unit of 64 bits behind an object's words belongs to the regime; its lower half is the
//! object's [stamp](epoch). A node of two references and a word, with header, then takes 48 bytes,
//! as its size class has them under the lock. In the header there is no room: the count, the tag
//! and the collector's carry fill it.

pub(crate) mod alloc;
pub(crate) mod atomic;
mod attach;
pub(crate) mod biased;
pub(crate) mod deferred;
pub(crate) mod epoch;
mod handles;
mod mutator;
pub(crate) mod object_lock;
mod owners;
mod parts;
pub(crate) mod reclaim;
mod single;
mod stop;
pub(crate) mod word;

#[cfg(all(test, loom))]
mod model;

use std::cell::{Cell, RefCell};
use std::sync::atomic::Ordering::{Acquire, Relaxed, SeqCst};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64};

use handshake::process::{Home, INSIDE, Resident};
use handshake::{Clock, Handshake, Member, Party, Watchdog};

use crate::buffer::Buffer;
use crate::builder::{BuildError, Builder};
use crate::count::Freed;
use crate::heap::{Heap, Inner, Locked};
use crate::mutator::{Mutator, Roots};
use crate::object::{ONE, Object, Shape, Slot, edges, shared, tag};
use crate::primitive::{Mutex, MutexGuard, lock};
use crate::regime::{Kind, Regime, Unlocked};
use crate::shared::Shared;
use crate::statistics::{ReclamationStatistics, Statistics, Tally};
use crate::unlocked::alloc::{Cells, Depot};
use crate::unlocked::biased::Bias;
use crate::unlocked::deferred::{Deferral, Heat, Occasion};
use crate::unlocked::epoch::{Epoch, Seen};
use crate::unlocked::owners::Owners;
use crate::unlocked::reclaim::{Retired, occupies};
use crate::unlocked::single::Single;

/// A regime without the global lock: how counts are changed while other threads do the same.
pub(crate) trait Counting: Regime + Kind<Inner = Commons, Own = Seat> {
    /// Units of 64 bits that an object has behind its words, for the regime.
    const UNITS: u32 = 1;

    /// Whether mutators own objects.
    const HAS_OWNERS: bool = false;

    /// Whether a mutator that is the only one leaves out what others would need ([`single`]).
    const MAY_BE_SINGLE: bool = false;

    /// The count in the head of a new object, which has one reference.
    #[inline(always)]
    fn first(_: &Mutator<'_, Self>) -> u64 {
        ONE
    }

    /// Writes the units of a new object, which has one reference.
    ///
    /// # Safety
    ///
    /// The cell was made for a shape with so many units more, and is nobody else's yet.
    #[inline(always)]
    unsafe fn begin(m: &Mutator<'_, Self>, object: Object, shape: Shape) {
        let units = shape.refs as usize + shape.words as usize;
        // SAFETY: the caller's promise. Nothing has been cut off from a new object.
        unsafe { object.write_word(units, u64::from(m.inner.epoch.old_stamp())) };
    }

    /// How many references the object has.
    #[inline(always)]
    fn count(object: Object) -> u32 {
        (object.shared_head().load(Acquire) / ONE) as u32
    }

    /// The same without a reference that is the heap's own.
    #[inline(always)]
    fn count_of_others(object: Object) -> u32 {
        Self::count(object)
    }

    /// Whether there are locals that do not count what they hold ([`deferred`]).
    const DEFERS: bool = false;

    /// Adds a reference.
    fn retain(m: &Mutator<'_, Self>, object: Object);

    /// Adds the reference of a local. Returns what its slot is to hold.
    #[inline(always)]
    fn hold(m: &Mutator<'_, Self>, object: Object) -> Object {
        Self::retain(m, object);
        object
    }

    /// Adds the reference of a field.
    fn retain_in_field(m: &Mutator<'_, Self>, object: Object);

    /// Takes a reference away that was read or could be. Returns whether it was the last and the
    /// caller is to retire the object.
    fn release(m: &Mutator<'_, Self>, object: Object) -> bool;

    /// [`Self::release`], and retires the object if that is the caller's to do.
    #[inline(always)]
    fn release_and_retire(m: &Mutator<'_, Self>, object: Object)
    where
        Self: Unlocked,
    {
        if Self::release(m, object) {
            m.retire(object);
        }
    }

    /// Takes the reference of a dead object away, which has been out of reach for a grace period.
    fn release_of_dead(m: &Mutator<'_, Self>, object: Object) -> word::Released;

    /// Puts `value` in place of what a field of `from` holds: with a new reference, or, if it is
    /// `moved`, one that is counted already.
    #[inline(always)]
    fn replace(
        m: &Mutator<'_, Self>,
        from: Object,
        slot: &Slot,
        value: Option<Object>,
        moved: bool,
    ) -> Replaced {
        // The new reference first: the old value may be the same object.
        if let Some(to) = value {
            Self::note(m, from, edges::OUT);
            if moved {
                Self::note(m, to, edges::IN);
            } else {
                Self::retain_in_field(m, to);
            }
        }
        let (slot, new) = (shared(slot), Object::pointer(value));
        let old = if m.is_single() {
            // Nobody else reads or writes it before a stop.
            let old = slot.load(Relaxed);
            slot.store(new, Relaxed);
            old
        } else {
            // Release: what was written to the new value is seen by whoever loads it. Sequentially
            // consistent: the stamp of the old value is read after this ([`epoch`]), and what
            // others have noted ([`word`]).
            slot.swap(new, SeqCst)
        };
        // The new value is good still, whatever others have done since: this mutator has not come
        // to a quiescent point.
        let closes = value.is_some_and(|to| {
            Self::edges(to) & edges::OUT != 0
                && Self::edges(from) & (edges::IN | edges::SUSPECT) == edges::IN
        });
        Replaced {
            old: Object::of_pointer(old),
            closes,
        }
    }

    /// What was noted of an object's [`edges`], among other bits.
    #[inline(always)]
    fn edges(object: Object) -> u64 {
        object.shared_head().load(SeqCst)
    }

    /// Looks at a retired object.
    fn look(m: &Mutator<'_, Self>, object: Object) -> word::Look;

    /// [`word::claim`].
    #[inline(always)]
    fn claim(_: &Mutator<'_, Self>, object: Object, bits: u64) -> bool {
        word::claim(object.shared_head(), bits)
    }

    /// [`word::note`].
    #[inline(always)]
    fn note(_: &Mutator<'_, Self>, object: Object, bits: u64) {
        word::note(object.shared_head(), bits);
    }

    /// [`word::forget`].
    fn forget(_: &Mutator<'_, Self>, object: Object, bits: u64) {
        word::forget(object.shared_head(), bits);
    }

    /// Whether a reference to the object may have been cut off within a grace period.
    #[inline(always)]
    fn is_young(commons: &Commons, object: Object) -> bool {
        commons.epoch.is_young(stamp(object).load(Relaxed))
    }

    /// Has the object look as if a reference had just been cut off.
    fn renew(m: &Mutator<'_, Self>, object: Object);

    // ---- for a regime in which mutators own objects ([`biased`])

    /// A global is about to refer to the object.
    #[inline(always)]
    fn show(_: &Mutator<'_, Self>, _: Object) {}

    /// A weak reference is about to refer to the object.
    #[inline(always)]
    fn watch(_: &Mutator<'_, Self>, _: Object) {}

    /// A retired object of this mutator's list will be on somebody else's, or on none.
    #[inline(always)]
    fn requeue(_: &Mutator<'_, Self>, _: Object) {}

    /// The head of an object that nobody can reach is about to be written.
    #[inline(always)]
    fn disown(_: &Mutator<'_, Self>, _: Object) {}

    /// The marks of a retired object of this mutator's list, if nobody else can hold a reference to
    /// it: then it is dead at the next quiescent point.
    #[inline(always)]
    fn unseen(_: &Mutator<'_, Self>, _: Object) -> Option<u64> {
        None
    }

    /// Whether somebody else, who is in an operation, is about to write to a dead object that this
    /// mutator did not list: then it dies a grace period later.
    #[inline(always)]
    fn is_settling(_: &Mutator<'_, Self>, _: Object) -> bool {
        false
    }

    /// The mutator attaches.
    #[inline(always)]
    fn arrive(_: &Mutator<'_, Self>) {}

    /// The mutator is about to be absent, or to detach. Returns whether there was nothing that it
    /// has to see to before.
    #[inline(always)]
    fn leave(_: &Mutator<'_, Self>) -> bool {
        true
    }

    /// The mutator is not absent any more.
    #[inline(always)]
    fn come_back(_: &Mutator<'_, Self>) {}

    /// The mutator, which has left, detaches.
    #[inline(always)]
    fn vacate(_: &Mutator<'_, Self>) {}

    /// Whether others have something for this mutator to see to.
    #[inline(always)]
    fn is_asked(_: &Mutator<'_, Self>) -> bool {
        false
    }

    /// Sees to that. The mutator is at a quiescent point.
    #[inline(always)]
    fn answer(_: &Mutator<'_, Self>, _: &mut Freed) {}

    // ---- for a regime that defers ([`deferred`])

    /// Whether the mutator wants to make a stop that begins or ends deferral, and has waited for
    /// long enough. At a safepoint.
    #[inline(always)]
    fn is_due(_: &Mutator<'_, Self>) -> bool {
        false
    }

    /// Makes that stop, if it may be made now. The mutator is at a quiescent point.
    #[inline(always)]
    fn reconsider(_: &Mutator<'_, Self>, _: Occasion) {}

    /// Checks what the regime adds to the heap's invariants, in a stopped world.
    fn verify(_: Locked<'_>) {}
}

/// The stamp of an object.
#[inline(always)]
pub(crate) fn stamp<'a>(object: Object) -> &'a AtomicU32 {
    // SAFETY: objects of these regimes have a unit behind their words, of which this is the lower
    // half, and nobody takes that for anything else.
    unsafe { AtomicU32::from_ptr(object.last_unit().cast()) }
}

/// What became of a field that was written.
pub(crate) struct Replaced {
    /// What it held. Its reference is the caller's now.
    pub(crate) old: Option<Object>,
    /// The new value may close a cycle ([`crate::cycle::filter`]).
    pub(crate) closes: bool,
}

/// What the threads of a heap without the global lock share.
pub(crate) struct Commons {
    /// What every heap has. Its lock is nobody's.
    pub(crate) base: Inner,
    /// The process that this is the heap of. That of the base says nothing of the handshake.
    home: Home,
    handshake: Handshake<Seat>,
    clock: Clock,
    epoch: Epoch,
    tables: Mutex<()>,
    /// Free cells of mutators that are gone.
    depot: Depot,
    /// Retired objects of mutators that are gone or blocked. Protected by the mutex of the tables.
    orphans: RefCell<Vec<Object>>,
    orphaned: Orphaned,
    /// Who owns objects, in the regimes that have owners.
    owners: Owners,
    /// What is deferred, in the regime that defers.
    deferral: Deferral,
    /// There was no memory to name an object to its owner: a stop finds it.
    unnamed: AtomicBool,
    single: Single,
}

/// What is known of the orphans. Protected as they are.
#[derive(Default)]
struct Orphaned {
    /// Their bytes, with headers.
    bytes: Cell<u64>,
    /// The room of their list that is charged.
    charged: Cell<usize>,
}

/// Poll bit: there are orphans.
pub(crate) const ADOPT: u32 = 16;

// SAFETY: the cells in it are protected by the mutex of the tables, or used in a stopped world.
unsafe impl Sync for Commons {}
// SAFETY: as above; the objects that it names are tied to no thread.
unsafe impl Send for Commons {}

/// The tables of a heap, for as long as their mutex is held.
pub(crate) struct Tables<'a> {
    commons: &'a Commons,
    me: u32,
    _guard: MutexGuard<'a, ()>,
}

impl Tables<'_> {
    /// The proof, for what works on tables and free cells.
    pub(crate) fn proof(&self) -> Locked<'_> {
        // SAFETY: the mutex is held, and whoever uses the result keeps to what its holder may do.
        unsafe { Locked::new(&self.commons.base, self.me) }
    }
}

impl Resident for Commons {
    const CRATE: &'static str = Inner::CRATE;

    fn home(&self) -> &Home {
        &self.home
    }

    fn look(&self) -> Result<(), String> {
        self.base.move_here()?;
        self.handshake.look_after_fork()?;
        match self.tables.try_lock() {
            Ok(_) => Ok(()),
            Err(_) => Err(INSIDE.to_owned()),
        }
    }
}

impl Commons {
    fn new(builder: &Builder) -> Result<Self, BuildError> {
        let base = Inner::new(builder, true)?;
        let clock = Clock::since(base.recorder.origin());
        let watchdog = builder.watchdog.map(|patience| Watchdog {
            patience,
            heap: "gc-rc",
            complain: crate::os::complain,
        });
        Ok(Self {
            base,
            home: Home::here(),
            handshake: Handshake::new(watchdog, clock).ok_or(BuildError::Memory)?,
            clock,
            epoch: Epoch::new(),
            tables: Mutex::new(()),
            depot: Depot::new(),
            orphans: RefCell::default(),
            orphaned: Orphaned::default(),
            owners: Owners::default(),
            deferral: Deferral::default(),
            unnamed: AtomicBool::new(false),
            single: Single::new(builder.single_mutator),
        })
    }

    /// Waits for the mutex of the tables: whoever has it is in a slow path.
    #[track_caller]
    pub(crate) fn tables(&self, me: u32) -> Tables<'_> {
        self.enter();
        Tables {
            commons: self,
            me,
            _guard: lock(&self.tables),
        }
    }

    /// What mutators that are attached have counted and not handed over.
    pub(crate) fn tally(&self) -> Tally {
        let mut sum = Tally::default();
        self.handshake
            .each_member(|seat| seat.tally.add_to(&mut sum));
        sum
    }
}

/// 1 if the cycle collector tracks the object, else 0.
fn tracked(object: Object) -> u64 {
    u64::from(object.shared_head().load(Relaxed) & tag::UNTRACKED == 0)
}

/// What a mutator has for itself.
pub(crate) struct Seat {
    party: Party,
    /// Written by the mutator itself, or in a stopped world.
    single: Cell<bool>,
    seen: Seen,
    cells: Cells,
    depot: Depot,
    /// Objects whose last reference this mutator took away since it last came to a quiescent point.
    zeros: Buffer,
    /// Objects that wait for a grace period.
    retired: RefCell<Retired>,
    /// There are some.
    waits: Cell<bool>,
    /// The room of the two lists that is charged.
    charged: Cell<usize>,
    /// Something happened to this mutator that listeners are to be told of.
    tells: Cell<bool>,
    /// Safepoints until retired objects are attended to; very many if there are none.
    patience: Cell<u32>,
    /// Tracked objects made and not yet counted for the generations, less those freed.
    tracked: Cell<isize>,
    /// So many, of either, are said to the others.
    apart_at_most: isize,
    /// Objects that this mutator has freed since it last looked for unused memory.
    freed: Cell<i64>,
    /// The same of objects that are not tracked.
    untracked: Cell<i64>,
    tally: Tallies,
    bias: Bias,
    heat: Heat,
    pub(crate) roots: Roots,
}

// SAFETY: the party is the one inside.
unsafe impl Member for Seat {
    fn party(&self) -> &Party {
        &self.party
    }
}

// SAFETY: invariant 4. It is made on the thread that it belongs to, and stays there.
unsafe impl Sync for Seat {}

/// A mutator's own counters: it writes, anybody reads.
#[derive(Default)]
pub(crate) struct Tallies {
    objects: AtomicU64,
    payload: AtomicU64,
    freed_objects: AtomicU64,
    freed_payload: AtomicU64,
    lock_waits: AtomicU64,
    retired: AtomicU64,
    freed_after_grace: AtomicU64,
    kept_objects: AtomicU64,
    kept_bytes: AtomicU64,
    kept_tracked: AtomicU64,
    own_changes: AtomicU64,
    shared_changes: AtomicU64,
    named: AtomicU64,
    merged: AtomicU64,
    spared: AtomicU64,
}

impl Tallies {
    #[inline(always)]
    fn more(counter: &AtomicU64, more: u64) {
        counter.store(counter.load(Relaxed) + more, Relaxed);
    }

    #[inline(always)]
    pub(crate) fn allocated(&self, payload: u64) {
        Self::more(&self.objects, 1);
        Self::more(&self.payload, payload);
    }

    pub(crate) fn freed(&self, objects: u64, payload: u64) {
        Self::more(&self.freed_objects, objects);
        Self::more(&self.freed_payload, payload);
    }

    pub(crate) fn waited_for_lock(&self) {
        Self::more(&self.lock_waits, 1);
    }

    /// An object came to zero, and is to be looked at again.
    pub(crate) fn retired(&self) {
        Self::more(&self.retired, 1);
    }

    /// An object waits for a grace period.
    pub(crate) fn keeps(&self, object: Object) {
        Self::more(&self.kept_objects, 1);
        Self::more(&self.kept_bytes, occupies(object));
        Self::more(&self.kept_tracked, tracked(object));
    }

    /// One of them does so no more.
    pub(crate) fn keeps_no_more(&self, object: Object) {
        let less = |counter: &AtomicU64, less| counter.store(counter.load(Relaxed) - less, Relaxed);
        less(&self.kept_objects, 1);
        less(&self.kept_bytes, occupies(object));
        less(&self.kept_tracked, tracked(object));
    }

    /// Whatever waits has been handed over.
    pub(crate) fn keeps_none(&self) {
        self.kept_objects.store(0, Relaxed);
        self.kept_bytes.store(0, Relaxed);
        self.kept_tracked.store(0, Relaxed);
    }

    /// So many objects were freed that had waited, or died with one that had.
    pub(crate) fn freed_after_grace(&self, objects: u64) {
        Self::more(&self.freed_after_grace, objects);
    }

    /// A count was changed that has two parts: the owner's, or that of the others.
    #[inline(always)]
    pub(crate) fn changed(&self, own: bool) {
        if !own {
            Self::more(&self.shared_changes, 1);
        } else if cfg!(feature = "count-statistics") {
            Self::more(&self.own_changes, 1);
        }
    }

    /// A local took a reference and did not count it.
    #[inline(always)]
    pub(crate) fn spared(&self) {
        Self::more(&self.spared, 1);
    }

    /// An object was named to its owner.
    pub(crate) fn named(&self) {
        Self::more(&self.named, 1);
    }

    /// The parts of so many counts were added up.
    pub(crate) fn merged(&self, objects: u64) {
        Self::more(&self.merged, objects);
    }

    fn add_to(&self, sum: &mut Tally) {
        sum.freed_objects += self.freed_objects.load(Relaxed);
        sum.freed_payload += self.freed_payload.load(Relaxed);
        sum.objects += self.objects.load(Relaxed);
        sum.payload += self.payload.load(Relaxed);
        sum.lock_waits += self.lock_waits.load(Relaxed);
        sum.retired += self.retired.load(Relaxed);
        sum.freed_after_grace += self.freed_after_grace.load(Relaxed);
        sum.kept_objects += self.kept_objects.load(Relaxed);
        sum.kept_bytes += self.kept_bytes.load(Relaxed);
        sum.kept_tracked += self.kept_tracked.load(Relaxed);
        sum.own_changes += self.own_changes.load(Relaxed);
        sum.shared_changes += self.shared_changes.load(Relaxed);
        sum.named += self.named.load(Relaxed);
        sum.merged += self.merged.load(Relaxed);
        sum.spared += self.spared.load(Relaxed);
    }

    /// Takes what has been counted; nobody reads meanwhile.
    fn take(&self) -> Tally {
        let mut sum = Tally::default();
        self.add_to(&mut sum);
        for counter in [
            &self.objects,
            &self.payload,
            &self.freed_objects,
            &self.freed_payload,
            &self.lock_waits,
            &self.retired,
            &self.freed_after_grace,
            &self.own_changes,
            &self.shared_changes,
            &self.named,
            &self.merged,
            &self.spared,
        ] {
            counter.store(0, Relaxed);
        }
        sum
    }
}

impl<R: Unlocked> Heap<R> {
    pub(crate) fn unlocked(builder: &Builder) -> Result<Self, BuildError> {
        let inner = Shared::new(Commons::new(builder)?);
        Ok(Self {
            inner: inner.ok_or(BuildError::Memory)?,
        })
    }

    /// The heap's counters. Waits for those in slow paths of their allocations, if at all. After a
    /// fork, if the heap lacks other threads, what these had counted for themselves is left out,
    /// and so is what is said of reclamation.
    pub fn statistics(&self) -> Statistics {
        let commons = &*self.inner;
        if !commons.may_enter() {
            return commons.base.counters.read(Tally::default());
        }
        // Held, so that what is handed over meanwhile is not counted twice, or not at all.
        let tables = lock(&commons.tables);
        let tally = commons.tally();
        let counters = &commons.base.counters;
        let whole = counters.read(tally);
        let named = commons.owners.kept();
        let reclamation = ReclamationStatistics {
            kept_objects: tally.kept_objects + commons.orphans.borrow().len() as u64 + named.0,
            kept_bytes: tally.kept_bytes + commons.orphaned.bytes.get() + named.1,
            epochs: commons.epoch.begun(),
            stops: commons.handshake.completed(),
            ..counters.reclamation(tally)
        };
        drop(tables);
        let units = 8 * u64::from(R::UNITS);
        Statistics {
            allocated_payload_bytes: (whole.allocated_payload_bytes)
                .saturating_sub(units * whole.allocated_objects),
            freed_payload_bytes: (whole.freed_payload_bytes)
                .saturating_sub(units * whole.freed_objects),
            reclamation: Some(reclamation),
            bias: R::HAS_OWNERS.then(|| counters.bias(tally)),
            deferral: R::DEFERS
                .then(|| (commons.deferral).statistics(counters.spared() + tally.spared)),
            ..whole
        }
    }
}
