//! What a ratio of times proves.

use crate::measure::estimate::Estimate;
use crate::results::{Group, Results};

/// What a ratio of times proves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It takes less time than what it is compared with.
    Faster,
    /// It takes more.
    Slower,
    /// The interval includes 1, or the effect is no larger than what two equal things show.
    NotSignificant,
    /// Too little was measured to tell.
    Unknown,
}

/// What `ratio`, a time divided by that of the baseline, proves where two equal things differ by up
/// to the factor `reach`; `None` if no heap was run twice.
pub fn verdict(ratio: Estimate, reach: Option<f64>) -> Verdict {
    let (Some((low, high)), Some(reach)) = (ratio.interval, reach) else {
        return Verdict::Unknown;
    };
    if high < 1.0 && ratio.value < 1.0 / reach {
        Verdict::Faster
    } else if low > 1.0 && ratio.value > reach {
        Verdict::Slower
    } else {
        Verdict::NotSignificant
    }
}

/// By which factor two equal things differ in this group: its own A/A comparison, or the widest of
/// all.
pub fn reach(results: &Results, group: &Group<'_>) -> Option<f64> {
    let of = |group: &Group<'_>| group.same_over_same().and_then(Estimate::reach);
    of(group).or_else(|| {
        results
            .groups()
            .iter()
            .filter_map(of)
            .max_by(f64::total_cmp)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ratio(value: f64, low: f64, high: f64) -> Estimate {
        Estimate {
            value,
            interval: Some((low, high)),
            n: 5,
        }
    }

    #[test]
    fn an_effect_must_exclude_one_and_exceed_what_equal_things_show() {
        assert_eq!(verdict(ratio(0.5, 0.4, 0.6), Some(1.1)), Verdict::Faster);
        assert_eq!(verdict(ratio(2.0, 1.5, 3.0), Some(1.1)), Verdict::Slower);
        assert_eq!(
            verdict(ratio(0.9, 0.8, 1.1), Some(1.01)),
            Verdict::NotSignificant
        );
        // Its own interval excludes 1, but the machine makes such effects out of nothing.
        assert_eq!(
            verdict(ratio(0.95, 0.94, 0.96), Some(1.1)),
            Verdict::NotSignificant
        );
        assert_eq!(
            verdict(ratio(1.05, 1.04, 1.06), Some(1.1)),
            Verdict::NotSignificant
        );
        assert_eq!(verdict(ratio(0.5, 0.4, 0.6), None), Verdict::Unknown);
        let single = Estimate {
            value: 0.1,
            interval: None,
            n: 1,
        };
        assert_eq!(verdict(single, Some(1.1)), Verdict::Unknown);
    }
}
