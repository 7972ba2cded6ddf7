#![doc = include_str!("passing.md")]

use std::io::{ErrorKind, Read, Write};
use std::process::{ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use contract::threads::{give_up, refused};

use super::prelude::*;
use super::processors;
use crate::workload::twice;

/// See the [module documentation](self).
pub const EXPERIMENT: Experiment = Experiment {
    name: "passing",
    summary: "objects handed to a thread, which shares them, and to another process",
    explanation: include_str!("passing.md"),
    forms: &[processors::FORM, Form::new(IN_TURNS, "passing", 2).on(BOTH)],
    claims: &[
        // Copying out and copying in: what took less than twice as long would be no price.
        Claim::new("objects from another process take at least twice the time of shared ones")
            .judges(&["001.2"])
            .measured("time to make, hand over and read objects: through a process / shared")
            .value(Per(&Observed(COPIED), &Observed(SHARED)), IN_TURNS)
            .controlled(&processors::TO_LOSE)
            .counting(AtLeast(2.0)),
    ],
    programs: &[Program::of::<Passing>()],
};

const IN_TURNS: &str = "shared and copied, in turns";

const SHARED: &str = "shared_ns";
const COPIED: &str = "copied_ns";

/// How often each way is gone: its fastest turn counts, as of programs that are run in turns.
const TURNS: u64 = 3;
/// Words of an object.
const WORDS: u32 = 8;
/// Batches that wait to be read, at most.
const WAITING: usize = 4;

/// See the [module documentation](self).
pub struct Passing;

impl Workload for Passing {
    const NAME: &'static str = "passing";
    const SUMMARY: &'static str = "lists of objects handed over: shared, or copied by a process";
    const OPERATION: &'static str = "object";
    const PARAMETERS: &'static [Parameter] = &[
        Parameter::sized("batches", [4, 100, 500])
            .range(1, 1_000_000)
            .doc("lists that are handed over in each way"),
        Parameter::fixed("objects", 1_000)
            .range(1, 2_000)
            .doc("objects of a list"),
    ];

    fn heap_bytes(input: &Input) -> u64 {
        let list = input.get("objects") * (16 + 8 + 8 * u64::from(WORDS));
        twice(2 * (WAITING as u64 + 2) * list, input.threads).max(16 << 20)
    }

    fn run<H: Heap>(heap: &H, input: &Input) -> Result<Outcome, HeapFull> {
        let mut sums = Vec::new();
        let mut fastest = [Duration::MAX; 2];
        for _ in 0..TURNS {
            let ways = [share_lists::<H>, copy_lists::<H>];
            for (hand_over, fastest) in ways.into_iter().zip(&mut fastest) {
                let begun = Instant::now();
                sums.push(hand_over(heap, input)?);
                *fastest = begun.elapsed().min(*fastest);
            }
        }
        let objects = 2 * TURNS * input.get("batches") * input.get("objects");
        let [shared, copied] = fastest.map(nanoseconds);
        Ok(Outcome::new(digest(sums), objects).observing([(SHARED, shared), (COPIED, copied)]))
    }
}

/// A way for lists to get from one thread to another.
trait Way<H: Heap> {
    type Sender: Send;
    type Receiver: Send;

    /// Hands a list over. A receiver that has failed says so itself.
    fn send<M: Mutator<Heap = H>>(m: &mut M, list: M::Local<'_>, to: &mut Self::Sender);

    /// Waits for a list of so many objects.
    fn receive<M: Mutator<Heap = H>>(
        m: &mut M,
        list: M::Local<'_>,
        objects: u64,
        from: &mut Self::Receiver,
    ) -> Result<(), HeapFull>;
}

/// What is handed over is a reference: the two have one heap.
struct Shared;

impl<H: Heap> Way<H> for Shared {
    type Sender = SyncSender<H::Global>;
    type Receiver = Receiver<H::Global>;

    fn send<M: Mutator<Heap = H>>(m: &mut M, list: M::Local<'_>, to: &mut Self::Sender) {
        if let Some(list) = m.get(list).map(|list| m.global(list)) {
            let _ = m.blocking(|| to.send(list));
        }
    }

    fn receive<M: Mutator<Heap = H>>(
        m: &mut M,
        list: M::Local<'_>,
        _objects: u64,
        from: &mut Self::Receiver,
    ) -> Result<(), HeapFull> {
        // A sender that has failed says so itself.
        let received = m.blocking(|| from.recv()).ok();
        m.set(list, received.as_ref().map(|list| m.open(list)));
        Ok(())
    }
}

/// What is in the objects goes through another process, and is made anew.
struct Copied;

impl<H: Heap> Way<H> for Copied {
    type Sender = ChildStdin;
    type Receiver = ChildStdout;

    fn send<M: Mutator<Heap = H>>(m: &mut M, list: M::Local<'_>, to: &mut Self::Sender) {
        let mut bytes = Vec::new();
        let mut node = m.get(list);
        while let Some(object) = node {
            for index in 0..WORDS as usize {
                bytes.extend_from_slice(&m.word(object, index).to_le_bytes());
            }
            node = m.load(object, 0);
        }
        let _ = m.blocking(|| to.write_all(&bytes));
    }

