//! The documents' experiments, and the claims that they are evidence for.
//!
//! The comparison that this project stands on was made in documents: people measured CPython,
//! reasoned about Java, and drew conclusions about global locks, counting and marking. Here each of
//! their experiments is run again, by the same code on both heaps, and on a real CPython and a real
//! JVM where they are installed; and each of their claims gets a verdict.
//!
//! * An *experiment* is a program, or a workload that is there already, run in several *forms*:
//!   with one thread and with two, with the lock and without. One file each; its program is a
//!   [`Workload`], and what it sees on its way are observations of its rows. So an experiment is
//!   planned, run, interrupted, resumed, checked and stored like any other comparison, and its
//!   claims can be judged from a file of last year.
//! * A [`Claim`] is a statement with a *figure*, which is computed from the rows of the forms, and
//!   a [`Rule`] for each kind of memory management that it is about, which says where the figure's
//!   interval must lie. Rules are written down before the run that they judge.
//! * A [`Verdict`] follows from intervals alone, never from points ([`Rule::judge`]): the claim
//!   holds if the whole interval obeys the rule, does not hold if the whole interval breaks it, and
//!   is undecided otherwise.
//!
//! Columns: a claim is judged on our two heaps, of which gc-rc stands for CPython's side of the
//! argument and gc-marksweep for Java's. The real runtimes stand beside them; where one of them
//! says something else than the heap that stands for it, the verdict says so.
//!
//! Rejected: a framework of its own for experiments (rows, interleaving, peers and resuming would
//! exist twice); verdicts on points (a ratio of 1.03 says nothing without its interval); one rule
//! for both heaps (most claims are about one of them, or about a difference).

#![forbid(unsafe_code)]

use contract::suggest;
#[cfg(test)]
use engine::adapter;
use engine::peer::Search;
use engine::plan::{Cell, Notes, Selection};
use engine::workload::{Description, Input, Program, Size, Workload};
use engine::{heap, invocation, measure, peer, plan, results, run, sync, workload};

mod claim;
mod evidence;
mod judge;
pub mod report;
#[cfg(test)]
mod trial;

pub use claim::{Claim, Quantity, Rule, Side, Unit, Verdict};
pub use evidence::{Estimate, Evidence};
pub use judge::{Column, Judged, judge};

pub mod r#async;
pub mod contention;
pub mod convoy;
pub mod count_race;
pub mod count_traffic;
pub mod countdown;
pub mod cpu_bound;
pub mod cycles;
pub mod footprint;
pub mod io_bound;
pub mod lost_update;
pub mod native;
pub mod pipeline;
pub mod processes;
pub mod reclaim_delay;
pub mod replacement;
pub mod scaling;
pub mod stop_the_world;
pub mod subprocesses;
pub mod switch_interval;
mod threads;
pub mod threshold;

/// Every experiment, in the order in which they are run and shown. A new one is one file and one
/// line.
pub const EXPERIMENTS: &[Experiment] = &[
    count_race::EXPERIMENT,
    countdown::EXPERIMENT,
    cpu_bound::EXPERIMENT,
    io_bound::EXPERIMENT,
    processes::EXPERIMENT,
    native::EXPERIMENT,
    switch_interval::EXPERIMENT,
    contention::EXPERIMENT,
    convoy::EXPERIMENT,
    lost_update::EXPERIMENT,
    pipeline::EXPERIMENT,
    subprocesses::EXPERIMENT,
    r#async::EXPERIMENT,
    footprint::EXPERIMENT,
    reclaim_delay::EXPERIMENT,
    cycles::EXPERIMENT,
    stop_the_world::EXPERIMENT,
    count_traffic::EXPERIMENT,
    scaling::EXPERIMENT,
    threshold::EXPERIMENT,
];

/// Claims that nothing here can judge yet: name, claim, what is missing.
pub const NOT_BUILT: &[(&str, &str, &str)] = &[
    (
        "object-lock",
        "a lock on every object costs far more than one global lock, and can deadlock",
        "needs counting without the global lock",
    ),
    (
        "free-threading",
        "removing the lock costs 10-15 % and must not slow one thread; threads then scale",
        "needs counting without the global lock",
    ),
];

