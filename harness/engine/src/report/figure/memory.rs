//! Memory over time, and what waiting costs in memory.

use super::{Drawn, Figure, Styles, of_heap, of_processes, size};
use crate::invocation::{Metrics, Sample};
use crate::report::plot::{Axis, Form, Plot, Point, Rule, Scale, Series, Unit};
use crate::report::trace::typical;
use crate::results::{CellResults, Group};
use crate::statistics::point;

pub(super) fn timeline(group: &Group<'_>, styles: &Styles) -> Drawn {
    const TITLE: &str = "Memory over time";
    let mut series = Vec::new();
    for cell in group.cells.iter().filter(|cell| cell.is_limited()) {
        let Some(metrics) = typical(cell).filter(|metrics| metrics.timeline.len() > 1) else {
            continue;
        };
        let mut add = |name: String, form, value: fn(&Sample) -> u64| {
            let samples = metrics.timeline.iter();
            let point = |sample: &Sample| Point::new(sample.at_ns as f64, value(sample) as f64);
            series.push(Series {
                name,
                style: styles.of(cell),
                form,
                points: samples.map(point).collect(),
            });
        };
        let name = cell.heap_label();
        let committed = format!("{name}, committed");
        add(committed, Form::CompanionSteps, |one| one.committed_bytes);
        add(name.to_owned(), Form::Steps, |one| one.occupied_bytes);
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
    let reason = "the rows have no samples of it";
    Ok(Figure {
        title: format!("{TITLE}, at {}", size(group)),
        see: "Lower is leaner. Occupied memory, garbage not yet reclaimed included; the thin line \
              is what the system had given. Heaps without a limit are left out."
            .to_owned(),
        n: "n = 1 iteration a heap, the one of median time, sampled".to_owned(),
        ..Figure::of(TITLE, plot.draw(TITLE), reason, group.cells.iter().copied())?
    })
}

pub(super) fn latency_against_space(work: &[Group<'_>], styles: &Styles) -> Drawn {
    const TITLE: &str = "Latency against space";
    let cells = work.iter().flat_map(|group| group.cells.iter().copied());
    let mut measured = cells.clone().flat_map(CellResults::measured);
    let has_requests = measured.any(|metrics| metrics.latency.contains_key("open-loop"));
    let mut measured = cells.clone().flat_map(CellResults::measured);
    let is_sampled = measured.any(|metrics| metrics.space.mean_occupied_bytes.is_some());
    let latency = |metrics: &Metrics| {
        let nanoseconds = if has_requests {
            metrics.latency.get("open-loop")?.percentile(0.99)
        } else {
            metrics.pauses.pause_max_ns
        };
        nanoseconds.map(|nanoseconds| nanoseconds as f64)
    };
    let space = |metrics: &Metrics| {
        let sampled = metrics.space.mean_occupied_bytes;
        Some(sampled.unwrap_or(metrics.peak_heap_bytes) as f64)
    };
    let mut series: Vec<Series> = Vec::new();
    for group in work.iter().filter(|group| !group.is_void()) {
        for cell in group.cells.iter().filter(|cell| cell.is_limited()) {
            let latencies = of_processes(&cell.samples(latency));
            if let (Some(x), Some(y)) = (point(&cell.samples(space)), latencies) {
                let points = &mut of_heap(&mut series, styles, cell, Form::Line).points;
                points.push(Point { x, y });
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
    let occupied = if is_sampled {
        "the mean of what was occupied"
    } else {
        "the most that was occupied"
    };
    Ok(Figure {
        see: format!(
            "Down and to the left is better: little waiting in little memory. {what} against \
             {occupied}; a point a heap size at which anything was stopped, bars are 95 % \
             intervals."
        ),
        ..Figure::of(TITLE, plot.draw(TITLE), "no thread was ever stopped", cells)?
    })
}
