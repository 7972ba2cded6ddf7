//! `harness why`: the reason for the longest pause of each heap, and for the difference in time
//! between two.
//!
//! Everything that is said is read from rows: when a pause was and whose, of what it consisted,
//! what the heap knew of its objects then. What would shorten it is an option that acts on its
//! largest part; its effect is told where the same file has the same work with that option, and
//! otherwise how to measure it, but never guessed.

use std::fmt::Write as _;

use clap::Args;

use super::report::Wanted;
use super::{Command, Context, Examples, print};
use engine::invocation::{CollectionRecord, Metrics, Row, SpanRecord, format_bytes};
use engine::message::{Error, shown};
use engine::report::quantity::{format_ratio, format_time, grouped};
use engine::report::text::wrap;
use engine::results::{CellResults, Group, Results};
use engine::statistics::Estimate;

/// Say why the longest pause was so long, and why one heap took longer than another
#[derive(Debug, Args)]
pub(crate) struct Why {
    #[command(flatten)]
    wanted: Wanted,
}

impl Command for Why {
    const NAME: &'static str = "why";
    const EXAMPLES: Examples = &[(
        "why churn.jsonl --heap gc-rc",
        "what the longest pause was, of what it consisted, and what shortens it",
    )];

    fn run(self, context: &Context) -> Result<bool, Error> {
        let results = self.wanted.results().map_err(Error::NotRun)?;
        for note in &results.notes {
            context.tell(&format!("note: {note}"));
        }
        if results.cells.is_empty() {
            let files = self.wanted.files.iter();
            let files: Vec<String> = files.map(shown).collect();
            let rows = results.experiments.iter().map(|cell| cell.rows.len());
            return Err(Error::NotRun(format!(
                "there is nothing to explain: all {} rows are of experiments, which are judged by \
                 their claims; read them with harness report {} --format table",
                grouped(rows.sum::<usize>() as u64),
                files.join(" ")
            )));
        }
        print(&reasons(&results))
    }
}

/// For each heap its longest pause; for each work where the time went.
fn reasons(results: &Results) -> String {
    let mut text = String::new();
    let groups = results.groups();
    let mut labels: Vec<&str> = Vec::new();
    for cell in groups.iter().flat_map(|group| &group.cells) {
        if !labels.contains(&cell.heap_label()) {
            labels.push(cell.heap_label());
        }
    }
    for label in labels {
        let cells = groups.iter().flat_map(|group| &group.cells);
        let of_heap = cells.filter(|cell| cell.heap_label() == label);
        let longest = of_heap
            .filter_map(|cell| Some((*cell, Pause::longest(cell)?)))
            .max_by_key(|(_, pause)| pause.length);
        match longest {
            Some((cell, pause)) => {
                let _ = writeln!(text, "{label}: its longest pause");
                let excess = pause.excess(cell);
                let excess = excess.as_deref();
                let sentences = [
                    pause.when(cell),
                    pause.parts(),
                    pause.reason(excess),
                    pause.remedy(cell, results, excess.is_some()),
                ];
                for sentence in sentences
                    .into_iter()
                    .filter(|sentence| !sentence.is_empty())
                {
                    broken(&mut text, &sentence);
                }
            }
            None => {
                let _ = writeln!(text, "{label}: no pause is known of it");
            }
        }
        text.push('\n');
    }
    for group in &groups {
        text += &differences(group);
    }
    text
}

/// Adds a paragraph, whose lines are indented and narrow enough.
fn broken(text: &mut String, words: &str) {
    const WIDTH: usize = 98;
    let _ = writeln!(text, "{}", wrap(words, WIDTH, 2, 2));
}

/// A pause, and the row that it is in.
struct Pause<'r> {
    row: &'r Row,
    metrics: &'r Metrics,
    length: u64,
    /// The collection that it is of, if it is one's.
    collection: Option<&'r CollectionRecord>,
    /// The span of the thread that it happened to, or of the one that asked for it.
    span: Option<&'r SpanRecord>,
    /// What is beside the search of a stop that was made for one.
    around: Option<Around>,
}

/// The parts of a stop in which cycles were searched for, without the global lock.
#[derive(Clone, Copy)]
struct Around {
    /// From its beginning to the search's: until all threads stood.
    before_ns: u64,
    /// Until the thread ran again.
    after_ns: u64,
}

