//! Result files, read.

use std::fs;
use std::io;
use std::path::Path;

use serde::de::IgnoredAny;

use contract::shown::shown;

use crate::invocation::Row;

/// The rows of a result file, and what a reader should know about it, a line each: that the last
/// line was cut short, as a killed process leaves it, is a note.
///
/// # Errors
///
/// One line that names the file, the line and the way out: the file cannot be read, a line is no
/// row, or was written by a newer version.
pub fn read_rows(path: &Path) -> Result<(Vec<Row>, Vec<String>), String> {
    let shown = shown(path);
    let bytes = fs::read(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => {
            format!("there is no file {shown}; results are usually in results/")
        }
        _ => format!("cannot read {shown}: {error}; choose another file"),
    })?;
    let text = String::from_utf8_lossy(&bytes);
    parse_rows(&shown, &text)
}

fn parse_rows(name: &str, text: &str) -> Result<(Vec<Row>, Vec<String>), String> {
    let mut rows = Vec::new();
    let mut notes = Vec::new();
    for (index, line) in text.split_inclusive('\n').enumerate() {
        let number = index + 1;
        let is_whole = line.ends_with('\n');
        let line = line.trim();
        match Row::read(line) {
            _ if line.is_empty() => {}
            Ok(row) => rows.push(row),
            // The end of the file, and no JSON: what a killed process leaves.
            Err(_) if !is_whole && serde_json::from_str::<IgnoredAny>(line).is_err() => notes.push(
                format!("{name}, line {number}: the last row was cut short, and is left out"),
            ),
            Err(reason) => {
                return Err(format!(
                    "{name}: line {number} {reason}; choose another file, or remove the line"
                ));
            }
        }
    }
    Ok((rows, notes))
}
