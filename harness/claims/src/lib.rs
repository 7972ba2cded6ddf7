//! The documents' experiments, and the claims that they are evidence for.
//!
//! The comparison that this project stands on was made in documents: people measured CPython,
//! reasoned about Java, and drew conclusions about global locks, counting and marking. Here each of
//! their experiments is run again, by the same code on both heaps, and on a real CPython and a real
//! JVM where they are installed; and each of their claims gets a verdict.
//!
//! * An *experiment* is a program, or a workload that is there already, run in several *forms*:
//!   with one thread and with two, with the lock and without. One file each in [`experiment`], and
//!   its explanation in a Markdown file beside it. Its program is a
//!   [`Workload`](workload::Workload), and what it sees on its way are observations of its rows. So
//!   an experiment is planned, run, interrupted, resumed, checked and stored like any other
//!   comparison, and its claims can be judged from a file of last year.
//! * A *statement* is what a document says ([`STATEMENTS`]). A [`Claim`] names those that it
//!   judges, or is marked as ours; the two are never counted together.
//! * A claim is a sentence with a *figure*, which is computed from the rows of the forms, and a
//!   [`Rule`] for each kind of memory management that it is about, which says where the figure's
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

#[cfg(test)]
use engine::adapter;
use engine::peer::Search;
use engine::plan::{Cell, Notes, Selection};
use engine::workload::Size;
use engine::{heap, invocation, measure, peer, plan, results, run, sync, workload};

mod claim;
mod evidence;
pub mod experiment;
mod explain;
mod form;
mod judge;
mod quantity;
pub mod report;
pub mod statement;
#[cfg(test)]
mod trial;

pub use claim::{Claim, Control, Figure, Rule, Side, Verdict};
pub use evidence::{Estimate, Evidence};
pub use experiment::{EXPERIMENTS, Experiment, choose, known, programs};
pub use explain::explain;
pub use form::{
    AS_DESCRIBED, BOTH, DEFERRED, EVERY, EVERY_AND_DEFERRED, EVERY_AS_DESCRIBED, Form, UNLOCKED,
};
pub use judge::{Column, Judged, judge};
pub use quantity::{Quantity, Unit};
pub use statement::{STATEMENTS, Statement};

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
        let heaps = form.heaps.iter().map(|&heap| heap.to_owned()).collect();
        let selection = Selection {
            threads: vec![form.threads],
            ..Selection::new(vec![form.text(size)], heaps, size)
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

/// The cells of all experiments in the standard run: at that size, on the heaps alone, each form in
/// as many processes as it needs, and in one iteration. Without what only a run of the claims has
/// the time for: the forms that say so, and counting without the lock.
///
/// # Errors
///
/// As of [`cells`].
pub fn standard(size: Size) -> Result<Vec<Cell>, String> {
    let experiments = choose(&[])?;
    let (mut cells, _) = cells(&experiments, size, &[], &Search::default())?;
    let forms = experiments.iter().flat_map(|experiment| experiment.forms);
    let forms: Vec<&Form> = forms.collect();
    for cell in &mut cells {
        let form = forms[cell.group];
        cell.rounds = Some(form.rounds);
        cell.iterations = Some(u32::from(form.warms_up));
    }
    let column = |cell: &Cell| form::column(&cell.heap_label);
    let is_unlocked = |cell: &Cell| form::place_without_the_lock(&column(cell)).is_some();
    cells.retain(|cell| cell.rounds != Some(0) && !is_unlocked(cell));
    Ok(cells)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What counting without the lock comes to takes time that the standard run has not.
    #[test]
    fn the_standard_run_has_neither_regimes_nor_what_is_of_the_claims_only() {
        let cells = standard(Size::Small).unwrap();
        assert!(cells.iter().all(|cell| !cell.heap_label.contains("regime")));
        assert!(cells.iter().all(|cell| cell.rounds > Some(0)));
        let is_there = |name| cells.iter().any(|cell| cell.workload.name == name);
        assert!(is_there("reference-changes") && is_there("object-locks"));
        assert!(!is_there("sharing") && !is_there("free-threading"));
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
