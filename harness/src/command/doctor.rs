//! `harness doctor`: how far results from this machine can be trusted; what moves figures here,
//! what can be compared, and how much two equal things differ.
//!
//! Two measurements, some seconds together. A *sleeper* that touches no heap asks for a millisecond
//! at a time and sees how late it is woken: the floor of every pause, whatever the collector does
//! (after jHiccup). And an *A/A comparison*: one workload on one heap in two interleaved series of
//! processes, whose ratio differs from 1 by the machine's doing alone.
//!
//! With `--aa` equal things are compared for longer, and by every workload ([`aa`]).
//!
//! Judgements are words, each with the figure it rests on and what can be done. Nothing here is a
//! test that fails: a noisy machine gives wide intervals, which say so themselves.

mod aa;

use std::fmt::Write as _;
use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;

use super::{Command, Context, Examples, list, print};
use crate::arguments::time;
use engine::environment::{self, Environment};
use engine::interrupt;
use engine::invocation::{Row, Status, format_bytes};
use engine::message::Error;
use engine::peer::{self, Search};
use engine::plan::{self, Cell, Plan, Selection};
use engine::report::quantity::{format_ratio, format_time, percent};
use engine::results::{Group, Results};
use engine::run;
use engine::statistics::Estimate;
use engine::workload::{self, Size};

/// What the A/A comparison runs, if the program has it.
const WORKLOAD: &str = "binary-trees";
const HEAP: &str = "gc-marksweep";
/// Processes in each of the two series.
const PROCESSES: u32 = 6;
/// How long the sleeper is watched.
const WATCH: Duration = Duration::from_secs(2);
/// What it asks for.
const SLEEP: Duration = Duration::from_millis(1);

/// Say how far results from this machine can be trusted
#[derive(Debug, Args)]
pub(crate) struct Doctor {
    /// Compare equal things for so long, and say how often a difference is found and how large one
    /// must be to be found; about a minute for each 15 rounds
    #[arg(long, value_name = "TIME", value_parser = time)]
    aa: Option<Duration>,
}

impl Command for Doctor {
    const NAME: &'static str = "doctor";
    const EXAMPLES: Examples = &[
        ("doctor", "how far results from this machine can be trusted"),
        (
            "doctor --aa 10m",
            "how often verdicts are wrong here, and what they find",
        ),
    ];

    fn run(self, context: &Context) -> Result<bool, Error> {
        interrupt::install();
        if let Some(time) = self.aa {
            context.tell("comparing equal things ...");
            let found = unless_interrupted(aa::study(&context.workloads, time))?;
            let mut text = String::new();
            for (name, value) in found {
                entry(&mut text, name, &value);
            }
            return print(&text);
        }
        let environment = environment::read();
        print(&(machine(&environment) + &runtimes()))?;
        context.tell("measuring the noise, some seconds ...");
        let late = sleeper(WATCH);
        let same = unless_interrupted(same_over_same(&context.workloads))?;
        let mut text = String::from("\nNoise\n");
        entry(&mut text, "sleeper", &in_words(&late));
        let words = match &same {
            Some((name, ratio)) => format!("{name} over itself: {}", format_ratio(*ratio)),
            None => "could not be measured".to_owned(),
        };
        entry(&mut text, "A/A", &words);
        text.push_str("\nWhat that means\n");
        let ratio = same.map(|(_, ratio)| ratio);
        for line in judgement(&environment, &late, ratio, load()) {
            let _ = writeln!(text, "  - {line}");
        }
        print(&text)
    }
}

/// What was measured, unless the user has interrupted it: then that is why it is too little.
fn unless_interrupted<T>(measured: Result<T, String>) -> Result<T, Error> {
    match interrupt::signal() {
        Some(signal) => Err(Error::Interrupted {
            signal,
            message: "interrupted".to_owned(),
        }),
        None => measured.map_err(Error::NotRun),
    }
}

fn entry(text: &mut String, name: &str, value: &str) {
    let _ = writeln!(text, "  {name:<22}{value}");
}

/// What is written where nothing is known.
const UNKNOWN: &str = "the system does not say";

