//! The smallest heap in which a workload completes.
//!
//! Heaps are compared at equal memory, at multiples of one minimum. Definition: *minimum heap by
//! resumable binary search (a crash is retried, a time-out counts as out of memory).*
//!
//! A size *completes* if one process runs the warm-up and one timed iteration to their ends. The
//! search starts at the workload's own default, doubles until a size completes, halves until one
//! does not, and bisects between the two until they are within one per cent (or 64 KiB). What is
//! reported is the smallest size that was seen to complete.
//!
//! * *Resumable*: each attempt's rows are appended to the result file as it ends. Attempts that an
//!   existing file (`--resume`, or `--output`) already has are not made again: the search is
//!   deterministic, so that it goes through them as if it had made them, to where it was
//!   interrupted. Rows of attempts have the invocation number 0: they are no measurements. Crashes
//!   among them are forgotten, unless `--keep-failures` is given: what made them may have been
//!   mended.
//! * *A crash is retried*, twice; after that the size counts as one that does not complete. So does
//!   a time-out: a heap that spends all its time collecting is too small.
//! * Completing is taken to be monotonous in the size. Near the minimum it is not quite, where
//!   threads race: one lucky process is enough. A runtime that rounds its heap size has a minimum
//!   no finer than that.
//!
//! The heaps' overhead limits are off: what completes slowly completes, and the clock has no say
//! but by the time-out.
//!
//! Heaps without a limit have no minimum and are left out.

use std::collections::HashMap;

use contract::shown::shown;

use crate::adapter::OVERHEAD_LIMIT_NAME;
use crate::invocation::{Invocation, Row, Status, format_bytes};
use crate::plan::{Cell, Format, Plan};
use crate::report;
use crate::results::{self, Results};
use crate::run::{Error, Session};

/// Sizes are multiples of this.
pub const GRAIN: u64 = 64 << 10;
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

/// Finds the minimum of each cell of the plan that has a limit, writes rows as they come, and
/// prints what the plan's format asks for. Says whether every one has a minimum.
///
/// # Errors
///
/// If the result file cannot be read or opened, or it or standard output cannot be written, or the
/// user interrupts.
pub fn run(plan: &Plan) -> Result<bool, Error> {
    // A search goes on with whatever is in its file, said or not.
    let existing = plan.output.clone().filter(|path| path.is_file());
    let plan = &Plan {
        resume: plan.resume.clone().or(existing),
        ..plan.clone()
    };
    let mut session = Session::begin(plan)?;
    let earlier = std::mem::take(&mut session.trials);
    let Searched { minima, trials } = find(plan, &mut session, earlier, true);
    // Rows were printed as they came; there is one form of what was found.
    if !matches!(plan.format, Format::Json | Format::Csv) {
        let results = Results::of_rows(trials);
        session.sink.print(&report::minheap::render(&results));
        let path = format!("\nResults: {}\n", shown(&session.sink.path));
        session.sink.print(&path);
    }
    session.sink.finish().map_err(Error::NotWritten)?;
    if session.is_interrupted() {
        return Err(session.interruption());
    }
    Ok(minima
        .iter()
        .all(|(_, minimum)| minimum.completed.is_some())
        && !plan.notes.missing)
}

/// What a search has found.
pub struct Searched<'p> {
    /// The minimum of each cell that has a limit.
    pub minima: Vec<(&'p Cell, Minimum)>,
    /// The attempts that it rests on, made now or before.
    pub trials: Vec<Row>,
}

