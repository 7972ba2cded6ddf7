//! Ratios under each other, one line a name, around a line at 1.

use maud::{Markup, html};

use super::axis::{Axis, Mapped, Scale, Unit};
use super::mark::{class, label, legend, marker, segment};
use super::value::described;
use super::{ADVANCE, BOTTOM, Form, RIGHT, TEXT, TOP, WIDTH, at, heights};
use crate::statistics::Estimate;

/// One line of a [`forest`]: a name, and for each style the value and its interval.
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
    const LINE: f64 = 22.0;
    const SPACE: f64 = 10.0;
    let lengths = branches.iter().map(|branch| branch.name.chars().count());
    let longest = lengths.max()?;
    // Long names are cut; the whole is in the tooltip.
    let most = 24;
    let left = (longest.min(most) as f64 * TEXT * ADVANCE + 14.0).max(60.0);
    let axis = Axis::new(title, Unit::Multiple, Scale::Logarithmic);
    let right = WIDTH - RIGHT;
    let values = branches.iter().flat_map(|branch| &branch.values);
    let values = values.flat_map(|&(_, estimate)| heights(estimate));
    let values = values.chain([1.0]).filter(|&value| axis.shows(value));
    let x = Mapped::new(&axis, values, (left, right));
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
    let one = x.place(1.0);
    Some(html! {
        (legend(legend_of.iter().map(|&(name, style)| (name, style, Form::Dots))))
        svg viewBox=(format!("0 0 {WIDTH} {height:.0}")) role="img" aria-label=(name) {
            @for tick in x.ticks() {
                (segment("grid", (tick.place, tick.place), (TOP, bottom)))
                (label("tick", (tick.place, bottom + 20.0), "middle", &tick.label))
            }
            (label("title", (f64::midpoint(left, right), bottom + 44.0), "middle", title))
            (segment("rule", (one, one), (TOP - 6.0, bottom)))
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
                    @let words = described(estimate, Unit::Multiple);
                    g class=(class(style)) {
                        @if let Some((low, high)) = estimate.interval {
                            (segment("interval", (x.place(low), x.place(high)), (y, y)))
                        }
                        (marker(style, x.place(estimate.value), y, 5.0, Some(&words)))
                    }
                }
            }
        }
    })
}

/// The text, or as much of it as fits into `most` characters.
fn shorten(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let kept: String = text.chars().take(most - 1).collect();
    format!("{kept}\u{2026}")
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
}
