//! Graphviz: directed graphs as `dot` reads them, for graphs that somebody draws or generates.
//!
//! Each node is an object, and each edge a reference; edges of a chain `a -> b -> c` and of groups
//! `a -> {b c}` are told apart. Of attributes these say something: `bytes` of a node, its payload;
//! `root=true`; `weak=true` of an edge. Subgraphs are taken apart, ports and everything else left
//! alone. Nodes stay in the order in which they are first named.
//!
//! Names are kept in memory until the file has been read; they are not in the graph.

use std::collections::HashMap;
use std::io::{Read, Seek};

use crate::file::{MAX_OBJECTS, MAX_REFERENCES};
use crate::import::{ImportError, Imported, Losses, Source, lost};
use crate::raw::RawGraph;

const STRANGE: &str = "places that are not Graphviz, and are left out";

const REST: &str = "end of the drawing before that of the file, and all that follows";

/// The longest name: others are told apart by their beginnings.
const MOST: usize = 64 << 10;

/// Groups within each other.
const DEEPEST: usize = 100;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    /// A name, a number, or text in quotes; whether it was quoted.
    Name(Vec<u8>, bool),
    Sign(u8),
    Arrow,
    /// An edge without a direction.
    Line,
}

/// Reads tokens.
struct Tokens<'a, 'p, R> {
    source: &'a mut Source<'p, R>,
    ahead: Option<u8>,
    losses: Losses,
}

impl<R: Read + Seek> Tokens<'_, '_, R> {
    fn peek(&mut self) -> Result<Option<u8>, ImportError> {
        if self.ahead.is_none() {
            let mut byte = [0];
            self.ahead = self.source.read(&mut byte)?.then_some(byte[0]);
        }
        Ok(self.ahead)
    }

    fn take(&mut self) -> Result<Option<u8>, ImportError> {
        let byte = self.peek()?;
        self.ahead = None;
        Ok(byte)
    }

    fn leave_line(&mut self) -> Result<(), ImportError> {
        while !matches!(self.take()?, None | Some(b'\n')) {}
        Ok(())
    }

    /// Leaves a comment out, whose stroke has been read. Returns whether it was one.
    fn leave_comment(&mut self) -> Result<bool, ImportError> {
        match self.peek()? {
            Some(b'/') => self.leave_line()?,
            Some(b'*') => {
                self.take()?;
                let mut star = false;
                loop {
                    match self.take()? {
                        None => break self.truncated(),
                        Some(b'/') if star => break,
                        Some(byte) => star = byte == b'*',
                    }
                }
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn truncated(&mut self) {
        self.losses.note(lost::TRUNCATED, self.source.length());
    }

    fn strange(&mut self) {
        self.losses.note(STRANGE, self.source.offset());
    }

    /// Text up to its closing quote. A backslash before a quote makes that part of it.
    fn quoted(&mut self) -> Result<Vec<u8>, ImportError> {
        let mut text = Vec::new();
        let mut escaped = false;
        loop {
            match self.take()? {
                None => {
                    self.truncated();
                    return Ok(text);
                }
                Some(b'"') if !escaped => return Ok(text),
                Some(byte) => {
                    escaped = byte == b'\\' && !escaped;
                    if text.len() < MOST {
                        text.push(byte);
                    }
                }
            }
        }
    }

    /// Text between angle brackets, which nest.
    fn bracketed(&mut self) -> Result<Vec<u8>, ImportError> {
        let (mut text, mut depth) = (Vec::new(), 1u64);
        loop {
            match self.take()? {
                None => {
                    self.truncated();
                    return Ok(text);
                }
                Some(b'<') => depth += 1,
                Some(b'>') => depth -= 1,
                Some(byte) if text.len() < MOST => text.push(byte),
                Some(_) => {}
            }
            if depth == 0 {
                return Ok(text);
            }
        }
    }

    /// The next token; `None` at the end.
    fn next(&mut self) -> Result<Option<Token>, ImportError> {
        loop {
            let Some(byte) = self.take()? else {
                return Ok(None);
            };
            let token = match byte {
                _ if byte.is_ascii_whitespace() || byte == 0 => continue,
                b'#' => {
                    self.leave_line()?;
                    continue;
                }
                b'/' => {
                    if !self.leave_comment()? {
                        self.strange();
                    }
                    continue;
                }
                b'{' | b'}' | b'[' | b']' | b';' | b',' | b'=' | b':' | b'+' => Token::Sign(byte),
                b'"' => Token::Name(self.quoted()?, true),
                b'<' => Token::Name(self.bracketed()?, true),
                b'-' if self.peek()? == Some(b'>') => {
                    self.take()?;
                    Token::Arrow
                }
                b'-' if self.peek()? == Some(b'-') => {
                    self.take()?;
                    Token::Line
                }
                _ if is_of_name(byte) || byte == b'-' => {
                    let mut name = vec![byte];
                    while let Some(next) = self.peek()?.filter(|&next| is_of_name(next)) {
                        self.take()?;
                        if name.len() < MOST {
                            name.push(next);
                        }
                    }
                    Token::Name(name, false)
                }
                _ => {
                    self.strange();
                    continue;
                }
            };
            return Ok(Some(token));
        }
    }
}

fn is_of_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'.' || byte >= 0x80
}

/// What has been read.
#[derive(Default)]
struct Drawing {
    numbers: HashMap<Vec<u8>, u32>,
    nodes: Vec<Node>,
    edges: Vec<(u32, u32, bool)>,
}

#[derive(Clone, Default)]
struct Node {
    bytes: u64,
    root: bool,
}

impl Drawing {
    fn node(&mut self, name: Vec<u8>) -> Result<u32, ImportError> {
        let number = self.nodes.len() as u32;
        let found = *self.numbers.entry(name).or_insert(number);
        if found == number {
            if self.nodes.len() >= MAX_OBJECTS {
                return Err(ImportError::TooLarge);
            }
            self.nodes.push(Node::default());
        }
        Ok(found)
    }
}

/// A group in braces that is open: its nodes, and the statement around it.
#[derive(Default)]
struct Group {
    nodes: Vec<u32>,
    outer: Statement,
}

/// What has been read of a statement.
#[derive(Default)]
struct Statement {
    /// The nodes on the left of the arrow that was read last, if that was just now or its right
    /// side followed.
    left: Vec<u32>,
    /// An arrow waits for its right side.
    arrow: bool,
    /// Where the edges of the statement begin.
    edges: usize,
}

struct Parser<'t, 'a, 'p, R> {
    tokens: &'t mut Tokens<'a, 'p, R>,
    drawing: Drawing,
    groups: Vec<Group>,
    statement: Statement,
    ahead: Option<Token>,
}

impl<R: Read + Seek> Parser<'_, '_, '_, R> {
    fn next(&mut self) -> Result<Option<Token>, ImportError> {
        match self.ahead.take() {
            Some(token) => Ok(Some(token)),
            None => self.tokens.next(),
        }
    }

