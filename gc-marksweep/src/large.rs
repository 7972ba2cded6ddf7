//! The large-object space: runs of pages, each with one object.
//!
//! First fit by address, free neighbours merged. Free runs are of two kinds: those that the system backs, which are used
//! first, and those that read as zero, because they were never used or have been given back. A large object's memory
//! is zero already if it comes from the latter.
//!
//! **Invariant.** Every page is in one free run, or in the run of one object, and no run is in both maps.
//!
//! Behind the supply's lock: a large object costs microseconds to clear and to touch, so its lock is not what counts.
//! Rejected: a hash set of objects (iteration order, and no neighbours to merge with); rounding to powers of two
//! (half a large array wasted in the worst case).

use std::collections::BTreeMap;

use crate::block::Space;
use crate::object::{GRANULE, Object};
use crate::os::PAGE;
use crate::policy::Extent;

/// What a run of pages costs of the limit: its pages, and a mark byte for each of their granules.
pub(crate) fn large_charge(pages: usize) -> usize {
    pages * PAGE + pages * PAGE / GRANULE
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
    /// First page -> free run that reads as zero and is not backed by memory.
    pub(crate) clean: BTreeMap<usize, FreeRun>,
    /// The same for free runs that are backed by memory.
    pub(crate) dirty: BTreeMap<usize, FreeRun>,
    /// Those that have been found live by a collection come first.
    pub(crate) objects: Vec<LargeObject>,
    /// How many have been, and the bytes of those, headers and rounding included.
    old: usize,
    pub(crate) live: usize,
}

/// A free run of pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FreeRun {
    pub(crate) pages: usize,
    /// The stage of [`Ageing`](crate::supply) in which a part of it was last freed.
    pub(crate) freed: u64,
}

impl LargeSpace {
    pub(crate) fn new(pages: usize) -> Self {
        Self {
            clean: BTreeMap::from([(0, FreeRun { pages, freed: 0 })]),
            dirty: BTreeMap::new(),
            objects: Vec::new(),
            old: 0,
            live: 0,
        }
    }

    /// A run of `pages`: one that is backed by memory if there is one that long.
    pub(crate) fn take(&mut self, pages: usize) -> Option<Run> {
        for (dirty, free) in [(true, &mut self.dirty), (false, &mut self.clean)] {
            if let Some((&page, &run)) = free.iter().find(|(_, run)| run.pages >= pages) {
                free.remove(&page);
                if run.pages > pages {
                    let rest = FreeRun {
                        pages: run.pages - pages,
                        ..run
                    };
                    free.insert(page + pages, rest);
                }
                return Some(Run { page, dirty });
            }
        }
        None
    }

    /// Frees the objects that are not marked, of the young ones or of all; returns how many pages those had.
    pub(crate) fn reclaim(&mut self, space: &Space, extent: Extent, stage: u64) -> usize {
        if extent == Extent::Whole {
            (self.old, self.live) = (0, 0);
        }
        let from = self.old;
        let mut freed = 0;
        let mut kept = from;
        for index in from..self.objects.len() {
            let run = self.objects[index];
            if space.is_marked(run.object) {
                self.objects[kept] = run;
                self.live += run.size;
                kept += 1;
            } else {
                freed += run.pages;
                let free = FreeRun {
                    pages: run.pages,
                    freed: stage,
                };
                insert_merged(&mut self.dirty, run.page, free);
            }
        }
        self.objects.truncate(kept);
        self.old = kept;
        freed
    }

    /// Gives the free runs of stages before `stage` back to the system; returns how many pages those were.
    pub(crate) fn release_dirty(&mut self, space: &Space, stage: u64) -> usize {
        let Self { clean, dirty, .. } = self;
        let mut released = 0;
        dirty.retain(|&page, run| {
            if run.freed >= stage {
                return true;
            }
            // SAFETY: a free run holds no object.
            unsafe { space.release_large(page * PAGE, run.pages * PAGE) };
            insert_merged(clean, page, *run);
            released += run.pages;
            false
        });
        released
    }
}

fn insert_merged(runs: &mut BTreeMap<usize, FreeRun>, page: usize, run: FreeRun) {
    let (mut page, mut run) = (page, run);
    let join = |one: FreeRun, two: FreeRun| FreeRun {
        pages: one.pages + two.pages,
        freed: one.freed.max(two.freed),
    };
    if let Some((&before, &length)) = runs.range(..page).next_back()
        && before + length.pages == page
    {
        runs.remove(&before);
        page = before;
        run = join(length, run);
    }
    if let Some(after) = runs.remove(&(page + run.pages)) {
        run = join(run, after);
    }
    runs.insert(page, run);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_runs_merge_with_their_neighbours() {
        let mut runs = BTreeMap::new();
        for (freed, page) in [0, 4, 2, 6, 3, 5, 1].into_iter().enumerate() {
            let freed = freed as u64;
            insert_merged(&mut runs, page, FreeRun { pages: 1, freed });
        }
        let merged = FreeRun { pages: 7, freed: 6 };
        assert_eq!(runs, BTreeMap::from([(0, merged)]));
    }
}
