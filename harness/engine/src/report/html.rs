//! The report as one page: the conclusion and a table on top, then plots, then where the figures
//! were made.
//!
//! The page is one file that needs nothing else: no network, no font, no script. A policy in its
//! head forbids all three, so that a label from a result file could not fetch or run anything even
//! if it were not escaped; and it is, by `maud`, which escapes whatever is put into a page. Colours
//! are variables, light and dark by the reader's own setting; drawings scale with the page, and
//! tables scroll inside their boxes.
//!
//! It is made of [`Results`] alone, so the page of a file from last year, or of several machines'
//! files, is the same function as the one at the end of a run.

use std::fs;
use std::path::Path;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::Chapters;
use super::column;
use super::conclusion;
use super::figure::{self, Figures, Styles};
use super::table::{self, LIMIT, THREADS, Table};
use crate::environment::Environment;
use crate::invocation::format_bytes;
use crate::message::{self, shown};
use crate::results::{CellResults, Results};

/// Nothing is fetched, and nothing runs.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'";
const STYLE: &str = include_str!("html.css");

/// Writes the page.
///
/// # Errors
///
/// What is wrong, without the way out: the file cannot be written.
pub fn write(results: &Results, chapters: &Chapters, path: &Path) -> Result<(), String> {
    save(&render(results, chapters), path)
}

/// Writes a page that is made.
///
/// # Errors
///
/// As of [`write()`].
pub fn save(page: &str, path: &Path) -> Result<(), String> {
    fs::write(path, page).map_err(|error| format!("cannot write {}: {error}", shown(path)))
}

/// The whole page.
pub fn render(results: &Results, chapters: &Chapters) -> String {
    let sections = sections(results, chapters);
    let about = html! {
        @if !results.cells.is_empty() { p.quiet { (table::about(results)) } }
    };
    let sentences = conclusion::sentences(results);
    let top = html! {
        (answer(results, chapters))
        (conclusion(results, &sentences))
    };
    let by = Maker {
        command: "harness report",
        mark: String::new(),
    };
    document(
        ("What each heap costs", &by),
        results,
        &about,
        &top,
        &sections,
    )
}

/// What a page says of how it was made.
pub(super) struct Maker {
    /// By which command.
    pub(super) command: &'static str,
    /// What its bytes have after [`DOCTYPE`], for those who know it again by that.
    pub(super) mark: String,
}

/// A page of sections, below what is at its top.
pub(super) fn document(
    (title, by): (&str, &Maker),
    results: &Results,
    about: &Markup,
    top: &Markup,
    sections: &[Section],
) -> String {
    let page = html! {
        (DOCTYPE)
        (PreEscaped(&by.mark))
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="color-scheme" content="light dark";
                meta name="generator" content=(by.command);
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                main {
                    header {
                        h1 { (title) }
                        (about)
                        @for environment in results.environments() {
                            p.quiet { (environment.summary()) }
                        }
                        @for line in results.not_passed_on() { p.quiet { (line) "." } }
                        nav aria-label="Contents" {
                            ul {
                                @for Section { id, title, .. } in sections {
                                    li { a href=(format!("#{id}")) { (title) } }
                                }
                            }
                        }
                    }
                    (top)
                    @for section in sections { (section.markup) }
                }
            }
        }
    };
    page.into_string()
}

/// A part of the page that the table of contents leads to.
pub(super) struct Section {
    id: String,
    title: String,
    markup: Markup,
}

impl Section {
    pub(super) fn new(id: &str, title: &str, body: &Markup) -> Self {
        Self {
            id: id.to_owned(),
            title: title.to_owned(),
            markup: html! { section id=(id) { h2 { (title) } (body) } },
        }
    }
}

fn sections(results: &Results, chapters: &Chapters) -> Vec<Section> {
    let styles = Styles::new(results);
    let works = results.works();
    let mut sections = Vec::new();
    if !works.is_empty() {
        let glance = figures(figure::of_all_but_time(results, &styles));
        sections.push(Section::new("table", "Table", &results_table(results)));
        sections.push(Section::new("glance", "At a glance", &glance));
    }
    sections.extend(chapters.iter().filter_map(|chapter| {
        let title = chapter.title();
        Some(Section {
            id: title.to_lowercase(),
            title: title.to_owned(),
            markup: chapter.section(results)?,
        })
    }));
    let several_threads = table::several(works.iter().map(|work| work[0].cells[0].threads()));
    sections.extend(works.iter().enumerate().map(|(index, work)| {
        let name = figure::work_name(work[0].cells[0], several_threads);
        let figures = figures(figure::of_work(work, &styles));
        Section::new(&format!("work-{index}"), &name, &figures)
    }));
    sections.push(environment(results, false));
    sections
}

