//! `requests`: a server under a load that does not wait for it.
//!
//! First the server serves three times `requests` as fast as it can, a closed loop. The first third
//! of them fill its sessions; the others show its *capacity* here and now, on this heap, in the
//! state in which it goes on. (With sessions that are still filling a tracing heap looks faster
//! than it can stay.) Then `requests` more arrive at random moments (a Poisson process), `rate` a
//! second on every heap, whether the server is ready for them or not. Each thread takes the next
//! request in order of arrival, or waits for it in a blocking region.
//!
//! A request makes 50 to 500 objects: short chains, each of which is looked through and dropped,
//! and a list of what was found, which replaces the result of an earlier request in the thread's
//! table of sessions.
//!
//! **Models** what users of a server feel. The arrivals do not wait for a pause to end, so those
//! behind it queue up, and a pause of a millisecond makes many requests late; the nearer to its
//! capacity, the longer the queue takes to go away. The response to each request is small against
//! the state that stays.
//!
//! **Does not model** I/O, requests of very different kinds, or back-pressure: nobody gives up.
//!
//! Latencies are the row's `latency`, of the open-loop part: see [`crate::measure::latency`]. They
//! and the observation `capacity_requests_per_second` are what heaps are compared by. The *wall
//! time* is set by the arrivals, is no throughput, and is in no mean. With `rate=0` arrivals come
//! at `load` per cent of the heap's own capacity: a load that is as hard on each, and not the same.
//!
//! Each request has a number and a generator of its own; results depend on no other request, so
//! that the checksum does not depend on who serves it and when. The number of requests is fixed:
//! the capacity decides when they arrive, not how many. Every 256th result that is replaced is
//! watched, for the reclamation delay. A thread that waits sleeps until shortly before the next
//! arrival and then spins; with more threads than cores the spinning is in others' way.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::prelude::*;
use super::{Death, Request, Sentinels};
use contract::row::CAPACITY;

/// See the [module documentation](self).
pub struct Requests;

/// So many times as many requests as arrive are served before, as fast as possible.
const CLOSED: u64 = 3;
/// Objects of a request: at least, and at most.
const OBJECTS: (usize, usize) = (50, 500);
/// Objects of a chain that is dropped at once.
const CHAIN: usize = 9;
/// Every so manyth replaced result is watched.
const WATCHED: u64 = 256;
/// A thread sleeps until this long before an arrival: a sleep ends late by a timer's slack and a
/// wake-up.
const SPIN: Duration = Duration::from_micros(150);
/// Between the start of the threads and the first arrival.
const LEAD: Duration = Duration::from_millis(2);

impl Workload for Requests {
    const NAME: &'static str = "requests";
    const SUMMARY: &'static str = "a server under a load that does not wait for it: latencies";
    const OPERATION: &'static str = "request";
    const PARAMETERS: &'static [Parameter] = &[
        Parameter::sized("requests", [200, 1_500, 400_000])
            .range(5, 100_000_000)
            .doc("requests that arrive; three times as many come before, to measure the capacity"),
        Parameter::fixed("load", 70)
            .range(1, 1_000)
            .doc("how many arrive if there is no rate, in per cent of the heap's own capacity"),
        Parameter::fixed("rate", 40_000)
            .range(0, 1_000_000_000)
            .doc("how many arrive in a second, whatever the capacity; 0: as load says"),
        Parameter::sized("sessions", [64, 512, 65_536])
            .range(1, 100_000_000)
            .doc("results kept, over all threads"),
    ];

    fn heap_bytes(input: &Input) -> u64 {
        // A result is a tenth of the objects of a request, 27 on average.
        twice(27 * 56 * input.get("sessions"), input.threads)
    }

    fn run<H: Heap>(heap: &H, input: &Input) -> Result<Outcome, HeapFull> {
        let requests = input.get("requests");
        let before = CLOSED * requests;
        let server = Server {
            heap,
            seed: input.seed,
            sessions: input.size("sessions").div_ceil(input.threads),
        };

        let next = AtomicU64::new(0);
        let served = on_threads(heap, input.threads, |m, _| {
            server.serve(m, &next, before, None)
        })?;
        let begun = served.iter().map(|part| part.begun).min();
        let ended = served.iter().map(|part| part.ended).max();
        let length = begun
            .zip(ended)
            .map_or(Duration::ZERO, |(from, to)| to - from);
        let timed = before - filling(before);
        let capacity = timed as f64 / length.as_secs_f64().max(1e-9);

        let rate = match input.get("rate") {
            0 => capacity * input.get("load") as f64 / 100.0,
            rate => rate as f64,
        };
        let arrivals = Arrivals {
            offsets: poisson(requests, rate, input.seed),
            first: heap.origin().elapsed() + LEAD,
            numbers_from: before,
        };
        let next = AtomicU64::new(0);
        let open = on_threads(heap, input.threads, |m, _| {
            server.serve(m, &next, requests, Some(&arrivals))
        })?;

        let parts = || served.iter().chain(&open);
        Ok(Outcome {
            checksum: digest(parts().map(|part| part.sum)),
            operations: before + requests,
            requests: open.iter().flat_map(|part| part.requests.clone()).collect(),
            deaths: parts().flat_map(|part| part.deaths.clone()).collect(),
            observations: [
                (CAPACITY, capacity.round() as u64),
                ("arrivals_per_second", rate.round() as u64),
            ]
            .into(),
        })
    }
}

/// When requests arrive.
struct Arrivals {
    /// After the first, ascending, in nanoseconds.
    offsets: Vec<u64>,
    /// When the first does, from the heap's origin.
    first: Duration,
    /// What the first request's number is.
    numbers_from: u64,
}

