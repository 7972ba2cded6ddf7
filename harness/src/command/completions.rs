//! `harness completions`.

use clap::Args;

use super::{Command, Context, print};
use engine::message::Error;

/// Print a script that completes this command's arguments in a shell
#[derive(Debug, Args)]
pub(crate) struct Completions {
    /// The shell
    shell: clap_complete::Shell,
}

impl Command for Completions {
    const NAME: &'static str = "completions";

    fn run(self, context: &Context) -> Result<bool, Error> {
        let mut script = Vec::new();
        let mut definition = context.definition.clone();
        clap_complete::generate(self.shell, &mut definition, "harness", &mut script);
        print(&String::from_utf8_lossy(&script))
    }
}
