//! What a virtual machine's log says of its pauses.
//!
//! They are from the unified log, `-Xlog:safepoint,gc`, whose lines are stamped with the clock that
//! the program reads too (`timenanos` is `System.nanoTime`): what lies between the ends of an
//! iteration belongs to it. A line is written when the threads have been let go, and says how long
//! it took to stop them and how long they stood:
//!
//! ```text
//! [13049942031875ns][safepoint] Safepoint "GenCollectForAllocation", Time since last: 104200882 ns, Reaching safepoint: 3567 ns, Cleanup: 79779 ns, At safepoint: 19225209 ns, Total: 19308555 ns
//! [13049942031875ns][safepoint] Total time for which application threads were stopped: 0.0106340 seconds, Stopping threads took: 0.0000514 seconds
//! [13049941980038ns][gc       ] GC(0) Pause Young (Allocation Failure) 17M->4M(61M) 19.165ms
//! ```
//!
//! The second form is that of versions 11 to 13. Every safepoint is a pause, whether it was for a
//! collection or for something else that the virtual machine wanted: whatever stops a mutator is
//! one, but for a collection that the program asked for by name, which is told apart. Handshakes
//! with single threads, and the barriers of a collector that works concurrently, are not in
//! the log; their cost is in the throughput.
//!
//! # Collectors that work beside the program
//!
//! Their stops are short, and a thread that finds no memory waits for a whole collection to end:
//! who counted the stops alone would report what they are praised for and leave out what they are
//! paid with. The Z collector logs each such wait, and it is a pause of its thread:
//!
//! ```text
//! [36435088872723ns][gc       ] Allocation Stall (mutator-0) 3.988ms
//! [36435089125865ns][gc       ] Relocation Stall (mutator-1) 0.064ms
//! [36435090883716ns][gc       ] GC(15) Minor Collection (Allocation Rate) 22M(69%)->28M(88%) 0.009s
//! ```
//!
//! Shenandoah does not: it stops all threads when one finds no memory (a *degenerated* collection,
//! a safepoint like any other), but delays those that allocate faster than it collects (*pacing*,
//! which is the default) without a line for it. Its pauses are a lower bound; the time is in the
//! throughput, and the processors stand idle.
//!
//! A collection counts for the iteration in which it paused or ended. Where the Z collector is not
//! generational (before version 23), it maps its heap at three addresses, so that the system's
//! count of resident pages is of no use and is left out.
//!
//! # Reading it
//!
//! The log is read after each iteration, as far as its lines are whole. A safepoint of an explicit
//! collection lies between the end of an iteration and the line that reports it, so that everything
//! before has been written.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::PathBuf;

use crate::measure::event::{Event, EventKind};
use crate::peer::reader::{Measured, Observed, Observer};

/// The log of one process, read as it grows.
#[derive(Debug, Default)]
pub(super) struct Log {
    path: PathBuf,
    /// How far it has been read.
    offset: u64,
    peak_heap_bytes: u64,
    /// The collector maps each page of the heap at three addresses, and the system counts all of
    /// them as resident.
    maps_thrice: bool,
}

impl Log {
    /// Nothing of it has been read.
    pub(super) fn new(path: PathBuf, maps_thrice: bool) -> Self {
        Self {
            path,
            maps_thrice,
            ..Self::default()
        }
    }

    /// The lines that have been added and are whole.
    fn lines(&mut self) -> io::Result<String> {
        let mut file = File::open(&self.path)?;
        file.seek(SeekFrom::Start(self.offset))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let whole = bytes
            .iter()
            .rposition(|&byte| byte == b'\n')
            .map_or(0, |at| at + 1);
        bytes.truncate(whole);
        self.offset += whole as u64;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}

impl Observer for Log {
    fn is_heap_full(&self, line: &str) -> bool {
        TOO_SMALL.iter().any(|words| line.contains(words))
    }

