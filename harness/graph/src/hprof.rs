//! HPROF, the binary format of heap dumps of JVMs (1.0.1 to 1.0.3, the last of them Android's).
//!
//! A dump is a sequence of records, of which those of two kinds hold the heap, in one piece or
//! many; a piece is a sequence of smaller records: roots, classes, instances, arrays. An instance
//! is fields without names, of its class and then of each class above it, so that classes must be
//! known before instances can be read. So the file is read twice: for the classes and what objects
//! are called, then for what they refer to.
//!
//! # What becomes of it
//!
//! * An object of the graph is an instance, an array, or a class. Its reference fields are those of
//!   its classes, the elements of an array of references, or the static fields of a class and its
//!   superclass, loader, signers and protection domain.
//! * That an object refers to its class is not counted as a reference: on the heaps here that is
//!   part of a header, as it is on a JVM.
//! * The payload is the bytes of other fields and elements. Headers and padding are nobody's.
//! * The field that `WeakReference` and `PhantomReference` refer by is weak. What a `SoftReference`
//!   or a `FinalReference` leads to is kept alive, as it is in a JVM with memory to spare.
//! * Roots are those of every kind that the dump names, each object once; those that Android calls
//!   unreachable are none.
//!
//! Source: the format as HotSpot writes it (`src/hotspot/share/services/heapDumper.cpp`) and as
//! Android extends it (`art/runtime/hprof/hprof.cc`).

use std::collections::HashMap;
use std::io::{Read, Seek};

use crate::ids::Ids;
use crate::import::{ImportError, Imported, Losses, Source, lost};
use crate::raw::RawGraph;

const UNKNOWN_KIND: &str = "records of an unknown kind";
const OVERRUN: &str = "pieces of the heap that end within an object";
const UNKNOWN_RECORD: &str = "records of an unknown kind, and all that follows them in their piece";
const UNKNOWN_CLASS: &str = "instances of classes that are not in the dump, of which no reference \
                             is known";
const SHORT: &str = "instances shorter than their classes say";
const LONG: &str = "instances longer than their classes say, of which no more is known";

/// What a field holds: its bytes, or `None` if that is a reference.
fn width(kind: u8) -> Option<Option<u64>> {
    Some(match kind {
        2 => None,
        4 | 8 => Some(1),
        5 | 9 => Some(2),
        6 | 10 => Some(4),
        7 | 11 => Some(8),
        _ => return None,
    })
}

/// A class, as far as its instances need it.
#[derive(Debug, Default)]
struct Class {
    above: u64,
    /// For each field what it holds, and whether a reference is weak.
    fields: Vec<Field>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    Reference { weak: bool },
    Other(u8),
}

/// The classes of a dump.
#[derive(Debug, Default)]
struct Classes {
    by_id: HashMap<u64, Class>,
    /// What the string that says "referent" is called.
    referent: Option<u64>,
    /// The classes whose referents are weak, by their names.
    weak_names: Vec<u64>,
    weak: Vec<u64>,
    reference_name: Option<u64>,
    reference: Option<u64>,
    /// The fields of instances of a class, those of classes above it included.
    layouts: HashMap<u64, Vec<Field>>,
}

/// More classes above each other than a program has: a damaged dump may have a circle of them.
const MOST_ABOVE: usize = 1000;
/// More fields than an instance has.
const MOST_FIELDS: usize = 1 << 16;

impl Classes {
    fn layout(&mut self, class: u64) -> Option<&[Field]> {
        if !self.layouts.contains_key(&class) {
            let mut fields = Vec::new();
            let (mut at, mut weak) = (class, false);
            for _ in 0..MOST_ABOVE {
                let Some(found) = self.by_id.get(&at) else {
                    break;
                };
                weak |= self.weak.contains(&at);
                let is_reference = self.reference == Some(at);
                fields.extend(found.fields.iter().map(|&field| match field {
                    Field::Reference { weak: named } => Field::Reference {
                        weak: named && weak && is_reference,
                    },
                    other => other,
                }));
                at = found.above;
                if at == class || fields.len() > MOST_FIELDS {
                    break;
                }
            }
            self.by_id.get(&class)?;
            self.layouts.insert(class, fields);
        }
        self.layouts.get(&class).map(Vec::as_slice)
    }
}

