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

use maud::{Markup, html};

use crate::measure::estimate::Estimate;

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

/// How many colours, dashes and markers there are. Styles beyond them repeat the colours with other
/// dashes and markers.
const STYLES: usize = 6;

/// The dashes of the series: how long strokes and gaps are. Applied to curves; the first is solid.
const DASHES: [&str; STYLES] = ["", "7 3", "2 3", "10 3 2 3", "4 2", "12 4"];

/// What numbers on an axis are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Nanoseconds.
    Time,
    /// Bytes.
    Bytes,
    /// How many times something.
    Multiple,
    /// A part of a whole, 0 to 1.
    Share,
}

/// How values become places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scale {
    /// In proportion, from zero.
    Linear,
    /// By the logarithm.
    Logarithmic,
    /// Of a quantile `q`: by the logarithm of `1 / (1 - q)`, so that each nine takes the same room.
    Nines,
}

/// One of the two.
#[derive(Clone, Debug)]
pub(crate) struct Axis {
    /// What it shows, with its unit if the numbers do not say it.
    pub(crate) title: String,
    pub(crate) unit: Unit,
    pub(crate) scale: Scale,
}

impl Axis {
    pub(crate) fn new(title: impl Into<String>, unit: Unit, scale: Scale) -> Self {
        Self {
            title: title.into(),
            unit,
            scale,
        }
    }
}

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
}

/// A point, and the interval in which its `y` lies.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Point {
    pub(crate) x: f64,
    pub(crate) y: f64,
    pub(crate) interval: Option<(f64, f64)>,
}

impl Point {
    pub(crate) fn new(x: f64, y: f64) -> Self {
        Self {
            x,
            y,
            interval: None,
        }
    }
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
        let drawable = |point: &&Point| self.x.shows(point.x) && self.y.shows(point.y);
        let points = || {
            self.series
                .iter()
                .flat_map(|series| series.points.iter().filter(drawable))
        };
        points().next()?;
        let heights = points().flat_map(|point| {
            let (low, high) = point.interval.unwrap_or((point.y, point.y));
            [point.y, low, high]
        });
        let rules = self.rules.iter().map(|rule| rule.y);
        let x = Mapped::new(
            &self.x,
            points().map(|point| point.x),
            (LEFT, WIDTH - RIGHT),
        );
        let y = Mapped::new(
            &self.y,
            heights.chain(rules).filter(|&value| self.y.shows(value)),
            (HEIGHT - BOTTOM, TOP),
        );
        let series = self.series.iter().map(|series| {
            let points: Vec<Point> = series.points.iter().filter(drawable).copied().collect();
            (series, points)
        });
        // Intervals at the same place stand beside each other.
        let lines = self
            .series
            .iter()
            .filter(|series| series.form == Form::Line)
            .count();
        let aside = |index: usize| BESIDE * (index as f64 - (lines.max(1) - 1) as f64 / 2.0);
        Some(html! {
            (legend(self.series.iter().map(|series| (series.name.as_str(), series.style, series.form))))
            svg viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) role="img" aria-label=(name) {
                (frame(&x, &y, &self.x.title, &self.y.title))
                @for (index, (series, points)) in series.enumerate() {
                    @let aside = if series.form == Form::Line { aside(index) } else { 0.0 };
                    g class=(class(series.style)) { (body(series, &points, aside, &x, &y)) }
                }
                @for rule in self.rules.iter().filter(|rule| self.y.shows(rule.y)) {
                    (across(&y, rule))
                }
            }
        })
    }
}

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
    let longest = branches
        .iter()
        .map(|branch| branch.name.chars().count())
        .max()?;
    // Long names are cut; the whole is in the tooltip.
    let most = 24;
    let left = (longest.min(most) as f64 * TEXT * ADVANCE + 14.0).max(60.0);
    let axis = Axis::new(title, Unit::Multiple, Scale::Logarithmic);
    let values = branches
        .iter()
        .flat_map(|branch| &branch.values)
        .flat_map(|&(_, estimate)| {
            let (low, high) = estimate.ends();
            [estimate.value, low, high]
        })
        .chain([1.0])
        .filter(|&value| axis.shows(value));
    let x = Mapped::new(&axis, values, (left, WIDTH - RIGHT));
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
                line.grid x1=(at(tick.place)) x2=(at(tick.place)) y1=(at(TOP)) y2=(at(bottom)) {}
                text.tick x=(at(tick.place)) y=(at(bottom + 20.0)) text-anchor="middle" { (tick.label) }
            }
            text.title x=(at(f64::midpoint(left, WIDTH - RIGHT))) y=(at(bottom + 44.0)) text-anchor="middle" { (title) }
            line.rule x1=(at(one)) x2=(at(one)) y1=(at(TOP - 6.0)) y2=(at(bottom)) {}
            @for (top, branch) in &rows {
                @let middle = top + (height_of(branch) - SPACE) / 2.0 + 5.0;
                @let name = if branch.detail.is_empty() { middle } else { middle - LINE / 2.0 };
                text.name x=(at(left - 8.0)) y=(at(name)) text-anchor="end" {
                    (shorten(&branch.name, most))
                    title { (branch.name) }
                }
                @if !branch.detail.is_empty() {
                    text.tick x=(at(left - 8.0)) y=(at(middle + LINE / 2.0)) text-anchor="end" { (branch.detail) }
                }
                @let first = top + (height_of(branch) - SPACE - branch.values.len() as f64 * LINE) / 2.0;
                @for (index, &(style, Estimate { value, interval, .. })) in branch.values.iter().enumerate() {
                    @let y = first + (index as f64 + 0.5) * LINE;
                    g class=(class(style)) {
                        @if let Some((low, high)) = interval {
                            line.interval x1=(at(x.place(low))) x2=(at(x.place(high))) y1=(at(y)) y2=(at(y)) {}
                        }
                        (marker(style, x.place(value), y, 5.0, &described(value, interval, Unit::Multiple)))
                    }
                }
            }
        }
    })
}

