//! gc-marksweep: stop-the-world mark-sweep, its mutators running freely between stops.

use std::time::Duration;

use gc_marksweep::{Builder, EventKind as Kind, Generations, Heap, OverheadLimit, Sizing};

use super::forward::forward;
use super::{
    Adapter, Capabilities, Description, EVENT_CAPACITY, HeapOption, Options, Settings, configured,
    limit, offered, takes,
};
use crate::event::{Details, Event, EventKind, EventLog};
use crate::heap::FullCause;
use crate::units::parse_bytes;

/// The adapter of [`gc_marksweep::Heap`].
#[derive(Clone, Copy, Debug)]
pub struct GcMarksweep;

impl Adapter for GcMarksweep {
    type Heap = Heap;

    const DESCRIPTION: Description = Description {
        name: "gc-marksweep",
        summary: "stop-the-world, non-moving mark-sweep with lazy sweeping",
        options: || offered::<Builder>(&[]),
        takes: takes::<Builder>,
    };

    fn capabilities(_settings: &Settings) -> Capabilities {
        Capabilities {
            reclaims: true,
            reclaims_cycles: true,
            limited: true,
        }
    }

    fn build(settings: &Settings) -> Result<Heap, String> {
        configured::<Builder>(settings)?
            .limit(limit(settings))
            .event_capacity(EVENT_CAPACITY)
            .build()
            .map_err(|error| error.to_string())
    }
}

impl Options for Builder {
    fn all() -> Vec<HeapOption> {
        let option = |(name, values, default, help)| HeapOption {
            name,
            values,
            default,
            help,
        };
        let options = [
            (
                "prefetch-depth",
                "0 to 64",
                "16",
                "objects prefetched ahead of the marker; 0 for none",
            ),
            (
                "marking-workers",
                "0 to 64",
                "0",
                "threads that mark, the one that collects included; 0 for one a core",
            ),
            (
                "generations",
                "off | on | auto",
                "auto",
                "minor collections, which look at new objects only; auto: while they pay",
            ),
            (
                "nursery",
                "a size, such as 64M | auto",
                "auto",
                "memory handed out between minor collections; auto: 16M",
            ),
            (
                "sizing",
                "fixed | multiplier | mem-balancer",
                "fixed",
                "what may be occupied before a collection: the limit, twice what is live, \
                 MemBalancer's square root (0.2/MiB)",
            ),
            (
                "release-after",
                "a time, such as 5s | off",
                "4s",
                "free memory not needed for this long is given back to the system",
            ),
            (
                "overhead-limit",
                "two percentages, such as 98/2 | off",
                "98/2",
                "heap full where collections take TIME % and less than FREE % of the limit is \
                 allocated between them",
            ),
            (
                "stress",
                "off | on",
                "off",
                "collect at every allocation (for tests)",
            ),
            (
                "poison",
                "off | on",
                "off",
                "fill freed memory with a pattern and check it (for tests)",
            ),
            (
                "watchdog",
                "a time, such as 5s | off",
                "off",
                "names on standard error who keeps others waiting longer",
            ),
        ];
        options.map(option).into()
    }

    fn set_option(self, name: &str, value: &str) -> Result<Self, String> {
        let wrong = || format!("option {name} cannot be '{value}'");
        let number = |most: usize| (value.parse().ok()).filter(|&number: &usize| number <= most);
        let switch = || match value {
            "off" => Some(false),
            "on" => Some(true),
            _ => None,
        };
        let time = || match value {
            "off" => Some(None),
            _ => (humantime::parse_duration(value).ok())
                .filter(|time: &Duration| !time.is_zero())
                .map(Some),
        };
        let percentage = |text: &str| text.parse().ok().filter(|&percent: &u8| percent <= 100);
        let overhead = || {
            let (time, free) = value.split_once('/')?;
            Some(OverheadLimit {
                time_percent: percentage(time)?,
                free_percent: percentage(free)?,
            })
        };
        let set = match (name, value) {
            ("prefetch-depth", _) => {
                number(Self::MAX_PREFETCH_DEPTH).map(|depth| self.prefetch_depth(depth))
            }
            ("marking-workers", "0") | ("nursery", "auto") => Some(self),
            ("marking-workers", _) => {
                number(Self::MAX_MARKING_WORKERS).map(|workers| self.marking_workers(workers))
            }
            ("generations", "off") => Some(self.generations(Generations::Off)),
            ("generations", "on") => Some(self.generations(Generations::On)),
            ("generations", "auto") => Some(self.generations(Generations::Auto)),
            ("nursery", _) => (parse_bytes(value).ok())
                .map(|bytes| self.nursery(usize::try_from(bytes).unwrap_or(usize::MAX))),
            ("sizing", "fixed") => Some(self.sizing(Sizing::Fixed)),
            ("sizing", "multiplier") => Some(self.sizing(Sizing::Multiplier(2.0))),
            ("sizing", "mem-balancer") => Some(self.sizing(Sizing::MemBalancer(0.2))),
            ("release-after", _) => time().map(|time| self.release_after(time)),
            ("overhead-limit", "off") => Some(self.overhead_limit(None)),
            ("overhead-limit", _) => overhead().map(|limit| self.overhead_limit(Some(limit))),
            ("stress", _) => switch().map(|on| self.stress(on)),
            ("poison", _) => switch().map(|on| self.poison(on)),
            ("watchdog", _) => time().map(|time| self.watchdog(time)),
            _ => None,
        };
        set.ok_or_else(wrong)
    }
}

fn events(heap: &Heap) -> EventLog {
    let log = heap.take_events();
    let translate = |event: gc_marksweep::Event| Event {
        mutator: event.mutator,
        from: event.from,
        until: event.until,
        kind: match event.kind {
            Kind::Stopped { stop } => EventKind::Stopped { stop },
            Kind::Arrived { stop } => EventKind::Arrived { stop },
            Kind::Collection {
                stop,
                stopped,
                rooted,
                marked,
                minor,
                explicit,
                live_bytes,
                object_bytes,
                committed_bytes,
                cpu_ns,
            } => EventKind::Collection {
                stop,
                stopped,
                rooted,
                marked,
                live_bytes,
                details: Details {
                    minor,
                    explicit,
                    cpu_ns: Some(cpu_ns),
                    before_bytes: Some(object_bytes),
                    committed_bytes: Some(committed_bytes),
                },
            },
            Kind::Stall => EventKind::Stall,
        },
    };
    EventLog {
        events: log.events.into_iter().map(translate).collect(),
        lost: log.lost,
    }
}

/// What the last collection found live, and what has been allocated since.
fn objects(statistics: &gc_marksweep::Statistics) -> (Option<u64>, Option<u64>) {
    (Some(statistics.object_bytes), None)
}

/// The same by name.
fn full_cause(full: &gc_marksweep::HeapFull) -> FullCause {
    match full.cause {
        gc_marksweep::FullCause::System => FullCause::System,
        gc_marksweep::FullCause::Overhead => FullCause::Overhead,
        _ => FullCause::Limit,
    }
}

fn number(mutator: &gc_marksweep::Mutator<'_>) -> Option<u32> {
    Some(mutator.number())
}

forward!(gc_marksweep, events, objects, full_cause, number);
