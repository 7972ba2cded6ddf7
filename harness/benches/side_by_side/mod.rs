//! What the benches of all heaps print besides Criterion's lines: before, what is compared; after,
//! the figures side by side.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use comfy_table::presets::ASCII_MARKDOWN;
use comfy_table::{CellAlignment, Table};
use criterion::Criterion;
use harness::adapter::HEAPS;
use serde_json::Value;

/// The columns whose ratio is the comparison.
const RATIO: [&str; 2] = ["gc-marksweep", "gc-rc"];

/// Where Criterion keeps its figures: where it would by default, said aloud, so that they can be
/// read.
fn figures() -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent();
    target.expect("the target directory").join("criterion")
}

/// Says what is compared, has `measure` measure the groups, and prints their figures.
pub(crate) fn compare(
    what: &str,
    criterion: Criterion,
    groups: &[&str],
    measure: impl FnOnce(&mut Criterion),
) {
    println!("\n{what}");
    println!(
        "Heaps: {}. Criterion's `time` is that of a whole iteration, its `thrpt` is in operations.",
        HEAPS
            .iter()
            .map(|heap| heap.name)
            .collect::<Vec<_>>()
            .join(", ")
    );
    println!("With `--quick`, each is measured for a tenth of a second or little more.\n");
    let begun = SystemTime::now();
    let mut criterion = criterion.output_directory(&figures()).configure_from_args();
    measure(&mut criterion);
    criterion.final_summary();

    let mut table = Table::new();
    table.load_style(ASCII_MARKDOWN);
    let mut header = vec!["ns an operation"];
    header.extend(HEAPS.iter().map(|heap| heap.name));
    let ratio = RATIO.join(" / ");
    header.push(&ratio);
    table.set_header(header);
    for column in 1..HEAPS.len() + 2 {
        let column = table.column_mut(column).expect("it is in the header");
        column.set_cell_alignment(CellAlignment::Right);
    }
    for group in groups {
        let each = |heap: &str| nanoseconds(group, heap, begun);
        let figures: Vec<_> = HEAPS.iter().map(|heap| each(heap.name)).collect();
        if figures.iter().all(Option::is_none) {
            continue;
        }
        let mut row = vec![(*group).to_owned()];
        let text = |figure: Option<f64>, unit| {
            figure.map_or_else(|| "-".to_owned(), |figure| format!("{figure:.2}{unit}"))
        };
        row.extend(figures.into_iter().map(|figure| text(figure, "")));
        let ratio = each(RATIO[0]).zip(each(RATIO[1]));
        row.push(text(ratio.map(|(one, other)| one / other), "x"));
        table.add_row(row);
    }
    if table.row_count() > 0 {
        println!("{table}\n");
    }
}

/// Time an operation, if it has been measured since `begun`.
fn nanoseconds(group: &str, heap: &str, begun: SystemTime) -> Option<f64> {
    let directory = figures().join(group).join(heap).join("new");
    let read = |name: &str| -> Option<Value> {
        let path = directory.join(name);
        if path.metadata().ok()?.modified().ok()? < begun {
            return None;
        }
        serde_json::from_slice(&std::fs::read(path).ok()?).ok()
    };
    let estimates = read("estimates.json")?;
    // The slope where iterations were few and many by turns, else the mean.
    let estimate = ["slope", "mean"]
        .iter()
        .find_map(|name| estimates[name]["point_estimate"].as_f64());
    let operations = read("benchmark.json")?["throughput"]["Elements"].as_f64()?;
    Some(estimate? / operations)
}
