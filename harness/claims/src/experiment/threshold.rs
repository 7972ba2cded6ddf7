#![doc = include_str!("threshold.md")]

use super::prelude::*;
use super::replacement::{LIVE, LIVE_BYTES, LIVE_OBJECT_BYTES};
use crate::invocation::Metrics;

/// See the [module documentation](self).
pub const EXPERIMENT: Experiment = Experiment {
    name: "threshold",
    summary: "what makes a collection due, and what it finds",
    explanation: include_str!("threshold.md"),
    forms: &[
        Form::new(TWICE, "replacement", 1)
            .few()
            .warmed_up()
            .with("live=4000,words=32,multiple=2,replaced=400")
            .small("live=8000,replaced=600")
            .full("live=100000,replaced=1200")
            .with_heaps(AS_DESCRIBED),
        Form::new(FOUR_TIMES, "replacement", 1)
            .few()
            .warmed_up()
            .with("live=4000,words=32,multiple=4,replaced=400")
            .small("live=8000,replaced=600")
            .full("live=100000,replaced=1200")
            .with_heaps(AS_DESCRIBED),
        // The difference of the two is that of their objects: what a heap begins with is in both.
        Form::new(FEW_OBJECTS, "replacement", 1)
            .few()
            .warmed_up()
            .with("live=50000,words=1,multiple=3,replaced=0")
            .on(AS_DESCRIBED),
        Form::new(MANY_OBJECTS, "replacement", 1)
            .few()
            .warmed_up()
            .with("live=150000,words=1,multiple=3,replaced=0")
            .on(AS_DESCRIBED),
    ],
    claims: &[
        // What the objects themselves do not fill is holes, metadata, and what buffers hold.
        Claim::new("mark-sweep does not collect before memory is filled to three quarters")
            .judges(&["000.12"])
            .documents("described")
            .measured("bytes of objects when the first collection began / limit, heap of 2 x")
            .value(Of(Unit::Share, level), TWICE)
            .tracing(AtLeast(0.75)),
        Claim::new("the more memory is free, the fewer collections mark-sweep makes")
            .judges(&["000.12"])
            .documents("described")
            .measured(MEASURED)
            .ratio(Collections, TWICE, FOUR_TIMES)
            .tracing(AtLeast(2.0)),
        Claim::new("what a collection flags is what the roots reach, and the rest is freed")
            .judges(&["000.12"])
            .documents("described")
            .measured("marked by the last collection / live set")
            .value(Per(&MARKED, &Observed(LIVE_OBJECT_BYTES)), TWICE)
            .tracing(Within(0.98, 1.02)),
        // The word that says what an object is, and a bit; beside it, in part, its block's own.
        Claim::new(
            "a flag bit is all that mark-sweep needs in an object: a word and a byte hold all",
        )
        .judges(&["000.12"])
        .documents("one flag bit")
        .measured(BESIDE)
        .figure(BESIDE_FIELDS)
        .tracing(AtMost(9.0)),
        // That word, and a count of 32 bits, which is the least that counts all references.
        Claim::new("a count takes at least half a word in each object beside what a flag does")
            .ours()
            .measured(BESIDE)
            .figure(BESIDE_FIELDS)
            .counting(AtLeast(12.0)),
        Claim::new(
            "how often counting looks for cycles does not depend on how much memory is free",
        )
        .ours()
        .measured(MEASURED)
        .ratio(Collections, TWICE, FOUR_TIMES)
        .counting(Within(0.9, 1.1)),
    ],
    programs: &[],
};

const TWICE: &str = "twice the live set";
const FOUR_TIMES: &str = "four times the live set";
const FEW_OBJECTS: &str = "50,000 small objects";
const MANY_OBJECTS: &str = "150,000 small objects";

const MEASURED: &str = "collections in a heap of 2 x / of 4 x the live set";
const BESIDE: &str = "bytes of an object beside its reference and its word, metadata included";

/// What the last collection that is logged found alive.
const MARKED: Quantity = Of(Unit::Bytes, |row| {
    Some(row.collections_log.last()?.after_bytes? as f64)
});

/// How far memory was filled when the first collection began that the program did not ask for.
/// `None` where the heap does not say.
fn level(row: &Metrics) -> Option<f64> {
    let mut collections = row.collections_log.iter();
    let first = collections.find(|one| one.kind != "cycle" && one.cause != "System.gc()")?;
    Some(first.before_bytes? as f64 / first.limit_bytes? as f64)
}

/// What one object more takes beside its fields, which are a reference and a word, and its slot in
/// the table.
const BESIDE_FIELDS: Figure = Figure::By(Unit::Bytes, |evidence| {
    let each = evidence.slope(
        Observed(LIVE_BYTES),
        Observed(LIVE),
        &[FEW_OBJECTS, MANY_OBJECTS],
    )?;
    Some(each.map(|bytes| bytes - 3.0 * 8.0))
});

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trial::{MARKSWEEP, RC, Trial};

    /// What an object takes, with its slot, on the one and on the other.
    fn objects_take(trial: &mut Trial, marked: u64, counted: u64) {
        for form in [FEW_OBJECTS, MANY_OBJECTS] {
            for (heap, each) in [(MARKSWEEP, marked), (RC, counted)] {
                trial.plant(form, heap, |metrics| {
                    let live = metrics.observations[LIVE];
                    metrics
                        .observations
                        .insert(LIVE_BYTES.to_owned(), each * live);
                });
            }
        }
    }

    /// When they collect does not depend on time.
    #[test]
    fn heaps_do_what_the_claims_say() {
        let mut trial = Trial::of("threshold");
        trial.holds([0, 1, 2, 5]);
        objects_take(&mut trial, 32, 40);
        trial.holds([3, 4]);
        // A collection that was not due yet.
        trial.plant(TWICE, MARKSWEEP, |metrics| {
            for one in &mut metrics.collections_log {
                one.before_bytes = one.before_bytes.map(|bytes| bytes / 2);
            }
        });
        trial.fails([0]);
        // Objects with more to them than a flag, and without a count.
        objects_take(&mut trial, 40, 32);
        trial.fails([3, 4]);
        // A mark-sweep that does not care how much memory there is.
        trial.plant(FOUR_TIMES, MARKSWEEP, |metrics| metrics.collections = 10);
        trial.plant(TWICE, MARKSWEEP, |metrics| metrics.collections = 10);
        trial.fails([1]);
        // One that leaves garbage flagged.
        trial.plant(TWICE, MARKSWEEP, |metrics| {
            for record in &mut metrics.collections_log {
                record.after_bytes = record.after_bytes.map(|bytes| bytes * 2);
            }
        });
        trial.fails([2]);
    }

    #[test]
    fn countings_collections_must_not_depend_on_memory() {
        let mut trial = Trial::of("threshold");
        trial.plant(TWICE, RC, |metrics| metrics.collections = 30);
        trial.plant(FOUR_TIMES, RC, |metrics| metrics.collections = 10);
        trial.fails([5]);
    }
}
