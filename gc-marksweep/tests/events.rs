//! Events, the listeners that are told of them, and times-to-safepoint.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex, OnceLock, mpsc};
use std::thread::{self, ThreadId};
use std::time::Duration;

use gc_marksweep::{
    BuildError, Event, EventKind, EventLog, Flags, Generations, Heap, Listener, PauseStatistics,
    STALL_EVENT_MINIMUM, Shape,
};

/// The events of one stop.
#[derive(Default)]
struct Stop {
    collection: Option<Event>,
    /// By mutator.
    arrived: BTreeMap<u32, Event>,
    stopped: BTreeMap<u32, Event>,
}

/// The stops of a complete log. Checks what holds for each.
fn stops(log: &EventLog) -> BTreeMap<u64, Stop> {
    assert_eq!(log.lost, 0);
    let mut stops: BTreeMap<u64, Stop> = BTreeMap::new();
    for &event in &log.events {
        assert!(event.from <= event.until, "{event:?}");
        let before = match event.kind {
            EventKind::Collection { stop, .. } => {
                stops.entry(stop).or_default().collection.replace(event)
            }
            EventKind::Arrived { stop } => {
                let stop = stops.entry(stop).or_default();
                stop.arrived.insert(event.mutator, event)
            }
            EventKind::Stopped { stop } => {
                let stop = stops.entry(stop).or_default();
                stop.stopped.insert(event.mutator, event)
            }
            EventKind::Stall => continue,
        };
        assert_eq!(before, None, "once a stop: {event:?}");
    }
    for stop in stops.values() {
        let collection = stop.collection.expect("a collection for every stop");
        let EventKind::Collection { stopped, .. } = collection.kind else {
            unreachable!()
        };
        for arrived in stop.arrived.values() {
            assert_ne!(arrived.mutator, collection.mutator);
            assert_eq!(arrived.from, collection.from, "from the request");
            assert!(arrived.until <= stopped, "{arrived:?} {collection:?}");
        }
        let own = stop.stopped[&collection.mutator];
        assert_eq!((own.from, own.until), (collection.from, collection.until));
    }
    assert!(stops.keys().copied().eq(1..=stops.len() as u64));
    stops
}

/// Whether the mutator stood still from before the request until the marking was over, for whatever
/// stop it had come.
fn stood_still(stops: &BTreeMap<u64, Stop>, mutator: u32, collection: Event) -> bool {
    let mut stays = stops.values().filter_map(|stop| stop.stopped.get(&mutator));
    let EventKind::Collection {
        stopped, marked, ..
    } = collection.kind
    else {
        unreachable!()
    };
    stays.any(|stay| stay.from <= stopped && marked <= stay.until)
}

