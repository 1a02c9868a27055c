//! From text to requirements, token by token as `labels.Parse` of Kubernetes takes it.
//!
//! Two of its liberties are kept because they have a meaning: `a=` asks for an empty value, and so does an empty place
//! in a list.

use std::collections::BTreeSet;
use std::fmt;

use super::{Must, Requirement};
use crate::names::{Expected, LabelValue, MetadataKey};

/// Why a text is no selector, and where. It repeats nothing of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// The character it is at, counted from 1; one behind the last where something is missing at the end.
    pub at: usize,
    what: What,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Nothing,
    Key(Expected),
    Value(Expected),
    /// What should stand here.
    Wanted(&'static str),
    Numbers,
}

impl Mistake {
    /// It asks for nothing, which would be everything.
    pub fn is_nothing(&self) -> bool {
        self.what == What::Nothing
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.what {
            What::Nothing => f.write_str("it asks for nothing"),
            What::Key(expected) => write!(f, "the key at character {} must be {expected}", self.at),
            What::Value(expected) => {
                write!(f, "the value at character {} must be {expected}", self.at)
            }
            What::Wanted(what) => write!(f, "{what} should stand at character {}", self.at),
            What::Numbers => write!(
                f,
                "`>` and `<`, as at character {}, compare labels of nodes only",
                self.at
            ),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token<'a> {
    Word(&'a str),
    Equal,
    NotEqual,
    Not,
    Comma,
    Open,
    Close,
    /// `>` or `<`.
    Order,
    End,
}

/// The operators that begin a restriction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    One,
    None,
}

pub(super) fn parse(text: &str) -> Result<BTreeSet<Requirement>, Mistake> {
    let mut tokens = Tokens {
        text,
        at: 0,
        start: 0,
    };
    if tokens.peek() == Token::End {
        return Err(tokens.mistake(What::Nothing));
    }
    let mut requirements = BTreeSet::new();
    loop {
        requirements.insert(requirement(&mut tokens)?);
        match tokens.next() {
            Token::End => return Ok(requirements),
            Token::Comma => {}
            Token::Word(_)
            | Token::Equal
            | Token::NotEqual
            | Token::Not
            | Token::Open
            | Token::Close
            | Token::Order => return Err(tokens.mistake(What::Wanted("`,` or the end"))),
        }
    }
}

fn requirement(tokens: &mut Tokens<'_>) -> Result<Requirement, Mistake> {
    let absent = tokens.peek() == Token::Not;
    if absent {
        tokens.next();
    }
    let Token::Word(key) = tokens.next() else {
        return Err(tokens.mistake(What::Wanted("a label's key")));
    };
    let key = MetadataKey::new(key).map_err(|expected| tokens.mistake(What::Key(expected)))?;
    let must = match tokens.peek() {
        _ if absent => Must::NotExist,
        Token::End | Token::Comma => Must::Exist,
        Token::Equal => values(tokens, Kind::One, one_value)?,
        Token::NotEqual => values(tokens, Kind::None, one_value)?,
        Token::Word("in") => values(tokens, Kind::One, listed_values)?,
        Token::Word("notin") => values(tokens, Kind::None, listed_values)?,
        Token::Word(_) | Token::Not | Token::Open | Token::Close | Token::Order => {
            let order = tokens.next() == Token::Order;
            let wanted = What::Wanted("`=`, `!=`, `in`, `notin`, `,` or the end");
            return Err(tokens.mistake(if order { What::Numbers } else { wanted }));
        }
    };
    Ok(Requirement { key, must })
}

/// An operator and what it is about.
fn values<'a>(
    tokens: &mut Tokens<'a>,
    kind: Kind,
    read: fn(&mut Tokens<'a>) -> Result<BTreeSet<LabelValue>, Mistake>,
) -> Result<Must, Mistake> {
    tokens.next();
    let values = read(tokens)?;
    Ok(match kind {
        Kind::One => Must::BeOneOf(values),
        Kind::None => Must::BeNoneOf(values),
    })
}

fn one_value(tokens: &mut Tokens<'_>) -> Result<BTreeSet<LabelValue>, Mistake> {
    let text = match tokens.peek() {
        Token::End | Token::Comma => "",
        Token::Word(text) => {
            tokens.next();
            text
        }
        Token::Equal | Token::NotEqual | Token::Not | Token::Open | Token::Close | Token::Order => {
            tokens.next();
            return Err(tokens.mistake(What::Wanted("a label's value")));
        }
    };
    Ok([value(tokens, text)?].into())
}

fn listed_values(tokens: &mut Tokens<'_>) -> Result<BTreeSet<LabelValue>, Mistake> {
    if tokens.next() != Token::Open {
        return Err(tokens.mistake(What::Wanted("`(`")));
    }
    if tokens.peek() == Token::Close {
        tokens.next();
        return Err(tokens.mistake(What::Wanted("a label's value")));
    }
    let mut values = BTreeSet::new();
    loop {
        let text = match tokens.peek() {
            Token::Word(text) => {
                tokens.next();
                text
            }
            // An empty place in the list is the empty value.
            Token::Equal
            | Token::NotEqual
            | Token::Not
            | Token::Comma
            | Token::Open
            | Token::Close
            | Token::Order
            | Token::End => "",
        };
        values.insert(value(tokens, text)?);
        match tokens.next() {
            Token::Comma => {}
            Token::Close => return Ok(values),
            Token::Word(_)
            | Token::Equal
            | Token::NotEqual
            | Token::Not
            | Token::Open
            | Token::Order
            | Token::End => return Err(tokens.mistake(What::Wanted("`,` or `)`"))),
        }
    }
}

fn value(tokens: &Tokens<'_>, text: &str) -> Result<LabelValue, Mistake> {
    LabelValue::new(text).map_err(|expected| tokens.mistake(What::Value(expected)))
}

struct Tokens<'a> {
    text: &'a str,
    /// Behind the last token that was taken.
    at: usize,
    /// Where that one begins.
    start: usize,
}

impl<'a> Tokens<'a> {
    /// What follows, which stays there.
    fn peek(&self) -> Token<'a> {
        self.scan().0
    }

    fn next(&mut self) -> Token<'a> {
        let (token, start, end) = self.scan();
        (self.start, self.at) = (start, end);
        token
    }

    fn scan(&self) -> (Token<'a>, usize, usize) {
        let is_space = |c: char| matches!(c, ' ' | '\t' | '\r' | '\n');
        let rest = &self.text[self.at..];
        let start = self.at + (rest.len() - rest.trim_start_matches(is_space).len());
        let rest = &self.text[start..];
        let signs = [
            ("==", Token::Equal),
            ("!=", Token::NotEqual),
            ("=", Token::Equal),
            ("!", Token::Not),
            (",", Token::Comma),
            ("(", Token::Open),
            (")", Token::Close),
            (">", Token::Order),
            ("<", Token::Order),
        ];
        if rest.is_empty() {
            return (Token::End, start, start);
        }
        if let Some((sign, token)) = signs.iter().find(|(sign, _)| rest.starts_with(sign)) {
            return (*token, start, start + sign.len());
        }
        let ends = |c: char| is_space(c) || "=!(),><".contains(c);
        let length = rest.find(ends).unwrap_or(rest.len());
        (Token::Word(&rest[..length]), start, start + length)
    }

    /// At the token that was taken last.
    fn mistake(&self, what: What) -> Mistake {
        Mistake {
            at: self.text[..self.start].chars().count() + 1,
            what,
        }
    }
}
