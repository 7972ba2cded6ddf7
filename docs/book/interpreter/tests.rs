use std::thread;

use crate::Error;
use crate::collector::Heap;
use crate::interpreter::Interpreter;

fn interpreter(megabytes: usize) -> Interpreter {
    let heap = Heap::builder().limit(megabytes << 20).build();
    Interpreter::new(heap.expect("a valid limit")).expect("it has room")
}

fn value(program: &str) -> String {
    let value = interpreter(1).run(program);
    value.unwrap_or_else(|error| panic!("{program}: {error}"))
}

#[test]
fn programs_have_values() {
    for (program, expected) in [
        ("", "()"),
        ("1 2 -3", "-3"),
        ("(+ (* 6 7) (- 1 2))", "41"),
        ("(if (< 1 2) (quote yes) (quote no))", "yes"),
        ("(if (= 1 2) (quote yes) (quote no))", "no"),
        (
            "(cons 1 (cons \"two\" (quote ((three)))))",
            "(1 two (three))",
        ),
        ("(first (rest (quote (1 2))))", "2"),
        ("((lambda (x y) (- x y)) 5 3)", "2"),
        ("(define x 1) (define x 2) (set! x (+ x 1)) x", "3"),
        ("(define (adder n) (lambda (x) (+ x n))) ((adder 3) 4)", "7"),
        ("(join \"a\" (join \"b\" \"c\"))", "abc"),
        (
            "(define (f) (define y 1) (set! y 2) y) (define y 0) (f) y",
            "0",
        ),
    ] {
        assert_eq!(value(program), expected, "{program}");
    }
}

#[test]
fn every_closure_has_a_scope_of_its_own() {
    let counters = "
        (define (counter n) (lambda () (set! n (+ n 1)) n))
        (define a (counter 0))
        (define b (counter 10))
        (a) (a) (b)
        (cons (a) (cons (b) (quote ())))";
    assert_eq!(value(counters), "(3 12)");
}

#[test]
fn errors_name_what_is_wrong() {
    for (program, expected) in [
        ("(+ 1 nobody)", "nothing binds nobody"),
        ("(set! nobody 1)", "nothing binds nobody"),
        ("(1 2)", "what is called is no function"),
        ("((lambda (x) x))", "too few arguments"),
        ("((lambda (x) x) 1 2)", "too many arguments"),
        ("(+ 1 \"2\")", "arithmetic takes two integers"),
        ("(1", "a parenthesis is missing"),
        ("1)", "a parenthesis too many"),
        ("\"", "a quotation mark is missing"),
    ] {
        let error = interpreter(1).run(program).expect_err(program);
        assert_eq!(error.to_string(), expected, "{program}");
    }
}

/// Each call of `work` defines a function in its scope, which refers to that scope: a cycle.
#[test]
fn cycles_are_collected() {
    let mut interpreter = interpreter(1);
    let program = "
        (define (work n)
            (define (even n) (if (= n 0) 1 (odd (- n 1))))
            (define (odd n) (if (= n 0) 0 (even (- n 1))))
            (even n))
        (define (repeat times) (if (= times 0) (work 10) ((lambda () (work 3) (repeat (- times 1))))))
        (repeat 3000)";
    assert_eq!(interpreter.run(program).expect("it fits"), "1");
    let statistics = interpreter.heap().statistics();
    assert!(statistics.collections > 0);
    // What is allocated would not fit without.
    assert!(statistics.allocated_payload_bytes > 4 * statistics.limit_bytes);
}

/// In a thread whose native stack is small: 128 KiB, where a native frame for each call would take
/// some 10 MB.
#[test]
fn recursion_is_as_deep_as_the_heap_is_large() {
    let program = "
        (define (sum n) (if (= n 0) 0 (+ n (sum (- n 1)))))
        (sum 50000)";
    let nested = "(first ".repeat(20_000) + "(quote ())" + &")".repeat(20_000);
    let on_a_small_stack = thread::Builder::new().stack_size(128 << 10).spawn(move || {
        let mut interpreter = interpreter(64);
        let sum = interpreter.run(program).expect("it fits");
        (sum, interpreter.run(&nested).expect("it fits"))
    });
    let values = on_a_small_stack
        .expect("a thread")
        .join()
        .expect("no overflow");
    assert_eq!(values, ("1250025000".to_owned(), "()".to_owned()));
}

#[test]
fn a_tail_call_needs_no_memory() {
    let mut interpreter = interpreter(1);
    let program = "(define (loop n) (if (= n 0) 7 (loop (- n 1)))) (loop 50000)";
    assert_eq!(interpreter.run(program).expect("it fits"), "7");
}

#[test]
fn a_full_heap_is_an_error_of_the_program() {
    let mut interpreter = interpreter(1);
    let endless = "(define (for-ever n) (+ 1 (for-ever n))) (for-ever 1)";
    for _ in 0..2 {
        assert!(matches!(interpreter.run(endless), Err(Error::HeapFull(_))));
        assert_eq!(
            interpreter.run("(+ 1 2)").expect("there is room again"),
            "3"
        );
    }
}

#[test]
fn what_belongs_to_the_dead_goes() {
    let mut interpreter = interpreter(1);
    let (symbols, texts) = interpreter.collect();
    assert_eq!(texts, 0);
    for number in 0..1000 {
        let program = format!("(define kept \"kept\") (quote symbol-{number}) \"text\"");
        assert_eq!(interpreter.run(&program).expect("it fits"), "text");
    }
    // `kept` is a symbol that its binding refers to; so is the text that it is bound to.
    assert_eq!(interpreter.collect(), (symbols + 1, 1));
    assert_eq!(
        interpreter.run("(join kept kept)").expect("it is there"),
        "keptkept"
    );
}

#[test]
fn a_name_is_one_symbol_again_after_its_death() {
    let mut interpreter = interpreter(1);
    for _ in 0..3 {
        assert!(matches!(interpreter.run("mortal"), Err(Error::Unbound(_))));
        interpreter.heap().attach(|m| m.collect());
    }
    // Nobody has asked for the deaths yet.
    assert_eq!(
        interpreter.run("(define mortal 5) mortal").expect("one"),
        "5"
    );
    interpreter.collect();
    assert_eq!(interpreter.run("mortal").expect("the same"), "5");
}
