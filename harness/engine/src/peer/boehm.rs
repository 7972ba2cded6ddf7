//! C with the collector of Boehm, Demers and Weiser (libgc).
//!
//! The best known collector without moving, without cooperation from a compiler, and so the nearest
//! to gc-marksweep in kind. How its heap is held to a fixed size, and what that leaves out, is
//! written in `harness/peers/c/peer.h`.
//!
//! Its programs record each collection themselves, from the collector's own events: requested,
//! stopped, resumed, finished. The thread that collects stands still until *finished*: the
//! collector prepares its sweep when the others already run. So a pause is from the request to
//! there, as for every heap: *to the last mutator resumed*.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::Runtime;
use super::installation::{Installation, Installations, PATIENCE, Said, last_words, on_path, run};
use super::program::{Program, program, write};
use super::reader::{Observer, Recorded};
use crate::invocation::Invocation;
use crate::outside;
use crate::process;

const PROGRAMS: &[Program] = &[
    program!("gcbench", "c/gcbench.c"),
    program!("binary-trees", "c/binary_trees.c"),
    program!("list", "c/list.c"),
    program!("churn", "c/churn.c"),
    program!("rewire", "c/rewire.c"),
];
/// What they share.
const HEADER: &str = include_str!("../../../peers/c/peer.h");

/// See the [module documentation](self).
#[derive(Debug)]
pub(super) struct Boehm;

impl Runtime for Boehm {
    fn name(&self) -> &'static str {
        "boehm"
    }

    fn programs(&self) -> &'static [Program] {
        PROGRAMS
    }

    fn find(&self, _named: &[PathBuf]) -> Installations {
        let compiler = std::env::var_os("CC").unwrap_or_else(|| "cc".into());
        // The preprocessor says whether the header is there, and which version it is of.
        let preprocessed = preprocess(Path::new(&compiler)).map_err(|error| {
            format!(
                "the C compiler {} cannot be run ({error}): install gcc or clang, or name one in \
                 the environment variable CC",
                compiler.display()
            )
        })?;
        let Some(version) = preprocessed.as_deref().and_then(version) else {
            return Err(
                "the library libgc with its header gc.h is missing: install libgc-dev (Debian), \
                 gc-devel (Fedora) or bdw-gc (Homebrew), or name its place in CPATH and \
                 LIBRARY_PATH"
                    .to_owned(),
            );
        };
        Ok(vec![Installation {
            version: format!("Boehm-Demers-Weiser collector {version}"),
            short_version: version,
            // Where the user stands, and not where it will compile.
            program: on_path(Path::new(&compiler)),
        }])
    }

    /// The version is the header's; which library the loader finds is known to the process alone.
    fn differs(&self, _variant: &str, installation: &Installation, said: &Said) -> Option<String> {
        said.differs_from(installation)
    }

    fn build(
        &self,
        installation: &Installation,
        _others: &[Installation],
        programs: &[&Program],
        directory: &Path,
    ) -> Result<(), String> {
        let failed = |error: io::Error| error.to_string();
        write(&directory.join("peer.h"), HEADER)?;
        for program in programs {
            program.write(directory)?;
            let source = program.file();
            // In the directory where the preprocessor has been: names in CPATH and LIBRARY_PATH may
            // be relative to it.
            let mut compile = Command::new(&installation.program);
            compile
                .arg("-O2")
                .arg("-o")
                .arg(directory.join(program.stem()))
                .arg(directory.join(source))
                .args(["-lgc", "-lpthread", "-ldl"]);
            let output = run(&mut compile).map_err(failed)?;
            if !output.status.success() {
                return Err(format!("{source}: {}", last_words(&output)));
            }
        }
        Ok(())
    }

    fn command(
        &self,
        _variant: &str,
        _installation: &Installation,
        program: &Program,
        invocation: &Invocation,
        directory: &Path,
    ) -> (Command, Box<dyn Observer>) {
        let mut command = Command::new(directory.join(program.stem()));
        command.arg(format!("heap-bytes={}", invocation.heap_bytes));
        (command, Box::new(Recorded))
    }
}

/// What the preprocessor makes of the collector's version macros; `None` if it fails.
fn preprocess(compiler: &Path) -> io::Result<Option<String>> {
    let question = b"#include <gc.h>\nversion GC_VERSION_MAJOR GC_VERSION_MINOR GC_VERSION_MICRO\n";
    let mut command = Command::new(compiler);
    outside::clear(&mut command);
    let command = command.args(["-E", "-P", "-x", "c", "-"]);
    let output = process::output(command, question, PATIENCE)?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok(output.status.success().then_some(text))
}

/// The version in the preprocessed text.
fn version(preprocessed: &str) -> Option<String> {
    let line = preprocessed
        .lines()
        .rev()
        .find_map(|line| line.strip_prefix("version "))?;
    let parts: Vec<&str> = line.split_whitespace().collect();
    let numbers = parts
        .iter()
        .all(|part| part.chars().all(|c| c.is_ascii_digit()));
    (numbers && !parts.is_empty()).then(|| parts.join("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read() {
        assert_eq!(
            version("extern int x;\nversion 8 2 2\n").as_deref(),
            Some("8.2.2")
        );
        assert_eq!(version("version GC_VERSION_MAJOR 2 2"), None);
        assert_eq!(version("version \n"), None);
        assert_eq!(version(""), None);
    }
}
