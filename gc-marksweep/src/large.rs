//! The large-object space: runs of pages, each with one object.
//!
//! First fit by address, free neighbours merged; [`Runs`] find the run without a scan. Free runs
//! are of two kinds: those that the system backs, which are used first, and those that read as
//! zero, because they were never used or have been given back. A large object's memory is zero
//! already if it comes from the latter.
//!
//! Address space is reserved in steps, as objects need it. Runs do not move, so after a while it
//! may take more of it than the limit allows bytes; it grows up to a multiple of the limit, but
//! once there is as much of it as the limit, only when runs of both kinds together have no place.
//!
//! **Invariant.** Every page that is [reserved](LargeSpace::pages) is in one free run, or in the
//! run of one object, and no run is of both kinds. No two free runs of a kind touch.
//!
//! Behind the supply's lock: a large object costs microseconds to clear and to touch, so its lock
//! is not what counts. Rejected: a hash set of objects (iteration order, and no neighbours to merge
//! with); rounding to powers of two (half a large array wasted in the worst case); all of the
//! address space at once (a limit of 1 GiB was refused where the process may have 5 GiB).

use crate::block::{BYTES_PER_MARK_BYTE, Space};
use crate::object::Object;
use crate::os::{PAGE, Refused};
use crate::policy::Extent;
use crate::room;
use crate::runs::Runs;
use crate::table::Table;

/// Bytes of the tables of free runs for each page.
const PAGE_TABLES: usize = 13;

/// What a run of pages costs of the limit: its pages, the marks of their granules, and its share of
/// the tables.
pub(crate) fn large_charge(pages: usize) -> usize {
    pages * (PAGE + PAGE / BYTES_PER_MARK_BYTE + PAGE_TABLES)
}

#[derive(Clone, Copy)]
pub(crate) struct LargeObject {
    pub(crate) object: Object,
    pub(crate) page: usize,
    pub(crate) pages: usize,
    /// Bytes of the object, rounding to a granule included.
    pub(crate) size: usize,
}

/// A run of pages that has been taken for an object.
#[derive(Clone, Copy)]
pub(crate) struct Run {
    pub(crate) page: usize,
    /// Whether an object has lain in it since it was last given back to the system.
    pub(crate) dirty: bool,
}

/// The large-object space.
pub(crate) struct LargeSpace {
    /// Free runs that read as zero and are not backed by memory.
    clean: Runs,
    /// Free runs that are backed by memory.
    dirty: Runs,
    /// Of each dirty run, at its first page: the stage of [`Ageing`](crate::ageing) in which a part
    /// of it was last freed.
    freed: Table<u32>,
    /// Pages that address space has been reserved for.
    pages: usize,
    /// Those that have been found live by a collection come first.
    pub(crate) objects: Vec<LargeObject>,
    /// How many have been, and the bytes of those, headers and rounding included.
    old: usize,
    pub(crate) live: usize,
}

impl LargeSpace {
    pub(crate) fn new(space: &Space) -> Result<Self, Refused> {
        let room = space.large_room() / PAGE;
        let mut large = Self {
            clean: Runs::new(room)?,
            dirty: Runs::new(room)?,
            freed: Table::new(room)?,
            pages: 0,
            objects: Vec::new(),
            old: 0,
            live: 0,
        };
        large.note_growth(space);
        Ok(large)
    }

    /// Pages that address space has been reserved for.
    pub(crate) fn pages(&self) -> usize {
        self.pages
    }

    /// Reserves so much more address space that a run of `pages` finds a place, and a good deal
    /// more than that if possible; `false` if the system refuses.
    pub(crate) fn grow(&mut self, space: &Space, pages: usize) -> bool {
        // The last free run goes on in what is new.
        let (last, length) = self.clean.last().unwrap_or((0, 0));
        let at_end = if last + length == self.pages {
            length
        } else {
            0
        };
        let needed = (self.pages + pages).saturating_sub(at_end) * PAGE;
        let generous = (self.pages * PAGE + space.large_room() / STEPS).min(space.large_room());
        let grown = (generous > needed && space.grow_large(generous)) || space.grow_large(needed);
        self.note_growth(space);
        grown
    }

    fn note_growth(&mut self, space: &Space) {
        let pages = space.large_length() / PAGE;
        if pages > self.pages {
            insert_merged(&mut self.clean, self.pages, pages - self.pages);
            self.pages = pages;
        }
    }

