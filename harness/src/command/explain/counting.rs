//! `harness explain counting`: what counts do, and what they cannot.

use std::error::Error;

use gc_rc::{Cycle, Heap, Mutator, Place, Ref, Shape, Step};

use super::{Page, number};

type Names = super::Names<Place>;

const GRAPH: &str = "
      p --> A --> B --> C
            |
            v
            D
            ^
            |
      q --> E <--> F
";

/// The object's letter, which is its word.
fn letter<'m, 'h>(m: &'m Mutator<'h>, object: Ref<'m, 'h>) -> char {
    char::from(m.word(object, 0) as u8)
}

/// What an object refers to, field by field.
pub(super) fn targets<'m, 'h>(m: &'m Mutator<'h>, object: Ref<'m, 'h>) -> Vec<Ref<'m, 'h>> {
    (0..m.shape(object).refs as usize)
        .filter_map(|field| m.load(object, field))
        .collect()
}

/// All objects that the roots reach, by their letters.
pub(super) fn reachable<'m, 'h>(
    m: &'m Mutator<'h>,
    roots: &[Option<Ref<'m, 'h>>],
) -> Vec<Ref<'m, 'h>> {
    let mut found: Vec<Ref<'m, 'h>> = Vec::new();
    let mut waiting: Vec<Ref<'m, 'h>> = roots.iter().flatten().copied().collect();
    while let Some(object) = waiting.pop() {
        if !found.contains(&object) {
            found.push(object);
            waiting.extend(targets(m, object));
        }
    }
    found.sort_by_key(|&object| m.word(object, 0));
    found
}

/// A line for each object: its count, and from where it is referred to.
pub(super) fn counts<'m, 'h>(
    page: &mut Page,
    m: &'m Mutator<'h>,
    roots: &[(&str, Option<Ref<'m, 'h>>)],
    objects: &[Ref<'m, 'h>],
) {
    for &object in objects {
        let mut holders: Vec<String> = (roots.iter())
            .filter(|(_, root)| *root == Some(object))
            .map(|(name, _)| (*name).to_owned())
            .collect();
        for &other in objects {
            let edges = targets(m, other)
                .iter()
                .filter(|&&target| target == object)
                .count();
            holders.extend((0..edges).map(|_| letter(m, other).to_string()));
        }
        page.step(
            &format!("{} {}", letter(m, object), m.count(object)),
            &format!("referred to by {}", super::enumeration(&holders)),
        );
    }
}

/// Does something that cannot free anything, and shows whose count it has changed.
fn changing<'m, 'h>(
    page: &mut Page,
    m: &'m Mutator<'h>,
    names: &Names,
    objects: &[Ref<'m, 'h>],
    code: &str,
    change: impl FnOnce(),
) {
    let before: Vec<u32> = objects.iter().map(|&object| m.count(object)).collect();
    change();
    page.line(&format!("    {code}"));
    for (&object, before) in objects.iter().zip(before) {
        let after = m.count(object);
        if after != before {
            page.step("", &format!("{}: {before} -> {after}", letter(m, object)));
        }
    }
    page.step("", &format!("pending: {}", names.list(m.pending())));
}

/// Shows the steps of a drain.
fn drain(page: &mut Page, names: &Names, steps: &[Step]) {
    page.line("    m.safepoint()");
    if steps.is_empty() {
        page.step("", "nothing to do");
    }
    for step in steps {
        let words = match *step {
            Step::Drained { object, count: 0 } => {
                format!(
                    "{} comes off the pending list with count 0: it dies",
                    names.of(object)
                )
            }
            Step::Drained { object, count } => {
                format!(
                    "{} comes off the pending list with count {count}: it stays",
                    names.of(object)
                )
            }
            Step::Released {
                from: Some(from),
                to,
                count,
            } => {
                let fate = match count {
                    0 => ": it dies in its turn",
                    _ => "",
                };
                format!(
                    "{} no longer refers to {}: {} -> {count}{fate}",
                    names.of(from),
                    names.of(to),
                    count + 1
                )
            }
            Step::Freed { object } => format!("{} is freed", names.of(object)),
            other => format!("{other:?}"),
        };
        page.step("", &words);
    }
}

