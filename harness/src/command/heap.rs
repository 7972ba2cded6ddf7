//! `harness heap`: from a dump of somebody's own heap to what it would cost on each collector.
//!
//! What the graph is comes first, since it needs no measuring; then the workload `heap` is run with
//! it on the heaps, in as many cold processes as fit into the time. All that is said after that is
//! a function of the rows, which are kept.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;

use super::import::{self, counted};
use super::{Command, Context, Examples, print};
use engine::invocation::{Metrics, format_bytes};
use engine::message::Error;
use engine::plan::{self, Plan, Selection, Twins};
use engine::report::quantity::{format_ratio, format_time, grouped};
use engine::results::{CellResults, Group, Results};
use engine::run::Session;
use engine::statistics::{means, median, range};
use engine::workload::Size;
use graph::{Graph, GraphError, Shape};

/// Measure what a heap of your own costs on each collector, from a dump or its graph
#[derive(Debug, Args)]
pub(crate) struct Heap {
    /// Heap dumps, or graphs that 'harness import' made of them; several are put beside each other
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// A heap, NAME[:option=value,...]; may be repeated, or several separated by commas
    #[arg(
        long = "heap",
        value_name = "HEAP",
        default_values = ["gc-rc", "gc-marksweep"]
    )]
    heaps: Vec<String>,
    /// In which order objects are made
    #[arg(long, value_name = "ORDER", default_value = "address")]
    order: String,
    /// Per cent of the objects that are replaced by copies; made up, as a dump has no lifetimes
    #[arg(long, value_name = "PERCENT", default_value = "0")]
    replace: String,
    /// As many processes as fit into this time are run for each graph, at least two on each heap
    #[arg(
        long,
        value_name = "TIME",
        default_value = "20s",
        value_parser = crate::arguments::time
    )]
    budget: Duration,
}

/// Processes for each heap, at most.
const MOST: u32 = 12;

impl Command for Heap {
    const NAME: &'static str = "heap";
    const EXAMPLES: Examples = &[(
        "heap app.hprof",
        "a dump of your own program, on both collectors",
    )];

    fn run(self, context: &Context) -> Result<bool, Error> {
        let mut graphs = Vec::new();
        let mut whole = true;
        for file in &self.files {
            let (path, shape, undamaged) = graph_of(file, context)?;
            print(&in_words(file, &shape))?;
            if graphs.contains(&path) {
                return Err(Error::NotRun(format!(
                    "two of the files have {} for their graph; import one with 'harness import -o'",
                    path.display()
                )));
            }
            graphs.push(path);
            whole &= undamaged;
        }
        let workloads = graphs.iter().map(|path| {
            let path = path.to_str().ok_or_else(|| {
                Error::NotRun(format!("{}: the path must be UTF-8", path.display()))
            })?;
            if path.contains([',', ':']) {
                return Err(Error::NotRun(format!(
                    "{path}: a path with a comma or a colon cannot be given to a workload; rename \
                     the file"
                )));
            }
            let Self { order, replace, .. } = &self;
            Ok(format!("heap:file={path},order={order},replace={replace}"))
        });
        let workloads = workloads.collect::<Result<_, _>>()?;
        let selection = Selection::new(workloads, self.heaps.clone(), Size::Small);
        let (cells, notes) = plan::cells(&context.workloads, &selection).map_err(Error::NotRun)?;
        let plan = Plan {
            invocations: MOST,
            iterations: 0,
            budget: Some(self.budget * graphs.len() as u32),
            words: Some(costs),
            ..context
                .reporting
                .plan(plan::with_twins(cells, Twins::None), notes, Size::Small)
        };
        let mut session = Session::begin(&plan)?;
        session.measure(&plan)?;
        Ok(session.end(&plan, Vec::new())? && whole)
    }
}

/// The graph of a file, which is imported first if it is a dump, and whether that is undamaged.
fn graph_of(file: &Path, context: &Context) -> Result<(PathBuf, Shape, bool), Error> {
    let not_run = |path: &Path, why: &dyn ToString| {
        Error::NotRun(format!("{}: {}", path.display(), why.to_string()))
    };
    match Graph::open(file) {
        Ok(graph) => return Ok((file.to_owned(), Shape::of(&graph), true)),
        Err(GraphError::NotAGraph) => {}
        Err(error) => return Err(not_run(file, &error)),
    }
    let path = file.with_extension("graph");
    let undamaged = import::make(&[file.to_owned()], None, &path, context)?;
    let graph = Graph::open(&path).map_err(|error| not_run(&path, &error))?;
    Ok((path, Shape::of(&graph), undamaged))
}

