//! What a pause consists of: a phase of a stop, or all that one thread did or waited for. All that
//! is said of a part is in its row.
//!
//! Invariant: a row's name is that of results (a phase's, or a span's kind). What has no row, as a
//! wait that only another runtime knows, is called by its name, and nothing else is said of it.
//!
//! Rejected: a `match` over names in each sentence. There were five, and a part that one of them
//! had forgotten was passed over in silence.

use super::pause::Pause;
use engine::invocation::{CollectionRecord, format_bytes};
use engine::report::quantity::{format_time, grouped};

/// A part of pauses.
pub(super) struct Part {
    name: &'static str,
    /// In a list of the parts of a stop, behind its time.
    pub(super) in_list: &'static str,
    /// The pause that was nothing else.
    pub(super) alone: &'static str,
    /// What makes it as long as it is.
    pub(super) reason: fn(&Pause<'_>, u64) -> String,
    pub(super) cost: Option<Cost>,
    pub(super) remedy: Option<Remedy>,
    /// Said where there is no remedy, or where it is in use.
    pub(super) no_remedy: &'static str,
}

/// What a part costs: others of the same size take as long.
pub(super) struct Cost {
    pub(super) what: &'static str,
    /// Objects or bytes; 1 where the length goes by what no row tells.
    pub(super) size: fn(&CollectionRecord) -> Option<u64>,
}

const fn costs(what: &'static str, size: fn(&CollectionRecord) -> Option<u64>) -> Option<Cost> {
    Some(Cost { what, size })
}

/// An option that acts on a part.
pub(super) struct Remedy {
    pub(super) heap: &'static str,
    pub(super) option: &'static str,
    pub(super) value: &'static str,
    pub(super) what: &'static str,
}

impl Part {
    /// The part of this name. What is waited for depends on how counts are kept safe.
    pub(super) fn of(name: &str, regime: Option<&str>) -> &'static Self {
        if name == OBJECT_LOCK_WAIT.name && regime == Some("object-lock") {
            return &OBJECT_LOCK_WAIT;
        }
        let mut all = ALL.into_iter();
        all.find(|part| part.name == name).unwrap_or(&OTHER)
    }

    /// How long it took in a collection. A search for cycles is all of one.
    pub(super) fn time_in(&self, collection: &CollectionRecord) -> Option<u64> {
        match self.name == SEARCH.name {
            true => Some(collection.pause_ns),
            false => collection.phases.get(self.name).copied(),
        }
    }
}

const ALL: [&Part; 11] = [
    &TIME_TO_SAFEPOINT,
    &ROOTS,
    &MARK,
    &STOP,
    &FINISH,
    &RESUME,
    &SEARCH,
    &DRAIN,
    &LOCK_WAIT,
    &STOPPED,
    &STALL,
];

/// Something of which no more is known than its name.
const OTHER: Part = Part {
    name: "",
    in_list: "",
    alone: "",
    reason: |_, _| String::new(),
    cost: None,
    remedy: None,
    no_remedy: "",
};

pub(super) const TIME_TO_SAFEPOINT: Part = Part {
    name: "time-to-safepoint",
    in_list: "until all threads stood",
    reason: |_, _| {
        "The collector was quick: the time is that of a thread that did not come to a safepoint, \
         in a long operation or off its processor."
            .to_owned()
    },
    ..OTHER
};

const ROOTS: Part = Part {
    name: "roots",
    in_list: "roots",
    reason: |_, time| {
        format!(
            "It was mostly roots, {}: as long as the threads' frames and the globals have \
             references; how many they were the row does not tell.",
            format_time(time as f64)
        )
    },
    cost: costs("roots", |_| Some(1)),
    no_remedy: "No option acts on roots.",
    ..OTHER
};

const MARK: Part = Part {
    name: "mark",
    in_list: "marking",
    reason: |pause, time| match pause.collection.and_then(|known| known.after_bytes) {
        Some(live) => format!(
            "Marking takes as long as what lives: {} were alive, {} a KiB.",
            format_bytes(live),
            format_time(time as f64 / (live as f64 / 1024.0).max(1.0))
        ),
        None => String::new(),
    },
    cost: costs("marking", |collection| collection.after_bytes),
    remedy: Some(Remedy {
        heap: "gc-marksweep",
        option: "generations",
        value: "on",
        what: "marks what is new only, as long as that suffices",
    }),
    ..OTHER
};

/// Of a runtime that does not tell roots, marking and finishing apart.
const STOP: Part = Part {
    name: "stop",
    in_list: "the collector's work",
    ..OTHER
};

const FINISH: Part = Part {
    name: "finish",
    in_list: "finishing",
    reason: |_, time| {
        format!(
            "It was mostly what ends a collection, {}: weak references, finalizers, and the \
             accounts of the blocks, which take as long as there are such.",
            format_time(time as f64)
        )
    },
    cost: costs("finishing", |_| Some(1)),
    ..OTHER
};

