#![doc = include_str!("stop_the_world.md")]

use std::collections::BTreeSet;

use super::prelude::*;
use super::replacement::{IN_PROPORTION, per_decade};
use crate::invocation::{Metrics, SpanRecord};

/// See the [module documentation](self).
pub const EXPERIMENT: Experiment = Experiment {
    name: "stop-the-world",
    summary: "the longest pause against what lives",
    explanation: include_str!("stop_the_world.md"),
    forms: &[
        Form::new(LEAST, "replacement", 1)
            .few()
            .warmed_up()
            .with("live=200,words=31,multiple=2,replaced=5000")
            .small("live=1000,words=1,spare=1,replaced=10000")
            .full("live=2000,words=1,spare=4,replaced=12000")
            .with_heaps(EVERY_AS_DESCRIBED),
        LARGEST.with_heaps(EVERY_AS_DESCRIBED),
        Form::new(THREADS, "replacement", 2)
            .warmed_up()
            .with("live=500,words=31,multiple=2,replaced=6000")
            .small("live=5000,words=1,spare=1,replaced=10000")
            .full("live=20000,words=1,spare=4,replaced=1500")
            .on(&["gc-marksweep:generations=off"]),
        LARGEST.named(GENERATIONS).on(&["gc-marksweep"]),
        Form::new(CYCLES, "replacement", 1)
            .few()
            .warmed_up()
            .with("live=2000,words=31,multiple=2,replaced=100,cyclic=1")
            .small("live=100000,words=1,spare=1,replaced=300")
            .full("live=200000,words=1,spare=4,replaced=300")
            .on(&["gc-rc"]),
        LARGEST.named(LAZY).on(&["gc-rc:free=lazy"]),
    ],
    claims: &[
        // It is a challenge because the time is that of marking, which is in proportion.
        Claim::new("the longest time for which marking stops threads grows with what lives")
            .judges(&["000.14"])
            .measured(GROWTH)
            .figure(GROWN)
            .tracing(AtLeast(IN_PROPORTION)),
        Claim::new("a collection that marks stops each of two running threads, nine times in ten")
            .judges(&["000.14"])
            .documents("all")
            .measured("threads that stood still during collections, two for each")
            .share(
                Of(Unit::Count, stopped_threads),
                Of(Unit::Count, threads_to_stop),
                &[THREADS],
            )
            .tracing(AtLeast(0.9)),
        Claim::new("looking at young objects first halves the longest pause of marking")
            .ours()
            .measured("longest pause with generations / without, largest live set")
            .ratio(LongestPause, GENERATIONS, MOST)
            .tracing(AtMost(0.5)),
        Claim::new("counting pauses as well, for a millisecond or longer")
            .ours()
            .measured("longest pause, largest live set")
            .value(LongestPause, MOST)
            .counting(AtLeast(MILLISECOND)),
        Claim::new("the longest pause of counting grows with what lives")
            .ours()
            .measured(GROWTH)
            .figure(GROWN)
            .counting(AtLeast(IN_PROPORTION)),
        Claim::new("finding cycles beside counts pauses for a millisecond or longer")
            .ours()
            .measured("longest cycle collection where each object is one, largest live set")
            .value(Of(Unit::Time, longest_cycle_collection), CYCLES)
            .counting(AtLeast(MILLISECOND)),
        Claim::new(
            "dropping the last reference to a large structure pauses for a millisecond or longer",
        )
        .ours()
        .measured("longest cascade of decrements, largest live set")
        .value(Of(Unit::Time, longest_cascade), MOST)
        .counting(AtLeast(MILLISECOND)),
        Claim::new("a large structure that is freed lazily pauses for a millisecond at most")
            .ours()
            .measured("longest cascade of decrements, largest live set, free=lazy")
            .value(Of(Unit::Time, longest_cascade), LAZY)
            .counting(AtMost(MILLISECOND)),
    ],
    programs: &[],
};

const LEAST: &str = "least live";
const MOST: &str = "a hundred times as many";
const THREADS: &str = "two threads";
const GENERATIONS: &str = "a hundred times as many, generations";
const CYCLES: &str = "a hundred times as many, cycles";
const LAZY: &str = "a hundred times as many, freed lazily";

/// The largest live set.
const LARGEST: Form = Form::new(MOST, "replacement", 1)
    .few()
    .warmed_up()
    .with("live=2000,words=31,multiple=2,replaced=600,after=20")
    .small("live=100000,words=1,spare=1,replaced=300,after=100")
    .full("live=200000,words=1,spare=4,replaced=300,after=100");

const GROWTH: &str = "growth of the longest pause per decade of live objects; 10: in proportion";
const GROWN: Figure = Figure::By(Unit::Ratio, |evidence| {
    per_decade(evidence, LongestPause, LEAST, MOST)
});

