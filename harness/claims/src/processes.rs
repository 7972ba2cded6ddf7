//! `processes`: the way around the global lock: processes with a heap each, and what they cost.
//!
//! The documents sum the squares below 10,000,000 four times: in four threads of CPython 16.0 s, in
//! four processes 4.0 s. (Each of the four threads is reported with 4.00 s, which cannot be if they
//! ran side by side under the lock for 16 s: those must have run one after another.) And twenty
//! times they count to 10,000,000 and sleep for 0.1 s: in one process, one after another, 9.84,
//! 9.90 and 10.18 s; in twenty processes 2.11, 2.11 and 1.96 s, on eight cores. The price, they
//! say, is memory and processor time.
//!
//! Here each square, and each value of the counter, is an object: in CPython they are. Squares are
//! summed below 3,000,000; counted is to 600,000 at small size and 1,000,000 at full, and the sleep
//! of 1.2 and 2 ms is about a fifth of a task, as in the documents.
//!
//! A process is a child of this one that runs the same program with one task, on a heap of its own
//! of the same kind, with the same options and limit. Its parent waits for it inside `blocking`,
//! reads its row, checks that it did its task, and keeps the result in an object of its own.
//! Starting a process, making a heap, and ending it are part of the time, and weigh more here than
//! in the documents, whose tasks were longer.
//!
//! * *Memory* is the sum of the largest resident sizes of all processes that take part, the parent
//!   included; pages that processes share, such as those of this program's code, count in each.
//! * *Processor time* is that of the parent in the iteration, and of its children from their starts
//!   to their ends.
//!
//! It shows what processes gain and cost for tasks that share nothing. It does not show what it
//! costs to pass objects between processes, which the documents' tasks do not do either.
//!
//! CPython's program forks (`multiprocessing` with the start method `fork`, which was the default
//! on Linux when the documents were written): a child begins with its parent's memory, shared until
//! it is written to, and its resident size counts it. There is none for Java: its threads are what
//! the documents compare with, and starting a virtual machine takes longer than these tasks.

use std::io::Read;
use std::process::{Child, ChildStdin};
use std::thread;
use std::time::Duration;

use nix::sys::resource::{UsageWho, getrusage};

use super::{Claim, Experiment, Form, Quantity, Rule, Unit, program};
use crate::heap::{Flags, Heap, HeapFull, Mutator};
use crate::invocation::{Invocation, Row, Status};
use crate::measure::space::peak_resident_bytes;
use crate::run;
use crate::workload::{Input, Outcome, Parameter, Workload, on_threads, share};
use contract::threads::{give_up, refused};

