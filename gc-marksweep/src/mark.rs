//! Marking: finds every object that can be reached, and marks it.
//!
//! Edges to be followed wait on an explicit stack; nothing recurses, so a list of any length is marked on a native stack of
//! any size. What takes time is not the work but waiting for memory: the mark byte of an edge's target, to see whether there is anything to do, and then
//! its header and fields. So an edge that leaves the stack goes through two short first-in-first-out rings (the idea: Cher, Hosking and
//! Vitek, ASPLOS 2004; edges, not objects: Garner, Blackburn and Frampton, ISMM 2007):
//!
//! ```text
//!   stack --(prefetch mark byte)--> edges --(test and mark; prefetch header)--> objects --(scan)--> stack
//! ```
//!
//! The first holds [`EDGES`] edges, the second as many objects as the heap's *prefetch depth*. Only objects that were unmarked get into the second, so
//! memory is asked for nothing that is not used, and the test that decides it is no branch: in a graph it could not be predicted, and the
//! processor would wait for the byte before it asked for the next. Edges go through the first ring in groups of
//! [`GROUP`], so that the loop has no other branch either.
//!
//! When the stack holds less than a group, edges are followed one at a time, as they come: a list, which offers one edge at a time, does not pay
//! for rings that cannot help it. With a prefetch depth of 0, always.
//!
//! Rejected: one ring that prefetches mark byte and header together and tests the byte with a branch at its end (on an EPYC 7003, 4.6 ns
//! an object instead of 5.5 on a tree that fits the cache, but 32 instead of 25 on a random graph of 10,000,000 objects); groups without a ring, the next tested
//! while the last is scanned (mark bytes that are not in the cache stall every group).
//!
//! Arrays of more than [`SPLIT`] references are scanned piece by piece, so that one of a million references does not put a
//! million edges on the stack, and several workers can take part.
//!
//! # Several workers
//!
//! A trace begins on one thread, and pays for no other: its marks are plain stores, its counts plain additions. Only when it has marked [`WORTHWHILE`]
//! objects does it share, with [helpers](crate::workers). Each worker has a stack and rings of its own, and gives something away only when
//! somebody has nothing: half of what remains of a large array, or edges from the *bottom* of its stack, which lead to the largest subgraphs, at most
//! [`CHUNK`], and never more than half of what it has.
//!
//! There is no atomic read-modify-write for each object. Two workers may find an object unmarked at the same time, and then both mark
//! it, with the same value, and both scan it. That is harmless: the fields are the same for both (the world is stopped), each edge that the second
//! pushes leads to an object that the first has pushed as well, and whoever comes later finds it marked. All it costs is the second scan, so
//! it is allowed for objects of up to [`MarkTable::COMMON`] granules; larger ones are claimed with an atomic exchange. Live granules are
//! not counted meanwhile (some would be counted twice) but afterwards, from the mark bytes: by all workers together, or in the few blocks that a
//! minor collection has marked in, by the leader.
//!
//! # When memory is short
//!
//! A stack that cannot grow, because the system has no memory or the heap's builder set a limit, drops edges instead:
//! the object whose fields did not fit is marked but not scanned. When nothing else is left to do, all marked objects are scanned again, block by
//! block, until a pass drops nothing (as in Boehm's collector; the side bytes make a pass linear). Each pass marks something, so it ends.
//! Edges from roots are never dropped: they are followed at once if the stack is full.
//!
//! **Invariant.** When a trace is over, every object reachable from those given to [`Marker::push`] and [`Marker::push_fields`] is
//! marked: an object is put on its way to be scanned when it is marked, by whoever marked it, and each of its edges is pushed, or
//! the trace is noted as [incomplete](Tracer::incomplete).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::block::{BlockIndex, GRANULES_PER_BLOCK, LARGE, MarkTable, Space};
use crate::object::{GRANULE, Header, Object};
use crate::policy::Extent;
use crate::supply::Supply;
use crate::workers::Workers;

/// Arrays with more references than this are scanned in pieces of this many. No small object is.
const SPLIT: usize = 1024;

/// Edges that wait for the mark bytes of their targets.
const EDGES: usize = 16;

/// Edges that are taken from the stack together.
const GROUP: usize = 8;

/// The largest prefetch depth: the most objects that wait for their headers.
pub(crate) const MAX_PREFETCH_DEPTH: usize = 64;

