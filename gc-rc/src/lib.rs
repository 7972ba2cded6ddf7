//! A reference-counting heap with a cycle collector behind a global lock, after CPython.
//!
//! Objects have reference fields and 64-bit words, any number of each. Every reference counts; an
//! object whose count falls to zero dies, with all that only it kept alive. Cycles, which counts
//! never reclaim, are found by a cycle collector, one of two. Counts are plain numbers, because one
//! thread at a time runs: the one that holds the *global lock*. This is how CPython manages memory;
//! the crate models version 3.13, with the rules and defaults that it has.
//!
//! ```
//! use gc_rc::{Flags, Heap, Shape};
//!
//! let heap = Heap::builder().limit(64 << 20).build()?;
//! heap.attach(|m| {
//!     // Locals are roots; a frame has as many as its closure takes.
//!     m.frame(|m, [list, node]| {
//!         for number in 0..1000 {
//!             // A node of one field, which takes over what `list` holds, and one word.
//!             m.alloc_move(node, Flags::NONE, [list], [number])?;
//!             m.set(list, m.get(node));
//!             m.set(node, None);
//!             // Loops poll, so that other threads get their turn.
//!             m.safepoint();
//!         }
//!         // Reading needs no roots: a reference lasts until the next `&mut` operation.
//!         let mut sum = 0;
//!         let mut next = m.get(list);
//!         while let Some(node) = next {
//!             sum += m.word(node, 0);
//!             next = m.load(node, 0);
//!         }
//!         assert_eq!(sum, 999 * 1000 / 2);
//!
//!         // A cycle dies in a collection, everything else at once.
//!         m.alloc(node, Shape::new(1, 0))?;
//!         let cycle = m.get(node).unwrap();
//!         m.store(cycle, 0, Some(cycle));
//!         let weak = m.downgrade(cycle);
//!         m.set(node, None);
//!         m.safepoint();
//!         assert!(m.upgrade(&weak).is_some());
//!         m.collect();
//!         assert!(m.upgrade(&weak).is_none());
//!         Ok::<(), gc_rc::HeapFull>(())
//!     })
//! })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! For those who want to use a heap there is a [book]: a [tour](book::tour) of its
//! operations, an [interpreter](book::interpreter) with closures, and how to
//! [bind](book::binding) a language runtime to it.
//!
//! # Tour of the source
//!
//! | file | what it is |
//! |---|---|
//! | `heap.rs` | [`Heap`]: the shared state, its two halves and the proof that the lock is held |
//! | `builder.rs`, `options.rs` | how a heap is made: [`Builder`], the table of its options; what is made of such a table |
//! | `statistics.rs`, `full.rs` | its counters, [`Statistics`]; why an allocation got no memory, [`HeapFull`] |
//! | `mutator.rs` | [`Mutator`]: attaching, the inline path of allocation, access to objects |
//! | `frame.rs` | frames, and their slots: [`Local`] |
//! | `object.rs` | the 16-byte header; [`Shape`] |
//! | `count.rs` | retain and release, the pending list, the cascade of deaths |
//! | `alloc.rs` | cells by size class, free lists, the slow path of allocation |
//! | `large.rs` | objects that take blocks of their own |
//! | `block.rs` | chunks and blocks, their headers and side bytes |
//! | `supply.rs`, `runs.rs` | blocks from the system and back to it; where runs of them are |
//! | `os.rs` | mappings of the system, complaints |
//! | `cycle/mod.rs` | which objects are unreachable: subtracting internal references; what is done with them |
//! | `cycle/candidates.rs` | the objects under examination, and what is garbage among them |
//! | `cycle/detect.rs` | the two passes: subtraction, and the search for what is reachable |
//! | `cycle/filter.rs` | what a collection need not examine: what no store made part of a cycle |
//! | `cycle/optimistic.rs` | one pass that shows that nothing is unreachable, where nothing is |
//! | `cycle/generational.rs` | when to look, and at which objects: CPython's generations |
//! | `cycle/bacon_rajan.rs` | the same: what possible roots reach |
//! | `cycle/ahead.rs` | asking the cache for what comes next, where objects are scattered |
//! | `gil.rs` | the global lock: taking, dropping, forced switches |
//! | `overhead.rs` | when a nearly full heap refuses allocations: [`OverheadLimit`] |
//! | `handle.rs` | [`Global`], [`Weak`], the mailbox of deferred releases |
//! | `event.rs` | time-stamped events, for measuring programs; listeners |
//! | `verify.rs` | a recount of every reference |
//! | `step.rs` | the steps of an operation, for those who want to follow it: [`Step`] |
//! | `room.rs`, `shared.rs`, `buffer.rs` | how lists grow and shrink; shared values, and a list that is pushed to through `&`, for which memory can be refused |
//! | `abort.rs` | what happens after a panic inside a collection |
//! | `primitive.rs` | the shim between the standard library and loom |
//! | `regime.rs` | the heap's parameter: under the global lock, or without it |
//! | `unlocked/mod.rs` | counting without the lock: why zero only retires, what is shared |
//! | `unlocked/word.rs`, `unlocked/atomic.rs` | a head that several threads change; the regime in which all do |
//! | `unlocked/object_lock.rs` | the regime of a lock in every object |
//! | `unlocked/biased.rs`, `unlocked/parts.rs`, `unlocked/owners.rs` | the regime of counts that owners have a part of; the two parts; who owns objects |
//! | `unlocked/deferred.rs` | the same, but for what locals need not count |
//! | `unlocked/single.rs` | what a mutator leaves out while it is the only one |
//! | `unlocked/epoch.rs` | when nobody can hold a reference any more: epochs and stamps |
//! | `unlocked/reclaim.rs` | retired objects, and the cascade of deaths |
//! | `unlocked/stop.rs` | what is done in a stopped world; when a collection is due |
//! | `unlocked/attach.rs`, `unlocked/mutator.rs`, `unlocked/handles.rs` | the operations |
//! | `unlocked/alloc.rs` | free cells of a mutator: magazines, and depots of them |
//!
//! `examples/` has a first program, one with several threads, an interpreter whose closures make
//! cycles, the convoy that short requests fall into beside a thread that computes, and the pauses
//! of a heap that grows.
//!
//! # Glossary
//!
//! * **Mutator**: a thread attached to the heap. [`Heap::attach`] makes one, and its brand `'h`.
//! * **Local**, **frame**: a slot that counts as a root, and the record on the native stack that
//!   has it (together: the shadow stack).
//! * **Global**: a counted root that may leave the thread. **Weak reference**: one that does not
//!   count.
//! * **Safepoint**: a place where the thread lets collections and switches of the lock happen.
//!   **Blocking region**: a stretch without the lock.
//! * **Pending**: an object whose count fell to zero and that the next drain looks at again.
//!   **Drain**, **cascade**: freeing the pending objects, and what dies of that.
//! * **Immortal**: an object whose count got so high that it is not trusted any more.
//! * **Dead**: in a heap that frees lazily, an object without references whose memory waits to be
//!   freed.
//! * **Tracked**: seen by the cycle collector: not acyclic by its shape or its client's promise.
//! * **Candidate**: an object under examination by a collection. **Possible root**: an object that
//!   lost a reference and kept others.
//! * **Chunk**, **block**, **cell**, **size class**, **granule**: 4 MiB from the system; 64 KiB of
//!   equal cells; room for one object; the cells of one size; 16 bytes.
//! * **Suspect**: an object at which a store may have closed a cycle. **Spared**: what no suspect
//!   reaches, and a collection does not examine.
//! * **Side byte**: a byte for each granule, apart from the objects, in which the collector counts.
//!
//! # Invariants
//!
//! Each module states those it keeps. The ones that hold the crate together:
//!
//! 1. *One holder.* Between taking and dropping the lock no other thread touches anything of the
//!    heap that is not atomic (`gil.rs`, model-checked).
//! 2. *The contract.* Nothing a mutator could have read since its last `&mut` operation is freed
//!    before its next one: deaths wait on the pending list (`count.rs`), and collections are `&mut`
//!    operations.
//! 3. *Counts.* When nothing is pending, the count of an object is the number of fields, locals and
//!    globals that refer to it, plus one if it waits for its finalizer (`verify.rs` recounts that);
//!    or it is immortal.
//! 4. *Memory.* Occupied bytes are those of objects, of fragmentation and of metadata, and of
//!    nothing else; what collections use beside the heap is reported apart ([`Statistics`]). What
//!    grew with a burst shrinks after it (`room.rs`), and what is committed stays within a bound
//!    (`supply.rs`). What the system refuses is [`HeapFull`], or is done without (`count.rs`,
//!    `cycle/mod.rs`).
//! 5. *Type stability.* A cell's header is legible as long as anything lists the cell (`alloc.rs`).
//! 6. *No recursion*: neither in deaths nor in collections. The depth of the native stack never
//!    depends on the heap's contents.
//!
//! # Without the lock
//!
//! The heap has a parameter, its [`Regime`]. [`Builder::build_unlocked`] makes one of which threads
//! run at the same time:
//!
//! ```
//! use gc_rc::{Atomic, Flags, Heap};
//!
//! let heap: Heap<Atomic> = Heap::builder().build_unlocked()?;
//! std::thread::scope(|scope| {
//!     for _ in 0..2 {
//!         scope.spawn(|| {
//!             heap.attach(|m| {
//!                 m.frame(|m, [list]| {
//!                     for number in 0..1000 {
//!                         m.alloc_move(list, Flags::NONE, [list], [number]).unwrap();
//!                         m.safepoint();
//!                     }
//!                 });
//!             });
//!         });
//!     }
//! });
//! assert_eq!(heap.statistics().allocated_objects, 2000);
//! # Ok::<(), gc_rc::BuildError>(())
//! ```
//!
//! The operations and what they promise are the same. What differs: a death waits for a *grace
//! period*, in which every thread passes a safepoint, and so do finalizers and weak references of
//! objects that die by their counts; a collection stops all threads, and waits for each to reach a
//! safepoint; an object has eight bytes more. Where counts are [biased](Biased) a mutator that is
//! the only one waits for nobody and needs no atomic operation for a count, until another attaches,
//! which waits for its next safepoint ([`Builder::single_mutator`]).
//!
//! # What is not CPython
//!
//! * Deaths wait for the next `&mut` operation, so that reading needs no counting. CPython's
//!   interpreter counts what it pushes on its stack.
//! * Finalizers and callbacks of weak references are not called but *asked for*
//!   ([`Mutator::finalizable`], [`Mutator::cleared`]): no client code runs inside an operation.
//! * What several dying objects refer to may die, and its finalizer be due, earlier among them
//!   (`count.rs`).
//! * A heap has a limit. At the limit, and only there, an allocation collects all generations
//!   before it fails; CPython would not. A heap that is nearly full refuses allocations before all
//!   time goes into such collections ([`Builder::overhead_limit`]).
//! * Objects are at rest: no types, no tables of methods, no boxed integers. What is left to
//!   compare is the memory management.
//!
//! # Settings
//!
//! Every default is CPython 3.13's; so is all that can be seen of a heap, but for the time that
//! [`Builder::cycle_filter`] saves. What departs from it has a name: [`Cycle::BaconRajan`] and
//! [`Cycle::None`], [`Gil::Fair`], [`Free::Lazy`], [`Builder::oldest_growth`],
//! [`Builder::prefetch`]. [`Builder::CPYTHON_3_12`] are the thresholds of versions before. Each
//! setting can also be given as text, for command lines: [`Builder::set`], [`Builder::OPTIONS`].
//!
//! # Where the time goes
//!
//! Waits for the lock, cascades of deaths and collections are [events](EventKind), for
//! [`Heap::take_events`] and [`Listener`]s; [`Heap::lock_statistics`] counts what happens at the
//! lock. Counting itself takes less time than a clock: the cargo feature `count-statistics` makes
//! [`Statistics::counts`] say how often it happens, and costs nothing when it is off.
//!
//! # What it costs, beside others
//!
//! One thread; processor time an operation; medians of five interleaved rounds on two virtual cores
//! of an AMD EPYC, beside other work. Ratios are to `Rc` on mimalloc in the same rounds, so that
//! below 1 is faster than it: `cargo bench -p gc-rc --bench against_rc -- 5`.
//!
//! | | binary-trees 18 | list of 5 M | rewire | churn | rings, ns |
//! |---|---|---|---|---|---|
//! | counting alone | 0.79 | 0.94 | 1.62 | 0.82, leaks | |
//! | with CPython's generations | 0.89 | 0.82 | 1.39 | 1.12 | 17 |
//! | the same, all examined | 1.70 | 3.10 | 1.30 | 1.35 | 17 |
//! | with Bacon and Rajan's collector | 0.81 | 0.93 | 1.17 | 1.21 | 66 |
//! | `Rc` on glibc | 1.32 | 2.92 | 0.95 | 0.94, leaks | |
//! | `dumpster` 2.1 | 1.64 | | | | 147 |
//! | `bacon_rajan_cc` 0.4 | 1.07 | | | | 64 |
//!
//! `rewire` does the same with each collector, as it allocates nothing: what its figures differ by
//! is what such a run leaves undecided of programs that wait for memory. Nim 1.6.10's ORC had 0.81
//! (`binary-trees`), 1.46 (`rewire`), 1.43 (`churn`) and 34 ns on another day.
//!
//! What the generations cost where all is examined ([`Builder::cycle_filter`] off) is what
//! CPython's rules ask for: in `binary-trees` each node is examined 1.95 times on average, in
//! `list` 5.9 times, at 4 to 5 ns each, most of it by full collections. With the filter, the
//! default, neither program has anything examined: `binary-trees` takes an eighth longer than with
//! counting alone, for young objects that move on. [`Builder::oldest_growth`] lowers what programs
//! pay that have cycles. `churn` leaves a large graph under suspicion again and again, which is the
//! worst that Bacon and Rajan's collector can be given: how much of it is examined is bounded by
//! the operations that raise the suspicion.
//!
//! An examination takes 3.2 (list) to 4.1 ns (tree) in a young collection of 2,000 objects, and in
//! a full one of 1,000,000 4 ns (list, tree) to 9 (a table of them, each with two references), at
//! best; CPython's takes 39 to 55. Where the collector must take its two passes (something is
//! garbage, or references lead up and down in memory) an examination takes about twice as long:
//! `cargo bench -p gc-rc --bench operations -- "full collection"`.
//!
//! The longest pause while a heap grows, beside a CPython: `cargo run --release -p gc-rc --example
//! growth -- 1000000 5000000 10000000 python3.13`. The convoy, and what `fair` makes of it: `cargo
//! run --release -p gc-rc --example convoy`. The lock alone: `cargo bench -p gc-rc --bench lock`.
//!
//! # Threads
//!
//! A process that is forked has a copy of the heap and one thread, the one that forked, attached or
//! not. The copy can be used and dropped, unless other threads were attached to the heap at that
//! time, inside of [`Mutator::blocking`] or not: what they have locked stays locked, and their
//! locals lie on stacks that are used again. Then every operation of the child that would come by
//! that panics with a message that says so; reading, `statistics` and dropping work.
//!
//! A thread that waits for another (a lock, a channel, a join, I/O) does so inside
//! [`Mutator::blocking`], or the other may never run. A loop polls ([`Mutator::safepoint`]) at
//! least every few thousand objects. [`Builder::watchdog`] names threads that do neither.

