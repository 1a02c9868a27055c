//! The read-only HTTP server.
//!
//! - `/metrics`  the Prometheus exposition
//! - `/healthz`  200 while the scheduler makes progress, else 503
//! - `/readyz`   200 once every entry was tried, before that 503
//! - `/status`   every entry and target as JSON; only on a loopback address
//!
//! On a loopback address the `Host` header must name this machine, so that a web page cannot read it through a
//! rebound name.

mod page;
mod press;

use std::future::ready;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use self::press::Press;
use crate::daemon::{Ask, Pulse};
use crate::metrics::Metrics;
use crate::status::Status;

/// Connections open at a time; one more waits.
const CONNECTIONS: usize = 64;

/// The longest a client may take over the head of a request, and a connection may be idle.
const HEAD_LIMIT: Duration = Duration::from_secs(10);

/// The longest a connection lives; a scraper connects again.
const CONNECTION_LIMIT: Duration = Duration::from_mins(5);

/// After `accept` failed for want of descriptors or memory.
const ACCEPT_AGAIN: Duration = Duration::from_millis(200);

/// The longest the engine may take to say how things stand: what hangs is told, not waited for.
const ENGINE_LIMIT: Duration = Duration::from_secs(5);

/// What a server that ends is called.
pub const NAME: &str = "the HTTP server";

/// What the pages show.
#[derive(Debug)]
pub struct Site {
    pub metrics: Arc<Metrics>,
    pub pulse: Arc<Pulse>,
    pub asks: mpsc::Sender<Ask>,
    pub listen: SocketAddr,
}

/// What is served, and what is printed of it.
#[derive(Debug)]
struct Served {
    site: Site,
    metrics: Press,
    status: Press,
    page: Press,
}

/// Serves until `stop`. Returns its own name, for whoever reports that it ended.
pub async fn serve(listener: TcpListener, site: Site, stop: CancellationToken) -> &'static str {
    let loopback = site.listen.ip().is_loopback();
    let served = Arc::new(Served {
        site,
        metrics: Press::default(),
        status: Press::default(),
        page: Press::default(),
    });
    let mut routes = Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz));
    if loopback {
        routes = routes.route("/status", get(status)).route("/", get(shown));
    }
    let routes = routes
        .with_state(served)
        .layer(middleware::from_fn_with_state(loopback, guarded));
    accept(listener, routes, stop).await;
    NAME
}

/// Each connection holds a permit and must send its request's head in time: silent ones cannot use up descriptors.
async fn accept(listener: TcpListener, routes: Router, stop: CancellationToken) {
    let permits = Arc::new(Semaphore::new(CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        // Neither is ever closed; an error of one connection is not the listener's.
        let accepted = async {
            let permit = Arc::clone(&permits).acquire_owned().await;
            (permit, listener.accept().await)
        };
        let (permit, stream) = tokio::select! {
            () = stop.cancelled() => break,
            Some(_) = connections.join_next() => continue,
            accepted = accepted => accepted,
        };
        let Ok((stream, _)) = stream else {
            tokio::time::sleep(ACCEPT_AGAIN).await;
            continue;
        };
        let service = TowerToHyperService::new(routes.clone());
        let serving = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_LIMIT)
            .max_buf_size(press::CHUNK)
            .serve_connection(TokioIo::new(stream), service);
        connections.spawn(async move {
            let _permit = permit;
            // Whoever asked has gone, or was too slow.
            let _ = tokio::time::timeout(CONNECTION_LIMIT, serving).await;
        });
    }
}

async fn metrics(State(served): State<Arc<Served>>) -> Response {
    let metrics = Arc::clone(&served.site.metrics);
    let text = served
        .metrics
        .print(ready(Some(())), move |()| metrics.text().ok());
    let of_type = |text| ([(header::CONTENT_TYPE, prometheus::TEXT_FORMAT)], text);
    text.await.map_or_else(
        || StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        |text| of_type(text).into_response(),
    )
}

async fn healthz(State(served): State<Arc<Served>>) -> Response {
    answer(
        served.site.pulse.is_alive(),
        "ok\n",
        "the scheduler makes no progress\n",
    )
}

async fn readyz(State(served): State<Arc<Served>>) -> Response {
    answer(
        served.site.pulse.is_ready(),
        "ready\n",
        "not every entry was tried yet\n",
    )
}

fn answer(good: bool, yes: &'static str, no: &'static str) -> Response {
    if good {
        yes.into_response()
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, no).into_response()
    }
}

async fn status(State(served): State<Arc<Served>>) -> Response {
    let write = |status| serde_json::to_string(&status).ok();
    let text = served.status.print(ask_status(&served.site), write);
    let of_type = |text| ([(header::CONTENT_TYPE, "application/json")], text);
    text.await.map_or_else(
        || StatusCode::SERVICE_UNAVAILABLE.into_response(),
        |text| of_type(text).into_response(),
    )
}

async fn shown(State(served): State<Arc<Served>>) -> Response {
    let write = |status| Some(page::render(status));
    let page = served.page.print(ask_status(&served.site), write);
    page.await.map_or_else(page::absent, page::show)
}

/// `None` where the engine has ended, or does not answer.
async fn ask_status(site: &Site) -> Option<Status> {
    let (reply, status) = oneshot::channel();
    let answer = async {
        site.asks.send(Ask::Status(reply)).await.ok()?;
        status.await.ok()
    };
    tokio::time::timeout(ENGINE_LIMIT, answer).await.ok()?
}

async fn guarded(State(loopback): State<bool>, request: Request, next: Next) -> Response {
    if loopback && !names_this_machine(request.headers().get(header::HOST)) {
        return (StatusCode::MISDIRECTED_REQUEST, "unknown Host\n").into_response();
    }
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    // The page has one of its own.
    headers
        .entry(header::CONTENT_SECURITY_POLICY)
        .or_insert(HeaderValue::from_static("default-src 'none'"));
    for (name, value) in [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "no-referrer"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

fn names_this_machine(host: Option<&HeaderValue>) -> bool {
    let Some(host) = host.and_then(|host| host.to_str().ok()) else {
        return false;
    };
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    };
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    name == "localhost" || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_this_machine_pass() {
        let passes = |host: &str| names_this_machine(Some(&HeaderValue::from_str(host).unwrap()));
        for good in [
            "localhost",
            "localhost:9785",
            "127.0.0.1:9785",
            "[::1]:9785",
            "127.0.0.1",
        ] {
            assert!(passes(good), "{good}");
        }
        for bad in [
            "evil.example",
            "evil.example:9785",
            "localhost.evil.example",
            "10.0.0.1:9785",
            "",
        ] {
            assert!(!passes(bad), "{bad}");
        }
        assert!(!names_this_machine(None));
    }
}
