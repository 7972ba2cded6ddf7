//! `native`: calls of native code that keep the global lock, and calls that give it up.
//!
//! **The documents** said, without figures, that a native call that keeps the lock blocks every
//! other thread for as long as it takes; that one which gives it up runs in parallel, which is how
//! NumPy, PyTorch and OpenCV use several processors; and that one which must touch objects has to
//! wait for the lock again.
//!
//! **Here** a call computes a check of a buffer outside the heap and leaves its result in a new
//! object. One that keeps the lock computes within the mutator without polling; one that gives it
//! up computes in [`Mutator::blocking`], and comes back to make the object. They are made by one
//! thread and by two, and beside a thread that counts in an object and polls all the time. The
//! checks are those of CPython's library, so that CPython runs its own native calls:
//! `binascii.crc_hqx` (CRC-16 of XMODEM) keeps the lock, `zlib.crc32` (CRC-32 of IEEE 802.3) gives
//! it up. On a JVM the first is written in Java and the second is the library's, since no call
//! there keeps anything.
//!
//! **It shows** what a lock that is kept costs the others, by the time of two threads over that of
//! one, and by the longest time that the thread beside could not make a turn; and what coming back
//! costs, by how much longer a call takes than it computes. *It does not show* calls that need the
//! lock only now and then and take it for that: they are calls that come back more often.
//!
//! Rejected: one check for both kinds (CPython has none in both); a sleep instead of computing (it
//! would overlap on one processor, too); judging the longest gap where threads run freely (it is
//! that of the system's scheduler, whatever calls do).

use std::hint::black_box;
use std::time::{Duration, Instant};

use super::threads::{beside, median_ns, nanoseconds};
use super::{Claim, Experiment, Form, Quantity, Rule, Unit, program};
use crate::heap::{Flags, Heap, HeapFull, Mutator};
use crate::workload::{Input, Outcome, Parameter, Workload, mix, on_threads, share};

/// See the [module documentation](self).
pub const EXPERIMENT: Experiment = Experiment {
    name: "native",
    summary: "native calls that keep the lock, and calls that give it up",
    explanation: "A native call computes a check of a buffer: with the lock kept, or with the lock given up. The same calls are made by one thread \
and by two. Calls that keep the lock would not block everyone if two threads took less than 0.9 of one thread's time; calls that give it up would \
not run in parallel if they took more than 0.8. Beside a thread that computes in objects, the longest time between two of its turns must be at least \
as long as a call that keeps the lock. A call that gave it up has to come back to make an object of its result, and waits for the lock until that \
thread's switch interval is over: it takes half an interval longer, at least, than it computes; where there is no lock, it does not. On one \
processor nothing runs in parallel, whatever the lock.",
    forms: &[
        Form::new(KEPT_BY_ONE, "native", 1),
        Form::new(KEPT_BY_TWO, "native", 2),
        Form::new(RELEASED_BY_ONE, "native:keeps=0", 1),
        Form::new(RELEASED_BY_TWO, "native:keeps=0", 2),
        Form::new(KEPT_BESIDE, "native:beside=1", 1),
        Form::new(RELEASED_BESIDE, "native:keeps=0,beside=1", 1),
    ],
    claims: &[
        Claim {
            statement: "a native call that keeps the lock blocks everyone; without a lock it blocks nobody",
            document: "no figure",
            measured: "calls that keep it: time of two threads / of one",
            unit: Unit::Ratio,
            figure: |evidence| {
                evidence.ratio((KEPT_BY_TWO, Quantity::Wall), (KEPT_BY_ONE, Quantity::Wall))
            },
            counting: Some(Rule::AtLeast(0.9)),
            tracing: Some(Rule::AtMost(0.8)),
        },
        Claim {
            statement: "while it keeps the lock nobody else makes a step",
            document: "no figure",
            measured: "longest gap between two turns of another thread / the computing of a call",
            unit: Unit::Ratio,
            figure: |evidence| {
                let gap = Quantity::Of(|metrics| {
                    let gap = Quantity::Observed(LONGEST_GAP).of(metrics)?;
                    Some(gap / Quantity::Observed(MEDIAN_COMPUTING).of(metrics)?)
                });
                evidence.value((KEPT_BESIDE, gap))
            },
            counting: Some(Rule::AtLeast(0.95)),
            tracing: None,
        },
        Claim {
            statement: "a call that gives the lock up runs in parallel",
            document: "no figure",
            measured: "calls that give it up: time of two threads / of one",
            unit: Unit::Ratio,
            figure: |evidence| {
                evidence.ratio(
                    (RELEASED_BY_TWO, Quantity::Wall),
                    (RELEASED_BY_ONE, Quantity::Wall),
                )
            },
            counting: Some(Rule::AtMost(0.8)),
            tracing: Some(Rule::AtMost(0.8)),
        },
        Claim {
            statement: "one that must touch objects waits for the lock again",
            document: "no figure",
            measured: "a call that gives it up, beside a thread that computes, less its own computing",
            unit: Unit::Time,
            figure: |evidence| {
                let wait = Quantity::Of(|metrics| {
                    let call = Quantity::Observed(MEDIAN_CALL).of(metrics)?;
                    Some(call - Quantity::Observed(MEDIAN_COMPUTING).of(metrics)?)
                });
                evidence.value((RELEASED_BESIDE, wait))
            },
            counting: Some(Rule::AtLeast(HALF_AN_INTERVAL_NS)),
            tracing: Some(Rule::AtMost(HALF_AN_INTERVAL_NS)),
        },
    ],
    program: Some(program::<Native>),
};

