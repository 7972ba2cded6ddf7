//! What the heap asks of the system: address space to reserve, back with huge pages, and give back;
//! and a line on standard error.

use std::cell::UnsafeCell;
use std::fmt::{self, Write as _};
use std::fs::File;
use std::io::{self, Write as _};
use std::ops::{Deref, DerefMut, Range};
use std::os::fd::AsFd as _;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard};

/// The unit in which large objects take memory and give it back, in bytes: the page of most
/// systems. Where the system's is larger (arm64 kernels have pages of 4, 16 or 64 KiB),
/// [`Reservation::release`] gives back the whole ones of those only.
#[cfg(not(all(target_os = "macos", target_arch = "aarch64")))]
pub(crate) const PAGE: usize = 4096;
#[cfg(all(target_os = "macos", target_arch = "aarch64"))]
pub(crate) const PAGE: usize = 16384;

/// Reservations are multiples of it, in bytes.
pub(crate) const HUGE_PAGE: usize = if cfg!(miri) { PAGE } else { 2 << 20 };

/// Why the system gave no address space, and how much it was asked for.
#[derive(Debug)]
pub(crate) struct Refused {
    /// In bytes.
    pub(crate) asked: usize,
    pub(crate) source: io::Error,
}

impl Refused {
    /// For more than there can be.
    pub(crate) fn too_large() -> Self {
        Self {
            asked: usize::MAX,
            source: io::ErrorKind::OutOfMemory.into(),
        }
    }
}

/// Maps `length` bytes of zeroes that are backed when they are first touched, at `hint` if the
/// system likes.
fn map(hint: usize, length: usize) -> io::Result<NonNull<u8>> {
    if cfg!(miri) {
        return interpreted::map(length);
    }
    // SAFETY: a fresh anonymous mapping, which overlaps nothing.
    let mapping = unsafe {
        libc::mmap(
            std::ptr::without_provenance_mut(hint),
            length,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
            -1,
            0,
        )
    };
    if mapping == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    Ok(NonNull::new(mapping.cast()).expect("a mapping is not null"))
}

/// # Safety
///
/// A whole mapping of [`map`], or a part of some, that nobody uses.
unsafe fn unmap(mapping: NonNull<u8>, length: usize) {
    if cfg!(miri) {
        // SAFETY: passed on; there a mapping is unmapped as a whole.
        return unsafe { interpreted::unmap(mapping, length) };
    }
    // SAFETY: passed on. A failure would leak address space, nothing worse.
    unsafe { libc::munmap(mapping.as_ptr().cast(), length) };
}

/// Under Miri, which has no mappings that reserve nothing and no advice, the allocator stands in.
/// That loses nothing of what Miri is there to see: which accesses to a reservation are allowed.
mod interpreted {
    use super::*;
    use std::alloc::{Layout, alloc_zeroed, dealloc};

    pub(super) fn map(length: usize) -> io::Result<NonNull<u8>> {
        Layout::from_size_align(length, PAGE)
            .ok()
            // SAFETY: the size is not zero.
            .and_then(|layout| NonNull::new(unsafe { alloc_zeroed(layout) }))
            .ok_or_else(|| io::ErrorKind::OutOfMemory.into())
    }

    /// # Safety
    ///
    /// What [`map`] returned for that length, and nobody uses it any more.
    pub(super) unsafe fn unmap(mapping: NonNull<u8>, length: usize) {
        let layout = Layout::from_size_align(length, PAGE).expect("as when it was mapped");
        // SAFETY: the caller's promise.
        unsafe { dealloc(mapping.as_ptr(), layout) }
    }
}

/// [`map`], but exactly at `address` or not at all.
fn map_at(address: usize, length: usize) -> io::Result<NonNull<u8>> {
    let mapping = map(address, length)?;
    if mapping.addr().get() == address {
        return Ok(mapping);
    }
    // SAFETY: just mapped.
    unsafe { unmap(mapping, length) };
    Err(io::ErrorKind::AddrInUse.into())
}

