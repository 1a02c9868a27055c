//! External Secrets Operator: takes every Secret of its target's name that no other controller owns, marks what it wrote,
//! and deletes by its mark what it no longer targets.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest as _, Md5};
use serde_json::{Value, json};
use sha3::Sha3_224;

use super::super::body::Wanted;
use super::super::deletion::Deletion;
use super::super::object::Secret;
use super::super::store::Store;
use super::super::things::Key;
use super::{At, ESO, Old, STORES, encoded, target};

const CREATED_BY: &str = "reconcile.external-secrets.io/created-by";
const MANAGED: &str = "reconcile.external-secrets.io/managed";
const HASH: &str = "reconcile.external-secrets.io/data-hash";
const CLEANUP: &str = "externalsecrets.external-secrets.io/externalsecret-cleanup";

/// Which one, by the version of its API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Eso {
    /// 0.3 and 0.4: an owner and a hash, no labels.
    V1Alpha1,
    /// 0.9.3 to 0.10: `created-by` too, and it looks for Secrets by their names.
    V1Beta1,
    /// 0.20 and later: `managed` too, and it hears only of Secrets with that label.
    V1,
}

/// How the Secret is to be filled.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Policy {
    Owner,
    Orphan,
    Merge,
}

impl Eso {
    pub fn version(self) -> &'static str {
        match self {
            Self::V1Alpha1 => "v1alpha1",
            Self::V1Beta1 => "v1beta1",
            Self::V1 => "v1",
        }
    }

    fn hash(self, text: &str) -> String {
        let digest = match self {
            Self::V1Alpha1 | Self::V1Beta1 => Md5::digest(text).to_vec(),
            Self::V1 => Sha3_224::digest(text).to_vec(),
        };
        digest.iter().fold(String::new(), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        })
    }
}

/// The value of its label.
pub fn created_by(eso: Eso, (namespace, name): At<'_>) -> String {
    eso.hash(&format!("{namespace}/{name}"))
}

/// The value of its annotation: of the data as Go prints it.
pub fn data_hash<'a>(eso: Eso, data: impl Iterator<Item = (&'a str, Vec<u8>)>) -> String {
    let sorted: BTreeMap<&str, Vec<u8>> = data.collect();
    let pairs: Vec<String> = sorted
        .into_iter()
        .map(|(key, value)| {
            let bytes: Vec<String> = value.iter().map(u8::to_string).collect();
            format!("{key}:[{}]", bytes.join(" "))
        })
        .collect();
    eso.hash(&format!("map[{}]", pairs.join(" ")))
}

fn hash_of(eso: Eso, secret: &Secret) -> String {
    let data = secret.data();
    data_hash(
        eso,
        data.map(|(key, text)| (key, STANDARD.decode(text).unwrap())),
    )
}

/// One `ExternalSecret` and what is known of it.
struct Task<'a> {
    eso: Eso,
    at: At<'a>,
    uid: String,
    target: String,
    policy: Policy,
    spec: &'a Value,
    metadata: &'a Value,
}

impl Store {
    /// One reconciliation, as at the end of an interval.
    pub fn eso_reconciles(&mut self, at: At<'_>) {
        self.reconcile(at, true);
    }

    /// Its Secret has changed, which it hears of or not; then it does something only where the Secret is not right.
    pub(super) fn eso_hears(&mut self, at: At<'_>, before: Option<&Secret>) {
        let Some(es) = self.things.get(&Key::new(ESO, at)) else {
            return;
        };
        let live = self.get(at.0, &target(es)).or(before);
        let managed = live.and_then(|live| live.label(MANAGED)) == Some("true");
        if managed || !self.is_newest(at) {
            self.reconcile(at, false);
        }
    }

    fn is_newest(&self, at: At<'_>) -> bool {
        self.kept(at)
            .is_some_and(|kept| kept.old == Old::Eso(Eso::V1))
    }

