//! Locks, conditions and queues between mutators, on every heap: what a plain mutex would deadlock
//! on.

use std::thread;

use harness::adapter::{self, Adapter, HEAPS, Settings, Visitor};
use harness::heap::{Flags, Heap, Mutator};
use harness::sync::{BoundedQueue, Condition, Lock};

/// Runs a test once for each heap.
macro_rules! on_every_heap {
    ($($(#[$attribute:meta])* fn $name:ident<$heap:ident>($variable:ident: &H) $body:block)+) => {$(
        $(#[$attribute])*
        #[test]
        fn $name() {
            fn body<$heap: Heap>($variable: &$heap) $body
            struct Test<'s>(&'s Settings);
            impl Visitor for Test<'_> {
                type Output = ();
                fn visit<A: Adapter>(self) {
                    let heap = A::build(self.0).unwrap();
                    body(&heap);
                }
            }
            for heap in HEAPS {
                let mut settings = Settings::of(heap, 16 << 20);
                adapter::visit(heap.name, &settings, Test(&settings)).unwrap();
                // The regimes without the global lock, of the heap that has them.
                for regime in ["atomic", "object-lock", "biased", "deferred"] {
                    if settings.set(heap, "regime", regime).is_ok() {
                        adapter::visit(heap.name, &settings, Test(&settings)).unwrap();
                    }
                }
            }
        }
    )+};
}

/// Allocates enough for the collectors to want to stop everybody, or to hand the lock over.
fn allocate<M: Mutator>(m: &mut M, objects: u64) {
    m.frame(|m, [object]| {
        for value in 0..objects {
            m.alloc_init(object, Flags::NONE, [], [value]).unwrap();
            m.safepoint();
        }
    });
}

on_every_heap! {
    /// The holder collects while others wait for the lock.
    fn a_lock_can_be_held_across_collections<H>(heap: &H) {
        let counter = Lock::new(0u64);
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| heap.attach(|m| {
                    for _ in 0..20 {
                        let mut guard = counter.lock(m);
                        let before = *guard;
                        allocate(m, 100);
                        m.collect();
                        *guard = before + 1;
                    }
                }));
            }
        });
        assert_eq!(counter.into_inner(), 60);
    }

    fn conditions_wake_waiters<H>(heap: &H) {
        let turn = Lock::new(0u64);
        let changed = Condition::new();
        thread::scope(|scope| {
            for parity in 0..2 {
                let (turn, changed) = (&turn, &changed);
                scope.spawn(move || heap.attach(|m| {
                    for _ in 0..100 {
                        let guard = turn.lock(m);
                        let mut guard = changed.wait_while(m, guard, |turn| *turn % 2 != parity);
                        *guard += 1;
                        drop(guard);
                        changed.notify_all();
                        allocate(m, 10);
                    }
                }));
            }
        });
        assert_eq!(turn.into_inner(), 200);
    }

    /// Objects travel as globals; both ends allocate, and the queue is often full and often empty.
    fn queues_carry_objects<H>(heap: &H) {
        let queue = BoundedQueue::new(3);
        let sum = thread::scope(|scope| {
            let producers: Vec<_> = (0..2u64).map(|producer| {
                let queue = &queue;
                scope.spawn(move || heap.attach(|m| m.frame(|m, [object]| {
                    for value in 0..500 {
                        m.alloc_init(object, Flags::NONE, [], [producer * 500 + value]).unwrap();
                        let global = m.get(object).map(|object| m.global(object)).unwrap();
                        assert!(queue.push(m, global).is_ok());
                    }
                })))
            }).collect();
            let consumer = scope.spawn(|| heap.attach(|m| {
                let mut sum = 0;
                while let Some(global) = queue.pop(m) {
                    sum += m.word(m.open(&global), 0);
                    allocate(m, 20);
                }
                sum
            }));
            producers.into_iter().for_each(|producer| producer.join().unwrap());
            heap.attach(|m| queue.close(m));
            consumer.join().unwrap()
        });
        assert_eq!(sum, 500 * 999);
    }

    fn closing_wakes_a_full_and_refuses<H>(heap: &H) {
        let queue = BoundedQueue::new(1);
        heap.attach(|m| queue.push(m, 1)).unwrap();
        thread::scope(|scope| {
            let blocked = scope.spawn(|| heap.attach(|m| queue.push(m, 2)));
            heap.attach(|m| queue.close(m));
            assert_eq!(blocked.join().unwrap(), Err(2));
        });
        heap.attach(|m| {
            assert_eq!(queue.push(m, 3), Err(3));
            assert_eq!(queue.pop(m), Some(1));
            assert_eq!(queue.pop(m), None);
        });
    }

    /// A panic with the lock held releases it and does not poison it.
    fn a_panic_releases_the_lock<H>(heap: &H) {
        let lock = Lock::new(1);
        let panicked = thread::scope(|scope| scope.spawn(|| heap.attach(|m| {
            let _guard = lock.lock(m);
            panic!("with the lock held");
        })).join().is_err());
        assert!(panicked);
        heap.attach(|m| *lock.lock(m) += 1);
        assert_eq!(lock.into_inner(), 2);
    }
}
