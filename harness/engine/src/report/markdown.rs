//! Markdown: the table for a README or a pull request, with what follows from it and where it was
//! made.
//!
//! GitHub's tables, one line a heap, narrow enough to be read beside code: what a comparison turns
//! on, not every column of the terminal's table. Labels and messages come from files, so whatever
//! means something in Markdown or HTML is escaped.

use std::fmt::Write as _;

use super::conclusion;
use super::figure;
use super::quantity::format_ratio;
use super::table;
use crate::invocation::format_bytes;
use crate::message;
use crate::results::{CellResults, Group, Results};

/// The whole text.
pub fn render(results: &Results) -> String {
    // Sizes of one work under each other.
    let groups: Vec<Group<'_>> = results.works().into_iter().flatten().collect();
    let cells = || groups.iter().flat_map(|group| &group.cells);
    let several_threads = figure::several(cells().map(|cell| cell.threads()));
    let baseline = groups
        .first()
        .map_or("", |group| group.baseline().heap_label());

    let mut header = vec!["workload".to_owned()];
    header.extend(several_threads.then(|| "threads".to_owned()));
    let text_columns = header.len() + 1;
    header.extend([
        "heap".to_owned(),
        "limit".to_owned(),
        "time (min-max)".to_owned(),
    ]);
    header.push(format!("time / {} [95 %]", escape(baseline)));
    header.extend(["longest pause", "p99 pause", "in pauses", "peak heap"].map(str::to_owned));

    let mut text = String::new();
    let _ = writeln!(text, "| {} |", header.join(" | "));
    let rules = (0..header.len()).map(|index| match index {
        1 if several_threads => "--:",
        index if index < text_columns => "---",
        _ => "--:",
    });
    let _ = writeln!(text, "| {} |", rules.collect::<Vec<_>>().join(" | "));
    for group in &groups {
        for (index, &cell) in group.cells.iter().chain(&group.twins).enumerate() {
            let once = |text: String| if index == 0 { text } else { String::new() };
            let mut line = vec![once(escape(cell.workload_label()))];
            line.extend(several_threads.then(|| once(cell.threads().to_string())));
            line.push(heap(cell));
            line.push(if cell.is_limited() {
                format_bytes(cell.heap_bytes())
            } else {
                "-".to_owned()
            });
            line.extend(figures(group, cell));
            line.resize(header.len(), String::new());
            let _ = writeln!(text, "| {} |", line.join(" | "));
        }
    }
    let _ = writeln!(text, "\n{}", escape(&table::about(results)));
    text.push_str(
        "\nTime: median over processes; ratio with its 95 % interval, and heaps differ only if it excludes 1. Pauses: everything that stopped a thread; \
         a percentile with fewer than 10 pauses above it is not shown.\n",
    );
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
    let mut commands: Vec<String> = Vec::new();
    for row in cells().flat_map(|cell| &cell.rows) {
        let arguments = row
            .environment
            .iter()
            .map(|environment| &environment.arguments);
        for command in arguments.map(|arguments| message::command(arguments)) {
            if !commands.contains(&command) {
                commands.push(command);
            }
        }
    }
    for command in commands {
        // Indented code takes whatever is in it as it is.
        let _ = writeln!(text, "\n    {}", one_line(&command));
    }
    text
}

fn heap(cell: &CellResults) -> String {
    let moving = if cell.is_moving() { " (moving)" } else { "" };
    let twin = if cell.is_twin() { " (again)" } else { "" };
    format!("{}{moving}{twin}", escape(cell.heap_label()))
}

/// The columns from the time on, of those that the terminal's table has, or the reason why there
/// are none.
fn figures(group: &Group<'_>, cell: &CellResults) -> Vec<String> {
    let figures = table::figures(group, cell);
    let [time, _, ratio, _, _, p99, longest, share, heap, _] = &figures[..] else {
        let reason = match cell.failure() {
            Some(row) if !group.is_void() => {
                let message = row.message.as_deref().unwrap_or_default();
                format!("{}: {message}", row.status)
            }
            _ => figures.concat(),
        };
        return vec![escape(&reason)];
    };
    let same_over_same = group.same_over_same().filter(|_| cell.is_twin());
    let ratio = same_over_same.map_or(ratio.clone(), format_ratio);
    vec![
        time.clone(),
        ratio,
        longest.clone(),
        p99.clone(),
        share.clone(),
        heap.clone(),
    ]
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

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
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
