#![doc = include_str!("sharing.md")]

use super::free_threading::build;
use super::prelude::*;
use super::processors;
use crate::sync::BoundedQueue;
use crate::workload::twice;

/// See the [module documentation](self).
pub const EXPERIMENT: Experiment = Experiment {
    name: "sharing",
    summary: "two threads that share nothing, read the same, count the same, hand over, write",
    explanation: include_str!("sharing.md"),
    forms: &[
        processors::FORM,
        rung(OWN, "sharing:turns=8"),
        rung(OWN_UNROOTED, "sharing:turns=8,unrooted=1"),
        rung(READ, "sharing:turns=4,shared=1"),
        rung(READ_UNROOTED, "sharing:turns=8,shared=1,unrooted=1"),
        rung(HOT, "sharing:turns=4,shared=2"),
        rung(HOT_UNROOTED, "sharing:turns=8,shared=2,unrooted=1"),
        rung(HANDED, "sharing:turns=6,shared=3"),
        rung(WRITTEN, "sharing:turns=4,shared=4"),
        rung(WRITTEN_UNROOTED, "sharing:turns=4,shared=4,unrooted=1"),
    ],
    claims: &[
        gains(
            "threads that share nothing gain from a second processor",
            OWN,
        ),
        gains(
            "threads that share nothing, and put no read in a local, gain from a second processor",
            OWN_UNROOTED,
        ),
        Claim::new("threads that put the same objects in locals gain nothing if each is counted")
            .ours()
            .measured(MEASURED)
            .value(ALL_TO_ONE, READ)
            .controlled(&processors::TO_LOSE)
            .unlocked(AtLeast(0.95)),
        Claim::new("threads that put the same objects in locals gain if nothing is counted")
            .ours()
            .measured(MEASURED)
            .value(ALL_TO_ONE, READ)
            .controlled(&processors::TO_GAIN)
            .tracing(AtMost(0.75)),
        Claim::new("threads that put the same objects in locals gain if these counts are put off")
            .ours()
            .measured(MEASURED)
            .value(ALL_TO_ONE, READ)
            .controlled(&processors::TO_GAIN)
            .deferring(AtMost(0.75)),
        gains(
            "threads that read the same objects, and put none in a local, gain from a second \
             processor",
            READ_UNROOTED,
        ),
        Claim::new("threads that put one object in locals gain nothing if it is counted")
            .ours()
            .measured(MEASURED)
            .value(ALL_TO_ONE, HOT)
            .controlled(&processors::TO_LOSE)
            .unlocked(AtLeast(0.95)),
        Claim::new("threads that put one object in locals gain if nothing is counted")
            .ours()
            .measured(MEASURED)
            .value(ALL_TO_ONE, HOT)
            .controlled(&processors::TO_GAIN)
            .tracing(AtMost(0.75)),
        Claim::new("threads that put one object in locals gain if its counts are put off")
            .ours()
            .measured(MEASURED)
            .value(ALL_TO_ONE, HOT)
            .controlled(&processors::TO_GAIN)
            .deferring(AtMost(0.75)),
        gains(
            "threads that read one object, and put it in no local, gain from a second processor",
            HOT_UNROOTED,
        ),
        gains(
            "threads that hand each other the objects they make gain from a second processor",
            HANDED,
        ),
        gains(
            "threads that replace the objects of one table gain from a second processor",
            WRITTEN,
        ),
        gains(
            "threads that replace the objects of one table, and put no read in a local, gain from \
             a second processor",
            WRITTEN_UNROOTED,
        ),
    ],
    programs: &[Program::of::<Sharing>()],
};

const OWN: &str = "nothing shared";
const OWN_UNROOTED: &str = "nothing shared, unrooted";
const READ: &str = "shared and only read";
const READ_UNROOTED: &str = "shared and only read, unrooted";
const HOT: &str = "one hot object";
const HOT_UNROOTED: &str = "one hot object, unrooted";
const HANDED: &str = "handed over";
const WRITTEN: &str = "a table that is written";
const WRITTEN_UNROOTED: &str = "a table that is written, unrooted";

const MEASURED: &str = "time of two threads / of one, fastest turns";

/// A rung of the ladder, on every heap.
const fn rung(name: &'static str, workload: &'static str) -> Form {
    let form = Form::new(name, workload, 2);
    form.with_heaps(EVERY_AND_DEFERRED).of_claims_only()
}

/// What is expected of threads that run freely, however memory is managed: less than three quarters
/// of the time, as in the experiment scaling.
const fn gains(statement: &'static str, form: &'static str) -> Claim {
    Claim::new(statement)
        .ours()
        .measured(MEASURED)
        .value(ALL_TO_ONE, form)
        .controlled(&processors::TO_GAIN)
        .unlocked(AtMost(0.75))
        .tracing(AtMost(0.75))
}

