//! `.heapsnapshot`: the heap snapshots of V8, as Node, Chrome and Deno write them, and of Julia.
//!
//! A snapshot is one JSON object with two long arrays of numbers, of nodes and of edges, each a few
//! numbers wide; the edges are those of the first node, then those of the second, and so on. What
//! the numbers mean is said before, in `meta`. Strings follow at the end and are not read.
//!
//! # What becomes of it
//!
//! * An object of the graph is a node that is not *synthetic*. Synthetic nodes are what the runtime
//!   has for its roots; what an edge of theirs leads to is a root.
//! * A reference is an edge, whatever its kind; weak ones are weak, and shortcuts, which repeat
//!   others, are none.
//! * The payload is the node's own size less 8 bytes a reference: the header of an object is a
//!   reference to its map, which is an edge.
//! * Objects stay in the order of the snapshot. It has no addresses.
//!
//! Source: `src/profiler/heap-snapshot-generator.cc` of V8, and what it writes.

use std::collections::HashMap;
use std::fmt;
use std::io::{Read, Seek};

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::file::MAX_OBJECTS;
use crate::import::{ImportError, Imported, Losses, Source, lost};
use crate::raw::RawGraph;

const MALFORMED: &str = "place where the JSON is none, or not a snapshot's, and all behind it";
const TWICE: &str = "arrays that come a second time, and all behind them";
const NO_NODES: &str = "nodes that the snapshot counts and has not";
const NO_NODE: &str = "edges that lead to no node";
const NO_SIZE: &str = "nodes whose sizes are no natural numbers, and are taken for 0";
const MISSING: &str = "edges that the nodes have and the dump has not";

#[derive(Deserialize)]
struct Header {
    meta: Meta,
    node_count: Option<u64>,
}

#[derive(Deserialize)]
struct Meta {
    node_fields: Vec<String>,
    node_types: Vec<serde_json::Value>,
    edge_fields: Vec<String>,
    edge_types: Vec<serde_json::Value>,
}

/// Where in a node and an edge what stands.
#[derive(Clone, Copy)]
struct Layout {
    node: usize,
    node_type: usize,
    size: usize,
    edges: usize,
    synthetic: u64,
    edge: usize,
    edge_type: usize,
    to: usize,
    weak: u64,
    shortcut: u64,
}

/// Stands for what is no natural number.
const NO_NUMBER: u64 = u64::MAX;

/// The most numbers of a node or an edge: seven and three are in use.
const WIDEST: usize = 64;

impl Layout {
    fn of(meta: &Meta) -> Option<Self> {
        let field = |fields: &[String], name: &str| fields.iter().position(|field| field == name);
        // Types that the snapshot does not have, no number stands for.
        let kind = |types: &[serde_json::Value], at: usize, name: &str| {
            let names = types.get(at)?.as_array()?;
            let found = names.iter().position(|value| value.as_str() == Some(name));
            Some(found.map_or(u64::MAX, |number| number as u64))
        };
        let (nodes, edges) = (&meta.node_fields, &meta.edge_fields);
        let (node_type, edge_type) = (field(nodes, "type")?, field(edges, "type")?);
        let layout = Self {
            node: nodes.len(),
            node_type,
            size: field(nodes, "self_size")?,
            edges: field(nodes, "edge_count")?,
            synthetic: kind(&meta.node_types, node_type, "synthetic")?,
            edge: edges.len(),
            edge_type,
            to: field(edges, "to_node")?,
            weak: kind(&meta.edge_types, edge_type, "weak")?,
            shortcut: kind(&meta.edge_types, edge_type, "shortcut")?,
        };
        (layout.node.max(layout.edge) <= WIDEST).then_some(layout)
    }
}

struct Node {
    size: u32,
    edges: u32,
    synthetic: bool,
}

