//! Quantities in words.

/// Bytes in a unit that leaves three digits or fewer, such as `64 MiB`.
pub fn format_bytes(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if value >= 99.95 || value.fract() == 0.0 {
        format!("{value:.0} {}", UNITS[unit])
    } else {
        format!("{value:.1} {}", UNITS[unit])
    }
}

/// Sizes are below this. A larger heap is a slip of the hand, and so far every integer is exact as
/// a floating-point number.
pub const MOST_BYTES: u64 = 1 << 53;

/// Reads a number of bytes: `64M`, `1.5GiB`, `4096`. Units are powers of 1024.
///
/// # Errors
///
/// A sentence with an example.
pub fn parse_bytes(text: &str) -> Result<u64, String> {
    let wrong = || {
        format!(
            "'{text}' is not a size: write bytes, or a number with K, M, G or T (powers of 1024), \
             such as 64M"
        )
    };
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let shift = match text[digits.len()..].to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        "t" | "tb" | "tib" => 40,
        _ => return Err(wrong()),
    };
    if !digits.starts_with(|c: char| c.is_ascii_digit()) {
        return Err(wrong());
    }
    let number: f64 = digits.replace('_', "").parse().map_err(|_| wrong())?;
    let bytes = number * (1u64 << shift) as f64;
    if (1.0..MOST_BYTES as f64).contains(&bytes) {
        Ok(bytes as u64)
    } else {
        Err(format!(
            "'{text}' is out of range: a size is at least 1 byte and less than 8192T"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_readable() {
        let readable: Vec<String> = [0, 999, 4096, 64 << 20, (3 << 30) / 2, 1023 << 20]
            .map(format_bytes)
            .to_vec();
        assert_eq!(
            readable,
            ["0 B", "999 B", "4 KiB", "64 MiB", "1.5 GiB", "1.0 GiB"]
        );
    }

    #[test]
    fn sizes_are_read() {
        assert_eq!(parse_bytes("4096"), Ok(4096));
        assert_eq!(parse_bytes("64M"), Ok(64 << 20));
        assert_eq!(parse_bytes("1.5GiB"), Ok(3 << 29));
        assert_eq!(parse_bytes("16kb"), Ok(16 << 10));
        assert_eq!(parse_bytes("8191T"), Ok(8191 << 40));
        for large in ["8192T", "99999999T", "1e300", "1e9999", "0", "0.5"] {
            let refused = parse_bytes(large).unwrap_err();
            assert!(
                refused.contains("out of range") && refused.contains(large),
                "{refused}"
            );
        }
        for wrong in ["", "M", "-1", "1X", "inf", "nan", "0", "1e9G", "ä"] {
            assert!(parse_bytes(wrong).is_err(), "{wrong}");
        }
    }
}
