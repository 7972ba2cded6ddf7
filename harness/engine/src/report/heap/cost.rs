//! What a graph costs on each heap, from the rows: figures, their ratios, and why they differ.

use std::fmt::Write as _;

use graph::Shape;

use super::counted;
use super::facts::share;
use crate::invocation::{Metrics, format_bytes};
use crate::report::plot::Unit;
use crate::report::quantity::{format_ratio, format_time};
use crate::results::{CellResults, Group, Metric, Results};
use crate::statistics::{Estimate, Verdict, means, median, range};

/// What is measured of each heap.
pub(super) struct Quantity {
    /// What it is called.
    pub(super) name: &'static str,
    pub(super) value: Metric,
    /// Bytes, or nanoseconds.
    pub(super) unit: Unit,
    /// Whether it is also told for each object.
    pub(super) each: bool,
    /// What it is, in a sentence.
    pub(super) see: &'static str,
}

/// Beneath all figures on a terminal.
pub(super) const LEGEND: &str = "Medians over cold processes, in parentheses the least and the most. Ratios: of the rounds in \
     which both ran, with a 95 % interval. A collection finds nothing to free: mark-sweep marks \
     all that lives in it; counting examines what stores may have made part of a cycle, which \
     after the first may be little.";

fn seen(metrics: &Metrics, name: &str) -> Option<f64> {
    metrics.observations.get(name).map(|&value| value as f64)
}

/// The longest time for which the program stood still: explicit collections are no pauses of the
/// row's, but they stop it as any other does.
fn longest_stop(metrics: &Metrics) -> Option<f64> {
    const ASKED_FOR: [&str; 4] = [
        "first_collection_ns",
        "longest_collection_ns",
        "drop_ns",
        "last_collection_ns",
    ];
    let stops = ASKED_FOR.into_iter().filter_map(|name| seen(metrics, name));
    let pause = metrics.pauses.pause_max_ns.map(|time| time as f64);
    stops.chain(pause).reduce(f64::max)
}

/// What is told of heaps that free all only.
const DEATH: &str = "death of all";
const FIRST: &str = "first collection";
const LATER: &str = "collection";

pub(super) const QUANTITIES: [Quantity; 7] = [
    Quantity {
        name: "memory",
        value: |metrics| seen(metrics, "heap_bytes"),
        unit: Unit::Bytes,
        each: true,
        see: "What the heap counts against its limit after the first collection: fields and \
              payload, headers, rounding, tables, and blocks that are not full.",
    },
    Quantity {
        name: "build",
        value: |metrics| seen(metrics, "build_ns"),
        unit: Unit::Time,
        each: true,
        see: "Making all objects and storing their references, with what collections that takes.",
    },
    Quantity {
        name: FIRST,
        value: |metrics| seen(metrics, "first_collection_ns"),
        unit: Unit::Time,
        each: true,
        see: "The first explicit collection of all of it: mark-sweep marks every object; counting \
              searches for cycles wherever one may be. Nothing is garbage.",
    },
    Quantity {
        name: LATER,
        value: |metrics| seen(metrics, "collection_ns"),
        unit: Unit::Time,
        each: true,
        see: "The median of three more: mark-sweep marks every object again; counting examines \
              what stores may have made part of a cycle since, which may be little.",
    },
    Quantity {
        name: "replacing",
        value: |metrics| seen(metrics, "replace_ns"),
        unit: Unit::Time,
        each: false,
        see: "A share of the objects replaced by copies. This is made up: a dump has no lifetimes.",
    },
    Quantity {
        name: DEATH,
        value: |metrics| Some(seen(metrics, "drop_ns")? + seen(metrics, "last_collection_ns")?),
        unit: Unit::Time,
        each: true,
        see: "The last reference goes, what a heap frees at once is freed, and a collection finds \
              the rest.",
    },
    Quantity {
        name: "longest stop",
        value: longest_stop,
        unit: Unit::Time,
        each: false,
        see: "The longest time for which the program stood still: a collection, asked for or not, \
              or the death of much at once.",
    },
];

/// The median of a quantity of a heap.
fn middle(cell: &CellResults, value: Metric) -> Option<f64> {
    median(&means(&cell.samples(value)))
}

/// How many objects a heap was given.
pub(super) fn objects(cell: &CellResults) -> Option<f64> {
    middle(cell, |metrics| seen(metrics, "objects")).filter(|&objects| objects > 0.0)
}

/// The value of an option of a heap.
fn option<'c>(cell: &'c CellResults, name: &str) -> Option<&'c str> {
    cell.invocation().options.get(name).map(String::as_str)
}

