//! What there is of something, and which kinds there are: no value comes with it.

use std::collections::BTreeMap;
use std::time::Duration;

use reqwest::header::HeaderValue;
use serde::Deserialize;

use super::client::{Client, Question, WHOLE};
use super::place::{ExternalSecretApi, Place, Resource};
use super::ties::Owner;
use super::wire::Malformed;
use crate::failure::Failure;
use crate::names::Namespace;
use crate::report::ClusterVerb;

const PARTIAL_LIST: HeaderValue =
    HeaderValue::from_static("application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1");
/// Of KES, in milliseconds (`config/environment.js`).
const POLL_INTERVAL: &str = "POLLER_INTERVAL_MILLISECONDS";
const NOT_APIS: Malformed = Malformed("answered with something that is not its list of APIs");

/// Names are texts of the server, not checked for anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owned {
    pub name: String,
    pub owners: Vec<Owner>,
}

/// How much of a controller runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// Nothing by its name is there: it may be called otherwise.
    Unknown,
    /// Its Deployments are there, and have no pod.
    Down,
    Up {
        /// How long it may take until it hears of a change, where its environment says so; the longest of all.
        polls_every: Option<Duration>,
    },
}

impl Client {
    /// The Secrets of a namespace, and whose they are.
    pub async fn owned_secrets(&self, namespace: &Namespace) -> Result<Vec<Owned>, Failure> {
        let all = Place::All(Resource::Secret, Some(namespace));
        let items: Vec<Item> = self.all_of(all, (PARTIAL_LIST, None)).await?;
        Ok(items.into_iter().map(Item::owned).collect())
    }

    /// Of the Deployments and pods that have this as their `app.kubernetes.io/name`, in whichever namespace.
    pub async fn scale_of(&self, app: &str) -> Result<Scale, Failure> {
        let selector = format!("app.kubernetes.io/name={app}");
        let deployments = Place::All(Resource::Deployment, None);
        let deployments: Vec<Deployment> =
            self.all_of(deployments, (WHOLE, Some(&selector))).await?;
        if deployments.is_empty() {
            return Ok(Scale::Unknown);
        }
        let pods = Place::All(Resource::Pod, None);
        let pods: Vec<Item> = self.all_of(pods, (PARTIAL_LIST, Some(&selector))).await?;
        let down = deployments.iter().all(Deployment::is_down);
        Ok(if down && pods.is_empty() {
            Scale::Down
        } else {
            let polls_every = deployments.iter().filter_map(Deployment::polls_every).max();
            Scale::Up { polls_every }
        })
    }

    /// In which of these versions the API server serves the kind, by its own lists; the first of them.
    pub async fn served(
        &self,
        versions: &[ExternalSecretApi],
    ) -> Result<Option<ExternalSecretApi>, Failure> {
        let groups: Groups = self.discovered(Resource::ApiGroup, "APIGroupList").await?;
        let groups = groups.groups.into_iter();
        let groups: BTreeMap<_, _> = groups.map(|it| (it.name, it.versions)).collect();
        for &api in versions {
            let all = groups.get(api.group());
            if all.is_none_or(|all| all.iter().all(|it| it.version != api.version())) {
                continue;
            }
            // A group may be there for other kinds.
            let list = Resource::ApiResources(api);
            let kinds: Kinds = self.discovered(list, "APIResourceList").await?;
            let plural = Resource::ExternalSecret(api).plural();
            if kinds.resources.iter().any(|it| it.name == plural) {
                return Ok(Some(api));
            }
        }
        Ok(None)
    }

    async fn discovered<T: for<'de> Deserialize<'de>>(
        &self,
        list: Resource,
        kind: &str,
    ) -> Result<T, Failure> {
        let about = self.about(ClusterVerb::Get, Place::All(list, None));
        let answer = self.ask(about, Question::get(WHOLE)).await?;
        if answer.code != 200 {
            return Err(about.refused(&answer.refusal()));
        }
        let said: Kind =
            serde_json::from_slice(&answer.body).map_err(|_| about.malformed(NOT_APIS))?;
        if said.kind != kind {
            return Err(about.malformed(NOT_APIS));
        }
        serde_json::from_slice(&answer.body).map_err(|_| about.malformed(NOT_APIS))
    }
}

#[derive(Deserialize)]
struct Kind {
    kind: String,
}

#[derive(Deserialize)]
struct Kinds {
    resources: Vec<ApiResource>,
}

#[derive(Deserialize)]
struct ApiResource {
    name: String,
}

#[derive(Deserialize)]
struct Groups {
    groups: Vec<Group>,
}

#[derive(Deserialize)]
struct Group {
    name: String,
    versions: Vec<GroupVersion>,
}

#[derive(Deserialize)]
struct GroupVersion {
    version: String,
}

#[derive(Deserialize)]
struct Deployment {
    #[serde(default)]
    spec: Spec,
    #[serde(default)]
    status: Replicas,
}

#[derive(Default, Deserialize)]
struct Spec {
    replicas: Option<u32>,
    #[serde(default)]
    template: Template,
}

#[derive(Default, Deserialize)]
struct Replicas {
    replicas: Option<u32>,
}

#[derive(Default, Deserialize)]
struct Template {
    #[serde(default)]
    spec: PodSpec,
}

#[derive(Default, Deserialize)]
struct PodSpec {
    #[serde(default)]
    containers: Vec<Container>,
}

#[derive(Deserialize)]
struct Container {
    #[serde(default)]
    env: Vec<Variable>,
}

#[derive(Deserialize)]
struct Variable {
    name: String,
    value: Option<String>,
}

impl Deployment {
    /// A wish that is not there is one for one pod.
    fn is_down(&self) -> bool {
        self.spec.replicas == Some(0) && self.status.replicas.unwrap_or(0) == 0
    }

    fn polls_every(&self) -> Option<Duration> {
        let containers = &self.spec.template.spec.containers;
        let mut all = containers.iter().flat_map(|it| &it.env);
        let interval = all.find(|it| it.name == POLL_INTERVAL)?;
        let milliseconds = interval.value.as_deref()?.trim().parse().ok()?;
        Some(Duration::from_millis(milliseconds))
    }
}

#[derive(Deserialize)]
struct Item {
    metadata: Metadata,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    name: String,
    owner_references: Option<Vec<Owner>>,
}

impl Item {
    fn owned(self) -> Owned {
        Owned {
            name: self.metadata.name,
            owners: self.metadata.owner_references.unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_controller_is_down_only_when_nothing_of_it_is_wanted_or_there() {
        let is_down = |text: &str| serde_json::from_str::<Deployment>(text).unwrap().is_down();
        assert!(is_down(r#"{"spec": {"replicas": 0}, "status": {}}"#));
        assert!(!is_down(
            r#"{"spec": {"replicas": 0}, "status": {"replicas": 1}}"#
        ));
        assert!(!is_down(r#"{"spec": {}, "status": {}}"#));
    }
}
