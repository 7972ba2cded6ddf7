//! The stop-the-world handshake: how one mutator brings all others to a halt, and how they go on.
//!
//! A crate of its own, below the heaps that stop their mutators: each has a handshake of its own,
//! and they share nothing but this protocol, which is modelled and tested once.
//!
//! Each mutator has a [`Party`]: a poll flag that a stop arms, and a status that says whether the
//! mutator is *running* (it may touch the heap) or *stopped* (parked at a safepoint, or inside a
//! blocking region, where it has promised not to). The mutator that wants a collection performs it
//! itself: there is no collector thread to wake.
//!
//! # Invariants
//!
//! 1. While a [`World`] exists, every other registered party is stopped and none can become
//!    running: the collector may touch what mutators own.
//! 2. At most one `World` exists at a time.
//! 3. A party changes its own status only. From running to stopped it goes freely; from stopped to
//!    running only after it has seen its poll flag disarmed *after* announcing that it runs
//!    (outside the lock), or while holding the lock with no stop in progress.
//!
//! # Why it is correct
//!
//! Entering and leaving a blocking region must not take a lock. The race between a stop and a
//! mutator that crosses the border of a blocking region is Dekker's: the collector arms the poll,
//! *fence*, reads the status; the mutator writes its status, *fence*, reads the poll. At least one
//! sees the other. If the collector sees a running mutator, it waits, and the mutator's next poll
//! parks it. If the mutator sees an armed poll, it takes the lock, declares itself stopped again
//! and waits there. Fences, not sequentially consistent accesses: that is what the C11 model
//! orders, and what loom can check.
//!
//! Everything the collector wrote is visible to a mutator that goes on: a parked one synchronises
//! through the lock, one that leaves a blocking region through the release store that disarmed its
//! poll. What a mutator wrote before it stopped is visible to the collector through the release
//! store of its status, or the lock.
//!
//! A mutator that wakes late finds either no stop in progress, or a later one: in both cases it
//! re-reads the state under the lock, so it can never take the end of stop *n* for the end of stop
//! *n + 1*.
//!
//! A mutator once seen stopped after the polls were armed need not be looked at again: by the same
//! argument it finds its poll armed before it runs, and then waits. So each is waited for at most
//! once a stop, and what is kept of it is the time of its arrival.
//!
//! # Time-to-safepoint
//!
//! The collector knows whom it waited for: those that were running when it first looked. Each
//! stamps its own arrival before it publishes its status, so that the stamp tells when the mutator
//! came and not when the collector woke up. A mutator that enters a blocking region reads the clock
//! only when its poll is armed already; one that the arming overtakes there has no stamp of this
//! stop, and the collector's own clock stands in.
//!
//! # Coalescing
//!
//! A trigger names the number of completed stops that would satisfy it. Whoever finds that number
//! reached does not collect again: racing triggers make one collection, and none is lost.
//!
//! # Attaching
//!
//! A thread that attaches during a stop waits for its end; the next stop does not begin while
//! threads that waited out the previous one have not got in, so that repeated stops cannot starve
//! them. They hold nothing that could delay this; threads that arrive later do not wait at all, so
//! the wait is bounded.
//!
//! # Waiting
//!
//! Most stops are minor collections, over within some 20 us, less than it takes to put a thread to
//! sleep and to wake it on another core (33 us, measured). So both sides look for a while before
//! they sleep, if there is more than one core: a parked mutator at its poll flag, the collector at
//! who has arrived.
//!
//! Rejected: a counter of running mutators under a lock (Whippet's way: two lock operations for
//! every blocking call); protecting a page and catching the fault (a signal handler in every
//! client); a dedicated collector thread (two context switches for each pause, which on a virtual
//! machine cost more than marking a small heap).

use std::fmt;
use std::num::NonZero;
use std::ptr::NonNull;
use std::sync::OnceLock;
use std::thread::ThreadId;
use std::time::{Duration, Instant};

#[cfg(loom)]
use loom::sync::{
    Condvar, Mutex, MutexGuard,
    atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering, fence},
};
#[cfg(not(loom))]
use std::sync::{
    Condvar, Mutex, MutexGuard,
    atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering, fence},
};

