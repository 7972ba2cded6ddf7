//! What only shows in a process of its own: the memory that the system says it has, a limit on its
//! addresses, a fork.

use std::process::{Command, Output};

use std::time::Duration;

use gc_rc::{Cycle, Flags, FullCause, Heap, Mutator, Shape};

/// Runs a test of this file in a process of its own, or says that this is it.
fn in_child(test: &str) -> bool {
    const CHILD: &str = "GC_RC_TEST_CHILD";
    if std::env::var_os(CHILD).is_some() {
        return true;
    }
    let output = Command::new(std::env::current_exe().unwrap())
        .args([test, "--exact", "--nocapture", "--test-threads=1"])
        .env(CHILD, "1")
        .output()
        .unwrap();
    assert_passed(&output);
    false
}

fn assert_passed(output: &Output) {
    assert!(
        output.status.success(),
        "{}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Bytes of this process that the system backs.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/smaps_rollup").unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("Rss:"))
        .unwrap();
    let kibibytes: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kibibytes << 10
}

/// Objects that grow from 64 KiB to 2 MiB, of which every sixteenth stays for as long as the heap
/// has room. Returns the largest number of committed bytes on the way.
fn grow(heap: &Heap, m: &mut Mutator<'_>, rounds: usize) -> u64 {
    m.frame(|m, [kept, a]| {
        let mut committed = 0;
        for _ in 0..rounds {
            m.set(kept, None);
            m.safepoint();
            for number in 0..u32::MAX {
                let words = (64 << 10 >> 3) + number * 512;
                if words > 2 << 20 >> 3 {
                    break;
                }
                let object = Shape::new(1, words).with(Flags::ACYCLIC);
                let Ok(()) = m.alloc(a, object) else { break };
                // Backed throughout, as a program's memory is.
                for word in (0..words as usize).step_by(512) {
                    m.set_word(m.get(a).unwrap(), word, 1);
                }
                if number % 16 == 0 {
                    m.store(m.get(a).unwrap(), 0, m.get(kept));
                    m.set(kept, m.get(a));
                }
                committed = committed.max(heap.statistics().committed_bytes);
            }
        }
        m.verify();
        committed
    })
}

/// Holes that the next object does not fit are given back: memory stays below the limit, and the
/// counters tell the truth.
#[test]
fn large_objects_of_growing_sizes_commit_no_more_than_the_limit() {
    const NAME: &str = "large_objects_of_growing_sizes_commit_no_more_than_the_limit";
    const LIMIT: usize = 40 << 20;
    if !in_child(NAME) {
        return;
    }
    let before = resident();
    let heap = Heap::builder().limit(LIMIT).build().unwrap();
    heap.attach(|m| {
        let committed = grow(&heap, m, 3);
        assert!(
            committed <= LIMIT as u64,
            "{committed} bytes for a limit of {LIMIT}"
        );
        let (counted, backed) = (heap.statistics().committed_bytes, resident() - before);
        println!(
            "committed at most {committed}, now {counted}, of which the system backs {backed}"
        );
        // Huge pages have been touched in part, and the process needs something for itself.
        assert!(
            backed < counted + counted / 4 + (8 << 20),
            "{counted} bytes are said to be committed, but {backed} are resident"
        );
        m.collect();
    });
    // Without a limit what was ever occupied takes its place.
    let heap = Heap::builder().build().unwrap();
    heap.attach(|m| {
        let committed = grow(&heap, m, 3);
        let peak = heap.statistics().peak_occupied_bytes;
        assert!(
            committed <= peak + peak / 8 + (4 << 20),
            "{committed} bytes, and never more than {peak} occupied"
        );
    });
}

/// Allows this process so many bytes of addresses.
fn limit_addresses(bytes: u64) {
    let limit = libc::rlimit {
        rlim_cur: bytes,
        rlim_max: bytes,
    };
    // SAFETY: a limit of this process, which is the test's own.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_AS, &limit) }, 0);
}

/// A heap asks for addresses as it grows: one whose limit is far above what the process may have is
/// made, gives what there is, says that it was the system that had no more, and goes on.
#[test]
fn a_heap_works_where_addresses_are_fewer_than_its_limit() {
    const NAME: &str = "a_heap_works_where_addresses_are_fewer_than_its_limit";
    const ADDRESSES: u64 = 256 << 20;
    if !in_child(NAME) {
        return;
    }
    limit_addresses(ADDRESSES);
    let heap = Heap::builder().limit(1 << 30).build().unwrap();
    heap.attach(|m| {
        m.frame(|m, [list, large]| {
            let mut least = 128 << 20;
            for _ in 0..2 {
                let full = loop {
                    if let Err(full) = m.alloc_move(list, Flags::NONE, [list], [0; 510]) {
                        break full;
                    }
                };
                assert_eq!((full.cause, full.limit), (FullCause::System, 1 << 30));
                let occupied = heap.statistics().occupied_bytes;
                assert!(occupied > least, "only {occupied} bytes fit {ADDRESSES}");
                least = occupied - occupied / 50;
                // What is within the limit, and beyond what the system has.
                let full = m.alloc(large, Shape::new(0, 60 << 20)).unwrap_err();
                assert_eq!(full.cause, FullCause::System);
                m.set(list, None);
                m.collect();
            }
            m.verify();
            // What held small objects can hold large ones.
            m.alloc(large, Shape::new(0, 12 << 20)).unwrap();
        });
    });
}

