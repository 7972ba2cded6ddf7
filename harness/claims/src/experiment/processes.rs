#![doc = include_str!("processes.md")]

use std::io::Read;
use std::process::{Child, ChildStdin};
use std::thread;
use std::time::Duration;

use contract::threads::{give_up, refused};
use nix::sys::resource::{UsageWho, getrusage};

use super::prelude::*;
use super::processors;
use crate::invocation::{Invocation, Row, Status};
use crate::measure::space::peak_resident_bytes;
use crate::run;

/// See the [module documentation](self).
pub const EXPERIMENT: Experiment = Experiment {
    name: "processes",
    summary: "tasks in threads of one process, and in a process each",
    explanation: include_str!("processes.md"),
    forms: &[
        processors::FORM,
        Form::new(THREADS, "processes:tasks=4", 4).small("steps=3000000"),
        Form::new(APART, "processes:tasks=4,apart=1", 1).small("steps=3000000"),
        Form::new(ONE, "processes:tasks=20,counting=1,microseconds=100", 1)
            .small(SMALL)
            .full(FULL),
        Form::new(TWENTY, "processes", 1)
            .with("tasks=20,counting=1,microseconds=100,apart=1")
            .small(SMALL)
            .full(FULL),
    ],
    claims: &[
        Claim::new("under a lock four processes compute faster than four threads")
            .judges(&["000.9", "001.7", "003.2"])
            .documents("16.0 s -> 4.0 s: 0.25 (of threads said to take 4.00 s each)")
            .measured("time of 4 processes / of 4 threads")
            .ratio(Wall, APART, THREADS)
            .controlled(&processors::TO_GAIN)
            .counting(AtMost(0.75)),
        Claim::new("under a lock twenty processes that count and sleep are faster than one")
            .judges(&["000.9", "004.4"])
            .documents("9.84 / 9.90 / 10.18 s -> 2.11 / 2.11 / 1.96 s, on 8 cores: 0.21")
            .measured("time of 20 processes / of one")
            .ratio(Wall, TWENTY, ONE)
            .controlled(&processors::TO_GAIN)
            .counting(AtMost(0.75)),
        Claim::new("twenty processes take more memory than one")
            .judges(&["004.4"])
            .measured("resident bytes of 20 processes and their parent / of one")
            .ratio(Observed(RESIDENT), TWENTY, ONE)
            .counting(AtLeast(1.5)),
        // Two processors are the least there are: what rises by less than a fifth would not be
        // called a rise.
        Claim::new("twenty processes use more of the processors than one")
            .judges(&["004.4"])
            .measured("processor time over wall time: of 20 processes / of one")
            .ratio(UTILISATION, TWENTY, ONE)
            .controlled(&processors::TO_GAIN)
            .counting(AtLeast(1.2)),
        Claim::new("where threads run freely four processes compute no faster than four threads")
            .ours()
            .measured("time of 4 processes / of 4 threads")
            .ratio(Wall, APART, THREADS)
            .controlled(&processors::TO_LOSE)
            .tracing(AtLeast(0.95)),
        Claim::new("four processes take more memory than one with four threads")
            .ours()
            .measured("resident bytes of 4 processes and their parent / of one with 4 threads")
            .ratio(Observed(RESIDENT), APART, THREADS)
            .both(AtLeast(1.5)),
    ],
    programs: &[Program::of::<Processes>()],
};

const THREADS: &str = "4 threads";
const APART: &str = "4 processes";
const ONE: &str = "one process";
const TWENTY: &str = "20 processes";
const SMALL: &str = "steps=800000,microseconds=1600";
const FULL: &str = "steps=1000000,microseconds=2000";

const RESIDENT: &str = "resident_bytes";
const PROCESSOR: &str = "processor_ns";
/// Processors that were busy, on average.
const UTILISATION: Quantity = Per(&Observed(PROCESSOR), &Wall);

/// See the [module documentation](self).
pub struct Processes;

