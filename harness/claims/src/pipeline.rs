//! `pipeline`: download, resize, upload: three workers in a row, and four ways to wait for work.
//!
//! The documents build it twice. First with a queue of their own, a list under a lock, whose get
//! fails when the queue is empty: three workers sleep 0.1 s after each failure, and 1,000 items
//! take 3,009 polls, of which 3,000 found work. Then with a queue that blocks: its get returns when
//! there is something, a bound on its length holds producers back, and `task_done` and `join` say
//! when everything is done without anybody looking.
//!
//! Here a queue is a list of nodes in the heap, its head, its tail and its length in a heap object
//! that the threads share, under a [`Lock`]. A feeder puts all items into the first queue; a worker
//! makes an image of each, a second one makes a small one of that, a third one sends it. Sending
//! waits: after every tenth item for as long as a packet takes. So the last stage is the slowest,
//! as uploading is, and what the first two make piles up before it. The documents' 0.1 s between
//! polls is 10 ms at full size and 2 ms at small.
//!
//! * *polled*: a worker that finds nothing sleeps. So does the feeder, who wants to know whether
//!   everything is done.
//! * *spinning*: a worker that finds nothing looks again at once. Under a global lock it does so
//!   with the lock, for a switch interval at a time, and the one worker that has work waits for the
//!   others to look: it has fewer items, or it would take far longer than the others.
//! * *blocking*: it waits for a condition; the feeder waits until every item that was put has been
//!   declared done, and then closes the queues.
//! * *bounded*: the same with room for ten items, so that who puts waits as well.
//!
//! A look that finds nothing, and is not the wait itself, is a poll in vain: of a blocking queue
//! that is being woken for nothing. Notifying under the lock is what keeps that at zero: a notice
//! that is given after the lock was released may come when its item has long been taken, and wake a
//! worker that has since gone to wait for the next.
//!
//! It shows what polling costs and what a bound is for. It does not show which queue is fastest,
//! nor what happens with many workers on one queue, where one item may wake several.
//!
//! CPython's program has the documents' own queue, and `queue.Queue`; Java's a list under a
//! monitor, and `LinkedBlockingQueue`. Their blocking queues do not tell of wakes for nothing, so
//! that only failed gets are counted there: none, by construction.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use super::{Claim, Experiment, Form, Quantity, Rule, Unit, program};
use crate::heap::{Flags, Heap, HeapFull, Mutator, Shape};
use crate::sync::{Condition, Guard, Lock};
use crate::workload::{Input, Outcome, Parameter, Workload, mix, on_threads, twice};

