//! The garbage collector: what becomes of objects whose owners are gone.
//!
//! An owner is known by its kind in that version, namespace, name and uid. Where the server does not serve an owner's kind
//! in that version, nothing can be told of the object, so it stays as it is, even if another of its owners is gone.

use serde_json::{Value, json};

use super::body::Wanted;
use super::deletion::Deletion;
use super::store::{Owners, Store, Writer};
use super::things::Key;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owner {
    There,
    Gone,
    /// The server has no such kind.
    Unknown,
}

/// What becomes of an object.
enum Fate {
    Stays,
    /// Less the owners that are gone; the rest of the list.
    Keeps(Vec<Value>),
    Goes,
}

impl Store {
    /// Everything that the collector would come to do, done at once.
    pub fn collect_garbage(&mut self) {
        let secrets: Vec<_> = self.secrets.keys().cloned().collect();
        for (namespace, name) in secrets {
            let Some(secret) = self.get(&namespace, &name) else {
                continue;
            };
            let owners = secret.owners().into_iter().cloned().collect();
            match self.fate(&namespace, owners) {
                Fate::Stays => {}
                Fate::Keeps(rest) => self.set_owners(&namespace, &name, &rest),
                Fate::Goes => drop(self.delete(&namespace, &name, &Deletion::default())),
            }
        }
        for key in self.things.all.keys().cloned().collect::<Vec<_>>() {
            let Some(thing) = self.things.get(&key) else {
                continue;
            };
            let owners = owners(thing);
            match self.fate(&key.namespace, owners) {
                Fate::Stays => {}
                Fate::Keeps(rest) => self.set_thing_owners(&key, &rest),
                Fate::Goes => drop(self.delete_thing(&key, &Deletion::default())),
            }
        }
    }

    /// Whatever that one owns stays, and is no longer its own.
    pub fn orphan(&mut self, uid: &str) {
        let without = |owners: Vec<Value>| -> Option<Vec<Value>> {
            let rest: Vec<_> = owners
                .iter()
                .filter(|it| it["uid"] != uid)
                .cloned()
                .collect();
            (rest.len() < owners.len()).then_some(rest)
        };
        for (namespace, name) in self.secrets.keys().cloned().collect::<Vec<_>>() {
            let secret = self.get(&namespace, &name);
            let owners = secret.map(|it| it.owners().into_iter().cloned().collect());
            if let Some(rest) = owners.and_then(without) {
                self.set_owners(&namespace, &name, &rest);
            }
        }
        for key in self.things.all.keys().cloned().collect::<Vec<_>>() {
            let owners = self.things.get(&key).map(owners);
            if let Some(rest) = owners.and_then(without) {
                self.set_thing_owners(&key, &rest);
            }
        }
    }

    fn fate(&self, namespace: &str, owners: Vec<Value>) -> Fate {
        let seen: Vec<Owner> = owners.iter().map(|it| self.owner(namespace, it)).collect();
        let gone = seen.contains(&Owner::Gone);
        if !gone || seen.contains(&Owner::Unknown) {
            return Fate::Stays;
        }
        if !seen.contains(&Owner::There) {
            return Fate::Goes;
        }
        let there = owners.into_iter().zip(seen);
        let there = there.filter(|(_, seen)| *seen == Owner::There);
        Fate::Keeps(there.map(|(owner, _)| owner).collect())
    }

    fn owner(&self, namespace: &str, owner: &Value) -> Owner {
        let text = |key: &str| owner[key].as_str().unwrap_or_default();
        let (group, version) = match text("apiVersion").split_once('/') {
            Some(both) => both,
            None => ("", text("apiVersion")),
        };
        let (kind, name) = (text("kind"), text("name"));
        let uid = if let ("", "v1", "Secret") = (group, version, kind) {
            let secret = self.get(namespace, name);
            secret.map(|secret| secret.uid.clone())
        } else if let ("apps", "v1", true) = (group, version, super::workloads::is_kind(kind)) {
            self.workloads.uid(kind, (namespace, name))
        } else {
            let mut kinds = self.things.kinds.iter();
            let known = kinds.find(|((of, _), it)| {
                of == group && it.name == kind && it.served.contains(version)
            });
            let Some(((_, plural), _)) = known else {
                return Owner::Unknown;
            };
            let within = Key::new((group, plural), (namespace, name));
            let of_cluster = Key::new((group, plural), ("", name));
            let thing = self.things.get(&within);
            let thing = thing.or_else(|| self.things.get(&of_cluster));
            thing.and_then(|it| it["metadata"]["uid"].as_str().map(str::to_owned))
        };
        match uid {
            Some(uid) if uid == text("uid") => Owner::There,
            _ => Owner::Gone,
        }
    }

    fn set_owners(&mut self, namespace: &str, name: &str, rest: &[Value]) {
        let Some(secret) = self.get(namespace, name) else {
            return;
        };
        let mut object = secret.to_json();
        object["metadata"]["ownerReferences"] = json!(rest);
        let writer = Writer {
            manager: "kube-controller-manager",
            force: false,
            dry_run: false,
            owners: Owners::Change,
        };
        let written = Wanted::read(&object, namespace, name)
            .and_then(|wanted| self.update(namespace, name, &wanted, &writer));
        assert!(written.is_ok(), "{:?}", written.err());
    }

    fn set_thing_owners(&mut self, key: &Key, rest: &[Value]) {
        let patch = json!({"metadata": {"ownerReferences": rest}});
        let written = self.patch_thing(key, &patch, false);
        assert!(written.is_ok(), "{:?}", written.err());
    }
}

fn owners(thing: &Value) -> Vec<Value> {
    let owners = thing["metadata"]["ownerReferences"].as_array();
    owners.cloned().unwrap_or_default()
}