/// The program: see the [module documentation](self).
///
/// The operations are split over the threads. On a table of nodes, which is each thread's own or
/// all threads' (`shared`), an operation of a thread
///
/// * 0, 1: draws a node, and reads its word and that of the node it refers to, each put in a local;
/// * 2: the same of one fixed node and itself, however many threads there are;
/// * 3: makes a node; 64 of them in a chain are put in the queue of the next thread, and as many of
///   the one before are taken, read, and dropped;
/// * 4: makes a node that takes the place of one that is drawn, and puts another one in a local.
///
/// With `unrooted`, what is read is put in no local. Every node has the word 1, so that what is
/// read in a table that others write does not depend on when: the checksum is of how many were
/// read.
pub struct Sharing;

/// Nodes of a chain that is handed over.
const CHAIN: u64 = 64;
/// Chains that a queue has room for, and how many a thread may be ahead of the one before it: half
/// as many, so that never all of them wait for room.
const ROOM: usize = 16;
const AHEAD: u64 = 8;

impl Workload for Sharing {
    const NAME: &'static str = "sharing";
    const SUMMARY: &'static str = "threads that share nothing, read, count, hand over or write";
    const OPERATION: &'static str = "operation";
    const PARAMETERS: &'static [Parameter] = &[
        Parameter::fixed("shared", 0).range(0, 4).doc(
            "0: nothing; 1: a table that is read; 2: one node; 3: nodes that are handed over; 4: a \
             table that is written",
        ),
        Parameter::fixed("unrooted", 0)
            .range(0, 1)
            .doc("1: what is read is put in no local; 0: it is"),
        Parameter::sized("operations", [2_000, 400_000, 1_500_000])
            .range(1, 1_000_000_000_000)
            .doc("over all threads"),
        Parameter::sized("nodes", [100, 1_000, 1_000])
            .range(1, 1_000_000)
            .doc("nodes of a table"),
        TURNS,
    ];

    fn heap_bytes(input: &Input) -> u64 {
        // Room for chains that wait, and for what is dead and not reclaimed yet.
        let tables = 64 * input.get("nodes") * input.threads as u64;
        twice(tables, input.threads) + (16 << 20)
    }

    fn run<H: Heap>(heap: &H, input: &Input) -> Result<Outcome, HeapFull> {
        in_turns(heap, input, |heap, input| {
            let sums = match input.get("shared") {
                3 => hand_over(heap, input),
                _ => visit(heap, input),
            }?;
            let operations = input.get("operations");
            Ok(Outcome::new(digest([sums, operations]), operations))
        })
    }
}

/// Has each thread do its part on tables, and adds up what was read.
fn visit<H: Heap>(heap: &H, input: &Input) -> Result<u64, HeapFull> {
    let nodes = input.get("nodes");
    let is_unrooted = input.get("unrooted") != 0;
    let shared = input.get("shared");
    let table_of_all = heap.attach(|m| {
        m.frame(|m, [table]| {
            build(m, table, nodes, |_| 1)?;
            Ok(m.get(table).map(|table| m.global(table)))
        })
    })?;
    let table_of_all = table_of_all.expect("it was just made");
    let start = Start::of(input.threads);
    let sums = on_threads(heap, input.threads, |m, thread| {
        m.frame(|m, [table]| {
            let built = match shared {
                0 => build(m, table, nodes, |_| 1),
                _ => {
                    m.set(table, Some(m.open(&table_of_all)));
                    Ok(())
                }
            };
            // Also a thread that has no table: the others wait for it.
            start.wait(m);
            built?;
            let mine = share(input.get("operations"), input.threads, thread);
            let mut part = Part {
                draws: Draws::of(input.seed, thread),
                nodes: if shared == 2 { 1 } else { nodes },
                operations: mine.end - mine.start,
            };
            match (shared, is_unrooted) {
                (4, false) => part.replace::<_, true>(m, table),
                (4, true) => part.replace::<_, false>(m, table),
                (_, false) => Ok(part.read_into_locals(m, table)),
                (_, true) => Ok(part.read_unrooted(m, table)),
            }
        })
    })?;
    Ok(total(sums))
}

/// A thread's operations on a table.
struct Part {
    draws: Draws,
    nodes: u64,
    operations: u64,
}

impl Part {
    fn read_into_locals<M: Mutator>(&mut self, m: &mut M, table: M::Local<'_>) -> u64 {
        m.frame(|m, [at, next]| {
            let mut sum = 0;
            for _ in 0..self.operations {
                m.set(at, field(m, table, self.draws.below(self.nodes)));
                m.set(next, field(m, at, 0));
                sum += word(m, at, 0) + word(m, next, 0);
                m.safepoint();
            }
            sum
        })
    }

    fn read_unrooted<M: Mutator>(&mut self, m: &mut M, table: M::Local<'_>) -> u64 {
        let mut sum = 0;
        for _ in 0..self.operations {
            if let Some(at) = field(m, table, self.draws.below(self.nodes))
                && let Some(next) = m.load(at, 0)
            {
                sum += m.word(at, 0) + m.word(next, 0);
            }
            m.safepoint();
        }
        sum
    }

