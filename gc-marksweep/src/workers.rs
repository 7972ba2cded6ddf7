//! Sharing the work of a pause: a pool of work, and the threads that help with it.
//!
//! The thread that collects is the *leader*; it makes the first work and returns when there is none
//! left. *Helpers* are threads that exist for nothing else. Each worker keeps its work to itself
//! and puts a part of it into the pool only when [`Pool::wanted`] says that somebody has none, so
//! that as long as all are busy they share nothing but the one cache line they read that from,
//! which then nobody writes.
//!
//! The pool is a vector behind a lock. What goes through it is large (hundreds of edges, the upper
//! part of a tree, half an array) and comes seldom, and the same lock makes the end of the work
//! certain without a protocol of its own: work is in the pool or with a helper counted as *busy* or
//! with the leader; if the leader has none, the pool is empty and nobody is busy, all in one look
//! under the lock, then there is none. Rejected: a work-stealing deque for each worker (Chase and
//! Lev, SPAA 2005), which makes every pop pay a fence so that a thief need not ask, and leaves the
//! detection of the end to be solved.
//!
//! Who finds nothing looks again for a few microseconds and then sleeps: a worker that looked for
//! longer would take a core from somebody else's thread, one that slept at once would pay a wake-up
//! (some 30 microseconds across cores) for each small chunk near the end.
//!
//! Helpers start one by one, when there is work in the pool and nobody to take it; a heap that
//! never has much to mark has no helper. Between collections they sleep in [`Pool::take`], and they
//! end when the pool closes.
//!
//! **Invariants.**
//!
//! 1. When [`Pool::finish`] returns `None`, all that was given to the pool is done, and no helper
//!    touches anything but the pool until work is given again.
//! 2. What was written before work was given is visible to who takes it; what a helper wrote is
//!    visible to the leader when `finish` returns.

use std::sync::atomic::AtomicU64;

use handshake::cores;
use handshake::process::Home;

use crate::abort::AbortOnUnwind;
use crate::primitive::{AtomicBool, AtomicUsize, Condvar, Mutex, MutexGuard, Ordering};
use crate::room;
use crate::shared::Shared;
use crate::thread::Thread;

/// How often an idle worker looks for work before it sleeps: some 10 microseconds.
#[cfg(not(loom))]
const LOOKS: usize = 300;
#[cfg(loom)]
const LOOKS: usize = 0;

/// Work to be shared.
pub(crate) struct Pool<W> {
    state: Mutex<State<W>>,
    /// For helpers: there is work, or the pool is closed.
    given: Condvar,
    /// For the leader: there is work, or no helper is busy any more.
    settled: Condvar,
    /// Whether more workers are without work than there is work in the pool. Written under the
    /// lock.
    wanted: AtomicBool,
    /// What an idle worker looks at before it sleeps: twice the length of `work`, plus [`BUSY`]
    /// while a helper is busy.
    sight: AtomicUsize,
}

const BUSY: usize = 1;

struct State<W> {
    work: Vec<W>,
    /// Helpers that have work.
    busy: usize,
    /// Helpers that have none: asleep, looking for work, or being started.
    idle: usize,
    /// The part of them that sleeps.
    asleep: usize,
    /// Helpers that may still be started.
    unborn: usize,
    /// Whether the leader has run out of work.
    leader_idle: bool,
    closed: bool,
}

