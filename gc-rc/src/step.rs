//! Steps: what an operation does on its way, for those who want to follow it and for tests that
//! check its numbers.
//!
//! [`Mutator::safepoint_recorded`](crate::Mutator::safepoint_recorded) and
//! [`Mutator::collect_recorded`](crate::Mutator::collect_recorded) are the ordinary operations,
//! carried out by the ordinary code: the proof that the lock is held, whose methods the passes are,
//! carries a [`Witness`], and each pass [tells](crate::heap::Locked::note) it what it has just
//! done. For everybody else the witness is `()`, which hears nothing and takes no room, so that the
//! passes are compiled to what they would be without it.
//!
//! # Invariant
//!
//! A step is told beside the write that it describes, and its numbers are read from where the
//! collector keeps them. A witness never touches the heap, so an operation does the same whether or
//! not it is recorded.
//!
//! Rejected: a flag tested at run time (a branch for each edge, where there is none);
//! [events](crate::EventKind) (they have a time and a buffer of fixed size; an edge takes less than
//! reading the clock); a listener that is called back (client code inside an operation); a cargo
//! feature (what is shown would not be the program that people run).

use std::cell::RefCell;
use std::fmt;

use crate::object::Object;

/// Where an object lies: its address, which no other object has for as long as it lives. Afterwards
/// the cell may be used again. Places are ordered as memory is, which is the order in which
/// collections visit objects.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place(usize);

impl Place {
    /// The address, in bytes.
    pub fn address(self) -> usize {
        self.0
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Place({:#x})", self.0)
    }
}

impl From<Object> for Place {
    fn from(object: Object) -> Self {
        Self(object.address())
    }
}

/// One step of a recorded operation.
///
/// Fields called `count` are reference counts. A *balance* is what is left of an object's count
/// when the references from other objects under examination are taken away; a collection takes away
/// first and adds the count when it comes to the object, so that it is below zero in between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step {
    /// A drain takes an object off the pending list. With a count of zero it dies, or waits to be
    /// freed in a heap that frees lazily; otherwise a reference came back and it stays.
    Drained {
        /// The pending object.
        object: Place,
        /// Its count.
        count: u32,
    },
    /// A reference is taken away: that of a dying object, or of a [`Global`](crate::Global) that
    /// was dropped. At zero the object dies in its turn.
    Released {
        /// The dying object.
        from: Option<Place>,
        /// What it referred to.
        to: Place,
        /// The count of `to` afterwards.
        count: u32,
    },
    /// A dead object waits to be freed, in a heap that frees lazily.
    Buried {
        /// The object.
        object: Place,
    },
    /// An object's finalizer is due, and the queue of those owns a reference to it.
    FinalizerDue {
        /// The object.
        object: Place,
        /// Its count afterwards.
        count: u32,
    },
    /// The weak references to a dying object are cleared.
    WeakCleared {
        /// The object.
        object: Place,
    },
    /// An object's cell is free.
    Freed {
        /// What was the object.
        object: Place,
    },

    /// A collection begins.
    Began {
        /// Objects of this generation and of all younger ones are examined; with possible roots it
        /// says nothing.
        generation: usize,
    },
    /// One pass begins that can show that nothing is garbage. It visits each object under
    /// examination once.
    OnePass {
        /// Whether it goes from low addresses to high ones.
        rising: bool,
    },
    /// The pass comes to an object that it has not found a reference to, and presumes that
    /// something outside refers to it.
    Presumed {
        /// The object.
        object: Place,
        /// Its balance: its count, or the most that is noted of it, 62.
        balance: i64,
    },
    /// The pass is over.
    OnePassEnded {
        /// Whether every presumption held, so that nothing is garbage. Otherwise it gave up, and
        /// two passes follow that know more.
        succeeded: bool,
    },
    /// The first of two passes begins: counts are added, and references within taken away. After
    /// [`FinalizerDue`](Self::FinalizerDue) it is to find out what the finalizers keep alive.
    Subtracting,
    /// The pass comes to an object.
    Counted {
        /// The object.
        object: Place,
        /// Its count.
        count: u32,
        /// Its balance, with the count added; without it if the count is above 62, which is
        /// [compared](Self::Compared) at the end.
        balance: i64,
    },
    /// A reference from one object under examination to another is taken away from the latter's
    /// balance.
    Subtracted {
        /// Which object refers.
        from: Place,
        /// To which.
        to: Place,
        /// The balance of `to` afterwards.
        balance: i64,
    },
    /// The count of an object with more than 62 references is compared with the references that
    /// were found.
    Compared {
        /// The object.
        object: Place,
        /// Its count.
        count: u32,
        /// What is left of that.
        balance: i64,
    },
    /// The second pass begins: what an object outside, or a root, refers to is alive, and what that
    /// reaches.
    Searching,
    /// The search comes to an object with a balance above zero: something that is not under
    /// examination refers to it.
    Held {
        /// The object.
        object: Place,
        /// Its balance.
        balance: i64,
    },
    /// The search comes to an object that nothing is known to reach: it passes on, and the object
    /// is garbage unless it is reached later.
    Passed {
        /// The object.
        object: Place,
    },
    /// The search looks at the fields of an object that is alive.
    Scanned {
        /// The object.
        object: Place,
    },
    /// A reference from an object that is alive, or presumed to be, leads to one of which that was
    /// not known.
    Reached {
        /// Which object refers.
        from: Place,
        /// To which.
        to: Place,
        /// Whether the search has passed `to` already, and puts it on its stack to come back to it.
        back: bool,
    },
    /// The verdict on an object: it is alive, and now of this generation.
    Survived {
        /// The object.
        object: Place,
        /// Its generation.
        generation: usize,
    },
    /// The verdict on an object: nothing but garbage refers to it.
    Unreachable {
        /// The object.
        object: Place,
    },
    /// The collection is over.
    Ended {
        /// Objects that were examined.
        examined: u64,
        /// How many of them were garbage.
        unreachable: u64,
    },
}

/// Hears of each step of an operation.
pub(crate) trait Witness: Copy {
    /// Whether it does.
    const RECORDS: bool;

    /// Tells of a step, if there is one. What makes it is not called unless the witness records.
    fn note<S: Into<Option<Step>>>(self, step: impl FnOnce() -> S);
}

/// Nobody.
impl Witness for () {
    const RECORDS: bool = false;

    #[inline(always)]
    fn note<S: Into<Option<Step>>>(self, _: impl FnOnce() -> S) {}
}

/// The steps of one operation.
#[derive(Default)]
pub(crate) struct Record(RefCell<Vec<Step>>);

impl Record {
    pub(crate) fn into_steps(self) -> Vec<Step> {
        self.0.into_inner()
    }
}

impl Witness for &Record {
    const RECORDS: bool = true;

    fn note<S: Into<Option<Step>>>(self, step: impl FnOnce() -> S) {
        let step = step().into();
        self.0.borrow_mut().extend(step);
    }
}
