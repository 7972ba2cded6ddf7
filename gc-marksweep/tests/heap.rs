//! What is particular to the mark-sweep heap, through its public interface.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use gc_marksweep::{
    BuildError, Builder, EventKind, Flags, FullCause, Generations, Heap, HeapFull, Local, Mutator,
    Shape,
};

const MIB: usize = 1 << 20;

fn heap(limit: usize) -> Heap {
    Heap::builder().limit(limit).poison(true).build().unwrap()
}

/// Pushes `length` nodes of `words` words in front of `list`.
fn push<'h, const WORDS: usize>(m: &mut Mutator<'h>, list: Local<'_, 'h>, length: u64) {
    for _ in 0..length {
        m.alloc_move(list, Flags::NONE, [list], [7; WORDS]).unwrap();
    }
}

#[test]
fn impossible_configurations_are_refused_in_words() {
    let too_small = Heap::builder().limit(1000).build().unwrap_err();
    assert!(matches!(
        too_small,
        BuildError::LimitTooSmall { limit: 1000 }
    ));
    assert!(too_small.to_string().contains("too small"));
    let too_deep = Heap::builder()
        .prefetch_depth(Builder::MAX_PREFETCH_DEPTH + 1)
        .build();
    assert!(matches!(too_deep, Err(BuildError::PrefetchDepth { .. })));
    for limit in [usize::MAX, usize::MAX / 2, usize::MAX / 4, 1 << 60] {
        let too_large = Heap::builder().limit(limit).build().unwrap_err();
        assert!(
            too_large.to_string().contains("choose a smaller limit"),
            "{too_large}"
        );
    }
}

#[test]
fn a_full_heap_says_why_in_one_line_of_its_own() {
    let causes = [FullCause::Limit, FullCause::System, FullCause::Overhead];
    let heap = heap(MIB);
    let full = heap.attach(|m| {
        m.frame(|m, [large]| m.alloc(large, Shape::new(0, 1 << 20)))
            .unwrap_err()
    });
    let lines = causes.map(|cause| HeapFull { cause, ..full }.to_string());
    for (index, line) in lines.iter().enumerate() {
        assert!(line.starts_with("heap full: "), "{line}");
        assert!(
            !line.contains(['\n', '\t']) && !line.contains("  "),
            "{line}"
        );
        assert!(line.contains("8388616 bytes"), "{line}");
        assert!(!lines[..index].contains(line), "{line}");
    }
}

/// A limit is no promise to use that much: the tables of a heap of a terabyte take what its blocks
/// in use need.
#[cfg(target_os = "linux")]
#[test]
fn an_enormous_limit_takes_no_memory_before_it_is_used() {
    let resident = || {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:"));
        let kibibytes = line.unwrap().split_whitespace().nth(1).unwrap();
        kibibytes.parse::<usize>().unwrap() << 10
    };
    let before = resident();
    let heap = Heap::builder().limit(1 << 40).build().unwrap();
    heap.attach(|m| m.collect());
    // Other tests use some meanwhile.
    let grown = resident().saturating_sub(before);
    assert!(grown < 200 * MIB, "{} MiB", grown / MIB);
}

/// What one collection has marked must not be marked for the next.
#[test]
fn marks_of_many_collections_do_not_mix() {
    heap(2 * MIB).attach(|m| {
        m.frame(|m, [kept, changing]| {
            push::<1>(m, kept, 100);
            for round in 0..600 {
                m.set(changing, None);
                push::<3>(m, changing, round % 50);
                if round % 20 == 0 {
                    m.verify();
                } else {
                    m.collect();
                }
            }
        });
    });
}

/// Blocks that are wholly dead are free for whatever comes next, small, medium or large.
#[test]
fn memory_moves_between_small_medium_and_large_objects() {
    let heap = heap(4 * MIB);
    heap.attach(|m| {
        m.frame(|m, [list, large]| {
            for _ in 0..5 {
                push::<1>(m, list, 60_000);
                m.set(list, None);
                push::<100>(m, list, 3_000);
                m.set(list, None);
                for _ in 0..10 {
                    m.alloc(large, Shape::new(10, 150_000)).unwrap();
                }
                m.set(large, None);
                m.verify();
            }
        });
    });
    let statistics = heap.statistics();
    assert!(statistics.peak_occupied_bytes <= 4 * MIB as u64);
    assert!(
        statistics.committed_bytes <= 5 * MIB as u64,
        "free memory of one kind makes room for the other: {statistics:?}"
    );
}

