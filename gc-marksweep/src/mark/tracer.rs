//! One worker's part of a trace: the loop that follows edges, alone or among others.
//!
//! **Invariant.** Of an object that this worker has marked, the edges have been pushed or given
//! away, or the trace is noted as [incomplete](Tracer::incomplete). What waits in its ring of
//! objects was unmarked when it was put there, and may be there twice. See [`super`] for why an
//! edge goes through rings, and [`super::team`] for what several workers may do at once.

use std::sync::atomic::Ordering;

use crate::block::{LARGE, MarkTable};
use crate::object::{GRANULE, Object};
use crate::room;
use crate::step::{Places, Record, Step};

use super::stack::{EDGES, Ends, GROUP, Rings, Stack, prefetch};

/// Arrays with more references than this are scanned in pieces of this many. No small object is.
pub(super) const SPLIT: usize = 1024;

/// How many edges a trace follows before it shares: at 5 to 25 ns each, some two to ten times as
/// long as it takes to wake a thread on another core (33 us, measured).
pub(super) const WORTHWHILE: u64 = 16 * 1024;

/// Entries of the list of fields to look ahead.
const FIELDS_AHEAD: usize = 8;

/// The fields `from .. until` of an object, to be scanned piece by piece.
pub(super) struct Fields {
    pub(super) object: Object,
    pub(super) from: usize,
    pub(super) until: usize,
}

/// How a trace ended.
#[derive(PartialEq, Eq)]
pub(super) enum Trace {
    /// With nothing left to do.
    Complete,
    /// Because [`Manner::poll`] wanted it.
    Interrupted,
}

/// One worker's part of a trace. Kept between collections for the memory of its stack.
pub(super) struct Tracer {
    pub(super) stack: Stack,
    pub(super) fields: Vec<Fields>,
    depth: usize,
    /// Whether an object has been marked whose edges found no room.
    pub(super) incomplete: bool,
}

impl Tracer {
    /// `None` if there is no memory for it.
    pub(super) fn new(depth: usize, stack_limit: usize) -> Option<Self> {
        let mut fields = Vec::new();
        fields.try_reserve(16).ok()?;
        Some(Self {
            stack: Stack::new(stack_limit)?,
            fields,
            depth,
            incomplete: false,
        })
    }

    pub(super) fn is_idle(&self) -> bool {
        self.stack.length == 0 && self.fields.is_empty()
    }

    /// Begins a trace.
    pub(super) fn begin(&mut self) {
        self.stack.begin();
    }

    /// Gives most of the memory back that was not used since it [began](Self::begin), but for the
    /// room of so many edges.
    pub(super) fn give_room_back(&mut self, keep: usize) {
        self.stack.give_room_back(keep);
        room::fit(&mut self.fields, 0);
    }

    pub(super) fn footprint(&self) -> usize {
        self.stack.edges.capacity() * size_of::<Option<Object>>()
            + self.fields.capacity() * size_of::<Fields>()
    }

    pub(super) fn push_fields(&mut self, fields: Fields) -> Result<(), Fields> {
        if self.fields.try_reserve(1).is_err() {
            return Err(fields);
        }
        self.fields.push(fields);
        Ok(())
    }

    /// Marks everything reachable from what is on the stack and in the list of fields, or until it
    /// is interrupted; what is then still to be done is there.
    ///
    /// # Safety
    ///
    /// As for [`Marking::trace`](super::Marking::trace); if `manner` says so, nobody else marks.
    #[inline(never)]
    pub(super) unsafe fn trace<M: Manner>(&mut self, table: MarkTable, manner: &mut M) -> Trace {
        loop {
            // SAFETY: passed on; edges of live objects lead to live objects.
            unsafe {
                // What is recorded is one edge after another.
                if !M::RECORDS && self.stack.length >= GROUP && self.depth > 0 {
                    self.trace_prefetching(table, manner);
                }
                if manner.poll(self, 1) {
                    return Trace::Interrupted;
                }
                match self.stack.pop() {
                    Some(object) => self.visit(object, table, manner),
                    None if self.scan_some_fields(manner) => {}
                    None => return Trace::Complete,
                }
            }
        }
    }

