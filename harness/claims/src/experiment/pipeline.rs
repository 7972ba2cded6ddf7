#![doc = include_str!("pipeline.md")]

use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::prelude::*;
use crate::sync::{Condition, Guard, Lock};
use crate::workload::twice;

/// See the [module documentation](self).
pub const EXPERIMENT: Experiment = Experiment {
    name: "pipeline",
    summary: "three workers joined by queues: polled, spun on, waited for, bounded",
    explanation: include_str!("pipeline.md"),
    forms: &[
        Form::new(POLLED, "pipeline:queue=0", 3),
        Form::new(POLLED_TWICE, "pipeline:queue=0,items=120", 3)
            .small("items=300")
            .full("items=2000"),
        Form::new(SLOW_FIRST, "pipeline:queue=0,slow=1", 3),
        Form::new(SPINNING, "pipeline:queue=1", 3)
            .few()
            .small("items=50")
            .full("items=250"),
        Form::new(BLOCKING, "pipeline:queue=2", 3).few(),
        Form::new(BOUNDED, "pipeline:queue=2,capacity=10", 3).few(),
    ],
    claims: &[
        // The documents polled in vain in nine of 3,009: three in a thousand.
        Claim::new("of the looks at a polled queue one in 1,000 or more finds it empty")
            .judges(&["003.8"])
            .documents("3,009 polls for 3 x 1,000 items: 9")
            .measured("looks at an empty queue, of all")
            .share(Observed(EMPTY_POLLS), Observed(POLLS), &[POLLED])
            .both(AtLeast(0.001)),
        Claim::new("waiting for the end of a polled pipeline is looking again and again")
            .judges(&["003.8"])
            .measured("looks of the feeder at work that is not done, of all its looks")
            .share(Observed(WAITER_POLLS), Observed(WAITER_LOOKS), &[POLLED])
            .both(AtLeast(0.5)),
        // Twice as many items: 2 is growth in proportion, 1 is none; half-way between them on a
        // logarithmic scale.
        Claim::new("a queue before a slow stage grows with the number of items, without bound")
            .judges(&["003.8"])
            .measured("items in the longest queue before the last stage: of twice as many / of all")
            .ratio(Observed(SLOW_QUEUE), POLLED_TWICE, POLLED)
            .both(AtLeast(1.41)),
        // A fair part of the time would be none.
        Claim::new("a polled stage behind a slower one starves: it sleeps most of the time")
            .judges(&["003.8"])
            .measured("time that the last stage slept for want of items / of the whole, slow first")
            .value(Share(&Observed(STARVED), &Observed(WORKED)), SLOW_FIRST)
            .both(AtLeast(0.5)),
        Claim::new("when all items are done polled workers go on looking: nothing stops them")
            .judges(&["003.8"])
            .measured("workers that looked again after the last item, of all")
            .share(
                Observed(STILL_POLLING),
                Observed(WORKERS),
                &[POLLED, POLLED_TWICE],
            )
            .both(AtLeast(0.5)),
        Claim::new("at most one look in 50 at a blocking queue is one that was woken in vain")
            .judges(&["003.9"])
            .measured("looks at an empty queue but the first of a wait, of all")
            .share(Observed(EMPTY_POLLS), Observed(POLLS), &[BLOCKING])
            .both(AtMost(0.02)),
        Claim::new("counting finished tasks ends a pipeline with at most one look for 20 items")
            .judges(&["003.9"])
            .measured("looks at work that is not done / items")
            .share(Observed(WAITER_POLLS), Operations, &[BLOCKING])
            .both(AtMost(0.05)),
        Claim::new("at most one put in 50 makes a bounded queue longer than its bound")
            .judges(&["003.9"])
            .measured("puts that went beyond room for 10, of all")
            .share(Observed(OVERFULL), Observed(PUTS), &[BOUNDED])
            .both(AtMost(0.02)),
        Claim::new("a bounded queue holds memory down: it is at most half as long")
            .judges(&["003.9"])
            .measured("items in the longest queue, unbounded / bounded")
            .ratio(Observed(LONGEST), BLOCKING, BOUNDED)
            .both(AtLeast(2.0)),
        Claim::new("a worker that spins looks at an empty queue more often than it finds an item")
            .ours()
            .measured("looks at an empty queue for each item")
            .value(Per(&Observed(EMPTY_POLLS), &Operations), SPINNING)
            .both(AtLeast(1.0)),
        Claim::new("a worker that spins takes at least twice the processor time of one that waits")
            .ours()
            .measured("processor time of an item, spinning / blocking")
            // Forms differ in the number of their items.
            .ratio(Per(&Cpu, &Operations), SPINNING, BLOCKING)
            .both(AtLeast(2.0)),
    ],
    programs: &[Program::of::<Pipeline>()],
};