const RESUME: Part = Part {
    name: "resume",
    in_list: "until the last thread ran again",
    reason: |_, time| {
        format!(
            "The work was done before: for {} the threads that were let go waited for a \
             processor, of which there were fewer than threads, or which something else had.",
            format_time(time as f64)
        )
    },
    no_remedy: "Fewer threads than processors do not wait for each other; no option acts on that.",
    ..OTHER
};

/// Of a stop that is known by one of the threads that stood.
pub(super) const RESUME_OF_ONE: Part = Part {
    in_list: "until the thread ran again",
    ..RESUME
};

pub(super) const SEARCH: Part = Part {
    name: "cycle-collection",
    in_list: "the search",
    alone: "It was a search for cycles.",
    reason: |pause, _| {
        let Some(search) = pause.collection else {
            return String::new();
        };
        let examined = search.examined_objects.unwrap_or(0);
        let found = search.unreachable_objects.unwrap_or(0);
        format!(
            "A search takes as long as what it examines: {} objects, {} each, of which {} were \
             garbage.",
            grouped(examined),
            format_time(search.pause_ns as f64 / examined.max(1) as f64),
            grouped(found)
        )
    },
    cost: costs("a search", |search| search.examined_objects),
    remedy: Some(Remedy {
        heap: "gc-rc",
        option: "cycle",
        value: "bacon-rajan",
        what: "looks at what lost a reference only",
    }),
    ..OTHER
};

const DRAIN: Part = Part {
    name: "drain",
    alone: "It was a cascade of decrements: what the last reference to went, and all that only \
            that kept alive, died in one operation.",
    reason: |_, _| {
        "A cascade takes as long as the structure that dies, however many other threads there are."
            .to_owned()
    },
    remedy: Some(Remedy {
        heap: "gc-rc",
        option: "free",
        value: "lazy",
        what: "frees as much at a time as is allocated",
    }),
    ..OTHER
};

const LOCK_WAIT: Part = Part {
    name: "lock-wait",
    alone: "It was a wait for the global lock, which another thread had.",
    reason: |pause, _| match pause.meanwhile() {
        Some(span) => format!(
            "Most of it mutator {} had the lock for a {} of {}.",
            span.mutator,
            span.kind,
            format_time(span.length_ns as f64)
        ),
        None => "Whoever has the lock keeps it until a thread that waits has waited for a switch \
                 interval and asks for it."
            .to_owned(),
    },
    remedy: Some(Remedy {
        heap: "gc-rc",
        option: "gil",
        value: "fair",
        what: "gives the lock to whoever has waited longest",
    }),
    ..OTHER
};

const OBJECT_LOCK_WAIT: Part = Part {
    name: "lock-wait",
    alone: "It was a wait for the lock of an object, which another thread had.",
    reason: |_, _| {
        "An object's lock is held for one exchange of a field: who waits so long waits for a \
         thread that was off its processor meanwhile, or for many before it."
            .to_owned()
    },
    ..OTHER
};

const STOPPED: Part = Part {
    name: "stopped",
    alone: "It was a stop of the world, in which no search for cycles is known.",
    ..OTHER
};

const STALL: Part = Part {
    name: "stall",
    alone: "It was a search for free memory: blocks were swept until one had room.",
    ..OTHER
};

#[cfg(test)]
mod tests {
    use super::super::fixture::{explained, row, span};
    use super::*;
    use engine::measure::event::Phase;

    #[test]
    fn each_phase_has_a_row() {
        for phase in Phase::ALL {
            assert_eq!(Part::of(phase.name(), None).name, phase.name());
            assert_ne!(Part::of(phase.name(), None).in_list, "", "{phase:?}");
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
            explained(vec![stop])
        };
        let text = with([("mark", 228_000), ("resume", 2_120_000)]);
        assert!(
            text.contains("for 2.12 ms the threads that were let go"),
            "{text}"
        );
        let text = with([("mark", 228_000), ("finish", 2_120_000)]);
        assert!(text.contains("what ends a collection, 2.12 ms"), "{text}");
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
        let text = explained(vec![stop]);
        for words in ["It was mostly roots, 231 us", "No option acts on roots."] {
            assert!(text.contains(words), "{words}: {text}");
        }
    }

    #[test]
    fn a_wait_for_an_object_s_lock_is_not_put_down_to_the_global_one() {
        let mut wait = row("gc-rc", 5_350_000);
        let options = &mut wait.invocation.options;
        options.insert("regime".to_owned(), "object-lock".to_owned());
        wait.metrics.as_mut().unwrap().spans = vec![span(4, 1_000, 5_350_000, "lock-wait")];
        let text = explained(vec![wait]);
        assert!(text.contains("a wait for the lock of an object"), "{text}");
        for words in [
            "It was a wait for the global lock",
            "switch interval",
            "gil=fair",
        ] {
            assert!(!text.contains(words), "{words}: {text}");
        }
    }
}
