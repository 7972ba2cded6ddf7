//! The heap as its threads share it, and the proof that the lock is held.
//!
//! [`Inner`] has two halves. One is for everybody: the lock itself, the mailbox, atomic counters,
//! recorded events. The other, [`Protected`], belongs to whoever holds the lock; it is made of
//! cells, not of locks, and [`Locked`] is the only way to it. A `Locked` is made in one place (by a
//! mutator, whose thread holds the lock whenever safe code can reach the mutator), and everything
//! that works on the heap is a method of it.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::ops::Deref;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard};
use std::thread::ThreadId;
use std::time::{Duration, Instant};

use handshake::process::{Home, INSIDE, Resident};

use crate::alloc::Allocator;
use crate::buffer::Buffer;
use crate::builder::{BuildError, Builder};
use crate::count::Free;
use crate::cycle::candidates::Scratch;
use crate::cycle::{Cycle, bacon_rajan::PossibleRoots, generational::Generational};
use crate::event::{EventKind, EventLog, Recorder};
use crate::gil::{self, Leave, LockStatistics, TELL};
use crate::handle::{Cleared, GlobalCell, Globals, Mailbox, WeakCell};
use crate::mutator::Roots;
use crate::object::{Object, tag};
use crate::overhead::Overhead;
use crate::regime::{GlobalLock, Regime};
use crate::room::{self, List};
use crate::shared::{Counted, Shared};
use crate::statistics::{Counters, Statistics, Tally};
use crate::step::{Record, Step, Witness};

/// What the lock protects.
pub(crate) struct Protected {
    /// Objects whose count fell to zero and that the next drain looks at again. See
    /// [`crate::count`].
    pub(crate) pending: Buffer,
    /// There are more pending objects than the list names.
    pub(crate) pending_unlisted: Cell<bool>,
    /// The first of the dead objects that a lazy heap has not freed yet; they are linked.
    pub(crate) dead: Cell<Option<Object>>,
    pub(crate) free: Free,
    pub(crate) cycle: Cycle,
    pub(crate) allocator: Allocator,
    pub(crate) generational: Generational,
    pub(crate) possible_roots: PossibleRoots,
    pub(crate) scratch: Scratch,
    /// The cell of each object that has weak references.
    pub(crate) weak: RefCell<HashMap<Object, Shared<WeakCell>>>,
    /// Weak references that were cleared and not yet asked for.
    pub(crate) cleared: Cleared,
    /// Objects whose finalizers are due; the queue owns a count of each.
    pub(crate) finalizable: RefCell<VecDeque<Object>>,
    /// Such objects that the queue has no room for.
    pub(crate) finalizable_unlisted: Cell<usize>,
    /// Every global that was not yet released.
    pub(crate) globals: Globals,
    /// The attached mutator that was the last to attach; they are linked.
    pub(crate) attached: Cell<*const Roots>,
    pub(crate) overhead: Overhead,
    /// Mutators may have free cells that the allocator's lists do not name ([`crate::unlocked`]).
    pub(crate) lent: Cell<bool>,
    /// Room of lists of retired objects ([`crate::unlocked`]), in objects.
    pub(crate) retired_room: Cell<usize>,
    /// Objects whose references in locals are not counted; the list owns a count of each
    /// ([`crate::unlocked::deferred`]).
    pub(crate) deferred: RefCell<Vec<Object>>,
    /// A collection is going on.
    pub(crate) collecting: Cell<bool>,
    /// What had been turned over when unused memory was last looked at.
    tidied: Cell<u64>,
    /// When unused memory was last looked at.
    last_tidy: Cell<Option<Instant>>,
    /// Deaths until it is looked whether it is time again.
    until_look: Cell<i64>,
}

impl Protected {
    /// Blocks in use, and large objects.
    pub(crate) fn listable(&self) -> (usize, usize) {
        (self.allocator.blocks().len(), self.allocator.large.len())
    }

    /// Whether [`Locked::drain`] has something to do.
    #[inline(always)]
    pub(crate) fn has_pending(&self) -> bool {
        self.pending.len() != 0
    }

    /// Whether anything is left to free: what [`Locked::drain`] has to do, or what a lazy heap has
    /// put off.
    #[inline(always)]
    pub(crate) fn has_dead(&self) -> bool {
        self.pending.len() | self.dead.get().map_or(0, Object::address) != 0
    }
}

