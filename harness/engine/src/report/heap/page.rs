//! The page: what the terminal says, with tables and plots.
//!
//! It begins with a mark, at its first byte and nowhere else, that says of which dumps it is: what
//! quotes the mark is no page, and a page of other dumps that are called the same is not theirs.

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

use graph::Shape;
use maud::{DOCTYPE, Markup, html};

use super::facts::{self, share};
use super::{Heaps, Subject, cost, cost_figures, difference, shape_figures};
use crate::invocation::format_bytes;
use crate::message;
use crate::report::figure::{Figure, Styles};
use crate::report::html::{self as page, Maker, Section};
use crate::report::quantity::grouped;
use crate::results::{Group, Results};

/// How the mark begins; what tells the dumps follows, and how it ends.
const MARK: [&str; 2] = ["<!-- harness heap of ", " -->"];
/// More bytes than any command line has dumps for.
const LONGEST_MARK: u64 = 1 << 20;

/// The mark of a page of these dumps, in their order.
fn mark(origins: impl Iterator<Item = u64>) -> String {
    let origins: Vec<String> = origins.map(|origin| format!("{origin:016x}")).collect();
    MARK[0].to_owned() + &origins.join(" ") + MARK[1]
}

/// Of which dumps a file is a page, by its mark; `None` if it is none.
pub(super) fn origins(path: &Path) -> Option<Vec<u64>> {
    // Before it is opened: that would wait for who writes a pipe.
    if !fs::metadata(path).ok()?.is_file() {
        return None;
    }
    let mut begin = Vec::new();
    let file = File::open(path).ok()?;
    file.take(LONGEST_MARK).read_to_end(&mut begin).ok()?;
    let text = String::from_utf8_lossy(&begin);
    let rest = text.strip_prefix(DOCTYPE.0)?.strip_prefix(MARK[0])?;
    let (origins, _) = rest.split_once(MARK[1])?;
    let origins = origins.split(' ');
    origins
        .map(|origin| u64::from_str_radix(origin, 16).ok())
        .collect()
}

/// The whole page.
pub(super) fn render(heaps: &Heaps, results: &Results) -> String {
    let groups = results.groups();
    let measured = heaps.measured(&groups);
    let styles = Styles::new(results);
    let mut sections = vec![Section::new(
        "costs",
        "What it costs",
        &costs(results, &measured, &styles),
    )];
    for (number, (new, old)) in heaps.pairs().enumerate() {
        let title = format!("{} against {}", new.name, old.name);
        let body = differences(heaps, results, (old, new), &styles);
        sections.push(Section::new(&format!("difference-{number}"), &title, &body));
    }
    sections.push(Section::new("graph", "What it is", &graphs(heaps, &styles)));
    sections.push(Section::new(
        "largest",
        "The largest objects",
        &largest(heaps),
    ));
    sections.push(Section::new(
        "lost",
        "What was lost in the import",
        &lost(heaps),
    ));
    sections.push(page::environment(results, true));
    let names: Vec<&str> = (heaps.subjects.iter())
        .map(|subject| subject.name.as_str())
        .collect();
    let about = html! {
        @for (_, group) in &measured { p.quiet { (group.baseline().workload_label()) } }
    };
    let top = page::conclusion(results, &heaps.sentences(results));
    let verb = if names.len() == 1 { "costs" } else { "cost" };
    let title = format!("What {} {verb} on each heap", names.join(" and "));
    let by = Maker {
        command: "harness heap",
        mark: mark(heaps.subjects.iter().map(|subject| subject.origin)),
    };
    let page = page::document((&title, &by), results, &about, &top, &sections);
    // A workload's label has its file as it was given; a name is enough.
    heaps.subjects.iter().fold(page, |page, subject| {
        let file = message::shown(&subject.file);
        let [file, name] = [&file, &subject.name].map(|text| html! { (text) }.0);
        page.replace(&format!("file={file}"), &format!("file={name}"))
    })
}

