//! What a peer's process prints, read line by line and turned into rows.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{Found, Said};
use crate::environment::Environment;
use crate::invocation::{self, Invocation, Metrics, Row, Status};
use crate::measure::distribution::Distribution;
use crate::measure::event::{Event, EventKind, EventLog};
use crate::measure::timeline::Timeline;
use crate::peer;

/// Follows one process from iteration to iteration.
pub(super) trait Observer {
    /// What happened between the ends of a measured iteration, which the process has just reported,
    /// to its mutator threads.
    fn observe(&mut self, iteration: &Measured, threads: u32) -> Observed;

    /// Whether this line, which no program of ours has written, says that the heap is too small for
    /// the runtime itself.
    fn is_heap_full(&self, _line: &str) -> bool {
        false
    }
}

/// What a runtime reports about an iteration.
#[derive(Debug, Default)]
pub(super) struct Observed {
    pub(super) events: EventLog,
    pub(super) collections: u64,
    /// The most it has counted against its heap size so far.
    pub(super) peak_heap_bytes: u64,
    /// That the process's resident size, as the system gives it, is not what it takes.
    pub(super) resident_is_wrong: bool,
}

impl Observed {
    /// Adds an event.
    pub(super) fn add(&mut self, mutator: u32, from: u64, until: u64, kind: EventKind) {
        self.events.events.push(Event {
            mutator,
            from,
            until,
            kind,
        });
    }
}

/// The stops that a program has recorded or counted itself.
#[derive(Debug)]
pub(super) struct Recorded;

impl Observer for Recorded {
    fn observe(&mut self, iteration: &Measured, threads: u32) -> Observed {
        let mut observed = Observed {
            collections: iteration
                .collections
                .unwrap_or(iteration.pauses.len() as u64 + iteration.pauses_lost),
            peak_heap_bytes: iteration.heap_bytes,
            ..Observed::default()
        };
        observed.events.lost = iteration.pauses_lost;
        for (stop, &[requested, stopped, resumed, finished]) in (1..).zip(&iteration.pauses) {
            let whole = EventKind::Stop {
                stop,
                stopped,
                explicit: false,
            };
            observed.add(0, requested, resumed, whole);
            // Which thread collected is not recorded, and makes no difference.
            let kind = EventKind::Stopped { stop };
            observed.add(0, requested, finished, kind);
            for mutator in 1..threads {
                observed.add(mutator, stopped, resumed, kind);
            }
        }
        observed
    }
}

/// Turns the lines of one process into rows.
pub(crate) struct Reader {
    pub(super) invocation: Invocation,
    /// What the workload calls one operation.
    pub(super) operation: &'static str,
    pub(super) observer: Box<dyn Observer>,
    /// What the process must say that it is.
    pub(super) planned: Box<Found>,
}

impl Reader {
    /// The row of a line; `None` if the line is not one of ours, or not whole.
    pub(crate) fn row(&mut self, line: &str) -> Option<Row> {
        if self.observer.is_heap_full(line) {
            return Some(self.without_metrics(0, Status::HeapFull, line.to_owned()));
        }
        let (row, said) = match serde_json::from_str(line).ok()? {
            Line::Ended(Ended {
                iteration,
                how,
                runtime,
            }) => {
                let (status, message) = match how {
                    How::HeapFull(message) => (Status::HeapFull, message),
                    How::Failed(message) => (Status::Crashed, message),
                };
                let row = self.without_metrics(iteration, status, message);
                if runtime.is_none() {
                    // There was no room even to say what it is.
                    return Some(row);
                }
                (row, runtime)
            }
            Line::Measured(measured) => (self.measured(&measured), measured.runtime),
        };
        Some(self.identified(row, said))
    }

    fn without_metrics(&self, iteration: u32, status: Status, message: String) -> Row {
        Row::without_metrics(&self.invocation, iteration, status, message)
    }

    /// The row with what its process says that it is; void if that is not what was planned.
    fn identified(&self, mut row: Row, said: Option<Said>) -> Row {
        let mut peer = self.planned.environment();
        let reason = match said {
            Some(said) => {
                let reason = self.planned.differs(&said);
                peer.version = said.full_version();
                peer.program = said.program;
                peer.confirmed = true;
                peer.details = said.details;
                reason
            }
            None => Some("its process does not say which runtime it is".to_owned()),
        };
        row.environment = Some(Environment {
            peer: Some(peer),
            ..Environment::default()
        });
        if reason.is_some() {
            row.status = Status::Void;
            row.message = reason;
        }
        row
    }

