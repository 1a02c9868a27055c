//! The outer shape of a template, judged before the engine's parser sees it: what is too deep for that, and which
//! statements open and close. The engine's own messages are not for users.

use std::ops::Range;

use minijinja::machinery::{Token, tokenize};
use minijinja::syntax::SyntaxConfig;

use super::{Broken, place, similar};

/// Operators, brackets and pipes in one `{{ }}`. Each may be one level of the engine's recursion.
const MAX_OPERATORS: usize = 200;
/// `{% if %}` in `{% for %}` in ...
const MAX_NESTING: usize = 32;
/// `{% elif %}` of one template: each is one level of the engine's recursion.
const MAX_ELIF: usize = 50;

const BLOCKS: [(&str, &str); 5] = [
    ("if", "endif"),
    ("for", "endfor"),
    ("with", "endwith"),
    ("set", "endset"),
    ("filter", "endfilter"),
];

/// Statements of Jinja that are not here, and why.
const REFUSED: [(&str, &str); 13] = [
    ("macro", "there are no macros"),
    ("call", "there are no macros"),
    ("include", "a template stands alone"),
    ("import", "a template stands alone"),
    ("from", "a template stands alone"),
    ("extends", "a template stands alone"),
    ("block", "a template stands alone"),
    (
        "autoescape",
        "nothing is escaped, whatever a template is called",
    ),
    (
        "do",
        "nothing that a template calls has an effect; use `{% set %}`",
    ),
    (
        "break",
        "loops run to their end; use `{% for ... if ... %}`",
    ),
    (
        "continue",
        "loops run to their end; use `{% for ... if ... %}`",
    ),
    (
        "range",
        "that is Go; here it is `{% for key, item in ... | items %}`",
    ),
    (
        "end",
        "that is Go; here it is `{% endif %}` or `{% endfor %}`",
    ),
];

const GO: &str = "that is Go's language; here keys have no dot before them: `{{ name }}`, `{{ data[\"tls.crt\"] }}`";

/// What the tokens of one `{{ }}` or `{% %}` come to.
#[derive(Default)]
struct Tag<'t> {
    start: usize,
    is_statement: bool,
    word: Option<&'t str>,
    tokens: usize,
    operators: usize,
    depth: usize,
    assigns: bool,
}

struct Structure<'t> {
    text: &'t str,
    tags: Vec<Range<usize>>,
    /// The statements that wait for their end, and where they stand.
    open: Vec<(&'static str, &'static str, usize)>,
    elifs: usize,
}

/// The places of all `{{ }}` and `{% %}`.
pub(super) fn tags(text: &str, syntax: SyntaxConfig) -> Result<Vec<Range<usize>>, Broken> {
    let mut structure = Structure {
        text,
        tags: Vec::new(),
        open: Vec::new(),
        elifs: 0,
    };
    let mut tag: Option<Tag<'_>> = None;
    for token in tokenize(text, false, syntax) {
        let (token, span) = token.map_err(|error| {
            let at = error.range().map_or(text.len(), |range| range.start);
            structure.unreadable(tag.as_ref(), at)
        })?;
        let (start, end) = (span.start_offset as usize, span.end_offset as usize);
        if matches!(token, Token::VariableStart | Token::BlockStart) {
            tag = Some(Tag {
                start,
                is_statement: matches!(token, Token::BlockStart),
                ..Tag::default()
            });
        } else if matches!(token, Token::VariableEnd | Token::BlockEnd) {
            if let Some(tag) = tag.take() {
                structure.tags.push(tag.start..end);
                structure.closed(&tag)?;
            }
        } else if let Some(tag) = tag.as_mut() {
            structure.inside(tag, &token, start..end)?;
        }
    }
    if let Some(tag) = tag {
        let end = if tag.is_statement { "%}" } else { "}}" };
        return Err(structure.broken(
            tag.start..text.len(),
            &format!("it never ends with `{end}`"),
        ));
    }
    match structure.open.pop() {
        None => Ok(structure.tags),
        Some((_, end, at)) => {
            Err(structure.broken(at..at + 2, &format!("`{{% {end} %}}` is missing")))
        }
    }
}

impl<'t> Structure<'t> {
    fn broken(&self, range: Range<usize>, fact: &str) -> Broken {
        place::broken(self.text, &self.tags, range, fact)
    }

    fn unreadable(&self, tag: Option<&Tag<'_>>, at: usize) -> Broken {
        let start = tag.map_or(at, |tag| tag.start);
        let end = at.max(start).min(self.text.len());
        let shown = start..self.text.len().min(end + 20);
        let shown = floor(self.text, shown.start)..floor(self.text, shown.end);
        let mut broken = self.broken(
            shown,
            "this cannot be read: a string, comment or `{% raw %}` without its end, or a character that has no meaning here",
        );
        (broken.line, broken.column) = place::line_and_column(self.text, floor(self.text, end));
        broken
    }

