//! A `coordination.k8s.io/v1` Lease: read, made, and replaced as it was read.
//!
//! What others wrote into it (labels, annotations, owners) goes back as it came.

use std::fmt;

use jiff::Timestamp;
use reqwest::Method;
use reqwest::header::HeaderValue;
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use super::client::{Client, Question, Sent, WHOLE};
use super::error::About;
use super::place::{Asked, Place, Resource};
use super::wire::Malformed;
use crate::failure::Failure;
use crate::names::{Namespace, ObjectName, ResourceVersion};
use crate::report::ClusterVerb;

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Who uses the Lease, by the name of its configuration.
const INSTANCE_ANNOTATION: &str = "secretsyncd/instance";
/// Who gave the Lease back, while nobody has taken it since.
const RELEASED_BY_ANNOTATION: &str = "secretsyncd/released-by";

const NOT_A_LEASE: Malformed = Malformed("answered with something that is not a Lease");
const ANOTHER_OBJECT: Malformed = Malformed("answered with another object than was asked for");

/// A Lease as it was read.
#[derive(Clone, PartialEq)]
pub struct Lease {
    pub record: LeaseRecord,
    /// The instance that its annotation names; others' text.
    pub instance: Option<String>,
    resource_version: ResourceVersion,
    object: Map<String, Value>,
}

/// Others' text may be in it.
impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease")
            .field("resource_version", &self.resource_version)
            .finish_non_exhaustive()
    }
}

/// Who holds a Lease, since when and for how long. Another record is the only sign that its holder is alive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseRecord {
    /// Empty: nobody. Others' text.
    pub holder: String,
    /// Absent where nobody said it.
    pub seconds: Option<u32>,
    pub acquired: Option<Timestamp>,
    pub renewed: Option<Timestamp>,
    /// How often the holder changed.
    pub transitions: u32,
    /// Who held it last and gave it back, where nobody holds it. Others' text.
    pub released_by: Option<String>,
}

/// How a Lease was not written.
#[derive(Debug)]
pub enum LeaseError {
    /// It is not the one that was read any more.
    Raced,
    Failed(Failure),
}

impl Client {
    /// `None` when the API server says that there is none.
    pub async fn get_lease(
        &self,
        namespace: &Namespace,
        name: &ObjectName,
    ) -> Result<Option<Lease>, Failure> {
        let asked = asked(namespace, name);
        let about = self.about(ClusterVerb::Get, Place::One(asked));
        let answer = self.ask(about, Question::get(WHOLE)).await?;
        if answer.code == 200 {
            return read(about, asked, &answer.body).map(Some);
        }
        let refusal = answer.refusal();
        let status = refusal.status.as_ref();
        if refusal.code == 404 && status.is_some_and(|status| status.says_absent(asked)) {
            return Ok(None);
        }
        Err(about.refused(&refusal))
    }

    /// Makes the Lease, where there is none.
    pub async fn create_lease(
        &self,
        (namespace, name): (&Namespace, &ObjectName),
        instance: &str,
        record: &LeaseRecord,
    ) -> Result<Lease, LeaseError> {
        let asked = asked(namespace, name);
        let about = self.about(
            ClusterVerb::Create,
            Place::All(Resource::Lease, Some(namespace)),
        );
        let mut object = Map::new();
        object.insert(
            "metadata".into(),
            json!({ "name": name.as_str(), "namespace": namespace.as_str() }),
        );
        let body = body(object, instance, record);
        self.write((about, asked), Method::POST, body).await
    }

    /// Replaces what was read, if it is still that.
    pub async fn replace_lease(
        &self,
        (namespace, name): (&Namespace, &ObjectName),
        before: &Lease,
        instance: &str,
        record: &LeaseRecord,
    ) -> Result<Lease, LeaseError> {
        let asked = asked(namespace, name);
        let about = self.about(ClusterVerb::Update, Place::One(asked));
        let body = body(before.object.clone(), instance, record);
        self.write((about, asked), Method::PUT, body).await
    }

