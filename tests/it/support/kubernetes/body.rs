//! Reading a Secret out of a request body, and refusing what the API server refuses.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::object::{Field, Fields};
use super::refusal::{Refusal, Why};

const MAX_DATA: usize = 1 << 20;

/// What a body says.
pub struct Wanted {
    pub fields: Fields,
    /// Owners and finalizers in the body's order.
    pub listed: Vec<Field>,
    pub uid: Option<String>,
    pub resource_version: Option<String>,
    /// `metadata.managedFields`, where the body has it.
    pub managed_fields: Option<Value>,
}

impl Wanted {
    /// The body must be about the Secret that the path names.
    pub fn read(body: &Value, namespace: &str, name: &str) -> Result<Self, Refusal> {
        let metadata = &body["metadata"];
        let says = |value: &Value, wanted: &str| value.is_null() || value == wanted;
        if body["apiVersion"] != "v1" || body["kind"] != "Secret" {
            return Err(Refusal::new(
                Why::BadRequest,
                "the object is not a v1 Secret",
            ));
        }
        if !says(&metadata["name"], name) || !says(&metadata["namespace"], namespace) {
            let text = "the name of the object does not match the name on the URL";
            return Err(Refusal::new(Why::BadRequest, text));
        }
        if !body["stringData"].is_null() {
            let text = "the stand-in does not know stringData";
            return Err(Refusal::new(Why::BadRequest, text));
        }
        let text = |value: &Value| {
            value
                .as_str()
                .filter(|text| !text.is_empty())
                .map(str::to_owned)
        };
        let managed = &metadata["managedFields"];
        let listed = listed(metadata)?;
        let mut fields = fields(body)?;
        fields.extend(listed.iter().cloned());
        Ok(Self {
            fields,
            listed: listed.into_iter().map(|(field, _)| field).collect(),
            uid: text(&metadata["uid"]),
            resource_version: text(&metadata["resourceVersion"]),
            managed_fields: (!managed.is_null()).then(|| managed.clone()),
        })
    }
}

fn fields(body: &Value) -> Result<Fields, Refusal> {
    let metadata = &body["metadata"];
    let mut fields = Fields::new();
    let mut total = 0;
    for (key, value) in entries(&body["data"]) {
        total += check_datum(key, value)?;
        fields.insert(Field::Data(key.clone()), value.clone());
    }
    if total > MAX_DATA {
        let text = "data: Too long: may not be more than 1048576 bytes";
        return Err(Refusal::new(Why::Invalid, text));
    }
    for (key, value) in entries(&metadata["labels"]) {
        let text = value.as_str().unwrap_or(" ");
        if text.len() > 63 || !text.chars().all(is_name) {
            let text = format!("metadata.labels: Invalid value: \"{key}\"");
            return Err(Refusal::new(Why::Invalid, text));
        }
        fields.insert(Field::Label(key.clone()), value.clone());
    }
    for (key, value) in entries(&metadata["annotations"]) {
        fields.insert(Field::Annotation(key.clone()), value.clone());
    }
    if let Some(secret_type) = body["type"].as_str() {
        fields.insert(Field::Type, json!(secret_type));
    }
    if let Some(immutable) = body["immutable"].as_bool() {
        fields.insert(Field::Immutable, json!(immutable));
    }
    Ok(fields)
}

/// Owners and finalizers.
fn listed(metadata: &Value) -> Result<Vec<(Field, Value)>, Refusal> {
    let list = |key: &str| metadata[key].as_array().cloned().unwrap_or_default();
    let mut listed = Vec::new();
    let mut controllers = 0;
    for owner in list("ownerReferences") {
        let text = |key: &str| owner[key].as_str().filter(|text| !text.is_empty());
        for key in ["apiVersion", "kind", "name", "uid"] {
            if text(key).is_none() {
                let text =
                    format!("metadata.ownerReferences.{key}: Invalid value: must not be empty");
                return Err(Refusal::new(Why::Invalid, text));
            }
        }
        controllers += usize::from(owner["controller"] == true);
        let uid = text("uid").unwrap_or_default().to_owned();
        listed.push((Field::Owner(uid), owner));
    }
    if controllers > 1 {
        let text = "metadata.ownerReferences: Invalid value: Only one reference can have Controller set to true";
        return Err(Refusal::new(Why::Invalid, text));
    }
    for finalizer in list("finalizers") {
        let name = finalizer.as_str().unwrap_or_default().to_owned();
        let standard = ["orphan", "foregroundDeletion", "kubernetes"].contains(&name.as_str());
        if !standard && !name.contains('/') {
            let text = format!(
                "metadata.finalizers: Invalid value: {name:?}: name is neither a standard finalizer name nor is it fully qualified"
            );
            return Err(Refusal::new(Why::Invalid, text));
        }
        listed.push((Field::Finalizer(name), finalizer));
    }
    Ok(listed)
}

/// The decoded length of one value of `data`.
fn check_datum(key: &str, value: &Value) -> Result<usize, Refusal> {
    let legal = !key.is_empty() && key.len() <= 253 && key != "." && !key.starts_with("..");
    if !legal || !key.chars().all(is_name) {
        let text = format!(
            "data[{key}]: Invalid value: a valid config key must consist of alphanumeric characters"
        );
        return Err(Refusal::new(Why::Invalid, text));
    }
    let text = value.as_str().unwrap_or("!");
    match STANDARD.decode(text) {
        Ok(bytes) => Ok(bytes.len()),
        // The real server's decoder quotes the offending text too.
        Err(_) => Err(Refusal::new(
            Why::Invalid,
            format!(
                "Secret in version \"v1\" cannot be handled as a Secret: illegal base64 data in {text}"
            ),
        )),
    }
}

fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-_.".contains(c)
}

fn entries(map: &Value) -> impl Iterator<Item = (&String, &Value)> {
    map.as_object().into_iter().flatten()
}
