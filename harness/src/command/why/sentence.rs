//! What is said of a pause: how long and to whom, of what it consisted, why it took so long, and
//! what would shorten it.
//!
//! Invariant: each sentence is told from rows alone. The effect of an option is told where the same
//! file has the same work with it; elsewhere how to measure it, and it is never guessed.
//!
//! Rejected: advice without a figure. What shortens the longest pause may lengthen the work.

use std::fmt::Write as _;

use super::part::{Remedy, SEARCH};
use super::pause::Pause;
use engine::invocation::{CollectionRecord, Row, SpanRecord};
use engine::report::quantity::{format_ratio, format_time};
use engine::results::{CellResults, Group, Results};
use engine::statistics::Estimate;

impl<'r> Pause<'r> {
    /// How long, when, and to whom it happened.
    pub(super) fn when(&self, cell: &CellResults) -> String {
        let Row { invocation, .. } = self.row;
        let mut text = format!(
            "{} in {}{}, process {}, iteration {}",
            format_time(self.length as f64),
            cell.workload_label(),
            cell.and_threads(),
            invocation.invocation,
            self.row.iteration,
        );
        let at = self.span.map(|span| span.at_ns);
        let at = at.or(self.collection.map(|collection| collection.at_ns));
        if let Some(at) = at {
            let _ = write!(text, ", {} after it began", format_time(at as f64));
        }
        match (self.collection, self.span) {
            (Some(collection), Some(span)) if !collection.phases.is_empty() => {
                let _ = write!(text, ": mutator {} stopped the world", span.mutator);
            }
            (_, Some(span)) => {
                let _ = write!(text, ": mutator {}", span.mutator);
            }
            _ => {}
        }
        text.push('.');
        text
    }

    /// Of what it consisted.
    pub(super) fn content(&self) -> String {
        match (self.collection, self.span) {
            (Some(search), _) if search.kind == "cycle" => self.search_in_words(search),
            (Some(collection), _) => self.stop_in_words(collection),
            (None, Some(span)) => match self.largest_part() {
                Some((part, _)) if !part.alone.is_empty() => part.alone.to_owned(),
                _ => format!("It was a {}.", span.kind),
            },
            (None, None) => "The row does not say of what it consisted.".to_owned(),
        }
    }

    fn search_in_words(&self, search: &CollectionRecord) -> String {
        let which = match search.generation {
            Some(generation) if self.option("cycle") != Some("bacon-rajan") => {
                format!("in generation {generation} and those younger")
            }
            _ => "from possible roots".to_owned(),
        };
        match self.around {
            Some(_) => format!(
                "It was a stop of the world for a search for cycles {which}: {}.",
                self.parts_in_words()
            ),
            None => format!(
                "It was a search for cycles {which}, {} of work in one piece.",
                format_time(self.length as f64)
            ),
        }
    }

    fn stop_in_words(&self, collection: &CollectionRecord) -> String {
        let mut text = format!("It was a {} collection", collection.kind);
        let parts = self.parts_in_words();
        if !parts.is_empty() {
            let _ = write!(text, ": {parts}");
        }
        if let Some(last) = self.last_to_arrive(collection) {
            let _ = write!(
                text,
                "; mutator {} kept the others waiting longest, for {}",
                last.mutator,
                format_time(last.length_ns as f64)
            );
        }
        text.push('.');
        text
    }

    /// Its parts, but those that took next to nothing.
    fn parts_in_words(&self) -> String {
        let parts = self.parts().into_iter();
        let parts: Vec<String> = parts
            .filter(|(_, time)| 1000 * time >= self.length)
            .map(|(part, time)| format!("{} {}", format_time(time as f64), part.in_list))
            .collect();
        parts.join(", ")
    }

