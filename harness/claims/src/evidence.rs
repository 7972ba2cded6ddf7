//! From rows to figures: what an experiment's forms have given on one heap or runtime.
//!
//! Figures of one form, ratios of two, and shares have the intervals of [`Inference`] and
//! [`share`]. Forms of one round ran near each other, so that a ratio is made of each round.

use std::cell::RefCell;

use crate::form::{self, Form};
use crate::quantity::{Quantity, Unit};
use crate::results::{CellResults, Results};
use crate::workload::Description;
use engine::statistics::family::FALSE_DISCOVERIES;
use engine::statistics::{Centre, Inference, Prior, logarithms, share};

pub use engine::statistics::Estimate;

/// How sure the figures of a run are: what those of one kind say together of how processes differ.
#[derive(Debug)]
pub(crate) struct Noise {
    confidence: f64,
    /// The factor on every standard error that equal things ask for (A/A).
    calibration: f64,
    /// What is known of figures of a kind.
    priors: Vec<(Kind, Option<Prior>)>,
    /// What was asked for, once each.
    asked: RefCell<Vec<(Kind, Centre)>>,
}

/// What figures are compared by in how they scatter: a ratio or a figure by itself, and its unit.
type Kind = (bool, Unit);

impl Noise {
    /// As long as nothing is known: figures are computed with it once, so that they leave a note of
    /// how they scatter.
    pub(crate) fn unknown(calibration: f64) -> Self {
        Self {
            confidence: 1.0 - FALSE_DISCOVERIES,
            calibration,
            priors: Vec::new(),
            asked: RefCell::default(),
        }
    }

    /// What follows from the notes.
    pub(crate) fn learnt(self) -> Self {
        let asked = self.asked.into_inner();
        let mut kinds: Vec<Kind> = Vec::new();
        for (kind, _) in &asked {
            if !kinds.contains(kind) {
                kinds.push(*kind);
            }
        }
        let prior = |kind: Kind| {
            let of_kind = asked.iter().filter(|(other, _)| *other == kind);
            Prior::of(of_kind.map(|(_, centre)| centre))
        };
        Self {
            priors: kinds.into_iter().map(|kind| (kind, prior(kind))).collect(),
            asked: RefCell::default(),
            ..self
        }
    }

    /// The same where each interval is to cover what it stands for with this probability.
    pub(crate) fn at(&self, confidence: f64) -> Self {
        Self {
            confidence,
            calibration: self.calibration,
            priors: self.priors.clone(),
            asked: RefCell::default(),
        }
    }

    fn inference(&self, kind: Kind) -> Inference {
        let known = self.priors.iter().find(|(other, _)| *other == kind);
        let prior = known.and_then(|(_, prior)| *prior);
        Inference::new(prior, self.confidence).scaled(self.calibration)
    }

    /// Several claims may ask for the same.
    fn note(&self, kind: Kind, centre: Centre) {
        let mut asked = self.asked.borrow_mut();
        if !asked.contains(&(kind, centre)) {
            asked.push((kind, centre));
        }
    }

    fn ratio(&self, unit: Unit, logarithms: &[f64]) -> Option<Estimate> {
        let centre = Centre::of(logarithms)?;
        self.note((true, unit), centre);
        Some(self.inference((true, unit)).ratio(&centre))
    }

    fn figure(&self, unit: Unit, values: &[f64]) -> Option<Estimate> {
        if values.iter().all(|&value| value > 0.0)
            && let Some(centre) = Centre::of(&logarithms(values))
        {
            self.note((false, unit), centre);
        }
        let figure = self.inference((false, unit)).figure(values)?;
        // No share is more than all.
        Some(Estimate {
            interval: figure.interval.map(|(low, high)| match unit {
                Unit::Share => (low.max(0.0), high.min(1.0)),
                _ => (low, high),
            }),
            ..figure
        })
    }
}

/// What an experiment has given in one column: on one heap, whatever its options, or on one other
/// runtime.
#[derive(Debug)]
pub struct Evidence<'r> {
    forms: Vec<(&'static str, &'r CellResults)>,
    /// The same forms where references are counted behind the lock, if that is another column.
    locked: Vec<(&'static str, &'r CellResults)>,
    noise: &'r Noise,
}

