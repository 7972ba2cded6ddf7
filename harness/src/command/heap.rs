//! `harness heap`: from a dump of somebody's own heap to what it would cost on each collector.
//!
//! What the graph is comes first, since it needs no measuring; then the workload `heap` is run with
//! it on the heaps, in as many cold processes as fit into the time. All that is said after that is
//! a function of the rows, which are kept ([`engine::report::heap`]).
//!
//! Nothing is written over but what an earlier run made of the same dumps: a graph that is not
//! known to be of them, or a file that is no page of them, is refused before anything is read for
//! minutes.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;

use super::import::{self, beside};
use super::{Command, Context, Examples};
use crate::arguments::is_same_file;
use engine::message::{Error, shown};
use engine::plan::{self, Plan, Selection, Twins};
use engine::report::heap::{Heaps, Subject, introduction, origin, page_of};
use engine::run::Session;
use engine::workload::{self, Size};
use graph::{Graph, Origin, Shape};

/// Measure what a heap of your own costs on each collector, from a dump or its graph
#[derive(Debug, Args)]
#[command(after_help = "\
The graph is written beside the dump, as NAME.graph, and a page with plots beside that, as NAME.html \
or, of two graphs, OLD-NEW.html; with --output beside the results. A graph of this very dump is \
replaced, and a page that this command has made of these very dumps; any other file is not, unless \
--html or --output names it.")]
pub(crate) struct Heap {
    /// Heap dumps, or graphs that 'harness import' made of them; what is different in the others is
    /// told against the first
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// A heap, NAME[:option=value,...]; may be repeated, or several separated by commas
    #[arg(
        long = "heap",
        value_name = "HEAP",
        default_values = ["gc-rc", "gc-marksweep"]
    )]
    heaps: Vec<String>,
    /// In which order objects are made
    #[arg(
        long,
        value_name = "ORDER",
        default_value = "address",
        value_parser = clap::builder::PossibleValuesParser::new(workload::heap::ORDERS)
    )]
    order: String,
    /// Per cent of the objects that are replaced by copies; made up, as a dump has no lifetimes
    #[arg(
        long,
        value_name = "PERCENT",
        default_value = "0",
        value_parser = clap::value_parser!(u32).range(0..=100)
    )]
    replace: u32,
    /// As many processes as fit into this time are run for each graph, at least two on each heap
    #[arg(
        long,
        value_name = "TIME",
        default_value = "20s",
        value_parser = crate::arguments::time
    )]
    budget: Duration,
    /// Where to write the page with plots [default: the graph's name with .html; with --output,
    /// that of the results]
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

/// Processes for each heap, at most.
const MOST: u32 = 12;

impl Command for Heap {
    const NAME: &'static str = "heap";
    const EXAMPLES: Examples = &[
        (
            "heap app.hprof",
            "a dump of your own program, on both collectors: app.html",
        ),
        (
            "heap old.hprof new.hprof",
            "and what is different in a second one",
        ),
    ];

    fn run(self, context: &Context) -> Result<bool, Error> {
        let graphs = self.graphs()?;
        let page = self.page(&graphs, context)?;
        let workloads = self.workloads(&graphs)?;
        let select = |workloads| {
            let selection = Selection::new(workloads, self.heaps.clone(), Size::Small);
            plan::cells(&context.workloads, &selection).map_err(Error::NotRun)
        };
        // Whatever is wrong with the heaps is said before dumps are read, with any workload.
        select(vec!["list".to_owned()])?;
        let mut subjects = Vec::new();
        let mut whole = true;
        for ((file, graph), name) in self.files.iter().zip(graphs).zip(self.names()) {
            let subject = subject(name, file, &graph, context)?;
            let dump = subject.dump.as_ref();
            whole &= dump.is_none_or(|dump| !dump.losses.is_damaged());
            context.say(&introduction(&subject))?;
            subjects.push(subject);
        }
        let report = Heaps { subjects, page };
        context.say(&report.differences())?;
        let (cells, notes) = select(workloads)?;
        let plan = Plan {
            invocations: MOST,
            iterations: 0,
            budget: Some(self.budget * report.subjects.len() as u32),
            // What is compared is measured, however long that takes.
            leaves_nothing_out: true,
            report: Some(Arc::new(report)),
            ..context
                .reporting
                .plan(plan::with_twins(cells, Twins::None), notes, Size::Small)
        };
        let mut session = Session::begin(&plan)?;
        session.measure(&plan)?;
        Ok(session.end(&plan, Vec::new())? && whole)
    }
}

impl Heap {
    /// Where the graph of each file is, or will be.
    fn graphs(&self) -> Result<Vec<PathBuf>, Error> {
        let mut graphs: Vec<PathBuf> = Vec::new();
        for file in &self.files {
            let path = match Origin::at(file) {
                Origin::Graph(_) => file.clone(),
                _ => beside(std::slice::from_ref(file))?,
            };
            if graphs.iter().any(|graph| is_same_file(graph, &path)) {
                return Err(Error::NotRun(format!(
                    "two of the files have {} for their graph; import one with 'harness import -o'",
                    shown(path)
                )));
            }
            graphs.push(path);
        }
        Ok(graphs)
    }

