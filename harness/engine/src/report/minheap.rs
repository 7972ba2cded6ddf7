//! The table of minimum heaps: one line for each pair of workload and heap, and for each workload
//! what to compare its heaps at.

use comfy_table::Cell;

use super::table::several;
use super::terminal::arrange;
use crate::invocation::format_bytes;
use crate::results::{Found, Results};

/// The whole report; empty if no minimum was looked for.
pub fn render(results: &Results) -> String {
    let minima = results.minima();
    if minima.is_empty() {
        return String::new();
    }
    let with_threads = several(minima.iter().map(|minimum| minimum.threads));
    let mut header = vec!["workload"];
    header.extend(with_threads.then_some("threads"));
    let figures_from = header.len() + 1;
    header.extend(["heap", "minimum heap", "twice", "three times"]);
    let mut lines = Vec::new();
    for work in works(&minima) {
        for (index, minimum) in work.iter().enumerate() {
            let once = |text: String| if index == 0 { text } else { String::new() };
            let mut line = vec![once(minimum.workload_label.clone())];
            line.extend(with_threads.then(|| once(minimum.threads.to_string())));
            line.push(minimum.heap_label.clone());
            line.extend(match minimum.completed {
                Some(bytes) => [1, 2, 3].map(|times| format_bytes(times * bytes)),
                None => {
                    let failed = format!("more than {}", format_bytes(minimum.failed));
                    [failed, "-".to_owned(), "-".to_owned()]
                }
            });
            lines.push(line);
        }
    }
    let header = header.into_iter().map(Cell::new).collect();
    let table = arrange(header, &lines, figures_from);
    let mut text = format!("{}\n\n", table.trim_fmt());
    for work in works(&minima) {
        text.push_str(&advice(work));
    }
    text.push_str(
        "Minimum heap: the smallest size at which a process has completed, to one per cent. Heaps \
         are compared at multiples of the largest.\n",
    );
    for line in results.outside() {
        text.push_str(&format!("{line}.\n"));
    }
    text
}

/// The heaps of one work: the search goes from work to work.
fn works(minima: &[Found]) -> impl Iterator<Item = &[Found]> {
    minima.chunk_by(|a, b| a.workload_label == b.workload_label && a.threads == b.threads)
}

/// At which sizes the heaps of a work can be compared: multiples of the largest minimum.
fn advice(work: &[Found]) -> String {
    let largest = work
        .iter()
        .filter_map(|minimum| Some((minimum.completed?, &minimum.heap_label)))
        .max();
    let (Some((bytes, heap)), Some(first)) = (largest, work.first()) else {
        return String::new();
    };
    let mebibytes = |times: u64| (times * bytes).div_ceil(1 << 20);
    let threads = match first.threads {
        1 => String::new(),
        threads => format!(" --threads {threads}"),
    };
    format!(
        "{}{threads}: {heap} needs most; twice that is --heap-size {}M, three times {}M\n",
        first.workload_label,
        mebibytes(2),
        mebibytes(3)
    )
}
