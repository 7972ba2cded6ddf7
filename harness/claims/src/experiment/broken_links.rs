#![doc = include_str!("broken_links.md")]

use std::time::Duration;

use super::prelude::*;
use crate::sync::Lock;

/// See the [module documentation](self).
pub const EXPERIMENT: Experiment = Experiment {
    name: "broken-links",
    summary: "a list whose links are changed in two steps, and somebody who looks in between",
    explanation: include_str!("broken_links.md"),
    forms: &[
        Form::new(OPEN, "broken-links:interval-us=250", 2)
            .with_heaps(SHORT_INTERVAL)
            .small("milliseconds=60"),
        Form::new(LOCKED, "broken-links:locked=1,interval-us=250", 2).with_heaps(SHORT_INTERVAL),
    ],
    claims: &[
        // A thread that is suspended between the steps leaves the list broken for a whole interval;
        // what is found less than once in a thousand looks would have to be waited for.
        Claim::new("a thread is suspended between two steps: one look in 1,000 finds broken links")
            .judges(&["003.7"])
            .measured("looks that found links which disagree, no lock around the steps")
            .share(Observed(BROKEN), Observed(LOOKS), &[OPEN])
            .both(AtLeast(0.001)),
        Claim::new("with a lock around both steps at most one look in 1,000 finds broken links")
            .judges(&["003.7"])
            .measured("looks that found links which disagree, a lock around the steps and the look")
            .share(Observed(BROKEN), Observed(LOOKS), &[LOCKED])
            .both(AtMost(0.001)),
    ],
    programs: &[Program::of::<BrokenLinks>()],
};

const OPEN: &str = "no lock";
const LOCKED: &str = "locked";

const BROKEN: &str = "broken_looks_count";
const LOOKS: &str = "looks_count";

/// See the [module documentation](self).
pub struct BrokenLinks;

// Fields of a node.
const NEXT: usize = 0;
const PREVIOUS: usize = 1;

impl Workload for BrokenLinks {
    const NAME: &'static str = "broken-links";
    const SUMMARY: &'static str = "links changed in two steps by one thread, looked at by another";
    const OPERATION: &'static str = "millisecond";
    const PARAMETERS: &'static [Parameter] = &[
        Parameter::sized("milliseconds", [10, 25, 150])
            .range(1, 3_600_000)
            .doc("for how long"),
        Parameter::fixed("locked", 0)
            .range(0, 1)
            .doc("1: a lock of the program's own is held for both steps, and for a look; 0: not"),
        INTERVAL,
    ];

    fn heap_bytes(_input: &Input) -> u64 {
        16 << 20
    }

    fn run<H: Heap>(heap: &H, input: &Input) -> Result<Outcome, HeapFull> {
        let milliseconds = input.get("milliseconds");
        let length = Duration::from_millis(milliseconds);
        let lock = (input.get("locked") == 1).then(|| Lock::new(()));
        let [first, middle, last] = heap.attach(|m| {
            m.frame(|m, nodes: [_; 3]| {
                for node in nodes {
                    m.alloc(node, Shape::new(2, 0))?;
                }
                let node = |index: usize| m.get(nodes[index]).expect("it was just allocated");
                m.store(node(0), NEXT, Some(node(2)));
                m.store(node(2), PREVIOUS, Some(node(0)));
                m.store(node(1), PREVIOUS, Some(node(0)));
                m.store(node(1), NEXT, Some(node(2)));
                Ok([0, 1, 2].map(|index| m.global(node(index))))
            })
        })?;
        let start = Start::of(2);
        let seen = on_threads(heap, 2, |m, thread| {
            m.frame(|m, nodes: [_; 3]| {
                for (node, global) in nodes.into_iter().zip([&first, &middle, &last]) {
                    m.set(node, Some(m.open(global)));
                }
                let begun = start.wait(m);
                let mut seen = Seen::default();
                let mut is_linked = false;
                while begun.elapsed() < length {
                    let guard = lock.as_ref().map(|lock| lock.lock(m));
                    if thread == 0 {
                        is_linked = !is_linked;
                        put(m, nodes, is_linked);
                    } else {
                        seen.looks += 1;
                        seen.broken +=
                            u64::from(m.get(nodes[0]).is_some_and(|first| is_broken(m, first)));
                    }
                    drop(guard);
                    m.safepoint();
                }
                Ok(seen)
            })
        })?;
        Ok(Outcome::new(mix(milliseconds), milliseconds)
            .observing([(LOOKS, seen[1].looks), (BROKEN, seen[1].broken)]))
    }
}

/// What the thread saw that looks.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    looks: u64,
    broken: u64,
}

/// Puts the middle node between the others, or takes it out: two links are to be changed, and
/// between the two the thread may be suspended.
fn put<M: Mutator>(m: &mut M, [first, middle, last]: [M::Local<'_>; 3], is_in: bool) {
    if let Some(first) = m.get(first) {
        m.store(first, NEXT, if is_in { m.get(middle) } else { m.get(last) });
    }
    m.safepoint();
    if let Some(last) = m.get(last) {
        m.store(
            last,
            PREVIOUS,
            if is_in { m.get(middle) } else { m.get(first) },
        );
    }
}

/// Whether a node's successor does not know it as its predecessor, from the first node on.
fn is_broken<'m, M: Mutator>(m: &'m M, first: M::Ref<'m>) -> bool {
    let mut node = first;
    while let Some(next) = m.load(node, NEXT) {
        if m.load(next, PREVIOUS) != Some(node) {
            return true;
        }
        node = next;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trial::Trial;

    /// Whether a look comes between the steps is the system's to say, so that is planted.
    #[test]
    fn links_break_between_two_steps_and_not_under_a_lock() {
        let mut trial = Trial::of("broken-links");
        trial.observed(LOCKED, BOTH, LOOKS, 100_000);
        trial.observed(OPEN, BOTH, LOOKS, 100_000);
        trial.observed(OPEN, BOTH, BROKEN, 3_000);
        trial.holds(0..2);
        trial.observed(OPEN, BOTH, BROKEN, 0);
        trial.observed(LOCKED, BOTH, BROKEN, 3_000);
        trial.fails(0..2);
    }

    /// With a lock no look is ever in between, whatever the schedule.
    #[test]
    fn a_lock_keeps_the_links_whole() {
        for row in Trial::of("broken-links").rows() {
            if row.invocation.parameters["locked"] == 1 {
                assert_eq!(row.metrics.as_ref().unwrap().observations[BROKEN], 0);
            }
        }
    }
}
