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

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fs;
use std::io;
use std::path::Path;

use serde::de::IgnoredAny;

use crate::adapter::{self, Adapter, OVERHEAD_LIMIT_NAME, Settings};
use crate::environment::Environment;
use crate::invocation::{Invocation, Metrics, Row, Status};
use crate::measure::estimate::{self, Estimate};
use crate::peer;
use crate::workload;

/// The heap others are compared with, if it is there; otherwise it is the first of the group.
pub const BASELINE: &str = "gc-rc";

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
}

/// The rows of one cell.
#[derive(Clone, Debug)]
pub struct CellResults {
    /// In order, attempt after attempt; each attempt's iterations ascend. Never empty.
    pub rows: Vec<Row>,
    workload_label: String,
    heap_label: String,
    limited: bool,
}

/// Cells that did the same work within the same heap bytes.
#[derive(Clone, Debug)]
pub struct Group<'r> {
    /// What is compared. Never empty.
    pub cells: Vec<&'r CellResults>,
    /// Second series of some of [`Self::cells`], which show how much two equal things differ here.
    pub twins: Vec<&'r CellResults>,
}

/// The smallest heap of one work on one heap, as a search has found it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// As [`CellResults::workload_label`].
    pub workload_label: String,
    /// Mutator threads.
    pub threads: usize,
    /// As [`CellResults::heap_label`].
    pub heap_label: String,
    /// The smallest size that completed, in bytes; `None` if none did.
    pub completed: Option<u64>,
    /// The largest size that did not complete, in bytes; 0 if every one did.
    pub failed: u64,
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
                "{} has no rows: no process of that run had ended; measure again, or choose another \
                 file",
                path.display()
            ));
        }
        let mut results = Self::of_rows(rows);
        results.notes.splice(0..0, notes);
        Ok(results)
    }

    /// Groups rows. Iterations of attempts that were interrupted are left out, and a note says how
    /// many.
    pub fn of_rows(mut rows: Vec<Row>) -> Self {
        rows.iter_mut().for_each(Row::void_without_time);
        let (trials, rows): (Vec<Row>, Vec<Row>) =
            (rows.into_iter()).partition(|row| row.invocation.invocation == 0);
        let mut order = Vec::new();
        let mut by_cell: HashMap<CellKey, Vec<Row>> = HashMap::new();
        for row in rows {
            let key = CellKey::of(&row);
            let rows = by_cell.entry(key.clone()).or_default();
            if rows.is_empty() {
                order.push(key);
            }
            rows.push(row);
        }

        let programs = programs(by_cell.values().flatten());
        let (mut left_out, mut replaced) = (0, 0);
        let (mut cells, mut experiments) = (Vec::new(), Vec::new());
        for key in &order {
            let sorted = complete_attempts(by_cell.remove(key).unwrap_or_default());
            left_out += sorted.left_out;
            replaced += sorted.replaced;
            let complete = sorted.rows;
            if let Some(first) = complete.first() {
                let cells = if key.experiment {
                    &mut experiments
                } else {
                    &mut cells
                };
                cells.push(CellResults {
                    workload_label: workload_label(first),
                    heap_label: heap_label(first, &programs),
                    limited: is_limited(first),
                    rows: complete,
                });
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
            processes => notes.push(format!(
                "{processes} processes that had failed were run again"
            )),
        }
        Self {
            cells,
            experiments,
            trials,
            notes,
        }
    }

    /// Cells that did the same work within the same heap bytes on the same machine: they are
    /// compared with each other.
    pub fn groups(&self) -> Vec<Group<'_>> {
        let mut groups: Vec<(WorkKey, u64, Group<'_>)> = Vec::new();
        for cell in &self.cells {
            let (key, bytes) = (cell.work_key(), cell.heap_bytes());
            let known = groups
                .iter()
                .position(|(work, heap_bytes, _)| *work == key && *heap_bytes == bytes);
            let at = known.unwrap_or_else(|| {
                let empty = Group {
                    cells: Vec::new(),
                    twins: Vec::new(),
                };
                groups.push((key, bytes, empty));
                groups.len() - 1
            });
            let group = &mut groups[at].2;
            if cell.is_twin() {
                group.twins.push(cell);
            } else {
                group.cells.push(cell);
            }
        }
        groups
            .into_iter()
            .map(|(_, _, group)| group)
            // A twin whose first series is missing is compared with nothing.
            .filter(|group| !group.cells.is_empty())
            .collect()
    }

    /// The groups that differ in nothing but the heap bytes, ascending: a sweep.
    pub fn works(&self) -> Vec<Vec<Group<'_>>> {
        let mut works: Vec<(WorkKey, Vec<Group<'_>>)> = Vec::new();
        for group in self.groups() {
            let key = group.cells[0].work_key();
            match works.iter_mut().find(|(work, _)| *work == key) {
                Some((_, groups)) => groups.push(group),
                None => works.push((key, vec![group])),
            }
        }
        works
            .into_iter()
            .map(|(_, mut groups)| {
                groups.sort_by_key(|group| group.cells[0].heap_bytes());
                groups
            })
            .collect()
    }

    /// What the [trials](Self::trials) have found: for each work and heap the least size that
    /// completed.
    pub fn minima(&self) -> Vec<Found> {
        let programs = programs(self.trials.iter());
        let mut found: Vec<(CellKey, Found)> = Vec::new();
        let (mut completed, mut failed) = (HashSet::new(), Vec::new());
        for attempt in self
            .trials
            .chunk_by(|a, b| a.invocation == b.invocation && a.iteration < b.iteration)
        {
            let (first, last) = (&attempt[0], &attempt[attempt.len() - 1]);
            if !is_complete(attempt) {
                continue;
            }
            let key = CellKey {
                heap_bytes: 0,
                ..CellKey::of(first)
            };
            let at = found.iter().position(|(known, _)| *known == key);
            let at = at.unwrap_or_else(|| {
                let fresh = Found {
                    workload_label: workload_label(first),
                    threads: first.invocation.threads,
                    heap_label: heap_label(first, &programs),
                    completed: None,
                    failed: 0,
                };
                found.push((key, fresh));
                found.len() - 1
            });
            let bytes = first.invocation.heap_bytes;
            let minimum = &mut found[at].1;
            if last.status == Status::Ok {
                minimum.completed = Some(minimum.completed.map_or(bytes, |known| known.min(bytes)));
                completed.insert((at, bytes));
            } else {
                failed.push((at, bytes));
            }
        }
        // A size that completed when it was tried again has not failed.
        for (at, bytes) in failed {
            if !completed.contains(&(at, bytes)) {
                found[at].1.failed = found[at].1.failed.max(bytes);
            }
        }
        found.into_iter().map(|(_, minimum)| minimum).collect()
    }

    /// Where the rows were made: each machine, revision and build once, in order of first
    /// appearance. What differs only in the command line, or in the peer, is one.
    pub fn environments(&self) -> Vec<&Environment> {
        let mut found: Vec<&Environment> = Vec::new();
        let cells = self.cells.iter().chain(&self.experiments);
        let rows = cells.flat_map(|cell| &cell.rows);
        for environment in rows
            .chain(&self.trials)
            .filter_map(|row| row.environment.as_ref())
        {
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
        let cells = self.cells.iter().chain(&self.experiments);
        let rows = cells.flat_map(|cell| &cell.rows).chain(&self.trials);
        let mut found: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for row in rows {
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

impl<'r> Group<'r> {
    /// The cell that the others are compared with: [`BASELINE`] with its default options if it is
    /// there, otherwise the first.
    pub fn baseline(&self) -> &'r CellResults {
        let mut cells = self.cells.iter().copied();
        cells
            .find(|cell| cell.heap_label() == BASELINE)
            .unwrap_or(self.cells[0])
    }

    /// Whether the cells did different work, so that no comparison counts.
    pub fn is_void(&self) -> bool {
        let cells = || self.cells.iter().chain(&self.twins);
        let mut works = cells().flat_map(|cell| cell.rows.iter().filter_map(work));
        let first = works.next();
        works.any(|work| Some(work) != first)
            || cells().any(|cell| cell.rows.iter().any(|row| row.status == Status::Void))
    }

    /// How much longer the cell takes than the baseline; `None` for the baseline itself, for a void
    /// group, and where one of the two has no figures.
    pub fn ratio(&self, cell: &CellResults) -> Option<Estimate> {
        let baseline = self.baseline();
        if std::ptr::eq(cell, baseline) || self.is_void() {
            return None;
        }
        estimate::ratio(&cell.times(), &baseline.times())
    }

    /// The A/A ratio: the second series of a heap over its first, with its interval. `None` if no
    /// heap was run twice.
    pub fn same_over_same(&self) -> Option<Estimate> {
        let twin = self.twins.first()?;
        let mut cells = self.cells.iter();
        let first = cells.find(|cell| cell.is_same_heap(twin))?;
        estimate::ratio(&twin.times(), &first.times())
    }
}

impl CellResults {
    /// The workload, with the parameters that differ from the defaults of its size; every one if it
    /// is not a workload that comes with the harness.
    pub fn workload_label(&self) -> &str {
        &self.workload_label
    }

    /// The heap, with the options that differ from their defaults; of a peer, what tells it from
    /// others of its name.
    pub fn heap_label(&self) -> &str {
        &self.heap_label
    }

    /// What it is: the workload on the heap.
    pub fn name(&self) -> String {
        format!("{} on {}", self.workload_label, self.heap_label)
    }

    /// How many threads, to be said after a name; nothing of one.
    pub fn and_threads(&self) -> String {
        match self.threads() {
            1 => String::new(),
            threads => format!(", {threads} threads"),
        }
    }

    /// What was asked for, in its first process.
    pub fn invocation(&self) -> &crate::invocation::Invocation {
        &self.rows[0].invocation
    }

    /// Mutator threads.
    pub fn threads(&self) -> usize {
        self.invocation().threads
    }

    /// Limit of the heap, in bytes.
    pub fn heap_bytes(&self) -> u64 {
        self.invocation().heap_bytes
    }

    /// The least heap at which every heap of the comparison completes, if it was looked for.
    pub fn minimum_heap_bytes(&self) -> Option<u64> {
        self.rows.iter().find_map(|row| row.minimum_heap_bytes)
    }

    /// The heap bytes as a multiple of the minimum, if that is known.
    pub fn multiple(&self) -> Option<f64> {
        let minimum = self.minimum_heap_bytes().filter(|&minimum| minimum > 0)?;
        Some(self.heap_bytes() as f64 / minimum as f64)
    }

    /// Whether it is the second series of a heap, run to learn how much two equal things differ.
    pub fn is_twin(&self) -> bool {
        self.rows[0].twin
    }

    /// Whether the limit applies to it: the arena has none.
    pub fn is_limited(&self) -> bool {
        self.limited
    }

    /// Whether it is a runtime whose collector moves objects: a difference in kind.
    pub fn is_moving(&self) -> bool {
        let environment = self.rows.iter().find_map(|row| row.environment.as_ref());
        environment
            .and_then(|environment| environment.peer.as_ref())
            .is_some_and(|peer| peer.moving)
    }

    /// Whether it is another runtime.
    pub fn is_peer(&self) -> bool {
        peer::describe(&self.invocation().heap).is_ok()
    }

    /// What one operation is, once something was measured.
    pub fn operation(&self) -> Option<&str> {
        let metrics = self.rows.iter().find_map(|row| row.metrics.as_ref());
        metrics.map(|metrics| metrics.operation.as_str())
    }

    /// The iterations that count: measured, and not for warming up.
    pub fn measured(&self) -> impl Iterator<Item = &Metrics> {
        self.measured_rows().filter_map(|row| row.metrics.as_ref())
    }

    /// The rows of [`Self::measured`].
    pub fn measured_rows(&self) -> impl Iterator<Item = &Row> {
        let rows = self.rows.iter();
        rows.filter(|row| row.status == Status::Ok && row.iteration > 0 && row.metrics.is_some())
    }

    /// The processes, each with the rows of its iterations.
    pub fn attempts(&self) -> impl Iterator<Item = &[Row]> {
        self.rows.chunk_by(|a, b| {
            a.invocation.invocation == b.invocation.invocation && a.iteration < b.iteration
        })
    }

    /// For each process that has any, the nanoseconds of its timed iterations.
    pub fn times(&self) -> Vec<Vec<f64>> {
        self.samples(|metrics| Some(metrics.wall_ns as f64))
    }

    /// For each process that has any, the values of its timed iterations.
    pub fn samples(&self, value: impl Fn(&Metrics) -> Option<f64>) -> Vec<Vec<f64>> {
        let timed = |row: &&Row| row.status == Status::Ok && row.iteration > 0;
        let value = |row: &Row| value(row.metrics.as_ref()?);
        let processes = self.attempts();
        let processes = processes.map(|rows| rows.iter().filter(timed).filter_map(value).collect());
        processes
            .filter(|values: &Vec<f64>| !values.is_empty())
            .collect()
    }

    /// Why it has no figures, or not as many as it should, or none that count.
    pub fn failure(&self) -> Option<&Row> {
        self.rows.iter().find(|row| row.status != Status::Ok)
    }

    /// Whether `other` is the same heap with the same options, whatever the work.
    pub fn is_same_heap(&self, other: &Self) -> bool {
        let (mine, theirs) = (self.invocation(), other.invocation());
        mine.heap == theirs.heap && mine.options == theirs.options
    }

    /// Whether `other` is the same work, whatever the heap, its size and the machine.
    pub fn is_same_work(&self, other: &Self) -> bool {
        let key = |cell: &Self| WorkKey {
            machine: String::new(),
            ..cell.work_key()
        };
        key(self) == key(other)
    }

    fn work_key(&self) -> WorkKey {
        WorkKey::of(&self.rows[0])
    }
}

/// Everything that the work depends on, and the machine that did it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct WorkKey {
    workload: String,
    parameters: BTreeMap<String, u64>,
    threads: usize,
    seed: u64,
    machine: String,
}

impl WorkKey {
    fn of(row: &Row) -> Self {
        let invocation = &row.invocation;
        let environment = row.environment.as_ref();
        Self {
            workload: invocation.workload.clone(),
            parameters: invocation.parameters.clone(),
            threads: invocation.threads,
            seed: invocation.seed,
            machine: environment.map_or(String::new(), Environment::machine),
        }
    }
}

/// What tells one cell from another.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct CellKey {
    work: WorkKey,
    heap: String,
    options: BTreeMap<String, String>,
    heap_bytes: u64,
    twin: bool,
    experiment: bool,
}

impl CellKey {
    fn of(row: &Row) -> Self {
        Self {
            work: WorkKey::of(row),
            heap: row.invocation.heap.clone(),
            options: row.invocation.options.clone(),
            heap_bytes: row.invocation.heap_bytes,
            twin: row.twin,
            experiment: row.experiment,
        }
    }
}

/// What must agree.
fn work(row: &Row) -> Option<(&str, u64, u64, u64)> {
    row.metrics.as_ref().map(Metrics::work)
}

/// Whether these rows, the iterations of one process, are all there will be.
pub fn is_complete(attempt: &[Row]) -> bool {
    attempt.last().is_some_and(|last| {
        last.status != Status::Ok || last.iteration >= last.invocation.iterations
    })
}

/// One cell's rows, sorted into attempts.
struct Sorted {
    /// Those of the complete attempts that count.
    rows: Vec<Row>,
    /// How many rows the others have.
    left_out: usize,
    /// How many attempts failed, and others were made in their place.
    replaced: usize,
}

/// Sorts one cell's rows into attempts, also where those of several processes have been written
/// alternately. A failure whose process was run [again](Row::again) does not count.
fn complete_attempts(rows: Vec<Row>) -> Sorted {
    let mut attempts: Vec<Vec<Row>> = Vec::new();
    for row in rows {
        let goes_on = |attempt: &&mut Vec<Row>| {
            attempt.last().is_some_and(|last| {
                last.invocation == row.invocation
                    && last.status == Status::Ok
                    && last.iteration < row.iteration
            })
        };
        match attempts.iter_mut().rev().find(goes_on) {
            Some(attempt) => attempt.push(row),
            None => attempts.push(vec![row]),
        }
    }
    let mut complete: Vec<Vec<Row>> = Vec::new();
    let (mut left_out, mut replaced) = (0, 0);
    for attempt in attempts {
        if !is_complete(&attempt) {
            left_out += attempt.len();
            continue;
        }
        if attempt[0].again {
            let failed = |known: &Vec<Row>| {
                known[0].invocation == attempt[0].invocation
                    && known.last().is_some_and(|row| row.status.is_accident())
            };
            if let Some(at) = complete.iter().rposition(failed) {
                complete.remove(at);
                replaced += 1;
            }
        }
        complete.push(attempt);
    }
    Sorted {
        rows: complete.into_iter().flatten().collect(),
        left_out,
        replaced,
    }
}

/// For each peer, the programs that ran it, and the versions that they were of.
type Programs = BTreeMap<String, BTreeSet<(String, String)>>;

fn program(invocation: &Invocation) -> Option<(String, String)> {
    let program = invocation.options.get("program")?;
    // Rows of older builds do not say it here.
    let version = invocation.options.get("version");
    Some((program.clone(), version.cloned().unwrap_or_default()))
}

fn programs<'r>(rows: impl Iterator<Item = &'r Row>) -> Programs {
    let mut programs = Programs::new();
    for invocation in rows.map(|row| &row.invocation) {
        if let Some(program) = program(invocation) {
            let known = programs.entry(invocation.heap.clone()).or_default();
            known.insert(program);
        }
    }
    programs
}

