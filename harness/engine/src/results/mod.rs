//! Rows grouped into cells: what every table, plot and conclusion is made of.
//!
//! A row is the source of truth, and this is the only place where rows become anything else.
//! Whether they come from a run that has just ended, from a file of last year or from several
//! machines makes no difference: a report that could only be made by the process that measured
//! could not be checked by anyone.
//!
//! * A *cell* is one workload with its parameters, seed and threads on one heap with its options
//!   and limit, on one machine. Its rows are sorted into *attempts*, the iterations of one process.
//! * A *group* is the cells that did the same work within the same heap bytes: they are compared
//!   with each other.
//! * A *work* is the groups that differ in nothing but the heap bytes: a sweep.
//!
//! A process that ended without figures, and was run again when its run was gone on with, is
//! represented by the newer attempt.
//!
//! Invariants: a cell has at least one row; every attempt is complete (it has all its iterations,
//! or ends with a row that says why not); cells, groups and works are in the order in which their
//! first rows were written.
//!
//! Rejected: keeping the plan beside the rows and indexing both (as a run in progress does): files
//! would then need the plan too, and a merged file has many. Labels are therefore derived: what
//! differs from the defaults of the size is named, which is what a user types.

mod attempt;
mod cell;
mod file;
mod group;
mod label;
mod minimum;

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::Hash;
use std::path::Path;

use contract::shown::shown;

use crate::environment::Environment;
use crate::invocation::Row;
use crate::peer;
use crate::statistics::family::{self, FALSE_DISCOVERIES};
use crate::statistics::{Centre, Estimate, Inference, Prior, Verdict};
use attempt::complete_attempts;
pub use attempt::is_complete;
use cell::CellKey;
pub use cell::{CellResults, mean_of_process};
pub use file::read_rows;
pub use group::{BASELINE, Group, Metric, TIME, opponents};
pub(crate) use group::{baseline_among, centre};
use label::programs;
pub use minimum::Found;

/// Rows grouped into cells, from a run just made or from result files: what every report is made
/// of.
#[derive(Clone, Debug, Default)]
pub struct Results {
    /// In order of first appearance; twins ([`CellResults::is_twin`]) among them.
    pub cells: Vec<CellResults>,
    /// What was run for experiments, in order of first appearance: claims are judged by it, and no
    /// comparison has it.
    pub experiments: Vec<CellResults>,
    /// Attempts of a search for the smallest heap ([`crate::minheap`]): they answer whether a size
    /// completes, and are no measurements.
    pub trials: Vec<Row>,
    /// What a reader should know about the file, a line each.
    pub notes: Vec<String>,
    /// How intervals of time ratios are made, once somebody has asked.
    timing: OnceCell<Inference>,
}

impl Results {
    /// Reads a result file and groups its rows.
    ///
    /// # Errors
    ///
    /// One line, as [`read_rows`] gives it, or that there are no rows in the file.
    pub fn of_file(path: &Path) -> Result<Self, String> {
        let (rows, notes) = read_rows(path)?;
        if rows.is_empty() {
            return Err(format!(
                "{} has no rows: no process of that run had ended; measure again, or choose \
                 another file",
                shown(path)
            ));
        }
        let mut results = Self::of_rows(rows);
        results.notes.splice(0..0, notes);
        Ok(results)
    }

