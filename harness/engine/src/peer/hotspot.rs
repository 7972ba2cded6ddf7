//! Java on HotSpot, with one of its collectors.
//!
//! The heap is fixed by `-Xms` and `-Xmx`. Programs are compiled by the virtual machine's own
//! compiler (the module `jdk.compiler`), so that each one named by `--java` runs what it compiled
//! itself. One without a compiler (a runtime environment, as opposed to a development kit) runs
//! what another one's has compiled: that of an installation named besides, or any `javac` that is
//! found. What it makes is for the older of the two versions (`--release`): the language is the
//! same, and the optimising compiler, which makes the code that is measured, is the virtual
//! machine's own in any case.
//!
//! # Compact object headers
//!
//! From version 25 on (24: as an experiment) headers can be 8 bytes instead of 12 with compressed
//! class pointers, which changes what fits into a heap as much as another collector does: each
//! collector is a second peer with them, `-compact`. The processes say which flags are in force,
//! since a virtual machine may drop some of those that it was given, with a warning that nobody
//! reads.
//!
//! # Pauses
//!
//! They are from the unified log, `-Xlog:safepoint,gc`, whose lines are stamped with the clock that
//! the program reads too (`timenanos` is `System.nanoTime`): what lies between the ends of an
//! iteration belongs to it. A line is written when the threads have been let go, and says how long
//! it took to stop them and how long they stood:
//!
//! ```text
//! [13049942031875ns][safepoint] Safepoint "GenCollectForAllocation", Time since last: 104200882 ns, Reaching safepoint: 3567 ns, Cleanup: 79779 ns, At safepoint: 19225209 ns, Total: 19308555 ns
//! [13049942031875ns][safepoint] Total time for which application threads were stopped: 0.0106340 seconds, Stopping threads took: 0.0000514 seconds
//! [13049941980038ns][gc       ] GC(0) Pause Young (Allocation Failure) 17M->4M(61M) 19.165ms
//! ```
//!
//! The second form is that of versions 11 to 13. Every safepoint is a pause, whether it was for a
//! collection or for something else that the virtual machine wanted: whatever stops a mutator is
//! one. Handshakes with single threads, and the barriers of a collector that works concurrently,
//! are not in the log; their cost is in the throughput.
//!
//! # Collectors that work beside the program
//!
//! Their stops are short, and a thread that finds no memory waits for a whole collection to end:
//! who counted the stops alone would report what they are praised for and leave out what they are
//! paid with. The Z collector logs each such wait, and it is a pause of its thread:
//!
//! ```text
//! [36435088872723ns][gc       ] Allocation Stall (mutator-0) 3.988ms
//! [36435089125865ns][gc       ] Relocation Stall (mutator-1) 0.064ms
//! [36435090883716ns][gc       ] GC(15) Minor Collection (Allocation Rate) 22M(69%)->28M(88%) 0.009s
//! ```
//!
//! Shenandoah does not: it stops all threads when one finds no memory (a *degenerated* collection,
//! a safepoint like any other), but delays those that allocate faster than it collects (*pacing*,
//! which is the default) without a line for it. Its pauses are a lower bound; the time is in the
//! throughput, and the processors stand idle.
//!
//! A collection counts for the iteration in which it paused or ended. Where the Z collector is not
//! generational (before version 23), it maps its heap at three addresses, so that the system's
//! count of resident pages is of no use and is left out.
//!
//! Rejected: Epsilon, which never collects. It would be the baseline of what allocation alone
//! costs, but `System.gc()` does nothing on it either: each iteration would find what the last one
//! left, and only programs that allocate less than the heap in all their iterations would end. The
//! arena is that baseline here.
//!
//! # Workloads without a program
//!
//! `requests` and `poll`. The requests of the one arrive by a clock whose rate follows from the
//! capacity that each heap has just shown, and what counts is each one's latency, which programs do
//! not report. The other varies the distance between a thread's polls, which the compiler decides
//! here. Nor is there a program for either in the other languages.
//!
//! # Reading the log
//!
//! The log is read after each iteration, as far as its lines are whole. A safepoint of an explicit
//! collection lies between the end of an iteration and the line that reports it, so that everything
//! before has been written.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use super::{
    Installation, Measured, Observed, Observer, Program, Runtime, Said, Search, last_words,
    located, on_path, program, run, write,
};
use crate::invocation::Invocation;
use crate::measure::event::{Event, EventKind, EventLog};
use crate::workload::Size;

/// What it is called in messages.
pub(super) const NAME: &str = "hotspot";

/// How long the programs of workloads warm up: long enough for the optimising compiler to have been
/// through with the loops of all of them.
const WARMUP: Duration = Duration::from_secs(2);
/// How long one with a single small loop does.
const SHORT_WARMUP: Duration = Duration::from_secs(1);
/// How long one of an experiment does, whose forms are compared with each other: a few runs, as it
/// is one of many.
const BRIEF_WARMUP: Duration = Duration::from_millis(300);

