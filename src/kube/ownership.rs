//! Who owns which field, rewritten without changing any: what makes a field ours as an apply would have.
//!
//! The API server takes the `managedFields` of a patch as they are, as long as no field changes by it: what another
//! manager no longer has in them is no longer its own, and what an apply of ours omits later is really removed.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::client::{Applied, Client, Run};
use super::error::ApplyError;
use super::secret::{FieldKind, FieldManager, Manager, Operation};
use crate::names::{Namespace, ObjectName, ResourceVersion, Uid};

/// Every manager of one state of one Secret, as they are to be from then on. A manager that is not among them owns
/// nothing any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ownership {
    pub uid: Uid,
    pub resource_version: ResourceVersion,
    pub managers: Vec<Manager>,
}

impl Client {
    /// [`ApplyError::Raced`] when the Secret is no longer in that state.
    pub async fn own_fields(
        &self,
        (namespace, name): (&Namespace, &ObjectName),
        ownership: &Ownership,
        (manager, run): (&FieldManager, Run),
    ) -> Result<Applied, ApplyError> {
        self.merge_patch((namespace, name), &ownership.patch(), (manager, run))
            .await
    }
}

impl Ownership {
    fn patch(&self) -> Value {
        json!({"metadata": {
            "uid": self.uid.as_str(),
            "resourceVersion": self.resource_version.as_str(),
            "managedFields": entries(&self.managers),
        }})
    }
}

/// `managedFields` as they go to the server, without those who own nothing any more.
pub(super) fn entries(managers: &[Manager]) -> Vec<Value> {
    managers.iter().filter_map(entry).collect()
}

/// One that came from the server goes back as it came, less the names that it has lost.
fn entry(manager: &Manager) -> Option<Value> {
    if manager.raw.is_null() {
        return Some(made_here(manager));
    }
    let mut raw = manager.raw.clone();
    let fields = raw.get_mut("fieldsV1")?.as_object_mut()?;
    keep(fields, "f:data", manager.fields(FieldKind::Data));
    if let Some(Value::Object(metadata)) = fields.get_mut("f:metadata") {
        keep(metadata, "f:labels", manager.fields(FieldKind::Label));
        keep(
            metadata,
            "f:annotations",
            manager.fields(FieldKind::Annotation),
        );
        if metadata.is_empty() {
            fields.remove("f:metadata");
        }
    }
    (!fields.is_empty()).then_some(raw)
}

/// Of the names in a map those that it still has. Without any, not the map itself (`.`) either: older API servers take that
/// for all that is in it, of every manager, at each update and each apply (measured with 1.20; made for maps that were
/// atomic once).
fn keep(fields: &mut Map<String, Value>, map: &str, names: &BTreeSet<String>) {
    if let Some(Value::Object(owned)) = fields.get_mut(map) {
        owned.retain(|field, _| field.strip_prefix("f:").is_none_or(|it| names.contains(it)));
        if !owned.keys().any(|field| field.starts_with("f:")) {
            fields.remove(map);
        }
    }
}

fn made_here(manager: &Manager) -> Value {
    let names = |kind| -> Option<Value> {
        let names = manager.fields(kind);
        let fields: Map<_, _> = names
            .iter()
            .map(|it| (format!("f:{it}"), json!({})))
            .collect();
        (!fields.is_empty()).then_some(Value::Object(fields))
    };
    let mut metadata = Map::new();
    let mut fields = Map::new();
    for (place, kind) in [
        ("f:labels", FieldKind::Label),
        ("f:annotations", FieldKind::Annotation),
    ] {
        metadata.extend(names(kind).map(|it| (place.to_owned(), it)));
    }
    fields.extend(names(FieldKind::Data).map(|it| ("f:data".to_owned(), it)));
    if !metadata.is_empty() {
        fields.insert("f:metadata".to_owned(), Value::Object(metadata));
    }
    for (field, owned) in [
        ("f:type", manager.secret_type),
        ("f:immutable", manager.immutable),
    ] {
        if owned {
            fields.insert(field.to_owned(), json!({}));
        }
    }
    json!({
        "manager": manager.name,
        "operation": match manager.operation {
            Operation::Apply => "Apply",
            Operation::Update => "Update",
        },
        "apiVersion": "v1",
        "fieldsType": "FieldsV1",
        "fieldsV1": fields,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn others_go_back_as_they_came_less_what_they_lost() {
        let raw = json!({
            "manager": "helm", "operation": "Update", "apiVersion": "v1", "time": "2026-01-01T00:00:00Z",
            "fieldsType": "FieldsV1",
            "fieldsV1": {
                "f:data": {".": {}, "f:a": {}, "f:b": {}},
                "f:metadata": {"f:labels": {"f:x/y": {}}, "f:finalizers": {"v:\"z\"": {}}},
                "f:type": {},
            },
        });
        let mut helm = Manager {
            name: "helm".to_owned(),
            data: ["a".to_owned(), "b".to_owned()].into(),
            labels: ["x/y".to_owned()].into(),
            raw: raw.clone(),
            ..Manager::default()
        };
        assert_eq!(entry(&helm), Some(raw.clone()));
        helm.data.remove("a");
        let less = raw.to_string().replace(r#""f:a":{},"#, "");
        assert_eq!(entry(&helm).unwrap().to_string(), less);
    }

    /// Bug: the API server gave all labels back to whoever was left with their map alone, so that they were taken from it
    /// again and again and nothing was ever delivered.
    #[test]
    fn who_has_lost_every_name_in_a_map_has_lost_the_map() {
        let mut raw = json!({
            "manager": "helm", "operation": "Update", "apiVersion": "v1", "fieldsType": "FieldsV1",
            "fieldsV1": {"f:data": {".": {}, "f:a": {}}, "f:metadata": {"f:labels": {".": {}}}, "f:type": {}},
        });
        let mut helm = Manager {
            name: "helm".to_owned(),
            raw: raw.clone(),
            ..Manager::default()
        };
        raw["fieldsV1"] = json!({"f:type": {}});
        assert_eq!(entry(&helm), Some(raw));
        helm.raw["fieldsV1"]
            .as_object_mut()
            .unwrap()
            .remove("f:type");
        assert_eq!(entry(&helm), None);
    }

    #[test]
    fn one_that_is_made_here_owns_what_it_names_and_nothing_else() {
        let ours = Manager {
            name: "secretsyncd".to_owned(),
            operation: Operation::Apply,
            data: ["a".to_owned()].into(),
            annotations: ["n".to_owned()].into(),
            secret_type: true,
            ..Manager::default()
        };
        let fields = json!({"f:data": {"f:a": {}}, "f:metadata": {"f:annotations": {"f:n": {}}}, "f:type": {}});
        assert_eq!(
            made_here(&ours),
            json!({"manager": "secretsyncd", "operation": "Apply", "apiVersion": "v1", "fieldsType": "FieldsV1", "fieldsV1": fields})
        );
    }
}
