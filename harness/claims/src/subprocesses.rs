//! `subprocesses`: ten children that sleep, started together and one after another, and one that
//! hangs.
//!
//! The documents start ten processes that sleep for a second each and wait for all of them: 1.08 s,
//! where one after another would take at least ten. Then they give a child that does not end a
//! time-out, after which it is killed.
//!
//! Here the children are the system's `sleep`, found on `PATH`, which Linux and macOS have and
//! which takes a part of a second there. The documents' second is 40 ms at full size and 10 ms at
//! small. A thread starts a child and waits for it inside `blocking`, so that it holds no lock of
//! the heap; ten threads have a child each, one thread has all of them in turn. What a child's end
//! came to is kept in an object. The third form adds a child that would sleep a hundred times as
//! long, and is killed when its time is up. That it has ended is learnt from the end of its
//! standard output, which wakes whoever waits: nobody asks again and again.
//!
//! It shows that waiting for children is waiting, which neither a lock nor a collector is in the
//! way of. It does not show anything about computing in children: see the experiment `processes`.
//!
//! CPython's program uses `subprocess`, Java's `ProcessBuilder`, with the same threads.

use std::env;
use std::io::{ErrorKind, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use super::{Claim, Experiment, Form, Quantity, Rule, Unit, program};
use crate::heap::{Flags, Heap, HeapFull, Mutator};
use crate::workload::{Input, Outcome, Parameter, Workload, mix, on_threads, share};
use contract::threads::{self, give_up, refused};

/// See the [module documentation](self).
pub const EXPERIMENT: Experiment = Experiment {
    name: "subprocesses",
    summary: "children that sleep, together and one after another, and one that hangs",
    explanation: "Ten child processes sleep for a while. One thread starts them one after another, each when the last one has ended; ten threads \
start one each, and wait for it without the global lock. If waiting for a child kept others from running, ten threads would take as long as one; \
the claim is that they take a quarter at most. In a third form one child hangs, and is given a time-out: the claims about it would be false if it \
were not killed, or killed only after half of the time for which it would have hung. It does not show what children are good for, which is not \
sleeping, and it includes what the system takes to start a process, which weighs the more the shorter the sleep is.",
    forms: &[
        Form::new(IN_TURN, "subprocesses", 1),
        Form::new(TOGETHER, "subprocesses", 10),
        Form::new(HANGING, "subprocesses:children=1,hanging=1", 2),
    ],
    claims: &[
        Claim {
            statement: "children overlap: ten take little longer than one",
            document: "1.08 s of at least 10 s: 0.108",
            measured: "time of ten children together / one after another",
            unit: Unit::Ratio,
            figure: |evidence| {
                evidence.ratio((TOGETHER, Quantity::Wall), (IN_TURN, Quantity::Wall))
            },
            counting: Some(Rule::AtMost(0.25)),
            tracing: Some(Rule::AtMost(0.25)),
        },
        Claim {
            statement: "a child that hangs is ended by its time-out",
            document: "killed",
            measured: "children killed, of one that hangs and one that does not",
            unit: Unit::Count,
            figure: |evidence| evidence.value((HANGING, Quantity::Observed("killed_children"))),
            counting: Some(Rule::Within(1.0, 1.0)),
            tracing: Some(Rule::Within(1.0, 1.0)),
        },
        Claim {
            statement: "and nobody waits for the rest of its time",
            document: "no figure",
            measured: "time / that for which it would have hung",
            unit: Unit::Share,
            figure: |evidence| {
                evidence.value((
                    HANGING,
                    Quantity::Of(|metrics| {
                        let hang_ns = *metrics.observations.get("hang_ns")?;
                        (hang_ns > 0).then(|| metrics.wall_ns as f64 / hang_ns as f64)
                    }),
                ))
            },
            counting: Some(Rule::AtMost(0.5)),
            tracing: Some(Rule::AtMost(0.5)),
        },
    ],
    program: Some(program::<Subprocesses>),
};

const IN_TURN: &str = "one after another";
const TOGETHER: &str = "together";
const HANGING: &str = "one hangs";

/// How much longer than the others a child sleeps that hangs.
const HANGS: u32 = 100;
/// How much longer than it is to sleep a child may take.
const PATIENCE: u32 = 2;

/// See the [module documentation](self).
#[derive(Clone, Copy, Debug)]
pub struct Subprocesses;

impl Workload for Subprocesses {
    const NAME: &'static str = "subprocesses";
    const SUMMARY: &'static str = "child processes that sleep, and threads that wait for them";
    const OPERATION: &'static str = "child";
    const PARAMETERS: &'static [Parameter] = &[
        Parameter::fixed(
            "children",
            "children that end by themselves, over all threads",
            10,
            (1, 10_000),
        ),
        Parameter::fixed(
            "hanging",
            "children that do not, and are killed when their time is up",
            0,
            (0, 1_000),
        ),
        Parameter {
            name: "milliseconds",
            doc: "how long a child sleeps; one that hangs sleeps 100 times as long, and has twice as long",
            tiny: 1,
            small: 10,
            full: 40,
            range: (1, 60_000),
        },
    ];

    fn heap_bytes(_input: &Input) -> u64 {
        8 << 20
    }

    fn run<H: Heap>(heap: &H, input: &Input) -> Result<Outcome, HeapFull> {
        let sleep = Duration::from_millis(input.get("milliseconds"));
        let children = input.get("children");
        let hanging = input.get("hanging");
        let killed = AtomicU64::new(0);
        let sums = on_threads(heap, input.threads, |m, thread| {
            m.frame(|m, [result]| {
                let mut sum = 0u64;
                for number in share(children + hanging, input.threads, thread) {
                    let hangs = number >= children;
                    let ended_well = m.blocking(|| {
                        let status = if hangs {
                            until(start(sleep * HANGS), sleep * PATIENCE)
                        } else {
                            Some(ended(&mut start(sleep)))
                        };
                        killed.fetch_add(u64::from(status.is_none()), Ordering::Relaxed);
                        status.is_some_and(|status| status.success())
                    });
                    m.alloc_init(result, Flags::NONE, [], [number, u64::from(ended_well)])?;
                    sum = m.get(result).map_or(sum, |result| {
                        sum.wrapping_add(mix(2 * m.word(result, 0) + m.word(result, 1)))
                    });
                    m.safepoint();
                }
                Ok(sum)
            })
        })?;
        let hang = sleep * HANGS;
        Ok(Outcome {
            checksum: mix(sums.into_iter().fold(0, u64::wrapping_add)),
            operations: children + hanging,
            observations: [
                ("killed_children", killed.into_inner()),
                (
                    "hang_ns",
                    if hanging > 0 {
                        hang.as_nanos() as u64
                    } else {
                        0
                    },
                ),
            ]
            .into(),
            ..Outcome::default()
        })
    }
}

