//! Objects: a 16-byte header, the reference fields, the payload words.
//!
//! ```text
//!   0        2        4                 8                 12                16
//!   +--------+--------+-----------------+-----------------+-----------------+----------------
//!   |  tag   | carry  |      count      |  refs (number)  | words (number)  | fields, words...
//!   +--------+--------+-----------------+-----------------+-----------------+----------------
//!    \________________ the head: one u64 ________________/
//! ```
//!
//! * `count`, the upper half of the head, is the reference count. At `3 << 30` increments stop,
//!   above `1 << 31` decrements do (as in PEP 683): a count that got there is *immortal*. Neither
//!   overflow nor the lost track of a saturated count can free a referenced object; it can only
//!   leak. A count from [`OWNED`] on is that of an object with an owner, in the regime that has
//!   them ([`crate::unlocked::biased`]). Counting does not look first: it adds or subtracts, in one
//!   instruction, and the sign of what comes out says whether an immortal count has to be put
//!   right.
//! * `tag`, the lower 16 bits: size class and state, below.
//! * `carry`, 13 bits, is zero but during a cycle collection, where it extends the side byte (see
//!   [`crate::cycle`]), and while threads run that lock objects ([`LOCKED`]).
//! * `edges`, the 3 bits between, say how the object has been linked with others ([`edges`]).
//!
//! The three in the lower half are the object's **marks**. In a live object the count and the marks
//! are read and written apart, four bytes each: what is read soon after it was written must not be
//! wider, or the processor cannot forward it.
//!
//! A cell that is not a live object (free, or dead and not yet free) needs no count: the upper 48
//! bits of its head then hold a **link** to the next cell of a list, which is read and written with
//! the whole head. Dead objects are thus chained through their own headers while their number of
//! fields stays legible, and freeing needs no memory.
//!
//! Rejected: an 8-byte header (no room for the number of fields of large arrays beside a 32-bit
//! count, and none for a link); a type pointer (there are no types); list pointers for the
//! collector, CPython's choice, which cost 16 bytes an object.
//!
//! # The invariant of [`Object`]
//!
//! An `Object` points to a cell of the heap whose lock the current thread holds: aligned to 16,
//! inside a mapping that outlives every use, with a header that was initialised when its block was
//! carved. If the tag is not `FREE`, the cell holds `refs` initialised fields and `words`
//! initialised words. [`Object::from_raw`] is where that is claimed, all else follows, but for what
//! is [tagged](Object::tagged), which nobody looks at before the tag is off. Everything in a cell
//! is a `Cell`, so that shared references to it may overlap.

use std::cell::Cell;
use std::num::NonZero;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicPtr, AtomicU64};

#[cfg(not(all(target_pointer_width = "64", target_endian = "little")))]
compile_error!("gc-rc packs its header for 64-bit little-endian targets");

/// Bytes of an object's header.
pub(crate) const HEADER_BYTES: usize = 16;
/// Alignment of objects, and the unit that side bytes describe.
pub(crate) const GRANULE: usize = 16;

/// Marks a reference in a slot of a frame that is not counted. Addresses of objects do not have it.
const TAG: usize = 1;

/// One reference, in the head.
pub(crate) const ONE: u64 = 1 << 32;
/// The largest count: it is not incremented.
pub(crate) const SATURATED: u32 = 3 << 30;
/// From here on a count is none by itself: the object has an owner, which has counted some of its
/// references elsewhere ([`crate::unlocked::biased`]).
pub(crate) const OWNED: u32 = 13 << 28;

/// The tag's bits.
pub(crate) mod tag {
    /// Size class of the cell; [`crate::alloc::LARGE`] for a large object.
    pub(crate) const CLASS: u64 = 0x3f;
    /// The cell is not an object.
    pub(crate) const FREE: u64 = 1 << 6;
    /// The object is listed in the pending list.
    pub(crate) const QUEUED: u64 = 1 << 7;
    /// The object has a finalizer.
    pub(crate) const FINALIZE: u64 = 1 << 8;
    /// It was queued for its finalizer, and will not be again. Without `FINALIZE`: the queue had no
    /// room for it yet.
    pub(crate) const FINALIZED: u64 = 1 << 9;
    /// The object has an entry in the table of weak references.
    pub(crate) const HAS_WEAK: u64 = 1 << 10;
    /// The client promised that it is in no cycle.
    pub(crate) const ACYCLIC: u64 = 1 << 11;
    /// The cell is listed as young: its side byte says so. Survives freeing and reuse.
    pub(crate) const IN_YOUNG: u64 = 1 << 12;
    /// The cycle collector does not look at the object.
    pub(crate) const UNTRACKED: u64 = 1 << 13;
    /// The cell is listed as a possible root of garbage; set in every cell of a heap that lists
    /// none. Survives freeing and reuse.
    pub(crate) const BUFFERED: u64 = 1 << 14;
    /// The object is dead, and linked among those that wait to be freed.
    pub(crate) const DEAD: u64 = 1 << 15;
    /// What belongs to the cell and not to the object in it.
    pub(crate) const OF_CELL: u64 = CLASS | IN_YOUNG | BUFFERED;
    /// What somebody waits for in an object: its finalizer is to run, or it has weak references.
    pub(crate) const WATCHED: u64 = FINALIZE | HAS_WEAK;
    /// The whole tag.
    pub(crate) const ALL: u64 = 0xffff;
}

