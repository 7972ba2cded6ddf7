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
//! * *Peak heap* is what the runtime counts against its heap size. Most do not count mark bits,
//!   card tables and the like; our heaps do.
//! * *Peak resident* includes the runtime itself: its code, its compiler, its compiler's threads.
//! * *Warming up*: runtimes that compile while they run repeat iteration 0 for as long as the
//!   program's line says (not at [`Size::Tiny`], where nothing is measured).
//! * *The heap size* binds all but CPython, whose heap has no limit; what its process grew by
//!   stands for its peak.
//! * *Moving* collectors are marked so: they pay for copying and are paid in allocation speed,
//!   which is a difference in kind.
//!
//! # Which runtime it is
//!
//! What a name on `PATH` starts may depend on the directory that one stands in, on the environment,
//! and on the day: pyenv, asdf and jenv put scripts there that choose. So the name is asked once,
//! where the user stands, which file it has started; that file is asked again elsewhere, must say
//! the same, and is what runs. And every process says itself which runtime it is, which version,
//! and from which file, in each of its lines. Rows hold what the process said; one that says
//! something else than was planned is void.
//!
//! Rejected: following links and reading scripts to guess what they start; trusting what was found
//! once, since files are replaced while a long run is under way.
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

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use tempfile::TempDir;

use crate::environment::{self, Environment};
use crate::interrupt;
use crate::invocation::{self, Invocation, Metrics, Row, Status};
use crate::measure::distribution::Distribution;
use crate::measure::event::EventLog;
use crate::measure::timeline::Timeline;
use crate::outside;
use crate::process;
use crate::suggest;
#[cfg(doc)]
use crate::workload::Size;

mod boehm;
mod cpython;
mod hotspot;

/// A peer as `harness list` shows it.
#[derive(Clone, Copy, Debug)]
pub struct Description {
    /// Its name on the command line and in results.
    pub name: &'static str,
    /// One line about it.
    pub summary: &'static str,
    /// Whether its collector moves objects.
    pub moving: bool,
    /// Which of the runtime's collectors it is; the runtime knows what it means.
    variant: &'static str,
    runtime: &'static dyn Runtime,
}

/// Every peer, in the order in which they are run and shown.
pub const PEERS: &[Description] = &[
    Description {
        name: "hotspot-serial",
        summary: "HotSpot's Serial collector: generational, copying and compacting, one thread",
        moving: true,
        variant: "-XX:+UseSerialGC",
        runtime: &hotspot::Hotspot,
    },
    Description {
        name: "hotspot-parallel",
        summary: "HotSpot's Parallel collector: generational, copying and compacting, all \
         processors",
        moving: true,
        variant: "-XX:+UseParallelGC",
        runtime: &hotspot::Hotspot,
    },
    Description {
        name: "hotspot-g1",
        summary: "HotSpot's G1 collector: generational by regions, copying, marking concurrently",
        moving: true,
        variant: "-XX:+UseG1GC",
        runtime: &hotspot::Hotspot,
    },
    Description {
        name: "hotspot-shenandoah",
        summary: "HotSpot's Shenandoah collector: marking and moving concurrently, one generation",
        moving: true,
        variant: "-XX:+UnlockExperimentalVMOptions -XX:+UseShenandoahGC",
        runtime: &hotspot::Hotspot,
    },
    Description {
        name: "hotspot-z",
        summary: "HotSpot's Z collector: marking and moving concurrently, generational from \
         version 23 on",
        moving: true,
        variant: "-XX:+UnlockExperimentalVMOptions -XX:+UseZGC",
        runtime: &hotspot::Hotspot,
    },
    Description {
        name: "hotspot-serial-compact",
        summary: "HotSpot's Serial collector with compact object headers of 8 bytes, from version \
         24 on",
        moving: true,
        variant: "-XX:+UseSerialGC -XX:+UnlockExperimentalVMOptions -XX:+UseCompactObjectHeaders",
        runtime: &hotspot::Hotspot,
    },
    Description {
        name: "hotspot-parallel-compact",
        summary: "HotSpot's Parallel collector with compact object headers of 8 bytes, from \
         version 24 on",
        moving: true,
        variant: "-XX:+UseParallelGC -XX:+UnlockExperimentalVMOptions -XX:+UseCompactObjectHeaders",
        runtime: &hotspot::Hotspot,
    },
    Description {
        name: "hotspot-g1-compact",
        summary: "HotSpot's G1 collector with compact object headers of 8 bytes, from version 24 \
         on",
        moving: true,
        variant: "-XX:+UseG1GC -XX:+UnlockExperimentalVMOptions -XX:+UseCompactObjectHeaders",
        runtime: &hotspot::Hotspot,
    },
    Description {
        name: "hotspot-shenandoah-compact",
        summary: "HotSpot's Shenandoah collector with compact object headers of 8 bytes, from \
         version 24 on",
        moving: true,
        variant: "-XX:+UseShenandoahGC -XX:+UnlockExperimentalVMOptions \
         -XX:+UseCompactObjectHeaders",
        runtime: &hotspot::Hotspot,
    },
    Description {
        name: "hotspot-z-compact",
        summary: "HotSpot's Z collector with compact object headers of 8 bytes, from version 24 on",
        moving: true,
        variant: "-XX:+UseZGC -XX:+UnlockExperimentalVMOptions -XX:+UseCompactObjectHeaders",
        runtime: &hotspot::Hotspot,
    },
    Description {
        name: "boehm",
        summary: "Boehm's collector in C: conservative mark-sweep, marking on all processors",
        moving: false,
        variant: "",
        runtime: &boehm::Boehm,
    },
    Description {
        name: "cpython",
        summary: "CPython: reference counting with generations for cycles, interpreted; its heap \
         has no limit",
        moving: false,
        variant: "",
        runtime: &cpython::Cpython,
    },
];

