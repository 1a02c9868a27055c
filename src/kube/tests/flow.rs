//! What one request meets, and what follows for all others.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::{Server, apply, look, partial, status};
use crate::config::ClusterAccess;
use crate::failure::{Failure, Reason};
use crate::kube::{ApplyError, Client, LiveMetadata};

/// One request of many that begin at once.
async fn look_many(client: &Client, count: usize) -> Vec<Result<Option<LiveMetadata>, Failure>> {
    futures_util::future::join_all(std::iter::repeat_with(|| look(client)).take(count)).await
}

#[tokio::test]
async fn a_cluster_that_refuses_connections_is_asked_once_for_all() {
    let server = Server::start().await;
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut cluster = server.cluster();
    if let ClusterAccess::Server { server, .. } = &mut cluster.access {
        *server = format!("https://{}", closed.local_addr().unwrap());
    }
    drop(closed);
    let client = server.client_of(cluster);
    let failures = look_many(&client, 40).await;
    let first = failures[0].as_ref().unwrap_err();
    assert!(first.fact.contains("refuses connections"), "{first}");
    assert!(failures.iter().all(|it| it.as_ref().err() == Some(first)));
    assert_eq!(*server.facts.lock().unwrap(), ["Get network"]);
    let ApplyError::Failed(applied) = apply(&client).await.unwrap_err() else {
        panic!("it is paused");
    };
    assert_eq!(&applied, first);
}

#[tokio::test]
async fn a_busy_server_is_asked_no_more_and_its_refusal_is_everybodys() {
    for (code, reason) in [
        (429, Reason::Throttled),
        (503, Reason::Network),
        (401, Reason::Credentials),
    ] {
        let server = Server::start().await;
        let client = server.client();
        server.reply_with(code, "retry-after: 60\r\n", "");
        let failures = look_many(&client, 10).await;
        assert!(
            failures
                .iter()
                .all(|it| it.as_ref().is_err_and(|it| it.reason == reason))
        );
        assert_eq!(server.requests().len(), 1, "{code}");
    }
}

#[tokio::test]
async fn a_refusal_of_one_object_leaves_the_others_alone() {
    for code in [403, 404, 409, 422, 500, 502, 504] {
        let server = Server::start().await;
        let client = server.client();
        server
            .reply(code, status("X", ""))
            .reply(code, status("X", ""));
        look(&client).await.unwrap_err();
        apply(&client).await.unwrap_err();
        server.reply(200, partial("u-1", "7"));
        look(&client).await.unwrap();
    }
}

#[tokio::test]
async fn requests_at_one_time_share_one_connection() {
    let server = Server::start_http2().await;
    let client = server.client();
    for _ in 0..40 {
        server.reply(200, partial("u-1", "7"));
    }
    let answers = look_many(&client, 40).await;
    assert!(answers.iter().all(Result::is_ok));
    assert_eq!(server.requests().len(), 40);
    assert_eq!(server.connections.load(Ordering::SeqCst), 1);
}

/// Passes bytes on, until it keeps them to itself.
async fn relay(to: u16) -> (u16, tokio::sync::watch::Sender<bool>, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (silent, _) = tokio::sync::watch::channel(false);
    let says = silent.clone();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((mut from, _)) = listener.accept().await {
            let mut says = says.subscribe();
            connections.spawn(async move {
                let mut to = tokio::net::TcpStream::connect(("127.0.0.1", to))
                    .await
                    .unwrap();
                tokio::select! {
                    _ = tokio::io::copy_bidirectional(&mut from, &mut to) => {}
                    // Open, and dead.
                    _ = says.changed() => std::future::pending().await,
                }
            });
        }
    });
    (port, silent, tasks)
}

#[tokio::test]
async fn a_connection_that_dies_in_silence_is_found_and_not_used_again() {
    let server = Server::start_http2().await;
    let port = server.address.rsplit(':').next().unwrap().parse().unwrap();
    let (relayed, silent, _tasks) = relay(port).await;
    let mut cluster = server.cluster();
    if let ClusterAccess::Server { server, .. } = &mut cluster.access {
        *server = format!("https://localhost:{relayed}");
    }
    let client = server.client_of(cluster);
    server.reply(200, partial("u-1", "7"));
    look(&client).await.unwrap();
    silent.send_replace(true);
    tokio::task::yield_now().await;
    // Nothing is left that could happen but deadlines.
    tokio::time::pause();
    let start = tokio::time::Instant::now();
    let failure = look(&client).await.unwrap_err();
    let took = start.elapsed();
    tokio::time::resume();
    assert_eq!(failure.reason, Reason::Timeout);
    // Not the request's own limit, after which the connection would be used again.
    assert!(took < Duration::from_secs(15), "{took:?}");
    server.reply(200, partial("u-1", "8"));
    look(&client).await.unwrap();
    assert_eq!(server.connections.load(Ordering::SeqCst), 2);
}
