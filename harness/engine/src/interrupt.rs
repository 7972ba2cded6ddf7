//! The wish to stop: the user's Ctrl-C, a terminal that is closed, or a batch system's signal.
//!
//! The first signal is noted and acted on between two lines of a child: the child is killed, what
//! was measured is kept, and the table so far is printed with the command that goes on. A second
//! one ends the process at once, by the signal's own rules; children end with it ([`crate::run`]).
//!
//! Which signals: every one that ends a process by default and that somebody sends to make it end,
//! so that what was measured is reported and temporary directories are removed. Batch systems
//! choose among those of `ENDING`. A signal that tells of a fault of this program, and `SIGKILL`,
//! end it as ever. A `SIGHUP` that was to be ignored (`nohup`) is.
//!
//! Two more would end it in the middle of a write, which reports the same by an error: `SIGPIPE`,
//! which the standard library ignores, and `SIGXFSZ` (`ulimit -f`), which is made harmless here.
//! Rows that do not fit are printed then.
//!
//! Rejected: doing the work in the handler (almost nothing is allowed there); ignoring the signal
//! while a child runs (a full-size iteration takes minutes).

use std::fs;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

pub(crate) use signal_hook::consts::SIGINT;
use signal_hook::consts::{SIGALRM, SIGHUP, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGXCPU, SIGXFSZ};
use signal_hook::flag;

/// The signals that somebody sends to end a process.
const ENDING: [i32; 8] = [
    SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGXCPU, SIGUSR1, SIGUSR2, SIGALRM,
];

/// The signal that came, or 0.
static RECEIVED: OnceLock<Arc<AtomicUsize>> = OnceLock::new();

/// From now on a first signal is noted. Where that cannot be arranged, signals do what they always
/// did.
pub fn install() {
    RECEIVED.get_or_init(|| {
        let received = Arc::new(AtomicUsize::new(0));
        for signal in ENDING {
            if signal == SIGHUP && is_ignored(signal) != Some(false) {
                continue;
            }
            // Handlers run in the order of their registration: the first signal finds this false, a
            // second one ends the process.
            let again = Arc::new(AtomicBool::new(false));
            let _ = flag::register_conditional_default(signal, Arc::clone(&again));
            let _ = flag::register(signal, again);
            let _ = flag::register_usize(signal, Arc::clone(&received), signal as usize);
        }
        received
    });
}

/// From now on a file that may not grow any more is an error where it is written, and no longer the
/// end of the process. For every command, before it writes anything.
pub fn outlive_full_files() {
    let _ = flag::register(SIGXFSZ, Arc::default());
}

/// Whether this process was started with the signal ignored; `None` where the system does not say.
fn is_ignored(signal: i32) -> Option<bool> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let mask = status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))?;
    let mask = u64::from_str_radix(mask.trim(), 16).ok()?;
    Some(mask & (1 << (signal - 1)) != 0)
}

/// Whether it is one of the signals that somebody sends to end a process.
pub(crate) fn is_ending(signal: i32) -> bool {
    ENDING.contains(&signal)
}

/// The signal that came, if one did.
pub fn signal() -> Option<i32> {
    let received = RECEIVED.get()?.load(Ordering::SeqCst);
    (received != 0).then_some(received as i32)
}
