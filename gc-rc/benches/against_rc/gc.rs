//! The programs on gc-rc.

use gc_rc::{Cycle, Flags, Heap, HeapFull, Local, Mutator, Ref, Shape};

use crate::{
    CHURNED, Candidate, DEPTH, LIST, MOVES, REPLACEMENTS, REWIRED, RING, RINGS_DROPPED, RINGS_HELD,
    Random, candidate, mix, short_lived, timed,
};

/// A program.
pub(crate) type Work = fn(&mut Mutator<'_>) -> Result<u64, HeapFull>;

/// The program on heaps with each collector, and if that can do it, `without` one. Heaps are kept
/// from round to round, as allocators are.
pub(crate) fn candidates(work: Work, without: bool) -> Vec<Candidate> {
    let heap = Heap::builder;
    let settings = [
        ("gc-rc, cycle=generational", heap()),
        ("gc-rc, cycle-filter=off", heap().cycle_filter(false)),
        ("gc-rc, cycle=bacon-rajan", heap().cycle(Cycle::BaconRajan)),
        ("gc-rc, cycle=none", heap().cycle(Cycle::None)),
    ];
    let wanted = settings.len() - usize::from(!without);
    let candidates = settings.into_iter().take(wanted);
    candidates
        .map(|(name, builder)| {
            let heap = builder.build().expect("a valid configuration");
            candidate(name, move || {
                timed(|| heap.attach(work).expect("a heap without a limit"))
            })
        })
        .collect()
}

fn tree<'h>(m: &mut Mutator<'h>, into: Local<'_, 'h>, depth: u32) -> Result<(), HeapFull> {
    m.frame(|m, [left, right]| {
        if depth > 0 {
            tree(m, left, depth - 1)?;
            tree(m, right, depth - 1)?;
        }
        m.alloc_move(into, Flags::NONE, [left, right], [])
    })?;
    m.safepoint();
    Ok(())
}

fn count<'m, 'h>(m: &'m Mutator<'h>, node: Ref<'m, 'h>) -> u64 {
    let mut nodes = 1;
    if let Some(left) = m.load(node, 0) {
        nodes += count(m, left);
    }
    if let Some(right) = m.load(node, 1) {
        nodes += count(m, right);
    }
    nodes
}

/// Nodes of the tree in a local.
fn nodes<'h>(m: &Mutator<'h>, tree: Local<'_, 'h>) -> u64 {
    m.get(tree).map_or(0, |tree| count(m, tree))
}

pub(crate) fn binary_trees(m: &mut Mutator<'_>) -> Result<u64, HeapFull> {
    m.frame(|m, [long, short]| {
        tree(m, short, DEPTH + 1)?;
        let mut sum = nodes(m, short);
        m.set(short, None);
        tree(m, long, DEPTH)?;
        for depth in short_lived() {
            tree(m, short, depth)?;
            sum += nodes(m, short);
            m.set(short, None);
        }
        Ok(sum + nodes(m, long))
    })
}

pub(crate) fn list(m: &mut Mutator<'_>) -> Result<u64, HeapFull> {
    let sum = m.frame(|m, [list]| {
        for value in 0..LIST {
            m.alloc_move(list, Flags::NONE, [list], [value])?;
            m.safepoint();
        }
        let (mut sum, mut node) = (0u64, m.get(list));
        while let Some(this) = node {
            sum = sum.wrapping_add(mix(m.word(this, 0)));
            node = m.load(this, 0);
        }
        Ok(sum)
    })?;
    // The drop.
    m.safepoint();
    Ok(sum)
}

/// A table of nodes of two fields and a word.
fn table<'h>(m: &mut Mutator<'h>, into: Local<'_, 'h>, nodes: usize) -> Result<(), HeapFull> {
    m.alloc(into, Shape::new(nodes as u32, 0))?;
    m.frame(|m, [node, none]| {
        for index in 0..nodes {
            m.alloc_init(node, Flags::NONE, [none, none], [index as u64])?;
            if let Some(table) = m.get(into) {
                m.store(table, index, m.get(node));
            }
            m.safepoint();
        }
        Ok(())
    })
}

pub(crate) fn rewire(m: &mut Mutator<'_>) -> Result<u64, HeapFull> {
    m.frame(|m, [all]| {
        table(m, all, REWIRED)?;
        let mut random = Random(1);
        let mut sum = 0u64;
        for turn in 0..REWIRED as u64 + MOVES {
            let (i, j) = (random.below(REWIRED), random.below(REWIRED));
            if let Some(table) = m.get(all)
                && let (Some(from), Some(to)) = (m.load(table, i), m.load(table, j))
            {
                if turn < REWIRED as u64 {
                    m.store(from, 0, Some(to));
                } else if let Some(moved) = m.load(from, 0) {
                    m.store(to, 1, Some(moved));
                    sum = sum.wrapping_add(mix(m.word(moved, 0)));
                }
            }
            m.safepoint();
        }
        Ok(sum)
    })
}

pub(crate) fn churn(m: &mut Mutator<'_>) -> Result<u64, HeapFull> {
    m.frame(|m, [all, left, right, new]| {
        table(m, all, CHURNED)?;
        let mut random = Random(2);
        let mut sum = 0u64;
        for turn in 0..REPLACEMENTS {
            let [i, j, k] = [(); 3].map(|()| random.below(CHURNED));
            let clears = random.next() & 3 != 0;
            if let Some(table) = m.get(all) {
                for (local, index) in [(left, j), (right, k)] {
                    let node = m.load(table, index);
                    sum = sum.wrapping_add(node.map_or(0, |node| mix(m.word(node, 0))));
                    m.set(local, node);
                }
            }
            m.alloc_move(new, Flags::NONE, [left, right], [turn])?;
            if let (Some(table), Some(new)) = (m.get(all), m.get(new)) {
                if let Some(old) = m.load(table, i) {
                    if clears {
                        m.store(old, 0, None);
                        m.store(old, 1, None);
                    } else {
                        m.store(old, 0, Some(new));
                        m.store(new, 1, Some(old));
                    }
                }
                m.store(table, i, Some(new));
            }
            m.safepoint();
        }
        Ok(sum)
    })
}

fn ring<'h>(m: &mut Mutator<'h>, head: Local<'_, 'h>, first: u64) -> Result<(), HeapFull> {
    m.frame(|m, [tail]| {
        m.set(head, None);
        for position in 0..RING {
            m.alloc_move(head, Flags::NONE, [head], [first + position])?;
            if position == 0 {
                m.set(tail, m.get(head));
            }
            m.safepoint();
        }
        if let Some(tail) = m.get(tail) {
            m.store(tail, 0, m.get(head));
        }
        Ok(())
    })
}

pub(crate) fn rings(m: &mut Mutator<'_>) -> Result<u64, HeapFull> {
    m.frame(|m, [held, head]| {
        m.alloc(held, Shape::new(RINGS_HELD as u32, 0))?;
        let mut sum = 0u64;
        for index in 0..RINGS_HELD + RINGS_DROPPED {
            ring(m, head, RING * index)?;
            if let (Some(held), Some(head)) = (m.get(held), m.get(head)) {
                sum = sum.wrapping_add(mix(m.word(head, 0)));
                if index < RINGS_HELD {
                    m.store(held, index as usize, Some(head));
                }
            }
            m.set(head, None);
            m.safepoint();
        }
        Ok(sum)
    })
}
