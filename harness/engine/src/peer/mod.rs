//! Real runtimes beside ours: programs in other languages that do a workload's work, measured by
//! the same definitions.
//!
//! A comparison is only as good as its weaker side, and two heaps of one project prove little about
//! either. So the workloads exist a second time in `harness/peers/`, written for a Java virtual
//! machine, for C with Boehm's collector, and for CPython: the same objects as far as the language
//! allows, from the same seeded generators, split over threads in the same way. A peer is run like
//! a heap: a fresh process an invocation, in the same interleaved order, at the same heap size, and
//! its checksum, operations, objects and payload bytes must be ours.
//!
//! A runtime is one file here and its lines in [`PEERS`]. It says whether it is on this machine,
//! builds its programs, starts them, and turns what it reports about its stops into the
//! [events](crate::measure::event) that everything else is judged by. A program is a file in
//! `harness/peers/` and a line in the table of its runtime.
//!
//! # What is the same and what is not
//!
//! * *The work* is compared, as between heaps. Objects and payload bytes are what the program says
//!   it made; that it did make them, and no compiler removed them, is checked against the bytes
//!   that the runtime says it allocated.
//! * *Pauses* are from the runtime's own record: when the stop began, when the last thread stood,
//!   when they ran again. A thread is taken to have stopped when the last one did, since runtimes
//!   do not record each one's arrival: their share of time in pauses is a lower bound.
//!   A runtime that does not tell of everything that stops its threads has no figure at all
//!   (`tells_pauses`): CPython tells of its cycle collections, and not of its cascades of
//!   decrements. An explicit collection is no pause, as on the heaps.
//! * *Time* leaves out the starting of threads, as on the heaps.
//! * *Peak heap* is what the runtime counts against its heap size. Most do not count mark bits,
//!   card tables and the like; our heaps do.
//! * *Peak resident* includes the runtime itself: its code, its compiler, its compiler's threads.
//! * *Warming up*: a runtime that compiles while it runs repeats iteration 0 until it is steady, by
//!   one rule for all its programs (not at [`Size::Tiny`], where nothing is measured). How long it
//!   took and how many runs are observations of each of its rows; one that was not steady when its
//!   time was up is marked as disturbed.
//! * *The heap size* binds all but CPython, whose heap has no limit; what its process grew by
//!   stands for its peak.
//! * *Moving* collectors are marked so: they pay for copying and are paid in allocation speed,
//!   which is a difference in kind.
//!
//! # Found or not
//!
//! A runtime, compiler or library that is not there costs one line, which names it and how to get
//! it, and the rest is run; so does a collector that a runtime was built without. As what was asked
//! for by name has then no figures, the exit status says so. The programs of the workloads that are
//! to be run are compiled once a run, into a directory that is removed when the run ends. Rejected:
//! a permanent cache (stale programs and a predictable path, to save a second or two); compiling
//! with the harness (a build would need a JDK); Java's launching from source (it compiles anew in
//! each process, and one file alone, so that each would carry a copy of what all share).

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::invocation::Invocation;
use crate::suggest;
#[cfg(doc)]
use crate::workload::Size;

mod boehm;
mod cpython;
mod found;
mod hotspot;
mod installation;
mod program;
mod reader;

pub use found::{Found, build, choose, cleared, survey};
pub use installation::{Installation, Installations};

pub(crate) use found::not_passed_on;
pub(crate) use reader::Reader;

use installation::Said;
use program::Program;
use reader::Observer;

/// A peer as `harness list` shows it.
#[derive(Clone, Copy, Debug)]
pub struct Description {
    /// Its name on the command line and in results.
    pub name: &'static str,
    /// One line about it.
    pub summary: &'static str,
    /// Whether its collector moves objects.
    pub moving: bool,
    /// Whether it tells of everything that stops its threads.
    tells_pauses: bool,
    /// Which of the runtime's collectors it is; the runtime knows what it means.
    variant: &'static str,
    runtime: &'static dyn Runtime,
}

/// HotSpot with one of its collectors.
const fn hotspot(name: &'static str, summary: &'static str, variant: &'static str) -> Description {
    Description {
        name,
        summary,
        moving: true,
        tells_pauses: true,
        variant,
        runtime: &hotspot::Hotspot,
    }
}

/// The same with object headers of 8 bytes.
macro_rules! compact {
    ($name:literal, $collector:literal) => {
        hotspot(
            concat!("hotspot-", $name, "-compact"),
            concat!(
                "HotSpot's ",
                $collector,
                " collector with compact object headers of 8 bytes, from version 24 on"
            ),
            concat!(
                "-XX:+Use",
                $collector,
                "GC -XX:+UnlockExperimentalVMOptions -XX:+UseCompactObjectHeaders"
            ),
        )
    };
}

