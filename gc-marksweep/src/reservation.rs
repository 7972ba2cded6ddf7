//! Ranges of address space: reserved, lengthened in the room they have, given back.
//!
//! A mapping can be lengthened only where nothing lies behind it. Systems put mappings close to one
//! another, so those that are to grow go to a part of the address space that the system does not
//! choose by itself (as Go's heap does), and keep out of each other's way by a list of their rooms.
//! Rejected: mapping all there may ever be without access (it counts against `RLIMIT_AS` all the
//! same).
//!
//! **Invariant.** The rooms in the list do not overlap, and nobody maps anything into the room of
//! another.

use std::io;
use std::ops::Range;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard};

use crate::os::{
    HUGE_PAGE, PAGE, Refused, discard, map, map_at, prefer_huge_pages, system_page, unmap,
};

/// Addresses that heaps have been given to grow into, each from its start; in order. Nothing is
/// mapped by being noted here.
static ROOMS: Mutex<Vec<Range<usize>>> = Mutex::new(Vec::new());

/// Where rooms are: far from where programs, their libraries and their stacks lie on 64-bit
/// systems, and below 2^47.
const ROOMS_WITHIN: Range<usize> = 0x1000_0000_0000..0x5000_0000_0000;

fn rooms() -> MutexGuard<'static, Vec<Range<usize>>> {
    ROOMS
        .lock()
        .expect("no code that panics runs under this lock")
}

/// Takes `length` bytes of room at or after `from`; `None` if there is none.
fn take_room(length: usize, from: usize) -> Option<usize> {
    let mut rooms = rooms();
    rooms.try_reserve(1).ok()?;
    let mut start = from;
    let mut index = 0;
    while let Some(room) = rooms.get(index) {
        if start.checked_add(length)? <= room.start {
            break;
        }
        start = start.max(room.end);
        index += 1;
    }
    let end = start.checked_add(length)?;
    (end <= ROOMS_WITHIN.end).then(|| {
        rooms.insert(index, start..end);
        start
    })
}

fn give_room_back(start: usize) {
    rooms().retain(|room| room.start != start);
}

/// A range of zeroed address space, backed by memory when it is first touched. It may have room to
/// grow.
pub(crate) struct Reservation {
    mapping: NonNull<u8>,
    /// Bytes of the mapping that [`Self::length`] does not count: what aligns it.
    padding: usize,
    start: NonNull<u8>,
    length: AtomicUsize,
    /// What `length` may grow to.
    room: usize,
    /// Whether that is noted in [`ROOMS`].
    has_room: bool,
    /// Bytes of the system's page.
    system_page: usize,
}

// SAFETY: owns its range; access to the memory is the users' matter.
unsafe impl Send for Reservation {}
// SAFETY: as above; [`Reservation::grow`] touches addresses that nobody else knows yet.
unsafe impl Sync for Reservation {}

impl Reservation {
    /// Where to look for a place before it is given up, should the system have put something into
    /// the window.
    const PLACES: usize = 4;
    /// How far apart these are.
    const APART: usize = 1 << 40;

    /// Reserves `length` bytes, aligned to a huge page, with room to grow to `room`, which is
    /// reserved at once only where it cannot be had otherwise. Both are multiples of a huge page.
    pub(crate) fn new(length: usize, room: usize) -> Result<Self, Refused> {
        debug_assert!(length <= room);
        let reservation = match Self::place(length, room)? {
            Some(reservation) => reservation,
            None => {
                let mapped = room.checked_add(HUGE_PAGE).ok_or_else(Refused::too_large)?;
                let refused = |source| Refused {
                    asked: mapped,
                    source,
                };
                let mapping = map(mapped, 0).map_err(refused)?;
                let offset = mapping.as_ptr().align_offset(HUGE_PAGE);
                Self {
                    mapping,
                    padding: HUGE_PAGE,
                    // SAFETY: `offset` is less than a huge page, by which the mapping is longer
                    // than `room`.
                    start: unsafe { mapping.add(offset) },
                    length: AtomicUsize::new(room),
                    room,
                    has_room: false,
                    system_page: system_page(),
                }
            }
        };
        reservation.prefer_huge_pages(0, reservation.length());
        Ok(reservation)
    }

    /// `None` if there is no place with that much room.
    fn place(length: usize, room: usize) -> Result<Option<Self>, Refused> {
        let mut from = ROOMS_WITHIN.start;
        if cfg!(miri) {
            return Ok(None);
        }
        for _ in 0..Self::PLACES {
            let Some(start) = take_room(room, from) else {
                break;
            };
            match map_at(start, length) {
                Ok(mapping) => {
                    return Ok(Some(Self {
                        mapping,
                        padding: 0,
                        start: mapping,
                        length: AtomicUsize::new(length),
                        room,
                        has_room: true,
                        system_page: system_page(),
                    }));
                }
                Err(source) => {
                    give_room_back(start);
                    if source.kind() != io::ErrorKind::AddrInUse {
                        let asked = length;
                        return Err(Refused { asked, source });
                    }
                    from = start.saturating_add(room.next_multiple_of(Self::APART));
                }
            }
        }
        Ok(None)
    }

    /// Grows to `length` bytes, a multiple of a huge page; `false` if there is no room or the
    /// system refuses. One thread at a time.
    pub(crate) fn grow(&self, length: usize) -> bool {
        let before = self.length();
        if length <= before {
            return true;
        }
        let address = self.start.addr().get() + before;
        if length > self.room || map_at(address, length - before).is_err() {
            return false;
        }
        self.prefer_huge_pages(before, length);
        self.length.store(length, Ordering::Relaxed);
        true
    }

