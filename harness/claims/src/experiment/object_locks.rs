//! A lock in each object, as a client's program has them, and a graph of who waits for whom.
//!
//! Who holds a lock and who waits for one is one graph under one mutex, so that it can be looked at
//! as a whole: threads have deadlocked if each waits for a lock that the next one holds. A thread
//! that has waited for a time looks for such a cycle through itself. If there is one, nobody in it
//! would ever go on, and the thread gives up; if there is none, whoever has the lock is merely
//! slow, and the thread waits on. So a deadlock is what the graph says, at whatever moment it is
//! asked, and a busy machine makes nothing look like one.
//!
//! Invariant: a thread waits for a lock in the graph exactly as long as it sleeps for it, and a
//! lock has at most one holder. All waiting is inside [`Mutator::blocking`]: a thread that waits
//! here keeps no collector from stopping it, and holds no global lock.
//!
//! Rejected: a time-out alone (it cannot tell a deadlock from a processor that was taken away); a
//! mutex in each object (who holds it cannot be asked).

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::heap::Mutator;

/// The locks of some objects, known by number, for some threads, known by number.
pub(super) struct ObjectLocks {
    graph: Mutex<Graph>,
    changed: Condvar,
    patience: Duration,
}

/// That a thread has given up: it waited for a lock whose holder waited for one of its own.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Deadlock;

struct Graph {
    /// The thread that holds a lock.
    holders: Vec<Option<usize>>,
    /// The lock that a thread waits for.
    awaited: Vec<Option<usize>>,
    /// How often a thread has begun so far: has asked for its first lock.
    begun: Vec<u64>,
}

impl Graph {
    /// Whether what a thread waits for is held by one that waits, round about, for this thread.
    fn has_cycle(&self, thread: usize) -> bool {
        let holder_of_awaited = |thread: usize| self.holders[self.awaited[thread]?];
        let mut at = thread;
        // Every thread waits for one at most, so that a way is no longer than there are threads.
        for _ in 0..self.awaited.len() {
            match holder_of_awaited(at) {
                Some(next) if next == thread => return true,
                Some(next) => at = next,
                None => return false,
            }
        }
        false
    }
}

impl ObjectLocks {
    /// So many free locks for so many threads. A thread that has waited for `patience` looks
    /// whether it waits in vain.
    pub(super) fn new(locks: usize, threads: usize, patience: Duration) -> Self {
        Self {
            graph: Mutex::new(Graph {
                holders: vec![None; locks],
                awaited: vec![None; threads],
                begun: vec![0; threads],
            }),
            changed: Condvar::new(),
            patience,
        }
    }

    /// Takes a lock, which is the first that a thread [begins](Self::meet) with or another one;
    /// waits for it if it is taken.
    ///
    /// # Errors
    ///
    /// A deadlock of which this thread is part. It holds what it held before, and does not wait any
    /// more, so that the others go on once it lets go.
    pub(super) fn lock<M: Mutator>(
        &self,
        m: &mut M,
        thread: usize,
        lock: usize,
        begins: bool,
    ) -> Result<(), Deadlock> {
        m.blocking(|| {
            let mut graph = self.graph();
            graph.begun[thread] += u64::from(begins);
            graph.awaited[thread] = Some(lock);
            self.changed.notify_all();
            let mut looked = Instant::now();
            while graph.holders[lock].is_some() {
                let left = self.patience.saturating_sub(looked.elapsed());
                if left.is_zero() {
                    if graph.has_cycle(thread) {
                        graph.awaited[thread] = None;
                        return Err(Deadlock);
                    }
                    looked = Instant::now();
                    continue;
                }
                let waited = self.changed.wait_timeout(graph, left);
                graph = waited.unwrap_or_else(PoisonError::into_inner).0;
            }
            graph.awaited[thread] = None;
            graph.holders[lock] = Some(thread);
            Ok(())
        })
    }

    /// Gives a lock back.
    pub(super) fn unlock(&self, lock: usize) {
        self.graph().holders[lock] = None;
        self.changed.notify_all();
    }

    /// Waits until every thread has begun so many times, and so holds its first lock, waits for it,
    /// or had it.
    pub(super) fn meet<M: Mutator>(&self, m: &mut M, times: u64) {
        m.blocking(|| {
            let graph = self.graph();
            let missing = |graph: &mut Graph| graph.begun.iter().any(|begun| *begun < times);
            let met = self.changed.wait_while(graph, missing);
            drop(met.unwrap_or_else(PoisonError::into_inner));
        });
    }

    fn graph(&self) -> MutexGuard<'_, Graph> {
        self.graph.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(holders: &[Option<usize>], awaited: &[Option<usize>]) -> Graph {
        Graph {
            holders: holders.to_vec(),
            awaited: awaited.to_vec(),
            begun: vec![0; awaited.len()],
        }
    }

    #[test]
    fn a_cycle_is_found_by_those_who_are_in_it() {
        // 0 has lock 0 and waits for 1; 1 has 1 and waits for 0; 2 waits for 0 besides.
        let both = graph(&[Some(0), Some(1)], &[Some(1), Some(0), Some(0)]);
        assert!(both.has_cycle(0) && both.has_cycle(1) && !both.has_cycle(2));
        // 1 has both and is slow.
        let slow = graph(&[Some(1), Some(1)], &[Some(0), None]);
        assert!(!slow.has_cycle(0) && !slow.has_cycle(1));
        let three = graph(&[Some(0), Some(1), Some(2)], &[Some(1), Some(2), Some(0)]);
        assert!((0..3).all(|thread| three.has_cycle(thread)));
    }
}