    /// Groups rows. Iterations of attempts that were interrupted are left out, and a note says how
    /// many.
    pub fn of_rows(mut rows: Vec<Row>) -> Self {
        for row in &mut rows {
            row.void_without_time();
            // Rows of earlier versions have pauses of the collector alone.
            if !peer::tells_pauses(&row.invocation.heap) {
                let metrics = row.metrics.iter_mut();
                metrics.for_each(|metrics| metrics.forget_pauses());
            }
        }
        let (trials, rows): (Vec<Row>, Vec<Row>) =
            (rows.into_iter()).partition(|row| row.invocation.invocation == 0);
        let programs = programs(rows.iter());
        let (mut left_out, mut replaced) = (0, 0);
        let (mut cells, mut experiments) = (Vec::new(), Vec::new());
        for (key, rows) in by_key(rows, CellKey::of) {
            let sorted = complete_attempts(rows);
            left_out += sorted.left_out;
            replaced += sorted.replaced;
            let complete = sorted.rows;
            if !complete.is_empty() {
                let cells = if key.experiment {
                    &mut experiments
                } else {
                    &mut cells
                };
                cells.push(CellResults::of(complete, &programs));
            }
        }
        let mut notes = Vec::new();
        match left_out {
            0 => {}
            1 => notes.push("1 row of an interrupted process is left out".to_owned()),
            rows => notes.push(format!("{rows} rows of interrupted processes are left out")),
        }
        match replaced {
            0 => {}
            1 => notes.push("1 process that had failed was run again".to_owned()),
            more => notes.push(format!("{more} processes that had failed were run again")),
        }
        Self {
            cells,
            experiments,
            trials,
            notes,
            ..Self::default()
        }
    }

    /// Cells that did the same work within the same heap bytes on the same machine: they are
    /// compared with each other.
    pub fn groups(&self) -> Vec<Group<'_>> {
        let key = |cell: &&CellResults| (cell.work_key(), cell.heap_bytes());
        let groups = by_key(&self.cells, key).into_iter().map(|(_, cells)| {
            let (twins, cells) = cells.into_iter().partition(|cell| cell.is_twin());
            Group {
                cells,
                twins,
                results: self,
            }
        });
        // A twin whose first series is missing is compared with nothing.
        groups.filter(|group| !group.cells.is_empty()).collect()
    }

    /// The groups that differ in nothing but the heap bytes, ascending: a sweep.
    pub fn works(&self) -> Vec<Vec<Group<'_>>> {
        let works = by_key(self.groups(), |group| group.cells[0].work_key());
        let works = works.into_iter().map(|(_, mut groups)| {
            groups.sort_by_key(|group| group.cells[0].heap_bytes());
            groups
        });
        works.collect()
    }

    /// How intervals of a metric's ratios are made: moderated over all comparisons of the run,
    /// calibrated by its A/A pairs, and as sure as its verdicts need.
    pub fn inference(&self, metric: Metric) -> Inference {
        self.noise(metric).at(self.timing().confidence())
    }

    /// [`Self::inference`] of times, which most of a report asks for. Its verdicts say how sure all
    /// intervals of these comparisons are ([`family`]); claims are a family of their own, for what
    /// is sure of them would lend the comparisons verdicts that are none.
    pub fn timing(&self) -> Inference {
        *self.timing.get_or_init(|| {
            let timing = self.noise(TIME);
            let groups = self.groups();
            let centres = groups.iter().flat_map(|group| group.centres(TIME));
            let centres: Vec<Centre> = centres.collect();
            timing.at(family::confidence(centres.len(), |confidence| {
                let at = timing.at(confidence);
                let verdicts = centres.iter().map(|centre| Verdict::of(at.ratio(centre)));
                verdicts.filter(|verdict| verdict.is_decided()).count()
            }))
        })
    }

    /// The geometric mean of a metric's ratios to the baselines, and of how many there are.
    pub fn mean<'p>(
        &self,
        pairs: impl IntoIterator<Item = (&'p Group<'p>, &'p CellResults)>,
        metric: Metric,
    ) -> Option<(Estimate, usize)> {
        let centres = pairs.into_iter();
        let centres = centres.filter_map(|(group, cell)| group.centre(cell, metric));
        let centres: Vec<Centre> = centres.collect();
        Some((self.inference(metric).mean(&centres)?, centres.len()))
    }

    fn noise(&self, metric: Metric) -> Inference {
        let groups = self.groups();
        let pairs = groups.iter().flat_map(|group| group.centres(metric));
        let same = groups.iter().filter_map(|group| group.same_centre(metric));
        let (pairs, same): (Vec<Centre>, Vec<Centre>) = (pairs.collect(), same.collect());
        let prior = Prior::of(pairs.iter().chain(&same));
        Inference::new(prior, 1.0 - FALSE_DISCOVERIES).calibrated(&same)
    }

    /// Every row that was measured, of comparisons and of experiments.
    pub fn rows(&self) -> impl Iterator<Item = &Row> {
        let cells = self.cells.iter().chain(&self.experiments);
        cells.flat_map(|cell| &cell.rows)
    }

    /// Where the rows were made: each machine, revision and build once, in order of first
    /// appearance. What differs only in the command line, or in the peer, is one.
    pub fn environments(&self) -> Vec<&Environment> {
        let mut found: Vec<&Environment> = Vec::new();
        let rows = self.rows().chain(&self.trials);
        for environment in rows.filter_map(|row| row.environment.as_ref()) {
            if !found.iter().any(|known| known.is_like(environment)) {
                found.push(environment);
            }
        }
        found
    }

    /// What was set from outside, a line each: what reached every process, and what was not passed
    /// on to a runtime.
    pub fn outside(&self) -> Vec<String> {
        let environments = self.environments().into_iter();
        let settings = environments
            .filter(|environment| !environment.outside.is_empty())
            .map(|environment| format!("set from outside: {}", environment.outside_in_words()));
        settings.chain(self.not_passed_on()).collect()
    }

    /// A line for each runtime that had settings in the environment which were not passed on to it.
    pub fn not_passed_on(&self) -> Vec<String> {
        let mut found: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for row in self.rows().chain(&self.trials) {
            let environment = row.environment.as_ref();
            let peer = environment.and_then(|environment| environment.peer.as_ref());
            let Some(peer) = peer.filter(|peer| !peer.cleared.is_empty()) else {
                continue;
            };
            let runtime = peer::runtime_of(&row.invocation.heap);
            let names = found.entry(runtime).or_default();
            names.extend(peer.cleared.iter().map(String::as_str));
        }
        let lines = found.into_iter().map(|(runtime, names)| {
            let names: Vec<String> = names.into_iter().map(str::to_owned).collect();
            peer::not_passed_on(runtime, &names)
        });
        lines.collect()
    }
}

