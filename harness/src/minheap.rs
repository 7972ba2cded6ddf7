//! The smallest heap in which a workload completes.
//!
//! Heaps are compared at equal memory, at multiples of one minimum. Definition: *minimum heap by resumable binary search (a crash is
//! retried, a time-out counts as out of memory).*
//!
//! A size *completes* if one process runs the warm-up and one timed iteration to their ends. The search starts at the workload's own default,
//! doubles until a size completes, halves until one does not, and bisects between the two until they are within one per cent (or
//! 64 KiB). What is reported is the smallest size that was seen to complete.
//!
//! * *Resumable*: each attempt's rows are appended to the result file as it ends. Attempts that an existing file (`--output`) already
//!   has are not made again: the search is deterministic, so that it goes through them as if it had made them, to where it was interrupted.
//! * *A crash is retried*, twice; after that the size counts as one that does not complete. So does a time-out: a heap that spends all
//!   its time collecting is too small.
//! * Completing is taken to be monotonous in the size. Near the minimum it is not quite, where threads race: one lucky
//!   process is enough. A runtime that rounds its heap size has a minimum no finer than that.
//!
//! Heaps without a limit have no minimum and are left out.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use crate::environment::Environment;
use crate::invocation::{Invocation, Row, Status, format_bytes};
use crate::plan::{Cell, Format, Plan};
use crate::report;
use crate::run::{Error, Sink, complain, environment_of, invoke};

/// Sizes are multiples of this.
const GRAIN: u64 = 64 << 10;
/// How often a crash is tried again.
const RETRIES: usize = 2;
/// The largest size tried where the machine does not say how much memory it has.
const UNKNOWN_MEMORY: u64 = 64 << 30;

/// A cell's minimum, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Minimum {
    /// The smallest size that completed, in bytes; `None` if none did, up to the machine's memory.
    pub completed: Option<u64>,
    /// The largest size that did not, in bytes; 0 if every one did.
    pub failed: u64,
}

/// Finds the minimum of each cell of the plan that has a limit, writes rows as they come, and prints what the plan's format asks for. Says whether
/// every one has a minimum.
///
/// # Errors
///
/// If the result file cannot be read or opened, or it or standard output cannot be written.
pub fn run(plan: &Plan) -> Result<bool, Error> {
    let mut known = match &plan.output {
        Some(path) => Known::read(path).map_err(Error::NotRun)?,
        None => Known::default(),
    };
    let mut sink = Sink::open(plan)?;
    let environment = Environment::read();
    let largest = environment.memory_bytes.unwrap_or(UNKNOWN_MEMORY);
    let note = |text: &str| {
        if !plan.quiet {
            complain(text);
        }
    };
    plan.notes
        .iter()
        .for_each(|text| note(&format!("note: {text}")));

    let mut minima: Vec<(&Cell, Minimum)> = Vec::new();
    for cell in plan.cells.iter() {
        if !cell.limited {
            note(&format!("note: {cell} has no limit, and so no minimum"));
            continue;
        }
        let minimum = search(cell.workload.heap_bytes(&cell.input), largest, |bytes| {
            let invocation = Invocation {
                heap_bytes: bytes,
                ..cell.invocation(plan, 1)
            };
            let verdict = known.verdict(&invocation, || {
                let mut rows = invoke(cell, &invocation, plan.timeout, &|_| ());
                for row in &mut rows {
                    row.environment = Some(environment_of(cell, &environment));
                    sink.write(row);
                }
                rows
            });
            note(&format!("{cell}: {}: {verdict}", format_bytes(bytes)));
            verdict == Status::Ok
        });
        minima.push((cell, minimum));
    }
    if plan.format == Format::Table {
        sink.print(&report::minheap::render(&minima));
        let path = format!("\nResults: {}\n", sink.path.display());
        sink.print(&path);
    }
    sink.finish().map_err(Error::NotWritten)?;
    Ok(minima
        .iter()
        .all(|(_, minimum)| minimum.completed.is_some()))
}