    fn observe(&mut self, iteration: &Measured, threads: u32) -> Observed {
        let mut observed = match self.lines() {
            Ok(lines) => observed(&lines, iteration, threads),
            // Without its log, an iteration has no pauses that anybody could know of: not none, but
            // at least one that is lost.
            Err(_) => {
                let mut unknown = Observed::default();
                unknown.events.lost = 1;
                unknown
            }
        };
        self.peak_heap_bytes = self
            .peak_heap_bytes
            .max(observed.peak_heap_bytes)
            .max(iteration.heap_bytes);
        observed.peak_heap_bytes = self.peak_heap_bytes;
        observed.resident_is_wrong = self.maps_thrice;
        observed
    }
}

/// What the virtual machine says on standard output if the heap is too small for itself: as its
/// last line, or where it says so to whoever starts it.
const TOO_SMALL: [&str; 5] = [
    "Too small maximum heap",
    "Too small initial heap",
    "GC triggered before VM initialization completed",
    // Z, before there is a program that could say it in a line of its own.
    "java.lang.OutOfMemoryError: Java heap space",
    // Shenandoah.
    "is too low to afford the minimum number of regions",
];

/// What these lines say about an iteration.
fn observed(lines: &str, iteration: &Measured, threads: u32) -> Observed {
    let mut observed = Observed::default();
    let mut collections = BTreeSet::new();
    let mut number = 0;
    // Whether the stop that is reported next was for an explicit collection: its pause is reported
    // before it.
    let mut asked_for = false;
    for line in lines.lines().filter_map(Line::read) {
        asked_for |= line.is_explicit_pause();
        let heap_bytes = line.heap_bytes().unwrap_or(0);
        observed.peak_heap_bytes = observed.peak_heap_bytes.max(heap_bytes);
        if (iteration.from_ns..iteration.until_ns).contains(&line.at) {
            collections.extend(line.collection());
            observed.events.events.extend(line.wait(threads));
        }
        let stop = line.stop();
        let explicit = stop.is_some() && std::mem::take(&mut asked_for);
        let within = |stop: &Stop| stop.until > iteration.from_ns && stop.from < iteration.until_ns;
        if let Some(Stop {
            from,
            stopped,
            until,
        }) = stop.filter(within)
        {
            number += 1;
            let kind = EventKind::Stop {
                stop: number,
                stopped,
                explicit,
            };
            observed.add(0, from, until, kind);
            for mutator in 0..threads {
                observed.add(mutator, stopped, until, EventKind::Stopped { stop: number });
            }
        }
    }
    observed.collections = collections.len() as u64;
    observed
}

/// A line of the log.
#[derive(Clone, Copy, Debug)]
struct Line<'l> {
    /// When it was written, in nanoseconds.
    at: u64,
    tags: &'l str,
    text: &'l str,
}

/// One stop of all threads, in nanoseconds.
#[derive(Debug, PartialEq, Eq)]
struct Stop {
    from: u64,
    stopped: u64,
    until: u64,
}

impl<'l> Line<'l> {
    /// Takes `[13049942031875ns][safepoint] Text` apart.
    fn read(line: &'l str) -> Option<Self> {
        let (at, rest) = line.strip_prefix('[')?.split_once("ns][")?;
        let (tags, text) = rest.split_once(']')?;
        Some(Self {
            at: at.parse().ok()?,
            tags: tags.trim(),
            text: text.trim(),
        })
    }

    /// The stop that it reports.
    fn stop(&self) -> Option<Stop> {
        if self.tags != "safepoint" {
            return None;
        }
        let (reaching, total) = if self.text.starts_with("Safepoint ") {
            let part = |name: &str| {
                let (_, rest) = self.text.split_once(name)?;
                rest.split_once(" ns")?.0.parse::<u64>().ok()
            };
            (part(", Reaching safepoint: ")?, part(", Total: ")?)
        } else {
            // Versions 11 to 13: seconds, and the whole first.
            let part = |name: &str| {
                let (_, rest) = self.text.split_once(name)?;
                let seconds: f64 = rest.split_once(" seconds")?.0.parse().ok()?;
                Some((seconds * 1e9).round() as u64)
            };
            let total = part("application threads were stopped: ")?;
            (part("Stopping threads took: ")?, total)
        };
        let from = self.at.checked_sub(total)?;
        Some(Stop {
            from,
            stopped: (from + reaching).min(self.at),
            until: self.at,
        })
    }