/// Values by their keys, in order of first appearance.
fn by_key<K: Clone + Eq + Hash, T>(
    values: impl IntoIterator<Item = T>,
    key: impl Fn(&T) -> K,
) -> Vec<(K, Vec<T>)> {
    let mut places = HashMap::new();
    let mut found: Vec<(K, Vec<T>)> = Vec::new();
    for value in values {
        let key = key(&value);
        let at = *places.entry(key.clone()).or_insert_with(|| {
            found.push((key, Vec::new()));
            found.len() - 1
        });
        found[at].1.push(value);
    }
    found
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::fixture::{processes, row};
    use crate::invocation::{SCHEMA, Status};
    use crate::report;

    fn with(rows: Vec<Row>, change: impl Fn(&mut Row)) -> Vec<Row> {
        let mut rows = rows;
        rows.iter_mut().for_each(change);
        rows
    }

    #[test]
    fn cells_and_groups_are_in_the_order_of_their_rows() {
        let twin = with(processes("gc-rc", &[11, 9]), |row| row.twin = true);
        let larger = with(processes("arena", &[5]), |row| {
            row.invocation.heap_bytes *= 2
        });
        let rows = [
            processes("arena", &[5, 5]),
            processes("gc-rc", &[10, 10]),
            twin,
            larger,
        ];
        let results = Results::of_rows(rows.concat());
        let labels: Vec<_> = (results.cells.iter())
            .map(|cell| (cell.heap_label(), cell.is_twin(), cell.heap_bytes() >> 20))
            .collect();
        assert_eq!(
            labels,
            [
                ("arena", false, 8),
                ("gc-rc", false, 8),
                ("gc-rc", true, 8),
                ("arena", false, 16)
            ]
        );
        let groups = results.groups();
        assert_eq!(groups.len(), 2);
        assert_eq!((groups[0].cells.len(), groups[0].twins.len()), (2, 1));
        assert_eq!(groups[0].baseline().heap_label(), "gc-rc");
        assert_eq!(groups[0].ratio(groups[0].cells[0]).unwrap().value, 0.5);
        let same = groups[0].same_over_same().unwrap().value;
        // Round by round: 11 to 10, and 9 to 10.
        assert!((same - (1.1 * 0.9_f64).sqrt()).abs() < 1e-12, "{same}");
        assert_eq!(groups[1].baseline().heap_label(), "arena");
        assert_eq!(groups[1].same_over_same(), None);
        let works = results.works();
        assert_eq!((works.len(), works[0].len()), (1, 2));
        assert_eq!(results.cells[0].workload_label(), "list:nodes=77");
        assert_eq!(results.cells[1].times(), [[10.0], [10.0]]);
    }

    #[test]
    fn interrupted_processes_are_left_out_and_said() {
        let mut rows = processes("gc-rc", &[10]);
        rows.push(row("gc-rc", 2, 0, 20));
        // Begun again after the interruption.
        rows.extend([row("gc-rc", 2, 0, 20), row("gc-rc", 2, 1, 12)]);
        let results = Results::of_rows(rows);
        assert_eq!(results.cells[0].times(), [[10.0], [12.0]]);
        assert_eq!(
            results.notes,
            ["1 row of an interrupted process is left out"]
        );
    }

    #[test]
    fn a_process_that_was_run_again_stands_for_the_one_that_failed() {
        let failed = |number: u32, iteration: u32, status: Status| Row {
            status,
            metrics: None,
            ..row("gc-rc", number, iteration, 1)
        };
        let again = |number: u32, time: u64| {
            let rows = vec![
                row("gc-rc", number, 0, 2 * time),
                row("gc-rc", number, 1, time),
            ];
            with(rows, |row| row.again = true)
        };
        let rows = vec![
            failed(1, 0, Status::Crashed),
            row("gc-rc", 2, 0, 20),
            failed(2, 1, Status::Timeout),
            failed(3, 0, Status::Timeout),
        ];
        // The third fails a second time.
        let third = with(vec![failed(3, 0, Status::Crashed)], |row| row.again = true);
        let resumed = [rows.clone(), again(1, 10), again(2, 12), third].concat();
        let results = Results::of_rows(resumed.clone());
        assert_eq!(results.cells[0].times(), [[10.0], [12.0]]);
        assert_eq!(results.cells[0].failure().unwrap().status, Status::Crashed);
        assert_eq!(
            results.notes,
            ["3 processes that had failed were run again"]
        );

        let results = Results::of_rows([resumed, again(3, 14)].concat());
        assert_eq!(results.cells[0].times(), [[10.0], [12.0], [14.0]]);
        assert_eq!(results.cells[0].failure(), None);

        // Another run's process of the same number hides no failure.
        let appended = Results::of_rows([rows, processes("gc-rc", &[10])].concat());
        assert_eq!(appended.cells[0].failure().unwrap().status, Status::Crashed);
    }

    #[test]
    fn what_took_no_time_is_void_and_nothing_is_divided_by_it() {
        let mut rows = processes("gc-rc", &[10, 0]);
        rows.extend(processes("arena", &[5, 5]));
        let results = Results::of_rows(rows);
        assert_eq!(results.cells[0].times(), [[10.0]]);
        let void = results.cells[0].failure().unwrap();
        assert_eq!(void.status, Status::Void);
        assert!(void.message.as_ref().unwrap().contains("0 ns"));
        assert!(results.groups()[0].is_void());
        // As it is read from a file; one that warms up is in no figure.
        let read = |iteration| Row::read(&report::json::line(&row("gc-rc", 1, iteration, 0)));
        assert_eq!(read(1).unwrap().status, Status::Void);
        assert_eq!(read(0).unwrap().status, Status::Ok);
    }

    #[test]
    fn rows_of_two_processes_may_alternate() {
        let one = processes("gc-rc", &[10, 12]);
        let rows = [0, 2, 1, 3].map(|at| one[at].clone());
        let results = Results::of_rows(rows.to_vec());
        assert_eq!(results.cells[0].times(), [[10.0], [12.0]]);
        assert!(results.notes.is_empty());
    }

    #[test]
    fn runs_appended_to_one_file_count_twice() {
        let rows = [processes("gc-rc", &[10]), processes("gc-rc", &[12])].concat();
        assert_eq!(Results::of_rows(rows).cells[0].times(), [[10.0], [12.0]]);
    }

    #[test]
    fn searches_for_minima_are_no_measurements() {
        let trials = with(processes("gc-rc", &[10]), |row| {
            row.invocation.invocation = 0
        });
        let results = Results::of_rows([trials, processes("gc-rc", &[12])].concat());
        assert_eq!((results.trials.len(), results.cells.len()), (2, 1));
        assert_eq!(results.cells[0].times(), [[12.0]]);
    }

    #[test]
    fn other_work_is_void_even_where_nobody_has_compared_it() {
        let other = with(processes("arena", &[5]), |row| {
            row.metrics.as_mut().unwrap().checksum = "0bad".to_owned();
        });
        let results = Results::of_rows([processes("gc-rc", &[10]), other].concat());
        let groups = results.groups();
        assert!(groups[0].is_void());
        assert_eq!(groups[0].ratio(groups[0].cells[1]), None);
    }

    #[test]
    fn machines_are_kept_apart() {
        let here = Environment::default();
        let there = Environment {
            cores: 64,
            ..here.clone()
        };
        let on = |rows: Vec<Row>, place: &Environment| {
            with(rows, |row| row.environment = Some(place.clone()))
        };
        let rows = [
            on(processes("gc-rc", &[10]), &here),
            on(processes("arena", &[5]), &there),
        ];
        let results = Results::of_rows(rows.concat());
        assert_eq!(
            (results.groups().len(), results.environments().len()),
            (2, 2)
        );
        assert!(results.cells[0].is_same_work(&results.cells[1]));
    }

    #[test]
    fn what_is_wrong_with_a_file_is_said_in_one_line() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("rows.jsonl");
        let read = |text: String| {
            fs::write(&path, text).unwrap();
            Results::of_file(&path)
        };
        let good: String = processes("gc-rc", &[10, 12])
            .iter()
            .map(report::json::line)
            .collect();

        let error = Results::of_file(&directory.path().join("none")).unwrap_err();
        assert!(
            error.starts_with("there is no file ") && error.ends_with("results/"),
            "{error}"
        );
        let error = Results::of_file(directory.path()).unwrap_err();
        assert!(error.starts_with("cannot read "), "{error}");
        let error = read(String::new()).unwrap_err();
        assert!(error.contains("has no rows"), "{error}");

        let error = read(format!("{good}no row\n")).unwrap_err();
        assert!(error.contains("rows.jsonl: line 5 is no row"), "{error}");
        assert!(error.contains("choose another file"), "{error}");
        let newer = good.replacen(&format!("\"schema\":{SCHEMA}"), "\"schema\":999", 1);
        let error = read(newer).unwrap_err();
        assert!(
            error.contains("line 1") && error.contains("newer version"),
            "{error}"
        );
        assert_eq!(error.lines().count(), 1);

        // Cut anywhere in its last row.
        let last = good.trim_end().rfind('\n').unwrap() + 1;
        for length in (last + 1)..(good.len() - 1) {
            let results = read(good[..length].to_owned()).unwrap();
            assert!(results.notes[0].contains("line 4: the last row was cut short"));
            assert_eq!(results.cells[0].times(), [[10.0]]);
        }
        // Whole, but for its line feed.
        let results = read(good.trim_end().to_owned()).unwrap();
        assert_eq!(results.cells[0].times(), [[10.0], [12.0]]);
        assert!(results.notes.is_empty());
    }
}
