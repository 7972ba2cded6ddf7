//! How sure each verdict of a family must be, so that of all of them few are wrong. The comparisons
//! of a run are one family, the claims another: sure verdicts of one kind, which lower what all
//! are asked, would else let doubtful ones of the other pass.
//!
//! A family has a dozen verdicts, or a hundred. At 95 % each, one in twenty that has nothing to say
//! would say something all the same. So their intervals are made wider, by a rule that looks at all
//! of them: if R of m intervals *decide* (they exclude what their verdict denies), each has the
//! confidence 1 - 5 % x R / m. This is Benjamini and Yekutieli's adjustment for the intervals of
//! those that are selected (*False Discovery Rate-Adjusted Multiple Confidence Intervals*, JASA
//! 2005): of the intervals that a verdict is drawn from, 5 % at most miss what they stand for, on
//! average over runs. A false verdict takes a miss, so the rate of false discoveries is 5 % at
//! most, too. Where most effects are clear the intervals are hardly wider than without it; where
//! nothing is so, it is Bonferroni's rule.
//!
//! Rejected: Holm's rule (it guards against a single false verdict in the whole run, and leaves
//! undecided what nobody would doubt); no rule at all (above); deciding by adjusted p-values and
//! printing other intervals (a reader could not see the verdict in what is printed).

/// The share of false ones among all verdicts of a family.
pub const FALSE_DISCOVERIES: f64 = 0.05;

/// The confidence of every interval of a family with `all` possible verdicts, of which `decided(c)`
/// are made if every interval has the confidence c. The largest number of verdicts is taken that
/// still stands at the confidence it asks for.
pub fn confidence(all: usize, decided: impl Fn(f64) -> usize) -> f64 {
    let of = |verdicts: usize| 1.0 - FALSE_DISCOVERIES * verdicts as f64 / all.max(1) as f64;
    let mut verdicts = all.max(1);
    loop {
        // At a higher confidence there are never more: this only falls.
        let standing = decided(of(verdicts)).clamp(1, verdicts);
        if standing == verdicts {
            return of(verdicts);
        }
        verdicts = standing;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_all_is_clear_it_is_the_usual_confidence() {
        assert_eq!(confidence(10, |_| 10), 0.95);
        assert_eq!(confidence(0, |_| 0), 0.95);
    }

    #[test]
    fn where_nothing_is_so_it_is_bonferroni_s() {
        assert_eq!(confidence(10, |_| 0), 0.995);
        assert_eq!(confidence(10, |_| 1), 0.995);
    }

    #[test]
    fn verdicts_stand_at_the_confidence_that_they_ask_for() {
        // Eight are clear, one is decided only at a low confidence.
        let at = |confidence: f64| if confidence < 0.952 { 9 } else { 8 };
        assert_eq!(confidence(10, at), 0.96);
    }
}
