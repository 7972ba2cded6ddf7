//! Cyclic garbage: what counting alone never reclaims.
//!
//! A cycle collector needs no roots. An object's count says how many references there are; if fewer
//! come from the objects under examination, something outside refers to it (a local, a global, an
//! object of another generation), and all that it reaches is alive. What is left is referred to
//! only by itself.
//!
//! [`detect`](Locked::detect) is that computation, shared by whatever decides *which* objects to
//! examine and *when* ([`generational`]; [`bacon_rajan`] shares its second half). It is CPython's
//! (`deduce_unreachable` in `Python/gc.c`: update and subtract references, then move what is
//! unreachable; the idea is older: Christopher 1984) with its data laid out for a cache. CPython
//! copies the count of each object into its list node, subtracts there, and moves nodes between
//! linked lists. Here:
//!
//! * The sum is kept in the object's **side byte** ([`crate::block::side_byte`]), biased: an edge
//!   takes one away, and the object's count is added when the subtraction comes to the object
//!   itself. One byte for 16 bytes of heap: the side bytes of a million small objects fit a
//!   second-level cache or nearly, an edge costs no miss in the heap itself, and what was found is
//!   known without reading a header again.
//! * The same byte says in which generation an object is, so that the objects to examine are found
//!   by reading side bytes, and no list of objects exists.
//! * The search for what is reachable is a sweep from high addresses to low ones. Objects mostly
//!   refer to older ones, which mostly lie lower: what the sweep has yet to come to is only marked,
//!   and its fields are looked at when it is reached, in order, as memory likes to be read. What
//!   lies behind goes on an explicit stack, where CPython moves nodes back into the list that it
//!   walks. If large objects alone reach everything, as tables do, there is no sweep.
//! * Most collections find nothing. That there is nothing to find takes one pass to show, and is
//!   tried first where it is likely to succeed ([`optimistic`]).
//! * Neither loop branches on whether the target of an edge is a candidate, or reached already: in
//!   a graph that is a coin toss, and a processor that guesses wrong loses more than the whole edge
//!   costs. (Nulls are branched on: a byte that stands in for theirs would be written so often that
//!   each access would wait for the one before.)
//!
//! # Scratch memory
//!
//! Outside the heap's limit, a collection keeps a word for each object on the stack of the search,
//! for each with a count that no side byte takes up, for each that it finds unreachable, and for
//! each that possible roots reach: at most a few words for each candidate, usually far less than
//! one. The most that one took is in the statistics
//! ([`Statistics::peak_scratch_bytes`](crate::Statistics::peak_scratch_bytes)). It goes back when
//! the collection ends.
//!
//! A collection is made when memory is short, and the system may refuse all of that. None of these
//! lists is more than a short cut to what the side bytes say:
//!
//! * An object that the stack of the search has no room for takes the place of another, which is
//!   marked as reached and not scanned. When the search is through, all that is reached is scanned
//!   once more, until nothing was left out; each time something new is reached, so there is an end.
//!   [`LEAST_STACK`] places are there always, and what comes last stays, so that the search follows
//!   a long list whatever hangs on it: as a rule one more pass is enough.
//! * Popular objects that are not listed are known by their counts, and unreachable ones by their
//!   side bytes: a walk over the candidates finds them.
//! * If what the possible roots reach cannot be listed, everything is examined instead, as in a
//!   full collection of generations.
//! * The carries that do not fit a header either (four million edges to one object): such an object
//!   counts as reached.
//!
//! What is left is one entry for each block and each large object, for which memory is set aside
//! when the block is taken ([`Scratch`]). So a collection needs no memory, and finds the same with
//! none; it only takes longer.
//!
//! # The side byte
//!
//! | value | between collections | during one |
//! |---|---|---|
//! | 0 | not tracked | the same |
//! | [`YOUNG`] = 64 | generation 0 | candidate: in balance. After subtraction: nothing outside refers to it |
//! | 1 to 126 | | candidate: [`YOUNG`] - edges found + count, once that was added |
//! | [`REACHED`] = 127 | | candidate that something outside reaches |
//! | [`MIDDLE`], [`OLD`] | generation 1, 2 | not a candidate |
//!
//! Without generations all side bytes are zero between collections. A count above [`SMALL_COUNT`]
//! is not added: the object is listed as *popular*, and compared when subtraction is complete. Only
//! the edges to popular objects can outgrow the byte; every [`SMALL_COUNT`] of them are then moved
//! to the *carry* in the object's header, and what exceeds that (four million edges) to a table.
//!
//! A free cell, or one with an untracked object, may still have the value of the object that was
//! there before: it is *stale*, which is found out when a collection comes by, and put right then.
//! So freeing does not touch side bytes.
//!
//! # Invariants
//!
//! 1. Between collections the side byte of a tracked object is its generation's value, and every
//!    carry is zero.
//! 2. After subtraction 0 <= count - edges found <= count, for every candidate.
//! 3. After detection the side byte of a candidate is above [`YOUNG`] exactly if something outside
//!    the candidates reaches it, and equal to it otherwise.
//! 4. No object is pending when a collection begins: every count of zero has been acted upon.

