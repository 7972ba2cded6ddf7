//! Handles that may leave the thread: [`Global`], a root, and [`Weak`], which is none.
//!
//! Both are shared cells that the heap lists too. Dropping a handle only drops a reference to its
//! cell: it touches no lock, no heap and no thread-local, so it may happen anywhere, also in the
//! destructor of a thread-local or after the heap is gone. The collector finds out at its next look
//! that only its own list still knows the cell.
//!
//! **Invariant.** While any clone of a `Global` exists its cell is in the heap's list, and the
//! object is marked in every collection. A `Weak` cell holds the address of a live object or null:
//! collections clear it before the memory can be reused.
//!
//! Handles carry the number of their heap, which is never used again. A heap's memory may go before
//! its handles, and then no heap with that number exists to open them with.
//!
//! # Finalizers
//!
//! An object with [`Flags::finalize`](crate::Flags) is listed when it is allocated. A collection
//! that finds it unreachable makes its finalizer *due*; the program asks for objects with due
//! finalizers when it likes ([`finalizable`](crate::Mutator::finalizable)) and does with each what
//! it likes. The rules are Java's:
//!
//! 1. No finalizer runs inside a pause, nor inside any operation: the heap only hands objects out.
//! 2. At most once an object. Resurrecting it, by storing it somewhere, does not list it again.
//! 3. Weak references are cleared first: those to an object whose finalizer becomes due, and those
//!    to what only such objects reach. Resurrection does not bring them back; a new one may be
//!    made.
//! 4. What a due object reaches stays, until the object has been handed out and is unreachable once
//!    more. If there are objects with finalizers among it, they become due in the same collection.
//! 5. Objects that become due together are handed out in the order of their allocation, as far as
//!    threads can be ordered; those of an earlier collection come first.
//! 6. The memory goes with the first collection that finds the object unreachable after it has been
//!    handed out.
//!
//! # Memory
//!
//! What a collection needs here it has: a list is not made longer by one, as entries stay in it
//! when they become old; cleared weak references are linked through their cells; and for each
//! object with a finalizer there is room in the list of those that are due, set aside when it is
//! allocated. What is left to refuse is a cell or an entry when it is made: the error of that
//! operation, which changes nothing then. Lists shrink in the collections that look through them.
//!
//! # Generations
//!
//! What a collection has kept is old, and a collection of the young only finds no old object dead.
//! So each list is in two parts: entries whose object has survived a collection, and behind them
//! those made since the last one. A collection of the young looks at the second part only, and its
//! pause does not grow with the number of weak references and finalizers there are. The death of an
//! old object is found, its weak references are cleared and its finalizer becomes due, in a
//! collection of the whole heap.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::ptr;
use std::sync::{Mutex, MutexGuard};

use handshake::process::is_held;

use crate::object::{Header, Object};
use crate::primitive::{AtomicPtr, AtomicU64, Ordering};
use crate::room;
use crate::shared::{Counted, Shared};

/// A root that may be kept anywhere, sent to other threads, cloned, and dropped at any time. It
/// does not keep its heap alive.
#[derive(Clone)]
pub struct Global(Shared<GlobalCell>);

struct GlobalCell {
    heap: u64,
    object: Object,
}

impl Global {
    /// The object, which is live as long as the borrow lasts if `heap` is the number of a heap that
    /// exists.
    ///
    /// # Panics
    ///
    /// If the global belongs to another heap.
    #[inline]
    pub(crate) fn object(&self, heap: u64) -> Object {
        check_heap("global", self.0.heap, heap);
        self.0.object
    }
}

impl fmt::Debug for Global {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Global({:?})", self.0.object)
    }
}

/// A weak reference: it does not keep its object alive, and never yields a dead one.
///
/// It is cleared by the collection that finds its object reachable only through weak references and
/// finalizers, before any finalizer of that collection becomes due, as in Java: a finalizer that
/// resurrects its object does not bring weak references back.
///
/// Weak references to the same object are equal, while it lives and afterwards. One that is made to
/// an object after others to it had been cleared is not equal to these.
#[derive(Clone)]
pub struct Weak(Shared<WeakCell>);

