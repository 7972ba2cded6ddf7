//! The file of a graph: flat arrays behind a header, read where they lie by mapping the file.
//!
//! All numbers are little-endian. With *n* objects, *e* references and *r* roots:
//!
//! | from | bytes | what |
//! |---|---|---|
//! | 0 | 8 | `gcgraph` and a line feed |
//! | 8 | 4 | version of the format: 1 |
//! | 12 | 4 | flags: 1 if objects are in the order of their addresses |
//! | 16 | 8 | *n*, at most 2^31 - 1 |
//! | 24 | 8 | *e*, at most 2^32 - 1 |
//! | 32 | 8 | *r* |
//! | 40 | 8 | bytes that the objects took in the program that they come from; 0 if not known |
//! | 48 | 8 | of which dumps it was made ([`crate::origin_of`]); 0 if not known |
//! | 56 | 8 | CRC-64/XZ of all other bytes of the file |
//! | 64 | 4 *n* | for each object, where its references end among all |
//! | | 4 *n* | for each object, its reference fields, those that are null included |
//! | | 4 *n* | for each object, its payload beside them, in words of 8 bytes |
//! | | 4 *e* | references: the number of an object, from 0, and 2^31 if the reference is weak |
//! | | 4 *r* | the numbers of the objects that roots refer to |
//!
//! # Invariant
//!
//! A [`Graph`] that could be opened has references and roots to its own objects only, in arrays
//! whose ends never fall; the checksum was right.
//!
//! Rejected: variable-length numbers (half the size, but a reader must decode a graph before it can
//! follow a reference); a table of kinds (nothing that is measured depends on what a program calls
//! its objects, and names are nobody's business).

use std::fmt;
use std::fs::File;
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::Path;

use crc::{CRC_64_XZ, Crc, Table};
use memmap2::Mmap;

use crate::raw::RawGraph;

pub(crate) const MAGIC: [u8; 8] = *b"gcgraph\n";
pub(crate) const VERSION: u32 = 1;
const HEADER: usize = 64;
const ADDRESSES: u32 = 1;

/// The most objects of a graph: numbers of objects leave a bit for weak references.
pub const MAX_OBJECTS: usize = (1 << 31) - 1;
/// The most references of a graph.
pub const MAX_REFERENCES: usize = u32::MAX as usize;

/// In a reference: it is weak.
pub(crate) const WEAK: u32 = 1 << 31;

/// With sixteen tables: one takes as long for a large graph as everything else at its opening.
pub(crate) static CRC: Crc<u64, Table<16>> = Crc::<u64, Table<16>>::new(&CRC_64_XZ);

/// Why a graph cannot be read.
#[derive(Debug)]
pub enum GraphError {
    /// The system refuses to open or map it.
    Io(io::Error),
    /// It is not such a file at all.
    NotAGraph,
    /// It is of a version that this program does not know.
    Version(u32),
    /// It is damaged: what is wrong with it.
    Damaged(&'static str),
}

impl fmt::Display for GraphError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(f, "{error}"),
            Self::NotAGraph => {
                f.write_str("not a graph: make one of a heap dump with 'harness import'")
            }
            Self::Version(version) => {
                write!(
                    f,
                    "a graph of version {version}, of which this program knows only {VERSION}: \
                     import the dump again"
                )
            }
            Self::Damaged(what) => write!(f, "damaged: {what}; import the dump again"),
        }
    }
}

impl std::error::Error for GraphError {}

impl From<io::Error> for GraphError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// A reference of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reference {
    /// The number of the object that it leads to.
    pub to: usize,
    /// It does not keep that alive.
    pub weak: bool,
}

impl Reference {
    pub(crate) fn of(bits: u32) -> Self {
        Self {
            to: (bits & !WEAK) as usize,
            weak: bits & WEAK != 0,
        }
    }
}

/// A graph of objects, which are numbered from 0. It is a mapped file, so that several processes
/// share one copy.
///
/// The file must not be changed for as long as it is open. If somebody cuts it off all the same,
/// the system ends the process (`SIGBUS`).
pub struct Graph {
    map: Mmap,
    objects: usize,
    references: usize,
    roots: usize,
}

impl fmt::Debug for Graph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Graph")
            .field("objects", &self.objects)
            .field("references", &self.references)
            .field("roots", &self.roots)
            .finish_non_exhaustive()
    }
}

