//! Latencies of requests.
//!
//! Definitions: simple latency is *end - start*; open-loop latency is *end - intended start: the
//! primary request latency*; metered latency is *max(end - start, end - smoothed start), as DaCapo,
//! for several windows* (Blackburn et al., *Rethinking Java Performance Analysis*, ASPLOS 2025).
//!
//! A pause delays the requests that it meets, and then those that have queued up behind them.
//! *Simple* latency sees the first kind only: a server that stands still for a second has one slow
//! request. *Open-loop* latency counts from the moment at which the request was to arrive, whatever
//! the server was doing, and so sees both. *Metered* latency estimates the same where arrivals are
//! not known because the next request is sent when the last is done: the rate at which requests
//! started, averaged over a sliding window, is taken for the rate at which they would have arrived.
//! The longer the window, the longer the queues it sees.
//!
//! *Smoothed starts.* Each request counts as arriving evenly spread over a window around its start;
//! the request that started as the *i*-th arrives when half of the *i*-th arrival has come in.
//! Where the window reaches over the first or the last start, that part is folded back, so that a
//! steady stream is left as it is, ends included. (DaCapo averages over a window of requests; it
//! has no arrivals before the first either.)
//!
//! No correction for an expected interval is made on top: the intended start is that correction.

use std::collections::BTreeMap;

use super::distribution::Distribution;
pub use contract::workload::Request;

/// Windows of metered latency, in milliseconds; those longer than the run are left out.
const WINDOWS_MS: [u64; 4] = [1, 10, 100, 1000];

/// Latencies by name: `simple`, `open-loop`, and `metered-<window>ms` for each window. Empty if
/// there were no requests.
pub fn of(requests: &[Request]) -> BTreeMap<String, Distribution> {
    let mut latencies = BTreeMap::new();
    let (Some(first), Some(last)) = (
        requests.iter().map(|request| request.start).min(),
        requests.iter().map(|request| request.start).max(),
    ) else {
        return latencies;
    };
    let since = |of: fn(&Request) -> u64| {
        Distribution::of(requests.iter().map(|r| r.end.saturating_sub(of(r))))
    };
    latencies.insert("simple".to_owned(), since(|request| request.start));
    latencies.insert("open-loop".to_owned(), since(|request| request.intended));

    let mut by_start: Vec<&Request> = requests.iter().collect();
    by_start.sort_unstable_by_key(|request| request.start);
    let starts: Vec<u64> = by_start.iter().map(|request| request.start).collect();
    for window_ms in WINDOWS_MS {
        let window = window_ms * 1_000_000;
        if window > last - first {
            break;
        }
        let metered = by_start
            .iter()
            .zip(smoothed(&starts, window))
            .map(|(request, smoothed)| {
                // Rounded to whole nanoseconds, like everything else.
                let start = request.start.min(smoothed.round() as u64);
                request.end.saturating_sub(start)
            });
        latencies.insert(format!("metered-{window_ms}ms"), Distribution::of(metered));
    }
    latencies
}