/// The cause of collections that a program asks for by name, which are no pauses.
const EXPLICIT: &str = "System.gc()";

impl<'r> Pause<'r> {
    fn longest(cell: &'r CellResults) -> Option<Self> {
        let rows = cell.measured_rows().filter_map(|row| {
            let metrics = row.metrics.as_ref()?;
            Some((row, metrics, metrics.pauses.pause_max_ns?))
        });
        let (row, metrics, length) = rows.max_by_key(|(_, _, length)| *length)?;
        let mut spans = metrics.spans.iter();
        let span = spans.find(|span| span.length_ns == length && is_pause(&span.kind));
        let mut collections = metrics.collections_log.iter();
        let collection = collections.find(|collection| {
            let same = match span {
                Some(span) => span.at_ns == collection.at_ns,
                None => true,
            };
            collection.pause_ns == length && collection.cause != EXPLICIT && same
        });
        if span.is_none() && collection.is_none() {
            let mut spans = metrics.spans.iter();
            let stop = spans.find(|span| span.length_ns == length && span.kind == "stopped");
            if let Some(stop) = stop {
                return Some(Self::stop_for_a_search(row, metrics, stop));
            }
        }
        // A stop is longer than the collection in it, by the time until threads stand and run.
        let within = |span: &&SpanRecord| {
            collection.is_some_and(|collection| span.at_ns == collection.at_ns)
                && span.kind == "collection"
        };
        Some(Self {
            row,
            metrics,
            length,
            collection,
            span: span.or_else(|| metrics.spans.iter().find(within)),
            around: None,
        })
    }

    /// A stop of counting without the global lock.
    fn stop_for_a_search(row: &'r Row, metrics: &'r Metrics, stop: &'r SpanRecord) -> Self {
        let end = stop.at_ns + stop.length_ns;
        let search = metrics.collections_log.iter().find(|search| {
            search.kind == "cycle"
                && search.at_ns < end
                && search.at_ns + search.pause_ns > stop.at_ns
        });
        Self {
            row,
            metrics,
            length: stop.length_ns,
            collection: search,
            span: Some(stop),
            around: search.map(|search| Around {
                before_ns: search.at_ns.saturating_sub(stop.at_ns),
                after_ns: end.saturating_sub(search.at_ns + search.pause_ns),
            }),
        }
    }

