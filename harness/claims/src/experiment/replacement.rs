//! The program `replacement`: what lives stays as much as it was, object by object replaced.
//! Several experiments run it.
//!
//! A table of `live` objects is filled. Then one object after the other is made and takes the place
//! of a random one, so that the live set keeps its size while garbage is made at a rate that is
//! known: `replaced` per cent of the live set in all. The heap is `multiple` times as large as the
//! live set, and `spare` mebibytes. So it is the smallest program in which the questions of the
//! documents can be asked of a steady state: how far memory piles up, when an object is found dead,
//! how long a collection takes, and how many there are.
//!
//! * An object is a reference and `words` words. With `cyclic=1` the reference is to the object
//!   itself, which is the shortest cycle; otherwise it is null.
//! * Of the objects that are replaced, `watched` are [buried](Sentinels): their deaths are in the
//!   row. If any are watched, the heap is collected at the end, so that each death has been found,
//!   and no delay is longer than the program.
//! * At the end one reference to the table is dropped, and with it everything: on a counting heap
//!   that is a cascade. Then `after` per cent of the live set are made once more and dropped one by
//!   one, so that a heap that puts work off has an occasion to do it.
//!
//! Observed are the live set in objects (`live_count`), and in bytes: what the heap occupies when
//! the table has been filled and nothing has been replaced, headers and metadata included
//! (`live_bytes`), and the same without holes and metadata, where the heap knows
//! (`live_object_bytes`).
//!
//! The threads have a part of the table each; none begins to replace before all are there, and none
//! goes before all are done, so that each collection meets all of them. They wait by polling and
//! not in a blocking region, in which they would count as stopped. The checksum is the sum of the
//! numbers of all objects, seen as they are replaced or are left in the end: it depends neither on
//! the draws nor on the number of threads, and is wrong if an object is lost.
//!
//! Rejected: replacing in the order of allocation, which leaves the garbage in one piece, as no
//! real program does; a live set that grows, in which no two collections are alike.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::prelude::*;
use crate::measure::reclamation::{Death, Sentinels};

pub(super) const LIVE: &str = "live_count";
pub(super) const LIVE_BYTES: &str = "live_bytes";
pub(super) const LIVE_OBJECT_BYTES: &str = "live_object_bytes";

/// See the [module documentation](self).
pub struct Replacement;

/// Bytes of an object beside its fields, at most: a header, and its slot in the table.
const OVERHEAD: u64 = 16 + 8;

impl Workload for Replacement {
    const NAME: &'static str = "replacement";
    const SUMMARY: &'static str = "a live set of one size, its objects replaced at random";
    const OPERATION: &'static str = "object";
    const PARAMETERS: &'static [Parameter] = &[
        Parameter::sized("live", [1_000, 10_000, 100_000])
            .range(1, 100_000_000)
            .doc("objects that live at any time"),
        Parameter::fixed("replaced", 400)
            .range(0, 100_000_000)
            .doc("objects replaced, in per cent of those that live"),
        Parameter::fixed("words", 1)
            .range(1, 1_000_000)
            .doc("words of an object"),
        Parameter::fixed("multiple", 4)
            .range(2, 1_000)
            .doc("size of the heap, in multiples of what lives"),
        Parameter::fixed("spare", 0)
            .range(0, 1 << 20)
            .doc("mebibytes by which the heap is larger"),
        Parameter::fixed("cyclic", 0)
            .range(0, 1)
            .doc("1: each object refers to itself; 0: to nothing"),
        Parameter::fixed("after", 0)
            .range(0, 1_000_000)
            .doc("objects made after everything was dropped, in per cent of those that lived"),
        Parameter::fixed("watched", 0)
            .range(0, 1_000_000)
            .doc("deaths that are watched; if any, the heap is collected at the end"),
    ];

    fn heap_bytes(input: &Input) -> u64 {
        let object = 8 * (1 + input.get("words")) + OVERHEAD;
        input.get("multiple") * input.get("live") * object + (input.get("spare") << 20)
    }

    fn run<H: Heap>(heap: &H, input: &Input) -> Result<Outcome, HeapFull> {
        let task = Task::of(input);
        let tables = on_threads(heap, input.threads, |m, thread| task.fill(m, thread))?;
        let filled = heap.statistics();
        let together = Together::default();
        let parts = on_threads(heap, input.threads, |m, thread| {
            let present = together.enter();
            Together::meet(m, &together.entered, input.threads);
            let part = task.replace(m, heap, tables[thread].as_ref(), thread);
            drop(present);
            Together::meet(m, &together.left, input.threads);
            part
        })?;
        drop(tables);
        let after = on_threads(heap, 1, |m, _| task.go_on(m))?;

        let checksum = digest(parts.iter().map(|part| part.sum).chain(after));
        let operations = task.live + task.replaced + task.after;
        let observed = [
            (LIVE, Some(task.live)),
            (LIVE_BYTES, Some(filled.occupied_bytes)),
            (LIVE_OBJECT_BYTES, filled.object_bytes),
        ];
        Ok(Outcome {
            deaths: parts.into_iter().flat_map(|part| part.deaths).collect(),
            ..Outcome::new(checksum, operations).observing(observed)
        })
    }
}

