//! The stop-the-world handshake: how one mutator brings all others to a halt, and how they go on.
//!
//! Each mutator has a [`Party`]: a poll flag that a stop arms, and a status that says whether the mutator is
//! *running* (it may touch the heap) or *stopped* (parked at a safepoint, or inside a blocking region, where it has
//! promised not to). The mutator that wants a collection performs it itself: there is no collector thread to wake.
//!
//! # Invariants
//!
//! 1. While a [`World`] exists, every other registered party is stopped and none can become running: the collector may
//!    touch what mutators own.
//! 2. At most one `World` exists at a time.
//! 3. A party changes its own status only. From running to stopped it goes freely; from stopped to running only after
//!    it has seen its poll flag disarmed *after* announcing that it runs (outside the lock), or while holding the lock
//!    with no stop in progress.
//!
//! # Why it is correct
//!
//! Entering and leaving a blocking region must not take a lock. The race between a stop and a
//! mutator that crosses the border of a blocking region is Dekker's: the collector arms the poll, *fence*, reads the
//! status; the mutator writes its status, *fence*, reads the poll. At least one sees the other. If the collector sees a running mutator, it
//! waits, and the mutator's next poll parks it. If the mutator sees an armed poll, it takes the lock, declares itself stopped
//! again and waits there. Fences, not sequentially consistent accesses: that is what the C11 model orders,
//! and what loom can check.
//!
//! Everything the collector wrote is visible to a mutator that goes on: a parked one synchronises through the lock,
//! one that leaves a blocking region through the release store that disarmed its poll. What a mutator wrote before it
//! stopped is visible to the collector through the release store of its status, or the lock.
//!
//! A mutator that wakes late finds either no stop in progress, or a later one: in both cases it re-reads the state
//! under the lock, so it can never take the end of stop *n* for the end of stop *n + 1*.
//!
//! # Coalescing
//!
//! A trigger names the number of completed stops that would satisfy it. Whoever finds that number reached does not
//! collect again: racing triggers make one collection, and none is lost.
//!
//! # Attaching
//!
//! A thread that attaches during a stop waits for its end; the next stop does not begin while threads that waited out the
//! previous one have not got in, so that repeated stops cannot starve them. They hold nothing that could delay
//! this; threads that arrive later do not wait at all, so the wait is bounded.
//!
//! Rejected: a counter of running mutators under a lock (Whippet's way: two lock operations for every blocking call);
//! protecting a page and catching the fault (a signal handler in every client); a dedicated collector thread (two
//! context switches for each pause, which on a virtual machine cost more than marking a small heap).

#[cfg(not(loom))]
use std::io::Write as _;
use std::ptr::NonNull;
use std::time::Duration;

use crate::primitive::{AtomicBool, AtomicU8, Condvar, Mutex, MutexGuard, Ordering, fence};

const RUNNING: u8 = 0;
const STOPPED: u8 = 1;

/// A mutator's side of the handshake.
pub(crate) struct Party {
    armed: AtomicBool,
    status: AtomicU8,
}

impl Party {
    pub(crate) fn new() -> Self {
        Self {
            armed: AtomicBool::new(false),
            status: AtomicU8::new(RUNNING),
        }
    }

    /// Whether a stop wants this mutator: the whole cost of a safepoint that finds nothing to do.
    #[inline(always)]
    pub(crate) fn armed(&self) -> bool {
        self.armed.load(Ordering::Relaxed)
    }

    fn stopped(&self) -> bool {
        // Acquire: pairs with the release store of the mutator that stopped, whose writes the collector will read.
        self.status.load(Ordering::Acquire) == STOPPED
    }
}

/// What the handshake registers: a mutator's state, which contains its [`Party`].
///
/// # Safety
///
/// `party` returns the same party each time, stored inside `self`.
pub(crate) unsafe trait Member {
    fn party(&self) -> &Party;
}

struct Registered<M> {
    member: NonNull<M>,
    name: String,
}

