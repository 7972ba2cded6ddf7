//! Marking: finds every object that can be reached, and marks it.
//!
//! Edges to be followed wait on an explicit stack; nothing recurses, so a list of any length is
//! marked on a native stack of any size. What takes time is not the work but waiting for memory:
//! the mark of an edge's target, to see whether there is anything to do, and then its header
//! and fields. So an edge that leaves the stack goes through two short first-in-first-out rings
//! (the idea: Cher, Hosking and Vitek, ASPLOS 2004; edges, not objects: Garner, Blackburn and
//! Frampton, ISMM 2007):
//!
//! ```text
//!   stack --(prefetch mark)--> edges
//!         --(test; prefetch header)--> objects --(mark and scan)--> stack
//! ```
//!
//! The first holds [`EDGES`](stack::EDGES) edges, the second as many objects as the heap's
//! *prefetch depth*. Only objects that were unmarked get into the second, so memory is asked for
//! nothing that is not used, and the test that decides it is no branch: in a graph it could not be
//! predicted, and the processor would wait for the mark before it asked for the next. An object is
//! marked when its header has come, all of its granules at once; one that has got into the ring
//! twice is scanned once. Edges go through the first ring in groups of [`GROUP`](stack::GROUP), so
//! that the loop has no other branch either.
//!
//! When the stack holds less than a group, edges are followed one at a time, as they come: a list,
//! which offers one edge at a time, does not pay for rings that cannot help it. With a prefetch
//! depth of 0, always.
//!
//! Rejected: one ring that prefetches mark and header together and tests the mark with a branch at
//! its end (on an EPYC 7003, with mark bytes, 4.6 ns an object instead of 5.5 on a tree that fits
//! the cache, but 32 instead of 25 on a random graph of 10,000,000 objects); groups without a ring,
//! the next tested while the last is scanned (marks that are not in the cache stall every group).
//!
//! Arrays of more than [`SPLIT`](tracer::SPLIT) references are scanned piece by piece, so that one
//! of a million references does not put a million edges on the stack, and several workers can take
//! part.
//!
//! Of a large heap several workers mark: see [`team`].
//!
//! # When memory is short
//!
//! A stack that cannot grow, because the system has no memory or the heap's builder set a limit,
//! drops edges instead: the object whose fields did not fit is marked but not scanned. When nothing
//! else is left to do, all marked objects are scanned again, block by block, until a pass drops
//! nothing (as in Boehm's collector; the side table makes a pass linear). Each pass marks
//! something, so it ends. Edges from roots are never dropped: they are followed at once if the
//! stack is full.
//!
//! **Invariant.** When a trace is over, every object reachable from those given to
//! [`Marking::push`] and [`Marking::push_fields`] is marked: an object is put on its way to be
//! scanned when it is marked, by whoever marked it, and each of its edges is pushed, or the trace
//! is noted as [incomplete](Tracer::incomplete).

mod stack;
mod team;
mod tracer;

use std::sync::atomic::Ordering;

use crate::block::{BlockIndex, GRANULES_PER_BLOCK, MarkTable, Space};
use crate::object::{GRANULE, Object};
use crate::policy::Extent;
use crate::shared::Shared;
use crate::step::{Record, Step};
use crate::supply::Supply;

pub(crate) use stack::MAX_PREFETCH_DEPTH;
use stack::MIN_STACK;
use team::{Task, Team, Work};
use tracer::{Alone, Fields, Manner, Recorded, Trace, Tracer};

/// Blocks that a worker counts at a time.
const BLOCKS_COUNTED: usize = 256;

/// The most workers, that of the collecting mutator included. More have not been tried.
pub(crate) const MAX_WORKERS: usize = 64;

/// The traces of a heap, and their leader: see [`crate::workers`].
pub(crate) struct Marker {
    tracer: Tracer,
    team: Shared<Team>,
}

/// A collection's marking, from [`Marker::begin`] to [`Self::finish`].
pub(crate) struct Marking<'a> {
    marker: &'a mut Marker,
    table: MarkTable,
    /// Where its steps are noted, if they are. They are one worker's then.
    record: Option<&'a Record>,
    /// Whether its marks have been shared out, and live granules must be counted.
    shared: bool,
}

