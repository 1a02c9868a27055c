//! Answers of the API server, read into our own types; only what is used is read, and nothing of it is repeated.
//!
//! An answer must name what was asked: kind, namespace and name. Values are decoded straight into wiped memory.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde::de::{self, Deserializer, IgnoredAny, Visitor};

use super::place::Asked;
use super::secret::{Controller, LiveMetadata, LiveSecret, Manager, Operation};
use super::ties::{Owner, Ties};
use crate::names::{ResourceVersion, SecretKey, Uid};
use crate::secret::SecretBytes;

/// In which way an answer is not the one to the question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed(pub(super) &'static str);

const NOT_AN_OBJECT: Malformed = Malformed("answered with something that is not a Secret");
const ANOTHER_OBJECT: Malformed = Malformed("answered with another object than was asked for");
const UNNAMED_STATE: Malformed = Malformed("answered without a usable uid and resourceVersion");
const ODD_KEY: Malformed = Malformed("answered with a key that Kubernetes does not allow");

/// A Secret with its values.
pub(super) fn secret(body: &[u8], asked: Asked<'_>) -> Result<LiveSecret, Malformed> {
    tied(body, asked).map(|(secret, _)| secret)
}

/// The same, and what holds it.
pub(super) fn tied(body: &[u8], asked: Asked<'_>) -> Result<(LiveSecret, Ties), Malformed> {
    let object: Object = serde_json::from_slice(body).map_err(|_| NOT_AN_OBJECT)?;
    let Object {
        kind,
        api_version,
        metadata,
        secret_type,
        data,
        immutable,
    } = object;
    if kind != "Secret" || api_version != "v1" {
        return Err(NOT_AN_OBJECT);
    }
    let seen = metadata.seen(asked)?;
    let data = data
        .unwrap_or_default()
        .into_iter()
        .map(|(key, Decoded(value))| Ok((SecretKey::new(key).map_err(|_| ODD_KEY)?, value)))
        .collect::<Result<_, Malformed>>()?;
    let annotations = metadata.annotations.unwrap_or_default();
    let ties = Ties {
        owners: metadata.owner_references.unwrap_or_default(),
        finalizers: metadata.finalizers.unwrap_or_default(),
    };
    let controller = ties.owners.iter().find(|owner| owner.controller);
    let secret = LiveSecret {
        uid: seen.uid,
        resource_version: seen.resource_version,
        // The API server fills this in; an absent one means its default.
        secret_type: secret_type.unwrap_or_else(|| "Opaque".into()),
        data,
        labels: metadata.labels.unwrap_or_default(),
        annotations: annotations.into_iter().map(|(k, Text(v))| (k, v)).collect(),
        managers: metadata
            .managed_fields
            .unwrap_or_default()
            .into_iter()
            .filter_map(ManagedFields::manager)
            .collect(),
        controller: controller.map(|owner| Controller {
            kind: owner.kind.clone(),
            group: owner.group.clone(),
        }),
        immutable: immutable.unwrap_or(false),
        deleting: seen.deleting,
    };
    Ok((secret, ties))
}

/// A Secret without its values.
pub(super) fn metadata(body: &[u8], asked: Asked<'_>) -> Result<LiveMetadata, Malformed> {
    let object: Partial = serde_json::from_slice(body).map_err(|_| NOT_AN_OBJECT)?;
    if object.kind != "PartialObjectMetadata" {
        return Err(NOT_AN_OBJECT);
    }
    object.metadata.seen(asked)
}

/// The same, and its annotations: text of others that may hold values.
pub(super) fn annotated(
    body: &[u8],
    asked: Asked<'_>,
) -> Result<(LiveMetadata, BTreeMap<String, SecretBytes>), Malformed> {
    let object: Partial = serde_json::from_slice(body).map_err(|_| NOT_AN_OBJECT)?;
    if object.kind != "PartialObjectMetadata" {
        return Err(NOT_AN_OBJECT);
    }
    let seen = object.metadata.seen(asked)?;
    let annotations = object.metadata.annotations.unwrap_or_default().into_iter();
    Ok((seen, annotations.map(|(key, text)| (key, text.0)).collect()))
}

