//! The table: one line for each pair of workload and heap, the heaps of one comparison under each
//! other.
//!
//! Made of rows alone, so that a file gives the same table as the run that wrote it. Twins have no
//! line: what they are for, the smallest effect that can be claimed, is in the
//! [conclusion](super::conclusion).

use std::collections::{BTreeMap, BTreeSet};

use comfy_table::{Attribute, CellAlignment, Table, presets};

use super::quantity::{format_rate, format_ratio, format_share, format_spread, format_time};
use crate::invocation::{Row, format_bytes};
use crate::measure::estimate;
use crate::measure::pause::Pauses;
use crate::results::{CellResults, Group, Results};

/// Nothing to show.
const NONE: &str = "-";

/// The whole report: a line about the run, the table, and how to read it. A line that says so if
/// there is nothing in the results.
pub fn render(results: &Results) -> String {
    let groups = results.groups();
    let Some(first) = groups.first() else {
        return "Nothing was measured.\n".to_owned();
    };
    let several_threads =
        (groups.iter()).any(|group| group.cells[0].threads() != first.cells[0].threads());
    let baseline = first.baseline().heap_label();

    let mut header = vec!["workload".to_owned()];
    header.extend(several_threads.then(|| "threads".to_owned()));
    // Where the figures begin.
    let figures_from = header.len() + 1;
    let ratio = format!("time / {baseline} [95 %]");
    let titles = [
        "heap",
        "limit",
        "time (min-max)",
        "throughput",
        &ratio,
        "pauses",
    ];
    header.extend(titles.map(str::to_owned));
    let titles = ["p50", "p99", "max", "in pauses", "peak heap", "resident"];
    header.extend(titles.map(str::to_owned));

    let mut notes = String::new();
    let mut lines = vec![header];
    for (index, group) in groups.iter().enumerate() {
        if index > 0 {
            lines.push(vec![String::new()]);
        }
        for (index, cell) in group.cells.iter().enumerate() {
            let once = |text: String| if index == 0 { text } else { String::new() };
            let mut line = vec![once(cell.workload_label().to_owned())];
            line.extend(several_threads.then(|| once(cell.threads().to_string())));
            line.push(if cell.is_moving() {
                format!("{} (moving)", cell.heap_label())
            } else {
                cell.heap_label().to_owned()
            });
            line.push(limit(cell));
            line.extend(figures(group, cell));
            lines.push(line);
        }
        for cell in group.cells.iter().chain(&group.twins) {
            notes.push_str(&remarks(group, cell));
        }
    }
    for note in &results.notes {
        notes.push_str(&format!("{note}\n"));
    }
    if !notes.is_empty() {
        notes.push('\n');
    }

    let mut table = arrange(&lines, figures_from);
    let too_wide = |table: &Table| {
        let needed = table.lines().map(|line| line.chars().count()).max();
        table
            .width()
            .is_some_and(|width| needed > Some(usize::from(width)))
    };
    for narrower in [stack, stack_high] {
        if !too_wide(&table) {
            break;
        }
        let stacked: Vec<_> = (lines.iter())
            .map(|line| narrower(line, figures_from))
            .collect();
        table = arrange(&stacked, figures_from);
    }

    let mut text = format!("{}\n", about(results));
    for environment in results.environments() {
        text.push_str(&format!("{}\n", environment.summary()));
    }
    for line in results.not_passed_on() {
        text.push_str(&format!("{line}.\n"));
    }
    text.push_str(&format!("\n{}\n\n", table.trim_fmt()));
    text.push_str(&notes);
    text.push_str(
        "Time: median over processes (in parentheses the fastest and the slowest). Ratio: with its 95 % interval; what it proves is in the\n\
         conclusion. Pauses: everything that stopped a thread, waits for the lock included; a percentile with fewer than 10 pauses above it\n\
         is not shown. In pauses: stopped thread time / (threads x time). The arena never frees: the floor. Moving: its collector moves\n\
         objects; peak heap is then what that runtime counts, which leaves out most of its metadata.\n",
    );
    text
}

/// What was done, in one line.
pub(crate) fn about(results: &Results) -> String {
    let cells = || results.cells.iter();
    let sizes: BTreeSet<_> = cells().map(|cell| cell.invocation().size).collect();
    let sizes: Vec<String> = sizes.iter().map(ToString::to_string).collect();
    let threads: BTreeSet<usize> = cells().map(CellResults::threads).collect();
    let threads: Vec<String> = threads.iter().map(usize::to_string).collect();
    let seeds: BTreeSet<u64> = cells().map(|cell| cell.invocation().seed).collect();
    let seeds: Vec<String> = seeds.iter().map(u64::to_string).collect();
    // A cell that failed has fewer, which its line says.
    let processes: BTreeSet<usize> = cells()
        .filter(|cell| cell.failure().is_none())
        .map(|cell| cell.attempts().count())
        .collect();
    let iterations: BTreeSet<u32> = cells().map(|cell| cell.invocation().iterations).collect();
    format!(
        "Size {}, threads {}, seed {}; each pair in {} after one to warm up.",
        sizes.join(", "),
        threads.join(", "),
        seeds.join(", "),
        [
            range(&processes, "process", "processes"),
            range(&iterations, "timed iteration", "timed iterations")
        ]
        .join(" of "),
    )
}

