//! What a Kubernetes scenario needs of a cluster, so that the stand-in and a real one can both be it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::kubernetes::Kubernetes;

pub trait Cluster {
    /// The `[clusters.NAME]` table.
    fn table(&self, name: &str) -> String;
    /// A namespace that the scenario has for itself.
    fn namespace(&self) -> String;
    fn data(&self, namespace: &str, name: &str) -> Option<BTreeMap<String, Vec<u8>>>;
    fn resource_version(&self, namespace: &str, name: &str) -> Option<String>;
    /// Another client creates the Secret, under its own field manager.
    fn put_foreign(&self, namespace: &str, name: &str, data: &[(&str, &str)]);
    fn delete(&self, namespace: &str, name: &str);
    /// The whole object, `managedFields` included.
    fn object(&self, namespace: &str, name: &str) -> Option<Value>;
    /// Another client's whole Secret: all but kind and name.
    fn put_object(&self, namespace: &str, name: &str, object: Value);
    /// Another client changes fields by a merge patch.
    fn patch(&self, namespace: &str, name: &str, patch: &Value);
    /// Another client's apply under that name.
    fn apply(&self, manager: &str, place: (&str, &str), data: &[(&str, &str)]);
    /// Returns when it is gone.
    fn delete_namespace(&self, name: &str);
    fn create_namespace(&self, name: &str);
}

/// `managedFields` as people wipe them who find them ugly.
pub fn wiped() -> Value {
    json!({"metadata": {"managedFields": [{}]}})
}

pub fn encoded(data: &[(&str, &str)]) -> Value {
    data.iter()
        .map(|(key, value)| ((*key).to_owned(), json!(STANDARD.encode(value))))
        .collect()
}

impl Cluster for Kubernetes {
    fn table(&self, name: &str) -> String {
        self.cluster(name)
    }

    fn namespace(&self) -> String {
        let name = fresh_name();
        self.create_namespace(&name);
        name
    }

    fn data(&self, namespace: &str, name: &str) -> Option<BTreeMap<String, Vec<u8>>> {
        Kubernetes::data(self, namespace, name)
    }

    fn resource_version(&self, namespace: &str, name: &str) -> Option<String> {
        version_of(&self.object(namespace, name)?)
    }

    fn put_foreign(&self, namespace: &str, name: &str, data: &[(&str, &str)]) {
        self.put_data("helm", namespace, name, data);
    }

    fn delete(&self, namespace: &str, name: &str) {
        Kubernetes::delete(self, namespace, name);
    }

    fn object(&self, namespace: &str, name: &str) -> Option<Value> {
        Kubernetes::object(self, namespace, name)
    }

    fn put_object(&self, namespace: &str, name: &str, object: Value) {
        self.put("helm", namespace, name, object);
    }

    fn patch(&self, namespace: &str, name: &str, patch: &Value) {
        Kubernetes::patch(self, "kubectl-patch", (namespace, name), patch);
    }

    fn apply(&self, manager: &str, place: (&str, &str), data: &[(&str, &str)]) {
        Kubernetes::apply(self, manager, place, data);
    }

    fn delete_namespace(&self, name: &str) {
        Kubernetes::delete_namespace(self, name);
    }

    fn create_namespace(&self, name: &str) {
        Kubernetes::create_namespace(self, name);
    }
}

/// A real cluster, reached with `kubectl`. Its namespaces are deleted when it is dropped.
pub struct Real {
    kubeconfig: PathBuf,
    namespaces: std::cell::RefCell<Vec<String>>,
}

impl Real {
    pub fn new(kubeconfig: PathBuf) -> Self {
        Self {
            kubeconfig,
            namespaces: std::cell::RefCell::default(),
        }
    }

    fn get(&self, namespace: &str, name: &str) -> Option<Value> {
        let text = self.kubectl(
            &[
                "-n",
                namespace,
                "get",
                "secret",
                name,
                "-o",
                "json",
                "--show-managed-fields",
                "--ignore-not-found",
            ],
            None,
        );
        serde_json::from_str(&text).ok()
    }

    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// Whether it is one of the namespaces that were made here.
    pub fn has_made(&self, namespace: &str) -> bool {
        self.namespaces.borrow().iter().any(|it| it == namespace)
    }

