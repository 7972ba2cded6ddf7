//! Dumps as they come, and as they should not: what is in the graph, and what is said to be lost.

use std::io::Cursor;
use std::path::Path;
use std::process::Command;

use graph::{
    Format, Graph, Histogram, ImportError, Imported, Losses, Origin, RawGraph, Shape, import_from,
    origin_of,
};
use proptest::prelude::*;

fn read(format: Format, dump: &[u8]) -> Result<Imported, ImportError> {
    import_from(Cursor::new(dump), format, &mut |_| true)
}

/// The references of each object, weak ones marked.
fn edges(graph: &RawGraph) -> Vec<Vec<(usize, bool)>> {
    let objects = 0..graph.objects();
    objects
        .map(|object| {
            graph
                .of(object)
                .map(|reference| (reference.to, reference.weak))
                .collect()
        })
        .collect()
}

fn strong(to: &[usize]) -> Vec<(usize, bool)> {
    to.iter().map(|&to| (to, false)).collect()
}

fn lost(losses: &Losses) -> Vec<(String, u64)> {
    losses
        .iter()
        .map(|loss| (loss.what.to_owned(), loss.count))
        .collect()
}

fn written(graph: &RawGraph, path: &Path) -> Graph {
    graph::write(graph, path).unwrap();
    Graph::open(path).unwrap()
}

// ---- HPROF

/// Writes a dump with identifiers of 4 or 8 bytes.
struct Hprof {
    bytes: Vec<u8>,
    wide: bool,
}

impl Hprof {
    fn new(wide: bool) -> Self {
        let mut bytes = b"JAVA PROFILE 1.0.2\0".to_vec();
        bytes.extend((if wide { 8u32 } else { 4 }).to_be_bytes());
        bytes.extend([0; 8]);
        Self { bytes, wide }
    }

    fn id(&self, id: u64) -> Vec<u8> {
        match self.wide {
            true => id.to_be_bytes().to_vec(),
            false => (id as u32).to_be_bytes().to_vec(),
        }
    }

    fn record(&mut self, tag: u8, body: &[u8]) {
        self.bytes.push(tag);
        self.bytes.extend([0; 4]);
        self.bytes.extend((body.len() as u32).to_be_bytes());
        self.bytes.extend(body);
    }

    fn string(&mut self, id: u64, text: &str) {
        let mut body = self.id(id);
        body.extend(text.bytes());
        self.record(0x01, &body);
    }

    fn load(&mut self, class: u64, name: u64) {
        let body = [&[0; 4][..], &self.id(class), &[0; 4], &self.id(name)].concat();
        self.record(0x02, &body);
    }

    fn root(&self, id: u64) -> Vec<u8> {
        [&[0xff][..], &self.id(id)].concat()
    }

    /// Fields as (name, type), statics as values of references.
    fn class(&self, id: u64, above: u64, statics: &[u64], fields: &[(u64, u8)]) -> Vec<u8> {
        let mut body = vec![0x20];
        body.extend(self.id(id));
        body.extend([0; 4]);
        body.extend(self.id(above));
        (0..5).for_each(|_| body.extend(self.id(0)));
        body.extend([0; 4]);
        body.extend(0u16.to_be_bytes());
        body.extend((statics.len() as u16 + 1).to_be_bytes());
        for &to in statics {
            body.extend(self.id(1));
            body.push(2);
            body.extend(self.id(to));
        }
        // A static long.
        body.extend(self.id(1));
        body.push(11);
        body.extend([7; 8]);
        body.extend((fields.len() as u16).to_be_bytes());
        for &(name, kind) in fields {
            body.extend(self.id(name));
            body.push(kind);
        }
        body
    }

    fn instance(&self, id: u64, class: u64, fields: &[u8]) -> Vec<u8> {
        let mut body = vec![0x21];
        body.extend(self.id(id));
        body.extend([0; 4]);
        body.extend(self.id(class));
        body.extend((fields.len() as u32).to_be_bytes());
        body.extend(fields);
        body
    }

    fn array(&self, id: u64, elements: &[u64]) -> Vec<u8> {
        let mut body = vec![0x22];
        body.extend(self.id(id));
        body.extend([0; 4]);
        body.extend((elements.len() as u32).to_be_bytes());
        body.extend(self.id(0));
        elements
            .iter()
            .for_each(|&element| body.extend(self.id(element)));
        body
    }

