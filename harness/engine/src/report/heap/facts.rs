//! What a graph is, in words: needs no measuring.

use graph::Shape;

use super::counted;
use crate::invocation::format_bytes;
use crate::report::quantity::grouped;

/// So many of so many, in per cent.
pub(super) fn share(part: u64, whole: u64) -> String {
    match whole {
        0 => "none".to_owned(),
        whole => format!("{:.1} %", 100.0 * part as f64 / whole as f64),
    }
}

/// What a graph is: a name and a line each.
pub(super) fn of(shape: &Shape) -> Vec<(&'static str, String)> {
    let Shape {
        objects,
        roots,
        references,
        weak,
        fields,
        payload_bytes,
        garbage,
        depth,
        half_depth,
        cyclic,
        cycles,
        largest_cycle,
        shared,
        most_referred,
        referred_p999,
        widest,
        ..
    } = shape;
    let widest: Vec<String> = (widest.iter().take(5))
        .map(|&fields| grouped(fields))
        .collect();
    vec![
        (
            "objects",
            format!(
                "{} that roots reach, {} of payload beside fields; {} that none reaches, and left out",
                grouped(*objects),
                format_bytes(*payload_bytes),
                grouped(*garbage)
            ),
        ),
        (
            "roots",
            format!("{} that roots refer to", counted(*roots, "object")),
        ),
        (
            "references",
            format!(
                "{} in {}; weak ones, which are left out: {}",
                grouped(*references),
                counted(*fields, "field"),
                grouped(*weak)
            ),
        ),
        (
            "depth",
            format!(
                "{} from the roots to the farthest object; half of the objects within {}",
                counted(*depth, "reference"),
                grouped(*half_depth)
            ),
        ),
        (
            "cycles",
            format!(
                "{} of the objects lie on one; {}, the largest of {}",
                share(*cyclic, *objects),
                counted(*cycles, "group"),
                counted(*largest_cycle, "object")
            ),
        ),
        (
            "sharing",
            format!(
                "{} have more than one reference;{} the most {}",
                share(*shared, *objects),
                // Of fewer there is no such one.
                match *objects {
                    1000.. => format!(" one in a thousand {} or more;", grouped(*referred_p999)),
                    _ => String::new(),
                },
                grouped(*most_referred)
            ),
        ),
        ("widest", format!("{} fields", widest.join("; "))),
    ]
}
