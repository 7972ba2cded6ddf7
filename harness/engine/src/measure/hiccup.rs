//! The platform's own hiccups: the noise floor.
//!
//! Definition: *a 1 ms sleeper that touches no heap: the noise floor* (after Tene's jHiccup).
//!
//! By how much the [sampler](super::sampler) oversleeps is what the system does to any thread that
//! wants to run: no heap is part of it. A pause of a program that is no longer than the hiccups
//! beside it says nothing about its heap. Each oversleep is recorded once, as it was; a timer's
//! usual slack (50 us on Linux) is in every one of them.
//!
//! Beside it, two counts of the system's: how often a thread that could have gone on was taken off
//! its processor, and how much time a hypervisor gave to other machines.
//!
//! **Noise marks.** An iteration is marked, kept, and shown as noisy when one of these is seen in
//! it:
//!
//! * a sleep that was longer by [`LONG_HICCUP`];
//! * more involuntary switches than [`SWITCHES_PER_SECOND`] and what the sampler's own wakes may
//!   have caused;
//! * more than [`STOLEN_SHARE`] of the processors' time stolen.

use std::fs;
use std::time::Duration;

use super::distribution::Distribution;
use super::sampler::PERIOD;

/// A hiccup that marks an iteration: longer than a time slice of the system's scheduler.
pub const LONG_HICCUP: Duration = Duration::from_millis(10);
/// Involuntary switches a second, of all threads, that mark an iteration.
pub const SWITCHES_PER_SECOND: f64 = 200.0;
/// The share of the processors' time that marks an iteration when it is stolen.
pub const STOLEN_SHARE: f64 = 0.01;

/// What the system did, up to now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Interference {
    /// Involuntary context switches of this process.
    pub involuntary_switches: Option<u64>,
    /// Time stolen from the whole machine, in nanoseconds, in steps of a hundredth of a second;
    /// `None` where the system does not say.
    pub steal_ns: Option<u64>,
}

impl Interference {
    /// Reads the system's counts; some tens of microseconds.
    pub fn read() -> Self {
        use nix::sys::resource::{UsageWho, getrusage};
        Self {
            involuntary_switches: getrusage(UsageWho::RUSAGE_SELF)
                .ok()
                .and_then(|usage| u64::try_from(usage.involuntary_context_switches()).ok()),
            steal_ns: fs::read_to_string("/proc/stat")
                .ok()
                .and_then(|statistics| steal_ns(&statistics)),
        }
    }

    /// What it did since `earlier`.
    pub fn since(self, earlier: Self) -> Self {
        let difference = |now: Option<u64>, then: Option<u64>| Some(now?.saturating_sub(then?));
        Self {
            involuntary_switches: difference(
                self.involuntary_switches,
                earlier.involuntary_switches,
            ),
            steal_ns: difference(self.steal_ns, earlier.steal_ns),
        }
    }
}

/// The eighth figure of the first line of the kernel's statistics, in nanoseconds.
fn steal_ns(statistics: &str) -> Option<u64> {
    /// The unit of these figures, which is fixed for programs (`USER_HZ`).
    const TICK_NS: u64 = 10_000_000;
    let figures = statistics.lines().next()?.strip_prefix("cpu ")?;
    let ticks: u64 = figures.split_ascii_whitespace().nth(7)?.parse().ok()?;
    Some(ticks * TICK_NS)
}

/// What disturbed an iteration of `wall_ns`, in words; empty if nothing did.
pub fn marks(
    hiccup: &Distribution,
    interference: Interference,
    wall_ns: u64,
    processors: usize,
) -> Vec<String> {
    let mut marks = Vec::new();
    if u128::from(hiccup.max_ns) >= LONG_HICCUP.as_nanos() {
        let ms = hiccup.max_ns as f64 / 1e6;
        marks.push(format!("a thread that had slept was woken {ms:.0} ms late"));
    }
    let own = wall_ns as f64 / PERIOD.as_nanos() as f64;
    let allowed = own + SWITCHES_PER_SECOND * (wall_ns as f64 / 1e9).max(0.1);
    if let Some(switches) = interference.involuntary_switches
        && switches as f64 > allowed
    {
        marks.push(format!("{switches} involuntary context switches"));
    }
    if let Some(stolen) = interference.steal_ns {
        let share = stolen as f64 / (wall_ns.max(1) as f64 * processors.max(1) as f64);
        // One step of the count may have begun long before.
        if stolen > 10_000_000 && share > STOLEN_SHARE {
            let per_cent = 100.0 * share;
            marks.push(format!("{per_cent:.0} % of processor time stolen"));
        }
    }
    marks
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn interference(switches: u64, steal_ns: u64) -> Interference {
        Interference {
            involuntary_switches: Some(switches),
            steal_ns: Some(steal_ns),
        }
    }

    #[test]
    fn the_kernels_statistics_are_read() {
        let text = "cpu  10 20 30 40 50 60 70 80 90 100\ncpu0 1 2 3 4 5 6 7 8 9 10\n";
        assert_eq!(steal_ns(text), Some(800_000_000));
        assert_eq!(steal_ns("cpu  1 2 3"), None);
        assert_eq!(steal_ns(""), None);
    }

    #[test]
    fn counts_are_differences() {
        let since = interference(12, 70).since(interference(5, 50));
        assert_eq!(since, interference(7, 20));
        assert_eq!(since.since(Interference::default()).steal_ns, None);
    }

    #[test]
    fn a_calm_iteration_has_no_mark() {
        let hiccup = Distribution::of([60_000, 2_000_000]);
        assert!(marks(&hiccup, interference(900, 10_000_000), SECOND, 2).is_empty());
        assert!(marks(&Distribution::default(), Interference::default(), 0, 0).is_empty());
    }

    #[test]
    fn each_disturbance_is_named() {
        let hiccup = Distribution::of([60_000, 25_000_000]);
        let marks = marks(&hiccup, interference(5_000, 100_000_000), SECOND, 2);
        assert_eq!(
            marks,
            [
                "a thread that had slept was woken 25 ms late",
                "5000 involuntary context switches",
                "5 % of processor time stolen"
            ]
        );
    }
}
