//! Rows in the forms people read: one file a format. Each is a function of the rows; nothing is measured here.

pub mod claims;
pub(crate) mod command;
pub mod conclusion;
pub mod csv;
mod figure;
pub mod hlog;
pub mod html;
pub mod json;
pub mod markdown;
pub mod minheap;
mod plot;
pub(crate) mod quantity;
pub mod table;
pub mod trace;
pub mod unified_log;

use crate::experiment::judge;
use crate::plan::Format;
use crate::results::Results;

/// What a comparison ends with on a terminal: the minima if they were looked for, the table, what follows from it, and the claims if experiments were
/// run.
pub fn summary(results: &Results) -> String {
    let mut text = minheap::render(results);
    if !text.is_empty() {
        text.push('\n');
    }
    if !results.cells.is_empty() {
        text.push_str(&table::render(results));
    }
    let conclusion = conclusion::render(results);
    if !conclusion.is_empty() {
        text.push_str(&format!("\n{conclusion}"));
    }
    let claims = claims::table(&judge(results));
    if !claims.is_empty() {
        let gap = if text.is_empty() { "" } else { "\n" };
        text.push_str(&format!("{gap}{claims}"));
        // A comparison's table has them already.
        if results.cells.is_empty() {
            for note in &results.notes {
                text.push_str(&format!("{note}.\n"));
            }
            for line in results.outside() {
                text.push_str(&format!("{line}.\n"));
            }
        }
    }
    text
}

/// The results in any form that is text.
///
/// # Errors
///
/// One line: the rows have nothing that has a place in this form, or more than it can hold.
pub fn render(results: &Results, format: Format) -> Result<String, String> {
    let cells = || results.cells.iter().chain(&results.experiments);
    let rows = || cells().flat_map(|cell| &cell.rows);
    match format {
        Format::Table => Ok(summary(results)),
        Format::Json => Ok(rows().map(json::line).collect()),
        Format::Csv => {
            let mut writer = csv::Writer::default();
            Ok(rows().map(|row| writer.line(row)).collect())
        }
        Format::Markdown => {
            let claims = claims::markdown(&judge(results));
            Ok(match (results.cells.is_empty(), claims.is_empty()) {
                (true, false) => claims,
                (_, true) => markdown::render(results),
                (false, false) => format!("{}\n{claims}", markdown::render(results)),
            })
        }
        Format::Hlog => hlog::render(results).ok_or_else(|| {
            "these rows have no distribution of pauses or anything else, and so no interval log"
                .to_owned()
        }),
        Format::UnifiedLog => {
            let cell = command::only_cell(results)?;
            let log = unified_log::render(cell);
            if log.collections == 0 {
                return Err(format!(
                    "no collection of {} on {} says how much memory there was before and after it, and so there is no log",
                    cell.workload_label(),
                    cell.heap_label()
                ));
            }
            if log.left_out > 0 {
                crate::run::complain(&format!(
                    "note: {} collections are not in the log: the rows do not say their sizes",
                    log.left_out
                ));
            }
            Ok(log.text)
        }
        Format::Trace => trace::render(results).ok_or_else(|| {
            "these rows say what stopped no thread, and when, and so there is no trace; rows of the first version never do".to_owned()
        }),
    }
}
