//! The answer on one screen: how far to trust it, a line a workload, three sentences, what follows
//! for the chapters, and where the rest is.
//!
//! Invariant: at most 45 lines for a comparison of two heaps, however little the terminal shows of
//! each. Nothing is computed here that another report computes otherwise: verdicts, ratios and
//! intervals are those of the table.
//!
//! A line has the ratio of times as a bar and in figures, because the eye compares bars and the
//! reader quotes figures; the verdict in a word, coloured where the terminal has colours.
//!
//! Rejected: the table with fewer columns (absolute times answer no question that a first reader
//! has); stars or ticks for verdicts (they need a legend).

use console::Style;
use maud::{Markup, html};

use super::Chapters;
use super::quantity::{factor, format_ratio, format_time, percent};
use super::text::{threads, wrap};
use crate::invocation::{Metrics, Status};
use crate::measure::probe::Quiet;
use crate::results::{CellResults, Group, Metric, Results, TIME, opponents};
use crate::statistics::{Estimate, Verdict, median};

/// How wide sentences are set.
const WIDTH: usize = 100;

/// The most that a heap counted against its limit.
const PEAK: Metric = |metrics: &Metrics| {
    let bytes = metrics.peak_heap_bytes;
    (bytes > 0).then_some(bytes as f64)
};

/// The longest pause of an iteration.
const PAUSE: Metric = |metrics: &Metrics| Some(metrics.pauses.pause_max_ns? as f64);

/// What is said of one heap against the baseline in one comparison.
struct Line<'r> {
    name: String,
    heap: &'r str,
    time: Estimate,
    memory: Option<f64>,
    /// Of the baseline, and of the heap, in nanoseconds.
    pauses: [Option<f64>; 2],
}

impl<'r> Line<'r> {
    fn of(group: &Group<'r>, cell: &'r CellResults) -> Option<Self> {
        let baseline = group.baseline();
        let mut name = cell.workload_label().to_owned();
        if cell.threads() > 1 {
            name.push_str(&format!(", {}", threads(cell.threads())));
        }
        let memory = group.centre(cell, PEAK);
        let longest = |cell: &CellResults| {
            let processes = cell.rounds(PAUSE).into_values();
            median(&processes.collect::<Vec<f64>>())
        };
        Some(Self {
            name,
            heap: cell.heap_label(),
            time: group.ratio(cell)?,
            memory: memory.map(|memory| memory.value.exp()),
            pauses: [longest(baseline), longest(cell)],
        })
    }
}

/// A line for each pair that is compared.
fn lines<'r>(groups: &[Group<'r>]) -> Vec<Line<'r>> {
    let lines = groups.iter().flat_map(|group| {
        let compared = group.compared();
        compared.filter_map(|cell| Line::of(group, cell))
    });
    lines.collect()
}

/// The whole answer, filled for a terminal; empty if nothing was compared.
pub(crate) fn render(results: &Results, chapters: &Chapters) -> String {
    let groups = results.groups();
    let lines = lines(&groups);
    let mut text = String::new();
    if !lines.is_empty() {
        let baseline = groups[0].baseline().heap_label();
        text.push_str(&format!("{}\n\n", paragraph(&trust(results, &lines))));
        text.push_str(&table(&lines, baseline));
        text.push('\n');
        for sentence in sentences(results) {
            text.push_str(&format!("{}\n", paragraph(&sentence)));
        }
    }
    if let Some(sentence) = left_out(results) {
        text.push_str(&format!("{}\n", paragraph(&sentence)));
    }
    for chapter in chapters {
        for sentence in chapter.answer(results) {
            text.push_str(&format!("{}\n", paragraph(&sentence)));
        }
    }
    text
}

fn paragraph(sentence: &str) -> String {
    wrap(sentence, WIDTH, 0, 2)
}

/// The same for the page, below the picture that it opens with.
pub(crate) fn section(results: &Results, chapters: &Chapters) -> Markup {
    let groups = results.groups();
    let lines = lines(&groups);
    html! {
        @if !lines.is_empty() {
            @for sentence in sentences(results) { p { (sentence) } }
        }
        @if let Some(sentence) = left_out(results) { p { (sentence) } }
        @for chapter in chapters {
            @for sentence in chapter.answer(results) { p { (sentence) } }
        }
        @if !lines.is_empty() { p.quiet { (trust(results, &lines)) } }
    }
}

