//! `harness import`: a dump of somebody's own heap becomes a graph, which can be put on the heaps
//! here.

use std::path::{Path, PathBuf};

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{Command, Context, Examples, print};
use crate::arguments::is_same_file;
use engine::interrupt;
use engine::message::{Error, shown};
use engine::report::heap::{Dump, counted};
use engine::report::quantity::grouped;
use graph::{Format, ImportError, Imported, Origin, RawGraph};

/// Make a graph of a heap dump: its objects and references, without names or contents
#[derive(Debug, Args)]
pub(crate) struct Import {
    /// The dumps: HPROF, V8 heap snapshots, JSON lines, Graphviz. Several are put side by side
    #[arg(value_name = "FILE", required_unless_present = "print_script")]
    files: Vec<PathBuf>,
    /// Where to write the graph [default: the first dump's name with .graph]
    #[arg(short = 'o', long = "graph", value_name = "FILE")]
    graph: Option<PathBuf>,
    /// What the dumps are [default: told by their first bytes]
    #[arg(long, value_name = "FORMAT", value_parser = format())]
    dump: Option<Format>,
    /// Print a program that writes the objects of the process that runs it, for this runtime
    #[arg(long, value_name = "RUNTIME", value_parser = ["cpython"], conflicts_with = "files")]
    print_script: Option<String>,
}

fn format() -> impl TypedValueParser<Value = Format> {
    PossibleValuesParser::new(Format::ALL.map(Format::name)).map(|name| {
        let mut formats = Format::ALL.into_iter();
        let format = formats.find(|format| format.name() == name);
        format.expect("no other name is taken")
    })
}

impl Command for Import {
    const NAME: &'static str = "import";
    const EXAMPLES: Examples = &[
        ("import app.hprof", "a graph of a JVM's heap, app.graph"),
        ("import --print-script cpython > dump.py", ""),
    ];

    fn run(self, context: &Context) -> Result<bool, Error> {
        if self.print_script.is_some() {
            return print(graph::CPYTHON_SCRIPT);
        }
        let path = match &self.graph {
            Some(path) => path.clone(),
            None => beside(&self.files)?,
        };
        let made = make(&self.files, self.dump, &path, context)?;
        Ok(made.iter().all(|dump| !dump.losses.is_damaged()))
    }
}

/// Where the graph of dumps goes if nobody says it: beside the first, under its name.
///
/// # Errors
///
/// If there is something that is no graph of these dumps: nobody has asked to replace that, and an
/// older dump of the same name may be gone but for its graph.
pub(super) fn beside(files: &[PathBuf]) -> Result<PathBuf, Error> {
    let path = files[0].with_extension("graph");
    // That would be refused in any case, with better words.
    if files.iter().any(|file| is_same_file(file, &path)) {
        return Ok(path);
    }
    let there = match Origin::at(&path) {
        Origin::Nothing => return Ok(path),
        Origin::Graph(of) => {
            // A dump that cannot be read is told of when it is.
            let ours = graph::origin_of(files).ok();
            if of.is_some() && of == ours {
                return Ok(path);
            }
            "a graph, but not known to be of this dump"
        }
        Origin::Other => "no graph",
    };
    Err(Error::NotRun(format!(
        "{} is there, and {there}; move it away, or choose another file with 'harness import {} -o \
         FILE'",
        shown(path),
        shown(&files[0])
    )))
}

/// Makes one graph of dumps, and tells of each what is in it.
///
/// # Errors
///
/// If a dump cannot be read, or is where the graph would be written; if there is no object in any.
pub(super) fn make(
    files: &[PathBuf],
    format: Option<Format>,
    path: &Path,
    context: &Context,
) -> Result<Vec<Dump>, Error> {
    if files.iter().any(|file| is_same_file(file, path)) {
        return Err(Error::NotRun(format!(
            "{} is one of the dumps; choose another -o FILE",
            shown(path)
        )));
    }
    let mut all = RawGraph::new();
    let mut made = Vec::new();
    for file in files {
        let imported = read(file, format, context.reporting.quiet)?;
        context.say(&account(file, &imported))?;
        made.push(Dump {
            has_roots: imported.has_roots(),
            losses: imported.losses,
        });
        all.append(imported.graph)
            .map_err(|_| not_run(file, &ImportError::TooLarge.to_string()))?;
    }
    if all.objects() == 0 {
        return Err(Error::NotRun(format!(
            "no object was found in {}: {} is not written",
            shown(&files[0]),
            shown(path)
        )));
    }
    all.set_origin(
        graph::origin_of(files).map_err(|error| not_run(&files[0], &error.to_string()))?,
    );
    graph::write(&all, path)
        .map_err(|error| Error::NotWritten(format!("cannot write {}: {error}", shown(path))))?;
    let size = std::fs::metadata(path).map_or(0, |metadata| metadata.len());
    context.say(&format!(
        "Graph: {} ({} bytes)\n",
        shown(path),
        grouped(size)
    ))?;
    Ok(made)
}

fn not_run(path: &Path, why: &str) -> Error {
    Error::NotRun(format!("cannot import {}: {why}", shown(path)))
}

/// Reads a dump, with a bar as long as it takes.
fn read(path: &Path, format: Option<Format>, quiet: bool) -> Result<Imported, Error> {
    let bar = ProgressBar::new(1000);
    if quiet {
        bar.set_draw_target(ProgressDrawTarget::hidden());
    }
    let style = ProgressStyle::with_template("{msg} {wide_bar} {percent} % {eta}");
    bar.set_style(style.expect("the template is right"));
    bar.set_message(shown(path));
    let imported = graph::import(path, format, &mut |share| {
        bar.set_position((1000.0 * share) as u64);
        interrupt::signal().is_none()
    });
    bar.finish_and_clear();
    imported.map_err(|error| match (error, interrupt::signal()) {
        (ImportError::Interrupted, Some(signal)) => Error::Interrupted {
            signal,
            message: "nothing was written".to_owned(),
        },
        (error, _) => not_run(path, &error.to_string()),
    })
}

/// What was read of a dump, and what was not.
fn account(path: &Path, imported: &Imported) -> String {
    let Imported { graph, losses, .. } = imported;
    let mut text = format!(
        "{}: {}, {}, {}{}\n",
        shown(path),
        counted(graph.objects() as u64, "object"),
        counted(graph.references() as u64, "reference"),
        counted(graph.roots() as u64, "root"),
        if graph.has_addresses() {
            ", in the order of their addresses"
        } else {
            ""
        }
    );
    if !imported.has_roots() {
        text += "  no roots are named: what nothing refers to is taken for them\n";
    }
    for loss in losses.iter() {
        text += &format!("  lost: {loss}\n");
    }
    text
}
