//! `SelfSubjectAccessReview`: everybody may ask what they may do.

use serde_json::{Value, json};

use super::rbac::{Attributes, Grants};

pub const PATH: &str = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";

pub fn answer(grants: Option<&Grants>, body: &Value) -> (u16, Value) {
    let spec = &body["spec"];
    let text = |key: &str| spec["resourceAttributes"][key].as_str().unwrap_or_default();
    let asked = Attributes {
        namespace: text("namespace"),
        group: text("group"),
        resource: text("resource"),
        name: text("name"),
        verb: text("verb"),
    };
    let allowed = grants.is_none_or(|grants| grants.allow(&asked));
    let answer = json!({
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "metadata": {},
        "spec": spec,
        "status": {"allowed": allowed, "reason": "RBAC says so"},
    });
    (201, answer)
}