    fn measured(&mut self, iteration: &Measured) -> Row {
        let threads = u32::try_from(self.invocation.threads).unwrap_or(u32::MAX);
        let observed = self.observer.observe(iteration, threads);
        let least = LEAST_OBJECT_BYTES * iteration.allocated_objects;
        let removed = iteration.allocated_bytes < least - least / LAG;
        let mut row = self.without_metrics(iteration.iteration, Status::Ok, String::new());
        let mut observations = iteration.observations.clone();
        if let Some(warmup) = &iteration.warmup {
            observations.insert("warmup_ns".to_owned(), warmup.ns);
            observations.insert("warmup_runs_count".to_owned(), warmup.runs);
            if !warmup.steady {
                row.noisy
                    .push("not steady when its time to warm up had passed".to_owned());
            }
        }
        row.status = if removed { Status::Void } else { Status::Ok };
        row.message = removed.then(|| {
            format!(
                "allocated {} bytes for {} objects: its compiler has removed some",
                iteration.allocated_bytes, iteration.allocated_objects
            )
        });
        let mut metrics = Metrics {
            checksum: iteration.checksum.clone(),
            operations: iteration.operations,
            operation: self.operation.to_owned(),
            allocated_objects: iteration.allocated_objects,
            allocated_payload_bytes: iteration.allocated_payload_bytes,
            wall_ns: iteration.wall_ns,
            cpu_ns: iteration.cpu_ns,
            wall_ns_per_operation: iteration.wall_ns as f64 / iteration.operations.max(1) as f64,
            collections: observed.collections,
            peak_heap_bytes: observed.peak_heap_bytes,
            peak_resident_bytes: iteration
                .resident_bytes
                .filter(|_| !observed.resident_is_wrong),
            observations,
            reclamation_delay: Distribution::of(iteration.delays_ns.iter().copied()),
            ..invocation::of_events(
                &Timeline::of(&observed.events),
                iteration.from_ns..iteration.until_ns.max(iteration.from_ns),
                self.invocation.threads,
            )
        };
        if !peer::tells_pauses(&self.invocation.heap) {
            metrics.forget_pauses();
        }
        row.metrics = Some(metrics);
        row
    }
}

/// The least that an object takes, on every runtime here: what was allocated must be at least this
/// for each object that was to be made.
const LEAST_OBJECT_BYTES: u64 = 16;
/// Less one part in this many: some runtimes' counts lag behind by what their threads have at hand.
const LAG: u64 = 16;

/// What a program prints: one line of JSON an iteration. Names end in their units; times are on the
/// clock that the runtime's own record uses.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Line {
    Ended(Ended),
    Measured(Measured),
}

/// Why the process ends before its iterations do.
#[derive(Debug, Deserialize)]
struct Ended {
    iteration: u32,
    #[serde(flatten)]
    how: How,
    runtime: Option<Said>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum How {
    /// It did not fit.
    HeapFull(String),
    /// The system has refused it something.
    Failed(String),
}

/// A measured iteration, as its program prints it.
#[derive(Debug, Deserialize)]
pub(super) struct Measured {
    pub(super) iteration: u32,
    pub(super) checksum: String,
    pub(super) operations: u64,
    pub(super) allocated_objects: u64,
    pub(super) allocated_payload_bytes: u64,
    /// What the runtime says it allocated.
    pub(super) allocated_bytes: u64,
    pub(super) from_ns: u64,
    pub(super) until_ns: u64,
    pub(super) wall_ns: u64,
    pub(super) cpu_ns: u64,
    /// Counted against the heap size: now, or at its highest so far.
    pub(super) heap_bytes: u64,
    /// The largest resident size so far.
    pub(super) resident_bytes: Option<u64>,
    /// `[requested, stopped, resumed, finished]`, from runtimes whose programs record their stops
    /// themselves.
    #[serde(default)]
    pub(super) pauses: Vec<[u64; 4]>,
    #[serde(default)]
    pub(super) pauses_lost: u64,
    /// Of runtimes whose programs count their collections and do not record them.
    pub(super) collections: Option<u64>,
    /// What the program saw on its way, by names that end in their units.
    #[serde(default)]
    pub(super) observations: BTreeMap<String, u64>,
    /// How long each of the objects that it watched took from unreachable to reclaimed, in any
    /// order.
    #[serde(default)]
    pub(super) delays_ns: Vec<u64>,
    /// Which runtime the process is. One that does not say is not believed.
    pub(super) runtime: Option<Said>,
    /// How it warmed up, if it did so by a rule.
    pub(super) warmup: Option<Warmup>,
}

/// How a process warmed up.
#[derive(Debug, Deserialize)]
pub(super) struct Warmup {
    ns: u64,
    runs: u64,
    /// Whether it ended because it was steady, and not because its time had passed.
    steady: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer::{Installation, describe};
    use crate::workload::Size;

