//! Rows in the forms people read: one file a format. Each is a function of the rows and the plan; nothing is measured here.

pub mod csv;
pub mod json;
pub(crate) mod minheap;
mod plot;
pub mod table;