const CARRY_SHIFT: u32 = 16;
const CARRY: u64 = MAX_CARRY << CARRY_SHIFT;
/// The lock of an object, in the regime [`ObjectLock`](crate::ObjectLock): the lowest bit of the
/// carry, which is zero as long as objects are locked, while the world runs.
pub(crate) const LOCKED: u64 = 1 << CARRY_SHIFT;
/// The largest carry that a header takes.
pub(crate) const MAX_CARRY: u64 = 0x1fff;

/// What a live object's head remembers of its edges, for [`crate::cycle::filter`]. None of it is
/// ever taken back while the object lives.
pub(crate) mod edges {
    /// A field refers, or has referred, to the object.
    pub(crate) const IN: u64 = 1 << 29;
    /// A field of the object refers, or has referred, to something.
    pub(crate) const OUT: u64 = 1 << 30;
    /// A store to or from the object may have closed a cycle.
    pub(crate) const SUSPECT: u64 = 1 << 31;
}

/// The form of an object: its reference fields, its payload words, and its properties.
///
/// ```
/// use gc_rc::{Flags, Shape};
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
    /// The most reference fields an object can have: whatever the type holds.
    pub const MAX_REFS: u32 = u32::MAX;
    /// The most payload words an object can have: whatever the type holds.
    pub const MAX_WORDS: u32 = u32::MAX;

    /// A plain object of `refs` reference fields and `words` payload words.
    pub const fn new(refs: u32, words: u32) -> Self {
        Self {
            refs,
            words,
            flags: Flags::NONE,
        }
    }

    /// The same shape with `flags`.
    pub const fn with(self, flags: Flags) -> Self {
        Self { flags, ..self }
    }

    /// Payload bytes: 8 for each field and word, headers and rounding excluded.
    pub const fn payload_bytes(self) -> u64 {
        8 * (self.refs as u64 + self.words as u64)
    }

    /// Bytes of the object with its header, before rounding.
    pub(crate) const fn bytes(self) -> usize {
        HEADER_BYTES + 8 * (self.refs as usize + self.words as usize)
    }
}

/// Properties of an object, fixed when it is allocated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Flags {
    /// Once unreachable, the object is handed to
    /// [`Mutator::finalizable`](crate::Mutator::finalizable), once.
    pub finalize: bool,
    /// The client promises that the object is never part of a cycle, so that the cycle collector
    /// need not track it. A broken promise leaks; it never corrupts.
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

    /// The bits of the tag.
    #[inline(always)]
    pub(crate) const fn bits(self) -> u64 {
        (if self.finalize { tag::FINALIZE } else { 0 })
            | (if self.acyclic { tag::ACYCLIC } else { 0 })
    }
}

/// Whether the cycle collector tracks objects with so many fields and these flags: an object that
/// refers to nothing is in no cycle.
#[inline(always)]
pub(crate) const fn is_tracked(refs: usize, flags: Flags) -> bool {
    refs > 0 && !flags.acyclic
}

/// See the module's documentation.
#[repr(C, align(16))]
pub(crate) struct Header {
    head: Cell<u64>,
    refs: Cell<u32>,
    words: Cell<u32>,
}

/// A field, or a local: null or an object whose count it owns.
pub(crate) type Slot = Cell<Option<Object>>;

/// What a decrement did.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum CountDown {
    /// There are more references.
    ToNonZero,
    /// It was the last one.
    ToZero,
    /// The count is that of an immortal object, or of one with an owner: the caller takes it back
    /// ([`Object::outlive`]).
    Immortal,
}