struct WeakCell {
    heap: u64,
    /// The object's address, also when it has died.
    address: usize,
    /// When weak references had last been cleared before this one was made.
    born: u64,
    object: AtomicPtr<Header>,
    /// Written before the object is cleared, and has a meaning only then.
    cleared_at: AtomicU64,
    /// The next cell in the queue of cleared ones, whose lock protects it.
    next: AtomicPtr<Counted<WeakCell>>,
}

impl WeakCell {
    /// The object was found dead at `now`.
    fn clear_at(&self, now: u64) {
        self.cleared_at.store(now, Ordering::Relaxed);
        // Release: see `Weak::cleared_at`.
        self.object.store(std::ptr::null_mut(), Ordering::Release);
    }

    fn cleared_at(&self) -> Option<u64> {
        // Acquire: pairs with the release store that cleared it.
        let cleared = self.object.load(Ordering::Acquire).is_null();
        cleared.then(|| self.cleared_at.load(Ordering::Relaxed))
    }

    /// Whether it had been cleared before the other was made: then that one's object, if it is at
    /// the same address, is another. Who has both knows of it: the other was made later.
    fn is_before(&self, other: &Self) -> bool {
        self.cleared_at().is_some_and(|at| at <= other.born)
    }
}

impl Weak {
    /// The object, unless it has died.
    ///
    /// # Panics
    ///
    /// If the weak reference belongs to another heap.
    #[inline]
    pub(crate) fn object(&self, heap: u64) -> Option<Object> {
        check_heap("weak reference", self.0.heap, heap);
        Object::from_raw(self.0.object.load(Ordering::Acquire))
    }

    /// When the object was found dead: the time, in nanoseconds since the heap's
    /// [`origin`](crate::Heap::origin), at which the collection that cleared this reference had
    /// marked all that can be reached. `None` as long as it is not cleared, which it never is once
    /// the heap is gone. Reads two atomics; any thread may ask at any time.
    ///
    /// So a weak reference is a sentinel for the delay of reclamation: the program takes the time
    /// when it drops the last reference to an object, and the difference is how long the object
    /// floated until it was *identified* as garbage. Its memory can be *reused* when that
    /// collection ends ([`Event::until`](crate::Event)); if it has a finalizer, not before a later
    /// one.
    ///
    /// ```
    /// use gc_marksweep::{Heap, HeapFull, Shape};
    ///
    /// let heap = Heap::builder().limit(1 << 20).build()?;
    /// heap.attach(|m| {
    ///     m.frame(|m, [local]| {
    ///         m.alloc(local, Shape::new(0, 0))?;
    ///         let weak = m.downgrade(m.get(local).expect("just made"));
    ///         let dropped = heap.origin().elapsed().as_nanos() as u64;
    ///         m.set(local, None);
    ///         m.collect();
    ///         assert!(weak.cleared_at().is_some_and(|died| died >= dropped));
    ///         Ok::<_, HeapFull>(())
    ///     })
    /// })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn cleared_at(&self) -> Option<u64> {
        self.0.cleared_at()
    }
}

impl PartialEq for Weak {
    fn eq(&self, other: &Self) -> bool {
        let (one, other) = (&*self.0, &*other.0);
        (one.heap, one.address) == (other.heap, other.address)
            && !one.is_before(other)
            && !other.is_before(one)
    }
}

impl Eq for Weak {}

impl Hash for Weak {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.0.heap, self.0.address).hash(state);
    }
}

impl fmt::Debug for Weak {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Weak({:#x})",
            self.0.object.load(Ordering::Relaxed) as usize
        )
    }
}

#[inline]
fn check_heap(what: &str, of: u64, at: u64) {
    #[cold]
    fn wrong_heap(what: &str, of: u64, at: u64) -> ! {
        panic!("gc-marksweep: a {what} of heap {of} was used on heap {at}");
    }
    if of != at {
        wrong_heap(what, of, at);
    }
}

/// What a heap knows of the handles and finalizers of its objects.
#[derive(Default)]
pub(crate) struct Handles {
    globals: Mutex<List<GlobalCell>>,
    /// Weak references that are not cleared.
    weaks: Mutex<List<WeakCell>>,
    /// Cleared, and not yet returned to the program. A cell is here or among `weaks`.
    cleared: Mutex<Cleared>,
    finalizers: Mutex<Finalizers>,
    /// When weak references were last cleared, or looked at for it.
    last_clearing: std::sync::atomic::AtomicU64,
}

