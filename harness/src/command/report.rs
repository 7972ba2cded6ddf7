//! `harness report`: result files in another form. Nothing is measured, and no file is written but
//! the page: over no result, and over no page of `harness heap` unless that is named.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use clap::parser::ValueSource;

use super::{Command, Context, Examples, print};
use crate::arguments::{CHAPTERS, is_same_file};
use contract::suggest;
use engine::invocation::Row;
use engine::message::{Error, shown};
use engine::plan;
use engine::report::{self, heap, html};
use engine::results::{Results, read_rows};

/// Make a page with plots, or another form, of result files
#[derive(Debug, Args)]
pub(crate) struct Report {
    #[command(flatten)]
    wanted: Wanted,
    /// Where to write the page; - is standard output
    /// [default: the first result file's name with .html, unless --format asks for another form]
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Replace the marked sections of this Markdown file by what the results say: what stands
    /// between the lines <!-- harness comparison --> or <!-- harness claims --> and <!-- end
    /// harness -->
    #[arg(long, value_name = "FILE", conflicts_with = "html")]
    splice: Option<PathBuf>,
}

/// Result files, and what of them is meant.
#[derive(Clone, Debug, Args)]
pub(super) struct Wanted {
    /// Result files; several are taken together
    #[arg(value_name = "RESULTS", required = true)]
    pub(super) files: Vec<PathBuf>,
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
    #[arg(
        long = "heap-size",
        value_name = "BYTES",
        value_delimiter = ',',
        value_parser = plan::parse_bytes
    )]
    heap_bytes: Vec<u64>,
}

impl Command for Report {
    const NAME: &'static str = "report";
    const EXAMPLES: Examples = &[
        ("report churn.jsonl", "a page with plots: churn.html"),
        ("report churn.jsonl --format trace > churn.trace.json", ""),
    ];

    /// Writes the page, or prints the other form that was asked for.
    fn run(self, context: &Context) -> Result<bool, Error> {
        let is_given =
            |option| context.matches.value_source(option) == Some(ValueSource::CommandLine);
        for option in ["output", "resume"] {
            if is_given(option) {
                return Err(Error::NotRun(format!(
                    "a report runs nothing and has no --{option}: name the page with --html FILE; \
                     other forms go to standard output"
                )));
            }
        }
        let results = self.wanted.results().map_err(Error::NotRun)?;
        if let Some(path) = &self.splice {
            let sections = splice(&results, path)?;
            context.tell(&format!("Replaced in {}: {sections}", shown(path)));
            return Ok(true);
        }
        let format = context.reporting.format;
        if let Some(format) = format {
            print(&report::render(&results, format, CHAPTERS).map_err(Error::NotRun)?)?;
        }
        match (&self.html, format) {
            (None, Some(_)) => Ok(true),
            (Some(path), _) if path.as_os_str() == "-" => print(&html::render(&results, CHAPTERS)),
            (path, _) => {
                let path =
                    (path.clone()).unwrap_or_else(|| self.wanted.files[0].with_extension("html"));
                // Nobody has named it.
                if let Some(reason) = heap::keeps(&path).filter(|_| self.html.is_none()) {
                    return Err(Error::NotRun(format!(
                        "{reason}; name another file with --html FILE"
                    )));
                }
                self.write(&results, &path)?;
                context.tell(&format!("Report: {}", shown(path)));
                Ok(true)
            }
        }
    }
}

impl Report {
    /// Writes the page, but over no result.
    fn write(&self, results: &Results, path: &Path) -> Result<(), Error> {
        if (self.wanted.files.iter()).any(|file| is_same_file(file, path)) {
            return Err(Error::NotRun(format!(
                "the page would replace the results in {}; name another file with --html FILE",
                shown(path)
            )));
        }
        html::write(results, CHAPTERS, path).map_err(|reason| {
            Error::NotWritten(format!("{reason}; name another file with --html FILE"))
        })
    }
}

