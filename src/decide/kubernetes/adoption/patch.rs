//! The one merge patch that takes a Secret over, and the way back.
//!
//! No value is in it: where the content is to be another one, we own all of it from then on, and the next delivery writes
//! it as it writes any change.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::quiet::{CANARY, DATA_HASH};
use super::{ADOPTED_FROM, SYNC_OPTIONS, Taking};
use crate::decide::kubernetes::{Wanted, made};
use crate::kube::{FieldKind, LiveSecret, Manager, Metadata};

impl Taking {
    /// The API server refuses it for any other state than this.
    pub fn patch(&self, wanted: &Wanted, live: &LiveSecret) -> Metadata {
        let owners = self.kept.iter().map(|owner| owner.raw.clone()).collect();
        Metadata {
            uid: live.uid.clone(),
            resource_version: live.resource_version.clone(),
            owners: (!self.owners.is_empty()).then_some(owners),
            labels: self.new_labels(wanted),
            annotations: self.new_annotations(wanted, live),
            managers: Some(self.managers(wanted, live)),
        }
    }

    fn new_labels(&self, wanted: &Wanted) -> BTreeMap<String, Option<String>> {
        let gone = self.labels.iter().map(|key| (key.clone(), None));
        let ours = wanted.labels.iter();
        let ours = ours.map(|(key, value)| (key.to_string(), Some(value.to_string())));
        gone.chain(ours).collect()
    }

    fn new_annotations(
        &self,
        wanted: &Wanted,
        live: &LiveSecret,
    ) -> BTreeMap<String, Option<String>> {
        let gone = self.annotations.iter().map(|key| (key.clone(), None));
        let ours = wanted.annotations.iter();
        let ours = ours.map(|(key, value)| (key.to_string(), Some(value.clone())));
        let canary = (CANARY.to_owned(), None);
        let mut all: BTreeMap<_, _> = gone.chain([canary]).collect();
        if self.keep_from_pruning {
            all.insert(SYNC_OPTIONS.to_owned(), Some("Prune=false".to_owned()));
        }
        // What was kept when its owner went says more than what is left of it now.
        if !(self.owners.is_empty() && live.annotations.contains_key(ADOPTED_FROM)) {
            let kept = self.way_back(live).to_string();
            all.insert(ADOPTED_FROM.to_owned(), Some(kept));
        }
        all.extend(ours);
        all
    }

    /// What goes, as a merge patch that would put it back. Not ESO's hash of the values: it makes that anew.
    pub fn way_back(&self, live: &LiveSecret) -> Value {
        let labels = self.labels.iter();
        let labels = labels.filter_map(|key| Some((key.clone(), json!(live.labels.get(key)?))));
        let annotations = self.annotations.iter().filter(|key| *key != DATA_HASH);
        let annotations = annotations.filter_map(|key| {
            let text = std::str::from_utf8(live.annotations.get(key)?.expose()).ok()?;
            Some((key.clone(), json!(text)))
        });
        let owners = self.owners.iter().chain(&self.kept);
        json!({ "metadata": {
            "ownerReferences": owners.map(|owner| owner.raw.clone()).collect::<Vec<_>>(),
            "labels": labels.collect::<Map<_, _>>(),
            "annotations": annotations.collect::<Map<_, _>>(),
        }})
    }

    /// Who owns which field from then on. All data is ours as if we had applied it, so that a key that a later apply
    /// omits really goes; of labels and annotations, whoever wrote what neither goes nor is ours keeps it.
    fn managers(&self, wanted: &Wanted, live: &LiveSecret) -> Vec<Manager> {
        let mut ours = made(wanted);
        ours.data = live.data.keys().map(ToString::to_string).collect();
        let others = live.managers.iter();
        let others = others.filter(|manager| !manager.is(&wanted.manager));
        let others = others.filter_map(|manager| {
            let mut rest = manager.clone();
            rest.data.clear();
            let gone = [
                (FieldKind::Label, &self.labels, &ours.labels),
                (FieldKind::Annotation, &self.annotations, &ours.annotations),
            ];
            for (kind, gone, ours) in gone {
                let fields = rest.fields_mut(kind);
                fields.retain(|name| !gone.contains(name) && !ours.contains(name));
            }
            let is_empty = rest.labels.is_empty() && rest.annotations.is_empty();
            (!is_empty).then_some(rest)
        });
        let mut all: Vec<Manager> = others.collect();
        all.push(ours);
        all
    }
}
