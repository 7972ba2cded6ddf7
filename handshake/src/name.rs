//! What the watchdog calls a mutator.

use std::fmt::{self, Write as _};

/// What the watchdog calls a mutator: in place, as the name of a thread may be of any length and
/// memory may be short.
#[derive(Clone, Copy)]
pub struct Name {
    text: [u8; Self::MOST],
    length: u8,
}

impl Name {
    const MOST: usize = 96;

    /// As much of it as fits.
    pub fn new(name: fmt::Arguments<'_>) -> Self {
        let mut this = Self {
            text: [0; Self::MOST],
            length: 0,
        };
        // What does not fit is left out.
        let _ = this.write_fmt(name);
        this
    }
}

impl fmt::Write for Name {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let start = self.length as usize;
        let mut fits = text.len().min(Self::MOST - start);
        while !text.is_char_boundary(fits) {
            fits -= 1;
        }
        self.text[start..start + fits].copy_from_slice(&text.as_bytes()[..fits]);
        self.length += fits as u8;
        if fits < text.len() {
            return Err(fmt::Error);
        }
        Ok(())
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = &self.text[..self.length as usize];
        f.write_str(std::str::from_utf8(text).unwrap_or_default())
    }
}

/// Several, with commas between them.
#[cfg(not(loom))]
pub(crate) struct Names<'a>(pub(crate) &'a [Name]);

#[cfg(not(loom))]
impl fmt::Display for Names<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, name) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{name}")?;
        }
        Ok(())
    }
}
