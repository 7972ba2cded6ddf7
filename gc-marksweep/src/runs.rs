//! Free runs of pages, found by address and by length in time that does not grow with their number.
//!
//! A tree over all pages, as a table: a leaf for each page, which holds the length of the free run
//! that *starts* there, or 0; above them, for each [`FAN`] entries of a level one that holds the
//! largest of them. The first run by address that is long enough is found from the top down, the
//! one before a page from the bottom up and down again; a change is carried upwards. Each looks at
//! no more than two times [`FAN`] entries, which lie in one cache line, on each of a few levels
//! (five for 4 GiB).
//!
//! The table is made with the heap, and backed where there are runs: no operation needs memory, so
//! none can fail. It takes little more than 4 bytes a page.
//!
//! **Invariant.** An entry above the leaves is the largest of the entries below it.
//!
//! Rejected: lists by classes of length (a class says nothing of addresses, and low ones keep a
//! heap together); ordered maps by address and by length (they allocate a node for a run, inside a
//! pause and under the supply's lock, where there may be no memory).

use crate::os::Refused;
use crate::table::Table;

/// Entries of one level that an entry of the next stands for.
const FAN: usize = 16;

/// Enough levels for any number of pages that an entry can hold.
const MOST_LEVELS: usize = 9;

/// Free runs of pages that do not touch one another, in a range of pages from 0.
pub(crate) struct Runs {
    table: Table<u32>,
    /// Where in the table each level begins, the leaves first; then where the last one ends.
    levels: [usize; MOST_LEVELS + 1],
    /// The level that has one entry.
    top: usize,
    /// Entries that have been looked at.
    #[cfg(test)]
    looked: std::cell::Cell<usize>,
}

impl Runs {
    /// No runs, among `pages`.
    pub(crate) fn new(pages: usize) -> Result<Self, Refused> {
        if u32::try_from(pages).is_err() {
            return Err(Refused::too_large());
        }
        let mut levels = [0; MOST_LEVELS + 1];
        let mut top = 0;
        let mut entries = pages.max(1);
        loop {
            // Whole groups, so that no operation looks past a level's end.
            levels[top + 1] = levels[top] + entries.next_multiple_of(FAN);
            // Two at least, so that there is something above every page.
            if entries == 1 && top > 0 {
                break;
            }
            entries = entries.div_ceil(FAN);
            top += 1;
        }
        Ok(Self {
            table: Table::new(levels[top + 1])?,
            levels,
            top,
            #[cfg(test)]
            looked: std::cell::Cell::new(0),
        })
    }

    /// The [`FAN`] entries of a level of which `index` is one.
    fn group(&self, level: usize, index: usize) -> &[u32] {
        #[cfg(test)]
        self.looked.set(self.looked.get() + FAN);
        let start = self.levels[level] + index / FAN * FAN;
        &self.table[start..start + FAN]
    }

    fn set(&mut self, page: usize, pages: usize) {
        self.table[page] = pages as u32;
        let mut index = page;
        for level in 0..self.top {
            let largest = self.group(level, index).iter().copied().max();
            index /= FAN;
            let above = &mut self.table[self.levels[level + 1] + index];
            let largest = largest.unwrap_or(0);
            if *above == largest {
                break;
            }
            *above = largest;
        }
    }

    /// The length of the run that starts at a page; 0 if none does.
    pub(crate) fn at(&self, page: usize) -> usize {
        if page < self.levels[1] {
            self.table[page] as usize
        } else {
            0
        }
    }

    /// Adds a run, which touches no other.
    pub(crate) fn insert(&mut self, page: usize, pages: usize) {
        debug_assert!(pages > 0 && self.at(page) == 0);
        self.set(page, pages);
    }

    /// Removes the run that starts at a page, if one does; returns its length, or 0.
    pub(crate) fn remove(&mut self, page: usize) -> usize {
        let pages = self.at(page);
        if pages > 0 {
            self.set(page, 0);
        }
        pages
    }

    /// The first run of at least `pages`, which is positive: where it starts, and its length.
    pub(crate) fn first(&self, pages: usize) -> Option<(usize, usize)> {
        let pages = u32::try_from(pages).ok()?;
        let mut index = 0;
        for level in (0..=self.top).rev() {
            let group = self.group(level, index);
            let within = group.iter().position(|&largest| largest >= pages)?;
            index = (index + within) * if level == 0 { 1 } else { FAN };
        }
        Some((index, self.at(index)))
    }

