//! `harness explain`: the collectors followed step by step, on a graph of six objects.
//!
//! Nothing on these pages is simulated. Each builds its graph in a real heap of its own, and prints what the heap says of itself: counts and marks as they are read from it, and the steps that operations
//! recorded while they were carried out ([`gc_rc::Step`], [`gc_marksweep::Step`]). The words between are written for the graph; what they claim of it the tests check.
//!
//! The pages use the collectors' crates and not the [contract](crate::heap): what is shown is what differs between them.
//!
//! Rejected: to let the reader bring a graph. A page of some sixty lines can be read to its end because its graph is small and made for what it
//! is to show; for other graphs there is the same record in the crates.

mod counting;
mod cycles;
mod marking;

use std::collections::BTreeMap;
use std::error::Error;

/// What there is to explain: its name, in a few words, and the page.
struct Topic {
    name: &'static str,
    summary: &'static str,
    page: fn() -> Result<Page, Box<dyn Error>>,
}

const TOPICS: [Topic; 3] = [
    Topic {
        name: "counting",
        summary: "gc-rc: counts go up and down, objects die when theirs is zero, and a cycle stays",
        page: counting::page,
    },
    Topic {
        name: "cycles",
        summary: "gc-rc: the cycle collector subtracts what objects refer to, and frees what is left over",
        page: cycles::page,
    },
    Topic {
        name: "marking",
        summary: "gc-marksweep: what can be reached is marked, and memory without a mark is used again",
        page: marking::page,
    },
];

/// The names of the topics.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    TOPICS.iter().map(|topic| topic.name)
}

/// The page on a topic; without one, what topics there are.
///
/// # Errors
///
/// An unknown topic, with the nearest known one; or that the system has no memory for a heap of a megabyte.
pub(crate) fn text(topic: Option<&str>) -> Result<String, String> {
    let Some(name) = topic else {
        let mut page = Page::default();
        page.line(
            "A graph of six objects in a real heap, and each step that the collector takes on it:",
        );
        page.line("");
        for Topic { name, summary, .. } in &TOPICS {
            page.broken(
                &format!("  harness explain {name:<10}"),
                &" ".repeat(28),
                summary,
            );
        }
        return Ok(page.text);
    };
    let topic = (TOPICS.iter().find(|topic| topic.name == name))
        .ok_or_else(|| crate::suggest::unknown("topic", name, names()))?;
    match (topic.page)() {
        Ok(page) => Ok(page.text),
        Err(error) => Err(format!("there is no heap to explain {name} on: {error}")),
    }
}

/// The widest line.
const WIDTH: usize = 100;

/// Text as it is written.
#[derive(Default)]
struct Page {
    text: String,
}

impl Page {
    /// A line as it is.
    fn line(&mut self, line: &str) {
        debug_assert!(line.chars().count() <= WIDTH, "{line}");
        self.text.push_str(line);
        self.text.push('\n');
    }

    /// Lines as they are: a drawing.
    fn drawing(&mut self, lines: &str) {
        self.line("");
        lines
            .trim_matches('\n')
            .lines()
            .for_each(|line| self.line(line));
        self.line("");
    }

    /// A heading after an empty line.
    fn heading(&mut self, heading: &str) {
        self.line("");
        self.line(heading);
    }

    /// A paragraph, broken into lines.
    fn prose(&mut self, words: &str) {
        self.broken("  ", "  ", words);
    }

    /// One step: what it is about, and what happens.
    fn step(&mut self, what: &str, words: &str) {
        self.broken(&format!("    {what:<12}"), &" ".repeat(16), words);
    }

    fn broken(&mut self, first: &str, rest: &str, words: &str) {
        let mut line = first.to_owned();
        let mut empty = true;
        for word in words.split_whitespace() {
            let length = line.chars().count() + usize::from(!empty) + word.chars().count();
            if !empty && length > WIDTH {
                self.line(&line);
                line = rest.to_owned();
                empty = true;
            }
            if !empty {
                line.push(' ');
            }
            line.push_str(word);
            empty = false;
        }
        self.line(&line);
    }
}

/// What the objects of a page are called, by the places they lie at.
struct Names<P>(BTreeMap<P, char>);

impl<P: Ord + Copy> Names<P> {
    fn new() -> Self {
        Self(BTreeMap::new())
    }

    /// Calls the object at a place so; what lay there before is forgotten, and returned.
    fn give(&mut self, place: P, name: char) -> Option<char> {
        self.0.insert(place, name)
    }

    /// The name of the object at a place, which must have been given.
    fn of(&self, place: P) -> char {
        self.0[&place]
    }

    /// "A, B and C".
    fn list(&self, places: impl IntoIterator<Item = P>) -> String {
        let names: Vec<String> = (places.into_iter())
            .map(|place| self.of(place).to_string())
            .collect();
        enumeration(&names)
    }
}

/// "A, B and C"; "nothing" of none.
fn enumeration(names: &[String]) -> String {
    match names {
        [] => "nothing".into(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// "one reference", "two references".
fn number(count: u64, one: &str, many: &str) -> String {
    const WORDS: [&str; 10] = [
        "no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine",
    ];
    let what = if count == 1 { one } else { many };
    match WORDS.get(count as usize) {
        Some(word) => format!("{word} {what}"),
        None => format!("{count} {what}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_page_is_written_and_narrow_enough() {
        for name in names() {
            let page = text(Some(name)).unwrap();
            assert!(page.lines().count() > 20, "{page}");
            for line in page.lines() {
                assert!(line.chars().count() <= WIDTH, "{line}");
                assert_eq!(line.trim_end(), line, "{line:?}");
            }
        }
    }

    #[test]
    fn a_page_says_the_same_each_time() {
        for name in names() {
            assert_eq!(text(Some(name)), text(Some(name)));
        }
    }

    #[test]
    fn without_a_topic_all_are_listed() {
        let list = text(None).unwrap();
        for name in names() {
            assert!(list.contains(&format!("harness explain {name} ")), "{list}");
        }
    }

    #[test]
    fn lines_are_broken_between_words() {
        let mut page = Page::default();
        page.step("what", &"word ".repeat(30));
        let lines: Vec<&str> = page.text.lines().collect();
        assert_eq!(lines.len(), 2);
        assert!(lines[0].starts_with("    what        word word"));
        assert_eq!(lines[1].trim_start(), "word ".repeat(13).trim_end());
    }

    #[test]
    fn enumerations_and_numbers() {
        let names = ["A", "B", "C"].map(String::from);
        assert_eq!(enumeration(&names), "A, B and C");
        assert_eq!(enumeration(&names[..1]), "A");
        assert_eq!(enumeration(&[]), "nothing");
        assert_eq!(number(1, "reference", "references"), "one reference");
        assert_eq!(number(12, "reference", "references"), "12 references");
    }
}