    /// What the graphs are called: their files' names, or if two have the same, with as many
    /// directories before them as tell them apart.
    fn names(&self) -> Vec<String> {
        let with = |directories: usize| -> Vec<String> {
            let files = self.files.iter().map(|file| {
                let parts: Vec<_> = file.components().collect();
                let kept = &parts[parts.len().saturating_sub(directories + 1)..];
                shown(kept.iter().collect::<PathBuf>())
            });
            files.collect()
        };
        let are_different = |names: &Vec<String>| {
            let different: BTreeSet<&String> = names.iter().collect();
            different.len() == names.len()
        };
        // Of the directories above nobody need know.
        let deepest = self.files.iter().map(|file| file.components().count());
        let deepest = deepest.max().unwrap_or(0);
        let mut candidates = (0..deepest).map(with);
        candidates
            .find(are_different)
            .unwrap_or_else(|| with(deepest))
    }

    /// Where the page goes: `None` is beside the results. Refused if that would replace what is
    /// read, or what nobody has asked to replace.
    fn page(&self, graphs: &[PathBuf], context: &Context) -> Result<Option<PathBuf>, Error> {
        let reporting = &context.reporting;
        let results = reporting.results();
        let path = match &self.html {
            Some(path) if path.as_os_str() == "-" => {
                return Err(Error::NotRun(
                    "standard output has the answer; name a file for the page with --html FILE"
                        .to_owned(),
                ));
            }
            Some(path) => Some(path.clone()),
            None if results.is_none() && reporting.is_in_words() => Some(page_beside(graphs)),
            None => None,
        };
        let beside = results.map(|results| results.with_extension("html"));
        // Results that are called so have no page beside them.
        let beside = beside.filter(|page| Some(page.as_path()) != results);
        let Some(to) = path.as_ref().or(beside.as_ref()) else {
            return Ok(None);
        };
        let refuse = |what: String| {
            Err(Error::NotRun(format!(
                "{what}; name another file with --html FILE"
            )))
        };
        let mut kept = (self.files.iter().chain(graphs).map(PathBuf::as_path)).chain(results);
        if let Some(file) = kept.find(|file| is_same_file(file, to)) {
            return refuse(format!("the page would replace {}", shown(file)));
        }
        // Minutes of measuring should not end with that.
        let directory = to.parent().filter(|parent| !parent.as_os_str().is_empty());
        if to.is_dir()
            || directory.is_some_and(|directory| self.html.is_some() && !directory.is_dir())
        {
            return refuse(format!(
                "{} cannot be written: there is no such directory, or it is one",
                shown(to)
            ));
        }
        let is_there = to.symlink_metadata().is_ok();
        if self.html.is_none() && results.is_none() && is_there {
            let what = match page_of(to) {
                None => Some("no page of harness heap"),
                // A dump that cannot be read is told of when it is.
                Some(of) => (self.origins())
                    .filter(|ours| *ours != of)
                    .map(|_| "a page of other dumps"),
            };
            if let Some(what) = what {
                return refuse(format!("{} is there, and {what}", shown(to)));
            }
        }
        Ok(path)
    }

    /// What tells the dumps from others that are called the same.
    fn origins(&self) -> Option<Vec<u64>> {
        self.files.iter().map(|file| origin(file)).collect()
    }

    fn workloads(&self, graphs: &[PathBuf]) -> Result<Vec<String>, Error> {
        let workloads = graphs.iter().map(|path| {
            let path = text_of(path)?;
            if path.contains([',', ':']) {
                return Err(Error::NotRun(format!(
                    "{}: a path with a comma or a colon cannot be given to a workload; rename the \
                     file",
                    shown(path)
                )));
            }
            let Self { order, replace, .. } = self;
            Ok(format!("heap:file={path},order={order},replace={replace}"))
        });
        workloads.collect()
    }
}

fn text_of(path: &Path) -> Result<&str, Error> {
    path.to_str()
        .ok_or_else(|| Error::NotRun(format!("{}: the path must be UTF-8", shown(path))))
}

/// The page of these graphs: beside the first, under its name and what it is compared with.
fn page_beside(graphs: &[PathBuf]) -> PathBuf {
    let stem = |path: &PathBuf| path.file_stem().unwrap_or_default().to_owned();
    let mut name = stem(&graphs[0]);
    match graphs {
        [] | [_] => {}
        [_, new] => {
            name.push("-");
            name.push(stem(new));
        }
        [_, others @ ..] => name.push(format!("-and-{}-more", others.len())),
    }
    name.push(".html");
    graphs[0].with_file_name(name)
}

/// The graph of a file, which is imported first if it is a dump.
fn subject(name: String, file: &Path, path: &Path, context: &Context) -> Result<Subject, Error> {
    let mut dump = None;
    if !matches!(Origin::at(file), Origin::Graph(_)) {
        let mut made = import::make(&[file.to_owned()], None, path, context)?;
        dump = made.pop();
    }
    let graph =
        Graph::open(path).map_err(|error| Error::NotRun(format!("{}: {error}", shown(path))))?;
    Ok(Subject {
        name,
        file: text_of(path)?.to_owned(),
        identity: graph.identity(),
        origin: origin(path).unwrap_or_else(|| graph.identity()),
        shape: Shape::of(&graph),
        dump,
    })
}
