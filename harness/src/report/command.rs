//! `harness report`: result files in another form. Nothing is measured, and no file is written but the one that is named.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;

use super::html;
use crate::invocation::Row;
use crate::plan::{self, Format};
use crate::results::{CellResults, Results, read_rows};
use crate::run::{self, Error};
use crate::suggest;

/// What to report, and how.
#[derive(Clone, Debug, Args)]
pub(crate) struct Report {
    /// Result files; several are taken together
    #[arg(value_name = "RESULTS", required = true)]
    files: Vec<PathBuf>,
    /// Where to write the page; - is standard output
    /// [default: the first result file's name with .html, unless --format asks for another form]
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Only these workloads, by name; may be repeated, or several separated by commas
    #[arg(long = "workload", value_name = "NAME", value_delimiter = ',')]
    workloads: Vec<String>,
    /// Only these heaps, by name; may be repeated, or several separated by commas
    #[arg(long = "heap", value_name = "NAME", value_delimiter = ',')]
    heaps: Vec<String>,
    /// Only these numbers of threads
    #[arg(long, value_name = "N,...", value_delimiter = ',')]
    threads: Vec<usize>,
    /// Only these heap sizes: 64M, 1.5G
    #[arg(long = "heap-size", value_name = "BYTES", value_delimiter = ',', value_parser = plan::parse_bytes)]
    heap_bytes: Vec<u64>,
}

/// Writes the page, or prints the other form that was asked for.
///
/// # Errors
///
/// If a file cannot be read or holds something else, nothing in it is meant, or the result cannot be written.
pub(crate) fn run(report: &Report, format: Option<Format>, quiet: bool) -> Result<bool, Error> {
    let mut rows = Vec::new();
    let mut notes = Vec::new();
    for file in &report.files {
        let (more, remarks) = read_rows(file).map_err(Error::NotRun)?;
        rows.extend(more);
        notes.extend(remarks);
    }
    let rows = choose(report, rows).map_err(Error::NotRun)?;
    let mut results = Results::of_rows(rows);
    results.notes.splice(0..0, notes);
    if results.cells.is_empty() && results.experiments.is_empty() {
        let files: Vec<String> = report
            .files
            .iter()
            .map(|file| file.display().to_string())
            .collect();
        return Err(Error::NotRun(format!(
            "there is nothing to report in {}: no process that measures had ended",
            files.join(", ")
        )));
    }

    if let Some(format) = format {
        let text = super::render(&results, format).map_err(Error::NotRun)?;
        run::print(&text).map_err(|error| Error::NotWritten(run::not_printed(&error)))?;
    }
    match (&report.html, format) {
        (None, Some(_)) => {}
        (Some(path), _) if path.as_os_str() == "-" => {
            let page = html::render(&results);
            run::print(&page).map_err(|error| Error::NotWritten(run::not_printed(&error)))?;
        }
        (path, _) => {
            let path = (path.clone()).unwrap_or_else(|| report.files[0].with_extension("html"));
            write(report, &results, &path)?;
            if !quiet {
                run::complain(&format!("Report: {}", path.display()));
            }
        }
    }
    Ok(true)
}

/// Writes the page, but over no result.
fn write(report: &Report, results: &Results, path: &Path) -> Result<(), Error> {
    let is_input = |file: &PathBuf| match (fs::canonicalize(file), fs::canonicalize(path)) {
        (Ok(file), Ok(path)) => file == path,
        _ => false,
    };
    if report.files.iter().any(is_input) {
        return Err(Error::NotRun(format!(
            "the page would replace the results in {}; name another file with --html FILE",
            path.display()
        )));
    }
    html::write(results, path).map_err(|reason| {
        Error::NotWritten(format!("{reason}; name another file with --html FILE"))
    })
}

/// The rows that are meant.
fn choose(report: &Report, rows: Vec<Row>) -> Result<Vec<Row>, String> {
    let known = |kind: &str, wanted: &[String], name: fn(&Row) -> &str| {
        for one in wanted {
            if !rows.iter().any(|row| name(row) == one) {
                let mut names: Vec<&str> = rows.iter().map(name).collect();
                names.sort_unstable();
                names.dedup();
                return Err(suggest::unknown(kind, one, names.into_iter()));
            }
        }
        Ok(())
    };
    known("workload", &report.workloads, |row| {
        &row.invocation.workload
    })?;
    known("heap", &report.heaps, |row| &row.invocation.heap)?;
    let had_any = !rows.is_empty();
    let chosen: Vec<Row> = rows
        .into_iter()
        .filter(|row| {
            let invocation = &row.invocation;
            is_wanted(&report.workloads, &invocation.workload)
                && is_wanted(&report.heaps, &invocation.heap)
                && is_wanted(&report.threads, &invocation.threads)
                && is_wanted(&report.heap_bytes, &invocation.heap_bytes)
        })
        .collect();
    if had_any && chosen.is_empty() {
        return Err(
            "no row is of that choice; leave out --workload, --heap, --threads or --heap-size"
                .to_owned(),
        );
    }
    Ok(chosen)
}

fn is_wanted<T: PartialEq>(wanted: &[T], value: &T) -> bool {
    wanted.is_empty() || wanted.contains(value)
}

/// The cell that a form of one heap is made of.
///
/// # Errors
///
/// One line, if there are several.
pub(crate) fn only_cell(results: &Results) -> Result<&CellResults, String> {
    let mut cells = results.cells.iter().filter(|cell| !cell.is_twin());
    match (cells.next(), cells.next()) {
        (Some(cell), None) => Ok(cell),
        (first, second) => {
            // Labels come from files, and may hold line feeds.
            let words = |label: &str| label.split_whitespace().collect::<Vec<_>>().join(" ");
            let shown = first.into_iter().chain(second).map(|cell| {
                words(&format!(
                    "{} on {}",
                    cell.workload_label(),
                    cell.heap_label()
                ))
            });
            Err(format!(
                "a unified log is of one heap, and there is more here ({}, ...): choose with --workload, --heap, --threads and --heap-size of harness report",
                shown.collect::<Vec<_>>().join(", ")
            ))
        }
    }
}