/// See the [module documentation](self).
pub const EXPERIMENT: Experiment = Experiment {
    name: "pipeline",
    summary: "three workers joined by queues: polled, spun on, waited for, bounded",
    explanation: "Items go through three workers: one downloads an image, one makes it small, one uploads it, which is the slowest. Between them \
are queues in the heap, which every thread shares under a lock. A worker that finds its queue empty sleeps and looks again (polled), looks again \
at once (spinning), or waits until it is woken (blocking); the last form has queues with room for ten items (bounded). Counted are looks at an \
empty queue, looks of the feeder at work that is not done, and the longest that a queue became. The claims about polling would be false if a \
polled queue never were empty when a worker looked, or if a blocking one woke somebody for nothing; the one about memory if a bounded queue became \
as long as an unbounded one. It does not show which queue is fastest: the upload sets the pace. The polls are the program's and not the lock's, so \
both heaps should say the same; but spinning under a global lock keeps the lock from whoever has work.",
    forms: &[
        Form::new(POLLED, "pipeline:queue=0", 3),
        Form::new(SPINNING, "pipeline:queue=1", 3).sized("items=50", "items=250"),
        Form::new(BLOCKING, "pipeline:queue=2", 3),
        Form::new(BOUNDED, "pipeline:queue=2,capacity=10", 3),
    ],
    claims: &[
        Claim {
            statement: "a queue that is polled is polled in vain",
            document: "3,009 polls for 3 x 1,000 items: 9",
            measured: "polls of an empty queue",
            unit: Unit::Count,
            figure: |evidence| evidence.value((POLLED, EMPTY_POLLS)),
            counting: Some(Rule::AtLeast(1.0)),
            tracing: Some(Rule::AtLeast(1.0)),
        },
        Claim {
            statement: "a get that spins polls without end",
            document: "no figure",
            measured: "polls of an empty queue for each item",
            unit: Unit::Ratio,
            figure: |evidence| {
                evidence.value((
                    SPINNING,
                    Quantity::Of(|metrics| {
                        let polls = *metrics.observations.get("empty_polls_count")?;
                        Some(polls as f64 / metrics.operations as f64)
                    }),
                ))
            },
            counting: Some(Rule::AtLeast(1.0)),
            tracing: Some(Rule::AtLeast(1.0)),
        },
        Claim {
            statement: "and burns a processor in it",
            document: "no figure",
            measured: "processor time of an item, spinning / blocking",
            unit: Unit::Ratio,
            figure: |evidence| evidence.ratio((SPINNING, CPU), (BLOCKING, CPU)),
            counting: Some(Rule::AtLeast(2.0)),
            tracing: Some(Rule::AtLeast(2.0)),
        },
        Claim {
            statement: "a blocking queue is never polled in vain",
            document: "no figure",
            measured: "polls of an empty queue",
            unit: Unit::Count,
            figure: |evidence| evidence.largest((BLOCKING, EMPTY_POLLS)),
            counting: Some(Rule::AtMost(0.0)),
            tracing: Some(Rule::AtMost(0.0)),
        },
        Claim {
            statement: "task_done and join end it without polling",
            document: "no figure",
            measured: "looks at work that is not done",
            unit: Unit::Count,
            figure: |evidence| {
                evidence.largest((BLOCKING, Quantity::Observed("waiter_polls_count")))
            },
            counting: Some(Rule::AtMost(0.0)),
            tracing: Some(Rule::AtMost(0.0)),
        },
        Claim {
            statement: "a bounded queue never holds more than its bound",
            document: "no figure",
            measured: "items in the longest queue, of 10 that have room",
            unit: Unit::Count,
            figure: |evidence| evidence.largest((BOUNDED, LONGEST)),
            counting: Some(Rule::AtMost(10.0)),
            tracing: Some(Rule::AtMost(10.0)),
        },
        Claim {
            statement: "and so holds memory down",
            document: "no figure",
            measured: "items in the longest queue, unbounded / bounded",
            unit: Unit::Ratio,
            figure: |evidence| evidence.ratio((BLOCKING, LONGEST), (BOUNDED, LONGEST)),
            counting: Some(Rule::AtLeast(2.0)),
            tracing: Some(Rule::AtLeast(2.0)),
        },
    ],
    program: Some(program::<Pipeline>),
};

const POLLED: &str = "polled";
const SPINNING: &str = "spinning";
const BLOCKING: &str = "blocking";
const BOUNDED: &str = "bounded";

const EMPTY_POLLS: Quantity = Quantity::Observed("empty_polls_count");
const LONGEST: Quantity = Quantity::Observed("longest_queue_items");
/// Processor time for each item: forms differ in their number.
const CPU: Quantity =
    Quantity::Of(|metrics| Some(metrics.cpu_ns as f64 / metrics.operations as f64));

/// See the [module documentation](self).
#[derive(Clone, Copy, Debug)]
pub struct Pipeline;

/// Words of an image, and of one that was made small.
const IMAGE: u32 = 64;
const SMALL_IMAGE: u32 = 8;
/// How often the small image's words are mixed, for work that takes longer than making the image.
const ROUNDS: usize = 4;
/// Items of a packet that is sent.
const PACKET: u64 = 10;

