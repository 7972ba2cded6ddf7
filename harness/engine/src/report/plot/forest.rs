//! Values under each other, one line a name: ratios around a line at 1, or quantities as bars.

use maud::{Markup, html};

use super::axis::{Axis, Mapped, Scale, Unit};
use super::mark::{bar, class, label, legend, marker, segment};
use super::value::{described, format_value};
use super::{ADVANCE, BOTTOM, Form, RIGHT, TEXT, TOP, WIDTH, at, heights};
use crate::statistics::Estimate;

/// One line of a [`forest`] or of [`bars`]: a name, and for each style the value and its interval.
#[derive(Clone, Debug)]
pub(crate) struct Branch {
    pub(crate) name: String,
    /// What stands under the name, such as the number of threads; may be empty.
    pub(crate) detail: String,
    /// By style.
    pub(crate) values: Vec<(usize, Estimate)>,
}

/// Ratios under each other, one line a name, around a line at 1 (a *forest plot*); the axis is
/// logarithmic, so that a half and a double are equally far away. `None` if there is nothing to
/// draw.
pub(crate) fn forest(
    name: &str,
    title: &str,
    legend_of: &[(&str, usize)],
    branches: &[Branch],
) -> Option<Markup> {
    let axis = Axis::new(title, Unit::Multiple, Scale::Logarithmic);
    lines(name, &axis, false, legend_of, branches)
}

/// Quantities under each other, one line a name: bars from zero, each with its interval and, at the
/// right, its value. `None` if there is nothing to draw.
pub(crate) fn bars(
    name: &str,
    (title, unit): (&str, Unit),
    legend_of: &[(&str, usize)],
    branches: &[Branch],
) -> Option<Markup> {
    let axis = Axis::new(title, unit, Scale::Linear);
    lines(name, &axis, true, legend_of, branches)
}

/// Either of the two: bars from zero, or markers around 1.
fn lines(
    name: &str,
    axis: &Axis,
    bars: bool,
    legend_of: &[(&str, usize)],
    branches: &[Branch],
) -> Option<Markup> {
    const LINE: f64 = 22.0;
    const SPACE: f64 = 10.0;
    let lengths = branches.iter().map(|branch| branch.name.chars().count());
    let longest = lengths.max()?;
    // Long names are cut; the whole is in the tooltip.
    let most = 24;
    let width = |characters: usize| characters as f64 * TEXT * ADVANCE;
    let left = (width(longest.min(most)) + 26.0).max(60.0);
    let values = || branches.iter().flat_map(|branch| &branch.values);
    let written = |estimate: &Estimate| format_value(estimate.value, axis.unit, 3);
    let beside = values().map(|(_, estimate)| written(estimate).chars().count());
    let beside = beside.max().filter(|_| bars).map_or(0.0, width);
    let right = WIDTH - RIGHT - beside;
    let start = if bars { 0.0 } else { 1.0 };
    let ends = values().flat_map(|&(_, estimate)| heights(estimate));
    let ends = ends.chain([start]).filter(|&value| axis.shows(value));
    let x = Mapped::new(axis, ends, (left, right));
    let height_of = |branch: &Branch| {
        let lines = if branch.detail.is_empty() { 1 } else { 2 };
        LINE * branch.values.len().max(lines) as f64 + SPACE
    };
    let total: f64 = branches.iter().map(height_of).sum();
    let bottom = TOP + total;
    let mut above = TOP;
    let rows: Vec<(f64, &Branch)> = branches
        .iter()
        .map(|branch| {
            let top = above;
            above += height_of(branch);
            (top, branch)
        })
        .collect();
    let height = bottom + BOTTOM;
    let form = if bars { Form::Bars } else { Form::Dots };
    let begin = x.place(start);
    Some(html! {
        (legend(legend_of.iter().map(|&(name, style)| (name, style, form))))
        svg viewBox=(format!("0 0 {WIDTH} {height:.0}")) role="img" aria-label=(name) {
            @for tick in x.ticks() {
                (segment("grid", (tick.place, tick.place), (TOP, bottom)))
                (label("tick", (tick.place, bottom + 20.0), "middle", &tick.label))
            }
            (label("title", (f64::midpoint(left, right), bottom + 44.0), "middle", &axis.title))
            (segment(if bars { "axis" } else { "rule" }, (begin, begin), (TOP - 6.0, bottom)))
            @for (top, branch) in &rows {
                @let height = height_of(branch) - SPACE;
                @let middle = top + height / 2.0 + 5.0;
                @let name = if branch.detail.is_empty() { middle } else { middle - LINE / 2.0 };
                text.name x=(at(left - 8.0)) y=(at(name)) text-anchor="end" {
                    (shorten(&branch.name, most))
                    title { (branch.name) }
                }
                @if !branch.detail.is_empty() {
                    (label("tick", (left - 8.0, middle + LINE / 2.0), "end", &branch.detail))
                }
                @let first = top + (height - branch.values.len() as f64 * LINE) / 2.0;
                @for (index, &(style, estimate)) in branch.values.iter().enumerate() {
                    @let y = first + (index as f64 + 0.5) * LINE;
                    @let words = described(estimate, axis.unit);
                    @let place = x.place(estimate.value);
                    g class=(class(style)) {
                        @if bars {
                            (bar(style, (begin, place), (y - 7.0, y + 7.0), Some(&words)))
                        }
                        @if let Some((low, high)) = estimate.interval {
                            (segment("interval", (x.place(low), x.place(high)), (y, y)))
                        }
                        (marker(style, place, y, if bars { 4.0 } else { 5.0 }, Some(&words)))
                    }
                    @if bars { (label("name", (WIDTH - 6.0, y + 5.0), "end", &written(&estimate))) }
                }
            }
        }
    })
}

