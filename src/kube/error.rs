//! The one place where the many shapes of a failed request become a reason, a sentence and an advice.
//!
//! Nothing the server or a library says is repeated: status codes, reasons, kinds and error classes are read, texts
//! are not.

use std::error::Error as StdError;
use std::io;
use std::time::Duration;

use super::place::Place;
use super::wire::{Malformed, Status};
use crate::failure::{Failure, Reason};
use crate::names::{ClusterName, Namespace};
use crate::report::{ClusterVerb, RequestCode};

/// The longest wait that a server may ask for.
const RETRY_AFTER_MAX: Duration = Duration::from_mins(5);

/// How an apply did not happen.
#[derive(Debug)]
pub enum ApplyError {
    /// The Secret is not the one that was judged: look again.
    Raced,
    /// Fields are in the way. Their paths are the server's text: only those that we ourselves sent may be named.
    Fields(FieldTrouble, Vec<String>),
    Failed(Failure),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldTrouble {
    /// Another field manager owns them, with other values.
    Owned,
    /// Kubernetes does not accept them.
    Invalid,
}

/// What a failure is about: the cluster, and the request that failed.
#[derive(Clone, Copy)]
pub(super) struct About<'a> {
    pub(super) cluster: &'a ClusterName,
    pub(super) verb: ClusterVerb,
    pub(super) place: Place<'a>,
}

/// A complete answer with an error status.
pub(super) struct Refusal {
    pub(super) code: u16,
    /// Absent: whatever answered is not an API server.
    pub(super) status: Option<Status>,
    pub(super) retry_after: Option<Duration>,
}

/// How there is no complete answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Break {
    NoConnection,
    /// The request was sent, as far as anybody knows.
    NoAnswer,
    TooLarge,
}

/// A request without a complete answer.
pub(super) struct Broken {
    pub(super) code: RequestCode,
    pub(super) failure: Failure,
    pub(super) how: Break,
}

