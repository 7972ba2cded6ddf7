//! What turns a panic where none may go on into the end of the process.

use std::process::abort;

/// Aborts the process when it is dropped: one that goes on after a panic inside a collection would
/// go on with a heap that is half marked, and a world that is stopped. Who gets through
/// [forgets](std::mem::forget) it.
pub(crate) struct AbortOnUnwind;

impl Drop for AbortOnUnwind {
    fn drop(&mut self) {
        crate::os::complain(format_args!(
            "gc-marksweep: a panic inside a collection; the heap cannot be trusted any more: \
             aborting"
        ));
        abort();
    }
}
