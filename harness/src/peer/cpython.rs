//! CPython, whose memory management gc-rc models.
//!
//! The programs are Python, so that most of what they take is the interpreter's time and not the memory management's: the comparison says
//! what a program pays in all, and CPython's pauses beside ours are about the collectors alone. `harness/peers/python/peer.py` says how it is measured and what
//! that leaves out. In short: its heap has no limit and the heap size is ignored; the collector is on, with its own thresholds; pauses are those of cycle
//! collections, since CPython tells of nothing else.
//!
//! There is no program for `requests`, whose latencies it could not report, nor for `poll`: the interpreter decides where it polls, at calls and when
//! a loop goes back.
//!
//! Builds without the global lock (PEP 703) are other systems in all that matters here, and are told apart by name.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::boehm::Recorded;
use super::{Installation, Observer, Program, Runtime, Search, last_words, program, run, write};
use crate::invocation::Invocation;

/// What it is called in messages.
pub(super) const NAME: &str = "cpython";

const PROGRAMS: &[Program] = &[
    program!("gcbench", "python/gcbench.py"),
    program!("binary-trees", "python/binary_trees.py"),
    program!("list", "python/linked_list.py"),
    program!("churn", "python/churn.py"),
    program!("rewire", "python/rewire.py"),
    program!("rings", "python/rings.py"),
    program!("quads", "python/quads.py"),
    program!("lru", "python/lru.py"),
    program!("sawtooth", "python/sawtooth.py"),
    program!("shared-graph", "python/shared_graph.py"),
    program!("countdown", "python/countdown.py"),
    program!("cpu-bound", "python/cpu_bound.py"),
    program!("native", "python/native.py"),
    program!("switch-interval", "python/switch_interval.py"),
    program!("contention", "python/contention.py"),
    program!("convoy", "python/convoy.py"),
    program!("lost-update", "python/lost_update.py"),
    program!("pipeline", "python/pipeline.py"),
    program!("subprocesses", "python/subprocesses.py"),
    program!("async", "python/async.py"),
    program!("processes", "python/processes.py"),
    program!("replacement", "python/replacement.py"),
    program!("cycles", "python/cycles.py"),
    program!("reference-changes", "python/reference_changes.py"),
];
/// What they share.
const SHARED: &str = include_str!("../../peers/python/peer.py");

/// The first version that has the clocks and callbacks that the programs use.
const OLDEST: (u32, u32) = (3, 7);

/// How to get one.
const HOW: &str = "install Python 3 (Debian: python3) or name one with --python PATH";

/// What an interpreter is asked to print of itself, one to a line. Valid in every version, so that old ones can be named.
const QUESTION: &str = "import platform, sysconfig\n\
    print('python ' + platform.python_implementation())\n\
    print('python ' + platform.python_version())\n\
    print('python ' + str(int(bool(sysconfig.get_config_var('Py_GIL_DISABLED')))))\n";

/// See the [module documentation](self).
#[derive(Debug)]
pub(super) struct Cpython;

impl Runtime for Cpython {
    fn name(&self) -> &'static str {
        NAME
    }

    fn programs(&self) -> &'static [Program] {
        PROGRAMS
    }

    fn find(&self, search: &Search) -> Result<Vec<Installation>, String> {
        if search.python.is_empty() {
            return Ok(vec![installation(Path::new("python3"))?]);
        }
        search
            .python
            .iter()
            .map(|path| {
                installation(&if path.is_dir() {
                    path.join("bin/python3")
                } else {
                    path.clone()
                })
            })
            .collect()
    }

    fn build(
        &self,
        _installation: &Installation,
        programs: &[&Program],
        directory: &Path,
    ) -> Result<(), String> {
        write(&directory.join("peer.py"), SHARED)?;
        programs
            .iter()
            .try_for_each(|program| program.write(directory))
    }

    fn command(
        &self,
        _variant: &str,
        installation: &Installation,
        program: &Program,
        _invocation: &Invocation,
        directory: &Path,
    ) -> (Command, Box<dyn Observer>) {
        let mut command = Command::new(&installation.program);
        // Neither the environment's settings nor the user's packages.
        command
            .args(["-E", "-s"])
            .arg(directory.join(program.file()));
        (command, Box::new(Recorded))
    }
}

