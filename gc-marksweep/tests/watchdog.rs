//! The watchdog's line on standard error. It cannot be caught within a process, so each test runs
//! itself as another, reads that one's standard error, and ends the lag by a line on its standard
//! input: a laggard lags until it has been named, however slow the machine.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Barrier, mpsc};
use std::thread::{self, Scope, ScopedJoinHandle};
use std::time::Duration;

use gc_marksweep::Heap;

const INSIDE: &str = "GC_MARKSWEEP_WATCHDOG_TEST";
const LIMIT: Duration = Duration::from_millis(20);
/// Nothing here takes this long but a deadlock.
const PATIENCE: Duration = Duration::from_secs(60);

/// Whether this is the other process, whose part is the rest of the test.
fn is_inside() -> bool {
    std::env::var_os(INSIDE).is_some()
}

/// This test as another process.
fn inside(test: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", test, "--nocapture"])
        .env(INSIDE, "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    command
}

/// Runs `f` with the process; kills that if it has not ended by itself by the end of our patience.
fn with_patience<R>(mut process: Child, f: impl FnOnce(&mut Child) -> R) -> R {
    let id = process.id();
    let (done, wait) = mpsc::channel::<()>();
    let guard = thread::spawn(move || {
        if wait.recv_timeout(PATIENCE) == Err(mpsc::RecvTimeoutError::Timeout) {
            let _ = Command::new("kill").args(["-9", &id.to_string()]).status();
        }
    });
    let result = f(&mut process);
    assert!(process.wait().unwrap().success());
    drop(done);
    guard.join().unwrap();
    result
}

/// Runs the test inside; ends a lag each time the watchdog has spoken, `lags` times. Returns its
/// lines.
fn lines_of(test: &str, lags: usize) -> Vec<String> {
    with_patience(inside(test).spawn().unwrap(), |process| {
        let mut input = process.stdin.take().unwrap();
        let mut output = BufReader::new(process.stderr.take().unwrap()).lines();
        let mut lines = Vec::new();
        for _ in 0..lags {
            lines.push(next_line(&mut output).expect("the watchdog speaks"));
            input.write_all(b"go on\n").unwrap();
        }
        lines.extend(std::iter::from_fn(|| next_line(&mut output)));
        lines
    })
}

fn next_line(output: &mut impl Iterator<Item = std::io::Result<String>>) -> Option<String> {
    output
        .map(Result::unwrap)
        .find(|line| line.starts_with("gc-marksweep: "))
}

fn heap() -> Heap {
    Heap::builder().watchdog(Some(LIMIT)).build().unwrap()
}

/// Waits for the line that ends the lag. Outside `blocking`, which is the mistake.
fn lag() {
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).unwrap();
}

fn spawn<'scope, 'env>(
    scope: &'scope Scope<'scope, 'env>,
    name: &str,
    f: impl FnOnce() + Send + 'scope,
) -> ScopedJoinHandle<'scope, ()> {
    let named = thread::Builder::new().name(name.to_owned());
    named.spawn_scoped(scope, f).unwrap()
}

/// Among those who poll, block, come and go, it is the laggard that is named; once, also if it lags
/// on.
#[test]
fn the_laggard_is_named_once() {
    if !is_inside() {
        let lines = lines_of("the_laggard_is_named_once", 1);
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(
            lines[0].contains("for thread \"the laggard\":"),
            "{lines:?}"
        );
        assert!(lines[0].contains("safepoint") && lines[0].contains("`blocking`"));
        return;
    }
    let (heap, done, ready) = (heap(), AtomicBool::new(false), Barrier::new(4));
    let (keep_blocked, blocked) = mpsc::channel::<()>();
    thread::scope(|scope| {
        let (heap, done, ready) = (&heap, &done, &ready);
        spawn(scope, "the eager", || {
            heap.attach(|m| {
                ready.wait();
                while !done.load(Ordering::Relaxed) {
                    m.safepoint();
                }
            });
        });
        spawn(scope, "the blocked", move || {
            heap.attach(|m| {
                m.blocking(|| {
                    ready.wait();
                    blocked.recv().unwrap_err();
                });
            });
        });
        spawn(scope, "the laggard", || {
            heap.attach(|_| {
                ready.wait();
                lag();
                // It has been named, and lags on.
                thread::sleep(10 * LIMIT);
            });
        });
        heap.attach(|m| {
            m.blocking(|| ready.wait());
            m.collect();
            done.store(true, Ordering::Relaxed);
            drop(keep_blocked);
        });
    });
}

/// Each stop has its line, which names all that are late.
#[test]
fn every_stop_names_its_own_laggards() {
    if !is_inside() {
        let lines = lines_of("every_stop_names_its_own_laggards", 3);
        assert_eq!(lines.len(), 3, "{lines:?}");
        for (stop, line) in lines.iter().enumerate() {
            for laggard in 0..3 {
                let name = format!("thread \"laggard {laggard}\"");
                assert_eq!(line.contains(&name), laggard >= stop, "{lines:?}");
            }
        }
        return;
    }
    let heap = heap();
    for stop in 0..3 {
        let released = Barrier::new(4 - stop);
        let ready = Barrier::new(4 - stop);
        thread::scope(|scope| {
            for laggard in stop..3 {
                let (heap, ready, released) = (&heap, &ready, &released);
                spawn(scope, &format!("laggard {laggard}"), move || {
                    heap.attach(|_| {
                        ready.wait();
                        released.wait();
                    });
                });
            }
            spawn(scope, "not attached", || {
                lag();
                released.wait();
            });
            heap.attach(|m| {
                m.blocking(|| ready.wait());
                m.collect();
            });
        });
    }
}

