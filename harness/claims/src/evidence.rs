//! From rows to figures: what an experiment's forms have given on one heap or runtime.
//!
//! A figure of one form is the median over its processes of the mean over a process's timed
//! iterations. Its interval is a bootstrapped 95 % interval from five processes on; of fewer it is
//! their range, which says less than it seems to, and is called a range wherever it is shown. A
//! ratio of two forms is that of [`ratio`], whose interval is stretched where processes are few.

use super::{Experiment, Quantity};
use crate::measure::ratio;
use crate::measure::throughput::median;
use crate::results::{CellResults, Results};
use crate::workload::{Description, below, generator};

/// A figure with its interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// The figure.
    pub value: f64,
    /// Where it lies: with 95 % confidence, or, of fewer than five processes, their range. `None`
    /// of fewer than two.
    pub interval: Option<(f64, f64)>,
    /// Processes that it rests on: of a ratio, the fewer of its two sides.
    pub n: usize,
}

impl Estimate {
    /// Another figure that follows from this one; `f` must be monotonic.
    #[must_use]
    pub fn map(self, f: impl Fn(f64) -> f64) -> Self {
        let interval = self.interval.map(|(low, high)| {
            let (a, b) = (f(low), f(high));
            (a.min(b), a.max(b))
        });
        Self {
            value: f(self.value),
            interval,
            n: self.n,
        }
    }
}

/// What an experiment has given in one column: on one heap, whatever its options, or on one other
/// runtime.
#[derive(Debug)]
pub struct Evidence<'r> {
    forms: Vec<(&'static str, &'r CellResults)>,
}

