//! Space.
//!
//! Definition: *peak and time-averaged live, occupied, committed, resident, metadata included;
//! overhead = mean occupied / mean live; causes: live, floating, fragmentation, metadata,
//! unreturned.*
//!
//! The [sampler](super::sampler) reads the heap's counters every five milliseconds; means are over
//! time, the quantities being taken as linear between readings; peaks are the largest readings,
//! which may miss a shorter one: the exact peak of what is occupied is
//! [`Metrics::peak_heap_bytes`](contract::row::Metrics::peak_heap_bytes), kept by the heap since
//! the process began.
//!
//! *Occupied* is what counts against the limit: objects (live, or dead and not yet reclaimed),
//! headers, rounding, holes, side metadata. *Committed* is what the system backs for the heap.
//! *Resident* is of the whole process, but for the [probe]. Live bytes are
//! [estimated](super::floating). At each reading, the causes divide what is committed:
//!
//! | cause | is |
//! |---|---|
//! | live | objects that can be reached |
//! | floating | objects that cannot, and have not been reclaimed |
//! | fragmentation | occupied, but neither object nor metadata: holes, rounding, ends of blocks and pages |
//! | metadata | side metadata |
//! | unreturned | committed, but not occupied: free memory that was not given back to the system |
//!
//! What the heap held at a moment that only the workload knows, such as the turning points of
//! `sawtooth`, is among its observations.

use std::fs;

use contract::row::{Sample, Space};

use super::floating::integral;
use super::probe;
use super::sampler::Reading;

/// What the readings of one iteration amount to, with how many bytes were reachable at each, if
/// that is known.
pub fn of(readings: &[Reading], reachable: Option<&[u64]>) -> Space {
    let (Some(first), Some(last)) = (readings.first(), readings.last()) else {
        return Space::default();
    };
    let length = last.at - first.at;
    let mean = |value: &dyn Fn(usize) -> Option<u64>| -> Option<u64> {
        let values: Option<Vec<u64>> = (0..readings.len()).map(value).collect();
        let values = values?;
        let points = readings.iter().zip(&values);
        let points = points.map(|(reading, &value)| (reading.at, value));
        let mean = match length {
            0 => *values.last()? as f64,
            _ => integral(points) / length as f64,
        };
        Some(mean.round() as u64)
    };
    let peak = |value: &dyn Fn(usize) -> Option<u64>| (0..readings.len()).filter_map(value).max();
    let live = |index: usize| reachable.map(|reachable| reachable[index]);
    let occupied = |index: usize| Some(readings[index].statistics.occupied_bytes);
    let committed = |index: usize| {
        let statistics = readings[index].statistics;
        // Counters that are read one after the other may disagree for a moment.
        Some(statistics.committed_bytes.max(statistics.occupied_bytes))
    };
    let resident = |index: usize| readings[index].resident_bytes;
    let metadata = |index: usize| Some(readings[index].statistics.metadata_bytes);
    let causes: Option<Vec<Causes>> = (0..readings.len())
        .map(|index| Causes::of(&readings[index], live(index)?))
        .collect();
    let cause = |of: fn(&Causes) -> u64| {
        let causes = causes.as_ref()?;
        mean(&|index| Some(of(&causes[index])))
    };

    let mut space = Space {
        samples: readings.len() as u64,
        mean_live_bytes: mean(&live),
        mean_occupied_bytes: mean(&occupied),
        mean_committed_bytes: mean(&committed),
        mean_resident_bytes: mean(&resident),
        mean_metadata_bytes: mean(&metadata),
        peak_live_bytes: peak(&live),
        peak_occupied_bytes: peak(&occupied),
        peak_committed_bytes: peak(&committed),
        peak_resident_bytes: peak(&resident),
        peak_metadata_bytes: peak(&metadata),
        live_bytes: cause(|causes| causes.live),
        floating_bytes: cause(|causes| causes.floating),
        fragmentation_bytes: cause(|causes| causes.fragmentation),
        metadata_bytes: cause(|causes| causes.metadata),
        unreturned_bytes: None,
    };
    // The rest, so that rounding leaves nothing over.
    let others = [
        space.live_bytes,
        space.floating_bytes,
        space.fragmentation_bytes,
        space.metadata_bytes,
    ];
    let others: Option<u64> = others.into_iter().sum();
    space.unreturned_bytes = others
        .zip(space.mean_committed_bytes)
        .map(|(others, committed)| committed.saturating_sub(others));
    space
}

/// What occupied space consists of at one moment; the parts add up to it.
struct Causes {
    live: u64,
    floating: u64,
    fragmentation: u64,
    metadata: u64,
}

impl Causes {
    /// `None` if the heap does not say how many bytes its objects have.
    fn of(reading: &Reading, reachable: u64) -> Option<Self> {
        let statistics = reading.statistics;
        let metadata = statistics.metadata_bytes.min(statistics.occupied_bytes);
        let rest = statistics.occupied_bytes - metadata;
        let objects = statistics.object_bytes?.min(rest);
        let live = reachable.min(objects);
        Some(Self {
            live,
            floating: objects - live,
            fragmentation: rest - objects,
            metadata,
        })
    }
}

