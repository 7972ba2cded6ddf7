//! What a ratio of times proves.

use std::fmt;

use super::Estimate;

/// Within which factor of each other two things are called equal.
pub const EQUAL: f64 = 1.05;

/// What a ratio proves, by its own interval and nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The whole interval is below 1.
    Faster,
    /// Below 1, and above 0.95 at the same time.
    SlightlyFaster,
    /// The whole interval lies between 0.95 and 1.05, and 1 is in it.
    Equal,
    /// Above 1, and below 1.05 at the same time.
    SlightlySlower,
    /// The whole interval is above 1.
    Slower,
    /// None of these, or there is no interval.
    Undecided,
}

impl Verdict {
    /// Of a time divided by that of what it is compared with.
    pub fn of(ratio: Estimate) -> Self {
        let Some((low, high)) = ratio.interval else {
            return Self::Undecided;
        };
        let is_equal = EQUAL.recip() <= low && high <= EQUAL;
        match (high < 1.0, low > 1.0) {
            (true, _) if is_equal => Self::SlightlyFaster,
            (_, true) if is_equal => Self::SlightlySlower,
            (true, _) => Self::Faster,
            (_, true) => Self::Slower,
            _ if is_equal => Self::Equal,
            _ => Self::Undecided,
        }
    }

    /// Whether it takes less time, by however little.
    pub fn is_faster(self) -> bool {
        matches!(self, Self::Faster | Self::SlightlyFaster)
    }

    /// Whether it takes more time, by however little.
    pub fn is_slower(self) -> bool {
        matches!(self, Self::Slower | Self::SlightlySlower)
    }

    /// Whether anything is proved.
    pub fn is_decided(self) -> bool {
        self != Self::Undecided
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Faster => "faster",
            Self::SlightlyFaster => "faster, by less than 5 %",
            Self::Equal => "equal within 5 %",
            Self::SlightlySlower => "slower, by less than 5 %",
            Self::Slower => "slower",
            Self::Undecided => "undecided",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_is_what_the_interval_says() {
        let of = |low: f64, high: f64| {
            Verdict::of(Estimate {
                value: (low * high).sqrt(),
                interval: Some((low, high)),
                n: 5,
            })
        };
        assert_eq!(of(0.4, 0.6), Verdict::Faster);
        assert_eq!(of(0.93, 0.99), Verdict::Faster);
        assert_eq!(of(0.96, 0.99), Verdict::SlightlyFaster);
        assert_eq!(of(0.96, 1.04), Verdict::Equal);
        assert_eq!(of(1.01, 1.04), Verdict::SlightlySlower);
        assert_eq!(of(1.01, 1.2), Verdict::Slower);
        assert_eq!(of(0.9, 1.04), Verdict::Undecided);
        assert_eq!(Verdict::of(Estimate::exact(0.5)), Verdict::Undecided);
    }
}