impl About<'_> {
    fn failure(self, reason: Reason, what: impl std::fmt::Display) -> Failure {
        Failure::new(reason, format!("cluster `{}` {what}", self.cluster))
    }

    pub(super) fn malformed(self, Malformed(how): Malformed) -> Failure {
        self.failure(Reason::Malformed, how)
    }

    /// The answer did not begin in time.
    pub(super) fn late(self) -> Failure {
        self.failure(Reason::Timeout, "did not give an answer in time")
    }

    /// Another machine writes in our place, or may by now.
    pub(super) fn deposed(self) -> Failure {
        self.failure(
            Reason::Timeout,
            format_args!(
                "was not asked to change the {}, or not waited for: this machine does not lead any more",
                self.place.resource().kind()
            ),
        )
        .with_help("the machine that leads writes it; `secretsyncd status` says which one that is")
    }

    /// No complete answer came.
    pub(super) fn transport(self, error: &reqwest::Error) -> Broken {
        let (code, failure) = self.break_off(error);
        let how = if error.is_connect() {
            Break::NoConnection
        } else {
            Break::NoAnswer
        };
        Broken { code, failure, how }
    }

    fn break_off(self, error: &reqwest::Error) -> (RequestCode, Failure) {
        let during = if error.is_connect() {
            "a connection"
        } else {
            "an answer"
        };
        if error.is_timeout() {
            let failure = self.failure(
                Reason::Timeout,
                format_args!("did not give {during} in time"),
            );
            return (RequestCode::Timeout, failure);
        }
        let failure = match io_kind(error) {
            // What rustls refuses arrives as this class, whatever the reason.
            Some(io::ErrorKind::InvalidData) => self
                .failure(Reason::Network, "and we do not agree on TLS")
                .with_help(
                    "check that `certificate_authority` is the one that signed this API server's certificate, that the \
                     certificate names the host in `server` and has not expired, and that a client certificate is one \
                     that the server takes",
                ),
            Some(io::ErrorKind::ConnectionRefused) => {
                self.failure(Reason::Network, "refuses connections")
            }
            Some(io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable) => {
                self.failure(Reason::Network, "cannot be reached: no route")
            }
            _ if error.is_connect() => self.failure(
                Reason::Network,
                "cannot be reached: its name does not resolve or no connection can be made",
            ),
            _ => self.failure(Reason::Network, "broke the connection"),
        };
        (RequestCode::Network, failure)
    }

    /// An answer came and it is no.
    pub(super) fn refused(self, refusal: &Refusal) -> Failure {
        let code = refusal.code;
        match (code, &refusal.status) {
            (401, _) => self
                .failure(Reason::Credentials, "does not accept our credentials (401)")
                .with_help("renew the token or the client certificate of this cluster"),
            (403, Some(status)) if status.has_cause("NamespaceTerminating") => self
                .no_namespace("is being deleted")
                .with_help("remove the target, or wait until the namespace is made again"),
            (403, Some(_)) => self.denied(),
            (404, Some(status)) if status.about() == "namespaces" => self
                .no_namespace("does not exist")
                .with_help("create the namespace, or correct its name"),
            (413, _) => self.failure(Reason::TooLarge, "does not take a Secret of this size (413)"),
            (429, _) => waiting(
                self.failure(Reason::Throttled, "asks us to slow down (429)")
                    .with_help("the API server is busy; it is tried again by itself"),
                refusal.retry_after,
            ),
            (500..=599, _) => waiting(
                self.failure(
                    Reason::Network,
                    format_args!("is not able to answer now (status {code})"),
                )
                .with_help("check the health of the API server and of its admission webhooks; it is tried again by itself"),
                refusal.retry_after,
            ),
            (300..=399, _) => self
                .failure(
                    Reason::Malformed,
                    format_args!("redirects elsewhere (status {code}), which is never followed"),
                )
                .with_help("correct `server`: it must be the API server itself"),
            (_, None) => self
                .failure(
                    Reason::Malformed,
                    format_args!("does not answer like an API server (status {code})"),
                )
                .with_help("check `server`: something else answers there"),
            (422, Some(_)) => self.failure(
                Reason::Invalid,
                format_args!("does not accept the {} (422)", self.place.resource().kind()),
            ),
            (_, Some(_)) => self.failure(
                Reason::Malformed,
                format_args!("refuses the request in a way we do not know (status {code})"),
            ),
        }
    }

    /// The same for an apply, where some refusals are about fields or about having been overtaken.
    pub(super) fn apply_refused(self, refusal: &Refusal) -> ApplyError {
        const OWNED: &str = "FieldManagerConflict";
        let Some(status) = &refusal.status else {
            return ApplyError::Failed(self.refused(refusal));
        };
        let fields = |reason| status.fields(reason).map(str::to_owned).collect();
        match refusal.code {
            409 if status.has_cause(OWNED) => {
                ApplyError::Fields(FieldTrouble::Owned, fields(Some(OWNED)))
            }
            409 => ApplyError::Raced,
            // A live object with another uid, where the resourceVersion did not give it away first.
            422 if status.fields(None).any(|field| field == "metadata.uid") => ApplyError::Raced,
            422 => ApplyError::Fields(FieldTrouble::Invalid, fields(None)),
            _ => ApplyError::Failed(self.refused(refusal)),
        }
    }

    fn no_namespace(self, what: &str) -> Failure {
        let namespace = self.place.namespace().map_or("", Namespace::as_str);
        Failure::new(
            Reason::TargetMissing,
            format!(
                "namespace `{namespace}` {what} in cluster `{}`",
                self.cluster
            ),
        )
    }

    fn denied(self) -> Failure {
        let resource = self.place.resource();
        // RBAC knows no verb of its own for an apply. What is applied is there already: nothing is made by it.
        let grant = if self.verb == ClusterVerb::Apply {
            ClusterVerb::Patch
        } else {
            self.verb
        };
        let grant = grant.as_str();
        let denied = self.verb.as_str();
        let (what, place) = match (self.place.namespace(), self.place.name()) {
            (Some(namespace), Some(name)) => (
                format!("{} `{namespace}/{name}`", resource.kind()),
                format!("in namespace `{namespace}`"),
            ),
            (Some(namespace), None) => (
                format!("{} in namespace `{namespace}`", resource.plural()),
                format!("in namespace `{namespace}`"),
            ),
            (None, _) => (
                format!("{} of the cluster", resource.plural()),
                "for the whole cluster".to_owned(),
            ),
        };
        self.failure(
            Reason::TargetDenied,
            format_args!("does not let us {denied} {what} (403)"),
        )
        .with_help(format!(
            "grant `{grant}` on `{}` {place} to the identity this cluster's credentials belong to, or look for an \
             admission policy that refuses it",
            resource.plural()
        ))
    }
}

fn waiting(failure: Failure, retry_after: Option<Duration>) -> Failure {
    match retry_after {
        Some(wait) => failure.with_retry_after(wait.min(RETRY_AFTER_MAX)),
        None => failure,
    }
}

/// The class of the innermost I/O error. Libraries wrap it in their own errors, and in I/O errors again, which
/// `source` passes over.
fn io_kind(error: &reqwest::Error) -> Option<io::ErrorKind> {
    let mut kind = None;
    let mut next = error.source();
    while let Some(error) = next {
        let wrapped = error.downcast_ref::<io::Error>().and_then(|error| {
            kind = Some(error.kind());
            error.get_ref()
        });
        next = match wrapped {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    kind
}
