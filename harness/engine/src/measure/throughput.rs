//! Throughput.
//!
//! Definition: *work whose checksum was verified / wall time; also / task clock.*
//!
//! The work is what a workload counts as operations. Wall time is the monotonic clock around the
//! whole of [`Workload::run`](contract::workload::Workload::run), less the time in which threads
//! were [started](contract::threads::starting), which is no collector's; the task clock
//! is the processor time of all threads of the process, those of a collector included; that of the
//! [sampler](super::sampler) is taken off. Whether the checksum is right is known only
//! when the heaps are compared: [`crate::run`] marks what disagrees as void.

use std::time::{Duration, Instant};

use contract::threads;
use nix::time::{ClockId, clock_gettime};

/// Both clocks, running.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch {
    wall: Instant,
    cpu: Duration,
    starting: Duration,
}

/// What passed on both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Elapsed {
    /// Nanoseconds of wall time without those in which threads were started.
    pub wall_ns: u64,
    /// Nanoseconds of wall time from the start to the end.
    pub span_ns: u64,
    /// Nanoseconds of processor time, summed over all threads of the process.
    pub cpu_ns: u64,
}

impl Stopwatch {
    /// Starts both clocks.
    pub fn start() -> Self {
        Self {
            starting: threads::starting(),
            cpu: task_clock(),
            wall: Instant::now(),
        }
    }

    /// Reads both clocks.
    pub fn elapsed(&self) -> Elapsed {
        let span = self.wall.elapsed();
        let wall = span.saturating_sub(threads::starting() - self.starting);
        Elapsed {
            wall_ns: wall.as_nanos() as u64,
            span_ns: span.as_nanos() as u64,
            cpu_ns: (task_clock() - self.cpu).as_nanos() as u64,
        }
    }
}

/// Processor time of this process so far.
fn task_clock() -> Duration {
    clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID)
        .map(Duration::from)
        .expect("POSIX systems have a clock for the process")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_clocks_advance_with_work() {
        let stopwatch = Stopwatch::start();
        let mut elapsed = stopwatch.elapsed();
        while elapsed.wall_ns == 0 || elapsed.cpu_ns == 0 {
            elapsed = stopwatch.elapsed();
        }
    }
}