const PROGRAMS: &[Program] = &[
    program!("gcbench", "java/GcBench.java", WARMUP),
    program!("binary-trees", "java/BinaryTrees.java", WARMUP),
    program!("list", "java/LinkedLists.java", WARMUP),
    program!("churn", "java/Churn.java", WARMUP),
    program!("rewire", "java/Rewire.java", WARMUP),
    program!("rings", "java/Rings.java", WARMUP),
    program!("quads", "java/Quads.java", WARMUP),
    program!("lru", "java/Lru.java", WARMUP),
    program!("sawtooth", "java/Sawtooth.java", WARMUP),
    program!("shared-graph", "java/SharedGraph.java", WARMUP),
    program!("countdown", "java/Countdown.java", SHORT_WARMUP),
    program!("cpu-bound", "java/CpuBound.java", BRIEF_WARMUP),
    program!("native", "java/Native.java", BRIEF_WARMUP),
    program!("switch-interval", "java/SwitchInterval.java"),
    program!("contention", "java/Contention.java"),
    program!("convoy", "java/Convoy.java"),
    program!("lost-update", "java/LostUpdate.java"),
    program!("pipeline", "java/Pipeline.java"),
    program!("subprocesses", "java/Subprocesses.java"),
    program!("async", "java/Async.java"),
    program!("replacement", "java/Replacement.java", Duration::ZERO),
    program!("cycles", "java/Cycles.java", Duration::ZERO),
    program!(
        "reference-changes",
        "java/ReferenceChanges.java",
        SHORT_WARMUP
    ),
];
/// What they share.
const SHARED: &str = include_str!("../../../peers/java/Peer.java");

/// The first version whose language and log are understood.
const OLDEST: u32 = 11;

/// The version from which on the Z collector is generational unless it is told otherwise (JEP 474),
/// and maps its heap once.
const GENERATIONAL_Z: u32 = 23;

/// The name of the log, in the directory of the programs.
const LOG: &str = "stops.log";

/// How to get one.
const HOW: &str = "install a JDK (Debian: openjdk-17-jdk-headless) or name one with --java PATH";

/// See the [module documentation](self).
#[derive(Debug)]
pub(super) struct Hotspot;

impl Runtime for Hotspot {
    fn name(&self) -> &'static str {
        NAME
    }

    fn programs(&self) -> &'static [Program] {
        PROGRAMS
    }

    fn find(&self, search: &Search) -> Result<Vec<Installation>, String> {
        if search.java.is_empty() {
            return Ok(vec![installation(Path::new("java"))?]);
        }
        search
            .java
            .iter()
            .map(|path| {
                installation(&if path.is_dir() {
                    path.join("bin/java")
                } else {
                    path.clone()
                })
            })
            .collect()
    }

    fn supports(&self, variant: &str, installation: &Installation) -> Result<(), String> {
        let mut command = Command::new(&installation.program);
        command
            .args(variant.split(' '))
            .args(["-XX:+PrintFlagsFinal", "-version"]);
        let output = run(&mut command).map_err(|error| format!("cannot be run ({error})"))?;
        let wanted = variant.rsplit(' ').next().unwrap_or(variant);
        if !output.status.success() {
            return Err(format!(
                "does not have {wanted} ({})",
                refusal(&output).unwrap_or_else(|| last_words(&output))
            ));
        }
        let final_flags = String::from_utf8_lossy(&output.stdout);
        let dropped = flags(variant).find(|flag| is_off(&final_flags, flag));
        dropped.map_or(Ok(()), |flag| {
            Err(format!("takes -XX:+{flag} and does not use it here"))
        })
    }

    fn differs(&self, variant: &str, installation: &Installation, said: &Said) -> Option<String> {
        let missing = || {
            let in_force = said.details.get("flags").map_or("", String::as_str);
            let flag = flags(variant).find(|flag| !in_force.split(' ').any(|one| one == *flag))?;
            Some(format!(
                "its process runs without -XX:+{flag}, which it was given; in force is: {in_force}"
            ))
        };
        said.differs_from(installation)
            .or_else(|| said.lies_elsewhere(installation))
            .or_else(missing)
    }

    fn build(
        &self,
        installation: &Installation,
        others: &[Installation],
        programs: &[&Program],
        directory: &Path,
    ) -> Result<(), String> {
        let failed = |error: io::Error| error.to_string();
        write(&directory.join("Peer.java"), SHARED)?;
        let mut sources = vec!["Peer.java"];
        for program in programs {
            program.write(directory)?;
            sources.push(program.file());
        }
        let compile = |compiler: &Compiler| {
            let mut compile = compiler.command();
            compile.args(["-nowarn", "-d", "."]);
            if let Some(release) = compiler.release {
                compile.arg("--release").arg(release.to_string());
            }
            compile.args(&sources).current_dir(directory);
            let output = run(&mut compile).map_err(failed)?;
            if output.status.success() {
                return Ok(());
            }
            Err(refusal_of_compiler(&output))
        };
        let own = Compiler {
            program: installation.program.clone(),
            is_java: true,
            release: None,
        };
        match compile(&own) {
            Err(words) if words.contains("jdk.compiler") => {}
            result => return result,
        }
        // In the order in which users come to think of them.
        let mut reasons = Vec::new();
        for compiler in Compiler::besides(installation, others) {
            match compile(&compiler) {
                Ok(()) => return Ok(()),
                Err(words) => reasons.push(format!("{}: {words}", compiler.program.display())),
            }
        }
        let reasons: String = reasons.iter().map(|reason| format!("; {reason}")).collect();
        Err(format!(
            "{} has no compiler, and there is no javac that could do without it: install a JDK \
             besides (Debian: openjdk-17-jdk-headless), or name one with a second --java \
             PATH{reasons}",
            installation.program.display()
        ))
    }

    fn command(
        &self,
        variant: &str,
        installation: &Installation,
        program: &Program,
        invocation: &Invocation,
        directory: &Path,
    ) -> (Command, Box<dyn Observer>) {
        // Invocations follow each other; what the last one wrote is not this one's.
        let path = directory.join(LOG);
        let _ = fs::remove_file(&path);
        let kibibytes = invocation.heap_bytes / 1024;
        let warmup = match invocation.size {
            Size::Tiny => Duration::ZERO,
            _ => program.warmup,
        };
        let mut command = Command::new(&installation.program);
        command
            .args(variant.split(' '))
            .arg(format!("-Xms{kibibytes}k"))
            .arg(format!("-Xmx{kibibytes}k"))
            // Without its statistics file in the directory for temporary files, whose writing back
            // can stop the virtual machine.
            .arg("-XX:-UsePerfData")
            // Names are relative to the working directory: a colon in its path would end an
            // option's value.
            .arg(format!(
                "-Xlog:safepoint,gc:file={LOG}:timenanos,tags:filecount=0"
            ))
            .args(["-cp", ".", program.stem()])
            .arg(format!("warmup-milliseconds={}", warmup.as_millis()));
        let log = Log {
            path,
            maps_thrice: variant.contains("UseZGC")
                && feature(&installation.short_version)
                    .is_none_or(|feature| feature < GENERATIONAL_Z),
            ..Log::default()
        };
        (command, Box::new(log))
    }
}

