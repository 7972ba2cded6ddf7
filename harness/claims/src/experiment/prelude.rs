//! What an experiment's file is written with.

pub(super) use super::Experiment;
pub(super) use super::scaffold::*;
pub(super) use crate::claim::Rule::*;
pub(super) use crate::claim::{Claim, Figure};
pub(super) use crate::evidence::{Estimate, Evidence};
pub(super) use crate::form::{
    AS_DESCRIBED, BOTH, COUNTING, EVERY, EVERY_AND_DEFERRED, EVERY_AS_DESCRIBED, FREE, Form,
    TRACING, UNLOCKED,
};
pub(super) use crate::heap::{Flags, Heap, HeapFull, Mutator, Shape};
pub(super) use crate::quantity::Quantity::{self, *};
pub(super) use crate::quantity::Unit;
pub(super) use crate::workload::{
    Input, Outcome, Parameter, Program, Workload, digest, field, mix, on_threads, set_field, share,
    total, word,
};