impl Workload for Pipeline {
    const NAME: &'static str = "pipeline";
    const SUMMARY: &'static str = "items through three workers and the queues between them";
    const OPERATION: &'static str = "item";
    const PARAMETERS: &'static [Parameter] = &[
        Parameter {
            name: "items",
            doc: "items that go through every stage",
            tiny: 60,
            small: 150,
            full: 1_000,
            range: (1, 1_000_000),
        },
        Parameter::fixed(
            "queue",
            "what a worker does that finds its queue empty: 0 sleeps, 1 looks again, 2 waits to be woken",
            2,
            (0, 2),
        ),
        Parameter::fixed(
            "capacity",
            "items that a queue has room for; 0: no bound",
            0,
            (0, 1_000_000),
        ),
        Parameter {
            name: "sleep-milliseconds",
            doc: "between two looks of a worker that sleeps, and of a feeder that polls",
            tiny: 1,
            small: 2,
            full: 10,
            range: (0, 10_000),
        },
        Parameter::fixed(
            "packet-microseconds",
            "how long the upload waits after every tenth item",
            1_000,
            (0, 10_000_000),
        ),
    ];

    fn heap_bytes(input: &Input) -> u64 {
        // At most every item waits somewhere with its image.
        twice(800 * input.get("items"), 4).max(8 << 20)
    }

    fn run<H: Heap>(heap: &H, input: &Input) -> Result<Outcome, HeapFull> {
        let items = input.get("items");
        let idle = Idle::of(input);
        let packet = Duration::from_micros(input.get("packet-microseconds"));
        let queues = heap.attach(|m| {
            Ok([
                Queue::<H>::new(m, input, idle)?,
                Queue::new(m, input, idle)?,
                Queue::new(m, input, idle)?,
            ])
        })?;
        let [downloads, resizes, uploads] = &queues;
        let waiter_polls = AtomicU64::new(0);
        let parts = on_threads(heap, 4, |m, number| {
            let done = match number {
                0 => feed(m, downloads, items).map(|()| {
                    let polls = queues.iter().map(|queue| queue.join(m)).sum();
                    waiter_polls.store(polls, Ordering::Relaxed);
                    0
                }),
                1 => work(m, downloads, Some(resizes), download),
                2 => work(m, resizes, Some(uploads), resize),
                _ => {
                    let mut sent = 0;
                    work(m, uploads, None, |m, item, _| {
                        sent += 1;
                        if sent % PACKET == 0 {
                            m.blocking(|| thread::sleep(packet));
                        }
                        Ok(digest(m, item))
                    })
                }
            };
            // Nothing more will come; or, if the heap is full, nobody is to wait for what will not
            // come.
            if number == 0 || done.is_err() {
                queues.iter().for_each(|queue| queue.close(m));
            }
            done
        })?;
        let tally = queues.map(|queue| queue.state.into_inner().tally);
        let observations = [
            (
                "polls_count",
                tally.iter().map(|tally| tally.found + tally.empty).sum(),
            ),
            (
                "empty_polls_count",
                tally.iter().map(|tally| tally.empty).sum(),
            ),
            ("waiter_polls_count", waiter_polls.into_inner()),
            (
                "longest_queue_items",
                tally.iter().map(|tally| tally.longest).max().unwrap_or(0),
            ),
        ];
        Ok(Outcome {
            checksum: mix(parts.into_iter().fold(0, u64::wrapping_add)),
            operations: items,
            observations: observations.into(),
            ..Outcome::default()
        })
    }
}

/// What a worker does while its queue is empty.
#[derive(Clone, Copy, Debug)]
enum Idle {
    Sleep(Duration),
    Spin(Duration),
    Wait,
}

impl Idle {
    fn of(input: &Input) -> Self {
        let pause = Duration::from_millis(input.get("sleep-milliseconds"));
        match input.get("queue") {
            0 => Self::Sleep(pause),
            1 => Self::Spin(pause),
            _ => Self::Wait,
        }
    }
}

/// A first-in, first-out queue of objects, itself an object.
struct Queue<H: Heap> {
    state: Lock<State<H::Global>>,
    idle: Idle,
    capacity: Option<u64>,
    not_empty: Condition,
    not_full: Condition,
    finished: Condition,
}

struct State<G> {
    /// The object with the first and the last node and the length.
    list: G,
    /// Items that were put and not declared done.
    unfinished: u64,
    /// Nobody puts or waits any more.
    closed: bool,
    tally: Tally,
}

#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    found: u64,
    empty: u64,
    longest: u64,
}

// Fields of the queue's object.
const HEAD: usize = 0;
const TAIL: usize = 1;
const LENGTH: usize = 0;
// Fields of a node.
const NEXT: usize = 0;
const ITEM: usize = 1;

impl<H: Heap> Queue<H> {
    fn new<M: Mutator<Heap = H>>(m: &mut M, input: &Input, idle: Idle) -> Result<Self, HeapFull> {
        m.frame(|m, [list]| {
            m.alloc(list, Shape::new(2, 1))?;
            let list = m.get(list).expect("it was just allocated");
            let state = State {
                list: m.global(list),
                unfinished: 0,
                closed: false,
                tally: Tally::default(),
            };
            Ok(Self {
                state: Lock::new(state),
                idle,
                capacity: Some(input.get("capacity")).filter(|&capacity| capacity > 0),
                not_empty: Condition::new(),
                not_full: Condition::new(),
                finished: Condition::new(),
            })
        })
    }