/// The longest cycle collection on a heap that reports them. `None` elsewhere.
fn longest_cycle_collection(metrics: &Metrics) -> Option<f64> {
    let collection = metrics.pause_parts.get("cycle-collection")?;
    Some(collection.max_ns as f64)
}

/// The longest drain on a heap that reports them; 0 if none was long enough to be reported. `None`
/// elsewhere.
fn longest_cascade(metrics: &Metrics) -> Option<f64> {
    // Who stops the world does not count, or is a real runtime that reports nothing else.
    let parts = &metrics.pause_parts;
    let tells = !parts.contains_key("stop") && !parts.contains_key("mark");
    let drain = metrics.pause_parts.get("drain");
    tells.then(|| drain.map_or(0.0, |part| part.max_ns as f64))
}

/// How many threads the collections should have stopped: both, each time. `None` without any.
fn threads_to_stop(metrics: &Metrics) -> Option<f64> {
    let each = stopped_by_each(metrics);
    (!each.is_empty()).then_some(2.0 * each.len() as f64)
}

/// How many they did stop.
fn stopped_threads(metrics: &Metrics) -> Option<f64> {
    let each = stopped_by_each(metrics);
    (!each.is_empty()).then(|| each.iter().sum::<usize>() as f64)
}

/// The threads that stood still during each collection.
fn stopped_by_each(metrics: &Metrics) -> Vec<usize> {
    let of_kind = |kinds: &'static [&str]| {
        let spans = metrics.spans.iter();
        spans.filter(move |span| kinds.contains(&span.kind.as_str()))
    };
    let overlap = |a: &SpanRecord, b: &SpanRecord| {
        a.at_ns < b.at_ns + b.length_ns && b.at_ns < a.at_ns + a.length_ns
    };
    let stopped = of_kind(&["collection", "stop"]).map(|collection| {
        let threads: BTreeSet<u32> = of_kind(&["stopped"])
            .filter(|span| overlap(span, collection))
            .map(|span| span.mutator)
            .collect();
        threads.len()
    });
    stopped.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trial::{MARKSWEEP, RC, Trial};

    use crate::measure::pause::Part;

    fn plant(trial: &mut Trial, form: &str, heaps: &[&str], pause_ns: u64) {
        trial.plant(form, heaps, |metrics| {
            metrics.pauses.pause_max_ns = Some(pause_ns);
            for kind in ["cycle-collection", "drain"] {
                let part = Part {
                    max_ns: pause_ns / 2,
                    ..Part::default()
                };
                metrics.pause_parts.insert(kind.to_owned(), part);
            }
        });
    }

    #[test]
    fn the_verdicts_follow_the_pauses() {
        let mut planted = Trial::of("stop-the-world");
        for (form, counting, tracing) in [(LEAST, 80_000, 50_000), (MOST, 8_000_000, 4_000_000)] {
            plant(&mut planted, form, RC, counting);
            plant(&mut planted, form, MARKSWEEP, tracing);
        }
        plant(&mut planted, GENERATIONS, MARKSWEEP, 400_000);
        plant(&mut planted, LAZY, RC, 20_000);
        plant(&mut planted, CYCLES, RC, 8_000_000);
        planted.holds([0, 2, 3, 4, 5, 6, 7]);
        // A collector whose pause is what it is, whatever lives.
        let mut trial = planted.clone();
        plant(&mut trial, MOST, MARKSWEEP, 60_000);
        trial.fails([0, 2]);
        // Counting that hardly stops, and stops all the same when it is to be lazy.
        let mut trial = planted;
        plant(&mut trial, MOST, RC, 90_000);
        plant(&mut trial, LAZY, RC, 4_000_000);
        plant(&mut trial, CYCLES, RC, 90_000);
        trial.fails(3..8);
    }

    /// A collection stops both threads, whatever the time it takes; and a thread that went on would
    /// show.
    #[test]
    fn all_threads_are_stopped() {
        let mut trial = Trial::of("stop-the-world");
        trial.holds([1]);
        trial.plant(THREADS, MARKSWEEP, |metrics| {
            let mut stopped = metrics.spans.iter().filter(|span| span.kind == "stopped");
            let one = stopped.next().map(|span| span.mutator);
            metrics
                .spans
                .retain(|span| span.kind != "stopped" || Some(span.mutator) == one);
        });
        trial.fails([1]);
    }

    /// One reference is dropped, and everything goes at once: not a matter of time.
    #[test]
    fn the_end_is_a_cascade() {
        let trial = Trial::of("stop-the-world");
        let mut rows = trial.rows().iter();
        assert!(rows.any(|row| {
            let metrics = row.metrics.as_ref().unwrap();
            row.invocation.heap == "gc-rc"
                && row.invocation.options["free"] == "eager"
                && metrics.pause_parts.contains_key("drain")
        }));
    }
}
