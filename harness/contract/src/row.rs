//! The rows of results: one line of JSON for each iteration, which every report is made of.
//!
//! The parent describes an [`Invocation`]; the child answers with one [`Row`] an iteration. Rows
//! are the only thing that is kept, so their format is versioned ([`SCHEMA`]): an older file is
//! read, a newer one is refused with the version that it needs.
//!
//! Rejected: a binary format (people read and filter rows with the tools they have), and a row for
//! each process (an iteration that was measured is kept when the next one crashes).

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};

pub use crate::distribution::Distribution;
use crate::environment::Environment;

/// How much work.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    clap::ValueEnum,
)]
#[serde(rename_all = "kebab-case")]
pub enum Size {
    /// Milliseconds: for tests.
    Tiny,
    /// Under a second: for the standard comparison.
    #[default]
    Small,
    /// The published parameters: seconds to minutes.
    Full,
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tiny => "tiny",
            Self::Small => "small",
            Self::Full => "full",
        })
    }
}

/// What a child process is asked to do. Everything is resolved: no default is left to the child.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invocation {
    /// Name of the workload.
    pub workload: String,
    /// Size its parameters were taken from.
    pub size: Size,
    /// Every parameter of the workload.
    pub parameters: BTreeMap<String, u64>,
    /// The file that the workload reads, if it reads one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Name of the heap, or of the peer.
    pub heap: String,
    /// Every option of the heap; of a peer, the program that runs or compiles ours.
    #[serde(deserialize_with = "options")]
    pub options: BTreeMap<String, String>,
    /// Limit of the heap, in bytes. Heaps that it does not bind (the arena) have it too: it is the
    /// comparison's.
    pub heap_bytes: u64,
    /// Mutator threads.
    pub threads: usize,
    /// Where pseudo-random sequences start.
    pub seed: u64,
    /// Timed iterations, after one that warms up; 0: that one, cold, is what is timed.
    pub iterations: u32,
    /// Which invocation of its cell this is, from 1.
    pub invocation: u32,
}

impl Invocation {
    /// The first iteration whose figures count, of those from 0 on.
    pub fn first_timed(&self) -> u32 {
        self.iterations.min(1)
    }

    /// How many iterations are timed.
    pub fn timed_iterations(&self) -> u32 {
        self.iterations.max(1)
    }
}

/// Options by their names of today, which older rows and plans have under others.
fn options<'de, D>(deserializer: D) -> Result<BTreeMap<String, String>, D::Error>
where
    D: Deserializer<'de>,
{
    // It was too like the command line's --heap-size, which is another thing.
    const RENAMED: [(&str, &str); 1] = [("heap-size", "sizing")];
    let mut options = BTreeMap::<String, String>::deserialize(deserializer)?;
    for (old, new) in RENAMED {
        if let Some(value) = options.remove(old) {
            options.insert(new.to_owned(), value);
        }
    }
    Ok(options)
}

/// The version of the rows' format, raised whenever a reader of the old one would misread the new
/// one.
///
/// 1: times, pauses, peaks. 2: everything that has a file of its own under `measure`; rows of
/// version 1 still read, what they lack is empty.
pub const SCHEMA: u32 = 2;

/// The most [`CollectionRecord`]s in a row; later collections are counted in
/// [`Metrics::collections_unlogged`].
pub const MAX_COLLECTIONS_LOGGED: usize = 512;
/// The most [`SpanRecord`]s in a row, the longest; others are counted in
/// [`Metrics::spans_left_out`].
pub const MAX_SPANS: usize = 512;
/// The most [`Sample`]s in a row's time line.
pub const MAX_SAMPLES: usize = 256;

