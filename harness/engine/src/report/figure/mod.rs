//! What there is to plot: from rows to the figures of a report, each with the words that go with
//! it.
//!
//! A figure is a drawing, what to see in it, of how much it is made, and the command that made it.
//! One that lacks its data is not drawn empty: it is [`Missing`], with the reason, and the page
//! says so in a line.
//!
//! The figures are those that people who compare collectors expect: time and lower-bound overhead
//! against the heap multiple, with intervals; percentiles of pauses and latencies over the nines;
//! minimum mutator utilisation over the logarithm of the window; occupied memory over time; latency
//! against space; pauses against live heap. A file of one heap size has no curve over sizes; its
//! workloads are compared at a glance instead ([`glance`]).
//!
//! A heap looks the same in every figure of a page ([`Styles`]): what is compared across figures
//! must not change its colour between them.

mod glance;
mod memory;
mod percentile;
mod sizes;
mod utilisation;

use maud::Markup;

use super::commands;
use super::plot::{Branch, Form, Series, Unit, forest, format_value};
use super::quantity::grouped;
use super::table::several;
use super::text::threads;
use crate::invocation::format_bytes;
use crate::measure::lbo::Resource;
use crate::results::{CellResults, Group, Results};
use crate::statistics::{Estimate, Inference, Samples, means, range};

/// A quantity by itself, with a 95 % interval.
pub(crate) fn of_processes(samples: &Samples) -> Option<Estimate> {
    let estimate = Inference::new(None, 0.95).figure(&means(samples))?;
    // Two processes have an interval, but it would be all that can be seen of the figure.
    Some(Estimate {
        interval: estimate.interval.filter(|_| estimate.n > 2),
        ..estimate
    })
}

/// A drawing with its caption.
pub(crate) struct Figure {
    pub(crate) title: String,
    pub(crate) drawing: Markup,
    /// What to see, and in which unit.
    pub(crate) see: String,
    /// Of how much it is made.
    pub(crate) n: String,
    /// The command lines that made its data; empty where the rows do not say.
    pub(crate) commands: Vec<String>,
}

/// A figure that is not there.
pub(crate) struct Missing {
    pub(crate) title: &'static str,
    pub(crate) reason: &'static str,
}

pub(crate) type Drawn = Result<Figure, Missing>;

impl Figure {
    /// A drawing of these cells, without what to see in it; [`Missing`] for this reason if there is
    /// none.
    pub(crate) fn of<'c>(
        title: &'static str,
        drawing: Option<Markup>,
        reason: &'static str,
        cells: impl Iterator<Item = &'c CellResults> + Clone,
    ) -> Drawn {
        Ok(Self {
            title: title.to_owned(),
            drawing: drawing.ok_or(Missing { title, reason })?,
            see: String::new(),
            n: repetitions(cells.clone()),
            commands: commands(cells),
        })
    }
}

/// Which style each heap has, on the whole page.
pub(crate) struct Styles {
    heaps: Vec<String>,
}

impl Styles {
    pub(crate) fn new(results: &Results) -> Self {
        // The same colours in every report, whatever it begins with.
        let mut heaps: Vec<String> = ["gc-rc", "gc-marksweep", "arena"].map(str::to_owned).into();
        for cell in &results.cells {
            if !heaps.iter().any(|heap| heap == cell.heap_label()) {
                heaps.push(cell.heap_label().to_owned());
            }
        }
        Self { heaps }
    }

    pub(crate) fn of(&self, cell: &CellResults) -> usize {
        let mut heaps = self.heaps.iter();
        heaps
            .position(|heap| heap == cell.heap_label())
            .unwrap_or_default()
    }

    /// That of something that is no heap, by its place among its like: as none of the heaps.
    pub(crate) fn beyond(&self, index: usize) -> usize {
        self.heaps.len() + index
    }

    /// Heaps of these cells with their styles, each once.
    pub(crate) fn legend<'c>(
        &self,
        cells: impl Iterator<Item = &'c CellResults>,
    ) -> Vec<(&'c str, usize)> {
        let mut legend = Vec::new();
        for cell in cells {
            let entry = (cell.heap_label(), self.of(cell));
            if !legend.contains(&entry) {
                legend.push(entry);
            }
        }
        legend
    }
}

/// The series of the cell's heap, which is added if there is none.
fn of_heap<'s>(
    series: &'s mut Vec<Series>,
    styles: &Styles,
    cell: &CellResults,
    form: Form,
) -> &'s mut Series {
    let mut known = series.iter();
    let at = known.position(|one| one.name == cell.heap_label());
    let at = at.unwrap_or_else(|| {
        series.push(Series {
            name: cell.heap_label().to_owned(),
            style: styles.of(cell),
            form,
            points: Vec::new(),
        });
        series.len() - 1
    });
    &mut series[at]
}

/// The figures that are drawn, and those that are not.
pub(crate) type Figures = (Vec<Figure>, Vec<Missing>);

