//! From raw events and clocks to metrics: one file a metric, each with the definition it
//! implements.
//!
//! Heaps only report ([`event`]); judging is done here, so that all are judged alike. What events
//! have in common is found once ([`timeline`]). What stands for several processes, with its
//! interval, is computed in [`statistics`](crate::statistics).

pub use contract::{distribution, event};

pub mod cpu;
pub mod floating;
pub mod hiccup;
pub mod latency;
pub mod lbo;
pub mod pause;
pub mod probe;
pub mod reclamation;
pub mod record;
pub mod safepoint;
pub mod sampler;
pub mod space;
pub mod stall;
pub mod throughput;
pub mod timeline;
pub mod utilisation;
