//! The JSON of a Secret that is made or applied, written once into memory that is wiped and large enough from the start, so that no
//! outgrown buffer with values is left behind.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde::ser::{SerializeMap as _, Serializer};
use zeroize::Zeroizing;

use crate::config;
use crate::decide::kubernetes::Wanted;
use crate::names::{LabelValue, MetadataKey, ResourceVersion, Uid};
use crate::secret::Payload;

/// The one state of one Secret that an apply is meant for.
#[derive(Clone, Copy)]
pub(super) struct At<'a> {
    pub(super) uid: &'a Uid,
    pub(super) resource_version: &'a ResourceVersion,
}

/// Everything that is wanted of a Secret that is there. Its type is said only where it is ours to say.
pub(super) fn apply(
    spec: &config::KubernetesTarget,
    wanted: &Wanted,
    at: At<'_>,
) -> Zeroizing<Vec<u8>> {
    let secret_type = wanted.policy.is_whole().then_some(&*wanted.secret_type);
    write(spec, wanted, (Some(at), secret_type))
}

/// A whole Secret that is not there.
pub(super) fn create(spec: &config::KubernetesTarget, wanted: &Wanted) -> Zeroizing<Vec<u8>> {
    write(spec, wanted, (None, Some(&wanted.secret_type)))
}

fn write(
    spec: &config::KubernetesTarget,
    wanted: &Wanted,
    (at, secret_type): (Option<At<'_>>, Option<&str>),
) -> Zeroizing<Vec<u8>> {
    let body = Body {
        api_version: "v1",
        kind: "Secret",
        metadata: Metadata {
            namespace: spec.namespace.as_str(),
            name: spec.name.as_str(),
            uid: at.map(|at| at.uid.as_str()),
            resource_version: at.map(|at| at.resource_version.as_str()),
            labels: Pairs(&wanted.labels, LabelValue::as_str),
            annotations: Pairs(&wanted.annotations, String::as_str),
        },
        secret_type,
        immutable: wanted.immutable.then_some(true),
        data: Data(&wanted.data),
    };
    let mut bytes = Zeroizing::new(Vec::with_capacity(room(spec, wanted)));
    serde_json::to_writer(&mut *bytes, &body)
        .expect("maps with string keys always serialise, and a Vec takes all bytes");
    bytes
}

/// An upper bound of the body's length: base64 of every value, and texts as if each byte had to be escaped.
fn room(spec: &config::KubernetesTarget, wanted: &Wanted) -> usize {
    let escaped = |text: &str| 6 * text.len() + 8;
    let data = wanted
        .data
        .iter()
        .map(|(key, value)| escaped(key.as_str()) + value.len().div_ceil(3) * 4);
    let labels = wanted
        .labels
        .iter()
        .map(|(key, value)| escaped(key.as_str()) + escaped(value.as_str()));
    let annotations = wanted
        .annotations
        .iter()
        .map(|(key, value)| escaped(key.as_str()) + escaped(value));
    let fixed = escaped(&wanted.secret_type)
        + escaped(spec.namespace.as_str())
        + escaped(spec.name.as_str())
        // A uid, a resourceVersion and the names of the fields.
        + 2 * 6 * 128
        + 512;
    data.chain(labels).chain(annotations).sum::<usize>() + fixed
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    api_version: &'static str,
    kind: &'static str,
    metadata: Metadata<'a>,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    secret_type: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    immutable: Option<bool>,
    #[serde(skip_serializing_if = "Data::is_empty")]
    data: Data<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Metadata<'a> {
    namespace: &'a str,
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    uid: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    resource_version: Option<&'a str>,
    #[serde(skip_serializing_if = "Pairs::is_empty")]
    labels: Pairs<'a, LabelValue>,
    #[serde(skip_serializing_if = "Pairs::is_empty")]
    annotations: Pairs<'a, String>,
}

/// Our names and texts as JSON. Of a map in which nothing is ours, nothing is said; said to be empty, it would be owned no
/// more than that (measured with 1.20).
struct Pairs<'a, T>(&'a BTreeMap<MetadataKey, T>, fn(&T) -> &str);

impl<T> Pairs<'_, T> {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<T> Serialize for Pairs<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(k, v)| (k.as_str(), self.1(v))))
    }
}

/// Values as base64, encoded straight into the body.
struct Data<'a>(&'a Payload);

impl Data<'_> {
    fn is_empty(&self) -> bool {
        self.0.iter().next().is_none()
    }
}

impl Serialize for Data<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (key, value) in self.0.iter() {
            // Not by pieces: those pass through the stack, which nobody wipes.
            let text = Zeroizing::new(STANDARD.encode(value.expose()));
            map.serialize_entry(key.as_str(), text.as_str())?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::{EntryName, Instance, Namespace, ObjectName, SecretKey};
    use crate::secret::{FingerprintKey, SecretBytes};

