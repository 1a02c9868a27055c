//! A stand-in for AWS Systems Manager Parameter Store: AWS's shapes, status codes and texts, over plain HTTP on loopback.
//!
//! Signatures are not checked; what a request claims is written to its log. Refusals quote the value and the
//! credential on purpose, so that whoever repeats a server's text is caught.

mod answer;
mod fault;
mod listing;
mod log;
mod state;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, MutexGuard};

pub use fault::Fault;
pub use log::{Log, Operation};

use super::aws::REGION;
use super::serve::{Call, Server};
use state::State;

/// A running stand-in; dropping it closes its port.
pub struct ParameterStore {
    server: Server,
    state: Arc<Mutex<State>>,
}

impl ParameterStore {
    pub fn start() -> Self {
        let state = Arc::new(Mutex::new(State::default()));
        let seen = Arc::clone(&state);
        let server = Server::plain(move |call: Call| {
            answer::answer(&mut seen.lock().unwrap(), &call.request)
        });
        Self { server, state }
    }

    pub fn endpoint(&self) -> String {
        format!("http://{}", self.server.address())
    }

    /// The configuration of a store that reads from here with the credentials of the environment.
    pub fn store(&self, name: &str) -> String {
        format!(
            "[stores.{name}.aws_parameter_store]\nregion = \"{REGION}\"\nendpoint_url = \"{}\"\n\n",
            self.endpoint()
        )
    }

    /// The next version of a `String`. Returns its number.
    pub fn put(&self, name: &str, value: &str) -> u64 {
        self.lock().put(name, "String", value)
    }

    /// The next version of a `SecureString`. Returns its number.
    pub fn put_secure(&self, name: &str, value: &str) -> u64 {
        self.lock().put(name, "SecureString", value)
    }

    /// Puts a label on a version, taking it from the one that held it.
    pub fn label(&self, name: &str, label: &str, version: u64) {
        self.lock().label(name, label, version);
    }

    pub fn tag(&self, name: &str, key: &str, value: &str) {
        let mut state = self.lock();
        let tags = &mut state.parameter(name).tags;
        tags.insert(key.to_owned(), value.to_owned());
    }

    /// A parameter of that name made later starts at version 1 again.
    pub fn delete(&self, name: &str) {
        self.lock().parameters.remove(name);
    }

    pub fn arn(&self, name: &str) -> String {
        self.lock().parameter(name).arn()
    }

    /// Every read of that parameter, and every listing of that path, ends so until [`Self::heal`].
    pub fn fail(&self, name: &str, fault: Fault) {
        self.lock().faults.insert(name.to_owned(), fault);
    }

    pub fn fail_all(&self, fault: Fault) {
        self.lock().fault_of_all = Some(fault);
    }

    pub fn heal(&self) {
        let mut state = self.lock();
        state.faults.clear();
        state.fault_of_all = None;
    }

    /// From here on an empty page with a token comes in front of each page of a listing.
    pub fn empty_pages(&self) {
        self.lock().pages.empty = true;
    }

    /// What was asked so far.
    pub fn log(&self) -> Log {
        self.lock().log.clone()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}