/// One line of a result file: one iteration, or the reason why there is none.
///
/// Every quantity's name ends in its unit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// [`SCHEMA`].
    pub schema: u32,
    /// What was asked for.
    #[serde(flatten)]
    pub invocation: Invocation,
    /// Which iteration this is: 0 warms up, timed ones count from 1.
    pub iteration: u32,
    /// How it ended.
    pub status: Status,
    /// More about the status, in words.
    pub message: Option<String>,
    /// What was measured, if it ended well.
    #[serde(flatten)]
    pub metrics: Option<Metrics>,
    /// Where it ran; filled in by the parent.
    pub environment: Option<Environment>,
    /// The least heap at which every heap of the comparison completes, if it was looked for:
    /// multiples are of it. Filled in by the parent.
    #[serde(default)]
    pub minimum_heap_bytes: Option<u64>,
    /// Whether this is the second series of the same heap, run to learn how much two equal things
    /// differ here (A/A). Filled in by the parent.
    #[serde(default)]
    pub twin: bool,
    /// Whether it was run for an experiment, and is in no comparison of workloads. Filled in by the
    /// parent.
    #[serde(default)]
    pub experiment: bool,
    /// Whether its process was run because an earlier one of the same number had ended without
    /// figures: it takes that one's place. Filled in by the parent.
    #[serde(default)]
    pub again: bool,
    /// What disturbed the iteration, in words (see the harness's `measure::hiccup`): it is kept,
    /// and shown as noisy.
    #[serde(default)]
    pub noisy: Vec<String>,
}

/// How an iteration ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// It was measured.
    Ok,
    /// It does not fit into the heap bytes.
    HeapFull,
    /// The arena would need more than the machine has.
    Skipped,
    /// It was measured, but did other work than another heap did: its figures count for nothing.
    Void,
    /// It took longer than allowed and was killed.
    Timeout,
    /// The process ended in another way; the message says how.
    Crashed,
}

impl Status {
    /// Whether it is an accident: another attempt may end otherwise. A full heap, and an arena
    /// without room, are results; what is void has been measured, and judged.
    pub fn is_accident(self) -> bool {
        matches!(self, Self::Timeout | Self::Crashed)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ok => "ok",
            Self::HeapFull => "heap-full",
            Self::Skipped => "skipped",
            Self::Void => "void",
            Self::Timeout => "timeout",
            Self::Crashed => "crashed",
        })
    }
}

/// The observation of how many requests a heap serves in a second when none waits for its time.
pub const CAPACITY: &str = "capacity_requests_per_second";

