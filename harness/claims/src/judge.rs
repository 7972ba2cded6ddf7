//! Judges claims by results, whether they were just measured or read from a file.

use crate::claim::{Claim, Control, Side, Verdict};
use crate::evidence::{Estimate, Evidence, Noise};
use crate::experiment::{EXPERIMENTS, Experiment, known};
use crate::form::{self, place_without_the_lock};
use crate::results::{CellResults, Results};
use engine::statistics::family;

/// A claim, what every column says of it, and what follows.
#[derive(Debug)]
pub struct Judged {
    /// The experiment it is of.
    pub experiment: &'static Experiment,
    /// The claim.
    pub claim: &'static Claim,
    /// The columns in order: our heaps, then other runtimes. The same for every claim of the
    /// results.
    pub columns: Vec<Column>,
    /// The verdict; `None` if it could not be measured here.
    pub verdict: Option<Verdict>,
}

/// What one heap or runtime says of a claim.
#[derive(Debug)]
pub struct Column {
    /// The heap's name; or the runtime's name and version, and its path if there are several of
    /// that version.
    pub name: String,
    /// Whether it is one of our heaps: the verdict rests on these.
    pub is_heap: bool,
    /// What it stands for, if it stands for either.
    pub side: Option<Side>,
    /// The figure; or what went wrong with a form of the experiment; `None` if nothing did and
    /// there is none all the same: it is not measured there.
    pub figure: Option<Result<Estimate, String>>,
    /// What its side's rule says of it; `None` if the claim is not about that side, or there is no
    /// figure.
    pub verdict: Option<Verdict>,
    /// What was missing, if it would be decided and its control does not allow it.
    pub lacking: Option<&'static str>,
}

impl Judged {
    /// The heap that stands for a side, as far as this claim was measured there: our verdict rests
    /// on it. Of those that count without the lock it is the first.
    pub fn standing_for(&self, side: Side) -> Option<&Column> {
        standing_for(&self.columns, side)
    }

    /// What was missing to decide it, if that is why it is undecided.
    pub fn lacking(&self) -> Option<&'static str> {
        let is_undecided = self.verdict == Some(Verdict::Undecided);
        let mut heaps = self.columns.iter().filter(|column| column.is_heap);
        heaps.find_map(|column| column.lacking.filter(|_| is_undecided))
    }
}

impl Column {
    /// The estimate, if there is one.
    pub fn estimate(&self) -> Option<Estimate> {
        self.figure.as_ref()?.as_ref().ok().copied()
    }
}

/// Judges every claim of every experiment of which anything was run. An experiment that shares a
/// form with one that was run, and was not run itself, has no claims here that need its other
/// forms.
pub fn judge(results: &Results) -> Vec<Judged> {
    if results.experiments.is_empty() {
        return Vec::new();
    }
    let columns = columns(results);
    let unknown = Noise::unknown(results.timing().calibration());
    let judged = judge_with(results, &columns, &unknown);
    let all = judged.iter().filter(|one| one.verdict.is_some()).count();
    let learnt = unknown.learnt();
    let at = |confidence| judge_with(results, &columns, &learnt.at(confidence));
    let is_decided = |one: &&Judged| {
        let verdict = one.verdict;
        verdict.is_some_and(|verdict| verdict != Verdict::Undecided)
    };
    at(family::confidence(all, |confidence| {
        at(confidence).iter().filter(is_decided).count()
    }))
}