    fn values(&self, id: u64, ints: u32) -> Vec<u8> {
        let mut body = vec![0x23];
        body.extend(self.id(id));
        body.extend([0; 4]);
        body.extend(ints.to_be_bytes());
        body.push(10);
        body.extend(vec![9; 4 * ints as usize]);
        body
    }
}

const PAIR: u64 = 0x100;
const BASE: u64 = 0x108;

/// Two classes, one below the other; a pair, an array and ints; addresses do not rise.
fn small_hprof(wide: bool) -> Hprof {
    let mut dump = Hprof::new(wide);
    dump.string(1, "secret name");
    let id = |id| dump.id(id);
    // A pair has an int and a reference, and from its base another reference.
    let pair = [&[0, 0, 0, 5][..], &id(0x300), &id(0)].concat();
    let first = [
        dump.root(0x200),
        dump.class(BASE, 0, &[], &[(1, 2)]),
        dump.class(PAIR, BASE, &[0x400], &[(1, 10), (1, 2)]),
        dump.array(0x300, &[0x200, 0, 0x400]),
    ];
    let second = [dump.instance(0x200, PAIR, &pair), dump.values(0x400, 3)];
    dump.record(0x1c, &first.concat());
    dump.record(0x1c, &second.concat());
    dump.record(0x2c, &[]);
    dump
}

#[test]
fn hprof_is_read_with_identifiers_of_both_widths() {
    for wide in [false, true] {
        let Imported { graph, losses, .. } = read(Format::Hprof, &small_hprof(wide).bytes).unwrap();
        assert!(losses.is_empty(), "{losses:?}");
        assert!(graph.has_addresses());
        // PAIR, BASE, the pair, the array, the ints.
        assert_eq!(
            edges(&graph),
            [
                strong(&[1, 4]),
                strong(&[]),
                strong(&[3]),
                strong(&[2, 4]),
                strong(&[])
            ]
        );
        let directory = tempfile::tempdir().unwrap();
        let file = written(&graph, &directory.path().join("small.graph"));
        assert_eq!(file.roots(), [2]);
        let fields: Vec<_> = (0..5).map(|object| file.fields(object)).collect();
        assert_eq!(fields, [5, 4, 2, 3, 0]);
        let words: Vec<_> = (0..5).map(|object| file.words(object)).collect();
        assert_eq!(words, [1, 1, 1, 0, 2]);
    }
}

#[test]
fn names_and_contents_are_not_in_the_graph() {
    let Imported { graph, .. } = read(Format::Hprof, &small_hprof(true).bytes).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("small.graph");
    graph::write(&graph, &path).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    assert!(!bytes.windows(6).any(|window| window == b"secret"));
    assert!(!bytes.windows(4).any(|window| window == [9; 4]));
}

#[test]
fn the_referent_of_a_weak_reference_is_weak() {
    let mut dump = Hprof::new(true);
    for (id, text) in [
        (1, "referent"),
        (2, "java/lang/ref/Reference"),
        (3, "java/lang/ref/WeakReference"),
        (4, "java/lang/ref/SoftReference"),
        (5, "next"),
    ] {
        dump.string(id, text);
    }
    let (reference, weak, soft, entry) = (0x100, 0x108, 0x110, 0x118);
    dump.load(reference, 2);
    dump.load(weak, 3);
    dump.load(soft, 4);
    let fields = [dump.id(0x400), dump.id(0x400)].concat();
    let more = [dump.id(0x400), fields.clone()].concat();
    let heap = [
        dump.class(reference, 0, &[], &[(1, 2), (5, 2)]),
        dump.class(weak, reference, &[], &[]),
        dump.class(soft, reference, &[], &[]),
        // A class of the user's that extends it, with a field of the same name.
        dump.class(entry, weak, &[], &[(1, 2)]),
        dump.instance(0x200, weak, &fields),
        dump.instance(0x208, soft, &fields),
        dump.instance(0x210, entry, &more),
        dump.values(0x400, 1),
    ];
    dump.record(0x0c, &heap.concat());
    let Imported { graph, losses, .. } = read(Format::Hprof, &dump.bytes).unwrap();
    assert!(losses.is_empty(), "{losses:?}");
    let of = |object: usize| {
        edges(&graph)[object]
            .iter()
            .map(|edge| edge.1)
            .collect::<Vec<_>>()
    };
    assert_eq!(of(4), [true, false]);
    assert_eq!(of(5), [false, false]);
    assert_eq!(of(6), [false, true, false]);
}