/// A field as several threads access it at once, in a regime without the global lock.
#[inline(always)]
pub(crate) fn shared(slot: &Slot) -> &AtomicPtr<u8> {
    // SAFETY: a field has the size and the alignment of a pointer, and null for `None`; a cell may
    // be changed through a shared reference. Whoever accesses it otherwise meanwhile breaks the
    // first invariant of `crate::unlocked`.
    unsafe { AtomicPtr::from_ptr(slot.as_ptr().cast()) }
}

/// A word as several threads access it at once.
#[inline(always)]
pub(crate) fn shared_word(word: &Cell<u64>) -> &AtomicU64 {
    // SAFETY: as for `shared`.
    unsafe { AtomicU64::from_ptr(word.as_ptr()) }
}

/// A cell of the heap. See the module's documentation for the invariant.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(transparent)]
pub(crate) struct Object(NonNull<Header>);

impl Object {
    /// # Safety
    ///
    /// The invariant of the type, from now on for as long as the result is used.
    #[inline(always)]
    pub(crate) unsafe fn from_raw(cell: *mut u8) -> Self {
        debug_assert!(!cell.is_null() && (cell as usize).is_multiple_of(GRANULE));
        // SAFETY: the caller's promise; a cell is not at address zero.
        Self(unsafe { NonNull::new_unchecked(cell.cast()) })
    }

    #[inline(always)]
    pub(crate) fn raw(self) -> *mut u8 {
        self.0.as_ptr().cast()
    }

    #[inline(always)]
    pub(crate) fn address(self) -> usize {
        self.0.as_ptr() as usize
    }

    /// As a slot of a frame holds it that has not counted it: good for that alone
    /// ([`crate::frame`]).
    #[inline(always)]
    pub(crate) fn tagged(self) -> Self {
        Self(self.0.map_addr(|address| address | TAG))
    }

    /// The object that a slot of a frame holds, counted or not.
    #[inline(always)]
    pub(crate) fn untagged(self) -> Self {
        // SAFETY: what is tagged is the address of a cell, which is not zero.
        let untag =
            |address: NonZero<usize>| unsafe { NonZero::new_unchecked(address.get() & !TAG) };
        Self(self.0.map_addr(untag))
    }

    /// Whether a slot of a frame holds it and has not counted it.
    #[inline(always)]
    pub(crate) fn is_tagged(self) -> bool {
        self.address() & TAG != 0
    }

    #[inline(always)]
    fn header<'a>(self) -> &'a Header {
        // SAFETY: the type's invariant.
        unsafe { self.0.as_ref() }
    }

    /// The whole head: of use where it is [`linked`].
    #[inline(always)]
    pub(crate) fn head(self) -> u64 {
        self.header().head.get()
    }

    #[inline(always)]
    pub(crate) fn set_head(self, head: u64) {
        self.header().head.set(head);
    }

    /// The halves of the head: marks and count.
    #[inline(always)]
    fn halves<'a>(self) -> &'a [Cell<u32>; 2] {
        // SAFETY: the type's invariant: there is a header, which begins with the head. All of it
        // are cells, which may overlap.
        unsafe { &*self.raw().cast::<[Cell<u32>; 2]>() }
    }

    /// The lower half of the head: tag, carry and edges.
    #[inline(always)]
    pub(crate) fn marks(self) -> u64 {
        u64::from(self.halves()[0].get())
    }

    #[inline(always)]
    pub(crate) fn set_marks(self, marks: u64) {
        self.halves()[0].set(marks as u32);
    }

    /// The head as several threads change it at once, in a regime without the global lock.
    #[inline(always)]
    pub(crate) fn shared_head<'a>(self) -> &'a AtomicU64 {
        shared_word(&self.header().head)
    }

    /// Where the last unit of 64 bits lies, fields and words counted alike, of an object that has
    /// some.
    #[inline(always)]
    pub(crate) fn last_unit(self) -> *mut u64 {
        let units = self.refs() + self.words();
        // SAFETY: the type's invariant: so many units follow the header, and the last begins with
        // the last eight bytes of header and units.
        unsafe { self.raw().add(HEADER_BYTES + 8 * units - 8).cast() }
    }

    /// What a field holds as a pointer.
    #[inline(always)]
    pub(crate) fn pointer(value: Option<Self>) -> *mut u8 {
        value.map_or(ptr::null_mut(), Self::raw)
    }

    /// The object that a pointer out of a field points to, if it does.
    #[inline(always)]
    pub(crate) fn of_pointer(pointer: *mut u8) -> Option<Self> {
        NonNull::new(pointer.cast()).map(Self)
    }

