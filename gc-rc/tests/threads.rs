//! Several threads, the lock, and handles that travel.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use gc_rc::{EventKind, Flags, Gil, Global, Heap, Shape};

fn strict() -> Heap {
    Heap::builder()
        .poison(true)
        .watchdog(Some(Duration::from_secs(60)))
        .build()
        .unwrap()
}

/// A thread that returns from a blocking region asks each holder that is in front of it, also one
/// that was on its way to the lock and had not taken it yet: none is waited for until its interval
/// has passed.
#[test]
fn the_fair_lock_is_asked_for_at_once() {
    let heap = Heap::builder()
        .gil(Gil::Fair)
        .switch_interval(Duration::from_secs(5))
        .build()
        .unwrap();
    let done = AtomicBool::new(false);
    // Who attaches waits like everybody else: each does so while nobody has the lock.
    let (left, is_left) = mpsc::channel();
    let (started, is_started) = mpsc::channel();
    thread::scope(|s| {
        let (heap, done) = (&heap, &done);
        s.spawn(move || {
            heap.attach(|m| {
                m.blocking(|| {
                    left.send(()).unwrap();
                    is_started.recv().unwrap();
                });
                for _ in 0..2000 {
                    m.blocking(thread::yield_now);
                    if heap.lock_statistics().time_outs > 0 {
                        break;
                    }
                }
            });
            done.store(true, Ordering::Relaxed);
        });
        s.spawn(move || {
            is_left.recv().unwrap();
            heap.attach(|m| {
                started.send(()).unwrap();
                while !done.load(Ordering::Relaxed) {
                    m.safepoint();
                }
            });
        });
    });
    assert_eq!(heap.lock_statistics().time_outs, 0);
}

#[test]
fn threads_take_turns() {
    for gil in [Gil::Cpython, Gil::Fair] {
        let heap = Heap::builder()
            .gil(gil)
            .switch_interval(Duration::from_micros(200))
            .build()
            .unwrap();
        // Each thread goes on until every other one has made progress while it ran: that needs
        // forced switches.
        let progress: [AtomicU64; 3] = Default::default();
        thread::scope(|s| {
            for me in 0..progress.len() {
                let (heap, progress) = (&heap, &progress);
                s.spawn(move || {
                    heap.attach(|m| {
                        m.frame(|m, [list]| {
                            let mut seen = [0; 3];
                            while seen.iter().any(|&turns| turns < 5) {
                                let number = progress[me].fetch_add(1, Ordering::Relaxed);
                                m.alloc_init(list, Flags::NONE, [list], [number]).unwrap();
                                if number % 100 == 0 {
                                    m.set(list, None);
                                }
                                let before = progress.each_ref().map(|p| p.load(Ordering::Relaxed));
                                m.safepoint();
                                for (other, turns) in seen.iter_mut().enumerate() {
                                    let moved =
                                        progress[other].load(Ordering::Relaxed) != before[other];
                                    // The last one to run has nobody to wait for.
                                    let done = progress[other].load(Ordering::Relaxed) >= 1 << 40;
                                    *turns += (moved || done || other == me) as u32;
                                }
                            }
                            progress[me].fetch_add(1 << 40, Ordering::Relaxed);
                        })
                    })
                });
            }
        });
        heap.attach(|m| m.verify());
        let log = heap.take_events();
        let waits = log
            .events
            .iter()
            .filter(|event| event.kind == EventKind::LockWait);
        assert!(
            waits.count() > 0,
            "three threads never waited for each other"
        );
        assert!(log.events.iter().all(|event| event.from <= event.until));
    }
}

