//! Where and with what a result was made.
//!
//! Captured with every row: the machine, the limits of its container, the settings of its kernel
//! that move figures, the build and the command line. What was run is in the row itself, every
//! default resolved. Read once by the parent; reading costs some milliseconds.
//!
//! Rejected: reading the whole of `/proc/cpuinfo` and `sysctl -a` into the rows (megabytes that
//! nobody compares).

use std::fs;
use std::process::Command;
use std::sync::OnceLock;
use std::thread;
use std::time::Duration;

pub use contract::environment::{Environment, Peer};

use contract::cgroup::Cgroup;

use crate::outside;
use crate::process;

static REVISION: OnceLock<&str> = OnceLock::new();

/// Says what revision the program was built from, which its own build knows: this crate is not
/// built anew for each. The first call counts. Without one the revision is unknown.
pub fn built_from(revision: &'static str) {
    REVISION.get_or_init(|| revision);
}

/// Reads it. Costs a few milliseconds.
pub fn read() -> Environment {
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
    Environment {
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
        address_randomisation: file("/proc/sys/kernel/randomize_va_space").map(|text| {
            match text.as_str() {
                "0" => "off".to_owned(),
                "1" => "partial".to_owned(),
                "2" => "full".to_owned(),
                _ => text,
            }
        }),
        rustc: env!("HARNESS_RUSTC").to_owned(),
        rustc_flags: option_env!("HARNESS_RUSTC_FLAGS")
            .unwrap_or_default()
            .to_owned(),
        profile: env!("HARNESS_PROFILE").to_owned(),
        optimised: !cfg!(debug_assertions),
        revision: REVISION.get().map(|&revision| revision.to_owned()),
        arguments: std::env::args_os()
            .map(|argument| argument.to_string_lossy().into_owned())
            .collect(),
        outside: outside::in_force(),
        peer: None,
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
        let here = super::read();
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
    fn knows_the_compiler() {
        let environment = super::read();
        assert!(environment.rustc.starts_with("rustc "));
        assert!(environment.cores >= 1);
    }
}
