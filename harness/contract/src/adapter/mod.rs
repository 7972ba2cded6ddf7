//! The heaps of the comparison, each behind one [`Adapter`].
//!
//! An adapter says what its heap is called, which options it takes, and how it is made from them.
//! Here are those of the collectors, for which it also implements the traits of [`crate::heap`]:
//! they know nothing of the comparison. Which heaps are compared is a list of the engine's.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use crate::heap::{Heap, Mutator};
use crate::suggest;
use crate::units::parse_bytes;

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
    /// The options it takes.
    pub options: &'static [HeapOption],
}

/// One option of a heap: `--heap NAME:option=value`.
#[derive(Clone, Copy, Debug)]
pub struct HeapOption {
    /// Its name.
    pub name: &'static str,
    /// What values it takes.
    pub kind: OptionKind,
    /// The value it has if it is not given, as it would be written.
    pub default: &'static str,
    /// What it does, in one line.
    pub doc: &'static str,
}

/// The values an option takes.
#[derive(Clone, Copy, Debug)]
pub enum OptionKind {
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A whole number in this range, both ends included.
    Count(u64, u64),
    /// A time such as `5ms` or `2s`, at least 1 ns.
    Duration,
    /// A time, or `off`.
    DurationOrOff,
    /// A size such as `64M`, or `auto`.
    BytesOrAuto,
    /// Two percentages such as `98/2`, or `off`.
    PercentagesOrOff,
}

/// `on` or `off`.
pub const SWITCH: OptionKind = OptionKind::Choice(&["off", "on"]);

/// Every collector has a watchdog, which is on here: a workload that forgets to poll should be
/// found out.
const WATCHDOG: HeapOption = HeapOption {
    name: "watchdog",
    kind: OptionKind::DurationOrOff,
    default: "5s",
    doc: "names on standard error who keeps others waiting longer",
};

/// Every collector refuses allocations where it would do nothing but collect. Searches for the
/// least heap switch it off.
const OVERHEAD_LIMIT: HeapOption = HeapOption {
    name: OVERHEAD_LIMIT_NAME,
    kind: OptionKind::PercentagesOrOff,
    default: "98/2",
    doc: "heap full where collections take TIME % and less than FREE % of the limit is allocated \
     between them",
};

/// What the option of the overhead limit is called, on every heap that has it.
pub const OVERHEAD_LIMIT_NAME: &str = "overhead-limit";

/// Events a heap keeps between two readings: one iteration of the busiest workload has far fewer.
const EVENT_CAPACITY: usize = 1 << 18;

/// The limit as the collectors take it.
fn limit(settings: &Settings) -> usize {
    usize::try_from(settings.limit_bytes).unwrap_or(usize::MAX)
}

impl fmt::Display for OptionKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Choice(values) => f.write_str(&values.join(" | ")),
            Self::Count(least, most) => write!(f, "{least} to {most}"),
            Self::Duration => f.write_str("a time, such as 5ms"),
            Self::DurationOrOff => f.write_str("a time, such as 5s | off"),
            Self::BytesOrAuto => f.write_str("a size, such as 64M | auto"),
            Self::PercentagesOrOff => f.write_str("two percentages, such as 98/2 | off"),
        }
    }
}

impl OptionKind {
    /// Says what is wrong with `value`, if anything.
    fn check(self, value: &str) -> Result<(), String> {
        let right = match self {
            Self::Choice(values) => values.contains(&value),
            Self::Count(least, most) => value
                .parse::<u64>()
                .is_ok_and(|count| (least..=most).contains(&count)),
            Self::Duration => humantime::parse_duration(value).is_ok_and(|time| !time.is_zero()),
            Self::DurationOrOff => value == "off" || Self::Duration.check(value).is_ok(),
            Self::BytesOrAuto => value == "auto" || parse_bytes(value).is_ok(),
            Self::PercentagesOrOff => value == "off" || percentages(value).is_some(),
        };
        if right {
            Ok(())
        } else {
            Err(format!("expected {self}"))
        }
    }
}

/// Reads `98/2`: two whole numbers from 0 to 100.
fn percentages(text: &str) -> Option<(u8, u8)> {
    let percentage = |text: &str| text.parse().ok().filter(|&percent| percent <= 100);
    let (first, second) = text.split_once('/')?;
    Some((percentage(first)?, percentage(second)?))
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
        let defaults = heap.options.iter();
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
        let Some(option) = heap.options.iter().find(|option| option.name == name) else {
            let names = heap.options.iter().map(|option| option.name);
            return Err(suggest::unknown(
                &format!("option of {}", heap.name),
                name,
                names,
            ));
        };
        option.kind.check(value).map_err(|expected| {
            format!(
                "{}: option {name} cannot be '{value}': {expected}",
                heap.name
            )
        })?;
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

    /// The value of a [`SWITCH`].
    ///
    /// # Panics
    ///
    /// If the heap has no such option.
    pub fn is_on(&self, name: &str) -> bool {
        self.text(name) == "on"
    }

    /// The value of an [`OptionKind::Count`].
    ///
    /// # Panics
    ///
    /// If the heap has no such option, or it is of another kind.
    pub fn count(&self, name: &str) -> u64 {
        let text = self.text(name);
        text.parse()
            .unwrap_or_else(|_| panic!("option {name} is not a count: {text}"))
    }

    /// The value of an [`OptionKind::BytesOrAuto`]; `None` for `auto`.
    ///
    /// # Panics
    ///
    /// If the heap has no such option, or it is of another kind.
    pub fn bytes(&self, name: &str) -> Option<u64> {
        let text = self.text(name);
        (text != "auto").then(|| {
            parse_bytes(text).unwrap_or_else(|_| panic!("option {name} is not a size: {text}"))
        })
    }

    /// The value of an [`OptionKind::Duration`] or [`OptionKind::DurationOrOff`]; `None` for `off`.
    ///
    /// # Panics
    ///
    /// If the heap has no such option, or it is of another kind.
    pub fn duration(&self, name: &str) -> Option<Duration> {
        let text = self.text(name);
        (text != "off").then(|| {
            humantime::parse_duration(text)
                .unwrap_or_else(|_| panic!("option {name} is not a time: {text}"))
        })
    }

    /// The value of an [`OptionKind::PercentagesOrOff`]; `None` for `off`.
    ///
    /// # Panics
    ///
    /// If the heap has no such option, or it is of another kind.
    pub fn percentages(&self, name: &str) -> Option<(u8, u8)> {
        let text = self.text(name);
        (text != "off").then(|| {
            percentages(text)
                .unwrap_or_else(|| panic!("option {name} is not two percentages: {text}"))
        })
    }
}
