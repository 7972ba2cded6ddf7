//! CPython, whose memory management gc-rc models.
//!
//! The programs are Python, so that most of what they take is the interpreter's time and not the
//! memory management's: the comparison says what a program pays in all, and CPython's pauses beside
//! ours are about the collectors alone. `harness/peers/python/peer.py` says how it is measured and
//! what that leaves out. In short: its heap has no limit and the heap size is ignored; the
//! collector is on, with its own thresholds; pauses are those of cycle collections, since CPython
//! tells of nothing else.
//!
//! There is no program for `requests`, whose latencies it could not report, nor for `poll`: the
//! interpreter decides where it polls, at calls and when a loop goes back.
//!
//! Builds without the global lock (PEP 703) are another system in all that matters here, and
//! another peer, which runs the same programs: `cpython-free-threaded`. An interpreter is one if it
//! says that its lock is off (`sys._is_gil_enabled`), and so does each of its processes, in its
//! rows: one whose lock an extension had turned on again would be void. It is told to keep it off.
//! Interpreters that a user names are for both, and each takes those of its kind.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;

use super::installation::{Installation, Installations, Question, Said};
use super::program::{Program, program, write};
use super::reader::{Observer, Recorded};
use super::{Runtime, Search};
use crate::invocation::Invocation;

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
    program!("countdown-in-turns", "python/countdown.py"),
    program!("binary-trees-in-turns", "python/binary_trees.py"),
    program!("cpu-bound", "python/cpu_bound.py"),
    program!("native", "python/native.py"),
    program!("switch-interval", "python/switch_interval.py"),
    program!("contention", "python/contention.py"),
    program!("convoy", "python/convoy.py"),
    program!("lost-update", "python/lost_update.py"),
    program!("broken-links", "python/broken_links.py"),
    program!("pipeline", "python/pipeline.py"),
    program!("subprocesses", "python/subprocesses.py"),
    program!("async", "python/async.py"),
    program!("processes", "python/processes.py"),
    program!("replacement", "python/replacement.py"),
    program!("cycles", "python/cycles.py"),
    program!("reference-changes", "python/reference_changes.py"),
    program!("free-threading", "python/free_threading.py"),
    program!("sharing", "python/sharing.py"),
];
/// What they share.
const SHARED: &str = include_str!("../../../peers/python/peer.py");

/// The first version that has the clocks and callbacks that the programs use.
const OLDEST: (u32, u32) = (3, 7);

/// What an interpreter is asked, and what its programs say of themselves. Valid in every version,
/// so that old ones can be named.
const IDENTITY: &str = include_str!("../../../peers/python/identity.py");

const QUESTION: Question = Question {
    programs: &["python3"],
    arguments: &["-E", "-s", "-c", IDENTITY],
    read: |output| {
        let said = read(&String::from_utf8_lossy(&output.stdout))
            .ok_or_else(|| "does not say its version".to_owned())?;
        check(&said)?;
        Ok(Installation {
            version: said.full_version(),
            short_version: said.version,
            program: said.program.into(),
        })
    },
    how: "install Python 3 (Debian: python3) or name one with --python PATH",
};

/// The same without the lock.
const FREE_THREADED: Question = Question {
    programs: &["python3.14t", "python3"],
    how: "install a free-threaded Python (python3.14t) or name one with --python PATH",
    ..QUESTION
};

/// See the [module documentation](self).
#[derive(Debug)]
pub(super) struct Cpython {
    pub(super) free_threaded: bool,
}

impl Runtime for Cpython {
    fn name(&self) -> &'static str {
        match self.free_threaded {
            true => "cpython-free-threaded",
            false => "cpython",
        }
    }

    fn programs(&self) -> &'static [Program] {
        PROGRAMS
    }

    fn named<'s>(&self, search: &'s Search) -> &'s [PathBuf] {
        &search.python
    }

    fn find(&self, named: &[PathBuf]) -> Installations {
        let (question, other) = match self.free_threaded {
            true => (FREE_THREADED, "has the global lock"),
            false => (
                QUESTION,
                "has no global lock, and is the peer cpython-free-threaded",
            ),
        };
        let is_one = |one: &&Installation| is_free_threaded(&one.version) == self.free_threaded;
        let all = question.find(named)?;
        let of_kind: Vec<_> = all.iter().filter(is_one).cloned().collect();
        match all.first() {
            Some(first) if of_kind.is_empty() => Err(format!(
                "{} is {}, which {other}: {}",
                first.program.display(),
                first.version,
                question.how
            )),
            _ => Ok(of_kind),
        }
    }

    fn build(
        &self,
        _installation: &Installation,
        _others: &[Installation],
        programs: &[&Program],
        directory: &Path,
    ) -> Result<(), String> {
        for (name, source) in [("peer.py", SHARED), ("identity.py", IDENTITY)] {
            write(&directory.join(name), source)?;
        }
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
        command.args(["-E", "-s"]);
        if self.free_threaded {
            command.args(["-X", "gil=0"]);
        }
        command.arg(directory.join(program.file()));
        (command, Box::new(Recorded))
    }
}

/// What an interpreter says of itself, in one of its lines.
fn read(text: &str) -> Option<Said> {
    #[derive(Deserialize)]
    struct Answer {
        runtime: Said,
    }
    let mut lines = text.lines();
    let answer = lines.find_map(|line| serde_json::from_str::<Answer>(line).ok())?;
    Some(answer.runtime)
}

/// Whether an interpreter of this version says that its lock is off.
fn is_free_threaded(version: &str) -> bool {
    version.split(' ').any(|word| word == "free-threaded")
}

/// What keeps it from being measured.
fn check(said: &Said) -> Result<(), String> {
    if said.name != "CPython" {
        return Err(format!("is {} and not CPython", said.name));
    }
    let mut numbers = said.version.split('.').map(str::parse::<u32>);
    let version = match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => (major, minor),
        _ => return Err("does not say its version".to_owned()),
    };
    if version < OLDEST {
        let (major, minor) = OLDEST;
        return Err(format!(
            "is version {}, and {major}.{minor} is the oldest that will do",
            said.version
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(name: &str, version: &str) -> Said {
        let line = format!(
            r#"{{"runtime": {{"name": "{name}", "version": "{version}", "program": "/p"}}}}"#
        );
        read(&format!("a warning\n{line}\n")).unwrap()
    }

    #[test]
    fn interpreters_say_what_they_are() {
        let usual = answer("CPython", "3.13.0");
        assert_eq!(check(&usual), Ok(()));
        assert_eq!(usual.full_version(), "CPython 3.13.0");
        let free = answer("CPython", "3.14.0rc1 free-threaded");
        assert_eq!(check(&free), Ok(()));
        assert!(is_free_threaded(&free.full_version()) && !is_free_threaded(&usual.full_version()));
        let locked = answer("CPython", "3.14.0 with the lock");
        assert!(!is_free_threaded(&locked.full_version()));
        for (name, version, part) in [
            ("CPython", "2.7.18", "2.7.18"),
            ("PyPy", "3.10.14", "PyPy"),
            ("CPython", "x", "version"),
        ] {
            let reason = check(&answer(name, version)).unwrap_err();
            assert!(reason.contains(part), "{reason}");
        }
        assert_eq!(read("python 3.13.0\n"), None);
        assert_eq!(read(r#"{"runtime": {"name": "CPython"}}"#), None);
        assert_eq!(read(""), None);
    }
}
