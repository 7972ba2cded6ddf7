//! The operations of a mutator without the global lock: allocation, frames, access to objects.
//!
//! What is said of each under the lock holds here ([`crate::mutator`]); only what differs is said.
//! Fields are atomics: a reference is published by the exchange that stores it, with all that was
//! written to its object before, and whoever takes a reference out of a field is the one who
//! releases it (a load and a store where there is one mutator, [`super::single`]). Words are
//! relaxed atomics, so that programs that race on them read one of the values that were written.

use std::cell::Cell;
use std::marker::PhantomData;
use std::sync::atomic::Ordering::{Acquire, Relaxed};

use crate::alloc::{self, LARGE};
use crate::block::{Block, side_byte};
use crate::cycle::YOUNG;
use crate::frame::{FrameHead, FrameRecord, Local};
use crate::full::{FullCause, HeapFull};
use crate::mutator::{Mutator, Ref, no_such};
use crate::object::{
    Flags, HEADER_BYTES, Object, Shape, Slot, edges, is_tracked, shared, shared_word, tag,
};
use crate::regime::Unlocked;
use crate::step::Place;
use crate::unlocked::Replaced;

impl<'h, R: Unlocked> Mutator<'h, R> {
    /// What [events](crate::Event) call this mutator: mutators are numbered from 0 in order of
    /// attachment to their heap, and no number is used again.
    pub fn number(&self) -> u32 {
        self.id
    }

    // ---- may free, collect, or stop

    /// Makes an object of `shape`, fields null and words zero, and stores it in `into`. Stops the
    /// world at the limit only.
    ///
    /// # Errors
    ///
    /// [`HeapFull`]; `into` is then untouched. A shape larger than the limit fails at once, without
    /// a collection.
    #[inline]
    pub fn alloc(&mut self, into: Local<'_, 'h>, shape: Shape) -> Result<(), HeapFull> {
        let Some(words) = shape.words.checked_add(R::UNITS) else {
            let limit = self.inner.base.counters.limit();
            return Err(HeapFull::new(shape, limit, FullCause::System));
        };
        let whole = Shape { words, ..shape };
        let object = self.make(alloc::class_of(whole.bytes()), whole, 0)?;
        // The memory of a large object is zero from the start.
        if whole.bytes() <= alloc::SMALL_BYTES {
            // SAFETY: the cell was made for the shape.
            unsafe { object.zero(whole.refs as usize + whole.words as usize) };
        }
        // SAFETY: it was made for a unit more.
        unsafe { R::begin(self, object, shape) };
        self.put(into, object);
        Ok(())
    }

    /// Makes an object whose fields are copies of `refs` and whose words are `words`, and stores it
    /// in `into`, which may be one of the operands.
    ///
    /// # Errors
    ///
    /// [`HeapFull`]; `into` and the operands are then untouched.
    #[inline]
    pub fn alloc_init<const N: usize, const W: usize>(
        &mut self,
        into: Local<'_, 'h>,
        flags: Flags,
        refs: [Local<'_, 'h>; N],
        words: [u64; W],
    ) -> Result<(), HeapFull> {
        self.make_from(into, flags, refs, words, |operand| {
            let value = held::<R>(operand.slot);
            if let Some(object) = value {
                R::retain_in_field(self, object);
            }
            value
        })
    }

    /// As [`Mutator::alloc_init`], but *moves* the operands: they are taken from left to right, so
    /// that a local named twice is null the second time, and all are null afterwards (then `into`
    /// is set).
    ///
    /// # Errors
    ///
    /// [`HeapFull`]; `into` and the operands are then untouched.
    #[inline]
    pub fn alloc_move<const N: usize, const W: usize>(
        &mut self,
        into: Local<'_, 'h>,
        flags: Flags,
        refs: [Local<'_, 'h>; N],
        words: [u64; W],
    ) -> Result<(), HeapFull> {
        self.make_from(into, flags, refs, words, |operand| {
            let (value, counted) = take::<R>(operand.slot);
            if let Some(object) = value {
                if counted {
                    R::note(self, object, edges::IN);
                } else {
                    R::retain_in_field(self, object);
                }
            }
            value
        })
    }