/// A form's name, and what its rows are asked for.
pub(super) type Asked = (&'static str, Quantity);

const RESAMPLES: usize = 10_000;
/// Fewer values than this are not resampled: a bootstrap of so few knows nothing of what lies
/// outside their range, and hardly all of the range.
const FEW: usize = 5;

impl<'r> Evidence<'r> {
    /// What the results say about the experiment in a column: the name of a heap, or the label of a
    /// peer.
    pub(crate) fn of(
        experiment: &Experiment,
        known: &[Description],
        results: &'r Results,
        column: &str,
    ) -> Self {
        let of_form = |form| {
            let mut cells = results.experiments.iter();
            cells.find(|cell| is_of(cell, form, known, column))
        };
        let forms = experiment.forms.iter();
        Self {
            forms: forms
                .filter_map(|form| Some((form.name, of_form(form)?)))
                .collect(),
        }
    }

    /// Why a form has no figures, if it was run and has none.
    pub fn failure(&self) -> Option<String> {
        self.forms.iter().find_map(|(form, cell)| {
            let row = cell.failure()?;
            let message = row
                .message
                .as_ref()
                .map_or(String::new(), |message| format!(": {message}"));
            Some(format!("{form}: {}{message}", row.status))
        })
    }

    /// Whether nothing was run.
    pub fn is_empty(&self) -> bool {
        self.forms.is_empty()
    }

    /// Whether the form was run, with whatever result.
    pub(super) fn has(&self, form: &str) -> bool {
        self.forms.iter().any(|(name, _)| *name == form)
    }

    /// For each process, the values of its timed iterations.
    fn values(&self, (form, quantity): Asked) -> Option<Vec<Vec<f64>>> {
        let (_, cell) = self.forms.iter().find(|(name, _)| *name == form)?;
        let processes = cell.attempts().map(|attempt| {
            let timed = attempt
                .iter()
                .filter(|row| row.iteration > 0 && row.status == crate::invocation::Status::Ok);
            timed
                .filter_map(|row| quantity.of(row.metrics.as_ref()?))
                .collect::<Vec<f64>>()
        });
        let values: Vec<Vec<f64>> = processes.filter(|values| !values.is_empty()).collect();
        (!values.is_empty()).then_some(values)
    }

    /// The median over processes of the mean over iterations.
    pub fn value(&self, asked: Asked) -> Option<Estimate> {
        let means: Vec<f64> = self
            .values(asked)?
            .iter()
            .map(|values| values.iter().sum::<f64>() / values.len() as f64)
            .collect();
        Some(Estimate {
            value: median(&means)?,
            interval: interval(&means),
            n: means.len(),
        })
    }

    /// The largest value of any iteration of any process, with the range over processes of their
    /// largest: for what must never happen.
    pub fn largest(&self, asked: Asked) -> Option<Estimate> {
        let largest: Vec<f64> = self
            .values(asked)?
            .iter()
            .map(|values| values.iter().copied().fold(f64::MIN, f64::max))
            .collect();
        let low = largest.iter().copied().fold(f64::MAX, f64::min);
        let high = largest.iter().copied().fold(f64::MIN, f64::max);
        Some(Estimate {
            value: high,
            interval: (largest.len() > 1).then_some((low, high)),
            n: largest.len(),
        })
    }

    /// The first divided by the second, both as in [`Self::value`]. `None` also where one of them
    /// is zero or less.
    pub fn ratio(&self, of: Asked, to: Asked) -> Option<Estimate> {
        let (of, to) = (self.values(of)?, self.values(to)?);
        if of.iter().chain(&to).flatten().any(|&value| value <= 0.0) {
            return None;
        }
        let ratio = ratio::ratio(&of, &to)?;
        Some(Estimate {
            value: ratio.value,
            interval: ratio.interval,
            n: of.len().min(to.len()),
        })
    }
}

/// Whether the cell is that of the form in the column.
fn is_of(cell: &CellResults, form: &super::Form, known: &[Description], column: &str) -> bool {
    let invocation = cell.invocation();
    if invocation.threads != form.threads {
        return false;
    }
    let (program, input) = form.input(known, invocation.size);
    if invocation.workload != program.name || invocation.parameters != *input.parameters() {
        return false;
    }
    if cell.is_peer() {
        form.peers && cell.heap_label() == column
    } else {
        let mut of_column = form
            .heaps
            .iter()
            .filter(|heap| heap.split(':').next() == Some(column));
        of_column.any(|heap| cell.heap_label() == *heap)
    }
}

/// Where the median of such values lies: with 95 % confidence, or their range.
fn interval(values: &[f64]) -> Option<(f64, f64)> {
    if values.len() < 2 {
        return None;
    }
    if values.len() < FEW {
        let low = values.iter().copied().fold(f64::MAX, f64::min);
        let high = values.iter().copied().fold(f64::MIN, f64::max);
        return Some((low, high));
    }
    let mut random = generator(0, 0);
    let mut medians: Vec<f64> = (0..RESAMPLES)
        .filter_map(|_| {
            let drawn: Vec<f64> = (0..values.len())
                .map(|_| values[below(&mut random, values.len())])
                .collect();
            median(&drawn)
        })
        .collect();
    medians.sort_unstable_by(f64::total_cmp);
    let at = |share: f64| medians[((medians.len() - 1) as f64 * share).round() as usize];
    Some((at(0.025), at(0.975)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_values_have_their_range() {
        assert_eq!(interval(&[3.0]), None);
        assert_eq!(interval(&[3.0, 1.0, 2.0]), Some((1.0, 3.0)));
    }

    #[test]
    fn many_values_have_an_interval_within_their_range() {
        let values: Vec<f64> = (0..21).map(f64::from).collect();
        let (low, high) = interval(&values).unwrap();
        assert!(
            0.0 < low && low < 10.0 && 10.0 < high && high < 20.0,
            "{low} {high}"
        );
    }

    #[test]
    fn a_falling_function_turns_the_interval_round() {
        let estimate = Estimate {
            value: 2.0,
            interval: Some((1.0, 4.0)),
            n: 3,
        };
        let inverse = estimate.map(|value| 1.0 / value);
        assert_eq!((inverse.value, inverse.interval), (0.5, Some((0.25, 1.0))));
    }
}
