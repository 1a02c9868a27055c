//! Values as text, of which each tells where it ends: no two tables of values have one text.

use std::fmt;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

/// One value. Text stands in quotes, what consists of several values in brackets, so that none is taken for another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Told(String);

impl Told {
    /// Deliberately not as `Debug` has it: what that escapes changes with Unicode.
    pub(super) fn text(text: impl AsRef<[u8]>) -> Self {
        Self(format!("\"{}\"", text.as_ref().escape_ascii()))
    }

    pub(super) fn path(path: &Path) -> Self {
        Self::text(path.as_os_str().as_bytes())
    }

    pub(super) fn number(number: impl Into<u128>) -> Self {
        Self(number.into().to_string())
    }

    /// One of a few words that we chose.
    pub(super) fn word(word: &'static str) -> Self {
        Self(word.to_owned())
    }

    pub(super) fn list(items: impl IntoIterator<Item = Self>) -> Self {
        Self::bracketed('[', items, ']')
    }

    /// In the order that they come in.
    pub(super) fn map(items: impl IntoIterator<Item = (Self, Self)>) -> Self {
        let items = items.into_iter();
        Self::bracketed('{', items.map(|(key, it)| Self(format!("{key}={it}"))), '}')
    }

    /// Of names, or of whatever else is text.
    pub(super) fn texts<T: AsRef<str>>(items: impl IntoIterator<Item = T>) -> Self {
        Self::list(items.into_iter().map(|item| Self::text(item.as_ref())))
    }

    pub(super) fn into_string(self) -> String {
        self.0
    }

    fn is_empty(&self) -> bool {
        matches!(self.0.as_str(), "[]" | "{}")
    }

    fn bracketed(open: char, items: impl IntoIterator<Item = Self>, close: char) -> Self {
        let mut text = String::from(open);
        for (index, item) in items.into_iter().enumerate() {
            if index > 0 {
                text.push(' ');
            }
            text.push_str(&item.0);
        }
        text.push(close);
        Self(text)
    }
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Settings by their names, each of one kind of value.
#[derive(Debug, Default)]
pub(super) struct Table(Vec<(Told, Told)>);

impl Table {
    pub(super) fn with(mut self, name: &'static str, value: Told) -> Self {
        self.0.push((Told::word(name), value));
        self
    }

    /// Left out where it is absent.
    pub(super) fn may(self, name: &'static str, value: Option<Told>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    /// Of what consists of several values: left out where there are none.
    pub(super) fn some(self, name: &'static str, value: Told) -> Self {
        let value = Some(value).filter(|value| !value.is_empty());
        self.may(name, value)
    }

    /// Left out where it is off.
    pub(super) fn flag(self, name: &'static str, is_on: bool) -> Self {
        self.may(name, is_on.then(|| Told::word("true")))
    }

    pub(super) fn told(self) -> Told {
        Told::map(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_value_is_taken_for_another() {
        let pairs = [
            (Told::texts(["a", "b"]), Told::texts(["a b"])),
            (Told::texts(["a\" \"b"]), Told::texts(["a", "b"])),
            (Told::texts(["\\x41"]), Told::texts(["A"])),
            (Told::text([0xc3, 0xa9]), Told::text("\\xc3\\xa9")),
            (Told::text("7"), Told::number(7_u32)),
            (Told::text("true"), Told::word("true")),
            (
                Told::list([Told::texts(["a"]), Told::texts(["b"])]),
                Told::list([Told::texts(["a", "b"])]),
            ),
            (
                Told::map([(Told::text("a"), Told::text("b"))]),
                Told::texts(["a", "b"]),
            ),
        ];
        for (one, other) in pairs {
            assert_ne!(one, other);
        }
    }
}
