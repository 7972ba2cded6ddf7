//! What can be said of a graph without a collector.
//!
//! All of it is of the objects that roots reach by references that are not weak: what else a dump
//! has is garbage that had not been collected.
//!
//! Cost: two searches from the roots, each in a thread of its own, and about thirty bytes an object
//! meanwhile. What is kept does not grow with the graph.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::file::Graph;

/// The shape of a graph.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shape {
    /// Objects that roots reach.
    pub objects: u64,
    /// Those of them that roots refer to.
    pub roots: u64,
    /// Their references to each other, weak ones left out.
    pub references: u64,
    /// Their weak references.
    pub weak: u64,
    /// Their reference fields, null ones included.
    pub fields: u64,
    /// Their payload beside those, in bytes.
    pub payload_bytes: u64,
    /// Objects that nothing reaches.
    pub garbage: u64,
    /// The longest of the shortest ways from a root to an object, in references: how many steps a
    /// search from the roots takes one after another, however many threads it has.
    pub depth: u64,
    /// Within how many references of a root half of the objects are.
    pub half_depth: u64,
    /// Objects by their distance from the roots.
    pub levels: Levels,
    /// Objects that lie on a cycle: counting alone never frees them.
    pub cyclic: u64,
    /// Groups of objects that all reach each other: the cycles that are cycles of their own.
    pub cycles: u64,
    /// Objects of the largest of these groups.
    pub largest_cycle: u64,
    /// The groups by how many objects they have.
    pub groups: Histogram,
    /// Objects that more than one reference leads to.
    pub shared: u64,
    /// References to the object that most lead to.
    pub most_referred: u64,
    /// References to an object that only one in a thousand exceeds.
    pub referred_p999: u64,
    /// Objects by how many references lead to them.
    pub referred: Histogram,
    /// Objects by how many references they have that are not weak.
    pub referring: Histogram,
    /// The most references of an object that are not weak.
    pub most_referring: u64,
    /// Objects by their bytes: 8 for each field, and the payload.
    pub sizes: Histogram,
    /// Fields of the objects that have most, the largest first, at most [`LARGEST`].
    pub widest: Vec<u64>,
    /// Payload bytes of the objects that have most, the largest first, at most [`LARGEST`].
    pub heaviest: Vec<u64>,
}

/// Of the largest objects so many are told.
pub const LARGEST: usize = 10;

/// How many values lie between one power of two and the next, and what they come to. Zeros are
/// apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Histogram(Vec<Bin>);

/// The values from one power of two on and below the next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bin {
    /// How many.
    pub count: u64,
    /// Their sum.
    pub sum: u64,
}

impl Histogram {
    #[inline]
    fn add(&mut self, value: u64) {
        let at = (u64::BITS - value.leading_zeros()) as usize;
        if self.0.len() <= at {
            self.0.resize(at + 1, Bin::default());
        }
        self.0[at].count += 1;
        self.0[at].sum += value;
    }

    /// Each bin up to the last that is not empty, with its least value: 0, 1, 2, 4, 8 and so on.
    pub fn bins(&self) -> impl Iterator<Item = (u64, Bin)> + '_ {
        let least = |at: usize| at.checked_sub(1).map_or(0, |power| 1 << power);
        let bins = self.0.iter().enumerate();
        bins.map(move |(at, &bin)| (least(at), bin))
    }

    /// For each bin, its least value and how many values are at least that.
    pub fn at_least(&self) -> Vec<(u64, u64)> {
        let mut count = 0;
        let mut above: Vec<(u64, u64)> =
            self.bins().map(|(least, bin)| (least, bin.count)).collect();
        for (_, bin) in above.iter_mut().rev() {
            count += *bin;
            *bin = count;
        }
        above
    }
}

/// Objects by their distance from the roots: those at distances from 0 to below [`Self::width`],
/// from there to below twice that, and so on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Levels {
    /// Distances that are taken together, at least 1.
    pub width: u64,
    /// The objects of each, at most [`Levels::MOST`].
    pub objects: Vec<u64>,
}

impl Levels {
    /// More would be finer than a drawing is.
    pub const MOST: usize = 60;