/// What was measured in one iteration.
///
/// What a heap or a system does not say, and what does not apply, is `None` or empty. Instants
/// (`at_ns`) count from the start of the iteration.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Metrics {
    /// The digest of the results, in hexadecimal.
    pub checksum: String,
    /// How many operations.
    pub operations: u64,
    /// What one operation is.
    pub operation: String,
    /// Objects allocated.
    pub allocated_objects: u64,
    /// Payload bytes allocated: 8 for each field and word.
    pub allocated_payload_bytes: u64,
    /// Wall time.
    pub wall_ns: u64,
    /// Processor time of all threads of the process, by the kernel's account. A guest's kernel
    /// takes off what it was told that the host stole, so that short work may have none.
    pub cpu_ns: u64,
    /// Wall time divided by operations.
    pub wall_ns_per_operation: f64,
    /// Collections carried out.
    pub collections: u64,
    /// Stopped thread time / [`Self::mutator_ns`], 0 to 1.
    pub stopped_share: f64,
    /// Time in which mutators were attached, in no blocking region, and the program did not collect
    /// by its own wish, summed over mutators. `None` in older rows: threads x wall time stood for
    /// it.
    #[serde(default)]
    pub mutator_ns: Option<u64>,
    /// Pauses.
    #[serde(flatten)]
    pub pauses: Pauses,
    /// The most the heap has counted against its limit so far.
    pub peak_heap_bytes: u64,
    /// The largest resident size of the process so far; `null` where the system does not say.
    pub peak_resident_bytes: Option<u64>,
    /// What the workload saw on its way, by names that end in their units.
    #[serde(default)]
    pub observations: BTreeMap<String, u64>,
    /// Processor time of the collector: of its worker threads, and of mutators in its slow paths
    /// (see the harness's `measure::cpu`).
    #[serde(default)]
    pub collector_cpu_ns: Option<u64>,
    /// What pauses consist of, by name: `time-to-safepoint`, `roots`, `mark`, `finish`, `resume` of
    /// stops; `lock-wait`, `drain`, `cycle-collection` on a counting heap; `stall`, a search for
    /// free memory; `collection-wait` where a collector works beside the mutators. And `explicit`,
    /// collections that the program asked for by name, which are in no other figure of pauses.
    #[serde(default)]
    pub pause_parts: BTreeMap<String, Part>,
    /// How long stops waited for single threads (see the harness's `measure::safepoint`).
    #[serde(default)]
    pub time_to_safepoint: Distribution,
    /// Allocation stalls by cause: `sweep`, `collection`, `lock` (see the harness's
    /// `measure::stall`).
    #[serde(default)]
    pub stalls: BTreeMap<String, Distribution>,
    /// Minimum mutator utilisation, by ascending window; empty if nobody was active (see the
    /// harness's `measure::utilisation`).
    #[serde(default)]
    pub utilisation: Vec<Utilisation>,
    /// Latencies of requests: `simple`, `open-loop`, `metered-<window>ms` (see the harness's
    /// `measure::latency`). Empty where a workload has no requests.
    #[serde(default)]
    pub latency: BTreeMap<String, Distribution>,
    /// From unreachable to reusable (see the harness's `measure::reclamation`). Empty where a
    /// workload plants no deaths.
    #[serde(default)]
    pub reclamation_delay: Distribution,
    /// The integral of occupied less reachable bytes over the iteration (see the harness's
    /// `measure::floating`).
    #[serde(default)]
    pub floating_byte_seconds: Option<f64>,
    /// Space over time (see the harness's `measure::space`).
    #[serde(default)]
    pub space: Space,
    /// Space at successive moments, at most [`MAX_SAMPLES`] of them.
    #[serde(default)]
    pub timeline: Vec<Sample>,
    /// By how much a sleeper that touches no heap woke too late (see the harness's
    /// `measure::hiccup`).
    #[serde(default)]
    pub hiccup: Distribution,
    /// How often a thread of the process was taken off its processor while it could have gone on.
    #[serde(default)]
    pub involuntary_switches: Option<u64>,
    /// Time for which a hypervisor gave this machine's processors to others, summed over
    /// processors.
    #[serde(default)]
    pub steal_ns: Option<u64>,
    /// How long a chase through a few MiB took before the iteration (see the harness's
    /// `measure::probe`).
    #[serde(default)]
    pub probe_before_ns: Option<u64>,
    /// The same after it.
    #[serde(default)]
    pub probe_after_ns: Option<u64>,
    /// The collections, in order of their requests; at most [`MAX_COLLECTIONS_LOGGED`]. This, the
    /// time line and the spans are empty in an iteration that warms up.
    #[serde(default)]
    pub collections_log: Vec<CollectionRecord>,
    /// Collections that found no room in the log.
    #[serde(default)]
    pub collections_unlogged: u64,
    /// What stopped which mutator when, in order; at most [`MAX_SPANS`].
    #[serde(default)]
    pub spans: Vec<SpanRecord>,
    /// Spans that found no room, all of them shorter than those that did.
    #[serde(default)]
    pub spans_left_out: u64,
}

/// One collection. What a heap does not say is left out of the row.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CollectionRecord {
    /// When it was requested.
    pub at_ns: u64,
    /// How long the pause that it made was: from the request until the last mutator ran again.
    pub pause_ns: u64,
    /// `full`, `young`, or `cycle` (of a counting heap).
    pub kind: String,
    /// Why it was made, by the names that HotSpot has: `Allocation Failure`, or `System.gc()` if
    /// the program asked for it.
    pub cause: String,
    /// Bytes of objects when it began, those that it was to find dead included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before_bytes: Option<u64>,
    /// Bytes of the objects that it found live.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after_bytes: Option<u64>,
    /// Committed bytes when it had ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub committed_bytes: Option<u64>,
    /// The limit of the heap.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit_bytes: Option<u64>,
    /// From the request until the last mutator had stopped; `None` where nothing had to be stopped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_to_safepoint_ns: Option<u64>,
    /// The parts of its pause in nanoseconds, by the names of [`Metrics::pause_parts`]; empty if it
    /// is one part.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub phases: BTreeMap<String, u64>,
    /// The oldest generation it collected, from 0, on a heap that numbers them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generation: Option<u8>,
    /// Objects it looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub examined_objects: Option<u64>,
    /// Objects it found unreachable.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unreachable_objects: Option<u64>,
}

/// A time in which a mutator did not run its own work, or in which a collector worked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpanRecord {
    /// The mutator, by number.
    pub mutator: u32,
    /// When it began.
    pub at_ns: u64,
    /// How long it was.
    pub length_ns: u64,
    /// What it was: a key of [`Pauses::event_ns`].
    pub kind: String,
}

