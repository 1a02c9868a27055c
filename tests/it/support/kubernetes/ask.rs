//! A request to the API server, taken apart: verb, path, query, body, and the answer's wanted shape.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hasher as _};
use std::time::Instant;

use axum::body::Bytes;
use axum::http::header::{ACCEPT, CONTENT_TYPE, USER_AGENT};
use axum::http::{Method, Request};
use serde_json::Value;

use super::super::serve::Call;
use super::log::{self, Shape, Verb};
use super::object::Secret;
use super::path::Path;
use super::refusal::{Refusal, Why};
use super::store::{Owners, Writer};

/// A request, taken apart.
pub struct Ask<'a> {
    pub verb: Verb,
    pub namespace: &'a str,
    /// Empty for a namespace itself, a collection and `/version`.
    pub name: &'a str,
    pub path: &'a str,
    pub place: Path<'a>,
    /// What access rules call it, as `secrets` or `deployments/scale`.
    pub resource: String,
    pub query: BTreeMap<&'a str, String>,
    pub body: Value,
    pub shape: Shape,
}

impl<'a> Ask<'a> {
    pub fn read(request: &'a Request<Bytes>) -> Self {
        let path = request.uri().path();
        let header = |name| request.headers().get(name).and_then(|v| v.to_str().ok());
        let content_type = header(CONTENT_TYPE).unwrap_or_default();
        let verb = match *request.method() {
            Method::GET => Verb::Get,
            Method::PATCH if content_type == "application/apply-patch+yaml" => Verb::Apply,
            Method::PATCH if content_type == "application/merge-patch+json" => Verb::Patch,
            Method::POST => Verb::Create,
            Method::PUT => Verb::Update,
            Method::DELETE => Verb::Delete,
            _ => Verb::Other,
        };
        let place = Path::read(path);
        // A namespace is a place here.
        let (namespace, name) = match (place.group, place.plural) {
            ("", "namespaces") => (place.name, ""),
            _ => (place.namespace, place.name),
        };
        let query = query(request.uri().query().unwrap_or_default());
        let is_collection = place.is_collection();
        let watches = query
            .get("watch")
            .is_some_and(|it| it == "true" || it == "1");
        let verb = match verb {
            Verb::Get if is_collection && watches => Verb::Watch,
            Verb::Get if is_collection => Verb::List,
            verb => verb,
        };
        Self {
            verb,
            namespace,
            name,
            path,
            place,
            resource: match place.part {
                "" => place.plural.to_owned(),
                part => format!("{}/{part}", place.plural),
            },
            query,
            body: parse(request.body()),
            shape: match header(ACCEPT) {
                Some(accept) if accept.contains("as=PartialObjectMetadata") => Shape::Metadata,
                _ => Shape::Whole,
            },
        }
    }

    /// The object that is asked for or about: a new one is named in the body only.
    pub fn name(&self) -> &str {
        let made = self.body["metadata"]["name"].as_str();
        match made {
            Some(made) if self.name.is_empty() => made,
            Some(_) | None => self.name,
        }
    }

    pub fn check_applier(&self) -> Result<(), Refusal> {
        match self.query.get("fieldManager") {
            Some(manager) if manager.len() <= 128 => Ok(()),
            Some(_) => {
                let text = "fieldManager: Too long: may not be more than 128 bytes";
                Err(Refusal::new(Why::Invalid, text))
            }
            None => {
                let text = "fieldManager: Required value: is required for apply patch";
                Err(Refusal::new(Why::Invalid, text))
            }
        }
    }

    pub fn writer(&'a self) -> Writer<'a> {
        let is = |key: &str, value: &str| self.query.get(key).is_some_and(|have| have == value);
        Writer {
            manager: self
                .query
                .get("fieldManager")
                .map_or("unknown", String::as_str),
            force: is("force", "true"),
            dry_run: is("dryRun", "All"),
            owners: Owners::Change,
        }
    }

    pub fn shape(&self, secret: &Secret) -> Value {
        match self.shape {
            Shape::Whole => secret.to_json(),
            Shape::Metadata => secret.metadata_json(),
        }
    }

    pub fn log(&self, call: &Call, (status, who): (u16, Option<String>)) -> log::Request {
        let request = &call.request;
        let writer = self.writer();
        let agent = request.headers().get(USER_AGENT);
        log::Request {
            at: Instant::now(),
            verb: self.verb,
            resource: self.place.resource(),
            namespace: self.namespace.to_owned(),
            name: self.name().to_owned(),
            keys: data(&self.body).map(|(key, _)| key.to_owned()).collect(),
            field_manager: self.query.get("fieldManager").cloned(),
            force: writer.force,
            dry_run: writer.dry_run,
            preconditions: ["uid", "resourceVersion"]
                .into_iter()
                .filter(|key| self.body["metadata"][key].is_string())
                .collect(),
            digest: digest(request.body()),
            shape: self.shape,
            user_agent: agent.and_then(|v| v.to_str().ok()).map(str::to_owned),
            http: request.version(),
            connection: call.connection,
            status,
            who,
        }
    }
}

fn digest(body: &Bytes) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(body);
    hasher.finish()
}

/// The data keys of a body and their base64 texts.
pub fn data(body: &Value) -> impl Iterator<Item = (&str, &str)> {
    let entries = body["data"].as_object().into_iter().flatten();
    entries.filter_map(|(key, value)| Some((key.as_str(), value.as_str()?)))
}

/// Apply patches are YAML; JSON is a part of it.
fn parse(body: &Bytes) -> Value {
    let text = std::str::from_utf8(body).unwrap_or_default();
    serde_json::from_str(text)
        .or_else(|_| serde_saphyr::from_str(text))
        .unwrap_or_default()
}

fn query(text: &str) -> BTreeMap<&str, String> {
    text.split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(key, value)| (key, percent_decoded(value)))
        .collect()
}

fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let digits: Vec<u8> = match byte {
            b'%' => rest.by_ref().take(2).collect(),
            // As forms have it, and Go.
            b'+' => b"20".to_vec(),
            _ => Vec::new(),
        };
        let digits = std::str::from_utf8(&digits).unwrap_or_default();
        bytes.push(u8::from_str_radix(digits, 16).unwrap_or(byte));
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
