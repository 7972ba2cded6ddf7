//! The global lock: at most one attached thread runs at a time, and everything of the heap that is
//! not atomic belongs to that thread.
//!
//! The protocol is that of CPython's `Python/ceval_gil.c` since 3.2 (the "new GIL" of Antoine
//! Pitrou), with its interval of 5 ms:
//!
//! * **take**: while the lock is held, wait for at most the interval. If the time ran out, the lock
//!   is still held and no switch happened meanwhile, ask the holder to drop it: set [`DROP`] in the
//!   poll word. Any switch in between starts the wait afresh, so that every holder gets its
//!   interval.
//! * **drop**: unlock and wake one waiter. If the drop was *asked for*, wait until another thread
//!   has taken the lock: without this the releasing thread, which is hot, would take the lock again
//!   before the woken one gets on a core (the reason why the first lock of CPython starved its
//!   waiters).
//!
//! A voluntary drop, around a blocking call, was usually not asked for and does not wait.
//!
//! # Where it differs from CPython, unobservably
//!
//! * CPython keeps two mutexes, one for the state and one for the acknowledgement of a switch. Here
//!   one covers both, so that there is no moment between the release and the wait in which the
//!   switch could be missed.
//! * A forced drop waits only while somebody waits for the lock. CPython waits without limit for a
//!   requester that may have left.
//! * Nothing is signalled when nobody waits: an uncontended take and drop makes no system call.
//! * The request is in one word of the heap, not in one of each thread. Only the holder polls,
//!   requests are made and withdrawn under the mutex, and both taking and dropping withdraw them: a
//!   request can only ever reach the holder that it was made against.
//!
//! # The fair lock
//!
//! [`Gil::Fair`] hands the lock over in the order of arrival (tickets), and a thread that returns
//! from a blocking region asks for it at once instead of after an interval: the holder, and each
//! holder after it until it has the lock. That removes the *convoy effect* (CPython issue 7946), in
//! which a thread doing short I/O beside one that computes waits an interval for every call; it
//! costs two switches a call instead. A forced drop need not wait there: whoever drops queues
//! behind the requester.
//!
//! # Invariant
//!
//! Between a `take` and the following `drop` of one thread no other thread's `take` returns; the
//! `drop` happens before the next `take` returns. All `unsafe` code of the crate rests on that.

use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use crate::primitive::{AtomicU32, Condvar, Mutex, Ordering, lock, wait, wait_for};

/// Poll bit: another thread asks for the lock.
pub(crate) const DROP: u32 = 1;
/// Poll bit: the allocation count asks for a cycle collection.
pub(crate) const COLLECT: u32 = 2;
/// Poll bit: globals were dropped and await their release.
pub(crate) const RELEASE: u32 = 4;
/// Poll bit: the holder has events that listeners await.
pub(crate) const TELL: u32 = 8;

/// How threads share the global lock.
///
/// ```
/// use gc_rc::{Gil, Heap};
///
/// let heap = Heap::builder().gil(Gil::Fair).build()?;
/// heap.attach(|m| m.blocking(|| ()));
/// assert_eq!(heap.lock_statistics().takes, 2);
/// # Ok::<(), gc_rc::BuildError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Gil {
    /// CPython's protocol: a waiter asks after a switch interval, whoever is first takes the lock.
    #[default]
    Cpython,
    /// First come, first served; a thread that returns from a blocking region asks at once.
    Fair,
}

/// Buckets of a histogram of times: bucket *i* counts those from 2^*i* up to 2^(*i* + 1)
/// nanoseconds, the first also shorter ones, the last (from 9 minutes on) also longer ones.
pub const TIME_BUCKETS: usize = 40;

