//! `harness doctor --aa TIME`: what a reviewer asks of verdicts. Equal things are compared for as
//! long as is given: each workload on each collector with itself, in the rounds and the order of a
//! comparison. How often a difference is found then is the rate of false alarms, and where their
//! intervals end is the smallest effect that would have been found ([`power`]).

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use engine::interrupt;
use engine::plan::{self, Cell, Plan, Selection};
use engine::report::quantity::percent;
use engine::results::{TIME, mean_of_process};
use engine::run;
use engine::statistics::power::{Power, power};
use engine::statistics::share;
use engine::workload::{self, Size};

/// Rounds that a comparison of the standard run has, or nearly so.
const ROUNDS: usize = 12;
/// What is compared with itself.
const HEAPS: [&str; 2] = ["gc-rc", "gc-marksweep"];

/// Measures for as long as is given, and says what that shows, a line each.
///
/// # Errors
///
/// A sentence: what cannot be run, or that the time was too short.
pub(super) fn study(
    known: &[workload::Description],
    time: Duration,
) -> Result<Vec<(&'static str, String)>, String> {
    let plan = plan(known)?;
    let began = Instant::now();
    // Of each pair, by round: the logarithm of the second series' time over the first's.
    let mut pairs: BTreeMap<usize, Vec<f64>> = BTreeMap::new();
    for round in 1.. {
        let mut times: BTreeMap<usize, f64> = BTreeMap::new();
        for cell in run::in_round(&plan, round) {
            if began.elapsed() >= time || interrupt::signal().is_some() {
                break;
            }
            let subject = &plan.cells[cell];
            let asked = subject.invocation(&plan, round);
            let Some(rows) = run::invoke(subject, &asked, plan.timeout, &|_| ()) else {
                break;
            };
            let time = mean_of_process(&rows, TIME);
            times.extend(time.map(|time| (cell, time.ln())));
        }
        // The second series follows the first in the plan.
        for (&cell, again) in times.iter().filter(|(cell, _)| plan.cells[**cell].twin) {
            if let Some(first) = times.get(&(cell - 1)) {
                pairs.entry(cell).or_default().push(again - first);
            }
        }
        if began.elapsed() >= time || interrupt::signal().is_some() {
            break;
        }
    }
    let pairs: Vec<Vec<f64>> = pairs.into_values().collect();
    let rounds = pairs.iter().map(Vec::len).min().unwrap_or(0);
    let power = power(&pairs, ROUNDS).ok_or_else(|| {
        format!(
            "{} is too short: {rounds} rounds were run, and one comparison has {ROUNDS}; give more",
            humantime::format_duration(time)
        )
    })?;
    Ok(in_words(&power, pairs.len(), rounds))
}

/// Every workload on both collectors, each twice.
fn plan(known: &[workload::Description]) -> Result<Plan, String> {
    let heaps = HEAPS.map(str::to_owned).to_vec();
    let selection = Selection::new(Vec::new(), heaps, Size::Small);
    let (cells, _) = plan::cells(known, &selection)?;
    let twice = cells.into_iter().enumerate().flat_map(|(group, cell)| {
        let again = Cell {
            twin: true,
            group,
            ..cell.clone()
        };
        [Cell { group, ..cell }, again]
    });
    Ok(Plan {
        iterations: 2,
        ..Plan::new(twice.collect(), Size::Small)
    })
}

fn in_words(power: &Power, pairs: usize, rounds: usize) -> Vec<(&'static str, String)> {
    let Power {
        runs,
        verdicts,
        false_alarms,
        runs_with_alarms,
        one,
        all,
    } = *power;
    let (low, high) = share::interval(false_alarms as u64, verdicts as u64, 0.95);
    vec![
        (
            "A/A",
            format!(
                "{pairs} pairs of equal things in {rounds} rounds, cut into {runs} comparisons of \
                 {ROUNDS} rounds each"
            ),
        ),
        (
            "false alarms",
            format!(
                "{false_alarms} of {verdicts} verdicts ({:.1} % to {:.1} %, 95 % interval), in \
                 {runs_with_alarms} of {runs} comparisons",
                100.0 * low,
                100.0 * high
            ),
        ),
        (
            "found 19 times in 20",
            format!(
                "a difference of {} in one workload, or of {} in all, by their mean",
                percent(one),
                percent(all)
            ),
        ),
    ]
}
