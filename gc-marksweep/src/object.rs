//! The header and layout of an object, and the only code that reads one as memory.
//!
//! ```text
//!         0        4        8                8 + 8*refs          8 + 8*(refs + words)
//!         +--------+--------+----------------+-------------------+
//!         | refs   | words, | refs reference | words payload     |
//!         |        | flags  | fields         | words             |
//!         +--------+--------+----------------+-------------------+
//! ```
//!
//! The header is 8 bytes: no mark, no class, no list pointer. Marks live in a side table (see
//! [`crate::block`]), so that marking an object a second time touches one bit and not the object,
//! and so that a dead object is never touched at all. What the header does have is the state of the
//! write barrier, because a store has its line in the cache anyhow, to check the index: one test
//! more, and no table to look into (see [`crate::remember`]).
//!
//! The number of fields has a half of the header for itself, which never changes, so that an index
//! is compared with memory, with no mask, shift or register in between. Accesses at random are
//! bound by how many of them the processor has in its window at a time, and each instruction less
//! counts.
//!
//! **Invariant.** From its allocation until the end of the pause that finds it unreachable, an
//! object's header does not change but for the bit of the write barrier, its first `refs` words
//! each hold null or the address of an object that is at least as alive, and it starts on a
//! granule. Everything that dereferences an [`Object`] argues from this.
//!
//! Fields are atomics because mutators race: a reference is published with Release and read with
//! Acquire, so that who reads it sees the header and fields behind it initialised; payload words
//! are Relaxed. On x86-64 both are plain moves.
//!
//! Rejected: references of 32 bits, in granules from the start of a window of 32 GiB, which the
//! upper bits of the object's own address tell, as in Java's machines. A node of two references and
//! a word takes 24 bytes then and not 32. But a load takes three instructions more and a store one,
//! a single reference is padded to 8 bytes again, and heaps of more than 16 GiB need a second
//! layout. Processor time against fields of 64 bits at the same limit, on two cores of an EPYC 7003
//! with noisy neighbours: gcbench 0.89, churn 0.92, binary-trees 1.00, rewire 0.99, rings 1.04,
//! list 1.09; a geometric mean of 0.99.

use std::fmt;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering};

/// The unit of allocation in bytes: one header or field, so that nothing is rounded up.
pub(crate) const GRANULE: usize = 8;
/// Bytes of a header.
pub(crate) const HEADER: usize = 8;

/// The form of an object: its reference fields, its payload words, and its properties.
///
/// ```
/// use gc_marksweep::{Flags, Shape};
///
/// let file = Shape::new(1, 2).with(Flags::FINALIZE);
/// assert_eq!((file.refs, file.words, file.flags.finalize), (1, 2, true));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Shape {
    /// Number of reference fields, which come first. At most [`Shape::MAX_REFS`].
    pub refs: u32,
    /// Number of 64-bit payload words. At most [`Shape::MAX_WORDS`].
    pub words: u32,
    /// Properties of the object.
    pub flags: Flags,
}

impl Shape {
    /// The most reference fields an object can have.
    pub const MAX_REFS: u32 = u32::MAX;
    /// The most payload words an object can have: 4 GiB of them.
    pub const MAX_WORDS: u32 = (1 << 29) - 1;

    /// A plain object of `refs` reference fields and `words` payload words.
    #[inline]
    pub const fn new(refs: u32, words: u32) -> Self {
        Self {
            refs,
            words,
            flags: Flags::NONE,
        }
    }

    /// The same shape with `flags` set.
    #[inline]
    pub const fn with(self, flags: Flags) -> Self {
        Self { flags, ..self }
    }

    /// Bytes such an object takes in the heap: header, fields and words.
    #[inline]
    pub const fn size(self) -> usize {
        HEADER + GRANULE * (self.refs as usize + self.words as usize)
    }
}

/// Properties of an object, fixed when it is allocated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Flags {
    /// Once unreachable, the object is handed to
    /// [`Mutator::finalizable`](crate::Mutator::finalizable), once.
    pub finalize: bool,
    /// The object is never part of a cycle. A tracing collector has no use for the promise; it is
    /// kept for [`Mutator::shape`](crate::Mutator::shape) to give back.
    pub acyclic: bool,
}

impl Flags {
    /// No special property.
    pub const NONE: Self = Self {
        finalize: false,
        acyclic: false,
    };
    /// [`Flags::finalize`] alone.
    pub const FINALIZE: Self = Self {
        finalize: true,
        acyclic: false,
    };
    /// [`Flags::acyclic`] alone.
    pub const ACYCLIC: Self = Self {
        finalize: false,
        acyclic: true,
    };
}

