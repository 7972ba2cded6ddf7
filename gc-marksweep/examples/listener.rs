//! Listening to a heap: who keeps the others waiting, and how long does everybody stand still?
//!
//! Three threads allocate; one of them forgets its safepoints for a while each time it computes
//! something, and the others stand still meanwhile. The threads know nothing of the listeners that
//! tell of it.
//!
//! `cargo run --release -p gc-marksweep --example listener`

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use gc_marksweep::{Event, EventKind, Flags, Heap, HeapFull, Listener, PauseStatistics};

/// A listener of our own: tells of every wait for a mutator that was longer than `limit`.
struct Complaints {
    limit: Duration,
    /// The names of mutators, by the numbers that events call them.
    names: Mutex<BTreeMap<u32, &'static str>>,
}

impl Listener for Complaints {
    fn event(&self, event: &Event) {
        let waited = Duration::from_nanos(event.until - event.from);
        if let EventKind::Arrived { stop } = event.kind
            && waited > self.limit
            && let Ok(names) = self.names.lock()
        {
            let name = names.get(&event.mutator).unwrap_or(&"somebody");
            println!("stop {stop} waited {waited:.1?} for {name}");
        }
    }
}

/// Makes many short-lived lists. Computes for `thinking` now and then.
fn work(
    heap: &Heap,
    complaints: &Complaints,
    name: &'static str,
    thinking: Duration,
) -> Result<(), HeapFull> {
    heap.attach(|m| {
        if let Ok(mut names) = complaints.names.lock() {
            names.insert(m.number(), name);
        }
        m.frame(|m, [list]| {
            for round in 0..50_000_u64 {
                for word in 0..100 {
                    m.alloc_move(list, Flags::NONE, [list], [word])?;
                }
                m.set(list, None);
                if round % 10_000 == 9_999 && !thinking.is_zero() {
                    let begin = std::time::Instant::now();
                    // Without a safepoint in the loop: the mistake.
                    while begin.elapsed() < thinking {
                        std::hint::spin_loop();
                    }
                }
                m.safepoint();
            }
            Ok(())
        })
    })
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let statistics = Arc::new(PauseStatistics::new());
    let complaints = Arc::new(Complaints {
        limit: Duration::from_millis(1),
        names: Mutex::default(),
    });
    let heap = Heap::builder()
        .limit(2 << 20)
        .listener(statistics.clone())
        .listener(complaints.clone())
        .build()?;

    thread::scope(|scope| {
        let threads = [
            ("the first worker", Duration::ZERO),
            ("the second worker", Duration::ZERO),
            ("the thinker", Duration::from_millis(5)),
        ]
        .map(|(name, thinking)| {
            let (heap, complaints) = (&heap, &complaints);
            scope.spawn(move || work(heap, complaints, name, thinking))
        });
        threads
            .into_iter()
            .try_for_each(|thread| match thread.join() {
                Ok(result) => result,
                Err(panic) => std::panic::resume_unwind(panic),
            })
    })?;

    let pauses = statistics.read();
    println!(
        "\n{} collections; threads stood still {} times, for {:.2?} together, at most {:.2?}",
        pauses.collections, pauses.stops, pauses.stopped, pauses.longest_stop
    );
    for (mutator, longest) in statistics.laggards() {
        println!("mutator {mutator} kept a stop waiting for at most {longest:.2?}");
    }
    println!("\na thread stood still for      times");
    for (power, &count) in pauses.histogram.iter().enumerate() {
        if count > 0 {
            let least = Duration::from_nanos(1 << power);
            println!("at least {:>12} {count:>12}", format!("{least:.1?}"));
        }
    }
    Ok(())
}
