//! What two heaps show at the same limit.

use super::fact::{Compared, Fact, Names};
use crate::invocation::CAPACITY;
use crate::measure::distribution::Distribution;
use crate::report::quantity::{format_factor, format_ratio, format_time, percent};
use crate::results::{CellResults, Results, TIME};
use crate::statistics::{Estimate, Verdict, median};

/// What two equal things did, and what follows.
pub(super) fn same_over_same(results: &Results) -> String {
    let groups = results.groups();
    let pairs: Vec<Estimate> = groups
        .iter()
        .filter_map(|group| group.same_over_same())
        .collect();
    let widths: Vec<f64> = pairs.iter().filter_map(|pair| pair.half_width()).collect();
    let Some(typical) = median(&widths) else {
        return "No heap was run twice in as many rounds as it takes (--aa none): that two equal \
                things differ by as much as the rounds let expect is taken for granted."
            .to_owned();
    };
    let pairs = match pairs.len() {
        1 => "1 pair".to_owned(),
        pairs => format!("{pairs} pairs"),
    };
    let factor = results.timing().calibration();
    let factor = if factor < 1.005 {
        "no wider for it".to_owned()
    } else {
        format!("{factor:.2} times as wide for it")
    };
    format!(
        "A/A: the ratio of two equal things is known to {} here ({pairs}); every interval is \
         {factor}.",
        percent(typical)
    )
}

/// At equal memory: where a heap is faster than the baseline, where slower, and what cannot be
/// told.
pub(super) fn at_equal_memory(heap: &str, baseline: &str, compared: &[Compared<'_, '_>]) -> String {
    let names = Names::of(compared);
    let of = |wanted: fn(Verdict) -> bool, in_words: fn(Estimate) -> String| -> Vec<String> {
        let found = compared
            .iter()
            .filter(|(_, ratio)| wanted(Verdict::of(*ratio)));
        found
            .map(|(fact, ratio)| format!("{} {}", names.name(fact.first()), in_words(*ratio)))
            .collect()
    };
    let time = |ratio: Estimate| format!("(time {})", format_ratio(ratio));
    let slightly = |word: &str| format!("{word}, by less than 5 %,");
    let sorted = [
        (
            "faster".to_owned(),
            of(
                |verdict| verdict == Verdict::Faster,
                |ratio| format_factor(ratio.inverse()),
            ),
        ),
        (
            slightly("faster"),
            of(|verdict| verdict == Verdict::SlightlyFaster, time),
        ),
        (
            "equal within 5 %".to_owned(),
            of(|verdict| verdict == Verdict::Equal, time),
        ),
        (
            slightly("slower"),
            of(|verdict| verdict == Verdict::SlightlySlower, time),
        ),
        (
            "slower".to_owned(),
            of(|verdict| verdict == Verdict::Slower, format_factor),
        ),
        (
            "undecided".to_owned(),
            of(|verdict| !verdict.is_decided(), time),
        ),
    ];
    let parts = sorted.iter().filter(|(_, found)| !found.is_empty());
    let parts = parts.map(|(word, found)| {
        let (count, all, list) = (found.len(), compared.len(), found.join(", "));
        format!("{word} in {count} of {all}: {list}")
    });
    let parts: Vec<String> = parts.collect();
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

/// Under a load that does not wait: latencies, and how much a heap could serve. `None` if the heap
/// served nothing.
pub(super) fn under_load(heap: &str, fact: &Fact<'_>) -> Option<String> {
    let served = |cell: &CellResults| {
        let latencies = || {
            cell.measured()
                .filter_map(|one| one.latency.get("open-loop"))
        };
        latencies().next()?;
        let latency = Distribution::merge(latencies());
        let percentile = |name, quantile| {
            let value = latency.percentile(quantile);
            value.map(|ns| format!("{name} {}, ", format_time(ns as f64)))
        };
        let observed = |name: &str| -> Option<f64> {
            let values = cell.measured().filter_map(|one| one.observations.get(name));
            median(&values.map(|&value| value as f64).collect::<Vec<_>>())
        };
        let capacity = observed(CAPACITY).unwrap_or(0.0);
        let rate = observed("arrivals_per_second").unwrap_or(0.0);
        Some(format!(
            "{} at {rate:.0} a second: median latency {}{}longest {}; capacity {capacity:.0} a second",
            cell.heap_label(),
            percentile("", 0.5).unwrap_or_default(),
            percentile("p99", 0.99).unwrap_or_default(),
            format_time(latency.max_ns as f64),
        ))
    };
    let cells = [fact.group.baseline(), fact.cell(heap)?];
    let served: Option<Vec<String>> = cells.into_iter().map(served).collect();
    let name = fact.first().workload_label();
    Some(format!("{name}: {}.", served?.join("; ")))
}

/// The geometric mean of a heap's ratios.
fn mean_of_times(heap: &str, compared: &[Compared<'_, '_>]) -> Option<Estimate> {
    let pairs = compared
        .iter()
        .filter_map(|(fact, _)| Some((fact.group, fact.cell(heap)?)));
    let (mean, _) = compared[0].0.group.results.mean(pairs, TIME)?;
    Some(mean)
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