    /// Appends the item; waits while there is no room for it.
    fn put<M: Mutator<Heap = H>>(&self, m: &mut M, item: M::Local<'_>) -> Result<(), HeapFull> {
        m.frame(|m, [node, next, content]| {
            m.set(content, m.get(item));
            // Before the lock is taken: others need not wait for an allocation.
            m.alloc_move(node, Flags::NONE, [next, content], [])?;
            let mut state = self.state.lock(m);
            while Some(m.word(m.open(&state.list), LENGTH)) == self.capacity && !state.closed {
                state = self.not_full.wait(m, state);
            }
            let list = m.open(&state.list);
            match m.load(list, TAIL) {
                Some(last) => m.store(last, NEXT, m.get(node)),
                None => m.store(list, HEAD, m.get(node)),
            }
            m.store(list, TAIL, m.get(node));
            let length = m.word(list, LENGTH) + 1;
            m.set_word(list, LENGTH, length);
            state.tally.longest = state.tally.longest.max(length);
            state.unfinished += 1;
            self.not_empty.notify_one();
            Ok(())
        })
    }

    /// Removes the oldest item, in the way of this queue if there is none; false once it is closed
    /// and empty.
    fn get<M: Mutator<Heap = H>>(&self, m: &mut M, into: M::Local<'_>) -> bool {
        let mut state = self.state.lock(m);
        let mut waited = false;
        loop {
            if take(m, &state.list, into) {
                state.tally.found += 1;
                self.not_full.notify_one();
                return true;
            }
            if state.closed {
                return false;
            }
            // Of a queue that wakes its workers, the first look is part of the wait; one after it
            // is in vain.
            state.tally.empty += u64::from(waited || !matches!(self.idle, Idle::Wait));
            waited = true;
            state = self.idle(m, state);
        }
    }

    /// What a worker does between two looks.
    fn idle<'q, M: Mutator<Heap = H>>(
        &'q self,
        m: &mut M,
        state: Guard<'q, State<H::Global>>,
    ) -> Guard<'q, State<H::Global>> {
        match self.idle {
            Idle::Wait => return self.not_empty.wait(m, state),
            Idle::Sleep(pause) => {
                drop(state);
                m.blocking(|| thread::sleep(pause));
            }
            Idle::Spin(_) => {
                drop(state);
                m.safepoint();
                std::hint::spin_loop();
            }
        }
        self.state.lock(m)
    }

    /// Declares one item done that was got.
    fn task_done<M: Mutator<Heap = H>>(&self, m: &mut M) {
        let mut state = self.state.lock(m);
        state.unfinished -= 1;
        if state.unfinished == 0 {
            self.finished.notify_all();
        }
    }

    /// Waits until every item has been declared done, in the way of this queue; returns how often
    /// it looked in vain.
    fn join<M: Mutator<Heap = H>>(&self, m: &mut M) -> u64 {
        let mut polls = 0;
        let mut waited = false;
        let mut state = self.state.lock(m);
        while state.unfinished > 0 && !state.closed {
            polls += u64::from(waited || !matches!(self.idle, Idle::Wait));
            waited = true;
            state = match self.idle {
                Idle::Wait => self.finished.wait(m, state),
                Idle::Sleep(pause) | Idle::Spin(pause) => {
                    drop(state);
                    m.blocking(|| thread::sleep(pause));
                    self.state.lock(m)
                }
            };
        }
        polls
    }

    /// Lets everybody go on who waits.
    fn close<M: Mutator<Heap = H>>(&self, m: &mut M) {
        let mut state = self.state.lock(m);
        state.closed = true;
        self.not_empty.notify_all();
        self.not_full.notify_all();
        self.finished.notify_all();
    }
}

/// Removes the oldest item, if there is one. Between its operations nothing can happen.
fn take<M: Mutator>(m: &M, list: &<M::Heap as Heap>::Global, into: M::Local<'_>) -> bool {
    let list = m.open(list);
    let Some(node) = m.load(list, HEAD) else {
        return false;
    };
    let next = m.load(node, NEXT);
    m.set(into, m.load(node, ITEM));
    m.store(list, HEAD, next);
    if next.is_none() {
        m.store(list, TAIL, None);
    }
    m.set_word(list, LENGTH, m.word(list, LENGTH) - 1);
    true
}

/// Puts every item into the first queue.
fn feed<M: Mutator>(m: &mut M, queue: &Queue<M::Heap>, items: u64) -> Result<(), HeapFull> {
    m.frame(|m, [item]| {
        for number in 0..items {
            m.alloc_init(item, Flags::NONE, [], [number])?;
            queue.put(m, item)?;
            m.safepoint();
        }
        Ok(())
    })
}