/// A refusal in the API server's own form; `None` when something else answers.
pub(super) fn status(body: &[u8]) -> Option<Status> {
    let status: Status = serde_json::from_slice(body).ok()?;
    (status.kind == "Status").then_some(status)
}

/// Those of a list, which has to have them: what goes without is no empty list. Measured (API server 1.20): `null` where
/// there is no metadata to list.
pub(super) fn items<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    from: D,
) -> Result<Vec<T>, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Object {
    kind: String,
    api_version: String,
    metadata: Metadata,
    #[serde(rename = "type")]
    secret_type: Option<String>,
    data: Option<BTreeMap<String, Decoded>>,
    immutable: Option<bool>,
}

#[derive(Deserialize)]
struct Partial {
    kind: String,
    metadata: Metadata,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    name: String,
    namespace: String,
    uid: String,
    resource_version: String,
    deletion_timestamp: Option<IgnoredAny>,
    labels: Option<BTreeMap<String, String>>,
    annotations: Option<BTreeMap<String, Text>>,
    owner_references: Option<Vec<Owner>>,
    finalizers: Option<Vec<String>>,
    managed_fields: Option<Vec<ManagedFields>>,
}

impl Metadata {
    fn seen(&self, asked: Asked<'_>) -> Result<LiveMetadata, Malformed> {
        if self.name != asked.name.as_str() || self.namespace != asked.namespace.as_str() {
            return Err(ANOTHER_OBJECT);
        }
        Ok(LiveMetadata {
            uid: Uid::new(self.uid.as_str()).map_err(|_| UNNAMED_STATE)?,
            resource_version: ResourceVersion::new(self.resource_version.as_str())
                .map_err(|_| UNNAMED_STATE)?,
            deleting: self.deletion_timestamp.is_some(),
        })
    }
}

#[derive(Deserialize)]
#[serde(try_from = "serde_json::Value")]
struct ManagedFields {
    said: Said,
    raw: serde_json::Value,
}

impl TryFrom<serde_json::Value> for ManagedFields {
    type Error = serde_json::Error;