impl Description {
    /// The name of its runtime, which peers share.
    #[cfg(test)]
    pub(crate) fn runtime_name(&self) -> &'static str {
        self.runtime.name()
    }
}

/// The runtime of the peer of this name; of a name that this program does not know, the name.
pub(crate) fn runtime_of(name: &str) -> &str {
    describe(name).map_or(name, |description| description.runtime.name())
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
    /// Python interpreters: the program, or the directory that has `bin/python3`. If none is named,
    /// the `python3` on `PATH`.
    pub python: Vec<PathBuf>,
}

/// A runtime on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Installation {
    /// Its name and version.
    pub version: String,
    /// The version alone.
    pub short_version: String,
    /// The file that runs our programs, as the runtime itself says, or the compiler that compiles
    /// them.
    pub program: PathBuf,
}

/// What a process says of the runtime that it is: one object of JSON, alone in a line where it was
/// asked, and in each line of a program's.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
struct Said {
    name: String,
    version: String,
    /// The file that is running; of a library, the library's. As text: what is none in it is
    /// replaced.
    program: String,
    /// What else tells it from others of its kind, such as the flags that are in force.
    #[serde(default)]
    details: BTreeMap<String, String>,
}

impl Said {
    /// Its name and version.
    fn full_version(&self) -> String {
        format!("{} {}", self.name, self.version)
    }

    /// What keeps a row of its process from counting as one of this installation, if anything does.
    fn differs_from(&self, planned: &Installation) -> Option<String> {
        let version = self.full_version();
        if version != planned.version {
            return Some(format!(
                "its process says that it is {version} ({}), and the plan has {} ({})",
                self.program,
                planned.version,
                planned.program.display()
            ));
        }
        None
    }

    /// The same for the file that runs.
    fn lies_elsewhere(&self, planned: &Installation) -> Option<String> {
        (!is_same_file(&planned.program, &self.program)).then(|| {
            format!(
                "its process says that it runs {}, and the plan has {}: name that file itself",
                self.program,
                planned.program.display()
            )
        })
    }
}

/// Whether a runtime that says that it is the file `said` is the one at `path`.
fn is_same_file(path: &Path, said: &str) -> bool {
    // What was replaced while it ran is still what was started.
    let said = said.trim_end_matches(" (deleted)");
    match (std::fs::canonicalize(path), std::fs::canonicalize(said)) {
        (Ok(path), Ok(said)) => path == said,
        _ => {
            // Runtimes write what they cannot represent as question marks, or as the sign that
            // stands for it.
            let plain = |text: &str| -> String {
                let mut plain = text.to_owned();
                plain.retain(|c| c.is_ascii() && c != '?');
                plain
            };
            plain(&path.to_string_lossy()) == plain(said)
        }
    }
}

