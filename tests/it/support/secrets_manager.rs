//! A stand-in for AWS Secrets Manager: AWS's shapes, status codes and texts, over plain HTTP on loopback.
//!
//! Where moto and AWS differ it follows AWS: errors are HTTP 400, a rollback is visible to every read, at most 20
//! ids go into a batch. Signatures are not checked; what a request claims is written to its log. Error texts quote
//! the value and the credential on purpose, so that whoever repeats a server's text is caught.

mod answer;
mod batch;
mod fault;
mod list;
mod log;
mod quota;
mod read;
mod state;
mod switches;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::body::Bytes;

pub use fault::Fault;
pub use log::{Log, Operation};
pub use state::Content;

pub use super::aws::{ACCOUNT, REGION};

use super::aws::now;
use super::certificates::Certificates;
use super::serve::{Call, Reply, Server};
use state::State;

/// A running stand-in; dropping it closes its port.
pub struct SecretsManager {
    server: Server,
    shared: Arc<Mutex<Shared>>,
}

#[derive(Default)]
struct Shared {
    state: State,
    log: Log,
}

impl SecretsManager {
    pub fn start() -> Self {
        Self::start_as(Server::plain)
    }

    /// With a certificate, to stand behind AWS's own host names.
    pub fn start_tls(certificates: &Certificates) -> Self {
        Self::start_as(|handler| Server::tls(certificates.server_config(), handler))
    }

    fn start_as(server: impl FnOnce(Box<dyn Fn(Call) -> Reply + Send + Sync>) -> Server) -> Self {
        let shared = Arc::new(Mutex::new(Shared::default()));
        let seen = Arc::clone(&shared);
        let server = server(Box::new(move |call| {
            let Shared { state, log } = &mut *seen.lock().unwrap();
            answer::answer(state, log, &call.request)
        }));
        Self { server, shared }
    }

    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    pub fn endpoint(&self) -> String {
        format!("http://{}", self.server.address())
    }

    /// The configuration of a store that reads from here with the credentials of the environment.
    pub fn store(&self, name: &str) -> String {
        format!(
            "[stores.{name}.aws_secrets_manager]\nregion = \"{REGION}\"\nendpoint_url = \"{}\"\n\n",
            self.endpoint()
        )
    }

    /// A new version under `AWSCURRENT`; the one before gets `AWSPREVIOUS`. Returns its id.
    pub fn put(&self, name: &str, value: &str) -> String {
        self.state()
            .put(name, Content::Text(value.to_owned()), now())
    }

    /// As [`Self::put`], made that long after our clock's time: the service's clock is ahead.
    pub fn put_ahead(&self, name: &str, value: &str, ahead: Duration) -> String {
        let content = Content::Text(value.to_owned());
        self.state().put(name, content, now() + ahead.as_secs_f64())
    }

    pub fn put_binary(&self, name: &str, value: &[u8]) -> String {
        let content = Content::Binary(Bytes::copy_from_slice(value));
        self.state().put(name, content, now())
    }

    /// A secret that exists and has no value yet.
    pub fn create_without_value(&self, name: &str) {
        self.state().create(name);
    }

    /// Moves `AWSCURRENT` back to the version that holds `AWSPREVIOUS`. Returns its id.
    pub fn rollback(&self, name: &str) -> String {
        self.state().rollback(name)
    }

    /// Puts a label on a version, taking it from the one that held it.
    pub fn label(&self, name: &str, stage: &str, version: &str) {
        self.state().label(name, stage, version);
    }

    /// Schedules the secret for deletion: reads are refused until it is restored.
    pub fn schedule_deletion(&self, name: &str) {
        self.state().secret(name).deleted = Some(now());
    }

    pub fn restore(&self, name: &str) {
        self.state().secret(name).deleted = None;
    }

    /// Deletes without recovery. A secret of that name created later has another ARN.
    pub fn delete(&self, name: &str) {
        self.state().remove(name);
    }

    pub fn arn(&self, name: &str) -> String {
        self.state().secret(name).arn.clone()
    }

    /// Requests signed with this access key are refused from here on, as after it was deactivated.
    pub fn refuse_key(&self, access_key_id: &str) {
        self.state().refused_keys.insert(access_key_id.to_owned());
    }

    /// Every read of that secret ends so, until [`Self::heal`].
    pub fn fail(&self, name: &str, fault: Fault) {
        self.state().faults.insert(name.to_owned(), fault);
    }

    pub fn fail_all(&self, fault: Fault) {
        self.state().fault_of_all = Some(fault);
    }

    pub fn heal(&self) {
        let mut state = self.state();
        state.faults.clear();
        state.fault_of_all = None;
    }

    /// What was asked so far.
    pub fn log(&self) -> Log {
        self.lock().log.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap()
    }

    fn state(&self) -> impl std::ops::DerefMut<Target = State> + '_ {
        StateGuard(self.lock())
    }
}

struct StateGuard<'a>(MutexGuard<'a, Shared>);

impl std::ops::Deref for StateGuard<'_> {
    type Target = State;

    fn deref(&self) -> &State {
        &self.0.state
    }
}

impl std::ops::DerefMut for StateGuard<'_> {
    fn deref_mut(&mut self) -> &mut State {
        &mut self.0.state
    }
}