/// The places of the ring of objects, a power of two: the depth, and what a group adds before it is scanned down to it.
const OBJECTS: usize = 128;
const _: () = assert!(OBJECTS >= MAX_PREFETCH_DEPTH + GROUP + EDGES && EDGES.is_multiple_of(GROUP));

/// How many edges a trace follows before it shares: at 5 to 25 ns each, some two to ten times as long as it takes to wake a
/// thread on another core (33 us, measured).
const WORTHWHILE: u64 = 16 * 1024;

/// The most edges given away together.
const CHUNK: usize = 512;

/// With fewer edges than this to give away it is not done at every opportunity, but after this many: a list whose nodes have a leaf each
/// always has an edge to offer, and never one that is worth it.
const SHALLOW: usize = 8;
const PATIENCE: u32 = 512;

/// Entries of the list of fields to look ahead.
const FIELDS_AHEAD: usize = 8;

/// Blocks that a worker counts at a time.
const BLOCKS_COUNTED: usize = 256;

/// The most workers, that of the collecting mutator included. More have not been tried.
pub(crate) const MAX_WORKERS: usize = 64;

/// The least that [`Marker::new`] takes for the limit of a stack, in edges: any small object's fields fit into an empty stack, and a piece of an array onto a stack of less
/// than a group.
const MIN_STACK: usize = 2 * SPLIT;

/// The fields `from .. until` of an object, to be scanned piece by piece.
struct Fields {
    object: Object,
    from: usize,
    until: usize,
}

/// What workers give to one another.
struct Work {
    table: MarkTable,
    task: Task,
}

enum Task {
    /// Follow these edges.
    Edges(Vec<Object>),
    /// Scan these fields.
    Fields(Fields),
    /// Count the live granules of blocks, from the one that starts at this address.
    Count { first: usize, blocks: usize },
}

/// What the workers of a heap share.
struct Team {
    workers: Arc<Workers<Work>>,
    most_workers: usize,
    depth: usize,
    /// The most edges on a worker's stack.
    stack_limit: usize,
    /// Whether a helper has [dropped](Tracer::incomplete) edges.
    incomplete: AtomicBool,
    /// What helpers have counted.
    census: AtomicCensus,
    /// Bytes of the helpers' stacks.
    footprint: AtomicUsize,
}

/// The traces of a heap, and their leader: see [`crate::workers`].
pub(crate) struct Marker {
    tracer: Tracer,
    team: Arc<Team>,
    table: Option<MarkTable>,
    /// Whether this collection's marks have been shared out, and live granules must be counted.
    shared: bool,
}

impl Marker {
    /// A marker with room for `depth` objects that wait for their headers, at most [`MAX_PREFETCH_DEPTH`]; 0 turns prefetching
    /// off. It has at most `workers`, at most [`MAX_WORKERS`], each with a stack of at most `stack_limit` bytes, but for a minimum.
    pub(crate) fn new(depth: usize, workers: usize, stack_limit: usize) -> Self {
        assert!(depth <= MAX_PREFETCH_DEPTH && (1..=MAX_WORKERS).contains(&workers));
        let stack_limit = (stack_limit / size_of::<Option<Object>>()).max(MIN_STACK);
        Self {
            tracer: Tracer::new(depth, stack_limit).expect("16 KiB for a mark stack"),
            team: Arc::new(Team {
                workers: Arc::new(Workers::new(workers - 1)),
                most_workers: workers,
                depth,
                stack_limit,
                incomplete: AtomicBool::new(false),
                census: AtomicCensus::default(),
                footprint: AtomicUsize::new(0),
            }),
            table: None,
            shared: false,
        }
    }

    /// Processor time of the helpers so far: see [`Workers::cpu_ns`].
    pub(crate) fn helpers_cpu_ns(&self) -> u64 {
        self.team.workers.cpu_ns()
    }

    /// Begins a collection's marking.
    pub(crate) fn begin(&mut self, table: MarkTable) {
        debug_assert!(self.tracer.is_idle());
        self.table = Some(table);
        self.shared = false;
        self.tracer.census = Census::default();
        self.team.census.take();
    }

