//! `sawtooth`: a heap that fills and empties, with objects of another size each time, and a few
//! that stay.
//!
//! Each round allocates `bytes` of objects of one size, 32 bytes, 256 bytes or 2 KiB in turn, and
//! keeps them all to its end: the peak. Then all but a random `survivors` per cent are dropped: the
//! fall. Those that stay, stay for ten rounds, so that from the tenth on half a round's worth is
//! there, strewn over the whole heap. In the end these are dropped too, and as many calm rounds
//! follow, each with a sixteenth of the objects and no survivors.
//!
//! **Models** a program whose phases differ: parsing, then analysis, then output; a server by day
//! and by night. It asks two questions of a heap that does not move objects. *Fragmentation*: can
//! the gaps between survivors of one size hold objects of another? *Returning memory*: does what a
//! peak needed go back to the system when it is over?
//!
//! **Does not model** survivors that lie together, as related objects do; random ones are the worst
//! case. Nothing is read but the survivors, when they go.
//!
//! How much a heap holds beyond what lives can only be seen after a collection. With `probes=1`, at
//! each peak, after each fall and after each calm round, the heap is collected and looked at. That
//! takes longer than the work itself and frees memory for it, so that the time of such a run says
//! nothing: by default there are no probes. The sizes are those of objects with an 8-byte header: a
//! heap with a larger one occupies more for the same object, and it shows.
//!
//! | observation | |
//! |---|---|
//! | `peak_occupied_over_live_percent` | with probes: the largest, over the peaks, of occupied bytes without side metadata over live bytes |
//! | `fall_occupied_over_live_percent` | the same, over the falls: what survivors hold on to |
//! | `peak_resident_bytes` | the largest resident size of the process at a peak |
//! | `calm_resident_bytes` | its resident size after the calm rounds |
//!
//! Live bytes are counted by the workload and not by the heap, so that they are the same on every
//! one: objects with their 8-byte headers and the tables that hold them. The resident sizes are
//! known on Linux only.
//!
//! A round's objects are numbered, and split over the threads by number. Whether one survives
//! depends on the seed and its number alone, so that the checksum, a digest of all survivors, does
//! not depend on the number of threads.

use std::collections::{BTreeMap, VecDeque};

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
/// Rounds for which survivors stay.
const STAY: u64 = 10;

impl Workload for Sawtooth {
    const NAME: &'static str = "sawtooth";
    const SUMMARY: &'static str =
        "peaks of small, medium and larger objects in turn, of which a few survive";
    const OPERATION: &'static str = "object";
    const PARAMETERS: &'static [Parameter] = &[
        Parameter::sized("bytes", [200_000, 2_000_000, 128_000_000])
            .range(2048, 1 << 36)
            .doc("bytes of objects at each peak"),
        Parameter::sized("rounds", [4, 30, 120])
            .range(1, 10_000)
            .doc("peaks"),
        Parameter::fixed("survivors", 5)
            .range(0, 100)
            .doc("per cent of the objects that survive a fall"),
        Parameter::fixed("probes", 0)
            .range(0, 1)
            .doc("1: collect at each turn and see what the heap holds; the time then says nothing"),
    ];

    fn heap_bytes(input: &Input) -> u64 {
        let bytes = input.get("bytes");
        // A heap whose blocks are each for one size holds on to a peak of every size, its own
        // headers included; and all survivors.
        let survivors = bytes / 100 * input.get("survivors") * input.get("rounds").min(STAY);
        twice(bytes / 10 * 43 + survivors, input.threads)
    }

    fn run<H: Heap>(heap: &H, input: &Input) -> Result<Outcome, HeapFull> {
        let rounds = input.get("rounds");
        let bytes = input.get("bytes");
        let probes = input.get("probes") == 1;
        let mut kept: VecDeque<Kept<H>> = VecDeque::new();
        let mut observed = Observed::default();
        let mut operations = 0;
        let mut sums = Vec::new();
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
            let held: u64 = kept.iter().map(|kept| kept.bytes).sum();
            observed.peak(heap, probes, held + batch.count * (size + 8));
            let is_over = round >= STAY;
            let gone = is_over.then(|| kept.pop_front()).flatten();
            let survivors = on_threads(heap, input.threads, |m, number| {
                let list = gone.as_ref().and_then(|gone| gone.lists[number].as_ref());
                let sum = read(m, list);
                Ok((keep_some(m, tables[number].as_ref(), input), sum))
            })?;
            drop((tables, gone));
            let (survivors, read): (Vec<Survivors<H>>, Vec<u64>) = survivors.into_iter().unzip();
            sums.extend(read);
            let bytes = survivors.iter().map(|(_, count)| count * size).sum();
            let lists = survivors.into_iter().map(|(list, _)| list).collect();
            kept.push_back(Kept { lists, bytes });
            let held = kept.iter().map(|kept| kept.bytes).sum();
            observed.fall(heap, probes, held);
        }

        let last = on_threads(heap, input.threads, |m, number| {
            let lists = kept.iter().map(|kept| kept.lists[number].as_ref());
            let read = lists.map(|list| read(m, list));
            Ok(read.fold(0, u64::wrapping_add))
        })?;
        sums.extend(last);
        drop(kept);
        for _ in 0..rounds {
            batch(bytes / CALM, SIZES[0]).allocate(heap, input.threads)?;
            if probes {
                heap.attach(|m| m.collect());
            }
        }
        Ok(Outcome {
            checksum: digest(sums),
            operations,
            observations: observed.after_calm(),
            ..Outcome::default()
        })
    }
}