/// What happened at the global lock, in one reading. Reading waits for nothing; counters of a
/// moment at which the lock changes hands need not agree with each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LockStatistics {
    /// Times the lock was taken.
    pub takes: u64,
    /// Those among them that had to wait.
    pub contended: u64,
    /// Times a waiter's switch interval ran out.
    pub time_outs: u64,
    /// Times a waiter asked the holder to drop the lock: at most once a tenure.
    pub drop_requests: u64,
    /// Times the holder gave the lock up at a safepoint or a blocking region because it was asked
    /// to, and another mutator took it.
    pub forced_switches: u64,
    /// Times the lock went to another mutator than the one before.
    pub switches: u64,
    /// How long those who had to wait waited, by [bucket](TIME_BUCKETS).
    pub waits: [u64; TIME_BUCKETS],
    /// How long the lock was held, by [bucket](TIME_BUCKETS): empty unless
    /// [`Builder::lock_hold_times`](crate::Builder::lock_hold_times) is on.
    pub holds: [u64; TIME_BUCKETS],
}

/// The counters behind [`LockStatistics`], written under the lock's mutex only.
struct LockCounters {
    takes: AtomicU64,
    contended: AtomicU64,
    time_outs: AtomicU64,
    drop_requests: AtomicU64,
    forced_switches: AtomicU64,
    switches: AtomicU64,
    waits: [AtomicU64; TIME_BUCKETS],
    holds: [AtomicU64; TIME_BUCKETS],
}

impl LockCounters {
    fn new() -> Self {
        Self {
            takes: AtomicU64::new(0),
            contended: AtomicU64::new(0),
            time_outs: AtomicU64::new(0),
            drop_requests: AtomicU64::new(0),
            forced_switches: AtomicU64::new(0),
            switches: AtomicU64::new(0),
            waits: [const { AtomicU64::new(0) }; TIME_BUCKETS],
            holds: [const { AtomicU64::new(0) }; TIME_BUCKETS],
        }
    }
}

fn increment(counter: &AtomicU64) {
    let before = counter.load(std::sync::atomic::Ordering::Relaxed);
    counter.store(before + 1, std::sync::atomic::Ordering::Relaxed);
}

fn count_time(histogram: &[AtomicU64; TIME_BUCKETS], time: Duration) {
    let nanoseconds = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX).max(1);
    increment(&histogram[(nanoseconds.ilog2() as usize).min(TIME_BUCKETS - 1)]);
}

/// Why the lock is dropped.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Leave {
    /// The thread comes back: it lets a requester in first.
    ForNow,
    /// The thread detaches: it owes nobody a wait.
    ForGood,
}

/// Nobody has held the lock yet.
const NOBODY: u32 = u32::MAX;

struct State {
    locked: bool,
    /// The mutator that holds the lock, or held it last.
    last_holder: u32,
    /// Times the lock went to another mutator than the one before.
    switches: u64,
    /// Times the lock was taken: names a tenure.
    tenures: u64,
    /// Threads inside `take` that found the lock held.
    waiting: usize,
    /// Fair lock: those among them that came out of a blocking region.
    returning: usize,
    /// Threads inside `drop` that wait for a switch.
    yielding: usize,
    /// Fair lock: the ticket of the next thread to arrive.
    next_ticket: u64,
    /// Fair lock: the ticket whose turn it is.
    serving: u64,
    /// The last tenure that the watchdog reported.
    reported: u64,
    /// When the lock was taken, if hold times are wanted.
    taken: Option<Instant>,
}

/// The lock itself. It protects nothing by its type: see the module's invariant.
pub(crate) struct GlobalLock {
    kind: Gil,
    interval: Duration,
    watchdog: Option<Duration>,
    hold_times: bool,
    counters: LockCounters,
    state: Mutex<State>,
    /// Signalled when the lock is dropped and somebody waits.
    released: Condvar,
    /// Signalled when the lock is taken and somebody waits for the switch.
    switched: Condvar,
}