/// What cannot move needs more address space than it fills: holes that are too short are in
/// nobody's way.
#[test]
fn large_objects_fit_wherever_their_bytes_do() {
    heap(32 * MIB).attach(|m| {
        m.frame(|m, [table, object]| {
            m.alloc(table, Shape::new(1000, 0)).unwrap();
            let mut words = 10_000;
            let mut made = 0;
            // Each round fills half of what is free with objects, and lets go of every other one,
            // so that no hole does for the next.
            for _ in 0..6 {
                let first = made;
                for _ in 0..(64 * 10_000) / words {
                    m.alloc(object, Shape::new(0, words)).unwrap();
                    m.store(m.get(table).unwrap(), made, m.get(object));
                    made += 1;
                }
                m.set(object, None);
                for index in (first..made).step_by(2) {
                    m.store(m.get(table).unwrap(), index, None);
                }
                m.collect();
                words += words / 2;
            }
            m.verify();
        });
    });
}

/// The memory of large objects that have died is not kept on top of a limit's worth of blocks.
#[test]
fn small_objects_make_the_memory_of_dead_large_ones_go_back() {
    let heap = heap(8 * MIB);
    heap.attach(|m| {
        m.frame(|m, [list, large]| {
            push::<1>(m, list, 200_000);
            m.set(list, None);
            m.collect();
            m.alloc(large, Shape::new(0, 900_000)).unwrap();
            m.set(large, None);
            m.collect();
            push::<1>(m, list, 200_000);
            let statistics = heap.statistics();
            assert!(
                statistics.committed_bytes <= 9 * MIB as u64,
                "{statistics:?}"
            );
        });
    });
}

/// More words than 2^32, in objects of as many as there can be: address space only, none of it is
/// touched.
#[test]
fn statistics_count_enormous_objects() {
    let Ok(heap) = Heap::builder().limit(64 << 30).build() else {
        return; // A system that does not overcommit.
    };
    heap.attach(|m| {
        // All at once: memory that is used again would be cleared.
        m.frame(|m, objects: [_; 9]| {
            for object in objects {
                m.alloc(object, Shape::new(5, Shape::MAX_WORDS)).unwrap();
            }
        });
    });
    let statistics = heap.statistics();
    assert_eq!(statistics.allocated_objects, 9);
    assert_eq!(
        statistics.allocated_payload_bytes,
        9 * 8 * (u64::from(Shape::MAX_WORDS) + 5)
    );
}

/// From fresh blocks, and from the holes of blocks in which every other object is alive; the
/// smallest objects that there are.
#[test]
fn allocated_objects_lag_by_a_block_at_most_and_not_in_the_end() {
    let heap = heap(4 * MIB);
    let mut made = 0;
    let mut payload = 0;
    heap.attach(|m| {
        m.frame(|m, [list, other]| {
            for round in 0..3 {
                for _ in 0..20_000 {
                    m.alloc_move(other, Flags::NONE, [], []).unwrap();
                    made += 1;
                    if round == 0 {
                        m.alloc_move(list, Flags::NONE, [list, other], []).unwrap();
                        (made, payload) = (made + 1, payload + 16);
                        m.alloc_move(other, Flags::NONE, [], []).unwrap();
                        made += 1;
                    }
                    let known = heap.statistics().allocated_objects;
                    assert!(known <= made && made - known <= 4096, "{known} of {made}");
                }
                m.collect();
            }
        });
    });
    let statistics = heap.statistics();
    assert_eq!(statistics.allocated_objects, made);
    assert_eq!(statistics.allocated_payload_bytes, payload);
}

