//! Restarts of workloads, as `kubectl rollout restart` makes them: an annotation of the pod template changes.

use std::collections::BTreeMap;

use reqwest::Method;
use reqwest::header::HeaderValue;
use serde::Serialize;
use zeroize::Zeroizing;

use super::client::{Client, PARTIAL, Question, Sent};
use super::place::{Asked, Place, Resource};
use super::secret::FieldManager;
use super::wire::{self, Malformed};
use crate::config::{Workload, WorkloadKind};
use crate::failure::Failure;
use crate::names::Namespace;
use crate::report::ClusterVerb;

/// RFC 7386; the only patch of a part that every kind takes.
const MERGE: HeaderValue = HeaderValue::from_static("application/merge-patch+json");

const ANOTHER: Malformed = Malformed("answered with something else than the workload");

/// What became of a restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restarted {
    /// Its pods are replaced now, or were before, where the marks were there.
    Done,
    /// There is no such workload.
    Absent,
}

impl WorkloadKind {
    fn resource(self) -> Resource {
        match self {
            Self::Deployment => Resource::Deployment,
            Self::StatefulSet => Resource::StatefulSet,
            Self::DaemonSet => Resource::DaemonSet,
        }
    }
}

impl Client {
    /// Sets annotations of the pod template. Where they are there already nothing happens, so that asking twice restarts
    /// once.
    pub async fn restart(
        &self,
        namespace: &Namespace,
        workload: &Workload,
        marks: &BTreeMap<String, String>,
    ) -> Result<Restarted, Failure> {
        let asked = Asked {
            resource: workload.kind.resource(),
            namespace,
            name: &workload.name,
        };
        let about = self.about(ClusterVerb::Patch, Place::One(asked));
        let body = serde_json::to_vec(&Patch::new(marks))
            .expect("maps with string keys always serialise, and a Vec takes all bytes");
        let question = Question {
            method: Method::PATCH,
            accept: PARTIAL,
            query: vec![("fieldManager", FieldManager::new(&[]).as_str().to_owned())],
            send: Some(Sent {
                content_type: MERGE,
                body: Zeroizing::new(body),
            }),
        };
        let answer = self.ask(about, question).await?;
        if answer.code == 200 {
            wire::metadata(&answer.body, asked).map_err(|_| about.malformed(ANOTHER))?;
            return Ok(Restarted::Done);
        }
        let refusal = answer.refusal();
        let status = refusal.status.as_ref();
        if refusal.code == 404 && status.is_some_and(|status| status.says_absent(asked)) {
            return Ok(Restarted::Absent);
        }
        Err(about.refused(&refusal))
    }
}

#[derive(Serialize)]
struct Patch<'a> {
    spec: Spec<'a>,
}

#[derive(Serialize)]
struct Spec<'a> {
    template: Template<'a>,
}

#[derive(Serialize)]
struct Template<'a> {
    metadata: Annotated<'a>,
}

#[derive(Serialize)]
struct Annotated<'a> {
    annotations: &'a BTreeMap<String, String>,
}

impl<'a> Patch<'a> {
    fn new(annotations: &'a BTreeMap<String, String>) -> Self {
        let metadata = Annotated { annotations };
        let template = Template { metadata };
        Self {
            spec: Spec { template },
        }
    }
}