#[test]
fn a_truncated_hprof_gives_what_is_there() {
    let whole = small_hprof(true).bytes;
    let mut most = 0;
    for length in 32..=whole.len() {
        let Imported { graph, losses, .. } = read(Format::Hprof, &whole[..length]).unwrap();
        assert!(graph.objects() >= most, "{length}");
        most = graph.objects();
        // Cut between two records before the heap nothing tells that more was to come.
        assert!(
            graph.objects() == 0
                || length == whole.len()
                || lost(&losses)
                    .iter()
                    .any(|(what, _)| what.contains("end of the file")
                        || what.contains("not in the dump")),
            "{length}: {losses:?}"
        );
    }
    assert_eq!(most, 5);
    assert!(matches!(
        read(Format::Hprof, &whole[..10]),
        Err(ImportError::Malformed(..))
    ));
}

#[test]
fn damage_in_an_hprof_is_counted_and_placed() {
    let mut dump = Hprof::new(false);
    let heap = [
        dump.values(0x300, 1),
        dump.array(0x200, &[0x300, 0x999]),
        dump.values(0x300, 2),
        dump.instance(0x400, 0x123, &[1, 2, 3]),
        dump.root(0x888),
    ];
    dump.record(0x1c, &heap.concat());
    dump.record(0x1c, &[0x77, 1, 2, 3]);
    let behind = [dump.values(0x500, 1)].concat();
    dump.record(0x1c, &behind);
    dump.record(0x2c, &[]);
    let Imported { graph, losses, .. } = read(Format::Hprof, &dump.bytes).unwrap();
    assert_eq!(
        edges(&graph),
        [strong(&[1]), strong(&[]), strong(&[]), strong(&[])]
    );
    let lost = lost(&losses);
    assert_eq!(lost.len(), 5, "{lost:?}");
    assert!(lost.iter().all(|(_, count)| *count == 1));
    assert!(
        losses
            .iter()
            .all(|loss| loss.offset >= 31 && loss.offset < dump.bytes.len() as u64)
    );
}

/// Where an object was damaged into the identifier of nothing, what leads nowhere does not lead to
/// it.
#[test]
fn what_is_null_leads_to_no_object() {
    let mut dump = Hprof::new(false);
    let heap = [
        dump.root(0),
        dump.root(0x200),
        dump.values(0, 1),
        dump.array(0x200, &[0, 0]),
    ];
    dump.record(0x1c, &heap.concat());
    dump.record(0x2c, &[]);
    let Imported { graph, .. } = read(Format::Hprof, &dump.bytes).unwrap();
    assert_eq!(edges(&graph), [strong(&[]), strong(&[])]);
    let directory = tempfile::tempdir().unwrap();
    let file = written(&graph, &directory.path().join("null.graph"));
    assert_eq!(file.roots(), [1]);
}

// ---- V8

const SNAPSHOT: &str = r#"{"snapshot":{"meta":{"node_fields":["type","name","id","self_size",
"edge_count","trace_node_id"],"node_types":[["hidden","object","synthetic"],"string","number",
"number","number","number"],"edge_fields":["type","name_or_index","to_node"],
"edge_types":[["property","weak","shortcut"],"string_or_number","node"]},"node_count":4},
"nodes":[2,0,1,0,2,0, 1,0,3,40,3,0, 1,0,5,16,1,0, 1,0,7,8,0,0],
"edges":[0,1,6, 2,1,12, 0,1,12, 1,2,18, 0,3,0, 0,1,6],
"strings":["secret"]}"#;

#[test]
fn a_snapshot_is_read() {
    let Imported { graph, losses, .. } = read(Format::V8, SNAPSHOT.as_bytes()).unwrap();
    assert!(losses.is_empty(), "{losses:?}");
    assert_eq!(
        edges(&graph),
        [vec![(1, false), (2, true)], strong(&[0]), vec![]]
    );
    assert_eq!((graph.source_bytes(), graph.has_addresses()), (64, false));
    let directory = tempfile::tempdir().unwrap();
    let file = written(&graph, &directory.path().join("a.graph"));
    assert_eq!(file.roots(), [0]);
    let words: Vec<_> = (0..3).map(|object| file.words(object)).collect();
    assert_eq!(words, [3, 1, 1]);
}