/// What has been read.
#[derive(Default)]
struct Snapshot {
    layout: Option<Layout>,
    /// How many nodes there are, as the header has it.
    counted: u64,
    /// Arrays that have been read or begun.
    seen: Vec<String>,
    nodes: Vec<Node>,
    /// The sizes of nodes that have no room for them.
    large: HashMap<usize, u64>,
    graph: RawGraph,
    losses: Losses,
    /// References so far of the node whose edges are being read, the first that is no object of
    /// the graph yet, and its edges that are still to come; `None` before the first.
    references: u64,
    left: Option<u32>,
    too_large: bool,
}

impl Snapshot {
    fn node(&mut self, layout: &Layout, numbers: &[u64], offset: u64) -> bool {
        self.too_large |= self.nodes.len() >= MAX_OBJECTS;
        if self.too_large {
            return false;
        }
        let size = match numbers[layout.size] {
            NO_NUMBER => {
                self.losses.note(NO_SIZE, offset);
                0
            }
            size => u32::try_from(size).unwrap_or_else(|_| {
                self.large.insert(self.nodes.len(), size);
                u32::MAX
            }),
        };
        self.nodes.push(Node {
            size,
            edges: u32::try_from(numbers[layout.edges]).unwrap_or(u32::MAX),
            synthetic: numbers[layout.node_type] == layout.synthetic,
        });
        true
    }

    /// An edge of the node whose turn it is. Returns whether to go on.
    fn edge(&mut self, layout: &Layout, numbers: &[u64], offset: u64) -> bool {
        let from = loop {
            let at = self.graph.objects();
            let Some(node) = self.nodes.get(at) else {
                self.losses.note(NO_NODE, offset);
                return true;
            };
            match self.left.get_or_insert(node.edges) {
                0 => {
                    if !self.finish_node(at, offset) {
                        return false;
                    }
                }
                left => {
                    *left -= 1;
                    break node;
                }
            }
        };
        let kind = numbers[layout.edge_type];
        if kind == layout.shortcut {
            return true;
        }
        let to = numbers[layout.to] / layout.node as u64;
        let whole = numbers[layout.to].is_multiple_of(layout.node as u64);
        let target = usize::try_from(to).ok().and_then(|to| self.nodes.get(to));
        let Some(target) = target.filter(|_| whole) else {
            self.losses.note(NO_NODE, offset);
            return true;
        };
        let weak = kind == layout.weak;
        if target.synthetic {
            return true;
        }
        if from.synthetic {
            if !weak {
                self.graph.push_root(to as usize);
            }
            return true;
        }
        self.references += 1;
        self.too_large |= self.graph.push_reference(to as usize, weak).is_err();
        !self.too_large
    }

    /// All edges of a node have been read.
    fn finish_node(&mut self, at: usize, offset: u64) -> bool {
        let size = self.nodes[at].size;
        let bytes = match size {
            u32::MAX => self.large.get(&at).copied().unwrap_or(size.into()),
            size => size.into(),
        };
        let references = std::mem::take(&mut self.references);
        self.left = None;
        if !self.nodes[at].synthetic {
            self.graph.add_source_bytes(bytes);
        }
        let payload = bytes.saturating_sub(8 * references);
        self.too_large |= (self.graph.push_object(references, payload, offset)).is_err();
        !self.too_large
    }

    /// Nothing more comes.
    fn finish(mut self, offset: u64) -> Result<Imported, ImportError> {
        let mut missing = 0;
        while let Some(node) = self.nodes.get(self.graph.objects()) {
            missing += u64::from(self.left.unwrap_or(node.edges));
            if !self.finish_node(self.graph.objects(), offset) {
                return Err(ImportError::TooLarge);
            }
        }
        self.losses.note_many(MISSING, missing, offset);
        let lacking = self.counted.saturating_sub(self.nodes.len() as u64);
        self.losses.note_many(NO_NODES, lacking, offset);
        let real = |(_, node): &(usize, &Node)| !node.synthetic;
        let order: Vec<u32> = self
            .nodes
            .iter()
            .enumerate()
            .filter(real)
            .map(|(number, _)| number as u32)
            .collect();
        if order.len() < self.nodes.len() {
            self.graph.leave_out_others(Some(order));
        }
        Ok(Imported::new(self.graph, self.losses))
    }
}

