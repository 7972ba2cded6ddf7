//! `harness compare`: two result files beside each other; a change of the code, of an option's
//! default, or of the machine.
//!
//! Cells are paired by what was asked of them; the time of the second is divided by that of the
//! first, with its interval, and the geometric mean is taken over each heap's cells. What differs
//! between the two environments is said before any figure, since it is part of the answer.
//!
//! The two runs were not interleaved: whatever changed on the machine between them (its neighbours,
//! its temperature) is in the ratios, and nothing in either file shows it. The report says so. To
//! compare two heaps or options, put them into one run.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::Args;
use comfy_table::{Cell, CellAlignment, Table};

use super::{Command, Context, Examples, print};
use engine::invocation::format_bytes;
use engine::message::{Error, shown};
use engine::report::quantity::{format_ratio, format_time};
use engine::report::terminal::{arrange, fits};
use engine::results::{CellResults, Results};
use engine::statistics::family::{self, FALSE_DISCOVERIES};
use engine::statistics::{Centre, Estimate, Inference, Prior, Verdict, logarithms, means, point};

/// Show what differs between two result files: a change of the code, another machine
#[derive(Debug, Args)]
pub(crate) struct Compare {
    /// The result file to compare with
    #[arg(value_name = "A.jsonl")]
    first: PathBuf,
    /// The result file whose times are divided by those of the first
    #[arg(value_name = "B.jsonl")]
    second: PathBuf,
}

impl Command for Compare {
    const NAME: &'static str = "compare";
    const EXAMPLES: Examples = &[(
        "compare before.jsonl after.jsonl",
        "what a change of the code did",
    )];

    fn run(self, _context: &Context) -> Result<bool, Error> {
        print(&self.text().map_err(Error::NotRun)?)
    }
}

impl Compare {
    fn text(&self) -> Result<String, String> {
        let (first, second) = (&self.first, &self.second);
        let (before, after) = (Results::of_file(first)?, Results::of_file(second)?);
        render((&shown(first), &before), (&shown(second), &after))
    }
}

fn render(
    (first, before): (&str, &Results),
    (second, after): (&str, &Results),
) -> Result<String, String> {
    let pairs: Vec<(&CellResults, &CellResults)> = before
        .cells
        .iter()
        .filter(|cell| !cell.is_twin())
        .filter_map(|cell| Some((cell, counterpart(cell, after)?)))
        .collect();
    if pairs.is_empty() {
        return Err(format!(
            "{first} and {second} have no cell in common: no workload with the same parameters, \
             threads and seed on the same heap within the same heap bytes"
        ));
    }
    let changes = changes(&pairs, before, after);

    let mut text = format!("A: {first}\nB: {second}\n\n");
    text.push_str(&environments(before, after));
    for (name, results) in [(first, before), (second, after)] {
        for note in &results.notes {
            let _ = writeln!(text, "{name}: {note}");
        }
    }
    let lines = lines(&changes);
    let wide = draw(&lines, TITLES.len());
    let table = if fits(&wide) {
        wide
    } else {
        draw(&lines, TITLES.len() - DETAILS)
    };
    let _ = writeln!(text, "{}\n", table.trim_fmt());
    text.push_str(&mean_changes(&changes));
    text.push_str(&missing(before, after, first));
    text.push_str(&missing(after, before, second));
    text.push_str(
        "The runs were not interleaved: what changed on the machine between them is in the ratios \
         too. Intervals are as wide as it takes\nthat 5 % of the verdicts at most are wrong, but \
         for that.\n",
    );
    Ok(text)
}

const TITLES: [&str; 12] = [
    "workload",
    "threads",
    "heap",
    "limit",
    "A",
    "B",
    "B / A [interval]",
    "",
    "longest pause A",
    "B",
    "peak heap A",
    "B",
];
/// The columns that a narrow terminal has no room for.
const DETAILS: usize = 4;

/// A cell before and after.
struct Change<'r> {
    a: &'r CellResults,
    b: &'r CellResults,
    /// The logarithms of both sides' times; `None` if one has none, or they did other work.
    times: Option<[Centre; 2]>,
    inference: Inference,
}

impl Change<'_> {
    fn ratio(&self) -> Option<Estimate> {
        let [a, b] = self.times.as_ref()?;
        Some(self.inference.quotient(b, a))
    }
}

/// The pairs, with how sure their ratios are.
fn changes<'r>(
    pairs: &[(&'r CellResults, &'r CellResults)],
    before: &Results,
    after: &Results,
) -> Vec<Change<'r>> {
    let times = |(a, b): &(&CellResults, &CellResults)| {
        let centre = |cell: &CellResults| Centre::of(&logarithms(&means(&cell.times())));
        has_same_work(a, b).then_some([centre(a)?, centre(b)?])
    };
    let times: Vec<Option<[Centre; 2]>> = pairs.iter().map(times).collect();
    let calibration = before.timing().calibration();
    let calibration = calibration.max(after.timing().calibration());
    let inference = Inference::new(
        Prior::of(times.iter().flatten().flatten()),
        1.0 - FALSE_DISCOVERIES,
    );
    let inference = inference.scaled(calibration);
    let confidence = family::confidence(times.iter().flatten().count(), |confidence| {
        let at = inference.at(confidence);
        let verdicts = (times.iter().flatten()).map(|[a, b]| Verdict::of(at.quotient(b, a)));
        verdicts.filter(|verdict| verdict.is_decided()).count()
    });
    let changes = pairs.iter().zip(times).map(|(&(a, b), times)| Change {
        a,
        b,
        times,
        inference: inference.at(confidence),
    });
    changes.collect()
}