#[test]
fn a_truncated_snapshot_gives_what_is_there() {
    let mut most = (0, 0);
    let nodes = SNAPSHOT.find("\"nodes\"").unwrap();
    for length in 0..SNAPSHOT.len() {
        match read(Format::V8, &SNAPSHOT.as_bytes()[..length]) {
            Err(ImportError::Malformed(..)) => assert!(length < nodes, "{length}"),
            Err(error) => panic!("{length}: {error}"),
            Ok(Imported { graph, losses, .. }) => {
                let found = (graph.objects(), graph.references());
                assert!(found >= most, "{length}");
                most = found;
                assert!(!losses.is_empty(), "{length}");
            }
        }
    }
    assert_eq!(most, (3, 3));
}

#[test]
fn edges_to_nowhere_are_counted() {
    let damaged = SNAPSHOT.replace("0,1,12, 1,2,18", "0,1,13, 1,2,600000");
    let Imported { graph, losses, .. } = read(Format::V8, damaged.as_bytes()).unwrap();
    assert_eq!(graph.references(), 1);
    assert_eq!(
        lost(&losses),
        [("edges that lead to no node".to_owned(), 2)]
    );
    let damaged = SNAPSHOT.replace("0,1,12, 1,2,18", "0,1,12, 1,oops");
    let Imported { graph, losses, .. } = read(Format::V8, damaged.as_bytes()).unwrap();
    assert_eq!((graph.objects(), graph.references()), (3, 1));
    assert_eq!(losses.iter().count(), 2);
}

// ---- JSON lines

#[test]
fn lines_are_read_in_any_order() {
    let text = r#"
        {"id": 7, "refs": [9, null, 8, 8], "bytes": 20, "root": true, "name": "secret"}
        {"id": 9, "weak": [7]}

        {"id": 8}
    "#;
    let Imported { graph, losses, .. } = read(Format::Lines, text.as_bytes()).unwrap();
    assert!(losses.is_empty());
    assert_eq!(edges(&graph), [strong(&[1, 2, 2]), vec![(0, true)], vec![]]);
    let directory = tempfile::tempdir().unwrap();
    let file = written(&graph, &directory.path().join("a.graph"));
    assert_eq!(
        (file.roots(), file.fields(0), file.words(0)),
        (&[0][..], 4, 3)
    );
    assert!(!file.has_addresses());
    let addresses = format!("{{\"order\": \"address\"}}\n{text}");
    let Imported { graph, .. } = read(Format::Lines, addresses.as_bytes()).unwrap();
    assert_eq!(edges(&graph), [strong(&[2, 1, 1]), vec![], vec![(0, true)]]);
    assert!(graph.has_addresses());
}

#[test]
fn what_is_counted_more_often_than_it_is_referred_to_is_a_root() {
    let text = r#"{"id": 1, "refs": [2], "count": 0}
                  {"id": 2, "refs": [3, 3], "count": 2}
                  {"id": 3, "count": 2}"#;
    let imported = read(Format::Lines, text.as_bytes()).unwrap();
    let directory = tempfile::tempdir().unwrap();
    assert!(imported.has_roots());
    assert_eq!(
        written(&imported.graph, &directory.path().join("a.graph")).roots(),
        [1]
    );
}

/// An object that only a variable has is counted once, as is one that only a list has, whatever a
/// call adds to them: the first is a root, the second is not.
#[test]
fn the_script_for_cpython_counts_nothing_of_its_own() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("dump.py"), graph::CPYTHON_SCRIPT).unwrap();
    let program = "exec(open('dump.py').read())
class Node: pass
many = [Node()]
many[0].number = id(many[0])
def run(held):
    alone = Node()
    print(id(alone), held[0].number)
    dump_heap('py.lines')
