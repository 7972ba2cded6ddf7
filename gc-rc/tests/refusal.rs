//! The system has no memory: at the n-th request, for every n of a script that does a little of
//! everything, and from the n-th request on. Whatever asked gets [`HeapFull`] or does without;
//! nothing aborts, and the heap is whole and usable afterwards.
//!
//! The requests are those of the process itself: this binary's allocator and its `mmap`, `munmap`
//! and `madvise` stand in for the real ones, count, and refuse. So what a heap asks for is found
//! without a list of the places where it does.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::ffi::{c_int, c_void};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use gc_rc::{
    Atomic, Cycle, Event, Flags, Free, FullCause, Gil, Global, Heap, HeapFull, Listener, Local,
    Mutator, OverheadLimit, Shape, Weak,
};

thread_local! {
    /// Requests that are granted before one is refused, on this thread; `None`: all are.
    static GRANTED: Cell<Option<u64>> = const { Cell::new(None) };
    /// Whether all requests after that one are refused, too.
    static FOR_GOOD: Cell<bool> = const { Cell::new(false) };
    static REQUESTS: Cell<u64> = const { Cell::new(0) };
}

/// Counts a request. Returns whether to refuse it.
fn refused() -> bool {
    let Some(granted) = GRANTED.get() else {
        return false;
    };
    let before = REQUESTS.replace(REQUESTS.get() + 1);
    before == granted || (before > granted && FOR_GOOD.get())
}

/// Runs `f`, in which the request number `granted` is refused, and all that follow if `for_good`.
/// Returns how many there were.
fn with_refusal<R>(granted: u64, for_good: bool, f: impl FnOnce() -> R) -> (R, u64) {
    REQUESTS.set(0);
    FOR_GOOD.set(for_good);
    GRANTED.set(Some(granted));
    let result = f();
    GRANTED.set(None);
    (result, REQUESTS.get())
}

struct Refusing;

#[global_allocator]
static ALLOCATOR: Refusing = Refusing;

// SAFETY: requests are refused, or left to the system's allocator.
unsafe impl GlobalAlloc for Refusing {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if refused() {
            return std::ptr::null_mut();
        }
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        if refused() {
            return std::ptr::null_mut();
        }
        // SAFETY: the caller's promise.
        unsafe { System.realloc(memory, layout, bytes) }
    }
}

fn no_memory() {
    // SAFETY: the thread's own `errno`.
    unsafe { *libc::__errno_location() = libc::ENOMEM };
}

/// # Safety
///
/// That of the function of this name in the C library.
#[unsafe(no_mangle)]
unsafe extern "C" fn mmap(
    address: *mut c_void,
    bytes: usize,
    access: c_int,
    flags: c_int,
    file: c_int,
    offset: i64,
) -> *mut c_void {
    if refused() {
        no_memory();
        return libc::MAP_FAILED;
    }
    // SAFETY: the caller's promise.
    let result =
        unsafe { libc::syscall(libc::SYS_mmap, address, bytes, access, flags, file, offset) };
    result as *mut c_void
}

/// # Safety
///
/// That of the function of this name in the C library.
#[unsafe(no_mangle)]
unsafe extern "C" fn munmap(address: *mut c_void, bytes: usize) -> c_int {
    if refused() {
        no_memory();
        return -1;
    }
    // SAFETY: the caller's promise.
    unsafe { libc::syscall(libc::SYS_munmap, address, bytes) as c_int }
}

/// # Safety
///
/// That of the function of this name in the C library.
#[unsafe(no_mangle)]
unsafe extern "C" fn madvise(address: *mut c_void, bytes: usize, advice: c_int) -> c_int {
    if refused() {
        no_memory();
        return -1;
    }
    // SAFETY: the caller's promise.
    unsafe { libc::syscall(libc::SYS_madvise, address, bytes, advice) as c_int }
}

/// What the script keeps outside of the heap, with room for all of it: its own requests are not to
/// be refused.
struct Kept {
    globals: Vec<Global>,
    weak: Vec<Weak>,
    refusals: u64,
}

const NODES: usize = 150;
const HANDLES: usize = 12;

impl Kept {
    fn new() -> Self {
        Self {
            globals: Vec::with_capacity(2 * HANDLES),
            weak: Vec::with_capacity(2 * NODES),
            refusals: 0,
        }
    }

    /// Notes that an operation was refused, for the one reason that there is.
    fn note<T>(&mut self, result: Result<T, HeapFull>) -> Option<T> {
        if let Err(full) = &result {
            if full.cause != FullCause::System {
                // Granted again: a panic needs memory.
                GRANTED.set(None);
                panic!("refused for another reason: {full:?}");
            }
            self.refusals += 1;
        }
        result.ok()
    }
}

