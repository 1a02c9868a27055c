//! What can go wrong between the API server and its client, and for which requests it does.

use std::time::Duration;

use super::ask::Ask;
use super::log::Verb;
use super::refusal::{Refusal, Why};

/// How a request ends. Refusals quote the data of the request and the live object.
#[derive(Clone, Debug)]
pub enum Fault {
    Forbidden,
    Unauthorized,
    InternalError,
    /// 429 with `Retry-After` in seconds.
    TooManyRequests(u32),
    /// 409 though nobody changed anything: the object was modified in between, every time.
    Conflict,
    /// 422 whose text quotes the data.
    Invalid,
    /// A page of a proxy in between, with that status.
    Page(u16),
    /// 307 to this URL.
    Redirect(String),
    /// 200 with another Secret than the one asked for.
    OtherObject,
    /// 200 and no JSON.
    Unparsable,
    /// 200 and a body far beyond what a Secret may hold.
    Huge,
    Truncated,
    Hang,
    /// What was asked for is done, and never answered.
    Lost,
    Close,
    /// What was asked for is done at once, and answered at most so much later.
    Slow(Duration),
}

impl Fault {
    pub fn refusal(&self, quoted: &str) -> Option<Refusal> {
        let refusal = |why, text: &str| Some(Refusal::new(why, format!("{text} {quoted}")));
        match self {
            Self::Forbidden => refusal(
                Why::Forbidden,
                "secrets is forbidden: User \"sync\" cannot do that in this namespace",
            ),
            Self::Unauthorized => refusal(Why::Unauthorized, "Unauthorized"),
            Self::InternalError => refusal(Why::InternalError, "Internal error occurred"),
            Self::TooManyRequests(seconds) => refusal(Why::TooManyRequests, "too many requests")
                .map(|refusal| refusal.with_retry_after(*seconds)),
            Self::Conflict => refusal(Why::Conflict, "the object has been modified"),
            Self::Invalid => refusal(Why::Invalid, "Secret is invalid: data:"),
            _ => None,
        }
    }
}

/// Which requests a fault strikes.
#[derive(Clone, Debug, Default)]
pub struct Rule {
    namespace: Option<String>,
    name: Option<String>,
    verb: Option<Verb>,
    resource: Option<String>,
    dry_run: Option<bool>,
    /// So many that match are let through first.
    pass: usize,
}

impl Rule {
    pub fn any() -> Self {
        Self::default()
    }

    pub fn namespace(namespace: &str) -> Self {
        Self {
            namespace: Some(namespace.to_owned()),
            ..Self::default()
        }
    }

    /// Lists and watches over all namespaces, and those of namespaces.
    pub fn cluster_wide() -> Self {
        Self::namespace("")
    }

    pub fn name(mut self, name: &str) -> Self {
        self.name = Some(name.to_owned());
        self
    }

    pub fn verb(mut self, verb: Verb) -> Self {
        self.verb = Some(verb);
        self
    }

    /// As `secrets` or `externalsecrets.external-secrets.io`.
    pub fn resource(mut self, resource: &str) -> Self {
        self.resource = Some(resource.to_owned());
        self
    }

    /// Only rehearsals, or only what is in earnest.
    pub fn dry_run(mut self, dry_run: bool) -> Self {
        self.dry_run = Some(dry_run);
        self
    }

    /// Lets the first `pass` requests through that it matches.
    pub fn after(mut self, pass: usize) -> Self {
        self.pass = pass;
        self
    }

    fn matches(&self, ask: &Ask<'_>) -> bool {
        self.namespace.as_deref().is_none_or(|n| n == ask.namespace)
            && self.name.as_deref().is_none_or(|n| n == ask.name())
            && self.verb.is_none_or(|v| v == ask.verb)
            && self.dry_run.is_none_or(|d| d == ask.writer().dry_run)
            && self
                .resource
                .as_deref()
                .is_none_or(|r| r == ask.place.resource())
    }

    /// Whether it does something to this request; to be asked once for each.
    pub fn strikes(&mut self, ask: &Ask<'_>) -> bool {
        if !self.matches(ask) {
            return false;
        }
        let strikes = self.pass == 0;
        self.pass = self.pass.saturating_sub(1);
        strikes
    }
}
