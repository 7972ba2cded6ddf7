//! What to say to a name nobody knows.

use crate::shown::shown;

/// "unknown KIND 'NAME'", with the nearest known name if one is near, and all of them.
pub fn unknown<'n>(kind: &str, name: &str, known: impl Iterator<Item = &'n str>) -> String {
    let known: Vec<&str> = known.collect();
    let said = shown(name);
    if known.is_empty() {
        return format!("unknown {kind} '{said}': there are none");
    }
    let nearest = known
        .iter()
        .map(|candidate| (strsim::damerau_levenshtein(name, candidate), *candidate))
        .min()
        .filter(|(distance, candidate)| *distance <= (candidate.len() / 2).max(1));
    let hint = nearest.map_or(String::new(), |(_, candidate)| {
        format!("; did you mean '{candidate}'?")
    });
    format!(
        "unknown {kind} '{said}'{hint} (known: {})",
        shown(known.join(", "))
    )
}

#[cfg(test)]
mod tests {
    use super::unknown;

    #[test]
    fn names_the_nearest_and_all() {
        let message = unknown("heap", "gcrc", ["gc-rc", "gc-marksweep"].into_iter());
        assert_eq!(
            message,
            "unknown heap 'gcrc'; did you mean 'gc-rc'? (known: gc-rc, gc-marksweep)"
        );
    }

    #[test]
    fn suggests_nothing_far_fetched() {
        let message = unknown("heap", "zzzzzzzz", ["gc-rc"].into_iter());
        assert_eq!(message, "unknown heap 'zzzzzzzz' (known: gc-rc)");
        assert_eq!(
            unknown("option of arena", "x", [].into_iter()),
            "unknown option of arena 'x': there are none"
        );
    }
}
