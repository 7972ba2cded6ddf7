//! What an allocation does when the current hole does not do.

use std::ptr::NonNull;
use std::sync::atomic::Ordering;

use handshake::process::Resident;

use crate::alloc::{MEDIUM, Search};
use crate::block::LARGE;
use crate::collect::{Collection, Demand};
use crate::event::{EventKind, STALL_EVENT_MINIMUM};
use crate::full::{FullCause, HeapFull};
use crate::heap::Inner;
use crate::mutator::Mutator;
use crate::object::{Flags, Shape};
use crate::policy::Extent;

/// Memory for an object, and whether it reads as zero.
pub(crate) type Memory = (NonNull<u8>, bool);

impl<'h> Mutator<'h> {
    pub(crate) fn flush_tally(&self) {
        let tally = self.tally.take();
        let counters = &self.shared().counters;
        counters.objects.fetch_add(tally >> 32, Ordering::Relaxed);
        counters
            .payload_words
            .fetch_add(tally & u64::from(u32::MAX), Ordering::Relaxed);
    }

    /// Everything but a bump of the cursor: the next hole, the next block, large objects,
    /// collections.
    ///
    /// The next hole by a way of its own: where most of a block is alive its holes hold a few
    /// objects each, and what all other cases need, atomic counters among it, would take longer
    /// than to find one.
    #[cold]
    #[inline(never)]
    pub(crate) fn alloc_slow(
        &mut self,
        refs: u32,
        words: u32,
        flags: Flags,
    ) -> Result<Memory, HeapFull> {
        // A shape would be passed in memory, which the fast path would write.
        let shape = Shape::new(refs, words).with(flags);
        self.safepoint();
        if let Some(memory) = self.next_hole(shape.size()) {
            self.count(shape.refs as usize + shape.words as usize);
            return Ok((memory, false));
        }
        let memory = self.obtain(shape);
        if memory.is_err() && shape.flags.finalize {
            self.shared().handles.expect_no_finalizer();
        }
        memory
    }

    /// `size` bytes, if they are those of a small object, from another hole of the same block.
    #[inline(always)]
    fn next_hole(&self, size: usize) -> Option<NonNull<u8>> {
        match (size <= MEDIUM, self.context.recording.is_on()) {
            (true, false) => self.searcher::<false>().go_on_in_block(size),
            (true, true) => self.next_hole_recorded(size),
            (false, _) => None,
        }
    }

    #[cold]
    #[inline(never)]
    fn next_hole_recorded(&self, size: usize) -> Option<NonNull<u8>> {
        self.searcher::<true>().go_on_in_block(size)
    }

    #[inline(always)]
    fn obtain(&mut self, shape: Shape) -> Result<Memory, HeapFull> {
        self.flush_tally();
        self.shared().enter();
        let size = shape.size();
        let full = |cause| HeapFull {
            requested: size as u64,
            limit: self.shared().supply.limit() as u64,
            cause,
        };
        if size > self.shared().supply.limit() || shape.words > Shape::MAX_WORDS {
            return Err(full(FullCause::Limit));
        }
        if self.shared().stress {
            let shared = self.shared();
            let target = shared.handshake.next();
            let attempt = || Some(());
            shared.collect(&self.context, target, Extent::Young, None, attempt);
        }
        let memory = self.find_memory(size).map_err(full)?;
        if self.shared().stress {
            // The next allocation comes here again.
            self.context.buffer.retire();
        }
        let payload_words = shape.refs as usize + shape.words as usize;
        if size > LARGE {
            // The tally is made for small objects: the words of a large one may not fit its low
            // half.
            let counters = &self.shared().counters;
            counters.objects.fetch_add(1, Ordering::Relaxed);
            (counters.payload_words).fetch_add(payload_words as u64, Ordering::Relaxed);
        } else {
            self.count(payload_words);
        }
        Ok(memory)
    }

    fn find_memory(&self, size: usize) -> Result<Memory, FullCause> {
        let mut demand = None;
        loop {
            if let Some(memory) = self.search_memory(size) {
                return Ok(memory);
            }
            // Only memory that was not there after this many collections calls for another.
            let completed = self.shared().handshake.completed();
            if let Some(memory) = self.search_memory(size) {
                return Ok(memory);
            }
            let since = completed;
            let refused = size > LARGE && self.context.refused.get();
            let demand = demand.get_or_insert(Demand {
                size,
                since,
                refused,
            });
            // The last search says why.
            demand.refused = refused;
            let attempt = || self.try_memory(size);
            let collection = (self.shared()).collect(
                &self.context,
                completed + 1,
                Extent::Young,
                Some(*demand),
                attempt,
            );
            if let Collection::Done(memory) = collection {
                let refused = size > LARGE && self.context.refused.get();
                return memory.map_err(|cause| match cause {
                    FullCause::Limit if refused => FullCause::System,
                    cause => cause,
                });
            }
        }
    }

    /// [`Self::try_memory`] while no stop is in progress; a long one is an event.
    fn search_memory(&self, size: usize) -> Option<Memory> {
        let memory = self.try_memory(size);
        if let Some(begun) = self.context.buffer.take_searching() {
            let length = begun.elapsed();
            if length >= STALL_EVENT_MINIMUM {
                let until = self.shared().events.now();
                let from = until.saturating_sub(length.as_nanos() as u64);
                (self.shared()).record(self.context.number, from, until, EventKind::Stall);
            }
        }
        memory
    }

    /// `size` bytes, if they can be had without a collection.
    fn try_memory(&self, size: usize) -> Option<Memory> {
        let Inner { space, supply, .. } = self.shared();
        if size > LARGE {
            let memory = supply.take_large(space, size);
            let refused = matches!(memory, Err(FullCause::System));
            self.context.refused.set(refused);
            memory.ok().map(|memory| (memory.start, memory.zeroed))
        } else {
            let memory = match self.context.recording.is_on() {
                false => self.searcher::<false>().refill(size),
                true => self.search_recorded(size),
            };
            Some((memory?, false))
        }
    }

    #[inline(always)]
    fn searcher<const RECORDED: bool>(&self) -> Search<'_, RECORDED> {
        let Inner { space, supply, .. } = self.shared();
        Search {
            buffer: &self.context.buffer,
            space,
            supply,
            recording: &self.context.recording,
        }
    }

    #[cold]
    #[inline(never)]
    fn search_recorded(&self, size: usize) -> Option<NonNull<u8>> {
        self.searcher::<true>().refill(size)
    }
}