    /// Runs `f` with `N` fresh locals, all null, which last until it returns or unwinds.
    #[inline]
    pub fn frame<const N: usize, T>(
        &mut self,
        f: impl for<'f> FnOnce(&mut Self, [Local<'f, 'h>; N]) -> T,
    ) -> T {
        /// Releases the locals and unlinks the record. Only retires: nothing is freed here, so it
        /// can run while unwinding.
        struct Guard<'a, 'h, R: Unlocked, const N: usize> {
            mutator: &'a mut Mutator<'h, R>,
            record: &'a FrameRecord<N>,
        }
        impl<R: Unlocked, const N: usize> Drop for Guard<'_, '_, R, N> {
            #[inline(always)]
            fn drop(&mut self) {
                for slot in &self.record.slots {
                    if let Some(object) = slot.get() {
                        self.mutator.let_go(object);
                    }
                }
                self.mutator.frames.set(self.record.head.previous);
            }
        }

        let record = FrameRecord {
            head: FrameHead {
                previous: self.frames.get(),
                len: N,
            },
            slots: [const { Cell::new(None) }; N],
        };
        self.frames.set((&raw const record).cast());
        let guard = Guard {
            mutator: self,
            record: &record,
        };
        let locals = std::array::from_fn(|index| Local {
            slot: &record.slots[index],
            brand: PhantomData,
        });
        f(guard.mutator, locals)
    }

    // ---- never free, collect or stop

    /// What the local holds. One load.
    #[inline(always)]
    pub fn get(&self, local: Local<'_, 'h>) -> Option<Ref<'_, 'h>> {
        held::<R>(local.slot).map(Ref::new)
    }

