//! When to look for cycles, and at which objects: the generations of CPython 3.13
//! (`gc_collect_generations` and `gc_collect_main` in `Python/gc.c`).
//!
//! * The count of generation 0 goes up when a tracked object is allocated and down when one is
//!   freed, never below zero. When it exceeds its threshold, a collection is requested; it happens
//!   at the next safepoint, of the oldest generation whose count exceeds its threshold.
//! * The count of generation *g* + 1 goes up when *g* is collected; collecting *g* zeroes the
//!   counts of 0 to *g* and takes their objects along. Survivors join generation *g* + 1 (of the
//!   oldest: stay).
//! * The oldest is left alone while what has come to it since its last collection is less than a
//!   quarter of what survived that: without this, a growing heap would be collected a quadratic
//!   number of times.
//!
//! # Where the generations are
//!
//! CPython threads each generation on a doubly linked list through a 16-byte head of every object.
//! Here an object's generation is its side byte ([`crate::cycle`]); what is missing is a way to
//! find the young without reading the side bytes of the whole heap:
//!
//! 1. A block has a word whose bits say which of its 64 stretches of side bytes may have a young
//!    one, and another for the middle generation. A block is in the list of young blocks, or of
//!    middle ones, exactly if its word is not zero.
//! 2. A cell that is listed as young says so in its tag, also when it is freed and reused. A
//!    program that frees and allocates in balance thus lists nothing: the cells that it gets are
//!    listed already.
//! 3. Old objects are only ever collected together with everything else, by walking all blocks.
//! 4. A large object is in no such list, but in one vector for each generation.
//!
//! The lists name blocks, never objects: they cannot outgrow the heap, and need not be updated when
//! an object dies. There is room in them for every block from the moment it is taken. Objects
//! without fields, and those whose client calls them acyclic, are untracked: in no generation.
//!
//! Rejected: buffers that list the young objects themselves. Between two safepoints they grow with
//! what is allocated, eight bytes for each object, just when the heap may be near its limit.
//!
//! What is collected need not be examined for that ([`crate::cycle::filter`]).
//!
//! CPython also untracks tuples and dictionaries that turn out to hold nothing tracked; there are
//! no such types here.

use std::cell::{Cell, RefCell};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};

use crate::alloc::LARGE;
use crate::block::{Block, side_byte};
use crate::builder::Builder;
use crate::cycle::ahead::{spread_if_asked, spread_of};
use crate::cycle::bacon_rajan::LOOK;
use crate::cycle::candidates::Candidates;
use crate::cycle::optimistic::Confidence;
use crate::cycle::{Cycle, MIDDLE, OLD, OLDEST, YOUNG, bits, is_alive};
use crate::heap::Locked;
use crate::large::UNTRACKED;
use crate::object::{Object, tag};
use crate::room;
use crate::step::{Step, Witness};

/// The generations' state.
pub(crate) struct Generational {
    enabled: bool,
    thresholds: [usize; 3],
    /// By how many per cent the oldest generation grows until it is due.
    growth: usize,
    /// Whether candidates always count as scattered, with possible roots too.
    pub(crate) prefetch: bool,
    /// The count of generation 0 that requests a collection; with possible roots, that has it
    /// looked whether one is due.
    trigger: usize,
    /// What is missing for the count of generation 0 to be the trigger. Less than zero, as it
    /// wraps, where the count is above.
    until_trigger: Cell<usize>,
    /// The counts of the older generations.
    older: [Cell<usize>; 2],
    /// Whether what suspects do not reach is spared ([`crate::cycle::filter`]).
    filter: bool,
    /// There may be suspects.
    pub(crate) has_suspects: Cell<bool>,
    /// In suspects that reach little.
    confidence_in_filter: [Confidence; 3],
    /// In the pass that finds no garbage.
    confidence: [Confidence; 3],
    young_blocks: RefCell<Vec<Block>>,
    middle_blocks: RefCell<Vec<Block>>,
    /// Objects that survived the last full collection.
    long_lived_total: Cell<usize>,
    /// Objects that have come to the oldest generation since.
    long_lived_pending: Cell<usize>,
    /// Objects that are not tracked.
    untracked: Cell<u64>,
    /// Collections that were put off since the last one.
    put_off: Cell<u32>,
    /// How much more than the trigger is asked for before the world is stopped: stops after which
    /// nothing was due raise it, collections lower it. At most four triggers. Changed in a stopped
    /// world, read under what protects the tables.
    slack: Cell<usize>,
    /// A stop was asked for because a collection is due, and there was none since.
    asked: Cell<bool>,
}