impl Wanted {
    /// What is meant of what the files hold.
    pub(super) fn results(&self) -> Result<Results, String> {
        let mut rows = Vec::new();
        let mut notes = Vec::new();
        for file in &self.files {
            let (more, remarks) = read_rows(file)?;
            rows.extend(more);
            notes.extend(remarks);
        }
        let mut results = Results::of_rows(self.choose(rows)?);
        results.notes.splice(0..0, notes);
        if results.cells.is_empty() && results.experiments.is_empty() {
            let files = self.files.iter().map(shown);
            return Err(format!(
                "there is nothing to report in {}: no process that measures had ended",
                files.collect::<Vec<_>>().join(", ")
            ));
        }
        Ok(results)
    }

    /// The rows that are meant.
    fn choose(&self, rows: Vec<Row>) -> Result<Vec<Row>, String> {
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
        known("workload", &self.workloads, |row| &row.invocation.workload)?;
        known("heap", &self.heaps, |row| &row.invocation.heap)?;
        let had_any = !rows.is_empty();
        let chosen: Vec<Row> = rows
            .into_iter()
            .filter(|row| {
                let invocation = &row.invocation;
                is_wanted(&self.workloads, &invocation.workload)
                    && is_wanted(&self.heaps, &invocation.heap)
                    && is_wanted(&self.threads, &invocation.threads)
                    && is_wanted(&self.heap_bytes, &invocation.heap_bytes)
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
}

/// Where a section that is written by this program begins, up to its name.
const BEGIN: &str = "<!-- harness ";
/// Where it ends.
const END: &str = "<!-- end harness -->";

/// Replaces the marked sections of a Markdown file, and says which. The file stays as it is if
/// anything is wrong.
fn splice(results: &Results, path: &Path) -> Result<String, Error> {
    let shown = shown(path);
    let text = fs::read_to_string(path)
        .map_err(|error| Error::NotRun(format!("cannot read {shown}: {error}")))?;
    let (text, sections) = spliced(&text, &|name| section(results, name))
        .map_err(|reason| Error::NotRun(format!("{shown}: {reason}")))?;
    replace(path, &text)
        .map_err(|error| Error::NotWritten(format!("cannot write {shown}: {error}")))?;
    Ok(sections.join(", "))
}

/// Writes a file that exists anew, as a whole or not at all: a full disk leaves the old one.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    // What a link leads to is replaced, and not the link.
    let path = fs::canonicalize(path)?;
    let directory = path.parent().unwrap_or(Path::new("/"));
    let mut file = tempfile::NamedTempFile::new_in(directory)?;
    file.write_all(text.as_bytes())?;
    file.as_file()
        .set_permissions(fs::metadata(&path)?.permissions())?;
    file.as_file().sync_all()?;
    file.persist(&path)?;
    Ok(())
}

/// What the results say in the section of this name, in Markdown.
fn section(results: &Results, name: &str) -> Result<String, String> {
    const COMPARISON: &str = "comparison";
    let chapter = CHAPTERS
        .iter()
        .find(|chapter| chapter.title().to_lowercase() == name);
    let text = match chapter {
        Some(chapter) => chapter.markdown(results),
        None if name == COMPARISON && results.cells.is_empty() => String::new(),
        None if name == COMPARISON => report::markdown::render(results),
        None => {
            let titles: Vec<String> = CHAPTERS
                .iter()
                .map(|chapter| chapter.title().to_lowercase())
                .collect();
            let known = titles.iter().map(String::as_str).chain([COMPARISON]);
            return Err(suggest::unknown("section", name, known));
        }
    };
    if text.is_empty() {
        return Err(format!("the results have nothing for the section '{name}'"));
    }
    Ok(text)
}

/// The text with each marked section replaced, and the names of the sections.
fn spliced(
    text: &str,
    section: &dyn Fn(&str) -> Result<String, String>,
) -> Result<(String, Vec<String>), String> {
    let mut spliced = String::new();
    let mut names: Vec<String> = Vec::new();
    let name_in = |line: &str| {
        let marker = line.trim().strip_prefix(BEGIN)?;
        Some(marker.strip_suffix("-->")?.trim().to_owned())
    };
    // The section that is open, and the line where it begins.
    let mut open: Option<(String, usize)> = None;
    let mut fenced = false;
    for (line, number) in text.split_inclusive('\n').zip(1..) {
        if let Some((name, begun)) = &open {
            if name_in(line).is_some() {
                return Err(no_end(name, *begun));
            }
            if line.trim() == END {
                spliced.push_str(line);
                names.push(name.clone());
                open = None;
            }
            continue;
        }
        spliced.push_str(line);
        fenced ^= line.trim_start().starts_with("```");
        if let Some(name) = name_in(line).filter(|_| !fenced) {
            let found = section(&name).map_err(|reason| format!("line {number}: {reason}"))?;
            if !line.ends_with('\n') {
                return Err(no_end(&name, number));
            }
            let end = if line.ends_with("\r\n") { "\r\n" } else { "\n" };
            let lines: Vec<&str> = found.trim().lines().collect();
            spliced.push_str(&format!("{end}{}{end}{end}", lines.join(end)));
            open = Some((name, number));
        }
    }
    if let Some((name, begun)) = open {
        return Err(no_end(&name, begun));
    }
    if names.is_empty() {
        return Err(format!(
            "no section is marked: put the lines {BEGIN}comparison --> and {END} where it is to be"
        ));
    }
    Ok((spliced, names))
}

/// That a section has no end, in one line.
fn no_end(name: &str, begun: usize) -> String {
    format!("line {begun}: the section '{name}' has no end: put a line {END} below it")
}

fn is_wanted<T: PartialEq>(wanted: &[T], value: &T) -> bool {
    wanted.is_empty() || wanted.contains(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn splice(text: &str) -> Result<(String, Vec<String>), String> {
        spliced(text, &|name| match name {
            "claims" => Ok("| new |\n".to_owned()),
            _ => Err(format!("unknown section '{name}'")),
        })
    }

    #[test]
    fn a_marked_section_is_replaced_and_nothing_else() {
        let text = "# Head\n<!-- harness claims -->\nold\n\nold\n<!-- end harness -->\ntail\n";
        let (new, names) = splice(text).unwrap();
        let expected = "# Head\n<!-- harness claims -->\n\n| new |\n\n<!-- end harness -->\ntail\n";
        assert_eq!((new.as_str(), names), (expected, vec!["claims".to_owned()]));
        assert_eq!(
            splice(&new).unwrap().0,
            new,
            "a second time changes nothing"
        );
    }

    #[test]
    fn what_stands_around_a_section_stays_as_it_is() {
        let text = "a\r\n<!-- harness claims -->\r\nold\r\n<!-- end harness -->\r\nz";
        let expected =
            "a\r\n<!-- harness claims -->\r\n\r\n| new |\r\n\r\n<!-- end harness -->\r\nz";
        assert_eq!(splice(text).unwrap().0, expected);
        let fenced = "```md\n<!-- harness claims -->\n<!-- end harness -->\n```\n";
        assert!(splice(fenced).unwrap_err().contains("no section is marked"));
        assert_eq!(
            splice(&format!("{fenced}{text}")).unwrap().0,
            format!("{fenced}{expected}")
        );
    }

    #[test]
    fn a_file_is_replaced_as_a_whole() {
        let directory = tempfile::tempdir().unwrap();
        let (file, link) = (
            directory.path().join("a.md"),
            directory.path().join("link.md"),
        );
        fs::write(&file, "old").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        replace(&link, "new").unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "new");
        assert!(link.is_symlink());
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2);
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        let nested = "<!-- harness claims -->\n1\n<!-- harness claims -->\n<!-- end harness -->\n";
        let refused = splice(nested).unwrap_err();
        assert!(
            refused.starts_with("line 1: ") && refused.contains("has no end"),
            "{refused}"
        );
        assert!(
            splice("text\n")
                .unwrap_err()
                .contains("no section is marked")
        );
        let open = splice("a\n<!-- harness claims -->\nold\n").unwrap_err();
        assert!(
            open.starts_with("line 2: ") && open.contains("has no end"),
            "{open}"
        );
        let unknown = splice("<!-- harness clams -->\n<!-- end harness -->\n").unwrap_err();
        assert!(
            unknown.contains("line 1: unknown section 'clams'"),
            "{unknown}"
        );
    }
}