    /// What share of what has been marked since [`Self::begin`] had been allocated since the last collection, from 0 to 1;
    /// estimated from the small objects of at least two granules. 1 if there were none. Known only if objects are not made to log.
    pub(crate) fn young_share(&self) -> f64 {
        let mut census = self.tracer.census;
        census.add(self.team.census.take());
        match census.granules {
            0 => 1.0,
            granules => census.young as f64 / granules as f64,
        }
    }

    /// Bytes of the mark stacks.
    pub(crate) fn footprint(&self) -> usize {
        self.tracer.footprint() + self.team.footprint.load(Ordering::Relaxed)
    }

    fn table(&self) -> MarkTable {
        self.table.expect("marking has begun")
    }

    /// Adds an edge from a root. It may be followed at once.
    ///
    /// # Safety
    ///
    /// Marking has [begun](Self::begin); from then until [`Self::finish`] the world is stopped, and `object` is live.
    #[inline]
    pub(crate) unsafe fn push(&mut self, object: Object) {
        if !self.tracer.stack.reserve(1) {
            // SAFETY: passed on.
            unsafe { self.trace_alone() };
        }
        self.tracer.stack.push(object);
    }

    /// Adds the edges from the fields `from .. until` of an object, whether or not it is marked; it is not marked by that. Some may be followed at once.
    ///
    /// # Safety
    ///
    /// As for [`Self::push`]; the object has that many reference fields.
    pub(crate) unsafe fn push_fields(&mut self, object: Object, from: usize, until: usize) {
        let fields = Fields {
            object,
            from,
            until,
        };
        if let Err(fields) = self.tracer.push_fields(fields) {
            // SAFETY: passed on.
            unsafe { self.trace_alone() };
            let pushed = self.tracer.push_fields(fields);
            assert!(pushed.is_ok(), "an empty list has room for one entry");
        }
    }

    /// Empties the stack without help.
    #[cold]
    unsafe fn trace_alone(&mut self) {
        let table = self.table();
        // SAFETY: passed on.
        unsafe { self.tracer.trace(table, &mut Alone::for_ever()) };
    }

    /// Marks everything reachable from what was pushed.
    ///
    /// # Safety
    ///
    /// As for [`Self::push`], for what was pushed; `space` and `supply` are this heap's.
    pub(crate) unsafe fn trace(&mut self, space: &Space, supply: &Supply) {
        let table = self.table();
        // SAFETY: passed on.
        unsafe {
            let mut alone = match self.team.most_workers {
                1 => Alone::for_ever(),
                _ => Alone::at_first(),
            };
            if self.tracer.trace(table, &mut alone) == Trace::Interrupted {
                self.shared = true;
                self.tracer.trace_among(table, &self.team);
                self.help_to_the_end();
            }
            while std::mem::take(&mut self.tracer.incomplete)
                | self.team.incomplete.swap(false, Ordering::Relaxed)
            {
                self.scan_again(space, supply);
            }
        }
    }

    /// Does what others have given away, until all is done.
    ///
    /// # Safety
    ///
    /// As for [`Self::trace`].
    unsafe fn help_to_the_end(&mut self) {
        while let Some(work) = self.team.workers.pool().finish() {
            // SAFETY: passed on.
            unsafe { self.tracer.perform(work, &self.team) };
        }
    }

    /// Counts what has been marked, if that is still to be done.
    ///
    /// # Safety
    ///
    /// As for [`Self::trace`], which is over; `extent` is the collection's.
    pub(crate) unsafe fn finish(&mut self, space: &Space, supply: &Supply, extent: Extent) {
        let table = self.table();
        self.table = None;
        if !self.shared {
            return;
        }
        if extent == Extent::Young {
            // All that is young lies in these blocks; to count the others would take time in proportion to the heap.
            supply.for_each_handed_out(|block| {
                // SAFETY: passed on; a block is handed out once, and nobody else counts.
                unsafe { table.recount(space.block_start(block).addr().get(), 1) };
            });
            return;
        }
        let used = supply.used_blocks();
        let task = |from: usize| Work {
            table,
            task: Task::Count {
                first: space.block_start(from as BlockIndex).addr().get(),
                blocks: BLOCKS_COUNTED.min(used - from),
            },
        };
        for part in (0..used).step_by(BLOCKS_COUNTED).map(task) {
            if let Err(part) = self.team.workers.pool().give(part) {
                // SAFETY: passed on.
                unsafe { self.tracer.perform(part, &self.team) };
            }
        }
        // SAFETY: passed on.
        unsafe { self.help_to_the_end() };
    }

