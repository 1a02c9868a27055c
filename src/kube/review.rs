//! What the identity of a client may do, as the API server itself says it (`SelfSubjectAccessReview`).
//!
//! Everybody who has logged in may ask that, and nothing is kept of it.

use reqwest::Method;
use reqwest::header::HeaderValue;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::client::{Client, Question, Sent, WHOLE};
use super::place::{Place, Resource};
use super::wire::Malformed;
use crate::failure::Failure;
use crate::names::{Namespace, ObjectName};
use crate::report::ClusterVerb;

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const KIND: Resource = Resource::SelfSubjectAccessReview;

/// One thing to be allowed: a verb on one object, on all of a namespace, or on all of the cluster.
#[derive(Clone, Copy, Debug)]
pub struct Access<'a> {
    pub verb: &'static str,
    pub resource: Resource,
    pub namespace: Option<&'a Namespace>,
    pub name: Option<&'a ObjectName>,
}

impl Client {
    /// Whether we may do that.
    pub async fn may(&self, access: Access<'_>) -> Result<bool, Failure> {
        let about = self.about(ClusterVerb::Create, Place::All(KIND, None));
        let asked = Attributes::of(access);
        let review = Review {
            api_version: KIND.api_version(),
            kind: KIND.kind().to_owned(),
            spec: Spec {
                resource_attributes: asked,
            },
            status: None,
        };
        let body = serde_json::to_vec(&review).expect("texts in structures are JSON");
        let question = Question {
            method: Method::POST,
            accept: WHOLE,
            query: Vec::new(),
            send: Some(Sent {
                content_type: JSON,
                body: Zeroizing::new(body),
            }),
        };
        let answer = self.ask(about, question).await?;
        if !matches!(answer.code, 200 | 201) {
            return Err(about.refused(&answer.refusal()));
        }
        verdict(&answer.body, &review).map_err(|how| about.malformed(how))
    }
}

/// The answer repeats the question; one to another says nothing of this one.
fn verdict(body: &[u8], asked: &Review) -> Result<bool, Malformed> {
    let not_a_review = Malformed("answered with something that is not a review of access");
    let answered: Review = serde_json::from_slice(body).map_err(|_| not_a_review)?;
    if answered.kind != asked.kind || answered.api_version != asked.api_version {
        return Err(not_a_review);
    }
    if answered.spec != asked.spec {
        return Err(Malformed("answered to another question than was asked"));
    }
    let status = answered.status.ok_or(not_a_review)?;
    // Where both are set, a refusal is meant.
    Ok(status.allowed && !status.denied)
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Review {
    api_version: String,
    kind: String,
    spec: Spec,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<Status>,
}

#[derive(PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Spec {
    resource_attributes: Attributes,
}

/// What is empty is left out by the API server, and means all there is.
#[derive(PartialEq, Eq, Serialize, Deserialize)]
struct Attributes {
    verb: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    group: String,
    resource: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    namespace: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    name: String,
}

impl Attributes {
    fn of(access: Access<'_>) -> Self {
        Self {
            verb: access.verb.to_owned(),
            group: access.resource.group().to_owned(),
            resource: access.resource.plural().to_owned(),
            namespace: access
                .namespace
                .map_or_else(String::new, ToString::to_string),
            name: access.name.map_or_else(String::new, ToString::to_string),
        }
    }
}

#[derive(Serialize, Deserialize)]
struct Status {
    allowed: bool,
    #[serde(default)]
    denied: bool,
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn asked() -> Review {
        let namespace = Namespace::new("app").unwrap();
        Review {
            api_version: KIND.api_version(),
            kind: KIND.kind().to_owned(),
            spec: Spec {
                resource_attributes: Attributes::of(Access {
                    verb: "create",
                    resource: Resource::Secret,
                    namespace: Some(&namespace),
                    name: None,
                }),
            },
            status: None,
        }
    }

    fn answered(status: &Value) -> Value {
        json!({
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "metadata": {"managedFields": []},
            "spec": {"resourceAttributes": {"verb": "create", "resource": "secrets", "namespace": "app"}},
            "status": status,
        })
    }

    fn verdict_on(answer: &Value) -> Result<bool, Malformed> {
        verdict(answer.to_string().as_bytes(), &asked())
    }

    #[test]
    fn the_question_names_what_is_asked_and_leaves_out_the_rest() {
        let text = serde_json::to_value(asked()).unwrap();
        let expected = json!({"verb": "create", "resource": "secrets", "namespace": "app"});
        assert_eq!(text["spec"]["resourceAttributes"], expected);
        assert!(text.get("status").is_none());
    }

    #[test]
    fn only_an_answer_to_the_question_counts() {
        let yes = json!({"allowed": true, "reason": "RBAC: allowed by something"});
        assert_eq!(verdict_on(&answered(&yes)), Ok(true));
        assert_eq!(verdict_on(&answered(&json!({"allowed": false}))), Ok(false));
        let both = json!({"allowed": true, "denied": true});
        assert_eq!(verdict_on(&answered(&both)), Ok(false));
        for (place, other) in [
            ("/spec/resourceAttributes/namespace", json!("other")),
            ("/spec/resourceAttributes/verb", json!("get")),
            ("/kind", json!("Secret")),
            ("/status", Value::Null),
        ] {
            let mut answer = answered(&yes);
            *answer.pointer_mut(place).unwrap() = other;
            assert!(verdict_on(&answer).is_err(), "{place}");
        }
        assert!(verdict(b"<html>", &asked()).is_err());
    }
}