run(many)";
    for python in ["python3", "python3.14t"] {
        let started = Command::new(python)
            .args(["-c", program])
            .current_dir(directory.path())
            .output();
        let Ok(output) = started else {
            eprintln!("there is no {python} here: the script was not run with it");
            continue;
        };
        assert!(output.status.success(), "{python}: {output:?}");
        let printed = String::from_utf8(output.stdout).unwrap();
        let lines = std::fs::read_to_string(directory.path().join("py.lines")).unwrap();
        for address in printed.split_whitespace() {
            let begin = format!("{{\"id\": {address}, ");
            let mut found = lines.lines().filter(|line| line.starts_with(&begin));
            let line = found.next().expect("the object is in the dump");
            assert!(line.ends_with("\"count\": 1}"), "{python}: {line}");
        }
    }
}

#[test]
fn bad_lines_are_counted() {
    let text =
        "{\"id\": 1, \"refs\": [5]}\nnonsense\n{\"id\": 1}\n{\"id\": \"x\"}\n{\"id\": 2, \"re";
    let Imported { graph, losses, .. } = read(Format::Lines, text.as_bytes()).unwrap();
    assert_eq!((graph.objects(), graph.references()), (1, 0));
    let lost: u64 = losses.iter().map(|loss| loss.count).sum();
    assert_eq!((losses.iter().count(), lost), (4, 5), "{losses:?}");
    assert!(
        losses
            .iter()
            .any(|loss| loss.offset == text.rfind("{\"id\"").unwrap() as u64)
    );
}

// ---- Graphviz

#[test]
fn a_drawing_is_read() {
    let text = r#"
        /* made by hand */ strict digraph "G" {
            rankdir=LR; node [shape=box]
            a [label="an a", bytes=24, root=true]; # first
            a -> b:n -> "c d" [weak=true] // a chain
            subgraph cluster_0 { label = "x"; e; f -> a }
            b -> {e f} [color=red]
            "c" + " d" -> a
        }
    "#;
    let imported = read(Format::Dot, text.as_bytes()).unwrap();
    assert!(imported.losses.is_empty(), "{:?}", imported.losses);
    // a, b, "c d", e, f
    assert_eq!(
        edges(&imported.graph),
        [
            vec![(1, true)],
            vec![(2, true), (3, false), (4, false)],
            strong(&[0]),
            vec![],
            strong(&[0]),
        ]
    );
    assert!(imported.has_roots());
}

#[test]
fn a_drawing_without_roots_gets_some() {
    let roots = |text: &str| {
        let imported = read(Format::Dot, text.as_bytes()).unwrap();
        assert!(!imported.has_roots());
        let directory = tempfile::tempdir().unwrap();
        written(&imported.graph, &directory.path().join("a.graph"))
            .roots()
            .to_vec()
    };
    assert_eq!(roots("digraph { a -> b; c -> b }"), [0, 2]);
    assert_eq!(roots("digraph { a -> b -> a }"), [0]);
}

#[test]
fn a_drawing_that_asks_for_more_than_it_is_worth_is_refused() {
    let group: String = (0..3000).map(|number| format!("n{number} ")).collect();
    let text = format!("digraph {{ {{{group}}} -> {{{group}}} }}");
    assert!(matches!(
        read(Format::Dot, text.as_bytes()),
        Err(ImportError::Malformed(..))
    ));
    let text = format!("digraph {{ {} }}", "{".repeat(1000));
    assert!(matches!(
        read(Format::Dot, text.as_bytes()),
        Err(ImportError::Malformed(..))
    ));
    let text = "digraph { a -- b }";
    assert!(matches!(
        read(Format::Dot, text.as_bytes()),
        Err(ImportError::Malformed(..))
    ));
}

// ---- all of them