#[test]
fn statistics_are_read_while_others_run() {
    let heap = strict();
    let stop = AtomicBool::new(false);
    thread::scope(|s| {
        s.spawn(|| {
            heap.attach(|m| {
                m.frame(|m, [a]| {
                    while !stop.load(Ordering::Relaxed) {
                        m.alloc(a, Shape::new(1, 1)).unwrap();
                        m.safepoint();
                    }
                })
            })
        });
        // The reader is not attached, and never waits for the thread that is.
        let mut last = heap.statistics();
        for _ in 0..10_000 {
            let now = heap.statistics();
            assert!(now.allocated_objects >= last.allocated_objects);
            last = now;
            heap.take_events();
        }
        stop.store(true, Ordering::Relaxed);
    });
    let statistics = heap.statistics();
    assert_eq!(
        statistics.allocated_payload_bytes,
        16 * statistics.allocated_objects
    );
}

/// What a mutator caches must not survive a stretch in which others ran: in `blocking`, another
/// thread takes the very cells that were free before.
#[test]
fn nothing_stale_survives_blocking() {
    let heap = Heap::new();
    heap.attach(|m| {
        m.frame(|m, [a, b]| {
            m.alloc_init(a, Flags::NONE, [], [1]).unwrap();
            m.alloc_init(b, Flags::NONE, [], [2]).unwrap();
            m.set(b, None);
            m.safepoint();
            // One cell is free and hot.
            let kept = m.blocking(|| {
                thread::scope(|s| {
                    s.spawn(|| {
                        heap.attach(|m| {
                            m.frame(|m, [c]| {
                                m.alloc_init(c, Flags::NONE, [], [3]).unwrap();
                                m.global(m.get(c).unwrap())
                            })
                        })
                    })
                    .join()
                    .unwrap()
                })
            });
            m.alloc_init(b, Flags::NONE, [], [4]).unwrap();
            assert_ne!(m.get(b), Some(m.open(&kept)));
            assert_eq!(m.word(m.open(&kept), 0), 3);
            assert_eq!(m.word(m.get(b).unwrap(), 0), 4);
            m.verify();
        })
    });
}

#[test]
fn globals_are_dropped_anywhere() {
    let heap = strict();
    let make = |number: u64| {
        heap.attach(|m| {
            m.frame(|m, [a]| {
                m.alloc_init(a, Flags::NONE, [], [number]).unwrap();
                let object = m.get(a).unwrap();
                (m.global(object), m.downgrade(object))
            })
        })
    };
    // On another thread, a clone at a time.
    let (global, weak) = make(1);
    let clone = global.clone();
    thread::spawn(move || drop(clone)).join().unwrap();
    heap.attach(|m| assert_eq!(m.word(m.open(&global), 0), 1));
    thread::spawn(move || drop(global)).join().unwrap();
    heap.attach(|m| {
        m.safepoint();
        assert!(
            m.upgrade(&weak).is_none(),
            "the object of a dropped global lives on"
        );
        m.verify();
    });
    // In a thread-local's destructor.
    thread_local!(static KEPT: RefCell<Option<Global>> = const { RefCell::new(None) });
    let (global, weak) = make(2);
    thread::spawn(move || KEPT.with(|kept| *kept.borrow_mut() = Some(global)))
        .join()
        .unwrap();
    heap.attach(|m| {
        m.safepoint();
        assert!(m.upgrade(&weak).is_none());
    });
    // While the lock is held, by the holder itself and by others at once.
    let handles: Vec<_> = (0..64).map(make).collect();
    heap.attach(|m| {
        thread::scope(|s| {
            for (index, (global, _)) in handles.iter().enumerate() {
                let clone = global.clone();
                if index % 2 == 0 {
                    s.spawn(move || drop(clone));
                }
            }
        });
        m.safepoint();
        m.verify();
        for (index, (global, weak)) in handles.into_iter().enumerate() {
            assert_eq!(m.word(m.open(&global), 0), index as u64);
            drop(global);
            m.safepoint();
            assert!(m.upgrade(&weak).is_none());
        }
    });
    // After the heap is gone.
    let (global, weak) = make(3);
    drop(heap);
    let clone = global.clone();
    drop((global, clone, weak));
}

