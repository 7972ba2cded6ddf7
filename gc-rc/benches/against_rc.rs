//! Binary trees on gc-rc and on Rust's own `Rc`, in one interleaved run: `cargo bench -p gc-rc --bench against_rc [-- DEPTH [ROUNDS]]`.
//!
//! The program is that of the Computer Language Benchmarks Game: a tree of depth 19, a long-lived one of 18, and between them many of
//! depths 4 to 18, each built bottom-up, counted and dropped. `Rc` can do this work because there are no cycles in
//! it, so gc-rc is also run without its cycle collector. Each figure is the best and the median of the rounds, in nanoseconds a node; rounds alternate between the
//! candidates, because machines change speed. `Rc` runs on the system's allocator and on mimalloc by a switch in the global allocator,
//! a well-predicted branch that costs it some tenths of a nanosecond a node.

use std::alloc::{GlobalAlloc, Layout, System};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Instant;

use gc_rc::{Cycle, Flags, Heap, HeapFull, Local, Mutator, Ref};
use mimalloc::MiMalloc;

/// Switched between rounds only, when nothing that a round allocated is left.
struct Switch;

static ON_MIMALLOC: AtomicBool = AtomicBool::new(false);

/// Allocations of this many bytes are `Rc` nodes; all others always come from the system.
const NODE: usize = size_of::<(usize, usize, Node)>();

// SAFETY: every call goes to one of two allocators, and to the same for the whole life of an allocation: nodes live within a round.
unsafe impl GlobalAlloc for Switch {
    #[inline(always)]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promises are the callee's.
        unsafe {
            if layout.size() == NODE && ON_MIMALLOC.load(Relaxed) {
                MiMalloc.alloc(layout)
            } else {
                System.alloc(layout)
            }
        }
    }

    #[inline(always)]
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe {
            if layout.size() == NODE && ON_MIMALLOC.load(Relaxed) {
                MiMalloc.dealloc(pointer, layout)
            } else {
                System.dealloc(pointer, layout)
            }
        }
    }
}

#[global_allocator]
static GLOBAL: Switch = Switch;

struct Node {
    left: Option<Rc<Node>>,
    right: Option<Rc<Node>>,
}

fn rc_tree(depth: u32) -> Rc<Node> {
    if depth == 0 {
        return Rc::new(Node {
            left: None,
            right: None,
        });
    }
    Rc::new(Node {
        left: Some(rc_tree(depth - 1)),
        right: Some(rc_tree(depth - 1)),
    })
}

fn rc_count(node: &Node) -> u64 {
    let mut nodes = 1;
    if let Some(left) = &node.left {
        nodes += rc_count(left);
    }
    if let Some(right) = &node.right {
        nodes += rc_count(right);
    }
    nodes
}

fn gc_tree<'h>(m: &mut Mutator<'h>, into: Local<'_, 'h>, depth: u32) -> Result<(), HeapFull> {
    m.frame(|m, [left, right]| {
        if depth > 0 {
            gc_tree(m, left, depth - 1)?;
            gc_tree(m, right, depth - 1)?;
        }
        m.alloc_move(into, Flags::NONE, [left, right], [])
    })?;
    m.safepoint();
    Ok(())
}

fn gc_count<'m, 'h>(m: &'m Mutator<'h>, node: Ref<'m, 'h>) -> u64 {
    let mut nodes = 1;
    if let Some(left) = m.load(node, 0) {
        nodes += gc_count(m, left);
    }
    if let Some(right) = m.load(node, 1) {
        nodes += gc_count(m, right);
    }
    nodes
}

/// The depths of the trees that live while the long-lived one does.
fn short_lived(depth: u32) -> impl Iterator<Item = u32> {
    (4..=depth)
        .step_by(2)
        .flat_map(move |d| std::iter::repeat_n(d, 1 << (depth - d + 4)))
}

fn on_rc(depth: u32) -> u64 {
    let mut nodes = rc_count(&rc_tree(depth + 1));
    let long = rc_tree(depth);
    nodes += short_lived(depth)
        .map(|d| rc_count(&rc_tree(d)))
        .sum::<u64>();
    nodes + rc_count(&long)
}

/// Builds a tree in `tree`, counts it and lets it go.
fn tree_of<'h>(m: &mut Mutator<'h>, tree: Local<'_, 'h>, depth: u32) -> u64 {
    gc_tree(m, tree, depth).expect("no limit");
    let nodes = gc_count(m, m.get(tree).expect("just built"));
    m.set(tree, None);
    nodes
}

fn on_gc(heap: &Heap, depth: u32) -> u64 {
    heap.attach(|m| {
        m.frame(|m, [long, tree]| {
            let mut nodes = tree_of(m, tree, depth + 1);
            gc_tree(m, long, depth).expect("no limit");
            for d in short_lived(depth) {
                nodes += tree_of(m, tree, d);
            }
            nodes + gc_count(m, m.get(long).expect("just built"))
        })
    })
}

/// Its name, a run that returns the number of nodes, and the times so far.
type Candidate = (&'static str, Box<dyn FnMut() -> u64>, Vec<f64>);

fn main() {
    let mut arguments = std::env::args()
        .skip(1)
        .filter_map(|argument| argument.parse::<u32>().ok());
    let depth = arguments.next().unwrap_or(18);
    let rounds = arguments.next().unwrap_or(5).max(1);
    let generational = Heap::new();
    let counting = Heap::builder()
        .cycle(Cycle::None)
        .build()
        .expect("a valid configuration");
    let mut candidates: Vec<Candidate> = vec![
        (
            "gc-rc, cycle=none",
            Box::new(move || on_gc(&counting, depth)),
            Vec::new(),
        ),
        (
            "gc-rc, cycle=generational",
            Box::new(move || on_gc(&generational, depth)),
            Vec::new(),
        ),
        (
            "Rc on mimalloc",
            Box::new(move || {
                ON_MIMALLOC.store(true, Relaxed);
                let nodes = on_rc(depth);
                ON_MIMALLOC.store(false, Relaxed);
                nodes
            }),
            Vec::new(),
        ),
        (
            "Rc on the system's allocator",
            Box::new(move || on_rc(depth)),
            Vec::new(),
        ),
    ];
    let mut expected = None;
    // Round zero warms up.
    for round in 0..=rounds {
        for (name, run, times) in &mut candidates {
            let begun = Instant::now();
            let nodes = run();
            let each = begun.elapsed().as_nanos() as f64 / nodes as f64;
            assert_eq!(
                *expected.get_or_insert(nodes),
                nodes,
                "{name} made another number of nodes"
            );
            if round > 0 {
                times.push(each);
            }
        }
    }
    println!("binary-trees {depth}, {rounds} rounds, ns a node");
    println!("{:<30} {:>8} {:>8}", "", "best", "median");
    for (name, _, mut times) in candidates {
        times.sort_by(f64::total_cmp);
        println!(
            "{name:<30} {:>8.2} {:>8.2}",
            times[0],
            times[times.len() / 2]
        );
    }
}
