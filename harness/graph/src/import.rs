//! Importing: which format a dump has, what of it was lost, and how far the work is.

use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use crate::raw::{RawGraph, TooLarge};
use crate::{dot, hprof, lines, v8};

/// The format of a dump.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// HPROF of a JVM or of Android: [`crate::hprof`].
    Hprof,
    /// A `.heapsnapshot` of V8: [`crate::v8`].
    V8,
    /// JSON lines, the interchange form, in which CPython's are: [`crate::lines`].
    Lines,
    /// Graphviz: [`crate::dot`].
    Dot,
}

impl Format {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Hprof, Self::V8, Self::Lines, Self::Dot];

    /// What it is called on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Hprof => "hprof",
            Self::V8 => "heapsnapshot",
            Self::Lines => "lines",
            Self::Dot => "dot",
        }
    }

    /// The format that the first bytes of a file are of.
    fn of(begin: &[u8]) -> Option<Self> {
        let text = begin.trim_ascii_start();
        let word =
            |word: &[u8]| text.len() >= word.len() && text[..word.len()].eq_ignore_ascii_case(word);
        if begin.starts_with(b"JAVA PROFILE 1.0") {
            Some(Self::Hprof)
        } else if let Some(rest) = text.strip_prefix(b"{") {
            let key = rest.trim_ascii_start();
            let is_snapshot = [&b"\"snapshot\""[..], b"\"nodes\"", b"\"meta\""]
                .iter()
                .any(|first| key.starts_with(first));
            Some(if is_snapshot { Self::V8 } else { Self::Lines })
        } else if word(b"digraph")
            || word(b"strict")
            || word(b"graph")
            || word(b"//")
            || word(b"/*")
        {
            Some(Self::Dot)
        } else {
            None
        }
    }
}

/// What was lost in one way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loss {
    /// In which way, in a few words: "references to objects that are not in the dump".
    pub what: &'static str,
    /// How often.
    pub count: u64,
    /// Where in the file it was first noticed, in bytes from its beginning.
    pub offset: u64,
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            what,
            count,
            offset,
        } = self;
        write!(f, "{count} {what}, the first at byte {offset}")
    }
}

/// What of a dump is not in its graph.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Losses(Vec<Loss>);

impl Losses {
    pub(crate) fn note(&mut self, what: &'static str, offset: u64) {
        self.note_many(what, 1, offset);
    }

    pub(crate) fn note_many(&mut self, what: &'static str, count: u64, offset: u64) {
        if count == 0 {
            return;
        }
        match self.0.iter_mut().find(|loss| loss.what == what) {
            Some(loss) => {
                loss.count += count;
                loss.offset = loss.offset.min(offset);
            }
            None => self.0.push(Loss {
                what,
                count,
                offset,
            }),
        }
    }

    /// Adds what was lost elsewhere.
    pub(crate) fn join(&mut self, more: &Self) {
        for loss in more.iter() {
            self.note_many(loss.what, loss.count, loss.offset);
        }
    }

    /// Each way in which something was lost.
    pub fn iter(&self) -> impl Iterator<Item = &Loss> {
        self.0.iter()
    }

    /// Whether the dump is damaged. References to objects that it has not, others have as well: a
    /// JVM names classes that it then leaves out.
    pub fn is_damaged(&self) -> bool {
        self.iter()
            .any(|loss| ![lost::UNKNOWN, lost::ROOTS].contains(&loss.what))
    }

    /// Whether nothing was.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The ways in which something is lost, that more than one format has.
pub(crate) mod lost {
    pub(crate) const TRUNCATED: &str = "end of the file in the middle of what it says";
    pub(crate) const UNKNOWN: &str = "references to objects that are not in the dump";
    pub(crate) const ROOTS: &str = "roots of objects that are not in the dump";
    pub(crate) const CUT: &str =
        "objects larger than a graph can tell (32 GiB), whose rest is cut off";
    pub(crate) const DUPLICATES: &str = "objects that are called as another before them";
}

/// A dump that was read.
#[derive(Debug)]
pub struct Imported {
    /// What could be read.
    pub graph: RawGraph,
    assumed_roots: bool,
    /// What could not.
    pub losses: Losses,
}

impl Imported {
    pub(crate) fn new(graph: RawGraph, losses: Losses) -> Self {
        Self {
            graph,
            losses,
            assumed_roots: false,
        }
    }

