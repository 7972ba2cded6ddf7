//! The commands, one file each.

pub mod compare;
pub mod doctor;
pub(crate) mod explain;
pub mod merge;
pub(crate) mod report;
pub mod scatter;
pub mod sweep;
