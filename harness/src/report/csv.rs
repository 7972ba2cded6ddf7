//! Comma-separated values: the same rows, one column a quantity, for spreadsheets.
//!
//! The columns are the same for every row, whatever its workload: parameters, options, observations and times by kind of event are one column each, as
//! `name=value name=value`. Left out is what has no flat form, such as distributions and logs; it is in the result file.

use serde_json::Value;

use crate::invocation::Row;

/// Writes the header before the first row.
#[derive(Debug, Default)]
pub struct Writer {
    columns: Vec<String>,
}

/// What has no flat form.
const LEFT_OUT: [&str; 14] = [
    "pause_histogram_ns",
    "pause_parts",
    "time_to_safepoint",
    "stalls",
    "utilisation",
    "latency",
    "reclamation_delay",
    "space",
    "timeline",
    "hiccup",
    "collections_log",
    "spans",
    "noisy",
    "environment",
];

impl Writer {
    /// The row as a line, with its line feed; the first time, with the header before it.
    pub fn line(&mut self, row: &Row) -> String {
        let mut writer = csv::Writer::from_writer(Vec::new());
        if self.columns.is_empty() {
            self.columns = columns(row);
            writer
                .write_record(&self.columns)
                .expect("memory does not fail");
        }
        let value = serde_json::to_value(row).expect("rows are JSON");
        let fields = self.columns.iter().map(|column| flat(&value[column]));
        writer
            .write_record(fields)
            .expect("every row has every column");
        let bytes = writer.into_inner().expect("memory does not fail");
        String::from_utf8(bytes).expect("made from strings")
    }
}

/// The names of a measured row's quantities, in the order of their declaration.
fn columns(row: &Row) -> Vec<String> {
    let mut row = row.clone();
    row.metrics.get_or_insert_default();
    let value = serde_json::to_value(row).expect("rows are JSON");
    let names = value.as_object().expect("rows are objects").keys();
    names
        .filter(|name| !LEFT_OUT.contains(&name.as_str()))
        .cloned()
        .collect()
}

fn flat(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Object(entries) => {
            let entries = entries
                .iter()
                .map(|(name, value)| format!("{name}={}", flat(value)));
            entries.collect::<Vec<_>>().join(" ")
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::invocation::{Invocation, Status};
    use crate::workload::Size;

    #[test]
    fn failed_rows_have_the_same_columns() {
        let invocation = Invocation {
            workload: "list".to_owned(),
            size: Size::Tiny,
            parameters: BTreeMap::from([("nodes".to_owned(), 5), ("rounds".to_owned(), 1)]),
            heap: "arena".to_owned(),
            options: BTreeMap::new(),
            heap_bytes: 1 << 20,
            threads: 1,
            seed: 42,
            iterations: 1,
            invocation: 1,
        };
        let row = Row::without_metrics(&invocation, 0, Status::HeapFull, "full, sadly".to_owned());
        let mut writer = Writer::default();
        let first = writer.line(&row);
        let (header, line) = first.trim_end().split_once('\n').unwrap();
        assert!(
            header.split(',').any(|column| column == "wall_ns"),
            "{header}"
        );
        assert!(
            line.contains("nodes=5 rounds=1") && line.contains("\"full, sadly\""),
            "{line}"
        );
        assert_eq!(writer.line(&row), format!("{line}\n"));
    }
}