/// The readings as a time line of at most `most` samples, evenly chosen, ends included; times count
/// from `start`.
pub fn timeline(
    readings: &[Reading],
    reachable: Option<&[u64]>,
    start: u64,
    most: usize,
) -> Vec<Sample> {
    let count = readings.len().min(most);
    (0..count)
        .map(|number| {
            let index = match count {
                1 => 0,
                _ => number * (readings.len() - 1) / (count - 1),
            };
            let reading = &readings[index];
            Sample {
                at_ns: reading.at.saturating_sub(start),
                occupied_bytes: reading.statistics.occupied_bytes,
                committed_bytes: reading.statistics.committed_bytes,
                live_bytes: reachable.map(|reachable| reachable[index]),
                resident_bytes: reading.resident_bytes,
            }
        })
        .collect()
}

/// The largest resident size of this process so far, in bytes; `None` where the system does not
/// say.
///
/// On Linux it is `VmHWM` of `/proc/self/status`: `getrusage` would also count the parent's size at
/// the moment this process was started. On other systems it is `getrusage`.
pub fn peak_resident_bytes() -> Option<u64> {
    let bytes = if cfg!(target_os = "linux") {
        parse_status(&status()?, "VmHWM:")
    } else {
        resident_by_usage()
    };
    bytes.map(probe::less_held)
}

/// The resident size of this process now, in bytes; `None` where the system does not say (all but
/// Linux). Costs a system call or two, and some microseconds.
pub fn resident_bytes() -> Option<u64> {
    parse_status(&status()?, "VmRSS:").map(probe::less_held)
}

/// What the system says of this process. The program's name is in it, and need not be text.
fn status() -> Option<String> {
    let bytes = fs::read("/proc/self/status").ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
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
    use crate::heap::Statistics;

    fn reading(at: u64, object: u64, occupied: u64, committed: u64, metadata: u64) -> Reading {
        Reading {
            at,
            statistics: Statistics {
                object_bytes: Some(object),
                occupied_bytes: occupied,
                committed_bytes: committed,
                metadata_bytes: metadata,
                ..Statistics::default()
            },
            resident_bytes: Some(committed + 1000),
        }
    }

    #[test]
    fn means_are_over_time_and_causes_add_up() {
        // The last stretch is three times as long as the first.
        let readings = [
            reading(100, 50, 100, 200, 10),
            reading(200, 90, 140, 200, 10),
            reading(500, 30, 100, 160, 10),
        ];
        let space = super::of(&readings, Some(&[40, 60, 30]));
        // Each mean by hand: (first stretch + 3 x last stretch) / 4.
        assert_eq!(space.mean_live_bytes, Some(46)); // (50 + 3 x 45) / 4 = 46.25
        assert_eq!(space.mean_occupied_bytes, Some(120)); // (120 + 3 x 120) / 4
        assert_eq!(space.mean_committed_bytes, Some(185)); // (200 + 3 x 180) / 4
        assert_eq!(space.mean_resident_bytes, Some(1185));
        assert_eq!(space.mean_metadata_bytes, Some(10));
        assert_eq!(space.floating_bytes, Some(16)); // (20 + 3 x 15) / 4 = 16.25
        assert_eq!(space.fragmentation_bytes, Some(48)); // (40 + 3 x 50) / 4 = 47.5
        assert_eq!(space.peak_occupied_bytes, Some(140));
        assert_eq!(space.peak_live_bytes, Some(60));
        assert_eq!(space.samples, 3);
        let causes = [
            space.live_bytes,
            space.floating_bytes,
            space.fragmentation_bytes,
            space.metadata_bytes,
            space.unreturned_bytes,
        ];
        assert_eq!(
            causes.into_iter().sum::<Option<u64>>(),
            space.mean_committed_bytes
        );
        assert_eq!(space.overhead(), Some(120.0 / 46.0));
    }

    #[test]
    fn what_is_not_known_is_left_out() {
        let space = super::of(&[reading(7, 1, 2, 3, 0)], None);
        assert_eq!(
            (space.mean_live_bytes, space.unreturned_bytes),
            (None, None)
        );
        assert_eq!(space.mean_occupied_bytes, Some(2));
        assert_eq!(space.overhead(), None);
        assert_eq!(super::of(&[], None), Space::default());
    }

    #[test]
    fn a_time_line_has_both_ends() {
        let readings: Vec<Reading> = (0..1000).map(|n| reading(100 + n, n, n, n, 0)).collect();
        let line = timeline(&readings, None, 100, 256);
        assert_eq!(line.len(), 256);
        assert_eq!((line[0].at_ns, line[255].at_ns), (0, 999));
        assert!(line.is_sorted_by_key(|sample| sample.at_ns));
        assert_eq!(timeline(&readings[..1], None, 0, 256).len(), 1);
        assert!(timeline(&[], None, 0, 256).is_empty());
    }

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
