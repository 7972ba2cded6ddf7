//! What is said to the user: text on standard output, lines on standard error, and why there are no
//! results.

use std::io::{self, Write};

/// Why there are no results, or not where they belong. Each holds a sentence for the user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// The result file cannot be opened, or not be gone on with: nothing was run.
    NotRun(String),
    /// Everything was run, but the result file or standard output could not be written to the end.
    NotWritten(String),
    /// The user has interrupted it. What was measured is in the file; the sentence says how to go
    /// on.
    Interrupted {
        /// The number of the signal.
        signal: i32,
        /// What was measured, and how to go on.
        message: String,
    },
}

/// Prints on standard output; a reader that has gone away is no error.
pub fn print(text: &str) -> io::Result<()> {
    match deliver(text) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

/// Prints on standard output for a reader that must be there.
pub fn deliver(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}

/// What to say if standard output cannot be written.
pub fn not_printed(error: &io::Error) -> String {
    format!("cannot write to standard output: {error}")
}

/// Prints a line on standard error. If that is impossible there is nobody to tell; in particular it
/// is no reason to stop measuring.
pub fn complain(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}
