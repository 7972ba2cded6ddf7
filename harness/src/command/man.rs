//! `harness man`: the manual page of the whole, or of one command, in roff.

use clap::Args;

use super::{Command, Context, print};
use contract::suggest;
use engine::message::Error;

/// Print the manual page
#[derive(Debug, Args)]
pub(crate) struct Man {
    /// Of this command [default: the whole]
    command: Option<String>,
}

impl Command for Man {
    const NAME: &'static str = "man";

    fn run(self, context: &Context) -> Result<bool, Error> {
        print(&page(context.definition.clone(), self.command.as_deref()).map_err(Error::NotRun)?)
    }
}

fn page(mut command: clap::Command, of: Option<&str>) -> Result<String, String> {
    command.build();
    let mut title = command.get_name().to_owned();
    let page = match of {
        None => command,
        Some(name) => {
            let shown = || {
                let commands = command.get_subcommands();
                commands.filter(|command| !command.is_hide_set() && command.get_name() != "help")
            };
            let found = shown().find(|command| command.get_name() == name).cloned();
            title.push_str(&format!("-{name}"));
            found.ok_or_else(|| {
                suggest::unknown("command", name, shown().map(clap::Command::get_name))
            })?
        }
    };
    let mut roff = Vec::new();
    clap_mangen::Man::new(page.version(env!("CARGO_PKG_VERSION")))
        .title(title)
        .render(&mut roff)
        .map_err(|error| format!("the manual page cannot be made: {error}"))?;
    Ok(String::from_utf8_lossy(&roff).into_owned())
}