    fn invocation(heap: &str) -> Invocation {
        Invocation {
            workload: "list".to_owned(),
            size: Size::Tiny,
            parameters: BTreeMap::new(),
            file: None,
            heap: heap.to_owned(),
            options: BTreeMap::new(),
            heap_bytes: 1 << 20,
            threads: 2,
            seed: 42,
            iterations: 1,
            invocation: 1,
        }
    }

    fn reader() -> Reader {
        reader_of("boehm")
    }

    fn reader_of(heap: &str) -> Reader {
        Reader {
            invocation: invocation(heap),
            operation: "node",
            observer: Box::new(Recorded),
            planned: Box::new(Found::of(
                describe("cpython").unwrap(),
                Installation {
                    version: "CPython 3.13.0".to_owned(),
                    short_version: "3.13.0".to_owned(),
                    program: "/no/such/python3".into(),
                },
                &[],
            )),
        }
    }

    const LINE: &str = r#"{"runtime":{"name":"CPython","version":"3.13.0","program":"/no/such/python3"},"iteration":1,"checksum":"00ff","operations":10,"allocated_objects":4,"allocated_payload_bytes":64,
        "allocated_bytes":128,"from_ns":100000,"until_ns":300000,"wall_ns":200000,"cpu_ns":190000,"heap_bytes":4096,"resident_bytes":null,
        "pauses_lost":0,"pauses":[[110000,111000,120000,130000],[200000,200500,205000,206000]]}"#;

    #[test]
    fn a_line_becomes_a_row() {
        let row = reader().row(LINE).unwrap();
        assert_eq!((row.status, row.iteration), (Status::Ok, 1));
        let metrics = row.metrics.unwrap();
        assert_eq!(metrics.work(), ("00ff", 10, 4, 64));
        assert_eq!((metrics.wall_ns, metrics.collections), (200_000, 2));
        // The other one is too short.
        assert_eq!(metrics.pauses.pause_count, 1);
        // From the request until the thread that collected goes on.
        assert_eq!(metrics.pauses.pause_max_ns, Some(20_000));
        assert_eq!(metrics.pauses.time_to_safepoint_max_ns, Some(1_000));
        assert_eq!(metrics.pauses.stopped_ns, 20_000 + 9_000);
        assert!((metrics.stopped_share - 29.0 / 400.0).abs() < 1e-12);
        assert_eq!(metrics.wall_ns_per_operation, 20_000.0);
    }

    #[test]
    fn what_a_program_observed_is_in_its_row() {
        let seen = r#""observations":{"resident_after_bytes":4096,"found_count":3},"delays_ns":[30,1000,20],"pauses_lost""#;
        let row = reader()
            .row(&LINE.replace("\"pauses_lost\"", seen))
            .unwrap();
        let metrics = row.metrics.unwrap();
        let expected = [("found_count", 3), ("resident_after_bytes", 4096)];
        let expected = expected.map(|(name, value)| (name.to_owned(), value));
        assert_eq!(metrics.observations, BTreeMap::from(expected));
        assert_eq!(metrics.reclamation_delay, Distribution::of([20, 30, 1000]));

        let silent = reader().row(LINE).unwrap().metrics.unwrap();
        assert!(silent.observations.is_empty() && silent.reclamation_delay.is_empty());
    }

    #[test]
    fn pauses_of_which_some_are_not_told_are_no_figure() {
        let line = LINE.replace("\"pauses_lost\"", "\"collections\":7,\"pauses_lost\"");
        let metrics = reader_of("cpython").row(&line).unwrap().metrics.unwrap();
        assert_eq!((metrics.wall_ns, metrics.collections), (200_000, 7));
        assert!(metrics.pauses.pauses_unknown);
        assert_eq!(metrics.pauses.pause_max_ns, None);
        assert!(metrics.utilisation.is_empty());
    }