fn judge_with(results: &Results, columns: &[Title], noise: &Noise) -> Vec<Judged> {
    let known = known();
    let mut judged = Vec::new();
    for experiment in EXPERIMENTS {
        let evidence: Vec<Evidence<'_>> = columns
            .iter()
            .map(|title| {
                let place = (title.key.as_str(), title.locked.as_deref());
                Evidence::of(experiment.forms, &known, results, place, noise)
            })
            .collect();
        if evidence.iter().all(Evidence::is_empty) {
            continue;
        }
        let mut forms = experiment.forms.iter();
        let is_complete = forms.all(|form| evidence.iter().any(|evidence| evidence.has(form.name)));
        // Other runtimes run beside our heaps, on the same processors.
        let of_heaps = || {
            columns
                .iter()
                .zip(&evidence)
                .filter(|(title, _)| title.is_heap)
        };
        for claim in experiment.claims {
            // A control touches no heap, so that one of a kind has it for all.
            let is_lacking = |title: &Title, control: &Control| {
                let mut heaps = of_heaps().filter(|(heap, _)| match title.is_heap {
                    true => heap.key == title.collector(),
                    false => heap.key == heap.collector(),
                });
                heaps.any(|(_, evidence)| control.is_lacking(evidence))
            };
            let columns: Vec<Column> = columns
                .iter()
                .zip(&evidence)
                .map(|(title, evidence)| {
                    let control = claim.control.filter(|control| is_lacking(title, control));
                    column(claim, title, evidence, control)
                })
                .collect();
            // Not by what stands beside those that it is about.
            let is_judged = columns.iter().any(|column| column.verdict.is_some());
            if !is_judged && !is_complete {
                continue;
            }
            let verdict = verdict(claim, &columns);
            judged.push(Judged {
                experiment,
                claim,
                columns,
                verdict,
            });
        }
    }
    judged
}

/// `lacking`: the claim's control, if it does not hold.
fn column(
    claim: &Claim,
    title: &Title,
    evidence: &Evidence<'_>,
    lacking: Option<&'static Control>,
) -> Column {
    let figure = match claim.figure.estimate(evidence) {
        Some(estimate) => Some(Ok(estimate)),
        None => evidence.failure().map(Err),
    };
    let estimate = figure.as_ref().and_then(|figure| figure.as_ref().ok());
    let rule = title.side.and_then(|side| claim.rule(side));
    let verdict = rule
        .zip(estimate)
        .map(|(rule, &estimate)| rule.judge(estimate));
    let fakes =
        |control: &&Control| verdict.is_some_and(|verdict| control.fakes.contains(&verdict));
    let faked = lacking.filter(fakes);
    let verdict = faked.map_or(verdict, |_| Some(Verdict::Undecided));
    Column {
        name: title.name.clone(),
        is_heap: title.is_heap,
        side: title.side,
        figure,
        verdict,
        lacking: faked.map(|control| control.lacking),
    }
}

/// What our heaps say together: nothing, unless each side that the claim is about has said
/// something.
fn verdict(claim: &Claim, columns: &[Column]) -> Option<Verdict> {
    let of_side = |side: Side| standing_for(columns, side)?.verdict;
    let sides = Side::ALL.into_iter();
    let about = sides.filter(|&side| claim.rule(side).is_some());
    let verdicts: Option<Vec<Verdict>> = about.map(of_side).collect();
    Verdict::together(verdicts?)
}

/// See [`Judged::standing_for`].
fn standing_for(columns: &[Column], side: Side) -> Option<&Column> {
    let heaps = columns.iter().filter(|column| column.is_heap);
    let mut of_side = heaps.filter(|column| column.side == Some(side));
    of_side.find(|column| column.figure.is_some())
}

/// What a column is of.
struct Title {
    /// What evidence is asked for by: a heap's name, or a peer's label.
    key: String,
    name: String,
    is_heap: bool,
    side: Option<Side>,
    /// The key of the column of its kind that counts behind the lock, if it is another.
    locked: Option<String>,
}

impl Title {
    /// The key of the heap that a heap is without what its options make of it.
    fn collector(&self) -> &str {
        self.key.split(':').next().unwrap_or(&self.key)
    }
}

