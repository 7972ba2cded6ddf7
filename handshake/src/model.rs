use super::*;
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;

/// A mutator whose `heap_access` stands for everything that invariant 1 protects: loom reports any
/// access by two threads that is not ordered.
struct Toy {
    party: Party,
    owned: UnsafeCell<u32>,
}

// SAFETY: the party is inside.
unsafe impl Member for Toy {
    fn party(&self) -> &Party {
        &self.party
    }
}

// SAFETY: `owned` is touched by its owner while running and by the collector while its owner is
// stopped, which is what the model checks.
unsafe impl Sync for Toy {}

impl Toy {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            party: Party::new(),
            owned: UnsafeCell::new(0),
        })
    }

    fn touch(&self) {
        // SAFETY: loom checks that no other access is concurrent.
        self.owned.with_mut(|owned| unsafe { *owned += 1 });
    }
}

fn pointer(toy: &Arc<Toy>) -> NonNull<Toy> {
    NonNull::from(&**toy)
}

fn collect(handshake: &Handshake<Toy>, me: NonNull<Toy>, target: u64) -> bool {
    let Some(world) = handshake.stop(me, target).world else {
        return false;
    };
    world.for_each(Toy::touch);
    let report = world.resume();
    assert!(report.requested <= report.stopped);
    for (index, arrival) in report.arrivals.iter().enumerate() {
        assert!((report.requested..=report.stopped).contains(&arrival.at));
        let others = &report.arrivals[..index];
        assert!(others.iter().all(|other| other.mutator != arrival.mutator));
    }
    true
}

fn check(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(2);
    builder.check(model);
}

/// Attaches `toy`; says for how many stops it had to wait.
fn attach(handshake: &Handshake<Toy>, toy: &Arc<Toy>, number: u32) -> u64 {
    // SAFETY: models keep their toys until after `detach`.
    let wait =
        unsafe { handshake.attach(pointer(toy), number, Name::new(format_args!(""))) }.unwrap();
    // From now on no stop can end that this mutator does not take part in.
    wait.map_or(0, |wait| handshake.completed() + 1 - wait.stop)
}

/// Attaches `toy`, runs `f`, detaches.
fn attached(handshake: &Handshake<Toy>, toy: &Arc<Toy>, number: u32, f: impl FnOnce()) {
    assert!(attach(handshake, toy, number) <= 1);
    f();
    handshake.detach(pointer(toy));
}

#[test]
fn a_stop_excludes_a_mutator_that_polls_and_detaches() {
    check(|| {
        let handshake = Arc::new(Handshake::new(None, Clock::new()).unwrap());
        let (one, two) = (Toy::new(), Toy::new());
        let other = {
            let (handshake, two) = (handshake.clone(), two.clone());
            thread::spawn(move || {
                attached(&handshake, &two, 2, || {
                    two.touch();
                    if two.party.armed() {
                        handshake.park(&two.party);
                    }
                    two.touch();
                });
            })
        };
        attached(&handshake, &one, 1, || {
            one.touch();
            assert!(collect(&handshake, pointer(&one), 1));
            one.touch();
        });
        other.join().unwrap();
    });
}

#[test]
fn a_stop_excludes_a_mutator_that_enters_and_leaves_a_blocking_region() {
    check(|| {
        let handshake = Arc::new(Handshake::new(None, Clock::new()).unwrap());
        let (one, two) = (Toy::new(), Toy::new());
        let other = {
            let (handshake, two) = (handshake.clone(), two.clone());
            thread::spawn(move || {
                attached(&handshake, &two, 2, || {
                    two.touch();
                    handshake.enter_blocking(&two.party);
                    handshake.leave_blocking(&two.party);
                    two.touch();
                });
            })
        };
        attached(&handshake, &one, 1, || {
            assert!(collect(&handshake, pointer(&one), 1));
            one.touch();
        });
        other.join().unwrap();
    });
}

/// One that stays in a blocking region until the stop is over has told the collector so, however
/// the two met.
#[test]
fn a_mutator_that_blocks_until_the_stop_is_over_keeps_nobody_waiting() {
    check(|| {
        let handshake = Arc::new(Handshake::new(None, Clock::new()).unwrap());
        let over = Arc::new((Mutex::new(false), Condvar::new()));
        let (one, two) = (Toy::new(), Toy::new());
        attach(&handshake, &one, 1);
        attach(&handshake, &two, 2);
        let other = {
            let (handshake, two, over) = (handshake.clone(), two.clone(), over.clone());
            thread::spawn(move || {
                two.touch();
                handshake.enter_blocking(&two.party);
                let mut is_over = over.0.lock().unwrap();
                while !*is_over {
                    is_over = over.1.wait(is_over).unwrap();
                }
                drop(is_over);
                handshake.leave_blocking(&two.party);
                two.touch();
                handshake.detach(pointer(&two));
            })
        };
        assert!(collect(&handshake, pointer(&one), 1));
        *over.0.lock().unwrap() = true;
        over.1.notify_one();
        handshake.detach(pointer(&one));
        other.join().unwrap();
    });
}