/// A stop does not stop threads that are not attached: they may drop a global between two walks of
/// one `verify`.
#[test]
fn globals_may_be_dropped_while_the_heap_is_verified() {
    let heap = heap(16 * MIB);
    let (sender, receiver) = mpsc::sync_channel(1);
    thread::scope(|scope| {
        scope.spawn(move || {
            for (number, global) in receiver.into_iter().enumerate() {
                thread::sleep(Duration::from_micros(50 * (number as u64 % 40)));
                drop(global);
            }
        });
        heap.attach(|m| {
            m.frame(|m, [list, ballast]| {
                push::<1>(m, ballast, 5_000);
                for _ in 0..150 {
                    push::<1>(m, list, 10);
                    let global = m.global(m.get(list).unwrap());
                    m.set(list, None);
                    m.blocking(|| sender.send(global).unwrap());
                    m.verify();
                }
            });
            drop(sender);
        });
    });
}

/// Whoever waited for a stop, in whatever way, has an event that lasts until the stop was over.
#[test]
fn waiting_for_somebody_elses_collection_is_an_event_of_its_length() {
    let heap = heap(64 * MIB);
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                heap.attach(|m| {
                    m.frame(|m, [list]| {
                        push::<1>(m, list, 20_000);
                        for round in 0..200 {
                            m.collect();
                            if round % 3 == 0 {
                                m.blocking(thread::yield_now);
                            }
                        }
                    });
                });
            });
        }
    });
    let log = heap.take_events();
    let mut marked_at = std::collections::BTreeMap::new();
    for event in &log.events {
        if let EventKind::Collection { stop, marked, .. } = event.kind {
            marked_at.insert(stop, marked);
        }
    }
    let mut waits = 0;
    for event in &log.events {
        if let EventKind::Stopped { stop } = event.kind {
            waits += 1;
            assert!(event.until >= marked_at[&stop], "{event:?}");
        }
    }
    assert!(waits > marked_at.len());
}

/// With every other object dead there are only holes of one object's size; medium objects need
/// whole blocks.
#[test]
fn fragmented_memory_is_used() {
    let heap = heap(4 * MIB);
    heap.attach(|m| {
        m.frame(|m, [table, object]| {
            const COUNT: usize = 40_000;
            m.alloc(table, Shape::new(COUNT as u32, 0)).unwrap();
            for index in 0..COUNT {
                m.alloc(object, Shape::new(0, 5)).unwrap();
                m.store(m.get(table).unwrap(), index, m.get(object));
            }
            let before = heap.statistics().occupied_bytes;
            for index in (0..COUNT).step_by(2) {
                m.store(m.get(table).unwrap(), index, None);
            }
            m.verify();
            for index in (0..COUNT).step_by(2) {
                m.alloc(object, Shape::new(0, 5)).unwrap();
                m.store(m.get(table).unwrap(), index, m.get(object));
            }
            m.verify();
            let after = heap.statistics().occupied_bytes;
            assert!(
                after <= before + before / 16,
                "{before} bytes before, {after} after"
            );
        });
    });
}

#[test]
fn events_tell_a_collections_times_in_order() {
    let heap = heap(4 * MIB);
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            heap.attach(|m| {
                while !done.load(Ordering::Relaxed) {
                    m.safepoint();
                }
            });
        });
        heap.attach(|m| {
            m.frame(|m, [list]| {
                push::<1>(m, list, 1000);
                for _ in 0..20 {
                    m.collect();
                }
            });
        });
        done.store(true, Ordering::Relaxed);
    });
    let log = heap.take_events();
    assert_eq!(log.lost, 0);
    let mut collections = 0;
    for event in &log.events {
        assert!(event.from <= event.until);
        if let EventKind::Collection {
            stop,
            stopped,
            rooted,
            marked,
            live_bytes,
            ..
        } = event.kind
        {
            collections += 1;
            assert_eq!(stop, collections);
            assert!(
                event.from <= stopped
                    && stopped <= rooted
                    && rooted <= marked
                    && marked <= event.until
            );
            assert_eq!(live_bytes, 1000 * 24);
            // Whoever collected also stood still.
            let own = |e: &&gc_marksweep::Event| {
                e.kind == (EventKind::Stopped { stop }) && e.mutator == event.mutator
            };
            assert_eq!(log.events.iter().filter(own).count(), 1);
        }
    }
    assert_eq!(collections, 20);
    assert!(heap.take_events().events.is_empty());
}

