//! `harness explain counting`: what counts do, and what they cannot.

use std::error::Error;

use gc_rc::{Cycle, Heap, HeapFull, Local, Mutator, Place, Ref, Shape, Step};

use super::{Page, edges, enumeration, number};

type Names = super::Names<Place>;

/// A local by its name, and what it holds.
type Root<'m, 'h> = (&'static str, Option<Ref<'m, 'h>>);

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
pub(super) fn reachable<'m, 'h>(m: &'m Mutator<'h>, roots: &[Root<'m, 'h>]) -> Vec<Ref<'m, 'h>> {
    let mut found: Vec<Ref<'m, 'h>> = Vec::new();
    let mut waiting: Vec<Ref<'m, 'h>> = roots.iter().filter_map(|(_, root)| *root).collect();
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
    roots: &[Root<'m, 'h>],
    objects: &[Ref<'m, 'h>],
) {
    for &object in objects {
        let roots = roots.iter().filter(|(_, root)| *root == Some(object));
        let mut holders: Vec<String> = roots.map(|(name, _)| (*name).to_owned()).collect();
        for &other in objects {
            let edges = targets(m, other)
                .into_iter()
                .filter(|target| *target == object);
            holders.extend(edges.map(|_| letter(m, other).to_string()));
        }
        page.step(
            &format!("{} {}", letter(m, object), m.count(object)),
            &format!("referred to by {}", enumeration(&holders)),
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

/// Empties a local, and shows what comes of it.
fn emptying<'h>(
    page: &mut Page,
    m: &mut Mutator<'h>,
    names: &Names,
    (name, local): (&'static str, Local<'_, 'h>),
) {
    {
        let m = &*m;
        let objects = reachable(m, &[(name, m.get(local))]);
        let code = format!("m.set({name}, None)");
        changing(page, m, names, &objects, &code, || m.set(local, None));
    }
    drain(page, m, names);
}

/// Carries out what is due, and shows its steps.
fn drain(page: &mut Page, m: &mut Mutator<'_>, names: &Names) {
    page.line("    m.safepoint()");
    let steps = m.safepoint_recorded();
    if steps.is_empty() {
        page.step("", "nothing to do");
    }
    for step in steps {
        let words = match step {
            Step::Drained { object, count } => {
                let object = names.of(object);
                let fate = if count == 0 { "dies" } else { "stays" };
                format!("{object} comes off the pending list with count {count}: it {fate}")
            }
            Step::Released {
                from: Some(from),
                to,
                count,
            } => {
                let (from, to, before) = (names.of(from), names.of(to), count + 1);
                let fate = if count == 0 {
                    ": it dies in its turn"
                } else {
                    ""
                };
                format!("{from} no longer refers to {to}: {before} -> {count}{fate}")
            }
            Step::Freed { object } => format!("{} is freed", names.of(object)),
            other => format!("{other:?}"),
        };
        page.step("", &words);
    }
}

/// Makes objects of two fields and one word, which is their letter, and references between them.
pub(super) fn build<'h>(
    m: &mut Mutator<'h>,
    locals: [Local<'_, 'h>; 6],
    graph: &str,
) -> Result<Names, HeapFull> {
    let mut names = Names::new();
    for (local, name) in locals.into_iter().zip('A'..) {
        m.alloc(local, Shape::new(2, 1))?;
        let object = m.get(local).expect("just made");
        m.set_word(object, 0, name as u64);
        names.give(m.place(object), name);
    }
    for (from, field, to) in edges(graph) {
        m.store(
            m.get(locals[from]).expect("just made"),
            field,
            m.get(locals[to]),
        );
    }
    Ok(names)
}

/// Makes one more object, and shows where it lies.
fn reuse<'h>(
    page: &mut Page,
    m: &mut Mutator<'h>,
    names: &mut Names,
    made: Local<'_, 'h>,
) -> Result<(), HeapFull> {
    m.alloc(made, Shape::new(2, 1))?;
    let place = m.place(m.get(made).expect("just made"));
    page.line("    m.alloc(...)");
    let words = match names.give(place, 'G') {
        Some(before) => format!(
            "the new object, G, lies where {before} lay: the cell that was freed last is used \
             first, while it is in the cache"
        ),
        None => "the new object, G, lies in a cell that was not used before".into(),
    };
    page.step("", &words);
    Ok(())
}

pub(super) fn page() -> Result<Page, Box<dyn Error>> {
    // Without a cycle collector: what is left is left by counting.
    let heap = Heap::builder().limit(1 << 20).cycle(Cycle::None).build()?;
    let mut page = Page::of(include_str!("counting.md"));
    heap.attach(|m| {
        m.frame(|m, [p, q, made]| {
            let mut names = m.frame(|m, objects| {
                let names = build(m, objects, "A0B A1D B0C E0F E1D F0E")?;
                let [a, .., e, _] = objects;
                m.set(p, m.get(a));
                m.set(q, m.get(e));
                Ok::<_, HeapFull>(names)
            })?;
            m.safepoint();

            page.go_on(&[]);
            {
                let m = &*m;
                let roots = [("p", m.get(p)), ("q", m.get(q))];
                let objects = reachable(m, &roots);
                counts(&mut page, m, &roots, &objects);

                page.go_on(&[]);
                // In the order of their letters.
                let (a, b) = (objects[0], objects[1]);
                let code = "m.store(A, 0, None)";
                changing(&mut page, m, &names, &objects, code, || m.store(a, 0, None));
                page.go_on(&[]);
                let code = "m.store(A, 0, B)";
                changing(&mut page, m, &names, &objects, code, || {
                    m.store(a, 0, Some(b))
                });
            }
            drain(&mut page, m, &names);

            page.go_on(&[]);
            emptying(&mut page, m, &names, ("p", p));
            page.go_on(&[]);
            reuse(&mut page, m, &mut names, made)?;

            page.go_on(&[]);
            emptying(&mut page, m, &names, ("q", q));
            let statistics = heap.statistics();
            let left = statistics.allocated_objects - statistics.freed_objects;
            let in_words = |objects| number(objects, "", "").trim_end().to_owned();
            let freed = in_words(statistics.freed_objects);
            page.go_on(&[("freed", freed), ("left", in_words(left))]);
            // A collection would be the way out, if there were a collector.
            debug_assert!(m.collect_recorded().is_empty());
            Ok(page)
        })
    })
}
