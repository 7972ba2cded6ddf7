//! A first program: a binary search tree, a cycle, and what becomes of both.
//!
//! `cargo run -p gc-rc --example first`

use gc_rc::{Flags, Heap, HeapFull, Local, Mutator};

/// Adds `key` to the tree in `root`. A node has two fields (smaller, larger) and one word (its
/// key).
fn insert<'h>(m: &mut Mutator<'h>, root: Local<'_, 'h>, key: u64) -> Result<(), HeapFull> {
    m.frame(|m, [new, none]| {
        m.alloc_init(new, Flags::NONE, [none, none], [key])?;
        // From here on nothing allocates, so that unrooted references are all it takes.
        let fresh = m.get(new);
        let Some(mut node) = m.get(root) else {
            m.set(root, fresh);
            return Ok(());
        };
        loop {
            let side = usize::from(key >= m.word(node, 0));
            match m.load(node, side) {
                Some(next) => node = next,
                None => {
                    m.store(node, side, fresh);
                    return Ok(());
                }
            }
        }
    })
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let heap = Heap::builder().limit(16 << 20).build()?;
    heap.attach(|m| {
        m.frame(|m, [tree, cycle]| {
            let mut key: u64 = 1;
            for _ in 0..10_000 {
                key = key
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                insert(m, tree, key >> 33)?;
                m.safepoint();
            }
            let mut smallest = m.get(tree).expect("the tree is not empty");
            while let Some(next) = m.load(smallest, 0) {
                smallest = next;
            }
            println!("the smallest of 10,000 keys is {}", m.word(smallest, 0));

            // A weak reference sees the tree go as soon as the last reference does.
            let weak = m.downgrade(m.get(tree).expect("the tree is not empty"));
            m.set(tree, None);
            println!(
                "without its root the tree is {}",
                if m.upgrade(&weak).is_some() {
                    "there"
                } else {
                    "gone"
                }
            );

            // Two nodes that refer to each other need the cycle collector.
            m.alloc_init(tree, Flags::NONE, [cycle, cycle], [1])?;
            m.alloc_init(cycle, Flags::NONE, [tree, tree], [2])?;
            m.store(m.get(tree).expect("just made"), 0, m.get(cycle));
            let weak = m.downgrade(m.get(cycle).expect("just made"));
            m.set(tree, None);
            m.set(cycle, None);
            println!(
                "without its root the cycle is {}",
                if m.upgrade(&weak).is_some() {
                    "there"
                } else {
                    "gone"
                }
            );
            m.collect();
            println!(
                "after a collection it is {}",
                if m.upgrade(&weak).is_some() {
                    "there"
                } else {
                    "gone"
                }
            );
            Ok(())
        })
    })
    .map_err(|full: HeapFull| full.into())
    .inspect(|()| {
        println!(
            "{} objects were allocated",
            heap.statistics().allocated_objects
        )
    })
}
