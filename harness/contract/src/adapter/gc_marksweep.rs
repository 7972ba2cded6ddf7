//! gc-marksweep: stop-the-world mark-sweep, its mutators running freely between stops.

use gc_marksweep::{Builder, EventKind as Kind, Heap};

use super::forward::forward;
use super::{
    Adapter, Capabilities, Description, EVENT_CAPACITY, Settings, configured, limit, offered,
    options, takes,
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
        options: || offered::<Builder>(&["mark-stack-limit"]),
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
        configured::<Builder>(settings, &[])?
            .limit(limit(settings))
            .event_capacity(EVENT_CAPACITY)
            .build()
            .map_err(|error| error.to_string())
    }
}

options!(gc_marksweep);

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
