//! Deployments, `StatefulSet`s and `DaemonSet`s, as far as a restart is about them: a merge patch changes one, and pods are
//! replaced where that changes their template.

use std::collections::BTreeMap;
use std::time::Instant;

use serde_json::{Value, json};

use super::api::{Answer, merge};
use super::ask::Ask;
use super::log::{Shape, Verb};
use super::refusal::{Refusal, Why};
use super::{Kubernetes, Shared};

pub const KINDS: [(&str, &str); 3] = [
    ("deployments", "Deployment"),
    ("statefulsets", "StatefulSet"),
    ("daemonsets", "DaemonSet"),
];

/// Pods that were replaced.
#[derive(Clone, Debug)]
pub struct Rollout {
    pub at: Instant,
    /// As `deployments/api`.
    pub workload: String,
    /// The annotations of the pod template since.
    pub marks: BTreeMap<String, String>,
}

#[derive(Default)]
pub struct Workloads {
    /// By plural, namespace and name.
    all: BTreeMap<(String, String, String), Value>,
    rollouts: Vec<Rollout>,
    version: u64,
}

pub fn any(
    shared: &mut Shared,
    ask: &Ask<'_>,
    (plural, namespace, name): (&str, &str, &str),
) -> Answer {
    let key = (plural.to_owned(), namespace.to_owned(), name.to_owned());
    let Workloads {
        all,
        rollouts,
        version,
    } = &mut shared.workloads;
    let live = all.get_mut(&key);
    let live = live.ok_or_else(|| Refusal::not_found(plural, name))?;
    match ask.verb {
        Verb::Get => {}
        Verb::Patch => {
            let mut next = live.clone();
            merge(&mut next, &ask.body);
            if next != *live && !ask.writer().dry_run {
                *version += 1;
                next["metadata"]["resourceVersion"] = json!(version.to_string());
                if next["spec"] != live["spec"] {
                    let generation = live["metadata"]["generation"].as_u64().unwrap();
                    next["metadata"]["generation"] = json!(generation + 1);
                }
                if next["spec"]["template"] != live["spec"]["template"] {
                    rollouts.push(Rollout {
                        at: Instant::now(),
                        workload: format!("{plural}/{name}"),
                        marks: marks(&next),
                    });
                }
                *live = next;
            }
        }
        Verb::List
        | Verb::Watch
        | Verb::Apply
        | Verb::Create
        | Verb::Update
        | Verb::Delete
        | Verb::Other => {
            let text = "the body of the request was in an unknown format";
            return Err(Refusal::new(Why::UnsupportedMediaType, text));
        }
    }
    let mut shown = live.clone();
    if ask.shape == Shape::Metadata {
        shown = json!({
            "apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata", "metadata": live["metadata"],
        });
    }
    Ok((200, shown))
}

fn marks(workload: &Value) -> BTreeMap<String, String> {
    let annotations = &workload["spec"]["template"]["metadata"]["annotations"];
    let annotations = annotations.as_object().into_iter().flatten();
    annotations
        .map(|(key, text)| (key.clone(), text.as_str().unwrap().to_owned()))
        .collect()
}

impl Kubernetes {
    /// Somebody deploys a workload, as `deployments/api`.
    pub fn deploy(&self, namespace: &str, workload: &str) {
        let (plural, name) = workload.split_once('/').unwrap();
        let kind = KINDS.iter().find(|(known, _)| *known == plural).unwrap().1;
        let object = json!({
            "apiVersion": "apps/v1", "kind": kind,
            "metadata": {
                "name": name, "namespace": namespace, "uid": super::uid(), "resourceVersion": "1", "generation": 1,
            },
            "spec": {"template": {"metadata": {"labels": {"app": name}}, "spec": {"containers": [{"name": name}]}}},
        });
        let key = (plural.to_owned(), namespace.to_owned(), name.to_owned());
        self.lock().workloads.all.insert(key, object);
    }

    /// All that were replaced so far, in their order.
    pub fn rollouts(&self) -> Vec<Rollout> {
        self.lock().workloads.rollouts.clone()
    }

    /// How often the pods of that workload were replaced.
    pub fn rollouts_of(&self, workload: &str) -> usize {
        let rollouts = self.rollouts();
        rollouts.iter().filter(|it| it.workload == workload).count()
    }
}
