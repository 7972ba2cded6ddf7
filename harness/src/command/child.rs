//! `harness child`: one invocation in a process of its own.

use clap::Args;

use super::invoke::{input, unknown};
use super::{Command, Context};
use crate::NOT_WRITTEN;
use engine::invocation::Invocation;
use engine::message::{self, Error};
use engine::report::json;
use engine::run;

/// Carry out one invocation in this process: how the other commands start their children
#[derive(Debug, Args)]
#[command(hide = true)]
pub(crate) struct Child {
    /// The invocation, as JSON
    invocation: String,
    /// End when standard input does
    #[arg(long)]
    attended: bool,
}

impl Command for Child {
    const NAME: &'static str = "child";

    fn run(self, context: &Context) -> Result<bool, Error> {
        let invocation: Invocation = serde_json::from_str(&self.invocation)
            .map_err(|error| Error::NotRun(format!("not an invocation: {error}")))?;
        run::name_process();
        if self.attended {
            run::end_with_parent().map_err(Error::NotRun)?;
        }
        carry_out(&invocation, context).map_err(Error::NotRun)?;
        Ok(true)
    }
}

/// Carries out one invocation and prints its rows.
fn carry_out(invocation: &Invocation, context: &Context) -> Result<(), String> {
    let brought = claims::programs();
    let workload = (context.programs.iter().chain(&brought))
        .find(|workload| workload.name == invocation.workload)
        .ok_or_else(|| unknown(invocation))?;
    let mut input = input(workload, invocation)?;
    input.invocation = Some(Box::new(invocation.clone()));
    workload.execute(invocation, &input, &mut |row| {
        if message::deliver(&json::line(&row)).is_err() {
            // Nobody is there to read this row, nor the next.
            std::process::exit(i32::from(NOT_WRITTEN));
        }
    })
}