    async fn write(
        &self,
        (about, asked): (About<'_>, Asked<'_>),
        method: Method,
        body: Value,
    ) -> Result<Lease, LeaseError> {
        let question = Question {
            method,
            accept: WHOLE,
            query: vec![("fieldManager", "secretsyncd".to_owned())],
            send: Some(Sent {
                content_type: JSON,
                body: Zeroizing::new(body.to_string().into_bytes()),
            }),
        };
        let answer = self
            .ask(about, question)
            .await
            .map_err(LeaseError::Failed)?;
        match answer.code {
            200 | 201 => read(about, asked, &answer.body).map_err(LeaseError::Failed),
            409 => Err(LeaseError::Raced),
            _ => {
                let refusal = answer.refusal();
                let status = refusal.status.as_ref();
                if refusal.code == 404 && status.is_some_and(|status| status.says_absent(asked)) {
                    return Err(LeaseError::Raced);
                }
                Err(LeaseError::Failed(about.refused(&refusal)))
            }
        }
    }
}

fn asked<'a>(namespace: &'a Namespace, name: &'a ObjectName) -> Asked<'a> {
    Asked {
        resource: Resource::Lease,
        namespace,
        name,
    }
}

fn read(about: About<'_>, asked: Asked<'_>, body: &[u8]) -> Result<Lease, Failure> {
    lease(asked, body).map_err(|how| about.malformed(how))
}

fn lease(asked: Asked<'_>, body: &[u8]) -> Result<Lease, Malformed> {
    let mut object: Map<String, Value> = serde_json::from_slice(body).map_err(|_| NOT_A_LEASE)?;
    let is = |key: &str, text: &str| object.get(key).and_then(Value::as_str) == Some(text);
    if !is("kind", "Lease") || !is("apiVersion", "coordination.k8s.io/v1") {
        return Err(NOT_A_LEASE);
    }
    let spec = object.get("spec").cloned().unwrap_or_default();
    let metadata = object.get_mut("metadata").and_then(Value::as_object_mut);
    let metadata = metadata.ok_or(NOT_A_LEASE)?;
    let is_map = |value: Option<&Value>| value.is_none_or(|it| it.is_object() || it.is_null());
    if !is_map(Some(&spec)) || !is_map(metadata.get("annotations")) {
        return Err(NOT_A_LEASE);
    }
    // Left out of a write, it stays as it is.
    metadata.remove("managedFields");
    let text = |key: &str| metadata.get(key).and_then(Value::as_str);
    if text("name") != Some(asked.name.as_str())
        || text("namespace") != Some(asked.namespace.as_str())
    {
        return Err(ANOTHER_OBJECT);
    }
    let version = ResourceVersion::new(text("resourceVersion").unwrap_or_default());
    let annotation = |key: &str| {
        let annotations = metadata.get("annotations");
        let text = annotations.and_then(|annotations| annotations[key].as_str());
        text.map(str::to_owned)
    };
    let number = |key: &str| spec[key].as_u64().and_then(|it| u32::try_from(it).ok());
    let time = |key: &str| spec[key].as_str().and_then(|text| text.parse().ok());
    let holder = spec["holderIdentity"].as_str().unwrap_or_default();
    Ok(Lease {
        record: LeaseRecord {
            holder: holder.to_owned(),
            seconds: number("leaseDurationSeconds"),
            acquired: time("acquireTime"),
            renewed: time("renewTime"),
            transitions: number("leaseTransitions").unwrap_or(0),
            released_by: annotation(RELEASED_BY_ANNOTATION),
        },
        instance: annotation(INSTANCE_ANNOTATION),
        resource_version: version.map_err(|_| NOT_A_LEASE)?,
        object,
    })
}

