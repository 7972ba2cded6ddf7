//! The objects under examination, what is found unreachable among them, and the memory that is set
//! aside for both.

use std::cell::{Cell, RefCell};

use crate::block::{Block, side_byte};
use crate::cycle::ahead::{IN_FLIGHT, Spread, ask_for_children};
use crate::cycle::{YOUNG, bits, is_alive, is_candidate, is_tracked_object};
use crate::object::{HEADER_BYTES, Object, prefetch};
use crate::room;

/// How many blocks ahead of the one at hand a search for sparse candidates asks for the side bytes
/// that it will look at.
const BLOCKS_AHEAD: usize = 2;

/// How many bytes ahead of the cell at hand a sweep asks the cache for. The processor sees that
/// addresses fall, but not far enough ahead.
const AHEAD: usize = 1536;

/// The objects under examination.
#[derive(Default)]
pub(crate) struct Candidates {
    /// Blocks with candidates, by falling address, and the stretches of side bytes to look at.
    pub(crate) blocks: Vec<(Block, u64)>,
    /// Where they are sparse: the cells there that had candidates' side bytes at first, by falling
    /// address. Else they are found where they are.
    listed: Option<Vec<Object>>,
    /// Candidates that are looked at one by one: large ones, or all of a small set.
    pub(crate) others: Vec<Object>,
    /// Whether the cache is to be asked ahead for what a walk needs ([`ahead`]).
    pub(crate) scattered: bool,
}

impl Candidates {
    /// Candidates in blocks and others.
    pub(crate) fn new(blocks: Vec<(Block, u64)>, others: Vec<Object>, spread: Spread) -> Self {
        let mut candidates = Self {
            blocks,
            listed: None,
            others,
            scattered: spread != Spread::Dense,
        };
        if spread == Spread::Sparse {
            candidates.list();
        }
        candidates
    }

    /// Candidates that are looked at one by one.
    pub(crate) fn one_by_one(others: Vec<Object>, scattered: bool) -> Self {
        Self {
            others,
            scattered,
            ..Self::default()
        }
    }

    /// Lists the candidates in blocks, if there is memory for that.
    fn list(&mut self) {
        let mut listed = Vec::new();
        let complete = (self.blocks.iter().enumerate()).all(|(index, &(block, stretches))| {
            if let Some(&(block, stretches)) = self.blocks.get(index + BLOCKS_AHEAD) {
                block.prefetch(stretches);
            }
            block.each_positive::<false>(stretches, |cell| {
                // The line of the header, and that of the first fields.
                cell.prefetch();
                prefetch(cell.raw().wrapping_add(HEADER_BYTES));
                room::push(&mut listed, cell)
            })
        });
        self.listed = complete.then_some(listed);
    }

    /// Words of scratch memory.
    pub(crate) fn scratch(&self) -> usize {
        self.listed.as_ref().map_or(0, Vec::capacity) + self.others.capacity()
    }

    /// Calls `f` with every cell in a block that has a candidate's side byte, and that byte, by
    /// falling or by rising address, until it returns false. Returns whether it never did.
    #[inline(always)]
    pub(crate) fn each_in_blocks<const RISING: bool>(
        &self,
        f: impl FnMut(Object, &Cell<u8>) -> bool,
    ) -> bool {
        if let Some(listed) = &self.listed {
            Self::each_listed::<RISING>(listed, f)
        } else if self.scattered {
            self.each_far::<RISING>(f)
        } else {
            self.each_dense::<RISING>(f)
        }
    }

    /// [`each_in_blocks`](Self::each_in_blocks), where most cells are candidates and refer to what
    /// lies near.
    #[inline(always)]
    fn each_dense<const RISING: bool>(&self, mut f: impl FnMut(Object, &Cell<u8>) -> bool) -> bool {
        let mut in_block = |&(block, stretches): &(Block, u64)| {
            block.each_cell::<RISING>(stretches, |cell, side| {
                prefetch(if RISING {
                    cell.raw().wrapping_add(AHEAD)
                } else {
                    cell.raw().wrapping_sub(AHEAD)
                });
                // One byte at a time: the side bytes ahead have just been written, one at a time.
                !is_candidate(side.get()) || f(cell, side)
            })
        };
        if RISING {
            self.blocks.iter().rev().all(&mut in_block)
        } else {
            self.blocks.iter().all(&mut in_block)
        }
    }