pub(crate) mod ahead;
pub(crate) mod bacon_rajan;
pub(crate) mod generational;
pub(crate) mod optimistic;

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::time::Instant;

use crate::abort::AbortOnUnwind;
use crate::block::{Block, side_byte, take_bit};
use crate::count::released;
use crate::cycle::ahead::{IN_FLIGHT, ask_ahead, ask_for_children};
use crate::event::EventKind;
use crate::gil::COLLECT;
use crate::heap::Locked;
use crate::object::{Object, is_immortal, prefetch, tag};
use crate::primitive::Ordering;
use crate::room;
use crate::step::{Step, Witness};

/// How cyclic garbage is found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Cycle {
    /// As CPython 3.13: three generations. The first is due when tracked allocations outnumber
    /// frees by more than 2000, an older one after more than 10 collections of the one before, the
    /// oldest only if what has come to it since its last collection is at least a quarter of what
    /// survived that. A collection that is due happens at the next safepoint.
    #[default]
    Generational,
    /// Synchronous trial deletion from a buffer of possible roots (Bacon and Rajan 2001): examines
    /// what is reachable from objects that lost a reference and kept another, when there are enough
    /// of them. A collection that is due happens at the next safepoint.
    BaconRajan,
    /// Not at all: cyclic garbage stays for as long as the heap does.
    None,
}

/// Side byte: generation 0; during a collection, a candidate in balance.
pub(crate) const YOUNG: u8 = 64;
/// Side byte: found reachable.
pub(crate) const REACHED: u8 = 127;
/// Side byte: generation 1.
pub(crate) const MIDDLE: u8 = 129;
/// Side byte: generation 2.
pub(crate) const OLD: u8 = 130;

/// The largest count that a side byte takes up, and the edges that a carry stands for.
const SMALL_COUNT: u8 = 62;

/// The oldest generation.
pub(crate) const OLDEST: usize = 2;

/// How many blocks ahead of the one at hand a walk over scattered candidates asks for the side
/// bytes that it will look at.
const BLOCKS_AHEAD: usize = 2;

/// How many bytes ahead of the cell at hand a sweep asks the cache for. The processor sees that
/// addresses fall, but not far enough ahead.
const AHEAD: usize = 1536;

/// Whether a side byte is that of a candidate.
#[inline(always)]
fn is_candidate(byte: u8) -> bool {
    byte as i8 > 0
}

/// After subtraction: whether a side byte is that of a candidate that was reached.
#[inline(always)]
pub(crate) fn is_reached(byte: u8) -> bool {
    byte as i8 > YOUNG as i8
}

/// Whether a cell holds an object that the cycle collector tracks.
#[inline(always)]
pub(crate) fn is_tracked_object(cell: Object) -> bool {
    cell.head() & (tag::FREE | tag::UNTRACKED | tag::DEAD) == 0
}

/// The objects under examination.
#[derive(Default)]
pub(crate) struct Candidates {
    /// Blocks with candidates, by falling address, and the stretches of side bytes to look at.
    pub(crate) blocks: Vec<(Block, u64)>,
    /// Candidates that are looked at one by one: large ones, or all of a small set.
    pub(crate) others: Vec<Object>,
    /// Whether the cache is to be asked ahead for what a walk needs ([`ahead`]).
    pub(crate) scattered: bool,
}