/// The object with that record in it.
fn body(object: Map<String, Value>, instance: &str, record: &LeaseRecord) -> Value {
    let mut body = Value::Object(object);
    body["apiVersion"] = json!(Resource::Lease.api_version());
    body["kind"] = json!(Resource::Lease.kind());
    let annotations = &mut body["metadata"]["annotations"];
    annotations[INSTANCE_ANNOTATION] = json!(instance);
    if let Some(annotations) = annotations.as_object_mut() {
        match &record.released_by {
            Some(identity) => annotations.insert(RELEASED_BY_ANNOTATION.into(), json!(identity)),
            None => annotations.remove(RELEASED_BY_ANNOTATION),
        };
    }
    let spec = &mut body["spec"];
    spec["holderIdentity"] = json!(record.holder);
    spec["leaseDurationSeconds"] = json!(record.seconds);
    spec["acquireTime"] = json!(record.acquired.map(micro_time));
    spec["renewTime"] = json!(record.renewed.map(micro_time));
    spec["leaseTransitions"] = json!(record.transitions);
    body
}

/// Kubernetes' `MicroTime`: always six digits.
fn micro_time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEASE: &str = r#"{
        "kind": "Lease", "apiVersion": "coordination.k8s.io/v1",
        "metadata": {
            "name": "sync", "namespace": "app", "uid": "u", "resourceVersion": "7",
            "labels": {"team": "x"}, "annotations": {"note": "y"},
            "managedFields": [{"manager": "m"}]
        },
        "spec": {"holderIdentity": "a", "leaseDurationSeconds": 15, "leaseTransitions": 3, "strategy": "OldestEmulationVersion",
                 "acquireTime": "2026-01-02T03:04:05.000006Z", "renewTime": "2026-01-02T03:04:06.100000Z"}
    }"#;

    fn parsed(text: &str) -> Result<Lease, Malformed> {
        let namespace = Namespace::new("app").unwrap();
        let name = ObjectName::new("sync").unwrap();
        lease(asked(&namespace, &name), text.as_bytes())
    }

    #[test]
    fn a_lease_goes_back_as_it_came_but_for_the_record() {
        let lease = parsed(LEASE).unwrap();
        assert_eq!(lease.record.holder, "a");
        assert_eq!(lease.record.seconds, Some(15));
        let record = LeaseRecord {
            holder: "b".into(),
            transitions: 4,
            ..lease.record.clone()
        };
        let body = body(lease.object.clone(), "prod", &record);
        assert_eq!(body["metadata"]["labels"]["team"], "x");
        assert_eq!(body["metadata"]["annotations"]["note"], "y");
        assert_eq!(body["metadata"]["annotations"][INSTANCE_ANNOTATION], "prod");
        assert_eq!(body["metadata"]["resourceVersion"], "7");
        assert!(body["metadata"].get("managedFields").is_none());
        assert_eq!(body["spec"]["strategy"], "OldestEmulationVersion");
        assert_eq!(body["spec"]["holderIdentity"], "b");
        assert_eq!(body["spec"]["renewTime"], "2026-01-02T03:04:06.100000Z");
        let again = parsed(&body.to_string()).unwrap();
        assert_eq!(again.record, record);
        assert_eq!(again.instance.as_deref(), Some("prod"));
        // Given back, and taken again.
        let released = LeaseRecord {
            released_by: Some("b".into()),
            ..record.clone()
        };
        let body = super::body(again.object, "prod", &released);
        let again = parsed(&body.to_string()).unwrap();
        assert_eq!(again.record, released);
        let body = super::body(again.object, "prod", &record);
        assert_eq!(parsed(&body.to_string()).unwrap().record, record);
    }

    #[test]
    fn an_answer_must_be_the_lease_that_was_asked_for() {
        let read = |text: &str| parsed(text).map(drop);
        assert_eq!(read("{}"), Err(NOT_A_LEASE));
        assert_eq!(
            read(&LEASE.replace("\"Lease\"", "\"Secret\"")),
            Err(NOT_A_LEASE)
        );
        assert_eq!(
            read(&LEASE.replace("\"sync\"", "\"other\"")),
            Err(ANOTHER_OBJECT)
        );
        assert_eq!(read(&LEASE.replace("\"7\"", "\"\"")), Err(NOT_A_LEASE));
        assert_eq!(
            read(&LEASE.replace("{\"note\": \"y\"}", "7")),
            Err(NOT_A_LEASE)
        );
        assert_eq!(read(&LEASE.replace(": 15", ": -15")), Ok(()));
    }
}
