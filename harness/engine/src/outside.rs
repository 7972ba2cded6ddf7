//! What changes a process from outside: environment variables that a runtime, an allocator or the
//! system's loader reads.
//!
//! A site that sets `JAVA_TOOL_OPTIONS` for every virtual machine, or preloads an allocator into
//! every program, changes what is measured, and whoever reads the figures later would not know. So
//! nothing in [`VARIABLES`] is silent. It is one of two things:
//!
//! * *Cleared* for the peers, where it is a runtime's own setting: the comparison sets what has to
//!   be set, and the same everywhere. That it was set is said when the run begins, in the rows of
//!   that runtime, and in the report.
//! * *Kept*, where it reaches each process of the comparison alike, ours and the peers': the
//!   allocator's and the loader's. Measuring with another allocator is a thing that one may want.
//!   Name and value are in every row and in the report; rows that differ in it are not of one
//!   machine.
//!
//! The values of what is cleared are recorded nowhere: they have no effect, and may be secrets
//! (`-Dpassword=`).
//!
//! Rejected: an empty environment for the peers. Compilers and launchers need parts of it that
//! nobody can list (`PATH`, `HOME`, `TMPDIR`, a shim's own). `LD_LIBRARY_PATH` and its kin are left
//! out as well: Cargo sets it for whatever it runs, and which library a peer has loaded is asked of
//! the process itself.

use std::collections::BTreeMap;
use std::env;
use std::ffi::{OsStr, OsString};
use std::process::Command;

/// Variables of one kind.
struct Variables {
    /// The name; with a star at its end, every name that begins so.
    name: &'static str,
    /// The runtime whose own setting it is, which is then cleared; `None` if it is kept.
    of: Option<&'static str>,
}

const fn cleared(name: &'static str, of: &'static str) -> Variables {
    Variables { name, of: Some(of) }
}

const fn kept(name: &'static str) -> Variables {
    Variables { name, of: None }
}

/// All that is known to change what is measured.
const VARIABLES: &[Variables] = &[
    // Options of the virtual machine, in the order in which it reads them; of its launcher; of its
    // compiler's launcher.
    cleared("JAVA_TOOL_OPTIONS", "hotspot"),
    cleared("_JAVA_OPTIONS", "hotspot"),
    cleared("JDK_JAVA_OPTIONS", "hotspot"),
    cleared("JDK_JAVAC_OPTIONS", "hotspot"),
    cleared("_JAVA_*", "hotspot"),
    cleared("CLASSPATH", "hotspot"),
    // Its allocator, hash seed, debugging hooks, global lock, and where its modules come from. The
    // interpreter is told to ignore them besides, but those that it starts are not.
    cleared("PYTHON*", "cpython"),
    // Sizes, thresholds, markers and logs of the collector.
    cleared("GC_*", "boehm"),
    // glibc's and jemalloc's allocators; others that are preloaded or linked.
    kept("MALLOC_*"),
    kept("_RJEM_MALLOC_*"),
    kept("MIMALLOC_*"),
    kept("TCMALLOC_*"),
    kept("GLIBC_TUNABLES"),
    // The loader: what it puts into every process, and whether it binds symbols before a process
    // begins.
    kept("LD_PRELOAD"),
    kept("LD_AUDIT"),
    kept("LD_BIND_NOW"),
    kept("DYLD_INSERT_LIBRARIES"),
    kept("DYLD_FORCE_FLAT_NAMESPACE"),
    // The stacks of threads that Rust's standard library starts.
    kept("RUST_MIN_STACK"),
];

impl Variables {
    fn has(&self, name: &OsStr) -> bool {
        let name = name.as_encoded_bytes();
        match self.name.strip_suffix('*') {
            Some(start) => name.starts_with(start.as_bytes()),
            None => name == self.name.as_bytes(),
        }
    }
}

/// What is known of a variable, if anything is.
fn find(name: &OsStr) -> Option<&'static Variables> {
    VARIABLES.iter().find(|variables| variables.has(name))
}