/// One line a pair, all columns.
fn lines(changes: &[Change<'_>]) -> Vec<Vec<String>> {
    let mut last = None;
    changes
        .iter()
        .map(|change| {
            let a = change.a;
            let work = (a.workload_label(), a.threads());
            let is_new = last.replace(work) != Some(work);
            let once = |text: String| if is_new { text } else { String::new() };
            let limit = if a.is_limited() {
                format_bytes(a.heap_bytes())
            } else {
                "-".to_owned()
            };
            let mut line = vec![
                once(a.workload_label().to_owned()),
                once(a.threads().to_string()),
                a.heap_label().to_owned(),
                limit,
            ];
            line.extend(figures(change));
            line
        })
        .collect()
}

/// The table of the first columns.
fn draw(lines: &[Vec<String>], columns: usize) -> Table {
    let header = TITLES[..columns].iter().map(Cell::new).collect();
    let lines: Vec<Vec<String>> = lines.iter().map(|line| line[..columns].to_vec()).collect();
    let mut table = arrange(header, &lines, 3);
    if let Some(word) = TITLES.iter().position(|title| title.is_empty())
        && let Some(column) = table.column_mut(word)
    {
        column.set_cell_alignment(CellAlignment::Left);
    }
    table
}

/// The cell of `results` that was asked to do the same. Sizes that are multiples of a searched
/// minimum are matched by the multiple: a change of the code may change the minimum.
fn counterpart<'r>(cell: &CellResults, results: &'r Results) -> Option<&'r CellResults> {
    let size = |cell: &CellResults| match cell.multiple() {
        Some(multiple) => (true, (multiple * 50.0).round() as u64),
        None => (false, cell.heap_bytes()),
    };
    results.cells.iter().find(|other| {
        !other.is_twin()
            && cell.is_same_work(other)
            && size(cell) == size(other)
            && if cell.is_peer() {
                // The program may lie elsewhere on another machine.
                cell.heap_label() == other.heap_label()
            } else {
                cell.is_same_heap(other)
            }
    })
}

fn figures(change: &Change<'_>) -> Vec<String> {
    let (a, b) = (change.a, change.b);
    let time = |cell: &CellResults| {
        point(&cell.times()).map_or_else(
            || {
                let failure = cell.failure();
                failure.map_or("-".to_owned(), |row| row.status.to_string())
            },
            format_time,
        )
    };
    let ratio = change.ratio();
    let word = match ratio {
        Some(ratio) => Verdict::of(ratio).to_string(),
        None if has_same_work(a, b) => String::new(),
        None => "other work".to_owned(),
    };
    let pause = |cell: &CellResults| {
        let longest = cell
            .measured()
            .filter_map(|metrics| metrics.pauses.pause_max_ns);
        longest
            .max()
            .map_or("-".to_owned(), |longest| format_time(longest as f64))
    };
    let peak = |cell: &CellResults| {
        let peak = cell.measured().map(|metrics| metrics.peak_heap_bytes);
        peak.max().map_or("-".to_owned(), format_bytes)
    };
    vec![
        time(a),
        time(b),
        ratio.map_or("-".to_owned(), format_ratio),
        word,
        pause(a),
        pause(b),
        peak(a),
        peak(b),
    ]
}

/// Whether the two did the same work, as far as both did any.
fn has_same_work(a: &CellResults, b: &CellResults) -> bool {
    match (a.measured().next(), b.measured().next()) {
        (Some(a), Some(b)) => a.work() == b.work(),
        _ => true,
    }
}

