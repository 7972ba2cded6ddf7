//! Rows in the forms people read: one file a format. Each is a function of the rows and the plan; nothing is measured here.

pub mod csv;
pub mod json;
pub(crate) mod minheap;
pub(crate) mod quantity;
pub mod table;

use crate::results::Results;

/// What a comparison ends with on a terminal: the minima if they were looked for, the table, and what follows from it.
pub fn summary(results: &Results) -> String {
    table::render(results)
}