    fn replace<M: Mutator, const ROOTED: bool>(
        &mut self,
        m: &mut M,
        table: M::Local<'_>,
    ) -> Result<u64, HeapFull> {
        m.frame(|m, [made, at, none]| {
            let mut sum = 0;
            for _ in 0..self.operations {
                m.alloc_init(made, Flags::NONE, [none, none], [1])?;
                let (old, other) = (self.draws.below(self.nodes), self.draws.below(self.nodes));
                set_field(m, table, old, m.get(made));
                if ROOTED {
                    m.set(at, field(m, table, other));
                    sum += word(m, at, 0);
                } else {
                    sum += field(m, table, other).map_or(0, |other| m.word(other, 0));
                }
                m.safepoint();
            }
            Ok(sum)
        })
    }
}

/// Has each thread make its part of the nodes, hand them to the next one, and read those of the one
/// before; adds up what was read.
fn hand_over<H: Heap>(heap: &H, input: &Input) -> Result<u64, HeapFull> {
    let threads = input.threads;
    let chains = input.get("operations").div_ceil(CHAIN);
    let queues: Vec<BoundedQueue<H::Global>> =
        (0..threads).map(|_| BoundedQueue::new(ROOM)).collect();
    let sums = on_threads(heap, threads, |m, thread| {
        let before = (thread + threads - 1) % threads;
        let [mine, theirs] = [thread, before].map(|of| {
            let part = share(chains, threads, of);
            part.end - part.start
        });
        let (from, to) = (&queues[thread], &queues[(thread + 1) % threads]);
        let mut sum = 0;
        let mut done = Ok(());
        for number in 0..mine.max(theirs) + AHEAD {
            if number < mine {
                done = put(m, to);
            }
            if done.is_ok() && (AHEAD..theirs + AHEAD).contains(&number) {
                sum += take(m, from);
            }
            if done.is_err() {
                // Nobody is to wait for what will not come.
                queues.iter().for_each(|queue| queue.close(m));
                break;
            }
        }
        done.map(|()| sum)
    })?;
    Ok(total(sums))
}

/// Makes a chain and puts it in a queue.
fn put<M: Mutator>(
    m: &mut M,
    queue: &BoundedQueue<<M::Heap as Heap>::Global>,
) -> Result<(), HeapFull> {
    let chain = m.frame(|m, [chain, none]| {
        for _ in 0..CHAIN {
            m.alloc_move(chain, Flags::NONE, [chain, none], [1])?;
            m.safepoint();
        }
        Ok(m.get(chain).map(|chain| m.global(chain)))
    })?;
    if let Some(chain) = chain {
        // A queue is closed only where another thread's error is what is told.
        let _ = queue.push(m, chain);
    }
    Ok(())
}

/// Takes a chain out of a queue, reads it and drops it; what was read.
fn take<M: Mutator>(m: &mut M, queue: &BoundedQueue<<M::Heap as Heap>::Global>) -> u64 {
    let Some(chain) = queue.pop(m) else { return 0 };
    m.frame(|m, [at]| {
        m.set(at, Some(m.open(&chain)));
        drop(chain);
        let mut sum = 0;
        while m.get(at).is_some() {
            sum += word(m, at, 0);
            m.set(at, field(m, at, 0));
            m.safepoint();
        }
        sum
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trial::{DEFERRING, MARKSWEEP, Trial, UNLOCKED};

    const RUNGS: [&str; 9] = [
        OWN,
        OWN_UNROOTED,
        READ,
        READ_UNROOTED,
        HOT,
        HOT_UNROOTED,
        HANDED,
        WRITTEN,
        WRITTEN_UNROOTED,
    ];

    #[test]
    fn the_verdicts_follow_the_times() {
        let mut trial = Trial::of("sharing");
        let mut plant = |all| {
            for rung in RUNGS {
                for heaps in [UNLOCKED, DEFERRING, MARKSWEEP] {
                    trial.turns(rung, heaps, 1_000, all);
                }
            }
            trial.clone()
        };
        let gained = plant(520);
        gained.holds([0, 1, 3, 4, 5, 7, 8, 9, 10, 11, 12]);
        gained.fails([2, 6]);
        let lost = plant(2_000);
        lost.holds([2, 6]);
        lost.fails([0, 1, 3, 4, 5, 7, 8, 9, 10, 11, 12]);
    }

    /// Every heap reads as many words, on one thread and on two: nothing is lost on the way from
    /// one thread to another.
    #[test]
    fn rungs_do_the_same_work_on_every_heap() {
        let trial = Trial::of("sharing");
        for shared in 0..=4 {
            let of_rung = |row: &&crate::invocation::Row| {
                let parameters = &row.invocation.parameters;
                row.invocation.workload == Sharing::NAME && parameters["shared"] == shared
            };
            let rows = trial.rows().iter().filter(of_rung);
            let done = rows.map(|row| {
                let metrics = row.metrics.as_ref().unwrap();
                let unrooted = row.invocation.parameters["unrooted"];
                (unrooted, metrics.checksum.clone(), metrics.operations)
            });
            let mut done: Vec<_> = done.collect();
            done.sort_unstable();
            done.dedup();
            let forms = if shared == 3 { 1 } else { 2 };
            assert_eq!(done.len(), forms, "{shared}: {done:?}");
        }
    }
}
