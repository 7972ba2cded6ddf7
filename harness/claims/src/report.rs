//! What the claims come to: a table, Markdown, JSON, and a section of the page.
//!
//! Each figure stands with its interval; the verdict follows from intervals by the rule that is
//! printed beside it. Nothing is computed here.

use maud::{Markup, html};
use serde_json::json;

use crate::claim::{Claim, Rule, Side, Verdict};
use crate::evidence::Estimate;
use crate::invocation::format_bytes;
use crate::judge::{Column, Judged, judge};
use crate::quantity::Unit;
use crate::results::Results;
use crate::statement;
use engine::report::Chapter;
use engine::report::answer::some_of;
use engine::report::markdown::{escape, rows};
use engine::report::quantity::{format_time, three_digits};
use engine::report::text::wrap;

/// The claims, as a chapter of the engine's reports.
#[derive(Debug)]
pub struct Claims;

impl Chapter for Claims {
    fn title(&self) -> &'static str {
        "Claims"
    }

    fn text(&self, results: &Results) -> String {
        table(&judge(results))
    }

    fn markdown(&self, results: &Results) -> String {
        markdown(&judge(results))
    }

    fn section(&self, results: &Results) -> Option<Markup> {
        let judged = judge(results);
        (!judged.is_empty()).then(|| section(&judged))
    }

    fn json(&self, results: &Results) -> String {
        json(&judge(results))
    }

    fn answer(&self, results: &Results) -> Vec<String> {
        answer(&judge(results))
    }
}

/// How wide text is set.
const WIDTH: usize = 150;
/// How wide the table's columns of words are at most.
const MEASURED: usize = 40;
const DOCUMENTS: usize = 24;
const VERDICT: usize = 24;

/// What the figures and verdicts are.
const EXPLANATION: &str = "Figures: trimmed means over fresh processes, of ratios round by round \
[interval, as sure as it takes that of all claims' verdicts 5 % at most are wrong]. A claim holds \
if the whole interval obeys the rule on each heap that it is about, does not if it breaks the \
rule on one, and is undecided otherwise, as it is where a control that it rests on is not shown \
to hold. gc-rc stands for CPython's side and gc-marksweep for Java's; real runtimes stand beside \
them, and other ways to count, and where one says something else, the verdict says so.";

/// The table, and what it means. Empty if nothing was judged.
///
/// A claim has a line of its own; below it stand the figures under each other's columns, and below
/// each figure the rule that judges it. Ways of counting that were not run in an experiment have no
/// column there, and where the columns change they are named again.
pub fn table(judged: &[Judged]) -> String {
    let Some(first) = judged.first() else {
        return String::new();
    };
    let rows: Vec<Vec<Vec<String>>> = judged.iter().map(cells).collect();
    let mut widths: Vec<usize> = header(first).iter().map(|title| width(title)).collect();
    for cell_lines in rows.iter().flat_map(|row| row.iter().enumerate()) {
        let (column, lines) = cell_lines;
        let widest = lines.iter().map(|line| width(line)).max().unwrap_or(0);
        widths[column] = widths[column].max(widest);
    }
    let mut text = String::new();
    let mut shown = Vec::new();
    for (one, row) in judged.iter().zip(&rows) {
        let wanted = shown_columns(judged, one);
        if wanted != shown {
            let line_before = if text.is_empty() { "" } else { "\n" };
            text.push_str(line_before);
            text.push_str(&align(&header(first), &widths, &wanted));
            shown = wanted;
        }
        text.push_str(&format!(
            "\n{}: {}\n",
            one.experiment.name, one.claim.statement
        ));
        let lines = row.iter().map(Vec::len).max().unwrap_or(0);
        for index in 0..lines {
            let cells: Vec<String> = row
                .iter()
                .map(|lines| lines.get(index).cloned().unwrap_or_default())
                .collect();
            text.push_str(&align(&cells, &widths, &shown));
        }
    }
    format!(
        "{text}\n{}\n{}\nWhat is done, and what it does not show: harness claims NAME \
         --explain\n",
        paragraphs(judged, "\n"),
        wrap(EXPLANATION, WIDTH, 0, 0)
    )
}

/// Which columns of the table have a place in a claim's experiment.
fn shown_columns(judged: &[Judged], one: &Judged) -> Vec<bool> {
    let name = one.experiment.name;
    let of_experiment = || judged.iter().filter(|other| other.experiment.name == name);
    let columns = one.columns.iter().enumerate();
    let columns = columns.map(|(index, column)| {
        let is_extra =
            column.is_heap && matches!(column.side, Some(Side::Unlocked | Side::Deferring));
        !is_extra || of_experiment().any(|other| other.columns[index].figure.is_some())
    });
    // Between the claim and whose it is, and the verdict.
    [true, true]
        .into_iter()
        .chain(columns)
        .chain([true])
        .collect()
}

