//! Models of retiring and reclaiming, run under every interleaving within a preemption bound:
//! `RUSTFLAGS="--cfg loom" cargo test -p gc-rc --release --lib loom`.
//!
//! The functions are those of the heap ([`super::word`], [`super::object_lock`], [`super::biased`],
//! [`super::epoch`]); what is modelled around them is one object, which fields and locals of two
//! mutators refer to, and what the operations of [`super::mutator`] and [`super::reclaim`] do in
//! order, once for each [`Way`] to count. Its body is ordinary memory: freeing it is an access that
//! conflicts with every other, so that loom reports whatever may come too early.

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::sync::atomic::Ordering::{self, Acquire, Relaxed, Release, SeqCst};
use loom::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize};
use loom::thread;

use super::epoch::{AGE, Epoch, Seen};
use super::object_lock;
use super::owners::Slot;
use super::parts::{Asked, Dropped, Half, LEVEL, OWN, OWNER_SHIFT, Parts};
use super::word::{self, Look, Released, Word};
use crate::object::{ONE, OWNED, edges, tag};
use crate::primitive::fence;

fn check(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(model);
}

/// How counts and fields are changed.
#[derive(Clone, Copy, PartialEq)]
enum Way {
    Atomic,
    ObjectLock,
    /// The object has this mutator for its owner.
    Biased(usize),
}

const WAYS: [Way; 4] = [Way::Atomic, Way::ObjectLock, Way::Biased(0), Way::Biased(1)];

/// The number of a mutator's slot, where an owner's word has it.
fn base(me: usize) -> u32 {
    (me as u32 + 1) << OWNER_SHIFT
}

/// Adds a reference, as the owner if it is this mutator.
fn retain(parts: &Parts<'_, impl Word, impl Half>, base: u32, note: u64) {
    if parts.retain_own(base, note).is_err() {
        parts.retain_with_others(note);
    }
}

/// Waits for the lock of an object.
fn wait(_: &AtomicU64) {
    thread::yield_now();
}

/// An owner's word. It is part of the object's memory: nobody has to do with it when that is freed.
struct OwnWord {
    word: AtomicU32,
    memory: UnsafeCell<()>,
}

impl OwnWord {
    fn new(word: u32) -> Self {
        Self {
            word: AtomicU32::new(word),
            memory: UnsafeCell::new(()),
        }
    }
}

impl Half for OwnWord {
    fn load(&self, order: Ordering) -> u32 {
        self.memory.with(|_| self.word.load(order))
    }

    fn store(&self, value: u32, order: Ordering) {
        self.memory.with(|_| self.word.store(value, order));
    }
}

/// One object, and what two mutators know of it.
struct Heap {
    way: Way,
    /// The head of the object that has the fields: its lock.
    container: AtomicU64,
    epoch: Epoch,
    seen: [Seen; 2],
    word: AtomicU64,
    stamp: AtomicU32,
    /// The owner's word, and the owner's slot.
    own: OwnWord,
    slot: Slot<()>,
    /// The owner was named the object, and has it retired since.
    answered: AtomicBool,
    body: UnsafeCell<u32>,
    /// Whether it was freed: at most once.
    freed: AtomicBool,
    /// Fields: 1 refers to the object.
    fields: [AtomicUsize; 2],
    /// A weak reference that refers to it.
    weak: AtomicUsize,
}

// SAFETY: loom checks that accesses to the body are ordered.
unsafe impl Sync for Heap {}

impl Heap {
    /// An object with a reference in field 0.
    fn new(way: Way, tag: u64) -> Arc<Self> {
        let epoch = Epoch::new();
        let stamp = epoch.old_stamp();
        let (head, own) = match way {
            Way::Biased(owner) => (u64::from(LEVEL) << 32, base(owner) + OWN),
            _ => (ONE, 0),
        };
        let slot = Slot::new();
        slot.arrive();
        Arc::new(Self {
            way,
            container: AtomicU64::new(ONE),
            epoch,
            seen: [Seen::absent(), Seen::absent()],
            word: AtomicU64::new(head | tag | edges::IN),
            stamp: AtomicU32::new(stamp),
            own: OwnWord::new(own),
            slot,
            answered: AtomicBool::new(false),
            body: UnsafeCell::new(0),
            freed: AtomicBool::new(false),
            fields: [AtomicUsize::new(1), AtomicUsize::new(0)],
            weak: AtomicUsize::new(1),
        })
    }