    /// Marks through the rings, until they are empty and the stack holds less than a group, or it
    /// is interrupted.
    ///
    /// # Safety
    ///
    /// As for [`Self::trace`]; there is an edge on the stack.
    #[inline(always)]
    unsafe fn trace_prefetching<M: Manner>(&mut self, table: MarkTable, manner: &mut M) {
        // SAFETY: passed on; edges of live objects lead to live objects.
        unsafe {
            let Some(filler) = self.stack.pop() else {
                return;
            };
            // An edge to an object that is marked is dropped when it leaves the ring, so such edges
            // fill places that are empty.
            self.visit(filler, table, manner);
            let mut rings = Rings::new(filler);
            let mut ends = Ends::default();
            // Edges that have gone in since the stack ran low, all of them fillers in the end.
            let mut low = 0;
            while self.stack.length >= GROUP || low < EDGES {
                if manner.poll(self, GROUP) {
                    break;
                }
                // Looked at again, as the poll may have given edges away.
                if self.stack.length >= GROUP {
                    low = 0;
                    self.stack.length -= GROUP;
                    let mut top = self.stack.edges.as_ptr().add(self.stack.length + GROUP);
                    let next_edge = || {
                        top = top.sub(1);
                        (*top).unwrap_unchecked()
                    };
                    rings.turn(&mut ends, next_edge, filler, table);
                } else if !self.fields.is_empty() {
                    self.scan_some_fields(manner);
                    continue;
                } else {
                    low += GROUP;
                    let next_edge = || self.stack.pop().unwrap_or(filler);
                    rings.turn(&mut ends, next_edge, filler, table);
                }
                let keep = if low == 0 { self.depth } else { 0 };
                while let Some(object) = rings.next_object(&mut ends, keep) {
                    self.mark(object, table, manner);
                }
            }
            while let Some(object) = rings.next_object(&mut ends, 0) {
                self.mark(object, table, manner);
            }
            // Only after an interruption are there others than fillers, which are marked.
            for edge in rings.edges.into_iter().flatten() {
                if !table.is_marked(edge) {
                    self.stack.push(edge);
                }
            }
        }
    }

    /// Marks the object and pushes its edges, unless it is marked.
    ///
    /// # Safety
    ///
    /// As for [`Self::trace`]; `object` is live.
    #[inline(always)]
    unsafe fn visit<M: Manner>(&mut self, object: Object, table: MarkTable, manner: &M) {
        // SAFETY: passed on.
        unsafe {
            if !table.is_marked(object) {
                manner.note(|places| Step::Marked {
                    object: places.of(object),
                    bytes: object.header().size(),
                });
                self.mark(object, table, manner);
            } else {
                manner.note(|places| Step::Met {
                    object: places.of(object),
                });
            }
        }
    }

    /// Marks an object that was not marked a moment ago, and pushes its edges, unless it has been
    /// marked meanwhile.
    ///
    /// # Safety
    ///
    /// As for [`Self::trace`]; `object` is live.
    #[inline(always)]
    pub(super) unsafe fn mark<M: Manner>(&mut self, object: Object, table: MarkTable, manner: &M) {
        // SAFETY: passed on; the header says how many fields there are.
        unsafe {
            let header = object.header();
            let granules = header.granules();
            if granules > MarkTable::COMMON {
                return self.mark_large_or_medium(object, table, manner);
            }
            if !table.mark(object, granules, M::ALONE) {
                return;
            }
            let refs = header.refs();
            // What has no fields never logs.
            if refs > 0 {
                object.set_logging(header, table.arm);
                self.scan(object, 0, refs, manner);
            }
        }
    }

    /// The same for an object of more than [`MarkTable::COMMON`] granules.
    ///
    /// # Safety
    ///
    /// As for [`Self::mark`].
    #[cold]
    #[inline(never)]
    unsafe fn mark_large_or_medium<M: Manner>(
        &mut self,
        object: Object,
        table: MarkTable,
        manner: &M,
    ) {
        // SAFETY: passed on.
        unsafe {
            let header = object.header();
            let size = header.size();
            let refs = header.refs();
            let marked = if size > LARGE {
                table.mark_large(object, M::ALONE)
            } else {
                table.mark_medium(object, size / GRANULE, M::ALONE)
            };
            if !marked {
                return;
            }
            object.set_logging(header, table.arm && refs > 0);
            if refs <= SPLIT {
                self.scan(object, 0, refs, manner);
            } else {
                let fields = Fields {
                    object,
                    from: 0,
                    until: refs,
                };
                self.incomplete |= self.push_fields(fields).is_err();
            }
        }
    }

