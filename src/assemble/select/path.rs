//! A property that was read: stages, each applied to what the one before it gave.

use zeroize::Zeroizing;

/// Stages in their order; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Path(pub(super) Vec<Stage>);

impl Path {
    /// Whether it is the name of one key, which may be a pattern.
    pub(super) fn is_one_key(&self) -> bool {
        match self.0.as_slice() {
            [Stage::Steps(steps)] => !steps.lines && steps.keys.len() == 1 && steps.end == End::Key,
            _ => false,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Steps(Steps),
    Modifier(Modifier),
    /// JSON that stands in the property itself.
    Literal(Zeroizing<String>),
    /// `[a,b]`.
    List(Vec<Path>),
    /// `{a,"b":c}`: names as JSON strings.
    Record(Vec<(String, Path)>),
}

/// Steps that are joined by dots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Steps {
    /// `..`: the value counts as the only element of an array.
    pub(super) lines: bool,
    pub(super) keys: Vec<Key>,
    pub(super) end: End,
}

/// One step down, into an object or an array.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Key {
    /// Without its escapes; a pattern where `wild`.
    pub(super) text: String,
    pub(super) wild: bool,
    pub(super) element: Element,
}

/// What a key means in an array.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Element {
    At(usize),
    /// `#`: how many there are.
    Count,
    Nothing,
    /// Nothing, and what is behind it is not looked at: gjson knows no escapes in arrays and ends the key at them.
    Cut,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The last key says it all.
    Key,
    /// `#.path`: of every element.
    Each(Path),
    Query(Box<Query>),
}

/// `#(path op value)more`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Query {
    /// `None` compares the elements themselves.
    pub(super) path: Option<Path>,
    pub(super) test: Test,
    pub(super) all: bool,
    /// Of every element that matches.
    pub(super) more: Option<Path>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Test {
    Exists,
    Compare { how: Comparison, with: Operand },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Operand {
    Text(String),
    Like(Like),
}

/// `~true` and its kin: values are taken for true or false before they are compared with true.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Like {
    True,
    False,
    Null,
    Anything,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    Unequal,
    Less,
    LessOrEqual,
    More,
    MoreOrEqual,
    Matches,
    Differs,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Modifier {
    This,
    Valid,
    Pretty(Pretty),
    Ugly,
    Reverse,
    Flatten { deep: bool },
    Join { preserve: bool },
    Keys,
    Values,
    ToStr,
    FromStr,
    Group,
    Dig(Path),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pretty {
    pub(super) sort_keys: bool,
    pub(super) indent: String,
    pub(super) prefix: String,
    /// Columns that an array may take on one line; zero and less: none.
    pub(super) width: i64,
}

impl Default for Pretty {
    fn default() -> Self {
        Self {
            sort_keys: false,
            indent: "  ".to_owned(),
            prefix: String::new(),
            width: 80,
        }
    }
}
