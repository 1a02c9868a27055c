//! A stand-in for the Kubernetes API server: Secrets with server-side apply, what owns them and what becomes of them then,
//! over TLS on loopback. Those who kept them before, KES and ESO, take their steps in it.
//!
//! Its rules are those measured on a real server; its refusals quote the data of the request and of the live
//! object on purpose, so that whoever repeats a server's text is caught. It knows nothing of the product.

mod api;
mod ask;
mod body;
mod controllers;
mod custom;
mod definitions;
mod deletion;
mod fault;
mod garbage;
mod history;
mod kubeconfig;
mod leases;
mod log;
mod meanwhile;
mod namespaces;
mod object;
mod path;
mod presence;
mod rbac;
mod refusal;
mod reviews;
mod selector;
mod store;
#[cfg(test)]
mod tests;
mod things;
mod validity;
mod watches;
mod workloads;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

pub use controllers::{ESO, Eso, KES, Pace, STORES, created_by, data_hash};
pub use deletion::{Deletion, Dependents};
pub use fault::{Fault, Rule};
pub use history::Gone;
pub use kubeconfig::Login;
pub use log::{Log, Request, Shape, Verb};
pub use object::How;
pub use presence::Moment;
pub use rbac::{Grant, Grants};

use super::certificates::Certificates;
use super::serve::Server;
use body::Wanted;
use object::Field;
use store::{Owners, Store, Writer};

pub const TOKEN: &str = "MARKER-kubernetes-token-7d1e5b90";

/// A running stand-in; dropping it closes its port.
pub struct Kubernetes {
    server: Server,
    shared: Arc<Mutex<Shared>>,
    certificates: Certificates,
    files: tempfile::TempDir,
}

type Deed = Box<dyn FnOnce(&mut Store) + Send>;

struct Shared {
    store: Store,
    rules: Vec<(Rule, Fault)>,
    /// What happens once, in the moment before a request that the rule matches.
    deeds: Vec<(Rule, Deed)>,
    /// The same for the moment after it, and before anybody else's.
    sequels: Vec<(Rule, Deed)>,
    log: Log,
    token: String,
    /// Judges tokens instead of `token`.
    judge: Option<Judge>,
    /// Absent: everything is allowed.
    grants: Option<Grants>,
    /// Tokens of those who are told apart, with their names.
    others: BTreeMap<String, String>,
    leases: leases::Leases,
    lease_version: u64,
}

type Judge = Box<dyn Fn(&str) -> bool + Send>;

impl Shared {
    fn admits(&self, token: Option<&str>) -> bool {
        let named = token.is_some_and(|token| self.others.contains_key(token));
        match &self.judge {
            Some(judge) => token.is_some_and(judge),
            None => named || token == Some(self.token.as_str()),
        }
    }
}

impl Kubernetes {
    /// With the namespaces `app` and `default`.
    pub fn start() -> Self {
        let certificates = Certificates::make();
        let mut store = Store::default();
        for name in ["app", "default"] {
            store.namespaces.insert(name.to_owned());
        }
        let shared = Arc::new(Mutex::new(Shared {
            store,
            rules: Vec::new(),
            deeds: Vec::new(),
            sequels: Vec::new(),
            log: Log::default(),
            token: TOKEN.to_owned(),
            judge: None,
            grants: None,
            others: BTreeMap::new(),
            leases: leases::Leases::new(),
            lease_version: 0,
        }));
        let seen = Arc::clone(&shared);
        let server = Server::tls(certificates.server_config(), move |call| {
            api::answer(&mut seen.lock().unwrap(), &call)
        });
        Self {
            server,
            shared,
            certificates,
            files: tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap(),
        }
    }

    pub fn url(&self) -> String {
        format!("https://{}", self.server.address())
    }

    pub fn port(&self) -> u16 {
        self.server.address().port()
    }

    /// Writes a kubeconfig with one context, `test`, and returns its path.
    pub fn kubeconfig(&self, login: Login) -> PathBuf {
        let place = self.files.path();
        kubeconfig::write(place, &self.url(), &self.certificates, login)
    }