    /// Takes the next token if it is this sign.
    fn takes(&mut self, sign: u8) -> Result<bool, ImportError> {
        self.ahead = self.next()?;
        let is = self.ahead == Some(Token::Sign(sign));
        if is {
            self.ahead = None;
        }
        Ok(is)
    }

    /// A side of an edge, or a statement by itself.
    fn operand(&mut self, nodes: Vec<u32>) -> Result<(), ImportError> {
        if let Some(group) = self.groups.last_mut() {
            group.nodes.extend(&nodes);
        }
        if !self.statement.arrow {
            self.end_statement();
        }
        if self.statement.arrow {
            let left = &self.statement.left;
            let total = (left.len().saturating_mul(nodes.len())) + self.drawing.edges.len();
            if total > MAX_REFERENCES {
                return Err(ImportError::TooLarge);
            }
            // Between two groups there is a reference from each to each: a small file could ask for
            // any number.
            if total as u64 > self.tokens.source.length() + (1 << 20) {
                let what = "groups with more edges between them than the file has bytes";
                return Err(ImportError::Malformed(what, self.tokens.source.offset()));
            }
            for &from in left {
                self.drawing
                    .edges
                    .extend(nodes.iter().map(|&to| (from, to, false)));
            }
        }
        self.statement.arrow = false;
        self.statement.left = nodes;
        Ok(())
    }

    fn end_statement(&mut self) {
        if self.statement.arrow {
            self.tokens.strange();
        }
        self.statement = Statement {
            edges: self.drawing.edges.len(),
            ..Statement::default()
        };
    }

    /// Attributes, whose bracket has been read: of the edges of the statement, or of its nodes.
    fn attributes(&mut self, count: bool) -> Result<(), ImportError> {
        loop {
            let name = match self.next()? {
                None => {
                    self.tokens.truncated();
                    return Ok(());
                }
                Some(Token::Sign(b']')) => return Ok(()),
                Some(Token::Name(name, _)) => name,
                Some(Token::Sign(b',' | b';')) => continue,
                Some(_) => {
                    self.tokens.strange();
                    continue;
                }
            };
            if !self.takes(b'=')? {
                self.tokens.strange();
                continue;
            }
            let Some(Token::Name(value, _)) = self.next()? else {
                self.tokens.strange();
                continue;
            };
            if !count {
                continue;
            }
            let yes = value.eq_ignore_ascii_case(b"true") || value == b"1";
            let edges = &mut self.drawing.edges[self.statement.edges..];
            if edges.is_empty() {
                for &node in &self.statement.left {
                    let node = &mut self.drawing.nodes[node as usize];
                    let number = std::str::from_utf8(&value)
                        .ok()
                        .and_then(|text| text.parse().ok());
                    match (&*name, number) {
                        (b"bytes", Some(bytes)) => node.bytes = bytes,
                        (b"bytes", None) => self.tokens.strange(),
                        (b"root", _) => node.root = yes,
                        _ => {}
                    }
                }
            } else if name == b"weak" {
                edges.iter_mut().for_each(|(_, _, weak)| *weak = yes);
            }
        }
    }

