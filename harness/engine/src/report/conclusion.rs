//! What follows from a comparison, in plain words: which heap is faster at equal memory and by how
//! much, which needs less memory for equal time, at which multiple of the minimum heap they cross,
//! and what was not significant.
//!
//! *What is claimed.* Two heaps differ if the 95 % interval of their ratio excludes 1 **and** the
//! ratio is further from 1 than the interval of a heap compared with itself reaches (A/A): an
//! effect that the machine makes out of nothing is not one. Where a comparison has no twin of its
//! own, the widest reach of the others stands for it. Without any twin, or with one process each,
//! nothing is claimed.
//!
//! *Equal memory* is the same limit. *Equal time* is the least that the slower of two heaps needed
//! at any size: the faster one reaches it with less memory, at the size where the line between its
//! measured points does. Times count as equal within the smallest effect that can be claimed, and
//! within at least two per cent.
//!
//! Rejected: verdicts by the ratio alone, and stars for degrees of significance (an effect is
//! claimed or it is not; its size is in the interval).

use crate::invocation::format_bytes;
use crate::measure::estimate::{self, Estimate, Samples};
use crate::results::{CellResults, Group, Results};

use super::quantity::{format_ratio, format_time};
use super::text::{threads, wrap};

/// What a ratio of times proves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It takes less time than what it is compared with.
    Faster,
    /// It takes more.
    Slower,
    /// The interval includes 1, or the effect is no larger than what two equal things show.
    NotSignificant,
    /// Too little was measured to tell.
    Unknown,
}

/// What `ratio`, a time divided by that of the baseline, proves where two equal things differ by up
/// to the factor `reach`; `None` if no heap was run twice.
pub fn verdict(ratio: Estimate, reach: Option<f64>) -> Verdict {
    let (Some((low, high)), Some(reach)) = (ratio.interval, reach) else {
        return Verdict::Unknown;
    };
    if high < 1.0 && ratio.value < 1.0 / reach {
        Verdict::Faster
    } else if low > 1.0 && ratio.value > reach {
        Verdict::Slower
    } else {
        Verdict::NotSignificant
    }
}

