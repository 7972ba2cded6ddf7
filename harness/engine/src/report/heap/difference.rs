//! Where one graph differs from another: by itself, and in what it costs on each heap.

use graph::{Bin, Histogram, Shape};

use super::cost::{QUANTITIES, objects, sorted, written};
use super::facts::share;
use super::{Heaps, Subject, counted};
use crate::invocation::format_bytes;
use crate::report::quantity::{factor, grouped};
use crate::results::{CellResults, Group, Results, centre};
use crate::statistics::Estimate;

/// A number that a graph has, and in what it is counted.
struct Number {
    name: &'static str,
    value: fn(&Shape) -> u64,
    bytes: bool,
}

const NUMBERS: [Number; 15] = {
    const fn number(name: &'static str, value: fn(&Shape) -> u64) -> Number {
        let bytes = false;
        Number { name, value, bytes }
    }
    [
        number("objects", |shape| shape.objects),
        Number {
            name: "payload",
            value: |shape| shape.payload_bytes,
            bytes: true,
        },
        number("references", |shape| shape.references),
        number("weak references", |shape| shape.weak),
        number("fields", |shape| shape.fields),
        number("roots", |shape| shape.roots),
        number("garbage", |shape| shape.garbage),
        number("depth", |shape| shape.depth),
        number("half within", |shape| shape.half_depth),
        number("on cycles", |shape| shape.cyclic),
        number("groups of cycles", |shape| shape.cycles),
        number("largest group", |shape| shape.largest_cycle),
        number("shared objects", |shape| shape.shared),
        number("most references to one", |shape| shape.most_referred),
        number("most references of one", |shape| shape.most_referring),
    ]
};

/// One line of a comparison.
pub(super) struct Line {
    pub(super) name: &'static str,
    /// Of the one and of the other.
    pub(super) values: [String; 2],
    /// What the second has more than the first; empty if nothing.
    pub(super) change: String,
}

pub(super) fn lines(old: &Shape, new: &Shape) -> Vec<Line> {
    let lines = NUMBERS.iter().map(|Number { name, value, bytes }| {
        let (before, after) = (value(old), value(new));
        let written = |value| match bytes {
            true => format_bytes(value),
            false => grouped(value),
        };
        Line {
            name,
            values: [written(before), written(after)],
            change: change(before, after, &written),
        }
    });
    let mut lines: Vec<Line> = lines.collect();
    let place = lines.iter().position(|line| line.name == "on cycles");
    let shares = [old, new].map(|shape| share(shape.cyclic, shape.objects));
    let points = |shape: &Shape| 100.0 * shape.cyclic as f64 / shape.objects.max(1) as f64;
    let change = points(new) - points(old);
    lines.insert(
        place.map_or(0, |place| place + 1),
        Line {
            name: "share on cycles",
            change: match change.abs() {
                change if change < 0.05 => String::new(),
                _ => format!("{change:+.1} points"),
            },
            values: shares,
        },
    );
    lines
}

/// What there is more of now, and how many times as much that makes if there is any in both; empty
/// if nothing.
fn change(before: u64, after: u64, written: &dyn Fn(u64) -> String) -> String {
    if before == after {
        return String::new();
    }
    let sign = if after > before { '+' } else { '-' };
    let difference = written(after.abs_diff(before));
    if before == 0 || after == 0 {
        return format!("{sign}{difference}");
    }
    let times = match after as f64 / before as f64 {
        // Told by the difference, or of no use to the last digit.
        0.995..1.005 => return format!("{sign}{difference}"),
        times if times < 0.005 => "less than 0.01".to_owned(),
        times if times >= 1000.0 => grouped(times.round() as u64),
        times => factor(times),
    };
    format!("{sign}{difference}, {times} times")
}

/// A class of values that differs between two histograms.
pub(super) struct Class {
    pub(super) least: u64,
    pub(super) old: Bin,
    pub(super) new: Bin,
}

impl Class {
    /// Which values are in it.
    pub(super) fn values(&self) -> String {
        match self.least {
            least @ 0..=1 => least.to_string(),
            least => format!("{} to {}", grouped(least), grouped(2 * (least - 1) + 1)),
        }
    }

    /// How many more there are in it.
    fn more(&self) -> u64 {
        self.old.count.abs_diff(self.new.count)
    }

    pub(super) fn change(&self) -> String {
        change(self.old.count, self.new.count, &grouped)
    }

    /// The bytes that there are more in it, if its values are sizes.
    pub(super) fn bytes(&self) -> String {
        change(self.old.sum, self.new.sum, &format_bytes)
    }
}