impl GlobalLock {
    pub(crate) fn new(
        kind: Gil,
        interval: Duration,
        watchdog: Option<Duration>,
        hold_times: bool,
    ) -> Self {
        Self {
            kind,
            interval,
            watchdog,
            state: Mutex::new(State {
                locked: false,
                last_holder: NOBODY,
                switches: 0,
                tenures: 0,
                waiting: 0,
                returning: 0,
                yielding: 0,
                next_ticket: 0,
                serving: 0,
                reported: 0,
                taken: None,
            }),
            hold_times,
            counters: LockCounters::new(),
            released: Condvar::new(),
            switched: Condvar::new(),
        }
    }

    /// Takes the lock for mutator `me`. `returning` says that the thread comes out of a blocking
    /// region. `overdue` is told which mutator has held the lock longer than the watchdog allows,
    /// once a tenure; it runs with the lock's mutex held, so it must wait for nothing that a client
    /// can hold, and must not panic: the caller would go on without the lock.
    ///
    /// Returns when the wait began, if there was one.
    pub(crate) fn take(
        &self,
        me: u32,
        poll: &AtomicU32,
        returning: bool,
        overdue: impl Fn(u32, Duration),
    ) -> Option<Instant> {
        let fair = self.kind == Gil::Fair;
        let mut state = lock(&self.state);
        let ticket = state.next_ticket;
        state.next_ticket += 1;
        let mut begun = None;
        if state.locked || (fair && state.serving != ticket) {
            let arrival = Instant::now();
            begun = Some(arrival);
            state.waiting += 1;
            let at_once = fair && returning;
            state.returning += usize::from(at_once);
            if at_once && state.locked {
                self.request(poll);
            }
            let mut tenure = (state.tenures, arrival);
            while state.locked || (fair && state.serving != ticket) {
                let switches = state.switches;
                let timed_out;
                (state, timed_out) = wait_for(&self.released, &self.state, state, self.interval);
                if timed_out {
                    increment(&self.counters.time_outs);
                    if state.locked && state.switches == switches {
                        self.request(poll);
                    }
                }
                if let (Some(patience), true) = (self.watchdog, state.locked) {
                    if tenure.0 != state.tenures {
                        tenure = (state.tenures, Instant::now());
                    } else if state.reported != tenure.0 {
                        let waited = tenure.1.elapsed();
                        if waited >= patience {
                            state.reported = tenure.0;
                            overdue(state.last_holder, waited);
                        }
                    }
                }
            }
            state.waiting -= 1;
            state.returning -= usize::from(at_once);
            increment(&self.counters.contended);
            count_time(&self.counters.waits, arrival.elapsed());
        }
        increment(&self.counters.takes);
        if self.hold_times {
            state.taken = Some(Instant::now());
        }
        state.locked = true;
        state.tenures += 1;
        state.serving = ticket + 1;
        if state.last_holder != me {
            state.last_holder = me;
            state.switches += 1;
            increment(&self.counters.switches);
        }
        // A request that is still there was made against the holder before.
        poll.fetch_and(!DROP, Ordering::Relaxed);
        if state.returning > 0 {
            // Who asks at once asks whoever is in front of it, in turn.
            self.request(poll);
        }
        let yielding = state.yielding > 0;
        drop(state);
        if yielding {
            self.switched.notify_all();
        }
        begun
    }

    /// Whether another thread was taking or dropping the lock when this process was forked.
    pub(crate) fn is_held(&self) -> bool {
        self.state.try_lock().is_err()
    }

    /// Asks the holder to drop the lock. The mutex is held.
    fn request(&self, poll: &AtomicU32) {
        if poll.fetch_or(DROP, Ordering::Relaxed) & DROP == 0 {
            increment(&self.counters.drop_requests);
        }
    }

    /// What happened so far. Waits for nothing.
    pub(crate) fn statistics(&self) -> LockStatistics {
        let read = |counter: &AtomicU64| counter.load(std::sync::atomic::Ordering::Relaxed);
        let counters = &self.counters;
        LockStatistics {
            takes: read(&counters.takes),
            contended: read(&counters.contended),
            time_outs: read(&counters.time_outs),
            drop_requests: read(&counters.drop_requests),
            forced_switches: read(&counters.forced_switches),
            switches: read(&counters.switches),
            waits: counters.waits.each_ref().map(read),
            holds: counters.holds.each_ref().map(read),
        }
    }

