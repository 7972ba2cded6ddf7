//! Which process this is: a heap outlives a fork of its process, and other threads do not.
//!
//! After a fork the child has a copy of the heap and one thread, the one that forked. What another
//! thread had begun it will never end: a lock that it held stays locked, a stop that it asked for
//! stays, a mutator that ran on it is never seen to stop. So the first operation of the child that
//! could meet such a thing looks whether there is any. If there is none the heap is the child's
//! ([`Home::move_here`]); else the operation, and each that follows, is refused with a line that
//! says why ([`Resident::enter`]).
//!
//! Processes are told apart by a number in a page that the system hands to a child zeroed, so that
//! asking is one load; where the system has no such pages, by the process's own number, which is a
//! system call.
//!
//! Rejected: `pthread_atfork` (what is registered there stays when a library is unloaded, and a
//! child made by a bare system call does not run it); going on without the mutators of other
//! threads (their frames lie on stacks that the C library hands out again in the child, and so do
//! their parts of the remembered set).

use std::sync::atomic::{AtomicPtr, AtomicU32, Ordering};
use std::sync::{Mutex, TryLockError};

/// The page, null before it is first asked for, or [`NO_PAGE`].
static PAGE: AtomicPtr<AtomicU32> = AtomicPtr::new(std::ptr::null_mut());

/// A static that is never the page: the system has none.
static NO_PAGE: AtomicU32 = AtomicU32::new(0);

/// The number of the next process. A child goes on counting where its parent was, so no process has
/// the number of one that it comes from. Those of the system are far below the upper half.
static NEXT: AtomicU32 = AtomicU32::new(1 << 24);

/// Marks the number of a process that is looking.
const LOOKING: u32 = 1 << 31;

/// A number that no process has that this one comes from.
#[inline(always)]
pub fn current() -> u32 {
    let page = PAGE.load(Ordering::Acquire);
    if !page.is_null() {
        // SAFETY: the page, which is never unmapped, or a static.
        let number = unsafe { &*page }.load(Ordering::Relaxed);
        if number != 0 {
            return number;
        }
    }
    identify(page)
}

#[cold]
fn identify(mut page: *mut AtomicU32) -> u32 {
    let none = (&raw const NO_PAGE).cast_mut();
    if page.is_null() {
        let fresh = wiped_on_fork().unwrap_or(none);
        let installed = PAGE.compare_exchange(
            std::ptr::null_mut(),
            fresh,
            Ordering::AcqRel,
            Ordering::Acquire,
        );
        // Another thread's page does as well; ours is a page lost.
        page = installed.map_or_else(|other| other, |_| fresh);
    }
    if page == none {
        return std::process::id() & (LOOKING - 1);
    }
    let number = NEXT.fetch_add(1, Ordering::Relaxed) & (LOOKING - 1);
    // SAFETY: the page, which is never unmapped.
    let page = unsafe { &*page };
    match page.compare_exchange(0, number, Ordering::Relaxed, Ordering::Relaxed) {
        Ok(_) => number,
        Err(number) => number,
    }
}

/// A zeroed page that is zeroed again in every child. Miri knows no such page, and no forks.
#[cfg(all(target_os = "linux", not(miri)))]
fn wiped_on_fork() -> Option<*mut AtomicU32> {
    let length = 4096;
    // SAFETY: a fresh anonymous mapping, which overlaps nothing, and advice about all of it.
    unsafe {
        let page = libc::mmap(
            std::ptr::null_mut(),
            length,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            -1,
            0,
        );
        if page == libc::MAP_FAILED {
            return None;
        }
        if libc::madvise(page, length, libc::MADV_WIPEONFORK) != 0 {
            libc::munmap(page, length);
            return None;
        }
        Some(page.cast())
    }
}

#[cfg(not(all(target_os = "linux", not(miri))))]
fn wiped_on_fork() -> Option<*mut AtomicU32> {
    None
}

/// The process that something belongs to.
pub struct Home(AtomicU32);

impl Home {
    /// This process.
    pub fn here() -> Self {
        Self(AtomicU32::new(current()))
    }

