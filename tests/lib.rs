//! What the tests share: every heap of the comparison in the variants it is tested in, and small
//! helpers.
//!
//! Tests are written once, generic over [`Variant`], and expanded for each by [`on_every_heap!`]. A
//! new heap or variant is a line in `variants!`, and its name in that macro's list.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use harness::adapter::{Adapter, Capabilities, Settings};
use harness::heap::{Flags, Heap, Mutator, Shape};

/// A heap with the options it is tested with.
pub trait Variant: 'static {
    /// Its adapter.
    type Adapter: Adapter<Heap = Self::Heap>;
    /// The heap.
    type Heap: Heap;
    /// Options that differ from the defaults.
    const OPTIONS: &'static [(&'static str, &'static str)];

    /// Its settings with a limit in bytes.
    fn settings(limit_bytes: u64) -> Settings {
        let mut settings = Settings::new::<Self::Adapter>(limit_bytes);
        for (option, value) in Self::OPTIONS {
            settings
                .set(&Self::Adapter::DESCRIPTION, option, value)
                .expect("tests use options that exist");
        }
        settings
    }

    /// A new heap with a limit in bytes.
    fn heap(limit_bytes: u64) -> Self::Heap {
        Self::Adapter::build(&Self::settings(limit_bytes))
            .expect("tests use settings that are possible")
    }

    /// What it can do.
    fn capabilities() -> Capabilities {
        Self::Adapter::capabilities(&Self::settings(MIB))
    }

    /// Whether every allocation collects: tests with many allocations do fewer.
    fn is_stress() -> bool {
        Self::OPTIONS.contains(&("stress", "on"))
    }
}

/// Declares variants and the macro that expands tests for them.
#[macro_export]
macro_rules! variants {
    ($($module:ident: $adapter:ty, [$($option:literal = $value:literal),*];)+) => {
        $(
            #[doc = concat!("`", stringify!($module), "`.")]
            #[allow(non_camel_case_types, reason = "named as the module of its tests")]
            #[derive(Clone, Copy, Debug)]
            pub struct $module;

            impl Variant for $module {
                type Adapter = $adapter;
                type Heap = <$adapter as Adapter>::Heap;
                const OPTIONS: &'static [(&'static str, &'static str)] = &[$(($option, $value)),*];
            }
        )+
    };
}

variants! {
    arena: harness::adapter::arena::Arena, [];
    gc_marksweep: harness::adapter::gc_marksweep::GcMarksweep, [];
    gc_marksweep_poison: harness::adapter::gc_marksweep::GcMarksweep, ["poison" = "on"];
    gc_marksweep_stress: harness::adapter::gc_marksweep::GcMarksweep, ["stress" = "on", "poison" = "on"];
    gc_marksweep_plain: harness::adapter::gc_marksweep::GcMarksweep, ["prefetch-depth" = "0", "generations" = "off", "marking-workers" = "1"];
    gc_marksweep_generations: harness::adapter::gc_marksweep::GcMarksweep, ["generations" = "on", "nursery" = "64K", "poison" = "on"];
    gc_marksweep_generations_stress: harness::adapter::gc_marksweep::GcMarksweep, ["generations" = "on", "stress" = "on", "poison" = "on"];
    gc_marksweep_workers: harness::adapter::gc_marksweep::GcMarksweep, ["marking-workers" = "4", "poison" = "on"];
    gc_rc: harness::adapter::gc_rc::GcRc, [];
    gc_rc_fair: harness::adapter::gc_rc::GcRc, ["gil" = "fair", "poison" = "on"];
    gc_rc_stress: harness::adapter::gc_rc::GcRc, ["stress" = "on", "poison" = "on"];
    gc_rc_bacon_rajan: harness::adapter::gc_rc::GcRc, ["cycle" = "bacon-rajan"];
    gc_rc_bacon_rajan_strict: harness::adapter::gc_rc::GcRc, ["cycle" = "bacon-rajan", "possible-roots" = "1", "free" = "lazy", "poison" = "on"];
    gc_rc_lazy: harness::adapter::gc_rc::GcRc, ["free" = "lazy", "poison" = "on"];
    gc_rc_lazy_stress: harness::adapter::gc_rc::GcRc, ["free" = "lazy", "cycle" = "bacon-rajan", "stress" = "on", "poison" = "on"];
    gc_rc_no_cycles: harness::adapter::gc_rc::GcRc, ["cycle" = "none"];
    gc_rc_atomic: harness::adapter::gc_rc::GcRcAtomic, [];
    gc_rc_atomic_poison: harness::adapter::gc_rc::GcRcAtomic, ["poison" = "on", "threshold" = "100"];
    gc_rc_atomic_stress: harness::adapter::gc_rc::GcRcAtomic, ["stress" = "on", "poison" = "on"];
    gc_rc_object_lock: harness::adapter::gc_rc::GcRcObjectLock, [];
    gc_rc_object_lock_poison: harness::adapter::gc_rc::GcRcObjectLock, ["poison" = "on", "threshold" = "100"];
    gc_rc_biased: harness::adapter::gc_rc::GcRcBiased, [];
    gc_rc_biased_poison: harness::adapter::gc_rc::GcRcBiased, ["poison" = "on", "threshold" = "100", "single-mutator" = "off"];
    gc_rc_biased_stress: harness::adapter::gc_rc::GcRcBiased, ["stress" = "on", "poison" = "on"];
    gc_rc_deferred: harness::adapter::gc_rc::GcRcDeferred, [];
    gc_rc_deferred_poison: harness::adapter::gc_rc::GcRcDeferred, ["poison" = "on", "threshold" = "100"];
    gc_rc_deferred_stress: harness::adapter::gc_rc::GcRcDeferred, ["stress" = "on", "poison" = "on"];
}

