//! One workload over several sizes: where two heaps cross, what equal time needs, and what holds
//! where both occupy the same memory.
//!
//! *Equal mean occupied memory*: at one limit a tracing heap lets garbage pile up to it, and a
//! counting heap does not, so that equal limits are not equal memory. A sweep has, at each of its
//! sizes, the ratio of the times and that of the occupied bytes, averaged over the iteration; what
//! is wanted is the former where the latter is 1. A size at which it is within 5 % of 1 was
//! measured there. Otherwise the point lies between two neighbouring sizes: the line through the
//! logarithms gives the value, and its interval is all that the intervals of the two neighbours
//! cover, since between them nothing is assumed but that time changes in one direction. Rejected:
//! a search for the limit at which they are equal (so many more processes for a point that the
//! next run moves; one who wants it measured names the size that is said here in `--multiples`).

use super::fact::Fact;
use crate::invocation::{Metrics, format_bytes};
use crate::report::quantity::{factor, format_ratio, format_time};
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
    said.extend(at_equal_occupancy(heap, facts).map(|words| format!("    {words}.")));
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

/// A size, the heap's mean occupied bytes over the baseline's there, and its time over that one's.
type Occupied = (f64, f64, Estimate);

/// What the times are where both occupy the same, or by how much they never do.
fn at_equal_occupancy(heap: &str, facts: &[Fact<'_>]) -> Option<String> {
    let baseline = facts[0].baseline();
    let occupied = |fact: &Fact<'_>, wanted: &str| {
        let cell = fact.cell(wanted).filter(|cell| cell.is_limited())?;
        let bytes = |metrics: &Metrics| Some(metrics.space.mean_occupied_bytes? as f64);
        point(&cell.samples(bytes)).filter(|&bytes| bytes > 0.0)
    };
    let places = facts.iter().filter(|fact| !fact.group.is_void());
    let places = places.filter_map(|fact| {
        let occupied = occupied(fact, heap)? / occupied(fact, baseline)?;
        Some((fact.size(), occupied, fact.ratio(heap)?))
    });
    let places: Vec<Occupied> = places.collect();
    let (first, last) = (places.first()?, places.last()?);
    let size = |size| facts[0].in_words(size);
    let words = match equal_occupancy(&places) {
        Some(Equal {
            size: at,
            between,
            ratio,
        }) => {
            let at = size(at);
            let how = match between.map(|sizes| sizes.map(size)) {
                Some([low, high]) => {
                    format!("at about {at}, interpolated between {low} and {high}")
                }
                None => format!("measured at {at}"),
            };
            format!(
                "at equal mean occupied memory ({how}) {heap} takes {} of {baseline}'s time: {}",
                format_ratio(ratio),
                Verdict::of(ratio)
            )
        }
        None => {
            let (at, occupied, _) = if first.1 > 1.0 { first } else { last };
            format!(
                "equal mean occupied memory is not reached: at {} {heap} occupies {} times what \
                 {baseline} does",
                size(*at),
                factor(*occupied)
            )
        }
    };
    Some(words)
}

/// Where both occupy the same.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Equal {
    size: f64,
    /// The sizes between which it lies, if it was not measured.
    between: Option<[f64; 2]>,
    ratio: Estimate,
}

/// `None` if they occupy the same nowhere.
fn equal_occupancy(places: &[Occupied]) -> Option<Equal> {
    let off = |place: &&Occupied| place.1.ln().abs();
    let nearest = places.iter().min_by(|a, b| off(a).total_cmp(&off(b)))?;
    if off(&nearest) <= EQUAL.ln() {
        return Some(Equal {
            size: nearest.0,
            between: None,
            ratio: nearest.2,
        });
    }
    let mut pairs = places.windows(2);
    let pair = pairs.find(|pair| (pair[0].1 < 1.0) != (pair[1].1 < 1.0))?;
    let at_one = |value: fn(&Occupied) -> f64| {
        let [low, high] = [0, 1].map(|at| (pair[at].1.ln(), value(&pair[at]).ln()));
        interpolate(low, high, 0.0).exp()
    };
    let [below, above] = [pair[0].2, pair[1].2];
    let interval = below.interval.zip(above.interval);
    let ratio = Estimate {
        value: at_one(|place| place.2.value),
        interval: interval.map(|(a, b)| (a.0.min(b.0), a.1.max(b.1))),
        n: below.n.min(above.n),
    };
    Some(Equal {
        size: at_one(|place| place.0),
        between: Some([pair[0].0, pair[1].0]),
        ratio,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_occupancy_is_measured_or_lies_between_neighbours() {
        let ratio = |value: f64| Estimate {
            value,
            interval: Some((0.9 * value, 1.1 * value)),
            n: 5,
        };
        let (low, high) = ((1.0, 0.5, ratio(0.8)), (4.0, 2.0, ratio(0.2)));
        let found = equal_occupancy(&[low, high]).unwrap();
        assert!((found.size - 2.0).abs() < 1e-9 && (found.ratio.value - 0.4).abs() < 1e-9);
        assert_eq!(found.between, Some([1.0, 4.0]));
        let (least, most) = found.ratio.interval.unwrap();
        assert!((least - 0.18).abs() < 1e-9 && (most - 0.88).abs() < 1e-9);
        let measured = (2.0, 1.04, ratio(0.5));
        let found = equal_occupancy(&[low, measured, high]).unwrap();
        assert_eq!((found.size, found.between), (2.0, None));
        assert_eq!(found.ratio.value, 0.5);
        assert_eq!(equal_occupancy(&[high]), None);
        assert_eq!(equal_occupancy(&[low]), None);
        assert_eq!(equal_occupancy(&[]), None);
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
}