/// One mutator polls all the time, one is a laggard that polls every few milliseconds, one blocks,
/// one collects.
#[test]
fn every_mutator_that_ran_at_the_request_arrives_and_nobody_else() {
    const STOPS: u64 = 30;
    let heap = Heap::builder().build().unwrap();
    let done = AtomicBool::new(false);
    let polls = Mutex::new(Vec::new());
    let (keep_blocked, blocked_until) = mpsc::channel::<()>();
    let (sender, numbers) = mpsc::channel();
    let (heap, done, polls) = (&heap, &done, &polls);
    let [eager, laggard, blocked] = thread::scope(|scope| {
        let to = sender.clone();
        scope.spawn(move || {
            heap.attach(|m| {
                to.send(m.number()).unwrap();
                while !done.load(Ordering::Relaxed) {
                    m.safepoint();
                }
            });
        });
        let eager = numbers.recv().unwrap();
        let to = sender.clone();
        scope.spawn(move || {
            heap.attach(|m| {
                to.send(m.number()).unwrap();
                while !done.load(Ordering::Relaxed) {
                    thread::sleep(Duration::from_millis(2));
                    let now = heap.origin().elapsed().as_nanos() as u64;
                    polls.lock().unwrap().push(now);
                    m.safepoint();
                }
            });
        });
        let laggard = numbers.recv().unwrap();
        scope.spawn(move || {
            heap.attach(|m| {
                let number = m.number();
                m.blocking(|| {
                    sender.send(number).unwrap();
                    blocked_until.recv().unwrap_err();
                });
            });
        });
        let blocked = numbers.recv().unwrap();
        heap.attach(|m| {
            for _ in 0..STOPS {
                // Until the laggard is back from the last stop.
                let count = || polls.lock().unwrap().len();
                let before = count();
                m.blocking(|| {
                    while count() < before + 2 {
                        thread::yield_now();
                    }
                });
                m.collect();
            }
        });
        done.store(true, Ordering::Relaxed);
        drop(keep_blocked);
        [eager, laggard, blocked]
    });
    let stops = stops(&heap.take_events());
    assert_eq!(stops.len() as u64, STOPS);
    let polls = polls.lock().unwrap();
    for stop in stops.values() {
        let collection = stop.collection.unwrap();
        assert!(!stop.arrived.contains_key(&blocked), "kept nobody waiting");
        assert!(!stop.stopped.contains_key(&blocked));
        let arrived = stop.arrived[&laggard];
        assert_eq!(arrived.until, stop.stopped[&laggard].from);
        // It arrived when it polled next after the request, and at no other time.
        let next = polls.partition_point(|&poll| poll < arrived.until);
        assert!(next > 0 && polls[next - 1] <= arrived.until);
        assert!(next == polls.len() || arrived.until <= polls[next]);
        match stop.arrived.get(&eager) {
            Some(arrived) => assert_eq!(arrived.until, stop.stopped[&eager].from),
            // Still where the stop before had found it.
            None => assert!(stood_still(&stops, eager, collection)),
        }
    }
}

/// The stop goes on without one that enters a blocking region or detaches, and the events say when
/// it did.
#[test]
fn blocking_and_detaching_are_arrivals() {
    let heap = Heap::builder().build().unwrap();
    let mut by_blocking = 0;
    let mut by_detaching = 0;
    for round in 0..200 {
        let blocks = round % 2 == 0;
        let (ready, go) = (Barrier::new(2), Barrier::new(2));
        let mut interval = (0, 0);
        let mut visitor = 0;
        let now = || heap.origin().elapsed().as_nanos() as u64;
        thread::scope(|scope| {
            let thread = scope.spawn(|| {
                let number = heap.attach(|m| {
                    ready.wait();
                    let begin = now();
                    (0..200 * (round % 10)).for_each(|_| std::hint::spin_loop());
                    if blocks {
                        m.blocking(|| go.wait());
                    }
                    (m.number(), begin)
                });
                (number, now())
            });
            heap.attach(|m| {
                m.blocking(|| ready.wait());
                m.collect();
            });
            if blocks {
                go.wait();
            }
            let ((number, begin), end) = thread.join().unwrap();
            (visitor, interval) = (number, (begin, end));
        });
        let log = heap.take_events();
        let EventLog { events, .. } = &log;
        let arrived = events
            .iter()
            .find(|e| matches!(e.kind, EventKind::Arrived { .. }));
        if let Some(arrived) = arrived {
            assert_eq!(arrived.mutator, visitor);
            assert!((interval.0..=interval.1).contains(&arrived.until));
            *if blocks {
                &mut by_blocking
            } else {
                &mut by_detaching
            } += 1;
        }
    }
    assert!(
        by_blocking + by_detaching > 0,
        "some requests met a running mutator"
    );
}

/// Triggers race, threads come and go: each stop has its one collection, and whoever was attached
/// stood still for it.
#[test]
fn no_stop_is_without_an_event_for_those_who_stood_still() {
    let heap = Heap::builder().build().unwrap();
    let spans: Mutex<Vec<(u32, u64, u64)>> = Mutex::new(Vec::new());
    let now = || heap.origin().elapsed().as_nanos() as u64;
    thread::scope(|scope| {
        for role in 0..4 {
            let (heap, spans) = (&heap, &spans);
            scope.spawn(move || {
                for _ in 0..40 {
                    let span = heap.attach(|m| {
                        let from = now();
                        for _ in 0..10 {
                            if role < 3 {
                                m.collect();
                            } else {
                                m.safepoint();
                            }
                        }
                        (m.number(), from, now())
                    });
                    spans.lock().unwrap().push(span);
                }
            });
        }
    });
    let log = heap.take_events();
    let stops = stops(&log);
    assert_eq!(heap.statistics().collections, stops.len() as u64);
    for (mutator, from, until) in spans.into_inner().unwrap() {
        for stop in stops.values() {
            let collection = stop.collection.unwrap();
            if from <= collection.from && collection.until <= until {
                let stood = stood_still(&stops, mutator, collection);
                assert!(stood, "mutator {mutator} during {collection:?}");
            }
        }
    }
}

