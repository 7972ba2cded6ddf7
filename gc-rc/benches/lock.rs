//! What a hand-over of the global lock costs, against a plain mutex and condition variable: `cargo
//! bench -p gc-rc --bench lock`.
//!
//! * *uncontended*: give the lock up and take it again, with nobody there (a blocking region).
//! * *handed over*: from the moment at which the holder gives the lock up, because it was asked to,
//!   until the thread that asked runs with it. The plain version passes a turn back and forth under
//!   a mutex with a condition variable: what any lock that puts its waiters to sleep must pay.
//!
//! With `-- --quick` a tenth as many. Medians and 99th percentiles; the time of a hand-over is that
//! of waking a thread, on another core or, if there is none, on the same.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use gc_rc::{Gil, Heap};

/// Nanoseconds for each of many rounds.
fn each(rounds: u32, mut f: impl FnMut()) -> f64 {
    let begun = Instant::now();
    (0..rounds).for_each(|_| f());
    begun.elapsed().as_nanos() as f64 / f64::from(rounds)
}

fn report(name: &str, mut times: Vec<u64>) {
    times.sort_unstable();
    let at = |per_cent: usize| times[(times.len() - 1) * per_cent / 100] as f64 / 1000.0;
    println!(
        "{name:<34} median {:>8.1} us   p99 {:>8.1} us   n {}",
        at(50),
        at(99),
        times.len()
    );
}

/// Two threads that never stop asking each other for the lock.
fn handed_over(gil: Gil, hand_overs: usize) -> Vec<u64> {
    let heap = Heap::builder()
        .gil(gil)
        .switch_interval(Duration::from_micros(200))
        .build()
        .expect("a valid configuration");
    let origin = Instant::now();
    let now = || origin.elapsed().as_nanos() as u64;
    // Who has the lock, and since when it may be given up at any moment.
    let (holder, offered) = (AtomicU64::new(0), AtomicU64::new(0));
    let times = Mutex::new(Vec::new());
    thread::scope(|s| {
        for me in 1..=2 {
            let (heap, holder, offered, times) = (&heap, &holder, &offered, &times);
            s.spawn(move || {
                heap.attach(|m| {
                    loop {
                        if holder.swap(me, Relaxed) != me {
                            let taken = now() - offered.load(Relaxed);
                            let mut times = times.lock().expect("nobody panics");
                            times.push(taken);
                            if times.len() >= hand_overs {
                                break;
                            }
                        }
                        if times.lock().expect("nobody panics").len() >= hand_overs {
                            break;
                        }
                        offered.store(now(), Relaxed);
                        m.safepoint();
                    }
                })
            });
        }
    });
    times.into_inner().expect("nobody panics")
}

fn plain(hand_overs: usize) -> Vec<u64> {
    let origin = Instant::now();
    let now = || origin.elapsed().as_nanos() as u64;
    let (turn, changed) = (Mutex::new((1, 0, Vec::new())), Condvar::new());
    thread::scope(|s| {
        for me in [1, 2] {
            let (turn, changed) = (&turn, &changed);
            s.spawn(move || {
                for _ in 0..hand_overs / 2 {
                    let state = turn.lock().expect("nobody panics");
                    let mut state = changed
                        .wait_while(state, |state| state.0 != me)
                        .expect("nobody panics");
                    if state.1 > 0 {
                        let taken = now() - state.1;
                        state.2.push(taken);
                    }
                    // As long as a tenure above, so that the other sleeps by now.
                    let until = now() + 200_000;
                    while now() < until {
                        std::hint::spin_loop();
                    }
                    state.0 = 3 - me;
                    state.1 = now();
                    drop(state);
                    changed.notify_one();
                }
            });
        }
    });
    turn.into_inner().expect("nobody panics").2
}

fn main() {
    let quick = std::env::args().any(|argument| argument == "--quick");
    let rounds = if quick { 200_000 } else { 2_000_000 };
    let hand_overs = rounds as usize / 1_000;
    println!("\nThe global lock of gc-rc against a mutex with a condition variable.\n");
    for gil in [Gil::Cpython, Gil::Fair] {
        let heap = Heap::builder()
            .gil(gil)
            .build()
            .expect("a valid configuration");
        let time = heap.attach(|m| each(rounds, || m.blocking(|| ())));
        println!("{:<34} {time:>8.1} ns", format!("uncontended, {gil:?}"));
    }
    let lock = Mutex::new(false);
    let condition = Condvar::new();
    let plain_pair = || {
        *lock.lock().expect("nobody panics") = false;
        condition.notify_one();
        *lock.lock().expect("nobody panics") = true;
    };
    println!(
        "{:<34} {:>8.1} ns",
        "uncontended, mutex and condvar",
        each(rounds, plain_pair)
    );
    report(
        "handed over, Cpython",
        handed_over(Gil::Cpython, hand_overs),
    );
    report("handed over, Fair", handed_over(Gil::Fair, hand_overs));
    report("handed over, mutex and condvar", plain(hand_overs));
}
