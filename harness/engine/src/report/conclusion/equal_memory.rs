//! What two heaps show at the same limit.

use super::Verdict;
use super::fact::{Compared, Fact, Names};
use crate::measure::estimate::{Estimate, Samples, geometric_mean, range};
use crate::report::quantity::{format_factor, format_ratio, percent};

/// The A/A comparisons, and what they mean.
pub(super) fn same_over_same(facts: &[Vec<Fact<'_>>]) -> String {
    let all = || facts.iter().flatten();
    let compared: Vec<Compared<'_, '_>> =
        all().filter_map(|fact| Some((fact, fact.own?))).collect();
    let Some((first, _)) = compared.first() else {
        return "No heap was run twice (--aa none): how much two equal things differ here is not \
                known, and no difference is claimed."
            .to_owned();
    };
    let names = Names::of(&compared);
    let list: Vec<String> = compared
        .iter()
        .map(|(fact, ratio)| format!("{} {}", names.name(fact.first()), format_ratio(*ratio)))
        .collect();
    let reaches = compared.iter().filter_map(|(_, ratio)| ratio.reach());
    let meaning = match range(reaches) {
        None => "one process each tells nothing: no difference is claimed".to_owned(),
        Some((_, widest)) if compared.len() == all().count() => {
            let widest = percent(widest);
            format!("effects within these intervals (at most {widest}) are not claimed")
        }
        Some((_, widest)) => {
            format!(
                "elsewhere effects below {} are not claimed",
                percent(widest)
            )
        }
    };
    let heap = first.baseline();
    format!("A/A, {heap} over itself: {}; {meaning}.", list.join(", "))
}

/// At equal memory: where a heap is faster than the baseline, where slower, and what cannot be
/// told.
pub(super) fn at_equal_memory(heap: &str, baseline: &str, compared: &[Compared<'_, '_>]) -> String {
    let names = Names::of(compared);
    let with = |wanted: Verdict, in_words: fn(Estimate) -> String| -> Vec<String> {
        let is_wanted = |(fact, ratio): &&Compared<'_, '_>| fact.verdict(*ratio) == wanted;
        let found = compared.iter().filter(is_wanted);
        let found = found.map(|(fact, ratio)| (names.name(fact.first()), in_words(*ratio)));
        found
            .map(|(name, ratio)| format!("{name} {ratio}"))
            .collect()
    };
    let mut parts = Vec::new();
    for (word, found) in [
        (
            "faster",
            with(Verdict::Faster, |ratio| format_factor(ratio.inverse())),
        ),
        ("slower", with(Verdict::Slower, format_factor)),
    ] {
        if !found.is_empty() {
            let (count, all, list) = (found.len(), compared.len(), found.join(", "));
            parts.push(format!("{word} in {count} of {all}: {list}"));
        }
    }
    let open = with(Verdict::NotSignificant, |ratio| {
        format!("(time {})", format_ratio(ratio))
    });
    if !open.is_empty() {
        parts.push(format!("not significant: {}", open.join(", ")));
    }
    let unknown = with(Verdict::Unknown, format_ratio).len();
    if unknown > 0 {
        parts.push(format!("too little measured to tell: {unknown}"));
    }
    let mut text = format!(
        "{heap} against {baseline}, at equal memory: {}.",
        parts.join("; ")
    );
    if let Some(mean) = mean_of_times(heap, compared).filter(|_| compared.len() > 1) {
        text.push_str(&format!(
            " Geometric mean of the times over {}: {} of {baseline}'s.",
            compared.len(),
            format_ratio(mean)
        ));
    }
    text
}

/// The geometric mean of a heap's ratios.
fn mean_of_times(heap: &str, compared: &[Compared<'_, '_>]) -> Option<Estimate> {
    let times = compared.iter().filter_map(|(fact, _)| {
        let cell = fact.cell(heap)?;
        Some((cell.times(), fact.group.baseline().times()))
    });
    let times: Vec<_> = times.collect();
    let pairs: Vec<(&Samples, &Samples)> =
        times.iter().map(|(of, to)| (&of[..], &to[..])).collect();
    geometric_mean(&pairs)
}

/// Over a sweep: at equal memory, for each multiple, what all workloads together say.
pub(super) fn over_multiples(heap: &str, baseline: &str, compared: &[Compared<'_, '_>]) -> String {
    // Sizes are rounded up to a grain, so that the multiples of a small heap are not quite the same
    // in all workloads.
    let key = |fact: &Fact<'_>| (fact.size() * 10.0).round() as u64;
    let mut keys: Vec<u64> = compared.iter().map(|(fact, _)| key(fact)).collect();
    keys.sort_unstable();
    keys.dedup();
    let means = keys.iter().filter_map(|&wanted| {
        let of_size = compared.iter().copied();
        let of_size: Vec<_> = of_size.filter(|(fact, _)| key(fact) == wanted).collect();
        let (first, _) = of_size[0];
        let mean = format_ratio(mean_of_times(heap, &of_size)?);
        Some(format!("{mean} at {}", first.in_words(first.size())))
    });
    let means: Vec<String> = means.collect();
    format!(
        "{heap} against {baseline}, at equal memory, time as a share of {baseline}'s (geometric \
         mean over workloads): {}.",
        means.join(", ")
    )
}
