//! What is to be run, checked once: after this, names exist, values are in range and every heap can
//! be made.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use contract::shown::shown;
pub use contract::units::{MOST_BYTES, parse_bytes};

use crate::adapter::{self, Adapter, Settings};
use crate::invocation::{Invocation, format_bytes};
use crate::peer;
pub use crate::report::Format;
use crate::report::{Chapters, Report};
use crate::results;
use crate::workload::{self, Input, Size};

/// A comparison to carry out.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What to measure, grouped: cells of one group follow each other.
    pub cells: Vec<Cell>,
    /// What was asked for and will not be measured, and what else is to be said of the plan.
    pub notes: Notes,
    /// Size the parameters were taken from.
    pub size: Size,
    /// Processes for each cell.
    pub invocations: u32,
    /// Timed iterations in each process, after one that warms up; 0: that one, cold, is timed.
    pub iterations: u32,
    /// How long one process may take.
    pub timeout: Duration,
    /// What to print.
    pub format: Format,
    /// Where rows are appended; by default a new file in `results/`.
    pub output: Option<PathBuf>,
    /// The result file of an interrupted run that is to be gone on with.
    pub resume: Option<PathBuf>,
    /// Whether what ended without figures and could do otherwise is left alone when a run is gone
    /// on with ([`crate::run`]).
    pub keep_failures: bool,
    /// As many processes as fit into this time, at least two for each cell that is run at all.
    pub budget: Option<Duration>,
    /// Whether two processes of each cell are run even where they take longer than that.
    pub leaves_nothing_out: bool,
    /// Comparisons are run no more once the ends of their intervals are within this factor of their
    /// ratios.
    pub precision: Option<f64>,
    /// What is reported in place of a table or an answer, and of the page.
    pub report: Option<Arc<dyn Report>>,
    /// What its reports have beside the comparison.
    pub chapters: &'static Chapters,
    /// Whether to keep progress and notes to oneself.
    pub quiet: bool,
    /// Whether to show each row as its process ends.
    pub verbose: bool,
}

/// What is to be said of a plan before it is carried out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notes {
    /// A line each.
    pub lines: Vec<String>,
    /// Whether a peer that was asked for by name cannot be run: the exit status then says that
    /// figures are missing.
    pub missing: bool,
}

impl Notes {
    /// Adds a line for each peer that cannot be run.
    pub fn miss(&mut self, lines: Vec<String>) {
        self.missing |= !lines.is_empty();
        self.lines.extend(lines);
    }
}

/// Which groups' baselines are run a second time, in the same interleaving, to learn how much two
/// equal things differ here (A/A).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Twins {
    /// In every comparison
    #[default]
    All,
    /// In every fourth comparison, the first included
    Some,
    /// In none: intervals then rest on the differences between rounds alone
    None,
}

impl Plan {
    /// One quiet process with one timed iteration for each of these cells, and a table; the rest is
    /// for the caller to change.
    pub fn new(cells: Vec<Cell>, size: Size) -> Self {
        Self {
            cells,
            notes: Notes::default(),
            size,
            invocations: 1,
            iterations: 1,
            timeout: Duration::from_secs(60),
            format: Format::Table,
            output: None,
            resume: None,
            keep_failures: false,
            budget: None,
            leaves_nothing_out: false,
            precision: None,
            report: None,
            chapters: &[],
            quiet: true,
            verbose: false,
        }
    }

    /// Whether everything in it is of experiments: its results are claims.
    pub(crate) fn is_of_experiments(&self) -> bool {
        !self.cells.is_empty() && self.cells.iter().all(|cell| cell.experiment)
    }
}

