//! Space.
//!
//! Definition: *peak and time-averaged live, occupied, committed, resident, metadata included.* Measured here: the *peak
//! heap*, which is what the heap counts against its limit (objects, headers, rounding, fragmentation, side metadata), and the *peak
//! resident size* of the whole process as the kernel counts it. Both are peaks since the process began, so a row's
//! value covers its own iteration and those before it. What the heap held at a moment that only the workload knows, such as the
//! turning points of `sawtooth`, is among its observations. Time averages need samples during the run and are not taken.

use std::fs;

use serde::{Deserialize, Serialize};

/// Space over one iteration: means over time, and the largest values seen. `None` where nothing was sampled, or the heap or the system does not say.
///
/// The causes add up to the mean of what is committed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Space {
    /// How many samples these figures are made of.
    pub samples: u64,
    /// Objects that can be reached, in bytes.
    pub mean_live_bytes: Option<u64>,
    /// What counts against the limit.
    pub mean_occupied_bytes: Option<u64>,
    /// What the system backs for the heap.
    pub mean_committed_bytes: Option<u64>,
    /// What is resident of the whole process.
    pub mean_resident_bytes: Option<u64>,
    /// Side metadata.
    pub mean_metadata_bytes: Option<u64>,
    /// The largest sample of [`Self::mean_live_bytes`]'s quantity.
    pub peak_live_bytes: Option<u64>,
    /// The largest occupied size.
    pub peak_occupied_bytes: Option<u64>,
    /// The largest committed size.
    pub peak_committed_bytes: Option<u64>,
    /// The largest resident size.
    pub peak_resident_bytes: Option<u64>,
    /// The most side metadata.
    pub peak_metadata_bytes: Option<u64>,
    /// Cause of committed space: objects that can be reached; the same as [`Self::mean_live_bytes`].
    pub live_bytes: Option<u64>,
    /// Cause: objects that cannot be reached and are not reclaimed.
    pub floating_bytes: Option<u64>,
    /// Cause: holes, rounding, and what is left over in blocks and pages.
    pub fragmentation_bytes: Option<u64>,
    /// Cause: side metadata.
    pub metadata_bytes: Option<u64>,
    /// Cause: free memory that was not given back to the system.
    pub unreturned_bytes: Option<u64>,
}

/// Space at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Sample {
    /// When, from the start of the iteration, in nanoseconds.
    pub at_ns: u64,
    /// What counts against the limit.
    pub occupied_bytes: u64,
    /// What the system backs for the heap.
    pub committed_bytes: u64,
    /// Objects that can be reached, as far as the heap knows.
    pub live_bytes: Option<u64>,
    /// What is resident of the whole process.
    pub resident_bytes: Option<u64>,
}

/// The largest resident size of this process so far, in bytes; `None` where the system does not say.
///
/// On Linux it is `VmHWM` of `/proc/self/status`: `getrusage` would also count the parent's size at the moment this process was
/// started. On other systems it is `getrusage`.
pub fn peak_resident_bytes() -> Option<u64> {
    if cfg!(target_os = "linux") {
        parse_status(&fs::read_to_string("/proc/self/status").ok()?, "VmHWM:")
    } else {
        resident_by_usage()
    }
}

/// The resident size of this process now, in bytes; `None` where the system does not say (all but Linux). Costs a system call or two, and some
/// microseconds.
pub fn resident_bytes() -> Option<u64> {
    parse_status(&fs::read_to_string("/proc/self/status").ok()?, "VmRSS:")
}

/// The value of an entry of the status file.
fn parse_status(status: &str, entry: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(entry))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}

/// `ru_maxrss`, which macOS gives in bytes and the others in kibibytes.
fn resident_by_usage() -> Option<u64> {
    use nix::sys::resource::{UsageWho, getrusage};
    let usage = getrusage(UsageWho::RUSAGE_SELF).ok()?;
    let unit = if cfg!(target_os = "macos") { 1 } else { 1024 };
    u64::try_from(usage.max_rss()).ok().map(|peak| peak * unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_status_file() {
        assert_eq!(
            parse_status("Name:\tx\nVmHWM:\t    1234 kB\nVmRSS:\t 1 kB\n", "VmHWM:"),
            Some(1234 * 1024)
        );
        assert_eq!(parse_status("Name:\tx\n", "VmHWM:"), None);
    }

    #[test]
    fn this_process_has_a_size() {
        let by_usage = resident_by_usage().unwrap();
        assert!(peak_resident_bytes().unwrap() > 100_000);
        assert!(by_usage > 100_000);
    }
}