/// The stop that `verify` makes is a stop like any other.
#[test]
fn verifying_is_an_event() {
    let heap = Heap::builder().build().unwrap();
    heap.attach(|m| m.verify());
    let stops = stops(&heap.take_events());
    assert_eq!((stops.len(), heap.statistics().collections), (1, 1));
}

#[test]
fn a_buffer_for_which_there_is_no_memory_is_refused_in_words() {
    for events in [usize::MAX, usize::MAX / 2, usize::MAX / size_of::<Event>()] {
        let error = Heap::builder().event_capacity(events).build().unwrap_err();
        assert!(matches!(error, BuildError::EventCapacity { events: e } if e == events));
        let text = error.to_string();
        assert!(
            text.contains(&events.to_string()) && text.contains("smaller"),
            "{text}"
        );
    }
}

// ---- listeners

/// Remembers what it was told, and on which thread.
#[derive(Default)]
struct Memory(Mutex<Vec<(ThreadId, Event)>>);

impl Listener for Memory {
    fn event(&self, event: &Event) {
        self.0
            .lock()
            .unwrap()
            .push((thread::current().id(), *event));
    }
}

/// A listener that is a closure.
struct Call<F>(F);

impl<F: Fn(&Event) + Send + Sync> Listener for Call<F> {
    fn event(&self, event: &Event) {
        (self.0)(event);
    }
}

#[test]
fn listeners_are_told_of_every_event_on_its_own_thread() {
    let (first, second) = (Arc::new(Memory::default()), Arc::new(Memory::default()));
    let heap = Heap::builder()
        .listener(first.clone())
        .listener(second.clone())
        .build()
        .unwrap();
    let threads = Mutex::new(BTreeMap::new());
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                heap.attach(|m| {
                    threads
                        .lock()
                        .unwrap()
                        .insert(m.number(), thread::current().id());
                    for round in 0..50 {
                        m.collect();
                        if round % 3 == 0 {
                            m.blocking(thread::yield_now);
                        }
                        m.safepoint();
                    }
                });
            });
        }
    });
    let threads = threads.into_inner().unwrap();
    let log = heap.take_events();
    let stops = stops(&log);
    let key = |event: &Event| {
        (
            event.mutator,
            event.from,
            event.until,
            format!("{:?}", event.kind),
        )
    };
    let logged: BTreeSet<_> = log.events.iter().map(key).collect();
    for memory in [first, second] {
        let told = memory.0.lock().unwrap();
        assert_eq!(
            told.iter()
                .map(|(_, event)| key(event))
                .collect::<BTreeSet<_>>(),
            logged
        );
        assert_eq!(told.len(), logged.len(), "once each");
        for (thread, event) in told.iter() {
            let mutator = match event.kind {
                EventKind::Arrived { stop } => stops[&stop].collection.unwrap().mutator,
                _ => event.mutator,
            };
            assert_eq!(threads[&mutator], *thread, "{event:?}");
        }
    }
}

/// Were a listener called inside the pause, it would wait here for ever for a mutator that stands
/// still.
#[test]
fn the_world_goes_on_before_listeners_are_told() {
    let polls = Arc::new(AtomicUsize::new(0));
    let listener = {
        let polls = polls.clone();
        move |_: &Event| {
            let before = polls.load(Ordering::Relaxed);
            while polls.load(Ordering::Relaxed) == before {
                thread::yield_now();
            }
        }
    };
    let main = thread::current().id();
    let listener = Call(move |event: &Event| {
        if thread::current().id() == main {
            listener(event);
        }
    });
    let heap = Heap::builder()
        .listener(Arc::new(listener))
        .build()
        .unwrap();
    let (attached, wait) = mpsc::channel();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            heap.attach(|m| {
                attached.send(()).unwrap();
                while !done.load(Ordering::Relaxed) {
                    m.safepoint();
                    polls.fetch_add(1, Ordering::Relaxed);
                }
            });
        });
        wait.recv().unwrap();
        heap.attach(|m| {
            (0..20).for_each(|_| m.collect());
            m.verify();
        });
        done.store(true, Ordering::Relaxed);
    });
}

