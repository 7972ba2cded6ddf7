//! The longest pause that collections make while a heap grows, and what they cost altogether.
//!
//! A table of lists of live objects grows to the size asked for; collections happen by themselves. CPython's generations keep the total in
//! proportion (the 25 % rule), but every full collection examines everything, so that the longest pause grows with the heap. Bacon and Rajan's
//! collector examines what possible roots reach, which is at its worst here: the front of each list loses a reference and keeps others whenever the list grows, so that
//! all of the heap is under suspicion, and found alive. That its threshold doubles then is what bounds the total.
//! `cargo run --release -p gc-rc --example growth [-- OBJECTS...]`

use std::time::{Duration, Instant};

use gc_rc::{Cycle, EventKind, Flags, Heap, HeapFull, Shape};

const LISTS: usize = 1000;

/// Builds `objects` objects of two fields and a word, each stored before the next is made, in many lists.
fn grow(heap: &Heap, objects: usize) -> Result<Duration, HeapFull> {
    heap.attach(|m| {
        m.frame(|m, [table, node, front]| {
            m.alloc(table, Shape::new(LISTS as u32, 0))?;
            let begun = Instant::now();
            for number in 0..objects {
                let list = number % LISTS;
                let table_now = m.get(table).expect("just made");
                m.set(front, m.load(table_now, list));
                m.alloc_init(node, Flags::NONE, [front, front], [number as u64])?;
                m.store(m.get(table).expect("just made"), list, m.get(node));
                m.safepoint();
            }
            Ok(begun.elapsed())
        })
    })
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<usize> = std::env::args()
        .skip(1)
        .map(|argument| argument.parse())
        .collect::<Result<_, _>>()?;
    let sizes = if arguments.is_empty() {
        vec![1_000_000, 5_000_000, 10_000_000]
    } else {
        arguments
    };
    println!(
        "{:>10}  {:<13} {:>12} {:>14} {:>12} {:>12}",
        "objects", "cycle", "collections", "longest pause", "collecting", "altogether"
    );
    for objects in sizes {
        // The first heap of a process pays for memory that the system has never given out before.
        grow(&Heap::builder().cycle(Cycle::None).build()?, objects)?;
        for cycle in [Cycle::Generational, Cycle::BaconRajan, Cycle::None] {
            let heap = Heap::builder()
                .cycle(cycle)
                .event_capacity(1 << 18)
                .build()?;
            let time = grow(&heap, objects)?;
            let log = heap.take_events();
            assert_eq!(log.lost, 0, "the buffer of events is too small");
            let pauses = log.events.iter().filter_map(|event| {
                let is_one = matches!(event.kind, EventKind::Collection { .. });
                is_one.then(|| Duration::from_nanos(event.until - event.from))
            });
            let pauses: Vec<_> = pauses.collect();
            let milliseconds = |time: Duration| time.as_secs_f64() * 1000.0;
            println!(
                "{objects:>10}  {:<13} {:>12} {:>11.2} ms {:>9.1} ms {:>9.1} ms",
                format!("{cycle:?}"),
                pauses.len(),
                milliseconds(pauses.iter().max().copied().unwrap_or_default()),
                milliseconds(pauses.iter().sum()),
                milliseconds(time)
            );
        }
    }
    Ok(())
}
