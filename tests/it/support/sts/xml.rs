//! Answers in XML.

use axum::body::Bytes;
use axum::http::Response;

use super::super::aws::{respond, uuid};
use super::fault::Refusal;

const NAMESPACE: &str = "https://sts.amazonaws.com/doc/2011-06-15/";

/// The answer to an action, with this in its result.
pub fn result(action: &str, content: &str) -> Response<Bytes> {
    let id = uuid();
    send(
        200,
        format!(
            "<{action}Response xmlns=\"{NAMESPACE}\"><{action}Result>{content}</{action}Result><ResponseMetadata><RequestId>{id}</RequestId></ResponseMetadata></{action}Response>"
        ),
    )
}

pub fn error((status, code, text): &Refusal) -> Response<Bytes> {
    let error = [element("Code", code), element("Message", text)].concat();
    let id = element("RequestId", &uuid());
    send(
        *status,
        format!(
            "<ErrorResponse xmlns=\"{NAMESPACE}\"><Error><Type>Sender</Type>{error}</Error>{id}</ErrorResponse>"
        ),
    )
}

pub fn element(name: &str, text: &str) -> String {
    let escaped = text
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;");
    format!("<{name}>{escaped}</{name}>")
}

fn send(status: u16, text: String) -> Response<Bytes> {
    respond(status, "text/xml", text.into())
}
