//! An HTTPS proxy on loopback: `CONNECT` to any host ends at a server of the test's, and all else is refused.
//!
//! So a test can stand behind the host names of AWS. It is a tunnel: it sees host names and nothing else.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use axum::body::Bytes;
use axum::http::{Method, Request, Response};

use super::serve::{Call, Reply, Server};

/// A running proxy; dropping it closes its port and every tunnel.
pub struct Proxy {
    server: Server,
    shared: Arc<Mutex<Shared>>,
}

struct Shared {
    elsewhere: SocketAddr,
    routes: BTreeMap<String, SocketAddr>,
    connects: Vec<String>,
    refused: Vec<String>,
}

impl Proxy {
    /// Connects every host to this server.
    pub fn start(to: SocketAddr) -> Self {
        let shared = Arc::new(Mutex::new(Shared {
            elsewhere: to,
            routes: BTreeMap::new(),
            connects: Vec::new(),
            refused: Vec::new(),
        }));
        let seen = Arc::clone(&shared);
        let server = Server::plain(move |call: Call| seen.lock().unwrap().answer(&call.request));
        Self { server, shared }
    }

    /// Connects this host to another server.
    pub fn route(&self, host: &str, to: SocketAddr) {
        self.lock().routes.insert(host.to_owned(), to);
    }

    /// For `HTTPS_PROXY`.
    pub fn url(&self) -> String {
        format!("http://{}", self.server.address())
    }

    /// Every `host:port` that was asked for, in order.
    pub fn connects(&self) -> Vec<String> {
        self.lock().connects.clone()
    }

    /// Method and target of every request that was no `CONNECT`.
    pub fn refused(&self) -> Vec<String> {
        self.lock().refused.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap()
    }
}

impl Shared {
    fn answer(&mut self, request: &Request<Bytes>) -> Reply {
        let (method, uri) = (request.method(), request.uri());
        let authority = uri.authority().filter(|_| method == Method::CONNECT);
        let Some(authority) = authority else {
            self.refused.push(format!("{method} {uri}"));
            let refusal = Response::builder().status(405).body(Bytes::new());
            return Reply::Answer(refusal.unwrap());
        };
        self.connects.push(authority.to_string());
        let route = self.routes.get(authority.host());
        Reply::Tunnel(*route.unwrap_or(&self.elsewhere))
    }
}
