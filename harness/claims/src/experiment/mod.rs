//! The experiments: a file each, and its explanation in a Markdown file beside it.
//!
//! An experiment's file is three tables and what they speak of: its *forms* (a program, its
//! parameters, threads, heaps), its *claims* (a sentence, what the documents give, what is
//! measured, a rule for each side), and the *parameters* of the program that it brings, if it does
//! not run somebody else's. Its tests plant figures and look at the verdicts. What it is written
//! with is in `prelude`; what several programs are made of, in `scaffold`; and [`replacement`] is a
//! program that four experiments run.
//!
//! A new one is `NAME.rs` and `NAME.md` here, and its place in [`EXPERIMENTS`]: it is then run,
//! resumed, stored, judged, listed and explained like the others. Other runtimes run it if they
//! have a program of its name.
//!
//! Rejected: experiments in a data file (a figure may be any function of a row, and a name that is
//! mistyped is found by the compiler); a macro that declares the modules and the list in one line
//! (rustfmt does not follow it, and leaves twenty files as they are).

use contract::suggest;

use crate::claim::Claim;
use crate::form::Form;
use crate::workload::{self, Description, Program};

pub mod r#async;
pub mod broken_links;
pub mod contention;
pub mod convoy;
pub mod count_race;
pub mod count_traffic;
pub mod countdown;
pub mod cpu_bound;
pub mod cycles;
pub mod fan_out;
pub mod footprint;
pub mod free_threading;
pub mod io_bound;
pub mod lost_update;
pub mod native;
pub mod object_lock;
mod object_locks;
pub mod passing;
pub mod pipeline;
mod prelude;
pub mod processes;
pub mod processors;
pub mod reclaim_delay;
pub mod replacement;
mod scaffold;
pub mod scaling;
pub mod sharing;
pub mod stop_the_world;
pub mod subprocesses;
pub mod switch_interval;
pub mod threshold;

/// Every experiment, in the order in which they are run and shown.
pub const EXPERIMENTS: &[Experiment] = &[
    processors::EXPERIMENT,
    count_race::EXPERIMENT,
    countdown::EXPERIMENT,
    cpu_bound::EXPERIMENT,
    io_bound::EXPERIMENT,
    processes::EXPERIMENT,
    passing::EXPERIMENT,
    native::EXPERIMENT,
    switch_interval::EXPERIMENT,
    contention::EXPERIMENT,
    convoy::EXPERIMENT,
    lost_update::EXPERIMENT,
    broken_links::EXPERIMENT,
    pipeline::EXPERIMENT,
    subprocesses::EXPERIMENT,
    fan_out::EXPERIMENT,
    r#async::EXPERIMENT,
    footprint::EXPERIMENT,
    reclaim_delay::EXPERIMENT,
    cycles::EXPERIMENT,
    stop_the_world::EXPERIMENT,
    count_traffic::EXPERIMENT,
    scaling::EXPERIMENT,
    threshold::EXPERIMENT,
    free_threading::EXPERIMENT,
    sharing::EXPERIMENT,
    object_lock::EXPERIMENT,
];

/// One of the documents' experiments.
#[derive(Clone, Copy, Debug)]
pub struct Experiment {
    /// Its name on the command line, in kebab-case.
    pub name: &'static str,
    /// One line about it.
    pub summary: &'static str,
    /// What is done, why it shows the claims, and what it does not show: Markdown that is read as
    /// it is, in lines of at most 100 columns. Also the documentation of the experiment's module.
    pub explanation: &'static str,
    /// How it is run.
    pub forms: &'static [Form],
    /// What it is evidence for.
    pub claims: &'static [Claim],
    /// The programs it brings, if what it runs are not workloads or those of another experiment.
    pub programs: &'static [Program],
}

/// The programs that experiments bring, which are run like workloads but are in no comparison of
/// workloads.
pub fn programs() -> Vec<Program> {
    let programs = EXPERIMENTS
        .iter()
        .flat_map(|experiment| experiment.programs);
    programs.copied().collect()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapter;
    use crate::plan;
    use crate::workload::{Input, Size};

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
                let is_elsewhere = |heap| !form.heaps.contains(heap);
                assert!(
                    before.all(|other| {
                        other.name != form.name || other.heaps.iter().all(is_elsewhere)
                    }),
                    "{name}: {}",
                    form.name
                );
                for heap in form.heaps {
                    let heap = heap.split(':').next().unwrap_or_default();
                    assert!(adapter::find(heap).is_ok(), "{name}: {heap}");
                }
            }
            for claim in experiment.claims {
                let about = crate::claim::Side::ALL
                    .iter()
                    .any(|&side| claim.rule(side).is_some());
                assert!(about, "{name}: {}", claim.statement);
                assert!(!claim.measured.is_empty(), "{name}: {}", claim.statement);
            }
        }
    }

    #[test]
    fn explanations_are_read_as_they_are() {
        for experiment in EXPERIMENTS {
            let mut lines = experiment.explanation.lines();
            assert!(
                lines.all(|line| line.chars().count() <= 100),
                "{}",
                experiment.name
            );
            // Links that rustdoc resolves are noise on a terminal.
            assert!(
                !experiment.explanation.contains("]("),
                "{}",
                experiment.name
            );
        }
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
                assert!(!parameter.doc.is_empty(), "{}", parameter.name);
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
        assert_eq!(choose(&[]).unwrap().len(), EXPERIMENTS.len());
    }
}
