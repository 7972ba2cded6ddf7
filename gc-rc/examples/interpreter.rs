//! A very small interpreter whose values live in the heap: numbers, pairs and closures of an
//! untyped lambda calculus with arithmetic.
//!
//! A recursive closure is stored in the environment that it captures: a cycle, which only the cycle
//! collector reclaims. The program below makes a fresh one for each of many calls.
//!
//! `cargo run -p gc-rc --example interpreter`
//!
//! How a language runtime uses this crate: each function of the interpreter that keeps values
//! across an allocation has a frame; results are passed through a local of the caller; what is only
//! looked at is read through unrooted references.

use std::fmt;
use std::rc::Rc;

use gc_rc::{Cycle, EventKind, Flags, Heap, HeapFull, Local, Mutator, Ref};

/// A program. Variables are numbered from the innermost binding outwards (de Bruijn indices).
enum Term {
    Number(u64),
    Variable(usize),
    Lambda(Rc<Term>),
    /// Binds a closure that can refer to itself as variable 1 (its argument is variable 0), then
    /// goes on with it as variable 0.
    LetRec(Rc<Term>, Rc<Term>),
    Call(Rc<Term>, Rc<Term>),
    Binary(fn(u64, u64) -> u64, Rc<Term>, Rc<Term>),
    /// Evaluates the second term if the first is zero, the third if not.
    IfZero(Rc<Term>, Rc<Term>, Rc<Term>),
}

// Heap objects, told apart by their first word.
//   number:      words [NUMBER, value]
//   closure:     field [environment], words [CLOSURE, index of its body]
//   environment: fields [value, outer environment], words [ENVIRONMENT]
const NUMBER: u64 = 0;
const CLOSURE: u64 = 1;
const ENVIRONMENT: u64 = 2;

enum Error {
    HeapFull(HeapFull),
    NotANumber,
    NotAFunction,
    Unbound(usize),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::HeapFull(full) => full.fmt(f),
            Self::NotANumber => write!(
                f,
                "the program calculates with something that is not a number"
            ),
            Self::NotAFunction => write!(f, "the program calls something that is not a function"),
            Self::Unbound(index) => {
                write!(f, "the program uses variable {index}, which nothing binds")
            }
        }
    }
}

impl From<HeapFull> for Error {
    fn from(full: HeapFull) -> Self {
        Self::HeapFull(full)
    }
}

/// Bodies of lambdas, which closures in the heap refer to by number.
#[derive(Default)]
struct Interpreter {
    bodies: Vec<Rc<Term>>,
}

impl Interpreter {
    fn body(&mut self, body: &Rc<Term>) -> u64 {
        let known = self.bodies.iter().position(|known| Rc::ptr_eq(known, body));
        known.unwrap_or_else(|| {
            self.bodies.push(body.clone());
            self.bodies.len() - 1
        }) as u64
    }

