//! Address space from the system: reserve, ask for huge pages, give back.

use std::io;
use std::ptr::NonNull;

/// The unit in which memory is given back to the system, in bytes. Larger than the page of any system we run on is
/// correct too: it only makes large objects round up further.
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
        // SAFETY: within the mapping, and unused by the caller's word.
        unsafe {
            let start = self.start.add(offset);
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

impl Drop for Reservation {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, and its users are gone. A failure would leak address space, nothing worse.
        unsafe {
            libc::munmap(self.mapping.as_ptr().cast(), self.mapped);
        }
    }
}
