//! A Secret as the API server keeps it, and who owns which of its fields.
//!
//! Field ownership is what server-side apply is about, so fields are values of their own here: an object is a map
//! from fields to values, and a field manager is a set of fields.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

/// One field that can be owned.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Field {
    Data(String),
    Label(String),
    Annotation(String),
    /// By its uid.
    Owner(String),
    Finalizer(String),
    Type,
    Immutable,
}

pub type Fields = BTreeMap<Field, Value>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    Apply,
    Update,
}

/// One entry of `managedFields`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manager {
    pub name: String,
    pub how: How,
    pub fields: BTreeSet<Field>,
    /// As it was written; an entry need not have one.
    pub time: Option<String>,
}

#[derive(Clone, Debug)]
pub struct Secret {
    pub namespace: String,
    pub name: String,
    pub uid: String,
    pub resource_version: u64,
    pub created: String,
    pub fields: Fields,
    /// Owners and finalizers in the order in which they are listed.
    pub listed: Vec<Field>,
    /// When it was to be deleted; it stays until its last finalizer is gone.
    pub deleting: Option<String>,
    pub managers: Vec<Manager>,
}

impl Field {
    /// The path as conflict messages write it.
    pub fn path(&self) -> String {
        match self {
            Self::Data(key) => format!(".data.{key}"),
            Self::Label(key) => format!(".metadata.labels.{key}"),
            Self::Annotation(key) => format!(".metadata.annotations.{key}"),
            Self::Owner(uid) => format!(".metadata.ownerReferences[uid=\"{uid}\"]"),
            Self::Finalizer(name) => format!(".metadata.finalizers[={name:?}]"),
            Self::Type => ".type".to_owned(),
            Self::Immutable => ".immutable".to_owned(),
        }
    }

    /// The path in `FieldsV1`.
    fn steps(&self) -> Vec<String> {
        let steps = |path: &[&str]| path.iter().map(|step| format!("f:{step}")).collect();
        match self {
            Self::Data(key) => steps(&["data", key]),
            Self::Label(key) => steps(&["metadata", "labels", key]),
            Self::Annotation(key) => steps(&["metadata", "annotations", key]),
            Self::Owner(uid) => vec![
                "f:metadata".to_owned(),
                "f:ownerReferences".to_owned(),
                format!("k:{{\"uid\":\"{uid}\"}}"),
            ],
            Self::Finalizer(name) => vec![
                "f:metadata".to_owned(),
                "f:finalizers".to_owned(),
                format!("v:{name:?}"),
            ],
            Self::Type => steps(&["type"]),
            Self::Immutable => steps(&["immutable"]),
        }
    }
}

impl Secret {
    pub fn value(&self, field: &Field) -> Option<&str> {
        self.fields.get(field)?.as_str()
    }

    pub fn secret_type(&self) -> &str {
        self.value(&Field::Type).unwrap_or("Opaque")
    }

    pub fn immutable(&self) -> bool {
        self.fields.get(&Field::Immutable) == Some(&json!(true))
    }

    /// Data keys and their base64 texts.
    pub fn data(&self) -> impl Iterator<Item = (&str, &str)> {
        self.fields.iter().filter_map(|(field, value)| match field {
            Field::Data(key) => Some((key.as_str(), value.as_str()?)),
            _ => None,
        })
    }

    pub fn manager(&self, name: &str, how: How) -> Option<&Manager> {
        self.managers
            .iter()
            .find(|manager| manager.name == name && manager.how == how)
    }

    /// Everybody but that manager who owns the field.
    pub fn others<'a>(
        &'a self,
        field: &'a Field,
        name: &'a str,
        how: How,
    ) -> impl Iterator<Item = &'a Manager> {
        self.managers.iter().filter(move |manager| {
            (manager.name != name || manager.how != how) && manager.fields.contains(field)
        })
    }

    /// Owners and finalizers that there are, each in its order.
    pub fn list(&self, of: impl Fn(&Field) -> bool) -> Vec<&Value> {
        let fields = self.listed.iter().filter(|field| of(field));
        fields.filter_map(|field| self.fields.get(field)).collect()
    }

    pub fn owners(&self) -> Vec<&Value> {
        self.list(|field| matches!(field, Field::Owner(_)))
    }

    pub fn finalizers(&self) -> Vec<&Value> {
        self.list(|field| matches!(field, Field::Finalizer(_)))
    }

    pub fn label(&self, key: &str) -> Option<&str> {
        self.value(&Field::Label(key.to_owned()))
    }

    pub fn annotation(&self, key: &str) -> Option<&str> {
        self.value(&Field::Annotation(key.to_owned()))
    }

    /// Makes `fields` what that manager owns; an empty set ends its entry.
    pub fn set_manager(&mut self, name: &str, how: How, fields: BTreeSet<Field>) {
        let is_it = |manager: &Manager| manager.name == name && manager.how == how;
        let time = Some(super::now());
        match self.managers.iter_mut().find(|manager| is_it(manager)) {
            Some(manager) if manager.fields == fields => {}
            Some(manager) => (manager.fields, manager.time) = (fields, time),
            None => self.managers.push(Manager {
                name: name.to_owned(),
                how,
                fields,
                time,
            }),
        }
        self.managers.retain(|manager| !manager.fields.is_empty());
    }

    pub fn to_json(&self) -> Value {
        let mut object = self.metadata_json();
        object["apiVersion"] = json!("v1");
        object["kind"] = json!("Secret");
        object["type"] = json!(self.secret_type());
        let data: Map<_, _> = self.map(|field| match field {
            Field::Data(key) => Some(key),
            _ => None,
        });
        if !data.is_empty() {
            object["data"] = Value::Object(data);
        }
        if let Some(immutable) = self.fields.get(&Field::Immutable) {
            object["immutable"] = immutable.clone();
        }
        object
    }

    pub fn metadata_json(&self) -> Value {
        let mut metadata = json!({
            "name": self.name,
            "namespace": self.namespace,
            "uid": self.uid,
            "resourceVersion": self.resource_version.to_string(),
            "creationTimestamp": self.created,
            "managedFields": self.managers.iter().map(Manager::to_json).collect::<Vec<_>>(),
        });
        if let Some(time) = &self.deleting {
            metadata["deletionTimestamp"] = json!(time);
            metadata["deletionGracePeriodSeconds"] = json!(0);
        }
        let labels = self.map(|field| match field {
            Field::Label(key) => Some(key),
            _ => None,
        });
        let annotations = self.map(|field| match field {
            Field::Annotation(key) => Some(key),
            _ => None,
        });
        if !labels.is_empty() {
            metadata["labels"] = Value::Object(labels);
        }
        if !annotations.is_empty() {
            metadata["annotations"] = Value::Object(annotations);
        }
        for (key, list) in [
            ("ownerReferences", self.owners()),
            ("finalizers", self.finalizers()),
        ] {
            if !list.is_empty() {
                metadata[key] = json!(list);
            }
        }
        json!({
            "apiVersion": "meta.k8s.io/v1",
            "kind": "PartialObjectMetadata",
            "metadata": metadata,
        })
    }

    fn map(&self, key: impl Fn(&Field) -> Option<&String>) -> Map<String, Value> {
        self.fields
            .iter()
            .filter_map(|(field, value)| Some((key(field)?.clone(), value.clone())))
            .collect()
    }
}