/// Expands functions generic over [`Variant`] into a test for each variant.
#[macro_export]
macro_rules! on_every_heap {
    ($($test:ident),+ $(,)?) => {
        $crate::on_heaps!([arena, gc_marksweep, gc_marksweep_poison, gc_marksweep_stress, gc_marksweep_plain,
                           gc_marksweep_generations, gc_marksweep_generations_stress, gc_marksweep_workers,
                           gc_rc, gc_rc_fair, gc_rc_stress, gc_rc_bacon_rajan, gc_rc_bacon_rajan_strict,
                           gc_rc_lazy, gc_rc_lazy_stress, gc_rc_no_cycles,
                           gc_rc_atomic, gc_rc_atomic_poison, gc_rc_atomic_stress,
                           gc_rc_object_lock, gc_rc_object_lock_poison,
                           gc_rc_biased, gc_rc_biased_poison, gc_rc_biased_stress,
                           gc_rc_deferred, gc_rc_deferred_poison, gc_rc_deferred_stress]
        [$($test),+]);
    };
}

/// Expands functions generic over [`Variant`] into a test for each of the variants named.
#[macro_export]
macro_rules! on_heaps {
    ([$($variant:ident),+] $tests:tt) => {
        $($crate::on_heaps!(@one $variant $tests);)+
    };
    (@one $variant:ident [$($test:ident),+]) => {
        mod $variant {
            $(
                #[test]
                fn $test() {
                    super::$test::<tests::$variant>();
                }
            )+
        }
    };
}

/// One mebibyte.
pub const MIB: u64 = 1 << 20;

/// A node with two fields and a word.
pub const NODE: Shape = Shape::new(2, 1);

/// Makes a node whose fields are null and whose word is `word`.
pub fn new_node<M: Mutator>(m: &mut M, into: M::Local<'_>, word: u64) {
    m.alloc(into, NODE).expect("the heap has room");
    m.set_word(m.get(into).expect("just made"), 0, word);
}

/// Pushes `length` nodes in front of `list`, each with its distance from the old front; as a loop,
/// with a poll.
///
/// # Errors
///
/// If the heap is full; `list` then holds what has been pushed.
pub fn push_nodes<M: Mutator>(
    m: &mut M,
    list: M::Local<'_>,
    length: u64,
) -> Result<(), harness::heap::HeapFull> {
    for word in 0..length {
        m.alloc_move(list, Flags::NONE, [list], [word])?;
        m.safepoint();
    }
    Ok(())
}

/// The sum of the words of a list made by [`push_nodes`], and its length. Polls as the contract
/// asks.
pub fn sum_list<M: Mutator>(m: &mut M, list: M::Local<'_>) -> (u64, u64) {
    let (mut sum, mut length) = (0, 0);
    m.frame(|m, [cursor]| {
        m.set(cursor, m.get(list));
        loop {
            for _ in 0..1024 {
                let Some(node) = m.get(cursor) else {
                    return (sum, length);
                };
                sum += m.word(node, 0);
                length += 1;
                m.set(cursor, m.load(node, 0));
            }
            m.safepoint();
        }
    })
}

/// Runs `f` on a thread of its own and fails if it has not finished in time: what a deadlock looks
/// like to a test.
pub fn within<R: Send + 'static>(limit: Duration, f: impl FnOnce() -> R + Send + 'static) -> R {
    let (sender, receiver) = mpsc::channel();
    let thread = thread::spawn(move || {
        let result = f();
        // Nobody listens any more if the time was up.
        let _ = sender.send(());
        result
    });
    match receiver.recv_timeout(limit) {
        Err(mpsc::RecvTimeoutError::Timeout) => {
            panic!("not finished within {limit:?}: a deadlock?")
        }
        _ => thread
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
    }
}

/// The README's program is compiled and run with the documentation's tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub struct Readme;
