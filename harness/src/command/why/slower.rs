//! Why one heap took longer than another: of the difference in wall time, how much each thread had
//! in operations, in pauses, and outside.
//!
//! Invariant: nothing is explained that was not shown. Without an interval, or where it has equal
//! times in it, there is no difference; and what has no limit is no rival.
//!
//! Rejected: shares of the sum of what is known. What no account is kept of would be put down to
//! the parts that have one.

use std::fmt::Write as _;

use super::paragraph;
use engine::invocation::Metrics;
use engine::report::quantity::{format_ratio, format_time};
use engine::results::{CellResults, Group};

/// Where the time of a heap went that took longer than another.
pub(super) fn differences(group: &Group<'_>) -> String {
    let mut text = String::new();
    let baseline = group.baseline();
    for cell in group.compared() {
        let (Some(ratio), Some(one), Some(other)) =
            (group.ratio(cell), Times::of(baseline), Times::of(cell))
        else {
            continue;
        };
        let _ = writeln!(
            text,
            "{}{}: time of {} / {} {}",
            baseline.workload_label(),
            baseline.and_threads(),
            cell.heap_label(),
            baseline.heap_label(),
            format_ratio(ratio)
        );
        let (low, high) = ratio.ends();
        if ratio.interval.is_none() {
            paragraph(
                &mut text,
                "One process each: there is no interval, and no difference is shown.",
            );
        } else if low <= 1.0 && high >= 1.0 {
            paragraph(
                &mut text,
                "No difference is shown, so that there is none to explain.",
            );
        } else {
            let names = [cell.heap_label(), baseline.heap_label()];
            match low > 1.0 {
                true => longer(&mut text, names, [&other, &one]),
                false => longer(&mut text, [names[1], names[0]], [&one, &other]),
            }
        }
        text.push('\n');
    }
    text
}

/// Where the time of the first went, which took longer than the second.
fn longer(text: &mut String, [slow_name, fast_name]: [&str; 2], [slow, fast]: [&Times; 2]) {
    let mut sentence = format!(
        "{slow_name} took {} and {fast_name} {} (means): {} and {} of thread time in pauses",
        time(slow.wall),
        time(fast.wall),
        time(slow.stopped),
        time(fast.stopped),
    );
    let _ = write!(
        sentence,
        ", {} and {} in the program and its operations.",
        time(slow.own()),
        time(fast.own())
    );
    if let (Some(slow), Some(fast)) = (slow.collector, fast.collector) {
        let _ = write!(
            sentence,
            " The collectors had {} and {} of processor time.",
            time(slow),
            time(fast)
        );
    }
    paragraph(text, &sentence);
    let difference = slow.wall - fast.wall;
    if difference <= 0.0 {
        paragraph(
            text,
            "By these means it took no longer: one iteration or few weigh more in them than in \
             the ratio, and where the time went they do not tell.",
        );
        return;
    }
    if slow.has_helpers() || fast.has_helpers() {
        paragraph(
            text,
            "More threads took part than the work was split over, so that how much of the wall \
             time each part was cannot be told.",
        );
        return;
    }
    let parts = [
        (
            "operations (counts, allocation, barriers and what they miss in the cache)",
            slow.each(slow.own()) - fast.each(fast.own()),
        ),
        ("pauses", slow.each(slow.stopped) - fast.each(fast.stopped)),
    ];
    let rest = difference - parts.iter().map(|(_, gain)| gain).sum::<f64>();
    let unexplained = "outside the time in which its threads had the heap (they began, ended, or \
                       waited), for which there is no account";
    let mut parts: Vec<(&str, f64)> = parts.into_iter().chain([(unexplained, rest)]).collect();
    parts.sort_by(|a, b| b.1.total_cmp(&a.1));
    let said: Vec<String> = (parts.into_iter())
        .filter_map(|(name, gain)| {
            let share = 100.0 * gain.abs() / difference;
            let less = if gain < 0.0 { " less" } else { "" };
            (share >= 1.0)
                .then(|| format!("{}{less} ({share:.0} %) {name}", format_time(gain.abs())))
        })
        .collect();
    paragraph(
        text,
        &format!(
            "Of the {} that {slow_name} took longer, each thread had: {}.",
            format_time(difference),
            said.join("; ")
        ),
    );
}

