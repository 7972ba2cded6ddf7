//! What an allocation returns where there is no memory: [`HeapFull`].

use std::fmt;

use crate::alloc::occupied_by;
use crate::object::Shape;

/// An allocation got no memory, even after an exhaustive collection. A value, never an abort: the
/// heap stays usable, and the same allocation may succeed once memory has been released.
///
/// ```
/// use gc_rc::{FullCause, Heap, Shape};
///
/// let heap = Heap::builder().limit(1 << 20).build()?;
/// heap.attach(|m| {
///     m.frame(|m, [array]| {
///         let full = m.alloc(array, Shape::new(1 << 20, 0)).expect_err("eight times the limit");
///         assert_eq!(full.cause, FullCause::Limit);
///         assert_eq!(full.limit, 1 << 20);
///         println!("{full}");
///     });
/// });
/// # Ok::<(), gc_rc::BuildError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeapFull {
    /// Bytes asked for, header and rounding included.
    pub requested: u64,
    /// The heap's limit in bytes; 0 where it has none.
    pub limit: u64,
    /// Why there was no memory.
    pub cause: FullCause,
}

/// Why an allocation got no memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FullCause {
    /// It does not fit below the heap's limit.
    Limit,
    /// It fits below the heap's limit, but the system has no memory for it, or for what the heap
    /// notes about it.
    System,
    /// It would fit, but only after one more of too many collections that free next to nothing.
    Overhead,
}

impl HeapFull {
    /// An object of `shape` gets no memory below `limit`.
    pub(crate) fn new(shape: Shape, limit: u64, cause: FullCause) -> Self {
        Self {
            requested: occupied_by(shape.bytes()) as u64,
            limit,
            cause,
        }
    }
}

impl fmt::Display for HeapFull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            requested,
            limit,
            cause,
        } = self;
        match cause {
            FullCause::Limit => write!(
                f,
                "heap full: {requested} bytes do not fit below the limit of {limit} bytes after \
                 an exhaustive collection: let go of objects, or choose a larger limit"
            ),
            FullCause::System if *limit == 0 => write!(
                f,
                "heap full: the system has no memory for {requested} bytes: let go of objects, or \
                 give the process more memory"
            ),
            FullCause::System => write!(
                f,
                "heap full: the system has no memory for {requested} bytes, which fit below the \
                 limit of {limit} bytes: let go of objects, or give the process more memory"
            ),
            FullCause::Overhead => write!(
                f,
                "heap full: collections below the limit of {limit} bytes free next to nothing, \
                 and {requested} bytes would take one more: let go of objects, choose a larger \
                 limit, or switch the overhead limit off"
            ),
        }
    }
}

impl std::error::Error for HeapFull {}