/// The columns that the results have, our heaps first: as they were run, but those that count
/// without the lock behind the one that has it, and in the order of their list.
fn columns(results: &Results) -> Vec<Title> {
    let mut columns: Vec<Title> = Vec::new();
    for is_heap in [true, false] {
        for cell in &results.experiments {
            if cell.is_peer() == is_heap {
                continue;
            }
            let heap = &cell.invocation().heap;
            let label = cell.heap_label();
            let (key, name) = match is_heap {
                true => (form::column(label), form::column(label)),
                false => (label.to_owned(), heap.clone()),
            };
            if columns.iter().any(|known| known.key == key) {
                continue;
            }
            let side = Side::of(&name);
            columns.push(Title {
                key,
                name: match version(cell) {
                    Some(version) => format!("{name} {version}"),
                    None => name,
                },
                is_heap,
                side,
                locked: None,
            });
        }
    }
    let place = |title: &Title| place_without_the_lock(&title.key);
    let (mut unlocked, mut columns): (Vec<Title>, Vec<Title>) =
        (columns.into_iter()).partition(|title| place(title).is_some());
    unlocked.sort_by_key(place);
    let locked = |is_heap: bool| {
        move |title: &Title| title.is_heap == is_heap && title.side == Some(Side::Counting)
    };
    let behind = columns
        .iter()
        .position(locked(true))
        .map_or(0, |index| index + 1);
    columns.splice(behind..behind, unlocked);
    let key_of = |is_heap: bool| {
        let mut columns = columns.iter();
        columns
            .find(|title| locked(is_heap)(title))
            .map(|title| title.key.clone())
    };
    let keys = [key_of(true), key_of(false)];
    for title in &mut columns {
        let [heap, peer] = &keys;
        title.locked = match title.is_heap {
            true => heap.clone(),
            // Of other runtimes nothing else is the same but for the lock.
            false if title.side == Some(Side::Unlocked) => peer.clone(),
            false => None,
        }
        .filter(|key| *key != title.key);
    }
    let names: Vec<String> = columns.iter().map(|title| title.name.clone()).collect();
    for title in &mut columns {
        if names.iter().filter(|name| **name == title.name).count() > 1 {
            title.name.push_str(&format!(" ({})", title.key));
        }
    }
    columns
}

/// The version of the runtime that a peer's cell was run on: its number, without the build, and
/// what follows it.
fn version(cell: &CellResults) -> Option<String> {
    let mut environments = cell.rows.iter().filter_map(|row| row.environment.as_ref());
    let peer = environments.find_map(|environment| environment.peer.as_ref())?;
    let mut words = peer.version.split_whitespace();
    let number = words.find(|word| {
        // Not the 64 of a 64-bit virtual machine.
        let rest = word.trim_start_matches(|c: char| c.is_ascii_digit());
        rest.len() < word.len() && (rest.is_empty() || rest.starts_with(['.', '+']))
    })?;
    let number = number.split('+').next().unwrap_or(number);
    // What its name says already need not be said again.
    let name = &cell.invocation().heap;
    let rest: Vec<&str> = words.filter(|word| !name.ends_with(word)).collect();
    Some(format!("{number} {}", rest.join(" ")).trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use super::judge;
    use crate::invocation::Row;
    use crate::results::Results;
    use crate::trial::Trial;

    /// The standard run has forms of mark-sweep that stand beside counting without the lock, and
    /// does not count without it: then there is nothing to say of that.
    #[test]
    fn what_stands_beside_does_not_make_a_claim() {
        let trial = Trial::of("scaling");
        let regime = |row: &Row| row.invocation.options.get("regime").cloned();
        let is_locked = |row: &&Row| regime(row).is_none_or(|regime| regime == "gil");
        let rows = trial.rows().iter().filter(is_locked).cloned().collect();
        let judged = judge(&Results::of_rows(rows));
        assert!(judged.iter().any(|one| one.experiment.name == "scaling"));
        assert!(
            judged
                .iter()
                .all(|one| one.experiment.name != "free-threading")
        );
        assert!(
            trial
                .all_judged()
                .iter()
                .any(|one| one.experiment.name == "free-threading")
        );
    }

    /// At tiny size io-bound shares a form with cpu-bound, which was not run.
    #[test]
    fn an_experiment_of_which_a_form_was_run_for_another_is_not_judged() {
        let judged = Trial::of("io-bound").all_judged();
        assert!(judged.len() > 1);
        assert!(
            judged
                .iter()
                .all(|judged| judged.experiment.name == "io-bound")
        );
    }
}