/// One workload with its parameters on one heap with its options, or on one peer, at one number of
/// threads.
#[derive(Clone, Debug)]
pub struct Cell {
    /// Cells of the same group did the same work and are compared with each other.
    pub group: usize,
    /// The workload.
    pub workload: workload::Description,
    /// Its parameters, threads and seed.
    pub input: Input,
    /// The workload as it would be written: with the parameters that the user gave.
    pub workload_label: String,
    /// What the workload is run on.
    pub subject: Subject,
    /// Limit in bytes.
    pub heap_bytes: u64,
    /// The heap as it would be written: with the options that differ from their defaults.
    pub heap_label: String,
    /// Whether the limit applies to it.
    pub limited: bool,
    /// Whether it is the second series of a heap.
    pub twin: bool,
    /// Whether it is of an experiment, and in no comparison of workloads.
    pub experiment: bool,
    /// The least heap at which every heap of its group completes, if it was looked for.
    pub minimum_heap_bytes: Option<u64>,
    /// Whether it is run in the first so many rounds only; if it is of an experiment, in those, and
    /// in all that follow once the comparisons are as precise as the plan wants them.
    pub rounds: Option<u32>,
    /// Timed iterations in each process, if not as many as the plan says.
    pub iterations: Option<u32>,
}

/// What does the work of a cell.
#[derive(Clone, Debug)]
pub enum Subject {
    /// One of our heaps, with its options and limit.
    Heap(&'static adapter::Description, Settings),
    /// Another runtime.
    Peer(peer::Found),
}

impl Cell {
    /// The peer, if it is one.
    pub fn peer(&self) -> Option<&peer::Found> {
        match &self.subject {
            Subject::Heap(..) => None,
            Subject::Peer(peer) => Some(peer),
        }
    }

    /// The description of this cell's `invocation`th process, from 1.
    pub fn invocation(&self, plan: &Plan, invocation: u32) -> Invocation {
        let (name, options) = match &self.subject {
            Subject::Heap(heap, settings) => (heap.name, settings.values().clone()),
            Subject::Peer(peer) => (peer.description().name, peer.options()),
        };
        Invocation {
            workload: self.workload.name.to_owned(),
            size: plan.size,
            parameters: self.input.parameters().clone(),
            file: self.input.file.clone(),
            heap: name.to_owned(),
            options,
            heap_bytes: self.heap_bytes,
            threads: self.input.threads,
            seed: self.input.seed,
            iterations: self.iterations.unwrap_or(plan.iterations),
            invocation,
        }
    }
}

impl Cell {
    /// Whether it is run in a round, from 1; `precise`: the comparisons need no more.
    pub fn is_in(&self, round: u32, precise: bool) -> bool {
        let always = precise && self.experiment;
        always || self.rounds.is_none_or(|rounds| round <= rounds)
    }

    /// The same cell within other heap bytes.
    ///
    /// # Errors
    ///
    /// A sentence, if the heap cannot be made within them.
    pub fn within(&self, heap_bytes: u64) -> Result<Self, String> {
        let mut cell = Self {
            heap_bytes,
            ..self.clone()
        };
        if let Subject::Heap(heap, settings) = &self.subject {
            let mut resized = Settings::of(heap, heap_bytes);
            for (name, value) in settings.values() {
                resized.set(heap, name, value)?;
            }
            adapter::visit(heap.name, &resized, Check(&resized)).expect("the heap is known")?;
            cell.subject = Subject::Heap(heap, resized);
        }
        Ok(cell)
    }