mod name;
pub mod process;
pub use name::Name;
#[cfg(not(loom))]
use name::Names;

/// Nanoseconds since an origin.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    origin: Instant,
}

impl Clock {
    /// Whose origin is now.
    #[expect(clippy::new_without_default, reason = "two are not equal")]
    pub fn new() -> Self {
        Self::since(Instant::now())
    }

    /// Whose origin is this.
    pub fn since(origin: Instant) -> Self {
        Self { origin }
    }

    /// The time.
    pub fn now(self) -> u64 {
        self.origin.elapsed().as_nanos() as u64
    }

    /// The moment that is zero.
    pub fn origin(self) -> Instant {
        self.origin
    }
}

/// Who says which mutators keep a stop waiting.
#[derive(Clone, Copy, Debug)]
pub struct Watchdog {
    /// How long a stop may take before the laggards are named.
    pub patience: Duration,
    /// The heap's name, which the line begins with.
    pub heap: &'static str,
    /// Writes the line. It may take long, and must not unwind.
    pub complain: fn(fmt::Arguments<'_>),
}

/// The cores this process may use, as when it was first asked: the standard library reads files to
/// know, and aborts where there is no memory for their names.
pub fn cores() -> usize {
    static CORES: OnceLock<usize> = OnceLock::new();
    *CORES.get_or_init(|| std::thread::available_parallelism().map_or(1, NonZero::get))
}

/// Adds an element to a vector. Returns whether there was memory for it.
fn push<T>(list: &mut Vec<T>, element: T) -> bool {
    let room = list.len() < list.capacity() || list.try_reserve(1).is_ok();
    if room {
        list.push(element);
    }
    room
}

const RUNNING: u8 = 0;
const STOPPED: u8 = 1;

/// A mutator's side of the handshake.
#[derive(Debug)]
pub struct Party {
    armed: AtomicBool,
    status: AtomicU8,
    /// When the mutator last arrived at a stop, as far as it noticed.
    arrived: AtomicU64,
}

impl Party {
    /// Of a mutator that runs, and that no stop wants.
    #[expect(clippy::new_without_default, reason = "two are not equal")]
    pub fn new() -> Self {
        Self {
            armed: AtomicBool::new(false),
            status: AtomicU8::new(RUNNING),
            arrived: AtomicU64::new(0),
        }
    }

    /// Whether a stop wants this mutator: the whole cost of a safepoint that finds nothing to do.
    #[inline(always)]
    pub fn armed(&self) -> bool {
        self.armed.load(Ordering::Relaxed)
    }

    /// Stamps an arrival. Relaxed: the status that is published afterwards publishes it.
    fn arrive(&self, at: u64) {
        self.arrived.store(at, Ordering::Relaxed);
    }