fn machine(environment: &Environment) -> String {
    let known = |value: &Option<String>| value.clone().unwrap_or_else(|| UNKNOWN.to_owned());
    let switch = |value: Option<bool>, on: &str, off: &str| match value {
        Some(true) => on.to_owned(),
        Some(false) => off.to_owned(),
        None => UNKNOWN.to_owned(),
    };
    let within = |all: String, limit: Option<String>| match limit {
        Some(limit) => format!("{all}, of which the control group allows {limit}"),
        None => all,
    };
    let cores = environment.cgroup_cores.as_ref().map(ToString::to_string);
    let bytes = environment.cgroup_memory_bytes.map(format_bytes);
    let memory = environment.memory_bytes.map(format_bytes);
    let mut text = String::from("Machine\n");
    for (name, value) in [
        ("processor", known(&environment.cpu)),
        ("cores", within(environment.cores.to_string(), cores)),
        (
            "virtual machine",
            switch(environment.virtual_machine, "yes", "no"),
        ),
        ("memory", within(known(&memory), bytes)),
        ("kernel", known(&environment.kernel)),
        ("governor", known(&environment.governor)),
        ("boost", switch(environment.boost, "on", "off")),
        ("huge pages", known(&environment.transparent_huge_pages)),
        (
            "address randomisation",
            known(&environment.address_randomisation),
        ),
        (
            "load, last minute",
            known(&load().map(|load| format!("{load:.2}"))),
        ),
        ("build", environment.build()),
    ] {
        entry(&mut text, name, &value);
    }
    if !environment.outside.is_empty() {
        entry(
            &mut text,
            "set from outside",
            &environment.outside_in_words(),
        );
    }
    text
}

/// Processes that wanted to run in the last minute, on average.
fn load() -> Option<f64> {
    let text = fs::read_to_string("/proc/loadavg").ok()?;
    text.split_whitespace().next()?.parse().ok()
}

fn runtimes() -> String {
    let mut text = String::from("\nRuntimes to compare with\n");
    let mut said = Vec::new();
    for (description, found) in peer::survey(&Search::default()) {
        let lines = list::lines(&found, "");
        // Collectors of one runtime are found together.
        if !said.contains(&lines) {
            let name = description.name.split('-').next().unwrap_or_default();
            lines.iter().for_each(|line| entry(&mut text, name, line));
            said.push(lines);
        }
    }
    text
}

/// By how much a thread that sleeps a millisecond at a time was woken too late, ascending, in
/// nanoseconds.
fn sleeper(watch: Duration) -> Vec<u64> {
    let mut late = Vec::new();
    let began = Instant::now();
    while began.elapsed() < watch && interrupt::signal().is_none() {
        let before = Instant::now();
        thread::sleep(SLEEP);
        late.push(before.elapsed().saturating_sub(SLEEP).as_nanos() as u64);
    }
    late.sort_unstable();
    late
}

fn at(sorted: &[u64], share: f64) -> Option<u64> {
    let last = sorted.len().checked_sub(1)?;
    Some(sorted[(last as f64 * share).round() as usize])
}

fn in_words(late: &[u64]) -> String {
    let words =
        |share: f64| at(late, share).map_or("-".to_owned(), |value| format_time(value as f64));
    format!(
        "{} sleeps of 1 ms ended late by {} (median), {} (99 %), {} (longest)",
        late.len(),
        words(0.5),
        words(0.99),
        words(1.0)
    )
}

/// One cell against itself: what it is, and the ratio. `None` if it could not be measured.
fn same_over_same(known: &[workload::Description]) -> Result<Option<(String, Estimate)>, String> {
    let names = known.iter().map(|workload| workload.name);
    let Some(workload) = names
        .clone()
        .find(|&name| name == WORKLOAD)
        .or(names.clone().next())
    else {
        return Ok(None);
    };
    let workloads = vec![workload.to_owned()];
    let selection = Selection::new(workloads, vec![HEAP.to_owned()], Size::Small);
    let (cells, _) = plan::cells(known, &selection)?;
    let again = Cell {
        twin: true,
        ..cells[0].clone()
    };
    let plan = Plan {
        invocations: PROCESSES,
        ..Plan::new(vec![cells[0].clone(), again], Size::Small)
    };
    let mut rows: Vec<Row> = Vec::new();
    for (invocation, cell) in run::in_rounds(&plan) {
        let cell = &plan.cells[cell];
        let asked = cell.invocation(&plan, invocation);
        let Some(mut made) = run::invoke(cell, &asked, plan.timeout, &|_| ()) else {
            return Ok(None);
        };
        for row in &mut made {
            row.twin = cell.twin;
        }
        if made.iter().any(|row| row.status != Status::Ok) {
            return Ok(None);
        }
        rows.append(&mut made);
    }
    let results = Results::of_rows(rows);
    let groups = results.groups();
    Ok(groups
        .first()
        .and_then(Group::same_over_same)
        .map(|ratio| (cells[0].to_string(), ratio)))
}

/// What to make of it, a line each.
fn judgement(
    environment: &Environment,
    late: &[u64],
    same: Option<Estimate>,
    load: Option<f64>,
) -> Vec<String> {
    let mut lines = Vec::new();
    if !environment.optimised {
        lines.push(
            "This program was built without optimisation: figures mean nothing. Use cargo run \
             --release."
                .to_owned(),
        );
    }
    lines.extend(same.and_then(Estimate::half_width).map(of_times));
    lines.extend(at(late, 0.99).zip(at(late, 1.0)).map(of_pauses));
    lines.extend(of_machine(environment));
    let load = load.filter(|&load| load > 0.5);
    lines.extend(load.map(|load| {
        format!("Something else was running: {load:.2} processes on average in the last minute.")
    }));
    lines.push(
        "Interleaved heaps suffer alike: ratios within one run hold better than times, and both \
         better than anything from another day."
            .to_owned(),
    );
    lines
}