/// One of the documents' experiments.
#[derive(Clone, Copy, Debug)]
pub struct Experiment {
    /// Its name on the command line, in kebab-case.
    pub name: &'static str,
    /// One line about it.
    pub summary: &'static str,
    /// A paragraph: what is done, why it shows the claims, and what it does not show.
    pub explanation: &'static str,
    /// How it is run.
    pub forms: &'static [Form],
    /// What it is evidence for.
    pub claims: &'static [Claim],
    /// The program it brings, if what it runs is not one of the workloads or of another experiment.
    pub program: Option<fn() -> Program>,
}

/// One way to run an experiment.
#[derive(Clone, Copy, Debug)]
pub struct Form {
    /// What its figures are called by.
    pub name: &'static str,
    /// The program, as on the command line: `NAME[:parameter=value,...]`. What is not set has its
    /// default for the size.
    pub workload: &'static str,
    /// Mutator threads.
    pub threads: usize,
    /// The heaps, as on the command line. A heap with options is in the column of its name.
    pub heaps: &'static [&'static str],
    /// Whether other runtimes that have the program run it too.
    pub peers: bool,
    /// More parameters at [`Size::Small`].
    pub small: &'static str,
    /// More parameters at [`Size::Full`].
    pub full: &'static str,
}

/// Both heaps as they come.
pub const BOTH: &[&str] = &["gc-rc", "gc-marksweep"];
/// Both as the documents describe them: their mark-sweep knows no generations, and each of its
/// collections marks the whole heap.
pub const AS_DESCRIBED: &[&str] = &["gc-rc", "gc-marksweep:generations=off"];

impl Form {
    /// A form that runs on both heaps and on the real runtimes.
    pub const fn new(name: &'static str, workload: &'static str, threads: usize) -> Self {
        Self {
            name,
            workload,
            threads,
            heaps: BOTH,
            peers: true,
            small: "",
            full: "",
        }
    }

    /// The same on these heaps instead of [`BOTH`], beside the same other runtimes.
    pub const fn with_heaps(self, heaps: &'static [&'static str]) -> Self {
        Self { heaps, ..self }
    }

    /// The same on these heaps only, and on no other runtime.
    pub const fn on(self, heaps: &'static [&'static str]) -> Self {
        Self {
            heaps,
            peers: false,
            ..self
        }
    }

    /// The same with other parameters than the program's defaults for a size,
    /// `parameter=value,...`: a workload's own sizes are for comparing heaps, and may be longer
    /// than a claim needs.
    pub const fn sized(self, small: &'static str, full: &'static str) -> Self {
        Self {
            small,
            full,
            ..self
        }
    }

    /// The program with its parameters at a size, as on the command line.
    pub fn text(&self, size: Size) -> String {
        let more = match size {
            Size::Tiny => "",
            Size::Small => self.small,
            Size::Full => self.full,
        };
        let (name, always) = self.workload.split_once(':').unwrap_or((self.workload, ""));
        let mut parameters: Vec<(&str, &str)> = Vec::new();
        for parameter in [always, more].iter().flat_map(|list| list.split(',')) {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            // What is set for a size takes the place of what is set for all.
            match parameters.iter_mut().find(|(known, _)| *known == name) {
                Some(known) => known.1 = value,
                None if name.is_empty() => {}
                None => parameters.push((name, value)),
            }
        }
        let parameters: Vec<String> = parameters
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        match parameters.is_empty() {
            true => name.to_owned(),
            false => format!("{name}:{}", parameters.join(",")),
        }
    }

    /// Its program and the input at a size.
    ///
    /// # Panics
    ///
    /// If the form names a program or a parameter that does not exist: a test looks at every form.
    pub(crate) fn input(&self, known: &[Description], size: Size) -> (Description, Input) {
        let text = self.text(size);
        let (name, parameters) = plan::split(&text).unwrap_or_else(|message| panic!("{message}"));
        let program =
            plan::find_workload(known, name).unwrap_or_else(|message| panic!("{message}"));
        let mut input = Input::new(program, size);
        input.threads = self.threads;
        for (name, value) in parameters {
            input
                .set(program, name, value)
                .unwrap_or_else(|message| panic!("{message}"));
        }
        (*program, input)
    }
}