/// A time, or that there was none.
fn time(nanoseconds: f64) -> String {
    match nanoseconds {
        0.0 => "nothing".to_owned(),
        some => format_time(some),
    }
}

/// Means over iterations, in nanoseconds.
struct Times {
    threads: f64,
    wall: f64,
    /// Thread time in pauses.
    stopped: f64,
    /// Thread time in which mutators were active, pauses included.
    active: f64,
    collector: Option<f64>,
}

impl Times {
    fn of(cell: &CellResults) -> Option<Self> {
        let rows: Vec<&Metrics> = cell.measured().collect();
        let count = rows.len() as f64;
        let mean = |value: &dyn Fn(&Metrics) -> f64| {
            (!rows.is_empty()).then(|| rows.iter().map(|row| value(row)).sum::<f64>() / count)
        };
        let threads = cell.threads() as f64;
        Some(Self {
            threads,
            wall: mean(&|row| row.wall_ns as f64)?,
            stopped: mean(&|row| row.pauses.stopped_ns as f64)?,
            active: mean(&|row| match row.mutator_ns {
                Some(active) => active as f64,
                None => threads * row.wall_ns as f64,
            })?,
            collector: (rows.iter().all(|row| row.collector_cpu_ns.is_some()))
                .then(|| mean(&|row| row.collector_cpu_ns.unwrap_or(0) as f64))
                .flatten(),
        })
    }

    /// What of this time of all threads one of them had, which is a part of the wall time.
    fn each(&self, of_all: f64) -> f64 {
        of_all / self.threads
    }

    /// Whether more threads had the heap than the work was split over.
    fn has_helpers(&self) -> bool {
        self.active > self.threads * self.wall
    }

    /// Thread time in the program and its operations.
    fn own(&self) -> f64 {
        (self.active - self.stopped).max(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::explained;
    use engine::fixture::processes;

    #[test]
    fn where_helpers_took_part_no_shares_of_the_wall_time_are_told() {
        let rows = |heap: &str, wall: u64| {
            let mut rows = processes(heap, &[wall; 5]);
            for row in &mut rows {
                row.metrics.as_mut().unwrap().mutator_ns = Some(3 * wall);
            }
            rows
        };
        let both = [rows("gc-rc", 109_000_000), rows("gc-marksweep", 60_000_000)];
        let text = explained(both.concat());
        assert!(text.contains("More threads took part"), "{text}");
        assert!(!text.contains("each thread had"), "{text}");
    }

    /// What is explained is the wall time, not the sum of what is known.
    #[test]
    fn shares_are_of_what_took_longer() {
        let rows = |heap: &str, wall: u64, active: u64| {
            let mut rows = processes(heap, &[wall; 5]);
            for row in &mut rows {
                row.metrics.as_mut().unwrap().mutator_ns = Some(active);
            }
            rows
        };
        let both = [
            rows("gc-rc", 32_300_000, 388_000),
            rows("gc-marksweep", 14_600_000, 205_000),
        ];
        let text = explained(both.concat());
        assert!(
            text.contains(
                "Of the 17.7 ms that gc-rc took longer, each thread had: 17.5 ms (99 %) outside"
            ) && text.contains("183 us (1 %) operations"),
            "{text}"
        );
    }

    #[test]
    fn without_an_interval_no_difference_is_explained() {
        let rows = [
            processes("gc-rc", &[300]),
            processes("gc-marksweep", &[100]),
        ];
        let text = explained(rows.concat());
        assert!(
            text.contains("One process each: there is no interval"),
            "{text}"
        );
        assert!(!text.contains("took"), "{text}");
    }
}
