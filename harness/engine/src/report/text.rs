//! Text in lines.

/// The words of a text in lines of at most `width` characters, where no word is longer; the first
/// line is indented by `first`, the others by `rest`. No line feed at the end.
pub fn wrap(text: &str, width: usize, first: usize, rest: usize) -> String {
    let mut wrapped = " ".repeat(first);
    let mut column = first;
    let mut is_empty = true;
    for word in text.split_whitespace() {
        let length = word.chars().count();
        if !is_empty && column + 1 + length > width {
            wrapped.push('\n');
            wrapped.push_str(&" ".repeat(rest));
            column = rest;
        } else if !is_empty {
            wrapped.push(' ');
            column += 1;
        }
        wrapped.push_str(word);
        column += length;
        is_empty = false;
    }
    wrapped
}

/// How many threads, in words.
pub(crate) fn threads(count: usize) -> String {
    match count {
        1 => "1 thread".to_owned(),
        count => format!("{count} threads"),
    }
}

/// The text without line feeds, and with no more than one space anywhere: labels come from files.
pub(crate) fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_wrapped_at_words() {
        assert_eq!(wrap("aa bb cc", 5, 0, 0), "aa bb\ncc");
        assert_eq!(wrap("aaaaaaa b", 3, 0, 0), "aaaaaaa\nb");
        assert_eq!(wrap("aa bb cc", 6, 1, 2), " aa bb\n  cc");
        assert_eq!(wrap("", 6, 0, 0), "");
    }
}
