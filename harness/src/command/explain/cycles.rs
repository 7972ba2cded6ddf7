//! `harness explain cycles`: how the cycle collector tells garbage from what something outside
//! refers to.

use std::collections::BTreeMap;
use std::error::Error;

use gc_rc::{Heap, Place, Step};

use super::counting::{build, counts, reachable};
use super::{Page, number};

type Names = super::Names<Place>;

/// What a step is about, and what happens.
type Said = Option<(String, String)>;

/// Shows what a collection did.
fn narrate(page: &mut Page, names: &Names, steps: &[Step]) {
    // Whose counts have been added.
    let mut visited = Vec::new();
    for step in steps {
        if let Step::Counted { object, .. } = *step {
            visited.push(object);
        }
        let (what, words) = match *step {
            Step::Began { .. } | Step::OnePass { .. } | Step::Subtracting | Step::Searching => {
                continue;
            }
            step => one_pass(names, step)
                .or_else(|| subtraction(names, step, &visited))
                .or_else(|| search(names, step))
                .or_else(|| disposal(names, step))
                .unwrap_or_else(|| (String::new(), format!("{step:?}"))),
        };
        page.step(&what, &words);
    }
}

fn references(balance: i64) -> String {
    number(balance as u64, "reference", "references")
}

/// A step of the one pass that comes first.
fn one_pass(names: &Names, step: Step) -> Said {
    let (what, words) = match step {
        Step::Presumed { object, balance } => {
            let held = references(balance);
            let words = format!("not reached so far: presumed held from outside, by its {held}");
            return Some((names.at("visit", object), words));
        }
        Step::OnePassEnded { succeeded: true } => {
            let words = "every presumption has held: nothing is garbage";
            ("the end", words)
        }
        Step::OnePassEnded { succeeded: false } => (
            "given up",
            "no reference to it is left that could come from outside: something may be garbage",
        ),
        _ => return None,
    };
    Some((what.into(), words.into()))
}

/// A step of the subtraction, of which these objects' counts have been added.
fn subtraction(names: &Names, step: Step, visited: &[Place]) -> Said {
    match step {
        Step::Counted {
            object,
            count,
            balance,
        } => {
            let before = balance - i64::from(count);
            let words = format!("its count is added: {before} + {count} = {balance}");
            Some((names.at("visit", object), words))
        }
        Step::Subtracted { from, to, balance } => {
            let early = match visited {
                [_, ..] if !visited.contains(&to) => ", its count still to come",
                _ => "",
            };
            let (name, before) = (names.of(to), balance + 1);
            let words = format!("one is taken from {name}: {before} -> {balance}{early}");
            Some((names.edge(from, to), words))
        }
        _ => None,
    }
}

/// A step of the search for what is alive.
fn search(names: &Names, step: Step) -> Said {
    match step {
        Step::Passed { object } => {
            let words =
                "balance 0, and nothing is known to reach it: passed, for now as unreachable";
            Some((names.at("at", object), words.into()))
        }
        Step::Held { object, balance } => {
            let come = match balance {
                1 => "a reference comes".to_owned(),
                _ => format!("{} come", references(balance)),
            };
            let words = format!("balance {balance}: {come} from outside, so it is alive");
            Some((names.at("at", object), words))
        }
        Step::Scanned { object } => {
            let words = "the fields of what is alive are looked at";
            Some((names.at("scan", object), words.into()))
        }
        Step::Reached { from, to, back } => {
            let fate = match back {
                true => "alive, and was passed: it goes on a stack, to be scanned too",
                false => "reached, and needs no count",
            };
            let words = format!("{} is {fate}", names.of(to));
            Some((names.edge(from, to), words))
        }
        _ => None,
    }
}

