//! Taking the record of a restart off a Secret, once that is done, and nothing else.

use reqwest::Method;
use reqwest::header::HeaderValue;
use serde_json::json;
use zeroize::Zeroizing;

use super::client::{Client, PARTIAL, Question, Run, Sent, written};
use super::error::ApplyError;
use super::place::{Asked, Place};
use super::secret::FieldManager;
use super::wire;
use crate::failure::Failure;
use crate::names::{MetadataKey, Namespace, ObjectName, ResourceVersion};
use crate::report::ClusterVerb;

const MERGE_PATCH: HeaderValue = HeaderValue::from_static("application/merge-patch+json");

/// An annotation with the text that it had.
#[derive(Clone, Debug)]
pub struct Record<'a> {
    pub key: MetadataKey,
    pub change: &'a str,
}

/// What became of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Struck {
    /// It was on that state of the Secret, and made it the next one.
    Off {
        before: ResourceVersion,
        after: ResourceVersion,
    },
    /// It is not there, or is the record of another change.
    NotThere,
    /// Somebody wrote in between: look again.
    Raced,
}

impl Client {
    /// Removes the annotation, if it still has that text.
    pub async fn strike(
        &self,
        (namespace, name): (&Namespace, &ObjectName),
        record: &Record<'_>,
        manager: &FieldManager,
    ) -> Result<Struck, Failure> {
        let asked = Asked::secret(namespace, name);
        let Some((seen, annotations)) = self.get(asked, PARTIAL, wire::annotated).await? else {
            return Ok(Struck::NotThere);
        };
        let text = annotations.get(record.key.as_str());
        if seen.deleting || text.is_none_or(|text| text.expose() != record.change.as_bytes()) {
            return Ok(Struck::NotThere);
        }
        drop(annotations);
        let patch = json!({"metadata": {
            "uid": seen.uid.as_str(),
            "resourceVersion": seen.resource_version.as_str(),
            "annotations": {record.key.as_str(): null},
        }});
        let sent = Sent {
            content_type: MERGE_PATCH,
            body: Zeroizing::new(patch.to_string().into_bytes()),
        };
        let question = Question::write(Method::PATCH, (manager, Run::Real), sent);
        let about = self.about(ClusterVerb::Patch, Place::One(asked));
        let answer = self.ask(about, question).await?;
        if answer.code == 404 {
            let status = answer.refusal().status;
            if status.is_some_and(|status| status.says_absent(asked)) {
                return Ok(Struck::NotThere);
            }
        }
        match written(&answer, about, asked) {
            Ok(applied) => Ok(Struck::Off {
                before: seen.resource_version,
                after: applied.resource_version,
            }),
            Err(ApplyError::Raced) => Ok(Struck::Raced),
            Err(ApplyError::Fields(..)) => Err(about.refused(&answer.refusal())),
            Err(ApplyError::Failed(failure)) => Err(failure),
        }
    }
}