    /// A single thread's wait for a collector that works beside it, if it was one of the mutators:
    /// the program names them by their numbers.
    fn wait(&self, mutators: u32) -> Option<Event> {
        if self.tags != "gc" {
            return None;
        }
        let (kind, rest) = self.text.split_once(" Stall (mutator-")?;
        let (mutator, rest) = rest.split_once(") ")?;
        let mutator = mutator.parse().ok().filter(|&mutator| mutator < mutators)?;
        let milliseconds: f64 = rest.strip_suffix("ms")?.parse().ok()?;
        let nanoseconds = (milliseconds * 1e6).round() as u64;
        ["Allocation", "Relocation"]
            .contains(&kind)
            .then_some(Event {
                mutator,
                from: self.at.checked_sub(nanoseconds)?,
                until: self.at,
                kind: EventKind::CollectionWait,
            })
    }

    /// Whether it reports the pause of a collection that the program asked for by name.
    fn is_explicit_pause(&self) -> bool {
        let gc = self.gc();
        gc.is_some_and(|(_, rest)| rest.starts_with("Pause ") && rest.contains("(System.gc())"))
    }

    /// The number of the collection of which it reports a pause, or the end.
    fn collection(&self) -> Option<u64> {
        let (number, rest) = self.gc()?;
        let ended = rest.contains(" Collection (") && rest.contains("->");
        (rest.starts_with("Pause ") || ended).then_some(number)
    }

    /// How much of the heap was used when that collection, or a part of it, began or ended,
    /// whichever is more: `17M->4M(61M)`, `22M(69%)->28M(88%)`.
    fn heap_bytes(&self) -> Option<u64> {
        let (_, rest) = self.gc()?;
        let (before, after) = rest.split_once("->")?;
        let before = before.rsplit(' ').next()?;
        Some(bytes(before)?.max(bytes(after)?))
    }

    /// Takes `GC(0) Text` apart.
    fn gc(&self) -> Option<(u64, &'l str)> {
        if self.tags != "gc" {
            return None;
        }
        let (number, rest) = self.text.strip_prefix("GC(")?.split_once(") ")?;
        Some((number.parse().ok()?, rest))
    }
}

