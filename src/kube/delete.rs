//! Deleting one state of one Secret.

use reqwest::Method;
use reqwest::header::HeaderValue;
use serde_json::json;
use zeroize::Zeroizing;

use super::client::{Client, PARTIAL, Question, Sent};
use super::place::{Asked, Place};
use super::wire;
use crate::failure::Failure;
use crate::names::{Namespace, ObjectName, ResourceVersion, Uid};
use crate::report::ClusterVerb;

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// What became of a Secret that was to be deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deleted {
    Gone,
    /// It is marked for deletion, and a finalizer holds it.
    Marked,
    /// It is not the one that was judged: look again.
    Raced,
}

impl Client {
    /// Deletes the Secret if it is still in that state.
    pub async fn delete_secret(
        &self,
        namespace: &Namespace,
        name: &ObjectName,
        (uid, resource_version): (&Uid, &ResourceVersion),
    ) -> Result<Deleted, Failure> {
        let asked = Asked::secret(namespace, name);
        let about = self.about(ClusterVerb::Delete, Place::One(asked));
        let preconditions =
            json!({"uid": uid.as_str(), "resourceVersion": resource_version.as_str()});
        let options = json!({
            "apiVersion": "v1", "kind": "DeleteOptions", "preconditions": preconditions,
        });
        let question = Question {
            method: Method::DELETE,
            accept: PARTIAL,
            query: Vec::new(),
            send: Some(Sent {
                content_type: JSON,
                body: Zeroizing::new(options.to_string().into_bytes()),
            }),
        };
        let answer = self.ask(about, question).await?;
        if !matches!(answer.code, 200 | 202) {
            let refusal = answer.refusal();
            let absent = refusal
                .status
                .as_ref()
                .is_some_and(|it| it.says_absent(asked));
            return match refusal.code {
                404 if absent => Ok(Deleted::Raced),
                409 if refusal.status.is_some() => Ok(Deleted::Raced),
                _ => Err(about.refused(&refusal)),
            };
        }
        // The API server's word that it is away. Where a finalizer holds the Secret, it answers with that instead.
        if wire::status(&answer.body).is_some() {
            return Ok(Deleted::Gone);
        }
        Ok(match self.get_metadata(namespace, name).await? {
            Some(seen) if seen.uid == *uid => Deleted::Marked,
            Some(_) | None => Deleted::Gone,
        })
    }
}