    /// Pushes the edges of the fields `from .. until`, or notes that there was no room.
    ///
    /// # Safety
    ///
    /// As for [`Self::trace`]; the object is live and has `until` reference fields.
    #[inline(always)]
    pub(super) unsafe fn scan<M: Manner>(
        &mut self,
        object: Object,
        from: usize,
        until: usize,
        manner: &M,
    ) {
        if !self.stack.reserve(until - from) {
            self.incomplete = true;
            return;
        }
        let edges = self.stack.edges.as_mut_ptr();
        let mut length = self.stack.length;
        for index in from..until {
            // SAFETY: passed on; there is room for every edge. A null is overwritten by the next
            // edge.
            unsafe {
                let target = Object::from_raw(object.field(index).load(Ordering::Relaxed));
                edges.add(length).write(target);
                manner.note(|places| {
                    target.map(|to| Step::Pushed {
                        from: Some(places.of(object)),
                        to: places.of(to),
                    })
                });
                length += usize::from(target.is_some());
            }
        }
        self.stack.length = length;
    }

    /// Scans a piece of a large array, if there is one.
    ///
    /// # Safety
    ///
    /// As for [`Self::trace`]; the stack holds less than a group.
    #[cold]
    unsafe fn scan_some_fields<M: Manner>(&mut self, manner: &M) -> bool {
        let Some(fields) = self.fields.last_mut() else {
            return false;
        };
        let (object, from) = (fields.object, fields.from);
        let until = (from + SPLIT).min(fields.until);
        fields.from = until;
        if until == fields.until {
            self.fields.pop();
        }
        // SAFETY: passed on.
        unsafe { self.scan(object, from, until, manner) };
        // Remembered objects come without having gone through a ring.
        if let Some(ahead) = self.fields.len().checked_sub(FIELDS_AHEAD) {
            let Fields { object, from, .. } = self.fields[ahead];
            prefetch(object.as_raw().wrapping_add(1 + from));
        }
        true
    }
}

/// How a worker traces: [`Alone`], [`Recorded`], or [among others](super::team::Among). The loop is
/// compiled for each.
pub(super) trait Manner {
    /// Whether nobody else marks.
    const ALONE: bool;
    /// Whether [`Self::note`] notes anything. If so, edges are followed one at a time.
    const RECORDS: bool = false;

    /// Called before `edges` are followed. `true` interrupts the trace.
    fn poll(&mut self, tracer: &mut Tracer, edges: usize) -> bool;

    /// Notes a step, if there is one.
    #[inline(always)]
    fn note<S: Into<Option<Step>>>(&self, _step: impl FnOnce(Places) -> S) {}
}

/// Nobody else marks, for a certain number of edges.
pub(super) struct Alone {
    left: u64,
}

impl Alone {
    pub(super) fn at_first() -> Self {
        Self { left: WORTHWHILE }
    }

    pub(super) fn for_ever() -> Self {
        Self { left: u64::MAX }
    }
}

impl Manner for Alone {
    const ALONE: bool = true;

    #[inline(always)]
    fn poll(&mut self, _tracer: &mut Tracer, edges: usize) -> bool {
        match self.left.checked_sub(edges as u64) {
            Some(left) => {
                self.left = left;
                false
            }
            None => {
                self.left = 0;
                true
            }
        }
    }
}

/// Nobody else marks, and each step is noted.
pub(super) struct Recorded<'a>(pub(super) &'a Record);

impl Manner for Recorded<'_> {
    const ALONE: bool = true;
    const RECORDS: bool = true;

    fn poll(&mut self, _tracer: &mut Tracer, _edges: usize) -> bool {
        false
    }

    fn note<S: Into<Option<Step>>>(&self, step: impl FnOnce(Places) -> S) {
        self.0.note(step);
    }
}
