//! The contract of the comparison: all that somebody who brings a heap or a workload must read.
//!
//! | module | what is in it |
//! |---|---|
//! | [`heap`] | the mutator contract, as traits: what a workload may ask of a heap |
//! | [`adapter`] | the heaps of the comparison, one file each: options, construction, the traits' implementation |
//! | [`workload`] | what a workload is, what it is given and answers, what it owes the comparison |
//! | [`sync`] | locks, conditions and queues that mutators can wait in without a deadlock |
//! | [`event`], [`presence`] | what heaps report while they run, in one vocabulary; when mutators were there |
//! | [`row`], [`environment`] | the rows of results; where and with what they were made |
//! | [`distribution`] | times as rows hold them |
//! | [`threads`], [`cgroup`] | threads that the system may refuse; what the control group allows |
//! | [`suggest`], [`shown`], [`units`] | names and quantities in messages |
//!
//! Nothing here runs, measures or judges: it is the floor that the workloads, the metrics and the
//! reports stand on, and it knows none of them.
//!
//! Rejected: the adapters on a floor of their own. The collectors know nothing of the traits, and
//! Rust lets a trait be implemented for somebody else's type only where the trait is. Wrapping the
//! types instead would cost an indirection in every operation, or unsafe code.

#![forbid(unsafe_code)]

pub mod adapter;
pub mod cgroup;
pub mod distribution;
pub mod environment;
pub mod event;
pub mod heap;
pub mod presence;
pub mod row;
pub mod shown;
pub mod suggest;
pub mod sync;
pub mod threads;
pub mod units;
pub mod workload;
