//! The regime [`ObjectLock`]: a lock in every object.
//!
//! It is the alternative that a global lock is weighed against first: counts stay plain numbers and
//! fields plain memory, and each object is a critical section of its own. Who changes an object's
//! count, its tag or one of its fields holds its lock. Where an operation is about two objects, as
//! a store is, it holds both, taken in the order of their addresses, so that threads that wait for
//! each other's objects cannot deadlock.
//!
//! Reading a field takes no lock: it is one load, as in every regime, and grace periods keep what
//! it read. With a lock for that, too, reading would cost as much as counting does, and would
//! protect nothing more.
//!
//! # The lock
//!
//! It is a bit of the head ([`LOCKED`]), so that an object has no more bytes than with atomic
//! counts. It is *taken* by one read-modify-write and *dropped* by the store that writes the
//! changed head: what lies between is arithmetic on a number that nobody else changes.
//!
//! **Invariant.** While the world runs, the head of an object that others can reach is changed by
//! the holder of its lock alone. A store that drops the lock then loses nothing. There is no
//! read-modify-write of a head but the one that takes the lock, and that fails where the lock is
//! held: edges, `QUEUED`, the tags of weak references and finalizers are all changed under it
//! ([`change`]). The bits that stay once they are set are looked at before, by a load, and then
//! need no lock. The other writes of heads are of objects that nobody can reach: new ones, those
//! that die in a cascade, and free cells.
//!
//! Nothing under a lock waits for anything but the second lock of two. No mutator is at a safepoint
//! in an operation: so in a stopped world no object is locked, the carry of a collection has the
//! bit to itself, and [`verify`](crate::Mutator::verify) sees to that.
//!
//! # Waiting
//!
//! A lock is held for some ten instructions. Who finds one held looks for a moment; if it is held
//! still, the holder has probably lost its processor, and so the waiter gives up its own, a few
//! times at once, then for longer and longer times. So nobody burns a core for a thread that does
//! not run, and no wake-up can be lost, because there is none. What a waiter may lose is the time
//! until it looks again, after [`SHORTEST_SLEEP`] at the earliest; that is when the holder had no
//! processor for [`YIELDS`] turns of the scheduler.
//!
//! Rejected: a bit that says that somebody waits, with a queue to park in (`parking_lot_core`). Who
//! drops the lock would have to learn of the bit in the operation that drops it: a second
//! read-modify-write for every change of a count, or a store that overwrites the bit of whoever
//! came a moment before, who then sleeps for ever.
//!
//! # Grace periods
//!
//! A stamp ([`super::epoch`]) is written under the lock of its object, and the epoch is read for it
//! there. So the stamps of an object never go back, and neither fence nor exchange is needed where
//! a reference is cut off. Say that a mutator has announced *s* when it cuts off a reference. The
//! stamp is *s* at least, then and later: by the lock, whoever writes it next knows of what the one
//! before has read. Epoch *s* + 2 begins after that mutator has announced *s* + 1, thus after the
//! cut, and whoever moves the epoch on from there, and finds somebody absent, has a fence after
//! that. So when it is *s* + 3, everybody has announced an epoch that came after the cut, or was
//! absent then and sees it. That is where the stamp is old.
//!
//! # Cycles
//!
//! A store notes the edge at both ends and looks at both heads, under both locks. Of the stores
//! that close a cycle, the last one by the order of the locks sees what all others have noted.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Relaxed, Release};
use std::time::Duration;

use handshake::process::Resident;

use crate::event::EventKind;
use crate::mutator::Mutator;
use crate::object::{LOCKED, ONE, Object, Slot, edges, shared, tag};
use crate::primitive::Ordering;
use crate::regime::ObjectLock;
use crate::unlocked::word::{self, Look, Released, Word};
use crate::unlocked::{Counting, Replaced, stamp};

/// Looks at a lock before the processor is given up: a microsecond or two.
const LOOKS: u32 = 64;
/// Times that the processor is given up to whoever is ready to run.
const YIELDS: u32 = 16;
/// Then for some time, which doubles.
const SHORTEST_SLEEP: Duration = Duration::from_micros(50);
const LONGEST_SLEEP: Duration = Duration::from_millis(1);

/// Takes the lock of an object. Returns its head, as it is without the lock's bit. `wait` is called
/// while somebody else holds it.
#[inline(always)]
pub(super) fn lock<W: Word>(word: &W, wait: &impl Fn(&W)) -> u64 {
    let head = word.load(Ordering::Relaxed);
    if head & LOCKED == 0
        && word
            .exchange(head, head | LOCKED, Ordering::Acquire)
            .is_ok()
    {
        return head;
    }
    lock_late(word, wait)
}

#[cold]
#[inline(never)]
fn lock_late<W: Word>(word: &W, wait: &impl Fn(&W)) -> u64 {
    loop {
        let head = word.load(Ordering::Relaxed);
        if head & LOCKED != 0 {
            wait(word);
        } else if word
            .exchange(head, head | LOCKED, Ordering::Acquire)
            .is_ok()
        {
            return head;
        }
    }
}