const KEPT_BY_ONE: &str = "kept, one thread";
const KEPT_BY_TWO: &str = "kept, two threads";
const RELEASED_BY_ONE: &str = "given up, one thread";
const RELEASED_BY_TWO: &str = "given up, two threads";
const KEPT_BESIDE: &str = "kept, beside one that computes";
const RELEASED_BESIDE: &str = "given up, beside one that computes";

const MEDIAN_CALL: &str = "median_call_ns";
const MEDIAN_COMPUTING: &str = "median_computing_ns";
const LONGEST_CALL: &str = "longest_call_ns";
const LONGEST_GAP: &str = "longest_gap_ns";

/// Half of the interval after which a waiter asks for the lock, on gc-rc and on CPython.
const HALF_AN_INTERVAL_NS: f64 = 2.5e6;

/// Calls of native code.
#[derive(Clone, Copy, Debug)]
pub struct Native;

impl Workload for Native {
    const NAME: &'static str = "native";
    const SUMMARY: &'static str = "calls of native code that keep the global lock, or give it up";
    const OPERATION: &'static str = "call";
    const PARAMETERS: &'static [Parameter] = &[
        Parameter {
            name: "calls",
            doc: "how many, over all threads",
            tiny: 2,
            small: 4,
            full: 8,
            range: (1, 1_000_000),
        },
        Parameter {
            name: "kibibytes",
            doc: "how much a call looks through, in KiB: some 2 us each",
            tiny: 64,
            small: 1_024,
            full: 4_096,
            range: (8, 1 << 20),
        },
        Parameter::fixed(
            "keeps",
            "1: calls keep the lock; 0: they give it up",
            1,
            (0, 1),
        ),
        Parameter::fixed(
            "beside",
            "threads that compute in objects meanwhile, besides those that make the calls",
            0,
            (0, 1_000),
        ),
    ];

    fn heap_bytes(_input: &Input) -> u64 {
        16 << 20
    }

    fn run<H: Heap>(heap: &H, input: &Input) -> Result<Outcome, HeapFull> {
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
        let times = parts.iter().flat_map(|part| &part.times);
        let (taken, computing): (Vec<Duration>, Vec<Duration>) = times.copied().unzip();
        let mut observations = std::collections::BTreeMap::new();
        if let (Some(median), Some(&longest)) = (median_ns(&taken), taken.iter().max()) {
            observations.insert(MEDIAN_CALL, median);
            observations.insert(LONGEST_CALL, nanoseconds(longest));
        }
        if let Some(median) = median_ns(&computing) {
            observations.insert(MEDIAN_COMPUTING, median);
        }
        if input.size("beside") > 0 {
            observations.insert(LONGEST_GAP, nanoseconds(gap));
        }
        let sums = parts.iter().map(|part| part.sum);
        Ok(Outcome {
            checksum: mix(sums.fold(0, u64::wrapping_add)),
            operations: calls,
            observations,
            ..Outcome::default()
        })
    }
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
                u64::from(crc16(black_box(data)))
            } else {
                u64::from(crc32(black_box(data)))
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
            m.alloc_init(result, Flags::NONE, [], [check])?;
            let word = m.get(result).map_or(0, |result| m.word(result, 0));
            self.sum = self.sum.wrapping_add(mix(word ^ (number << 32)));
            Ok(())
        })
    }
}

