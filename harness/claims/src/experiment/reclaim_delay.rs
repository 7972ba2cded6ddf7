#![doc = include_str!("reclaim_delay.md")]

use super::prelude::*;
use super::replacement::{IN_PROPORTION, per_decade};

/// See the [module documentation](self).
pub const EXPERIMENT: Experiment = Experiment {
    name: "reclaim-delay",
    summary: "how long after its last reference an object is found dead",
    explanation: include_str!("reclaim_delay.md"),
    forms: &[
        // The smallest does not fit a runtime that needs some mebibytes for itself.
        Form::new(LEAST, "replacement", 1)
            .few()
            .warmed_up()
            .with("live=20,words=32,multiple=3,replaced=400,watched=40")
            .small("live=1000,replaced=500,watched=100")
            .full("live=1000,replaced=800,watched=400")
            .on(EVERY_AS_DESCRIBED),
        Form::new(SOME, "replacement", 1)
            .few()
            .warmed_up()
            .with("live=200,words=32,multiple=3,replaced=400,watched=40")
            .small("live=4000,replaced=500,watched=100")
            .full("live=10000,replaced=800,watched=400")
            .with_heaps(EVERY_AS_DESCRIBED),
        Form::new(MOST, "replacement", 1)
            .few()
            .warmed_up()
            .with("live=2000,words=32,multiple=3,replaced=400,watched=40")
            .small("live=50000,replaced=400,watched=100")
            .full("live=100000,replaced=400,watched=400")
            .with_heaps(EVERY_AS_DESCRIBED),
        Form::new(CYCLES, "replacement", 1)
            .few()
            .warmed_up()
            .with("live=200,words=32,multiple=3,replaced=400,watched=40,cyclic=1")
            .small("live=10000,replaced=500,watched=100")
            .full("live=10000,replaced=800,watched=400")
            .with_heaps(EVERY_AS_DESCRIBED),
    ],
    claims: &[
        Claim::new("counting frees an object at its last reference, usually within a millisecond")
            .judges(&["000.3"])
            .measured("median delay, largest live set")
            .value(MEDIAN, MOST)
            .counting(AtMost(MILLISECOND)),
        // Of deaths that are spread evenly over the time to the next collection the quartiles
        // differ threefold, and of delays that can be foretold they do not differ.
        Claim::new("with tracing an object is destroyed at a time that nobody can say")
            .judges(&["000.17"])
            .measured("upper / lower quartile of the delays, largest live set")
            .value(Per(&UPPER_QUARTILE, &LOWER_QUARTILE), MOST)
            .tracing(AtLeast(1.73)),
        Claim::new("the longest delay under counting is below a millisecond")
            .ours()
            .measured("longest delay, largest live set")
            .value(LONGEST, MOST)
            .counting(AtMost(MILLISECOND)),
        Claim::new("the delay grows with all that lives with tracing, and not with counting")
            .ours()
            .measured("growth of the median delay per decade of live objects; 10: in proportion")
            // From the least live set where it was run, and from the next one elsewhere.
            .figure(Figure::By(Unit::Ratio, |evidence| {
                per_decade(evidence, MEDIAN, LEAST, MOST)
                    .or_else(|| per_decade(evidence, MEDIAN, SOME, MOST))
            }))
            .counting(AtMost(IN_PROPORTION))
            .tracing(AtLeast(IN_PROPORTION)),
        // Between two collections of the youngest generation lie 2,000 allocations, and between a
        // death by its count and the last reference none.
        Claim::new("counting frees an object that refers to itself a thousand times later")
            .ours()
            .measured("median delay of objects that refer to themselves / of others")
            .ratio(MEDIAN, CYCLES, SOME)
            .counting(AtLeast(1000.0)),
    ],
    programs: &[],
};

const LEAST: &str = "least live";
const SOME: &str = "ten times as many";
const MOST: &str = "a hundred times as many";
const CYCLES: &str = "cycles";

const MEDIAN: Quantity = Of(Unit::Time, |row| {
    Some(row.reclamation_delay.percentile(0.5)? as f64)
});
const LOWER_QUARTILE: Quantity = Of(Unit::Time, |row| {
    Some(row.reclamation_delay.percentile(0.25)? as f64)
});
const UPPER_QUARTILE: Quantity = Of(Unit::Time, |row| {
    Some(row.reclamation_delay.percentile(0.75)? as f64)
});
const LONGEST: Quantity = Of(Unit::Time, |row| {
    let delays = &row.reclamation_delay;
    (!delays.is_empty()).then_some(delays.max_ns as f64)
});

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trial::{MARKSWEEP, RC, Trial};

    use crate::measure::distribution::Distribution;

    fn plant(trial: &mut Trial, form: &str, heaps: &[&str], delay_ns: u64) {
        trial.plant(form, heaps, |metrics| {
            metrics.reclamation_delay = Distribution::of([delay_ns; 40]);
        });
    }

    #[test]
    fn the_verdicts_follow_the_delays() {
        let mut planted = Trial::of("reclaim-delay");
        for (form, counting, tracing) in [(LEAST, 100, 200_000), (SOME, 110, 2_000_000)] {
            plant(&mut planted, form, RC, counting);
            plant(&mut planted, form, MARKSWEEP, tracing);
        }
        plant(&mut planted, MOST, RC, 150);
        spread(&mut planted, 500_000);
        plant(&mut planted, CYCLES, RC, 2_000_000);
        planted.holds(0..5);
        // A mark-sweep that destroys at once, and one that does so in time.
        let mut trial = planted.clone();
        plant(&mut trial, MOST, MARKSWEEP, 200_000);
        trial.fails([1, 3]);
        // A counting heap that waits for something that takes longer, the more lives.
        let mut trial = planted;
        plant(&mut trial, MOST, RC, 3_000_000);
        trial.fails([0, 2, 3]);
        // One that finds cycles at once.
        plant(&mut trial, CYCLES, RC, 120);
        trial.fails([4]);
    }

    /// Delays from `step` to forty times as long.
    fn spread(trial: &mut Trial, step: u64) {
        trial.plant(MOST, MARKSWEEP, |metrics| {
            metrics.reclamation_delay = Distribution::of((1..=40).map(|number| number * step));
        });
    }

    /// All deaths are found, and what is measured is of all.
    #[test]
    fn no_death_is_left_out() {
        let trial = Trial::of("reclaim-delay");
        for row in trial.rows() {
            let metrics = row.metrics.as_ref().unwrap();
            assert_eq!(metrics.reclamation_delay.count, 40, "{row:?}");
            assert_eq!(metrics.observations["deaths_not_found_count"], 0);
        }
    }
}