/// Asks the runtime that `path` starts which one it is and where it lies, and that file, in another
/// directory, the same. What comes back can be run from anywhere. `ask` runs the command that it is
/// given with its question, and reads the answer.
fn located(
    path: &Path,
    how: &str,
    ask: &dyn Fn(Command) -> Result<Installation, String>,
) -> Result<Installation, String> {
    let here = ask(Command::new(path))?;
    let file = if here.program.is_absolute() && here.program.is_file() {
        here.program.clone()
    } else {
        // It cannot say it in letters that exist.
        on_path(path)
    };
    let elsewhere = std::env::temp_dir();
    let mut command = Command::new(&file);
    if elsewhere.is_dir() {
        command.current_dir(elsewhere);
    }
    let there = ask(command)?;
    if there.version != here.version {
        return Err(format!(
            "{} is {} here, and {} says that it is {}: name the runtime itself and not what \
             chooses it: {how}",
            path.display(),
            here.version,
            file.display(),
            there.version
        ));
    }
    Ok(Installation {
        program: file,
        ..there
    })
}

/// The file that a command of this name starts: a mere name is looked for on `PATH`, a path is
/// completed.
fn on_path(path: &Path) -> PathBuf {
    let complete = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    if path.components().count() > 1 || path.is_absolute() {
        return complete(path);
    }
    let directories = std::env::var_os("PATH").unwrap_or_default();
    let mut candidates = std::env::split_paths(&directories).map(|directory| directory.join(path));
    candidates
        .find(|candidate| candidate.is_file())
        .map_or_else(|| path.to_owned(), |found| complete(&found))
}

/// What one kind of runtime knows about itself.
trait Runtime: fmt::Debug + Sync {
    /// Its name, which peers that share it have in common.
    fn name(&self) -> &'static str;

    /// Its programs.
    fn programs(&self) -> &'static [Program];

    /// Looks for it. The sentence says what is missing and how to get it.
    fn find(&self, search: &Search) -> Result<Vec<Installation>, String>;

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

/// A program that does a workload's work on one runtime.
#[derive(Debug)]
struct Program {
    workload: &'static str,
    /// Where its source is, below `harness/peers`.
    path: &'static str,
    source: &'static str,
    /// How long a runtime that compiles while it runs repeats iteration 0, which is run once in any
    /// case.
    warmup: Duration,
}

/// A [`Program`]: the workload, the path of its source, and how long it warms up if it is to do so
/// for longer than one run.
macro_rules! program {
    ($workload:literal, $path:literal) => {
        program!($workload, $path, ::std::time::Duration::ZERO)
    };
    ($workload:literal, $path:literal, $warmup:expr) => {
        Program {
            workload: $workload,
            path: $path,
            source: include_str!(concat!("../../../peers/", $path)),
            warmup: $warmup,
        }
    };
}
use program;

impl Program {
    /// The name of its source.
    fn file(&self) -> &'static str {
        self.path
            .rsplit_once('/')
            .map_or(self.path, |(_, file)| file)
    }

    /// The name of its source without the ending.
    fn stem(&self) -> &'static str {
        let file = self.file();
        file.rsplit_once('.').map_or(file, |(stem, _)| stem)
    }

    /// Writes its source into `directory`.
    fn write(&self, directory: &Path) -> Result<(), String> {
        write(&directory.join(self.file()), self.source)
    }
}

/// Writes a source file. The sentence says where there was no room for it, and what to do.
fn write(path: &Path, text: &str) -> Result<(), String> {
    std::fs::write(path, text).map_err(|error| no_room(path, &error))
}

/// That something temporary cannot be written.
fn no_room(path: &Path, error: &io::Error) -> String {
    format!(
        "cannot write {}: {error}; name a directory with room for temporary files in TMPDIR",
        path.display()
    )
}

/// Follows one process from iteration to iteration.
trait Observer {
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
struct Observed {
    events: EventLog,
    collections: u64,
    /// The most it has counted against its heap size so far.
    peak_heap_bytes: u64,
    /// That the process's resident size, as the system gives it, is not what it takes.
    resident_is_wrong: bool,
}

/// A peer that is on this machine.
#[derive(Clone, Debug)]
pub struct Found {
    description: &'static Description,
    installation: Installation,
    /// What tells it from others of its name: the version, or the place if that is the same.
    distinction: Option<String>,
    /// Where its programs are, once they are built.
    directory: PathBuf,
    /// What that lies in, and is removed with the last peer.
    root: Option<Arc<TempDir>>,
}

impl Found {
    /// What it is.
    pub fn description(&self) -> &'static Description {
        self.description
    }

