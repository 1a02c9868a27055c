//! The closed set of facts the program states about itself.
//!
//! Whoever does something says what happened as a [`Fact`]; `metrics` turns facts into series. Nobody else names a
//! metric, and no fact can carry a value.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::names::{ClusterName, StoreName};

/// One thing that happened.
#[derive(Clone, Debug)]
pub enum Fact<'a> {
    /// One call to a store's service, retries inside the SDK included.
    StoreRequest {
        store: &'a StoreName,
        operation: StoreOperation,
        code: RequestCode,
        took: Duration,
    },
    /// One HTTP request to a cluster.
    ClusterRequest {
        cluster: &'a ClusterName,
        verb: ClusterVerb,
        code: RequestCode,
        took: Duration,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StoreOperation {
    GetSecretValue,
    ReadFile,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ClusterVerb {
    Get,
    Apply,
}

/// How a request ended, for a label: an HTTP status, or that there was none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RequestCode {
    Status(u16),
    /// No connection, or it broke.
    Network,
    Timeout,
    /// Something answered that is not the protocol.
    Malformed,
}

impl fmt::Display for RequestCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(f, "{status}"),
            Self::Network => f.write_str("network"),
            Self::Timeout => f.write_str("timeout"),
            Self::Malformed => f.write_str("malformed"),
        }
    }
}

/// Where facts go. Cheap to clone; recording never blocks.
#[derive(Clone)]
pub struct Reporter(Arc<dyn Fn(&Fact<'_>) + Send + Sync>);

impl Reporter {
    pub fn new(record: impl Fn(&Fact<'_>) + Send + Sync + 'static) -> Self {
        Self(Arc::new(record))
    }

    pub fn record(&self, fact: &Fact<'_>) {
        (self.0)(fact);
    }
}

impl fmt::Debug for Reporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reporter")
    }
}
