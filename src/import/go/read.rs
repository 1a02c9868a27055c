//! The inside of an action, read as far as it is pipelines of commands.

/// Parentheses within one another.
const DEEPEST: usize = 16;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Operand {
    /// `.`
    Dot,
    /// `.a`, `.a.b`
    Field(Vec<String>),
    /// `"..."`, in quotes of either kind.
    Text(String),
    Number(String),
    /// A function.
    Word(String),
    /// `( ... )`, and the members that follow it.
    Group(Vec<Vec<Operand>>, Vec<String>),
}

pub(super) struct Reader<'t> {
    rest: &'t str,
    depth: usize,
}

impl<'t> Reader<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self {
            rest: text,
            depth: 0,
        }
    }

    /// Nothing may be left.
    pub(super) fn end(&mut self) -> Result<(), String> {
        self.skip();
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err("this is more than lookups and pipelines".to_owned())
        }
    }

    /// Commands with `|` between them.
    pub(super) fn pipeline(&mut self) -> Result<Vec<Vec<Operand>>, String> {
        let mut commands = vec![self.command()?];
        while self.eat('|') {
            commands.push(self.command()?);
        }
        Ok(commands)
    }

    fn command(&mut self) -> Result<Vec<Operand>, String> {
        let mut operands = Vec::new();
        loop {
            let before = self.rest.len();
            self.skip();
            if self.rest.is_empty() || self.rest.starts_with(['|', ')']) {
                break;
            }
            if !operands.is_empty() && before == self.rest.len() {
                return Err("this is more than lookups and pipelines".to_owned());
            }
            operands.push(self.operand()?);
        }
        if operands.is_empty() {
            return Err("there is nothing in it".to_owned());
        }
        Ok(operands)
    }

    fn operand(&mut self) -> Result<Operand, String> {
        match self.rest.chars().next() {
            Some('.') => self.field(),
            Some('"') => self.interpreted(),
            Some('`') => self.raw(),
            Some('(') => self.group(),
            Some(c) if c.is_ascii_digit() => Ok(Operand::Number(self.take(|c| c.is_ascii_digit()))),
            Some(c) if c.is_alphabetic() || c == '_' => self.word(),
            Some('$') => Err("variables are not converted".to_owned()),
            Some(_) | None => Err("this is more than lookups and pipelines".to_owned()),
        }
    }

    fn word(&mut self) -> Result<Operand, String> {
        let word = self.take(|c| c.is_alphanumeric() || c == '_');
        match &*word {
            "if" | "else" | "end" | "range" | "with" | "define" | "template" | "block"
            | "break" | "continue" => {
                Err("conditions, loops and further templates are not converted".to_owned())
            }
            "true" | "false" | "nil" => {
                Err("only texts, numbers and keys are values here".to_owned())
            }
            _ if self.rest.starts_with('.') => {
                Err("this is more than lookups and pipelines".to_owned())
            }
            _ => Ok(Operand::Word(word)),
        }
    }

    fn field(&mut self) -> Result<Operand, String> {
        let names = self.members();
        match names.as_slice() {
            [] if self.eat_now('.') => Ok(Operand::Dot),
            [] => Err("this is more than lookups and pipelines".to_owned()),
            _ => Ok(Operand::Field(names)),
        }
    }

    /// `.a.b`, each beginning with a letter.
    fn members(&mut self) -> Vec<String> {
        let mut names = Vec::new();
        while let Some(rest) = self.rest.strip_prefix('.') {
            if !rest.starts_with(|c: char| c.is_alphabetic() || c == '_') {
                break;
            }
            self.rest = rest;
            names.push(self.take(|c| c.is_alphanumeric() || c == '_'));
        }
        names
    }

    fn group(&mut self) -> Result<Operand, String> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err("this nests too deep".to_owned());
        }
        self.eat_now('(');
        let pipeline = self.pipeline()?;
        if !self.eat(')') {
            return Err("a parenthesis has no end".to_owned());
        }
        self.depth -= 1;
        Ok(Operand::Group(pipeline, self.members()))
    }

    fn raw(&mut self) -> Result<Operand, String> {
        let inner = &self.rest[1..];
        let end = inner.find('`').ok_or("a text has no end")?;
        self.rest = &inner[end + 1..];
        Ok(Operand::Text(inner[..end].replace('\r', "")))
    }

    fn interpreted(&mut self) -> Result<Operand, String> {
        let mut text = String::new();
        let mut chars = self.rest.char_indices().skip(1);
        while let Some((at, c)) = chars.next() {
            let c = match c {
                '"' => {
                    self.rest = &self.rest[at + 1..];
                    return Ok(Operand::Text(text));
                }
                '\n' => break,
                '\\' => match chars.next() {
                    Some((_, 'n')) => '\n',
                    Some((_, 't')) => '\t',
                    Some((_, 'r')) => '\r',
                    Some((_, c @ ('"' | '\\'))) => c,
                    Some(_) | None => return Err("this escape is not converted".to_owned()),
                },
                c => c,
            };
            text.push(c);
        }
        Err("a text has no end".to_owned())
    }

    fn take(&mut self, part: impl Fn(char) -> bool) -> String {
        let end = self.rest.find(|c| !part(c)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(end);
        self.rest = rest;
        taken.to_owned()
    }

    fn skip(&mut self) {
        self.rest = self.rest.trim_start_matches(super::WHITE);
    }

    fn eat(&mut self, c: char) -> bool {
        self.skip();
        self.eat_now(c)
    }

    fn eat_now(&mut self, c: char) -> bool {
        let rest = self.rest.strip_prefix(c);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }
}
