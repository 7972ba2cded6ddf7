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
//! workloads are compared at a glance instead ([`times_at_a_glance`]).
//!
//! A heap looks the same in every figure of a page ([`Styles`]): what is compared across figures
//! must not change its colour between them.

use maud::Markup;

use super::commands;
use super::plot::{
    Axis, Branch, Form, Plot, Point, Rule, Scale, Series, Unit, forest, format_value,
};
use super::table::several;
use super::trace::typical;
use crate::invocation::{Distribution, Metrics, Sample, Utilisation, format_bytes};
use crate::measure::estimate::{self, Estimate, median};
use crate::measure::lbo::{self, Cost, Resource};
use crate::results::{CellResults, Group, Results};

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

type Drawn = Result<Figure, Missing>;

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

    fn of(&self, cell: &CellResults) -> usize {
        let mut heaps = self.heaps.iter();
        heaps
            .position(|heap| heap == cell.heap_label())
            .unwrap_or_default()
    }

    /// Heaps of these cells with their styles, each once.
    fn legend<'c>(&self, cells: impl Iterator<Item = &'c CellResults>) -> Vec<(&'c str, usize)> {
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

/// The figures of one work, and those that its rows have no data for.
pub(crate) fn of_work(work: &[Group<'_>], styles: &Styles) -> (Vec<Figure>, Vec<Missing>) {
    let at = nearest_to_twice(work);
    let all = [
        time_against_heap(work, styles),
        overhead_against_heap(work, styles, Resource::Wall),
        overhead_against_heap(work, styles, Resource::Cpu),
        pauses(at, styles),
        latencies(at, styles),
        utilisation(at, styles),
        timeline(at, styles),
        latency_against_space(work, styles),
    ];
    let mut figures = Vec::new();
    let mut missing = Vec::new();
    for drawn in all {
        match drawn {
            Ok(figure) => figures.push(figure),
            Err(absent) => missing.push(absent),
        }
    }
    (figures, missing)
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

/// Processes and iterations of these cells, such as `n = 3 processes with 1 timed iteration each`.
fn repetitions<'c>(cells: impl Iterator<Item = &'c CellResults> + Clone) -> String {
    let range = |numbers: &mut dyn Iterator<Item = usize>, one: &str, more: &str| {
        let numbers: Vec<usize> = numbers.filter(|&number| number > 0).collect();
        let (low, high) = (
            numbers.iter().min().copied().unwrap_or(0),
            numbers.iter().max().copied().unwrap_or(0),
        );
        let word = if high == 1 { one } else { more };
        if low == high {
            format!("{high} {word}")
        } else {
            format!("{low} to {high} {word}")
        }
    };
    let processes = range(
        &mut cells.clone().map(|cell| cell.times().len()),
        "process",
        "processes",
    );
    let iterations = range(
        &mut cells.flat_map(|cell| cell.times().into_iter().map(|times| times.len())),
        "timed iteration",
        "timed iterations",
    );
    format!("n = {processes} a heap and size, {iterations} each")
}

/// The axis of heap sizes: multiples of the minimum where that is known for all, otherwise bytes.
struct Sizes {
    multiples: bool,
}

impl Sizes {
    fn of(work: &[Group<'_>]) -> Self {
        let mut cells = work.iter().flat_map(|group| &group.cells);
        Self {
            multiples: cells.all(|cell| cell.multiple().is_some()),
        }
    }

    fn axis(&self) -> Axis {
        if self.multiples {
            Axis::new(
                "heap size / minimum heap",
                Unit::Multiple,
                Scale::Logarithmic,
            )
        } else {
            Axis::new("heap size", Unit::Bytes, Scale::Logarithmic)
        }
    }

    fn place(&self, cell: &CellResults) -> f64 {
        let bytes = cell.heap_bytes() as f64;
        if self.multiples {
            cell.multiple().unwrap_or(bytes)
        } else {
            bytes
        }
    }
}

/// For each heap of a work, one series over its heap sizes; heaps without a limit do not depend on
/// the size and are rules.
fn over_sizes(
    work: &[Group<'_>],
    styles: &Styles,
    value: impl Fn(&Group<'_>, &CellResults) -> Option<Estimate>,
    unit: Unit,
) -> (Vec<Series>, Vec<Rule>) {
    let sizes = Sizes::of(work);
    let mut series: Vec<Series> = Vec::new();
    let mut unlimited: Vec<(String, Vec<f64>)> = Vec::new();
    for (group, cell) in work
        .iter()
        .flat_map(|group| group.cells.iter().map(move |cell| (group, *cell)))
    {
        let Some(Estimate {
            value: y, interval, ..
        }) = value(group, cell).filter(|_| !group.is_void())
        else {
            continue;
        };
        if !cell.is_limited() {
            match unlimited
                .iter_mut()
                .find(|(heap, _)| heap == cell.heap_label())
            {
                Some((_, values)) => values.push(y),
                None => unlimited.push((cell.heap_label().to_owned(), vec![y])),
            }
            continue;
        }
        let point = Point {
            x: sizes.place(cell),
            y,
            interval,
        };
        match series.iter_mut().find(|one| one.name == cell.heap_label()) {
            Some(one) => one.points.push(point),
            None => series.push(Series {
                name: cell.heap_label().to_owned(),
                style: styles.of(cell),
                form: Form::Line,
                points: vec![point],
            }),
        }
    }
    let rules = unlimited
        .into_iter()
        .filter_map(|(heap, values)| {
            let y = median(&values)?;
            let label = format!("{heap}: {}", format_value(y, unit, 3));
            Some(Rule { y, label })
        })
        .collect();
    (series, rules)
}

/// Whether there is a curve over heap sizes to draw.
fn is_sweep(work: &[Group<'_>]) -> bool {
    work.len() > 1
}

/// Logarithmic where the largest is more than ten times the smallest, otherwise in proportion from
/// zero.
fn scale(values: impl Iterator<Item = f64>) -> Scale {
    let (low, high) = values
        .filter(|&value| value > 0.0)
        .fold((f64::INFINITY, 0.0_f64), |(low, high), value| {
            (low.min(value), high.max(value))
        });
    if high > 10.0 * low {
        Scale::Logarithmic
    } else {
        Scale::Linear
    }
}

/// Everything that is drawn, intervals included.
fn heights<'s>(series: &'s [Series], rules: &'s [Rule]) -> impl Iterator<Item = f64> + 's {
    let points = series.iter().flat_map(|one| &one.points);
    points
        .flat_map(|point| {
            let (low, high) = point.interval.unwrap_or((point.y, point.y));
            [point.y, low, high]
        })
        .chain(rules.iter().map(|rule| rule.y))
}

fn time_against_heap(work: &[Group<'_>], styles: &Styles) -> Drawn {
    const TITLE: &str = "Time against heap size";
    let missing = |reason| Missing {
        title: TITLE,
        reason,
    };
    if !is_sweep(work) {
        return Err(missing("one heap size"));
    }
    let (series, rules) = over_sizes(
        work,
        styles,
        |_, cell| estimate::single(&cell.times()),
        Unit::Time,
    );
    let y_scale = scale(heights(&series, &rules));
    let plot = Plot {
        x: Sizes::of(work).axis(),
        y: Axis::new("wall time", Unit::Time, y_scale),
        series,
        rules,
    };
    let cells = work.iter().flat_map(|group| group.cells.iter().copied());
    Ok(Figure {
        title: TITLE.to_owned(),
        drawing: plot.draw(TITLE).ok_or(missing("nothing was measured"))?,
        see: "Lower is faster; a curve that rises to the left pays for a small heap with collections. Median wall time of one run of the \
              workload; bars are 95 % intervals."
            .to_owned(),
        n: repetitions(cells.clone()),
        commands: commands(cells),
    })
}

/// What the heaps of a work cost, each over the least that the work can cost as far as all of them,
/// at all their sizes, tell.
fn overheads<'g>(
    groups: &'g [&Group<'_>],
    resource: Resource,
) -> impl Fn(&CellResults) -> Option<Estimate> + use<'g> {
    let cells = groups
        .iter()
        .filter(|group| !group.is_void())
        .flat_map(|group| &group.cells);
    let ideal = lbo::ideal(cells.filter_map(|cell| Cost::mean(cell.measured(), resource)));
    move |cell| {
        let costs = cell.samples(|metrics| Some(Cost::of(metrics, resource).total));
        let ideal = ideal?;
        Some(estimate::single(&costs)?.map(|cost| cost / ideal))
    }
}

const OVERHEAD_WALL: &str = "Lower-bound overhead, wall time";
const OVERHEAD_CPU: &str = "Lower-bound overhead, CPU time";
/// What the least is.
const IDEAL: &str = "The least that the work can cost is taken to be the cheapest run of any heap here, less what is certain to be collection in it; the true \
                     overhead is at least what is shown.";

fn overhead_title(resource: Resource) -> &'static str {
    match resource {
        Resource::Wall => OVERHEAD_WALL,
        Resource::Cpu => OVERHEAD_CPU,
    }
}

fn overhead_against_heap(work: &[Group<'_>], styles: &Styles, resource: Resource) -> Drawn {
    let title = overhead_title(resource);
    let missing = |reason| Missing { title, reason };
    if !is_sweep(work) {
        return Err(missing("one heap size: it is among those at a glance"));
    }
    let groups: Vec<&Group<'_>> = work.iter().collect();
    let overhead = overheads(&groups, resource);
    let (series, rules) = over_sizes(work, styles, |_, cell| overhead(cell), Unit::Multiple);
    let y_scale = scale(heights(&series, &rules));
    let plot = Plot {
        x: Sizes::of(work).axis(),
        y: Axis::new("cost / the least it can be", Unit::Multiple, y_scale),
        series,
        rules,
    };
    let cells = work.iter().flat_map(|group| group.cells.iter().copied());
    Ok(Figure {
        title: title.to_owned(),
        drawing: plot.draw(title).ok_or(missing("nothing was measured"))?,
        see: format!(
            "Lower is better; 1\u{d7} would be memory management for nothing. {IDEAL} Bars are 95 % intervals."
        ),
        n: repetitions(cells.clone()),
        commands: commands(cells),
    })
}

/// The lower-bound overhead of every heap in every workload.
pub(crate) fn overhead_at_a_glance(
    results: &Results,
    styles: &Styles,
    resource: Resource,
) -> Drawn {
    let value = |group: &Group<'_>, cell: &CellResults| {
        if group.is_void() {
            return None;
        }
        overheads(&[group], resource)(cell)
    };
    let axis = match resource {
        Resource::Wall => "wall time / the least it can be",
        Resource::Cpu => "CPU time / the least it can be",
    };
    let see = |_: &str| format!("To the left is better. {IDEAL} With 95 % intervals.");
    let title = overhead_title(resource);
    at_a_glance(results, styles, title, |_| axis.to_owned(), value, see)
}

/// A curve over the nines up to where samples are too few, and the longest as a marker of its own.
fn percentiles(name: &str, style: usize, distribution: &Distribution) -> [Series; 2] {
    /// Points a nine: finer than a screen shows.
    const STEPS: i32 = 20;
    let quantile = |step: i32| 1.0 - 10.0_f64.powf(-f64::from(step) / f64::from(STEPS));
    let points = (0..8 * STEPS).map_while(|step| {
        let quantile = quantile(step);
        Some(Point::new(
            quantile,
            distribution.percentile(quantile)? as f64,
        ))
    });
    let longest = (distribution.count > 0).then(|| {
        Point::new(
            1.0 - 1.0 / distribution.count as f64,
            distribution.max_ns as f64,
        )
    });
    let series = |form, points| Series {
        name: name.to_owned(),
        style,
        form,
        points,
    };
    [
        series(Form::Curve, points.collect()),
        series(Form::Dots, longest.into_iter().collect()),
    ]
}

/// Percentile curves of a distribution that each cell of a group has or has not.
fn percentile_curves(
    title: &'static str,
    group: &Group<'_>,
    styles: &Styles,
    axis: &str,
    reason: &'static str,
    distribution: impl Fn(&Metrics) -> Distribution,
) -> Result<(Markup, String), Missing> {
    let mut series = Vec::new();
    let mut counts = Vec::new();
    for cell in &group.cells {
        let parts: Vec<Distribution> = cell.measured().map(&distribution).collect();
        let merged = Distribution::merge(&parts);
        if merged.count > 0 {
            series.extend(percentiles(cell.heap_label(), styles.of(cell), &merged));
            counts.push(format!("{} {}", cell.heap_label(), grouped(merged.count)));
        }
    }
    let plot = Plot {
        x: Axis::new("percentile", Unit::Share, Scale::Nines),
        y: Axis::new(axis, Unit::Time, Scale::Logarithmic),
        series,
        rules: Vec::new(),
    };
    let drawing = plot.draw(title).ok_or(Missing { title, reason })?;
    Ok((drawing, format!("n = {}", counts.join(", "))))
}

/// A count with its thousands apart.
fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let groups: Vec<&str> = digits
        .as_bytes()
        .rchunks(3)
        .rev()
        .map(|group| std::str::from_utf8(group).expect("digits are ASCII"))
        .collect();
    groups.join(",")
}

const LAST_MARKER: &str =
    "A curve ends where fewer than 10 samples lie above it; the marker beyond it is the longest.";

fn pauses(group: &Group<'_>, styles: &Styles) -> Drawn {
    const TITLE: &str = "Pauses by percentile";
    let (drawing, n) = percentile_curves(
        TITLE,
        group,
        styles,
        "pause",
        "no thread was ever stopped, or the rows are of a version that did not say",
        |metrics| metrics.pauses.distribution(),
    )?;
    Ok(Figure {
        title: format!("{TITLE}, at {}", size(group)),
        drawing,
        see: format!(
            "Lower is better, and to the right are the rare long ones. Everything that stopped a thread, waits for the lock included. {LAST_MARKER}"
        ),
        n: format!("{n} pauses, over all timed iterations"),
        commands: commands(group.cells.iter().copied()),
    })
}

fn latencies(group: &Group<'_>, styles: &Styles) -> Drawn {
    const TITLE: &str = "Request latency by percentile";
    let (drawing, n) = percentile_curves(
        TITLE,
        group,
        styles,
        "open-loop latency",
        "the workload has no requests",
        |metrics| {
            metrics
                .latency
                .get("open-loop")
                .cloned()
                .unwrap_or_default()
        },
    )?;
    Ok(Figure {
        title: format!("{TITLE}, at {}", size(group)),
        drawing,
        see: format!(
            "Lower is better. From the moment at which a request was due to its end, so that requests that queue behind a pause count. {LAST_MARKER}"
        ),
        n: format!("{n} requests, over all timed iterations"),
        commands: commands(group.cells.iter().copied()),
    })
}

fn utilisation(group: &Group<'_>, styles: &Styles) -> Drawn {
    const TITLE: &str = "Minimum mutator utilisation";
    let mut series = Vec::new();
    for cell in &group.cells {
        let curve = |value: &dyn Fn(&Utilisation) -> f64| {
            let mut least: std::collections::BTreeMap<u64, (usize, f64)> = Default::default();
            let iterations = cell
                .measured()
                .filter(|metrics| !metrics.utilisation.is_empty());
            let mut count = 0;
            for metrics in iterations {
                count += 1;
                for point in &metrics.utilisation {
                    let entry = least.entry(point.window_ns).or_insert((0, f64::INFINITY));
                    *entry = (entry.0 + 1, entry.1.min(value(point)));
                }
            }
            // A window that only some iterations have would compare them with nothing.
            least
                .into_iter()
                .filter(|(_, (seen, _))| *seen == count)
                .map(|(window, (_, least))| Point::new(window as f64, least))
                .collect::<Vec<_>>()
        };
        let process = curve(&|point| point.process);
        if process.is_empty() {
            continue;
        }
        let (name, style) = (cell.heap_label().to_owned(), styles.of(cell));
        if cell.threads() > 1 {
            series.push(Series {
                name: format!("{name}, worst thread"),
                style,
                form: Form::Companion,
                points: curve(&|point| point.worst_thread),
            });
        }
        series.push(Series {
            name,
            style,
            form: Form::Curve,
            points: process,
        });
    }
    let plot = Plot {
        x: Axis::new("window", Unit::Time, Scale::Logarithmic),
        y: Axis::new("least share of the window", Unit::Share, Scale::Linear),
        series,
        rules: Vec::new(),
    };
    let drawing = plot.draw(TITLE).ok_or(Missing {
        title: TITLE,
        reason: "the rows do not say it",
    })?;
    Ok(Figure {
        title: format!("{TITLE}, at {}", size(group)),
        drawing,
        see: "Higher is better. Of every stretch of time of the length on the axis, the one in which the threads ran least: where a curve leaves zero is the \
              longest time in which nothing ran."
            .to_owned(),
        n: repetitions(group.cells.iter().copied()) + "; the least over them",
        commands: commands(group.cells.iter().copied()),
    })
}

fn timeline(group: &Group<'_>, styles: &Styles) -> Drawn {
    const TITLE: &str = "Memory over time";
    let mut series = Vec::new();
    let limited = group.cells.iter().filter(|cell| cell.is_limited());
    for cell in limited {
        let Some(metrics) = typical(cell).filter(|metrics| metrics.timeline.len() > 1) else {
            continue;
        };
        let curve = |value: &dyn Fn(&Sample) -> u64| {
            let samples = metrics.timeline.iter();
            samples
                .map(|sample| Point::new(sample.at_ns as f64, value(sample) as f64))
                .collect()
        };
        let (name, style) = (cell.heap_label().to_owned(), styles.of(cell));
        series.push(Series {
            name: format!("{name}, committed"),
            style,
            form: Form::CompanionSteps,
            points: curve(&|sample| sample.committed_bytes),
        });
        series.push(Series {
            name,
            style,
            form: Form::Steps,
            points: curve(&|sample| sample.occupied_bytes),
        });
    }
    let plot = Plot {
        x: Axis::new("time since the iteration began", Unit::Time, Scale::Linear),
        y: Axis::new("memory", Unit::Bytes, Scale::Linear),
        series,
        rules: vec![Rule {
            y: group.cells[0].heap_bytes() as f64,
            label: "limit".to_owned(),
        }],
    };
    let drawing = plot.draw(TITLE).ok_or(Missing {
        title: TITLE,
        reason: "the rows have no samples of it",
    })?;
    Ok(Figure {
        title: format!("{TITLE}, at {}", size(group)),
        drawing,
        see: "Lower is leaner. Occupied memory, garbage not yet reclaimed included; the thin line is what the system had given. Heaps without a limit are \
              left out."
            .to_owned(),
        n: "n = 1 iteration a heap, the one of median time, sampled".to_owned(),
        commands: commands(group.cells.iter().copied()),
    })
}

fn latency_against_space(work: &[Group<'_>], styles: &Styles) -> Drawn {
    const TITLE: &str = "Latency against space";
    let has_requests = work
        .iter()
        .flat_map(|group| &group.cells)
        .flat_map(|cell| cell.measured())
        .any(|metrics| metrics.latency.contains_key("open-loop"));
    let latency = |metrics: &Metrics| {
        if has_requests {
            metrics
                .latency
                .get("open-loop")?
                .percentile(0.99)
                .map(|latency| latency as f64)
        } else {
            metrics.pauses.pause_max_ns.map(|longest| longest as f64)
        }
    };
    let space = |metrics: &Metrics| {
        let sampled = metrics.space.mean_occupied_bytes;
        sampled.unwrap_or(metrics.peak_heap_bytes) as f64
    };
    let mut series: Vec<Series> = Vec::new();
    for group in work.iter().filter(|group| !group.is_void()) {
        for cell in group.cells.iter().filter(|cell| cell.is_limited()) {
            let latencies: Vec<f64> = cell.measured().filter_map(latency).collect();
            let spaces: Vec<f64> = cell.measured().map(space).collect();
            let (Some(x), Some(y)) = (median(&spaces), estimate::spread(&latencies)) else {
                continue;
            };
            let point = Point {
                x,
                y: y.value,
                interval: y.interval,
            };
            match series.iter_mut().find(|one| one.name == cell.heap_label()) {
                Some(one) => one.points.push(point),
                None => series.push(Series {
                    name: cell.heap_label().to_owned(),
                    style: styles.of(cell),
                    form: Form::Line,
                    points: vec![point],
                }),
            }
        }
    }
    let (axis, what) = if has_requests {
        (
            "p99 open-loop latency",
            "The 99th percentile of request latency",
        )
    } else {
        ("longest pause", "The longest pause of an iteration")
    };
    let plot = Plot {
        x: Axis::new("occupied memory", Unit::Bytes, Scale::Linear),
        y: Axis::new(axis, Unit::Time, Scale::Logarithmic),
        series,
        rules: Vec::new(),
    };
    let drawing = plot.draw(TITLE).ok_or(Missing {
        title: TITLE,
        reason: "no thread was ever stopped",
    })?;
    let cells = work.iter().flat_map(|group| group.cells.iter().copied());
    let sampled = cells
        .clone()
        .flat_map(CellResults::measured)
        .any(|metrics| metrics.space.mean_occupied_bytes.is_some());
    Ok(Figure {
        title: TITLE.to_owned(),
        drawing,
        see: format!(
            "Down and to the left is better: little waiting in little memory. {what} against {}; a point a heap size at which anything was stopped, medians over iterations, \
             bars from the least to the most.",
            if sampled {
                "the mean of what was occupied"
            } else {
                "the most that was occupied"
            }
        ),
        n: repetitions(cells.clone()),
        commands: commands(cells),
    })
}

/// Every workload's time, and its memory, relative to the baseline: one line a group.
pub(crate) fn times_at_a_glance(results: &Results, styles: &Styles) -> Drawn {
    const TITLE: &str = "Time relative to the baseline";
    let value = |group: &Group<'_>, cell: &CellResults| group.ratio(cell);
    let see = |baseline: &str| {
        format!(
            "Left of the line is faster than {baseline}. Ratio of median wall times at equal heap size, with its 95 % interval: a heap differs where it does not \
             touch the line, and by more than the conclusion says that two equal things differ."
        )
    };
    let axis = |baseline: &str| format!("wall time / {baseline}");
    at_a_glance(results, styles, TITLE, axis, value, see)
}

/// Every workload's memory relative to the baseline.
pub(crate) fn memory_at_a_glance(results: &Results, styles: &Styles) -> Drawn {
    const TITLE: &str = "Memory relative to the baseline";
    let peak = |cell: &CellResults| {
        let peaks: Vec<f64> = cell
            .measured()
            .map(|metrics| metrics.peak_heap_bytes as f64)
            .collect();
        median(&peaks)
    };
    let value = |group: &Group<'_>, cell: &CellResults| {
        let baseline = group.baseline();
        if std::ptr::eq(baseline, cell) || group.is_void() || !cell.is_limited() {
            return None;
        }
        let of_baseline = peak(baseline).filter(|&peak| peak > 0.0)?;
        Some(Estimate {
            value: peak(cell)? / of_baseline,
            interval: None,
            n: cell.times().len(),
        })
    };
    let see = |baseline: &str| {
        format!(
            "Left of the line needs less than {baseline}. Ratio of the most that each heap counted against its limit, headers and metadata included; a \
             collector that is given room uses it. Heaps without a limit are left out."
        )
    };
    let axis = |baseline: &str| format!("peak heap / {baseline}");
    at_a_glance(results, styles, TITLE, axis, value, see)
}

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
        let values: Vec<_> = group
            .cells
            .iter()
            .filter_map(|cell| {
                let estimate = value(group, cell)?;
                used.push(*cell);
                Some((styles.of(cell), estimate))
            })
            .collect();
        if values.is_empty() {
            continue;
        }
        let baseline = group.baseline();
        if !baselines.contains(&baseline.heap_label()) {
            baselines.push(baseline.heap_label());
        }
        let cell = group.cells[0];
        let detail = match (several_threads, cell.threads()) {
            (false, _) => String::new(),
            (true, 1) => "1 thread".to_owned(),
            (true, threads) => format!("{threads} threads"),
        };
        branches.push(Branch {
            name: cell.workload_label().to_owned(),
            detail,
            values,
        });
    }
    let missing = Missing {
        title,
        reason: "no two heaps did the same work",
    };
    let baseline = match baselines.as_slice() {
        [one] => *one,
        _ => "the first heap",
    };
    let legend = styles.legend(used.iter().copied());
    let drawing = forest(title, &axis(baseline), &legend, &branches).ok_or(missing)?;
    Ok(Figure {
        title: title.to_owned(),
        drawing,
        see: see(baseline),
        n: repetitions(used.iter().copied()),
        commands: commands(used.iter().copied()),
    })
}

