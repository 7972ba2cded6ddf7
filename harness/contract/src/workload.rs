//! What a workload is, what it is given, what it answers, and what it owes the comparison.
//!
//! A workload is a type with a [`Workload`] impl and nothing in it.
//!
//! # What a workload owes the comparison
//!
//! * The *same work* on every heap: for the same [`Input`] it allocates the same objects and
//!   returns the same checksum and operations. The harness compares checksum, object count and
//!   payload bytes, and calls the pair void if they differ. So nothing may depend on the schedule,
//!   on when an object dies, or on [`HeapFull`], which is passed on with `?`.
//! * The *same total work* for every number of threads, split by [`share`]; where possible with the
//!   same checksum.
//! * *Polls* at loop back-edges and calls ([`Mutator::safepoint`]); between two `&mut` operations
//!   it visits at most a few thousand objects.
//! * *Setup is part of it.* The whole of [`Workload::run`] is timed; a workload whose setup would
//!   drown its subject says so in its documentation and lets a parameter make it small.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::panic;
use std::sync::{PoisonError, RwLock};
use std::thread;

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};

use crate::heap::{Heap, HeapFull, Mutator};
use crate::row::Invocation;
pub use crate::row::Size;
use crate::suggest;
use crate::threads;

/// A program over an object graph.
pub trait Workload: 'static {
    /// Its name on the command line and in results, in kebab-case.
    const NAME: &'static str;
    /// One line about it.
    const SUMMARY: &'static str;
    /// What one operation is, in the singular: figures are given per operation.
    const OPERATION: &'static str;
    /// What can be set, `NAME:parameter=value`.
    const PARAMETERS: &'static [Parameter];
    /// What it reads, if it reads a file, in one line: `NAME:file=PATH` says which, and without one
    /// it is not run.
    const FILE: Option<&'static str> = None;

    /// Looks at what it is given, before anything runs.
    ///
    /// # Errors
    ///
    /// A sentence that says what is wrong with it, and the way out.
    fn check(input: &Input) -> Result<(), String> {
        let _ = input;
        Ok(())
    }

    /// The heap bytes at which heaps are compared if the user names none: about twice the larger of
    /// the compared heaps' minima for this input.
    fn heap_bytes(input: &Input) -> u64;

    /// Does the work. The calling thread is not attached; see [`on_threads`].
    ///
    /// # Errors
    ///
    /// [`HeapFull`] if the heap is too small for it.
    fn run<H: Heap>(heap: &H, input: &Input) -> Result<Outcome, HeapFull>;
}

/// A number that shapes a workload.
///
/// ```
/// # use contract::workload::Parameter;
/// const OBJECTS: Parameter = Parameter::sized("objects", [100, 10_000, 1_000_000])
///     .range(1, 1_000_000_000)
///     .doc("objects made, over all threads");
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Parameter {
    /// Its name on the command line and in results.
    pub name: &'static str,
    /// What it is, with its unit, in one line.
    pub doc: &'static str,
    /// Its value for [`Size::Tiny`].
    pub tiny: u64,
    /// Its value for [`Size::Small`].
    pub small: u64,
    /// Its value for [`Size::Full`].
    pub full: u64,
    /// The least and the largest value that make sense.
    pub range: (u64, u64),
    /// What its values are called, from 0 on; empty if they are numbers.
    pub words: &'static [&'static str],
}

impl Parameter {
    /// One whose value does not depend on the size. Its range, and what it is, must follow.
    pub const fn fixed(name: &'static str, value: u64) -> Self {
        Self::sized(name, [value; 3])
    }

    /// One with a value for each size: tiny, small, and full. Its range, and what it is, must
    /// follow.
    pub const fn sized(name: &'static str, [tiny, small, full]: [u64; 3]) -> Self {
        Self {
            name,
            doc: "",
            tiny,
            small,
            full,
            range: (0, u64::MAX),
            words: &[],
        }
    }

