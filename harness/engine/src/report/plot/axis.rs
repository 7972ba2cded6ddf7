//! Axes: where values are, and the round numbers beside them.

use super::value::{byte_unit, format_percentile, format_value};
use super::{ADVANCE, TEXT};
use crate::statistics::range;

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
    /// Whole things, counted.
    Count,
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

/// A number on an axis.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Tick {
    pub(super) place: f64,
    pub(super) label: String,
}

/// An axis with the range it covers and where it lies.
#[derive(Clone, Debug)]
pub(super) struct Mapped<'a> {
    pub(super) axis: &'a Axis,
    /// First and last value.
    range: (f64, f64),
    /// Where they are.
    places: (f64, f64),
}

impl Axis {
    /// Whether a value has a place.
    pub(super) fn shows(&self, value: f64) -> bool {
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

    pub(super) fn label(&self, value: f64) -> String {
        match self.scale {
            Scale::Nines => format_percentile(value),
            _ => format_value(value, self.unit, 3),
        }
    }
}

impl<'a> Mapped<'a> {
    /// Covers the values, all of which the axis shows; there is at least one.
    pub(super) fn new(
        axis: &'a Axis,
        values: impl Iterator<Item = f64>,
        places: (f64, f64),
    ) -> Self {
        let (low, high) = range(values).expect("there is a value");
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

    pub(super) fn place(&self, value: f64) -> f64 {
        let (first, last) = (
            self.axis.transform(self.range.0),
            self.axis.transform(self.range.1),
        );
        let share = (self.axis.transform(value) - first) / (last - first);
        self.places.0 + share.clamp(-0.02, 1.02) * (self.places.1 - self.places.0)
    }

    /// Round numbers within the range, no two so near that their labels would touch.
    pub(super) fn ticks(&self) -> Vec<Tick> {
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
        let mut sets = match (self.axis.scale, self.axis.unit) {
            (Scale::Linear, unit) => in_proportion(low, high, unit),
            (Scale::Logarithmic, Unit::Bytes) => doubling(low, high),
            (Scale::Logarithmic, _) => in_tens(low, high),
            (Scale::Nines, _) => nines(),
        };
        // Rounding must not lose a number at the very end.
        let tolerance = match self.axis.scale {
            Scale::Logarithmic => 1e-9 * low,
            _ => 1e-9 * (high - low),
        };
        let within = low - tolerance..=high + tolerance;
        let is_whole = |value: f64| self.axis.unit != Unit::Count || value.fract() == 0.0;
        for set in &mut sets {
            set.retain(|value| within.contains(value) && is_whole(*value));
        }
        sets.retain(|set| !set.is_empty());
        sets
    }
}

/// Multiples of round steps.
fn in_proportion(low: f64, high: f64, unit: Unit) -> Vec<Vec<f64>> {
    let scale = if unit == Unit::Bytes {
        byte_unit(high).0
    } else {
        1.0
    };
    let span = (high - low) / scale;
    let decade = 10.0_f64.powf((span / 10.0).log10().floor());
    let steps = [1.0, 2.0, 2.5, 5.0, 10.0, 20.0, 25.0, 50.0, 100.0].into_iter();
    let steps = steps.map(|step| step * decade * scale);
    // More than seven lines are a pattern, not a grid.
    let steps = steps.filter(|step| (high - low) / step < 7.5);
    let multiples = steps.map(|step| {
        let first = (low / step).ceil() as i64;
        let last = (high / step + 1e-9).floor() as i64;
        (first..=last).map(|number| number as f64 * step).collect()
    });
    multiples.collect()
}

/// Powers of `base` whose exponents are multiples of `every`, times each of the digits.
fn powers((low, high): (f64, f64), base: f64, every: i32, digits: &[f64]) -> Vec<f64> {
    let first = low.log(base).floor() as i32 - every;
    let last = high.log(base).ceil() as i32;
    let exponents = (first..=last).filter(|exponent| exponent.rem_euclid(every) == 0);
    let of_exponent = |exponent: i32| digits.iter().map(move |digit| digit * base.powi(exponent));
    exponents.flat_map(of_exponent).collect()
}

fn doubling(low: f64, high: f64) -> Vec<Vec<f64>> {
    let powers = |every, digits: &[f64]| powers((low, high), 2.0, every, digits);
    let mut sets = Vec::new();
    if high / low < 4.0 {
        sets.push(powers(1, &[1.0, 1.25, 1.5, 1.75]));
        sets.push(powers(1, &[1.0, 1.5]));
    }
    sets.extend((1..12).map(|every| powers(every, &[1.0])));
    sets
}

fn in_tens(low: f64, high: f64) -> Vec<Vec<f64>> {
    let digits: [&[f64]; 5] = [
        &[1.0, 1.2, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0],
        &[1.0, 1.5, 2.0, 3.0, 5.0, 7.0],
        &[1.0, 2.0, 3.0, 5.0],
        &[1.0, 2.0, 5.0],
        &[1.0, 3.0],
    ];
    let powers = |every, digits: &[f64]| powers((low, high), 10.0, every, digits);
    let dense = if high / low < 20.0 { 0 } else { 2 };
    let within_decades = digits[dense..].iter().map(|digits| powers(1, digits));
    within_decades
        .chain((1..10).map(|every| powers(every, &[1.0])))
        .collect()
}

/// None, a half, and up to eight nines; and the same without the half.
fn nines() -> Vec<Vec<f64>> {
    let nines = (1..9).map(|nines| 1.0 - 10.0_f64.powi(-nines));
    let all: Vec<f64> = [0.0, 0.5].into_iter().chain(nines).collect();
    let fewer = [&all[..1], &all[2..]].concat();
    vec![all, fewer]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::plot::{BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH};

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
        let axis = Axis::new("", Unit::Count, Scale::Logarithmic);
        assert_eq!(
            labels(&axis, &[0.5, 3e7], UP),
            ["1", "10", "100", "1 k", "10 k", "100 k", "1 M", "10 M"]
        );
        let axis = Axis::new("", Unit::Count, Scale::Linear);
        assert_eq!(labels(&axis, &[0.0, 2.0], ACROSS), ["0", "1", "2"]);
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
        for unit in [Unit::Time, Unit::Bytes, Unit::Multiple, Unit::Count] {
            for scale in [Scale::Linear, Scale::Logarithmic] {
                let axis = Axis::new("", unit, scale);
                for (low, span) in [1e-1, 1.0, 37.0, 4e3, 8.7e8]
                    .into_iter()
                    // Nothing that is counted is less than one.
                    .filter(|&low| unit != Unit::Count || low >= 1.0)
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
}
