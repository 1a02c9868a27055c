//! LIST and WATCH, as a client sees them.

use std::time::Duration;

use reqwest::Response;
use serde_json::{Value, json};

use super::super::super::http::block_on;
use super::super::{Fault, Gone, Kubernetes, Rule, TOKEN, Verb};
use super::client;

const METADATA: &str = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";
const LIST: &str = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";

struct Watch {
    response: Response,
    buffer: Vec<u8>,
}

async fn ask(
    client: &reqwest::Client,
    kubernetes: &Kubernetes,
    path: &str,
    accept: &str,
) -> Response {
    let url = format!("{}/api/v1/{path}", kubernetes.url());
    let request = client.get(url).bearer_auth(TOKEN).header("accept", accept);
    request.send().await.unwrap()
}

async fn list(kubernetes: &Kubernetes, path: &str) -> Value {
    let answer = ask(&client(kubernetes), kubernetes, path, LIST).await;
    serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap()
}

async fn watch(kubernetes: &Kubernetes, path: &str) -> Watch {
    let response = ask(&client(kubernetes), kubernetes, path, METADATA).await;
    Watch {
        response,
        buffer: Vec::new(),
    }
}

impl Watch {
    /// The next event; `None` at the end, or where the stream broke.
    async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some(end) = self.buffer.iter().position(|b| *b == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                return serde_json::from_slice(&line).ok();
            }
            let chunk = self.response.chunk().await.ok()??;
            self.buffer.extend_from_slice(&chunk);
        }
    }

    async fn event(&mut self) -> (String, String) {
        let event = self.next().await.unwrap();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        (
            text(&event["type"]),
            text(&event["object"]["metadata"]["name"]),
        )
    }
}

fn labelled(kubernetes: &Kubernetes, namespace: &str, name: &str, team: &str) {
    let object = json!({"metadata": {"labels": {"team": team}}, "data": {"a": "YQ=="}});
    kubernetes.put("test", namespace, name, object);
}

fn event(kind: &str, name: &str) -> (String, String) {
    (kind.to_owned(), name.to_owned())
}

fn version(list: &Value) -> &str {
    list["metadata"]["resourceVersion"].as_str().unwrap()
}

#[test]
fn a_list_is_what_is_selected_page_by_page() {
    let kubernetes = Kubernetes::start();
    for (namespace, name) in [("app", "a"), ("app", "b"), ("default", "c")] {
        labelled(&kubernetes, namespace, name, "x");
    }
    labelled(&kubernetes, "app", "other", "y");
    block_on(async {
        let names = |list: &Value| -> Vec<String> {
            let items = list["items"].as_array().into_iter().flatten();
            items
                .map(|it| it["metadata"]["name"].as_str().unwrap().to_owned())
                .collect()
        };
        let all = list(&kubernetes, "secrets?labelSelector=team%3Dx").await;
        assert_eq!(names(&all), ["a", "b", "c"]);
        assert_eq!(all["kind"], "PartialObjectMetadataList");
        assert!(all["items"][0]["data"].is_null());
        for (selector, expected) in [
            ("team%21%3Dx", vec!["other"]),
            ("team%20in%20%28x%2Cy%29", vec!["a", "b", "other"]),
            ("team%20notin%20%28x%2Cy%29", vec![]),
            ("team%2C%21gone", vec!["a", "b", "other"]),
        ] {
            let path = format!("namespaces/app/secrets?labelSelector={selector}");
            assert_eq!(
                names(&list(&kubernetes, &path).await),
                expected,
                "{selector}"
            );
        }
        let first = list(&kubernetes, "secrets?limit=3").await;
        assert_eq!(names(&first).len(), 3);
        labelled(&kubernetes, "app", "late", "x");
        let token = first["metadata"]["continue"].as_str().unwrap();
        let path = format!("secrets?limit=3&continue={token}");
        let second = list(&kubernetes, &path).await;
        assert_eq!(names(&second), ["c"], "all pages are of one moment");
        assert_eq!(version(&first), version(&second));
        kubernetes.forget_history(Gone::Status);
        assert_eq!(list(&kubernetes, &path).await["code"], 410);
    });
}

