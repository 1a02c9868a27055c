//! A controller that is alive: what it does once its Secret has changed, at once or as its interval ends.

use serde_json::json;

use super::super::Kubernetes;
use super::super::ask::Ask;
use super::super::log::Verb;
use super::super::object::Secret;
use super::super::store::Store;
use super::{At, Old, target};

const APP: &str = "app.kubernetes.io/name";

/// When a controller that is alive takes its step after its Secret has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    AtOnce,
    /// Just before the so manieth GET of the Secret since then: its interval is over.
    AtGet(usize),
}

pub(super) struct Live {
    place: (String, String),
    target: String,
    pace: Pace,
    /// GETs until its step, where one is due.
    due: Option<usize>,
}

impl Store {
    /// No pod of a controller is left.
    pub fn pods_go(&mut self) {
        let Some((namespace, app)) = self.controllers.pods.clone() else {
            return;
        };
        let pods = self.things.list(("", "pods"), &namespace).into_iter();
        let pods = pods.filter(|(_, pod)| pod["metadata"]["labels"][APP] == *app);
        for key in pods.map(|(key, _)| key.clone()).collect::<Vec<_>>() {
            self.remove_thing(&key);
        }
    }

    fn some_pod_runs(&self) -> bool {
        self.controllers
            .pods
            .as_ref()
            .is_none_or(|(namespace, app)| {
                let mut pods = self.things.list(("", "pods"), namespace).into_iter();
                pods.any(|(_, pod)| pod["metadata"]["labels"][APP] == **app)
            })
    }

    /// What the Secrets of those who are alive are like before a request, once those are done whose interval is over.
    pub fn before(&mut self, ask: &Ask<'_>) -> Vec<Option<Secret>> {
        let about = |live: &Live| {
            ask.place.plural == "secrets"
                && ask.verb == Verb::Get
                && (ask.namespace, ask.name) == (&live.place.0, &live.target)
        };
        let mut due = Vec::new();
        for live in &mut self.controllers.live {
            if let Some(left) = live.due.filter(|_| about(live)) {
                live.due = (left > 1).then(|| left - 1);
                if live.due.is_none() {
                    due.push(live.place.clone());
                }
            }
        }
        for (namespace, name) in due
            .iter()
            .filter(|_| self.some_pod_runs())
            .cloned()
            .collect::<Vec<_>>()
        {
            self.controller_steps((&namespace, &name));
        }
        let live = self.controllers.live.iter();
        live.map(|it| self.get(&it.place.0, &it.target).cloned())
            .collect()
    }

    /// Those who are alive see what has become of their Secrets.
    pub fn after(&mut self, before: Vec<Option<Secret>>) {
        let version = |secret: Option<&Secret>| secret.map(|it| it.resource_version);
        for (at, before) in before.into_iter().enumerate() {
            let Live {
                place,
                target,
                pace,
                due,
            } = &self.controllers.live[at];
            let after = self.get(&place.0, target);
            if version(before.as_ref()) == version(after) || !self.some_pod_runs() {
                continue;
            }
            match pace {
                Pace::AtOnce => {
                    let (namespace, name) = place.clone();
                    let place = (&*namespace, &*name);
                    match self.kept(place).map(|kept| kept.old) {
                        Some(Old::Kes) => self.kes_polls(place),
                        Some(Old::Eso(_)) => self.eso_hears(place, before.as_ref()),
                        None => {}
                    }
                }
                Pace::AtGet(n) => {
                    let due = due.or(Some(*n));
                    self.controllers.live[at].due = due;
                }
            }
        }
    }
}

impl Kubernetes {
    /// From here on whoever handles that `ExternalSecret` takes a step after each request that changes its Secret.
    pub fn controller_lives(&self, (namespace, name): At<'_>, pace: Pace) {
        let mut shared = self.lock();
        let es = shared.store.external_secret((namespace, name));
        let target = target(&es.expect("the ExternalSecret is there"));
        let live = Live {
            place: (namespace.to_owned(), name.to_owned()),
            target,
            pace,
            due: None,
        };
        shared.store.controllers.live.push(live);
    }

    /// No controller is alive any more.
    pub fn controllers_end(&self) {
        self.lock().store.controllers.live.clear();
    }

    /// The controllers are to be seen: a deployment and its one pod, both with the label of Helm charts. While there is no
    /// pod, none of them is alive, whatever its deployment wants.
    pub fn run_controllers(&self, namespace: &str, app: &str) {
        let labels = json!({APP: app});
        self.create_namespace(namespace);
        self.deploy_labelled(("deployments", namespace, app), &labels);
        let pod = json!({"metadata": {"labels": labels}, "status": {"phase": "Running"}});
        self.put_thing(("", "pods"), (namespace, &format!("{app}-0")), pod);
        self.lock().store.controllers.pods = Some((namespace.to_owned(), app.to_owned()));
    }

    pub fn pods_go(&self) {
        self.lock().store.pods_go();
    }
}