/// The classes in which there is something, in one or the other.
pub(super) fn classes(old: &Histogram, new: &Histogram) -> Vec<Class> {
    let (old, new): (Vec<_>, Vec<_>) = (old.bins().collect(), new.bins().collect());
    let longer = if old.len() > new.len() { &old } else { &new };
    let of = |bins: &[(u64, Bin)], at: usize| bins.get(at).map(|&(_, bin)| bin).unwrap_or_default();
    let classes = longer.iter().enumerate().map(|(at, &(least, _))| Class {
        least,
        old: of(&old, at),
        new: of(&new, at),
    });
    classes
        .filter(|class| class.old.count > 0 || class.new.count > 0)
        .collect()
}

/// Classes that are told of on a terminal.
const MOST_CLASSES: usize = 6;

/// Those that differ by most, in order, and how many others differ: half of them by bytes where
/// values are sizes, since a few large arrays may be most of what there is more.
fn most_changed(old: &Histogram, new: &Histogram, are_sizes: bool) -> (Vec<Class>, usize) {
    let mut changed = classes(old, new);
    changed.retain(|class| class.more() > 0 || class.old.sum != class.new.sum);
    changed.sort_by_key(|class| std::cmp::Reverse(class.more()));
    if are_sizes {
        let by_count = MOST_CLASSES.div_ceil(2).min(changed.len());
        let bytes = |class: &Class| class.old.sum.abs_diff(class.new.sum);
        changed[by_count..].sort_by_key(|class| std::cmp::Reverse(bytes(class)));
    }
    let others = changed.len().saturating_sub(MOST_CLASSES);
    changed.truncate(MOST_CLASSES);
    changed.sort_by_key(|class| class.least);
    (changed, others)
}

/// Where the one graph differs from the other, for a terminal.
pub(super) fn text(old: &Subject, new: &Subject) -> String {
    let mut text = format!("\n{} against {}\n", new.name, old.name);
    let mut line = |name: &str, [before, after]: [&str; 2], change: &str| {
        let arrow = if after.is_empty() { "  " } else { "->" };
        let line = format!("  {name:<24}{before:>14} {arrow} {after:<14}  {change}");
        text += &format!("{}\n", line.trim_end());
    };
    for Line {
        name,
        values: [before, after],
        change,
    } in lines(&old.shape, &new.shape)
    {
        let change = if change.is_empty() {
            "as before"
        } else {
            &change
        };
        line(name, [&before, &after], change);
    }
    let histograms = [
        (
            "objects by bytes",
            [&old.shape.sizes, &new.shape.sizes],
            true,
        ),
        (
            "by references to them",
            [&old.shape.referred, &new.shape.referred],
            false,
        ),
    ];
    for (name, [before, after], are_sizes) in histograms {
        let (changed, others) = most_changed(before, after, are_sizes);
        let note = if changed.is_empty() { "as before" } else { "" };
        line(name, ["", ""], note);
        for class in &changed {
            let values = [class.old.count, class.new.count].map(grouped);
            let bytes = if are_sizes {
                class.bytes()
            } else {
                String::new()
            };
            let change = [class.change(), bytes].into_iter();
            let change: Vec<String> = change.filter(|part| !part.is_empty()).collect();
            let change = change.join("; ");
            let name = format!("  {}", class.values());
            line(&name, [&values[0], &values[1]], &change);
        }
        if others > 0 {
            line(
                &format!("  and {} more", counted(others as u64, "class")),
                ["", ""],
                "",
            );
        }
    }
    text
}

/// What the other graph costs more on one heap: a quantity, its ratio, and that of what an object
/// costs.
pub(super) struct Change {
    pub(super) name: &'static str,
    pub(super) ratio: Estimate,
    pub(super) each: Option<Estimate>,
}

/// For each heap that was measured with both graphs, what the other costs more.
pub(super) fn of_heaps<'r>(
    heaps: &Heaps,
    results: &Results,
    groups: &[Group<'r>],
    old: &Subject,
    new: &Subject,
) -> Vec<(&'r CellResults, Vec<Change>)> {
    let both = [old, new].map(|subject| heaps.group(subject, groups));
    let [Some(before), Some(after)] = both else {
        return Vec::new();
    };
    if before.is_void() || after.is_void() {
        return Vec::new();
    }
    let pairs = after.cells.iter().filter_map(|&cell| {
        let mut cells = before.cells.iter();
        Some((cell, *cells.find(|other| other.is_same_heap(cell))?))
    });
    let changes = pairs.map(|(cell, other)| {
        let objects = objects(other).zip(objects(cell));
        let changes = QUANTITIES.iter().filter_map(|quantity| {
            // Processes of one round ran next to each other, whichever graph they had.
            let centre = centre(cell, other, quantity.value)?;
            let ratio = results.inference(quantity.value).ratio(&centre);
            let each = objects.filter(|_| quantity.each);
            Some(Change {
                name: quantity.name,
                ratio,
                each: each.map(|(before, after)| ratio.map(|ratio| ratio * before / after)),
            })
        });
        (cell, changes.collect())
    });
    let changes: Vec<(_, Vec<Change>)> = changes.collect();
    changes
        .into_iter()
        .filter(|(_, changes)| !changes.is_empty())
        .collect()
}