/// Collections in a row that are put off at most: what the next one comes by then are so many times
/// the youngest generation's threshold of objects, a millisecond or two.
const MOST_PUT_OFF: u32 = 64;

impl Generational {
    pub(crate) fn new(builder: &Builder) -> Self {
        let (cycle, thresholds) = (builder.cycle, builder.thresholds);
        let enabled = cycle == Cycle::Generational;
        let automatic = enabled && thresholds[0] > 0;
        let trigger = match cycle {
            Cycle::Generational if automatic => thresholds[0].saturating_add(1),
            Cycle::BaconRajan => LOOK,
            _ => usize::MAX,
        };
        Self {
            enabled,
            thresholds,
            growth: builder.oldest_growth,
            prefetch: builder.prefetch,
            filter: builder.cycle_filter,
            has_suspects: Cell::new(false),
            confidence_in_filter: Default::default(),
            trigger,
            until_trigger: Cell::new(trigger),
            older: Default::default(),
            confidence: Default::default(),
            young_blocks: RefCell::default(),
            middle_blocks: RefCell::default(),
            long_lived_total: Cell::new(0),
            long_lived_pending: Cell::new(0),
            untracked: Cell::new(0),
            put_off: Cell::new(0),
            slack: Cell::new(0),
            asked: Cell::new(false),
        }
    }

    /// Whether there are generations.
    pub(crate) fn is_enabled(&self) -> bool {
        self.enabled
    }

    /// Whether they are collected without being asked for.
    fn is_automatic(&self) -> bool {
        self.enabled && self.trigger < usize::MAX
    }

    /// The bits of the tag that say that a cell is listed as young. Without generations cells are
    /// born with them, and keep them.
    #[inline(always)]
    pub(crate) fn listed_bits(&self) -> u64 {
        if self.enabled { tag::IN_YOUNG } else { 0 }
    }

    /// A tracked object is made in `cell`, whose marks were `old`. Returns whether a collection is
    /// now due.
    #[inline(always)]
    pub(crate) fn allocated(&self, cell: Object, old: u64) -> bool {
        if old & tag::IN_YOUNG == 0 {
            self.list_young(cell);
        }
        let left = self.until_trigger.get().wrapping_sub(1);
        self.until_trigger.set(left);
        left == 0
    }

    /// What is missing for the trigger, where mutators that count for themselves change it at any
    /// time. Relaxed: nothing else is decided by it.
    #[inline(always)]
    fn shared_until_trigger(&self) -> &AtomicUsize {
        // SAFETY: a cell may be changed through a shared reference; of mutators that run at the
        // same time all use this.
        unsafe { AtomicUsize::from_ptr(self.until_trigger.as_ptr()) }
    }

    /// Whether there may be suspects, as [`Self::shared_until_trigger`].
    #[inline(always)]
    fn shared_has_suspects(&self) -> &AtomicBool {
        // SAFETY: as there.
        unsafe { AtomicBool::from_ptr(self.has_suspects.as_ptr()) }
    }

    /// The count of a generation.
    fn count(&self, generation: usize) -> usize {
        match generation {
            0 => (self.trigger).wrapping_sub(self.shared_until_trigger().load(Relaxed)),
            older => self.older[older - 1].get(),
        }
    }

    #[inline(always)]
    fn set_count(&self, generation: usize, count: usize) {
        match generation {
            0 => {
                let left = self.trigger.wrapping_sub(count);
                self.shared_until_trigger().store(left, Relaxed);
            }
            older => self.older[older - 1].set(count),
        }
    }

    /// Lists a cell as young.
    #[inline]
    fn list_young(&self, cell: Object) {
        side_byte(cell).set(YOUNG);
        let (block, stretch) = Block::locate(cell);
        let listed = block.young().get();
        block.young().set(listed | stretch);
        if listed == 0 {
            self.young_blocks.borrow_mut().push(block);
        }
    }

    /// Lists stretches of a block that have objects of the middle generation.
    fn list_middle(&self, block: Block, stretches: u64) {
        let listed = block.middle().get();
        block.middle().set(listed | stretches);
        if listed == 0 && stretches != 0 {
            self.middle_blocks.borrow_mut().push(block);
        }
    }