/// How far the figures of this run can be trusted, in one sentence.
fn trust(results: &Results, lines: &[Line<'_>]) -> String {
    let widths = lines.iter().filter_map(|line| line.time.half_width());
    let Some(width) = median(&widths.collect::<Vec<f64>>()) else {
        return "One process each proves nothing: give more --invocations.".to_owned();
    };
    let groups = results.groups();
    let same = groups.iter().filter_map(Group::same_over_same);
    let differences = same.map(|ratio| ratio.value.max(ratio.value.recip()));
    let differences: Vec<f64> = differences.collect();
    let equal = median(&differences).map_or(String::new(), |typical| {
        let pairs = match differences.len() {
            1 => "1 pair".to_owned(),
            pairs => format!("{pairs} pairs"),
        };
        let factor = results.timing().calibration();
        let wider = if factor < 1.005 {
            String::new()
        } else {
            format!(", for which all intervals are {factor:.2} times as wide")
        };
        format!(
            "; two equal things differed by {} (A/A, {pairs}){wider}",
            percent(typical)
        )
    });
    let iterations = || results.cells.iter().flat_map(CellResults::measured_rows);
    let disturbed = iterations().filter(|row| !row.noisy.is_empty()).count();
    let metrics = || results.cells.iter().flat_map(CellResults::measured);
    let slowed = Quiet::of(metrics()).and_then(|quiet| {
        let slowdowns = metrics().filter_map(|metrics| quiet.slowdown(metrics));
        median(&slowdowns.collect::<Vec<f64>>())
    });
    let slowed = slowed.map_or(String::new(), |slowed| {
        let slowed = factor(slowed);
        format!(", and a probe of shared memory took {slowed} times as long as in quiet (median)")
    });
    format!(
        "Trust: a ratio of times is known to {} here (median){equal}; {disturbed} of {} \
         iterations were disturbed{slowed}. Of the verdicts 5 % at most are wrong.",
        percent(width),
        iterations().count()
    )
}

/// What is in no line, and why: comparisons that are void, and heaps that have failed.
fn left_out(results: &Results) -> Option<String> {
    let groups = results.groups();
    let void = groups.iter().filter(|group| group.is_void());
    let void = void.map(|group| format!("{} (void)", group.cells[0].workload_label()));
    let failed = results.cells.iter().filter_map(|cell| {
        let status = cell.failure()?.status;
        (status != Status::Void && status != Status::Skipped)
            .then(|| format!("{} ({status})", cell.name()))
    });
    let all: Vec<String> = void.chain(failed).collect();
    (!all.is_empty()).then(|| format!("Left out, or with fewer processes: {}.", some_of(&all, 6)))
}

/// The first of them, and how many more there are.
pub fn some_of(all: &[String], most: usize) -> String {
    let shown = all[..all.len().min(most)].join("; ");
    match all.len() - all.len().min(most) {
        0 => shown,
        more => format!("{shown}; and {more} more"),
    }
}

fn table(lines: &[Line<'_>], baseline: &str) -> String {
    let several = lines.iter().any(|line| line.heap != lines[0].heap);
    let name = |line: &Line<'_>| match several {
        true => format!("{} {}", line.name, line.heap),
        false => line.name.clone(),
    };
    let widest = lines.iter().map(|line| name(line).chars().count()).max();
    let names = widest.unwrap_or(0).clamp(8, 34);
    let ratios: Vec<String> = lines.iter().map(|line| format_ratio(line.time)).collect();
    let ratio_width = ratios.iter().map(String::len).max().unwrap_or(0);
    let heap = if several { "heap" } else { lines[0].heap };
    let bar = Bar::of(lines);
    let mut text = format!(
        "{:names$}  {:bars$}  {:ratio_width$}  memory  {:>18}  verdict\n",
        "",
        format!("{heap} / {baseline}"),
        "time",
        "longest pauses",
        bars = Bar::COLUMNS
    );
    for (line, ratio) in lines.iter().zip(&ratios) {
        let pause = |nanoseconds: Option<f64>| nanoseconds.map_or("-".to_owned(), format_time);
        let [of_baseline, of_heap] = line.pauses.map(pause);
        let verdict = Verdict::of(line.time);
        let style = match verdict {
            verdict if verdict.is_faster() => Style::new().green(),
            verdict if verdict.is_slower() => Style::new().red(),
            _ => Style::new().yellow(),
        };
        let cut: String = name(line).chars().take(names).collect();
        text.push_str(&format!(
            "{cut:names$}  {}  {ratio:ratio_width$}  {:>6}  {:>18}  {}\n",
            bar.draw(line.time),
            line.memory
                .map_or("-".to_owned(), |ratio| format!("{}x", factor(ratio))),
            format!("{of_heap} / {of_baseline}"),
            style.apply_to(verdict)
        ));
    }
    text
}

/// An axis of ratios, logarithmic, on which 1 is marked.
struct Bar {
    low: f64,
    high: f64,
}

impl Bar {
    const COLUMNS: usize = 22;

    fn of(lines: &[Line<'_>]) -> Self {
        let ends = lines.iter().map(|line| line.time.ends());
        // A bar that says nothing shall not make the others unreadable.
        let (low, high) = ends.fold((0.8, 1.25), |(least, most): (f64, f64), (low, high)| {
            (least.min(low), most.max(high))
        });
        Self {
            low: low.max(0.05).ln(),
            high: high.min(20.0).ln(),
        }
    }

    fn column(&self, ratio: f64) -> usize {
        let share = (ratio.ln() - self.low) / (self.high - self.low);
        (share.clamp(0.0, 1.0) * (Self::COLUMNS - 1) as f64).round() as usize
    }

    fn draw(&self, ratio: Estimate) -> String {
        let (low, high) = ratio.ends();
        let (low, high) = (self.column(low), self.column(high));
        let (value, one) = (self.column(ratio.value), self.column(1.0));
        let mark = |column| match column {
            column if column == value => '●',
            column if (low..=high).contains(&column) => '─',
            column if column == one => '│',
            _ => ' ',
        };
        (0..Self::COLUMNS).map(mark).collect()
    }
}

/// Time, memory and pauses at equal memory, one sentence each for every heap that is compared.
fn sentences(results: &Results) -> Vec<String> {
    let groups = results.groups();
    let of_heap = opponents(&groups).into_iter().flat_map(|(heap, baseline)| {
        let groups = groups.iter();
        let groups = groups.filter(|group| group.baseline().heap_label() == baseline);
        let pairs = groups.flat_map(|group| group.compared().map(move |cell| (group, cell)));
        let pairs = pairs.filter(|(_, cell)| cell.heap_label() == heap);
        let pairs: Vec<(&Group<'_>, &CellResults)> = pairs.collect();
        [
            time(results, heap, baseline, &pairs),
            memory(results, heap, baseline, &pairs),
            pauses(results, heap, baseline, &pairs),
        ]
    });
    of_heap.flatten().collect()
}

type Pairs<'p, 'r> = &'p [(&'p Group<'r>, &'r CellResults)];

fn time(results: &Results, heap: &str, baseline: &str, pairs: Pairs<'_, '_>) -> Option<String> {
    let (mean, count) = results.mean(pairs.iter().copied(), TIME)?;
    let verdicts: Vec<(String, Verdict)> = pairs
        .iter()
        .filter_map(|(group, cell)| {
            let ratio = group.ratio(cell)?;
            Some((cell.workload_label().to_owned(), Verdict::of(ratio)))
        })
        .collect();
    let counted = |word: &str, wanted: &dyn Fn(Verdict) -> bool, named: bool| {
        let found = verdicts.iter().filter(|(_, verdict)| wanted(*verdict));
        let names: Vec<&str> = found.map(|(name, _)| name.as_str()).collect();
        match names.len() {
            0 => None,
            count if named && count < 5 => {
                Some(format!("{word} in {count} ({})", names.join(", ")))
            }
            count => Some(format!("{word} in {count}")),
        }
    };
    let counts = [
        counted("faster", &|verdict| verdict.is_faster(), false),
        counted("slower", &|verdict| verdict.is_slower(), true),
        counted(
            "equal within 5 %",
            &|verdict| verdict == Verdict::Equal,
            true,
        ),
        counted("undecided", &|verdict| !verdict.is_decided(), true),
    ];
    let counts: Vec<String> = counts.into_iter().flatten().collect();
    Some(format!(
        "Time: at equal memory {heap} takes {} of {baseline}'s, the geometric mean over {count} \
         workloads; {}.",
        format_ratio(mean),
        counts.join(", ")
    ))
}

fn memory(results: &Results, heap: &str, baseline: &str, pairs: Pairs<'_, '_>) -> Option<String> {
    let (mean, _) = results.mean(pairs.iter().copied(), PEAK)?;
    let more = pairs
        .iter()
        .filter_map(|(group, cell)| group.centre(cell, PEAK));
    let more: Vec<bool> = more.map(|ratio| ratio.value > 0.0).collect();
    Some(format!(
        "Memory: the most that {heap} fills of the limit is {} times what {baseline} does; it \
         fills more in {} of {}.",
        format_ratio(mean),
        more.iter().filter(|more| **more).count(),
        more.len()
    ))
}

fn pauses(results: &Results, heap: &str, baseline: &str, pairs: Pairs<'_, '_>) -> Option<String> {
    let (mean, count) = results.mean(pairs.iter().copied(), PAUSE)?;
    let longest = |cells: Vec<&CellResults>| {
        let of_cell = |cell: &CellResults| {
            let longest = cell.measured().filter_map(PAUSE).max_by(f64::total_cmp)?;
            Some((longest, cell.workload_label().to_owned()))
        };
        let all = cells.into_iter().filter_map(of_cell);
        let longest = all.max_by(|(a, _), (b, _)| a.total_cmp(b));
        longest.map_or("none".to_owned(), |(longest, work)| {
            format!("{} in {work}", format_time(longest))
        })
    };
    let theirs = longest(pairs.iter().map(|(group, _)| group.baseline()).collect());
    let ours = longest(pairs.iter().map(|(_, cell)| *cell).collect());
    Some(format!(
        "Pauses: the longest of an iteration is {} of {baseline}'s on {heap}, over {count} \
         workloads where both stop; the longest of all: {baseline} {theirs}, {heap} {ours}.",
        format_ratio(mean)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::processes;
    use crate::invocation::Row;

    /// A comparison of so many workloads, gc-marksweep taking `share` of gc-rc's time.
    fn results(workloads: u64, share: f64) -> Results {
        let around = |time: f64| [0.99, 1.0, 1.01, 1.0, 0.995].map(|one| (one * time) as u64);
        let rows = (1..=workloads).flat_map(|nodes| {
            let mut rows = processes("gc-rc", &around(1e6));
            rows.extend(processes("gc-marksweep", &around(share * 1e6)));
            rows.extend(processes("arena", &around(1e5)));
            for row in &mut rows {
                row.invocation.parameters.insert("nodes".to_owned(), nodes);
            }
            rows
        });
        Results::of_rows(rows.collect::<Vec<Row>>())
    }

    /// Lines that the answer to a comparison of two heaps takes at most.
    const LINES: usize = 45;

    /// Of these, what follows of chapters.
    const CHAPTER_LINES: usize = 8;

    #[test]
    fn it_fits_one_screen() {
        let text = render(&results(13, 0.5), &[]);
        let lines = text.lines().count();
        assert!(lines + CHAPTER_LINES + 4 <= LINES, "{lines} lines:\n{text}");
        let widest = text.lines().map(|line| line.chars().count()).max();
        assert!(widest <= Some(WIDTH), "{text}");
    }

    #[test]
    fn a_line_says_what_its_interval_proves() {
        let text = render(&results(2, 0.5), &[]);
        let line = text
            .lines()
            .find(|line| line.starts_with("list:nodes=2"))
            .unwrap();
        assert!(
            line.contains("0.50 [") && line.ends_with("faster"),
            "{text}"
        );
        assert!(text.contains("faster in 2."), "{text}");
        assert!(!text.contains("arena"), "{text}");
        let text = render(&results(2, 1.0), &[]);
        assert!(
            text.contains("equal within 5 % in 2 (list:nodes=1, list:nodes=2)"),
            "{text}"
        );
        assert_eq!(render(&Results::default(), &[]), "");
    }

    #[test]
    fn a_bar_lies_where_its_interval_does() {
        let bar = Bar {
            low: 0.25_f64.ln(),
            high: 4.0_f64.ln(),
        };
        let of = |low: f64, high: f64| {
            let drawn = bar.draw(Estimate {
                value: (low * high).sqrt(),
                interval: Some((low, high)),
                n: 5,
            });
            assert_eq!(drawn.chars().count(), Bar::COLUMNS);
            drawn
        };
        let below = of(0.3, 0.6);
        assert!(
            below.find('─') < below.find('●') && below.find('●') < below.find('│'),
            "{below}"
        );
        assert!(of(1.5, 2.0).find('│') < of(1.5, 2.0).find('─'));
        // What is beyond the axis is at its end.
        assert!(of(0.001, 0.002).starts_with('●'));
    }
}
