//! Which chunks have how many unused blocks in a row.
//!
//! The chunks are listed by their longest run of blocks, so that one for a run of some length is
//! found in constant time, however many holes there are.
//!
//! **Invariant.** The index knows the longest runs of every chunk but those of one object.

use std::cell::Cell;

use crate::block::{BLOCKS, Chunk};

/// A chunk's place in an index of runs.
#[repr(C)]
pub(crate) struct Place {
    /// Blocks of the longest run; zero: not listed.
    length: Cell<usize>,
    previous: Cell<Option<Chunk>>,
    next: Cell<Option<Chunk>>,
}

/// The number of the first of so many set bits in a row, the lowest ones.
pub(crate) fn first_run(bits: u64, length: usize) -> Option<usize> {
    // Bit n of `starts` stays set while the bits from n on are, for ever longer runs.
    let (mut starts, mut found) = (bits, 1);
    while found < length && starts != 0 {
        let step = found.min(length - found);
        starts &= starts >> step;
        found += step;
    }
    (starts != 0).then_some(starts.trailing_zeros() as usize)
}

/// How many set bits there are in a row, at most.
fn longest_run(mut bits: u64) -> usize {
    let mut length = 0;
    while bits != 0 {
        bits &= bits << 1;
        length += 1;
    }
    length
}

/// The chunks by the length of their longest run of some blocks: a list for each length.
pub(crate) struct Runs {
    /// Which of a chunk's places is for this index.
    place: usize,
    lists: [Cell<Option<Chunk>>; BLOCKS],
    /// The lengths of which there are chunks, a bit each.
    lengths: Cell<u64>,
}

impl Runs {
    pub(crate) fn new(place: usize) -> Self {
        Self {
            place,
            lists: [const { Cell::new(None) }; BLOCKS],
            lengths: Cell::new(0),
        }
    }

    fn place<'a>(&self, chunk: Chunk) -> &'a Place {
        &chunk.header().places[self.place]
    }

    /// The blocks of interest of a chunk are now those of `bits`.
    pub(crate) fn update(&self, chunk: Chunk, bits: u64) {
        let length = longest_run(bits);
        let place = self.place(chunk);
        let before = place.length.replace(length);
        if before == length {
            return;
        }
        if before > 0 {
            let (previous, next) = (place.previous.take(), place.next.take());
            match previous {
                Some(previous) => self.place(previous).next.set(next),
                None => self.lists[before].set(next),
            }
            if let Some(next) = next {
                self.place(next).previous.set(previous);
            }
            if self.lists[before].get().is_none() {
                self.lengths.set(self.lengths.get() & !(1 << before));
            }
        }
        if length > 0 {
            let next = self.lists[length].replace(Some(chunk));
            place.next.set(next);
            if let Some(next) = next {
                self.place(next).previous.set(Some(chunk));
            }
            self.lengths.set(self.lengths.get() | 1 << length);
        }
    }

    /// A chunk with a run of so many blocks, at most those of a chunk: one whose longest is not
    /// much longer.
    pub(crate) fn with(&self, blocks: usize) -> Option<Chunk> {
        let lengths = self.lengths.get() & u64::MAX << blocks;
        self.lists.get(lengths.trailing_zeros() as usize)?.get()
    }

    /// A chunk with the longest run there is, and its length.
    pub(crate) fn longest(&self) -> Option<(Chunk, usize)> {
        let length = self.lengths.get().checked_ilog2()? as usize;
        Some((self.lists[length].get()?, length))
    }
}

/// The bits of a run of blocks.
pub(crate) const fn run(first: usize, blocks: usize) -> u64 {
    (u64::MAX >> (BLOCKS - blocks)) << first
}
