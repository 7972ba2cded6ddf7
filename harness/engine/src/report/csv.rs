//! Comma-separated values: the same rows, one column a quantity, for spreadsheets.
//!
//! The columns are the same for every row, whatever its workload. A distribution is its count, its
//! maximum and the percentiles that it has enough samples for; the means and peaks of space are a
//! column each. What has other names from row to row is one column, as `name=value name=value`:
//! parameters, options, observations, times by kind of event, parts of pauses, stalls and
//! latencies. Left out is what has no flat form, the logs and curves; it is in the result file.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::invocation::{Distribution, Row};

/// Writes the header before the first row.
#[derive(Debug, Default)]
pub struct Writer {
    columns: Vec<String>,
}

/// What has no flat form.
const LEFT_OUT: [&str; 6] = [
    "pause_histogram_ns",
    "utilisation",
    "timeline",
    "collections_log",
    "spans",
    "environment",
];

/// The percentiles of a distribution, and what they are called.
const PERCENTILES: [(&str, f64); 4] = [
    ("p50_ns", 0.5),
    ("p90_ns", 0.9),
    ("p99_ns", 0.99),
    ("p999_ns", 0.999),
];

impl Writer {
    /// The row as a line, with its line feed; the first time, with the header before it.
    pub fn line(&mut self, row: &Row) -> String {
        let mut writer = csv::Writer::from_writer(Vec::new());
        if self.columns.is_empty() {
            let mut measured = row.clone();
            measured.metrics.get_or_insert_default();
            self.columns = fields(&measured)
                .into_iter()
                .map(|(name, _)| name)
                .collect();
            writer
                .write_record(&self.columns)
                .expect("memory does not fail");
        }
        let mut fields: BTreeMap<String, String> = fields(row).into_iter().collect();
        let columns = self.columns.iter();
        writer
            .write_record(columns.map(|column| fields.remove(column).unwrap_or_default()))
            .expect("every row has every column");
        let bytes = writer.into_inner().expect("memory does not fail");
        String::from_utf8(bytes).expect("made from strings")
    }
}

/// The row's quantities, in the order of their declaration.
fn fields(row: &Row) -> Vec<(String, String)> {
    let value = serde_json::to_value(row).expect("rows are JSON");
    let quantities = value.as_object().expect("rows are objects");
    let mut fields = Vec::new();
    for (name, value) in quantities {
        match (name.as_str(), value) {
            (name, _) if LEFT_OUT.contains(&name) => {}
            ("space", Value::Object(space)) => {
                fields.extend(
                    space
                        .iter()
                        .map(|(part, value)| (format!("{name}_{part}"), flat(value))),
                );
            }
            (_, Value::Object(entries)) => {
                if let Some(summary) = summary(value) {
                    // The longest of a stop, which waits for all threads, has that name.
                    let name = match name.as_str() {
                        "time_to_safepoint" => "time_to_safepoint_of_threads",
                        name => name,
                    };
                    let summary = summary.into_iter();
                    fields.extend(summary.map(|(part, value)| (format!("{name}_{part}"), value)));
                } else {
                    let entries = entries
                        .iter()
                        .flat_map(|(entry, value)| named(entry, value));
                    fields.push((name.clone(), entries.collect::<Vec<_>>().join(" ")));
                }
            }
            (_, Value::Array(items)) => {
                let items: Vec<String> = items.iter().map(flat).collect();
                fields.push((name.clone(), items.join("; ")));
            }
            _ => fields.push((name.clone(), flat(value))),
        }
    }
    fields
}

/// An entry of a map as `name=value`; one that has parts, each of them.
fn named(name: &str, value: &Value) -> Vec<String> {
    if let Some(summary) = summary(value) {
        let parts = summary.iter().filter(|(_, value)| !value.is_empty());
        return parts
            .map(|(part, value)| format!("{name}_{part}={value}"))
            .collect();
    }
    match value {
        Value::Object(parts) => parts
            .iter()
            .map(|(part, value)| format!("{name}_{part}={}", flat(value)))
            .collect(),
        value => vec![format!("{name}={}", flat(value))],
    }
}

/// What a distribution comes to; `None` if the value is none.
fn summary(value: &Value) -> Option<Vec<(&'static str, String)>> {
    value.get("histogram_ns")?;
    let distribution: Distribution = serde_json::from_value(value.clone()).ok()?;
    let text = |value: Option<u64>| value.map_or(String::new(), |value| value.to_string());
    let mut summary = vec![("count", distribution.count.to_string())];
    summary.extend(
        PERCENTILES.map(|(name, quantile)| (name, text(distribution.percentile(quantile)))),
    );
    let longest = (!distribution.is_empty()).then_some(distribution.max_ns);
    summary.push(("max_ns", text(longest)));
    Some(summary)
}

fn flat(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::invocation::{Invocation, Metrics, Status};
    use crate::workload::Size;

    #[test]
    fn failed_rows_have_the_same_columns() {
        let invocation = Invocation {
            workload: "list".to_owned(),
            size: Size::Tiny,
            parameters: BTreeMap::from([("nodes".to_owned(), 5), ("rounds".to_owned(), 1)]),
            file: None,
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

    #[test]
    fn distributions_and_maps_are_flat() {
        let invocation = Invocation {
            workload: "requests".to_owned(),
            size: Size::Tiny,
            parameters: BTreeMap::new(),
            file: None,
            heap: "gc-rc".to_owned(),
            options: BTreeMap::from([("cycle".to_owned(), "none".to_owned())]),
            heap_bytes: 1 << 20,
            threads: 1,
            seed: 42,
            iterations: 1,
            invocation: 1,
        };
        let metrics = Metrics {
            hiccup: Distribution::of((1..=40).map(|n| n * 10)),
            latency: BTreeMap::from([("simple".to_owned(), Distribution::of([7, 9]))]),
            ..Metrics::default()
        };
        let row = Row::measured(&invocation, 1, metrics);
        let text = Writer::default().line(&row);
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        let header = reader.headers().unwrap().clone();
        let record = reader.records().next().unwrap().unwrap();
        let field = |name: &str| {
            let index = header.iter().position(|column| column == name);
            record[index.unwrap_or_else(|| panic!("no {name} in {header:?}"))].to_owned()
        };
        let distinct: BTreeSet<&str> = header.iter().collect();
        assert_eq!(distinct.len(), header.len(), "{header:?}");
        assert_eq!(field("hiccup_count"), "40");
        assert_eq!(
            (field("hiccup_p50_ns"), field("hiccup_p99_ns")),
            ("200".to_owned(), String::new())
        );
        assert_eq!(field("hiccup_max_ns"), "400");
        assert_eq!(field("latency"), "simple_count=2 simple_max_ns=9");
        assert_eq!(field("options"), "cycle=none");
        assert_eq!(field("time_to_safepoint_of_threads_max_ns"), "");
        assert_eq!(field("space_mean_live_bytes"), "");
    }
}