    /// A run of `pages`: one that is backed by memory if there is one that long.
    pub(crate) fn take(&mut self, pages: usize) -> Option<Run> {
        for (dirty, free) in [(true, &mut self.dirty), (false, &mut self.clean)] {
            if let Some((page, length)) = free.first(pages) {
                free.remove(page);
                if length > pages {
                    free.insert(page + pages, length - pages);
                    self.freed[page + pages] = self.freed[page];
                }
                return Some(Run { page, dirty });
            }
        }
        None
    }

    /// Makes room for one more object; `false` if there is none.
    pub(crate) fn reserve_object(&mut self) -> bool {
        let wanted = self.objects.len() + 1;
        room::set_aside(&mut self.objects, wanted)
    }

    /// Adds a run that has been used to those that are free.
    pub(crate) fn free(&mut self, page: usize, pages: usize, stage: u64) {
        // A stage is a second or so.
        let stage = u32::try_from(stage).unwrap_or(u32::MAX);
        let (page, _) = insert_merged(&mut self.dirty, page, pages);
        self.freed[page] = stage;
    }

    /// Frees the objects that are not marked, of the young ones or of all; returns how many pages
    /// those had, and the bytes of the young ones that are marked.
    pub(crate) fn reclaim(&mut self, space: &Space, extent: Extent, stage: u64) -> (usize, usize) {
        let old = self.old;
        if extent == Extent::Whole {
            (self.old, self.live) = (0, 0);
        }
        let from = self.old;
        let (mut freed, mut survived) = (0, 0);
        let mut kept = from;
        for index in from..self.objects.len() {
            let run = self.objects[index];
            if space.is_marked(run.object) {
                self.objects[kept] = run;
                self.live += run.size;
                survived += if index < old { 0 } else { run.size };
                kept += 1;
            } else {
                freed += run.pages;
                self.free(run.page, run.pages, stage);
            }
        }
        self.objects.truncate(kept);
        self.old = kept;
        room::fit(&mut self.objects, kept);
        (freed, survived)
    }

    /// Gives the free runs that were freed before `stage` back to the system; returns how many
    /// pages those were.
    pub(crate) fn release_before(&mut self, space: &Space, stage: u64) -> usize {
        let mut released = 0;
        let mut end = usize::MAX;
        while let Some((page, pages)) = self.dirty.before(end) {
            end = page;
            if u64::from(self.freed[page]) < stage {
                self.release(space, page, pages);
                released += pages;
            }
        }
        released
    }

    /// Gives free pages back to the system, those at the highest addresses, as many as `wanted` if
    /// there are so many; returns how many those were.
    pub(crate) fn release_some(&mut self, space: &Space, wanted: usize) -> usize {
        let mut released = 0;
        while released < wanted
            && let Some((page, pages)) = self.dirty.last()
        {
            let part = pages.min(wanted - released);
            self.release(space, page + pages - part, part);
            released += part;
        }
        released
    }

    /// Gives the end of a free run, or all of it, back to the system.
    fn release(&mut self, space: &Space, page: usize, pages: usize) {
        if self.dirty.remove(page) == 0 {
            let (start, _) = self
                .dirty
                .before(page)
                .expect("the pages are part of a free run");
            self.dirty.remove(start);
            self.dirty.insert(start, page - start);
        }
        // SAFETY: a free run holds no object.
        unsafe { space.release_large(page * PAGE, pages * PAGE) };
        insert_merged(&mut self.clean, page, pages);
    }
}

/// In how many steps the address space grows to its most.
const STEPS: usize = 64;

