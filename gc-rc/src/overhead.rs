//! The overhead limit: a heap that is nearly full says so, before a program that goes on in it
//! spends all its time in collections.
//!
//! With room for twenty objects, each twentieth allocation that makes cyclic garbage collects the
//! whole heap. That succeeds each time, so without this limit nothing would ever be refused and the
//! program would stand still without a word.
//!
//! What is looked at are *exhaustive* collections: those that an allocation makes because the
//! heap's limit is reached, with all that belongs to them (dead objects are freed, the blocks
//! looked through for empty ones). At each of them the time since the last one is judged. It is a
//! *strike* if little was allocated since that ended, and if collections took nearly all of the
//! time since that began. Any other is no strike, and the count begins anew. [`STRIKES`] in a row,
//! and allocations are refused: each further one that reaches the limit makes one collection, and
//! only one that makes room ends it.
//!
//! * Little room is judged by what the program could *allocate*, not by what the collection counts
//!   as free: holes of other size classes are free as well. So the last strike is let pass once
//!   where there seems to be room, since the program may have let go of much; it is not where the
//!   next one shows that there was none.
//! * An allocation that does not fit anyhow is refused for that. It says nothing of the others, and
//!   is no strike.
//! * Where it is the system that has no memory, the heap is not nearly full, and the allocation is
//!   refused for that.
//! * Collections that the program asks for are its own affair.
//! * What dies by its count makes room without any collection, and is never judged.
//!
//! The numbers are those of HotSpot: `GCTimeLimit`, `GCHeapFreeLimit`, five collections in a row.
//! CPython has nothing of the kind, because it has no limit.
//!
//! **Invariant.** The clock decides nothing where the time percentage is 0: then the verdicts
//! follow from counts of bytes alone.
//!
//! Rejected: to judge by the time alone (a machine that swaps would be refused memory that it has);
//! by the room alone (a program that fills its heap to the brim and goes on reading does no harm).

use std::cell::Cell;
use std::fmt;
use std::time::Duration;

/// When allocations in a nearly full heap are refused: see
/// [`Builder::overhead_limit`](crate::Builder::overhead_limit). Both are percentages, from 0 to
/// 100.
///
/// ```
/// use gc_rc::{Heap, OverheadLimit};
///
/// // Sooner than by default: where collections take half of the time for a tenth of the heap.
/// let overhead = OverheadLimit { time_percent: 50, free_percent: 10 };
/// let heap = Heap::builder().limit(1 << 20).overhead_limit(Some(overhead)).build()?;
/// # Ok::<(), gc_rc::BuildError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OverheadLimit {
    /// Collections took at least this share of the time. 0: whatever they took.
    pub time_percent: u8,
    /// Less than this share of the heap's limit was allocated between two of them. 0: never.
    pub free_percent: u8,
}

impl Default for OverheadLimit {
    /// 98 % of the time, for less than 2 % of the heap.
    fn default() -> Self {
        Self {
            time_percent: 98,
            free_percent: 2,
        }
    }
}

impl fmt::Display for OverheadLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            time_percent,
            free_percent,
        } = self;
        write!(
            f,
            "{time_percent} % of the time and {free_percent} % of the heap"
        )
    }
}

impl OverheadLimit {
    pub(crate) fn is_valid(self) -> bool {
        self.time_percent <= 100 && self.free_percent <= 100
    }
}

/// So many strikes in a row, and the next allocation is refused.
const STRIKES: u32 = 5;

/// What is known of an exhaustive collection when it is over. Times in nanoseconds, sizes in bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Exhaustive {
    /// When it began.
    pub(crate) began: u64,
    /// How long it took.
    pub(crate) took: u64,
    /// All that has been allocated since the heap was made.
    pub(crate) allocated: u64,
    /// What may now be allocated, by the count of free bytes.
    pub(crate) room: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// There is enough room, or time for the program.
    Fine,
    Strike,
    Refused,
}

