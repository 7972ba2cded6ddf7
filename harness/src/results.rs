//! Rows grouped into cells: what every table, plot and conclusion is made of.
//!
//! A row is the source of truth, and this is the only place where rows become anything else. Whether they come from a run that has just ended, from a
//! file of last year or from several machines makes no difference: a report that could only be made by the process that measured could not be
//! checked by anyone.
//!
//! * A *cell* is one workload with its parameters, seed and threads on one heap with its options and limit, on one machine. Its rows are sorted
//!   into *attempts*, the iterations of one process.
//! * A *group* is the cells that did the same work within the same heap bytes: they are compared with each other.
//! * A *work* is the groups that differ in nothing but the heap bytes: a sweep.
//!
//! Invariants: a cell has at least one row; every attempt is complete (it has all its iterations, or ends with a row that says why not); cells, groups
//! and works are in the order in which their first rows were written.
//!
//! Rejected: keeping the plan beside the rows and indexing both (as a run in progress does): files would then need the plan too, and a merged file has
//! many. Labels are therefore derived: what differs from the defaults of the size is named, which is what a user types.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io;
use std::path::Path;

use serde::Deserialize;

use crate::adapter::{self, Adapter, Settings};
use crate::environment::Environment;
use crate::invocation::{Metrics, Row, SCHEMA, Status};
use crate::measure::ratio::{self, Ratio};
use crate::peer;
use crate::workload;

/// The heap others are compared with, if it is there; otherwise it is the first of the group.
pub const BASELINE: &str = "gc-rc";

/// Rows grouped into cells, from a run just made or from result files: what every report is made of.
#[derive(Clone, Debug, Default)]
pub struct Results {
    /// In order of first appearance; twins ([`CellResults::is_twin`]) among them.
    pub cells: Vec<CellResults>,
    /// Attempts of a search for the smallest heap ([`crate::minheap`]): they answer whether a size completes, and are no measurements.
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
                "{} has no rows: no process of that run had ended; measure again, or choose another file",
                path.display()
            ));
        }
        let mut results = Self::of_rows(rows);
        results.notes.splice(0..0, notes);
        Ok(results)
    }

    /// Groups rows. Iterations of attempts that were interrupted are left out, and a note says how many.
    pub fn of_rows(rows: Vec<Row>) -> Self {
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
        let mut left_out = 0;
        let mut cells = Vec::new();
        for key in &order {
            let (complete, interrupted) = complete_attempts(by_cell.remove(key).unwrap_or_default());
            left_out += interrupted;
            if let Some(first) = complete.first() {
                cells.push(CellResults {
                    workload_label: workload_label(first),
                    heap_label: heap_label(first, &programs),
                    limited: is_limited(first),
                    rows: complete,
                });
            }
        }
        let notes = match left_out {
            0 => Vec::new(),
            1 => vec!["1 row of an interrupted process is left out".to_owned()],
            rows => vec![format!("{rows} rows of interrupted processes are left out")],
        };
        Self {
            cells,
            trials,
            notes,
        }
    }

    /// Cells that did the same work within the same heap bytes on the same machine: they are compared with each other.
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

    /// Where the rows were made: each machine, revision and build once, in order of first appearance. What differs only in the command line, or in
    /// the peer, is one.
    pub fn environments(&self) -> Vec<&Environment> {
        let mut found: Vec<&Environment> = Vec::new();
        let rows = self.cells.iter().flat_map(|cell| &cell.rows);
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
}

impl Group<'_> {
    /// The cell that the others are compared with: [`BASELINE`] with its default options if it is there, otherwise the first.
    pub fn baseline(&self) -> &CellResults {
        let mut cells = self.cells.iter();
        cells
            .find(|cell| cell.heap_label() == BASELINE)
            .unwrap_or(&self.cells[0])
    }

    /// Whether the cells did different work, so that no comparison counts.
    pub fn is_void(&self) -> bool {
        let cells = || self.cells.iter().chain(&self.twins);
        let mut works = cells().flat_map(|cell| cell.rows.iter().filter_map(work));
        let first = works.next();
        works.any(|work| Some(work) != first)
            || cells().any(|cell| cell.rows.iter().any(|row| row.status == Status::Void))
    }

    /// How much longer the cell takes than the baseline; `None` for the baseline itself, for a void group, and where one of the two has no figures.
    pub fn ratio(&self, cell: &CellResults) -> Option<Ratio> {
        let baseline = self.baseline();
        if std::ptr::eq(cell, baseline) || self.is_void() {
            return None;
        }
        ratio::ratio(&cell.times(), &baseline.times())
    }

    /// The A/A ratio: the second series of a heap over its first, with its interval. `None` if no heap was run twice.
    pub fn same_over_same(&self) -> Option<Ratio> {
        let twin = self.twins.first()?;
        let mut cells = self.cells.iter();
        let first = cells.find(|cell| cell.is_same_heap(twin))?;
        ratio::ratio(&twin.times(), &first.times())
    }
}

impl CellResults {
    /// The workload, with the parameters that differ from the defaults of its size; every one if it is not a workload that comes with the harness.
    pub fn workload_label(&self) -> &str {
        &self.workload_label
    }