    /// One of these words, by default the first. What it is must follow. Its value is the number of
    /// the word, from 0.
    pub const fn choice(name: &'static str, words: &'static [&'static str]) -> Self {
        Self {
            words,
            ..Self::fixed(name, 0).range(0, words.len() as u64 - 1)
        }
    }

    /// One of its values, as a user writes it.
    pub fn written(&self, value: u64) -> String {
        let word = usize::try_from(value)
            .ok()
            .and_then(|value| self.words.get(value));
        word.map_or_else(|| value.to_string(), |word| (*word).to_owned())
    }

    /// What a user wrote, as a value.
    fn read(&self, text: &str) -> Option<u64> {
        let (least, most) = self.range;
        if let Some(word) = self.words.iter().position(|word| *word == text) {
            return Some(word as u64);
        }
        let number = text.replace('_', "").parse().ok();
        number.filter(|number| (least..=most).contains(number))
    }

    /// What a user may write.
    fn values(&self) -> String {
        match self.words {
            [] => {
                let (least, most) = self.range;
                format!("a whole number from {least} to {most}")
            }
            words => words.join(", "),
        }
    }

    /// The same with the least and the largest value that make sense.
    pub const fn range(self, least: u64, most: u64) -> Self {
        Self {
            range: (least, most),
            ..self
        }
    }

    /// The same with what it is, and its unit, in one line.
    pub const fn doc(self, doc: &'static str) -> Self {
        Self { doc, ..self }
    }

    /// Its value for `size`.
    pub const fn value(&self, size: Size) -> u64 {
        match size {
            Size::Tiny => self.tiny,
            Size::Small => self.small,
            Size::Full => self.full,
        }
    }
}

/// What a workload is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input {
    /// Mutator threads the work is split over, at least 1.
    pub threads: usize,
    /// Where pseudo-random sequences start; see [`generator`].
    pub seed: u64,
    parameters: BTreeMap<String, u64>,
    /// The file that it reads, if it reads one.
    pub file: Option<String>,
    /// What this process was started to do, if it is a child of the harness: then, and only then,
    /// starting this program again makes another.
    pub invocation: Option<Box<Invocation>>,
}

impl Input {
    /// The parameters of `workload` at `size`, on one thread.
    pub fn new(workload: &Description, size: Size) -> Self {
        let parameters = workload.parameters.iter();
        Self {
            threads: 1,
            seed: 42,
            parameters: parameters
                .map(|parameter| (parameter.name.to_owned(), parameter.value(size)))
                .collect(),
            file: None,
            invocation: None,
        }
    }

    /// The parameters of `W` at `size`, on one thread.
    pub fn of<W: Workload>(size: Size) -> Self {
        Self::new(&Description::of::<W>(), size)
    }

    /// Sets a parameter.
    ///
    /// # Errors
    ///
    /// A sentence that names the parameter the user may have meant, or the range of its values.
    pub fn set(&mut self, workload: &Description, name: &str, value: &str) -> Result<(), String> {
        if name == "file" && workload.file.is_some() {
            self.file = Some(value.to_owned());
            return Ok(());
        }
        let Some(parameter) = workload
            .parameters
            .iter()
            .find(|parameter| parameter.name == name)
        else {
            let names = workload.parameters.iter().map(|parameter| parameter.name);
            let names = names.chain(workload.file.map(|_| "file"));
            return Err(suggest::unknown(
                &format!("parameter of {}", workload.name),
                name,
                names,
            ));
        };
        let number = parameter.read(value).ok_or_else(|| {
            let (workload, values) = (workload.name, parameter.values());
            format!("{workload}: parameter {name} cannot be '{value}': expected {values}")
        })?;
        self.parameters.insert(name.to_owned(), number);
        Ok(())
    }

    /// Every parameter and its value.
    pub fn parameters(&self) -> &BTreeMap<String, u64> {
        &self.parameters
    }

    /// The value of a parameter.
    ///
    /// # Panics
    ///
    /// If the workload declares no parameter of this name.
    pub fn get(&self, name: &str) -> u64 {
        self.parameters[name]
    }

    /// [`Input::get`], as a length or index.
    ///
    /// # Panics
    ///
    /// If the workload declares no parameter of this name.
    pub fn size(&self, name: &str) -> usize {
        usize::try_from(self.get(name)).unwrap_or(usize::MAX)
    }
}

/// What a workload did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// A digest of the results, equal on every heap.
    pub checksum: u64,
    /// How many operations it did; [`Workload::OPERATION`] says of what.
    pub operations: u64,
    /// The requests it served, if it serves requests.
    pub requests: Vec<Request>,
    /// The deaths it planted, if it plants any.
    pub deaths: Vec<Death>,
    /// What else it saw on its way, such as how much memory the heap held at a moment that only the
    /// workload knows. Names end in their units. Not part of the work: heaps need not agree.
    pub observations: BTreeMap<&'static str, u64>,
}

impl Outcome {
    /// One that is nothing but work.
    pub fn new(checksum: u64, operations: u64) -> Self {
        Self {
            checksum,
            operations,
            ..Self::default()
        }
    }

    /// The same with what was observed, as far as there is a value.
    #[must_use]
    pub fn observing<V: Into<Option<u64>>>(
        mut self,
        observed: impl IntoIterator<Item = (&'static str, V)>,
    ) -> Self {
        let observed = observed.into_iter();
        let there = observed.filter_map(|(name, value)| Some((name, value.into()?)));
        self.observations.extend(there);
        self
    }
}

/// When a request was to be served and was, in nanoseconds since one moment that is the same for
/// all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// When it arrived, or was to.
    pub intended: u64,
    /// When its work began.
    pub start: u64,
    /// When its work ended.
    pub end: u64,
}

