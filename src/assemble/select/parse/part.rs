//! A part of the text of a property that knows where it stands.

use crate::assemble::select::refused::Refused;

#[derive(Clone, Copy)]
pub(super) struct Part<'t> {
    whole: &'t str,
    start: usize,
    end: usize,
}

impl<'t> Part<'t> {
    pub(super) fn new(whole: &'t str) -> Self {
        Self {
            whole,
            start: 0,
            end: whole.len(),
        }
    }

    pub(super) fn text(self) -> &'t str {
        &self.whole[self.start..self.end]
    }

    /// The characters before it and 1.
    pub(super) fn place(self) -> usize {
        self.whole[..self.start].chars().count() + 1
    }

    pub(super) fn from(self, start: usize) -> Self {
        Self {
            start: (self.start + start).min(self.end),
            ..self
        }
    }

    pub(super) fn range(self, start: usize, end: usize) -> Self {
        Self {
            end: (self.start + end).min(self.end),
            ..self
        }
        .from(start)
    }

    pub(super) fn trimmed(self) -> Self {
        let blank = |c: char| c <= ' ';
        let text = self.text();
        let start = text.len() - text.trim_start_matches(blank).len();
        self.range(start, text.trim_end_matches(blank).len().max(start))
    }

    /// What is done with every element, and what with all of them: before and after the first `|` that is not in a
    /// query or in the braces that it begins with.
    pub(super) fn split_at_pipe(self) -> (Self, Option<Self>) {
        let bytes = self.text().as_bytes();
        let pipe = if bytes.first() == Some(&b'{') {
            closing(self)
                .ok()
                .filter(|&end| bytes.get(end) == Some(&b'|'))
        } else {
            self.first_pipe()
        };
        match pipe {
            Some(at) => (self.range(0, at), Some(self.from(at + 1))),
            None => (self, None),
        }
    }

    fn first_pipe(self) -> Option<usize> {
        let bytes = self.text().as_bytes();
        let mut at = 0;
        while let Some(&byte) = bytes.get(at) {
            match byte {
                b'\\' => at += 1,
                b'|' => return Some(at),
                b'.' if bytes.get(at + 1) == Some(&b'#')
                    && matches!(bytes.get(at + 2), Some(b'(' | b'[')) =>
                {
                    at += 1 + closing(self.from(at + 2)).ok()?;
                }
                _ => {}
            }
            at += 1;
        }
        None
    }
}

/// The length of what begins with a bracket or a quote.
pub(super) fn closing(part: Part<'_>) -> Result<usize, Refused> {
    let mut depth = 0_usize;
    let mut quoted = false;
    let mut bytes = part.text().bytes().enumerate();
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'\\' => {
                bytes.next();
                continue;
            }
            b'"' => quoted = !quoted,
            _ if quoted => {}
            b'[' | b'(' | b'{' => depth += 1,
            b']' | b')' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 && !quoted {
            return Ok(at + 1);
        }
    }
    Err(Refused::Unclosed { at: part.place() })
}