    fn inside(
        &self,
        tag: &mut Tag<'t>,
        token: &Token<'t>,
        range: Range<usize>,
    ) -> Result<(), Broken> {
        if let (Token::Ident(word), 0) = (token, tag.tokens) {
            tag.word = Some(word);
        }
        let is_go = matches!(token, Token::Dot) && (tag.tokens == 0 || tag.word == Some("index"));
        let first = tag.tokens == 0;
        tag.tokens += 1;
        if is_go {
            let rest = self.text[tag.start..].lines().next().unwrap_or_default();
            let shown = tag.start..tag.start + rest.len();
            return Err(self.broken(shown, GO));
        }
        if matches!(
            token,
            Token::ParenOpen | Token::BracketOpen | Token::BraceOpen
        ) {
            tag.depth += 1;
        }
        if matches!(
            token,
            Token::ParenClose | Token::BracketClose | Token::BraceClose
        ) {
            tag.depth = tag.depth.saturating_sub(1);
        }
        tag.assigns |= matches!(token, Token::Assign) && tag.depth == 0;
        tag.operators += usize::from(digs(token));
        if tag.operators > MAX_OPERATORS {
            let fact = format!(
                "more than {MAX_OPERATORS} operators in one place; split it with `{{% set %}}`"
            );
            return Err(self.broken(range, &fact));
        }
        let no_word = first && tag.is_statement && tag.word.is_none();
        if no_word {
            let fact =
                "`{%` begins a statement, such as `{% if name %}`; a value is written `{{ name }}`";
            return Err(self.broken(range, fact));
        }
        Ok(())
    }

    /// Judges a statement by its first word.
    fn closed(&mut self, tag: &Tag<'_>) -> Result<(), Broken> {
        if !tag.is_statement {
            return Ok(());
        }
        let at = tag.start..tag.start + 2;
        let Some(word) = tag.word else {
            return Err(self.broken(at, "there is nothing in it"));
        };
        if let Some((begin, end)) = BLOCKS.into_iter().find(|(begin, _)| *begin == word) {
            if begin != "set" || !tag.assigns {
                self.open.push((begin, end, tag.start));
            }
            if self.open.len() > MAX_NESTING {
                let fact = format!("statements are nested more than {MAX_NESTING} deep");
                return Err(self.broken(at, &fact));
            }
            return Ok(());
        }
        if let Some((begin, _)) = BLOCKS.into_iter().find(|(_, end)| *end == word) {
            return match self.open.pop() {
                Some((open, _, _)) if open == begin => Ok(()),
                Some((open, end, from)) => {
                    let line = place::line_and_column(self.text, from).0;
                    let fact = format!(
                        "the `{open}` of line {line} is open; it ends with `{{% {end} %}}`"
                    );
                    Err(self.broken(at, &fact))
                }
                None => Err(self.broken(at, &format!("there is no `{begin}` that it ends"))),
            };
        }
        self.middle(word, at)
    }

    fn middle(&mut self, word: &str, at: Range<usize>) -> Result<(), Broken> {
        let inside = self.open.last().map(|(begin, _, _)| *begin);
        match (word, inside) {
            ("else", Some("if" | "for")) => Ok(()),
            ("elif", Some("if")) => {
                self.elifs += 1;
                if self.elifs > MAX_ELIF {
                    let fact = format!("more than {MAX_ELIF} `elif` in one template");
                    return Err(self.broken(at, &fact));
                }
                Ok(())
            }
            ("else" | "elif", _) => Err(self.broken(at, "there is no `if` that it belongs to")),
            (word, _) => {
                if let Some((_, why)) = REFUSED.into_iter().find(|(name, _)| *name == word) {
                    return Err(self.broken(at, &format!("there is no `{word}`: {why}")));
                }
                let known = BLOCKS.into_iter().flat_map(|(begin, end)| [begin, end]);
                let known = known.chain(["elif", "else", "raw"]);
                let hint = similar::hint(word, known);
                let word = place::quoted(word);
                Err(self.broken(at, &format!("there is no statement `{word}`{hint}")))
            }
        }
    }
}

/// Whether a token may make the engine's parser dig one level deeper.
fn digs(token: &Token<'_>) -> bool {
    let is_word = matches!(
        token,
        Token::Ident("and" | "or" | "not" | "in" | "is" | "if" | "else")
    );
    let is_flat = matches!(
        token,
        Token::Ident(_)
            | Token::Comma
            | Token::Colon
            | Token::Assign
            | Token::Str(_)
            | Token::String(_)
            | Token::Int(_)
            | Token::Int128(_)
            | Token::Float(_)
            | Token::ParenClose
            | Token::BracketClose
            | Token::BraceClose
    );
    is_word || !is_flat
}

/// The nearest boundary of a character at or before `at`.
fn floor(text: &str, at: usize) -> usize {
    let at = at.min(text.len());
    (0..=at)
        .rev()
        .find(|at| text.is_char_boundary(*at))
        .unwrap_or(0)
}
