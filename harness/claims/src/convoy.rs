//! `convoy`: a thread with short I/O beside one that computes.
//!
//! **The documents** did not look at it: it is this project's addition to their argument that a
//! blocked thread gives up the lock. It does, and then has to get it back: CPython issue 7946 (Nir
//! Aides and David Beazley, 2010; open for twelve years), the *convoy effect*.
//!
//! **Here** one thread calls an outsider and waits for its answer, again and again: it writes a
//! byte to a socket and reads one back, each in a blocking region, and makes an object of it. The
//! outsider is on no heap; it answers after 50 us and a timer's slack. That it waits is what
//! matters: the caller sleeps in its read, the processor is free, and a thread that computes takes
//! the lock and keeps it until the caller has asked for it for a switch interval. An outsider that
//! answers at once would often find the lock not yet taken, and hide the effect. The calls are made
//! alone, beside one thread that computes in an object, and beside one on the lock that is handed
//! over in order of arrival.
//!
//! **It shows** the price of many short waits under the lock, of which
//! [`io_bound`](super::io_bound) with its few long ones knows nothing; that it is one of the
//! protocol and not of the lock, since the fair lock does not have it; and that it is not there
//! without a lock. *It does not show* what the fair lock costs: two switches a call, which the
//! thread that computes pays.
//!
//! In Python the outsider is a process, because a thread would need the lock too.
//!
//! Rejected: a percentile above the median (few calls are made, for each takes some milliseconds).

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::{Duration, Instant};

use super::threads::{beside, joined, median_ns, nanoseconds};
use super::{Claim, Experiment, Form, Quantity, Rule, Unit, program};
use crate::heap::{Flags, Heap, HeapFull, Mutator};
use crate::workload::{Input, Outcome, Parameter, Workload, mix, on_threads};
use contract::threads::start_scoped;

/// See the [module documentation](self).
pub const EXPERIMENT: Experiment = Experiment {
    name: "convoy",
    summary: "a thread with short I/O beside one that computes",
    explanation: "A thread asks an outsider and waits for the answer, again and again; the outsider needs some 100 us for each. Alone a call takes \
that long. Beside a thread that computes, the caller finds the lock taken when it comes back, and has to wait for a switch interval of 5 ms. The \
first claim is false if the median call then takes less than 4 ms under the lock, or more than 1 ms without it. The second is false if it takes more \
than 1 ms with a lock that is handed over in order of arrival and asked for at once. It does not show what that costs the thread that computes.",
    forms: &[
        Form::new(ALONE, "convoy", 1),
        Form::new(BESIDE, "convoy:beside=1", 1),
        Form::new(FAIR, "convoy:beside=1", 1).on(&["gc-rc:gil=fair"]),
    ],
    claims: &[
        Claim {
            statement: "short I/O beside a thread that computes waits an interval for each call; without a lock it does not",
            document: "not mentioned (CPython issue 7946)",
            measured: "median call beside a thread that computes",
            unit: Unit::Time,
            figure: |evidence| evidence.value((BESIDE, Quantity::Observed(MEDIAN))),
            counting: Some(Rule::AtLeast(4e6)),
            tracing: Some(Rule::AtMost(1e6)),
        },
        Claim {
            statement: "that is the lock's protocol: one that is handed over in order of arrival does not have it",
            document: "not mentioned",
            measured: "the same with gil=fair",
            unit: Unit::Time,
            figure: |evidence| evidence.value((FAIR, Quantity::Observed(MEDIAN))),
            counting: Some(Rule::AtMost(1e6)),
            tracing: None,
        },
    ],
    program: Some(program::<Convoy>),
};

const ALONE: &str = "alone";
const BESIDE: &str = "beside one that computes";
const FAIR: &str = "beside one that computes, fair lock";

const MEDIAN: &str = "median_call_ns";
const LONGEST: &str = "longest_call_ns";

/// How long the outsider sleeps before it answers; the system adds its timer slack, 50 us on Linux.
const PAUSE: Duration = Duration::from_micros(50);

/// Calls of an outsider.
#[derive(Clone, Copy, Debug)]
pub struct Convoy;

impl Workload for Convoy {
    const NAME: &'static str = "convoy";
    const SUMMARY: &'static str = "short calls of an outsider, beside threads that compute";
    const OPERATION: &'static str = "call";
    const PARAMETERS: &'static [Parameter] = &[
        Parameter {
            name: "calls",
            doc: "how many, of each calling thread",
            tiny: 3,
            small: 10,
            full: 40,
            range: (1, 1_000_000),
        },
        Parameter::fixed(
            "beside",
            "threads that compute in objects meanwhile, besides those that call",
            0,
            (0, 1_000),
        ),
    ];

    fn heap_bytes(_input: &Input) -> u64 {
        16 << 20
    }

    fn run<H: Heap>(heap: &H, input: &Input) -> Result<Outcome, HeapFull> {
        let calls = input.get("calls");
        let (parts, _) = beside(heap, input.size("beside"), || {
            on_threads(heap, input.threads, |m, _| call(m, calls))
        })?;
        let times: Vec<Duration> = parts.iter().flat_map(|(_, times)| times).copied().collect();
        let mut observations = BTreeMap::new();
        if let (Some(median), Some(&longest)) = (median_ns(&times), times.iter().max()) {
            observations.insert(MEDIAN, median);
            observations.insert(LONGEST, nanoseconds(longest));
        }
        let sums = parts.iter().map(|(sum, _)| sum);
        Ok(Outcome {
            checksum: mix(sums.fold(0, |sum, part| sum.wrapping_add(*part))),
            operations: calls * input.threads as u64,
            observations,
            ..Outcome::default()
        })
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
                m.alloc_init(answer, Flags::NONE, [], [u64::from(byte[0])])?;
                let word = m.get(answer).map_or(0, |answer| m.word(answer, 0));
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
    use crate::{Verdict, trial::Trial};

    #[test]
    fn the_verdicts_follow_the_calls() {
        let mut trial = Trial::of("convoy");
        trial.plant_observed(BESIDE, "gc-rc", MEDIAN, 5_200_000);
        trial.plant_observed(BESIDE, "gc-marksweep", MEDIAN, 130_000);
        trial.plant_observed(FAIR, "gc-rc:gil=fair", MEDIAN, 150_000);
        assert_eq!(trial.verdict(0), Verdict::Holds);
        assert_eq!(trial.verdict(1), Verdict::Holds);
        // A lock that is there when the caller comes back.
        trial.plant_observed(BESIDE, "gc-rc", MEDIAN, 130_000);
        assert_eq!(trial.verdict(0), Verdict::Fails);
        // Free threads that wait; a fair lock that is not asked for at once.
        trial.plant_observed(BESIDE, "gc-rc", MEDIAN, 5_200_000);
        trial.plant_observed(BESIDE, "gc-marksweep", MEDIAN, 5_200_000);
        trial.plant_observed(FAIR, "gc-rc:gil=fair", MEDIAN, 5_200_000);
        assert_eq!(trial.verdict(0), Verdict::Fails);
        assert_eq!(trial.verdict(1), Verdict::Fails);
    }
}
