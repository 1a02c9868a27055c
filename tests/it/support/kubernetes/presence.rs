//! Whether a Secret was there with its bytes, at every instant: after every change of anything that the server keeps.

use std::collections::BTreeMap;

use serde_json::Value;

use super::object::Secret;
use super::things::At;
use super::{Kubernetes, encoded};

/// How a Secret was after one change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// With these bytes and no others.
    Same,
    Changed,
    /// Still there, and about to go.
    Doomed,
    Absent,
}

/// One that is watched.
pub struct Watched {
    namespace: String,
    name: String,
    data: Value,
    now: Moment,
    /// By the version of the change.
    moments: BTreeMap<u64, Moment>,
}

impl Watched {
    /// Takes note of a change; `after` is there where it was one of a Secret.
    pub fn note(&mut self, version: u64, before: Option<&Value>, after: Option<&Value>) {
        let is_it = |object: &&Value| {
            let metadata = &object["metadata"];
            metadata["namespace"] == *self.namespace && metadata["name"] == *self.name
        };
        match (before.filter(is_it), after.filter(is_it)) {
            (_, Some(after)) => self.now = self.see(after),
            (Some(_), None) => self.now = Moment::Absent,
            (None, None) => {}
        }
        self.moments.insert(version, self.now);
    }

    fn see(&self, object: &Value) -> Moment {
        if !object["metadata"]["deletionTimestamp"].is_null() {
            Moment::Doomed
        } else if object["data"] == self.data {
            Moment::Same
        } else {
            Moment::Changed
        }
    }
}

impl Kubernetes {
    /// From here on every change is looked at: is the Secret there, with these values and no others?
    pub fn watch_presence(&self, place: At<'_>, data: &[(&str, &str)]) {
        let shared = self.lock();
        let live = shared.store.get(place.0, place.1).map(Secret::to_json);
        let mut past = shared.store.history.lock();
        let mut watched = Watched {
            namespace: place.0.to_owned(),
            name: place.1.to_owned(),
            data: encoded(data),
            now: Moment::Absent,
            moments: BTreeMap::new(),
        };
        let version = past.version();
        watched.note(version, None, live.as_ref());
        past.watched.push(watched);
    }

    /// How the Secret was since it is watched, in the order of the changes, the first one as it was found.
    pub fn presence(&self, (namespace, name): At<'_>) -> Vec<Moment> {
        let shared = self.lock();
        let past = shared.store.history.lock();
        let mut watched = past.watched.iter().rev();
        let watched = watched.find(|it| it.namespace == namespace && it.name == name);
        let moments = watched.expect("the Secret is watched").moments.values();
        moments.copied().collect()
    }

    /// Fails unless the Secret was there with the same bytes at every instant.
    pub fn was_always_there(&self, place: At<'_>) {
        let presence = self.presence(place);
        let same = presence.iter().all(|it| *it == Moment::Same);
        assert!(same, "{place:?}: {presence:?}");
    }
}