/// The last exhaustive collection.
#[derive(Clone, Copy)]
struct Last {
    began: u64,
    allocated: u64,
    /// How long it and what was collected since took, in nanoseconds.
    collecting: u64,
}

/// The state of one heap's overhead limit. Protected by the global lock.
pub(crate) struct Overhead {
    limit: Option<OverheadLimit>,
    heap_limit: u64,
    last: Cell<Option<Last>>,
    strikes: Cell<u32>,
    /// The last strike has been let pass, because there seemed to be room.
    passed: Cell<bool>,
    refusing: Cell<bool>,
}

impl Overhead {
    /// For a heap with a limit of `heap_limit` bytes; with 0, which stands for none, nothing is
    /// ever refused.
    pub(crate) fn new(limit: Option<OverheadLimit>, heap_limit: u64) -> Self {
        Self {
            limit: limit.filter(|_| heap_limit > 0),
            heap_limit,
            last: Cell::new(None),
            strikes: Cell::new(0),
            passed: Cell::new(false),
            refusing: Cell::new(false),
        }
    }

    /// Whether an exhaustive collection came before, so that the time of others matters.
    #[inline]
    pub(crate) fn is_watching(&self) -> bool {
        self.last.get().is_some()
    }

    /// What is to become of the allocation that made this collection and fits now.
    fn verdict(&self, collection: Exhaustive) -> Verdict {
        let (Some(limit), Some(last)) = (self.limit, self.last.get()) else {
            return Verdict::Fine;
        };
        let little = |bytes: u64| {
            u128::from(bytes) * 100 < u128::from(self.heap_limit) * u128::from(limit.free_percent)
        };
        if !little(collection.allocated.saturating_sub(last.allocated)) {
            return Verdict::Fine;
        }
        if self.refusing.get() {
            return match little(collection.room) {
                true => Verdict::Refused,
                false => Verdict::Fine,
            };
        }
        let elapsed = collection.began.saturating_sub(last.began);
        let long = u128::from(last.collecting) * 100
            >= u128::from(elapsed) * u128::from(limit.time_percent);
        if !long {
            return Verdict::Fine;
        }
        let passes = !self.passed.get() && !little(collection.room);
        if self.strikes.get() + 1 < STRIKES || passes {
            Verdict::Strike
        } else {
            Verdict::Refused
        }
    }

    /// Judges and takes note of an exhaustive collection. `fits`: its allocation has memory now.
    /// Returns what becomes of that.
    pub(crate) fn judge(&self, collection: Exhaustive, fits: bool) -> Verdict {
        if self.limit.is_none() {
            return Verdict::Fine;
        }
        let verdict = self.verdict(collection);
        self.last.set(Some(Last {
            began: collection.began,
            allocated: collection.allocated,
            collecting: collection.took,
        }));
        match verdict {
            Verdict::Fine => {
                self.strikes.set(0);
                self.passed.set(false);
                self.refusing.set(false);
            }
            Verdict::Strike if fits => {
                let strikes = self.strikes.get() + 1;
                self.passed.set(strikes >= STRIKES);
                self.strikes.set(strikes.min(STRIKES));
            }
            Verdict::Refused if fits => self.refusing.set(true),
            Verdict::Strike | Verdict::Refused => {}
        }
        verdict
    }

