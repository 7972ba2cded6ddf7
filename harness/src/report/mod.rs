//! Rows in the forms people read: one file a format. Each is a function of the rows and the plan; nothing is measured here.

pub mod conclusion;
pub mod csv;
pub mod json;
pub mod minheap;
pub(crate) mod quantity;
pub mod table;

use crate::results::Results;

/// What a comparison ends with on a terminal: the minima if they were looked for, the table, and what follows from it.
pub fn summary(results: &Results) -> String {
    let mut text = minheap::render(results);
    if !text.is_empty() {
        text.push('\n');
    }
    text.push_str(&table::render(results));
    let conclusion = conclusion::render(results);
    if !conclusion.is_empty() {
        text.push_str(&format!("\n{conclusion}"));
    }
    text
}
