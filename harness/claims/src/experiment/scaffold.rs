//! What programs of several experiments are made of: threads that begin at one moment, threads that
//! compute beside what is measured, times and what they come to, boxed integers, draws.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Barrier, OnceLock, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use contract::threads::start_scoped;

use crate::heap::{Flags, Heap, HeapFull, Mutator, Shape};
use crate::quantity::Quantity;
use crate::workload::{Input, Outcome, Parameter, digest, mix, word};
use engine::measure::throughput::Stopwatch;
use engine::statistics::median;

/// A millisecond, as a bound of a claim.
pub(super) const MILLISECOND: f64 = 1e6;

/// What hardly ever happens, as a bound of a claim of which there are a hundred thousand trials.
pub(super) const ONE_IN_10_000: f64 = 1e-4;

/// The switch interval, for the one runtime whose programs set it themselves.
pub(super) const INTERVAL: Parameter = Parameter::fixed("interval-us", 0).range(0, 60_000_000).doc(
    "what CPython's interval is set to, in microseconds; 0: left as it is. An option of the heap \
     on gc-rc",
);

/// Both heaps, with a gc-rc that switches twenty times as often as it does by itself.
pub(super) const SHORT_INTERVAL: &[&str] = &["gc-rc:switch-interval=250us", "gc-marksweep"];

/// The whole time, in which threads were started as well: of programs that are about what threads
/// cost.
pub(super) const WITH_THREADS: &str = "elapsed_ns";

/// Of programs that are run [in turns](in_turns).
pub(super) const TURNS: Parameter = Parameter::fixed("turns", 0)
    .range(0, 1_000_000)
    .doc("how often all of it is done by one thread and by all threads, in turns; 0: once, by all");

const BY_ONE: &str = "one_thread_ns";
const BY_ALL: &str = "all_threads_ns";
const BY_ONE_IN_TOTAL: &str = "one_thread_total_ns";
const BY_ALL_IN_TOTAL: &str = "all_threads_total_ns";

/// Of a program that was run [in turns](in_turns): the time of all threads over that of one, of
/// each the turn that was fastest.
pub(super) const ALL_TO_ONE: Quantity =
    Quantity::Per(&Quantity::Observed(BY_ALL), &Quantity::Observed(BY_ONE));

/// The same of all turns together, whatever disturbed them.
pub(super) const ALL_TO_ONE_IN_TOTAL: Quantity = Quantity::Per(
    &Quantity::Observed(BY_ALL_IN_TOTAL),
    &Quantity::Observed(BY_ONE_IN_TOTAL),
);

/// Runs a program on one thread and on all that there are to be, in turns: what is compared then
/// has the same layout in memory, and the same moment. Which of the two is first alternates. How
/// often, says the parameter [`TURNS`]; at 0 it is just run. Before the first turn one thread does
/// it once, to warm up.
///
/// Observed are the times of each in its fastest turn, and in all turns together. What only
/// computes does the same in every turn, and what disturbs it can only make it slower: on a machine
/// with neighbours that slow it down by a sixth for some milliseconds, and show in no processor
/// time, the fastest turn comes out alike in every process, and the sum does not. So whether
/// threads *can* run in parallel is told by the fastest turn. What comes in some turns only, as
/// waits for a lock do, is in the sum. What the program itself observes is left out.
///
/// # Errors
///
/// The program's.
pub(super) fn in_turns<H: Heap>(
    heap: &H,
    input: &Input,
    run: impl Fn(&H, &Input) -> Result<Outcome, HeapFull>,
) -> Result<Outcome, HeapFull> {
    let turns = input.get(TURNS.name);
    if turns == 0 {
        return run(heap, input);
    }
    let mut alone = input.clone();
    alone.threads = 1;
    // What comes first has to touch the memory.
    let mut sums = vec![run(heap, &alone)?.checksum];
    let mut operations = 0;
    let mut fastest = [u64::MAX; 2];
    let mut total = [0; 2];
    for turn in 0..turns {
        let mut order = [(0, &alone), (1, input)];
        if turn % 2 == 1 {
            order.reverse();
        }
        for (which, input) in order {
            let stopwatch = Stopwatch::start();
            let outcome = run(heap, input)?;
            let time = stopwatch.elapsed().wall_ns;
            fastest[which] = time.min(fastest[which]);
            total[which] += time;
            sums.push(outcome.checksum);
            operations += outcome.operations;
        }
    }
    Ok(Outcome::new(digest(sums), operations).observing([
        (BY_ONE, fastest[0]),
        (BY_ALL, fastest[1]),
        (BY_ONE_IN_TOTAL, total[0]),
        (BY_ALL_IN_TOTAL, total[1]),
    ]))
}

/// Where threads wait for each other, so that all of them begin at one moment.
pub(super) struct Start {
    barrier: Barrier,
    begun: OnceLock<Instant>,
}

