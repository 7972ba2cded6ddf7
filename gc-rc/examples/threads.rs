//! Several threads under the global lock: workers that share a list through a global, and a main
//! thread that waits for them in a blocking region.
//!
//! `cargo run -p gc-rc --example threads`

use std::thread;

use gc_rc::{EventKind, Flags, Global, Heap, HeapFull, Shape};

const WORKERS: usize = 3;
const ITEMS: u64 = 400_000;

/// Pushes `ITEMS` numbers to the worker's list: field `worker` of the shared table.
fn work(heap: &Heap, table: &Global, worker: usize) -> Result<(), HeapFull> {
    heap.attach(|m| {
        m.frame(|m, [list]| {
            for number in 0..ITEMS {
                m.set(list, m.load(m.open(table), worker));
                m.alloc_move(list, Flags::NONE, [list], [number])?;
                m.store(m.open(table), worker, m.get(list));
                // Here, and only here, another thread may take over.
                m.safepoint();
            }
            Ok(())
        })
    })
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let heap = Heap::builder().limit(256 << 20).build()?;
    let totals = heap.attach(|m| {
        m.frame(|m, [table]| {
            m.alloc(table, Shape::new(WORKERS as u32, 0))?;
            let table = m.global(m.get(table).expect("just made"));
            // A thread that waits must give the lock up, or the others wait for it.
            m.blocking(|| {
                thread::scope(|s| {
                    let workers: Vec<_> = (0..WORKERS)
                        .map(|worker| {
                            let (heap, table) = (&heap, table.clone());
                            s.spawn(move || work(heap, &table, worker))
                        })
                        .collect();
                    workers
                        .into_iter()
                        .try_for_each(|worker| worker.join().expect("a worker panicked"))
                })
            })?;
            let totals: Vec<u64> = (0..WORKERS)
                .map(|worker| {
                    let mut total = 0;
                    let mut next = m.load(m.open(&table), worker);
                    while let Some(node) = next {
                        total += m.word(node, 0);
                        next = m.load(node, 0);
                    }
                    total
                })
                .collect();
            Ok::<_, HeapFull>(totals)
        })
    })?;
    let expected = ITEMS * (ITEMS - 1) / 2;
    assert!(
        totals.iter().all(|&total| total == expected),
        "a push was lost: {totals:?}"
    );
    let waits: Vec<u64> = heap
        .take_events()
        .events
        .iter()
        .filter(|event| event.kind == EventKind::LockWait)
        .map(|event| event.until - event.from)
        .collect();
    println!("{WORKERS} threads pushed {ITEMS} numbers each; every list adds up to {expected}");
    if let Some(longest) = waits.iter().max() {
        println!(
            "they waited for the lock {} times, for {:.1} ms at most",
            waits.len(),
            *longest as f64 / 1e6
        );
    }
    Ok(())
}