    /// Scans all marked objects again, alone.
    ///
    /// # Safety
    ///
    /// As for [`Self::trace`]; nothing waits to be scanned.
    #[cold]
    unsafe fn scan_again(&mut self, space: &Space, supply: &Supply) {
        debug_assert!(self.tracer.is_idle());
        let table = self.table();
        for block in 0..supply.used_blocks() {
            let start = space.block_start(block as BlockIndex).as_ptr();
            let mut granule = 0;
            while granule < GRANULES_PER_BLOCK {
                let object = Object::from_raw(start.wrapping_add(granule * GRANULE).cast());
                let object = object.expect("heap addresses are not null");
                // SAFETY: `granule` is not within an object that is marked: whatever is marked is so to its end once nothing waits to be scanned,
                // and such objects are stepped over whole. So if it is marked, an object begins there, which is live, or was when it was marked
                // and has not been reused.
                unsafe {
                    if table.is_marked(object) {
                        let header = object.header();
                        granule += header.size() / GRANULE;
                        self.tracer.scan(object, 0, header.refs());
                        self.tracer.trace(table, &mut Alone::for_ever());
                    } else {
                        granule += 1;
                    }
                }
            }
        }
        supply.for_each_large(|object, _| {
            // SAFETY: as above.
            unsafe {
                if table.is_marked(object) {
                    let (from, until) = (0, object.header().refs());
                    let fields = Fields {
                        object,
                        from,
                        until,
                    };
                    let pushed = self.tracer.push_fields(fields);
                    assert!(pushed.is_ok(), "an empty list has room for one entry");
                    self.tracer.trace(table, &mut Alone::for_ever());
                }
            }
        });
    }
}

impl Drop for Marker {
    fn drop(&mut self) {
        self.team.workers.stop();
    }
}

/// What a worker does between two groups of edges: on its own, or among others.
trait Sharing {
    /// Whether nobody else marks.
    const ALONE: bool;

    /// Called before `edges` are followed. `true` interrupts the trace.
    fn poll(&mut self, tracer: &mut Tracer, edges: usize) -> bool;
}

/// Nobody else marks, for a certain number of edges.
struct Alone {
    left: u64,
}

impl Alone {
    fn at_first() -> Self {
        Self { left: WORTHWHILE }
    }

    fn for_ever() -> Self {
        Self { left: u64::MAX }
    }
}

impl Sharing for Alone {
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

/// Others mark too, and may be in want of work.
struct Among<'a> {
    team: &'a Arc<Team>,
    table: MarkTable,
    /// Opportunities to be let pass when there is little to give.
    patience: u32,
}

impl Sharing for Among<'_> {
    const ALONE: bool = false;

    #[inline(always)]
    fn poll(&mut self, tracer: &mut Tracer, _edges: usize) -> bool {
        if self.team.workers.pool().wanted() {
            if self.patience > 0 && tracer.stack.length < 2 * SHALLOW {
                self.patience -= 1;
            } else {
                self.share(tracer);
            }
        }
        false
    }
}

impl Among<'_> {
    /// Gives work away, if there is enough of it.
    #[cold]
    #[inline(never)]
    fn share(&mut self, tracer: &mut Tracer) {
        let first = tracer.fields.first_mut();
        let task = if let Some(fields) = first.filter(|f| f.until - f.from > 2 * SPLIT) {
            let middle = fields.from.midpoint(fields.until);
            let until = std::mem::replace(&mut fields.until, middle);
            Task::Fields(Fields {
                object: fields.object,
                from: middle,
                until,
            })
        } else {
            self.patience = PATIENCE;
            let edges = (tracer.stack.length / 2).min(CHUNK);
            if edges == 0 {
                return;
            }
            match tracer.stack.take_from_bottom(edges) {
                Some(edges) => Task::Edges(edges),
                None => return,
            }
        };
        let table = self.table;
        match self.team.workers.pool().give(Work { table, task }) {
            Ok(false) => {}
            Ok(true) => Team::start_helper(self.team),
            Err(Work { task, .. }) => tracer.accept(task),
        }
    }
}