/// The death of one object, in nanoseconds since the heap's [origin](Heap::origin).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Death {
    /// When the last reference was dropped.
    pub unreachable: u64,
    /// When the heap had found out; `None` if it had not when the workload looked.
    pub identified: Option<u64>,
}

/// Plants deaths and looks after them.
///
/// Costs a weak reference for each, so a workload plants some hundreds of deaths among its
/// millions.
#[derive(Debug)]
pub struct Sentinels<H: Heap> {
    heap: H,
    planted: Vec<(u64, H::Weak)>,
}

impl<H: Heap> Sentinels<H> {
    /// Of objects on this heap.
    pub fn new(heap: &H) -> Self {
        Self {
            heap: heap.clone(),
            planted: Vec::new(),
        }
    }

    /// Watches the object in `local`, sets the local to null, and takes the time: it is to be the
    /// last reference.
    pub fn bury<M: Mutator<Heap = H>>(&mut self, m: &M, local: M::Local<'_>) {
        let Some(object) = m.get(local) else { return };
        let weak = m.downgrade(object);
        let now = self.heap.origin().elapsed().as_nanos() as u64;
        m.set(local, None);
        self.planted.push((now, weak));
    }

    /// What has become of them so far.
    pub fn deaths(&self) -> Vec<Death> {
        let planted = self.planted.iter();
        planted
            .map(|&(unreachable, ref weak)| Death {
                unreachable,
                identified: H::cleared_at(weak),
            })
            .collect()
    }
}

/// A workload whose type has been forgotten.
#[derive(Clone, Copy)]
pub struct Description {
    /// [`Workload::NAME`].
    pub name: &'static str,
    /// [`Workload::SUMMARY`].
    pub summary: &'static str,
    /// [`Workload::OPERATION`].
    pub operation: &'static str,
    /// [`Workload::PARAMETERS`].
    pub parameters: &'static [Parameter],
    /// [`Workload::FILE`].
    pub file: Option<&'static str>,
    check: fn(&Input) -> Result<(), String>,
    heap_bytes: fn(&Input) -> u64,
}

impl fmt::Debug for Description {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Workload").field(&self.name).finish()
    }
}

impl Description {
    /// The description of `W`.
    pub const fn of<W: Workload>() -> Self {
        Self {
            name: W::NAME,
            summary: W::SUMMARY,
            operation: W::OPERATION,
            parameters: W::PARAMETERS,
            file: W::FILE,
            check: W::check,
            heap_bytes: W::heap_bytes,
        }
    }

    /// [`Workload::check`], and whether there is a file where one is needed.
    ///
    /// # Errors
    ///
    /// A sentence that says what is wrong, and the way out.
    pub fn check(&self, input: &Input) -> Result<(), String> {
        if let (Some(what), None) = (self.file, &input.file) {
            let name = self.name;
            return Err(format!("{name} reads {what}: say which, {name}:file=PATH"));
        }
        (self.check)(input)
    }

    /// [`Workload::heap_bytes`], rounded up to a mebibyte.
    pub fn heap_bytes(&self, input: &Input) -> u64 {
        (self.heap_bytes)(input).next_multiple_of(1 << 20)
    }
}

/// The heap bytes for a workload that keeps at most `live` bytes alive: twice that, and room for
/// each thread's allocation buffers.
pub const fn twice(live: u64, threads: usize) -> u64 {
    2 * live + (1 << 20) + threads as u64 * (256 << 10)
}

/// Runs `f` on `threads` attached threads, which it tells apart by a number from 0, and returns
/// what each returned, in that order.
///
/// The calling thread waits without being attached. One thread is a new one, too: threads of every
/// count begin alike. They begin when all of them are there, so that what they wait for at each
/// other will come; until then no time counts ([`threads::starting`]).
///
/// # Errors
///
/// The first error, once every thread has ended.
///
/// # Panics
///
/// If a thread panicked, with its payload. If the system has not as many threads: then `f` was not
/// run at all, and the harness writes a row that says so.
pub fn on_threads<H, T, E, F>(heap: &H, threads: usize, f: F) -> Result<Vec<T>, E>
where
    H: Heap,
    T: Send,
    E: Send,
    F: for<'h> Fn(&mut H::Mutator<'h>, usize) -> Result<T, E> + Sync,
{
    let f = &f;
    // Held until every thread has been started; whether they all have.
    let all = RwLock::new(false);
    thread::scope(|scope| {
        let mut starting = all.write().unwrap_or_else(PoisonError::into_inner);
        let all = &all;
        let handles: Vec<_> = (0..threads)
            .map(|number| {
                threads::start_scoped(scope, move || {
                    // A panic while it was held is that of a thread that could not be started.
                    let begin = all.read().is_ok_and(|all| *all);
                    begin.then(|| {
                        let result = heap.attach(|mutator| f(mutator, number));
                        (result, threads::starting())
                    })
                })
            })
            .collect();
        *starting = true;
        drop(starting);
        let (results, starting): (Vec<_>, Vec<_>) = handles
            .into_iter()
            .map(|handle| {
                let result = handle.join();
                result.unwrap_or_else(|payload| panic::resume_unwind(payload))
            })
            .map(|result| result.expect("all were started"))
            // Every thread is joined before the first error is looked at.
            .unzip();
        // Those that started threads of their own waited for them at the same time.
        threads::add_starting(starting.into_iter().max().unwrap_or_default());
        results.into_iter().collect()
    })
}

