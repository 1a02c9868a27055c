//! How objects go: at once, or once their last finalizer is gone, and what goes with them.

use serde_json::Value;

use super::object::Secret;
use super::refusal::{Refusal, Why};
use super::store::Store;

/// What becomes of the objects that the deleted one owns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dependents {
    /// They go with their last owner.
    #[default]
    Go,
    /// They stay, and lose that owner.
    Stay,
}

/// What a deletion says.
#[derive(Clone, Debug, Default)]
pub struct Deletion {
    pub dependents: Dependents,
    pub dry_run: bool,
    /// The deleted object's `uid` and `resourceVersion`, where the deletion names them.
    pub preconditions: Value,
}

impl Deletion {
    /// Whether the object is the one that the deletion is about.
    pub fn judge(&self, metadata: &Value) -> Result<(), Refusal> {
        let differs = |key: &str| {
            let named = &self.preconditions[key];
            !named.is_null() && *named != metadata[key]
        };
        if differs("uid") || differs("resourceVersion") {
            let text = "Precondition failed: UID or ResourceVersion in precondition differs";
            return Err(Refusal::new(Why::Conflict, text));
        }
        Ok(())
    }
}

impl Store {
    /// A namespace goes with all that is in it.
    pub fn delete_namespace(&mut self, name: &str) {
        self.namespaces.terminate(name);
        let within = self
            .secrets
            .keys()
            .filter(|(namespace, _)| namespace == name);
        for (namespace, name) in within.cloned().collect::<Vec<_>>() {
            let _ = self.delete(&namespace, &name, &Deletion::default());
        }
        let things = self.things.all.keys();
        let within = things.filter(|key| key.namespace == name);
        for key in within.cloned().collect::<Vec<_>>() {
            self.remove_thing(&key);
        }
        self.namespaces.remove(name);
    }

    /// The Secret as it is then: one with a finalizer stays, and is marked.
    pub fn delete(
        &mut self,
        namespace: &str,
        name: &str,
        deletion: &Deletion,
    ) -> Result<Secret, Refusal> {
        let live = self
            .get(namespace, name)
            .ok_or_else(|| Refusal::not_found("secrets", name))?;
        let mut live = live.clone();
        let before = live.to_json();
        deletion.judge(&before["metadata"])?;
        if deletion.dry_run {
            return Ok(live);
        }
        if deletion.dependents == Dependents::Stay {
            self.orphan(&live.uid);
        }
        let key = (namespace.to_owned(), name.to_owned());
        if live.finalizers().is_empty() {
            self.remove(&key);
        } else if live.deleting.is_none() {
            live.deleting = Some(super::now());
            live.resource_version = self.history.next_version();
            self.secrets.insert(key, live.clone());
            let after = live.to_json();
            self.history
                .record(live.resource_version, "secrets", Some(before), Some(after));
        }
        Ok(live)
    }

    /// It is gone, and so is soon what it alone owned.
    pub(super) fn remove(&mut self, key: &(String, String)) {
        if let Some(gone) = self.secrets.remove(key) {
            let version = self.history.next_version();
            self.history
                .record(version, "secrets", Some(gone.to_json()), None);
            self.collect_garbage();
        }
    }
}
