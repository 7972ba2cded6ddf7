//! What is reachable from outside the candidates: subtraction, and the search ([`crate::cycle`]
//! says how they work).

use std::cell::Cell;
use std::collections::HashMap;

use crate::block::side_byte;
use crate::cycle::ahead::{IN_FLIGHT, ask_ahead};
use crate::cycle::candidates::{Candidates, Scratch, Trash};
use crate::cycle::{
    REACHED, SMALL_COUNT, YOUNG, bits, clear_stale, is_alive, is_candidate, is_reached,
    is_tracked_object,
};
use crate::heap::Locked;
use crate::object::{MAX_CARRY, Object, tag};
use crate::room;
use crate::step::{Step, Witness};

/// Candidates whose counts no side byte takes up.
#[derive(Default)]
pub(crate) struct Popular {
    objects: Vec<Object>,
    /// There are more than these.
    unlisted: bool,
    /// Carries that left the header, too.
    beyond: HashMap<Object, u64>,
    /// There are more than these: objects with the largest carry in their headers.
    lost: bool,
}

impl Popular {
    /// Makes room in the side byte of `object` for more edges. Returns its new value.
    #[cold]
    #[inline(never)]
    pub(crate) fn carry(&mut self, object: Object) -> u8 {
        if !is_tracked_object(object) {
            clear_stale(object);
            return 0;
        }
        let carry = object.carry();
        if carry < MAX_CARRY {
            object.set_carry(carry + 1);
        } else if !self.lost && self.beyond.try_reserve(1).is_ok() {
            object.set_carry(0);
            *self.beyond.entry(object).or_default() += MAX_CARRY + 1;
        } else {
            self.lost = true;
        }
        SMALL_COUNT
    }

    /// The balance of a tracked object during subtraction, for a witness.
    pub(crate) fn balance(&self, object: Object) -> i64 {
        let carry = object.carry() + self.beyond.get(&object).copied().unwrap_or(0);
        i64::from(side_byte(object).get())
            - i64::from(YOUNG)
            - (carry * u64::from(SMALL_COUNT)) as i64
    }

    /// Words of scratch memory.
    pub(crate) fn scratch(&self) -> usize {
        self.objects.capacity() + 4 * self.beyond.capacity()
    }

    /// Lists an object.
    #[inline(always)]
    pub(crate) fn add(&mut self, object: Object) {
        if !room::push(&mut self.objects, object) {
            self.unlisted = true;
        }
    }
}