/// Whether a heap keeps what is dead, or what of it lies on cycles.
fn keeps_garbage(cell: &CellResults) -> bool {
    cell.invocation().heap == "arena" || option(cell, "cycle") == Some("none")
}

/// One quantity of one heap.
pub(super) struct Line {
    pub(super) name: &'static str,
    pub(super) words: String,
    /// To the baseline; empty for that itself, and where one of the two has no figures.
    pub(super) ratio: String,
}

pub(super) fn lines(results: &Results, group: &Group<'_>, cell: &CellResults) -> Vec<Line> {
    let lines = QUANTITIES.iter().filter_map(|quantity| {
        let words = words_of(quantity, cell)?;
        let ratio = ratio(results, group, cell, quantity).map(|ratio| {
            let baseline = group.baseline().heap_label();
            format!("{} of {baseline}", written(ratio))
        });
        Some(Line {
            name: quantity.name,
            words,
            ratio: ratio.unwrap_or_default(),
        })
    });
    lines.collect()
}

fn ratio(
    results: &Results,
    group: &Group<'_>,
    cell: &CellResults,
    quantity: &Quantity,
) -> Option<Estimate> {
    // What frees less than the other is not quicker at it.
    if quantity.name == DEATH && (keeps_garbage(cell) || keeps_garbage(group.baseline())) {
        return None;
    }
    let centre = group.centre(cell, quantity.value)?;
    Some(results.inference(quantity.value).ratio(&centre))
}

/// A ratio with its interval.
pub(super) fn written(ratio: Estimate) -> String {
    match ratio.value {
        value if value < 0.005 => "less than 0.01".to_owned(),
        _ => format_ratio(ratio),
    }
}

fn words_of(quantity: &Quantity, cell: &CellResults) -> Option<String> {
    let values = means(&cell.samples(quantity.value));
    let middle = median(&values)?;
    let (least, most) = range(values.iter().copied())?;
    let is_bytes = quantity.unit == Unit::Bytes;
    let written = |value: f64| match is_bytes {
        true => format_bytes(value as u64),
        false => format_time(value),
    };
    let mut text = format!("{} ({}-{})", written(middle), written(least), written(most));
    if let Some(objects) = objects(cell).filter(|_| quantity.each) {
        let unit = if is_bytes { "bytes" } else { "ns" };
        let _ = write!(text, ", {:.1} {unit} an object", middle / objects);
    }
    if quantity.name == DEATH && keeps_garbage(cell) {
        text.push_str("; not all is freed");
    }
    Some(text)
}

/// How many processes have figures.
pub(super) fn processes(cell: &CellResults) -> usize {
    cell.times().len()
}

/// What a graph costs, for a terminal.
pub(super) fn text(results: &Results, group: &Group<'_>) -> String {
    let mut text = format!("\n{}\n", group.baseline().workload_label());
    for cell in &group.cells {
        let n = processes(cell);
        let n = counted(n as u64, "process");
        let _ = writeln!(text, "  {} (n = {n})", cell.heap_label());
        if let Some(row) = cell.failure() {
            let why = row.message.as_deref().unwrap_or("no figures");
            let _ = writeln!(text, "    {}: {why}", row.status);
        }
        for Line { name, words, ratio } in lines(results, group, cell) {
            let line = format!("    {name:<18}{words:<48}  {ratio}");
            let _ = writeln!(text, "{}", line.trim_end());
        }
    }
    text
}

/// Where the heaps differ, of what each one's figures consist, and why they differ: what follows
/// from how they work, with the figures of this graph, and only for what the intervals show.
pub(super) fn sentences(
    results: &Results,
    group: &Group<'_>,
    shape: Option<&Shape>,
) -> Vec<String> {
    let baseline = group.baseline().heap_label();
    let mut sentences = Vec::new();
    for cell in &group.cells {
        let ratios = QUANTITIES
            .iter()
            .filter_map(|quantity| Some((quantity.name, ratio(results, group, cell, quantity)?)));
        let ratios: Vec<_> = ratios.collect();
        if !ratios.is_empty() {
            let heap = cell.heap_label();
            sentences.push(format!("{heap} against {baseline}: {}.", sorted(&ratios)));
        }
    }
    for cell in &group.cells {
        if let Some(words) = parts(cell, shape) {
            sentences.push(format!("{}: {words}.", cell.heap_label()));
        }
    }
    for cell in &group.cells {
        sentences.extend(reasons(results, group, cell, shape));
    }
    sentences
}

/// What a ratio shows.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shown {
    Less,
    More,
    Same,
    Nothing,
}

impl Shown {
    const ALL: [(Self, &str); 4] = [
        (Self::Less, "less"),
        (Self::More, "more"),
        (Self::Same, "the same within 5 %"),
        (Self::Nothing, "not decided"),
    ];