    fn reconcile(&mut self, at: At<'_>, due: bool) {
        let key = Key::new(ESO, at);
        let (Some(es), Some(kept)) = (self.things.get(&key).cloned(), self.kept(at).cloned())
        else {
            return;
        };
        let Old::Eso(eso) = kept.old else {
            return;
        };
        let (spec, metadata) = (&es["spec"], &es["metadata"]);
        let policy = match spec["target"]["creationPolicy"].as_str() {
            None | Some("Owner") => Policy::Owner,
            Some("Orphan") => Policy::Orphan,
            Some("Merge") => Policy::Merge,
            Some(_) => return,
        };
        let task = Task {
            eso,
            at,
            uid: metadata["uid"].as_str().unwrap_or_default().to_owned(),
            target: target(&es),
            policy,
            spec,
            metadata,
        };
        if !metadata["deletionTimestamp"].is_null() {
            return self.clean_up(&task);
        }
        if !self.store_is_ours(&task) {
            return;
        }
        let deletes = spec["target"]["deletionPolicy"] == "Delete";
        if deletes && eso == Eso::V1 && metadata["finalizers"].is_null() {
            let patch = json!({"metadata": {"finalizers": [CLEANUP]}});
            let _ = self.patch_thing(&key, &patch, false);
        }
        // Without an interval it does so once for each state of its object, and only looks after that.
        let generation = metadata["generation"].as_u64();
        let zero = matches!(spec["refreshInterval"].as_str(), Some("0" | "0s"));
        let due = due && !(zero && kept.synced == generation);
        let place = (at.0.to_owned(), at.1.to_owned());
        if let Some(kept) = self.controllers.kept.get_mut(&place) {
            kept.synced = generation;
        }
        match kept.data {
            Some(data) => self.fill(&task, &data, due),
            // Whoever owns it.
            None if deletes => {
                let _ = self.delete(at.0, &task.target, &Deletion::default());
            }
            None => {}
        }
    }

    /// The store of another class of controllers is somebody else's, with everything that refers to it.
    fn store_is_ours(&self, task: &Task<'_>) -> bool {
        let name = task.spec["secretStoreRef"]["name"].as_str();
        let key = Key::new(STORES, (task.at.0, name.unwrap_or_default()));
        let store = self.things.get(&key);
        store.is_some_and(|store| match store["spec"]["controller"].as_str() {
            None | Some("" | "default") => true,
            Some(_) => false,
        })
    }

    fn clean_up(&mut self, task: &Task<'_>) {
        let live = self.get(task.at.0, &task.target);
        let ours = live
            .and_then(controller)
            .is_some_and(|owner| owner["uid"] == *task.uid);
        if ours && task.spec["target"]["deletionPolicy"] == "Delete" {
            let _ = self.delete(task.at.0, &task.target, &Deletion::default());
        }
        let patch = json!({"metadata": {"finalizers": null}});
        let _ = self.patch_thing(&Key::new(ESO, task.at), &patch, false);
    }

    fn fill(&mut self, task: &Task<'_>, data: &BTreeMap<String, String>, due: bool) {
        let live = self.get(task.at.0, &task.target).cloned();
        if !due && live.as_ref().is_some_and(|live| task.is_right(live)) {
            return;
        }
        let makes = live.is_none();
        if task.policy == Policy::Owner && task.eso == Eso::V1 {
            self.delete_former(task);
        }
        if live.as_ref().is_some_and(|live| task.is_anothers(live))
            || makes && task.policy == Policy::Merge
        {
            return;
        }
        let object = task.object(live.as_ref(), data);
        let manager = match task.eso {
            Eso::V1Alpha1 => "external-secrets".to_owned(),
            Eso::V1Beta1 | Eso::V1 => format!("externalsecrets.external-secrets.io/{}", task.at.1),
        };
        let writer = self.controller_writer(&manager, true);
        if let Ok(wanted) = Wanted::read(&object, task.at.0, &task.target) {
            let _ = self.update(task.at.0, &task.target, &wanted, &writer);
        }
        if task.policy == Policy::Owner && task.eso == Eso::V1Beta1 && makes {
            self.delete_former(task);
        }
    }

