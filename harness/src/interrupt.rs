//! The user's wish to stop: Ctrl-C, or a batch system's termination signal.
//!
//! The first signal is noted and acted on between two lines of a child: the child is killed, what was measured is kept, and the table so far is printed
//! with the command that goes on. A second one ends the process at once, by the signal's own rules; children end with it ([`crate::run`]).
//!
//! Rejected: doing the work in the handler (almost nothing is allowed there); ignoring the signal while a child runs (a full-size iteration takes minutes).

use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

pub(crate) use signal_hook::consts::SIGINT;
use signal_hook::consts::SIGTERM;
use signal_hook::flag;

/// The signal that came, or 0.
static RECEIVED: OnceLock<Arc<AtomicUsize>> = OnceLock::new();

/// From now on a first signal is noted. Where that cannot be arranged, signals do what they always did.
pub(crate) fn install() {
    RECEIVED.get_or_init(|| {
        let received = Arc::new(AtomicUsize::new(0));
        for signal in [SIGINT, SIGTERM] {
            // Handlers run in the order of their registration: the first signal finds this false, a second one ends the process.
            let again = Arc::new(AtomicBool::new(false));
            let _ = flag::register_conditional_default(signal, Arc::clone(&again));
            let _ = flag::register(signal, again);
            let _ = flag::register_usize(signal, Arc::clone(&received), signal as usize);
        }
        received
    });
}

/// The signal that came, if one did.
pub(crate) fn signal() -> Option<i32> {
    let received = RECEIVED.get()?.load(Ordering::SeqCst);
    (received != 0).then_some(received as i32)
}
