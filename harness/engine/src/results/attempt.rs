//! The iterations of one process: which belong together, which count.

use crate::invocation::{Row, Status};

/// The processes of these rows, each with the rows of its iterations.
pub(super) fn attempts(rows: &[Row]) -> impl Iterator<Item = &[Row]> {
    rows.chunk_by(|a, b| a.invocation == b.invocation && a.iteration < b.iteration)
}

/// Whether these rows, the iterations of one process, are all there will be.
pub fn is_complete(attempt: &[Row]) -> bool {
    attempt.last().is_some_and(|last| {
        last.status != Status::Ok || last.iteration >= last.invocation.iterations
    })
}

/// One cell's rows, sorted into attempts.
pub(super) struct Sorted {
    /// Those of the complete attempts that count.
    pub(super) rows: Vec<Row>,
    /// How many rows the others have.
    pub(super) left_out: usize,
    /// How many attempts failed, and others were made in their place.
    pub(super) replaced: usize,
}

/// Sorts one cell's rows into attempts, also where those of several processes have been written
/// alternately. A failure whose process was run [again](Row::again) does not count.
pub(super) fn complete_attempts(rows: Vec<Row>) -> Sorted {
    let mut attempts: Vec<Vec<Row>> = Vec::new();
    for row in rows {
        let goes_on = |attempt: &&mut Vec<Row>| {
            attempt.last().is_some_and(|last| {
                last.invocation == row.invocation
                    && last.status == Status::Ok
                    && last.iteration < row.iteration
            })
        };
        match attempts.iter_mut().rev().find(goes_on) {
            Some(attempt) => attempt.push(row),
            None => attempts.push(vec![row]),
        }
    }
    let mut complete: Vec<Vec<Row>> = Vec::new();
    let (mut left_out, mut replaced) = (0, 0);
    for attempt in attempts {
        if !is_complete(&attempt) {
            left_out += attempt.len();
            continue;
        }
        if attempt[0].again {
            let failed = |known: &Vec<Row>| {
                known[0].invocation == attempt[0].invocation
                    && known.last().is_some_and(|row| row.status.is_accident())
            };
            if let Some(at) = complete.iter().rposition(failed) {
                complete.remove(at);
                replaced += 1;
            }
        }
        complete.push(attempt);
    }
    Sorted {
        rows: complete.into_iter().flatten().collect(),
        left_out,
        replaced,
    }
}
