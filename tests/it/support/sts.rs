//! A stand-in for AWS STS: roles to assume, in the query protocol with answers in XML.
//!
//! Every session that it gives out is its own: the access key id starts with `ASIA`, the log says whose it is, and
//! a session is good for the next call only with its token and until it expires. Signatures are not checked. Error
//! texts quote tokens and keys on purpose, so that whoever repeats a server's text is caught.

mod answer;
mod fault;
mod form;
mod state;
#[cfg(test)]
mod tests;
mod xml;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

pub use fault::Fault;
pub use state::Request;

use super::certificates::Certificates;
use super::serve::{Call, Reply, Server};
use state::State;

/// A running stand-in; dropping it closes its port.
pub struct Sts {
    server: Server,
    state: Arc<Mutex<State>>,
}

impl Sts {
    pub fn start() -> Self {
        Self::start_as(Server::plain)
    }

    /// With a certificate, to stand behind AWS's own host names.
    pub fn start_tls(certificates: &Certificates) -> Self {
        Self::start_as(|handler| Server::tls(certificates.server_config(), handler))
    }

    fn start_as(server: impl FnOnce(Box<dyn Fn(Call) -> Reply + Send + Sync>) -> Server) -> Self {
        let state = Arc::new(Mutex::new(State::new()));
        let seen = Arc::clone(&state);
        let server = server(Box::new(move |call| {
            answer::answer(&mut seen.lock().unwrap(), &call.request)
        }));
        Self { server, state }
    }

    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    pub fn endpoint(&self) -> String {
        format!("http://{}", self.server.address())
    }

    /// How long sessions last that are given out from here on; an hour, where a test does not say.
    pub fn lifetime(&self, lifetime: Duration) {
        self.lock().lifetime = lifetime;
    }

    /// Nobody may assume that role, until [`Self::heal`].
    pub fn deny(&self, role_arn: &str) {
        self.lock().denied.insert(role_arn.to_owned());
    }

    /// Every call ends so, until [`Self::heal`].
    pub fn fail_all(&self, fault: Fault) {
        self.lock().fault = Some(fault);
    }

    pub fn heal(&self) {
        let mut state = self.lock();
        state.denied.clear();
        state.fault = None;
    }

    /// What was asked so far.
    pub fn log(&self) -> Vec<Request> {
        self.lock().log.clone()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}
