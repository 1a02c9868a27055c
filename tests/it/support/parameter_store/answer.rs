//! From a request to an answer in AWS's JSON 1.1 protocol.

use std::sync::Arc;
use std::time::Instant;

use axum::body::Bytes;
use axum::http::{HeaderMap, Request};
use serde_json::{Value, json};

use super::super::aws::{self, Refusal, respond, strings};
use super::super::serve::Reply;
use super::listing::{by_path, described, tags};
use super::state::{Parameter, State};
use super::{Fault, Operation, log};

pub fn answer(state: &mut State, request: &Request<Bytes>) -> Reply {
    let body: Value = serde_json::from_slice(request.body()).unwrap_or_default();
    let seen = Arc::new(describe(&body, request.headers()));
    state.log.0.push(Arc::clone(&seen));
    if let Some(refusal) = refused(state, &seen) {
        return Reply::Answer(aws::answer(Err(refusal)));
    }
    let truth = match seen.operation {
        Operation::GetParameter => return single(state, &body),
        Operation::GetParameters => several(state, &body),
        Operation::GetParametersByPath => by_path(state, &body),
        Operation::DescribeParameters => described(state, &body),
        Operation::ListTagsForResource => tags(state, &body),
        Operation::Other => Err((400, "UnknownOperationException", String::new())),
    };
    Reply::Answer(aws::answer(truth))
}

/// One name that is denied denies the call, as AWS does it.
fn refused(state: &State, seen: &log::Request) -> Option<Refusal> {
    let credential = seen.access_key_id.as_deref().unwrap_or_default();
    let operation = format!("{:?}", seen.operation);
    let refusal = |name: &str| {
        let parameter = state.find(split(name).0);
        let (known, arn, value) = parameter.map_or((name, name.to_owned(), Value::Null), |p| {
            let read = p.read(p.latest(), true);
            (p.name.as_str(), p.arn(), read["Value"].clone())
        });
        let quoted = format!("[value {value} key {credential}]");
        state.fault(known)?.refusal(&operation, &arn, &quoted)
    };
    if seen.names.is_empty() {
        let quoted = format!("[key {credential}]");
        return state.fault_of_all?.refusal(&operation, "*", &quoted);
    }
    seen.names.iter().find_map(|name| refusal(name))
}

fn single(state: &State, body: &Value) -> Reply {
    let read = read(state, body["Name"].as_str().unwrap_or_default(), body);
    let (right, fault) = match read {
        Ok(found) => found,
        Err(refusal) => return Reply::Answer(aws::answer(Err(refusal))),
    };
    let text = match fault {
        Some(fault) => match fault.spoilt(right).as_slice() {
            [] => "{}".to_owned(),
            answers => answers
                .iter()
                .map(|answer| json!({ "Parameter": answer }).to_string())
                .collect(),
        },
        None => json!({ "Parameter": right }).to_string(),
    };
    Reply::Answer(respond(200, "application/x-amz-json-1.1", text.into()))
}

fn several(state: &State, body: &Value) -> Result<Value, Refusal> {
    let names: Vec<&str> = strings(&body["Names"]).collect();
    if !(1..=10).contains(&names.len()) {
        let text = format!(
            "1 validation error detected: Value '{names:?}' at 'names' failed to satisfy constraint: Member must have length less than or equal to 10"
        );
        return Err((400, "ValidationException", text));
    }
    let (mut found, mut invalid) = (Vec::new(), Vec::new());
    for name in names {
        match read(state, name, body) {
            Ok((right, fault)) => found.extend(spoilt(fault, right)),
            Err(_) => invalid.push(name),
        }
    }
    // No order is promised, so none should be relied on.
    found.reverse();
    Ok(json!({"Parameters": found, "InvalidParameters": invalid}))
}

/// What a name, with its selector, stands for, and the fault of it.
fn read(state: &State, asked: &str, body: &Value) -> Result<(Value, Option<Fault>), Refusal> {
    let (name, selector) = split(asked);
    let absent = || (400, "ParameterNotFound", String::new());
    let parameter: &Parameter = state.find(name).ok_or_else(absent)?;
    let version = match selector {
        None => parameter.latest(),
        Some(selector) => parameter.selected(selector).ok_or_else(|| {
            let text = format!(
                "Systems Manager could not find version {selector} of {name}. Verify the version and try again."
            );
            (400, "ParameterVersionNotFound", text)
        })?,
    };
    let mut right = parameter.read(version, decrypts(body));
    if let Some(selector) = selector {
        right["Selector"] = json!(format!(":{selector}"));
    }
    Ok((right, state.fault(&parameter.name)))
}

pub fn spoilt(fault: Option<Fault>, right: Value) -> Vec<Value> {
    match fault {
        Some(fault) => fault.spoilt(right),
        None => vec![right],
    }
}

pub fn decrypts(body: &Value) -> bool {
    body["WithDecryption"] == true
}

/// Name and selector. The colons of an ARN are none of a selector's.
fn split(name: &str) -> (&str, Option<&str>) {
    let after = name.rfind(":parameter/").map_or(0, |at| at + 11);
    match name[after..].find(':') {
        Some(at) => (&name[..after + at], Some(&name[after + at + 1..])),
        None => (name, None),
    }
}

fn describe(body: &Value, headers: &HeaderMap) -> log::Request {
    let single = ["Name", "Path", "ResourceId"].map(|key| body[key].as_str());
    let names = strings(&body["Names"]).chain(single.into_iter().flatten());
    log::Request {
        at: Instant::now(),
        operation: operation(headers),
        names: names.map(str::to_owned).collect(),
        with_decryption: decrypts(body),
        access_key_id: aws::access_key_id(headers),
    }
}

fn operation(headers: &HeaderMap) -> Operation {
    match aws::target(headers, "AmazonSSM") {
        Some("GetParameter") => Operation::GetParameter,
        Some("GetParameters") => Operation::GetParameters,
        Some("GetParametersByPath") => Operation::GetParametersByPath,
        Some("DescribeParameters") => Operation::DescribeParameters,
        Some("ListTagsForResource") => Operation::ListTagsForResource,
        _ => Operation::Other,
    }
}