/// Names beside a sample of what they look like.
fn legend<'n>(entries: impl Iterator<Item = (&'n str, usize, Form)>) -> Markup {
    let mut seen = Vec::new();
    let entries: Vec<_> = entries
        .filter(|(name, style, _)| {
            let first = !seen.contains(&(*name, *style));
            seen.push((*name, *style));
            first
        })
        .collect();
    html! {
        ul.legend {
            @for (name, style, form) in entries {
                li {
                    svg viewBox="0 0 34 14" aria-hidden="true" class=(class(style)) {
                        @if matches!(form, Form::Companion | Form::CompanionSteps) {
                            line.companion x1="1" x2="33" y1="7" y2="7" {}
                        } @else {
                            @if form != Form::Dots {
                                line.curve x1="1" x2="33" y1="7" y2="7" stroke-dasharray=(DASHES[shape(style)]) {}
                            }
                            (marker(style, 17.0, 7.0, 4.5, ""))
                        }
                    }
                    (name)
                }
            }
        }
    }
}

/// Grid, numbers and titles of both axes.
fn frame(x: &Mapped, y: &Mapped, x_title: &str, y_title: &str) -> Markup {
    let bottom = HEIGHT - BOTTOM;
    html! {
        @for tick in y.ticks() {
            line.grid x1=(at(LEFT)) x2=(at(WIDTH - RIGHT)) y1=(at(tick.place)) y2=(at(tick.place)) {}
            text.tick x=(at(LEFT - 7.0)) y=(at(tick.place + 5.0)) text-anchor="end" { (tick.label) }
        }
        @for tick in x.ticks() {
            line.tick x1=(at(tick.place)) x2=(at(tick.place)) y1=(at(bottom)) y2=(at(bottom + 5.0)) {}
            text.tick x=(at(tick.place)) y=(at(bottom + 22.0)) text-anchor="middle" { (tick.label) }
        }
        line.axis x1=(at(LEFT)) x2=(at(WIDTH - RIGHT)) y1=(at(bottom)) y2=(at(bottom)) {}
        text.title x="4" y="16" { (y_title) }
        text.title x=(at(f64::midpoint(LEFT, WIDTH - RIGHT))) y=(at(HEIGHT - 8.0)) text-anchor="middle" { (x_title) }
    }
}