/// Where the figures were made.
///
/// `without_paths` leaves out what may name directories of the machine: how the program was called.
pub(super) fn environment(results: &Results, without_paths: bool) -> Section {
    let environments = results.environments();
    let shown = |environment: &Environment| {
        let mut shown = environment.clone();
        if without_paths {
            shown.arguments.clear();
        }
        facts(&shown)
    };
    let environment = html! {
        @for environment in &environments { (shown(environment)) }
        @if environments.is_empty() { p { "The rows do not say where they were made." } }
    };
    Section::new("environment", "Environment", &environment)
}

/// The answer, as on a terminal, below a picture of it.
fn answer(results: &Results, chapters: &Chapters) -> Markup {
    let words = super::answer::section(results, chapters);
    if words.0.is_empty() {
        return words;
    }
    let styles = Styles::new(results);
    html! {
        section id="answer" {
            h2 { "The answer" }
            @if !results.groups().is_empty() {
                (figures(figure::of_answer(results, &styles)))
            }
            (words)
        }
    }
}

/// What follows, what to know about the file, and what has no figures.
pub(super) fn conclusion(results: &Results, sentences: &[String]) -> Markup {
    let cells = results.cells.iter().chain(&results.experiments);
    let failures: Vec<(String, String)> = cells
        .filter_map(|cell| {
            let row = cell.failure()?;
            Some((cell.name(), row.reason()))
        })
        .collect();
    let disturbed = disturbed(results);
    if sentences.is_empty()
        && results.notes.is_empty()
        && failures.is_empty()
        && disturbed.is_none()
    {
        return html! {};
    }
    html! {
        section.conclusion #conclusion aria-label="Conclusion" {
            @for sentence in sentences { p { (sentence.trim()) } }
            @for note in &results.notes { p.warn { "Note: " (note) "." } }
            @for (name, reason) in &failures { p.warn { (name) ": " (reason) } }
            @if let Some(disturbed) = disturbed { p.warn { (disturbed) } }
        }
    }
}

/// How many of the iterations that count were marked as noisy, and why.
pub(super) fn disturbed(results: &Results) -> Option<String> {
    let rows = || results.cells.iter().flat_map(CellResults::measured_rows);
    let noisy = rows().filter(|row| !row.noisy.is_empty()).count();
    // Figures differ from row to row: what happened is the same.
    let without_figures = |mark: &String| {
        let words = mark.split(' ').map(|word| match word.parse::<f64>() {
            Ok(_) => "n",
            Err(_) => word,
        });
        words.collect::<Vec<_>>().join(" ")
    };
    let mut reasons: Vec<String> = rows()
        .flat_map(|row| &row.noisy)
        .map(without_figures)
        .collect();
    reasons.sort_unstable();
    reasons.dedup();
    (noisy > 0).then(|| {
        format!(
            "{noisy} of {} timed iterations were disturbed and are kept: {}.",
            rows().count(),
            reasons.join("; ")
        )
    })
}

/// Drawings side by side, and a line for those that are not there.
pub(super) fn figures((figures, missing): Figures) -> Markup {
    html! {
        div.figures {
            @for figure in &figures {
                figure {
                    h3 { (figure.title) }
                    (figure.drawing)
                    figcaption {
                        p { (figure.see) }
                        p { (figure.n) "." }
                        @if !figure.commands.is_empty() {
                            details {
                                summary {
                                    "Made by"
                                    @let count = figure.commands.len();
                                    @if count > 1 { " " (count) " commands" }
                                }
                                @for command in &figure.commands { code { (command) } }
                            }
                        }
                    }
                }
            }
        }
        @if !missing.is_empty() {
            p.left-out {
                "Not drawn: "
                @for (index, absent) in missing.iter().enumerate() {
                    @if index > 0 { "; " }
                    (absent.title) " (" (absent.reason) ")"
                }
                "."
            }
        }
    }
}

