//! Which comparisons need no more rounds, because their intervals are narrow enough.
//!
//! A run that has a time to spend spends it on what is least sure: from [`LEAST`] rounds on, a
//! group whose ratios all lie within the wanted factor of their intervals' ends is run no more, and
//! its time goes to the others.
//!
//! Invariant: whether a group goes on depends on the *width* of its intervals alone, and never on
//! where they lie. For times that scatter alike on either side the two say nothing of each other,
//! so that stopping biases neither the figure nor the verdict (Chow and Robbins, *On the Asymptotic
//! Theory of Fixed-Width Sequential Confidence Intervals*, 1965).
//!
//! The width is estimated, too, and a group is first satisfied where the estimate happens to be
//! low. [`MORE`] rounds follow, which make up for it: on made data the ratio is then covered in
//! 94.7 % and the geometric mean in 95 to 97 %, and without them in 92.7 % and 88 to 91 %.
//!
//! Rejected: to stop when a verdict is there (whoever looks often enough sees an effect where there
//! is none); to give rounds by the distance from a decision (the same, in small).

use std::collections::BTreeMap;

use super::resume::Done;
use crate::invocation::Row;
use crate::plan::Plan;
use crate::results::{TIME, baseline_among, mean_of_process};
use crate::statistics::{Centre, Inference, Prior};

/// Rounds of every comparison: fewer say too little of how they scatter.
const LEAST: usize = 6;

/// Rounds that follow once a comparison is narrow enough.
const MORE: u32 = 4;

/// What has been measured so far, as far as it bears on that.
#[derive(Debug)]
pub(super) struct Precision {
    /// The factor, above 1; `None`: every round is run.
    wanted: Option<f64>,
    /// For each cell, the logarithm of the mean time of each round.
    times: Vec<BTreeMap<u32, f64>>,
    /// For each group, the round before which it was first narrow enough.
    since: BTreeMap<usize, u32>,
}

impl Precision {
    /// Of a plan, some of whose rows may be there already.
    pub(super) fn of(plan: &Plan, rows: &[Row]) -> Self {
        let mut precision = Self {
            wanted: plan.precision,
            times: vec![BTreeMap::new(); plan.cells.len()],
            since: BTreeMap::new(),
        };
        if plan.precision.is_some() {
            let mut processes: BTreeMap<(usize, u32), Vec<Row>> = BTreeMap::new();
            for row in rows {
                if let Some(index) = Done::cell(plan, row) {
                    let process = processes.entry((index, row.invocation.invocation));
                    process.or_default().push(row.clone());
                }
            }
            for ((index, _), rows) in processes {
                precision.note(index, &rows);
            }
        }
        precision
    }

    /// Takes note of one process of a cell.
    pub(super) fn note(&mut self, cell: usize, rows: &[Row]) {
        if let (Some(row), Some(time)) = (rows.first(), mean_of_process(rows, TIME)) {
            self.times[cell].insert(row.invocation.invocation, time.ln());
        }
    }

    /// For each group, whether it is run no more, from this round on.
    pub(super) fn satisfied(
        &mut self,
        plan: &Plan,
        groups: &[Vec<usize>],
        round: u32,
    ) -> Vec<bool> {
        let Some(wanted) = self.wanted else {
            return vec![false; groups.len()];
        };
        let centres: Vec<Vec<Centre>> = groups
            .iter()
            .map(|group| self.centres(plan, group))
            .collect();
        let inference = Inference::new(Prior::of(centres.iter().flatten()), 0.95);
        let is_narrow = |centre: &Centre| {
            let width = inference.ratio(centre).half_width();
            centre.n >= LEAST && width.is_some_and(|width| width <= wanted)
        };
        let narrow = centres.iter();
        let narrow = narrow.map(|centres| !centres.is_empty() && centres.iter().all(is_narrow));
        for (group, _) in narrow.enumerate().filter(|(_, is_narrow)| *is_narrow) {
            self.since.entry(group).or_insert(round);
        }
        let is_over = |group| {
            self.since
                .get(&group)
                .is_some_and(|since| since + MORE <= round)
        };
        (0..groups.len()).map(is_over).collect()
    }