/// See the [module documentation](self).
pub const EXPERIMENT: Experiment = Experiment {
    name: "processes",
    summary: "tasks in threads of one process, and in a process each",
    explanation: "Four sums of squares are computed by four threads of one process, and by four processes with a heap each; and twenty tasks that \
count and sleep are done one after another, and by twenty processes. Under a global lock threads cannot compute side by side and processes can; \
where threads run freely, processes should gain nothing over them. The claims would be false if processes took more than three quarters of the \
time of what they replace, or, where threads run freely, clearly less than the threads; and, for the price, if they did not hold half as much \
memory again or took no more processor time. It does not show what passing objects between processes costs. Of the documents' figures, four \
threads with 4.00 s each in 16.0 s cannot have run side by side; the ratio is that of their totals. Tasks are shorter here, so that starting \
processes weighs more.",
    forms: &[
        Form::new(THREADS, "processes:tasks=4", 4),
        Form::new(APART, "processes:tasks=4,apart=1", 1),
        Form::new(ONE, "processes:tasks=20,counting=1,microseconds=100", 1).sized(
            "steps=600000,microseconds=1200",
            "steps=1000000,microseconds=2000",
        ),
        Form::new(
            TWENTY,
            "processes:tasks=20,counting=1,microseconds=100,apart=1",
            1,
        )
        .sized(
            "steps=600000,microseconds=1200",
            "steps=1000000,microseconds=2000",
        ),
    ],
    claims: &[
        Claim {
            statement: "processes compute side by side where a lock keeps threads from it, and bring nothing over threads that run freely",
            document: "16.0 s -> 4.0 s: 0.25 (of threads said to take 4.00 s each)",
            measured: "time of 4 processes / of 4 threads",
            unit: Unit::Ratio,
            figure: |evidence| evidence.ratio((APART, Quantity::Wall), (THREADS, Quantity::Wall)),
            counting: Some(Rule::AtMost(0.75)),
            tracing: Some(Rule::AtLeast(0.95)),
        },
        Claim {
            statement: "twenty processes that count and sleep take a part of the time of one",
            document: "9.84 / 9.90 / 10.18 s -> 2.11 / 2.11 / 1.96 s, on 8 cores: 0.21",
            measured: "time of 20 processes / of one",
            unit: Unit::Ratio,
            figure: |evidence| evidence.ratio((TWENTY, Quantity::Wall), (ONE, Quantity::Wall)),
            counting: Some(Rule::AtMost(0.75)),
            tracing: Some(Rule::AtMost(0.75)),
        },
        Claim {
            statement: "processes cost memory",
            document: "no figure",
            measured: "resident bytes of 4 processes and their parent / of one with 4 threads",
            unit: Unit::Ratio,
            figure: |evidence| evidence.ratio((APART, RESIDENT), (THREADS, RESIDENT)),
            counting: Some(Rule::AtLeast(1.5)),
            tracing: Some(Rule::AtLeast(1.5)),
        },
        Claim {
            statement: "and processor time",
            document: "no figure",
            measured: "processor time of 4 processes and their parent / of one with 4 threads",
            unit: Unit::Ratio,
            figure: |evidence| evidence.ratio((APART, PROCESSOR), (THREADS, PROCESSOR)),
            counting: Some(Rule::AtLeast(1.05)),
            tracing: Some(Rule::AtLeast(1.05)),
        },
    ],
    program: Some(program::<Processes>),
};

const THREADS: &str = "4 threads";
const APART: &str = "4 processes";
const ONE: &str = "one process";
const TWENTY: &str = "20 processes";

const RESIDENT: Quantity = Quantity::Observed("resident_bytes");
const PROCESSOR: Quantity = Quantity::Observed("processor_ns");

/// See the [module documentation](self).
#[derive(Clone, Copy, Debug)]
pub struct Processes;

impl Workload for Processes {
    const NAME: &'static str = "processes";
    const SUMMARY: &'static str =
        "boxed sums and counts, in threads or in processes with a heap each";
    const OPERATION: &'static str = "step";
    const PARAMETERS: &'static [Parameter] = &[
        Parameter::fixed(
            "tasks",
            "tasks, over all threads or processes",
            1,
            (1, 1_000),
        ),
        Parameter {
            name: "steps",
            doc: "squares that a task sums, or the number to which it counts",
            tiny: 1_000,
            small: 3_000_000,
            full: 3_000_000,
            range: (1, 1_000_000_000_000),
        },
        Parameter::fixed(
            "counting",
            "what a task does: 0 sums squares, 1 counts",
            0,
            (0, 1),
        ),
        Parameter::fixed(
            "microseconds",
            "how long it sleeps then",
            0,
            (0, 1_000_000_000),
        ),
        Parameter::fixed("apart", "1: each task in a process of its own", 0, (0, 1)),
    ];

    fn heap_bytes(_input: &Input) -> u64 {
        // Garbage alone, so that hardly anything would do; but a heap of next to nothing would
        // measure how fast threads can be stopped, and a large one how fast fresh pages are, of
        // which every process needs its own.
        8 << 20
    }

    /// # Panics
    ///
    /// If tasks are to be in processes of their own and this one is no child of the harness: who
    /// else's program it is cannot be started again to the same end.
    fn run<H: Heap>(heap: &H, input: &Input) -> Result<Outcome, HeapFull> {
        let before = [UsageWho::RUSAGE_SELF, UsageWho::RUSAGE_CHILDREN].map(processor_time);
        let tasks = input.get("tasks");
        let (sum, of_children) = if input.get("apart") == 1 {
            let invocation = input.invocation.as_deref();
            let invocation = invocation.expect("only a child of the harness starts others");
            apart(heap, invocation, input)?
        } else {
            let sums = on_threads(heap, input.threads, |m, thread| {
                let mut sum = 0u64;
                for _ in share(tasks, input.threads, thread) {
                    sum = sum.wrapping_add(task(m, input)?);
                }
                Ok(sum)
            })?;
            (sums.into_iter().fold(0, u64::wrapping_add), Some(0))
        };
        let after = [UsageWho::RUSAGE_SELF, UsageWho::RUSAGE_CHILDREN].map(processor_time);
        let processor_ns = after
            .into_iter()
            .zip(before)
            .map(|(after, before)| Some(after?.saturating_sub(before?).as_nanos() as u64))
            .sum::<Option<u64>>();
        let resident = peak_resident_bytes().zip(of_children);
        let resident = resident.map(|(own, of_children)| own + of_children);
        let observed = [("processor_ns", processor_ns), ("resident_bytes", resident)];
        Ok(Outcome {
            checksum: sum,
            operations: tasks * input.get("steps"),
            observations: observed
                .into_iter()
                .filter_map(|(name, value)| Some((name, value?)))
                .collect(),
            ..Outcome::default()
        })
    }
}