impl<'r> Evidence<'r> {
    /// What the results say about an experiment of these forms in a column, which a
    /// [heap](form::column) has or the label of a peer; and in that of its kind which counts behind
    /// the lock, if there is one.
    pub(crate) fn of(
        forms: &[Form],
        known: &[Description],
        results: &'r Results,
        (column, locked): (&str, Option<&str>),
        noise: &'r Noise,
    ) -> Self {
        let of_form = |form, column| {
            let mut cells = results.experiments.iter();
            cells.find(|cell| is_of(cell, form, known, column))
        };
        let of = |column| {
            let forms = forms.iter();
            let cells = forms.filter_map(|form| Some((form.name, of_form(form, column)?)));
            cells.collect()
        };
        Self {
            forms: of(column),
            locked: locked.map(of).unwrap_or_default(),
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
        of_name(&self.forms, form)
    }

    /// What is typical of a process, each by the mean of its timed iterations.
    pub fn value(&self, quantity: Quantity, form: &str) -> Option<Estimate> {
        let rounds = self.cell(form)?.rounds(|metrics| quantity.of(metrics));
        let values: Vec<f64> = rounds.into_values().collect();
        self.noise.figure(quantity.unit(), &values)
    }

    /// The largest of a process's iterations, as it is typical, in that form of these where it is
    /// largest.
    pub fn largest(&self, quantity: Quantity, forms: &[&str]) -> Option<Estimate> {
        let of_form = |form: &&str| {
            let processes = self.cell(form)?.samples(|metrics| quantity.of(metrics));
            let largest = processes
                .iter()
                .map(|values| values.iter().copied().fold(0.0, f64::max));
            let values: Vec<f64> = largest.collect();
            self.noise.figure(quantity.unit(), &values)
        };
        let figures: Option<Vec<Estimate>> = forms.iter().map(of_form).collect();
        // The largest of all is nowhere below one of them, nor above all their ends.
        figures?.into_iter().reduce(|a, b| Estimate {
            value: a.value.max(b.value),
            interval: a
                .interval
                .zip(b.interval)
                .map(|(a, b)| (a.0.max(b.0), a.1.max(b.1))),
            n: a.n.min(b.n),
        })
    }

    /// One form's divided by another's, round by round. `None` also where one of them is zero or
    /// less in a round.
    pub fn ratio(&self, quantity: Quantity, of: &str, to: &str) -> Option<Estimate> {
        self.ratio_of_cells(quantity, self.cell(of)?, self.cell(to)?)
    }

    /// One form's divided by the same where references are counted behind the lock, round by round.
    /// `None` where that is, and where there is no such column.
    pub fn to_locked(&self, quantity: Quantity, form: &str) -> Option<Estimate> {
        self.ratio_of_cells(quantity, self.cell(form)?, of_name(&self.locked, form)?)
    }

    fn ratio_of_cells(
        &self,
        quantity: Quantity,
        of: &CellResults,
        to: &CellResults,
    ) -> Option<Estimate> {
        let rounds = |cell: &CellResults| cell.rounds(|metrics| quantity.of(metrics));
        let (of, to) = (rounds(of), rounds(to));
        let pairs = of
            .iter()
            .filter_map(|(round, of)| Some((*of, *to.get(round)?)));
        let logarithms = pairs.map(|(of, to)| (of > 0.0 && to > 0.0).then(|| (of / to).ln()));
        let logarithms: Option<Vec<f64>> = logarithms.collect();
        self.noise.ratio(quantity.unit(), &logarithms?)
    }

    /// How many of so many, over all timed iterations of all processes of these forms. `None` if
    /// one of them was not run, or there was no trial.
    ///
    /// Trials of one process are not independent. Where processes differ by more than independent
    /// trials would, the trials count for as many fewer as their variance is larger.
    pub fn share(&self, successes: Quantity, trials: Quantity, forms: &[&str]) -> Option<Estimate> {
        let mut processes: Vec<(f64, f64)> = Vec::new();
        for form in forms {
            let cell = self.cell(form)?;
            let seen = cell.samples(|metrics| successes.of(metrics));
            let all = cell.samples(|metrics| trials.of(metrics));
            let sums = |values: &Vec<f64>| values.iter().sum::<f64>();
            processes.extend(seen.iter().map(sums).zip(all.iter().map(sums)));
        }
        let (seen, all) =
            (processes.iter()).fold((0.0, 0.0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
        (0.0 <= seen && seen <= all && all >= 1.0).then(|| {
            let worth = dispersion(&processes, seen / all).max(1.0);
            // At least one trial a process.
            let worth = worth.min(all / processes.len() as f64).max(1.0);
            let trials = (all / worth).round().max(1.0);
            let successes = (seen / worth).round().min(trials);
            Estimate {
                value: seen / all,
                interval: Some(share::interval(
                    successes as u64,
                    trials as u64,
                    self.noise.confidence,
                )),
                n: trials as usize,
            }
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
        self.noise.figure(y.unit(), &slopes.collect::<Vec<f64>>())
    }
}

/// By how much more the successes of processes scatter than those of independent trials with this
/// share: Pearson's chi-squared over its degrees of freedom. 1 of one process, and where nothing or
/// everything succeeds.
fn dispersion(processes: &[(f64, f64)], share: f64) -> f64 {
    let freedom = processes.len() as f64 - 1.0;
    if freedom < 1.0 || share <= 0.0 || share >= 1.0 {
        return 1.0;
    }
    let squares = processes.iter().filter(|(_, trials)| *trials > 0.0);
    let squares = squares.map(|(successes, trials)| {
        (successes - trials * share).powi(2) / (trials * share * (1.0 - share))
    });
    squares.sum::<f64>() / freedom
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

/// The cell of the form of this name.
fn of_name<'r>(cells: &[(&'static str, &'r CellResults)], form: &str) -> Option<&'r CellResults> {
    let mut cells = cells.iter();
    cells.find(|(name, _)| *name == form).map(|(_, cell)| *cell)
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
            .filter(|heap| form::column(heap) == column);
        of_column.any(|heap| cell.heap_label() == *heap)
    }
}
