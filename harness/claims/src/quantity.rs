//! What one row says: a quantity with its unit, by name or computed.

use crate::invocation::Metrics;
use crate::measure::event::LEAST_PAUSE_NS;

/// What a figure is counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// A number without a unit, such as a ratio.
    Ratio,
    /// A share of a whole, from 0 to 1.
    Share,
    /// Things.
    Count,
    /// Nanoseconds.
    Time,
    /// Bytes.
    Bytes,
}

/// What a row says.
#[derive(Clone, Copy, Debug)]
pub enum Quantity {
    /// Wall time in nanoseconds.
    Wall,
    /// Processor time of the process in nanoseconds.
    Cpu,
    /// The largest resident size in bytes.
    PeakResident,
    /// The most the heap has counted against its limit, in bytes.
    PeakHeap,
    /// The longest pause in nanoseconds; the least length of one if there was none, which may have
    /// been as long. None where not all pauses are known.
    LongestPause,
    /// Collections.
    Collections,
    /// Operations.
    Operations,
    /// What the program observed, by name. The name ends in the unit.
    Observed(&'static str),
    /// The first for each of the second.
    Per(&'static Quantity, &'static Quantity),
    /// The first as a share of the second.
    Share(&'static Quantity, &'static Quantity),
    /// Anything else that follows from one row, and what it is counted in.
    Of(Unit, fn(&Metrics) -> Option<f64>),
}

impl Quantity {
    /// Its value in one iteration, if it has one. Something divided by nothing is none.
    pub fn of(self, metrics: &Metrics) -> Option<f64> {
        let value = match self {
            Self::Wall => metrics.wall_ns as f64,
            Self::Cpu => metrics.cpu_ns as f64,
            Self::PeakResident => metrics.peak_resident_bytes? as f64,
            Self::PeakHeap => metrics.peak_heap_bytes as f64,
            Self::LongestPause => {
                if metrics.pauses.pauses_unknown {
                    return None;
                }
                let longest = metrics.pauses.pause_max_ns.unwrap_or(LEAST_PAUSE_NS);
                longest.max(LEAST_PAUSE_NS) as f64
            }
            Self::Collections => metrics.collections as f64,
            Self::Operations => metrics.operations as f64,
            Self::Observed(name) => *metrics.observations.get(name)? as f64,
            Self::Per(part, whole) | Self::Share(part, whole) => {
                part.of(metrics)? / whole.of(metrics)?
            }
            Self::Of(_, value) => value(metrics)?,
        };
        value.is_finite().then_some(value)
    }

    /// What it is counted in.
    pub fn unit(self) -> Unit {
        match self {
            Self::Wall | Self::Cpu | Self::LongestPause => Unit::Time,
            Self::PeakResident | Self::PeakHeap => Unit::Bytes,
            Self::Collections | Self::Operations => Unit::Count,
            Self::Observed(name) if name.ends_with("_ns") => Unit::Time,
            Self::Observed(name) if name.ends_with("_bytes") => Unit::Bytes,
            Self::Observed(_) => Unit::Count,
            Self::Per(..) => Unit::Ratio,
            Self::Share(..) => Unit::Share,
            Self::Of(unit, _) => unit,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_divided_within_a_row() {
        let mut metrics = Metrics {
            wall_ns: 600,
            operations: 3,
            ..Metrics::default()
        };
        let each = Quantity::Per(&Quantity::Wall, &Quantity::Operations);
        assert_eq!(each.of(&metrics), Some(200.0));
        metrics.operations = 0;
        assert_eq!(each.of(&metrics), None);
        let observed = Quantity::Per(&Quantity::Wall, &Quantity::Observed("steps_count"));
        assert_eq!(observed.of(&metrics), None);
        metrics.observations.insert("steps_count".to_owned(), 6);
        assert_eq!(observed.of(&metrics), Some(100.0));
    }

    #[test]
    fn an_observation_is_counted_in_what_its_name_ends_in() {
        assert_eq!(Quantity::Observed("call_ns").unit(), Unit::Time);
        assert_eq!(Quantity::Observed("resident_bytes").unit(), Unit::Bytes);
        assert_eq!(Quantity::Observed("wrong_cells").unit(), Unit::Count);
    }
}
