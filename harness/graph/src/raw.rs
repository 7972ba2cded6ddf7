//! A graph in memory, as an importer makes it.
//!
//! Objects come in the order of the dump, each with all of its references at once, so that nothing
//! has to be put in between what is there. An importer that finds out late in what order objects
//! are to be written gives that order at the end.

use std::io;

use crate::file::{MAX_OBJECTS, MAX_REFERENCES, Reference, WEAK};

/// A graph in memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RawGraph {
    ends: Vec<u32>,
    fields: Vec<u32>,
    words: Vec<u32>,
    references: Vec<u32>,
    roots: Vec<u32>,
    /// The places of the objects in the order in which they are written, if that is another. It may
    /// leave some out, to which then nothing refers.
    order: Option<Vec<u32>>,
    addresses: bool,
    source_bytes: u64,
    /// Objects that are larger than the file can tell, and where the first of them is in its dump.
    cut: (u64, u64),
    /// Of which dumps it was made, as [`crate::origin`] has it.
    origin: u64,
}

/// The most payload of an object, in words of 8 bytes.
const MOST_WORDS: u64 = u32::MAX as u64;

/// The graph is larger than its file can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLarge;

impl RawGraph {
    /// One without objects.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an object's reference, before the object itself.
    pub(crate) fn push_reference(&mut self, to: usize, weak: bool) -> Result<(), TooLarge> {
        if self.references.len() >= MAX_REFERENCES {
            return Err(TooLarge);
        }
        self.references
            .push(to as u32 | if weak { WEAK } else { 0 });
        Ok(())
    }

    /// Adds an object with the references that were pushed since the last one, of `fields`
    /// reference fields and `bytes` beside them; `at` is where it stands in its dump.
    pub(crate) fn push_object(&mut self, fields: u64, bytes: u64, at: u64) -> Result<(), TooLarge> {
        if self.ends.len() >= MAX_OBJECTS {
            return Err(TooLarge);
        }
        let words = bytes.div_ceil(8);
        if words > MOST_WORDS || fields > u64::from(u32::MAX) {
            self.cut = match self.cut {
                (0, _) => (1, at),
                (objects, first) => (objects + 1, first.min(at)),
            };
        }
        self.ends.push(self.references.len() as u32);
        self.fields.push(u32::try_from(fields).unwrap_or(u32::MAX));
        self.words.push(words.min(MOST_WORDS) as u32);
        Ok(())
    }

    /// How many objects are larger than the file can tell, and where the first of them is in its
    /// dump: 32 GiB beside references, or 2^32 fields. The rest of them is cut off.
    pub(crate) fn cut(&self) -> (u64, u64) {
        self.cut
    }

    /// Says of which dumps it is made: [`crate::origin_of`].
    pub fn set_origin(&mut self, origin: u64) {
        self.origin = origin;
    }

    pub(crate) fn origin(&self) -> u64 {
        self.origin
    }

    /// Makes room for so many objects.
    pub(crate) fn reserve(&mut self, objects: usize) {
        for array in [&mut self.ends, &mut self.fields, &mut self.words] {
            array.reserve_exact(objects);
        }
    }

    pub(crate) fn push_root(&mut self, object: usize) {
        self.roots.push(object as u32);
    }

    pub(crate) fn add_source_bytes(&mut self, bytes: u64) {
        self.source_bytes = self.source_bytes.saturating_add(bytes);
    }

    /// The objects are to be written in this order, which is that of their addresses.
    pub(crate) fn order_by_address(&mut self, order: Option<Vec<u32>>) {
        self.addresses = true;
        self.order = order;
    }

    /// Objects that are not in this order are left out; nothing refers to them. The others stay in
    /// the order in which they came.
    pub(crate) fn leave_out_others(&mut self, order: Option<Vec<u32>>) {
        self.order = order;
        if let Some(order) = &mut self.order {
            order.sort_unstable();
        }
    }

    /// Has each root once, in their order.
    pub(crate) fn settle_roots(&mut self) {
        self.roots.sort_unstable();
        self.roots.dedup();
    }

