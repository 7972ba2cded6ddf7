//! The evaluator: a machine whose state is in the heap (Felleisen and Friedman's CEK machine).
//!
//! What is to be done after an expression, which a recursive evaluator has on the native stack, is
//! a list of *steps* in the heap. So a program may recurse as deep as the heap is large, and the
//! native stack has one frame of roots: the registers. A call in tail position adds no step.

use crate::Error;
use crate::collector::{Flags, Local, Mutator, Ref};
use crate::object::{Keyword, Kind, binding, closure, cons, integer, pair, part, reverse, scope};
use crate::outside::Outside;

/// The registers are locals of one frame: what is not in one of them, or reachable from one, may be
/// gone at the next operation that takes `&mut`.
#[derive(Clone, Copy)]
pub(crate) struct Registers<'f, 'h> {
    /// What is to be evaluated, and where.
    pub(crate) expression: Local<'f, 'h>,
    pub(crate) scope: Local<'f, 'h>,
    /// What came of it.
    pub(crate) value: Local<'f, 'h>,
    /// What is to be done then.
    pub(crate) steps: Local<'f, 'h>,
    pub(crate) list: Local<'f, 'h>,
    pub(crate) spare: Local<'f, 'h>,
    pub(crate) name: Local<'f, 'h>,
}

/// What a step does with the value before it.
#[derive(Clone, Copy)]
#[repr(u64)]
enum Step {
    /// Chooses one of two expressions.
    If,
    /// Ignores it, and evaluates the expressions of a body.
    Body,
    /// Binds it to the name that comes first among the expressions.
    Define,
    /// Changes the binding of that name.
    Set,
    /// Puts it before the values; evaluates the next operand, or calls.
    Operand,
}

impl Step {
    const ALL: [Self; 5] = [Self::If, Self::Body, Self::Define, Self::Set, Self::Operand];
    const NEXT: usize = 0;
    const SCOPE: usize = 1;
    const EXPRESSIONS: usize = 2;
    const VALUES: usize = 3;
}

/// What the machine does next.
enum Next {
    Evaluate,
    /// The value is there: the next step.
    Return,
}

/// How often the machine asks for deaths: every so many steps.
const ATTEND_EVERY: u32 = 1 << 12;

/// Evaluates the expressions in the list, one after the other, and leaves the value of the last in
/// its register.
pub(crate) fn run<'h>(
    m: &mut Mutator<'h>,
    outside: &mut Outside,
    r: Registers<'_, 'h>,
) -> Result<(), Error> {
    m.set(r.spare, m.get(r.list));
    let mut next = body(m, r)?;
    let mut until_attending = ATTEND_EVERY;
    loop {
        // The loop of the interpreted program, whatever that does, comes by here.
        m.safepoint();
        until_attending -= 1;
        if until_attending == 0 {
            until_attending = ATTEND_EVERY;
            outside.attend(m, r.spare);
        }
        next = match next {
            Next::Evaluate => evaluate(m, outside, r)?,
            Next::Return if m.get(r.steps).is_some() => resume(m, outside, r)?,
            Next::Return => return Ok(()),
        };
    }
}

