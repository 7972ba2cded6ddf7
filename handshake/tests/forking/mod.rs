//! Forks in tests of heaps: a child that says by its exit status whether all went well, and a
//! parent that waits for it, and kills it if it hangs.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// One test at a time, so that no other thread of this process holds the lock of standard error or
/// the like when it is forked.
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Forks; `None` in the child.
pub(crate) fn fork() -> Option<libc::pid_t> {
    // SAFETY: a test of exactly this. The child goes on with the thread that forks.
    let child = unsafe { libc::fork() };
    assert!(child >= 0, "fork: {}", std::io::Error::last_os_error());
    (child > 0).then_some(child)
}

/// Ends the child, well if `f` returns.
pub(crate) fn end(f: impl FnOnce()) -> ! {
    let ended = catch_unwind(AssertUnwindSafe(f));
    // SAFETY: ends the process, without the destructors of statics, which are the parent's.
    unsafe { libc::_exit(i32::from(ended.is_err())) }
}

/// Waits until the child has ended, and checks that it has ended well.
pub(crate) fn await_child(child: libc::pid_t, context: &str) {
    let deadline = Instant::now() + Duration::from_secs(60);
    let mut status = 0;
    loop {
        // SAFETY: our own child, and a place for its status.
        let done = unsafe { libc::waitpid(child, &mut status, libc::WNOHANG) };
        if done == child {
            break;
        }
        if Instant::now() > deadline {
            // SAFETY: as above.
            unsafe {
                libc::kill(child, libc::SIGKILL);
                libc::waitpid(child, &mut status, 0);
            }
            panic!("{context}: the child hung");
        }
        thread::sleep(Duration::from_millis(1));
    }
    assert!(libc::WIFEXITED(status), "{context}: status {status:#x}");
    assert_eq!(libc::WEXITSTATUS(status), 0, "{context}");
}

/// Whether `f` panics with a line about the fork.
pub(crate) fn is_refused(f: impl FnOnce()) -> bool {
    let payload = catch_unwind(AssertUnwindSafe(f)).unwrap_err();
    let text = payload.downcast_ref::<String>().unwrap();
    text.contains("forked while") && !text.contains('\n')
}