/// The 8 bytes before an object's fields. All but [`Self::LOGGING`] is written once, before the
/// object is reachable.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(C, align(8))]
pub(crate) struct Header {
    /// The number of reference fields, which never changes: an index is compared with memory.
    refs: u32,
    /// The number of payload words in bits 3 to 31; below, properties and the state of the write
    /// barrier.
    state: u32,
}

impl Header {
    /// A store into the object has to be remembered.
    const LOGGING: u32 = 1 << 0;
    const FINALIZE: u32 = 1 << 1;
    const ACYCLIC: u32 = 1 << 2;
    /// Where the number of words begins.
    const WORDS: u32 = 3;

    /// `shape.words` must not exceed [`Shape::MAX_WORDS`].
    #[inline(always)]
    pub(crate) const fn new(shape: Shape) -> Self {
        let Flags { finalize, acyclic } = shape.flags;
        let finalize = if finalize { Self::FINALIZE } else { 0 };
        let acyclic = if acyclic { Self::ACYCLIC } else { 0 };
        Self {
            refs: shape.refs,
            state: (shape.words << Self::WORDS) | finalize | acyclic,
        }
    }

    #[inline(always)]
    pub(crate) const fn refs(self) -> usize {
        self.refs as usize
    }

    #[inline(always)]
    pub(crate) const fn words(self) -> usize {
        (self.state >> Self::WORDS) as usize
    }

    /// Bytes of the object.
    #[inline(always)]
    pub(crate) const fn size(self) -> usize {
        self.granules() * GRANULE
    }

    /// The same in granules.
    #[inline(always)]
    pub(crate) const fn granules(self) -> usize {
        // One for each field, and one for the header.
        self.refs() + self.words() + 1
    }

    /// Whether a store into the object has to be remembered.
    #[inline(always)]
    pub(crate) const fn is_logging(self) -> bool {
        self.state & Self::LOGGING != 0
    }

    pub(crate) const fn shape(self) -> Shape {
        Shape {
            refs: self.refs,
            words: self.state >> Self::WORDS,
            flags: Flags {
                finalize: self.state & Self::FINALIZE != 0,
                acyclic: self.state & Self::ACYCLIC != 0,
            },
        }
    }
}

/// The address of an object. A plain pointer: what makes a dereference sound is where it was found,
/// and each use says so.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub(crate) struct Object(NonNull<Header>);

// SAFETY: an address; every access through it is `unsafe` and argues for itself.
unsafe impl Send for Object {}
// SAFETY: as above.
unsafe impl Sync for Object {}

impl Object {
    #[inline(always)]
    pub(crate) fn from_raw(pointer: *mut Header) -> Option<Self> {
        NonNull::new(pointer).map(Self)
    }

    #[inline(always)]
    pub(crate) fn as_raw(self) -> *mut Header {
        self.0.as_ptr()
    }

    #[inline(always)]
    pub(crate) fn address(self) -> usize {
        self.0.as_ptr() as usize
    }

    /// # Safety
    ///
    /// The object is live (see the invariant of the [module](self)).
    #[inline(always)]
    pub(crate) unsafe fn header(self) -> Header {
        // SAFETY: passed on.
        unsafe {
            Header {
                refs: self.refs() as u32,
                state: self.state().load(Ordering::Relaxed),
            }
        }
    }

    /// The number of reference fields alone.
    ///
    /// # Safety
    ///
    /// The object is live.
    #[inline(always)]
    pub(crate) unsafe fn refs(self) -> usize {
        // SAFETY: passed on; nobody writes it from when the object is reachable.
        unsafe { (&raw const (*self.as_raw()).refs).read() as usize }
    }

    /// # Safety
    ///
    /// The object is live.
    #[inline(always)]
    unsafe fn state<'a>(self) -> &'a AtomicU32 {
        // SAFETY: the header of a live object is initialised, and this half only ever accessed as
        // an atomic from then on.
        unsafe { AtomicU32::from_ptr(&raw mut (*self.as_raw()).state) }
    }

    /// Whether a store into the object has to be remembered.
    ///
    /// # Safety
    ///
    /// The object is live.
    #[inline(always)]
    pub(crate) unsafe fn is_logging(self) -> bool {
        // SAFETY: passed on.
        unsafe { self.state() }.load(Ordering::Relaxed) & Header::LOGGING != 0
    }

    /// Decides whether stores into the object, whose header is given, are slow ones, which remember
    /// it. Does not write where nothing changes: most old objects' headers are as they should be,
    /// and their lines stay clean.
    ///
    /// # Safety
    ///
    /// The object is live, and no mutator runs.
    #[inline(always)]
    pub(crate) unsafe fn set_logging(self, header: Header, logging: bool) {
        if header.is_logging() != logging {
            // SAFETY: passed on. Collector threads that meet here write the same.
            unsafe { self.state() }.store(header.state ^ Header::LOGGING, Ordering::Relaxed);
        }
    }