impl Graph {
    /// Opens a graph and checks all of it. Cost: that of reading the file once.
    ///
    /// # Errors
    ///
    /// If there is no such file, or it is not a graph, or damaged.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, GraphError> {
        let path = path.as_ref();
        // Before it is opened: that would wait for who writes a pipe.
        if !std::fs::metadata(path)?.is_file() {
            return Err(GraphError::NotAGraph);
        }
        let file = File::open(path)?;
        // SAFETY: the documented condition is that nobody changes the file meanwhile. Nothing of
        // what is read is trusted but by checked indices, so that a change leads to wrong figures.
        let map = unsafe { Mmap::map(&file) }?;
        let graph = Self::checked(map)?;
        Ok(graph)
    }

    fn checked(map: Mmap) -> Result<Self, GraphError> {
        if cfg!(target_endian = "big") {
            return Err(GraphError::Damaged(
                "this machine counts bytes from the other end",
            ));
        }
        if map.len() < HEADER || map[..8] != MAGIC {
            return Err(GraphError::NotAGraph);
        }
        let version = u32::from_le_bytes(map[8..12].try_into().expect("four bytes"));
        if version != VERSION {
            return Err(GraphError::Version(version));
        }
        let number = |at: usize| {
            let bytes = map[at..at + 8].try_into().expect("eight bytes");
            u64::from_le_bytes(bytes)
        };
        let [objects, references, roots] = [16, 24, 32].map(number);
        // In wider numbers, so that nothing that a damaged header says overflows.
        let length = u128::from(objects) * 12
            + u128::from(references) * 4
            + u128::from(roots) * 4
            + HEADER as u128;
        if length != map.len() as u128 || objects > MAX_OBJECTS as u64 {
            return Err(GraphError::Damaged(
                "its length is not what its header says",
            ));
        }
        if number(56) != checksum(&map[..56], &map[HEADER..]) {
            return Err(GraphError::Damaged("its checksum is wrong"));
        }
        let graph = Self {
            objects: objects as usize,
            references: references as usize,
            roots: roots as usize,
            map,
        };
        graph.check_contents()?;
        Ok(graph)
    }

    /// A number that another graph hardly has, from what is in the file: less than 2^53, so that
    /// it is the same for whatever reads numbers as doubles.
    pub fn identity(&self) -> u64 {
        let bytes = self.map[56..64].try_into().expect("eight bytes");
        u64::from_le_bytes(bytes) >> 11
    }

    fn check_contents(&self) -> Result<(), GraphError> {
        let ends = self.ends();
        if !ends.is_sorted() || ends.last().copied().unwrap_or(0) as usize != self.references {
            return Err(GraphError::Damaged("its references do not add up"));
        }
        let known = |&bits: &u32| Reference::of(bits).to < self.objects;
        let roots_known = self
            .roots()
            .iter()
            .all(|&root| (root as usize) < self.objects);
        if !self.all_references().iter().all(known) || !roots_known {
            return Err(GraphError::Damaged(
                "it refers to an object that it has not",
            ));
        }
        Ok(())
    }

    fn numbers(&self, skipped: usize, length: usize) -> &[u32] {
        let from = HEADER + 4 * skipped;
        bytemuck::cast_slice(&self.map[from..from + 4 * length])
    }

    fn ends(&self) -> &[u32] {
        self.numbers(0, self.objects)
    }

    fn all_references(&self) -> &[u32] {
        self.numbers(3 * self.objects, self.references)
    }

    /// How many objects there are.
    pub fn objects(&self) -> usize {
        self.objects
    }

    /// How many references there are, of all objects; those that are null are none.
    pub fn references(&self) -> usize {
        self.references
    }

    /// The numbers of the objects that roots refer to. An object may occur more than once.
    pub fn roots(&self) -> &[u32] {
        self.numbers(3 * self.objects + self.references, self.roots)
    }

    /// Whether the objects are in the order of their addresses, else in that of the dump.
    pub fn has_addresses(&self) -> bool {
        self.map[12] & ADDRESSES as u8 != 0
    }

    /// The numbers of the objects that roots reach by references that are not weak, breadth first.
    /// Cost: a look at each reference.
    pub fn reachable(&self) -> Vec<u32> {
        crate::shape::reachable(self)
    }

    /// The bytes that the objects took in their program; 0 if not known.
    pub fn source_bytes(&self) -> u64 {
        u64::from_le_bytes(self.map[40..48].try_into().expect("eight bytes"))
    }

    fn range(&self, object: usize) -> Range<usize> {
        let ends = self.ends();
        let begin = object.checked_sub(1).map_or(0, |before| ends[before]);
        begin as usize..ends[object] as usize
    }

    /// What an object refers to, in the order of its fields, null ones left out.
    ///
    /// # Panics
    ///
    /// If there is no such object.
    #[inline]
    pub fn of(&self, object: usize) -> impl ExactSizeIterator<Item = Reference> + Clone + '_ {
        self.beyond(object, 0)
    }

    /// What an object refers to beside the first so many references, in constant time: an iterator
    /// that leaves them out takes as long as there are, which in a wide object is forever.
    #[inline]
    pub(crate) fn beyond(
        &self,
        object: usize,
        skipped: usize,
    ) -> impl ExactSizeIterator<Item = Reference> + Clone + '_ {
        let bits = &self.all_references()[self.range(object)][skipped..];
        bits.iter().map(|&bits| Reference::of(bits))
    }

    /// The reference fields of an object, those that are null included: at least as many as it has
    /// references.
    ///
    /// # Panics
    ///
    /// If there is no such object.
    #[inline]
    pub fn fields(&self, object: usize) -> usize {
        let fields = self.numbers(self.objects, self.objects)[object] as usize;
        fields.max(self.range(object).len())
    }

    /// The payload of an object beside its references, in words of 8 bytes.
    ///
    /// # Panics
    ///
    /// If there is no such object.
    #[inline]
    pub fn words(&self, object: usize) -> usize {
        self.numbers(2 * self.objects, self.objects)[object] as usize
    }
}

