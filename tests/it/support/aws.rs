//! What the stand-ins for AWS's services share: JSON 1.1, who signed a request, ids and times.

use std::time::{SystemTime, UNIX_EPOCH};

use axum::body::Bytes;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use axum::http::{HeaderMap, Response};
use serde_json::{Value, json};

pub const REGION: &str = "eu-central-1";
pub const ACCOUNT: &str = "123456789012";

/// A refusal: status, code, text.
pub type Refusal = (u16, &'static str, String);

/// The access key id that the signature names.
pub fn access_key_id(headers: &HeaderMap) -> Option<String> {
    let text = header(headers, AUTHORIZATION.as_str())?;
    let credential = text.split_once("Credential=")?.1;
    Some(credential.split_once('/')?.0.to_owned())
}

pub fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// The operation that a request to this service names.
pub fn target<'a>(headers: &'a HeaderMap, service: &str) -> Option<&'a str> {
    let text = header(headers, "x-amz-target")?;
    text.strip_prefix(service)?.strip_prefix('.')
}

pub fn strings(list: &Value) -> impl Iterator<Item = &str> {
    list.as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
}

/// The length that a listing asks for, which may be left out and must not be above `most`.
pub fn page_size(body: &Value, most: usize) -> Result<usize, Refusal> {
    let Some(wanted) = body.get("MaxResults").filter(|value| !value.is_null()) else {
        return Ok(most);
    };
    let size = wanted.as_u64().and_then(|size| usize::try_from(size).ok());
    size.filter(|size| (1..=most).contains(size)).ok_or_else(|| {
        let text = format!("1 validation error detected: Value '{wanted}' at 'maxResults' failed to satisfy constraint: Member must have value between 1 and {most}");
        (400, "ValidationException", text)
    })
}

pub fn answer(truth: Result<Value, Refusal>) -> Response<Bytes> {
    match truth {
        Ok(value) => ok(&value),
        Err((status, code, text)) => error(status, code, &text),
    }
}

pub fn ok(value: &Value) -> Response<Bytes> {
    respond(200, "application/x-amz-json-1.1", value.to_string().into())
}

/// AWS writes `Message` in some services' errors and `message` in others; the SDK reads both.
pub fn error(status: u16, code: &str, text: &str) -> Response<Bytes> {
    let key = if code.ends_with("Exception") {
        "Message"
    } else {
        "message"
    };
    let body = json!({"__type": code, key: text}).to_string();
    respond(status, "application/x-amz-json-1.1", body.into())
}

pub fn respond(status: u16, content_type: &str, body: Bytes) -> Response<Bytes> {
    Response::builder()
        .status(status)
        .header(CONTENT_TYPE, content_type)
        .header("x-amzn-RequestId", uuid())
        .body(body)
        .unwrap()
}

pub fn uuid() -> String {
    let id = format!("{:032x}", fastrand::u128(..));
    [&id[..8], &id[8..12], &id[12..16], &id[16..20], &id[20..]].join("-")
}

/// Seconds since the epoch with milliseconds, as AWS writes times.
pub fn now() -> f64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    (since.as_secs_f64() * 1000.0).round() / 1000.0
}