/// The growth per decade that divides what does not grow (1) from what grows in proportion (10):
/// half-way on a logarithmic scale.
pub(super) const IN_PROPORTION: f64 = 3.16;

/// By how much a quantity grows while the live set becomes ten times as large, from one form to
/// another: 1 if it does not, 10 if it is in proportion.
pub(super) fn per_decade(
    evidence: &Evidence<'_>,
    quantity: Quantity,
    least: &'static str,
    most: &'static str,
) -> Option<Estimate> {
    let grown = evidence.ratio(quantity, most, least)?;
    let live = |form| Some(evidence.value(Observed(LIVE), form)?.value);
    let decades = (live(most)? / live(least)?).log10();
    (decades > 0.0).then(|| grown.map(|factor| factor.powf(1.0 / decades)))
}

/// What is to be done.
struct Task {
    threads: usize,
    seed: u64,
    live: u64,
    replaced: u64,
    after: u64,
    shape: Shape,
    cyclic: bool,
    /// One replaced object in so many is watched.
    watched_every: Option<u64>,
}

/// What one thread saw.
struct Part {
    sum: u64,
    deaths: Vec<Death>,
}

impl Task {
    fn of(input: &Input) -> Self {
        let live = input.get("live");
        let replaced = live * input.get("replaced") / 100;
        Self {
            threads: input.threads,
            seed: input.seed,
            live,
            replaced,
            after: live * input.get("after") / 100,
            shape: Shape::new(1, input.get("words") as u32),
            cyclic: input.get("cyclic") == 1,
            watched_every: replaced
                .checked_div(input.get("watched"))
                .map(|every| every.max(1)),
        }
    }

    /// Makes one thread's part of the table; `None` if it is empty.
    fn fill<M: Mutator>(
        &self,
        m: &mut M,
        thread: usize,
    ) -> Result<Option<<M::Heap as Heap>::Global>, HeapFull> {
        let part = share(self.live, self.threads, thread);
        if part.is_empty() {
            return Ok(None);
        }
        m.frame(|m, [table, new]| {
            m.alloc(table, Shape::new((part.end - part.start) as u32, 0))?;
            for (slot, number) in part.enumerate() {
                self.make(m, new, number)?;
                set_field(m, table, slot, m.get(new));
                m.safepoint();
            }
            Ok(m.get(table).map(|table| m.global(table)))
        })
    }

    /// Makes an object.
    fn make<M: Mutator>(&self, m: &mut M, into: M::Local<'_>, number: u64) -> Result<(), HeapFull> {
        m.alloc(into, self.shape)?;
        if let Some(new) = m.get(into) {
            m.set_word(new, 0, number);
            if self.cyclic {
                m.store(new, 0, Some(new));
            }
        }
        Ok(())
    }

    /// Releases what was dropped, as whoever attaches next does, and makes a few objects more.
    fn go_on<M: Mutator>(&self, m: &mut M) -> Result<u64, HeapFull> {
        m.safepoint();
        m.frame(|m, [new]| {
            let mut sum = 0u64;
            for number in 0..self.after {
                self.make(m, new, self.live + self.replaced + number)?;
                sum = sum.wrapping_add(word(m, new, 0));
                m.set(new, None);
                m.safepoint();
            }
            Ok(sum)
        })
    }

