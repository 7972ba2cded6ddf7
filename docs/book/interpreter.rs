// The chapter *interpreter*, of both collectors: Markdown, with the name of the collector and the
// example's source between.
concat!(
    r##"
A whole language in five short files, whose programs, values, scopes and control live on the heap:
the example `interpreter`.

```text
cargo run --release -p "##,
    package!(),
    r##" --example interpreter
cargo run --release -p "##,
    package!(),
    r##" --example interpreter -- "(define (twice f) (lambda (x) (f (f x)))) ((twice (lambda (x) (* x x))) 3)"
```

It has the questions in it that every language runtime has: where values lie, what the roots are,
how closures and scopes refer to each other, how deep a program may recurse, what an object owns
that is no object, and what happens when memory is out. The code below is the example's own, included
here; it is tested as the example is (`cargo test --example interpreter`).

# The language

A small Scheme. `(define name value)`, `(define (name parameters...) body...)`, `(lambda
(parameters...) body...)`, `(if condition then else)`, `(set! name value)` and `(quote value)` are
its special forms, everything else is a call. Values are integers, symbols, texts, lists and
functions; only the empty list is false.

```text
(define (counter n) (lambda () (set! n (+ n 1)) n))
(define a (counter 0))
(a) (a)                                                ; 1, 2
```

# Values

The heap knows no types, so an object's first word says what it is. Fields hold references and
nothing else: a small integer is an object, too. (What that costs, and what a runtime does about it:
[binding](super::binding).)

```rust,ignore
"##,
    include_str!("interpreter/object.rs"),
    r##"
```

`reverse` shows what a loop over the heap looks like: what is kept across the poll is in locals, and
what is read between two polls is not.

# Names, texts, and what they own

Two symbols of one name are one object, so that comparing them is comparing references. The table
that sees to it must find all symbols and keep none alive: it holds weak references.

The characters of a text are a Rust `String`. The object has the number of its place, and a
finalizer. The heap calls nothing when an object dies; `attend` asks what died, at a moment that
suits the interpreter.

```rust,ignore
"##,
    include_str!("interpreter/outside.rs"),
    r##"
```

# Reading and printing

The reader makes lists, which the evaluator evaluates as they are: code is data, and dies like data.
It keeps the lists that are still open in one local. The printer allocates nothing, so that it needs
no roots at all: its stack is a vector of references.

```rust,ignore
"##,
    include_str!("interpreter/syntax.rs"),
    r##"
```

# Evaluating

The usual evaluator is a Rust function that calls itself for each part of an expression, with a
frame for what it has so far. It is short, and a program that recurses 100,000 deep overflows the
native stack, which ends the process. This one is a loop. What is to be done after an expression
is a *step*: an object that refers to the scope, the expressions that are left, the values so far,
and the next step. So

* the native stack has one frame, whatever the program does: the registers;
* recursion is limited by the heap, and too much of it is [`HeapFull`](crate::HeapFull), an error of
  the program;
* a call in tail position makes no step, so that loops run in constant memory;
* the loop passes a safepoint at every step, so that no program keeps other threads waiting.

The heap itself does not recurse, neither when it marks nor when long lists die.

Scopes and closures are where the cycles are. `define` inside of a function binds a closure in the
scope that it captures: scope, binding, closure, scope. The store in `bind` is all that the program
does about that.

```rust,ignore
"##,
    include_str!("interpreter/machine.rs"),
    r##"
```

# Roots that outlive a program

Between two programs nothing is attached and no frame is there. What the next program is to find is
reachable from the one [`Global`](crate::Global): the outermost scope. When a program fails, its
registers go with the frame, and the interpreter is as it was.

```rust,ignore
"##,
    include_str!("interpreter/interpreter.rs"),
    r##"
```

# What a faster one would do

* Resolve variables to *(depth, index)* before running, and make a scope one object with a field
  for each parameter: fewer objects, no search.
* Keep small integers out of the heap: in words beside the fields (see [binding](super::binding)).
* Compile to code for a stack machine, whose stack is a large object or a frame of many locals.
"##
)
