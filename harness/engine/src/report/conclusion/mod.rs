//! What follows from a comparison, in plain words: which heap is faster at equal memory and by how
//! much, which needs less memory for equal time, at which multiple of the minimum heap they cross,
//! what holds where both occupy the same on average, and what is undecided.
//!
//! *What is claimed* is what the interval of a ratio says, and nothing else ([`Verdict`]): faster
//! or slower if it excludes 1, equal if it lies within 5 % of 1, otherwise undecided. How wide
//! intervals are is [`statistics`](crate::statistics)' matter; what two equal things did in the
//! same run (A/A) widens them all alike, and is no second condition.
//!
//! *Equal memory* is the same limit. *Equal time* is the least that the slower of two heaps needed
//! at any size: the faster one reaches it with less memory, at the size where the line between its
//! measured points does. Times count as equal within 5 %. *Equal mean occupied memory* is what
//! `sweep` says it is.
//!
//! Rejected: verdicts by the ratio alone, and stars for degrees of significance (an effect is
//! claimed or it is not; its size is in the interval).

mod equal_memory;
mod fact;
mod sweep;

use super::text::wrap;
use crate::results::{Results, opponents};
use crate::statistics::Estimate;
#[cfg(doc)]
use crate::statistics::Verdict;
use equal_memory::{at_equal_memory, over_multiples, same_over_same, under_load};
use fact::Fact;
use sweep::over_sizes;

/// The whole conclusion, filled for a terminal; empty if nothing was compared.
pub fn render(results: &Results) -> String {
    let sentences = sentences(results);
    if sentences.is_empty() {
        return String::new();
    }
    let lines = sentences.iter().map(|sentence| fill(sentence) + "\n");
    "Conclusion\n".to_owned() + &lines.collect::<String>()
}