#[test]
fn a_laggard_without_a_name_has_its_number() {
    if !is_inside() {
        let lines = lines_of("a_laggard_without_a_name_has_its_number", 1);
        assert!(lines[0].contains("for thread ThreadId("), "{lines:?}");
        return;
    }
    let (heap, ready) = (heap(), Barrier::new(2));
    thread::scope(|scope| {
        scope.spawn(|| {
            heap.attach(|_| {
                ready.wait();
                lag();
            });
        });
        heap.attach(|m| {
            m.blocking(|| ready.wait());
            m.collect();
        });
    });
}

/// The lock of standard error may be held by a mutator that stands at a safepoint: who waited for
/// it would wait for ever.
#[test]
fn a_mutator_may_hold_the_lock_of_standard_error() {
    if !is_inside() {
        let lines = lines_of("a_mutator_may_hold_the_lock_of_standard_error", 1);
        assert!(lines[0].contains("\"the laggard\""), "{lines:?}");
        return;
    }
    let (heap, done, ready) = (heap(), AtomicBool::new(false), Barrier::new(3));
    thread::scope(|scope| {
        spawn(scope, "the writer", || {
            heap.attach(|m| {
                let _standard_error = std::io::stderr().lock();
                ready.wait();
                while !done.load(Ordering::Relaxed) {
                    m.safepoint();
                }
            });
        });
        spawn(scope, "the laggard", || {
            heap.attach(|_| {
                ready.wait();
                lag();
            });
        });
        heap.attach(|m| {
            m.blocking(|| ready.wait());
            m.collect();
            done.store(true, Ordering::Relaxed);
        });
    });
}

/// The time runs from the request. Were it renewed by each mutator that arrives, the one that is
/// last to arrive of a long procession would not be late any more when the line is written.
#[test]
fn those_who_arrive_do_not_put_the_line_off() {
    const PROCESSION: u32 = 100;
    if !is_inside() {
        let mut command = inside("those_who_arrive_do_not_put_the_line_off");
        let mut process = command.spawn().unwrap();
        let mut output = BufReader::new(process.stderr.take().unwrap()).lines();
        let line = next_line(&mut output).expect("the watchdog speaks");
        process.kill().unwrap();
        process.wait().unwrap();
        assert!(line.contains("\"the last but one\""), "{line}");
        return;
    }
    let (heap, ready) = (heap(), Barrier::new(PROCESSION as usize + 2));
    thread::scope(|scope| {
        for place in 1..=PROCESSION {
            let name = match place {
                PROCESSION => "the last but one".to_owned(),
                _ => format!("place {place}"),
            };
            let (heap, ready) = (&heap, &ready);
            spawn(scope, &name, move || {
                heap.attach(|m| {
                    ready.wait();
                    thread::sleep(place * LIMIT / 2);
                    m.blocking(lag);
                });
            });
        }
        spawn(scope, "the last", || {
            heap.attach(|_| {
                ready.wait();
                lag();
            });
        });
        heap.attach(|m| {
            m.blocking(|| ready.wait());
            m.collect();
        });
    });
}

/// Standard error is a pipe that nobody reads, and it is full: the line has to wait, but a laggard
/// that arrives meanwhile does not.
#[test]
fn a_line_that_cannot_be_written_yet_holds_no_lock() {
    const ARRIVED: &str = "the laggard has arrived";
    if !is_inside() {
        let mut command = inside("a_line_that_cannot_be_written_yet_holds_no_lock");
        let process = command.stdout(Stdio::piped()).spawn().unwrap();
        with_patience(process, |process| {
            let mut output = BufReader::new(process.stdout.take().unwrap()).lines();
            let arrived = output.any(|line| line.unwrap() == ARRIVED);
            assert!(arrived, "it arrives while nobody reads standard error");
            thread::spawn(move || output.count());
            let mut text = String::new();
            let mut errors = process.stderr.take().unwrap();
            errors.read_to_string(&mut text).unwrap();
            assert!(text.contains("thread \"the laggard\""));
        });
        return;
    }
    let (heap, ready) = (heap(), Barrier::new(2));
    thread::scope(|scope| {
        scope.spawn(|| std::io::stderr().write_all(&[b'x'; 1 << 20]).unwrap());
        spawn(scope, "the laggard", || {
            heap.attach(|m| {
                ready.wait();
                thread::sleep(10 * LIMIT);
                m.blocking(|| writeln!(std::io::stdout(), "{ARRIVED}").unwrap());
            });
        });
        heap.attach(|m| {
            m.blocking(|| ready.wait());
            m.collect();
        });
    });
}

/// The line cannot be written at all, and that is all.
#[cfg(target_os = "linux")]
#[test]
fn a_watchdog_without_standard_error_changes_nothing() {
    if !is_inside() {
        let full = std::fs::File::options()
            .write(true)
            .open("/dev/full")
            .unwrap();
        let mut command = inside("a_watchdog_without_standard_error_changes_nothing");
        with_patience(command.stderr(full).spawn().unwrap(), |_| ());
        return;
    }
    let (heap, ready) = (heap(), Barrier::new(2));
    thread::scope(|scope| {
        scope.spawn(|| {
            heap.attach(|_| {
                ready.wait();
                thread::sleep(5 * LIMIT);
            });
        });
        heap.attach(|m| {
            m.blocking(|| ready.wait());
            m.collect();
        });
    });
}
