//! A second reader of every format, which counts what a dump has and makes nothing of it. It gives
//! up at the first thing that is not as the format's description has it.

use std::collections::{HashMap, HashSet};

use graph::Format;
use serde_json::Value;

/// What a dump has.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) objects: usize,
    /// Those that lead to objects of the dump.
    pub(crate) references: usize,
    /// Objects that are roots; 0 if the dump names none.
    pub(crate) roots: usize,
    pub(crate) unknown_references: usize,
    pub(crate) unknown_roots: usize,
}

/// Counts, or says what is not as it should be.
pub(crate) fn read(dump: &[u8], format: Format) -> Result<Tally, String> {
    match format {
        Format::Hprof => hprof(dump).ok_or_else(|| "it is no whole HPROF".to_owned()),
        Format::V8 => v8(dump).ok_or_else(|| "it is no whole snapshot".to_owned()),
        Format::Lines => lines(dump),
        Format::Dot => dot(dump).ok_or_else(|| "its lines are not all alike".to_owned()),
    }
}

/// Counts what is called by numbers.
fn tally(ids: &[u64], references: &[u64], roots: &[u64]) -> Option<Tally> {
    let known: HashSet<u64> = ids.iter().copied().collect();
    if known.len() < ids.len() {
        return None;
    }
    let of = |ids: &[u64]| ids.iter().filter(|id| known.contains(id)).count();
    let distinct: HashSet<u64> = roots
        .iter()
        .copied()
        .filter(|id| known.contains(id))
        .collect();
    Some(Tally {
        objects: ids.len(),
        references: of(references),
        roots: distinct.len(),
        unknown_references: references.len() - of(references),
        unknown_roots: roots.len() - of(roots),
    })
}

// ---- HPROF

struct Bytes<'d> {
    left: &'d [u8],
    id: usize,
}

impl<'d> Bytes<'d> {
    fn take(&mut self, bytes: usize) -> Option<&'d [u8]> {
        let (taken, left) = self.left.split_at_checked(bytes)?;
        self.left = left;
        Some(taken)
    }

    fn number(&mut self, bytes: usize) -> Option<u64> {
        let taken = self.take(bytes)?;
        Some(
            taken
                .iter()
                .fold(0, |number, &byte| number << 8 | u64::from(byte)),
        )
    }

    fn id(&mut self) -> Option<u64> {
        self.number(self.id)
    }

    /// The bytes of a value of this type.
    fn width(&self, kind: u64) -> Option<usize> {
        Some(match kind {
            2 => self.id,
            4 | 8 => 1,
            5 | 9 => 2,
            6 | 10 => 4,
            7 | 11 => 8,
            _ => return None,
        })
    }
}

#[derive(Default)]
struct Heap {
    ids: Vec<u64>,
    references: Vec<u64>,
    roots: Vec<u64>,
    /// The class above each, and the types of its fields.
    classes: HashMap<u64, (u64, Vec<u64>)>,
    /// The class of each instance, and its fields.
    instances: Vec<(u64, Vec<u8>)>,
}

fn hprof(dump: &[u8]) -> Option<Tally> {
    let end = dump
        .iter()
        .position(|&byte| byte == 0)
        .filter(|&end| end < 32)?;
    let mut file = Bytes {
        left: &dump[end + 1..],
        id: 0,
    };
    file.id = file.number(4)? as usize;
    if ![4, 8].contains(&file.id) {
        return None;
    }
    file.take(8)?;
    let mut heap = Heap::default();
    let mut pieces = false;
    while !file.left.is_empty() {
        let tag = file.number(1)?;
        file.take(4)?;
        let length = file.number(4)? as usize;
        let mut record = Bytes {
            left: file.take(length)?,
            ..file
        };
        match tag {
            0x0c | 0x1c => {
                pieces |= tag == 0x1c;
                while !record.left.is_empty() {
                    piece(&mut record, &mut heap)?;
                }
            }
            0x2c => pieces = false,
            0x01..=0x07 | 0x0a | 0x0b | 0x0d | 0x0e => {}
            _ => return None,
        }
    }
    if pieces {
        return None;
    }
    let mut references = std::mem::take(&mut heap.references);
    for (class, fields) in &heap.instances {
        let mut fields = Bytes {
            left: fields,
            ..file
        };
        let (mut at, mut seen) = (*class, HashSet::new());
        heap.classes.get(&at)?;
        while let Some((above, kinds)) = heap.classes.get(&at).filter(|_| seen.insert(at)) {
            for &kind in kinds {
                let value = fields.number(fields.width(kind)?)?;
                if kind == 2 {
                    references.push(value);
                }
            }
            at = *above;
        }
        if !fields.left.is_empty() {
            return None;
        }
    }
    references.retain(|&id| id != 0);
    heap.roots.retain(|&id| id != 0);
    tally(&heap.ids, &references, &heap.roots)
}

