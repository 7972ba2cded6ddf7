//! What the operating system gives: private anonymous mappings, and a way to say something that
//! waits for no client.

use std::fmt::{self, Write as _};
use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::AsFd as _;
use std::ptr::NonNull;

/// The unit in which large objects take memory and give it back, in bytes: the page of most
/// systems. Where the system's is larger (arm64 kernels have pages of 4, 16 or 64 KiB),
/// [`Reservation::discard`](crate::reservation::Reservation::discard) gives back the whole ones of
/// those only.
#[cfg(not(all(target_os = "macos", target_arch = "aarch64")))]
pub(crate) const PAGE: usize = 4096;
#[cfg(all(target_os = "macos", target_arch = "aarch64"))]
pub(crate) const PAGE: usize = 16384;

/// Reservations are multiples of it, in bytes. Under Miri it is as small as can be: a block.
pub(crate) const HUGE_PAGE: usize = if cfg!(miri) { 32 << 10 } else { 2 << 20 };

/// Why the system gave no address space, and how much it was asked for.
#[derive(Debug)]
pub(crate) struct Refused {
    /// In bytes.
    pub(crate) asked: usize,
    pub(crate) source: io::Error,
}

impl Refused {
    /// For a little more memory.
    pub(crate) fn no_memory() -> Self {
        Self {
            asked: 0,
            source: io::ErrorKind::OutOfMemory.into(),
        }
    }

    /// For more than there can be.
    pub(crate) fn too_large() -> Self {
        Self {
            asked: usize::MAX,
            source: io::ErrorKind::OutOfMemory.into(),
        }
    }
}

/// Maps `bytes` of zeroed memory, at the address `hint` if nothing else is there. Nothing is backed
/// by memory until it is touched.
pub(crate) fn map(bytes: usize, hint: usize) -> io::Result<NonNull<u8>> {
    if cfg!(miri) {
        return interpreted::map(bytes);
    }
    // SAFETY: a fresh anonymous mapping, which overlaps nothing.
    let mapping = unsafe {
        libc::mmap(
            std::ptr::without_provenance_mut(hint),
            bytes,
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

/// [`map`], but exactly at `address` or not at all.
pub(crate) fn map_at(address: usize, bytes: usize) -> io::Result<NonNull<u8>> {
    let mapping = map(bytes, address)?;
    if mapping.addr().get() == address {
        return Ok(mapping);
    }
    // SAFETY: just mapped.
    unsafe { unmap(mapping, bytes) };
    Err(io::ErrorKind::AddrInUse.into())
}

/// Asks for huge pages where the system gives them only on request: a page fault on a virtual
/// machine costs microseconds, and with huge pages there are 512 times fewer.
pub(crate) fn prefer_huge_pages(start: NonNull<u8>, bytes: usize) {
    if cfg!(miri) {
        return;
    }
    #[cfg(target_os = "linux")]
    // SAFETY: advice on a mapping of ours; it changes no contents, and a refusal changes nothing.
    unsafe {
        libc::madvise(start.as_ptr().cast(), bytes, libc::MADV_HUGEPAGE);
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (start, bytes);
}

/// Gives the memory of a part of a mapping back to the system: it is zero when it is next used.
/// Returns whether that was done.
///
/// # Safety
///
/// The part lies in a mapping made by [`map`], consists of whole pages of the system, and nobody
/// uses what is in it.
pub(crate) unsafe fn discard(start: NonNull<u8>, bytes: usize) -> bool {
    if cfg!(miri) {
        // SAFETY: the caller's promise.
        unsafe { start.write_bytes(0, bytes) };
        return true;
    }
    #[cfg(target_os = "linux")]
    // SAFETY: the caller's promise; a private anonymous mapping is zero after this advice.
    unsafe {
        libc::madvise(start.as_ptr().cast(), bytes, libc::MADV_DONTNEED) == 0
    }
    // Elsewhere the advice promises no zeroes, but a fresh mapping over the old one does.
    #[cfg(not(target_os = "linux"))]
    // SAFETY: the caller's promise; the range is part of a mapping of ours.
    unsafe {
        let access = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE | libc::MAP_FIXED;
        libc::mmap(start.as_ptr().cast(), bytes, access, flags, -1, 0) != libc::MAP_FAILED
    }
}

/// Returns a mapping to the system. A refusal would leak address space, nothing worse.
///
/// # Safety
///
/// The range is a mapping made by [`map`], or adjacent ones, and nobody uses it any more.
pub(crate) unsafe fn unmap(start: NonNull<u8>, bytes: usize) {
    if cfg!(miri) {
        // SAFETY: the caller's promise; under Miri a mapping is returned as a whole.
        return unsafe { interpreted::unmap(start, bytes) };
    }
    // SAFETY: the caller's promise.
    unsafe { libc::munmap(start.as_ptr().cast(), bytes) };
}

/// Under Miri, which has no mappings that reserve nothing and no advice, the allocator stands in.
/// That loses nothing of what Miri is there to see: which accesses to a reservation are allowed.
mod interpreted {
    use super::*;
    use std::alloc::{Layout, alloc_zeroed, dealloc};

    pub(super) fn map(bytes: usize) -> io::Result<NonNull<u8>> {
        Layout::from_size_align(bytes, PAGE)
            .ok()
            // SAFETY: the size is not zero.
            .and_then(|layout| NonNull::new(unsafe { alloc_zeroed(layout) }))
            .ok_or_else(|| io::ErrorKind::OutOfMemory.into())
    }

    /// # Safety
    ///
    /// What [`map`] returned for so many bytes, and nobody uses it any more.
    pub(super) unsafe fn unmap(start: NonNull<u8>, bytes: usize) {
        let layout = Layout::from_size_align(bytes, PAGE).expect("as when it was mapped");
        // SAFETY: the caller's promise.
        unsafe { dealloc(start.as_ptr(), layout) }
    }
}

/// Bytes of a page of the system.
pub(crate) fn system_page() -> usize {
    // SAFETY: only asks.
    let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(page)
        .ok()
        .filter(|page| page.is_power_of_two())
        .unwrap_or(PAGE)
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
