//! The global allocator: the system's, or mimalloc, by a switch.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering::Relaxed};

use mimalloc::MiMalloc;

/// See [`MODE`].
struct Switch;

#[global_allocator]
static GLOBAL: Switch = Switch;

/// Which allocator serves what [`is_node`].
static MODE: AtomicU8 = AtomicU8::new(SYSTEM);
const SYSTEM: u8 = 0;
const MIMALLOC: u8 = 1;
/// The system's, whose bytes are counted.
const COUNTED: u8 = 2;

/// Bytes that are in use, of those allocated while they were counted.
static IN_USE: AtomicUsize = AtomicUsize::new(0);

/// Whether the allocation can be a node of one of the programs. All else always comes from the
/// system, so that only nodes have to live within a round.
#[inline(always)]
fn is_node(layout: Layout) -> bool {
    layout.align() == 8 && layout.size() >= 32 && layout.size() <= 56
}

// SAFETY: every call goes to one of two allocators, and to the same for the whole life of an
// allocation: the mode changes between rounds only, when no node is left that will ever be freed,
// and those that leaked are never freed.
unsafe impl GlobalAlloc for Switch {
    #[inline(always)]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promises are the callee's.
        unsafe {
            match MODE.load(Relaxed) {
                MIMALLOC if is_node(layout) => MiMalloc.alloc(layout),
                COUNTED => {
                    IN_USE.fetch_add(layout.size(), Relaxed);
                    System.alloc(layout)
                }
                _ => System.alloc(layout),
            }
        }
    }

    #[inline(always)]
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe {
            match MODE.load(Relaxed) {
                MIMALLOC if is_node(layout) => MiMalloc.dealloc(pointer, layout),
                COUNTED => {
                    IN_USE.fetch_sub(layout.size(), Relaxed);
                    System.dealloc(pointer, layout);
                }
                _ => System.dealloc(pointer, layout),
            }
        }
    }
}

fn with<R>(mode: u8, work: impl FnOnce() -> R) -> R {
    MODE.store(mode, Relaxed);
    let result = work();
    MODE.store(SYSTEM, Relaxed);
    result
}

/// Runs `work` with its nodes on mimalloc. It must keep none.
pub(crate) fn on_mimalloc<R>(work: impl FnOnce() -> R) -> R {
    with(MIMALLOC, work)
}

/// Bytes that `work` allocates and never frees.
pub(crate) fn counted(work: impl FnOnce()) -> usize {
    IN_USE.store(0, Relaxed);
    with(COUNTED, work);
    IN_USE.load(Relaxed)
}