/// Ascending starts, smoothed over a window that is no longer than from the first to the last.
fn smoothed(starts: &[u64], window: u64) -> Vec<f64> {
    let (first, last) = (starts[0] as f64, starts[starts.len() - 1] as f64);
    let half = window as f64 / 2.0;
    // Each request raises the rate by 1 from some moments on and lowers it from others on.
    let mut changes: Vec<(f64, f64)> = Vec::with_capacity(2 * starts.len());
    for &start in starts {
        let (from, until) = (start as f64 - half, start as f64 + half);
        changes.extend([(from.max(first), 1.0), (until.min(last), -1.0)]);
        if from < first {
            changes.extend([(first, 1.0), (2.0 * first - from, -1.0)]);
        }
        if until > last {
            changes.extend([(2.0 * last - until, 1.0), (last, -1.0)]);
        }
    }
    changes.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));

    let mut smoothed = Vec::with_capacity(starts.len());
    // How much of all requests has arrived at `at`, in requests times the window, and at what rate
    // more do.
    let (mut at, mut arrived, mut rate) = (first, 0.0, 0.0);
    for (next, change) in changes {
        let then = arrived + rate * (next - at);
        while smoothed.len() < starts.len() {
            let due = (smoothed.len() as f64 + 0.5) * window as f64;
            if due > then || rate == 0.0 {
                break;
            }
            smoothed.push(at + (due - arrived) / rate);
        }
        (at, arrived, rate) = (next, then, rate + change);
    }
    // What rounding has left over.
    smoothed.resize(starts.len(), last);
    smoothed
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    /// A server with one thread: `count` requests that arrive every millisecond and take 0.1 ms
    /// each, but the one numbered `slow`, in which it stands still for 50 ms.
    fn stalled(count: u64, slow: u64) -> Vec<Request> {
        let mut free = 0;
        let serve = |number: u64| {
            let intended = number * MS;
            let start = intended.max(free);
            let end = start + MS / 10 + if number == slow { 50 * MS } else { 0 };
            free = end;
            Request {
                intended,
                start,
                end,
            }
        };
        (0..count).map(serve).collect()
    }

    #[test]
    fn a_planted_stall_is_seen_by_who_queues_behind_it() {
        let latencies = of(&stalled(1000, 400));
        let stall = 50 * MS + MS / 10;
        // One request noticed.
        let simple = &latencies["simple"];
        assert_eq!((simple.count, simple.max_ns), (1000, stall));
        assert_eq!(simple.histogram_ns.last().unwrap().1, 1);
        assert!(simple.histogram_ns.iter().rev().nth(1).unwrap().0 < MS / 9);
        // Those that came meanwhile waited, each 0.9 ms less than the one before it: the last that
        // did was number 55 after it.
        let open = &latencies["open-loop"];
        assert_eq!(open.max_ns, stall);
        let waited = open.histogram_ns.iter().filter(|&&(ns, _)| ns > MS / 9);
        let expected = (0..).map(|n| stall.saturating_sub(n * 9 * MS / 10));
        let expected = expected.take_while(|&wait| wait > MS / 9).count() as u64;
        assert_eq!((waited.map(|&(_, n)| n).sum::<u64>(), expected), (56, 56));
    }

    #[test]
    fn metered_latency_sees_queues_up_to_its_window() {
        // The same server, asked for the next request when it is done with the last: the client
        // knows of no arrivals.
        let mut now = 0;
        let requests: Vec<Request> = (0..2000)
            .map(|number| {
                let start = now;
                now += MS + if number == 1000 { 50 * MS } else { 0 };
                Request {
                    intended: start,
                    start,
                    end: now,
                }
            })
            .collect();
        let latencies = of(&requests);
        let at_most_stall = 51 * MS;
        assert_eq!(latencies["simple"].max_ns, at_most_stall);
        assert_eq!(latencies["open-loop"], latencies["simple"]);
        let slow = |name: &str| {
            let values = latencies[name].histogram_ns.iter();
            let slow = values.filter(|&&(ns, _)| ns > 3 * MS);
            slow.map(|&(_, n)| n).sum::<u64>()
        };
        assert_eq!(slow("simple"), 1);
        assert!(slow("metered-1ms") < slow("metered-100ms"), "{latencies:?}");
        assert!(slow("metered-100ms") < slow("metered-1000ms"));
    }

    #[test]
    fn a_steady_stream_stays_as_it_is() {
        let starts: Vec<u64> = (0..500).map(|n| 7 * MS + n * MS).collect();
        let window = 100 * MS;
        for (smoothed, &start) in smoothed(&starts, window).iter().zip(&starts) {
            assert!(
                (smoothed - start as f64).abs() <= MS as f64,
                "{smoothed} {start}"
            );
        }
    }

    #[test]
    fn starts_are_smoothed_by_hand() {
        // Two at once at 0 and two at 100, window 100: each is spread over 100, half of that folded
        // back at the end it hangs over; so the first two arrive at twice the rate over 0 to 50,
        // the others over 50 to 100.
        let starts = [0, 0, 100, 100];
        assert_eq!(smoothed(&starts, 100), [12.5, 37.5, 62.5, 87.5]);
        // Window 40: 0 to 20 and 80 to 100.
        assert_eq!(smoothed(&starts, 40), [5.0, 15.0, 85.0, 95.0]);
    }

    #[test]
    fn no_requests_no_latencies() {
        assert!(of(&[]).is_empty());
        let one = Request {
            intended: 1,
            start: 3,
            end: 10,
        };
        let latencies = of(&[one]);
        assert_eq!(latencies.len(), 2);
        assert_eq!(latencies["open-loop"].max_ns, 9);
    }
}