impl Candidates {
    /// Calls `f` with every cell in a block that has a candidate's side byte, and that byte, by
    /// falling or by rising address, until it returns false. Returns whether it never did.
    #[inline(always)]
    fn each_in_blocks<const RISING: bool>(&self, f: impl FnMut(Object, &Cell<u8>) -> bool) -> bool {
        if self.scattered {
            self.each_scattered::<RISING>(f)
        } else {
            self.each_dense::<RISING>(f)
        }
    }

    /// [`each_in_blocks`](Self::each_in_blocks), where most cells are candidates and refer to what
    /// lies near.
    #[inline(always)]
    fn each_dense<const RISING: bool>(&self, mut f: impl FnMut(Object, &Cell<u8>) -> bool) -> bool {
        let mut in_block = |&(block, stretches): &(Block, u64)| {
            block.each_cell::<RISING>(stretches, |cell, side| {
                prefetch(if RISING {
                    cell.raw().wrapping_add(AHEAD)
                } else {
                    cell.raw().wrapping_sub(AHEAD)
                });
                // One byte at a time: the side bytes ahead have just been written, one at a time.
                !is_candidate(side.get()) || f(cell, side)
            })
        };
        if RISING {
            self.blocks.iter().rev().all(&mut in_block)
        } else {
            self.blocks.iter().all(&mut in_block)
        }
    }

    /// [`each_in_blocks`](Self::each_in_blocks), where each candidate is a miss: its header and
    /// what it refers to are asked for before its turn.
    #[inline(never)]
    fn each_scattered<const RISING: bool>(
        &self,
        mut f: impl FnMut(Object, &Cell<u8>) -> bool,
    ) -> bool {
        let mut queue = [None; 2 * IN_FLIGHT];
        let mut next = 0;
        let mut serve = |object: Object| f(object, side_byte(object));
        let mut enter = |cell: Object| {
            cell.prefetch();
            if let Some(object) = queue[(next + IN_FLIGHT) % queue.len()]
                && is_tracked_object(object)
            {
                ask_for_children::<false>(object);
            }
            let due = queue[next].replace(cell);
            next = (next + 1) % queue.len();
            due.is_none_or(&mut serve)
        };
        let blocks = &self.blocks;
        let mut in_block = |index: usize| {
            let later = if RISING {
                index.checked_sub(BLOCKS_AHEAD)
            } else {
                Some(index + BLOCKS_AHEAD)
            };
            if let Some(&(block, stretches)) = later.and_then(|later| blocks.get(later)) {
                block.prefetch(stretches);
            }
            let (block, stretches) = blocks[index];
            block.each_positive::<RISING>(stretches, &mut enter)
        };
        let finished = if RISING {
            (0..blocks.len()).rev().all(&mut in_block)
        } else {
            (0..blocks.len()).all(&mut in_block)
        };
        finished && {
            // The oldest first.
            queue.rotate_left(next);
            queue.into_iter().flatten().all(serve)
        }
    }

    /// Calls `f` with every candidate and its side byte.
    fn each(&self, mut f: impl FnMut(Object, &Cell<u8>)) {
        self.each_in_blocks::<false>(|object, side| {
            f(object, side);
            true
        });
        for &object in &self.others {
            f(object, side_byte(object));
        }
    }

    /// Tells a witness which candidates survive to `generation`, after detection.
    #[cold]
    fn note_survivors<W: Witness>(&self, generation: usize, witness: W) {
        self.each(|object, side| {
            witness.note(|| {
                is_reached(side.get()).then(|| Step::Survived {
                    object: object.into(),
                    generation,
                })
            });
        });
    }

    /// Whether there are candidates that nothing is known to reach, after subtraction.
    fn any_unreached(&self) -> bool {
        let in_stretch = |(block, stretch): (Block, u32)| {
            // All of them: in words that the compiler makes vectors of.
            let bytes = block.side_bytes_in(stretch).iter();
            bytes.fold(false, |any, byte| any | (byte.get() == YOUNG))
        };
        let blocks = self.blocks.iter();
        let mut stretches = blocks
            .flat_map(|&(block, stretches)| bits(stretches).map(move |stretch| (block, stretch)));
        stretches.any(in_stretch)
            || self
                .others
                .iter()
                .any(|&object| side_byte(object).get() == YOUNG)
    }
}