pub(super) fn page() -> Result<Page, Box<dyn Error>> {
    // Without a cycle collector: what is left is left by counting.
    let heap = Heap::builder().limit(1 << 20).cycle(Cycle::None).build()?;
    let mut page = Page::default();
    let mut names = Names::new();
    heap.attach(|m| {
        m.frame(|m, [p, q, made]| {
            page.line("Counting: six objects in gc-rc, its cycle collector turned off");
            page.drawing(GRAPH);
            page.prose(
                "p and q are locals of a frame. Each object has two fields and its name. A count is the number of locals and \
                 fields that refer to the object; it lies in the header, and a store changes it, under the global lock, by plain additions, as in CPython.",
            );

            // From the leaves to the roots, as each object is given its fields when it is made.
            m.frame(|m, [a, b, c, d, e, f]| {
                for (local, name) in [(a, 'A'), (b, 'B'), (c, 'C'), (d, 'D'), (e, 'E'), (f, 'F')] {
                    m.alloc(local, Shape::new(2, 1))?;
                    let object = m.get(local).expect("just made");
                    m.set_word(object, 0, name as u64);
                    names.give(m.place(object), name);
                }
                for (from, field, to) in [(a, 0, b), (a, 1, d), (b, 0, c), (e, 0, f), (e, 1, d), (f, 0, e)] {
                    m.store(m.get(from).expect("made above"), field, m.get(to));
                }
                m.set(p, m.get(a));
                m.set(q, m.get(e));
                Ok::<(), gc_rc::HeapFull>(())
            })?;
            m.safepoint();

            page.heading("1. The counts");
            {
                let m = &*m;
                let objects = reachable(m, &[m.get(p), m.get(q)]);
                counts(&mut page, m, &[("p", m.get(p)), ("q", m.get(q))], &objects);

                page.heading("2. A count of zero does not free at once");
                let at = |name| objects.iter().copied().find(|&object| letter(m, object) == name);
                let (a, b) = (at('A').expect("reachable"), at('B'));
                changing(&mut page, m, &names, &objects, "m.store(A, 0, None)", || m.store(a, 0, None));
                page.prose(
                    "B's count is zero, and B is put on the pending list, its fields untouched: the thread may still be reading it. Only the next operation on \
                     `&mut Mutator`, before which every such reading is over, looks at the list. Until then a reference can come back:",
                );
                changing(&mut page, m, &names, &objects, "m.store(A, 0, B)", || m.store(a, 0, b));
            }
            let steps = m.safepoint_recorded();
            drain(&mut page, &names, &steps);

            page.heading("3. A death, and what dies of it");
            {
                let m = &*m;
                let objects = reachable(m, &[m.get(p), m.get(q)]);
                changing(&mut page, m, &names, &objects, "m.set(p, None)", || m.set(p, None));
            }
            let steps = m.safepoint_recorded();
            drain(&mut page, &names, &steps);
            page.prose(
                "A dying object gives up its fields from the last to the first, and what dies of that is pushed on a chain through the dead objects' own headers: so \
                 what the first field kept dies first, as in CPython, and no depth of structure needs a deep stack. D lives, because E refers to it.",
            );

            m.alloc(made, Shape::new(2, 1))?;
            let place = m.place(m.get(made).expect("just made"));
            page.line("    m.alloc(...)");
            let words = match names.give(place, 'G') {
                Some(before) => format!("the new object, G, lies where {before} lay: the cell that was freed last is used first, while it is in the cache"),
                None => "the new object, G, lies in a cell that was not used before".into(),
            };
            page.step("", &words);

            page.heading("4. What counting cannot do");
            {
                let m = &*m;
                let objects = reachable(m, &[m.get(q)]);
                changing(&mut page, m, &names, &objects, "m.set(q, None)", || m.set(q, None));
            }
            let steps = m.safepoint_recorded();
            drain(&mut page, &names, &steps);
            let statistics = heap.statistics();
            let left = statistics.allocated_objects - statistics.freed_objects;
            page.prose(&format!(
                "No local leads to E any more, but F does, and E to F: their counts never reach zero, and D's does not as long as E refers to it. Of the seven objects that \
                 were made the heap has freed {}, and {} are left: G, and the three that nobody can reach. They stay for as long as the heap does. \
                 `harness explain cycles` shows what finds them.",
                number(statistics.freed_objects, "", "").trim_end(),
                number(left, "", "").trim_end(),
            ));
            // A collection would be the way out, if there were a collector.
            debug_assert!(m.collect_recorded().is_empty());
            Ok(page)
        })
    })
}