/// No lock of the heap is held, so a listener may ask it what it likes.
#[test]
fn a_listener_may_use_the_heap() {
    let heap: Arc<OnceLock<Heap>> = Arc::default();
    let (taken, memory) = (
        Arc::new(AtomicUsize::new(0)),
        Arc::new(Mutex::new(Vec::new())),
    );
    let listener = {
        let (heap, taken, memory) = (heap.clone(), taken.clone(), memory.clone());
        Call(move |_: &Event| {
            let heap = heap.get().unwrap();
            taken.fetch_add(heap.take_events().events.len(), Ordering::Relaxed);
            memory.lock().unwrap().push(vec![heap.statistics(); 100]);
        })
    };
    let built = Heap::builder()
        .listener(Arc::new(listener))
        .build()
        .unwrap();
    heap.set(built).unwrap();
    let handle = heap.get().unwrap();
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                handle.attach(|m| {
                    m.frame(|m, [object]| {
                        for _ in 0..50 {
                            m.alloc_init(object, Flags::NONE, [object], [1]).unwrap();
                            drop(m.global(m.get(object).unwrap()));
                            m.collect();
                        }
                    });
                });
            });
        }
    });
    let stops = handle.statistics().collections as usize;
    assert!(taken.load(Ordering::Relaxed) >= 2 * stops);
    assert!(memory.lock().unwrap().len() >= 2 * stops);
}

/// Panics end in the listener, wherever it was called: while allocating, at a safepoint, when a
/// blocking region is left by a panic. It is not called again; others are; the heap notices
/// nothing.
#[test]
fn a_listener_that_panics_is_not_called_again() {
    /// Panics when it is dropped, as the payload of a panic.
    struct Payload;
    impl Drop for Payload {
        fn drop(&mut self) {
            panic!("a payload is dropped");
        }
    }

    let (calls, others) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let (here, there) = (calls.clone(), others.clone());
    let panics = Call(move |_: &Event| {
        here.fetch_add(1, Ordering::Relaxed);
        panic_any(Payload);
    });
    let heap = Heap::builder()
        .limit(1 << 20)
        .poison(true)
        .listener(Arc::new(panics))
        .listener(Arc::new(Call(move |_: &Event| {
            there.fetch_add(1, Ordering::Relaxed);
        })))
        .build()
        .unwrap();
    heap.attach(|m| {
        m.frame(|m, [list]| {
            for word in 0..100_000 {
                if word % 1000 == 0 {
                    m.set(list, None);
                }
                m.alloc_move(list, Flags::NONE, [list], [word]).unwrap();
            }
            m.verify();
        });
    });
    assert_eq!(calls.load(Ordering::Relaxed), 1);
    assert!(others.load(Ordering::Relaxed) >= 2 * heap.statistics().collections);
}

#[test]
fn a_listener_may_panic_while_a_panic_leaves_a_blocking_region() {
    let calls = Arc::new(AtomicU64::new(0));
    let listener = {
        let calls = calls.clone();
        Call(move |_: &Event| {
            if calls.fetch_add(1, Ordering::Relaxed) == 0 {
                panic!("a listener's panic");
            }
        })
    };
    let collector = Arc::new(OnceLock::new());
    let listener = {
        let collector = collector.clone();
        Call(move |event: &Event| {
            // The collecting thread has nothing to panic about.
            if collector.get() != Some(&thread::current().id()) {
                listener.event(event);
            }
        })
    };
    let heap = Heap::builder()
        .listener(Arc::new(listener))
        .build()
        .unwrap();
    // Until a region was left while a stop was in progress.
    while calls.load(Ordering::Relaxed) == 0 {
        let ready = Barrier::new(2);
        thread::scope(|scope| {
            let unlucky = scope.spawn(|| {
                heap.attach(|m| {
                    let panic = catch_unwind(AssertUnwindSafe(|| {
                        m.blocking(|| {
                            ready.wait();
                            resume_unwind(Box::new("the program's panic"));
                        });
                    }));
                    let payload: Box<dyn std::any::Any + Send> = panic.unwrap_err();
                    assert_eq!(payload.downcast_ref(), Some(&"the program's panic"));
                    m.collect();
                });
            });
            scope.spawn(|| {
                heap.attach(|m| {
                    let _ = collector.set(thread::current().id());
                    m.blocking(|| ready.wait());
                    (0..20).for_each(|_| m.collect());
                });
            });
            unlucky.join().unwrap();
        });
    }
}