/// The conclusion as paragraphs; those that belong to the one before are indented.
pub fn sentences(results: &Results) -> Vec<String> {
    let works = results.works();
    let facts: Vec<Vec<Fact<'_>>> = works
        .iter()
        .map(|groups| groups.iter().map(Fact::of).collect())
        .collect();
    let all = || facts.iter().flatten();
    let heaps = opponents(all().map(|fact| fact.group));
    if heaps.is_empty() {
        return Vec::new();
    }
    let mut text = Vec::new();
    let mut say = |line: String| text.push(line);

    say(same_over_same(results));
    let is_sweep = facts.iter().any(|facts| facts.len() > 1);
    for (heap, baseline) in &heaps {
        let compared: Vec<(&Fact<'_>, Estimate)> = all()
            .filter(|fact| fact.baseline() == *baseline)
            .filter_map(|fact| Some((fact, fact.ratio(heap)?)))
            .collect();
        let paced = all().filter(|fact| fact.baseline() == *baseline && fact.is_paced());
        paced
            .filter_map(|fact| under_load(heap, fact))
            .for_each(&mut say);
        if !is_sweep {
            say(at_equal_memory(heap, baseline, &compared));
            continue;
        }
        say(over_multiples(heap, baseline, &compared));
        for facts in &facts {
            if facts[0].baseline() == *baseline {
                over_sizes(heap, facts).into_iter().for_each(&mut say);
            }
        }
    }
    text
}

/// Breaks a line where the terminal ends, or at 100 columns if it is wider or there is none; what
/// follows is indented.
fn fill(line: &str) -> String {
    let width = comfy_table::Table::new().width().map_or(100, usize::from);
    let indent = line.len() - line.trim_start().len();
    wrap(line, width.clamp(40, 100), indent + 2, indent + 4)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::processes;
    use crate::invocation::Row;

    fn twin(rows: Vec<Row>) -> Vec<Row> {
        let mut rows = rows;
        rows.iter_mut().for_each(|row| row.twin = true);
        rows
    }

    fn without_cycles(rows: Vec<Row>) -> Vec<Row> {
        let mut rows = rows;
        for row in &mut rows {
            let options = &mut row.invocation.options;
            options.insert("cycle".to_owned(), "none".to_owned());
        }
        rows
    }

    fn within(multiple: f64, rows: Vec<Row>) -> Vec<Row> {
        let mut rows = rows;
        for row in &mut rows {
            row.minimum_heap_bytes = Some(10 << 20);
            row.invocation.heap_bytes = (multiple * f64::from(10 << 20)) as u64;
        }
        rows
    }

    /// Without line breaks.
    fn conclusion(rows: Vec<Row>) -> String {
        let text = render(&Results::of_rows(rows));
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    const BASE: [u64; 5] = [1000, 1010, 990, 1005, 995];
    const HALF: [u64; 5] = [500, 505, 495, 502, 498];

    #[test]
    fn at_equal_memory_the_faster_is_named_with_its_factor() {
        let rows = [
            processes("gc-rc", &BASE),
            processes("gc-marksweep", &HALF),
            processes("arena", &HALF),
            without_cycles(processes("gc-rc", &BASE)),
            twin(processes("gc-rc", &BASE)),
        ];
        let text = conclusion(rows.concat());
        assert!(text.contains("every interval is no wider for it"), "{text}");
        assert!(
            text.contains(
                "gc-marksweep against gc-rc, at equal memory: faster in 1 of 1: list:nodes=77 \
                 2.0x ["
            ),
            "{text}"
        );
        assert!(
            text.contains(
                "gc-rc:cycle=none against gc-rc, at equal memory: equal within 5 % in 1 of 1: \
                 list:nodes=77 (time 1.00 ["
            ),
            "{text}"
        );
        assert!(
            !text.contains("arena"),
            "what has no limit is at no equal memory: {text}"
        );
    }

    #[test]
    fn without_a_twin_intervals_prove_what_they_prove() {
        let rows = [processes("gc-rc", &BASE), processes("gc-marksweep", &HALF)];
        let text = conclusion(rows.concat());
        assert!(text.contains("No heap was run twice"), "{text}");
        assert!(text.contains("faster in 1 of 1"), "{text}");
        assert_eq!(
            conclusion(processes("gc-rc", &BASE)),
            "",
            "nothing is compared"
        );
    }

    /// One pair of equal things that differ by half widens all intervals by as much, and is no gate
    /// for an effect that is clear.
    #[test]
    fn what_equal_things_did_widens_every_interval() {
        let on = |nodes: u64, rows: Vec<Row>| {
            let mut rows = rows;
            for row in &mut rows {
                row.invocation.parameters.insert("nodes".to_owned(), nodes);
            }
            rows
        };
        let rows = [
            on(1, processes("gc-rc", &BASE)),
            on(1, processes("gc-marksweep", &[600, 610, 580, 605, 590])),
            on(1, twin(processes("gc-rc", &[1500, 1480, 1510, 1500, 1490]))),
            on(2, processes("gc-rc", &BASE)),
            on(2, processes("gc-marksweep", &HALF)),
        ];
        let text = conclusion(rows.concat());
        assert!(text.contains("every interval is 1.5"), "{text}");
        assert!(text.contains("faster in 2 of 2"), "{text}");
        assert!(
            text.contains("Geometric mean of the times over 2: 0.55 ["),
            "{text}"
        );
    }

    fn sweep(multiple: f64, marksweep: u64) -> Vec<Row> {
        let around = |time: u64| [time, time + 2, time - 2, time + 1, time - 1];
        let rows = [
            processes("gc-rc", &around(1000)),
            processes("gc-marksweep", &around(marksweep)),
            twin(processes("gc-rc", &around(1000))),
        ];
        within(multiple, rows.concat())
    }

    #[test]
    fn a_sweep_says_where_heaps_cross_and_what_equal_time_needs() {
        let rows = [
            sweep(1.0, 4000),
            sweep(2.0, 2000),
            sweep(4.0, 500),
            sweep(6.0, 400),
        ];
        let text = conclusion(rows.concat());
        // From twice as slow at 2x to twice as fast at 4x: midway on a logarithmic scale.
        assert!(
            text.contains("cross at about 2.83x (gc-rc is faster below, gc-marksweep above)"),
            "{text}"
        );
        assert!(
            text.contains("for equal time (1.00 us) gc-marksweep needs 27.6 MiB, gc-rc 10 MiB"),
            "{text}"
        );
        assert!(
            text.contains(
                "list:nodes=77: slower from 1x to 2x (2.0x to 4.0x), faster from 4x to 6x (2.0x to \
                 2.5x)."
            ),
            "{text}"
        );
        assert!(text.contains("0.50 [0.50-0.50] at 4x"), "{text}");
        // Nothing was shown at 2x: they may cross there.
        let text = conclusion([sweep(1.0, 500), sweep(2.0, 1000)].concat());
        assert!(
            text.contains("no crossing is shown from 1x to 2x"),
            "{text}"
        );
        let text = conclusion([sweep(1.0, 500), sweep(2.0, 400)].concat());
        assert!(text.contains("they do not cross from 1x to 2x"), "{text}");
        assert!(
            text.contains("both need 10 MiB, the least that was tried"),
            "{text}"
        );
    }

    #[test]
    fn a_sweep_says_what_holds_where_both_occupy_the_same() {
        let occupying = |multiple, of_marksweep: u64, time| {
            let mut rows = sweep(multiple, time);
            for row in &mut rows {
                let is_rc = row.invocation.heap == "gc-rc";
                let bytes = if is_rc { 100 } else { of_marksweep };
                let metrics = row.metrics.as_mut().unwrap();
                metrics.space.mean_occupied_bytes = Some(bytes);
            }
            rows
        };
        for (occupied, times, part) in [
            (
                [50, 200],
                [4000, 1000],
                "at equal mean occupied memory (at about 2x, interpolated between 1x and 4x) \
                 gc-marksweep takes 2.00 [",
            ),
            (
                [98, 200],
                [500, 250],
                "at equal mean occupied memory (measured at 1x) gc-marksweep takes 0.50 [",
            ),
            (
                [130, 200],
                [500, 250],
                "equal mean occupied memory is not reached: at 1x gc-marksweep occupies 1.30 times \
                 what gc-rc does",
            ),
            (
                [50, 80],
                [500, 250],
                "not reached: at 4x gc-marksweep occupies 0.80 times what gc-rc does",
            ),
        ] {
            let rows = [
                occupying(1.0, occupied[0], times[0]),
                occupying(4.0, occupied[1], times[1]),
            ];
            let text = conclusion(rows.concat());
            assert!(text.contains(part), "no {part} in {text}");
        }
        // Rows that do not say what was occupied.
        let text = conclusion([sweep(1.0, 500), sweep(4.0, 250)].concat());
        assert!(!text.contains("occupied"), "{text}");
    }

    #[test]
    fn lines_are_filled() {
        let long = "word ".repeat(60);
        let filled = fill(&long);
        assert!(filled.lines().all(|line| line.chars().count() <= 100));
        assert!(
            filled
                .lines()
                .skip(1)
                .all(|line| line.starts_with("    word"))
        );
        assert_eq!(filled.split_whitespace().count(), 60);
    }
}