    /// The value of an option of its heap.
    fn option(&self, name: &str) -> Option<&'r str> {
        let options = &self.row.invocation.options;
        options.get(name).map(String::as_str)
    }

    /// Its largest part, by the names of [`Metrics::pause_parts`], and how long that took.
    fn largest_part(&self) -> Option<(&str, u64)> {
        if let (
            Some(Around {
                before_ns,
                after_ns,
            }),
            Some(search),
        ) = (self.around, self.collection)
        {
            let parts = [
                ("cycle-collection", search.pause_ns),
                ("time-to-safepoint", before_ns),
                ("resume", after_ns),
            ];
            return parts.into_iter().max_by_key(|(_, time)| *time);
        }
        let phases = self
            .collection
            .into_iter()
            .flat_map(|collection| &collection.phases);
        let largest = phases.max_by_key(|(_, time)| **time);
        largest
            .map(|(name, time)| (name.as_str(), *time))
            .or_else(|| Some((self.span?.kind.as_str(), self.length)))
    }

    /// How long, when, and to whom it happened.
    fn when(&self, cell: &CellResults) -> String {
        let Row { invocation, .. } = self.row;
        let mut text = format!(
            "{} in {}{}, process {}, iteration {}",
            format_time(self.length as f64),
            cell.workload_label(),
            cell.and_threads(),
            invocation.invocation,
            self.row.iteration,
        );
        let at = self.span.map(|span| span.at_ns);
        let at = at.or(self.collection.map(|collection| collection.at_ns));
        if let Some(at) = at {
            let _ = write!(text, ", {} after it began", format_time(at as f64));
        }
        match (self.collection, self.span) {
            (Some(collection), Some(span)) if !collection.phases.is_empty() => {
                let _ = write!(text, ": mutator {} stopped the world", span.mutator);
            }
            (_, Some(span)) => {
                let _ = write!(text, ": mutator {}", span.mutator);
            }
            _ => {}
        }
        text.push('.');
        text
    }

    /// Of what it consisted.
    fn parts(&self) -> String {
        if let Some(collection) = self.collection {
            return match collection.kind.as_str() {
                "cycle" => self.search_in_words(collection),
                kind => self.stop_in_words(kind, collection),
            };
        }
        match self.span.map(|span| span.kind.as_str()) {
            Some("drain") => {
                "It was a cascade of decrements: what the last reference to went, and \
                              all that only that kept alive, died in one operation."
                    .to_owned()
            }
            Some("lock-wait") => match self.option("regime") {
                Some("object-lock") => {
                    "It was a wait for the lock of an object, which another thread had.".to_owned()
                }
                _ => "It was a wait for the global lock, which another thread had.".to_owned(),
            },
            Some("stopped") => {
                "It was a stop of the world, in which no search for cycles is known.".to_owned()
            }
            Some("stall") => "It was a search for free memory: blocks were swept until one had \
                              room."
                .to_owned(),
            Some("cycle-collection") => "It was a search for cycles.".to_owned(),
            Some(kind) => format!("It was a {kind}."),
            None => "The row does not say of what it consisted.".to_owned(),
        }
    }

    fn search_in_words(&self, search: &CollectionRecord) -> String {
        let which = match search.generation {
            Some(generation) if self.option("cycle") != Some("bacon-rajan") => {
                format!("in generation {generation} and those younger")
            }
            _ => "from possible roots".to_owned(),
        };
        let Some(Around {
            before_ns,
            after_ns,
        }) = self.around
        else {
            return format!(
                "It was a search for cycles {which}, {} of work in one piece.",
                format_time(self.length as f64)
            );
        };
        let parts = [
            (before_ns, "until all threads stood"),
            (search.pause_ns, "the search"),
            (after_ns, "until the thread ran again"),
        ];
        let parts = (parts.into_iter())
            .filter(|(time, _)| 1000 * time >= self.length)
            .map(|(time, words)| format!("{} {words}", format_time(time as f64)));
        format!(
            "It was a stop of the world for a search for cycles {which}: {}.",
            parts.collect::<Vec<_>>().join(", ")
        )
    }

    fn stop_in_words(&self, kind: &str, collection: &CollectionRecord) -> String {
        let parts = [
            ("time-to-safepoint", "until all threads stood"),
            ("roots", "roots"),
            ("mark", "marking"),
            ("stop", "the collector's work"),
            ("finish", "finishing"),
            ("resume", "until the last thread ran again"),
        ];
        let parts: Vec<String> = (parts.into_iter())
            .filter_map(|(name, words)| {
                let time = *collection.phases.get(name)?;
                (1000 * time >= self.length)
                    .then(|| format!("{} {words}", format_time(time as f64)))
            })
            .collect();
        let mut text = format!("It was a {kind} collection");
        if !parts.is_empty() {
            let _ = write!(text, ": {}", parts.join(", "));
        }
        if let Some(last) = self.last_to_arrive() {
            let _ = write!(
                text,
                "; mutator {} kept the others waiting longest, for {}",
                last.mutator,
                format_time(last.length_ns as f64)
            );
        }
        text.push('.');
        text
    }

    /// The thread that a stop waited longest for.
    fn last_to_arrive(&self) -> Option<&'r SpanRecord> {
        let at = self.collection?.at_ns;
        let arrivals = self.metrics.spans.iter();
        arrivals
            .filter(|span| span.kind == "arrived" && span.at_ns == at)
            .max_by_key(|span| span.length_ns)
    }

    /// What other collections of its kind and about its size cost in the same cell, if this one
    /// cost several times as much for what it did: then its work is not what made it long.
    fn excess(&self, cell: &CellResults) -> Option<String> {
        let collection = self.collection?;
        let (part, _) = self.largest_part()?;
        let own = Cost::of(collection, part)?;
        let rows = cell.measured_rows().filter_map(|row| row.metrics.as_ref());
        let mut peers: Vec<Cost> = rows
            .flat_map(|metrics| &metrics.collections_log)
            .filter(|other| {
                other.kind == collection.kind
                    && other.generation == collection.generation
                    && other.cause != EXPLICIT
                    && !std::ptr::eq(*other, collection)
            })
            .filter_map(|other| Cost::of(other, part))
            .filter(|other| other.size >= own.size / 2.0 && other.size <= own.size * 2.0)
            .collect();
        if peers.len() < FEWEST_PEERS {
            return None;
        }
        peers.sort_unstable_by(|a, b| a.each().total_cmp(&b.each()));
        // Of an even number the dearer one, which makes less of the difference.
        let usual = &peers[peers.len() / 2];
        if own.each() < EXCESS * usual.each() {
            return None;
        }
        let what = match part {
            "mark" => "marking",
            "roots" => "roots",
            "finish" => "finishing",
            _ => "a search",
        };
        let mut text = format!(
            "Its work does not explain that: in {} other collections of this kind and about this \
             size here, {what} took {} for as much (median), and {} in this one.",
            grouped(peers.len() as u64),
            format_time(usual.each() * own.size),
            format_time(own.time)
        );
        let mut signs = self.row.noisy.clone();
        match self.metrics.involuntary_switches {
            Some(1) => signs.push("1 involuntary switch of its process".to_owned()),
            Some(more @ 2..) => {
                signs.push(format!(
                    "{} involuntary switches of its process",
                    grouped(more)
                ));
            }
            _ => {}
        }
        text += &match signs.is_empty() {
            true => " The row has no sign of why: perhaps the thread was off its processor, or \
                     met memory for the first time."
                .to_owned(),
            false => format!(
                " Most of it the thread was probably off its processor; the row has: {}.",
                signs.join(", ")
            ),
        };
        Some(text)
    }

    /// What made it so long.
    fn reason(&self, excess: Option<&str>) -> String {
        if let Some(excess) = excess {
            return excess.to_owned();
        }
        let per = |time: u64, count: u64| format_time(time as f64 / count.max(1) as f64);
        match (self.collection, self.largest_part()) {
            (_, Some(("time-to-safepoint", _))) => {
                "The collector was quick: the time is that of a \
                thread that did not come to a safepoint, in a long operation or off its processor."
                    .to_owned()
            }
            (_, Some(("resume", time))) => format!(
                "The work was done before: for {} the threads that were let go waited for a \
                 processor, of which there were fewer than threads, or which something else had.",
                format_time(time as f64)
            ),
            (_, Some(("finish", time))) => format!(
                "It was mostly what ends a collection, {}: weak references, finalizers, and the \
                 accounts of the blocks, which take as long as there are such.",
                format_time(time as f64)
            ),
            (Some(collection), Some(("mark", time))) => match collection.after_bytes {
                Some(live) => format!(
                    "Marking takes as long as what lives: {} were alive, {} a KiB.",
                    format_bytes(live),
                    format_time(time as f64 / (live as f64 / 1024.0).max(1.0))
                ),
                None => String::new(),
            },
            (_, Some(("roots", time))) => format!(
                "It was mostly roots, {}: as long as the threads' frames and the globals have \
                 references; how many they were the row does not tell.",
                format_time(time as f64)
            ),
            (Some(collection), _) if collection.kind == "cycle" => {
                let examined = collection.examined_objects.unwrap_or(0);
                let found = collection.unreachable_objects.unwrap_or(0);
                format!(
                    "A search takes as long as what it examines: {} objects, {} each, of which {} \
                     were garbage.",
                    grouped(examined),
                    per(collection.pause_ns, examined),
                    grouped(found)
                )
            }
            (_, Some(("drain", _))) => {
                "A cascade takes as long as the structure that dies, however \
                many other threads there are."
                    .to_owned()
            }
            (_, Some(("lock-wait", _))) if self.option("regime") == Some("object-lock") => {
                "An object's lock is held for one exchange of a field: who waits so long waits \
                 for a thread that was off its processor meanwhile, or for many before it."
                    .to_owned()
            }
            (_, Some(("lock-wait", _))) => {
                let mut spans = self.metrics.spans.iter();
                let begun = self.span.map_or(0, |span| span.at_ns);
                let meanwhile = spans.find(|span| {
                    span.kind != "lock-wait"
                        && span.at_ns >= begun
                        && span.at_ns < begun + self.length
                        && 2 * span.length_ns > self.length
                });
                match meanwhile {
                    Some(span) => format!(
                        "Most of it mutator {} had the lock for a {} of {}.",
                        span.mutator,
                        span.kind,
                        format_time(span.length_ns as f64)
                    ),
                    None => "Whoever has the lock keeps it until a thread that waits has waited \
                             for a switch interval and asks for it."
                        .to_owned(),
                }
            }
            _ => String::new(),
        }
    }

    /// What acts on its largest part, and what that did in the same file, if it was tried.
    fn remedy(&self, cell: &CellResults, results: &Results, is_excess: bool) -> String {
        let heap = cell.invocation().heap.as_str();
        let Some((part, _)) = self.largest_part() else {
            return String::new();
        };
        if is_excess {
            return "No option acts on that; measure again on a machine that does nothing else."
                .to_owned();
        }
        if !matches!(self.option("regime"), None | Some("gil")) {
            return "No option acts on that without the global lock.".to_owned();
        }
        let options = &cell.invocation().options;
        let found = REMEDIES.iter().find(|remedy| {
            let value = options.get(remedy.option).map(String::as_str);
            remedy.heap == heap && remedy.part == part && value != Some(remedy.value)
        });
        let Some(Remedy {
            option,
            value,
            what,
            ..
        }) = found
        else {
            return match part {
                "roots" => "No option acts on roots.".to_owned(),
                "resume" => "Fewer threads than processors do not wait for each other; no option \
                             acts on that."
                    .to_owned(),
                _ => String::new(),
            };
        };
        let mut wanted = options.clone();
        wanted.insert((*option).to_owned(), (*value).to_owned());
        let with = |other: &&CellResults| {
            other.invocation().heap == heap && other.invocation().options == wanted
        };
        let groups = results.groups();
        let mut groups = groups.iter();
        let group = groups.find(|group| group.cells.iter().any(|other| std::ptr::eq(*other, cell)));
        let others = group.map_or(&[][..], |group| &group.cells);
        match others
            .iter()
            .copied()
            .find(with)
            .and_then(|other| Some((other, Pause::longest(other)?)))
        {
            Some((other, pause)) => {
                let ratio = group.and_then(|group| time_of(group, other, cell));
                let cost = ratio.map_or(String::new(), |ratio| {
                    format!(", and the time {} of this one's", format_ratio(ratio))
                });
                format!(
                    "{option}={value} {what}: with it the longest here was {}{cost} ({}).",
                    format_time(pause.length as f64),
                    other.heap_label()
                )
            }
            None => {
                let label = cell.heap_label();
                let joint = if label.contains(':') { ',' } else { ':' };
                let threads = match cell.threads() {
                    1 => String::new(),
                    several => format!(" --threads {several}"),
                };
                format!(
                    "{option}={value} {what}; what it does here: harness run {}{threads} --heap \
                     {label} --heap {label}{joint}{option}={value}",
                    cell.workload_label()
                )
            }
        }
    }
}

