//! What there is of something, by metadata alone: no value comes.

use reqwest::header::HeaderValue;
use serde::Deserialize;

use super::client::Client;
use super::place::{Place, Resource};
use super::ties::Owner;
use crate::failure::Failure;
use crate::names::Namespace;

const PARTIAL_LIST: HeaderValue =
    HeaderValue::from_static("application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1");

/// Names are texts of the server, not checked for anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owned {
    pub name: String,
    pub owners: Vec<Owner>,
}

impl Client {
    /// The Secrets of a namespace, and whose they are.
    pub async fn owned_secrets(&self, namespace: &Namespace) -> Result<Vec<Owned>, Failure> {
        let all = Place::All(Resource::Secret, Some(namespace));
        let items: Option<Vec<Item>> = self.all_of(all, (PARTIAL_LIST, None)).await?;
        let items = items.unwrap_or_default().into_iter();
        Ok(items.map(Item::owned).collect())
    }

    /// How many pods have one of these as their `app.kubernetes.io/name`, in whichever namespace.
    pub async fn count_pods(&self, apps: &[&str]) -> Result<usize, Failure> {
        let selector = format!("app.kubernetes.io/name in ({})", apps.join(","));
        let all = Place::All(Resource::Pod, None);
        let pods: Option<Vec<Item>> = self.all_of(all, (PARTIAL_LIST, Some(&selector))).await?;
        Ok(pods.map_or(0, |pods| pods.len()))
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
