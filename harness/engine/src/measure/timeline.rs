//! What the events of one iteration amount to, found once: who stood still when, and which events
//! belong to one stop. Every metric about pauses is a function of this.
//!
//! Invariants: the [spans](Timeline::spans) of one mutator are disjoint and in order; one that lies
//! in another is left out, so that lengths may be summed. Each stop is there once, however many
//! threads it stopped, and in whichever order its events were reported.
//!
//! **Collections that the program asked for by name** are no doing of the heap's. Their time is cut
//! out of what every thread did, be it that it collected, was stopped, or waited for the lock of
//! one that did: it is neither in pauses nor in the time that pauses are a share of.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::ops::Range;

use super::event::{Event, EventKind, EventLog, LEAST_PAUSE_NS, Phase};

/// The events of one iteration, in order.
#[derive(Debug)]
pub struct Timeline<'l> {
    log: &'l EventLog,
    mutators: BTreeMap<u32, Vec<Event>>,
    stops: BTreeMap<u64, Stop>,
    /// When collections went on that the program had asked for; disjoint, ascending.
    explicit: Vec<Range<u64>>,
}

/// What one mutator did in an iteration. Times are disjoint and ascending.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Activity {
    /// When it was attached, in no blocking region, and nobody collected by the program's wish.
    pub active: Vec<Range<u64>>,
    /// When it was stopped by a pause, all of it in [`Self::active`].
    pub stopped: Vec<Range<u64>>,
}

impl<'l> Timeline<'l> {
    /// Sorts out the events.
    pub fn of(log: &'l EventLog) -> Self {
        let mutators = mutators(log);
        let stops = stops(log);
        let explicit = explicit(&mutators, &stops);
        Self {
            log,
            mutators,
            stops,
            explicit,
        }
    }

