//! What searches for the smallest heap have found.

use std::collections::BTreeSet;

use super::attempt::{attempts, is_complete};
use super::cell::CellKey;
use super::label::{Programs, heap_label, programs, workload_label};
use super::{Results, by_key};
use crate::invocation::{Row, Status};

/// The smallest heap of one work on one heap, as a search has found it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// As [`super::CellResults::workload_label`].
    pub workload_label: String,
    /// Mutator threads.
    pub threads: usize,
    /// As [`super::CellResults::heap_label`].
    pub heap_label: String,
    /// The smallest size that completed, in bytes; `None` if none did.
    pub completed: Option<u64>,
    /// The largest size that did not complete, in bytes; 0 if every one did.
    pub failed: u64,
}

impl Found {
    /// What these attempts, of one work on one heap, have found.
    fn of(attempts: &[&[Row]], programs: &Programs) -> Self {
        let row = &attempts[0][0];
        let sizes = |completed: bool| {
            let ended = attempts.iter().filter_map(|attempt| attempt.last());
            let ended = ended.filter(move |last| (last.status == Status::Ok) == completed);
            ended.map(|last| last.invocation.heap_bytes)
        };
        let completed: BTreeSet<u64> = sizes(true).collect();
        // A size that completed when it was tried again has not failed.
        let failed = sizes(false).filter(|bytes| !completed.contains(bytes));
        Self {
            workload_label: workload_label(row),
            threads: row.invocation.threads,
            heap_label: heap_label(row, programs),
            completed: completed.first().copied(),
            failed: failed.max().unwrap_or(0),
        }
    }
}

impl Results {
    /// What the [trials](Self::trials) have found: for each work and heap the least size that
    /// completed.
    pub fn minima(&self) -> Vec<Found> {
        let programs = programs(self.trials.iter());
        let attempts = attempts(&self.trials).filter(|attempt| is_complete(attempt));
        let searches = by_key(attempts, |attempt| CellKey::of_any_size(&attempt[0]));
        let searches = searches.iter();
        searches
            .map(|(_, attempts)| Found::of(attempts, &programs))
            .collect()
    }
}