#[test]
fn events_that_do_not_fit_are_counted() {
    let heap = Heap::builder().event_capacity(3).build().unwrap();
    heap.attach(|m| (0..5).for_each(|_| m.collect()));
    let log = heap.take_events();
    assert_eq!((log.events.len(), log.lost), (3, 7));
}

/// A search for a hole of two kilobytes, in vain, must leave the small holes it saw to small
/// objects.
#[test]
fn medium_objects_that_fit_nowhere_do_not_use_up_small_holes() {
    let heap = Heap::builder()
        .limit(4 * MIB)
        .generations(Generations::Off)
        .build()
        .unwrap();
    heap.attach(|m| {
        m.frame(|m, [kept, garbage]| {
            // One object in four stays, so that every block has holes of 96 bytes.
            while heap.statistics().collections == 0 {
                push::<1>(m, kept, 1);
                for _ in 0..3 {
                    m.alloc(garbage, Shape::new(0, 3)).unwrap();
                }
            }
            m.collect();
            assert!(m.alloc(garbage, Shape::new(0, 255)).is_err());
            let before = heap.statistics();
            for _ in 0..50_000 {
                m.alloc(garbage, Shape::new(0, 3)).unwrap();
            }
            assert_eq!(heap.statistics().collections, before.collections);
            m.verify();
        });
    });
}

/// With few survivors among many blocks, nearly all holes are as large as the object that died
/// there, and a block has many of them.
#[test]
fn holes_that_medium_objects_leave_are_used_again() {
    const LIMIT: usize = 3 * MIB;
    for (least, most) in [
        (28, 28),
        (31, 31),
        (32, 32),
        (60, 60),
        (250, 250),
        (24, 300),
    ] {
        let heap = Heap::builder()
            .limit(LIMIT)
            .generations(Generations::Off)
            .build()
            .unwrap();
        // A tenth of the heap stays, and is replaced at random.
        let kept = LIMIT / 10 / (4 * (least + most));
        let mut random = 1_u64;
        let mut below = |most: usize| {
            random = random
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            (random >> 33) as usize % most
        };
        heap.attach(|m| {
            m.frame(|m, [table, object]| {
                m.alloc(table, Shape::new(kept as u32, 0)).unwrap();
                let mut allocated = 0;
                while allocated < 10 * LIMIT {
                    let words = least + below(most - least + 1);
                    m.alloc(object, Shape::new(0, words as u32)).unwrap();
                    allocated += 8 * (1 + words);
                    if below(8) == 0 {
                        m.store(m.get(table).unwrap(), below(kept), m.get(object));
                    }
                }
            });
        });
        let collections = heap.statistics().collections;
        assert!(collections <= 15, "{least} to {most} words: {collections}");
    }
}

/// One object in four stays, so that holes have 96 bytes, and there are free blocks besides. An
/// object of 200 bytes now and then must not use up the holes that it does not fit.
#[test]
fn small_objects_that_fit_nowhere_do_not_use_up_smaller_holes() {
    let heap = Heap::builder()
        .limit(4 * MIB)
        .generations(Generations::Off)
        .build()
        .unwrap();
    heap.attach(|m| {
        m.frame(|m, [kept, object]| {
            while heap.statistics().occupied_bytes < 2 * MIB as u64 {
                push::<1>(m, kept, 1);
                for _ in 0..3 {
                    m.alloc(object, Shape::new(0, 3)).unwrap();
                }
            }
            m.collect();
            let collections = heap.statistics().collections;
            let mut allocated = 0;
            while heap.statistics().collections == collections {
                m.alloc(object, Shape::new(0, 24)).unwrap();
                for _ in 0..1000 {
                    m.alloc(object, Shape::new(0, 3)).unwrap();
                }
                allocated += 200 + 1000 * 32;
            }
            assert!(allocated > 3 * MIB, "{allocated} bytes");
        });
    });
}