struct State<M> {
    members: Vec<Registered<M>>,
    /// A stop has been requested or has been reached, and is not over.
    stopping: bool,
    /// How many stops are over.
    completed: u64,
    /// Threads that wait to attach until the stop in progress is over.
    attaching: usize,
}

/// The handshake of one heap.
pub(crate) struct Handshake<M> {
    state: Mutex<State<M>>,
    /// Somebody stopped or detached: the collector looks again.
    changed: Condvar,
    /// A stop is over, or the last thread that waited to attach has attached.
    resumed: Condvar,
    /// How long a stop may take before the laggards are named.
    watchdog: Option<Duration>,
}

// SAFETY: the pointers in the registry are dereferenced only through a `World`, while their owners are stopped, and for
// their `Party`, which is made of atomics.
unsafe impl<M> Send for Handshake<M> {}
// SAFETY: as above; the registry itself is behind the lock.
unsafe impl<M> Sync for Handshake<M> {}

impl<M: Member> Handshake<M> {
    pub(crate) fn new(watchdog: Option<Duration>) -> Self {
        Self {
            state: Mutex::new(State {
                members: Vec::new(),
                stopping: false,
                completed: 0,
                attaching: 0,
            }),
            changed: Condvar::new(),
            resumed: Condvar::new(),
            watchdog,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<M>> {
        // No code that can panic runs under this lock, so a poisoned lock is a bug here, not a client's.
        self.state
            .lock()
            .expect("the handshake's lock is never poisoned")
    }

    /// Registers a running mutator, once no stop is in progress.
    ///
    /// # Safety
    ///
    /// `member` stays where it is, and valid, until [`Self::detach`] has returned; the calling thread is the only one to
    /// call the other operations with its party.
    pub(crate) unsafe fn attach(&self, member: NonNull<M>, name: String) {
        let mut state = self.lock();
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
        state.members.push(Registered { member, name });
    }

    /// Forgets a running mutator. A stop that waits for it goes on without it.
    pub(crate) fn detach(&self, member: NonNull<M>) {
        let mut state = self.lock();
        state
            .members
            .retain(|registered| registered.member != member);
        if state.stopping {
            self.changed.notify_one();
        }
    }

    /// Waits out the stop that armed the poll, if it is still in progress, and returns its number. The mutator counts
    /// as stopped meanwhile.
    #[cold]
    pub(crate) fn park(&self, party: &Party) -> Option<u64> {
        let mut state = self.lock();
        let waited_for = state.stopping.then_some(state.completed + 1);
        while state.stopping {
            party.status.store(STOPPED, Ordering::Release);
            self.changed.notify_one();
            state = self.wait_for_resume(state);
        }
        party.status.store(RUNNING, Ordering::Relaxed);
        waited_for
    }

    /// From here to [`Self::leave_blocking`] the mutator counts as stopped.
    pub(crate) fn enter_blocking(&self, party: &Party) {
        party.status.store(STOPPED, Ordering::Release);
        fence(Ordering::SeqCst);
        if party.armed.load(Ordering::Relaxed) {
            // The collector may have read our status before we changed it, and be asleep. The lock keeps the wake-up
            // from falling between its look and its sleep.
            let _state = self.lock();
            self.changed.notify_one();
        }
    }

    /// Runs again, once no stop is in progress. Returns the number of the stop it waited for, if any; `waiting` is called before it
    /// waits.
    pub(crate) fn leave_blocking(&self, party: &Party, waiting: impl FnOnce()) -> Option<u64> {
        party.status.store(RUNNING, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        // Acquire: pairs with the release store that disarmed the poll at the end of a stop we slept through.
        if party.armed.load(Ordering::Acquire) {
            waiting();
            return self.park(party);
        }
        None
    }

    /// How many stops are over. A trigger that would be satisfied by any stop that ends after this moment passes this
    /// number plus one to [`Self::stop`].
    pub(crate) fn completed(&self) -> u64 {
        self.lock().completed
    }

    /// The number of the first stop that *begins* after this moment.
    pub(crate) fn next(&self) -> u64 {
        let state = self.lock();
        state.completed + 1 + u64::from(state.stopping)
    }

    /// Stops every other mutator, unless `target` stops are over by the time this one could begin. `requested` is called when the request
    /// is made, under the lock.
    ///
    /// The caller is a registered, running mutator; while it waits for somebody else's stop it counts as stopped.
    pub(crate) fn stop(
        &self,
        me: NonNull<M>,
        target: u64,
        requested: impl FnOnce(),
    ) -> Stop<'_, M> {
        // SAFETY: the caller's own registration is valid while it calls.
        let party = unsafe { me.as_ref() }.party();
        let mut state = self.lock();
        let waited_for = state.stopping.then_some(state.completed + 1);
        while state.stopping || (state.completed < target && state.attaching > 0) {
            // Stopped also while it lets others attach: one of them, or another trigger, may begin a stop first.
            party.status.store(STOPPED, Ordering::Release);
            self.changed.notify_one();
            state = self.wait_for_resume(state);
        }
        party.status.store(RUNNING, Ordering::Relaxed);
        if state.completed >= target {
            return Stop {
                waited_for,
                world: None,
            };
        }

        state.stopping = true;
        requested();
        for registered in &state.members {
            // SAFETY: valid until it detaches, which takes the lock that we hold.
            let other = unsafe { registered.member.as_ref() }.party();
            other.armed.store(true, Ordering::Relaxed);
        }
        fence(Ordering::SeqCst);
        let mut warned = false;
        loop {
            let all_stopped = state.members.iter().all(|registered| {
                // SAFETY: as above.
                registered.member == me || unsafe { registered.member.as_ref() }.party().stopped()
            });
            if all_stopped {
                break;
            }
            state = self.wait_for_change(state, me, &mut warned);
        }
        let number = state.completed + 1;
        drop(state);
        Stop {
            waited_for,
            world: Some(World {
                handshake: self,
                number,
            }),
        }
    }

    fn wait_for_resume<'a>(&self, state: MutexGuard<'a, State<M>>) -> MutexGuard<'a, State<M>> {
        self.resumed
            .wait(state)
            .expect("the handshake's lock is never poisoned")
    }

