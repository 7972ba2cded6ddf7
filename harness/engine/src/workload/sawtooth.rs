//! `sawtooth`: a heap that fills and empties, with objects of another size each time, and a few
//! that stay.
//!
//! Each round allocates `bytes` of objects of one size, 32 bytes, 256 bytes or 2 KiB in turn, and
//! keeps them all to its end: the peak. Then all but a random `survivors` per cent are dropped: the
//! fall. Those that stay, stay for good, so that after ten rounds as many as half a round's worth
//! are left, strewn over the whole heap. In the end these are dropped too, and as many calm rounds
//! follow, each with a sixteenth of the objects and no survivors.
//!
//! **Models** a program whose phases differ: parsing, then analysis, then output; a server by day
//! and by night. It asks two questions of a heap that does not move objects. *Fragmentation*: can
//! the gaps between survivors of one size hold objects of another? *Returning memory*: does what a
//! peak needed go back to the system when it is over?
//!
//! **Does not model** survivors that lie together, as related objects do; random ones are the worst
//! case. Nothing is read but at the end, when every survivor is checked.
//!
//! At each peak and after each fall the heap is collected, which is part of the work, and what it
//! holds is compared with what lives. The sizes are those of objects with an 8-byte header: a heap
//! with a larger one occupies more for the same object, and it shows.
//!
//! | observation | |
//! |---|---|
//! | `peak_occupied_over_live_percent` | the largest, over the peaks, of occupied bytes without side metadata over live bytes |
//! | `fall_occupied_over_live_percent` | the same, over the falls: what survivors hold on to |
//! | `peak_resident_bytes` | the largest resident size of the process at a peak |
//! | `calm_resident_bytes` | its resident size after the calm rounds |
//!
//! Live bytes are counted by the workload and not by the heap, so that they are the same on every
//! one: objects with their 8-byte headers and the tables that hold them. Time is measured with the
//! rest of the work; the resident sizes are known on Linux only.
//!
//! A round's objects are numbered, and split over the threads by number. Whether one survives
//! depends on the seed and its number alone, so that the checksum, a digest of all survivors, does
//! not depend on the number of threads.
//!
//! Minimum heap (small, one thread or two): 73 MiB on gc-rc, whose blocks are for one size each, 48
//! MiB on gc-marksweep.

use std::collections::BTreeMap;

use super::prelude::*;
use crate::measure::space::resident_bytes;

/// See the [module documentation](self).
pub struct Sawtooth;

/// Bytes of an object, header included: a reference, which ties survivors together, and words.
const SIZES: [u64; 3] = [32, 256, 2048];
/// Bytes of a header that the sizes allow for.
const HEADER: u64 = 8;
/// A calm round has this part of the objects of the others.
const CALM: u64 = 16;

impl Workload for Sawtooth {
    const NAME: &'static str = "sawtooth";
    const SUMMARY: &'static str =
        "peaks of small, medium and larger objects in turn, of which a few survive";
    const OPERATION: &'static str = "object";
    const PARAMETERS: &'static [Parameter] = &[
        Parameter::sized("bytes", [200_000, 2_000_000, 128_000_000])
            .range(2048, 1 << 36)
            .doc("bytes of objects at each peak"),
        Parameter::sized("rounds", [4, 10, 10])
            .range(1, 10_000)
            .doc("peaks"),
        Parameter::fixed("survivors", 5)
            .range(0, 100)
            .doc("per cent of the objects that survive a fall"),
    ];

    fn heap_bytes(input: &Input) -> u64 {
        let bytes = input.get("bytes");
        // A heap whose blocks are each for one size holds on to a peak of every size, its own
        // headers included; and all survivors.
        let survivors = bytes / 100 * input.get("survivors") * input.get("rounds");
        twice(bytes / 10 * 43 + survivors, input.threads)
    }

    fn run<H: Heap>(heap: &H, input: &Input) -> Result<Outcome, HeapFull> {
        let rounds = input.get("rounds");
        let bytes = input.get("bytes");
        let mut kept: Vec<Option<H::Global>> = vec![None; input.threads];
        let mut kept_bytes = 0;
        let mut observed = Observed::default();
        let mut operations = 0;
        let mut batch = |bytes: u64, size: u64| {
            let first = operations;
            let count = bytes / size;
            operations += count;
            Batch { first, count, size }
        };
        for round in 0..rounds {
            let size = SIZES[(round % 3) as usize];
            let batch = batch(bytes, size);
            let tables = batch.allocate(heap, input.threads)?;
            observed.peak(heap, kept_bytes + batch.count * (size + 8));
            let survivors = on_threads(heap, input.threads, |m, number| {
                let (table, kept) = (tables[number].as_ref(), kept[number].as_ref());
                Ok(keep_some(m, table, kept, input))
            })?;
            drop(tables);
            kept.clear();
            for (list, count) in survivors {
                kept.push(list);
                kept_bytes += count * size;
            }
            observed.fall(heap, kept_bytes);
        }

        let sums = on_threads(heap, input.threads, |m, number| {
            m.frame(|m, [list]| {
                m.set(list, kept[number].as_ref().map(|kept| m.open(kept)));
                Ok(walk(m, list))
            })
        })?;
        drop(kept);
        for _ in 0..rounds {
            batch(bytes / CALM, SIZES[0]).allocate(heap, input.threads)?;
            heap.attach(|m| m.collect());
        }
        Ok(Outcome {
            checksum: digest(sums),
            operations,
            observations: observed.after_calm(),
            ..Outcome::default()
        })
    }
}