    fn of(ratio: Estimate) -> Self {
        match Verdict::of(ratio) {
            Verdict::Equal | Verdict::SlightlyFaster | Verdict::SlightlySlower => Self::Same,
            verdict if verdict.is_faster() => Self::Less,
            verdict if verdict.is_slower() => Self::More,
            _ => Self::Nothing,
        }
    }
}

/// Ratios in a sentence: of what it takes less, of what more, and where neither is shown.
pub(super) fn sorted(ratios: &[(&str, Estimate)]) -> String {
    let parts = Shown::ALL.into_iter().filter_map(|(shown, words)| {
        let such = (ratios.iter()).filter(|(_, ratio)| Shown::of(*ratio) == shown);
        let named = such.map(|(name, ratio)| format!("{name} {}", written(*ratio)));
        let named: Vec<String> = named.collect();
        (!named.is_empty()).then(|| format!("{words}: {}", named.join(", ")))
    });
    parts.collect::<Vec<_>>().join("; ")
}

/// Why tracing takes less or more than counting, where one of the two is the baseline. Nothing is
/// said of what is not shown, nor of what is shown the other way round: that has other reasons,
/// which are not known here.
fn reasons(
    results: &Results,
    group: &Group<'_>,
    cell: &CellResults,
    shape: Option<&Shape>,
) -> Vec<String> {
    let baseline = group.baseline();
    let kinds = [cell, baseline].map(|cell| cell.invocation().heap.as_str());
    let (tracing, counting) = match kinds {
        ["gc-marksweep", "gc-rc"] => (cell, baseline),
        ["gc-rc", "gc-marksweep"] => (baseline, cell),
        _ => return Vec::new(),
    };
    let shown = |name: &str| {
        let quantity = (QUANTITIES.iter()).find(|quantity| quantity.name == name);
        let ratio = quantity.and_then(|quantity| ratio(results, group, cell, quantity));
        match ratio.map_or(Shown::Nothing, Shown::of) {
            Shown::Less if std::ptr::eq(cell, counting) => Shown::More,
            Shown::More if std::ptr::eq(cell, counting) => Shown::Less,
            shown => shown,
        }
    };
    let [of, than] = [tracing, counting].map(CellResults::heap_label);
    let mut sentences = Vec::new();
    if shown(DEATH) == Shown::Less {
        sentences.push(format!(
            "{of} takes less than {than} for the {DEATH}: nothing is done for what dies; the \
             collection that finds all dead marks nothing, and memory is swept when it is used \
             again."
        ));
    }
    let longer = [FIRST, LATER].into_iter();
    let longer: Vec<&str> = longer.filter(|name| shown(name) == Shown::More).collect();
    if !longer.is_empty() {
        let mut why = Vec::new();
        if option(counting, "cycle") == Some("none") {
            why.push(format!("{than} looks for no cycles"));
        }
        why.extend(shape.map(|shape| {
            format!(
                "marking takes at least {} one after another, however many markers there are, as \
                 the farthest object is so many references from the roots",
                counted(shape.depth + 1, "step")
            )
        }));
        if !why.is_empty() {
            sentences.push(format!(
                "{of} takes more than {than} for the {}: {}.",
                longer.join(" and a later "),
                why.join("; ")
            ));
        }
    }
    sentences
}

