//! From raw events and clocks to metrics: one file a metric, each with the definition it implements.
//!
//! Heaps only report ([`event`]); judging is done here, so that all are judged alike.

pub mod distribution;
pub mod event;
pub mod pause;
pub mod ratio;
pub mod space;
pub mod throughput;
pub mod utilisation;
