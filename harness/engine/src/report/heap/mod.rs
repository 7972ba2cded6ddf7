//! What real heaps are and what they cost on each collector: the report of `harness heap`, on a
//! terminal and as a page.
//!
//! Both are made of the same parts: what a graph is (`facts`), what it costs (`cost`), and
//! where it differs from another (`difference`). Each part is lines or sentences, which a
//! terminal prints and the page sets; nothing is said in one of them that is worked out otherwise
//! in the other.
//!
//! Invariant: of a dump nothing is told but its name, numbers, and in which way something of it was
//! lost: a page can be given to those to whom the dump may not be given.
//!
//! The costs are a function of the rows, as in every report. The graphs are not in the rows; so
//! this report is made where they are at hand, and the rows alone give the ordinary one.

mod cost;
mod cost_figures;
mod difference;
mod facts;
mod page;
mod shape_figures;

use std::path::{Path, PathBuf};

use graph::{Graph, Losses, Origin, Shape};

use super::quantity::grouped;
use super::text::wrap;
use super::{Report, html};
use crate::message::shown;
use crate::results::{Group, Results};

/// How wide the lines on a terminal are.
const WIDTH: usize = 100;

/// A graph, and what it is called.
#[derive(Clone, Debug)]
pub struct Subject {
    /// What it is called: its file's name, as a rule.
    pub name: String,
    /// The file of the graph, as the rows have it.
    pub file: String,
    /// Its [`Graph::identity`](graph::Graph::identity).
    pub identity: u64,
    /// What tells its dump from others ([`origin`]).
    pub origin: u64,
    /// What it is.
    pub shape: Shape,
    /// What became of its dump; `None` if it was given as a graph, which does not say.
    pub dump: Option<Dump>,
}

/// What became of a dump when it was read.
#[derive(Clone, Debug)]
pub struct Dump {
    /// What of it is not in the graph.
    pub losses: Losses,
    /// Whether it names roots.
    pub has_roots: bool,
}

/// The report of some graphs. The others are compared with the first.
#[derive(Clone, Debug)]
pub struct Heaps {
    /// In the order in which they were given; at least one.
    pub subjects: Vec<Subject>,
    /// Where the page goes, if not beside the results.
    pub page: Option<PathBuf>,
}

impl Heaps {
    /// What can be said before anything is measured of how the graphs differ.
    pub fn differences(&self) -> String {
        let pairs = self.pairs().map(|(new, old)| difference::text(old, new));
        pairs.collect()
    }

    /// Each graph but the first, with that.
    fn pairs(&self) -> impl Iterator<Item = (&Subject, &Subject)> {
        let first = self.subjects.first();
        let others = self.subjects.iter().skip(1);
        others.filter_map(move |new| Some((new, first?)))
    }

    /// What was measured with a graph.
    fn group<'g, 'r>(&self, subject: &Subject, groups: &'g [Group<'r>]) -> Option<&'g Group<'r>> {
        groups.iter().find(|group| {
            let file = &group.baseline().invocation().file;
            file.as_deref() == Some(&subject.file) && is_of(group, subject.identity)
        })
    }

    /// What has no figures: a sentence each.
    fn unmeasured(&self, groups: &[Group<'_>]) -> Vec<String> {
        let without = self.subjects.iter();
        let without = without.filter(|subject| self.group(subject, groups).is_none());
        let sentences = without.map(|Subject { name, file, .. }| {
            let has_rows = groups.iter().any(|group| {
                let of = &group.baseline().invocation().file;
                of.as_deref() == Some(file)
            });
            if has_rows {
                format!(
                    "{name}: the rows are of another graph that had its name; measure it anew, \
                     without --resume"
                )
            } else {
                format!("{name}: nothing was measured with it")
            }
        });
        sentences.collect()
    }

    /// The graphs that were measured, each with what was.
    fn measured<'g, 'r>(&self, groups: &'g [Group<'r>]) -> Vec<(&Subject, &'g Group<'r>)> {
        let subjects = self.subjects.iter();
        subjects
            .filter_map(|subject| Some((subject, self.group(subject, groups)?)))
            .collect()
    }

    /// Where the heaps differ and why, and where the graphs do: a sentence or two each.
    fn sentences(&self, results: &Results) -> Vec<String> {
        let groups = results.groups();
        let mut sentences = self.unmeasured(&groups);
        let several = self.subjects.len() > 1;
        for (subject, group) in self.measured(&groups) {
            let about = if several {
                format!("{}: ", subject.name)
            } else {
                String::new()
            };
            let of_group = cost::sentences(results, group, Some(&subject.shape));
            sentences.extend(of_group.into_iter().map(|words| format!("{about}{words}")));
        }
        for (new, old) in self.pairs() {
            sentences.extend(difference::sentences(self, results, &groups, old, new));
        }
        sentences
    }
}

