//! From rows to figures: what an experiment's forms have given on one heap or runtime.
//!
//! Figures of one form, ratios of two, and shares have the intervals of [`Inference`] and
//! [`share`]. Forms of one round ran near each other, so that a ratio is made of each round.

use std::cell::RefCell;

use crate::form::Form;
use crate::quantity::Quantity;
use crate::results::{CellResults, Results};
use crate::workload::Description;
use engine::statistics::{Centre, Inference, Prior, logarithms, share};

pub use engine::statistics::Estimate;

/// How sure the figures of a run are: what all of them together say of how processes differ.
#[derive(Debug)]
pub(crate) struct Noise {
    ratios: Inference,
    figures: Inference,
    confidence: f64,
    /// What was asked for: of ratios, and of single figures.
    asked: RefCell<[Vec<Centre>; 2]>,
}

impl Noise {
    /// As long as nothing is known: figures are computed with it once, so that they leave a note of
    /// how they scatter.
    pub(crate) fn unknown(confidence: f64) -> Self {
        let plain = Inference::new(None, confidence);
        Self {
            ratios: plain,
            figures: plain,
            confidence,
            asked: RefCell::default(),
        }
    }

    /// What follows from the notes.
    pub(crate) fn learnt(self) -> Self {
        let [ratios, figures] = self.asked.into_inner();
        let inference = |centres: &[Centre]| Inference::new(Prior::of(centres), self.confidence);
        Self {
            ratios: inference(&ratios),
            figures: inference(&figures),
            confidence: self.confidence,
            asked: RefCell::default(),
        }
    }

    fn ratio(&self, logarithms: &[f64]) -> Option<Estimate> {
        let centre = Centre::of(logarithms)?;
        self.asked.borrow_mut()[0].push(centre);
        Some(self.ratios.ratio(&centre))
    }

    fn figure(&self, values: &[f64]) -> Option<Estimate> {
        if values.iter().all(|&value| value > 0.0) {
            let centre = Centre::of(&logarithms(values));
            self.asked.borrow_mut()[1].extend(centre);
        }
        self.figures.figure(values)
    }
}

/// What an experiment has given in one column: on one heap, whatever its options, or on one other
/// runtime.
#[derive(Debug)]
pub struct Evidence<'r> {
    forms: Vec<(&'static str, &'r CellResults)>,
    noise: &'r Noise,
}

impl<'r> Evidence<'r> {
    /// What the results say about an experiment of these forms in a column: the name of a heap, or
    /// the label of a peer.
    pub(crate) fn of(
        forms: &[Form],
        known: &[Description],
        results: &'r Results,
        column: &str,
        noise: &'r Noise,
    ) -> Self {
        let of_form = |form| {
            let mut cells = results.experiments.iter();
            cells.find(|cell| is_of(cell, form, known, column))
        };
        Self {
            forms: forms
                .iter()
                .filter_map(|form| Some((form.name, of_form(form)?)))
                .collect(),
            noise,
        }
    }

    /// Why a form has no figures, if it was run and has none.
    pub fn failure(&self) -> Option<String> {
        self.forms.iter().find_map(|(form, cell)| {
            let row = cell.failure()?;
            Some(format!("{form}: {}", row.reason()))
        })
    }

    /// Whether nothing was run.
    pub fn is_empty(&self) -> bool {
        self.forms.is_empty()
    }

    /// Whether the form was run, with whatever result.
    pub(crate) fn has(&self, form: &str) -> bool {
        self.forms.iter().any(|(name, _)| *name == form)
    }