/// Objects that the stack of the search always has room for, in a heap of [`LEAST_STACK`] /
/// [`STACK_OF_BLOCK`] blocks or more.
const LEAST_STACK: usize = 4096;
/// How many of these a block, or a large object, adds.
const STACK_OF_BLOCK: usize = 64;

/// Room that is set aside for collections: an entry for each block in use and for each large
/// object, and a short stack.
#[derive(Default)]
pub(crate) struct Scratch {
    candidates: RefCell<Candidates>,
    stack: RefCell<Vec<Object>>,
}

impl Scratch {
    /// Sees to it that so many blocks and large objects can be candidates. Returns whether there
    /// was memory for that.
    pub(crate) fn set_aside(&self, blocks: usize, large: usize) -> bool {
        let mut candidates = self.candidates.borrow_mut();
        room::set_aside(&mut candidates.blocks, blocks)
            && room::set_aside(&mut candidates.others, large)
            && room::set_aside(&mut *self.stack.borrow_mut(), Self::stack_of(blocks, large))
    }

    /// Gives back what so many do not need.
    pub(crate) fn fit(&self, blocks: usize, large: usize) {
        let mut candidates = self.candidates.borrow_mut();
        room::fit(&mut candidates.blocks, blocks);
        room::fit(&mut candidates.others, large);
        room::fit(&mut *self.stack.borrow_mut(), Self::stack_of(blocks, large));
    }

    /// Objects that the stack of the search has room for.
    fn stack_of(blocks: usize, large: usize) -> usize {
        LEAST_STACK.min(STACK_OF_BLOCK * (blocks + large))
    }

    /// Bytes of the stack.
    pub(crate) fn bytes(&self) -> usize {
        self.stack.borrow().capacity() * size_of::<Object>()
    }

    /// No candidates, with room for all.
    fn take(&self) -> Candidates {
        self.candidates.take()
    }

    fn put_back(&self, mut candidates: Candidates) {
        candidates.blocks.clear();
        candidates.others.clear();
        self.candidates.replace(candidates);
    }
}

/// What a collection found unreachable: the candidates whose side bytes are [`YOUNG`].
struct Trash {
    listed: Vec<Object>,
    /// Whether all of it is listed. If not, it is found among these.
    complete: bool,
    among: Candidates,
    objects: u64,
}

impl Trash {
    /// Nothing yet, among these candidates.
    fn new(among: Candidates) -> Self {
        Self {
            listed: Vec::new(),
            complete: true,
            among,
            objects: 0,
        }
    }

    fn add(&mut self, object: Object) {
        self.objects += 1;
        if self.complete && !room::push(&mut self.listed, object) {
            self.complete = false;
            self.listed = Vec::new();
        }
    }

    /// Calls `f` with each object, whose side byte it may change.
    fn each(&self, mut f: impl FnMut(Object)) {
        if self.complete {
            self.listed.iter().copied().for_each(f);
        } else {
            self.among.each(|object, side| {
                if side.get() == YOUNG {
                    f(object);
                }
            });
        }
    }
}

/// Candidates whose counts no side byte takes up.
#[derive(Default)]
struct Popular {
    objects: Vec<Object>,
    /// There are more than these.
    unlisted: bool,
    /// Carries that left the header, too.
    beyond: HashMap<Object, u64>,
    /// There are more than these: objects with the largest carry in their headers.
    lost: bool,
}

impl Popular {
    const HEADER_MAXIMUM: u64 = 0xffff;

    /// Makes room in the side byte of `object` for more edges. Returns its new value.
    #[cold]
    #[inline(never)]
    fn carry(&mut self, object: Object) -> u8 {
        if !is_tracked_object(object) {
            clear_stale(object);
            return 0;
        }
        let carry = object.carry();
        if carry < Self::HEADER_MAXIMUM {
            object.set_carry(carry + 1);
        } else if !self.lost && self.beyond.try_reserve(1).is_ok() {
            object.set_carry(0);
            *self.beyond.entry(object).or_default() += Self::HEADER_MAXIMUM + 1;
        } else {
            self.lost = true;
        }
        SMALL_COUNT
    }