/// Makes a list of live nodes that refer to each other across, all of which a popular object refers
/// to and is referred to by.
fn live<'h>(m: &mut Mutator<'h>, kept: &mut Kept, table: Local<'_, 'h>, a: Local<'_, 'h>) {
    if kept
        .note(m.alloc(table, Shape::new(NODES as u32, 0)))
        .is_none()
    {
        return;
    }
    for index in 0..NODES {
        if kept.note(m.alloc(a, Shape::new(3, 1))).is_none() {
            continue;
        }
        let (node, table) = (m.get(a).unwrap(), m.get(table).unwrap());
        m.set_word(node, 0, index as u64);
        m.store(table, index, Some(node));
        m.store(node, 0, Some(table));
        m.store(node, 1, m.load(table, index * 7 % NODES));
        if let Some(other) = m.load(table, index * 5 % NODES) {
            m.store(other, 2, Some(node));
        }
        m.safepoint();
    }
    m.set(a, None);
}

/// Every node that there is still says what it said.
fn check_live<'h>(m: &Mutator<'h>, table: Local<'_, 'h>) {
    let Some(table) = m.get(table) else { return };
    for index in 0..NODES {
        if let Some(node) = m.load(table, index) {
            assert_eq!(m.word(node, 0), index as u64);
            assert!(m.load(node, 0) == Some(table));
        }
    }
}

/// Rings of three, some with finalizers, some that weak references know of.
fn garbage<'h>(m: &mut Mutator<'h>, kept: &mut Kept, a: Local<'_, 'h>, b: Local<'_, 'h>) {
    for index in 0..NODES {
        let flags = Flags {
            finalize: index % 5 == 0,
            acyclic: false,
        };
        let large = if index % 70 == 0 { 9000 } else { 0 };
        let made = m
            .alloc(a, Shape::new(2, large).with(flags))
            .and_then(|()| m.alloc_init(b, Flags::NONE, [a, a], []))
            .and_then(|()| m.alloc_move(b, Flags::NONE, [b], []));
        if kept.note(made).is_some() {
            m.store(m.get(a).unwrap(), 0, m.get(b));
            if index % 16 == 0 {
                let weak = kept.note(m.try_downgrade(m.get(a).unwrap()));
                kept.weak.extend(weak);
            }
        }
        m.set(a, None);
        m.set(b, None);
        m.safepoint();
    }
}

/// Objects that die by their counts, many between two polls.
fn deaths<'h>(m: &mut Mutator<'h>, kept: &mut Kept, table: Local<'_, 'h>, a: Local<'_, 'h>) {
    if kept
        .note(m.alloc(table, Shape::new(NODES as u32, 0)))
        .is_none()
    {
        return;
    }
    for index in 0..NODES {
        let flags = if index % 2 == 0 {
            Flags::FINALIZE
        } else {
            Flags::NONE
        };
        let words = if index % 70 == 1 { 5000 } else { 1 };
        if kept
            .note(m.alloc(a, Shape::new(0, words).with(flags)))
            .is_some()
        {
            m.store(m.get(table).unwrap(), index, m.get(a));
        }
    }
    m.set(a, None);
    let fields = m.get(table).unwrap();
    for index in 0..NODES {
        m.store(fields, index, None);
    }
    m.safepoint();
    m.set(table, None);
}

fn handles<'h>(m: &mut Mutator<'h>, kept: &mut Kept, a: Local<'_, 'h>) {
    for index in 0..HANDLES {
        if kept.note(m.alloc(a, Shape::new(0, 1))).is_none() {
            continue;
        }
        m.set_word(m.get(a).unwrap(), 0, 7);
        let global = kept.note(m.try_global(m.get(a).unwrap()));
        kept.globals.extend(global);
        if index % 2 == 0 {
            let weak = kept.note(m.try_downgrade(m.get(a).unwrap()));
            kept.weak.extend(weak);
        }
    }
    m.set(a, None);
    for global in &kept.globals {
        assert_eq!(m.word(m.open(global), 0), 7);
    }
    kept.globals.clear();
    m.safepoint();
}

