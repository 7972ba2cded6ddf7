//! Where and with what a result was made.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::thread;

use serde::{Deserialize, Serialize};

/// What must be known about a machine and a build to read a figure. `null` where the system does not say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Environment {
    /// The processor's name.
    pub cpu: Option<String>,
    /// Processors this process may use.
    pub cores: usize,
    /// Physical memory in bytes.
    pub memory_bytes: Option<u64>,
    /// The operating system's kernel and its version.
    pub kernel: Option<String>,
    /// The machine's architecture.
    pub architecture: String,
    /// Transparent huge pages: always, madvise or never.
    pub transparent_huge_pages: Option<String>,
    /// The frequency governor of the first processor.
    pub governor: Option<String>,
    /// The compiler that built this program.
    pub rustc: String,
    /// Whether it was built with optimisation; figures of a build without mean nothing.
    pub optimised: bool,
    /// The revision it was built from, with `-dirty` if there were changes on top.
    pub revision: Option<String>,
    /// The command line.
    pub arguments: Vec<String>,
    /// The runtime, where the row is a [peer's](crate::peer).
    pub peer: Option<Peer>,
}

/// A runtime beside ours.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peer {
    /// Its name and version.
    pub version: String,
    /// The program that runs or compiles ours.
    pub program: PathBuf,
    /// Whether its collector moves objects.
    pub moving: bool,
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
        Self {
            cpu: entry("/proc/cpuinfo", "model name")
                .or_else(|| output("sysctl", &["-n", "machdep.cpu.brand_string"])),
            cores: thread::available_parallelism().map_or(1, usize::from),
            memory_bytes: kilobytes
                .and_then(|text| text.strip_suffix("kB")?.trim().parse::<u64>().ok())
                .map(|kilobytes| kilobytes * 1024),
            kernel: output("uname", &["-sr"]),
            architecture: std::env::consts::ARCH.to_owned(),
            transparent_huge_pages: file("/sys/kernel/mm/transparent_hugepage/enabled")
                .and_then(|text| selected(&text)),
            governor: file("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
            rustc: env!("HARNESS_RUSTC").to_owned(),
            optimised: !cfg!(debug_assertions),
            revision: option_env!("HARNESS_REVISION").map(str::to_owned),
            arguments: std::env::args().collect(),
            peer: None,
        }
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
        parts.join("; ")
    }
}

/// The word in brackets of a line such as `always [madvise] never`.
fn selected(line: &str) -> Option<String> {
    let (_, rest) = line.split_once('[')?;
    Some(rest.split_once(']')?.0.to_owned())
}

fn output(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok()?;
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
    fn knows_the_compiler() {
        let environment = Environment::read();
        assert!(environment.rustc.starts_with("rustc "));
        assert!(environment.cores >= 1);
    }
}
