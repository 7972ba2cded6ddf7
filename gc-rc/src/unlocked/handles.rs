//! Globals and weak references of a heap without the global lock.
//!
//! Making one works on a table, under the mutex of the tables. Opening a global touches nothing
//! that changes. *Upgrading* a weak reference takes no lock: it reads the object's address, then
//! whether it is counted. An address that is read is that of an object, or of memory that was one
//! within a grace period: when an object dies its weak references are cleared, and its memory is
//! used again a grace period after that ([`super::reclaim`]). An object whose count is zero is not
//! given out, so that nobody but those who hold it already can bring it back.
//!
//! What an upgrade gives out no stamp tells of; the tag says instead that there may have been one,
//! and whoever finds it waits for a grace period. So when the tag is taken back, because nobody has
//! a weak reference any more, the object is stamped first.

use crate::full::HeapFull;
use crate::handle::{Global, Weak};
use crate::mutator::{Mutator, Ref, no_handle};
use crate::object::tag;
use crate::regime::Unlocked;
use crate::unlocked::reclaim::leave_to_a_stop;

impl<'h, R: Unlocked> Mutator<'h, R> {
    /// A new root for the object that may leave the thread. Allocates a small cell outside the
    /// heap.
    ///
    /// # Panics
    ///
    /// If the system has no memory for the cell. The heap is as before: [`Mutator::try_global`]
    /// says so in a value.
    pub fn global<'m>(&'m self, object: Ref<'m, 'h>) -> Global {
        self.try_global(object)
            .unwrap_or_else(|full| no_handle("global", full))
    }

    /// [`Mutator::global`], or why there is none.
    ///
    /// # Errors
    ///
    /// [`HeapFull`] if the system has no memory for the cell. The heap is as before.
    pub fn try_global<'m>(&'m self, object: Ref<'m, 'h>) -> Result<Global, HeapFull> {
        let tables = self.tables();
        let global = Global::uncounted(tables.proof(), object.object)?;
        R::show(self, object.object);
        R::retain(self, object.object);
        Ok(global)
    }

    /// The object a global roots.
    ///
    /// # Panics
    ///
    /// If the global belongs to another heap.
    pub fn open<'m>(&'m self, global: &'m Global) -> Ref<'m, 'h> {
        Ref::new(global.object_of(&self.inner.base))
    }

    /// A weak reference to the object. The first one to an object makes an entry in a table outside
    /// the heap.
    ///
    /// # Panics
    ///
    /// If the system has no memory for the entry. The heap is as before: [`Mutator::try_downgrade`]
    /// says so in a value.
    pub fn downgrade<'m>(&'m self, object: Ref<'m, 'h>) -> Weak {
        self.try_downgrade(object)
            .unwrap_or_else(|full| no_handle("weak reference", full))
    }

    /// [`Mutator::downgrade`], or why there is no weak reference.
    ///
    /// # Errors
    ///
    /// [`HeapFull`] if the system has no memory for the entry. The heap is as before.
    pub fn try_downgrade<'m>(&'m self, object: Ref<'m, 'h>) -> Result<Weak, HeapFull> {
        let tables = self.tables();
        // What a weak reference that is gone gave out may still be held.
        let forget = |object| {
            R::renew(self, object);
            R::forget(self, object, tag::HAS_WEAK);
        };
        let weak = Weak::listed(tables.proof(), object.object, forget)?;
        R::watch(self, object.object);
        R::note(self, object.object, tag::HAS_WEAK);
        Ok(weak)
    }

    /// The object of a weak reference, unless it has died; one whose last reference is gone counts
    /// as dead, although its fields could still be read through a [`Ref`] taken before.
    ///
    /// # Panics
    ///
    /// If the weak reference belongs to another heap.
    pub fn upgrade<'m>(&'m self, weak: &Weak) -> Option<Ref<'m, 'h>> {
        let object = weak.object_of(&self.inner.base)?;
        (R::count(object) > 0).then(|| Ref::new(object))
    }

    /// Releases the globals that were dropped.
    #[cold]
    #[inline(never)]
    pub(super) fn release_globals(&self) {
        let tables = self.tables();
        let locked = tables.proof();
        locked.take_globals(|object| {
            // The mutex is held, so that an object that cannot be listed is not just retired.
            if R::release(self, object) && !self.list_retired(object) {
                R::requeue(self, object);
                leave_to_a_stop(locked);
            }
        });
        locked.account_metadata();
    }
}
