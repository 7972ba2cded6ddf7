//! Threads that the system may refuse, and what becomes of an experiment then.
//!
//! A process may be allowed so many threads and no more (`ulimit -u`, a control group's
//! `pids.max`). A program whose threads wait for each other, at a barrier or for a queue to fill,
//! must not begin with some of them: those would wait for the rest for ever. So:
//!
//! * threads that work together begin when all of them are there, and none of them does if one is
//!   missing ([`crate::workload::on_threads`]): whatever they would wait for, they do not;
//! * a thread that helps (a sampler, one that computes beside, an outsider) is started before what
//!   it helps begins, or its starter lets those go that wait for it;
//! * then the experiment is given up ([`give_up`]), at once and with the reason: the row says it,
//!   and not that a time was up.
//!
//! Starting threads is no part of what is compared: runtimes differ in what it takes, and a
//! collector has no say in it. So the time in which a thread waits for others to be started is
//! added up ([`starting`]), and taken off the times of iterations.
//!
//! Giving up unwinds, as a panic does, without a panic's message: it goes through code that is
//! generic over the heap and the workload, and whose errors are that a heap is full. Rejected: an
//! error variant in every workload's result (forty signatures, for what none can handle); barriers
//! that can be broken (queues and conditions would need the same, and a workload of one's own too).

use std::any::Any;
use std::cell::Cell;
use std::io;
use std::panic;
use std::thread::{Builder, JoinHandle, Scope, ScopedJoinHandle};
use std::time::{Duration, Instant};

/// The system's error when a limit of processes or threads is reached.
pub const AGAIN: i32 = nix::errno::Errno::EAGAIN as i32;

/// Why an experiment was given up: what the system has refused. The payload of the unwinding.
#[derive(Debug)]
pub struct Refused(pub String);

/// That the system has refused a thread or a process, in one line with the way out.
pub fn refused(what: &str, error: &io::Error) -> String {
    let way_out = match error.raw_os_error() {
        Some(AGAIN) => {
            "; the system allows no more of them (see ulimit -u, and pids.max of the control group)"
        }
        _ if error.kind() == io::ErrorKind::OutOfMemory => "; the system has no memory for it",
        _ => "",
    };
    format!("cannot start {what}: {error}{way_out}")
}

/// Ends the experiment: unwinds to where its row is written, with this reason.
pub fn give_up(reason: String) -> ! {
    panic::resume_unwind(Box::new(Refused(reason)))
}

thread_local! {
    static STARTING: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

/// For how long the calling thread has waited so far for threads to be started: by itself, and by
/// those whose end it awaited in [`on_threads`](crate::workload::on_threads).
pub fn starting() -> Duration {
    STARTING.get()
}

/// Adds to [`starting`].
pub(crate) fn add_starting(time: Duration) {
    STARTING.set(STARTING.get() + time);
}

/// Starts a thread of a scope.
///
/// Gives the experiment up if there is none to be had. Whatever the scope's other threads wait for
/// must end when the caller unwinds.
pub fn start_scoped<'scope, F, T>(
    scope: &'scope Scope<'scope, '_>,
    body: F,
) -> ScopedJoinHandle<'scope, T>
where
    F: FnOnce() -> T + Send + 'scope,
    T: Send + 'scope,
{
    let begun = Instant::now();
    let started = Builder::new().spawn_scoped(scope, body);
    add_starting(begun.elapsed());
    started.unwrap_or_else(|error| give_up(refused("a thread", &error)))
}

/// Starts a thread, of this name where lists of threads show names.
///
/// # Errors
///
/// The reason, in one line, if there is none to be had.
pub fn start<F, T>(name: &str, body: F) -> Result<JoinHandle<T>, String>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    let started = Builder::new().name(name.to_owned()).spawn(body);
    started.map_err(|error| refused("a thread", &error))
}

/// What `experiment` returned, or why it was given up; any other panic goes on.
pub fn unless_refused<T>(experiment: impl FnOnce() -> T) -> Result<T, String> {
    // Nothing of it is looked at again.
    let result = panic::catch_unwind(panic::AssertUnwindSafe(experiment));
    result.map_err(
        |payload: Box<dyn Any + Send>| match payload.downcast::<Refused>() {
            Ok(refused) => refused.0,
            Err(payload) => panic::resume_unwind(payload),
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_experiment_that_is_given_up_says_why_and_other_panics_go_on() {
        assert_eq!(unless_refused(|| 7), Ok(7));
        let reason = unless_refused(|| give_up("no more threads".to_owned()));
        assert_eq!(reason, Err::<(), _>("no more threads".to_owned()));
        let panicked = panic::catch_unwind(|| unless_refused(|| panic::resume_unwind(Box::new(1))));
        assert!(panicked.unwrap_err().is::<i32>());
    }

    #[test]
    fn the_time_in_which_threads_are_started_is_known_to_who_waited() {
        let before = starting();
        std::thread::scope(|scope| {
            let started = start_scoped(scope, starting);
            assert_eq!(started.join().unwrap(), Duration::ZERO);
        });
        assert!(starting() > before);
    }

    #[test]
    fn the_way_out_is_named() {
        let error = io::Error::from_raw_os_error(AGAIN);
        let text = refused("a thread", &error);
        assert!(
            text.starts_with("cannot start a thread: ") && text.contains("pids.max"),
            "{text}"
        );
    }
}
