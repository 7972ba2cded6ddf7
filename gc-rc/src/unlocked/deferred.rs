//! The regime [`Deferred`](crate::Deferred): what several threads put into locals all the time is
//! not counted there.
//!
//! Where two threads count references to one object, the cache line of its head travels between
//! their processors for each count, although both only read the object. Most such references are
//! those of locals, which come and go with every operation. So an object that is found to be
//! counted much by threads that do not own it is **deferred**: a local that takes a reference to it
//! does not count it, and says so by a tag in its slot ([`crate::frame`]); one that lets go of it
//! counts nothing either. Fields and globals count as ever. (Deutsch and Bobrow 1976; CPython 3.14
//! does so with its stack references to functions, modules and the like, which it knows beforehand.
//! Here nobody says what will be shared, so it is found by use.)
//!
//! # Invariants
//!
//! 1. **Deferral begins and ends in stopped worlds only.** An object is deferred if it has no owner
//!    and [`DEFERRED`] stands where the owner's word is. Nobody writes that word while the world
//!    runs. So a local needs no protocol with other threads to find out whether it is to count, and
//!    the owner's fast path is what it is in [`Biased`](crate::Biased): only a thread that finds
//!    the object not to be its own looks further.
//! 2. The heap has a list of the objects that are deferred, and the list owns a counted reference
//!    to each. So its count falls to zero in no running world, whoever has it in tagged locals:
//!    nobody retires it, it is in no cascade, and it has no place on any other list.
//! 3. A local is tagged only if its object is deferred.
//! 4. In a stopped world no local is tagged. A stop begins with a walk over the frames of all
//!    mutators, also of those in blocking regions: each tagged local has its reference counted, and
//!    its tag taken away. From there on locals, counts and fields are what they are in every
//!    regime; collectors and verification see objects without owners, of which one reference is the
//!    list's, which counts as a global does. Tags do not come back when the world goes on: the
//!    locals that were found have been counted, and the next that take a reference do not.
//!
//! # Deaths
//!
//! If nothing but the list and tagged locals refers to a deferred object, the mutator whose release
//! left it so makes a stop at its next safepoint ([`released`]). That ends its deferral: the list's
//! reference is released, and the object lives or dies as any other. Each such stop ends the
//! deferral of an object at least. So no more garbage is kept back than what dies between two
//! stops, whether or not something is allocated, collected or asked for. (What only a collection
//! takes away is found when that is over.) A cycle that a deferred object is in is not found for as
//! long as the list has a reference to it; so all deferral ends in an exhaustive collection, and in
//! every fourth of the others.
//!
//! # What is deferred
//!
//! Each mutator counts how often it adds, for a local, a reference by an atomic operation. After
//! [`PATIENCE`] of them it *records* those that follow: addresses, and how often each comes. If
//! most of them come again and again, they are proposed to the next stop, which is asked for; if
//! not, the mutator has more patience before it tries again. A walk over a large graph, or objects
//! that are handed from thread to thread, are seldom the same twice. The addresses are those of
//! objects that may be gone when the stop comes. There they are looked up in the tables of blocks
//! and of large objects, and what is an object is deferred, be it another one than was recorded:
//! that is right for every object that has no owner, or can be made to have none. No reference is
//! kept for that, and no other count looks different because something is recorded.
//!
//! # What it may cost
//!
//! Stops pay if references enough went uncounted. So at each one that was asked for in this file it
//! is looked how many that were since the one before ([`WORTH`]). Were they too few, everybody's
//! patience doubles, up to a million; were they enough, it is what it was in the beginning. A
//! program that makes short-lived objects hot, one after another, soon is left alone, and tried
//! again now and then. The stops that deaths ask for keep to a rate ([`Deferral::may_stop`]), as
//! what was deferred together may die piecemeal.
//!
//! Rejected:
//! * Deferral that begins and ends while threads run: each local would have to settle with whoever
//!   ends it, by a fence or an exchange where there is a load now.
//! * No reference of the list's, a stop that frees what is found in no local instead (a table of
//!   objects with count zero, as Deutsch and Bobrow have it): the operations that bring a count to
//!   zero would all have to know, and so would every look at a retired object.
//! * To give tagged locals their tags back when the world goes on: they let go once, and a counted
//!   local is right at all times.
//! * Candidates that are kept alive until the stop: a list that counts references makes counts look
//!   wrong, and holds garbage when its thread does nothing more.
//! * A small table of the objects that were sampled last. One hot object is found so, but not a
//!   table of a thousand of which each is read now and then, which costs the same.
//! * Only what is seen to be contended: a processor does not say that a line had to travel.

