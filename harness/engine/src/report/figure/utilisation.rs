//! Minimum mutator utilisation over the length of the window.

use std::collections::BTreeMap;

use super::{Drawn, Figure, Styles, size};
use crate::invocation::Utilisation;
use crate::report::plot::{Axis, Form, Plot, Point, Scale, Series, Unit};
use crate::results::{CellResults, Group};

/// The least over the iterations for each window that all of them have: one that only some have
/// would compare them with nothing.
fn curve(cell: &CellResults, value: fn(&Utilisation) -> f64) -> Vec<Point> {
    let mut least: BTreeMap<u64, (usize, f64)> = BTreeMap::new();
    let mut count = 0;
    for metrics in cell.measured().filter(|one| !one.utilisation.is_empty()) {
        count += 1;
        for point in &metrics.utilisation {
            let entry = least.entry(point.window_ns).or_insert((0, f64::INFINITY));
            *entry = (entry.0 + 1, entry.1.min(value(point)));
        }
    }
    let common = least.into_iter().filter(|(_, (seen, _))| *seen == count);
    common
        .map(|(window, (_, least))| Point::new(window as f64, least))
        .collect()
}

pub(super) fn utilisation(group: &Group<'_>, styles: &Styles) -> Drawn {
    const TITLE: &str = "Minimum mutator utilisation";
    let mut series = Vec::new();
    for cell in &group.cells {
        let process = curve(cell, |point| point.process);
        if process.is_empty() {
            continue;
        }
        let mut add = |name: String, form, points| {
            series.push(Series {
                name,
                style: styles.of(cell),
                form,
                points,
            });
        };
        let name = cell.heap_label();
        if cell.threads() > 1 {
            let worst = curve(cell, |point| point.worst_thread);
            add(format!("{name}, worst thread"), Form::Companion, worst);
        }
        add(name.to_owned(), Form::Curve, process);
    }
    let plot = Plot {
        x: Axis::new("window", Unit::Time, Scale::Logarithmic),
        y: Axis::new("least share of the window", Unit::Share, Scale::Linear),
        series,
        rules: Vec::new(),
    };
    let cells = group.cells.iter().copied();
    let figure = Figure::of(TITLE, plot.draw(TITLE), "the rows do not say it", cells)?;
    Ok(Figure {
        title: format!("{TITLE}, at {}", size(group)),
        see: "Higher is better. Of every stretch of time of the length on the axis, the one in \
              which the threads ran least: where a curve leaves zero is the longest time in which \
              nothing ran."
            .to_owned(),
        n: format!("{}; the least over them", figure.n),
        ..figure
    })
}
