//! What there is of something, and which kinds there are: no value comes with it.

use std::collections::BTreeMap;

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
const NOT_GROUPS: Malformed = Malformed("answered with something that is not its list of APIs");

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
    Up,
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
            Scale::Up
        })
    }

    /// Which of these versions of a kind the API server serves, by its own list of APIs; the first of them.
    pub async fn served(
        &self,
        versions: &[ExternalSecretApi],
    ) -> Result<Option<ExternalSecretApi>, Failure> {
        let about = self.about(ClusterVerb::Get, Place::All(Resource::ApiGroup, None));
        let answer = self.ask(about, Question::get(WHOLE)).await?;
        if answer.code != 200 {
            return Err(about.refused(&answer.refusal()));
        }
        let list: Groups =
            serde_json::from_slice(&answer.body).map_err(|_| about.malformed(NOT_GROUPS))?;
        if list.kind != "APIGroupList" {
            return Err(about.malformed(NOT_GROUPS));
        }
        let groups = list.groups.into_iter();
        let groups: BTreeMap<_, _> = groups.map(|it| (it.name, it.versions)).collect();
        let is_served = |api: &&ExternalSecretApi| {
            let versions = groups.get(api.group());
            versions.is_some_and(|all| all.iter().any(|it| it.version == api.version()))
        };
        Ok(versions.iter().find(is_served).copied())
    }
}

#[derive(Deserialize)]
struct Groups {
    kind: String,
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
    spec: Replicas,
    #[serde(default)]
    status: Replicas,
}

#[derive(Default, Deserialize)]
struct Replicas {
    replicas: Option<u32>,
}

impl Deployment {
    /// A wish that is not there is one for one pod.
    fn is_down(&self) -> bool {
        self.spec.replicas == Some(0) && self.status.replicas.unwrap_or(0) == 0
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
