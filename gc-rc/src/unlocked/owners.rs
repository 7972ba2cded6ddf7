//! Who owns objects in the regime [`Biased`](crate::Biased), and how one who does not names an
//! object to the one who does.
//!
//! **Invariant.** Whoever has the lock of a slot and finds its owner absent there is the owner for
//! as long: the owner does not come back before it has had the lock. So what is named is answered
//! by a thread that is there, or merged by the one who would name it.

use std::cell::Cell;
use std::sync::OnceLock;

use crate::object::Object;
use crate::primitive::Ordering::Relaxed;
use crate::primitive::{AtomicU32, Mutex, lock};
use crate::room;
use crate::unlocked::Tables;
use crate::unlocked::parts::NOBODY;

/// One who owns objects: an attached thread, or one that was, until the next takes its place. In
/// cache lines of its own: a thread looks at its own at each safepoint.
#[repr(align(128))]
pub(crate) struct Slot<T = Object> {
    asks: Mutex<Asks<T>>,
    /// Something was named. Written under the lock.
    asked: AtomicU32,
    /// A thread has it. Protected by the mutex of the tables.
    taken: Cell<bool>,
}

// SAFETY: the cell in it is protected by the mutex of the tables.
unsafe impl<T: Send> Sync for Slot<T> {}

struct Asks<T> {
    /// Nobody answers: there is no thread, or it is in a blocking region.
    absent: bool,
    named: Vec<T>,
}

/// What became of an object that was to be named to its owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Named {
    /// The owner will look at it.
    ToOwner,
    /// The owner is away, and it was merged.
    Merged,
    /// It is merged already: the caller lists it.
    Already,
    /// There is no memory for that.
    Unlisted,
}

impl<T> Slot<T> {
    pub(super) fn new() -> Self {
        Self {
            asks: Mutex::new(Asks {
                absent: true,
                named: Vec::new(),
            }),
            asked: AtomicU32::new(0),
            taken: Cell::new(false),
        }
    }

    /// Names an object to the owner, or has it merged by `merge`. `is_owned` says whether it has
    /// this owner still.
    pub(super) fn name(
        &self,
        object: T,
        is_owned: impl FnOnce() -> bool,
        merge: impl FnOnce(),
    ) -> Named {
        let mut asks = lock(&self.asks);
        // Under the lock: an owner that is away has left it, with all that it had merged.
        if !is_owned() {
            return Named::Already;
        }
        if asks.absent {
            merge();
            return Named::Merged;
        }
        if !room::push(&mut asks.named, object) {
            return Named::Unlisted;
        }
        self.asked.store(1, Relaxed);
        Named::ToOwner
    }

    /// Whether something has been named.
    #[inline(always)]
    pub(super) fn is_asked(&self) -> bool {
        self.asked.load(Relaxed) != 0
    }

    /// Takes what has been named.
    pub(super) fn take(&self) -> Vec<T> {
        let mut asks = lock(&self.asks);
        self.asked.store(0, Relaxed);
        std::mem::take(&mut asks.named)
    }

    /// Gives an empty list back, to be used again.
    pub(super) fn give_back(&self, mut list: Vec<T>) {
        list.clear();
        room::fit(&mut list, 0);
        let mut asks = lock(&self.asks);
        if asks.named.capacity() < list.capacity() && asks.named.is_empty() {
            asks.named = list;
        }
    }

    /// The owner goes away, unless it has been named something.
    pub(super) fn leave(&self) -> bool {
        let mut asks = lock(&self.asks);
        asks.absent = asks.named.is_empty();
        asks.absent
    }

    /// Its thread has ended: the next may have it.
    pub(super) fn vacate(&self, _: &Tables<'_>) {
        self.taken.set(false);
    }

    /// The owner is there.
    pub(super) fn arrive(&self) {
        lock(&self.asks).absent = false;
    }
}

/// Slots of the first chunk; each has twice as many as the one before.
const FIRST_CHUNK: u32 = 16;
const CHUNKS: usize = 11;

const _: () = {
    // Number 0 is nobody's.
    assert!(FIRST_CHUNK * ((1 << CHUNKS) - 1) < NOBODY);
};

/// The slots of a heap. They stay where they are.
#[derive(Default)]
pub(crate) struct Owners([OnceLock<Box<[Slot]>>; CHUNKS]);

impl Owners {
    /// The slot of this number.
    pub(super) fn get(&self, number: u32) -> &Slot {
        let index = number - 1;
        let chunk = (index / FIRST_CHUNK + 1).ilog2();
        let first = FIRST_CHUNK * ((1 << chunk) - 1);
        let slots = self.0[chunk as usize].get().expect("an owner has a slot");
        &slots[(index - first) as usize]
    }

    fn all(&self) -> impl Iterator<Item = &Slot> {
        self.0.iter().map_while(OnceLock::get).flatten()
    }

    /// Finds a slot for a thread, and its number; `None` if there are as many threads as there can
    /// be, or no memory.
    pub(super) fn take(&self, _: &Tables<'_>) -> Option<(u32, &Slot)> {
        let vacant = || (1..).zip(self.all()).find(|(_, slot)| !slot.taken.get());
        let found = vacant().or_else(|| {
            let made = self.0.iter().take_while(|chunk| chunk.get().is_some());
            let next = made.count();
            let slots = (FIRST_CHUNK << next) as usize;
            let mut chunk = Vec::new();
            if next == CHUNKS || chunk.try_reserve_exact(slots).is_err() {
                return None;
            }
            chunk.extend(std::iter::repeat_with(Slot::new).take(slots));
            let _ = self.0[next].set(chunk.into_boxed_slice());
            vacant()
        });
        if let Some((_, slot)) = found {
            slot.taken.set(true);
        }
        found
    }

    /// What has been named and not answered: objects, and their bytes.
    pub(super) fn kept(&self) -> (u64, u64) {
        let mut kept = (0, 0);
        for slot in self.all() {
            for &object in &lock(&slot.asks).named {
                kept.0 += 1;
                kept.1 += super::reclaim::occupies(object);
            }
        }
        kept
    }

    /// Calls `f` with all that has been named, which is named no more, in a stopped world.
    pub(super) fn each_named(&self, mut f: impl FnMut(Object)) {
        for slot in self.all().filter(|slot| slot.is_asked()) {
            let mut named = slot.take();
            named.drain(..).for_each(&mut f);
            slot.give_back(named);
        }
    }
}
