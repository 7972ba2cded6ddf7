//! The remembered set: which old objects may refer to young ones.
//!
//! A minor collection does not look at old objects (those that an earlier collection has marked),
//! so it must be told of the references that mutators have stored into them since. The write
//! barrier does, per *object*, not per field (object logging: Blackburn and Hosking, ISMM 2004;
//! MMTk's `ObjectBarrier`): the first store into an old object puts it into the mutator's [`Log`]
//! and makes further stores fast. The collector looks through all its fields, and makes it log
//! again.
//!
//! Whether a store is to be remembered is a bit of the object's header, which a store loads anyhow
//! to check the index. The collector sets it when it marks the object, and never on objects without
//! reference fields.
//!
//! A large object (a table of a million references) would be looked through as a whole at each
//! minor collection for the sake of one store. It is remembered by *cards* of [`CARD`] bytes
//! instead. A card's state is a byte among the object's marks, of which a large object uses none
//! but the first. The header's bit stays set, so that every store looks at its card.
//!
//! A store of null creates no reference, and is not remembered.
//!
//! A log for which the system has no memory is [incomplete](Log::is_incomplete), and the next
//! collection a major one, which needs none.
//!
//! # Invariants
//!
//! 1. While the heap is *armed* (its last major collection set the bits, see [`crate::policy`]): a
//!    field of a marked object refers to a marked object, or the object's bit is clear and it is in
//!    a log, or the field's card is dirty and in a log, or a log is incomplete.
//! 2. A card's byte is not 0 exactly while a log holds the card.
//! 3. The bits are set while the world is stopped, and cleared by mutators. There is no safepoint
//!    between the test of a bit and the store it is for, so no collection can come between them.
//!
//! Rejected: a bit in a side table (a second address to compute and a second line to load for each
//! store); cards for all objects (a scan of a card begins in the middle of objects, and needs a way
//! to find their starts); a filter for old values (it loads the value's header, a cache miss where
//! values are picked at random, to save one store per object and collection).

use std::cell::Cell;
use std::sync::{Mutex, MutexGuard};

use handshake::process::is_held;

use crate::block::{LARGE, Space};
use crate::object::{HEADER, Object};
use crate::room;

/// Bytes of a card.
pub(crate) const CARD: usize = 512;

/// A part of a large object.
#[derive(Clone, Copy)]
pub(crate) struct Card {
    object: Object,
    index: u32,
}

/// The index of the card in which a field lies.
#[inline(always)]
pub(crate) fn card_of(field: usize) -> usize {
    (HEADER + 8 * field) / CARD
}

impl Card {
    /// The card in which a field lies.
    #[inline(always)]
    fn of(object: Object, field: usize) -> Self {
        Self {
            object,
            index: card_of(field) as u32,
        }
    }

    /// The fields in the card, of an object that has `refs`.
    fn fields(self, refs: usize) -> (usize, usize) {
        let start = self.index as usize * CARD;
        let from = start.saturating_sub(HEADER) / 8;
        (from, ((start + CARD - HEADER) / 8).min(refs))
    }
}

/// What one mutator has remembered since the last collection.
#[derive(Default)]
pub(crate) struct Log {
    objects: Cell<Vec<Object>>,
    cards: Cell<Vec<Card>>,
    /// Whether there was no memory for something that should be in it.
    incomplete: Cell<bool>,
}

impl Log {
    /// Remembers that a field of the object, which is logging, is about to be written.
    ///
    /// # Safety
    ///
    /// The object is live and has the field; the caller is a running mutator of its heap.
    #[cold]
    #[inline(never)]
    pub(crate) unsafe fn remember(&self, space: &Space, object: Object, field: usize) {
        // SAFETY: passed on.
        if unsafe { object.header() }.size() > LARGE {
            let card = Card::of(object, field);
            // SAFETY: only large objects log cards.
            let state = unsafe { space.card(object, card.index as usize) };
            if state.is_clean() && state.soil() && !push(&self.cards, card) {
                state.clean();
                self.incomplete.set(true);
            }
        // SAFETY: passed on.
        } else if unsafe { object.clear_logging() } && !push(&self.objects, object) {
            self.incomplete.set(true);
        }
    }

