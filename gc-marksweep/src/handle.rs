//! Handles that may leave the thread: [`Global`], a root, and [`Weak`], which is none.
//!
//! Both are shared cells that the heap lists too. Dropping a handle only drops a reference to its cell: it
//! touches no lock, no heap and no thread-local, so it may happen anywhere, also in the destructor of a thread-local or after the
//! heap is gone. The collector finds out at its next look that only its own list still knows the cell.
//!
//! **Invariant.** While any clone of a `Global` exists its cell is in the heap's list, and the object is marked in
//! every collection. A `Weak` cell holds the address of a live object or null: collections clear it before the memory can be
//! reused.
//!
//! Handles carry the number of their heap, which is never used again. A heap's memory may go before its handles, and
//! then no heap with that number exists to open them with.
//!
//! # Finalizers
//!
//! An object with [`Flags::finalize`](crate::Flags) is listed when it is allocated. A collection that finds it unreachable makes
//! its finalizer *due*; the program asks for objects with due finalizers when it likes
//! ([`finalizable`](crate::Mutator::finalizable)) and does with each what it likes. The rules are Java's:
//!
//! 1. No finalizer runs inside a pause, nor inside any operation: the heap only hands objects out.
//! 2. At most once an object. Resurrecting it, by storing it somewhere, does not list it again.
//! 3. Weak references are cleared first: those to an object whose finalizer becomes due, and those to what only such
//!    objects reach. Resurrection does not bring them back; a new one may be made.
//! 4. What a due object reaches stays, until the object has been handed out and is unreachable once more. If there are objects with
//!    finalizers among it, they become due in the same collection.
//! 5. Objects that become due together are handed out in the order of their allocation, as far as threads can be
//!    ordered; those of an earlier collection come first.
//! 6. The memory goes with the first collection that finds the object unreachable after it has been handed out.
//!
//! # Generations
//!
//! What a collection has kept is old, and a collection of the young only finds no old object dead. So each list is in two parts:
//! entries made since the last collection, and those whose object has survived one. A collection of the young looks at the
//! first part only, and its pause does not grow with the number of weak references and finalizers there are. The death of an
//! old object is found, its weak references are cleared and its finalizer becomes due, in a collection of the whole heap.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};

use crate::object::{Header, Object};
use crate::primitive::{AtomicPtr, AtomicU64, Ordering};
use crate::process::is_held;

/// A root that may be kept anywhere, sent to other threads, cloned, and dropped at any time. It does not keep its heap
/// alive.
#[derive(Clone)]
pub struct Global(Arc<GlobalCell>);

struct GlobalCell {
    heap: u64,
    object: Object,
}