impl Marker {
    /// A marker with room for `depth` objects that wait for their headers, at most
    /// [`MAX_PREFETCH_DEPTH`]; 0 turns prefetching off. It has at most `workers`, at most
    /// [`MAX_WORKERS`], each with a stack of at most `stack_limit` bytes, but for a minimum. `None`
    /// if the system has no memory for it.
    pub(crate) fn new(depth: usize, workers: usize, stack_limit: usize) -> Option<Self> {
        assert!(depth <= MAX_PREFETCH_DEPTH && (1..=MAX_WORKERS).contains(&workers));
        let stack_limit = (stack_limit / size_of::<Option<Object>>()).max(MIN_STACK);
        Some(Self {
            tracer: Tracer::new(depth, stack_limit)?,
            team: Team::new(depth, workers, stack_limit)?,
        })
    }

    /// Forgets helpers that a fork has left behind: others are started when there is work for them.
    /// What the old ones share is leaked, because nothing may be asked of threads that are not
    /// there, not even to detach them.
    pub(crate) fn forget_lost_helpers(&mut self) {
        let Team {
            ref workers,
            most_workers,
            depth,
            stack_limit,
            ..
        } = *self.team;
        if workers.are_lost() {
            // Without memory there is no help.
            if let Some(fresh) = Team::new(depth, most_workers, stack_limit) {
                std::mem::forget(std::mem::replace(&mut self.team, fresh));
            }
        }
    }

    /// Processor time of the helpers so far: see
    /// [`Workers::cpu_ns`](crate::workers::Workers::cpu_ns).
    pub(crate) fn helpers_cpu_ns(&self) -> u64 {
        self.team.workers.cpu_ns()
    }

    /// Begins a collection's marking, whose steps are noted if there is a record.
    pub(crate) fn begin<'a>(
        &'a mut self,
        table: MarkTable,
        record: Option<&'a Record>,
    ) -> Marking<'a> {
        debug_assert!(self.tracer.is_idle());
        self.tracer.begin();
        Marking {
            marker: self,
            table,
            record,
            shared: false,
        }
    }

    /// Bytes of the mark stacks.
    pub(crate) fn footprint(&self) -> usize {
        self.tracer.footprint() + self.team.footprint.load(Ordering::Relaxed)
    }
}