    /// Evaluates `term` in `environment` and leaves its value in `result`.
    fn evaluate<'h>(
        &mut self,
        m: &mut Mutator<'h>,
        term: &Term,
        environment: Local<'_, 'h>,
        result: Local<'_, 'h>,
    ) -> Result<(), Error> {
        m.safepoint();
        match term {
            Term::Number(value) => Ok(m.alloc_init(result, Flags::NONE, [], [NUMBER, *value])?),
            Term::Variable(index) => {
                let mut scope = m.get(environment);
                for _ in 0..*index {
                    scope = scope.and_then(|scope| m.load(scope, 1));
                }
                let scope = scope.ok_or(Error::Unbound(*index))?;
                m.set(result, m.load(scope, 0));
                Ok(())
            }
            Term::Lambda(body) => {
                let body = self.body(body);
                Ok(m.alloc_init(result, Flags::NONE, [environment], [CLOSURE, body])?)
            }
            Term::LetRec(body, rest) => m.frame(|m, [scope, closure]| {
                m.alloc_init(scope, Flags::NONE, [closure, environment], [ENVIRONMENT])?;
                let body = self.body(body);
                m.alloc_init(closure, Flags::NONE, [scope], [CLOSURE, body])?;
                // The knot: the environment refers to the closure that refers to it.
                m.store(m.get(scope).expect("just made"), 0, m.get(closure));
                self.evaluate(m, rest, scope, result)
            }),
            Term::Call(function, argument) => m.frame(|m, [callee, value]| {
                self.evaluate(m, function, environment, callee)?;
                self.evaluate(m, argument, environment, value)?;
                let closure = m
                    .get(callee)
                    .filter(|&callee| m.word(callee, 0) == CLOSURE)
                    .ok_or(Error::NotAFunction)?;
                let body = self.bodies[m.word(closure, 1) as usize].clone();
                // The scope of the call takes the place of the closure.
                m.set(callee, m.load(closure, 0));
                m.alloc_move(callee, Flags::NONE, [value, callee], [ENVIRONMENT])?;
                self.evaluate(m, &body, callee, result)
            }),
            Term::Binary(operation, left, right) => m.frame(|m, [x, y]| {
                self.evaluate(m, left, environment, x)?;
                self.evaluate(m, right, environment, y)?;
                let value = operation(number(m, m.get(x))?, number(m, m.get(y))?);
                Ok(m.alloc_init(result, Flags::NONE, [], [NUMBER, value])?)
            }),
            Term::IfZero(condition, zero, other) => {
                let chosen = m.frame(|m, [value]| {
                    self.evaluate(m, condition, environment, value)?;
                    Ok::<_, Error>(if number(m, m.get(value))? == 0 {
                        zero
                    } else {
                        other
                    })
                })?;
                self.evaluate(m, chosen, environment, result)
            }
        }
    }
}

fn number<'m, 'h>(m: &'m Mutator<'h>, value: Option<Ref<'m, 'h>>) -> Result<u64, Error> {
    value
        .filter(|&value| m.word(value, 0) == NUMBER)
        .map(|value| m.word(value, 1))
        .ok_or(Error::NotANumber)
}

/// `let rec sum n = if n = 0 then 0 else n + sum (n - 1) in (fun x -> x) (sum 40)`
fn program() -> Term {
    use Term::{Binary, Call, IfZero, Lambda, LetRec, Number, Variable};
    let n = || Rc::new(Variable(0));
    let less_one = Binary(u64::wrapping_sub, n(), Rc::new(Number(1)));
    let again = Call(Rc::new(Variable(1)), Rc::new(less_one));
    let sum = IfZero(
        n(),
        Rc::new(Number(0)),
        Rc::new(Binary(u64::wrapping_add, n(), Rc::new(again))),
    );
    let total = Call(Rc::new(Variable(0)), Rc::new(Number(40)));
    let identity = Lambda(Rc::new(Variable(0)));
    LetRec(
        Rc::new(sum),
        Rc::new(Call(Rc::new(identity), Rc::new(total))),
    )
}

fn run(cycle: Cycle) -> Result<String, Error> {
    const CALLS: u64 = 20_000;
    let heap = Heap::builder()
        .limit(1 << 20)
        .cycle(cycle)
        .build()
        .expect("a valid configuration");
    let program = program();
    let mut interpreter = Interpreter::default();
    heap.attach(|m| {
        m.frame(|m, [nothing, result]| {
            for _ in 0..CALLS {
                interpreter.evaluate(m, &program, nothing, result)?;
                assert_eq!(number(m, m.get(result))?, 40 * 41 / 2);
            }
            Ok::<_, Error>(())
        })
    })?;
    let statistics = heap.statistics();
    let found: u64 = heap
        .take_events()
        .events
        .iter()
        .map(|event| {
            if let EventKind::Collection { unreachable, .. } = event.kind {
                unreachable
            } else {
                0
            }
        })
        .sum();
    Ok(format!(
        "{CALLS} calls, {} objects, {} of them in cyclic garbage, {} KiB at most",
        statistics.allocated_objects,
        found,
        statistics.peak_occupied_bytes >> 10
    ))
}

fn main() {
    for cycle in [Cycle::Generational, Cycle::None] {
        match run(cycle) {
            Ok(summary) => println!("{cycle:?}: {summary}"),
            // Without a collector the closures pile up until the limit: that is the point.
            Err(error) => println!("{cycle:?}: {error}"),
        }
    }
}
