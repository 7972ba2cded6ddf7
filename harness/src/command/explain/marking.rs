//! `harness explain marking`: how mark-sweep finds what is alive, and uses the memory of what is
//! not.

use std::error::Error;

use gc_marksweep::{Generations, Heap, Local, Mutator, Place, Shape, Step};

use super::{Page, edges, enumeration, number};

type Names = super::Names<Place>;

/// Makes an object of two fields and one word, its letter; where, and by what steps.
fn make<'h>(
    m: &mut Mutator<'h>,
    into: Local<'_, 'h>,
    name: char,
) -> Result<(Place, Vec<Step>), gc_marksweep::HeapFull> {
    let steps = m.alloc_recorded(into, Shape::new(2, 1))?;
    let object = m.get(into).expect("just made");
    m.set_word(object, 0, name as u64);
    Ok((m.place(object), steps))
}

/// Shows the marking that a collection did.
fn marking(page: &mut Page, names: &Names, steps: &[Step]) {
    for step in steps {
        let (what, words) = match *step {
            Step::Began { .. } => ("stopped".into(), "all threads wait".into()),
            Step::Cleared { from, bytes } => (
                "clear".into(),
                format!(
                    "the marks of the block at {:#x}, where {bytes} bytes were live",
                    from.offset()
                ),
            ),
            Step::Pushed { from: None, to } => (
                "root".into(),
                format!("a local holds {}: onto the stack", names.of(to)),
            ),
            Step::Pushed {
                from: Some(from),
                to,
            } => (
                names.edge(from, to),
                format!("{} goes onto the stack", names.of(to)),
            ),
            Step::Marked { object, bytes } => (
                names.at("take", object),
                format!(
                    "not marked yet: the bits of its {} granules are set",
                    bytes / GRANULE
                ),
            ),
            Step::Met { object } => (
                names.at("take", object),
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
fn allocation(page: &mut Page, names: &Names, name: char, steps: &[Step]) {
    page.line(&format!("    m.alloc(...)    for {name}"));
    for step in steps {
        let words = match *step {
            Step::Swept { from, bytes, live } => {
                let (begin, end) = (from.offset(), from.offset() + bytes);
                // Who lies there, or did.
                let there: Vec<String> = (names.0.range(from..))
                    .take_while(|(place, _)| place.offset() < end)
                    .map(|(_, name)| name.to_string())
                    .collect();
                let there = match (&there[..], live) {
                    ([], true) => "live".to_owned(),
                    ([], false) => "free".to_owned(),
                    (there, true) => format!("live: {}", enumeration(there)),
                    (there, false) => format!("free: here {} lay", enumeration(there)),
                };
                let marked = if live { "marked" } else { "not marked" };
                format!("bytes {begin:#x} to {end:#x} are {marked}, {there}")
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
}

/// Bytes that have a bit of their own.
const GRANULE: usize = 8;

pub(super) fn page() -> Result<Page, Box<dyn Error>> {
    let heap = Heap::builder()
        .limit(1 << 20)
        .generations(Generations::Off)
        .marking_workers(1)
        .build()?;
    let mut page = Page::of(include_str!("marking.md"));
    let mut names = Names::new();
    heap.attach(|m| {
        m.frame(|m, locals| {
            let [p, b, c, d, _, _] = locals;
            page.go_on(&[]);
            let mut places = Vec::new();
            for (local, name) in locals.into_iter().zip('A'..) {
                let (place, steps) = make(m, local, name)?;
                match name {
                    'A' => allocation(&mut page, &names, name, &steps),
                    _ => places.push(format!("{name} at {:#x}", place.offset())),
                }
                names.give(place, name);
            }
            for (from, field, to) in edges("A0B A1D B0A B1D C0F F0C") {
                m.store(
                    m.get(locals[from]).expect("just made"),
                    field,
                    m.get(locals[to]),
                );
            }
            locals[1..].iter().for_each(|&local| m.set(local, None));

            page.go_on(&[("places", enumeration(&places))]);
            let steps = m.collect_recorded();
            marking(&mut page, &names, &steps);
            let times = |is_it: fn(&&Step) -> bool| steps.iter().filter(is_it).count() as u64;
            let marked = times(|step| matches!(step, Step::Marked { .. }));
            let met = times(|step| matches!(step, Step::Met { .. }));
            page.go_on(&[
                ("marked", number(marked, "object was", "objects were")),
                ("met", number(met, "edge", "edges")),
            ]);
            for (local, name) in [(b, 'G'), (c, 'H')] {
                let (place, steps) = make(m, local, name)?;
                allocation(&mut page, &names, name, &steps);
                names.give(place, name);
            }

            page.go_on(&[]);
            m.store(m.get(p).expect("A"), 0, None);
            let steps = m.collect_recorded();
            marking(&mut page, &names, &steps);
            page.go_on(&[]);
            let (_, steps) = make(m, d, 'I')?;
            allocation(&mut page, &names, 'I', &steps);
            Ok(page)
        })
    })
}