use std::cell::{Cell, RefCell};

use crate::alloc::CELL_BYTES;
use crate::block::BLOCK_BYTES;
use crate::event::is_telling;
use crate::gil::COLLECT;
use crate::heap::Locked;
use crate::mutator::{Mutator, Ref, Roots};
use crate::object::{ONE, Object, tag};
use crate::primitive::Ordering::Relaxed;
use crate::primitive::{AtomicU32, AtomicU64};
use crate::regime::{Biased, Deferred};
use crate::room;
use crate::statistics::DeferralStatistics;
use crate::unlocked::biased::retain_late;
use crate::unlocked::parts::{OWNER_SHIFT, Parts, own_word};
use crate::unlocked::reclaim::charge;
use crate::unlocked::{Commons, Seat};

/// What stands where the owner's word of a deferred object is: the number of an owner that there
/// never is, who has counted nothing and noted nothing.
pub(super) const DEFERRED: u32 = u32::MAX << OWNER_SHIFT;

/// Poll bit: a stop is asked for that begins or ends deferral, by nobody who could see to it.
pub(crate) const DEFER: u32 = 32;

/// Objects that are deferred at a time.
const MOST: usize = 8192;
/// References that a mutator counts by atomic operations, for locals, before it records which.
const PATIENCE: u32 = 256;
/// The same in a heap under stress.
const PATIENCE_UNDER_STRESS: u32 = 4;
/// How often patience is doubled at most.
const DOUBLED_AT_MOST: u32 = 12;
/// References that a stop is worth: it takes as long as some thousands that are fought for.
const WORTH: u64 = 1 << 14;
/// Passes over the list for what dies of what has died; if they were too few, all deferral ends.
const PASSES: u32 = 8;
/// Collections after which all deferral ends.
const COLLECTIONS: u32 = 4;

/// Safepoints after which a mutator looks again whether it may make a stop.
const LOOK_AGAIN: u32 = 64;
/// Nanoseconds by which stops may run ahead of their rate.
const AHEAD: u64 = 8_000_000;
/// What a stop is taken for at least, in nanoseconds, and at most; and how many times that is to
/// pass for each.
const SHORTEST: u64 = 16_000;
const LONGEST: u64 = 500_000;
const SHARE: u64 = 32;

/// How a mutator finds out what to defer.
pub(crate) struct Heat {
    /// References to be counted until they are recorded.
    patience: Cell<u32>,
    /// How often patience was doubled, as what was recorded came once.
    misses: Cell<u32>,
    recording: RefCell<Option<Recording>>,
    /// What the program asked for.
    asked: RefCell<Vec<usize>>,
    /// Safepoints until the mutator looks whether it may make the stop that it wants; 0 if it wants
    /// none.
    wait: Cell<u32>,
    /// The room of both that is charged.
    pub(super) charged: Cell<usize>,
    stress: bool,
}

/// Which objects references were counted to: an open table.
struct Recording {
    entries: Vec<Entry>,
    counted: u32,
    /// Of these, how many were to an object that had come before.
    again: u32,
    /// It is what the next stop is to defer.
    is_over: bool,
}

#[derive(Clone, Copy)]
struct Entry {
    address: usize,
    times: u32,
}

/// Entries of a recording, and how many of them are looked at for one address.
const ENTRIES: usize = 2048;
const PROBES: usize = 8;

impl Recording {
    /// `None` if there is no memory for one.
    fn new() -> Option<Self> {
        let mut entries = Vec::new();
        let nothing = Entry {
            address: 0,
            times: 0,
        };
        room::set_aside(&mut entries, ENTRIES).then(|| entries.resize(ENTRIES, nothing))?;
        Some(Self {
            entries,
            counted: 0,
            again: 0,
            is_over: false,
        })
    }

    /// Takes down an object. Returns what it is that was recorded, if that can be told: whether it
    /// is to be proposed.
    fn note(&mut self, object: Object, stress: bool) -> Option<bool> {
        let address = object.address();
        let hash = (address as u64 >> 4).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        self.counted += 1;
        for probe in 0..PROBES {
            let entry = &mut self.entries[(hash as usize + probe) % ENTRIES];
            if entry.address == address {
                self.again += 1;
                entry.times += 1;
                break;
            }
            if entry.address == 0 {
                *entry = Entry { address, times: 1 };
                break;
            }
        }
        if stress {
            return (self.counted == 8).then_some(true);
        }
        // The fewer they are, the sooner it is known. In between lie tables of some hundreds.
        let (counted, again) = (self.counted, self.again);
        let most = again * 4 >= counted * 3;
        match counted {
            256 => most.then_some(true),
            1024 if again * 4 < counted => Some(false),
            1024 => most.then_some(true),
            4096 if again * 2 < counted => Some(false),
            4096 => most.then_some(true),
            8192.. => Some(again * 2 >= counted),
            _ => None,
        }
    }

