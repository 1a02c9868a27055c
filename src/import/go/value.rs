//! An expression of ours on its way, and what it is made of.

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Value {
    pub text: String,
    pub shape: Shape,
    pub source: Source,
    /// The text itself, where it is one as it stands.
    pub literal: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    Text,
    /// The whole of what was in a JSON text.
    Json,
    /// Something in there, probably a text; where it is none, rendering says so.
    Member,
}

/// What an expression is made of. The order says what two of them are together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Source {
    /// The template alone: it is a value that stands there, whatever functions make of it.
    Constant,
    /// Nothing but one key.
    Lookup,
    Keys,
    /// Keys, and text of the template.
    Mixed,
}

impl Value {
    pub(super) fn text(text: impl Into<String>, source: Source) -> Self {
        Self {
            text: text.into(),
            shape: Shape::Text,
            source,
            literal: None,
        }
    }
}

impl Source {
    /// Of what is made of all these.
    pub(super) fn of<'v>(values: impl IntoIterator<Item = &'v Value>) -> Self {
        match values.into_iter().map(|it| it.source).max() {
            None | Some(Self::Constant) => Self::Constant,
            Some(Self::Lookup | Self::Keys) => Self::Keys,
            Some(Self::Mixed) => Self::Mixed,
        }
    }
}