impl Global {
    /// The object, which is live as long as the borrow lasts if `heap` is the number of a heap that exists.
    ///
    /// # Panics
    ///
    /// If the global belongs to another heap.
    #[inline]
    pub(crate) fn object(&self, heap: u64) -> Object {
        check_heap("Global", self.0.heap, heap);
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
/// It is cleared by the collection that finds its object reachable only through weak references and finalizers, before any finalizer of that
/// collection becomes due, as in Java: a finalizer that resurrects its object does not bring weak references back.
#[derive(Clone)]
pub struct Weak(Arc<WeakCell>);

struct WeakCell {
    heap: u64,
    object: AtomicPtr<Header>,
    /// Written before the object is cleared, and has a meaning only then.
    cleared_at: AtomicU64,
}

impl WeakCell {
    /// The object was found dead at `now`.
    fn clear_at(&self, now: u64) {
        self.cleared_at.store(now, Ordering::Relaxed);
        // Release: see `Weak::cleared_at`.
        self.object.store(std::ptr::null_mut(), Ordering::Release);
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
        check_heap("Weak", self.0.heap, heap);
        Object::from_raw(self.0.object.load(Ordering::Acquire))
    }

    /// When the object was found dead: the time, in nanoseconds since the heap's [`origin`](crate::Heap::origin), at
    /// which the collection that cleared this reference had marked all that can be reached. `None` as long as it is
    /// not cleared, which it never is once the heap is gone. Reads two atomics; any thread may ask at any time.
    ///
    /// So a weak reference is a sentinel for the delay of reclamation: the program takes the time when it drops the last
    /// reference to an object, and the difference is how long the object floated until it was *identified* as garbage. Its memory can be
    /// *reused* when that collection ends ([`Event::until`](crate::Event)); if it has a finalizer, not before a later one.
    pub fn cleared_at(&self) -> Option<u64> {
        // Acquire: pairs with the release store that cleared it.
        let cleared = self.0.object.load(Ordering::Acquire).is_null();
        cleared.then(|| self.0.cleared_at.load(Ordering::Relaxed))
    }

    /// Whether both are clones of one weak reference.
    pub fn same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
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
fn check_heap(kind: &str, of: u64, at: u64) {
    #[cold]
    fn wrong_heap(kind: &str) -> ! {
        panic!("this {kind} belongs to another heap");
    }
    if of != at {
        wrong_heap(kind);
    }
}

/// What a heap knows of the handles and finalizers of its objects.
#[derive(Default)]
pub(crate) struct Handles {
    globals: Mutex<List<GlobalCell>>,
    weaks: Mutex<Weaks>,
    /// Cleared, and not yet returned to the program. A cell is here or among `weaks`.
    cleared: Mutex<List<WeakCell>>,
    /// Objects with a finalizer that is not yet due. Not roots.
    finalizers: Mutex<Finalizers>,
    /// Objects whose finalizer is due and has not been asked for. Roots.
    due: Mutex<VecDeque<Object>>,
}

/// Weak references that are not cleared, by what is known of their objects.
#[derive(Default)]
struct Weaks {
    /// Made since the last collection.
    young: List<WeakCell>,
    /// Their objects have survived a collection.
    old: List<WeakCell>,
}

/// Objects with a finalizer that is not yet due, each part in the order of allocation.
#[derive(Default)]
struct Finalizers {
    /// Allocated since the last collection.
    young: Vec<Object>,
    /// Have survived a collection; allocated before all that are young.
    old: Vec<Object>,
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
            || is_held(&self.due)
    }

    /// `object` is live.
    pub(crate) fn global(&self, heap: u64, object: Object) -> Global {
        let cell = Arc::new(GlobalCell { heap, object });
        lock(&self.globals).push(cell.clone());
        Global(cell)
    }

    /// `object` is live.
    pub(crate) fn downgrade(&self, heap: u64, object: Object) -> Weak {
        let cell = Arc::new(WeakCell {
            heap,
            object: AtomicPtr::new(object.as_raw()),
            cleared_at: AtomicU64::new(0),
        });
        lock(&self.weaks).young.push(cell.clone());
        Weak(cell)
    }

    pub(crate) fn add_finalizer(&self, object: Object) {
        lock(&self.finalizers).young.push(object);
    }

    /// The next object whose finalizer is due. The caller roots it before its next safepoint.
    pub(crate) fn next_finalizable(&self) -> Option<Object> {
        lock(&self.due).pop_front()
    }

    pub(crate) fn next_cleared(&self) -> Option<Weak> {
        lock(&self.cleared).cells.pop_front().map(Weak)
    }

    /// Forgets globals that have no handle any more: their objects are no roots of the collection that is about to begin. The
    /// world is stopped.
    pub(crate) fn prune_globals(&self) {
        lock(&self.globals).prune();
    }

    /// Calls `f` with every root that is here. Handles may be dropped at any time, also by threads that no stop stops; the roots are
    /// nevertheless the same for the whole of a stop, but for [`Self::prune_globals`].
    pub(crate) fn for_each_root(&self, mut f: impl FnMut(Object)) {
        let globals = lock(&self.globals);
        globals.cells.iter().for_each(|cell| f(cell.object));
        lock(&self.due).iter().for_each(|&object| f(object));
    }

    /// Clears the weak references to objects that are not marked; `now` is the time at which that had been found out.
    /// If `young_only`, looks only at those made since the last collection: old objects are all marked. The world is
    /// stopped.
    pub(crate) fn clear_weaks(
        &self,
        young_only: bool,
        now: u64,
        is_marked: impl Fn(Object) -> bool,
    ) {
        let mut weaks = lock(&self.weaks);
        let Weaks { young, old } = &mut *weaks;
        let mut cleared = lock(&self.cleared);
        let mut survives = |cell: &Arc<WeakCell>| {
            if Arc::strong_count(cell) == 1 {
                return false; // No handle is left to read it by.
            }
            let live =
                Object::from_raw(cell.object.load(Ordering::Relaxed)).is_some_and(&is_marked);
            if !live {
                cell.clear_at(now);
                cleared.push(cell.clone());
            }
            live
        };
        if !young_only {
            old.retain(&mut survives);
        }
        for cell in young.cells.drain(..) {
            if survives(&cell) {
                old.push(cell);
            }
        }
        young.prune_at = LEAST;
    }

    /// Makes the finalizers of objects that are not marked due, in the order of their allocation, and says whether there were
    /// any; these objects are roots from now on. If `young_only`, looks only at those allocated since the last collection. The
    /// world is stopped.
    pub(crate) fn queue_finalizers(
        &self,
        young_only: bool,
        is_marked: impl Fn(Object) -> bool,
    ) -> bool {
        let mut due = lock(&self.due);
        let before = due.len();
        let mut finalizers = lock(&self.finalizers);
        let Finalizers { young, old } = &mut *finalizers;
        let mut survives = |&object: &Object| {
            let live = is_marked(object);
            if !live {
                due.push_back(object);
            }
            live
        };
        if !young_only {
            old.retain(&mut survives);
        }
        young.retain(&mut survives);
        old.append(young);
        due.len() > before
    }
}

/// The length up to which no list is searched for cells without handles.
const LEAST: usize = 64;

/// Cells that handles may still refer to, in order of their making.
struct List<T> {
    cells: VecDeque<Arc<T>>,
    /// The length at which it is worth looking for cells without handles.
    prune_at: usize,
}

impl<T> Default for List<T> {
    fn default() -> Self {
        Self {
            cells: VecDeque::new(),
            prune_at: LEAST,
        }
    }
}

impl<T> List<T> {
    /// Adds a cell; in amortised constant time keeps the list within twice the number of cells that have handles.
    fn push(&mut self, cell: Arc<T>) {
        if self.cells.len() >= self.prune_at {
            self.prune();
        }
        self.cells.push_back(cell);
    }

    /// Forgets the cells that have no handle. A count of one is final: only a handle can make another.
    fn prune(&mut self) {
        self.retain(|cell| Arc::strong_count(cell) > 1);
    }

    /// Forgets the cells that do not satisfy the predicate, which none does that has no handle.
    fn retain(&mut self, predicate: impl FnMut(&Arc<T>) -> bool) {
        self.cells.retain(predicate);
        self.prune_at = (2 * self.cells.len()).max(LEAST);
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

    /// The weak references and finalizers of `old` have survived a collection, those of `young` are new.
    fn handles(old: &[Object], young: &[Object]) -> (Handles, Vec<Weak>) {
        let handles = Handles::default();
        let mut weaks = Vec::new();
        let mut add = |objects: &[Object]| {
            for &object in objects {
                weaks.push(handles.downgrade(0, object));
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
        assert!(cleared.next().is_some_and(|weak| weak.same(&weaks[4])));
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
        let kept: Vec<_> = (0..100).map(|n| handles.downgrade(0, object(n))).collect();
        for round in 0..200 {
            // Some die young, some after they have survived, some are cleared and never asked for.
            let survivors: Vec<_> = (0..10).map(|n| handles.downgrade(0, object(n))).collect();
            (0..1000).for_each(|n| drop(handles.downgrade(0, object(n))));
            handles.clear_weaks(true, round, |_| true);
            drop(survivors);
            let dying: Vec<_> = (0..10).map(|n| handles.downgrade(0, object(n))).collect();
            handles.clear_weaks(true, round, |_| false);
            assert!(dying.iter().all(|weak| weak.cleared_at() == Some(round)));
        }
        let weaks = lock(&handles.weaks);
        let lengths = [
            weaks.young.cells.len(),
            weaks.old.cells.len(),
            lock(&handles.cleared).cells.len(),
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
            let weak = Weak(Arc::new(WeakCell {
                heap: 0,
                object: AtomicPtr::new(object),
                cleared_at: AtomicU64::new(0),
            }));
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
