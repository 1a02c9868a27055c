//! From a request to an answer in AWS's JSON 1.1 protocol.

use std::time::Instant;

use axum::body::Bytes;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, LOCATION, USER_AGENT};
use axum::http::{HeaderMap, Request, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::super::serve::Reply;
use super::log::{self, Log, Operation};
use super::state::{CURRENT, Content, Secret, State, Version};
use super::{Fault, state};

/// A refusal: status, code, text.
type Refusal = (u16, &'static str, String);

const NO_SECRET: &str = "Secrets Manager can't find the specified secret.";

pub fn answer(state: &State, log: &mut Log, request: &Request<Bytes>) -> Reply {
    let operation = operation(request.headers());
    let body: Value = serde_json::from_slice(request.body()).unwrap_or_default();
    let seen = describe(state, operation, &body, request.headers());
    let credential = seen.access_key_id.clone().unwrap_or_default();
    let only = match seen.secrets.as_slice() {
        [only] => Some(only.clone()),
        _ => None,
    };
    log.0.push(seen);
    if state.refused_keys.contains(&credential) {
        let quoted = quoted(state, only.as_deref(), &credential);
        return faulty(Fault::UnrecognizedClient, Ok(json!({})), &quoted);
    }
    if operation == Operation::BatchGetSecretValue {
        return batch(state, &body, &credential);
    }
    let truth = match operation {
        Operation::GetSecretValue => get(state, &body),
        Operation::DescribeSecret => metadata(state, &body),
        Operation::BatchGetSecretValue | Operation::Other => {
            Err((400, "UnknownOperationException", String::new()))
        }
    };
    match state.fault(only.as_deref()) {
        Some(fault) => faulty(fault, truth, &quoted(state, only.as_deref(), &credential)),
        None => plain(truth),
    }
}

fn plain(truth: Result<Value, Refusal>) -> Reply {
    Reply::Answer(match truth {
        Ok(value) => ok(&value),
        Err((status, code, text)) => error(status, code, &text),
    })
}

fn faulty(fault: Fault, truth: Result<Value, Refusal>, quoted: &str) -> Reply {
    if let Some((status, code, text)) = fault.error() {
        return Reply::Answer(error(status, code, &format!("{text}{quoted}")));
    }
    if let Some(status) = fault.page() {
        let page = format!("<html><body>{status} {quoted}</body></html>");
        return Reply::Answer(respond(status, "text/html", page.into()));
    }
    let mut truth = match truth {
        Ok(truth) => truth,
        Err(refusal) => return plain(Err(refusal)),
    };
    fault.spoil(&mut truth);
    match fault {
        Fault::Truncated => Reply::Truncated(ok(&truth)),
        Fault::Drip => Reply::Drip(ok(&truth)),
        Fault::Hang => Reply::Hang,
        Fault::Close => Reply::Close,
        Fault::Unparsable => {
            let garbage = format!("{{\"SecretString\": {quoted}, <not JSON>");
            Reply::Answer(respond(200, "application/x-amz-json-1.1", garbage.into()))
        }
        Fault::Redirect => {
            let mut answer = respond(307, "text/plain", Bytes::new());
            let elsewhere = "http://127.0.0.2:9/".parse().unwrap();
            answer.headers_mut().insert(LOCATION, elsewhere);
            Reply::Answer(answer)
        }
        _ => Reply::Answer(ok(&truth)),
    }
}

fn get(state: &State, body: &Value) -> Result<Value, Refusal> {
    let secret = find(state, body)?;
    if secret.deleted.is_some() {
        return Err((
            400,
            "InvalidRequestException",
            "You can't perform this operation on the secret because it was marked for deletion."
                .to_owned(),
        ));
    }
    let version = wanted(
        secret,
        body["VersionId"].as_str(),
        body["VersionStage"].as_str(),
    )?;
    Ok(value(secret, version))
}

fn wanted<'a>(
    secret: &'a Secret,
    id: Option<&str>,
    stage: Option<&str>,
) -> Result<&'a Version, Refusal> {
    let absent = |what: String| {
        let text = format!("Secrets Manager can't find the specified secret value for {what}");
        (400, "ResourceNotFoundException", text)
    };
    let Some(id) = id else {
        let stage = stage.unwrap_or(CURRENT);
        return secret
            .with_stage(stage)
            .ok_or_else(|| absent(format!("staging label: {stage}")));
    };
    let version = secret
        .with_id(id)
        .ok_or_else(|| absent(format!("VersionId: {id}")))?;
    match stage {
        Some(stage) if !version.stages.contains(stage) => Err((
            400,
            "InvalidRequestException",
            "You provided a VersionStage that is not associated to the provided VersionId."
                .to_owned(),
        )),
        _ => Ok(version),
    }
}