fn workload_label(row: &Row) -> String {
    let invocation = &row.invocation;
    let known = workload::standard();
    let known = known
        .iter()
        .find(|workload| workload.name == invocation.workload);
    let is_default = |name: &str, value: u64| {
        known.is_some_and(|workload| {
            let mut parameters = workload.parameters.iter();
            parameters.any(|parameter| {
                parameter.name == name && parameter.value(invocation.size) == value
            })
        })
    };
    let set = invocation.parameters.iter();
    let set = set
        .filter(|&(name, &value)| !is_default(name, value))
        .map(|(name, value)| format!("{name}={value}"));
    with_settings(&invocation.workload, set.collect())
}

fn heap_label(row: &Row, programs: &Programs) -> String {
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
    let is_default = |name: &str, value: &str| {
        let mut options = heap.options.iter();
        options.any(|option| option.name == name && option.default == value)
    };
    let set = invocation.options.iter();
    let set = set
        .filter(|(name, value)| !is_default(name, value))
        .filter(|(name, value)| invocation.invocation > 0 || !is_of_every_attempt(name, value))
        .map(|(name, value)| format!("{name}={value}"));
    with_settings(&invocation.heap, set.collect())
}

/// `NAME`, or `NAME:setting,...`.
fn with_settings(name: &str, settings: Vec<String>) -> String {
    if settings.is_empty() {
        name.to_owned()
    } else {
        format!("{name}:{}", settings.join(","))
    }
}