/// The names that are set in this process, for which `of` is true of the runtime that is concerned,
/// sorted.
fn set(of: impl Fn(Option<&'static str>) -> bool) -> BTreeMap<OsString, OsString> {
    env::vars_os()
        .filter(|(name, value)| {
            !value.is_empty() && find(name).is_some_and(|variables| of(variables.of))
        })
        .collect()
}

/// What is set and reaches every process: names and values. What is no text in them is replaced.
pub(crate) fn in_force() -> BTreeMap<String, String> {
    let text = |text: OsString| text.to_string_lossy().into_owned();
    let set = set(|of| of.is_none()).into_iter();
    set.map(|(name, value)| (text(name), text(value))).collect()
}

/// The names of what is set for this runtime, and cleared.
pub(crate) fn cleared_for(runtime: &str) -> Vec<String> {
    // A runtime of two kinds has one family of settings.
    let set = set(|of| of.is_some_and(|of| runtime.starts_with(of))).into_keys();
    set.map(|name| name.to_string_lossy().into_owned())
        .collect()
}

/// Takes from a peer's process, or one that asks or builds for it, what is any runtime's own
/// setting: also of another's, which it may start. What it needs from outside holds wherever it
/// runs.
pub(crate) fn clear(command: &mut Command) {
    for (name, value) in env::vars_os() {
        if find(&name).is_some_and(|variables| variables.of.is_some()) {
            command.env_remove(name);
        } else if LIBRARIES.iter().any(|libraries| name == *libraries)
            && let Some(value) = completed(&value)
        {
            command.env(name, value);
        }
    }
}

/// Where the loader looks for libraries: relative to where the user stands, and peers run
/// elsewhere.
const LIBRARIES: [&str; 2] = ["LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"];

/// A list of directories of which none is relative; `None` if none was. An empty entry is the
/// working directory.
fn completed(list: &OsStr) -> Option<OsString> {
    if list.is_empty() || env::split_paths(list).all(|entry| entry.is_absolute()) {
        return None;
    }
    let here = env::current_dir().ok()?;
    env::join_paths(env::split_paths(list).map(|entry| here.join(entry))).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer;

    #[test]
    fn names_are_found_whole_or_by_their_beginning() {
        let of = |name: &str| find(OsStr::new(name)).map(|variables| variables.of);
        for name in [
            "JAVA_TOOL_OPTIONS",
            "_JAVA_OPTIONS",
            "JDK_JAVA_OPTIONS",
            "JDK_JAVAC_OPTIONS",
        ] {
            assert_eq!(of(name), Some(Some("hotspot")), "{name}");
        }
        for name in [
            "PYTHONMALLOC",
            "PYTHONHASHSEED",
            "PYTHONDEVMODE",
            "PYTHON_GIL",
            "PYTHONPATH",
            "PYTHONSTARTUP",
        ] {
            assert_eq!(of(name), Some(Some("cpython")), "{name}");
        }
        assert_eq!(of("GC_MARKERS"), Some(Some("boehm")));
        for name in ["MALLOC_ARENA_MAX", "LD_PRELOAD", "GLIBC_TUNABLES"] {
            assert_eq!(of(name), Some(None), "{name}");
        }
        for name in [
            "",
            "PATH",
            "JAVA_HOME",
            "PYENV_VERSION",
            "LD_LIBRARY_PATH",
            "MALLOC",
        ] {
            assert_eq!(of(name), None, "{name}");
        }
    }

    #[test]
    fn lists_of_directories_hold_elsewhere() {
        let here = env::current_dir().unwrap();
        let list = completed(OsStr::new("lib:/usr/lib")).unwrap();
        let entries: Vec<_> = env::split_paths(&list).collect();
        assert_eq!(entries, [here.join("lib"), "/usr/lib".into()]);
        assert_eq!(completed(OsStr::new("/a:/usr/lib")), None);
        assert_eq!(completed(OsStr::new("")), None);
        let with_here = completed(OsStr::new("/a:")).unwrap();
        let last = env::split_paths(&with_here).last().unwrap();
        assert!(last.is_absolute() && last.join("") == here.join(""));
    }

    #[test]
    fn runtimes_have_the_names_that_peers_have() {
        for variables in VARIABLES {
            let Some(of) = variables.of else { continue };
            let mut peers = peer::PEERS.iter();
            assert!(peers.any(|peer| peer::runtime_of(peer.name) == of), "{of}");
        }
    }
}