#[test]
fn a_handle_of_another_heap_is_refused() {
    let (one, two) = (strict(), strict());
    let (global, weak) = one.attach(|m| {
        m.frame(|m, [a]| {
            m.alloc(a, Shape::new(0, 1)).unwrap();
            let object = m.get(a).unwrap();
            (m.global(object), m.downgrade(object))
        })
    });
    let refused = |f: &dyn Fn()| {
        *catch_unwind(AssertUnwindSafe(f))
            .unwrap_err()
            .downcast::<String>()
            .unwrap()
    };
    let message = refused(&|| two.attach(|m| _ = m.open(&global)));
    assert!(message.starts_with("gc-rc: a global of heap "), "{message}");
    let message = refused(&|| two.attach(|m| _ = m.upgrade(&weak)));
    assert!(
        message.starts_with("gc-rc: a weak reference of heap "),
        "{message}"
    );
}

#[test]
fn panics_leave_the_heap_usable() {
    let heap = strict();
    let caught = |f: &mut dyn FnMut(&mut gc_rc::Mutator<'_>)| {
        let result = catch_unwind(AssertUnwindSafe(|| heap.attach(|m| f(m))));
        assert_eq!(
            *result.unwrap_err().downcast::<&str>().unwrap(),
            "on purpose"
        );
        // The lock is free and every count right.
        heap.attach(|m| m.verify());
        thread::scope(|s| s.spawn(|| heap.attach(|m| m.verify())).join().unwrap());
    };
    caught(&mut |_| panic!("on purpose"));
    caught(&mut |m| {
        m.frame(|m, [a, b]| {
            m.alloc(a, Shape::new(1, 0)).unwrap();
            m.set(b, m.get(a));
            m.frame(|m, [c]| {
                m.alloc_init(c, Flags::NONE, [a], []).unwrap();
                panic!("on purpose")
            })
        })
    });
    caught(&mut |m| {
        m.frame(|m, [a]| {
            m.alloc(a, Shape::new(1, 0)).unwrap();
            m.blocking(|| panic!("on purpose"))
        })
    });
    // The mutator goes on after a panic that was caught around `blocking`: it has the lock back.
    heap.attach(|m| {
        m.frame(|m, [a]| {
            let result = catch_unwind(AssertUnwindSafe(|| m.blocking(|| panic!("on purpose"))));
            assert!(result.is_err());
            m.alloc(a, Shape::new(1, 0)).unwrap();
            m.verify();
        })
    });
}

#[test]
fn attaching_twice_panics_but_inside_blocking() {
    let (heap, other) = (strict(), strict());
    for second in [&heap, &other] {
        let result = catch_unwind(AssertUnwindSafe(|| heap.attach(|_| second.attach(|_| ()))));
        assert_eq!(
            *result.unwrap_err().downcast::<&str>().unwrap(),
            "gc-rc: this thread is already attached to a heap: attach a second time only inside \
             `blocking`"
        );
    }
    heap.attach(|m| {
        m.frame(|m, [a]| {
            m.alloc_init(a, Flags::NONE, [], [1]).unwrap();
            let global = m.global(m.get(a).unwrap());
            let sum = m.blocking(|| {
                let same = heap.attach(|m| {
                    m.verify();
                    m.blocking(|| other.attach(|m| m.verify()));
                    m.word(m.open(&global), 0)
                });
                same + other.attach(|_| 1)
            });
            assert_eq!(sum, 2);
            // The outer attachment is in force again.
            assert!(catch_unwind(AssertUnwindSafe(|| other.attach(|_| ()))).is_err());
            m.verify();
        })
    });
}

#[test]
fn a_blocking_region_lets_others_in() {
    let heap = strict();
    let (send, receive) = mpsc::channel();
    thread::scope(|s| {
        heap.attach(|m| {
            s.spawn(|| {
                heap.attach(|m| {
                    m.frame(|m, [a]| {
                        m.alloc_init(a, Flags::NONE, [], [42]).unwrap();
                        send.send(m.global(m.get(a).unwrap())).unwrap();
                    })
                })
            });
            let global = m.blocking(|| receive.recv().unwrap());
            assert_eq!(m.word(m.open(&global), 0), 42);
        })
    });
}