/// A thread that is attached already cannot attach in a listener; the panic that says so is the
/// listener's own.
#[test]
fn a_listener_cannot_attach() {
    let heap: Arc<OnceLock<Heap>> = Arc::default();
    let said = Arc::new(Mutex::new(Vec::new()));
    let listener = {
        let (heap, said) = (heap.clone(), said.clone());
        Call(move |_: &Event| {
            let attach = || heap.get().unwrap().attach(|_| ());
            let panic = catch_unwind(AssertUnwindSafe(attach)).unwrap_err();
            let text = panic.downcast_ref::<&str>().unwrap().to_string();
            said.lock().unwrap().push(text);
        })
    };
    let built = Heap::builder()
        .listener(Arc::new(listener))
        .build()
        .unwrap();
    heap.set(built).unwrap();
    heap.get().unwrap().attach(|m| m.collect());
    let said = said.lock().unwrap();
    assert_eq!(said.len(), 2);
    assert!(said[0].contains("already attached"), "{said:?}");
}

#[test]
fn a_buffer_of_no_events_leaves_the_listeners() {
    let statistics = Arc::new(PauseStatistics::new());
    let heap = Heap::builder()
        .event_capacity(0)
        .listener(statistics.clone())
        .build()
        .unwrap();
    heap.attach(|m| (0..5).for_each(|_| m.collect()));
    assert_eq!(statistics.read().collections, 5);
    let log = heap.take_events();
    assert_eq!((log.events.len(), log.lost), (0, 10));
}

/// The statistics are what a reader of the log would compute.
#[test]
fn statistics_agree_with_the_log() {
    let statistics = Arc::new(PauseStatistics::new());
    let heap = Heap::builder()
        .listener(statistics.clone())
        .build()
        .unwrap();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                heap.attach(|m| {
                    while !done.load(Ordering::Relaxed) {
                        (0..100).for_each(|_| std::hint::spin_loop());
                        m.safepoint();
                        // Reading waits for nobody, so it may be done anywhere.
                        assert!(statistics.read().longest_stop <= statistics.read().stopped);
                    }
                });
            });
        }
        heap.attach(|m| (0..100).for_each(|_| m.collect()));
        done.store(true, Ordering::Relaxed);
    });
    let log = heap.take_events();
    let stops = stops(&log);
    let read = statistics.read();
    let length = |event: &Event| event.until - event.from;
    let stopped: Vec<u64> = (stops.values())
        .flat_map(|stop| stop.stopped.values().map(length))
        .collect();
    assert_eq!(read.collections, stops.len() as u64);
    assert_eq!(read.stops, stopped.len() as u64);
    assert_eq!(
        read.stopped.as_nanos(),
        stopped.iter().map(|&ns| u128::from(ns)).sum()
    );
    assert_eq!(
        read.longest_stop.as_nanos() as u64,
        *stopped.iter().max().unwrap()
    );
    assert_eq!(read.histogram.iter().sum::<u64>(), read.stops);
    let mut laggards: BTreeMap<u32, u64> = BTreeMap::new();
    for arrived in stops.values().flat_map(|stop| stop.arrived.values()) {
        let longest = laggards.entry(arrived.mutator).or_default();
        *longest = length(arrived).max(1).max(*longest);
    }
    let nanoseconds = |(mutator, time): (u32, Duration)| (mutator, time.as_nanos() as u64);
    let told: BTreeMap<_, _> = statistics.laggards().map(nanoseconds).collect();
    assert_eq!(told, laggards);
    let longest = told.values().max().copied().unwrap_or(0);
    assert!(read.longest_time_to_safepoint >= Duration::from_nanos(longest) || longest == 1);
}

