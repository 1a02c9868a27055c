//! What somebody does between two requests of a client, once: just before one that a rule matches, or just after it.

use serde_json::{Value, json};

use super::api::merge;
use super::body::Wanted;
use super::deletion::Deletion;
use super::store::Store;
use super::things::At;
use super::{Kubernetes, Rule, encoded, writer};

impl Kubernetes {
    /// Just before the next request that the rule matches, `helm` makes a Secret of these values.
    pub fn meanwhile_put(&self, rule: Rule, place: (&str, &str), data: &[(&str, &str)]) {
        let (namespace, name) = (place.0.to_owned(), place.1.to_owned());
        let object = json!({"apiVersion": "v1", "kind": "Secret", "data": encoded(data)});
        self.before(rule, move |store| {
            let wanted = Wanted::read(&object, &namespace, &name).unwrap();
            let writer = writer("helm");
            assert!(store.update(&namespace, &name, &wanted, &writer).is_ok());
        });
    }

    /// Just before the next request that the rule matches, somebody deletes the Secret.
    pub fn meanwhile_delete(&self, rule: Rule, place: (&str, &str)) {
        let (namespace, name) = (place.0.to_owned(), place.1.to_owned());
        self.before(rule, move |store| {
            let deleted = store.delete(&namespace, &name, &Deletion::default());
            assert!(deleted.is_ok());
        });
    }

    /// Somebody does this just before the next request that the rule matches, as a controller's step.
    pub fn before(&self, rule: Rule, deed: impl FnOnce(&mut Store) + Send + 'static) {
        self.lock().deeds.push((rule, Box::new(deed)));
    }

    /// The same just after it, before its answer is sent.
    pub fn after(&self, rule: Rule, deed: impl FnOnce(&mut Store) + Send + 'static) {
        self.lock().sequels.push((rule, Box::new(deed)));
    }

    /// Whether all that was to happen meanwhile has.
    pub fn all_happened(&self) -> bool {
        let shared = self.lock();
        shared.deeds.is_empty() && shared.sequels.is_empty()
    }
}

impl Store {
    /// Somebody's merge patch.
    pub fn patch_as(&mut self, manager: &str, (namespace, name): At<'_>, patch: &Value) {
        let live = self.get(namespace, name).expect("the Secret is there");
        let mut object = live.to_json();
        merge(&mut object, patch);
        let wanted = Wanted::read(&object, namespace, name).unwrap();
        let written = self.update(namespace, name, &wanted, &writer(manager));
        assert!(written.is_ok(), "{:?}", written.err());
    }
}