    /// Ends what [`Self::set_logging`] began, and says whether it was the caller who did.
    ///
    /// # Safety
    ///
    /// The object is live.
    #[inline]
    pub(crate) unsafe fn clear_logging(self) -> bool {
        // SAFETY: passed on.
        let before = unsafe { self.state() }.fetch_and(!Header::LOGGING, Ordering::Relaxed);
        before & Header::LOGGING != 0
    }

    /// # Safety
    ///
    /// The object is live, and `index` is less than its number of reference fields.
    #[inline(always)]
    pub(crate) unsafe fn field<'a>(self, index: usize) -> &'a AtomicPtr<Header> {
        // SAFETY: within the object by the caller's word; aligned, as objects start on a granule
        // and fields follow the 8-byte header; only ever accessed as an atomic once the object is
        // reachable.
        unsafe { self.0.add(1 + index).cast::<AtomicPtr<Header>>().as_ref() }
    }

    /// # Safety
    ///
    /// The object is live, and `index` is less than its number of payload words.
    #[inline(always)]
    pub(crate) unsafe fn word<'a>(self, index: usize) -> &'a AtomicU64 {
        // SAFETY: passed on.
        unsafe { self.word_behind(self.refs(), index) }
    }

    /// # Safety
    ///
    /// As for [`Self::word`]; the object has `refs` reference fields.
    #[inline(always)]
    unsafe fn word_behind<'a>(self, refs: usize, index: usize) -> &'a AtomicU64 {
        // SAFETY: as for `field`; payload words follow the reference fields.
        unsafe { self.0.add(1 + refs + index).cast::<AtomicU64>().as_ref() }
    }

    /// The object in a reference field.
    ///
    /// # Safety
    ///
    /// As for [`Self::field`].
    #[inline(always)]
    pub(crate) unsafe fn load(self, index: usize) -> Option<Self> {
        // SAFETY: passed on.
        Self::from_raw(unsafe { self.field(index) }.load(Ordering::Acquire))
    }

    /// Makes an object out of unused memory, with the given fields and words.
    ///
    /// # Safety
    ///
    /// `memory` is aligned to a granule, lies in the heap, and its first `shape.size()` bytes
    /// belong to the caller alone, where the shape is that of `R` fields and `W` words; `fields`
    /// are live objects.
    #[inline(always)]
    pub(crate) unsafe fn initialise<const R: usize, const W: usize>(
        memory: NonNull<u8>,
        flags: Flags,
        fields: [*mut Header; R],
        words: [u64; W],
    ) -> Self {
        let shape = Shape::new(R as u32, W as u32).with(flags);
        let object = Self(memory.cast());
        // SAFETY: all writes are within the object, which nobody else can see yet. Fields are
        // written one by one, from registers: gathering them into a vector first would delay the
        // stores.
        unsafe {
            object.0.write(Header::new(shape));
            for (index, field) in fields.into_iter().enumerate() {
                object.field(index).store(field, Ordering::Relaxed);
            }
            for (index, word) in words.into_iter().enumerate() {
                object.word_behind(R, index).store(word, Ordering::Relaxed);
            }
        }
        object
    }

    /// Makes an object out of unused memory, fields null and words zero.
    ///
    /// # Safety
    ///
    /// `memory` is aligned to a granule, lies in the heap, and its first `shape.size()` bytes
    /// belong to the caller alone; where `zeroed`, they are zero.
    #[inline(always)]
    pub(crate) unsafe fn clear(memory: NonNull<u8>, shape: Shape, zeroed: bool) -> Self {
        let start = memory.cast::<Header>();
        // SAFETY: all writes are within the object, which nobody else can see yet.
        unsafe {
            start.write(Header::new(shape));
            if !zeroed {
                let fields = shape.refs as usize + shape.words as usize;
                start.add(1).write_bytes(0, fields);
            }
        }
        Self(start)
    }
}

impl fmt::Debug for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.address())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_gives_back_every_shape() {
        for refs in [0, 1, 2, 1000, Shape::MAX_REFS] {
            for words in [0, 1, 77, Shape::MAX_WORDS] {
                for flags in [Flags::NONE, Flags::FINALIZE, Flags::ACYCLIC] {
                    let shape = Shape::new(refs, words).with(flags);
                    assert_eq!(Header::new(shape).shape(), shape);
                    assert_eq!(Header::new(shape).size(), shape.size());
                }
            }
        }
    }

    #[test]
    fn sizes_are_header_and_fields() {
        assert_eq!(Shape::new(0, 0).size(), 8);
        assert_eq!(Shape::new(0, 1).size(), 16);
        assert_eq!(Shape::new(2, 0).size(), 24);
        assert_eq!(Shape::new(2, 1).size(), 32);
        assert_eq!(Shape::new(2, 2).size(), 40);
    }
}