    fn stopped(&self) -> bool {
        // Acquire: pairs with the release store of the mutator that stopped, whose writes the
        // collector will read.
        self.status.load(Ordering::Acquire) == STOPPED
    }
}

/// What the handshake registers: a mutator's state, which contains its [`Party`].
///
/// # Safety
///
/// `party` returns the same party each time, stored inside `self`.
pub unsafe trait Member {
    /// The mutator's side of the handshake.
    fn party(&self) -> &Party;
}

struct Registered<M> {
    member: NonNull<M>,
    /// The mutator's number in events.
    number: u32,
    /// What the watchdog calls it.
    name: Name,
    /// The thread that it runs on.
    thread: ThreadId,
    /// It was running when the stop in progress was requested, and has not been seen to stop since.
    awaited: bool,
}

impl<M: Member> Registered<M> {
    fn party(&self) -> &Party {
        // SAFETY: valid until it detaches, which takes the lock; whoever has a registration holds
        // that.
        unsafe { self.member.as_ref() }.party()
    }
}

/// A mutator that a stop has waited for.
#[derive(Debug)]
pub struct Arrival {
    /// Its number.
    pub mutator: u32,
    /// When it had stopped, or had detached.
    pub at: u64,
}

/// A stay of a mutator for somebody else's stop.
#[derive(Debug)]
pub struct Wait {
    /// The number of the stop it came for; it may have stayed for later ones too.
    pub stop: u64,
    /// When it came.
    pub from: u64,
    /// When it went on.
    pub until: u64,
}

struct State<M> {
    members: Vec<Registered<M>>,
    /// A stop has been requested or has been reached, and is not over.
    stopping: bool,
    /// How many stops are over.
    completed: u64,
    /// Threads that wait to attach until the stop in progress is over.
    attaching: usize,
    /// Who has arrived, of those that the stop in progress waited for; and how many more there was
    /// no memory for.
    arrivals: Vec<Arrival>,
    lost: u64,
}

impl<M: Member> State<M> {
    /// Notes who has stopped since the last look; says whether nobody is awaited any more.
    fn look(&mut self, requested: u64, clock: Clock) -> bool {
        let mut complete = true;
        for registered in self.members.iter_mut().filter(|member| member.awaited) {
            registered.awaited = !registered.party().stopped();
            if registered.awaited {
                complete = false;
                continue;
            }
            let stamp = registered.party().arrived.load(Ordering::Relaxed);
            let at = if stamp >= requested {
                stamp
            } else {
                clock.now()
            };
            let mutator = registered.number;
            if !push(&mut self.arrivals, Arrival { mutator, at }) {
                self.lost += 1;
            }
        }
        complete
    }
}

/// The handshake of one heap.
pub struct Handshake<M> {
    state: Mutex<State<M>>,
    /// Somebody stopped or detached: the collector looks again.
    changed: Condvar,
    /// A stop is over, or the last thread that waited to attach has attached.
    resumed: Condvar,
    watchdog: Option<Watchdog>,
    clock: Clock,
    /// How often to look before going to sleep.
    looks: u32,
}

/// For how many mutators there is room in any case.
pub const MEMBERS_SET_ASIDE: usize = 16;

/// There was no memory to register a mutator: it is not attached.
#[derive(Debug)]
pub struct NoMemory;

/// A look and the pause after it take half a microsecond or so.
const LOOKS: u32 = 100;

/// How often it is worth looking whether another thread has done something.
fn looks() -> u32 {
    let cores = cores();
    // A model has no use for time.
    if cfg!(loom) || cores == 1 { 0 } else { LOOKS }
}

fn pause() {
    for _ in 0..16 {
        std::hint::spin_loop();
    }
}

// SAFETY: the pointers in the registry are dereferenced only through a `World`, while their owners
// are stopped, and for their `Party`, which is made of atomics.
unsafe impl<M> Send for Handshake<M> {}
// SAFETY: as above; the registry itself is behind the lock.
unsafe impl<M> Sync for Handshake<M> {}

impl<M: Member> Handshake<M> {
    /// `None` if the system has no memory for it.
    pub fn new(watchdog: Option<Watchdog>, clock: Clock) -> Option<Self> {
        let mut members = Vec::new();
        members.try_reserve_exact(MEMBERS_SET_ASIDE).ok()?;
        Some(Self {
            state: Mutex::new(State {
                members,
                stopping: false,
                completed: 0,
                attaching: 0,
                arrivals: Vec::new(),
                lost: 0,
            }),
            changed: Condvar::new(),
            resumed: Condvar::new(),
            watchdog,
            clock,
            looks: looks(),
        })
    }

