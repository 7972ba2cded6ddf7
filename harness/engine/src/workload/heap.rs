//! `heap`: the heap of somebody's own program, as `harness import` made a graph of its dump.
//!
//! The objects that its roots reach are made, in an `order`, and connected; then these happen to
//! them, each with a time of its own among the observations:
//!
//! | phase | what it costs |
//! |---|---|
//! | `build` | making the objects and storing their references |
//! | `first_collection`, `collection` | an explicit collection of all of it, in which nothing is garbage: the first one, and the median of three more |
//! | `replace` | `replace` per cent of the objects replaced, one by one: an object that another refers to is copied, and the reference leads to the copy |
//! | `drop` | the last reference goes, and what a heap frees at once is freed |
//! | `last_collection` | an explicit collection after that: what was still there |
//!
//! **Models** the structure of a real heap: sizes, depth, cycles, sharing, and by `order` whether
//! neighbours in the program are neighbours here.
//!
//! **Does not model** its lifetimes, of which a dump says nothing: what `replace` does is made up.
//! Nor its weak references, which are null fields here: those of the contract lie outside the heap.
//! Objects that nothing reaches are left out.
//!
//! While the objects are connected a table holds all of them; it goes before anything is measured
//! but `build`. An object of more than 4 GiB is cut off there, and counted. One thread does it all.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use contract::shown::shown;
use graph::Graph;

use super::prelude::*;

/// See the [module documentation](self).
pub struct HeapGraph;

/// Objects that a part of the table holds.
const PART: usize = 4096;
/// The most words of an object.
const MOST_WORDS: usize = (1 << 29) - 1;
/// Explicit collections after the first, of which the median is told.
const COLLECTIONS: usize = 3;
/// Fields of an object that is copied, at most: one that is wider is not replaced.
const MOST_COPIED: usize = 1024;

/// Fields that are looked at between polls.
const STRETCH: usize = 1024;

/// In which order objects can be made.
pub const ORDERS: &[&str] = &["address", "breadth-first", "shuffled"];

/// A graph, and the numbers of its objects in the order in which they are made.
struct Loaded {
    key: (String, u64, u64),
    graph: Graph,
    order: Vec<u32>,
}

/// The graph that was used last: a process asks for the same one again.
static LOADED: Mutex<Option<Arc<Loaded>>> = Mutex::new(None);

fn load(input: &Input) -> Result<Arc<Loaded>, String> {
    let file = input.file.clone().unwrap_or_default();
    let key = (file, input.get("order"), input.seed);
    let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(loaded) = loaded.as_ref().filter(|loaded| loaded.key == key) {
        return Ok(loaded.clone());
    }
    let shown = shown(&key.0);
    let graph = Graph::open(&key.0).map_err(|error| format!("heap: {shown}: {error}"))?;
    let mut order = graph.reachable();
    if order.is_empty() {
        return Err(format!("heap: {shown}: no root reaches any object"));
    }
    match ORDERS[key.1 as usize] {
        "address" => order.sort_unstable(),
        "shuffled" => {
            // Fisher and Yates.
            let random = &mut generator(input.seed, 0);
            for last in (1..order.len()).rev() {
                order.swap(last, below(random, last + 1));
            }
        }
        _ => {}
    }
    let new = Arc::new(Loaded { key, graph, order });
    *loaded = Some(new.clone());
    Ok(new)
}

impl Workload for HeapGraph {
    const NAME: &'static str = "heap";
    const SUMMARY: &'static str =
        "the heap of your own program, from a dump: collected, changed, dropped";
    const OPERATION: &'static str = "object";
    const FILE: Option<&'static str> = Some("a graph that 'harness import' made of a heap dump");
    const PARAMETERS: &'static [Parameter] = &[
        Parameter::choice("order", ORDERS).doc("in which order objects are made"),
        Parameter::fixed("scale", 1)
            .range(1, 1000)
            .doc("copies of the graph, side by side"),
        Parameter::fixed("replace", 0)
            .range(0, 100)
            .doc("per cent of the objects that are replaced by copies (made up)"),
    ];

    fn check(input: &Input) -> Result<(), String> {
        let loaded = load(input)?;
        if input.threads > 1 {
            return Err("heap: one thread does all of it; leave --threads out".to_owned());
        }
        let objects = loaded.order.len() as u64 * input.get("scale");
        if objects > u64::from(u32::MAX) {
            return Err(format!(
                "heap: scale={} makes too many objects",
                input.get("scale")
            ));
        }
        Ok(())
    }

    fn heap_bytes(input: &Input) -> u64 {
        let Ok(loaded) = load(input) else { return 0 };
        let live: u64 = (loaded.order.iter())
            .map(|&object| {
                let object = object as usize;
                // A header of two words, and a place in the table.
                24 + 8 * (loaded.graph.fields(object) + loaded.graph.words(object)) as u64
            })
            .sum();
        // A heap gives each size of objects blocks of its own: few objects of many sizes take more
        // than their bytes.
        const BLOCKS: u64 = 16 << 20;
        twice(live * input.get("scale"), 1) + BLOCKS
    }

    fn run<H: Heap>(heap: &H, input: &Input) -> Result<Outcome, HeapFull> {
        let loaded = load(input).expect("it has been checked");
        let mut outcomes = on_threads(heap, 1, |m, _| on(m, heap, &loaded, input))?;
        Ok(outcomes.swap_remove(0))
    }
}

