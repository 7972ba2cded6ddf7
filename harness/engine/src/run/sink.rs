//! Where rows and reports go: the result file, standard output, and standard error.
//!
//! A row that cannot be written is kept, tried again with each later one, and in the end printed:
//! nothing measured is lost.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::invocation::Row;
use crate::message::{Error, not_printed, print, shown};
use crate::plan::Format;
use crate::report;

/// The result file and standard output.
pub struct Sink {
    file: File,
    /// Where the result file is.
    pub path: PathBuf,
    /// Lines that are not in the file, or not as a whole, and how much of the first one is.
    unwritten: VecDeque<String>,
    written: usize,
    csv: report::csv::Writer,
    format: Format,
    /// What went wrong first on standard output.
    unprinted: Option<io::Error>,
}

impl Sink {
    /// Opens a file for appending; a new one in `results/` if none is chosen.
    pub fn open(chosen: Option<&Path>, format: Format) -> Result<Self, Error> {
        let (path, file) = open_output(chosen).map_err(Error::NotRun)?;
        Ok(Self {
            file,
            path,
            unwritten: VecDeque::new(),
            written: 0,
            csv: report::csv::Writer::default(),
            format,
            unprinted: None,
        })
    }

    /// Appends a row. One that cannot be written now is tried again with the next.
    pub fn write(&mut self, row: &Row) {
        let line = report::json::line(row);
        match self.format {
            Format::Json => self.print(&line),
            Format::Csv => {
                let line = self.csv.line(row);
                self.print(&line);
            }
            _ => {}
        }
        self.unwritten.push_back(line);
        let _ = self.append();
    }

    /// Appends what is not in the file. Goes on where it was interrupted: half a row is completed
    /// and not begun again.
    fn append(&mut self) -> io::Result<()> {
        while let Some(line) = self.unwritten.front() {
            match self.file.write(&line.as_bytes()[self.written..]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => self.written += written,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
            if self.written == line.len() {
                self.written = 0;
                self.unwritten.pop_front();
            }
        }
        Ok(())
    }

    /// Prints on standard output; a failure is kept for [`Self::finish`].
    pub fn print(&mut self, text: &str) {
        if self.unprinted.is_none() {
            self.unprinted = print(text).err();
        }
    }

    /// A last attempt. Rows that are still not in the file go to standard error, unless they have
    /// been printed.
    pub fn finish(&mut self) -> Result<(), String> {
        let path = shown(&self.path);
        let Err(error) = self.append() else {
            return match &self.unprinted {
                None => Ok(()),
                Some(error) => Err(format!("{}; the results are in {path}", not_printed(error))),
            };
        };
        let missing = self.unwritten.len();
        let rows = if missing == 1 { "row" } else { "rows" };
        let message = format!("cannot write {path}: {error}; {missing} {rows} are not in it");
        if self.format == Format::Json && self.unprinted.is_none() {
            return Err(format!("{message}, but on standard output"));
        }
        let lines: String = self.unwritten.iter().map(String::as_str).collect();
        Err(format!("{message}:\n{}", lines.trim_end()))
    }
}

/// Opens the result file for appending, with its directory if it is the default one.
fn open_output(chosen: Option<&Path>) -> Result<(PathBuf, File), String> {
    let refuse = |path: &Path, error: io::Error| {
        format!(
            "cannot write {}: {error}; choose another file with --output FILE",
            shown(path)
        )
    };
    if let Some(path) = chosen {
        let file = OpenOptions::new().append(true).create(true).open(path);
        let mut file = file.map_err(|error| refuse(path, error))?;
        end_last_line(path, &mut file).map_err(|error| refuse(path, error))?;
        return Ok((path.to_owned(), file));
    }
    let directory = Path::new("results");
    fs::create_dir_all(directory).map_err(|error| refuse(directory, error))?;
    let time = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
    let time = time
        .replace(['-', ':'], "")
        .replace('T', "-")
        .replace('Z', "");
    // Two in one second differ by a number.
    for number in 1.. {
        let suffix = if number == 1 {
            String::new()
        } else {
            format!("-{number}")
        };
        let path = directory.join(format!("{time}{suffix}.jsonl"));
        match OpenOptions::new().append(true).create_new(true).open(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            file => {
                return file
                    .map_err(|error| refuse(&path, error))
                    .map(|file| (path, file));
            }
        }
    }
    unreachable!("some number is free")
}

/// Makes a file end with a line feed, so that the next row does not become the end of a line that a
/// killed process left unfinished. Half a row is of no use to anyone, and is removed; anything else
/// is kept.
fn end_last_line(path: &Path, file: &mut File) -> io::Result<()> {
    if !file.metadata()?.is_file() {
        return Ok(());
    }
    let bytes = fs::read(path)?;
    let kept = bytes
        .iter()
        .rposition(|&byte| byte == b'\n')
        .map_or(0, |end| end + 1);
    let last = &bytes[kept..];
    if last.is_empty() {
        Ok(())
    } else if last.starts_with(b"{\"schema\"") && serde_json::from_slice::<Row>(last).is_err() {
        file.set_len(kept as u64)
    } else {
        file.write_all(b"\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invocation::{Invocation, Metrics};
    use crate::workload::Size;

    fn row() -> Row {
        let invocation = Invocation {
            workload: "list".to_owned(),
            size: Size::Tiny,
            parameters: [].into(),
            file: None,
            heap: "arena".to_owned(),
            options: [].into(),
            heap_bytes: 1 << 20,
            threads: 1,
            seed: 1,
            iterations: 1,
            invocation: 1,
        };
        Row::measured(&invocation, 1, Metrics::default())
    }

    #[test]
    fn half_a_row_is_removed_before_others_are_appended() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("rows.jsonl");
        let after = |before: &str| {
            fs::write(&path, before).unwrap();
            open_output(Some(&path)).unwrap();
            fs::read_to_string(&path).unwrap()
        };
        assert_eq!(after(""), "");
        assert_eq!(after("a\n"), "a\n");
        assert_eq!(after("a\n{\"schema\":2,\"work"), "a\n");
        assert_eq!(after("a note"), "a note\n");
        let whole = report::json::line(&row());
        assert_eq!(after(whole.trim_end()), whole);
    }
}