/// One task, whose result is kept in an object.
fn task<M: Mutator>(m: &mut M, input: &Input) -> Result<u64, HeapFull> {
    let steps = input.get("steps");
    let counts = input.get("counting") == 1;
    let result = m.frame(|m, [result, value]| {
        if counts {
            m.alloc_init(result, Flags::NONE, [], [0])?;
            for _ in 0..steps {
                let count = m.get(result).map_or(0, |result| m.word(result, 0));
                m.alloc_init(result, Flags::NONE, [], [count + 1])?;
                m.safepoint();
            }
        } else {
            let mut sum = 0u64;
            for number in 0..steps {
                m.alloc_init(value, Flags::NONE, [], [number.wrapping_mul(number)])?;
                sum = sum.wrapping_add(m.get(value).map_or(0, |value| m.word(value, 0)));
                m.safepoint();
            }
            m.alloc_init(result, Flags::NONE, [], [sum])?;
        }
        Ok(m.get(result).map_or(0, |result| m.word(result, 0)))
    })?;
    let sleep = Duration::from_micros(input.get("microseconds"));
    if !sleep.is_zero() {
        m.blocking(|| thread::sleep(sleep));
    }
    Ok(result)
}

/// Each task in a process of its own, all at once. Returns the sum of their results, and of their
/// largest resident sizes.
fn apart<H: Heap>(
    heap: &H,
    invocation: &Invocation,
    input: &Input,
) -> Result<(u64, Option<u64>), HeapFull> {
    let parameters = [("tasks", 1), ("apart", 0)];
    let parameters = parameters.map(|(name, value)| (name.to_owned(), value));
    let mut of_child = Invocation {
        threads: 1,
        iterations: 0,
        ..invocation.clone()
    };
    of_child.parameters.extend(parameters);
    let sums = on_threads(heap, 1, |m, _| {
        m.frame(|m, [result]| {
            let tasks = 0..input.get("tasks");
            let children: Vec<Process> =
                m.blocking(|| tasks.map(|_| Process::start(&of_child)).collect());
            let mut sum = 0u64;
            let mut resident = Some(0);
            for child in children {
                let (value, size) = m.blocking(|| child.result(input.get("steps")));
                m.alloc_init(result, Flags::NONE, [], [value])?;
                sum = sum.wrapping_add(m.get(result).map_or(0, |result| m.word(result, 0)));
                resident = resident.zip(size).map(|(resident, size)| resident + size);
            }
            Ok((sum, resident))
        })
    })?;
    Ok(sums[0])
}

/// A child, which ends when its standard input does: at the latest with this process.
struct Process {
    child: Child,
    input: Option<ChildStdin>,
}