    /// After a fork: whether the calling thread can go on alone. If not, says what it lacks.
    pub fn look_after_fork(&self) -> Result<(), String> {
        let Ok(mut state) = self.state.try_lock() else {
            return Err(process::INSIDE.to_owned());
        };
        let here = std::thread::current().id();
        let lost = (state.members.iter()).find(|registered| registered.thread != here);
        if let Some(lost) = lost {
            return Err(format!("{} was attached to it", lost.name));
        }
        if state.stopping {
            return Err("a stop was in progress".to_owned());
        }
        // Of threads that are not there.
        state.attaching = 0;
        state.arrivals.clear();
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, State<M>> {
        // No code that can panic runs under this lock, so a poisoned lock is a bug here, not a
        // client's.
        self.state
            .lock()
            .expect("the handshake's lock is never poisoned")
    }

    /// Calls `f` with every registered member, whether it runs or not; nobody comes or goes
    /// meanwhile. `f` may look at what any thread may look at, and must not call the handshake.
    pub fn each_member(&self, mut f: impl FnMut(&M))
    where
        M: Sync,
    {
        for registered in &self.lock().members {
            // SAFETY: valid until it detaches, which takes the lock that we hold.
            f(unsafe { registered.member.as_ref() });
        }
    }

    /// Calls `f` if exactly one mutator is registered, under the lock that attaching takes: whoever
    /// attaches later does so after what `f` did.
    pub fn if_alone<T>(&self, f: impl FnOnce() -> T) -> Option<T> {
        let state = self.lock();
        (state.members.len() == 1).then(f)
    }

    /// Registers a running mutator, once no stop is in progress; fails if there are more than
    /// [`MEMBERS_SET_ASIDE`] and no memory for it. `number` is what events call it, `name` what the
    /// watchdog does.
    ///
    /// # Safety
    ///
    /// `member` stays where it is, and valid, until [`Self::detach`] has returned; the calling
    /// thread is the only one to call the other operations with its party.
    pub unsafe fn attach(
        &self,
        member: NonNull<M>,
        number: u32,
        name: Name,
    ) -> Result<Option<Wait>, NoMemory> {
        let from = self.clock.now();
        let mut state = self.lock();
        let before = state.completed;
        if state.stopping {
            state.attaching += 1;
            while state.stopping {
                state = self.wait_for_resume(state);
            }
            state.attaching -= 1;
            if state.attaching == 0 {
                self.resumed.notify_all();
            }
        }
        let registered = Registered {
            member,
            number,
            name,
            thread: std::thread::current().id(),
            awaited: false,
        };
        if !push(&mut state.members, registered) {
            return Err(NoMemory);
        }
        Ok(self.waited(state, before, from))
    }

    /// Forgets a running mutator. A stop that waits for it goes on without it.
    pub fn detach(&self, member: NonNull<M>) {
        let mut state = self.lock();
        let mut registered = state.members.iter();
        let index = registered.position(|registered| registered.member == member);
        let registered = (state.members).swap_remove(index.expect("a mutator detaches once"));
        if registered.awaited {
            let arrival = Arrival {
                mutator: registered.number,
                at: self.clock.now(),
            };
            if !push(&mut state.arrivals, arrival) {
                state.lost += 1;
            }
            self.changed.notify_one();
        }
    }

    /// Waits out the stop that armed the poll, if it is still in progress. The mutator counts as
    /// stopped meanwhile.
    #[cold]
    pub fn park(&self, party: &Party) -> Option<Wait> {
        let from = self.clock.now();
        party.arrive(from);
        let mut state = self.lock();
        let before = state.completed;
        while state.stopping {
            party.status.store(STOPPED, Ordering::Release);
            self.changed.notify_one();
            state = self.look_for_resume(state, party);
        }
        party.status.store(RUNNING, Ordering::Relaxed);
        self.waited(state, before, from)
    }

    /// From here to [`Self::leave_blocking`] the mutator counts as stopped.
    pub fn enter_blocking(&self, party: &Party) {
        if party.armed() {
            party.arrive(self.clock.now());
        }
        party.status.store(STOPPED, Ordering::Release);
        fence(Ordering::SeqCst);
        if party.armed.load(Ordering::Relaxed) {
            // The collector may have read our status before we changed it, and be asleep. The lock
            // keeps the wake-up from falling between its look and its sleep.
            let _state = self.lock();
            self.changed.notify_one();
        }
    }

    /// Runs again, once no stop is in progress.
    pub fn leave_blocking(&self, party: &Party) -> Option<Wait> {
        party.status.store(RUNNING, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        // Acquire: pairs with the release store that disarmed the poll at the end of a stop we
        // slept through.
        if party.armed.load(Ordering::Acquire) {
            return self.park(party);
        }
        None
    }

    /// How many stops are over. A trigger that would be satisfied by any stop that ends after this
    /// moment passes this number plus one to [`Self::stop`].
    pub fn completed(&self) -> u64 {
        self.lock().completed
    }

    /// The number of the first stop that *begins* after this moment.
    pub fn next(&self) -> u64 {
        let state = self.lock();
        state.completed + 1 + u64::from(state.stopping)
    }

    /// Stops every other mutator, unless `target` stops are over by the time this one could begin.
    ///
    /// The caller is a registered, running mutator; while it waits for somebody else's stop it
    /// counts as stopped.
    pub fn stop(&self, me: NonNull<M>, target: u64) -> Stop<'_, M> {
        // SAFETY: the caller's own registration is valid while it calls.
        let party = unsafe { me.as_ref() }.party();
        let from = self.clock.now();
        party.arrive(from);
        let mut state = self.lock();
        let before = state.completed;
        while state.stopping || (state.completed < target && state.attaching > 0) {
            // Stopped also while it lets others attach: one of them, or another trigger, may begin
            // a stop first.
            party.status.store(STOPPED, Ordering::Release);
            self.changed.notify_one();
            state = self.wait_for_resume(state);
        }
        party.status.store(RUNNING, Ordering::Relaxed);
        if state.completed >= target {
            return Stop {
                waited: self.waited(state, before, from),
                world: None,
            };
        }

        debug_assert!(state.attaching == 0 && state.arrivals.is_empty());
        // Before the request, so that nobody waits for the allocator. Arrivals for which there is
        // no memory are lost.
        let others = state.members.len() - 1;
        let _ = state.arrivals.try_reserve(others);
        state.stopping = true;
        let requested = self.clock.now();
        for registered in &state.members {
            registered.party().armed.store(true, Ordering::Relaxed);
        }
        fence(Ordering::SeqCst);
        for registered in &mut state.members {
            registered.awaited = registered.member != me && !registered.party().stopped();
        }
        let patience = self.watchdog.map(|watchdog| watchdog.patience);
        let mut deadline = patience.and_then(|limit| Instant::now().checked_add(limit));
        let mut looks = self.looks;
        while state.members.iter().any(|registered| registered.awaited) {
            if looks > 0 {
                looks -= 1;
                drop(state);
                pause();
                state = self.lock();
            } else {
                state = self.wait_for_change(state, &mut deadline);
            }
            state.look(requested, self.clock);
        }
        let report = Report {
            stop: state.completed + 1,
            requested,
            stopped: self.clock.now(),
            arrivals: std::mem::take(&mut state.arrivals),
            lost: std::mem::take(&mut state.lost),
        };
        drop(state);
        Stop {
            waited: (report.stop > before + 1).then_some(Wait {
                stop: before + 1,
                from,
                until: requested,
            }),
            world: Some(World {
                handshake: self,
                report,
            }),
        }
    }

    /// The stay of a mutator that came at `from`, when `before` stops were over, and goes on now:
    /// none if no stop has ended since.
    fn waited(&self, state: MutexGuard<'_, State<M>>, before: u64, from: u64) -> Option<Wait> {
        let stood = state.completed > before;
        drop(state);
        stood.then(|| Wait {
            stop: before + 1,
            from,
            until: self.clock.now(),
        })
    }

    /// Waits for the end of the stop that armed the party; may return before it.
    fn look_for_resume<'a>(
        &'a self,
        state: MutexGuard<'a, State<M>>,
        party: &Party,
    ) -> MutexGuard<'a, State<M>> {
        drop(state);
        for _ in 0..self.looks {
            if !party.armed() {
                break;
            }
            pause();
        }
        // What the collector wrote is visible through the lock.
        let state = self.lock();
        if state.stopping {
            self.wait_for_resume(state)
        } else {
            state
        }
    }