/// Objects with finalizers.
#[derive(Default)]
struct Finalizers {
    /// Those whose finalizer is not yet due, in the order of allocation. Not roots.
    listed: Vec<Object>,
    /// How many of them have survived a collection: the first.
    old: usize,
    /// Those whose finalizer is due, in order, and how many of them have been asked for, from the
    /// first. Roots. It has room for all that are listed.
    due: Vec<Object>,
    asked: usize,
    /// How many objects are about to be listed, for which there is room.
    promised: usize,
}

impl Finalizers {
    /// Due and not yet asked for.
    fn due(&self) -> &[Object] {
        &self.due[self.asked..]
    }

    /// Forgets those that have been asked for.
    fn settle(&mut self) {
        self.due.drain(..self.asked);
        self.asked = 0;
    }

    /// Makes room for one more object, also for when all become due; `false` if there is no memory
    /// for it.
    fn promise(&mut self) -> bool {
        let listed = self.listed.len() + self.promised + 1;
        if self.due.capacity() < self.due.len() + listed {
            self.settle();
        }
        let due = self.due.len() + listed;
        let promised =
            room::set_aside(&mut self.listed, listed) && room::set_aside(&mut self.due, due);
        self.promised += usize::from(promised);
        promised
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex
        .lock()
        .expect("no code that panics runs under this lock")
}

impl Handles {
    /// After a fork: whether a thread that is not there holds one of the locks.
    pub(crate) fn is_held(&self) -> bool {
        is_held(&self.globals)
            || is_held(&self.weaks)
            || is_held(&self.cleared)
            || is_held(&self.finalizers)
    }

    /// `object` is live. `None` if the system has no memory for the global.
    pub(crate) fn global(&self, heap: u64, object: Object) -> Option<Global> {
        let cell = Shared::new(GlobalCell { heap, object })?;
        let listed = lock(&self.globals).push(cell.clone());
        listed.then_some(Global(cell))
    }

    /// `object` is live. `None` if the system has no memory for the weak reference.
    pub(crate) fn downgrade(&self, heap: u64, object: Object) -> Option<Weak> {
        let cell = Shared::new(WeakCell {
            heap,
            address: object.address(),
            born: self.last_clearing.load(Ordering::Relaxed),
            object: AtomicPtr::new(object.as_raw()),
            cleared_at: AtomicU64::new(0),
            next: AtomicPtr::new(ptr::null_mut()),
        })?;
        let listed = lock(&self.weaks).push(cell.clone());
        listed.then_some(Weak(cell))
    }

    /// Makes room for one more object with a finalizer: it is then [added](Self::add_finalizer), or
    /// there [is none](Self::expect_no_finalizer). `false` if the system has no memory for it.
    pub(crate) fn expect_finalizer(&self) -> bool {
        lock(&self.finalizers).promise()
    }

    pub(crate) fn expect_no_finalizer(&self) {
        lock(&self.finalizers).promised -= 1;
    }

    /// Lists an object with a finalizer, which was expected.
    pub(crate) fn add_finalizer(&self, object: Object) {
        let mut finalizers = lock(&self.finalizers);
        finalizers.promised -= 1;
        let listed = room::push(&mut finalizers.listed, object);
        debug_assert!(listed, "room has been set aside");
    }

    /// The next object whose finalizer is due. The caller roots it before its next safepoint.
    pub(crate) fn next_finalizable(&self) -> Option<Object> {
        let mut finalizers = lock(&self.finalizers);
        let object = finalizers.due().first().copied()?;
        finalizers.asked += 1;
        if 2 * finalizers.asked > finalizers.due.len() {
            finalizers.settle();
        }
        Some(object)
    }

    pub(crate) fn next_cleared(&self) -> Option<Weak> {
        lock(&self.cleared).pop().map(Weak)
    }

    /// Bytes of the lists, and of the cells in them.
    pub(crate) fn footprint(&self) -> usize {
        let finalizers = lock(&self.finalizers);
        let objects = finalizers.listed.capacity() + finalizers.due.capacity();
        lock(&self.globals).footprint()
            + lock(&self.weaks).footprint()
            + lock(&self.cleared).length * size_of::<Counted<WeakCell>>()
            + objects * size_of::<Object>()
    }

