//! JSON: one row a line, the form in which results are kept. [`Row`] documents the names.

use crate::invocation::Row;

/// The row, with its line feed.
pub fn line(row: &Row) -> String {
    let mut line =
        serde_json::to_string(row).expect("rows have no maps with keys other than strings");
    line.push('\n');
    line
}
