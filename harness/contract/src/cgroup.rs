//! What the control group of this process allows: version 2, version 1, or both beside each other.
//!
//! A process lies in a group for each hierarchy, and the groups above bind it as well: the least of
//! their limits counts. Inside a container the group's own path may not be visible, and what is
//! mounted as the root is the group; so the root is always looked at. Usage is read from the group
//! whose limit it is, since neighbours in it use it up too. Pages of files that were not touched
//! lately are no usage: the system takes them back before it refuses anything.

use std::fs;
use std::path::{Path, PathBuf};

/// Where groups are mounted.
const ROOT: &str = "/sys/fs/cgroup";

/// The limits of the control group that this process is in.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Cgroup {
    /// Of processor time, in processors.
    pub cores: Option<String>,
    /// Of memory, in bytes.
    pub memory_bytes: Option<u64>,
    /// What of that is left: the least of any group above.
    pub memory_left_bytes: Option<u64>,
}

impl Cgroup {
    /// Reads it. Costs some files; a system without control groups has no limits.
    pub fn read() -> Self {
        let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        Self::of(Path::new(ROOT), &groups)
    }

    /// What is mounted at `root` says, for a process whose groups are these.
    fn of(root: &Path, groups: &str) -> Self {
        let unified = chain(root.to_owned(), own(groups, ""));
        let hybrid = chain(root.join("unified"), own(groups, ""));
        let version_2 = || unified.iter().chain(&hybrid);
        let cores = least(version_2().map(|group| cpu_limit(&text(&group.join("cpu.max"))?)));
        let cores = cores.or_else(|| {
            let groups = chain(root.join("cpu"), own(groups, "cpu"));
            least(groups.iter().map(|group| {
                let quota: f64 = number(&group.join("cpu.cfs_quota_us"))?;
                let period: f64 = number(&group.join("cpu.cfs_period_us"))?;
                (quota > 0.0).then_some(quota / period)
            }))
        });
        let version_1 = chain(root.join("memory"), own(groups, "memory"));
        let memory: Vec<Memory> = version_2()
            .filter_map(|group| Memory::of(group, &VERSION_2))
            .chain(
                version_1
                    .iter()
                    .filter_map(|group| Memory::of(group, &VERSION_1)),
            )
            .collect();
        Self {
            cores: cores.map(|cores| format!("{cores:.2}")),
            memory_bytes: memory.iter().map(|memory| memory.limit).min(),
            memory_left_bytes: memory.iter().map(|memory| memory.left()).min(),
        }
    }
}

/// The group's memory, where it has a limit.
struct Memory {
    limit: u64,
    used: u64,
}

/// The names of a version's files, and of what can be taken back in its `memory.stat`.
struct Names {
    limits: &'static [&'static str],
    used: &'static str,
    idle: &'static str,
}

/// Beyond `memory.high` nothing is killed, but everything crawls.
const VERSION_2: Names = Names {
    limits: &["memory.max", "memory.high"],
    used: "memory.current",
    idle: "inactive_file ",
};
const VERSION_1: Names = Names {
    limits: &["memory.limit_in_bytes"],
    used: "memory.usage_in_bytes",
    idle: "total_inactive_file ",
};
/// "No limit" of version 1 is a number of pages that no machine has.
const NO_LIMIT: u64 = 1 << 60;

impl Memory {
    fn of(group: &Path, names: &Names) -> Option<Self> {
        let limits = names.limits.iter();
        let limit = limits
            .filter_map(|name| number::<u64>(&group.join(name)))
            .filter(|&limit| limit < NO_LIMIT)
            .min()?;
        let used = number(&group.join(names.used)).unwrap_or(0);
        let statistics = text(&group.join("memory.stat")).unwrap_or_default();
        let idle = statistics
            .lines()
            .find_map(|line| line.strip_prefix(names.idle)?.trim().parse().ok());
        Some(Self {
            limit,
            used: u64::saturating_sub(used, idle.unwrap_or(0)),
        })
    }