    /// The workload, with what tells it from the same workload elsewhere in the plan.
    pub(crate) fn work_in_words(&self) -> String {
        let mut text = shown(&self.workload_label);
        if self.input.threads > 1 {
            text.push_str(&format!(", {} threads", self.input.threads));
        }
        if let Some(minimum) = self.minimum_heap_bytes {
            let multiple = self.heap_bytes as f64 / minimum as f64;
            text.push_str(&format!(" at {multiple:.2}x"));
        }
        text
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let labels = [&self.workload_label, &self.heap_label].map(shown);
        write!(f, "{}", labels.join(" on "))?;
        if self.twin {
            write!(f, " (again)")?;
        }
        if self.input.threads > 1 {
            write!(f, ", {} threads", self.input.threads)?;
        }
        if self.minimum_heap_bytes.is_some() {
            write!(f, ", {}", format_bytes(self.heap_bytes))?;
        }
        Ok(())
    }
}

/// Adds to the groups that have something to compare a second series of the heap that the others
/// are compared with.
pub fn with_twins(cells: Vec<Cell>, twins: Twins) -> Vec<Cell> {
    let mut all = Vec::new();
    let comparisons = cells.chunk_by(|a, b| a.group == b.group);
    let mut number = 0;
    for group in comparisons {
        all.extend_from_slice(group);
        if group.len() < 2 {
            continue;
        }
        let runs_twin = match twins {
            Twins::All => true,
            Twins::Some => number % 4 == 0,
            Twins::None => false,
        };
        number += 1;
        if runs_twin {
            let labels = group.iter().map(|cell| cell.heap_label.as_str());
            all.push(Cell {
                twin: true,
                ..group[results::baseline_among(labels)].clone()
            });
        }
    }
    all
}

/// What to combine into cells, as written.
#[derive(Clone, Debug)]
pub struct Selection {
    /// `NAME[:parameter=value,...]`; none means every workload.
    pub workloads: Vec<String>,
    /// `NAME[:option=value,...]`, several separated by commas; none means every heap.
    pub heaps: Vec<String>,
    /// Names of peers.
    pub peers: Vec<String>,
    /// Where they are looked for.
    pub search: peer::Search,
    /// Numbers of threads.
    pub threads: Vec<usize>,
    /// Limit in bytes; by default each workload's own.
    pub heap_bytes: Option<u64>,
    /// Size of the workloads.
    pub size: Size,
    /// Where pseudo-random sequences start.
    pub seed: u64,
}

impl Selection {
    /// These workloads on these heaps, on one thread, beside nobody.
    pub fn new(workloads: Vec<String>, heaps: Vec<String>, size: Size) -> Self {
        Self {
            workloads,
            heaps,
            peers: Vec::new(),
            search: peer::Search::default(),
            threads: vec![1],
            heap_bytes: None,
            size,
            seed: 42,
        }
    }
}

/// Every selected workload on every selected heap and peer at every number of threads, checked; and
/// a line for each peer that is not there, or has no program for a workload. Programs of peers are
/// compiled here.
///
/// What is selected twice is in it once, and a line says so: rows do not tell two such series
/// apart, and whoever wants two has [twins](with_twins).
///
/// # Errors
///
/// A sentence that names what is wrong and the way out.
pub fn cells(
    known: &[workload::Description],
    selection: &Selection,
) -> Result<(Vec<Cell>, Notes), String> {
    let every = |names: Vec<&str>, chosen: &[String]| {
        if chosen.is_empty() {
            names.into_iter().map(str::to_owned).collect()
        } else {
            chosen.to_vec()
        }
    };
    let workloads = every(
        (known.iter().filter(|workload| workload.file.is_none()))
            .map(|workload| workload.name)
            .collect(),
        &selection.workloads,
    );
    let heaps = every(
        adapter::HEAPS.iter().map(|heap| heap.name).collect(),
        &separate(&selection.heaps),
    );
    let mut twice = BTreeSet::new();
    let mut wanted: Vec<String> = Vec::new();
    for peer in &selection.peers {
        if wanted.contains(peer) {
            twice.insert(peer.clone());
        } else {
            wanted.push(peer.clone());
        }
    }
    let (mut peers, missing) = peer::choose(&wanted, &selection.search)?;
    let mut notes = Notes::default();
    notes.miss(missing);

    let mut cells: Vec<Cell> = Vec::new();
    let mut group = 0;
    for workload_text in &workloads {
        let (name, parameters) = split(workload_text)?;
        let workload = find_workload(known, name)?;
        let mut input = Input::new(workload, selection.size);
        input.seed = selection.seed;
        for (name, value) in &parameters {
            input.set(workload, name, value)?;
        }
        for &threads in &selection.threads {
            input.threads = threads;
            workload.check(&input)?;
            let is_work = |cell: &Cell| cell.workload.name == name && cell.input == input;
            if cells.iter().any(is_work) {
                twice.insert(match threads {
                    1 => workload_text.clone(),
                    threads => format!("{workload_text} on {threads} threads"),
                });
                continue;
            }
            for heap_text in &heaps {
                let (name, options) = split(heap_text)?;
                let heap = adapter::find(name)?;
                let limit = selection
                    .heap_bytes
                    .unwrap_or_else(|| workload.heap_bytes(&input));
                let mut settings = Settings::of(heap, limit);
                for (name, value) in &options {
                    settings.set(heap, name, value)?;
                }
                let limited = adapter::visit(heap.name, &settings, Check(&settings))
                    .expect("the heap was just found")
                    .map_err(|reason| format!("{name}: {reason}"))?;
                let is_heap = |cell: &Cell| match &cell.subject {
                    Subject::Heap(known, with) => known.name == heap.name && *with == settings,
                    Subject::Peer(_) => false,
                };
                if (cells.iter()).any(|cell| cell.group == group && is_heap(cell)) {
                    twice.insert(label(heap, &settings));
                    continue;
                }
                cells.push(Cell {
                    group,
                    workload: *workload,
                    input: input.clone(),
                    workload_label: workload_text.clone(),
                    heap_bytes: limit,
                    heap_label: label(heap, &settings),
                    subject: Subject::Heap(heap, settings),
                    limited,
                    twin: false,
                    experiment: false,
                    minimum_heap_bytes: None,
                    rounds: None,
                    iterations: None,
                });
            }
            group += 1;
        }
    }
    if cells.is_empty() {
        return Err("there is no workload to run".to_owned());
    }
    let twice = twice.into_iter();
    let twice = twice.map(|what| format!("{} is named more than once, and run once", shown(what)));
    notes.lines.extend(twice);
    if !peers.is_empty() {
        let names: BTreeSet<&str> = cells.iter().map(|cell| cell.workload.name).collect();
        let names: Vec<&str> = names.into_iter().collect();
        // After everything else has been checked: this takes seconds.
        notes.miss(peer::build(&mut peers, &names)?);
        let (beside, unknown) = beside(cells, &peers);
        cells = beside;
        notes.lines.extend(unknown);
        // One that has no program for some of the workloads has its place with the others; one that
        // has none at all has been asked for in vain.
        let runs = |peer: &peer::Found| names.iter().any(|name| peer.knows(name));
        notes.missing |= !peers.iter().all(runs);
        notes.lines.extend(peer::cleared(&peers));
    }
    Ok((cells, notes))
}

/// Adds the peers' cells to each group, and a line for each peer that has no program for some
/// workload.
pub fn beside(cells: Vec<Cell>, peers: &[peer::Found]) -> (Vec<Cell>, Vec<String>) {
    let mut lacking: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut all = Vec::new();
    for group in cells.chunk_by(|a, b| a.group == b.group) {
        all.extend_from_slice(group);
        let first = &group[0];
        for peer in peers {
            if peer.knows(first.workload.name) {
                all.push(Cell {
                    heap_label: peer.label(),
                    subject: Subject::Peer(peer.clone()),
                    limited: true,
                    ..first.clone()
                });
                continue;
            }
            let lacks = lacking.entry(first.workload.name).or_default();
            if !lacks.contains(&peer.description().name) {
                lacks.push(peer.description().name);
            }
        }
    }
    let notes = lacking
        .iter()
        .map(|(workload, peers)| format!("no program for {workload} on {}", peers.join(", ")))
        .collect();
    (all, notes)
}

/// Takes apart what is separated by commas: a part with a name and no value of an option begins
/// another heap.
fn separate(heaps: &[String]) -> Vec<String> {
    let mut separate: Vec<String> = Vec::new();
    for text in heaps {
        for (index, part) in text.split(',').enumerate() {
            let continues = index > 0 && part.contains('=') && !part.contains(':');
            match separate.last_mut() {
                Some(heap) if continues => {
                    heap.push(',');
                    heap.push_str(part);
                }
                _ => separate.push(part.to_owned()),
            }
        }
    }
    separate
}

/// The workload called `name`.
pub fn find_workload<'k>(
    known: &'k [workload::Description],
    name: &str,
) -> Result<&'k workload::Description, String> {
    known
        .iter()
        .find(|workload| workload.name == name)
        .ok_or_else(|| {
            crate::suggest::unknown("workload", name, known.iter().map(|workload| workload.name))
        })
}

