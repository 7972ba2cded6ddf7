//! What searches for the smallest heap have found.

use std::collections::HashSet;

use super::Results;
use super::attempt::is_complete;
use super::cell::CellKey;
use super::label::{Programs, heap_label, programs, workload_label};
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
    /// Of the work and heap of this row.
    fn nothing(row: &Row, programs: &Programs) -> Self {
        Self {
            workload_label: workload_label(row),
            threads: row.invocation.threads,
            heap_label: heap_label(row, programs),
            completed: None,
            failed: 0,
        }
    }
}

impl Results {
    /// What the [trials](Self::trials) have found: for each work and heap the least size that
    /// completed.
    pub fn minima(&self) -> Vec<Found> {
        let programs = programs(self.trials.iter());
        let mut found: Vec<(CellKey, Found)> = Vec::new();
        let (mut completed, mut failed) = (HashSet::new(), Vec::new());
        for attempt in self
            .trials
            .chunk_by(|a, b| a.invocation == b.invocation && a.iteration < b.iteration)
        {
            let (first, last) = (&attempt[0], &attempt[attempt.len() - 1]);
            if !is_complete(attempt) {
                continue;
            }
            let key = CellKey::of_any_size(first);
            let at = found.iter().position(|(known, _)| *known == key);
            let at = at.unwrap_or_else(|| {
                found.push((key, Found::nothing(first, &programs)));
                found.len() - 1
            });
            let bytes = first.invocation.heap_bytes;
            let minimum = &mut found[at].1;
            if last.status == Status::Ok {
                minimum.completed = Some(minimum.completed.map_or(bytes, |known| known.min(bytes)));
                completed.insert((at, bytes));
            } else {
                failed.push((at, bytes));
            }
        }
        // A size that completed when it was tried again has not failed.
        for (at, bytes) in failed {
            if !completed.contains(&(at, bytes)) {
                found[at].1.failed = found[at].1.failed.max(bytes);
            }
        }
        found.into_iter().map(|(_, minimum)| minimum).collect()
    }
}
