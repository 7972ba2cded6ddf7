//! What waits to be followed: the mark stack, and the rings between it and the scan.
//!
//! **Invariant.** The stack's vector is always full, its length beyond [`Stack::length`] being
//! spare room; what is below holds edges, each to an object that was live when the world stopped. A
//! ring has no empty places: what would be one holds a filler, an object that is marked.

use crate::block::MarkTable;
use crate::object::Object;
use crate::room;

use super::tracer::SPLIT;

/// Edges that wait for the marks of their targets.
pub(super) const EDGES: usize = 16;

/// Edges that are taken from the stack together.
pub(super) const GROUP: usize = 8;

/// The largest prefetch depth: the most objects that wait for their headers.
pub(crate) const MAX_PREFETCH_DEPTH: usize = 64;

/// The places of the ring of objects, a power of two: the depth, and what a group adds before it is
/// scanned down to it.
const OBJECTS: usize = 128;
const _: () = assert!(OBJECTS >= MAX_PREFETCH_DEPTH + GROUP + EDGES && EDGES.is_multiple_of(GROUP));

/// The least that [`Marker::new`](super::Marker::new) takes for the limit of a stack, in edges: any
/// small object's fields fit into an empty stack, and a piece of an array onto a stack of less than
/// a group.
pub(super) const MIN_STACK: usize = 2 * SPLIT;

/// The rings that edges go through on their way from the stack to being scanned.
pub(super) struct Rings {
    pub(super) edges: [[Object; GROUP]; EDGES / GROUP],
    objects: [Object; OBJECTS],
}

/// Where the rings stand: apart from them, so that it stays in registers.
#[derive(Default)]
pub(super) struct Ends {
    next_group: usize,
    head: usize,
    tail: usize,
}

impl Rings {
    #[inline(always)]
    pub(super) fn new(filler: Object) -> Self {
        Self {
            edges: [[filler; GROUP]; EDGES / GROUP],
            objects: [filler; OBJECTS],
        }
    }

    /// Puts a group of edges into the ring of edges. Those that have been there for longest are
    /// tested, and each whose object is unmarked is put into the ring of objects.
    ///
    /// # Safety
    ///
    /// As for [`Tracer::trace`](super::tracer::Tracer::trace); `filler` is marked.
    #[inline(always)]
    pub(super) unsafe fn turn(
        &mut self,
        ends: &mut Ends,
        mut next_edge: impl FnMut() -> Object,
        filler: Object,
        table: MarkTable,
    ) {
        let group = &mut self.edges[ends.next_group % (EDGES / GROUP)];
        ends.next_group = ends.next_group.wrapping_add(1);
        for place in group {
            let edge = next_edge();
            prefetch(table.word(edge));
            let oldest = std::mem::replace(place, edge);
            // SAFETY: passed on.
            let unmarked = unsafe { !table.is_marked(oldest) };
            self.objects[ends.tail % OBJECTS] = oldest;
            ends.tail = ends.tail.wrapping_add(usize::from(unmarked));
            prefetch(if unmarked { oldest } else { filler }.as_raw());
        }
    }

    /// The object that has waited for longest, if there are more than `keep`.
    #[inline(always)]
    pub(super) fn next_object(&mut self, ends: &mut Ends, keep: usize) -> Option<Object> {
        (ends.tail.wrapping_sub(ends.head) > keep).then(|| {
            let object = self.objects[ends.head % OBJECTS];
            ends.head = ends.head.wrapping_add(1);
            object
        })
    }
}

/// A mark stack: a vector that is always full, with a length of its own, so that a push is a store
/// without a check.
pub(super) struct Stack {
    pub(super) edges: Vec<Option<Object>>,
    pub(super) length: usize,
    limit: usize,
}

/// Room on every stack that [`Stack::reserve`] does not give away, for edges that come back from a
/// ring.
pub(super) const SPARE: usize = EDGES;

impl Stack {
    /// `None` if there is no memory for it.
    pub(super) fn new(limit: usize) -> Option<Self> {
        let mut stack = Self {
            edges: Vec::new(),
            length: 0,
            limit,
        };
        stack.resize(MIN_STACK).then_some(stack)
    }

    /// Begins a trace, with an empty stack: only what that needs is made full again.
    pub(super) fn begin(&mut self) {
        debug_assert!(self.length == 0);
        self.edges.truncate(MIN_STACK);
    }

    /// Gives most of the memory back that was not used since it [began](Self::begin), but for so
    /// many edges.
    pub(super) fn give_room_back(&mut self, keep: usize) {
        debug_assert!(self.length == 0);
        let wanted = self.edges.len().max(keep);
        room::fit(&mut self.edges, wanted);
    }

    /// Makes room for `more` edges, at most [`SPLIT`]; `false` if there is none.
    #[inline(always)]
    pub(super) fn reserve(&mut self, more: usize) -> bool {
        self.edges.len() - self.length >= more + SPARE || self.grow()
    }

    /// Doubles the room, which is then enough for any one scan.
    #[cold]
    #[inline(never)]
    fn grow(&mut self) -> bool {
        2 * self.edges.len() <= self.limit && self.resize(2 * self.edges.len())
    }

    fn resize(&mut self, length: usize) -> bool {
        let more = length - self.edges.len();
        let reserved = self.edges.try_reserve_exact(more).is_ok();
        if reserved {
            self.edges.resize(length, None);
        }
        reserved
    }

    /// Adds an edge, for which there is room.
    #[inline(always)]
    pub(super) fn push(&mut self, object: Object) {
        self.edges[self.length] = Some(object);
        self.length += 1;
    }

    #[inline(always)]
    pub(super) fn pop(&mut self) -> Option<Object> {
        if self.length == 0 {
            return None;
        }
        self.length -= 1;
        // SAFETY: the length never exceeds the vector's.
        unsafe { *self.edges.get_unchecked(self.length) }
    }

    /// Removes `count` edges, at most half of what there is, from the bottom; those at the top take
    /// their places. `None` if there is no memory to put them in.
    pub(super) fn take_from_bottom(&mut self, count: usize) -> Option<Vec<Object>> {
        let mut taken = Vec::new();
        taken.try_reserve_exact(count).ok()?;
        taken.extend(self.edges[..count].iter().flatten());
        self.length -= count;
        self.edges.copy_within(self.length..self.length + count, 0);
        Some(taken)
    }
}

#[inline(always)]
pub(super) fn prefetch<T>(pointer: *const T) {
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