    /// Makes the local hold `value`. Counts the new reference and uncounts the old.
    #[inline]
    pub fn set<'m>(&'m self, local: Local<'_, 'h>, value: Option<Ref<'m, 'h>>) {
        // The new reference first: the old value may be the same object.
        let value = value.map(|value| R::hold(self, value.object));
        if let Some(old) = local.slot.replace(value) {
            self.let_go(old);
        }
    }

    /// Reads a reference field. Touches no count.
    ///
    /// # Panics
    ///
    /// If the object has no such field.
    #[inline(always)]
    pub fn load<'m>(&'m self, object: Ref<'m, 'h>, field: usize) -> Option<Ref<'m, 'h>> {
        match object.object.fields().get(field) {
            // Acquire: what was written to the object before it was stored is seen.
            Some(slot) => Object::of_pointer(shared(slot).load(Acquire)).map(Ref::new),
            None => no_such("field", field, object.object.refs()),
        }
    }

    /// Writes a reference field. Counts the new reference and uncounts the old.
    ///
    /// # Panics
    ///
    /// If the object has no such field.
    #[inline]
    pub fn store<'m>(&'m self, object: Ref<'m, 'h>, field: usize, value: Option<Ref<'m, 'h>>) {
        match object.object.fields().get(field) {
            Some(slot) => {
                let value = value.map(|value| value.object);
                self.replace(object.object, slot, value, false);
            }
            None => no_such("field", field, object.object.refs()),
        }
    }

    /// As [`Mutator::store`], but *moves* what a local holds into the field: the local is null
    /// afterwards. The moved reference's count is not touched.
    ///
    /// # Panics
    ///
    /// If the object has no such field; the local is then untouched.
    #[inline]
    pub fn store_move<'m>(&'m self, object: Ref<'m, 'h>, field: usize, from: Local<'_, 'h>) {
        match object.object.fields().get(field) {
            Some(slot) => {
                let (value, counted) = take::<R>(from.slot);
                self.replace(object.object, slot, value, counted);
            }
            None => no_such("field", field, object.object.refs()),
        }
    }

    /// Reads a payload word.
    ///
    /// # Panics
    ///
    /// If the object has no such word.
    #[inline(always)]
    pub fn word<'m>(&'m self, object: Ref<'m, 'h>, index: usize) -> u64 {
        match self.words_of(object).get(index) {
            Some(word) => shared_word(word).load(Relaxed),
            None => no_such("word", index, self.words_of(object).len()),
        }
    }

    /// Writes a payload word.
    ///
    /// # Panics
    ///
    /// If the object has no such word.
    #[inline(always)]
    pub fn set_word<'m>(&'m self, object: Ref<'m, 'h>, index: usize, value: u64) {
        match self.words_of(object).get(index) {
            Some(word) => shared_word(word).store(value, Relaxed),
            None => no_such("word", index, self.words_of(object).len()),
        }
    }

    /// The words that are the client's.
    #[inline(always)]
    fn words_of<'m>(&'m self, object: Ref<'m, 'h>) -> &'m [Cell<u64>] {
        let all = object.object.payload();
        // SAFETY: every object of this regime was made with so many units behind its words.
        unsafe { all.get_unchecked(..all.len() - R::UNITS as usize) }
    }

    /// The shape the object was allocated with.
    #[inline]
    pub fn shape<'m>(&'m self, object: Ref<'m, 'h>) -> Shape {
        let head = object.object.shared_head().load(Relaxed);
        let whole = object.object.shape_of(head);
        Shape {
            words: whole.words - R::UNITS,
            ..whole
        }
    }

    /// The object's reference count, of this moment. From `1 << 31` on it does not fall any more,
    /// and the object is immortal. References that are not counted
    /// ([`Deferred`](crate::Deferred)) are not in it.
    #[inline]
    pub fn count<'m>(&'m self, object: Ref<'m, 'h>) -> u32 {
        R::count_of_others(object.object)
    }

    /// Where the object lies: what [steps](crate::Step) call it.
    #[inline]
    pub fn place<'m>(&'m self, object: Ref<'m, 'h>) -> Place {
        object.object.into()
    }

    /// The objects whose count has fallen to zero by this mutator's doing since it last attended to
    /// such objects, in that order. Cost: proportional to their number.
    pub fn pending(&self) -> Vec<Place> {
        self.own.zeros.iter().map(Place::from).collect()
    }

    // ---- within

    /// Puts an object, with a reference that is counted already, into a local.
    #[inline(always)]
    pub(super) fn put(&self, into: Local<'_, 'h>, object: Object) {
        if let Some(old) = into.slot.replace(Some(object)) {
            self.let_go(old);
        }
    }

    /// Takes the reference of a slot of a frame away, which held this.
    #[inline(always)]
    fn let_go(&self, held: Object) {
        if !(R::DEFERS && held.is_tagged()) {
            self.release(held);
        }
    }

    /// Puts `value` in place of what a field of `from` holds: with a new reference, or, if it is
    /// `moved`, one that is counted already.
    #[inline(always)]
    fn replace(&self, from: Object, slot: &Slot, value: Option<Object>, moved: bool) {
        let Replaced { old, closes } = R::replace(self, from, slot, value, moved);
        if closes && let Some(value) = value {
            self.suspect(from, value);
        }
        if let Some(old) = old {
            self.release(old);
        }
    }

    /// [`Locked::suspect`](crate::heap::Locked::suspect).
    #[cold]
    #[inline(never)]
    fn suspect(&self, from: Object, to: Object) {
        let [from_head, to_head] = [from, to].map(|object| object.shared_head().load(Relaxed));
        if (from_head | to_head) & tag::UNTRACKED != 0 {
            return;
        }
        let from_the_young = from_head & tag::IN_YOUNG != 0 && to_head & tag::IN_YOUNG == 0;
        let older = if from_the_young { to } else { from };
        R::note(self, older, edges::SUSPECT);
        self.inner.base.protected.generational.note_suspect();
    }

    #[inline(always)]
    fn make_from<const N: usize, const W: usize>(
        &self,
        into: Local<'_, 'h>,
        flags: Flags,
        refs: [Local<'_, 'h>; N],
        words: [u64; W],
        take: impl Fn(Local<'_, 'h>) -> Option<Object>,
    ) -> Result<(), HeapFull> {
        const {
            assert!(
                N <= Shape::MAX_REFS as usize && W < Shape::MAX_WORDS as usize,
                "more fields or words than a shape has"
            )
        };
        let class = const { alloc::class_of(HEADER_BYTES + 8 * (N + W + R::UNITS as usize)) };
        let shape = Shape {
            refs: N as u32,
            words: W as u32,
            flags,
        };
        let whole = Shape {
            words: W as u32 + R::UNITS,
            ..shape
        };
        let object = self.make(class, whole, if N > 0 { edges::OUT } else { 0 })?;
        for (index, operand) in refs.into_iter().enumerate() {
            // SAFETY: the cell was made for N fields and W words.
            unsafe { object.write_field(index, take(operand)) };
        }
        for (index, word) in words.into_iter().enumerate() {
            // SAFETY: as above.
            unsafe { object.write_word(N + index, word) };
        }
        // SAFETY: it was made for a unit more.
        unsafe { R::begin(self, object, shape) };
        self.put(into, object);
        Ok(())
    }

    /// A cell for a new object of `whole`, the units of the regime included, with its header
    /// written and one reference counted; the caller writes fields, words and units at once.
    /// `edges` are the bits of the head that say what it will refer to.
    #[inline(always)]
    fn make(&self, class: usize, whole: Shape, edges: u64) -> Result<Object, HeapFull> {
        let cell = if class == LARGE {
            None
        } else {
            self.own.cells.pop(class)
        };
        let cell = match cell {
            Some(cell) => cell,
            None => self.obtain(class, whole)?,
        };
        let old = cell.head();
        let head = R::first(self) | old & tag::OF_CELL | whole.flags.bits() | edges;
        if is_tracked(whole.refs as usize, whole.flags) {
            cell.initialise(head | tag::IN_YOUNG, whole.refs, whole.words);
            if old & tag::IN_YOUNG == 0 {
                self.list_young(cell);
            }
            self.count_tracked();
        } else {
            cell.initialise(head | tag::UNTRACKED, whole.refs, whole.words);
            self.own.untracked.set(self.own.untracked.get() + 1);
        }
        if class == LARGE {
            self.tables().proof().list_new_large(cell);
        }
        self.own.tally.allocated(whole.payload_bytes());
        Ok(cell)
    }

    /// Lists a cell as young. Other mutators have cells in the same block.
    #[inline]
    fn list_young(&self, cell: Object) {
        side_byte(cell).set(YOUNG);
        let (block, stretch) = Block::locate(cell);
        let young = shared_word(block.young());
        if young.load(Relaxed) & stretch == 0 && young.fetch_or(stretch, Relaxed) == 0 {
            self.list_young_block(block);
        }
    }

    #[cold]
    #[inline(never)]
    fn list_young_block(&self, block: Block) {
        let tables = self.tables();
        tables.proof().generational.list_young_block(block);
    }
}

/// The object that a slot of a frame holds.
#[inline(always)]
fn held<R: Unlocked>(slot: &Slot) -> Option<Object> {
    let held = slot.get();
    if R::DEFERS {
        held.map(Object::untagged)
    } else {
        held
    }
}

/// Takes the object out of a slot of a frame; and whether its reference is counted.
#[inline(always)]
fn take<R: Unlocked>(slot: &Slot) -> (Option<Object>, bool) {
    let held = slot.take();
    if R::DEFERS {
        let counted = !held.is_some_and(Object::is_tagged);
        (held.map(Object::untagged), counted)
    } else {
        (held, true)
    }
}