    /// Forgets globals that have no handle any more: their objects are no roots of the collection
    /// that is about to begin. The world is stopped.
    pub(crate) fn prune_globals(&self) {
        lock(&self.globals).prune();
    }

    /// Calls `f` with every root that is here. Handles may be dropped at any time, also by threads
    /// that no stop stops; the roots are nevertheless the same for the whole of a stop, but for
    /// [`Self::prune_globals`].
    pub(crate) fn for_each_root(&self, mut f: impl FnMut(Object)) {
        let globals = lock(&self.globals);
        globals.cells.iter().for_each(|cell| f(cell.object));
        lock(&self.finalizers)
            .due()
            .iter()
            .for_each(|&object| f(object));
    }

    /// Clears the weak references to objects that are not marked; `now` is the time at which that
    /// had been found out. If `young_only`, looks only at those made since the last collection: old
    /// objects are all marked. The world is stopped.
    pub(crate) fn clear_weaks(
        &self,
        young_only: bool,
        now: u64,
        is_marked: impl Fn(Object) -> bool,
    ) {
        self.last_clearing.store(now, Ordering::Relaxed);
        let mut weaks = lock(&self.weaks);
        let mut cleared = lock(&self.cleared);
        let from = if young_only { weaks.old } else { 0 };
        weaks.retain(from, |cell| {
            if cell.handles() == 1 {
                return false; // No handle is left to read it by.
            }
            let live =
                Object::from_raw(cell.object.load(Ordering::Relaxed)).is_some_and(&is_marked);
            if !live {
                cell.clear_at(now);
                cleared.push(cell.clone());
            }
            live
        });
        weaks.settle(!young_only);
        cleared.prune_if_crowded();
    }

    /// Makes the finalizers of objects that are not marked due, in the order of their allocation,
    /// and says whether there were any; these objects are roots from now on. If `young_only`, looks
    /// only at those allocated since the last collection. The world is stopped.
    pub(crate) fn queue_finalizers(
        &self,
        young_only: bool,
        is_marked: impl Fn(Object) -> bool,
    ) -> bool {
        let mut finalizers = lock(&self.finalizers);
        let finalizers = &mut *finalizers;
        finalizers.settle();
        let before = finalizers.due.len();
        let from = if young_only { finalizers.old } else { 0 };
        let mut kept = from;
        for index in from..finalizers.listed.len() {
            let object = finalizers.listed[index];
            if is_marked(object) {
                finalizers.listed[kept] = object;
                kept += 1;
            } else {
                let noted = room::push(&mut finalizers.due, object);
                debug_assert!(noted, "room has been set aside");
            }
        }
        finalizers.listed.truncate(kept);
        finalizers.old = kept;
        let wanted = kept + finalizers.promised;
        room::fit(&mut finalizers.listed, wanted);
        let due = finalizers.due.len();
        room::fit(&mut finalizers.due, due + wanted);
        due > before
    }
}

/// The length up to which no list is searched for cells without handles.
const LEAST: usize = 64;

/// Cells that handles may still refer to, in order of their making.
struct List<T> {
    cells: Vec<Shared<T>>,
    /// How many, from the first, are looked at in collections of the whole heap only.
    old: usize,
    /// The number of others at which it is worth looking for cells without handles among them.
    prune_at: usize,
    /// The number of all, in a collection, at which it is worth looking also among the old ones.
    crowded: usize,
}

impl<T> Default for List<T> {
    fn default() -> Self {
        Self {
            cells: Vec::new(),
            old: 0,
            prune_at: LEAST,
            crowded: LEAST,
        }
    }
}

impl<T> List<T> {
    /// Adds a cell; in amortised constant time keeps the list within twice the number of cells that
    /// have handles. `false` if there is no memory for that.
    fn push(&mut self, cell: Shared<T>) -> bool {
        if self.cells.len() - self.old >= self.prune_at {
            self.prune();
        }
        room::push(&mut self.cells, cell)
    }

    /// Forgets the cells that have no handle, but for the old ones. A count of one is final: only a
    /// handle can make another.
    fn prune(&mut self) {
        self.retain(self.old, |cell| cell.handles() > 1);
        self.prune_at = (2 * (self.cells.len() - self.old)).max(LEAST);
    }