    /// A quiescent point.
    fn arrive(&self, me: usize) {
        self.epoch.announce(&self.seen[me]);
        self.answer(me);
    }

    /// Before the mutator detaches. `retired`: it has the object on its list, which becomes
    /// somebody else's.
    fn leave(&self, me: usize, retired: bool) {
        if retired && let Way::Biased(_) = self.way {
            let word = self.own.load(Relaxed);
            if word != 0 && word >> OWNER_SHIFT == base(me) >> OWNER_SHIFT {
                self.parts().merge_listed(word);
            }
        }
        if self.way == Way::Biased(me) {
            while !self.slot.leave() {
                self.answer(me);
            }
            if self.answered.load(Relaxed) {
                let waits = self.reclaim(me);
                self.answered.store(waits, Relaxed);
            }
        }
        self.seen[me].leave();
    }

    fn parts(&self) -> Parts<'_, AtomicU64, OwnWord> {
        Parts {
            head: &self.word,
            own: &self.own,
        }
    }

    /// The owner answers what it was asked.
    fn answer(&self, me: usize) {
        if self.way != Way::Biased(me) || !self.slot.is_asked() {
            return;
        }
        for () in self.slot.take() {
            if self.parts().answer(base(me)).is_some() {
                assert!(!self.answered.swap(true, Relaxed), "retired twice");
            }
        }
    }

    /// What became of a release. Returns the object's head if the caller is to retire it. If there
    /// are references in that, it is not dead.
    fn follow(&self, dropped: Dropped) -> Option<u64> {
        match dropped {
            Dropped::Kept => None,
            Dropped::Last(head) => Some(head & (ONE - 1)),
            Dropped::Below => match self.parts().name((), |_| Some(&self.slot)) {
                Asked::Owner => None,
                Asked::Merged(head) => head,
                Asked::Caller(head) => Some(head),
                asked => panic!("{asked:?}: there is memory, and no fork"),
            },
        }
    }

    /// How many references there are.
    fn count(&self) -> u64 {
        match self.way {
            Way::Biased(_) => self.parts().references() as u64,
            _ => Word::load(&self.word, Acquire) / ONE,
        }
    }

    fn read(&self) {
        // SAFETY: loom checks that nobody frees it meanwhile.
        self.body.with(|body| assert_eq!(unsafe { *body }, 0));
    }

    fn load(&self, field: usize) -> bool {
        self.fields[field].load(Acquire) == 1
    }

    /// Changes a field. Returns whether the object is the caller's to retire.
    fn store(&self, me: usize, field: usize, value: usize) -> bool {
        let field = &self.fields[field];
        let exchange = || {
            let old = field.load(Relaxed);
            field.store(value, Release);
            old
        };
        let old = match (self.way, value) {
            (Way::Atomic, value) => {
                if value == 1 {
                    word::retain(&self.word);
                }
                field.swap(value, SeqCst)
            }
            (Way::Biased(_), value) => {
                if value == 1 {
                    retain(&self.parts(), base(me), edges::IN);
                }
                field.swap(value, SeqCst)
            }
            (Way::ObjectLock, 0) => {
                let head = object_lock::lock(&self.container, &wait);
                let old = exchange();
                object_lock::unlock(&self.container, head);
                old
            }
            (Way::ObjectLock, _) => {
                let words = [&self.container, &self.word];
                let [container, head] = object_lock::lock_both(words, &wait);
                let old = exchange();
                object_lock::unlock(&self.word, object_lock::with_reference(head));
                object_lock::unlock(&self.container, container);
                old
            }
        };
        old == 1 && self.release(me)
    }

    fn release(&self, me: usize) -> bool {
        let released = match self.way {
            Way::Atomic => {
                self.stamp.store(self.epoch.stamp(), Relaxed);
                word::release(&self.word)
            }
            Way::ObjectLock => {
                let stamp = || self.stamp.store(self.epoch.stamp_under_lock(), Relaxed);
                object_lock::release(&self.word, &wait, stamp)
            }
            Way::Biased(_) => {
                let stamp = || self.stamp.store(self.epoch.stamp(), Relaxed);
                return match self.parts().release_own(base(me), stamp) {
                    Ok(()) => false,
                    Err(word) => {
                        stamp();
                        self.follow(self.parts().release(base(me), word)).is_some()
                    }
                };
            }
        };
        matches!(released, Released::Last(_))
    }

    /// What a cascade does with the object when it has freed another that referred to it, and had
    /// been out of reach for a grace period. Returns whether it has it retired.
    fn lose_parent(&self, me: usize) -> bool {
        let released = match self.way {
            Way::Atomic => word::release(&self.word),
            Way::ObjectLock => object_lock::release(&self.word, &wait, || ()),
            Way::Biased(_) => {
                let dropped = match self.parts().release_own(base(me), || ()) {
                    Ok(()) => return false,
                    Err(word) => self.parts().release(base(me), word),
                };
                match self.follow(dropped) {
                    Some(head) if head < ONE => Released::Last(head),
                    followed => return followed.is_some(),
                }
            }
        };
        let Released::Last(head) = released else {
            return false;
        };
        let is_settling = match self.way {
            Way::Biased(_) => self.parts().is_settling(base(me)),
            _ => false,
        };
        let retired = head & tag::HAS_WEAK != 0
            || self.epoch.is_young(self.stamp.load(Relaxed))
            || is_settling;
        if !retired {
            self.free();
        }
        retired
    }

    fn look(&self, me: usize) -> Look {
        match self.way {
            Way::Biased(_) => self.parts().look(base(me)),
            Way::Atomic => word::look(&self.word),
            Way::ObjectLock => object_lock::look(&self.word, &wait),
        }
    }

    fn forget_weak(&self) {
        match self.way {
            Way::Atomic | Way::Biased(_) => {
                word::forget(&self.word, tag::HAS_WEAK);
                self.stamp.store(self.epoch.stamp(), SeqCst);
            }
            Way::ObjectLock => {
                object_lock::change(&self.word, &wait, |head| {
                    self.stamp.store(self.epoch.stamp_under_lock(), Relaxed);
                    head & !tag::HAS_WEAK
                });
            }
        }
    }

    fn advance(&self) -> bool {
        self.epoch.advance(|see| self.seen.iter().for_each(see))
    }

    /// What a mutator does with an object that it has retired, as far as it gets. Returns whether
    /// it is not done with it.
    fn reclaim(&self, me: usize) -> bool {
        self.epoch.announce(&self.seen[me]);
        let sealed = self.epoch.now();
        for _ in 0..AGE {
            if !self.advance() {
                break;
            }
            self.epoch.announce(&self.seen[me]);
        }
        self.look_again(me, sealed)
    }

    /// The same, of one that waits for the others.
    fn reclaim_patiently(&self, me: usize) -> bool {
        self.epoch.announce(&self.seen[me]);
        let sealed = self.epoch.now();
        for _ in 0..AGE {
            while !self.advance() {
                thread::yield_now();
            }
            self.epoch.announce(&self.seen[me]);
        }
        self.look_again(me, sealed)
    }

    fn look_again(&self, me: usize, sealed: u64) -> bool {
        if self.epoch.now() - sealed < u64::from(AGE) {
            return true;
        }
        let Look::Zero(head) = self.look(me) else {
            return false;
        };
        if self.epoch.is_young(self.stamp.load(Relaxed)) {
            return true;
        }
        if head & tag::HAS_WEAK != 0 {
            self.weak.store(0, SeqCst);
            self.forget_weak();
            return true;
        }
        self.free();
        false
    }

    fn free(&self) {
        assert!(!self.freed.swap(true, Relaxed), "freed twice");
        let watched = self.word.load(Relaxed) & tag::HAS_WEAK;
        assert_eq!(watched, 0, "freed with weak references to it");
        // SAFETY: loom checks that nobody uses it meanwhile, or later.
        self.body.with_mut(|body| unsafe { *body = 1 });
        self.own.memory.with_mut(|_| ());
    }

    /// In the end, when both are gone: an object is retired by somebody, referred to, or freed.
    fn settle(&self, retired: usize) {
        let retired = retired + usize::from(self.answered.load(Relaxed));
        let mut head = self.word.load(Relaxed);
        if let Way::Biased(_) = self.way
            && !self.freed.load(Relaxed)
        {
            let word = self.own.load(Relaxed);
            assert_eq!(word == 0, head / ONE < u64::from(OWNED), "who has an owner");
            head = (head & (ONE - 1)) | self.count() << 32;
        }
        let fields = self
            .fields
            .iter()
            .filter(|field| field.load(Relaxed) == 1)
            .count();
        if self.freed.load(Relaxed) {
            assert_eq!((fields, retired), (0, 0));
            if !matches!(self.way, Way::Biased(_)) {
                assert_eq!(head / ONE, 0);
            }
        } else {
            assert_eq!(head / ONE, fields as u64, "a count that is wrong");
            assert_eq!(
                retired,
                usize::from(head & tag::QUEUED != 0),
                "retired once, if at all"
            );
            assert!(fields > 0 || retired > 0, "a leak");
        }
    }
}