/// Whatever is done to a dump: it ends, in proportion to the file, and the graph is whole.
fn is_whole(dump: &[u8], format: Format) {
    if let Ok(Imported { graph, .. }) = read(format, dump) {
        assert!(graph.objects() <= dump.len() && graph.references() <= dump.len() + (1 << 20));
        for object in 0..graph.objects() {
            assert!(
                graph
                    .of(object)
                    .all(|reference| reference.to < graph.objects())
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(
        std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(400)
    ))]

    #[test]
    fn mutated_dumps_are_survived(
        format in 0..4usize,
        wide: bool,
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..4u8), 1..8),
    ) {
        let format = Format::ALL[format];
        let mut dump = match format {
            Format::Hprof => small_hprof(wide).bytes,
            Format::V8 => SNAPSHOT.as_bytes().to_vec(),
            Format::Lines => b"{\"id\":1,\"refs\":[2,null],\"count\":3}\n{\"id\":2,\"weak\":[1]}".to_vec(),
            Format::Dot => b"digraph { a -> {b c [bytes=8]} -> d [weak=true]; \"x\" -> <a<b>>:p }".to_vec(),
        };
        for (at, byte, kind) in changes {
            if dump.is_empty() {
                break;
            }
            let at = at.index(dump.len());
            match kind {
                0 => dump[at] = byte,
                1 => dump.insert(at, byte),
                2 => dump.truncate(at),
                _ => {
                    let part = dump[at..dump.len().min(at + usize::from(byte))].to_vec();
                    dump.extend(part);
                }
            }
        }
        is_whole(&dump, format);
    }

    #[test]
    fn a_damaged_graph_is_refused(at: prop::sample::Index, bit in 0..8u8, cut: bool) {
        let Imported { graph, .. } = read(Format::Hprof, &small_hprof(true).bytes).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.graph");
        graph::write(&graph, &path).unwrap();
        let mut bytes = std::fs::read(&path).unwrap();
        let at = at.index(bytes.len());
        match cut {
            true => bytes.truncate(at),
            false => bytes[at] ^= 1 << bit,
        }
        std::fs::write(&path, &bytes).unwrap();
        prop_assert!(Graph::open(&path).is_err());
    }
}

#[test]
fn the_shape_is_what_can_be_counted_by_hand() {
    // r -> a -> b -> c -> a, c -> c; b ~> d (weak); e is garbage; r -> a twice.
    let text = "digraph { r [root=true]; r -> a -> b -> c -> a; r -> a; c -> c; b -> d [weak=true];
        e -> r; x [bytes=100]; r -> x }";
    let Imported { graph, .. } = read(Format::Dot, text.as_bytes()).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let shape = Shape::of(&written(&graph, &directory.path().join("a.graph")));
    let bins = |histogram: &Histogram| -> Vec<(u64, u64, u64)> {
        let bins = histogram.bins();
        bins.map(|(least, bin)| (least, bin.count, bin.sum))
            .collect()
    };
    assert_eq!(bins(&shape.referred), [(0, 1, 0), (1, 2, 2), (2, 2, 5)]);
    assert_eq!(bins(&shape.referring), [(0, 1, 0), (1, 2, 2), (2, 2, 5)]);
    assert_eq!(bins(&shape.groups), [(0, 0, 0), (1, 0, 0), (2, 1, 3)]);
    let sizes = [(8, 1, 8), (16, 3, 56), (64, 1, 104)];
    let found = bins(&shape.sizes).into_iter().filter(|bin| bin.1 > 0);
    assert!(found.eq(sizes), "{:?}", shape.sizes);
    assert_eq!(
        (shape.levels.width, &shape.levels.objects[..]),
        (1, &[1, 2, 1, 1][..])
    );
    assert_eq!(
        shape,
        Shape {
            objects: 5,
            roots: 1,
            references: 7,
            weak: 1,
            fields: 8,
            payload_bytes: 104,
            garbage: 2,
            depth: 3,
            half_depth: 1,
            most_referring: 3,
            heaviest: vec![104, 0, 0, 0, 0],
            cyclic: 3,
            cycles: 1,
            largest_cycle: 3,
            shared: 2,
            most_referred: 3,
            referred_p999: 3,
            widest: vec![3, 2, 2, 1, 0],
            ..shape.clone()
        }
    );
}

