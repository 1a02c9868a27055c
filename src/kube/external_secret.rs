//! The objects that other controllers make Secrets from, as far as taking a Secret over from them needs to know them.

use reqwest::Method;
use reqwest::header::HeaderValue;
use serde::Deserialize;
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::client::{Client, Question, Run, Sent, WHOLE};
use super::place::{Asked, ExternalSecretApi, Place, Resource};
use super::secret::FieldManager;
use super::ties::Owner;
use super::wire::{self, Malformed};
use crate::failure::Failure;
use crate::names::{Namespace, ObjectName, Uid};
use crate::report::ClusterVerb;

/// What an `ExternalSecret` said before it was told to let go, so that whoever finds it so can take it back.
pub const SPEC_BEFORE: &str = "secretsyncd/spec-before";
const MERGE_PATCH: HeaderValue = HeaderValue::from_static("application/merge-patch+json");
/// Objects in one answer, which is read up to 4 MiB.
const PAGE: usize = 50;
/// Of a namespace that never comes to an end.
const PAGES: usize = 200;

const NOT_A_LIST: Malformed = Malformed("answered with something that is not a list");
const ENDLESS: Malformed = Malformed("lists without coming to an end");
const ANOTHER: Malformed = Malformed("answered with something else than the ExternalSecret");

/// An `ExternalSecret`, of whichever controller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExternalSecret {
    pub api: ExternalSecretApi,
    pub name: ObjectName,
    pub uid: Uid,
    /// The Secret that it makes, in its own namespace.
    pub target: ObjectName,
    /// Who made it, and would make it anew as it was.
    pub owners: Vec<Owner>,
    /// What keeps it as something else has it, a repository or a release.
    pub tracker: Option<Tracker>,
    /// What we kept of its `spec` when we told it to let go.
    pub before: Option<Value>,
    pub ways: Ways,
}

/// Who puts back what is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tracker {
    ArgoCd,
    Flux,
}

/// What of an `ExternalSecret` says whether its controller still has a hand on the Secret. The rest of its `spec` is not
/// kept: a template may hold values. Texts of the server, not checked for anything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ways {
    /// `spec.controllerId`, of KES.
    pub controller_id: Option<String>,
    /// `spec.target.creationPolicy`, of ESO.
    pub creation_policy: Option<String>,
    /// `spec.target.deletionPolicy`, of ESO.
    pub deletion_policy: Option<String>,
    /// `spec.refreshInterval`, of ESO.
    pub refresh_interval: Option<String>,
    /// `spec.refreshPolicy`, of newer releases of ESO.
    pub refresh_policy: Option<String>,
    /// ESO has tried, by its `status`, and written nothing yet: it writes once, whatever its interval is.
    pub is_awaited: bool,
}

impl Client {
    /// All of a namespace, in a version that is served.
    pub async fn external_secrets(
        &self,
        namespace: &Namespace,
        api: ExternalSecretApi,
    ) -> Result<Vec<ExternalSecret>, Failure> {
        let place = Place::All(Resource::ExternalSecret(api), Some(namespace));
        let items: Vec<Item> = self.all_of(place, (WHOLE, None)).await?;
        Ok(items.into_iter().filter_map(|it| it.read(api)).collect())
    }

    /// Page after page. What does not answer as a list is no empty one.
    pub(super) async fn all_of<T: for<'de> Deserialize<'de>>(
        &self,
        place: Place<'_>,
        (accept, selector): (HeaderValue, Option<&str>),
    ) -> Result<Vec<T>, Failure> {
        let about = self.about(ClusterVerb::List, place);
        let (mut all, mut token) = (Vec::new(), None);
        for _ in 0..PAGES {
            let mut question = Question::get(accept.clone());
            question.query.push(("limit", PAGE.to_string()));
            question
                .query
                .extend(selector.map(|it| ("labelSelector", it.to_owned())));
            question.query.extend(token.map(|it| ("continue", it)));
            let answer = self.ask(about, question).await?;
            if answer.code != 200 {
                return Err(about.refused(&answer.refusal()));
            }
            let page: List<T> =
                serde_json::from_slice(&answer.body).map_err(|_| about.malformed(NOT_A_LIST))?;
            if !page.kind.ends_with("List") {
                return Err(about.malformed(NOT_A_LIST));
            }
            all.extend(page.items);
            token = page.metadata.next.filter(|token| !token.is_empty());
            if token.is_none() {
                return Ok(all);
            }
        }
        Err(about.malformed(ENDLESS))
    }

    /// Merges this into the `spec` of that life of the object, whatever else of it has changed since, and keeps beside it
    /// what that was before.
    pub async fn change_spec(
        &self,
        namespace: &Namespace,
        object: &ExternalSecret,
        (spec, before): (&Value, &Value),
        run: Run,
    ) -> Result<(), Failure> {
        let asked = Asked {
            resource: Resource::ExternalSecret(object.api),
            namespace,
            name: &object.name,
        };
        let about = self.about(ClusterVerb::Patch, Place::One(asked));
        let patch = serde_json::json!({
            "metadata": {"uid": object.uid.as_str(), "annotations": {SPEC_BEFORE: before.to_string()}},
            "spec": spec,
        });
        let sent = Sent {
            content_type: MERGE_PATCH,
            body: Zeroizing::new(patch.to_string().into_bytes()),
        };
        let question = Question::write(Method::PATCH, (&FieldManager::new(&[]), run), sent);
        let answer = self.ask(about, question).await?;
        if answer.code == 200 {
            wire::metadata(&answer.body, asked).map_err(|_| about.malformed(ANOTHER))?;
            return Ok(());
        }
        Err(about.refused(&answer.refusal()))
    }
}