/// The flags that a variant turns on, without those that only allow others.
fn flags(variant: &str) -> impl Iterator<Item = &str> {
    variant
        .split(' ')
        .filter_map(|option| option.strip_prefix("-XX:+"))
        .filter(|flag| !flag.starts_with("Unlock"))
}

/// Whether a flag is said to be off in the list of `-XX:+PrintFlagsFinal`, whose lines are `bool
/// Name = value {kind} {origin}`.
fn is_off(list: &str, flag: &str) -> bool {
    list.lines().any(|line| {
        let mut words = line.split_whitespace().skip(1);
        words.next() == Some(flag) && words.nth(1) == Some("false")
    })
}

/// The line that says which option a virtual machine does not take: it comes first, before two that
/// say that none was started.
fn refusal(output: &Output) -> Option<String> {
    let text = [&output.stderr, &output.stdout].map(|bytes| String::from_utf8_lossy(bytes));
    let mut lines = text.iter().flat_map(|text| text.lines());
    lines
        .find(|line| line.contains("VM option '") || line.starts_with("Option -XX"))
        .map(str::to_owned)
}

/// The line that says most about why a compiler has failed: its first error.
fn refusal_of_compiler(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr);
    let mut lines = text.lines();
    lines
        .find(|line| line.contains("error:") || line.contains("jdk.compiler"))
        .map_or_else(|| last_words(output), str::to_owned)
}

/// A compiler of Java.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Compiler {
    /// `javac`, or a virtual machine that has the compiler as a module.
    program: PathBuf,
    is_java: bool,
    /// The version to compile for; `None` for its own.
    release: Option<u32>,
}

impl Compiler {
    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        if self.is_java {
            command.args(["-m", "jdk.compiler/com.sun.tools.javac.Main"]);
        }
        command
    }

    /// Those that may compile for a virtual machine that has none: of the installations that were
    /// chosen besides, of `JAVA_HOME`, on `PATH`, and where Linux distributions put theirs. Each
    /// for the older of the two versions; those too old for that are left out.
    fn besides(installation: &Installation, others: &[Installation]) -> Vec<Self> {
        let others = others.iter().map(|other| (other.program.clone(), true));
        let home = std::env::var_os("JAVA_HOME").map(|home| PathBuf::from(home).join("bin/javac"));
        let mut packaged: Vec<PathBuf> = fs::read_dir("/usr/lib/jvm")
            .map(|entries| {
                let entries = entries.filter_map(Result::ok);
                entries
                    .map(|entry| entry.path().join("bin/javac"))
                    .collect()
            })
            .unwrap_or_default();
        packaged.sort();
        let commands = home.into_iter().chain([on_path(Path::new("javac"))]);
        let commands = commands.chain(packaged).map(|program| (program, false));
        others
            .chain(commands)
            .filter(|(program, _)| program.is_file())
            .filter_map(|(program, is_java)| {
                let mut compiler = Self {
                    program,
                    is_java,
                    release: None,
                };
                let output = run(compiler.command().arg("-version")).ok()?;
                // Old versions write it to the other stream.
                let text = [output.stdout, output.stderr].concat();
                let text = String::from_utf8_lossy(&text);
                let version = text.lines().find_map(|line| line.strip_prefix("javac "))?;
                let own = feature(version).filter(|own| *own >= OLDEST)?;
                let target = feature(&installation.short_version)?;
                compiler.release = (own != target).then_some(own.min(target));
                Some(compiler)
            })
            .collect()
    }
}