    /// What it prints. It has to succeed.
    pub fn kubectl(&self, arguments: &[&str], input: Option<&Value>) -> String {
        let done = self.try_kubectl(arguments, input);
        done.unwrap_or_else(|error| panic!("kubectl {arguments:?}: {error}"))
    }

    /// What it prints, or says when it fails.
    pub fn try_kubectl(&self, arguments: &[&str], input: Option<&Value>) -> Result<String, String> {
        let mut command = Command::new("kubectl");
        command
            .arg("--kubeconfig")
            .arg(&self.kubeconfig)
            .args(arguments);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command
            .spawn()
            .expect("SECRETSYNCD_TEST_KUBECONFIG needs kubectl");
        let stdin = child.stdin.take().unwrap();
        if let Some(input) = input {
            serde_json::to_writer(stdin, input).unwrap();
        }
        let output = child.wait_with_output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        let said = String::from_utf8_lossy(&output.stdout);
        let done = output.status.success().then(|| said.into_owned());
        done.ok_or_else(|| error.into_owned())
    }
}

impl Cluster for Real {
    fn table(&self, name: &str) -> String {
        let path = self.kubeconfig.display().to_string();
        format!("[clusters.{name}]\nkubeconfig = {path:?}\n\n")
    }

    fn namespace(&self) -> String {
        let name = fresh_name();
        self.kubectl(&["create", "namespace", &name], None);
        self.namespaces.borrow_mut().push(name.clone());
        name
    }

    fn data(&self, namespace: &str, name: &str) -> Option<BTreeMap<String, Vec<u8>>> {
        let object = self.get(namespace, name)?;
        let data = object["data"].as_object().into_iter().flatten();
        Some(
            data.map(|(key, text)| {
                (
                    key.clone(),
                    STANDARD.decode(text.as_str().unwrap()).unwrap(),
                )
            })
            .collect(),
        )
    }

    fn resource_version(&self, namespace: &str, name: &str) -> Option<String> {
        version_of(&self.get(namespace, name)?)
    }

    fn put_foreign(&self, namespace: &str, name: &str, data: &[(&str, &str)]) {
        self.put_object(namespace, name, json!({"data": encoded(data)}));
    }

    fn delete(&self, namespace: &str, name: &str) {
        self.kubectl(&["-n", namespace, "delete", "secret", name], None);
    }

    fn object(&self, namespace: &str, name: &str) -> Option<Value> {
        self.get(namespace, name)
    }

    fn put_object(&self, namespace: &str, name: &str, mut object: Value) {
        object["apiVersion"] = json!("v1");
        object["kind"] = json!("Secret");
        object["metadata"]["namespace"] = json!(namespace);
        object["metadata"]["name"] = json!(name);
        self.kubectl(&["create", "-f", "-"], Some(&object));
    }

    fn patch(&self, namespace: &str, name: &str, patch: &Value) {
        let patch = patch.to_string();
        let secret = ["-n", namespace, "patch", "secret", name];
        let how = [
            "--type",
            "merge",
            "--field-manager",
            "kubectl-patch",
            "-p",
            &patch,
        ];
        self.kubectl(&[&secret[..], &how].concat(), None);
    }

    fn apply(&self, manager: &str, (namespace, name): (&str, &str), data: &[(&str, &str)]) {
        let object = json!({
            "apiVersion": "v1", "kind": "Secret",
            "metadata": {"namespace": namespace, "name": name}, "data": encoded(data),
        });
        let how = [
            "apply",
            "--server-side",
            "--field-manager",
            manager,
            "-f",
            "-",
        ];
        self.kubectl(&how, Some(&object));
    }

    fn delete_namespace(&self, name: &str) {
        self.kubectl(&["delete", "namespace", name], None);
    }

    fn create_namespace(&self, name: &str) {
        self.kubectl(&["create", "namespace", name], None);
    }
}

impl Drop for Real {
    fn drop(&mut self) {
        for namespace in self.namespaces.take() {
            let mut command = Command::new("kubectl");
            command.arg("--kubeconfig").arg(&self.kubeconfig);
            let _ = command
                .args(["delete", "namespace", "--wait=false", &namespace])
                .status();
        }
    }
}

fn version_of(object: &Value) -> Option<String> {
    object["metadata"]["resourceVersion"]
        .as_str()
        .map(str::to_owned)
}

fn fresh_name() -> String {
    format!("secretsyncd-test-{:08x}", fastrand::u32(..))
}