/// A rule, with its label above or, at the top of the plot, below it.
fn across(y: &Mapped, rule: &Rule) -> Markup {
    let place = y.place(rule.y);
    let label = if place - TOP < TEXT + 4.0 {
        place + TEXT
    } else {
        place - 5.0
    };
    html! {
        line.rule x1=(at(LEFT)) x2=(at(WIDTH - RIGHT)) y1=(at(place)) y2=(at(place)) {}
        text.note x=(at(WIDTH - RIGHT)) y=(at(label)) text-anchor="end" { (rule.label) }
    }
}

/// What is drawn of one series, `aside` of its place.
fn body(series: &Series, points: &[Point], aside: f64, x: &Mapped, y: &Mapped) -> Markup {
    let dash = DASHES[shape(series.style)];
    let place = |point: &Point| (x.place(point.x) + aside, y.place(point.y));
    let describe = |point: &Point| {
        format!(
            "{}: {} at {}",
            series.name,
            described(point.y, point.interval, y.axis.unit),
            x.axis.label(point.x)
        )
    };
    let joined = path(points.iter().map(place), false);
    let stepped = path(points.iter().map(place), true);
    html! {
        @match series.form {
            Form::Line => {
                path.curve d=(joined) stroke-dasharray=(dash) {}
                @for point in points {
                    @let (across, _) = place(point);
                    @if let Some((low, high)) = point.interval {
                        line.interval x1=(at(across)) x2=(at(across)) y1=(at(y.place(low))) y2=(at(y.place(high))) {}
                    }
                }
                @for point in points {
                    @let (across, up) = place(point);
                    (marker(series.style, across, up, 4.5, &describe(point)))
                }
            }
            Form::Curve => {
                path.curve d=(joined) stroke-dasharray=(dash) {}
                @if let Some(last) = points.last() {
                    @let (across, up) = place(last);
                    (marker(series.style, across, up, 4.5, &describe(last)))
                }
            }
            Form::Steps => path.curve d=(stepped) stroke-dasharray=(dash) {}
            Form::Companion => path.companion d=(joined) {}
            Form::CompanionSteps => path.companion d=(stepped) {}
            Form::Dots => {
                @for point in points {
                    @let (across, up) = place(point);
                    (marker(series.style, across, up, 3.5, &describe(point)))
                }
            }
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

/// The marker of a style, `radius` around a place, with a tooltip.
fn marker(style: usize, x: f64, y: f64, radius: f64, tooltip: &str) -> Markup {
    let polygon = |corners: &[(f64, f64)]| {
        let corners = corners
            .iter()
            .map(|(dx, dy)| format!("{},{}", at(x + dx * radius), at(y + dy * radius)));
        corners.collect::<Vec<_>>().join(" ")
    };
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
    html! {
        @if corners.is_empty() {
            circle.mark cx=(at(x)) cy=(at(y)) r=(at(radius)) { @if !tooltip.is_empty() { title { (tooltip) } } }
        } @else {
            polygon.mark points=(polygon(corners)) { @if !tooltip.is_empty() { title { (tooltip) } } }
        }
    }
}

/// Which dash and marker a style has.
fn shape(style: usize) -> usize {
    (style + style / STYLES) % STYLES
}

fn class(style: usize) -> String {
    format!("s{}", style % STYLES)
}

/// A value and its interval, in words.
fn described(value: f64, interval: Option<(f64, f64)>, unit: Unit) -> String {
    let exact = |value| format_value(value, unit, 3);
    match interval {
        Some((low, high)) => format!("{} [{}, {}]", exact(value), exact(low), exact(high)),
        None => exact(value),
    }
}

/// A coordinate: to a tenth, which is finer than a screen shows.
fn at(value: f64) -> String {
    let text = format!("{value:.1}");
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}

/// The text, or as much of it as fits into `most` characters.
fn shorten(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let kept: String = text.chars().take(most - 1).collect();
    format!("{kept}\u{2026}")
}

/// A number on an axis.
#[derive(Clone, Debug, PartialEq)]
struct Tick {
    place: f64,
    label: String,
}

/// An axis with the range it covers and where it lies.
#[derive(Clone, Debug)]
struct Mapped<'a> {
    axis: &'a Axis,
    /// First and last value.
    range: (f64, f64),
    /// Where they are.
    places: (f64, f64),
}

impl Axis {
    /// Whether a value has a place.
    fn shows(&self, value: f64) -> bool {
        value.is_finite()
            && match self.scale {
                Scale::Linear => true,
                Scale::Logarithmic => value > 0.0,
                Scale::Nines => (0.0..1.0).contains(&value),
            }
    }

    /// What is proportional to the place.
    fn transform(&self, value: f64) -> f64 {
        match self.scale {
            Scale::Linear => value,
            Scale::Logarithmic => value.log10(),
            Scale::Nines => -(1.0 - value).log10(),
        }
    }

    fn label(&self, value: f64) -> String {
        match self.scale {
            Scale::Nines => format_percentile(value),
            _ => format_value(value, self.unit, 3),
        }
    }
}

impl<'a> Mapped<'a> {
    /// Covers the values, all of which the axis shows; there is at least one.
    fn new(axis: &'a Axis, values: impl Iterator<Item = f64>, places: (f64, f64)) -> Self {
        let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
            (low.min(value), high.max(value))
        });
        let range = match axis.scale {
            Scale::Linear => {
                let high = if high > 0.0 { high } else { 1.0 };
                if axis.unit == Unit::Share {
                    (0.0, 1.0_f64.max(high))
                } else {
                    (0.0_f64.min(low), high * 1.04)
                }
            }
            Scale::Logarithmic => {
                let (low, high) = if high / low < 1.2 {
                    (low / 1.5, high * 1.5)
                } else {
                    (low, high)
                };
                let margin = (high / low).powf(0.03);
                (low / margin, high * margin)
            }
            // To the next nine.
            Scale::Nines => {
                let nines = axis.transform(high).ceil().max(1.0);
                (0.0, 1.0 - 10.0_f64.powf(-nines))
            }
        };
        Self {
            axis,
            range,
            places,
        }
    }

    fn place(&self, value: f64) -> f64 {
        let (first, last) = (
            self.axis.transform(self.range.0),
            self.axis.transform(self.range.1),
        );
        let share = (self.axis.transform(value) - first) / (last - first);
        self.places.0 + share.clamp(-0.02, 1.02) * (self.places.1 - self.places.0)
    }

    /// Round numbers within the range, no two so near that their labels would touch.
    fn ticks(&self) -> Vec<Tick> {
        let horizontal = self.places.1 > self.places.0;
        let candidates = self.candidates();
        let fits = |values: &[f64]| {
            let ticks: Vec<Tick> = values.iter().map(|&value| self.tick(value)).collect();
            let room = |tick: &Tick| {
                if horizontal {
                    tick.label.chars().count() as f64 * TEXT * ADVANCE + 8.0
                } else {
                    TEXT * 1.3
                }
            };
            ticks
                .windows(2)
                .all(|pair| {
                    let needed = f64::midpoint(room(&pair[0]), room(&pair[1]));
                    (pair[1].place - pair[0].place).abs() >= needed
                        && pair[0].label != pair[1].label
                })
                .then_some(ticks)
        };
        let fitting = candidates.iter().find_map(|values| fits(values));
        fitting.unwrap_or_default()
    }

    fn tick(&self, value: f64) -> Tick {
        Tick {
            place: self.place(value),
            label: self.axis.label(value),
        }
    }

    /// Sets of round numbers within the range, the densest first, none with fewer than one.
    fn candidates(&self) -> Vec<Vec<f64>> {
        let (low, high) = self.range;
        // Rounding must not lose a number at the very end.
        let tolerance = match self.axis.scale {
            Scale::Logarithmic => 1e-9 * low,
            _ => 1e-9 * (high - low),
        };
        let within = |value: &f64| (low - tolerance..=high + tolerance).contains(value);
        let sets: Vec<Vec<f64>> = match self.axis.scale {
            Scale::Linear => {
                let scale = if self.axis.unit == Unit::Bytes {
                    byte_unit(high).0
                } else {
                    1.0
                };
                let span = (high - low) / scale;
                let decade = 10.0_f64.powf((span / 10.0).log10().floor());
                [1.0, 2.0, 2.5, 5.0, 10.0, 20.0, 25.0, 50.0, 100.0]
                    .into_iter()
                    .map(|step| step * decade * scale)
                    // More than seven lines are a pattern, not a grid.
                    .filter(|step| (high - low) / step < 7.5)
                    .map(|step| {
                        let first = (low / step).ceil() as i64;
                        let last = (high / step + 1e-9).floor() as i64;
                        (first..=last).map(|number| number as f64 * step).collect()
                    })
                    .collect()
            }
            Scale::Logarithmic => {
                // Bytes and multiples double; everything else is in tens.
                let powers = |base: f64, every: i32, within_decade: &[f64]| -> Vec<f64> {
                    let first = low.log(base).floor() as i32 - every;
                    let last = high.log(base).ceil() as i32;
                    (first..=last)
                        .filter(|power| power.rem_euclid(every) == 0)
                        .flat_map(|power| {
                            within_decade
                                .iter()
                                .map(move |digit| digit * base.powi(power))
                        })
                        .filter(within)
                        .collect()
                };
                if self.axis.unit == Unit::Bytes {
                    let mut sets: Vec<_> =
                        (1..12).map(|every| powers(2.0, every, &[1.0])).collect();
                    if high / low < 4.0 {
                        sets.insert(0, powers(2.0, 1, &[1.0, 1.25, 1.5, 1.75]));
                        sets.insert(1, powers(2.0, 1, &[1.0, 1.5]));
                    }
                    sets
                } else {
                    let digits: [&[f64]; 5] = [
                        &[1.0, 1.2, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0],
                        &[1.0, 1.5, 2.0, 3.0, 5.0, 7.0],
                        &[1.0, 2.0, 3.0, 5.0],
                        &[1.0, 2.0, 5.0],
                        &[1.0, 3.0],
                    ];
                    let dense = if high / low < 20.0 { 0 } else { 2 };
                    let mut sets: Vec<_> = digits[dense..]
                        .iter()
                        .map(|digits| powers(10.0, 1, digits))
                        .collect();
                    sets.extend((1..10).map(|every| powers(10.0, every, &[1.0])));
                    sets
                }
            }
            Scale::Nines => {
                let nines = (1..9).map(|nines| 1.0 - 10.0_f64.powi(-nines));
                let all: Vec<f64> = [0.0, 0.5].into_iter().chain(nines).collect();
                let fewer = [0.0].into_iter().chain(all[2..].iter().copied()).collect();
                [all, fewer]
                    .into_iter()
                    .map(|values: Vec<f64>| values.into_iter().filter(within).collect())
                    .collect()
            }
        };
        sets.into_iter().filter(|set| !set.is_empty()).collect()
    }
}

