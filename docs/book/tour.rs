// The chapter *tour*, of both collectors: Markdown, with the name of the collector between.
concat!(
    r##"
What a program does with a heap, from the first object to several threads. The operations of this
crate and of the other collector of this workspace are the same, and so is this chapter: what
differs is when objects die, and what that costs.

# A heap, a thread, an object

A [`Heap`](crate::Heap) is made by a [`Builder`](crate::Builder). A thread *attaches* to it for the
length of a closure and gets a [`Mutator`](crate::Mutator), which has all operations on objects. An
object has reference *fields* and 64-bit *words*, as many of each as its [`Shape`](crate::Shape)
says, for ever. There are no types: what an object means is the program's affair.

```
use "##,
    collector!(),
    r##"::{Heap, HeapFull, Shape};

let heap = Heap::builder().limit(16 << 20).build()?;
heap.attach(|m| {
    // A frame of two locals, which are null at first.
    m.frame(|m, [point, list]| {
        m.alloc(point, Shape::new(0, 2))?; // no fields, two words
        let object = m.get(point).expect("just made");
        m.set_word(object, 0, 3);
        m.set_word(object, 1, 4);

        m.alloc(list, Shape::new(2, 0))?; // two fields, no words
        let pair = m.get(list).expect("just made");
        m.store(pair, 0, m.get(point));
        assert_eq!(m.load(pair, 0), m.get(point));
        assert_eq!(m.load(pair, 1), None);
        Ok::<_, HeapFull>(())
    })
})?;
# Ok::<(), Box<dyn std::error::Error>>(())
```

[`alloc_init`](crate::Mutator::alloc_init) makes an object and fills it at once, from locals and
words; [`alloc_move`](crate::Mutator::alloc_move) also empties these locals. Both are cheaper than
an allocation and a store for each field. A list grows in one line, since the local that is read may
be the one that is written: `m.alloc_move(list, Flags::NONE, [list], [number])?`.

# The one rule

Operations that take `&Mutator` read and write. Those that take `&mut Mutator` may do more: an
object may die, a collection may happen, other threads may run. So there are two kinds of
references:

* A [`Ref`](crate::Ref) is what reading returns. It borrows the mutator, is as cheap as a pointer,
  and ends, by the borrow checker's judgement, at the next operation that takes `&mut`.
* A [`Local`](crate::Local) is a slot of a [frame](crate::Mutator::frame): a *root*. What it holds
  stays alive, and so does all that can be reached from there.

What a program wants to keep across an allocation, it puts into a local. It cannot forget to: what
it has not put there does not compile.

```compile_fail
# use "##,
    collector!(),
    r##"::{Heap, Shape};
# Heap::builder().build().unwrap().attach(|m| m.frame(|m, [a, b]| {
let object = m.get(a).unwrap();
m.alloc(b, Shape::new(1, 0)).unwrap(); // takes `&mut`
m.load(object, 0);                     // error: `*m` is borrowed
# }));
```

Functions take locals as arguments, and write what they return to one; a function that needs
locals of its own has a frame. Frames are linked through the native stack, which is what the crate
knows of it: a *shadow stack*.

```
use "##,
    collector!(),
    r##"::{Flags, Heap, HeapFull, Local, Mutator};

/// Builds a balanced tree of that depth in `into`.
fn tree<'h>(m: &mut Mutator<'h>, depth: u32, into: Local<'_, 'h>) -> Result<(), HeapFull> {
    m.frame(|m, [left, right]| {
        if depth > 0 {
            tree(m, depth - 1, left)?;
            tree(m, depth - 1, right)?;
        }
        m.alloc_move(into, Flags::NONE, [left, right], [u64::from(depth)])
    })
}

# fn main() -> Result<(), Box<dyn std::error::Error>> {
let heap = Heap::builder().limit(16 << 20).build()?;
let sum = heap.attach(|m| {
    m.frame(|m, [root]| {
        tree(m, 10, root)?;
        // Nothing is allocated here: references will do, also in a vector.
        let (mut sum, mut left) = (0, Vec::from_iter(m.get(root)));
        while let Some(node) = left.pop() {
            sum += m.word(node, 0);
            left.extend((0..2).filter_map(|field| m.load(node, field)));
        }
        Ok::<_, HeapFull>(sum)
    })
})?;
assert_eq!(sum, (0..=10).map(|depth| depth << (10 - depth)).sum());
# Ok(()) }
```

# Letting go

Nothing is freed by hand. An object that no local, no [`Global`](crate::Global) and no living object
refers to is garbage, and its memory is used again; in a cycle, too. Setting a local to `None`,
leaving a frame, or storing over a field is all that a program does for that.

Long work *polls*: a loop that does not allocate calls [`safepoint`](crate::Mutator::safepoint) at
least every few thousand objects, which costs next to nothing where nothing is due. The chapter on
[binding](crate::book::binding) has the list of operations that are safepoints.

# Globals, and more threads

A [`Global`](crate::Global) is a root that belongs to no frame: it may be kept in a Rust structure,
cloned, sent to another thread and dropped anywhere. [`open`](crate::Mutator::open) reads it.

A thread that waits for anything but the heap does so inside
[`blocking`](crate::Mutator::blocking): others would wait for it otherwise, perhaps for ever.

```
use std::thread;

use "##,
    collector!(),
    r##"::{Heap, Shape};

let heap = Heap::builder().limit(16 << 20).build()?;
let total = heap.attach(|m| {
    m.frame(|m, [table]| {
        m.alloc(table, Shape::new(2, 0)).expect("it has room");
        let table = m.global(m.get(table).expect("just made"));
        m.blocking(|| {
            thread::scope(|s| {
                for field in 0..2 {
                    let (heap, table) = (&heap, table.clone());
                    s.spawn(move || {
                        heap.attach(|m| {
                            m.frame(|m, [number]| {
                                m.alloc_init(number, Default::default(), [], [21])
                                    .expect("it has room");
                                m.store(m.open(&table), field, m.get(number));
                            });
                        });
                    });
                }
            });
        });
        let table = m.open(&table);
        (0..2).filter_map(|field| m.load(table, field)).map(|it| m.word(it, 0)).sum::<u64>()
    })
});
assert_eq!(total, 42);
# Ok::<(), "##,
    collector!(),
    r##"::BuildError>(())
```

Threads that write the same field or word at the same time get one or the other value, never half
of one, and never a dangling reference. What they build of that, such as a counter, needs a lock of
their own.

# Weak references and finalizers

A [`Weak`](crate::Weak) reference does not keep its object alive:
[`upgrade`](crate::Mutator::upgrade) says whether it still is. An object made with
[`Flags::FINALIZE`](crate::Flags::FINALIZE) is handed out once when it has become garbage. The heap
calls nobody: a program asks, where it suits, for
[finalizers that are due](crate::Mutator::finalizable) and for
[weak references that were cleared](crate::Mutator::cleared).

```
use "##,
    collector!(),
    r##"::{Flags, Heap};

let heap = Heap::builder().limit(16 << 20).build()?;
heap.attach(|m| {
    m.frame(|m, [file, plain, dead]| {
        m.alloc_init(file, Flags::FINALIZE, [], [7])?; // word 0: a file descriptor, say
        m.alloc_init(plain, Flags::NONE, [], [8])?;
        let weak = m.downgrade(m.get(plain).expect("just made"));

        m.set(file, None);
        m.set(plain, None);
        m.collect();
        assert!(m.upgrade(&weak).is_none());
        assert_eq!(m.cleared(), Some(weak));
        assert!(m.finalizable(dead)); // it lives again, in this local
        assert_eq!(m.get(dead).map(|file| m.word(file, 0)), Some(7));
        assert!(!m.finalizable(dead)); // once only
        Ok::<_, "##,
    collector!(),
    r##"::HeapFull>(())
    })
})?;
# Ok::<(), Box<dyn std::error::Error>>(())
```

# When the heap is full

An allocation that finds no memory returns [`HeapFull`](crate::HeapFull), after everything has been
tried. Nothing has changed then: the program lets go of something, or gives up what it was doing.

```
use "##,
    collector!(),
    r##"::{Flags, FullCause, Heap, HeapFull};

let heap = Heap::builder().limit(1 << 20).build()?;
heap.attach(|m| {
    m.frame(|m, [list]| {
        let full: HeapFull = loop {
            if let Err(full) = m.alloc_move(list, Flags::NONE, [list], [0]) {
                break full;
            }
        };
        assert_ne!(full.cause, FullCause::System);
        assert!(m.get(list).is_some()); // all that was made is still there
        m.set(list, None);
        m.collect();
        assert!(m.alloc_init(list, Flags::NONE, [], [0]).is_ok());
    });
});
# Ok::<(), "##,
    collector!(),
    r##"::BuildError>(())
```

# Looking in

[`Heap::statistics`](crate::Heap::statistics) has counters of objects, bytes and collections;
[`Heap::take_events`](crate::Heap::take_events) what happened, with time-stamps; a
[`Listener`](crate::Listener) is told of the same at once.
[`collect_recorded`](crate::Mutator::collect_recorded) returns a collection step by step.
"##
)
