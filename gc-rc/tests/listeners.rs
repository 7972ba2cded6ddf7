//! Telling listeners must not cause what they are told of: counted at the lock, not by the clock.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

use gc_rc::{Event, Flags, Gil, Heap, Listener, Mutator};

/// Uses the heap whenever it is called.
struct User {
    heap: OnceLock<Heap>,
    calls: AtomicU64,
    work: fn(&mut Mutator<'_>),
}

impl User {
    /// A heap with such a listener, where nobody asks for the lock because time has passed.
    fn listening(gil: Gil, work: fn(&mut Mutator<'_>)) -> (Heap, Arc<Self>) {
        let user = Arc::new(Self {
            heap: OnceLock::new(),
            calls: AtomicU64::new(0),
            work,
        });
        let heap = Heap::builder().gil(gil).listener(user.clone());
        let heap = heap.switch_interval(Duration::from_secs(3600));
        let heap = heap.build().unwrap();
        assert!(user.heap.set(heap.clone()).is_ok());
        (heap, user)
    }
}

impl Listener for User {
    fn event(&self, _: &Event) {
        self.calls.fetch_add(1, Ordering::Relaxed);
        if let Some(heap) = self.heap.get() {
            heap.attach(self.work);
        }
    }
}

/// A list that is dropped now and then, and a safepoint for each node.
fn lists(m: &mut Mutator<'_>) {
    m.frame(|m, [list]| {
        for number in 0..10_000 {
            m.alloc_init(list, Flags::NONE, [list], [number]).unwrap();
            if number % 1000 == 0 {
                m.set(list, None);
            }
            m.safepoint();
        }
    });
}

#[test]
fn listeners_that_use_the_heap_do_not_make_it_change_hands() {
    for gil in [Gil::Cpython, Gil::Fair] {
        for threads in 1..=3 {
            let (heap, user) = User::listening(gil, lists);
            thread::scope(|s| {
                for _ in 0..threads {
                    s.spawn(|| {
                        heap.attach(|m| {
                            m.collect();
                            m.safepoint();
                            lists(m);
                        });
                    });
                }
            });
            let calls = user.calls.load(Ordering::Relaxed);
            let statistics = heap.lock_statistics();
            // Each thread has its collection, those of its list (five a thousand nodes at most),
            // and its waits.
            assert!(
                (threads..=60 * threads).contains(&calls),
                "{gil:?}, {threads} threads: {calls} calls"
            );
            let most = 3 * calls + 2 * threads;
            assert!(
                statistics.takes <= most,
                "{gil:?}, {threads} threads, {calls} calls: {statistics:?}"
            );
        }
    }
}

/// A listener leaves a collection due. It happens to the thread that tells, which does not tell of
/// it.
#[test]
fn what_a_listener_makes_due_is_no_news() {
    /// Makes cycles, which nothing but a collection frees.
    fn rings(m: &mut Mutator<'_>) {
        m.frame(|m, [ring, null]| {
            for _ in 0..3000 {
                m.alloc_init(ring, Flags::NONE, [null], []).unwrap();
                m.store(m.get(ring).unwrap(), 0, m.get(ring));
            }
        });
    }
    fn leave_a_collection_due(m: &mut Mutator<'_>) {
        rings(m);
        // Also before a blocking region of the listener's.
        m.blocking(|| ());
        rings(m);
    }
    for gil in [Gil::Cpython, Gil::Fair] {
        let (heap, user) = User::listening(gil, leave_a_collection_due);
        heap.attach(|m| {
            m.collect();
            for _ in 0..100 {
                m.safepoint();
            }
        });
        let calls = user.calls.load(Ordering::Relaxed);
        assert_eq!(calls, 1, "{gil:?}");
    }
}

#[test]
fn nothing_is_given_up_where_nobody_listens() {
    struct Deaf;
    impl Listener for Deaf {
        fn event(&self, _: &Event) {
            panic!("a listener that panics is not called again");
        }
    }
    for gil in [Gil::Cpython, Gil::Fair] {
        for deaf in [false, true] {
            let builder = Heap::builder().gil(gil);
            let builder = if deaf {
                builder.listener(Arc::new(Deaf))
            } else {
                builder
            };
            let heap = builder.build().unwrap();
            heap.attach(|m| {
                for _ in 0..100 {
                    m.collect();
                    m.safepoint();
                }
            });
            // Attached once, and told of one event.
            let takes = heap.lock_statistics().takes;
            assert_eq!(takes, 1 + u64::from(deaf), "{gil:?}, deaf: {deaf}");
        }
    }
}

/// Waits are told all the same, when the lock is given up for another reason.
#[test]
fn waits_are_told() {
    let (heap, user) = User::listening(Gil::Fair, |_| ());
    thread::scope(|s| {
        heap.attach(|m| {
            s.spawn(|| heap.attach(|m| m.safepoint()));
            // So that the other most likely has to wait.
            thread::sleep(Duration::from_millis(20));
            m.safepoint();
        });
    });
    let log = heap.take_events();
    assert_eq!(user.calls.load(Ordering::Relaxed), log.events.len() as u64);
}