    /// Drops the lock, which mutator `me` holds.
    pub(crate) fn drop(&self, me: u32, poll: &AtomicU32, leave: Leave) {
        let mut state = lock(&self.state);
        debug_assert!(state.locked && state.last_holder == me);
        state.locked = false;
        if let Some(taken) = state.taken.take() {
            count_time(&self.counters.holds, taken.elapsed());
        }
        let asked = poll.fetch_and(!DROP, Ordering::Relaxed) & DROP != 0;
        let (waiting, switches) = (state.waiting > 0, state.switches);
        // Signals come after the mutex is free: whoever wakes needs it at once, and would sleep
        // again. Nothing is lost, because a thread that comes in between finds the lock free.
        drop(state);
        if !waiting {
            return;
        }
        match self.kind {
            Gil::Cpython => self.released.notify_one(),
            // Only one of them has the next ticket, and a condition variable cannot be told which.
            Gil::Fair => self.released.notify_all(),
        }
        if !asked || leave == Leave::ForGood {
            return;
        }
        let mut state = lock(&self.state);
        if self.kind == Gil::Cpython {
            state.yielding += 1;
            while state.switches == switches && state.waiting > 0 {
                state = wait(&self.switched, state);
            }
            state.yielding -= 1;
        }
        // The fair lock: the first in the queue is next, if it is not there already.
        if state.switches != switches || self.kind == Gil::Fair {
            increment(&self.counters.forced_switches);
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;
    use std::thread;

    #[test]
    #[cfg_attr(miri, ignore = "waits by the clock")]
    fn the_watchdog_reports_a_tenure_once() {
        let patience = Duration::from_millis(5);
        for kind in [Gil::Cpython, Gil::Fair] {
            let lock = GlobalLock::new(kind, Duration::from_millis(1), Some(patience), true);
            let poll = AtomicU32::new(0);
            let reports = AtomicUsize::new(0);
            let report = |holder, waited| {
                assert!(waited >= patience);
                // Of the others one may be overdue, too, on a busy machine.
                reports.fetch_add(usize::from(holder == 0), Ordering::Relaxed);
            };
            lock.take(0, &poll, false, report);
            thread::scope(|s| {
                for me in 1..3 {
                    let (lock, poll) = (&lock, &poll);
                    s.spawn(move || {
                        assert!(lock.take(me, poll, false, report).is_some());
                        lock.drop(me, poll, Leave::ForGood);
                    });
                }
                while reports.load(Ordering::Relaxed) == 0 {
                    thread::yield_now();
                }
                assert_ne!(
                    poll.load(Ordering::Relaxed) & DROP,
                    0,
                    "nobody asked for the lock"
                );
                thread::sleep(4 * patience);
                assert_eq!(reports.load(Ordering::Relaxed), 1);
                lock.drop(0, &poll, Leave::ForGood);
            });
        }
    }
}

/// Models of the lock, run under every interleaving: `RUSTFLAGS="--cfg loom" cargo test -p gc-rc
/// --release --lib loom`.
#[cfg(all(test, loom))]
mod loom_models {
    use super::*;
    use loom::sync::Arc;
    use loom::sync::atomic::AtomicUsize;
    use loom::thread;

    struct Shared {
        lock: GlobalLock,
        poll: AtomicU32,
        inside: loom::cell::UnsafeCell<usize>,
    }

    impl Shared {
        fn new(kind: Gil, interval: Duration) -> Arc<Self> {
            Arc::new(Self {
                lock: GlobalLock::new(kind, interval, None, false),
                poll: AtomicU32::new(0),
                inside: loom::cell::UnsafeCell::new(0),
            })
        }

        fn take(&self, me: u32) {
            self.lock.take(me, &self.poll, true, |_, _| ());
        }

        /// An access that loom reports as a race unless it is exclusive.
        fn touch(&self) {
            // SAFETY: loom checks the claim that is modelled: only the lock's holder is here.
            self.inside.with_mut(|count| unsafe { *count += 1 });
        }

        fn release(&self, me: u32, leave: Leave) {
            self.lock.drop(me, &self.poll, leave);
        }
    }

    fn explore(model: impl Fn() + Sync + Send + 'static) {
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = Some(3);
        builder.check(model);
    }

    /// Waits end by notifications only: a lost wake-up is a deadlock. Three threads, so that one
    /// can barge in.
    fn exclusion_and_wake_up(kind: Gil) {
        explore(move || {
            let shared = Shared::new(kind, Duration::MAX);
            let others: Vec<_> = (1..3)
                .map(|me| {
                    let shared = shared.clone();
                    thread::spawn(move || {
                        shared.take(me);
                        shared.touch();
                        shared.release(me, Leave::ForGood);
                    })
                })
                .collect();
            shared.take(0);
            shared.touch();
            shared.release(0, Leave::ForNow);
            shared.take(0);
            shared.touch();
            shared.release(0, Leave::ForGood);
            for other in others {
                other.join().unwrap();
            }
            shared.take(0);
            // SAFETY: as in `touch`.
            shared.inside.with(|count| assert_eq!(unsafe { *count }, 4));
            shared.release(0, Leave::ForGood);
        });
    }

    #[test]
    fn cpython_excludes_and_wakes() {
        exclusion_and_wake_up(Gil::Cpython);
    }

    #[test]
    fn fair_excludes_and_wakes() {
        exclusion_and_wake_up(Gil::Fair);
    }

    /// A holder that polls is made to let the requester run: when its forced drop returns, the
    /// other has held the lock.
    fn forced_switch(kind: Gil) {
        explore(move || {
            let shared = Shared::new(kind, Duration::from_millis(5));
            let ran = Arc::new(AtomicUsize::new(0));
            shared.take(0);
            let other = {
                let (shared, ran) = (shared.clone(), ran.clone());
                thread::spawn(move || {
                    shared.take(1);
                    shared.touch();
                    ran.store(1, Ordering::Relaxed);
                    shared.release(1, Leave::ForGood);
                })
            };
            loop {
                shared.touch();
                if shared.poll.load(Ordering::Relaxed) & DROP != 0 {
                    break;
                }
                thread::yield_now();
            }
            shared.release(0, Leave::ForNow);
            shared.take(0);
            assert_eq!(
                ran.load(Ordering::Relaxed),
                1,
                "the lock was not handed over"
            );
            shared.release(0, Leave::ForGood);
            other.join().unwrap();
        });
    }

    #[test]
    fn cpython_forced_drop_switches() {
        forced_switch(Gil::Cpython);
    }

    #[test]
    fn fair_forced_drop_switches() {
        forced_switch(Gil::Fair);
    }

    /// The holder drops for its own reasons just as it is asked to; the requester takes the lock
    /// and is gone for good. The holder must neither wait for it nor find the old request
    /// afterwards.
    #[test]
    fn a_requester_that_leaves_is_not_waited_for() {
        explore(|| {
            let shared = Shared::new(Gil::Cpython, Duration::from_millis(5));
            shared.take(0);
            let other = {
                let shared = shared.clone();
                thread::spawn(move || {
                    shared.take(1);
                    shared.release(1, Leave::ForGood);
                })
            };
            // Long enough for the request, in some interleavings.
            thread::yield_now();
            shared.release(0, Leave::ForNow);
            other.join().unwrap();
            shared.take(0);
            assert_eq!(
                shared.poll.load(Ordering::Relaxed) & DROP,
                0,
                "a request outlived its tenure"
            );
            shared.release(0, Leave::ForNow);
        });
    }
}
