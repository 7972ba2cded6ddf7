//! From text to lists in the heap, and from values to text. Neither recurses, so that no program
//! and no value is nested too deep.

use crate::Error;
use crate::collector::{Flags, Local, Mutator, Ref};
use crate::object::{Kind, cons, pair, part, reverse};
use crate::outside::Outside;

/// Puts the list of all expressions of a program into `into`.
pub(crate) fn read<'h>(
    m: &mut Mutator<'h>,
    outside: &mut Outside,
    program: &str,
    into: Local<'_, 'h>,
) -> Result<(), Error> {
    // `open`: the lists that are not closed yet, the innermost first, each in reverse order.
    m.frame(|m, [open, item, null]| {
        cons(m, open, null, null)?;
        let mut left = program;
        while let Some(token) = next(&mut left)? {
            match token {
                "(" => {
                    cons(m, open, null, open)?;
                    continue;
                }
                ")" => {
                    close(m, open, item);
                    if m.get(open).is_none() {
                        return Err(Error::Syntax("a parenthesis too many"));
                    }
                }
                _ if token.starts_with('"') => {
                    let text = token[1..token.len() - 1].to_owned();
                    outside.new_text(m, text, item)?;
                }
                _ => match token.parse::<i64>() {
                    Ok(value) => {
                        let words = [Kind::Integer.word(), value as u64];
                        m.alloc_init(item, Flags::NONE, [], words)?;
                    }
                    Err(_) => outside.intern(m, token, item)?,
                },
            }
            add(m, open, item)?;
        }
        close(m, open, into);
        match m.get(open) {
            None => Ok(()),
            Some(_) => Err(Error::Syntax("a parenthesis is missing")),
        }
    })
}

/// Adds `item` to the innermost open list.
fn add<'h>(m: &mut Mutator<'h>, open: Local<'_, 'h>, item: Local<'_, 'h>) -> Result<(), Error> {
    m.frame(|m, [list]| {
        m.set(list, part(m, m.get(open), pair::FIRST));
        cons(m, list, item, list)?;
        if let Some(innermost) = m.get(open) {
            m.store_move(innermost, pair::FIRST, list);
        }
        Ok(())
    })
}

/// Puts the innermost open list into `into`, and opens the one around it again.
fn close<'h>(m: &mut Mutator<'h>, open: Local<'_, 'h>, into: Local<'_, 'h>) {
    m.set(into, part(m, m.get(open), pair::FIRST));
    m.set(open, part(m, m.get(open), pair::REST));
    reverse(m, into);
}

/// Takes the next token off the text.
fn next<'t>(left: &mut &'t str) -> Result<Option<&'t str>, Error> {
    let text = left.trim_start();
    let length = match text.chars().next() {
        None => return Ok(None),
        Some('(' | ')') => 1,
        Some('"') => match text[1..].find('"') {
            Some(length) => length + 2,
            None => return Err(Error::Syntax("a quotation mark is missing")),
        },
        Some(_) => {
            let end = text.find(|c: char| c.is_whitespace() || "()\"".contains(c));
            end.unwrap_or(text.len())
        }
    };
    let (token, after) = text.split_at(length);
    *left = after;
    Ok(Some(token))
}

/// The most items that are printed: the heap is not polled meanwhile.
const PRINTED: usize = 1000;

/// What is still to be printed: references need no roots here, for nothing is allocated.
enum Item<'m, 'h> {
    Value(Option<Ref<'m, 'h>>),
    Rest(Ref<'m, 'h>),
}

pub(crate) fn print<'m, 'h>(
    m: &'m Mutator<'h>,
    outside: &Outside,
    value: Option<Ref<'m, 'h>>,
) -> String {
    let mut text = String::new();
    let mut items = vec![Item::Value(value)];
    for _ in 0..PRINTED {
        match items.pop() {
            None => return text,
            Some(Item::Value(None)) => text.push_str("()"),
            Some(Item::Value(Some(value))) => match Kind::of(m, value) {
                Kind::Integer => text.push_str(&(m.word(value, 1) as i64).to_string()),
                Kind::Symbol => text.push_str(outside.name(m, value)),
                Kind::Text => text.push_str(outside.text(m, value)),
                Kind::Pair => {
                    text.push('(');
                    items.push(Item::Rest(value));
                    items.push(Item::Value(m.load(value, pair::FIRST)));
                }
                _ => text.push_str("<function>"),
            },
            Some(Item::Rest(list)) => match m.load(list, pair::REST) {
                None => text.push(')'),
                Some(rest) if Kind::of(m, rest) == Kind::Pair => {
                    text.push(' ');
                    items.push(Item::Rest(rest));
                    items.push(Item::Value(m.load(rest, pair::FIRST)));
                }
                Some(_) => text.push_str(" . ?)"),
            },
        }
    }
    text + "..."
}