/// What a pass does with what it comes to.
trait Pass<R> {
    fn root(&mut self, id: u64, offset: u64);
    fn class(&mut self, dump: ClassDump) -> Result<(), ImportError>;
    /// An array of others than references, of so many bytes.
    fn values(&mut self, id: u64, bytes: u64, offset: u64) -> Result<(), ImportError>;
    /// Reads the elements; returns whether they were all there.
    fn references(
        &mut self,
        id: u64,
        length: u64,
        reader: &mut Reader<'_, '_, R>,
    ) -> Result<bool, ImportError>;
    fn instance(
        &mut self,
        id: u64,
        class: u64,
        length: u64,
        reader: &mut Reader<'_, '_, R>,
    ) -> Result<bool, ImportError>;
    fn string(
        &mut self,
        id: u64,
        length: u64,
        reader: &mut Reader<'_, '_, R>,
    ) -> Result<bool, ImportError>;
    fn name_of_class(&mut self, class: u64, name: u64);
}

/// A class as the dump has it.
struct ClassDump {
    id: u64,
    class: Class,
    /// What the class itself refers to.
    references: Vec<u64>,
    /// Static fields that may refer to something, and the four of every class.
    fields: u64,
    /// Static fields that are no references, in bytes.
    bytes: u64,
    offset: u64,
    names: Vec<u64>,
}

struct Reader<'a, 'p, R> {
    source: &'a mut Source<'p, R>,
    id_bytes: usize,
    losses: &'a mut Losses,
}

impl<R: Read + Seek> Reader<'_, '_, R> {
    fn bytes<const N: usize>(&mut self) -> Result<Option<[u8; N]>, ImportError> {
        let mut bytes = [0; N];
        Ok(self.source.read(&mut bytes)?.then_some(bytes))
    }

    fn u1(&mut self) -> Result<Option<u8>, ImportError> {
        Ok(self.bytes()?.map(|[byte]| byte))
    }

    fn u2(&mut self) -> Result<Option<u64>, ImportError> {
        Ok(self
            .bytes()?
            .map(|bytes| u64::from(u16::from_be_bytes(bytes))))
    }

    fn u4(&mut self) -> Result<Option<u64>, ImportError> {
        Ok(self
            .bytes()?
            .map(|bytes| u64::from(u32::from_be_bytes(bytes))))
    }

    fn id(&mut self) -> Result<Option<u64>, ImportError> {
        if self.id_bytes == 4 {
            return self.u4();
        }
        Ok(self.bytes()?.map(u64::from_be_bytes))
    }

    fn skip(&mut self, bytes: u64) -> Result<Option<()>, ImportError> {
        Ok(self.source.skip(bytes)?.then_some(()))
    }
}

/// The value of a part, or the end of the file: the function returns that there was one.
macro_rules! there {
    ($part:expr) => {
        match $part? {
            Some(value) => value,
            None => return Ok(false),
        }
    };
}