/// A heap's shared state.
pub(crate) struct Inner {
    pub(crate) counters: Counters,
    pub(crate) protected: Protected,
    pub(crate) mailbox: Shared<Mailbox>,
    pub(crate) lock: gil::GlobalLock,
    pub(crate) recorder: Recorder,
    pub(crate) stress: bool,
    pub(crate) release_after: Option<Duration>,
    next_mutator: AtomicU32,
    roll: Mutex<Roll>,
    /// The process that this is the heap of.
    home: Home,
}

/// Who is attached.
#[derive(Default)]
struct Roll {
    attached: usize,
    /// Those for whom there was memory.
    entries: Vec<Entry>,
}

struct Entry {
    number: u32,
    thread: ThreadId,
    /// The thread's name, for the watchdog.
    name: String,
}

// SAFETY: `protected` is reached through `Locked` only, whose makers promise to hold the lock;
// passing the lock from one thread to the next orders their accesses. The objects and handles in it
// are plain memory, tied to no thread. All else is `Send` and `Sync` by itself.
unsafe impl Send for Inner {}
// SAFETY: as above.
unsafe impl Sync for Inner {}

impl Resident for Inner {
    const CRATE: &'static str = "gc-rc";

    fn home(&self) -> &Home {
        &self.home
    }

    fn look(&self) -> Result<(), String> {
        let Ok(roll) = self.roll.try_lock() else {
            return Err(INSIDE.to_owned());
        };
        let here = std::thread::current().id();
        let mine = (roll.entries.iter()).filter(|entry| entry.thread == here);
        if roll.attached > mine.count() {
            let lost = roll.entries.iter().find(|entry| entry.thread != here);
            let name = lost.map_or("?", |entry| &entry.name);
            return Err(format!("thread '{name}' was attached to it"));
        }
        match self.lock.is_held() || self.recorder.is_held() {
            true => Err(INSIDE.to_owned()),
            false => Ok(()),
        }
    }
}

impl Inner {
    fn roll(&self) -> MutexGuard<'_, Roll> {
        self.roll
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Whether memory goes back to the system as soon as it is found unused.
    fn releases_at_once(&self) -> bool {
        self.release_after == Some(Duration::ZERO)
    }

    /// A new mutator's number.
    pub(crate) fn enrol(&self) -> u32 {
        let me = self.next_mutator.fetch_add(1, Relaxed);
        let thread = std::thread::current();
        let mut copy = String::new();
        let name = thread.name().unwrap_or("without a name");
        // Without memory for it the watchdog gives a number only.
        let mut roll = self.roll();
        roll.attached += 1;
        if copy.try_reserve_exact(name.len()).is_ok() && roll.entries.try_reserve(1).is_ok() {
            copy.push_str(name);
            roll.entries.push(Entry {
                number: me,
                thread: thread.id(),
                name: copy,
            });
        }
        me
    }

    pub(crate) fn resign(&self, me: u32) {
        let mut roll = self.roll();
        roll.attached -= 1;
        roll.entries.retain(|entry| entry.number != me);
        let entries = roll.entries.len();
        room::fit(&mut roll.entries, entries);
    }

    /// Takes the lock, and records the wait if there was one.
    pub(crate) fn take_lock(&self, me: u32, returning: bool) {
        let report = |holder: u32, waited: Duration| {
            let roll = self.roll();
            let entry = roll.entries.iter().find(|entry| entry.number == holder);
            let name = entry.map_or("a detached thread", |entry| &entry.name);
            crate::os::complain(format_args!(
                "gc-rc: thread '{name}' (mutator {holder}) has kept the global lock for {} ms \
                 while others wait: it reached no safepoint, or waits for something outside of \
                 `blocking`",
                waited.as_millis()
            ));
        };
        if let Some(begun) = self.lock.take(me, &self.mailbox.poll, returning, report) {
            self.record(me, begun, EventKind::LockWait);
        }
    }

    /// Records what began at `from` and ends now. The current thread has the lock, as mutator `me`.
    pub(crate) fn record(&self, me: u32, from: Instant, kind: EventKind) {
        // A copy that other operations are refused on tells of nothing: another thread may have
        // the recorder's lock.
        if self.may_enter() && self.recorder.record(me, from, kind) {
            self.mailbox
                .poll
                .fetch_or(TELL, crate::primitive::Ordering::Relaxed);
        }
    }

