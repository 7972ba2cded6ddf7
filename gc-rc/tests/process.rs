//! What only shows in a process of its own: the memory that the system says it has, a limit on its addresses, a fork.

use std::process::{Command, Output};

use gc_rc::{Flags, Heap, Mutator, Shape};

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

/// Objects that grow from 64 KiB to 2 MiB, of which every sixteenth stays for as long as the heap has room. Returns the largest
/// number of committed bytes on the way.
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

/// Holes that the next object does not fit are given back: memory stays below the limit, and the counters tell the truth.
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