/// For each heap, the geometric mean over its cells.
fn mean_changes(changes: &[Change<'_>]) -> String {
    let mut heaps: Vec<&str> = Vec::new();
    for change in changes {
        if !heaps.contains(&change.a.heap_label()) {
            heaps.push(change.a.heap_label());
        }
    }
    let mut text = String::new();
    for heap in heaps {
        let of_heap = changes
            .iter()
            .filter(|change| change.a.heap_label() == heap);
        let times: Vec<&[Centre; 2]> = of_heap.filter_map(|one| one.times.as_ref()).collect();
        let quotients: Vec<Centre> = times.iter().map(|[a, b]| b.less(a)).collect();
        if let Some(mean) = changes[0].inference.mean(&quotients) {
            let cells = if quotients.len() == 1 {
                "pair"
            } else {
                "pairs"
            };
            let _ = writeln!(
                text,
                "{heap}: geometric mean of B / A over {} {cells}: {}",
                quotients.len(),
                format_ratio(mean)
            );
        }
    }
    text
}

/// What only one of the two has.
fn missing(of: &Results, other: &Results, name: &str) -> String {
    let alone: Vec<String> = of
        .cells
        .iter()
        .filter(|cell| !cell.is_twin() && counterpart(cell, other).is_none())
        .map(|cell| {
            format!(
                "{} on {} within {}",
                cell.workload_label(),
                cell.heap_label(),
                format_bytes(cell.heap_bytes())
            )
        })
        .collect();
    if alone.is_empty() {
        String::new()
    } else {
        format!("Only in {name}: {}\n", alone.join("; "))
    }
}

/// What is not the same around the two.
fn environments(before: &Results, after: &Results) -> String {
    let (old, new) = (before.environments(), after.environments());
    let mut text = String::new();
    for (name, environments) in [("A", &old), ("B", &new)] {
        if environments.len() > 1 {
            let _ = writeln!(
                text,
                "{name} was made in {} environments; the first is looked at.",
                environments.len()
            );
        }
    }
    let (Some(old), Some(new)) = (old.first(), new.first()) else {
        return text;
    };
    let differences = old.differences(new);
    if differences.is_empty() {
        text.push_str("Same machine, build and settings.\n\n");
        return text;
    }
    if old.machine() != new.machine() {
        text.push_str(
            "Made on different machines: the ratios say what the machines and everything \
             else that differs do together.\n",
        );
    }
    let _ = writeln!(text, "What differs:");
    for (name, a, b) in differences {
        let _ = writeln!(text, "  {name}: {a} -> {b}");
    }
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::environment::Environment;
    use engine::fixture::processes;
    use engine::invocation::Row;

    fn results(heap: &str, times: &[u64], revision: &str, twin: bool) -> Vec<Row> {
        let mut rows = processes(heap, times);
        for row in &mut rows {
            row.twin = twin;
            row.environment = Some(Environment {
                revision: Some(revision.to_owned()),
                ..Environment::default()
            });
        }
        rows
    }

    const BASE: [u64; 5] = [1000, 1010, 990, 1005, 995];
    const HALF: [u64; 5] = [500, 505, 495, 502, 498];

    fn comparison(before: Vec<Row>, after: Vec<Row>) -> Result<String, String> {
        render(
            ("a.jsonl", &Results::of_rows(before)),
            ("b.jsonl", &Results::of_rows(after)),
        )
    }

    #[test]
    fn a_change_is_shown_as_a_ratio_with_what_else_changed() {
        let before = [
            results("gc-rc", &BASE, "old", false),
            results("gc-rc", &BASE, "old", true),
            results("gc-marksweep", &BASE, "old", false),
            results("arena", &BASE, "old", false),
        ];
        let after = [
            results("gc-rc", &BASE, "new", false),
            results("gc-marksweep", &HALF, "new", false),
        ];
        let text = comparison(before.concat(), after.concat()).unwrap();
        assert!(text.contains("revision: old -> new"), "{text}");
        let line = |heap: &str| text.lines().find(|line| line.contains(heap)).unwrap();
        assert!(line(" gc-rc ").contains("equal within 5 %"), "{text}");
        assert!(
            line(" gc-marksweep ").contains("0.50 [") && line(" gc-marksweep ").contains("faster")
        );
        assert!(
            text.contains("gc-marksweep: geometric mean of B / A over 1 pair: 0.50"),
            "{text}"
        );
        assert!(
            text.contains("Only in a.jsonl: list:nodes=77 on arena within 8 MiB"),
            "{text}"
        );
    }

    /// A noisy machine, on which nothing can be told, shows neither a difference nor that there is
    /// none.
    #[test]
    fn what_was_not_seen_is_not_called_the_same() {
        const NOISY: [u64; 5] = [1000, 2000, 500, 1500, 700];
        let before = results("gc-rc", &BASE, "old", false);
        let text = comparison(before, results("gc-rc", &NOISY, "new", false)).unwrap();
        let line = text.lines().find(|line| line.contains(" gc-rc ")).unwrap();
        assert!(line.contains("undecided"), "{text}");
    }

    #[test]
    fn without_twins_intervals_prove_what_they_prove() {
        let text = comparison(
            results("gc-rc", &BASE, "old", false),
            results("gc-rc", &HALF, "old", false),
        );
        let text = text.unwrap();
        assert!(text.contains("faster"), "{text}");
        assert!(text.contains("not interleaved"), "{text}");
        assert!(text.contains("Same machine, build and settings."), "{text}");
    }

    #[test]
    fn nothing_in_common_is_an_error() {
        let reason = comparison(
            results("gc-rc", &BASE, "old", false),
            results("arena", &BASE, "old", false),
        );
        assert!(reason.unwrap_err().contains("no cell in common"));
    }

    #[test]
    fn other_work_is_not_compared() {
        let mut after = results("gc-rc", &HALF, "old", false);
        for row in &mut after {
            row.metrics.as_mut().unwrap().checksum = "0bad".to_owned();
        }
        let text = comparison(results("gc-rc", &BASE, "old", false), after).unwrap();
        assert!(
            text.contains("other work") && !text.contains("geometric mean"),
            "{text}"
        );
    }
}