    /// Drops the lock, then tells the listeners what happened to mutator `me` while it had it. Does
    /// not unwind.
    pub(crate) fn drop_lock(&self, me: u32, leave: Leave) {
        let poll = &self.mailbox.poll;
        if poll.load(crate::primitive::Ordering::Relaxed) & TELL != 0 {
            poll.fetch_and(!TELL, crate::primitive::Ordering::Relaxed);
        }
        self.lock.drop(me, poll, leave);
        self.recorder.tell(me);
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.mailbox.close();
        for (_, cell) in self.protected.weak.take() {
            cell.clear();
        }
    }
}

/// Unused memory is looked for when so much of the heap was allocated or freed since, as one part
/// of so many.
const TIDY_SHARE: u64 = 8;
/// Objects whose deaths have it looked whether it is time for that: a program that frees as much as
/// it allocates comes to no collection, and allocates from the free cells that it has.
pub(crate) const LOOK_EVERY: i64 = 8192;

/// The proof that the current thread holds the heap's lock, as the mutator numbered `me`; and who
/// hears of the steps that are taken under it ([`crate::step`]): nobody, unless the operation is
/// recorded. Passes that take steps are methods of any `Locked`, all else of the ordinary one.
#[derive(Clone, Copy)]
pub(crate) struct Locked<'a, W = ()> {
    pub(crate) inner: &'a Inner,
    pub(crate) me: u32,
    pub(crate) witness: W,
}

impl<'a, W: Witness> Locked<'a, W> {
    /// Tells of a step, if somebody hears of it: else `step` is not called.
    #[inline(always)]
    pub(crate) fn note<S: Into<Option<Step>>>(self, step: impl FnOnce() -> S) {
        self.witness.note(step);
    }

    /// The proof alone, for what takes no steps.
    #[inline(always)]
    pub(crate) fn unrecorded(self) -> Locked<'a> {
        Locked {
            inner: self.inner,
            me: self.me,
            witness: (),
        }
    }
}

impl<'a> Locked<'a> {
    /// # Safety
    ///
    /// The current thread holds the lock for as long as the result is used.
    #[inline(always)]
    pub(crate) unsafe fn new(inner: &'a Inner, me: u32) -> Self {
        Self {
            inner,
            me,
            witness: (),
        }
    }

    /// The same proof, for an operation of whose steps `record` hears.
    pub(crate) fn recording(self, record: &'a Record) -> Locked<'a, &'a Record> {
        Locked {
            inner: self.inner,
            me: self.me,
            witness: record,
        }
    }

    /// Releases memory that has been unused for long enough, if it is time to look for it again.
    /// Called where time does not matter, with the time.
    ///
    /// Finding empty blocks costs a walk over all cells: it is made only if a quarter of them may
    /// be free, and at most once in the time after which memory is released. Where that time is
    /// short, the walk is paid for by what the program turns over.
    pub(crate) fn tidy(self, now: Instant) {
        if self.is_tidying_worthwhile(now) && !self.collecting.get() {
            self.last_tidy.set(Some(now));
            self.tidied.set(self.inner.counters.turned_over());
            self.reclaim(self.inner.releases_at_once());
        }
    }

    /// So many objects have died.
    #[inline(always)]
    pub(crate) fn note_deaths(self, objects: u64) {
        let left = self.until_look.get() - objects as i64;
        self.until_look.set(left);
        if left < 0 {
            self.look_for_unused();
        }
    }

    /// Has unused memory looked for at the next safepoint, if it is time.
    #[cold]
    #[inline(never)]
    pub(crate) fn look_for_unused(self) {
        self.until_look.set(LOOK_EVERY);
        let now = Instant::now();
        let there_may_be_some =
            || self.may_have_empty_blocks() || self.allocator.supply.has_spare_blocks();
        if self.is_tidying_worthwhile(now) && there_may_be_some() {
            self.request_collection();
        }
    }

    /// Whether it is time for that, and the program has turned over enough to pay for it. Time is
    /// counted from when this was first asked.
    pub(crate) fn is_tidying_worthwhile(self, now: Instant) -> bool {
        if self.last_tidy.get().is_none() {
            self.last_tidy.set(Some(now));
            return false;
        }
        let turned_over = || {
            let all = self.inner.counters.turned_over();
            all.saturating_sub(self.tidied.get())
        };
        self.is_tidying_due(now)
            && turned_over() >= self.allocator.cells_in_use().0 as u64 / TIDY_SHARE
    }

    /// Whether the time after which unused memory is looked for has passed.
    pub(crate) fn is_tidying_due(self, now: Instant) -> bool {
        let (last, time) = (self.last_tidy.get(), self.inner.release_after);
        (last.zip(time)).is_some_and(|(last, time)| now.saturating_duration_since(last) >= time)
    }

