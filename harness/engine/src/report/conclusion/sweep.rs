//! One workload over several sizes: where two heaps cross, and what equal time needs.

use super::fact::Fact;
use crate::invocation::format_bytes;
use crate::report::quantity::{factor, format_time};
use crate::report::text::threads;
use crate::statistics::{EQUAL, Estimate, Verdict, point, range};

/// What is shown at a size.
type Place = (f64, Estimate, Verdict);

/// What a heap shows over the sizes of one work, a line each.
pub(super) fn over_sizes(heap: &str, facts: &[Fact<'_>]) -> Vec<String> {
    let first = facts[0].first();
    let name = match first.threads() {
        1 => first.workload_label().to_owned(),
        count => format!("{} with {}", first.workload_label(), threads(count)),
    };
    let places = facts.iter().filter_map(|fact| {
        let ratio = fact.ratio(heap)?;
        Some((fact.size(), ratio, Verdict::of(ratio)))
    });
    let places: Vec<Place> = places.collect();
    let mut said = Vec::new();
    // Neighbouring sizes of one verdict are said together.
    let stretches = places.chunk_by(|a, b| a.2 == b.2);
    let stretches: Vec<String> = stretches
        .map(|stretch| in_words(&facts[0], stretch))
        .collect();
    if !stretches.is_empty() {
        said.push(format!("  {name}: {}.", stretches.join(", ")));
    }
    if places.len() > 1 {
        said.push(format!(
            "    {}.",
            where_they_cross(heap, &facts[0], &places)
        ));
    }
    said.extend(at_equal_time(heap, facts).map(|words| format!("    {words}.")));
    said
}

/// Successive sizes of one verdict.
fn in_words(fact: &Fact<'_>, stretch: &[Place]) -> String {
    let (least, most) = (stretch[0].0, stretch[stretch.len() - 1].0);
    let place = if stretch.len() == 1 {
        format!("at {}", fact.in_words(least))
    } else {
        format!("from {} to {}", fact.in_words(least), fact.in_words(most))
    };
    let factors = |of: fn(f64) -> f64| {
        let values = stretch.iter().map(|(_, ratio, _)| of(ratio.value));
        let (low, high) = range(values).expect("stretches have sizes");
        let (low, high) = (factor(low), factor(high));
        if low == high {
            format!("{low}x")
        } else {
            format!("{low}x to {high}x")
        }
    };
    match stretch[0].2 {
        Verdict::Faster => format!("faster {place} ({})", factors(f64::recip)),
        Verdict::Slower => format!("slower {place} ({})", factors(|ratio| ratio)),
        other => format!("{other} {place}"),
    }
}

/// Whether the heap was shown to be faster, or slower.
fn is_claimed((_, _, verdict): &&Place) -> bool {
    verdict.is_faster() || verdict.is_slower()
}

fn where_they_cross(heap: &str, fact: &Fact<'_>, places: &[Place]) -> String {
    let crossings = crossings(places).into_iter().map(|(at, faster_above)| {
        let (above, below) = if faster_above {
            (heap, fact.baseline())
        } else {
            (fact.baseline(), heap)
        };
        let at = fact.in_words(at);
        format!("at about {at} ({below} is faster below, {above} above)")
    });
    let crossings: Vec<String> = crossings.collect();
    if !crossings.is_empty() {
        return format!("they cross {}", crossings.join(", and "));
    }
    // Where nothing was shown at a size, they may cross there.
    let words = if places.iter().all(|place| is_claimed(&place)) {
        "they do not cross"
    } else {
        "no crossing is shown"
    };
    let (least, most) = (places[0].0, places[places.len() - 1].0);
    format!(
        "{words} from {} to {}",
        fact.in_words(least),
        fact.in_words(most)
    )
}

/// Where the sign of a claimed effect changes, ascending: the size, and whether the heap is faster
/// above it. Between the two sizes the line through the logarithms of the ratios is followed.
fn crossings(places: &[Place]) -> Vec<(f64, bool)> {
    let claimed: Vec<&Place> = places.iter().filter(is_claimed).collect();
    let pairs = (claimed.windows(2)).filter(|pair| pair[0].2.is_faster() != pair[1].2.is_faster());
    let logarithms = |(size, ratio, _): &Place| (ratio.value.ln(), size.ln());
    let crossing = |pair: &[&Place]| {
        let at = interpolate(logarithms(pair[0]), logarithms(pair[1]), 0.0);
        (at.exp(), pair[1].2.is_faster())
    };
    pairs.map(crossing).collect()
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
        let facts = facts.iter().filter(|fact| !fact.group.is_void());
        let points = facts.filter_map(|fact| {
            // Where there is no limit there is no choice of memory.
            let cell = fact.cell(wanted).filter(|cell| cell.is_limited())?;
            Some((cell.heap_bytes(), point(&cell.times())?))
        });
        points.collect()
    };
    let (time, needs) = equal_time([&curve(heap), &curve(baseline)], EQUAL)?;
    let [mine, theirs] = needs.map(|bytes| format_bytes(bytes as u64));
    let time = format_time(time);
    Some(if needs[0] == needs[1] {
        format!(
            "for equal time ({time}) {heap} and {baseline} both need {mine}, the least that was \
             tried"
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

#[cfg(test)]
mod tests {
    use super::*;

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
}