    /// The configuration of a cluster that is this stand-in, with a token in its kubeconfig.
    pub fn cluster(&self, name: &str) -> String {
        let path = self.kubeconfig(Login::Token);
        format!(
            "[clusters.{name}]\nkubeconfig = {:?}\n\n",
            path.display().to_string()
        )
    }

    /// The same, with a token of its own for somebody, by which the log names them.
    pub fn cluster_for(&self, name: &str, who: &'static str) -> String {
        let token = kubeconfig::token_of(who);
        self.lock().others.insert(token, who.to_owned());
        let path = self.kubeconfig(Login::Named(who));
        format!(
            "[clusters.{name}]\nkubeconfig = {:?}\n\n",
            path.display().to_string()
        )
    }

    /// The whole Lease as a GET returns it.
    pub fn lease(&self, namespace: &str, name: &str) -> Option<Value> {
        let key = (namespace.to_owned(), name.to_owned());
        self.lock().leases.get(&key).cloned()
    }

    /// Somebody deletes the Lease.
    pub fn forget_lease(&self, namespace: &str, name: &str) {
        let key = (namespace.to_owned(), name.to_owned());
        self.lock().leases.remove(&key);
    }

    /// The CA's certificate, in PEM.
    pub fn authority(&self) -> String {
        self.certificates.authority.clone()
    }

    /// From here on only this token is accepted.
    pub fn set_token(&self, token: &str) {
        token.clone_into(&mut self.lock().token);
    }

