//! Parts of an answer that AWS stores make alike.

use std::collections::BTreeMap;

use aws_smithy_types::DateTime;
use jiff::Timestamp;

use crate::failure::{Failure, Reason};
use crate::names::RemoteKey;
use crate::secret::SecretBytes;

pub(super) fn malformed(key: &RemoteKey, what: &str) -> Failure {
    Failure::new(Reason::Malformed, format!("the answer for `{key}` {what}"))
}

pub(super) fn malformed_batch(key: &RemoteKey, what: &str) -> Failure {
    Failure::new(
        Reason::Malformed,
        format!("the answer to a batch with `{key}` {what}"),
    )
}

pub(super) fn timestamp(at: DateTime) -> Option<Timestamp> {
    Timestamp::from_millisecond(at.to_millis().ok()?).ok()
}

/// Tags as a JSON object, keys sorted, so that equal tags are equal bytes.
pub(super) fn tags(
    of: &RemoteKey,
    tags: impl IntoIterator<Item = (Option<String>, Option<String>)>,
) -> Result<SecretBytes, Failure> {
    let mut sorted = BTreeMap::new();
    for tag in tags {
        let (Some(key), Some(value)) = tag else {
            return Err(malformed(of, "holds a tag without key or value"));
        };
        sorted.insert(key, value);
    }
    serde_json::to_vec(&sorted)
        .map(SecretBytes::new)
        .map_err(|_| Failure::new(Reason::Malformed, "the tags are not text"))
}