impl Report for Heaps {
    fn text(&self, results: &Results) -> String {
        let groups = results.groups();
        let mut text = String::new();
        for (_, group) in self.measured(&groups) {
            text += &cost::text(results, group);
        }
        for (new, old) in self.pairs() {
            text += &difference::cost_text(self, results, &groups, old, new);
        }
        text.push('\n');
        for sentence in self.sentences(results) {
            text += &format!("{}\n", wrap(&sentence, WIDTH, 0, 2));
        }
        text += &format!("\n{}\n", wrap(cost::LEGEND, WIDTH, 0, 0));
        let notes = results.notes.iter().map(|note| format!("Note: {note}."));
        for note in notes.chain(html::disturbed(results)) {
            text += &format!("{}\n", wrap(&note, WIDTH, 0, 2));
        }
        text
    }

    fn page(&self, results: &Results) -> String {
        page::render(self, results)
    }

    fn is_complete(&self, results: &Results) -> bool {
        self.unmeasured(&results.groups()).is_empty()
    }

    fn path(&self) -> Option<&Path> {
        self.page.as_deref()
    }
}

/// Whether rows are of the graph that is called so. Older ones do not say.
fn is_of(group: &Group<'_>, identity: u64) -> bool {
    let rows = group.cells.iter().flat_map(|cell| cell.measured());
    let said = rows.filter_map(|metrics| metrics.observations.get("graph"));
    said.into_iter().all(|&said| said == identity)
}

/// What a graph is, for a terminal.
pub fn introduction(subject: &Subject) -> String {
    let mut text = format!("\n{}\n", subject.name);
    for (name, words) in facts::of(&subject.shape) {
        let words = wrap(&words, WIDTH, 14, 14);
        text += &format!("  {name:<12}{}\n", words.trim_start());
    }
    text
}

/// Of which dumps a file is a page that this report has made, each by its [`origin`]; `None` if it
/// is no such page.
pub fn page_of(path: &Path) -> Option<Vec<u64>> {
    page::origins(path)
}

/// What tells a dump from others, or the graph of one: those of one dump have the same. `None` if
/// it cannot be read.
pub fn origin(file: &Path) -> Option<u64> {
    match Origin::at(file) {
        Origin::Graph(Some(origin)) => Some(origin),
        // Nobody has said of which dump: then of none but itself.
        Origin::Graph(None) => Some(Graph::open(file).ok()?.identity()),
        // Of a pipe nothing can be read twice.
        _ => file.is_file().then(|| graph::origin_of([file]).ok())?,
    }
}

/// Why the ordinary page of some rows is not to be written here, where nobody has named a file: it
/// would replace one of this report's, which says more, and which rows alone cannot make again.
/// Rejected: writing it under another name, which those would not look for who expect it here.
pub fn keeps(path: &Path) -> Option<String> {
    page_of(path)?;
    Some(format!(
        "{} is a page of harness heap, which the rows alone cannot make again",
        shown(path)
    ))
}

/// So many of something.
pub fn counted(count: u64, one: &str) -> String {
    let many = match one {
        _ if count == 1 => "",
        one if one.ends_with("ss") => "es",
        _ => "s",
    };
    format!("{} {one}{many}", grouped(count))
}

/// A hand-made graph, and rows that nobody measured, for the tests of this report and of its
/// figures.
#[cfg(test)]
mod fixture {
    use std::io::Cursor;

    use super::{Dump, Subject};
    use crate::fixture::row;
    use crate::invocation::Row;
    use graph::{Format, Graph, Shape, import_from};

    /// A graph from a drawing.
    pub(crate) fn subject(name: &str, drawing: &str) -> Subject {
        let dump = Cursor::new(drawing.as_bytes().to_vec());
        let imported = import_from(dump, Format::Dot, &mut |_| true).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.graph");
        graph::write(&imported.graph, &path).unwrap();
        Subject {
            name: name.to_owned(),
            file: format!("{name}.graph"),
            identity: 1,
            origin: 1,
            shape: Shape::of(&Graph::open(&path).unwrap()),
            dump: Some(Dump {
                has_roots: imported.has_roots(),
                losses: imported.losses,
            }),
        }
    }

