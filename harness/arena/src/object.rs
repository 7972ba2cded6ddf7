//! Headers and layout: the only module that reads or writes an object's memory.
//!
//! Invariant: an [`Object`] points at `8 + 8 * (refs + words)` initialised bytes, aligned to 8,
//! whose header never changes and whose fields and words are accessed as atomics only. Every
//! constructor initialises all of them before the object can be seen. Whether the memory is still
//! there is the business of the caller: see the crate's documentation.

use std::alloc::Layout;
use std::ptr::NonNull;
use std::slice;
use std::sync::atomic::{AtomicPtr, AtomicU64};

use contract::heap::{Flags, Shape};

/// The most reference fields, and the most payload words, that an object can have: what their bits
/// in the header hold. A shape with more fails as [`HeapFull`](contract::heap::HeapFull).
const MAX: u32 = (1 << 31) - 1;

/// Whether an object may have this shape.
#[inline(always)]
pub(crate) const fn is_possible(shape: Shape) -> bool {
    shape.refs <= MAX && shape.words <= MAX
}

/// Bytes of an object of this shape, header included.
#[inline(always)]
pub(crate) const fn size(shape: Shape) -> u64 {
    size_of::<Header>() as u64 + shape.payload_bytes()
}

/// Bits 0-30 the reference fields, 31-61 the words, 62 `finalize`, 63 `acyclic`.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub(crate) struct Header(u64);

impl Header {
    #[inline(always)]
    const fn new(shape: Shape) -> Self {
        Self(
            shape.refs as u64
                | (shape.words as u64) << 31
                | (shape.flags.finalize as u64) << 62
                | (shape.flags.acyclic as u64) << 63,
        )
    }

    #[inline(always)]
    const fn refs(self) -> usize {
        self.0 as usize & MAX as usize
    }

    #[inline(always)]
    const fn words(self) -> usize {
        (self.0 >> 31) as usize & MAX as usize
    }
}

/// Where an object is. A plain address: it says nothing about how long the object is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub(crate) struct Object(NonNull<Header>);

// SAFETY: an `Object` is an address; what it points at is read as atomics, or never written again
// (the header).
unsafe impl Send for Object {}
// SAFETY: as above.
unsafe impl Sync for Object {}

impl Object {
    /// The memory an object of `shape` needs, which is possible.
    #[inline(always)]
    pub(crate) fn layout(shape: Shape) -> Layout {
        debug_assert!(is_possible(shape));
        // SAFETY: the alignment is a power of two, and the size is below 2^36, which is not larger
        // than `isize::MAX`.
        unsafe { Layout::from_size_align_unchecked(size(shape) as usize, align_of::<Header>()) }
    }

    /// Makes an object in fresh memory, its fields copied from `refs` and its words from `words`.
    ///
    /// # Safety
    ///
    /// `memory` is writable for [`Object::layout`] of `shape`, aligned to 8, and nobody else
    /// accesses it. `shape` is possible, `refs` yields exactly `shape.refs` items and `words`
    /// exactly `shape.words`.
    #[inline(always)]
    pub(crate) unsafe fn initialise(
        memory: NonNull<u8>,
        shape: Shape,
        refs: impl Iterator<Item = Option<Object>>,
        words: impl Iterator<Item = u64>,
    ) -> Self {
        let header = memory.cast::<Header>();
        // SAFETY: by the contract the memory holds a header and then `refs + words` slots of 8
        // bytes, and is ours alone.
        unsafe {
            header.write(Header::new(shape));
            let fields = header.add(1).cast::<*mut Header>();
            for (index, object) in refs.enumerate() {
                // Volatile keeps two fields from being copied by one 16-byte load: the locals they
                // come from were just written one by one, and a load that spans two recent stores
                // cannot be forwarded from them. That stall was half the time of building a tree.
                fields.add(index).write_volatile(Self::to_raw(object));
            }
            let slots = fields.add(shape.refs as usize).cast::<AtomicU64>();
            for (index, word) in words.enumerate() {
                slots.add(index).write(AtomicU64::new(word));
            }
        }
        Self(header)
    }

    /// The raw form of a nullable object, as fields hold it.
    #[inline(always)]
    pub(crate) fn to_raw(object: Option<Self>) -> *mut Header {
        object.map_or(std::ptr::null_mut(), |object| object.0.as_ptr())
    }

    /// The object a field held.
    ///
    /// # Safety
    ///
    /// `raw` was read from a field.
    #[inline(always)]
    pub(crate) unsafe fn from_raw(raw: *mut Header) -> Option<Self> {
        NonNull::new(raw).map(Self)
    }

    /// The shape it was made with.
    ///
    /// # Safety
    ///
    /// The object's memory is still valid.
    #[inline(always)]
    pub(crate) unsafe fn shape(self) -> Shape {
        // SAFETY: valid by the contract, and headers are never written after initialisation.
        let header = unsafe { self.0.read() };
        Shape {
            refs: header.refs() as u32,
            words: header.words() as u32,
            flags: Flags {
                finalize: header.0 >> 62 & 1 == 1,
                acyclic: header.0 >> 63 == 1,
            },
        }
    }

    /// Its reference fields.
    ///
    /// # Safety
    ///
    /// The object's memory stays valid for `'a`.
    #[inline(always)]
    pub(crate) unsafe fn fields<'a>(self) -> &'a [AtomicPtr<Header>] {
        // SAFETY: valid by the contract; by the module's invariant the header is followed by that
        // many initialised fields, which are accessed as atomics only.
        unsafe {
            let refs = self.0.read().refs();
            slice::from_raw_parts(self.0.add(1).cast().as_ptr(), refs)
        }
    }

    /// Its payload words.
    ///
    /// # Safety
    ///
    /// The object's memory stays valid for `'a`.
    #[inline(always)]
    pub(crate) unsafe fn words<'a>(self) -> &'a [AtomicU64] {
        // SAFETY: as in `fields`; the words follow the fields.
        unsafe {
            let header = self.0.read();
            slice::from_raw_parts(
                self.0.add(1 + header.refs()).cast().as_ptr(),
                header.words(),
            )
        }
    }
}
