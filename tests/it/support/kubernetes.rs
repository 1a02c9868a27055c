//! A stand-in for the Kubernetes API server: Secrets with server-side apply, over TLS on loopback.
//!
//! Its rules are those measured on a real server; its refusals quote the data of the request and of the live
//! object on purpose, so that whoever repeats a server's text is caught. It knows nothing of the product.

mod api;
mod ask;
mod body;
mod fault;
mod kubeconfig;
mod log;
mod object;
mod refusal;
mod store;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

pub use fault::{Fault, Rule};
pub use kubeconfig::Login;
pub use log::{Log, Shape, Verb};
pub use object::How;

use super::certificates::Certificates;
use super::serve::Server;
use body::Wanted;
use object::Field;
use store::{Store, Writer};

pub const TOKEN: &str = "MARKER-kubernetes-token-7d1e5b90";

/// A running stand-in; dropping it closes its port.
pub struct Kubernetes {
    server: Server,
    shared: Arc<Mutex<Shared>>,
    certificates: Certificates,
    files: tempfile::TempDir,
}

struct Shared {
    store: Store,
    rules: Vec<(Rule, Fault)>,
    log: Log,
    token: String,
}

impl Kubernetes {
    /// With the namespaces `app` and `default`.
    pub fn start() -> Self {
        let certificates = Certificates::make();
        let mut store = Store::default();
        store
            .namespaces
            .extend(["app", "default"].map(str::to_owned));
        let shared = Arc::new(Mutex::new(Shared {
            store,
            rules: Vec::new(),
            log: Log::default(),
            token: TOKEN.to_owned(),
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

    /// The CA's certificate, in PEM.
    pub fn authority(&self) -> String {
        self.certificates.authority.clone()
    }

    /// From here on only this token is accepted.
    pub fn set_token(&self, token: &str) {
        token.clone_into(&mut self.lock().token);
    }

    pub fn create_namespace(&self, name: &str) {
        self.lock().store.namespaces.insert(name.to_owned());
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
        let writer = Writer {
            manager,
            force: false,
            dry_run: false,
        };
        let written = self.lock().store.update(namespace, name, &wanted, &writer);
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

    pub fn delete(&self, namespace: &str, name: &str) {
        let deleted = self.lock().store.delete(namespace, name, &Value::Null);
        assert!(deleted.is_ok(), "the Secret to delete exists");
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap()
    }
}

fn encoded(data: &[(&str, &str)]) -> Value {
    data.iter()
        .map(|(key, value)| ((*key).to_owned(), json!(STANDARD.encode(value))))
        .collect()
}

fn uid() -> String {
    let id = format!("{:032x}", fastrand::u128(..));
    [&id[..8], &id[8..12], &id[12..16], &id[16..20], &id[20..]].join("-")
}