/// Does a little of everything. Returns how many finalizers and notices there were.
fn script(heap: &Heap, kept: &mut Kept) -> (u64, u64) {
    heap.attach(|m| {
        m.frame(|m, [graph, table, a, b]| {
            live(m, kept, graph, a);
            garbage(m, kept, a, b);
            deaths(m, kept, table, a);
            handles(m, kept, a);
            // More than a chunk has.
            kept.note(m.alloc(a, Shape::new(1, 700_000)));
            m.set(a, None);
            m.collect();
            check_live(m, graph);
            m.blocking(|| {
                heap.attach(|m| {
                    m.frame(|m, [a]| {
                        kept.note(m.alloc(a, Shape::new(1, 1)));
                        m.safepoint();
                    })
                });
            });
            let (mut finalizers, mut cleared) = (0, 0);
            while m.finalizable(a) {
                assert!(m.shape(m.get(a).unwrap()).flags.finalize);
                finalizers += 1;
            }
            m.set(a, None);
            m.collect();
            while m.cleared().is_some() {
                cleared += 1;
            }
            check_live(m, graph);
            (finalizers, cleared)
        })
    })
}

/// The heap is whole, and does all of the script; then it is empty.
fn check(heap: &Heap, kept: &mut Kept, expected: (u64, u64), what: &dyn Fn() -> String) {
    kept.weak.clear();
    heap.attach(|m| {
        m.collect();
        m.frame(|m, [a]| {
            while m.finalizable(a) {}
            m.set(a, None);
            while m.cleared().is_some() {}
        });
        m.collect();
        m.verify();
    });
    kept.refusals = 0;
    assert_eq!(script(heap, kept), expected, "{}", what());
    assert_eq!(kept.refusals, 0, "{}", what());
    kept.weak.clear();
    heap.attach(|m| {
        m.collect();
        m.verify();
    });
    let statistics = heap.statistics();
    assert_eq!(
        statistics.object_bytes,
        0,
        "{}: something leaks: {statistics:?}",
        what()
    );
}

/// Hears of events.
struct Ear(AtomicU64);

impl Listener for Ear {
    fn event(&self, _: &Event) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Whatever the clock says, collections take too long where little is allocated between them.
const STRICT: OverheadLimit = OverheadLimit {
    time_percent: 0,
    free_percent: 2,
};

fn configurations() -> Vec<(String, Box<dyn Fn() -> Heap>)> {
    let mut all: Vec<(String, Box<dyn Fn() -> Heap>)> = Vec::new();
    for (cycle, free, gil, limit) in [
        (Cycle::Generational, Free::Eager, Gil::Cpython, usize::MAX),
        (Cycle::Generational, Free::Lazy, Gil::Fair, 256 << 20),
        (Cycle::BaconRajan, Free::Eager, Gil::Fair, usize::MAX),
        (Cycle::None, Free::Lazy, Gil::Cpython, 256 << 20),
    ] {
        let name = format!("{cycle:?}, {free:?}, {gil:?}, limit {limit}");
        all.push((
            name,
            Box::new(move || {
                Heap::builder()
                    .cycle(cycle)
                    .free(free)
                    .gil(gil)
                    .limit(limit)
                    .thresholds([100, 3, 3])
                    .possible_roots(100)
                    .event_capacity(64)
                    .overhead_limit(Some(STRICT))
                    .listener(Arc::new(Ear(AtomicU64::new(0))))
                    .release_after(Some(Duration::ZERO))
                    .build()
                    .unwrap()
            }),
        ));
    }
    all
}

fn refuse_every_request(for_good: bool) {
    for (name, build) in configurations() {
        let heap = build();
        let mut kept = Kept::new();
        let (expected, requests) = with_refusal(u64::MAX, false, || script(&heap, &mut kept));
        if !name.starts_with("None") {
            assert!(expected.0 > 0 && expected.1 > 0, "{name}: {expected:?}");
        }
        assert!(requests > 20, "{name}: only {requests} requests");
        let mut refusals = 0;
        for granted in 0..requests {
            let what =
                || format!("{name}: request {granted} of {requests} refused, for good: {for_good}");
            let heap = build();
            let mut kept = Kept::new();
            with_refusal(granted, for_good, || script(&heap, &mut kept));
            refusals += kept.refusals;
            if name.starts_with("None") {
                // Its garbage stays.
                kept.weak.clear();
                kept.globals.clear();
                heap.attach(|m| m.verify());
            } else {
                check(&heap, &mut kept, expected, &what);
            }
        }
        assert!(refusals > 0, "{name}: nothing was refused");
    }
}

#[test]
fn one_refusal_at_any_request_is_survived() {
    refuse_every_request(false);
}

#[test]
fn refusals_from_any_request_on_are_survived() {
    refuse_every_request(true);
}

/// A heap is made, or the error says why not.
#[test]
fn a_heap_is_made_or_not() {
    // The first heap of a process makes what tells processes apart, and does without it.
    let (heap, _) = with_refusal(0, true, || Heap::builder().build());
    assert!(heap.is_err());
    drop(Heap::new());
    for listeners in 0..2 {
        let name = format!("{listeners} listeners");
        let mut builder = Heap::builder().event_capacity(10);
        for _ in 0..listeners {
            builder = builder.listener(Arc::new(Ear(AtomicU64::new(0))));
        }
        let copy = builder.clone();
        let (heap, requests) = with_refusal(u64::MAX, false, || copy.build());
        assert!(heap.is_ok() && requests > 0, "{name}");
        for granted in 0..requests {
            let builder = builder.clone();
            let (heap, _) = with_refusal(granted, false, || builder.build());
            let error = heap.err().map(|error| error.to_string());
            assert!(
                error.is_some_and(|error| error.contains("memory")),
                "{name}: request {granted}"
            );
        }
    }
}

/// What has no result says it with a panic, which leaves the heap as it was.
#[test]
fn handles_that_cannot_be_had_panic() {
    let heap = Heap::new();
    heap.attach(|m| {
        m.frame(|m, [a]| {
            m.alloc(a, Shape::new(0, 0)).unwrap();
            let object = m.get(a).unwrap();
            for weak in [false, true] {
                let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                    REQUESTS.set(0);
                    FOR_GOOD.set(false);
                    GRANTED.set(Some(0));
                    if weak {
                        drop(m.downgrade(object));
                    } else {
                        drop(m.global(object));
                    }
                }));
                GRANTED.set(None);
                let message = panic.unwrap_err();
                let message = message.downcast_ref::<String>().unwrap();
                assert!(
                    message.contains("the system has no memory for"),
                    "{message}"
                );
            }
            m.verify();
            let weak = m.downgrade(m.get(a).unwrap());
            assert!(m.upgrade(&weak).is_some());
            drop(m.global(m.get(a).unwrap()));
            m.verify();
        });
    });
}

