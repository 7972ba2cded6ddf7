//! What the crates `dumpster` and `bacon_rajan_cc` can do: trees, and rings of garbage.

use std::cell::RefCell;

use bacon_rajan_cc::{Cc, collect_cycles, number_of_roots_buffered};
use dumpster::unsync::Gc;

use crate::{DEPTH, RING, RINGS_DROPPED, RINGS_HELD, mix, short_lived};

/// `bacon_rajan_cc` collects when it is told to: at as many possible roots as gc-rc does.
const POSSIBLE_ROOTS: usize = 10_000;

/// Defines, for a counted pointer, a tree's node, a ring's, and both programs.
macro_rules! programs {
    ($pointer:ident, $trace:ident, $trees:ident, $rings:ident, $poll:path) => {
        pub(crate) fn $trees() -> u64 {
            fn tree(depth: u32) -> $pointer<$trace::Tree> {
                let (left, right) = if depth > 0 {
                    (Some(tree(depth - 1)), Some(tree(depth - 1)))
                } else {
                    (None, None)
                };
                $pointer::new($trace::Tree { left, right })
            }
            fn count(tree: &$trace::Tree) -> u64 {
                let mut nodes = 1;
                if let Some(left) = &tree.left {
                    nodes += count(left);
                }
                if let Some(right) = &tree.right {
                    nodes += count(right);
                }
                nodes
            }
            let mut nodes = count(&tree(DEPTH + 1));
            let long = tree(DEPTH);
            nodes += short_lived().map(|depth| count(&tree(depth))).sum::<u64>();
            nodes + count(&long)
        }

        pub(crate) fn $rings() -> u64 {
            fn ring(first: u64) -> $pointer<$trace::Ring> {
                let new = |next, word| {
                    $pointer::new($trace::Ring {
                        next: RefCell::new(next),
                        word,
                    })
                };
                let tail = new(None, first);
                let mut head = tail.clone();
                for position in 1..RING {
                    head = new(Some(head), first + position);
                }
                *tail.next.borrow_mut() = Some(head.clone());
                head
            }
            let mut held = Vec::new();
            let mut sum = 0u64;
            for index in 0..RINGS_HELD + RINGS_DROPPED {
                let head = ring(RING * index);
                sum = sum.wrapping_add(mix(head.word));
                if index < RINGS_HELD {
                    held.push(head);
                } else {
                    drop(head);
                    $poll();
                }
            }
            sum
        }
    };
}

mod with_dumpster {
    use super::{Gc, RefCell};

    #[derive(dumpster::Trace)]
    pub(super) struct Tree {
        pub(super) left: Option<Gc<Tree>>,
        pub(super) right: Option<Gc<Tree>>,
    }

    #[derive(dumpster::Trace)]
    pub(super) struct Ring {
        pub(super) next: RefCell<Option<Gc<Ring>>>,
        pub(super) word: u64,
    }
}

mod with_cc {
    use super::{Cc, RefCell};
    use bacon_rajan_cc::{Trace, Tracer};

    pub(super) struct Tree {
        pub(super) left: Option<Cc<Tree>>,
        pub(super) right: Option<Cc<Tree>>,
    }

    impl Trace for Tree {
        fn trace(&self, tracer: &mut Tracer) {
            self.left.trace(tracer);
            self.right.trace(tracer);
        }
    }

    pub(super) struct Ring {
        pub(super) next: RefCell<Option<Cc<Ring>>>,
        pub(super) word: u64,
    }

    impl Trace for Ring {
        fn trace(&self, tracer: &mut Tracer) {
            self.next.trace(tracer);
        }
    }
}

/// `dumpster` collects by itself.
fn nothing() {}

fn collect_if_due() {
    if number_of_roots_buffered() >= POSSIBLE_ROOTS {
        collect_cycles();
    }
}

programs!(Gc, with_dumpster, dumpster_trees, dumpster_rings, nothing);
programs!(Cc, with_cc, cc_trees, cc_rings, collect_if_due);
