//! The interpreter as a whole: what of it outlives a program, and what a program returns.

use std::fmt;

use crate::collector::{Flags, Global, Heap, HeapFull, Mutator};
use crate::machine::{self, PRIMITIVES, Registers};
use crate::object::Kind;
use crate::outside::Outside;
use crate::syntax;

pub(crate) struct Interpreter {
    heap: Heap,
    /// The outermost scope: the one root that outlives a program. Everything else is in registers.
    top: Global,
    outside: Outside,
}

/// Why a program has no value. The interpreter goes on with the next.
#[derive(Debug)]
pub(crate) enum Error {
    HeapFull(HeapFull),
    Syntax(&'static str),
    Type(&'static str),
    Unbound(String),
}

impl From<HeapFull> for Error {
    fn from(full: HeapFull) -> Self {
        Self::HeapFull(full)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::HeapFull(full) => full.fmt(f),
            Self::Syntax(what) | Self::Type(what) => f.write_str(what),
            Self::Unbound(name) => write!(f, "nothing binds {name}"),
        }
    }
}

impl std::error::Error for Error {}

/// Calls `f` with registers that hold nothing.
fn with_registers<'h, R>(
    m: &mut Mutator<'h>,
    f: impl FnOnce(&mut Mutator<'h>, Registers<'_, 'h>) -> R,
) -> R {
    m.frame(|m, [expression, scope, value, steps, list, spare, name]| {
        let registers = Registers {
            expression,
            scope,
            value,
            steps,
            list,
            spare,
            name,
        };
        f(m, registers)
    })
}

impl Interpreter {
    pub(crate) fn new(heap: Heap) -> Result<Self, Error> {
        let mut outside = Outside::default();
        let top = heap.attach(|m| {
            with_registers(m, |m, r| {
                m.alloc_init(
                    r.scope,
                    Flags::NONE,
                    [r.value, r.value],
                    [Kind::Scope.word()],
                )?;
                for (number, (name, _)) in PRIMITIVES.iter().enumerate() {
                    outside.intern(m, name, r.name)?;
                    let words = [Kind::Primitive.word(), number as u64];
                    m.alloc_init(r.value, Flags::NONE, [], words)?;
                    machine::bind(m, r.scope, r.name, r.value)?;
                }
                let scope = m.get(r.scope).expect("just made");
                Ok::<_, Error>(m.try_global(scope)?)
            })
        })?;
        Ok(Self { heap, top, outside })
    }

    /// The value of the last expression of a program, as text.
    pub(crate) fn run(&mut self, program: &str) -> Result<String, Error> {
        let Self { heap, top, outside } = self;
        heap.attach(|m| {
            with_registers(m, |m, r| {
                syntax::read(m, outside, program, r.list)?;
                m.set(r.scope, Some(m.open(top)));
                machine::run(m, outside, r)?;
                Ok(syntax::print(m, outside, m.get(r.value)))
            })
            // The frame is gone, also where `?` has left it: so is all that the program had.
        })
    }

    /// Collects, lets go of what belonged to the dead, and says how many symbols and texts are
    /// left.
    pub(crate) fn collect(&mut self) -> (usize, usize) {
        self.heap.attach(|m| {
            m.collect();
            m.frame(|m, [spare]| self.outside.attend(m, spare));
        });
        self.outside.len()
    }

    pub(crate) fn heap(&self) -> &Heap {
        &self.heap
    }
}