/// Begins with the expression in its register.
fn evaluate<'h>(
    m: &mut Mutator<'h>,
    outside: &Outside,
    r: Registers<'_, 'h>,
) -> Result<Next, Error> {
    let expression = m.get(r.expression);
    match expression.map(|object| (object, Kind::of(m, object))) {
        Some((name, Kind::Symbol)) => {
            let found = find(m, m.get(r.scope), name, true);
            let found = found.ok_or_else(|| unbound(m, outside, name))?;
            m.set(r.value, m.load(found, binding::VALUE));
            return Ok(Next::Return);
        }
        Some((_, Kind::Pair)) => {}
        // Everything else is a value.
        _ => {
            m.set(r.value, expression);
            return Ok(Next::Return);
        }
    }
    let (first, rest) = (
        part(m, expression, pair::FIRST),
        part(m, expression, pair::REST),
    );
    let (second, others) = (part(m, rest, pair::FIRST), part(m, rest, pair::REST));
    m.set(r.list, None);
    match Keyword::of(m, first) {
        Some(Keyword::Quote) => {
            m.set(r.value, second);
            Ok(Next::Return)
        }
        Some(Keyword::Lambda) => {
            m.set(r.list, second);
            m.set(r.spare, others);
            new_closure(m, r)?;
            Ok(Next::Return)
        }
        Some(Keyword::If) => {
            m.set(r.expression, second);
            m.set(r.spare, others);
            push(m, r, Step::If)
        }
        Some(Keyword::Define) if second.is_some_and(|it| Kind::of(m, it) == Kind::Pair) => {
            // (define (name parameters...) body...)
            m.set(r.name, part(m, second, pair::FIRST));
            m.set(r.list, part(m, second, pair::REST));
            m.set(r.spare, others);
            new_closure(m, r)?;
            define(m, r)
        }
        Some(keyword @ (Keyword::Define | Keyword::Set)) => {
            m.set(r.expression, part(m, others, pair::FIRST));
            m.set(r.spare, rest);
            match keyword {
                Keyword::Set => push(m, r, Step::Set),
                _ => push(m, r, Step::Define),
            }
        }
        None => {
            m.set(r.expression, first);
            m.set(r.spare, rest);
            push(m, r, Step::Operand)
        }
    }
}

/// Does the next step with the value in its register.
fn resume<'h>(
    m: &mut Mutator<'h>,
    outside: &mut Outside,
    r: Registers<'_, 'h>,
) -> Result<Next, Error> {
    let step = m.get(r.steps).expect("there is one");
    let what = Step::ALL[m.word(step, 1) as usize];
    m.set(r.scope, m.load(step, Step::SCOPE));
    m.set(r.spare, m.load(step, Step::EXPRESSIONS));
    m.set(r.list, m.load(step, Step::VALUES));
    // The step may have been the last reference to itself: it can be read until the next operation
    // that takes `&mut`.
    m.set(r.steps, m.load(step, Step::NEXT));
    let expressions = m.get(r.spare);
    match what {
        Step::If => {
            let branches = match m.get(r.value) {
                Some(_) => expressions,
                None => part(m, expressions, pair::REST),
            };
            m.set(r.expression, part(m, branches, pair::FIRST));
            Ok(Next::Evaluate)
        }
        Step::Body => body(m, r),
        Step::Define => {
            m.set(r.name, part(m, expressions, pair::FIRST));
            define(m, r)
        }
        Step::Set => {
            let name = part(m, expressions, pair::FIRST).ok_or(Error::Syntax("set! of nothing"))?;
            let found = find(m, m.get(r.scope), name, true);
            let found = found.ok_or_else(|| unbound(m, outside, name))?;
            m.store(found, binding::VALUE, m.get(r.value));
            Ok(Next::Return)
        }
        Step::Operand => {
            cons(m, r.list, r.value, r.list)?;
            if m.get(r.spare).is_none() {
                return call(m, outside, r);
            }
            next_of_list(m, r);
            push(m, r, Step::Operand)
        }
    }
}