/// The programs that experiments bring, which are run like workloads but are in no comparison of
/// workloads.
pub fn programs() -> Vec<Program> {
    EXPERIMENTS
        .iter()
        .filter_map(|experiment| experiment.program.map(|program| program()))
        .collect()
}

/// A program, for [`Experiment::program`].
pub fn program<W: Workload>() -> Program {
    Program::of::<W>()
}

/// Every program that a form may name: the workloads, and those of the experiments.
pub fn known() -> Vec<Description> {
    let mut known = workload::standard();
    known.extend(workload::describe(&programs()));
    known
}

/// The experiments of these names, in their own order; all if there are none.
///
/// # Errors
///
/// A sentence that names the experiment the user may have meant.
pub fn choose(names: &[String]) -> Result<Vec<&'static Experiment>, String> {
    for name in names {
        let mut all = EXPERIMENTS.iter();
        if let Some((_, _, reason)) = NOT_BUILT.iter().find(|(known, ..)| known == name) {
            return Err(format!("experiment '{name}' is not built yet: it {reason}"));
        }
        if !all.any(|experiment| experiment.name == name) {
            let names = EXPERIMENTS.iter().map(|experiment| experiment.name);
            return Err(suggest::unknown("experiment", name, names));
        }
    }
    let chosen = EXPERIMENTS
        .iter()
        .filter(|experiment| names.is_empty() || names.iter().any(|name| name == experiment.name));
    Ok(chosen.collect())
}

/// Runtimes that stand beside the heaps if the user names none.
pub const PEERS: &[&str] = &["cpython", "hotspot-serial"];

