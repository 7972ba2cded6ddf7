//! The overhead limit: a heap that is nearly full says so, before a program that goes on in it
//! spends all its time in collections.
//!
//! With room for twenty objects, each twentieth allocation collects the whole heap. That succeeds
//! each time, so without this limit nothing would ever be refused and the program would stand still
//! without a word.
//!
//! What is looked at are *exhaustive* collections: those of the whole heap that an allocation asks
//! for because the heap's limit is reached. At each of them the time since the last one is judged.
//! It is a *strike* if little was allocated since that ended, and if collections took nearly all of
//! the time since that began. Any other is no strike, and the count begins anew. [`STRIKES`] in a
//! row, and allocations are refused: each further one that reaches the limit makes one collection,
//! and only one that makes room ends it.
//!
//! - Little room is judged by what the program could *allocate*, not by what the collection counts
//!   as free: holes too small for any object are free as well. So the last strike is let pass once
//!   where there seems to be room, since the program may have let go of much; it is not where the
//!   next one shows that there was none.
//! - Several mutators that find the heap full at once collect one after the other, each for the
//!   room that the others took. They count as one: an allocation that began before the last
//!   exhaustive collection was over is not judged. But no more of them in a row than there are
//!   other mutators, or two that wait for each other for ever would never be.
//! - An allocation that does not fit anyhow is refused for that. It says nothing of the others, and
//!   is no strike.
//! - Where it is the system that has no memory, the heap is not nearly full, and the allocation is
//!   refused for that.
//! - Collections that the program asks for are its own affair.
//!
//! The numbers are those of HotSpot: `GCTimeLimit`, `GCHeapFreeLimit`, five collections in a row.
//!
//! **Invariant.** The clock decides nothing where the time percentage is 0: then the verdicts
//! follow from counts of bytes alone.
//!
//! Rejected: to judge by the time alone (a machine that swaps would be refused memory that it has);
//! by the room alone (a program that fills its heap to the brim and goes on reading does no harm).

use std::fmt;

/// When allocations in a nearly full heap are refused: see
/// [`Builder::overhead_limit`](crate::Builder::overhead_limit). Both are percentages, from 0 to
/// 100.
///
/// ```
/// use gc_marksweep::{Heap, OverheadLimit};
///
/// // Sooner than by default: where collections take half of the time for a tenth of the heap.
/// let overhead = OverheadLimit { time_percent: 50, free_percent: 10 };
/// let heap = Heap::builder().limit(1 << 20).overhead_limit(Some(overhead)).build()?;
/// # Ok::<(), gc_marksweep::BuildError>(())
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

/// What is known of an exhaustive collection when it has found out what is free. Times in
/// nanoseconds, sizes in bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Exhaustive {
    /// When it began.
    pub(crate) began: u64,
    /// All that has been allocated since the heap was made.
    pub(crate) allocated: u64,
    /// What may now be allocated, by the count of free bytes.
    pub(crate) room: u64,
    /// How many stops were over when the allocation that asks for it began.
    pub(crate) since: u64,
    /// The number of its stop.
    pub(crate) stop: u64,
    /// Attached mutators, the one that collects included.
    pub(crate) mutators: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// There is enough room, or time for the program.
    Fine,
    /// Part of what has been judged already.
    Joined,
    Strike,
    Refused,
}

/// The last exhaustive collection.
#[derive(Clone, Copy)]
struct Last {
    stop: u64,
    began: u64,
    allocated: u64,
    /// How long it and what was collected since took, in nanoseconds.
    collecting: u64,
}

/// The state of one heap's overhead limit. Consulted while the world is stopped.
pub(crate) struct Overhead {
    limit: Option<OverheadLimit>,
    heap_limit: u64,
    last: Option<Last>,
    strikes: u32,
    /// Collections in a row that were part of what had been judged.
    joined: u32,
    /// The last strike has been let pass, because there seemed to be room.
    passed: bool,
    refusing: bool,
}