/// Drops the lock of an object, whose head becomes `head`.
#[inline(always)]
pub(super) fn unlock(word: &impl Word, head: u64) {
    debug_assert!(head & LOCKED == 0, "a head with the bit of its lock");
    // Release: what was done under the lock, the stamp among it, is done.
    word.store(head, Ordering::Release);
}

/// Takes the locks of two objects. Returns their heads.
#[inline(always)]
pub(super) fn lock_both<W: Word>(words: [&W; 2], wait: &impl Fn(&W)) -> [u64; 2] {
    let [first, second] = words.map(|word| (&raw const *word).addr());
    let swapped = second < first;
    let order = usize::from(swapped);
    let low = lock(words[order], wait);
    let high = lock(words[1 - order], wait);
    if swapped { [high, low] } else { [low, high] }
}

/// Changes a head under its lock. Returns what it was.
#[inline(always)]
pub(super) fn change<W: Word>(
    word: &W,
    wait: &impl Fn(&W),
    change: impl FnOnce(u64) -> u64,
) -> u64 {
    let head = lock(word, wait);
    unlock(word, change(head));
    head
}

/// The head with a reference more, unless it has so many that none is counted any more.
#[inline(always)]
pub(super) fn with_reference(head: u64) -> u64 {
    if word::is_saturated(head) {
        head
    } else {
        head + ONE
    }
}

/// Takes a reference away. `stamp` writes the stamp, under the lock.
#[inline(always)]
pub(super) fn release<W: Word>(word: &W, wait: &impl Fn(&W), stamp: impl FnOnce()) -> Released {
    let mut last = false;
    let head = change(word, wait, |head| {
        // An immortal count: the sign of the head is that of the count.
        if (head as i64) < 0 {
            return head;
        }
        debug_assert!(head >= ONE, "a release without a reference");
        stamp();
        last = head < 2 * ONE;
        (head - ONE) | if last { tag::QUEUED } else { 0 }
    });
    if last && head & tag::QUEUED == 0 {
        Released::Last(head)
    } else {
        Released::Kept
    }
}

/// Looks at an object that is queued.
#[inline(always)]
pub(super) fn look<W: Word>(word: &W, wait: &impl Fn(&W)) -> Look {
    // Without the lock: it stays zero if nobody has a reference, and else nothing comes of it.
    let head = word.load(Ordering::Acquire);
    debug_assert!(head & tag::QUEUED != 0, "a look at what is not queued");
    if head < ONE {
        return Look::Zero(head & !LOCKED);
    }
    let mut zero = false;
    let head = change(word, wait, |head| {
        zero = head < ONE;
        if zero { head } else { head & !tag::QUEUED }
    });
    if zero { Look::Zero(head) } else { Look::Alive }
}

/// [`word::claim`].
pub(super) fn claim<W: Word>(word: &W, wait: &impl Fn(&W), bits: u64) -> bool {
    let head = change(word, wait, |head| {
        let taken = head & !tag::QUEUED;
        if head < ONE {
            (taken | bits) + ONE
        } else {
            taken
        }
    });
    head < ONE
}

/// [`word::note`].
#[inline(always)]
pub(super) fn note<W: Word>(word: &W, wait: &impl Fn(&W), bits: u64) {
    if word.load(Ordering::Relaxed) & bits != bits {
        change(word, wait, |head| head | bits);
    }
}

impl Mutator<'_, ObjectLock> {
    /// Changes the head of an object under its lock. Returns what it was.
    #[inline(always)]
    fn change(&self, object: Object, to: impl FnOnce(u64) -> u64) -> u64 {
        change(object.shared_head(), &|word| self.wait_for_lock(word), to)
    }

    /// Waits until the lock in a head is free, or was for a moment.
    #[cold]
    #[inline(never)]
    fn wait_for_lock(&self, head: &AtomicU64) {
        let is_free = || head.load(Relaxed) & LOCKED == 0;
        if !self.inner.enter_unless_unwinding() {
            // After a fork, on the way to where the mutator is given up: who had the lock is not
            // there, and no other mutator is. What it had not written back did not happen.
            head.fetch_and(!LOCKED, Relaxed);
            return;
        }
        self.own.tally.waited_for_lock();
        if handshake::cores() > 1 {
            for _ in 0..LOOKS {
                if is_free() {
                    return;
                }
                std::hint::spin_loop();
            }
        }
        let commons = self.inner;
        let from = commons.clock.now();
        let mut yields = 0;
        let mut sleep = SHORTEST_SLEEP;
        while !is_free() {
            if yields < YIELDS {
                yields += 1;
                std::thread::yield_now();
            } else {
                std::thread::sleep(sleep);
                sleep = (2 * sleep).min(LONGEST_SLEEP);
            }
        }
        // Before the lock is asked for again: who has it does nothing else meanwhile.
        commons.record_at(self.id, from, commons.clock.now(), EventKind::LockWait);
    }
}

