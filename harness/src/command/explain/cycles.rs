//! `harness explain cycles`: how the cycle collector tells garbage from what something outside
//! refers to.

use std::collections::BTreeMap;
use std::error::Error;

use gc_rc::{Heap, Place, Shape, Step};

use super::counting::counts;
use super::{Page, number};

type Names = super::Names<Place>;

const GRAPH: &str = "
      p --> A <--> B <--- E --> C
            |             ^     |
            v             |     v
            F             +---- D
";

/// Shows what a collection did.
fn narrate(page: &mut Page, names: &Names, steps: &[Step]) {
    // What the numbers are after which they come.
    let mut visited = Vec::new();
    for step in steps {
        let (what, words) = match *step {
            Step::Began { .. } | Step::OnePass { .. } | Step::Subtracting | Step::Searching => {
                continue;
            }
            Step::Presumed { object, balance } => (
                format!("visit {}", names.of(object)),
                format!(
                    "not reached so far: presumed held from outside, by {}",
                    match balance {
                        1 => "its one reference".to_owned(),
                        _ => format!("its {}", number(balance as u64, "reference", "references")),
                    }
                ),
            ),
            Step::OnePassEnded { succeeded: true } => (
                "the end".into(),
                "every presumption has held: nothing is garbage".into(),
            ),
            Step::OnePassEnded { succeeded: false } => (
                "given up".into(),
                "no reference to it is left that could come from outside: something may be garbage"
                    .into(),
            ),
            Step::Counted {
                object,
                count,
                balance,
            } => {
                visited.push(object);
                let before = balance - i64::from(count);
                (
                    format!("visit {}", names.of(object)),
                    format!("its count is added: {before} + {count} = {balance}"),
                )
            }
            Step::Subtracted { from, to, balance } => {
                let early = if visited.is_empty() || visited.contains(&to) {
                    ""
                } else {
                    ", its count still to come"
                };
                (
                    format!("  {} -> {}", names.of(from), names.of(to)),
                    format!(
                        "one is taken from {}: {} -> {balance}{early}",
                        names.of(to),
                        balance + 1
                    ),
                )
            }
            Step::Passed { object } => (
                format!("at {}", names.of(object)),
                "balance 0, and nothing is known to reach it: passed, for now as unreachable"
                    .into(),
            ),
            Step::Held { object, balance } => (
                format!("at {}", names.of(object)),
                format!(
                    "balance {balance}: {} from outside, so it is alive",
                    match balance {
                        1 => "a reference comes".to_owned(),
                        _ => format!("{} come", number(balance as u64, "reference", "references")),
                    }
                ),
            ),
            Step::Scanned { object } => (
                format!("scan {}", names.of(object)),
                "the fields of what is alive are looked at".into(),
            ),
            Step::Reached { from, to, back } => (
                format!("  {} -> {}", names.of(from), names.of(to)),
                match back {
                    true => format!(
                        "{} is alive, and was passed: it goes on a stack, to be scanned too",
                        names.of(to)
                    ),
                    false => format!("{} is reached, and needs no count", names.of(to)),
                },
            ),
            Step::Survived { object, generation } => (
                names.of(object).to_string(),
                format!("alive; in generation {generation} from now on"),
            ),
            Step::Unreachable { object } => (
                names.of(object).to_string(),
                "garbage: only garbage refers to it".into(),
            ),
            Step::Released {
                from: Some(from),
                to,
                count,
            } => (
                format!("  {} -> {}", names.of(from), names.of(to)),
                format!(
                    "the reference goes: the count of {} is {} -> {count}",
                    names.of(to),
                    count + 1
                ),
            ),
            Step::Freed { object } => (
                format!("free {}", names.of(object)),
                "its cell can be used again".into(),
            ),
            Step::Ended {
                examined,
                unreachable,
            } => (
                "the end".into(),
                format!(
                    "{} examined, {unreachable} of them garbage",
                    number(examined, "object", "objects")
                ),
            ),
            other => (String::new(), format!("{other:?}")),
        };
        page.step(&what, &words);
    }
}

/// What the subtraction amounts to.
fn sum(names: &Names, steps: &[Step]) -> String {
    let (mut counts, mut within) = (0, 0);
    let mut balances = BTreeMap::new();
    for step in steps {
        match *step {
            Step::Counted {
                object,
                count,
                balance,
            } => {
                counts += u64::from(count);
                balances.insert(names.of(object), balance);
            }
            Step::Subtracted { to, balance, .. } => {
                within += 1;
                balances.insert(names.of(to), balance);
            }
            _ => {}
        }
    }
    let balances: Vec<String> = balances
        .iter()
        .map(|(name, balance)| format!("{name} {balance}"))
        .collect();
    format!(
        "The balances: {}. The counts add up to {counts}, and {within} references were taken away: {} left.",
        balances.join(", "),
        match counts - within {
            1 => "one is".to_owned(),
            left => format!("{left} are"),
        }
    )
}