/// One worker: takes items from one queue and puts what `stage` makes of each into the next.
/// Returns the sum of what the stage says.
fn work<M: Mutator>(
    m: &mut M,
    from: &Queue<M::Heap>,
    to: Option<&Queue<M::Heap>>,
    mut stage: impl FnMut(&mut M, M::Local<'_>, M::Local<'_>) -> Result<u64, HeapFull>,
) -> Result<u64, HeapFull> {
    m.frame(|m, [item, made]| {
        let mut sum = 0u64;
        while from.get(m, item) {
            sum = sum.wrapping_add(stage(m, item, made)?);
            if let Some(to) = to {
                to.put(m, made)?;
            }
            m.set(made, None);
            m.set(item, None);
            from.task_done(m);
            m.safepoint();
        }
        Ok(sum)
    })
}

/// Makes the image of an item.
fn download<M: Mutator>(
    m: &mut M,
    item: M::Local<'_>,
    image: M::Local<'_>,
) -> Result<u64, HeapFull> {
    m.alloc(image, Shape::new(0, IMAGE))?;
    if let (Some(item), Some(image)) = (m.get(item), m.get(image)) {
        let first = m.word(item, 0) * u64::from(IMAGE);
        for index in 0..IMAGE as usize {
            m.set_word(image, index, mix(first + index as u64));
        }
    }
    Ok(0)
}

/// Makes an image small: each word of the small one is a digest of as many as it stands for.
fn resize<M: Mutator>(
    m: &mut M,
    image: M::Local<'_>,
    small: M::Local<'_>,
) -> Result<u64, HeapFull> {
    m.alloc(small, Shape::new(0, SMALL_IMAGE))?;
    if let (Some(image), Some(small)) = (m.get(image), m.get(small)) {
        let each = (IMAGE / SMALL_IMAGE) as usize;
        for index in 0..SMALL_IMAGE as usize {
            let words = (index * each..(index + 1) * each).map(|index| m.word(image, index));
            let word = words.fold(0u64, |sum, word| {
                sum.wrapping_add((0..ROUNDS).fold(word, |word, _| mix(word)))
            });
            m.set_word(small, index, word);
        }
    }
    Ok(0)
}

/// What is sent of a small image.
fn digest<M: Mutator>(m: &M, small: M::Local<'_>) -> u64 {
    m.get(small).map_or(0, |small| {
        let words = (0..SMALL_IMAGE as usize).map(|index| m.word(small, index));
        words.fold(0, |sum: u64, word| mix(sum ^ word))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BOTH, Verdict, trial::Trial};

    const POLLS: &str = "empty_polls_count";

    fn plant(trial: &mut Trial, form: &str, name: &str, value: u64) {
        for heap in BOTH {
            trial.plant_observed(form, heap, name, value);
        }
    }

    #[test]
    fn queues_do_what_they_are_said_to() {
        let mut trial = Trial::of("pipeline");
        let verdicts = |trial: &Trial| [0, 1, 3, 4, 5].map(|claim| trial.verdict(claim));
        assert_eq!(verdicts(&trial), [Verdict::Holds; 5]);
        // Each the other way round: a polled queue that always has work, a spinning one that hardly
        // looks, a blocking one that wakes for nothing, a join that looks, a bound that does not
        // bind.
        plant(&mut trial, POLLED, POLLS, 0);
        plant(&mut trial, SPINNING, POLLS, 3);
        plant(&mut trial, BLOCKING, POLLS, 1);
        plant(&mut trial, BLOCKING, "waiter_polls_count", 2);
        plant(&mut trial, BOUNDED, "longest_queue_items", 11);
        assert_eq!(verdicts(&trial), [Verdict::Fails; 5]);
    }

    #[test]
    fn verdicts_follow_processor_time_and_lengths() {
        let mut trial = Trial::of("pipeline");
        for (spinning, longest, expected) in
            [(50_000, 60, Verdict::Holds), (1_100, 12, Verdict::Fails)]
        {
            for heap in BOTH {
                trial.plant(SPINNING, heap, |metrics| metrics.cpu_ns = spinning);
                trial.plant(BLOCKING, heap, |metrics| metrics.cpu_ns = 1_000);
            }
            plant(&mut trial, BLOCKING, "longest_queue_items", longest);
            plant(&mut trial, BOUNDED, "longest_queue_items", 10);
            assert_eq!(trial.verdict(2), expected);
            assert_eq!(trial.verdict(6), expected);
        }
    }
}
