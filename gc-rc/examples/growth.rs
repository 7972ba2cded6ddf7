//! The longest pause that collections make while a heap grows, and what they cost altogether.
//!
//! A table of lists of live objects grows to the size asked for; collections happen by themselves.
//! CPython's generations keep the total in proportion (the 25 % rule), but every full collection
//! examines everything, so that the longest pause grows with the heap: unless it is spared what no
//! store can have made part of a cycle, which here is everything. Bacon and Rajan's collector
//! examines what possible roots reach, which is at its worst here: the front of each list loses a
//! reference and keeps others whenever the list grows, so that all of the heap is under suspicion,
//! and found alive. That its threshold doubles then is what bounds the total. `cargo run --release
//! -p gc-rc --example growth [-- OBJECTS... [PYTHON]]`; with a Python interpreter the same program
//! (`growth.py`) runs on that beside.

use std::process::Command;
use std::time::{Duration, Instant};

use gc_rc::{Cycle, EventKind, Flags, Heap, HeapFull, Shape};

const LISTS: usize = 1000;

/// Builds `objects` objects of two fields and a word, each stored before the next is made, in many
/// lists.
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

/// Prints a line of the table.
fn report(objects: usize, who: &str, collections: usize, times: [Duration; 3]) {
    let [longest, collecting, altogether] = times.map(|time| time.as_secs_f64() * 1000.0);
    println!(
        "{objects:>10}  {who:<14} {collections:>11} {longest:>11.2} ms {collecting:>9.1} ms {altogether:>9.1} ms"
    );
}

/// Runs the program on a Python interpreter.
fn on_python(program: &str, objects: usize) -> Result<(), Box<dyn std::error::Error>> {
    let output = Command::new(program)
        .args(["-c", include_str!("growth.py"), &objects.to_string()])
        .output()
        .map_err(|error| {
            format!("{program} is neither a number nor a Python interpreter: {error}")
        })?;
    let text = String::from_utf8_lossy(&output.stdout);
    let words: Vec<&str> = text.split_whitespace().collect();
    let [version, _, collections, times @ ..] = &words[..] else {
        let errors = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{program} has failed: {errors}").into());
    };
    let mut nanoseconds = times
        .iter()
        .map(|time| time.parse().map(Duration::from_nanos));
    let mut next = || nanoseconds.next().unwrap_or(Ok(Duration::ZERO));
    let times = [next()?, next()?, next()?];
    report(
        objects,
        &format!("CPython {version}"),
        collections.parse()?,
        times,
    );
    Ok(())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (numbers, pythons): (Vec<String>, Vec<String>) = std::env::args()
        .skip(1)
        .partition(|argument| argument.parse::<usize>().is_ok());
    let mut sizes = Vec::new();
    for number in &numbers {
        sizes.push(number.parse()?);
    }
    if sizes.is_empty() {
        sizes = vec![1_000_000, 5_000_000, 10_000_000];
    }
    println!(
        "{:>10}  {:<14} {:>11} {:>14} {:>12} {:>12}",
        "objects", "cycle", "collections", "longest pause", "collecting", "altogether"
    );
    for objects in sizes {
        // The first heap of a process pays for memory that the system has never given out before.
        grow(&Heap::builder().cycle(Cycle::None).build()?, objects)?;
        for (name, cycle, filter) in [
            ("all examined", Cycle::Generational, false),
            ("Generational", Cycle::Generational, true),
            ("BaconRajan", Cycle::BaconRajan, true),
            ("None", Cycle::None, true),
        ] {
            let heap = Heap::builder()
                .cycle(cycle)
                .cycle_filter(filter)
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
            let longest = pauses.iter().max().copied().unwrap_or_default();
            let times = [longest, pauses.iter().sum(), time];
            report(objects, name, pauses.len(), times);
        }
        for python in &pythons {
            on_python(python, objects)?;
        }
    }
    Ok(())
}