    /// Takes note of another collection, which took so long.
    pub(crate) fn note_other(&self, took: Duration) {
        if let Some(mut last) = self.last.get() {
            let nanoseconds = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
            last.collecting = last.collecting.saturating_add(nanoseconds);
            self.last.set(Some(last));
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use Verdict::{Fine, Refused, Strike};

    const HEAP: u64 = 1_000_000;
    const MILLISECOND: u64 = 1_000_000;

    /// A heap whose collections take a millisecond each, and its program.
    struct Toy {
        overhead: Overhead,
        now: u64,
        allocated: u64,
    }

    impl Toy {
        fn new(time_percent: u8, free_percent: u8) -> Self {
            let limit = OverheadLimit {
                time_percent,
                free_percent,
            };
            Self {
                overhead: Overhead::new(Some(limit), HEAP),
                now: 0,
                allocated: 0,
            }
        }

        /// The program allocates so much in so many nanoseconds, and makes a collection, which
        /// leaves so much room.
        fn turn(&mut self, allocated: u64, nanoseconds: u64, room: u64) -> Verdict {
            self.now += nanoseconds;
            self.allocated += allocated;
            let collection = Exhaustive {
                began: self.now,
                took: MILLISECOND,
                allocated: self.allocated,
                room,
            };
            self.now += MILLISECOND;
            self.overhead.judge(collection, true)
        }
    }

    #[test]
    fn the_fifth_strike_in_a_row_is_refused_until_there_is_room() {
        let mut toy = Toy::new(98, 2);
        let verdicts = [(); 8].map(|()| toy.turn(19_999, 20_000, 100));
        assert_eq!(
            verdicts,
            [
                Fine, Strike, Strike, Strike, Strike, Refused, Refused, Refused
            ]
        );
        // Whatever the clock says.
        assert_eq!(toy.turn(0, 1 << 40, 19_999), Refused);
        assert_eq!(toy.turn(0, 0, 20_000), Fine);
        assert_eq!(toy.turn(0, 0, 100), Strike);
    }

    #[test]
    fn much_that_was_allocated_or_much_time_for_the_program_is_no_strike() {
        // 1 ms of 1.0205 is 98 %.
        for fine in [(20_000, 0), (0, 20_500)] {
            let mut toy = Toy::new(98, 2);
            for _ in 0..5 {
                for _ in 0..4 {
                    toy.turn(100, 0, 100);
                }
                assert_eq!(toy.turn(fine.0, fine.1, 100), Fine, "{fine:?}");
            }
        }
    }

    /// As when the holes are of another size class than what the program allocates.
    #[test]
    fn room_that_is_of_no_use_is_believed_once() {
        let mut toy = Toy::new(0, 2);
        let verdicts = [(); 8].map(|()| toy.turn(100, 0, HEAP / 2));
        assert_eq!(
            verdicts[..6],
            [Fine, Strike, Strike, Strike, Strike, Strike]
        );
        assert_eq!(verdicts[6..], [Refused, Fine]);
    }

    #[test]
    fn an_allocation_that_does_not_fit_is_no_strike() {
        let toy = Toy::new(0, 2);
        for _ in 0..100 {
            let collection = Exhaustive {
                began: 0,
                took: MILLISECOND,
                allocated: 0,
                room: 100,
            };
            assert_ne!(toy.overhead.judge(collection, false), Refused);
        }
    }

    #[test]
    fn the_time_of_other_collections_counts() {
        let strikes = |other| {
            let mut toy = Toy::new(98, 2);
            toy.turn(100, 0, 100);
            toy.overhead.note_other(Duration::from_nanos(other));
            toy.turn(100, MILLISECOND, 100) == Strike
        };
        assert!(strikes(MILLISECOND) && !strikes(MILLISECOND / 2));
    }

    #[test]
    fn percentages_hold_to_their_ends() {
        // Nothing is less than none of the heap, and no time is left when collections took all.
        let refused = |time, free, allocated, nanoseconds| {
            let mut toy = Toy::new(time, free);
            (0..10).any(|_| toy.turn(allocated, nanoseconds, 0) == Refused)
        };
        assert!(!refused(0, 0, 0, 0));
        assert!(refused(100, 100, HEAP - 1, 0));
        assert!(!refused(100, 100, HEAP, 0));
        assert!(!refused(100, 100, 0, 1));
        assert!(refused(0, 100, HEAP - 1, 1 << 40));
        let limit = |time_percent, free_percent| OverheadLimit {
            time_percent,
            free_percent,
        };
        assert!(limit(100, 0).is_valid() && limit(0, 100).is_valid());
        assert!(!limit(101, 0).is_valid() && !limit(0, 255).is_valid());
    }
}
