//! Several workers: what they give to one another, and when.
//!
//! A trace begins on one thread, and pays for no other: its marks are plain stores, its counts
//! plain additions. Only when it has marked [`WORTHWHILE`](super::tracer::WORTHWHILE) objects does
//! it share, with [helpers](crate::workers). Each worker has a stack and rings of its own, and
//! gives something away only when somebody has nothing: half of what remains of a large array, or
//! edges from the *bottom* of its stack, which lead to the largest subgraphs, at most [`CHUNK`],
//! and never more than half of what it has.
//!
//! Two workers may find an object unmarked at the same time. It is marked by one atomic
//! read-modify-write of the word that its marks begin in, and only who has changed that scans it.
//! Live granules are not counted meanwhile (that would be a second one) but afterwards, from the
//! marks: by all workers together, or in the few blocks that a minor collection has marked in, by
//! the leader.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::block::MarkTable;
use crate::object::Object;
use crate::shared::Shared;
use crate::workers::Workers;

use super::tracer::{Fields, Manner, SPLIT, Tracer};

/// The most edges given away together.
pub(super) const CHUNK: usize = 512;

/// With fewer edges than this to give away it is not done at every opportunity, but after this
/// many: a list whose nodes have a leaf each always has an edge to offer, and never one that is
/// worth it.
const SHALLOW: usize = 8;
const PATIENCE: u32 = 512;

/// Room for edges that a helper keeps from one piece of work to the next, and to the next
/// collection: it does not know which is the last.
const KEPT_BY_HELPERS: usize = 16 * 1024;

/// What workers give to one another.
pub(super) struct Work {
    pub(super) table: MarkTable,
    pub(super) task: Task,
}

pub(super) enum Task {
    /// Follow these edges.
    Edges(Vec<Object>),
    /// Scan these fields.
    Fields(Fields),
    /// Count the live granules of blocks, from the one that starts at this address.
    Count { first: usize, blocks: usize },
}

/// What the workers of a heap share.
pub(super) struct Team {
    pub(super) workers: Shared<Workers<Work>>,
    pub(super) most_workers: usize,
    pub(super) depth: usize,
    /// The most edges on a worker's stack.
    pub(super) stack_limit: usize,
    /// Whether a helper has [dropped](Tracer::incomplete) edges.
    pub(super) incomplete: AtomicBool,
    /// Bytes of the helpers' stacks.
    pub(super) footprint: AtomicUsize,
}

/// Others mark too, and may be in want of work.
pub(super) struct Among<'a> {
    team: &'a Shared<Team>,
    table: MarkTable,
    /// Opportunities to be let pass when there is little to give.
    patience: u32,
}

impl Manner for Among<'_> {
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

impl<'a> Among<'a> {
    pub(super) fn new(team: &'a Shared<Team>, table: MarkTable) -> Self {
        Self {
            team,
            table,
            patience: 0,
        }
    }

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
    /// `None` if the system has no memory for it.
    pub(super) fn new(depth: usize, workers: usize, stack_limit: usize) -> Option<Shared<Self>> {
        Shared::new(Self {
            workers: Shared::new(Workers::new(workers - 1))?,
            most_workers: workers,
            depth,
            stack_limit,
            incomplete: AtomicBool::new(false),
            footprint: AtomicUsize::new(0),
        })
    }

    #[cold]
    fn start_helper(this: &Shared<Self>) {
        Workers::start(&this.workers, || {
            let team = this.clone();
            let mut tracer = Tracer::new(team.depth, team.stack_limit)?;
            Some(move |work: Work| {
                let before = tracer.footprint();
                // SAFETY: who gives work stops the world first, and does not let it go on before
                // all work is done.
                unsafe { tracer.perform(work, &team) };
                if std::mem::take(&mut tracer.incomplete) {
                    team.incomplete.store(true, Ordering::Relaxed);
                }
                tracer.begin();
                tracer.give_room_back(KEPT_BY_HELPERS);
                let grown = tracer.footprint().wrapping_sub(before);
                team.footprint.fetch_add(grown, Ordering::Relaxed);
            })
        });
    }
}

/// What a tracer does as one of several.
impl Tracer {
    /// Does a piece of work, and all that comes of it.
    ///
    /// # Safety
    ///
    /// As for [`Marking::trace`](super::Marking::trace).
    pub(super) unsafe fn perform(&mut self, work: Work, team: &Shared<Team>) {
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
    pub(super) unsafe fn trace_among(&mut self, table: MarkTable, team: &Shared<Team>) {
        let mut among = Among::new(team, table);
        // SAFETY: passed on.
        unsafe { self.trace(table, &mut among) };
    }

    /// Takes over what another worker gave, when there is room: that worker had it on its stack,
    /// and this one's is empty; or it was this one's a moment ago.
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
}