/// One part of pauses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// How many pauses had it.
    pub count: u64,
    /// How long it took in all of them, in nanoseconds.
    pub total_ns: u64,
    /// How long it took in the pause in which it took longest, in nanoseconds.
    pub max_ns: u64,
}

/// The pauses of one iteration, as a row of results holds them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Pauses {
    /// How many.
    pub pause_count: u64,
    /// The median in nanoseconds, if there are enough to have one.
    pub pause_p50_ns: Option<u64>,
    /// The 90th percentile in nanoseconds, likewise.
    pub pause_p90_ns: Option<u64>,
    /// The 99th percentile in nanoseconds, likewise.
    pub pause_p99_ns: Option<u64>,
    /// The 99.9th percentile in nanoseconds, likewise.
    pub pause_p999_ns: Option<u64>,
    /// The longest in nanoseconds, if there was one.
    pub pause_max_ns: Option<u64>,
    /// The longest time-to-safepoint in nanoseconds, if anything was stopped.
    pub time_to_safepoint_max_ns: Option<u64>,
    /// Active thread time in pauses, in nanoseconds, summed over the threads.
    pub stopped_ns: u64,
    /// Thread time in nanoseconds by kind of event, however short. `arrived`, the
    /// times-to-safepoint of single threads, is not a pause; and `collection` and `stop` are the
    /// collector's own span of a stop, in which `stopped` is counted for each thread.
    pub event_ns: BTreeMap<String, u64>,
    /// Events that did not fit the heap's buffer: if not 0, all of these are lower bounds.
    pub events_lost: u64,
    /// Whether nothing of this is known: a runtime that does not tell of all that stops its threads
    /// has no figure, rather than one that is too good.
    #[serde(default)]
    pub pauses_unknown: bool,
    /// The distribution: `[value in nanoseconds, how many]`, ascending.
    pub pause_histogram_ns: Vec<(u64, u64)>,
}

impl Pauses {
    /// What the lengths of pauses amount to; times and parts are left empty.
    pub fn of_lengths(distribution: Distribution) -> Self {
        Self {
            pause_count: distribution.count,
            pause_p50_ns: distribution.percentile(0.5),
            pause_p90_ns: distribution.percentile(0.9),
            pause_p99_ns: distribution.percentile(0.99),
            pause_p999_ns: distribution.percentile(0.999),
            pause_max_ns: (!distribution.is_empty()).then_some(distribution.max_ns),
            pause_histogram_ns: distribution.histogram_ns,
            ..Self::default()
        }
    }

    /// The lengths of the pauses.
    pub fn distribution(&self) -> Distribution {
        Distribution {
            count: self.pause_count,
            max_ns: self.pause_max_ns.unwrap_or(0),
            histogram_ns: self.pause_histogram_ns.clone(),
        }
    }

    /// Several iterations' pauses taken together. Times are summed, distributions merged.
    pub fn merge<'p>(parts: impl Iterator<Item = &'p Self>) -> Self {
        let mut distributions = Vec::new();
        let mut sums = Self::default();
        for part in parts {
            distributions.push(part.distribution());
            sums.stopped_ns += part.stopped_ns;
            sums.events_lost += part.events_lost;
            sums.pauses_unknown |= part.pauses_unknown;
            sums.time_to_safepoint_max_ns = sums
                .time_to_safepoint_max_ns
                .max(part.time_to_safepoint_max_ns);
            for (kind, time) in &part.event_ns {
                *sums.event_ns.entry(kind.clone()).or_default() += time;
            }
        }
        Self {
            stopped_ns: sums.stopped_ns,
            events_lost: sums.events_lost,
            pauses_unknown: sums.pauses_unknown,
            time_to_safepoint_max_ns: sums.time_to_safepoint_max_ns,
            event_ns: sums.event_ns,
            ..Self::of_lengths(Distribution::merge(&distributions))
        }
    }
}

/// Minimum mutator utilisation for one length of window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Utilisation {
    /// The window's length in nanoseconds.
    pub window_ns: u64,
    /// The least share of the threads' time, taken together, in which they ran, 0 to 1.
    pub process: f64,
    /// The least share of its own time in which any one thread ran, 0 to 1.
    pub worst_thread: f64,
}