/// Whether the limit applies to the row's heap. Peers, and heaps that this program does not know,
/// are taken to have one.
fn is_limited(row: &Row) -> bool {
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
    adapter::visit(heap.name, Limited(&settings)).unwrap_or(true)
}

/// The rows of a result file, and what a reader should know about it, a line each: that the last
/// line was cut short, as a killed process leaves it, is a note.
///
/// # Errors
///
/// One line that names the file, the line and the way out: the file cannot be read, a line is no
/// row, or was written by a newer version.
pub fn read_rows(path: &Path) -> Result<(Vec<Row>, Vec<String>), String> {
    let shown = path.display();
    let bytes = fs::read(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => {
            format!("there is no file {shown}; results are usually in results/")
        }
        _ => format!("cannot read {shown}: {error}; choose another file"),
    })?;
    let text = String::from_utf8_lossy(&bytes);
    parse_rows(&shown.to_string(), &text)
}

fn parse_rows(name: &str, text: &str) -> Result<(Vec<Row>, Vec<String>), String> {
    let mut rows = Vec::new();
    let mut notes = Vec::new();
    for (index, line) in text.split_inclusive('\n').enumerate() {
        let number = index + 1;
        let is_whole = line.ends_with('\n');
        let line = line.trim();
        match Row::read(line) {
            _ if line.is_empty() => {}
            Ok(row) => rows.push(row),
            // The end of the file, and no JSON: what a killed process leaves.
            Err(_) if !is_whole && serde_json::from_str::<IgnoredAny>(line).is_err() => notes.push(
                format!("{name}, line {number}: the last row was cut short, and is left out"),
            ),
            Err(reason) => {
                return Err(format!(
                    "{name}: line {number} {reason}; choose another file, or remove the line"
                ));
            }
        }
    }
    Ok((rows, notes))
}

/// Whether every attempt of a search for the smallest heap has this option, whatever was asked for.
fn is_of_every_attempt(name: &str, value: &str) -> bool {
    name == OVERHEAD_LIMIT_NAME && value == "off"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{processes, row};
    use crate::invocation::SCHEMA;
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
        assert_eq!(groups[0].same_over_same().unwrap().value, 1.0);
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
