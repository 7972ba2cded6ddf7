//! Steps: what an operation does on its way, for those who want to follow it and for tests that
//! check its numbers.
//!
//! [`Mutator::collect_recorded`](crate::Mutator::collect_recorded) and
//! [`Mutator::alloc_recorded`](crate::Mutator::alloc_recorded) are the ordinary operations, carried
//! out by the ordinary code. As long as one of them runs, its thread's
//! [`Context`](crate::attach::Context) has a [`Record`]. A collection looks whether there is one
//! and notes what it has just done. The loop that marks and the search for holes have no time to
//! look: each is compiled once more for it, as one of the [ways to trace](crate::mark) and of the
//! ways to [`Search`](crate::alloc::Search), and who is about to begin chooses.
//!
//! # What is not as usual
//!
//! A recorded trace follows one edge at a time, on one thread: it uses neither the rings through
//! which edges go when there are many nor helpers (see [`crate::mark`]). It marks the same objects.
//! An ordinary trace does so too as long as there are fewer than eight edges on its stack.
//!
//! # Invariant
//!
//! A step is noted beside the write that it describes, and its numbers are read from where the
//! collector keeps them. A record never touches the heap, and is its thread's alone.
//!
//! Rejected: a type parameter for who hears of the steps, on all that may be recorded (fifty
//! signatures spoke of it, and slow paths were compiled twice for nothing); a flag tested for each
//! edge (a branch, in a loop that has none);
//! [events](crate::EventKind) (they have a time and a buffer of fixed size; an edge takes less than
//! reading the clock); a listener that is called back (client code inside an operation); a cargo
//! feature (what is shown would not be the program that people run).

use std::cell::{Cell, Ref, RefCell};
use std::fmt;

use crate::block::Space;
use crate::object::Object;
use crate::room;

/// A place in the heap: so many bytes from the start of its address range. That of an object is its
/// own for as long as it lives.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place(usize);

impl Place {
    /// Bytes from the start of the heap.
    pub fn offset(self) -> usize {
        self.0
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Place({:#x})", self.0)
    }
}

/// One step of a recorded operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step {
    /// The world is stopped, and marking begins.
    Began {
        /// Whether it is a minor collection: what is marked stays so, and is not looked at.
        minor: bool,
    },
    /// A major collection clears the marks of a block that has some.
    Cleared {
        /// Where the block begins.
        from: Place,
        /// Bytes that were marked.
        bytes: usize,
    },
    /// An edge goes onto the mark stack.
    Pushed {
        /// Which object refers; none if it is a root.
        from: Option<Place>,
        /// To which.
        to: Place,
    },
    /// An edge leaves the stack and leads to an object that is not marked: it is now.
    Marked {
        /// The object.
        object: Place,
        /// Its size: so many bytes are marked, in their granules; of a large object the first
        /// granule alone.
        bytes: usize,
    },
    /// An edge leaves the stack and leads to an object that is marked: there is nothing to do.
    Met {
        /// The object.
        object: Place,
    },
    /// What has been found live in a block, when marking is over.
    Block {
        /// Where the block begins.
        from: Place,
        /// Bytes that are marked. A block without any is free.
        live_bytes: usize,
    },
    /// The search for a hole looks at granules, which are marked, or are not.
    Swept {
        /// Where they begin.
        from: Place,
        /// Their bytes.
        bytes: usize,
        /// Whether they are marked. If not, they are free.
        live: bool,
    },
    /// The mutator takes a hole, to allocate in it.
    Hole {
        /// Where it begins.
        from: Place,
        /// Its bytes.
        bytes: usize,
    },
    /// An object is made.
    Allocated {
        /// The object.
        object: Place,
        /// Its size.
        bytes: usize,
    },
    /// The system had no memory for the steps that followed: the last one of a record that is not
    /// complete. The operation itself is.
    Lost,
}

/// Makes places of addresses.
#[derive(Clone, Copy)]
pub(crate) struct Places {
    start: usize,
}

impl Places {
    pub(crate) fn in_space(space: &Space) -> Self {
        Self {
            start: space.start(),
        }
    }

    pub(crate) fn of(self, object: Object) -> Place {
        self.at(object.address())
    }

    pub(crate) fn at(self, address: usize) -> Place {
        Place(address - self.start)
    }
}

/// What a thread has to note steps in: a [`Record`] while a recorded operation of its own runs.
#[derive(Default)]
pub(crate) struct Recording {
    /// Whether there is a record: all that others look at.
    on: Cell<bool>,
    record: RefCell<Option<Record>>,
}

impl Recording {
    /// Begins a record, or ends it and returns what was begun before.
    pub(crate) fn replace(&self, record: Option<Record>) -> Option<Record> {
        self.on.set(record.is_some());
        self.record.replace(record)
    }

    #[inline(always)]
    pub(crate) fn is_on(&self) -> bool {
        self.on.get()
    }

    pub(crate) fn record(&self) -> Ref<'_, Option<Record>> {
        self.record.borrow()
    }

    /// Notes a step if there is a record.
    pub(crate) fn note<S: Into<Option<Step>>>(&self, step: impl FnOnce(Places) -> S) {
        if let Some(record) = &*self.record() {
            record.note(step);
        }
    }
}

/// The steps of one operation.
pub(crate) struct Record {
    places: Places,
    steps: RefCell<Vec<Step>>,
    lost: Cell<bool>,
}

impl Record {
    pub(crate) fn new(space: &Space) -> Self {
        Self {
            places: Places::in_space(space),
            steps: RefCell::default(),
            lost: Cell::new(false),
        }
    }

    /// Notes a step, if there is one.
    pub(crate) fn note<S: Into<Option<Step>>>(&self, step: impl FnOnce(Places) -> S) {
        let Some(step) = step(self.places).into() else {
            return;
        };
        if self.lost.get() || !room::push(&mut self.steps.borrow_mut(), step) {
            self.lost.set(true);
        }
    }

    pub(crate) fn into_steps(self) -> Vec<Step> {
        let mut steps = self.steps.into_inner();
        if self.lost.get() {
            // There may be no room for one more, and an incomplete record must not look like a
            // complete one.
            steps.pop();
            room::push(&mut steps, Step::Lost);
        }
        steps
    }
}
