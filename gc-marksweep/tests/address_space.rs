//! What a heap does where the process may have little address space (`ulimit -v`). Each case is a
//! process of its own: a limit stays.
#![cfg(target_os = "linux")]

use std::process::{Command, Stdio};

use gc_marksweep::{BuildError, Flags, FullCause, Heap, Shape};

const MIB: usize = 1 << 20;

/// Says to the process that a test has started which case it is to be.
const CASE: &str = "GC_MARKSWEEP_ADDRESS_SPACE_CASE";

/// Runs `case` in a process of its own that may have `more` bytes of address space than it has when
/// it begins.
fn in_a_process_with(more: usize, test: &str, case: impl FnOnce()) {
    if std::env::var_os(CASE).is_some() {
        let bytes = (reserved() + more) as libc::rlim_t;
        let limit = libc::rlimit {
            rlim_cur: bytes,
            rlim_max: bytes,
        };
        // SAFETY: only sets a limit.
        let set = unsafe { libc::setrlimit(libc::RLIMIT_AS, &raw const limit) };
        assert_eq!(set, 0);
        return case();
    }
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture", "--test-threads", "1"])
        .env(CASE, "1")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Bytes of address space that the process has.
fn reserved() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmSize:"));
    let kibibytes = line.unwrap().split_whitespace().nth(1).unwrap();
    kibibytes.parse::<usize>().unwrap() << 10
}

#[test]
fn a_heap_reserves_little_more_than_its_limit() {
    in_a_process_with(
        1110 * MIB,
        "a_heap_reserves_little_more_than_its_limit",
        || {
            let before = reserved();
            let heap = Heap::builder().limit(1024 * MIB).build().unwrap();
            // A sixty-fourth for marks, the tables, and the buffer of events.
            assert!(reserved() - before <= (1024 + 16 + 24) * MIB);
            heap.attach(|m| {
                m.frame(|m, [list, large]| {
                    m.alloc(large, Shape::new(10, 2_000_000)).unwrap();
                    for _ in 0..100_000 {
                        m.alloc_move(list, Flags::NONE, [list], [7; 4]).unwrap();
                    }
                    m.verify();
                });
            });
        },
    );
}

#[test]
fn a_heap_that_does_not_fit_says_how_much_it_asked_for() {
    in_a_process_with(
        500 * MIB,
        "a_heap_that_does_not_fit_says_how_much_it_asked_for",
        || {
            let before = reserved();
            let error = Heap::builder().limit(1024 * MIB).build().unwrap_err();
            let text = error.to_string();
            let BuildError::AddressSpace { limit, bytes, .. } = error else {
                panic!("{error:?}");
            };
            assert_eq!(limit, 1024 * MIB);
            assert!((1024 * MIB..1060 * MIB).contains(&bytes), "{bytes}");
            assert!(
                text.contains(&format!("{bytes} bytes were asked for")),
                "{text}"
            );
            assert!(text.contains("ulimit -v") && !text.contains('\n'), "{text}");
            // Nothing of it is left; and a smaller one does.
            assert!(reserved() <= before + MIB);
            let heap = Heap::builder().limit(256 * MIB).build().unwrap();
            heap.attach(|m| m.verify());
        },
    );
}

/// The system's refusal is a value like any other, and the heap is as before.
#[test]
fn large_objects_that_find_no_address_space_are_refused_in_words() {
    in_a_process_with(
        1280 * MIB,
        "large_objects_that_find_no_address_space_are_refused_in_words",
        || {
            let heap = Heap::builder()
                .limit(1024 * MIB)
                .marking_workers(1)
                .build()
                .unwrap();
            heap.attach(|m| {
                m.frame(|m, [kept, object]| {
                    m.alloc(kept, Shape::new(1000, 0)).unwrap();
                    for _ in 0..2 {
                        let mut made = 0;
                        let refused = loop {
                            match m.alloc(object, Shape::new(0, (4 * MIB / 8) as u32)) {
                                Ok(()) => m.store(m.get(kept).unwrap(), made, m.get(object)),
                                Err(refused) => break refused,
                            }
                            made += 1;
                        };
                        assert_eq!(refused.cause, FullCause::System, "{refused}");
                        assert!((30..200).contains(&made), "{made} of 4 MiB");
                        // The last ones are in the way of nothing.
                        m.alloc(object, Shape::new(100, 100)).unwrap();
                        m.verify();
                        (0..made).for_each(|index| m.store(m.get(kept).unwrap(), index, None));
                        m.set(object, None);
                    }
                });
            });
        },
    );
}
