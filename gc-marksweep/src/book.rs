//! The book: documentation only.
//!
//! 1. [Tour](tour): what a program does with a heap.
//! 2. [An interpreter with closures](interpreter): a small language whose values live here.
//! 3. [Binding a language runtime](binding): roots, safepoints, foreign code, threads; what is
//!    possible here and what is not.
//!
//! How the heap itself works is told by the [crate]'s front page and by its source, whose
//! modules open with what they keep true.
//!
//! The chapters are those of the other collector, too: its operations are the same.

/// The name of the crate in examples.
macro_rules! collector {
    () => {
        "gc_marksweep"
    };
}

/// The name of the package in commands.
macro_rules! package {
    () => {
        "gc-marksweep"
    };
}

pub mod tour {
    //! What a program does with a heap, from the first object to several threads.
    //!
    #![doc = include!("../../docs/book/tour.rs")]
    //! # When objects die here
    //!
    //! In a collection, which an allocation starts when memory is short. Until then garbage stays
    //! where it is, and costs nothing. A program that must know of a death early asks for a
    //! collection, at the price of one.
    //!
    //! ```
    //! use gc_marksweep::{Flags, Heap};
    //!
    //! let heap = Heap::builder().limit(1 << 20).build()?;
    //! heap.attach(|m| {
    //!     m.frame(|m, [text]| {
    //!         m.alloc_init(text, Flags::NONE, [], [1])?;
    //!         let weak = m.downgrade(m.get(text).expect("just made"));
    //!         m.set(text, None);
    //!         assert!(m.upgrade(&weak).is_some()); // nobody has looked
    //!         m.collect();
    //!         assert!(m.upgrade(&weak).is_none());
    //!         Ok::<_, gc_marksweep::HeapFull>(())
    //!     })
    //! })?;
    //! # Ok::<(), Box<dyn std::error::Error>>(())
    //! ```
    //!
    //! Threads run at the same time, and all of them stand still while one collects.
}

pub mod interpreter {
    //! An interpreter with closures, and how it keeps what it needs alive.
    //!
    #![doc = include!("../../docs/book/interpreter.rs")]
}

pub mod binding {
    //! How to bind a language runtime to this heap.
    //!
    #![doc = include!("../../docs/book/binding.rs")]
    //! # Safepoints of this heap
    //!
    //! Where a thread lets itself be stopped, and where it may stop the others to collect:
    //!
    //! | operation | stops for others | may collect |
    //! |---|---|---|
    //! | `alloc`, `alloc_init`, `alloc_move` | when a hole is used up, and for a large object | the same |
    //! | [`safepoint`](crate::Mutator::safepoint) | when one has asked | no |
    //! | [`collect`](crate::Mutator::collect), [`verify`](crate::Mutator::verify) | yes | always |
    //! | [`blocking`](crate::Mutator::blocking) | counts as stopped; waits at its end | no |
    //! | [`attach`](crate::Heap::attach) | at its beginning | no |
    //! | [`finalizable`](crate::Mutator::finalizable), [`cleared`](crate::Mutator::cleared) | no | no |
    //! | [`frame`](crate::Mutator::frame) | no | no |
    //! | everything that takes `&Mutator` | no | no |
    //!
    //! A hole is at most a block of 32 KiB, so that a loop that allocates needs no other poll: it
    //! comes by a safepoint after 4,096 objects at the latest. A loop that only reads and stores
    //! does. The dead are never freed one by one, so nothing has to be polled for that.
    //!
    //! # Costs to plan with
    //!
    //! * A stop waits for every attached thread that is not in `blocking`: the slowest to reach a
    //!   safepoint decides. [`PauseStatistics`](crate::PauseStatistics) names it.
    //! * A store looks at the object's header. The first one of a reference into an old object
    //!   since the last collection is remembered, which is a call.
    //! * Locals, copies and reads count nothing, and letting go of a large structure is free.
    //! * A heap has a [limit](crate::Builder::limit), 64 MiB unless it is given another, and uses
    //!   most of it before it collects: two to three times what is alive is a good limit. The more,
    //!   the rarer collections are. [`Sizing`](crate::Sizing) has other rules.
    //! * A collection of the whole heap takes a few nanoseconds for each living object, one of the
    //!   new objects as much for each of those that live. [`Generations`](crate::Generations) says
    //!   which there are.
    //! * Helpers mark beside the thread that collects
    //!   ([`marking_workers`](crate::Builder::marking_workers)): in a process that must not start
    //!   threads, one.
}