    /// Of the ends of the levels among all objects in their order.
    fn of(ends: &[u32]) -> Self {
        let width = ends.len().div_ceil(Self::MOST).max(1);
        let mut before = 0;
        let parts = ends.chunks(width).map(|part| {
            let end = part[part.len() - 1];
            u64::from(end - std::mem::replace(&mut before, end))
        });
        let objects = parts.collect();
        Self {
            width: width as u64,
            objects,
        }
    }
}

/// The largest of what it was given.
#[derive(Default)]
struct Largest(BinaryHeap<Reverse<u64>>);

impl Largest {
    #[inline]
    fn add(&mut self, value: u64) {
        if self.0.len() < LARGEST {
            self.0.push(Reverse(value));
        } else if self.0.peek().is_some_and(|least| least.0 < value) {
            self.0.pop();
            self.0.push(Reverse(value));
        }
    }

    fn falling(self) -> Vec<u64> {
        let values = self.0.into_sorted_vec();
        values.into_iter().map(|value| value.0).collect()
    }
}

/// Not visited.
const NEW: u32 = u32::MAX;

impl Shape {
    /// Looks at a graph.
    pub fn of(graph: &Graph) -> Self {
        // The two have nothing in common but the graph; the first is the longer.
        std::thread::scope(|scope| {
            let cycles = scope.spawn(|| Cycles::of(graph));
            let mut shape = Self::without_cycles(graph);
            match cycles.join() {
                Ok(Cycles {
                    cyclic,
                    largest,
                    groups,
                }) => {
                    shape.cyclic = cyclic;
                    shape.cycles = groups.bins().map(|(_, bin)| bin.count).sum();
                    shape.largest_cycle = largest;
                    shape.groups = groups;
                }
                Err(panic) => std::panic::resume_unwind(panic),
            }
            shape
        })
    }

    fn without_cycles(graph: &Graph) -> Self {
        let mut shape = Self::default();
        let (order, levels) = levels(graph);
        shape.depth = (levels.len() as u64).saturating_sub(1);
        let half = order.len().div_ceil(2);
        shape.half_depth = levels.partition_point(|&end| (end as usize) < half) as u64;
        shape.levels = Levels::of(&levels);
        shape.roots = levels.first().copied().unwrap_or(0).into();
        drop(levels);
        shape.objects = order.len() as u64;
        shape.garbage = graph.objects() as u64 - shape.objects;
        let mut referred = vec![0u32; graph.objects()];
        let (mut widest, mut heaviest) = (Largest::default(), Largest::default());
        for &object in &order {
            let object = object as usize;
            let mut strong = 0;
            for reference in graph.of(object) {
                if reference.weak {
                    shape.weak += 1;
                } else {
                    strong += 1;
                    referred[reference.to] = referred[reference.to].saturating_add(1);
                }
            }
            shape.references += strong;
            shape.referring.add(strong);
            shape.most_referring = shape.most_referring.max(strong);
            let fields = graph.fields(object) as u64;
            let payload = 8 * graph.words(object) as u64;
            shape.fields += fields;
            shape.payload_bytes += payload;
            shape.sizes.add(8 * fields + payload);
            widest.add(fields);
            heaviest.add(payload);
        }
        shape.widest = widest.falling();
        shape.heaviest = heaviest.falling();
        // What nothing reaches refers to nothing here, and no reference of an object leads to it.
        let mut counts = order;
        for object in &mut counts {
            *object = referred[*object as usize];
            shape.referred.add(u64::from(*object));
            shape.shared += u64::from(*object > 1);
        }
        if let Some(last) = counts.len().checked_sub(1) {
            let (_, &mut count, rest) = counts.select_nth_unstable(last - last / 1000);
            shape.referred_p999 = u64::from(count);
            shape.most_referred = u64::from(rest.iter().copied().max().unwrap_or(0).max(count));
        }
        shape
    }
}

/// What of a graph lies on cycles.
#[derive(Default)]
struct Cycles {
    cyclic: u64,
    largest: u64,
    groups: Histogram,
}