/// Asks the program at `path` what it is.
fn installation(path: &Path) -> Result<Installation, String> {
    let name = path.display();
    located(path, HOW, &|mut command| {
        let output = run(command.args(["-XshowSettings:properties", "-version"]))
            .map_err(|error| format!("{name} cannot be run ({error}): {HOW}"))?;
        let text = String::from_utf8_lossy(&output.stderr);
        if !output.status.success() {
            return Err(format!(
                "{name} does not work ({}): {HOW}",
                last_words(&output)
            ));
        }
        let properties = Properties::read(&text)
            .ok_or_else(|| format!("{name} does not say its version: {HOW}"))?;
        if !properties.is_hotspot() {
            return Err(format!(
                "{name} is {} and not HotSpot: {HOW}",
                properties.name
            ));
        }
        if properties.feature().is_none_or(|feature| feature < OLDEST) {
            return Err(format!(
                "{name} is version {}, and {OLDEST} is the oldest that will do: {HOW}",
                properties.version
            ));
        }
        Ok(Installation {
            version: format!("{} {}", properties.name, properties.build),
            program: properties.home.join("bin/java"),
            short_version: properties.version,
        })
    })
}

/// What a virtual machine says of itself.
#[derive(Debug, PartialEq, Eq)]
struct Properties {
    /// The virtual machine's name.
    name: String,
    /// Its version with the build.
    build: String,
    /// The version of the platform, such as `17.0.15`.
    version: String,
    /// Where it lies; empty if it does not say.
    home: PathBuf,
}

impl Properties {
    fn read(text: &str) -> Option<Self> {
        let property = |name: &str| {
            text.lines().find_map(|line| {
                let (key, value) = line.split_once('=')?;
                (key.trim() == name).then(|| value.trim().to_owned())
            })
        };
        Some(Self {
            name: property("java.vm.name")?,
            build: property("java.vm.version")?,
            version: property("java.version")?,
            home: property("java.home").unwrap_or_default().into(),
        })
    }

    fn is_hotspot(&self) -> bool {
        // OpenJDK's and Oracle's builds, and those of other vendors, which keep the names; Eclipse
        // OpenJ9 and GraalVM's native images have others.
        self.name.contains("HotSpot") || self.name.starts_with("OpenJDK ")
    }

    fn feature(&self) -> Option<u32> {
        feature(&self.version)
    }
}

/// The leading number of a version: 17 of `17.0.15`, 8 of `1.8.0_392`.
fn feature(version: &str) -> Option<u32> {
    let version = version.strip_prefix("1.").unwrap_or(version);
    let digits = version.split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok()
}

/// The log of one process, read as it grows.
#[derive(Debug, Default)]
struct Log {
    path: PathBuf,
    /// How far it has been read.
    offset: u64,
    peak_heap_bytes: u64,
    /// The collector maps each page of the heap at three addresses, and the system counts all of
    /// them as resident.
    maps_thrice: bool,
}

impl Log {
    /// The lines that have been added and are whole.
    fn lines(&mut self) -> io::Result<String> {
        let mut file = File::open(&self.path)?;
        file.seek(SeekFrom::Start(self.offset))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let whole = bytes
            .iter()
            .rposition(|&byte| byte == b'\n')
            .map_or(0, |at| at + 1);
        bytes.truncate(whole);
        self.offset += whole as u64;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}

impl Observer for Log {
    fn is_heap_full(&self, line: &str) -> bool {
        TOO_SMALL.iter().any(|words| line.contains(words))
    }