    fn wait_for_resume<'a>(&self, state: MutexGuard<'a, State<M>>) -> MutexGuard<'a, State<M>> {
        self.resumed
            .wait(state)
            .expect("the handshake's lock is never poisoned")
    }

    #[cfg(loom)]
    fn wait_for_change<'a>(
        &'a self,
        state: MutexGuard<'a, State<M>>,
        _deadline: &mut Option<Instant>,
    ) -> MutexGuard<'a, State<M>> {
        self.changed.wait(state).unwrap()
    }

    /// Waits for a mutator to stop; when the deadline passes names those that keep the others
    /// waiting, and clears it.
    #[cfg(not(loom))]
    fn wait_for_change<'a>(
        &'a self,
        state: MutexGuard<'a, State<M>>,
        deadline: &mut Option<Instant>,
    ) -> MutexGuard<'a, State<M>> {
        let poisoned = "the handshake's lock is never poisoned";
        let Some(at) = *deadline else {
            return self.changed.wait(state).expect(poisoned);
        };
        let left = at.saturating_duration_since(Instant::now());
        let (state, timeout) = self.changed.wait_timeout(state, left).expect(poisoned);
        if !timeout.timed_out() {
            return state;
        }
        *deadline = None;
        let laggards = (state.members.iter())
            .filter(|registered| registered.awaited && !registered.party().stopped())
            .map(|registered| registered.name);
        // Where there is no memory for them all, some are named.
        let mut named = Vec::new();
        for name in laggards {
            push(&mut named, name);
        }
        let laggards = named;
        if laggards.is_empty() {
            return state;
        }
        // Without the lock: writing may take long, and those who arrive meanwhile need it.
        drop(state);
        if let Some(Watchdog {
            patience,
            heap,
            complain,
        }) = self.watchdog
        {
            complain(format_args!(
                "{heap}: a stop has waited more than {patience:?} for {}: a loop without a \
                 safepoint, or a wait outside `blocking`",
                Names(&laggards)
            ));
        }
        self.lock()
    }
}