/// A table that scrolls in its box.
fn scrolling(label: &str, head: &[&str], body: &Markup) -> Markup {
    /// Columns of words, which begin at the left.
    const WORDS: [&str; 5] = ["graph", "heap", "median (least-most)", "ratio", "change"];
    html! {
        div.scroll tabindex="0" role="region" aria-label=(label) {
            table {
                thead {
                    tr {
                        @for (index, title) in head.iter().enumerate() {
                            @let class = (index == 0 || WORDS.contains(title)).then_some("text");
                            th class=[class] scope="col" { (title) }
                        }
                    }
                }
                (body)
            }
        }
    }
}

/// What each quantity is on each heap.
fn costs(results: &Results, measured: &[(&Subject, &Group<'_>)], styles: &Styles) -> Markup {
    let named: Vec<(&str, &Group<'_>)> = (measured.iter())
        .map(|(subject, group)| (subject.name.as_str(), *group))
        .collect();
    let body = html! {
        @for (name, group) in &named {
            @for cell in &group.cells {
                tbody.group {
                    @for (index, line) in cost::lines(results, group, cell).iter().enumerate() {
                        tr {
                            th.text scope="row" { (line.name) }
                            td.text { @if index == 0 { (name) } }
                            td.text { @if index == 0 { (cell.heap_label()) } }
                            td { @if index == 0 { (cost::processes(cell)) } }
                            td.text { (line.words) }
                            td.text { (line.ratio) }
                        }
                    }
                }
            }
        }
    };
    let head = [
        "quantity",
        "graph",
        "heap",
        "processes",
        "median (least-most)",
        "ratio",
    ];
    html! {
        (page::figures(cost_figures::of(&named, styles)))
        (scrolling("Costs", &head, &body))
        p.quiet { (cost::LEGEND) }
    }
}

/// Where one graph differs from another.
fn differences(
    heaps: &Heaps,
    results: &Results,
    (old, new): (&Subject, &Subject),
    styles: &Styles,
) -> Markup {
    let groups = results.groups();
    let changes = difference::of_heaps(heaps, results, &groups, old, new);
    let numbers = html! {
        tbody {
            @for line in difference::lines(&old.shape, &new.shape) {
                tr {
                    th.text scope="row" { (line.name) }
                    @for value in &line.values { td { (value) } }
                    td.text { (line.change) }
                }
            }
        }
    };
    let classes = |old, new, are_sizes: bool| {
        html! {
            tbody {
                @for class in difference::classes(old, new) {
                    tr {
                        th.text scope="row" { (class.values()) }
                        td { (grouped(class.old.count)) }
                        td { (grouped(class.new.count)) }
                        td.text { (class.change()) }
                        @if are_sizes {
                            td { (format_bytes(class.old.sum)) }
                            td { (format_bytes(class.new.sum)) }
                            td.text { (class.bytes()) }
                        }
                    }
                }
            }
        }
    };
    let sizes = classes(&old.shape.sizes, &new.shape.sizes, true);
    let referred = classes(&old.shape.referred, &new.shape.referred, false);
    let names = (new.name.as_str(), old.name.as_str());
    let (old, new) = (old.name.as_str(), new.name.as_str());
    let costs: (Vec<Figure>, _) = match cost_figures::of_changes(names, &changes, styles) {
        Ok(figure) => (vec![figure], Vec::new()),
        Err(absent) => (Vec::new(), vec![absent]),
    };
    let costs_of = html! {
        @for (cell, changes) in &changes {
            tbody.group {
                @for change in changes {
                    tr {
                        th.text scope="row" { (change.name) }
                        td.text { (cell.heap_label()) }
                        td.text { (cost::written(change.ratio)) }
                        td { @if let Some(each) = change.each { (cost::written(each)) } }
                        td { (change.ratio.n) }
                    }
                }
            }
        }
    };
    html! {
        (scrolling("Numbers of the graphs", &["", old, new, "change"], &numbers))
        h3 { "By bytes of an object" }
        (scrolling("Objects by size",
            &["bytes", old, new, "change", "bytes in all", "bytes in all", "change"], &sizes))
        h3 { "By references to an object" }
        (scrolling("Objects by references to them", &["references", old, new, "change"], &referred))
        h3 { "Cost" }
        (page::figures(costs))
        @if !changes.is_empty() {
            (scrolling("Ratios of costs", &["quantity", "heap", "ratio", "an object", "rounds"],
                &costs_of))
        }
    }
}

/// What the graphs are: a column each, and the figures.
fn graphs(heaps: &Heaps, styles: &Styles) -> Markup {
    let graphs: Vec<(&str, &Shape)> = (heaps.subjects.iter())
        .map(|subject| (subject.name.as_str(), &subject.shape))
        .collect();
    html! {
        @for (name, shape) in &graphs {
            @if graphs.len() > 1 { h3 { (name) } }
            dl {
                @for (name, words) in facts::of(shape) {
                    dt { (name) }
                    dd { (words) }
                }
            }
        }
        (page::figures(shape_figures::of(&graphs, styles)))
    }
}

/// The objects with most fields and most payload.
fn largest(heaps: &Heaps) -> Markup {
    html! {
        @for Subject { name, shape, .. } in &heaps.subjects {
            @if heaps.subjects.len() > 1 { h3 { (name) } }
            @let body = html! {
                tbody {
                    @for (index, fields) in shape.widest.iter().enumerate() {
                        @let heaviest = shape.heaviest.get(index).copied().unwrap_or_default();
                        tr {
                            th.text scope="row" { (index + 1) }
                            td { (grouped(*fields)) }
                            td { (share(*fields, shape.fields)) }
                            td { (format_bytes(heaviest)) }
                            td { (share(heaviest, shape.payload_bytes)) }
                        }
                    }
                }
            };
            @let head = ["", "most fields", "of all fields", "most payload", "of all payload"];
            (scrolling("The largest objects", &head, &body))
        }
        p.quiet {
            "Fields and payload of the objects that have most of either: large arrays, as a rule. \
             The two in a line need not be one object."
        }
    }
}

/// What of the dumps is not in the graphs.
fn lost(heaps: &Heaps) -> Markup {
    html! {
        @for Subject { name, dump, shape, .. } in &heaps.subjects {
            @if heaps.subjects.len() > 1 { h3 { (name) } }
            @match dump {
                None => p {
                    "It was given as a graph, which does not say what was lost when that was made: \
                     harness import says it."
                }
                Some(dump) => {
                    @if dump.losses.is_empty() { p { "Nothing." } }
                    @if !dump.losses.is_empty() {
                        ul { @for loss in dump.losses.iter() { li { (loss) } } }
                    }
                    @if !dump.has_roots {
                        p.warn {
                            "The dump names no roots: what nothing refers to is taken for them, and \
                             one object of what is reached from none of these."
                        }
                    }
                }
            }
            @if shape.weak > 0 || shape.garbage > 0 {
                p.quiet {
                    "Beside that, objects that no root reaches are left out ("
                    (grouped(shape.garbage)) "), and weak references are null fields ("
                    (grouped(shape.weak)) ")."
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::heap::fixture::{RING, subject};

    #[test]
    fn a_page_says_of_a_dump_what_its_name_is_and_nothing_of_its_contents() {
        let secret = RING.replace("x [", "x [label=\"secret\", ");
        let lost = "digraph { secret [root=true, bytes=many]; secret -> b }";
        let heaps = Heaps {
            subjects: vec![subject("<one>", &secret), subject("two", lost)],
            page: None,
        };
        let page = render(&heaps, &Results::default());
        assert!(page.contains("&lt;one&gt;") && !page.contains("<one>"));
        assert!(!page.contains("secret") && !page.contains("<script"));
        assert!(page.contains("What was lost in the import"));
        for title in [
            "Depth",
            "References to an object",
            "Objects by size",
            "Objects on cycles",
        ] {
            assert!(page.contains(&format!("<h3>{title}</h3>")), "{title}");
        }
        assert!(page.contains("two against &lt;one&gt;"));
        assert!(page.len() < 100_000, "{}", page.len());
    }
}
