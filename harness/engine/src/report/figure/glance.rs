//! Figures over all workloads: ratios to the baseline, and pauses by what was alive.

use super::{Drawn, Figure, Styles, at_a_glance, grouped, of_heap};
use crate::report::plot::{Axis, Form, Plot, Point, Scale, Series, Unit};
use crate::results::{CellResults, Group, Results};
use crate::statistics::{Estimate, median};

/// Every workload's time relative to the baseline: one line a group.
pub(crate) fn times(results: &Results, styles: &Styles) -> Drawn {
    let see = |baseline: &str| {
        format!(
            "Left of the line is faster than {baseline}. Ratio of wall times at equal heap size, \
             with its interval: a heap differs where it does not touch the line."
        )
    };
    let title = "Time relative to the baseline";
    let axis = |baseline: &str| format!("wall time / {baseline}");
    let value = |group: &Group<'_>, cell: &CellResults| group.ratio(cell);
    at_a_glance(results, styles, title, axis, value, see)
}

/// Every workload's memory relative to the baseline.
pub(crate) fn memory(results: &Results, styles: &Styles) -> Drawn {
    let peak = |cell: &CellResults| {
        let peaks = cell
            .measured()
            .map(|metrics| metrics.peak_heap_bytes as f64);
        median(&peaks.collect::<Vec<_>>())
    };
    let value = |group: &Group<'_>, cell: &CellResults| {
        let baseline = group.baseline();
        if std::ptr::eq(baseline, cell) || group.is_void() || !cell.is_limited() {
            return None;
        }
        let of_baseline = peak(baseline).filter(|&peak| peak > 0.0)?;
        Some(Estimate::exact(peak(cell)? / of_baseline))
    };
    let see = |baseline: &str| {
        format!(
            "Left of the line needs less than {baseline}. Ratio of the most that each heap counted \
             against its limit, headers and metadata included; a collector that is given room uses \
             it. Heaps without a limit are left out."
        )
    };
    let title = "Memory relative to the baseline";
    let axis = |baseline: &str| format!("peak heap / {baseline}");
    at_a_glance(results, styles, title, axis, value, see)
}

/// How long collections stopped everything, by how much was alive.
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
        let collections = cell.measured().flat_map(|metrics| &metrics.collections_log);
        let points = collections.filter_map(|collection| {
            let live = collection.after_bytes?;
            Some(Point::new(live as f64, collection.pause_ns as f64))
        });
        let points: Vec<Point> = points.collect();
        if !points.is_empty() {
            count += points.len();
            used.push(cell);
            let of_heap = of_heap(&mut series, styles, cell, Form::Dots);
            of_heap.points.extend(points);
        }
    }
    for one in &mut series {
        one.points.sort_by(|a, b| b.y.value.total_cmp(&a.y.value));
        let others = one.points.split_off(one.points.len().min(LONGEST));
        let step = others.len().div_ceil(OTHERS).max(1);
        one.points.extend(others.into_iter().step_by(step));
    }
    let live = "alive after the collection";
    let plot = Plot {
        x: Axis::new(live, Unit::Bytes, Scale::Logarithmic),
        y: Axis::new("pause", Unit::Time, Scale::Logarithmic),
        series,
        rules: Vec::new(),
    };
    let reason = "no collection says how much it left alive";
    Ok(Figure {
        see: format!(
            "Lower is better. A collector that marks pays for what is alive, so that its dots rise \
             to the right. A dot a collection, all workloads and sizes; of each heap the {LONGEST} \
             longest and at most {OTHERS} others."
        ),
        n: format!("n = {} collections", grouped(count as u64)),
        ..Figure::of(TITLE, plot.draw(TITLE), reason, used.into_iter())?
    })
}