impl Start {
    /// Of so many threads.
    pub(super) fn of(threads: usize) -> Self {
        Self {
            barrier: Barrier::new(threads),
            begun: OnceLock::new(),
        }
    }

    /// Waits until all are there; the moment, which is the same for all.
    pub(super) fn wait<M: Mutator>(&self, m: &mut M) -> Instant {
        m.blocking(|| {
            self.barrier.wait();
            *self.begun.get_or_init(Instant::now)
        })
    }
}

/// Runs `work` while `threads` more threads compute in an object each, polling at every turn, and
/// stops them when it is done. What comes beside its result is the longest time that one of them
/// spent between two turns; zero if there are none.
///
/// They allocate their object and nothing else, so that what is allocated does not depend on how
/// long the work takes. They have begun before it does.
///
/// # Errors
///
/// The work's, and theirs.
///
/// # Panics
///
/// If the work does, or one of them, with its payload.
pub(super) fn beside<H: Heap, T>(
    heap: &H,
    threads: usize,
    work: impl FnOnce() -> Result<T, HeapFull>,
) -> Result<(T, Duration), HeapFull> {
    let stop = AtomicBool::new(false);
    let (began, has_begun) = mpsc::channel();
    thread::scope(|scope| {
        // Also if the work panics, or one of them cannot be started: the scope waits for them.
        let stopping = Stop(&stop);
        let computing: Vec<_> = (0..threads)
            .map(|_| {
                let (stop, began) = (&stop, began.clone());
                start_scoped(scope, move || heap.attach(|m| compute(m, stop, began)))
            })
            .collect();
        drop(began);
        for _ in 0..threads {
            // One that could not begin says so when it is joined.
            let _ = has_begun.recv();
        }
        let result = work();
        drop(stopping);
        let mut longest = Duration::ZERO;
        for thread in computing {
            longest = longest.max(joined(thread.join())?);
        }
        Ok((result?, longest))
    })
}

/// Sets a flag when it goes.
struct Stop<'f>(&'f AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Counts in an object until told to stop; returns the longest time between two turns.
fn compute<M: Mutator>(
    m: &mut M,
    stop: &AtomicBool,
    began: mpsc::Sender<()>,
) -> Result<Duration, HeapFull> {
    m.frame(|m, [count]| {
        m.alloc(count, Shape::new(0, 1))?;
        // Whoever waits for it may have given up.
        let _ = began.send(());
        let mut longest = Duration::ZERO;
        let mut last = Instant::now();
        while !stop.load(Ordering::Relaxed) {
            if let Some(count) = m.get(count) {
                m.set_word(count, 0, m.word(count, 0).wrapping_add(1));
            }
            m.safepoint();
            let now = Instant::now();
            longest = longest.max(now - last);
            last = now;
        }
        Ok(longest)
    })
}

/// What a thread returned; its panic goes on here.
pub(super) fn joined<T>(result: thread::Result<T>) -> T {
    result.unwrap_or_else(|payload| std::panic::resume_unwind(payload))
}

/// The median of these times, in nanoseconds; `None` of none.
pub(super) fn median_ns(times: &[Duration]) -> Option<u64> {
    let times: Vec<f64> = times.iter().map(|time| time.as_nanos() as f64).collect();
    median(&times).map(|median| median as u64)
}

/// The median of these times and the longest, as observations of these names.
pub(super) fn times(
    median: &'static str,
    longest: &'static str,
    times: &[Duration],
) -> [(&'static str, Option<u64>); 2] {
    let most = times.iter().max().copied();
    [(median, median_ns(times)), (longest, most.map(nanoseconds))]
}

/// A time as an observation.
pub(super) fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// Makes an integer in an object of its own.
#[inline]
pub(super) fn boxed<M: Mutator>(m: &mut M, into: M::Local<'_>, value: u64) -> Result<(), HeapFull> {
    m.alloc_init(into, Flags::NONE, [], [value])
}

/// Makes an integer in an object of its own, and reads it there.
pub(super) fn kept<M: Mutator>(
    m: &mut M,
    local: M::Local<'_>,
    value: u64,
) -> Result<u64, HeapFull> {
    boxed(m, local, value)?;
    Ok(word(m, local, 0))
}

/// A linear congruential generator (Knuth and Lewis's constants, in *Numerical Recipes*), of which
/// the upper bits are used: a good one would take longer than what is drawn for, in an interpreted
/// language.
pub(super) struct Draws(u32);

impl Draws {
    /// A thread's sequence.
    pub(super) fn of(seed: u64, thread: usize) -> Self {
        Self(mix(seed.wrapping_add(thread as u64)) as u32)
    }

    /// A number below `bound`.
    #[inline]
    pub(super) fn below(&mut self, bound: u64) -> usize {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        ((u64::from(self.0) * bound) >> 32) as usize
    }
}
