//! What one selection may cost, and the pieces that it makes.

use std::ops::Deref;

use zeroize::Zeroizing;

use super::{OUTPUT_LIMIT, WORK_LIMIT};

/// Why a selection ended early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    TooLarge,
    TooMuchWork,
}

#[derive(Debug)]
pub(super) struct Budget {
    left: usize,
}

impl Budget {
    pub(super) fn new() -> Self {
        Self { left: WORK_LIMIT }
    }

    /// `work` in bytes that are looked at or written.
    pub(super) fn spend(&mut self, work: usize) -> Result<(), Stop> {
        self.left = self.left.checked_sub(work).ok_or(Stop::TooMuchWork)?;
        Ok(())
    }

    pub(super) fn push(&mut self, out: &mut Zeroizing<String>, text: &str) -> Result<(), Stop> {
        self.spend(text.len())?;
        if out.len() + text.len() > OUTPUT_LIMIT {
            return Err(Stop::TooLarge);
        }
        out.push_str(text);
        Ok(())
    }

    /// `items` between `brackets`, with commas.
    pub(super) fn joined<'a>(
        &mut self,
        brackets: [&str; 2],
        items: impl IntoIterator<Item = &'a str>,
    ) -> Result<Zeroizing<String>, Stop> {
        let mut out = Zeroizing::default();
        self.push(&mut out, brackets[0])?;
        for (at, item) in items.into_iter().enumerate() {
            if at > 0 {
                self.push(&mut out, ",")?;
            }
            self.push(&mut out, item)?;
        }
        self.push(&mut out, brackets[1])?;
        Ok(out)
    }
}

/// JSON: a piece of what was looked at, or made from it.
#[derive(Debug)]
pub(super) enum Piece<'a> {
    Part(&'a str),
    Made(Zeroizing<String>),
}

impl Piece<'_> {
    pub(super) fn owned<'b>(self) -> Piece<'b> {
        Piece::Made(match self {
            Self::Part(text) => Zeroizing::new(text.to_owned()),
            Self::Made(text) => text,
        })
    }

    pub(super) fn made(text: &str) -> Self {
        Self::Made(Zeroizing::new(text.to_owned()))
    }
}

impl Deref for Piece<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            Self::Part(text) => text,
            Self::Made(text) => text,
        }
    }
}