    /// An object is made that is not tracked.
    #[inline(always)]
    pub(crate) fn allocated_untracked(&self) {
        self.untracked.set(self.untracked.get() + 1);
    }

    /// So many objects were freed, and so many of them were tracked.
    #[inline(always)]
    pub(crate) fn freed(&self, objects: u64, tracked: usize) {
        self.untracked
            .set(self.untracked.get() - (objects - tracked as u64));
        self.set_count(0, self.count(0).saturating_sub(tracked));
    }

    /// A mutator that counts for itself made so many tracked objects more than it freed, and so
    /// many that are not tracked. Returns whether a collection is due, unless what mutators have
    /// retired makes up for it. Any mutator may say so at any time.
    pub(crate) fn counted_apart(&self, tracked: isize, untracked: i64) -> bool {
        // SAFETY: as for `shared_until_trigger`.
        let sum = unsafe { AtomicU64::from_ptr(self.untracked.as_ptr()) };
        sum.fetch_add(untracked as u64, Relaxed);
        let counted = |left: usize| {
            let count = self.trigger.wrapping_sub(left);
            count.saturating_add_signed(tracked)
        };
        let shared = self.shared_until_trigger();
        let (Ok(before) | Err(before)) = shared.fetch_update(Relaxed, Relaxed, |left| {
            Some(self.trigger.wrapping_sub(counted(left)))
        });
        counted(before) >= self.trigger
    }

    /// Whether the world is to be stopped for a collection: it is due, also if so many objects die
    /// without, and not put off. The caller holds what protects the tables.
    pub(crate) fn asks_for_stop(&self, dying: u64) -> bool {
        let enough = self.trigger.saturating_add(self.slack.get());
        let due = (self.count(0) as u64).saturating_sub(dying) >= enough as u64;
        let asks = due && !self.put_off();
        self.asked.set(self.asked.get() | asks);
        asks
    }

    /// The world is stopped. If that was asked for, and nothing was due any more, it was for
    /// nothing.
    pub(crate) fn stopped(&self, collected: bool) {
        if !self.asked.replace(false) {
            return;
        }
        let slack = self.slack.get();
        self.slack.set(if collected {
            slack / 2
        } else {
            slack
                .saturating_mul(2)
                .clamp(self.trigger / 2, self.trigger.saturating_mul(4))
        });
    }

    /// How many objects a mutator may count for itself before it says so: what all of them have not
    /// said yet is then a fraction of the threshold. CPython's free-threaded build has 512, too.
    pub(crate) fn counted_apart_at_most(&self) -> isize {
        (self.trigger / 4).clamp(1, 512) as isize
    }

    /// Puts a collection off that is due, where it would find nothing: there is no suspect
    /// ([`crate::cycle::filter`]). Returns false if it must not be, or was for long enough. The
    /// caller holds what protects the tables.
    ///
    /// Nothing is moved on meanwhile, so that what was made since is examined by the next
    /// collection, whichever it is: each object is, as the youngest, once.
    fn put_off(&self) -> bool {
        let nothing = self.enabled && self.filter && !self.shared_has_suspects().load(Relaxed);
        let put_off = self.put_off.get() + 1;
        if !nothing || put_off > MOST_PUT_OFF {
            return false;
        }
        self.put_off.set(put_off);
        self.set_count(0, 0);
        true
    }

    /// Lists a block that has got its first young object.
    pub(crate) fn list_young_block(&self, block: Block) {
        self.young_blocks.borrow_mut().push(block);
    }

    /// There is a suspect. Any mutator may say so at any time.
    pub(crate) fn note_suspect(&self) {
        let suspects = self.shared_has_suspects();
        // A program that moves references about says so at every store.
        if !suspects.load(Relaxed) {
            suspects.store(true, Relaxed);
        }
    }

    /// Without generations: the count of tracked objects begins at what there are now.
    pub(crate) fn count_afresh(&self) {
        self.set_count(0, 0);
    }

    /// The generation to collect, by CPython's rule.
    pub(crate) fn due(&self) -> Option<usize> {
        let mut generations = (0..=OLDEST).rev().filter(|_| self.is_automatic());
        generations.find(|&generation| {
            self.count(generation) > self.thresholds[generation]
                && (generation < OLDEST
                    || self.long_lived_pending.get()
                        >= self.long_lived_total.get().saturating_mul(self.growth) / 100)
        })
    }

