//! What is run: programs over an object graph, each written once for every heap.
//!
//! What a workload is, and what it owes the comparison, is in [`contract::workload`], whose items
//! are found here, too. One that comes with the harness is one file here and one line in
//! [`programs`]; one of your own lives in your crate and is added with `Harness::with`.

use std::ops::Deref;

pub use contract::workload::*;

use crate::invocation::{self, Between, Invocation, Row};

pub mod binary_trees;
pub mod churn;
pub mod countdown;
pub mod gcbench;
mod graph;
pub mod heap;
pub mod list;
pub mod lru;
pub mod poll;
mod prelude;
pub mod quads;
pub mod requests;
pub mod rewire;
pub mod rings;
pub mod sawtooth;
pub mod shared_graph;
mod trees;
mod zipf;

/// [`invocation::execute`] for one workload.
type Execute = fn(&Invocation, &Input, Between, &mut dyn FnMut(Row)) -> Result<(), String>;

/// A workload that this process can carry out: its description, and its code on every heap.
#[derive(Clone, Copy, Debug)]
pub struct Program {
    description: Description,
    between: Between,
    execute: Execute,
}

impl Program {
    /// The program of `W`, for an experiment: each iteration finds the heap collected.
    pub const fn of<W: Workload>() -> Self {
        Self {
            description: Description::of::<W>(),
            between: Between::Collection,
            execute: invocation::execute::<W>,
        }
    }

    /// The program of `W`, for comparisons: iterations follow each other, and each pays for as much
    /// as it leaves.
    pub const fn steady<W: Workload>() -> Self {
        Self {
            between: Between::Nothing,
            ..Self::of::<W>()
        }
    }

    /// Runs one invocation in this process and emits a row for each iteration.
    pub fn execute(
        &self,
        invocation: &Invocation,
        input: &Input,
        emit: &mut dyn FnMut(Row),
    ) -> Result<(), String> {
        (self.execute)(invocation, input, self.between, emit)
    }
}

impl Deref for Program {
    type Target = Description;

    fn deref(&self) -> &Description {
        &self.description
    }
}

/// The workloads that come with the harness, in the order in which they are run and shown.
pub fn programs() -> Vec<Program> {
    vec![
        Program::steady::<gcbench::GcBench>(),
        Program::steady::<binary_trees::BinaryTrees>(),
        Program::steady::<quads::Quads>(),
        Program::steady::<list::List>(),
        Program::steady::<rings::Rings>(),
        Program::steady::<churn::Churn>(),
        Program::steady::<lru::Lru>(),
        Program::steady::<rewire::Rewire>(),
        Program::steady::<shared_graph::SharedGraph>(),
        Program::steady::<sawtooth::Sawtooth>(),
        Program::steady::<requests::Requests>(),
        Program::steady::<poll::Poll>(),
        Program::steady::<countdown::Countdown>(),
        Program::of::<heap::HeapGraph>(),
    ]
}

/// The descriptions of those of [`programs`] that need no file: what is run if nothing is named.
pub fn standard() -> Vec<Description> {
    let mut workloads = describe(&programs());
    workloads.retain(|workload| workload.file.is_none());
    workloads
}

/// The descriptions of these programs.
pub fn describe(programs: &[Program]) -> Vec<Description> {
    programs.iter().map(|program| program.description).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_checked() {
        let workload = Description::of::<binary_trees::BinaryTrees>();
        let mut input = Input::new(&workload, Size::Tiny);
        input.set(&workload, "depth", "1_2").unwrap();
        assert_eq!(input.get("depth"), 12);
        assert!(
            input
                .set(&workload, "dept", "12")
                .unwrap_err()
                .contains("did you mean 'depth'")
        );
        assert!(
            input
                .set(&workload, "depth", "x")
                .unwrap_err()
                .contains("whole number")
        );
        assert!(
            input
                .set(&workload, "depth", "1000")
                .unwrap_err()
                .contains("from")
        );
    }

    #[test]
    fn defaults_are_within_their_ranges() {
        for workload in standard() {
            for parameter in workload.parameters {
                for size in [Size::Tiny, Size::Small, Size::Full] {
                    let (least, most) = parameter.range;
                    let value = parameter.value(size);
                    assert!(
                        (least..=most).contains(&value),
                        "{} {} {size}",
                        workload.name,
                        parameter.name
                    );
                }
            }
        }
    }
}