    /// Adds to `candidates` what is worth to be deferred, as far as there is memory.
    fn propose(&self, candidates: &mut Vec<usize>, stress: bool) {
        let least = if stress { 1 } else { 2 };
        for entry in self.entries.iter().filter(|entry| entry.times >= least) {
            if !room::push(candidates, entry.address) {
                return;
            }
        }
    }
}

impl Heat {
    pub(super) fn new(stress: bool) -> Self {
        let heat = Self {
            patience: Cell::new(0),
            misses: Cell::new(0),
            recording: RefCell::default(),
            asked: RefCell::default(),
            wait: Cell::new(0),
            charged: Cell::new(0),
            stress,
        };
        heat.be_patient(0);
        heat
    }

    /// Begins to count anew, with patience doubled so often.
    fn be_patient(&self, doubled: u32) {
        self.patience.set(if self.stress {
            PATIENCE_UNDER_STRESS
        } else {
            PATIENCE << doubled.min(DOUBLED_AT_MOST)
        });
    }

    /// The mutator is to make a stop at its next safepoint.
    fn ask(&self) {
        self.wait.set(1);
    }

    /// Whether it is time to look whether the mutator may make the stop that it wants. At a
    /// safepoint.
    #[inline(always)]
    pub(super) fn is_due(&self) -> bool {
        let wait = self.wait.get();
        if wait > 1 {
            self.wait.set(wait - 1);
        }
        wait == 1
    }

    /// The room that is to be charged for, in objects.
    fn room(&self) -> usize {
        let entries = |recording: &Recording| recording.entries.capacity() * 2;
        self.recording.borrow().as_ref().map_or(0, entries) + self.asked.borrow().capacity()
    }
}

/// What the mutators of a heap have in common for this regime.
#[derive(Default)]
pub(crate) struct Deferral {
    /// Objects whose deferral has begun, and has ended, and stops that were asked for by this.
    begun: AtomicU64,
    ended: AtomicU64,
    stops: AtomicU64,
    /// How often patience is doubled, as deferral did not pay.
    doubled: AtomicU32,
    /// When the stops that there have been are made up for, by the heap's clock.
    paid: AtomicU64,
    /// References that were not counted when it was last looked whether that paid. Like the next
    /// two, of stopped worlds only.
    spared: Cell<u64>,
    /// Objects that had been freed when it was last looked what had died with them.
    freed: Cell<u64>,
    /// Collections since all deferral ended.
    collections: Cell<u32>,
}

impl Deferral {
    pub(super) fn statistics(&self, uncounted: u64) -> DeferralStatistics {
        // In this order: what has ended has begun before.
        let ended = self.ended.load(Relaxed);
        let begun = self.begun.load(Relaxed);
        DeferralStatistics {
            uncounted,
            deferred_objects: begun.saturating_sub(ended),
            begun,
            stops: self.stops.load(Relaxed),
        }
    }

    /// Whether a stop may be made now: stops are to take a share of the time, but for a few that
    /// come at once.
    fn may_stop(&self, now: u64) -> bool {
        self.paid.load(Relaxed) <= now + AHEAD
    }

    /// A stop was made.
    fn pay(&self, from: u64, until: u64) {
        let took = (until - from).clamp(SHORTEST, LONGEST);
        self.paid
            .store(self.paid.load(Relaxed).max(until) + SHARE * took, Relaxed);
        self.stops.fetch_add(1, Relaxed);
    }

    /// Adjusts everybody's patience to whether deferral pays: so many references were not counted
    /// so far.
    fn judge(&self, spared: u64) {
        let pays = spared - self.spared.replace(spared) >= WORTH;
        let doubled = self.doubled.load(Relaxed) + 1;
        let doubled = if pays { 0 } else { doubled };
        self.doubled.store(doubled.min(DOUBLED_AT_MOST), Relaxed);
    }
}

/// Where a mutator is that may make a stop.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Occasion {
    /// It will come to another safepoint.
    Safepoint,
    /// It is about to be absent.
    Blocking,
    /// It is about to detach. There may be nobody else.
    Leaving,
}

