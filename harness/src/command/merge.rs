//! `harness merge`: result files of several processes or machines, joined into one.
//!
//! Rows are taken as they are, in the order of the files; a row that occurs twice (a file given
//! twice, or merged before) is taken once. Rows of different machines or builds are refused unless
//! the user says that they may be mixed: a difference between two machines looks exactly like one
//! between two heaps. Mixed rows of machines of one kind (the same processor, cores, memory and
//! kernel) are pooled, since a batch system hands them out as equals; others are kept apart, and
//! nothing is compared across them ([`engine::results`]).

use std::collections::HashSet;
use std::path::PathBuf;

use clap::Args;

use super::{Command, Context, Examples};
use crate::arguments::{CHAPTERS, is_same_file};
use engine::environment::Environment;
use engine::invocation::Row;
use engine::message::{Error, shown};
use engine::plan::Format;
use engine::report;
use engine::results::{Results, read_rows};
use engine::run::Sink;

/// Join result files into one
#[derive(Debug, Args)]
pub(crate) struct Merge {
    /// The result files
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// Take rows of different machines: those of one kind are pooled, others kept apart
    #[arg(long)]
    mixed_machines: bool,
    /// Take rows of different builds of this program
    #[arg(long)]
    mixed_builds: bool,
}

impl Command for Merge {
    const NAME: &'static str = "merge";
    const EXAMPLES: Examples = &[("merge results/plan/*.jsonl", "")];

    /// Joins, and prints what the format asks for.
    fn run(self, context: &Context) -> Result<bool, Error> {
        let reporting = &context.reporting;
        let output = reporting.output.as_ref();
        let is_input = |output: &&PathBuf| self.files.iter().any(|file| is_same_file(file, output));
        if let Some(output) = output.filter(is_input) {
            return Err(Error::NotRun(format!(
                "{} is one of the files to be merged; choose another --output FILE",
                shown(output)
            )));
        }
        let mut files = Vec::new();
        for path in &self.files {
            let (rows, notes) = read_rows(path).map_err(Error::NotRun)?;
            for note in notes {
                context.tell(&format!("note: {note}"));
            }
            files.push((shown(path), rows));
        }
        let rows = join(&files, self.mixed_machines, self.mixed_builds).map_err(Error::NotRun)?;
        let format = reporting.format.unwrap_or_default();
        let mut sink = Sink::open(output.map(PathBuf::as_path), format)?;
        for row in &rows {
            sink.write(row);
        }
        // Rows were printed as they came.
        if !matches!(format, Format::Json | Format::Csv) {
            let hosts = hosts(&rows);
            let mut results = Results::of_rows(rows);
            if hosts > 1 {
                results.notes.push(format!(
                    "Made on {hosts} machines: those of one kind are pooled, others are kept apart"
                ));
            }
            sink.print(&report::render(&results, format, CHAPTERS).map_err(Error::NotRun)?);
            if matches!(format, Format::Answer | Format::Table) {
                let path = format!("\nResults: {}\n", shown(&sink.path));
                sink.print(&path);
            }
        }
        sink.finish().map_err(Error::NotWritten)?;
        Ok(true)
    }
}

fn hosts(rows: &[Row]) -> usize {
    let environments = rows.iter().filter_map(|row| row.environment.as_ref());
    environments.map(place).collect::<HashSet<_>>().len()
}

/// Where rows were made, for messages: the host and the machine.
fn place(environment: &Environment) -> String {
    match &environment.host {
        Some(host) => format!("{host} ({})", environment.machine()),
        None => environment.machine(),
    }
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
                        "rows of different machines: {both}; if they are to be mixed, say \
                         --mixed-machines"
                    ));
                }
                if let Some(both) = both(Environment::build).filter(|_| !mixed_builds) {
                    return Err(format!(
                        "rows of different builds: {both}; if they are to be mixed, say \
                         --mixed-builds"
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
