//! Where and with what a result was made.
//!
//! Captured with every row: the machine, the limits of its container, the settings of its kernel that move figures, the build and the command line. What
//! was run is in the row itself, every default resolved. Read once by the parent; reading costs some milliseconds.
//!
//! Rejected: reading the whole of `/proc/cpuinfo` and `sysctl -a` into the rows (megabytes that nobody compares).

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;
use std::thread;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::cgroup::Cgroup;
use crate::outside;
use crate::process;

/// What must be known about a machine and a build to read a figure. `null` where the system does not say.
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
    /// Environment variables that reach every process and change what is measured: those of the allocator and the loader.
    #[serde(default)]
    pub outside: BTreeMap<String, String>,
    /// The runtime, where the row is a [peer's](crate::peer).
    pub peer: Option<Peer>,
}

/// A runtime beside ours.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peer {
    /// Its name and version.
    pub version: String,
    /// The file that ran: the runtime's own, or the library. As text: what is none in it is replaced.
    pub program: String,
    /// Whether its collector moves objects.
    pub moving: bool,
    /// Whether the process that was measured has said so itself. If it ended before it could, this is what was planned.
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
    /// Reads it. Costs a few milliseconds.
    pub fn read() -> Self {
        let file = |path: &str| {
            let text = fs::read_to_string(path).ok()?;
            Some(text.trim().to_owned()).filter(|text| !text.is_empty())
        };
        let entry = |path: &str, key: &str| {
            let text = file(path)?;
            let line = text.lines().find(|line| line.starts_with(key))?;
            Some(line.split_once(':')?.1.trim().to_owned())
        };
        let kilobytes = entry("/proc/meminfo", "MemTotal");
        let cgroup = Cgroup::read();
        Self {
            host: file("/proc/sys/kernel/hostname").or_else(|| output("uname", &["-n"])),
            cpu: entry("/proc/cpuinfo", "model name")
                .or_else(|| output("sysctl", &["-n", "machdep.cpu.brand_string"])),
            cores: thread::available_parallelism().map_or(1, usize::from),
            memory_bytes: kilobytes
                .and_then(|text| text.strip_suffix("kB")?.trim().parse::<u64>().ok())
                .map(|kilobytes| kilobytes * 1024),
            cgroup_cores: cgroup.cores,
            cgroup_memory_bytes: cgroup.memory_bytes,
            virtual_machine: entry("/proc/cpuinfo", "flags")
                .map(|flags| flags.split_whitespace().any(|flag| flag == "hypervisor")),
            kernel: output("uname", &["-sr"]),
            architecture: std::env::consts::ARCH.to_owned(),
            transparent_huge_pages: file("/sys/kernel/mm/transparent_hugepage/enabled")
                .and_then(|text| selected(&text)),
            governor: file("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
            boost: file("/sys/devices/system/cpu/cpufreq/boost")
                .map(|text| text == "1")
                .or_else(|| {
                    file("/sys/devices/system/cpu/intel_pstate/no_turbo").map(|text| text == "0")
                }),
            address_randomisation: file("/proc/sys/kernel/randomize_va_space").map(
                |text| match text.as_str() {
                    "0" => "off".to_owned(),
                    "1" => "partial".to_owned(),
                    "2" => "full".to_owned(),
                    _ => text,
                },
            ),
            rustc: env!("HARNESS_RUSTC").to_owned(),
            rustc_flags: option_env!("HARNESS_RUSTC_FLAGS")
                .unwrap_or_default()
                .to_owned(),
            profile: env!("HARNESS_PROFILE").to_owned(),
            optimised: !cfg!(debug_assertions),
            revision: option_env!("HARNESS_REVISION").map(str::to_owned),
            arguments: std::env::args_os()
                .map(|argument| argument.to_string_lossy().into_owned())
                .collect(),
            outside: outside::in_force(),
            peer: None,
        }
    }

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

    /// What decides how fast a machine of its kind is: rows with the same text may be compared. The host's name is not in it: machines of one
    /// kind are pooled, once a user has said so ([`crate::merge`]).
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

    /// Whether a row of `other` could have been made in the same run: everything but the command line and the peer is the same.
    pub fn is_like(&self, other: &Self) -> bool {
        self.differences(other).is_empty()
    }

    /// What is not the same in `other`: the name of each quantity, its value here and there. The command line and the peer are not looked at.
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

/// The word in brackets of a line such as `always [madvise] never`.
fn selected(line: &str) -> Option<String> {
    let (_, rest) = line.split_once('[')?;
    Some(rest.split_once(']')?.0.to_owned())
}

/// How long the system's own programs may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

fn output(program: &str, arguments: &[&str]) -> Option<String> {
    let mut command = Command::new(program);
    let output = process::output(command.args(arguments), b"", PATIENCE).ok()?;
    let text = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (output.status.success() && !text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_selected_word() {
        assert_eq!(
            selected("always [madvise] never").as_deref(),
            Some("madvise")
        );
        assert_eq!(selected("none"), None);
    }

    #[test]
    fn what_differs_is_named() {
        let here = Environment::read();
        let mut there = here.clone();
        there.arguments.push("--quiet".to_owned());
        assert!(here.is_like(&there));
        there.governor = Some("powersave".to_owned());
        there.memory_bytes = there.memory_bytes.map(|bytes| bytes + 4096);
        let differences = here.differences(&there);
        assert_eq!(differences.len(), 1, "{differences:?}");
        assert_eq!(
            (&*differences[0].0, &*differences[0].2),
            ("governor", "powersave")
        );
        assert_eq!(here.machine(), there.machine());
    }

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

    #[test]
    fn knows_the_compiler() {
        let environment = Environment::read();
        assert!(environment.rustc.starts_with("rustc "));
        assert!(environment.cores >= 1);
    }
}
