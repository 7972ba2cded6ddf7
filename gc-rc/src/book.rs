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
        "gc_rc"
    };
}

/// The name of the package in commands.
macro_rules! package {
    () => {
        "gc-rc"
    };
}

pub mod tour {
    //! What a program does with a heap, from the first object to several threads.
    //!
    #![doc = include!("../../docs/book/tour.rs")]
    //! # When objects die here
    //!
    //! With their last reference, but for those in cycles. The death itself waits for the next
    //! operation that takes `&mut`, and a long chain of deaths is one loop. Cycles die in a
    //! collection, which a [`safepoint`](crate::Mutator::safepoint) makes when enough has been
    //! allocated. So a program that wants to know early of a death need not collect, and one that
    //! never polls never frees a cycle.
    //!
    //! ```
    //! use gc_rc::{Flags, Heap};
    //!
    //! let heap = Heap::new();
    //! heap.attach(|m| {
    //!     m.frame(|m, [text, ring]| {
    //!         m.alloc_init(text, Flags::NONE, [], [1])?;
    //!         let weak = m.downgrade(m.get(text).expect("just made"));
    //!         m.set(text, None);
    //!         assert!(m.upgrade(&weak).is_none()); // no collection
    //!
    //!         m.alloc_init(ring, Flags::NONE, [ring], [2])?;
    //!         let object = m.get(ring).expect("just made");
    //!         m.store(object, 0, Some(object));
    //!         let weak = m.downgrade(object);
    //!         m.set(ring, None);
    //!         assert!(m.upgrade(&weak).is_some());
    //!         m.collect();
    //!         assert!(m.upgrade(&weak).is_none());
    //!         Ok::<_, gc_rc::HeapFull>(())
    //!     })
    //! })?;
    //! # Ok::<(), gc_rc::HeapFull>(())
    //! ```
    //!
    //! Threads take turns: one at a time runs, the one that has the global lock. A heap made by
    //! [`build_unlocked`](crate::Builder::build_unlocked) has no such lock, and all its threads
    //! run.
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
    //! Under the global lock ([`GlobalLock`](crate::GlobalLock), the default):
    //!
    //! | operation | the dead are freed | a collection may happen | other threads may run |
    //! |---|---|---|---|
    //! | `alloc`, `alloc_init`, `alloc_move` | yes | at the limit only | no |
    //! | [`safepoint`](crate::Mutator::safepoint) | yes | when one is due | when one has asked |
    //! | [`collect`](crate::Mutator::collect) | yes | always | no |
    //! | [`blocking`](crate::Mutator::blocking) | yes | no | yes |
    //! | [`finalizable`](crate::Mutator::finalizable), [`cleared`](crate::Mutator::cleared) | yes | no | no |
    //! | [`verify`](crate::Mutator::verify) | yes | no | no |
    //! | [`frame`](crate::Mutator::frame) | no: its locals only queue | no | no |
    //! | the end of [`attach`](crate::Heap::attach) | yes | no | yes |
    //! | everything that takes `&Mutator` | no | no | no |
    //!
    //! So a loop that only allocates must poll here: it frees what dies by its count, but neither
    //! collects cycles nor lets others run. With [`stress`](crate::Builder::stress) each allocation
    //! collects. Where there is a [listener](crate::Listener), it may be called where other threads
    //! may run, and a collection that what it does makes due is made there.
    //!
    //! In the regimes without the lock ([`Atomic`](crate::Atomic),
    //! [`ObjectLock`](crate::ObjectLock), [`Biased`](crate::Biased),
    //! [`Deferred`](crate::Deferred)) threads run at any time, and what is asked is where one lets
    //! itself be *stopped*:
    //!
    //! | operation | stops for others | may stop the others |
    //! |---|---|---|
    //! | `safepoint` | when one has asked | when a collection is due |
    //! | `alloc`, `alloc_init`, `alloc_move` | no, but at the limit | at the limit |
    //! | `collect`, `verify` | yes | yes |
    //! | `blocking` | counts as stopped; waits at its end | no |
    //! | `attach` | at its beginning | no |
    //! | `finalizable`, `cleared`, `frame` | no | only where memory ran out for their lists |
    //!
    //! With [`Deferred`](crate::Deferred), `safepoint`, `blocking` and the end of `attach` stop the
    //! others, too, now and then, for what threads are found to share.
    //!
    //! There a death waits for a *grace period*, in which each thread that is not in `blocking`
    //! passes a safepoint: a thread that does not poll keeps the garbage of all others.
    //!
    //! # Costs to plan with
    //!
    //! * Under the lock native code that runs for long outside of `blocking` keeps every other
    //!   thread out. A thread that comes back waits for the lock, up to a
    //!   [switch interval](crate::Builder::switch_interval) (5 ms) for each that computes, unless
    //!   the lock is [fair](crate::Gil::Fair).
    //! * A store counts twice: the new reference up, the old one down. Copies between locals count,
    //!   too; [`alloc_move`](crate::Mutator::alloc_move) and
    //!   [`store_move`](crate::Mutator::store_move) do not, and reading does not.
    //! * Letting go of a large structure frees it there and then: a pause in proportion to it,
    //!   unless the heap is [lazy](crate::Free::Lazy).
    //! * A heap has no limit unless it is given [one](crate::Builder::limit). Memory is what is
    //!   alive, a few per cent of blocks, and cycles that await their collection: there is no need
    //!   for a multiple of what is alive.
    //! * Collections grow with what is alive. [`Cycle::None`](crate::Cycle::None) is for languages
    //!   without cycles, [`oldest_growth`](crate::Builder::oldest_growth) for those whose heaps
    //!   grow large.
}