/// The cells of the experiments' forms, each once, in a group for each form; and a line for each
/// peer that is not there.
///
/// # Errors
///
/// A sentence, if a peer that was named does not exist.
pub fn cells(
    experiments: &[&'static Experiment],
    size: Size,
    peers: &[String],
    search: &Search,
) -> Result<(Vec<Cell>, Notes), String> {
    let known = known();
    let (mut peers, missing) = peer::choose(peers, search)?;
    let mut notes = Notes::default();
    notes.miss(missing);
    let forms = || experiments.iter().flat_map(|experiment| experiment.forms);
    let mut names: Vec<&str> = forms()
        .filter(|form| form.peers)
        .map(|form| form.input(&known, size).0.name)
        .collect();
    names.sort_unstable();
    names.dedup();
    notes.miss(peer::build(&mut peers, &names)?);
    notes.lines.extend(peer::cleared(&peers));

    let mut cells: Vec<Cell> = Vec::new();
    for (index, form) in forms().enumerate() {
        let selection = Selection {
            workloads: vec![form.text(size)],
            heaps: form.heaps.iter().map(|&heap| heap.to_owned()).collect(),
            peers: Vec::new(),
            search: Search::default(),
            threads: vec![form.threads],
            heap_bytes: None,
            size,
            seed: 42,
        };
        let (mut of_form, _) = plan::cells(&known, &selection)?;
        if form.peers {
            // A runtime that lacks the program has an empty place in the table.
            of_form = plan::beside(of_form, &peers).0;
        }
        for cell in of_form {
            // Experiments may share a form.
            let is_there = cells.iter().any(|known| {
                known.workload.name == cell.workload.name
                    && known.input == cell.input
                    && known.heap_label == cell.heap_label
            });
            if !is_there {
                cells.push(Cell {
                    group: index,
                    experiment: true,
                    ..cell
                });
            }
        }
    }
    Ok((cells, notes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapter;

    #[test]
    fn experiments_are_consistent() {
        let known = known();
        for (index, experiment) in EXPERIMENTS.iter().enumerate() {
            let name = experiment.name;
            let mut before = EXPERIMENTS[..index].iter();
            assert!(before.all(|other| other.name != name), "{name}");
            assert!(!experiment.claims.is_empty(), "{name}");
            for (index, form) in experiment.forms.iter().enumerate() {
                for size in [Size::Tiny, Size::Small, Size::Full] {
                    form.input(&known, size);
                }
                let mut before = experiment.forms[..index].iter();
                assert!(
                    before.all(|other| other.name != form.name),
                    "{name}: {}",
                    form.name
                );
                for heap in form.heaps {
                    let heap = heap.split(':').next().unwrap_or_default();
                    assert!(adapter::find(heap).is_ok(), "{name}: {heap}");
                }
            }
            for claim in experiment.claims {
                let about = claim.counting.is_some() || claim.tracing.is_some();
                assert!(about, "{name}: {}", claim.statement);
            }
        }
    }

    #[test]
    fn what_is_set_for_a_size_takes_the_place_of_what_is_set_for_all() {
        let form = Form::new("form", "list:a=1,b=2", 1).sized("c=3", "a=4,c=5");
        assert_eq!(form.text(Size::Tiny), "list:a=1,b=2");
        assert_eq!(form.text(Size::Small), "list:a=1,b=2,c=3");
        assert_eq!(form.text(Size::Full), "list:a=4,b=2,c=5");
        assert_eq!(Form::new("form", "list", 1).text(Size::Full), "list");
    }

    /// The ends of every parameter's range, beside each other and with as many threads as there may
    /// be: heap bytes are sizes that a command line takes, whatever is multiplied. What lies beyond
    /// the ends is refused.
    #[test]
    fn parameters_hold_to_the_ends_of_their_ranges() {
        for workload in known() {
            let ends = |parameter: &workload::Parameter| [parameter.range.0, parameter.range.1];
            for chosen in 0..1_usize << workload.parameters.len() {
                let mut input = Input::new(&workload, Size::Tiny);
                for (index, parameter) in workload.parameters.iter().enumerate() {
                    let value = ends(parameter)[chosen >> index & 1].to_string();
                    input.set(&workload, parameter.name, &value).unwrap();
                }
                for threads in [1, plan::MOST_THREADS as usize] {
                    input.threads = threads;
                    let bytes = workload.heap_bytes(&input);
                    assert!((1..1 << 60).contains(&bytes), "{}: {bytes}", workload.name);
                }
            }
            let mut input = Input::new(&workload, Size::Tiny);
            for parameter in workload.parameters {
                let (least, most) = parameter.range;
                let beyond = [least.wrapping_sub(1), most.wrapping_add(1)].map(|it| it.to_string());
                let senseless = ["", "-1", "1e3", "0x10", "nan", "18446744073709551616"];
                for value in beyond.iter().map(String::as_str).chain(senseless) {
                    let refused = input.set(&workload, parameter.name, value).unwrap_err();
                    assert!(refused.contains(parameter.name), "{refused}");
                    assert!(!refused.contains('\n'), "{refused}");
                }
            }
        }
    }

    #[test]
    fn programs_have_names_of_their_own() {
        let known = known();
        for (index, program) in known.iter().enumerate() {
            let mut before = known[..index].iter();
            assert!(
                before.all(|other| other.name != program.name),
                "{}",
                program.name
            );
        }
    }

    #[test]
    fn unknown_experiments_are_met_with_the_nearest() {
        let message = choose(&["countdwn".to_owned()]).unwrap_err();
        assert!(message.contains("did you mean 'countdown'"), "{message}");
        let message = choose(&["free-threading".to_owned()]).unwrap_err();
        assert!(message.contains("not built yet"), "{message}");
        assert_eq!(choose(&[]).unwrap().len(), EXPERIMENTS.len());
    }

    #[test]
    fn every_cell_is_run_once() {
        let experiments = choose(&[]).unwrap();
        let (cells, _) = cells(&experiments, Size::Tiny, &[], &Search::default()).unwrap();
        assert!(cells.iter().all(|cell| cell.experiment));
        assert!(cells.is_sorted_by_key(|cell| cell.group));
        for (index, cell) in cells.iter().enumerate() {
            let same = cells[..index].iter().find(|other| {
                other.workload.name == cell.workload.name
                    && other.input == cell.input
                    && other.heap_label == cell.heap_label
            });
            assert!(same.is_none(), "{cell}");
        }
    }
}