impl Arrivals {
    /// When a request is, from the heap's origin.
    fn due(&self, index: u64) -> Duration {
        self.first + Duration::from_nanos(self.offsets[index as usize])
    }
}

/// `count` arrivals at `rate` a second, after the first: gaps are exponentially distributed, and
/// the same, but for their unit, for every rate.
fn poisson(count: u64, rate: f64, seed: u64) -> Vec<u64> {
    // Streams of the requests count from 0; this one is none of them.
    let mut random = generator(seed, u64::MAX);
    let mean_ns = 1e9 / rate;
    let mut at = 0.0;
    (0..count)
        .map(|_| {
            let arrival = at as u64;
            // Above 0, so that its logarithm is a number.
            let uniform = ((random.next_u64() >> 11) + 1) as f64 / (1u64 << 53) as f64;
            at -= uniform.ln() * mean_ns;
            arrival
        })
        .collect()
}

/// How many of so many requests fill the sessions, and are not timed for the capacity.
fn filling(count: u64) -> u64 {
    count / CLOSED
}

/// What one thread did.
struct Part {
    sum: u64,
    /// When it took the first request that did not only fill sessions.
    begun: Instant,
    ended: Instant,
    requests: Vec<Request>,
    deaths: Vec<Death>,
}

struct Server<'s, H> {
    heap: &'s H,
    seed: u64,
    /// Entries of each thread's table.
    sessions: usize,
}

impl<H: Heap> Server<'_, H> {
    /// One thread's part of `count` requests: as fast as it can, or as they arrive.
    fn serve(
        &self,
        m: &mut H::Mutator<'_>,
        next: &AtomicU64,
        count: u64,
        arrivals: Option<&Arrivals>,
    ) -> Result<Part, HeapFull> {
        let origin = self.heap.origin();
        let since_origin = || origin.elapsed().as_nanos() as u64;
        let mut sentinels = Sentinels::new(self.heap);
        // So that no request waits for it to grow.
        let mut requests = Vec::with_capacity(arrivals.map_or(0, |_| count as usize));
        m.frame(|m, [table, old, result, chain, none]| {
            m.alloc(table, Shape::new(self.sessions as u32, 0))?;
            let mut begun = None;
            let mut sum = 0u64;
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                if index >= count {
                    break;
                }
                if index >= filling(count) {
                    begun.get_or_insert_with(Instant::now);
                }
                let mut timed = Request::default();
                if let Some(arrivals) = arrivals {
                    let due = arrivals.due(index);
                    timed.intended = due.as_nanos() as u64;
                    if since_origin() < timed.intended {
                        m.blocking(|| wait_until(origin + due));
                    }
                    timed.start = since_origin();
                }
                let number = index + arrivals.map_or(0, |arrivals| arrivals.numbers_from);
                sum = sum.wrapping_add(handle(m, [result, chain, none], self.seed, number)?);
                let slot = (mix(number) % self.sessions as u64) as usize;
                if let Some(table) = m.get(table) {
                    m.set(old, m.load(table, slot));
                    m.store_move(table, slot, result);
                }
                if number.is_multiple_of(WATCHED) {
                    sentinels.bury(m, old);
                } else {
                    m.set(old, None);
                }
                m.safepoint();
                if arrivals.is_some() {
                    timed.end = since_origin();
                    requests.push(timed);
                }
            }
            let ended = Instant::now();
            Ok(Part {
                sum,
                begun: begun.unwrap_or(ended),
                ended,
                requests,
                deaths: sentinels.deaths(),
            })
        })
    }
}

/// Serves one request: `result` is the list of what was found. `chain` and `none` are null before
/// and after. Returns a digest of the result.
fn handle<'f, M: Mutator>(
    m: &mut M,
    [result, chain, none]: [M::Local<'f>; 3],
    seed: u64,
    number: u64,
) -> Result<u64, HeapFull> {
    let mut random = generator(seed, number);
    let objects = OBJECTS.0 + below(&mut random, OBJECTS.1 - OBJECTS.0 + 1);
    let mut sum = 0u64;
    let mut left = objects;
    while left > 0 {
        let length = CHAIN.min(left - 1);
        for _ in 0..length {
            let word = random.next_u64();
            m.alloc_move(chain, Flags::NONE, [chain, none], [word, number])?;
            m.safepoint();
        }
        let mut found = 0u64;
        let mut node = m.get(chain);
        while let Some(inner) = node {
            found = found.wrapping_add(mix(m.word(inner, 0)));
            node = m.load(inner, 0);
        }
        m.set(chain, None);
        m.alloc_move(result, Flags::NONE, [result, none], [found, number])?;
        m.safepoint();
        sum = sum.wrapping_add(mix(found));
        left -= length + 1;
    }
    Ok(sum)
}

/// Sleeps, and then spins, until `due`.
fn wait_until(due: Instant) {
    loop {
        let left = due.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        if left > SPIN {
            thread::sleep(left - SPIN);
        } else {
            std::hint::spin_loop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrivals_have_the_rate_they_should() {
        let arrivals = poisson(100_000, 1e6, 1);
        assert!(arrivals.is_sorted());
        let mean = arrivals[arrivals.len() - 1] as f64 / (arrivals.len() - 1) as f64;
        assert!((mean - 1000.0).abs() < 15.0, "{mean}");
        // Exponential gaps: a share of 1 / e is longer than the mean.
        let gaps = arrivals.windows(2).filter(|pair| pair[1] - pair[0] > 1000);
        let share = gaps.count() as f64 / arrivals.len() as f64;
        assert!((share - 0.368).abs() < 0.01, "{share}");
        // The same sequence at every rate.
        let slower = poisson(100, 1e3, 1);
        assert!((0..100).all(|i| (slower[i] / 1000).abs_diff(arrivals[i]) <= 1));
    }
}