    /// [`each_in_blocks`](Self::each_in_blocks), where the candidates are listed.
    #[inline(never)]
    fn each_listed<const RISING: bool>(
        listed: &[Object],
        mut f: impl FnMut(Object, &Cell<u8>) -> bool,
    ) -> bool {
        let at = |index: usize| {
            let index = if RISING {
                listed.len().checked_sub(index + 1)?
            } else {
                index
            };
            listed.get(index).copied()
        };
        (0..listed.len())
            .filter_map(at)
            .enumerate()
            .all(|(index, object)| {
                if let Some(later) = at(index + 2 * IN_FLIGHT) {
                    later.prefetch();
                }
                if let Some(later) = at(index + IN_FLIGHT)
                    && is_tracked_object(later)
                {
                    ask_for_children::<false>(later);
                }
                let side = side_byte(object);
                !is_candidate(side.get()) || f(object, side)
            })
    }

    /// [`each_in_blocks`](Self::each_in_blocks), where most cells are candidates and refer far: the
    /// walk asks for what a candidate refers to when it comes by, and calls `f` with it some
    /// candidates later.
    #[inline(never)]
    fn each_far<const RISING: bool>(&self, mut f: impl FnMut(Object, &Cell<u8>) -> bool) -> bool {
        let mut queue = [None; IN_FLIGHT];
        let mut next = 0;
        let mut serve = |object: Object| f(object, side_byte(object));
        let finished = self.each_dense::<RISING>(|cell, _| {
            if is_tracked_object(cell) {
                ask_for_children::<false>(cell);
            }
            let due = queue[next].replace(cell);
            next = (next + 1) % IN_FLIGHT;
            due.is_none_or(&mut serve)
        });
        finished && {
            // The oldest first.
            queue.rotate_left(next);
            queue.into_iter().flatten().all(serve)
        }
    }

    /// As [`each_in_blocks`](Self::each_in_blocks), by falling address, for an `f` that looks at
    /// the header only, and may take from its cell that it is a candidate.
    #[inline(always)]
    pub(crate) fn each_header(&self, mut f: impl FnMut(Object, &Cell<u8>)) {
        if let Some(listed) = &self.listed {
            // Headers have been asked for when they were listed.
            listed
                .iter()
                .for_each(|&object| f(object, side_byte(object)));
        } else {
            self.each_dense::<false>(|cell, side| {
                f(cell, side);
                true
            });
        }
    }

    /// Calls `f` with every candidate and its side byte.
    pub(crate) fn each(&self, mut f: impl FnMut(Object, &Cell<u8>)) {
        self.each_in_blocks::<false>(|object, side| {
            f(object, side);
            true
        });
        for &object in &self.others {
            f(object, side_byte(object));
        }
    }

    /// Whether there are candidates that nothing is known to reach, after subtraction.
    pub(crate) fn any_unreached(&self) -> bool {
        let unreached = |&object: &Object| side_byte(object).get() == YOUNG;
        if let Some(listed) = &self.listed {
            return listed.iter().chain(&self.others).any(unreached);
        }
        let in_stretch = |(block, stretch): (Block, u32)| {
            // All of them: in words that the compiler makes vectors of.
            let bytes = block.side_bytes_in(stretch).iter();
            bytes.fold(false, |any, byte| any | (byte.get() == YOUNG))
        };
        let blocks = self.blocks.iter();
        let mut stretches = blocks
            .flat_map(|&(block, stretches)| bits(stretches).map(move |stretch| (block, stretch)));
        stretches.any(in_stretch) || self.others.iter().any(unreached)
    }

