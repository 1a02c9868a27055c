//! What the API server was asked, by keys and never by values.

use std::time::Instant;

use axum::http::Version;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    Get,
    List,
    Watch,
    Apply,
    Patch,
    Create,
    Update,
    Delete,
    Other,
}

/// What a client wants to see of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    Whole,
    Metadata,
}

/// One request.
#[derive(Clone, Debug)]
pub struct Request {
    pub at: Instant,
    pub verb: Verb,
    /// As `secrets` or `externalsecrets.external-secrets.io`; empty where the path leads to no kind.
    pub resource: String,
    pub namespace: String,
    /// Empty where the request is not about one Secret.
    pub name: String,
    /// Names of the data keys in the body.
    pub keys: Vec<String>,
    pub field_manager: Option<String>,
    pub force: bool,
    pub dry_run: bool,
    /// Which of `uid` and `resourceVersion` the body named: the object its sender judged.
    pub preconditions: Vec<&'static str>,
    /// Equal for two bodies that are the same, byte for byte.
    pub digest: u64,
    pub shape: Shape,
    pub user_agent: Option<String>,
    pub http: Version,
    /// Which connection it came by.
    pub connection: u64,
    pub status: u16,
    /// Who asked, where that is one who was let in by name.
    pub who: Option<String>,
}

#[derive(Clone, Default)]
pub struct Log(pub Vec<Request>);

impl Log {
    /// Requests that may change something.
    pub fn writes(&self) -> impl Iterator<Item = &Request> {
        self.0.iter().filter(|request| {
            !matches!(
                request.verb,
                Verb::Get | Verb::List | Verb::Watch | Verb::Other
            )
        })
    }

    pub fn write_count(&self) -> usize {
        self.writes().count()
    }

    /// Requests about one kind, in their order.
    pub fn of(&self, resource: &str) -> Self {
        let about = self.0.iter().filter(|it| it.resource == resource);
        Self(about.cloned().collect())
    }

    pub fn count(&self, verb: Verb, name: &str) -> usize {
        self.0
            .iter()
            .filter(|request| request.verb == verb && request.name == name)
            .count()
    }
}
