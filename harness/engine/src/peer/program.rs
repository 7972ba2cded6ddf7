//! Programs that do a workload's work on one runtime, and the files that they are written to.

use std::io;
use std::path::Path;

/// A program that does a workload's work on one runtime.
#[derive(Debug)]
pub(super) struct Program {
    pub(super) workload: &'static str,
    /// Where its source is, below `harness/peers`.
    pub(super) path: &'static str,
    pub(super) source: &'static str,
}

/// A [`Program`]: the workload, and the path of its source.
macro_rules! program {
    ($workload:literal, $path:literal) => {
        Program {
            workload: $workload,
            path: $path,
            source: include_str!(concat!("../../../peers/", $path)),
        }
    };
}
pub(super) use program;

impl Program {
    /// The name of its source.
    pub(super) fn file(&self) -> &'static str {
        self.path
            .rsplit_once('/')
            .map_or(self.path, |(_, file)| file)
    }

    /// The name of its source without the ending.
    pub(super) fn stem(&self) -> &'static str {
        let file = self.file();
        file.rsplit_once('.').map_or(file, |(stem, _)| stem)
    }

    /// Writes its source into `directory`.
    pub(super) fn write(&self, directory: &Path) -> Result<(), String> {
        write(&directory.join(self.file()), self.source)
    }
}

/// Writes a source file. The sentence says where there was no room for it, and what to do.
pub(super) fn write(path: &Path, text: &str) -> Result<(), String> {
    std::fs::write(path, text).map_err(|error| no_room(path, &error))
}

/// That something temporary cannot be written.
pub(super) fn no_room(path: &Path, error: &io::Error) -> String {
    format!(
        "cannot write {}: {error}; name a directory with room for temporary files in TMPDIR",
        path.display()
    )
}
