//! From a request to an answer in AWS's JSON 1.1 protocol.

use std::sync::Arc;
use std::time::Instant;

use axum::body::Bytes;
use axum::http::header::{LOCATION, USER_AGENT};
use axum::http::{HeaderMap, Request};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::super::aws::{self, Refusal, header, ok, respond, strings};
use super::super::serve::Reply;
use super::batch::batch;
use super::list::list;
use super::log::{self, Log, Operation};
use super::read::{get, metadata};
use super::state::{CURRENT, Content, Secret, State};
use super::{ACCOUNT, Fault};

pub fn answer(state: &mut State, log: &mut Log, request: &Request<Bytes>) -> Reply {
    let body: Value = serde_json::from_slice(request.body()).unwrap_or_default();
    let seen = Arc::new(describe(state, &body, request.headers()));
    log.0.push(Arc::clone(&seen));
    let credential = seen.access_key_id.as_deref().unwrap_or_default();
    let only = match seen.secrets.as_slice() {
        [only] => Some(only.as_str()),
        _ => None,
    };
    if state.refused_keys.contains(credential) {
        let quoted = quoted(state, only, credential);
        return faulty(Fault::UnrecognizedClient, Ok(json!({})), &quoted);
    }
    if let Some(refusal) = refused(state, &seen) {
        return Reply::Answer(aws::answer(Err(refusal)));
    }
    let truth = match seen.operation {
        Operation::BatchGetSecretValue => return batch(state, &body, credential),
        Operation::GetSecretValue => get(state, &body),
        Operation::DescribeSecret => metadata(state, &body),
        Operation::ListSecrets => list(state, &body),
        Operation::Other => Err((400, "UnknownOperationException", String::new())),
    };
    match state.fault(only) {
        Some(fault) => faulty(fault, truth, &quoted(state, only, credential)),
        None => Reply::Answer(aws::answer(truth)),
    }
}

/// Refusals of a call as such, whatever it is about.
fn refused(state: &mut State, seen: &log::Request) -> Option<Refusal> {
    let credential = seen.access_key_id.as_deref().unwrap_or_default();
    let quota = state.quotas.get_mut(&seen.operation);
    if quota.is_some_and(|quota| !quota.takes(seen.at)) {
        state.throttled += 1;
        return Some((400, "ThrottlingException", "Rate exceeded".to_owned()));
    }
    state.denied.contains(&seen.operation).then(|| {
        let text = format!(
            "User: arn:aws:iam::{ACCOUNT}:user/sync is not authorized to perform: secretsmanager:{:?} on resource: * [key {credential}]",
            seen.operation
        );
        (400, "AccessDeniedException", text)
    })
}

pub fn faulty(fault: Fault, truth: Result<Value, Refusal>, quoted: &str) -> Reply {
    if let Some((status, code, text)) = fault.error() {
        return Reply::Answer(aws::error(status, code, &format!("{text}{quoted}")));
    }
    if let Some(status) = fault.page() {
        let page = format!("<html><body>{status} {quoted}</body></html>");
        return Reply::Answer(respond(status, "text/html", page.into()));
    }
    let mut truth = match truth {
        Ok(truth) => truth,
        Err(refusal) => return Reply::Answer(aws::answer(Err(refusal))),
    };
    fault.spoil(&mut truth);
    let json =
        |text: String| Reply::Answer(respond(200, "application/x-amz-json-1.1", text.into()));
    match fault {
        Fault::Truncated => Reply::Truncated(ok(&truth)),
        Fault::Drip => Reply::Drip(ok(&truth)),
        Fault::Hang => Reply::Hang,
        Fault::Close => Reply::Close,
        Fault::Unparsable => json(format!("{{\"SecretString\": {quoted}, <not JSON>")),
        Fault::Twice => json(format!("{truth}{truth}")),
        Fault::Redirect => {
            let mut answer = respond(307, "text/plain", Bytes::new());
            let elsewhere = "http://127.0.0.2:9/".parse().unwrap();
            answer.headers_mut().insert(LOCATION, elsewhere);
            Reply::Answer(answer)
        }
        _ => Reply::Answer(ok(&truth)),
    }
}

/// What a careless error text would contain: the secret, its value and the credential.
pub fn quoted(state: &State, secret: Option<&str>, credential: &str) -> String {
    let secret = secret.and_then(|name| state.find(name));
    let arn = secret.map_or("", |secret| &secret.arn);
    let current = secret.and_then(|secret| secret.with_stage(CURRENT));
    let text = match current.map(|version| &version.content) {
        Some(Content::Text(text)) => text.clone(),
        Some(Content::Binary(bytes)) => STANDARD.encode(bytes),
        None => String::new(),
    };
    format!("{arn} [value {text} key {credential}]")
}

fn describe(state: &State, body: &Value, headers: &HeaderMap) -> log::Request {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let ids = strings(&body["SecretIdList"]).chain(body["SecretId"].as_str());
    log::Request {
        at: Instant::now(),
        operation: operation(headers),
        secrets: ids
            .map(|id| state.find(id).map_or(id, Secret::key).to_owned())
            .collect(),
        version_stage: text(&body["VersionStage"]),
        version_id: text(&body["VersionId"]),
        access_key_id: aws::access_key_id(headers),
        user_agent: header(headers, USER_AGENT.as_str()).map(str::to_owned),
    }
}

fn operation(headers: &HeaderMap) -> Operation {
    match aws::target(headers, "secretsmanager") {
        Some("GetSecretValue") => Operation::GetSecretValue,
        Some("BatchGetSecretValue") => Operation::BatchGetSecretValue,
        Some("DescribeSecret") => Operation::DescribeSecret,
        Some("ListSecrets") => Operation::ListSecrets,
        _ => Operation::Other,
    }
}