/// The lines of each cell of a claim's row.
fn cells(one: &Judged) -> Vec<Vec<String>> {
    let claim = one.claim;
    let lines = |text: &str, width, indent| {
        let text = wrap(text, width, indent, indent);
        text.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let mut cells = vec![
        lines(claim.measured, MEASURED + 2, 2),
        lines(&claim.source(), DOCUMENTS, 0),
    ];
    for column in &one.columns {
        let mut figure = vec![figure(claim, column)];
        figure.extend(rule_of(column, claim).map(|rule| format!("({rule})")));
        cells.push(figure);
    }
    cells.push(lines(&verdict(one), VERDICT, 0));
    cells
}

/// One line of the table, of the cells that are shown.
fn align(cells: &[String], widths: &[usize], shown: &[bool]) -> String {
    let mut line = String::new();
    let cells = cells.iter().zip(widths).zip(shown);
    for ((cell, &column), _) in cells.filter(|(_, shown)| **shown) {
        line.push_str(cell);
        line.push_str(&" ".repeat(2 + column - width(cell).min(column)));
    }
    format!("{}\n", line.trim_end())
}

fn width(text: &str) -> usize {
    text.chars().count()
}

fn header(first: &Judged) -> Vec<String> {
    let mut header = vec!["claim".to_owned(), "documents".to_owned()];
    header.extend(first.columns.iter().map(|column| column.name.clone()));
    header.push("verdict".to_owned());
    header
}

/// A row of the other forms.
fn line(one: &Judged) -> Vec<String> {
    let claim = one.claim;
    let mut line = vec![
        format!(
            "{}: {} ({})",
            one.experiment.name, claim.statement, claim.measured
        ),
        claim.source(),
    ];
    line.extend(one.columns.iter().map(|column| figure(claim, column)));
    line.push(format!("{}; {}", verdict(one), rules(claim)));
    line
}

/// How many hold, which do not, and what would decide the rest.
fn answer(judged: &[Judged]) -> Vec<String> {
    if judged.is_empty() {
        return Vec::new();
    }
    let of = |wanted: Verdict| judged.iter().filter(move |one| one.verdict == Some(wanted));
    let counts = count(judged).into_iter();
    let mut sentences: Vec<String> = counts.filter(|line| !line.is_empty()).collect();
    let whose = |claim: &Claim| match claim.judges {
        [] => "ours".to_owned(),
        ids => ids.join(", "),
    };
    let named = |wanted| -> Vec<String> {
        let found = of(wanted).map(|one| format!("{} ({})", one.experiment.name, whose(one.claim)));
        let mut found: Vec<String> = found.collect();
        found.dedup();
        found
    };
    let broken = named(Verdict::Fails);
    let open = of(Verdict::Undecided).map(|one| one.experiment.name.to_owned());
    let mut open: Vec<String> = open.collect();
    open.dedup();
    if !broken.is_empty() {
        sentences.push(format!("Do not hold: {}.", some_of(&broken, 8)));
    }
    let lacking = judged.iter().filter(|one| one.lacking().is_some()).count();
    if let Some(reason) = judged.iter().find_map(Judged::lacking) {
        sentences.push(format!(
            "{lacking} of the undecided say nothing here: {reason}; run again when nothing else runs."
        ));
    }
    if !open.is_empty() {
        sentences.push(format!(
            "Undecided: {}; harness claims NAME --invocations 20 decides most.",
            some_of(&open, 10)
        ));
    }
    sentences
}

/// How many hold: the documents' statements, the claims that judge them, and ours, in a line each.
fn count(judged: &[Judged]) -> [String; 3] {
    let of_claims = |whose: &str, is_ours: bool| {
        let claims = || judged.iter().filter(|one| one.claim.is_ours == is_ours);
        let of = |verdict| claims().filter(|one| one.verdict == verdict).count();
        let counts = [
            (of(Some(Verdict::Holds)), "hold"),
            (of(Some(Verdict::Fails)), "do not hold"),
            (of(Some(Verdict::Undecided)), "undecided"),
            (of(None), "not measurable here"),
        ];
        let counts: Vec<String> = counts
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, words)| format!("{count} {words}"))
            .collect();
        let number = claims().count();
        match number {
            0 => String::new(),
            _ => format!("{number} claims {whose}: {}.", counts.join(", ")),
        }
    };
    [
        statement::summary(judged),
        of_claims("of the documents", false),
        of_claims("of ours", true),
    ]
}

