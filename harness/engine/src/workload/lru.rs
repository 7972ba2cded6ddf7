//! `lru`: a cache that forgets what was used least recently.
//!
//! A hash table of chained entries, all of which are also in a doubly linked list by last use. Each
//! operation looks a key up, drawn from four times as many keys as there are entries, with Zipf's
//! distribution (exponent 0.99). A hit moves the entry to the front of the list and reads its
//! value. A miss makes an entry and a value, puts them in, and when the cache is full takes the
//! entry out that was used least recently. Values have 32 B to 4 KiB, each size half as many as the
//! next smaller one.
//!
//! **Models** the caches that servers consist of. Their objects are what generations are not made
//! for: they live long and then die, and old ones are made to refer to new ones all the time. On a
//! counting heap a *hit*, which changes nothing that a user would see, writes counts all along the
//! way; and the list is one cycle after the other, all alive.
//!
//! **Does not model** expiry by time, or a cache that several threads use: there are eight, each
//! with an eighth of the entries and a generator of its own, as servers do to keep their threads
//! apart; each belongs to one thread, which serves its caches in turn. More than eight threads have
//! nothing to do.
//!
//! Each entry that a lookup visits is put in a local first, as an interpreter's variables would be,
//! which costs a counting heap an increment and a decrement; `rooted=0` leaves that out, and is
//! what a compiler that proves the entry alive would make of it.
//!
//! An entry is four references and a word. Evicted entries are taken out of both structures, so no
//! garbage is cyclic. The checksum is a digest of the values that were hit, and does not depend on
//! the number of threads.
//!
//! Nominal (small, one thread): 34 MiB allocated, 83 % of the lookups being hits; minimum heap 13.9
//! MiB on gc-rc, 15.4 MiB on gc-marksweep, so a turnover of 2.3. At 2x on two cores of an EPYC:
//! 0.14 GB/s and 3 % of the time in pauses on gc-rc, 0.20 GB/s and 3 % on gc-marksweep. The full
//! size has a million entries and a turnover as small.

use super::prelude::*;
use super::zipf::Zipf;

/// See the [module documentation](self).
pub struct Lru;

/// Caches, over all threads.
const SHARDS: u64 = 8;
/// Keys for each entry of the cache.
const KEYS: u64 = 4;
/// Operations for each entry.
const TURNS: u64 = 20;
/// Words of the smallest value: 32 bytes.
const SMALLEST_WORDS: u32 = 4;
/// The largest value is this many times doubled: 4 KiB.
const DOUBLINGS: u32 = 7;

/// Fields of an entry.
const NEXT_IN_CHAIN: usize = 0;
const NEWER: usize = 1;
const OLDER: usize = 2;
const VALUE: usize = 3;
/// Fields of the object that holds the list's ends.
const NEWEST: usize = 0;
const OLDEST: usize = 1;

impl Workload for Lru {
    const NAME: &'static str = "lru";
    const SUMMARY: &'static str = "a cache that forgets what was used least recently";
    const OPERATION: &'static str = "lookup";
    const PARAMETERS: &'static [Parameter] = &[
        Parameter::sized("entries", [500, 8_000, 1_000_000])
            .range(1, 100_000_000)
            .doc("entries of the cache, over all threads; 20 lookups for each follow"),
        Parameter::fixed("rooted", 1)
            .range(0, 1)
            .doc("1: entries that are visited are put in locals; 0: they are not"),
    ];

    fn heap_bytes(input: &Input) -> u64 {
        twice(300 * input.get("entries"), input.threads)
    }

    fn run<H: Heap>(heap: &H, input: &Input) -> Result<Outcome, HeapFull> {
        let entries = input.get("entries");
        let rooted = input.get("rooted") == 1;
        let sums = on_threads(heap, input.threads, |m, number| {
            let mut shards: Vec<Shard> = share(SHARDS, input.threads, number)
                .map(|shard| Shard::new(input, shard))
                .filter(|shard| shard.capacity > 0)
                .collect();
            m.frame(|m, [caches, table, ends, entry]| {
                m.alloc(caches, Shape::new(2 * shards.len() as u32, 0))?;
                for (index, shard) in shards.iter().enumerate() {
                    m.alloc(table, Shape::new(shard.buckets as u32, 0))?;
                    m.alloc(ends, Shape::new(2, 0))?;
                    set_field(m, caches, 2 * index, m.get(table));
                    set_field(m, caches, 2 * index + 1, m.get(ends));
                }
                let turns = shards.iter().map(|shard| shard.turns).max().unwrap_or(0);
                for turn in 0..turns {
                    for (index, shard) in shards.iter_mut().enumerate() {
                        if turn >= shard.turns {
                            continue;
                        }
                        m.set(table, field(m, caches, 2 * index));
                        m.set(ends, field(m, caches, 2 * index + 1));
                        let cache = Cache {
                            table,
                            ends,
                            buckets: shard.buckets,
                            rooted,
                        };
                        shard.look_up(m, &cache, entry, turn)?;
                        m.safepoint();
                    }
                }
                Ok(total(shards.iter().map(|shard| mix(shard.sum))))
            })
        })?;
        Ok(Outcome::new(total(sums), TURNS * entries))
    }
}

/// What a thread knows of one of its caches.
struct Shard {
    keys: Zipf,
    random: Xoshiro256PlusPlus,
    capacity: u64,
    buckets: u64,
    turns: u64,
    length: u64,
    sum: u64,
}