impl<W> Pool<W> {
    /// A pool for a leader and at most `helpers`, none of which exists yet.
    pub(crate) fn new(helpers: usize) -> Self {
        Self {
            state: Mutex::new(State {
                work: Vec::new(),
                busy: 0,
                idle: 0,
                asleep: 0,
                unborn: helpers,
                leader_idle: false,
                closed: false,
            }),
            given: Condvar::new(),
            settled: Condvar::new(),
            wanted: AtomicBool::new(helpers > 0),
            sight: AtomicUsize::new(0),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<W>> {
        self.state
            .lock()
            .expect("no code that panics runs under this lock")
    }

    /// Whether somebody would take work that was given now, or could be started to do so. A hint,
    /// and cheap.
    #[inline(always)]
    pub(crate) fn wanted(&self) -> bool {
        self.wanted.load(Ordering::Relaxed)
    }

    fn publish(&self, state: &State<W>) {
        let takers = state.idle + state.unborn + usize::from(state.leader_idle);
        let wanted = takers > state.work.len();
        // Written only when it changes: all workers read it.
        if wanted != self.wanted.load(Ordering::Relaxed) {
            self.wanted.store(wanted, Ordering::Relaxed);
        }
        let sight = 2 * state.work.len() + usize::from(state.busy > 0);
        self.sight.store(sight, Ordering::Relaxed);
    }

    /// Adds work, and wakes a worker that sleeps if no other is about to find it. Says whether to
    /// [start](Workers::start) a helper. Without memory to note the work down it gives it back.
    pub(crate) fn give(&self, work: W) -> Result<bool, W> {
        let mut state = self.lock();
        if state.work.try_reserve(1).is_err() {
            return Err(work);
        }
        state.work.push(work);
        self.publish(&state);
        let awake = state.idle - state.asleep;
        let wake_helper = state.work.len() > awake && state.asleep > 0;
        let start = state.work.len() > state.idle && state.unborn > 0;
        let leader_idle = state.leader_idle;
        drop(state);
        if leader_idle {
            self.settled.notify_one();
        } else if wake_helper {
            self.given.notify_one();
        }
        Ok(start)
    }

    /// Counts a helper that is about to be started. `false` if there are enough.
    pub(crate) fn enlist(&self) -> bool {
        let mut state = self.lock();
        let room = state.unborn > 0 && !state.closed;
        if room {
            state.unborn -= 1;
            state.idle += 1;
            self.publish(&state);
        }
        room
    }

    /// Undoes an [`Self::enlist`] whose helper could not be started, and asks for no other.
    pub(crate) fn dismiss(&self) {
        let mut state = self.lock();
        state.unborn = 0;
        state.idle -= 1;
        self.publish(&state);
    }

    /// A helper's way to work: waits for some; `done` unless it is its first, says that what it had
    /// taken is done. `None` when the pool is closed.
    pub(crate) fn take(&self, done: bool) -> Option<W> {
        let mut state = self.lock();
        if done {
            state.busy -= 1;
            state.idle += 1;
            self.publish(&state);
            if state.busy == 0 && state.leader_idle && state.work.is_empty() {
                self.settled.notify_one();
            }
        }
        if state.work.is_empty() && !state.closed {
            drop(state);
            for _ in 0..LOOKS {
                if self.sight.load(Ordering::Relaxed) > BUSY {
                    break;
                }
                std::hint::spin_loop();
            }
            state = self.lock();
        }
        loop {
            if let Some(work) = state.work.pop() {
                state.idle -= 1;
                state.busy += 1;
                self.publish(&state);
                return Some(work);
            }
            if state.closed {
                return None;
            }
            state.asleep += 1;
            state = wait(&self.given, state);
            state.asleep -= 1;
        }
    }

    /// The leader's way to more work, once it has none of its own; `None` when all work is done.
    pub(crate) fn finish(&self) -> Option<W> {
        let mut state = self.lock();
        let mut looked = false;
        loop {
            if let Some(work) = state.work.pop() {
                state.leader_idle = false;
                self.publish(&state);
                return Some(work);
            }
            if state.busy == 0 {
                state.leader_idle = false;
                self.publish(&state);
                return None;
            }
            if !state.leader_idle {
                state.leader_idle = true;
                self.publish(&state);
            }
            if looked {
                state = wait(&self.settled, state);
            } else {
                looked = true;
                drop(state);
                for _ in 0..LOOKS {
                    if self.sight.load(Ordering::Relaxed) != BUSY {
                        break;
                    }
                    std::hint::spin_loop();
                }
                state = self.lock();
            }
        }
    }

    /// Sends the helpers home. The pool is empty.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.given.notify_all();
    }
}

fn wait<'a, W>(condition: &Condvar, state: MutexGuard<'a, State<W>>) -> MutexGuard<'a, State<W>> {
    condition
        .wait(state)
        .expect("no code that panics runs under this lock")
}

/// A pool with its helpers.
pub(crate) struct Workers<W> {
    pool: Pool<W>,
    threads: std::sync::Mutex<Vec<Thread>>,
    /// Processor time of the helpers, up to the last work that each has finished. Not part of what
    /// the models look at.
    cpu_ns: AtomicU64,
    /// The process that the helpers run in.
    home: Home,
}

