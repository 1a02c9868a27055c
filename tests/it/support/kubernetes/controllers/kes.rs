//! Kubernetes External Secrets: compares labels, annotations and data with what it would write, and where they differ
//! replaces the whole object, without looking at who changed it.

use serde_json::json;

use super::super::body::Wanted;
use super::super::object::Secret;
use super::super::store::Store;
use super::super::things::Key;
use super::{At, KES, encoded};

impl Store {
    /// One poll of one `ExternalSecret`.
    pub fn kes_polls(&mut self, at: At<'_>) {
        let Some(es) = self.things.get(&Key::new(KES, at)).cloned() else {
            return;
        };
        let place = (at.0.to_owned(), at.1.to_owned());
        let Some(kept) = self.controllers.kept.get_mut(&place) else {
            return;
        };
        // The timer that runs already is not stopped, so that there is one more poll.
        let elsewhere = es["spec"]["controllerId"].as_str();
        let elsewhere = elsewhere.is_some_and(|id| !id.is_empty());
        if std::mem::replace(&mut kept.parked, elsewhere) && elsewhere {
            return;
        }
        let Some(data) = kept.data.clone() else {
            return;
        };
        let template = &es["spec"]["template"];
        let wanted = json!({
            "apiVersion": "v1", "kind": "Secret",
            "metadata": {
                "name": at.1,
                "labels": template["metadata"]["labels"],
                "annotations": template["metadata"]["annotations"],
                "ownerReferences": [{
                    "apiVersion": "kubernetes-client.io/v1", "kind": "ExternalSecret", "controller": true,
                    "name": at.1, "uid": es["metadata"]["uid"],
                }],
            },
            "type": template["type"].as_str().or(es["spec"]["type"].as_str()).unwrap_or("Opaque"),
            "data": encoded(&data),
        });
        let live = self.get(at.0, at.1).map(Secret::to_json);
        let compared = ["/metadata/labels", "/metadata/annotations", "/data"];
        let same = |path: &&str| {
            let live = live.as_ref().and_then(|live| live.pointer(path));
            let wanted = wanted.pointer(path);
            let empty = json!({});
            let or_empty = |value: Option<&serde_json::Value>| match value {
                Some(value) if !value.is_null() => value.clone(),
                _ => empty.clone(),
            };
            or_empty(live) == or_empty(wanted)
        };
        if live.is_some() && compared.iter().all(same) {
            return;
        }
        // It has no `delete`. A refusal is an error in its status, and no more.
        let writer = self.controller_writer("unknown", false);
        if let Ok(wanted) = Wanted::read(&wanted, at.0, at.1) {
            let _ = self.update(at.0, at.1, &wanted, &writer);
        }
    }
}