    /// The thread that a stop waited longest for.
    fn last_to_arrive(&self, stop: &CollectionRecord) -> Option<&'r SpanRecord> {
        let arrivals = self.metrics.spans.iter();
        arrivals
            .filter(|span| span.kind == "arrived" && span.at_ns == stop.at_ns)
            .max_by_key(|span| span.length_ns)
    }

    /// What somebody else did for most of a wait.
    pub(super) fn meanwhile(&self) -> Option<&'r SpanRecord> {
        let mut spans = self.metrics.spans.iter();
        let begun = self.span.map_or(0, |span| span.at_ns);
        spans.find(|span| {
            span.kind != "lock-wait"
                && span.at_ns >= begun
                && span.at_ns < begun + self.length
                && 2 * span.length_ns > self.length
        })
    }

    /// What made it so long.
    pub(super) fn reason(&self) -> String {
        match (self.largest_part(), self.collection) {
            (Some((part, time)), _) => (part.reason)(self, time),
            (None, Some(search)) if search.kind == "cycle" => (SEARCH.reason)(self, self.length),
            (None, _) => String::new(),
        }
    }

    /// What acts on its largest part, and what that did in the same file, if it was tried.
    pub(super) fn remedy(&self, cell: &CellResults, results: &Results) -> String {
        let Some((part, _)) = self.largest_part() else {
            return String::new();
        };
        if !matches!(self.option("regime"), None | Some("gil")) {
            return "No option acts on that without the global lock.".to_owned();
        }
        let heap = cell.invocation().heap.as_str();
        let options = &cell.invocation().options;
        let is_new = |remedy: &&Remedy| {
            let value = options.get(remedy.option).map(String::as_str);
            remedy.heap == heap && value != Some(remedy.value)
        };
        let Some(remedy) = part.remedy.as_ref().filter(is_new) else {
            return part.no_remedy.to_owned();
        };
        let Remedy {
            option,
            value,
            what,
            ..
        } = remedy;
        tried(remedy, cell, results).map_or_else(
            || {
                let label = cell.heap_label();
                let joint = if label.contains(':') { ',' } else { ':' };
                let threads = match cell.threads() {
                    1 => String::new(),
                    several => format!(" --threads {several}"),
                };
                format!(
                    "{option}={value} {what}; what it does here: harness run {}{threads} --heap \
                     {label} --heap {label}{joint}{option}={value}",
                    cell.workload_label()
                )
            },
            |effect| format!("{option}={value} {what}: {effect}."),
        )
    }
}

/// What an option did in the same file, if the same work was measured with it.
fn tried(remedy: &Remedy, cell: &CellResults, results: &Results) -> Option<String> {
    let asked = cell.invocation();
    let mut wanted = asked.options.clone();
    wanted.insert(remedy.option.to_owned(), remedy.value.to_owned());
    let groups = results.groups();
    let mut groups = groups.iter();
    let group = groups.find(|group| group.cells.iter().any(|other| std::ptr::eq(*other, cell)))?;
    let other = group.cells.iter().copied().find(|other| {
        other.invocation().heap == asked.heap && other.invocation().options == wanted
    })?;
    let pause = Pause::longest(other)?;
    let cost = time_of(group, other, cell).map_or(String::new(), |ratio| {
        format!(", and the time {} of this one's", format_ratio(ratio))
    });
    Some(format!(
        "with it the longest here was {}{cost} ({})",
        format_time(pause.length as f64),
        other.heap_label()
    ))
}