const POLLED: &str = "polled";
const POLLED_TWICE: &str = "polled, twice as many items";
const SLOW_FIRST: &str = "polled, the first stage slow";
const SPINNING: &str = "spinning";
const BLOCKING: &str = "blocking";
const BOUNDED: &str = "bounded";

const POLLS: &str = "polls_count";
const EMPTY_POLLS: &str = "empty_polls_count";
const WAITER_LOOKS: &str = "waiter_looks_count";
const WAITER_POLLS: &str = "waiter_polls_count";
const WORKERS: &str = "workers_count";
const STILL_POLLING: &str = "still_polling_workers_count";
const STARVED: &str = "starved_ns";
const WORKED: &str = "worked_ns";
const PUTS: &str = "puts_count";
const OVERFULL: &str = "overfull_puts_count";
const SLOW_QUEUE: &str = "longest_last_queue_items";
const LONGEST: &str = "longest_queue_items";

/// See the [module documentation](self).
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
        Parameter::sized("items", [60, 100, 1_000])
            .range(1, 1_000_000)
            .doc("items that go through every stage"),
        Parameter::fixed("queue", 2).range(0, 2).doc(
            "what a worker does that finds its queue empty: 0 sleeps, 1 looks again, 2 waits to be \
             woken",
        ),
        Parameter::fixed("capacity", 0)
            .range(0, 1_000_000)
            .doc("items that a queue has room for; 0: no bound"),
        Parameter::sized("sleep-milliseconds", [1, 2, 10])
            .range(0, 10_000)
            .doc("between two looks of a worker that sleeps, and of a feeder that polls"),
        Parameter::fixed("packet-microseconds", 1_000)
            .range(0, 10_000_000)
            .doc("how long the slow stage waits after every tenth item"),
        Parameter::fixed("slow", 0)
            .range(0, 1)
            .doc("which stage is slow: 0 the upload, 1 the download"),
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
        let [slow_download, slow_upload] = [1, 0].map(|slow| input.get("slow") == slow);
        let end = Mutex::new(End::default());
        let parts = on_threads(heap, 4, |m, number| {
            let mut slow = Slow::of(packet);
            let done = match number {
                0 => {
                    let begun = Instant::now();
                    feed(m, downloads, items).map(|()| {
                        let waiter_polls = queues.iter().map(|queue| queue.join(m)).sum();
                        let worked = begun.elapsed();
                        let starved = uploads.state.lock(m).tally.slept;
                        *end.lock().unwrap_or_else(PoisonError::into_inner) = End {
                            waiter_polls,
                            worked,
                            starved,
                            still_polling: still_polling(m, &queues),
                        };
                        0
                    })
                }
                1 => work(m, downloads, Some(resizes), |m, item, image| {
                    slow.down(m, slow_download);
                    download(m, item, image)
                }),
                2 => work(m, resizes, Some(uploads), resize),
                _ => work(m, uploads, None, |m, item, _| {
                    slow.down(m, slow_upload);
                    Ok(sent_of(m, item))
                }),
            };
            // Nothing more will come; or, if the heap is full, nobody is to wait for what will not
            // come.
            if number == 0 || done.is_err() {
                queues.iter().for_each(|queue| queue.close(m));
            }
            done
        })?;
        let end = end.into_inner().unwrap_or_else(PoisonError::into_inner);
        let tally = queues.map(|queue| queue.state.into_inner().tally);
        let sum = |of: fn(&Tally) -> u64| tally.iter().map(of).sum();
        let longest = tally.iter().map(|tally| tally.longest).max();
        let empty = sum(|tally| tally.empty) - sum(|tally| tally.after_the_end);
        let queues = tally.len() as u64;
        Ok(Outcome::new(digest(parts), items).observing([
            (POLLS, Some(sum(|tally| tally.found) + empty)),
            (EMPTY_POLLS, Some(empty)),
            // The last look at each queue finds its work done.
            (WAITER_LOOKS, Some(end.waiter_polls + queues)),
            (WAITER_POLLS, Some(end.waiter_polls)),
            (WORKERS, Some(queues)),
            (STILL_POLLING, Some(end.still_polling)),
            (STARVED, Some(nanoseconds(end.starved))),
            (WORKED, Some(nanoseconds(end.worked))),
            (PUTS, Some(sum(|tally| tally.found))),
            (OVERFULL, Some(sum(|tally| tally.overfull))),
            (SLOW_QUEUE, Some(tally[2].longest)),
            (LONGEST, longest),
        ]))
    }
}