    /// Rows of the workload `heap`, of so many processes of a heap, where all times are these.
    pub(crate) fn measured(heap: &str, nanoseconds: &[u64]) -> Vec<Row> {
        let (heap, options) = heap.split_once(':').unwrap_or((heap, ""));
        let options = options
            .split(',')
            .filter_map(|option| option.split_once('='));
        let rows = (1..).zip(nanoseconds).map(|(invocation, &time)| {
            let mut row = row(heap, invocation, 0, 1000);
            row.invocation.iterations = 0;
            row.invocation.workload = "heap".to_owned();
            row.invocation.file = Some("a.graph".to_owned());
            let options = options.clone();
            let options = options.map(|(name, value)| (name.to_owned(), value.to_owned()));
            row.invocation.options.extend(options);
            let metrics = row.metrics.as_mut().unwrap();
            let seen = [
                ("objects", 10),
                ("heap_bytes", 640),
                ("payload_bytes", 320),
                ("build_ns", time),
                ("first_collection_ns", time),
                ("collection_ns", time),
                ("drop_ns", 2 * time),
                ("last_collection_ns", time),
            ];
            let seen = seen.map(|(name, value)| (name.to_owned(), value));
            metrics.observations.extend(seen);
            row
        });
        rows.collect()
    }

    /// A root with three children: two in a ring, which lead to a third that two others lead to,
    /// and one of a hundred bytes; and garbage.
    ///
    /// | object | distance | references to it | of it | bytes |
    /// |---|---|---|---|---|
    /// | r | 0 | 0 | 3 | 24 |
    /// | a | 1 | 2 | 2 | 16 |
    /// | b | 1 | 2 | 2 | 16 |
    /// | x | 1 | 1 | 0 | 104 |
    /// | c | 2 | 2 | 0 | 0 |
    pub(crate) const RING: &str = "digraph { r [root=true]; r -> {a b x}; a -> b -> a; a -> c; \
                                   b -> c; x [bytes=100]; g -> a }";
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;
    use graph::import_from;

    #[test]
    fn a_graph_is_introduced_in_lines_that_fit() {
        let subject = fixture::subject("ring.dot", fixture::RING);
        let text = introduction(&subject);
        assert!(
            text.starts_with("\nring.dot\n  objects     5 that roots reach"),
            "{text}"
        );
        assert!(
            text.contains("\n  depth       2 references from the roots"),
            "{text}"
        );
        assert!(
            text.lines().all(|line| line.chars().count() <= WIDTH),
            "{text}"
        );
    }

    #[test]
    fn a_page_is_told_from_other_files_and_says_of_which_dumps_it_is() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        let ring = fixture::subject("ring.dot", fixture::RING);
        let other = Subject {
            origin: u64::MAX,
            ..ring.clone()
        };
        let page = |subjects: &[&Subject]| {
            let heaps = Heaps {
                subjects: subjects.iter().map(|&subject| subject.clone()).collect(),
                page: None,
            };
            heaps.page(&Results::default())
        };
        let of = |text: &str| {
            std::fs::write(at("a.html"), text).unwrap();
            page_of(&at("a.html"))
        };
        let one = page(&[&ring]);
        assert_eq!(of(&one), Some(vec![1]));
        assert_eq!(of(&page(&[&other, &ring])), Some(vec![u64::MAX, 1]));
        assert!(keeps(&at("a.html")).is_some());
        // What quotes it, or only its mark, wherever that is not the first byte.
        let (mark, _) = one.split_once("<html").unwrap();
        assert_eq!(of(&format!("{mark}<p>")), Some(vec![1]));
        for text in [
            format!(" {one}"),
            format!("<!DOCTYPE html><p>{mark}"),
            one.replace("0001 -->", "000x -->"),
            "<!DOCTYPE html>".to_owned(),
            "<html><p>mine</p></html>".to_owned(),
        ] {
            assert_eq!(of(&text), None, "{text}");
        }
        assert_eq!(page_of(&at("absent.html")), None);
        assert_eq!(page_of(directory.path()), None);
    }

    #[test]
    fn a_dump_and_its_graph_have_one_origin() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        let write = |text: &str| {
            std::fs::write(at("a.dot"), text).unwrap();
            origin(&at("a.dot")).unwrap()
        };
        let other = write("digraph { a -> b -> c }");
        let ring = write(fixture::RING);
        assert_ne!(ring, other);
        let dump = Cursor::new(fixture::RING.as_bytes());
        let mut graph = import_from(dump, graph::Format::Dot, &mut |_| true)
            .unwrap()
            .graph;
        graph.set_origin(ring);
        graph::write(&graph, &at("a.graph")).unwrap();
        assert_eq!(origin(&at("a.graph")), Some(ring));
        assert_eq!(origin(&at("absent")), None);
        assert_eq!(origin(directory.path()), None);
    }
}
