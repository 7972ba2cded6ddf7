//! What an experiment does, for a terminal: its explanation, its claims and their rules, its forms.

use crate::experiment::Experiment;
use crate::form::Form;
use crate::report::rules;
use crate::workload::Size;
use engine::report::text::wrap;

/// How wide text is set.
const WIDTH: usize = 100;

/// What is done, why it shows the claims, and what it does not show.
pub fn explain(experiments: &[&'static Experiment]) -> String {
    let texts: Vec<String> = experiments.iter().map(|one| explanation(one)).collect();
    texts.join("\n")
}

fn explanation(experiment: &Experiment) -> String {
    let mut text = format!("{}: {}\n\n", experiment.name, experiment.summary);
    text.push_str(experiment.explanation);
    for claim in experiment.claims {
        let rules = rules(claim);
        text.push('\n');
        for (name, words) in [
            ("Claim:", claim.statement),
            ("Documents:", &claim.source()),
            ("Measured:", claim.measured),
            ("Holds if:", rules.trim_start_matches("rule: ")),
        ] {
            text.push_str(&hanging(&format!("  {name:<12}"), 14, words));
        }
    }
    text.push_str("\n  Forms:\n");
    for form in experiment.forms {
        text.push_str(&hanging("    ", 6, &description(form)));
    }
    text
}

/// How a form is run, at full size.
fn description(form: &Form) -> String {
    let threads = match form.threads {
        1 => "1 thread".to_owned(),
        threads => format!("{threads} threads"),
    };
    let peers = if form.peers {
        " and other runtimes"
    } else {
        ""
    };
    let (name, program) = (form.name, form.text(Size::Full));
    let heaps = form.heaps.join(", ");
    format!("{name}: {program}, {threads}, on {heaps}{peers}")
}

/// Words after `first`, the lines below the first one indented so far.
fn hanging(first: &str, indent: usize, words: &str) -> String {
    let lines = wrap(words, WIDTH, indent, indent);
    format!("{first}{}\n", lines.trim_start())
}