/// Where what is unreachable cannot be listed, it is told from large objects that are alive, also
/// when a finalizer has it looked at again: with counts that a side byte takes up, and with larger
/// ones.
#[test]
fn large_objects_that_live_outlive_garbage_that_cannot_be_listed() {
    for cycle in [Cycle::Generational, Cycle::BaconRajan] {
        for references in [1, 2, 62, 63, 64, 100, 150, 200] {
            let heap = Heap::builder()
                .cycle(cycle)
                .thresholds([0, 0, 0])
                .build()
                .unwrap();
            heap.attach(|m| {
                m.frame(|m, [large, holder, a]| {
                    m.alloc(large, Shape::new(9000, 0)).unwrap();
                    m.alloc(holder, Shape::new(references, 0)).unwrap();
                    for field in 1..references as usize {
                        m.store(m.get(holder).unwrap(), field, m.get(large));
                    }
                    m.alloc(a, Shape::new(1, 0).with(Flags::FINALIZE)).unwrap();
                    m.store(m.get(a).unwrap(), 0, m.get(a));
                    m.set(a, None);
                    m.safepoint();
                    with_refusal(0, true, || m.collect());
                    m.verify();
                    assert_eq!(heap.statistics().freed_objects, 0);
                    assert!(m.finalizable(a));
                    m.set(a, None);
                    m.collect();
                    m.verify();
                    assert_eq!(m.shape(m.get(large).unwrap()), Shape::new(9000, 0));
                });
            });
        }
    }
}

/// Without the global lock: what there is no memory to list as retired dies in the next stop, also
/// if nothing else waits for one.
#[test]
fn what_dies_unlisted_on_a_thread_of_many_is_found() {
    let heap: Heap<Atomic> = Heap::builder().poison(true).build_unlocked().unwrap();
    heap.attach(|m| {
        m.frame(|m, [a]| {
            m.alloc_init(a, Flags::NONE, [], [1]).unwrap();
            with_refusal(0, true, || m.set(a, None));
            m.safepoint();
            m.verify();
            assert_eq!(heap.statistics().freed_objects, 1);
        });
    });
}

/// The same of what globals held: the mutex of the tables is had by whoever releases them.
#[test]
fn globals_are_released_where_nothing_can_be_listed() {
    let heap: Heap<Atomic> = Heap::builder().poison(true).build_unlocked().unwrap();
    heap.attach(|m| {
        let mut globals = Vec::new();
        for word in 0..100 {
            m.frame(|m, [a]| {
                m.alloc_init(a, Flags::NONE, [], [word]).unwrap();
                globals.push(m.global(m.get(a).unwrap()));
            });
        }
        drop(globals);
        with_refusal(0, true, || m.safepoint());
        m.safepoint();
        m.verify();
        assert_eq!(heap.statistics().freed_objects, 100);
    });
}