/// So many of so many, in per cent.
fn share(part: u64, whole: u64) -> String {
    match whole {
        0 => "none".to_owned(),
        whole => format!("{:.1} %", 100.0 * part as f64 / whole as f64),
    }
}

/// What a graph is.
fn in_words(file: &Path, shape: &Shape) -> String {
    let Shape {
        objects,
        references,
        weak,
        fields,
        payload_bytes,
        garbage,
        depth,
        cyclic,
        cycles,
        largest_cycle,
        shared,
        most_referred,
        referred_p999,
        widest,
        ..
    } = shape;
    let mut text = format!("\n{}\n", file.display());
    let mut line = |name: &str, words: String| _ = writeln!(text, "  {name:<12}{words}");
    line(
        "objects",
        format!(
            "{} that roots reach, {} of payload; {} more are garbage, and left out",
            grouped(*objects),
            format_bytes(*payload_bytes),
            grouped(*garbage)
        ),
    );
    line(
        "references",
        format!(
            "{} in {}; {} weak ones",
            grouped(*references),
            counted(*fields, "field"),
            grouped(*weak)
        ),
    );
    line(
        "depth",
        format!(
            "{} from the roots to the farthest object",
            counted(*depth, "reference")
        ),
    );
    line(
        "cycles",
        format!(
            "{} of the objects lie on one; {}, the largest of {}",
            share(*cyclic, *objects),
            counted(*cycles, "group"),
            counted(*largest_cycle, "object")
        ),
    );
    line(
        "sharing",
        format!(
            "{} have more than one reference; one in a thousand more than {}; the most {}",
            share(*shared, *objects),
            grouped(*referred_p999),
            grouped(*most_referred)
        ),
    );
    let widest: Vec<String> = widest.iter().map(|&fields| grouped(fields)).collect();
    line("widest", format!("{} fields", widest.join("; ")));
    text
}

/// What is measured of each heap: what it is called, in what it is counted, and where it stands.
struct Quantity {
    name: &'static str,
    value: fn(&Metrics) -> Option<f64>,
    bytes: bool,
    each: bool,
}

fn seen(metrics: &Metrics, name: &str) -> Option<f64> {
    metrics.observations.get(name).map(|&value| value as f64)
}

/// The longest time for which the program stood still: explicit collections are no pauses of the
/// row's, but they stop it as any other does.
fn longest_stop(metrics: &Metrics) -> Option<f64> {
    const ASKED_FOR: [&str; 3] = ["first_collection_ns", "drop_ns", "last_collection_ns"];
    let stops = ASKED_FOR.into_iter().filter_map(|name| seen(metrics, name));
    let pause = metrics.pauses.pause_max_ns.map(|time| time as f64);
    stops.chain(pause).reduce(f64::max)
}

const QUANTITIES: [Quantity; 7] = [
    Quantity {
        name: "memory",
        value: |metrics| seen(metrics, "heap_bytes"),
        bytes: true,
        each: true,
    },
    Quantity {
        name: "build",
        value: |metrics| seen(metrics, "build_ns"),
        bytes: false,
        each: true,
    },
    Quantity {
        name: "first collection",
        value: |metrics| seen(metrics, "first_collection_ns"),
        bytes: false,
        each: true,
    },
    Quantity {
        name: "collection",
        value: |metrics| seen(metrics, "collection_ns"),
        bytes: false,
        each: true,
    },
    Quantity {
        name: "replacing",
        value: |metrics| seen(metrics, "replace_ns"),
        bytes: false,
        each: false,
    },
    Quantity {
        name: "death of all",
        value: |metrics| Some(seen(metrics, "drop_ns")? + seen(metrics, "last_collection_ns")?),
        bytes: false,
        each: true,
    },
    Quantity {
        name: "longest stop",
        value: longest_stop,
        bytes: false,
        each: false,
    },
];