    /// What rows say about it.
    pub fn environment(&self) -> environment::Peer {
        environment::Peer {
            version: self.installation.version.clone(),
            program: self.installation.program.display().to_string(),
            moving: self.description.moving,
            confirmed: false,
            details: BTreeMap::new(),
            cleared: outside::cleared_for(self.description.runtime.name()),
        }
    }

    /// Whether it has a program for this workload.
    pub fn knows(&self, workload: &str) -> bool {
        self.program(workload).is_some()
    }

    fn program(&self, workload: &str) -> Option<&'static Program> {
        let mut programs = self.description.runtime.programs().iter();
        programs.find(|program| program.workload == workload)
    }

    /// What tells its rows from those of another installation.
    pub fn options(&self) -> BTreeMap<String, String> {
        // The version as well: another one may lie in the same place when an interrupted run is
        // gone on with.
        let program = self.installation.program.display().to_string();
        let version = self.installation.version.clone();
        BTreeMap::from([
            ("program".to_owned(), program),
            ("version".to_owned(), version),
        ])
    }

    /// Its name, and what tells it from others of that name if there are any.
    pub fn label(&self) -> String {
        match &self.distinction {
            Some(distinction) => format!("{}:{distinction}", self.description.name),
            None => self.description.name.to_owned(),
        }
    }
}

/// Looks for every peer, each runtime once. Costs a few processes for each. The sentence says what
/// is missing and how to get it.
pub fn survey(search: &Search) -> Vec<(&'static Description, Result<Vec<Installation>, String>)> {
    let mut known = BTreeMap::new();
    let found = PEERS.iter().map(|description| {
        let runtime = description.runtime;
        let installations = known
            .entry(runtime.name())
            .or_insert_with(|| runtime.find(search))
            .clone();
        let able = installations.and_then(|installations| {
            let (able, reasons) = supporting(description, &installations);
            if able.is_empty() {
                return Err(reasons.join("; "));
            }
            Ok(able)
        });
        (description, able)
    });
    found.collect()
}

/// The installations that have this peer's collector, and why the others have not.
fn supporting(
    description: &Description,
    installations: &[Installation],
) -> (Vec<Installation>, Vec<String>) {
    let mut able = Vec::new();
    let mut reasons = Vec::new();
    for installation in installations {
        match description
            .runtime
            .supports(description.variant, installation)
        {
            Ok(()) => able.push(installation.clone()),
            Err(reason) => reasons.push(format!("{} {reason}", installation.version)),
        }
    }
    (able, reasons)
}

/// The chosen peers, as far as they are on this machine, in the order of their choice, and a line
/// for each runtime that is not.
///
/// # Errors
///
/// A sentence, if there is no peer of a name, or a place that was named has no runtime.
pub fn choose(names: &[String], search: &Search) -> Result<(Vec<Found>, Vec<String>), String> {
    let descriptions = names
        .iter()
        .map(|name| describe(name))
        .collect::<Result<Vec<_>, _>>()?;
    let mut known: Vec<(&str, Result<Vec<Installation>, String>)> = Vec::new();
    let mut found = Vec::new();
    let mut notes = Vec::new();
    for description in descriptions {
        let runtime = description.runtime;
        let at = known.iter().position(|(name, _)| *name == runtime.name());
        let at = at.unwrap_or_else(|| {
            known.push((runtime.name(), runtime.find(search)));
            known.len() - 1
        });
        let installations = known[at].1.as_deref().unwrap_or_default();
        let (able, reasons) = supporting(description, installations);
        let name = description.name;
        notes.extend(
            reasons
                .iter()
                .map(|reason| format!("no {name} here: {reason}")),
        );
        for installation in &able {
            found.push(Found {
                description,
                installation: installation.clone(),
                distinction: distinction(installation, installations),
                directory: PathBuf::new(),
                root: None,
            });
        }
    }
    for (name, result) in known {
        if let Err(reason) = result {
            // What was named and is not there is a slip of the hand; what is merely not installed
            // is a fact.
            let named = match name {
                hotspot::NAME => &search.java,
                cpython::NAME => &search.python,
                _ => &Vec::new(),
            };
            if !named.is_empty() {
                return Err(reason);
            }
            notes.push(format!("no {name} here: {reason}"));
        }
    }
    Ok((found, notes))
}

