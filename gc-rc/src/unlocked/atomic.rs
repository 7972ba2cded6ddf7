//! The regime [`Atomic`]: a count is the upper half of the head, and changed by one operation on
//! that ([`super::word`]).
//!
//! Where a count may be lowered by several threads at once, so may its stamp be written; what comes
//! of that is in [`super::epoch`].

use std::sync::atomic::{Ordering::Relaxed, Ordering::SeqCst};

use crate::mutator::Mutator;
use crate::object::Object;
use crate::regime::Atomic;
use crate::unlocked::word::{self, Look, Released};
use crate::unlocked::{Counting, stamp};

impl Counting for Atomic {
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
    fn renew(m: &Mutator<'_, Self>, object: Object) {
        stamp(object).store(m.inner.epoch.stamp(), SeqCst);
    }
}