    #[cfg(loom)]
    fn wait_for_change<'a>(
        &self,
        state: MutexGuard<'a, State<M>>,
        _me: NonNull<M>,
        _warned: &mut bool,
    ) -> MutexGuard<'a, State<M>> {
        self.changed.wait(state).unwrap()
    }

    /// Waits for a mutator to stop; names those that keep the others waiting for longer than the watchdog allows, once
    /// a stop.
    #[cfg(not(loom))]
    fn wait_for_change<'a>(
        &self,
        state: MutexGuard<'a, State<M>>,
        me: NonNull<M>,
        warned: &mut bool,
    ) -> MutexGuard<'a, State<M>> {
        let poisoned = "the handshake's lock is never poisoned";
        let Some(limit) = self.watchdog.filter(|_| !*warned) else {
            return self.changed.wait(state).expect(poisoned);
        };
        let (state, timeout) = self.changed.wait_timeout(state, limit).expect(poisoned);
        if timeout.timed_out() {
            let laggards: Vec<&str> = (state.members.iter())
                // SAFETY: valid until it detaches, which takes the lock that we hold.
                .filter(|r| r.member != me && !unsafe { r.member.as_ref() }.party().stopped())
                .map(|r| r.name.as_str())
                .collect();
            if !laggards.is_empty() {
                *warned = true;
                // Not `eprintln`, which panics where standard error cannot be written: the lock would be poisoned and every
                // other mutator left waiting.
                let _ = writeln!(
                    std::io::stderr(),
                    "gc-marksweep: a stop has waited more than {limit:?} for {}: a loop without a safepoint, or a wait outside `blocking`",
                    laggards.join(", ")
                );
            }
        }
        state
    }
}

