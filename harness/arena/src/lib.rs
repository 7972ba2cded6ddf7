//! A heap that never frees: the floor under every comparison.
//!
//! Objects are carved off a [`bumpalo::Bump`], one for each mutator, and stay until the heap is
//! [reset](Heap::reset) or gone. There is no collector, no count, no barrier and no lock on the
//! way; what remains is the work itself plus the cheapest allocation there is. The cost of a
//! collector is what it adds to this ("lower-bound overhead", Cai et al., *Distilling the Real Cost
//! of Production Garbage Collectors*, ISPASS 2022).
//!
//! Not a toy of equal rank: it keeps the [contract] that the collectors keep, and is honest about
//! what it cannot do. Collecting and verifying do nothing, a [`Weak`] always upgrades, no finalizer
//! is ever due. Its memory is bounded by a limit of its own ([`Heap::new`]), not by the one under
//! which the collectors are compared. It knows the contract, as a heap of your own would; the
//! collectors can be used without.
//!
//! # Layout
//!
//! | bytes | what |
//! |---|---|
//! | 8 | header: 31 bits of reference fields, 31 bits of payload words, 2 flags |
//! | 8 each | reference fields |
//! | 8 each | payload words |
//!
//! Everything is aligned to 8 bytes; there is no rounding. Fields and words are atomics (release
//! and acquire for references, relaxed for words; plain moves on x86-64), so that a program that
//! races gets some value, never a torn or dangling one.
//!
//! # Why it is sound
//!
//! *An object's memory is valid from its allocation until no mutator of its heap is attached.*
//! Memory is released in two places only: when the last handle and the last mutator are gone, and
//! in [`Heap::reset`], which panics while a mutator is attached. A [`Ref`] or [`Local`] cannot
//! outlive the attachment that made its brand. A [`Global`] or [`Weak`] can: it carries the
//! identity of the heap *at that reset*, never used again, and opening it under any other one
//! panics.
//!
//! Bump arenas are thread-bound; objects are not. A mutator allocates only from its own arena, and
//! hands the arena back to the heap when it detaches, so the objects in it live on for the others.
//!
//! Rejected: `Bump` shared behind a lock (the floor would measure the lock); freeing on detach
//! (other threads may hold the objects); growing chunk by chunk (a reset of `bumpalo` keeps only
//! the last chunk, and the next iteration would fault half of its pages in again). Instead each
//! arena reserves address space for the whole limit at once; pages come as they are first touched
//! and then stay.
//!
//! # Example
//!
//! ```
//! use arena::Heap;
//! use contract::heap::{Flags, Heap as _, HeapFull, Mutator, Shape};
//!
//! let heap = Heap::new(Some(1 << 20)).expect("an arena of a megabyte");
//! let sum = heap.attach(|m| {
//!     m.frame(|m, [list, cursor]| {
//!         for value in 0..10 {
//!             m.alloc_move(list, Flags::NONE, [list], [value])?;
//!         }
//!         let mut sum = 0;
//!         m.set(cursor, m.get(list));
//!         while let Some(node) = m.get(cursor) {
//!             assert_eq!(m.shape(node), Shape::new(1, 1));
//!             sum += m.word(node, 0);
//!             m.set(cursor, m.load(node, 0));
//!         }
//!         Ok::<u64, HeapFull>(sum)
//!     })
//! });
//! assert_eq!(sum, Ok(45));
//! heap.reset();
//! assert_eq!(heap.statistics().occupied_bytes, 0);
//! ```

mod adapter;
mod heap;
mod mutator;
mod object;

pub use adapter::Arena;
pub use heap::{Global, Heap, Weak};
pub use mutator::{Local, Mutator, Ref};
