//! JSON: one row a line, the form in which results are kept. [`Row`] documents the names.

use super::Chapters;
use crate::invocation::Row;
use crate::results::Results;

/// The row, with its line feed.
pub fn line(row: &Row) -> String {
    let mut line =
        serde_json::to_string(row).expect("rows have no maps with keys other than strings");
    line.push('\n');
    line
}

/// What the chapters say of the results, an object a line.
pub(crate) fn chapters(results: &Results, chapters: &Chapters) -> String {
    chapters
        .iter()
        .map(|chapter| chapter.json(results))
        .collect()
}