/// A line for each runtime of these peers for which the environment had settings that are not
/// passed on to it.
pub fn cleared(found: &[Found]) -> Vec<String> {
    let runtimes: std::collections::BTreeSet<&str> = found
        .iter()
        .map(|peer| peer.description.runtime.name())
        .collect();
    let lines = runtimes.into_iter().filter_map(|runtime| {
        let names = outside::cleared_for(runtime);
        (!names.is_empty()).then(|| not_passed_on(runtime, &names))
    });
    lines.collect()
}

/// That settings are set, and not passed on.
pub(crate) fn not_passed_on(runtime: &str, names: &[String]) -> String {
    let are = if names.len() == 1 { "is" } else { "are" };
    format!(
        "{} {are} set from outside, and not passed on to {runtime}",
        names.join(", ")
    )
}

/// What tells one installation from the others.
fn distinction(one: &Installation, all: &[Installation]) -> Option<String> {
    let version = &one.short_version;
    match all
        .iter()
        .filter(|other| other.short_version == *version)
        .count()
    {
        _ if all.len() < 2 => None,
        1 => Some(version.clone()),
        _ => Some(one.program.display().to_string()),
    }
}

/// Builds the programs of these workloads for these peers, and drops the peers for which it cannot,
/// with a line each. The programs last as long as the peers.
///
/// # Errors
///
/// A sentence, if there is no room for temporary files.
pub fn build(found: &mut Vec<Found>, workloads: &[&str]) -> Result<Vec<String>, String> {
    if found.is_empty() {
        return Ok(Vec::new());
    }
    // Before there is anything to remove.
    interrupt::install();
    let root = tempfile::Builder::new()
        .prefix("harness-peers-")
        .tempdir()
        .map_err(|error| {
            let place = no_room(&std::env::temp_dir(), &error);
            format!("no directory for the peers' programs: {place}")
        })?;
    let root = Arc::new(root);
    let mut notes = Vec::new();
    let chosen: Vec<(&str, Installation)> = found
        .iter()
        .map(|peer| (peer.description.runtime.name(), peer.installation.clone()))
        .collect();
    let mut built: Vec<(&str, Installation, Option<PathBuf>)> = Vec::new();
    for peer in found.iter_mut() {
        let runtime = peer.description.runtime;
        let same = built.iter().find(|(name, installation, _)| {
            *name == runtime.name() && *installation == peer.installation
        });
        let directory = match same {
            Some((_, _, directory)) => directory.clone(),
            None => {
                let wanted: Vec<&Program> = runtime
                    .programs()
                    .iter()
                    .filter(|program| workloads.contains(&program.workload))
                    .collect();
                let directory = root
                    .path()
                    .join(format!("{}-{}", runtime.name(), built.len()));
                let result = std::fs::create_dir(&directory)
                    .map_err(|error| no_room(&directory, &error))
                    .and_then(|()| match wanted[..] {
                        [] => Ok(()),
                        _ => {
                            let others: Vec<Installation> = chosen
                                .iter()
                                .filter(|(name, _)| *name == runtime.name())
                                .map(|(_, other)| other.clone())
                                .filter(|other| *other != peer.installation)
                                .collect();
                            runtime.build(&peer.installation, &others, &wanted, &directory)
                        }
                    });
                let directory = match result {
                    Ok(()) => Some(directory),
                    Err(reason) => {
                        let name = runtime.name();
                        notes.push(format!(
                            "no {name} here: its programs cannot be built: {reason}"
                        ));
                        None
                    }
                };
                built.push((runtime.name(), peer.installation.clone(), directory.clone()));
                directory
            }
        };
        if let Some(directory) = directory {
            peer.directory = directory;
            peer.root = Some(Arc::clone(&root));
        }
    }
    found.retain(|peer| peer.root.is_some());
    Ok(notes)
}