/// How a request to stop ended.
pub struct Stop<'a, M: Member> {
    /// Somebody else's stop that the caller waited for first, if any.
    pub waited: Option<Wait>,
    /// The stopped world, unless enough stops were over by then.
    pub world: Option<World<'a, M>>,
}

/// What is to be told of a stop once it is over.
#[derive(Debug, Default)]
pub struct Report {
    /// The stop's number, from 1.
    pub stop: u64,
    /// When it was requested.
    pub requested: u64,
    /// When the last mutator had stopped.
    pub stopped: u64,
    /// The mutators that were running when it was requested.
    pub arrivals: Vec<Arrival>,
    /// How many more of them there were no memory for.
    pub lost: u64,
}

/// Proof that every mutator but the caller is stopped. They go on when it is dropped.
pub struct World<'a, M: Member> {
    handshake: &'a Handshake<M>,
    report: Report,
}

impl<M: Member> World<'_, M> {
    /// The stop's number, from 1.
    pub fn number(&self) -> u64 {
        self.report.stop
    }

    /// How many mutators are attached, the caller included.
    pub fn members(&self) -> u32 {
        self.handshake.lock().members.len() as u32
    }

    /// Lets the mutators go on.
    pub fn resume(mut self) -> Report {
        std::mem::take(&mut self.report)
    }

    /// Calls `f` with every registered member, the caller's own included.
    pub fn for_each(&self, mut f: impl FnMut(&M)) {
        let state = self.handshake.lock();
        for registered in &state.members {
            // SAFETY: valid until it detaches, which takes the lock that we hold; its owner is
            // stopped or is the caller, who lends it here only for the length of `f`.
            f(unsafe { registered.member.as_ref() });
        }
    }
}

impl<M: Member> Drop for World<'_, M> {
    fn drop(&mut self) {
        let mut state = self.handshake.lock();
        for registered in &state.members {
            // Release: a mutator that leaves a blocking region sees, with this, all that the
            // collector wrote.
            registered.party().armed.store(false, Ordering::Release);
        }
        state.stopping = false;
        state.completed += 1;
        self.handshake.resumed.notify_all();
    }
}

/// Models of the handshake, checked by loom over every interleaving within a preemption bound:
/// `RUSTFLAGS="--cfg loom" cargo test -p handshake --lib --release`.
#[cfg(all(test, loom))]
mod model;