    /// The events as the heap reported them, but for those that only say when mutators were there.
    pub fn events(&self) -> impl Iterator<Item = &'l Event> + use<'l> {
        let events = self.log.events.iter();
        events.filter(|event| !matches!(event.kind, EventKind::Attached | EventKind::Blocked))
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

    /// The times in which a mutator stood still, of all of them, however short.
    pub fn spans(&self) -> impl Iterator<Item = &Event> {
        self.mutators.values().flatten()
    }

    /// The stops that are pauses.
    pub fn stop_pauses(&self) -> impl Iterator<Item = &Stop> {
        let stops = self.stops();
        stops.filter(|stop| !stop.is_explicit() && stop.length() >= LEAST_PAUSE_NS)
    }

    /// Those [spans](Self::spans) that are pauses of one thread, with their lengths: not part of a
    /// stop, whose pause is there once for all threads.
    pub fn thread_pauses(&self) -> impl Iterator<Item = (&Event, u64)> {
        let unshared = self.spans().filter(|span| stop_of(span).is_none());
        let lengths = unshared.map(|span| (span, total(&self.less_explicit(span))));
        lengths.filter(|&(_, length)| length >= LEAST_PAUSE_NS)
    }

    /// The lengths of the collections that the program asked for by name.
    pub fn explicit(&self) -> impl Iterator<Item = u64> {
        let stops = self.stops().filter(|stop| stop.is_explicit());
        let cycles = self.spans().filter(|span| is_explicit_cycle(span));
        stops.map(Stop::length).chain(cycles.map(Event::length))
    }

    /// What every mutator did in this iteration. Where the heap does not say when they were there,
    /// they are `threads`, and more if more were seen, all the time.
    pub fn activities(&self, iteration: &Range<u64>, threads: usize) -> BTreeMap<u32, Activity> {
        let of_kind = |kind| {
            self.log
                .events
                .iter()
                .filter(move |event| event.kind == kind)
        };
        let whole = || vec![iteration.clone()];
        let mut there: BTreeMap<u32, Vec<Range<u64>>> = BTreeMap::new();
        for event in of_kind(EventKind::Attached) {
            there.entry(event.mutator).or_default().push(event.time());
        }
        if there.is_empty() {
            there.extend((0..threads as u32).map(|mutator| (mutator, whole())));
            for &mutator in self.mutators.keys() {
                there.entry(mutator).or_insert_with(whole);
            }
        }
        // One that is attached still is there from when it was seen.
        for (&mutator, spans) in &self.mutators {
            let since = spans.first().map(|span| span.from..iteration.end);
            there
                .entry(mutator)
                .or_insert_with(|| since.into_iter().collect());
        }
        let mut away: BTreeMap<u32, Vec<Range<u64>>> = BTreeMap::new();
        for event in of_kind(EventKind::Blocked) {
            away.entry(event.mutator).or_default().push(event.time());
        }
        there
            .into_iter()
            .map(|(mutator, there)| {
                let mut away = away.remove(&mutator).unwrap_or_default();
                away.extend(self.explicit.iter().cloned());
                away.extend(self.spans_of_explicit_stops(mutator));
                let active = without(&within(there, iteration), &merged(away));
                let idle = without(&whole(), &active);
                let stopped = within(self.paused(mutator), iteration);
                let stopped = without(&stopped, &idle);
                (mutator, Activity { active, stopped })
            })
            .collect()
    }

    /// When a mutator was stopped by a pause.
    fn paused(&self, mutator: u32) -> Vec<Range<u64>> {
        let spans = self.mutators.get(&mutator).into_iter().flatten();
        let pauses = spans.filter(|span| match stop_of(span) {
            Some(stop) => (self.stop(stop))
                .is_some_and(|stop| !stop.is_explicit() && stop.length() >= LEAST_PAUSE_NS),
            None => total(&self.less_explicit(span)) >= LEAST_PAUSE_NS,
        });
        merged(pauses.map(Event::time).collect())
    }

    /// A thread that came to ask for a collection itself may have stopped before the request.
    fn spans_of_explicit_stops(&self, mutator: u32) -> impl Iterator<Item = Range<u64>> {
        let spans = self.mutators.get(&mutator).into_iter().flatten();
        let explicit = |span: &&Event| {
            let stop = stop_of(span).and_then(|stop| self.stop(stop));
            stop.is_some_and(Stop::is_explicit)
        };
        spans.filter(explicit).map(Event::time)
    }

    /// What is left of a span without the collections that the program asked for.
    fn less_explicit(&self, span: &Event) -> Vec<Range<u64>> {
        without(&[span.time()], &self.explicit)
    }
}

/// The stop that a span is part of.
fn stop_of(span: &Event) -> Option<u64> {
    match span.kind {
        EventKind::Stopped { stop } => Some(stop),
        _ => None,
    }
}

fn is_explicit_cycle(span: &Event) -> bool {
    matches!(span.kind, EventKind::CycleCollection { explicit: true, .. })
}

fn explicit(mutators: &BTreeMap<u32, Vec<Event>>, stops: &BTreeMap<u64, Stop>) -> Vec<Range<u64>> {
    let stops = stops.values().filter(|stop| stop.is_explicit());
    let stops = stops.map(|stop| stop.request()..stop.resumed);
    let cycles = mutators.values().flatten();
    let cycles = cycles.filter(|span| is_explicit_cycle(span));
    merged(stops.chain(cycles.map(Event::time)).collect())
}

/// The same times, disjoint and ascending.
fn merged(mut times: Vec<Range<u64>>) -> Vec<Range<u64>> {
    times.retain(|time| !time.is_empty());
    times.sort_unstable_by_key(|time| time.start);
    let mut merged: Vec<Range<u64>> = Vec::with_capacity(times.len());
    for time in times {
        match merged.last_mut() {
            Some(last) if time.start <= last.end => last.end = last.end.max(time.end),
            _ => merged.push(time),
        }
    }
    merged
}

/// The parts of these times that lie in `whole`, disjoint and ascending.
fn within(times: Vec<Range<u64>>, whole: &Range<u64>) -> Vec<Range<u64>> {
    let clamp = |at: u64| at.clamp(whole.start, whole.end);
    let times = times.into_iter();
    merged(
        times
            .map(|time| clamp(time.start)..clamp(time.end))
            .collect(),
    )
}

/// What is left of `times` without `others`; both are disjoint and ascending, and so is this.
fn without(times: &[Range<u64>], others: &[Range<u64>]) -> Vec<Range<u64>> {
    let mut left = Vec::new();
    for time in times {
        let mut from = time.start;
        let first = others.partition_point(|other| other.end <= time.start);
        for other in &others[first..] {
            if other.start >= time.end {
                break;
            }
            if other.start > from {
                left.push(from..other.start);
            }
            from = from.max(other.end);
        }
        if from < time.end {
            left.push(from..time.end);
        }
    }
    left
}

/// How long these times are together.
pub fn total(times: &[Range<u64>]) -> u64 {
    times.iter().map(|time| time.end - time.start).sum()
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

    /// Whether the program asked for it by name.
    pub fn is_explicit(&self) -> bool {
        match self.collection.map(|event| event.kind) {
            Some(EventKind::Collection { details, .. }) => details.explicit,
            Some(EventKind::Stop { explicit, .. }) => explicit,
            _ => false,
        }
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
