//! A small interpreter whose programs live on the heap: lists, closures, and the scopes that they
//! refer to, which are cycles. The book walks through it: `gc_rc::book::interpreter`.
//!
//! `cargo run --release -p gc-rc --example interpreter [PROGRAM]`
//!
//! Its modules are the same for both collectors, and stand in `docs/book/interpreter`.

use gc_rc as collector;

#[path = "../../../docs/book/interpreter/interpreter.rs"]
mod interpreter;
#[path = "../../../docs/book/interpreter/machine.rs"]
mod machine;
#[path = "../../../docs/book/interpreter/object.rs"]
mod object;
#[path = "../../../docs/book/interpreter/outside.rs"]
mod outside;
#[path = "../../../docs/book/interpreter/syntax.rs"]
mod syntax;
#[cfg(test)]
#[path = "../../../docs/book/interpreter/tests.rs"]
mod tests;

use interpreter::{Error, Interpreter};

/// Functions that call each other make cycles; `sum` recurses, as deep as the heap is large.
const PROGRAM: &str = "
    (define (sum n) (if (= n 0) 0 (+ n (sum (- n 1)))))
    (define (fib n) (if (< n 2) n (+ (fib (- n 1)) (fib (- n 2)))))
    (define (work n)
        (define (even n) (if (= n 0) (quote even) (odd (- n 1))))
        (define (odd n) (if (= n 0) (quote odd) (even (- n 1))))
        (even n))
    (define (repeat times)
        (if (= times 0) (work 101) ((lambda () (work 10) (repeat (- times 1))))))
    (cons (sum 20000) (cons (fib 18) (cons (repeat 2000) (quote ()))))";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let program = std::env::args().nth(1);
    let heap = collector::Heap::builder().limit(8 << 20).build()?;
    let mut interpreter = Interpreter::new(heap)?;
    println!(
        "{}",
        interpreter.run(program.as_deref().unwrap_or(PROGRAM))?
    );
    interpreter.collect();
    let statistics = interpreter.heap().statistics();
    println!(
        "{} objects, {} KiB at most, {} collections",
        statistics.allocated_objects,
        statistics.peak_occupied_bytes >> 10,
        statistics.collections
    );
    Ok(())
}