impl Team {
    #[cold]
    fn start_helper(self: &Arc<Self>) {
        self.workers.start(|| {
            let team = self.clone();
            let mut tracer = Tracer::new(team.depth, team.stack_limit)?;
            Some(move |work: Work| {
                let before = tracer.footprint();
                // SAFETY: who gives work stops the world first, and does not let it go on before all work is done.
                unsafe { tracer.perform(work, &team) };
                if std::mem::take(&mut tracer.incomplete) {
                    team.incomplete.store(true, Ordering::Relaxed);
                }
                team.census.add(std::mem::take(&mut tracer.census));
                let grown = tracer.footprint() - before;
                team.footprint.fetch_add(grown, Ordering::Relaxed);
            })
        });
    }
}

/// How a trace ended.
#[derive(PartialEq, Eq)]
enum Trace {
    /// With nothing left to do.
    Complete,
    /// Because [`Sharing::poll`] wanted it.
    Interrupted,
}

/// One worker's part of a trace. Kept between collections for the memory of its stack.
struct Tracer {
    stack: Stack,
    fields: Vec<Fields>,
    depth: usize,
    census: Census,
    /// Whether an object has been marked whose edges found no room.
    incomplete: bool,
}

impl Tracer {
    /// `None` if there is no memory for it.
    fn new(depth: usize, stack_limit: usize) -> Option<Self> {
        let mut fields = Vec::new();
        fields.try_reserve(16).ok()?;
        Some(Self {
            stack: Stack::new(stack_limit)?,
            fields,
            depth,
            census: Census::default(),
            incomplete: false,
        })
    }

    fn is_idle(&self) -> bool {
        self.stack.length == 0 && self.fields.is_empty()
    }

    fn footprint(&self) -> usize {
        size_of_val(&*self.stack.edges) + self.fields.capacity() * size_of::<Fields>()
    }

    /// Does a piece of work, and all that comes of it.
    ///
    /// # Safety
    ///
    /// As for [`Marker::trace`].
    unsafe fn perform(&mut self, work: Work, team: &Arc<Team>) {
        let table = work.table;
        match work.task {
            // SAFETY: blocks are given to one worker each, when marking is complete.
            Task::Count { first, blocks } => unsafe { table.recount(first, blocks) },
            task => {
                self.accept(task);
                // SAFETY: passed on.
                unsafe { self.trace_among(table, team) };
            }
        }
    }

    /// As [`Self::trace`], with others at it too, until there is nothing left here.
    ///
    /// # Safety
    ///
    /// As there.
    unsafe fn trace_among(&mut self, table: MarkTable, team: &Arc<Team>) {
        let mut among = Among {
            team,
            table,
            patience: 0,
        };
        // SAFETY: passed on.
        unsafe { self.trace(table, &mut among) };
    }

    /// Takes over what another worker gave, when there is room: that worker had it on its stack, and this one's is empty; or it was this one's
    /// a moment ago.
    fn accept(&mut self, task: Task) {
        match task {
            Task::Edges(edges) => {
                let room = self.stack.reserve(edges.len());
                assert!(room, "any chunk fits onto an empty stack");
                edges.into_iter().for_each(|edge| self.stack.push(edge));
            }
            Task::Fields(fields) => {
                let pushed = self.push_fields(fields);
                assert!(pushed.is_ok(), "an empty list has room for one entry");
            }
            Task::Count { .. } => unreachable!("counting is not tracing"),
        }
    }

    fn push_fields(&mut self, fields: Fields) -> Result<(), Fields> {
        if self.fields.try_reserve(1).is_err() {
            return Err(fields);
        }
        self.fields.push(fields);
        Ok(())
    }

    /// Marks everything reachable from what is on the stack and in the list of fields, or until it is interrupted; what is then still to be done is there.
    ///
    /// # Safety
    ///
    /// As for [`Marker::trace`]; if `sharing` says so, nobody else marks.
    #[inline(never)]
    unsafe fn trace<S: Sharing>(&mut self, table: MarkTable, sharing: &mut S) -> Trace {
        loop {
            // SAFETY: passed on; edges of live objects lead to live objects.
            unsafe {
                if self.stack.length >= GROUP && self.depth > 0 {
                    self.trace_prefetching(table, sharing);
                }
                if sharing.poll(self, 1) {
                    return Trace::Interrupted;
                }
                match self.stack.pop() {
                    Some(object) => self.visit::<S>(object, table),
                    None if self.scan_some_fields() => {}
                    None => return Trace::Complete,
                }
            }
        }
    }