    /// Whether this process is it: a load or two.
    #[inline(always)]
    pub fn is_here(&self) -> bool {
        // Acquire: pairs with the release store of who looked first.
        self.0.load(Ordering::Acquire) == current()
    }

    /// Moves here from the process that this one was forked from, if `look` finds nothing against
    /// it. Of several threads one looks, and the others wait.
    #[cold]
    pub fn move_here(&self, look: impl FnOnce() -> Result<(), String>) -> Result<(), String> {
        let here = current();
        let mut before = self.0.load(Ordering::Acquire);
        loop {
            if before == here {
                return Ok(());
            }
            if before == here | LOOKING {
                std::thread::yield_now();
                before = self.0.load(Ordering::Acquire);
                continue;
            }
            let looking = here | LOOKING;
            let order = Ordering::Acquire;
            match (self.0).compare_exchange(before, looking, order, order) {
                Ok(_) => break,
                Err(other) => before = other,
            }
        }
        let found = look();
        // What was found against it is found again.
        let home = if found.is_ok() { here } else { before };
        self.0.store(home, Ordering::Release);
        found
    }
}

/// What belongs to a process, and looks before its operations whether this is still the one.
pub trait Resident {
    /// Who speaks in a refusal: the crate.
    const CRATE: &'static str;

    /// The process that it belongs to.
    fn home(&self) -> &Home;

    /// In a child, before anything else was done there: what the calling thread, which is alone,
    /// lacks.
    ///
    /// # Errors
    ///
    /// What was so when the process was forked, for a sentence that begins "forked while".
    fn look(&self) -> Result<(), String>;

    /// Before whatever takes a lock, asks for a stop, or looks at other mutators.
    ///
    /// # Panics
    ///
    /// If the process has been forked and something is lacking.
    #[inline(always)]
    #[track_caller]
    fn enter(&self) {
        if !self.home().is_here() {
            self.enter_after_fork();
        }
    }

    #[doc(hidden)]
    #[cold]
    #[inline(never)]
    #[track_caller]
    fn enter_after_fork(&self) {
        if let Err(lacking) = self.move_here() {
            panic!(
                "{}: this process was forked while {lacking}, and its heap cannot go on without \
                 that thread: fork when no other thread is attached",
                Self::CRATE
            );
        }
    }

    /// Whether [`Self::enter`] lets the caller in.
    #[inline(always)]
    fn may_enter(&self) -> bool {
        self.home().is_here() || self.move_here().is_ok()
    }

    /// [`Self::enter`] where a destructor calls it: on the way of another panic it does not panic,
    /// but says whether the caller is in.
    #[inline(always)]
    #[track_caller]
    fn enter_unless_unwinding(&self) -> bool {
        if std::thread::panicking() {
            return self.may_enter();
        }
        self.enter();
        true
    }

    /// [`Home::move_here`].
    #[cold]
    #[inline(never)]
    fn move_here(&self) -> Result<(), String> {
        self.home().move_here(|| self.look())
    }
}

/// What is lacking where another thread had a lock.
pub const INSIDE: &str = "another thread was inside an operation on it";

/// Whether somebody holds the lock: in a process with one thread, somebody who is not there.
pub fn is_held<T>(mutex: &Mutex<T>) -> bool {
    matches!(mutex.try_lock(), Err(TryLockError::WouldBlock))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_has_one_number() {
        let number = current();
        let others = [(); 4].map(|()| std::thread::spawn(current));
        assert!(others.into_iter().all(|it| it.join().unwrap() == number));
        assert!(number != 0 && number < LOOKING);
        assert!(Home::here().is_here());
    }

    #[test]
    fn what_is_found_against_a_move_is_found_again() {
        let home = Home(AtomicU32::new(1));
        for _ in 0..2 {
            let found = home.move_here(|| Err("lost".to_owned()));
            assert!(found.is_err() && !home.is_here());
        }
        assert!(home.move_here(|| Ok(())).is_ok() && home.is_here());
        assert!(home.move_here(|| unreachable!()).is_ok());
    }
}
