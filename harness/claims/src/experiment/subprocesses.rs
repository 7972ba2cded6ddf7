#![doc = include_str!("subprocesses.md")]

use std::env;
use std::io::{ErrorKind, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use contract::threads::{self, give_up, refused};

use super::prelude::*;

/// See the [module documentation](self).
pub const EXPERIMENT: Experiment = Experiment {
    name: "subprocesses",
    summary: "children that sleep, together and one after another, and one that hangs",
    explanation: include_str!("subprocesses.md"),
    forms: &[
        Form::new(IN_TURN, "subprocesses", 1),
        Form::new(TOGETHER, "subprocesses", 10),
        Form::new(HANGING, "subprocesses:children=4,hanging=4", 8),
    ],
    claims: &[
        Claim::new("ten children at once take a quarter of the time of one after another, or less")
            .judges(&["003.4"])
            .documents("1.08 s of at least 10 s: 0.108")
            .measured("time of ten children together / one after another")
            .ratio(Wall, TOGETHER, IN_TURN)
            .both(AtMost(0.25)),
        Claim::new("a time-out ends children that hang, and hardly one that does not")
            .judges(&["003.4"])
            .documents("killed")
            .measured("children that came to the end they should, of eight of which four hang")
            .share(Observed(RIGHT), Operations, &[HANGING])
            .both(AtLeast(0.8)),
        Claim::new("a time-out spares the rest of the time for which a child would have hung")
            .judges(&["003.4"])
            .measured("time / that for which it would have hung")
            .value(Share(&Wall, &Observed(HANG)), HANGING)
            .both(AtMost(0.5)),
    ],
    programs: &[Program::of::<Subprocesses>()],
};

const IN_TURN: &str = "one after another";
const TOGETHER: &str = "together";
const HANGING: &str = "one hangs";

const KILLED: &str = "killed_children";
const RIGHT: &str = "rightly_ended_children";
const HANG: &str = "hang_ns";

/// How much longer than the others a child sleeps that hangs.
const HANGS: u32 = 100;
/// How much longer than it is to sleep a child may take.
const PATIENCE: u32 = 5;

/// See the [module documentation](self).
pub struct Subprocesses;

impl Workload for Subprocesses {
    const NAME: &'static str = "subprocesses";
    const SUMMARY: &'static str = "child processes that sleep, and threads that wait for them";
    const OPERATION: &'static str = "child";
    const PARAMETERS: &'static [Parameter] = &[
        Parameter::fixed("children", 10).range(1, 10_000)
            .doc("children that end by themselves, over all threads"),
        Parameter::fixed("hanging", 0).range(0, 1_000)
            .doc("children that do not, and are killed when their time is up"),
        Parameter::sized("milliseconds", [2, 6, 40]).range(1, 60_000).doc(
            "how long a child sleeps; one that hangs sleeps 100 times as long, and has five times \
             as long",
        ),
    ];

    fn heap_bytes(_input: &Input) -> u64 {
        8 << 20
    }

    fn run<H: Heap>(heap: &H, input: &Input) -> Result<Outcome, HeapFull> {
        let sleep = Duration::from_millis(input.get("milliseconds"));
        let children = input.get("children");
        let hanging = input.get("hanging");
        let (killed, right) = (AtomicU64::new(0), AtomicU64::new(0));
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
                        right.fetch_add(u64::from(status.is_none() == hangs), Ordering::Relaxed);
                        status.is_some_and(|status| status.success())
                    });
                    m.alloc_init(result, Flags::NONE, [], [number, u64::from(ended_well)])?;
                    sum = sum.wrapping_add(mix(2 * word(m, result, 0) + word(m, result, 1)));
                    m.safepoint();
                }
                Ok(sum)
            })
        })?;
        let hang = if hanging > 0 {
            sleep * HANGS
        } else {
            Duration::ZERO
        };
        let observed = [
            (KILLED, killed.into_inner()),
            (RIGHT, right.into_inner()),
            (HANG, nanoseconds(hang)),
        ];
        Ok(Outcome::new(digest(sums), children + hanging).observing(observed))
    }
}

/// Starts a child that sleeps. Its standard output ends when it does.
///
/// Gives the experiment up if there is no `sleep`, in words that say how to get one, or no process
/// to be had.
pub(super) fn start(time: Duration) -> Child {
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
                    "{reason}; the program 'sleep' is looked for on PATH, which is {path:?}; \
                     it is in coreutils"
                );
            }
            give_up(reason)
        })
}

/// Waits for a child to end.
pub(super) fn ended(child: &mut Child) -> ExitStatus {
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
    use crate::trial::{RC, Trial};

    #[test]
    fn the_one_that_hangs_is_killed_and_no_other() {
        let mut trial = Trial::of("subprocesses");
        trial.holds([1]);
        // A time-out that comes to nothing, and one that kills too many.
        trial.observed(HANGING, RC, RIGHT, 4);
        trial.fails([1]);
    }

    #[test]
    fn verdicts_follow_the_times() {
        let mut trial = Trial::of("subprocesses");
        let mut plant = |together, hanging| {
            trial.wall(IN_TURN, BOTH, 1_000_000);
            trial.wall(TOGETHER, BOTH, together);
            trial.wall(HANGING, BOTH, hanging);
            trial.observed(HANGING, BOTH, HANG, 10_000_000);
            trial.clone()
        };
        plant(108_000, 200_000).holds([0, 2]);
        plant(1_000_000, 9_000_000).fails([0, 2]);
    }

    #[test]
    fn a_child_in_time_is_not_killed() {
        let status = until(start(Duration::from_millis(1)), Duration::from_secs(60));
        assert!(status.is_some_and(|status| status.success()));
        assert!(until(start(Duration::from_secs(60)), Duration::from_millis(1)).is_none());
    }
}