    fn observe(&mut self, iteration: &Measured, threads: u32) -> Observed {
        let mut observed = match self.lines() {
            Ok(lines) => observed(&lines, iteration, threads),
            // Without its log, an iteration has no pauses that anybody could know of: not none, but
            // at least one that is lost.
            Err(_) => Observed {
                events: EventLog {
                    events: Vec::new(),
                    lost: 1,
                },
                ..Observed::default()
            },
        };
        self.peak_heap_bytes = self
            .peak_heap_bytes
            .max(observed.peak_heap_bytes)
            .max(iteration.heap_bytes);
        observed.peak_heap_bytes = self.peak_heap_bytes;
        observed.resident_is_wrong = self.maps_thrice;
        observed
    }
}

/// What the virtual machine says on standard output if the heap is too small for itself: as its
/// last line, or where it says so to whoever starts it.
const TOO_SMALL: [&str; 5] = [
    "Too small maximum heap",
    "Too small initial heap",
    "GC triggered before VM initialization completed",
    // Z, before there is a program that could say it in a line of its own.
    "java.lang.OutOfMemoryError: Java heap space",
    // Shenandoah.
    "is too low to afford the minimum number of regions",
];

/// What these lines say about an iteration.
fn observed(lines: &str, iteration: &Measured, threads: u32) -> Observed {
    let mut observed = Observed::default();
    let mut collections = BTreeSet::new();
    let mut number = 0;
    for line in lines.lines().filter_map(Line::read) {
        if let Some(heap_bytes) = line.heap_bytes() {
            observed.peak_heap_bytes = observed.peak_heap_bytes.max(heap_bytes);
        }
        if let Some(collection) = line.collection()
            && line.is_within(iteration)
        {
            collections.insert(collection);
        }
        if let Some(wait) = line.wait(threads)
            && line.is_within(iteration)
        {
            observed.events.events.push(wait);
        }
        let Some(Stop {
            from,
            stopped,
            until,
        }) = line.stop()
        else {
            continue;
        };
        if until <= iteration.from_ns || from >= iteration.until_ns {
            continue;
        }
        number += 1;
        observed.events.events.push(Event {
            mutator: 0,
            from,
            until,
            kind: EventKind::Stop {
                stop: number,
                stopped,
            },
        });
        for mutator in 0..threads {
            observed.events.events.push(Event {
                mutator,
                from: stopped,
                until,
                kind: EventKind::Stopped { stop: number },
            });
        }
    }
    observed.collections = collections.len() as u64;
    observed
}

/// A line of the log.
#[derive(Clone, Copy, Debug)]
struct Line<'l> {
    /// When it was written, in nanoseconds.
    at: u64,
    tags: &'l str,
    text: &'l str,
}

/// One stop of all threads, in nanoseconds.
#[derive(Debug, PartialEq, Eq)]
struct Stop {
    from: u64,
    stopped: u64,
    until: u64,
}

impl<'l> Line<'l> {
    /// Takes `[13049942031875ns][safepoint] Text` apart.
    fn read(line: &'l str) -> Option<Self> {
        let (at, rest) = line.strip_prefix('[')?.split_once("ns][")?;
        let (tags, text) = rest.split_once(']')?;
        Some(Self {
            at: at.parse().ok()?,
            tags: tags.trim(),
            text: text.trim(),
        })
    }

    fn is_within(&self, iteration: &Measured) -> bool {
        (iteration.from_ns..iteration.until_ns).contains(&self.at)
    }

    /// The stop that it reports.
    fn stop(&self) -> Option<Stop> {
        if self.tags != "safepoint" {
            return None;
        }
        let (reaching, total) = if self.text.starts_with("Safepoint ") {
            let part = |name: &str| {
                let (_, rest) = self.text.split_once(name)?;
                rest.split_once(" ns")?.0.parse::<u64>().ok()
            };
            (part(", Reaching safepoint: ")?, part(", Total: ")?)
        } else {
            // Versions 11 to 13: seconds, and the whole first.
            let part = |name: &str| {
                let (_, rest) = self.text.split_once(name)?;
                let seconds: f64 = rest.split_once(" seconds")?.0.parse().ok()?;
                Some((seconds * 1e9).round() as u64)
            };
            let total = part("application threads were stopped: ")?;
            (part("Stopping threads took: ")?, total)
        };
        let from = self.at.checked_sub(total)?;
        Some(Stop {
            from,
            stopped: (from + reaching).min(self.at),
            until: self.at,
        })
    }

    /// A single thread's wait for a collector that works beside it, if it was one of the mutators:
    /// the program names them by their numbers.
    fn wait(&self, mutators: u32) -> Option<Event> {
        if self.tags != "gc" {
            return None;
        }
        let (kind, rest) = self.text.split_once(" Stall (mutator-")?;
        let (mutator, rest) = rest.split_once(") ")?;
        let mutator = mutator.parse().ok().filter(|&mutator| mutator < mutators)?;
        let milliseconds: f64 = rest.strip_suffix("ms")?.parse().ok()?;
        let nanoseconds = (milliseconds * 1e6).round() as u64;
        ["Allocation", "Relocation"]
            .contains(&kind)
            .then_some(Event {
                mutator,
                from: self.at.checked_sub(nanoseconds)?,
                until: self.at,
                kind: EventKind::CollectionWait,
            })
    }

    /// The number of the collection of which it reports a pause, or the end.
    fn collection(&self) -> Option<u64> {
        let (number, rest) = self.gc()?;
        let ended = rest.contains(" Collection (") && rest.contains("->");
        (rest.starts_with("Pause ") || ended).then_some(number)
    }

