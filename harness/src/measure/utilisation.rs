//! Mutator utilisation.
//!
//! Definition: *MMU(w): least mutator fraction over all windows of length w, per thread and for the process; exact when window edges align
//! with changes* (Cheng and Blelloch, *A Parallel, Real-Time Garbage Collector*, PLDI 2001).

use serde::{Deserialize, Serialize};

/// Minimum mutator utilisation for one length of window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Utilisation {
    /// The window's length in nanoseconds.
    pub window_ns: u64,
    /// The least share of the threads' time, taken together, in which they ran, 0 to 1.
    pub process: f64,
    /// The least share of its own time in which any one thread ran, 0 to 1.
    pub worst_thread: f64,
}
