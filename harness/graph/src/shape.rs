//! What can be said of a graph without a collector.
//!
//! All of it is of the objects that roots reach by references that are not weak: what else a dump
//! has is garbage that had not been collected.
//!
//! Cost: some passes over the graph, and about twenty bytes an object meanwhile.

use crate::file::Graph;

/// The shape of a graph.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shape {
    /// Objects that roots reach.
    pub objects: u64,
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
    /// Objects that lie on a cycle: counting alone never frees them.
    pub cyclic: u64,
    /// Groups of objects that all reach each other: the cycles that are cycles of their own.
    pub cycles: u64,
    /// Objects of the largest of these groups.
    pub largest_cycle: u64,
    /// Objects that more than one reference leads to.
    pub shared: u64,
    /// References to the object that most lead to.
    pub most_referred: u64,
    /// References to an object that only one in a thousand exceeds.
    pub referred_p999: u64,
    /// Fields of the objects that have most, the largest first, at most five.
    pub widest: Vec<u64>,
}

/// Not visited.
const NEW: u32 = u32::MAX;

impl Shape {
    /// Looks at a graph.
    pub fn of(graph: &Graph) -> Self {
        let mut shape = Self::default();
        let (order, levels) = reachable(graph);
        shape.depth = levels;
        shape.objects = order.len() as u64;
        shape.garbage = graph.objects() as u64 - shape.objects;
        let mut referred = vec![0u32; graph.objects()];
        for &object in &order {
            let object = object as usize;
            for reference in graph.of(object) {
                if reference.weak {
                    shape.weak += 1;
                } else {
                    shape.references += 1;
                    referred[reference.to] = referred[reference.to].saturating_add(1);
                }
            }
            let fields = graph.fields(object) as u64;
            shape.fields += fields;
            shape.payload_bytes += 8 * graph.words(object) as u64;
            shape.widest.push(fields);
            if shape.widest.len() > 64 {
                keep_largest(&mut shape.widest);
            }
        }
        keep_largest(&mut shape.widest);
        let mut counts: Vec<u32> = order
            .iter()
            .map(|&object| referred[object as usize])
            .collect();
        shape.shared = counts.iter().filter(|&&count| count > 1).count() as u64;
        if let Some(last) = counts.len().checked_sub(1) {
            let (_, &mut count, rest) = counts.select_nth_unstable(last - last / 1000);
            shape.referred_p999 = u64::from(count);
            shape.most_referred = u64::from(rest.iter().copied().max().unwrap_or(0).max(count));
        }
        shape.find_cycles(graph, &order);
        shape
    }

    /// Strongly connected components, by Tarjan's algorithm (SIAM Journal on Computing 1, 1972),
    /// with a stack of its own: graphs are deep.
    fn find_cycles(&mut self, graph: &Graph, order: &[u32]) {
        // The number of an object in the order of visits; past all if its component is known.
        const KNOWN: u32 = u32::MAX - 1;
        let mut number = vec![NEW; graph.objects()];
        let mut lowest = vec![0u32; graph.objects()];
        let mut component = Vec::new();
        // Objects on the way, and how many of their references have been followed.
        let mut way: Vec<(u32, u32)> = Vec::new();
        let mut next = 0;
        for &start in order {
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
                let mut references = graph.of(at).skip(*followed as usize);
                if let Some(reference) = references.next() {
                    *followed += 1;
                    let to = reference.to;
                    if reference.weak {
                        continue;
                    }
                    match number[to] {
                        NEW => way.push((to as u32, 0)),
                        KNOWN => {}
                        earlier => lowest[at] = lowest[at].min(earlier),
                    }
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
                        self.cycles += 1;
                        self.cyclic += size;
                        self.largest_cycle = self.largest_cycle.max(size);
                    }
                }
            }
        }
    }
}

fn keep_largest(fields: &mut Vec<u64>) {
    fields.sort_unstable_by(|a, b| b.cmp(a));
    fields.truncate(5);
}

/// The objects that roots reach, breadth first, and how many steps away the last ones are.
pub(crate) fn reachable(graph: &Graph) -> (Vec<u32>, u64) {
    let mut seen = vec![false; graph.objects()];
    let mut order: Vec<u32> = Vec::new();
    for &root in graph.roots() {
        if !std::mem::replace(&mut seen[root as usize], true) {
            order.push(root);
        }
    }
    let (mut begin, mut levels) = (0, 0);
    while begin < order.len() {
        let end = order.len();
        for at in begin..end {
            for reference in graph.of(order[at] as usize) {
                if !reference.weak && !std::mem::replace(&mut seen[reference.to], true) {
                    order.push(reference.to as u32);
                }
            }
        }
        levels += u64::from(order.len() > end);
        begin = end;
    }
    (order, levels)
}
