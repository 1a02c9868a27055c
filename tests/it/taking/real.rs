//! `adopt` against a real API server and its garbage collector, where `SECRETSYNCD_TEST_KUBECONFIG` names one.
//!
//! The definitions of what the old controllers keep are made here, and deleted: a cluster that has any is refused.

mod definitions;
mod scenarios;
mod watched;

use std::process::Command;
use std::rc::Rc;
use std::time::Duration;

use serde_json::{Value, json};

use self::definitions::Definitions;
use self::scenarios::SCENARIOS;
use self::watched::Watched;
use super::{DATA, Old, clean, object};
use crate::support::cluster::{Cluster, Real, encoded};
use crate::support::daemon::{Finished, Home};
use crate::support::kubernetes::{ESO, Eso, KES, created_by, data_hash};
use crate::support::secrets_manager::SecretsManager;
use crate::support::suite;
use crate::support::wait::wait_for;

const SUITE: &str = "real adoption suite";
/// The controllers of a cluster at work may take their time.
const PATIENCE: Duration = Duration::from_mins(2);
/// The same, as `kubectl` reads it.
const TIMEOUT: &str = "120s";

#[test]
fn secrets_are_taken_over_on_a_real_cluster() {
    let Some(path) = std::env::var_os("SECRETSYNCD_TEST_KUBECONFIG") else {
        let why = "SECRETSYNCD_TEST_KUBECONFIG is not set";
        return suite::not_run(SUITE, SCENARIOS.len(), why);
    };
    let world = World::new(Real::new(path.into()));
    suite::run(SUITE, &SCENARIOS, &world);
}

struct World {
    // Dropped before the namespaces of its objects.
    definitions: Definitions,
    cluster: Rc<Real>,
}

impl World {
    fn new(cluster: Real) -> Self {
        let cluster = Rc::new(cluster);
        Self {
            definitions: Definitions::where_none_are(Rc::clone(&cluster)),
            cluster,
        }
    }

    fn define(&self, of: (&str, &str)) {
        self.definitions.define(of);
    }

    /// Returns when it is gone, and every object of it.
    fn undefine(&self, of: (&str, &str)) {
        self.definitions.undefine(of);
    }
}

/// A namespace where an old controller keeps the Secret `db`, and an entry that writes the same bytes.
struct Site<'a> {
    world: &'a World,
    namespace: String,
    old: Old,
    uid: String,
    aws: SecretsManager,
    home: Home,
}

