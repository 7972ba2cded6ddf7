//! gc-rc: reference counting behind a global lock, with a cycle collector.

use std::time::Duration;

use gc_rc::{Cycle, EventKind as Kind, Free, Gil, Heap, OverheadLimit};

use super::forward::forward;
use super::{
    Adapter, Capabilities, Description, EVENT_CAPACITY, HeapOption, OVERHEAD_LIMIT, OptionKind,
    SWITCH, Settings, WATCHDOG, limit,
};
use crate::event::{Event, EventKind, EventLog};
use crate::heap::FullCause;

/// The adapter of [`gc_rc::Heap`].
#[derive(Clone, Copy, Debug)]
pub struct GcRc;

impl Adapter for GcRc {
    type Heap = Heap;

    const DESCRIPTION: Description = Description {
        name: "gc-rc",
        summary: "reference counting behind a global lock, with a cycle collector",
        options: &[
            HeapOption {
                name: "cycle",
                kind: OptionKind::Choice(&["generational", "bacon-rajan", "none"]),
                default: "generational",
                doc: "how garbage cycles are found: as CPython 3.13 does, from possible roots, or \
                 not at all",
            },
            HeapOption {
                name: "free",
                kind: OptionKind::Choice(&["eager", "lazy"]),
                default: "eager",
                doc: "when the dead are freed: at once, or as much at a time as is allocated",
            },
            HeapOption {
                name: "threshold",
                kind: OptionKind::Count(1, 1_000_000_000),
                default: "2000",
                doc: "allocations beyond frees that make the youngest generation due",
            },
            HeapOption {
                name: "oldest-growth",
                kind: OptionKind::Count(0, 1_000_000),
                default: "25",
                doc: "growth in % after which the oldest generation is due",
            },
            HeapOption {
                name: "possible-roots",
                kind: OptionKind::Count(1, 1_000_000_000),
                default: "10000",
                doc: "possible roots that make a collection due (cycle=bacon-rajan)",
            },
            HeapOption {
                name: "prefetch",
                kind: SWITCH,
                default: "off",
                doc: "prefetch in every collection, and not where objects are scattered only",
            },
            HeapOption {
                name: "gil",
                kind: OptionKind::Choice(&["cpython", "fair"]),
                default: "cpython",
                doc: "who gets the global lock: as in CPython, or first come, first served",
            },
            HeapOption {
                name: "switch-interval",
                kind: OptionKind::Duration,
                default: "5ms",
                doc: "how long a thread waits for the lock before it asks for it",
            },
            OVERHEAD_LIMIT,
            HeapOption {
                name: "stress",
                kind: SWITCH,
                default: "off",
                doc: "collect at every allocation (for tests)",
            },
            HeapOption {
                name: "poison",
                kind: SWITCH,
                default: "off",
                doc: "fill freed memory with a pattern and check it (for tests)",
            },
            WATCHDOG,
        ],
    };

    fn capabilities(settings: &Settings) -> Capabilities {
        Capabilities {
            reclaims: true,
            reclaims_cycles: settings.text("cycle") != "none",
            limited: true,
        }
    }

    fn build(settings: &Settings) -> Result<Heap, String> {
        let gil = match settings.text("gil") {
            "fair" => Gil::Fair,
            _ => Gil::Cpython,
        };
        let cycle = match settings.text("cycle") {
            "none" => Cycle::None,
            "bacon-rajan" => Cycle::BaconRajan,
            _ => Cycle::Generational,
        };
        let free = match settings.text("free") {
            "lazy" => Free::Lazy,
            _ => Free::Eager,
        };
        Heap::builder()
            .free(free)
            .prefetch(settings.is_on("prefetch"))
            .oldest_growth(settings.count("oldest-growth") as usize)
            .possible_roots(settings.count("possible-roots") as usize)
            .limit(limit(settings))
            .gil(gil)
            .switch_interval(
                settings
                    .duration("switch-interval")
                    .unwrap_or(Duration::MAX),
            )
            .cycle(cycle)
            .thresholds([settings.count("threshold") as usize, 10, 10])
            .overhead_limit(settings.percentages(OVERHEAD_LIMIT.name).map(
                |(time_percent, free_percent)| OverheadLimit {
                    time_percent,
                    free_percent,
                },
            ))
            .stress(settings.is_on("stress"))
            .poison(settings.is_on("poison"))
            .watchdog(settings.duration("watchdog"))
            .event_capacity(EVENT_CAPACITY)
            .build()
            .map_err(|error| error.to_string())
    }
}

fn events(heap: &Heap) -> EventLog {
    let log = heap.take_events();
    let translate = |event: gc_rc::Event| Event {
        mutator: event.mutator,
        from: event.from,
        until: event.until,
        kind: match event.kind {
            Kind::LockWait => EventKind::LockWait,
            Kind::Drain { objects } => EventKind::Drain { objects },
            Kind::Collection {
                generation,
                examined,
                unreachable,
                explicit,
            } => EventKind::CycleCollection {
                generation,
                examined,
                unreachable,
                explicit,
            },
        },
    };
    EventLog {
        events: log.events.into_iter().map(translate).collect(),
        lost: log.lost,
    }
}

/// Known exactly: a dead object is gone.
fn objects(statistics: &gc_rc::Statistics) -> (Option<u64>, Option<u64>) {
    let objects = statistics
        .allocated_objects
        .saturating_sub(statistics.freed_objects);
    (Some(statistics.object_bytes), Some(objects))
}

/// The same by name.
fn full_cause(full: &gc_rc::HeapFull) -> FullCause {
    match full.cause {
        gc_rc::FullCause::System => FullCause::System,
        gc_rc::FullCause::Overhead => FullCause::Overhead,
        _ => FullCause::Limit,
    }
}

fn number(mutator: &gc_rc::Mutator<'_>) -> Option<u32> {
    Some(mutator.number())
}

forward!(gc_rc, events, objects, full_cause, number);