/// `3 processes`, or `2-5 processes`.
fn range<N: Ord + Copy + std::fmt::Display + From<u8>>(
    counts: &BTreeSet<N>,
    one: &str,
    more: &str,
) -> String {
    match (counts.first(), counts.last()) {
        (Some(least), Some(most)) if least != most => format!("{least}-{most} {more}"),
        (Some(count), _) => {
            format!("{count} {}", if *count == N::from(1) { one } else { more })
        }
        _ => format!("no {more}"),
    }
}

fn limit(cell: &CellResults) -> String {
    if !cell.is_limited() {
        return NONE.to_owned();
    }
    let bytes = format_bytes(cell.heap_bytes());
    match cell.multiple() {
        Some(multiple) => format!("{bytes} ({multiple:.2}x)"),
        None => bytes,
    }
}

/// What is to be said about a cell under the table.
fn remarks(group: &Group<'_>, cell: &CellResults) -> String {
    let name = name(cell);
    let mut text = String::new();
    if let Some(row) = cell.failure() {
        text.push_str(&format!("{name}: {}\n", explanation(row)));
    }
    if cell.is_twin() {
        return text;
    }
    let observed = observations(cell);
    if !observed.is_empty() && !group.is_void() {
        text.push_str(&format!("{name}: {observed}\n"));
    }
    let noisy: Vec<&Row> = cell
        .measured_rows()
        .filter(|row| !row.noisy.is_empty())
        .collect();
    if !noisy.is_empty() {
        let reasons: BTreeSet<&str> = (noisy.iter().flat_map(|row| &row.noisy))
            .map(String::as_str)
            .collect();
        let reasons: Vec<&str> = reasons.into_iter().collect();
        text.push_str(&format!(
            "{name}: disturbed in {} of {} iterations: {}\n",
            noisy.len(),
            cell.measured().count(),
            reasons.join(", ")
        ));
    }
    text
}

/// The cell in words.
fn name(cell: &CellResults) -> String {
    let threads = match cell.threads() {
        1 => String::new(),
        threads => format!(", {threads} threads"),
    };
    let again = if cell.is_twin() { " (again)" } else { "" };
    format!(
        "{} on {}{again}{threads}",
        cell.workload_label(),
        cell.heap_label()
    )
}