type IsIn = fn(&Field) -> bool;

fn is_data(field: &Field) -> bool {
    matches!(field, Field::Data(_))
}

fn is_label(field: &Field) -> bool {
    matches!(field, Field::Label(_))
}

fn is_annotation(field: &Field) -> bool {
    matches!(field, Field::Annotation(_))
}

impl Manager {
    fn to_json(&self) -> Value {
        let mut fields = json!({});
        for field in &self.fields {
            let mut place = &mut fields;
            for (depth, step) in field.steps().into_iter().enumerate() {
                place = &mut place[&step];
                // An update owns the maps that it began, too.
                let begun = [
                    "f:data",
                    "f:labels",
                    "f:annotations",
                    "f:ownerReferences",
                    "f:finalizers",
                ];
                if self.how == How::Update && begun.contains(&step.as_str()) && depth < 2 {
                    place["."] = json!({});
                }
            }
            *place = json!({});
        }
        let mut entry = json!({
            "manager": self.name,
            "operation": match self.how { How::Apply => "Apply", How::Update => "Update" },
            "apiVersion": "v1",
            "fieldsType": "FieldsV1",
            "fieldsV1": fields,
        });
        if let Some(time) = &self.time {
            entry["time"] = json!(time);
        }
        entry
    }

    /// Reads an entry of a body; `None` for what the server does not take. Measured (API server 1.20): who owns a map and no
    /// name in it owns all that is in it by now.
    pub fn from_json(value: &Value, live: &Fields) -> Option<Self> {
        let how = match value["operation"].as_str()? {
            "Apply" => How::Apply,
            "Update" => How::Update,
            _ => return None,
        };
        if value["apiVersion"].as_str()?.is_empty() || value["fieldsType"] != "FieldsV1" {
            return None;
        }
        let tree = &value["fieldsV1"];
        let keys = |place: &Value| -> Vec<String> {
            let keys = place.as_object().into_iter().flat_map(Map::keys);
            keys.filter_map(|key| Some(key.strip_prefix("f:")?.to_owned()))
                .collect()
        };
        let metadata = &tree["f:metadata"];
        let mut fields = BTreeSet::new();
        for (place, name, is_in) in [
            (&tree["f:data"], Field::Data as fn(_) -> _, is_data as IsIn),
            (&metadata["f:labels"], Field::Label, is_label),
            (&metadata["f:annotations"], Field::Annotation, is_annotation),
        ] {
            let names = keys(place);
            if names.is_empty() && place.is_object() {
                fields.extend(live.keys().filter(|field| is_in(field)).cloned());
            }
            fields.extend(names.into_iter().map(name));
        }
        let owners = metadata["f:ownerReferences"].as_object().into_iter();
        fields.extend(owners.flat_map(Map::keys).filter_map(|key| {
            let key: Value = serde_json::from_str(key.strip_prefix("k:")?).ok()?;
            Some(Field::Owner(key["uid"].as_str()?.to_owned()))
        }));
        let finalizers = metadata["f:finalizers"].as_object().into_iter();
        fields.extend(finalizers.flat_map(Map::keys).filter_map(|key| {
            let name: Value = serde_json::from_str(key.strip_prefix("v:")?).ok()?;
            Some(Field::Finalizer(name.as_str()?.to_owned()))
        }));
        for (name, field) in [("f:type", Field::Type), ("f:immutable", Field::Immutable)] {
            if tree[name].is_object() {
                fields.insert(field);
            }
        }
        Some(Self {
            name: value["manager"].as_str()?.to_owned(),
            how,
            fields,
            time: value["time"].as_str().map(str::to_owned),
        })
    }
}
