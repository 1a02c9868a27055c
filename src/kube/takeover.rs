//! Metadata of a Secret changed by one merge patch: all of it at once or nothing, and nothing of any other state.
//!
//! Server-side apply takes away no owner, label or annotation of others, not even when it is forced \[measured\].

use std::collections::BTreeMap;

use reqwest::Method;
use reqwest::header::HeaderValue;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::client::{Applied, Client, Question, Run, Sent, WHOLE, written};
use super::error::ApplyError;
use super::ownership;
use super::place::{Asked, Place};
use super::secret::{FieldManager, LiveSecret, Manager};
use super::ties::Ties;
use super::wire;
use crate::failure::Failure;
use crate::names::{Namespace, ObjectName, ResourceVersion, Uid};
use crate::report::ClusterVerb;

const MERGE_PATCH: HeaderValue = HeaderValue::from_static("application/merge-patch+json");

/// What of one state of one Secret becomes another; its data stays as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metadata {
    pub uid: Uid,
    pub resource_version: ResourceVersion,
    /// Those that are left; `None`: as they are.
    pub owners: Option<Vec<Value>>,
    /// `None`: it goes.
    pub labels: BTreeMap<String, Option<String>>,
    /// `None`: it goes.
    pub annotations: BTreeMap<String, Option<String>>,
    /// Every manager from then on, but for what this patch itself changes: that is its own manager's. `None`: as they
    /// are.
    pub managers: Option<Vec<Manager>>,
}

impl Client {
    /// The Secret with its values, and what holds it.
    pub async fn get_tied(
        &self,
        namespace: &Namespace,
        name: &ObjectName,
    ) -> Result<Option<(LiveSecret, Ties)>, Failure> {
        let asked = Asked::secret(namespace, name);
        self.get(asked, WHOLE, wire::tied).await
    }

    /// [`ApplyError::Raced`] when the Secret is no longer in that state, or no longer there.
    pub async fn change_metadata(
        &self,
        (namespace, name): (&Namespace, &ObjectName),
        metadata: &Metadata,
        (manager, run): (&FieldManager, Run),
    ) -> Result<Applied, ApplyError> {
        self.merge_patch((namespace, name), &metadata.patch(), (manager, run))
            .await
    }

    /// A patch that names the state it is for.
    pub(super) async fn merge_patch(
        &self,
        (namespace, name): (&Namespace, &ObjectName),
        patch: &Value,
        (manager, run): (&FieldManager, Run),
    ) -> Result<Applied, ApplyError> {
        let asked = Asked::secret(namespace, name);
        let about = self.about(ClusterVerb::Patch, Place::secret(namespace, name));
        let sent = Sent {
            content_type: MERGE_PATCH,
            body: Zeroizing::new(patch.to_string().into_bytes()),
        };
        let question = Question::write(Method::PATCH, (manager, run), sent);
        let answer = self
            .ask(about, question)
            .await
            .map_err(ApplyError::Failed)?;
        if answer.code == 404 {
            let refusal = answer.refusal();
            let status = refusal.status.as_ref();
            if status.is_some_and(|status| status.says_absent(asked)) {
                return Err(ApplyError::Raced);
            }
        }
        written(&answer, about, asked)
    }
}

impl Metadata {
    fn patch(&self) -> Value {
        let mut metadata = json!({
            "uid": self.uid.as_str(),
            "resourceVersion": self.resource_version.as_str(),
            "labels": self.labels,
            "annotations": self.annotations,
        });
        if let Some(owners) = &self.owners {
            // An empty list is sent as none at all, which is what the server keeps of it.
            metadata["ownerReferences"] = match &owners[..] {
                [] => Value::Null,
                owners => json!(owners),
            };
        }
        if let Some(managers) = &self.managers {
            metadata["managedFields"] = json!(ownership::entries(managers));
        }
        json!({ "metadata": metadata })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_said_stays_as_it_is() {
        let mut metadata = Metadata {
            uid: Uid::new("u-1").unwrap(),
            resource_version: ResourceVersion::new("7").unwrap(),
            owners: None,
            labels: BTreeMap::new(),
            annotations: [
                ("a".to_owned(), None),
                ("b".to_owned(), Some("c".to_owned())),
            ]
            .into(),
            managers: None,
        };
        let at = json!({"uid": "u-1", "resourceVersion": "7", "labels": {}, "annotations": {"a": null, "b": "c"}});
        assert_eq!(metadata.patch(), json!({ "metadata": at }));
        metadata.owners = Some(Vec::new());
        metadata.managers = Some(Vec::new());
        let patch = metadata.patch();
        assert_eq!(patch["metadata"].get("ownerReferences"), Some(&Value::Null));
        assert_eq!(patch["metadata"]["managedFields"], json!([]));
        metadata.owners = Some(vec![json!({"kind": "Other"})]);
        let patch = metadata.patch();
        assert_eq!(
            patch["metadata"]["ownerReferences"],
            json!([{"kind": "Other"}])
        );
    }
}
