//! A watch against answers that are written by hand.

use std::time::Duration;

use super::*;
use crate::kube::tests::{Server, partial};

const PATIENCE: Patience = Patience {
    lasts: Duration::from_millis(200),
    slack: Duration::from_millis(200),
};
const CHUNKED: &str = "transfer-encoding: chunked\r\n";

fn collection() -> Collection {
    Collection::Secrets {
        namespace: Some(Namespace::new("app").unwrap()),
    }
}

fn listed(version: &str, items: &str) -> String {
    format!(
        r#"{{"kind":"PartialObjectMetadataList","metadata":{{"resourceVersion":"{version}"}},"items":[{items}]}}"#
    )
}

fn event(kind: &str, version: &str) -> String {
    let object = partial("u-1", version).replace('\n', "");
    format!("{{\"type\":\"{kind}\",\"object\":{object}}}\n")
}

/// A stream with this in it, and no end.
fn open_stream(server: &Server, text: &str) {
    server.reply_with(200, CHUNKED, format!("{:x}\r\n{text}\r\n", text.len()));
}

/// Everything that is told until the watch fails.
async fn followed(server: &Server) -> (Vec<String>, Failure) {
    let client = server.client();
    let (events, mut heard) = mpsc::channel(100);
    let failure = client.follow(&collection(), &events, PATIENCE).await;
    drop(events);
    let mut all = Vec::new();
    while let Some(event) = heard.recv().await {
        all.push(match event {
            Event::Listed(objects) => format!("listed {}", objects.len()),
            Event::Changed(object) => format!("changed {}", object.resource_version),
            Event::Gone(object) => format!("gone {}", object.resource_version),
        });
    }
    (all, failure)
}

fn lines(server: &Server) -> Vec<String> {
    let requests = server.requests().into_iter();
    let line = |(head, _): (String, String)| head.lines().next().unwrap_or_default().to_owned();
    requests.map(line).collect()
}

#[tokio::test]
async fn a_silent_stream_is_broken_off_and_goes_on_from_its_last_version() {
    let server = Server::start().await;
    server.reply(200, listed("5", &partial("u-1", "4")));
    open_stream(&server, &event("MODIFIED", "8"));
    server.reply(403, crate::kube::tests::status("Forbidden", ""));
    let (told, failure) = followed(&server).await;
    assert_eq!(told, ["listed 1", "changed 8"]);
    assert_eq!(failure.reason, Reason::TargetDenied);
    assert!(
        failure.fact.contains("watch secrets in namespace `app`"),
        "{failure}"
    );
    let asked = lines(&server);
    assert!(asked[0].contains("labelSelector=secretsyncd%2Fmanaged%3Dtrue&limit=200"));
    assert!(asked[1].contains("resourceVersion=5") && asked[1].contains("allowWatchBookmarks"));
    assert!(asked[2].contains("resourceVersion=8"), "{asked:?}");
}

#[tokio::test]
async fn what_is_too_old_is_listed_anew() {
    let server = Server::start().await;
    let expired = r#"{"type":"ERROR","object":{"kind":"Status","reason":"Expired","code":410}}"#;
    server.reply(200, listed("5", ""));
    server.reply(410, crate::kube::tests::status("Expired", ""));
    server.reply(200, listed("7", &partial("u-1", "6")));
    server.reply(200, format!("{}{expired}\n", event("DELETED", "9")));
    server.reply(200, listed("11", ""));
    server.reply(401, "");
    let (told, failure) = followed(&server).await;
    assert_eq!(told, ["listed 0", "listed 1", "gone 9", "listed 0"]);
    assert_eq!(failure.reason, Reason::Credentials);
}

#[tokio::test]
async fn pages_are_put_together_and_begun_again_when_they_are_forgotten() {
    let server = Server::start().await;
    let page = |version: &str| {
        let whole = listed(version, &partial("u-1", "4"));
        whole.replace("},\"items\"", ",\"continue\":\"TOKEN\"},\"items\"")
    };
    server.reply(200, page("5"));
    server.reply(410, crate::kube::tests::status("Expired", ""));
    server.reply(200, page("6"));
    server.reply(200, listed("6", &partial("u-2", "3")));
    server.reply(500, "");
    let (told, failure) = followed(&server).await;
    assert_eq!(told, ["listed 2"]);
    assert_eq!(failure.reason, Reason::Network);
    assert!(lines(&server)[3].contains("continue=TOKEN"));
}

#[tokio::test]
async fn a_server_that_ends_streams_at_once_is_not_asked_without_end() {
    let server = Server::start().await;
    server.reply(200, listed("5", ""));
    for _ in 0..BRIEF_MAX {
        server.reply(200, "");
    }
    let (_, failure) = followed(&server).await;
    assert!(failure.fact.contains("ends every watch"), "{failure}");
}

#[tokio::test]
async fn what_is_no_event_is_a_named_failure() {
    for text in ["{}\n", "MARKER\n", "x".repeat(1_100_000).as_str()] {
        let server = Server::start().await;
        server.reply(200, listed("5", ""));
        open_stream(&server, text);
        let (_, failure) = followed(&server).await;
        assert_eq!(failure.reason, Reason::Malformed);
        assert!(!format!("{failure:?}").contains("MARKER"));
    }
}