    fn left(&self) -> u64 {
        self.limit.saturating_sub(self.used)
    }
}

/// The path of the group that has this controller; of version 2, which has no names, if it is
/// empty.
fn own<'g>(groups: &'g str, controller: &str) -> &'g str {
    let mut lines = groups.lines().filter_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        Some((parts.next()?, parts.next()?))
    });
    let path = lines.find_map(|(controllers, path)| {
        let is_mine = controllers.split(',').any(|name| name == controller);
        is_mine.then_some(path)
    });
    path.unwrap_or_default()
}

/// The groups from the root to the one at `path`.
fn chain(root: PathBuf, path: &str) -> Vec<PathBuf> {
    let mut groups = vec![root];
    // Up from a namespace's root there is nothing to be seen.
    for part in path
        .split('/')
        .filter(|part| !part.is_empty() && *part != "..")
    {
        groups.push(groups[groups.len() - 1].join(part));
    }
    groups
}

fn text(path: &Path) -> Option<String> {
    fs::read_to_string(path).ok()
}

fn number<T: std::str::FromStr>(path: &Path) -> Option<T> {
    text(path)?.trim().parse().ok()
}

fn least(limits: impl Iterator<Item = Option<f64>>) -> Option<f64> {
    limits.flatten().min_by(f64::total_cmp)
}

/// The processors that `cpu.max` (`quota period`, or `max period`) allows.
fn cpu_limit(text: &str) -> Option<f64> {
    let mut numbers = text.split_whitespace();
    let quota: f64 = numbers.next()?.parse().ok()?;
    let period: f64 = numbers.next()?.parse().ok()?;
    Some(quota / period)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_of_processor_time_are_read() {
        assert_eq!(cpu_limit("150000 100000\n"), Some(1.5));
        assert_eq!(cpu_limit("max 100000\n"), None);
    }

    /// A mounted hierarchy that has these files.
    fn mounted(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, content) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        root
    }

    const MIB: u64 = 1 << 20;

    #[track_caller]
    fn expect(files: &[(&str, &str)], groups: &str, memory: Option<(u64, u64)>) {
        let root = mounted(files);
        let cgroup = Cgroup::of(root.path(), groups);
        assert_eq!(cgroup.memory_bytes.zip(cgroup.memory_left_bytes), memory);
    }

    #[test]
    fn memory_is_limited_by_any_group_above_in_either_version() {
        let none = "9223372036854771712\n";
        expect(
            &[
                ("memory/memory.limit_in_bytes", none),
                ("memory/small/memory.limit_in_bytes", "100663296\n"),
                ("memory/small/memory.usage_in_bytes", "34603008\n"),
                (
                    "memory/small/memory.stat",
                    "inactive_file 7\ntotal_inactive_file 1048576\n",
                ),
            ],
            "4:memory:/small\n1:name=systemd:/x\n0::/x\n",
            Some((96 * MIB, 64 * MIB)),
        );
        // The least that is left need not be where the least limit is.
        expect(
            &[
                ("memory.stat", ""),
                ("a/memory.max", "104857600\n"),
                ("a/memory.current", "94371840\n"),
                ("a/b/memory.max", "52428800\n"),
                ("a/b/memory.current", "1048576\n"),
                ("a/b/c/memory.max", "max\n"),
            ],
            "0::/a/b/c\n",
            Some((50 * MIB, 10 * MIB)),
        );
        // In a container: its group is the root, whatever its path is called outside.
        expect(
            &[("memory/memory.limit_in_bytes", "1048576\n")],
            "4:memory:/docker/0123\n",
            Some((MIB, MIB)),
        );
        expect(
            &[("memory.max", "max\n"), ("memory.high", "2097152\n")],
            "0::/../..\n",
            Some((2 * MIB, 2 * MIB)),
        );
        expect(&[("memory.max", "max\n")], "0::/\n", None);
        expect(&[], "", None);
    }
}
