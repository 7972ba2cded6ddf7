//! Result files of several processes or machines, joined into one.
//!
//! Rows are taken as they are, in the order of the files; a row that occurs twice (a file given
//! twice, or merged before) is taken once. Rows of different machines or builds are refused unless
//! the user says that they may be mixed: a difference between two machines looks exactly like one
//! between two heaps. Mixed rows of machines of one kind (the same processor, cores, memory and
//! kernel) are pooled, since a batch system hands them out as equals; others are kept apart, and
//! nothing is compared across them ([`crate::results`]).

use std::collections::HashSet;
use std::path::PathBuf;

use super::report::CHAPTERS;
use crate::command::compare::place;
use crate::environment::Environment;
use crate::invocation::Row;
use crate::plan::Format;
use crate::results::{Results, read_rows};
use crate::run::{Error, Sink};
use engine::message::complain;
use engine::report;

/// What to join.
#[derive(Clone, Debug)]
pub struct Merge {
    /// The files.
    pub files: Vec<PathBuf>,
    /// Whether rows of several machines may be mixed.
    pub mixed_machines: bool,
    /// Whether rows of several builds may be mixed.
    pub mixed_builds: bool,
    /// Where the rows go; by default a new file in `results/`.
    pub output: Option<PathBuf>,
    /// What to print.
    pub format: Format,
    /// Whether to keep notes to oneself.
    pub quiet: bool,
}

/// Joins, and prints what the format asks for.
///
/// # Errors
///
/// If a file cannot be read, rows must not be mixed, or the joined file cannot be written.
pub fn run(merge: &Merge) -> Result<bool, Error> {
    if let Some(output) = merge
        .output
        .as_ref()
        .filter(|output| merge.files.contains(output))
    {
        return Err(Error::NotRun(format!(
            "{} is one of the files to be merged; choose another --output FILE",
            output.display()
        )));
    }
    let mut files = Vec::new();
    for path in &merge.files {
        let (rows, notes) = read_rows(path).map_err(Error::NotRun)?;
        for note in notes.iter().filter(|_| !merge.quiet) {
            complain(&format!("note: {note}"));
        }
        files.push((path.display().to_string(), rows));
    }
    let rows = join(&files, merge.mixed_machines, merge.mixed_builds).map_err(Error::NotRun)?;
    let mut sink = Sink::open(merge.output.as_deref(), merge.format)?;
    for row in &rows {
        sink.write(row);
    }
    if merge.format == Format::Table {
        let hosts = hosts(&rows);
        let mut results = Results::of_rows(rows);
        if hosts > 1 {
            results.notes.push(format!(
                "Made on {hosts} machines: those of one kind are pooled, others are kept apart"
            ));
        }
        sink.print(&report::summary(&results, CHAPTERS));
        let path = format!("\nResults: {}\n", sink.path.display());
        sink.print(&path);
    }
    sink.finish().map_err(Error::NotWritten)?;
    Ok(true)
}

fn hosts(rows: &[Row]) -> usize {
    let environments = rows.iter().filter_map(|row| row.environment.as_ref());
    environments.map(place).collect::<HashSet<_>>().len()
}

/// The rows of all files.
fn join(
    files: &[(String, Vec<Row>)],
    mixed_machines: bool,
    mixed_builds: bool,
) -> Result<Vec<Row>, String> {
    let mut first: Option<(&str, &Environment)> = None;
    let mut seen = HashSet::new();
    let mut all = Vec::new();
    for (name, rows) in files {
        for row in rows {
            if let Some(environment) = &row.environment {
                let (first_name, first) = *first.get_or_insert((name, environment));
                let both = |what: fn(&Environment) -> String| {
                    let (here, there) = (what(first), what(environment));
                    (here != there).then(|| format!("{first_name} on {here}, {name} on {there}"))
                };
                if let Some(both) = both(place).filter(|_| !mixed_machines) {
                    return Err(format!(
                        "rows of different machines: {both}; if they are to be mixed, say --mixed-machines"
                    ));
                }
                if let Some(both) = both(Environment::build).filter(|_| !mixed_builds) {
                    return Err(format!(
                        "rows of different builds: {both}; if they are to be mixed, say --mixed-builds"
                    ));
                }
            }
            if seen.insert(report::json::line(row)) {
                all.push(row.clone());
            }
        }
    }
    if all.is_empty() {
        return Err("there are no rows in these files: nothing to merge".to_owned());
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::fixture::processes;

    fn file(name: &str, heap: &str, host: &str, revision: &str) -> (String, Vec<Row>) {
        let mut rows = processes(heap, &[10, 12]);
        for row in &mut rows {
            row.environment = Some(Environment {
                host: Some(host.to_owned()),
                revision: Some(revision.to_owned()),
                ..Environment::default()
            });
        }
        (name.to_owned(), rows)
    }

    #[test]
    fn machines_and_builds_are_mixed_only_on_request() {
        let one = file("a", "gc-rc", "one", "r1");
        let two = file("b", "arena", "two", "r1");
        let reason = join(&[one.clone(), two.clone()], false, false).unwrap_err();
        assert!(reason.contains("different machines: a on one") && reason.contains("b on two"));
        assert!(reason.contains("--mixed-machines"));
        assert_eq!(join(&[one.clone(), two], true, false).unwrap().len(), 8);

        let newer = file("c", "arena", "one", "r2");
        let reason = join(&[one.clone(), newer.clone()], true, false).unwrap_err();
        assert!(
            reason.contains("r1") && reason.contains("r2") && reason.contains("--mixed-builds")
        );
        assert_eq!(join(&[one, newer], false, true).unwrap().len(), 8);
    }

    #[test]
    fn a_row_counts_once() {
        let one = file("a", "gc-rc", "one", "r1");
        assert_eq!(join(&[one.clone(), one], false, false).unwrap().len(), 4);
        assert!(join(&[("a".to_owned(), Vec::new())], false, false).is_err());
    }
}
