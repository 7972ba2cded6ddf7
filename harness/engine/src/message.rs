//! What is said to the user: text on standard output, lines on standard error, why there are no
//! results, and commands as they would be typed.
//!
//! Nothing of it controls a terminal, whatever names there are in it ([`contract::shown`]).

use std::io::{self, Write};
use std::path::Path;

pub use contract::shown::{printable, shown};

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
    match deliver(&printable(text)) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

/// Prints on standard output as it is, for a program that must be there to read it.
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
    let _ = writeln!(io::stderr(), "{}", printable(text));
}

/// Words as a shell reads them.
pub fn command_line(words: &[String]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| quote(word)).collect();
    quoted.join(" ")
}

/// The command of these arguments as it would be typed: of the program, its name alone.
pub fn command(arguments: &[String]) -> String {
    let mut words = arguments.to_vec();
    if let Some(program) = words.first_mut() {
        *program = program.rsplit('/').next().unwrap_or_default().to_owned();
    }
    command_line(&words)
}

/// A path as a shell reads it, though it be no text.
pub(crate) fn quote_path(path: &Path) -> String {
    match path.to_str() {
        Some(text) => quote(text),
        None => in_octal(path.as_os_str().as_encoded_bytes()),
    }
}

/// Bytes that are no text, or that a terminal would take for more than that.
fn in_octal(bytes: &[u8]) -> String {
    let escaped: String = bytes.iter().map(|byte| format!("\\{byte:03o}")).collect();
    format!("$'{escaped}'")
}

fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else if word.contains(char::is_control) {
        in_octal(word.as_bytes())
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_mean_nothing_but_themselves() {
        assert_eq!(quote("it's"), r"'it'\''s'");
        assert_eq!(quote(""), "''");
        assert_eq!(quote("\u{1b}["), r"$'\033\133'");
        let words = ["harness", "a b", "x=1"].map(str::to_owned);
        assert_eq!(command_line(&words), "harness 'a b' x=1");
        assert_eq!(command(&["/a/b c".to_owned()]), "'b c'");
        assert_eq!(command(&[]), "");
    }
}
