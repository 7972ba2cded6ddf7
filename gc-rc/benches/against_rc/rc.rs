//! The programs on `Rc`.

use std::cell::Cell;
use std::rc::Rc;

use crate::{CHURNED, DEPTH, LIST, MOVES, REPLACEMENTS, REWIRED, Random, mix, short_lived};

struct Tree {
    left: Option<Rc<Tree>>,
    right: Option<Rc<Tree>>,
}

fn tree(depth: u32) -> Rc<Tree> {
    let (left, right) = if depth > 0 {
        (Some(tree(depth - 1)), Some(tree(depth - 1)))
    } else {
        (None, None)
    };
    Rc::new(Tree { left, right })
}

fn count(tree: &Tree) -> u64 {
    let mut nodes = 1;
    if let Some(left) = &tree.left {
        nodes += count(left);
    }
    if let Some(right) = &tree.right {
        nodes += count(right);
    }
    nodes
}

pub(crate) fn binary_trees() -> u64 {
    let mut nodes = count(&tree(DEPTH + 1));
    let long = tree(DEPTH);
    nodes += short_lived().map(|depth| count(&tree(depth))).sum::<u64>();
    nodes + count(&long)
}

struct Link {
    next: Option<Rc<Link>>,
    word: u64,
}

impl Drop for Link {
    /// Without this a long list overflows the stack.
    fn drop(&mut self) {
        let mut next = self.next.take();
        while let Some(mut link) = next.and_then(Rc::into_inner) {
            next = link.next.take();
        }
    }
}

pub(crate) fn list() -> u64 {
    let mut list = None;
    for word in 0..LIST {
        list = Some(Rc::new(Link { next: list, word }));
    }
    let mut sum = 0u64;
    let mut node = list.as_deref();
    while let Some(this) = node {
        sum = sum.wrapping_add(mix(this.word));
        node = this.next.as_deref();
    }
    sum
}

struct Node {
    a: Field,
    b: Field,
    word: u64,
}

/// A reference that can be changed, without the flag of a `RefCell`.
#[derive(Default)]
struct Field(Cell<Option<Rc<Node>>>);

impl Field {
    fn get(&self) -> Option<Rc<Node>> {
        let value = self.0.take();
        let copy = value.clone();
        self.0.set(value);
        copy
    }

    fn set(&self, value: Option<Rc<Node>>) {
        self.0.set(value);
    }
}

fn table(nodes: usize) -> Vec<Rc<Node>> {
    let node = |index| Node {
        a: Field::default(),
        b: Field::default(),
        word: index as u64,
    };
    (0..nodes).map(|index| Rc::new(node(index))).collect()
}

/// Frees the table although its nodes refer to each other.
fn take_apart(table: Vec<Rc<Node>>) {
    for node in &table {
        node.a.set(None);
        node.b.set(None);
    }
}

pub(crate) fn rewire() -> u64 {
    let table = table(REWIRED);
    let mut random = Random(1);
    let mut sum = 0u64;
    for turn in 0..REWIRED as u64 + MOVES {
        let (i, j) = (random.below(REWIRED), random.below(REWIRED));
        let (from, to) = (&table[i], &table[j]);
        if turn < REWIRED as u64 {
            from.a.set(Some(Rc::clone(to)));
        } else if let Some(moved) = from.a.get() {
            sum = sum.wrapping_add(mix(moved.word));
            to.b.set(Some(moved));
        }
    }
    take_apart(table);
    sum
}

pub(crate) fn churn() -> u64 {
    let mut table = table(CHURNED);
    let mut random = Random(2);
    let mut sum = 0u64;
    for word in 0..REPLACEMENTS {
        let [i, j, k] = [(); 3].map(|()| random.below(CHURNED));
        let clears = random.next() & 3 != 0;
        let (left, right) = (Rc::clone(&table[j]), Rc::clone(&table[k]));
        sum = sum.wrapping_add(mix(left.word));
        sum = sum.wrapping_add(mix(right.word));
        let new = Rc::new(Node {
            a: Field(Cell::new(Some(left))),
            b: Field(Cell::new(Some(right))),
            word,
        });
        let old = &table[i];
        if clears {
            old.a.set(None);
            old.b.set(None);
        } else {
            old.a.set(Some(Rc::clone(&new)));
            new.b.set(Some(Rc::clone(old)));
        }
        table[i] = new;
    }
    take_apart(table);
    sum
}