/// Checks a model once for each way.
fn each_way(model: impl Fn(Way) + Copy + Sync + Send + 'static) {
    for way in WAYS {
        check(move || model(way));
    }
}

/// Runs `one` and `two` as mutators 0 and 1, each of which says whether it has the object retired.
fn two_mutators(
    tag: u64,
    one: impl Fn(&Heap) -> bool + Copy + Send + Sync + 'static,
    two: impl Fn(&Heap) -> bool + Copy + Send + Sync + 'static,
) {
    each_way(move |way| {
        let heap = Heap::new(way, tag);
        let other = {
            let heap = heap.clone();
            thread::spawn(move || {
                heap.arrive(1);
                let retired = two(&heap);
                heap.leave(1, retired);
                retired
            })
        };
        heap.arrive(0);
        let retired = one(&heap);
        heap.leave(0, retired);
        let retired = [retired, other.join().unwrap()];
        heap.settle(retired.into_iter().filter(|&retired| retired).count());
    });
}

/// Whoever has read a reference may use it until its next quiescent point, whatever becomes of it.
#[test]
fn what_was_read_is_not_freed() {
    two_mutators(
        0,
        |heap| heap.store(0, 0, 0) && heap.reclaim(0),
        |heap| {
            if heap.load(0) {
                heap.read();
            }
            heap.arrive(1);
            if heap.load(0) {
                heap.read();
            }
            false
        },
    );
}

