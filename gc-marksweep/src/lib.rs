//! A stop-the-world, non-moving mark-sweep heap whose mutator threads run freely.
//!
//! WIP tour.
#![deny(clippy::undocumented_unsafe_blocks)]

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

pub use event::{Event, EventKind, EventLog};
pub use frame::Local;
pub use handle::{Global, Weak};
pub use heap::{BuildError, Builder, Heap, HeapFull, Statistics};
pub use mutator::{Mutator, Ref};
pub use object::{Flags, Shape};

#[cfg(not(target_pointer_width = "64"))]
compile_error!("gc-marksweep needs 64-bit addresses");
