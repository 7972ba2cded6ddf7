#![doc = include_str!("native.md")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use crc::{CRC_16_XMODEM, CRC_32_ISO_HDLC, Crc};

use super::prelude::*;
use super::processors;

/// See the [module documentation](self).
pub const EXPERIMENT: Experiment = Experiment {
    name: "native",
    summary: "native calls that keep the lock, and calls that give it up",
    explanation: include_str!("native.md"),
    forms: &[
        processors::FORM,
        Form::new(KEPT, "native:turns=2", 2),
        Form::new(RELEASED, "native:keeps=0,turns=2", 2),
        Form::new(KEPT_BESIDE, "native:beside=1", 1).few(),
        Form::new(RELEASED_BESIDE, "native:keeps=0,beside=1", 1).few(),
    ],
    claims: &[
        Claim::new("a native call that keeps the lock blocks the calls of other threads")
            .judges(&["001.6"])
            .measured("calls that keep it: time of two threads / of one")
            .value(ALL_TO_ONE_IN_TOTAL, KEPT)
            .controlled(&processors::TO_LOSE)
            .counting(AtLeast(0.9)),
        Claim::new("while a native call keeps the lock no other thread makes a step")
            .judges(&["001.6"])
            .measured("longest gap between two turns of another thread / the computing of a call")
            .value(
                Per(&Observed(LONGEST_GAP), &Observed(MEDIAN_COMPUTING)),
                KEPT_BESIDE,
            )
            .controlled(&processors::TO_RUN)
            .counting(AtLeast(0.95)),
        Claim::new("native calls that give the lock up run in parallel")
            .judges(&["001.4"])
            .measured("calls that give it up: time of two threads / of one, fastest turns")
            .value(ALL_TO_ONE, RELEASED)
            .controlled(&processors::TO_GAIN)
            .counting(AtMost(0.8)),
        Claim::new("a native call that gave the lock up and touches objects waits to get it again")
            .judges(&["001.4"])
            .measured(
                "a call that gives it up, beside a thread that computes, less its own computing",
            )
            .value(
                Of(Unit::Time, |row| {
                    Some(Observed(MEDIAN_CALL).of(row)? - Observed(MEDIAN_COMPUTING).of(row)?)
                }),
                RELEASED_BESIDE,
            )
            .controlled(&processors::TO_RUN)
            .counting(AtLeast(HALF_AN_INTERVAL_NS)),
        Claim::new("where there is no lock native calls of two threads run in parallel")
            .ours()
            .measured("calls that keep a lock, if there is one: time of two threads / of one, fastest turns")
            .value(ALL_TO_ONE, KEPT)
            .controlled(&processors::TO_GAIN)
            .tracing(AtMost(0.8)),
    ],
    programs: &[Program::of::<Native>()],
};

const KEPT: &str = "kept, one thread and two, in turns";
const RELEASED: &str = "given up, one thread and two, in turns";
const KEPT_BESIDE: &str = "kept, beside one that computes";
const RELEASED_BESIDE: &str = "given up, beside one that computes";

const MEDIAN_CALL: &str = "median_call_ns";
const MEDIAN_COMPUTING: &str = "median_computing_ns";
const LONGEST_CALL: &str = "longest_call_ns";
const LONGEST_GAP: &str = "longest_gap_ns";

/// Half of the interval after which a waiter asks for the lock, on gc-rc and on CPython.
const HALF_AN_INTERVAL_NS: f64 = 2.5 * MILLISECOND;

/// What CPython's `binascii.crc_hqx(data, 0)` is.
static CRC_16: Crc<u16> = Crc::<u16>::new(&CRC_16_XMODEM);
/// What CPython's `zlib.crc32(data)` is.
static CRC_32: Crc<u32> = Crc::<u32>::new(&CRC_32_ISO_HDLC);

/// Calls of native code.
pub struct Native;

impl Workload for Native {
    const NAME: &'static str = "native";
    const SUMMARY: &'static str = "calls of native code that keep the global lock, or give it up";
    const OPERATION: &'static str = "call";
    const PARAMETERS: &'static [Parameter] = &[
        Parameter::sized("calls", [2, 4, 16])
            .range(1, 1_000_000)
            .doc("how many, over all threads"),
        Parameter::sized("kibibytes", [64, 1_024, 4_096])
            .range(8, 1 << 20)
            .doc("how much a call looks through, in KiB: some 2 us each"),
        Parameter::fixed("keeps", 1)
            .range(0, 1)
            .doc("1: calls keep the lock; 0: they give it up"),
        Parameter::fixed("beside", 0)
            .range(0, 1_000)
            .doc("threads that compute in objects meanwhile, besides those that make the calls"),
        TURNS,
    ];

    fn heap_bytes(_input: &Input) -> u64 {
        16 << 20
    }

    fn run<H: Heap>(heap: &H, input: &Input) -> Result<Outcome, HeapFull> {
        in_turns(heap, input, make_calls)
    }
}

