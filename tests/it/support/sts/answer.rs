//! From a request to an answer.

use std::time::Instant;

use axum::body::Bytes;
use axum::http::{HeaderMap, Request as HttpRequest, Response};
use jiff::Timestamp;

use super::super::aws::{self, ACCOUNT, header, respond};
use super::super::serve::Reply;
use super::fault::{Fault, Refusal};
use super::form::Form;
use super::state::{Request, Session, State};
use super::xml::{self, element};

pub fn answer(state: &mut State, request: &HttpRequest<Bytes>) -> Reply {
    let form = Form::read(request.body());
    let mut seen = describe(&form, request.headers());
    let token = header(request.headers(), "x-amz-security-token");
    let quoted = format!(
        "[token {} key {} session {}]",
        seen.web_identity_token.as_deref().unwrap_or_default(),
        seen.access_key_id.as_deref().unwrap_or_default(),
        token.unwrap_or_default()
    );
    let reply = match state.fault {
        Some(fault) => faulty(fault, &seen.action, &quoted),
        None => Reply::Answer(
            match caller(state, &seen, token).and_then(|caller| act(state, &mut seen, &caller)) {
                Ok(content) => xml::result(&seen.action, &content),
                Err((status, code, text)) => {
                    xml::error(&(status, code, format!("{text} {quoted}")))
                }
            },
        ),
    };
    state.log.push(seen);
    reply
}

fn faulty(fault: Fault, action: &str, quoted: &str) -> Reply {
    if let Some(refusal) = fault.refusal(quoted) {
        return Reply::Answer(xml::error(&refusal));
    }
    let page =
        |status, text: String| -> Response<Bytes> { respond(status, "text/html", text.into()) };
    match fault {
        Fault::UnavailableHtml => Reply::Answer(page(503, format!("<html>503 {quoted}</html>"))),
        Fault::Unparsable => Reply::Answer(page(200, format!("{quoted} is not XML"))),
        Fault::Hang => Reply::Hang,
        Fault::Close => Reply::Close,
        _ => Reply::Answer(xml::result(action, "")),
    }
}

/// Who signed: the ARN. A web identity signs nothing and has none.
fn caller(state: &State, seen: &Request, token: Option<&str>) -> Result<String, Refusal> {
    if seen.action == "AssumeRoleWithWebIdentity" {
        return Ok(String::new());
    }
    let Some(key) = seen.access_key_id.as_deref() else {
        let text = "Request is missing Authentication Token".to_owned();
        return Err((403, "MissingAuthenticationToken", text));
    };
    let Some(session) = state.sessions.get(key) else {
        return Ok(format!("arn:aws:iam::{ACCOUNT}:user/sync"));
    };
    let fault = if token != Some(session.token.as_str()) {
        Fault::InvalidClientTokenId
    } else if session.expiration <= Timestamp::now() {
        Fault::ExpiredToken
    } else {
        return Ok(session.arn.clone());
    };
    Err(fault.refusal("").expect("a refusal"))
}

/// What the action's result holds.
fn act(state: &mut State, seen: &mut Request, caller: &str) -> Result<String, Refusal> {
    match seen.action.as_str() {
        "GetCallerIdentity" => Ok(identity(caller)),
        "AssumeRole" | "AssumeRoleWithWebIdentity" => assume(state, seen, caller),
        action => {
            let text = format!("Could not find operation {action} for version 2011-06-15");
            Err((400, "InvalidAction", text))
        }
    }
}

fn identity(caller: &str) -> String {
    let account = caller.split(':').nth(4).unwrap_or_default();
    [
        element("Arn", caller),
        element("UserId", "AIDAINTEGRATIONTESTS"),
        element("Account", account),
    ]
    .concat()
}

fn assume(state: &mut State, seen: &mut Request, caller: &str) -> Result<String, Refusal> {
    let role = seen.role_arn.as_deref().unwrap_or_default();
    let name = seen.session_name.as_deref().unwrap_or_default();
    if state.denied.contains(role) {
        let action = &seen.action;
        let text = format!(
            "User: {caller} is not authorized to perform: sts:{action} on resource: {role}"
        );
        return Err((403, "AccessDenied", text));
    }
    let by_web = seen.action == "AssumeRoleWithWebIdentity";
    let complete = !name.is_empty() && (!by_web || seen.web_identity_token.is_some());
    let session = complete.then(|| state.give(role, name)).flatten();
    let Some(session) = session else {
        let text = "1 validation error detected".to_owned();
        return Err((400, "ValidationError", text));
    };
    seen.issued = Some(session.access_key_id.clone());
    Ok(credentials(&session))
}

fn credentials(session: &Session) -> String {
    let content = [
        element("AccessKeyId", &session.access_key_id),
        element("SecretAccessKey", &session.secret_access_key),
        element("SessionToken", &session.token),
        element("Expiration", &session.expiration.to_string()),
    ];
    let user = [
        element("AssumedRoleId", "AROAINTEGRATIONTESTS:session"),
        element("Arn", &session.arn),
    ];
    format!(
        "<Credentials>{}</Credentials><AssumedRoleUser>{}</AssumedRoleUser>",
        content.concat(),
        user.concat()
    )
}

fn describe(form: &Form, headers: &HeaderMap) -> Request {
    let keys = form.members("Tags", ".Key").into_iter();
    Request {
        at: Instant::now(),
        action: form.get("Action").unwrap_or_default(),
        role_arn: form.get("RoleArn"),
        session_name: form.get("RoleSessionName"),
        external_id: form.get("ExternalId"),
        tags: keys.zip(form.members("Tags", ".Value")).collect(),
        transitive_tag_keys: form.members("TransitiveTagKeys", ""),
        web_identity_token: form.get("WebIdentityToken"),
        access_key_id: aws::access_key_id(headers),
        issued: None,
    }
}
