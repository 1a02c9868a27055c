//! LIST and WATCH of Secrets and namespaces, as the API server answers them.

use std::time::Duration;

use axum::http::Response;
use axum::http::header::CONTENT_TYPE;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::super::serve::{Reply, Streamed};
use super::Shared;
use super::ask::Ask;
use super::custom::items_of;
use super::history::{Gone, Scope, Stream};
use super::log::Shape;
use super::refusal::{Refusal, Why};
use super::selector::Selector;

/// One page, or all of it.
pub fn list(shared: &mut Shared, ask: &Ask<'_>) -> Result<(u16, Value), Refusal> {
    let scope = scope(ask)?;
    let token = ask.query.get("continue").filter(|it| !it.is_empty());
    let (version, mut items) = if let Some(token) = token {
        rest(shared, token)?
    } else {
        let items = shared.store.all(scope.resource).into_iter();
        let items = items.filter(|object| scope.covers(object));
        let items = items.map(|object| scope.show(&object)).collect();
        (shared.store.history.lock().version(), items)
    };
    let mut metadata = json!({"resourceVersion": version.to_string()});
    let limit = ask
        .query
        .get("limit")
        .and_then(|limit| limit.parse().ok())
        .filter(|limit| (1..items.len()).contains(limit));
    if let Some(limit) = limit {
        let left = items.split_off(limit);
        let mut past = shared.store.history.lock();
        let token = past.pages.last_key_value().map_or(1, |(last, _)| last + 1);
        past.pages.insert(token, (version, left));
        metadata["continue"] = json!(format!("page-{token}"));
    }
    let (kind, api_version) = match scope.shape {
        Shape::Metadata => ("PartialObjectMetadataList", "meta.k8s.io/v1"),
        Shape::Whole if scope.resource == "secrets" => ("SecretList", "v1"),
        Shape::Whole => ("NamespaceList", "v1"),
    };
    Ok((
        200,
        json!({
            "kind": kind, "apiVersion": api_version, "metadata": metadata, "items": items_of(scope.shape, items),
        }),
    ))
}

fn rest(shared: &Shared, token: &str) -> Result<(u64, Vec<Value>), Refusal> {
    let past = shared.store.history.lock();
    let number = token.strip_prefix("page-").and_then(|it| it.parse().ok());
    let page = number.and_then(|number: u64| past.pages.get(&number));
    page.cloned().ok_or_else(|| {
        let text = "The provided continue parameter is too old to display a consistent list result";
        Refusal::new(Why::Expired, text)
    })
}

pub fn watch(shared: &Shared, ask: &Ask<'_>) -> Reply {
    let scope = match scope(ask) {
        Ok(scope) => scope,
        Err(refusal) => return Reply::Answer(refusal.response()),
    };
    let (lines, body) = mpsc::unbounded_channel();
    let is = |key: &str| ask.query.get(key).is_some_and(|v| v == "true" || v == "1");
    let stream = Stream {
        scope,
        bookmarks: is("allowWatchBookmarks"),
        silent: false,
        lines,
    };
    let from = ask.query.get("resourceVersion").map(String::as_str);
    let from = from.and_then(|version| version.parse().ok()).unwrap_or(0);
    let too_old = from > 0 && !shared.store.history.lock().knows(from);
    if too_old {
        let text = format!("too old resource version: {from}");
        let refusal = Refusal::new(Why::Expired, text);
        if shared.store.history.lock().gone == Gone::Status {
            return Reply::Answer(refusal.response());
        }
        stream.send("ERROR", &refusal.status());
    } else {
        let mut after = from;
        if from == 0 {
            for object in shared.store.all(stream.scope.resource) {
                if stream.scope.covers(&object) {
                    stream.send("ADDED", &stream.scope.show(&object));
                }
            }
            after = shared.store.history.lock().version();
        }
        shared.store.history.lock().open(stream, after);
    }
    let seconds = ask.query.get("timeoutSeconds");
    let seconds = seconds.and_then(|seconds| seconds.parse().ok());
    let head = Response::builder().header(CONTENT_TYPE, "application/json");
    Reply::Stream(Streamed {
        head: head.body(()).unwrap(),
        body,
        lasts: Duration::from_secs(seconds.unwrap_or(1800)),
    })
}

fn scope(ask: &Ask<'_>) -> Result<Scope, Refusal> {
    let segments: Vec<&str> = ask.path.trim_matches('/').split('/').collect();
    let resource = match segments[..] {
        ["api", "v1", "secrets"] | ["api", "v1", "namespaces", _, "secrets"] => "secrets",
        ["api", "v1", "namespaces"] => "namespaces",
        _ => {
            let text = "the server could not find the requested resource";
            return Err(Refusal::new(Why::NotFound, text));
        }
    };
    let selector = ask.query.get("labelSelector");
    Ok(Scope {
        resource,
        namespace: ask.namespace.to_owned(),
        selector: Selector::read(selector.map_or("", String::as_str)),
        shape: ask.shape,
    })
}
