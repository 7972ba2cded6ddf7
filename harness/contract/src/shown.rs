//! Names that users and files give, as a terminal may have them.
//!
//! A file's name, and a string in a result file, may hold anything; printed as it is, it could
//! clear the screen, move the cursor over what was said, or begin a line that this program never
//! wrote. So a name is [shown] wherever it becomes part of a message, and whatever is printed is
//! made [printable] on its way out, lest one was forgotten.
//!
//! Characters that control are written as JSON writes them: a row that is printed stays the same
//! row.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::fmt::Write as _;

/// A name in a message: in one line, with nothing in it that controls a terminal. What is no text
/// is replaced, as everywhere.
pub fn shown(name: impl AsRef<OsStr>) -> String {
    let name = name.as_ref().to_string_lossy();
    let mut shown = String::with_capacity(name.len());
    name.chars()
        .for_each(|character| push_shown(&mut shown, character));
    shown
}

fn push_shown(text: &mut String, character: char) {
    match character.is_control() {
        true => write!(text, "\\u{:04x}", u32::from(character)).expect("a string takes all"),
        false => text.push(character),
    }
}

/// A whole text: its lines and columns stay, and what is bold or has a colour. Of other control
/// nothing stays.
pub fn printable(text: &str) -> Cow<'_, str> {
    let is_control = |character: char| character.is_control() && !"\n\t".contains(character);
    if !text.contains(is_control) {
        return Cow::Borrowed(text);
    }
    let mut printable = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(is_control) {
        printable.push_str(&rest[..at]);
        rest = &rest[at..];
        let length = match (style(rest), rest.chars().next()) {
            (Some(length), _) => {
                printable.push_str(&rest[..length]);
                length
            }
            (None, character) => {
                let character = character.unwrap_or_default();
                push_shown(&mut printable, character);
                character.len_utf8()
            }
        };
        rest = &rest[length..];
    }
    printable.push_str(rest);
    Cow::Owned(printable)
}

/// How long the sequence is that a text begins with, if it sets how characters look (ECMA-48's
/// SGR): our own tables have such.
fn style(text: &str) -> Option<usize> {
    let parameters = text.strip_prefix("\u{1b}[")?;
    let end = parameters.find(|character: char| !matches!(character, '0'..='9' | ';'))?;
    parameters[end..].starts_with('m').then_some(2 + end + 1)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn a_name_controls_nothing_and_stays_in_its_line() {
        assert_eq!(shown(Path::new("a b/ü.dot")), "a b/ü.dot");
        assert_eq!(
            shown("a\u{1b}[2J\n\tb\u{9b}"),
            "a\\u001b[2J\\u000a\\u0009b\\u009b"
        );
        assert_eq!(shown("\u{1b}[1m"), "\\u001b[1m");
    }

    #[test]
    fn a_text_keeps_its_lines_and_styles_and_nothing_else() {
        let plain = "a\tb\n\u{fc}\n";
        assert!(matches!(printable(plain), Cow::Borrowed(text) if text == plain));
        let styled = "\u{1b}[1mbold\u{1b}[0m \u{1b}[38;5;1mred\u{1b}[m\n";
        assert_eq!(printable(styled), styled);
        for (text, safe) in [
            ("\u{1b}[2Ja", "\\u001b[2Ja"),
            ("a\u{1b}]0;title\u{7}", "a\\u001b]0;title\\u0007"),
            ("a\r\u{8}\u{7f}\u{9b}1m", "a\\u000d\\u0008\\u007f\\u009b1m"),
            ("\u{1b}[1", "\\u001b[1"),
            ("\u{1b}", "\\u001b"),
            ("\u{1b}\u{1b}[1mx", "\\u001b\u{1b}[1mx"),
        ] {
            assert_eq!(printable(text), safe);
        }
    }

    #[test]
    fn a_row_stays_the_same() {
        let value = serde_json::json!({"a\u{7f}": "\u{1b}[2J\u{9b}\n"});
        let line = serde_json::to_string(&value).unwrap();
        let read: serde_json::Value = serde_json::from_str(&printable(&line)).unwrap();
        assert_eq!(read, value);
    }
}