    /// Number of reference fields.
    #[inline(always)]
    pub(crate) fn refs(self) -> usize {
        self.header().refs.get() as usize
    }

    /// Number of payload words.
    #[inline(always)]
    pub(crate) fn words(self) -> usize {
        self.header().words.get() as usize
    }

    #[inline(always)]
    pub(crate) fn count(self) -> u32 {
        self.halves()[1].get()
    }

    #[inline(always)]
    fn set_count(self, count: u32) {
        self.halves()[1].set(count);
    }

    /// Counts one reference more. Returns whether it did: a saturated count stays.
    #[inline(always)]
    pub(crate) fn count_up(self) -> bool {
        let count = self.count() + 1;
        self.set_count(count);
        (count as i32) >= 0 || self.saturate()
    }

    /// The rare part of [`count_up`](Self::count_up): an immortal object, or one with an owner.
    #[cold]
    #[inline(never)]
    fn saturate(self) -> bool {
        if self.is_owned() {
            self.set_count(self.count() - 1);
            self.settle();
            return self.count_up();
        }
        let counted = self.count() <= SATURATED;
        self.set_count(self.count().min(SATURATED));
        counted
    }

    /// Counts one reference less, of those that there are.
    #[inline(always)]
    pub(crate) fn count_down(self) -> CountDown {
        debug_assert_ne!(self.count(), 0, "a release without a reference");
        let count = self.count().wrapping_sub(1);
        self.set_count(count);
        if count == 0 {
            CountDown::ToZero
        } else if (count as i32) < 0 {
            CountDown::Immortal
        } else {
            CountDown::ToNonZero
        }
    }

    /// After a [`count_down`](Self::count_down) of an immortal object, or of one with an owner:
    /// takes it back. Returns whether it has an owner.
    pub(crate) fn outlive(self) -> bool {
        self.set_count(self.count() + 1);
        self.is_owned()
    }

    /// Whether the count is so high that it falls no more, or is about to get there.
    #[inline(always)]
    pub(crate) fn is_immortal(self) -> bool {
        is_immortal(self.references())
    }

    #[inline(always)]
    pub(crate) fn has(self, bits: u64) -> bool {
        self.marks() & bits != 0
    }

    #[inline(always)]
    pub(crate) fn insert(self, bits: u64) {
        self.set_marks(self.marks() | bits);
    }

    #[inline(always)]
    pub(crate) fn remove(self, bits: u64) {
        self.set_marks(self.marks() & !bits);
    }

    #[inline(always)]
    pub(crate) fn class(self) -> usize {
        (self.marks() & tag::CLASS) as usize
    }

    /// The collector's extension of the side byte.
    #[inline(always)]
    pub(crate) fn carry(self) -> u64 {
        (self.marks() & CARRY) >> CARRY_SHIFT
    }

    #[inline(always)]
    pub(crate) fn set_carry(self, carry: u64) {
        debug_assert!(carry <= CARRY >> CARRY_SHIFT);
        self.set_marks(self.marks() & !CARRY | carry << CARRY_SHIFT);
    }

    /// Payload bytes, as of [`Shape::payload_bytes`].
    #[inline(always)]
    pub(crate) fn payload_bytes(self) -> u64 {
        8 * (self.refs() as u64 + self.words() as u64)
    }

    /// Shortens a dead object, whose last fields have been released.
    pub(crate) fn truncate(self, refs: usize) {
        debug_assert!(refs <= self.refs() && self.has(tag::DEAD));
        self.header().refs.set(refs as u32);
    }

    /// Writes the header of a new object; the caller writes fields and words before anyone reads
    /// them.
    #[inline(always)]
    pub(crate) fn initialise(self, head: u64, refs: u32, words: u32) {
        let header = self.header();
        header.head.set(head);
        header.refs.set(refs);
        header.words.set(words);
    }

    /// Has the second unit of a free cell, in which an object has its shape, lead to another one.
    pub(crate) fn set_below(self, below: Option<Object>) {
        let unit = linked(below, 0);
        self.header().refs.set(unit as u32);
        self.header().words.set((unit >> 32) as u32);
    }

    /// The cell to which that leads.
    ///
    /// # Safety
    ///
    /// [`Self::set_below`] was the last to write it, and the other cell still keeps the invariant
    /// of [`Object`].
    pub(crate) unsafe fn below(self) -> Option<Object> {
        let (low, high) = (self.header().refs.get(), self.header().words.get());
        // SAFETY: the caller's promise.
        unsafe { link(u64::from(high) << 32 | u64::from(low)) }
    }

