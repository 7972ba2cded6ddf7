//! Where and with what a row was made.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What must be known about a machine and a build to read a figure. `null` where the system does
/// not say.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Environment {
    /// The machine's name on its network: tells two machines of the same kind apart.
    #[serde(default)]
    pub host: Option<String>,
    /// The processor's name.
    pub cpu: Option<String>,
    /// Processors this process may use.
    pub cores: usize,
    /// Physical memory in bytes.
    pub memory_bytes: Option<u64>,
    /// The control group's limit of processor time, in processors; `None` without a limit.
    #[serde(default)]
    pub cgroup_cores: Option<String>,
    /// The control group's limit of memory, in bytes; `None` without a limit.
    #[serde(default)]
    pub cgroup_memory_bytes: Option<u64>,
    /// Whether the processor says that it is a virtual machine's.
    #[serde(default)]
    pub virtual_machine: Option<bool>,
    /// The operating system's kernel and its version.
    pub kernel: Option<String>,
    /// The machine's architecture.
    pub architecture: String,
    /// Transparent huge pages: always, madvise or never.
    pub transparent_huge_pages: Option<String>,
    /// The frequency governor of the first processor.
    pub governor: Option<String>,
    /// Whether the processors may run above their nominal frequency.
    #[serde(default)]
    pub boost: Option<bool>,
    /// Address space randomisation: off, partial or full.
    #[serde(default)]
    pub address_randomisation: Option<String>,
    /// The compiler that built this program.
    pub rustc: String,
    /// Flags that the compiler was given beyond those of the profile.
    #[serde(default)]
    pub rustc_flags: String,
    /// The profile it was built with.
    #[serde(default)]
    pub profile: String,
    /// Whether it was built with optimisation; figures of a build without mean nothing.
    pub optimised: bool,
    /// The revision it was built from, with `-dirty` if there were changes on top.
    pub revision: Option<String>,
    /// The command line. What is no text in it is replaced.
    pub arguments: Vec<String>,
    /// Environment variables that reach every process and change what is measured: those of the
    /// allocator and the loader.
    #[serde(default)]
    pub outside: BTreeMap<String, String>,
    /// The runtime, where the row is a peer's.
    pub peer: Option<Peer>,
}

/// A runtime beside ours.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peer {
    /// Its name and version.
    pub version: String,
    /// The file that ran: the runtime's own, or the library. As text: what is none in it is
    /// replaced.
    pub program: String,
    /// Whether its collector moves objects.
    pub moving: bool,
    /// Whether the process that was measured has said so itself. If it ended before it could, this
    /// is what was planned.
    #[serde(default)]
    pub confirmed: bool,
    /// What else the process says of itself, by name.
    #[serde(default)]
    pub details: BTreeMap<String, String>,
    /// Environment variables that were set for this runtime, and not passed on to it.
    #[serde(default)]
    pub cleared: Vec<String>,
}

impl Environment {
    /// The memory that this process may use, as far as the system says.
    pub fn usable_memory_bytes(&self) -> Option<u64> {
        let limits = [self.memory_bytes, self.cgroup_memory_bytes];
        limits.into_iter().flatten().min()
    }

    /// The environment variables that reach every process, in one line; empty if there are none.
    pub fn outside_in_words(&self) -> String {
        let settings = self.outside.iter();
        let settings: Vec<String> = settings
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        settings.join(", ")
    }

    /// What decides how fast a machine of its kind is: rows with the same text may be compared. The
    /// host's name is not in it: machines of one kind are pooled, once a user has said so.
    pub fn machine(&self) -> String {
        let memory = self.memory_bytes.map_or_else(
            || "memory unknown".to_owned(),
            // What the kernel leaves over differs by a few pages from boot to boot.
            |bytes| format!("{} GiB", (bytes as f64 / f64::from(1 << 30)).round()),
        );
        let cores = match &self.cgroup_cores {
            Some(limit) => format!("{} cores (at most {limit} used)", self.cores),
            None => format!("{} cores", self.cores),
        };
        let mut text = format!(
            "{}, {cores}, {memory}, {}",
            self.cpu.as_deref().unwrap_or(&self.architecture),
            self.kernel.as_deref().unwrap_or("kernel unknown"),
        );
        if !self.outside.is_empty() {
            text.push_str(&format!(", with {}", self.outside_in_words()));
        }
        text
    }

    /// What was built, and how.
    pub fn build(&self) -> String {
        let revision = self.revision.as_deref().unwrap_or("revision unknown");
        let parts = [revision, &self.rustc, &self.profile, &self.rustc_flags];
        let known: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        known.join(", ")
    }

    /// Whether a row of `other` could have been made in the same run: everything but the command
    /// line and the peer is the same.
    pub fn is_like(&self, other: &Self) -> bool {
        self.differences(other).is_empty()
    }

    /// What is not the same in `other`: the name of each quantity, its value here and there. The
    /// command line and the peer are not looked at.
    pub fn differences(&self, other: &Self) -> Vec<(String, String, String)> {
        let flat = |environment: &Self| {
            let value = serde_json::to_value(Self {
                arguments: Vec::new(),
                peer: None,
                // Differs from boot to boot by a few pages.
                memory_bytes: environment
                    .memory_bytes
                    .map(|bytes| (bytes + (1 << 29)) >> 30 << 30),
                ..environment.clone()
            });
            value.expect("environments are JSON")
        };
        let (here, there) = (flat(self), flat(other));
        let names = here.as_object().expect("it is an object").keys();
        let text = |value: &serde_json::Value| match value {
            serde_json::Value::Null => "unknown".to_owned(),
            serde_json::Value::String(text) if text.is_empty() => "none".to_owned(),
            serde_json::Value::String(text) => text.clone(),
            serde_json::Value::Object(entries) if entries.is_empty() => "none".to_owned(),
            other => other.to_string(),
        };
        names
            .filter(|name| here[*name] != there[*name])
            .map(|name| {
                (
                    name.replace('_', " "),
                    text(&here[name]),
                    text(&there[name]),
                )
            })
            .collect()
    }

    /// The machine in one line.
    pub fn summary(&self) -> String {
        let mut parts = vec![format!(
            "{}, {} {}",
            self.cpu.as_deref().unwrap_or(&self.architecture),
            self.cores,
            if self.cores == 1 { "core" } else { "cores" }
        )];
        parts.extend(self.kernel.clone());
        parts.extend(
            self.transparent_huge_pages
                .as_ref()
                .map(|pages| format!("huge pages {pages}")),
        );
        parts.push(self.rustc.clone());
        parts.extend(
            self.revision
                .as_ref()
                .map(|revision| format!("revision {revision}")),
        );
        if !self.outside.is_empty() {
            parts.push(format!("set from outside: {}", self.outside_in_words()));
        }
        parts.join("; ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_set_from_outside_makes_another_machine() {
        let plain = Environment::default();
        let preloaded = Environment {
            outside: BTreeMap::from([("LD_PRELOAD".to_owned(), "/lib/x.so".to_owned())]),
            ..plain.clone()
        };
        assert_ne!(plain.machine(), preloaded.machine());
        assert!(preloaded.summary().contains("LD_PRELOAD=/lib/x.so"));
        assert!(!plain.summary().contains("outside"));
        for (one, other) in [(&plain, &preloaded), (&preloaded, &plain)] {
            let differences = one.differences(other);
            assert_eq!(differences.len(), 1, "{differences:?}");
            assert_eq!(differences[0].0, "outside");
        }
    }
}