/// A verdict, or what follows from it.
fn disposal(names: &Names, step: Step) -> Said {
    let (what, words) = match step {
        Step::Survived { object, generation } => (
            names.of(object).into(),
            format!("alive; in generation {generation} from now on"),
        ),
        Step::Unreachable { object } => {
            let words = "garbage: only garbage refers to it";
            (names.of(object).into(), words.into())
        }
        Step::Released {
            from: Some(from),
            to,
            count,
        } => {
            let (name, before) = (names.of(to), count + 1);
            let words = format!("the reference goes: the count of {name} is {before} -> {count}");
            (names.edge(from, to), words)
        }
        Step::Freed { object } => (
            names.at("free", object),
            "its cell can be used again".into(),
        ),
        Step::Ended {
            examined,
            unreachable,
        } => {
            let examined = number(examined, "object", "objects");
            let words = format!("{examined} examined, {unreachable} of them garbage");
            ("the end".into(), words)
        }
        _ => return None,
    };
    Some((what, words))
}

/// What the subtraction amounts to.
fn sum(names: &Names, steps: &[Step]) -> [(&'static str, String); 4] {
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
    let balances = balances
        .iter()
        .map(|(name, balance)| format!("{name} {balance}"));
    let left = match counts - within {
        1 => "one is".to_owned(),
        left => format!("{left} are"),
    };
    [
        ("balances", balances.collect::<Vec<_>>().join(", ")),
        ("counts", counts.to_string()),
        ("within", within.to_string()),
        ("left", left),
    ]
}

/// The steps before the first of a kind, and the rest.
fn split(steps: &[Step], is_first: impl Fn(&Step) -> bool) -> (&[Step], &[Step]) {
    steps.split_at(steps.iter().position(is_first).unwrap_or(steps.len()))
}

/// The step with which a collection begins its one pass, if it makes one.
fn one_pass_of(steps: &[Step]) -> Option<&Step> {
    steps
        .iter()
        .find(|step| matches!(step, Step::OnePass { .. }))
}

pub(super) fn page() -> Result<Page, Box<dyn Error>> {
    let heap = Heap::builder().limit(1 << 20).build()?;
    let mut page = Page::of(include_str!("cycles.md"));
    heap.attach(|m| {
        m.frame(|m, locals| {
            let names = build(m, locals, "A0B A1F B0A C0D D0E E0C E1B")?;
            page.go_on(&[]);
            let [p, rest @ ..] = locals;
            {
                let m = &*m;
                let objects: Vec<_> = locals.iter().filter_map(|&local| m.get(local)).collect();
                // The references outlast the locals, until the collection.
                rest.iter().for_each(|&local| m.set(local, None));
                counts(&mut page, m, &[("p", m.get(p))], &objects);
            }

            let steps = m.collect_recorded();
            let (one_pass, rest) = split(&steps, |step| matches!(step, Step::Subtracting));
            let (subtracting, rest) = split(rest, |step| matches!(step, Step::Searching));
            let (searching, rest) = split(rest, |step| {
                matches!(step, Step::Survived { .. } | Step::Unreachable { .. })
            });
            let (verdicts, disposal) = split(rest, |step| {
                matches!(step, Step::Released { .. } | Step::Freed { .. })
            });
            page.go_on(&[]);
            narrate(&mut page, &names, one_pass);
            page.go_on(&[]);
            narrate(&mut page, &names, subtracting);
            page.go_on(&sum(&names, subtracting));
            for steps in [searching, verdicts, disposal] {
                narrate(&mut page, &names, steps);
                page.go_on(&[]);
            }
            {
                let m = &*m;
                let roots = [("p", m.get(p))];
                counts(&mut page, m, &roots, &reachable(m, &roots));
            }

            let second = m.collect_recorded();
            let passes = match one_pass_of(&second) {
                Some(_) => "begins with the one pass again",
                None => "leaves it out",
            };
            let third = m.collect_recorded();
            let direction = match one_pass_of(&third) {
                Some(Step::OnePass { rising: true }) => {
                    "it tries again, now from low addresses to high ones, since the other way has \
                     failed"
                }
                Some(_) => "it tries again, from high addresses to low ones",
                None => "it still does",
            };
            page.go_on(&[("second", passes.into()), ("third", direction.into())]);
            narrate(&mut page, &names, &third);
            Ok(page)
        })
    })
}