    /// Marks through the rings, until they are empty and the stack holds less than a group, or it is interrupted.
    ///
    /// # Safety
    ///
    /// As for [`Self::trace`]; there is an edge on the stack.
    #[inline(always)]
    unsafe fn trace_prefetching<S: Sharing>(&mut self, table: MarkTable, sharing: &mut S) {
        // SAFETY: passed on; edges of live objects lead to live objects.
        unsafe {
            let Some(filler) = self.stack.pop() else {
                return;
            };
            // An edge to an object that is marked is dropped when it leaves the ring, so such edges fill places that are empty.
            self.visit::<S>(filler, table);
            let mut rings = Rings::new(filler);
            // Edges that have gone in since the stack ran low, all of them fillers in the end.
            let mut low = 0;
            while self.stack.length >= GROUP || low < EDGES {
                if sharing.poll(self, GROUP) {
                    break;
                }
                // Looked at again, as the poll may have given edges away.
                if self.stack.length >= GROUP {
                    low = 0;
                    self.stack.length -= GROUP;
                    let group = self.stack.edges.as_ptr().add(self.stack.length);
                    for index in (0..GROUP).rev() {
                        let edge = (*group.add(index)).unwrap_unchecked();
                        rings.turn::<S>(edge, filler, table);
                    }
                } else if !self.fields.is_empty() {
                    self.scan_some_fields();
                    continue;
                } else {
                    low += GROUP;
                    for _ in 0..GROUP {
                        let edge = self.stack.pop().unwrap_or(filler);
                        rings.turn::<S>(edge, filler, table);
                    }
                }
                let keep = if low == 0 { self.depth } else { 0 };
                while let Some(object) = rings.next_object(keep) {
                    self.scan_marked::<S>(object, table);
                }
            }
            while let Some(object) = rings.next_object(0) {
                self.scan_marked::<S>(object, table);
            }
            // Only after an interruption are there others than fillers, which are marked.
            for edge in rings.edges {
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
    unsafe fn visit<S: Sharing>(&mut self, object: Object, table: MarkTable) {
        // SAFETY: passed on.
        unsafe {
            if !table.is_marked(object) {
                table.mark_first(object, S::ALONE);
                self.scan_marked::<S>(object, table);
            }
        }
    }

    /// Marks the rest of an object whose first granule is marked, and pushes its edges.
    ///
    /// # Safety
    ///
    /// As for [`Self::trace`]; `object` is live, and the caller has marked its first granule.
    #[inline(always)]
    unsafe fn scan_marked<S: Sharing>(&mut self, object: Object, table: MarkTable) {
        // SAFETY: passed on; the header says how many fields there are.
        unsafe {
            let header = object.header();
            let granules = header.granules();
            if granules > MarkTable::COMMON {
                return self.scan_large_or_medium::<S>(object, table);
            }
            let refs = header.refs();
            if table.arm || granules == 1 {
                object.set_logging(header, Header::LOG_OBJECT, table.arm && refs > 0);
            } else {
                object.set_logging(header, Header::LOG_OBJECT, false);
                self.census.note(granules, table.is_young(object));
            }
            table.mark_rest(object, granules, S::ALONE);
            self.scan(object, 0, refs);
        }
    }

    /// The same for an object of more than [`MarkTable::COMMON`] granules.
    ///
    /// # Safety
    ///
    /// As for [`Self::scan_marked`].
    #[cold]
    #[inline(never)]
    unsafe fn scan_large_or_medium<S: Sharing>(&mut self, object: Object, table: MarkTable) {
        // SAFETY: passed on.
        unsafe {
            if !S::ALONE && !table.claim(object) {
                return;
            }
            let header = object.header();
            let size = header.size();
            let refs = header.refs();
            let logging = if size > LARGE {
                Header::LOG_CARD
            } else {
                table.mark_rest_claimed(object, size / GRANULE, S::ALONE);
                Header::LOG_OBJECT
            };
            object.set_logging(header, logging, table.arm && refs > 0);
            if refs <= SPLIT {
                self.scan(object, 0, refs);
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
    unsafe fn scan(&mut self, object: Object, from: usize, until: usize) {
        if !self.stack.reserve(until - from) {
            self.incomplete = true;
            return;
        }
        let edges = self.stack.edges.as_mut_ptr();
        let mut length = self.stack.length;
        for index in from..until {
            // SAFETY: passed on; there is room for every edge. A null is overwritten by the next edge.
            unsafe {
                let target = Object::from_raw(object.field(index).load(Ordering::Relaxed));
                edges.add(length).write(target);
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
    unsafe fn scan_some_fields(&mut self) -> bool {
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
        unsafe { self.scan(object, from, until) };
        // Remembered objects come without having gone through a ring.
        if let Some(ahead) = self.fields.len().checked_sub(FIELDS_AHEAD) {
            let Fields { object, from, .. } = self.fields[ahead];
            prefetch(object.as_raw().wrapping_add(1 + from));
        }
        true
    }
}

/// How much of what is marked is young, in granules.
#[derive(Clone, Copy, Default)]
struct Census {
    granules: usize,
    young: usize,
}

impl Census {
    #[inline(always)]
    fn note(&mut self, granules: usize, is_young: bool) {
        self.granules += granules;
        self.young += if is_young { granules } else { 0 };
    }

    fn add(&mut self, other: Self) {
        self.granules += other.granules;
        self.young += other.young;
    }
}

/// The sum of several workers' counts.
#[derive(Default)]
struct AtomicCensus {
    granules: AtomicUsize,
    young: AtomicUsize,
}

impl AtomicCensus {
    fn add(&self, census: Census) {
        (self.granules).fetch_add(census.granules, Ordering::Relaxed);
        self.young.fetch_add(census.young, Ordering::Relaxed);
    }

    fn take(&self) -> Census {
        Census {
            granules: self.granules.swap(0, Ordering::Relaxed),
            young: self.young.swap(0, Ordering::Relaxed),
        }
    }
}

/// The rings that edges go through on their way from the stack to being scanned.
struct Rings {
    edges: [Object; EDGES],
    next_edge: usize,
    objects: [Object; OBJECTS],
    head: usize,
    tail: usize,
}

impl Rings {
    #[inline(always)]
    fn new(filler: Object) -> Self {
        Self {
            edges: [filler; EDGES],
            next_edge: 0,
            objects: [filler; OBJECTS],
            head: 0,
            tail: 0,
        }
    }

    /// Puts an edge into the ring of edges. The one that has been there for longest is tested, and if its object is unmarked, it is marked and
    /// put into the ring of objects.
    ///
    /// # Safety
    ///
    /// As for [`Tracer::trace`]; `filler` is marked.
    #[inline(always)]
    unsafe fn turn<S: Sharing>(&mut self, edge: Object, filler: Object, table: MarkTable) {
        prefetch(table.byte(edge));
        let oldest = std::mem::replace(&mut self.edges[self.next_edge % EDGES], edge);
        self.next_edge = self.next_edge.wrapping_add(1);
        // SAFETY: passed on.
        let unmarked = unsafe { table.mark_first(oldest, S::ALONE) };
        self.objects[self.tail % OBJECTS] = oldest;
        self.tail = self.tail.wrapping_add(usize::from(unmarked));
        prefetch(if unmarked { oldest } else { filler }.as_raw());
    }

    /// The object that has waited for longest, if there are more than `keep`.
    #[inline(always)]
    fn next_object(&mut self, keep: usize) -> Option<Object> {
        (self.tail.wrapping_sub(self.head) > keep).then(|| {
            let object = self.objects[self.head % OBJECTS];
            self.head = self.head.wrapping_add(1);
            object
        })
    }
}

/// A mark stack: a vector that is always full, with a length of its own, so that a push is a store without a check.
struct Stack {
    edges: Vec<Option<Object>>,
    length: usize,
    limit: usize,
}

/// Room on every stack that [`Stack::reserve`] does not give away, for edges that come back from a ring.
const SPARE: usize = EDGES;

impl Stack {
    /// `None` if there is no memory for it.
    fn new(limit: usize) -> Option<Self> {
        let mut stack = Self {
            edges: Vec::new(),
            length: 0,
            limit,
        };
        stack.resize(MIN_STACK).then_some(stack)
    }

    /// Makes room for `more` edges, at most [`SPLIT`]; `false` if there is none.
    #[inline(always)]
    fn reserve(&mut self, more: usize) -> bool {
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
    fn push(&mut self, object: Object) {
        self.edges[self.length] = Some(object);
        self.length += 1;
    }

    #[inline(always)]
    fn pop(&mut self) -> Option<Object> {
        if self.length == 0 {
            return None;
        }
        self.length -= 1;
        // SAFETY: the length never exceeds the vector's.
        unsafe { *self.edges.get_unchecked(self.length) }
    }

    /// Removes `count` edges, at most half of what there is, from the bottom; those at the top take their places. `None` if there is no memory to put
    /// them in.
    fn take_from_bottom(&mut self, count: usize) -> Option<Vec<Object>> {
        let mut taken = Vec::new();
        taken.try_reserve_exact(count).ok()?;
        taken.extend(self.edges[..count].iter().flatten());
        self.length -= count;
        self.edges.copy_within(self.length..self.length + count, 0);
        Some(taken)
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

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::heap::Shared;
    use crate::{Flags, Generations, Heap, Local, Mutator, Shape};

    fn tree<'h>(m: &mut Mutator<'h>, into: Local<'_, 'h>, depth: u32) {
        m.frame(|m, [left, right]| {
            if depth > 0 {
                tree(m, left, depth - 1);
                tree(m, right, depth - 1);
            }
            m.alloc_move(into, Flags::NONE, [left, right], []).unwrap();
        });
    }

    fn helpers(heap: &Heap) -> usize {
        let marker = heap.0.marker.lock().unwrap();
        marker.team.workers.helpers()
    }

    #[test]
    fn helpers_are_started_when_there_is_something_to_share() {
        let heap = Heap::builder().marking_workers(2).build().unwrap();
        heap.attach(|m| {
            m.frame(|m, [root]| {
                tree(m, root, 10);
                m.collect();
                assert_eq!(helpers(&heap), 0, "a small heap needs no help");
                m.set(root, None);
                for _ in 0..100_000 {
                    m.alloc_move(root, Flags::NONE, [root], []).unwrap();
                }
                m.collect();
                assert_eq!(helpers(&heap), 0, "with a list nobody could help");
                m.set(root, None);
                tree(m, root, 16);
                for _ in 0..5 {
                    m.collect();
                    assert_eq!(helpers(&heap), 1);
                }
            });
        });
    }

    #[test]
    fn what_helpers_have_marked_in_minor_collections_is_counted() {
        let heap = Heap::builder()
            .marking_workers(2)
            .generations(Generations::On)
            .nursery(2 << 20)
            .build()
            .unwrap();
        heap.attach(|m| {
            m.frame(|m, [old, young]| {
                tree(m, old, 14);
                m.collect();
                for _ in 0..5 {
                    // Blocks with holes, free ones and fresh ones.
                    tree(m, young, 15);
                    tree(m, young, 16);
                }
                assert_eq!(helpers(&heap), 1);
                let statistics = heap.statistics();
                assert!(statistics.minor_collections > 5);
                // Nothing has been marked since the last collection.
                let Shared { space, supply, .. } = &*heap.0;
                for block in 0..supply.used_blocks() as u32 {
                    assert_eq!(space.live_granules(block), space.count_marked(block));
                }
            });
        });
    }

    /// As when two workers have found the same object unmarked: both come to scan it.
    #[test]
    fn of_two_workers_one_scans_a_large_or_medium_object() {
        for (refs, words) in [(3000, 0), (0, 2000), (500, 0), (3, 40)] {
            let heap = Heap::builder().build().unwrap();
            heap.attach(|m| {
                m.frame(|m, [object]| {
                    let shape = Shape::new(refs, words);
                    m.alloc(object, shape).unwrap();
                    for field in 0..refs as usize {
                        m.store(m.get(object).unwrap(), field, m.get(object));
                    }
                    let space = &heap.0.space;
                    let object = m.get(object).unwrap().object();
                    let mut two = [(); 2].map(|()| Tracer::new(16, usize::MAX).unwrap());
                    // SAFETY: the only mutator is in the middle of an operation on a live object, which is as good as stopped.
                    unsafe {
                        let table = space.begin_marking(heap.0.supply.used_blocks(), false);
                        assert!(table.mark_first(object, false));
                        for tracer in &mut two {
                            tracer.scan_marked::<Among<'_>>(object, table);
                        }
                    }
                    let [one, two] = two;
                    assert!(!one.incomplete && two.is_idle(), "{shape:?}");
                    assert_eq!(one.is_idle(), refs == 0, "{shape:?}");
                });
            });
        }
    }
}