/// Calls the last of the values with the others as arguments, of which the last comes first.
fn call<'h>(
    m: &mut Mutator<'h>,
    outside: &mut Outside,
    r: Registers<'_, 'h>,
) -> Result<Next, Error> {
    // Each step has a list of its own.
    reverse(m, r.list);
    m.set(r.value, part(m, m.get(r.list), pair::FIRST));
    m.set(r.list, part(m, m.get(r.list), pair::REST));
    let function = m.get(r.value).ok_or(Error::Type("() is no function"))?;
    match Kind::of(m, function) {
        Kind::Primitive => {
            let (_, primitive) = PRIMITIVES[m.word(function, 1) as usize];
            primitive(m, outside, r)?;
            return Ok(Next::Return);
        }
        Kind::Closure => {}
        _ => return Err(Error::Type("what is called is no function")),
    }
    m.set(r.spare, m.load(function, closure::PARAMETERS));
    m.set(r.expression, m.load(function, closure::BODY));
    m.set(r.scope, m.load(function, closure::SCOPE));
    m.set(r.value, None);
    m.alloc_init(
        r.scope,
        Flags::NONE,
        [r.value, r.scope],
        [Kind::Scope.word()],
    )?;
    while let Some(parameters) = m.get(r.spare) {
        let arguments = m.get(r.list).ok_or(Error::Type("too few arguments"))?;
        m.set(r.name, part(m, Some(parameters), pair::FIRST));
        m.set(r.value, part(m, Some(arguments), pair::FIRST));
        m.set(r.spare, part(m, Some(parameters), pair::REST));
        m.set(r.list, part(m, Some(arguments), pair::REST));
        bind(m, r.scope, r.name, r.value)?;
    }
    if m.get(r.list).is_some() {
        return Err(Error::Type("too many arguments"));
    }
    m.set(r.spare, m.get(r.expression));
    body(m, r)
}

/// Evaluates the expressions in `spare`: the last of them in tail position.
fn body<'h>(m: &mut Mutator<'h>, r: Registers<'_, 'h>) -> Result<Next, Error> {
    if m.get(r.spare).is_none() {
        m.set(r.value, None);
        return Ok(Next::Return);
    }
    next_of_list(m, r);
    match m.get(r.spare) {
        None => Ok(Next::Evaluate),
        Some(_) => push(m, r, Step::Body),
    }
}

/// Takes the first of the expressions in `spare` to be evaluated.
fn next_of_list<'h>(m: &Mutator<'h>, r: Registers<'_, 'h>) {
    m.set(r.expression, part(m, m.get(r.spare), pair::FIRST));
    m.set(r.spare, part(m, m.get(r.spare), pair::REST));
}

/// Remembers a step, with the expressions in `spare` and the values in `list`, for when the
/// expression in its register has a value.
fn push<'h>(m: &mut Mutator<'h>, r: Registers<'_, 'h>, step: Step) -> Result<Next, Error> {
    let fields = [r.steps, r.scope, r.spare, r.list];
    m.alloc_init(
        r.steps,
        Flags::NONE,
        fields,
        [Kind::Step.word(), step as u64],
    )?;
    Ok(Next::Evaluate)
}

/// Makes a closure of the parameters in `list` and the body in `spare`.
fn new_closure<'h>(m: &mut Mutator<'h>, r: Registers<'_, 'h>) -> Result<(), Error> {
    let fields = [r.list, r.spare, r.scope];
    Ok(m.alloc_init(r.value, Flags::NONE, fields, [Kind::Closure.word()])?)
}

/// Binds the value to the name, in the scope of the moment. If the value is a closure of this very
/// scope, as that of every function that can call itself is, this store closes a cycle.
fn define<'h>(m: &mut Mutator<'h>, r: Registers<'_, 'h>) -> Result<Next, Error> {
    let name = m.get(r.name).ok_or(Error::Syntax("define of nothing"))?;
    match find(m, m.get(r.scope), name, false) {
        Some(found) => m.store(found, binding::VALUE, m.get(r.value)),
        None => bind(m, r.scope, r.name, r.value)?,
    }
    Ok(Next::Return)
}

/// Adds a binding to a scope.
pub(crate) fn bind<'h>(
    m: &mut Mutator<'h>,
    scope: Local<'_, 'h>,
    name: Local<'_, 'h>,
    value: Local<'_, 'h>,
) -> Result<(), Error> {
    m.frame(|m, [bindings]| {
        m.set(
            bindings,
            m.get(scope)
                .and_then(|scope| m.load(scope, scope::BINDINGS)),
        );
        let fields = [name, value, bindings];
        m.alloc_init(bindings, Flags::NONE, fields, [Kind::Binding.word()])?;
        if let Some(scope) = m.get(scope) {
            m.store_move(scope, scope::BINDINGS, bindings);
        }
        Ok(())
    })
}

