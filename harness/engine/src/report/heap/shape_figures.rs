//! Figures of graphs of real heaps: what they are, before anything is measured.
//!
//! Several graphs are drawn into the same figures, one series each. What is drawn of a graph does
//! not grow with it: its [`Shape`] has sixty levels at most, and a bin for each power of two.

use graph::{Bin, Histogram, Levels, Shape};

use super::facts::share;
use crate::report::figure::{Drawn, Figure, Figures, Missing, Styles, apart};
use crate::report::plot::{Axis, Form, Plot, Point, Scale, Series, Unit};
use crate::report::quantity::grouped;

/// Graphs, each with what it is called.
type Graphs<'g> = [(&'g str, &'g Shape)];

/// A figure: what is drawn of each graph, and what is said of it.
struct Words {
    title: &'static str,
    x: (&'static str, Unit, Scale),
    y: (&'static str, Unit, Scale),
    form: Form,
    points: fn(&Shape) -> Vec<Point>,
    /// What is so of graphs of which there is nothing to draw.
    absent: &'static str,
    see: fn(&Graphs<'_>) -> String,
}

const FIGURES: [Words; 6] = [
    Words {
        title: "Depth",
        x: ("references from a root", Unit::Count, Scale::Linear),
        y: ("objects a level", Unit::Count, Scale::Logarithmic),
        form: Form::Steps,
        points: by_distance,
        absent: "no root reaches any object",
        see: |graphs| {
            format!(
                "Objects by how many references they are away from the roots. Marking and any \
                 other search goes from level to level; a long thin tail leaves nothing to do in \
                 parallel.{} The farthest: {}; half are within {}.",
                levels_together(graphs),
                each(graphs, |shape| grouped(shape.depth)),
                each(graphs, |shape| grouped(shape.half_depth))
            )
        },
    },
    Words {
        title: "References to an object",
        x: ("references to an object", Unit::Count, Scale::Logarithmic),
        y: AT_LEAST,
        form: Form::Line,
        points: |shape| tail(&shape.referred),
        absent: "no reference leads to any object",
        see: |graphs| {
            format!(
                "Counting pays for each of them; an object to which very many lead is where \
                 threads meet. The most: {}. Objects to which none leads but roots: {}.",
                each(graphs, |shape| grouped(shape.most_referred)),
                each(graphs, |shape| grouped(zeros(&shape.referred)))
            )
        },
    },
    Words {
        title: "References of an object",
        x: ("references of an object", Unit::Count, Scale::Logarithmic),
        y: AT_LEAST,
        form: Form::Line,
        points: |shape| tail(&shape.referring),
        absent: "no object refers to another",
        see: |graphs| {
            format!(
                "Null fields and weak references left out. The most: {}. Objects that refer to \
                 nothing, and so lie on no cycle: {}.",
                each(graphs, |shape| grouped(shape.most_referring)),
                each(graphs, |shape| grouped(zeros(&shape.referring)))
            )
        },
    },
    Words {
        title: "Objects by size",
        x: ("bytes of an object", Unit::Bytes, Scale::Logarithmic),
        y: ("objects", Unit::Count, Scale::Logarithmic),
        form: Form::Bars,
        points: |shape| bars(&shape.sizes, |bin| bin.count),
        absent: "no object has any byte",
        see: |graphs| {
            format!(
                "8 bytes for each field and the payload, without headers; from one power of two \
                 to the next. Objects of no byte: {}.",
                each(graphs, |shape| grouped(zeros(&shape.sizes)))
            )
        },
    },
    Words {
        title: "Bytes by size",
        x: ("bytes of an object", Unit::Bytes, Scale::Logarithmic),
        y: ("bytes in all of them", Unit::Bytes, Scale::Linear),
        form: Form::Bars,
        points: |shape| bars(&shape.sizes, |bin| bin.sum),
        absent: "no object has any byte",
        see: |_| {
            "What the objects of each size come to: few large ones may be most of a heap."
                .to_owned()
        },
    },
    Words {
        title: "Objects on cycles",
        x: ("objects of a group", Unit::Count, Scale::Logarithmic),
        y: ("objects in such groups", Unit::Count, Scale::Logarithmic),
        form: Form::Bars,
        points: |shape| bars(&shape.groups, |bin| bin.sum),
        absent: "no object lies on a cycle",
        see: |graphs| {
            format!(
                "Groups of objects that all reach each other (strongly connected components), \
                 which counting alone never frees. On cycles: {} of the objects. Groups: {}; the \
                 largest has {}.",
                each(graphs, |shape| share(shape.cyclic, shape.objects)),
                each(graphs, |shape| grouped(shape.cycles)),
                each(graphs, |shape| grouped(shape.largest_cycle))
            )
        },
    },
];

const AT_LEAST: (&str, Unit, Scale) = (
    "objects with at least so many",
    Unit::Count,
    Scale::Logarithmic,
);

/// All of them.
pub(crate) fn of(graphs: &Graphs<'_>, styles: &Styles) -> Figures {
    apart(
        FIGURES
            .each_ref()
            .map(|words| figure(words, graphs, styles)),
    )
}

fn figure(words: &Words, graphs: &Graphs<'_>, styles: &Styles) -> Drawn {
    let Words {
        title,
        form,
        points,
        absent: reason,
        ..
    } = *words;
    let axis = |(name, unit, scale)| Axis::new(name, unit, scale);
    let series = graphs.iter().enumerate();
    let series = series.map(|(index, (name, shape))| Series {
        name: (*name).to_owned(),
        style: styles.beyond(index),
        form,
        points: points(shape),
    });
    let plot = Plot {
        x: axis(words.x),
        y: axis(words.y),
        series: series.collect(),
        rules: Vec::new(),
    };
    Ok(Figure {
        title: title.to_owned(),
        drawing: plot.draw(title).ok_or(Missing { title, reason })?,
        see: (words.see)(graphs),
        n: format!(
            "n = {} objects",
            each(graphs, |shape| grouped(shape.objects))
        ),
        commands: Vec::new(),
    })
}

/// How many levels are one point, where that is not each.
fn levels_together(graphs: &Graphs<'_>) -> String {
    let widest = graphs.iter().map(|(_, shape)| shape.levels.width).max();
    match widest {
        Some(width) if width > 1 => format!(
            " Up to {} levels are taken together, by their mean.",
            grouped(width)
        ),
        _ => String::new(),
    }
}

/// Objects a level: those that are taken together are told by their mean.
fn by_distance(shape: &Shape) -> Vec<Point> {
    let Levels { width, objects } = &shape.levels;
    let end = shape.depth + 1;
    let levels = objects.iter().enumerate().map(|(at, &objects)| {
        let from = at as u64 * width;
        let levels = (*width).min(end - from);
        Point::new(from as f64, objects as f64 / levels as f64)
    });
    let mut points: Vec<Point> = levels.collect();
    if let Some(&last) = points.last() {
        points.push(Point {
            x: end as f64,
            ..last
        });
    }
    points
}

/// How many there are of at least so much.
fn tail(histogram: &Histogram) -> Vec<Point> {
    let at_least = histogram.at_least().into_iter();
    at_least
        .map(|(least, count)| Point::new(least as f64, count as f64))
        .collect()
}

/// A bar for each bin, and where the last one ends.
fn bars(histogram: &Histogram, value: fn(Bin) -> u64) -> Vec<Point> {
    let bins = || histogram.bins();
    let bars = bins().map(|(least, bin)| Point::new(least as f64, value(bin) as f64));
    let end = bins().last().map(|(least, _)| (2 * least).max(1));
    bars.chain(end.map(|end| Point::new(end as f64, 0.0)))
        .collect()
}

/// How many there are of zero, which has no place on a logarithmic axis.
fn zeros(histogram: &Histogram) -> u64 {
    let first = histogram.bins().next();
    first.map_or(0, |(_, bin)| bin.count)
}

/// A number of each graph: `12`, or `old 12, new 13`.
fn each(graphs: &Graphs<'_>, number: impl Fn(&Shape) -> String) -> String {
    match graphs {
        [(_, shape)] => number(shape),
        _ => {
            let numbers = graphs.iter();
            let numbers = numbers.map(|(name, shape)| format!("{name} {}", number(shape)));
            numbers.collect::<Vec<_>>().join(", ")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::heap::fixture::{RING, subject};
    use crate::results::Results;

    fn places(points: &[Point]) -> Vec<(f64, f64)> {
        let points = points.iter().map(|point| (point.x, point.y.value));
        points.collect()
    }

    /// The fixture says what there is to count.
    #[test]
    fn the_data_of_each_plot_are_those_of_the_graph() {
        let shape = subject("ring", RING).shape;
        // One root, three below it, one below these; the last level lasts until 3.
        assert_eq!(
            places(&by_distance(&shape)),
            [(0.0, 1.0), (1.0, 3.0), (2.0, 1.0), (3.0, 1.0)]
        );
        // a, b and c have two references to them, x has one, r none.
        assert_eq!(
            places(&tail(&shape.referred)),
            [(0.0, 5.0), (1.0, 4.0), (2.0, 3.0)]
        );
        assert_eq!(zeros(&shape.referred), 1);
        // r has three, a and b two, x and c none.
        assert_eq!(
            places(&tail(&shape.referring)),
            [(0.0, 5.0), (1.0, 3.0), (2.0, 3.0)]
        );
        // c has no byte; a, b and r have 16, 16 and 24, x has 104.
        let sizes = bars(&shape.sizes, |bin| bin.count);
        let filled = |points: &[Point]| -> Vec<(f64, f64)> {
            let filled = places(points).into_iter();
            filled.filter(|&(_, value)| value > 0.0).collect()
        };
        assert_eq!(filled(&sizes), [(0.0, 1.0), (16.0, 3.0), (64.0, 1.0)]);
        assert_eq!(places(&sizes).last(), Some(&(128.0, 0.0)));
        let bytes = bars(&shape.sizes, |bin| bin.sum);
        assert_eq!(filled(&bytes), [(16.0, 56.0), (64.0, 104.0)]);
        // One group of two.
        let groups = bars(&shape.groups, |bin| bin.sum);
        assert_eq!(filled(&groups), [(2.0, 2.0)]);
        assert_eq!(places(&groups).last(), Some(&(4.0, 0.0)));
    }

    #[test]
    fn levels_that_are_taken_together_are_told_by_their_mean() {
        let chain: String = (1..151).map(|number| format!(" -> {number}")).collect();
        let drawing = format!("digraph {{ 0 [root=true]; 0{chain}; 150 -> x; 150 -> y }}");
        let shape = subject("chain", &drawing).shape;
        assert_eq!((shape.depth, shape.levels.width), (151, 3));
        let points = places(&by_distance(&shape));
        // The last two levels are one object and two.
        let end = [(147.0, 1.0), (150.0, 1.5), (152.0, 1.5)];
        assert_eq!(points[points.len() - 3..], end);
        assert!(points[..50].iter().all(|&(_, objects)| objects == 1.0));
    }

    #[test]
    fn what_a_graph_has_not_is_not_drawn() {
        let styles = Styles::new(&Results::default());
        let shape = subject("one", "digraph { a }").shape;
        let (drawn, missing) = of(&[("one", &shape)], &styles);
        let titles: Vec<&str> = drawn.iter().map(|figure| figure.title.as_str()).collect();
        assert_eq!(titles, ["Depth"]);
        let titles: Vec<&str> = missing.iter().map(|absent| absent.title).collect();
        assert_eq!(
            titles,
            [
                "References to an object",
                "References of an object",
                "Objects by size",
                "Bytes by size",
                "Objects on cycles"
            ]
        );
    }

    #[test]
    fn two_graphs_are_drawn_into_the_same_figures() {
        let styles = Styles::new(&Results::default());
        let [one, two] = ["one", "two"].map(|name| subject(name, RING));
        let graphs = [("one", &one.shape), ("two", &two.shape)];
        let (drawn, missing) = of(&graphs, &styles);
        assert_eq!((drawn.len(), missing.len()), (6, 0));
        for figure in &drawn {
            assert_eq!(figure.n, "n = one 5, two 5 objects");
            let drawing = figure.drawing.clone().into_string();
            assert!(
                drawing.contains("one: ") || drawing.contains("one</li>"),
                "{drawing}"
            );
            assert!(drawing.contains("class=\"s3\"") && drawing.contains("class=\"s4\""));
        }
    }
}
