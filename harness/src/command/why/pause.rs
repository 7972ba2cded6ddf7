//! The longest pause of a heap, and its parts, found in rows.
//!
//! A row has the length of its longest pause, spans of threads, and collections. The pause is the
//! span of that length; failing that, the collection, since a stop is longer than the collection in
//! it; failing that, the stop, which is how counting without the global lock searches for cycles.
//!
//! Invariant: the length is the row's own figure. A span or a collection only adds what is known of
//! it, so that a row whose logs are full has a pause all the same.
//!
//! Rejected: to take the longest of all spans. Not every span is a pause, and rows keep no more
//! than so many of each.

use super::part::{self, Part};
use engine::invocation::{CollectionRecord, Metrics, Row, SpanRecord};
use engine::measure::event::Phase;
use engine::measure::record::SYSTEM_GC;
use engine::results::CellResults;

/// A pause, and the row that it is in.
pub(super) struct Pause<'r> {
    pub(super) row: &'r Row,
    pub(super) metrics: &'r Metrics,
    pub(super) length: u64,
    /// The collection that it is of, if it is one's.
    pub(super) collection: Option<&'r CollectionRecord>,
    /// The span of the thread that it happened to, or of the one that asked for it.
    pub(super) span: Option<&'r SpanRecord>,
    /// What is beside the search of a stop that was made for one.
    pub(super) around: Option<Around>,
}

/// The parts of a stop in which cycles were searched for, without the global lock.
#[derive(Clone, Copy)]
pub(super) struct Around {
    /// From its beginning to the search's: until all threads stood.
    before_ns: u64,
    /// Until the thread ran again.
    after_ns: u64,
}

impl<'r> Pause<'r> {
    pub(super) fn longest(cell: &'r CellResults) -> Option<Self> {
        let rows = cell.measured_rows().filter_map(|row| {
            let metrics = row.metrics.as_ref()?;
            Some((row, metrics, metrics.pauses.pause_max_ns?))
        });
        let (row, metrics, length) = rows.max_by_key(|(_, _, length)| *length)?;
        let mut spans = metrics.spans.iter();
        let span = spans.find(|span| span.length_ns == length && is_pause(&span.kind));
        let mut collections = metrics.collections_log.iter();
        let collection = collections.find(|collection| {
            let same = match span {
                Some(span) => span.at_ns == collection.at_ns,
                None => true,
            };
            collection.pause_ns == length && collection.cause != SYSTEM_GC && same
        });
        if span.is_none() && collection.is_none() {
            let mut spans = metrics.spans.iter();
            let stop = spans.find(|span| span.length_ns == length && span.kind == "stopped");
            if let Some(stop) = stop {
                return Some(Self::stop_for_a_search(row, metrics, stop));
            }
        }
        // A stop is longer than the collection in it, by the time until threads stand and run.
        let within = |span: &&SpanRecord| {
            collection.is_some_and(|collection| span.at_ns == collection.at_ns)
                && span.kind == "collection"
        };
        Some(Self {
            row,
            metrics,
            length,
            collection,
            span: span.or_else(|| metrics.spans.iter().find(within)),
            around: None,
        })
    }

    /// A stop of counting without the global lock.
    fn stop_for_a_search(row: &'r Row, metrics: &'r Metrics, stop: &'r SpanRecord) -> Self {
        let end = stop.at_ns + stop.length_ns;
        let search = metrics.collections_log.iter().find(|search| {
            search.kind == "cycle"
                && search.at_ns < end
                && search.at_ns + search.pause_ns > stop.at_ns
        });
        Self {
            row,
            metrics,
            length: stop.length_ns,
            collection: search,
            span: Some(stop),
            around: search.map(|search| Around {
                before_ns: search.at_ns.saturating_sub(stop.at_ns),
                after_ns: end.saturating_sub(search.at_ns + search.pause_ns),
            }),
        }
    }

    /// The value of an option of its heap.
    pub(super) fn option(&self, name: &str) -> Option<&'r str> {
        let options = &self.row.invocation.options;
        options.get(name).map(String::as_str)
    }

    /// Its parts in the order in which they happened, as far as they are told apart.
    pub(super) fn parts(&self) -> Vec<(&'static Part, u64)> {
        let Some(collection) = self.collection else {
            return Vec::new();
        };
        if let Some(around) = self.around {
            return vec![
                (&part::TIME_TO_SAFEPOINT, around.before_ns),
                (&part::SEARCH, collection.pause_ns),
                (&part::RESUME_OF_ONE, around.after_ns),
            ];
        }
        let phases = Phase::ALL.iter().filter_map(|phase| {
            let name = phase.name();
            Some((Part::of(name, None), *collection.phases.get(name)?))
        });
        phases.collect()
    }

    /// Its largest part, and how long that took: all of it, where parts are not told apart.
    pub(super) fn largest_part(&self) -> Option<(&'static Part, u64)> {
        let parts = self.parts().into_iter();
        parts.max_by_key(|(_, time)| *time).or_else(|| {
            let kind = &self.span?.kind;
            Some((Part::of(kind, self.option("regime")), self.length))
        })
    }
}

/// Whether a span of this kind is a pause of the thread, and no part of another's.
fn is_pause(kind: &str) -> bool {
    !matches!(kind, "arrived" | "explicit" | "stopped" | "stop")
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{explained, row, span};
    use super::*;

    #[test]
    fn a_stop_without_the_global_lock_is_told_by_its_search_and_what_is_round_it() {
        let stop = |at_ns, search_ns| {
            let mut row = row("gc-rc", 178_000);
            let options = &mut row.invocation.options;
            options.insert("regime".to_owned(), "atomic".to_owned());
            let metrics = row.metrics.as_mut().unwrap();
            metrics.collections_log = vec![CollectionRecord {
                at_ns,
                pause_ns: search_ns,
                kind: "cycle".to_owned(),
                generation: Some(0),
                examined_objects: Some(2_000),
                unreachable_objects: Some(7),
                ..CollectionRecord::default()
            }];
            metrics.spans = vec![
                span(3, 140_000, 178_000, "stopped"),
                span(3, at_ns, search_ns, "cycle-collection"),
            ];
            explained(vec![row])
        };
        let text = stop(144_000, 172_000);
        for words in [
            "140 us after it began: mutator 3.",
            "a stop of the world for a search for cycles in generation 0 and those younger: 4.00 \
             us until all threads stood, 172 us the search, 2.00 us until the thread ran again.",
            "2,000 objects, 86.0 ns each, of which 7 were garbage",
            "No option acts on that without the global lock.",
        ] {
            assert!(text.contains(words), "{words}: {text}");
        }
        let text = stop(310_000, 7_000);
        assert!(text.contains("did not come to a safepoint"), "{text}");
        let text = stop(141_000, 7_000);
        assert!(
            text.contains("for 170 us the threads that were let go waited"),
            "{text}"
        );
    }
}