    fn open_group(&mut self) -> Result<(), ImportError> {
        if self.groups.len() >= DEEPEST {
            let what = "groups within each other more than 100 deep";
            return Err(ImportError::Malformed(what, self.tokens.source.offset()));
        }
        // The edges of a statement within are not those of the one around it.
        let outer = std::mem::take(&mut self.statement);
        self.statement.edges = self.drawing.edges.len();
        self.groups.push(Group {
            nodes: Vec::new(),
            outer,
        });
        Ok(())
    }

    fn statements(&mut self) -> Result<(), ImportError> {
        while let Some(token) = self.next()? {
            match token {
                Token::Sign(b'{') => self.open_group()?,
                Token::Sign(b'}') => {
                    self.end_statement();
                    let Some(group) = self.groups.pop() else {
                        return self.end();
                    };
                    let mut nodes = group.nodes;
                    nodes.sort_unstable();
                    nodes.dedup();
                    self.statement = group.outer;
                    if !self.statement.arrow {
                        self.statement.edges = self.drawing.edges.len();
                    }
                    self.operand(nodes)?;
                }
                Token::Sign(b'[') => self.attributes(true)?,
                Token::Sign(b';' | b',') => self.end_statement(),
                Token::Arrow if !self.statement.left.is_empty() => self.statement.arrow = true,
                Token::Line => {
                    let what = "an undirected edge, which is no reference";
                    return Err(ImportError::Malformed(what, self.tokens.source.offset()));
                }
                Token::Name(name, quoted) => self.name(name, quoted)?,
                Token::Arrow | Token::Sign(_) => self.tokens.strange(),
            }
        }
        self.tokens.truncated();
        Ok(())
    }

    /// The drawing is over; another one may follow it, and is left out.
    fn end(&mut self) -> Result<(), ImportError> {
        if self.next()?.is_some() {
            self.tokens.losses.note(REST, self.tokens.source.offset());
        }
        Ok(())
    }

    fn name(&mut self, mut name: Vec<u8>, quoted: bool) -> Result<(), ImportError> {
        let is = |word: &[u8]| !quoted && name.eq_ignore_ascii_case(word);
        if is(b"subgraph") {
            // Its name is nobody's; the brace after it opens a group.
            self.ahead = self.next()?;
            if matches!(self.ahead, Some(Token::Name(..))) {
                self.ahead = None;
            }
            return Ok(());
        }
        if is(b"node") || is(b"edge") || is(b"graph") {
            self.end_statement();
            if self.takes(b'[')? {
                self.attributes(false)?;
            }
            return Ok(());
        }
        while quoted && self.takes(b'+')? {
            if let Some(Token::Name(more, _)) = self.next()? {
                name.extend(more);
                name.truncate(MOST);
            }
        }
        if self.takes(b'=')? {
            // An attribute of the drawing.
            self.next()?;
            self.end_statement();
            return Ok(());
        }
        for _ in 0..2 {
            // A port, and where on it.
            if self.takes(b':')? {
                self.next()?;
            }
        }
        let node = self.drawing.node(name)?;
        self.operand(vec![node])
    }
}

pub(crate) fn read<R: Read + Seek>(mut source: Source<'_, R>) -> Result<Imported, ImportError> {
    let mut tokens = Tokens {
        source: &mut source,
        ahead: None,
        losses: Losses::default(),
    };
    // What is before the brace: `strict digraph NAME`.
    let mut directed = false;
    loop {
        match tokens.next()? {
            Some(Token::Sign(b'{')) if directed => break,
            Some(Token::Name(name, false)) if name.eq_ignore_ascii_case(b"digraph") => {
                directed = true;
            }
            Some(Token::Name(name, false)) if !directed && name.eq_ignore_ascii_case(b"strict") => {
            }
            Some(Token::Name(..)) if directed => {}
            _ => {
                let what = "a drawing that does not begin with 'digraph NAME {'";
                return Err(ImportError::Malformed(what, tokens.source.offset()));
            }
        }
    }
    let mut parser = Parser {
        tokens: &mut tokens,
        drawing: Drawing::default(),
        groups: Vec::new(),
        statement: Statement::default(),
        ahead: None,
    };
    parser.statements()?;
    let Drawing {
        nodes, mut edges, ..
    } = parser.drawing;
    // Stable: references of an object stay in their order.
    edges.sort_by_key(|&(from, _, _)| from);
    let end = tokens.source.offset();
    let mut graph = RawGraph::new();
    let mut edges = edges.into_iter().peekable();
    for (number, node) in nodes.iter().enumerate() {
        let mut references = 0;
        while let Some((_, to, weak)) = edges.next_if(|edge| edge.0 as usize == number) {
            graph.push_reference(to as usize, weak)?;
            references += 1;
        }
        // Where each stands is not kept: all that is known is that it was before the end.
        graph.push_object(references, node.bytes, end)?;
        if node.root {
            graph.push_root(number);
        }
    }
    Ok(Imported::new(graph, tokens.losses))
}
