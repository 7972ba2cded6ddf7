//! Curves over the heap sizes of one work: its time, and what it costs over the least that it can
//! cost.

use super::{Drawn, Figure, Missing, Styles, at_a_glance, of_heap, of_processes};
use crate::measure::lbo::{self, Cost, Resource};
use crate::report::plot::{Axis, Form, Plot, Point, Rule, Scale, Series, Unit, format_value};
use crate::results::{CellResults, Group, Results};
use crate::statistics::{Estimate, median, range};

/// A heap's cost in one group; `None` without figures.
type Value<'v> = &'v dyn Fn(&CellResults) -> Option<Estimate>;

/// The axis of heap sizes: multiples of the minimum where that is known for all, otherwise bytes.
fn axis(work: &[Group<'_>]) -> Axis {
    if has_multiples(work) {
        let title = "heap size / minimum heap";
        Axis::new(title, Unit::Multiple, Scale::Logarithmic)
    } else {
        Axis::new("heap size", Unit::Bytes, Scale::Logarithmic)
    }
}

fn has_multiples(work: &[Group<'_>]) -> bool {
    let mut cells = work.iter().flat_map(|group| &group.cells);
    cells.all(|cell| cell.multiple().is_some())
}

/// For each heap of a work, one series over its heap sizes; heaps without a limit do not depend on
/// the size and are rules.
fn over_sizes(
    work: &[Group<'_>],
    styles: &Styles,
    value: Value<'_>,
    unit: Unit,
) -> (Vec<Series>, Vec<Rule>) {
    let has_multiples = has_multiples(work);
    let mut series: Vec<Series> = Vec::new();
    let mut unlimited: Vec<(&str, Vec<f64>)> = Vec::new();
    let groups = work.iter().filter(|group| !group.is_void());
    for &cell in groups.flat_map(|group| &group.cells) {
        let Some(y) = value(cell) else {
            continue;
        };
        if cell.is_limited() {
            let multiple = cell.multiple().filter(|_| has_multiples);
            let x = multiple.unwrap_or(cell.heap_bytes() as f64);
            let points = &mut of_heap(&mut series, styles, cell, Form::Line).points;
            points.push(Point { x, y });
            continue;
        }
        let label = cell.heap_label();
        match unlimited.iter_mut().find(|(heap, _)| *heap == label) {
            Some((_, values)) => values.push(y.value),
            None => unlimited.push((label, vec![y.value])),
        }
    }
    let rule = |(heap, values): (&str, Vec<f64>)| {
        let y = median(&values)?;
        let label = format!("{heap}: {}", format_value(y, unit, 3));
        Some(Rule { y, label })
    };
    (series, unlimited.into_iter().filter_map(rule).collect())
}

/// Logarithmic where the largest of what is drawn, intervals included, is more than ten times the
/// smallest, otherwise in proportion from zero.
fn scale(series: &[Series], rules: &[Rule]) -> Scale {
    let points = series.iter().flat_map(|one| &one.points);
    let values = points.flat_map(|point| point.heights());
    let values = values.chain(rules.iter().map(|rule| rule.y));
    match range(values.filter(|&value| value > 0.0)) {
        Some((low, high)) if high > 10.0 * low => Scale::Logarithmic,
        _ => Scale::Linear,
    }
}

/// A figure over the heap sizes of a work; `single_size` says why there is none if there is but
/// one.
fn against_heap(
    title: &'static str,
    work: &[Group<'_>],
    styles: &Styles,
    single_size: &'static str,
    (y, unit): (&str, Unit),
    value: Value<'_>,
) -> Drawn {
    if work.len() < 2 {
        let reason = single_size;
        return Err(Missing { title, reason });
    }
    let (series, rules) = over_sizes(work, styles, value, unit);
    let plot = Plot {
        x: axis(work),
        y: Axis::new(y, unit, scale(&series, &rules)),
        series,
        rules,
    };
    let cells = work.iter().flat_map(|group| group.cells.iter().copied());
    Figure::of(title, plot.draw(title), "nothing was measured", cells)
}

pub(super) fn time(work: &[Group<'_>], styles: &Styles) -> Drawn {
    let title = "Time against heap size";
    let y = ("wall time", Unit::Time);
    let value = |cell: &CellResults| of_processes(&cell.times());
    Ok(Figure {
        see: "Lower is faster; a curve that rises to the left pays for a small heap with \
              collections. Wall time of one run of the workload; bars are 95 % intervals."
            .to_owned(),
        ..against_heap(title, work, styles, "one heap size", y, &value)?
    })
}

/// What the heaps of a work cost, each over the least that the work can cost as far as all of them,
/// at all their sizes, tell.
fn overheads<'g>(
    groups: &'g [&Group<'_>],
    resource: Resource,
) -> impl Fn(&CellResults) -> Option<Estimate> + use<'g> {
    let groups = groups.iter().filter(|group| !group.is_void());
    let cells = groups.flat_map(|group| &group.cells);
    let ideal = lbo::ideal(cells.filter_map(|cell| Cost::mean(cell.measured(), resource)));
    move |cell| {
        let costs = cell.samples(|metrics| Some(Cost::of(metrics, resource).total));
        let ideal = ideal?;
        Some(of_processes(&costs)?.map(|cost| cost / ideal))
    }
}

fn overhead_title(resource: Resource) -> &'static str {
    match resource {
        Resource::Wall => "Lower-bound overhead, wall time",
        Resource::Cpu => "Lower-bound overhead, CPU time",
    }
}

/// What the least is.
const IDEAL: &str = "The least that the work can cost is taken to be the cheapest run of any heap \
                     here, less what is certain to be collection in it; the true overhead is at \
                     least what is shown.";

pub(super) fn overhead(work: &[Group<'_>], styles: &Styles, resource: Resource) -> Drawn {
    let title = overhead_title(resource);
    let single_size = "one heap size: it is among those at a glance";
    let y = ("cost / the least it can be", Unit::Multiple);
    let groups: Vec<&Group<'_>> = work.iter().collect();
    let value = overheads(&groups, resource);
    Ok(Figure {
        see: format!(
            "Lower is better; 1\u{d7} would be memory management for nothing. {IDEAL} Bars are \
             95 % intervals."
        ),
        ..against_heap(title, work, styles, single_size, y, &value)?
    })
}

/// The lower-bound overhead of every heap in every workload.
pub(crate) fn overhead_at_a_glance(
    results: &Results,
    styles: &Styles,
    resource: Resource,
) -> Drawn {
    let value = |group: &Group<'_>, cell: &CellResults| {
        overheads(&[group], resource)(cell).filter(|_| !group.is_void())
    };
    let axis = match resource {
        Resource::Wall => "wall time / the least it can be",
        Resource::Cpu => "CPU time / the least it can be",
    };
    let see = |_: &str| format!("To the left is better. {IDEAL} With 95 % intervals.");
    let title = overhead_title(resource);
    at_a_glance(results, styles, title, |_| axis.to_owned(), value, see)
}
