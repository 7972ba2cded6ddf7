//! `harness explain`: the collectors followed step by step, on a graph of six objects.
//!
//! Nothing on these pages is simulated. Each builds its graph in a real heap of its own, and prints
//! what the heap says of itself: counts and marks as they are read from it, and the steps that
//! operations recorded while they were carried out ([`gc_rc::Step`], [`gc_marksweep::Step`]). The
//! words between are written for the graph; what they claim of it the tests check.
//!
//! The pages use the collectors' crates and not the [contract](contract::heap): what is shown is
//! what differs between them.
//!
//! Rejected: to let the reader bring a graph. A page of some sixty lines can be read to its end
//! because its graph is small and made for what it is to show; for other graphs there is the same
//! record in the crates.

mod biased;
mod counting;
mod cycles;
mod marking;

use std::collections::BTreeMap;
use std::error;

use clap::Args;
use clap::builder::{PossibleValue, StringValueParser, TypedValueParser};

use super::{Command, Context, Examples, print};
use contract::suggest;
use engine::message::Error;

/// Follow a collector step by step on a graph of six objects
#[derive(Debug, Args)]
pub(crate) struct Explain {
    /// What of it [default: what there is]
    #[arg(value_parser = TopicParser)]
    topic: Option<String>,
}

impl Command for Explain {
    const NAME: &'static str = "explain";
    const EXAMPLES: Examples = &[(
        "explain marking",
        "a collection of six objects, step by step",
    )];

    fn run(self, _context: &Context) -> Result<bool, Error> {
        print(&text(self.topic.as_deref()).map_err(Error::NotRun)?)
    }
}

/// Takes any word, and lets shells complete the topics: an unknown one is refused in one line, with
/// the nearest.
#[derive(Clone, Debug)]
struct TopicParser;

impl TypedValueParser for TopicParser {
    type Value = String;

    fn parse_ref(
        &self,
        command: &clap::Command,
        argument: Option<&clap::Arg>,
        value: &std::ffi::OsStr,
    ) -> Result<String, clap::Error> {
        StringValueParser::new().parse_ref(command, argument, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(names().map(PossibleValue::new)))
    }
}

/// What there is to explain: its name, in a few words, and the page.
struct Topic {
    name: &'static str,
    summary: &'static str,
    page: fn() -> Result<Page, Box<dyn error::Error>>,
}

const TOPICS: [Topic; 4] = [
    Topic {
        name: "counting",
        summary: "gc-rc: counts go up and down, objects die when theirs is zero, and a cycle stays",
        page: counting::page,
    },
    Topic {
        name: "biased",
        summary: "gc-rc without the lock: the thread that made an object counts by itself, and is \
                  told what others let go of",
        page: biased::page,
    },
    Topic {
        name: "cycles",
        summary: "gc-rc: the cycle collector subtracts what objects refer to, and frees what is \
                  left over",
        page: cycles::page,
    },
    Topic {
        name: "marking",
        summary: "gc-marksweep: what can be reached is marked, and memory without a mark is used \
                  again",
        page: marking::page,
    },
];

/// The names of the topics.
fn names() -> impl Iterator<Item = &'static str> {
    TOPICS.iter().map(|topic| topic.name)
}