    /// The balance of a tracked object during subtraction, for a witness.
    fn balance(&self, object: Object) -> i64 {
        let carry = object.carry() + self.beyond.get(&object).copied().unwrap_or(0);
        i64::from(side_byte(object).get())
            - i64::from(YOUNG)
            - (carry * u64::from(SMALL_COUNT)) as i64
    }

    /// Words of scratch memory.
    fn scratch(&self) -> usize {
        self.objects.capacity() + 4 * self.beyond.capacity()
    }

    /// Lists an object.
    #[inline(always)]
    fn add(&mut self, object: Object) {
        if !room::push(&mut self.objects, object) {
            self.unlisted = true;
        }
    }

    /// Compares the counts with the edges that were found among `candidates`. No carries remain.
    fn resolve<W: Witness>(self, candidates: &Candidates, witness: W) {
        if self.unlisted {
            candidates.each(|object, _| {
                if object.head() >> 32 > u64::from(SMALL_COUNT) {
                    self.compare(object, witness);
                }
            });
        } else {
            for &object in &self.objects {
                self.compare(object, witness);
            }
        }
    }

    fn compare<W: Witness>(&self, object: Object, witness: W) {
        let beyond = self.beyond.get(&object).copied();
        let in_header = object.carry();
        let carry = in_header + beyond.unwrap_or(0);
        let edges = carry * u64::from(SMALL_COUNT) + u64::from(YOUNG - side_byte(object).get());
        object.set_carry(0);
        let head = object.head();
        let uncertain = self.lost && (in_header == Self::HEADER_MAXIMUM || beyond.is_some());
        debug_assert!(
            is_immortal(head) || edges <= head >> 32,
            "more edges than counts"
        );
        let reached = is_immortal(head) || uncertain || edges < head >> 32;
        side_byte(object).set(if reached { REACHED } else { YOUNG });
        witness.note(|| Step::Compared {
            object: object.into(),
            count: object.count(),
            balance: i64::from(object.count()) - edges as i64,
        });
    }
}

/// A cell that is not, or no longer, a tracked object is in no generation.
fn clear_stale(cell: Object) {
    cell.remove(tag::IN_YOUNG);
    side_byte(cell).set(0);
}

/// Adds the count of a candidate to its side byte, and takes the edges from it away from those of
/// other candidates. Returns whether it was one: a stale side byte is cleared. `listed` are the
/// bits of the tag that say that the cell is listed as young.
#[inline(always)]
fn subtract<W: Witness>(
    object: Object,
    byte: u8,
    listed: u64,
    popular: &mut Popular,
    witness: W,
) -> bool {
    let head = object.head();
    if head & (tag::FREE | tag::UNTRACKED | tag::DEAD) != 0 {
        clear_stale(object);
        return false;
    }
    // Candidates leave the young; old objects are not written to.
    if head & listed != 0 {
        object.set_head(head & !listed);
    }
    if head >> 32 <= u64::from(SMALL_COUNT) {
        side_byte(object).set(byte + (head >> 32) as u8);
    } else {
        popular.add(object);
    }
    witness.note(|| Step::Counted {
        object: object.into(),
        count: object.count(),
        balance: popular.balance(object),
    });
    for child in object.fields().iter().filter_map(Cell::get) {
        let byte = side_byte(child);
        let mut value = byte.get();
        if value == 1 {
            // Only a candidate has this value, and only one with many references.
            value = popular.carry(child) + 1;
        }
        byte.set(value - u8::from(is_candidate(value)));
        witness.note(|| subtracted(object, child, value, popular));
    }
    true
}

/// The step of taking an edge away from the balance of `to`, whose side byte was `value`: none if
/// that is no candidate.
fn subtracted(from: Object, to: Object, value: u8, popular: &Popular) -> Option<Step> {
    (is_candidate(value) && is_tracked_object(to)).then(|| Step::Subtracted {
        from: from.into(),
        to: to.into(),
        balance: popular.balance(to),
    })
}