#[test]
fn two_racing_triggers_make_one_collection() {
    check(|| {
        let handshake = Arc::new(Handshake::new(None, Clock::new()).unwrap());
        let (one, two) = (Toy::new(), Toy::new());
        attach(&handshake, &one, 1);
        attach(&handshake, &two, 2);
        let other = {
            let (handshake, two) = (handshake.clone(), two.clone());
            thread::spawn(move || {
                let collected = collect(&handshake, pointer(&two), 1);
                two.touch();
                handshake.detach(pointer(&two));
                collected
            })
        };
        let mine = collect(&handshake, pointer(&one), 1);
        one.touch();
        handshake.detach(pointer(&one));
        let theirs = other.join().unwrap();
        assert!(mine ^ theirs, "one collection, not none and not two");
    });
}

#[test]
fn two_collections_in_a_row_do_not_let_a_late_waker_run() {
    check(|| {
        let handshake = Arc::new(Handshake::new(None, Clock::new()).unwrap());
        let (one, two) = (Toy::new(), Toy::new());
        attach(&handshake, &one, 1);
        attach(&handshake, &two, 2);
        let other = {
            let (handshake, two) = (handshake.clone(), two.clone());
            thread::spawn(move || {
                if two.party.armed() {
                    handshake.park(&two.party);
                }
                two.touch();
                handshake.detach(pointer(&two));
            })
        };
        assert!(collect(&handshake, pointer(&one), 1));
        assert!(collect(&handshake, pointer(&one), 2));
        handshake.detach(pointer(&one));
        other.join().unwrap();
    });
}

#[test]
fn two_mutators_and_a_collector_meet() {
    check(|| {
        let handshake = Arc::new(Handshake::new(None, Clock::new()).unwrap());
        let toys = [Toy::new(), Toy::new(), Toy::new()];
        attach(&handshake, &toys[0], 0);
        let others: Vec<_> = (1..3)
            .map(|i| {
                let (handshake, toy) = (handshake.clone(), toys[i].clone());
                thread::spawn(move || {
                    attached(&handshake, &toy, i as u32, || {
                        if i == 1 {
                            handshake.enter_blocking(&toy.party);
                            handshake.leave_blocking(&toy.party);
                        } else if toy.party.armed() {
                            handshake.park(&toy.party);
                        }
                        toy.touch();
                    });
                })
            })
            .collect();
        collect(&handshake, pointer(&toys[0]), 1);
        handshake.detach(pointer(&toys[0]));
        for other in others {
            other.join().unwrap();
        }
    });
}

#[test]
fn a_thread_that_attaches_waits_for_one_stop_at_most() {
    check(|| {
        let handshake = Arc::new(Handshake::new(None, Clock::new()).unwrap());
        let (one, two) = (Toy::new(), Toy::new());
        attach(&handshake, &one, 1);
        let other = {
            let (handshake, two) = (handshake.clone(), two.clone());
            thread::spawn(move || {
                attached(&handshake, &two, 2, || {
                    two.touch();
                    if two.party.armed() {
                        handshake.park(&two.party);
                    }
                    two.touch();
                });
            })
        };
        assert!(collect(&handshake, pointer(&one), 1));
        assert!(collect(&handshake, pointer(&one), 2));
        one.touch();
        handshake.detach(pointer(&one));
        other.join().unwrap();
    });
}

/// Whoever has waited for others to attach may find that another trigger was quicker: then it has
/// stood still for that one, and says so.
#[test]
fn a_trigger_that_stood_still_for_another_knows_for_which() {
    check(|| {
        let handshake = Arc::new(Handshake::new(None, Clock::new()).unwrap());
        let (one, two, three) = (Toy::new(), Toy::new(), Toy::new());
        attach(&handshake, &one, 1);
        attach(&handshake, &two, 2);
        let other = {
            let (handshake, two) = (handshake.clone(), two.clone());
            thread::spawn(move || {
                let stop = handshake.stop(pointer(&two), 2);
                // Not the collector of a stop that is over: it has waited for one.
                assert!(stop.world.is_some() || stop.waited.is_some());
                drop(stop);
                two.touch();
                handshake.detach(pointer(&two));
            })
        };
        let visitor = {
            let (handshake, three) = (handshake.clone(), three.clone());
            thread::spawn(move || attached(&handshake, &three, 3, || three.touch()))
        };
        collect(&handshake, pointer(&one), 1);
        collect(&handshake, pointer(&one), 2);
        handshake.detach(pointer(&one));
        other.join().unwrap();
        visitor.join().unwrap();
    });
}