/// Space over one iteration: means over time, and the largest values seen. `None` where nothing was
/// sampled, or the heap or the system does not say.
///
/// The causes add up to the mean of what is committed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Space {
    /// How many samples these figures are made of.
    pub samples: u64,
    /// Objects that can be reached, in bytes.
    pub mean_live_bytes: Option<u64>,
    /// What counts against the limit.
    pub mean_occupied_bytes: Option<u64>,
    /// What the system backs for the heap.
    pub mean_committed_bytes: Option<u64>,
    /// What is resident of the whole process.
    pub mean_resident_bytes: Option<u64>,
    /// Side metadata.
    pub mean_metadata_bytes: Option<u64>,
    /// The largest sample of [`Self::mean_live_bytes`]'s quantity.
    pub peak_live_bytes: Option<u64>,
    /// The largest occupied size.
    pub peak_occupied_bytes: Option<u64>,
    /// The largest committed size.
    pub peak_committed_bytes: Option<u64>,
    /// The largest resident size.
    pub peak_resident_bytes: Option<u64>,
    /// The most side metadata.
    pub peak_metadata_bytes: Option<u64>,
    /// Cause of committed space: objects that can be reached; the same as
    /// [`Self::mean_live_bytes`].
    pub live_bytes: Option<u64>,
    /// Cause: objects that cannot be reached and are not reclaimed.
    pub floating_bytes: Option<u64>,
    /// Cause: holes, rounding, and what is left over in blocks and pages.
    pub fragmentation_bytes: Option<u64>,
    /// Cause: side metadata.
    pub metadata_bytes: Option<u64>,
    /// Cause: free memory that was not given back to the system.
    pub unreturned_bytes: Option<u64>,
}

/// Space at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Sample {
    /// When, from the start of the iteration, in nanoseconds.
    pub at_ns: u64,
    /// What counts against the limit.
    pub occupied_bytes: u64,
    /// What the system backs for the heap.
    pub committed_bytes: u64,
    /// Objects that can be reached, as far as the heap knows.
    pub live_bytes: Option<u64>,
    /// What is resident of the whole process.
    pub resident_bytes: Option<u64>,
}

impl Space {
    /// How much more was occupied than lived, as a factor.
    pub fn overhead(&self) -> Option<f64> {
        let live = self.mean_live_bytes.filter(|&live| live > 0)?;
        Some(self.mean_occupied_bytes? as f64 / live as f64)
    }
}

impl Metrics {
    /// Drops what only logs and traces are made of, and nobody makes of an iteration that warms up.
    pub fn forget_details(&mut self) {
        self.timeline = Vec::new();
        self.collections_log = Vec::new();
        self.collections_unlogged = 0;
        self.spans = Vec::new();
        self.spans_left_out = 0;
    }

    /// Drops all that was made of pauses of which some are not known.
    pub fn forget_pauses(&mut self) {
        self.forget_details();
        self.pauses = Pauses {
            pauses_unknown: true,
            ..Pauses::default()
        };
        self.stopped_share = 0.0;
        self.mutator_ns = None;
        self.collector_cpu_ns = None;
        self.pause_parts = BTreeMap::new();
        self.time_to_safepoint = Distribution::default();
        self.stalls = BTreeMap::new();
        self.utilisation = Vec::new();
    }

    /// Whether requests came when they were to, and set its wall time, which is no throughput then.
    pub fn is_paced(&self) -> bool {
        self.latency.contains_key("open-loop")
    }

    /// What its speed is judged by, in nanoseconds: its wall time; or, where requests came when
    /// they were to, what as many would take at the capacity that it saw.
    pub fn time_ns(&self) -> f64 {
        let capacity = self.observations.get(CAPACITY).filter(|_| self.is_paced());
        match capacity {
            Some(&capacity) if capacity > 0 => 1e9 * self.operations as f64 / capacity as f64,
            _ => self.wall_ns as f64,
        }
    }

    /// What two heaps must agree on to have done the same work.
    pub fn work(&self) -> (&str, u64, u64, u64) {
        (
            &self.checksum,
            self.operations,
            self.allocated_objects,
            self.allocated_payload_bytes,
        )
    }
}

impl Row {
    /// A row without figures.
    pub fn without_metrics(
        invocation: &Invocation,
        iteration: u32,
        status: Status,
        message: String,
    ) -> Self {
        Self {
            schema: SCHEMA,
            invocation: invocation.clone(),
            iteration,
            status,
            message: Some(message),
            metrics: None,
            environment: None,
            minimum_heap_bytes: None,
            twin: false,
            experiment: false,
            again: false,
            noisy: Vec::new(),
        }
    }