/// A reference may come back as long as somebody holds one, and the look must not lose it.
#[test]
fn an_object_that_comes_back_stays() {
    two_mutators(
        0,
        |heap| heap.store(0, 0, 0) && heap.reclaim(0),
        |heap| {
            let retired = heap.load(0) && heap.store(1, 1, 1);
            if heap.load(1) {
                heap.read();
            }
            retired
        },
    );
}

/// It comes back, and goes again: whoever read it in between is waited for, too.
#[test]
fn an_object_that_comes_back_and_goes_is_waited_for_afresh() {
    two_mutators(
        0,
        |heap| {
            let mut retired = heap.store(0, 0, 0);
            retired = retired && heap.reclaim(0);
            if heap.load(1) {
                heap.read();
            }
            retired && heap.reclaim(0)
        },
        |heap| {
            let mut retired = heap.load(0) && heap.store(1, 1, 1);
            heap.arrive(1);
            retired |= heap.store(1, 1, 0);
            retired
        },
    );
}

/// A reference is taken away while the object is looked at, and found alive or not: whoever comes
/// last retires it, and no count is lost.
#[test]
fn a_look_loses_no_count() {
    two_mutators(
        0,
        |heap| heap.store(0, 0, 0) && heap.reclaim_patiently(0),
        |heap| {
            let mut retired = heap.load(0) && heap.store(1, 1, 1);
            for _ in 0..AGE {
                thread::yield_now();
                heap.arrive(1);
            }
            if heap.load(1) {
                retired |= heap.store(1, 1, 0);
                // What was read before it went is still there.
                heap.read();
            }
            retired
        },
    );
}