impl Cycles {
    /// Strongly connected components, by Tarjan's algorithm (SIAM Journal on Computing 1, 1972),
    /// with a stack of its own: graphs are deep.
    fn of(graph: &Graph) -> Self {
        // The number of an object in the order of visits; past all if its component is known.
        const KNOWN: u32 = u32::MAX - 1;
        let mut this = Self::default();
        let mut number = vec![NEW; graph.objects()];
        let mut lowest = vec![0u32; graph.objects()];
        let mut component = Vec::new();
        // Objects on the way, and how many of their references have been followed.
        let mut way: Vec<(u32, u32)> = Vec::new();
        let mut next = 0;
        for &start in graph.roots() {
            if number[start as usize] != NEW {
                continue;
            }
            way.push((start, 0));
            while let Some(&mut (object, ref mut followed)) = way.last_mut() {
                let at = object as usize;
                if *followed == 0 && number[at] == NEW {
                    number[at] = next;
                    lowest[at] = next;
                    next += 1;
                    component.push(object);
                }
                let mut deeper = None;
                for reference in graph.beyond(at, *followed as usize) {
                    *followed += 1;
                    let to = reference.to;
                    if reference.weak {
                        continue;
                    }
                    match number[to] {
                        // What refers to nothing is on no cycle; that is most of many heaps.
                        NEW if graph.of(to).len() == 0 => number[to] = KNOWN,
                        NEW => {
                            deeper = Some(to as u32);
                            break;
                        }
                        KNOWN => {}
                        earlier => lowest[at] = lowest[at].min(earlier),
                    }
                }
                if let Some(to) = deeper {
                    way.push((to, 0));
                    continue;
                }
                way.pop();
                if let Some(&(above, _)) = way.last() {
                    let above = above as usize;
                    lowest[above] = lowest[above].min(lowest[at]);
                }
                if lowest[at] == number[at] {
                    let mut size = 0;
                    while let Some(member) = component.pop() {
                        number[member as usize] = KNOWN;
                        size += 1;
                        if member == object {
                            break;
                        }
                    }
                    let refers_to_itself = || {
                        graph
                            .of(at)
                            .any(|reference| reference.to == at && !reference.weak)
                    };
                    if size > 1 || refers_to_itself() {
                        this.groups.add(size);
                        this.cyclic += size;
                        this.largest = this.largest.max(size);
                    }
                }
            }
        }
        this
    }
}

/// The objects that roots reach, breadth first.
pub(crate) fn reachable(graph: &Graph) -> Vec<u32> {
    levels(graph).0
}

/// The objects that roots reach, breadth first, and where among them those of each distance end.
fn levels(graph: &Graph) -> (Vec<u32>, Vec<u32>) {
    let mut seen = vec![false; graph.objects()];
    let mut order: Vec<u32> = Vec::new();
    for &root in graph.roots() {
        if !std::mem::replace(&mut seen[root as usize], true) {
            order.push(root);
        }
    }
    let (mut begin, mut ends) = (0, Vec::new());
    while begin < order.len() {
        let end = order.len();
        ends.push(end as u32);
        for at in begin..end {
            for reference in graph.of(order[at] as usize) {
                if !reference.weak && !std::mem::replace(&mut seen[reference.to], true) {
                    order.push(reference.to as u32);
                }
            }
        }
        begin = end;
    }
    (order, ends)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_counted_by_powers_of_two() {
        let mut histogram = Histogram::default();
        [0, 1, 2, 3, 4, 7, 9]
            .into_iter()
            .for_each(|value| histogram.add(value));
        let bins: Vec<_> = (histogram.bins())
            .map(|(least, bin)| (least, bin.count, bin.sum))
            .collect();
        assert_eq!(
            bins,
            [(0, 1, 0), (1, 1, 1), (2, 2, 5), (4, 2, 11), (8, 1, 9)]
        );
        let above = [(0, 7), (1, 6), (2, 5), (4, 3), (8, 1)];
        assert_eq!(histogram.at_least(), above);
        assert_eq!(Histogram::default().at_least(), []);
    }

    #[test]
    fn distances_are_taken_together_where_they_are_many() {
        let ends: Vec<u32> = (1..=150).collect();
        let levels = Levels::of(&ends);
        assert_eq!((levels.width, levels.objects.len()), (3, 50));
        assert!(levels.objects.iter().all(|&objects| objects == 3));
        assert_eq!(Levels::of(&[2, 7]).objects, [2, 5]);
        assert!(Levels::of(&[]).objects.is_empty());
    }
}