impl Overhead {
    /// For a heap with a limit of `heap_limit` bytes.
    pub(crate) fn new(limit: Option<OverheadLimit>, heap_limit: u64) -> Self {
        Self {
            limit,
            heap_limit,
            last: None,
            strikes: 0,
            joined: 0,
            passed: false,
            refusing: false,
        }
    }

    /// What is to become of the allocation that asked for this collection, should it fit.
    pub(crate) fn judge(&self, collection: Exhaustive) -> Verdict {
        let (Some(limit), Some(last)) = (self.limit, self.last) else {
            return Verdict::Fine;
        };
        let little = |bytes: u64| {
            u128::from(bytes) * 100 < u128::from(self.heap_limit) * u128::from(limit.free_percent)
        };
        if !little(collection.allocated.saturating_sub(last.allocated)) {
            return Verdict::Fine;
        }
        if self.refusing {
            return match little(collection.room) {
                true => Verdict::Refused,
                false => Verdict::Fine,
            };
        }
        if collection.since < last.stop && self.joined + 1 < collection.mutators {
            return Verdict::Joined;
        }
        let elapsed = collection.began.saturating_sub(last.began);
        let long = u128::from(last.collecting) * 100
            >= u128::from(elapsed) * u128::from(limit.time_percent);
        if !long {
            return Verdict::Fine;
        }
        if self.strikes + 1 < STRIKES || (!self.passed && !little(collection.room)) {
            Verdict::Strike
        } else {
            Verdict::Refused
        }
    }

    /// Takes note of a judged collection of so many nanoseconds, and of what became of the
    /// allocation: `fits` unless it did not fit anyhow.
    pub(crate) fn note(
        &mut self,
        collection: Exhaustive,
        verdict: Verdict,
        fits: bool,
        nanoseconds: u64,
    ) {
        self.joined = match verdict {
            Verdict::Joined => self.joined + 1,
            _ => 0,
        };
        self.last = Some(Last {
            stop: collection.stop,
            began: collection.began,
            allocated: collection.allocated,
            collecting: nanoseconds,
        });
        match verdict {
            Verdict::Fine => {
                self.strikes = 0;
                self.passed = false;
                self.refusing = false;
            }
            Verdict::Joined => {}
            Verdict::Strike if fits => {
                self.passed = self.strikes + 1 >= STRIKES;
                self.strikes = (self.strikes + 1).min(STRIKES);
            }
            Verdict::Refused if fits => self.refusing = true,
            Verdict::Strike | Verdict::Refused => {}
        }
    }