    /// How much of the heap was used when that collection, or a part of it, began or ended,
    /// whichever is more: `17M->4M(61M)`, `22M(69%)->28M(88%)`.
    fn heap_bytes(&self) -> Option<u64> {
        let (_, rest) = self.gc()?;
        let (before, after) = rest.split_once("->")?;
        let before = before.rsplit(' ').next()?;
        Some(bytes(before)?.max(bytes(after)?))
    }

    /// Takes `GC(0) Text` apart.
    fn gc(&self) -> Option<(u64, &'l str)> {
        if self.tags != "gc" {
            return None;
        }
        let (number, rest) = self.text.strip_prefix("GC(")?.split_once(") ")?;
        Some((number.parse().ok()?, rest))
    }
}

/// A size such as `17M`, whatever follows it in brackets.
fn bytes(text: &str) -> Option<u64> {
    let size = text.split('(').next()?;
    let digits = size.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let shift = match &size[digits.len()..] {
        "B" => 0,
        "K" => 10,
        "M" => 20,
        "G" => 30,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(1 << shift)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::measure::pause;
    use crate::measure::stall;
    use crate::measure::timeline::Timeline;

    const LINES: &str = r#"[500ns][gc] Using Serial
[1500ns][safepoint] Safepoint "ICBufferFull", Time since last: 1000 ns, Reaching safepoint: 100 ns, Cleanup: 50 ns, At safepoint: 50 ns, Total: 200 ns
[2900ns][gc       ] GC(7) Pause Young (Allocation Failure) 17M->4M(61M) 0.001ms
[3000ns][safepoint] Safepoint "GenCollectForAllocation", Time since last: 900 ns, Reaching safepoint: 10 ns, Cleanup: 20 ns, At safepoint: 570 ns, Total: 600 ns
[9000ns][gc       ] GC(8) Pause Full (System.gc()) 2048K->1M(61M) 0.001ms
[9100ns][safepoint] Safepoint "GenCollectForAllocation", Time since last: 900 ns, Reaching safepoint: 10 ns, Cleanup: 20 ns, At safepoint: 570 ns, Total: 600 ns
"#;

    fn iteration(from_ns: u64, until_ns: u64) -> Measured {
        Measured {
            iteration: 1,
            checksum: String::new(),
            operations: 1,
            allocated_objects: 1,
            allocated_payload_bytes: 8,
            allocated_bytes: 16,
            from_ns,
            until_ns,
            wall_ns: until_ns - from_ns,
            cpu_ns: 1,
            heap_bytes: 1 << 20,
            resident_bytes: None,
            pauses: Vec::new(),
            pauses_lost: 0,
            observations: BTreeMap::new(),
            delays_ns: Vec::new(),
            runtime: None,
        }
    }

    #[test]
    fn stops_between_the_ends_of_an_iteration_are_its_pauses() {
        let observed = observed(LINES, &iteration(1600, 8000), 2);
        assert_eq!(
            (observed.collections, observed.peak_heap_bytes),
            (1, 17 << 20)
        );
        let pauses = pause::of(&Timeline::of(&observed.events));
        assert_eq!((pauses.pause_count, pauses.pause_max_ns), (1, Some(600)));
        assert_eq!(pauses.time_to_safepoint_max_ns, Some(10));
        assert_eq!(pauses.stopped_ns, 2 * 590);
    }

    #[test]
    fn stops_that_are_not_collections_count() {
        let observed = observed(LINES, &iteration(1000, 8000), 1);
        assert_eq!(observed.collections, 1);
        assert_eq!(pause::of(&Timeline::of(&observed.events)).pause_count, 2);
    }

    /// As Z of version 25 writes: young collections, one of which ended in the iteration, and waits
    /// of threads, one of which is no mutator.
    const Z_LINES: &str = r#"[1200ns][gc       ] GC(15) Minor Collection (Allocation Rate)
[1500ns][safepoint] Safepoint "ZMarkStartYoung", Time since last: 900 ns, Reaching safepoint: 10 ns, At safepoint: 20 ns, Leaving safepoint: 5 ns, Total: 35 ns, Threads: 1 runnable, 20 total
[5000000ns][gc       ] Allocation Stall (mutator-1) 3.988ms
[5000100ns][gc       ] Relocation Stall (mutator-0) 0.064ms
[5000200ns][gc       ] Allocation Stall (main) 0.500ms
[5000300ns][gc       ] GC(15) Minor Collection (Allocation Rate) 22M(69%)->28M(88%) 0.004s
[5000400ns][gc       ] GC(16) Minor Collection (Allocation Rate)
"#;

    #[test]
    fn waits_for_a_collector_that_works_beside_the_program_are_pauses() {
        let observed = observed(Z_LINES, &iteration(1000, 6_000_000), 2);
        assert_eq!(
            (observed.collections, observed.peak_heap_bytes),
            (1, 28 << 20)
        );
        let pauses = pause::of(&Timeline::of(&observed.events));
        assert_eq!(
            (pauses.pause_count, pauses.pause_max_ns),
            (3, Some(3_988_000))
        );
        assert_eq!(pauses.stopped_ns, 3_988_000 + 64_000 + 2 * 25);
        assert_eq!(pauses.event_ns["collection-wait"], 3_988_000 + 64_000);
        let stalls = stall::of(&Timeline::of(&observed.events));
        assert_eq!(stalls["collection"].count, 2);
    }

    #[test]
    fn the_log_of_a_collector_without_generations_is_read() {
        let lines = "[1500ns][gc       ] GC(4) Garbage Collection (Allocation Stall) 32M(100%)->18M(56%)\n\
                     [1600ns][gc       ] GC(5) Pause Init Mark (unload classes) 0.003ms\n\
                     [1700ns][gc       ] GC(5) Concurrent cleanup 24M->23M(32M) 0.006ms\n\
                     [1800ns][gc       ] GC(5) Pause Final Mark (unload classes) 0.014ms\n";
        let observed = observed(lines, &iteration(1000, 8000), 1);
        assert_eq!(
            (observed.collections, observed.peak_heap_bytes),
            (2, 32 << 20)
        );
    }

    #[test]
    fn what_the_system_counts_thrice_is_left_out() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        fs::write(&path, Z_LINES).unwrap();
        for maps_thrice in [false, true] {
            let mut log = Log {
                path: path.clone(),
                maps_thrice,
                ..Log::default()
            };
            let observed = log.observe(&iteration(1000, 6000), 1);
            assert_eq!(observed.resident_is_wrong, maps_thrice);
        }
    }

    /// A virtual machine that lacks a collector costs a line, and its others are run.
    #[cfg(unix)]
    #[test]
    fn a_collector_that_was_left_out_is_said() {
        const JAVA: &str = r#"#!/bin/sh
case "$*" in *Shenandoah*) echo 'Option -XX:+UseShenandoahGC not supported'; exit 1;; esac
printf 'java.version = 21.0.2\njava.vm.name = OpenJDK 64-Bit Server VM\njava.vm.version = 21.0.2+13\n' >&2
"#;
        let directory = tempfile::tempdir().unwrap();
        let java = directory.path().join("java");
        // Written by another process: a file that this one had open could be open still in a child
        // of another test, and not be run.
        let write = r#"printf %s "$1" > "$0" && chmod +x "$0""#;
        let mut shell = Command::new("sh");
        shell.args(["-c", write]).arg(&java).arg(JAVA);
        assert!(shell.status().unwrap().success());
        let search = Search {
            java: vec![java],
            ..Search::default()
        };
        let names = ["hotspot-serial", "hotspot-shenandoah", "hotspot-z"];
        let (found, notes) = super::super::choose(&names.map(str::to_owned), &search).unwrap();
        let found: Vec<_> = found.iter().map(|peer| peer.description().name).collect();
        assert_eq!(found, ["hotspot-serial", "hotspot-z"]);
        let expected = "no hotspot-shenandoah here: OpenJDK 64-Bit Server VM 21.0.2+13 does not have -XX:+UseShenandoahGC \
                        (Option -XX:+UseShenandoahGC not supported)";
        assert_eq!(notes, [expected]);
    }

    #[test]
    fn the_log_of_older_versions_is_read() {
        let line = "[5000000000ns][safepoint] Total time for which application threads were stopped: 0.0106340 seconds, \
                    Stopping threads took: 0.0000514 seconds";
        let stop = Line::read(line).unwrap().stop().unwrap();
        let expected = Stop {
            from: 4_989_366_000,
            stopped: 4_989_417_400,
            until: 5_000_000_000,
        };
        assert_eq!(stop, expected);
    }

    #[test]
    fn lines_that_are_cut_short_or_strange_are_no_stops() {
        let line = LINES.lines().nth(3).unwrap();
        let whole = Line::read(line).and_then(|line| line.stop());
        assert!(whole.is_some());
        for length in 0..line.len() - "0 ns".len() {
            let stop = Line::read(&line[..length]).and_then(|line| line.stop());
            assert!(stop.is_none() || stop == whole, "{}", &line[..length]);
        }
        for strange in [
            "[5ns][safepoint] Safepoint \"X\", Reaching safepoint: 1 ns, Total: 600 ns",
            "[5ns][safepoint] Safepoint \"X\", Reaching safepoint: x ns, Total: 4 ns",
            "[5ns][gc] GC(x) Pause Full 1M->1M(1M) 1ms",
            "[5ns][gc] Allocation Stall (mutator-0) 1.000ms",
            "[5ns][gc] Allocation Stall (mutator-x) 0.001ms",
            "[5000ns][gc] Allocation Stall (mutator-0) 0.001s",
            "[5000ns][gc] Page Cache Stall (mutator-0) 0.001ms",
            "[0.5s][safepoint] Safepoint",
            "[][]",
            "",
        ] {
            let line = Line::read(strange);
            assert!(line.and_then(|line| line.stop()).is_none(), "{strange}");
            assert!(line.and_then(|line| line.wait(1)).is_none(), "{strange}");
            assert!(
                line.and_then(|line| line.collection()).is_none(),
                "{strange}"
            );
        }
    }

    #[test]
    fn the_log_is_read_as_it_grows_and_line_by_line() {
        let directory = tempfile::tempdir().unwrap();
        let mut log = Log {
            path: directory.path().join("log"),
            ..Log::default()
        };
        // No log at all: the pauses are not known to be none.
        assert_eq!(log.observe(&iteration(0, 10_000), 1).events.lost, 1);

        let middle = LINES.find("[3000ns]").unwrap() + 40;
        fs::write(&log.path, &LINES[..middle]).unwrap();
        let first = log.observe(&iteration(1000, 2950), 1);
        assert_eq!(first.events.events.len(), 2);
        assert_eq!(first.peak_heap_bytes, 17 << 20);
        fs::write(&log.path, LINES).unwrap();
        let second = log.observe(&iteration(2950, 8000), 1);
        assert_eq!(second.events.events.len(), 2);
        // The highest so far.
        assert_eq!(second.peak_heap_bytes, 17 << 20);
    }

    #[test]
    fn a_heap_too_small_for_the_virtual_machine_is_full() {
        let log = Log::default();
        assert!(log.is_heap_full("Too small maximum heap"));
        assert!(log.is_heap_full("java.lang.OutOfMemoryError: Java heap space"));
        assert!(log.is_heap_full(
            "Invalid -XX:ShenandoahMinRegionSize option: Max heap size (2048K) is too low to afford the minimum \
             number of regions (10) of minimum region size (256K)."
        ));
        assert!(!log.is_heap_full("Error occurred during initialization of VM"));
    }

    #[test]
    fn flags_that_are_dropped_are_seen() {
        let variant = "-XX:+UnlockExperimentalVMOptions -XX:+UseZGC -XX:+UseCompactObjectHeaders";
        let wanted: Vec<&str> = flags(variant).collect();
        assert_eq!(wanted, ["UseZGC", "UseCompactObjectHeaders"]);
        let list = "[Global flags]\n     bool UseZGC   = true    {product} {command line}\n     \
                    bool UseCompactObjectHeaders   = false {product lp64_product} {default}\n";
        assert!(is_off(list, "UseCompactObjectHeaders"));
        assert!(!is_off(list, "UseZGC") && !is_off(list, "UseCompact"));
        assert!(!is_off("", "UseZGC"));
    }

    #[test]
    fn a_process_without_its_flags_is_not_the_peer() {
        let planned = Installation {
            version: "OpenJDK 64-Bit Server VM 25+36".to_owned(),
            short_version: "25".to_owned(),
            program: "/no/such/bin/java".into(),
        };
        let said = |flags: &str| Said {
            name: "OpenJDK 64-Bit Server VM".to_owned(),
            version: "25+36".to_owned(),
            program: "/no/such/bin/java".to_owned(),
            details: BTreeMap::from([("flags".to_owned(), flags.to_owned())]),
        };
        let variant =
            "-XX:+UseSerialGC -XX:+UnlockExperimentalVMOptions -XX:+UseCompactObjectHeaders";
        let differs = |flags: &str| Hotspot.differs(variant, &planned, &said(flags));
        assert_eq!(differs("UseSerialGC UseCompactObjectHeaders"), None);
        let reason = differs("UseSerialGC").unwrap();
        assert!(reason.contains("UseCompactObjectHeaders"), "{reason}");
        let reason = differs("UseG1GC UseCompactObjectHeaders").unwrap();
        assert!(reason.contains("UseSerialGC"), "{reason}");
    }

    #[test]
    fn virtual_machines_say_what_they_are() {
        let text = "Property settings:\n    java.version = 17.0.15\n    java.version.date = 2025-04-15\n    \
                    java.vm.name = OpenJDK 64-Bit Server VM\n    java.vm.version = 17.0.15+6\n\nopenjdk version \"17.0.15\"\n";
        let properties = Properties::read(text).unwrap();
        assert!(properties.is_hotspot());
        assert_eq!(
            (properties.feature(), properties.build.as_str()),
            (Some(17), "17.0.15+6")
        );
        let old = Properties {
            name: "Java HotSpot(TM) 64-Bit Server VM".to_owned(),
            build: "25.392-b08".to_owned(),
            version: "1.8.0_392".to_owned(),
            home: PathBuf::new(),
        };
        assert_eq!((old.is_hotspot(), old.feature()), (true, Some(8)));
        let other = Properties {
            name: "Eclipse OpenJ9 VM".to_owned(),
            build: String::new(),
            version: "21-ea".to_owned(),
            home: PathBuf::new(),
        };
        assert_eq!((other.is_hotspot(), other.feature()), (false, Some(21)));
        assert_eq!(Properties::read("openjdk version \"17\""), None);
    }
}