/// The epoch is moved on by a third, who has cut nothing off.
#[test]
fn whoever_moves_the_epoch_waits_for_all() {
    each_way(|way| {
        let heap = Heap::new(way, 0);
        heap.arrive(0);
        let reader = {
            let heap = heap.clone();
            thread::spawn(move || {
                heap.arrive(1);
                if heap.load(0) {
                    heap.read();
                }
                heap.leave(1, false);
            })
        };
        let mover = {
            let heap = heap.clone();
            thread::spawn(move || _ = heap.advance() && heap.advance())
        };
        let retired = heap.store(0, 0, 0) && heap.reclaim(0);
        heap.leave(0, retired);
        reader.join().unwrap();
        mover.join().unwrap();
        heap.settle(usize::from(retired));
    });
}

/// Both take their last reference away, and one of them retires the object.
#[test]
fn an_object_is_retired_once() {
    two_mutators(
        0,
        |heap| {
            heap.store(0, 1, 1);
            heap.arrive(0);
            heap.store(0, 0, 0)
        },
        |heap| heap.store(1, 1, 0),
    );
}

/// A weak reference yields the object, which then may be used, or nothing; never one that is gone.
#[test]
fn a_weak_reference_yields_no_dead_object() {
    two_mutators(
        tag::HAS_WEAK,
        |heap| heap.store(0, 0, 0) && heap.reclaim(0) && heap.reclaim(0),
        |heap| {
            if heap.weak.load(Acquire) == 1 {
                // The memory is still that of the object, also if it is dead.
                heap.read();
                if heap.count() > 0 {
                    return heap.store(1, 1, 1);
                }
            }
            false
        },
    );
}

/// Two stores that close a cycle between them: one of them notices.
#[test]
fn a_cycle_that_two_close_has_a_suspect() {
    check(|| {
        let heads = Arc::new([AtomicU64::new(ONE), AtomicU64::new(ONE)]);
        let store = |heads: &[AtomicU64; 2], from: usize| {
            let (from, to) = (&heads[from], &heads[1 - from]);
            word::note(from, edges::OUT);
            word::retain_in_field(to);
            // The exchange that stores the reference: loom takes sequentially consistent accesses
            // for weaker ones.
            fence(SeqCst);
            to.load(SeqCst) & edges::OUT != 0 && from.load(SeqCst) & edges::IN != 0
        };
        let other = {
            let heads = heads.clone();
            thread::spawn(move || store(&heads, 0))
        };
        let noticed = store(&heads, 1);
        assert!(noticed | other.join().unwrap());
        assert!(heads.iter().all(|head| head.load(Relaxed) / ONE == 2));
    });
}

