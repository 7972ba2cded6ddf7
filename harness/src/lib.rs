//! Runs one workload on several heaps and says what each choice costs.
#![forbid(unsafe_code)]

use std::process::ExitCode;

pub mod adapter;
mod cli;
pub mod environment;
pub mod heap;
pub mod invocation;
pub mod measure;
pub mod plan;
pub mod report;
pub mod run;
mod suggest;
pub mod sync;
pub mod workload;

use cli::{Action, Refusal};
use workload::{Description, Input, Workload};

/// A command-line program that compares heaps.
#[derive(Clone, Debug)]
pub struct Harness {
    workloads: Vec<Description>,
}

impl Default for Harness {
    fn default() -> Self {
        Self::standard()
    }
}

impl Harness {
    /// With the workloads that come with it.
    pub fn standard() -> Self {
        Self {
            workloads: workload::standard(),
        }
    }

    /// With no workload.
    pub fn empty() -> Self {
        Self {
            workloads: Vec::new(),
        }
    }

    /// Adds a workload.
    ///
    /// # Panics
    ///
    /// If there is one of that name.
    #[must_use]
    pub fn with<W: Workload>(mut self) -> Self {
        assert!(
            self.workloads
                .iter()
                .all(|workload| workload.name != W::NAME),
            "there is a workload called {} already",
            W::NAME
        );
        self.workloads.push(Description::of::<W>());
        self
    }

    /// Reads the command line, does what it says, and returns the process's exit status. Children are this same program, so the caller
    /// does nothing else.
    pub fn main(&self) -> ExitCode {
        let action = match cli::parse(&self.workloads, std::env::args_os()) {
            Ok(action) => action,
            Err(Refusal::Clap(error)) => {
                // Help and version are printed on standard output; a reader that has gone away is no error.
                let _ = error.print();
                return ExitCode::from(error.exit_code() as u8);
            }
            Err(Refusal::Usage(message)) => return refuse(&message),
        };
        match action {
            Action::Print(text) => {
                run::print(&text);
                ExitCode::SUCCESS
            }
            Action::Compare(plan) => match run::run(&plan) {
                Ok(true) => ExitCode::SUCCESS,
                Ok(false) => ExitCode::FAILURE,
                Err(message) => refuse(&message),
            },
            Action::Child(invocation) => match self.child(&invocation) {
                Ok(()) => ExitCode::SUCCESS,
                Err(message) => refuse(&message),
            },
        }
    }

    /// Carries out one invocation and prints its rows.
    fn child(&self, invocation: &invocation::Invocation) -> Result<(), String> {
        let mut workloads = self.workloads.iter();
        let workload = workloads
            .find(|workload| workload.name == invocation.workload)
            .ok_or_else(|| format!("this program has no workload '{}'", invocation.workload))?;
        let mut input = Input::new(workload, invocation.size);
        input.threads = invocation.threads;
        input.seed = invocation.seed;
        for (name, value) in &invocation.parameters {
            input.set(workload, name, &value.to_string())?;
        }
        workload.execute(invocation, &input, &mut |row| {
            run::print(&report::json::line(&row))
        })
    }
}

fn refuse(message: &str) -> ExitCode {
    eprintln!("error: {message}");
    ExitCode::from(2)
}
