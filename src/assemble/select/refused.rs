//! Why a text is no property.

/// Why a text is no property. `at` counts its characters, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    Empty,
    /// More than [`super::TEXT_LIMIT`] bytes.
    TooLong,
    /// More than [`super::NESTING_LIMIT`] paths in one another, or a literal of more than [`super::DEPTH_LIMIT`] levels.
    TooDeep {
        at: usize,
    },
    /// A bracket or a quote that has no end.
    Unclosed {
        at: usize,
    },
    /// `@` and no name of a modifier.
    Modifier {
        at: usize,
    },
    /// An argument that its modifier does not take.
    Argument {
        at: usize,
    },
    /// A query that compares in no way that there is.
    Query {
        at: usize,
    },
    /// `!` and no JSON.
    Literal {
        at: usize,
    },
    /// Text between the end of something and the next `.` or `|`.
    Trailing {
        at: usize,
    },
}
