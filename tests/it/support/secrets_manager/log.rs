//! What the stand-in was asked: the basis of every statement about how often something is read.

use std::time::{Duration, Instant};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    GetSecretValue,
    BatchGetSecretValue,
    DescribeSecret,
    Other,
}

/// One request.
#[derive(Clone, Debug)]
pub struct Request {
    pub at: Instant,
    pub operation: Operation,
    /// Names where the id is known, else the id as sent.
    pub secrets: Vec<String>,
    pub version_stage: Option<String>,
    pub version_id: Option<String>,
    /// The access key id that the signature names.
    pub access_key_id: Option<String>,
    pub user_agent: Option<String>,
}

#[derive(Clone, Default)]
pub struct Log(pub Vec<Request>);

impl Log {
    /// Every request that asked for a value of this secret.
    pub fn reads<'a>(&'a self, secret: &'a str) -> impl Iterator<Item = &'a Request> {
        self.0.iter().filter(move |request| {
            matches!(
                request.operation,
                Operation::GetSecretValue | Operation::BatchGetSecretValue
            ) && request.secrets.iter().any(|name| name == secret)
        })
    }

    pub fn read_count(&self, secret: &str) -> usize {
        self.reads(secret).count()
    }

    /// The times between consecutive reads of this secret.
    pub fn gaps(&self, secret: &str) -> Vec<Duration> {
        let times: Vec<Instant> = self.reads(secret).map(|request| request.at).collect();
        times.windows(2).map(|pair| pair[1] - pair[0]).collect()
    }

    pub fn last_read(&self, secret: &str) -> Option<Instant> {
        self.reads(secret).last().map(|request| request.at)
    }
}