/// The workload, and where it tells works apart, how many threads.
pub(crate) fn work_name(cell: &CellResults, with_threads: bool) -> String {
    match (with_threads, cell.threads()) {
        (false, _) => cell.workload_label().to_owned(),
        (true, 1) => format!("{}, 1 thread", cell.workload_label()),
        (true, threads) => format!("{}, {threads} threads", cell.workload_label()),
    }
}

/// How long collections stopped everything, by how much was alive: over all workloads.
pub(crate) fn pauses_against_live(results: &Results, styles: &Styles) -> Drawn {
    const TITLE: &str = "Collections against live heap";
    /// More dots a heap would hide each other: the longest are kept, and an even choice of the
    /// others.
    const LONGEST: usize = 100;
    const OTHERS: usize = 150;
    let mut series: Vec<Series> = Vec::new();
    let mut used: Vec<&CellResults> = Vec::new();
    let mut count = 0;
    for cell in results.cells.iter().filter(|cell| !cell.is_twin()) {
        let points: Vec<Point> = cell
            .measured()
            .flat_map(|metrics| &metrics.collections_log)
            .filter_map(|collection| {
                let live = collection.after_bytes?;
                Some(Point::new(live as f64, collection.pause_ns as f64))
            })
            .collect();
        if points.is_empty() {
            continue;
        }
        count += points.len();
        used.push(cell);
        match series.iter_mut().find(|one| one.name == cell.heap_label()) {
            Some(one) => one.points.extend(points),
            None => series.push(Series {
                name: cell.heap_label().to_owned(),
                style: styles.of(cell),
                form: Form::Dots,
                points,
            }),
        }
    }
    for one in &mut series {
        one.points.sort_by(|a, b| b.y.total_cmp(&a.y));
        let others = one.points.split_off(one.points.len().min(LONGEST));
        let step = others.len().div_ceil(OTHERS).max(1);
        one.points.extend(others.into_iter().step_by(step));
    }
    let plot = Plot {
        x: Axis::new(
            "alive after the collection",
            Unit::Bytes,
            Scale::Logarithmic,
        ),
        y: Axis::new("pause", Unit::Time, Scale::Logarithmic),
        series,
        rules: Vec::new(),
    };
    let drawing = plot.draw(TITLE).ok_or(Missing {
        title: TITLE,
        reason: "no collection says how much it left alive",
    })?;
    Ok(Figure {
        title: TITLE.to_owned(),
        drawing,
        see: format!(
            "Lower is better. A collector that marks pays for what is alive, so that its dots rise to the right. A dot a collection, all workloads and sizes; \
             of each heap the {LONGEST} longest and at most {OTHERS} others."
        ),
        n: format!("n = {} collections", grouped(count as u64)),
        commands: commands(used.into_iter()),
    })
}