impl Shard {
    fn new(input: &Input, number: u64) -> Self {
        let entries = share(input.get("entries"), SHARDS as usize, number as usize);
        let capacity = entries.end - entries.start;
        Self {
            keys: Zipf::new((KEYS * capacity).max(1)),
            random: generator(input.seed, number),
            capacity,
            buckets: capacity.next_power_of_two(),
            turns: TURNS * capacity,
            length: 0,
            sum: 0,
        }
    }

    /// One operation. `entry` is null afterwards.
    #[inline]
    fn look_up<'f, M: Mutator>(
        &mut self,
        m: &mut M,
        cache: &Cache<'f, M>,
        entry: M::Local<'f>,
        turn: u64,
    ) -> Result<(), HeapFull> {
        let key = self.keys.draw(&mut self.random);
        if cache.find(m, key, entry) {
            self.sum = self.sum.wrapping_add(cache.hit(m, entry));
        } else {
            if self.length == self.capacity {
                cache.evict(m);
                self.length -= 1;
            }
            cache.insert(m, key, turn)?;
            self.length += 1;
        }
        m.set(entry, None);
        Ok(())
    }
}

/// One cache.
struct Cache<'f, M: Mutator> {
    table: M::Local<'f>,
    ends: M::Local<'f>,
    /// A power of two.
    buckets: u64,
    rooted: bool,
}

impl<'f, M: Mutator> Cache<'f, M> {
    #[inline]
    fn bucket(&self, key: u64) -> usize {
        (mix(key) & (self.buckets - 1)) as usize
    }

    /// Looks `key` up and puts its entry in `found`; says whether there is one.
    #[inline]
    fn find(&self, m: &M, key: u64, found: M::Local<'f>) -> bool {
        let Some(table) = m.get(self.table) else {
            return false;
        };
        let mut node = m.load(table, self.bucket(key));
        while let Some(entry) = node {
            if self.rooted {
                m.set(found, Some(entry));
            }
            if m.word(entry, 0) == key {
                m.set(found, Some(entry));
                return true;
            }
            node = m.load(entry, NEXT_IN_CHAIN);
        }
        false
    }

    /// Moves the entry to the front, and reads its value: a digest of the first and the last word.
    #[inline]
    fn hit(&self, m: &M, entry: M::Local<'f>) -> u64 {
        let (Some(ends), Some(entry)) = (m.get(self.ends), m.get(entry)) else {
            return 0;
        };
        if m.load(ends, NEWEST) != Some(entry) {
            unlink(m, ends, entry);
            push(m, ends, entry);
        }
        let Some(value) = m.load(entry, VALUE) else {
            return 0;
        };
        let last = m.shape(value).words as usize - 1;
        mix(m.word(value, 0) ^ mix(m.word(value, last)))
    }

    /// Puts a new entry in.
    #[inline]
    fn insert(&self, m: &mut M, key: u64, turn: u64) -> Result<(), HeapFull> {
        let words = SMALLEST_WORDS << mix(!key).trailing_zeros().min(DOUBLINGS);
        let bucket = self.bucket(key);
        let (table, ends) = (self.table, self.ends);
        m.frame(|m, [chain, none, value, entry]| {
            m.alloc(value, Shape::new(0, words).with(Flags::ACYCLIC))?;
            if let Some(value) = m.get(value) {
                m.set_word(value, 0, key);
                m.set_word(value, words as usize - 1, turn);
            }
            m.set(chain, field(m, table, bucket));
            m.alloc_init(entry, Flags::NONE, [chain, none, none, value], [key])?;
            if let (Some(ends), Some(entry)) = (m.get(ends), m.get(entry)) {
                push(m, ends, entry);
            }
            if let Some(table) = m.get(table) {
                m.store_move(table, bucket, entry);
            }
            Ok(())
        })
    }

    /// Takes the entry out that was used least recently.
    #[inline]
    fn evict(&self, m: &M) {
        let (Some(table), Some(ends)) = (m.get(self.table), m.get(self.ends)) else {
            return;
        };
        let Some(oldest) = m.load(ends, OLDEST) else {
            return;
        };
        unlink(m, ends, oldest);
        let bucket = self.bucket(m.word(oldest, 0));
        let rest = m.load(oldest, NEXT_IN_CHAIN);
        let mut node = m.load(table, bucket);
        if node == Some(oldest) {
            m.store(table, bucket, rest);
            return;
        }
        while let Some(entry) = node {
            node = m.load(entry, NEXT_IN_CHAIN);
            if node == Some(oldest) {
                m.store(entry, NEXT_IN_CHAIN, rest);
                return;
            }
        }
    }
}

/// Takes an entry out of the list.
#[inline]
fn unlink<'m, M: Mutator>(m: &'m M, ends: M::Ref<'m>, entry: M::Ref<'m>) {
    let (newer, older) = (m.load(entry, NEWER), m.load(entry, OLDER));
    match newer {
        Some(newer) => m.store(newer, OLDER, older),
        None => m.store(ends, NEWEST, older),
    }
    match older {
        Some(older) => m.store(older, NEWER, newer),
        None => m.store(ends, OLDEST, newer),
    }
    m.store(entry, NEWER, None);
    m.store(entry, OLDER, None);
}

/// Puts an entry that is in no list in front.
#[inline]
fn push<'m, M: Mutator>(m: &'m M, ends: M::Ref<'m>, entry: M::Ref<'m>) {
    let second = m.load(ends, NEWEST);
    m.store(entry, OLDER, second);
    match second {
        Some(second) => m.store(second, NEWER, Some(entry)),
        None => m.store(ends, OLDEST, Some(entry)),
    }
    m.store(ends, NEWEST, Some(entry));
}
