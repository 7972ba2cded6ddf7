//! A stop-the-world, non-moving mark-sweep heap whose mutator threads run freely.
//!
//! Threads attach to a [`Heap`], make objects (a header, reference fields, 64-bit payload words)
//! and let them go. Nobody counts references: from time to time a collection stops all threads,
//! marks what can still be reached from their frames and from [`Global`]s, and what is left
//! unmarked is free memory. Between two collections threads allocate by bumping a private cursor
//! and meet on nothing.
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
//! For those who want to use a heap there is a [book]: a [tour](book::tour) of its
//! operations, an [interpreter](book::interpreter) with closures, and how to
//! [bind](book::binding) a language runtime to it.
//!
//! # The one rule
//!
//! Operations on `&Mutator` read and write; those on `&mut Mutator` may collect, or wait for
//! somebody else's collection. A [`Ref`] borrows the mutator shared, so the compiler ends it before
//! the next collection could: reading through it costs nothing. What must survive sits in a
//! [`Local`] of a [frame](Mutator::frame) or in a [`Global`]. A thread that waits for anything else
//! than the heap does so inside [`Mutator::blocking`], and one that runs for long calls
//! [`Mutator::safepoint`] in between: until every thread has stopped, a collection cannot begin.
//!
//! # How it works
//!
//! An object's life, and where to read about it:
//!
//! 1. **Allocation** (`alloc.rs`): a mutator owns a *hole*, a run of free 8-byte granules in a 32
//!    KiB *block*, and bumps a cursor through it. No metadata is touched. When the hole is used up
//!    (`obtain.rs` says what is tried then) the next block comes from the supply (`supply.rs`, its
//!    lists in `lists.rs`), without a lock. Objects above 8 KiB get pages of their own (`large.rs`,
//!    `runs.rs`).
//! 2. **Triggering** (`policy.rs`): a collection is due when a nursery's worth has been handed out,
//!    or nothing is left. It is a *minor* one, of what is new, or a *major* one, of everything.
//! 3. **Stopping** (the crate `handshake`): when no hole is left, the mutator that found out asks
//!    the others to stop, by a flag that each polls with one relaxed load. Threads in blocking
//!    regions count as stopped.
//! 4. **Marking** (`mark.rs`; the loop is `mark/tracer.rs`): from the roots, with an explicit stack
//!    and rings of prefetched edges and objects; of a large heap by several workers, which share
//!    work only when one of them has none (`mark/team.rs`, `workers.rs`). A mark is a bit in a
//!    side table (`block.rs`), set for each granule of the object, so that extents are known
//!    without touching objects again. A major collection clears them first; a minor one does not:
//!    what is marked is old, and not looked at. Which old objects have been made to refer to new
//!    ones is remembered by the write barrier (`remember.rs`). How much of what is new survives is
//!    told by a sample (`survival.rs`).
//! 5. **Sweeping** (`sweep.rs`): there is no sweep. Wholly dead blocks are known by their count of
//!    live granules when marking ends; the others are searched for holes by the mutators that
//!    allocate from them.
//!
//! `collect.rs` puts these together, and `abort.rs` sees to it that no panic gets out of it;
//! `overhead.rs` refuses where a heap would do nothing but collect; `ageing.rs` says when free
//! memory goes back to the system. `heap.rs` is what all mutators share, `builder.rs` its
//! configuration (a table, whose columns are in `options.rs`), `statistics.rs` its counters,
//! `full.rs` the error of an allocation. `mutator.rs` has a thread's operations, `attach.rs` its
//! coming and going; `handle.rs` globals, weak references and finalizers. `event.rs` says what
//! happened and when, to a log and to [`Listener`]s, of which `pause.rs` has one that keeps
//! statistics; `step.rs` records what a collection does object by object; `verify.rs` checks it all
//! by a second walk.
//!
//! Unsafe code is what lays out memory (`object`, `block`, `frame`, `os`, `reservation`, `table`),
//! what touches it (`alloc`, `supply`, `large`, `sweep`, `mark`, `remember`, `collect`, `mutator`,
//! `verify`), and what crosses threads (`attach`, `workers`, `thread`, `shared`); each block argues
//! from the invariant that its module opens with.
//!
//! # Forks
//!
//! A process with a heap may fork. The child's copy of the heap is its own: it goes on with the
//! thread that forked, attached or not, and starts marking helpers anew. What it cannot do without
//! are other threads that were attached, waited for a stop or were inside an operation on the heap
//! when the process was forked: then every operation of the child on that heap panics with a
//! message that says so, and dropping the heap leaks its memory. `statistics` works in any case.
//! Making and dropping heaps is a matter of the process: a child that is forked at the moment in
//! which another thread makes or drops one can do neither.
//!
//! # Glossary
//!
//! | term | meaning |
//! |---|---|
//! | mutator | a thread attached to the heap |
//! | safepoint | a place where a mutator lets itself be stopped |
//! | granule | 8 bytes, the unit of allocation |
//! | block | 32 KiB, the unit in which mutators take memory |
//! | hole | a run of free granules in a block |
//! | mark bit | the bit of a granule in the side table; set if the last collection found it live |
//! | minor, major collection | one of what has been allocated since the last one; one of everything |
//! | old, young | marked by the last collection; allocated since |
//! | write barrier | what a store does beyond writing: remembers an old object that may come to refer to a young one |
//! | card | 512 bytes of a large object, which are remembered together |
//! | worker | a thread that marks: the mutator that collects, and helpers that exist for nothing else |
//! | root | where marking begins: locals of frames, globals, objects with a due finalizer |
//!
//! # What it costs
//!
//! A header is 8 bytes, and so is a field; nothing is rounded up. Side metadata is a sixty-fourth
//! of the heap, plus 32 bytes a block: 1.7 %. The [limit](Builder::limit) counts all of it, whole
//! blocks where anything in them is live included. A major collection costs a few nanoseconds for
//! each *live* object, all threads stopped, a minor one for each *new* live object and each
//! remembered field; dead ones cost nothing but the search for holes between the live. A store
//! costs a test of the object's header, which it loads anyhow; the first one into an old object
//! since the last collection a call.
//!
//! # What generations are worth
//!
//! `harness run binary-trees gcbench list rings churn rewire --heap gc-marksweep:generations=off
//! --heap gc-marksweep:generations=on --heap gc-marksweep --invocations 5` on two cores of an AMD
//! EPYC 7003 (a virtual machine with noisy neighbours: of the ratios, those of `list` exclude 1,
//! and `rings` on/off does; the shares and counts of pauses are steady). Time is the ratio of
//! medians to `off`; share is the part of thread time in pauses.
//!
//! | workload | on | auto | share, off / on / auto | pauses, off / on / auto |
//! |---|---|---|---|---|
//! | binary-trees | 0.65 | 0.92 | 22 % / 8 % / 9 % | 35 / 55 / 62 |
//! | gcbench | 0.92 | 0.89 | 12 % / 6 % / 8 % | 11 / 29 / 24 |
//! | rings | 0.75 | 0.98 | 54 % / 19 % / 44 % | 8 / 19 / 13 |
//! | churn | 0.91 | 0.73 | 4 % / 10 % / 5 % | 3 / 6 / 3 |
//! | list | 2.71 | 1.04 (of ten) | 2 % / 58 % / 3 % | 2 / 20 / 2 |
//! | rewire | 0.79 | 0.94 | 0 / 0 / 0 | none: the noise of this table |
//!
//! Where most objects die young minor collections cost a third of the pauses' time, and the median
//! pause falls from a millisecond to 20-30 us; where a program builds what stays they cost several
//! times as much. `auto` avoids the second and gets most of the first; it is late where a program
//! changes its ways every few collections, as `rings` does.
#![cfg_attr(not(test), warn(clippy::unwrap_used))]

