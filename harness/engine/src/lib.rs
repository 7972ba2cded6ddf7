//! The engine of the comparison: the workloads, what is measured of them, running, and reports.
//!
//! | module | what is in it |
//! |---|---|
//! | [`adapter`] | the heaps that are compared |
//! | [`measure`] | from raw events and clocks to metrics, one file a metric, each with its definition |
//! | [`invocation`], [`workload`] | what a child process does: a workload, measured; the programs, one file each |
//! | [`environment`] | where and with what results are made |
//! | [`peer`] | other runtimes, run beside the heaps |
//! | [`statistics`] | every figure's interval, and what it proves |
//! | [`results`] | rows grouped into what is compared: what every report is made of |
//! | [`plan`], [`run`], [`minheap`] | what is to be run; the parent that runs it; the smallest heap that completes |
//! | [`report`] | results as tables, plots and logs, and what follows from them |
//! | [`message`] | what is said to the user |
//!
//! It knows no claim and no command: those stand on it, and add to its reports by
//! [`report::Chapter`].

#![forbid(unsafe_code)]

pub use contract::{heap, sync};

use contract::{suggest, threads};

pub mod adapter;
pub mod environment;
#[doc(hidden)]
pub mod fixture;
pub mod interrupt;
pub mod invocation;
pub mod measure;
pub mod message;
pub mod minheap;
mod outside;
pub mod peer;
pub mod plan;
mod process;
pub mod report;
pub mod results;
pub mod run;
pub mod statistics;
pub mod workload;