/// A process of a peer, about to be started, and the reader of what it prints.
pub(crate) struct Session {
    pub(crate) command: Command,
    pub(crate) reader: Reader,
}

impl Found {
    /// How to carry out an invocation.
    pub(crate) fn session(&self, invocation: &Invocation, operation: &'static str) -> Session {
        let program = self
            .program(&invocation.workload)
            .expect("cells are made of workloads that it knows");
        let (mut command, observer) = self.description.runtime.command(
            self.description.variant,
            &self.installation,
            program,
            invocation,
            &self.directory,
        );
        for (name, value) in &invocation.parameters {
            command.arg(format!("{name}={value}"));
        }
        command
            .arg(format!("threads={}", invocation.threads))
            .arg(format!("seed={}", invocation.seed))
            .arg(format!("iterations={}", invocation.iterations))
            .arg("attended")
            .current_dir(&self.directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        outside::clear(&mut command);
        Session {
            command,
            reader: Reader {
                invocation: invocation.clone(),
                operation,
                observer,
                planned: Box::new(self.clone()),
            },
        }
    }
}

/// Turns the lines of one process into rows.
pub(crate) struct Reader {
    invocation: Invocation,
    /// What the workload calls one operation.
    operation: &'static str,
    observer: Box<dyn Observer>,
    /// What the process must say that it is.
    planned: Box<Found>,
}

impl Reader {
    /// The row of a line; `None` if the line is not one of ours, or not whole.
    pub(crate) fn row(&mut self, line: &str) -> Option<Row> {
        if self.observer.is_heap_full(line) {
            return Some(Row::without_metrics(
                &self.invocation,
                0,
                Status::HeapFull,
                line.to_owned(),
            ));
        }
        let (row, said) = match serde_json::from_str(line).ok()? {
            Line::HeapFull {
                iteration,
                heap_full,
                runtime,
            } => {
                let row =
                    Row::without_metrics(&self.invocation, iteration, Status::HeapFull, heap_full);
                if runtime.is_none() {
                    // There was no room even to say what it is.
                    return Some(row);
                }
                (row, runtime)
            }
            Line::Measured(measured) => {
                let threads = u32::try_from(self.invocation.threads).unwrap_or(u32::MAX);
                let observed = self.observer.observe(&measured, threads);
                (self.measured(&measured, observed), measured.runtime)
            }
            Line::Failed {
                iteration,
                failed,
                runtime,
            } => {
                let row =
                    Row::without_metrics(&self.invocation, iteration, Status::Crashed, failed);
                if runtime.is_none() {
                    return Some(row);
                }
                (row, runtime)
            }
        };
        Some(self.identified(row, said))
    }

    /// The row with what its process says that it is; void if that is not what was planned.
    fn identified(&self, row: Row, said: Option<Said>) -> Row {
        let Found {
            description,
            installation,
            ..
        } = &*self.planned;
        let reason = match &said {
            Some(said) => description
                .runtime
                .differs(description.variant, installation, said),
            None => Some("its process does not say which runtime it is".to_owned()),
        };
        let peer = self.planned.environment();
        let peer = match said {
            Some(said) => environment::Peer {
                version: said.full_version(),
                program: said.program,
                confirmed: true,
                details: said.details,
                ..peer
            },
            None => peer,
        };
        let mut row = Row {
            environment: Some(Environment {
                peer: Some(peer),
                ..Environment::default()
            }),
            ..row
        };
        if let Some(reason) = reason {
            row.status = Status::Void;
            row.message = Some(reason);
        }
        row
    }

