//! A few rules of an API server: Secrets, their managers, and preconditions.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::kube::tests::{Answering, status};

#[derive(Clone, Default)]
pub(super) struct Api(pub(super) Arc<Mutex<Kept>>);

#[derive(Default)]
pub(super) struct Kept {
    pub secrets: BTreeMap<String, Secret>,
    /// Method and name of every request but looks.
    pub writes: Vec<String>,
    pub looks: usize,
    /// The code with which deletes are refused.
    pub refuse: Option<u16>,
    /// What happens just before the next delete is judged.
    pub before_delete: Option<fn(&mut Self, &str)>,
    made: u32,
}

#[derive(Clone, Default)]
pub(super) struct Secret {
    pub uid: String,
    version: u32,
    pub data: BTreeMap<String, String>,
    labels: BTreeMap<String, String>,
    pub annotations: BTreeMap<String, String>,
    /// Keys by manager; those of applies.
    managers: BTreeMap<String, BTreeSet<String>>,
    /// Of updates.
    pub others: BTreeMap<String, BTreeSet<String>>,
}

impl Kept {
    pub(super) fn make(&mut self, name: &str) -> &mut Secret {
        self.made += 1;
        let secret = Secret {
            uid: format!("u-{}", self.made),
            version: 1,
            ..Secret::default()
        };
        self.secrets.insert(name.to_owned(), secret);
        self.secrets.get_mut(name).unwrap()
    }
}

impl Api {
    pub(super) fn answering(&self) -> Answering {
        let kept = Arc::clone(&self.0);
        Box::new(move |head, body| kept.lock().unwrap().answer(head, body))
    }

    pub(super) fn data(&self, name: &str) -> Option<BTreeMap<String, String>> {
        Some(self.0.lock().unwrap().secrets.get(name)?.data.clone())
    }

    pub(super) fn change(&self, change: impl FnOnce(&mut Kept)) {
        change(&mut self.0.lock().unwrap());
    }

    pub(super) fn deletes(&self) -> Vec<String> {
        let kept = self.0.lock().unwrap();
        let deletes = kept
            .writes
            .iter()
            .filter_map(|it| it.strip_prefix("DELETE "));
        deletes.map(str::to_owned).collect()
    }
}

impl Secret {
    fn json(&self, name: &str, partial: bool) -> String {
        let (kind, api) = if partial {
            ("PartialObjectMetadata", "meta.k8s.io/v1")
        } else {
            ("Secret", "v1")
        };
        let fields = |keys: &BTreeSet<String>| -> Value {
            keys.iter()
                .map(|key| (format!("f:{key}"), json!({})))
                .collect()
        };
        let managed = |operation: &'static str| {
            move |(manager, keys): (&String, &BTreeSet<String>)| json!({"manager": manager, "operation": operation, "fieldsV1": {"f:data": fields(keys)}})
        };
        let applies = self.managers.iter().map(managed("Apply"));
        let updates = self.others.iter().map(managed("Update"));
        let managers: Vec<Value> = applies.chain(updates).collect();
        json!({
            "kind": kind, "apiVersion": api, "type": "Opaque",
            "metadata": {
                "name": name, "namespace": "app", "uid": self.uid, "resourceVersion": self.version.to_string(),
                "labels": self.labels, "annotations": self.annotations, "managedFields": managers,
            },
            "data": self.data,
        })
        .to_string()
    }
}

fn manager_of(query: &str) -> String {
    let mut pairs = query.split('&');
    let manager = pairs.find_map(|it| it.strip_prefix("fieldManager="));
    manager.unwrap().replace("%3A", ":")
}

fn texts(value: &Value) -> BTreeMap<String, String> {
    let pairs = value.as_object().into_iter().flatten();
    pairs
        .map(|(key, text)| (key.clone(), text.as_str().unwrap().to_owned()))
        .collect()
}