#[test]
fn what_a_graph_cannot_tell_of_an_object_is_told_to_be_lost() {
    let gib = 1u64 << 30;
    let text = format!(
        "{{\"id\": 1, \"bytes\": {}}}\n{{\"id\": 2, \"bytes\": {}}}\n",
        32 * gib - 8,
        33 * gib
    );
    let Imported { graph, losses, .. } = read(Format::Lines, text.as_bytes()).unwrap();
    let cut: Vec<_> = losses
        .iter()
        .map(|loss| (loss.count, loss.offset))
        .collect();
    assert_eq!(
        cut,
        [(1, text.find('\n').unwrap() as u64 + 1)],
        "{losses:?}"
    );
    assert!(losses.is_damaged());
    let directory = tempfile::tempdir().unwrap();
    let file = written(&graph, &directory.path().join("a.graph"));
    assert_eq!([file.words(0), file.words(1)], [(1 << 32) - 1; 2]);
    // A snapshot counts bytes in numbers as wide.
    let large = SNAPSHOT.replace("3,40,3,0", &format!("3,{},3,0", 5 * gib));
    let Imported { graph, losses, .. } = read(Format::V8, large.as_bytes()).unwrap();
    assert!(losses.is_empty(), "{losses:?}");
    assert_eq!(graph.source_bytes(), 5 * gib + 24);
    let none = SNAPSHOT.replace("3,40,3,0", "3,-4,3,0");
    let Imported { graph, losses, .. } = read(Format::V8, none.as_bytes()).unwrap();
    assert_eq!((lost(&losses).len(), graph.source_bytes()), (1, 24));
}

#[test]
fn a_graph_knows_of_which_dumps_it_was_made() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    let long: Vec<u8> = (0..3_000_000u32)
        .map(|number| (number % 251) as u8)
        .collect();
    std::fs::write(at("long"), &long).unwrap();
    std::fs::write(at("short"), b"digraph { a }").unwrap();
    std::fs::write(at("copy"), &long).unwrap();
    let long_origin = origin_of([at("long")]).unwrap();
    assert_eq!(origin_of([at("copy")]).unwrap(), long_origin);
    let others = [
        origin_of([at("short")]).unwrap(),
        origin_of([at("long"), at("short")]).unwrap(),
        origin_of([at("short"), at("long")]).unwrap(),
        origin_of([at("long"), at("long")]).unwrap(),
    ];
    assert!(
        others.iter().all(|&other| other != long_origin),
        "{others:?}"
    );
    // The last byte is looked at.
    let mut changed = long.clone();
    *changed.last_mut().unwrap() ^= 1;
    std::fs::write(at("changed"), changed).unwrap();
    assert_ne!(origin_of([at("changed")]).unwrap(), long_origin);

    let mut graph = read(Format::Dot, b"digraph { a }").unwrap().graph;
    graph::write(&graph, &at("old.graph")).unwrap();
    graph.set_origin(long_origin);
    graph::write(&graph, &at("new.graph")).unwrap();
    Graph::open(at("new.graph")).unwrap();
    assert_eq!(
        Origin::at(&at("new.graph")),
        Origin::Graph(Some(long_origin))
    );
    assert_eq!(Origin::at(&at("old.graph")), Origin::Graph(None));
    assert_eq!(Origin::at(&at("long")), Origin::Other);
    assert_eq!(Origin::at(directory.path()), Origin::Other);
    assert_eq!(Origin::at(&at("absent")), Origin::Nothing);
}

/// Each element leads somewhere else, to which the search goes and from which it comes back: if it
/// went through the array from its beginning each time, this would take hours.
#[test]
fn a_wide_object_is_gone_through_once() {
    const WIDE: usize = 1_000_000;
    let refs: Vec<String> = (2..WIDE + 2).map(|id| id.to_string()).collect();
    let mut text = format!(
        "{{\"id\": 1, \"root\": true, \"refs\": [{}]}}\n",
        refs.join(",")
    );
    (2..WIDE + 2).for_each(|id| text.push_str(&format!("{{\"id\": {id}, \"refs\": [1]}}\n")));
    let Imported { graph, .. } = read(Format::Lines, text.as_bytes()).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let shape = Shape::of(&written(&graph, &directory.path().join("a.graph")));
    assert_eq!(
        (shape.cyclic, shape.widest[0]),
        (WIDE as u64 + 1, WIDE as u64)
    );
}

#[test]
fn a_deep_graph_needs_no_stack() {
    let mut text = String::from("digraph { 0");
    (1..200_000).for_each(|number| text.push_str(&format!(" -> {number}")));
    text.push_str(" -> 0 }");
    let Imported { graph, .. } = read(Format::Dot, text.as_bytes()).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let shape = Shape::of(&written(&graph, &directory.path().join("a.graph")));
    assert_eq!(
        (shape.depth, shape.cyclic, shape.cycles),
        (199_999, 200_000, 1)
    );
}
