//! Which runtime it is.
//!
//! What a name on `PATH` starts may depend on the directory that one stands in, on the environment,
//! and on the day: pyenv, asdf and jenv put scripts there that choose. So the name is asked once,
//! where the user stands, which file it has started; that file is asked again elsewhere, must say
//! the same, and is what runs. And every process says itself which runtime it is, which version,
//! and from which file, in each of its lines. Rows hold what the process said; one that says
//! something else than was planned is void.
//!
//! Rejected: following links and reading scripts to guess what they start; trusting what was found
//! once, since files are replaced while a long run is under way.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use serde::Deserialize;

use crate::outside;
use crate::process;

/// A runtime on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Installation {
    /// Its name and version.
    pub version: String,
    /// The version alone.
    pub short_version: String,
    /// The file that runs our programs, as the runtime itself says, or the compiler that compiles
    /// them.
    pub program: PathBuf,
}

/// The installations of a runtime, or a sentence that says what is missing and how to get it.
pub type Installations = Result<Vec<Installation>, String>;

/// What a process says of the runtime that it is: one object of JSON, alone in a line where it was
/// asked, and in each line of a program's.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct Said {
    pub(super) name: String,
    pub(super) version: String,
    /// The file that is running; of a library, the library's. As text: what is none in it is
    /// replaced.
    pub(super) program: String,
    /// What else tells it from others of its kind, such as the flags that are in force.
    #[serde(default)]
    pub(super) details: BTreeMap<String, String>,
}

impl Said {
    /// Its name and version.
    pub(super) fn full_version(&self) -> String {
        format!("{} {}", self.name, self.version)
    }

    /// What keeps a row of its process from counting as one of this installation, if anything does.
    pub(super) fn differs_from(&self, planned: &Installation) -> Option<String> {
        let version = self.full_version();
        if version != planned.version {
            return Some(format!(
                "its process says that it is {version} ({}), and the plan has {} ({})",
                self.program,
                planned.version,
                planned.program.display()
            ));
        }
        None
    }

    /// The same for the file that runs.
    pub(super) fn lies_elsewhere(&self, planned: &Installation) -> Option<String> {
        (!is_same_file(&planned.program, &self.program)).then(|| {
            format!(
                "its process says that it runs {}, and the plan has {}: name that file itself",
                self.program,
                planned.program.display()
            )
        })
    }
}

/// How programs of one kind are asked which runtime they are.
pub(super) struct Question {
    /// The program's names on `PATH`, and in `bin` of a directory that a user names: the first that
    /// is there is asked.
    pub(super) programs: &'static [&'static str],
    pub(super) arguments: &'static [&'static str],
    /// Reads the answer. The words, which follow the program's name in a sentence, say what is
    /// wrong with it.
    pub(super) read: fn(&Output) -> Result<Installation, String>,
    /// How to get a runtime of this kind.
    pub(super) how: &'static str,
}

impl Question {
    /// The installations at these places; if none is named, the one on `PATH`.
    pub(super) fn find(&self, named: &[PathBuf]) -> Installations {
        if named.is_empty() {
            let is_there = |path: &Path| on_path(path) != path;
            return Ok(vec![self.locate(&self.first(Path::new(""), is_there))?]);
        }
        let places = named.iter().map(|path| match path.is_dir() {
            true => self.first(&path.join("bin"), Path::exists),
            false => path.clone(),
        });
        places.map(|path| self.locate(&path)).collect()
    }

    /// The first of the programs in a directory that is there; if none is, the first.
    fn first(&self, directory: &Path, is_there: impl Fn(&Path) -> bool) -> PathBuf {
        let places = || self.programs.iter().map(|program| directory.join(program));
        let mut there = places().filter(|path| is_there(path));
        there.next().or_else(|| places().next()).unwrap_or_default()
    }

