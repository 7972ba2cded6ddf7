//! Marking: finds every object that can be reached, and marks it.
//!
//! Edges to be followed wait on an explicit stack; nothing recurses, so a list of any length is marked on a native stack of
//! any size. Between the stack and the object lies a short first-in-first-out ring (Cher, Hosking and Vitek, ASPLOS 2004;
//! Garner, Blackburn and Frampton, ISMM 2007): an edge that leaves the stack has the mark byte and the header of its
//! object prefetched, and is looked at only when as many others have gone through, by when the lines have arrived. The
//! ring holds *edges*, not marked objects, so that the test of the mark byte is prefetched as well.
//!
//! The ring is never waited for: when the stack is empty its oldest edge is taken at once, so that a list, which offers one edge at
//! a time, does not pay for it.
//!
//! Arrays of more than [`SPLIT`] references are scanned piece by piece, so that one of a million references does not put a
//! million edges on the stack.
//!
//! **Invariant.** When the stack, the ring and the list of pieces are empty, every object reachable from those given to [`Marker::push`]
//! is marked: an object is scanned when it is marked, and each of its edges is pushed.

use crate::block::MarkTable;
use crate::object::{Header, Object};

/// Arrays with more references than this are scanned in pieces of this many.
const SPLIT: usize = 1024;

/// The largest depth of the prefetch ring.
pub(crate) const MAX_PREFETCH_DEPTH: usize = 64;

/// A part of a large array that is still to be scanned.
struct Piece {
    object: Object,
    next: usize,
    refs: usize,
}

/// The state of a trace. Kept between collections for the memory of its stack.
pub(crate) struct Marker {
    stack: Vec<*mut Header>,
    pieces: Vec<Piece>,
    depth: usize,
    /// Bytes of objects marked since [`Self::begin`].
    live_bytes: usize,
}

// SAFETY: the stack is empty between traces; during one it holds addresses, and who dereferences them argues for it.
unsafe impl Send for Marker {}

impl Marker {
    /// A marker with a prefetch ring of `depth` edges, at most [`MAX_PREFETCH_DEPTH`]; 0 turns it off.
    pub(crate) fn new(depth: usize) -> Self {
        assert!(depth <= MAX_PREFETCH_DEPTH);
        Self {
            stack: Vec::with_capacity(4096),
            pieces: Vec::new(),
            depth,
            live_bytes: 0,
        }
    }

    /// Begins a trace.
    pub(crate) fn begin(&mut self) {
        debug_assert!(self.stack.is_empty() && self.pieces.is_empty());
        self.live_bytes = 0;
    }

    /// Bytes of objects marked since [`Self::begin`], headers and rounding included.
    pub(crate) fn live_bytes(&self) -> usize {
        self.live_bytes
    }

    /// Bytes of the mark stack.
    pub(crate) fn footprint(&self) -> usize {
        self.stack.capacity() * size_of::<*mut Header>()
            + self.pieces.capacity() * size_of::<Piece>()
    }

    /// Adds an edge from a root.
    #[inline]
    pub(crate) fn push(&mut self, object: Object) {
        self.stack.push(object.as_raw());
    }

    /// Marks everything reachable from what was pushed.
    ///
    /// # Safety
    ///
    /// The world is stopped, `table` is this collection's, and every object pushed is live.
    pub(crate) unsafe fn trace(&mut self, table: MarkTable) {
        // SAFETY: passed on. A depth of zero compiles to a loop without a ring.
        unsafe {
            match self.depth {
                0 => self.trace_plain(table),
                depth => self.trace_prefetching(table, depth),
            }
        }
    }

    /// # Safety
    ///
    /// As for [`Self::trace`].
    unsafe fn trace_plain(&mut self, table: MarkTable) {
        loop {
            while let Some(object) = self.stack.pop().and_then(Object::from_raw) {
                // SAFETY: passed on; edges of live objects lead to live objects.
                unsafe { self.visit(object, table) };
            }
            // SAFETY: as above.
            if !unsafe { self.scan_piece() } {
                break;
            }
        }
    }

    /// # Safety
    ///
    /// As for [`Self::trace`].
    unsafe fn trace_prefetching(&mut self, table: MarkTable, depth: usize) {
        let mut ring = [std::ptr::null_mut::<Header>(); MAX_PREFETCH_DEPTH];
        let (mut head, mut held) = (0_usize, 0_usize);
        loop {
            while held < depth {
                let Some(pointer) = self.stack.pop() else {
                    break;
                };
                if let Some(object) = Object::from_raw(pointer) {
                    prefetch(table.byte(object));
                    prefetch(pointer);
                }
                ring[(head + held) % MAX_PREFETCH_DEPTH] = pointer;
                held += 1;
            }
            if held == 0 {
                // SAFETY: passed on.
                if unsafe { self.scan_piece() } {
                    continue;
                }
                break;
            }
            let oldest = ring[head % MAX_PREFETCH_DEPTH];
            head = (head + 1) % MAX_PREFETCH_DEPTH;
            held -= 1;
            if let Some(object) = Object::from_raw(oldest) {
                // SAFETY: passed on; edges of live objects lead to live objects.
                unsafe { self.visit(object, table) };
            }
        }
    }

    /// Marks the object unless it is marked, and pushes its edges.
    ///
    /// # Safety
    ///
    /// As for [`Self::trace`]; `object` is live.
    #[inline(always)]
    unsafe fn visit(&mut self, object: Object, table: MarkTable) {
        // SAFETY: passed on; `scan` is within the object's fields.
        unsafe {
            if table.is_marked(object) {
                return;
            }
            let header = object.header();
            let size = header.size();
            table.mark(object, size);
            self.live_bytes += size;
            let refs = header.refs();
            if refs <= SPLIT {
                self.scan(object, 0, refs);
            } else {
                self.pieces.push(Piece {
                    object,
                    next: 0,
                    refs,
                });
            }
        }
    }

    /// Pushes the edges of the fields `from .. until`.
    ///
    /// # Safety
    ///
    /// As for [`Self::trace`]; the object is live and has `until` reference fields.
    #[inline(always)]
    unsafe fn scan(&mut self, object: Object, from: usize, until: usize) {
        self.stack.reserve(until - from);
        let mut length = self.stack.len();
        let base = self.stack.as_mut_ptr();
        for index in from..until {
            // SAFETY: passed on; room for every edge was reserved. A null is overwritten by the next edge.
            unsafe {
                let target = object
                    .field(index)
                    .load(std::sync::atomic::Ordering::Relaxed);
                base.add(length).write(target);
                length += usize::from(!target.is_null());
            }
        }
        // SAFETY: `length` elements are initialised.
        unsafe { self.stack.set_len(length) };
    }

    /// Scans the next piece of a large array, if there is one.
    ///
    /// # Safety
    ///
    /// As for [`Self::trace`].
    unsafe fn scan_piece(&mut self) -> bool {
        let Some(piece) = self.pieces.last_mut() else {
            return false;
        };
        let object = piece.object;
        let from = piece.next;
        let until = (from + SPLIT).min(piece.refs);
        piece.next = until;
        if until == piece.refs {
            self.pieces.pop();
        }
        // SAFETY: passed on.
        unsafe { self.scan(object, from, until) };
        true
    }
}

#[inline(always)]
fn prefetch<T>(pointer: *const T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a hint, which faults on no address; SSE is part of x86-64.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(pointer.cast());
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: a hint, which faults on no address.
    unsafe {
        std::arch::asm!("prfm pldl1keep, [{}]", in(reg) pointer, options(nostack, preserves_flags, readonly));
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let _ = pointer;
}