    /// The group's ratios to its baseline. Those that verdicts are about: of what has a limit, and
    /// runs in every round.
    fn centres(&self, plan: &Plan, group: &[usize]) -> Vec<Centre> {
        let cell = |index: &usize| &plan.cells[*index];
        let labels = group.iter().map(|index| cell(index).heap_label.as_str());
        let baseline = group[baseline_among(labels)];
        let others = group.iter().filter(|index| {
            let cell = cell(index);
            **index != baseline && !cell.twin && cell.limited && cell.rounds.is_none()
        });
        let ratios = others.filter_map(|&index| {
            let pairs = self.times[index].iter();
            let pairs =
                pairs.filter_map(|(round, time)| Some(time - self.times[baseline].get(round)?));
            Centre::of(&pairs.collect::<Vec<f64>>())
        });
        ratios.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invocation::Metrics;
    use crate::plan::{self, Selection};
    use crate::workload::{self, Size};

    /// Two workloads on two heaps.
    fn plan() -> Plan {
        let workloads = vec!["list".to_owned(), "rings".to_owned()];
        let heaps = vec!["gc-rc".to_owned(), "gc-marksweep".to_owned()];
        let selection = Selection::new(workloads, heaps, Size::Tiny);
        let (cells, _) = plan::cells(&workload::standard(), &selection).unwrap();
        Plan {
            precision: Some(1.03),
            invocations: 20,
            ..Plan::new(cells, Size::Tiny)
        }
    }

    fn row(plan: &Plan, cell: usize, round: u32, wall_ns: u64) -> Row {
        let metrics = Metrics {
            wall_ns,
            ..Metrics::default()
        };
        Row::measured(&plan.cells[cell].invocation(plan, round), 1, metrics)
    }

    /// The first comparison scatters by a thousandth, the second by a third; where their ratios lie
    /// plays no part.
    #[test]
    fn what_is_narrow_enough_is_run_no_more_and_what_is_wide_goes_on() {
        for ratio in [1, 2] {
            let plan = plan();
            let groups = [vec![0, 1], vec![2, 3]];
            let mut precision = Precision::of(&plan, &[]);
            let mut rows = Vec::new();
            for round in 1..=LEAST as u32 {
                assert_eq!(precision.satisfied(&plan, &groups, round), [false, false]);
                let off = u64::from(round % 3);
                let times = [1000, ratio * 1000 + off, 1000, ratio * 1000 + 300 * off];
                for (cell, time) in times.into_iter().enumerate() {
                    rows.push(row(&plan, cell, round, time));
                    precision.note(cell, &rows[rows.len() - 1..]);
                }
            }
            // Narrow enough from the seventh round on, and then four more.
            let first = LEAST as u32 + 1;
            for round in first..first + MORE {
                assert_eq!(precision.satisfied(&plan, &groups, round), [false, false]);
            }
            assert_eq!(
                precision.satisfied(&plan, &groups, first + MORE),
                [true, false]
            );
            // The same of rows that were there already.
            let mut resumed = Precision::of(&plan, &rows);
            assert_eq!(resumed.satisfied(&plan, &groups, first), [false, false]);
            assert_eq!(
                resumed.satisfied(&plan, &groups, first + MORE),
                [true, false]
            );
        }
    }

    #[test]
    fn without_a_wanted_precision_every_round_is_run() {
        let plan = Plan {
            precision: None,
            ..plan()
        };
        let rows: Vec<Row> = (1..20)
            .flat_map(|round| [row(&plan, 0, round, 1000), row(&plan, 1, round, 500)])
            .collect();
        let mut precision = Precision::of(&plan, &rows);
        assert_eq!(precision.satisfied(&plan, &[vec![0, 1]], 100), [false]);
    }
}
