//! Pauses and latencies by percentile, over the nines.

use super::{Drawn, Figure, Styles, grouped, size};
use crate::invocation::{Distribution, Metrics};
use crate::report::plot::{Axis, Form, Plot, Point, Scale, Series, Unit};
use crate::results::Group;

/// A curve over the nines up to where samples are too few, and the longest as a marker of its own.
fn curve(name: &str, style: usize, distribution: &Distribution) -> [Series; 2] {
    /// Points a nine: finer than a screen shows.
    const STEPS: i32 = 20;
    let points = (0..8 * STEPS).map_while(|step| {
        let quantile = 1.0 - 10.0_f64.powf(-f64::from(step) / f64::from(STEPS));
        let value = distribution.percentile(quantile)?;
        Some(Point::new(quantile, value as f64))
    });
    let last = 1.0 - 1.0 / distribution.count as f64;
    let longest = Point::new(last, distribution.max_ns as f64);
    let series = |form, points| Series {
        name: name.to_owned(),
        style,
        form,
        points,
    };
    [
        series(Form::Curve, points.collect()),
        series(Form::Dots, vec![longest]),
    ]
}

/// Percentile curves of a distribution that each cell of a group has or has not: the title of its
/// axis, of what it is, and what to see in it.
fn percentiles(
    title: &'static str,
    group: &Group<'_>,
    styles: &Styles,
    (axis, things, see): (&str, &str, &str),
    reason: &'static str,
    distribution: impl Fn(&Metrics) -> Distribution,
) -> Drawn {
    let mut series = Vec::new();
    let mut counts = Vec::new();
    for cell in &group.cells {
        let parts: Vec<Distribution> = cell.measured().map(&distribution).collect();
        let merged = Distribution::merge(&parts);
        if merged.count > 0 {
            series.extend(curve(cell.heap_label(), styles.of(cell), &merged));
            counts.push(format!("{} {}", cell.heap_label(), grouped(merged.count)));
        }
    }
    let plot = Plot {
        x: Axis::new("percentile", Unit::Share, Scale::Nines),
        y: Axis::new(axis, Unit::Time, Scale::Logarithmic),
        series,
        rules: Vec::new(),
    };
    Ok(Figure {
        title: format!("{title}, at {}", size(group)),
        see: format!(
            "{see} A curve ends where fewer than 10 samples lie above it; the marker beyond it is \
             the longest."
        ),
        n: format!(
            "n = {} {things}, over all timed iterations",
            counts.join(", ")
        ),
        ..Figure::of(title, plot.draw(title), reason, group.cells.iter().copied())?
    })
}

pub(super) fn pauses(group: &Group<'_>, styles: &Styles) -> Drawn {
    percentiles(
        "Pauses by percentile",
        group,
        styles,
        (
            "pause",
            "pauses",
            "Lower is better, and to the right are the rare long ones. Everything that stopped a \
             thread, waits for the lock included.",
        ),
        "no thread was ever stopped, or the rows are of a version that did not say",
        |metrics| metrics.pauses.distribution(),
    )
}

pub(super) fn latencies(group: &Group<'_>, styles: &Styles) -> Drawn {
    let latency = |metrics: &Metrics| metrics.latency.get("open-loop").cloned();
    percentiles(
        "Request latency by percentile",
        group,
        styles,
        (
            "open-loop latency",
            "requests",
            "Lower is better. From the moment at which a request was due to its end, so that \
             requests that queue behind a pause count.",
        ),
        "the workload has no requests",
        |metrics| latency(metrics).unwrap_or_default(),
    )
}
