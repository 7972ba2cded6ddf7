//! Figures of what a real heap costs: a bar a heap for each quantity, and how the cost of another
//! graph compares.

use super::cost::{QUANTITIES, Quantity, objects};
use super::difference::Change;
use crate::report::figure::{Drawn, Figure, Figures, Styles, of_processes};
use crate::report::plot::{Branch, Unit, bars, forest};
use crate::results::{CellResults, Group};
use crate::statistics::Estimate;

/// A quantity of a heap: of each object, where it is told so.
fn estimate(quantity: &Quantity, cell: &CellResults) -> Option<Estimate> {
    let estimate = of_processes(&cell.samples(quantity.value))?;
    if !quantity.each {
        return Some(estimate);
    }
    let objects = objects(cell)?;
    Some(estimate.map(|value| value / objects))
}

/// Each quantity of the graphs that were measured.
pub(crate) fn of(measured: &[(&str, &Group<'_>)], styles: &Styles) -> Figures {
    let mut figures = Figures::default();
    for quantity in &QUANTITIES {
        match figure(quantity, measured, styles) {
            Ok(figure) => figures.0.push(figure),
            Err(absent) => figures.1.push(absent),
        }
    }
    figures
}

fn branches(quantity: &Quantity, measured: &[(&str, &Group<'_>)], styles: &Styles) -> Vec<Branch> {
    let branches = measured.iter().map(|(name, group)| {
        let cells = group.cells.iter();
        let values = cells.filter_map(|cell| Some((styles.of(cell), estimate(quantity, cell)?)));
        Branch {
            name: (*name).to_owned(),
            detail: String::new(),
            values: values.collect(),
        }
    });
    branches
        .filter(|branch| !branch.values.is_empty())
        .collect()
}

fn figure(quantity: &Quantity, measured: &[(&str, &Group<'_>)], styles: &Styles) -> Drawn {
    let title = quantity.name;
    let each = match (quantity.each, quantity.unit == Unit::Bytes) {
        (true, true) => "bytes an object",
        (true, false) => "time an object",
        (false, _) => "time",
    };
    let cells = || {
        let cells = measured.iter().flat_map(|(_, group)| &group.cells);
        cells
            .copied()
            .filter(|cell| estimate(quantity, cell).is_some())
    };
    let branches = branches(quantity, measured, styles);
    let legend = styles.legend(cells());
    let drawing = bars(title, (each, quantity.unit), &legend, &branches);
    let reason = match quantity.name {
        "replacing" => "nothing was replaced: --replace 0",
        _ => "nothing was measured",
    };
    let figure = Figure::of(title, drawing, reason, cells())?;
    let mut letters = title.chars();
    let first = letters.next().map(|letter| letter.to_ascii_uppercase());
    let unit = if quantity.each { ", an object" } else { "" };
    Ok(Figure {
        // They have the paths of graphs.
        commands: Vec::new(),
        title: format!("{}{}{unit}", first.unwrap_or_default(), letters.as_str()),
        see: format!(
            "Shorter is better. {} Trimmed geometric means over processes, and lines that are their \
             95 % intervals; the table has medians.",
            quantity.see
        ),
        ..figure
    })
}

/// What another graph costs more on each heap, as ratios.
pub(crate) fn of_changes(
    (new, old): (&str, &str),
    changes: &[(&CellResults, Vec<Change>)],
    styles: &Styles,
) -> Drawn {
    const TITLE: &str = "Cost of another graph";
    let branches = QUANTITIES.iter().map(|quantity| {
        let values = changes.iter().filter_map(|(cell, changes)| {
            let change = changes.iter().find(|change| change.name == quantity.name)?;
            Some((styles.of(cell), change.ratio))
        });
        Branch {
            name: quantity.name.to_owned(),
            detail: String::new(),
            values: values.collect(),
        }
    });
    let branches: Vec<Branch> = branches
        .filter(|branch| !branch.values.is_empty())
        .collect();
    let cells = changes.iter().map(|(cell, _)| *cell);
    let legend = styles.legend(cells.clone());
    let drawing = forest(TITLE, "ratio of whole costs", &legend, &branches);
    let reason = "no heap was measured with both";
    let figure = Figure::of(TITLE, drawing, reason, cells)?;
    Ok(Figure {
        commands: Vec::new(),
        title: format!("Cost of {new} over that of {old}"),
        see: format!(
            "Right of the line costs more than {old}. Ratio of whole costs, not of an object's, on \
             the same heap, of the rounds in which both ran, with its interval."
        ),
        ..figure
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::heap::fixture::measured;
    use crate::results::Results;

    #[test]
    fn a_bar_is_what_an_object_costs_with_its_interval() {
        let rows = [
            measured("gc-rc", &[100, 100, 100, 100]),
            measured("gc-marksweep", &[300, 310, 290, 300]),
        ];
        let results = Results::of_rows(rows.concat());
        let groups = results.groups();
        let styles = Styles::new(&results);
        let measured = [("a.dot", &groups[0])];
        let value = |name: &str| -> Vec<(usize, f64, bool)> {
            let mut quantities = QUANTITIES.iter();
            let quantity = quantities.find(|quantity| quantity.name == name).unwrap();
            let branches = branches(quantity, &measured, &styles);
            assert_eq!(branches.len(), 1);
            let values = branches[0].values.iter();
            values
                .map(|&(style, estimate)| {
                    let value = (10.0 * estimate.value).round() / 10.0;
                    (style, value, estimate.interval.is_some())
                })
                .collect()
        };
        assert_eq!(value("memory"), [(0, 64.0, true), (1, 64.0, true)]);
        assert_eq!(value("collection"), [(0, 10.0, true), (1, 30.0, true)]);
        assert_eq!(value("death of all"), [(0, 30.0, true), (1, 90.0, true)]);
        // Of all of it: the drop is twice as long as anything else.
        assert_eq!(value("longest stop"), [(0, 200.0, true), (1, 599.8, true)]);
        let (drawn, missing) = of(&measured, &styles);
        assert_eq!((drawn.len(), missing.len()), (6, 1));
        assert_eq!(missing[0].title, "replacing");
        assert_eq!(drawn[0].title, "Memory, an object");
        assert!(drawn[0].n.contains("4 processes"), "{}", drawn[0].n);
    }
}
