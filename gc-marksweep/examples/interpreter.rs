//! A very small interpreter with closures: the lambda calculus with integers, whose environments
//! and closures are heap objects. Recursive functions refer to the environment that refers to them,
//! so every one is a cycle.
//!
//! `cargo run --release -p gc-marksweep --example interpreter`
//!
//! Expressions are Rust values, for they are code; everything a program makes at run time is on the
//! heap:
//!
//! | object | fields | words |
//! |---|---|---|
//! | integer | - | tag 0, value |
//! | closure | environment | tag 1, number of the function |
//! | environment | value, parent | - |

use gc_marksweep::{Flags, Heap, HeapFull, Local, Mutator};

enum Expr {
    Number(u64),
    /// The value bound by the n-th enclosing function or `LetRec`, counted outwards from 0.
    Variable(usize),
    /// A function of one argument, by its number in the program.
    Function(usize),
    Call(Box<Expr>, Box<Expr>),
    /// Binds a function in its own scope, then evaluates the body: the cycle.
    LetRec(usize, Box<Expr>),
    IfZero(Box<Expr>, Box<Expr>, Box<Expr>),
    Add(Box<Expr>, Box<Expr>),
    Subtract(Box<Expr>, Box<Expr>),
}

const INTEGER: u64 = 0;
const CLOSURE: u64 = 1;
const VALUE: usize = 0;
const PARENT: usize = 1;

/// A program: the bodies of its functions.
struct Program(Vec<Expr>);

#[derive(Debug)]
enum Error {
    HeapFull(HeapFull),
    Type(&'static str),
}

impl From<HeapFull> for Error {
    fn from(full: HeapFull) -> Self {
        Self::HeapFull(full)
    }
}

impl Program {
    /// Evaluates `expr` in the environment that `env` holds, into `out`.
    fn eval<'h>(
        &self,
        m: &mut Mutator<'h>,
        expr: &Expr,
        env: Local<'_, 'h>,
        out: Local<'_, 'h>,
    ) -> Result<(), Error> {
        m.safepoint();
        match expr {
            Expr::Number(value) => m.alloc_init(out, Flags::ACYCLIC, [], [INTEGER, *value])?,
            Expr::Variable(index) => {
                let mut scope = m.get(env);
                for _ in 0..*index {
                    scope = scope.and_then(|scope| m.load(scope, PARENT));
                }
                let scope = scope.ok_or(Error::Type("an unbound variable"))?;
                m.set(out, m.load(scope, VALUE));
            }
            Expr::Function(number) => {
                m.alloc_init(out, Flags::NONE, [env], [CLOSURE, *number as u64])?
            }
            Expr::Call(function, argument) => m.frame(|m, [closure, scope]| {
                self.eval(m, function, env, closure)?;
                self.eval(m, argument, env, out)?;
                let (parent, body) = match m.get(closure) {
                    Some(closure) if m.word(closure, 0) == CLOSURE => {
                        (m.load(closure, 0), m.word(closure, 1))
                    }
                    _ => return Err(Error::Type("a call of what is no function")),
                };
                m.set(scope, parent);
                m.alloc_init(scope, Flags::NONE, [out, scope], [])?;
                self.eval(m, &self.0[body as usize], scope, out)
            })?,
            Expr::LetRec(number, body) => m.frame(|m, [scope, closure]| {
                m.alloc_init(scope, Flags::NONE, [closure, env], [])?;
                m.alloc_init(closure, Flags::NONE, [scope], [CLOSURE, *number as u64])?;
                if let Some(scope) = m.get(scope) {
                    m.store(scope, VALUE, m.get(closure));
                }
                self.eval(m, body, scope, out)
            })?,
            Expr::IfZero(condition, then, otherwise) => {
                let branch = if self.integer(m, condition, env)? == 0 {
                    then
                } else {
                    otherwise
                };
                self.eval(m, branch, env, out)?;
            }
            Expr::Add(one, two) => {
                let sum = self
                    .integer(m, one, env)?
                    .wrapping_add(self.integer(m, two, env)?);
                m.alloc_init(out, Flags::ACYCLIC, [], [INTEGER, sum])?;
            }
            Expr::Subtract(one, two) => {
                let difference = self
                    .integer(m, one, env)?
                    .wrapping_sub(self.integer(m, two, env)?);
                m.alloc_init(out, Flags::ACYCLIC, [], [INTEGER, difference])?;
            }
        }
        Ok(())
    }

    fn integer<'h>(
        &self,
        m: &mut Mutator<'h>,
        expr: &Expr,
        env: Local<'_, 'h>,
    ) -> Result<u64, Error> {
        m.frame(|m, [out]| {
            self.eval(m, expr, env, out)?;
            match m.get(out) {
                Some(value) if m.word(value, 0) == INTEGER => Ok(m.word(value, 1)),
                _ => Err(Error::Type("arithmetic on what is no integer")),
            }
        })
    }
}

fn variable(index: usize) -> Box<Expr> {
    Box::new(Expr::Variable(index))
}

fn number(value: u64) -> Box<Expr> {
    Box::new(Expr::Number(value))
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Function 0: fib = n -> if n = 0 then 0 else if n - 1 = 0 then 1 else fib (n - 1) + fib (n -
    // 2), where variable 0 is n and variable 1 is fib.
    let call = |less| {
        let argument = Expr::Subtract(variable(0), number(less));
        Box::new(Expr::Call(variable(1), Box::new(argument)))
    };
    let minus_one = Box::new(Expr::Subtract(variable(0), number(1)));
    let recurse = Box::new(Expr::Add(call(1), call(2)));
    let fib = Expr::IfZero(
        variable(0),
        number(0),
        Box::new(Expr::IfZero(minus_one, number(1), recurse)),
    );
    // Function 1: x -> (function 2: y -> x + y), where y is variable 0 and x is variable 1.
    let adder = Expr::Function(2);
    let add = Expr::Add(variable(0), variable(1));
    let program = Program(vec![fib, adder, add]);
    let fib_of = |n| Expr::LetRec(0, Box::new(Expr::Call(variable(0), number(n))));
    let add_three = Expr::Call(Box::new(Expr::Function(1)), number(3));
    let runs = [
        ("add 3 4", Expr::Call(Box::new(add_three), number(4))),
        ("fib 10", fib_of(10)),
        ("fib 20", fib_of(20)),
        ("fib 25", fib_of(25)),
    ];

    let heap = Heap::builder().limit(1 << 20).build()?;
    for (name, expr) in &runs {
        match heap.attach(|m| m.frame(|m, [env]| program.integer(m, expr, env))) {
            Ok(value) => println!("{name} = {value}"),
            Err(Error::HeapFull(full)) => println!("{name}: {full}"),
            Err(Error::Type(what)) => println!("{name}: {what}"),
        }
    }
    let statistics = heap.statistics();
    println!(
        "{} objects in a heap of {} KiB, {} collections, {} bytes live at the last",
        statistics.allocated_objects,
        statistics.limit_bytes >> 10,
        statistics.collections,
        statistics.live_bytes.unwrap_or(0),
    );
    Ok(())
}