    /// Takes note of another collection that an allocation asked for.
    pub(crate) fn note_other(&mut self, nanoseconds: u64) {
        if let Some(last) = &mut self.last {
            last.collecting = last.collecting.saturating_add(nanoseconds);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAP: u64 = 1_000_000;
    const MILLISECOND: u64 = 1_000_000;

    /// A heap whose collections take a millisecond each, and its program.
    struct Toy {
        overhead: Overhead,
        stop: u64,
        now: u64,
        allocated: u64,
        mutators: u32,
    }

    impl Toy {
        fn new(time_percent: u8, free_percent: u8) -> Self {
            let limit = OverheadLimit {
                time_percent,
                free_percent,
            };
            Self {
                overhead: Overhead::new(Some(limit), HEAP),
                stop: 0,
                now: 0,
                allocated: 0,
                mutators: 1,
            }
        }

        /// The program allocates so much in so many nanoseconds, and asks for a collection, which
        /// leaves so much room. `behind`: the allocation that asks began before so many of the last
        /// stops were over.
        fn turn(&mut self, allocated: u64, nanoseconds: u64, room: u64, behind: u64) -> Verdict {
            self.stop += 1;
            self.now += nanoseconds;
            self.allocated += allocated;
            let collection = Exhaustive {
                began: self.now,
                allocated: self.allocated,
                room,
                since: (self.stop - 1).saturating_sub(behind),
                stop: self.stop,
                mutators: self.mutators,
            };
            let verdict = self.overhead.judge(collection);
            self.overhead.note(collection, verdict, true, MILLISECOND);
            self.now += MILLISECOND;
            verdict
        }
    }

    use Verdict::{Fine, Joined, Refused, Strike};

    #[test]
    fn the_fifth_strike_in_a_row_is_refused_until_there_is_room() {
        let mut toy = Toy::new(98, 2);
        let verdicts = [(); 8].map(|()| toy.turn(19_999, 20_000, 100, 0));
        assert_eq!(
            verdicts,
            [
                Fine, Strike, Strike, Strike, Strike, Refused, Refused, Refused
            ]
        );
        // Whatever the clock says.
        assert_eq!(toy.turn(0, 1 << 40, 19_999, 0), Refused);
        assert_eq!(toy.turn(0, 0, 20_000, 0), Fine);
        assert_eq!(toy.turn(0, 0, 100, 0), Strike);
    }

    #[test]
    fn much_that_was_allocated_or_much_time_for_the_program_is_no_strike() {
        // 1 ms of 1.0205 is 98 %.
        for fine in [(20_000, 0), (0, 20_500)] {
            let mut toy = Toy::new(98, 2);
            for _ in 0..5 {
                for _ in 0..4 {
                    toy.turn(100, 0, 100, 0);
                }
                assert_eq!(toy.turn(fine.0, fine.1, 100, 0), Fine, "{fine:?}");
            }
        }
    }

    /// As when the holes are too small for what the program allocates.
    #[test]
    fn room_that_is_of_no_use_is_believed_once() {
        let mut toy = Toy::new(0, 2);
        let verdicts = [(); 8].map(|()| toy.turn(100, 0, HEAP / 2, 0));
        assert_eq!(
            verdicts[..6],
            [Fine, Strike, Strike, Strike, Strike, Strike]
        );
        assert_eq!(verdicts[6..], [Refused, Fine]);
    }

    #[test]
    fn mutators_that_collect_at_once_count_as_one() {
        let mut toy = Toy::new(0, 2);
        toy.mutators = 8;
        toy.turn(100, 0, 100, 0);
        for round in 0..4 {
            assert_eq!(toy.turn(100, 0, 100, 0), Strike, "{round}");
            for _ in 1..8 {
                assert_eq!(toy.turn(100, 0, 100, 1), Joined, "{round}");
            }
        }
        assert_eq!(toy.turn(100, 0, 100, 0), Refused);
        // Two that always wait for each other.
        let mut toy = Toy::new(0, 2);
        toy.mutators = 2;
        let turns = (0..100).take_while(|_| toy.turn(100, 0, 100, 1) != Refused);
        assert!((6..12).contains(&turns.count()));
    }

    #[test]
    fn an_allocation_that_does_not_fit_is_no_strike() {
        let mut toy = Toy::new(0, 2);
        for stop in 1..100 {
            let collection = Exhaustive {
                began: 0,
                allocated: 0,
                room: 100,
                since: stop - 1,
                stop,
                mutators: 1,
            };
            let verdict = toy.overhead.judge(collection);
            assert_ne!(verdict, Refused, "{stop}");
            toy.overhead.note(collection, verdict, false, MILLISECOND);
        }
    }

    #[test]
    fn the_time_of_other_collections_counts() {
        let strikes = |other| {
            let mut toy = Toy::new(98, 2);
            toy.turn(100, 0, 100, 0);
            toy.overhead.note_other(other);
            toy.turn(100, MILLISECOND, 100, 0) == Strike
        };
        assert!(strikes(MILLISECOND) && !strikes(MILLISECOND / 2));
    }

    #[test]
    fn percentages_hold_to_their_ends() {
        // Nothing is less than none of the heap, and no time is left when collections took all.
        let refused = |time, free, allocated, nanoseconds| {
            let mut toy = Toy::new(time, free);
            (0..10).any(|_| toy.turn(allocated, nanoseconds, 0, 0) == Refused)
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