/// The step of taking an edge away from the balance of `to`, whose side byte was `value`: none if
/// that is no candidate.
pub(crate) fn subtracted(from: Object, to: Object, value: u8, popular: &Popular) -> Option<Step> {
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

impl<W: Witness> Locked<'_, W> {
    /// Divides the candidates, whose side bytes are [`YOUNG`]: afterwards those of the reachable
    /// are above. Stale side bytes are cleared. Returns how many were examined.
    pub(crate) fn detect(self, candidates: &Candidates) -> u64 {
        self.note(|| Step::Subtracting);
        let mut examined = 0;
        let mut popular = Popular::default();
        let listed = self.generational.listed_bits();
        let mut subtract = |object, side: &Cell<u8>| {
            examined += u64::from(self.subtract(object, side.get(), listed, &mut popular));
            true
        };
        candidates.each_in_blocks::<false>(&mut subtract);
        for (index, &object) in candidates.others.iter().enumerate() {
            if candidates.scattered {
                ask_ahead::<false>(&candidates.others, index);
            }
            subtract(object, side_byte(object));
        }
        let mut scratch = popular.scratch() + candidates.scratch();
        self.resolve(popular, candidates);
        self.search(candidates, &mut scratch);
        self.inner.counters.scratch(scratch * size_of::<Object>());
        examined
    }

    /// Adds the count of a candidate to its side byte, and takes the edges from it away from those
    /// of other candidates. Returns whether it was one: a stale side byte is cleared. `listed` are
    /// the bits of the tag that say that the cell is listed as young.
    #[inline(always)]
    fn subtract(self, object: Object, byte: u8, listed: u64, popular: &mut Popular) -> bool {
        let marks = object.marks();
        if marks & (tag::FREE | tag::UNTRACKED | tag::DEAD) != 0 {
            clear_stale(object);
            return false;
        }
        // Candidates leave the young; old objects are not written to.
        if marks & listed != 0 {
            object.set_marks(marks & !listed);
        }
        let mut count = object.count();
        if count > u32::from(SMALL_COUNT) {
            count = object.references();
        }
        if count <= u32::from(SMALL_COUNT) {
            side_byte(object).set(byte + count as u8);
        } else {
            popular.add(object);
        }
        self.note(|| Step::Counted {
            object: object.into(),
            count,
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
            self.note(|| subtracted(object, child, value, popular));
        }
        true
    }

    /// Compares the counts of popular objects with the edges to them that were found among
    /// `candidates`. No carries remain.
    pub(crate) fn resolve(self, popular: Popular, candidates: &Candidates) {
        if popular.unlisted {
            candidates.each(|object, _| {
                if object.references() > u32::from(SMALL_COUNT) {
                    self.compare(object, &popular);
                }
            });
        } else {
            for &object in &popular.objects {
                self.compare(object, &popular);
            }
        }
    }

    fn compare(self, object: Object, popular: &Popular) {
        let beyond = popular.beyond.get(&object).copied();
        let in_header = object.carry();
        let carry = in_header + beyond.unwrap_or(0);
        let edges = carry * u64::from(SMALL_COUNT) + u64::from(YOUNG - side_byte(object).get());
        object.set_carry(0);
        let count = object.references();
        let uncertain = popular.lost && (in_header == MAX_CARRY || beyond.is_some());
        debug_assert!(
            object.is_immortal() || edges <= u64::from(count),
            "more edges than counts"
        );
        let reached = object.is_immortal() || uncertain || edges < u64::from(count);
        side_byte(object).set(if reached { REACHED } else { YOUNG });
        self.note(|| Step::Compared {
            object: object.into(),
            count,
            balance: i64::from(count) - edges as i64,
        });
    }

    /// After subtraction, finds what is reachable from the candidates that something outside refers
    /// to.
    pub(crate) fn search(self, candidates: &Candidates, scratch: &mut usize) {
        self.note(|| Step::Searching);
        let mut search = Search {
            stack: self.scratch.stack.take(),
            left_out: 0,
            queue: [None; IN_FLIGHT],
            next: 0,
            witness: self.witness,
        };
        // A large object that something outside refers to is often the root of all the rest. It
        // comes first, so that what it refers to is only marked, for the sweep to visit in order,
        // and not all pushed.
        let mut rest = Vec::new();
        for (index, &object) in candidates.others.iter().enumerate() {
            if candidates.scattered {
                ask_ahead::<false>(&candidates.others, index);
            }
            self.note(|| met(object));
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
                self.note(|| met(object));
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
    fn search_again(self, candidates: &Candidates, search: &mut Search<W>) {
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

    /// After detection: gives the candidates that are alive the side byte `survives`, and says what
    /// is left.
    pub(crate) fn divide(self, mut candidates: Candidates, survives: u8) -> Trash {
        let mut trash = Trash::new(Candidates::default());
        let listed = candidates.divide_listed(survives, &mut trash);
        let blocks: &[_] = if listed { &[] } else { &candidates.blocks };
        for &(block, stretches) in blocks {
            for stretch in bits(stretches) {
                let bytes = block.side_bytes_in(stretch);
                // In words that the compiler makes vectors of: few objects are trash, and survivors
                // need nothing else.
                let mut unreached = false;
                for byte in bytes {
                    unreached |= byte.get() == YOUNG;
                    byte.set(if is_alive(byte.get()) {
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

    /// Tells which candidates survive to `generation`, after detection.
    #[cold]
    pub(crate) fn note_survivors(self, candidates: &Candidates, generation: usize) {
        candidates.each(|object, side| {
            self.note(|| {
                is_reached(side.get()).then(|| Step::Survived {
                    object: object.into(),
                    generation,
                })
            });
        });
    }
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
