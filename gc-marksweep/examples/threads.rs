//! Several threads on one heap: a producer hands lists to consumers through a channel.
//!
//! `cargo run --release -p gc-marksweep --example threads`

use std::sync::{Mutex, mpsc};
use std::thread;

use gc_marksweep::{EventKind, Flags, Global, Heap, HeapFull};

const LISTS: u64 = 20_000;
const LENGTH: u64 = 100;
const CONSUMERS: usize = 2;

fn produce(heap: &Heap, queue: mpsc::SyncSender<Global>) -> Result<(), HeapFull> {
    heap.attach(|m| {
        m.frame(|m, [list]| {
            for number in 0..LISTS {
                m.set(list, None);
                for word in 0..LENGTH {
                    m.alloc_move(list, Flags::NONE, [list], [number + word])?;
                }
                // A global is a root that may leave the thread.
                let Some(global) = m.get(list).map(|list| m.global(list)) else {
                    continue;
                };
                // Waiting for room in the queue outside `blocking` would keep collections waiting
                // too.
                if m.blocking(|| queue.send(global)).is_err() {
                    break;
                }
            }
            Ok(())
        })
    })
}

fn consume(heap: &Heap, queue: &Mutex<mpsc::Receiver<Global>>) -> u64 {
    heap.attach(|m| {
        let mut sum = 0;
        while let Some(list) = m.blocking(|| queue.lock().ok()?.recv().ok()) {
            let mut node = Some(m.open(&list));
            while let Some(object) = node {
                sum += m.word(object, 0);
                node = m.load(object, 0);
            }
            m.safepoint();
        }
        sum
    })
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let heap = Heap::builder().limit(4 << 20).build()?;
    let (sender, receiver) = mpsc::sync_channel(64);
    let receiver = Mutex::new(receiver);
    let sum: u64 = thread::scope(|scope| {
        let producer = scope.spawn(|| produce(&heap, sender));
        let consumers: Vec<_> = (0..CONSUMERS)
            .map(|_| scope.spawn(|| consume(&heap, &receiver)))
            .collect();
        let sum = consumers.into_iter().map(|c| c.join().unwrap_or(0)).sum();
        drop(producer.join());
        sum
    });
    let expected = LISTS * LENGTH * (LISTS - 1) / 2 + LISTS * LENGTH * (LENGTH - 1) / 2;
    println!(
        "{CONSUMERS} consumers read {LISTS} lists; their words add up to {sum} (expected {expected})"
    );

    let events = heap.take_events().events;
    let pauses = events
        .iter()
        .filter(|event| matches!(event.kind, EventKind::Collection { .. }));
    let longest = pauses
        .clone()
        .map(|event| event.until - event.from)
        .max()
        .unwrap_or(0);
    println!(
        "{} collections, the longest took {:.3} ms",
        pauses.count(),
        longest as f64 / 1e6
    );
    Ok(())
}
