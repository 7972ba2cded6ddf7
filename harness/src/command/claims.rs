//! `harness claims`: the documents' experiments, run and judged.

use std::time::Duration;

use clap::Args;

use super::{Command, Context, Examples, print};
use crate::arguments::{Installations, unless_interrupted, up_to};
use engine::message::Error;
use engine::plan::{self, Plan};
use engine::run;
use engine::workload::Size;

/// The time that the claims take at most, if two processes for each form fit into it.
const BUDGET: Duration = Duration::from_secs(570);
/// From five processes on intervals need not be stretched (see [`engine::measure::estimate`]).
const INVOCATIONS: u32 = 5;

/// Run the documents' experiments on both heaps and on real runtimes, and judge their claims
#[derive(Debug, Args)]
pub(crate) struct Claims {
    /// Experiments [default: all]
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// Run nothing: say what is done, why it shows the claims, and what it does not show
    #[arg(long)]
    explain: bool,
    /// Another runtime to run beside the heaps; may be repeated, or several separated by commas;
    /// none for none [default: cpython,hotspot-serial, as far as they are here]
    #[arg(long = "peer", value_name = "PEER", value_delimiter = ',')]
    peers: Vec<String>,
    #[command(flatten)]
    installations: Installations,
    /// How much work
    #[arg(long, value_enum, default_value_t = Size::Full)]
    size: Size,
    /// Processes for each form of an experiment on each heap and runtime [default: up to 5, as many
    /// as fit into ten minutes]
    #[arg(long, value_name = "N", value_parser = up_to(plan::MOST_ROUNDS))]
    invocations: Option<u32>,
}

impl Command for Claims {
    const NAME: &'static str = "claims";
    const EXAMPLES: Examples = &[
        (
            "claims",
            "the documents' experiments, with CPython and Java where they are installed",
        ),
        (
            "claims free-threading --peer cpython,cpython-free-threaded",
            "what counting without the lock costs, here and in CPython",
        ),
        (
            "claims lost-update --explain",
            "what is done, and what it does not show",
        ),
    ];

    fn run(self, context: &Context) -> Result<bool, Error> {
        let experiments = claims::choose(&self.names).map_err(Error::NotRun)?;
        if self.explain {
            return print(&claims::explain(&experiments));
        }
        let peers: Vec<String> = match &self.peers[..] {
            [] => claims::PEERS.iter().map(|&peer| peer.to_owned()).collect(),
            [none] if none == "none" => Vec::new(),
            peers => peers.to_vec(),
        };
        let search = self.installations.search();
        let cells = claims::cells(&experiments, self.size, &peers, &search);
        let (cells, mut notes) = unless_interrupted(cells)?;
        // Those that are run by default are run as far as they are here.
        notes.missing &= !self.peers.is_empty();
        run::run(&Plan {
            invocations: self.invocations.unwrap_or(INVOCATIONS),
            budget: self.invocations.is_none().then_some(BUDGET),
            ..context.reporting.plan(cells, notes, self.size)
        })
    }
}