/// Addresses that heaps have been given to grow into, each from its start; in order. Nothing is
/// mapped by being noted here.
///
/// A mapping can be lengthened only where nothing lies behind it. Systems put mappings close to one
/// another, so those that are to grow go to a part of the address space that the system does not
/// choose by itself (as Go's heap does), and keep out of each other's way by this list. Rejected:
/// mapping all there may ever be without access (it counts against `RLIMIT_AS` all the same).
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
                let mapping = map(0, mapped).map_err(refused)?;
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
        reservation.ask_for_huge_pages(0, reservation.length());
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
        self.ask_for_huge_pages(before, length);
        self.length.store(length, Ordering::Relaxed);
        true
    }

    /// A page fault on a virtual machine costs microseconds; with huge pages there are 512 times
    /// fewer. A refusal costs only speed.
    fn ask_for_huge_pages(&self, from: usize, until: usize) {
        if cfg!(miri) {
            return;
        }
        #[cfg(target_os = "linux")]
        // SAFETY: the range is ours; the advice changes no contents.
        unsafe {
            let start = self.start.add(from).as_ptr();
            libc::madvise(start.cast(), until - from, libc::MADV_HUGEPAGE);
        }
        #[cfg(not(target_os = "linux"))]
        let _ = (from, until);
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
    pub(crate) unsafe fn release(&self, offset: usize, length: usize) {
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
            if cfg!(miri) {
                return self.start.add(first).write_bytes(0, last - first);
            }
            let (start, length) = (self.start.add(first), last - first);
            #[cfg(target_os = "linux")]
            let released = libc::madvise(start.as_ptr().cast(), length, libc::MADV_DONTNEED) == 0;
            // Elsewhere the advice promises no zeroes, but a fresh mapping over the old one does.
            #[cfg(not(target_os = "linux"))]
            let released = libc::mmap(
                start.as_ptr().cast(),
                length,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE | libc::MAP_FIXED,
                -1,
                0,
            ) != libc::MAP_FAILED;
            if !released {
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

fn system_page() -> usize {
    // SAFETY: only asks.
    let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(page)
        .ok()
        .filter(|page| page.is_power_of_two())
        .unwrap_or(PAGE)
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

/// What [`Table`] can hold.
///
/// # Safety
///
/// Zeroes are a value, and nothing is to be dropped.
pub(crate) unsafe trait Zeroed {}
// SAFETY: zeroes are 0.
unsafe impl Zeroed for u8 {}
// SAFETY: as above.
unsafe impl Zeroed for u16 {}
// SAFETY: as above.
unsafe impl Zeroed for u32 {}
// SAFETY: as above.
unsafe impl Zeroed for AtomicU32 {}
// SAFETY: as above.
unsafe impl Zeroed for AtomicU64 {}
// SAFETY: a cell has the layout of what is in it.
unsafe impl<T: Zeroed> Zeroed for UnsafeCell<T> {}

/// An array of zeroes, backed when they are first touched: an enormous one of which little is used
/// costs little.
pub(crate) struct Table<T> {
    mapping: NonNull<T>,
    length: usize,
}

// SAFETY: owns its items.
unsafe impl<T: Send> Send for Table<T> {}
// SAFETY: as above.
unsafe impl<T: Sync> Sync for Table<T> {}

impl<T: Zeroed> Table<T> {
    pub(crate) fn new(length: usize) -> Result<Self, Refused> {
        // Of no bytes there is no mapping.
        let asked = length
            .max(1)
            .checked_mul(size_of::<T>())
            .ok_or_else(Refused::too_large)?;
        let mapping = map(0, asked).map_err(|source| Refused { asked, source })?;
        Ok(Self {
            mapping: mapping.cast(),
            length,
        })
    }
}

impl<T> Deref for Table<T> {
    type Target = [T];

    #[inline(always)]
    fn deref(&self) -> &[T] {
        // SAFETY: a mapping of that many items, which zeroes are values of; aligned to a page.
        unsafe { std::slice::from_raw_parts(self.mapping.as_ptr(), self.length) }
    }
}

impl<T> DerefMut for Table<T> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as above, and borrowed exclusively.
        unsafe { std::slice::from_raw_parts_mut(self.mapping.as_ptr(), self.length) }
    }
}

impl<T> Drop for Table<T> {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, and its users are gone.
        unsafe { unmap(self.mapping.cast(), self.length.max(1) * size_of::<T>()) };
    }
}

/// Processor time of the calling thread so far, in nanoseconds. A system call: for slow paths only.
pub(crate) fn thread_cpu_ns() -> u64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `time` is there to be written to. POSIX systems have this clock; without it the time
    // stays 0.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// Writes a line to standard error, if that can be written.
///
/// Past the lock of [`io::stderr`]: a mutator may hold that while it stands at a safepoint, and a
/// collector that waited for it would never let the mutator go. Nor `eprintln`, which panics where
/// the line cannot be written.
pub(crate) fn complain(line: fmt::Arguments<'_>) {
    if let Ok(descriptor) = io::stderr().as_fd().try_clone_to_owned() {
        // In one piece, so that it is not mixed with what others write.
        let mut whole = Growing(Vec::new());
        if writeln!(whole, "{line}").is_ok() {
            // There is nobody to tell of a failure.
            let _ = File::from(descriptor).write_all(&whole.0);
            return;
        }
        // Memory is what is lacking.
        let mut buffer = [0; 1024];
        let mut rest = &mut buffer[..1023];
        // What does not fit is left out.
        let _ = rest.write_fmt(line);
        let length = 1023 - rest.len();
        buffer[length] = b'\n';
        let _ = File::from(descriptor).write_all(&buffer[..=length]);
    }
}

/// A text that can be refused memory.
struct Growing(Vec<u8>);

impl fmt::Write for Growing {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.try_reserve(text.len()).map_err(|_| fmt::Error)?;
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
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
    fn neighbours_of_released_memory_are_left_alone() {
        let mut reservation = Reservation::new(4 << 20, 4 << 20).unwrap();
        reservation.system_page = 64 * 1024;
        // SAFETY: the reservation is the test's alone.
        unsafe {
            for (offset, length) in [(0, PAGE), (PAGE, PAGE), (60 << 10, 256 << 10)] {
                let (offset, length) = (offset.next_multiple_of(PAGE), length);
                reservation.start().write_bytes(1, reservation.length());
                reservation.release(offset, length);
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