    #[test]
    fn how_a_process_warmed_up_is_in_its_row() {
        let row = |steady: bool| {
            let said =
                format!(r#""warmup":{{"ns":5000,"runs":9,"steady":{steady}}},"pauses_lost""#);
            reader()
                .row(&LINE.replace("\"pauses_lost\"", &said))
                .unwrap()
        };
        let warm = row(true);
        let seen = warm.metrics.unwrap().observations;
        assert_eq!((seen["warmup_ns"], seen["warmup_runs_count"]), (5000, 9));
        assert!(warm.noisy.is_empty());
        let cold = row(false);
        assert!(cold.noisy[0].contains("steady"), "{:?}", cold.noisy);
    }

    #[test]
    fn a_line_that_was_cut_short_is_no_row() {
        for length in 0..LINE.len() {
            assert!(reader().row(&LINE[..length]).is_none(), "{length}");
        }
        assert!(
            reader()
                .row("OpenJDK 64-Bit Server VM warning: x")
                .is_none()
        );
    }

    #[test]
    fn a_full_heap_is_a_result() {
        let line = r#"{"iteration":2,"heap_full":"no space",
            "runtime":{"name":"CPython","version":"3.13.0","program":"/no/such/python3"}}"#;
        let row = reader().row(line).unwrap();
        assert_eq!((row.status, row.iteration), (Status::HeapFull, 2));
        assert_eq!(row.message.as_deref(), Some("no space"));
        // That another runtime's heap is full says nothing about this one's.
        let row = reader().row(&line.replace("3.13.0", "3.12.1")).unwrap();
        assert_eq!(row.status, Status::Void);
    }

    #[test]
    fn a_row_of_another_runtime_than_the_plans_is_void() {
        let row = |from: &str, to: &str| reader().row(&LINE.replace(from, to)).unwrap();
        let peer = |row: &Row| row.environment.clone().unwrap().peer.unwrap();
        let same = row("", "");
        assert_eq!(same.status, Status::Ok);
        assert_eq!(peer(&same).version, "CPython 3.13.0");
        assert!(peer(&same).confirmed);

        for (from, to, parts) in [
            ("3.13.0", "3.12.1", ["CPython 3.12.1", "CPython 3.13.0"]),
            ("CPython", "PyPy", ["PyPy 3.13.0", "CPython 3.13.0"]),
            (
                "such/python3",
                "other/python3",
                ["/no/other/python3", "/no/such/python3"],
            ),
        ] {
            let other = row(from, to);
            assert_eq!(other.status, Status::Void, "{to}");
            let message = other.message.clone().unwrap();
            assert!(!message.contains('\n'), "{message}");
            for part in parts {
                assert!(message.contains(part), "no {part} in {message}");
            }
            // The row says what was measured, and not what was to be.
            let peer = peer(&other);
            assert!(peer.confirmed);
            assert!(parts[0] == peer.version || parts[0] == peer.program);
        }

        let silent = row("\"runtime\"", "\"x\"");
        assert_eq!(silent.status, Status::Void);
        assert!(!peer(&silent).confirmed);
    }

    #[test]
    fn what_the_system_refuses_is_no_full_heap() {
        let row = reader()
            .row(r#"{"iteration":1,"failed":"cannot start a thread: x"}"#)
            .unwrap();
        assert_eq!((row.status, row.iteration), (Status::Crashed, 1));
        assert_eq!(row.message.as_deref(), Some("cannot start a thread: x"));
    }

    #[test]
    fn work_that_a_compiler_removed_is_void() {
        let line = LINE.replace("\"allocated_bytes\":128", "\"allocated_bytes\":59");
        let row = reader().row(&line).unwrap();
        assert_eq!(row.status, Status::Void);
        assert!(row.message.unwrap().contains("59 bytes for 4 objects"));
    }

    #[test]
    fn a_resident_size_that_is_known_to_be_wrong_is_left_out() {
        struct Wrong;
        impl Observer for Wrong {
            fn observe(&mut self, _iteration: &Measured, _threads: u32) -> Observed {
                Observed {
                    resident_is_wrong: true,
                    ..Observed::default()
                }
            }
        }
        let line = LINE.replace("\"resident_bytes\":null", "\"resident_bytes\":8192");
        let resident = |reader: &mut Reader| {
            let metrics = reader.row(&line).unwrap().metrics.unwrap();
            metrics.peak_resident_bytes
        };
        assert_eq!(resident(&mut reader()), Some(8192));
        let mut wrong = Reader {
            observer: Box::new(Wrong),
            ..reader()
        };
        assert_eq!(resident(&mut wrong), None);
    }
}