    /// Sees to it that so many blocks can be listed. Returns whether there was memory for that.
    pub(crate) fn set_aside(&self, blocks: usize) -> bool {
        [&self.young_blocks, &self.middle_blocks]
            .into_iter()
            .all(|list| room::set_aside(&mut *list.borrow_mut(), blocks))
    }

    /// Forgets blocks that are marked as empty.
    pub(crate) fn unlist_empty_blocks(&self) {
        for list in [&self.young_blocks, &self.middle_blocks] {
            list.borrow_mut()
                .retain(|block| !block.header().empty.get());
        }
    }

    /// Gives back what so many blocks do not need.
    pub(crate) fn fit(&self, blocks: usize) {
        for list in [&self.young_blocks, &self.middle_blocks] {
            room::fit(&mut *list.borrow_mut(), blocks);
        }
    }

    /// The blocks with young and with middle objects, for verification.
    pub(crate) fn listed(&self) -> [Vec<Block>; 2] {
        [
            self.young_blocks.borrow().clone(),
            self.middle_blocks.borrow().clone(),
        ]
    }
}

impl<W: Witness> Locked<'_, W> {
    /// Finds and disposes of the garbage in generations 0 to `generation`. Returns how many objects
    /// were examined, and how many of them unreachable.
    pub(crate) fn collect_generations(self, generation: usize) -> (u64, u64) {
        let state = &self.generational;
        state.put_off.set(0);
        for younger in 0..=generation {
            state.set_count(younger, 0);
        }
        if generation < OLDEST {
            state.set_count(generation + 1, state.count(generation + 1) + 1);
        }
        let (candidates, examined) = self.examine(generation);
        let next = (generation + 1).min(OLDEST);
        if W::RECORDS {
            self.note_survivors(&candidates, next);
        }
        let survives = if next == 1 { MIDDLE } else { OLD };
        if next == 1 {
            for &(block, stretches) in &candidates.blocks {
                state.list_middle(block, stretches);
            }
        }
        for &object in &candidates.others {
            if is_alive(side_byte(object).get()) {
                self.unrecorded().survive(object, survives, next);
            }
        }
        let trash = self.divide(candidates, survives);
        if W::RECORDS {
            trash.each(|object| {
                self.note(|| Step::Unreachable {
                    object: object.into(),
                });
            });
        }
        let unreachable = trash.objects;
        let survivors = (examined - unreachable) as usize;
        match generation {
            1 => state
                .long_lived_pending
                .set(state.long_lived_pending.get() + survivors),
            OLDEST => {
                state.long_lived_pending.set(0);
                state.long_lived_total.set(survivors);
            }
            _ => {}
        }
        let survive = |object| {
            self.unrecorded().survive(object, survives, next);
            self.note(|| Step::Survived {
                object: object.into(),
                generation: next,
            });
        };
        if unreachable > 0 {
            self.dispose(trash, survive);
        } else {
            self.scratch.put_back(trash.among);
        }
        (examined, unreachable)
    }

    /// Finds out which objects of generations 0 to `generation` are alive. Returns those among them
    /// that have to move on or to die, and how many there are in all. A recorded operation takes
    /// all steps, whatever it could spare itself.
    fn examine(self, generation: usize) -> (Candidates, u64) {
        let state = &self.generational;
        if !state.filter || W::RECORDS {
            let candidates = self.unrecorded().select(generation);
            let examined = self.detect_optimistically(generation, &candidates);
            return (candidates, examined);
        }
        let all = self.unrecorded();
        let suspected = state.has_suspects.get();
        // What a lazy heap has not freed yet is none of the objects, and not counted apart.
        if generation == OLDEST && !suspected && self.dead.get().is_none() {
            // The oldest generation has nothing to lose, and nowhere to go.
            let candidates = all.select(OLDEST - 1);
            let younger = all.detect_among_suspects(OLDEST - 1, &candidates);
            debug_assert!(younger.is_some(), "a suspect that nothing tells of");
            return (candidates, all.tracked_objects());
        }
        let candidates = all.select(generation);
        let confidence = &state.confidence_in_filter[generation];
        if !suspected || confidence.is_enough() {
            let objects = all.detect_among_suspects(generation, &candidates);
            if suspected {
                confidence.tried(objects.is_some());
            }
            if let Some(objects) = objects {
                debug_assert!(
                    generation < OLDEST
                        || self.dead.get().is_some()
                        || objects == all.tracked_objects(),
                    "a full collection misses objects"
                );
                return (candidates, objects);
            }
        }
        let examined = self.detect_optimistically(generation, &candidates);
        (candidates, examined)
    }

    /// As [`detect`](Self::detect), in one pass if all candidates are reachable and that is likely.
    fn detect_optimistically(self, generation: usize, candidates: &Candidates) -> u64 {
        let state = &self.generational;
        let confidence = &state.confidence[generation];
        if confidence.is_enough() {
            let rising = confidence.rising.get();
            let examined = self.all_are_reached(candidates, rising);
            confidence.tried(examined.is_some());
            if let Some(examined) = examined {
                return examined;
            }
        }
        self.detect(candidates)
    }
}

