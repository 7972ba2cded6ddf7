//! Java on HotSpot, with one of its collectors.
//!
//! The heap is fixed by `-Xms` and `-Xmx`. Everything else is as the virtual machine chooses it:
//! tiered compilation, all processors for a parallel collector, compressed references, adaptive
//! generations. Its pages are not touched beforehand (`-XX:+AlwaysPreTouch`): warming up touches
//! those that are used, as it does on the heaps, and the resident size remains one.
//!
//! # Compact object headers
//!
//! From version 25 on (24: as an experiment) headers can be 8 bytes instead of 12 with compressed
//! class pointers, which changes what fits into a heap as much as another collector does: each
//! collector is a second peer with them, `-compact`. The processes say which flags are in force,
//! since a virtual machine may drop some of those that it was given, with a warning that nobody
//! reads.
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

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use super::installation::{Installation, Installations, Question, Said, last_words, run};
use super::program::{Program, program, write};
use super::reader::Observer;
use super::{Runtime, Search};
use crate::invocation::Invocation;
use crate::workload::Size;

mod compiler;
mod log;

/// How long programs warm up at least, and at most; in between, until they are steady. The rule is
/// that of `Warmup` in `harness/peers/java/Peer.java`: over the later half of the runs the
/// median has fallen by less than 5 %, and compilers were at work for less than 10 % of the time.
///
/// One rule for all programs: forms of an experiment are compared with each other, and one that is
/// cold where its neighbour is warm says something of the compiler. Rejected: a fixed time (what is
/// enough for a loop is not for a collector's barriers in a dozen of methods, and nothing would say
/// so), and a changepoint analysis (some processes never become steady, and the time-out would say
/// so instead of a row).
const WARMUP: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(10)];

const PROGRAMS: &[Program] = &[
    program!("gcbench", "java/GcBench.java"),
    program!("binary-trees", "java/BinaryTrees.java"),
    program!("list", "java/LinkedLists.java"),
    program!("churn", "java/Churn.java"),
    program!("rewire", "java/Rewire.java"),
    program!("rings", "java/Rings.java"),
    program!("quads", "java/Quads.java"),
    program!("lru", "java/Lru.java"),
    program!("sawtooth", "java/Sawtooth.java"),
    program!("shared-graph", "java/SharedGraph.java"),
    program!("countdown", "java/Countdown.java"),
    program!("countdown-in-turns", "java/Countdown.java"),
    program!("binary-trees-in-turns", "java/BinaryTrees.java"),
    program!("cpu-bound", "java/CpuBound.java"),
    program!("native", "java/Native.java"),
    program!("switch-interval", "java/SwitchInterval.java"),
    program!("contention", "java/Contention.java"),
    program!("convoy", "java/Convoy.java"),
    program!("lost-update", "java/LostUpdate.java"),
    program!("broken-links", "java/BrokenLinks.java"),
    program!("pipeline", "java/Pipeline.java"),
    program!("subprocesses", "java/Subprocesses.java"),
    program!("async", "java/Async.java"),
    program!("replacement", "java/Replacement.java"),
    program!("cycles", "java/Cycles.java"),
    program!("reference-changes", "java/ReferenceChanges.java"),
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

const QUESTION: Question = Question {
    programs: &["java"],
    arguments: &["-XshowSettings:properties", "-version"],
    read: |output| {
        let properties = Properties::read(&String::from_utf8_lossy(&output.stderr))
            .ok_or_else(|| "does not say its version".to_owned())?;
        properties.check()?;
        Ok(Installation {
            version: format!("{} {}", properties.name, properties.build),
            program: properties.home.join("bin/java"),
            short_version: properties.version,
        })
    },
    how: "install a JDK (Debian: openjdk-17-jdk-headless) or name one with --java PATH",
};

/// See the [module documentation](self).
#[derive(Debug)]
pub(super) struct Hotspot;

impl Runtime for Hotspot {
    fn name(&self) -> &'static str {
        "hotspot"
    }

    fn programs(&self) -> &'static [Program] {
        PROGRAMS
    }

    fn named<'s>(&self, search: &'s Search) -> &'s [PathBuf] {
        &search.java
    }

    fn find(&self, named: &[PathBuf]) -> Installations {
        QUESTION.find(named)
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
        write(&directory.join("Peer.java"), SHARED)?;
        let mut sources = vec!["Peer.java"];
        for program in programs {
            program.write(directory)?;
            sources.push(program.file());
        }
        compiler::compile(installation, others, &sources, directory)
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
        let [warmup, most] = match invocation.size {
            Size::Tiny => [Duration::ZERO; 2],
            _ => WARMUP,
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
            .arg(format!("warmup-milliseconds={}", warmup.as_millis()))
            .arg(format!("warmup-most-milliseconds={}", most.as_millis()));
        let feature = feature(&installation.short_version);
        let maps_thrice =
            variant.contains("UseZGC") && feature.is_none_or(|feature| feature < GENERATIONAL_Z);
        (command, Box::new(log::Log::new(path, maps_thrice)))
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

    /// What keeps it from being measured.
    fn check(&self) -> Result<(), String> {
        if !self.is_hotspot() {
            return Err(format!("is {} and not HotSpot", self.name));
        }
        if self.feature().is_none_or(|feature| feature < OLDEST) {
            return Err(format!(
                "is version {}, and {OLDEST} is the oldest that will do",
                self.version
            ));
        }
        Ok(())
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

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