/// The search for what is reachable.
///
/// Objects that the sweep has passed already are taken from the stack through a short queue, and
/// asked for when they enter it: else the search would wait for one miss after another (Cher,
/// Hosking and Vitek, "Software prefetching for mark-sweep garbage collection", 2004).
struct Search<W> {
    stack: Vec<Object>,
    /// Objects that lost their places on the stack, and are marked as reached and not scanned.
    left_out: usize,
    queue: [Option<Object>; IN_FLIGHT],
    next: usize,
    witness: W,
}

impl<W: Witness> Search<W> {
    /// Marks what `object` refers to as reached. What lies at or above `position` will not be
    /// visited again, and is pushed.
    #[inline(always)]
    fn scan(&mut self, object: Object, position: usize) {
        self.witness.note(|| Step::Scanned {
            object: object.into(),
        });
        for child in object.fields().iter().filter_map(Cell::get) {
            let byte = side_byte(child);
            let value = byte.get();
            let new = value == YOUNG;
            byte.set(if new { REACHED } else { value });
            self.witness.note(|| {
                new.then(|| Step::Reached {
                    from: object.into(),
                    to: child.into(),
                    back: child.address() >= position,
                })
            });
            if new & (child.address() >= position) && !room::push(&mut self.stack, child) {
                self.push_out(child);
            }
        }
    }

    /// Gives the place of another object on the stack to `object`: in turn, so that what came last
    /// stays longest.
    #[cold]
    #[inline(never)]
    fn push_out(&mut self, object: Object) {
        let places = self.stack.len();
        if places > 0 {
            self.stack[self.left_out % places] = object;
        }
        self.left_out += 1;
    }

    /// [`scan`](Self::scan)s a reached object, and what was pushed, but for the objects in the
    /// queue.
    #[inline(always)]
    fn visit(&mut self, object: Object, position: usize) {
        self.scan(object, position);
        if !self.stack.is_empty() {
            self.empty_stack(position);
        }
    }

    /// Scans what was pushed, but for the objects in the queue.
    #[inline(never)]
    fn empty_stack(&mut self, position: usize) {
        while let Some(object) = self.stack.pop() {
            object.prefetch();
            let queued = self.queue[self.next].replace(object);
            self.next = (self.next + 1) % IN_FLIGHT;
            if let Some(object) = queued {
                self.scan(object, position);
            }
        }
    }

    /// Scans what is left, and all that it leads to.
    fn finish(&mut self) {
        while let Some(object) = self.queue.iter_mut().find_map(Option::take) {
            self.visit(object, 0);
        }
    }
}