    /// Asks the runtime that `path` starts which one it is and where it lies, and that file, in
    /// another directory, the same. What comes back can be run from anywhere.
    fn locate(&self, path: &Path) -> Result<Installation, String> {
        let here = self.ask(path, Command::new(path))?;
        let file = if here.program.is_absolute() && here.program.is_file() {
            here.program.clone()
        } else {
            // It cannot say it in letters that exist.
            on_path(path)
        };
        let elsewhere = std::env::temp_dir();
        let mut command = Command::new(&file);
        if elsewhere.is_dir() {
            command.current_dir(elsewhere);
        }
        let there = self.ask(path, command)?;
        if there.version != here.version {
            return Err(format!(
                "{} is {} here, and {} says that it is {}: name the runtime itself and not what \
                 chooses it: {}",
                path.display(),
                here.version,
                file.display(),
                there.version,
                self.how
            ));
        }
        Ok(Installation {
            program: file,
            ..there
        })
    }

    /// Asks the program that the command starts; the user knows it as `path`.
    fn ask(&self, path: &Path, mut command: Command) -> Result<Installation, String> {
        let answer = match run(command.args(self.arguments)) {
            Ok(output) if output.status.success() => (self.read)(&output),
            Ok(output) => Err(format!("does not work ({})", last_words(&output))),
            Err(error) => Err(format!("cannot be run ({error})")),
        };
        answer.map_err(|reason| format!("{} {reason}: {}", path.display(), self.how))
    }
}

/// Whether a runtime that says that it is the file `said` is the one at `path`.
fn is_same_file(path: &Path, said: &str) -> bool {
    // What was replaced while it ran is still what was started.
    let said = said.trim_end_matches(" (deleted)");
    match (std::fs::canonicalize(path), std::fs::canonicalize(said)) {
        (Ok(path), Ok(said)) => path == said,
        _ => {
            // Runtimes write what they cannot represent as question marks, or as the sign that
            // stands for it.
            let plain = |text: &str| -> String {
                let mut plain = text.to_owned();
                plain.retain(|c| c.is_ascii() && c != '?');
                plain
            };
            plain(&path.to_string_lossy()) == plain(said)
        }
    }
}

/// The file that a command of this name starts: a mere name is looked for on `PATH`, a path is
/// completed.
pub(super) fn on_path(path: &Path) -> PathBuf {
    let complete = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    if path.components().count() > 1 || path.is_absolute() {
        return complete(path);
    }
    let directories = std::env::var_os("PATH").unwrap_or_default();
    let mut candidates = std::env::split_paths(&directories).map(|directory| directory.join(path));
    candidates
        .find(|candidate| candidate.is_file())
        .map_or_else(|| path.to_owned(), |found| complete(&found))
}

/// How long a runtime may take to say what it is, and a compiler for the programs. A machine that
/// does much else needs many times what an idle one does.
pub(super) const PATIENCE: Duration = Duration::from_secs(300);

/// Runs a command to its end, with nothing on standard input, and without what the environment has
/// for runtimes.
pub(super) fn run(command: &mut Command) -> io::Result<Output> {
    outside::clear(command);
    process::output(command, b"", PATIENCE)
}

/// The last line that a failed command wrote, on either stream.
pub(super) fn last_words(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    let (errors, printed) = (text(&output.stderr), text(&output.stdout));
    let words = if errors.is_empty() { printed } else { errors };
    words.lines().last().unwrap_or("no reason given").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_file_has_many_names() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        std::fs::write(path("java"), "").unwrap();
        std::fs::write(path("other"), "").unwrap();
        std::os::unix::fs::symlink(path("java"), path("link")).unwrap();
        let said = |name: &str| path(name).display().to_string();
        assert!(is_same_file(&path("link"), &said("java")));
        assert!(is_same_file(&path("java"), &(said("java") + " (deleted)")));
        assert!(!is_same_file(&path("java"), &said("other")));
        // Neither is there any more, or can be written as its runtime writes.
        assert!(is_same_file(Path::new("/no/j\u{e4}va"), "/no/j?va"));
        assert!(is_same_file(Path::new("/no/j\u{e4}va"), "/no/j\u{fffd}va"));
        assert!(!is_same_file(Path::new("/no/java"), "/no/other"));
    }
}