/// The other thread is in an operation that it began an epoch before, with a reference that this
/// one cuts off in a later moment than its stamp says; what alone kept the object alive besides is
/// dead for almost a grace period.
#[test]
fn what_a_dead_object_refers_to_may_have_been_cut_off_a_moment_ago() {
    each_way(|way| {
        let heap = Heap::new(way, 0);
        // The reference of the dead object.
        match way {
            // Else the other one's word decides.
            Way::Biased(1) => return,
            Way::Biased(_) => heap.own.store(base(0) + 2 * OWN, Relaxed),
            _ => heap.word.store(2 * ONE, Relaxed),
        }
        heap.arrive(0);
        let died = heap.epoch.now();
        let reader = {
            heap.arrive(1);
            let heap = heap.clone();
            thread::spawn(move || {
                heap.advance();
                heap.arrive(1);
                if heap.load(0) {
                    heap.read();
                }
                heap.seen[1].leave();
            })
        };
        assert!(!heap.store(0, 0, 0));
        for _ in 0..AGE {
            heap.arrive(0);
            heap.advance();
        }
        if heap.epoch.now() - died >= u64::from(AGE) {
            let retired = heap.lose_parent(0);
            assert!(
                retired | heap.freed.load(Relaxed),
                "it was the last reference"
            );
        }
        heap.seen[0].leave();
        reader.join().unwrap();
    });
}

/// Whom a mover of the epoch finds absent sees, when it is there, what the mover knows.
#[test]
fn who_is_found_absent_comes_later() {
    check(|| {
        let epoch = Epoch::new();
        let state = Arc::new((epoch, Seen::absent(), AtomicUsize::new(1)));
        let reader = {
            let state = state.clone();
            thread::spawn(move || {
                let (epoch, seen, field) = &*state;
                epoch.announce(seen);
                field.load(Acquire)
            })
        };
        let (epoch, seen, field) = &*state;
        field.store(0, Relaxed);
        let advance = || epoch.advance(|see| see(seen));
        let passed = advance() && advance();
        let read = reader.join().unwrap();
        assert!(!passed || read == 0);
    });
}

/// Counts, tags and edges of one object, changed by two under its lock: nothing is lost.
#[test]
fn a_lock_loses_no_change() {
    check(|| {
        let word = Arc::new(AtomicU64::new(2 * ONE | tag::HAS_WEAK));
        let other = {
            let word = word.clone();
            thread::spawn(move || {
                object_lock::note(&*word, &wait, edges::OUT);
                object_lock::release(&*word, &wait, || ())
            })
        };
        object_lock::change(&*word, &wait, |head| head & !tag::HAS_WEAK);
        let released = [
            object_lock::release(&*word, &wait, || ()),
            other.join().unwrap(),
        ];
        let last = |released: &&Released| matches!(released, Released::Last(_));
        assert_eq!(released.iter().filter(last).count(), 1);
        assert_eq!(word.load(Relaxed), edges::OUT | tag::QUEUED);
    });
}

/// Two stores in opposite directions: they wait for each other, and not for ever.
#[test]
fn two_locks_are_taken_in_one_order() {
    check(|| {
        let heads = Arc::new([AtomicU64::new(ONE), AtomicU64::new(ONE)]);
        let both = |heads: &[AtomicU64; 2], from: usize| {
            let words = [&heads[from], &heads[1 - from]];
            let [from, to] = object_lock::lock_both(words, &wait);
            object_lock::unlock(words[1], to + ONE);
            object_lock::unlock(words[0], from | edges::OUT);
        };
        let other = {
            let heads = heads.clone();
            thread::spawn(move || both(&heads, 0))
        };
        both(&heads, 1);
        other.join().unwrap();
        assert!((heads.iter()).all(|head| head.load(Relaxed) == 2 * ONE | edges::OUT));
    });
}