    /// Makes all old, after a collection that has looked at the others, or at all.
    fn settle(&mut self, all: bool) {
        let crowded = self.cells.len() >= self.crowded;
        if crowded && !all {
            self.retain(0, |cell| cell.handles() > 1);
        }
        if crowded || all {
            self.crowded = (2 * self.cells.len()).max(LEAST);
        }
        self.old = self.cells.len();
        self.prune_at = LEAST;
    }

    /// Forgets those cells, from one on, that do not satisfy the predicate, which none does that
    /// has no handle.
    fn retain(&mut self, from: usize, mut predicate: impl FnMut(&Shared<T>) -> bool) {
        let mut kept = from;
        for index in from..self.cells.len() {
            if predicate(&self.cells[index]) {
                self.cells.swap(kept, index);
                kept += 1;
            }
        }
        self.cells.truncate(kept);
        room::fit(&mut self.cells, kept);
    }

    /// Bytes of the list and its cells.
    fn footprint(&self) -> usize {
        self.cells.capacity() * size_of::<Shared<T>>() + self.cells.len() * size_of::<Counted<T>>()
    }
}

/// Weak references that were cleared and not yet asked for, the oldest first: a queue through the
/// cells, which needs no memory.
struct Cleared {
    first: *mut Counted<WeakCell>,
    last: *mut Counted<WeakCell>,
    length: usize,
    /// The length at which the queue is next looked through for those that nobody has any more.
    crowded: usize,
}

// SAFETY: as for the handles that it consists of.
unsafe impl Send for Cleared {}

impl Default for Cleared {
    fn default() -> Self {
        Self {
            first: ptr::null_mut(),
            last: ptr::null_mut(),
            length: 0,
            crowded: LEAST,
        }
    }
}

impl Cleared {
    /// Adds a cell that is in no queue.
    fn push(&mut self, cell: Shared<WeakCell>) {
        cell.next.store(ptr::null_mut(), Ordering::Relaxed);
        let cell = cell.into_raw();
        // SAFETY: what is linked came from `into_raw`, and has not been popped.
        match unsafe { Shared::get(self.last) } {
            Some(last) => last.next.store(cell, Ordering::Relaxed),
            None => self.first = cell,
        }
        self.last = cell;
        self.length += 1;
    }

    fn pop(&mut self) -> Option<Shared<WeakCell>> {
        // SAFETY: `push` made the pointer, and it leaves the queue here.
        let cell = unsafe { Shared::from_raw(self.first) }?;
        self.first = cell.next.load(Ordering::Relaxed);
        if self.first.is_null() {
            self.last = ptr::null_mut();
        }
        self.length -= 1;
        Some(cell)
    }

