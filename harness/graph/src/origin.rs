//! From which dumps a graph was made.
//!
//! A graph is written beside its dump, under a name that something else may have. Whether that is
//! an older graph of the same dump, which may go, or somebody's other graph, which may not, must be
//! known before a dump is read for minutes. So a graph keeps a number that tells dumps apart.
//!
//! It is a sum of the dumps' lengths and of some of their bytes, from which nothing of them can be
//! had; but who has a dump can tell whether a graph was made of it.
//!
//! Rejected: the times of files (a copy is the same dump); a sum of all bytes (it takes as long as
//! half the reading, and two dumps of one length that agree in all samples are two of one moment);
//! to use the graph that is there in place of reading the dump again (importers become better).

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use crate::file::{CRC, MAGIC};

/// Samples of a dump, and the bytes of each. Smaller ones are read whole.
const SAMPLES: u64 = 64;
const SAMPLE: u64 = 4096;

/// What tells these dumps, in this order, from others. Never 0. Cost: a quarter of a MiB is read of
/// each.
///
/// # Errors
///
/// If one cannot be read.
pub fn origin_of<P: AsRef<Path>>(dumps: impl IntoIterator<Item = P>) -> io::Result<u64> {
    let mut digest = CRC.digest();
    for dump in dumps {
        let mut file = File::open(dump)?;
        let length = file.metadata()?.len();
        digest.update(&length.to_le_bytes());
        let mut bytes = Vec::new();
        let step = (length / SAMPLES).max(SAMPLE);
        for from in (0..length).step_by(step as usize) {
            // The last one is the end of the file, whose beginning most dumps have in common.
            let from = match from + step {
                end if end >= length => length.saturating_sub(SAMPLE).max(from),
                _ => from,
            };
            bytes.clear();
            file.seek(SeekFrom::Start(from))?;
            (&mut file).take(SAMPLE).read_to_end(&mut bytes)?;
            digest.update(&bytes);
        }
    }
    Ok(digest.finalize().max(1))
}

/// What is where a graph is to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// No file.
    Nothing,
    /// A graph that was made of these dumps, as [`origin_of`] has it; `None` if it does not say.
    Graph(Option<u64>),
    /// Something else.
    Other,
}

impl Origin {
    /// Looks at a path. What cannot be read is something else.
    pub fn at(path: &Path) -> Self {
        match std::fs::symlink_metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Self::Nothing,
            Err(_) => return Self::Other,
            Ok(_) => {}
        }
        // Before it is opened: that would wait for who writes a pipe.
        if !std::fs::metadata(path).is_ok_and(|there| there.is_file()) {
            return Self::Other;
        }
        let mut header = [0; 56];
        let read = File::open(path).and_then(|mut file| file.read_exact(&mut header));
        if read.is_err() || header[..8] != MAGIC {
            return Self::Other;
        }
        let origin = header[48..].try_into().expect("eight bytes");
        Self::Graph(Some(u64::from_le_bytes(origin)).filter(|&origin| origin != 0))
    }
}