/// Searches from `start` upwards to `largest` and then downwards, as the [module documentation](self) says.
fn search(start: u64, largest: u64, mut completes: impl FnMut(u64) -> bool) -> Minimum {
    let mut size = start.next_multiple_of(GRAIN);
    let mut failed = 0;
    let mut completed = loop {
        if completes(size) {
            break size;
        }
        failed = size;
        if size >= largest {
            return Minimum {
                completed: None,
                failed,
            };
        }
        size = (2 * size).min(largest.next_multiple_of(GRAIN));
    };
    while completed - failed > GRAIN.max(completed / 100) {
        // Until something has failed the way is down by halves.
        let middle = failed + (completed - failed) / 2;
        let middle = middle.next_multiple_of(GRAIN).min(completed - GRAIN);
        if middle == 0 {
            break;
        }
        if completes(middle) {
            completed = middle;
        } else {
            failed = middle;
        }
    }
    Minimum {
        completed: Some(completed),
        failed,
    }
}

/// The attempts of which the result is known.
#[derive(Debug, Default)]
struct Known {
    /// By invocation: how each of its attempts ended.
    attempts: HashMap<String, Vec<Status>>,
}

impl Known {
    /// Those in a result file; none if there is no such file.
    fn read(path: &Path) -> Result<Self, String> {
        let text = match fs::read_to_string(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Self::default()),
            text => text.map_err(|error| {
                format!(
                    "cannot read {}: {error}; choose another file with --output FILE",
                    path.display()
                )
            })?,
        };
        let mut known = Self::default();
        // An interrupted run may have left half a line.
        let rows: Vec<Row> = text
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect();
        // Rows of one attempt follow each other, and an attempt begins with its first iteration or with what came instead.
        for attempt in
            rows.chunk_by(|a, b| a.invocation == b.invocation && a.iteration < b.iteration)
        {
            known.record(attempt);
        }
        Ok(known)
    }

    /// Takes note of an attempt. One whose rows are not complete was interrupted, and does not count.
    fn record(&mut self, attempt: &[Row]) {
        let Some(last) = attempt.last() else { return };
        if last.status == Status::Ok && last.iteration < last.invocation.iterations {
            return;
        }
        let attempts = self.attempts.entry(key(&last.invocation)).or_default();
        attempts.push(last.status);
    }

    /// How the invocation ends: as is known, or as attempts now show.
    fn verdict(
        &mut self,
        invocation: &Invocation,
        mut attempt: impl FnMut() -> Vec<Row>,
    ) -> Status {
        loop {
            let attempts = self
                .attempts
                .get(&key(invocation))
                .map_or(&[][..], Vec::as_slice);
            let conclusive = attempts.iter().find(|status| !is_accident(**status));
            if let Some(status) = conclusive {
                return *status;
            }
            if attempts.len() > RETRIES {
                return Status::Crashed;
            }
            let before = attempts.len();
            self.record(&attempt());
            if self.attempts.get(&key(invocation)).map_or(0, Vec::len) == before {
                // It did not even end: no more is to be had from it.
                return Status::Crashed;
            }
        }
    }
}

/// What tells one attempt's question from another's: all of the invocation.
fn key(invocation: &Invocation) -> String {
    serde_json::to_string(invocation).expect("invocations are JSON")
}

/// Whether this says nothing about the size.
fn is_accident(status: Status) -> bool {
    matches!(status, Status::Crashed | Status::Void)
}

/// The cells of one group: they did the same work.
pub(crate) fn groups<'m, 'p>(
    minima: &'m [(&'p Cell, Minimum)],
) -> impl Iterator<Item = &'m [(&'p Cell, Minimum)]> {
    minima.chunk_by(|(a, _), (b, _)| a.group == b.group)
}