    /// Makes blocks without objects unused if that may be worth the while, and releases those that
    /// have been for long enough, or `all`.
    #[cold]
    #[inline(never)]
    fn reclaim(self, all: bool) {
        if !self.lent.get() && self.may_have_empty_blocks() {
            self.unuse_empty_blocks();
        }
        self.forget_unheld_weak();
        self.allocator.supply.age(&self.inner.counters, all);
        self.account_metadata();
    }

    fn unuse_empty_blocks(self) {
        let unlist = || self.generational.unlist_empty_blocks();
        self.allocator.trim(&self.inner.counters, unlist);
    }

    /// Whether a quarter of the cells are free, and a mebibyte.
    pub(crate) fn may_have_empty_blocks(self) -> bool {
        let (cells, cost) = self.allocator.cells_in_use();
        let counters = &self.inner.counters;
        // What large objects take is rounded up, so that there may be a little more in cells.
        let large = counters.occupied_by_objects().saturating_sub(cost) as u64;
        let small = counters.object_bytes().saturating_sub(large);
        (cells as u64).saturating_sub(small) >= (cells as u64 / 4).max(1 << 20)
    }

    /// After a full collection: makes all blocks without objects unused, and releases memory if it
    /// is time.
    pub(crate) fn trim(self) {
        self.forget_unheld_weak();
        self.unuse_empty_blocks();
        if self.inner.releases_at_once() {
            self.allocator.supply.age(&self.inner.counters, true);
        }
        self.account_metadata();
    }

    /// Gives back what lists and tables have too much of ([`crate::room`]), and brings their charge
    /// up to date. Cost: that of a few comparisons, and amortised O(1) for each element that went.
    pub(crate) fn account_metadata(self) {
        const TABLE_ENTRY: usize = size_of::<(Object, Shared<WeakCell>)>() + 1;
        const WEAK_CELL: usize = size_of::<Counted<WeakCell>>();
        let mut weak = self.weak.borrow_mut();
        let mut finalizable = self.finalizable.borrow_mut();
        if !self.collecting.get() {
            self.allocator.fit();
            let (blocks, large) = self.listable();
            self.generational.fit(blocks);
            self.scratch.fit(blocks, large);
            self.pending.fit();
            self.possible_roots.fit();
            let entries = (weak.len(), finalizable.len());
            room::fit(&mut *weak, entries.0);
            room::fit(&mut *finalizable, entries.1);
        }
        let side = self.allocator.metadata();
        let tables = size_of::<Object>()
            * (self.pending.capacity()
                + self.possible_roots.capacity()
                + finalizable.capacity()
                + self.retired_room.get()
                + self.deferred.borrow().capacity())
            + weak.capacity() * TABLE_ENTRY
            + (weak.len() + self.cleared.len()) * WEAK_CELL
            + self.globals.len() * size_of::<GlobalCell>()
            + self.scratch.bytes();
        self.inner.counters.set_metadata(side, tables);
        self.allocator
            .supply
            .keep_within_bound(&self.inner.counters);
    }

    /// Sees to it that one more block, or one more large object, can be on every list that it may
    /// ever have to be on. Returns whether there was memory for that: what a collection needs is
    /// there before there is something to collect.
    pub(crate) fn set_aside(self) -> bool {
        let (blocks, large) = self.listable();
        self.allocator.set_aside()
            && self.generational.set_aside(blocks + 1)
            && self.scratch.set_aside(blocks + 1, large + 1)
    }

    /// [`Self::account_metadata`] if the list has become much shorter than it was.
    #[inline]
    pub(crate) fn account_if_sparse(self, list: &RefCell<impl List>) {
        let sparse = {
            let list = list.borrow();
            room::is_sparse(&*list, list.elements())
        };
        if sparse {
            self.account_metadata();
        }
    }
}

impl<W> Deref for Locked<'_, W> {
    type Target = Protected;

    #[inline(always)]
    fn deref(&self) -> &Protected {
        &self.inner.protected
    }
}

/// A reference-counting heap: a handle to shared state, cheap to clone. The memory goes back to the
/// system with the last handle; finalizers of objects that are still there do not run.
///
/// The parameter says how its threads keep counts right: see [`Regime`].
pub struct Heap<R: Regime = GlobalLock> {
    pub(crate) inner: Shared<R::Inner>,
}

impl<R: Regime> Clone for Heap<R> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
        }
    }
}