/// A name, and what is set: `NAME:key=value,...`.
type Specification<'t> = (&'t str, Vec<(&'t str, &'t str)>);

/// Splits `NAME:key=value,...`.
pub fn split(text: &str) -> Result<Specification<'_>, String> {
    let (name, rest) = text.split_once(':').unwrap_or((text, ""));
    let pairs = rest
        .split(',')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            pair.split_once('=').ok_or_else(|| {
                format!("'{text}': expected name=value after the colon, found '{pair}'")
            })
        })
        .collect::<Result<_, _>>()?;
    Ok((name, pairs))
}

/// The heap's name and the options that are not at their defaults.
fn label(heap: &adapter::Description, settings: &Settings) -> String {
    let changed: Vec<String> = (heap.options().iter())
        .filter(|option| settings.text(option.name) != option.default)
        .map(|option| format!("{}={}", option.name, settings.text(option.name)))
        .collect();
    if changed.is_empty() {
        heap.name.to_owned()
    } else {
        format!("{}:{}", heap.name, changed.join(","))
    }
}

/// Makes a heap and drops it, to learn now what would otherwise fail in every child; says whether
/// the limit applies to it.
struct Check<'s>(&'s Settings);

impl adapter::Visitor for Check<'_> {
    type Output = Result<bool, String>;

    fn visit<A: Adapter>(self) -> Self::Output {
        A::build(self.0)?;
        Ok(A::capabilities(self.0).limited)
    }
}