fn piece(record: &mut Bytes<'_>, heap: &mut Heap) -> Option<()> {
    let tag = record.number(1)?;
    // Where it is called from, and which heap it is of.
    if tag == 0xfe {
        return record.take(4 + record.id).map(drop);
    }
    let id = record.id()?;
    let behind = match tag {
        0xff | 0x05 | 0x07 | 0x89..=0x8d => Some(0),
        0x01 => Some(record.id),
        0x02 | 0x03 | 0x08 | 0x8e => Some(8),
        0x04 | 0x06 => Some(4),
        0x90 => return Some(()),
        _ => None,
    };
    if let Some(behind) = behind {
        heap.roots.push(id);
        return record.take(behind).map(drop);
    }
    heap.ids.push(id);
    record.take(4)?;
    match tag {
        0x20 => {
            let above = record.id()?;
            heap.references.push(above);
            for _ in 0..3 {
                heap.references.push(record.id()?);
            }
            record.take(2 * record.id + 4)?;
            for _ in 0..record.number(2)? {
                record.take(2)?;
                let kind = record.number(1)?;
                record.take(record.width(kind)?)?;
            }
            for _ in 0..record.number(2)? {
                record.id()?;
                let kind = record.number(1)?;
                let value = record.number(record.width(kind)?)?;
                if kind == 2 {
                    heap.references.push(value);
                }
            }
            let mut kinds = Vec::new();
            for _ in 0..record.number(2)? {
                record.id()?;
                let kind = record.number(1)?;
                record.width(kind)?;
                kinds.push(kind);
            }
            heap.classes.insert(id, (above, kinds));
        }
        0x21 => {
            let class = record.id()?;
            let length = record.number(4)? as usize;
            heap.instances.push((class, record.take(length)?.to_vec()));
        }
        0x22 => {
            let length = record.number(4)?;
            record.id()?;
            for _ in 0..length {
                heap.references.push(record.id()?);
            }
        }
        0x23 | 0xc3 => {
            let length = record.number(4)? as usize;
            let kind = record.number(1)?;
            let width = record.width(kind).filter(|_| kind != 2)?;
            if tag == 0x23 {
                record.take(length.checked_mul(width)?)?;
            }
        }
        _ => return None,
    }
    Some(())
}

// ---- V8

fn v8(dump: &[u8]) -> Option<Tally> {
    let whole: Value = serde_json::from_str(&String::from_utf8_lossy(dump)).ok()?;
    let meta = &whole["snapshot"]["meta"];
    let strings = |name: &str| -> Option<Vec<&str>> {
        meta[name].as_array()?.iter().map(Value::as_str).collect()
    };
    let (node_fields, edge_fields) = (strings("node_fields")?, strings("edge_fields")?);
    let place = |fields: &[&str], name: &str| fields.iter().position(|field| *field == name);
    let kind = |types: &str, at: usize, name: &str| {
        let names = meta[types].as_array()?.get(at)?.as_array()?;
        let names: Vec<Option<&str>> = names.iter().map(Value::as_str).collect();
        names.iter().position(|kind| *kind == Some(name))
    };
    let groups = |name: &str, width: usize| -> Option<Vec<Vec<u64>>> {
        let numbers = whole[name].as_array()?;
        if width == 0 || !numbers.len().is_multiple_of(width) {
            return None;
        }
        // What is no natural number is none that is looked at.
        numbers.iter().all(Value::is_number).then_some(())?;
        let groups = numbers.chunks(width);
        let number = |value: &Value| value.as_u64().unwrap_or(u64::MAX);
        Some(
            groups
                .map(|group| group.iter().map(number).collect())
                .collect(),
        )
    };
    let (nodes, edges) = (
        groups("nodes", node_fields.len())?,
        groups("edges", edge_fields.len())?,
    );
    let counted = whole["snapshot"]["node_count"].as_u64().unwrap_or(0);
    if counted > nodes.len() as u64 {
        return None;
    }
    let at_type = place(&node_fields, "type")?;
    let at_edges = place(&node_fields, "edge_count")?;
    let at_size = place(&node_fields, "self_size")?;
    let (at_kind, at_to) = (
        place(&edge_fields, "type")?,
        place(&edge_fields, "to_node")?,
    );
    let synthetic = kind("node_types", at_type, "synthetic").map(|kind| kind as u64);
    let is_synthetic = |node: &[u64]| Some(node[at_type]) == synthetic;
    let [weak, shortcut] =
        ["weak", "shortcut"].map(|name| kind("edge_types", at_kind, name).map(|kind| kind as u64));
    let mut tally = Tally::default();
    let mut roots = HashSet::new();
    let mut edges = edges.into_iter();
    for node in &nodes {
        tally.objects += usize::from(!is_synthetic(node));
        if node[at_size] == u64::MAX {
            return None;
        }
        for _ in 0..node[at_edges] {
            let edge = edges.next()?;
            let kind = Some(edge[at_kind]);
            if kind == shortcut {
                continue;
            }
            let width = node_fields.len() as u64;
            let to = edge[at_to]
                .is_multiple_of(width)
                .then_some(edge[at_to] / width)?;
            let to = nodes.get(usize::try_from(to).ok()?)?;
            if is_synthetic(to) {
                continue;
            }
            if !is_synthetic(node) {
                tally.references += 1;
            } else if kind != weak {
                roots.insert(edge[at_to]);
            }
        }
    }
    tally.roots = roots.len();
    edges.next().is_none().then_some(tally)
}

