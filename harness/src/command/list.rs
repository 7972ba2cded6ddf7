//! `harness list`, and the same below the help of commands that choose from it.

use std::fmt::Write as _;

use clap::Args;

use super::{Command, Context, Examples, print};
use engine::adapter;
use engine::invocation::format_bytes;
use engine::message::{Error, shown};
use engine::peer::{self, Installation, Search};
use engine::workload::{Description, Input, Size};

/// Show workloads, heaps, peers and experiments, with their parameters, options and defaults
#[derive(Debug, Args)]
pub(crate) struct List;

impl Command for List {
    const NAME: &'static str = "list";
    const EXAMPLES: Examples = &[(
        "list",
        "workloads, heaps, peers and experiments, with parameters, options and defaults",
    )];

    fn run(self, context: &Context) -> Result<bool, Error> {
        let found = peers(Some(&Search::default()));
        print(&(catalogue(&context.workloads) + &found + &experiments()))
    }
}

/// Adds to a command's help what there is to choose from.
pub(crate) fn beneath(command: clap::Command, workloads: &[Description]) -> clap::Command {
    command
        .after_help(
            "Workloads, heaps, peers and their settings: harness list, or harness run --help",
        )
        .after_long_help(catalogue(workloads) + &peers(None))
}

/// Everything there is to choose from: each name, and under it what can be set.
fn catalogue(workloads: &[Description]) -> String {
    const SIZES: [Size; 3] = [Size::Tiny, Size::Small, Size::Full];
    let mut text =
        String::from("Workloads, NAME[:parameter=value,...]; values for tiny | small | full\n");
    let setting = |text: &mut String, name: &str, doc: &str, values: String| {
        let _ = writeln!(text, "    {name:<16}{doc}\n{:20}{values}", "");
    };
    for workload in workloads {
        let _ = writeln!(text, "\n  {:<18}{}", workload.name, workload.summary);
        if let Some(what) = workload.file {
            setting(
                &mut text,
                "file",
                what,
                "no default: it is run only if one is named".into(),
            );
        }
        for parameter in workload.parameters {
            let values = match parameter.words {
                [] => SIZES
                    .map(|size| parameter.value(size).to_string())
                    .join(" | "),
                [first, ..] => format!("{} [default: {first}]", parameter.words.join(", ")),
            };
            setting(&mut text, parameter.name, parameter.doc, values);
        }
        if workload.file.is_some() {
            continue;
        }
        let bytes =
            SIZES.map(|size| format_bytes(workload.heap_bytes(&Input::new(workload, size))));
        let doc = "default of --heap-size, with one thread";
        setting(&mut text, "(heap size)", doc, bytes.join(" | "));
    }
    text.push_str("\nHeaps, --heap NAME[:option=value,...]\n");
    for heap in adapter::HEAPS {
        let _ = writeln!(text, "\n  {:<18}{}", heap.name, heap.summary);
        for option in heap.options() {
            let values = format!("{} [default: {}]", option.values, option.default);
            setting(&mut text, option.name, option.help, values);
        }
    }
    text
}

/// The peers, and if they were looked for, which of them are here.
fn peers(look: Option<&Search>) -> String {
    let mut text = String::from(
        "\nPeers, --peer NAME: other runtimes, for the workloads that they have programs for\n",
    );
    let looked = look.map(peer::survey);
    for (index, description) in peer::PEERS.iter().enumerate() {
        let moving = if description.moving { " (moving)" } else { "" };
        let _ = writeln!(
            text,
            "\n  {:<28}{}{moving}",
            description.name, description.summary
        );
        let looked = looked.as_ref().map(|looked| &looked[index].1);
        for line in looked.map_or_else(Vec::new, |found| lines(found, "found: ")) {
            let _ = writeln!(text, "    {line}");
        }
    }
    text
}

/// A line for each installation that was found, or for why there is none.
pub(super) fn lines(found: &Result<Vec<Installation>, String>, mark: &str) -> Vec<String> {
    match found {
        Ok(found) => (found.iter())
            .map(|one| format!("{mark}{} ({})", one.version, shown(&one.program)))
            .collect(),
        Err(reason) => vec![format!("not found: {reason}")],
    }
}

/// The experiments, and how many claims each is evidence for.
fn experiments() -> String {
    let mut text = String::from(
        "\nExperiments, harness claims NAME: what they do and do not show is said by --explain\n\n",
    );
    for experiment in claims::EXPERIMENTS {
        let claims = match experiment.claims.len() {
            1 => "1 claim".to_owned(),
            claims => format!("{claims} claims"),
        };
        let _ = writeln!(
            text,
            "  {:<18}{} ({claims})",
            experiment.name, experiment.summary
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::workload;

    #[test]
    fn the_list_has_everything() {
        let text = catalogue(&workload::standard()) + &peers(None);
        for name in workload::standard().iter().map(|workload| workload.name) {
            assert!(text.contains(name), "{name}");
        }
        for name in adapter::HEAPS.iter().map(|heap| heap.name) {
            assert!(text.contains(name), "{name}");
        }
        for name in peer::PEERS.iter().map(|peer| peer.name) {
            assert!(text.contains(&format!("\n  {name} ")), "{name}");
        }
    }
}