impl<W: Send + 'static> Workers<W> {
    /// A leader and at most `helpers`, none of which is started yet.
    pub(crate) fn new(helpers: usize) -> Self {
        Self {
            pool: Pool::new(helpers),
            threads: std::sync::Mutex::new(Vec::new()),
            cpu_ns: AtomicU64::new(0),
            home: Home::here(),
        }
    }

    /// Whether the process has been forked: the helpers are not there, and one of them may have
    /// held the pool's lock.
    pub(crate) fn are_lost(&self) -> bool {
        !self.home.is_here()
    }

    /// Processor time of the helpers so far, in nanoseconds: exact when [`Pool::finish`] has
    /// returned `None`, but for what they spent looking for more work since, which counts when they
    /// have found some.
    pub(crate) fn cpu_ns(&self) -> u64 {
        self.cpu_ns.load(std::sync::atomic::Ordering::Relaxed)
    }

    pub(crate) fn pool(&self) -> &Pool<W> {
        &self.pool
    }

    /// Starts one more helper, which does with each piece of work what `helper` makes. If there is
    /// no memory or no thread for it there will be no more helpers.
    pub(crate) fn start<F: FnMut(W) + Send + 'static>(
        this: &Shared<Self>,
        helper: impl FnOnce() -> Option<F>,
    ) {
        if !this.pool.enlist() {
            return;
        }
        let mut threads = (this.threads)
            .lock()
            .expect("no code that panics runs under this lock");
        let workers = this.clone();
        let started = helper().and_then(|mut work| {
            let run = move || {
                let guard = AbortOnUnwind;
                let mut done = false;
                let mut counted = 0;
                while let Some(next) = workers.pool.take(done) {
                    work(next);
                    done = true;
                    // Before the work counts as done. A system call for each piece of work, which
                    // is hundreds of edges at least.
                    let now = crate::os::thread_cpu_ns();
                    (workers.cpu_ns).fetch_add(now - counted, std::sync::atomic::Ordering::Relaxed);
                    counted = now;
                }
                std::mem::forget(guard);
            };
            let number = threads.len() + 1;
            if !room::set_aside(&mut threads, number) {
                return None;
            }
            Thread::start(format_args!("gc-worker-{number}"), run)
        });
        match started {
            Some(thread) => threads.push(thread),
            None => this.pool.dismiss(),
        }
    }

    /// The number of helpers that have been started.
    #[cfg(all(test, not(loom)))]
    pub(crate) fn helpers(&self) -> usize {
        self.threads.lock().unwrap().len()
    }

    /// Ends the helpers and waits until they are gone, unless they are [lost](Self::are_lost).
    /// Nobody uses the pool any more.
    pub(crate) fn stop(&self) {
        if self.are_lost() {
            return;
        }
        self.pool.close();
        let threads = std::mem::take(
            &mut *self
                .threads
                .lock()
                .expect("no code that panics runs under this lock"),
        );
        for thread in threads {
            thread.join();
        }
    }
}

/// The number of workers that a heap has unless it is told otherwise: the cores this process may
/// use, at most `most`.
pub(crate) fn default_workers(most: usize) -> usize {
    cores().min(most)
}

/// Models of the pool, checked by loom over every interleaving within a preemption bound:
/// `RUSTFLAGS="--cfg loom" cargo test -p gc-marksweep --lib --release`.
#[cfg(all(test, loom))]
mod model {
    use super::*;
    use loom::cell::UnsafeCell;
    use loom::sync::Arc;
    use loom::thread;

    /// Work that is done by halving it until it is 1, and then touching one cell, which nobody else
    /// may touch: loom reports accesses that are not ordered.
    struct Toy {
        pool: Pool<std::ops::Range<usize>>,
        cells: Vec<UnsafeCell<usize>>,
    }

    // SAFETY: each cell is touched by who has its index as work, and by the leader when all work is
    // done, which is what the model checks.
    unsafe impl Sync for Toy {}

    impl Toy {
        fn new(helpers: usize, cells: usize) -> Arc<Self> {
            Arc::new(Self {
                pool: Pool::new(helpers),
                cells: (0..cells).map(|_| UnsafeCell::new(0)).collect(),
            })
        }

        fn perform(&self, mut work: std::ops::Range<usize>) {
            while work.len() > 1 {
                let middle = work.start.midpoint(work.end);
                if !self.pool.wanted() {
                    self.perform(middle..work.end);
                } else {
                    assert!(self.pool.give(middle..work.end).is_ok());
                }
                work.end = middle;
            }
            for index in work {
                // SAFETY: loom checks it.
                self.cells[index].with_mut(|cell| unsafe { *cell += 1 });
            }
        }

        fn lead(&self) {
            self.perform(0..self.cells.len());
            while let Some(work) = self.pool.finish() {
                self.perform(work);
            }
        }

        fn help(&self) {
            let mut done = false;
            while let Some(work) = self.pool.take(done) {
                self.perform(work);
                done = true;
            }
        }

        fn check(&self, expected: usize) {
            for cell in &self.cells {
                // SAFETY: loom checks it.
                cell.with_mut(|cell| assert_eq!(unsafe { *cell }, expected));
            }
        }
    }

    fn check(helpers: usize, cells: usize, rounds: usize) {
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = Some(3);
        builder.check(move || {
            let toy = Toy::new(helpers, cells);
            let mut threads = Vec::new();
            for _ in 0..helpers {
                assert!(toy.pool.enlist());
                let toy = toy.clone();
                threads.push(thread::spawn(move || toy.help()));
            }
            assert!(!toy.pool.enlist());
            for round in 1..=rounds {
                toy.lead();
                toy.check(round);
            }
            toy.pool.close();
            for thread in threads {
                thread.join().unwrap();
            }
        });
    }

    /// When the leader finds that all is done, it is, and no helper is still at it; nobody waits
    /// for ever.
    #[test]
    fn all_work_is_done_when_the_leader_finishes() {
        check(1, 4, 1);
    }

    #[test]
    fn helpers_that_have_slept_help_again() {
        check(1, 2, 2);
    }

    #[test]
    fn two_helpers() {
        check(2, 3, 1);
    }
}