    /// The last run that starts before a page: where, and its length.
    pub(crate) fn before(&self, page: usize) -> Option<(usize, usize)> {
        let mut index = page.min(self.levels[1]);
        let mut level = 0;
        // Upwards, until there is something to the left.
        let mut found = loop {
            if level > self.top {
                return None;
            }
            if !index.is_multiple_of(FAN) {
                let last = index - 1;
                let group = &self.group(level, last)[..=last % FAN];
                if let Some(within) = group.iter().rposition(|&largest| largest > 0) {
                    break last / FAN * FAN + within;
                }
            }
            index /= FAN;
            level += 1;
        };
        // Down again, to the last of it.
        while level > 0 {
            level -= 1;
            let group = self.group(level, found * FAN);
            let within = group.iter().rposition(|&largest| largest > 0)?;
            found = found * FAN + within;
        }
        Some((found, self.at(found)))
    }

    /// The last run of all.
    pub(crate) fn last(&self) -> Option<(usize, usize)> {
        self.before(usize::MAX)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::{BTreeMap, btree_map::Entry};

    fn entries(runs: &Runs) -> Vec<(usize, usize)> {
        let mut all = Vec::new();
        let mut page = usize::MAX;
        while let Some((start, pages)) = runs.before(page) {
            all.push((start, pages));
            page = start;
        }
        all.reverse();
        all
    }

    /// What an operation looks at depends on the number of pages alone, and hardly on that.
    #[test]
    fn no_operation_looks_at_more_where_there_are_more_runs() {
        const PAGES: usize = 1 << 20;
        for apart in [2, 8, 1 << 10, 1 << 18] {
            let mut runs = Runs::new(PAGES).unwrap();
            (0..PAGES)
                .step_by(apart)
                .for_each(|page| runs.insert(page, 1));
            let looks = |runs: &mut Runs, operation: &dyn Fn(&mut Runs)| {
                runs.looked.set(0);
                operation(runs);
                runs.looked.get()
            };
            let at = PAGES / 2 + 7;
            let counts = [
                looks(&mut runs, &|runs| assert_eq!(runs.first(2), None)),
                looks(&mut runs, &|runs| assert_eq!(runs.first(1), Some((0, 1)))),
                looks(&mut runs, &|runs| assert!(runs.before(at).is_some())),
                looks(&mut runs, &|runs| assert_eq!(runs.remove(0), 1)),
                looks(&mut runs, &|runs| runs.insert(at, 1)),
            ];
            // Five levels above the leaves, twice.
            let most = 2 * 6 * FAN;
            assert!(
                counts.iter().all(|&count| count <= most),
                "{apart}: {counts:?}"
            );
        }
    }

    #[derive(Clone, Copy, Debug)]
    enum Operation {
        Insert(usize, usize),
        Remove(usize),
        First(usize),
        Before(usize),
    }

    fn operation() -> impl Strategy<Value = Operation> {
        prop_oneof![
            3 => (0..5000_usize, 1..40_usize).prop_map(|(page, pages)| Operation::Insert(page, pages)),
            1 => (0..5000_usize).prop_map(Operation::Remove),
            1 => (1..50_usize).prop_map(Operation::First),
            1 => (0..6000_usize).prop_map(Operation::Before),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn runs_are_as_in_an_ordered_map(
            pages in prop_oneof![1..300_usize, 4000..6000_usize],
            operations in prop::collection::vec(operation(), 0..200),
        ) {
            let mut runs = Runs::new(pages).unwrap();
            let mut model = BTreeMap::new();
            for operation in operations {
                match operation {
                    Operation::Insert(page, length) => {
                        let page = page % pages;
                        if let Entry::Vacant(entry) = model.entry(page) {
                            entry.insert(length);
                            runs.insert(page, length);
                        }
                    }
                    Operation::Remove(page) => {
                        let page = model.range(page % pages..).next().map_or(0, |(&page, _)| page);
                        prop_assert_eq!(runs.remove(page), model.remove(&page).unwrap_or(0));
                    }
                    Operation::First(length) => {
                        let first = model.iter().find(|&(_, &found)| found >= length);
                        prop_assert_eq!(runs.first(length), first.map(|(&page, &found)| (page, found)));
                    }
                    Operation::Before(page) => {
                        let before = model.range(..page).next_back();
                        prop_assert_eq!(runs.before(page), before.map(|(&page, &found)| (page, found)));
                    }
                }
            }
            let all: Vec<_> = model.into_iter().collect();
            prop_assert_eq!(entries(&runs), all);
        }
    }
}
