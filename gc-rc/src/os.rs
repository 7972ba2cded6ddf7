//! What the operating system gives: private anonymous mappings, aligned to [`ALIGNMENT`], and a way
//! to say something that waits for no client.

use std::io::Write;
use std::ptr::{self, NonNull};

/// Alignment of every mapping: that of a block.
pub(crate) const ALIGNMENT: usize = crate::block::BLOCK_BYTES;

/// Maps `bytes` of zeroed memory, aligned to `align` (a power of two, at least [`ALIGNMENT`]), at
/// the address `hint` if that is aligned and nothing else is there; `None` if the system refuses.
/// Nothing is backed by memory until it is touched.
pub(crate) fn map(bytes: usize, align: usize, hint: usize) -> Option<NonNull<u8>> {
    debug_assert!(bytes.is_multiple_of(ALIGNMENT) && align.is_power_of_two() && align >= ALIGNMENT);
    if cfg!(miri) {
        return interpreted::map(bytes, align);
    }
    let access = libc::PROT_READ | libc::PROT_WRITE;
    if hint != 0 && hint.is_multiple_of(align) {
        let start = map_anywhere(bytes, access, hint)?;
        if (start.as_ptr() as usize).is_multiple_of(align) {
            return Some(start);
        }
        // SAFETY: the mapping was just made, and nobody knows of it.
        unsafe { unmap(start, bytes) };
    }
    let reserved = bytes.checked_add(align)?;
    let start = map_anywhere(reserved, access, 0)?;
    // An aligned part is kept, what is left over on either side goes back.
    let lead = start.as_ptr().align_offset(align);
    // SAFETY: `lead < align`, and `lead + bytes <= reserved`: all addresses lie in the mapping,
    // which nobody else knows of. Both ends are multiples of the page size, because the mapping's
    // start is and `ALIGNMENT` is a multiple of every supported page size.
    unsafe {
        let kept = start.add(lead);
        if lead > 0 {
            unmap(start, lead);
        }
        if reserved > lead + bytes {
            unmap(kept.add(bytes), reserved - lead - bytes);
        }
        Some(kept)
    }
}

fn map_anywhere(bytes: usize, access: libc::c_int, hint: usize) -> Option<NonNull<u8>> {
    // SAFETY: a new private mapping at an address of the system's choice (the hint is no order)
    // affects no other memory.
    let start = unsafe {
        libc::mmap(
            ptr::without_provenance_mut(hint),
            bytes,
            access,
            libc::MAP_PRIVATE | libc::MAP_ANON | libc::MAP_NORESERVE,
            -1,
            0,
        )
    };
    if start == libc::MAP_FAILED {
        return None;
    }
    NonNull::new(start.cast())
}

/// An address, aligned to `align`, from which on nothing is mapped for `bytes`; 0 if there is none.
/// Nothing is reserved: the address is good for hints.
pub(crate) fn free_address(bytes: usize, align: usize) -> usize {
    if cfg!(miri) {
        return 0;
    }
    match map_anywhere(bytes + align, libc::PROT_NONE, 0) {
        Some(start) => {
            // SAFETY: the mapping was just made, and nobody knows of it.
            unsafe { unmap(start, bytes + align) };
            (start.as_ptr() as usize).next_multiple_of(align)
        }
        None => 0,
    }
}

/// Asks for huge pages where the system gives them only on request: a first touch then costs a
/// fifth.
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
/// The part is within a mapping made by [`map`], begins and ends at multiples of 4 KiB, and nobody
/// reads what is in it.
pub(crate) unsafe fn discard(start: NonNull<u8>, bytes: usize) -> bool {
    if !is_whole_pages(start.as_ptr() as usize | bytes) {
        return false;
    }
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
    // Elsewhere the advice promises nothing about the contents: a new mapping in its place does.
    #[cfg(not(target_os = "linux"))]
    // SAFETY: the caller's promise; the range is part of a mapping of ours.
    unsafe {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANON | libc::MAP_NORESERVE | libc::MAP_FIXED;
        let access = libc::PROT_READ | libc::PROT_WRITE;
        libc::mmap(start.as_ptr().cast(), bytes, access, flags, -1, 0) != libc::MAP_FAILED
    }
}

/// Whether a multiple of 4 KiB is one of the page size, which is larger on some machines.
fn is_whole_pages(bytes: usize) -> bool {
    // SAFETY: asks for a constant.
    let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(page).is_ok_and(|page| page > 0 && bytes.is_multiple_of(page))
}

/// Returns a mapping to the system, which may refuse where a part of one is to go: that is one
/// mapping more. Returns whether it did not.
///
/// # Safety
///
/// The range is a mapping made here, or whole pages of one, and nothing points into it any more.
pub(crate) unsafe fn unmap(start: NonNull<u8>, bytes: usize) -> bool {
    if cfg!(miri) {
        // SAFETY: the caller's promise; under Miri no mapping is returned in parts.
        unsafe { interpreted::unmap(start, bytes) };
        return true;
    }
    // SAFETY: the caller's promise.
    unsafe { libc::munmap(start.as_ptr().cast(), bytes) == 0 }
}

/// Under Miri, which has no mappings at a hint, no advice, and no part of a mapping that could be
/// returned, the allocator stands in. That loses nothing of what Miri is there to see: which
/// accesses to a mapping are allowed.
mod interpreted {
    use std::alloc::{Layout, alloc_zeroed, dealloc};
    use std::ptr::NonNull;

    /// The alignment of every mapping that is made.
    const ALIGN: usize = crate::block::CHUNK_BYTES;

    fn layout(bytes: usize) -> Option<Layout> {
        Layout::from_size_align(bytes, ALIGN).ok()
    }

    pub(super) fn map(bytes: usize, align: usize) -> Option<NonNull<u8>> {
        assert!(align == ALIGN && bytes > 0);
        // SAFETY: the size is not zero.
        NonNull::new(unsafe { alloc_zeroed(layout(bytes)?) })
    }

    /// # Safety
    ///
    /// `start` was made by [`map`] with `bytes`, and nothing points into it any more.
    pub(super) unsafe fn unmap(start: NonNull<u8>, bytes: usize) {
        let layout = layout(bytes).expect("as when it was mapped");
        // SAFETY: the caller's promise.
        unsafe { dealloc(start.as_ptr(), layout) }
    }
}

/// Writes a line to standard error past the standard library, whose lock a client may hold while it
/// waits for what the caller has, and whose macros panic when nobody reads. Asks for no memory: the
/// line ends after [`LONGEST_COMPLAINT`] bytes. What cannot be written is lost.
pub(crate) fn complain(line: std::fmt::Arguments<'_>) {
    let mut buffer = [0; LONGEST_COMPLAINT + 1];
    let mut space = &mut buffer[..LONGEST_COMPLAINT];
    // It fails when the space is used up, after it has been.
    let _ = space.write_fmt(line);
    let left = space.len();
    let end = LONGEST_COMPLAINT - left;
    buffer[end] = b'\n';
    let mut rest = &buffer[..=end];
    while !rest.is_empty() {
        // SAFETY: the bytes are those of a live buffer.
        let written = unsafe { libc::write(libc::STDERR_FILENO, rest.as_ptr().cast(), rest.len()) };
        match usize::try_from(written) {
            Ok(0) => return,
            Ok(written) => rest = &rest[written..],
            Err(_) if std::io::Error::last_os_error().kind() == std::io::ErrorKind::Interrupted => {
            }
            Err(_) => return,
        }
    }
}

/// Bytes of the longest line that [`complain`] writes whole.
const LONGEST_COMPLAINT: usize = 511;