impl Marking<'_> {
    /// Adds an edge from a root. It may be followed at once.
    ///
    /// # Safety
    ///
    /// From [`Marker::begin`] to [`Self::finish`] the world is stopped, and `object` is live.
    #[inline]
    pub(crate) unsafe fn push(&mut self, object: Object) {
        if !self.marker.tracer.stack.reserve(1) {
            // SAFETY: passed on.
            unsafe { self.trace_alone() };
        }
        if let Some(record) = self.record {
            record.note(|places| Step::Pushed {
                from: None,
                to: places.of(object),
            });
        }
        self.marker.tracer.stack.push(object);
    }

    /// Adds the edges from the fields `from .. until` of an object, whether or not it is marked; it
    /// is not marked by that. Some may be followed at once.
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
        if let Err(fields) = self.marker.tracer.push_fields(fields) {
            // SAFETY: passed on.
            unsafe { self.trace_alone() };
            let pushed = self.marker.tracer.push_fields(fields);
            assert!(pushed.is_ok(), "an empty list has room for one entry");
        }
    }

    /// Empties the stack without help.
    #[cold]
    unsafe fn trace_alone(&mut self) {
        let Self { marker, table, .. } = self;
        // SAFETY: passed on.
        unsafe {
            match self.record {
                Some(record) => marker.tracer.trace(*table, &mut Recorded(record)),
                None => marker.tracer.trace(*table, &mut Alone::for_ever()),
            };
        }
    }

    /// Marks everything reachable from what was pushed.
    ///
    /// # Safety
    ///
    /// As for [`Self::push`], for what was pushed; `space` and `supply` are this heap's.
    pub(crate) unsafe fn trace(&mut self, space: &Space, supply: &Supply) {
        let Marker { tracer, team } = &mut *self.marker;
        let may_share = team.most_workers > 1 && !team.workers.are_lost();
        // SAFETY: passed on.
        unsafe {
            if self.record.is_some() || !may_share {
                self.trace_alone();
            } else if tracer.trace(self.table, &mut Alone::at_first()) == Trace::Interrupted {
                self.shared = true;
                tracer.trace_among(self.table, team);
                self.help_to_the_end();
            }
            while self.take_incomplete() {
                match self.record {
                    Some(record) => self.scan_again(space, supply, Recorded(record)),
                    None => self.scan_again(space, supply, Alone::for_ever()),
                }
            }
        }
    }

    /// Whether an object has been marked and not scanned since this was last asked.
    fn take_incomplete(&mut self) -> bool {
        let Marker { tracer, team } = &mut *self.marker;
        std::mem::take(&mut tracer.incomplete) | team.incomplete.swap(false, Ordering::Relaxed)
    }

    /// Does what others have given away, until all is done.
    ///
    /// # Safety
    ///
    /// As for [`Self::trace`].
    unsafe fn help_to_the_end(&mut self) {
        let Marker { tracer, team } = &mut *self.marker;
        while let Some(work) = team.workers.pool().finish() {
            // SAFETY: passed on.
            unsafe { tracer.perform(work, team) };
        }
    }

    /// Counts what has been marked, if that is still to be done.
    ///
    /// # Safety
    ///
    /// As for [`Self::trace`], which is over; `extent` is the collection's.
    pub(crate) unsafe fn finish(mut self, space: &Space, supply: &Supply, extent: Extent) {
        let table = self.table;
        let Marker { tracer, team } = &mut *self.marker;
        if extent == Extent::Whole {
            tracer.give_room_back(0);
        }
        if !self.shared {
            return;
        }
        if extent == Extent::Young {
            // All that is young lies in these blocks; to count the others would take time in
            // proportion to the heap.
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
            if let Err(part) = team.workers.pool().give(part) {
                // SAFETY: passed on.
                unsafe { tracer.perform(part, team) };
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
    unsafe fn scan_again<M: Manner>(&mut self, space: &Space, supply: &Supply, mut manner: M) {
        let table = self.table;
        let tracer = &mut self.marker.tracer;
        debug_assert!(tracer.is_idle());
        for block in 0..supply.used_blocks() {
            let start = space.block_start(block as BlockIndex).as_ptr();
            let mut granule = 0;
            while granule < GRANULES_PER_BLOCK {
                let object = Object::from_raw(start.wrapping_add(granule * GRANULE).cast());
                let object = object.expect("heap addresses are not null");
                // SAFETY: `granule` is not within an object that is marked: whatever is marked is
                // so to its end once nothing waits to be scanned, and such objects are stepped over
                // whole. So if it is marked, an object begins there, which is live, or was when it
                // was marked and has not been reused.
                unsafe {
                    if table.is_marked(object) {
                        let header = object.header();
                        granule += header.size() / GRANULE;
                        tracer.scan(object, 0, header.refs(), &manner);
                        tracer.trace(table, &mut manner);
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
                    let pushed = tracer.push_fields(fields);
                    assert!(pushed.is_ok(), "an empty list has room for one entry");
                    tracer.trace(table, &mut manner);
                }
            }
        });
    }
}

impl Drop for Marker {
    fn drop(&mut self) {
        self.forget_lost_helpers();
        self.team.workers.stop();
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::team::Among;
    use super::*;
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
    #[cfg_attr(miri, ignore = "makes some 100,000 objects")]
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
    #[cfg_attr(miri, ignore = "makes some 100,000 objects")]
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
                let crate::heap::Inner { space, supply, .. } = &*heap.0;
                for block in 0..supply.used_blocks() as u32 {
                    assert_eq!(space.live_granules(block), space.count_marked(block));
                }
            });
        });
    }

    /// As when two workers have found the same object unmarked: both come to mark it.
    #[test]
    fn of_two_workers_one_scans_an_object() {
        for (refs, words) in [(3000, 0), (0, 2000), (500, 0), (3, 40), (2, 1)] {
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
                    // SAFETY: the only mutator is in the middle of an operation on a live object,
                    // which is as good as stopped.
                    unsafe {
                        let table = space.begin_marking(heap.0.supply.used_blocks(), false);
                        let team = heap.0.marker.lock().unwrap().team.clone();
                        for tracer in &mut two {
                            tracer.mark(object, table, &Among::new(&team, table));
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
