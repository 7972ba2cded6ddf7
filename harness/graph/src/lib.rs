//! The heap of somebody's own program as a graph in a file, and how a dump of it becomes one.
//!
//! A dump says what a heap looked like at one moment: which objects there were, how large, which
//! referred to which, and from where they were reached. That is what collectors care about, and
//! all that is kept. A [`Graph`] has no names, no strings and no contents of objects, so that a
//! user may give it to somebody to whom the dump may not be given.
//!
//! * [`import`](import()) reads a dump: [HPROF](hprof), [V8](v8), [JSON lines](lines) (which
//!   [a script](CPYTHON_SCRIPT) writes inside CPython), [Graphviz](dot). Damaged and truncated ones
//!   give what can be read of them, and [`Losses`] say what is missing.
//! * [`Graph`] is the file: [its format](mod@file).
//! * [`Shape`] is what can be said of a graph without a collector: what is reachable, how deep, how
//!   much of it lies in cycles.
//!
//! # Invariant
//!
//! Whatever bytes an importer is given, it ends, with a graph or an error; what it holds is in
//! proportion to the objects and references that it has read so far, never to a number that the
//! file claims. Every object and every reference that it has seen is in the graph or counted as
//! lost.
//!
//! Rejected: the crates that read one of these formats each. They build models of all that a dump
//! says, several times its size in memory, or give up where a dump is damaged; what is needed here
//! is less than any of them does, in one pass or two.

pub mod dot;
pub mod file;
pub mod hprof;
mod ids;
mod import;
pub mod lines;
mod origin;
mod raw;
mod shape;
pub mod v8;

pub use file::{Graph, GraphError, Reference, write};
pub use import::{Format, ImportError, Imported, Loss, Losses, Progress, import, import_from};
pub use origin::{Origin, origin_of};
pub use raw::{RawGraph, TooLarge};
pub use shape::{Bin, Histogram, LARGEST, Levels, Shape};

/// A program for CPython 3.8 and newer that writes the objects of its process as
/// [JSON lines](lines). It is run inside the process whose heap is wanted.
pub const CPYTHON_SCRIPT: &str = include_str!("cpython.py");