/// Asks the program at `path` what it is.
fn installation(path: &Path) -> Result<Installation, String> {
    let name = path.display();
    let output = run(Command::new(path).args(["-E", "-s", "-c", QUESTION]))
        .map_err(|error| format!("{name} cannot be run ({error}): {HOW}"))?;
    if !output.status.success() {
        return Err(format!(
            "{name} does not work ({}): {HOW}",
            last_words(&output)
        ));
    }
    let answer = Answer::read(&String::from_utf8_lossy(&output.stdout))
        .ok_or_else(|| format!("{name} does not say its version: {HOW}"))?;
    answer
        .check()
        .map_err(|reason| format!("{name} {reason}: {HOW}"))?;
    Ok(Installation {
        version: format!("CPython {}", answer.distinct_version()),
        short_version: answer.distinct_version(),
        program: absolute(path),
    })
}

/// The interpreter at `path`. Programs run in another directory, so a path that is relative to this one is completed; a mere name is looked for on `PATH`.
fn absolute(path: &Path) -> PathBuf {
    if path.components().count() > 1 {
        std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
    } else {
        path.to_owned()
    }
}

/// What an interpreter says of itself.
#[derive(Debug, PartialEq, Eq)]
struct Answer {
    implementation: String,
    version: String,
    /// Built without the global lock.
    free_threaded: bool,
}

impl Answer {
    fn read(text: &str) -> Option<Self> {
        let mut lines = text.lines().filter_map(|line| line.strip_prefix("python "));
        Some(Self {
            implementation: lines.next()?.to_owned(),
            version: lines.next()?.to_owned(),
            free_threaded: lines.next()? == "1",
        })
    }

    /// What keeps it from being measured.
    fn check(&self) -> Result<(), String> {
        if self.implementation != "CPython" {
            return Err(format!("is {} and not CPython", self.implementation));
        }
        let mut numbers = self.version.split('.').map(str::parse::<u32>);
        let version = match (numbers.next(), numbers.next()) {
            (Some(Ok(major)), Some(Ok(minor))) => (major, minor),
            _ => return Err("does not say its version".to_owned()),
        };
        if version < OLDEST {
            let (major, minor) = OLDEST;
            return Err(format!(
                "is version {}, and {major}.{minor} is the oldest that will do",
                self.version
            ));
        }
        Ok(())
    }

    /// The version, and whether it is the other kind of build.
    fn distinct_version(&self) -> String {
        if self.free_threaded {
            format!("{} free-threaded", self.version)
        } else {
            self.version.clone()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(text: &str) -> Answer {
        Answer::read(text).unwrap()
    }

    #[test]
    fn interpreters_say_what_they_are() {
        let usual = answer("python CPython\npython 3.13.0\npython 0\n");
        assert_eq!(
            (usual.check(), usual.distinct_version()),
            (Ok(()), "3.13.0".to_owned())
        );
        let free = answer("a warning\npython CPython\npython 3.14.0rc1\npython 1\n");
        assert_eq!(free.check(), Ok(()));
        assert_eq!(free.distinct_version(), "3.14.0rc1 free-threaded");
        let old = answer("python CPython\npython 2.7.18\npython 0\n");
        assert!(old.check().unwrap_err().contains("2.7.18"));
        let other = answer("python PyPy\npython 3.10.14\npython 0\n");
        assert!(other.check().unwrap_err().contains("PyPy"));
        let strange = answer("python CPython\npython x\npython 0\n");
        assert!(strange.check().is_err());
        assert_eq!(Answer::read("python CPython\npython 3.13.0\n"), None);
        assert_eq!(Answer::read(""), None);
    }
}
