//! Quantities in words: three digits, in a unit that fits.

use crate::statistics::Estimate;

/// A time with three digits, in a fitting unit.
pub fn format_time(nanoseconds: f64) -> String {
    let (value, unit) = scale_time(nanoseconds, nanoseconds.abs());
    format!("{value} {unit}")
}

/// A time and its interval, in the unit of the largest.
pub(crate) fn format_spread(time: Estimate) -> String {
    let (fastest, slowest) = time.ends();
    let [(median, unit), (fastest, _), (slowest, _)] =
        [time.value, fastest, slowest].map(|time| scale_time(time, slowest));
    format!("{median} {unit} ({fastest}-{slowest})")
}

/// A time in the unit that fits `reference`.
fn scale_time(nanoseconds: f64, reference: f64) -> (String, &'static str) {
    // 999.5 of one unit would be shown as 1000.
    let (divisor, unit) = [(1.0, "ns"), (1e3, "us"), (1e6, "ms")]
        .into_iter()
        .find(|(divisor, _)| reference / divisor < 999.5)
        .unwrap_or((1e9, "s"));
    (three_digits(nanoseconds / divisor), unit)
}

/// Operations a second, such as `147 M nodes/s`.
pub(crate) fn format_rate(per_second: f64, operation: &str) -> String {
    let (divisor, prefix) = [(1.0, ""), (1e3, "k "), (1e6, "M ")]
        .into_iter()
        .find(|(divisor, _)| per_second / divisor < 999.5)
        .unwrap_or((1e9, "G "));
    format!(
        "{} {prefix}{operation}s/s",
        three_digits(per_second / divisor)
    )
}

pub(crate) fn format_share(share: f64) -> String {
    if share == 0.0 {
        return "0".to_owned();
    }
    if share < 0.0005 {
        return "<0.1 %".to_owned();
    }
    format!("{:.1} %", share * 100.0)
}

/// A ratio with its interval, such as `1.02 [0.97-1.08]`.
pub fn format_ratio(ratio: Estimate) -> String {
    match ratio.interval {
        None => format!("{:.2}", ratio.value),
        Some((low, high)) => {
            let end = |value: f64| match value {
                value if value < 0.005 => "0".to_owned(),
                value if value < 1000.0 => format!("{value:.2}"),
                _ => "1000 or more".to_owned(),
            };
            format!("{:.2} [{}-{}]", ratio.value, end(low), end(high))
        }
    }
}

/// So many times as fast, or as slow, with its interval: `5.6x [5.1-6.0]`.
pub(crate) fn format_factor(ratio: Estimate) -> String {
    let interval = ratio.interval.map_or(String::new(), |(low, high)| {
        format!(" [{}-{}]", factor(low), factor(high))
    });
    format!("{}x{interval}", factor(ratio.value))
}

/// A factor, with as many digits as it deserves.
pub(crate) fn factor(value: f64) -> String {
    let decimals = match value {
        value if value < 1.995 => 2,
        value if value < 99.95 => 1,
        _ => 0,
    };
    format!("{value:.decimals$}")
}

/// A factor as what it adds, if that is the clearer. Of one that is beyond all use, as two
/// processes under load give, it is not told how far.
pub fn percent(factor: f64) -> String {
    let percent = (factor - 1.0) * 100.0;
    if factor >= 9.95 {
        "a factor of 10 or more".to_owned()
    } else if factor >= 2.0 {
        format!("a factor of {factor:.1}")
    } else if percent < 9.95 {
        format!("{percent:.1} %")
    } else {
        format!("{percent:.0} %")
    }
}

/// A multiple of the minimum heap, without digits that say nothing: `1.5x`.
pub(crate) fn format_multiple(multiple: f64) -> String {
    let text = format!("{multiple:.2}");
    format!("{}x", text.trim_end_matches('0').trim_end_matches('.'))
}

/// A number with three digits, or as many as there are before the point.
pub fn three_digits(value: f64) -> String {
    let decimals = match value.abs() {
        value if value < 9.995 => 2,
        value if value < 99.95 => 1,
        _ => 0,
    };
    format!("{value:.decimals$}")
}

/// A count with its thousands apart.
pub fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let groups: Vec<&str> = digits
        .as_bytes()
        .rchunks(3)
        .rev()
        .map(|group| std::str::from_utf8(group).expect("digits are ASCII"))
        .collect();
    groups.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_three_digits_and_a_fitting_unit() {
        let shown: Vec<String> = [
            7.0,
            999.4,
            999.6,
            41_230.0,
            1_234_567.0,
            999_700_000.0,
            12e9,
        ]
        .map(format_time)
        .to_vec();
        assert_eq!(
            shown,
            [
                "7.00 ns", "999 ns", "1.00 us", "41.2 us", "1.23 ms", "1.00 s", "12.0 s"
            ]
        );
        // A difference of two.
        assert_eq!(format_time(-41_230.0), "-41.2 us");
        let spread = Estimate {
            value: 980e6,
            interval: Some((0.9e9, 1.2e9)),
            n: 3,
        };
        assert_eq!(format_spread(spread), "0.98 s (0.90-1.20)");
    }

    #[test]
    fn what_a_factor_adds_is_told_as_far_as_it_is_of_use() {
        let shown = [1.0, 1.034, 1.5, 2.0, 9.94, 9.96, 1.3e12].map(percent);
        let useless = "a factor of 10 or more";
        assert_eq!(
            shown,
            [
                "0.0 %",
                "3.4 %",
                "50 %",
                "a factor of 2.0",
                "a factor of 9.9",
                useless,
                useless
            ]
        );
    }

    #[test]
    fn rates_and_shares() {
        assert_eq!(format_rate(147e6, "node"), "147 M nodes/s");
        assert_eq!(format_rate(12.0, "ring"), "12.0 rings/s");
        assert_eq!(format_share(0.0), "0");
        assert_eq!(format_share(0.0001), "<0.1 %");
        assert_eq!(format_share(0.1234), "12.3 %");
    }
}