/// What the other graph costs more on each heap, for a terminal.
pub(super) fn cost_text(
    heaps: &Heaps,
    results: &Results,
    groups: &[Group<'_>],
    old: &Subject,
    new: &Subject,
) -> String {
    let mut text = String::new();
    for (cell, changes) in of_heaps(heaps, results, groups, old, new) {
        let (new, old, heap) = (&new.name, &old.name, cell.heap_label());
        text += &format!("\n{new} against {old} on {heap}\n");
        for Change { name, ratio, each } in changes {
            let each = each.map(|each| format!("an object {}", written(each)));
            let line = format!(
                "  {name:<18}{:<28}{}",
                written(ratio),
                each.unwrap_or_default()
            );
            text += &format!("{}\n", line.trim_end());
        }
    }
    text
}

/// Where the one graph differs from the other, in sentences.
pub(super) fn sentences(
    heaps: &Heaps,
    results: &Results,
    groups: &[Group<'_>],
    old: &Subject,
    new: &Subject,
) -> Vec<String> {
    let names = format!("{} against {}", new.name, old.name);
    let changed = lines(&old.shape, &new.shape)
        .into_iter()
        .filter(|line| !line.change.is_empty())
        .map(|line| format!("{} {}", line.name, line.change));
    let changed: Vec<String> = changed.collect();
    let mut sentences = vec![match &changed[..] {
        [] => format!("{names}: no number of the graph differs."),
        changed => format!("{names}: {}.", changed.join("; ")),
    }];
    for (cell, changes) in of_heaps(heaps, results, groups, old, new) {
        let ratios = changes.iter().map(|change| (change.name, change.ratio));
        let ratios: Vec<_> = ratios.collect();
        sentences.push(format!(
            "{names} on {}: {}.",
            cell.heap_label(),
            sorted(&ratios)
        ));
    }
    sentences
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::heap::fixture::{RING, subject};

    #[test]
    fn what_differs_is_told_by_number_and_by_class() {
        let old = subject("old", RING);
        // Another object of a hundred bytes, to which r and x refer, and a ring of its own.
        let new = subject(
            "new",
            &RING.replace("; g ->", "; r -> y; x -> y -> y; y [bytes=100]; g ->"),
        );
        let text = text(&old, &new);
        let line = |name: &str| {
            let mut lines = text.lines().map(str::trim);
            let line = lines.find(|line| line.starts_with(name));
            let words = line
                .unwrap_or_else(|| panic!("{name}: {text}"))
                .split_whitespace();
            words.collect::<Vec<_>>().join(" ")
        };
        assert!(text.starts_with("\nnew against old\n"), "{text}");
        assert_eq!(line("objects"), "objects 5 -> 6 +1, 1.20 times");
        assert_eq!(line("payload"), "payload 104 B -> 208 B +104 B, 2.0 times");
        assert_eq!(line("references "), "references 7 -> 10 +3, 1.43 times");
        assert_eq!(line("roots"), "roots 1 -> 1 as before");
        assert_eq!(line("on cycles"), "on cycles 2 -> 3 +1, 1.50 times");
        assert_eq!(
            line("share on cycles"),
            "share on cycles 40.0 % -> 50.0 % +10.0 points"
        );
        // r has another field, x has one, and y is new.
        assert_eq!(
            line("16 to 31"),
            "16 to 31 3 -> 2 -1, 0.67 times; -24 B, 0.57 times"
        );
        assert_eq!(
            line("64 to 127"),
            "64 to 127 1 -> 2 +1, 2.0 times; +120 B, 2.2 times"
        );
        let same = super::text(&old, &old);
        assert!(
            same.contains("objects by bytes") && !same.contains("times"),
            "{same}"
        );
    }

    #[test]
    fn of_many_classes_those_are_told_that_differ_by_most() {
        let histogram = |values: &[u64]| {
            let objects = values.iter().enumerate();
            let drawing = objects
                .map(|(number, bytes)| format!("r -> o{number}; o{number} [bytes={bytes}]; "));
            let drawing = format!(
                "digraph {{ r [root=true]; {} }}",
                drawing.collect::<String>()
            );
            subject("a", &drawing).shape.sizes
        };
        let some = histogram(&[8, 16, 32, 64, 128, 256, 512, 1024, 8, 8]);
        let (changed, others) = most_changed(&histogram(&[8]), &some, false);
        // Of the eight classes one has the larger root as well.
        assert_eq!((changed.len(), others), (MOST_CLASSES, 2));
        assert!(
            changed
                .iter()
                .any(|class| (class.least, class.more()) == (64, 2))
        );
        assert!(changed.is_sorted_by_key(|class| class.least));
        assert!(most_changed(&some, &some, true).0.is_empty());
    }
}
