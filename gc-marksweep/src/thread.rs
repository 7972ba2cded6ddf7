//! Threads whose start can be refused: what the standard library's are to those whose start aborts
//! the process if there is no memory for what they share with who started them.
//!
//! For helpers alone, which share nothing with the client: no name that it could ask for, no
//! result, no panic that goes further.

use std::ffi::c_void;
use std::io::Write as _;
use std::mem::MaybeUninit;

use crate::shared::try_box;

/// Bytes of a helper's stack: nothing that it does recurses.
const STACK: usize = 1 << 20;

/// A thread that runs or has run. Nothing happens to it when this is dropped.
pub(crate) struct Thread(libc::pthread_t);

// SAFETY: the number of a thread, which any other may wait for.
unsafe impl Send for Thread {}

impl Thread {
    /// Starts a thread that runs `run`, which does not unwind; `None` if the system has no memory
    /// or no thread for it. It is shown as `name`, at most 15 bytes on Linux.
    pub(crate) fn start<F: FnOnce() + Send + 'static>(
        name: std::fmt::Arguments<'_>,
        run: F,
    ) -> Option<Self> {
        let mut text = [0; 16];
        // What does not fit is left out; the last byte stays 0.
        let _ = (&mut text[..15]).write_fmt(name);
        let argument = Box::into_raw(try_box((text, run)).ok()?);
        let mut attributes = MaybeUninit::uninit();
        let mut thread = MaybeUninit::uninit();
        // SAFETY: the attributes are used between their making and their end; the argument is what
        // the function takes.
        let started = unsafe {
            let made = libc::pthread_attr_init(attributes.as_mut_ptr()) == 0;
            if made {
                // Refused where the system's least is more: then it is the default.
                libc::pthread_attr_setstacksize(attributes.as_mut_ptr(), STACK);
            }
            let started = made
                && libc::pthread_create(
                    thread.as_mut_ptr(),
                    attributes.as_ptr(),
                    first::<F>,
                    argument.cast(),
                ) == 0;
            if made {
                libc::pthread_attr_destroy(attributes.as_mut_ptr());
            }
            started
        };
        if !started {
            // SAFETY: there is no thread that could take it.
            drop(unsafe { Box::from_raw(argument) });
            return None;
        }
        // SAFETY: `pthread_create` has written it.
        Some(Self(unsafe { thread.assume_init() }))
    }

    /// Waits for the end of the thread.
    pub(crate) fn join(self) {
        // SAFETY: started here, and not waited for before.
        let code = unsafe { libc::pthread_join(self.0, std::ptr::null_mut()) };
        debug_assert_eq!(code, 0);
    }
}

/// What a thread begins with.
extern "C" fn first<F: FnOnce()>(argument: *mut c_void) -> *mut c_void {
    // SAFETY: made by [`Thread::start`] for this thread alone.
    let (name, run) = *unsafe { Box::from_raw(argument.cast::<([u8; 16], F)>()) };
    // SAFETY: a text that ends with 0. A refusal costs nothing but the name.
    unsafe {
        #[cfg(target_os = "macos")]
        libc::pthread_setname_np(name.as_ptr().cast());
        #[cfg(target_os = "linux")]
        libc::pthread_setname_np(libc::pthread_self(), name.as_ptr().cast());
        #[cfg(not(any(target_os = "linux", target_os = "macos")))]
        let _ = name;
    }
    run();
    std::ptr::null_mut()
}