    fn measured(&self, iteration: &Measured, observed: Observed) -> Row {
        let least = LEAST_OBJECT_BYTES * iteration.allocated_objects;
        let removed = iteration.allocated_bytes < least - least / LAG;
        Row {
            status: if removed { Status::Void } else { Status::Ok },
            message: removed.then(|| {
                format!(
                    "allocated {} bytes for {} objects: its compiler has removed some",
                    iteration.allocated_bytes, iteration.allocated_objects
                )
            }),
            metrics: Some(Metrics {
                checksum: iteration.checksum.clone(),
                operations: iteration.operations,
                operation: self.operation.to_owned(),
                allocated_objects: iteration.allocated_objects,
                allocated_payload_bytes: iteration.allocated_payload_bytes,
                wall_ns: iteration.wall_ns,
                cpu_ns: iteration.cpu_ns,
                wall_ns_per_operation: iteration.wall_ns as f64
                    / iteration.operations.max(1) as f64,
                collections: observed.collections,
                peak_heap_bytes: observed.peak_heap_bytes,
                peak_resident_bytes: iteration
                    .resident_bytes
                    .filter(|_| !observed.resident_is_wrong),
                observations: iteration.observations.clone(),
                reclamation_delay: Distribution::of(iteration.delays_ns.iter().copied()),
                ..invocation::of_events(
                    &Timeline::of(&observed.events),
                    iteration.from_ns..iteration.until_ns.max(iteration.from_ns),
                    self.invocation.threads,
                )
            }),
            ..Row::without_metrics(
                &self.invocation,
                iteration.iteration,
                Status::Ok,
                String::new(),
            )
        }
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
    /// It did not fit, and the process ends.
    HeapFull {
        iteration: u32,
        heap_full: String,
        #[serde(default)]
        runtime: Option<Said>,
    },
    /// The system has refused it something, and the process ends.
    Failed {
        iteration: u32,
        failed: String,
        #[serde(default)]
        runtime: Option<Said>,
    },
    /// It was measured.
    Measured(Measured),
}

/// A measured iteration, as its program prints it.
#[derive(Debug, Deserialize)]
struct Measured {
    iteration: u32,
    checksum: String,
    operations: u64,
    allocated_objects: u64,
    allocated_payload_bytes: u64,
    /// What the runtime says it allocated.
    allocated_bytes: u64,
    from_ns: u64,
    until_ns: u64,
    wall_ns: u64,
    cpu_ns: u64,
    /// Counted against the heap size: now, or at its highest so far.
    heap_bytes: u64,
    /// The largest resident size so far.
    resident_bytes: Option<u64>,
    /// `[requested, stopped, resumed, finished]`, from runtimes whose programs record their stops
    /// themselves.
    #[serde(default)]
    pauses: Vec<[u64; 4]>,
    #[serde(default)]
    pauses_lost: u64,
    /// What the program saw on its way, by names that end in their units.
    #[serde(default)]
    observations: BTreeMap<String, u64>,
    /// How long each of the objects that it watched took from unreachable to reclaimed, in any
    /// order.
    #[serde(default)]
    delays_ns: Vec<u64>,
    /// Which runtime the process is. One that does not say is not believed.
    #[serde(default)]
    runtime: Option<Said>,
}

/// How long a runtime may take to say what it is, and a compiler for the programs. A machine that
/// does much else needs many times what an idle one does.
const PATIENCE: Duration = Duration::from_secs(300);

/// Runs a command to its end, with nothing on standard input, and without what the environment has
/// for runtimes.
fn run(command: &mut Command) -> io::Result<Output> {
    outside::clear(command);
    process::output(command, b"", PATIENCE)
}

/// The last line that a failed command wrote, on either stream.
fn last_words(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    let (errors, printed) = (text(&output.stderr), text(&output.stdout));
    let words = if errors.is_empty() { printed } else { errors };
    words.lines().last().unwrap_or("no reason given").to_owned()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::workload::Size;

    fn invocation() -> Invocation {
        Invocation {
            workload: "list".to_owned(),
            size: Size::Tiny,
            parameters: BTreeMap::new(),
            heap: "boehm".to_owned(),
            options: BTreeMap::new(),
            heap_bytes: 1 << 20,
            threads: 2,
            seed: 42,
            iterations: 1,
            invocation: 1,
        }
    }

    fn reader() -> Reader {
        Reader {
            invocation: invocation(),
            operation: "node",
            observer: Box::new(boehm::Recorded),
            planned: Box::new(Found {
                description: describe("cpython").unwrap(),
                installation: Installation {
                    version: "CPython 3.13.0".to_owned(),
                    short_version: "3.13.0".to_owned(),
                    program: "/no/such/python3".into(),
                },
                distinction: None,
                directory: PathBuf::new(),
                root: None,
            }),
        }
    }

    const LINE: &str = r#"{"runtime":{"name":"CPython","version":"3.13.0","program":"/no/such/python3"},"iteration":1,"checksum":"00ff","operations":10,"allocated_objects":4,"allocated_payload_bytes":64,
        "allocated_bytes":128,"from_ns":1000,"until_ns":3000,"wall_ns":2000,"cpu_ns":1900,"heap_bytes":4096,"resident_bytes":null,
        "pauses_lost":0,"pauses":[[1100,1110,1200,1300],[2000,2005,2050,2060]]}"#;