/// The binding of a name in a scope, or in those around it too. Symbols of one name are one object.
fn find<'m, 'h>(
    m: &'m Mutator<'h>,
    mut scope: Option<Ref<'m, 'h>>,
    name: Ref<'m, 'h>,
    outwards: bool,
) -> Option<Ref<'m, 'h>> {
    while let Some(this) = scope {
        let mut bindings = m.load(this, scope::BINDINGS);
        while let Some(found) = bindings {
            if m.load(found, binding::NAME) == Some(name) {
                return Some(found);
            }
            bindings = m.load(found, binding::NEXT);
        }
        scope = m.load(this, scope::OUTER).filter(|_| outwards);
    }
    None
}

fn unbound<'m, 'h>(m: &'m Mutator<'h>, outside: &Outside, name: Ref<'m, 'h>) -> Error {
    let is_symbol = Kind::of(m, name) == Kind::Symbol;
    Error::Unbound(if is_symbol {
        outside.name(m, name).to_owned()
    } else {
        "what is no name".to_owned()
    })
}

/// A function of the interpreter: from the arguments in `list` to the value.
type Primitive =
    for<'f, 'h> fn(&mut Mutator<'h>, &mut Outside, Registers<'f, 'h>) -> Result<(), Error>;

pub(crate) const PRIMITIVES: [(&str, Primitive); 9] = [
    ("+", |m, _, r| arithmetic(m, r, i64::wrapping_add)),
    ("-", |m, _, r| arithmetic(m, r, i64::wrapping_sub)),
    ("*", |m, _, r| arithmetic(m, r, i64::wrapping_mul)),
    ("=", |m, _, r| comparison(m, r, |x, y| x == y)),
    ("<", |m, _, r| comparison(m, r, |x, y| x < y)),
    ("cons", |m, _, r| {
        m.set(r.value, argument(m, r, 0));
        m.set(r.spare, argument(m, r, 1));
        Ok(cons(m, r.value, r.value, r.spare)?)
    }),
    ("first", |m, _, r| {
        m.set(r.value, part(m, argument(m, r, 0), pair::FIRST));
        Ok(())
    }),
    ("rest", |m, _, r| {
        m.set(r.value, part(m, argument(m, r, 0), pair::REST));
        Ok(())
    }),
    ("join", |m, outside, r| {
        let mut joined = String::new();
        for index in 0..2 {
            let text = argument(m, r, index).filter(|&it| Kind::of(m, it) == Kind::Text);
            let text = text.ok_or(Error::Type("join takes two texts"))?;
            joined += outside.text(m, text);
        }
        Ok(outside.new_text(m, joined, r.value)?)
    }),
];

fn argument<'m, 'h>(m: &'m Mutator<'h>, r: Registers<'_, 'h>, index: usize) -> Option<Ref<'m, 'h>> {
    let arguments = (0..index).fold(m.get(r.list), |list, _| part(m, list, pair::REST));
    part(m, arguments, pair::FIRST)
}

fn operands<'h>(m: &Mutator<'h>, r: Registers<'_, 'h>) -> Result<(i64, i64), Error> {
    let operand = |index| integer(m, argument(m, r, index));
    operand(0)
        .zip(operand(1))
        .ok_or(Error::Type("arithmetic takes two integers"))
}

fn arithmetic<'h>(
    m: &mut Mutator<'h>,
    r: Registers<'_, 'h>,
    operation: fn(i64, i64) -> i64,
) -> Result<(), Error> {
    let (x, y) = operands(m, r)?;
    let words = [Kind::Integer.word(), operation(x, y) as u64];
    Ok(m.alloc_init(r.value, Flags::NONE, [], words)?)
}

/// The value is the list of the arguments, which is not empty, or the empty list.
fn comparison<'h>(
    m: &mut Mutator<'h>,
    r: Registers<'_, 'h>,
    holds: fn(&i64, &i64) -> bool,
) -> Result<(), Error> {
    let (x, y) = operands(m, r)?;
    m.set(r.value, m.get(r.list).filter(|_| holds(&x, &y)));
    Ok(())
}