    /// One thread's part of the replacements, in its part of the table.
    fn replace<H: Heap>(
        &self,
        m: &mut H::Mutator<'_>,
        heap: &H,
        table: Option<&H::Global>,
        thread: usize,
    ) -> Result<Part, HeapFull> {
        let Some(global) = table else {
            return Ok(Part {
                sum: 0,
                deaths: Vec::new(),
            });
        };
        let mut draws = Draws::of(self.seed, thread);
        let mut sentinels = Sentinels::new(heap);
        m.frame(|m, [table, new, old]| {
            m.set(table, Some(m.open(global)));
            let slots = u64::from(m.shape(m.open(global)).refs);
            let mut sum = 0u64;
            for number in share(self.replaced, self.threads, thread) {
                self.make(m, new, self.live + number)?;
                let is_watched = self
                    .watched_every
                    .is_some_and(|every| number % every == every - 1);
                if let Some(table) = m.get(table) {
                    let slot = draws.below(slots);
                    if let Some(previous) = m.load(table, slot) {
                        sum = sum.wrapping_add(m.word(previous, 0));
                        if is_watched {
                            m.set(old, Some(previous));
                        }
                    }
                    m.store(table, slot, m.get(new));
                }
                if is_watched {
                    sentinels.bury(m, old);
                }
                m.safepoint();
            }
            m.set(new, None);
            if self.watched_every.is_some() {
                m.collect();
            }
            for slot in 0..slots as usize {
                let left = field(m, table, slot);
                sum = sum.wrapping_add(left.map_or(0, |left| m.word(left, 0)));
                m.safepoint();
            }
            Ok(Part {
                sum,
                deaths: sentinels.deaths(),
            })
        })
    }
}

/// Who replaces: see the [module documentation](self).
#[derive(Default)]
struct Together {
    entered: AtomicUsize,
    left: AtomicUsize,
}

impl Together {
    /// The thread has left when what is returned is dropped, in whatever way that comes about:
    /// nobody waits for one that is not there.
    fn enter(&self) -> impl Drop + '_ {
        struct Present<'t>(&'t Together);
        impl Drop for Present<'_> {
            fn drop(&mut self) {
                self.0.left.fetch_add(1, Ordering::Relaxed);
            }
        }
        self.entered.fetch_add(1, Ordering::Relaxed);
        Present(self)
    }

    /// Polls until so many have come. The count is all that is communicated.
    fn meet<M: Mutator>(m: &mut M, count: &AtomicUsize, threads: usize) {
        while count.load(Ordering::Relaxed) < threads {
            m.safepoint();
            thread::yield_now();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapter::{Adapter, Settings, gc_marksweep::GcMarksweep, gc_rc::GcRc};
    use crate::workload::{Description, Size};

    fn run<A: Adapter>(threads: usize, parameters: &[(&str, &str)]) -> Outcome {
        let description = Description::of::<Replacement>();
        let mut input = Input::new(&description, Size::Tiny);
        input.threads = threads;
        for (name, value) in parameters {
            input.set(&description, name, value).unwrap();
        }
        let heap = A::build(&Settings::new::<A>(description.heap_bytes(&input))).unwrap();
        Replacement::run(&heap, &input).unwrap()
    }

    #[test]
    fn every_object_is_seen_once_by_any_number_of_threads() {
        let numbers = 1_000 + 4_000 + 500;
        let expected = mix(numbers * (numbers - 1) / 2);
        for cyclic in ["0", "1"] {
            for threads in [1, 2, 3] {
                let outcome = run::<GcRc>(threads, &[("cyclic", cyclic), ("after", "50")]);
                assert_eq!((outcome.checksum, outcome.operations), (expected, numbers));
                let outcome = run::<GcMarksweep>(threads, &[("cyclic", cyclic), ("after", "50")]);
                assert_eq!((outcome.checksum, outcome.operations), (expected, numbers));
            }
        }
    }

    #[test]
    fn deaths_are_watched_and_found() {
        for cyclic in ["0", "1"] {
            let parameters = [("watched", "40"), ("cyclic", cyclic)];
            for outcome in [
                run::<GcRc>(1, &parameters),
                run::<GcMarksweep>(1, &parameters),
            ] {
                assert_eq!(outcome.deaths.len(), 40);
                let mut deaths = outcome.deaths.iter();
                assert!(deaths.all(|death| death.identified.is_some()));
            }
        }
    }
}