/// Whether the cells are run with different numbers of threads.
pub(crate) fn several_threads(minima: &[(&Cell, Minimum)]) -> bool {
    let threads: BTreeSet<usize> = minima.iter().map(|(cell, _)| cell.input.threads).collect();
    threads.len() > 1
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::workload::Size;

    const MIB: u64 = 1 << 20;

    /// Searches for a known minimum; the result and the number of attempts.
    fn search_for(minimum: u64, start: u64, largest: u64) -> (Minimum, usize) {
        let mut attempts = BTreeSet::new();
        let found = search(start, largest, |bytes| {
            assert!(bytes > 0 && bytes % GRAIN == 0, "{bytes}");
            assert!(attempts.insert(bytes), "{bytes} twice");
            bytes >= minimum
        });
        (found, attempts.len())
    }

    #[test]
    fn the_minimum_is_found_within_a_per_cent() {
        for minimum in [1, 70_000, 3 * MIB, 17 * MIB + 5, 31 * MIB, 700 * MIB] {
            for start in [1, MIB, 32 * MIB, 2000 * MIB] {
                let (found, attempts) = search_for(minimum, start, 1 << 40);
                let completed = found.completed.unwrap();
                assert!(found.failed < minimum && minimum <= completed, "{found:?}");
                let width = completed - found.failed;
                assert!(
                    width <= GRAIN.max(completed / 100),
                    "{minimum} {start}: {found:?}"
                );
                assert!(attempts <= 30, "{attempts}");
            }
        }
    }

    #[test]
    fn what_never_completes_has_no_minimum() {
        let (found, attempts) = search_for(u64::MAX, MIB, 100 * MIB);
        assert_eq!((found.completed, found.failed), (None, 100 * MIB));
        assert_eq!(attempts, 8);
    }

    fn invocation(heap_bytes: u64) -> Invocation {
        Invocation {
            workload: "list".to_owned(),
            size: Size::Tiny,
            parameters: BTreeMap::new(),
            heap: "gc-rc".to_owned(),
            options: BTreeMap::new(),
            heap_bytes,
            threads: 1,
            seed: 42,
            iterations: 1,
            invocation: 1,
        }
    }

    fn row(heap_bytes: u64, iteration: u32, status: Status) -> Row {
        Row::without_metrics(&invocation(heap_bytes), iteration, status, String::new())
    }

    /// The verdict on a size, given these attempts one after the other, and how many were made.
    fn verdict(known: &mut Known, heap_bytes: u64, attempts: &[Status]) -> (Status, usize) {
        let mut made = 0;
        let verdict = known.verdict(&invocation(heap_bytes), || {
            made += 1;
            match attempts[made - 1] {
                Status::Ok => vec![
                    row(heap_bytes, 0, Status::Ok),
                    row(heap_bytes, 1, Status::Ok),
                ],
                other => vec![row(heap_bytes, 0, other)],
            }
        });
        (verdict, made)
    }

    #[test]
    fn crashes_are_retried_and_nothing_else() {
        use Status::{Crashed, HeapFull, Ok, Timeout};
        let fresh = |attempts: &[Status]| verdict(&mut Known::default(), 1, attempts);
        assert_eq!(fresh(&[Ok]), (Ok, 1));
        assert_eq!(fresh(&[HeapFull]), (HeapFull, 1));
        assert_eq!(fresh(&[Timeout]), (Timeout, 1));
        assert_eq!(fresh(&[Crashed, Ok]), (Ok, 2));
        assert_eq!(fresh(&[Crashed, Crashed, HeapFull]), (HeapFull, 3));
        assert_eq!(fresh(&[Crashed, Crashed, Crashed]), (Crashed, 3));
    }

    #[test]
    fn a_file_of_rows_is_gone_on_with() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("rows.jsonl");
        let rows = [
            row(1, 0, Status::Ok),
            row(1, 1, Status::Ok),
            row(2, 0, Status::HeapFull),
            row(3, 0, Status::Crashed),
            row(3, 0, Status::Crashed),
            // Interrupted between its iterations.
            row(4, 0, Status::Ok),
        ];
        let mut text: String = rows.iter().map(report::json::line).collect();
        text.push_str("{\"schema\":1,\"workl");
        fs::write(&path, text).unwrap();
        let mut known = Known::read(&path).unwrap();
        assert_eq!(verdict(&mut known, 1, &[]), (Status::Ok, 0));
        assert_eq!(verdict(&mut known, 2, &[]), (Status::HeapFull, 0));
        assert_eq!(verdict(&mut known, 3, &[Status::Ok]), (Status::Ok, 1));
        assert_eq!(
            verdict(&mut known, 4, &[Status::Timeout]),
            (Status::Timeout, 1)
        );
        assert!(
            Known::read(&directory.path().join("none"))
                .unwrap()
                .attempts
                .is_empty()
        );
        assert!(
            Known::read(directory.path())
                .unwrap_err()
                .contains("--output FILE")
        );
    }
}