mod abort;
mod alloc;
mod block;
pub mod book;
mod buffer;
mod builder;
mod count;
mod cycle;
mod event;
mod frame;
mod full;
mod gil;
mod handle;
mod heap;
mod large;
mod mutator;
mod object;
mod options;
mod os;
mod overhead;
mod primitive;
mod regime;
mod room;
mod runs;
mod shared;
mod statistics;
mod step;
mod supply;
mod unlocked;
mod verify;

pub use builder::{BuildError, Builder};
pub use count::Free;
pub use cycle::Cycle;
pub use event::{DRAIN_EVENT_MINIMUM, Event, EventKind, EventLog, Listener};
pub use frame::Local;
pub use full::{FullCause, HeapFull};
pub use gil::{Gil, LockStatistics, TIME_BUCKETS};
pub use handle::{Global, Weak};
pub use heap::Heap;
pub use mutator::{Mutator, Ref};
pub use object::{Flags, Shape};
pub use options::{BuilderOption, OptionError};
pub use overhead::OverheadLimit;
pub use regime::{Atomic, Biased, Deferred, GlobalLock, ObjectLock, Regime, Unlocked};
pub use statistics::{
    BiasStatistics, CountStatistics, DeferralStatistics, ReclamationStatistics, Statistics,
};
pub use step::{Place, Step};
pub use unlocked::biased::Shares;
