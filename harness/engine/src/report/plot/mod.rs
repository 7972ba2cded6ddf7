//! Plots, as inline SVG: axes, curves with intervals, steps and dots, and nothing of what they
//! mean.
//!
//! *A drawing has no colour of its own.* Every stroke, fill and text is a class that the page's
//! style sheet resolves, so that one drawing serves light and dark; a series has a colour, a dash
//! and a marker, so that it can be told from the others without the colour too. *A drawing scales*:
//! it has a view box and no size. Margins hold labels of the larger size that the style sheet gives
//! text on narrow screens ([`TEXT`]). *Nothing outside the data is drawn*: values that an axis
//! cannot show (a zero on a logarithmic one) are left out, and a plot with no point is no plot:
//! [`Plot::draw`] is `None`.
//!
//! Written here, and not with `plotters`: that draws with colours fixed in the file, which rules
//! out a page that follows the reader's scheme, and sets text by the metrics of fonts that the
//! reader need not have. Text and attributes go through `maud`, which escapes them: labels come
//! from files.

mod axis;
mod forest;
mod mark;
mod value;

use maud::{Markup, html};

use crate::statistics::Estimate;

use axis::Mapped;
pub(crate) use axis::{Axis, Scale, Unit};
pub(crate) use forest::{Branch, bars, forest};
use mark::{bar, class, dash, label, legend, marker, segment};
use value::described;
pub(crate) use value::format_value;

/// Size of the drawing, in its own units.
const WIDTH: f64 = 480.0;
const HEIGHT: f64 = 300.0;
/// Room for labels left, right, above and below the data.
const LEFT: f64 = 74.0;
const RIGHT: f64 = 28.0;
const TOP: f64 = 32.0;
const BOTTOM: f64 = 56.0;
/// The largest text, in units of the drawing: labels are placed so that they do not touch at this
/// size.
const TEXT: f64 = 16.0;
/// Width of a character on average, relative to its height.
const ADVANCE: f64 = 0.56;

/// How far apart intervals of several series at the same place are.
const BESIDE: f64 = 4.0;

/// How the points of a series are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// A marker for each, joined by lines, with the interval as a bar.
    Line,
    /// Joined, without markers but at the end.
    Curve,
    /// Each value lasts until the next one.
    Steps,
    /// Joined by a thin line, for what accompanies another series of the same style.
    Companion,
    /// Thin steps, likewise.
    CompanionSteps,
    /// Markers alone.
    Dots,
    /// A histogram: a bar for each point, from it to the next, beside those of other series; the
    /// last point ends the last bar and has none. On a logarithmic axis nothing has no height.
    Bars,
}

/// A point, and the interval in which its `y` lies.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Point {
    pub(crate) x: f64,
    pub(crate) y: Estimate,
}

impl Point {
    pub(crate) fn new(x: f64, y: f64) -> Self {
        let y = Estimate::exact(y);
        Self { x, y }
    }

    /// What is drawn of it: the value and the ends of its interval.
    pub(crate) fn heights(&self) -> [f64; 3] {
        heights(self.y)
    }
}

/// What is drawn of an estimate: the value and the ends of its interval.
fn heights(estimate: Estimate) -> [f64; 3] {
    let (low, high) = estimate.ends();
    [estimate.value, low, high]
}

/// What belongs to one name in the legend.
#[derive(Clone, Debug)]
pub(crate) struct Series {
    pub(crate) name: String,
    /// Colour, dash and marker; any number, of which the first 36 look different.
    pub(crate) style: usize,
    pub(crate) form: Form,
    pub(crate) points: Vec<Point>,
}

/// A line across the whole plot, such as a limit.
#[derive(Clone, Debug)]
pub(crate) struct Rule {
    pub(crate) y: f64,
    pub(crate) label: String,
}

/// A plot of curves or points over two axes.
#[derive(Clone, Debug)]
pub(crate) struct Plot {
    pub(crate) x: Axis,
    pub(crate) y: Axis,
    pub(crate) series: Vec<Series>,
    pub(crate) rules: Vec<Rule>,
}

