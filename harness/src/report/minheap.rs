//! The table of minimum heaps: one line for each pair of workload and heap, and for each workload what to compare its heaps at.

use comfy_table::{CellAlignment, Table, presets};

use crate::invocation::format_bytes;
use crate::minheap::{Minimum, groups, several_threads};
use crate::plan::Cell;

/// The whole report.
pub(crate) fn render(minima: &[(&Cell, Minimum)]) -> String {
    let with_threads = several_threads(minima);
    let mut header = vec!["workload"];
    header.extend(with_threads.then_some("threads"));
    let figures_from = header.len() + 1;
    header.extend(["heap", "minimum heap", "twice", "three times"]);
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(header);
    for group in groups(minima) {
        for (index, (cell, minimum)) in group.iter().enumerate() {
            let once = |text: String| if index == 0 { text } else { String::new() };
            let mut line = vec![once(cell.workload_label.clone())];
            line.extend(with_threads.then(|| once(cell.input.threads.to_string())));
            line.push(cell.heap_label.clone());
            line.extend(match minimum.completed {
                Some(bytes) => [1, 2, 3].map(|times| format_bytes(times * bytes)),
                None => {
                    let failed = format!("more than {}", format_bytes(minimum.failed));
                    [failed, "-".to_owned(), "-".to_owned()]
                }
            });
            table.add_row(line);
        }
    }
    for index in figures_from..figures_from + 3 {
        if let Some(column) = table.column_mut(index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let mut text = format!("{}\n\n", table.trim_fmt());
    for group in groups(minima) {
        text.push_str(&advice(group));
    }
    text.push_str(
        "Minimum heap: the smallest size at which a process has completed, to one per cent. Heaps are compared at multiples of the largest.\n",
    );
    text
}

/// At which sizes the heaps of a group can be compared: multiples of the largest minimum.
fn advice(group: &[(&Cell, Minimum)]) -> String {
    let largest = group
        .iter()
        .filter_map(|(cell, minimum)| Some((minimum.completed?, &cell.heap_label)))
        .max();
    let (Some((bytes, heap)), Some((cell, _))) = (largest, group.first()) else {
        return String::new();
    };
    let mebibytes = |times: u64| (times * bytes).div_ceil(1 << 20);
    let threads = match cell.input.threads {
        1 => String::new(),
        threads => format!(" --threads {threads}"),
    };
    format!(
        "{}{threads}: {heap} needs most; twice that is --heap-size {}M, three times {}M\n",
        cell.workload_label,
        mebibytes(2),
        mebibytes(3)
    )
}