impl<R: Read + Seek> Reader<'_, '_, R> {
    /// Reads the records of the file. Returns whether it ended where it should: behind a record,
    /// and if the heap is in pieces, the one that says that there are no more.
    fn records(&mut self, pass: &mut impl Pass<R>) -> Result<bool, ImportError> {
        let mut open = false;
        while self.source.offset() < self.source.length() {
            let at = self.source.offset();
            let tag = there!(self.u1());
            there!(self.skip(4));
            let length = there!(self.u4());
            let begin = self.source.offset();
            match tag {
                0x01 if length >= self.id_bytes as u64 => {
                    let id = there!(self.id());
                    if !pass.string(id, length - self.id_bytes as u64, self)? {
                        return Ok(false);
                    }
                }
                0x02 if length >= 8 + 2 * self.id_bytes as u64 => {
                    there!(self.skip(4));
                    let class = there!(self.id());
                    there!(self.skip(4));
                    let name = there!(self.id());
                    pass.name_of_class(class, name);
                }
                0x0c | 0x1c => {
                    // A piece beyond 4 GiB in one record has a length that means nothing: it goes
                    // on to the end of the file.
                    let rest = self.source.length() - begin;
                    let whole = tag == 0x0c && rest > u64::from(u32::MAX);
                    let end = begin + if whole { rest } else { length };
                    open |= tag == 0x1c;
                    if !self.piece(end, pass)? {
                        return Ok(false);
                    }
                    if whole {
                        continue;
                    }
                }
                0x2c => open = false,
                // Classes that are gone, frames, traces, sites, sums, threads, samples, settings.
                0x03..=0x07 | 0x0a | 0x0b | 0x0d | 0x0e => {}
                _ => self.losses.note(UNKNOWN_KIND, at),
            }
            let read = self.source.offset() - begin;
            match length.checked_sub(read) {
                Some(left) => there!(self.skip(left)),
                None => self.losses.note(OVERRUN, at),
            }
        }
        Ok(!open)
    }

    /// Reads a piece of the heap, up to `end`.
    fn piece(&mut self, end: u64, pass: &mut impl Pass<R>) -> Result<bool, ImportError> {
        let id_bytes = self.id_bytes as u64;
        while self.source.offset() < end {
            let at = self.source.offset();
            let tag = there!(self.u1());
            let behind = match tag {
                0xff | 0x05 | 0x07 | 0x89 | 0x8a | 0x8b | 0x8c | 0x8d => Some(0),
                0x01 => Some(id_bytes),
                0x02 | 0x03 | 0x08 | 0x8e => Some(8),
                0x04 | 0x06 => Some(4),
                _ => None,
            };
            if let Some(behind) = behind {
                let id = there!(self.id());
                there!(self.skip(behind));
                pass.root(id, at);
                continue;
            }
            match tag {
                0x20 => {
                    let mut class = None;
                    if !self.class(at, &mut class)? {
                        return Ok(false);
                    }
                    let Some(class) = class else {
                        self.losses.note(UNKNOWN_RECORD, at);
                        return self.leave(end);
                    };
                    pass.class(class)?;
                }
                0x21 => {
                    let id = there!(self.id());
                    there!(self.skip(4));
                    let class = there!(self.id());
                    let length = there!(self.u4());
                    if !pass.instance(id, class, length, self)? {
                        return Ok(false);
                    }
                }
                0x22 => {
                    let id = there!(self.id());
                    there!(self.skip(4));
                    let length = there!(self.u4());
                    there!(self.skip(id_bytes));
                    if !pass.references(id, length, self)? {
                        return Ok(false);
                    }
                }
                0x23 | 0xc3 => {
                    let id = there!(self.id());
                    there!(self.skip(4));
                    let length = there!(self.u4());
                    let kind = there!(self.u1());
                    let Some(Some(bytes)) = width(kind) else {
                        self.losses.note(UNKNOWN_RECORD, at);
                        return self.leave(end);
                    };
                    pass.values(id, length * bytes, at)?;
                    if tag == 0x23 {
                        there!(self.skip(length * bytes));
                    }
                }
                // Android: which heap follows, and an object that nothing leads to.
                0xfe => there!(self.skip(4 + id_bytes)),
                0x90 => there!(self.skip(id_bytes)),
                _ => {
                    self.losses.note(UNKNOWN_RECORD, at);
                    return self.leave(end);
                }
            }
        }
        Ok(true)
    }

    /// Leaves the rest of a piece out.
    fn leave(&mut self, end: u64) -> Result<bool, ImportError> {
        let left = end.saturating_sub(self.source.offset());
        self.source.skip(left)
    }