/// What is done to a graph on a heap: the phases, and what is needed to carry them out.
struct Phases<'g> {
    graph: &'g Graph,
    order: &'g [u32],
    copies: usize,
    /// How long each took, in nanoseconds, and what else was seen.
    seen: Vec<(&'static str, u64)>,
}

impl Phases<'_> {
    fn objects(&self) -> usize {
        self.order.len() * self.copies
    }

    /// The number in the graph of the `index`th object that is made.
    fn number(&self, index: usize) -> usize {
        self.order[index % self.order.len()] as usize
    }

    fn shape(&self, number: usize) -> Shape {
        let words = self.graph.words(number).min(MOST_WORDS);
        Shape::new(self.graph.fields(number) as u32, words as u32)
    }

    fn timed<M, R>(&mut self, phase: &'static str, m: &mut M, f: impl FnOnce(&mut M) -> R) -> R {
        let begun = Instant::now();
        let result = f(m);
        self.seen.push((phase, begun.elapsed().as_nanos() as u64));
        result
    }

    /// Makes the objects, in parts of a table.
    fn make<M: Mutator>(&self, m: &mut M, table: M::Local<'_>) -> Result<(), HeapFull> {
        let objects = self.objects();
        m.alloc(table, Shape::new(objects.div_ceil(PART) as u32, 0))?;
        m.frame(|m, [part, object]| {
            for begin in (0..objects).step_by(PART) {
                let end = objects.min(begin + PART);
                m.alloc(part, Shape::new((end - begin) as u32, 0))?;
                if let Some(table) = m.get(table) {
                    m.store(table, begin / PART, m.get(part));
                }
                for index in begin..end {
                    m.alloc(object, self.shape(self.number(index)))?;
                    if let Some(part) = m.get(part) {
                        m.store_move(part, index - begin, object);
                    }
                    m.safepoint();
                }
            }
            Ok(())
        })
    }

    /// Stores the references of all objects, and makes a table of what the roots lead to.
    fn connect<M: Mutator>(
        &self,
        m: &mut M,
        table: M::Local<'_>,
        roots: M::Local<'_>,
    ) -> Result<(), HeapFull> {
        // Where each object of the graph is among those that are made.
        let mut places = vec![u32::MAX; self.graph.objects()];
        for (place, &number) in self.order.iter().enumerate() {
            places[number as usize] = place as u32;
        }
        for index in 0..self.objects() {
            let first = index - index % self.order.len();
            let references = self.graph.of(self.number(index)).enumerate();
            let mut strong = references
                .filter(|(_, reference)| !reference.weak)
                .peekable();
            while strong.peek().is_some() {
                if let Some(object) = at(m, table, index) {
                    for (field, reference) in strong.by_ref().take(STRETCH) {
                        let place = first + places[reference.to] as usize;
                        m.store(object, field, at(m, table, place));
                    }
                }
                m.safepoint();
            }
        }
        let all = self.graph.roots();
        m.alloc(roots, Shape::new((all.len() * self.copies) as u32, 0))?;
        for index in 0..all.len() * self.copies {
            if let Some(roots) = m.get(roots) {
                let place = places[all[index % all.len()] as usize] as usize;
                let copy = index / all.len();
                m.store(roots, index, at(m, table, copy * self.order.len() + place));
            }
            m.safepoint();
        }
        Ok(())
    }

    /// A digest of all references as the heap has them.
    fn digest<M: Mutator>(&self, m: &mut M, table: M::Local<'_>) -> u64 {
        let mut sum = 0u64;
        for index in 0..self.objects() {
            let fields = self.graph.fields(self.number(index));
            for begin in (0..fields).step_by(STRETCH) {
                if let Some(object) = at(m, table, index) {
                    for field in begin..fields.min(begin + STRETCH) {
                        if let Some(to) = m.load(object, field) {
                            let shape = m.shape(to);
                            let shape = u64::from(shape.refs) << 32 | u64::from(shape.words);
                            sum = sum.wrapping_add(mix(index as u64 ^ mix(shape ^ field as u64)));
                        }
                    }
                }
                m.safepoint();
            }
        }
        sum
    }

    /// Chooses references that are to lead to copies, and puts the objects that have them into a
    /// table of their own. Returns in which field of each.
    fn sample<M: Mutator>(
        &self,
        m: &mut M,
        table: M::Local<'_>,
        sample: M::Local<'_>,
        input: &Input,
    ) -> Result<Vec<usize>, HeapFull> {
        let wanted = self.objects() as u64 * input.get("replace") / 100;
        let random = &mut generator(input.seed, 1);
        let mut chosen = Vec::new();
        let mut fields = Vec::new();
        // An object without references is passed over; so there may be fewer.
        for _ in 0..wanted {
            let index = below(random, self.objects());
            let references = self.graph.of(self.number(index));
            if references.len() == 0 {
                continue;
            }
            let field = below(random, references.len());
            let reference = references.clone().nth(field);
            if reference.is_some_and(|to| !to.weak && self.graph.fields(to.to) <= MOST_COPIED) {
                chosen.push(index);
                fields.push(field);
            }
        }
        m.alloc(sample, Shape::new(chosen.len() as u32, 0))?;
        for (slot, index) in chosen.into_iter().enumerate() {
            if let Some(sample) = m.get(sample) {
                m.store(sample, slot, at(m, table, index));
            }
            m.safepoint();
        }
        Ok(fields)
    }
}

