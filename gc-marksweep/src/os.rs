//! What the heap asks of the system: address space to reserve, back with huge pages, and give back; and a line on
//! standard error.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::AsFd as _;
use std::ptr::NonNull;

/// The unit in which large objects take memory and give it back, in bytes: the page of most systems. Where the system's is larger (arm64
/// kernels have pages of 4, 16 or 64 KiB), [`Reservation::release`] gives back the whole ones of those only.
#[cfg(not(all(target_os = "macos", target_arch = "aarch64")))]
pub(crate) const PAGE: usize = 4096;
#[cfg(all(target_os = "macos", target_arch = "aarch64"))]
pub(crate) const PAGE: usize = 16384;

const HUGE_PAGE: usize = 2 << 20;

/// A range of zeroed address space, backed by memory when it is first touched.
pub(crate) struct Reservation {
    mapping: NonNull<u8>,
    mapped: usize,
    start: NonNull<u8>,
    length: usize,
    /// Bytes of the system's page.
    system_page: usize,
}

// SAFETY: owns its range; access to the memory is the users' matter.
unsafe impl Send for Reservation {}
// SAFETY: as above.
unsafe impl Sync for Reservation {}

impl Reservation {
    /// Reserves `length` bytes, aligned to a huge page.
    pub(crate) fn new(length: usize) -> io::Result<Self> {
        let mapped = length
            .checked_add(HUGE_PAGE)
            .ok_or_else(|| io::Error::from(io::ErrorKind::OutOfMemory))?;
        if cfg!(miri) {
            return interpreted::reserve(length);
        }
        // SAFETY: a fresh anonymous mapping, which overlaps nothing.
        let mapping = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                mapped,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
                -1,
                0,
            )
        };
        if mapping == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let mapping = NonNull::new(mapping.cast::<u8>()).expect("a mapping is not null");
        let offset = mapping.as_ptr().align_offset(HUGE_PAGE);
        // SAFETY: `offset` is less than a huge page, by which the mapping is longer than `length`.
        let start = unsafe { mapping.add(offset) };
        let reservation = Self {
            mapping,
            mapped,
            start,
            length,
            system_page: system_page(),
        };
        reservation.ask_for_huge_pages();
        Ok(reservation)
    }

    /// A page fault on a virtual machine costs microseconds; with huge pages there are 512 times fewer. A refusal costs only speed.
    fn ask_for_huge_pages(&self) {
        #[cfg(target_os = "linux")]
        // SAFETY: the range is ours; the advice changes no contents.
        unsafe {
            libc::madvise(self.start.as_ptr().cast(), self.length, libc::MADV_HUGEPAGE);
        }
    }

    pub(crate) fn start(&self) -> NonNull<u8> {
        self.start
    }

    pub(crate) fn length(&self) -> usize {
        self.length
    }

    /// Gives the memory behind `offset .. offset + length` back to the system; it reads as zero afterwards.
    ///
    /// # Safety
    ///
    /// Whole pages within the reservation that nobody uses.
    pub(crate) unsafe fn release(&self, offset: usize, length: usize) {
        debug_assert!(
            offset.is_multiple_of(PAGE)
                && length.is_multiple_of(PAGE)
                && offset + length <= self.length
        );
        // The system rounds the end of a range up to a page of its own, and what lies beyond ours may be in use.
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

/// The part of `start .. end` that is made of whole pages of `page` bytes, a power of two; empty if there is none.
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
        if cfg!(miri) {
            // SAFETY: the memory is ours, and its users are gone.
            return unsafe { interpreted::give_back(self) };
        }
        // SAFETY: the mapping is ours, and its users are gone. A failure would leak address space, nothing worse.
        unsafe {
            libc::munmap(self.mapping.as_ptr().cast(), self.mapped);
        }
    }
}

/// Under Miri, which has no mappings that reserve nothing and no advice, the allocator stands in. That loses nothing of what
/// Miri is there to see: which accesses to a reservation are allowed.
mod interpreted {
    use super::*;
    use std::alloc::{Layout, alloc_zeroed, dealloc};

    fn layout(length: usize) -> Option<Layout> {
        Layout::from_size_align(length.max(PAGE), HUGE_PAGE).ok()
    }

    pub(super) fn reserve(length: usize) -> io::Result<Reservation> {
        let start = layout(length)
            // SAFETY: the size is not zero.
            .and_then(|layout| NonNull::new(unsafe { alloc_zeroed(layout) }))
            .ok_or_else(|| io::Error::from(io::ErrorKind::OutOfMemory))?;
        Ok(Reservation {
            mapping: start,
            mapped: length,
            start,
            length,
            system_page: system_page(),
        })
    }

    /// # Safety
    ///
    /// The reservation was made by [`reserve`], and nobody uses it any more.
    pub(super) unsafe fn give_back(reservation: &Reservation) {
        let layout = layout(reservation.mapped).expect("as when it was reserved");
        // SAFETY: the caller's promise.
        unsafe { dealloc(reservation.mapping.as_ptr(), layout) }
    }
}

/// Processor time of the calling thread so far, in nanoseconds. A system call: for slow paths only.
pub(crate) fn thread_cpu_ns() -> u64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `time` is there to be written to. POSIX systems have this clock; without it the time stays 0.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// Writes a line to standard error, if that can be written.
///
/// Past the lock of [`io::stderr`]: a mutator may hold that while it stands at a safepoint, and a collector that waited for
/// it would never let the mutator go. Nor `eprintln`, which panics where the line cannot be written.
pub(crate) fn complain(line: &str) {
    if let Ok(descriptor) = io::stderr().as_fd().try_clone_to_owned() {
        // In one piece, so that it is not mixed with what others write. There is nobody to tell of a failure.
        let _ = File::from(descriptor).write_all(format!("{line}\n").as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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

    /// As on a system with pages of 64 KiB: what lies beside the range keeps its contents, the range reads as zero.
    #[test]
    fn neighbours_of_released_memory_are_left_alone() {
        let mut reservation = Reservation::new(4 << 20).unwrap();
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
