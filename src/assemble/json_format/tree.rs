//! JSON that is known to be right, taken apart: what is written in it stays text.
//!
//! No tree of a library's will do: those lose names that come twice, and refuse half a surrogate pair.

use serde_json::value::RawValue;

use super::Unwritable;
use crate::assemble::select::DEPTH_LIMIT;

pub(super) enum Node<'t> {
    /// `true`, `false`, `null`.
    Word(&'t str),
    Number(&'t str),
    /// What is between the quotes.
    Text(&'t str),
    Array(Vec<Self>),
    /// Names as they are between their quotes, in their order.
    Object(Vec<(&'t str, Self)>),
}

impl<'t> Node<'t> {
    pub(super) fn of(json: &'t RawValue) -> Result<Self, Unwritable> {
        Reader { rest: json.get() }.value(DEPTH_LIMIT)
    }
}

/// What it reads was checked, so what cannot come next is not looked for.
struct Reader<'t> {
    rest: &'t str,
}

impl<'t> Reader<'t> {
    fn value(&mut self, room: usize) -> Result<Node<'t>, Unwritable> {
        Ok(match self.peek() {
            Some(b'"') => Node::Text(self.string()),
            Some(b'[') => Node::Array(self.all(room, Self::value)?),
            Some(b'{') => Node::Object(self.all(room, Self::member)?),
            Some(b'-' | b'0'..=b'9') => Node::Number(self.bare()),
            _ => Node::Word(self.bare()),
        })
    }

    fn member(&mut self, room: usize) -> Result<(&'t str, Node<'t>), Unwritable> {
        let name = self.string();
        self.peek();
        self.skip();
        Ok((name, self.value(room)?))
    }

    /// What is between two brackets.
    fn all<T>(
        &mut self,
        room: usize,
        one: fn(&mut Self, usize) -> Result<T, Unwritable>,
    ) -> Result<Vec<T>, Unwritable> {
        let room = room.checked_sub(1).ok_or(Unwritable::TooDeep)?;
        let mut all = Vec::new();
        self.skip();
        if matches!(self.peek(), Some(b']' | b'}')) {
            self.skip();
            return Ok(all);
        }
        loop {
            self.peek();
            all.push(one(self, room)?);
            let more = self.peek() == Some(b',');
            self.skip();
            if !more {
                return Ok(all);
            }
        }
    }

    /// The byte that is next, blanks aside.
    fn peek(&mut self) -> Option<u8> {
        self.rest = self.rest.trim_ascii_start();
        self.rest.as_bytes().first().copied()
    }

    /// Leaves a bracket, a comma or a colon behind.
    fn skip(&mut self) {
        self.rest = self.rest.get(1..).unwrap_or_default();
    }

    /// A number or a word.
    fn bare(&mut self) -> &'t str {
        let ends = |c: char| matches!(c, ',' | ']' | '}') || c.is_ascii_whitespace();
        let (bare, rest) = self
            .rest
            .split_at(self.rest.find(ends).unwrap_or(self.rest.len()));
        self.rest = rest;
        bare
    }

    fn string(&mut self) -> &'t str {
        self.skip();
        let mut bytes = self.rest.bytes().enumerate();
        let mut end = self.rest.len();
        while let Some((at, byte)) = bytes.next() {
            match byte {
                b'\\' => {
                    bytes.next();
                }
                b'"' => {
                    end = at;
                    break;
                }
                _ => {}
            }
        }
        let (inside, rest) = self.rest.split_at(end);
        self.rest = rest;
        self.skip();
        inside
    }
}
