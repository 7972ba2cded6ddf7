//! Under construction.
pub mod event;