/// What the feeder has seen when every item is done.
#[derive(Default)]
struct End {
    waiter_polls: u64,
    /// How long it took.
    worked: Duration,
    /// For how much of that the last stage slept.
    starved: Duration,
    still_polling: u64,
}

/// How many workers go on looking at their queues when nothing will come any more, in the time of
/// five of their sleeps. None of those that wait to be woken; a worker that spins is not asked.
fn still_polling<M: Mutator>(m: &mut M, queues: &[Queue<M::Heap>]) -> u64 {
    let mut number = 0;
    let before: Vec<u64> = queues
        .iter()
        .map(|queue| queue.state.lock(m).tally.empty)
        .collect();
    if let Idle::Sleep(pause) = queues[0].idle {
        m.blocking(|| thread::sleep(5 * pause));
    }
    for (queue, before) in queues.iter().zip(before) {
        let mut state = queue.state.lock(m);
        let after = state.tally.empty - before;
        state.tally.after_the_end = after;
        number += u64::from(after > 0);
    }
    number
}

/// The stage that sets the pace: it waits after every packet of items.
struct Slow {
    packet: Duration,
    sent: u64,
}

impl Slow {
    fn of(packet: Duration) -> Self {
        Self { packet, sent: 0 }
    }

    /// Before an item.
    fn down<M: Mutator>(&mut self, m: &mut M, is_slow: bool) {
        self.sent += 1;
        if is_slow && self.sent.is_multiple_of(PACKET) {
            m.blocking(|| thread::sleep(self.packet));
        }
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
    /// Of the empty looks, those when every item was done.
    after_the_end: u64,
    longest: u64,
    /// Puts after which the queue was longer than it may be.
    overfull: u64,
    /// How long its worker slept for want of items.
    slept: Duration,
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
            state.tally.overfull += u64::from(self.capacity.is_some_and(|most| length > most));
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
                let begun = Instant::now();
                m.blocking(|| thread::sleep(pause));
                let mut state = self.state.lock(m);
                state.tally.slept += begun.elapsed();
                return state;
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
            boxed(m, item, number)?;
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
fn sent_of<M: Mutator>(m: &M, small: M::Local<'_>) -> u64 {
    m.get(small).map_or(0, |small| {
        let words = (0..SMALL_IMAGE as usize).map(|index| m.word(small, index));
        words.fold(0, |sum: u64, word| mix(sum ^ word))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trial::Trial;

    #[test]
    fn queues_do_what_they_are_said_to() {
        let mut trial = Trial::of("pipeline");
        trial.holds([0, 1, 4, 5, 6, 7, 9]);
        // Each the other way round: a polled queue that always has work, a feeder that knows when
        // all is done, workers that stop, a queue that wakes for nothing, a join that looks, a
        // bound that does not bind, and a worker that spins and hardly looks.
        trial.observed(POLLED, BOTH, EMPTY_POLLS, 0);
        trial.observed(POLLED, BOTH, POLLS, 1_000_000);
        trial.observed(POLLED, BOTH, WAITER_POLLS, 0);
        trial.observed(POLLED, BOTH, WAITER_LOOKS, 1_000);
        for form in [POLLED, POLLED_TWICE] {
            trial.observed(form, BOTH, WORKERS, 30);
            trial.observed(form, BOTH, STILL_POLLING, 0);
        }
        trial.observed(BLOCKING, BOTH, EMPTY_POLLS, 60);
        trial.observed(BLOCKING, BOTH, WAITER_POLLS, 30);
        trial.observed(BOUNDED, BOTH, OVERFULL, 60);
        trial.observed(SPINNING, BOTH, EMPTY_POLLS, 3);
        trial.fails([0, 1, 4, 5, 6, 7, 9]);
    }

    #[test]
    fn verdicts_follow_processor_time_and_lengths() {
        let mut trial = Trial::of("pipeline");
        let mut plant = |spinning, longest| {
            trial.plant(SPINNING, BOTH, |metrics| metrics.cpu_ns = spinning);
            trial.plant(BLOCKING, BOTH, |metrics| metrics.cpu_ns = 1_000);
            trial.observed(BLOCKING, BOTH, LONGEST, longest);
            trial.observed(BOUNDED, BOTH, LONGEST, 10);
            trial.observed(POLLED, BOTH, SLOW_QUEUE, 50);
            trial.observed(POLLED_TWICE, BOTH, SLOW_QUEUE, longest + 40);
            trial.observed(SLOW_FIRST, BOTH, STARVED, longest);
            trial.observed(SLOW_FIRST, BOTH, WORKED, 70);
            trial.clone()
        };
        plant(50_000, 60).holds([2, 3, 8, 10]);
        plant(1_100, 12).fails([2, 3, 8, 10]);
    }
}
