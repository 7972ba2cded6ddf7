//! A thread that looks at space, and at how late it wakes, while a workload runs.
//!
//! It sleeps for a millisecond at a time. When it wakes it first takes the time, which is the
//! [platform's hiccup](super::hiccup): between falling asleep and that it touches no heap and takes
//! no lock. At every fifth wake it then reads the heap's counters, which waits for no mutator, and
//! the process's resident size: the material of [space](super::space) and [floating
//! garbage](super::floating).
//!
//! **It must not disturb.** It allocates nothing while the workload runs, and its processor time is
//! not counted as the workload's. When it read at every wake, the scheduler charged it with 37 us a
//! wake, 3 % of one processor, on a busy virtual machine of two cores, which is why it does not;
//! `examples/sampler_cost.rs` says what it costs on yours. When there is no room for more readings
//! every other one is dropped and only half as many wakes read, and so on: a run of any length ends
//! with at least half as many readings as there is room for.
//!
//! Rejected: one thread for each purpose (twice the wakes); reading from inside the mutators (in
//! their way, and only as often as they poll); a timer signal (it interrupts system calls of the
//! program under test).

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::time::{ClockId, clock_gettime};

use super::probe;
use crate::heap::{Heap, Statistics};
use crate::threads;

/// What it sleeps between two looks.
pub const PERIOD: Duration = Duration::from_millis(1);

/// It reads at every so manyth wake.
const WAKES_A_READING: usize = 5;
/// Room for this many readings.
const READINGS: usize = 8192;
/// Room for this many wakes at the start; it grows, by doubling, after that.
const WAKES: usize = 1 << 16;

/// Space at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// When, in nanoseconds since the heap's origin.
    pub at: u64,
    /// The heap's counters.
    pub statistics: Statistics,
    /// The resident size of the process in bytes.
    pub resident_bytes: Option<u64>,
}

/// What was seen between the start and the end of an iteration.
#[derive(Clone, Debug, Default)]
pub struct Sampled {
    /// In order of time; the first and the last at the two ends.
    pub readings: Vec<Reading>,
    /// By how much each sleep was longer than it should have been, in nanoseconds.
    pub oversleeps: Vec<u64>,
    /// Processor time that all of this took, from when the first reading was taken.
    pub cpu_ns: u64,
}

/// The thread, running.
#[derive(Debug)]
pub struct Sampler {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Sampled>,
}

impl Sampler {
    /// Starts looking at `heap`, and returns when it does.
    pub fn start<H: Heap>(heap: &H) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (ready, is_ready) = mpsc::channel();
        let thread = threads::start("sampler", {
            let (heap, stop) = (heap.clone(), stop.clone());
            move || {
                let mut eye = Eye::new(heap);
                eye.read();
                let begun = thread_clock();
                // The other side waits for it.
                let _ = ready.send(());
                eye.watch(&stop);
                eye.sampled.cpu_ns = thread_clock() - begun;
                eye.sampled
            }
        });
        let thread = thread.unwrap_or_else(|reason| threads::give_up(reason));
        // Also when it has ended: `stop` will tell why.
        let _ = is_ready.recv();
        Self { stop, thread }
    }

    /// Takes a last reading and ends.
    ///
    /// # Panics
    ///
    /// If the thread did.
    pub fn stop(self) -> Sampled {
        self.stop.store(true, Ordering::Release);
        self.thread.thread().unpark();
        self.thread
            .join()
            .unwrap_or_else(|payload| std::panic::resume_unwind(payload))
    }
}

struct Eye<H> {
    heap: H,
    resident: Option<Resident>,
    sampled: Sampled,
    /// Every so many wakes it reads.
    stride: usize,
}

impl<H: Heap> Eye<H> {
    fn new(heap: H) -> Self {
        Self {
            heap,
            resident: Resident::open(),
            sampled: Sampled {
                readings: Vec::with_capacity(READINGS + 1),
                oversleeps: Vec::with_capacity(WAKES),
                cpu_ns: 0,
            },
            stride: WAKES_A_READING,
        }
    }