    fn receive<M: Mutator<Heap = H>>(
        m: &mut M,
        list: M::Local<'_>,
        objects: u64,
        from: &mut Self::Receiver,
    ) -> Result<(), HeapFull> {
        const OBJECT: usize = 8 * WORDS as usize;
        let mut bytes = vec![0; objects as usize * OBJECT];
        let read = m.blocking(|| from.read_exact(&mut bytes));
        match read {
            Ok(()) => {}
            // A sender that has failed says so itself.
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(()),
            Err(error) => give_up(format!("what a process was sent: {error}")),
        }
        for object in bytes.rchunks_exact(OBJECT) {
            let words = object.as_chunks().0.iter().copied().map(u64::from_le_bytes);
            prepend(m, list, words)?;
            m.safepoint();
        }
        Ok(())
    }
}

fn share_lists<H: Heap>(heap: &H, input: &Input) -> Result<u64, HeapFull> {
    let (sender, receiver) = sync_channel(WAITING);
    hand_over::<H, Shared>(heap, input, sender, receiver)
}

fn copy_lists<H: Heap>(heap: &H, input: &Input) -> Result<u64, HeapFull> {
    let mut child = Command::new("cat")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| give_up(refused("a process of the program 'cat'", &error)));
    let (sender, receiver) = child.stdin.take().zip(child.stdout.take()).expect("piped");
    let sum = hand_over::<H, Copied>(heap, input, sender, receiver);
    // It has ended with its input.
    let _ = child.wait();
    sum
}

/// One thread makes lists and another one reads them. The sum of what it read.
fn hand_over<H: Heap, W: Way<H>>(
    heap: &H,
    input: &Input,
    sender: W::Sender,
    receiver: W::Receiver,
) -> Result<u64, HeapFull> {
    let (batches, objects) = (input.get("batches"), input.get("objects"));
    // Each is one thread's, and is dropped by it.
    let ends = Mutex::new((Some(sender), Some(receiver)));
    let sums = on_threads(heap, 2, |m, thread| {
        m.frame(|m, [list]| {
            let mut sum = 0u64;
            if thread == 0 {
                let sender = ends.lock().unwrap_or_else(PoisonError::into_inner).0.take();
                let mut sender = sender.expect("it is this thread's");
                for batch in 0..batches {
                    for number in (0..objects).rev() {
                        let first = batch * objects + number;
                        prepend(m, list, (0..u64::from(WORDS)).map(|word| mix(first) ^ word))?;
                        m.safepoint();
                    }
                    W::send(m, list, &mut sender);
                    m.set(list, None);
                }
            } else {
                let receiver = ends.lock().unwrap_or_else(PoisonError::into_inner).1.take();
                let mut receiver = receiver.expect("it is this thread's");
                for _ in 0..batches {
                    W::receive(m, list, objects, &mut receiver)?;
                    sum = sum.wrapping_add(read(m, list));
                    m.set(list, None);
                    m.safepoint();
                }
            }
            Ok(sum)
        })
    })?;
    Ok(sums.into_iter().fold(0, u64::wrapping_add))
}

/// Makes an object of these words and puts it before the list.
fn prepend<M: Mutator>(
    m: &mut M,
    list: M::Local<'_>,
    words: impl Iterator<Item = u64>,
) -> Result<(), HeapFull> {
    m.frame(|m, [new]| {
        m.alloc(new, Shape::new(1, WORDS))?;
        if let Some(object) = m.get(new) {
            for (index, word) in words.enumerate() {
                m.set_word(object, index, word);
            }
            m.store(object, 0, m.get(list));
        }
        m.set(list, m.get(new));
        Ok(())
    })
}

/// The sum of a list's words.
fn read<M: Mutator>(m: &M, list: M::Local<'_>) -> u64 {
    let mut sum = 0u64;
    let mut node = m.get(list);
    while let Some(object) = node {
        for index in 0..WORDS as usize {
            sum = sum.wrapping_add(mix(m.word(object, index)));
        }
        node = m.load(object, 0);
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapter::{Adapter, Settings, gc_rc::GcRc};
    use crate::trial::{RC, Trial};
    use crate::workload::Size;

    #[test]
    fn the_verdict_follows_the_times() {
        let mut trial = Trial::of("passing");
        trial.observed(IN_TURNS, RC, SHARED, 1_000);
        trial.observed(IN_TURNS, RC, COPIED, 3_000);
        trial.holds([0]);
        trial.observed(IN_TURNS, RC, COPIED, 1_100);
        trial.fails([0]);
    }

    /// What comes out of a process is what was sent, and no less than what is shared.
    #[test]
    fn nothing_is_lost_on_the_way() {
        let input = Input::of::<Passing>(Size::Tiny);
        let heap = GcRc::build(&Settings::new::<GcRc>(16 << 20)).unwrap();
        let shared = share_lists(&heap, &input).unwrap();
        assert_eq!(copy_lists(&heap, &input).unwrap(), shared);
        assert_ne!(shared, 0);
    }
}
