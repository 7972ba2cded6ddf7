//! Judges claims by results, whether they were just measured or read from a file.

use super::{Claim, EXPERIMENTS, Estimate, Evidence, Experiment, Side, Verdict, known};
use crate::results::Results;

/// A claim, what every column says of it, and what follows.
#[derive(Debug)]
pub struct Judged {
    /// The experiment it is of.
    pub experiment: &'static Experiment,
    /// The claim.
    pub claim: &'static Claim,
    /// The columns in order: our heaps, then other runtimes. The same for every claim of the results.
    pub columns: Vec<Column>,
    /// The verdict; `None` if it could not be measured here.
    pub verdict: Option<Verdict>,
}

/// What one heap or runtime says of a claim.
#[derive(Debug)]
pub struct Column {
    /// The heap's name, or the runtime's label.
    pub name: String,
    /// Whether it is one of our heaps: the verdict rests on these.
    pub is_heap: bool,
    /// The figure; or, if the claim's forms were run, why there is none; `None` if they were not.
    pub figure: Option<Result<Estimate, String>>,
    /// What its side's rule says of it; `None` if the claim is not about that side, or there is no figure.
    pub verdict: Option<Verdict>,
}

impl Column {
    /// The estimate, if there is one.
    pub fn estimate(&self) -> Option<Estimate> {
        self.figure.as_ref()?.as_ref().ok().copied()
    }
}

/// Judges every claim of every experiment of which anything was run. An experiment that shares a form with one that was run, and was not run itself, has
/// no claims here that need its other forms.
pub fn judge(results: &Results) -> Vec<Judged> {
    if results.experiments.is_empty() {
        return Vec::new();
    }
    let known = known();
    let columns = columns(results);
    let mut judged = Vec::new();
    for experiment in EXPERIMENTS {
        let evidence: Vec<Evidence<'_>> = columns
            .iter()
            .map(|(name, _)| Evidence::of(experiment, &known, results, name))
            .collect();
        if evidence.iter().all(Evidence::is_empty) {
            continue;
        }
        let mut forms = experiment.forms.iter();
        let is_complete = forms.all(|form| evidence.iter().any(|evidence| evidence.has(form.name)));
        for claim in experiment.claims {
            let columns: Vec<Column> = columns
                .iter()
                .zip(&evidence)
                .map(|((name, is_heap), evidence)| column(claim, name, *is_heap, evidence))
                .collect();
            let is_judged = columns
                .iter()
                .any(|column| matches!(column.figure, Some(Ok(_))));
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

fn column(claim: &Claim, name: &str, is_heap: bool, evidence: &Evidence<'_>) -> Column {
    let figure = (!evidence.is_empty()).then(|| {
        let missing = || evidence.failure().unwrap_or_else(|| "no figure".to_owned());
        (claim.figure)(evidence).ok_or_else(missing)
    });
    let estimate = figure.as_ref().and_then(|figure| figure.as_ref().ok());
    let rule = Side::of(name).and_then(|side| claim.rule(side));
    let verdict = rule
        .zip(estimate)
        .map(|(rule, &estimate)| rule.judge(estimate));
    Column {
        name: name.to_owned(),
        is_heap,
        figure,
        verdict,
    }
}

/// What our heaps say together: nothing, unless each side that the claim is about has said something.
fn verdict(claim: &Claim, columns: &[Column]) -> Option<Verdict> {
    let of_side = |side: Side| {
        let mut columns = columns.iter();
        let column = columns.find(|column| column.is_heap && Side::of(&column.name) == Some(side));
        column.and_then(|column| column.verdict)
    };
    let sides = [Side::Counting, Side::Tracing];
    let about = sides.into_iter().filter(|&side| claim.rule(side).is_some());
    let verdicts: Option<Vec<Verdict>> = about.map(of_side).collect();
    Verdict::together(verdicts?)
}

/// The columns that the results have, our heaps first; and whether it is one of them.
fn columns(results: &Results) -> Vec<(String, bool)> {
    let mut columns: Vec<(String, bool)> = Vec::new();
    for is_heap in [true, false] {
        for cell in &results.experiments {
            if cell.is_peer() == is_heap {
                continue;
            }
            let name = if is_heap {
                cell.invocation().heap.clone()
            } else {
                cell.heap_label().to_owned()
            };
            if !columns.iter().any(|(known, _)| *known == name) {
                columns.push((name, is_heap));
            }
        }
    }
    columns
}

#[cfg(test)]
mod tests {
    use crate::experiment::trial::Trial;

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
