//! What became of one key.

/// From best to worst.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The output says the same.
    Exact,
    /// It has no say in what is delivered: what the API server adds, what only the old controller uses.
    Noted(&'static str),
    /// The output says nearly the same, and this is the difference.
    Warned(String),
    /// It cannot be said in the output, so its object is not in there.
    Refused(String),
}

impl Verdict {
    /// Of a key that nobody read.
    pub(super) fn unknown() -> Self {
        Self::Refused("this key is not known to `import`".to_owned())
    }

    pub(super) fn word(&self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Noted(_) => "noted",
            Self::Warned(_) => "warned",
            Self::Refused(_) => "refused",
        }
    }

    pub(super) fn sentence(&self) -> &str {
        match self {
            Self::Exact => "",
            Self::Noted(why) => why,
            Self::Warned(sentence) | Self::Refused(sentence) => sentence,
        }
    }

    /// Both are true of one key: the worse counts, and of two alike both are said.
    pub(super) fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Refused(a), Self::Refused(b)) => Self::Refused(both(a, &b)),
            (Self::Warned(a), Self::Warned(b)) => Self::Warned(both(a, &b)),
            (refused @ Self::Refused(_), _) | (_, refused @ Self::Refused(_)) => refused,
            (warned @ Self::Warned(_), _) | (_, warned @ Self::Warned(_)) => warned,
            (noted @ Self::Noted(_), _) | (_, noted @ Self::Noted(_)) => noted,
            (Self::Exact, Self::Exact) => Self::Exact,
        }
    }
}

/// A list can have thousands of mistakes, each of which adds to the same key.
const LONGEST: usize = 2000;
const MORE: &str = "; and more";

fn both(a: String, b: &str) -> String {
    if a.ends_with(MORE) || a.contains(b) {
        a
    } else if a.len() > LONGEST {
        a + MORE
    } else {
        format!("{a}; {b}")
    }
}
