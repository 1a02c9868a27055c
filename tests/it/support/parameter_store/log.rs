//! What the stand-in was asked.

use std::sync::Arc;
use std::time::Instant;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    GetParameter,
    GetParameters,
    GetParametersByPath,
    DescribeParameters,
    ListTagsForResource,
    Other,
}

/// One request.
#[derive(Debug)]
pub struct Request {
    pub at: Instant,
    pub operation: Operation,
    /// Names and paths as sent, selectors included.
    pub names: Vec<String>,
    pub with_decryption: bool,
    /// The access key id that the signature names.
    pub access_key_id: Option<String>,
}

/// Shared, so that a copy costs no more than a count would.
#[derive(Clone, Default)]
pub struct Log(pub Vec<Arc<Request>>);

impl Log {
    pub fn calls(&self, operation: Operation) -> usize {
        let of = self.0.iter().filter(|r| r.operation == operation);
        of.count()
    }

    /// Every request that asked for a value by this name, as sent.
    pub fn reads<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Request> {
        let requests = self.0.iter().map(AsRef::as_ref);
        requests.filter(move |request: &&Request| {
            matches!(
                request.operation,
                Operation::GetParameter | Operation::GetParameters
            ) && request.names.iter().any(|asked| asked == name)
        })
    }
}