#[test]
fn a_watch_tells_everything_after_its_version() {
    let kubernetes = Kubernetes::start();
    labelled(&kubernetes, "app", "a", "x");
    block_on(async {
        let seen = list(&kubernetes, "secrets").await;
        labelled(&kubernetes, "app", "b", "x");
        let path = format!(
            "namespaces/app/secrets?watch=1&labelSelector=team%3Dx&allowWatchBookmarks=true&resourceVersion={}",
            version(&seen)
        );
        let mut watch = watch(&kubernetes, &path).await;
        labelled(&kubernetes, "default", "elsewhere", "x");
        labelled(&kubernetes, "app", "b", "y");
        kubernetes.delete("app", "a");
        kubernetes.bookmark();
        assert_eq!(watch.event().await, event("ADDED", "b"));
        assert_eq!(
            watch.event().await,
            event("DELETED", "b"),
            "it matches no more"
        );
        let deleted = watch.next().await.unwrap();
        assert_eq!(deleted["type"], "DELETED");
        assert_ne!(deleted["object"]["metadata"]["resourceVersion"], "1003");
        assert_eq!(watch.next().await.unwrap()["type"], "BOOKMARK");
        assert_eq!(kubernetes.watches(), 1);
        kubernetes.silence_watches();
        labelled(&kubernetes, "app", "unheard", "x");
        kubernetes.bookmark();
        let quiet = tokio::time::timeout(Duration::from_millis(200), watch.next());
        assert!(quiet.await.is_err(), "it stays open and says nothing");
        kubernetes.cut_watches();
        assert_eq!(watch.next().await, None);
    });
}

#[test]
fn namespaces_come_change_and_go() {
    let kubernetes = Kubernetes::start();
    block_on(async {
        let seen = list(&kubernetes, "namespaces?labelSelector=team%3Dx").await;
        assert_eq!(seen["items"], json!(null));
        let path = format!(
            "namespaces?watch=true&labelSelector=team%3Dx&resourceVersion={}",
            version(&seen)
        );
        let mut watch = watch(&kubernetes, &path).await;
        kubernetes.create_namespace("one");
        kubernetes.label_namespace("one", "team", Some("x"));
        labelled(&kubernetes, "one", "secret", "x");
        kubernetes.delete_namespace("one");
        for kind in ["ADDED", "MODIFIED", "DELETED"] {
            assert_eq!(watch.event().await, event(kind, "one"));
        }
        assert_eq!(kubernetes.object("one", "secret"), None);
    });
}

#[test]
fn what_is_forgotten_is_gone_and_refusals_know_the_scope() {
    let kubernetes = Kubernetes::start();
    block_on(async {
        for gone in [Gone::Status, Gone::Event] {
            kubernetes.forget_history(gone);
            let mut watch = watch(&kubernetes, "secrets?watch=1&resourceVersion=1").await;
            match gone {
                Gone::Status => assert_eq!(watch.response.status(), 410),
                Gone::Event => {
                    let event = watch.next().await.unwrap();
                    assert_eq!(event["type"], "ERROR");
                    assert_eq!(event["object"]["code"], 410);
                    assert_eq!(watch.next().await, None);
                }
            }
        }
        kubernetes.fail(Rule::cluster_wide().verb(Verb::Watch), Fault::Forbidden);
        let status = async |path: &str| watch(&kubernetes, path).await.response.status();
        assert_eq!(status("secrets?watch=1").await, 403);
        assert_eq!(status("secrets").await, 200);
        assert_eq!(status("namespaces/app/secrets?watch=1").await, 200);
    });
}

#[test]
fn a_watch_ends_in_time_and_the_hundred_and_first_on_a_connection_waits() {
    let kubernetes = Kubernetes::start();
    block_on(async {
        let mut short = watch(&kubernetes, "secrets?watch=1&timeoutSeconds=1").await;
        assert_eq!(short.next().await, None);
        let client = client(&kubernetes);
        let mut open = Vec::new();
        for _ in 0..100 {
            open.push(ask(&client, &kubernetes, "secrets?watch=1", METADATA).await);
        }
        let one_more = ask(&client, &kubernetes, "secrets?watch=1", METADATA);
        let mut one_more = std::pin::pin!(one_more);
        let soon = tokio::time::timeout(Duration::from_millis(300), &mut one_more);
        assert!(soon.await.is_err(), "the connection is full");
        drop(open.pop());
        assert_eq!(one_more.await.status(), 200);
    });
}