/// Every peer, in the order in which they are run and shown.
pub const PEERS: &[Description] = &[
    hotspot(
        "hotspot-serial",
        "HotSpot's Serial collector: generational, copying and compacting, one thread",
        "-XX:+UseSerialGC",
    ),
    hotspot(
        "hotspot-parallel",
        "HotSpot's Parallel collector: generational, copying and compacting, all processors",
        "-XX:+UseParallelGC",
    ),
    hotspot(
        "hotspot-g1",
        "HotSpot's G1 collector: generational by regions, copying, marking concurrently",
        "-XX:+UseG1GC",
    ),
    hotspot(
        "hotspot-shenandoah",
        "HotSpot's Shenandoah collector: marking and moving concurrently, one generation",
        "-XX:+UnlockExperimentalVMOptions -XX:+UseShenandoahGC",
    ),
    hotspot(
        "hotspot-z",
        "HotSpot's Z collector: marking and moving concurrently, generational from version 23 on",
        "-XX:+UnlockExperimentalVMOptions -XX:+UseZGC",
    ),
    compact!("serial", "Serial"),
    compact!("parallel", "Parallel"),
    compact!("g1", "G1"),
    compact!("shenandoah", "Shenandoah"),
    compact!("z", "Z"),
    Description {
        name: "boehm",
        summary: "Boehm's collector in C: conservative mark-sweep, marking on all processors",
        moving: false,
        tells_pauses: true,
        variant: "",
        runtime: &boehm::Boehm,
    },
    Description {
        name: "cpython",
        summary: "CPython: reference counting with generations for cycles, interpreted; its heap \
         has no limit",
        moving: false,
        tells_pauses: false,
        variant: "",
        runtime: &cpython::Cpython {
            free_threaded: false,
        },
    },
    Description {
        name: "cpython-free-threaded",
        summary: "CPython without the global lock (PEP 703): biased counts, interpreted; its heap \
         has no limit",
        moving: false,
        tells_pauses: false,
        variant: "",
        runtime: &cpython::Cpython {
            free_threaded: true,
        },
    },
];

/// The runtime of the peer of this name; of a name that this program does not know, the name.
pub(crate) fn runtime_of(name: &str) -> &str {
    describe(name).map_or(name, |description| description.runtime.name())
}

/// Whether the heap or peer of this name tells of everything that stops its threads.
pub(crate) fn tells_pauses(name: &str) -> bool {
    describe(name).map_or(true, |description| description.tells_pauses)
}

/// The description of the peer called `name`.
///
/// # Errors
///
/// A sentence that names the peer the user may have meant.
pub fn describe(name: &str) -> Result<&'static Description, String> {
    let mut peers = PEERS.iter();
    peers
        .find(|peer| peer.name == name)
        .ok_or_else(|| suggest::unknown("peer", name, PEERS.iter().map(|peer| peer.name)))
}

/// Where to look for runtimes, beyond `PATH`.
#[derive(Clone, Debug, Default)]
pub struct Search {
    /// Java virtual machines: the program `java`, or the directory that has it in `bin`. If none is
    /// named, the one on `PATH`.
    pub java: Vec<PathBuf>,
    /// Python interpreters, with the global lock and without: the program, or the directory that
    /// has it in `bin`. If none is named, the `python3` on `PATH`, and the `python3.14t`.
    pub python: Vec<PathBuf>,
}

/// What one kind of runtime knows about itself.
trait Runtime: fmt::Debug + Sync {
    /// Its name, which peers that share it have in common.
    fn name(&self) -> &'static str;

    /// Its programs.
    fn programs(&self) -> &'static [Program];

    /// The places at which the user has said that it is.
    fn named<'s>(&self, _search: &'s Search) -> &'s [PathBuf] {
        &[]
    }

    /// Looks for it there, or on `PATH`.
    fn find(&self, named: &[PathBuf]) -> Installations;

    /// Whether an installation has the collector `variant`. The words, which follow the
    /// installation's version in a sentence, say why not.
    fn supports(&self, _variant: &str, _installation: &Installation) -> Result<(), String> {
        Ok(())
    }

    /// Why what a process says of itself is not what was planned, if it is not.
    fn differs(&self, _variant: &str, installation: &Installation, said: &Said) -> Option<String> {
        said.differs_from(installation)
            .or_else(|| said.lies_elsewhere(installation))
    }

    /// Writes and compiles these programs, of which there is at least one, in `directory`, which
    /// exists. `others` are the installations of this kind that were chosen besides: one that lacks
    /// a compiler may use theirs. The sentence says what went wrong.
    fn build(
        &self,
        installation: &Installation,
        others: &[Installation],
        programs: &[&Program],
        directory: &Path,
    ) -> Result<(), String>;

    /// How to start an invocation of a program that was built in `directory`, and how to learn what
    /// it reports about its stops.
    fn command(
        &self,
        variant: &str,
        installation: &Installation,
        program: &Program,
        invocation: &Invocation,
        directory: &Path,
    ) -> (Command, Box<dyn Observer>);
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_runtime_has_one_program_for_a_workload_and_names_its_files_apart() {
        for description in PEERS {
            let programs = description.runtime.programs();
            let workloads: BTreeSet<_> = programs.iter().map(|program| program.workload).collect();
            let files: BTreeSet<_> = programs.iter().map(Program::file).collect();
            let stems: BTreeSet<_> = programs.iter().map(Program::stem).collect();
            assert_eq!(workloads.len(), programs.len(), "{workloads:?}");
            // Two workloads may share a file, as what counts down alone and in turns does.
            assert_eq!(files.len(), stems.len(), "{files:?} {stems:?}");
        }
    }
}
