//! The convoy effect: a thread that serves short requests beside one that computes.
//!
//! The server gives the global lock up while it reads and writes its socket, as every blocking call does. When it wants the lock
//! back, the thread that computes has it, and keeps it for a switch interval: with CPython's lock each request costs two of them (CPython issue
//! 7946). With the fair lock it is asked for at once. `cargo run --release -p gc-rc --example convoy [-- SECONDS]`

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use gc_rc::{Flags, Gil, Heap, LockStatistics};

/// How long the client thinks before each request, so that the server really waits for it.
const THINK: Duration = Duration::from_micros(50);

/// Requests served per second, and the 99th percentile of their latency.
fn serve(gil: Gil, beside: bool, time: Duration) -> (f64, Duration, LockStatistics) {
    let heap = Heap::builder()
        .gil(gil)
        .build()
        .expect("a valid configuration");
    let (mut client, mut server) = UnixStream::pair().expect("two more file descriptors");
    let stop = AtomicBool::new(false);
    let mut latencies = Vec::new();
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
        if beside {
            s.spawn(|| {
                heap.attach(|m| {
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
                })
            });
        }
        let end = Instant::now() + time;
        while Instant::now() < end {
            let thought = Instant::now();
            while thought.elapsed() < THINK {
                std::hint::spin_loop();
            }
            let sent = Instant::now();
            client.write_all(&[1]).expect("the server reads");
            client.read_exact(&mut [0]).expect("the server answers");
            latencies.push(sent.elapsed());
        }
        stop.store(true, Relaxed);
        client
            .shutdown(std::net::Shutdown::Both)
            .expect("the socket is open");
    });
    latencies.sort();
    let rate = latencies.len() as f64 / time.as_secs_f64();
    let late = latencies.get(latencies.len() * 99 / 100).copied();
    (rate, late.unwrap_or_default(), heap.lock_statistics())
}

fn main() {
    let seconds = std::env::args()
        .nth(1)
        .and_then(|argument| argument.parse().ok());
    let time = Duration::from_secs(seconds.unwrap_or(2));
    println!(
        "{:<28} {:>12} {:>12} {:>16}",
        "", "requests/s", "p99", "forced switches"
    );
    for (name, gil, beside) in [
        ("idle, cpython", Gil::Cpython, false),
        ("idle, fair", Gil::Fair, false),
        ("beside a thread, cpython", Gil::Cpython, true),
        ("beside a thread, fair", Gil::Fair, true),
    ] {
        let (rate, late, lock) = serve(gil, beside, time);
        println!(
            "{name:<28} {rate:>12.0} {:>9} us {:>16}",
            late.as_micros(),
            lock.forced_switches
        );
    }
}
