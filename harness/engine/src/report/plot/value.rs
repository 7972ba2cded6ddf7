//! Values on axes and in tooltips: as short as they can be, with their unit.

use super::axis::Unit;
use crate::statistics::Estimate;

/// A value and its interval, in words.
pub(super) fn described(estimate: Estimate, unit: Unit) -> String {
    let exact = |value| format_value(value, unit, 3);
    let value = exact(estimate.value);
    match estimate.interval {
        Some((low, high)) => format!("{value} [{}, {}]", exact(low), exact(high)),
        None => value,
    }
}

/// A value with its unit, to `digits` digits at most.
pub(crate) fn format_value(value: f64, unit: Unit, digits: usize) -> String {
    let (value, suffix) = match unit {
        Unit::Time => {
            let units = [(1e9, " s"), (1e6, " ms"), (1e3, " \u{b5}s"), (1.0, " ns")];
            // 999.6 µs is 1 ms.
            let fitting = units
                .into_iter()
                .find(|(scale, _)| value.abs() >= 0.9995 * scale);
            let (scale, suffix) = fitting.unwrap_or((1.0, if value == 0.0 { "" } else { " ns" }));
            (value / scale, suffix)
        }
        Unit::Bytes => {
            let (scale, suffix) = byte_unit(value);
            (value / scale, suffix)
        }
        Unit::Multiple => (value, "\u{d7}"),
        Unit::Share => (100.0 * value, " %"),
        Unit::Count => {
            let units = [(1e9, " G"), (1e6, " M"), (1e3, " k")];
            // 999.6 thousand are a million.
            let fitting = units
                .into_iter()
                .find(|(scale, _)| value.abs() >= 0.9995 * scale);
            let (scale, suffix) = fitting.unwrap_or((1.0, ""));
            (value / scale, suffix)
        }
    };
    format!("{}{suffix}", significant(value, digits))
}

/// The largest unit that is not larger than the value, and its suffix.
pub(super) fn byte_unit(value: f64) -> (f64, &'static str) {
    const UNITS: [(f64, &str); 4] = [
        (1_099_511_627_776.0, " TiB"),
        (1_073_741_824.0, " GiB"),
        (1_048_576.0, " MiB"),
        (1024.0, " KiB"),
    ];
    let fitting = UNITS.into_iter().find(|(scale, _)| value.abs() >= *scale);
    fitting.unwrap_or((1.0, if value == 0.0 { "" } else { " B" }))
}

/// To `digits` significant digits or the whole number, whichever is longer, without zeros at the
/// end.
fn significant(value: f64, digits: usize) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    let magnitude = value.abs().log10().floor() as i32;
    let decimals = (digits as i32 - 1 - magnitude).clamp(0, 6) as usize;
    let text = format!("{value:.decimals$}");
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

/// A quantile as people call it: `p99.9`.
pub(super) fn format_percentile(quantile: f64) -> String {
    // As many digits as there are nines, and no artefact of the binary fraction.
    let nines = (-(1.0 - quantile).log10()).round().clamp(0.0, 8.0) as usize;
    let text = format!("{:.*}", nines.saturating_sub(2), 100.0 * quantile);
    format!("p{text}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_readable() {
        let texts = [
            format_value(999.6e3, Unit::Time, 3),
            format_value(1234.0, Unit::Time, 3),
            format_value(0.0, Unit::Time, 3),
            format_value(64.0 * 1048576.0, Unit::Bytes, 2),
            format_value(1.256, Unit::Multiple, 3),
            format_value(0.5, Unit::Share, 2),
            format_value(999.0, Unit::Count, 3),
            format_value(28_400_000.0, Unit::Count, 3),
        ];
        assert_eq!(
            texts,
            [
                "1 ms",
                "1.23 \u{b5}s",
                "0",
                "64 MiB",
                "1.26\u{d7}",
                "50 %",
                "999",
                "28.4 M"
            ]
        );
        assert_eq!(
            [0.0, 0.5, 0.9, 0.99, 0.999, 0.9999].map(format_percentile),
            ["p0", "p50", "p90", "p99", "p99.9", "p99.99"]
        );
    }
}