/// The most mutator threads.
pub const MOST_THREADS: u32 = 1024;
/// The most timed iterations of a process, and the most processes of a cell.
pub const MOST_ROUNDS: u32 = 1_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn selection(workloads: &[&str], heaps: &[&str]) -> Selection {
        let owned = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect();
        Selection {
            threads: vec![1, 2],
            seed: 1,
            ..Selection::new(owned(workloads), owned(heaps), Size::Tiny)
        }
    }

    #[test]
    fn cells_are_the_product_grouped_by_work() {
        let known = workload::standard();
        let cells = cells(
            &known,
            &selection(&["binary-trees:depth=9"], &["arena", "gc-rc"]),
        )
        .unwrap()
        .0;
        let groups: Vec<_> = cells
            .iter()
            .map(|cell| (cell.group, cell.input.threads))
            .collect();
        assert_eq!(groups, [(0, 1), (0, 1), (1, 2), (1, 2)]);
        assert!(cells.iter().all(|cell| cell.input.get("depth") == 9));
        assert_eq!(
            cells[2].to_string(),
            "binary-trees:depth=9 on arena, 2 threads"
        );
    }

    /// Else its processes would be so many more of one series, and a twin would be run beside it.
    #[test]
    fn what_is_named_twice_is_run_once_and_that_is_said() {
        let known = workload::standard();
        let named = |workloads: &[&str], heaps: &[&str]| {
            let (cells, notes) = cells(&known, &selection(workloads, heaps)).unwrap();
            let cells = with_twins(cells, Twins::All);
            let cells: Vec<String> = cells.iter().map(ToString::to_string).collect();
            assert!(!notes.missing);
            (cells, notes.lines)
        };
        let once = ["list on gc-rc", "list on gc-rc, 2 threads"].map(str::to_owned);
        // With all its defaults it is the same.
        let (cells, notes) = named(&["list"], &["gc-rc,gc-rc", "gc-rc:cycle=generational"]);
        assert_eq!(cells, once);
        assert_eq!(notes, ["gc-rc is named more than once, and run once"]);
        let (cells, notes) = named(&["list", "list"], &["gc-rc"]);
        assert_eq!(cells, once);
        assert_eq!(
            notes,
            [
                "list is named more than once, and run once",
                "list on 2 threads is named more than once, and run once"
            ]
        );
        let (cells, notes) = named(&["list", "list:nodes=77"], &["gc-rc", "gc-rc:cycle=none"]);
        assert_eq!((cells.len(), notes.len()), (2 * 2 * (2 + 1), 0));
    }

    #[test]
    fn nothing_chosen_is_everything() {
        let known = workload::standard();
        let cells = cells(&known, &selection(&[], &[])).unwrap().0;
        assert_eq!(cells.len(), known.len() * adapter::HEAPS.len() * 2);
    }

    #[test]
    fn heaps_may_be_separated_by_commas() {
        let texts = ["arena,gc-rc:cycle=none,gil=fair,gc-marksweep", "arena"];
        let heaps = separate(&texts.map(str::to_owned));
        assert_eq!(
            heaps,
            [
                "arena",
                "gc-rc:cycle=none,gil=fair",
                "gc-marksweep",
                "arena"
            ]
        );
    }

    #[test]
    fn what_is_compared_has_a_twin_of_its_baseline() {
        let known = workload::standard();
        let selected = selection(&["list", "rings"], &["arena", "gc-rc"]);
        let twins = |which| {
            let cells = cells(&known, &selected).unwrap().0;
            let cells = with_twins(cells, which);
            let twins = cells.iter().filter(|cell| cell.twin);
            twins.map(ToString::to_string).collect::<Vec<_>>()
        };
        let all = [
            "list on gc-rc (again)",
            "list on gc-rc (again), 2 threads",
            "rings on gc-rc (again)",
            "rings on gc-rc (again), 2 threads",
        ];
        assert_eq!(twins(Twins::All), all);
        assert_eq!(twins(Twins::Some), all[..1]);
        assert!(twins(Twins::None).is_empty());
        let alone = cells(&known, &selection(&["list"], &["gc-rc"])).unwrap().0;
        assert_eq!(with_twins(alone, Twins::All).len(), 2);
    }

    #[test]
    fn cells_can_be_resized() {
        let known = workload::standard();
        let cell = &cells(&known, &selection(&["list"], &["gc-rc:cycle=none"]))
            .unwrap()
            .0[0];
        let resized = cell.within(100 << 20).unwrap();
        assert_eq!(resized.heap_bytes, 100 << 20);
        assert_eq!(resized.heap_label, "gc-rc:cycle=none");
        let Subject::Heap(_, settings) = &resized.subject else {
            panic!()
        };
        assert_eq!(settings.limit_bytes(), 100 << 20);
        let tiny = cells(&known, &selection(&["list"], &["gc-marksweep"]))
            .unwrap()
            .0;
        assert!(tiny[0].within(4096).unwrap_err().contains("too small"));
    }

    #[test]
    fn mistakes_are_named() {
        let known = workload::standard();
        let message = |workload, heap| cells(&known, &selection(&[workload], &[heap])).unwrap_err();
        assert!(message("binary-tree", "arena").contains("did you mean 'binary-trees'"));
        assert!(message("binary-trees:dept=3", "arena").contains("did you mean 'depth'"));
        assert!(message("binary-trees:depth", "arena").contains("name=value"));
        assert!(message("binary-trees", "arnea").contains("did you mean 'arena'"));
        assert!(message("binary-trees", "arena:limit=x").contains("64M | auto"));
        assert!(message("binary-trees", "arena:x=y").contains("unknown option of arena 'x'"));
    }
}
