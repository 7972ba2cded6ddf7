//! What the events of one iteration amount to, found once: who stood still when, and which events
//! belong to one stop. Every metric about pauses is a function of this.
//!
//! Invariants: the [spans](Timeline::spans) of one mutator are disjoint and in order; one that lies
//! in another is left out, so that lengths may be summed. Each stop is there once, however many
//! threads it stopped, and in whichever order its events were reported.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::event::{Event, EventKind, EventLog, Phase};

/// The events of one iteration, in order.
#[derive(Debug)]
pub struct Timeline<'l> {
    log: &'l EventLog,
    mutators: BTreeMap<u32, Vec<Event>>,
    stops: BTreeMap<u64, Stop>,
}

impl<'l> Timeline<'l> {
    /// Sorts out the events.
    pub fn of(log: &'l EventLog) -> Self {
        Self {
            log,
            mutators: mutators(log),
            stops: stops(log),
        }
    }

    /// The events as the heap reported them.
    pub fn events(&self) -> impl Iterator<Item = &'l Event> + use<'l> {
        self.log.events.iter()
    }

    /// Events that did not fit the heap's buffer.
    pub fn lost(&self) -> u64 {
        self.log.lost
    }

    /// The stops, by number.
    pub fn stops(&self) -> impl Iterator<Item = &Stop> {
        self.stops.values()
    }

    /// The stop of this number.
    pub fn stop(&self, number: u64) -> Option<&Stop> {
        self.stops.get(&number)
    }

    /// For each mutator, the times in which it stood still.
    pub fn by_mutator(&self) -> impl Iterator<Item = (u32, &[Event])> {
        let mutators = self.mutators.iter();
        mutators.map(|(&mutator, spans)| (mutator, &spans[..]))
    }

    /// The times in which a mutator stood still, of all of them.
    pub fn spans(&self) -> impl Iterator<Item = &Event> {
        self.mutators.values().flatten()
    }

    /// Those [spans](Self::spans) that are pauses of one thread: not part of a stop, whose pause is
    /// there once for all threads.
    pub fn unshared(&self) -> impl Iterator<Item = &Event> {
        self.spans()
            .filter(|span| !matches!(span.kind, EventKind::Stopped { .. }))
    }
}

/// What the events of one stop say about its pause.
#[derive(Clone, Copy, Debug)]
pub struct Stop {
    /// The [`EventKind::Collection`] or [`EventKind::Stop`], once it has been seen.
    pub collection: Option<Event>,
    /// When the first thread arrived: where the pause begins if the collection's event was lost.
    arrival: u64,
    /// When the last thread went on.
    resumed: u64,
    /// When the thread that collected went on.
    collector_resumed: Option<u64>,
}

impl Stop {
    /// When it was requested. Arrivals are no substitute where that is known: a thread that came to
    /// ask for a collection itself, and found that another had been quicker, may have arrived
    /// before the request.
    fn request(&self) -> u64 {
        self.collection.map_or(self.arrival, |event| event.from)
    }

    /// How long the pause was.
    pub fn length(&self) -> u64 {
        self.resumed.saturating_sub(self.request())
    }

    /// When the thread that carried the collection out went on, if that was reported.
    pub fn collector_resumed(&self) -> Option<u64> {
        self.collector_resumed
    }

    /// How long it took until the last mutator had stopped, if that is known.
    pub fn time_to_safepoint(&self) -> Option<u64> {
        match self.collection?.kind {
            EventKind::Collection { stopped, .. } | EventKind::Stop { stopped, .. } => {
                Some(stopped.saturating_sub(self.request()))
            }
            _ => None,
        }
    }

    /// Its parts, as far as they are known, with their lengths. They add up to the pause.
    pub fn phases(&self) -> impl Iterator<Item = (Phase, u64)> + use<> {
        let mut ends = Vec::new();
        if let Some(Event { until, kind, .. }) = self.collection {
            match kind {
                EventKind::Collection {
                    stopped,
                    rooted,
                    marked,
                    ..
                } => ends.extend([
                    (Phase::TimeToSafepoint, stopped),
                    (Phase::Roots, rooted),
                    (Phase::Mark, marked),
                    (Phase::Finish, until),
                ]),
                EventKind::Stop { stopped, .. } => {
                    ends.extend([(Phase::TimeToSafepoint, stopped), (Phase::Stop, until)]);
                }
                _ => {}
            }
            ends.push((Phase::Resume, self.resumed));
        }
        let mut last = self.request();
        ends.into_iter().map(move |(phase, end)| {
            let length = end.saturating_sub(last);
            last = end.max(last);
            (phase, length)
        })
    }
}

fn stops(log: &EventLog) -> BTreeMap<u64, Stop> {
    let mut stops: BTreeMap<u64, Stop> = BTreeMap::new();
    for event in &log.events {
        let number = match event.kind {
            EventKind::Collection { stop, .. }
            | EventKind::Stop { stop, .. }
            | EventKind::Stopped { stop } => stop,
            _ => continue,
        };
        let stop = stops.entry(number).or_insert(Stop {
            collection: None,
            arrival: event.from,
            resumed: event.until,
            collector_resumed: None,
        });
        if !matches!(event.kind, EventKind::Stopped { .. }) {
            stop.collection = Some(*event);
        }
        stop.arrival = event.from.min(stop.arrival);
        stop.resumed = event.until.max(stop.resumed);
    }
    for event in &log.events {
        if let EventKind::Stopped { stop } = event.kind
            && let Some(stop) = stops.get_mut(&stop)
            && (stop.collection).is_some_and(|collection| collection.mutator == event.mutator)
        {
            stop.collector_resumed = Some(event.until);
        }
    }
    stops
}

fn mutators(log: &EventLog) -> BTreeMap<u32, Vec<Event>> {
    let mut mutators: BTreeMap<u32, Vec<Event>> = BTreeMap::new();
    let stopped = log.events.iter().filter(|event| event.kind.is_pause());
    for &event in stopped {
        mutators.entry(event.mutator).or_default().push(event);
    }
    for spans in mutators.values_mut() {
        // Spans of a thread nest or are disjoint.
        spans.sort_unstable_by_key(|span| (span.from, Reverse(span.until)));
        let mut covered = None;
        spans.retain(|span| {
            let outer = covered.is_none_or(|covered| span.until > covered);
            covered = covered.max(Some(span.until));
            outer
        });
    }
    mutators
}