    /// Whether something has been written that it does not hold. Then a minor collection would miss
    /// what only that refers to: the next one must be a major one.
    pub(crate) fn is_incomplete(&self) -> bool {
        self.incomplete.get()
    }

    /// Bytes of memory.
    pub(crate) fn footprint(&self) -> usize {
        let (objects, cards) = (self.objects.take(), self.cards.take());
        let bytes = objects.capacity() * size_of::<Object>() + cards.capacity() * size_of::<Card>();
        self.objects.set(objects);
        self.cards.set(cards);
        bytes
    }

    /// The objects that are remembered as a whole.
    pub(crate) fn objects(&self) -> Vec<Object> {
        let objects = self.objects.take();
        let copy = objects.clone();
        self.objects.set(objects);
        copy
    }

    /// Empties the log; calls `f` with each object in it and the range of its fields that is to be
    /// looked through. What it held will be remembered again when it is next written.
    ///
    /// # Safety
    ///
    /// No mutator runs, and what was live when it was stopped still is.
    pub(crate) unsafe fn drain(&self, space: &Space, mut f: impl FnMut(Object, usize, usize)) {
        let (mut objects, mut cards) = (self.objects.take(), self.cards.take());
        let lengths = (objects.len(), cards.len());
        for object in objects.drain(..) {
            // SAFETY: what is in a log was live when it was put there, and there has been no
            // collection since.
            let header = unsafe { object.header() };
            // SAFETY: as above; no mutator runs.
            unsafe { object.set_logging(header, true) };
            f(object, 0, header.refs());
        }
        for card in cards.drain(..) {
            // SAFETY: as above; only large objects have cards.
            let header = unsafe {
                space.card(card.object, card.index as usize).clean();
                card.object.header()
            };
            let (from, until) = card.fields(header.refs());
            f(card.object, from, until);
        }
        room::fit(&mut objects, lengths.0);
        room::fit(&mut cards, lengths.1);
        self.objects.set(objects);
        self.cards.set(cards);
        self.incomplete.set(false);
    }
}

#[inline(always)]
fn push<T>(list: &Cell<Vec<T>>, item: T) -> bool {
    let mut items = list.take();
    let pushed = room::push(&mut items, item);
    list.set(items);
    pushed
}

/// The log of mutators that have detached since the last collection.
#[derive(Default)]
pub(crate) struct Orphans(Mutex<Log>);

impl Orphans {
    /// After a fork: whether a thread that is not there holds the lock.
    pub(crate) fn is_held(&self) -> bool {
        is_held(&self.0)
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Log> {
        self.0
            .lock()
            .expect("no code that panics runs under this lock")
    }

    /// Takes over what is in `log`, or notes that it could not.
    ///
    /// # Safety
    ///
    /// There has been no collection since `log`'s mutator last ran.
    pub(crate) unsafe fn adopt(&self, space: &Space, log: &Log) {
        let orphans = self.lock();
        let adopted = append(&orphans.objects, &log.objects);
        if !append(&orphans.cards, &log.cards) {
            for card in log.cards.take() {
                // SAFETY: what is in a log was live when it was put there, and there has been no
                // collection since.
                unsafe { space.card(card.object, card.index as usize) }.clean();
            }
            orphans.incomplete.set(true);
        }
        if !adopted || log.is_incomplete() {
            orphans.incomplete.set(true);
        }
    }
}

/// Moves what is in the one list to the other, if there is memory for that.
fn append<T>(to: &Cell<Vec<T>>, from: &Cell<Vec<T>>) -> bool {
    let (mut items, mut more) = (to.take(), from.take());
    if items.len() < more.len() {
        std::mem::swap(&mut items, &mut more);
    }
    let room = items.try_reserve(more.len()).is_ok();
    if room {
        items.append(&mut more);
    }
    to.set(items);
    from.set(more);
    room
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_lies_in_the_fields_of_its_card() {
        let space = Space::new(1 << 20).unwrap();
        let object = Object::from_raw(space.large_start().as_ptr().cast()).unwrap();
        for refs in [1100, 1023, 64 * 63] {
            for field in 0..refs {
                let (from, until) = Card::of(object, field).fields(refs);
                assert!((from..until).contains(&field), "field {field} of {refs}");
                assert!(until - from <= CARD / 8);
            }
        }
    }
}