    /// Gives the listed candidates that are alive the side byte `survives`, and adds the others to
    /// `trash`, in the order in which they would be found in their blocks. Returns whether there is
    /// a list; it is none any more.
    pub(crate) fn divide_listed(&mut self, survives: u8, trash: &mut Trash) -> bool {
        let Some(listed) = self.listed.take() else {
            return false;
        };
        for object in listed {
            let side = side_byte(object);
            if side.get() == YOUNG {
                trash.add(object);
            } else if is_alive(side.get()) {
                side.set(survives);
            }
        }
        trash.listed.sort_unstable_by_key(|&object| {
            (std::cmp::Reverse(Block::of(object)), object.address())
        });
        true
    }
}

/// Objects that the stack of the search always has room for, in a heap of [`LEAST_STACK`] /
/// [`STACK_OF_BLOCK`] blocks or more.
const LEAST_STACK: usize = 4096;
/// How many of these a block, or a large object, adds.
const STACK_OF_BLOCK: usize = 64;

/// Room that is set aside for collections: an entry for each block in use and for each large
/// object, and a short stack.
#[derive(Default)]
pub(crate) struct Scratch {
    candidates: RefCell<Candidates>,
    pub(crate) stack: RefCell<Vec<Object>>,
}

impl Scratch {
    /// Sees to it that so many blocks and large objects can be candidates. Returns whether there
    /// was memory for that.
    pub(crate) fn set_aside(&self, blocks: usize, large: usize) -> bool {
        let mut candidates = self.candidates.borrow_mut();
        room::set_aside(&mut candidates.blocks, blocks)
            && room::set_aside(&mut candidates.others, large)
            && room::set_aside(&mut *self.stack.borrow_mut(), Self::stack_of(blocks, large))
    }

    /// Gives back what so many do not need.
    pub(crate) fn fit(&self, blocks: usize, large: usize) {
        let mut candidates = self.candidates.borrow_mut();
        room::fit(&mut candidates.blocks, blocks);
        room::fit(&mut candidates.others, large);
        room::fit(&mut *self.stack.borrow_mut(), Self::stack_of(blocks, large));
    }

    /// Objects that the stack of the search has room for.
    pub(crate) fn stack_of(blocks: usize, large: usize) -> usize {
        LEAST_STACK.min(STACK_OF_BLOCK * (blocks + large))
    }

    /// Bytes of the stack.
    pub(crate) fn bytes(&self) -> usize {
        self.stack.borrow().capacity() * size_of::<Object>()
    }

    /// No candidates, with room for all.
    pub(crate) fn take(&self) -> Candidates {
        self.candidates.take()
    }

    pub(crate) fn put_back(&self, mut candidates: Candidates) {
        candidates.listed = None;
        candidates.blocks.clear();
        candidates.others.clear();
        self.candidates.replace(candidates);
    }
}

/// What a collection found unreachable: the candidates whose side bytes are [`YOUNG`].
pub(crate) struct Trash {
    pub(crate) listed: Vec<Object>,
    /// Whether all of it is listed. If not, it is found among these.
    pub(crate) complete: bool,
    pub(crate) among: Candidates,
    pub(crate) objects: u64,
}

impl Trash {
    /// Nothing yet, among these candidates.
    pub(crate) fn new(among: Candidates) -> Self {
        Self {
            listed: Vec::new(),
            complete: true,
            among,
            objects: 0,
        }
    }

    pub(crate) fn add(&mut self, object: Object) {
        self.objects += 1;
        if self.complete && !room::push(&mut self.listed, object) {
            self.complete = false;
            self.listed = Vec::new();
        }
    }

    /// Calls `f` with each object, whose side byte it may change.
    pub(crate) fn each(&self, mut f: impl FnMut(Object)) {
        if self.complete {
            self.listed.iter().copied().for_each(f);
        } else {
            self.among.each(|object, side| {
                if side.get() == YOUNG {
                    f(object);
                }
            });
        }
    }
}
