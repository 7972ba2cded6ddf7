//! The table on a terminal, and what is to be said of its lines.
//!
//! What does not fit the width is stacked: figures that belong together stand under each other.
//! Twins have no line: what they are for is in the
//! [conclusion](super::conclusion).

use std::collections::{BTreeMap, BTreeSet};

use comfy_table::{Attribute, Cell, CellAlignment, presets};

use super::column::{
    self, Column, IN_PAUSES, LONGEST_PAUSE, MEDIAN_PAUSE, P99_PAUSE, PAUSES, PEAK_HEAP, RATIO,
    RESIDENT, THROUGHPUT, TIME,
};
use super::quantity::format_time;
use super::table::{LIMIT, Table, about};
use super::text::wrap;
use crate::invocation::format_bytes;
use crate::results::{CellResults, Results};

/// How wide explanations are set.
const WIDTH: usize = 132;

/// How figures share the columns of a narrow terminal's table.
type Layout = &'static [&'static [&'static Column]];

/// From wide to narrow; the last is for 80 columns: one column each for the times, the comparison,
/// the pauses and the memory.
static LAYOUTS: [Layout; 2] = [
    &[
        &[&TIME],
        &[&THROUGHPUT],
        &[&RATIO],
        &[&PAUSES],
        &[&MEDIAN_PAUSE, &P99_PAUSE],
        &[&LONGEST_PAUSE],
        &[&IN_PAUSES],
        &[&PEAK_HEAP, &RESIDENT],
    ],
    &[
        &[&TIME, &THROUGHPUT],
        &[&RATIO, &IN_PAUSES],
        &[&PAUSES, &MEDIAN_PAUSE, &P99_PAUSE, &LONGEST_PAUSE],
        &[&PEAK_HEAP, &RESIDENT],
    ],
];

/// The whole report: a line about the run, the table, and how to read it. A line that says so if
/// there is nothing in the results.
pub fn render(results: &Results) -> String {
    let table = Table::of(results, &column::ALL, false);
    if table.groups.is_empty() {
        return "Nothing was measured.\n".to_owned();
    }
    let mut text = format!("{}\n", about(results));
    for environment in results.environments() {
        text.push_str(&format!("{}\n", environment.summary()));
    }
    for line in results.not_passed_on() {
        text.push_str(&format!("{line}.\n"));
    }
    text.push_str(&format!("\n{}\n\n", draw(&table).trim_fmt()));
    let groups = results.groups();
    let of_group = groups.iter().flat_map(|group| {
        let cells = group.cells.iter().chain(&group.twins);
        cells.map(|cell| remarks(group.is_void(), cell))
    });
    let mut notes: String = of_group.collect();
    for note in &results.notes {
        notes.push_str(&format!("{note}\n"));
    }
    if !notes.is_empty() {
        text.push_str(&format!("{notes}\n"));
    }
    text.push_str(&wrap(&column::legend(table.columns, false), WIDTH, 0, 0));
    text.push('\n');
    text
}

/// The table as wide as it fits.
fn draw(table: &Table<'_>) -> comfy_table::Table {
    let labels = table.labels();
    let titles = table.columns.iter();
    let titles = titles.map(|one| one.title(false, table.baseline));
    let header = (labels.clone(), LIMIT.to_owned(), titles.collect());
    let mut lines = vec![Some(header)];
    for (index, group) in table.groups.iter().enumerate() {
        lines.extend((index > 0).then_some(None));
        lines.extend(group.iter().enumerate().map(|(index, line)| {
            let labels = line.labels(table.with_threads, index == 0);
            let figures = line.figures.as_ref();
            let figures = figures.map_or_else(|absent| vec![absent.word.clone()], Vec::clone);
            Some((labels, line.limit.clone(), figures))
        }));
    }
    let laid_out = |layout: Option<Layout>| {
        let lines = lines.iter().map(|line| match (line, layout) {
            (None, _) => vec![String::new()],
            (Some((labels, limit, figures)), None) => {
                [&labels[..], std::slice::from_ref(limit), figures].concat()
            }
            (Some((labels, limit, figures)), Some(layout)) => stack(labels, limit, figures, layout),
        });
        let lines: Vec<Vec<String>> = lines.collect();
        // Whoever wants no colour wants no other escape sequences either (no-color.org).
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let titles = lines[0].iter().map(|title| match plain {
            true => Cell::new(title),
            false => Cell::new(title).add_attribute(Attribute::Bold),
        });
        arrange(titles.collect(), &lines[1..], labels.len())
    };
    let mut drawn = laid_out(None);
    for layout in LAYOUTS {
        if fits(&drawn) {
            break;
        }
        drawn = laid_out(Some(layout));
    }
    drawn
}

/// A table without lines of its own, whose columns are aligned to the right from `figures_from` on.
pub fn arrange(
    header: Vec<Cell>,
    lines: &[Vec<String>],
    figures_from: usize,
) -> comfy_table::Table {
    let mut table = comfy_table::Table::new();
    table.load_style(presets::NOTHING);
    let columns = header.len();
    table.set_header(header);
    table.add_rows(lines);
    for index in figures_from..columns {
        if let Some(column) = table.column_mut(index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

/// Whether a table is as wide as the terminal at most.
pub fn fits(table: &comfy_table::Table) -> bool {
    let needed = table.lines().map(|line| line.chars().count()).max();
    let width = table.width();
    width.is_none_or(|width| needed <= Some(usize::from(width)))
}

/// A line for a narrow terminal. Where there is a reason instead of figures, it stays as it is.
fn stack(labels: &[String], limit: &str, figures: &[String], layout: Layout) -> Vec<String> {
    let mut stacked = labels.to_vec();
    let label = stacked.last_mut().expect("labels come first");
    label.push_str(&format!("\n{limit}"));
    if figures.len() < column::ALL.len() {
        stacked.extend_from_slice(figures);
        return stacked;
    }
    stacked.extend(layout.iter().map(|columns| {
        let is = |column: &Column, other: &Column| std::ptr::eq(column, other);
        let parts = columns.iter().map(|&column| {
            let mut all = column::ALL.iter().zip(figures);
            let (_, text) = all.find(|(one, _)| is(one, column)).expect("it is of all");
            if is(column, &THROUGHPUT) && columns.len() == 1 {
                let unit = text.rsplit_once(' ');
                return unit.map_or(text.clone(), |(number, unit)| format!("{number}\n{unit}"));
            }
            match text.find(" (").or_else(|| text.find(" [")) {
                Some(space) => format!("{}\n{}", &text[..space], &text[space + 1..]),
                // Its line stays empty: what follows stands beside its title.
                None if is(column, &RATIO) => format!("{text}\n"),
                None => text.clone(),
            }
        });
        parts.collect::<Vec<_>>().join("\n")
    }));
    stacked
}

/// What is to be said about a cell under the table.
fn remarks(is_void: bool, cell: &CellResults) -> String {
    let name = name(cell);
    let mut text = String::new();
    if let Some(row) = cell.failure() {
        text.push_str(&format!("{name}: {}\n", row.reason()));
    }
    if cell.is_twin() {
        return text;
    }
    let observed = observations(cell);
    if !observed.is_empty() && !is_void {
        text.push_str(&format!("{name}: {observed}\n"));
    }
    let noisy = || cell.measured_rows().filter(|row| !row.noisy.is_empty());
    let reasons: BTreeSet<&str> = noisy()
        .flat_map(|row| &row.noisy)
        .map(String::as_str)
        .collect();
    if !reasons.is_empty() {
        let reasons: Vec<&str> = reasons.into_iter().collect();
        text.push_str(&format!(
            "{name}: disturbed in {} of {} iterations: {}\n",
            noisy().count(),
            cell.measured().count(),
            reasons.join(", ")
        ));
    }
    text
}

/// The cell in words.
fn name(cell: &CellResults) -> String {
    let again = if cell.is_twin() { " (again)" } else { "" };
    format!("{}{again}{}", cell.name(), cell.and_threads())
}

/// What the workload saw: the largest of each value, over the iterations that count.
fn observations(cell: &CellResults) -> String {
    let mut largest: BTreeMap<&str, u64> = BTreeMap::new();
    for (name, &value) in cell.measured().flat_map(|metrics| &metrics.observations) {
        let known = largest.entry(name).or_default();
        *known = value.max(*known);
    }
    let shown: Vec<String> = largest
        .into_iter()
        .map(|(name, value)| format_observation(name, value))
        .collect();
    shown.join(", ")
}

/// A name that ends in its unit, and its value, in words.
fn format_observation(name: &str, value: u64) -> String {
    let (name, value) = if let Some(name) = name.strip_suffix("_bytes") {
        (name, format_bytes(value))
    } else if let Some(name) = name.strip_suffix("_percent") {
        (name, format!("{value} %"))
    } else if let Some(name) = name.strip_suffix("_ns") {
        (name, format_time(value as f64))
    } else {
        (name, value.to_string())
    };
    format!("{} {value}", name.replace('_', " "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn narrow_lines_are_stacked() {
        let words = |words: &[&str]| {
            words
                .iter()
                .map(|&word| word.to_owned())
                .collect::<Vec<_>>()
        };
        let labels = words(&["list", "gc-rc"]);
        let figures = [
            "15 ms (13-16)",
            "19 M nodes/s",
            "0.2 [0.1-0.3]",
            "300",
            "20 us",
            "-",
            "4 ms",
            "64 %",
            "3 MiB",
            "8 MiB",
        ];
        let figures = words(&figures);
        let narrow = [
            "list",
            "gc-rc\n8 MiB",
            "15 ms\n(13-16)",
            "19 M\nnodes/s",
            "0.2\n[0.1-0.3]",
            "300",
            "20 us\n-",
            "4 ms",
            "64 %",
            "3 MiB\n8 MiB",
        ];
        assert_eq!(stack(&labels, "8 MiB", &figures, LAYOUTS[0]), narrow);
        let narrowest = [
            "list",
            "gc-rc\n8 MiB",
            "15 ms\n(13-16)\n19 M nodes/s",
            "0.2\n[0.1-0.3]\n64 %",
            "300\n20 us\n-\n4 ms",
            "3 MiB\n8 MiB",
        ];
        assert_eq!(stack(&labels, "8 MiB", &figures, LAYOUTS[1]), narrowest);
        for layout in LAYOUTS {
            let absent = stack(&labels, "8 MiB", &words(&["void"]), layout);
            assert_eq!(absent, ["list", "gc-rc\n8 MiB", "void"]);
        }
    }

    #[test]
    fn observations_have_their_units() {
        assert_eq!(
            format_observation("resident_after_bytes", 3 << 20),
            "resident after 3 MiB"
        );
        assert_eq!(
            format_observation("occupied_over_live_percent", 132),
            "occupied over live 132 %"
        );
        assert_eq!(format_observation("delay_ns", 1500), "delay 1.50 us");
        assert_eq!(format_observation("polls", 7), "polls 7");
    }
}