/// The time of one cell of a group over another's, where one of them is what all are compared with.
fn time_of(group: &Group<'_>, one: &CellResults, other: &CellResults) -> Option<Estimate> {
    if std::ptr::eq(other, group.baseline()) {
        group.ratio(one)
    } else if std::ptr::eq(one, group.baseline()) {
        Some(group.ratio(other)?.inverse())
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{explained, row, searches, span};
    use super::*;
    use engine::measure::record::SYSTEM_GC;

    #[test]
    fn a_stop_is_told_by_its_parts() {
        let mut stop = row("gc-marksweep", 5_000_000);
        let metrics = stop.metrics.as_mut().unwrap();
        let phases = [
            ("time-to-safepoint", 1_000_000),
            ("roots", 500),
            ("mark", 3_900_000),
        ];
        metrics.collections_log = vec![
            CollectionRecord {
                at_ns: 10,
                pause_ns: 5_000_000,
                kind: "full".to_owned(),
                cause: SYSTEM_GC.to_owned(),
                ..CollectionRecord::default()
            },
            CollectionRecord {
                at_ns: 7_000,
                pause_ns: 5_000_000,
                kind: "full".to_owned(),
                cause: "Allocation Failure".to_owned(),
                after_bytes: Some(1 << 20),
                phases: phases.map(|(name, time)| (name.to_owned(), time)).into(),
                ..CollectionRecord::default()
            },
        ];
        metrics.spans = vec![
            span(3, 7_000, 4_900_000, "collection"),
            span(4, 7_000, 2_000, "arrived"),
            span(5, 7_000, 1_000_000, "arrived"),
        ];
        let text = explained(vec![stop]);
        for words in [
            "5.00 ms in list",
            "7.00 us after it began: mutator 3 stopped the world",
            "It was a full collection: 1.00 ms until all threads stood, 3.90 ms marking; mutator 5 \
             kept the others waiting longest, for 1.00 ms.",
            "1 MiB were alive, 3.81 us a KiB",
            "harness run list",
            "gc-marksweep:generations=on",
        ] {
            assert!(text.contains(words), "{words}: {text}");
        }
    }

    #[test]
    fn a_search_for_cycles_is_told_by_what_it_examined() {
        let mut search = row("gc-rc", 2_000_000);
        let metrics = search.metrics.as_mut().unwrap();
        metrics.collections_log = vec![CollectionRecord {
            at_ns: 9,
            pause_ns: 2_000_000,
            kind: "cycle".to_owned(),
            generation: Some(2),
            examined_objects: Some(20_000),
            unreachable_objects: Some(1),
            ..CollectionRecord::default()
        }];
        metrics.spans = vec![span(1, 9, 2_000_000, "cycle-collection")];
        let text = explained(vec![search]);
        for words in [
            "in generation 2 and those younger",
            "20,000 objects, 100 ns each, of which 1 were garbage",
            "cycle=bacon-rajan",
        ] {
            assert!(text.contains(words), "{words}: {text}");
        }
    }

    /// Bacon and Rajan know no generations, whatever number the event has.
    #[test]
    fn possible_roots_are_not_called_a_generation() {
        let mut row = searches(&[19_000]);
        let options = &mut row.invocation.options;
        options.insert("cycle".to_owned(), "bacon-rajan".to_owned());
        row.metrics.as_mut().unwrap().collections_log[0].generation = Some(0);
        let text = explained(vec![row]);
        assert!(
            text.contains("a search for cycles from possible roots"),
            "{text}"
        );
        assert!(!text.contains("generation 0"), "{text}");
    }

    #[test]
    fn a_wait_for_the_lock_names_who_had_it() {
        let mut wait = row("gc-rc", 10_000);
        wait.invocation.threads = 2;
        wait.metrics.as_mut().unwrap().spans = vec![
            span(2, 1_000, 10_000, "lock-wait"),
            span(1, 1_500, 9_000, "drain"),
        ];
        let text = explained(vec![wait]);
        assert!(text.contains("a wait for the global lock"), "{text}");
        assert!(
            text.contains("mutator 1 had the lock for a drain of 9.00 us"),
            "{text}"
        );
        let command = "harness run list:nodes=77 --threads 2 --heap gc-rc --heap gc-rc:gil=fair";
        assert!(text.contains(command), "{text}");
    }

    #[test]
    fn an_option_that_was_tried_is_told_with_its_effect() {
        let one = row("gc-rc", 10_000);
        let mut two = row("gc-rc", 4_000);
        let drain = |row: &Row, length| {
            let mut row = row.clone();
            row.metrics.as_mut().unwrap().spans = vec![span(1, 5, length, "drain")];
            row
        };
        two.invocation
            .options
            .insert("free".to_owned(), "lazy".to_owned());
        let text = explained(vec![drain(&one, 10_000), drain(&two, 4_000)]);
        assert!(
            text.contains(
                "with it the longest here was 4.00 us, and the time 1.00 of this one's \
                 (gc-rc:free=lazy)"
            ),
            "{text}"
        );
    }
}
