//! When mutators were there: attached, and in no blocking region.
//!
//! A share of the mutators' time needs to know how much of it there was: a thread does not run
//! before it exists, and one that waits for something else in a blocking region wants nothing of
//! the heap. Both are seen here, where the harness calls a heap, and come with its
//! [events](crate::event) as [`EventKind::Attached`] and [`EventKind::Blocked`].
//!
//! Invariant: only heaps whose events have been taken are watched, so that a program that measures
//! nothing keeps nothing. What happens is kept with the thread until its mutator detaches: a
//! blocking region costs two readings of the clock and no lock.
//!
//! Rejected: events of the collectors (each of them would need both, and their logs tell of what
//! the *heap* does); every blocking region (one of a server's may take a microsecond, and there are
//! millions: one shorter than [`LEAST_PAUSE_NS`] counts as running).

use std::cell::RefCell;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::event::{Event, EventKind, EventLog, LEAST_PAUSE_NS};

/// Events that are kept of a heap between two readings.
const CAPACITY: usize = 1 << 18;

/// The logs of the heaps that are watched, which their origins tell apart.
static HEAPS: Mutex<Vec<(Instant, EventLog)>> = Mutex::new(Vec::new());

thread_local! {
    /// The watched attachments of this thread, the innermost last.
    static STAYS: RefCell<Vec<Stay>> = const { RefCell::new(Vec::new()) };
}

/// A mutator that is attached.
struct Stay {
    origin: Instant,
    from: u64,
    /// Once it has one.
    mutator: Option<u32>,
    log: EventLog,
}

fn heaps() -> MutexGuard<'static, Vec<(Instant, EventLog)>> {
    // Nothing panics under it.
    HEAPS.lock().unwrap_or_else(PoisonError::into_inner)
}

fn since(origin: Instant) -> u64 {
    origin.elapsed().as_nanos() as u64
}

fn keep(log: &mut EventLog, event: Event) {
    if log.events.len() < CAPACITY {
        log.events.push(event);
    } else {
        log.lost += 1;
    }
}

/// Removes and returns what happened on the heap of this origin, which is watched from now on.
pub fn take(origin: Instant) -> EventLog {
    let mut heaps = heaps();
    if let Some((_, log)) = heaps.iter_mut().find(|(of, _)| *of == origin) {
        return std::mem::take(log);
    }
    heaps.push((origin, EventLog::default()));
    EventLog::default()
}

/// The attachment of this thread to a heap, from the wish for it until this is dropped.
#[derive(Debug)]
pub struct Attachment {
    is_watched: bool,
}

impl Attachment {
    /// To the heap of this origin.
    pub fn begin(origin: Instant) -> Self {
        let is_watched = heaps().iter().any(|(of, _)| *of == origin);
        if is_watched {
            let stay = Stay {
                origin,
                from: since(origin),
                mutator: None,
                log: EventLog::default(),
            };
            STAYS.with_borrow_mut(|stays| stays.push(stay));
        }
        Self { is_watched }
    }

    /// Says which mutator it is. Without this nothing is recorded.
    pub fn is_of(&self, mutator: u32) {
        if self.is_watched {
            STAYS.with_borrow_mut(|stays| {
                if let Some(stay) = stays.last_mut() {
                    stay.mutator = Some(mutator);
                }
            });
        }
    }
}

impl Drop for Attachment {
    fn drop(&mut self) {
        if !self.is_watched {
            return;
        }
        let Some(stay) = STAYS.with_borrow_mut(Vec::pop) else {
            return;
        };
        let Some(mutator) = stay.mutator else { return };
        let attached = Event {
            mutator,
            from: stay.from,
            until: since(stay.origin),
            kind: EventKind::Attached,
        };
        let mut heaps = heaps();
        if let Some((_, log)) = heaps.iter_mut().find(|(of, _)| *of == stay.origin) {
            log.lost += stay.log.lost;
            for event in stay.log.events.into_iter().chain([attached]) {
                keep(log, event);
            }
        }
    }
}

/// Runs the body of a blocking region of this mutator, which is this thread's.
pub fn blocked<R>(mutator: u32, body: impl FnOnce() -> R) -> R {
    /// Ends the region, also if the body unwinds.
    struct Region {
        mutator: u32,
        /// Nesting of the attachment that is blocked, and since when.
        begun: Option<(usize, u64)>,
    }
    impl Drop for Region {
        fn drop(&mut self) {
            let Some((index, from)) = self.begun else {
                return;
            };
            STAYS.with_borrow_mut(|stays| {
                let Some(stay) = stays.get_mut(index) else {
                    return;
                };
                let until = since(stay.origin);
                if until - from >= LEAST_PAUSE_NS {
                    let event = Event {
                        mutator: self.mutator,
                        from,
                        until,
                        kind: EventKind::Blocked,
                    };
                    keep(&mut stay.log, event);
                }
            });
        }
    }
    let begun = STAYS.with_borrow(|stays| {
        let index = stays
            .iter()
            .rposition(|stay| stay.mutator == Some(mutator))?;
        Some((index, since(stays[index].origin)))
    });
    let _region = Region { mutator, begun };
    body()
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::thread::sleep;
    use std::time::Duration;

    use super::*;

    fn kinds(log: &EventLog) -> Vec<(u32, EventKind)> {
        let events = log.events.iter();
        events.map(|event| (event.mutator, event.kind)).collect()
    }

    #[test]
    fn attachments_and_regions_are_recorded_of_watched_heaps() {
        let origin = Instant::now();
        let stay = |mutator| {
            let attachment = Attachment::begin(origin);
            attachment.is_of(mutator);
            blocked(mutator, || sleep(Duration::from_millis(1)));
            blocked(mutator, || ());
        };
        stay(1);
        assert!(take(origin).events.is_empty());
        stay(2);
        let log = take(origin);
        let expected = [(2, EventKind::Blocked), (2, EventKind::Attached)];
        assert_eq!(kinds(&log), expected);
        let [blocked, attached] = log.events[..] else {
            unreachable!()
        };
        assert!(attached.from <= blocked.from && blocked.until <= attached.until);
        assert!(blocked.length() >= 1_000_000);
        assert!(take(origin).events.is_empty());
    }

    #[test]
    fn a_panic_ends_both() {
        let origin = Instant::now();
        take(origin);
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            let attachment = Attachment::begin(origin);
            attachment.is_of(7);
            blocked(7, || {
                sleep(Duration::from_millis(1));
                std::panic::resume_unwind(Box::new(()))
            })
        }));
        assert!(panicked.is_err());
        let expected = [(7, EventKind::Blocked), (7, EventKind::Attached)];
        assert_eq!(kinds(&take(origin)), expected);
    }

    #[test]
    fn a_thread_may_attach_to_another_heap_while_it_is_blocked() {
        let (outer, inner) = (Instant::now(), Instant::now() + Duration::from_nanos(1));
        take(outer);
        take(inner);
        let attachment = Attachment::begin(outer);
        attachment.is_of(0);
        blocked(0, || {
            let attachment = Attachment::begin(inner);
            attachment.is_of(3);
            blocked(3, || sleep(Duration::from_millis(1)));
        });
        drop(attachment);
        let expected = |mutator| {
            [
                (mutator, EventKind::Blocked),
                (mutator, EventKind::Attached),
            ]
        };
        assert_eq!(kinds(&take(inner)), expected(3));
        assert_eq!(kinds(&take(outer)), expected(0));
    }
}
