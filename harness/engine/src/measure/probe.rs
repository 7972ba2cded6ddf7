//! A probe of the memory that this machine shares with its neighbours.
//!
//! Definition: *a pointer chase of 2 ms through a few MiB before and after each iteration: a
//! neighbour in the shared cache changes memory-bound work fourfold, shows in no switch and no
//! steal, and hits heaps differently.*
//!
//! The chase is a lap through [`BYTES`] in an order that no prefetcher guesses: each load needs the
//! one before. That is more than a private cache holds and less than a shared one, so that a lap
//! is served by the shared cache, or, when a neighbour has emptied it, by memory. A lap before it
//! that is not timed brings the lines back which the workload itself has driven out: what is timed
//! is what others do *now*.
//!
//! It is a mark and a covariate, and no correction: two moments of 2 ms say whether the machine was
//! the same, not by how much a program of another footprint was slowed down. A lap means nothing by
//! itself; it is held against the run's own [quiet level](Quiet), which is that of its own machine.
//!
//! Costs: two milliseconds or more between two iterations, outside of what is timed, and [`BYTES`]
//! of the process's resident size, which [space](super::space) takes off.
//!
//! Rejected: counters of the processor (a virtual machine has none); a chase while the workload
//! runs (it would be the noise); one through more than the shared cache (it measures memory, which
//! a neighbour disturbs less than the cache); one lap alone (it finds the workload's own misses); a
//! sweep in the order of addresses before the lap (it leaves so much in the private cache that a
//! neighbour who took the shared one did not show at all).

use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use contract::row::Metrics;
use contract::workload::{below, generator};

/// What a lap goes through: more than the private caches of today's processors.
pub const BYTES: u64 = (LINES * size_of::<Line>()) as u64;

/// Loads of a lap: 1 ms, at 30 ns for one that the shared cache serves, and 2 or more beside a
/// neighbour.
const LINES: usize = 1 << 15;

/// The share of a run's laps that are no slower than its quiet level.
const QUIET_SHARE: f64 = 0.1;

/// An iteration with a slowdown above this is marked.
pub const MARKED: f64 = 1.25;

/// Bytes of this process's probes.
static HELD: AtomicU64 = AtomicU64::new(0);

/// A resident size of this process without its probes.
pub(super) fn less_held(resident_bytes: u64) -> u64 {
    resident_bytes.saturating_sub(HELD.load(Ordering::Relaxed))
}

/// One line of a cache.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct Line {
    next: u32,
}

/// The memory of the chase.
pub struct Probe {
    lines: Vec<Line>,
}

impl Probe {
    /// Takes a few milliseconds.
    pub fn new() -> Self {
        // A single cycle through all of them (Sattolo's algorithm).
        let mut order: Vec<u32> = (0..LINES as u32).collect();
        let mut random = generator(0, 0);
        for last in (1..LINES).rev() {
            order.swap(last, below(&mut random, last));
        }
        HELD.fetch_add(BYTES, Ordering::Relaxed);
        let lines = order.into_iter().map(|next| Line { next }).collect();
        Self { lines }
    }

    /// Nanoseconds of a lap.
    pub fn lap_ns(&self) -> u64 {
        self.lap();
        let begun = Instant::now();
        self.lap();
        begun.elapsed().as_nanos() as u64
    }

    /// Returns where a lap from the first line ends: there.
    fn lap(&self) -> u32 {
        let lap = (0..LINES).fold(0, |at, _| self.lines[at as usize].next);
        black_box(lap)
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        HELD.fetch_sub(BYTES, Ordering::Relaxed);
    }
}

impl Default for Probe {
    fn default() -> Self {
        Self::new()
    }
}

/// How long a lap takes when a run is undisturbed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quiet {
    lap_ns: f64,
}

impl Quiet {
    /// Of the run that these iterations are of, on whichever heaps: the level that a tenth of all
    /// laps stay below. Not the least one, which a boost of the clock may have given. `None` if
    /// nothing was probed.
    pub fn of<'m>(iterations: impl IntoIterator<Item = &'m Metrics>) -> Option<Self> {
        let laps = iterations.into_iter().flat_map(laps);
        let mut laps: Vec<u64> = laps.collect();
        laps.sort_unstable();
        let last = laps.len().checked_sub(1)?;
        let lap_ns = laps[(last as f64 * QUIET_SHARE) as usize];
        (lap_ns > 0).then_some(Self {
            lap_ns: lap_ns as f64,
        })
    }

    /// The slowdown of the probe beside an iteration: the mean of the laps before and after it,
    /// over the quiet level. `None` if it was not probed.
    pub fn slowdown(&self, iteration: &Metrics) -> Option<f64> {
        let laps: Vec<u64> = laps(iteration).collect();
        let sum = laps.iter().sum::<u64>() as f64;
        (!laps.is_empty()).then(|| sum / laps.len() as f64 / self.lap_ns)
    }

    /// What disturbed an iteration, in words, if the probe tells of anything.
    pub fn mark(&self, iteration: &Metrics) -> Option<String> {
        let slowdown = self.slowdown(iteration)?;
        (slowdown > MARKED)
            .then(|| format!("memory beside it was {slowdown:.1} times as slow as in quiet"))
    }
}

/// The laps before and after an iteration.
fn laps(iteration: &Metrics) -> impl Iterator<Item = u64> + use<> {
    let laps = [iteration.probe_before_ns, iteration.probe_after_ns];
    laps.into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn iteration(before: u64, after: u64) -> Metrics {
        Metrics {
            probe_before_ns: Some(before),
            probe_after_ns: Some(after),
            ..Metrics::default()
        }
    }

    #[test]
    fn a_lap_touches_every_line_once() {
        let probe = Probe::new();
        let mut seen = BTreeSet::new();
        let mut at = 0;
        while seen.insert(at) {
            at = probe.lines[at as usize].next;
        }
        assert_eq!((seen.len(), at, probe.lap()), (LINES, 0, 0));
        assert_eq!(BYTES, 2 << 20);
    }

    #[test]
    fn slowdowns_are_against_the_runs_own_quiet_level() {
        let mut run: Vec<Metrics> = (0..50)
            .map(|n| iteration(2_000_000 + n, 2_000_000))
            .collect();
        run.push(iteration(2_000_000, 8_000_000));
        run.push(Metrics::default());
        // A lucky one.
        run.push(iteration(1_000_000, 2_000_000));
        let quiet = Quiet::of(&run).unwrap();
        assert_eq!(quiet, Quiet { lap_ns: 2e6 });
        assert_eq!(quiet.slowdown(&run[0]), Some(1.0));
        assert_eq!(quiet.slowdown(&run[50]), Some(2.5));
        assert_eq!(quiet.slowdown(&run[51]), None);
        assert_eq!(quiet.mark(&run[0]), None);
        let mark = "memory beside it was 2.5 times as slow as in quiet";
        assert_eq!(quiet.mark(&run[50]).as_deref(), Some(mark));
    }

    #[test]
    fn a_run_that_was_not_probed_has_no_quiet_level() {
        assert_eq!(Quiet::of(&[Metrics::default()]), None);
        assert_eq!(Quiet::of(&[]), None);
    }
}