    /// The shape the object was made with.
    pub(crate) fn shape(self) -> Shape {
        self.shape_of(self.marks())
    }

    /// The shape of an object with these marks.
    pub(crate) fn shape_of(self, marks: u64) -> Shape {
        let flags = Flags {
            finalize: marks & (tag::FINALIZE | tag::FINALIZED) != 0,
            acyclic: marks & tag::ACYCLIC != 0,
        };
        Shape {
            refs: self.header().refs.get(),
            words: self.header().words.get(),
            flags,
        }
    }

    /// The fields of a live object.
    #[inline(always)]
    pub(crate) fn fields<'a>(self) -> &'a [Slot] {
        // SAFETY: the type's invariant: `refs` initialised fields follow the header.
        unsafe {
            std::slice::from_raw_parts(self.raw().add(HEADER_BYTES).cast::<Slot>(), self.refs())
        }
    }

    /// The words of a live object.
    #[inline(always)]
    pub(crate) fn payload<'a>(self) -> &'a [Cell<u64>] {
        // SAFETY: the type's invariant: `words` initialised words follow the fields.
        unsafe {
            let first = self.raw().add(HEADER_BYTES + 8 * self.refs());
            std::slice::from_raw_parts(first.cast::<Cell<u64>>(), self.words())
        }
    }

    /// Writes field `index` of an object under construction.
    ///
    /// # Safety
    ///
    /// The cell has room for it.
    #[inline(always)]
    pub(crate) unsafe fn write_field(self, index: usize, value: Option<Object>) {
        // SAFETY: the caller's promise.
        unsafe {
            self.raw()
                .add(HEADER_BYTES + 8 * index)
                .cast::<Option<Object>>()
                .write(value)
        }
    }

    /// Writes the 64-bit unit at `index`, fields and words counted alike, of an object under
    /// construction.
    ///
    /// # Safety
    ///
    /// The cell has room for it.
    #[inline(always)]
    pub(crate) unsafe fn write_word(self, index: usize, value: u64) {
        // SAFETY: the caller's promise.
        unsafe {
            self.raw()
                .add(HEADER_BYTES + 8 * index)
                .cast::<u64>()
                .write(value)
        }
    }

    /// Nulls the fields and zeroes the words of an object under construction.
    ///
    /// # Safety
    ///
    /// The cell has room for `units` of them, and is a whole number of granules.
    #[inline(always)]
    pub(crate) unsafe fn zero(self, units: usize) {
        // SAFETY: the caller's promise: what is rounded up to granules fits, too. Null is the
        // representation of `None`.
        unsafe {
            let first = self.raw().add(HEADER_BYTES);
            // A store or two for small objects: a call of `memset` takes as long as all the rest of
            // an allocation.
            if units <= 4 {
                if units > 0 {
                    first.write_bytes(0, GRANULE);
                }
                if units > 2 {
                    first.add(GRANULE).write_bytes(0, GRANULE);
                }
            } else {
                first.write_bytes(0, 8 * units);
            }
        }
    }

    /// Asks the cache for the object's header.
    #[inline(always)]
    pub(crate) fn prefetch(self) {
        prefetch(self.raw());
    }
}

/// Brings the line at `address` into the cache; harmless for any address.
#[inline(always)]
pub(crate) fn prefetch(address: *const u8) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch does not access memory.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(address.cast());
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: a prefetch does not access memory.
    unsafe {
        std::arch::asm!("prfm pldl1keep, [{}]", in(reg) address, options(nostack, preserves_flags, readonly));
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let _ = address;
}

// ---- the head as a value

/// See [`Object::is_immortal`].
#[inline(always)]
pub(crate) const fn is_immortal(count: u32) -> bool {
    (count as i32) < 0
}

/// The head of a cell that is linked to `next` and has `tag`.
#[inline(always)]
pub(crate) fn linked(next: Option<Object>, tag: u64) -> u64 {
    // Cells are aligned to 16 and addresses of user space have at most 52 bits on every supported
    // system.
    let address = next.map_or(0, Object::address) as u64;
    address << 12 | tag
}

/// The cell that a linked head refers to.
///
/// # Safety
///
/// `head` was made by [`linked`], and the linked cell still keeps the invariant of [`Object`].
#[inline(always)]
pub(crate) unsafe fn link(head: u64) -> Option<Object> {
    let address = (head >> 12 & !0xf) as *mut u8;
    if address.is_null() {
        return None;
    }
    // SAFETY: the caller's promise.
    Some(unsafe { Object::from_raw(address) })
}