    /// Reads a class, if it says nothing unknown of its fields: what follows then cannot be told
    /// apart. Returns whether the file did not end.
    fn class(&mut self, offset: u64, dump: &mut Option<ClassDump>) -> Result<bool, ImportError> {
        let id = there!(self.id());
        there!(self.skip(4));
        // The class above, and who loaded, signed and protects it.
        let mut references = Vec::new();
        for _ in 0..4 {
            references.push(there!(self.id()));
        }
        let above = references[0];
        there!(self.skip(2 * self.id_bytes as u64 + 4));
        for _ in 0..there!(self.u2()) {
            there!(self.skip(2));
            let Some(value) = width(there!(self.u1())) else {
                return Ok(true);
            };
            there!(self.skip(value.unwrap_or(self.id_bytes as u64)));
        }
        let (mut fields, mut bytes) = (4, 0);
        for _ in 0..there!(self.u2()) {
            there!(self.skip(self.id_bytes as u64));
            match width(there!(self.u1())) {
                Some(None) => {
                    references.push(there!(self.id()));
                    fields += 1;
                }
                Some(Some(value)) => {
                    there!(self.skip(value));
                    bytes += value;
                }
                None => return Ok(true),
            }
        }
        let count = there!(self.u2());
        let mut class = Class {
            above,
            fields: Vec::new(),
        };
        let mut names = Vec::new();
        for _ in 0..count {
            let name = there!(self.id());
            let kind = there!(self.u1());
            class.fields.push(match width(kind) {
                Some(Some(bytes)) => Field::Other(bytes as u8),
                Some(None) => Field::Reference { weak: false },
                None => return Ok(true),
            });
            names.push(name);
        }
        *dump = Some(ClassDump {
            id,
            class,
            references,
            fields,
            bytes,
            offset,
            names,
        });
        Ok(true)
    }
}

/// The first pass: classes, and what objects are called.
#[derive(Default)]
struct First {
    classes: Classes,
    ids: Vec<u64>,
}

impl First {
    fn object(&mut self, id: u64) -> Result<(), ImportError> {
        if self.ids.len() >= crate::file::MAX_OBJECTS {
            return Err(ImportError::TooLarge);
        }
        self.ids.push(id);
        Ok(())
    }
}

impl<R: Read + Seek> Pass<R> for First {
    fn root(&mut self, _: u64, _: u64) {}

    fn class(&mut self, dump: ClassDump) -> Result<(), ImportError> {
        self.object(dump.id)?;
        let mut class = dump.class;
        for (field, name) in class.fields.iter_mut().zip(dump.names) {
            if *field == (Field::Reference { weak: false }) && self.classes.referent == Some(name) {
                *field = Field::Reference { weak: true };
            }
        }
        self.classes.by_id.entry(dump.id).or_insert(class);
        Ok(())
    }

    fn values(&mut self, id: u64, _: u64, _: u64) -> Result<(), ImportError> {
        self.object(id)
    }

    fn references(
        &mut self,
        id: u64,
        length: u64,
        reader: &mut Reader<'_, '_, R>,
    ) -> Result<bool, ImportError> {
        self.object(id)?;
        reader.source.skip(length * reader.id_bytes as u64)
    }

    fn instance(
        &mut self,
        id: u64,
        _: u64,
        length: u64,
        reader: &mut Reader<'_, '_, R>,
    ) -> Result<bool, ImportError> {
        self.object(id)?;
        reader.source.skip(length)
    }

