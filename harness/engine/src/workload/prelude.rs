//! What a workload's file is written with.

pub(super) use rand_xoshiro::Xoshiro256PlusPlus;
pub(super) use rand_xoshiro::rand_core::Rng;

pub(super) use super::graph::{fill, on_graph, walk};
pub(super) use super::{
    Input, Outcome, Parameter, Workload, below, digest, field, generator, mix, on_threads,
    set_field, set_word, share, total, twice, word,
};
pub(super) use crate::heap::{Flags, Heap, HeapFull, Mutator, Shape};
