//! Which changes of a Secret the API server refuses, whoever makes them and however.

use std::collections::BTreeSet;

use serde_json::Value;

use super::object::Secret;
use super::refusal::{Refusal, Why};
use super::store::{Owners, Writer};

pub fn change(live: &Secret, next: &Secret, writer: &Writer<'_>) -> Result<(), Refusal> {
    if live.owners() != next.owners() && writer.owners == Owners::Stay {
        let text = format!(
            "secrets \"{}\" is forbidden: cannot set an ownerRef on a resource you can't delete: , <nil>",
            live.name
        );
        return Err(Refusal::new(Why::Forbidden, text));
    }
    let told = |secret: &Secret| -> BTreeSet<String> {
        secret
            .finalizers()
            .into_iter()
            .map(Value::to_string)
            .collect()
    };
    if live.deleting.is_some() && !told(next).is_subset(&told(live)) {
        let text = "metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted";
        return Err(Refusal::new(Why::Invalid, text));
    }
    immutable(live, next)
}

fn immutable(live: &Secret, next: &Secret) -> Result<(), Refusal> {
    if live.secret_type() != next.secret_type() {
        let text = format!(
            "type: Invalid value: \"{}\": field is immutable",
            next.secret_type()
        );
        return Err(Refusal::new(Why::Invalid, text));
    }
    if live.immutable() && !(next.immutable() && live.data().eq(next.data())) {
        let text = "data: Forbidden: field is immutable when `immutable` is set";
        return Err(Refusal::new(Why::Invalid, text));
    }
    Ok(())
}