fn checksum(header: &[u8], rest: &[u8]) -> u64 {
    let mut digest = CRC.digest();
    digest.update(header);
    digest.update(rest);
    digest.finalize()
}

/// Writes a graph. The file is complete or not there: it is written under another name beside it
/// and renamed.
///
/// # Errors
///
/// What the system says: a directory that is not there, a disk that is full. If there is something
/// of this name that is no file, such as a device, which renaming would replace.
pub fn write(graph: &RawGraph, path: &Path) -> io::Result<()> {
    if std::fs::metadata(path).is_ok_and(|there| !there.is_file()) {
        return Err(io::Error::other("it is there, and no file"));
    }
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.part", std::process::id()));
    let part = path.with_file_name(name);
    let written = write_to(graph, &part).and_then(|()| std::fs::rename(&part, path));
    if written.is_err() {
        // What was wrong is told; that half a file could not be removed either is not worth it.
        let _ = std::fs::remove_file(&part);
    }
    written
}

/// Writes through to a file, and has the checksum of all of it.
struct Summed {
    file: File,
    digest: crc::Digest<'static, u64, Table<16>>,
}

impl Write for Summed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.digest.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

fn write_to(graph: &RawGraph, path: &Path) -> io::Result<()> {
    const CHECKSUM: usize = HEADER - 8;
    let flags = if graph.has_addresses() { ADDRESSES } else { 0 };
    let mut header = Vec::with_capacity(CHECKSUM);
    header.extend(MAGIC);
    header.extend(VERSION.to_le_bytes());
    header.extend(flags.to_le_bytes());
    let counts = [graph.objects(), graph.references(), graph.roots()].map(|count| count as u64);
    for number in counts
        .into_iter()
        .chain([graph.source_bytes(), graph.origin()])
    {
        header.extend(number.to_le_bytes());
    }
    let mut digest = CRC.digest();
    digest.update(&header);
    // The checksum, which is none of what it sums up, has its place before the rest.
    let mut file = File::create(path)?;
    file.write_all(&header)?;
    file.write_all(&[0; HEADER - CHECKSUM])?;
    let mut summed = BufWriter::with_capacity(1 << 20, Summed { file, digest });
    graph.numbers(&mut |number| summed.write_all(&number.to_le_bytes()))?;
    let Summed { mut file, digest } = summed
        .into_inner()
        .map_err(io::IntoInnerError::into_error)?;
    file.seek(SeekFrom::Start(CHECKSUM as u64))?;
    file.write_all(&digest.finalize().to_le_bytes())?;
    file.sync_all()
}