impl<'a> Site<'a> {
    /// The old controller is scaled to 0.
    fn new(world: &'a World, old: Old) -> Self {
        world.define(of(old));
        let mut site = Self {
            world,
            namespace: world.cluster.namespace(),
            old,
            uid: String::new(),
            aws: SecretsManager::start(),
            home: Home::new(),
        };
        site.aws.put("db", &object(&DATA));
        site.keep();
        site.configure("");
        let app = match old {
            Old::Kes => "kubernetes-external-secrets",
            Old::Eso(_) => "external-secrets",
        };
        site.create(&json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "controller", "labels": {"app.kubernetes.io/name": app}},
            "spec": {
                "replicas": 0, "selector": {"matchLabels": {"app": app}},
                "template": {
                    "metadata": {"labels": {"app": app, "app.kubernetes.io/name": app}},
                    "spec": {
                        "nodeSelector": {"secretsyncd-test": "no-such-node"},
                        "containers": [{"name": "c", "image": "registry.invalid/none"}],
                    },
                },
            },
        }));
        site
    }

    /// As the old controller leaves them: its object, and the Secret that it owns.
    fn keep(&mut self) {
        let spec = match self.old {
            Old::Kes => json!({"backendType": "secretsManager", "dataFrom": ["db"]}),
            Old::Eso(_) => json!({
                "refreshInterval": "1h", "secretStoreRef": {"name": "store"},
                "target": {"name": "db"}, "dataFrom": [{"extract": {"key": "db"}}],
            }),
        };
        self.create(&json!({
            "apiVersion": format!("{}/v1", of(self.old).0), "kind": "ExternalSecret",
            "metadata": {"name": "db"}, "spec": spec,
        }));
        let es = self.external_secret().expect("it was just created");
        es["metadata"]["uid"]
            .as_str()
            .unwrap()
            .clone_into(&mut self.uid);
        self.put("db");
    }

    /// A Secret that goes with the `ExternalSecret`.
    fn put(&self, name: &str) {
        let (labels, annotations) = match self.old {
            Old::Kes => (json!({}), json!({})),
            Old::Eso(eso) => {
                let data = DATA.map(|(key, value)| (key, value.as_bytes().to_vec()));
                let at = (&*self.namespace, "db");
                (
                    json!({
                        "reconcile.external-secrets.io/created-by": created_by(eso, at),
                        "reconcile.external-secrets.io/managed": "true",
                    }),
                    json!({"reconcile.external-secrets.io/data-hash": data_hash(eso, data.into_iter())}),
                )
            }
        };
        self.create(&json!({
            "apiVersion": "v1", "kind": "Secret", "data": encoded(&DATA),
            "metadata": {
                "name": name, "labels": labels, "annotations": annotations,
                "ownerReferences": [{
                    "apiVersion": format!("{}/v1", of(self.old).0), "kind": "ExternalSecret", "name": "db",
                    "uid": self.uid, "controller": true, "blockOwnerDeletion": true,
                }],
            },
        }));
    }

    fn configure(&self, more: &str) {
        let entry = format!(
            "[secrets.db]\nstore = \"prod\"\ndata_from = [{{ extract = {{ key = \"db\" }} }}]\n\
             [[secrets.db.kubernetes]]\ncluster = \"main\"\nnamespace = \"{}\"\n{more}\n",
            self.namespace
        );
        let tables = [self.aws.store("prod"), self.world.cluster.table("main")];
        self.home.configure(&(tables.concat() + &entry));
    }

    fn kubectl(&self, arguments: &[&str]) -> String {
        let arguments = [&["-n", &*self.namespace], arguments].concat();
        self.world.cluster.kubectl(&arguments, None)
    }

    fn create(&self, what: &Value) {
        let manager = match self.old {
            Old::Kes => "unknown",
            Old::Eso(_) => "externalsecrets.external-secrets.io/db",
        };
        let how = [
            "-n",
            &self.namespace,
            "create",
            "--field-manager",
            manager,
            "-f",
            "-",
        ];
        self.world.cluster.kubectl(&how, Some(what));
    }

    fn get(&self, what: &[&str]) -> Option<Value> {
        let how = ["get", "--ignore-not-found", "-o", "json"];
        serde_json::from_str(&self.kubectl(&[&how[..], what].concat())).ok()
    }

    fn external_secret(&self) -> Option<Value> {
        let (group, plural) = of(self.old);
        self.get(&[&format!("{plural}.{group}"), "db"])
    }

    fn secret(&self, name: &str) -> Option<Value> {
        self.get(&["secret", name])
    }

    fn metadata(&self) -> Value {
        self.secret("db").expect("the Secret is there")["metadata"].clone()
    }

    fn watched(&self) -> Watched<'_> {
        Watched::start(&self.world.cluster, &self.home, &self.namespace)
    }

    fn adopt(&self, arguments: &[&str]) -> Finished {
        let done = self.home.finish(&[&["adopt"], arguments].concat());
        clean(&done);
        done
    }

    fn apply(&self, arguments: &[&str]) -> Finished {
        self.adopt(&[&["--apply", "--watch", "1ms"], arguments].concat())
    }

    fn delivers(&self) {
        let done = self.home.once(&[]);
        assert_eq!(done.code, Some(0), "{done:?}");
    }

    /// As it is printed, in a shell: what it says when it fails.
    fn runs(&self, line: &str) -> Result<(), String> {
        let mut shell = Command::new("sh");
        shell.args(["-c", line]);
        shell.env("KUBECONFIG", self.world.cluster.kubeconfig());
        let output = shell.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        output.status.success().then_some(()).ok_or(said)
    }

    /// The old object goes at last, once the collector has taken along everything that it owns.
    fn collected(&self) {
        self.put("control");
        let (group, plural) = of(self.old);
        let what = format!("{plural}.{group}");
        self.kubectl(&[
            "delete",
            &what,
            "db",
            "--cascade=foreground",
            "--timeout",
            TIMEOUT,
        ]);
        assert_eq!(self.secret("control"), None, "it was not taken over");
    }

    fn gone(&self, what: &str, gone: impl Fn(&Self) -> Option<Value>) {
        wait_for(PATIENCE, what, || gone(self).is_none().then_some(()));
    }

    fn patch(&self, patch: &Value) {
        let place = (&*self.namespace, "db");
        self.world.cluster.patch(place.0, place.1, patch);
    }
}

/// What would outlast the scenario, however it ends: whether a controller runs is asked in all namespaces, and what has a
/// finalizer keeps its namespace.
impl Drop for Site<'_> {
    fn drop(&mut self) {
        let free = json!({"metadata": {"finalizers": null}}).to_string();
        let free = ["patch", "secret", "db", "--type", "merge", "-p", &free];
        let stop = [&STOP[..], &["--ignore-not-found"]].concat();
        for (what, arguments) in [("finalizers", &free[..]), ("Deployment", &stop)] {
            let arguments = [&["-n", &*self.namespace], arguments].concat();
            let done = self.world.cluster.try_kubectl(&arguments, None);
            let done = done.or_else(|why| why.contains("NotFound").then(String::new).ok_or(why));
            if let Err(why) = done {
                eprintln!("the {what} may be left in {}: {why}", self.namespace);
            }
        }
    }
}

/// The commands of what is printed that do that.
fn lines<'a>(done: &'a Finished, what: &str) -> Vec<&'a str> {
    let lines = done.stdout.lines().map(str::trim);
    let commands = lines.filter(|line| line.starts_with("kubectl "));
    commands.filter(|line| line.contains(what)).collect()
}

fn of(old: Old) -> (&'static str, &'static str) {
    match old {
        Old::Kes => KES,
        Old::Eso(_) => ESO,
    }
}

/// Returns when its pods are gone, too.
const STOP: [&str; 6] = [
    "delete",
    "deployment",
    "controller",
    "--cascade=foreground",
    "--timeout",
    TIMEOUT,
];

const BOTH: [Old; 2] = [Old::Kes, Old::Eso(Eso::V1)];
