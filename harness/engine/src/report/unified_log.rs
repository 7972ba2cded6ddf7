//! The log that a HotSpot JVM (17) writes with `-Xlog:gc*,safepoint`, made of our collections: for
//! GCViewer, GCeasy and whatever else reads such logs.
//!
//! ```text
//! [0.003s][info][gc] Using MarkSweep
//! [0.412s][info][gc,start    ] GC(0) Pause Full (Allocation Failure)
//! [0.422s][info][gc,phases   ] GC(0) Marking Phase 9.871ms
//! [0.423s][info][gc          ] GC(0) Pause Full (Allocation Failure) 63488K->31744K(131072K) 10.512ms
//! [0.424s][info][safepoint   ] Safepoint "GenCollectForAllocation", Time since last: 409011200 ns, Reaching safepoint: 51400 ns, Cleanup: 0 ns, At safepoint: 10460600 ns, Total: 10512000 ns
//! ```
//!
//! Readers are strict where one would not expect it, so what is written is chosen from fixed
//! tables:
//!
//! * the type is `Pause Full` or `Pause Young`, the phase `Marking Phase`; phases that HotSpot has
//!   no name for are at level `debug`, where readers pass over them;
//! * the cause is one of [`CAUSES`]: an underscore, a digit or a comma in it would make GCViewer
//!   take the sizes for part of it;
//! * sizes are whole kibibytes, and a pause is a decimal fraction of milliseconds;
//! * a safepoint is in the words of JDK 17. Those of JDK 9 to 12, `Total time for which application
//!   threads were stopped`, make GCViewer count a stop that is not longer than its pause as a pause
//!   of its own, and so the time twice.
//!
//! *One log is of one heap*: it is what one JVM would have written, so it is made of one cell
//! ([`render`] takes no more), its timed iterations one after another, numbered through. Cycle
//! collections of a counting heap are pauses of the thread that carries them out, `Pause Full` for
//! the oldest generation; waits and cascades of decrements have no counterpart in the format and
//! are not in it: for pauses of *all* kinds see [`hlog`](super::hlog). A collection whose sizes the
//! heap does not say cannot be written; [`Log::left_out`] counts them.

use std::fmt::Write as _;

use super::text::one_line;
use crate::invocation::CollectionRecord;
use crate::measure::event::{Extent, Phase};
use crate::measure::record::{ALLOCATION_FAILURE, SYSTEM_GC};
use crate::results::{CellResults, Results};

/// Every cause that is written; the first stands for any that is not among them.
pub const CAUSES: [&str; 3] = ["Unknown Cause", ALLOCATION_FAILURE, SYSTEM_GC];

/// A log, and what is not in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Log {
    /// The lines.
    pub text: String,
    /// Collections that are in the text.
    pub collections: u64,
    /// Collections that are not: the heap did not say how much there was before or after, or the
    /// row had no room for them.
    pub left_out: u64,
}

/// The log of one cell.
pub fn render(cell: &CellResults) -> Log {
    let mut log = Log::default();
    let _ = writeln!(log.text, "[0.000s][info][gc] Using {}", collector(cell));
    let mut start_ns = 0;
    let mut last_ns = 0;
    for metrics in cell.measured() {
        log.left_out += metrics.collections_unlogged;
        for collection in &metrics.collections_log {
            let written = write(
                &mut log.text,
                log.collections,
                start_ns,
                last_ns,
                collection,
            );
            if let Some(until) = written {
                log.collections += 1;
                last_ns = until;
            } else {
                log.left_out += 1;
            }
        }
        start_ns += metrics.wall_ns;
    }
    log
}

/// The heap's name as HotSpot would write one: letters alone.
fn collector(cell: &CellResults) -> String {
    let name = &cell.invocation().heap;
    let words = name.split(|character: char| !character.is_ascii_alphabetic());
    words
        .map(|word| {
            let mut characters = word.chars();
            let first = characters.next().map(|first| first.to_ascii_uppercase());
            first.into_iter().chain(characters).collect::<String>()
        })
        .collect()
}