impl Plot {
    /// Legend and drawing; `None` if there is nothing to draw. `name` is what the drawing is called
    /// for those who cannot see it.
    pub(crate) fn draw(&self, name: &str) -> Option<Markup> {
        let drawable = |point: &&Point| self.x.shows(point.x) && self.y.shows(point.y.value);
        let series = || self.series.iter();
        // A bar of no height is none.
        let has_place = |one: &Series, point: &Point| {
            drawable(&point) && (one.form != Form::Bars || point.y.value > 0.0)
        };
        let points =
            || series().flat_map(|one| one.points.iter().filter(|point| has_place(one, point)));
        points().next()?;
        // Half of the least bar, so that it can be seen where nothing has no place.
        let floors = series().filter(|one| one.form == Form::Bars);
        let floors = floors.flat_map(|one| &one.points);
        let floors = floors.map(|point| point.y.value / 2.0);
        let heights = points().flat_map(Point::heights).chain(floors);
        let rules = self.rules.iter().map(|rule| rule.y);
        let ends = series().filter(|one| one.form == Form::Bars);
        let ends = ends.filter_map(|one| one.points.last());
        let across = points().chain(ends).map(|point| point.x);
        let x = Mapped::new(&self.x, across, (LEFT, WIDTH - RIGHT));
        let y = Mapped::new(
            &self.y,
            heights.chain(rules).filter(|&value| self.y.shows(value)),
            (HEIGHT - BOTTOM, TOP),
        );
        // Intervals at the same place stand beside each other.
        let lines = series().filter(|one| one.form == Form::Line).count();
        let aside = |index: usize| BESIDE * (index as f64 - (lines.max(1) - 1) as f64 / 2.0);
        // And so do bars.
        let bars = series().filter(|one| one.form == Form::Bars).count() as f64;
        let part = |index: usize| (index as f64 / bars, (index + 1) as f64 / bars);
        Some(html! {
            (legend(series().map(|one| (one.name.as_str(), one.style, one.form))))
            svg viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) role="img" aria-label=(name) {
                (frame(&x, &y, &self.x.title, &self.y.title))
                @for (index, one) in series().enumerate() {
                    @let points: Vec<&Point> = one.points.iter().filter(drawable).collect();
                    @let aside = if one.form == Form::Line { aside(index) } else { 0.0 };
                    g class=(class(one.style)) {
                        @if one.form == Form::Bars {
                            (histogram(one, part(index), &x, &y))
                        } @else {
                            (body(one, &points, aside, &x, &y))
                        }
                    }
                }
                @for rule in self.rules.iter().filter(|rule| self.y.shows(rule.y)) {
                    (over(&y, rule))
                }
            }
        })
    }
}

/// Grid, numbers and titles of both axes.
fn frame(x: &Mapped, y: &Mapped, x_title: &str, y_title: &str) -> Markup {
    let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
    let middle = f64::midpoint(LEFT, right);
    html! {
        @for tick in y.ticks() {
            (segment("grid", (LEFT, right), (tick.place, tick.place)))
            (label("tick", (LEFT - 7.0, tick.place + 5.0), "end", &tick.label))
        }
        @for tick in x.ticks() {
            (segment("tick", (tick.place, tick.place), (bottom, bottom + 5.0)))
            (label("tick", (tick.place, bottom + 22.0), "middle", &tick.label))
        }
        (segment("axis", (LEFT, right), (bottom, bottom)))
        text.title x="4" y="16" { (y_title) }
        (label("title", (middle, HEIGHT - 8.0), "middle", x_title))
    }
}

/// A rule, with its label above or, at the top of the plot, below it.
fn over(y: &Mapped, rule: &Rule) -> Markup {
    let place = y.place(rule.y);
    let is_at_the_top = place - TOP < TEXT + 4.0;
    let beside = if is_at_the_top { TEXT } else { -5.0 };
    html! {
        (segment("rule", (LEFT, WIDTH - RIGHT), (place, place)))
        (label("note", (WIDTH - RIGHT, place + beside), "end", &rule.label))
    }
}

/// What is drawn of one series, `aside` of its place.
fn body(series: &Series, points: &[&Point], aside: f64, x: &Mapped, y: &Mapped) -> Markup {
    let dash = dash(series.style);
    let place = |point: &Point| (x.place(point.x) + aside, y.place(point.y.value));
    let describe = |point: &Point| {
        format!(
            "{}: {} at {}",
            series.name,
            described(point.y, y.axis.unit),
            x.axis.label(point.x)
        )
    };
    let mark = |point: &Point, radius| {
        let (across, up) = place(point);
        marker(series.style, across, up, radius, Some(&describe(point)))
    };
    let places = || points.iter().map(|point| place(point));
    let (joined, stepped) = (path(places(), false), path(places(), true));
    html! {
        @match series.form {
            Form::Line => {
                path.curve d=(joined) stroke-dasharray=(dash) {}
                @for point in points {
                    @let (across, _) = place(point);
                    @if let Some((low, high)) = point.y.interval {
                        (segment("interval", (across, across), (y.place(low), y.place(high))))
                    }
                }
                @for point in points { (mark(point, 4.5)) }
            }
            Form::Curve => {
                path.curve d=(joined) stroke-dasharray=(dash) {}
                @if let Some(last) = points.last() { (mark(last, 4.5)) }
            }
            Form::Steps => path.curve d=(stepped) stroke-dasharray=(dash) {}
            Form::Companion => path.companion d=(joined) {}
            Form::CompanionSteps => path.companion d=(stepped) {}
            Form::Dots => @for point in points { (mark(point, 3.5)) }
            Form::Bars => {}
        }
    }
}