/// A value with its unit, to `digits` digits at most.
pub(crate) fn format_value(value: f64, unit: Unit, digits: usize) -> String {
    let (value, suffix) = match unit {
        Unit::Time => {
            let units = [(1e9, " s"), (1e6, " ms"), (1e3, " \u{b5}s"), (1.0, " ns")];
            // 999.6 µs is 1 ms.
            let fitting = units
                .into_iter()
                .find(|(scale, _)| value.abs() >= 0.9995 * scale);
            let (scale, suffix) = fitting.unwrap_or((1.0, if value == 0.0 { "" } else { " ns" }));
            (value / scale, suffix)
        }
        Unit::Bytes => {
            let (scale, suffix) = byte_unit(value);
            (value / scale, suffix)
        }
        Unit::Multiple => (value, "\u{d7}"),
        Unit::Share => (100.0 * value, " %"),
    };
    format!("{}{suffix}", significant(value, digits))
}

/// The largest unit that is not larger than the value, and its suffix.
fn byte_unit(value: f64) -> (f64, &'static str) {
    const UNITS: [(f64, &str); 4] = [
        (1_099_511_627_776.0, " TiB"),
        (1_073_741_824.0, " GiB"),
        (1_048_576.0, " MiB"),
        (1024.0, " KiB"),
    ];
    let fitting = UNITS.into_iter().find(|(scale, _)| value.abs() >= *scale);
    fitting.unwrap_or((1.0, if value == 0.0 { "" } else { " B" }))
}