    #[test]
    fn a_line_becomes_a_row() {
        let row = reader().row(LINE).unwrap();
        assert_eq!((row.status, row.iteration), (Status::Ok, 1));
        let metrics = row.metrics.unwrap();
        assert_eq!(metrics.work(), ("00ff", 10, 4, 64));
        assert_eq!((metrics.wall_ns, metrics.collections), (2000, 2));
        assert_eq!(metrics.pauses.pause_count, 2);
        // From the request until the thread that collected goes on.
        assert_eq!(metrics.pauses.pause_max_ns, Some(200));
        assert_eq!(metrics.pauses.time_to_safepoint_max_ns, Some(10));
        assert_eq!(metrics.pauses.stopped_ns, 200 + 90 + 60 + 45);
        assert!((metrics.stopped_share - 395.0 / 4000.0).abs() < 1e-12);
        assert_eq!(metrics.wall_ns_per_operation, 200.0);
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
    fn one_file_has_many_names() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        std::fs::write(path("java"), "").unwrap();
        std::fs::write(path("other"), "").unwrap();
        std::os::unix::fs::symlink(path("java"), path("link")).unwrap();
        let said = |name: &str| path(name).display().to_string();
        assert!(is_same_file(&path("link"), &said("java")));
        assert!(is_same_file(&path("java"), &(said("java") + " (deleted)")));
        assert!(!is_same_file(&path("java"), &said("other")));
        // Neither is there any more, or can be written as its runtime writes.
        assert!(is_same_file(Path::new("/no/j\u{e4}va"), "/no/j?va"));
        assert!(is_same_file(Path::new("/no/j\u{e4}va"), "/no/j\u{fffd}va"));
        assert!(!is_same_file(Path::new("/no/java"), "/no/other"));
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

    #[test]
    fn each_runtime_has_one_program_for_a_workload_and_names_its_files_apart() {
        for description in PEERS {
            let programs = description.runtime.programs();
            let workloads: BTreeSet<_> = programs.iter().map(|program| program.workload).collect();
            let files: BTreeSet<_> = programs.iter().map(Program::file).collect();
            let stems: BTreeSet<_> = programs.iter().map(Program::stem).collect();
            for names in [workloads, files, stems] {
                assert_eq!(names.len(), programs.len(), "{names:?}");
            }
        }
    }

    #[test]
    fn installations_of_one_kind_are_told_apart() {
        let installation = |version: &str, program: &str| Installation {
            version: format!("VM {version}"),
            short_version: version.to_owned(),
            program: program.into(),
        };
        let all = [
            installation("17.0.15", "/a/java"),
            installation("21.0.2", "/b/java"),
            installation("21.0.2", "/c/java"),
        ];
        let distinctions: Vec<_> = all.iter().map(|one| distinction(one, &all)).collect();
        let expected = ["17.0.15", "/b/java", "/c/java"].map(|text| Some(text.to_owned()));
        assert_eq!(distinctions, expected);
        assert_eq!(distinction(&all[0], &all[..1]), None);
    }

    #[test]
    fn unknown_peers_are_met_with_the_nearest() {
        let message = choose(&["hotspot-seral".to_owned()], &Search::default()).unwrap_err();
        assert!(
            message.contains("did you mean 'hotspot-serial'"),
            "{message}"
        );
    }

    #[test]
    fn a_virtual_machine_that_was_named_must_be_there() {
        let search = Search {
            java: vec!["/no/such/jdk".into()],
            ..Search::default()
        };
        let message = choose(&["hotspot-g1".to_owned()], &search).unwrap_err();
        assert!(message.contains("/no/such/jdk"), "{message}");
    }

    #[test]
    fn an_interpreter_that_was_named_must_be_there() {
        let search = Search {
            python: vec!["/no/such/python".into()],
            ..Search::default()
        };
        let message = choose(&["cpython".to_owned()], &search).unwrap_err();
        assert!(
            message.contains("/no/such/python") && message.contains("--python PATH"),
            "{message}"
        );
    }
}