impl Process {
    fn start(invocation: &Invocation) -> Self {
        let started = run::command(invocation).and_then(|mut command| command.spawn());
        let mut child =
            started.unwrap_or_else(|error| give_up(refused("a process for a task", &error)));
        // Waiting closes what is left of it.
        let input = child.stdin.take();
        Self { child, input }
    }

    /// Its result, and its largest resident size, once it has ended.
    ///
    /// Gives the experiment up if it did not carry its task out, with its reason.
    ///
    /// # Panics
    ///
    /// If it did another task.
    fn result(mut self, steps: u64) -> (u64, Option<u64>) {
        let mut line = String::new();
        let mut output = self.child.stdout.take().expect("it was piped");
        let read = output.read_to_string(&mut line);
        let status = self.child.wait();
        drop(self.input);
        let row = Row::read(&line).unwrap_or_else(|message| {
            give_up(format!(
                "the process of a task ({status:?}, {read:?}): {message}"
            ))
        });
        let metrics = match (row.status, row.metrics) {
            (Status::Ok, Some(metrics)) => metrics,
            (status, _) => give_up(format!(
                "the process of a task: {status}: {}",
                row.message.unwrap_or_default()
            )),
        };
        // Each step makes an object, and the result is one.
        assert_eq!(
            metrics.allocated_objects,
            steps + 1,
            "a process did another task"
        );
        let result = u64::from_str_radix(&metrics.checksum, 16).expect("checksums are hexadecimal");
        (result, metrics.peak_resident_bytes)
    }
}

/// Processor time of this process so far, or of those of its children that have ended.
fn processor_time(of: UsageWho) -> Option<Duration> {
    let usage = getrusage(of).ok()?;
    [usage.user_time(), usage.system_time()]
        .into_iter()
        .map(|time| {
            let seconds = Duration::from_secs(u64::try_from(time.tv_sec()).ok()?);
            Some(seconds + Duration::from_micros(u64::try_from(time.tv_usec()).ok()?))
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BOTH, Verdict, trial::Trial};

    /// Plants the ratios of the claims; real processes are started in the test of the command line.
    fn verdicts(heap: &str, ratios: [u64; 4]) -> [Verdict; 4] {
        let mut trial = Trial::planted("processes");
        let mut plant = |form: &str, heap: &str, [wall, resident, processor]: [u64; 3]| {
            trial.plant(form, heap, |metrics| {
                metrics.wall_ns = wall;
                let observed = [("resident_bytes", resident), ("processor_ns", processor)];
                metrics
                    .observations
                    .extend(observed.map(|(name, value)| (name.to_owned(), value)));
            });
        };
        for other in BOTH {
            // As the claims say on either side.
            let apart = if *other == "gc-rc" { 260 } else { 1_100 };
            plant(THREADS, other, [1_000; 3]);
            plant(APART, other, [apart, 4_500, 1_200]);
            plant(ONE, other, [1_000; 3]);
            plant(TWENTY, other, [210, 1_000, 1_000]);
        }
        let [apart, twenty, resident, processor] = ratios;
        plant(APART, heap, [apart, resident, processor]);
        plant(TWENTY, heap, [twenty, 1_000, 1_000]);
        [0, 1, 2, 3].map(|claim| trial.verdict(claim))
    }

    #[test]
    fn verdicts_follow_times_and_prices() {
        let holds = [Verdict::Holds; 4];
        let fails = [Verdict::Fails; 4];
        assert_eq!(verdicts("gc-rc", [260, 210, 4_500, 1_200]), holds);
        // No better than threads, one after another, in the same memory and time.
        assert_eq!(verdicts("gc-rc", [1_000, 1_000, 1_000, 1_000]), fails);
        // Better than threads where those run freely.
        assert_eq!(verdicts("gc-marksweep", [500, 1_000, 1_000, 1_000]), fails);
        assert_eq!(verdicts("gc-marksweep", [1_000, 500, 2_000, 1_100]), holds);
    }

    #[test]
    #[should_panic(expected = "only a child of the harness")]
    fn no_other_program_is_started_again() {
        Trial::of("processes");
    }
}