/// How a request to stop ended.
pub(crate) struct Stop<'a, M: Member> {
    /// The number of somebody else's stop that the caller waited for first, if any.
    pub(crate) waited_for: Option<u64>,
    /// The stopped world, unless enough stops were over by then.
    pub(crate) world: Option<World<'a, M>>,
}

/// Proof that every mutator but the caller is stopped. They go on when it is dropped.
pub(crate) struct World<'a, M: Member> {
    handshake: &'a Handshake<M>,
    number: u64,
}

impl<M: Member> World<'_, M> {
    /// The stop's number, from 1.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// Calls `f` with every registered member, the caller's own included.
    pub(crate) fn for_each(&self, mut f: impl FnMut(&M)) {
        let state = self.handshake.lock();
        for registered in &state.members {
            // SAFETY: valid until it detaches, which takes the lock that we hold; its owner is stopped or is the
            // caller, who lends it here only for the length of `f`.
            f(unsafe { registered.member.as_ref() });
        }
    }
}

impl<M: Member> Drop for World<'_, M> {
    fn drop(&mut self) {
        let mut state = self.handshake.lock();
        for registered in &state.members {
            // SAFETY: as in `for_each`.
            let party = unsafe { registered.member.as_ref() }.party();
            // Release: a mutator that leaves a blocking region sees, with this, all that the collector wrote.
            party.armed.store(false, Ordering::Release);
        }
        state.stopping = false;
        state.completed += 1;
        self.handshake.resumed.notify_all();
    }
}

/// Models of the handshake, checked by loom over every interleaving within a preemption bound:
/// `RUSTFLAGS="--cfg loom" cargo test -p gc-marksweep --lib --release`.
#[cfg(all(test, loom))]
mod model {
    use super::*;
    use loom::cell::UnsafeCell;
    use loom::sync::Arc;
    use loom::thread;

    /// A mutator whose `heap_access` stands for everything that invariant 1 protects: loom reports any access by two
    /// threads that is not ordered.
    struct Toy {
        party: Party,
        owned: UnsafeCell<u32>,
    }

    // SAFETY: the party is inside.
    unsafe impl Member for Toy {
        fn party(&self) -> &Party {
            &self.party
        }
    }

    // SAFETY: `owned` is touched by its owner while running and by the collector while its owner is stopped, which is what
    // the model checks.
    unsafe impl Sync for Toy {}

    impl Toy {
        fn new() -> Arc<Self> {
            Arc::new(Self {
                party: Party::new(),
                owned: UnsafeCell::new(0),
            })
        }

        fn touch(&self) {
            // SAFETY: loom checks that no other access is concurrent.
            self.owned.with_mut(|owned| unsafe { *owned += 1 });
        }
    }

    fn pointer(toy: &Arc<Toy>) -> NonNull<Toy> {
        NonNull::from(&**toy)
    }

    fn collect(handshake: &Handshake<Toy>, me: NonNull<Toy>, target: u64) -> bool {
        let world = handshake.stop(me, target, || ()).world;
        if let Some(world) = &world {
            world.for_each(Toy::touch);
        }
        world.is_some()
    }

    fn check(model: impl Fn() + Sync + Send + 'static) {
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = Some(2);
        builder.check(model);
    }

    /// Attaches `toy`, runs `f`, detaches.
    fn attached(handshake: &Handshake<Toy>, toy: &Arc<Toy>, f: impl FnOnce()) {
        // SAFETY: the caller keeps the toy until after `detach`.
        unsafe { handshake.attach(pointer(toy), String::new()) };
        f();
        handshake.detach(pointer(toy));
    }