    /// A row with figures.
    pub fn measured(invocation: &Invocation, iteration: u32, metrics: Metrics) -> Self {
        Self {
            status: Status::Ok,
            message: None,
            metrics: Some(metrics),
            ..Self::without_metrics(invocation, iteration, Status::Ok, String::new())
        }
    }

    /// Whether its figures count: of an iteration that does not warm up for others.
    pub fn is_timed(&self) -> bool {
        self.iteration >= self.invocation.first_timed()
    }

    /// How it ended, with the message if there is one.
    pub fn reason(&self) -> String {
        match &self.message {
            Some(message) => format!("{}: {message}", self.status),
            None => self.status.to_string(),
        }
    }

    /// Makes a timed iteration void that took no time at all: a clock too coarse for it, or none.
    /// Everything is divided by its time, and would come out infinite, or not as a number.
    pub fn void_without_time(&mut self) {
        let metrics = self.metrics.as_ref();
        let timeless = metrics.is_some_and(|metrics| metrics.wall_ns == 0);
        if timeless && self.is_timed() && self.status == Status::Ok {
            self.status = Status::Void;
            self.message =
                Some("took 0 ns: too short for its clock; give it more to do".to_owned());
        }
    }

    /// Reads a line of a result file. An iteration that took no time is void.
    ///
    /// # Errors
    ///
    /// A sentence without the file's name and the line's number: what is wrong with the line, and,
    /// if it was written by a newer version, which one is needed.
    pub fn read(line: &str) -> Result<Self, String> {
        /// What has to be known before the rest can be judged.
        #[derive(Deserialize)]
        struct Version {
            schema: u32,
        }
        let Version { schema } =
            serde_json::from_str(line).map_err(|error| format!("is no row of results: {error}"))?;
        if schema > SCHEMA {
            return Err(format!(
                "was written by a newer version of this program: format {schema}, and this one \
                 reads up to {SCHEMA}"
            ));
        }
        let mut row: Self =
            serde_json::from_str(line).map_err(|error| format!("is no row of results: {error}"))?;
        // The figures' fields stand beside the others, so one that is missing or wrong makes all of
        // them absent.
        if row.metrics.is_none() && row.status == Status::Ok {
            let reason = serde_json::from_str::<Metrics>(line)
                .map_or_else(|error| error.to_string(), |_| "figures missing".to_owned());
            return Err(format!("is no row of results: {reason}"));
        }
        row.void_without_time();
        Ok(row)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn invocation() -> Invocation {
        Invocation {
            workload: "list".to_owned(),
            size: Size::Tiny,
            parameters: BTreeMap::from([("nodes".to_owned(), 5)]),
            file: None,
            heap: "gc-rc".to_owned(),
            options: BTreeMap::from([("cycle".to_owned(), "none".to_owned())]),
            heap_bytes: 1 << 20,
            threads: 2,
            seed: 42,
            iterations: 1,
            invocation: 3,
        }
    }

    #[test]
    fn options_are_read_under_their_former_names() {
        let invocation = invocation();
        let mut older = serde_json::to_value(&invocation).unwrap();
        older["options"]["heap-size"] = "multiplier".into();
        let read: Invocation = serde_json::from_value(older).unwrap();
        let mut expected = invocation;
        expected
            .options
            .insert("sizing".to_owned(), "multiplier".to_owned());
        assert_eq!(read, expected);
    }

    #[test]
    fn rows_survive_being_written_and_read() {
        let metrics = Metrics {
            checksum: "00ff".to_owned(),
            operations: 5,
            operation: "node".to_owned(),
            allocated_objects: 5,
            allocated_payload_bytes: 80,
            wall_ns: 1000,
            cpu_ns: 900,
            wall_ns_per_operation: 200.0,
            collections: 1,
            peak_heap_bytes: 1,
            observations: BTreeMap::from([("resident_after_bytes".to_owned(), 4096)]),
            collector_cpu_ns: Some(12),
            pause_parts: BTreeMap::from([(
                "mark".to_owned(),
                Part {
                    count: 1,
                    total_ns: 7,
                    max_ns: 7,
                },
            )]),
            time_to_safepoint: Distribution::of([3, 5]),
            stalls: BTreeMap::from([("lock".to_owned(), Distribution::of([9]))]),
            utilisation: vec![Utilisation {
                window_ns: 1000,
                process: 0.5,
                worst_thread: 0.25,
            }],
            latency: BTreeMap::from([("metered-100ms".to_owned(), Distribution::of([8]))]),
            reclamation_delay: Distribution::of([1_000_000]),
            floating_byte_seconds: Some(1.5),
            space: Space {
                mean_live_bytes: Some(3),
                ..Space::default()
            },
            timeline: vec![Sample {
                at_ns: 1,
                occupied_bytes: 2,
                committed_bytes: 3,
                live_bytes: None,
                resident_bytes: Some(4),
            }],
            hiccup: Distribution::of([50_000]),
            involuntary_switches: Some(2),
            steal_ns: Some(0),
            mutator_ns: Some(1900),
            probe_before_ns: Some(2_000_000),
            probe_after_ns: Some(2_100_000),
            collections_log: vec![CollectionRecord {
                at_ns: 10,
                kind: "full".to_owned(),
                phases: BTreeMap::from([("mark".to_owned(), 7)]),
                ..CollectionRecord::default()
            }],
            spans: vec![SpanRecord {
                mutator: 1,
                at_ns: 10,
                length_ns: 9,
                kind: "stopped".to_owned(),
            }],
            ..Metrics::default()
        };
        let measured = Row {
            twin: true,
            minimum_heap_bytes: Some(1 << 19),
            noisy: vec!["steal".to_owned()],
            ..Row::measured(&invocation(), 1, metrics)
        };
        let failed =
            Row::without_metrics(&invocation(), 0, Status::HeapFull, "heap full".to_owned());
        for row in [measured, failed] {
            let text = serde_json::to_string(&row).unwrap();
            assert_eq!(Row::read(&text).unwrap(), row, "{text}");
        }
    }

    /// As the first version wrote it.
    const FIRST_VERSION: &str = r#"{"schema":1,"workload":"list","size":"tiny","parameters":{"nodes":5},"heap":"gc-rc","options":{},"heap_bytes":1048576,"threads":1,"seed":42,"iterations":1,"invocation":1,"iteration":1,"status":"ok","message":null,"checksum":"00ff","operations":5,"operation":"node","allocated_objects":5,"allocated_payload_bytes":80,"wall_ns":1000,"cpu_ns":900,"wall_ns_per_operation":200.0,"collections":0,"stopped_share":0.0,"pause_count":0,"pause_p50_ns":null,"pause_p90_ns":null,"pause_p99_ns":null,"pause_p999_ns":null,"pause_max_ns":null,"time_to_safepoint_max_ns":null,"stopped_ns":0,"event_ns":{},"events_lost":0,"pause_histogram_ns":[],"peak_heap_bytes":1,"peak_resident_bytes":null,"observations":{},"environment":null}"#;

    #[test]
    fn requests_are_judged_by_the_capacity_and_not_by_when_they_came() {
        let mut metrics = Metrics {
            operations: 3_000,
            wall_ns: 2_000_000_000,
            observations: BTreeMap::from([(CAPACITY.to_owned(), 6_000)]),
            ..Metrics::default()
        };
        assert_eq!(metrics.time_ns(), 2e9);
        let latency = Distribution::of([8]);
        metrics.latency.insert("open-loop".to_owned(), latency);
        assert!(metrics.is_paced());
        assert_eq!(metrics.time_ns(), 0.5e9);
    }

    #[test]
    fn rows_of_the_first_version_still_read() {
        let row = Row::read(FIRST_VERSION).unwrap();
        let metrics = row.metrics.unwrap();
        assert_eq!((row.schema, metrics.wall_ns), (1, 1000));
        assert!(metrics.latency.is_empty() && metrics.hiccup.is_empty());
        assert_eq!((row.twin, row.minimum_heap_bytes), (false, None));
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let newer = FIRST_VERSION.replacen("\"schema\":1", "\"schema\":99", 1);
        assert!(Row::read(&newer).unwrap_err().contains("newer version"));
        let broken = FIRST_VERSION.replacen("\"wall_ns\":1000", "\"wall_ns\":\"x\"", 1);
        assert!(
            Row::read(&broken).unwrap_err().contains("expected u64"),
            "{:?}",
            Row::read(&broken)
        );
        assert!(
            Row::read("{\"schema\":1")
                .unwrap_err()
                .contains("is no row of results")
        );
    }
}