/// How far apart a heap is from itself.
fn of_times(reach: f64) -> String {
    let word = match reach {
        reach if reach < 1.02 => "good",
        reach if reach < 1.05 => "fair",
        reach if reach < 1.15 => "poor",
        _ => "bad",
    };
    let advice = match reach {
        reach if reach < 1.05 => "more --invocations make it smaller",
        _ => "close what else runs, or give more --invocations",
    };
    format!(
        "Times: {word}. With {PROCESSES} processes a heap differs from itself by up to {}; smaller \
         effects will not be claimed; {advice}.",
        percent(reach)
    )
}

/// How late the sleeper was woken: in one of a hundred cases, and at worst.
fn of_pauses((p99, longest): (u64, u64)) -> String {
    let word = match p99 {
        p99 if p99 < 200_000 => "good",
        p99 if p99 < 1_000_000 => "fair",
        _ => "poor",
    };
    format!(
        "Pauses: {word}. A thread that does nothing is late by {} in one of a hundred cases and by \
         {} in the worst: shorter pauses cannot be told from the machine's own.",
        format_time(p99 as f64),
        format_time(longest as f64)
    )
}

/// What the machine and its settings do to figures.
fn of_machine(environment: &Environment) -> impl Iterator<Item = String> {
    let governor = environment.governor.as_deref();
    let huge_pages = environment.transparent_huge_pages.as_deref();
    let lines = [
        (!environment.outside.is_empty()).then(|| {
            format!(
                "Set from outside, for every process: {}. Figures hold for that; unset it to \
                 measure without.",
                environment.outside_in_words()
            )
        }),
        Some(match environment.cores {
            cores @ 2.. => format!(
                "Threads: up to {cores} run at once, collectors' workers included; with more of \
                 them, times say how the system shares its cores."
            ),
            _ => "One core: threads take turns; what a second thread gains cannot be seen.".into(),
        }),
        (environment.virtual_machine == Some(true)).then(|| {
            "A virtual machine: its neighbours take time that no counter here shows; interleaving \
             spreads it over all heaps."
                .into()
        }),
        governor
            .filter(|governor| *governor != "performance")
            .map(|governor| {
                format!(
                    "Governor {governor}: the clock follows the load; for steadier times: cpupower \
                 frequency-set -g performance."
                )
            }),
        (environment.boost == Some(true)).then(|| {
            "Boost is on: the clock depends on temperature and on what the other cores do.".into()
        }),
        (huge_pages == Some("always")).then(|| {
            "Huge pages are always on: a heap may get them at one time and not at another; madvise \
             lets each heap ask."
                .into()
        }),
    ];
    lines.into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn the_sleeper_is_never_early() {
        let late = sleeper(Duration::from_millis(20));
        assert!(!late.is_empty() && late.is_sorted());
        assert_eq!(at(&[], 0.5), None);
        assert_eq!(
            (at(&[1, 2, 3], 0.5), at(&[1, 2, 3], 1.0)),
            (Some(2), Some(3))
        );
    }

    #[test]
    fn judgements_rest_on_figures() {
        let steady = Environment {
            cores: 4,
            optimised: true,
            governor: Some("performance".to_owned()),
            ..Environment::default()
        };
        let same = |low: f64, high: f64| {
            Some(Estimate {
                value: 1.0,
                interval: Some((low, high)),
                n: 5,
            })
        };
        let good = judgement(&steady, &[50_000; 200], same(0.99, 1.01), Some(0.1)).join("\n");
        assert!(
            good.contains("Times: good") && good.contains("1.0 %"),
            "{good}"
        );
        assert!(
            good.contains("Pauses: good") && good.contains("50.0 us"),
            "{good}"
        );
        assert!(
            !good.contains("Governor") && !good.contains("virtual"),
            "{good}"
        );

        let shaky = Environment {
            cores: 1,
            virtual_machine: Some(true),
            governor: Some("powersave".to_owned()),
            boost: Some(true),
            transparent_huge_pages: Some("always".to_owned()),
            outside: BTreeMap::from([("MALLOC_ARENA_MAX".to_owned(), "1".to_owned())]),
            ..Environment::default()
        };
        let bad = judgement(&shaky, &[3_000_000; 200], same(0.8, 1.1), Some(3.0)).join("\n");
        for part in [
            "without optimisation",
            "Times: bad",
            "25 %",
            "Pauses: poor",
            "One core",
            "virtual machine",
            "powersave",
            "Boost",
            "Huge pages",
            "MALLOC_ARENA_MAX=1",
            "3.00 processes",
        ] {
            assert!(bad.contains(part), "no '{part}' in:\n{bad}");
        }
    }
}
