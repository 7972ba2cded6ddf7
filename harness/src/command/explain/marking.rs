//! `harness explain marking`: how mark-sweep finds what is alive, and uses the memory of what is
//! not.

use std::error::Error;

use gc_marksweep::{Generations, Heap, Local, Mutator, Place, Shape, Step};

use super::{Page, number};

type Names = super::Names<Place>;

const GRAPH: &str = "
      p --> A --> B
            |     |       C <--> F       E
            v     |
            D <---+
";

/// Makes an object of two fields and one word.
fn make<'h>(
    m: &mut Mutator<'h>,
    into: Local<'_, 'h>,
) -> Result<(Place, Vec<Step>), gc_marksweep::HeapFull> {
    let steps = m.alloc_recorded(into, Shape::new(2, 1))?;
    Ok((m.place(m.get(into).expect("just made")), steps))
}

/// Shows the marking that a collection did.
fn marking(page: &mut Page, names: &Names, steps: &[Step]) {
    for step in steps {
        let (what, words) = match *step {
            Step::Began { mark, .. } => (
                "stopped".into(),
                format!("all threads wait; this collection marks with {mark}"),
            ),
            Step::Pushed { from: None, to } => (
                "root".into(),
                format!("a local holds {}: onto the stack", names.of(to)),
            ),
            Step::Pushed {
                from: Some(from),
                to,
            } => (
                format!("  {} -> {}", names.of(from), names.of(to)),
                format!("{} goes onto the stack", names.of(to)),
            ),
            Step::Marked {
                object,
                mark,
                bytes,
            } => (
                format!("take {}", names.of(object)),
                format!(
                    "not marked yet: {mark} is written into the mark bytes of its {} granules",
                    bytes / GRANULE
                ),
            ),
            Step::Met { object } => (
                format!("take {}", names.of(object)),
                "marked already: nothing to do".into(),
            ),
            Step::Block { from, live_bytes } => (
                "the end".into(),
                format!(
                    "block at {:#x}: {live_bytes} bytes are marked",
                    from.offset()
                ),
            ),
            other => (String::new(), format!("{other:?}")),
        };
        page.step(&what, &words);
    }
}

/// Shows an allocation: the search for a hole, and what lay there before.
fn allocation(page: &mut Page, names: &mut Names, name: char, place: Place, steps: &[Step]) {
    page.line(&format!("    m.alloc(...)    for {name}"));
    for step in steps {
        let words = match *step {
            Step::Swept {
                from,
                bytes,
                mark,
                live,
            } => {
                let end = from.offset() + bytes;
                let state = if live { "live" } else { "free" };
                // Who lies there, or did.
                let there: Vec<String> = (names.0.range(from..))
                    .take_while(|(place, _)| place.offset() < end)
                    .map(|(_, name)| name.to_string())
                    .collect();
                let there = match (there.is_empty(), live) {
                    (true, _) => String::new(),
                    (false, true) => format!(": {}", super::enumeration(&there)),
                    (false, false) => format!(": here {} lay", super::enumeration(&there)),
                };
                format!(
                    "bytes {:#x} to {end:#x} bear {mark}, {state}{there}",
                    from.offset()
                )
            }
            Step::Hole { from, bytes } => {
                format!("a hole of {bytes} bytes at {:#x} is taken", from.offset())
            }
            Step::Allocated { object, bytes } => {
                format!("{name} is put at {:#x}, {bytes} bytes", object.offset())
            }
            other => format!("{other:?}"),
        };
        page.step("", &words);
    }
    names.give(place, name);
}

/// Bytes that have a mark byte of their own.
const GRANULE: usize = 8;