    fn string(
        &mut self,
        id: u64,
        length: u64,
        reader: &mut Reader<'_, '_, R>,
    ) -> Result<bool, ImportError> {
        const REFERENT: &[u8] = b"referent";
        const REFERENCE: &[u8] = b"java/lang/ref/Reference";
        const WEAK: [&[u8]; 2] = [
            b"java/lang/ref/WeakReference",
            b"java/lang/ref/PhantomReference",
        ];
        let lengths = [REFERENT, REFERENCE, WEAK[0], WEAK[1]].map(<[u8]>::len);
        if !lengths.contains(&(length as usize)) {
            return reader.source.skip(length);
        }
        let mut text = vec![0; length as usize];
        if !reader.source.read(&mut text)? {
            return Ok(false);
        }
        // Android writes names of classes with dots.
        text.iter_mut()
            .filter(|byte| **byte == b'.')
            .for_each(|byte| *byte = b'/');
        let classes = &mut self.classes;
        match &*text {
            REFERENT => classes.referent = Some(id),
            REFERENCE => classes.reference_name = Some(id),
            name if WEAK.contains(&name) => classes.weak_names.push(id),
            _ => {}
        }
        Ok(true)
    }

    fn name_of_class(&mut self, class: u64, name: u64) {
        let classes = &mut self.classes;
        if classes.weak_names.contains(&name) {
            classes.weak.push(class);
        }
        if classes.reference_name == Some(name) {
            classes.reference = Some(class);
        }
    }
}

/// The second pass: what objects refer to.
struct Second {
    classes: Classes,
    objects: Objects,
}

/// The graph as it grows.
struct Objects {
    ids: Ids,
    graph: RawGraph,
    losses: Losses,
}

impl Objects {
    /// Whether the object that comes next is called as one before it.
    fn is_duplicate(&self, id: u64) -> bool {
        self.ids.duplicates() > 0 && self.ids.place(id) != Some(self.graph.objects())
    }

    fn refer(&mut self, to: u64, weak: bool, offset: u64) -> Result<(), ImportError> {
        if to == 0 {
            return Ok(());
        }
        match self.ids.place(to) {
            Some(place) => self.graph.push_reference(place, weak)?,
            None => self.losses.note(lost::UNKNOWN, offset),
        }
        Ok(())
    }

    fn push(&mut self, id: u64, fields: u64, bytes: u64, at: u64) -> Result<(), ImportError> {
        if self.is_duplicate(id) {
            self.losses.note(lost::DUPLICATES, at);
            self.graph.push_object(0, 0, at)?;
        } else {
            self.graph.push_object(fields, bytes, at)?;
        }
        Ok(())
    }
}

fn number(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0, |number, &byte| number << 8 | u64::from(byte))
}

impl<R: Read + Seek> Pass<R> for Second {
    fn root(&mut self, id: u64, offset: u64) {
        match self.objects.ids.place(id) {
            // As of references: 0 is none, even where a damaged dump has an object of that name.
            _ if id == 0 => {}
            Some(place) => self.objects.graph.push_root(place),
            None => self.objects.losses.note(lost::ROOTS, offset),
        }
    }

    fn class(&mut self, dump: ClassDump) -> Result<(), ImportError> {
        if !self.objects.is_duplicate(dump.id) {
            for &to in &dump.references {
                self.objects.refer(to, false, dump.offset)?;
            }
        }
        self.objects
            .push(dump.id, dump.fields, dump.bytes, dump.offset)
    }

    fn values(&mut self, id: u64, bytes: u64, offset: u64) -> Result<(), ImportError> {
        self.objects.push(id, 0, bytes, offset)
    }

    fn references(
        &mut self,
        id: u64,
        length: u64,
        reader: &mut Reader<'_, '_, R>,
    ) -> Result<bool, ImportError> {
        let at = reader.source.offset();
        let duplicate = self.objects.is_duplicate(id);
        let mut chunk = [0; 8 << 10];
        let (mut read, mut there) = (0, true);
        while read < length && there {
            let elements = (length - read).min((chunk.len() / reader.id_bytes) as u64);
            let bytes = &mut chunk[..elements as usize * reader.id_bytes];
            there = reader.source.read(bytes)?;
            if there {
                read += elements;
                for element in bytes.chunks_exact(reader.id_bytes).filter(|_| !duplicate) {
                    self.objects.refer(number(element), false, at)?;
                }
            }
        }
        self.objects.push(id, read, 0, at)?;
        Ok(there)
    }