/// A round's survivors: a list for each thread, and their bytes.
struct Kept<H: Heap> {
    lists: Vec<Option<H::Global>>,
    bytes: u64,
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

/// A list of survivors, and how many they are.
type Survivors<H> = (Option<<H as Heap>::Global>, u64);

/// Ties the survivors among the table's objects to a list.
fn keep_some<M: Mutator>(
    m: &mut M,
    table: Option<&<M::Heap as Heap>::Global>,
    input: &Input,
) -> Survivors<M::Heap> {
    let percent = input.get("survivors");
    let salt = mix(input.seed);
    m.frame(|m, [list]| {
        let mut count = 0;
        let length = table.map_or(0, |table| m.shape(m.open(table)).refs);
        for slot in 0..length as usize {
            if let Some(object) = table.and_then(|table| m.load(m.open(table), slot))
                && mix(salt.wrapping_add(m.word(object, 0))) % 100 < percent
            {
                m.store_move(object, 0, list);
                m.set(list, Some(object));
                count += 1;
            }
            m.safepoint();
        }
        (m.get(list).map(|list| m.global(list)), count)
    })
}

/// The sum of [`walk`] over a list, if it is there.
fn read<M: Mutator>(m: &mut M, list: Option<&<M::Heap as Heap>::Global>) -> u64 {
    m.frame(|m, [cursor]| {
        m.set(cursor, list.map(|list| m.open(list)));
        walk(m, cursor)
    })
}

/// The largest of each kind so far.
#[derive(Default)]
struct Observed {
    /// In per cent, at peaks and after falls, of what was probed.
    peak: Option<u64>,
    fall: Option<u64>,
    peak_resident_bytes: u64,
}

impl Observed {
    fn peak<H: Heap>(&mut self, heap: &H, probes: bool, live_bytes: u64) {
        let percent = probes.then(|| occupied_over_live(heap, live_bytes));
        self.peak = self.peak.max(percent);
        let resident = resident_bytes().unwrap_or(0);
        self.peak_resident_bytes = self.peak_resident_bytes.max(resident);
    }

    fn fall<H: Heap>(&mut self, heap: &H, probes: bool, live_bytes: u64) {
        let percent = probes.then(|| occupied_over_live(heap, live_bytes));
        self.fall = self.fall.max(percent);
    }

    fn after_calm(self) -> BTreeMap<&'static str, u64> {
        let resident = resident_bytes();
        let observed = [
            ("peak_occupied_over_live_percent", self.peak),
            ("fall_occupied_over_live_percent", self.fall),
            (
                "peak_resident_bytes",
                resident.map(|_| self.peak_resident_bytes),
            ),
            ("calm_resident_bytes", resident),
        ];
        let observed = observed.into_iter();
        observed
            .filter_map(|(name, value)| Some((name, value?)))
            .collect()
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