    /// Gives roots to a graph that has none: the objects that nothing refers to, or the first one.
    /// Returns whether it had none.
    pub(crate) fn assume_roots(&mut self) -> bool {
        if !self.roots.is_empty() || self.ends.is_empty() {
            return false;
        }
        let mut referred = vec![false; self.ends.len()];
        for &bits in &self.references {
            referred[Reference::of(bits).to] = true;
        }
        let unreferred = referred
            .iter()
            .enumerate()
            .filter(|(_, referred)| !**referred);
        self.roots = unreferred.map(|(object, _)| object as u32).collect();
        if self.roots.is_empty() {
            self.roots.push(0);
        }
        true
    }

    /// Puts another graph beside this one, without references between them.
    ///
    /// # Errors
    ///
    /// If together they are too large for a file; this one is then untouched.
    pub fn append(&mut self, other: Self) -> Result<(), TooLarge> {
        let (objects, references) = (self.ends.len(), self.references.len());
        if objects + other.ends.len() > MAX_OBJECTS
            || references + other.references.len() > MAX_REFERENCES
        {
            return Err(TooLarge);
        }
        self.addresses = other.addresses && (self.addresses || objects == 0);
        self.ends
            .extend(other.ends.iter().map(|end| end + references as u32));
        self.fields.extend(other.fields);
        self.words.extend(other.words);
        // The bit of a weak reference stays, as the numbers leave it alone.
        (self.references).extend(other.references.iter().map(|bits| bits + objects as u32));
        self.roots
            .extend(other.roots.iter().map(|root| root + objects as u32));
        self.add_source_bytes(other.source_bytes);
        Ok(())
    }

    /// The same graph with its objects in the order in which they are to be written. One array
    /// after another, so that only a part of the graph is there twice.
    pub(crate) fn ordered(mut self) -> Self {
        let Some(order) = self.order.take() else {
            return self;
        };
        // Nothing refers to what has no number.
        let mut numbers = vec![u32::MAX; self.ends.len()];
        for (number, &place) in order.iter().enumerate() {
            numbers[place as usize] = number as u32;
        }
        for bits in &mut self.references {
            *bits = numbers[Reference::of(*bits).to] & !WEAK | *bits & WEAK;
        }
        for root in &mut self.roots {
            *root = numbers[*root as usize];
        }
        self.roots.sort_unstable();
        drop(numbers);
        for array in [&mut self.fields, &mut self.words] {
            *array = order.iter().map(|&place| array[place as usize]).collect();
        }
        let mut references = Vec::with_capacity(self.references.len());
        let ends = order.iter().map(|&place| {
            references.extend_from_slice(self.bits_of(place as usize));
            references.len() as u32
        });
        self.ends = ends.collect();
        self.references = references;
        self
    }

    fn bits_of(&self, object: usize) -> &[u32] {
        let begin = object.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.references[begin as usize..self.ends[object] as usize]
    }

    /// How many objects there are.
    pub fn objects(&self) -> usize {
        self.ends.len()
    }

    /// How many references there are, of all objects.
    pub fn references(&self) -> usize {
        self.references.len()
    }

    /// How many roots there are.
    pub fn roots(&self) -> usize {
        self.roots.len()
    }

    /// Whether the objects are in the order of their addresses.
    pub fn has_addresses(&self) -> bool {
        self.addresses
    }

    /// The bytes that the objects took in their program; 0 if not known.
    pub fn source_bytes(&self) -> u64 {
        self.source_bytes
    }

    /// What an object refers to.
    ///
    /// # Panics
    ///
    /// If there is no such object.
    pub fn of(&self, object: usize) -> impl ExactSizeIterator<Item = Reference> + '_ {
        self.bits_of(object).iter().map(|&bits| Reference::of(bits))
    }

    /// All numbers of its file behind the header, one after another.
    pub(crate) fn numbers(&self, put: &mut impl FnMut(u32) -> io::Result<()>) -> io::Result<()> {
        debug_assert!(self.order.is_none());
        let arrays = [
            &self.ends,
            &self.fields,
            &self.words,
            &self.references,
            &self.roots,
        ];
        arrays
            .into_iter()
            .flatten()
            .try_for_each(|&number| put(number))
    }
}
