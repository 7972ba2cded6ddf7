//! What a series looks like: colour, dash and marker of its style, and its entry in the legend.

use maud::{Markup, html};

use super::{Form, at};

/// How many colours, dashes and markers there are. Styles beyond them repeat the colours with other
/// dashes and markers.
const STYLES: usize = 6;

/// The dashes of the series: how long strokes and gaps are. Applied to curves; the first is solid.
const DASHES: [&str; STYLES] = ["", "7 3", "2 3", "10 3 2 3", "4 2", "12 4"];

/// The dash of a style.
pub(super) fn dash(style: usize) -> &'static str {
    DASHES[shape(style)]
}

/// Names beside a sample of what they look like.
pub(super) fn legend<'n>(entries: impl Iterator<Item = (&'n str, usize, Form)>) -> Markup {
    let mut seen = Vec::new();
    let mut is_first = |name, style| {
        let first = !seen.contains(&(name, style));
        seen.push((name, style));
        first
    };
    html! {
        ul.legend {
            @for (name, style, form) in entries.filter(|one| is_first(one.0, one.1)) {
                li {
                    svg viewBox="0 0 34 14" aria-hidden="true" class=(class(style)) {
                        @if matches!(form, Form::Companion | Form::CompanionSteps) {
                            line.companion x1="1" x2="33" y1="7" y2="7" {}
                        } @else if form == Form::Bars {
                            (bar(style, (4.0, 30.0), (1.0, 13.0), None))
                        } @else {
                            @if form != Form::Dots {
                                @let dash = dash(style);
                                line.curve x1="1" x2="33" y1="7" y2="7" stroke-dasharray=(dash) {}
                            }
                            (marker(style, 17.0, 7.0, 4.5, None))
                        }
                    }
                    (name)
                }
            }
        }
    }
}

/// The marker of a style, `radius` around a place, with a tooltip.
pub(super) fn marker(style: usize, x: f64, y: f64, radius: f64, tooltip: Option<&str>) -> Markup {
    let corners: &[(f64, f64)] = match shape(style) {
        0 => &[],
        1 => &[(-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)],
        2 => &[(0.0, -1.15), (1.1, 0.85), (-1.1, 0.85)],
        3 => &[(0.0, -1.25), (1.25, 0.0), (0.0, 1.25), (-1.25, 0.0)],
        4 => &[(0.0, 1.15), (1.1, -0.85), (-1.1, -0.85)],
        _ => &[
            (-0.5, -1.2),
            (0.5, -1.2),
            (1.2, 0.0),
            (0.5, 1.2),
            (-0.5, 1.2),
            (-1.2, 0.0),
        ],
    };
    let corners = corners.iter();
    let corners =
        corners.map(|(dx, dy)| format!("{},{}", at(x + dx * radius), at(y + dy * radius)));
    let corners = corners.collect::<Vec<_>>().join(" ");
    let tooltip = html! { @if let Some(tooltip) = tooltip { title { (tooltip) } } };
    html! {
        @if corners.is_empty() {
            circle.mark cx=(at(x)) cy=(at(y)) r=(at(radius)) { (tooltip) }
        } @else {
            polygon.mark points=(corners) { (tooltip) }
        }
    }
}

/// A bar of a style from one end of both ranges to the other, with a tooltip.
pub(super) fn bar(style: usize, x: (f64, f64), y: (f64, f64), tooltip: Option<&str>) -> Markup {
    let (width, height) = ((x.1 - x.0).max(0.0), (y.1 - y.0).max(0.0));
    html! {
        rect.bar x=(at(x.0)) y=(at(y.0)) width=(at(width)) height=(at(height))
            stroke-dasharray=(dash(style)) {
            @if let Some(tooltip) = tooltip { title { (tooltip) } }
        }
    }
}

/// A straight line from one end of both ranges to the other.
pub(super) fn segment(class: &str, x: (f64, f64), y: (f64, f64)) -> Markup {
    html! { line class=(class) x1=(at(x.0)) x2=(at(x.1)) y1=(at(y.0)) y2=(at(y.1)) {} }
}

/// Text at a place, which is its start, middle or end.
pub(super) fn label(class: &str, (x, y): (f64, f64), anchor: &str, text: &str) -> Markup {
    html! { text class=(class) x=(at(x)) y=(at(y)) text-anchor=(anchor) { (text) } }
}

/// Which dash and marker a style has.
fn shape(style: usize) -> usize {
    (style + style / STYLES) % STYLES
}

pub(super) fn class(style: usize) -> String {
    format!("s{}", style % STYLES)
}