/// What the graphs cost, from the rows.
fn costs(results: &Results) -> String {
    let mut text = String::new();
    for group in results.groups() {
        text += &costs_of(&group, results);
        text += &reasons(&group);
    }
    text += "\nMedians over cold processes, in parentheses the least and the most. Ratios: of the \
             rounds in which\nboth ran, with a 95 % interval. A collection finds nothing to free: mark-sweep \
             marks all that lives in it;\ncounting examines what stores may have made part of a \
             cycle, which after the first may be little.\n";
    text
}

fn costs_of(group: &Group<'_>, results: &Results) -> String {
    let baseline = group.baseline();
    let mut text = format!("\n{}\n", baseline.workload_label());
    for cell in &group.cells {
        let processes = cell.times().len();
        let objects = cell.samples(|metrics| seen(metrics, "objects"));
        let objects = median(&means(&objects)).unwrap_or(0.0);
        let _ = writeln!(text, "  {} (n = {processes} processes)", cell.heap_label());
        if let Some(row) = cell.failure() {
            let why = row.message.as_deref().unwrap_or("no figures");
            let _ = writeln!(text, "    {}: {why}", row.status);
        }
        for quantity in &QUANTITIES {
            if let Some(words) = words_of(quantity, cell, objects) {
                let centre = group.centre(cell, quantity.value);
                let ratio = centre.map(|centre| {
                    let ratio = results.inference(quantity.value).ratio(&centre);
                    let ratio = match ratio.value {
                        value if value < 0.005 => "less than 0.01".to_owned(),
                        _ => format_ratio(ratio),
                    };
                    format!("{ratio} of {}", baseline.heap_label())
                });
                let ratio = ratio.unwrap_or_default();
                let line = format!("    {:<18}{words:<48}  {ratio}", quantity.name);
                let _ = writeln!(text, "{}", line.trim_end());
            }
        }
    }
    text
}

/// The median of a quantity of a heap.
fn middle(cell: &CellResults, value: fn(&Metrics) -> Option<f64>) -> Option<f64> {
    median(&means(&cell.samples(value)))
}

/// Why the heaps differ: what follows from how they work, with the figures of this graph.
fn reasons(group: &Group<'_>) -> String {
    let mut text = String::new();
    for cell in &group.cells {
        if let Some(words) = reason(cell) {
            let _ = writeln!(text, "  {}: {words}", cell.heap_label());
        }
    }
    text
}

fn reason(cell: &CellResults) -> Option<String> {
    let objects = middle(cell, |metrics| seen(metrics, "objects"))?;
    let drop = middle(cell, |metrics| seen(metrics, "drop_ns"))?;
    let last = middle(cell, |metrics| seen(metrics, "last_collection_ns"))?;
    let payload = middle(cell, |metrics| seen(metrics, "payload_bytes"))? / objects;
    let bytes = middle(cell, |metrics| seen(metrics, "heap_bytes"))? / objects;
    let overhead = format!(
        "{:.0} of {bytes:.0} bytes an object are header, rounding and tables",
        (bytes - payload).max(0.0)
    );
    // What dies at once dies in the drop; the rest is found by the collection after it.
    Some(match cell.invocation().heap.as_str() {
        "gc-rc" => format!(
            "{overhead};\n    of the {} that the death of all takes, {} are what counting frees at \
             once, in one stop; the\n    rest is the collection after it, which looks for what cycles keep",
            format_time(drop + last),
            format_time(drop)
        ),
        "gc-marksweep" => format!(
            "{overhead};\n    nothing is done for what dies: the collection that finds all dead \
             marks nothing, and memory\n    is swept when it is used again"
        ),
        _ => return None,
    })
}

fn words_of(quantity: &Quantity, cell: &CellResults, objects: f64) -> Option<String> {
    let values = means(&cell.samples(quantity.value));
    let middle = median(&values)?;
    let (least, most) = range(values.iter().copied())?;
    let written = |value: f64| match quantity.bytes {
        true => format_bytes(value as u64),
        false => format_time(value),
    };
    let mut text = format!("{} ({}-{})", written(middle), written(least), written(most));
    if quantity.each && objects > 0.0 {
        let unit = if quantity.bytes { "bytes" } else { "ns" };
        let _ = write!(text, ", {:.1} {unit} an object", middle / objects);
    }
    Some(text)
}