    /// The heap, with the options that differ from their defaults; of a peer, what tells it from others of its name.
    pub fn heap_label(&self) -> &str {
        &self.heap_label
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
        self.attempts()
            .map(|attempt| {
                attempt
                    .iter()
                    .filter(|row| row.status == Status::Ok && row.iteration > 0)
                    .filter_map(|row| Some(row.metrics.as_ref()?.wall_ns as f64))
                    .collect::<Vec<f64>>()
            })
            .filter(|times| !times.is_empty())
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
}

impl CellKey {
    fn of(row: &Row) -> Self {
        Self {
            work: WorkKey::of(row),
            heap: row.invocation.heap.clone(),
            options: row.invocation.options.clone(),
            heap_bytes: row.invocation.heap_bytes,
            twin: row.twin,
        }
    }
}

/// What must agree.
fn work(row: &Row) -> Option<(&str, u64, u64, u64)> {
    row.metrics.as_ref().map(Metrics::work)
}

/// Whether these rows, the iterations of one process, are all there will be.
pub(crate) fn is_complete(attempt: &[Row]) -> bool {
    attempt.last().is_some_and(|last| {
        last.status != Status::Ok || last.iteration >= last.invocation.iterations
    })
}

/// Sorts one cell's rows into attempts, also where those of several processes have been written alternately. Returns the rows of the complete
/// ones, and how many rows the others have.
fn complete_attempts(rows: Vec<Row>) -> (Vec<Row>, usize) {
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
    let mut complete = Vec::new();
    let mut left_out = 0;
    for attempt in attempts {
        if is_complete(&attempt) {
            complete.extend(attempt);
        } else {
            left_out += attempt.len();
        }
    }
    (complete, left_out)
}

/// For each peer, the programs that ran it.
type Programs = BTreeMap<String, Vec<String>>;

fn programs<'r>(rows: impl Iterator<Item = &'r Row>) -> Programs {
    let mut programs = Programs::new();
    for invocation in rows.map(|row| &row.invocation) {
        let Some(program) = invocation.options.get("program") else {
            continue;
        };
        let known = programs.entry(invocation.heap.clone()).or_default();
        if !known.contains(program) {
            known.push(program.clone());
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
        let several = programs
            .get(&invocation.heap)
            .is_some_and(|programs| programs.len() > 1);
        let program = invocation.options.get("program").filter(|_| several);
        return with_settings(&invocation.heap, program.into_iter().cloned().collect());
    };
    let is_default = |name: &str, value: &str| {
        let mut options = heap.options.iter();
        options.any(|option| option.name == name && option.default == value)
    };
    let set = invocation.options.iter();
    let set = set
        .filter(|(name, value)| !is_default(name, value))
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

/// Whether the limit applies to the row's heap. Peers, and heaps that this program does not know, are taken to have one.
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

/// The rows of a result file, and what a reader should know about it, a line each: that the last line was cut short, as a killed process leaves
/// it, is a note.
///
/// # Errors
///
/// One line that names the file, the line and the way out: the file cannot be read, a line is no row, or was written by a newer version.
pub fn read_rows(path: &Path) -> Result<(Vec<Row>, Vec<String>), String> {
    let shown = path.display();
    let bytes = fs::read(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => format!("there is no file {shown}; results are usually in results/"),
        _ => format!("cannot read {shown}: {error}; choose another file"),
    })?;
    let text = String::from_utf8_lossy(&bytes);
    parse_rows(&shown.to_string(), &text)
}

fn parse_rows(name: &str, text: &str) -> Result<(Vec<Row>, Vec<String>), String> {
    let mut rows = Vec::new();
    let mut notes = Vec::new();
    let mut lines = text.split_inclusive('\n').enumerate().peekable();
    while let Some((index, line)) = lines.next() {
        let number = index + 1;
        let is_last = lines.peek().is_none();
        let line = line.trim_end_matches(['\n', '\r']);
        if line.trim().is_empty() {
            continue;
        }
        match parse_row(line) {
            Ok(row) => rows.push(row),
            Err(Unread::Newer(version)) => {
                return Err(format!(
                    "{name}, line {number}: a row of version {version}, and this program reads versions up to {SCHEMA}; \
                     use the program that wrote it, or a newer one"
                ));
            }
            Err(Unread::Malformed(_)) if is_last && !text.ends_with('\n') => {
                notes.push(format!(
                    "{name}, line {number}: the last row was cut short, and is left out"
                ));
            }
            Err(Unread::Malformed(reason)) => {
                return Err(format!(
                    "{name}, line {number}: not a row of results ({reason}); remove the line, or choose another file"
                ));
            }
        }
    }
    Ok((rows, notes))
}

enum Unread {
    Newer(u64),
    Malformed(String),
}

fn parse_row(line: &str) -> Result<Row, Unread> {
    #[derive(Deserialize)]
    struct Version {
        schema: u64,
    }
    let malformed = |error: serde_json::Error| {
        // Its own line number is always 1.
        let reason = error.to_string();
        let reason = reason.split(" at line ").next().unwrap_or_default();
        Unread::Malformed(format!("{reason}, column {}", error.column()))
    };
    let Version { schema } = serde_json::from_str(line).map_err(malformed)?;
    if schema > u64::from(SCHEMA) {
        return Err(Unread::Newer(schema));
    }
    serde_json::from_str(line).map_err(malformed)
}