    fn watch(&mut self, stop: &AtomicBool) {
        let mut wakes = 0usize;
        while let Some(oversleep) = sleep(stop) {
            self.sampled.oversleeps.push(oversleep);
            wakes += 1;
            if wakes.is_multiple_of(self.stride) {
                self.read();
            }
        }
        self.read();
    }

    fn read(&mut self) {
        let reading = Reading {
            at: self.heap.origin().elapsed().as_nanos() as u64,
            statistics: self.heap.statistics(),
            resident_bytes: self.resident.as_ref().and_then(Resident::bytes),
        };
        let readings = &mut self.sampled.readings;
        if readings.len() == READINGS {
            let mut keep = false;
            readings.retain(|_| {
                keep = !keep;
                keep
            });
            self.stride *= 2;
        }
        readings.push(reading);
    }
}

/// Processor time of this thread so far, in nanoseconds.
fn thread_clock() -> u64 {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)
        .map(Duration::from)
        .expect("POSIX systems have a clock for each thread")
        .as_nanos() as u64
}

/// Sleeps for a period and says by how many nanoseconds it was longer; `None` if it is to stop.
fn sleep(stop: &AtomicBool) -> Option<u64> {
    let begun = Instant::now();
    let mut slept = Duration::ZERO;
    // A thread may be unparked for no reason.
    while slept < PERIOD {
        thread::park_timeout(PERIOD - slept);
        slept = begun.elapsed();
        if stop.load(Ordering::Acquire) {
            return None;
        }
    }
    Some((slept - PERIOD).as_nanos() as u64)
}

/// The resident size of this process, by a file that stays open.
struct Resident {
    file: File,
    page_bytes: u64,
}

impl Resident {
    /// `None` on systems without such a file, all but Linux.
    fn open() -> Option<Self> {
        use nix::unistd::{SysconfVar, sysconf};
        let page_bytes = sysconf(SysconfVar::PAGE_SIZE).ok()??;
        Some(Self {
            file: File::open("/proc/self/statm").ok()?,
            page_bytes: u64::try_from(page_bytes).ok()?,
        })
    }

    /// Bytes now. One system call of a microsecond or two; the kernel's count lags by some pages a
    /// thread.
    fn bytes(&self) -> Option<u64> {
        let mut text = [0; 128];
        let length = self.file.read_at(&mut text, 0).ok()?;
        let mut fields = text[..length].split(|&byte| byte == b' ');
        let pages = std::str::from_utf8(fields.nth(1)?).ok()?;
        Some(probe::less_held(
            pages.parse::<u64>().ok()? * self.page_bytes,
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::heap::{Mutator, Shape};

    #[test]
    fn readings_have_both_ends_and_are_in_order() {
        let heap = arena::Heap::new(None).unwrap();
        let before = heap.origin().elapsed().as_nanos() as u64;
        let sampler = Sampler::start(&heap);
        Heap::attach(&heap, |m| {
            m.frame(|m, [object]| Mutator::alloc(m, object, Shape::new(0, 1 << 10)))
        })
        .unwrap();
        let Sampled { readings, .. } = sampler.stop();
        let after = heap.origin().elapsed().as_nanos() as u64;
        assert!(readings.len() >= 2);
        assert!(before <= readings[0].at && readings.is_sorted_by_key(|reading| reading.at));
        assert!(readings[readings.len() - 1].at <= after);
        assert_eq!(readings[0].statistics.allocated_objects, 0);
        let last = readings[readings.len() - 1];
        assert_eq!(last.statistics.allocated_objects, 1);
        if cfg!(target_os = "linux") {
            assert!(last.resident_bytes.is_some_and(|bytes| bytes > 100_000));
        }
    }

    #[test]
    fn a_long_run_is_thinned_and_keeps_its_ends() {
        let mut eye = Eye::new(arena::Heap::new(None).unwrap());
        for _ in 0..3 * READINGS {
            eye.read();
        }
        let readings = &eye.sampled.readings;
        assert!((READINGS / 2..=READINGS + 1).contains(&readings.len()));
        assert!(readings.is_sorted_by_key(|reading| reading.at));
        assert!(eye.stride > WAKES_A_READING);
    }
}