/// A size such as `17M`, whatever follows it in brackets.
fn bytes(text: &str) -> Option<u64> {
    let size = text.split('(').next()?;
    let digits = size.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let shift = match &size[digits.len()..] {
        "B" => 0,
        "K" => 10,
        "M" => 20,
        "G" => 30,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(1 << shift)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs;

    use super::*;
    use crate::measure::event::EXPLICIT;
    use crate::measure::pause;
    use crate::measure::stall;
    use crate::measure::timeline::Timeline;
    use crate::measure::utilisation;

    const LINES: &str = r#"[500000ns][gc] Using Serial
[1500000ns][safepoint] Safepoint "ICBufferFull", Time since last: 1000000 ns, Reaching safepoint: 100000 ns, Cleanup: 50000 ns, At safepoint: 50000 ns, Total: 200000 ns
[2900000ns][gc       ] GC(7) Pause Young (Allocation Failure) 17M->4M(61M) 0.001ms
[3000000ns][safepoint] Safepoint "GenCollectForAllocation", Time since last: 900000 ns, Reaching safepoint: 10000 ns, Cleanup: 20000 ns, At safepoint: 570000 ns, Total: 600000 ns
[9000000ns][gc       ] GC(8) Pause Full (System.gc()) 2048K->1M(61M) 0.001ms
[9100000ns][safepoint] Safepoint "GenCollectForAllocation", Time since last: 900000 ns, Reaching safepoint: 10000 ns, Cleanup: 20000 ns, At safepoint: 570000 ns, Total: 600000 ns
"#;

    fn iteration(from_ns: u64, until_ns: u64) -> Measured {
        Measured {
            iteration: 1,
            checksum: String::new(),
            operations: 1,
            allocated_objects: 1,
            allocated_payload_bytes: 8,
            allocated_bytes: 16,
            from_ns,
            until_ns,
            wall_ns: until_ns - from_ns,
            cpu_ns: 1,
            heap_bytes: 1 << 20,
            resident_bytes: None,
            pauses: Vec::new(),
            pauses_lost: 0,
            observations: BTreeMap::new(),
            delays_ns: Vec::new(),
            collections: None,
            warmup: None,
            runtime: None,
        }
    }

    #[test]
    fn stops_between_the_ends_of_an_iteration_are_its_pauses() {
        let observed = observed(LINES, &iteration(1_600_000, 8_000_000), 2);
        assert_eq!(
            (observed.collections, observed.peak_heap_bytes),
            (1, 17 << 20)
        );
        let timeline = Timeline::of(&observed.events);
        let pauses = pause::of(&timeline);
        assert_eq!(
            (pauses.pause_count, pauses.pause_max_ns),
            (1, Some(600_000))
        );
        assert_eq!(pauses.time_to_safepoint_max_ns, Some(10_000));
        let used = utilisation::of(&timeline, 1_600_000..8_000_000, 2);
        assert_eq!(used.stopped_ns, 2 * 590_000);
    }

    #[test]
    fn stops_that_are_not_collections_count() {
        let observed = observed(LINES, &iteration(1_000_000, 8_000_000), 1);
        assert_eq!(observed.collections, 1);
        assert_eq!(pause::of(&Timeline::of(&observed.events)).pause_count, 2);
    }

    #[test]
    fn explicit_collections_are_no_pauses() {
        let observed = observed(LINES, &iteration(1_600_000, 9_200_000), 2);
        assert_eq!(observed.collections, 2);
        let timeline = Timeline::of(&observed.events);
        let pauses = pause::of(&timeline);
        assert_eq!(pauses.pause_count, 1);
        let parts = pause::parts(&timeline);
        assert_eq!(parts[EXPLICIT].total_ns, 600_000);
        let used = utilisation::of(&timeline, 1_600_000..9_200_000, 2);
        assert_eq!(used.stopped_ns, 2 * 590_000);
    }

    /// As Z of version 25 writes: young collections, one of which ended in the iteration, and waits
    /// of threads, one of which is no mutator.
    const Z_LINES: &str = r#"[1200ns][gc       ] GC(15) Minor Collection (Allocation Rate)
[1500ns][safepoint] Safepoint "ZMarkStartYoung", Time since last: 900 ns, Reaching safepoint: 10 ns, At safepoint: 20 ns, Leaving safepoint: 5 ns, Total: 35 ns, Threads: 1 runnable, 20 total
[5000000ns][gc       ] Allocation Stall (mutator-1) 3.988ms
[5000100ns][gc       ] Relocation Stall (mutator-0) 0.064ms
[5000200ns][gc       ] Allocation Stall (main) 0.500ms
[5000300ns][gc       ] GC(15) Minor Collection (Allocation Rate) 22M(69%)->28M(88%) 0.004s
[5000400ns][gc       ] GC(16) Minor Collection (Allocation Rate)
"#;

    #[test]
    fn waits_for_a_collector_that_works_beside_the_program_are_pauses() {
        let observed = observed(Z_LINES, &iteration(1000, 6_000_000), 2);
        assert_eq!(
            (observed.collections, observed.peak_heap_bytes),
            (1, 28 << 20)
        );
        let timeline = Timeline::of(&observed.events);
        let pauses = pause::of(&timeline);
        // The stop of 35 ns is none.
        assert_eq!(
            (pauses.pause_count, pauses.pause_max_ns),
            (2, Some(3_988_000))
        );
        let used = utilisation::of(&timeline, 1_000..6_000_000, 2);
        assert_eq!(used.stopped_ns, 3_988_000 + 64_000);
        assert_eq!(pauses.event_ns["collection-wait"], 3_988_000 + 64_000);
        let stalls = stall::of(&Timeline::of(&observed.events));
        assert_eq!(stalls["collection"].count, 2);
    }

    #[test]
    fn the_log_of_a_collector_without_generations_is_read() {
        let lines = "[1500ns][gc       ] GC(4) Garbage Collection (Allocation Stall) 32M(100%)->18M(56%)\n\
                     [1600ns][gc       ] GC(5) Pause Init Mark (unload classes) 0.003ms\n\
                     [1700ns][gc       ] GC(5) Concurrent cleanup 24M->23M(32M) 0.006ms\n\
                     [1800ns][gc       ] GC(5) Pause Final Mark (unload classes) 0.014ms\n";
        let observed = observed(lines, &iteration(1000, 8000), 1);
        assert_eq!(
            (observed.collections, observed.peak_heap_bytes),
            (2, 32 << 20)
        );
    }

    #[test]
    fn what_the_system_counts_thrice_is_left_out() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        fs::write(&path, Z_LINES).unwrap();
        for maps_thrice in [false, true] {
            let mut log = Log::new(path.clone(), maps_thrice);
            let observed = log.observe(&iteration(1000, 6000), 1);
            assert_eq!(observed.resident_is_wrong, maps_thrice);
        }
    }

    #[test]
    fn the_log_of_older_versions_is_read() {
        let line = "[5000000000ns][safepoint] Total time for which application threads were stopped: 0.0106340 seconds, \
                    Stopping threads took: 0.0000514 seconds";
        let stop = Line::read(line).unwrap().stop().unwrap();
        let expected = Stop {
            from: 4_989_366_000,
            stopped: 4_989_417_400,
            until: 5_000_000_000,
        };
        assert_eq!(stop, expected);
    }

    #[test]
    fn lines_that_are_cut_short_or_strange_are_no_stops() {
        let line = LINES.lines().nth(3).unwrap();
        let whole = Line::read(line).and_then(|line| line.stop());
        assert!(whole.is_some());
        for length in 0..line.len() - "0 ns".len() {
            let stop = Line::read(&line[..length]).and_then(|line| line.stop());
            assert!(stop.is_none() || stop == whole, "{}", &line[..length]);
        }
        for strange in [
            "[5ns][safepoint] Safepoint \"X\", Reaching safepoint: 1 ns, Total: 600 ns",
            "[5ns][safepoint] Safepoint \"X\", Reaching safepoint: x ns, Total: 4 ns",
            "[5ns][gc] GC(x) Pause Full 1M->1M(1M) 1ms",
            "[5ns][gc] Allocation Stall (mutator-0) 1.000ms",
            "[5ns][gc] Allocation Stall (mutator-x) 0.001ms",
            "[5000ns][gc] Allocation Stall (mutator-0) 0.001s",
            "[5000ns][gc] Page Cache Stall (mutator-0) 0.001ms",
            "[0.5s][safepoint] Safepoint",
            "[][]",
            "",
        ] {
            let line = Line::read(strange);
            assert!(line.and_then(|line| line.stop()).is_none(), "{strange}");
            assert!(line.and_then(|line| line.wait(1)).is_none(), "{strange}");
            assert!(
                line.and_then(|line| line.collection()).is_none(),
                "{strange}"
            );
        }
    }

    #[test]
    fn the_log_is_read_as_it_grows_and_line_by_line() {
        let directory = tempfile::tempdir().unwrap();
        let mut log = Log::new(directory.path().join("log"), false);
        // No log at all: the pauses are not known to be none.
        assert_eq!(log.observe(&iteration(0, 10_000), 1).events.lost, 1);

        let middle = LINES.find("[3000000ns]").unwrap() + 40;
        fs::write(&log.path, &LINES[..middle]).unwrap();
        let first = log.observe(&iteration(1_000_000, 2_950_000), 1);
        assert_eq!(first.events.events.len(), 2);
        assert_eq!(first.peak_heap_bytes, 17 << 20);
        fs::write(&log.path, LINES).unwrap();
        let second = log.observe(&iteration(2_950_000, 8_000_000), 1);
        assert_eq!(second.events.events.len(), 2);
        // The highest so far.
        assert_eq!(second.peak_heap_bytes, 17 << 20);
    }

    #[test]
    fn a_heap_too_small_for_the_virtual_machine_is_full() {
        let log = Log::default();
        assert!(log.is_heap_full("Too small maximum heap"));
        assert!(log.is_heap_full("java.lang.OutOfMemoryError: Java heap space"));
        assert!(log.is_heap_full(
            "Invalid -XX:ShenandoahMinRegionSize option: Max heap size (2048K) is too low to afford the minimum \
             number of regions (10) of minimum region size (256K)."
        ));
        assert!(!log.is_heap_full("Error occurred during initialization of VM"));
    }
}