    #[test]
    fn a_stop_excludes_a_mutator_that_polls_and_detaches() {
        check(|| {
            let handshake = Arc::new(Handshake::new(None));
            let (one, two) = (Toy::new(), Toy::new());
            let other = {
                let (handshake, two) = (handshake.clone(), two.clone());
                thread::spawn(move || {
                    attached(&handshake, &two, || {
                        two.touch();
                        if two.party.armed() {
                            handshake.park(&two.party);
                        }
                        two.touch();
                    });
                })
            };
            attached(&handshake, &one, || {
                one.touch();
                assert!(collect(&handshake, pointer(&one), 1));
                one.touch();
            });
            other.join().unwrap();
        });
    }

    #[test]
    fn a_stop_excludes_a_mutator_that_enters_and_leaves_a_blocking_region() {
        check(|| {
            let handshake = Arc::new(Handshake::new(None));
            let (one, two) = (Toy::new(), Toy::new());
            let other = {
                let (handshake, two) = (handshake.clone(), two.clone());
                thread::spawn(move || {
                    attached(&handshake, &two, || {
                        two.touch();
                        handshake.enter_blocking(&two.party);
                        handshake.leave_blocking(&two.party, || ());
                        two.touch();
                    });
                })
            };
            attached(&handshake, &one, || {
                assert!(collect(&handshake, pointer(&one), 1));
                one.touch();
            });
            other.join().unwrap();
        });
    }

    #[test]
    fn two_racing_triggers_make_one_collection() {
        check(|| {
            let handshake = Arc::new(Handshake::new(None));
            let (one, two) = (Toy::new(), Toy::new());
            // SAFETY: both toys outlive their registration.
            unsafe {
                handshake.attach(pointer(&one), String::new());
                handshake.attach(pointer(&two), String::new());
            }
            let other = {
                let (handshake, two) = (handshake.clone(), two.clone());
                thread::spawn(move || {
                    let collected = collect(&handshake, pointer(&two), 1);
                    two.touch();
                    handshake.detach(pointer(&two));
                    collected
                })
            };
            let mine = collect(&handshake, pointer(&one), 1);
            one.touch();
            handshake.detach(pointer(&one));
            let theirs = other.join().unwrap();
            assert!(mine ^ theirs, "one collection, not none and not two");
        });
    }

    #[test]
    fn two_collections_in_a_row_do_not_let_a_late_waker_run() {
        check(|| {
            let handshake = Arc::new(Handshake::new(None));
            let (one, two) = (Toy::new(), Toy::new());
            // SAFETY: both toys outlive their registration.
            unsafe {
                handshake.attach(pointer(&one), String::new());
                handshake.attach(pointer(&two), String::new());
            }
            let other = {
                let (handshake, two) = (handshake.clone(), two.clone());
                thread::spawn(move || {
                    if two.party.armed() {
                        handshake.park(&two.party);
                    }
                    two.touch();
                    handshake.detach(pointer(&two));
                })
            };
            assert!(collect(&handshake, pointer(&one), 1));
            assert!(collect(&handshake, pointer(&one), 2));
            handshake.detach(pointer(&one));
            other.join().unwrap();
        });
    }

    #[test]
    fn two_mutators_and_a_collector_meet() {
        check(|| {
            let handshake = Arc::new(Handshake::new(None));
            let toys = [Toy::new(), Toy::new(), Toy::new()];
            // SAFETY: the toy outlives its registration.
            unsafe { handshake.attach(pointer(&toys[0]), String::new()) };
            let others: Vec<_> = (1..3)
                .map(|i| {
                    let (handshake, toy) = (handshake.clone(), toys[i].clone());
                    thread::spawn(move || {
                        attached(&handshake, &toy, || {
                            if i == 1 {
                                handshake.enter_blocking(&toy.party);
                                handshake.leave_blocking(&toy.party, || ());
                            } else if toy.party.armed() {
                                handshake.park(&toy.party);
                            }
                            toy.touch();
                        });
                    })
                })
                .collect();
            collect(&handshake, pointer(&toys[0]), 1);
            handshake.detach(pointer(&toys[0]));
            for other in others {
                other.join().unwrap();
            }
        });
    }
}