/// Finds the minimum of each cell of the plan that has a limit, as far as the user lets it.
/// Attempts of `earlier` are not made again. Notes tell of each attempt, or else of each minimum.
pub fn find<'p>(
    plan: &'p Plan,
    session: &mut Session,
    earlier: Vec<Row>,
    of_each_attempt: bool,
) -> Searched<'p> {
    let usable = session.environment.usable_memory_bytes();
    let largest = usable.unwrap_or(UNKNOWN_MEMORY);
    let mut known = Known::of(&earlier);
    if !plan.keep_failures {
        known.forget_accidents();
    }
    let mut trials = earlier;
    let mut minima: Vec<(&Cell, Minimum)> = Vec::new();
    for cell in &plan.cells {
        if !cell.limited {
            if of_each_attempt {
                session.note(&format!("note: {cell} has no limit, and so no minimum"));
            }
            continue;
        }
        session.show_search(cell);
        let minimum = search(cell.workload.heap_bytes(&cell.input), largest, |bytes| {
            if cell.within(bytes).is_err() {
                // No heap of this kind is so small.
                return Some(false);
            }
            let invocation = attempt_at(plan, cell, bytes);
            let verdict = known.verdict(&invocation, || {
                let rows = session.attempt(cell, &invocation, plan.timeout, |_| ())?;
                trials.extend(rows.iter().cloned());
                Some(rows)
            });
            let Some(verdict) = verdict else {
                session.interrupt();
                return None;
            };
            if of_each_attempt {
                session.note(&format!("{cell}: {}: {verdict}", format_bytes(bytes)));
            }
            Some(verdict == Status::Ok)
        });
        match minimum {
            Some(minimum) => {
                if !of_each_attempt {
                    let words = minimum.completed.map_or("none".to_owned(), format_bytes);
                    session.note(&format!("minimum heap of {cell}: {words}"));
                }
                minima.push((cell, minimum));
            }
            // The user wants to stop.
            None => break,
        }
    }
    session.hide_search();
    Searched { minima, trials }
}

/// The minimum of a cell, as far as it follows from these attempts alone.
pub fn known(plan: &Plan, cell: &Cell, trials: &[Row]) -> Option<Minimum> {
    let mut known = Known::of(trials);
    // Sizes up to which the attempts went; the search itself stops where nothing is known.
    let tried = trials.iter().map(|row| row.invocation.heap_bytes);
    let largest = tried.max().unwrap_or(0);
    search(cell.workload.heap_bytes(&cell.input), largest, |bytes| {
        if cell.within(bytes).is_err() {
            return Some(false);
        }
        let verdict = known.verdict(&attempt_at(plan, cell, bytes), || None)?;
        Some(verdict == Status::Ok)
    })
}

/// What an attempt at a size is asked to do.
fn attempt_at(plan: &Plan, cell: &Cell, heap_bytes: u64) -> Invocation {
    let mut invocation = Invocation {
        heap_bytes,
        iterations: 1,
        ..cell.invocation(plan, 0)
    };
    let overhead_limit = invocation.options.get_mut(OVERHEAD_LIMIT_NAME);
    overhead_limit
        .into_iter()
        .for_each(|it| *it = "off".to_owned());
    invocation
}

