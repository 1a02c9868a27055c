//! Applies that are judged by the API server, its admission included, and kept by nobody (`dryRun=All`).

use zeroize::Zeroizing;

use super::client::{Apply, Client, Force, Question, Run};
use super::error::ApplyError;
use super::place::Place;
use super::secret::FieldManager;
use crate::names::{Namespace, ObjectName};
use crate::report::ClusterVerb;

/// What an apply would have done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rehearsed {
    Created,
    Updated,
}

impl Client {
    /// Whether there is a place for a Secret of that name: a Secret without anything is applied, which changes none
    /// that is there. Of the answer only the status counts: what was not made has no state to name.
    pub async fn rehearse_empty(
        &self,
        namespace: &Namespace,
        name: &ObjectName,
    ) -> Result<Rehearsed, ApplyError> {
        let body = serde_json::json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"namespace": namespace.as_str(), "name": name.as_str()},
        });
        let apply = Apply {
            manager: FieldManager::new(&["check"]),
            force: Force::No,
            run: Run::Dry,
            body: Zeroizing::new(body.to_string().into_bytes()),
        };
        let about = self.about(ClusterVerb::Apply, Place::secret(namespace, name));
        let answer = self.ask(about, Question::apply(apply)).await;
        let answer = answer.map_err(ApplyError::Failed)?;
        match answer.code {
            200 => Ok(Rehearsed::Updated),
            201 => Ok(Rehearsed::Created),
            _ => Err(about.apply_refused(&answer.refusal())),
        }
    }
}