#[test]
fn attach_and_detach_race_with_collections() {
    let heap = Heap::builder()
        .poison(true)
        .thresholds([50, 2, 2])
        .switch_interval(Duration::from_micros(50))
        .build()
        .unwrap();
    thread::scope(|s| {
        for seed in 0..4u64 {
            let heap = &heap;
            s.spawn(move || {
                for round in 0..50 {
                    heap.attach(|m| {
                        m.frame(|m, [a, b]| {
                            for number in 0..200 {
                                m.alloc_init(a, Flags::NONE, [a, b], [number]).unwrap();
                                let object = m.get(a).unwrap();
                                m.store(object, 1, Some(object));
                                if (number * 7 + seed + round) % 13 == 0 {
                                    m.set(b, m.get(a));
                                    m.set(a, None);
                                }
                                m.safepoint();
                            }
                            m.blocking(thread::yield_now);
                            if round % 10 == 0 {
                                m.verify();
                            }
                        })
                    });
                }
            });
        }
    });
    heap.attach(|m| {
        m.collect();
        m.verify();
    });
    let statistics = heap.statistics();
    assert_eq!(
        statistics.occupied_bytes, statistics.metadata_bytes,
        "garbage is left"
    );
}

/// What the watchdog's tests do in a process of their own: the main thread keeps the lock until
/// another has waited for it for longer than the watchdog's patience, and lets it in then.
fn provoke_the_watchdog(gil: Gil) {
    let heap = Heap::builder()
        .gil(gil)
        .switch_interval(Duration::from_millis(1))
        .watchdog(Some(Duration::from_millis(5)))
        .build()
        .unwrap();
    let entered = AtomicBool::new(false);
    thread::scope(|s| {
        heap.attach(|m| {
            s.spawn(|| {
                heap.attach(|m| {
                    entered.store(true, Ordering::Relaxed);
                    m.safepoint();
                })
            });
            thread::sleep(Duration::from_millis(100));
            while !entered.load(Ordering::Relaxed) {
                m.safepoint();
            }
        })
    });
}

/// Runs the test of this name again in a child. Gives what it wrote to standard error, unless that
/// is a pipe that nobody reads.
fn in_a_child(name: &str, is_read: bool) -> String {
    let mut child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env("GC_RC_TEST_CHILD", name)
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let stderr = child.stderr.take().filter(|_| is_read);
    // What it writes fits the pipe, so that it can be read afterwards, and a child that hangs does
    // no harm.
    let status = (0..1000).find_map(|_| {
        thread::sleep(Duration::from_millis(10));
        child.try_wait().unwrap()
    });
    let Some(status) = status else {
        child.kill().unwrap();
        panic!("the child does not end");
    };
    assert!(status.success(), "the child failed: {status}");
    stderr.map_or_else(String::new, |stderr| {
        std::io::read_to_string(stderr).unwrap()
    })
}

fn is_child() -> bool {
    std::env::var_os("GC_RC_TEST_CHILD").is_some()
}

#[test]
fn the_watchdog_waits_for_no_client_that_holds_stderr() {
    if is_child() {
        let _held = std::io::stderr().lock();
        provoke_the_watchdog(Gil::Cpython);
        provoke_the_watchdog(Gil::Fair);
        return;
    }
    let lines = in_a_child("the_watchdog_waits_for_no_client_that_holds_stderr", true);
    assert!(lines.contains("has kept the global lock"), "{lines}");
}

/// A panic while the lock is being taken would let safe code go on without the lock.
#[test]
fn the_watchdog_survives_a_stderr_that_nobody_reads() {
    if is_child() {
        provoke_the_watchdog(Gil::Cpython);
        provoke_the_watchdog(Gil::Fair);
        return;
    }
    in_a_child("the_watchdog_survives_a_stderr_that_nobody_reads", false);
}