// ---- while the world runs

/// Adds the reference of a local. Returns what its slot is to hold.
#[inline(always)]
pub(super) fn hold<const DEFERS: bool>(m: &Mutator<'_, Biased<DEFERS>>, object: Object) -> Object {
    match Parts::of(object).retain_own(m.base(), 0) {
        Ok(()) => {
            m.own.tally.changed(true);
            object
        }
        // Relaxed, as all loads of the word: it is so since a stop (invariant 1).
        Err(DEFERRED) => {
            m.own.tally.spared();
            object.tagged()
        }
        Err(_) => {
            hold_with_others(m, object);
            object
        }
    }
}

#[inline(never)]
fn hold_with_others<const DEFERS: bool>(m: &Mutator<'_, Biased<DEFERS>>, object: Object) {
    retain_late(m, object, 0);
    if m.is_single() {
        return;
    }
    let patience = &m.own.heat.patience;
    match patience.get() {
        0 => m.record(object),
        more => patience.set(more - 1),
    }
}

/// After a release of an object that is not the caller's own, with this owner's word: asks for a
/// stop if the list has the only reference that is counted.
#[inline(always)]
pub(super) fn released<const DEFERS: bool>(
    m: &Mutator<'_, Biased<DEFERS>>,
    object: Object,
    word: u32,
) {
    // Of several that release at once, the last sees what all have done: each looks after its own
    // exchange, of the same word.
    if word == DEFERRED && object.shared_head().load(Relaxed) < 2 * ONE {
        m.own.heat.wait.set(m.own.heat.wait.get().max(1));
    }
}

impl<const DEFERS: bool> Mutator<'_, Biased<DEFERS>> {
    /// Records which object a local's reference was counted to.
    #[cold]
    #[inline(never)]
    fn record(&self, object: Object) {
        let heat = &self.own.heat;
        let mut recording = heat.recording.borrow_mut();
        if recording.is_none() {
            *recording = Recording::new();
            drop(recording);
            self.charge_heat();
            if heat.recording.borrow().is_none() {
                heat.be_patient(DOUBLED_AT_MOST);
            }
            return;
        }
        let Some(recorded) = &mut *recording else {
            return;
        };
        if recorded.is_over {
            // Until the stop comes, which may wait for its turn.
            heat.patience.set(PATIENCE);
            return;
        }
        match recorded.note(object, heat.stress) {
            None => {}
            Some(true) => {
                recorded.is_over = true;
                heat.misses.set(0);
                heat.ask();
            }
            Some(false) => {
                *recording = None;
                drop(recording);
                self.charge_heat();
                heat.misses
                    .set((heat.misses.get() + 2).min(DOUBLED_AT_MOST));
                let doubled = self.inner.deferral.doubled.load(Relaxed);
                heat.be_patient(heat.misses.get().max(doubled));
            }
        }
    }

    fn charge_heat(&self) {
        let (tables, heat) = (self.tables(), &self.own.heat);
        charge(tables.proof(), &heat.charged, heat.room());
    }

    /// Whether somebody wants a stop that begins or ends deferral.
    #[inline(always)]
    pub(super) fn wants_to_reconsider(&self) -> bool {
        self.own.heat.wait.get() != 0 || self.inner.base.mailbox.poll.load(Relaxed) & DEFER != 0
    }

    /// Makes the stop that is wanted, if that is not too soon, or cannot wait. The mutator is at a
    /// quiescent point.
    #[cold]
    #[inline(never)]
    pub(super) fn reconsider_deferral(&self, occasion: Occasion) {
        let (commons, wait) = (self.inner, &self.own.heat.wait);
        let poll = &commons.base.mailbox.poll;
        let from = commons.clock.now();
        // What a listener does is not to keep others waiting.
        let may =
            !is_telling() && (occasion == Occasion::Leaving || commons.deferral.may_stop(from));
        if may {
            poll.fetch_or(DEFER, Relaxed);
            let asked = || poll.load(Relaxed) & DEFER != 0;
            if self.stop_while(false, false, asked, |_| ()).is_some() {
                commons.deferral.pay(from, commons.clock.now());
            }
        } else if wait.get() != 0 {
            if occasion == Occasion::Safepoint {
                wait.set(LOOK_AGAIN);
            } else {
                // Others have to see to it.
                wait.set(0);
                poll.fetch_or(DEFER, Relaxed);
            }
        }
    }
}