/// The collector's own memory cannot be had either when a heap without a limit has used all that
/// there is: garbage is found all the same, and what does not fit is an error.
#[test]
fn cycles_are_found_when_the_system_has_no_memory_left() {
    const NAME: &str = "cycles_are_found_when_the_system_has_no_memory_left";
    if !in_child(NAME) {
        return;
    }
    limit_addresses(128 << 20);
    for cycle in [Cycle::Generational, Cycle::BaconRajan] {
        for live in [false, true] {
            let heap = Heap::builder()
                .cycle(cycle)
                .thresholds([0, 10, 10])
                .possible_roots(1 << 40)
                .build()
                .unwrap();
            heap.attach(|m| {
                m.frame(|m, [list, a, b]| {
                    let mut refused = 0;
                    for _ in 0..800_000 {
                        // A ring, which also is a possible root; it is garbage at once, or lives in
                        // the list.
                        let made = m
                            .alloc(a, Shape::new(3, 0))
                            .and_then(|()| m.alloc_init(b, Flags::NONE, [a, list], []));
                        if let Err(full) = made {
                            assert_eq!((full.cause, full.limit), (FullCause::System, 0));
                            refused += 1;
                            m.set(list, None);
                            if refused == 2 {
                                break;
                            }
                            continue;
                        }
                        m.store(m.get(a).unwrap(), 0, m.get(b));
                        if live {
                            m.set(list, m.get(b));
                        }
                    }
                    let statistics = heap.statistics();
                    assert_eq!(refused > 0, live, "{cycle:?}: {statistics:?}");
                    assert!(statistics.collections > 0, "{cycle:?}: {statistics:?}");
                    m.set(list, None);
                    m.set(a, None);
                    m.set(b, None);
                    m.collect();
                    m.verify();
                    assert_eq!(heap.statistics().object_bytes, 0);
                });
            });
        }
    }
}

/// Runs `f` in a forked process. Panics if it does there.
fn in_fork(f: impl FnOnce()) {
    // SAFETY: the new process has this thread alone; it runs what needs no other, and ends without
    // returning.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let passed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(f)).is_ok();
        // SAFETY: it ends this process.
        unsafe { libc::_exit(i32::from(!passed)) }
    }
    let mut status = 0;
    // SAFETY: waits for a child of this process.
    let waited = unsafe { libc::waitpid(child, &mut status, 0) };
    assert_eq!((waited, status), (child, 0), "the forked process failed");
}

/// A forked process has a copy of the heap, whole as far as nobody else was in the middle of
/// something.
#[test]
fn a_forked_process_can_use_and_drop_its_copy() {
    const NAME: &str = "a_forked_process_can_use_and_drop_its_copy";
    if !in_child(NAME) {
        return;
    }
    let fill = |m: &mut Mutator<'_>| {
        m.frame(|m, [list]| {
            for _ in 0..100_000 {
                m.alloc_init(list, Flags::NONE, [list, list], []).unwrap();
            }
            let handles = (
                m.global(m.get(list).unwrap()),
                m.downgrade(m.get(list).unwrap()),
            );
            m.set(list, None);
            m.collect();
            handles
        })
    };
    for cycle in [Cycle::Generational, Cycle::BaconRajan, Cycle::None] {
        let build = || {
            let builder = Heap::builder()
                .cycle(cycle)
                .watchdog(Some(Duration::from_secs(5)));
            builder.limit(64 << 20).build().unwrap()
        };
        // At rest: used, and dropped, before or after its handles.
        let heap = build();
        let (global, weak) = heap.attach(fill);
        in_fork(|| {
            heap.attach(|m| {
                assert!(m.upgrade(&weak).unwrap() == m.open(&global));
                m.verify();
                fill(m);
            });
            drop(heap);
            drop((global, weak));
        });
    }
    let heap = Heap::new();
    let handles = heap.attach(fill);
    in_fork(|| drop(handles));
    let heap = Heap::new();
    heap.attach(|m| {
        let (global, weak) = fill(m);
        // The thread that forks is inside a blocking region, and comes back.
        m.blocking(|| in_fork(|| heap.attach(|m| drop(fill(m)))));
        in_fork(|| {
            assert!(m.upgrade(&weak).is_some());
            drop(global);
            m.collect();
            assert!(m.upgrade(&weak).is_none());
            m.verify();
        });
    });
    // Another thread has the lock: its copy stays locked for good, but dropping asks for no lock.
    let heap = Heap::new();
    let handles = heap.attach(fill);
    let (locked, is_locked) = std::sync::mpsc::channel();
    let (release, is_released) = std::sync::mpsc::channel::<()>();
    let other = heap.clone();
    let thread = std::thread::spawn(move || {
        other.attach(|_| {
            locked.send(()).unwrap();
            is_released.recv().unwrap_err();
        })
    });
    is_locked.recv().unwrap();
    in_fork(|| drop((heap, handles)));
    drop(release);
    thread.join().unwrap();
}