/// How far the reader is: it reads ahead of the parser by a buffer's length at most.
type Offset<'a> = &'a std::cell::Cell<u64>;

/// The whole snapshot.
struct Whole<'a>(&'a mut Snapshot, Offset<'a>);

impl<'de> DeserializeSeed<'de> for Whole<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Whole<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a heap snapshot")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Self(snapshot, offset) = self;
        while let Some(key) = map.next_key::<String>()? {
            if ["snapshot", "nodes", "edges"].contains(&&*key) {
                if snapshot.seen.contains(&key) {
                    snapshot.losses.note(TWICE, offset.get());
                    return Err(A::Error::custom(TWICE));
                }
                snapshot.seen.push(key.clone());
            }
            match (&*key, snapshot.layout) {
                ("snapshot", _) => {
                    let header: Header = map.next_value()?;
                    snapshot.layout = Layout::of(&header.meta);
                    snapshot.counted = header.node_count.unwrap_or(0);
                    if snapshot.layout.is_none() {
                        return Err(A::Error::custom("fields are missing"));
                    }
                }
                ("nodes", Some(layout)) => map.next_value_seed(Numbers {
                    width: layout.node,
                    each: &mut |numbers| snapshot.node(&layout, numbers, offset.get()),
                })?,
                ("edges", Some(layout)) => map.next_value_seed(Numbers {
                    width: layout.edge,
                    each: &mut |numbers| snapshot.edge(&layout, numbers, offset.get()),
                })?,
                _ => _ = map.next_value::<IgnoredAny>()?,
            }
        }
        Ok(())
    }
}

/// A long array of numbers, of which `width` belong together.
struct Numbers<'a> {
    width: usize,
    each: &'a mut dyn FnMut(&[u64]) -> bool,
}

impl<'de> DeserializeSeed<'de> for Numbers<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Numbers<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("numbers")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut numbers: A) -> Result<(), A::Error> {
        let mut group = [0; WIDEST];
        loop {
            for (index, slot) in group[..self.width].iter_mut().enumerate() {
                match numbers.next_element::<serde_json::Number>()? {
                    // What is no natural number is nothing that is looked at, or leads nowhere.
                    Some(number) => *slot = number.as_u64().unwrap_or(NO_NUMBER),
                    None if index > 0 => {
                        return Err(A::Error::custom("a part of a node or an edge"));
                    }
                    None => return Ok(()),
                }
            }
            if !(self.each)(&group[..self.width]) {
                return Err(A::Error::custom("too large"));
            }
        }
    }
}

/// Tells how far it has read.
struct Telling<'a, 'p, R>(&'a mut Source<'p, R>, Offset<'a>);

impl<R: Read + Seek> Read for Telling<'_, '_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = Read::read(self.0, buffer)?;
        self.1.set(self.0.offset());
        Ok(read)
    }
}

pub(crate) fn read<R: Read + Seek>(mut source: Source<'_, R>) -> Result<Imported, ImportError> {
    let mut snapshot = Snapshot::default();
    let offset = std::cell::Cell::new(0);
    let result = {
        let reader = std::io::BufReader::with_capacity(64 << 10, Telling(&mut source, &offset));
        let mut json = serde_json::Deserializer::from_reader(reader);
        // Behind the object there is nothing.
        let whole = Whole(&mut snapshot, &offset).deserialize(&mut json);
        whole.and_then(|()| json.end())
    };
    if source.is_stopped() {
        return Err(ImportError::Interrupted);
    }
    if snapshot.too_large {
        return Err(ImportError::TooLarge);
    }
    let at = source.offset();
    if snapshot.layout.is_none() {
        let what = "a heap snapshot that does not say what its numbers mean";
        return Err(ImportError::Malformed(what, at));
    }
    match result {
        Ok(()) => {}
        Err(error) if error.is_io() => return Err(ImportError::Io(error.into())),
        Err(error) if error.is_eof() => snapshot.losses.note(lost::TRUNCATED, at),
        Err(_) => snapshot.losses.note(MALFORMED, at),
    }
    snapshot.finish(at)
}