/// Writes the lines of a collection that was requested `start_ns` + `at_ns` after the log's
/// beginning, and says when it ended; or none if sizes are missing. The one before ended at
/// `last_ns`.
fn write(
    text: &mut String,
    number: u64,
    start_ns: u64,
    last_ns: u64,
    collection: &CollectionRecord,
) -> Option<u64> {
    let kibibytes = |bytes: Option<u64>| bytes.map(|bytes| bytes.div_ceil(1024));
    let before = kibibytes(collection.before_bytes)?;
    let after = kibibytes(collection.after_bytes)?;
    // As there: how much the heap is now, not how much it may be.
    let total = kibibytes(collection.committed_bytes.or(collection.limit_bytes))?;
    let name = format!("{} ({})", kind(collection), cause(&collection.cause));
    let from = start_ns + collection.at_ns;
    let until = from + collection.pause_ns;
    let milliseconds = |nanoseconds: u64| format!("{:.3}ms", nanoseconds as f64 / 1e6);
    let line = |text: &mut String, at: u64, level: &str, tags: &str, message: &str| {
        let seconds = at as f64 / 1e9;
        let _ = writeln!(text, "[{seconds:.3}s][{level}][{tags:<12}] {message}");
    };
    let started = format!("GC({number}) {name}");
    line(text, from, "info", "gc,start", &started);
    let mut phases: Vec<(&String, &u64)> = collection.phases.iter().collect();
    phases.sort_by_key(|(phase, _)| Phase::ALL.iter().position(|known| known.name() == *phase));
    for (phase, &length) in phases {
        let (level, phase) = if phase == Phase::Mark.name() {
            ("info", "Marking Phase")
        } else {
            ("debug", phase.as_str())
        };
        let message = format!("GC({number}) {} {}", words(phase), milliseconds(length));
        line(text, until, level, "gc,phases", &message);
    }
    let ended = format!(
        "GC({number}) {name} {before}K->{after}K({total}K) {}",
        milliseconds(collection.pause_ns)
    );
    line(text, until, "info", "gc", &ended);
    let reaching = collection.time_to_safepoint_ns.unwrap_or(0);
    let reaching = reaching.min(collection.pause_ns);
    let stopped = format!(
        "Safepoint \"{}\", Time since last: {} ns, Reaching safepoint: {reaching} ns, Cleanup: 0 ns, \
         At safepoint: {} ns, Total: {} ns",
        operation(&collection.cause),
        from.saturating_sub(last_ns),
        collection.pause_ns - reaching,
        collection.pause_ns
    );
    line(text, until, "info", "safepoint", &stopped);
    Some(until)
}

/// What a serial JVM calls the operation that a collection of this cause is part of.
fn operation(cause: &str) -> &'static str {
    if cause == SYSTEM_GC {
        "GenCollectFull"
    } else {
        "GenCollectForAllocation"
    }
}

/// A collection of everything, or of the young.
fn kind(collection: &CollectionRecord) -> &'static str {
    /// Generations are numbered 0, 1 and 2.
    const OLDEST: u8 = 2;
    let is_full = match (Extent::of(&collection.kind), collection.generation) {
        (Some(Extent::Young), _) => false,
        (Some(Extent::Cycle), Some(generation)) => generation >= OLDEST,
        _ => true,
    };
    if is_full { "Pause Full" } else { "Pause Young" }
}

fn cause(cause: &str) -> &'static str {
    let known = CAUSES.iter().find(|known| **known == cause);
    known.copied().unwrap_or(CAUSES[0])
}

/// The phase as words: names come from files, and a line feed or a bracket would make it another
/// line or field.
fn words(phase: &str) -> String {
    phase
        .chars()
        .map(|character| {
            if character.is_ascii_alphabetic() {
                character
            } else {
                ' '
            }
        })
        .collect()
}

/// The cell that a form of one heap is made of.
///
/// # Errors
///
/// One line, if there are several.
pub(super) fn only_cell(results: &Results) -> Result<&CellResults, String> {
    let mut cells = results.cells.iter().filter(|cell| !cell.is_twin());
    match (cells.next(), cells.next()) {
        (Some(cell), None) => Ok(cell),
        (first, second) => {
            let cells = first.into_iter().chain(second);
            let shown: Vec<String> = cells.map(|cell| one_line(&cell.name())).collect();
            Err(format!(
                "a unified log is of one heap, and there is more here ({}, ...): choose with \
                 --workload, --heap, --threads and --heap-size of harness report",
                shown.join(", ")
            ))
        }
    }
}
