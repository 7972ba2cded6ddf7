//! How many processes fit into the time that a run may take.

use std::time::Duration;

use crate::plan::Plan;

/// Which groups still fit into the time there is.
///
/// At least two processes of each cell that is run at all: one proves nothing. So the first round
/// takes groups in only as long as twice what they took fits; what does not is left out, and said.
/// Where nothing may be left out two rounds are run of all, however long they take. Later rounds
/// take whatever still fits.
#[derive(Debug)]
pub(super) struct Budget {
    limit: Option<Duration>,
    /// Whether groups may be left out.
    selects: bool,
    /// For each group, how long its rounds took.
    took: Vec<Vec<Duration>>,
    dropped: usize,
}

/// Processes of each cell that a budget runs in any case.
const AT_LEAST: u32 = 2;

impl Budget {
    pub(super) fn new(limit: Option<Duration>, selects: bool, groups: usize) -> Self {
        Self {
            limit,
            selects,
            took: vec![Vec::new(); groups],
            dropped: 0,
        }
    }

    /// Whether the group is run in this round, when so much time has passed since the beginning.
    pub(super) fn allows(&mut self, elapsed: Duration, round: u32, group: usize) -> bool {
        let Some(limit) = self.limit else { return true };
        if group + self.dropped >= self.took.len() {
            return false;
        }
        if round == 1 {
            // Each round that was run once must be run once more.
            let once: Duration = self.took.iter().flatten().sum();
            let usual = if group > 0 {
                once / group as u32
            } else {
                Duration::ZERO
            };
            if self.selects
                && group > 0
                && elapsed + once * (AT_LEAST - 1) + usual * AT_LEAST > limit
            {
                self.dropped = self.took.len() - group;
                return false;
            }
            return true;
        }
        let took = &self.took[group];
        let total: Duration = took.iter().sum();
        round <= AT_LEAST || elapsed + total / (took.len().max(1) as u32) <= limit
    }

    pub(super) fn spent(&mut self, group: usize, time: Duration) {
        self.took[group].push(time);
    }

    /// What was not run for want of time, in words.
    pub(super) fn left_out(&self, groups: &[Vec<usize>], plan: &Plan) -> Option<String> {
        let limit = self.limit?;
        let kept = groups.len() - self.dropped;
        let mut names: Vec<String> = Vec::new();
        for group in &groups[kept..] {
            let name = plan.cells[group[0]].work_in_words();
            if !names.contains(&name) {
                names.push(name);
            }
        }
        let limit = humantime::format_duration(limit);
        let rounds = |group: &Vec<Duration>| group.len();
        let least = self.took[..kept].iter().map(rounds).min().unwrap_or(0);
        let most = self.took[..kept].iter().map(rounds).max().unwrap_or(0);
        let processes = if least == most {
            format!("{least}")
        } else {
            format!("{least} to {most}")
        };
        let ran = format!("Budget of {limit}: {processes} processes for each pair");
        Some(if names.is_empty() {
            format!("{ran}, nothing left out")
        } else {
            format!("{ran}; left out: {}", names.join(", "))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_runs_two_of_each_or_leaves_the_group_out() {
        let seconds = Duration::from_secs;
        let mut budget = Budget::new(Some(seconds(20)), true, 5);
        let mut ran = Vec::new();
        for group in 0..5 {
            if budget.allows(seconds(3 * ran.len() as u64), 1, group) {
                ran.push(group);
                budget.spent(group, seconds(3));
            }
        }
        // With a third group two rounds are 18 seconds; with a fourth they would be 24.
        assert_eq!(ran, [0, 1, 2]);
        assert!(budget.allows(seconds(9), 2, 0) && budget.allows(seconds(15), 2, 2));
        assert!(!budget.allows(seconds(9), 2, 3));
        assert!(budget.allows(seconds(17), 3, 0) && !budget.allows(seconds(18), 3, 0));

        let mut budget = Budget::new(Some(seconds(20)), true, 1);
        assert!(
            budget.allows(seconds(30), 1, 0),
            "something is run in any case"
        );
        budget.spent(0, seconds(30));
        assert!(budget.allows(seconds(60), 2, 0), "and a second time");
        assert!(!budget.allows(seconds(90), 3, 0));
        assert!(Budget::new(None, true, 1).allows(seconds(1000), 1000, 0));
    }

    #[test]
    fn where_nothing_may_be_left_out_two_of_each_are_run() {
        let seconds = Duration::from_secs;
        let mut budget = Budget::new(Some(seconds(4)), false, 3);
        for round in 1..=2 {
            for group in 0..3 {
                assert!(budget.allows(seconds(30), round, group));
                budget.spent(group, seconds(10));
            }
        }
        assert!(!budget.allows(seconds(60), 3, 0));
    }
}