    fn cell(&self, form: &str) -> Option<&'r CellResults> {
        let mut forms = self.forms.iter();
        forms.find(|(name, _)| *name == form).map(|(_, cell)| *cell)
    }

    /// What is typical of a process, each by the mean of its timed iterations.
    pub fn value(&self, quantity: Quantity, form: &str) -> Option<Estimate> {
        let rounds = self.cell(form)?.rounds(|metrics| quantity.of(metrics));
        self.noise
            .figure(&rounds.into_values().collect::<Vec<f64>>())
    }

    /// The largest of a process's iterations, as it is typical, in that form of these where it is
    /// largest.
    pub fn largest(&self, quantity: Quantity, forms: &[&str]) -> Option<Estimate> {
        let of_form = |form: &&str| {
            let processes = self.cell(form)?.samples(|metrics| quantity.of(metrics));
            let largest = processes
                .iter()
                .map(|values| values.iter().copied().fold(0.0, f64::max));
            self.noise.figure(&largest.collect::<Vec<f64>>())
        };
        let figures: Option<Vec<Estimate>> = forms.iter().map(of_form).collect();
        let order = |a: &Estimate, b: &Estimate| a.value.total_cmp(&b.value);
        figures?.into_iter().max_by(order)
    }

    /// One form's divided by another's, round by round. `None` also where one of them is zero or
    /// less in a round.
    pub fn ratio(&self, quantity: Quantity, of: &str, to: &str) -> Option<Estimate> {
        let rounds = |form| Some(self.cell(form)?.rounds(|metrics| quantity.of(metrics)));
        let (of, to) = (rounds(of)?, rounds(to)?);
        let pairs = of
            .iter()
            .filter_map(|(round, of)| Some((*of, *to.get(round)?)));
        let logarithms = pairs.map(|(of, to)| (of > 0.0 && to > 0.0).then(|| (of / to).ln()));
        self.noise.ratio(&logarithms.collect::<Option<Vec<f64>>>()?)
    }

    /// How many of so many, over all timed iterations of all processes of these forms. `None` if
    /// one of them was not run, or there was no trial.
    pub fn share(&self, successes: Quantity, trials: Quantity, forms: &[&str]) -> Option<Estimate> {
        let (mut seen, mut all) = (0, 0);
        for form in forms {
            for metrics in self.cell(form)?.measured() {
                seen += successes.of(metrics)?.round() as u64;
                all += trials.of(metrics)?.round() as u64;
            }
        }
        (seen <= all && all > 0).then(|| Estimate {
            value: seen as f64 / all as f64,
            interval: Some(share::interval(seen, all, self.noise.confidence)),
            n: usize::try_from(all).unwrap_or(usize::MAX),
        })
    }

    /// By how much `y` grows while `x` grows by one, over these forms: the slope of the straight
    /// line of least squares through their points, round by round, so that what moves a round moves
    /// all of its points. `None` if one of the forms was not run.
    pub fn slope(&self, y: Quantity, x: Quantity, forms: &[&str]) -> Option<Estimate> {
        let points = |form: &&str| {
            let of = |quantity: Quantity| Some(self.cell(form)?.rounds(|row| quantity.of(row)));
            Some((of(x)?, of(y)?))
        };
        let forms: Vec<_> = forms.iter().map(points).collect::<Option<_>>()?;
        let of_round = |round| {
            let points = forms
                .iter()
                .map(|(x, y)| Some((*x.get(round)?, *y.get(round)?)));
            slope(&points.collect::<Option<Vec<_>>>()?)
        };
        let slopes = forms.first()?.0.keys().filter_map(of_round);
        self.noise.figure(&slopes.collect::<Vec<f64>>())
    }
}

/// The slope of the straight line of least squares; `None` if all points are at one place.
fn slope(points: &[(f64, f64)]) -> Option<f64> {
    let count = points.len() as f64;
    let sum = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>();
    let (x, y) = (sum(|(x, _)| *x) / count, sum(|(_, y)| *y) / count);
    let spread: f64 = points.iter().map(|point| (point.0 - x).powi(2)).sum();
    let common: f64 = points
        .iter()
        .map(|point| (point.0 - x) * (point.1 - y))
        .sum();
    (spread > 0.0).then(|| common / spread)
}

/// Whether the cell is that of the form in the column.
fn is_of(cell: &CellResults, form: &Form, known: &[Description], column: &str) -> bool {
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
