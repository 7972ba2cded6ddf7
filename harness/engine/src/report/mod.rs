//! Rows in the forms people read: one file a format. Each is a function of the rows; nothing is
//! measured here.

pub mod answer;
mod column;
pub mod conclusion;
pub mod csv;
mod figure;
pub mod heap;
pub mod hlog;
pub mod html;
pub mod json;
pub mod markdown;
pub mod minheap;
mod plot;
pub mod quantity;
mod table;
pub mod terminal;
pub mod text;
pub mod trace;
pub mod unified_log;

use std::collections::HashSet;
use std::fmt;
use std::path::Path;

use maud::Markup;

use crate::message::{self, complain};
use crate::results::{CellResults, Results};

/// What is printed on standard output. The result file holds JSON rows in any case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// The answer on one screen: a line a workload, and what follows.
    Answer,
    /// One table at the end, and what follows.
    #[default]
    Table,
    /// The rows, as they come.
    Json,
    /// The rows, flattened, as they come.
    Csv,
    /// A table for a README or a pull request.
    Markdown,
    /// Every distribution, as an HdrHistogram interval log.
    Hlog,
    /// The collections of one heap, as a HotSpot JVM logs them (GCViewer).
    UnifiedLog,
    /// What stopped which thread when, as trace events (Perfetto).
    Trace,
}

/// A part of every report that is judged on a floor above this one: the documents' claims are one.
///
/// Each form is empty, or `None`, if the results have nothing that it is about.
pub trait Chapter: fmt::Debug + Sync {
    /// What it is called, and linked to by in the page: one word.
    fn title(&self) -> &'static str;
    /// On a terminal.
    fn text(&self, results: &Results) -> String;
    /// For a README or a pull request.
    fn markdown(&self, results: &Results) -> String;
    /// In the page; the section's id is [`Self::title`] in small letters.
    fn section(&self, results: &Results) -> Option<Markup>;
    /// JSON, an object a line.
    fn json(&self, results: &Results) -> String;
    /// What it comes to, for the answer on one screen: a sentence or a few.
    fn answer(&self, results: &Results) -> Vec<String>;
}

/// The chapters of a report, in order.
pub type Chapters = [&'static dyn Chapter];

/// A report that stands in the place of the one that every comparison has.
pub trait Report: fmt::Debug + Send + Sync {
    /// On a terminal.
    fn text(&self, results: &Results) -> String;
    /// The page with plots.
    fn page(&self, results: &Results) -> String;
    /// Whether all has figures that was to have some.
    fn is_complete(&self, results: &Results) -> bool;
    /// Where that goes, if not beside the results.
    fn path(&self) -> Option<&Path>;
}

/// What a comparison ends with on a terminal: the minima if they were looked for, the table, what
/// follows from it, and the chapters that have something to say.
pub fn summary(results: &Results, chapters: &Chapters) -> String {
    let mut text = minheap::render(results);
    if !text.is_empty() {
        text.push('\n');
    }
    if !results.cells.is_empty() {
        text.push_str(&terminal::render(results));
    }
    let conclusion = conclusion::render(results);
    if !conclusion.is_empty() {
        text.push_str(&format!("\n{conclusion}"));
    }
    let mut judged = false;
    for chapter in chapters.iter().map(|chapter| chapter.text(results)) {
        if !chapter.is_empty() {
            let gap = if text.is_empty() { "" } else { "\n" };
            text.push_str(&format!("{gap}{chapter}"));
            judged = true;
        }
    }
    // A comparison's table has them already.
    if judged && results.cells.is_empty() {
        for note in &results.notes {
            text.push_str(&format!("{note}.\n"));
        }
        for line in results.outside() {
            text.push_str(&format!("{line}.\n"));
        }
    }
    text
}

/// The command lines that made these cells, as they would be typed, each once. Those of a plan
/// differ in every row and are not typed; one line stands for all.
fn commands<'c>(cells: impl Iterator<Item = &'c CellResults>) -> Vec<String> {
    let mut commands = Vec::new();
    let mut planned = HashSet::new();
    for row in cells.flat_map(|cell| &cell.rows) {
        if let Some(environment) = &row.environment {
            let command = message::command(&environment.arguments);
            if environment
                .arguments
                .get(1)
                .is_some_and(|word| word == "invoke")
            {
                planned.insert(command);
            } else if !command.is_empty() && !commands.contains(&command) {
                commands.push(command);
            }
        }
    }
    match planned.len() {
        0 => {}
        1 => commands.extend(planned),
        lines => commands.push(format!(
            "harness invoke ... # {lines} lines of harness plan"
        )),
    }
    commands
}

/// The results in any form that is text.
///
/// # Errors
///
/// One line: the rows have nothing that has a place in this form, or more than it can hold.
pub fn render(results: &Results, format: Format, chapters: &Chapters) -> Result<String, String> {
    match format {
        Format::Answer => Ok(answer::render(results, chapters)),
        Format::Table => Ok(summary(results, chapters)),
        Format::Json => Ok(results.rows().map(json::line).collect()),
        Format::Csv => {
            let mut writer = csv::Writer::default();
            Ok(results.rows().map(|row| writer.line(row)).collect())
        }
        Format::Markdown => {
            let chapters = chapters.iter().map(|chapter| chapter.markdown(results));
            let mut parts: Vec<String> = chapters.filter(|part| !part.is_empty()).collect();
            if !results.cells.is_empty() || parts.is_empty() {
                parts.insert(0, markdown::render(results));
            }
            Ok(parts.join("\n"))
        }
        Format::Hlog => hlog::render(results).ok_or_else(|| {
            "these rows have no distribution of pauses or anything else, and so no interval log"
                .to_owned()
        }),
        Format::UnifiedLog => {
            let cell = unified_log::only_cell(results)?;
            let log = unified_log::render(cell);
            if log.collections == 0 {
                return Err(format!(
                    "no collection of {} says how much memory there was before and after \
                     it, and so there is no log",
                    cell.name()
                ));
            }
            if log.left_out > 0 {
                complain(&format!(
                    "note: {} collections are not in the log: the rows do not say their sizes",
                    log.left_out
                ));
            }
            Ok(log.text)
        }
        Format::Trace => trace::render(results).ok_or_else(|| {
            "these rows say what stopped no thread, and when, and so there is no trace; rows of \
             the first version never do"
                .to_owned()
        }),
    }
}