// ---- JSON lines

fn lines(dump: &[u8]) -> Result<Tally, String> {
    let (mut ids, mut references, mut roots) = (Vec::new(), Vec::new(), Vec::new());
    let mut counts: Vec<(u64, u64)> = Vec::new();
    let mut strong: HashMap<u64, u64> = HashMap::new();
    let (mut ends, mut end) = (false, None);
    for (number, line) in dump.split(|&byte| byte == b'\n').enumerate() {
        if line.trim_ascii().is_empty() {
            continue;
        }
        let wrong = || format!("line {} is not as it should be", number + 1);
        let line: Value =
            serde_json::from_str(&String::from_utf8_lossy(line)).map_err(|_| wrong())?;
        let line = line.as_object().ok_or_else(wrong)?;
        let natural = |name: &str| match line.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => value.as_u64().map(Some).ok_or_else(wrong),
        };
        let yes = |name: &str| match line.get(name) {
            None => Ok(false),
            Some(value) => value.as_bool().ok_or_else(wrong),
        };
        ends |= yes("ends")?;
        end = natural("end")?.or(end);
        let Some(id) = natural("id")? else { continue };
        ids.push(id);
        for (name, weak) in [("refs", false), ("weak", true)] {
            let Some(list) = line.get(name) else { continue };
            for to in list.as_array().ok_or_else(wrong)? {
                if to.is_null() && !weak {
                    continue;
                }
                let to = to.as_u64().ok_or_else(wrong)?;
                references.push(to);
                *strong.entry(to).or_default() += u64::from(!weak);
            }
        }
        if yes("root")? {
            roots.push(id);
        }
        if let Some(count) = natural("count")? {
            counts.push((id, count));
        }
    }
    let seen = |id| strong.get(&id).copied().unwrap_or(0);
    roots.extend(
        counts
            .iter()
            .filter(|(id, count)| *count > seen(*id))
            .map(|(id, _)| id),
    );
    if ends && end.is_none() || end.is_some_and(|end| end > ids.len() as u64) {
        return Err("its last line is not there, or counts more".to_owned());
    }
    tally(&ids, &references, &roots).ok_or_else(|| "two objects are called alike".to_owned())
}

// ---- Graphviz, as far as these lines go: `a [bytes=1, root=true];` and `a -> b [weak=true];`

fn dot(dump: &[u8]) -> Option<Tally> {
    let text = std::str::from_utf8(dump).ok()?;
    let body = text.strip_prefix("digraph {\n")?.strip_suffix("\n}\n")?;
    let (mut names, mut roots) = (HashSet::<&str>::new(), HashSet::<&str>::new());
    let mut references = 0;
    let is_name = |name: &str| {
        let keyword = ["node", "edge", "graph", "subgraph"].contains(&&*name.to_lowercase());
        !name.is_empty() && !keyword && name.chars().all(|c| c.is_ascii_alphanumeric())
    };
    for line in body.lines() {
        let line = line.strip_suffix(';')?;
        let (line, attributes) = match line.strip_suffix(']') {
            Some(line) => line.split_once(" [")?,
            None => (line, ""),
        };
        let sides: Vec<&str> = line.split(" -> ").collect();
        if sides.len() > 2 || !sides.iter().all(|name| is_name(name)) {
            return None;
        }
        names.extend(&sides);
        references += sides.len() - 1;
        for attribute in attributes
            .split(", ")
            .filter(|attribute| !attribute.is_empty())
        {
            match (attribute.split_once('=')?, sides.len()) {
                (("weak", "true"), 2) => {}
                (("root", "true"), 1) => _ = roots.insert(sides[0]),
                (("bytes", bytes), 1) => _ = bytes.parse::<u64>().ok()?,
                _ => return None,
            }
        }
    }
    Some(Tally {
        objects: names.len(),
        references,
        roots: roots.len(),
        ..Tally::default()
    })
}

