//! The heaps of the comparison, each behind one [`Adapter`].
//!
//! An adapter says what its heap is called, which options it takes, and how it is made from them.
//! Here are those of the collectors, for which it also implements the traits of [`crate::heap`]:
//! they know nothing of the comparison. Which heaps are compared is a list of the engine's.

use std::collections::BTreeMap;

use crate::heap::{Heap, Mutator};
use crate::suggest;

mod forward;
pub mod gc_marksweep;
pub mod gc_rc;

/// What the harness must know about a heap.
pub trait Adapter: 'static {
    /// The heap.
    type Heap: Heap;
    /// Its name, summary and options.
    const DESCRIPTION: Description;

    /// What it can do when made with these settings.
    fn capabilities(settings: &Settings) -> Capabilities;

    /// Makes one.
    ///
    /// # Errors
    ///
    /// A sentence that says what is wrong with the settings.
    fn build(settings: &Settings) -> Result<Self::Heap, String>;

    /// Prepares a heap that no mutator is attached to for the next iteration; the time is nobody's.
    /// By default it collects, so that one iteration's garbage is not charged to the next.
    fn recycle(heap: &Self::Heap) {
        heap.attach(|mutator| mutator.collect());
    }
}

/// A heap as `harness list` shows it.
#[derive(Clone, Copy, Debug)]
pub struct Description {
    /// Its name on the command line and in results.
    pub name: &'static str,
    /// One line about it.
    pub summary: &'static str,
    /// The options it takes, in the order in which they are shown.
    pub options: fn() -> Vec<HeapOption>,
    /// Whether an option takes a value.
    pub takes: fn(&str, &str) -> bool,
}

impl Description {
    /// The options it takes, in the order in which they are shown.
    pub fn options(&self) -> Vec<HeapOption> {
        (self.options)()
    }
}

/// One option of a heap: `--heap NAME:option=value`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeapOption {
    /// Its name.
    pub name: &'static str,
    /// What values it takes: words, such as `off | on`; a range, such as `1 to 64`; or in words,
    /// such as `a time, such as 5ms | off`.
    pub values: &'static str,
    /// The value it has if it is not given, as it would be written.
    pub default: &'static str,
    /// What it does, in one line.
    pub help: &'static str,
}

/// A collector's builder, whose options are set by name from text.
trait Options: Default {
    /// All there are.
    fn all() -> Vec<HeapOption>;

    /// Sets one; the error is a sentence.
    fn set_option(self, name: &str, value: &str) -> Result<Self, String>;
}

/// Implements [`Options`] for the builder of a collector.
macro_rules! options {
    ($collector:ident) => {
        impl super::Options for $collector::Builder {
            fn all() -> Vec<super::HeapOption> {
                let option = |option: &$collector::BuilderOption| super::HeapOption {
                    name: option.name,
                    values: option.values,
                    default: option.default,
                    help: option.help,
                };
                Self::OPTIONS.iter().map(option).collect()
            }

            fn set_option(self, name: &str, value: &str) -> Result<Self, String> {
                self.set(name, value).map_err(|error| error.to_string())
            }
        }
    };
}
use options;

/// Options of collectors that the harness sets by itself: the limit is `--heap-size`.
const SET_HERE: &[&str] = &["limit", "event-capacity"];

/// Defaults of the harness. The watchdog is on: a workload that forgets to poll should be found
/// out.
const DEFAULTS: &[(&str, &str)] = &[("watchdog", "5s")];

/// The options of a collector that the harness offers: all but those that it sets by itself, and
/// those that are `left_out`.
fn offered<B: Options>(left_out: &[&str]) -> Vec<HeapOption> {
    let mut options = B::all();
    options.retain(|option| !SET_HERE.contains(&option.name) && !left_out.contains(&option.name));
    for option in &mut options {
        if let Some((_, default)) = DEFAULTS.iter().find(|(name, _)| *name == option.name) {
            option.default = default;
        }
    }
    options
}

/// Whether an option of a collector takes a value.
fn takes<B: Options>(name: &str, value: &str) -> bool {
    B::default().set_option(name, value).is_ok()
}

/// A collector's builder with these settings, but for those that are not the builder's.
fn configured<B: Options>(settings: &Settings, but: &[&str]) -> Result<B, String> {
    let mut values = (settings.values.iter()).filter(|(name, _)| !but.contains(&name.as_str()));
    values.try_fold(B::default(), |builder, (name, value)| {
        builder.set_option(name, value)
    })
}

/// What the option of the overhead limit is called, on every heap that has it.
pub const OVERHEAD_LIMIT_NAME: &str = "overhead-limit";

/// Events a heap keeps between two readings: one iteration of the busiest workload has far fewer.
const EVENT_CAPACITY: usize = 1 << 18;

/// The limit as the collectors take it.
fn limit(settings: &Settings) -> usize {
    usize::try_from(settings.limit_bytes).unwrap_or(usize::MAX)
}

/// What a heap can do; what it cannot do gates tests, never workloads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// Objects that cannot be reached any more are reclaimed (unless they are on a cycle).
    pub reclaims: bool,
    /// So are cycles of such objects.
    pub reclaims_cycles: bool,
    /// `peak_occupied_bytes` stays below the heap bytes of the comparison.
    pub limited: bool,
}

/// How a heap is made: its limit and its options, defaults filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    limit_bytes: u64,
    values: BTreeMap<String, String>,
}

impl Settings {
    /// The defaults of the heap `A` with a limit of `limit_bytes`.
    pub fn new<A: Adapter>(limit_bytes: u64) -> Self {
        Self::of(&A::DESCRIPTION, limit_bytes)
    }

    /// The defaults of a heap with a limit of `limit_bytes`.
    pub fn of(heap: &Description, limit_bytes: u64) -> Self {
        let defaults = heap.options().into_iter();
        Self {
            limit_bytes,
            values: defaults
                .map(|option| (option.name.to_owned(), option.default.to_owned()))
                .collect(),
        }
    }

    /// Sets an option.
    ///
    /// # Errors
    ///
    /// A sentence that names the option the user may have meant, or the values it takes.
    pub fn set(&mut self, heap: &Description, name: &str, value: &str) -> Result<(), String> {
        let options = heap.options();
        let Some(option) = options.iter().find(|option| option.name == name) else {
            let names = options.iter().map(|option| option.name);
            return Err(suggest::unknown(
                &format!("option of {}", heap.name),
                name,
                names,
            ));
        };
        if !(heap.takes)(name, value) {
            let HeapOption { values, .. } = option;
            return Err(format!(
                "{}: option {name} cannot be '{value}': expected {values}",
                heap.name
            ));
        }
        self.values.insert(name.to_owned(), value.to_owned());
        Ok(())
    }

    /// The limit in bytes.
    pub fn limit_bytes(&self) -> u64 {
        self.limit_bytes
    }

    /// Every option and its value, as it would be written.
    pub fn values(&self) -> &BTreeMap<String, String> {
        &self.values
    }

    /// The value of an option, as it was written.
    ///
    /// # Panics
    ///
    /// If the heap has no such option.
    pub fn text(&self, name: &str) -> &str {
        &self.values[name]
    }
}
