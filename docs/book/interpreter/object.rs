//! What lies on the heap. An object's first word says what it is; its fields are always as many as
//! its kind has.

use crate::collector::{Flags, HeapFull, Local, Mutator, Ref};

/// | kind | fields | words after the kind |
/// |---|---|---|
/// | integer | | its value |
/// | symbol | | the number of its [`Keyword`] |
/// | text | | where its characters are, outside the heap |
/// | primitive | | its number |
/// | pair | first, rest | |
/// | closure | parameters, body, scope | |
/// | scope | bindings, outer scope | |
/// | binding | name, value, next binding | |
/// | step | next step, scope, expressions, values | what is to be done |
///
/// The empty list is null.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub(crate) enum Kind {
    Integer,
    Symbol,
    Text,
    Primitive,
    Pair,
    Closure,
    Scope,
    Binding,
    Step,
}

impl Kind {
    const ALL: [Self; 9] = [
        Self::Integer,
        Self::Symbol,
        Self::Text,
        Self::Primitive,
        Self::Pair,
        Self::Closure,
        Self::Scope,
        Self::Binding,
        Self::Step,
    ];

    /// The first word of an object.
    pub(crate) const fn word(self) -> u64 {
        self as u64
    }

    pub(crate) fn of<'m, 'h>(m: &'m Mutator<'h>, object: Ref<'m, 'h>) -> Self {
        Self::ALL[m.word(object, 0) as usize]
    }
}

pub(crate) mod pair {
    pub(crate) const FIRST: usize = 0;
    pub(crate) const REST: usize = 1;
}

pub(crate) mod closure {
    pub(crate) const PARAMETERS: usize = 0;
    pub(crate) const BODY: usize = 1;
    pub(crate) const SCOPE: usize = 2;
}

pub(crate) mod scope {
    pub(crate) const BINDINGS: usize = 0;
    pub(crate) const OUTER: usize = 1;
}

pub(crate) mod binding {
    pub(crate) const NAME: usize = 0;
    pub(crate) const VALUE: usize = 1;
    pub(crate) const NEXT: usize = 2;
}

/// Symbols that begin special forms.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u64)]
pub(crate) enum Keyword {
    Quote,
    If,
    Define,
    Set,
    Lambda,
}

impl Keyword {
    pub(crate) const ALL: [(Self, &str); 5] = [
        (Self::Quote, "quote"),
        (Self::If, "if"),
        (Self::Define, "define"),
        (Self::Set, "set!"),
        (Self::Lambda, "lambda"),
    ];
    /// The word of a symbol that is none.
    pub(crate) const NONE: u64 = u64::MAX;

    /// The keyword that `object` is, if it is one.
    pub(crate) fn of<'m, 'h>(m: &'m Mutator<'h>, object: Option<Ref<'m, 'h>>) -> Option<Self> {
        let symbol = object.filter(|&object| Kind::of(m, object) == Kind::Symbol)?;
        let (keyword, _) = Self::ALL.get(m.word(symbol, 1) as usize)?;
        Some(*keyword)
    }
}

/// The value of an integer.
pub(crate) fn integer<'m, 'h>(m: &'m Mutator<'h>, object: Option<Ref<'m, 'h>>) -> Option<i64> {
    let integer = object.filter(|&object| Kind::of(m, object) == Kind::Integer)?;
    Some(m.word(integer, 1) as i64)
}

/// A field of a pair; null if `object` is none.
pub(crate) fn part<'m, 'h>(
    m: &'m Mutator<'h>,
    object: Option<Ref<'m, 'h>>,
    field: usize,
) -> Option<Ref<'m, 'h>> {
    let pair = object.filter(|&object| Kind::of(m, object) == Kind::Pair)?;
    m.load(pair, field)
}

/// Puts a pair of what `first` and `rest` hold into `into`, which may be one of them.
pub(crate) fn cons<'h>(
    m: &mut Mutator<'h>,
    into: Local<'_, 'h>,
    first: Local<'_, 'h>,
    rest: Local<'_, 'h>,
) -> Result<(), HeapFull> {
    m.alloc_init(into, Flags::NONE, [first, rest], [Kind::Pair.word()])
}

/// Reverses, in place, a list that nobody else has. Allocates nothing; polls at every pair, as the
/// list may be long.
pub(crate) fn reverse<'h>(m: &mut Mutator<'h>, list: Local<'_, 'h>) {
    m.frame(|m, [done, next]| {
        while let Some(pair) = m.get(list) {
            m.set(next, m.load(pair, pair::REST));
            m.store(pair, pair::REST, m.get(done));
            m.set(done, Some(pair));
            m.set(list, m.get(next));
            m.safepoint();
        }
        m.set(list, m.get(done));
    });
}