/// Searches from `start` upwards to `largest` and then downwards, as the [module
/// documentation](self) says. `None` as soon as it is not told.
fn search(
    start: u64,
    largest: u64,
    mut completes: impl FnMut(u64) -> Option<bool>,
) -> Option<Minimum> {
    let mut size = start.next_multiple_of(GRAIN);
    let mut failed = 0;
    let mut completed = loop {
        if completes(size)? {
            break size;
        }
        failed = size;
        if size >= largest {
            return Some(Minimum {
                completed: None,
                failed,
            });
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
        if completes(middle)? {
            completed = middle;
        } else {
            failed = middle;
        }
    }
    Some(Minimum {
        completed: Some(completed),
        failed,
    })
}

/// The attempts of which the result is known.
#[derive(Debug, Default)]
struct Known {
    /// By invocation: how each of its attempts ended.
    attempts: HashMap<String, Vec<Status>>,
}

impl Known {
    /// Those that these rows are of.
    fn of(rows: &[Row]) -> Self {
        let mut known = Self::default();
        // Rows of one attempt follow each other, and an attempt begins with its first iteration or
        // with what came instead.
        for attempt in
            rows.chunk_by(|a, b| a.invocation == b.invocation && a.iteration < b.iteration)
        {
            known.record(attempt);
        }
        known
    }

    /// Takes note of an attempt. One whose rows are not complete was interrupted, and does not
    /// count.
    fn record(&mut self, attempt: &[Row]) {
        let Some(last) = attempt.last() else { return };
        if !results::is_complete(attempt) {
            return;
        }
        let attempts = self.attempts.entry(key(&last.invocation)).or_default();
        attempts.push(last.status);
    }

    /// What went wrong in an earlier run says nothing about the sizes: that may have been mended.
    fn forget_accidents(&mut self) {
        for attempts in self.attempts.values_mut() {
            attempts.retain(|status| !is_accident(*status));
        }
    }

    /// How the invocation ends: as is known, or as attempts now show; `None` if one was
    /// interrupted.
    fn verdict(
        &mut self,
        invocation: &Invocation,
        mut attempt: impl FnMut() -> Option<Vec<Row>>,
    ) -> Option<Status> {
        loop {
            let attempts = self
                .attempts
                .get(&key(invocation))
                .map_or(&[][..], Vec::as_slice);
            let conclusive = attempts.iter().find(|status| !is_accident(**status));
            if let Some(status) = conclusive {
                return Some(*status);
            }
            if attempts.len() > RETRIES {
                return Some(Status::Crashed);
            }
            let before = attempts.len();
            self.record(&attempt()?);
            if self.attempts.get(&key(invocation)).map_or(0, Vec::len) == before {
                // It did not even end: no more is to be had from it.
                return Some(Status::Crashed);
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

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::workload::Size;

    const MIB: u64 = 1 << 20;

    /// Searches for a known minimum; the result and the number of attempts.
    fn search_for(minimum: u64, start: u64, largest: u64) -> (Minimum, usize) {
        let mut attempts = BTreeSet::new();
        let found = search(start, largest, |bytes| {
            assert!(bytes > 0 && bytes % GRAIN == 0, "{bytes}");
            assert!(attempts.insert(bytes), "{bytes} twice");
            Some(bytes >= minimum)
        });
        (found.unwrap(), attempts.len())
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
            file: None,
            heap: "gc-rc".to_owned(),
            options: BTreeMap::new(),
            heap_bytes,
            threads: 1,
            seed: 42,
            iterations: 1,
            invocation: 0,
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
            Some(match attempts[made - 1] {
                Status::Ok => vec![
                    row(heap_bytes, 0, Status::Ok),
                    row(heap_bytes, 1, Status::Ok),
                ],
                other => vec![row(heap_bytes, 0, other)],
            })
        });
        (verdict.unwrap(), made)
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
    fn what_is_known_is_not_tried_again() {
        let rows = [
            row(1, 0, Status::Ok),
            row(1, 1, Status::Ok),
            row(2, 0, Status::HeapFull),
            row(3, 0, Status::Crashed),
            row(3, 0, Status::Crashed),
            // Interrupted between its iterations.
            row(4, 0, Status::Ok),
        ];
        let mut known = Known::of(&rows);
        assert_eq!(verdict(&mut known, 1, &[]), (Status::Ok, 0));
        assert_eq!(verdict(&mut known, 2, &[]), (Status::HeapFull, 0));
        assert_eq!(verdict(&mut known, 3, &[Status::Ok]), (Status::Ok, 1));
        assert_eq!(
            verdict(&mut known, 4, &[Status::Timeout]),
            (Status::Timeout, 1)
        );
    }

    /// Three crashes of an earlier run, whose cause may have been mended, are not three of this
    /// one.
    #[test]
    fn crashes_of_an_earlier_run_can_be_forgotten() {
        let crash = || row(3, 0, Status::Crashed);
        let rows = [crash(), crash(), crash(), row(2, 0, Status::Timeout)];
        let mut known = Known::of(&rows);
        assert_eq!(verdict(&mut known, 3, &[]), (Status::Crashed, 0));
        known.forget_accidents();
        assert_eq!(verdict(&mut known, 3, &[Status::Ok]), (Status::Ok, 1));
        assert_eq!(verdict(&mut known, 2, &[]), (Status::Timeout, 0));
    }

    #[test]
    fn an_interrupted_search_ends_without_a_verdict() {
        assert_eq!(search(MIB, 100 * MIB, |_| None), None);
        assert_eq!(Known::default().verdict(&invocation(1), || None), None);
    }
}