impl Locked<'_> {
    /// How many objects the cycle collector tracks, the dead of a lazy heap among them.
    fn tracked_objects(self) -> u64 {
        self.inner.counters.in_heap().0 - self.generational.untracked.get()
    }

    /// Moves one object to the generation it survives to.
    fn survive(self, object: Object, side: u8, generation: usize) {
        side_byte(object).set(side);
        if object.class() == LARGE {
            self.allocator.large.promote(object, generation);
        }
    }

    /// Makes the objects of generations 0 to `generation` candidates: their side bytes become
    /// [`YOUNG`], and they leave the lists.
    fn select(self, generation: usize) -> Candidates {
        let state = &self.generational;
        let Candidates {
            mut blocks,
            mut others,
            ..
        } = self.scratch.take();
        if generation == OLDEST {
            for &block in self.allocator.blocks().iter() {
                let mut stretches = 0;
                for stretch in bits(block.stretches()) {
                    let mut any = false;
                    for byte in block.side_bytes_in(stretch) {
                        any |= byte.get() != 0;
                        byte.set(if byte.get() == 0 { 0 } else { YOUNG });
                    }
                    stretches |= u64::from(any) << stretch;
                }
                if stretches != 0 {
                    blocks.push((block, stretches));
                }
            }
        } else {
            blocks.extend(
                state
                    .young_blocks
                    .borrow()
                    .iter()
                    .map(|&block| (block, block.young().get())),
            );
        }
        if generation >= 1 {
            for block in state.middle_blocks.borrow_mut().drain(..) {
                let stretches = block.middle().replace(0);
                if generation == 1 {
                    self.rejuvenate(block, stretches);
                    if block.young().get() == 0 {
                        blocks.push((block, stretches));
                    } else {
                        block.young().set(block.young().get() | stretches);
                    }
                }
            }
            if generation == 1 {
                for (block, stretches) in &mut blocks {
                    *stretches |= block.young().get();
                }
            }
        }
        for block in state.young_blocks.borrow_mut().drain(..) {
            block.young().set(0);
        }
        blocks.sort_unstable_by_key(|&(block, _)| std::cmp::Reverse(block));
        for generation in 0..=generation {
            self.allocator.large.add_all(generation, &mut others);
        }
        others
            .iter()
            .for_each(|&object| side_byte(object).set(YOUNG));
        let spread = if state.prefetch {
            spread_if_asked(&blocks)
        } else {
            spread_of(&blocks)
        };
        Candidates::new(blocks, others, spread)
    }

    /// Makes objects of the middle generation candidates.
    fn rejuvenate(self, block: Block, stretches: u64) {
        for stretch in bits(stretches) {
            for byte in block.side_bytes_in(stretch) {
                byte.set(if byte.get() == MIDDLE {
                    YOUNG
                } else {
                    byte.get()
                });
            }
        }
    }

    /// Lists a new large object, whose tag says whether it is tracked.
    #[cold]
    #[inline(never)]
    pub(crate) fn list_new_large(self, object: Object) {
        if object.has(tag::UNTRACKED) {
            self.allocator.large.list(object, UNTRACKED);
        } else {
            if self.generational.is_enabled() {
                side_byte(object).set(YOUNG);
            }
            self.allocator.large.list(object, 0);
        }
    }
}
