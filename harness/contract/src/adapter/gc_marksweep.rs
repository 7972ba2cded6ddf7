//! gc-marksweep: stop-the-world mark-sweep, its mutators running freely between stops.

use gc_marksweep::{EventKind as Kind, Generations, Heap, OverheadLimit, Sizing};

use super::forward::forward;
use super::{
    Adapter, Capabilities, Description, EVENT_CAPACITY, HeapOption, OVERHEAD_LIMIT, OptionKind,
    SWITCH, Settings, WATCHDOG, limit,
};
use crate::event::{Details, Event, EventKind, EventLog};
use crate::heap::FullCause;

/// The adapter of [`gc_marksweep::Heap`].
#[derive(Clone, Copy, Debug)]
pub struct GcMarksweep;

impl Adapter for GcMarksweep {
    type Heap = Heap;

    const DESCRIPTION: Description = Description {
        name: "gc-marksweep",
        summary: "stop-the-world, non-moving mark-sweep with lazy sweeping",
        options: &[
            HeapOption {
                name: "prefetch-depth",
                kind: OptionKind::Count(0, gc_marksweep::Builder::MAX_PREFETCH_DEPTH as u64),
                default: "16",
                doc: "objects prefetched ahead of the marker; 0 for none",
            },
            HeapOption {
                name: "marking-workers",
                kind: OptionKind::Count(0, gc_marksweep::Builder::MAX_MARKING_WORKERS as u64),
                default: "0",
                doc: "threads that mark, the one that collects included; 0 for one a core",
            },
            HeapOption {
                name: "generations",
                kind: OptionKind::Choice(&["off", "on", "auto"]),
                default: "auto",
                doc: "minor collections, which look at new objects only; auto: while they pay",
            },
            HeapOption {
                name: "nursery",
                kind: OptionKind::BytesOrAuto,
                default: "auto",
                doc: "memory handed out between minor collections; auto: 16M",
            },
            HeapOption {
                name: "sizing",
                kind: OptionKind::Choice(&["fixed", "multiplier", "mem-balancer"]),
                default: "fixed",
                doc: "what may be occupied before a collection: the limit, twice what is live, \
                      MemBalancer's square root (0.2/MiB)",
            },
            HeapOption {
                name: "release-after",
                kind: OptionKind::DurationOrOff,
                default: "4s",
                doc: "free memory not needed for this long is given back to the system",
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

    fn capabilities(_settings: &Settings) -> Capabilities {
        Capabilities {
            reclaims: true,
            reclaims_cycles: true,
            limited: true,
        }
    }

    fn build(settings: &Settings) -> Result<Heap, String> {
        let mut builder = Heap::builder();
        if let Some(bytes) = settings.bytes("nursery") {
            builder = builder.nursery(usize::try_from(bytes).unwrap_or(usize::MAX));
        }
        if let workers @ 1.. = settings.count("marking-workers") {
            builder = builder.marking_workers(workers as usize);
        }
        builder
            .limit(limit(settings))
            .sizing(match settings.text("sizing") {
                "multiplier" => Sizing::Multiplier(2.0),
                "mem-balancer" => Sizing::MemBalancer(0.2),
                _ => Sizing::Fixed,
            })
            .release_after(settings.duration("release-after"))
            .generations(match settings.text("generations") {
                "off" => Generations::Off,
                "on" => Generations::On,
                _ => Generations::Auto,
            })
            .prefetch_depth(settings.count("prefetch-depth") as usize)
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