/// Thread `number`'s part of `total` items when `threads` share them: consecutive, disjoint,
/// together everything, their lengths differing by at most one.
pub fn share(total: u64, threads: usize, number: usize) -> Range<u64> {
    let boundary = |number: usize| (u128::from(total) * number as u128 / threads as u128) as u64;
    boundary(number)..boundary(number + 1)
}

/// Mixes the bits of `value` so that sums of results tell different multisets apart (the finaliser
/// of SplitMix64; Steele, Lea, Flood, OOPSLA 2014).
#[inline]
pub const fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// What parts of the work came to, together.
pub fn total(parts: impl IntoIterator<Item = u64>) -> u64 {
    parts.into_iter().fold(0, u64::wrapping_add)
}

/// A checksum of what parts of the work came to, in whatever order they are.
pub fn digest(parts: impl IntoIterator<Item = u64>) -> u64 {
    mix(total(parts))
}

/// A field of the object in a local; null if there is none.
#[inline]
pub fn field<'m, M: Mutator>(m: &'m M, local: M::Local<'_>, field: usize) -> Option<M::Ref<'m>> {
    m.load(m.get(local)?, field)
}

/// Writes a field of the object in a local, if there is one.
#[inline]
pub fn set_field<'m, M: Mutator>(
    m: &'m M,
    local: M::Local<'_>,
    field: usize,
    value: Option<M::Ref<'m>>,
) {
    if let Some(object) = m.get(local) {
        m.store(object, field, value);
    }
}

/// Writes a word of the object in a local, if there is one.
#[inline]
pub fn set_word<M: Mutator>(m: &M, local: M::Local<'_>, index: usize, value: u64) {
    if let Some(object) = m.get(local) {
        m.set_word(object, index, value);
    }
}

/// A word of the object in a local; 0 if there is none.
#[inline]
pub fn word<M: Mutator>(m: &M, local: M::Local<'_>, index: usize) -> u64 {
    m.get(local).map_or(0, |object| m.word(object, index))
}

/// The pseudo-random sequence numbered `stream` of a run with this seed. Streams are independent
/// for all practical purposes: their states are derived by SplitMix64.
pub fn generator(seed: u64, stream: u64) -> Xoshiro256PlusPlus {
    Xoshiro256PlusPlus::seed_from_u64(
        mix(seed).wrapping_add(stream.wrapping_mul(0x9e37_79b9_7f4a_7c15)),
    )
}

/// A number below `bound`, by multiplication (Lemire, 2019) without the rejection step: the bias is
/// at most `bound / 2^64`.
#[inline]
pub fn below(generator: &mut Xoshiro256PlusPlus, bound: usize) -> usize {
    ((u128::from(generator.next_u64()) * bound as u128) >> 64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_cover_everything_once() {
        for total in [0, 1, 2, 7, 1000, u64::MAX] {
            for threads in [1, 2, 3, 7] {
                let shares: Vec<_> = (0..threads)
                    .map(|number| share(total, threads, number))
                    .collect();
                assert_eq!(shares[0].start, 0);
                assert_eq!(shares[threads - 1].end, total);
                assert!(shares.windows(2).all(|pair| pair[0].end == pair[1].start));
                let lengths = shares.iter().map(|share| share.end - share.start);
                assert!(lengths.clone().max().unwrap() - lengths.min().unwrap() <= 1);
            }
        }
    }

    #[test]
    fn streams_differ_and_repeat() {
        let first = |seed, stream| generator(seed, stream).next_u64();
        assert_eq!(first(1, 2), first(1, 2));
        assert_ne!(first(1, 2), first(1, 3));
        assert_ne!(first(1, 2), first(2, 2));
        let mut generator = generator(1, 1);
        assert!((0..1000).all(|_| below(&mut generator, 10) < 10));
    }
}
