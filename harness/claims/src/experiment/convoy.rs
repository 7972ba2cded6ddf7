#![doc = include_str!("convoy.md")]

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::{Duration, Instant};

use contract::threads::start_scoped;

use super::prelude::*;
use super::processors;

/// See the [module documentation](self).
pub const EXPERIMENT: Experiment = Experiment {
    name: "convoy",
    summary: "a thread with short I/O beside one that computes",
    explanation: include_str!("convoy.md"),
    forms: &[
        processors::FORM,
        Form::new(ALONE, "convoy", 1),
        Form::new(BESIDE, "convoy:beside=1", 1),
        Form::new(FAIR, "convoy:beside=1", 1).on(&["gc-rc:gil=fair"]),
    ],
    claims: &[
        // A call alone takes some 100 us: what has to be waited for as long again shows.
        Claim::new(
            "a thread that comes back from blocking input/output waits for the lock again, if \
             another one computes",
        )
        .judges(&["003.1"])
        .measured("median call beside a thread that computes / alone")
        .ratio(Observed(MEDIAN), BESIDE, ALONE)
        .controlled(&processors::TO_RUN)
        .counting(AtLeast(2.0)),
        Claim::new(
            "each short input/output beside a thread that computes waits most of a switch interval",
        )
        .ours()
        .documents("CPython issue 7946")
        .measured("median call beside a thread that computes")
        .value(Observed(MEDIAN), BESIDE)
        .controlled(&processors::TO_RUN)
        .counting(AtLeast(4.0 * MILLISECOND)),
        Claim::new("without a lock short input/output does not wait for a thread that computes")
            .ours()
            .measured("median call beside a thread that computes")
            .value(Observed(MEDIAN), BESIDE)
            .controlled(&processors::TO_RUN)
            .tracing(AtMost(MILLISECOND)),
        Claim::new(
            "with a lock that is handed over in order of arrival short input/output does not wait \
             a switch interval",
        )
        .ours()
        .measured("median call beside a thread that computes, gil=fair")
        .value(Observed(MEDIAN), FAIR)
        .controlled(&processors::TO_RUN)
        .counting(AtMost(MILLISECOND)),
    ],
    programs: &[Program::of::<Convoy>()],
};

const ALONE: &str = "alone";
const BESIDE: &str = "beside one that computes";
const FAIR: &str = "beside one that computes, fair lock";

const MEDIAN: &str = "median_call_ns";
const LONGEST: &str = "longest_call_ns";

/// How long the outsider sleeps before it answers; the system adds its timer slack, 50 us on Linux.
const PAUSE: Duration = Duration::from_micros(50);

/// Calls of an outsider.
pub struct Convoy;

impl Workload for Convoy {
    const NAME: &'static str = "convoy";
    const SUMMARY: &'static str = "short calls of an outsider, beside threads that compute";
    const OPERATION: &'static str = "call";
    const PARAMETERS: &'static [Parameter] = &[
        Parameter::sized("calls", [3, 10, 40])
            .range(1, 1_000_000)
            .doc("how many, of each calling thread"),
        Parameter::fixed("beside", 0)
            .range(0, 1_000)
            .doc("threads that compute in objects meanwhile, besides those that call"),
    ];

    fn heap_bytes(_input: &Input) -> u64 {
        16 << 20
    }

    fn run<H: Heap>(heap: &H, input: &Input) -> Result<Outcome, HeapFull> {
        let calls = input.get("calls");
        let (parts, _) = beside(heap, input.size("beside"), || {
            on_threads(heap, input.threads, |m, _| call(m, calls))
        })?;
        let (sums, taken): (Vec<u64>, Vec<Vec<Duration>>) = parts.into_iter().unzip();
        let operations = calls * input.threads as u64;
        let observed = times(MEDIAN, LONGEST, &taken.concat());
        Ok(Outcome::new(digest(sums), operations).observing(observed))
    }
}

/// Calls an outsider so many times. The sum of its answers, and how long each call took.
fn call<M: Mutator>(m: &mut M, calls: u64) -> Result<(u64, Vec<Duration>), HeapFull> {
    let (mut ours, theirs) = UnixStream::pair().expect("two more file descriptors");
    thread::scope(|scope| {
        let outsider = start_scoped(scope, move || answer(theirs));
        let called = m.frame(|m, [answer]| {
            let mut sum = 0u64;
            let mut times = Vec::with_capacity(calls as usize);
            for number in 0..calls {
                let begun = Instant::now();
                let mut byte = [number as u8];
                m.blocking(|| ours.write_all(&byte))
                    .expect("the outsider reads");
                m.blocking(|| ours.read_exact(&mut byte))
                    .expect("the outsider answers");
                times.push(begun.elapsed());
                let word = kept(m, answer, u64::from(byte[0]))?;
                sum = sum.wrapping_add(mix(word ^ (number << 8)));
                m.safepoint();
            }
            Ok((sum, times))
        });
        // The outsider ends when nobody can ask it any more.
        drop(ours);
        m.blocking(|| joined(outsider.join()));
        called
    })
}

/// Answers each byte by the next one, until the other end is closed.
fn answer(mut socket: UnixStream) {
    let mut byte = [0];
    while matches!(read(&mut socket, &mut byte), Ok(1)) {
        thread::sleep(PAUSE);
        byte[0] = byte[0].wrapping_add(1);
        if socket.write_all(&byte).is_err() {
            return;
        }
    }
}

/// Reads a byte, however often a signal comes between; 0 at the end.
fn read(socket: &mut UnixStream, byte: &mut [u8; 1]) -> io::Result<usize> {
    loop {
        match socket.read(byte) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trial::{MARKSWEEP, RC, Trial};

    #[test]
    fn the_verdicts_follow_the_calls() {
        let mut trial = Trial::of("convoy");
        trial.observed(ALONE, RC, MEDIAN, 110_000);
        trial.observed(BESIDE, RC, MEDIAN, 5_200_000);
        trial.observed(BESIDE, MARKSWEEP, MEDIAN, 130_000);
        trial.observed(FAIR, RC, MEDIAN, 150_000);
        trial.holds(0..4);
        // A lock that is there when the caller comes back.
        trial.observed(BESIDE, RC, MEDIAN, 130_000);
        trial.fails(0..2);
        // Free threads that wait; a fair lock that is not asked for at once.
        trial.observed(BESIDE, BOTH, MEDIAN, 5_200_000);
        trial.observed(FAIR, RC, MEDIAN, 5_200_000);
        trial.fails(2..4);
    }
}