/// All calls, on so many threads.
fn make_calls<H: Heap>(heap: &H, input: &Input) -> Result<Outcome, HeapFull> {
    let calls = input.get("calls");
    let keeps = input.get("keeps") != 0;
    let data: Vec<u8> = (0..input.size("kibibytes") << 10)
        .map(|index| (index % 251) as u8)
        .collect();
    let (parts, gap) = beside(heap, input.size("beside"), || {
        on_threads(heap, input.threads, |m, number| {
            let mut part = Part::default();
            for number in share(calls, input.threads, number) {
                part.call(m, &data, keeps, number)?;
                m.safepoint();
            }
            Ok(part)
        })
    })?;
    let both = parts.iter().flat_map(|part| part.times.iter().copied());
    let (taken, computing): (Vec<Duration>, Vec<Duration>) = both.unzip();
    let gap = Some(nanoseconds(gap)).filter(|_| input.size("beside") > 0);
    let observed = [
        (MEDIAN_COMPUTING, median_ns(&computing)),
        (LONGEST_GAP, gap),
    ];
    let checksum = digest(parts.iter().map(|part| part.sum));
    Ok(Outcome::new(checksum, calls)
        .observing(times(MEDIAN_CALL, LONGEST_CALL, &taken))
        .observing(observed))
}

/// What one thread did.
#[derive(Default)]
struct Part {
    sum: u64,
    /// How long each call took until the caller had the lock again, and how long it computed.
    times: Vec<(Duration, Duration)>,
}

impl Part {
    /// One call.
    fn call<M: Mutator>(
        &mut self,
        m: &mut M,
        data: &[u8],
        keeps: bool,
        number: u64,
    ) -> Result<(), HeapFull> {
        let begun = Instant::now();
        // Every call looks through the same bytes, and none is to be left out.
        let compute = || {
            let begun = Instant::now();
            let check = if keeps {
                u64::from(CRC_16.checksum(black_box(data)))
            } else {
                u64::from(CRC_32.checksum(black_box(data)))
            };
            (check, begun.elapsed())
        };
        let (check, computing) = if keeps {
            compute()
        } else {
            m.blocking(compute)
        };
        self.times.push((begun.elapsed(), computing));
        m.frame(|m, [result]| {
            let word = kept(m, result, check)?;
            self.sum = self.sum.wrapping_add(mix(word ^ (number << 32)));
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invocation::Row;
    use crate::trial::{MARKSWEEP, RC, Trial};

    /// The check values of the two in Williams, "A Painless Guide to CRC Error Detection
    /// Algorithms" (1993), and the catalogues after it.
    #[test]
    fn checks_are_the_standard_ones() {
        assert_eq!(CRC_16.checksum(b"123456789"), 0x31c3);
        assert_eq!(CRC_32.checksum(b"123456789"), 0xcbf4_3926);
    }

    #[test]
    fn nobody_runs_while_a_call_keeps_the_lock() {
        let mut trial = Trial::of("native");
        let beside = |row: &&Row| {
            let is = |name: &str| row.invocation.parameters.get(name) == Some(&1);
            row.invocation.heap == "gc-rc" && is("beside") && is("keeps")
        };
        let mut rows = 0;
        for row in trial.rows().iter().filter(beside) {
            let observed = &row.metrics.as_ref().unwrap().observations;
            let (gap, computing) = (observed[LONGEST_GAP], observed[MEDIAN_COMPUTING]);
            assert!(100 * gap >= 95 * computing, "{gap} of {computing}");
            rows += 1;
        }
        assert!(rows > 0);
        trial.observed(KEPT_BESIDE, RC, LONGEST_GAP, 10_100);
        trial.observed(KEPT_BESIDE, RC, MEDIAN_COMPUTING, 10_000);
        trial.holds([1]);
        // A turn of another thread within every call.
        trial.observed(KEPT_BESIDE, RC, LONGEST_GAP, 1_000);
        trial.observed(KEPT_BESIDE, RC, MEDIAN_COMPUTING, 10_000);
        trial.fails([1]);
    }

    #[test]
    fn the_verdicts_follow_the_times() {
        let mut trial = Trial::of("native");
        trial.turns(KEPT, RC, 1_000, 1_010);
        trial.turns(KEPT, MARKSWEEP, 1_000, 520);
        trial.turns(RELEASED, BOTH, 1_000, 520);
        trial.observed(RELEASED_BESIDE, BOTH, MEDIAN_COMPUTING, 10_000_000);
        trial.observed(RELEASED_BESIDE, RC, MEDIAN_CALL, 15_100_000);
        trial.observed(RELEASED_BESIDE, MARKSWEEP, MEDIAN_CALL, 10_100_000);
        trial.holds([0, 2, 3, 4]);
        // Calls that give the lock up although they are to keep it, and the other way round.
        trial.turns(KEPT, RC, 1_000, 520);
        trial.turns(RELEASED, RC, 1_000, 1_010);
        // A lock that is there at once.
        trial.observed(RELEASED_BESIDE, RC, MEDIAN_CALL, 10_100_000);
        trial.fails([0, 2, 3]);
        // Threads that wait for each other without a lock.
        trial.turns(KEPT, MARKSWEEP, 1_000, 1_010);
        trial.fails([4]);
    }
}