// ---- dumps to begin with

type Small = (Format, fn() -> Vec<u8>);

/// A dump of each format.
pub(crate) const SMALL: [Small; 4] = [
    (Format::Hprof, small_hprof),
    (Format::V8, || SNAPSHOT.as_bytes().to_vec()),
    (Format::Lines, || {
        let objects = (1..40).map(|id| {
            format!(
                "{{\"id\": {id}, \"refs\": [{}, null], \"count\": {}}}\n",
                id % 39 + 1,
                id % 3
            )
        });
        let begin = "{\"order\": \"address\", \"ends\": true}\n".to_owned();
        [begin]
            .into_iter()
            .chain(objects)
            .chain(["{\"end\": 39}\n".to_owned()])
            .collect::<String>()
            .into()
    }),
    (Format::Dot, || {
        let edges = (0..40).map(|id| format!("n{id} -> n{};\n", id * 7 % 40));
        format!(
            "digraph {{\nn0 [bytes=8, root=true];\n{}}}\n",
            edges.collect::<String>()
        )
        .into()
    }),
];

const SNAPSHOT: &str = r#"{"snapshot":{"meta":{"node_fields":["type","name","id","self_size",
"edge_count","trace_node_id"],"node_types":[["hidden","object","synthetic"],"string","number",
"number","number","number"],"edge_fields":["type","name_or_index","to_node"],
"edge_types":[["property","weak","shortcut"],"string_or_number","node"]},"node_count":4},
"nodes":[2,0,1,0,2,0, 1,0,3,40,3,0, 1,0,5,16,1,0, 1,0,7,8,0,0],
"edges":[0,1,6, 2,1,12, 0,1,12, 1,2,18, 0,3,0, 0,1,6],
"strings":["secret"]}"#;

/// A class with two fields and one above it with another, thirty instances, and two arrays.
fn small_hprof() -> Vec<u8> {
    let id = |id: u32| id.to_be_bytes();
    let record = |tag: u8, body: &[u8]| {
        [
            &[tag, 0, 0, 0, 0][..],
            &(body.len() as u32).to_be_bytes(),
            body,
        ]
        .concat()
    };
    let class = |own: u32, above: u32, kinds: &[u8]| {
        let fields: Vec<u8> = kinds
            .iter()
            .flat_map(|&kind| [&id(1)[..], &[kind]].concat())
            .collect();
        let head = [&[0x20][..], &id(own), &[0; 4], &id(above), &[0; 24]].concat();
        let counts = [0, 0, 0, 0, 0, kinds.len() as u8];
        [&head[..], &counts, &fields].concat()
    };
    let mut first = [class(0x108, 0, &[2]), class(0x100, 0x108, &[10, 2])].concat();
    first.extend([&[0xff][..], &id(0x1000)].concat());
    for number in 0..30 {
        let to = id(0x1000 + (number * 7 + 1) % 30 * 8);
        let fields = [&[0, 0, 0, 9][..], &to, &[0; 4]].concat();
        let head = [&[0x21][..], &id(0x1000 + number * 8), &[0; 4], &id(0x100)].concat();
        first.extend([&head[..], &[0, 0, 0, 12], &fields].concat());
    }
    let elements = [id(0x1000), id(0x1008), id(0)].concat();
    let array = [&[0x22][..], &id(0x2000), &[0; 7], &[3], &id(0), &elements].concat();
    let values = [&[0x23][..], &id(0x2008), &[0; 7], &[2, 10], &[7; 8]].concat();
    [
        b"JAVA PROFILE 1.0.2\0\0\0\0\x04\0\0\0\0\0\0\0\0".to_vec(),
        record(0x01, &[&id(1)[..], b"name"].concat()),
        record(0x1c, &first),
        record(0x1c, &[array, values].concat()),
        record(0x2c, &[]),
    ]
    .concat()
}