/// Both parts of a count, changed by the owner, by another and by a merge: nothing is lost, and
/// whoever asks meanwhile finds a reference, as there is one all the time.
#[test]
fn a_merge_loses_no_reference() {
    check(|| {
        let parts = Arc::new((
            AtomicU64::new(u64::from(LEVEL) << 32 | tag::HAS_WEAK),
            AtomicU32::new(base(0) + OWN),
        ));
        fn of(parts: &(AtomicU64, AtomicU32)) -> Parts<'_, AtomicU64, AtomicU32> {
            Parts {
                head: &parts.0,
                own: &parts.1,
            }
        }
        let other = {
            let parts = parts.clone();
            thread::spawn(move || {
                retain(&of(&parts), base(1), edges::IN);
                let word = of(&parts).release_own(base(1), || ()).unwrap_err();
                let dropped = of(&parts).release(base(1), word);
                (dropped, of(&parts).references())
            })
        };
        of(&parts).note(base(0), edges::OUT);
        retain(&of(&parts), base(0), 0);
        of(&parts).merge_held(parts.1.load(Relaxed));
        assert_eq!(parts.1.load(Relaxed), 0);
        let (dropped, references) = other.join().unwrap();
        assert_eq!(dropped, Dropped::Kept);
        assert!(references >= 1, "it looked dead");
        let expected = 2 * ONE | tag::HAS_WEAK | edges::IN | edges::OUT;
        assert_eq!(parts.0.load(Relaxed), expected);
    });
}

/// Whoever looks for edges finds what was noted before, also while the object is merged.
#[test]
fn a_merge_hides_no_edge() {
    check(|| {
        let parts = Arc::new((
            AtomicU64::new(u64::from(LEVEL) << 32),
            AtomicU32::new(base(0) + OWN + 1),
        ));
        let other = {
            let parts = parts.clone();
            thread::spawn(move || {
                let (head, own) = (&parts.0, &parts.1);
                Parts { head, own }.edges()
            })
        };
        let (head, own) = (&parts.0, &parts.1);
        Parts { head, own }.merge_held(own.load(Relaxed));
        assert!(other.join().unwrap() & edges::IN != 0);
    });
}

/// The owner goes away, and comes back, while another lets go of what it has counted: it is told,
/// or the other one has merged the object.
#[test]
fn nothing_is_named_to_somebody_who_is_away() {
    two_mutators(
        0,
        |heap| {
            let mut retired = heap.store(0, 0, 0);
            if heap.way == Way::Biased(0) {
                heap.leave(0, retired);
                heap.slot.arrive();
                heap.arrive(0);
            }
            retired |= heap.store(0, 1, 0);
            retired
        },
        |heap| heap.load(0) && heap.store(1, 1, 1),
    );
}

/// The owner merges an object and goes away, while another is about to name it: that finds it
/// merged, and looks after it itself.
#[test]
fn who_names_finds_what_was_merged_meanwhile() {
    check(|| {
        let heap = Heap::new(Way::Biased(0), 0);
        // One reference is the other's, to let go of.
        heap.own.store(base(0) + 2 * OWN, Relaxed);
        let other = {
            let heap = heap.clone();
            thread::spawn(move || {
                heap.arrive(1);
                let retired = heap.release(1);
                heap.leave(1, retired);
                retired
            })
        };
        heap.arrive(0);
        // Unless it has answered by then.
        let word = heap.own.load(Relaxed);
        if word != 0 {
            heap.parts().merge_held(word);
        }
        heap.leave(0, false);
        let retired = other.join().unwrap();
        heap.settle(usize::from(retired));
    });
}

/// A reference is let go of and comes back, and the last one is the owner's to take away: whoever
/// was asked about it, or is about to be, has the object, and nobody else.
#[test]
fn what_comes_back_while_it_is_named_is_retired_once() {
    two_mutators(
        0,
        |heap| heap.load(1) && heap.store(0, 1, 0),
        |heap| {
            let found = heap.load(0);
            let mut retired = found && heap.store(1, 0, 0);
            if found {
                retired |= heap.store(1, 1, 1);
            }
            retired
        },
    );
}

/// Two objects that are dead both refer to the object, and two cascades let go of it at the same
/// time: the owner's, which merges it, and another.
#[test]
fn what_is_being_merged_does_not_die_under_its_owner() {
    check(|| {
        let heap = Heap::new(Way::Biased(0), 0);
        // A reference that the other one has counted, beside that of the owner.
        heap.fields[0].store(0, Relaxed);
        heap.word.store(u64::from(LEVEL + 1) << 32, Relaxed);
        two_cascades(&heap);
    });
}