impl Counting for ObjectLock {
    #[inline(always)]
    fn retain(m: &Mutator<'_, Self>, object: Object) {
        m.change(object, with_reference);
    }

    #[inline(always)]
    fn retain_in_field(m: &Mutator<'_, Self>, object: Object) {
        m.change(object, |head| with_reference(head | edges::IN));
    }

    #[inline(always)]
    fn release(m: &Mutator<'_, Self>, object: Object) -> bool {
        let stamp = || stamp(object).store(m.inner.epoch.stamp_under_lock(), Relaxed);
        let wait = |word: &_| m.wait_for_lock(word);
        matches!(
            release(object.shared_head(), &wait, stamp),
            Released::Last(_)
        )
    }

    #[inline(always)]
    fn release_of_dead(m: &Mutator<'_, Self>, object: Object) -> Released {
        release(object.shared_head(), &|word| m.wait_for_lock(word), || ())
    }

    #[inline(always)]
    fn replace(
        m: &Mutator<'_, Self>,
        from: Object,
        slot: &Slot,
        value: Option<Object>,
        moved: bool,
    ) -> Replaced {
        let wait = |word: &_| m.wait_for_lock(word);
        let slot = shared(slot);
        let exchange = || {
            let old = slot.load(Relaxed);
            // Release: what was written to the new value is seen by whoever loads it.
            slot.store(Object::pointer(value), Release);
            Object::of_pointer(old)
        };
        let referred_to = |head: u64| {
            if moved {
                head | edges::IN
            } else {
                with_reference(head | edges::IN)
            }
        };
        let from_word = from.shared_head();
        let Some(to) = value.filter(|&to| to != from) else {
            let head = lock(from_word, &wait);
            let old = exchange();
            let (new, closes) = match value {
                None => (head, false),
                // A cycle by itself.
                Some(_) => (referred_to(head | edges::OUT), head & edges::SUSPECT == 0),
            };
            unlock(from_word, new);
            return Replaced { old, closes };
        };
        let to_word = to.shared_head();
        let [from_head, to_head] = lock_both([from_word, to_word], &wait);
        let old = exchange();
        unlock(to_word, referred_to(to_head));
        unlock(from_word, from_head | edges::OUT);
        Replaced {
            old,
            closes: to_head & edges::OUT != 0
                && from_head & (edges::IN | edges::SUSPECT) == edges::IN,
        }
    }

    #[inline(always)]
    fn look(m: &Mutator<'_, Self>, object: Object) -> Look {
        look(object.shared_head(), &|word| m.wait_for_lock(word))
    }

    fn claim(m: &Mutator<'_, Self>, object: Object, bits: u64) -> bool {
        claim(object.shared_head(), &|word| m.wait_for_lock(word), bits)
    }

    #[inline(always)]
    fn note(m: &Mutator<'_, Self>, object: Object, bits: u64) {
        note(object.shared_head(), &|word| m.wait_for_lock(word), bits);
    }

    fn forget(m: &Mutator<'_, Self>, object: Object, bits: u64) {
        m.change(object, |head| head & !bits);
    }

    fn renew(m: &Mutator<'_, Self>, object: Object) {
        m.change(object, |head| {
            stamp(object).store(m.inner.epoch.stamp_under_lock(), Relaxed);
            head
        });
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::object::Shape;
    use crate::{Event, Heap};
    use std::sync::atomic::AtomicBool;
    use std::thread;

    /// Whoever finds an object locked waits, and says so, until it is not.
    #[test]
    fn a_held_lock_is_waited_for() {
        let heap: Heap<ObjectLock> = Heap::builder().build_unlocked().unwrap();
        let waits = || heap.statistics().object_lock_waits;
        let is_wait = |event: &Event| event.kind == EventKind::LockWait;
        heap.attach(|m| {
            m.frame(|m, [local]| {
                m.alloc(local, Shape::new(1, 0)).unwrap();
                let global = m.global(m.get(local).unwrap());
                let object = m.get(local).unwrap().object();
                assert_eq!(waits(), 0);
                // Until one was so long that it is an event: how long the other looks is not known.
                for turn in 1.. {
                    let stored = AtomicBool::new(false);
                    let head = lock(object.shared_head(), &|_| unreachable!());
                    thread::scope(|s| {
                        s.spawn(|| {
                            heap.attach(|m| {
                                let object = m.open(&global);
                                m.store(object, 0, Some(object));
                                stored.store(true, Relaxed);
                                m.store(object, 0, None);
                            });
                        });
                        while waits() < turn {
                            thread::yield_now();
                        }
                        thread::sleep(Duration::from_millis(turn));
                        assert!(!stored.load(Relaxed));
                        unlock(object.shared_head(), head);
                        m.blocking(|| ());
                    });
                    if heap.take_events().events.iter().any(is_wait) {
                        break;
                    }
                }
                assert_eq!(m.count(m.get(local).unwrap()), 2);
                m.verify();
            });
        });
    }
}