    /// Whatever has its label and not its target's name goes, whoever owns it. The older ones look in all namespaces.
    fn delete_former(&mut self, task: &Task<'_>) {
        let label = created_by(task.eso, task.at);
        let near = |namespace: &str| task.eso == Eso::V1Beta1 || namespace == task.at.0;
        let former = self.secrets.values().filter(|secret| {
            near(&secret.namespace)
                && secret.label(CREATED_BY) == Some(&label)
                && secret.name != task.target
        });
        let former = former.map(|it| (it.namespace.clone(), it.name.clone()));
        for (namespace, name) in former.collect::<Vec<_>>() {
            let _ = self.delete(&namespace, &name, &Deletion::default());
        }
    }
}

impl Task<'_> {
    fn is_right(&self, live: &Secret) -> bool {
        let managed = self.eso != Eso::V1 || live.label(MANAGED) == Some("true");
        let hash = hash_of(self.eso, live);
        self.policy == Policy::Orphan || managed && live.annotation(HASH) == Some(&hash)
    }

    fn is_anothers(&self, live: &Secret) -> bool {
        controller(live).is_some_and(|owner| owner["uid"] != *self.uid)
    }

    /// The whole Secret as it is to be.
    fn object(&self, live: Option<&Secret>, data: &BTreeMap<String, String>) -> Value {
        let mut object = live.map_or_else(
            || json!({"apiVersion": "v1", "kind": "Secret", "metadata": {}}),
            Secret::to_json,
        );
        match self.policy {
            Policy::Merge => super::super::api::merge(&mut object["data"], &encoded(data)),
            Policy::Owner | Policy::Orphan => object["data"] = encoded(data),
        }
        if self.spec["target"]["immutable"] == true {
            object["immutable"] = json!(true);
        }
        let mut metadata = object["metadata"].take();
        self.mark(&mut metadata);
        self.own(&mut metadata);
        object["metadata"] = metadata;
        let written = data
            .iter()
            .map(|(key, text)| (&**key, text.clone().into_bytes()));
        object["metadata"]["annotations"][HASH] = json!(data_hash(self.eso, written));
        object
    }

    /// Labels and annotations: those of the `ExternalSecret` too, where there is no template.
    fn mark(&self, metadata: &mut Value) {
        if self.spec["target"]["template"].is_null() {
            for key in ["labels", "annotations"] {
                if !self.metadata[key].is_null() {
                    super::super::api::merge(&mut metadata[key], &self.metadata[key]);
                }
            }
        }
        let owns = self.policy == Policy::Owner;
        if owns && self.eso != Eso::V1Alpha1 {
            metadata["labels"][CREATED_BY] = json!(created_by(self.eso, self.at));
        }
        if self.eso == Eso::V1 {
            metadata["labels"][MANAGED] = json!("true");
            if !owns && let Some(labels) = metadata["labels"].as_object_mut() {
                labels.remove(CREATED_BY);
            }
        }
    }

    fn own(&self, metadata: &mut Value) {
        let mut owners = metadata["ownerReferences"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let drops = self.policy != Policy::Owner && self.eso == Eso::V1;
        if drops || self.policy == Policy::Owner {
            owners.retain(|owner| owner["uid"] != *self.uid);
        }
        if self.policy == Policy::Owner {
            owners.push(json!({
                "apiVersion": format!("external-secrets.io/{}", self.eso.version()), "kind": "ExternalSecret",
                "name": self.at.1, "uid": self.uid, "controller": true, "blockOwnerDeletion": true,
            }));
        }
        metadata["ownerReferences"] = json!(owners);
    }
}

fn controller(secret: &Secret) -> Option<&Value> {
    let mut owners = secret.owners().into_iter();
    owners.find(|owner| owner["controller"] == true)
}