impl<'h> Mutator<'h, Deferred> {
    /// Asks that locals should not count their references to an object, as several threads will
    /// use it all the time: a hint, for what is known beforehand. What is used so is found without;
    /// what is not so used had better be counted. Cost: a stop, at one of the next safepoints.
    ///
    /// ```
    /// use gc_rc::{Deferred, Flags, Heap, HeapFull};
    ///
    /// let heap: Heap<Deferred> = Heap::builder().build_unlocked()?;
    /// heap.attach(|m| {
    ///     m.frame(|m, [table, local]| {
    ///         m.alloc_init(table, Flags::NONE, [], [7])?;
    ///         m.defer(m.get(table).expect("just made"));
    ///         m.safepoint();
    ///         assert!(m.is_deferred(m.get(table).expect("as before")));
    ///         let before = heap.statistics().deferral.expect("of this regime").uncounted;
    ///         m.set(local, m.get(table));
    ///         assert_eq!(m.get(local).map(|object| m.word(object, 0)), Some(7));
    ///         let after = heap.statistics().deferral.expect("of this regime").uncounted;
    ///         assert_eq!(after - before, 1);
    ///         Ok::<_, HeapFull>(())
    ///     })
    /// })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn defer<'m>(&'m self, object: Ref<'m, 'h>) {
        let address = object.object.address();
        let mut asked = self.own.heat.asked.borrow_mut();
        if asked.len() < MOST && room::push(&mut asked, address) {
            drop(asked);
            self.charge_heat();
            self.own.heat.ask();
        }
    }

    /// Whether locals do not count references to the object.
    pub fn is_deferred<'m>(&'m self, object: Ref<'m, 'h>) -> bool {
        own_word(object.object).load(Relaxed) == DEFERRED
    }
}

// ---- in a stopped world

impl Seat {
    /// Moves what the mutator proposes to `candidates`, as far as there is memory.
    fn propose(&self, candidates: &mut Vec<usize>, commons: &Commons, locked: Locked<'_>) {
        let heat = &self.heat;
        heat.wait.set(0);
        let recorded = (heat.recording.borrow_mut()).take_if(|recorded| recorded.is_over);
        if let Some(recorded) = &recorded {
            recorded.propose(candidates, heat.stress);
        }
        let asked = heat.asked.take();
        if candidates.try_reserve(asked.len()).is_ok() {
            candidates.extend(&asked);
        }
        if recorded.is_some() {
            self.cool(commons, locked);
        }
    }

    /// Has the mutator record anew, as what it has recorded may be deferred.
    pub(super) fn cool(&self, commons: &Commons, locked: Locked<'_>) {
        let heat = &self.heat;
        heat.recording.take();
        charge(locked, &heat.charged, 0);
        heat.be_patient(commons.deferral.doubled.load(Relaxed));
    }
}

impl Commons {
    /// As a stop begins, when what is retired is pending: counts what tagged locals hold (invariant
    /// 4), and ends the deferral of what nothing else refers to, or of all. Returns the addresses
    /// of what [`Self::begin_deferral`] is to be called with.
    pub(super) fn end_deferral(
        &self,
        locked: Locked<'_>,
        mut all: bool,
        each: impl Fn(&mut dyn FnMut(&Seat)),
    ) -> Vec<usize> {
        let deferral = &self.deferral;
        let poll = self.base.mailbox.poll.fetch_and(!DEFER, Relaxed);
        let mut wanted = poll & DEFER != 0;
        each(&mut |seat| wanted |= seat.heat.wait.get() != 0);
        // Nothing that dies here names the list.
        let mut list = locked.deferred.take();
        if poll & DEFER != 0 && !list.is_empty() {
            deferral.judge(locked.inner.counters.spared());
        }
        let mut candidates = Vec::new();
        each(&mut |seat| {
            seat.propose(&mut candidates, self, locked);
            if all {
                // Memory may be scarce.
                seat.cool(self, locked);
            }
        });
        candidates.sort_unstable();
        candidates.dedup();
        if list.is_empty() {
            return candidates;
        }
        if poll & COLLECT != 0 {
            deferral.collections.set(deferral.collections.get() + 1);
        }
        all |= deferral.collections.get() >= COLLECTIONS || list.len() + candidates.len() > MOST;
        // Puts those first that go on being deferred.
        let keep = |list: &mut Vec<Object>, all: bool| {
            let mut kept = 0;
            for index in 0..list.len() {
                if !all && list[index].count() > 1 {
                    list.swap(index, kept);
                    kept += 1;
                }
            }
            kept
        };
        // Who leaves one with no other reference wants a stop.
        let mut kept = if wanted || all {
            keep(&mut list, all)
        } else {
            list.len()
        };
        Roots::each_slot(locked, |slot| {
            if let Some(held) = slot.get()
                && held.is_tagged()
            {
                locked.retain(held.untagged());
                slot.set(Some(held.untagged()));
            }
        });
        let mut passes = 0;
        while kept < list.len() {
            deferral
                .ended
                .fetch_add((list.len() - kept) as u64, Relaxed);
            for object in list.drain(kept..) {
                own_word(object).store(0, Relaxed);
                locked.release(object);
            }
            locked.settle();
            passes += 1;
            kept = keep(&mut list, all || passes == PASSES);
        }
        if list.is_empty() {
            deferral.collections.set(0);
        }
        deferral.freed.set(locked.inner.counters.freed_objects());
        room::fit(&mut list, kept);
        locked.deferred.replace(list);
        candidates
    }