impl Kept {
    fn answer(&mut self, head: &str, body: &str) -> (u16, String) {
        let line = head.lines().next().unwrap();
        let mut words = line.split(' ');
        let (method, url) = (words.next().unwrap(), words.next().unwrap());
        let (path, query) = url.split_once('?').unwrap_or((url, ""));
        let name = path.rsplit('/').next().unwrap().to_owned();
        let absent = || {
            let details = format!(r#""name":"{name}","kind":"secrets""#);
            (404, status("NotFound", &details))
        };
        if method == "GET" {
            self.looks += 1;
            let partial = head.contains("PartialObjectMetadata");
            return match self.secrets.get(&name) {
                Some(secret) => (200, secret.json(&name, partial)),
                None => absent(),
            };
        }
        let body: Value = serde_json::from_str(body).unwrap();
        if method == "POST" {
            return self.create(query, &body);
        }
        self.writes.push(format!("{method} {name}"));
        if method == "DELETE" {
            if let Some(before) = self.before_delete.take() {
                before(self, &name);
            }
            return match self.secrets.get(&name) {
                None => absent(),
                Some(_) if self.refuse.is_some() => (self.refuse.unwrap(), status("Forbidden", "")),
                Some(secret) => {
                    let wanted = &body["preconditions"];
                    let version = secret.version.to_string();
                    if wanted["uid"] != secret.uid.as_str()
                        || wanted["resourceVersion"] != version.as_str()
                    {
                        return (409, status("Conflict", ""));
                    }
                    self.secrets.remove(&name);
                    (200, r#"{"kind":"Status","status":"Success"}"#.to_owned())
                }
            };
        }
        if head.contains("merge-patch") {
            return self.own(&name, &body);
        }
        self.apply(&name, query, &body)
    }

    /// What a POST makes is owned by an update.
    fn create(&mut self, query: &str, body: &Value) -> (u16, String) {
        let name = body["metadata"]["name"].as_str().unwrap().to_owned();
        self.writes.push(format!("POST {name}"));
        if self.secrets.contains_key(&name) {
            return (409, status("AlreadyExists", ""));
        }
        let secret = self.make(&name);
        secret.data = texts(&body["data"]);
        secret.labels = texts(&body["metadata"]["labels"]);
        secret.annotations = texts(&body["metadata"]["annotations"]);
        let keys = secret.data.keys().cloned().collect();
        secret.others.insert(manager_of(query), keys);
        (201, secret.json(&name, true))
    }

    /// A merge patch of the managers, and of nothing else.
    fn own(&mut self, name: &str, body: &Value) -> (u16, String) {
        let metadata = &body["metadata"];
        let Some(secret) = self.secrets.get_mut(name) else {
            return (409, status("Conflict", ""));
        };
        let version = secret.version.to_string();
        if metadata["uid"] != secret.uid.as_str() || metadata["resourceVersion"] != version.as_str()
        {
            return (409, status("Conflict", ""));
        }
        secret.version += 1;
        secret.managers.clear();
        secret.others.clear();
        for manager in metadata["managedFields"].as_array().unwrap() {
            let keys = manager["fieldsV1"]["f:data"].as_object().into_iter();
            let keys = keys.flatten().filter_map(|(key, _)| key.strip_prefix("f:"));
            let keys = keys.map(str::to_owned).collect();
            let name = manager["manager"].as_str().unwrap().to_owned();
            if manager["operation"] == "Apply" {
                secret.managers.insert(name, keys);
            } else {
                secret.others.insert(name, keys);
            }
        }
        (200, secret.json(name, true))
    }

    fn apply(&mut self, name: &str, query: &str, body: &Value) -> (u16, String) {
        let manager = manager_of(query);
        let uid = &body["metadata"]["uid"];
        let known = self.secrets.get(name);
        if !uid.is_null() && known.is_none_or(|it| uid != it.uid.as_str()) {
            return (409, status("Conflict", ""));
        }
        let created = known.is_none();
        if created {
            self.make(name);
        }
        let secret = self.secrets.get_mut(name).unwrap();
        let version = &body["metadata"]["resourceVersion"];
        if !version.is_null() && *version != secret.version.to_string().as_str() {
            return (409, status("Conflict", ""));
        }
        secret.version += 1;
        let data = texts(&body["data"]);
        let held = secret.managers.remove(&manager).unwrap_or_default();
        for key in held.iter().filter(|key| !data.contains_key(*key)) {
            let mut others = secret.managers.values().chain(secret.others.values());
            if !others.any(|keys| keys.contains(key)) {
                secret.data.remove(key);
            }
        }
        if !data.is_empty() {
            secret
                .managers
                .insert(manager, data.keys().cloned().collect());
        }
        secret.data.extend(data);
        secret.labels.extend(texts(&body["metadata"]["labels"]));
        secret
            .annotations
            .extend(texts(&body["metadata"]["annotations"]));
        (if created { 201 } else { 200 }, secret.json(name, true))
    }
}
