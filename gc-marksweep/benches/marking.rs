//! How fast a heap is marked, by prefetch depth and number of workers: `cargo bench -p gc-marksweep
//! --bench marking [-- SHAPES [OBJECTS [ROUNDS [DEPTHS [WORKERS]]]]]`, lists separated by commas.
//! Without arguments there are 4,000,000 objects and five rounds, which takes a minute or two; with
//! `--quick` 500,000, three, and two depths.
//!
//! Objects are of 32 bytes, two fields and a word. Each configuration has a heap of its own that
//! holds the same objects; the rounds go from heap to heap, because machines change speed. A figure
//! is the median over the rounds of the time from the last root to the end of marking, as the
//! heap's events give it, in nanoseconds for each live object, with the fastest in parentheses.
//!
//! - `tree`: balanced, its nodes in the order of a depth-first walk: what an allocator lays out for
//!   a program that builds trees.
//! - `graph`: every field leads to a random node, so that neighbours in memory have nothing to do
//!   with each other. A fifth more nodes are made than can be reached from the first.
//! - `list`: in the order of allocation. There is never more than one edge to follow: nothing to
//!   prefetch, and nothing to share.

use gc_marksweep::{EventKind, Flags, Global, Heap, Local, Mutator, Shape};

/// The part of a large random graph with two edges a node that can be reached from one of its
/// nodes, usually.
const REACHABLE: f64 = 0.7968;

fn tree<'h>(m: &mut Mutator<'h>, into: Local<'_, 'h>, nodes: usize) {
    m.frame(|m, [left, right]| {
        let below = nodes - 1;
        for (child, nodes) in [(left, below / 2), (right, below - below / 2)] {
            if nodes > 0 {
                tree(m, child, nodes);
            }
        }
        m.alloc_move(into, Flags::NONE, [left, right], [nodes as u64])
            .expect("the limit leaves room");
    });
}

fn list<'h>(m: &mut Mutator<'h>, into: Local<'_, 'h>, nodes: usize) {
    m.frame(|m, [empty]| {
        for word in 0..nodes as u64 {
            m.alloc_move(into, Flags::NONE, [into, empty], [word])
                .expect("the limit leaves room");
        }
    });
}

fn graph<'h>(m: &mut Mutator<'h>, into: Local<'_, 'h>, reachable: usize) {
    let nodes = (reachable as f64 / REACHABLE) as usize;
    let mut state = 88_172_645_463_325_252_u64;
    let mut random = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as usize % nodes
    };
    m.frame(|m, [all]| {
        m.alloc(all, Shape::new(nodes as u32, 0))
            .expect("the limit leaves room");
        for index in 0..nodes {
            m.alloc(into, Shape::new(2, 1))
                .expect("the limit leaves room");
            m.store(m.get(all).expect("made above"), index, m.get(into));
        }
        for index in 0..nodes {
            let all = m.get(all).expect("made above");
            let node = m.load(all, index).expect("stored above");
            m.store(node, 0, m.load(all, random()));
            m.store(node, 1, m.load(all, random()));
        }
        m.set(into, m.load(m.get(all).expect("made above"), 0));
    });
}

struct Candidate {
    name: String,
    heap: Heap,
    _root: Global,
    rates: Vec<f64>,
}

impl Candidate {
    fn new(shape: &str, objects: usize, depth: usize, workers: usize) -> Self {
        let heap = Heap::builder()
            .limit(64 * objects + (64 << 20))
            .prefetch_depth(depth)
            .marking_workers(workers)
            .event_capacity(16)
            .build()
            .expect("the configuration is possible");
        let root = heap.attach(|m| {
            m.frame(|m, [root]| {
                match shape {
                    "tree" => tree(m, root, objects),
                    "graph" => graph(m, root, objects),
                    "list" => list(m, root, objects),
                    _ => panic!("no shape is called {shape}: tree, graph, list"),
                }
                m.global(m.get(root).expect("just made"))
            })
        });
        Self {
            name: format!("{shape:6} depth {depth:2}  workers {workers}"),
            heap,
            _root: root,
            rates: Vec::new(),
        }
    }

    /// One collection; the first only warms up.
    fn measure(&mut self, warm: bool) {
        self.heap.take_events();
        self.heap.attach(|m| m.collect());
        for event in self.heap.take_events().events {
            if let EventKind::Collection {
                rooted,
                marked,
                live_bytes,
                ..
            } = event.kind
                && warm
            {
                let objects = live_bytes as f64 / Shape::new(2, 1).size() as f64;
                self.rates.push((marked - rooted) as f64 / objects);
            }
        }
    }
}

fn main() {
    // Cargo adds `--bench`.
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| argument != "--bench")
        .collect();
    let (quick, arguments): (Vec<_>, Vec<_>) = arguments
        .into_iter()
        .partition(|argument| argument == "--quick");
    let [objects, rounds, depths] = if quick.is_empty() {
        ["4000000", "5", "0,4,8,16,32"]
    } else {
        ["500000", "3", "0,8"]
    };
    let argument = |index: usize, default: &str| -> Vec<String> {
        let text = arguments.get(index).map_or(default, String::as_str);
        text.split(',').map(str::to_owned).collect()
    };
    let numbers = |index: usize, default: &str| -> Vec<usize> {
        argument(index, default)
            .iter()
            .map(|text| {
                text.parse()
                    .unwrap_or_else(|_| panic!("{text} is no number"))
            })
            .collect()
    };
    let objects = numbers(1, objects)[0];
    let rounds = numbers(2, rounds)[0];
    println!(
        "\nHow fast gc-marksweep marks {objects} objects of 32 bytes, by shape, prefetch depth and \
         number of workers: median of {rounds} rounds (and the fastest).\n"
    );
    for shape in argument(0, "tree,graph,list") {
        let mut candidates = Vec::new();
        for depth in numbers(3, depths) {
            for workers in numbers(4, "1,2") {
                candidates.push(Candidate::new(&shape, objects, depth, workers));
            }
        }
        for round in 0..=rounds {
            for candidate in &mut candidates {
                candidate.measure(round > 0);
            }
        }
        for candidate in &mut candidates {
            candidate.rates.sort_by(f64::total_cmp);
            let rates = &candidate.rates;
            println!(
                "{}  {:7.2} ns an object ({:.2})",
                candidate.name,
                rates[rates.len() / 2],
                rates[0],
            );
        }
    }
}
