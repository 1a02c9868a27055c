//! What the stand-in was asked: the basis of every statement about how often something is read.

use std::sync::Arc;
use std::time::{Duration, Instant};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    GetSecretValue,
    BatchGetSecretValue,
    DescribeSecret,
    ListSecrets,
    Other,
}

/// One request.
#[derive(Debug)]
pub struct Request {
    pub at: Instant,
    pub operation: Operation,
    /// Names where the id is known, else the id as sent. Another account's secret goes by its ARN.
    pub secrets: Vec<String>,
    pub version_stage: Option<String>,
    pub version_id: Option<String>,
    /// The access key id that the signature names.
    pub access_key_id: Option<String>,
    pub user_agent: Option<String>,
}

/// Shared, so that a copy costs no more than a count would.
#[derive(Clone, Default)]
pub struct Log(pub Vec<Arc<Request>>);

impl Log {
    /// Every request that asked for a value of this secret.
    pub fn reads<'a>(&'a self, secret: &'a str) -> impl Iterator<Item = &'a Request> {
        let requests = self.0.iter().map(AsRef::as_ref);
        requests.filter(move |request: &&Request| {
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

    pub fn calls(&self, operation: Operation) -> usize {
        self.times(operation).count()
    }

    /// The second bound is not part of the span.
    pub fn calls_between(&self, operation: Operation, from: Instant, to: Instant) -> usize {
        self.times(operation)
            .filter(|at| (from..to).contains(at))
            .count()
    }

    /// How many calls the fullest window of one second holds.
    pub fn most_in_a_second(&self, operation: Operation) -> usize {
        let times: Vec<Instant> = self.times(operation).collect();
        let (mut first, mut most) = (0, 0);
        for (last, at) in times.iter().enumerate() {
            while *at - times[first] >= Duration::from_secs(1) {
                first += 1;
            }
            most = most.max(last + 1 - first);
        }
        most
    }

    fn times(&self, operation: Operation) -> impl Iterator<Item = Instant> {
        let of = self.0.iter().filter(move |r| r.operation == operation);
        of.map(|request| request.at)
    }
}
