//! The lists that blocks are in, which the [supply](crate::supply) is made of: stacks that mutators
//! take from without a lock, stacks linked through one table, and arrays. Their tables are made
//! with the heap, as long as they can get, so that no list ever lacks memory.

use std::ops::Deref;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};

use crate::block::BlockIndex;
use crate::os::Refused;
use crate::table::Table;

/// A stack of free memory that is filled in a pause and emptied by mutators, without a lock: taking
/// its top entry is one compare-and-swap.
///
/// Between two pauses it only shrinks, so an index never names two entries in turn and there is no
/// ABA problem. The entries taken stay in place above the top until the next pause, which reads
/// there what has been handed out.
pub(crate) struct Stock {
    entries: Table<AtomicU32>,
    /// The first entry in the low half, the end of the last one in the high half.
    ends: AtomicU64,
    /// Where the stack ended when it was last filled.
    filled: AtomicUsize,
}

impl Stock {
    pub(crate) fn new(capacity: usize) -> Result<Self, Refused> {
        Ok(Self {
            entries: Table::new(capacity)?,
            ends: AtomicU64::new(0),
            filled: AtomicUsize::new(0),
        })
    }

    fn ends(&self) -> (usize, usize) {
        let ends = self.ends.load(Ordering::Relaxed);
        ((ends & u64::from(u32::MAX)) as usize, (ends >> 32) as usize)
    }

    fn set_ends(&self, first: usize, end: usize) {
        let ends = first as u64 | (end as u64) << 32;
        self.ends.store(ends, Ordering::Relaxed);
    }

    pub(crate) fn len(&self) -> usize {
        let (first, end) = self.ends();
        end - first
    }

    /// Changes the ends from `(first, end)` to what `f` makes of them, unless the stack is empty.
    fn update(&self, f: impl Fn(u64) -> u64) -> Option<u64> {
        (self.ends)
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |ends| {
                (ends >> 32 > ends & u64::from(u32::MAX)).then(|| f(ends))
            })
            .ok()
    }

    /// Takes the entry that was pushed last.
    pub(crate) fn take(&self) -> Option<BlockIndex> {
        let ends = self.update(|ends| ends - (1 << 32))?;
        Some(self.entries[(ends >> 32) as usize - 1].load(Ordering::Relaxed))
    }

    /// Takes the entry that was pushed first.
    pub(crate) fn take_first(&self) -> Option<BlockIndex> {
        let ends = self.update(|ends| ends + 1)?;
        let first = (ends & u64::from(u32::MAX)) as usize;
        Some(self.entries[first].load(Ordering::Relaxed))
    }

    /// Calls `f` with each entry taken from the top since the last [`Self::settle`], in the order
    /// in which they were taken. The world is stopped.
    pub(crate) fn for_each_taken(&self, mut f: impl FnMut(BlockIndex)) {
        let (_, end) = self.ends();
        for entry in self.entries[end..self.filled.load(Ordering::Relaxed)]
            .iter()
            .rev()
        {
            f(entry.load(Ordering::Relaxed));
        }
    }

    /// Forgets what has been taken, at both ends. The world is stopped.
    pub(crate) fn settle(&self) {
        let (first, end) = self.ends();
        if first > 0 {
            for index in first..end {
                let entry = self.entries[index].load(Ordering::Relaxed);
                self.entries[index - first].store(entry, Ordering::Relaxed);
            }
        }
        self.set_ends(0, end - first);
        self.filled.store(end - first, Ordering::Relaxed);
    }

    /// Empties the stack. The world is stopped.
    pub(crate) fn clear(&self) {
        self.set_ends(0, 0);
        self.filled.store(0, Ordering::Relaxed);
    }

    /// Adds an entry to a settled stack. The world is stopped.
    pub(crate) fn push(&self, block: BlockIndex) {
        let (first, end) = self.ends();
        self.entries[end].store(block, Ordering::Relaxed);
        self.set_ends(first, end + 1);
        self.filled.store(end + 1, Ordering::Relaxed);
    }
}

/// Stacks of blocks that lie in no other: linked through one table, as a block is in at most one of
/// them.
pub(crate) struct Links {
    /// Of each block that is in a chain: the one below it, and one more than that, so that 0 is
    /// none.
    below: Table<u32>,
    /// Of each block that is in a chain: the granule its search goes on at.
    granule: Table<u16>,
}

/// One of the stacks: its top, and one more than that, so that 0 is none; and its length.
#[derive(Clone, Copy, Default)]
pub(crate) struct Chain {
    top: u32,
    pub(crate) length: usize,
}

impl Links {
    pub(crate) fn new(capacity: usize) -> Result<Self, Refused> {
        Ok(Self {
            below: Table::new(capacity)?,
            granule: Table::new(capacity)?,
        })
    }

    pub(crate) fn push(&mut self, chain: &mut Chain, block: BlockIndex, granule: usize) {
        self.below[block as usize] = chain.top;
        self.granule[block as usize] = granule as u16;
        chain.top = block + 1;
        chain.length += 1;
    }

    pub(crate) fn pop(&mut self, chain: &mut Chain) -> Option<(BlockIndex, usize)> {
        let block = chain.top.checked_sub(1)?;
        chain.top = self.below[block as usize];
        chain.length -= 1;
        Some((block, self.granule[block as usize].into()))
    }
}

/// Blocks in a table that is long enough for all there are.
pub(crate) struct Blocks {
    table: Table<u32>,
    length: usize,
}

impl Blocks {
    pub(crate) fn new(capacity: usize) -> Result<Self, Refused> {
        Ok(Self {
            table: Table::new(capacity)?,
            length: 0,
        })
    }

    pub(crate) fn clear(&mut self) {
        self.length = 0;
    }

    pub(crate) fn push(&mut self, block: BlockIndex) {
        self.table[self.length] = block;
        self.length += 1;
    }
}

impl Deref for Blocks {
    type Target = [BlockIndex];

    fn deref(&self) -> &[BlockIndex] {
        &self.table[..self.length]
    }
}