/// To `digits` significant digits or the whole number, whichever is longer, without zeros at the
/// end.
fn significant(value: f64, digits: usize) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    let magnitude = value.abs().log10().floor() as i32;
    let decimals = (digits as i32 - 1 - magnitude).clamp(0, 6) as usize;
    let text = format!("{value:.decimals$}");
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

/// A quantile as people call it: `p99.9`.
pub(crate) fn format_percentile(quantile: f64) -> String {
    // As many digits as there are nines, and no artefact of the binary fraction.
    let nines = (-(1.0 - quantile).log10()).round().clamp(0.0, 8.0) as usize;
    let text = format!("{:.*}", nines.saturating_sub(2), 100.0 * quantile);
    format!("p{text}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(axis: &Axis, values: &[f64], places: (f64, f64)) -> Vec<String> {
        let ticks = Mapped::new(axis, values.iter().copied(), places).ticks();
        ticks.into_iter().map(|tick| tick.label).collect()
    }

    const ACROSS: (f64, f64) = (LEFT, WIDTH - RIGHT);
    const UP: (f64, f64) = (HEIGHT - BOTTOM, TOP);

    #[test]
    fn numbers_on_axes_are_round_and_have_units() {
        let axis = Axis::new("", Unit::Time, Scale::Linear);
        assert_eq!(
            labels(&axis, &[3e6, 47e6], UP),
            ["0", "10 ms", "20 ms", "30 ms", "40 ms"]
        );
        let axis = Axis::new("", Unit::Time, Scale::Logarithmic);
        assert_eq!(
            labels(&axis, &[800.0, 2e8], UP),
            [
                "1 \u{b5}s",
                "10 \u{b5}s",
                "100 \u{b5}s",
                "1 ms",
                "10 ms",
                "100 ms"
            ]
        );
        let axis = Axis::new("", Unit::Multiple, Scale::Logarithmic);
        let multiples = ["1.2", "1.5", "2", "2.5", "3", "4", "5", "6"];
        assert_eq!(
            labels(&axis, &[1.25, 6.0], ACROSS),
            multiples.map(|multiple| format!("{multiple}\u{d7}"))
        );
        let axis = Axis::new("", Unit::Bytes, Scale::Linear);
        assert_eq!(
            labels(&axis, &[0.0, 60.0 * 1024.0 * 1024.0], UP),
            [
                "0", "10 MiB", "20 MiB", "30 MiB", "40 MiB", "50 MiB", "60 MiB"
            ]
        );
        let axis = Axis::new("", Unit::Time, Scale::Nines);
        assert_eq!(
            labels(&axis, &[0.0, 0.9985], ACROSS),
            ["p0", "p50", "p90", "p99", "p99.9"]
        );
    }

    /// Whatever the range, there is a label, none touches another, and each stands where its value
    /// is.
    #[test]
    fn labels_never_touch() {
        for unit in [Unit::Time, Unit::Bytes, Unit::Multiple] {
            for scale in [Scale::Linear, Scale::Logarithmic] {
                let axis = Axis::new("", unit, scale);
                for (low, span) in [1e-1, 1.0, 37.0, 4e3, 8.7e8]
                    .into_iter()
                    .flat_map(|low| [1.0, 1.01, 1.7, 20.0, 1e6, 1e9].map(|span| (low, span)))
                {
                    for places in [ACROSS, UP] {
                        let mapped = Mapped::new(&axis, [low, low * span].into_iter(), places);
                        let ticks = mapped.ticks();
                        let context =
                            format!("{unit:?} {scale:?} {low} x {span} {places:?}: {ticks:?}");
                        assert!(!ticks.is_empty(), "{context}");
                        for pair in ticks.windows(2) {
                            let room = if places == ACROSS {
                                let characters = pair.iter().map(|tick| tick.label.chars().count());
                                characters.sum::<usize>() as f64 / 2.0 * TEXT * ADVANCE
                            } else {
                                TEXT
                            };
                            assert!((pair[0].place - pair[1].place).abs() > room, "{context}");
                        }
                    }
                }
            }
        }
    }

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
    fn values_are_readable() {
        let texts = [
            format_value(999.6e3, Unit::Time, 3),
            format_value(1234.0, Unit::Time, 3),
            format_value(0.0, Unit::Time, 3),
            format_value(64.0 * 1048576.0, Unit::Bytes, 2),
            format_value(1.256, Unit::Multiple, 3),
            format_value(0.5, Unit::Share, 2),
        ];
        assert_eq!(
            texts,
            ["1 ms", "1.23 \u{b5}s", "0", "64 MiB", "1.26\u{d7}", "50 %"]
        );
        assert_eq!(
            [0.0, 0.5, 0.9, 0.99, 0.999, 0.9999].map(format_percentile),
            ["p0", "p50", "p90", "p99", "p99.9", "p99.99"]
        );
    }
}