    /// A program that never asks should not pay for ever: what only the queue still has is of no
    /// interest.
    fn prune_if_crowded(&mut self) {
        if self.length < self.crowded {
            return;
        }
        for _ in 0..self.length {
            if let Some(cell) = self.pop()
                && cell.handles() > 1
            {
                self.push(cell);
            }
        }
        self.crowded = (2 * self.length).max(LEAST);
    }
}

impl Drop for Cleared {
    fn drop(&mut self) {
        while self.pop().is_some() {}
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    /// An object that nobody dereferences.
    fn object(number: usize) -> Object {
        let address = std::ptr::without_provenance_mut(16 * (number + 1));
        Object::from_raw(address).expect("not null")
    }

    /// The weak references and finalizers of `old` have survived a collection, those of `young` are
    /// new.
    fn handles(old: &[Object], young: &[Object]) -> (Handles, Vec<Weak>) {
        let handles = Handles::default();
        let mut weaks = Vec::new();
        let mut add = |objects: &[Object]| {
            for &object in objects {
                weaks.push(handles.downgrade(0, object).unwrap());
                assert!(handles.expect_finalizer());
                handles.add_finalizer(object);
            }
        };
        add(old);
        handles.clear_weaks(false, 1, |_| true);
        assert!(!handles.queue_finalizers(false, |_| true));
        add(young);
        (handles, weaks)
    }

    fn all_due(handles: &Handles) -> Vec<Object> {
        std::iter::from_fn(|| handles.next_finalizable()).collect()
    }

    #[test]
    fn a_collection_of_the_young_looks_at_new_entries_only() {
        let objects: Vec<_> = (0..6).map(object).collect();
        let (handles, weaks) = handles(&objects[..3], &objects[3..]);
        let live = |dead: Object, looked: Vec<Object>| {
            move |object| {
                assert!(looked.contains(&object), "{object:?} is old");
                object != dead
            }
        };
        handles.clear_weaks(true, 2, live(objects[4], objects[3..].to_vec()));
        let young = live(objects[4], objects[3..].to_vec());
        assert!(handles.queue_finalizers(true, young));
        assert_eq!(all_due(&handles), [objects[4]]);
        let cleared: Vec<_> = weaks.iter().map(Weak::cleared_at).collect();
        assert_eq!(cleared, [None, None, None, None, Some(2), None]);

        // Who survived is old now: the next collection of the young looks at nobody.
        handles.clear_weaks(true, 3, |_| panic!("all are old"));
        assert!(!handles.queue_finalizers(true, |_| panic!("all are old")));

        // One of the whole heap looks at all, in the order of allocation.
        handles.clear_weaks(false, 4, |_| false);
        assert!(handles.queue_finalizers(false, |_| false));
        let expected: Vec<_> = [0, 1, 2, 3, 5].map(|number| objects[number]).into();
        assert_eq!(all_due(&handles), expected);
        let mut cleared = std::iter::from_fn(|| handles.next_cleared());
        assert!(cleared.next().is_some_and(|weak| weak == weaks[4]));
        assert_eq!(
            cleared.map(|weak| weak.cleared_at()).collect::<Vec<_>>(),
            [Some(4); 5]
        );
    }

    /// A program may make and drop weak references for ever, and never ask which were cleared.
    #[test]
    #[cfg_attr(miri, ignore = "makes 200,000 references")]
    fn weak_references_without_handles_are_forgotten() {
        let handles = Handles::default();
        let kept: Vec<_> = (0..100)
            .map(|n| handles.downgrade(0, object(n)).unwrap())
            .collect();
        for round in 0..200 {
            // Some die young, some after they have survived, some are cleared and never asked for.
            let survivors: Vec<_> = (0..10)
                .map(|n| handles.downgrade(0, object(n)).unwrap())
                .collect();
            (0..1000).for_each(|n| drop(handles.downgrade(0, object(n))));
            handles.clear_weaks(true, round, |_| true);
            drop(survivors);
            let dying: Vec<_> = (0..10)
                .map(|n| handles.downgrade(0, object(n)).unwrap())
                .collect();
            handles.clear_weaks(true, round, |_| false);
            assert!(dying.iter().all(|weak| weak.cleared_at() == Some(round)));
        }
        let lengths = [
            lock(&handles.weaks).cells.len(),
            lock(&handles.cleared).length,
        ];
        assert!(
            lengths.iter().all(|&length| length <= 2 * 110),
            "{lengths:?}"
        );
        assert!(kept.iter().all(|weak| weak.cleared_at().is_none()));
    }
}

/// A model of what weak references do outside of stops, run under every interleaving:
/// `RUSTFLAGS="--cfg loom" cargo test -p gc-marksweep --lib --release`.
#[cfg(all(test, loom))]
mod model {
    use super::*;
    use loom::thread;

    /// Who sees that a weak reference is cleared sees when.
    #[test]
    fn a_cleared_reference_knows_when() {
        loom::model(|| {
            let object = std::ptr::without_provenance_mut(16);
            let weak = WeakCell {
                heap: 0,
                address: 16,
                born: 0,
                object: AtomicPtr::new(object),
                cleared_at: AtomicU64::new(0),
                next: AtomicPtr::new(ptr::null_mut()),
            };
            let weak = Weak(Shared::new(weak).unwrap());
            let collector = {
                let weak = weak.clone();
                thread::spawn(move || weak.0.clear_at(41))
            };
            let at = weak.cleared_at();
            assert!(at.is_none_or(|at| at == 41), "{at:?}");
            collector.join().unwrap();
            assert_eq!(weak.cleared_at(), Some(41));
        });
    }
}