    /// As a stop ends: begins the deferral of the objects at these addresses, which are in order,
    /// as far as there are any. They may be of objects that are gone, and of memory that is.
    pub(super) fn begin_deferral(
        &self,
        locked: Locked<'_>,
        candidates: Vec<usize>,
        each: impl Fn(&mut dyn FnMut(&Seat)),
    ) {
        let mut list = locked.deferred.borrow_mut();
        // What those that died in this stop have left with no other reference.
        let freed = locked.inner.counters.freed_objects();
        if freed != self.deferral.freed.get() && list.iter().any(|object| object.count() == 1) {
            self.base.mailbox.poll.fetch_or(DEFER, Relaxed);
        }
        if candidates.is_empty() {
            return;
        }
        let before = list.len();
        each_object_at(locked, &candidates, |object| {
            let word = own_word(object);
            let cannot = object.has(tag::FREE | tag::DEAD | tag::QUEUED)
                || object.references() == 0
                || object.is_immortal()
                || word.load(Relaxed) == DEFERRED;
            if cannot || list.len() >= MOST || !room::push(&mut list, object) {
                return;
            }
            object.settle();
            locked.retain(object);
            word.store(DEFERRED, Relaxed);
        });
        let begun = (list.len() - before) as u64;
        self.deferral.begun.fetch_add(begun, Relaxed);
        drop(list);
        if begun > 0 {
            each(&mut |seat| seat.cool(self, locked));
        }
        locked.account_metadata();
    }
}

/// Calls `f` with the cells at those of these addresses, which are in order, where there are any.
fn each_object_at(locked: Locked<'_>, addresses: &[usize], mut f: impl FnMut(Object)) {
    for &block in locked.allocator.blocks().iter() {
        let end = block.header().end.get() as usize;
        // SAFETY: the block's first byte.
        let start = unsafe { block.at(0) };
        let base = start as usize;
        let first = addresses.partition_point(|&address| address < base);
        let within = |&&address: &&usize| address < base + BLOCK_BYTES;
        for &address in addresses[first..].iter().take_while(within) {
            let offset = address - base;
            if offset < end && offset.is_multiple_of(CELL_BYTES[block.class()] as usize) {
                // SAFETY: a cell was carved there, as one is at each multiple below the end.
                f(unsafe { Object::from_raw(block.at(offset)) });
            }
        }
    }
    locked.allocator.large.each_tagged(0, 0, |object| {
        if addresses.binary_search(&object.address()).is_ok() {
            f(object);
        }
        true
    });
}

/// Checks the invariants, in a stopped world.
pub(super) fn verify(locked: Locked<'_>) {
    let list = locked.deferred.borrow();
    for object in &*list {
        assert!(
            own_word(*object).load(Relaxed) == DEFERRED && !object.is_owned(),
            "gc-rc: verify: {object:?} is listed as deferred, and does not say so"
        );
    }
    let mut deferred = 0;
    locked.allocator.each_tagged(true, tag::FREE, 0, |object| {
        deferred += (own_word(object).load(Relaxed) == DEFERRED) as usize;
        true
    });
    assert!(
        deferred == list.len(),
        "gc-rc: verify: {deferred} objects are deferred, but {} are listed",
        list.len()
    );
    Roots::each_slot(locked, |slot| {
        let held = slot.get();
        assert!(
            !held.is_some_and(Object::is_tagged),
            "gc-rc: verify: a local of a stopped world holds {held:?} and has not counted it"
        );
    });
}
