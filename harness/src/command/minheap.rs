//! `harness minheap`.

use clap::Args;

use super::{Command, Context, Examples};
use crate::arguments::{Amount, Chosen};
use engine::message::Error;
use engine::minheap;

/// Find the smallest heap size at which chosen workloads complete on chosen heaps
#[derive(Debug, Args)]
pub(crate) struct Minheap {
    #[command(flatten)]
    chosen: Chosen,
}

impl Command for Minheap {
    const NAME: &'static str = "minheap";
    const EXAMPLES: Examples = &[(
        "minheap churn --heap gc-marksweep --peer hotspot-serial --output minima.jsonl",
        "",
    )];

    fn run(self, context: &Context) -> Result<bool, Error> {
        minheap::run(&context.plan(&self.chosen, None, &Amount::ONE)?)
    }
}