impl Locked<'_> {
    /// Asks for a collection at the next safepoint.
    #[cold]
    #[inline(never)]
    pub(crate) fn request_collection(self) {
        self.inner.mailbox.poll.fetch_or(COLLECT, Ordering::Relaxed);
    }

    /// Collects what is due, if a collection was requested.
    pub(crate) fn collect_if_requested<W: Witness>(self, witness: W) {
        let poll = &self.inner.mailbox.poll;
        if poll.load(Ordering::Relaxed) & COLLECT != 0 {
            poll.fetch_and(!COLLECT, Ordering::Relaxed);
            let due = match self.cycle {
                Cycle::Generational => self.generational.due(),
                // Its generation is the youngest, so that nothing is taken for a full collection
                // that is none.
                Cycle::BaconRajan => self.possible_roots_are_due().then_some(0),
                Cycle::None => None,
            };
            if let Some(generation) = due {
                let watched = self.overhead.is_watching().then(Instant::now);
                self.collect(generation, witness);
                if let Some(begun) = watched {
                    self.overhead.note_other(begun.elapsed());
                }
            }
        }
    }

    /// Collects a generation and all younger ones; with possible roots, whatever they reach. Does
    /// nothing if the heap has no cycle collector.
    #[inline(never)]
    pub(crate) fn collect<W: Witness>(self, generation: usize, witness: W) {
        self.settle_witnessed(witness);
        if self.cycle == Cycle::None {
            return;
        }
        let begun = Instant::now();
        let guard = AbortOnUnwind;
        self.collecting.set(true);
        witness.note(|| Step::Began { generation });
        let (examined, unreachable) = match self.cycle {
            Cycle::BaconRajan => self.collect_possible_roots(generation < OLDEST, witness),
            _ => self.collect_generations(generation, witness),
        };
        witness.note(|| Step::Ended {
            examined,
            unreachable,
        });
        self.collecting.set(false);
        std::mem::forget(guard);
        self.inner.counters.collected();
        self.account_metadata();
        let kind = EventKind::Collection {
            generation: generation as u8,
            examined,
            unreachable,
        };
        self.inner.record(self.me, begun, kind);
        self.tidy(begun);
    }

    /// Divides the candidates, whose side bytes are [`YOUNG`]: afterwards those of the reachable
    /// are above. Stale side bytes are cleared. Returns how many were examined.
    fn detect<W: Witness>(self, candidates: &Candidates, witness: W) -> u64 {
        witness.note(|| Step::Subtracting);
        let mut examined = 0;
        let mut popular = Popular::default();
        let listed = self.generational.listed_bits();
        let mut subtract = |object, side: &Cell<u8>| {
            examined += u64::from(subtract(object, side.get(), listed, &mut popular, witness));
            true
        };
        candidates.each_in_blocks::<false>(&mut subtract);
        for &object in &candidates.others {
            subtract(object, side_byte(object));
        }
        let mut scratch = popular.scratch() + candidates.others.capacity();
        popular.resolve(candidates, witness);
        self.search(candidates, &mut scratch, witness);
        self.inner.counters.scratch(scratch * size_of::<Object>());
        examined
    }

    /// After subtraction, finds what is reachable from the candidates that something outside refers
    /// to.
    fn search<W: Witness>(self, candidates: &Candidates, scratch: &mut usize, witness: W) {
        witness.note(|| Step::Searching);
        let mut search = Search {
            stack: self.scratch.stack.take(),
            left_out: 0,
            queue: [None; IN_FLIGHT],
            next: 0,
            witness,
        };
        // A large object that something outside refers to is often the root of all the rest. It
        // comes first, so that what it refers to is only marked, for the sweep to visit in order,
        // and not all pushed.
        let mut rest = Vec::new();
        for (index, &object) in candidates.others.iter().enumerate() {
            if candidates.scattered {
                ask_ahead::<false>(&candidates.others, index);
            }
            witness.note(|| met(object));
            if is_reached(side_byte(object).get()) {
                search.scan(object, usize::MAX);
            } else if !room::push(&mut rest, object) {
                search.left_out += 1;
            }
        }
        // If that was so, the search is over.
        if candidates.any_unreached() {
            candidates.each_in_blocks::<false>(|object, side| {
                debug_assert!(side.get() >= YOUNG, "more edges than counts");
                witness.note(|| met(object));
                if is_reached(side.get()) {
                    search.visit(object, object.address());
                }
                true
            });
        }
        for &object in &rest {
            // Everything else has been visited: nothing is left to a later visit.
            if is_reached(side_byte(object).get()) {
                search.visit(object, 0);
            }
        }
        search.finish();
        while search.left_out > 0 {
            search.left_out = 0;
            self.search_again(candidates, &mut search);
        }
        *scratch += search.stack.capacity() + rest.capacity();
        let (blocks, large) = self.listable();
        room::fit(&mut search.stack, Scratch::stack_of(blocks, large));
        self.scratch.stack.replace(search.stack);
    }

    /// Scans everything that is reached, once more.
    #[cold]
    #[inline(never)]
    fn search_again<W: Witness>(self, candidates: &Candidates, search: &mut Search<W>) {
        candidates.each_in_blocks::<false>(|object, side| {
            if is_reached(side.get()) {
                search.visit(object, object.address());
            }
            true
        });
        for &object in &candidates.others {
            if is_reached(side_byte(object).get()) {
                search.visit(object, 0);
            }
        }
        search.finish();
    }

    /// After detection: gives the reachable candidates the side byte `survives`, and says what is
    /// left.
    fn divide(self, mut candidates: Candidates, survives: u8) -> Trash {
        let mut trash = Trash::new(Candidates::default());
        for &(block, stretches) in &candidates.blocks {
            for stretch in bits(stretches) {
                let bytes = block.side_bytes_in(stretch);
                // In words that the compiler makes vectors of: few objects are trash, and survivors
                // need nothing else.
                let mut unreached = false;
                for byte in bytes {
                    unreached |= byte.get() == YOUNG;
                    byte.set(if is_reached(byte.get()) {
                        survives
                    } else {
                        byte.get()
                    });
                }
                if unreached {
                    block
                        .cells_in(stretch)
                        .filter(|&cell| side_byte(cell).get() == YOUNG)
                        .for_each(|cell| trash.add(cell));
                }
            }
        }
        // Those that are reachable are no candidates any more: their side bytes say what generation
        // they are in, which is no balance to take edges from.
        let others = &mut candidates.others;
        others.retain(|&object| side_byte(object).get() == YOUNG);
        others.iter().for_each(|&object| trash.add(object));
        trash.among = candidates;
        let room = trash.listed.capacity();
        self.inner.counters.scratch(room * size_of::<Object>());
        trash
    }

    /// Disposes of cyclic garbage: objects whose side bytes are [`YOUNG`], as no other object's
    /// are.
    ///
    /// The order is CPython's: weak references are cleared first (an object that dies by its
    /// *count* is still visible through them when its finalizer is due; one that dies in a cycle is
    /// not), then finalizers are queued, which own what they refer to from then on; what they do
    /// not reach dies. Calls `survive` with the objects that live on, whose side bytes it sets.
    fn dispose<W: Witness>(self, mut trash: Trash, survive: impl Fn(Object), witness: W) {
        let mut finalizers = false;
        trash.each(|object| {
            finalizers |= is_due(object);
            if object.has(tag::HAS_WEAK) {
                self.clear_weak(object);
                witness.note(|| Step::WeakCleared {
                    object: object.into(),
                });
            }
        });
        if finalizers {
            trash.each(|object| {
                if is_due(object) {
                    self.queue_finalizer(object, witness);
                }
            });
            if trash.complete {
                let candidates = Candidates {
                    blocks: Vec::new(),
                    others: std::mem::take(&mut trash.listed),
                    scattered: false,
                };
                self.detect(&candidates, witness);
                trash.listed = candidates.others;
                trash.listed.retain(|&object| {
                    let reached = is_reached(side_byte(object).get());
                    if reached {
                        survive(object);
                    }
                    !reached
                });
            } else {
                self.detect(&trash.among, witness);
                trash.among.each(|object, side| {
                    if is_reached(side.get()) {
                        survive(object);
                    }
                });
            }
        }
        if self.allocator.is_guarded() {
            self.free_all::<true, W>(&trash, witness)
        } else {
            self.free_all::<false, W>(&trash, witness)
        }
        self.scratch.put_back(trash.among);
    }

    /// Frees objects that only refer to each other, and releases what else they refer to.
    /// References among them need no counting any more.
    fn free_all<const GUARDED: bool, W: Witness>(self, dying: &Trash, witness: W) {
        dying.each(|object| {
            for child in object.fields().iter().filter_map(|field| field.get()) {
                if side_byte(child).get() != YOUNG {
                    witness.note(|| released(Some(object), child, child.head()));
                    self.release(child);
                }
            }
        });
        let (mut objects, mut payload) = (0, 0);
        let listed = self.generational.listed_bits();
        dying.each(|object| {
            side_byte(object).set(0);
            objects += 1;
            payload += object.payload_bytes();
            self.free::<GUARDED>(object, object.head() & tag::ALL & !listed);
            witness.note(|| Step::Freed {
                object: object.into(),
            });
        });
        self.generational.freed(objects);
        self.inner.counters.freed(objects as u64, payload);
        if self.has_pending() {
            self.drain_witnessed(0, witness);
        }
    }
}

/// Whether an unreachable object's finalizer is due.
fn is_due(object: Object) -> bool {
    object.head() & (tag::FINALIZE | tag::FINALIZED) == tag::FINALIZE
}

/// The step of coming to a candidate in the search: none if an edge has led to it before.
fn met(object: Object) -> Option<Step> {
    let object_at = object.into();
    match side_byte(object).get() {
        YOUNG => Some(Step::Passed { object: object_at }),
        REACHED => None,
        side => Some(Step::Held {
            object: object_at,
            balance: i64::from(side) - i64::from(YOUNG),
        }),
    }
}

/// The numbers of the bits that are set.
fn bits(mut word: u64) -> impl Iterator<Item = u32> {
    std::iter::from_fn(move || take_bit::<true>(&mut word))
}
