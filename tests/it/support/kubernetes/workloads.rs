//! Deployments, `StatefulSet`s and `DaemonSet`s, as far as a restart is about them: a merge patch changes one, and pods are
//! replaced where that changes their template. How many pods a deployment wants is its `scale`, too; pods come and go as
//! a test says.

use std::collections::BTreeMap;
use std::time::Instant;

use serde_json::{Value, json};

use super::api::{Answer, merge};
use super::ask::Ask;
use super::custom::{listed, unknown, unsupported};
use super::log::{Shape, Verb};
use super::refusal::Refusal;
use super::selector::Selector;
use super::things::At;
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

pub fn is_kind(kind: &str) -> bool {
    KINDS.iter().any(|(_, known)| *known == kind)
}

impl Workloads {
    pub fn uid(&self, kind: &str, (namespace, name): At<'_>) -> Option<String> {
        let (plural, _) = KINDS.iter().find(|(_, known)| *known == kind)?;
        let key = ((*plural).to_owned(), namespace.to_owned(), name.to_owned());
        let uid = &self.all.get(&key)?["metadata"]["uid"];
        uid.as_str().map(str::to_owned)
    }
}

pub fn any(shared: &mut Shared, ask: &Ask<'_>) -> Answer {
    let place = &ask.place;
    let known = KINDS.iter().find(|(plural, _)| *plural == place.plural);
    let kind = known.ok_or_else(unknown)?.1;
    match (ask.verb, place.part) {
        (Verb::List, _) => Ok((200, list(shared, ask, kind))),
        (_, "") => one(shared, ask, (place.plural, place.namespace, place.name)),
        (_, "scale") => scale(shared, ask),
        (_, _) => Err(unknown()),
    }
}

fn list(shared: &Shared, ask: &Ask<'_>, kind: &str) -> Value {
    let (plural, wanted) = (ask.place.plural, ask.place.namespace);
    let all = shared.store.workloads.all.iter();
    let here = |namespace: &str| wanted.is_empty() || wanted == namespace;
    let all = all.filter(|((of, namespace, _), _)| of == plural && here(namespace));
    let version = shared.store.history.lock().version();
    listed(ask, kind, version, all.map(|(_, it)| it))
}

/// Read and written by whoever may do no more than that.
fn scale(shared: &mut Shared, ask: &Ask<'_>) -> Answer {
    let (plural, namespace, name) = (ask.place.plural, ask.place.namespace, ask.place.name);
    let key = (plural.to_owned(), namespace.to_owned(), name.to_owned());
    let store = &mut shared.store;
    let live = store.workloads.all.get_mut(&key);
    let live = live.ok_or_else(|| Refusal::not_found(plural, name))?;
    let wanted = &ask.body["spec"]["replicas"];
    match ask.verb {
        Verb::Get => {}
        Verb::Patch | Verb::Update if wanted.is_u64() => {
            if !ask.writer().dry_run {
                live["spec"]["replicas"] = wanted.clone();
                live["metadata"]["resourceVersion"] = json!(store.history.elapse().to_string());
            }
        }
        Verb::Patch
        | Verb::Update
        | Verb::List
        | Verb::Watch
        | Verb::Apply
        | Verb::Create
        | Verb::Delete
        | Verb::Other => return Err(unsupported()),
    }
    let (metadata, spec) = (&live["metadata"], &live["spec"]);
    let labels = spec["selector"]["matchLabels"].as_object();
    let labels = labels.into_iter().flatten();
    let selector: Vec<String> = labels
        .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()))
        .collect();
    let selector = selector.join(",");
    let mine = Selector::read(&selector);
    let pods = store.things.list(("", "pods"), namespace).into_iter();
    let pods = pods.filter(|(_, pod)| mine.matches(&pod["metadata"]["labels"]));
    let scale = json!({
        "kind": "Scale", "apiVersion": "autoscaling/v1",
        "metadata": {
            "name": name, "namespace": namespace, "uid": metadata["uid"],
            "resourceVersion": metadata["resourceVersion"],
        },
        "spec": {"replicas": spec["replicas"]},
        "status": {"replicas": pods.count(), "selector": selector},
    });
    Ok((200, scale))
}

fn one(
    shared: &mut Shared,
    ask: &Ask<'_>,
    (plural, namespace, name): (&str, &str, &str),
) -> Answer {
    let key = (plural.to_owned(), namespace.to_owned(), name.to_owned());
    let Workloads {
        all,
        rollouts,
        version,
    } = &mut shared.store.workloads;
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
        | Verb::Other => return Err(unsupported()),
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
        self.deploy_labelled((plural, namespace, name), &json!({"app": name}));
    }

    /// The same, with these labels, which its pods have, too; it wants one.
    pub fn deploy_labelled(&self, (plural, namespace, name): (&str, &str, &str), labels: &Value) {
        let kind = KINDS.iter().find(|(known, _)| *known == plural).unwrap().1;
        let object = json!({
            "apiVersion": "apps/v1", "kind": kind,
            "metadata": {
                "name": name, "namespace": namespace, "uid": super::uid(), "resourceVersion": "1", "generation": 1,
                "labels": labels,
            },
            "spec": {
                "replicas": 1, "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": {"containers": [{"name": name}]}},
            },
        });
        let key = (plural.to_owned(), namespace.to_owned(), name.to_owned());
        self.lock().store.workloads.all.insert(key, object);
    }

    /// Something in the environment of a deployment's container.
    pub fn set_variable(&self, (namespace, name): (&str, &str), (variable, value): (&str, &str)) {
        let key = ["deployments", namespace, name].map(str::to_owned);
        let mut shared = self.lock();
        let all = &mut shared.store.workloads.all;
        let deployment = all.get_mut(&<(String, String, String)>::from(key)).unwrap();
        let container = &mut deployment["spec"]["template"]["spec"]["containers"][0];
        container["env"] = json!([{"name": "OTHER"}, {"name": variable, "value": value}]);
    }

    /// A deployment with that label of Helm charts wants no pod.
    pub fn scale_down(&self, namespace: &str, app: &str) {
        let labels = json!({"app.kubernetes.io/name": app});
        self.create_namespace(namespace);
        self.deploy_labelled(("deployments", namespace, app), &labels);
        let key = ("deployments", namespace, app);
        let key = (key.0.to_owned(), key.1.to_owned(), key.2.to_owned());
        let mut shared = self.lock();
        let deployment = shared.store.workloads.all.get_mut(&key).unwrap();
        deployment["spec"]["replicas"] = json!(0);
    }

    /// All that were replaced so far, in their order.
    pub fn rollouts(&self) -> Vec<Rollout> {
        self.lock().store.workloads.rollouts.clone()
    }

    /// How often the pods of that workload were replaced.
    pub fn rollouts_of(&self, workload: &str) -> usize {
        let rollouts = self.rollouts();
        rollouts.iter().filter(|it| it.workload == workload).count()
    }
}