    fn instance(
        &mut self,
        id: u64,
        class: u64,
        length: u64,
        reader: &mut Reader<'_, '_, R>,
    ) -> Result<bool, ImportError> {
        let at = reader.source.offset();
        let id_bytes = reader.id_bytes as u64;
        if self.objects.is_duplicate(id) {
            self.objects.push(id, 0, 0, at)?;
            return reader.source.skip(length);
        }
        let Some(layout) = self.classes.layout(class) else {
            self.objects.losses.note(UNKNOWN_CLASS, at);
            self.objects.push(id, 0, length, at)?;
            return reader.source.skip(length);
        };
        let (mut left, mut fields, mut bytes) = (length, 0, 0);
        let (mut there, mut short) = (true, false);
        for &field in layout {
            let width = match field {
                Field::Reference { .. } => id_bytes,
                Field::Other(bytes) => u64::from(bytes),
            };
            short = width > left;
            if short {
                break;
            }
            left -= width;
            match field {
                Field::Other(_) => {
                    there = reader.source.skip(width)?;
                    bytes += width;
                }
                Field::Reference { weak } => {
                    let Some(to) = reader.id()? else {
                        there = false;
                        break;
                    };
                    fields += 1;
                    self.objects.refer(to, weak, at)?;
                }
            }
            if !there {
                break;
            }
        }
        if short {
            self.objects.losses.note(SHORT, at);
        } else if there && left > 0 {
            self.objects.losses.note(LONG, at);
        }
        self.objects.push(id, fields, bytes + left, at)?;
        Ok(there && reader.source.skip(left)?)
    }

    fn string(
        &mut self,
        _: u64,
        length: u64,
        reader: &mut Reader<'_, '_, R>,
    ) -> Result<bool, ImportError> {
        reader.source.skip(length)
    }

    fn name_of_class(&mut self, _: u64, _: u64) {}
}

/// Reads the header. Returns the bytes of an identifier.
fn header<R: Read + Seek>(source: &mut Source<'_, R>) -> Result<usize, ImportError> {
    let mut byte = [0];
    // "JAVA PROFILE 1.0.2" and a zero.
    for _ in 0..32 {
        if !source.read(&mut byte)? {
            break;
        }
        if byte == [0] {
            let mut rest = [0; 12];
            if !source.read(&mut rest)? {
                break;
            }
            return match number(&rest[..4]) {
                bytes @ (4 | 8) => Ok(bytes as usize),
                _ => Err(ImportError::Malformed(
                    "an HPROF file whose identifiers are neither 4 nor 8 bytes wide",
                    source.offset() - 12,
                )),
            };
        }
    }
    Err(ImportError::Malformed(
        "an HPROF file that ends in its header",
        source.offset(),
    ))
}

pub(crate) fn read<R: Read + Seek>(mut source: Source<'_, R>) -> Result<Imported, ImportError> {
    let id_bytes = header(&mut source)?;
    let mut first = First::default();
    // What is lost is told by the second pass, which comes to the same places.
    let mut losses = Losses::default();
    let mut reader = Reader {
        source: &mut source,
        id_bytes,
        losses: &mut losses,
    };
    reader.records(&mut first)?;
    let First { classes, ids } = first;
    let mut graph = RawGraph::new();
    graph.reserve(ids.len());
    let mut second = Second {
        classes,
        objects: Objects {
            ids: Ids::new(ids),
            graph,
            losses: Losses::default(),
        },
    };
    source.again()?;
    header(&mut source)?;
    let mut losses = Losses::default();
    let mut reader = Reader {
        source: &mut source,
        id_bytes,
        losses: &mut losses,
    };
    let whole = reader.records(&mut second)?;
    if !whole {
        losses.note(lost::TRUNCATED, source.length());
    }
    let Objects {
        ids,
        mut graph,
        losses: more,
    } = second.objects;
    losses.join(&more);
    graph.order_by_address(ids.into_order());
    Ok(Imported::new(graph, losses))
}
