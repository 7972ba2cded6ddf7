//! gc-rc: reference counting behind a global lock, with a cycle collector.

use gc_rc::{Builder, EventKind as Kind, Heap, Regime};

use super::forward::forward;
use super::{
    Adapter, Capabilities, Description, EVENT_CAPACITY, HeapOption, Settings, configured, limit,
    offered, options, takes,
};
use crate::event::{Event, EventKind, EventLog};
use crate::heap::FullCause;

/// The option that chooses among the adapters here.
const REGIME: HeapOption = HeapOption {
    name: "regime",
    values: "gil | atomic | object-lock | biased | deferred",
    default: "gil",
    help: "how threads keep counts right: behind the global lock, by atomic operations, under a \
           lock in every object, or plainly on the thread that made the object and by atomic \
           operations elsewhere, but (deferred) not for locals where threads share an object",
};

/// The adapter of [`gc_rc::Heap`] with the regime [`gc_rc::GlobalLock`].
#[derive(Clone, Copy, Debug)]
pub struct GcRc;

impl Adapter for GcRc {
    type Heap = Heap;

    const DESCRIPTION: Description = Description {
        name: "gc-rc",
        summary: "reference counting behind a global lock, or without, with a cycle collector",
        options: || {
            let mut options = offered::<Builder>(&["lock-hold-times", "release-after"]);
            options.insert(0, REGIME);
            options
        },
        takes: |name, value| match name {
            _ if name == REGIME.name => REGIME.values.split(" | ").any(|regime| regime == value),
            _ => takes::<Builder>(name, value),
        },
    };

    fn capabilities(settings: &Settings) -> Capabilities {
        Capabilities {
            reclaims: true,
            reclaims_cycles: settings.text("cycle") != "none",
            limited: true,
        }
    }

    fn build(settings: &Settings) -> Result<Heap, String> {
        configured::<Builder>(settings, &[REGIME.name])?
            .limit(limit(settings))
            .event_capacity(EVENT_CAPACITY)
            .build()
            .map_err(|error| error.to_string())
    }
}

options!(gc_rc);

fn events<R: Regime>(heap: &Heap<R>) -> EventLog {
    let log = heap.take_events();
    let translate = |event: gc_rc::Event| Event {
        mutator: event.mutator,
        from: event.from,
        until: event.until,
        kind: match event.kind {
            Kind::LockWait => EventKind::LockWait,
            Kind::Stopped { stop } => EventKind::Stopped { stop },
            Kind::Arrived { stop } => EventKind::Arrived { stop },
            // What others let go of dies in one go, too.
            Kind::Drain { objects } | Kind::Merged { objects } => EventKind::Drain { objects },
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

/// Options that are not offered, those among them that mean nothing without the lock.
const OF_THE_LOCK: &[&str] = &[
    "lock-hold-times",
    "release-after",
    "free",
    "possible-roots",
    "gil",
    "switch-interval",
];

/// The options without the global lock.
fn options_unlocked() -> Vec<HeapOption> {
    let mut options = offered::<Builder>(OF_THE_LOCK);
    for option in &mut options {
        if option.name == "cycle" {
            option.values = "generational | none";
        }
    }
    options
}

/// Defines the adapter of a regime without the global lock.
macro_rules! unlocked {
    ($module:ident, $adapter:ident, $regime:ident, $summary:literal) => {
        #[doc = concat!("The adapter of [`gc_rc::Heap`] with the regime [`gc_rc::", stringify!($regime), "`].")]
        #[derive(Clone, Copy, Debug)]
        pub struct $adapter;

        mod $module {
            use gc_rc::{$regime, Builder, Heap};

            use super::{$adapter, GcRc, REGIME, events, full_cause, objects, options_unlocked};
            use crate::adapter::forward::forward;
            use crate::adapter::{
                Adapter, Capabilities, Description, EVENT_CAPACITY, Settings, configured, limit,
                takes,
            };

            impl Adapter for $adapter {
                type Heap = Heap<$regime>;

                const DESCRIPTION: Description = Description {
                    name: "gc-rc",
                    summary: $summary,
                    options: options_unlocked,
                    takes: |name, value| value != "bacon-rajan" && takes::<Builder>(name, value),
                };

                fn capabilities(settings: &Settings) -> Capabilities {
                    GcRc::capabilities(settings)
                }

                fn build(settings: &Settings) -> Result<Self::Heap, String> {
                    configured::<Builder>(settings, &[REGIME.name])?
                        .limit(limit(settings))
                        .event_capacity(EVENT_CAPACITY)
                        .build_unlocked()
                        .map_err(|error| error.to_string())
                }
            }

            fn number(mutator: &gc_rc::Mutator<'_, $regime>) -> Option<u32> {
                Some(mutator.number())
            }

            forward!(gc_rc<$regime>, events, objects, full_cause, number);
        }
    };
}

unlocked!(
    atomic,
    GcRcAtomic,
    Atomic,
    "reference counting by atomic operations, with a cycle collector"
);
unlocked!(
    object_lock,
    GcRcObjectLock,
    ObjectLock,
    "reference counting under a lock in every object, with a cycle collector"
);
unlocked!(
    biased,
    GcRcBiased,
    Biased,
    "reference counting in two parts, an owner's and the others', with a cycle collector"
);
unlocked!(
    deferred,
    GcRcDeferred,
    Deferred,
    "reference counting in two parts, but not for locals of what threads share, with a cycle \
     collector"
);