/// The counts that there are, each with `end` after it.
fn paragraphs(judged: &[Judged], end: &str) -> String {
    let counts = count(judged).into_iter().filter(|line| !line.is_empty());
    counts.map(|line| wrap(&line, WIDTH, 0, 0) + end).collect()
}

/// A figure with its interval, or why there is none.
fn figure(claim: &Claim, column: &Column) -> String {
    match &column.figure {
        Some(Ok(estimate)) => format_estimate(*estimate, claim.figure.unit()),
        Some(Err(reason)) => reason.clone(),
        None => "-".to_owned(),
    }
}

/// The verdict in words, with those heaps and runtimes that say something else than the heap that
/// stands for them, or something where that says nothing.
fn verdict(one: &Judged) -> String {
    let mut words = one.verdict.map_or_else(
        || "not measurable here".to_owned(),
        |verdict| verdict.to_string(),
    );
    if let Some(lacking) = one.lacking() {
        words.push_str(&format!(" ({lacking})"));
    }
    for column in &one.columns {
        let stands_for_it = column.side.and_then(|side| one.standing_for(side));
        let ours = stands_for_it.and_then(|heap| heap.verdict);
        let differs = match (column.verdict, ours) {
            (Some(Verdict::Fails), Some(Verdict::Holds)) => "not on",
            (Some(Verdict::Holds), Some(Verdict::Fails)) => "but on",
            (Some(Verdict::Fails), Some(Verdict::Undecided) | None) => "does not hold on",
            (Some(Verdict::Holds), Some(Verdict::Undecided) | None) => "holds on",
            _ => continue,
        };
        words.push_str(&format!(" ({differs} {})", column.name));
    }
    words
}

/// What must be true, side by side.
pub(crate) fn rules(claim: &Claim) -> String {
    let words = |rule| rule_in_words(rule, claim);
    if let (Some(counting), None) = (claim.counting, claim.unlocked)
        && claim.tracing == Some(counting)
    {
        return format!("rule: {} on both", words(counting));
    }
    let rules = Side::ALL.into_iter().filter_map(|side| {
        let heap = match side {
            Side::Counting => "gc-rc",
            Side::Unlocked => "gc-rc without the lock",
            Side::Deferring => "gc-rc with deferral",
            Side::Tracing => "gc-marksweep",
        };
        Some(format!("{heap} {}", words(claim.rule(side)?)))
    });
    format!("rule: {}", rules.collect::<Vec<_>>().join(", "))
}

fn rule_in_words(rule: Rule, claim: &Claim) -> String {
    rule.in_words(|bound| format_value(bound, claim.figure.unit()))
}

/// The rule by which a column's figure is judged, if there is one to judge.
fn rule_of(column: &Column, claim: &Claim) -> Option<String> {
    column.figure.as_ref()?;
    let rule = claim.rule(column.side?)?;
    Some(rule_in_words(rule, claim))
}

/// A figure with its interval in its unit.
pub(crate) fn format_estimate(estimate: Estimate, unit: Unit) -> String {
    let one = |value| format_value(value, unit);
    match estimate.interval {
        Some((low, high)) if one(low) == one(high) => one(estimate.value),
        Some((low, high)) => format!("{} [{} - {}]", one(estimate.value), one(low), one(high)),
        None => format!("{} (n = 1)", one(estimate.value)),
    }
}

/// A value in its unit.
pub(crate) fn format_value(value: f64, unit: Unit) -> String {
    match unit {
        Unit::Ratio => three_digits(value),
        // What hardly ever happens.
        Unit::Share if 0.0 < value && value < 0.001 => format!("1 in {:.0}", 1.0 / value),
        Unit::Share => format!("{:.1} %", 100.0 * value),
        Unit::Count => format!("{value:.0}"),
        Unit::Time => format_time(value),
        Unit::Bytes => format_bytes(value.max(0.0) as u64),
    }
}

/// A table for a README or a pull request. Empty if nothing was judged.
pub fn markdown(judged: &[Judged]) -> String {
    let Some(first) = judged.first() else {
        return String::new();
    };
    let escaped = |cells: Vec<String>| cells.iter().map(|cell| escape(cell)).collect();
    let lines = judged.iter().map(|one| escaped(line(one)));
    let header: Vec<String> = escaped(header(first));
    let text = rows(&header, |_| false, lines);
    format!("{text}\n{}\n{EXPLANATION}\n", paragraphs(judged, "\n\n"))
}