/// The time of one cell of a group over another's, where one of them is what all are compared with.
fn time_of(group: &Group<'_>, one: &CellResults, other: &CellResults) -> Option<Estimate> {
    if std::ptr::eq(other, group.baseline()) {
        group.ratio(one)
    } else if std::ptr::eq(one, group.baseline()) {
        Some(group.ratio(other)?.inverse())
    } else {
        None
    }
}

/// A collection that costs this many times what others of its size do is not explained by its work.
const EXCESS: f64 = 4.0;

/// From so many others on it is known what is usual.
const FEWEST_PEERS: usize = 5;

/// What a part of a collection took, and how much it was of that by which its length goes.
struct Cost {
    time: f64,
    /// Objects or bytes; 1 where the length goes by what no row tells.
    size: f64,
}

impl Cost {
    fn of(collection: &CollectionRecord, part: &str) -> Option<Self> {
        let phase = || Some(*collection.phases.get(part)? as f64);
        let (time, size) = match part {
            "cycle-collection" => (
                collection.pause_ns as f64,
                collection.examined_objects? as f64,
            ),
            "mark" => (phase()?, collection.after_bytes? as f64),
            "roots" | "finish" => (phase()?, 1.0),
            _ => return None,
        };
        (size > 0.0).then_some(Self { time, size })
    }

