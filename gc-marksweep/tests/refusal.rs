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

use gc_marksweep::{
    BuildError, Event, Flags, FullCause, Generations, Global, Heap, HeapFull, Listener, Local,
    Mutator, OverheadLimit, PauseStatistics, Shape, Step, Weak,
};

thread_local! {
    /// Requests that are granted before one is refused, on this thread; `None`: all are.
    static GRANTED: Cell<Option<u64>> = const { Cell::new(None) };
    /// Whether all requests after that one are refused, too.
    static FOR_GOOD: Cell<bool> = const { Cell::new(false) };
    static REQUESTS: Cell<u64> = const { Cell::new(0) };
    /// The request that was refused last.
    static REFUSED: Cell<Request> = const { Cell::new(Request::Memory) };
}

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Request {
    /// Memory of the allocator.
    Memory,
    /// A mapping, wherever there is room.
    Mapping,
    /// A mapping at a place, beside one that is there.
    Neighbour,
    /// To take a mapping back.
    Unmapping,
    /// To take advice.
    Advice,
}

/// Counts a request. Returns whether to refuse it.
fn refused(request: Request) -> bool {
    let Some(granted) = GRANTED.get() else {
        return false;
    };
    let before = REQUESTS.replace(REQUESTS.get() + 1);
    let refused = before == granted || (before > granted && FOR_GOOD.get());
    if refused {
        REFUSED.set(request);
    }
    refused
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
        if refused(Request::Memory) {
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
        if refused(Request::Memory) {
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
    let request = if address.is_null() {
        Request::Mapping
    } else {
        Request::Neighbour
    };
    if refused(request) {
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
    if refused(Request::Unmapping) {
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
    if refused(Request::Advice) {
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

const NODES: usize = 100;
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

/// Makes a table of nodes that refer to each other across and to the table.
fn live<'h>(m: &mut Mutator<'h>, kept: &mut Kept, table: Local<'_, 'h>, a: Local<'_, 'h>) {
    // A small object that is logged whole, or a large one that is logged by cards.
    let refs = if m.get(table).is_none() { NODES } else { 4000 };
    if kept
        .note(m.alloc(table, Shape::new(refs as u32, 0)))
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
        m.store(table, index * refs / NODES, Some(node));
        m.store(node, 0, Some(table));
        m.store(node, 1, m.load(table, index * 7 % NODES * (refs / NODES)));
        if let Some(other) = m.load(table, index * 5 % NODES * (refs / NODES)) {
            m.store(other, 2, Some(node));
        }
        m.safepoint();
    }
    m.set(a, None);
}

/// Every node that there is still says what it said.
fn check_live<'h>(m: &Mutator<'h>, table: Local<'_, 'h>) {
    let Some(table) = m.get(table) else { return };
    let refs = m.shape(table).refs as usize;
    for index in 0..NODES {
        if let Some(node) = m.load(table, index * refs / NODES) {
            assert_eq!(m.word(node, 0), index as u64);
            assert!(m.load(node, 0) == Some(table));
        }
    }
}

/// Objects that die, some with finalizers, some that weak references know of, some large, some
/// medium.
fn garbage<'h>(m: &mut Mutator<'h>, kept: &mut Kept, a: Local<'_, 'h>, b: Local<'_, 'h>) {
    for index in 0..NODES {
        let flags = Flags {
            finalize: index % 5 == 0,
            ..Flags::NONE
        };
        let words = match index % 70 {
            0 => 9000,
            1 => 100,
            _ => 0,
        };
        let made = m
            .alloc(a, Shape::new(2, words).with(flags))
            .and_then(|()| m.alloc_init(b, Flags::FINALIZE, [a, a], []))
            .and_then(|()| m.alloc_move(b, flags, [b], []));
        if kept.note(made).is_some() {
            m.store(m.get(a).unwrap(), 0, m.get(b));
            if index % 10 == 0 {
                let weak = kept.note(m.try_downgrade(m.get(a).unwrap()));
                kept.weak.extend(weak);
            }
        }
        m.set(a, None);
        m.set(b, None);
        m.safepoint();
    }
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

/// Writes into old objects, so that they are remembered.
fn rewrite<'h>(m: &mut Mutator<'h>, kept: &mut Kept, table: Local<'_, 'h>, a: Local<'_, 'h>) {
    let Some(fields) = m.get(table) else { return };
    let refs = m.shape(fields).refs as usize;
    for index in 0..NODES {
        if kept.note(m.alloc(a, Shape::new(3, 1))).is_none() {
            continue;
        }
        m.set_word(m.get(a).unwrap(), 0, index as u64);
        let (node, table) = (m.get(a).unwrap(), m.get(table).unwrap());
        m.store(node, 0, Some(table));
        let place = index * refs / NODES;
        if let Some(old) = m.load(table, place) {
            m.store(old, 1, Some(node));
        }
        m.store(table, place, Some(node));
    }
    m.set(a, None);
}

/// Does a little of everything. Returns how many finalizers and notices there were.
fn script(heap: &Heap, kept: &mut Kept) -> (u64, u64) {
    heap.attach(|m| {
        m.frame(|m, [graph, table, a, b]| {
            live(m, kept, graph, a);
            m.set(table, m.get(graph));
            live(m, kept, table, a);
            m.collect();
            for _ in 0..2 {
                rewrite(m, kept, graph, a);
                rewrite(m, kept, table, a);
                garbage(m, kept, a, b);
                check_live(m, graph);
            }
            handles(m, kept, a);
            // In space that is yet to be reserved.
            kept.note(m.alloc(a, Shape::new(1, 3_000_000)));
            m.set(a, None);
            m.collect();
            check_live(m, graph);
            check_live(m, table);
            m.blocking(|| {
                heap.attach(|m| {
                    m.frame(|m, [a, b]| {
                        // Its log is left behind.
                        if kept.note(m.alloc(a, Shape::new(1, 1))).is_some() {
                            m.collect();
                            kept.note(m.alloc(b, Shape::new(1, 1)));
                            m.store(m.get(a).unwrap(), 0, m.get(b));
                        }
                    })
                });
            });
            let steps = m.collect_recorded();
            assert!(!steps[..steps.len().max(1) - 1].contains(&Step::Lost));
            let taken = heap.take_events();
            assert!(taken.events.len() as u64 + taken.lost > 0);
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
            check_live(m, table);
            (finalizers, cleared)
        })
    })
}

/// The heap is whole, and does all of the script; then it is empty.
fn check(heap: &Heap, kept: &mut Kept, expected: (u64, u64), what: &dyn Fn() -> String) {
    kept.weak.clear();
    heap.attach(|m| {
        m.verify();
        m.frame(|m, [a]| {
            while m.finalizable(a) {}
            m.set(a, None);
            while m.cleared().is_some() {}
        });
        m.collect();
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
        statistics.live_bytes,
        Some(0),
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

type Build = Box<dyn Fn() -> Result<Heap, BuildError>>;

fn configurations() -> Vec<(String, Build)> {
    let mut all: Vec<(String, Build)> = Vec::new();
    for (generations, workers, limit, release) in [
        (Generations::On, 1, 256 << 20, None),
        (Generations::On, 2, 4 << 30, Some(Duration::ZERO)),
        (Generations::Auto, 1, 256 << 20, Some(Duration::ZERO)),
        (Generations::Off, 2, 256 << 20, None),
    ] {
        let name = format!("{generations:?}, {workers} workers, limit {limit}");
        let builder = Heap::builder()
            .generations(generations)
            .nursery(1 << 16)
            .marking_workers(workers)
            .limit(limit)
            .release_after(release)
            .event_capacity(64)
            .overhead_limit(Some(STRICT))
            .watchdog(Some(Duration::from_secs(60)))
            .listener(Arc::new(Ear(AtomicU64::new(0))))
            .listener(Arc::new(PauseStatistics::new()));
        // A clone of it is the test's, and what that needs is not to be refused.
        all.push((
            name,
            Box::new(move || {
                let granted = GRANTED.take();
                let builder = builder.clone();
                GRANTED.set(granted);
                builder.build()
            }),
        ));
    }
    all
}

fn refuse_every_request(for_good: bool) {
    for (name, build) in configurations() {
        let heap = build().unwrap();
        let mut kept = Kept::new();
        let (expected, requests) = with_refusal(u64::MAX, false, || script(&heap, &mut kept));
        assert!(expected.0 > 0 && expected.1 > 0, "{name}: {expected:?}");
        assert!(requests > 20, "{name}: only {requests} requests");
        let mut refusals = 0;
        for granted in 0..requests {
            let what =
                || format!("{name}: request {granted} of {requests} refused, for good: {for_good}");
            let heap = build().unwrap();
            let mut kept = Kept::new();
            with_refusal(granted, for_good, || script(&heap, &mut kept));
            refusals += kept.refusals;
            // The rest is the same whichever request it was.
            if granted % 5 == 0 {
                check(&heap, &mut kept, expected, &what);
            } else {
                heap.attach(|m| m.verify());
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

/// A heap is made, or it is said why not.
#[test]
fn a_heap_is_made_or_not() {
    for (name, build) in configurations() {
        // The first one of a process asks how many cores there are; and the process has one list of
        // the places of all heaps, which is done without where it cannot grow. After these it need
        // not, whatever other tests make at the same time.
        assert!(
            (0..64)
                .map(|_| build())
                .collect::<Vec<_>>()
                .iter()
                .all(Result::is_ok)
        );
        let (heap, requests) = with_refusal(u64::MAX, false, &build);
        assert!(heap.is_ok() && requests > 10, "{name}: {requests}");
        for granted in 0..requests {
            match with_refusal(granted, false, &build).0 {
                Ok(heap) => {
                    let request = REFUSED.get();
                    assert!(
                        !matches!(request, Request::Memory | Request::Mapping),
                        "{name}: made without request {granted}, {request:?}"
                    );
                    heap.attach(|m| m.verify());
                }
                Err(error) => {
                    let error = error.to_string();
                    assert!(
                        error.contains("memory") && !error.contains('\n'),
                        "{name}: request {granted}: {error}"
                    );
                }
            }
        }
    }
}

fn tree<'h>(m: &mut Mutator<'h>, into: Local<'_, 'h>, depth: u32) {
    m.frame(|m, [left, right]| {
        if depth > 0 {
            tree(m, left, depth - 1);
            tree(m, right, depth - 1);
        }
        m.alloc_move(into, Flags::NONE, [left, right], []).unwrap();
    });
}

/// So many objects that a collection wants help with them.
#[test]
fn helpers_that_cannot_be_had_are_done_without() {
    let mut all = 0;
    for granted in 0..16 {
        let heap = Heap::builder().marking_workers(2).build().unwrap();
        heap.attach(|m| {
            m.frame(|m, [root]| {
                tree(m, root, 14);
                let ((), requests) = with_refusal(granted, granted % 2 == 0, || m.collect());
                all += requests;
                m.collect();
                m.verify();
            });
        });
        assert_eq!(
            heap.statistics().live_bytes,
            Some(24 * ((1 << 15) - 1)),
            "request {granted}"
        );
    }
    assert!(all > 32, "only {all} requests");
}

/// What has no result says it with a panic, which leaves the heap as it was.
#[test]
fn handles_that_cannot_be_had_panic() {
    let heap = Heap::builder().build().unwrap();
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