#[derive(Deserialize)]
#[serde(bound(deserialize = "T: Deserialize<'de>"))]
struct List<T> {
    kind: String,
    metadata: ListMetadata,
    #[serde(deserialize_with = "wire::items")]
    items: Vec<T>,
}

#[derive(Deserialize)]
struct ListMetadata {
    #[serde(rename = "continue")]
    next: Option<String>,
}

#[derive(Deserialize)]
struct Item {
    metadata: Metadata,
    #[serde(default)]
    spec: Value,
    #[serde(default)]
    status: Value,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    name: String,
    uid: String,
    owner_references: Option<Vec<Owner>>,
    #[serde(default)]
    labels: Map<String, Value>,
    #[serde(default)]
    annotations: Map<String, Value>,
}

impl Item {
    /// `None` for what could make no Secret.
    fn read(self, api: ExternalSecretApi) -> Option<ExternalSecret> {
        let Self {
            metadata,
            spec,
            status,
        } = self;
        let tracker = metadata.tracker();
        let before = metadata
            .annotations
            .get(SPEC_BEFORE)
            .and_then(Value::as_str);
        let before = before.and_then(|text| serde_json::from_str(text).ok());
        let name = ObjectName::new(metadata.name).ok()?;
        let text = |path| Some(spec.pointer(path)?.as_str()?.to_owned());
        // That of KES is always called as itself.
        let target = match api {
            ExternalSecretApi::KesV1 => None,
            ExternalSecretApi::EsoV1
            | ExternalSecretApi::EsoV1Beta1
            | ExternalSecretApi::EsoV1Alpha1 => text("/target/name"),
        };
        let target = target.filter(|it| !it.is_empty());
        Some(ExternalSecret {
            api,
            target: match target {
                Some(target) => ObjectName::new(target).ok()?,
                None => name.clone(),
            },
            name,
            uid: Uid::new(metadata.uid).ok()?,
            tracker,
            before,
            owners: metadata.owner_references.unwrap_or_default(),
            ways: Ways {
                controller_id: text("/controllerId"),
                creation_policy: text("/target/creationPolicy"),
                deletion_policy: text("/target/deletionPolicy"),
                refresh_interval: text("/refreshInterval"),
                refresh_policy: text("/refreshPolicy"),
                is_awaited: status.as_object().is_some_and(|it| !it.is_empty())
                    && status["refreshTime"].is_null(),
            },
        })
    }
}

impl Metadata {
    fn tracker(&self) -> Option<Tracker> {
        let has = |prefix: &str| {
            let mut keys = self.labels.keys().chain(self.annotations.keys());
            keys.any(|key| key.starts_with(prefix))
        };
        if has("argocd.argoproj.io/") {
            Some(Tracker::ArgoCd)
        } else if has("kustomize.toolkit.fluxcd.io/") || has("helm.toolkit.fluxcd.io/") {
            Some(Tracker::Flux)
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_external_secret_of_eso_may_call_its_secret_otherwise() {
        let item = |name: &str| -> Item {
            let target = serde_json::json!({"metadata": {"name": name, "uid": "u", "annotations": {"argocd.argoproj.io/tracking-id": "x"}}, "spec": {"target": {"name": "b"}}});
            serde_json::from_value(target).unwrap()
        };
        let target = |api| item("a").read(api).unwrap().target.to_string();
        assert_eq!(target(ExternalSecretApi::EsoV1), "b");
        assert_eq!(target(ExternalSecretApi::KesV1), "a");
        let tracker = item("a").read(ExternalSecretApi::EsoV1).unwrap().tracker;
        assert_eq!(tracker, Some(Tracker::ArgoCd));
        assert_eq!(item("A b").read(ExternalSecretApi::EsoV1), None);
    }
    /// What was never filled is filled once, whatever the interval is; of what ESO has not met, nothing is known.
    #[test]
    fn an_external_secret_that_was_tried_and_never_filled_is_awaited() {
        let awaited = |status: Value| {
            let item = serde_json::json!({"metadata": {"name": "a", "uid": "u"}, "spec": {}, "status": status});
            let item: Item = serde_json::from_value(item).unwrap();
            let object = item.read(ExternalSecretApi::EsoV1).unwrap();
            object.ways.is_awaited
        };
        let tried = serde_json::json!({"refreshTime": null, "conditions": [{"type": "Ready", "status": "False"}]});
        assert!(awaited(tried));
        let filled = serde_json::json!({"refreshTime": "2026-01-01T00:00:00Z"});
        assert!(!awaited(filled) && !awaited(Value::Null) && !awaited(serde_json::json!({})));
    }
}