/// The bars of one series, each of which takes this part of the room from its point to the next.
fn histogram(series: &Series, part: (f64, f64), x: &Mapped, y: &Mapped) -> Markup {
    let pairs = series.points.windows(2);
    let shown = pairs.filter(|pair| {
        let (value, places) = (pair[0].y.value, [pair[0].x, pair[1].x]);
        value > 0.0 && y.axis.shows(value) && places.iter().all(|&place| x.axis.shows(place))
    });
    html! {
        @for pair in shown {
            @let (left, right) = (x.place(pair[0].x), x.place(pair[1].x));
            // A gap between bins, but not where they are thinner than that.
            @let gap = (0.1 * (right - left)).min(1.5);
            @let room = right - left - gap;
            @let ends = (left + gap / 2.0 + part.0 * room, left + gap / 2.0 + part.1 * room);
            @let words = format!(
                "{}: {} at {} to below {}",
                series.name,
                described(pair[0].y, y.axis.unit),
                x.axis.label(pair[0].x),
                x.axis.label(pair[1].x)
            );
            (bar(series.style, ends, (y.place(pair[0].y.value), HEIGHT - BOTTOM), Some(&words)))
        }
    }
}

fn path(places: impl Iterator<Item = (f64, f64)>, steps: bool) -> String {
    let mut text = String::new();
    for (x, y) in places {
        match (text.is_empty(), steps) {
            (true, _) => text.push_str(&format!("M{} {}", at(x), at(y))),
            (false, false) => text.push_str(&format!("L{} {}", at(x), at(y))),
            (false, true) => text.push_str(&format!("H{}V{}", at(x), at(y))),
        }
    }
    text
}

/// A coordinate: to a tenth, which is finer than a screen shows.
fn at(value: f64) -> String {
    let text = format!("{value:.1}");
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_drawn_is_left_out() {
        let plot = |points: Vec<Point>| Plot {
            x: Axis::new("x", Unit::Multiple, Scale::Linear),
            y: Axis::new("y", Unit::Time, Scale::Logarithmic),
            series: vec![Series {
                name: "<b>".to_owned(),
                style: 0,
                form: Form::Line,
                points,
            }],
            rules: Vec::new(),
        };
        assert!(plot(Vec::new()).draw("p").is_none());
        assert!(plot(vec![Point::new(1.0, 0.0)]).draw("p").is_none());
        assert!(plot(vec![Point::new(f64::NAN, 1.0)]).draw("p").is_none());
        let drawn = plot(vec![Point::new(1.0, 0.0), Point::new(2.0, 5.0)])
            .draw("\"p\"")
            .unwrap()
            .into_string();
        assert_eq!(
            drawn.matches("<circle").count(),
            2,
            "one in the legend: {drawn}"
        );
        assert!(!drawn.contains("NaN") && !drawn.contains("inf"), "{drawn}");
        assert!(
            drawn.contains("&lt;b&gt;") && !drawn.contains("<b>"),
            "{drawn}"
        );
        assert!(drawn.contains("aria-label=\"&quot;p&quot;\""), "{drawn}");
    }

    #[test]
    fn bars_stand_side_by_side_from_each_point_to_the_next() {
        let series = |name: &str, style, points: &[(f64, f64)]| Series {
            name: name.to_owned(),
            style,
            form: Form::Bars,
            points: points.iter().map(|&(x, y)| Point::new(x, y)).collect(),
        };
        let plot = Plot {
            x: Axis::new("x", Unit::Count, Scale::Logarithmic),
            y: Axis::new("y", Unit::Count, Scale::Logarithmic),
            series: vec![
                series(
                    "a",
                    3,
                    &[(0.0, 9.0), (1.0, 8.0), (2.0, 0.0), (4.0, 1.0), (8.0, 0.0)],
                ),
                series("b", 4, &[(1.0, 2.0), (2.0, 0.0)]),
            ],
            rules: Vec::new(),
        };
        let drawn = plot.draw("p").unwrap().into_string();
        let titles: Vec<&str> = drawn.split("<title>").skip(1).collect();
        let titles: Vec<&str> = (titles.iter())
            .map(|rest| rest.split('<').next().unwrap())
            .collect();
        assert_eq!(
            titles,
            [
                "a: 8 at 1 to below 2",
                "a: 1 at 4 to below 8",
                "b: 2 at 1 to below 2"
            ]
        );
        // The rectangles of both names in the legend, and these.
        let number = |rest: &str, name: &str| -> f64 {
            let (_, rest) = rest.split_once(&format!(" {name}=\"")).unwrap();
            rest.split('"').next().unwrap().parse().unwrap()
        };
        let bars: Vec<[f64; 3]> = (drawn.split("<rect class=\"bar\"").skip(3))
            .map(|rest| ["x", "width", "height"].map(|name| number(rest, name)))
            .collect();
        assert_eq!(bars.len(), 3);
        // One bin is a third of the plot, which each of the two has half of.
        assert!(bars[0][0] + bars[0][1] <= bars[2][0] + 0.1, "{bars:?}");
        assert!((bars[0][1] - bars[2][1]).abs() < 0.2, "{bars:?}");
        assert!(bars[0][2] > bars[2][2] && bars[1][2] > 5.0, "{bars:?}");
    }
}