    fn each(&self) -> f64 {
        self.time / self.size
    }
}

/// Whether a span of this kind is a pause of the thread, and no part of another's.
fn is_pause(kind: &str) -> bool {
    !matches!(kind, "arrived" | "explicit" | "stopped" | "stop")
}

/// An option that acts on a part of pauses.
struct Remedy {
    heap: &'static str,
    part: &'static str,
    option: &'static str,
    value: &'static str,
    what: &'static str,
}

const fn remedy(
    heap: &'static str,
    part: &'static str,
    [option, value]: [&'static str; 2],
    what: &'static str,
) -> Remedy {
    Remedy {
        heap,
        part,
        option,
        value,
        what,
    }
}

const REMEDIES: &[Remedy] = &[
    remedy(
        "gc-marksweep",
        "mark",
        ["generations", "on"],
        "marks what is new only, as long as that suffices",
    ),
    remedy(
        "gc-rc",
        "drain",
        ["free", "lazy"],
        "frees as much at a time as is allocated",
    ),
    remedy(
        "gc-rc",
        "cycle-collection",
        ["cycle", "bacon-rajan"],
        "looks at what lost a reference only",
    ),
    remedy(
        "gc-rc",
        "lock-wait",
        ["gil", "fair"],
        "gives the lock to whoever has waited longest",
    ),
];

/// Where the time of a heap went that took longer than another. What has no limit is no rival.
fn differences(group: &Group<'_>) -> String {
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
            broken(
                &mut text,
                "One process each: there is no interval, and no difference is shown.",
            );
        } else if low <= 1.0 && high >= 1.0 {
            broken(
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
    broken(text, &sentence);
    let difference = slow.wall - fast.wall;
    if difference <= 0.0 {
        broken(
            text,
            "By these means it took no longer: one iteration or few weigh more in them than in \
             the ratio, and where the time went they do not tell.",
        );
        return;
    }
    if slow.has_helpers() || fast.has_helpers() {
        broken(
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
    broken(
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
    use super::*;
    use engine::fixture::processes;
    use engine::invocation::Pauses;

    /// One process of `list`, whose one pause is of this length.
    fn row(heap: &str, length: u64) -> Row {
        let mut rows = processes(heap, &[100]);
        let mut row = rows.pop().expect("the timed iteration");
        let metrics = row.metrics.as_mut().unwrap();
        metrics.pauses = Pauses {
            pause_count: 1,
            pause_max_ns: Some(length),
            stopped_ns: length,
            ..Pauses::default()
        };
        row
    }

    fn span(mutator: u32, at_ns: u64, length_ns: u64, kind: &str) -> SpanRecord {
        SpanRecord {
            mutator,
            at_ns,
            length_ns,
            kind: kind.to_owned(),
        }
    }

    fn of(row: Row) -> String {
        let text = reasons(&Results::of_rows(vec![row]));
        assert!(
            text.lines().all(|line| line.chars().count() <= 100),
            "{text}"
        );
        // As it would be without line breaks.
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_stop_is_told_by_its_parts() {
        let mut stop = row("gc-marksweep", 5_000_000);
        let metrics = stop.metrics.as_mut().unwrap();
        let phases = [
            ("time-to-safepoint", 1_000_000),
            ("roots", 500),
            ("mark", 3_900_000),
        ];
        metrics.collections_log = vec![
            CollectionRecord {
                at_ns: 10,
                pause_ns: 5_000_000,
                kind: "full".to_owned(),
                cause: EXPLICIT.to_owned(),
                ..CollectionRecord::default()
            },
            CollectionRecord {
                at_ns: 7_000,
                pause_ns: 5_000_000,
                kind: "full".to_owned(),
                cause: "Allocation Failure".to_owned(),
                after_bytes: Some(1 << 20),
                phases: phases.map(|(name, time)| (name.to_owned(), time)).into(),
                ..CollectionRecord::default()
            },
        ];
        metrics.spans = vec![
            span(3, 7_000, 4_900_000, "collection"),
            span(4, 7_000, 2_000, "arrived"),
            span(5, 7_000, 1_000_000, "arrived"),
        ];
        let text = of(stop);
        for words in [
            "5.00 ms in list",
            "7.00 us after it began: mutator 3 stopped the world",
            "It was a full collection: 1.00 ms until all threads stood, 3.90 ms marking; mutator 5 \
             kept the others waiting longest, for 1.00 ms.",
            "1 MiB were alive, 3.81 us a KiB",
            "harness run list",
            "gc-marksweep:generations=on",
        ] {
            assert!(text.contains(words), "{words}: {text}");
        }
    }

    #[test]
    fn a_search_for_cycles_is_told_by_what_it_examined() {
        let mut search = row("gc-rc", 2_000_000);
        let metrics = search.metrics.as_mut().unwrap();
        metrics.collections_log = vec![CollectionRecord {
            at_ns: 9,
            pause_ns: 2_000_000,
            kind: "cycle".to_owned(),
            generation: Some(2),
            examined_objects: Some(20_000),
            unreachable_objects: Some(1),
            ..CollectionRecord::default()
        }];
        metrics.spans = vec![span(1, 9, 2_000_000, "cycle-collection")];
        let text = of(search);
        for words in [
            "in generation 2 and those younger",
            "20,000 objects, 100 ns each, of which 1 were garbage",
            "cycle=bacon-rajan",
        ] {
            assert!(text.contains(words), "{words}: {text}");
        }
    }

    #[test]
    fn a_stop_without_the_global_lock_is_told_by_its_search_and_what_is_round_it() {
        let stop = |at_ns, search_ns| {
            let mut row = row("gc-rc", 178_000);
            let options = &mut row.invocation.options;
            options.insert("regime".to_owned(), "atomic".to_owned());
            let metrics = row.metrics.as_mut().unwrap();
            metrics.collections_log = vec![CollectionRecord {
                at_ns,
                pause_ns: search_ns,
                kind: "cycle".to_owned(),
                generation: Some(0),
                examined_objects: Some(2_000),
                unreachable_objects: Some(7),
                ..CollectionRecord::default()
            }];
            metrics.spans = vec![
                span(3, 140_000, 178_000, "stopped"),
                span(3, at_ns, search_ns, "cycle-collection"),
            ];
            of(row)
        };
        let text = stop(144_000, 172_000);
        for words in [
            "140 us after it began: mutator 3.",
            "a stop of the world for a search for cycles in generation 0 and those younger: 4.00 \
             us until all threads stood, 172 us the search, 2.00 us until the thread ran again.",
            "2,000 objects, 86.0 ns each, of which 7 were garbage",
            "No option acts on that without the global lock.",
        ] {
            assert!(text.contains(words), "{words}: {text}");
        }
        let text = stop(310_000, 7_000);
        assert!(text.contains("did not come to a safepoint"), "{text}");
        let text = stop(141_000, 7_000);
        assert!(
            text.contains("for 170 us the threads that were let go waited"),
            "{text}"
        );
    }

    #[test]
    fn a_wait_for_an_object_s_lock_is_not_put_down_to_the_global_one() {
        let mut wait = row("gc-rc", 5_350_000);
        let options = &mut wait.invocation.options;
        options.insert("regime".to_owned(), "object-lock".to_owned());
        wait.metrics.as_mut().unwrap().spans = vec![span(4, 1_000, 5_350_000, "lock-wait")];
        let text = of(wait);
        assert!(text.contains("a wait for the lock of an object"), "{text}");
        for words in [
            "It was a wait for the global lock",
            "switch interval",
            "gil=fair",
        ] {
            assert!(!text.contains(words), "{words}: {text}");
        }
    }

    #[test]
    fn what_is_neither_marking_nor_roots_has_a_reason_too() {
        let with = |phases: [(&str, u64); 2]| {
            let mut stop = row("gc-marksweep", 2_400_000);
            stop.metrics.as_mut().unwrap().collections_log = vec![CollectionRecord {
                at_ns: 1,
                pause_ns: 2_400_000,
                kind: "full".to_owned(),
                after_bytes: Some(394_656),
                phases: phases.map(|(name, time)| (name.to_owned(), time)).into(),
                ..CollectionRecord::default()
            }];
            of(stop)
        };
        let text = with([("mark", 228_000), ("resume", 2_120_000)]);
        assert!(
            text.contains("for 2.12 ms the threads that were let go"),
            "{text}"
        );
        let text = with([("mark", 228_000), ("finish", 2_120_000)]);
        assert!(text.contains("what ends a collection, 2.12 ms"), "{text}");
    }

    /// Bacon and Rajan know no generations, whatever number the event has.
    #[test]
    fn possible_roots_are_not_called_a_generation() {
        let mut row = searches(&[19_000]);
        let options = &mut row.invocation.options;
        options.insert("cycle".to_owned(), "bacon-rajan".to_owned());
        row.metrics.as_mut().unwrap().collections_log[0].generation = Some(0);
        let text = of(row);
        assert!(
            text.contains("a search for cycles from possible roots"),
            "{text}"
        );
        assert!(!text.contains("generation 0"), "{text}");
    }

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
        let text = reasons(&Results::of_rows(both.concat()));
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(text.contains("More threads took part"), "{text}");
        assert!(!text.contains("each thread had"), "{text}");
    }

    #[test]
    fn a_wait_for_the_lock_names_who_had_it() {
        let mut wait = row("gc-rc", 10_000);
        wait.invocation.threads = 2;
        wait.metrics.as_mut().unwrap().spans = vec![
            span(2, 1_000, 10_000, "lock-wait"),
            span(1, 1_500, 9_000, "drain"),
        ];
        let text = of(wait);
        assert!(text.contains("a wait for the global lock"), "{text}");
        assert!(
            text.contains("mutator 1 had the lock for a drain of 9.00 us"),
            "{text}"
        );
        let command = "harness run list:nodes=77 --threads 2 --heap gc-rc --heap gc-rc:gil=fair";
        assert!(text.contains(command), "{text}");
    }

    #[test]
    fn an_option_that_was_tried_is_told_with_its_effect() {
        let one = row("gc-rc", 10_000);
        let mut two = row("gc-rc", 4_000);
        let drain = |row: &Row, length| {
            let mut row = row.clone();
            row.metrics.as_mut().unwrap().spans = vec![span(1, 5, length, "drain")];
            row
        };
        two.invocation
            .options
            .insert("free".to_owned(), "lazy".to_owned());
        let text = reasons(&Results::of_rows(vec![
            drain(&one, 10_000),
            drain(&two, 4_000),
        ]));
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(
            text.contains(
                "with it the longest here was 4.00 us, and the time 1.00 of this one's \
                 (gc-rc:free=lazy)"
            ),
            "{text}"
        );
    }

    /// Searches of the same size, of which the last is the pause.
    fn searches(lengths: &[u64]) -> Row {
        let mut row = row("gc-rc", *lengths.last().unwrap());
        let metrics = row.metrics.as_mut().unwrap();
        for (at_ns, &length) in (1..).zip(lengths) {
            metrics.collections_log.push(CollectionRecord {
                at_ns,
                pause_ns: length,
                kind: "cycle".to_owned(),
                examined_objects: Some(2_000),
                unreachable_objects: Some(10),
                ..CollectionRecord::default()
            });
            metrics
                .spans
                .push(span(1, at_ns, length, "cycle-collection"));
        }
        row
    }

    #[test]
    fn a_pause_that_its_work_does_not_explain_is_not_put_down_to_it() {
        let mut row = searches(&[19_000, 18_000, 19_000, 20_000, 19_000, 12_600_000]);
        let text = of(row.clone());
        for words in [
            "Its work does not explain that: in 5 other collections",
            "took 19.0 us for as much (median), and 12.6 ms in this one",
            "The row has no sign of why",
            "No option acts on that",
        ] {
            assert!(text.contains(words), "{words}: {text}");
        }
        assert!(!text.contains("bacon-rajan"), "{text}");

        row.noisy = vec!["a thread that had slept was woken 13 ms late".to_owned()];
        row.metrics.as_mut().unwrap().involuntary_switches = Some(1);
        let text = of(row);
        assert!(
            text.contains(
                "probably off its processor; the row has: a thread that had slept was woken 13 ms \
                 late, 1 involuntary switch"
            ),
            "{text}"
        );

        // Three times as long is what cold memory does; and of few others nothing is known.
        for lengths in [
            &[19_000, 18_000, 19_000, 20_000, 19_000, 57_000][..],
            &[19_000, 12_600_000],
        ] {
            let text = of(searches(lengths));
            assert!(text.contains("as long as what it examines"), "{text}");
        }
    }

    #[test]
    fn a_pause_that_is_mostly_roots_has_a_reason() {
        let mut stop = row("gc-marksweep", 306_000);
        stop.metrics.as_mut().unwrap().collections_log = vec![CollectionRecord {
            at_ns: 1,
            pause_ns: 306_000,
            kind: "full".to_owned(),
            after_bytes: Some(160_616),
            phases: [("roots", 231_000), ("mark", 50_000)]
                .map(|(name, time)| (name.to_owned(), time))
                .into(),
            ..CollectionRecord::default()
        }];
        let text = of(stop);
        for words in ["It was mostly roots, 231 us", "No option acts on roots."] {
            assert!(text.contains(words), "{words}: {text}");
        }
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
        let text = reasons(&Results::of_rows(both.concat()));
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
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
        let text = reasons(&Results::of_rows(rows.concat()));
        assert!(
            text.contains("One process each: there is no interval"),
            "{text}"
        );
        assert!(!text.contains("took"), "{text}");
    }
}