/// Adds a run, merged with its neighbours; returns what has become of it.
fn insert_merged(runs: &mut Runs, page: usize, pages: usize) -> (usize, usize) {
    let (mut page, mut pages) = (page, pages);
    if let Some((before, length)) = runs.before(page)
        && before + length == page
    {
        runs.remove(before);
        (page, pages) = (before, length + pages);
    }
    pages += runs.remove(page + pages);
    runs.insert(page, pages);
    (page, pages)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    #[test]
    fn free_runs_merge_with_their_neighbours() {
        let mut runs = Runs::new(8).unwrap();
        for page in [0, 4, 2, 6, 3, 5, 1] {
            insert_merged(&mut runs, page, 1);
        }
        assert_eq!((runs.before(8), runs.before(0)), (Some((0, 7)), None));
    }

    /// The free runs of one kind, each with the stage in which it was freed; found by looking at
    /// one after another.
    type Model = BTreeMap<usize, (usize, u64)>;

    fn add(runs: &mut Model, page: usize, pages: usize, stage: u64) {
        let (mut page, mut pages) = (page, pages);
        if let Some((&before, &(length, _))) = runs.range(..page).next_back()
            && before + length == page
        {
            runs.remove(&before);
            (page, pages) = (before, pages + length);
        }
        if let Some((length, _)) = runs.remove(&(page + pages)) {
            pages += length;
        }
        runs.insert(page, (pages, stage));
    }

    fn find(runs: &mut Model, pages: usize) -> Option<usize> {
        let (&page, &(length, stage)) = runs.iter().find(|(_, run)| run.0 >= pages)?;
        runs.remove(&page);
        if length > pages {
            runs.insert(page + pages, (length - pages, stage));
        }
        Some(page)
    }

    #[derive(Clone, Copy, Debug)]
    enum Operation {
        Take(usize),
        /// Which of those that have been taken.
        Free(usize),
        ReleaseBefore(u64),
        ReleaseSome(usize),
    }

    fn operation() -> impl Strategy<Value = Operation> {
        prop_oneof![
            6 => (1..40_usize).prop_map(Operation::Take),
            1 => (500..1500_usize).prop_map(Operation::Take),
            6 => any::<usize>().prop_map(Operation::Free),
            1 => (0..200_u64).prop_map(Operation::ReleaseBefore),
            1 => (1..100_usize).prop_map(Operation::ReleaseSome),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// What is backed is used first, at the lowest address where it fits; so is what is not;
        /// and no page is lost.
        #[test]
        #[cfg_attr(miri, ignore = "many operations on one table")]
        fn memory_is_taken_first_fit_by_address(
            operations in prop::collection::vec(operation(), 0..200),
        ) {
            let space = Space::new(1 << 20).unwrap();
            let mut large = LargeSpace::new(&space).unwrap();
            prop_assert!(large.grow(&space, 1));
            let mut clean = Model::from([(0, (large.pages(), 0))]);
            let mut dirty = Model::new();
            let mut taken = Vec::new();
            for (stage, operation) in operations.into_iter().enumerate() {
                let stage = stage as u64;
                match operation {
                    Operation::Take(pages) => {
                        let backed = find(&mut dirty, pages);
                        let expected = backed.or_else(|| find(&mut clean, pages));
                        let run = large.take(pages);
                        prop_assert_eq!(run.map(|run| run.page), expected);
                        if let Some(Run { page, dirty }) = run {
                            prop_assert_eq!(dirty, backed.is_some());
                            taken.push((page, pages));
                        }
                    }
                    Operation::Free(which) if !taken.is_empty() => {
                        let (page, pages) = taken.swap_remove(which % taken.len());
                        large.free(page, pages, stage);
                        add(&mut dirty, page, pages, stage);
                    }
                    Operation::Free(_) => {}
                    Operation::ReleaseBefore(stage) => {
                        let old = dirty.clone().into_iter().filter(|(_, run)| run.1 < stage);
                        let old: Vec<_> = old.collect();
                        dirty.retain(|_, run| run.1 >= stage);
                        let pages = old.iter().map(|(_, run)| run.0).sum::<usize>();
                        prop_assert_eq!(large.release_before(&space, stage), pages);
                        for (page, (pages, _)) in old {
                            add(&mut clean, page, pages, 0);
                        }
                    }
                    Operation::ReleaseSome(wanted) => {
                        let mut left = wanted;
                        while left > 0
                            && let Some((page, (pages, stage))) = dirty.pop_last()
                        {
                            let part = pages.min(left);
                            if part < pages {
                                dirty.insert(page, (pages - part, stage));
                            }
                            add(&mut clean, page + pages - part, part, 0);
                            left -= part;
                        }
                        prop_assert_eq!(large.release_some(&space, wanted), wanted - left);
                    }
                }
            }
            let free = clean.values().chain(dirty.values()).map(|run| run.0);
            let used = taken.iter().map(|&(_, pages)| pages);
            prop_assert_eq!(free.chain(used).sum::<usize>(), large.pages());
        }
    }
}