fn value(secret: &Secret, version: &Version) -> Value {
    let mut answer = json!({
        "ARN": secret.arn,
        "Name": secret.name,
        "VersionId": version.id,
        "VersionStages": version.stages,
        "CreatedDate": version.created,
    });
    match &version.content {
        Content::Text(text) => answer["SecretString"] = json!(text),
        Content::Binary(bytes) => answer["SecretBinary"] = json!(STANDARD.encode(bytes)),
    }
    answer
}

fn metadata(state: &State, body: &Value) -> Result<Value, Refusal> {
    let secret = find(state, body)?;
    let labelled = secret.versions.iter().filter(|v| !v.stages.is_empty());
    let stages: serde_json::Map<String, Value> = labelled
        .map(|version| (version.id.clone(), json!(version.stages)))
        .collect();
    let mut answer = json!({
        "ARN": secret.arn,
        "Name": secret.name,
        "CreatedDate": secret.created,
        "VersionIdsToStages": stages,
    });
    if let Some(deleted) = secret.deleted {
        answer["DeletedDate"] = json!(deleted);
    }
    Ok(answer)
}

fn find<'a>(state: &'a State, body: &Value) -> Result<&'a Secret, Refusal> {
    let id = body["SecretId"].as_str().unwrap_or_default();
    state
        .find(id)
        .ok_or_else(|| (400, "ResourceNotFoundException", NO_SECRET.to_owned()))
}

/// Errors of single secrets go into `Errors`; a fault of the wire spoils the whole call.
fn batch(state: &State, body: &Value, credential: &str) -> Reply {
    let ids: Vec<&str> = strings(&body["SecretIdList"]).collect();
    if ids.is_empty() || ids.len() > 20 {
        let text = "SecretIdList must have between 1 and 20 members.".to_owned();
        return plain(Err((400, "InvalidParameterException", text)));
    }
    if let Some(fault) = state.fault(None) {
        return faulty(fault, Ok(json!({})), &quoted(state, None, credential));
    }
    let (mut values, mut errors) = (Vec::new(), Vec::new());
    for id in ids {
        let name = state.find(id).map(|secret| secret.name.as_str());
        let mut refused = |code: &str, text: &str| {
            errors.push(json!({"SecretId": id, "ErrorCode": code, "Message": text}));
        };
        let quoted = quoted(state, name, credential);
        match (state.fault(name), get(state, &json!({ "SecretId": id }))) {
            (Some(fault), truth) => match (fault.error(), truth) {
                (Some((_, code, text)), _) => refused(code, &format!("{text}{quoted}")),
                (None, truth) => return faulty(fault, truth, &quoted),
            },
            (None, Ok(value)) => values.push(value),
            (None, Err((_, code, text))) => refused(code, &text),
        }
    }
    plain(Ok(json!({"SecretValues": values, "Errors": errors})))
}

/// What a careless error text would contain: the secret, its value and the credential.
fn quoted(state: &State, secret: Option<&str>, credential: &str) -> String {
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

fn describe(
    state: &State,
    operation: Operation,
    body: &Value,
    headers: &HeaderMap,
) -> log::Request {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let ids = strings(&body["SecretIdList"]).chain(body["SecretId"].as_str());
    log::Request {
        at: Instant::now(),
        operation,
        secrets: ids
            .map(|id| state.find(id).map_or(id, |secret| &secret.name).to_owned())
            .collect(),
        version_stage: text(&body["VersionStage"]),
        version_id: text(&body["VersionId"]),
        access_key_id: header(headers, AUTHORIZATION.as_str()).and_then(|text| {
            Some(
                text.split_once("Credential=")?
                    .1
                    .split_once('/')?
                    .0
                    .to_owned(),
            )
        }),
        user_agent: header(headers, USER_AGENT.as_str()).map(str::to_owned),
    }
}

fn operation(headers: &HeaderMap) -> Operation {
    match header(headers, "x-amz-target").and_then(|text| text.strip_prefix("secretsmanager.")) {
        Some("GetSecretValue") => Operation::GetSecretValue,
        Some("BatchGetSecretValue") => Operation::BatchGetSecretValue,
        Some("DescribeSecret") => Operation::DescribeSecret,
        _ => Operation::Other,
    }
}

fn strings(list: &Value) -> impl Iterator<Item = &str> {
    list.as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn ok(value: &Value) -> Response<Bytes> {
    respond(200, "application/x-amz-json-1.1", value.to_string().into())
}

/// AWS writes `Message` in some services' errors and `message` in others; the SDK reads both.
fn error(status: u16, code: &str, text: &str) -> Response<Bytes> {
    let key = if code.ends_with("Exception") {
        "Message"
    } else {
        "message"
    };
    let body = json!({"__type": code, key: text}).to_string();
    respond(status, "application/x-amz-json-1.1", body.into())
}

fn respond(status: u16, content_type: &str, body: Bytes) -> Response<Bytes> {
    Response::builder()
        .status(status)
        .header(CONTENT_TYPE, content_type)
        .header("x-amzn-RequestId", state::version_id())
        .body(body)
        .unwrap()
}