    /// From here on these tokens are accepted.
    pub fn judge_tokens(&self, judge: impl Fn(&str) -> bool + Send + 'static) {
        self.lock().judge = Some(Box::new(judge));
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// The configuration of a cluster that is this stand-in, by a kubeconfig whose cluster and user have these settings.
    pub fn cluster_with(&self, name: &str, cluster: &str, user: &str) -> String {
        let path = kubeconfig::write_lines(self.files.path(), &self.url(), cluster, user);
        format!(
            "[clusters.{name}]\nkubeconfig = {:?}\n",
            path.display().to_string()
        )
    }

    /// A kubeconfig's line for the CA.
    pub fn authority_line(&self) -> String {
        let authority = STANDARD.encode(&self.certificates.authority);
        format!("certificate-authority-data: {authority}")
    }

    /// A client certificate that is accepted, and its key, in PEM.
    pub fn client_certificate(&self) -> (String, String) {
        let Certificates {
            client, client_key, ..
        } = &self.certificates;
        (client.clone(), client_key.clone())
    }

    /// From here on only this is allowed.
    pub fn grant(&self, grants: &Grants) {
        self.lock().grants = Some(grants.clone());
    }

    pub fn create_namespace(&self, name: &str) {
        self.lock().store.namespaces.insert(name.to_owned());
    }

    /// A namespace goes, with all that is in it.
    pub fn delete_namespace(&self, name: &str) {
        self.lock().store.delete_namespace(name);
    }

    /// Sets a label of a namespace; `None` removes it.
    pub fn label_namespace(&self, name: &str, key: &str, value: Option<&str>) {
        self.lock().store.namespaces.label(name, key, value);
    }

    /// Forgets the past: whoever goes on from before now is told so in that way.
    pub fn forget_history(&self, gone: Gone) {
        self.lock().store.history.lock().compact(gone);
    }

    /// Watches that are open.
    pub fn watches(&self) -> usize {
        self.lock().store.history.lock().open_streams()
    }

    /// Breaks every watch off.
    pub fn cut_watches(&self) {
        self.lock().store.history.lock().cut();
    }

    /// Ends every watch, as its time does.
    pub fn end_watches(&self) {
        self.lock().store.history.lock().end();
    }

    /// Every watch that is open stays so and says nothing any more.
    pub fn silence_watches(&self) {
        self.lock().store.history.lock().silence();
    }

    /// Sends a bookmark to every watch that takes them.
    pub fn bookmark(&self) {
        self.lock().store.history.lock().bookmark();
    }

    /// Sends these bytes to every watch, as they are.
    pub fn babble(&self, bytes: impl Into<axum::body::Bytes>) {
        self.lock().store.history.lock().babble(&bytes.into());
    }

    /// Requests that the rule matches end so, until [`Self::heal`].
    pub fn fail(&self, rule: Rule, fault: Fault) {
        self.lock().rules.push((rule, fault));
    }

    pub fn heal(&self) {
        self.lock().rules.clear();
    }

    pub fn log(&self) -> Log {
        self.lock().log.clone()
    }

    /// The Secret's data, decoded; `None` when there is no such Secret.
    pub fn data(&self, namespace: &str, name: &str) -> Option<BTreeMap<String, Vec<u8>>> {
        let shared = self.lock();
        let secret = shared.store.get(namespace, name)?;
        Some(
            secret
                .data()
                .map(|(key, text)| (key.to_owned(), STANDARD.decode(text).unwrap()))
                .collect(),
        )
    }

    /// The whole object as a GET returns it.
    pub fn object(&self, namespace: &str, name: &str) -> Option<Value> {
        Some(self.lock().store.get(namespace, name)?.to_json())
    }

    /// Who owns a data key.
    pub fn owners(&self, namespace: &str, name: &str, key: &str) -> Vec<(String, How)> {
        let shared = self.lock();
        let field = Field::Data(key.to_owned());
        let managers = shared
            .store
            .get(namespace, name)
            .into_iter()
            .flat_map(|s| &s.managers);
        managers
            .filter(|manager| manager.fields.contains(&field))
            .map(|manager| (manager.name.clone(), manager.how))
            .collect()
    }

    /// Another client's whole object (`kubectl create`, `helm install`), metadata as given.
    pub fn put(&self, manager: &str, namespace: &str, name: &str, mut object: Value) {
        object["apiVersion"] = json!("v1");
        object["kind"] = json!("Secret");
        let wanted = Wanted::read(&object, namespace, name).unwrap();
        let written = self
            .lock()
            .store
            .update(namespace, name, &wanted, &writer(manager));
        assert!(written.is_ok(), "{:?}", written.err());
    }

    /// Another client's object that holds these values and nothing else.
    pub fn put_data(&self, manager: &str, namespace: &str, name: &str, data: &[(&str, &str)]) {
        self.put(manager, namespace, name, json!({ "data": encoded(data) }));
    }

    /// `kubectl edit`: sets one value, keeps everything else, owner labels included.
    pub fn edit(&self, namespace: &str, name: &str, key: &str, value: &str) {
        let mut object = self
            .object(namespace, name)
            .expect("the Secret to edit exists");
        object["data"][key] = json!(STANDARD.encode(value));
        self.put("kubectl-edit", namespace, name, object);
    }

    /// Another client's apply of these values.
    pub fn apply(&self, manager: &str, place: (&str, &str), data: &[(&str, &str)]) {
        let (namespace, name) = place;
        let object = json!({"apiVersion": "v1", "kind": "Secret", "data": encoded(data)});
        let wanted = Wanted::read(&object, namespace, name).unwrap();
        let applied = self
            .lock()
            .store
            .apply(namespace, name, &wanted, &writer(manager));
        assert!(applied.is_ok(), "{:?}", applied.err());
    }

    /// Another client's merge patch.
    pub fn patch(&self, manager: &str, place: (&str, &str), patch: &Value) {
        let mut object = self
            .object(place.0, place.1)
            .expect("the Secret to patch exists");
        api::merge(&mut object, patch);
        self.put(manager, place.0, place.1, object);
    }

    pub fn delete(&self, namespace: &str, name: &str) {
        let deletion = Deletion::default();
        let deleted = self.lock().store.delete(namespace, name, &deletion);
        assert!(deleted.is_ok(), "the Secret to delete exists");
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap()
    }
}

pub fn encoded(data: &[(&str, &str)]) -> Value {
    data.iter()
        .map(|(key, value)| ((*key).to_owned(), json!(STANDARD.encode(value))))
        .collect()
}

/// Somebody who does as they like.
fn writer(manager: &str) -> Writer<'_> {
    Writer {
        manager,
        force: false,
        dry_run: false,
        owners: Owners::Change,
    }
}

fn now() -> String {
    let now = jiff::Timestamp::now();
    now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn uid() -> String {
    let id = format!("{:032x}", fastrand::u128(..));
    [&id[..8], &id[8..12], &id[12..16], &id[16..20], &id[20..]].join("-")
}