    fn try_from(raw: serde_json::Value) -> Result<Self, Self::Error> {
        Ok(Self {
            said: Said::deserialize(&raw)?,
            raw,
        })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Said {
    #[serde(default)]
    manager: String,
    #[serde(default)]
    operation: String,
    subresource: Option<String>,
    fields_v1: Option<Fields>,
}

#[derive(Default, Deserialize)]
struct Fields {
    #[serde(rename = "f:data")]
    data: Option<FieldNames>,
    #[serde(rename = "f:metadata")]
    metadata: Option<MetadataFields>,
    #[serde(rename = "f:type")]
    secret_type: Option<IgnoredAny>,
    #[serde(rename = "f:immutable")]
    immutable: Option<IgnoredAny>,
}

#[derive(Default, Deserialize)]
struct MetadataFields {
    #[serde(rename = "f:labels")]
    labels: Option<FieldNames>,
    #[serde(rename = "f:annotations")]
    annotations: Option<FieldNames>,
}

impl ManagedFields {
    /// `None` for what is written through a subresource: it cannot hold anything of ours.
    fn manager(self) -> Option<Manager> {
        let Self { said, raw } = self;
        if said.subresource.is_some_and(|s| !s.is_empty()) {
            return None;
        }
        let names = |fields: Option<FieldNames>| fields.map(|f| f.0).unwrap_or_default();
        let fields = said.fields_v1.unwrap_or_default();
        let metadata = fields.metadata.unwrap_or_default();
        Some(Manager {
            name: said.manager,
            operation: if said.operation == "Apply" {
                Operation::Apply
            } else {
                Operation::Update
            },
            data: names(fields.data),
            labels: names(metadata.labels),
            annotations: names(metadata.annotations),
            secret_type: fields.secret_type.is_some(),
            immutable: fields.immutable.is_some(),
            raw,
        })
    }
}

/// What the API server says when it refuses. Its message is not read.
#[derive(Deserialize)]
pub(super) struct Status {
    kind: String,
    #[serde(default)]
    pub(super) reason: String,
    details: Option<Details>,
}

#[derive(Default, Deserialize)]
struct Details {
    #[serde(default)]
    kind: String,
    #[serde(default)]
    name: String,
    causes: Option<Vec<Cause>>,
}

#[derive(Deserialize)]
struct Cause {
    #[serde(default)]
    reason: String,
    #[serde(default)]
    field: String,
}

impl Status {
    /// The plural of what the refusal is about, as `secrets` or `namespaces`.
    pub(super) fn about(&self) -> &str {
        self.details.as_ref().map_or("", |d| d.kind.as_str())
    }

    /// True for the API server's own word that what was asked for is not there.
    pub(super) fn says_absent(&self, asked: Asked<'_>) -> bool {
        self.reason == "NotFound"
            && self
                .details
                .as_ref()
                .is_some_and(|d| d.kind == asked.resource.plural() && d.name == asked.name.as_str())
    }

    pub(super) fn has_cause(&self, reason: &str) -> bool {
        self.causes().any(|cause| cause.reason == reason)
    }

    /// The fields of causes; of those with that reason only, if one is given.
    pub(super) fn fields<'a>(&'a self, reason: Option<&'a str>) -> impl Iterator<Item = &'a str> {
        self.causes()
            .filter(move |cause| reason.is_none_or(|reason| cause.reason == reason))
            .map(|cause| cause.field.as_str())
    }

    fn causes(&self) -> impl Iterator<Item = &Cause> {
        self.details.iter().flat_map(|d| d.causes.iter().flatten())
    }
}

/// Base64 as Kubernetes writes `data`, decoded while it is read.
struct Decoded(SecretBytes);

/// A text that may hold a value.
struct Text(SecretBytes);

/// The names under which fields of one map are owned: `f:key` is the field of that name; anything else, as `.`, is
/// the map itself.
struct FieldNames(BTreeSet<String>);

impl<'de> Deserialize<'de> for FieldNames {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Names;
        impl<'de> Visitor<'de> for Names {
            type Value = FieldNames;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map of fields")
            }

            fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<FieldNames, A::Error> {
                let mut names = BTreeSet::new();
                while let Some((name, IgnoredAny)) = map.next_entry::<String, _>()? {
                    if let Some(name) = name.strip_prefix("f:") {
                        names.insert(name.to_owned());
                    }
                }
                Ok(FieldNames(names))
            }
        }
        deserializer.deserialize_map(Names)
    }
}

impl<'de> Deserialize<'de> for Decoded {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Base64;
        impl Visitor<'_> for Base64 {
            type Value = Decoded;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("base64")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Decoded, E> {
                let bytes = STANDARD.decode(text).map_err(|_| E::custom("not base64"))?;
                Ok(Decoded(SecretBytes::new(bytes)))
            }