/// The whole table.
fn results_table(results: &Results) -> Markup {
    let table = Table::of(results, &column::ALL, true);
    html! {
        div.scroll tabindex="0" role="region" aria-label="Table of results" {
            table {
                thead {
                    tr {
                        @for title in table.labels() {
                            @let class = if title == THREADS { None } else { Some("text") };
                            th class=[class] scope="col" { (title) }
                        }
                        th scope="col" { (LIMIT) }
                        @for column in table.columns {
                            th scope="col" { (column.title(false, table.baseline)) }
                        }
                    }
                }
                @for group in &table.groups {
                    tbody.group {
                        @for (index, line) in group.iter().enumerate() {
                            tr {
                                @if index == 0 {
                                    th scope="rowgroup" rowspan=(group.len()) {
                                        (line.cell.workload_label())
                                    }
                                    @if table.with_threads {
                                        td rowspan=(group.len()) { (line.cell.threads()) }
                                    }
                                }
                                td.text { (line.heap) }
                                td { (line.limit) }
                                @match &line.figures {
                                    Ok(figures) => @for figure in figures { td { (figure) } },
                                    Err(absent) => td.reason colspan=(table.columns.len()) {
                                        (absent.reason)
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
        p.quiet { (column::legend(table.columns, true)) }
    }
}

/// Everything that an environment says.
fn facts(environment: &Environment) -> Markup {
    let value = serde_json::to_value(environment).expect("environments are JSON");
    let entries: Vec<(String, String)> = value
        .as_object()
        .into_iter()
        .flatten()
        .filter_map(|(name, value)| {
            let text = match value {
                serde_json::Value::Null => return None,
                serde_json::Value::String(text) if text.is_empty() => return None,
                serde_json::Value::String(text) => text.clone(),
                serde_json::Value::Array(words) if words.is_empty() => return None,
                serde_json::Value::Array(_) => message::command(&environment.arguments),
                serde_json::Value::Bool(true) => "yes".to_owned(),
                serde_json::Value::Bool(false) => "no".to_owned(),
                serde_json::Value::Number(number) if name.ends_with("_bytes") => {
                    number.as_u64().map_or(number.to_string(), format_bytes)
                }
                serde_json::Value::Number(number) => number.to_string(),
                serde_json::Value::Object(_) if name == "outside" => {
                    Some(environment.outside_in_words()).filter(|text| !text.is_empty())?
                }
                // The peer differs from row to row; its version is beside its figures.
                serde_json::Value::Object(_) => return None,
            };
            let name = name.trim_end_matches("_bytes").replace('_', " ");
            Some((name, text))
        })
        .collect();
    html! {
        dl {
            @for (name, text) in &entries {
                dt { (name) }
                dd { (text) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::STYLE;

    /// Relative luminance and contrast, as the Web Content Accessibility Guidelines 2.2 define
    /// them.
    fn contrast(one: &str, other: &str) -> f64 {
        let luminance = |colour: &str| {
            let channel = |index: usize| {
                let value = u8::from_str_radix(&colour[2 * index..2 * index + 2], 16).unwrap();
                let value = f64::from(value) / 255.0;
                if value <= 0.040_45 {
                    value / 12.92
                } else {
                    ((value + 0.055) / 1.055).powf(2.4)
                }
            };
            0.2126 * channel(0) + 0.7152 * channel(1) + 0.0722 * channel(2)
        };
        let (one, other) = (luminance(one), luminance(other));
        (one.max(other) + 0.05) / (one.min(other) + 0.05)
    }

    #[test]
    fn colours_can_be_told_from_the_page_light_and_dark() {
        let schemes: Vec<&str> = STYLE.split(":root {").skip(1).collect();
        assert_eq!(schemes.len(), 2);
        for scheme in schemes {
            let colour = |name: &str| {
                let (_, rest) = scheme.split_once(&format!("--{name}: #")).unwrap();
                &rest[..6]
            };
            for text in ["ink", "quiet", "accent", "warn"] {
                for surface in ["page", "panel"] {
                    let contrast = contrast(colour(text), colour(surface));
                    assert!(contrast >= 4.5, "{text} on {surface}: {contrast}");
                }
            }
            for series in ["s0", "s1", "s2", "s3", "s4", "s5"] {
                let contrast = contrast(colour(series), colour("page"));
                assert!(contrast >= 3.0, "{series}: {contrast}");
            }
        }
    }
}