/// The page on a topic; without one, what topics there are.
///
/// # Errors
///
/// An unknown topic, with the nearest known one; or that the system has no memory for a heap of a
/// megabyte.
fn text(topic: Option<&str>) -> Result<String, String> {
    let Some(name) = topic else {
        let mut page = Page::of("");
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
        .ok_or_else(|| suggest::unknown("topic", name, names()))?;
    match (topic.page)() {
        Ok(page) => Ok(page.text),
        Err(error) => Err(format!("there is no heap to explain {name} on: {error}")),
    }
}

/// The widest line.
const WIDTH: usize = 100;

/// A page as it is written: its words come from a file, with places for what the heap says.
struct Page {
    text: String,
    /// The words that are still to be written, in Markdown.
    words: &'static str,
}

impl Page {
    fn of(words: &'static str) -> Self {
        Self {
            text: String::new(),
            words,
        }
    }

    /// Writes the words up to the next place for steps, and what `{names}` in them stand for.
    fn go_on(&mut self, values: &[(&str, String)]) {
        const STEPS: &str = "<!-- steps -->\n";
        let (words, rest) = self.words.split_once(STEPS).unwrap_or((self.words, ""));
        self.words = rest;
        let mut words = words.to_owned();
        for (name, value) in values {
            words = words.replace(&format!("{{{name}}}"), value);
        }
        for block in words.split("\n\n").filter(|block| !block.trim().is_empty()) {
            let block = block.trim_matches('\n');
            if let Some(title) = block.strip_prefix("# ") {
                self.line(title);
            } else if let Some(heading) = block.strip_prefix("## ") {
                self.line("");
                self.line(heading);
            } else if let Some(drawing) = block.strip_prefix("```text") {
                drawing
                    .lines()
                    .for_each(|line| self.line(line.trim_end_matches("```")));
            } else {
                self.broken("  ", "  ", block);
            }
        }
    }

    /// A line as it is.
    fn line(&mut self, line: &str) {
        debug_assert!(line.chars().count() <= WIDTH, "{line}");
        self.text.push_str(line);
        self.text.push('\n');
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

/// The references of a graph: `A0B` says that field 0 of A refers to B. Objects are numbered by
/// their letters.
fn edges(graph: &str) -> impl Iterator<Item = (usize, usize, usize)> {
    let number = |byte: u8, first: u8| usize::from(byte - first);
    graph.split(' ').map(move |edge| match *edge.as_bytes() {
        [from, field, to] => (number(from, b'A'), number(field, b'0'), number(to, b'A')),
        _ => panic!("{edge} is no reference"),
    })
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

    /// What is done with an object: "visit A".
    fn at(&self, verb: &str, place: P) -> String {
        format!("{verb} {}", self.of(place))
    }

    /// A reference: "  A -> B".
    fn edge(&self, from: P, to: P) -> String {
        format!("  {} -> {}", self.of(from), self.of(to))
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

    /// What the lines of a section that begin so say.
    fn said<'p>(page: &'p str, section: &str, beginning: &str) -> Vec<&'p str> {
        let from = page.find(&format!("\n{section}. ")).unwrap();
        let rest = &page[from + 1..];
        let rest = &rest[..rest.find("\n\n").unwrap_or(rest.len())];
        rest.lines()
            .filter_map(|line| line.trim_start().strip_prefix(beginning))
            .map(str::trim_start)
            .collect()
    }

    /// Each count that is shown is the number of those who are said to refer to the object.
    #[test]
    fn counts_are_numbers_of_references() {
        for name in ["counting", "cycles"] {
            let page = text(Some(name)).unwrap();
            let mut objects = 0;
            for line in page.lines() {
                if let Some((object, holders)) = line.split_once("referred to by ") {
                    let count: usize = object.trim().split_once(' ').unwrap().1.parse().unwrap();
                    assert_eq!(
                        count,
                        holders.replace(" and ", ", ").split(", ").count(),
                        "{line}"
                    );
                    objects += 1;
                }
            }
            assert!(objects >= 6, "{page}");
        }
    }

    #[test]
    fn counting_frees_what_the_list_kept_and_leaves_the_cycle() {
        let page = text(Some("counting")).unwrap();
        assert_eq!(said(&page, "2", "B: "), ["1 -> 0", "0 -> 1"]);
        assert_eq!(said(&page, "2", "pending: "), ["B", "B"]);
        let section: String = said(&page, "3", "").join("\n");
        let order: Vec<_> = section
            .lines()
            .filter_map(|line| line.strip_suffix(" is freed"))
            .collect();
        assert_eq!(order, ["A", "B", "C"]);
        assert!(
            section.contains("the new object, G, lies where C lay"),
            "{section}"
        );
        assert_eq!(said(&page, "4", "pending: "), ["nothing"]);
        assert!(
            page.contains("the heap has freed three, and\n  four are left"),
            "{page}"
        );
    }

    /// What two threads do to the parts, and how many objects die of it, and when.
    #[test]
    fn biased_names_once_and_frees_what_the_other_let_go_of() {
        let page = text(Some("biased")).unwrap();
        let parts = |section| said(&page, section, "B: ");
        assert_eq!(parts("1"), [""; 0]);
        assert_eq!(
            said(&page, "1", "B ")[0],
            "one 1, others 0: referred to by A"
        );
        assert_eq!(
            parts("2"),
            [
                "one 1, others 0 -> one 2, others 0",
                "one 2, others 0 -> one 1, others 0"
            ]
        );
        assert_eq!(
            parts("3"),
            [
                "one 1, others 0 -> one 1, others 1",
                "one 1, others 1 -> one 1, others 0"
            ]
        );
        assert_eq!(parts("4"), ["one 1, others 0 -> one 1, others -1"]);
        let freed: Vec<_> = page
            .lines()
            .filter_map(|line| Some(line.trim().split_once(" freed")?.0))
            .collect();
        let two = "two objects are";
        assert_eq!(
            freed,
            [two, two, "one object is", "no objects are", "one object is"]
        );
        assert!(page.contains("named to its owner one time, and objects lost"));
        assert!(page.contains("owner three times"));
    }

    #[test]
    fn cycles_finds_what_nothing_outside_refers_to() {
        let page = text(Some("cycles")).unwrap();
        assert_eq!(said(&page, "2", "given up").len(), 1);
        // Eight counted references, seven of them within.
        let added: Vec<_> = said(&page, "3", "visit ")
            .into_iter()
            .map(|line| &line[..1])
            .collect();
        assert_eq!(added, ["F", "E", "D", "C", "B", "A"]);
        let taken = said(&page, "3", "")
            .into_iter()
            .filter(|line| line.contains("one is taken from"))
            .count();
        assert_eq!(taken, 7);
        assert_eq!(
            said(&page, "3", "The balances: ")[0],
            "A 1, B 0, C 0, D 0, E 0, F 0. The counts add up to 8, and 7 references were taken"
        );
        assert_eq!(said(&page, "4", "at A").len(), 1);
        let verdicts = |verdict: &str| -> String {
            let lines = said(&page, "5", "").into_iter();
            lines
                .filter(|line| line.contains(verdict))
                .map(|line| &line[..1])
                .collect()
        };
        assert_eq!((&*verdicts("alive"), &*verdicts("garbage")), ("FBA", "CDE"));
        let freed: Vec<_> = said(&page, "6", "free ")
            .into_iter()
            .map(|line| &line[..1])
            .collect();
        assert_eq!(freed, ["C", "D", "E"]);
        assert!(
            said(&page, "7", "")
                .join(" ")
                .contains("every presumption has held")
        );
    }

    #[test]
    fn marking_marks_what_can_be_reached_and_reuses_the_rest() {
        let page = text(Some("marking")).unwrap();
        let taken = |section: &str, how: &str| -> String {
            let lines = said(&page, section, "take ").into_iter();
            lines
                .filter(|line| line.contains(how))
                .map(|line| &line[..1])
                .collect()
        };
        assert_eq!(
            (
                &*taken("2", "not marked yet"),
                &*taken("2", "marked already")
            ),
            ("ADB", "DA")
        );
        assert_eq!(
            (
                &*taken("4", "not marked yet"),
                &*taken("4", "marked already")
            ),
            ("HGAD", "")
        );
        let bytes = |section| said(&page, section, "bytes ").join("; ");
        assert_eq!(
            bytes("3"),
            "0x0 to 0x40 are marked, live: A and B; 0x40 to 0x60 are not marked, free: here C lay; \
             0x60 to 0x80 are marked, live: D; 0x80 to 0x8000 are not marked, free: here E and F \
             lay"
        );
        assert_eq!(
            bytes("4"),
            "0x0 to 0x20 are marked, live: A; 0x20 to 0x40 are not marked, free: here B lay"
        );
        assert_eq!(
            said(&page, "4", "clear "),
            ["the marks of the block at 0x0, where 96 bytes were live"]
        );
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
        let mut page = Page::of("");
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
