//! Namespaces, with their labels.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::history::History;

#[derive(Default)]
pub struct Namespaces {
    kept: BTreeMap<String, Value>,
    history: History,
}

impl Namespaces {
    pub fn new(history: History) -> Self {
        Self {
            kept: BTreeMap::new(),
            history,
        }
    }

    pub fn contains(&self, name: &str) -> bool {
        self.kept.contains_key(name)
    }

    pub fn get(&self, name: &str) -> Option<&Value> {
        self.kept.get(name)
    }

    pub fn all(&self) -> impl Iterator<Item = &Value> {
        self.kept.values()
    }

    /// A namespace that is there already stays as it is.
    pub fn insert(&mut self, name: String) {
        if self.contains(&name) {
            return;
        }
        let namespace = json!({
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {
                "name": name,
                "uid": super::uid(),
                "labels": {"kubernetes.io/metadata.name": name},
            },
            "status": {"phase": "Active"},
        });
        self.put(name, namespace);
    }

    /// Sets a label; `None` removes it.
    pub fn label(&mut self, name: &str, key: &str, value: Option<&str>) {
        let mut namespace = self.kept[name].clone();
        let labels = namespace["metadata"]["labels"].as_object_mut().unwrap();
        match value {
            Some(value) => labels.insert(key.to_owned(), json!(value)),
            None => labels.remove(key),
        };
        self.put(name.to_owned(), namespace);
    }

    /// From here on nothing is made in it; what is in it goes next.
    pub fn terminate(&mut self, name: &str) {
        let mut namespace = self.kept[name].clone();
        namespace["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        namespace["status"]["phase"] = json!("Terminating");
        self.put(name.to_owned(), namespace);
    }

    pub fn remove(&mut self, name: &str) {
        if let Some(before) = self.kept.remove(name) {
            let version = self.history.next_version();
            self.history
                .record(version, "namespaces", Some(before), None);
        }
    }

    fn put(&mut self, name: String, mut namespace: Value) {
        let version = self.history.next_version();
        namespace["metadata"]["resourceVersion"] = json!(version.to_string());
        let before = self.kept.insert(name, namespace.clone());
        self.history
            .record(version, "namespaces", before, Some(namespace));
    }
}