    /// Whether the dump names roots. Where it does not, the objects that nothing refers to were
    /// taken for roots; and the first one, where there are none.
    pub fn has_roots(&self) -> bool {
        !self.assumed_roots
    }
}

/// Why there is no graph of a dump.
#[derive(Debug)]
pub enum ImportError {
    /// The system refuses to read it.
    Io(io::Error),
    /// It is a directory, a pipe, a device: a dump is read more than once.
    NotAFile,
    /// It is of no known format.
    UnknownFormat,
    /// It is not what its beginning says: what is wrong with it, and at which byte.
    Malformed(&'static str, u64),
    /// It has more objects or references than a graph can have.
    TooLarge,
    /// The user wished to stop.
    Interrupted,
}

impl fmt::Display for ImportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(f, "{error}"),
            Self::NotAFile => f.write_str(
                "it is no file; a dump is read more than once, so write it into one",
            ),
            Self::UnknownFormat => f.write_str(
                "no heap dump that is known: neither HPROF, nor a V8 heap snapshot, nor JSON lines, \
                 nor Graphviz",
            ),
            Self::Malformed(what, offset) => write!(f, "{what}, at byte {offset}"),
            Self::TooLarge => write!(
                f,
                "more than {} objects or {} references",
                crate::file::MAX_OBJECTS,
                crate::file::MAX_REFERENCES
            ),
            Self::Interrupted => f.write_str("interrupted"),
        }
    }
}

impl std::error::Error for ImportError {}

impl From<io::Error> for ImportError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<TooLarge> for ImportError {
    fn from(_: TooLarge) -> Self {
        Self::TooLarge
    }
}

/// Called now and then with the share of the work that is done, from 0 to 1. Returns whether to go
/// on.
pub type Progress<'a> = &'a mut dyn FnMut(f64) -> bool;

/// Bytes between two calls of [`Progress`].
const STEP: u64 = 4 << 20;

/// A dump that is read from the beginning once or more often, at a known offset.
pub(crate) struct Source<'a, R> {
    reader: BufReader<R>,
    offset: u64,
    told: u64,
    length: u64,
    /// How many times the dump is read, and how many of them are over.
    passes: (u32, u32),
    progress: Progress<'a>,
    /// The user wished to stop.
    stopped: bool,
}

impl<'a, R: Read + Seek> Source<'a, R> {
    /// `passes`: how many times it will be read.
    pub(crate) fn new(
        mut reader: R,
        passes: u32,
        progress: Progress<'a>,
    ) -> Result<Self, ImportError> {
        let length = reader.seek(SeekFrom::End(0))?;
        reader.seek(SeekFrom::Start(0))?;
        Ok(Self {
            reader: BufReader::with_capacity(1 << 20, reader),
            offset: 0,
            told: 0,
            length,
            passes: (passes, 0),
            progress,
            stopped: false,
        })
    }

    /// Goes back to the beginning, for the next pass.
    pub(crate) fn again(&mut self) -> Result<(), ImportError> {
        self.reader.seek(SeekFrom::Start(0))?;
        self.offset = 0;
        self.told = 0;
        self.passes.1 += 1;
        Ok(())
    }

    /// Bytes read from the beginning.
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    /// Whether an error of [`Read`] is the user's wish to stop.
    pub(crate) fn is_stopped(&self) -> bool {
        self.stopped
    }

    /// Bytes in the file, when it was opened.
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    fn advance(&mut self, bytes: u64) -> Result<(), ImportError> {
        self.offset += bytes;
        if self.offset - self.told >= STEP {
            self.told = self.offset;
            let (passes, over) = self.passes;
            let share = self.offset.min(self.length) as f64 / self.length.max(1) as f64;
            if !(self.progress)((f64::from(over) + share) / f64::from(passes)) {
                return Err(ImportError::Interrupted);
            }
        }
        Ok(())
    }

