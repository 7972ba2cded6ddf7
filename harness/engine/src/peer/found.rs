//! The peers that are on this machine: looked for, their programs built, and started.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;

use tempfile::TempDir;

use super::program::{Program, no_room};
use super::reader::Reader;
use super::{Description, Installation, Installations, PEERS, Runtime, Said, Search, describe};
use crate::environment;
use crate::interrupt;
use crate::invocation::Invocation;
use crate::outside;

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
    /// One of these installations.
    pub(super) fn of(
        description: &'static Description,
        installation: Installation,
        all: &[Installation],
    ) -> Self {
        Self {
            description,
            distinction: distinction(&installation, all),
            installation,
            directory: PathBuf::new(),
            root: None,
        }
    }

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
        let Installation {
            program, version, ..
        } = &self.installation;
        BTreeMap::from([
            ("program".to_owned(), program.display().to_string()),
            // Another one may lie in the same place when an interrupted run is gone on with.
            ("version".to_owned(), version.clone()),
        ])
    }

    /// Its name, and what tells it from others of that name if there are any.
    pub fn label(&self) -> String {
        match &self.distinction {
            Some(distinction) => format!("{}:{distinction}", self.description.name),
            None => self.description.name.to_owned(),
        }
    }

    /// Whether it is this installation of this runtime.
    fn is_of(&self, (runtime, installation): &(&dyn Runtime, Installation)) -> bool {
        self.description.runtime.name() == runtime.name() && self.installation == *installation
    }

    /// Why what a process says of itself is not what was planned, if it is not.
    pub(super) fn differs(&self, said: &Said) -> Option<String> {
        let Description {
            runtime, variant, ..
        } = self.description;
        runtime.differs(variant, &self.installation, said)
    }

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

/// Runtimes that were looked for, each once, in the order in which they were asked for.
struct Looked<'s> {
    search: &'s Search,
    known: Vec<(&'static dyn Runtime, Installations)>,
}

impl<'s> Looked<'s> {
    fn new(search: &'s Search) -> Self {
        let known = Vec::new();
        Self { search, known }
    }

    /// Its installations.
    fn at(&mut self, runtime: &'static dyn Runtime) -> &Installations {
        let mut names = self.known.iter().map(|(known, _)| known.name());
        let at = names.position(|name| name == runtime.name());
        let at = at.unwrap_or_else(|| {
            self.known
                .push((runtime, runtime.find(runtime.named(self.search))));
            self.known.len() - 1
        });
        &self.known[at].1
    }
}

/// Looks for every peer, each runtime once. Costs a few processes for each.
pub fn survey(search: &Search) -> Vec<(&'static Description, Installations)> {
    let mut looked = Looked::new(search);
    let found = PEERS.iter().map(|description| {
        let installations = looked.at(description.runtime).as_deref();
        let able = installations.map_err(Clone::clone).and_then(|all| {
            let (able, reasons) = supporting(description, all);
            match able.is_empty() {
                true => Err(reasons.join("; ")),
                false => Ok(able),
            }
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
    let (runtime, variant) = (description.runtime, description.variant);
    let mut able = Vec::new();
    let mut reasons = Vec::new();
    for installation in installations {
        match runtime.supports(variant, installation) {
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
    let descriptions: Result<Vec<_>, String> = names.iter().map(|name| describe(name)).collect();
    let mut looked = Looked::new(search);
    let mut found = Vec::new();
    let mut notes = Vec::new();
    for description in descriptions? {
        let installations = looked
            .at(description.runtime)
            .as_deref()
            .unwrap_or_default();
        let (able, reasons) = supporting(description, installations);
        let name = description.name;
        let reasons = reasons.iter();
        notes.extend(reasons.map(|reason| format!("no {name} here: {reason}")));
        let able = able.into_iter();
        found.extend(able.map(|one| Found::of(description, one, installations)));
    }
    for (runtime, result) in looked.known {
        if let Err(reason) = result {
            // What was named and is not there is a slip of the hand; what is merely not installed
            // is a fact.
            if !runtime.named(search).is_empty() {
                return Err(reason);
            }
            notes.push(format!("no {} here: {reason}", runtime.name()));
        }
    }
    Ok((found, notes))
}

/// A line for each runtime of these peers for which the environment had settings that are not
/// passed on to it.
pub fn cleared(found: &[Found]) -> Vec<String> {
    let runtimes = found.iter().map(|peer| peer.description.runtime.name());
    let runtimes = BTreeSet::from_iter(runtimes).into_iter();
    let lines = runtimes.filter_map(|runtime| {
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
    let alike = all
        .iter()
        .filter(|other| other.short_version == one.short_version);
    match alike.count() {
        _ if all.len() < 2 => None,
        1 => Some(one.short_version.clone()),
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
    let root = tempfile::Builder::new().prefix("harness-peers-").tempdir();
    let root = Arc::new(root.map_err(|error| {
        let place = no_room(&std::env::temp_dir(), &error);
        format!("no directory for the peers' programs: {place}")
    })?);
    // Peers that are one installation share its programs.
    let mut kinds: Vec<(&dyn Runtime, Installation)> = Vec::new();
    for peer in found.iter() {
        if !kinds.iter().any(|kind| peer.is_of(kind)) {
            kinds.push((peer.description.runtime, peer.installation.clone()));
        }
    }
    let mut notes = Vec::new();
    for (number, kind) in kinds.iter().enumerate() {
        let (runtime, installation) = kind;
        let name = runtime.name();
        let directory = root.path().join(format!("{name}-{number}"));
        let others = kinds
            .iter()
            .filter(|(other, place)| other.name() == name && place != installation)
            .map(|(_, other)| other.clone());
        let programs = runtime.programs().iter();
        let wanted: Vec<&Program> = programs
            .filter(|program| workloads.contains(&program.workload))
            .collect();
        let built = std::fs::create_dir(&directory)
            .map_err(|error| no_room(&directory, &error))
            .and_then(|()| match wanted[..] {
                [] => Ok(()),
                _ => runtime.build(
                    installation,
                    &others.collect::<Vec<_>>(),
                    &wanted,
                    &directory,
                ),
            });
        match built {
            Ok(()) => {
                for peer in found.iter_mut().filter(|peer| peer.is_of(kind)) {
                    peer.directory.clone_from(&directory);
                    peer.root = Some(Arc::clone(&root));
                }
            }
            Err(reason) => notes.push(format!(
                "no {name} here: its programs cannot be built: {reason}"
            )),
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

#[cfg(test)]
mod tests {
    use super::*;

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