    fn prefer_huge_pages(&self, from: usize, until: usize) {
        // SAFETY: within the reservation.
        prefer_huge_pages(unsafe { self.start.add(from) }, until - from);
    }

    pub(crate) fn start(&self) -> NonNull<u8> {
        self.start
    }

    /// Bytes that are reserved now.
    pub(crate) fn length(&self) -> usize {
        self.length.load(Ordering::Relaxed)
    }

    /// What [`Self::length`] may grow to.
    pub(crate) fn room(&self) -> usize {
        self.room
    }

    /// Gives the memory behind `offset .. offset + length` back to the system; it reads as zero
    /// afterwards.
    ///
    /// # Safety
    ///
    /// Whole pages within the reservation that nobody uses.
    pub(crate) unsafe fn discard(&self, offset: usize, length: usize) {
        debug_assert!(
            offset.is_multiple_of(PAGE)
                && length.is_multiple_of(PAGE)
                && offset + length <= self.length()
        );
        // The system rounds the end of a range up to a page of its own, and what lies beyond ours
        // may be in use.
        let end = offset + length;
        let (first, last) = whole_pages(offset, end, self.system_page);
        // SAFETY: within the mapping, and unused by the caller's word.
        unsafe {
            (self.start.add(offset)).write_bytes(0, first - offset);
            (self.start.add(last)).write_bytes(0, end - last);
            if first == last {
                return;
            }
            let (start, length) = (self.start.add(first), last - first);
            if !discard(start, length) {
                // The promise of zeroes must hold even if the system refuses.
                start.write_bytes(0, length);
            }
        }
    }
}

/// The part of `start .. end` that is made of whole pages of `page` bytes, a power of two; empty if
/// there is none.
fn whole_pages(start: usize, end: usize, page: usize) -> (usize, usize) {
    let first = start.next_multiple_of(page).min(end);
    (first, (end & !(page - 1)).max(first))
}

impl Drop for Reservation {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, and its users are gone.
        unsafe { unmap(self.mapping, self.length() + self.padding) };
        if self.has_room {
            give_room_back(self.start.addr().get());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg_attr(miri, ignore = "needs mappings at fixed addresses")]
    fn a_reservation_grows_in_its_room_and_no_further() {
        let step = 4 * HUGE_PAGE;
        let [one, two] = [(); 2].map(|()| Reservation::new(step, 8 * step).unwrap());
        for length in 1..=8 {
            for reservation in [&one, &two] {
                assert!(reservation.grow(length * step));
                // SAFETY: the reservation is the test's alone.
                unsafe {
                    let last = reservation.start().add(reservation.length() - 1);
                    assert_eq!(last.read(), 0);
                    last.write(1);
                }
            }
        }
        assert!(!one.grow(9 * step));
    }

    #[test]
    fn rooms_keep_out_of_each_others_way_and_are_used_again() {
        let far = ROOMS_WITHIN.end - (1 << 40);
        let take = |length| take_room(length, far).unwrap();
        let (one, two, three) = (take(100), take(50), take(100));
        assert_eq!([one, two, three], [far, far + 100, far + 150]);
        give_room_back(two);
        assert_eq!([take(60), take(50)], [far + 250, far + 100]);
        assert_eq!(take_room(1 << 40, far), None);
        [one, two, three, far + 250]
            .into_iter()
            .for_each(give_room_back);
        assert!(rooms().iter().all(|room| room.start < far));
    }

    #[test]
    fn only_whole_pages_of_the_system_are_given_back() {
        const K: usize = 1024;
        assert_eq!(whole_pages(4 * K, 12 * K, 4 * K), (4 * K, 12 * K));
        assert_eq!(whole_pages(4 * K, 200 * K, 64 * K), (64 * K, 192 * K));
        assert_eq!(whole_pages(0, 64 * K, 64 * K), (0, 64 * K));
        for (start, end) in [(0, 4 * K), (4 * K, 68 * K), (60 * K, 68 * K)] {
            let (first, last) = whole_pages(start, end, 64 * K);
            assert!(start <= first && last <= end && first <= last);
            assert!(last - first == 0 || end == 68 * K, "{start} {end}");
        }
    }

    /// As on a system with pages of 64 KiB: what lies beside the range keeps its contents, the
    /// range reads as zero.
    #[test]
    #[cfg_attr(miri, ignore = "looks at 12 MiB, byte by byte")]
    fn neighbours_of_discarded_memory_are_left_alone() {
        let mut reservation = Reservation::new(4 << 20, 4 << 20).unwrap();
        reservation.system_page = 64 * 1024;
        // SAFETY: the reservation is the test's alone.
        unsafe {
            for (offset, length) in [(0, PAGE), (PAGE, PAGE), (60 << 10, 256 << 10)] {
                let (offset, length) = (offset.next_multiple_of(PAGE), length);
                reservation.start().write_bytes(1, reservation.length());
                reservation.discard(offset, length);
                let bytes =
                    std::slice::from_raw_parts(reservation.start().as_ptr(), reservation.length());
                let right = |(at, &byte): (usize, &u8)| {
                    byte == u8::from(!(offset..offset + length).contains(&at))
                };
                assert!(bytes.iter().enumerate().all(right), "{offset} {length}");
            }
        }
    }
}