impl Workload for Processes {
    const NAME: &'static str = "processes";
    const SUMMARY: &'static str =
        "boxed sums and counts, in threads or in processes with a heap each";
    const OPERATION: &'static str = "step";
    const PARAMETERS: &'static [Parameter] = &[
        Parameter::fixed("tasks", 1)
            .range(1, 1_000)
            .doc("tasks, over all threads or processes"),
        Parameter::sized("steps", [1_000, 1_500_000, 3_000_000])
            .range(1, 1_000_000_000_000)
            .doc("squares that a task sums, or the number to which it counts"),
        Parameter::fixed("counting", 0)
            .range(0, 1)
            .doc("what a task does: 0 sums squares, 1 counts"),
        Parameter::fixed("microseconds", 0)
            .range(0, 1_000_000_000)
            .doc("how long it sleeps then"),
        Parameter::fixed("apart", 0)
            .range(0, 1)
            .doc("1: each task in a process of its own"),
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
        let before = processor_time();
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
            (total(sums), Some(0))
        };
        let processor = processor_time().zip(before);
        let processor = processor.map(|(after, before)| nanoseconds(after.saturating_sub(before)));
        let resident = peak_resident_bytes().zip(of_children);
        let resident = resident.map(|(own, of_children)| own + of_children);
        Ok(Outcome::new(sum, tasks * input.get("steps"))
            .observing([(PROCESSOR, processor), (RESIDENT, resident)]))
    }
}

/// One task, whose result is kept in an object.
fn task<M: Mutator>(m: &mut M, input: &Input) -> Result<u64, HeapFull> {
    let steps = input.get("steps");
    let counts = input.get("counting") == 1;
    let result = m.frame(|m, [result, value]| {
        if counts {
            boxed(m, result, 0)?;
            for _ in 0..steps {
                let count = word(m, result, 0);
                boxed(m, result, count + 1)?;
                m.safepoint();
            }
            Ok(word(m, result, 0))
        } else {
            let mut sum = 0u64;
            for number in 0..steps {
                sum = sum.wrapping_add(kept(m, value, number.wrapping_mul(number))?);
                m.safepoint();
            }
            kept(m, result, sum)
        }
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
                sum = sum.wrapping_add(kept(m, result, value)?);
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

/// Processor time so far of this process, and of those of its children that have ended; `None`
/// where the system does not say.
fn processor_time() -> Option<Duration> {
    let of = |who| {
        let usage = getrusage(who).ok()?;
        let times = [usage.user_time(), usage.system_time()];
        let times = times.map(|time| {
            let seconds = Duration::from_secs(u64::try_from(time.tv_sec()).ok()?);
            Some(seconds + Duration::from_micros(u64::try_from(time.tv_usec()).ok()?))
        });
        times.into_iter().sum::<Option<Duration>>()
    };
    Some(of(UsageWho::RUSAGE_SELF)? + of(UsageWho::RUSAGE_CHILDREN)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trial::{MARKSWEEP, RC, Trial};

    fn plant(trial: &mut Trial, form: &str, heaps: &[&str], [wall, resident, processor]: [u64; 3]) {
        trial.wall(form, heaps, wall);
        trial.plant(form, heaps, |metrics| {
            for (name, value) in [(RESIDENT, resident), (PROCESSOR, processor)] {
                metrics.observations.insert(name.to_owned(), value);
            }
        });
    }

    /// As the claims say; real processes are started in the test of the command line.
    fn planted() -> Trial {
        let mut trial = Trial::planted("processes");
        plant(&mut trial, THREADS, BOTH, [1_000; 3]);
        plant(&mut trial, ONE, BOTH, [1_000, 1_000, 800]);
        plant(&mut trial, TWENTY, BOTH, [210, 20_000, 1_100]);
        plant(&mut trial, APART, RC, [260, 4_500, 1_200]);
        plant(&mut trial, APART, MARKSWEEP, [1_100, 4_500, 1_200]);
        trial
    }

    #[test]
    fn verdicts_follow_times_and_prices() {
        let mut trial = planted();
        trial.holds(0..6);
        // No better than threads, one after another, in the same memory and time.
        plant(&mut trial, APART, RC, [1_000; 3]);
        plant(&mut trial, TWENTY, RC, [1_000, 1_000, 800]);
        trial.fails([0, 1, 2, 3, 5]);
        // More processor time, and no more of it at once.
        plant(&mut trial, TWENTY, RC, [2_000, 20_000, 1_600]);
        trial.fails([3]);
        // Better than threads where those run freely.
        plant(&mut trial, APART, MARKSWEEP, [500, 4_500, 1_000]);
        trial.fails([4]);
    }

    #[test]
    #[should_panic(expected = "only a child of the harness")]
    fn no_other_program_is_started_again() {
        Trial::of("processes");
    }
}
