//! The definitions of what the old controllers keep: made where there are none, and deleted only while they hold nothing of
//! anybody else.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Instant;

use serde_json::json;

use super::{PATIENCE, TIMEOUT};
use crate::support::cluster::Real;
use crate::support::kubernetes::{ESO, KES};
use crate::support::wait::wait_until;

pub struct Definitions {
    cluster: Rc<Real>,
    /// Those that are ours to delete, with their uids.
    ours: RefCell<BTreeMap<String, String>>,
}

impl Definitions {
    /// Refuses a cluster that has any of these groups. What is just going, an earlier run may have left.
    pub fn where_none_are(cluster: Rc<Real>) -> Self {
        let going = || {
            let (going, stay): (Vec<_>, Vec<_>) = found(&cluster)
                .into_iter()
                .partition(|(_, is_going)| *is_going);
            let stay: Vec<_> = stay.into_iter().map(|(name, _)| name).collect();
            assert!(
                stay.is_empty(),
                "the cluster has {}: this makes and deletes such, so it needs a cluster without",
                stay.join(", ")
            );
            !going.is_empty()
        };
        wait_until(PATIENCE, "earlier definitions to go", || !going());
        Self {
            cluster,
            ours: RefCell::default(),
        }
    }

    /// Makes it, unless that was done before.
    pub fn define(&self, (group, plural): (&str, &str)) {
        let name = format!("{plural}.{group}");
        if self.ours.borrow().contains_key(&name) {
            return;
        }
        let any = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
        let definition = json!({
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {"name": name},
            "spec": {
                "group": group, "scope": "Namespaced",
                "names": {"plural": plural, "kind": "ExternalSecret", "listKind": "ExternalSecretList"},
                "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": any}}],
            },
        });
        // Fails where there is one by now.
        let create = ["create", "-f", "-", "-o", "jsonpath={.metadata.uid}"];
        let uid = self.cluster.kubectl(&create, Some(&definition));
        self.ours.borrow_mut().insert(name.clone(), uid);
        let what = format!("crd/{name}");
        let wait = ["wait", "--for", "condition=established", "--timeout"];
        let wait = [&wait[..], &[TIMEOUT, &what]].concat();
        self.cluster.kubectl(&wait, None);
    }

    /// Returns when it is gone, and every object of it.
    pub fn undefine(&self, (group, plural): (&str, &str)) {
        let name = format!("{plural}.{group}");
        let uid = self.ours.borrow_mut().remove(&name);
        let uid = uid.expect("it was defined here");
        self.delete(&name, &uid).unwrap();
    }

    fn delete(&self, name: &str, uid: &str) -> Result<(), String> {
        let Some(there) = self.uid(name)? else {
            return Ok(());
        };
        if there != uid {
            return Err(format!("somebody else made {name} anew: it stays"));
        }
        let others = self.objects_of_others(name)?;
        if !others.is_empty() {
            let others = others.join(", ");
            return Err(format!(
                "somebody else keeps {others} under {name}: it stays"
            ));
        }
        let path = format!("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}");
        let options = json!({
            "apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"uid": uid},
        });
        let delete = ["delete", "--raw", &path, "-f", "-"];
        self.cluster.try_kubectl(&delete, Some(&options))?;
        let start = Instant::now();
        while self.uid(name)?.as_deref() == Some(uid) {
            if start.elapsed() > PATIENCE {
                return Err(format!("{name} was deleted and is still there"));
            }
            std::thread::sleep(PATIENCE / 600);
        }
        Ok(())
    }

    fn uid(&self, name: &str) -> Result<Option<String>, String> {
        let get = ["get", "crd", name, "--ignore-not-found"];
        let get = [&get[..], &["-o", "jsonpath={.metadata.uid}"]].concat();
        let uid = self.cluster.try_kubectl(&get, None)?;
        Ok((!uid.is_empty()).then_some(uid))
    }

    /// All that would go with it and is in no namespace of this run.
    fn objects_of_others(&self, name: &str) -> Result<Vec<String>, String> {
        let each = r#"jsonpath={range .items[*]}{.metadata.namespace}/{.metadata.name}{"\n"}{end}"#;
        let list = ["get", name, "--all-namespaces", "-o", each];
        let list = self.cluster.try_kubectl(&list, None)?;
        let is_ours = |object: &&str| {
            let namespace = object.split('/').next();
            namespace.is_some_and(|it| self.cluster.has_made(it))
        };
        let others = list.lines().filter(|object| !is_ours(object));
        Ok(others.map(str::to_owned).collect())
    }
}

impl Drop for Definitions {
    fn drop(&mut self) {
        for (name, uid) in self.ours.take() {
            if let Err(why) = self.delete(&name, &uid) {
                eprintln!("the definition {name} is left: {why}");
            }
        }
    }
}

/// Every definition of these groups, and whether it is just going.
fn found(cluster: &Real) -> Vec<(String, bool)> {
    let each = r#"jsonpath={range .items[*]}{.spec.group} {.metadata.name} {.metadata.deletionTimestamp}{"\n"}{end}"#;
    let list = cluster.kubectl(&["get", "crd", "-o", each], None);
    let lines = list.lines().filter_map(|line| {
        let mut words = line.split(' ');
        let (group, name) = (words.next()?, words.next()?);
        let is_going = words.next().is_some_and(|time| !time.is_empty());
        let is_one = [KES, ESO].iter().any(|of| of.0 == group);
        is_one.then(|| (name.to_owned(), is_going))
    });
    lines.collect()
}