/// A round's objects, over all threads.
#[derive(Clone, Copy)]
struct Batch {
    /// The number of the first.
    first: u64,
    count: u64,
    size: u64,
}

impl Batch {
    /// Makes the objects, and for each thread a table that holds its part; `None` if that is empty.
    fn allocate<H: Heap>(
        self,
        heap: &H,
        threads: usize,
    ) -> Result<Vec<Option<H::Global>>, HeapFull> {
        let shape = Shape::new(1, ((self.size - HEADER) / 8 - 1) as u32);
        on_threads(heap, threads, |m, number| {
            let part = share(self.count, threads, number);
            if part.is_empty() {
                return Ok(None);
            }
            m.frame(|m, [table]| {
                fill(m, table, part, |m, new, number| {
                    m.alloc(new, shape)?;
                    set_word(m, new, 0, self.first + number);
                    Ok(())
                })?;
                Ok(m.get(table).map(|table| m.global(table)))
            })
        })
    }
}

/// A list of survivors, and how many are new in it.
type Survivors<M> = (Option<<<M as Mutator>::Heap as Heap>::Global>, u64);

/// Ties the survivors among the table's objects to the list `kept`.
fn keep_some<M: Mutator>(
    m: &mut M,
    table: Option<&<M::Heap as Heap>::Global>,
    kept: Option<&<M::Heap as Heap>::Global>,
    input: &Input,
) -> Survivors<M> {
    let percent = input.get("survivors");
    let salt = mix(input.seed);
    m.frame(|m, [list]| {
        m.set(list, kept.map(|kept| m.open(kept)));
        let mut count = 0;
        let length = table.map_or(0, |table| m.shape(m.open(table)).refs);
        for slot in 0..length as usize {
            if let Some(object) = table.and_then(|table| m.load(m.open(table), slot))
                && mix(salt.wrapping_add(m.word(object, 0))) % 100 < percent
            {
                m.store(object, 0, m.get(list));
                m.set(list, Some(object));
                count += 1;
            }
            m.safepoint();
        }
        (m.get(list).map(|list| m.global(list)), count)
    })
}

/// The largest of each kind so far.
#[derive(Default)]
struct Observed {
    peak_percent: u64,
    fall_percent: u64,
    peak_resident_bytes: u64,
}

impl Observed {
    fn peak<H: Heap>(&mut self, heap: &H, live_bytes: u64) {
        let percent = occupied_over_live(heap, live_bytes);
        self.peak_percent = self.peak_percent.max(percent);
        let resident = resident_bytes().unwrap_or(0);
        self.peak_resident_bytes = self.peak_resident_bytes.max(resident);
    }

    fn fall<H: Heap>(&mut self, heap: &H, live_bytes: u64) {
        let percent = occupied_over_live(heap, live_bytes);
        self.fall_percent = self.fall_percent.max(percent);
    }

    fn after_calm(self) -> BTreeMap<&'static str, u64> {
        let mut observations = BTreeMap::from([
            ("peak_occupied_over_live_percent", self.peak_percent),
            ("fall_occupied_over_live_percent", self.fall_percent),
        ]);
        if let Some(resident) = resident_bytes() {
            observations.insert("peak_resident_bytes", self.peak_resident_bytes);
            observations.insert("calm_resident_bytes", resident);
        }
        observations
    }
}

/// Collects, and says in per cent how much more than the live bytes the heap then holds; 0 if
/// nothing lives.
fn occupied_over_live<H: Heap>(heap: &H, live_bytes: u64) -> u64 {
    heap.attach(|m| m.collect());
    let statistics = heap.statistics();
    let occupied = (statistics.occupied_bytes).saturating_sub(statistics.metadata_bytes);
    (100 * occupied).checked_div(live_bytes).unwrap_or(0)
}