mod abort;
mod ageing;
mod alloc;
mod attach;
mod block;
pub mod book;
mod builder;
mod collect;
mod event;
mod frame;
mod full;
mod handle;
mod heap;
mod large;
mod lists;
mod mark;
mod mutator;
mod object;
mod obtain;
mod options;
mod os;
mod overhead;
mod pause;
mod policy;
mod primitive;
mod remember;
mod reservation;
mod room;
mod runs;
mod shared;
mod statistics;
mod step;
mod supply;
mod survival;
mod sweep;
mod table;
mod thread;
mod verify;
mod workers;

pub use builder::{BuildError, Builder};
pub use event::{Event, EventKind, EventLog, Listener, STALL_EVENT_MINIMUM};
pub use frame::Local;
pub use full::{FullCause, HeapFull};
pub use handle::{Global, Weak};
pub use heap::Heap;
pub use mutator::{Mutator, Ref};
pub use object::{Flags, Shape};
pub use options::{BuilderOption, OptionError};
pub use overhead::OverheadLimit;
pub use pause::{PauseStatistics, Pauses};
pub use policy::{Generations, Sizing};
pub use statistics::{Found, Statistics};
pub use step::{Place, Step};

#[cfg(not(target_pointer_width = "64"))]
compile_error!("gc-marksweep needs 64-bit addresses");
