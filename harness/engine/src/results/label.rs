//! What workloads and heaps are called: what differs from the defaults is named, as it would be
//! typed.

use std::collections::{BTreeMap, BTreeSet};

use contract::shown::shown;

use crate::adapter::{self, Adapter, OVERHEAD_LIMIT_NAME, Settings};
use crate::invocation::{Invocation, Row};
use crate::workload;

/// For each peer, the programs that ran it, and the versions that they were of.
pub(super) type Programs = BTreeMap<String, BTreeSet<(String, String)>>;

fn program(invocation: &Invocation) -> Option<(String, String)> {
    let program = invocation.options.get("program")?;
    // Rows of older builds do not say it here.
    let version = invocation.options.get("version");
    Some((program.clone(), version.cloned().unwrap_or_default()))
}

pub(super) fn programs<'r>(rows: impl Iterator<Item = &'r Row>) -> Programs {
    let mut programs = Programs::new();
    for invocation in rows.map(|row| &row.invocation) {
        if let Some(program) = program(invocation) {
            let known = programs.entry(invocation.heap.clone()).or_default();
            known.insert(program);
        }
    }
    programs
}

pub(super) fn workload_label(row: &Row) -> String {
    let invocation = &row.invocation;
    let known = workload::describe(&workload::programs());
    let known = known
        .iter()
        .find(|workload| workload.name == invocation.workload);
    let parameter = |name: &str| {
        let mut parameters = known?.parameters.iter();
        parameters.find(|parameter| parameter.name == name)
    };
    let set = invocation.parameters.iter().filter_map(|(name, &value)| {
        let written = match parameter(name) {
            Some(parameter) if parameter.value(invocation.size) == value => return None,
            Some(parameter) => parameter.written(value),
            None => value.to_string(),
        };
        Some(format!("{name}={written}"))
    });
    let file = invocation.file.iter().map(|file| format!("file={file}"));
    with_settings(&invocation.workload, file.chain(set).collect())
}

pub(super) fn heap_label(row: &Row, programs: &Programs) -> String {
    let invocation = &row.invocation;
    let Ok(heap) = adapter::find(&invocation.heap) else {
        let mut settings = Vec::new();
        if let (Some(known), Some(own)) = (programs.get(&invocation.heap), program(invocation)) {
            let others = || known.iter().filter(|other| **other != own);
            if others().count() > 0 {
                settings.push(own.0.clone());
            }
            if others().any(|(program, _)| *program == own.0) {
                settings.push(own.1.clone());
            }
        }
        return with_settings(&invocation.heap, settings);
    };
    let options = heap.options();
    let is_default = |name: &str, value: &str| {
        let mut options = options.iter();
        options.any(|option| option.name == name && option.default == value)
    };
    let set = invocation.options.iter();
    let set = set
        .filter(|(name, value)| !is_default(name, value))
        .filter(|(name, value)| invocation.invocation > 0 || !is_of_every_attempt(name, value))
        .map(|(name, value)| format!("{name}={value}"));
    with_settings(&invocation.heap, set.collect())
}

/// `NAME`, or `NAME:setting,...`. In one line: it may come from anybody's file.
fn with_settings(name: &str, settings: Vec<String>) -> String {
    if settings.is_empty() {
        shown(name)
    } else {
        shown(format!("{name}:{}", settings.join(",")))
    }
}

/// Whether the limit applies to the row's heap. Peers, and heaps that this program does not know,
/// are taken to have one.
pub(super) fn is_limited(row: &Row) -> bool {
    struct Limited<'s>(&'s Settings);
    impl adapter::Visitor for Limited<'_> {
        type Output = bool;
        fn visit<A: Adapter>(self) -> bool {
            A::capabilities(self.0).limited
        }
    }
    let invocation = &row.invocation;
    let Ok(heap) = adapter::find(&invocation.heap) else {
        return true;
    };
    let mut settings = Settings::of(heap, invocation.heap_bytes);
    for (name, value) in &invocation.options {
        // Options that have gone since the row was written change nothing here.
        let _ = settings.set(heap, name, value);
    }
    adapter::visit(heap.name, &settings, Limited(&settings)).unwrap_or(true)
}

/// Whether every attempt of a search for the smallest heap has this option, whatever was asked for.
fn is_of_every_attempt(name: &str, value: &str) -> bool {
    name == OVERHEAD_LIMIT_NAME && value == "off"
}
