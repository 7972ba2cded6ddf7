//! Regimes: how the threads of a heap keep its counts right.
//!
//! A [`Heap`](crate::Heap) and its [`Mutator`](crate::Mutator)s have a regime as a parameter, which
//! is [`GlobalLock`] where nothing else is said. Every regime keeps the same contract by the same
//! operations; what a program of one regime does, it does in every other.
//!
//! * Under the [global lock](GlobalLock) counts are plain numbers, because one thread at a time
//!   runs: CPython's way, and all of this crate but the modules named below.
//! * Without it threads run at the same time, and a count is what two of them may change at once
//!   ([`crate::unlocked`]).
//!
//! The regime is a type and not an option, so that each operation is compiled for its own: the code
//! under the global lock is what it would be if there was no other.

use crate::heap::Inner;
use crate::unlocked::{Commons, Counting, Seat};

/// How the threads of a heap keep its counts right. The regimes are those of this crate.
///
/// ```
/// use gc_rc::{Heap, Regime};
///
/// /// What holds for every regime.
/// fn events<R: Regime>(heap: &Heap<R>) -> usize {
///     heap.take_events().events.len()
/// }
///
/// assert_eq!(events(&Heap::new()), 0);
/// ```
#[expect(private_bounds, reason = "nobody else can add one")]
pub trait Regime: Kind {}

/// A regime without the global lock: a heap's threads run at the same time.
#[expect(private_bounds, reason = "nobody else can add one")]
pub trait Unlocked: Regime + Counting {}

/// What differs between the regimes.
pub(crate) trait Kind: Sized + 'static {
    /// What the threads of a heap share.
    type Inner: Send + Sync;
    /// What a mutator has beside its frames.
    type Own;

    /// The part that every regime has.
    fn base(inner: &Self::Inner) -> &Inner;
}

/// One thread at a time runs: CPython's global interpreter lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GlobalLock {}

impl Regime for GlobalLock {}

impl Kind for GlobalLock {
    type Inner = Inner;
    type Own = ();

    #[inline(always)]
    fn base(inner: &Inner) -> &Inner {
        inner
    }
}

/// What the regimes without the lock have in common.
macro_rules! unlocked {
    ($regime:ident) => {
        impl Regime for $regime {}
        impl Unlocked for $regime {}

        impl Kind for $regime {
            type Inner = Commons;
            type Own = Seat;

            #[inline(always)]
            fn base(inner: &Commons) -> &Inner {
                &inner.base
            }
        }
    };
}

/// Threads run freely, and every count is changed by one atomic operation, as those of Rust's `Arc`
/// and Nim's `atomicArc` are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Atomic {}

unlocked!(Atomic);

/// Threads run freely, and every object has a lock: its count and its fields change under that
/// alone, and two objects are locked in the order of their addresses. The alternative to a global
/// lock that comes to mind first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ObjectLock {}

unlocked!(ObjectLock);

/// Threads run freely, and the count of an object has two parts: the thread that made it changes
/// its own as a plain number, all others change theirs by atomic operations. They are added up when
/// others let go of what the owner has counted. PEP 703's way, after Choi, Shull and Torrellas
/// (2018).
///
/// With `DEFERRED` it is the regime [`Deferred`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Biased<const DEFERRED: bool = false> {}

/// As [`Biased`], but what several threads put into locals all the time is not counted there: which
/// locals have it is found out when the world is stopped. CPython's deferred counts, of which the
/// idea is Deutsch's and Bobrow's (1976). An object whose last reference goes meanwhile is freed by
/// the next stop, which is made for that.
pub type Deferred = Biased<true>;

impl<const DEFERRED: bool> Regime for Biased<DEFERRED> {}
impl<const DEFERRED: bool> Unlocked for Biased<DEFERRED> {}

impl<const DEFERRED: bool> Kind for Biased<DEFERRED> {
    type Inner = Commons;
    type Own = Seat;

    #[inline(always)]
    fn base(inner: &Commons) -> &Inner {
        &inner.base
    }
}