/// Of what a heap's figures consist.
fn parts(cell: &CellResults, shape: Option<&Shape>) -> Option<String> {
    let objects = objects(cell)?;
    let drop = middle(cell, |metrics| seen(metrics, "drop_ns"))?;
    let death = QUANTITIES.iter().find(|quantity| quantity.name == DEATH)?;
    let death = middle(cell, death.value)?;
    let payload = middle(cell, |metrics| seen(metrics, "payload_bytes"))? / objects;
    let bytes = middle(cell, |metrics| seen(metrics, "heap_bytes"))? / objects;
    let overhead = format!(
        "{:.0} of {bytes:.0} bytes an object are header, rounding, tables and blocks that are not \
         full",
        (bytes - payload).max(0.0)
    );
    // What dies at once dies in the drop; the rest is found by the collection after it.
    Some(match cell.invocation().heap.as_str() {
        "gc-rc" => {
            let cyclic = shape.filter(|shape| shape.cyclic > 0);
            let rest = match (option(cell, "cycle"), shape) {
                (Some("none"), _) => match cyclic {
                    Some(_) => {
                        "the rest is what gives free blocks back; what lies on cycles, and what \
                         hangs from these, is never freed"
                    }
                    None => "the rest is what gives free blocks back",
                }
                .to_owned(),
                (_, Some(shape)) if shape.cyclic == 0 => "the rest is the collection after it, \
                                                          which has no cycles to find, and gives \
                                                          free blocks back"
                    .to_owned(),
                (_, Some(shape)) => format!(
                    "the rest is the collection after it, which looks for what cycles keep: {} of \
                     the objects lie on one, and more may hang from these",
                    share(shape.cyclic, shape.objects)
                ),
                (_, None) => {
                    "the rest is the collection after it, which looks for what cycles keep"
                        .to_owned()
                }
            };
            let at_once = match option(cell, "free") {
                Some("lazy") => "are the drop, which only lists what is dead, for later",
                _ => "are what counting frees at once, in one stop",
            };
            format!(
                "{overhead}; of the {} that the death of all takes, {} {at_once}; {rest}",
                format_time(death),
                format_time(drop)
            )
        }
        "gc-marksweep" => overhead,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::heap::fixture::{RING, measured, subject};

    /// What is said of why, for a graph whose times on these two heaps, one after the other for
    /// each process, are so long.
    fn said(heaps: [&str; 2], times: [&[u64]; 2]) -> Vec<String> {
        let rows = [0, 1].map(|one| measured(heaps[one], times[one]));
        let results = Results::of_rows(rows.concat());
        let groups = results.groups();
        let ring = subject("ring", RING);
        let sentences = sentences(&results, &groups[0], Some(&ring.shape));
        let reasons = sentences.into_iter();
        reasons
            .filter(|words| {
                [" takes less than ", " takes more than "]
                    .iter()
                    .any(|way| words.contains(way))
            })
            .collect()
    }

    #[test]
    fn why_is_said_only_of_what_is_shown_and_in_its_direction() {
        const SHORT: &[u64] = &[100, 101, 99, 100, 100];
        const LONG: &[u64] = &[300, 301, 299, 300, 302];
        const ANY: &[u64] = &[30, 301, 99, 1000, 50];
        // Which of the two is the baseline does not matter: here the first is.
        let [counting, tracing] = ["gc-rc:cycle=bacon-rajan", "gc-marksweep"];
        for heaps in [["gc-rc", tracing], [tracing, counting]] {
            let is_first = heaps[0] == tracing;
            let of = |tracing, counting| {
                let times = [counting, tracing];
                said(heaps, if is_first { [tracing, counting] } else { times })
            };
            let counting = heaps[usize::from(is_first)];
            let shorter = of(SHORT, LONG);
            assert_eq!(shorter.len(), 1, "{shorter:?}");
            let words = format!("gc-marksweep takes less than {counting} for the death of all: ");
            assert!(shorter[0].starts_with(&words), "{shorter:?}");
            assert!(shorter[0].contains("nothing is done for what dies"));
            let longer = of(LONG, SHORT);
            assert_eq!(longer.len(), 1, "{longer:?}");
            let words = format!(
                "gc-marksweep takes more than {counting} for the first collection and a later \
                 collection: marking takes at least 3 steps one after another"
            );
            assert!(longer[0].starts_with(&words), "{longer:?}");
            // The interval has 1 in it; or they are the same.
            assert_eq!(of(ANY, SHORT), Vec::<String>::new());
            assert_eq!(of(SHORT, SHORT), Vec::<String>::new());
        }
        // Two of a kind.
        let none = said(["gc-rc", "gc-rc:cycle=none"], [SHORT, LONG]);
        assert_eq!(none, Vec::<String>::new());
        let none = said([tracing, "gc-rc:cycle=none"], [LONG, SHORT]);
        assert!(
            none.len() == 1 && none[0].contains("gc-rc:cycle=none looks for no cycles; "),
            "{none:?}"
        );
    }

    #[test]
    fn ratios_are_sorted_by_what_they_show() {
        let ratio = |value, interval| Estimate {
            value,
            interval,
            n: 5,
        };
        let ratios = [
            ("memory", ratio(0.5, Some((0.49, 0.51)))),
            ("build", ratio(1.1, Some((0.9, 1.3)))),
            ("collection", ratio(2.0, Some((1.9, 2.1)))),
            ("longest stop", ratio(1.0, Some((0.99, 1.01)))),
            ("death of all", ratio(0.001, Some((0.0009, 0.0011)))),
        ];
        assert_eq!(
            sorted(&ratios),
            "less: memory 0.50 [0.49-0.51], death of all less than 0.01; more: collection 2.00 \
             [1.90-2.10]; the same within 5 %: longest stop 1.00 [0.99-1.01]; not decided: build \
             1.10 [0.90-1.30]"
        );
        assert_eq!(sorted(&[]), "");
    }
}
