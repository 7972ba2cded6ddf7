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

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use crate::object::{Header, Object};

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
    weaks: Mutex<List<WeakCell>>,
    cleared: Mutex<VecDeque<Weak>>,
    /// Objects with a finalizer that is not yet due. Not roots.
    finalizers: Mutex<Vec<Object>>,
    /// Objects whose finalizer is due and has not been asked for. Roots.
    due: Mutex<VecDeque<Object>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex
        .lock()
        .expect("no code that panics runs under this lock")
}

impl Handles {
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
        });
        lock(&self.weaks).push(cell.clone());
        Weak(cell)
    }

    pub(crate) fn add_finalizer(&self, object: Object) {
        lock(&self.finalizers).push(object);
    }

    /// The next object whose finalizer is due. The caller roots it before its next safepoint.
    pub(crate) fn next_finalizable(&self) -> Option<Object> {
        lock(&self.due).pop_front()
    }

    pub(crate) fn next_cleared(&self) -> Option<Weak> {
        lock(&self.cleared).pop_front()
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

    /// Clears the weak references to objects that are not marked. The world is stopped.
    pub(crate) fn clear_weaks(&self, is_marked: impl Fn(Object) -> bool) {
        let mut weaks = lock(&self.weaks);
        weaks.prune();
        let mut cleared = lock(&self.cleared);
        weaks.cells.retain(|cell| {
            let live =
                Object::from_raw(cell.object.load(Ordering::Relaxed)).is_some_and(&is_marked);
            if !live {
                cell.object.store(std::ptr::null_mut(), Ordering::Release);
                cleared.push_back(Weak(cell.clone()));
            }
            live
        });
    }

    /// Makes the finalizers of objects that are not marked due, in the order of their allocation, and says whether there were
    /// any; these objects are roots from now on. The world is stopped.
    pub(crate) fn queue_finalizers(&self, is_marked: impl Fn(Object) -> bool) -> bool {
        let mut due = lock(&self.due);
        let before = due.len();
        lock(&self.finalizers).retain(|&object| {
            let live = is_marked(object);
            if !live {
                due.push_back(object);
            }
            live
        });
        due.len() > before
    }
}

/// Cells that handles may still refer to.
struct List<T> {
    cells: Vec<Arc<T>>,
    /// The length at which it is worth looking for cells without handles.
    prune_at: usize,
}

impl<T> Default for List<T> {
    fn default() -> Self {
        Self {
            cells: Vec::new(),
            prune_at: 64,
        }
    }
}

impl<T> List<T> {
    /// Adds a cell; in amortised constant time keeps the list within twice the number of cells that have handles.
    fn push(&mut self, cell: Arc<T>) {
        if self.cells.len() >= self.prune_at {
            self.prune();
        }
        self.cells.push(cell);
    }

    /// Forgets the cells that have no handle. A count of one is final: only a handle can make another.
    fn prune(&mut self) {
        self.cells.retain(|cell| Arc::strong_count(cell) > 1);
        self.prune_at = (2 * self.cells.len()).max(64);
    }
}