/// The figures of one work.
pub(crate) fn of_work(work: &[Group<'_>], styles: &Styles) -> Figures {
    let at = nearest_to_twice(work);
    apart([
        sizes::time(work, styles),
        sizes::overhead(work, styles, Resource::Wall),
        sizes::overhead(work, styles, Resource::Cpu),
        percentile::pauses(at, styles),
        percentile::latencies(at, styles),
        utilisation::utilisation(at, styles),
        memory::timeline(at, styles),
        memory::latency_against_space(work, styles),
    ])
}

/// The picture of the answer: every workload's time relative to the baseline.
pub(crate) fn of_answer(results: &Results, styles: &Styles) -> Figures {
    apart([glance::times(results, styles)])
}

/// The figures over all workloads.
pub(crate) fn of_all_but_time(results: &Results, styles: &Styles) -> Figures {
    apart([
        glance::memory(results, styles),
        sizes::overhead_at_a_glance(results, styles, Resource::Wall),
        sizes::overhead_at_a_glance(results, styles, Resource::Cpu),
        glance::pauses_against_live(results, styles),
    ])
}

pub(crate) fn apart<const N: usize>(all: [Drawn; N]) -> Figures {
    let mut figures = Figures::default();
    for drawn in all {
        match drawn {
            Ok(figure) => figures.0.push(figure),
            Err(absent) => figures.1.push(absent),
        }
    }
    figures
}

/// The group that stands for a sweep where a figure is of one heap size: the one nearest to twice
/// the minimum, where comparisons are usually made; without a known minimum, the middle one.
fn nearest_to_twice<'w, 'r>(work: &'w [Group<'r>]) -> &'w Group<'r> {
    let distance = |group: &Group<'_>| {
        let multiple = group.cells[0].multiple()?;
        Some((multiple / 2.0).ln().abs())
    };
    let known = work
        .iter()
        .filter_map(|group| Some((distance(group)?, group)))
        .min_by(|(a, _), (b, _)| a.total_cmp(b));
    known.map_or(&work[work.len() / 2], |(_, group)| group)
}

/// Where a group was measured, such as `64 MiB (2× the minimum heap)`.
fn size(group: &Group<'_>) -> String {
    let cell = group.cells[0];
    let bytes = format_bytes(cell.heap_bytes());
    match cell.multiple() {
        Some(multiple) => format!(
            "{bytes} ({} the minimum heap)",
            format_value(multiple, Unit::Multiple, 3)
        ),
        None => bytes,
    }
}

/// Processes and iterations of these cells, such as `n = 3 processes a heap and size, 1 timed
/// iteration each`.
fn repetitions<'c>(cells: impl Iterator<Item = &'c CellResults>) -> String {
    let times: Vec<Vec<Vec<f64>>> = cells.map(CellResults::times).collect();
    let in_words = |numbers: &mut dyn Iterator<Item = usize>, one: &str, more: &str| {
        let numbers = numbers.filter(|&number| number > 0);
        let (low, high) = range(numbers.map(|number| number as f64)).unwrap_or_default();
        let word = if high == 1.0 { one } else { more };
        if low == high {
            format!("{high} {word}")
        } else {
            format!("{low} to {high} {word}")
        }
    };
    let mut processes = times.iter().map(Vec::len);
    let mut iterations = times.iter().flatten().map(Vec::len);
    format!(
        "n = {} a heap and size, {} each",
        in_words(&mut processes, "process", "processes"),
        in_words(&mut iterations, "timed iteration", "timed iterations")
    )
}

/// One line a work, each at the size that stands for it: what `value` says of its heaps. `axis` and
/// `see` are given what the heaps are compared with.
fn at_a_glance(
    results: &Results,
    styles: &Styles,
    title: &'static str,
    axis: impl Fn(&str) -> String,
    value: impl Fn(&Group<'_>, &CellResults) -> Option<Estimate>,
    see: impl Fn(&str) -> String,
) -> Drawn {
    let works = results.works();
    let several_threads = several(works.iter().map(|work| work[0].cells[0].threads()));
    let mut branches = Vec::new();
    let mut used = Vec::new();
    let mut baselines = Vec::new();
    for work in &works {
        let group = nearest_to_twice(work);
        let mut values = Vec::new();
        for &cell in &group.cells {
            if let Some(estimate) = value(group, cell) {
                used.push(cell);
                values.push((styles.of(cell), estimate));
            }
        }
        if values.is_empty() {
            continue;
        }
        baselines.push(group.baseline().heap_label());
        let cell = group.cells[0];
        let detail = several_threads.then(|| threads(cell.threads()));
        branches.push(Branch {
            name: cell.workload_label().to_owned(),
            detail: detail.unwrap_or_default(),
            values,
        });
    }
    baselines.dedup();
    let baseline = match baselines[..] {
        [one] => one,
        _ => "the first heap",
    };
    let legend = styles.legend(used.iter().copied());
    let drawing = forest(title, &axis(baseline), &legend, &branches);
    let reason = "no two heaps did the same work";
    Ok(Figure {
        see: see(baseline),
        ..Figure::of(title, drawing, reason, used.into_iter())?
    })
}

/// The workload, and where it tells works apart, how many threads.
pub(crate) fn work_name(cell: &CellResults, with_threads: bool) -> String {
    let name = cell.workload_label();
    if with_threads {
        format!("{name}, {}", threads(cell.threads()))
    } else {
        name.to_owned()
    }
}