/// CRC-16 of XMODEM: the polynomial 0x1021, most significant bit first, from 0. What CPython's
/// `binascii.crc_hqx(data, 0)` is.
fn crc16(data: &[u8]) -> u16 {
    const TABLE: [u16; 256] = {
        let mut table = [0; 256];
        let mut index = 0;
        while index < 256 {
            let mut value = (index as u16) << 8;
            let mut bit = 0;
            while bit < 8 {
                let carry = value & 0x8000 != 0;
                value = (value << 1) ^ if carry { 0x1021 } else { 0 };
                bit += 1;
            }
            table[index] = value;
            index += 1;
        }
        table
    };
    data.iter().fold(0, |value, &byte| {
        (value << 8) ^ TABLE[usize::from((value >> 8) as u8 ^ byte)]
    })
}

/// CRC-32 of IEEE 802.3: the polynomial 0x04c11db7, least significant bit first, from all ones and
/// inverted. What CPython's `zlib.crc32(data)` is.
fn crc32(data: &[u8]) -> u32 {
    const TABLE: [u32; 256] = {
        let mut table = [0; 256];
        let mut index = 0;
        while index < 256 {
            let mut value = index as u32;
            let mut bit = 0;
            while bit < 8 {
                let carry = value & 1 != 0;
                value = (value >> 1) ^ if carry { 0xedb8_8320 } else { 0 };
                bit += 1;
            }
            table[index] = value;
            index += 1;
        }
        table
    };
    !data.iter().fold(u32::MAX, |value, &byte| {
        (value >> 8) ^ TABLE[usize::from(value as u8 ^ byte)]
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Verdict, trial::Trial};

    /// The check values of the two in Williams, "A Painless Guide to CRC Error Detection
    /// Algorithms" (1993), and the catalogues after it.
    #[test]
    fn checks_are_the_standard_ones() {
        assert_eq!(crc16(b"123456789"), 0x31c3);
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }

    #[test]
    fn nobody_runs_while_a_call_keeps_the_lock() {
        let mut trial = Trial::of("native");
        assert_eq!(trial.verdict(1), Verdict::Holds);
        // A turn of another thread within every call.
        trial.plant_observed(KEPT_BESIDE, "gc-rc", LONGEST_GAP, 1_000);
        trial.plant_observed(KEPT_BESIDE, "gc-rc", MEDIAN_COMPUTING, 10_000);
        assert_eq!(trial.verdict(1), Verdict::Fails);
    }

    #[test]
    fn the_verdicts_follow_the_times() {
        let mut trial = Trial::of("native");
        for heap in ["gc-rc", "gc-marksweep"] {
            for form in [KEPT_BY_ONE, RELEASED_BY_ONE] {
                trial.plant_wall(form, heap, 1_000);
            }
            trial.plant_wall(RELEASED_BY_TWO, heap, 520);
            trial.plant_observed(RELEASED_BESIDE, heap, MEDIAN_COMPUTING, 10_000_000);
        }
        trial.plant_wall(KEPT_BY_TWO, "gc-rc", 1_010);
        trial.plant_wall(KEPT_BY_TWO, "gc-marksweep", 520);
        trial.plant_observed(RELEASED_BESIDE, "gc-rc", MEDIAN_CALL, 15_100_000);
        trial.plant_observed(RELEASED_BESIDE, "gc-marksweep", MEDIAN_CALL, 10_100_000);
        for claim in [0, 2, 3] {
            assert_eq!(trial.verdict(claim), Verdict::Holds, "{claim}");
        }
        // Calls that give the lock up although they are to keep it, and the other way round.
        trial.plant_wall(KEPT_BY_TWO, "gc-rc", 520);
        trial.plant_wall(RELEASED_BY_TWO, "gc-rc", 1_010);
        // A lock that is there at once.
        trial.plant_observed(RELEASED_BESIDE, "gc-rc", MEDIAN_CALL, 10_100_000);
        for claim in [0, 2, 3] {
            assert_eq!(trial.verdict(claim), Verdict::Fails, "{claim}");
        }
    }
}
