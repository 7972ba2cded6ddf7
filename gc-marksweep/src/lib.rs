//! A stop-the-world, non-moving mark-sweep heap whose mutator threads run freely.
//!
//! Threads attach to a [`Heap`], make objects (a header, reference fields, 64-bit payload words) and let them go.
//! Nobody counts references: from time to time a collection stops all threads, marks what can still be
//! reached from their frames and from [`Global`]s, and what is left unmarked is free memory. Between two collections threads allocate by
//! bumping a private cursor and meet on nothing.
//!
//! ```
//! use gc_marksweep::{Flags, Heap};
//!
//! let heap = Heap::builder().limit(16 << 20).build()?;
//! let sum = heap.attach(|m| {
//!     m.frame(|m, [list]| {
//!         // A list of ten nodes: one field, which leads to the next, and one word.
//!         for word in 0..10 {
//!             m.alloc_move(list, Flags::NONE, [list], [word])?;
//!         }
//!         m.collect(); // the list is reachable from a local, so it stays
//!         let mut sum = 0;
//!         let mut node = m.get(list);
//!         while let Some(object) = node {
//!             sum += m.word(object, 0);
//!             node = m.load(object, 0);
//!         }
//!         Ok::<_, gc_marksweep::HeapFull>(sum)
//!     })
//! })?;
//! assert_eq!(sum, 45);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # The one rule
//!
//! Operations on `&Mutator` read and write; those on `&mut Mutator` may collect, or wait for somebody else's collection. A
//! [`Ref`] borrows the mutator shared, so the compiler ends it before the next collection could: reading through it
//! costs nothing. What must survive sits in a [`Local`] of a [frame](Mutator::frame) or in a [`Global`]. A thread that
//! waits for anything else than the heap does so inside [`Mutator::blocking`], and one that runs for long calls
//! [`Mutator::safepoint`] in between: until every thread has stopped, a collection cannot begin.
//!
//! # How it works
//!
//! An object's life, and where to read about it:
//!
//! 1. **Allocation** (`alloc.rs`): a mutator owns a *hole*, a
//!    run of free 16-byte granules in a 32 KiB *block*, and bumps a cursor through it. No metadata is touched. Objects above 8 KiB get pages of
//!    their own.
//! 2. **Stopping** (`safepoint.rs`): when no hole is left, the mutator that found out asks the others to stop, by a flag that each
//!    polls with one relaxed load. Threads in blocking regions count as stopped.
//! 3. **Marking** (`mark.rs`): from the roots, with an explicit stack and rings of prefetched edges and objects; of a large heap by several workers, which share work only when
//!    one of them has none (`workers.rs`). A mark is a byte in a side table (`block.rs`), written
//!    for each granule of the object, so that extents are known without touching objects again. Mark values
//!    rotate; nothing is cleared.
//! 4. **Sweeping** (`sweep.rs`): there is no sweep. Wholly dead blocks are known by their count of live granules when marking
//!    ends; the others are searched for holes by the mutators that allocate from them.
//!
//! `collect.rs` puts these together; `handle.rs` has globals, weak references and finalizers; `verify.rs` checks it
//! all by a second walk. Unsafe code is in `object`, `block`, `alloc`, `mark`, `frame`, `mutator`, `os` and in the
//! handshake; each block argues from the invariant that its module opens with.
//!
//! # Glossary
//!
//! | term | meaning |
//! |---|---|
//! | mutator | a thread attached to the heap |
//! | safepoint | a place where a mutator lets itself be stopped |
//! | granule | 16 bytes, the unit of allocation |
//! | block | 32 KiB, the unit in which mutators take memory |
//! | hole | a run of free granules in a block |
//! | mark byte | the side byte of a granule; live if it holds the current mark value |
//! | worker | a thread that marks: the mutator that collects, and helpers that exist for nothing else |
//! | root | where marking begins: locals of frames, globals, objects with a due finalizer |
//!
//! # What it costs
//!
//! A header is 8 bytes; sizes are rounded up to 16. Side metadata is a sixteenth of the heap, plus 4 bytes a block. The [limit](Builder::limit) counts all of
//! it, whole blocks where anything in them is live included. A collection costs a few nanoseconds for each *live* object,
//! all threads stopped; dead ones cost nothing but the search for holes between the live.
#![cfg_attr(not(test), warn(clippy::unwrap_used))]

mod alloc;
mod block;
mod collect;
mod event;
mod frame;
mod handle;
mod heap;
mod mark;
mod mutator;
mod object;
mod os;
mod primitive;
mod safepoint;
mod sweep;
mod verify;
mod workers;

pub use event::{Event, EventKind, EventLog};
pub use frame::Local;
pub use handle::{Global, Weak};
pub use heap::{BuildError, Builder, Heap, HeapFull, Statistics};
pub use mutator::{Mutator, Ref};
pub use object::{Flags, Shape};

#[cfg(not(target_pointer_width = "64"))]
compile_error!("gc-marksweep needs 64-bit addresses");