/// The same of an object whose owner is away: one of the cascades merges it on the owner's behalf.
#[test]
fn what_is_being_merged_does_not_die_under_whoever_merges_it() {
    check(|| {
        let heap = Heap::new(Way::Biased(2), 0);
        heap.fields[0].store(0, Relaxed);
        heap.own.store(base(2) + 2 * OWN, Relaxed);
        assert!(heap.slot.leave());
        two_cascades(&heap);
    });
}

fn two_cascades(heap: &Arc<Heap>) {
    let cascade = |heap: &Heap, me| {
        heap.arrive(me);
        let retired = heap.lose_parent(me);
        let retired = retired && heap.reclaim(me);
        heap.leave(me, retired);
        retired
    };
    let other = {
        let heap = heap.clone();
        thread::spawn(move || cascade(&heap, 1))
    };
    let retired = [cascade(heap, 0), other.join().unwrap()];
    heap.settle(retired.into_iter().filter(|&retired| retired).count());
}

/// The owner, which has a reference, makes a weak one, while a cascade lets go of another reference
/// and is about to name the object: that is not dead. Then the owner lets go of its own.
#[test]
fn what_somebody_has_does_not_die_in_a_cascade() {
    for lets_go in [false, true] {
        check(move || {
            let heap = Heap::new(Way::Biased(0), 0);
            heap.own.store(base(0) + 2 * OWN, Relaxed);
            let other = {
                let heap = heap.clone();
                thread::spawn(move || {
                    heap.arrive(1);
                    let retired = heap.lose_parent(1);
                    heap.leave(1, retired);
                    retired
                })
            };
            heap.arrive(0);
            let word = heap.own.load(Relaxed);
            if word != 0 {
                heap.parts().merge_held(word);
            }
            word::note(&heap.word, tag::HAS_WEAK);
            heap.read();
            let retired = lets_go && heap.store(0, 0, 0);
            heap.leave(0, retired);
            let retired = [retired, other.join().unwrap()];
            heap.settle(retired.into_iter().filter(|&retired| retired).count());
        });
    }
}

/// An object that came back, and that nothing but a dead one referred to then, loses that reference
/// in a cascade and is looked at, while a weak reference gives it out: it goes to its finalizer, or
/// is somebody's again, or both; and no reference is lost.
#[test]
fn a_finalizer_takes_nothing_from_who_was_given_the_object() {
    for way in [Way::Atomic, Way::ObjectLock, Way::Biased(0)] {
        check(move || {
            let heap = Heap::new(way, 0);
            // The mutator 0 has it on its list.
            let tags = tag::HAS_WEAK | tag::FINALIZE | tag::QUEUED | edges::IN;
            heap.word.store(ONE | tags, Relaxed);
            heap.own.store(0, Relaxed);
            heap.fields[0].store(0, Relaxed);
            let other = {
                let heap = heap.clone();
                thread::spawn(move || {
                    heap.arrive(1);
                    let retired = heap.count() > 0 && heap.store(1, 1, 1);
                    heap.leave(1, retired);
                    retired
                })
            };
            heap.arrive(0);
            assert!(!heap.lose_parent(0), "it is queued already");
            let mut retired = false;
            if let Look::Zero(_) = heap.look(0) {
                if heap.epoch.is_young(heap.stamp.load(Relaxed)) {
                    retired = true;
                } else {
                    let bits = tag::FINALIZED | edges::OUT;
                    let claimed = match way {
                        Way::ObjectLock => object_lock::claim(&heap.word, &wait, bits),
                        _ => word::claim(&heap.word, bits),
                    };
                    // The reference of the queue.
                    heap.fields[0].store(usize::from(claimed), Relaxed);
                }
            }
            heap.leave(0, false);
            let retired = [retired, other.join().unwrap()];
            heap.settle(retired.into_iter().filter(|&retired| retired).count());
        });
    }
}