/// By which factor two equal things differ in this group: its own A/A comparison, or the widest of
/// all.
pub fn reach(results: &Results, group: &Group<'_>) -> Option<f64> {
    let of = |group: &Group<'_>| group.same_over_same().and_then(Estimate::reach);
    of(group).or_else(|| {
        results
            .groups()
            .iter()
            .filter_map(of)
            .max_by(f64::total_cmp)
    })
}

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
        .map(|groups| {
            groups
                .iter()
                .map(|group| Fact::of(results, group))
                .collect()
        })
        .collect();
    let all = || facts.iter().flatten();
    let heaps = opponents(&facts);
    if heaps.is_empty() {
        return Vec::new();
    }
    let mut text = Vec::new();
    let mut say = |line: String| text.push(line);

    same_over_same(&facts).into_iter().for_each(&mut say);
    let is_sweep = facts.iter().any(|facts| facts.len() > 1);
    for (heap, baseline) in &heaps {
        let compared: Vec<(&Fact<'_>, Estimate)> = all()
            .filter(|fact| fact.baseline() == *baseline)
            .filter_map(|fact| Some((fact, fact.ratio(heap)?)))
            .collect();
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

/// What a group shows.
struct Fact<'r> {
    group: &'r Group<'r>,
    ratios: Vec<(&'r CellResults, Estimate)>,
    own_reach: Option<Estimate>,
    reach: Option<f64>,
}

impl<'r> Fact<'r> {
    fn of(results: &Results, group: &'r Group<'r>) -> Self {
        let cells = group.cells.iter();
        Self {
            ratios: cells
                .filter_map(|cell| Some((*cell, group.ratio(cell)?)))
                .collect(),
            own_reach: group.same_over_same(),
            reach: reach(results, group),
            group,
        }
    }

    fn baseline(&self) -> &str {
        self.group.baseline().heap_label()
    }

    fn ratio(&self, heap: &str) -> Option<Estimate> {
        let mut ratios = self.ratios.iter();
        let (_, ratio) = ratios.find(|(cell, _)| cell.heap_label() == heap)?;
        Some(*ratio)
    }

    fn verdict(&self, ratio: Estimate) -> Verdict {
        verdict(ratio, self.reach)
    }

    fn first(&self) -> &CellResults {
        self.group.cells[0]
    }

    /// The heap size: as a multiple of the minimum if that is known.
    fn size_in_words(&self) -> String {
        match self.first().multiple() {
            Some(multiple) => times(multiple),
            None => format_bytes(self.first().heap_bytes()),
        }
    }
}

/// Each heap that is compared with a baseline, and that baseline, in order of appearance.
fn opponents<'f>(facts: &'f [Vec<Fact<'_>>]) -> Vec<(&'f str, &'f str)> {
    let mut heaps = Vec::new();
    for fact in facts.iter().flatten() {
        for (cell, _) in &fact.ratios {
            let pair = (cell.heap_label(), fact.baseline());
            if !heaps.contains(&pair) {
                heaps.push(pair);
            }
        }
    }
    heaps
}

/// How groups are called: what they have in common is left out.
struct Names {
    threads: bool,
    multiple: bool,
}

impl Names {
    fn of(compared: &[(&Fact<'_>, Estimate)]) -> Self {
        let differ = |value: &dyn Fn(&CellResults) -> u64| {
            compared
                .windows(2)
                .any(|pair| value(pair[0].0.first()) != value(pair[1].0.first()))
        };
        Self {
            threads: differ(&|cell| cell.threads() as u64),
            multiple: differ(&|cell| {
                cell.multiple()
                    .map_or(0, |multiple| (multiple * 100.0) as u64)
            }),
        }
    }

    fn name(&self, cell: &CellResults) -> String {
        let mut name = cell.workload_label().to_owned();
        if self.threads {
            name.push_str(&format!(" with {}", threads(cell.threads())));
        }
        if let Some(multiple) = cell.multiple().filter(|_| self.multiple) {
            name.push_str(&format!(" at {}", times(multiple)));
        }
        name
    }
}

/// The A/A comparisons, and what they mean.
fn same_over_same(facts: &[Vec<Fact<'_>>]) -> Option<String> {
    let all = || facts.iter().flatten();
    let compared: Vec<_> = all()
        .filter_map(|fact| Some((fact, fact.own_reach?)))
        .collect();
    if compared.is_empty() {
        return Some(
            "No heap was run twice (--aa none): how much two equal things differ here is not known, and no difference is claimed."
                .to_owned(),
        );
    }
    let names = Names::of(&compared);
    let list: Vec<String> = compared
        .iter()
        .map(|(fact, ratio)| format!("{} {}", names.name(fact.first()), format_ratio(*ratio)))
        .collect();
    let heap = compared[0].0.baseline();
    let widest = compared
        .iter()
        .filter_map(|(_, ratio)| ratio.reach())
        .max_by(f64::total_cmp);
    let meaning = match widest {
        None => "one process each tells nothing: no difference is claimed".to_owned(),
        Some(widest) if compared.len() == all().count() => {
            format!(
                "effects within these intervals (at most {}) are not claimed",
                percent(widest)
            )
        }
        Some(widest) => format!(
            "elsewhere effects below {} are not claimed",
            percent(widest)
        ),
    };
    Some(format!(
        "A/A, {heap} over itself: {}; {meaning}.",
        list.join(", ")
    ))
}

/// At equal memory: where a heap is faster than the baseline, where slower, and what cannot be
/// told.
fn at_equal_memory(heap: &str, baseline: &str, compared: &[(&Fact<'_>, Estimate)]) -> String {
    let names = Names::of(compared);
    let with = |wanted: Verdict| {
        compared
            .iter()
            .filter(|(fact, ratio)| fact.verdict(*ratio) == wanted)
            .collect::<Vec<_>>()
    };
    let mut parts = Vec::new();
    for (wanted, word) in [(Verdict::Faster, "faster"), (Verdict::Slower, "slower")] {
        let found = with(wanted);
        if found.is_empty() {
            continue;
        }
        let list: Vec<String> = found
            .iter()
            .map(|(fact, ratio)| {
                let factor = if wanted == Verdict::Faster {
                    ratio.inverse()
                } else {
                    *ratio
                };
                format!("{} {}", names.name(fact.first()), as_factor(factor))
            })
            .collect();
        parts.push(format!(
            "{word} in {} of {}: {}",
            found.len(),
            compared.len(),
            list.join(", ")
        ));
    }
    let open = with(Verdict::NotSignificant);
    if !open.is_empty() {
        let list: Vec<String> = open
            .iter()
            .map(|(fact, ratio)| {
                format!(
                    "{} (time {})",
                    names.name(fact.first()),
                    format_ratio(*ratio)
                )
            })
            .collect();
        parts.push(format!("not significant: {}", list.join(", ")));
    }
    let unknown = with(Verdict::Unknown).len();
    if unknown > 0 {
        parts.push(format!("too little measured to tell: {unknown}"));
    }
    let mean = mean_of_times(heap, compared)
        .filter(|_| compared.len() > 1)
        .map_or(String::new(), |mean| {
            format!(
                " Geometric mean of the times over {}: {} of {baseline}'s.",
                compared.len(),
                format_ratio(mean)
            )
        });
    format!(
        "{heap} against {baseline}, at equal memory: {}.{mean}",
        parts.join("; ")
    )
}

/// The geometric mean of a heap's ratios.
fn mean_of_times(heap: &str, compared: &[(&Fact<'_>, Estimate)]) -> Option<Estimate> {
    let times: Vec<_> = compared
        .iter()
        .filter_map(|(fact, _)| {
            let mut cells = fact.ratios.iter();
            let (cell, _) = cells.find(|(cell, _)| cell.heap_label() == heap)?;
            Some((cell.times(), fact.group.baseline().times()))
        })
        .collect();
    let pairs: Vec<(&Samples, &Samples)> =
        times.iter().map(|(of, to)| (&of[..], &to[..])).collect();
    estimate::geometric_mean(&pairs)
}

/// Over a sweep: at equal memory, for each multiple, what all workloads together say.
fn over_multiples(heap: &str, baseline: &str, compared: &[(&Fact<'_>, Estimate)]) -> String {
    // Sizes are rounded up to a grain, so that the multiples of a small heap are not quite the same
    // in all workloads.
    let key = |fact: &Fact<'_>| {
        let size = fact
            .first()
            .multiple()
            .unwrap_or(fact.first().heap_bytes() as f64);
        (size * 10.0).round() as u64
    };
    let mut keys: Vec<u64> = compared.iter().map(|(fact, _)| key(fact)).collect();
    keys.sort_unstable();
    keys.dedup();
    let means: Vec<String> = keys
        .iter()
        .filter_map(|&wanted| {
            let of_size: Vec<_> = (compared.iter().copied())
                .filter(|(fact, _)| key(fact) == wanted)
                .collect();
            let mean = mean_of_times(heap, &of_size)?;
            Some(format!(
                "{} at {}",
                format_ratio(mean),
                of_size[0].0.size_in_words()
            ))
        })
        .collect();
    format!(
        "{heap} against {baseline}, at equal memory, time as a share of {baseline}'s (geometric mean over workloads): {}.",
        means.join(", ")
    )
}

/// One workload over several sizes: where two heaps cross, and what equal time needs.
fn over_sizes(heap: &str, facts: &[Fact<'_>]) -> Vec<String> {
    let first = facts[0].first();
    let baseline = facts[0].baseline();
    let name = match first.threads() {
        1 => first.workload_label().to_owned(),
        count => format!("{} with {}", first.workload_label(), threads(count)),
    };
    let points: Vec<(f64, Estimate, Verdict)> = facts
        .iter()
        .filter_map(|fact| {
            let ratio = fact.ratio(heap)?;
            let size = fact
                .first()
                .multiple()
                .unwrap_or(fact.first().heap_bytes() as f64);
            Some((size, ratio, fact.verdict(ratio)))
        })
        .collect();
    let has_multiples = first.multiple().is_some();
    let size = |size: f64| {
        if has_multiples {
            times(size)
        } else {
            format_bytes(size as u64)
        }
    };
    let mut said = Vec::new();
    // Neighbouring sizes of one verdict are said together.
    let stretches: Vec<String> = points
        .chunk_by(|a, b| a.2 == b.2)
        .map(|stretch| {
            let (least, most) = (stretch[0].0, stretch[stretch.len() - 1].0);
            let place = if stretch.len() == 1 {
                format!("at {}", size(least))
            } else {
                format!("from {} to {}", size(least), size(most))
            };
            let factors = |slower: bool| {
                let values = stretch.iter().map(|(_, ratio, _)| {
                    if slower {
                        ratio.value
                    } else {
                        1.0 / ratio.value
                    }
                });
                let (low, high) = values.fold((f64::INFINITY, 0.0_f64), |(low, high), value| {
                    (low.min(value), high.max(value))
                });
                let (low, high) = (digits(low), digits(high));
                if low == high {
                    format!("{low}x")
                } else {
                    format!("{low}x to {high}x")
                }
            };
            match stretch[0].2 {
                Verdict::Faster => format!("faster {place} ({})", factors(false)),
                Verdict::Slower => format!("slower {place} ({})", factors(true)),
                Verdict::NotSignificant => format!("not significant {place}"),
                Verdict::Unknown => format!("too little measured to tell {place}"),
            }
        })
        .collect();
    if !stretches.is_empty() {
        said.push(format!("  {name}: {}.", stretches.join(", ")));
    }
    if points.len() > 1 {
        let (least, most) = (points[0].0, points[points.len() - 1].0);
        let crossings = crossings(&points);
        let words: Vec<String> = crossings
            .iter()
            .map(|&(at, faster_above)| {
                let (above, below) = if faster_above {
                    (heap, baseline)
                } else {
                    (baseline, heap)
                };
                format!(
                    "at about {} ({below} is faster below, {above} above)",
                    size(at)
                )
            })
            .collect();
        let mut verdicts = points.iter().map(|(_, _, verdict)| verdict);
        let is_claimed =
            verdicts.all(|verdict| matches!(verdict, Verdict::Faster | Verdict::Slower));
        said.push(if words.is_empty() {
            // Where nothing was shown at a size, they may cross there.
            let words = if is_claimed {
                "they do not cross"
            } else {
                "no crossing is shown"
            };
            format!("    {words} from {} to {}.", size(least), size(most))
        } else {
            format!("    they cross {}.", words.join(", and "))
        });
    }
    said.extend(at_equal_time(heap, facts).map(|words| format!("    {words}.")));
    said
}

/// Where the sign of a claimed effect changes, ascending: the size, and whether the heap is faster
/// above it. Between the two sizes the line through the logarithms of the ratios is followed.
fn crossings(points: &[(f64, Estimate, Verdict)]) -> Vec<(f64, bool)> {
    let claimed: Vec<&(f64, Estimate, Verdict)> = points
        .iter()
        .filter(|(_, _, verdict)| matches!(verdict, Verdict::Faster | Verdict::Slower))
        .collect();
    claimed
        .windows(2)
        .filter(|pair| pair[0].2 != pair[1].2)
        .map(|pair| {
            let (below, above) = (pair[0], pair[1]);
            let at = interpolate(
                (below.1.value.ln(), below.0.ln()),
                (above.1.value.ln(), above.0.ln()),
                0.0,
            );
            (at.exp(), above.2 == Verdict::Faster)
        })
        .collect()
}

/// The second coordinate at `x` of the line through two points.
fn interpolate((x0, y0): (f64, f64), (x1, y1): (f64, f64), x: f64) -> f64 {
    y0 + (y1 - y0) * (x - x0) / (x1 - x0)
}

/// A heap's median time at a size, in nanoseconds and bytes.
type Point = (u64, f64);

/// What the slower heap's best time costs in memory on each.
fn at_equal_time(heap: &str, facts: &[Fact<'_>]) -> Option<String> {
    let baseline = facts[0].baseline();
    let curve = |wanted: &str| -> Vec<Point> {
        let cells = facts.iter().filter(|fact| !fact.group.is_void());
        cells
            .filter_map(|fact| {
                let mut cells = fact.group.cells.iter();
                let cell = cells.find(|cell| cell.heap_label() == wanted)?;
                // Where there is no limit there is no choice of memory.
                let time = estimate::point(&cell.times()).filter(|_| cell.is_limited())?;
                Some((cell.heap_bytes(), time))
            })
            .collect()
    };
    let tolerance = facts.iter().map(|fact| fact.reach.unwrap_or(1.0));
    let tolerance = tolerance.fold(1.02, f64::max);
    let (time, needs) = equal_time([&curve(heap), &curve(baseline)], tolerance)?;
    let [mine, theirs] = needs.map(|bytes| format_bytes(bytes as u64));
    let time = format_time(time);
    Some(if needs[0] == needs[1] {
        format!(
            "for equal time ({time}) {heap} and {baseline} both need {mine}, the least that was tried"
        )
    } else {
        format!("for equal time ({time}) {heap} needs {mine}, {baseline} {theirs}")
    })
}

/// The time that both heaps reach, and the memory that each needs for it. `None` if one has fewer
/// than two points.
fn equal_time(curves: [&[Point]; 2], tolerance: f64) -> Option<(f64, [f64; 2])> {
    let best = |curve: &[Point]| {
        let times = curve.iter().map(|&(_, time)| time);
        times.min_by(f64::total_cmp).filter(|_| curve.len() > 1)
    };
    let slower = best(curves[0])?.max(best(curves[1])?);
    let time = slower * tolerance;
    let need = |curve: &[Point]| {
        let at = curve.iter().position(|&(_, mine)| mine <= time)?;
        let (bytes, reached) = curve[at];
        let Some(&(smaller, longer)) = at.checked_sub(1).and_then(|at| curve.get(at)) else {
            return Some(bytes as f64);
        };
        let logarithm = interpolate(
            (longer.ln(), (smaller as f64).ln()),
            (reached.ln(), (bytes as f64).ln()),
            time.ln(),
        );
        Some(logarithm.exp())
    };
    Some((slower, [need(curves[0])?, need(curves[1])?]))
}

/// `5.6x [5.1-6.0]`: so many times as fast, or as slow.
fn as_factor(ratio: Estimate) -> String {
    let interval = ratio.interval.map_or(String::new(), |(low, high)| {
        format!(" [{}-{}]", digits(low), digits(high))
    });
    format!("{}x{interval}", digits(ratio.value))
}

/// A factor, with as many digits as it deserves.
fn digits(value: f64) -> String {
    let decimals = if value < 1.995 {
        2
    } else {
        usize::from(value < 99.95)
    };
    format!("{value:.decimals$}")
}

/// A factor as what it adds, if that is the clearer.
pub fn percent(factor: f64) -> String {
    let percent = (factor - 1.0) * 100.0;
    if factor >= 2.0 {
        format!("a factor of {factor:.1}")
    } else if percent < 9.95 {
        format!("{percent:.1} %")
    } else {
        format!("{percent:.0} %")
    }
}

/// `1.5x the minimum heap`, without digits that say nothing.
fn times(multiple: f64) -> String {
    let text = format!("{multiple:.2}");
    format!("{}x", text.trim_end_matches('0').trim_end_matches('.'))
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

    fn ratio(value: f64, low: f64, high: f64) -> Estimate {
        Estimate {
            value,
            interval: Some((low, high)),
            n: 5,
        }
    }

    fn twin(rows: Vec<Row>) -> Vec<Row> {
        let mut rows = rows;
        rows.iter_mut().for_each(|row| row.twin = true);
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
    fn an_effect_must_exclude_one_and_exceed_what_equal_things_show() {
        assert_eq!(verdict(ratio(0.5, 0.4, 0.6), Some(1.1)), Verdict::Faster);
        assert_eq!(verdict(ratio(2.0, 1.5, 3.0), Some(1.1)), Verdict::Slower);
        assert_eq!(
            verdict(ratio(0.9, 0.8, 1.1), Some(1.01)),
            Verdict::NotSignificant
        );
        // Its own interval excludes 1, but the machine makes such effects out of nothing.
        assert_eq!(
            verdict(ratio(0.95, 0.94, 0.96), Some(1.1)),
            Verdict::NotSignificant
        );
        assert_eq!(
            verdict(ratio(1.05, 1.04, 1.06), Some(1.1)),
            Verdict::NotSignificant
        );
        assert_eq!(verdict(ratio(0.5, 0.4, 0.6), None), Verdict::Unknown);
        let single = Estimate {
            value: 0.1,
            interval: None,
            n: 1,
        };
        assert_eq!(verdict(single, Some(1.1)), Verdict::Unknown);
    }

    #[test]
    fn at_equal_memory_the_faster_is_named_with_its_factor() {
        let rows = [
            processes("gc-rc", &BASE),
            processes("gc-marksweep", &HALF),
            processes("arena", &BASE),
            twin(processes("gc-rc", &BASE)),
        ];
        let text = conclusion(rows.concat());
        assert!(
            text.contains("A/A, gc-rc over itself: list:nodes=77 1.00 ["),
            "{text}"
        );
        assert!(
            text.contains("gc-marksweep against gc-rc, at equal memory: faster in 1 of 1: list:nodes=77 2.0x ["),
            "{text}"
        );
        assert!(
            text.contains(
                "arena against gc-rc, at equal memory: not significant: list:nodes=77 (time 1.00 ["
            ),
            "{text}"
        );
    }

    #[test]
    fn without_a_twin_nothing_is_claimed() {
        let rows = [processes("gc-rc", &BASE), processes("gc-marksweep", &HALF)];
        let text = conclusion(rows.concat());
        assert!(text.contains("no difference is claimed"), "{text}");
        assert!(!text.contains("faster"), "{text}");
        assert_eq!(
            conclusion(processes("gc-rc", &BASE)),
            "",
            "nothing is compared"
        );
    }

    #[test]
    fn another_comparison_s_twin_stands_for_a_missing_one() {
        let on = |nodes: u64, rows: Vec<Row>| {
            let mut rows = rows;
            for row in &mut rows {
                row.invocation.parameters.insert("nodes".to_owned(), nodes);
            }
            rows
        };
        let rows = [
            on(1, processes("gc-rc", &BASE)),
            on(1, processes("arena", &HALF)),
            on(1, twin(processes("gc-rc", &[2000, 2100, 1900, 2050, 1950]))),
            on(2, processes("gc-rc", &BASE)),
            on(2, processes("arena", &HALF)),
        ];
        let text = conclusion(rows.concat());
        // Equal things differ by a factor of two here.
        assert!(
            text.contains("not significant: list:nodes=1 (time 0.50"),
            "{text}"
        );
        assert!(text.contains("list:nodes=2 (time 0.50"), "{text}");
        assert!(!text.contains("faster"), "{text}");
        assert!(
            text.contains("Geometric mean of the times over 2: 0.50"),
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
            text.contains("for equal time (1.00 us) gc-marksweep needs 28.0 MiB, gc-rc 10 MiB"),
            "{text}"
        );
        assert!(
            text.contains("list:nodes=77: slower from 1x to 2x (2.0x to 4.0x), faster from 4x to 6x (2.0x to 2.5x)."),
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
    fn equal_time_follows_the_measured_points() {
        let flat: &[Point] = &[(10, 100.0), (40, 100.0)];
        let falling: &[Point] = &[(10, 400.0), (40, 100.0)];
        let (time, [flat_needs, falling_needs]) = equal_time([flat, falling], 1.0).unwrap();
        assert_eq!((time, flat_needs), (100.0, 10.0));
        assert!((falling_needs - 40.0).abs() < 1e-9);
        let steep: &[Point] = &[(10, 400.0), (40, 25.0)];
        let (_, [_, needs]) = equal_time([flat, steep], 1.0).unwrap();
        assert!((needs - 20.0).abs() < 1e-9, "{needs}");
        assert_eq!(equal_time([flat, &flat[..1]], 1.0), None);
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
