//! Rows in the forms people read: one file a format. Each is a function of the rows; nothing is measured here.

pub mod csv;
mod figure;
pub mod hlog;
pub mod html;
pub mod json;
pub(crate) mod minheap;
mod plot;
pub(crate) mod quantity;
pub mod table;
pub mod trace;
pub mod unified_log;

use crate::results::Results;

/// What a comparison ends with on a terminal: the minima if they were looked for, the table, and what follows from it.
pub fn summary(results: &Results) -> String {
    table::render(results)
}
