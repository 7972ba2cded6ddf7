//! What lies outside the heap, and belongs to objects in it: the names of symbols, which a weak
//! table finds, and the characters of texts, which a finalizer lets go.

use std::collections::HashMap;
use std::rc::Rc;

use crate::collector::{Flags, HeapFull, Local, Mutator, Ref, Weak};
use crate::object::{Keyword, Kind};

#[derive(Default)]
pub(crate) struct Outside {
    /// Each name has one symbol at a time. The table keeps none alive.
    symbols: HashMap<Rc<str>, Weak>,
    /// The same the other way round: weak references compare and hash by the object they are to,
    /// also when that is dead.
    names: HashMap<Weak, Rc<str>>,
    /// The characters of texts, at the place that the object's word says.
    texts: Vec<String>,
    /// Places without a text.
    free: Vec<usize>,
}

impl Outside {
    /// Puts the symbol of that name into `into`.
    pub(crate) fn intern<'h>(
        &mut self,
        m: &mut Mutator<'h>,
        name: &str,
        into: Local<'_, 'h>,
    ) -> Result<(), HeapFull> {
        let known = self.symbols.get(name);
        if let Some(symbol) = known.and_then(|weak| m.upgrade(weak)) {
            m.set(into, Some(symbol));
            return Ok(());
        }
        let keyword = Keyword::ALL.iter().find(|(_, word)| *word == name);
        let keyword = keyword.map_or(Keyword::NONE, |(keyword, _)| *keyword as u64);
        m.alloc_init(into, Flags::NONE, [], [Kind::Symbol.word(), keyword])?;
        if let Some(symbol) = m.get(into) {
            let (weak, name) = (m.try_downgrade(symbol)?, Rc::<str>::from(name));
            self.names.insert(weak.clone(), name.clone());
            self.symbols.insert(name, weak);
        }
        Ok(())
    }

    pub(crate) fn name<'m, 'h>(&self, m: &'m Mutator<'h>, symbol: Ref<'m, 'h>) -> &str {
        let name = self.names.get(&m.downgrade(symbol));
        name.map_or("?", |name| name)
    }

    /// Makes a text. Its object is finalized: that is when its characters go.
    pub(crate) fn new_text<'h>(
        &mut self,
        m: &mut Mutator<'h>,
        text: String,
        into: Local<'_, 'h>,
    ) -> Result<(), HeapFull> {
        let place = self.free.last().copied().unwrap_or(self.texts.len());
        let words = [Kind::Text.word(), place as u64];
        m.alloc_init(into, Flags::FINALIZE, [], words)?;
        // The object is there: nothing can fail any more.
        match self.free.pop() {
            Some(place) => self.texts[place] = text,
            None => self.texts.push(text),
        }
        Ok(())
    }

    pub(crate) fn text<'m, 'h>(&self, m: &'m Mutator<'h>, text: Ref<'m, 'h>) -> &str {
        &self.texts[m.word(text, 1) as usize]
    }

    /// Lets go of what belonged to objects that have died. The heap calls nobody: whoever wants to
    /// know of deaths asks, where it suits.
    pub(crate) fn attend<'h>(&mut self, m: &mut Mutator<'h>, spare: Local<'_, 'h>) {
        while m.finalizable(spare) {
            if let Some(text) = m.get(spare) {
                let place = m.word(text, 1) as usize;
                self.texts[place] = String::new();
                self.free.push(place);
            }
            m.set(spare, None);
        }
        while let Some(weak) = m.cleared() {
            let Some(name) = self.names.remove(&weak) else {
                continue;
            };
            // Another symbol may have taken the name between the death and this moment.
            if self.symbols.get(&name) == Some(&weak) {
                self.symbols.remove(&name);
            }
        }
    }

    /// How many symbols and texts there are.
    pub(crate) fn len(&self) -> (usize, usize) {
        (self.symbols.len(), self.texts.len() - self.free.len())
    }
}