/// The collections of a log.
fn collections(log: &EventLog) -> Vec<EventKind> {
    let kinds = log.events.iter().map(|event| event.kind);
    kinds
        .filter(|kind| matches!(kind, EventKind::Collection { .. }))
        .collect()
}

#[test]
fn a_collection_says_who_wanted_it_and_what_it_found() {
    const GARBAGE: u64 = 1000;
    let heap = Heap::builder().limit(4 << 20).build().unwrap();
    heap.attach(|m| {
        m.frame(|m, [object]| {
            for _ in 0..GARBAGE {
                m.alloc(object, Shape::new(0, 3)).unwrap();
            }
            m.collect();
        });
    });
    let [
        EventKind::Collection {
            explicit,
            object_bytes,
            live_bytes,
            committed_bytes,
            cpu_ns,
            ..
        },
    ] = collections(&heap.take_events())[..]
    else {
        panic!("one collection");
    };
    assert!(explicit);
    assert_eq!(live_bytes, 32);
    // What the mutator had allocated from its current hole it may not have said yet.
    assert!(
        (32..=32 * GARBAGE).contains(&object_bytes),
        "{object_bytes}"
    );
    assert!(committed_bytes > 0 && cpu_ns > 0);
    assert_eq!(heap.statistics().live_bytes, Some(32));

    heap.attach(|m| {
        m.frame(|m, [object]| {
            while heap.statistics().collections < 3 {
                m.alloc(object, Shape::new(0, 3)).unwrap();
            }
        });
    });
    for collection in collections(&heap.take_events()) {
        let EventKind::Collection {
            explicit,
            object_bytes,
            live_bytes,
            ..
        } = collection
        else {
            unreachable!()
        };
        assert!(!explicit, "an allocation wanted it");
        assert!(object_bytes > 1 << 20 && live_bytes == 32, "{collection:?}");
    }
}

/// With helpers, the processor time of a collection is that of all of them.
#[test]
fn helpers_time_is_counted() {
    const NODES: usize = 300_000;
    let heap = Heap::builder().marking_workers(4).build().unwrap();
    heap.attach(|m| {
        m.frame(|m, [table, node]| {
            m.alloc(table, Shape::new(NODES as u32, 0)).unwrap();
            for index in 0..NODES {
                m.alloc(node, Shape::new(1, 0)).unwrap();
                m.store(m.get(table).unwrap(), index, m.get(node));
            }
            m.collect();
            m.collect();
        });
    });
    let log = heap.take_events();
    let spans = log.events.iter().filter_map(|event| match event.kind {
        EventKind::Collection { cpu_ns, .. } => Some((cpu_ns, event.until - event.from)),
        _ => None,
    });
    for (cpu_ns, length) in spans {
        // It cannot be more than all four, all the time, and what helpers spent looking for work
        // since the last one.
        assert!(0 < cpu_ns && cpu_ns <= 8 * length, "{cpu_ns} of {length}");
    }
}

/// Blocks in which every other granule pair lives, so that none has a hole for a larger object: the
/// search through them is told.
#[test]
fn a_long_search_for_memory_is_told() {
    const OBJECTS: usize = 400_000;
    let heap = Heap::builder()
        .limit(64 << 20)
        .generations(Generations::Off)
        .build()
        .unwrap();
    heap.attach(|m| {
        m.frame(|m, [table, object]| {
            m.alloc(table, Shape::new(OBJECTS as u32, 0)).unwrap();
            for index in 0..OBJECTS {
                m.alloc(object, Shape::new(0, 3)).unwrap();
                if index % 2 == 0 {
                    m.store(m.get(table).unwrap(), index, m.get(object));
                }
            }
            m.collect();
            heap.take_events();
            m.alloc(object, Shape::new(0, 20)).unwrap();
        });
    });
    let log = heap.take_events();
    let stalls: Vec<_> = log
        .events
        .iter()
        .filter(|event| event.kind == EventKind::Stall)
        .collect();
    assert_eq!(stalls.len(), 1, "{log:?}");
    assert!(stalls[0].until - stalls[0].from >= STALL_EVENT_MINIMUM.as_nanos() as u64);
}