/// The object of this index in the table.
fn at<'m, M: Mutator>(m: &'m M, table: M::Local<'_>, index: usize) -> Option<M::Ref<'m>> {
    m.load(field(m, table, index / PART)?, index % PART)
}

/// Lets each sampled reference lead to a copy of what it led to.
fn replace<M: Mutator>(m: &mut M, sample: M::Local<'_>, fields: &[usize]) -> Result<(), HeapFull> {
    m.frame(|m, [copy]| {
        for (slot, &number) in fields.iter().enumerate() {
            let old = field(m, sample, slot).and_then(|object| m.load(object, number));
            let Some(shape) = old.map(|old| m.shape(old)) else {
                continue;
            };
            m.alloc(copy, shape)?;
            if let Some(object) = field(m, sample, slot)
                && let Some(old) = m.load(object, number)
                && let Some(new) = m.get(copy)
            {
                for field in 0..shape.refs as usize {
                    m.store(new, field, m.load(old, field));
                }
                m.store_move(object, number, copy);
            }
            m.safepoint();
        }
        Ok(())
    })
}

fn on<H: Heap, M: Mutator<Heap = H>>(
    m: &mut M,
    heap: &H,
    loaded: &Loaded,
    input: &Input,
) -> Result<Outcome, HeapFull> {
    let mut phases = Phases {
        graph: &loaded.graph,
        order: &loaded.order,
        copies: input.size("scale"),
        seen: Vec::new(),
    };
    m.frame(|m, [table, roots, sample]| {
        let begun = Instant::now();
        phases.make(m, table)?;
        phases.connect(m, table, roots)?;
        phases
            .seen
            .push(("build_ns", begun.elapsed().as_nanos() as u64));
        let checksum = phases.digest(m, table);
        let fields = phases.sample(m, table, sample, input)?;
        m.set(table, None);
        m.safepoint();

        phases.timed("first_collection_ns", m, M::collect);
        let bytes = heap.statistics().occupied_bytes;
        let mut times = [0; COLLECTIONS];
        for time in &mut times {
            let begun = Instant::now();
            m.collect();
            *time = begun.elapsed().as_nanos() as u64;
        }
        times.sort_unstable();
        phases.seen.push(("collection_ns", times[COLLECTIONS / 2]));
        let longest = times[COLLECTIONS - 1];
        phases.seen.push(("longest_collection_ns", longest));
        if !fields.is_empty() {
            phases.timed("replace_ns", m, |m| replace(m, sample, &fields))?;
        }
        phases.timed("drop_ns", m, |m| {
            m.set(sample, None);
            m.set(roots, None);
            m.safepoint();
        });
        phases.timed("last_collection_ns", m, M::collect);

        let objects = phases.objects() as u64;
        let payload: u64 = (loaded.order.iter())
            .map(|&object| phases.shape(object as usize).payload_bytes())
            .sum();
        let cut = (loaded.order.iter())
            .filter(|&&object| loaded.graph.words(object as usize) > MOST_WORDS)
            .count();
        let seen = phases.seen.into_iter().chain([
            ("objects", objects),
            ("payload_bytes", payload * phases.copies as u64),
            ("heap_bytes", bytes),
            ("replaced", fields.len() as u64),
            (
                "left_out",
                (loaded.graph.objects() - loaded.order.len()) as u64,
            ),
            ("cut_off", cut as u64),
            ("graph", loaded.graph.identity()),
        ]);
        Ok(Outcome::new(mix(checksum), objects).observing(seen))
    })
}