            /// An empty value, as some clients write it.
            fn visit_unit<E: de::Error>(self) -> Result<Decoded, E> {
                Ok(Decoded(SecretBytes::new(Vec::new())))
            }
        }
        deserializer.deserialize_any(Base64)
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Plain;
        impl Visitor<'_> for Plain {
            type Value = Text;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Text, E> {
                Ok(Text(SecretBytes::new(text.as_bytes().to_vec())))
            }
        }
        deserializer.deserialize_str(Plain)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::{Namespace, ObjectName};

    const SECRET: &str = r#"{
        "kind": "Secret", "apiVersion": "v1", "type": "Opaque",
        "metadata": {
            "name": "db", "namespace": "app", "uid": "u-1", "resourceVersion": "7",
            "labels": {"team": "x"},
            "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{\"data\":\"MARKER\"}"},
            "ownerReferences": [
                {"apiVersion": "v1", "kind": "ConfigMap", "name": "c", "uid": "1"},
                {"apiVersion": "external-secrets.io/v1", "kind": "ExternalSecret", "name": "e", "uid": "2", "controller": true}
            ],
            "managedFields": [
                {"manager": "secretsyncd", "operation": "Apply", "apiVersion": "v1", "time": "2026-01-01T00:00:00Z",
                 "fieldsType": "FieldsV1",
                 "fieldsV1": {"f:data": {"f:tls.crt": {}}, "f:metadata": {"f:labels": {"f:a/b": {}}, "f:annotations": {".": {}, "f:c": {}}}, "f:type": {}}},
                {"manager": "x", "operation": "Update", "subresource": "status", "fieldsV1": {"f:data": {"f:a": {}}}}
            ]
        },
        "data": {"tls.crt": "aGk=", "empty": ""}
    }"#;

    fn with_asked<T>(test: impl FnOnce(Asked<'_>) -> T) -> T {
        let namespace = Namespace::new("app").unwrap();
        let name = ObjectName::new("db").unwrap();
        test(Asked::secret(&namespace, &name))
    }

    #[test]
    fn a_secret_is_read_with_its_owners_and_field_managers() {
        let live = with_asked(|asked| secret(SECRET.as_bytes(), asked)).unwrap();
        assert_eq!(live.uid.as_str(), "u-1");
        assert_eq!(live.data["tls.crt"].expose(), b"hi");
        assert!(live.data["empty"].is_empty());
        let controller = live.controller.as_ref().unwrap();
        assert_eq!(controller.kind, "ExternalSecret");
        assert_eq!(controller.group, "external-secrets.io");
        assert_eq!(live.managers.len(), 1);
        assert!(live.managers[0].data.contains("tls.crt"));
        assert!(live.managers[0].labels.contains("a/b"));
        assert_eq!(live.managers[0].annotations.len(), 1);
        assert!(live.managers[0].secret_type && !live.managers[0].immutable);
        assert_eq!(live.managers[0].raw["time"], "2026-01-01T00:00:00Z");
        assert!(!format!("{live:?}").contains("MARKER"));
    }

    #[test]
    fn an_answer_must_be_the_one_to_the_question() {
        let read = |text: &str| with_asked(|asked| secret(text.as_bytes(), asked).map(drop));
        assert_eq!(
            read(&SECRET.replace("\"name\": \"db\"", "\"name\": \"bd\"")),
            Err(ANOTHER_OBJECT)
        );
        assert_eq!(
            read(&SECRET.replace("\"namespace\": \"app\"", "\"namespace\": \"b\"")),
            Err(ANOTHER_OBJECT)
        );
        assert_eq!(
            read(&SECRET.replace("\"kind\": \"Secret\"", "\"kind\": \"ConfigMap\"")),
            Err(NOT_AN_OBJECT)
        );
        assert_eq!(read(&SECRET.replace("\"7\"", "\"\"")), Err(UNNAMED_STATE));
        assert_eq!(read(&SECRET.replace("aGk=", "aGk")), Err(NOT_AN_OBJECT));
        assert_eq!(read("{}"), Err(NOT_AN_OBJECT));
        let whole = with_asked(|asked| metadata(SECRET.as_bytes(), asked));
        assert_eq!(
            whole,
            Err(NOT_AN_OBJECT),
            "values came where none were asked for"
        );
    }

    #[test]
    fn only_the_api_servers_own_word_says_that_a_secret_is_absent() {
        let absent = |text: &str| {
            with_asked(|asked| status(text.as_bytes()).is_some_and(|s| s.says_absent(asked)))
        };
        assert!(absent(
            r#"{"kind":"Status","reason":"NotFound","details":{"name":"db","kind":"secrets"}}"#
        ));
        for other in [
            r#"{"kind":"Status","reason":"NotFound","details":{"name":"app","kind":"namespaces"}}"#,
            r#"{"kind":"Status","reason":"NotFound","details":{"name":"other","kind":"secrets"}}"#,
            r#"{"kind":"Status","reason":"NotFound"}"#,
            r#"{"reason":"NotFound"}"#,
            "404 page not found",
        ] {
            assert!(!absent(other), "{other}");
        }
    }
}
