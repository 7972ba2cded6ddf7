//! The regime [`Atomic`]: a count is the upper half of the head, and changed by one operation on
//! that ([`super::word`]).
//!
//! One unit of 64 bits behind an object's words holds its stamp ([`super::epoch`]): a node of two
//! references and a word, with header, then takes 48 bytes, as its size class has them under the
//! lock. In the header there is no room: the count, the tag and the collector's carry fill it.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed, Ordering::SeqCst};

use crate::mutator::Mutator;
use crate::object::{Object, Shape};
use crate::regime::Atomic;
use crate::unlocked::word::{self, Look, Released};
use crate::unlocked::{Commons, Counting};

/// The stamp of an object.
#[inline(always)]
fn stamp<'a>(object: Object) -> &'a AtomicU32 {
    // SAFETY: objects of this regime have a unit behind their words, of which this is the lower
    // half, and nobody takes that for anything else.
    unsafe { AtomicU32::from_ptr(object.last_unit().cast()) }
}

impl Counting for Atomic {
    const UNITS: u32 = 1;

    #[inline(always)]
    unsafe fn begin(commons: &Commons, object: Object, shape: Shape) {
        let units = shape.refs as usize + shape.words as usize;
        // SAFETY: the caller's promise. Nothing has been cut off from a new object.
        unsafe { object.write_word(units, u64::from(commons.epoch.old_stamp())) };
    }

    #[inline(always)]
    fn retain(_: &Mutator<'_, Self>, object: Object) {
        word::retain(object.shared_head());
    }

    #[inline(always)]
    fn retain_in_field(_: &Mutator<'_, Self>, object: Object) {
        word::retain_in_field(object.shared_head());
    }

    #[inline(always)]
    fn release(m: &Mutator<'_, Self>, object: Object) -> bool {
        // Before the count is lowered: whoever sees that, by its release, sees the stamp.
        stamp(object).store(m.inner.epoch.stamp(), Relaxed);
        matches!(word::release(object.shared_head()), Released::Last(_))
    }

    #[inline(always)]
    fn release_of_dead(_: &Mutator<'_, Self>, object: Object) -> Released {
        word::release(object.shared_head())
    }

    #[inline(always)]
    fn look(_: &Mutator<'_, Self>, object: Object) -> Look {
        word::look(object.shared_head())
    }

    #[inline(always)]
    fn is_young(commons: &Commons, object: Object) -> bool {
        commons.epoch.is_young(stamp(object).load(Relaxed))
    }

    #[inline(always)]
    fn renew(m: &Mutator<'_, Self>, object: Object) {
        stamp(object).store(m.inner.epoch.stamp(), SeqCst);
    }
}
