// The chapter *binding*, of both collectors: Markdown, with the name of the collector between. What
// differs follows it in each collector's `book.rs`.
concat!(
    r##"
What a language runtime has to decide, and to keep to, when its values live on this heap. The
[interpreter](super::interpreter) is a worked example of most of it.

# In short

| question | answer |
|---|---|
| Who says what a root is? | the runtime: locals of frames, and globals; nothing else is looked at |
| Stack maps? Conservative scanning? | neither: a shadow stack of frames |
| Do objects move? | never; but an address is no identity after the object's death |
| Write barrier? | [`store`](crate::Mutator::store) is it; there is no other way to write a field |
| Safepoints? | operations that take `&mut Mutator`, the list is below; loops call [`safepoint`](crate::Mutator::safepoint) |
| Waiting, system calls, foreign code? | inside [`blocking`](crate::Mutator::blocking) |
| Finalizers, weak references? | asked for, never called |
| No memory? | [`HeapFull`](crate::HeapFull), a value; the heap goes on |
| What can go wrong in safe code? | waiting, leaks, panics: no dangling reference (see the end) |

# Values and shapes

A field is null or a reference. There are no tagged pointers, since the heap follows every field.
A language whose variables hold small integers *or* references has a choice:

* **boxes**: each integer is an object without fields, which the cycle collector never looks at and
  marking does not go on from. Simple; an allocation for each result.
* **pairs**: each variable is a field *and* a word, and the field says which of them counts: null
  for an integer, or a reference to a singleton for each kind of immediate value. No allocation,
  twice the memory of a variable.

```
use "##,
    collector!(),
    r##"::{Flags, Heap, HeapFull, Shape};

/// Variable `i` of a scope: field `i` if it is not null, else the integer in word `i`.
const VARIABLES: u32 = 4;

let heap = Heap::builder().limit(1 << 20).build()?;
heap.attach(|m| {
    m.frame(|m, [scope, text]| {
        m.alloc(scope, Shape::new(VARIABLES, VARIABLES))?;
        m.alloc_init(text, Flags::NONE, [], [0x6968])?;
        let variables = m.get(scope).expect("just made");
        m.set_word(variables, 0, 42); // an integer
        m.store(variables, 1, m.get(text)); // an object
        assert_eq!((m.load(variables, 0), m.word(variables, 0)), (None, 42));
        assert!(m.load(variables, 1).is_some());
        Ok::<_, HeapFull>(())
    })
})?;
# Ok::<(), Box<dyn std::error::Error>>(())
```

The type of an object is a word with its number in the runtime's tables, or a field that refers to
an object that describes it: the latter lets types die. A shape is fixed: a growing array is a fixed
object that refers to its storage, which is replaced. An object with a million fields is an ordinary
shape. Bytes go into words, or outside of the heap with a finalizer.

[`Flags::ACYCLIC`](crate::Flags::ACYCLIC) promises that an object is never part of a cycle, as a
text that refers to its parts is not. Counting then spares the cycle collector the look at it; a
broken promise leaks there. Marking does not need the promise.

# Roots

A root is what the runtime *says* is one, in one of three ways:

* **A frame for each native function** that handles values: [`frame`](crate::Mutator::frame) with as
  many locals as it has variables. It costs two stores and a null for each local. This suits an
  interpreter that is written in Rust, and library functions.
* **A frame for the whole machine**, whose locals are its registers; what is a stack in the
  language is a list of objects in the heap. The depth of the native stack is then constant. The
  interpreter of this book does that.
* **A stack that is one large object**: each slot is a field, and the runtime has the number of
  slots in use. A slot costs a `store`; slots above the top should be nulled, or they keep garbage
  alive.

```
use "##,
    collector!(),
    r##"::{Heap, HeapFull, Local, Mutator, Shape};

/// The operand stack of a machine: an object, and how much of it is in use.
struct Stack<'f, 'h> {
    slots: Local<'f, 'h>,
    used: usize,
}

impl<'h> Stack<'_, 'h> {
    fn push(&mut self, m: &Mutator<'h>, value: Local<'_, 'h>) {
        let slots = m.get(self.slots).expect("made with the stack");
        m.store(slots, self.used, m.get(value)); // panics beyond the last slot
        self.used += 1;
    }

    fn pop(&mut self, m: &Mutator<'h>, into: Local<'_, 'h>) {
        self.used -= 1;
        let slots = m.get(self.slots).expect("made with the stack");
        m.set(into, m.load(slots, self.used));
        m.store(slots, self.used, None); // what is above the top keeps nothing alive
    }
}

let heap = Heap::builder().limit(1 << 20).build()?;
heap.attach(|m| {
    m.frame(|m, [slots, value]| {
        m.alloc(slots, Shape::new(1000, 0))?;
        let mut stack = Stack { slots, used: 0 };
        m.alloc(value, Shape::new(0, 1))?;
        stack.push(m, value);
        m.set(value, None);
        m.collect();
        stack.pop(m, value);
        assert!(m.get(value).is_some());
        Ok::<_, HeapFull>(())
    })
})?;
# Ok::<(), Box<dyn std::error::Error>>(())
```

A [`Global`](crate::Global) is for what outlives all frames: module tables, interned constants,
handles that foreign code holds. Making one costs more than a local, and a global that is never
dropped keeps its object for ever.

**What is not possible.** The heap reads no native frames, registers or machine words. A compiler
that keeps references in registers across calls needs stack maps: tables of where each reference is
at each return address, and a walk over native frames that reads them. Nothing of that is here, and
[`Ref`](crate::Ref) makes it impossible by its type. A just-in-time compiler has two ways that do
work: its code spills live references into a frame or a stack object before it calls anything that
may collect, or it runs on a heap-allocated stack throughout. Since objects do not move, spilled
copies need not be read back.

# Calling out, and being called

Inside [`blocking`](crate::Mutator::blocking) the thread has no access to the heap: it counts as
stopped, and others run and collect without it. What it needs, it copies out before; what it
returns, it copies in afterwards. Locals stay roots meanwhile. A foreign function that calls back
*attaches* inside of `blocking`, which is ordinary, and finds its values in globals.

```
use "##,
    collector!(),
    r##"::{Flags, Global, Heap, HeapFull};

/// A function of a library, which takes long and calls back.
fn library(callback: impl Fn(u64)) {
    callback(5);
}

let heap = Heap::builder().limit(1 << 20).build()?;
let sum = heap.attach(|m| {
    m.frame(|m, [cell]| {
        m.alloc_init(cell, Flags::NONE, [], [37])?;
        let cell: Global = m.global(m.get(cell).expect("just made"));
        m.blocking(|| {
            library(|number| {
                heap.attach(|m| {
                    let object = m.open(&cell);
                    m.set_word(object, 0, m.word(object, 0) + number);
                });
            });
        });
        Ok::<_, HeapFull>(m.word(m.open(&cell), 0))
    })
})?;
assert_eq!(sum, 42);
# Ok::<(), Box<dyn std::error::Error>>(())
```

# Threads

A thread of the language is a thread that is attached for as long as it runs code of the language.
Attaching is cheap but not free: once for a task, not once for an operation. A thread is attached to
one heap of this crate at a time, and a second attachment outside of `blocking` panics. Detaching
happens when the closure returns or unwinds; there is no other way to do it, and none to forget it.
Threads outside of the language need not be known to the heap; they may drop, clone and send globals
and weak references at any time, also while they end.

A mutex of the *runtime* that one thread holds across a safepoint and another waits for outside of
`blocking` is a deadlock: the first waits for the second to stop, the second for the first to let
go. Take such locks inside `blocking`, or hold them across nothing that takes `&mut Mutator`.

# Stores

[`store`](crate::Mutator::store) and [`store_move`](crate::Mutator::store_move) are all that writes
fields, so that a runtime can neither forget a barrier nor an increment. New objects are written by
their allocation, without one. Words have no barrier. Loads have none either.

Racing threads are memory-safe: a field holds what one of them wrote. What a language promises
beyond that (volatile variables, compare-and-swap) is not in this interface.

# Finalizers and weak references

The runtime asks [`finalizable`](crate::Mutator::finalizable) and
[`cleared`](crate::Mutator::cleared) at moments of its choice: between two turns of its loop, when a
thread has nothing to do, on a thread for that. What it runs then is ordinary code of the language.
An object that is handed out is alive again until the local lets it go, may be kept for good, and is
not handed out twice. Nothing is handed out when the heap itself goes: what must be released at the
end of the process, the runtime releases.

A weak table holds [`Weak`](crate::Weak) references, which hash and compare by the object they are
to, also after its death. An ephemeron (a value that lives as long as its key) is not here: a value
that refers to its key keeps it alive in such a table.

# When memory is out

Allocations return [`HeapFull`](crate::HeapFull) and have changed nothing: `into` and the operands
are as they were. A runtime turns that into its own exception. It needs memory for that, and had
better have it before: an exception object made at the start, and no allocation on the way to the
handler. Unwinding frees frames, and with them most of what was wrong.

Its [cause](crate::FullCause) says what helps: at the limit, to let go of objects; from the system,
to give the process more; and `Overhead` says that almost everything was alive in the last few
collections, so that going on would have been nothing but collecting.

Making a global or a weak reference takes a little memory outside of the limit: `try_global` and
`try_downgrade` return the same error, where `global` and `downgrade` panic.

# What misuse leads to

| misuse | what happens |
|---|---|
| a reference kept across an operation that takes `&mut` | does not compile |
| a local that leaves its frame, a reference or a local of another heap | does not compile |
| a mutator given to another thread | does not compile |
| a global or a weak reference of another heap | panics |
| a field or word that the object does not have | panics, and says so; nothing is changed |
| a second attachment outside of `blocking` | panics |
| `mem::forget` of a global | its object lives as long as the heap |
| a loop without safepoints | others wait: the watchdog names the thread |
| waiting outside of `blocking` | others wait; a deadlock, if they are what is waited for |
| a panic in a client's closure | frames and the attachment are undone, the heap is as before |
| a forgotten slot, global or table entry | a leak, as in every collector |

# Trying it

Two settings find mistakes early: [`stress`](crate::Builder::stress) collects at every allocation,
and [`poison`](crate::Builder::poison) fills what is free. [`verify`](crate::Mutator::verify) checks
the heap as a whole, and the [watchdog](crate::Builder::watchdog) names whoever keeps others
waiting. A test suite that runs with all four on a small limit has met most of what can happen.

```
use std::time::Duration;

use "##,
    collector!(),
    r##"::{Flags, Heap};

let heap = Heap::builder()
    .limit(1 << 20)
    .stress(true)
    .poison(true)
    .watchdog(Some(Duration::from_millis(100)))
    .build()?;
heap.attach(|m| {
    m.frame(|m, [list]| {
        for number in 0..100 {
            m.alloc_move(list, Flags::NONE, [list], [number])?;
        }
        m.verify();
        Ok::<_, "##,
    collector!(),
    r##"::HeapFull>(())
    })
})?;
# Ok::<(), Box<dyn std::error::Error>>(())
```
"##
)