/// The steps before the first of a kind, and the rest.
fn split(steps: &[Step], is_first: impl Fn(&Step) -> bool) -> (&[Step], &[Step]) {
    steps.split_at(steps.iter().position(is_first).unwrap_or(steps.len()))
}

pub(super) fn page() -> Result<Page, Box<dyn Error>> {
    let heap = Heap::builder().limit(1 << 20).build()?;
    let mut page = Page::default();
    let mut names = Names::new();
    heap.attach(|m| {
        m.frame(|m, [p, b, c, d, e, f]| {
            page.line("Cycles: six objects in gc-rc, and its generational collector");
            page.drawing(GRAPH);
            page.prose(
                "p is a local. A and B are a cycle that p holds; C, D and E are one that nothing outside leads to. Counts alone free neither.",
            );

            for (local, name) in [(p, 'A'), (b, 'B'), (c, 'C'), (d, 'D'), (e, 'E'), (f, 'F')] {
                m.alloc(local, Shape::new(2, 1))?;
                let object = m.get(local).expect("just made");
                m.set_word(object, 0, name as u64);
                names.give(m.place(object), name);
            }
            for (from, field, to) in [(p, 0, b), (p, 1, f), (b, 0, p), (c, 0, d), (d, 0, e), (e, 0, c), (e, 1, b)] {
                m.store(m.get(from).expect("made above"), field, m.get(to));
            }

            page.heading("1. The counts");
            {
                let m = &*m;
                let objects: Vec<_> = [p, b, c, d, e, f].iter().filter_map(|&local| m.get(local)).collect();
                // The references outlast the locals, until the collection.
                for local in [b, c, d, e, f] {
 m.set(local, None);
}
                counts(&mut page, m, &[("p", m.get(p))], &objects);
            }
            page.prose(
                "The collector looks for no roots. Where an object has more references than come from the objects under examination, something outside refers to it: \
                 it is alive, and so is what it leads to. All else is garbage. Here every generation is examined, that is every object.",
            );

            let steps = m.collect_recorded();
            let (one_pass, rest) = split(&steps, |step| matches!(step, Step::Subtracting));
            let (subtracting, rest) = split(rest, |step| matches!(step, Step::Searching));
            let (searching, rest) = split(rest, |step| matches!(step, Step::Survived { .. } | Step::Unreachable { .. }));
            let (verdicts, disposal) = split(rest, |step| matches!(step, Step::Released { .. } | Step::Freed { .. }));

            page.heading("2. One pass, in case nothing is garbage");
            page.prose(
                "Most collections find nothing, and one pass can show that there is nothing to find. It visits each object once, from high addresses to low ones, which is here from the last \
                 made to the first. What an object refers to is reached by that. An object that nothing has reached when its turn comes is presumed to be \
                 referred to from outside only, and each reference to it that turns up later takes one away from that.",
            );
            narrate(&mut page, &names, one_pass);

            page.heading("3. The first of two passes: subtract");
            page.prose(
                "In a byte beside each object the collector adds the object's count, and takes away one for each reference from an object under examination; the counts themselves stay as they are. \
                 CPython copies all counts first and subtracts then; here both are done on the way, so that a balance can be below zero until its object's turn comes.",
            );
            narrate(&mut page, &names, subtracting);
            page.prose(&sum(&names, subtracting));

            page.heading("4. The second pass: search");
            page.prose("Again from the last to the first. A balance above zero is a reference from outside.");
            narrate(&mut page, &names, searching);

            page.heading("5. The verdicts");
            narrate(&mut page, &names, verdicts);

            page.heading("6. What is garbage is freed");
            page.prose("References among the dead need no counting any more; those to the living are released.");
            narrate(&mut page, &names, disposal);
            {
                let m = &*m;
                let objects = super::counting::reachable(m, &[m.get(p)]);
                page.prose("The counts of those that are left:");
                counts(&mut page, m, &[("p", m.get(p))], &objects);
            }

            page.heading("7. When nothing is garbage");
            let second = m.collect_recorded();
            let passes = if second.iter().any(|step| matches!(step, Step::OnePass { .. })) { "begins with the one pass again" } else { "leaves it out" };
            let third = m.collect_recorded();
            let direction = match third.iter().find(|step| matches!(step, Step::OnePass { .. })) {
                Some(Step::OnePass { rising: true }) => "it tries again, now from low addresses to high ones, since the other way has failed",
                Some(_) => "it tries again, from high addresses to low ones",
                None => "it still does",
            };
            page.prose(&format!("After a pass in vain the next collection {passes}. In the one after that {direction}:"));
            narrate(&mut page, &names, &third);
            Ok(page)
        })
    })
}
