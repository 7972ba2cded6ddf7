//! The end of a process whose heap can no longer be trusted.

/// Aborts the process when it is dropped: a process that goes on after a panic inside a collection
/// would use a heap whose invariants do not hold. A collection that ends well forgets it.
pub(crate) struct AbortOnUnwind;

impl Drop for AbortOnUnwind {
    fn drop(&mut self) {
        crate::os::complain(format_args!(
            "gc-rc: a panic inside a collection; the heap cannot be trusted any more: aborting"
        ));
        std::process::abort();
    }
}