impl Heap {
    /// Starts the configuration of a heap. Every setting has a default: see [`Builder`].
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// A heap with every default.
    pub fn new() -> Self {
        let built = Self::from_builder(&Builder::default());
        built.expect("the defaults are valid, and their event buffer is small")
    }

    pub(crate) fn from_builder(builder: &Builder) -> Result<Self, BuildError> {
        let inner = Shared::new(Inner::new(builder, false)?);
        Ok(Self {
            inner: inner.ok_or(BuildError::Memory)?,
        })
    }

    /// The heap's counters. Waits for nothing.
    pub fn statistics(&self) -> Statistics {
        self.inner.counters.read(Tally::default())
    }

    /// What happened at the global lock. Waits for nothing.
    pub fn lock_statistics(&self) -> LockStatistics {
        self.inner.lock.statistics()
    }
}

impl Inner {
    /// The state of a heap. `lent`: mutators have free cells of their own.
    pub(crate) fn new(builder: &Builder, lent: bool) -> Result<Self, BuildError> {
        let capacity = builder.event_capacity;
        let recorder = Recorder::new(capacity, &builder.listeners)
            .ok_or(BuildError::EventCapacity { events: capacity })?;
        let no_memory = BuildError::Memory;
        let pending = Buffer::new(LEAST_PENDING).ok_or(no_memory)?;
        let mailbox = Mailbox::new().ok_or(no_memory)?;
        // Cells that are born listed are never listed again.
        let born = match builder.cycle {
            Cycle::Generational => tag::BUFFERED,
            Cycle::BaconRajan => tag::IN_YOUNG,
            Cycle::None => tag::BUFFERED | tag::IN_YOUNG,
        };
        let counters = Counters::new(builder.limit);
        let overhead = Overhead::new(builder.overhead_limit, counters.limit());
        Ok(Self {
            counters,
            protected: Protected {
                pending,
                pending_unlisted: Cell::new(false),
                dead: Cell::new(None),
                free: builder.free,
                cycle: builder.cycle,
                allocator: Allocator::new(builder.stress, builder.poison, born),
                generational: Generational::new(builder),
                possible_roots: PossibleRoots::new(builder.possible_roots),
                scratch: Scratch::default(),
                overhead,
                tidied: Cell::new(0),
                last_tidy: Cell::new(None),
                until_look: Cell::new(LOOK_EVERY),
                weak: RefCell::default(),
                cleared: Cleared::new(),
                finalizable: RefCell::default(),
                finalizable_unlisted: Cell::new(0),
                globals: Globals::new(),
                attached: Cell::new(std::ptr::null()),
                lent: Cell::new(lent),
                retired_room: Cell::new(0),
                deferred: RefCell::default(),
                collecting: Cell::new(false),
            },
            mailbox,
            lock: gil::GlobalLock::new(
                builder.gil,
                builder.switch_interval,
                builder.watchdog,
                builder.lock_hold_times,
            ),
            recorder,
            stress: builder.stress,
            release_after: builder.release_after,
            next_mutator: AtomicU32::new(0),
            roll: Mutex::default(),
            home: Home::here(),
        })
    }
}

impl<R: Regime> Heap<R> {
    /// The moment at which the time-stamps of [`Self::take_events`] are zero.
    pub fn origin(&self) -> Instant {
        R::base(&self.inner).recorder.origin()
    }

    /// Removes and returns what happened since the last call. Does not wait for the global lock.
    ///
    /// # Panics
    ///
    /// After a fork, if the heap lacks other threads: see the crate's documentation.
    ///
    /// ```
    /// use gc_rc::{EventKind, Heap};
    ///
    /// let heap = Heap::builder().limit(1 << 20).build()?;
    /// heap.attach(|m| m.collect());
    /// let log = heap.take_events();
    /// let is_collection = |kind| matches!(kind, EventKind::Collection { .. });
    /// let collections = log.events.iter().filter(|event| is_collection(event.kind));
    /// assert_eq!((collections.count(), log.lost), (1, 0));
    /// # Ok::<(), gc_rc::BuildError>(())
    /// ```
    pub fn take_events(&self) -> EventLog {
        let base = R::base(&self.inner);
        base.enter();
        base.recorder.take()
    }
}

impl Default for Heap {
    fn default() -> Self {
        Self::new()
    }
}

impl<R: Regime> fmt::Debug for Heap<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Heap")
            .field("id", &R::base(&self.inner).mailbox.id)
            .finish_non_exhaustive()
    }
}

/// Pending objects that always have room on their list: so that it is empty only if nothing is
/// pending.
const LEAST_PENDING: usize = 64;