/// The first line is the header; from `figures_from` on, columns are aligned to the right.
fn arrange(lines: &[Vec<String>], figures_from: usize) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    let titles = lines[0].iter().map(comfy_table::Cell::new);
    // Whoever wants no colour wants no other escape sequences either (no-color.org).
    let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    table.set_header(titles.map(|title| {
        if plain {
            title
        } else {
            title.add_attribute(Attribute::Bold)
        }
    }));
    table.add_rows(&lines[1..]);
    for index in figures_from..lines[0].len() {
        if let Some(column) = table.column_mut(index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

/// The same line for a narrow terminal: what belongs together stands under each other, not side by
/// side.
fn stack(line: &[String], figures_from: usize) -> Vec<String> {
    let (labels, figures) = line.split_at(line.len().min(figures_from));
    let mut stacked = labels.to_vec();
    let [
        limit,
        time,
        rate,
        ratio,
        count,
        p50,
        p99,
        max,
        share,
        heap,
        resident,
    ] = figures
    else {
        // A reason instead of figures, or an empty line.
        if let [limit, rest @ ..] = figures {
            stacked
                .last_mut()
                .expect("labels come first")
                .push_str(&format!("\n{limit}"));
            stacked.extend_from_slice(rest);
        }
        return stacked;
    };
    stacked
        .last_mut()
        .expect("labels come first")
        .push_str(&format!("\n{limit}"));
    let rate = rate
        .rsplit_once(' ')
        .map_or(rate.clone(), |(number, unit)| format!("{number}\n{unit}"));
    stacked.extend([
        time.replacen(" (", "\n(", 1),
        rate,
        ratio.replacen(" [", "\n[", 1),
        count.clone(),
        format!("{p50}\n{p99}"),
        max.clone(),
        share.clone(),
        format!("{heap}\n{resident}"),
    ]);
    stacked
}

/// The same line for a terminal of 80 columns: one column each for the times, the comparison, the
/// pauses and the memory.
fn stack_high(line: &[String], figures_from: usize) -> Vec<String> {
    let (labels, figures) = line.split_at(line.len().min(figures_from));
    let [
        limit,
        time,
        rate,
        ratio,
        count,
        p50,
        p99,
        max,
        share,
        heap,
        resident,
    ] = figures
    else {
        return stack(line, figures_from);
    };
    let mut stacked = labels.to_vec();
    let label = stacked.last_mut().expect("labels come first");
    label.push_str(&format!("\n{limit}"));
    // Without an interval its line stays empty: the share stands beside its title.
    let (ratio, interval) = match ratio.split_once(" [") {
        Some((ratio, interval)) => (ratio, format!("[{interval}")),
        None => (ratio.as_str(), String::new()),
    };
    stacked.extend([
        format!("{}\n{rate}", time.replacen(" (", "\n(", 1)),
        format!("{ratio}\n{interval}\n{share}"),
        format!("{count}\n{p50}\n{p99}\n{max}"),
        format!("{heap}\n{resident}"),
    ]);
    stacked
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

fn explanation(row: &Row) -> String {
    let message = row
        .message
        .as_ref()
        .map_or(String::new(), |message| format!(": {message}"));
    format!("{}{message}", row.status)
}

/// The columns from the time on; where there are no figures, the reason.
pub(crate) fn figures(group: &Group<'_>, cell: &CellResults) -> Vec<String> {
    if group.is_void() {
        return vec!["void".to_owned()];
    }
    let Some(time) = estimate::spread_of_processes(&cell.times()) else {
        let status = cell
            .failure()
            .map_or(NONE.to_owned(), |row| row.status.to_string());
        return vec![status];
    };

    let operations = cell.measured().next().map_or(0, |first| first.operations);
    let pauses = Pauses::merge(cell.measured().map(|metrics| &metrics.pauses));
    let thread_time: f64 = cell
        .measured()
        .map(|metrics| metrics.wall_ns as f64 * cell.threads() as f64)
        .sum();
    let optional = |nanoseconds: Option<u64>| {
        nanoseconds.map_or(NONE.to_owned(), |value| format_time(value as f64))
    };
    let lost = if pauses.events_lost > 0 { "+" } else { "" };
    let resident = cell
        .measured()
        .filter_map(|metrics| metrics.peak_resident_bytes)
        .max();
    vec![
        format_spread(time),
        format_rate(
            operations as f64 / (time.value / 1e9),
            cell.operation().unwrap_or_default(),
        ),
        comparison(group, cell),
        format!("{}{lost}", pauses.pause_count),
        optional(pauses.pause_p50_ns),
        optional(pauses.pause_p99_ns),
        optional(pauses.pause_max_ns),
        format_share(pauses.stopped_ns as f64 / thread_time),
        cell.measured()
            .map(|metrics| metrics.peak_heap_bytes)
            .max()
            .map_or(NONE.to_owned(), format_bytes),
        resident.map_or("not measurable".to_owned(), format_bytes),
    ]
}

/// The ratio to the group's baseline.
fn comparison(group: &Group<'_>, cell: &CellResults) -> String {
    if std::ptr::eq(cell, group.baseline()) {
        return "1".to_owned();
    }
    let ratio = group.ratio(cell);
    ratio.map_or(NONE.to_owned(), format_ratio)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn narrow_lines_are_stacked() {
        let wide = [
            "list",
            "gc-rc",
            "8 MiB",
            "15 ms (13-16)",
            "19 M nodes/s",
            "0.2 [0.1-0.3]",
        ];
        let rest = ["300", "20 us", "-", "4 ms", "64 %", "3 MiB", "8 MiB"];
        let line: Vec<String> = wide
            .iter()
            .chain(&rest)
            .map(|&text| text.to_owned())
            .collect();
        let narrow = [
            "list",
            "gc-rc\n8 MiB",
            "15 ms\n(13-16)",
            "19 M\nnodes/s",
            "0.2\n[0.1-0.3]",
        ];
        let rest = ["300", "20 us\n-", "4 ms", "64 %", "3 MiB\n8 MiB"];
        assert_eq!(stack(&line, 2), [&narrow[..], &rest[..]].concat());
        assert_eq!(
            stack(&line[..4], 2),
            ["list", "gc-rc\n8 MiB", "15 ms (13-16)"]
        );
        assert_eq!(stack(&[String::new()], 2), [""]);

        let narrowest = [
            "list",
            "gc-rc\n8 MiB",
            "15 ms\n(13-16)\n19 M nodes/s",
            "0.2\n[0.1-0.3]\n64 %",
            "300\n20 us\n-\n4 ms",
            "3 MiB\n8 MiB",
        ];
        assert_eq!(stack_high(&line, 2), narrowest);
        assert_eq!(stack_high(&line[..4], 2), stack(&line[..4], 2));
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