    fn spec(annotation: &str) -> config::KubernetesTarget {
        config::KubernetesTarget {
            cluster: crate::names::ClusterName::new("c").unwrap(),
            namespace: Namespace::new("app").unwrap(),
            name: ObjectName::new("db").unwrap(),
            secret_type: "Opaque".into(),
            labels: BTreeMap::new(),
            annotations: [(MetadataKey::new("note").unwrap(), annotation.to_owned())].into(),
            creation_policy: config::CreationPolicy::Owner,
            deletion_policy: config::DeletionPolicy::Retain,
            immutable: false,
            drift: config::DriftPolicy::Refresh,
            restart: Vec::new(),
            adopt: false,
        }
    }

    fn wanted(spec: &config::KubernetesTarget, value: Vec<u8>) -> Wanted {
        let mut content = crate::assemble::Content::default();
        let key = SecretKey::new("a.b").unwrap();
        content.data.insert(key, SecretBytes::new(value));
        let entry = EntryName::new("team/db").unwrap();
        let instance = Instance::new("default").unwrap();
        let key = FingerprintKey::new([1; 32]);
        super::super::render::render(spec, (&entry, &instance), &content, &key).unwrap()
    }

    #[test]
    fn the_body_is_what_the_api_server_reads() {
        let spec = spec("say \"hi\"");
        let uid = Uid::new("u-1").unwrap();
        let resource_version = ResourceVersion::new("7").unwrap();
        let at = At {
            uid: &uid,
            resource_version: &resource_version,
        };
        let body = apply(&spec, &wanted(&spec, b"hi".to_vec()), at);
        let expected = concat!(
            r#"{"apiVersion":"v1","kind":"Secret","metadata":{"namespace":"app","name":"db","uid":"u-1","#,
            r#""resourceVersion":"7","labels":{"app.kubernetes.io/managed-by":"secretsyncd","#,
            r#""secretsyncd/managed":"true"},"annotations":{"note":"say \"hi\"","#,
            r#""secretsyncd/entry":"team/db","secretsyncd/instance":"default"}},"#,
            r#""type":"Opaque","data":{"a.b":"aGk="}}"#
        );
        assert_eq!(std::str::from_utf8(&body).unwrap(), expected);
        let created = create(&spec, &wanted(&spec, b"hi".to_vec()));
        let judged = r#""uid":"u-1","resourceVersion":"7","#;
        assert_eq!(
            std::str::from_utf8(&created).unwrap(),
            expected.replace(judged, "")
        );
    }

    #[test]
    fn immutability_is_said_only_where_it_is_wanted() {
        let mut spec = spec("x");
        spec.immutable = true;
        let body = create(&spec, &wanted(&spec, b"hi".to_vec()));
        let body = std::str::from_utf8(&body).unwrap();
        assert!(body.contains(r#""immutable":true,"data""#), "{body}");
    }

    #[test]
    fn merging_says_nothing_of_the_type_and_claims_nothing_whole() {
        let mut spec = spec("x");
        spec.creation_policy = config::CreationPolicy::Merge;
        let uid = Uid::new("u-1").unwrap();
        let resource_version = ResourceVersion::new("7").unwrap();
        let at = At {
            uid: &uid,
            resource_version: &resource_version,
        };
        let body = apply(&spec, &wanted(&spec, b"hi".to_vec()), at);
        let body = std::str::from_utf8(&body).unwrap();
        assert!(!body.contains("\"type\"") && !body.contains("secretsyncd/instance"));
        assert!(!body.contains("managed-by"));
        assert!(body.contains("\"secretsyncd/managed\":\"true\""));
    }

    #[test]
    fn a_map_without_a_name_is_not_said() {
        let mut spec = spec("x");
        spec.creation_policy = config::CreationPolicy::Merge;
        spec.annotations.clear();
        let uid = Uid::new("u-1").unwrap();
        let resource_version = ResourceVersion::new("7").unwrap();
        let at = At {
            uid: &uid,
            resource_version: &resource_version,
        };
        let mut nothing = wanted(&spec, b"hi".to_vec());
        let body = apply(&spec, &nothing, at);
        let body = std::str::from_utf8(&body).unwrap();
        assert!(!body.contains("annotations"), "{body}");
        nothing.labels.clear();
        nothing.data = Payload::default();
        let body = apply(&spec, &nothing, at);
        let body = std::str::from_utf8(&body).unwrap();
        assert!(body.ends_with(r#""resourceVersion":"7"}}"#), "{body}");
    }

    #[test]
    fn the_buffer_never_grows() {
        for (annotation, len) in [
            ("\u{1}".repeat(5000), 1),
            ("é\"\\".repeat(100), 1 << 20),
            (String::new(), 2),
        ] {
            let spec = spec(&annotation);
            let wanted = wanted(&spec, vec![b'x'; len]);
            let body = create(&spec, &wanted);
            assert!(body.len() <= room(&spec, &wanted));
        }
    }
}