/// Starts a child that sleeps. Its standard output ends when it does.
///
/// Gives the experiment up if there is no `sleep`, in words that say how to get one, or no process
/// to be had.
fn start(time: Duration) -> Child {
    Command::new("sleep")
        .arg(format!("{}.{:03}", time.as_secs(), time.subsec_millis()))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| {
            let mut reason = refused("a process", &error);
            if error.kind() == ErrorKind::NotFound {
                let path = env::var_os("PATH").unwrap_or_default();
                reason = format!(
                    "{reason}; the program 'sleep' is looked for on PATH, which is {path:?}; it is in coreutils"
                );
            }
            give_up(reason)
        })
}

/// Waits for a child to end.
fn ended(child: &mut Child) -> ExitStatus {
    child.wait().expect("a child can be waited for, once")
}

/// Waits for a child to end, for so long; then kills it, and returns `None`.
fn until(mut child: Child, time: Duration) -> Option<ExitStatus> {
    let mut output = child.stdout.take().expect("it was piped");
    let (sender, receiver) = mpsc::channel();
    let reader = threads::start("reader", move || {
        let _ = output.read_to_end(&mut Vec::new());
        // Nobody listens any more if the time was up.
        let _ = sender.send(());
    });
    let reader = reader.unwrap_or_else(|reason| {
        let _ = child.kill();
        ended(&mut child);
        give_up(reason)
    });
    let overdue = receiver.recv_timeout(time) == Err(RecvTimeoutError::Timeout);
    if overdue {
        // It may have ended in this very moment; either way it is gone afterwards.
        let _ = child.kill();
    }
    let status = ended(&mut child);
    let _ = reader.join();
    (!overdue).then_some(status)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BOTH, Verdict, trial::Trial};

    #[test]
    fn the_one_that_hangs_is_killed_and_no_other() {
        let mut trial = Trial::of("subprocesses");
        assert_eq!(trial.verdict(1), Verdict::Holds);
        // A time-out that comes to nothing, and one that kills too many.
        for killed in [0, 2] {
            trial.plant_observed(HANGING, "gc-rc", "killed_children", killed);
            assert_eq!(trial.verdict(1), Verdict::Fails);
        }
    }

    #[test]
    fn verdicts_follow_the_times() {
        let mut trial = Trial::of("subprocesses");
        for (together, hanging, expected) in [
            (108_000, 200_000, Verdict::Holds),
            (1_000_000, 9_000_000, Verdict::Fails),
        ] {
            for heap in BOTH {
                trial.plant_wall(IN_TURN, heap, 1_000_000);
                trial.plant_wall(TOGETHER, heap, together);
                trial.plant_wall(HANGING, heap, hanging);
                trial.plant_observed(HANGING, heap, "hang_ns", 10_000_000);
            }
            assert_eq!(trial.verdict(0), expected);
            assert_eq!(trial.verdict(2), expected);
        }
    }

    #[test]
    fn a_child_in_time_is_not_killed() {
        let status = until(start(Duration::from_millis(1)), Duration::from_secs(60));
        assert!(status.is_some_and(|status| status.success()));
        assert!(until(start(Duration::from_secs(60)), Duration::from_millis(1)).is_none());
    }
}
