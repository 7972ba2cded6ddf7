//! JSON lines: the form for whatever has no dump of its own.
//!
//! Each line is an object:
//!
//! ```json
//! {"id": 1, "refs": [2, null, 3], "bytes": 24, "root": true}
//! {"id": 2, "weak": [1], "count": 3}
//! {"id": 3}
//! ```
//!
//! * `id`: what the object is called, a whole number below 2^64. Addresses are good: `{"order":
//!   "address"}` on the first line says that they are, and neighbours stay neighbours.
//! * `refs`: what it refers to, in the order of its fields, with `null` for a field that refers to
//!   nothing.
//! * `weak`: what it refers to without keeping it alive.
//! * `bytes`: its payload beside references, 0 if it is not there.
//! * `root`: whether it is reached from outside, from a variable or a thread.
//! * `count`: how many references there are to it, where the program counts them. An object with
//!   more of these than references to it in the file is reached from somewhere that the file does
//!   not show: a root.
//!
//! A first line with `{"ends": true}` promises a last one, `{"end": 3}`, which says how many
//! objects there are: without it nothing tells that a file was cut off between two lines.
//!
//! Other keys are left alone. Lines may come in any order, and empty ones say nothing.

use std::io::{Read, Seek};

use serde::Deserialize;

use crate::ids::Ids;
use crate::import::{ImportError, Imported, Losses, Source, lost};
use crate::raw::RawGraph;

/// The longest line, in bytes: one object of some ten million references.
const MOST: usize = 256 << 20;

const NO_OBJECT: &str = "lines that are no JSON object, or of another form";
const MISSING: &str = "objects that the last line counts and the file has not";
const LONG: &str = "lines of more than 256 MiB";

#[derive(Deserialize)]
struct Line {
    id: Option<u64>,
    order: Option<Order>,
    #[serde(default)]
    refs: Vec<Option<u64>>,
    #[serde(default)]
    weak: Vec<u64>,
    #[serde(default)]
    bytes: u64,
    #[serde(default)]
    root: bool,
    count: Option<u64>,
    #[serde(default)]
    ends: bool,
    end: Option<u64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Order {
    Address,
}

/// Calls `each` with the lines that say something, and where they begin. Returns what is wrong with
/// others.
fn each_line<R: Read + Seek>(
    source: &mut Source<'_, R>,
    mut each: impl FnMut(Line, u64) -> Result<(), ImportError>,
) -> Result<Losses, ImportError> {
    let mut losses = Losses::default();
    let mut text = Vec::new();
    loop {
        let at = source.offset();
        let Some(fits) = source.line(&mut text, MOST)? else {
            return Ok(losses);
        };
        if !fits {
            losses.note(LONG, at);
        } else if !text.trim_ascii().is_empty() {
            match serde_json::from_slice::<Line>(&text) {
                Ok(line) => each(line, at)?,
                Err(error) if error.is_eof() && source.offset() == source.length() => {
                    losses.note(lost::TRUNCATED, at);
                }
                Err(_) => losses.note(NO_OBJECT, at),
            }
        }
    }
}

pub(crate) fn read<R: Read + Seek>(mut source: Source<'_, R>) -> Result<Imported, ImportError> {
    let mut ids = Vec::new();
    let (mut addresses, mut counted) = (false, false);
    let (mut ends, mut end) = (false, None);
    each_line(&mut source, |line, _| {
        ends |= line.ends;
        end = line.end.or(end);
        addresses |= matches!(line.order, Some(Order::Address));
        counted |= line.count.is_some();
        if let Some(id) = line.id {
            if ids.len() >= crate::file::MAX_OBJECTS {
                return Err(ImportError::TooLarge);
            }
            ids.push(id);
        }
        Ok(())
    })?;
    let total = ids.len();
    let ids = Ids::new(ids);
    let mut graph = RawGraph::new();
    let mut more = Losses::default();
    // For each object the references that its program counts, less those that are found.
    let mut unseen: Vec<i64> = vec![0; if counted { total } else { 0 }];
    source.again()?;
    let mut losses = each_line(&mut source, |line, at| {
        let Some(id) = line.id else { return Ok(()) };
        let place = graph.objects();
        if ids.place(id) != Some(place) {
            more.note(lost::DUPLICATES, at);
            graph.push_object(0, 0, at)?;
            return Ok(());
        }
        let strong = line.refs.iter().copied().flatten().map(|to| (to, false));
        let weak = line.weak.iter().map(|&to| (to, true));
        for (to, weak) in strong.chain(weak) {
            match ids.place(to) {
                Some(to) => {
                    graph.push_reference(to, weak)?;
                    if counted && !weak {
                        unseen[to] -= 1;
                    }
                }
                None => more.note(lost::UNKNOWN, at),
            }
        }
        let fields = (line.refs.len() + line.weak.len()) as u64;
        graph.push_object(fields, line.bytes, at)?;
        if line.root {
            graph.push_root(place);
        }
        if let Some(count) = line.count {
            unseen[place] += i64::try_from(count).unwrap_or(i64::MAX / 2);
        }
        Ok(())
    })?;
    for (place, _) in unseen.iter().enumerate().filter(|(_, unseen)| **unseen > 0) {
        graph.push_root(place);
    }
    losses.join(&more);
    match end {
        None if ends => losses.note(lost::TRUNCATED, source.length()),
        None => {}
        Some(end) => {
            losses.note_many(MISSING, end.saturating_sub(total as u64), source.length());
        }
    }
    if addresses {
        graph.order_by_address(ids.into_order());
    } else if ids.duplicates() > 0 {
        graph.leave_out_others(ids.into_order());
    }
    Ok(Imported::new(graph, losses))
}