/// A section of the page. Nothing if nothing was judged.
pub(crate) fn section(judged: &[Judged]) -> Markup {
    let Some(first) = judged.first() else {
        return html! {};
    };
    html! {
        section #claims {
            h2 { "Claims" }
            @for line in count(judged) { p { (line) } }
            div.scroll tabindex="0" role="region" aria-label="Table of claims" {
                table {
                    thead { tr { @for title in header(first) { th { (title) } } } }
                    tbody {
                        @for one in judged {
                            tr {
                                td {
                                    strong { (one.experiment.name) } ": " (one.claim.statement)
                                    p.quiet { (one.claim.measured) }
                                }
                                td { (one.claim.source()) }
                                @for column in &one.columns {
                                    td {
                                        (figure(one.claim, column))
                                        @if let Some(rule) = rule_of(column, one.claim) {
                                            p.quiet { (rule) }
                                        }
                                    }
                                }
                                @let fails = one.verdict == Some(Verdict::Fails);
                                td { strong.warn[fails] { (verdict(one)) } }
                            }
                        }
                    }
                }
            }
            p.quiet { (EXPLANATION) }
        }
    }
}

/// One object a claim and line.
pub fn json(judged: &[Judged]) -> String {
    let number = |estimate: &Estimate| {
        json!({
            "value": estimate.value,
            "low": estimate.interval.map(|(low, _)| low),
            "high": estimate.interval.map(|(_, high)| high),
            "n": estimate.n,
        })
    };
    let words = |verdict: Option<Verdict>| verdict.map(|verdict| verdict.to_string());
    let column = |column: &Column| {
        let value = match &column.figure {
            Some(Ok(estimate)) => {
                json!({
                    "figure": number(estimate),
                    "verdict": words(column.verdict),
                    "lacking": column.lacking,
                })
            }
            Some(Err(reason)) => json!({ "reason": reason }),
            None => json!({ "reason": "not measured" }),
        };
        (column.name.clone(), value)
    };
    judged
        .iter()
        .map(|one| {
            let columns: serde_json::Map<String, serde_json::Value> =
                one.columns.iter().map(column).collect();
            let claim = one.claim;
            let rule =
                |rule: Option<Rule>| rule.map(|rule| rule.in_words(|bound| bound.to_string()));
            let object = json!({
                "experiment": one.experiment.name,
                "claim": claim.statement,
                "judges": claim.judges,
                "ours": claim.is_ours,
                "documents": claim.document,
                "measured": claim.measured,
                "unit": format!("{:?}", claim.figure.unit()).to_lowercase(),
                "rule_counting": rule(claim.counting),
                "rule_tracing": rule(claim.tracing),
                "rule_unlocked": rule(claim.unlocked),
                "rule_deferring": rule(claim.deferring),
                "columns": columns,
                "verdict": words(one.verdict),
            });
            format!("{object}\n")
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_runtime_that_says_something_else_is_in_the_verdict() {
        use crate::claim::Side;
        use crate::experiment::EXPERIMENTS;

        let estimate = Estimate {
            value: 1.0,
            interval: None,
            n: 1,
        };
        let column = |name: &str, is_heap, verdict: Option<Verdict>| Column {
            name: name.to_owned(),
            is_heap,
            side: Some(Side::Tracing),
            figure: verdict.map(|_| Ok(estimate)),
            verdict,
            lacking: None,
        };
        let (holds, fails) = (Some(Verdict::Holds), Some(Verdict::Fails));
        let open = Some(Verdict::Undecided);
        for (ours, theirs, words) in [
            (holds, fails, "holds (not on hotspot-g1 21)"),
            (fails, holds, "does not hold (but on hotspot-g1 21)"),
            (open, holds, "undecided (holds on hotspot-g1 21)"),
            (open, fails, "undecided (does not hold on hotspot-g1 21)"),
            (None, holds, "not measurable here (holds on hotspot-g1 21)"),
            (
                None,
                fails,
                "not measurable here (does not hold on hotspot-g1 21)",
            ),
            (holds, holds, "holds"),
            (fails, open, "does not hold"),
        ] {
            let columns = vec![
                column("gc-marksweep", true, ours),
                column("hotspot-g1 21", false, theirs),
            ];
            let judged = Judged {
                experiment: &EXPERIMENTS[0],
                claim: &EXPERIMENTS[0].claims[0],
                columns,
                verdict: ours,
            };
            assert_eq!(verdict(&judged), words);
        }
    }

    #[test]
    fn figures_stand_with_their_intervals() {
        let mut estimate = Estimate {
            value: 1.0,
            interval: Some((0.9, 1.2)),
            n: 3,
        };
        assert_eq!(format_estimate(estimate, Unit::Ratio), "1.00 [0.90 - 1.20]");
        estimate.interval = None;
        assert_eq!(format_estimate(estimate, Unit::Ratio), "1.00 (n = 1)");
        estimate.interval = Some((1.0, 1.0));
        assert_eq!(format_estimate(estimate, Unit::Count), "1");
    }
}
