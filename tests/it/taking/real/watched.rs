//! Every state of a Secret that its API server tells of.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use super::super::DATA;
use super::PATIENCE;
use crate::support::cluster::{Cluster, Real, encoded};
use crate::support::daemon::Home;
use crate::support::wait::wait_until;

pub struct Watched<'a> {
    cluster: &'a Real,
    namespace: String,
    child: Child,
    told: PathBuf,
}

impl<'a> Watched<'a> {
    pub fn start(cluster: &'a Real, home: &Home, namespace: &str) -> Self {
        let told = home.path("told");
        let mut kubectl = Command::new("kubectl");
        kubectl.arg("--kubeconfig").arg(cluster.kubeconfig());
        kubectl.args(["-n", namespace, "get", "secret", "db", "--watch"]);
        kubectl.args(["--output-watch-events", "-o", "json"]);
        kubectl.stdout(Stdio::from(File::create(&told).unwrap()));
        let watched = Self {
            cluster,
            namespace: namespace.to_owned(),
            child: kubectl.spawn().unwrap(),
            told,
        };
        wait_until(PATIENCE, "the watch", || !watched.events().is_empty());
        watched
    }

    fn events(&self) -> Vec<Value> {
        let text = std::fs::read(&self.told).unwrap();
        let events = serde_json::Deserializer::from_slice(&text).into_iter();
        // The last one may be half written.
        events.map_while(Result::ok).collect()
    }

    /// It was there at every instant until now, and so were its bytes.
    pub fn was_always_there(mut self) {
        let last = json!({"metadata": {"annotations": {"secretsyncd-test": "the last"}}});
        self.cluster.patch(&self.namespace, "db", &last);
        let is_last = |event: &Value| {
            let annotations = &event["object"]["metadata"]["annotations"];
            annotations["secretsyncd-test"] == "the last"
        };
        wait_until(PATIENCE, "the last change", || {
            self.events().last().is_some_and(is_last)
        });
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        for event in self.events() {
            assert_ne!(event["type"], "DELETED");
            assert_eq!(event["object"]["data"], encoded(&DATA));
        }
    }
}

impl Drop for Watched<'_> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
