//! The convoy effect: a thread that serves short requests beside one that computes.
//!
//! The server gives the global lock up while it reads and writes its socket, as every blocking call
//! does. While it waits for the next request, the thread that computes wakes up, takes the lock,
//! and keeps it for a switch interval: with CPython's lock a request that this happens to costs
//! one, and another if it happens again while the answer is written (CPython issue 7946). With the
//! fair lock it is asked for at once. `cargo run --release -p gc-rc --example convoy [-- SECONDS
//! [ROUNDS]]`
//!
//! # What a request must do
//!
//! It must make the server *wait*: the effect is that of a thread which leaves the lock to another
//! that is ready to run. The client therefore sleeps between an answer and its next request, which
//! leaves its processor to the thread that computes, and has the server asleep in its read for
//! longer than it takes to wake a thread. A client that spins instead occupies one of two
//! processors: the thread that computes then wakes too late, the server comes back to a free lock
//! nineteen times in twenty, and the fall is fourfold instead of tenfold and more. A client that
//! does not pause at all hides the effect in the same way. The share of requests that met it is
//! printed, so that it can be seen which of the two was measured.
//!
//! Rounds alternate between the configurations; the figures are medians over rounds, and latencies
//! are those of all requests of a configuration.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use gc_rc::{Flags, Gil, Heap};

/// How long the client sleeps before each request; the system adds its timer slack, 50 us on Linux.
const PAUSE: Duration = Duration::from_micros(50);
/// The lock's default switch interval: a request that took longer waited for it to pass.
const INTERVAL: Duration = Duration::from_millis(5);

/// One way to run the server, and what came of it.
struct Configuration {
    name: &'static str,
    gil: Gil,
    beside: bool,
    /// Requests per second, one for each round.
    rates: Vec<f64>,
    latencies: Vec<Duration>,
    forced_switches: u64,
}

impl Configuration {
    fn new(name: &'static str, gil: Gil, beside: bool) -> Self {
        Self {
            name,
            gil,
            beside,
            rates: Vec::new(),
            latencies: Vec::new(),
            forced_switches: 0,
        }
    }

    /// Serves requests for `time`.
    fn serve(&mut self, time: Duration) {
        let heap = Heap::builder()
            .gil(self.gil)
            .switch_interval(INTERVAL)
            .build()
            .expect("a valid configuration");
        let (mut client, mut server) = UnixStream::pair().expect("two more file descriptors");
        let stop = AtomicBool::new(false);
        thread::scope(|s| {
            s.spawn(|| {
                heap.attach(|m| {
                    m.frame(|m, [request, log]| {
                        let mut byte = [0];
                        // Until the client hangs up.
                        while m.blocking(|| server.read(&mut byte).expect("a socket pair")) == 1 {
                            let words = [u64::from(byte[0])];
                            m.alloc_init(request, Flags::NONE, [log], words)
                                .expect("no limit");
                            m.safepoint();
                            m.blocking(|| server.write_all(&byte).expect("the client listens"));
                        }
                    })
                })
            });
            if self.beside {
                s.spawn(|| heap.attach(|m| compute(m, &stop)));
            }
            let begun = Instant::now();
            let mut requests = 0;
            while begun.elapsed() < time {
                thread::sleep(PAUSE);
                let sent = Instant::now();
                client.write_all(&[1]).expect("the server reads");
                client.read_exact(&mut [0]).expect("the server answers");
                self.latencies.push(sent.elapsed());
                requests += 1;
            }
            self.rates
                .push(f64::from(requests) / begun.elapsed().as_secs_f64());
            stop.store(true, Relaxed);
            client
                .shutdown(std::net::Shutdown::Both)
                .expect("the socket is open");
        });
        self.forced_switches += heap.lock_statistics().forced_switches;
    }

    /// Puts the figures in order, once all rounds are over.
    fn sort(&mut self) {
        self.rates.sort_by(f64::total_cmp);
        self.latencies.sort();
    }

    fn rate(&self) -> f64 {
        self.rates[self.rates.len() / 2]
    }

    /// The latency that this share of the requests did not exceed.
    fn latency(&self, share: f64) -> Duration {
        let last = self.latencies.len() - 1;
        self.latencies[(last as f64 * share) as usize]
    }

    /// The share of requests that took a switch interval or longer.
    fn delayed(&self) -> f64 {
        let delayed = self
            .latencies
            .iter()
            .filter(|&&latency| latency >= INTERVAL);
        delayed.count() as f64 / self.latencies.len() as f64
    }
}

/// Builds and drops short lists until it is told to stop.
fn compute(m: &mut gc_rc::Mutator<'_>, stop: &AtomicBool) {
    m.frame(|m, [list]| {
        let mut turns = 0u64;
        while !stop.load(Relaxed) {
            m.alloc_move(list, Flags::NONE, [list], [turns])
                .expect("no limit");
            turns += 1;
            if turns.is_multiple_of(1000) {
                m.set(list, None);
            }
            m.safepoint();
        }
    })
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let seconds = arguments.next().map_or(Ok(1.0), |text| text.parse())?;
    let rounds: usize = arguments.next().map_or(Ok(3), |text| text.parse())?;
    let time = Duration::try_from_secs_f64(seconds)?;
    let mut configurations = [
        Configuration::new("idle, cpython", Gil::Cpython, false),
        Configuration::new("idle, fair", Gil::Fair, false),
        Configuration::new("beside a thread, cpython", Gil::Cpython, true),
        Configuration::new("beside a thread, fair", Gil::Fair, true),
    ];
    for _ in 0..rounds.max(1) {
        for configuration in &mut configurations {
            configuration.serve(time);
        }
    }
    configurations.iter_mut().for_each(Configuration::sort);
    println!(
        "{:<26} {:>10} {:>10} {:>10} {:>10} {:>16}",
        "", "requests/s", "median", "p99", ">= 5 ms", "forced switches"
    );
    for configuration in &configurations {
        println!(
            "{:<26} {:>10.0} {:>7} us {:>7} us {:>8.1} % {:>16}",
            configuration.name,
            configuration.rate(),
            configuration.latency(0.5).as_micros(),
            configuration.latency(0.99).as_micros(),
            100.0 * configuration.delayed(),
            configuration.forced_switches,
        );
    }
    let [idle, fair_idle, cpython, fair] = configurations.each_ref().map(Configuration::rate);
    println!(
        "beside a thread that computes, cpython serves {:.1} times fewer, fair {:.1} times",
        idle / cpython,
        fair_idle / fair
    );
    Ok(())
}
