//! The global lock: at most one attached thread runs at a time, and everything of the heap that is not atomic belongs to
//! that thread.
//!
//! The protocol is that of CPython's `Python/ceval_gil.c` since 3.2 (the "new GIL" of Antoine Pitrou), with its
//! interval of 5 ms:
//!
//! * **take**: while the lock is held, wait for at most the interval. If the time ran out, the lock is still held and no
//!   switch happened meanwhile, ask the holder to drop it: set [`DROP`] in the poll word. Any switch in between
//!   starts the wait afresh, so that every holder gets its interval.
//! * **drop**: unlock and wake one waiter. If the drop was *asked for*, wait until another thread has taken the lock: without this
//!   the releasing thread, which is hot, would take the lock again before the woken one gets on a core (the reason why
//!   the first lock of CPython starved its waiters).
//!
//! A voluntary drop, around a blocking call, was usually not asked for and does not wait.
//!
//! # Where it differs from CPython, unobservably
//!
//! * CPython keeps two mutexes, one for the state and one for the acknowledgement of a switch. Here one covers both, so that
//!   there is no moment between the release and the wait in which the switch could be missed.
//! * A forced drop waits only while somebody waits for the lock. CPython waits without limit for a requester that may have left.
//! * Nothing is signalled when nobody waits: an uncontended take and drop makes no system call.
//! * The request lies in one word of the heap, not in one of each thread. Only the holder polls, requests are made and withdrawn under the
//!   mutex, and both taking and dropping withdraw them: a request can only ever reach the holder that it was made against.
//!
//! # The fair lock
//!
//! [`Gil::Fair`] hands the lock over in the order of arrival (tickets), and a thread that returns from a blocking region asks for it at
//! once instead of after an interval. That removes the *convoy effect* (CPython issue 7946), in which a thread
//! doing short I/O beside one that computes waits an interval for every call; it costs two switches a call instead.
//! A forced drop need not wait there: whoever drops queues behind the requester.
//!
//! # Invariant
//!
//! Between a `take` and the following `drop` of one thread no other thread's `take` returns; the `drop` happens before
//! the next `take` returns. All `unsafe` code of the crate rests on that.

use std::time::{Duration, Instant};

use crate::primitive::{AtomicU32, Condvar, Mutex, Ordering, lock, wait, wait_for};

/// Poll bit: another thread asks for the lock.
pub(crate) const DROP: u32 = 1;
/// Poll bit: the allocation count asks for a cycle collection.
pub(crate) const COLLECT: u32 = 2;
/// Poll bit: globals were dropped and await their release.
pub(crate) const RELEASE: u32 = 4;

/// How threads share the global lock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Gil {
    /// CPython's protocol: a waiter asks after a switch interval, whoever is first takes the lock.
    #[default]
    Cpython,
    /// First come, first served; a thread that returns from a blocking region asks at once.
    Fair,
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
    /// Threads inside `drop` that wait for a switch.
    yielding: usize,
    /// Fair lock: the ticket of the next thread to arrive.
    next_ticket: u64,
    /// Fair lock: the ticket whose turn it is.
    serving: u64,
    /// The last tenure that the watchdog reported.
    reported: u64,
}

/// The lock itself. It protects nothing by its type: see the module's invariant.
pub(crate) struct GlobalLock {
    kind: Gil,
    interval: Duration,
    watchdog: Option<Duration>,
    state: Mutex<State>,
    /// Signalled when the lock is dropped and somebody waits.
    released: Condvar,
    /// Signalled when the lock is taken and somebody waits for the switch.
    switched: Condvar,
}

impl GlobalLock {
    pub(crate) fn new(kind: Gil, interval: Duration, watchdog: Option<Duration>) -> Self {
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
                yielding: 0,
                next_ticket: 0,
                serving: 0,
                reported: 0,
            }),
            released: Condvar::new(),
            switched: Condvar::new(),
        }
    }

    /// Takes the lock for mutator `me`. `returning` says that the thread comes out of a blocking region. `overdue` is told
    /// which mutator has held the lock longer than the watchdog allows, once a tenure; it runs with the lock's mutex held, so it must wait for nothing that a client can hold, and must not panic: the caller would
    /// go on without the lock.
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
            if fair && returning && state.locked {
                poll.fetch_or(DROP, Ordering::Relaxed);
            }
            let mut tenure = (state.tenures, arrival);
            while state.locked || (fair && state.serving != ticket) {
                let switches = state.switches;
                let timed_out;
                (state, timed_out) = wait_for(&self.released, &self.state, state, self.interval);
                if timed_out && state.locked && state.switches == switches {
                    poll.fetch_or(DROP, Ordering::Relaxed);
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
        }
        state.locked = true;
        state.tenures += 1;
        state.serving = ticket + 1;
        if state.last_holder != me {
            state.last_holder = me;
            state.switches += 1;
        }
        // A request that is still there was made against the holder before.
        poll.fetch_and(!DROP, Ordering::Relaxed);
        if state.yielding > 0 {
            self.switched.notify_all();
        }
        begun
    }

    /// Drops the lock, which mutator `me` holds.
    pub(crate) fn drop(&self, me: u32, poll: &AtomicU32, leave: Leave) {
        let mut state = lock(&self.state);
        debug_assert!(state.locked && state.last_holder == me);
        state.locked = false;
        let asked = poll.fetch_and(!DROP, Ordering::Relaxed) & DROP != 0;
        if state.waiting > 0 {
            match self.kind {
                Gil::Cpython => self.released.notify_one(),
                // Only one of them has the next ticket, and a condition variable cannot be told which.
                Gil::Fair => self.released.notify_all(),
            }
        }
        if asked && self.kind == Gil::Cpython && leave == Leave::ForNow {
            let switches = state.switches;
            state.yielding += 1;
            while state.switches == switches && state.waiting > 0 {
                state = wait(&self.switched, state);
            }
            state.yielding -= 1;
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;
    use std::thread;

    #[test]
    fn the_watchdog_reports_a_tenure_once() {
        let patience = Duration::from_millis(5);
        for kind in [Gil::Cpython, Gil::Fair] {
            let lock = GlobalLock::new(kind, Duration::from_millis(1), Some(patience));
            let poll = AtomicU32::new(0);
            let reports = AtomicUsize::new(0);
            let report = |holder, waited| {
                assert_eq!(holder, 0);
                assert!(waited >= patience);
                reports.fetch_add(1, Ordering::Relaxed);
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

/// Models of the lock, run under every interleaving: `RUSTFLAGS="--cfg loom" cargo test -p gc-rc --release --lib loom`.
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
                lock: GlobalLock::new(kind, interval, None),
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

    /// Waits end by notifications only: a lost wake-up is a deadlock. Three threads, so that one can barge in.
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

    /// A holder that polls is made to let the requester run: when its forced drop returns, the other has held the lock.
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

    /// The holder drops for its own reasons just as it is asked to; the requester takes the lock and is gone for good. The
    /// holder must neither wait for it nor find the old request afterwards.
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