    /// Fills the buffer. Returns whether there were as many bytes.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> Result<bool, ImportError> {
        match self.reader.read_exact(buffer) {
            Ok(()) => {
                self.advance(buffer.len() as u64)?;
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                self.offset = self.length;
                Ok(false)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Leaves out so many bytes. Returns whether there were as many.
    pub(crate) fn skip(&mut self, bytes: u64) -> Result<bool, ImportError> {
        let left = self.length.saturating_sub(self.offset);
        if bytes > left {
            self.reader.seek(SeekFrom::End(0))?;
            self.offset = self.length;
            return Ok(false);
        }
        // At most the length of a file, which the system tells in a signed number.
        self.reader.seek_relative(bytes as i64)?;
        self.advance(bytes)?;
        Ok(true)
    }

    /// Reads up to and without the next line feed, at most `most` bytes. `None` at the end of the
    /// file; `Some(false)` if the line is longer, of which the rest is left out.
    pub(crate) fn line(
        &mut self,
        line: &mut Vec<u8>,
        most: usize,
    ) -> Result<Option<bool>, ImportError> {
        line.clear();
        let mut fits = true;
        let mut any = false;
        loop {
            let buffer = self.reader.fill_buf()?;
            if buffer.is_empty() {
                return Ok(any.then_some(fits));
            }
            any = true;
            let end = buffer.iter().position(|&byte| byte == b'\n');
            let part = &buffer[..end.unwrap_or(buffer.len())];
            fits &= line.len() + part.len() <= most;
            if fits {
                line.extend_from_slice(part);
            }
            let used = part.len() + usize::from(end.is_some());
            self.reader.consume(used);
            self.advance(used as u64)?;
            if end.is_some() {
                return Ok(Some(fits));
            }
        }
    }
}

impl<R: Read + Seek> Read for Source<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.reader.read(buffer)?;
        match self.advance(read as u64) {
            Ok(()) => Ok(read),
            Err(_) => {
                self.stopped = true;
                Err(io::ErrorKind::Other.into())
            }
        }
    }
}

/// Reads a dump. Without `format`, its first bytes say which it is of.
///
/// Cost: one or two passes over the file, and memory for at most twice the graph.
///
/// # Errors
///
/// If it cannot be read at all, or is too large, or `progress` returns `false`. What is missing in
/// a damaged dump is no error: [`Imported::losses`].
pub fn import(
    path: impl AsRef<Path>,
    format: Option<Format>,
    progress: Progress<'_>,
) -> Result<Imported, ImportError> {
    let path = path.as_ref();
    // Before it is opened: that would wait for who writes a pipe.
    if !std::fs::metadata(path)?.is_file() {
        return Err(ImportError::NotAFile);
    }
    let mut file = File::open(path)?;
    let format = match format {
        Some(format) => format,
        None => {
            let mut begin = Vec::new();
            (&mut file).take(4096).read_to_end(&mut begin)?;
            Format::of(&begin).ok_or(ImportError::UnknownFormat)?
        }
    };
    let imported = import_from(file, format, progress)?;
    Ok(imported)
}

/// [`import`], from anything that can be read more than once.
///
/// # Errors
///
/// As of that.
pub fn import_from(
    reader: impl Read + Seek,
    format: Format,
    progress: Progress<'_>,
) -> Result<Imported, ImportError> {
    let mut imported = match format {
        Format::Hprof => hprof::read(Source::new(reader, 2, progress)?),
        Format::V8 => v8::read(Source::new(reader, 1, progress)?),
        Format::Lines => lines::read(Source::new(reader, 2, progress)?),
        Format::Dot => dot::read(Source::new(reader, 1, progress)?),
    }?;
    let (cut, first) = imported.graph.cut();
    imported.losses.note_many(lost::CUT, cut, first);
    imported.graph.settle_roots();
    imported.graph = imported.graph.ordered();
    imported.assumed_roots = imported.graph.assume_roots();
    Ok(imported)
}
