//! Markdown: the table for a README or a pull request, with what follows from it and where it was
//! made.
//!
//! GitHub's tables, one line a heap, narrow enough to be read beside code: what a comparison turns
//! on, not every column of the terminal's table. Labels and messages come from files, so whatever
//! means something in Markdown or HTML is escaped.

use std::fmt::Write as _;

use super::column::{self, Column};
use super::commands;
use super::conclusion;
use super::table::{LIMIT, Table, about};
use super::text::one_line;
use crate::results::Results;

/// What a comparison turns on.
static COLUMNS: [&Column; 6] = [
    &column::TIME,
    &column::RATIO,
    &column::LONGEST_PAUSE,
    &column::P99_PAUSE,
    &column::IN_PAUSES,
    &column::PEAK_HEAP,
];

/// The whole text.
pub fn render(results: &Results) -> String {
    let table = Table::of(results, &COLUMNS, true);
    let mut header = table.labels();
    let labels = header.len();
    header.push(LIMIT.to_owned());
    let baseline = escape(table.baseline);
    header.extend(COLUMNS.iter().map(|one| one.title(true, &baseline)));
    // The number of threads is a figure among the labels.
    let is_figure = |index: usize| index >= labels || (table.with_threads && index == 1);
    let lines = table.groups.iter().flat_map(|group| {
        group.iter().enumerate().map(|(index, line)| {
            let labels = line.labels(table.with_threads, index == 0);
            let mut cells: Vec<String> = labels.iter().map(|label| escape(label)).collect();
            cells.push(line.limit.clone());
            match &line.figures {
                Ok(figures) => cells.extend_from_slice(figures),
                Err(absent) => cells.push(escape(&absent.reason)),
            }
            cells
        })
    });
    let mut text = rows(&header, is_figure, lines);
    let _ = writeln!(text, "\n{}", escape(&about(results)));
    let _ = writeln!(text, "\n{}", column::legend(&COLUMNS, true));
    for sentence in conclusion::sentences(results) {
        let _ = writeln!(text, "\n{}", escape(&sentence));
    }
    for note in &results.notes {
        let _ = writeln!(text, "\nNote: {}", escape(note));
    }
    for environment in results.environments() {
        let _ = writeln!(text, "\n{}", escape(&environment.summary()));
    }
    for line in results.not_passed_on() {
        let _ = writeln!(text, "\n{}.", escape(&line));
    }
    let cells = table.groups.iter().flatten().map(|line| line.cell);
    for command in commands(cells) {
        // Indented code takes whatever is in it as it is.
        let _ = writeln!(text, "\n    {}", one_line(&command));
    }
    text
}

/// A table of these cells, which are Markdown; columns of figures are aligned to the right.
pub fn rows(
    header: &[String],
    is_figure: impl Fn(usize) -> bool,
    lines: impl Iterator<Item = Vec<String>>,
) -> String {
    let rules = (0..header.len()).map(|index| if is_figure(index) { "--:" } else { "---" });
    let rules = rules.map(str::to_owned).collect();
    let mut text = String::new();
    for mut line in [header.to_vec(), rules].into_iter().chain(lines) {
        line.resize(header.len(), String::new());
        let _ = writeln!(text, "| {} |", line.join(" | "));
    }
    text
}

/// The text, so that it means nothing but itself.
pub fn escape(text: &str) -> String {
    let mut escaped = String::new();
    for character in one_line(text).chars() {
        match character {
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            '\\' | '|' | '*' | '_' | '`' | '[' | ']' | '#' | '~' => {
                escaped.push('\\');
                escaped.push(character);
            }
            character => escaped.push(character),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::escape;

    #[test]
    fn nothing_in_a_label_is_markup() {
        assert_eq!(
            escape("a|b <img src=x>\n# c_d `e` [f](g)"),
            r"a\|b &lt;img src=x&gt; \# c\_d \`e\` \[f\](g)"
        );
    }
}
