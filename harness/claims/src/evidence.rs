//! From rows to figures: what an experiment's forms have given on one heap or runtime.
//!
//! A figure of one form, and its interval, are those of [`estimate::figure`]; of two forms divided,
//! those of [`estimate::ratio`].

use crate::form::Form;
use crate::measure::estimate;
use crate::quantity::Quantity;
use crate::results::{CellResults, Results};
use crate::workload::Description;

pub use crate::measure::estimate::Estimate;

/// What an experiment has given in one column: on one heap, whatever its options, or on one other
/// runtime.
#[derive(Debug)]
pub struct Evidence<'r> {
    forms: Vec<(&'static str, &'r CellResults)>,
}

impl<'r> Evidence<'r> {
    /// What the results say about an experiment of these forms in a column: the name of a heap, or
    /// the label of a peer.
    pub(crate) fn of(
        forms: &[Form],
        known: &[Description],
        results: &'r Results,
        column: &str,
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

    /// For each process, the values of its timed iterations.
    fn values(&self, quantity: Quantity, form: &str) -> Option<Vec<Vec<f64>>> {
        let (_, cell) = self.forms.iter().find(|(name, _)| *name == form)?;
        let values = cell.samples(|metrics| quantity.of(metrics));
        (!values.is_empty()).then_some(values)
    }

    /// The median over processes of the mean over iterations.
    pub fn value(&self, quantity: Quantity, form: &str) -> Option<Estimate> {
        estimate::figure(&self.values(quantity, form)?)
    }

    /// The largest value of any iteration of any process, with the range over processes of their
    /// largest, of that form of these where it is largest.
    pub fn largest(&self, quantity: Quantity, forms: &[&str]) -> Option<Estimate> {
        let of_form = |form: &&str| estimate::largest(&self.values(quantity, form)?);
        let figures: Option<Vec<Estimate>> = forms.iter().map(of_form).collect();
        let order = |a: &Estimate, b: &Estimate| a.value.total_cmp(&b.value);
        figures?.into_iter().max_by(order)
    }

    /// One form's divided by another's, both as in [`Self::value`]. `None` also where one of them
    /// is zero or less.
    pub fn ratio(&self, quantity: Quantity, of: &str, to: &str) -> Option<Estimate> {
        let (of, to) = (self.values(quantity, of)?, self.values(quantity, to)?);
        if of.iter().chain(&to).flatten().any(|&value| value <= 0.0) {
            return None;
        }
        estimate::ratio(&of, &to)
    }
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
