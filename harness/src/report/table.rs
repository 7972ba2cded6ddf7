//! The table: one line for each pair of workload and heap, the heaps of one comparison under each other.

use std::collections::{BTreeMap, BTreeSet};

use comfy_table::{Attribute, CellAlignment, Table, presets};

use crate::invocation::{Metrics, Row, format_bytes};
use crate::measure::pause::Pauses;
use crate::measure::ratio::{self, Ratio};
use crate::plan::{Cell, Plan, Subject};
use crate::run::Results;

/// Nothing to show.
const NONE: &str = "-";

/// The heap others are compared with, if it is there; otherwise it is the first of the group.
const BASELINE: &str = "gc-rc";

/// The whole report: a line about the run, the table, and how to read it. The plan has at least one cell.
pub fn render(plan: &Plan, results: &Results) -> String {
    let several_threads = plan
        .cells
        .iter()
        .any(|cell| cell.input.threads != plan.cells[0].input.threads);
    let baseline = baseline(plan, 0).map_or(NONE, |cell| &plan.cells[cell].heap_label);

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
    let mut group = None;
    for (index, cell) in plan.cells.iter().enumerate() {
        let first = group != Some(cell.group);
        if first && group.is_some() {
            lines.push(vec![String::new()]);
        }
        group = Some(cell.group);
        let once = |text: String| if first { text } else { String::new() };
        let mut line = vec![once(cell.workload_label.clone())];
        line.extend(several_threads.then(|| once(cell.input.threads.to_string())));
        line.push(match &cell.subject {
            Subject::Peer(peer) if peer.description().moving => {
                format!("{} (moving)", cell.heap_label)
            }
            _ => cell.heap_label.clone(),
        });
        line.push(if cell.limited {
            format_bytes(cell.heap_bytes)
        } else {
            NONE.to_owned()
        });
        line.extend(figures(plan, results, index));
        lines.push(line);
        if let Some(row) = results.failure(index) {
            notes.push_str(&format!("{cell}: {}\n", explanation(row)));
        }
        let observed = observations(results, index);
        if !observed.is_empty() && !results.is_void(plan, cell.group) {
            notes.push_str(&format!("{cell}: {observed}\n"));
        }
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

    let mut text = format!(
        "{}\n{}\n\n{}\n",
        about(plan),
        results.environment.summary(),
        table.trim_fmt()
    );
    text.push('\n');
    text.push_str(&notes);
    text.push_str(
        "Time: median over processes (in parentheses the fastest and the slowest). Ratio: with its 95 % interval; heaps differ only if\n\
         it excludes 1. Pauses: everything that stopped a thread, waits for the lock included; a percentile with fewer than 10 pauses\n\
         above it is not shown. In pauses: stopped thread time / (threads x time). The arena never frees: the floor. Moving: its collector\n\
         moves objects; peak heap is then what that runtime counts, which leaves out most of its metadata.\n",
    );
    text
}

/// What was done, in one line.
fn about(plan: &Plan) -> String {
    let first = &plan.cells[0];
    let threads: BTreeSet<usize> = plan.cells.iter().map(|cell| cell.input.threads).collect();
    let threads: Vec<String> = threads.iter().map(usize::to_string).collect();
    let plural = |count: u32, one: &str, more: &str| {
        format!("{count} {}", if count == 1 { one } else { more })
    };
    format!(
        "Size {}, threads {}, seed {}; each pair in {} of {} after one to warm up.",
        plan.size,
        threads.join(", "),
        first.input.seed,
        plural(plan.invocations, "process", "processes"),
        plural(plan.iterations, "timed iteration", "timed iterations"),
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

/// The same line for a narrow terminal: what belongs together stands under each other, not side by side.
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

/// The same line for a terminal of 80 columns: one column each for the times, the comparison, the pauses and the memory.
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

/// The cell that the group's times are compared with.
fn baseline(plan: &Plan, group: usize) -> Option<usize> {
    let mut cells = (0..plan.cells.len()).filter(|&index| plan.cells[index].group == group);
    let first = cells.clone().next();
    cells
        .find(|&index| plan.cells[index].heap_label == BASELINE)
        .or(first)
}

/// What the workload saw: the largest of each value, over the iterations that count.
fn observations(results: &Results, index: usize) -> String {
    let mut largest: BTreeMap<&str, u64> = BTreeMap::new();
    let metrics = results
        .measured(index)
        .filter_map(|row| row.metrics.as_ref());
    for (name, &value) in metrics.flat_map(|metrics| &metrics.observations) {
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
fn figures(plan: &Plan, results: &Results, index: usize) -> Vec<String> {
    let cell = &plan.cells[index];
    let measured: Vec<&Metrics> = results
        .measured(index)
        .filter_map(|row| row.metrics.as_ref())
        .collect();
    if results.is_void(plan, cell.group) {
        return vec!["void".to_owned()];
    }
    let times = times(results, index);
    let Some(time) = ratio::time(&times) else {
        let status = results
            .failure(index)
            .map_or(NONE.to_owned(), |row| row.status.to_string());
        return vec![status];
    };

    let means: Vec<f64> = times
        .iter()
        .filter_map(|one| ratio::time(std::slice::from_ref(one)))
        .collect();
    let fastest = means.iter().copied().fold(f64::INFINITY, f64::min);
    let slowest = means.iter().copied().fold(0.0, f64::max);
    let operations = measured.first().map_or(0, |metrics| metrics.operations);
    let pauses = Pauses::merge(measured.iter().map(|metrics| &metrics.pauses));
    let thread_time: f64 = measured
        .iter()
        .map(|metrics| metrics.wall_ns as f64 * cell.input.threads as f64)
        .sum();
    let optional = |nanoseconds: Option<u64>| {
        nanoseconds.map_or(NONE.to_owned(), |value| format_time(value as f64))
    };
    let lost = if pauses.events_lost > 0 { "+" } else { "" };
    let resident = measured
        .iter()
        .filter_map(|metrics| metrics.peak_resident_bytes)
        .max();
    vec![
        format_spread(time, fastest, slowest),
        format_rate(operations as f64 / (time / 1e9), cell.workload.operation),
        comparison(plan, results, index),
        format!("{}{lost}", pauses.pause_count),
        optional(pauses.pause_p50_ns),
        optional(pauses.pause_p99_ns),
        optional(pauses.pause_max_ns),
        format_share(pauses.stopped_ns as f64 / thread_time),
        measured
            .iter()
            .map(|metrics| metrics.peak_heap_bytes)
            .max()
            .map_or(NONE.to_owned(), format_bytes),
        resident.map_or("not measurable".to_owned(), format_bytes),
    ]
}

fn times(results: &Results, index: usize) -> Vec<Vec<f64>> {
    let mut times: Vec<(u32, Vec<f64>)> = Vec::new();
    for row in results.measured(index) {
        let Some(metrics) = &row.metrics else {
            continue;
        };
        let wall = metrics.wall_ns as f64;
        match times.last_mut() {
            Some((invocation, iterations)) if *invocation == row.invocation.invocation => {
                iterations.push(wall)
            }
            _ => times.push((row.invocation.invocation, vec![wall])),
        }
    }
    times
        .into_iter()
        .map(|(_, iterations)| iterations)
        .collect()
}

/// The ratio to the group's baseline.
fn comparison(plan: &Plan, results: &Results, index: usize) -> String {
    let cell: &Cell = &plan.cells[index];
    let base = baseline(plan, cell.group);
    if base == Some(index) {
        return "1".to_owned();
    }
    let ratio = base.and_then(|base| ratio::ratio(&times(results, index), &times(results, base)));
    match ratio {
        None => NONE.to_owned(),
        Some(Ratio {
            value,
            interval: None,
        }) => format!("{value:.2}"),
        Some(Ratio {
            value,
            interval: Some((low, high)),
        }) => format!("{value:.2} [{low:.2}-{high:.2}]"),
    }
}

/// A time with three digits, in a fitting unit.
fn format_time(nanoseconds: f64) -> String {
    let (value, unit) = scale_time(nanoseconds, nanoseconds);
    format!("{value} {unit}")
}

/// A median and its range, in the unit of the largest.
fn format_spread(median: f64, fastest: f64, slowest: f64) -> String {
    let [(median, unit), (fastest, _), (slowest, _)] =
        [median, fastest, slowest].map(|time| scale_time(time, slowest));
    format!("{median} {unit} ({fastest}-{slowest})")
}

/// A time in the unit that fits `reference`.
fn scale_time(nanoseconds: f64, reference: f64) -> (String, &'static str) {
    // 999.5 of one unit would be shown as 1000.
    let (divisor, unit) = [(1.0, "ns"), (1e3, "us"), (1e6, "ms")]
        .into_iter()
        .find(|(divisor, _)| reference / divisor < 999.5)
        .unwrap_or((1e9, "s"));
    (three_digits(nanoseconds / divisor), unit)
}

/// Operations a second, such as `147 M nodes/s`.
fn format_rate(per_second: f64, operation: &str) -> String {
    let (divisor, prefix) = [(1.0, ""), (1e3, "k "), (1e6, "M ")]
        .into_iter()
        .find(|(divisor, _)| per_second / divisor < 999.5)
        .unwrap_or((1e9, "G "));
    format!(
        "{} {prefix}{operation}s/s",
        three_digits(per_second / divisor)
    )
}

fn format_share(share: f64) -> String {
    if share == 0.0 {
        return "0".to_owned();
    }
    if share < 0.0005 {
        return "<0.1 %".to_owned();
    }
    format!("{:.1} %", share * 100.0)
}

fn three_digits(value: f64) -> String {
    let decimals = match value {
        value if value < 9.995 => 2,
        value if value < 99.95 => 1,
        _ => 0,
    };
    format!("{value:.decimals$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_three_digits_and_a_fitting_unit() {
        let shown: Vec<String> = [
            7.0,
            999.4,
            999.6,
            41_230.0,
            1_234_567.0,
            999_700_000.0,
            12e9,
        ]
        .map(format_time)
        .to_vec();
        assert_eq!(
            shown,
            [
                "7.00 ns", "999 ns", "1.00 us", "41.2 us", "1.23 ms", "1.00 s", "12.0 s"
            ]
        );
        assert_eq!(format_spread(980e6, 0.9e9, 1.2e9), "0.98 s (0.90-1.20)");
    }

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

    #[test]
    fn rates_and_shares() {
        assert_eq!(format_rate(147e6, "node"), "147 M nodes/s");
        assert_eq!(format_rate(12.0, "ring"), "12.0 rings/s");
        assert_eq!(format_share(0.0), "0");
        assert_eq!(format_share(0.0001), "<0.1 %");
        assert_eq!(format_share(0.1234), "12.3 %");
    }
}