pub(super) fn page() -> Result<Page, Box<dyn Error>> {
    let heap = Heap::builder()
        .limit(1 << 20)
        .generations(Generations::Off)
        .marking_workers(1)
        .build()?;
    let mut page = Page::default();
    let mut names = Names::new();
    heap.attach(|m| {
        m.frame(|m, [p, b, c, d, e, f]| {
            page.line("Marking: six objects in gc-marksweep, without generations");
            page.drawing(GRAPH);
            page.prose(
                "p is a local. Nobody counts references: what p leads to is alive, all else is garbage, cycle or not. Each object has a header, two fields and its name, 32 bytes. Beside the \
                 heap there is a table with one byte for each 8 bytes of it, a granule: the mark bytes.",
            );

            page.heading("1. Allocation");
            let mut made = Vec::new();
            for (local, name) in [(p, 'A'), (b, 'B'), (c, 'C'), (d, 'D'), (e, 'E'), (f, 'F')] {
                let (place, steps) = make(m, local)?;
                m.set_word(m.get(local).expect("just made"), 0, name as u64);
                made.push((name, place));
                if name == 'A' {
                    allocation(&mut page, &mut names, name, place, &steps);
                } else {
                    names.give(place, name);
                }
            }
            let places: Vec<String> = (made[1..].iter())
                .map(|(name, place)| format!("{name} at {:#x}", place.offset()))
                .collect();
            page.prose(&format!(
                "The thread owns this hole, and puts one object after the other: {}. No mark is written.",
                super::enumeration(&places)
            ));
            for (from, field, to) in [(p, 0, b), (p, 1, d), (b, 0, p), (b, 1, d), (c, 0, f), (f, 0, c)] {
                m.store(m.get(from).expect("made above"), field, m.get(to));
            }
            for local in [b, c, d, e, f] {
 m.set(local, None);
}

            page.heading("2. Marking");
            page.prose(
                "Edges that are to be followed wait on a stack; the last that was pushed is taken first. (With eight or more on it they go through a ring, while the memory behind them is \
                 fetched, and come in the order of the ring. A recorded collection follows them one at a time.)",
            );
            let steps = m.collect_recorded();
            marking(&mut page, &names, &steps);
            let marked = steps.iter().filter(|step| matches!(step, Step::Marked { .. })).count();
            let met = steps.iter().filter(|step| matches!(step, Step::Met { .. })).count();
            page.prose(&format!(
                "So {} marked, and {} found them marked already. What is dead was not touched, and cost nothing.",
                number(marked as u64, "object was", "objects were"),
                number(met as u64, "edge", "edges"),
            ));

            page.heading("3. Sweeping is allocating");
            page.prose(
                "Nothing has been freed so far. A thread that needs memory searches the mark bytes of a block for a hole, a run of bytes that do not hold the value of the last collection, \
                 and goes on where it left off when the hole is used up:",
            );
            for (local, name) in [(b, 'G'), (c, 'H')] {
                let (place, steps) = make(m, local)?;
                m.set_word(m.get(local).expect("just made"), 0, name as u64);
                allocation(&mut page, &mut names, name, place, &steps);
            }

            page.heading("4. The next collection marks with another value");
            page.prose("p and the locals that hold G and H are roots now. A's first field is set to null: nothing leads to B any more.");
            m.store(m.get(p).expect("A"), 0, None);
            let steps = m.collect_recorded();
            marking(&mut page, &names, &steps);
            page.prose(
                "No mark was cleared before. B's bytes still hold 2, and what does not hold the last value is as free as if it held zero:",
            );
            let (place, steps) = make(m, d)?;
            allocation(&mut page, &mut names, 'I', place, &steps);

            page.heading("5. When the values run out");
            let mut collections = 0;
            let mut last = 0;
            let first = loop {
                collections += 1;
                let steps = m.collect_recorded();
                let Some(Step::Began { mark, .. }) = steps.first().copied() else {
                    break 0;
                };
                if mark < last {
                    break mark;
                }
                last = mark;
            };
            page.prose(&format!(
                "Values go up to 255. {collections} collections later, right after the one that marked with {last}, all mark bytes were zeroed, once, and the collection marked with {first}. A now \
                 bears {}.",
                m.mark(m.get(p).expect("A"))
            ));
            Ok(page)
        })
    })
}