/// The text, or as much of both its ends as fits into `most` characters: names of one family differ
/// at the end.
fn shorten(text: &str, most: usize) -> String {
    let length = text.chars().count();
    if length <= most {
        return text.to_owned();
    }
    let begin: String = text.chars().take((most - 1) / 2).collect();
    let end: String = text.chars().skip(length - most / 2).collect();
    format!("{begin}\u{2026}{end}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forest_has_a_line_a_name() {
        assert!(forest("f", "t", &[], &[]).is_none());
        let estimate = |value, interval| Estimate {
            value,
            interval,
            n: 2,
        };
        let branch = |name: &str| Branch {
            name: name.to_owned(),
            detail: "2 threads".to_owned(),
            values: vec![
                (0, estimate(1.5, Some((1.2, 1.9)))),
                (1, estimate(0.5, None)),
            ],
        };
        let drawn = forest(
            "f",
            "t",
            &[("a", 0), ("b", 1)],
            &[branch("one"), branch("two")],
        )
        .unwrap()
        .into_string();
        assert_eq!(drawn.matches("class=\"name\"").count(), 2);
        assert_eq!(drawn.matches("class=\"interval\"").count(), 2);
        assert!(
            drawn.contains("1.5\u{d7} [1.2\u{d7}, 1.9\u{d7}]"),
            "{drawn}"
        );
    }

    #[test]
    fn a_bar_has_its_value_beside_it() {
        assert!(bars("b", ("t", Unit::Time), &[], &[]).is_none());
        let values = [(4.1e6, Some((4e6, 4.4e6))), (9e6, None)];
        let values = (0..).zip(values).map(|(style, (value, interval))| {
            let estimate = Estimate {
                value,
                interval,
                n: 5,
            };
            (style, estimate)
        });
        let branch = Branch {
            name: "one".to_owned(),
            detail: String::new(),
            values: values.collect(),
        };
        let drawn = bars("b", ("t", Unit::Time), &[("a", 0), ("b", 1)], &[branch]);
        let drawn = drawn.unwrap().into_string();
        assert!(drawn.contains(">4.1 ms</text>"), "{drawn}");
        assert!(drawn.contains(">9 ms</text>"), "{drawn}");
        assert_eq!(drawn.matches("class=\"interval\"").count(), 1);
        let widths: Vec<f64> = (drawn.split(" width=\"").skip(3))
            .map(|rest| rest.split('"').next().unwrap().parse().unwrap())
            .collect();
        assert!(
            (widths[1] / widths[0] - 9.0 / 4.1).abs() < 0.01,
            "{widths:?}"
        );
    }
}
